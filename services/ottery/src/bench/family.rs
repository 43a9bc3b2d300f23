//! What a process and all its descendants used, by program.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use anyhow::Context;
use serde_json::{Map, Value};

use super::process::Usage;
use super::result::rounded;

/// What a family of processes has used so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family {
    /// The name of the process itself, and of those below it that run the same program.
    own: String,
    by_program: BTreeMap<String, Usage>,
}

impl Family {
    /// Looks at a running process and everything below it. Who ends while we look is left out.
    ///
    /// # Errors
    /// The process itself has ended.
    pub fn of(root: u32) -> anyhow::Result<Self> {
        Usage::of(root)?;
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for entry in fs::read_dir("/proc").context("cannot read /proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if let Some(parent) = parent_of(pid) {
                children.entry(parent).or_default().push(pid);
            }
        }
        let (mut family, mut waiting) = (Self { own: name_of(root)?, ..Self::default() }, vec![root]);
        while let Some(pid) = waiting.pop() {
            waiting.extend(children.remove(&pid).unwrap_or_default());
            if let (Ok(usage), Ok(name)) = (Usage::of(pid), name_of(pid)) {
                let sum = family.by_program.entry(name).or_default();
                sum.cpu_s += usage.cpu_s;
                sum.rss_mb += usage.rss_mb;
            }
        }
        Ok(family)
    }

    /// Processor time of all, and memory of our own processes: what servers share among theirs would count many times.
    pub fn total(&self) -> Usage {
        let cpu_s = self.by_program.values().map(|usage| usage.cpu_s).sum();
        Usage { cpu_s, rss_mb: self.by_program.get(&self.own).map_or(0.0, |usage| usage.rss_mb) }
    }

    /// Seconds of processor time since an earlier look, by program.
    pub fn seconds_since(&self, earlier: &Self) -> Value {
        let before = |name: &str| earlier.by_program.get(name).map_or(0.0, |usage| usage.cpu_s);
        let since = self
            .by_program
            .iter()
            .map(|(name, usage)| (name.clone(), Value::from(rounded(usage.cpu_s - before(name), 2))));
        Value::Object(since.collect::<Map<_, _>>())
    }
}

fn name_of(pid: u32) -> anyhow::Result<String> {
    let file = format!("/proc/{pid}/comm");
    Ok(fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?.trim().to_owned())
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name may hold spaces and brackets; state and parent follow the last one.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_belongs_to_the_family() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let family = Family::of(std::process::id()).unwrap();
        let is_there = family.by_program.contains_key("sleep");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_there, "{family:?}");
        assert!(Family::of(0).is_err());
    }
}

//! What a process used, as the kernel counts it.

use std::fs;

use anyhow::Context;

/// Ticks of `/proc/<pid>/stat` a second: part of the kernel's interface, the same on every architecture we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Memory and processor time of one process, without its children.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Most memory it held at once, in MiB.
    pub rss_mb: f64,
    /// Processor time since it started, in seconds.
    pub cpu_s: f64,
}

impl Usage {
    /// Looks at a running process.
    ///
    /// # Errors
    /// It has ended.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let read = |name: &str| {
            let file = format!("/proc/{pid}/{name}");
            fs::read_to_string(&file).with_context(|| format!("cannot read {file}: has the process ended?"))
        };
        let rss_mb = peak_mb(&read("status")?).context("a status without VmHWM")?;
        let cpu_s = cpu_seconds(&read("stat")?).context("a stat without times")?;
        Ok(Self { rss_mb, cpu_s })
    }

    /// Processor time of children that have ended, in seconds: a server's connections are such.
    ///
    /// # Errors
    /// The process itself has ended.
    pub fn of_ended_children(pid: u32) -> anyhow::Result<f64> {
        let file = format!("/proc/{pid}/stat");
        let stat = fs::read_to_string(&file).with_context(|| format!("cannot read {file}: has the process ended?"))?;
        times(&stat, 13).context("a stat without times")
    }

    /// What was used since an earlier look: processor time as difference, memory as it is now.
    pub fn since(self, earlier: Self) -> Self {
        Self { cpu_s: self.cpu_s - earlier.cpu_s, ..self }
    }
}

fn peak_mb(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// User and system time. The program's name may hold spaces and brackets, so fields are counted behind the last one.
fn cpu_seconds(stat: &str) -> Option<f64> {
    times(stat, 11)
}

/// The sum of two times, that many fields behind the name.
fn times(stat: &str, fields_before: usize) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(fields_before);
    let (user, system): (f64, f64) = (times.next()?.parse().ok()?, times.next()?.parse().ok()?);
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lines_are_read() {
        assert_eq!(peak_mb("Name:\tottery\nVmHWM:\t   20480 kB\nVmRSS:\t 1024 kB\n"), Some(20.0));
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194304 900 0 0 0 250 50 0 0 20 0 5 0 100 200 300";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(times("42 (a) S 1 42 42 0 -1 4194304 900 0 0 0 250 50 70 30 20 0 5 0 100 200 300", 13), Some(1.0));
        assert_eq!(cpu_seconds("42 (ottery"), None);
    }

    #[test]
    fn this_process_uses_something() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.rss_mb > 1.0, "{usage:?}");
        assert!(Usage::of(0).is_err());
    }
}

//! Processes, by number.

use std::path::Path;

use tokio::process::Command;

/// Sends a signal.
pub async fn signal(pid: u32, signal: &str) {
    let sent = Command::new("kill").args([signal, &pid.to_string()]).status().await.unwrap();
    assert!(sent.success(), "{pid} has ended");
}

/// Which of these processes holds the loopback connection from that port to that one.
pub fn holder_of(from: u16, to: u16, processes: &[u32]) -> Option<u32> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (from, to) = (format!(":{from:04X}"), format!(":{to:04X}"));
    let inode = table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.get(1)?.ends_with(&from) && fields.get(2)?.ends_with(&to);
        is_it.then(|| fields.get(9).copied())?
    })?;
    let link = format!("socket:[{inode}]");
    processes.iter().copied().find(|pid| {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        open.flatten().any(|file| std::fs::read_link(file.path()).is_ok_and(|to| to == Path::new(&link)))
    })
}

//! A private `ottery up` or `ottery cluster` on a folder and a port of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// The binary under test.
pub const OTTERY: &str = env!("CARGO_BIN_EXE_ottery");
const START_LIMIT: Duration = Duration::from_secs(120);

/// A data folder that PostgreSQL's account may pass through; removed in the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ottery-it-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> PathBuf {
        self.0.join("data")
    }

    /// A file of settings beside the data.
    pub fn settings(&self, text: &str) -> PathBuf {
        let file = self.0.join("settings.toml");
        std::fs::write(&file, text).unwrap();
        file
    }

    pub fn state(&self) -> toml::Table {
        toml::from_str(&std::fs::read_to_string(self.path().join("state.toml")).unwrap()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// What is started.
#[derive(Clone, Copy)]
pub enum Topology {
    Embedded,
    Distributed,
}

/// A running copy. Killed when a test ends early.
pub struct Copy {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub port: u16,
}

impl Copy {
    /// Starts it and waits until it says that it is ready.
    pub async fn start(folder: &Path, port: u16) -> Self {
        Self::of(up(folder, port), port).await
    }

    /// As [`Copy::start`], in that topology.
    pub async fn start_as(topology: Topology, folder: &Path, port: u16) -> Self {
        Self::of(command(topology, folder, port), port).await
    }

    /// The same with a command that says more.
    pub async fn of(mut command: Command, port: u16) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.contains("ottery is ready") {
                    return;
                }
            }
            panic!("it ended before it was ready");
        };
        tokio::time::timeout(START_LIMIT, ready).await.expect("ready in time");
        Self { child, lines, port }
    }

    /// What it goes on to tell the person at the terminal.
    pub async fn says(&mut self) -> String {
        let mut said = String::new();
        while !said.contains("Ctrl-C stops all of it") {
            said.push_str(&self.lines.next_line().await.unwrap().expect("it says how to end it"));
            said.push('\n');
        }
        said
    }

    /// The process number that a cluster announces for a member.
    pub async fn pid_of(&mut self, member: &str) -> u32 {
        while let Some(line) = self.lines.next_line().await.unwrap() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words.first() == Some(&member)
                && let ["pid", pid] = words[words.len() - 2..]
            {
                return pid.parse().unwrap();
            }
        }
        panic!("{member} is not announced");
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends a signal and waits for the end; how long that took.
    pub async fn end(mut self, signal: &str) -> (std::process::ExitStatus, Duration) {
        let began = Instant::now();
        let sent = Command::new("kill").arg(signal).arg(self.pid().to_string()).status().await.unwrap();
        assert!(sent.success());
        let status = tokio::time::timeout(Duration::from_secs(60), self.child.wait()).await.expect("an end").unwrap();
        (status, began.elapsed())
    }
}

pub fn up(folder: &Path, port: u16) -> Command {
    command(Topology::Embedded, folder, port)
}

/// The command that starts such a copy.
pub fn command(topology: Topology, folder: &Path, port: u16) -> Command {
    let what = match topology {
        Topology::Embedded => "up",
        Topology::Distributed => "cluster",
    };
    let mut command = Command::new(OTTERY);
    command
        .args([what, "--http", &format!("127.0.0.1:{port}"), "--data-dir"])
        .arg(folder)
        // What a test is told, the binary would take for a setting.
        .env_remove("OTTERY_PICTURES")
        .env_remove("OTTERY_GALLERY")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    command
}

/// Everything that must always hold does, and nothing is warned of.
pub async fn doctor(folder: &Path) {
    assert_eq!(findings(folder).await, [] as [serde_json::Value; 0], "not even a warning is expected after a story");
}

/// What the doctor warns of; none of it is an error.
pub async fn findings(folder: &Path) -> Vec<serde_json::Value> {
    let said = Command::new(OTTERY).args(["doctor", "--json", "--data-dir"]).arg(folder).output().await.unwrap();
    let findings = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success(), "{findings}{}", String::from_utf8_lossy(&said.stderr));
    let report: serde_json::Value = serde_json::from_str(findings.trim()).unwrap();
    report["findings"].as_array().unwrap().clone()
}

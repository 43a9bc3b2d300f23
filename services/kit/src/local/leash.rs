//! A child process that cannot outlive its parent.
//!
//! The child starts as a small shell that leaves a watcher behind and then becomes the program. The watcher reads a pipe
//! whose other end only the parent holds. When the parent ends, in whatever way, the kernel closes the pipe; the watcher
//! then asks the program to stop and kills its process group after a grace period. No signal handler, no unsafe code, and
//! `kill -9` of the parent is covered. The watcher is a member of the program's process group, so that the group's number
//! cannot be given to anybody else while the watcher may still signal it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};

use super::account::Account;
use super::error::{LocalError, at};

/// Parameters: signal that stops the program, grace in tenths of a second, program, its arguments.
/// `$$` stays the number of the outer shell, which becomes the program.
const SCRIPT: &str = r#"
signal=$1 grace=$2
shift 2
exec 3<&0 </dev/null
( (
    exec >/dev/null 2>&1
    trap '' HUP INT QUIT TERM
    while read -r word <&3; do
        [ "$word" = done ] && exit 0
        kill -s "$word" "$$"
    done
    kill -s "$signal" "$$"
    while [ "$grace" -gt 0 ] && kill -s 0 "$$"; do
        sleep 0.1
        grace=$((grace - 1))
    done
    kill -s KILL -- "-$$"
) & )
exec "$@" 3<&-
"#;

/// Weight 110 of the usual 1024; the program takes the place of `nice` and keeps its number.
const BEHIND: [&str; 3] = ["nice", "-n", "10"];

/// A signal that a server understands as a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Re-read settings.
    Hangup,
    /// PostgreSQL: stop now, roll open transactions back.
    Interrupt,
    /// PostgreSQL: stop at once and recover at the next start.
    Quit,
    /// Stop in order.
    Terminate,
}

impl Signal {
    const fn name(self) -> &'static str {
        match self {
            Self::Hangup => "HUP",
            Self::Interrupt => "INT",
            Self::Quit => "QUIT",
            Self::Terminate => "TERM",
        }
    }
}

/// What to start and how to end it.
#[derive(Debug)]
pub struct LeashedCommand {
    program: PathBuf,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    account: Option<Account>,
    folder: PathBuf,
    log: Option<PathBuf>,
    is_behind: bool,
    stop: Signal,
    grace: Duration,
}

impl LeashedCommand {
    /// A program that is stopped with SIGTERM and has ten seconds to obey.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            variables: Vec::new(),
            account: None,
            folder: PathBuf::from("/"),
            log: None,
            is_behind: false,
            stop: Signal::Terminate,
            grace: Duration::from_secs(10),
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the program's environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The folder it starts in; `/` otherwise.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        folder.clone_into(&mut self.folder);
        self
    }

    /// Appends what it prints to this file; otherwise it prints where we print.
    #[must_use]
    pub fn log(mut self, log: &Path) -> Self {
        self.log = Some(log.to_owned());
        self
    }

    /// Where processors are scarce it gets a tenth of what its neighbours get.
    #[must_use]
    pub fn behind(mut self, is_behind: bool) -> Self {
        self.is_behind = is_behind;
        self
    }

    /// How it is asked to stop, and how long it may take before it is killed.
    #[must_use]
    pub fn stops_on(mut self, signal: Signal, grace: Duration) -> Self {
        self.stop = signal;
        self.grace = grace;
        self
    }

    pub(super) fn account(mut self, account: Option<&Account>) -> Self {
        self.account = account.cloned();
        self
    }

    /// Starts it. Needs a running tokio runtime.
    pub fn spawn(self) -> Result<Leash, LocalError> {
        let name = self.program.file_name().unwrap_or(self.program.as_os_str()).to_string_lossy().into_owned();
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "leash", self.stop.name()])
            .arg((self.grace.as_millis() / 100).to_string())
            .args(if self.is_behind { &BEHIND[..] } else { &[] })
            .arg(&self.program)
            .args(&self.arguments)
            .envs(self.variables)
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            // A terminal's Ctrl-C goes to us alone; we then stop the children in order.
            .process_group(0);
        if let Some(log) = &self.log {
            let open = || OpenOptions::new().create(true).append(true).mode(0o600).open(log);
            let file = open().map_err(at(format!("open {}", log.display())))?;
            command.stderr(file.try_clone().map_err(at(format!("open {}", log.display())))?).stdout(file);
        }
        if let Some(account) = &self.account {
            command.uid(account.uid).gid(account.gid);
        }
        let mut child = command.spawn().map_err(at(format!("start {}", self.program.display())))?;
        let rope = child.stdin.take();
        Ok(Leash { child, rope, name })
    }
}

/// A running child. Dropping it stops the child in the background.
pub struct Leash {
    child: Child,
    rope: Option<ChildStdin>,
    name: String,
}

impl Leash {
    /// The process number; none once it has ended and was waited for.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// The file name of the program.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the child ended, when it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, LocalError> {
        self.child.try_wait().map_err(at(format!("look after {}", self.name)))
    }

    /// Waits until the child ends by itself.
    pub async fn wait(&mut self) -> Result<ExitStatus, LocalError> {
        self.child.wait().await.map_err(at(format!("wait for {}", self.name)))
    }

    /// Sends it a signal.
    pub async fn signal(&mut self, signal: Signal) -> Result<(), LocalError> {
        if let Some(rope) = &mut self.rope {
            let word = format!("{}\n", signal.name());
            rope.write_all(word.as_bytes()).await.map_err(at(format!("signal {}", self.name)))?;
        }
        Ok(())
    }

    /// Asks it to stop, waits, and kills it with everything it started when the grace period is over.
    pub async fn stop(mut self) -> Result<ExitStatus, LocalError> {
        drop(self.rope.take());
        self.wait().await
    }
}

impl fmt::Debug for Leash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Leash").field("name", &self.name).field("pid", &self.pid()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command as Plain;
    use std::time::Instant;

    use tokio::time::sleep;

    use super::*;

    fn alive(pid: &str) -> bool {
        std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
            .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
    }

    async fn gone_within(pid: &str, limit: Duration) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            if !alive(pid) {
                return true;
            }
            sleep(Duration::from_millis(50)).await;
        }
        false
    }

    #[tokio::test]
    async fn a_child_ends_with_its_own_status() {
        let mut leash = LeashedCommand::new("/bin/sh").args(["-c", "exit 7"]).spawn().unwrap();
        assert_eq!(leash.wait().await.unwrap().code(), Some(7));
    }

    #[tokio::test]
    async fn a_child_that_stands_behind_has_less_of_a_processor_and_is_stopped_as_any_other() {
        let nice =
            |out: std::process::Output| -> i32 { String::from_utf8(out.stdout).unwrap().trim().parse().unwrap() };
        let own = nice(Plain::new("nice").output().unwrap());
        let command = LeashedCommand::new("/bin/sh").args(["-c", "exit $(nice)"]);
        assert_eq!(command.behind(true).spawn().unwrap().wait().await.unwrap().code(), Some((own + 10).min(19)));

        let leash = LeashedCommand::new("/bin/sleep").arg("300").behind(true).spawn().unwrap();
        let pid = leash.pid().unwrap().to_string();
        leash.stop().await.unwrap();
        assert!(!alive(&pid));
    }

    #[tokio::test]
    async fn a_child_is_stopped_by_dropping_the_leash() {
        let leash = LeashedCommand::new("/bin/sleep").arg("300").spawn().unwrap();
        let pid = leash.pid().unwrap().to_string();
        assert!(alive(&pid));
        drop(leash);
        assert!(gone_within(&pid, Duration::from_secs(10)).await);
    }

    #[tokio::test]
    async fn a_child_that_ignores_the_request_is_killed_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let script = format!("trap '' TERM; sleep 300 & echo $! $$ > {}; wait; sleep 300", pids.display());
        let leash = LeashedCommand::new("/bin/sh")
            .args(["-c", &script])
            .stops_on(Signal::Terminate, Duration::from_millis(300))
            .spawn()
            .unwrap();
        while std::fs::read_to_string(&pids).unwrap_or_default().is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
        leash.stop().await.unwrap();
        for pid in std::fs::read_to_string(&pids).unwrap().split_whitespace() {
            assert!(gone_within(pid, Duration::from_secs(5)).await, "{pid} is still there");
        }
    }

    #[tokio::test]
    async fn a_signal_reaches_the_child() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let ready = folder.path().join("ready");
        let script = format!(
            "trap 'touch {}; exit 0' HUP; touch {}; while :; do sleep 0.05; done",
            mark.display(),
            ready.display()
        );
        let mut leash = LeashedCommand::new("/bin/sh").args(["-c", &script]).spawn().unwrap();
        while !ready.exists() {
            sleep(Duration::from_millis(20)).await;
        }
        leash.signal(Signal::Hangup).await.unwrap();
        assert!(leash.wait().await.unwrap().success());
        assert!(mark.exists());
    }

    /// The parent here is a second copy of this test program, killed with no chance to say goodbye.
    #[tokio::test]
    async fn a_child_ends_when_its_parent_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("pid");
        let mut parent = Plain::new(std::env::current_exe().unwrap())
            .args(["--exact", "local::leash::tests::parent_that_waits_to_be_killed", "--ignored"])
            .env("LEASH_TEST_NOTE", &note)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while std::fs::read_to_string(&note).unwrap_or_default().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(20), "the parent never started its child");
            sleep(Duration::from_millis(20)).await;
        }
        let pid = std::fs::read_to_string(&note).unwrap();
        assert!(alive(&pid));
        parent.kill().unwrap();
        parent.wait().unwrap();
        assert!(gone_within(&pid, Duration::from_secs(10)).await);
    }

    #[tokio::test]
    #[ignore = "the other half of a_child_ends_when_its_parent_is_killed"]
    async fn parent_that_waits_to_be_killed() {
        let Ok(note) = std::env::var("LEASH_TEST_NOTE") else { return };
        let leash = LeashedCommand::new("/bin/sleep").arg("300").spawn().unwrap();
        std::fs::write(note, leash.pid().unwrap().to_string()).unwrap();
        sleep(Duration::from_secs(300)).await;
        drop(leash);
    }
}

//! Headless Chromium, driven over the DevTools protocol. The pipe needs no port, and both ends of it close with us.

use std::collections::HashMap;
use std::fs::File;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{broadcast, oneshot};

use super::Tab;
use crate::copy::Folder;

/// Its name on the systems we know.
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// Nothing but what it is told to fetch, and the same pixels everywhere. A test has no use for a sandbox against itself,
/// and root may not have one.
const FLAGS: [&str; 15] = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-crash-reporter",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
    "--hide-scrollbars",
];
/// The pipe is expected at descriptors 3 and 4; the shell moves it there and becomes the browser.
const MOVE_PIPE: &str = r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#;
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// A page and all it does between two looks.
const EVENTS_MAX: usize = 16_384;

/// Something that happened in a tab.
#[derive(Debug)]
pub struct Event {
    pub session: String,
    pub method: String,
    pub params: Value,
}

/// A browser with a profile of its own. Ended when dropped.
pub struct Chromium {
    child: Child,
    wire: Arc<Wire>,
    _folder: Folder,
}

impl Chromium {
    pub async fn start(name: &str) -> Self {
        let folder = Folder::new(&format!("chromium-{name}"));
        let program = PROGRAMS.into_iter().find(|name| is_installed(name));
        let program = program.expect("no Chromium on this machine: `make setup` installs it");
        let log = folder.path().with_extension("log");
        let mut child = Command::new("sh")
            .args(["-c", MOVE_PIPE, "sh", program])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", folder.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let wire = Wire::of(child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let version = wire.call("", "Browser.getVersion", json!({})).await;
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        version.unwrap_or_else(|error| panic!("{program} does not answer ({error}); it said:\n{said}"));
        Self { child, wire, _folder: folder }
    }

    /// A tab that shares nothing with the others, as if on another machine.
    pub async fn tab(&self) -> Tab {
        Tab::open(self.wire.clone()).await
    }

    /// Closes it and waits until it is gone.
    pub async fn end(mut self) {
        let _ = self.wire.call("", "Browser.close", json!({})).await;
        if tokio::time::timeout(ANSWER_LIMIT, self.child.wait()).await.is_err() {
            self.child.kill().await.unwrap();
        }
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

type Answers = Mutex<HashMap<u64, oneshot::Sender<Result<Value, String>>>>;

/// What is said to the browser, and what it says.
pub struct Wire {
    orders: tokio::sync::Mutex<ChildStdin>,
    last: AtomicU64,
    answers: Answers,
    events: broadcast::Sender<Arc<Event>>,
}

impl Wire {
    fn of(orders: ChildStdin, messages: ChildStdout) -> Arc<Self> {
        let wire = Arc::new(Self {
            orders: tokio::sync::Mutex::new(orders),
            last: AtomicU64::new(0),
            answers: Mutex::default(),
            events: broadcast::channel(EVENTS_MAX).0,
        });
        tokio::spawn(read(Arc::downgrade(&wire), BufReader::new(messages)));
        wire
    }

    pub fn events(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }

    /// Asks and waits for the answer; `session` is a tab's, or empty for the browser itself.
    pub async fn call(&self, session: &str, method: &str, params: Value) -> Result<Value, String> {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, answer) = oneshot::channel();
        self.answers.lock().unwrap().insert(id, sender);
        let mut order = json!({ "id": id, "method": method, "params": params });
        if !session.is_empty() {
            order["sessionId"] = session.into();
        }
        let mut bytes = serde_json::to_vec(&order).unwrap();
        bytes.push(0);
        self.orders.lock().await.write_all(&bytes).await.map_err(|error| format!("{method}: {error}"))?;
        match tokio::time::timeout(ANSWER_LIMIT, answer).await {
            Ok(Ok(answer)) => answer.map_err(|error| format!("{method}: {error}")),
            Ok(Err(_)) => Err(format!("{method}: the browser has ended")),
            Err(_) => Err(format!("{method}: no answer within {} s", ANSWER_LIMIT.as_secs())),
        }
    }
}

async fn read(wire: std::sync::Weak<Wire>, mut messages: BufReader<ChildStdout>) {
    let mut bytes = Vec::new();
    while messages.read_until(0, &mut bytes).await.is_ok_and(|length| length > 0) {
        bytes.pop();
        let Some(wire) = wire.upgrade() else { return };
        let mut message: Value = serde_json::from_slice(&bytes).unwrap();
        bytes.clear();
        if let Some(id) = message["id"].as_u64() {
            let answer = match message.get("error") {
                Some(error) => Err(error.to_string()),
                None => Ok(message["result"].take()),
            };
            if let Some(waiting) = wire.answers.lock().unwrap().remove(&id) {
                let _ = waiting.send(answer);
            }
            continue;
        }
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        let (session, method) = (text("sessionId"), text("method"));
        let _ = wire.events.send(Arc::new(Event { session, method, params: message["params"].take() }));
    }
    // Whoever still waits learns that nothing will come.
    if let Some(wire) = wire.upgrade() {
        wire.answers.lock().unwrap().clear();
    }
}

//! A running system as its API and its simulated surroundings show it.

use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::copy::{Folder, OTTERY};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct System {
    pub port: u16,
    pub state: toml::Table,
    pub http: reqwest::Client,
}

impl System {
    pub fn of(folder: &Folder, port: u16) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        Self { port, state: folder.state(), http: client.build().unwrap() }
    }

    pub fn person(&self, name: &str) -> &str {
        self.state["people"][name].as_str().unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/api/v1{path}", self.port)
    }

    /// As the operator's program.
    pub async fn ask(&self, request: reqwest::RequestBuilder) -> Value {
        let request = request.bearer_auth(self.person("api_key")).header("ottery-brand", self.person("brand_id"));
        read(request).await
    }

    pub async fn get(&self, path: &str) -> Value {
        self.ask(self.http.get(self.url(path))).await
    }

    /// Address of a part of the sandbox: panel, payments, SMTP, mails, control.
    pub fn sandbox_url(&self, port: usize, path: &str) -> String {
        let port = self.state["sandbox"]["ports"][port].as_integer().unwrap();
        format!("http://127.0.0.1:{port}{path}")
    }

    pub async fn sandbox(&self, port: usize, path: &str) -> Value {
        read(self.http.get(self.sandbox_url(port, path))).await
    }

    /// Charges the provider was asked for.
    pub async fn charges(&self) -> i64 {
        self.sandbox(4, "/control/payments/charges").await["count"].as_i64().unwrap()
    }

    fn clock(&self) -> String {
        format!("/brands/{}/clock", self.person("brand_id"))
    }

    pub async fn now(&self) -> DateTime<Utc> {
        self.get(&self.clock()).await["now"].as_str().unwrap().parse().unwrap()
    }

    /// Moves the test clock and does not wait.
    pub async fn begin_advance(&self, to: DateTime<Utc>) {
        self.ask(self.http.post(self.url(&self.clock())).json(&json!({ "to": to }))).await;
    }

    /// Waits until everything due by the test clock's time is done.
    pub async fn until_ready(&self) {
        while self.get(&self.clock()).await["state"] != "ready" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Moves the test clock, until everything due by then is done.
    pub async fn advance(&self, to: DateTime<Utc>) {
        self.begin_advance(to).await;
        self.until_ready().await;
    }
}

/// A good answer's JSON.
pub async fn read(request: reqwest::RequestBuilder) -> Value {
    let answer = request.send().await.unwrap();
    let (status, url) = (answer.status(), answer.url().clone());
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{url}: {status} {text}");
    serde_json::from_str(&text).unwrap()
}

/// Runs the program on a folder; the last line it prints.
pub async fn ottery(folder: &Path, arguments: &[&str]) -> Value {
    let said = Command::new(OTTERY).args(arguments).arg("--data-dir").arg(folder).output().await.unwrap();
    let (out, errors) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{out}\n{errors}");
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

/// Looks until there is something.
pub async fn until<T>(wanted: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{wanted}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

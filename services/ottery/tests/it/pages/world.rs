//! A private `ottery up` with its demo brand, and the hands on its simulated surroundings.

use std::fs::File;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::copy::{Copy, Folder, free_port, up};

pub struct World {
    pub copy: Copy,
    /// What it told the person at the terminal.
    pub said: String,
    pub client: Client,
    folder: Folder,
    state: toml::Table,
}

impl World {
    pub async fn start(name: &str) -> Self {
        Self::start_with(name, |_| {}).await
    }

    /// The same, told more.
    pub async fn start_with(name: &str, more: impl FnOnce(&mut Command)) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let folder = Folder::new(name);
        let port = free_port();
        let mut command = up(&folder.path(), port);
        command.stderr(File::create(folder.path().with_extension("log")).unwrap());
        more(&mut command);
        let mut copy = Copy::of(command, port).await;
        let said = copy.says().await;
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let state = folder.state();
        Self { copy, said, client, folder, state }
    }

    /// A file of the data folder.
    pub fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// Where the brand sells.
    pub fn shop(&self) -> String {
        format!("http://{}:{}", self.person("brand_host"), self.copy.port)
    }

    /// Where staff work.
    pub fn desk(&self) -> String {
        format!("http://127.0.0.1:{}", self.copy.port)
    }

    /// Something that was made for people at the first start.
    pub fn person(&self, what: &str) -> &str {
        self.state["people"][what].as_str().unwrap()
    }

    fn control(&self, path: &str) -> String {
        let port = self.state["sandbox"]["ports"][4].as_integer().unwrap();
        format!("http://127.0.0.1:{port}/control/{path}")
    }

    /// Where one pays.
    pub fn payments(&self) -> String {
        let port = self.state["sandbox"]["ports"][1].as_integer().unwrap();
        format!("http://127.0.0.1:{port}")
    }

    /// The panel as the simulator calls it.
    pub fn panel(&self) -> String {
        format!("panel:{}", self.state["sandbox"]["panel_code"].as_str().unwrap())
    }

    /// Gives the simulator an order.
    pub async fn order(&self, path: &str, body: &Value) {
        let answer = self.client.post(self.control(path)).json(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
    }

    /// From now on this call goes wrong in this way.
    pub async fn fault(&self, target: &str, action: &str, kind: &str, delay_ms: u64) {
        let rule = json!({ "target": target, "action": action, "kind": kind, "delay_ms": delay_ms });
        self.order("faults", &rule).await;
    }

    /// Everything goes right again.
    pub async fn heal(&self) {
        assert!(self.client.delete(self.control("faults")).send().await.unwrap().status().is_success());
    }

    /// Whether the provider tells us what happened, or keeps it for later.
    pub async fn webhooks(&self, are_sent: bool) {
        self.order("payments/webhooks", &json!({ "paused": !are_sent })).await;
    }

    /// Ends it; what it logged.
    pub async fn end(self) -> String {
        let (status, _) = self.copy.end("-TERM").await;
        assert!(status.success(), "{status}");
        std::fs::read_to_string(self.folder.path().with_extension("log")).unwrap()
    }
}

//! The time machine on the whole system: nothing reaches the simulated provider or the mail sink while it runs, and the mails it
//! foresees are those that go out when the test clock is moved.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::copy::{Copy, Folder, OTTERY, doctor, free_port};

const DAYS: i64 = 34;
const STEP_MINUTES: u32 = 1_440;

struct System {
    port: u16,
    state: toml::Table,
    http: reqwest::Client,
}

impl System {
    fn person(&self, name: &str) -> &str {
        self.state["people"][name].as_str().unwrap()
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> Value {
        let request = request.bearer_auth(self.person("api_key")).header("ottery-brand", self.person("brand_id"));
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        self.ask(self.http.get(format!("http://127.0.0.1:{}/api/v1{path}", self.port))).await
    }

    async fn sandbox(&self, port: usize, path: &str) -> Value {
        let port = self.state["sandbox"]["ports"][port].as_integer().unwrap();
        self.http.get(format!("http://127.0.0.1:{port}{path}")).send().await.unwrap().json().await.unwrap()
    }

    /// Mails that arrived and charges that were asked for.
    async fn reached(&self) -> (usize, i64) {
        let mails = self.sandbox(3, "/messages?limit=100000").await["messages"].as_array().unwrap().len();
        (mails, self.sandbox(4, "/control/payments/charges").await["count"].as_i64().unwrap())
    }

    /// Planned and sent mails by template.
    async fn deliveries(&self) -> BTreeMap<String, i64> {
        let (mut found, mut cursor) = (BTreeMap::new(), String::new());
        loop {
            let page = self.get(&format!("/deliveries?limit=100{cursor}")).await;
            for delivery in page["items"].as_array().unwrap() {
                *found.entry(delivery["template"].as_str().unwrap().to_owned()).or_default() += 1;
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    }

    fn clock(&self) -> String {
        format!("/brands/{}/clock", self.person("brand_id"))
    }

    async fn now(&self) -> DateTime<Utc> {
        let clock = self.get(&self.clock()).await;
        clock["now"].as_str().unwrap().parse().unwrap()
    }

    /// Moves the test clock, until everything due by then is done.
    async fn advance(&self, to: DateTime<Utc>) {
        let url = format!("http://127.0.0.1:{}/api/v1{}", self.port, self.clock());
        self.ask(self.http.post(url).json(&json!({ "to": to }))).await;
        while self.get(&self.clock()).await["state"] != "ready" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn ottery(folder: &Path, arguments: &[&str]) -> Value {
    let said = Command::new(OTTERY).args(arguments).arg("--data-dir").arg(folder).output().await.unwrap();
    let (out, errors) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{out}\n{errors}");
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_the_time_machine_and_its_mails_are_those_that_go_out() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let folder = Folder::new("time-machine");
    let copy = Copy::start(&folder.path(), free_port()).await;
    // Customers of many kinds: paying, declined, suspended, ended.
    let url = format!("http://127.0.0.1:{}", copy.port);
    ottery(&folder.path(), &["demo", "--json", "--purchases", "3", "--url", &url]).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let system = System { port: copy.port, state: folder.state(), http };
    let begins = system.now().await;
    let to = begins + TimeDelta::days(DAYS);

    let before = system.reached().await;
    let (brand, until, step) = (system.person("brand_id"), to.to_rfc3339(), STEP_MINUTES.to_string());
    let arguments =
        ["time-machine", "--json", "--brand", brand, "--to", &until, "--step-minutes", &step, "--assume", "as-before"];
    let foreseen = ottery(&folder.path(), &arguments).await;
    assert_eq!(foreseen["run"]["state"], "done");
    assert_eq!(system.reached().await, before, "somebody noticed");

    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    for entry in foreseen["entries"]["base"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "mail") {
        *expected.entry(entry["outcome"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert!(expected.len() > 1, "a month in which nothing is told proves nothing: {expected:?}");

    let told = system.deliveries().await;
    let mut now = begins;
    while now < to {
        now += TimeDelta::minutes(STEP_MINUTES.into());
        system.advance(now.min(to)).await;
    }
    let mut happened = system.deliveries().await;
    for (template, count) in told {
        *happened.entry(template).or_default() -= count;
    }
    happened.retain(|_, count| *count != 0);
    assert_eq!(expected, happened);
    doctor(&folder.path()).await;
    let (status, _) = copy.end("-TERM").await;
    assert!(status.success(), "{status}");
}

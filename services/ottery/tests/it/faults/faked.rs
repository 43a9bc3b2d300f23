//! A real `ottery up` whose wall clock the test moves (libfaketime), beside a PostgreSQL that keeps the true time. Monotonic time is
//! left alone, as it is when an administrator or NTP sets a machine's clock.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, Mac as _};
use ottery_kernel::clock::{Clock as _, SystemClock};
use ottery_kit::local::postgres::{Postgres, PostgresOptions};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::process::Command;

use crate::copy::{Copy, Folder, OTTERY, free_port, up};
use crate::shopper::Shopper;
use crate::system::{System, until};

/// The library re-reads its file once a second.
const CLOSE: TimeDelta = TimeDelta::seconds(20);
/// How long a quote is good.
const QUOTE_FOR: TimeDelta = TimeDelta::minutes(30);

/// The library for programs with several threads.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten().map(|folder| folder.path());
    let found = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|file| file.exists());
    found.expect("libfaketime is missing: `make setup` installs it")
}

/// The wall clock of the processes that follow it.
pub struct WallClock(PathBuf);

impl WallClock {
    /// Sets it; by how much it goes wrong. The file is replaced, so that nobody reads half of it.
    fn set(&self, to: DateTime<Utc>) -> TimeDelta {
        let off = TimeDelta::seconds((to - SystemClock.now()).num_seconds());
        let draft = self.0.with_extension("new");
        std::fs::write(&draft, format!("{:+}\n", off.num_seconds())).unwrap();
        std::fs::rename(draft, &self.0).unwrap();
        off
    }

    /// Puts a command under it.
    fn rules(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", &self.0)
            .env("FAKETIME_CACHE_DURATION", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}

/// A running system under such a clock.
pub struct Faked {
    folder: Folder,
    copy: Copy,
    postgres: Postgres,
    clock: WallClock,
    pub system: System,
}

impl Faked {
    pub async fn start(name: &str, at: DateTime<Utc>) -> Self {
        let (folder, port) = (Folder::new(name), free_port());
        std::fs::create_dir_all(folder.path()).unwrap();
        let clock = WallClock(folder.path().join("wall-clock"));
        let off = clock.set(at);
        let options = PostgresOptions::new(folder.path().join("postgres")).setting("max_connections", "120");
        let postgres = Postgres::start(options).await.unwrap();
        let mut command = up(&folder.path(), port);
        command.args(["--database-url", &postgres.admin_url()]);
        clock.rules(&mut command);
        let copy = Copy::of(command, port).await;
        let system = System::of(&folder, port);
        let faked = Self { folder, copy, postgres, clock, system };
        faked.until_it_is_off_by(off).await;
        faked
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path()
    }

    /// Lets the clock jump, and waits until the process answers with the new time.
    pub async fn jump(&self, to: DateTime<Utc>) {
        let off = self.clock.set(to);
        self.until_it_is_off_by(off).await;
    }

    async fn until_it_is_off_by(&self, off: TimeDelta) {
        let visitor = Shopper::visitor(&self.system);
        let quote = json!({"price_id": visitor.monthly("duo").await, "country": "DE"});
        until("the process to have the new time", async || {
            // Not the answer's `Date`: HTTP servers remember it, and a clock that goes back does not make them forget. Services
            // refuse each other's calls for a moment when a call was signed before the jump: that is answered with an error.
            let quoted = visitor.try_post("/quotes", &quote).await?;
            let expires = quoted["expires_at"].as_str()?.parse::<DateTime<Utc>>().ok()?;
            ((expires - QUOTE_FOR - SystemClock.now() - off).abs() < CLOSE).then_some(())
        })
        .await;
    }

    /// Charges the provider was asked for, and those that moved money.
    pub async fn charged(&self) -> (i64, i64) {
        let charges = self.system.sandbox(4, "/control/payments/charges").await;
        (charges["count"].as_i64().unwrap(), charges["succeeded"].as_i64().unwrap())
    }

    /// Tells the system of payments on the provider's page. The simulated provider lives in the process whose clock is wrong, and
    /// signatures are judged by the database's clock; a real provider's is right, as ours is.
    pub async fn deliver(&self) {
        let system = &self.system;
        let accounts = system.sandbox(4, "/control/payments/accounts").await;
        let secret = system.state["sandbox"]["webhook_secret"].as_str().unwrap();
        for mut event in serde_json::from_value::<Vec<Value>>(
            system.sandbox(4, "/control/payments/events?type=payment.succeeded").await,
        )
        .unwrap()
        {
            event.as_object_mut().unwrap().remove("delivery");
            let (at, body) = (SystemClock.now().timestamp(), event.to_string());
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
            mac.update(format!("{at}.{body}").as_bytes());
            let signature = format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()));
            let request = system.http.post(accounts[0]["webhook_url"].as_str().unwrap());
            let request = request.header("content-type", "application/json").header("sandbox-signature", signature);
            let answer = request.body(body).send().await.unwrap();
            assert!(answer.status().is_success(), "{}", answer.status());
        }
    }

    /// What the doctor, whose clock is the same, finds wrong.
    pub async fn findings(&self) -> Vec<Value> {
        let mut command = Command::new(OTTERY);
        command.args(["doctor", "--json", "--data-dir"]).arg(self.data());
        self.clock.rules(&mut command);
        let said = command.output().await.unwrap();
        let report = String::from_utf8_lossy(&said.stdout).into_owned();
        let report: Value = serde_json::from_str(report.trim()).unwrap();
        report["findings"].as_array().unwrap().clone()
    }

    pub async fn end(self) {
        let (status, _) = self.copy.end("-TERM").await;
        assert!(status.success(), "{status}");
        self.postgres.stop().await.unwrap();
    }
}

//! The sandbox's payment provider in a storm: faults on order, customers at its pages, and what it truly took.

use std::collections::HashMap;
use std::net::SocketAddr;

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use billing::app::webhook::Webhook;
use ottery_sandbox::{Running, Sandbox, SandboxConfig};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;

use super::faces::Truth;
use super::plan::{Act, Gateway, Weather};
use super::post::Letter;

/// The key of the sandbox's account.
pub const KEY: &str = "sk_storm";
/// What it signs with.
pub const SECRET: &str = "whsec_storm";
/// How long a slow payment takes, in milliseconds.
const PROCESSING_MS: u64 = 60;
const GOOD: &str = "4242424242424242";
const REFUSED: &str = "4000000000000002";
const SLOW: &str = "4000000000006668";

/// A running sandbox.
pub struct Provider {
    running: Running,
    http: reqwest::Client,
    letter_box: JoinHandle<()>,
    webhooks: SocketAddr,
    account: String,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.letter_box.abort();
    }
}

impl Provider {
    /// Starts one whose webhooks go into that slot.
    ///
    /// # Errors
    /// It cannot listen.
    pub async fn start(seed: u64, slot: Sender<Letter>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("nothing can listen for webhooks")?;
        let webhooks = listener.local_addr()?;
        let mut settings = SandboxConfig { seed: Some(seed), ..SandboxConfig::default() };
        settings.payments.processing_ms = PROCESSING_MS;
        settings.payments.webhook_retry_ms = 100;
        let account = settings.payments.accounts.first_mut().context("the sandbox has an account")?;
        account.api_key = KEY.into();
        account.webhook_secrets = vec![SECRET.into()];
        let account = account.id.clone();
        let running = Sandbox::start(settings).await.context("the sandbox does not start")?;
        let app = Router::new().route("/{account}", post(take)).with_state(slot);
        let letter_box = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::warn!(%error, "no webhooks are taken any more");
            }
        });
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { running, http, letter_box, webhooks, account })
    }

    /// Where billing calls it.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.running.addresses().payments)
    }

    /// Tells it where its webhooks go: to the account of that id.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn send_to(&self, account: &str) -> anyhow::Result<()> {
        let url = format!("http://{}/{account}", self.webhooks);
        self.control(&format!("payments/accounts/{}", self.account), json!({ "webhook_url": url })).await
    }

    /// The next call of that kind that says these words goes wrong.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn spoil(&self, action: &str, about: &str, weather: Weather) -> anyhow::Result<()> {
        let kind = match weather {
            Weather::Calm => return Ok(()),
            Weather::AnswerLost => "drop_after_apply",
            Weather::CallLost => "drop_before_apply",
            Weather::AnswerCut => "cut",
            Weather::BadGateway => "http_502",
            Weather::Unavailable => "http_503",
            Weather::TooMany => "http_429",
        };
        let rule = json!({"target": "payments", "action": action, "about": about, "kind": kind, "times": 1});
        self.control("faults", rule).await
    }

    /// What a customer does at that page.
    ///
    /// # Errors
    /// The page does not answer as it should.
    pub async fn act(&self, page: &str, act: Act) -> anyhow::Result<()> {
        let cards: &[(&str, u16)] = match act {
            Act::Pays => &[(GOOD, 303)],
            Act::PaysSecond => &[(REFUSED, 402), (GOOD, 303)],
            Act::IsRefused => &[(REFUSED, 402)],
            Act::PaysSlowly => &[(SLOW, 303)],
            Act::Leaves => &[],
        };
        for (number, expected) in cards {
            let form = [("number", *number), ("expiry", "12/39"), ("cvc", "123")];
            let status = self.http.post(format!("{page}/pay")).form(&form).send().await?.status().as_u16();
            anyhow::ensure!(status == *expected, "{page} answers {status} instead of {expected}");
        }
        Ok(())
    }

    /// What it took, by our reference.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn truth(&self) -> anyhow::Result<Truth> {
        let told = self.look("payments/charges").await?;
        let mut truth: Truth = HashMap::new();
        for charge in told["charges"].as_array().context("no list of charges")? {
            if charge["status"] == "succeeded" {
                let reference = charge["reference"].as_str().context("a charge without a reference")?;
                let minor = charge["amount"]["minor"].as_i64().context("a charge without an amount")?;
                truth.entry(reference.to_owned()).or_default().push(minor);
            }
        }
        Ok(truth)
    }

    /// Whether every webhook has left and nothing is being decided any more.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn is_quiet(&self) -> anyhow::Result<bool> {
        let told = self.look("payments/charges").await?;
        let is_deciding = |charge: &Value| charge["status"] == "processing";
        let counters = self.look("counters").await?;
        let undelivered = counters["payments"]["undelivered"].as_u64().context("no counter of webhooks")?;
        Ok(undelivered == 0 && !told["charges"].as_array().is_some_and(|charges| charges.iter().any(is_deciding)))
    }

    async fn look(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("http://{}/control/{path}", self.running.addresses().control);
        Ok(self.http.get(url).send().await?.error_for_status()?.json().await?)
    }

    async fn control(&self, path: &str, body: Value) -> anyhow::Result<()> {
        let url = format!("http://{}/control/{path}", self.running.addresses().control);
        self.http.post(url).json(&body).send().await?.error_for_status()?;
        Ok(())
    }
}

/// Takes a webhook as the sandbox sends it: every byte and header.
async fn take(
    State(slot): State<Sender<Letter>>,
    Path(account): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let event: Value = serde_json::from_slice(&body).unwrap_or_default();
    let about = event["data"]["object"]["reference"].as_str().unwrap_or_default().to_owned();
    let headers = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    let webhook = Webhook { account, body: body.to_vec(), headers };
    match slot.try_send(Letter { gateway: Gateway::Sandbox, about, webhook }) {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

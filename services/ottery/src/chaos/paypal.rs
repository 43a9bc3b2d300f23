//! PayPal in a storm, as the sandbox plays it: payers agree on its page, and billing takes the money.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use billing::app::webhook::Webhook;
use ottery_sandbox::paypal::{CLIENT, CLIENT_SECRET, Paypal, Signer, Trouble};
use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;

use super::faces::{Page, Truth, minor};
use super::plan::{Act, Gateway, Weather};
use super::post::Letter;

/// What PayPal calls our address: part of what it signs.
pub const WEBHOOK_ID: &str = "WH-STORM";
/// A host whose certificates billing takes.
const HOST: &str = "messageverificationcerts.paypal.com";

/// PayPal, running.
pub struct Provider {
    paypal: Paypal,
    signer: Mutex<Signer>,
    slot: Sender<Letter>,
    account: String,
    told: AtomicU64,
    /// Captures whose webhook was sent.
    captured: Mutex<Vec<String>>,
}

impl Provider {
    /// Starts one whose webhooks go into that slot.
    ///
    /// # Errors
    /// It cannot listen, or `openssl` is missing.
    pub async fn start(seed: u64, slot: Sender<Letter>) -> anyhow::Result<Self> {
        let paypal = Paypal::start().await.context("PayPal cannot listen")?;
        let folder = std::env::temp_dir().join(format!("ottery-paypal-{seed}-{}", uuid::Uuid::now_v7().simple()));
        let signer = Signer::named(HOST, folder).context("nobody signs PayPal's webhooks")?;
        let certificate = signer.certificate()?;
        paypal.held(|held| held.certificate = certificate);
        let (told, captured) = (AtomicU64::new(0), Mutex::default());
        Ok(Self { paypal, signer: Mutex::new(signer), slot, account: String::new(), told, captured })
    }

    /// Who vouches for what signs its webhooks, in PEM.
    ///
    /// # Errors
    /// The file is gone.
    pub fn authority(&self) -> anyhow::Result<Vec<u8>> {
        Ok(self.signer.lock().unwrap_or_else(std::sync::PoisonError::into_inner).authority()?)
    }

    /// Where billing calls it.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.paypal.address)
    }

    /// The key of the account there.
    pub fn key() -> String {
        format!("{CLIENT}:{CLIENT_SECRET}")
    }

    /// Tells it where its webhooks go: to the account of that id.
    pub fn send_to(&mut self, account: &str) {
        account.clone_into(&mut self.account);
    }

    /// The next call that begins so and says these words goes wrong.
    pub fn spoil(&self, begins: &str, about: &str, weather: Weather) {
        let trouble = match weather {
            Weather::Calm => return,
            Weather::AnswerLost => Trouble::Dropped { is_applied: true },
            Weather::CallLost => Trouble::Dropped { is_applied: false },
            Weather::AnswerCut => Trouble::Cut,
            Weather::BadGateway => Trouble::Status { status: 502, is_applied: true },
            Weather::Unavailable => Trouble::Status { status: 503, is_applied: false },
            Weather::TooMany => Trouble::Status { status: 429, is_applied: false },
        };
        self.paypal.spoil(begins, about, trouble);
    }

    /// What a payer does at that page.
    ///
    /// # Errors
    /// There is no such order.
    pub fn act(&self, page: &Page, act: Act) -> anyhow::Result<()> {
        if matches!(act, Act::IsRefused | Act::Leaves) {
            return Ok(());
        }
        anyhow::ensure!(self.paypal.approve(&page.reference), "PayPal knows no order {}", page.reference);
        self.tell("CHECKOUT.ORDER.APPROVED", &page.payment, &self.paypal.order(&page.reference))
    }

    /// Tells of what was captured and not told yet.
    ///
    /// # Errors
    /// Nothing can be signed.
    pub fn tell_captures(&self) -> anyhow::Result<bool> {
        let all: Vec<Value> = self.paypal.held(|held| {
            let captures =
                held.orders.values().filter_map(|order| order["purchase_units"][0]["payments"]["captures"].as_array());
            captures.flatten().cloned().collect()
        });
        let mut is_quiet = true;
        for capture in all {
            let id = capture["id"].as_str().unwrap_or_default().to_owned();
            let mut known = self.captured.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if !known.contains(&id) {
                known.push(id);
                drop(known);
                is_quiet = false;
                let about = capture["custom_id"].as_str().unwrap_or_default().to_owned();
                self.tell("PAYMENT.CAPTURE.COMPLETED", &about, &capture)?;
            }
        }
        Ok(is_quiet)
    }

    fn tell(&self, kind: &str, about: &str, resource: &Value) -> anyhow::Result<()> {
        let number = self.told.fetch_add(1, Ordering::Relaxed);
        let body =
            json!({"id": format!("WH-{number}"), "event_version": "1.0", "event_type": kind, "resource": resource});
        let body = serde_json::to_vec(&body)?;
        let (transmission, time) = (format!("69cd13f0-{number}"), "2026-11-20T10:00:00Z");
        let signer = self.signer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let signature = signer.sign(&transmission, time, WEBHOOK_ID, &body)?;
        drop(signer);
        let headers = [
            ("paypal-transmission-id", transmission),
            ("paypal-transmission-time", time.to_owned()),
            ("paypal-transmission-sig", signature),
            ("paypal-cert-url", format!("{}/v1/notifications/certs/CERT-1", self.base_url())),
            ("paypal-auth-algo", "SHA256withRSA".to_owned()),
        ];
        let headers: HashMap<_, _> = headers.map(|(name, value)| (name.to_owned(), value)).into();
        let webhook = Webhook { account: self.account.clone(), body, headers };
        let letter = Letter { gateway: Gateway::Paypal, about: about.to_owned(), webhook };
        self.slot.try_send(letter).map_err(|error| anyhow::anyhow!("the post takes no more: {error}"))
    }

    /// What it took, by our reference.
    ///
    /// # Errors
    /// An amount is none.
    pub fn truth(&self) -> anyhow::Result<Truth> {
        let mut truth = Truth::new();
        for (reference, value) in self.paypal.taken() {
            truth.entry(reference).or_default().push(minor(&value)?);
        }
        Ok(truth)
    }
}

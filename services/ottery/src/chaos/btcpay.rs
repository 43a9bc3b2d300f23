//! BTCPay Server in a storm, as the sandbox plays it: coins come, and are there to stay.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use billing::app::webhook::Webhook;
pub use ottery_sandbox::btcpay::STORE;
use ottery_sandbox::btcpay::{Btcpay, TOKEN, Trouble, sign};
use serde_json::json;
use tokio::sync::mpsc::Sender;

use super::faces::{Page, Truth, minor};
use super::plan::{Act, Gateway, Weather};
use super::post::Letter;

/// What it signs with.
pub const SECRET: &str = "3vGL7sXmQ";

/// BTCPay Server, running.
pub struct Provider {
    btcpay: Btcpay,
    slot: Sender<Letter>,
    account: String,
    told: AtomicU64,
}

impl Provider {
    /// Starts one whose webhooks go into that slot.
    ///
    /// # Errors
    /// It cannot listen.
    pub async fn start(slot: Sender<Letter>) -> anyhow::Result<Self> {
        let btcpay = Btcpay::start().await.context("BTCPay Server cannot listen")?;
        Ok(Self { btcpay, slot, account: String::new(), told: AtomicU64::new(0) })
    }

    /// Where billing calls it.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.btcpay.address)
    }

    /// The key of the store there.
    pub fn key() -> String {
        format!("{STORE}:{TOKEN}")
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
        self.btcpay.spoil(begins, about, trouble);
    }

    /// What a payer does at that page: whoever pays slowly is seen long before it is settled.
    ///
    /// # Errors
    /// There is no such invoice.
    pub fn act(&self, page: &Page, act: Act) -> anyhow::Result<()> {
        let invoice = self.btcpay.held(|held| held.invoices.get(&page.reference).cloned());
        let invoice = invoice.with_context(|| format!("BTCPay Server knows no invoice {}", page.reference))?;
        let amount = invoice["amount"].as_str().context("an invoice without an amount")?;
        let stands = |status: &str, paid: &str| self.btcpay.stands(&page.reference, status, "None", paid);
        match act {
            Act::Pays | Act::PaysSecond => {
                stands("Settled", amount);
                self.tell("InvoiceSettled", page)
            }
            Act::PaysSlowly => {
                stands("Processing", amount);
                self.tell("InvoiceProcessing", page)?;
                stands("Settled", amount);
                self.tell("InvoiceSettled", page)
            }
            Act::IsRefused => {
                stands("Expired", "0");
                self.tell("InvoiceExpired", page)
            }
            Act::Leaves => Ok(()),
        }
    }

    fn tell(&self, kind: &str, page: &Page) -> anyhow::Result<()> {
        let id = format!("D{}", self.told.fetch_add(1, Ordering::Relaxed));
        let metadata = json!({"orderId": page.payment});
        let body = serde_json::to_vec(&json!({"deliveryId": id, "webhookId": "W1", "originalDeliveryId": id,
            "isRedelivery": false, "type": kind, "timestamp": 1_592_312_018, "storeId": STORE,
            "invoiceId": page.reference, "metadata": metadata}))?;
        let headers = HashMap::from([("btcpay-sig".to_owned(), sign(SECRET, &body))]);
        let webhook = Webhook { account: self.account.clone(), body, headers };
        let letter = Letter { gateway: Gateway::Btcpay, about: page.payment.clone(), webhook };
        self.slot.try_send(letter).map_err(|error| anyhow::anyhow!("the post takes no more: {error}"))
    }

    /// What was settled, by our reference.
    ///
    /// # Errors
    /// An amount is none.
    pub fn truth(&self) -> anyhow::Result<Truth> {
        let mut truth = Truth::new();
        for (reference, value) in self.btcpay.taken() {
            truth.entry(reference).or_default().push(minor(&value)?);
        }
        Ok(truth)
    }
}

//! What this BTCPay Server holds, and what it answers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{STORE, TOKEN};
use crate::trouble::Troubles;

/// A call as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Method and path.
    pub call: String,
    /// What stood behind the question mark.
    pub query: String,
    /// Its body; null when it is no JSON.
    pub body: Value,
}

/// All of it, for whoever looks behind its back.
#[derive(Debug, Default)]
pub struct Held {
    /// Invoices by id.
    pub invoices: BTreeMap<String, Value>,
    /// Coins sent to an invoice: how many, and whether they are there to stay.
    pub sent: BTreeMap<String, Vec<(String, String)>>,
    /// Pull payments by id.
    pub pulls: BTreeMap<String, Value>,
    /// What was claimed of a pull payment.
    pub payouts: BTreeMap<String, Vec<Value>>,
    /// Of the key.
    pub permissions: Vec<String>,
    /// A server that knows an invoice without its store alone.
    pub is_storeless: bool,
    /// Nobody tells a rate at the moment.
    pub has_no_rate: bool,
    /// Asks for another amount than it was told.
    pub asks_for: Option<String>,
    /// Calls, the oldest first.
    pub seen: Vec<Seen>,
    /// Questions and answers that are not as described.
    pub wrong: Vec<String>,
    pub(super) troubles: Troubles,
    pub(super) count: usize,
}

pub(super) type Answer = (u16, Value);

pub(super) fn problem(status: u16, code: &str) -> Answer {
    (status, json!({"code": code, "message": "words for people"}))
}

impl Held {
    fn name(&mut self, prefix: &str) -> String {
        self.count += 1;
        format!("{prefix}{}", self.count)
    }

    fn create(&mut self, body: &Value) -> Answer {
        if self.has_no_rate {
            return problem(400, "generic-error");
        }
        let id = self.name("Inv");
        let amount = self.asks_for.clone().map_or_else(|| body["amount"].clone(), Value::from);
        let made = json!({"id": id, "storeId": STORE, "amount": amount, "paidAmount": "0", "currency": body["currency"],
            "type": "Standard", "checkoutLink": format!("https://pay.example/i/{id}"), "createdTime": 1_592_312_018,
            "expirationTime": 1_592_312_918, "monitoringExpiration": 1_592_917_718, "status": "New",
            "additionalStatus": "None", "availableStatusesForManualMarking": ["Settled", "Invalid"], "archived": false,
            "metadata": body["metadata"], "checkout": body["checkout"], "receipt": {"enabled": null}});
        self.invoices.insert(id, made.clone());
        (200, made)
    }

    fn list(&self, query: &str) -> Answer {
        let asked =
            |name: &str| query.split('&').filter_map(|pair| pair.split_once('=')).find(|(known, _)| *known == name);
        let order = asked("orderId").map(|(_, value)| value);
        let take = asked("take").and_then(|(_, value)| value.parse().ok()).unwrap_or(usize::MAX);
        let fits = |told: &&Value| order.is_none_or(|order| told["metadata"]["orderId"] == order);
        (200, self.invoices.values().filter(fits).take(take).cloned().collect())
    }

    fn methods(&self, id: &str) -> Answer {
        if !self.invoices.contains_key(id) {
            return problem(404, "invoice-not-found");
        }
        let sent = self.sent.get(id).into_iter().flatten().enumerate();
        let payments: Vec<Value> = sent
            .map(|(place, (value, status))| {
                json!({"id": format!("tx-{place}"), "receivedDate": 1_592_312_100, "value": value, "fee": "0",
                    "status": status, "destination": "bcrt1q"})
            })
            .collect();
        let method = json!({"paymentMethodId": "BTC-CHAIN", "currency": "BTC", "destination": "bcrt1q", "rate": "100000",
            "paymentMethodPaid": "0", "totalPaid": "0", "due": "0", "amount": "0.0001299", "paymentMethodFee": "0",
            "payments": payments, "activated": true});
        (200, json!([method]))
    }

    fn refund(&mut self, id: &str, body: &Value) -> Answer {
        let Some(told) = self.invoices.get(id) else { return problem(404, "invoice-not-found") };
        if !matches!(told["status"].as_str(), Some("Settled" | "Expired" | "Invalid")) {
            return problem(400, "non-refundable");
        }
        let pull = self.name("Pull");
        let made = json!({"id": pull, "name": body["name"], "description": body["description"],
            "currency": body["customCurrency"], "amount": body["customAmount"], "autoApproveClaims": false, "archived": false,
            "viewLink": format!("https://pay.example/pull-payments/{pull}")});
        self.pulls.insert(pull, made.clone());
        (200, made)
    }

    pub(super) fn answer(&mut self, method: &str, path: &str, query: &str, body: &Value) -> Answer {
        let found = |objects: &BTreeMap<String, Value>, id: &str, word: &str| match objects.get(id) {
            Some(object) => (200, object.clone()),
            None => problem(404, word),
        };
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (method, parts.as_slice()) {
            ("GET", ["api", "v1", "api-keys", "current"]) => {
                (200, json!({"apiKey": TOKEN, "label": "ottery", "permissions": self.permissions}))
            }
            ("GET", ["misc", "permissions"]) => (
                200,
                json!([{"name": "btcpay.store.canmodifyinvoices",
                    "included": ["btcpay.store.cancreateinvoice", "btcpay.store.canviewinvoices"]}]),
            ),
            ("POST", ["api", "v1", "stores", STORE, "invoices"]) => self.create(body),
            ("GET", ["api", "v1", "stores", STORE, "invoices"]) => self.list(query),
            ("GET", ["api", "v1", "stores", STORE, "pull-payments"]) => (200, self.pulls.values().cloned().collect()),
            // Whatever its store: the adapter has to look.
            ("GET", ["api", "v1", "stores", STORE, "invoices", id]) if !self.is_storeless => {
                found(&self.invoices, id, "invoice-not-found")
            }
            ("GET", ["api", "v1", "invoices", id]) if self.is_storeless => {
                found(&self.invoices, id, "invoice-not-found")
            }
            ("GET", ["api", "v1", "stores", STORE, "invoices", id, "payment-methods"]) if !self.is_storeless => {
                self.methods(id)
            }
            ("GET", ["api", "v1", "invoices", id, "payment-methods"]) if self.is_storeless => self.methods(id),
            ("POST", ["api", "v1", "stores", STORE, "invoices", id, "refund"]) if !self.is_storeless => {
                self.refund(id, body)
            }
            ("POST", ["api", "v1", "invoices", id, "refund"]) if self.is_storeless => self.refund(id, body),
            ("GET", ["api", "v1", "pull-payments", id]) => found(&self.pulls, id, "pullpayment-not-found"),
            ("GET", ["api", "v1", "pull-payments", id, "payouts"]) => {
                (200, json!(self.payouts.get(*id).cloned().unwrap_or_default()))
            }
            // A path the server does not know, or a store the key does not reach.
            _ => (404, Value::Null),
        }
    }
}

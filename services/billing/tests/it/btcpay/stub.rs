//! A BTCPay Server of our own: invoices with coins sent to them, pull payments and what is claimed of them, with the faults of a network
//! and of payers. Every question and answer is as BTCPay Server describes it, or the test that made it fails.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::schema;

pub const STORE: &str = "Store1";
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef01234567";

/// A call as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub call: String,
    pub query: String,
    pub body: Value,
}

#[derive(Clone, Copy)]
struct Fault {
    status: u16,
    is_applied: bool,
}

#[derive(Default)]
pub struct Held {
    pub invoices: BTreeMap<String, Value>,
    /// Coins sent to an invoice: how many, and whether they are there to stay.
    pub sent: BTreeMap<String, Vec<(String, String)>>,
    pub pulls: BTreeMap<String, Value>,
    pub payouts: BTreeMap<String, Vec<Value>>,
    pub permissions: Vec<String>,
    /// A server that knows an invoice without its store alone.
    pub is_storeless: bool,
    /// Nobody tells a rate at the moment.
    pub has_no_rate: bool,
    /// Asks for another amount than it was told.
    pub asks_for: Option<String>,
    pub seen: Vec<Seen>,
    pub wrong: Vec<String>,
    faults: VecDeque<(String, Fault)>,
    count: usize,
}

pub struct Stub {
    held: Arc<Mutex<Held>>,
    pub address: SocketAddr,
    _task: Task,
}

struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub type Answer = (u16, Value);

fn problem(status: u16, code: &str) -> Answer {
    (status, json!({"code": code, "message": "words for people"}))
}

impl Stub {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let permissions = vec![
            format!("btcpay.store.canmodifyinvoices:{STORE}"),
            format!("btcpay.store.canmanagepullpayments:{STORE}"),
        ];
        let held = Arc::new(Mutex::new(Held { permissions, ..Held::default() }));
        let app = Router::new().fallback(handle).with_state(held.clone());
        let serve = async move { axum::serve(listener, app).await.expect("served") };
        Self { held, address, _task: Task(tokio::spawn(serve).abort_handle()) }
    }

    pub fn held<T>(&self, look: impl FnOnce(&mut Held) -> T) -> T {
        look(&mut self.held.lock().expect("nobody panicked"))
    }

    /// An invoice comes to stand so, with that much paid of it.
    pub fn stands(&self, invoice: &str, status: &str, additional: &str, paid: &str) {
        self.held(|held| {
            let told = held.invoices.get_mut(invoice).expect("an invoice");
            told["status"] = json!(status);
            told["additionalStatus"] = json!(additional);
            told["paidAmount"] = json!(paid);
        });
    }

    /// Coins arrive, each part at the rate of 100 000: `Processing` or `Settled`.
    pub fn sends(&self, invoice: &str, coins: &[(&str, &str)]) {
        let coins = coins.iter().map(|(value, status)| ((*value).to_owned(), (*status).to_owned())).collect();
        self.held(|held| held.sent.insert(invoice.to_owned(), coins));
    }

    /// The customer claims of a pull payment, or the claim goes on.
    pub fn claims(&self, pull: &str, amount: &str, state: &str) {
        self.held(|held| {
            let payout = json!({"id": format!("Payout-{pull}"), "pullPaymentId": pull, "originalCurrency": "EUR",
                "originalAmount": amount, "payoutMethodId": "BTC-CHAIN", "state": state});
            held.payouts.insert(pull.to_owned(), vec![payout]);
        });
    }

    /// The next call that begins so is answered with that status, done or not.
    pub fn fault(&self, begins: &str, status: u16, is_applied: bool) {
        self.held(|held| held.faults.push_back((begins.to_owned(), Fault { status, is_applied })));
    }

    pub fn seen(&self, begins: &str) -> Vec<Seen> {
        self.held(|held| held.seen.iter().filter(|seen| seen.call.starts_with(begins)).cloned().collect())
    }

    /// Invoices that were made for one of our payments.
    pub fn made_for(&self, order: &str) -> Vec<String> {
        self.held(|held| {
            let ours = held.invoices.iter().filter(|(_, told)| told["metadata"]["orderId"] == order);
            ours.map(|(id, _)| id.clone()).collect()
        })
    }

    /// Whether everything that was asked and answered is as described.
    pub fn assert_described(&self) {
        self.held(|held| assert!(held.wrong.is_empty(), "{:#?}", held.wrong));
    }
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

    fn answer(&mut self, method: &str, path: &str, query: &str, body: &Value) -> Answer {
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

fn reply((status, body): Answer) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    if body.is_null() { status.into_response() } else { (status, axum::Json(body)).into_response() }
}

async fn handle(State(held): State<Arc<Mutex<Held>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1024 * 1024).await.expect("a body");
    let authorization = parts.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (method, path) = (parts.method.as_str().to_owned(), parts.uri.path().to_owned());
    let (call, query) = (format!("{method} {path}"), parts.uri.query().unwrap_or_default().to_owned());
    let mut held = held.lock().expect("nobody panicked");
    if authorization != format!("token {TOKEN}") {
        return reply(problem(401, "unauthenticated"));
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    held.seen.push(Seen { call: call.clone(), query: query.clone(), body: body.clone() });
    if let Some(wrong) = schema::question_fault(&method, &path, &query, &body) {
        held.wrong.push(wrong);
    }
    let place = held.faults.iter().position(|(begins, _)| call.starts_with(begins.as_str()));
    let fault = place.and_then(|place| held.faults.remove(place)).map(|(_, fault)| fault);
    if let Some(fault) = fault.filter(|fault| !fault.is_applied) {
        return reply(problem(fault.status, "simulated"));
    }
    let answer = held.answer(&method, &path, &query, &body);
    if answer.0 < 300
        && let Some(wrong) = schema::answer_fault(&method, &path, answer.0, &answer.1)
    {
        held.wrong.push(wrong);
    }
    match fault {
        Some(fault) => reply(problem(fault.status, "simulated")),
        None => reply(answer),
    }
}

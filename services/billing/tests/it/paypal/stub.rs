//! A stub of PayPal: orders that are approved and captured, saved wallets, captures, refunds. It keeps keys as PayPal does, says what
//! it was asked, and fails when it is told to.

use std::collections::{BTreeMap, HashMap, VecDeque};
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

pub const KEY: &str = "AZ-client:EM-secret";
const TOKEN: &str = "A21AAtoken";

/// A call as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub call: String,
    pub key: String,
    pub body: Value,
}

#[derive(Default)]
struct Held {
    orders: BTreeMap<String, Value>,
    captures: BTreeMap<String, Value>,
    refunds: BTreeMap<String, Value>,
    by_key: HashMap<String, (u16, Value)>,
    faults: VecDeque<(String, u16, String)>,
    lost: VecDeque<String>,
    seen: Vec<Seen>,
    answers: Vec<(String, u16, Value)>,
    capture_status: Option<String>,
    count: usize,
}

/// The running stub; it ends with the value.
pub struct Stub {
    address: SocketAddr,
    held: Arc<Mutex<Held>>,
    task: AbortHandle,
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stub {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let held = Arc::<Mutex<Held>>::default();
        let app = Router::new().fallback(handle).with_state(held.clone());
        let serve = async move { axum::serve(listener, app).await.expect("served") };
        Self { address, held, task: tokio::spawn(serve).abort_handle() }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn held<T>(&self, look: impl FnOnce(&mut Held) -> T) -> T {
        look(&mut self.held.lock().expect("nobody panicked"))
    }

    /// The next call that begins so is refused with that word, and does nothing.
    pub fn fault(&self, begins: &str, status: u16, issue: &str) {
        self.held(|held| held.faults.push_back((begins.to_owned(), status, issue.to_owned())));
    }

    /// The next call that begins so is done, and answered as if nobody knew.
    pub fn lose(&self, begins: &str) {
        self.held(|held| held.lost.push_back(begins.to_owned()));
    }

    /// Captures are from now on of that status.
    pub fn capture_as(&self, status: &str) {
        self.held(|held| held.capture_status = Some(status.to_owned()));
    }

    /// The payer approves on PayPal's page.
    pub fn approve(&self, order: &str) {
        self.held(|held| held.orders.get_mut(order).expect("an order")["status"] = json!("APPROVED"));
    }

    pub fn order(&self, order: &str) -> Value {
        self.held(|held| held.orders[order].clone())
    }

    /// The calls that begin so.
    pub fn seen(&self, begins: &str) -> Vec<Seen> {
        self.held(|held| held.seen.iter().filter(|seen| seen.call.starts_with(begins)).cloned().collect())
    }

    /// What was answered, by call and status.
    pub fn answers(&self) -> Vec<(String, u16, Value)> {
        self.held(|held| held.answers.clone())
    }

    /// The captures under our reference.
    pub fn captures(&self, reference: &str) -> usize {
        self.held(|held| held.captures.values().filter(|capture| capture["custom_id"] == reference).count())
    }

    pub fn refunds(&self) -> usize {
        self.held(|held| held.refunds.len())
    }
}

async fn handle(State(held): State<Arc<Mutex<Held>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (key, authorization) = (header("paypal-request-id").to_owned(), header("authorization").to_owned());
    let body = to_bytes(body, 1024 * 1024).await.expect("a body");
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let call = format!("{} {}", parts.method, parts.uri.path());
    let mut held = held.lock().expect("nobody panicked");
    let (status, answer) = held.answer(&call, &key, &authorization, &body);
    held.answers.push((call, status, answer.clone()));
    (StatusCode::from_u16(status).expect("a status"), axum::Json(answer)).into_response()
}

fn error(status: u16, issue: &str) -> (u16, Value) {
    let name = if status == 404 { "RESOURCE_NOT_FOUND" } else { "UNPROCESSABLE_ENTITY" };
    let details =
        if issue.is_empty() { json!([]) } else { json!([{"issue": issue, "description": "words for people"}]) };
    (status, json!({"name": name, "message": "words for people", "debug_id": "d1", "details": details}))
}

impl Held {
    fn answer(&mut self, call: &str, key: &str, authorization: &str, body: &Value) -> (u16, Value) {
        self.seen.push(Seen { call: call.to_owned(), key: key.to_owned(), body: body.clone() });
        if let Some(index) = self.faults.iter().position(|(begins, _, _)| call.starts_with(begins.as_str())) {
            let (_, status, issue) = self.faults.remove(index).expect("found");
            return error(status, &issue);
        }
        if call == "POST /v1/oauth2/token" {
            let granted = json!({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 32400});
            return if authorization.starts_with("Basic ") { (200, granted) } else { error(401, "") };
        }
        if authorization != format!("Bearer {TOKEN}") {
            return error(401, "");
        }
        if let Some(known) = self.by_key.get(key).filter(|_| !key.is_empty()) {
            return known.clone();
        }
        let answer = self.does(call, body);
        if !key.is_empty() && answer.0 < 500 {
            self.by_key.insert(key.to_owned(), answer.clone());
        }
        if let Some(index) = self.lost.iter().position(|begins| call.starts_with(begins.as_str())) {
            self.lost.remove(index);
            return error(503, "INTERNAL_SERVICE_ERROR");
        }
        answer
    }

    fn does(&mut self, call: &str, body: &Value) -> (u16, Value) {
        let (method, path) = call.split_once(' ').expect("a method and a path");
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match (method, parts.as_slice()) {
            ("POST", ["v2", "checkout", "orders"]) => self.make(body),
            ("GET", ["v2", "checkout", "orders", id]) => found(self.orders.get(*id)),
            ("PATCH", ["v2", "checkout", "orders", id]) => match self.orders.get_mut(*id) {
                Some(order) if order["status"] == "PAYER_ACTION_REQUIRED" => error(422, "INVALID_ORDER_STATUS"),
                Some(order) => {
                    order["purchase_units"][0]["custom_id"] = body[0]["value"].clone();
                    (204, Value::Null)
                }
                None => error(404, ""),
            },
            ("POST", ["v2", "checkout", "orders", id, "capture"]) => self.capture(id),
            ("GET", ["v2", "payments", "captures", id]) => found(self.captures.get(*id)),
            ("POST", ["v2", "payments", "captures", id, "refund"]) => self.refund(id, body),
            ("GET", ["v2", "payments", "refunds", id]) => found(self.refunds.get(*id)),
            _ => error(404, ""),
        }
    }

    fn id(&mut self, prefix: &str) -> String {
        self.count += 1;
        format!("{prefix}{:012}", self.count)
    }

    fn make(&mut self, body: &Value) -> (u16, Value) {
        let id = self.id("ORDER");
        let wallet = &body["payment_source"]["paypal"];
        let is_saved = wallet.get("vault_id").is_some();
        let mut shown = json!({"email_address": "ada@example.com"});
        if wallet["attributes"]["vault"]["store_in_vault"] == "ON_SUCCESS" {
            shown["attributes"] =
                json!({"vault": {"id": "8kk8451t", "status": "VAULTED", "customer": {"id": "cust1"}}});
        }
        let page = format!("https://www.paypal.test/checkoutnow?token={id}");
        let order = json!({"id": id, "intent": "CAPTURE", "status": "PAYER_ACTION_REQUIRED",
            "payment_source": {"paypal": shown}, "purchase_units": body["purchase_units"],
            "links": [{"rel": "payer-action", "method": "GET", "href": page}]});
        self.orders.insert(id.clone(), order);
        if !is_saved {
            return (201, self.orders[&id].clone());
        }
        self.orders.get_mut(&id).expect("made")["status"] = json!("APPROVED");
        self.capture(&id)
    }

    fn capture(&mut self, id: &str) -> (u16, Value) {
        let Some(order) = self.orders.get(id).cloned() else { return error(404, "") };
        match order["status"].as_str() {
            Some("APPROVED") => {}
            Some("COMPLETED") => return error(422, "ORDER_ALREADY_CAPTURED"),
            _ => return error(422, "ORDER_NOT_APPROVED"),
        }
        let capture_id = self.id("CAPTURE");
        let unit = &order["purchase_units"][0];
        let fee = json!({"currency_code": unit["amount"]["currency_code"], "value": "0.69"});
        let capture = json!({"id": capture_id, "status": self.capture_status.clone().unwrap_or_else(|| "COMPLETED".to_owned()),
            "amount": unit["amount"], "custom_id": unit["custom_id"], "invoice_id": unit["invoice_id"],
            "seller_receivable_breakdown": {"gross_amount": unit["amount"], "paypal_fee": fee},
            "supplementary_data": {"related_ids": {"order_id": id}}});
        self.captures.insert(capture_id, capture.clone());
        let order = self.orders.get_mut(id).expect("there");
        order["status"] = json!("COMPLETED");
        order["purchase_units"][0]["payments"] = json!({"captures": [capture], "refunds": []});
        (201, order.clone())
    }

    fn refund(&mut self, capture: &str, body: &Value) -> (u16, Value) {
        let Some(of) = self.captures.get(capture).cloned() else { return error(404, "") };
        let id = self.id("REFUND");
        let up = format!("https://api-m.paypal.test/v2/payments/captures/{capture}");
        let refund = json!({"id": id, "status": "COMPLETED", "amount": body["amount"], "custom_id": body["custom_id"],
            "links": [{"rel": "up", "method": "GET", "href": up}]});
        self.refunds.insert(id, refund.clone());
        let order = of["supplementary_data"]["related_ids"]["order_id"].as_str().expect("an order");
        let order = self.orders.get_mut(order).expect("there");
        let refunds = &mut order["purchase_units"][0]["payments"]["refunds"];
        refunds.as_array_mut().expect("a list").push(refund.clone());
        (201, refund)
    }
}

fn found(object: Option<&Value>) -> (u16, Value) {
    object.map_or_else(|| error(404, ""), |object| (200, object.clone()))
}

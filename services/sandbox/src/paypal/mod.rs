//! A PayPal of our own: orders, captures, refunds, the vault and disputes, with the faults of a network and of a payer. No
//! independent one exists; what it answers is checked against PayPal's own description where a checker is given.

mod held;
mod signer;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt as _;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::held::{Answer, problem};
pub use self::held::{Held, Seen};
pub use self::signer::{SignError, Signer};
use crate::http::{Handler, Reply, Request, Site, serve};
pub use crate::trouble::Trouble;

/// The client's id.
pub const CLIENT: &str = "client-1";
/// The client's secret.
pub const CLIENT_SECRET: &str = "secret-1";

/// Compares an answer with its description: method, path, status, body; what is wrong, if anything.
pub type Checker = fn(&str, &str, u16, &Value) -> Option<String>;

/// A running PayPal; stops when dropped.
pub struct Paypal {
    held: Arc<Mutex<Held>>,
    /// Where it listens.
    pub address: SocketAddr,
    stop: CancellationToken,
}

impl Drop for Paypal {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Paypal {
    /// Starts one on a free port whose answers nobody compares with anything.
    ///
    /// # Errors
    /// It cannot listen.
    pub async fn start() -> std::io::Result<Self> {
        Self::start_checked(|_, _, _, _| None).await
    }

    /// Starts one whose answers are compared with their description.
    ///
    /// # Errors
    /// It cannot listen.
    pub async fn start_checked(checker: Checker) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let held: Arc<Mutex<Held>> = Arc::default();
        let (answering, stop) = (Arc::clone(&held), CancellationToken::new());
        let handler: Handler = Arc::new(move |request| {
            let held = Arc::clone(&answering);
            async move { handle(&held, checker, &request) }.boxed()
        });
        serve(Site { listener, server: "sandbox-paypal", handler }, stop.clone(), &TaskTracker::new());
        Ok(Self { held, address, stop })
    }

    /// Looks at, or changes, what it holds.
    pub fn held<T>(&self, look: impl FnOnce(&mut Held) -> T) -> T {
        look(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The payer agrees on PayPal's page; false when there is no such order.
    pub fn approve(&self, order: &str) -> bool {
        self.held(|held| held.orders.get_mut(order).map(|order| order["status"] = json!("APPROVED"))).is_some()
    }

    /// An order as it stands; null when there is none.
    #[must_use]
    pub fn order(&self, id: &str) -> Value {
        self.held(|held| held.orders.get(id).cloned().unwrap_or_default())
    }

    /// The next call that begins so (`POST /v2/…`) is answered with that status, done or not.
    pub fn fault(&self, begins: &str, status: u16, is_applied: bool) {
        self.spoil(begins, "", Trouble::Status { status, is_applied });
    }

    /// The next call that begins so and says these words in its body goes wrong.
    pub fn spoil(&self, begins: &str, about: &str, trouble: Trouble) {
        self.held(|held| held.troubles.order(begins, about, trouble));
    }

    /// Calls that begin so, the oldest first.
    #[must_use]
    pub fn seen(&self, begins: &str) -> Vec<Seen> {
        self.held(|held| held.seen.iter().filter(|seen| seen.call.starts_with(begins)).cloned().collect())
    }

    /// Captures under our reference that are money.
    #[must_use]
    pub fn captures(&self, reference: &str) -> usize {
        let is_ours = |capture: &&Value| capture["custom_id"] == reference && capture["status"] != "DECLINED";
        self.held(|held| held.captures().filter(is_ours).count())
    }

    /// What was captured as money: our reference, and the amount in words.
    #[must_use]
    pub fn taken(&self) -> Vec<(String, String)> {
        let is_money = |capture: &&Value| capture["status"] != "DECLINED" && capture["status"] != "FAILED";
        let told = |capture: &Value| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (text(&capture["custom_id"]), text(&capture["amount"]["value"]))
        };
        self.held(|held| held.captures().filter(is_money).map(told).collect())
    }

    /// Whether everything that was answered is as described.
    ///
    /// # Panics
    /// It is not.
    pub fn assert_described(&self) {
        self.held(|held| assert!(held.wrong.is_empty(), "{:#?}", held.wrong));
    }
}

fn reply((status, body): Answer) -> Reply {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if body.is_null() { Reply::empty(status) } else { Reply::json(status, &body) }
}

fn handle(held: &Mutex<Held>, checker: Checker, request: &Request) -> Reply {
    let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
    let (method, path) = (request.method.as_str(), request.path.as_str());
    let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
    if path.starts_with("/v1/notifications/certs/") {
        held.certificates_asked += 1;
        return Reply::new(StatusCode::OK, "application/octet-stream", held.certificate.clone());
    }
    if path == "/v1/oauth2/token" {
        let known = STANDARD.encode(format!("{CLIENT}:{CLIENT_SECRET}"));
        if header("authorization") != format!("Basic {known}") || &request.body[..] != b"grant_type=client_credentials"
        {
            return reply((401, json!({"error": "invalid_client"})));
        }
        held.tokens_made += 1;
        held.is_token_old = false;
        let token = format!("A21-{}", held.tokens_made);
        return reply((200, json!({"access_token": token, "token_type": "Bearer", "expires_in": 32_400})));
    }
    if held.is_token_old || !held.knows_token(&header("authorization")) {
        return reply((401, json!({"name": "AUTHENTICATION_FAILURE", "message": "old", "debug_id": "d1"})));
    }
    let (call, query) = (format!("{method} {path}"), request.query.as_deref().unwrap_or_default());
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let key = header("paypal-request-id");
    held.seen.push(Seen { call: call.clone(), key: key.clone(), body: body.clone() });
    if method == "POST" && !(1..=108).contains(&key.len()) {
        held.wrong.push(format!("every POST has a key: {call}"));
    }
    let trouble = held.troubles.take(&call, &String::from_utf8_lossy(&request.body));
    let refusal = |status: StatusCode| reply(problem(status.as_u16(), "SIMULATED"));
    if let Some(trouble) = trouble.filter(|trouble| !trouble.is_applied()) {
        return trouble.spoil(Reply::empty(StatusCode::OK), refusal);
    }
    let known = held.by_key.get(&key).filter(|_| !key.is_empty()).cloned();
    let answer = known.unwrap_or_else(|| held.answer(method, path, query, &body));
    // PayPal forgets a call it refused.
    if !key.is_empty() && answer.0 < 300 {
        held.by_key.insert(key, answer.clone());
    }
    if answer.0 < 300
        && answer.0 != 204
        && let Some(wrong) = checker(method, path, answer.0, &answer.1)
    {
        held.wrong.push(wrong);
    }
    match trouble {
        Some(trouble) => trouble.spoil(reply(answer), refusal),
        None => reply(answer),
    }
}

//! A BTCPay Server of our own: invoices with coins sent to them, pull payments and what is claimed of them, with the faults of a
//! network and of payers. No independent one exists; what it is asked and answers is checked against BTCPay Server's own
//! description where a checker is given.

mod held;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use hmac::{Hmac, Mac as _};
use http::StatusCode;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::held::{Answer, problem};
pub use self::held::{Held, Seen};
use crate::http::{Handler, Reply, Request, Site, serve};
pub use crate::trouble::Trouble;

/// The one store.
pub const STORE: &str = "Store1";
/// The key of that store.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef01234567";

/// Compares questions and answers with their description; each says what is wrong, if anything.
#[derive(Clone, Copy, Debug)]
pub struct Checker {
    /// Method, path, query, body.
    pub question: fn(&str, &str, &str, &Value) -> Option<String>,
    /// Method, path, status, body.
    pub answer: fn(&str, &str, u16, &Value) -> Option<String>,
}

/// A running BTCPay Server; stops when dropped.
pub struct Btcpay {
    held: Arc<Mutex<Held>>,
    /// Where it listens.
    pub address: SocketAddr,
    stop: CancellationToken,
}

impl Drop for Btcpay {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Btcpay {
    /// Starts one on a free port that nobody compares with anything.
    ///
    /// # Errors
    /// It cannot listen.
    pub async fn start() -> std::io::Result<Self> {
        Self::start_checked(Checker { question: |_, _, _, _| None, answer: |_, _, _, _| None }).await
    }

    /// Starts one that is compared with its description.
    ///
    /// # Errors
    /// It cannot listen.
    pub async fn start_checked(checker: Checker) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let permissions = vec![
            format!("btcpay.store.canmodifyinvoices:{STORE}"),
            format!("btcpay.store.canmanagepullpayments:{STORE}"),
        ];
        let held = Arc::new(Mutex::new(Held { permissions, ..Held::default() }));
        let (answering, stop) = (Arc::clone(&held), CancellationToken::new());
        let handler: Handler = Arc::new(move |request| {
            let held = Arc::clone(&answering);
            async move { handle(&held, checker, &request) }.boxed()
        });
        serve(Site { listener, server: "sandbox-btcpay", handler }, stop.clone(), &TaskTracker::new());
        Ok(Self { held, address, stop })
    }

    /// Looks at, or changes, what it holds.
    pub fn held<T>(&self, look: impl FnOnce(&mut Held) -> T) -> T {
        look(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An invoice comes to stand so, with that much paid of it.
    ///
    /// # Panics
    /// There is no such invoice.
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

    /// The next call that begins so (`POST /api/v1/…`) is answered with that status, done or not.
    pub fn fault(&self, begins: &str, status: u16, is_applied: bool) {
        self.spoil(begins, "", Trouble::Status { status, is_applied });
    }

    /// The next call that begins so and says these words in its address or body goes wrong.
    pub fn spoil(&self, begins: &str, about: &str, trouble: Trouble) {
        self.held(|held| held.troubles.order(begins, about, trouble));
    }

    /// Calls that begin so, the oldest first.
    #[must_use]
    pub fn seen(&self, begins: &str) -> Vec<Seen> {
        self.held(|held| held.seen.iter().filter(|seen| seen.call.starts_with(begins)).cloned().collect())
    }

    /// Invoices that were made for one of our payments.
    #[must_use]
    pub fn made_for(&self, order: &str) -> Vec<String> {
        self.held(|held| {
            let ours = held.invoices.iter().filter(|(_, told)| told["metadata"]["orderId"] == order);
            ours.map(|(id, _)| id.clone()).collect()
        })
    }

    /// What was settled: our reference, and the amount in words.
    #[must_use]
    pub fn taken(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let told = |invoice: &Value| (text(&invoice["metadata"]["orderId"]), text(&invoice["paidAmount"]));
        self.held(|held| held.invoices.values().filter(|invoice| invoice["status"] == "Settled").map(told).collect())
    }

    /// Whether everything that was asked and answered is as described.
    ///
    /// # Panics
    /// It is not.
    pub fn assert_described(&self) {
        self.held(|held| assert!(held.wrong.is_empty(), "{:#?}", held.wrong));
    }
}

/// The header `BTCPay-Sig` of a body, keyed with that secret.
///
/// # Panics
/// Never: HMAC takes keys of any length.
#[must_use]
pub fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn reply((status, body): Answer) -> Reply {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if body.is_null() { Reply::empty(status) } else { Reply::json(status, &body) }
}

fn handle(held: &Mutex<Held>, checker: Checker, request: &Request) -> Reply {
    let (method, path) = (request.method.as_str(), request.path.as_str());
    let (call, query) = (format!("{method} {path}"), request.query.as_deref().unwrap_or_default());
    let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
    if request.header("authorization") != Some(format!("token {TOKEN}").as_str()) {
        return reply(problem(401, "unauthenticated"));
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    held.seen.push(Seen { call: call.clone(), query: query.to_owned(), body: body.clone() });
    if let Some(wrong) = (checker.question)(method, path, query, &body) {
        held.wrong.push(wrong);
    }
    let trouble = held.troubles.take(&call, &format!("{query} {}", String::from_utf8_lossy(&request.body)));
    let refusal = |status: StatusCode| reply(problem(status.as_u16(), "simulated"));
    if let Some(trouble) = trouble.filter(|trouble| !trouble.is_applied()) {
        return trouble.spoil(Reply::empty(StatusCode::OK), refusal);
    }
    let answer = held.answer(method, path, query, &body);
    if answer.0 < 300
        && let Some(wrong) = (checker.answer)(method, path, answer.0, &answer.1)
    {
        held.wrong.push(wrong);
    }
    match trouble {
        Some(trouble) => trouble.spoil(reply(answer), refusal),
        None => reply(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::sign;

    #[test]
    fn the_signature_is_the_one_everybody_else_computes() {
        // Computed with `printf '{}' | openssl dgst -sha256 -hmac 3vGL7sXmQ`.
        assert_eq!(sign("3vGL7sXmQ", b"{}"), "sha256=fc291a6c85af11c1a9045655711597fecbc31ebeedd551676dcbfbf6c18fc199");
    }
}

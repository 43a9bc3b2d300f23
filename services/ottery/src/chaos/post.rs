//! The post between providers and billing: what it repeats, holds back, loses and forges.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use billing::app::Billing;
use billing::app::webhook::Webhook;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::plan::{Fate, Gateway};

/// How long it waits for billing that is being started.
const WAIT: Duration = Duration::from_millis(20);
/// How often a webhook that billing did not keep is told again.
const TRIES_MAX: u32 = 500;

/// A webhook on its way.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Who sends it.
    pub gateway: Gateway,
    /// The payment it is about, as the provider names it to us.
    pub about: String,
    /// What is sent.
    pub webhook: Webhook,
}

/// What the post did.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Carried {
    /// Webhooks providers sent.
    pub sent: u64,
    /// Deliveries billing kept or knew.
    pub taken: u64,
    /// Webhooks nobody was told.
    pub lost: u64,
    /// Forged ones billing refused.
    pub refused: u64,
    /// What should not have been, in sentences.
    pub wrong: Vec<String>,
}

/// The billing that is running; nobody during a restart.
pub type Open = watch::Receiver<Option<Billing>>;

/// What is planned for the webhooks of a payment, by its id.
pub type Fates = Arc<Mutex<HashMap<String, Vec<Fate>>>>;

/// Webhooks that lie in the slots at once: far more than a whole storm sends. Whoever drops one too many is refused, and says so.
const LETTERS_MAX: usize = 65_536;

/// The post at work.
pub struct Post {
    letters: mpsc::Sender<Letter>,
    closing: CancellationToken,
    carrier: JoinHandle<Carried>,
}

impl Post {
    /// Begins to carry.
    pub fn start(open: Open, fates: Fates) -> Self {
        let (letters, waiting) = mpsc::channel(LETTERS_MAX);
        let closing = CancellationToken::new();
        let carrier = Carrier { open, fates, told: HashMap::new(), held: Vec::new(), carried: Carried::default() };
        let carrier = tokio::spawn(carrier.carry(waiting, closing.clone()));
        Self { letters, closing, carrier }
    }

    /// Where providers drop their webhooks.
    pub fn slot(&self) -> mpsc::Sender<Letter> {
        self.letters.clone()
    }

    /// Delivers what lies in its slots and what is held back, and ends.
    ///
    /// # Errors
    /// It broke.
    pub async fn close(self) -> anyhow::Result<Carried> {
        self.closing.cancel();
        Ok(self.carrier.await?)
    }
}

struct Carrier {
    open: Open,
    fates: Fates,
    /// Webhooks of each payment so far.
    told: HashMap<String, usize>,
    /// Held back until so many were sent.
    held: Vec<(u64, Letter)>,
    carried: Carried,
}

impl Carrier {
    async fn carry(mut self, mut waiting: mpsc::Receiver<Letter>, closing: CancellationToken) -> Carried {
        loop {
            let letter = tokio::select! {
                biased;
                letter = waiting.recv() => letter,
                () = closing.cancelled() => None,
            };
            let Some(letter) = letter else { break };
            self.carried.sent += 1;
            self.treat(letter).await;
            let now = self.carried.sent;
            let (due, held) = std::mem::take(&mut self.held).into_iter().partition(|(until, _)| *until <= now);
            self.held = held;
            // What was held back longest comes last: the order is not that of the provider.
            let mut due: Vec<(u64, Letter)> = due;
            while let Some((_, letter)) = due.pop() {
                self.deliver(&letter, 1).await;
            }
        }
        while let Some((_, letter)) = self.held.pop() {
            self.deliver(&letter, 1).await;
        }
        self.carried
    }

    async fn treat(&mut self, letter: Letter) {
        let nth = self.told.entry(letter.about.clone()).or_default();
        let place = *nth;
        *nth += 1;
        let now = self.carried.sent;
        match fate(&self.fates, &letter.about, place) {
            Fate::Once => self.deliver(&letter, 1).await,
            Fate::Often(times) => self.deliver(&letter, times.into()).await,
            Fate::Late(after) => self.held.push((now + u64::from(after), letter)),
            Fate::Again(after) => {
                self.deliver(&letter, 1).await;
                self.held.push((now + u64::from(after), letter));
            }
            Fate::Lost => self.carried.lost += 1,
            Fate::ForgedSignature => {
                self.forge(&letter, forged_signature(&letter)).await;
                self.deliver(&letter, 1).await;
            }
            Fate::ForgedAmount => {
                self.forge(&letter, forged_amount(&letter)).await;
                self.deliver(&letter, 1).await;
            }
        }
    }

    /// Tells billing, so often at the same moment; again when it did not keep it.
    async fn deliver(&mut self, letter: &Letter, times: usize) {
        let all = (0..times).map(|_| tell(self.open.clone(), letter));
        for told in futures::future::join_all(all).await {
            match told {
                Ok(()) => self.carried.taken += 1,
                Err(why) => self.wrong(letter, &format!("a true webhook was not taken: {why}")),
            }
        }
    }

    async fn forge(&mut self, letter: &Letter, forged: Webhook) {
        let billing = billing(&mut self.open).await;
        match billing.ingest_webhook(&forged).await {
            Err(problem) if problem.is("WEBHOOK_REFUSED") => self.carried.refused += 1,
            // Nobody who is being stopped has taken it either.
            Err(_) => {}
            Ok(_) => self.wrong(letter, "a forged webhook was taken"),
        }
    }

    fn wrong(&mut self, letter: &Letter, what: &str) {
        self.carried.wrong.push(format!("{} {}: {what}", letter.gateway.as_str(), letter.about));
    }
}

fn fate(fates: &Fates, about: &str, place: usize) -> Fate {
    let planned = fates.lock().unwrap_or_else(PoisonError::into_inner);
    planned.get(about).and_then(|fates| fates.get(place)).copied().unwrap_or(Fate::Once)
}

async fn billing(open: &mut Open) -> Billing {
    loop {
        if let Some(billing) = open.borrow_and_update().clone() {
            return billing;
        }
        tokio::time::sleep(WAIT).await;
    }
}

async fn tell(mut open: Open, letter: &Letter) -> Result<(), String> {
    let mut why = String::new();
    for _ in 0..TRIES_MAX {
        match billing(&mut open).await.ingest_webhook(&letter.webhook).await {
            Ok(_) => return Ok(()),
            Err(problem) => why = format!("{}: {}", problem.reason, problem.message),
        }
        if why.starts_with("WEBHOOK_REFUSED") {
            break;
        }
        tokio::time::sleep(WAIT).await;
    }
    Err(why)
}

/// The header that carries the signature, by gateway.
const fn signature(gateway: Gateway) -> &'static str {
    match gateway {
        Gateway::Paypal => "paypal-transmission-sig",
        Gateway::Btcpay => "btcpay-sig",
        Gateway::Sandbox | Gateway::BankTransfer | Gateway::Cash => "sandbox-signature",
    }
}

/// The same with one digit of the signature changed.
fn forged_signature(letter: &Letter) -> Webhook {
    let mut webhook = letter.webhook.clone();
    for (name, value) in &mut webhook.headers {
        if name.eq_ignore_ascii_case(signature(letter.gateway)) {
            // Base64 may end in bits that mean nothing, so a digit in the middle.
            let place = value.len() - value.len() / 3;
            let other = if value[place..].starts_with('0') { "1" } else { "0" };
            value.replace_range(place..=place, other);
        }
    }
    webhook
}

/// The same with another amount, or another word where it says none, under the signature of the true one.
fn forged_amount(letter: &Letter) -> Webhook {
    let mut webhook = letter.webhook.clone();
    let text = String::from_utf8_lossy(&webhook.body).into_owned();
    let changed = ["\"minor\":", "\"value\":\""].iter().find_map(|field| {
        let place = text.find(field)? + field.len();
        Some(format!("{}1{}", &text[..place], &text[place..]))
    });
    webhook.body = changed.unwrap_or_else(|| text.replacen('{', "{\"amount\":1,", 1)).into_bytes();
    webhook
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(gateway: Gateway, body: &str) -> Letter {
        let headers = HashMap::from([(signature(gateway).to_owned(), "sha256=0123456789abcdef".to_owned())]);
        let webhook = Webhook { account: "pva_1".into(), body: body.as_bytes().to_vec(), headers };
        Letter { gateway, about: "pay_1".into(), webhook }
    }

    #[test]
    fn what_is_forged_differs_in_one_thing_alone() {
        for (gateway, body, forged) in [
            (Gateway::Sandbox, r#"{"amount":{"minor":500}}"#, r#"{"amount":{"minor":1500}}"#),
            (Gateway::Paypal, r#"{"amount":{"value":"5.00"}}"#, r#"{"amount":{"value":"15.00"}}"#),
            (Gateway::Btcpay, r#"{"type":"InvoiceSettled"}"#, r#"{"amount":1,"type":"InvoiceSettled"}"#),
        ] {
            let letter = letter(gateway, body);
            let (other_amount, other_signature) = (forged_amount(&letter), forged_signature(&letter));
            assert_eq!(String::from_utf8(other_amount.body).unwrap(), forged);
            assert_eq!(other_amount.headers, letter.webhook.headers);
            assert_eq!(other_signature.body, letter.webhook.body);
            assert_ne!(other_signature.headers, letter.webhook.headers);
        }
    }
}

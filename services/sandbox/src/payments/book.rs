//! What the provider remembers, and the moves that change it. Every move is one journal line with its events.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Payments, State,
    card::Outcome,
    model::{Amount, Card, Checkout, Decline, Dispute, Event, Method, Payment, Refund},
};
use crate::{
    clock,
    store::{Change, Store},
};

/// The answer to a request that carried an idempotency key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Remembered {
    /// Hash of path and parameters.
    pub request: String,
    /// Status and body; none while the first request is running.
    pub answer: Option<(u16, Value)>,
}

impl State {
    pub fn load(&mut self, store: &Store) {
        self.accounts = store.load("pay/account/").into_iter().collect();
        self.checkouts = store.load("pay/checkout/").into_iter().collect();
        self.methods = store.load("pay/method/").into_iter().collect();
        self.refunds = store.load("pay/refund/").into_iter().collect();
        self.disputes = store.load("pay/dispute/").into_iter().collect();
        self.settling = store.load("pay/settling/").into_iter().collect();
        self.idempotency = store.load("pay/idempotency/").into_iter().collect();
        for (_, event) in store.load::<Event>("pay/event/") {
            self.next_seq = self.next_seq.max(event.seq + 1);
            self.events.insert(event.seq, event);
        }
        let mut payments: Vec<Payment> = store.load("pay/payment/").into_iter().map(|(_, payment)| payment).collect();
        payments.sort_unstable_by_key(|payment| payment.seq);
        for payment in payments {
            self.next_seq = self.next_seq.max(payment.seq + 1);
            self.index(&payment);
            self.payments.insert(payment.id.clone(), payment);
        }
    }

    fn index(&mut self, payment: &Payment) {
        let key = (payment.account.clone(), payment.reference.clone());
        self.by_reference.entry(key).or_default().push(payment.id.clone());
    }

    pub fn take_seq(&mut self) -> u64 {
        self.next_seq += 1;
        self.next_seq - 1
    }
}

/// A try to take money, before it has an id.
pub struct Attempt {
    pub account: String,
    pub reference: String,
    pub amount: Amount,
    pub checkout: Option<String>,
    pub payment_method: Option<String>,
    pub off_session: bool,
    pub card: Card,
}

impl Payments {
    /// Records an event; it is delivered in the background.
    pub fn emit(&self, state: &mut State, change: &mut Change, account: &str, kind: &str, object: Value) {
        let seq = state.take_seq();
        let event = Event {
            id: self.context.chance.id("evt"),
            seq,
            account: account.to_owned(),
            kind: kind.to_owned(),
            created: clock::now().timestamp(),
            object,
            delivery: "pending".into(),
            attempts: 0,
            last_status: None,
        };
        change.put(format!("pay/event/{seq:012}"), &event);
        state.events.insert(seq, event);
        self.bell.notify_one();
    }

    /// Takes money or is refused; either way there is a payment afterwards.
    pub fn pay(&self, state: &mut State, change: &mut Change, attempt: Attempt, outcome: Outcome) -> Payment {
        let (status, decline) = match outcome {
            Outcome::Succeeds | Outcome::Disputed => ("succeeded", None),
            Outcome::Declined(code) => ("failed", Some(Decline::of(code))),
            Outcome::Challenge => ("failed", Some(Decline::of("authentication_required"))),
            Outcome::Slow { .. } => ("processing", None),
        };
        let payment = Payment {
            id: self.context.chance.id("pay"),
            seq: state.take_seq(),
            account: attempt.account,
            reference: attempt.reference,
            amount: attempt.amount,
            refunded_minor: 0,
            status: status.to_owned(),
            decline,
            checkout: attempt.checkout,
            payment_method: attempt.payment_method,
            off_session: attempt.off_session,
            card: attempt.card,
            dispute: None,
            created: clock::now().timestamp(),
        };
        state.index(&payment);
        if matches!(outcome, Outcome::Slow { .. }) {
            self.settle_later(state, change, &payment.id);
        }
        self.save_payment(state, change, &payment);
        self.emit(state, change, &payment.account, &format!("payment.{status}"), payment.json());
        if outcome == Outcome::Disputed {
            self.open_dispute(state, change, &payment.id, "fraudulent");
        }
        payment
    }

    fn settle_later(&self, state: &mut State, change: &mut Change, id: &str) {
        let at = clock::now().timestamp_millis() + i64::try_from(self.spec.processing_ms).unwrap_or(i64::MAX);
        change.put(format!("pay/settling/{id}"), &at);
        state.settling.insert(id.to_owned(), at);
    }

    fn save_payment(&self, state: &mut State, change: &mut Change, payment: &Payment) {
        change.put(format!("pay/payment/{}", payment.id), payment);
        state.payments.insert(payment.id.clone(), payment.clone());
    }

    /// A slow payment or refund comes to its end.
    pub fn settle(&self, state: &mut State, change: &mut Change, id: &str) {
        state.settling.remove(id);
        change.delete(format!("pay/settling/{id}"));
        if let Some(mut payment) = state.payments.get(id).filter(|payment| payment.status == "processing").cloned() {
            let succeeds = payment.card.outcome(payment.off_session, true) == (Outcome::Slow { succeeds: true });
            payment.status = if succeeds { "succeeded" } else { "failed" }.to_owned();
            payment.decline = (!succeeds).then(|| Decline::of("generic_decline"));
            self.save_payment(state, change, &payment);
            self.emit(state, change, &payment.account, &format!("payment.{}", payment.status), payment.json());
        } else if let Some(mut refund) = state.refunds.get(id).filter(|refund| refund.status == "pending").cloned() {
            refund.status = "failed".into();
            if let Some(mut payment) = state.payments.get(&refund.payment).cloned() {
                payment.refunded_minor -= refund.amount.minor;
                self.save_payment(state, change, &payment);
            }
            change.put(format!("pay/refund/{id}"), &refund);
            self.emit(state, change, &refund.account, "refund.failed", refund.json());
            state.refunds.insert(refund.id.clone(), refund);
        }
    }

    pub fn save_checkout(&self, state: &mut State, change: &mut Change, checkout: &Checkout) {
        change.put(format!("pay/checkout/{}", checkout.id), checkout);
        state.checkouts.insert(checkout.id.clone(), checkout.clone());
    }

    /// Ends an open checkout unpaid.
    pub fn expire(&self, state: &mut State, change: &mut Change, id: &str) {
        let Some(mut checkout) = state.checkouts.get(id).filter(|checkout| checkout.status == "open").cloned() else {
            return;
        };
        checkout.status = "expired".into();
        self.save_checkout(state, change, &checkout);
        self.emit(state, change, &checkout.account, "checkout.expired", checkout.json(&self.public_url));
    }

    pub fn save_method(
        &self,
        state: &mut State,
        change: &mut Change,
        account: &str,
        card: &Card,
        email: &str,
    ) -> Method {
        let method = Method {
            id: self.context.chance.id("pm"),
            account: account.to_owned(),
            card: card.clone(),
            customer_email: email.to_owned(),
            created: clock::now().timestamp(),
            detached: false,
        };
        change.put(format!("pay/method/{}", method.id), &method);
        state.methods.insert(method.id.clone(), method.clone());
        method
    }

    /// Gives money back; `None` when more is asked for than is left.
    pub fn refund(&self, state: &mut State, change: &mut Change, payment: &str, minor: i64) -> Option<Refund> {
        let mut payment = state.payments.get(payment).filter(|payment| payment.status == "succeeded").cloned()?;
        let left = payment.amount.minor - payment.refunded_minor;
        if minor <= 0 || minor > left {
            return None;
        }
        payment.refunded_minor += minor;
        let is_slow = payment.card.refuses_refunds();
        let refund = Refund {
            id: self.context.chance.id("re"),
            account: payment.account.clone(),
            payment: payment.id.clone(),
            reference: payment.reference.clone(),
            amount: Amount { currency: payment.amount.currency.clone(), minor },
            status: if is_slow { "pending" } else { "succeeded" }.to_owned(),
            created: clock::now().timestamp(),
        };
        self.save_payment(state, change, &payment);
        change.put(format!("pay/refund/{}", refund.id), &refund);
        state.refunds.insert(refund.id.clone(), refund.clone());
        if is_slow {
            self.settle_later(state, change, &refund.id);
        } else {
            self.emit(state, change, &refund.account, "refund.succeeded", refund.json());
        }
        Some(refund)
    }

    /// The cardholder objects; `None` when there is nothing to object to or it was done already.
    pub fn open_dispute(&self, state: &mut State, change: &mut Change, payment: &str, reason: &str) -> Option<Dispute> {
        let mut payment = state.payments.get(payment)?.clone();
        if payment.status != "succeeded" || payment.dispute.is_some() {
            return None;
        }
        let dispute = Dispute {
            id: self.context.chance.id("dp"),
            account: payment.account.clone(),
            payment: payment.id.clone(),
            reference: payment.reference.clone(),
            amount: payment.amount.clone(),
            reason: reason.to_owned(),
            status: "open".into(),
            created: clock::now().timestamp(),
        };
        payment.dispute = Some(dispute.id.clone());
        self.save_payment(state, change, &payment);
        self.save_dispute(state, change, &dispute, "dispute.opened");
        Some(dispute)
    }

    /// The bank decides.
    pub fn close_dispute(&self, state: &mut State, change: &mut Change, id: &str, outcome: &str) -> Option<Dispute> {
        let mut dispute = state.disputes.get(id).filter(|dispute| dispute.status == "open")?.clone();
        dispute.status = outcome.to_owned();
        self.save_dispute(state, change, &dispute, "dispute.closed");
        Some(dispute)
    }

    fn save_dispute(&self, state: &mut State, change: &mut Change, dispute: &Dispute, event: &str) {
        change.put(format!("pay/dispute/{}", dispute.id), dispute);
        state.disputes.insert(dispute.id.clone(), dispute.clone());
        self.emit(state, change, &dispute.account, event, dispute.json());
    }
}

/// The provider's error body.
pub fn error(kind: &str, code: &str, message: &str) -> Value {
    json!({"error": {"type": kind, "code": code, "message": message}})
}

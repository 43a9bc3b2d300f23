//! How far an order is: payment, invoice, account, ready. Unknown is a state of its own, never shown as failed or done.

use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::{invoice, order, payment, subscription};
use ottery_proto::provisioning::v1::Service;
use ottery_proto::provisioning::v1::service::Step as Stage;

use crate::pages::block::Step;
use crate::pages::text::Manner;

/// An order with everything that became of it.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The order, its invoice, its payments.
    pub detail: billing::OrderDetail,
    /// Its service on a panel, once there is one.
    pub service: Option<Service>,
}

/// What the page has to say above the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody paid yet.
    Unpaid,
    /// A part of what is due has come, and nothing more is on its way.
    Short,
    /// Staff look at the order before anything is asked for.
    UnderReview,
    /// The customer turned back, or the payment was declined.
    Declined,
    /// Whether money moved is being found out.
    Unknown,
    /// On its way.
    Working,
    /// Paid, and something waits.
    Waiting,
    /// Ready to watch.
    Ready,
    /// Over.
    Cancelled,
}

impl Outcome {
    /// As the page says it in the address of its stream.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unpaid => "unpaid",
            Self::Short => "short",
            Self::UnderReview => "under_review",
            Self::Declined => "declined",
            Self::Unknown => "unknown",
            Self::Working => "working",
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Progress {
    fn order(&self) -> billing::Order {
        self.detail.order.clone().unwrap_or_default()
    }

    fn last_payment(&self) -> Option<&billing::Payment> {
        self.detail.payments.iter().max_by_key(|payment| payment.created_at.as_ref().map(|at| (at.seconds, at.nanos)))
    }

    /// Whether nothing is owed for it any more; a trial owes nothing from the start.
    #[must_use]
    pub fn is_paid(&self) -> bool {
        let is_running = self.detail.subscription.as_ref().is_some_and(|subscription| {
            use subscription::State;
            match subscription.state() {
                State::Trialing | State::Active | State::PastDue | State::Suspended | State::Paused => true,
                State::Unspecified | State::Pending | State::Ended => false,
            }
        });
        is_running || self.order().state() == order::State::Paid
    }

    /// Whether a part of the invoice is paid, and the rest is due.
    fn is_short(&self) -> bool {
        let minor = |money: &Option<ottery_proto::common::v1::Money>| money.as_ref().map_or(0, |money| money.minor);
        self.detail.invoice.as_ref().is_some_and(|invoice| {
            let paid = minor(&invoice.paid);
            invoice.state() == invoice::State::Open && paid > 0 && paid < minor(&invoice.total)
        })
    }

    /// What to say.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if self.order().state() == order::State::Cancelled {
            return Outcome::Cancelled;
        }
        if self.order().state() == order::State::UnderReview {
            return Outcome::UnderReview;
        }
        if !self.is_paid() {
            return match self.last_payment().map(billing::Payment::state) {
                Some(payment::State::Unknown) => Outcome::Unknown,
                Some(payment::State::Failed | payment::State::Cancelled) => Outcome::Declined,
                Some(payment::State::Succeeded) if self.is_short() => Outcome::Short,
                Some(payment::State::Succeeded) => Outcome::Working,
                Some(payment::State::Pending | payment::State::ActionRequired | payment::State::Unspecified) | None => {
                    Outcome::Unpaid
                }
            };
        }
        match self.service.as_ref().map(Service::step) {
            Some(Stage::Ready | Stage::Updating | Stage::Suspended) => Outcome::Ready,
            Some(Stage::Waiting | Stage::Stuck | Stage::Unknown) => Outcome::Waiting,
            Some(Stage::Terminated) => Outcome::Cancelled,
            Some(Stage::Placing | Stage::Creating | Stage::Verifying | Stage::Unspecified) | None => Outcome::Working,
        }
    }

    /// Why the last payment failed, in words.
    #[must_use]
    pub fn decline(&self) -> &'static str {
        match self.last_payment().map(|payment| payment.failure_code.as_str()) {
            Some("processing_error") => "The bank could not be reached.",
            Some("insufficient_funds") => "There was not enough money on the account or card.",
            Some("card_expired" | "expired_card") => "The card has expired.",
            Some("incorrect_cvc" | "incorrect_number") => "The card details were not right.",
            Some("authentication_failed" | "authentication_required") => "The bank could not confirm that it is you.",
            Some("card_declined" | "declined" | "do_not_honor" | "generic_decline" | "stolen_card") => {
                "The bank declined the payment."
            }
            _ => "The payment provider did not say why.",
        }
    }

    /// The four steps.
    #[must_use]
    pub fn steps(&self, manner: &Manner) -> Vec<Step> {
        let order = self.order();
        let paid = self.is_paid();
        let step = |title: &str, state, text: String, at: String| Step { title: title.to_owned(), text, state, at };
        let is_trial = self
            .detail
            .subscription
            .as_ref()
            .is_some_and(|subscription| subscription.state() == subscription::State::Trialing);
        let is_free = is_trial || order.total.as_ref().is_some_and(|total| total.minor == 0);
        let payment = match self.outcome() {
            _ if paid && is_free => {
                let text = if is_trial { "Your trial has started." } else { "" };
                step("Nothing to pay today", "done", text.into(), String::new())
            }
            _ if paid => step(
                "Payment received",
                "done",
                manner.money(order.total.as_ref()),
                manner.moment(order.paid_at.as_ref()),
            ),
            Outcome::Unknown => step(
                "Payment is being confirmed",
                "wait",
                "The provider has not told us yet. You will not be charged twice; this usually takes under a minute."
                    .into(),
                String::new(),
            ),
            Outcome::UnderReview => step(
                "We are looking at your order",
                "wait",
                "Nothing is charged meanwhile. You get a mail as soon as it goes on.".into(),
                String::new(),
            ),
            Outcome::Short => step("A part has come", "now", "The rest is waited for.".into(), String::new()),
            Outcome::Declined => step("Payment declined", "bad", self.decline().into(), String::new()),
            Outcome::Cancelled => step("Order cancelled", "bad", String::new(), String::new()),
            Outcome::Unpaid | Outcome::Working | Outcome::Waiting | Outcome::Ready => {
                step("Waiting for the payment", "now", "This page notices by itself.".into(), String::new())
            }
        };
        let closed = self.detail.invoice.as_ref().is_some_and(|invoice| invoice.state() == invoice::State::Closed);
        let number = self.detail.invoice.as_ref().map(|invoice| invoice.number.clone()).unwrap_or_default();
        let invoice = match (closed || (paid && is_free), paid) {
            (true, _) if number.is_empty() => step("Invoice", "done", "Nothing to invoice yet.".into(), String::new()),
            (true, _) => step("Invoice is ready", "done", format!("Number {number}, in your account."), String::new()),
            (false, true) => step("Writing the invoice", "now", String::new(), String::new()),
            (false, false) => step("Invoice", "next", String::new(), String::new()),
        };
        let (access, ready) = self.access(paid);
        let ready_at = self.service.as_ref().and_then(|service| service.ready_at.as_ref());
        let at = if ready == "done" { manner.moment(ready_at) } else { String::new() };
        vec![payment, invoice, access, step("Ready to watch", ready, String::new(), at)]
    }

    fn access(&self, paid: bool) -> (Step, &'static str) {
        let step = |title: &str, state, text: &str| Step {
            title: title.to_owned(),
            text: text.to_owned(),
            state,
            at: String::new(),
        };
        if !paid {
            return (step("Your access", "next", ""), "next");
        }
        let Some(service) = &self.service else { return (step("Preparing your access", "now", ""), "next") };
        let told = service.status_text.as_str();
        match service.step() {
            Stage::Ready | Stage::Updating | Stage::Suspended => (step("Access created", "done", ""), "done"),
            Stage::Placing | Stage::Unspecified => (step("Choosing a server", "now", told), "next"),
            Stage::Creating => (step("Creating your access", "now", told), "next"),
            Stage::Verifying => (step("Checking your access", "now", told), "next"),
            Stage::Unknown => (
                step("Confirming with the server", "wait", "Usually under a minute. You will not be charged twice."),
                "next",
            ),
            Stage::Waiting | Stage::Stuck => {
                let text = if told.is_empty() {
                    "The server is busy. You may close this page; a mail follows when it is ready."
                } else {
                    told
                };
                (step("Waiting for the server", "wait", text), "next")
            }
            Stage::Terminated => (step("Access ended", "bad", told), "next"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manner() -> Manner {
        Manner { locale: "en".into(), zone: chrono_tz::Tz::UTC, now: chrono::DateTime::UNIX_EPOCH }
    }

    fn progress(order: order::State, payment: payment::State, stage: Option<Stage>) -> Progress {
        Progress {
            detail: billing::OrderDetail {
                order: Some(billing::Order { state: order.into(), ..billing::Order::default() }),
                payments: vec![billing::Payment { state: payment.into(), ..billing::Payment::default() }],
                ..billing::OrderDetail::default()
            },
            service: stage.map(|stage| Service { step: stage.into(), ..Service::default() }),
        }
    }

    #[test]
    fn an_unknown_payment_is_neither_failed_nor_done() {
        let progress = progress(order::State::AwaitingPayment, payment::State::Unknown, None);
        assert_eq!(progress.outcome(), Outcome::Unknown);
        let steps = progress.steps(&manner());
        assert_eq!(steps[0].state, "wait");
        assert!(steps[0].text.contains("not be charged twice"));
    }

    #[test]
    fn case_077_an_order_of_which_a_part_came_asks_for_the_rest() {
        let mut progress = progress(order::State::AwaitingPayment, payment::State::Succeeded, None);
        let money = |minor| Some(ottery_proto::common::v1::Money { minor, currency: "EUR".into() });
        let mut invoice = billing::Invoice { total: money(1299), paid: money(500), ..billing::Invoice::default() };
        invoice.set_state(invoice::State::Open);
        progress.detail.invoice = Some(invoice.clone());
        assert_eq!(progress.outcome(), Outcome::Short);
        progress.detail.invoice = Some(billing::Invoice { paid: money(0), ..invoice });
        assert_eq!(progress.outcome(), Outcome::Working);
    }

    #[test]
    fn a_paid_order_waits_for_its_panel_without_alarm() {
        let progress = progress(order::State::Paid, payment::State::Succeeded, Some(Stage::Waiting));
        assert_eq!(progress.outcome(), Outcome::Waiting);
        let states: Vec<_> = progress.steps(&manner()).iter().map(|step| step.state).collect();
        assert_eq!(states, ["done", "now", "wait", "next"]);
    }

    #[test]
    fn a_ready_service_means_ready() {
        let progress = progress(order::State::Paid, payment::State::Succeeded, Some(Stage::Ready));
        assert_eq!(progress.outcome(), Outcome::Ready);
        assert_eq!(progress.steps(&manner())[3].state, "done");
    }
}

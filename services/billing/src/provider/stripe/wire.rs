//! Stripe's objects, as far as they are read, and what they say. Every list of words is open: what a later version invents is
//! "not decided yet", never an error.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate};
use ottery_kernel::Money;
use serde::Deserialize;

use super::amount::{from_stripe, uncut};
use super::decline::StripeError;
use crate::domain::payment::{Capture, Decline, DeclineClass, Fingerprint, SavedToken, Truth};
use crate::domain::reconcile::{Kind, Theirs};
use crate::domain::{dispute, refund};
use crate::provider::{CallError, MethodFact, RefundFact, SavedMethod, last_day, report};

/// Our reference on an object.
pub const PAYMENT: &str = "payment";
/// What we asked for, in our minor units: what is charged may lack a digit that Stripe cannot take.
pub const ASKED: &str = "amount_minor";
/// Our reference on a refund.
pub const REFUND: &str = "refund";
/// Our reference on a page without a payment.
pub const SETUP: &str = "setup";

/// An object, or only its id.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Expandable<T> {
    Id(String),
    Object(Box<T>),
}

impl<T> Expandable<T> {
    /// The object, when it came along.
    pub fn object(&self) -> Option<&T> {
        match self {
            Self::Id(_) => None,
            Self::Object(object) => Some(object),
        }
    }
}

impl<T: HasId> Expandable<T> {
    /// Its id.
    pub fn id(&self) -> &str {
        match self {
            Self::Id(id) => id,
            Self::Object(object) => object.id(),
        }
    }
}

pub trait HasId {
    fn id(&self) -> &str;
}

macro_rules! has_id {
    ($($name:ident),*) => { $(impl HasId for $name { fn id(&self) -> &str { &self.id } })* };
}
has_id!(Method, Only);

/// An object of which only the id is read.
#[derive(Clone, Debug, Deserialize)]
pub struct Only {
    pub id: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Card {
    #[serde(default)]
    pub brand: Option<String>,
    #[serde(default)]
    pub last4: Option<String>,
    #[serde(default)]
    pub fingerprint: Option<String>,
    #[serde(default)]
    pub exp_month: Option<u32>,
    #[serde(default)]
    pub exp_year: Option<i32>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Method {
    pub id: String,
    #[serde(default, rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub customer: Option<Expandable<Only>>,
    #[serde(default)]
    pub card: Option<Card>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct BalanceTransaction {
    #[serde(default)]
    pub amount: i64,
    #[serde(default)]
    pub fee: i64,
    pub currency: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Charge {
    #[serde(default)]
    pub balance_transaction: Option<Expandable<BalanceTransaction>>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct NextAction {
    #[serde(default)]
    pub redirect_to_url: Option<RedirectTo>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct RedirectTo {
    pub url: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Intent {
    pub id: String,
    pub status: String,
    pub amount: i64,
    #[serde(default)]
    pub amount_received: Option<i64>,
    pub currency: String,
    #[serde(default)]
    pub metadata: HashMap<String, String>,
    #[serde(default)]
    pub payment_method: Option<Expandable<Method>>,
    #[serde(default)]
    pub latest_charge: Option<Expandable<Charge>>,
    #[serde(default)]
    pub last_payment_error: Option<StripeError>,
    #[serde(default)]
    pub next_action: Option<NextAction>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct SetupIntent {
    pub status: String,
    #[serde(default)]
    pub payment_method: Option<Expandable<Method>>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Session {
    pub id: String,
    #[serde(default)]
    pub url: Option<String>,
    #[serde(default)]
    pub status: Option<String>,
    #[serde(default)]
    pub payment_intent: Option<Expandable<Intent>>,
    #[serde(default)]
    pub setup_intent: Option<Expandable<SetupIntent>>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Refund {
    pub id: String,
    pub amount: i64,
    pub currency: String,
    #[serde(default)]
    pub status: Option<String>,
    #[serde(default)]
    pub payment_intent: Option<Expandable<Only>>,
    #[serde(default)]
    pub metadata: HashMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct EvidenceDetails {
    #[serde(default)]
    pub due_by: Option<i64>,
    #[serde(default)]
    pub submission_count: u32,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Dispute {
    pub id: String,
    pub status: String,
    #[serde(default)]
    pub reason: String,
    pub amount: i64,
    pub currency: String,
    #[serde(default)]
    pub payment_intent: Option<Expandable<Only>>,
    #[serde(default)]
    pub balance_transactions: Vec<BalanceTransaction>,
    #[serde(default)]
    pub evidence_details: Option<EvidenceDetails>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Mandate {
    pub status: String,
    #[serde(default)]
    pub payment_method: Option<Expandable<Method>>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Balance {
    #[serde(default)]
    pub livemode: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(bound = "T: serde::de::DeserializeOwned")]
pub struct List<T> {
    pub data: Vec<T>,
    #[serde(default)]
    pub has_more: bool,
}

impl<T> List<T> {
    /// The id after which the next page begins; none when there is none.
    pub fn next(&self, id: impl Fn(&T) -> &String) -> Option<String> {
        self.data.last().map(|last| id(last).clone()).filter(|_| self.has_more)
    }
}

impl Method {
    /// For people.
    pub fn label(&self) -> String {
        match &self.card {
            Some(card) => card.label(),
            None => capital(&self.kind.replace('_', " ")),
        }
    }

    fn expires_on(&self) -> Option<NaiveDate> {
        let card = self.card.as_ref()?;
        last_day(card.exp_year?, card.exp_month?)
    }

    /// As something that can be charged without its holder: it is, once it belongs to a customer.
    pub fn saved(&self) -> Option<SavedMethod> {
        let customer = self.customer.as_ref()?.id();
        Some(SavedMethod {
            token: SavedToken(format!("{customer}/{}", self.id)),
            label: self.label(),
            expires_on: self.expires_on(),
        })
    }

    /// What became of it.
    pub fn fact(&self) -> MethodFact {
        MethodFact {
            instrument: self.id.clone(),
            is_usable: self.customer.is_some(),
            label: self.label(),
            expires_on: self.expires_on(),
        }
    }
}

impl Card {
    fn label(&self) -> String {
        let brand = capital(self.brand.as_deref().filter(|brand| !brand.is_empty()).unwrap_or("card"));
        match self.last4.as_deref() {
            Some(last4) if !last4.is_empty() => format!("{brand} ending {last4}"),
            Some(_) | None => brand,
        }
    }
}

fn capital(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(first) = text.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    text
}

impl Mandate {
    /// What became of the method it permits to charge.
    pub fn fact(&self) -> Option<MethodFact> {
        let method = self.payment_method.as_ref()?;
        Some(MethodFact {
            instrument: method.id().to_owned(),
            is_usable: self.status != "inactive",
            label: String::new(),
            expires_on: None,
        })
    }
}

impl Intent {
    /// As a report names it; none when there was nothing to pay with.
    pub fn reported(&self) -> Option<Theirs> {
        let ours = self.metadata.get(PAYMENT).map(String::as_str).unwrap_or_default();
        match self.truth() {
            Ok(truth) => report::payment(&self.id, ours, &truth),
            Err(_) => Some(report::unreadable(Kind::Payment, &self.id, "", ours)),
        }
    }

    /// What it says.
    pub fn truth(&self) -> Result<Truth, CallError> {
        let provider_ref = self.id.clone();
        let declined = |decline| Ok(Truth::Declined { provider_ref: self.id.clone(), decline });
        match self.status.as_str() {
            "succeeded" => self.capture().map(Truth::Captured),
            "canceled" => Ok(Truth::Expired),
            "requires_action" | "requires_confirmation" => {
                declined(Decline { class: DeclineClass::Action, code: "authentication_required".to_owned() })
            }
            "requires_payment_method" => match &self.last_payment_error {
                Some(error) => declined(error.decline()),
                None => Ok(Truth::Open),
            },
            // `processing`, `requires_capture`, and what a later version may invent.
            _ => Ok(Truth::Processing { provider_ref }),
        }
    }

    fn capture(&self) -> Result<Capture, CallError> {
        let came = from_stripe(self.amount_received.unwrap_or(self.amount), &self.currency)?;
        let told = self.metadata.get(ASKED).and_then(|minor| minor.parse().ok());
        let asked = told.map_or(came, |minor| Money::new(minor, came.currency));
        let cut = uncut(asked, came);
        let charge = self.latest_charge.as_ref().and_then(Expandable::object);
        let paid = charge.and_then(|charge| charge.balance_transaction.as_ref()).and_then(Expandable::object);
        let fee = paid.map(|paid| from_stripe(paid.fee, &paid.currency)).transpose()?;
        let fee = match (fee, cut) {
            (Some(fee), Some(cut)) => Some(fee.checked_add(cut).unwrap_or(fee)),
            (fee, cut) => fee.or(cut),
        };
        let method = self.payment_method.as_ref().and_then(Expandable::object);
        let saved = method.and_then(Method::saved);
        let fingerprint = method.and_then(|method| method.card.as_ref()).and_then(|card| card.fingerprint.clone());
        Ok(Capture {
            provider_ref: self.id.clone(),
            amount: if cut.is_some() { asked } else { came },
            fee,
            label: method.map(Method::label).unwrap_or_default(),
            fingerprint: fingerprint.filter(|text| !text.is_empty()).map(Fingerprint),
            expires_on: saved.as_ref().and_then(|saved| saved.expires_on),
            saved: saved.map(|saved| saved.token),
        })
    }
}

impl Refund {
    /// Where it stands.
    pub fn truth(&self) -> refund::Truth {
        let state = match self.status.as_deref() {
            Some("succeeded") => refund::State::Succeeded,
            Some("failed" | "canceled") => refund::State::Failed,
            Some(_) | None => refund::State::Pending,
        };
        refund::Truth { provider_ref: self.id.clone(), state }
    }

    /// As a report names it.
    pub fn reported(&self) -> Theirs {
        let payment = self.payment_intent.as_ref().map(Expandable::id).unwrap_or_default();
        let ours = self.metadata.get(REFUND).map(String::as_str).unwrap_or_default();
        self.fact()
            .map_or_else(|_| report::unreadable(Kind::Refund, &self.id, payment, ours), |fact| report::refund(&fact))
    }

    /// All of it.
    pub fn fact(&self) -> Result<RefundFact, CallError> {
        Ok(RefundFact {
            payment_ref: self.payment_intent.as_ref().map(|intent| intent.id().to_owned()).unwrap_or_default(),
            amount: from_stripe(self.amount, &self.currency)?,
            truth: self.truth(),
            ours: self.metadata.get(REFUND).and_then(|reference| reference.parse().ok()),
        })
    }
}

impl Dispute {
    /// As a report names it.
    pub fn reported(&self) -> Theirs {
        let payment = self.payment_intent.as_ref().map(Expandable::id).unwrap_or_default();
        self.truth()
            .map_or_else(|_| report::unreadable(Kind::Dispute, &self.id, payment, ""), |truth| report::dispute(&truth))
    }

    /// What it says. Whether money was taken is told by what moved on the account, not by the status.
    pub fn truth(&self) -> Result<dispute::Truth, CallError> {
        use dispute::State;
        let state = match self.status.as_str() {
            "warning_needs_response" | "warning_under_review" => State::Warning,
            "warning_closed" | "prevented" => State::Closed,
            "under_review" => State::UnderReview,
            "appeal_needs_response" | "appeal_under_review" => State::Appealed,
            "won" => State::Won,
            "lost" => State::Lost,
            // `needs_response`, and what a later version may invent: somebody looks.
            _ => State::NeedsResponse,
        };
        let amount = from_stripe(self.amount, &self.currency)?;
        let moved: i64 = self.balance_transactions.iter().map(|transaction| transaction.amount).sum();
        let is_same = self.balance_transactions.iter().all(|transaction| transaction.currency == self.currency);
        let fee: i64 = self.balance_transactions.iter().map(|transaction| transaction.fee).sum();
        let details = self.evidence_details.as_ref();
        Ok(dispute::Truth {
            provider_ref: self.id.clone(),
            payment_ref: self.payment_intent.as_ref().map(|intent| intent.id().to_owned()).unwrap_or_default(),
            state,
            reason: self.reason.clone(),
            amount,
            // Stripe tells what moved in the currency it pays out, and takes all that is objected to.
            taken: if moved < 0 { amount } else { Money::zero(amount.currency) },
            fee: if is_same { Some(from_stripe(fee, &self.currency)?) } else { None },
            evidence_until: details.and_then(|details| details.due_by).and_then(|at| DateTime::from_timestamp(at, 0)),
            is_answered: details.is_some_and(|details| details.submission_count > 0),
        })
    }
}

#[cfg(test)]
mod tests;

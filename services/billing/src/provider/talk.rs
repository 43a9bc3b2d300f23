//! What is asked of a provider, and what it says.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, NaiveDate, Utc};
use ottery_kernel::{AccountId, Currency, DisputeId, Money, PaymentId, RefundId};
use ottery_kit::secret::Secret;
use uuid::Uuid;

use crate::domain::payment::{SavedToken, Truth};
use crate::domain::refund;

/// How to reach an account at a provider.
#[derive(Clone)]
pub struct Access {
    /// Where its API is.
    pub base_url: String,
    /// The key.
    pub api_key: Secret,
    /// What the provider called the last call made with this.
    pub trace: Trace,
}

/// The provider's own name of a call, kept by whoever made it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Trace(Arc<Mutex<String>>);

impl Trace {
    /// The provider named a call.
    pub fn note(&self, name: &str) {
        name.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The last name; empty when the provider named none.
    #[must_use]
    pub fn last(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// What a provider can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Saves an instrument while it is used on the hosted page.
    pub saves_methods: bool,
    /// Charges a saved instrument without the customer.
    pub charges_off_session: bool,
    /// Refunds a part.
    pub partial_refunds: bool,
    /// Real money never moves.
    pub is_test_mode: bool,
    /// Saves an instrument on a page of its own, without a payment.
    pub saves_without_payment: bool,
    /// Sends the customer to their bank to confirm a charge that was refused for want of it.
    pub confirms_charges: bool,
    /// Takes evidence against objections.
    pub takes_evidence: bool,
    /// Makes its webhook secret when it is told the address, so that a new account has none.
    pub makes_secret: bool,
    /// Its pages take no money: we do, once the customer has agreed there.
    pub takes_when_asked: bool,
    /// Gives money back for an objection by a refund, and tells of that beside the objection.
    pub refunds_disputes: bool,
    /// Finds a payment by our id, so that none was made where it finds none.
    pub finds_by_reference: bool,
}

/// A hosted page to be made.
#[derive(Clone, Debug)]
pub struct CheckoutAsk {
    /// Key and reference.
    pub payment: PaymentId,
    /// What is to be paid.
    pub amount: Money,
    /// Where the page returns to.
    pub return_url: String,
    /// Where it returns to when the customer gives up.
    pub cancel_url: String,
    /// For the provider's receipt.
    pub email: String,
    /// Save the instrument for later.
    pub save_method: bool,
    /// Who pays.
    pub account: AccountId,
    /// What the provider calls them; empty when it has not heard of them.
    pub customer: String,
    /// What is paid for, as the page shows it.
    pub title: String,
}

/// A hosted page on which a method is saved and nothing is paid.
#[derive(Clone, Debug)]
pub struct SetupAsk {
    /// Key and reference.
    pub setup: Uuid,
    /// Whose method.
    pub account: AccountId,
    /// What the provider calls them; empty when it has not heard of them.
    pub customer: String,
    /// For the provider.
    pub email: String,
    /// What will be charged later, which decides what can be saved.
    pub currency: Currency,
    /// Where the page returns to.
    pub return_url: String,
    /// Where it returns to when the customer gives up.
    pub cancel_url: String,
}

/// A hosted page that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// The provider's id of the page.
    pub reference: String,
    /// Where the customer goes.
    pub url: String,
    /// What the provider calls the customer; empty when it keeps none.
    pub customer: String,
}

/// What became of a page on which a method is saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetupTruth {
    /// Nobody has finished it.
    Open,
    /// Saved.
    Saved(SavedMethod),
    /// It will save nothing any more.
    Failed,
}

/// An instrument as the provider has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedMethod {
    /// What charges it.
    pub token: SavedToken,
    /// For people: `Visa ending 4242`.
    pub label: String,
    /// The last day it can be charged, when there is one.
    pub expires_on: Option<NaiveDate>,
}

/// An instrument that was saved on the page of a payment, told of after the payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateMethod {
    /// Our reference on the page.
    pub reference: String,
    /// The instrument.
    pub saved: SavedMethod,
}

/// What the provider says about a saved instrument now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodFact {
    /// [`SavedToken::instrument`] of its token.
    pub instrument: String,
    /// Whether it can be charged still.
    pub is_usable: bool,
    /// For people; empty: as before.
    pub label: String,
    /// The last day it can be charged, when there is one.
    pub expires_on: Option<NaiveDate>,
}

/// A charge the customer confirms at their bank.
#[derive(Clone, Debug)]
pub struct ConfirmAsk {
    /// Key and reference.
    pub payment: PaymentId,
    /// The provider's id of the payment.
    pub payment_ref: String,
    /// The instrument.
    pub token: SavedToken,
    /// Where the bank returns to.
    pub return_url: String,
}

/// What is to be done to confirm a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// The customer goes there.
    GoTo(String),
    /// Nothing: it is decided.
    Decided(Truth),
}

/// What is said against an objection; empty fields are not sent.
#[derive(Clone, Debug)]
pub struct EvidenceAsk {
    /// Which, part of the key.
    pub dispute: DisputeId,
    /// The provider's id of it.
    pub reference: String,
    /// What was said; part of the key.
    pub evidence: Evidence,
}

/// Evidence in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Evidence {
    /// Who bought.
    pub customer_name: String,
    /// Their address for mail.
    pub customer_email: String,
    /// What was sold.
    pub product: String,
    /// When it began to be served, as a date.
    pub served_from: String,
    /// Proof that it was used.
    pub access_log: String,
    /// What the seller's terms say about refunds.
    pub refund_policy: String,
    /// Whatever else.
    pub statement: String,
}

/// A charge of a saved instrument.
#[derive(Clone, Debug)]
pub struct ChargeAsk {
    /// Key and reference.
    pub payment: PaymentId,
    /// What is to be paid.
    pub amount: Money,
    /// The instrument.
    pub token: SavedToken,
}

/// Money to be given back.
#[derive(Clone, Debug)]
pub struct RefundAsk {
    /// Key.
    pub refund: RefundId,
    /// The provider's id of the payment.
    pub payment_ref: String,
    /// How much.
    pub amount: Money,
}

/// A refund as the provider has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundFact {
    /// The provider's id of the payment.
    pub payment_ref: String,
    /// How much.
    pub amount: Money,
    /// Where it stands.
    pub truth: refund::Truth,
    /// Which of ours it is; none when somebody made it at the provider, or it does not say.
    pub ours: Option<RefundId>,
}

/// By what a payment is looked up.
#[derive(Clone, Copy, Debug)]
pub enum Lookup<'a> {
    /// The hosted page.
    Checkout(&'a str),
    /// The provider's id of the payment.
    Payment(&'a str),
    /// Our id, for when the provider's answer was lost.
    Reference {
        /// The attempt.
        payment: PaymentId,
        /// What the provider calls whoever pays; empty when it keeps no customers.
        customer: &'a str,
    },
}

/// What a hosted page says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageTruth {
    /// What became of it.
    Told(Truth),
    /// The customer agreed, and nothing was taken: that is for us to do.
    Agreed,
}

/// What an account says about itself when it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Whether real money moves; none when it does not say.
    pub is_live: Option<bool>,
}

/// Why a call brought no answer to the question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The provider heard nothing, or refused before doing anything: the same call may be made again.
    #[error("the provider was not reached: {0}")]
    NotSent(String),
    /// The provider understood and refuses; making the call again is pointless.
    #[error("the provider refuses: {code}")]
    Refused {
        /// Stable, the provider's.
        code: String,
    },
    /// It may have been done.
    #[error("the provider's answer was lost: {0}")]
    Ambiguous(String),
    /// The amount cannot be written for this provider.
    #[error("{0} cannot be written in the minor units this provider uses")]
    Amount(Money),
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A payment, by the provider's id.
    Payment(String),
    /// A hosted page.
    Checkout(String),
    /// A refund.
    Refund {
        /// The provider's id of the refund.
        refund: String,
        /// The provider's id of its payment.
        payment: String,
    },
    /// Refunds of a payment, by its id: which of them, the event does not say.
    Refunds(String),
    /// An objection of the cardholder.
    Dispute {
        /// The provider's id of it.
        dispute: String,
        /// The provider's id of the payment; empty when the event does not say.
        payment: String,
    },
    /// The provider took money back by itself.
    Reversal {
        /// The provider's id of what it gave back, as of a refund.
        refund: String,
        /// The provider's id of its payment.
        payment: String,
    },
    /// Somebody warns that a payment will be objected to, by its id.
    Warning(String),
    /// A page on which a method is saved.
    Setup(String),
    /// A saved instrument.
    Method(String),
    /// An instrument that was saved on the page of a payment, which may have come before.
    LateMethod {
        /// The provider's id of the instrument.
        method: String,
        /// The page.
        checkout: String,
    },
    /// The permission to charge an instrument.
    Mandate(String),
    /// Something this service has no use for.
    Other,
}

impl Subject {
    /// The provider's id of the payment an event is about, when the object it tells of is not that payment itself.
    #[must_use]
    pub fn payment(&self) -> &str {
        match self {
            Self::Refund { payment, .. } | Self::Reversal { payment, .. } | Self::Dispute { payment, .. } => payment,
            Self::Refunds(payment) | Self::Warning(payment) => payment,
            Self::Payment(_)
            | Self::Checkout(_)
            | Self::Setup(_)
            | Self::Method(_)
            | Self::LateMethod { .. }
            | Self::Mandate(_)
            | Self::Other => "",
        }
    }
}

/// A verified event, reduced to what it is about. What it claims is never believed: the provider is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The provider's id of the event.
    pub event_id: String,
    /// The provider's name of what happened.
    pub kind: String,
    /// Our reference on the object; empty for none.
    pub reference: String,
    /// What it is about.
    pub subject: Subject,
    /// Whether it tells of real money; none when the provider knows no other.
    pub is_live: Option<bool>,
}

/// An event as a provider lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The provider's id of it.
    pub id: String,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// As its webhook would have it.
    pub body: Vec<u8>,
}

/// Events that follow each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventPage {
    /// The oldest first.
    pub events: Vec<Listed>,
    /// There are newer ones.
    pub has_more: bool,
}

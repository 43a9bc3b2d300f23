//! PayPal's objects, as far as they are read, and what they say. Every list of words is open: what a later version invents is
//! "not decided yet", never an error.

use chrono::{DateTime, Utc};
use ottery_kernel::Money;
use serde::Deserialize;

use super::amount::{Amount, from_paypal};
use super::decline::{self, Processor};
use crate::domain::payment::{Capture as Captured, Fingerprint, SavedToken, Truth};
use crate::domain::{dispute, refund};
use crate::provider::{CallError, RefundFact, SavedMethod};

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Link {
    pub href: String,
    pub rel: String,
}

/// Something of which only the id is read.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Only {
    #[serde(default)]
    pub id: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Order {
    pub id: String,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub purchase_units: Vec<Unit>,
    #[serde(default)]
    pub payment_source: Option<Source>,
    #[serde(default)]
    pub links: Vec<Link>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Unit {
    #[serde(default)]
    pub custom_id: Option<String>,
    #[serde(default)]
    pub payments: Option<Payments>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Payments {
    pub captures: Vec<Capture>,
    pub refunds: Vec<Refund>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Source {
    pub paypal: Option<Wallet>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Wallet {
    pub email_address: Option<String>,
    pub account_id: Option<String>,
    pub attributes: Option<Attributes>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Attributes {
    pub vault: Option<Vault>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Vault {
    pub id: Option<String>,
    pub customer: Option<Only>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Capture {
    pub id: String,
    #[serde(default)]
    pub status: String,
    pub amount: Amount,
    #[serde(default)]
    pub custom_id: Option<String>,
    #[serde(default)]
    pub seller_receivable_breakdown: Option<Breakdown>,
    #[serde(default)]
    pub processor_response: Option<Processor>,
    #[serde(default)]
    pub supplementary_data: Option<Supplementary>,
    #[serde(default)]
    pub links: Vec<Link>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Breakdown {
    pub paypal_fee: Option<Amount>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Supplementary {
    pub related_ids: Option<Related>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Related {
    pub order_id: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Refund {
    pub id: String,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub amount: Option<Amount>,
    #[serde(default)]
    pub custom_id: Option<String>,
    #[serde(default)]
    pub links: Vec<Link>,
}

/// A token of a method that is being saved, or was.
#[derive(Clone, Debug, Deserialize)]
pub struct VaultToken {
    pub id: String,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub customer: Option<Only>,
    #[serde(default)]
    pub payment_source: Option<Source>,
    #[serde(default)]
    pub links: Vec<Link>,
}

/// Events as they are listed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct EventList {
    pub events: Vec<serde_json::Value>,
    pub links: Vec<Link>,
}

/// Objections as they are listed: in short.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DisputeList {
    pub items: Vec<ListedDispute>,
    pub links: Vec<Link>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ListedDispute {
    pub dispute_id: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Dispute {
    pub dispute_id: String,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub reason: String,
    pub dispute_amount: Amount,
    #[serde(default)]
    pub disputed_transactions: Vec<Disputed>,
    #[serde(default)]
    pub dispute_outcome: Option<DisputeOutcome>,
    #[serde(default)]
    pub dispute_life_cycle_stage: String,
    /// As told so far; what takes its place is below.
    #[serde(default)]
    pub money_movements: Vec<Movement>,
    #[serde(default)]
    pub fund_movements: Vec<Movement>,
    #[serde(default)]
    pub seller_response_due_date: Option<DateTime<Utc>>,
    #[serde(default)]
    pub evidences: Vec<Evidence>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Disputed {
    pub seller_transaction_id: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DisputeOutcome {
    pub outcome_code: String,
    pub amount_refunded: Option<Amount>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Movement {
    #[serde(alias = "party")]
    pub affected_party: String,
    pub amount: Option<Amount>,
    #[serde(rename = "type")]
    pub kind: String,
    pub reason: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Evidence {
    pub source: String,
}

/// Where the payer goes: an order with a payment source names it in one word, one without and a token in the other.
pub fn page(links: &[Link]) -> Option<&str> {
    let named = |rel: &str| links.iter().find(|link| link.rel == rel);
    named("payer-action").or_else(|| named("approve")).map(|link| link.href.as_str())
}

/// The last segment of the link upwards.
fn above(links: &[Link]) -> String {
    let up = links.iter().find(|link| link.rel == "up");
    up.and_then(|link| link.href.rsplit('/').next()).unwrap_or_default().to_owned()
}

impl Wallet {
    /// For people. Of the address only as much as its holder needs to know it again.
    pub fn label(&self) -> String {
        let address = self.email_address.as_deref().and_then(|address| address.split_once('@'));
        match address.and_then(|(name, host)| Some((name.chars().next()?, host))) {
            Some((first, host)) => format!("PayPal {first}…@{host}"),
            None => "PayPal".to_owned(),
        }
    }

    fn saved(&self) -> Option<SavedToken> {
        let vault = self.attributes.as_ref()?.vault.as_ref()?;
        let id = vault.id.as_deref().filter(|id| !id.is_empty())?;
        Some(token(vault.customer.as_ref(), id))
    }
}

/// What charges a method: the customer it belongs to and its own id.
fn token(customer: Option<&Only>, id: &str) -> SavedToken {
    match customer.and_then(|customer| customer.id.as_deref()).filter(|customer| !customer.is_empty()) {
        Some(customer) => SavedToken(format!("{customer}/{id}")),
        None => SavedToken(id.to_owned()),
    }
}

impl VaultToken {
    fn label(&self) -> String {
        let wallet = self.payment_source.as_ref().and_then(|source| source.paypal.as_ref());
        wallet.map_or_else(|| "PayPal".to_owned(), Wallet::label)
    }

    /// As something that can be charged without its holder.
    pub fn saved(&self) -> SavedMethod {
        SavedMethod { token: token(self.customer.as_ref(), &self.id), label: self.label(), expires_on: None }
    }
}

impl Order {
    fn wallet(&self) -> Option<&Wallet> {
        self.payment_source.as_ref().and_then(|source| source.paypal.as_ref())
    }

    fn payments(&self) -> impl DoubleEndedIterator<Item = &Payments> + Clone {
        self.purchase_units.iter().filter_map(|unit| unit.payments.as_ref())
    }

    /// Our reference on it.
    pub fn reference(&self) -> Option<&str> {
        self.purchase_units.iter().find_map(|unit| unit.custom_id.as_deref()).filter(|reference| !reference.is_empty())
    }

    /// Whether it tells what was taken for it, or tried to be.
    pub fn has_captures(&self) -> bool {
        self.payments().any(|payments| !payments.captures.is_empty())
    }

    /// Whether the customer agreed and nothing was taken.
    pub fn waits_for_us(&self) -> bool {
        let is_untaken = self.payments().all(|payments| payments.captures.is_empty());
        is_untaken && matches!(self.status.as_str(), "APPROVED" | "CREATED" | "SAVED")
    }

    /// The refunds of what was taken for it.
    pub fn refunds(&self) -> impl Iterator<Item = &Refund> {
        self.payments().flat_map(|payments| &payments.refunds)
    }

    /// What it says. Money is told by its capture alone: an order may be complete without any.
    pub fn truth(&self) -> Result<Truth, CallError> {
        let mut captures = self.payments().flat_map(|payments| &payments.captures);
        let taken = captures.clone().find(|capture| capture.is_money());
        if let Some(capture) = taken.or_else(|| captures.next_back()) {
            return capture.truth(self.wallet());
        }
        match self.status.as_str() {
            "VOIDED" => Ok(Truth::Expired),
            "COMPLETED" => Err(CallError::Ambiguous("a finished order without its capture".to_owned())),
            _ => Ok(Truth::Open),
        }
    }
}

impl Capture {
    fn is_money(&self) -> bool {
        matches!(self.status.as_str(), "COMPLETED" | "PARTIALLY_REFUNDED" | "REFUNDED")
    }

    /// The order it was taken for: told by its id, or by the link upwards.
    pub fn order(&self) -> Option<&str> {
        let related = self.supplementary_data.as_ref().and_then(|told| told.related_ids.as_ref());
        let up = || self.links.iter().find(|link| link.rel == "up")?.href.rsplit_once("/checkout/orders/");
        related.and_then(|ids| ids.order_id.as_deref()).or_else(|| up().map(|(_, order)| order))
    }

    /// What it says.
    pub fn truth(&self, wallet: Option<&Wallet>) -> Result<Truth, CallError> {
        let provider_ref = self.id.clone();
        if self.is_money() {
            let fee = self.seller_receivable_breakdown.as_ref().and_then(|breakdown| breakdown.paypal_fee.as_ref());
            return Ok(Truth::Captured(Captured {
                provider_ref,
                amount: from_paypal(&self.amount)?,
                // Money that came counts, however its fee is told.
                fee: fee.and_then(|fee| from_paypal(fee).ok()),
                saved: wallet.and_then(Wallet::saved),
                label: wallet.map_or_else(|| "PayPal".to_owned(), Wallet::label),
                fingerprint: wallet.and_then(|wallet| wallet.account_id.clone()).map(Fingerprint),
                expires_on: None,
            }));
        }
        match self.status.as_str() {
            "DECLINED" | "FAILED" => {
                Ok(Truth::Declined { provider_ref, decline: decline::of_capture(self.processor_response.as_ref()) })
            }
            // `PENDING`, and what a later version may invent.
            _ => Ok(Truth::Processing { provider_ref }),
        }
    }
}

impl Refund {
    /// Where it stands.
    pub fn truth(&self) -> refund::Truth {
        let state = match self.status.as_str() {
            "COMPLETED" => refund::State::Succeeded,
            "FAILED" | "CANCELLED" => refund::State::Failed,
            _ => refund::State::Pending,
        };
        refund::Truth { provider_ref: self.id.clone(), state }
    }

    /// All of it; of a capture that is known already, or told by its link.
    pub fn fact(&self, capture: Option<&str>) -> Result<RefundFact, CallError> {
        let amount = self.amount.as_ref().ok_or_else(|| CallError::Ambiguous("a refund of no amount".to_owned()))?;
        Ok(RefundFact {
            payment_ref: capture.map_or_else(|| above(&self.links), ToOwned::to_owned),
            amount: from_paypal(amount)?,
            truth: self.truth(),
            ours: self.custom_id.as_deref().and_then(|reference| reference.parse().ok()),
        })
    }
}

impl Dispute {
    fn state(&self) -> dispute::State {
        use dispute::State;
        let outcome = self.dispute_outcome.as_ref().map(|outcome| outcome.outcome_code.as_str());
        match (self.status.as_str(), outcome) {
            ("RESOLVED", Some("RESOLVED_BUYER_FAVOUR" | "ACCEPTED")) => State::Lost,
            // With a payout PayPal pays the buyer, not we.
            ("RESOLVED", Some("RESOLVED_SELLER_FAVOUR" | "RESOLVED_WITH_PAYOUT" | "DENIED")) => State::Won,
            // `CANCELED_BY_BUYER`, `NONE`, and what a later version may invent.
            ("RESOLVED", _) => State::Closed,
            // The buyer asks; nobody has claimed anything yet.
            (_, _) if self.dispute_life_cycle_stage == "INQUIRY" => State::Warning,
            // It was decided before, and goes on.
            (_, _) if matches!(self.dispute_life_cycle_stage.as_str(), "PRE_ARBITRATION" | "ARBITRATION") => {
                State::Appealed
            }
            ("WAITING_FOR_BUYER_RESPONSE" | "UNDER_REVIEW", _) => State::UnderReview,
            // `OPEN`, `WAITING_FOR_SELLER_RESPONSE`, and what a later version may invent: somebody looks.
            _ => State::NeedsResponse,
        }
    }

    /// What was taken from the seller and charged to them; none where nothing of the kind is told. A movement in another currency
    /// than the objection stands for all that is objected to, and a fee in one is not known here.
    fn moved(&self, amount: Money) -> (Option<i64>, Option<i64>) {
        let told = if self.fund_movements.is_empty() { &self.money_movements } else { &self.fund_movements };
        let (mut taken, mut fee) = (None, None);
        for movement in told.iter().filter(|movement| movement.affected_party == "SELLER") {
            let minor = movement.amount.as_ref().and_then(|told| from_paypal(told).ok());
            let minor = minor.filter(|money| money.currency == amount.currency).map(|money| money.minor);
            let (sum, minor) = if movement.reason.ends_with("_FEE") {
                (&mut fee, minor)
            } else {
                (&mut taken, minor.or(Some(amount.minor)))
            };
            let signed = match (movement.kind.as_str(), minor) {
                ("DEBIT", Some(minor)) => minor,
                ("CREDIT", Some(minor)) => minor.saturating_neg(),
                _ => continue,
            };
            *sum = Some(sum.unwrap_or(0_i64).saturating_add(signed));
        }
        (taken, fee)
    }

    /// What went to the buyer by a decision of which no movement is told.
    fn refunded(&self, state: dispute::State, amount: Money) -> i64 {
        if state != dispute::State::Lost {
            return 0;
        }
        let told = self.dispute_outcome.as_ref().and_then(|outcome| outcome.amount_refunded.as_ref());
        let told = told.and_then(|told| from_paypal(told).ok()).filter(|told| told.currency == amount.currency);
        told.unwrap_or(amount).minor
    }

    /// What it says. What was taken is told by what moved, not by the status.
    pub fn truth(&self) -> Result<dispute::Truth, CallError> {
        let amount = from_paypal(&self.dispute_amount)?;
        let state = self.state();
        let (taken, fee) = self.moved(amount);
        let taken = taken.unwrap_or_else(|| self.refunded(state, amount)).max(0);
        let transaction = self.disputed_transactions.first();
        let is_ours =
            |evidence: &Evidence| matches!(evidence.source.as_str(), "SUBMITTED_BY_SELLER" | "SUBMITTED_BY_PARTNER");
        Ok(dispute::Truth {
            provider_ref: self.dispute_id.clone(),
            payment_ref: transaction.and_then(|told| told.seller_transaction_id.clone()).unwrap_or_default(),
            state,
            reason: self.reason.to_ascii_lowercase(),
            amount,
            taken: Money::new(taken, amount.currency),
            fee: fee.map(|fee| Money::new(fee, amount.currency)),
            evidence_until: self.seller_response_due_date,
            // What is asked for stands in the same list.
            is_answered: self.evidences.iter().any(is_ours),
        })
    }
}

#[cfg(test)]
mod tests;

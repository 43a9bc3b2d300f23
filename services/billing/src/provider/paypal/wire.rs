//! PayPal's objects, as far as they are read, and what they say. Every list of words is open: what a later version invents is "not
//! decided yet", never an error.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::amount::{Amount, from_paypal};
use super::ask::WITHDRAWN;
use super::decline;
use crate::domain::payment::{Capture as Captured, Decline, DeclineClass, SavedToken, Truth};
use crate::domain::{dispute, refund};
use crate::provider::{CallError, MethodFact, RefundFact, SavedMethod};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Link {
    pub href: String,
    pub rel: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Only {
    pub id: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Vault {
    pub id: String,
    pub status: String,
    pub customer: Option<Only>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Attributes {
    pub vault: Option<Vault>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Wallet {
    pub email_address: String,
    pub attributes: Option<Attributes>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Source {
    pub paypal: Option<Wallet>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Order {
    pub id: String,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub payment_source: Option<Source>,
    #[serde(default)]
    pub purchase_units: Vec<Unit>,
    #[serde(default)]
    pub links: Vec<Link>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Unit {
    pub custom_id: String,
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
pub struct Breakdown {
    pub paypal_fee: Option<Amount>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Processor {
    pub response_code: String,
    pub payment_advice_code: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Related {
    pub order_id: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Supplement {
    pub related_ids: Option<Related>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Capture {
    pub id: String,
    #[serde(default)]
    pub status: String,
    pub amount: Amount,
    #[serde(default)]
    pub custom_id: String,
    #[serde(default)]
    pub seller_receivable_breakdown: Option<Breakdown>,
    #[serde(default)]
    pub processor_response: Option<Processor>,
    #[serde(default)]
    pub supplementary_data: Option<Supplement>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Refund {
    pub id: String,
    #[serde(default)]
    pub status: String,
    pub amount: Amount,
    #[serde(default)]
    pub custom_id: String,
    #[serde(default)]
    pub links: Vec<Link>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct SetupToken {
    pub id: String,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub customer: Option<Only>,
    #[serde(default)]
    pub links: Vec<Link>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Method {
    pub id: String,
    #[serde(default)]
    pub customer: Option<Only>,
    #[serde(default)]
    pub payment_source: Option<Source>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Disputed {
    pub seller_transaction_id: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DisputeOutcome {
    pub outcome_code: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Movement {
    pub affected_party: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub amount: Option<Amount>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Evidence {
    pub source: String,
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
    #[serde(default)]
    pub money_movements: Vec<Movement>,
    #[serde(default)]
    pub seller_response_due_date: Option<DateTime<Utc>>,
    #[serde(default)]
    pub evidences: Vec<Evidence>,
}

impl Wallet {
    fn label(&self) -> String {
        if self.email_address.is_empty() {
            "PayPal".to_owned()
        } else {
            format!("PayPal {}", masked(&self.email_address))
        }
    }

    fn saved(&self) -> Option<SavedToken> {
        let vault = self.attributes.as_ref()?.vault.as_ref()?;
        let is_saved = vault.status == "VAULTED" && !vault.id.is_empty();
        let customer = vault.customer.as_ref().map(|customer| customer.id.as_str()).unwrap_or_default();
        is_saved.then(|| SavedToken(format!("{customer}/{}", vault.id)))
    }
}

/// `a…@example.com`
fn masked(email: &str) -> String {
    match email.split_once('@') {
        Some((name, host)) => format!("{}…@{host}", name.chars().next().unwrap_or('…')),
        None => String::new(),
    }
}

/// Where the payer goes.
pub fn approval(links: &[Link]) -> Option<&str> {
    let of = |rel: &str| links.iter().find(|link| link.rel == rel).map(|link| link.href.as_str());
    of("payer-action").or_else(|| of("approve"))
}

/// The id at the end of the link to what something belongs to.
fn up(links: &[Link]) -> String {
    let up = links.iter().find(|link| link.rel == "up").map(|link| link.href.as_str()).unwrap_or_default();
    up.rsplit('/').next().unwrap_or_default().to_owned()
}

/// The capture a refund is of, as an event tells it.
pub fn refunded_of(refund: &serde_json::Value) -> String {
    serde_json::from_value(refund["links"].clone()).map(|links: Vec<Link>| up(&links)).unwrap_or_default()
}

impl Order {
    /// The money that came, or was tried to be taken; the last try counts.
    pub fn capture(&self) -> Option<&Capture> {
        let all = || self.purchase_units.iter().filter_map(|unit| unit.payments.as_ref()).flat_map(|it| &it.captures);
        all().find(|capture| capture.has_come()).or_else(|| all().next_back())
    }

    /// Its refunds.
    pub fn refunds(&self) -> impl Iterator<Item = &Refund> {
        self.purchase_units.iter().filter_map(|unit| unit.payments.as_ref()).flat_map(|payments| &payments.refunds)
    }

    fn wallet(&self) -> Option<&Wallet> {
        self.payment_source.as_ref()?.paypal.as_ref()
    }

    /// Whether nobody may pay it any more.
    pub fn is_withdrawn(&self) -> bool {
        self.purchase_units.iter().any(|unit| unit.custom_id == WITHDRAWN)
    }

    /// Whether the payer approved and the money has not been taken.
    pub fn waits_for_capture(&self) -> bool {
        self.status == "APPROVED" && self.capture().is_none() && !self.is_withdrawn()
    }

    /// What it says. That it is complete does not prove money: its capture does.
    pub fn truth(&self) -> Result<Truth, CallError> {
        if let Some(capture) = self.capture() {
            return capture.truth(self.wallet());
        }
        match self.status.as_str() {
            "VOIDED" => Ok(Truth::Expired),
            "COMPLETED" => Err(CallError::Ambiguous("a finished order without its capture".to_owned())),
            _ if self.is_withdrawn() => Ok(Truth::Expired),
            _ => Ok(Truth::Open),
        }
    }

    /// What it says of a charge without its holder: whatever the payer would have to do is a refusal.
    pub fn charged(&self) -> Result<Truth, CallError> {
        match self.truth()? {
            Truth::Open if self.status == "PAYER_ACTION_REQUIRED" => Ok(Truth::Declined {
                provider_ref: String::new(),
                decline: Decline { class: DeclineClass::Action, code: self.status.clone() },
            }),
            Truth::Open => Err(CallError::Ambiguous(format!("an order that is {} and not captured", self.status))),
            truth => Ok(truth),
        }
    }
}

impl Capture {
    fn has_come(&self) -> bool {
        matches!(self.status.as_str(), "COMPLETED" | "PARTIALLY_REFUNDED" | "REFUNDED")
    }

    /// The order it belongs to; empty when it does not say.
    pub fn order_id(&self) -> &str {
        let related = self.supplementary_data.as_ref().and_then(|data| data.related_ids.as_ref());
        related.map(|related| related.order_id.as_str()).unwrap_or_default()
    }

    /// What it says, given from whose wallet it is.
    pub fn truth(&self, wallet: Option<&Wallet>) -> Result<Truth, CallError> {
        match self.status.as_str() {
            _ if self.has_come() => {
                let amount = from_paypal(&self.amount)?;
                let fee = self.seller_receivable_breakdown.as_ref().and_then(|parts| parts.paypal_fee.as_ref());
                let fee = fee.map(from_paypal).transpose()?.filter(|fee| fee.currency == amount.currency);
                Ok(Truth::Captured(Captured {
                    provider_ref: self.id.clone(),
                    amount,
                    fee,
                    saved: wallet.and_then(Wallet::saved),
                    label: wallet.map_or_else(|| "PayPal".to_owned(), Wallet::label),
                    fingerprint: None,
                    expires_on: None,
                }))
            }
            "DECLINED" | "FAILED" => {
                let processor = self.processor_response.clone().unwrap_or_default();
                let decline =
                    decline::of_capture(&self.status, &processor.response_code, &processor.payment_advice_code);
                Ok(Truth::Declined { provider_ref: self.id.clone(), decline })
            }
            // `PENDING` for whatever reason, and what a later version may invent.
            _ => Ok(Truth::Processing { provider_ref: self.id.clone() }),
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

    /// All of it.
    pub fn fact(&self) -> Result<RefundFact, CallError> {
        Ok(RefundFact {
            payment_ref: up(&self.links),
            amount: from_paypal(&self.amount)?,
            truth: self.truth(),
            ours: self.custom_id.parse().ok(),
        })
    }
}

impl Method {
    fn wallet(&self) -> Option<&Wallet> {
        self.payment_source.as_ref()?.paypal.as_ref()
    }

    fn label(&self) -> String {
        self.wallet().map_or_else(|| "PayPal".to_owned(), Wallet::label)
    }

    /// As something that can be charged without its holder.
    pub fn saved(&self) -> SavedMethod {
        let customer = self.customer.as_ref().map(|customer| customer.id.as_str()).unwrap_or_default();
        SavedMethod { token: SavedToken(format!("{customer}/{}", self.id)), label: self.label(), expires_on: None }
    }

    /// What became of it.
    pub fn fact(&self) -> MethodFact {
        MethodFact { instrument: self.id.clone(), is_usable: true, label: self.label(), expires_on: None }
    }
}

impl Dispute {
    /// What it says. Whether money was taken is told by what moved, where PayPal tells that, else by how it was decided.
    pub fn truth(&self) -> Result<dispute::Truth, CallError> {
        use dispute::State;
        let amount = from_paypal(&self.dispute_amount)?;
        let outcome = self.dispute_outcome.as_ref().map(|outcome| outcome.outcome_code.as_str()).unwrap_or_default();
        let state = match (self.status.as_str(), outcome) {
            ("RESOLVED", "RESOLVED_SELLER_FAVOUR" | "RESOLVED_SELLER_FAVOR" | "RESOLVED_WITH_PAYOUT" | "DENIED") => {
                State::Won
            }
            ("RESOLVED", "RESOLVED_BUYER_FAVOUR" | "RESOLVED_BUYER_FAVOR" | "ACCEPTED") => State::Lost,
            ("RESOLVED", _) => State::Closed,
            _ if self.dispute_life_cycle_stage == "INQUIRY" => State::Warning,
            ("UNDER_REVIEW" | "WAITING_FOR_BUYER_RESPONSE", _) => State::UnderReview,
            // `OPEN`, `WAITING_FOR_SELLER_RESPONSE`, and what a later version may invent: somebody looks.
            _ => State::NeedsResponse,
        };
        let mut moved = 0_i64;
        let of_seller = self.money_movements.iter().filter(|movement| movement.affected_party == "SELLER");
        let amounts = of_seller.filter_map(|movement| Some((movement.kind.as_str(), movement.amount.as_ref()?)));
        for (kind, told) in amounts {
            let minor = from_paypal(told)?.minor;
            moved = moved.saturating_add(if kind == "DEBIT" { -minor } else { minor });
        }
        let is_taken = if self.money_movements.is_empty() { state == State::Lost } else { moved < 0 };
        let transaction = self.disputed_transactions.first();
        Ok(dispute::Truth {
            provider_ref: self.dispute_id.clone(),
            payment_ref: transaction.map(|it| it.seller_transaction_id.clone()).unwrap_or_default(),
            state,
            reason: self.reason.to_ascii_lowercase(),
            amount,
            is_taken,
            fee: None,
            evidence_until: self.seller_response_due_date,
            is_answered: self.evidences.iter().any(|evidence| evidence.source == "SUBMITTED_BY_SELLER"),
        })
    }
}

#[cfg(test)]
mod tests;

//! What BTCPay Server answers, and what that means. Open sets: what a later version may invent is no error of reading.

use ottery_kernel::{Currency, Money};
use serde::Deserialize;
use serde_json::Value;

use super::amount::Decimal;
use crate::domain::payment::{Capture, LATER, Truth};
use crate::domain::refund;
use crate::provider::{CallError, RefundFact};

/// What the customer paid with, for people: on chain or by lightning.
const LABEL: &str = "Bitcoin";
/// The same when somebody at BTCPay Server said that it is paid.
const LABEL_MARKED: &str = "Bitcoin, settled by hand";

/// The invoice behind the id of a payment: what came by it later is a payment of its own.
pub fn invoice_of(payment: &str) -> &str {
    payment.split(LATER).next().unwrap_or_default()
}

/// What a refund of a payment is called, as BTCPay Server itself calls one.
pub fn refund_name(payment: &str) -> String {
    format!("Refund {payment}")
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invoice {
    pub id: String,
    #[serde(default)]
    pub store_id: String,
    pub amount: Decimal,
    #[serde(default)]
    pub paid_amount: Option<Decimal>,
    pub currency: String,
    #[serde(default)]
    pub checkout_link: String,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub additional_status: String,
    #[serde(default)]
    pub metadata: Value,
}

/// A way to pay an invoice, with what was sent that way.
#[derive(Clone, Debug, Deserialize)]
pub struct Method {
    pub rate: Decimal,
    #[serde(default)]
    pub payments: Vec<Sent>,
}

/// Coins that were sent.
#[derive(Clone, Debug, Deserialize)]
pub struct Sent {
    pub value: Decimal,
    #[serde(default)]
    pub status: String,
}

/// What may be claimed back.
#[derive(Clone, Debug, Deserialize)]
pub struct PullPayment {
    pub id: String,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
    pub currency: String,
    pub amount: Decimal,
    #[serde(default)]
    pub archived: bool,
}

/// What was claimed of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payout {
    pub original_amount: Decimal,
    #[serde(default)]
    pub state: String,
}

fn strange(what: &str) -> CallError {
    CallError::Ambiguous(format!("{what} that cannot be read"))
}

/// Of two amounts of one currency.
fn larger(one: Money, other: Money) -> Money {
    if other.minor > one.minor { other } else { one }
}

impl Invoice {
    fn currency(&self) -> Result<Currency, CallError> {
        self.currency.parse().map_err(|_| strange("a currency"))
    }

    fn money(&self, amount: Decimal) -> Result<Money, CallError> {
        amount.money(self.currency()?).ok_or_else(|| strange("an amount"))
    }

    /// What was asked for.
    pub fn asked(&self) -> Result<Money, CallError> {
        self.money(self.amount)
    }

    /// Our reference on it.
    pub fn reference(&self) -> Option<String> {
        self.metadata.get("orderId").and_then(Value::as_str).map(ToOwned::to_owned)
    }

    /// Whether something was sent for it.
    pub fn is_touched(&self) -> bool {
        matches!(self.status.as_str(), "Settled" | "Processing") || self.additional_status.starts_with("Paid")
    }

    /// Whether it does not say itself how much of what was sent is there to stay: more than it asked for, less, or too late.
    pub fn needs_payments(&self) -> bool {
        matches!(
            (self.status.as_str(), self.additional_status.as_str()),
            ("Settled", "PaidOver") | ("Expired", "PaidPartial" | "PaidLate")
        )
    }

    /// What it says, with what was sent where that is [needed](Self::needs_payments).
    pub fn truth(&self, methods: &[Method]) -> Result<Truth, CallError> {
        let provider_ref = self.id.clone();
        let (asked, additional) = (self.asked()?, self.additional_status.as_str());
        let sent = || methods.iter().flat_map(|method| &method.payments);
        let is_undecided = sent().any(|sent| sent.status == "Processing");
        Ok(match self.status.as_str() {
            // Its page is open, and asks for the rest where a part came.
            "New" => Truth::Open,
            "Processing" => Truth::Processing { provider_ref },
            "Settled" => match additional {
                "PaidOver" if is_undecided => self.captured(asked, None),
                "PaidOver" => self.captured(larger(asked, self.came(methods)?), None),
                "Marked" => self.captured(asked, None),
                // Less within what the store tolerates is enough.
                _ => self.captured(asked, self.paid_amount.map(|paid| self.money(paid)).transpose()?),
            },
            "Expired" if self.needs_payments() && is_undecided => Truth::Processing { provider_ref },
            "Expired" if self.needs_payments() => match self.came(methods)? {
                came if !came.is_positive() => Truth::Expired,
                came if additional == "PaidLate" => self.captured(larger(asked, came), Some(came)),
                came => self.captured(came, None),
            },
            "Expired" => Truth::Expired,
            "Invalid" => Truth::Reversed { provider_ref },
            _ => return Err(CallError::Ambiguous("a state of an invoice that is not documented".to_owned())),
        })
    }

    /// What is there to stay, in the invoice's currency at its rate.
    fn came(&self, methods: &[Method]) -> Result<Money, CallError> {
        if let Some(paid) = self.paid_amount {
            return self.money(paid);
        }
        let mut sum = Decimal::ZERO;
        for method in methods {
            for sent in method.payments.iter().filter(|sent| sent.status == "Settled") {
                let worth = sent.value.at(method.rate).and_then(|worth| sum.plus(worth));
                sum = worth.ok_or_else(|| strange("an amount"))?;
            }
        }
        self.money(sum)
    }

    /// Money that came; what is missing of it the store let pass, as a fee.
    fn captured(&self, amount: Money, paid: Option<Money>) -> Truth {
        let missing = paid.and_then(|paid| amount.checked_sub(paid).ok()).filter(|missing| missing.is_positive());
        Truth::Captured(Capture {
            provider_ref: self.id.clone(),
            amount,
            fee: missing,
            saved: None,
            label: if self.additional_status == "Marked" { LABEL_MARKED } else { LABEL }.to_owned(),
            fingerprint: None,
            expires_on: None,
        })
    }
}

impl PullPayment {
    fn money(&self, amount: Decimal) -> Result<Money, CallError> {
        let money = self.currency.parse().ok().and_then(|currency| amount.money(currency));
        money.ok_or_else(|| {
            let currency: String = self.currency.chars().take(10).collect();
            CallError::Ambiguous(format!("a refund in {currency}, which is not told in money: book it by hand"))
        })
    }

    /// The payment it gives back.
    pub fn payment(&self) -> Option<&str> {
        self.name.as_deref()?.strip_prefix("Refund ").filter(|id| !id.is_empty())
    }

    /// Where it stands: paid out when all of it was claimed and sent.
    pub fn truth(&self, payouts: &[Payout]) -> Result<refund::Truth, CallError> {
        let amount = self.money(self.amount)?;
        let mut done = Decimal::ZERO;
        for payout in payouts.iter().filter(|payout| payout.state == "Completed") {
            done = done.plus(payout.original_amount).ok_or_else(|| strange("an amount"))?;
        }
        let done = self.money(done)?;
        let is_going_on = payouts.iter().any(|payout| !matches!(payout.state.as_str(), "Completed" | "Cancelled"));
        let state = if done.minor >= amount.minor {
            refund::State::Succeeded
        } else if !self.archived || is_going_on {
            refund::State::Pending
        } else if done.is_positive() {
            return Err(CallError::Ambiguous(format!(
                "{done} of {amount} was claimed, and the rest cannot be any more"
            )));
        } else {
            refund::State::Failed
        };
        Ok(refund::Truth { provider_ref: self.id.clone(), state })
    }

    /// All of it.
    pub fn fact(&self, payouts: &[Payout]) -> Result<RefundFact, CallError> {
        Ok(RefundFact {
            payment_ref: self.payment().unwrap_or_default().to_owned(),
            amount: self.money(self.amount)?,
            truth: self.truth(payouts)?,
            ours: self.description.as_deref().and_then(|text| text.trim().parse().ok()),
        })
    }
}

#[cfg(test)]
mod tests;

//! Objects of the provider, as it stores and shows them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Whole minor units of a currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// ISO 4217, upper case.
    pub currency: String,
    /// Minor units.
    pub minor: i64,
}

/// Currencies without minor units, and with three digits of them.
const NO_DIGITS: &[&str] = &[
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF",
    "XPF",
];
const THREE_DIGITS: &[&str] = &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];

impl Amount {
    /// For people.
    pub fn text(&self) -> String {
        let digits = if NO_DIGITS.contains(&self.currency.as_str()) {
            0
        } else if THREE_DIGITS.contains(&self.currency.as_str()) {
            3
        } else {
            2
        };
        if digits == 0 {
            return format!("{} {}", self.minor, self.currency);
        }
        let unit = 10_i64.pow(digits);
        let width = digits as usize;
        format!("{}.{:0width$} {}", self.minor / unit, self.minor % unit, self.currency)
    }

    pub fn is_currency(&self) -> bool {
        self.currency.len() == 3 && self.currency.bytes().all(|byte| byte.is_ascii_uppercase())
    }
}

/// Why a card was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decline {
    pub code: String,
    /// `soft` (try again later), `hard` (another card is needed) or `action` (the customer must confirm).
    pub class: String,
    pub message: String,
}

impl Decline {
    pub fn of(code: &str) -> Self {
        let (class, message) = match code {
            "insufficient_funds" => ("soft", "The card has not enough funds."),
            "generic_decline" => ("soft", "The bank declined the payment."),
            "processing_error" => ("soft", "The bank could not be reached."),
            "authentication_required" => ("action", "The bank asks the cardholder to confirm."),
            "expired_card" => ("hard", "The card has expired."),
            "stolen_card" => ("hard", "The card was reported stolen."),
            "incorrect_cvc" => ("hard", "The security code is wrong."),
            "incorrect_number" => ("hard", "The card number is not a test card."),
            _ => ("hard", "The card was refused."),
        };
        Self { code: code.to_owned(), class: class.to_owned(), message: message.to_owned() }
    }
}

/// A checkout page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checkout {
    pub id: String,
    pub account: String,
    pub reference: String,
    pub amount: Amount,
    pub success_url: String,
    pub cancel_url: String,
    pub customer_email: String,
    pub save_method: bool,
    /// `open`, `complete` or `expired`.
    pub status: String,
    pub payment: Option<String>,
    pub payment_method: Option<String>,
    pub created: i64,
    pub expires_at: i64,
    /// Card waiting for the cardholder's confirmation.
    pub challenged: Option<Card>,
}

impl Checkout {
    pub fn json(&self, public_url: &str) -> Value {
        json!({
            "id": self.id, "object": "checkout", "reference": self.reference, "amount": self.amount,
            "status": self.status, "payment": self.payment, "payment_method": self.payment_method,
            "customer_email": self.customer_email, "save_method": self.save_method,
            "success_url": self.success_url, "cancel_url": self.cancel_url,
            "url": format!("{public_url}/checkout/{}", self.id),
            "created": self.created, "expires_at": self.expires_at, "livemode": false,
        })
    }
}

/// A test card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Test numbers only; nothing else is accepted.
    pub number: String,
    pub exp_month: u32,
    pub exp_year: i32,
}

impl Card {
    /// The same for the same number, whoever pays with it, as real providers have it; says nothing about the number.
    fn fingerprint(&self) -> String {
        let digest = Sha256::digest(format!("sandbox card\n{}", self.number));
        format!("fp_{}", hex::encode(&digest[..12]))
    }

    pub fn json(&self) -> Value {
        let brand = if self.number.starts_with('5') { "mastercard" } else { "visa" };
        json!({
            "brand": brand, "last4": self.number.get(12..), "exp_month": self.exp_month, "exp_year": self.exp_year,
            "fingerprint": self.fingerprint(),
        })
    }
}

/// A saved card.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Method {
    pub id: String,
    pub account: String,
    pub card: Card,
    pub customer_email: String,
    pub created: i64,
    pub detached: bool,
}

impl Method {
    pub fn json(&self) -> Value {
        json!({
            "id": self.id, "object": "payment_method", "type": "card", "card": self.card.json(),
            "customer_email": self.customer_email, "created": self.created, "detached": self.detached, "livemode": false,
        })
    }
}

/// A try to take money.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Payment {
    pub id: String,
    /// Order of creation.
    pub seq: u64,
    pub account: String,
    pub reference: String,
    pub amount: Amount,
    pub refunded_minor: i64,
    /// `succeeded`, `failed` or `processing`.
    pub status: String,
    pub decline: Option<Decline>,
    pub checkout: Option<String>,
    pub payment_method: Option<String>,
    pub off_session: bool,
    pub card: Card,
    pub dispute: Option<String>,
    /// Unix seconds, real time.
    pub created: i64,
}

impl Payment {
    pub fn json(&self) -> Value {
        // 1.5 % and 25 minor units of what succeeded.
        let fee = if self.status == "succeeded" { self.amount.minor * 15 / 1000 + 25 } else { 0 };
        json!({
            "id": self.id, "object": "payment", "reference": self.reference, "amount": self.amount,
            "refunded_minor": self.refunded_minor, "fee": {"currency": self.amount.currency, "minor": fee},
            "status": self.status, "decline": self.decline, "checkout": self.checkout,
            "payment_method": self.payment_method, "off_session": self.off_session, "card": self.card.json(),
            "dispute": self.dispute, "created": self.created, "livemode": false,
        })
    }
}

/// Money on its way back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refund {
    pub id: String,
    pub account: String,
    pub payment: String,
    pub reference: String,
    pub amount: Amount,
    /// `pending`, `succeeded` or `failed`.
    pub status: String,
    pub created: i64,
}

impl Refund {
    pub fn json(&self) -> Value {
        json!({
            "id": self.id, "object": "refund", "payment": self.payment, "reference": self.reference, "amount": self.amount,
            "status": self.status, "created": self.created, "livemode": false,
        })
    }
}

/// A cardholder's objection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dispute {
    pub id: String,
    pub account: String,
    pub payment: String,
    pub reference: String,
    pub amount: Amount,
    pub reason: String,
    /// `open`, `won` or `lost` (from the merchant's side).
    pub status: String,
    pub created: i64,
}

impl Dispute {
    pub fn json(&self) -> Value {
        json!({
            "id": self.id, "object": "dispute", "payment": self.payment, "reference": self.reference, "amount": self.amount,
            "reason": self.reason, "status": self.status, "created": self.created, "livemode": false,
        })
    }
}

/// A webhook event and how far its delivery got.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    pub id: String,
    pub seq: u64,
    pub account: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub created: i64,
    pub object: Value,
    /// `pending`, `delivered` or `given_up`.
    pub delivery: String,
    pub attempts: u32,
    pub last_status: Option<u16>,
}

impl Event {
    pub fn json(&self) -> Value {
        json!({
            "id": self.id, "type": self.kind, "created": self.created, "livemode": false, "account": self.account,
            "data": {"object": self.object},
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_with_the_digits_of_their_currency() {
        let text = |currency: &str, minor| Amount { currency: currency.into(), minor }.text();
        assert_eq!(text("EUR", 1205), "12.05 EUR");
        assert_eq!(text("JPY", 1205), "1205 JPY");
        assert_eq!(text("KWD", 1205), "1.205 KWD");
    }
}

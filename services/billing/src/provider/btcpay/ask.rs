//! What is sent, call by call.

use serde_json::json;

use super::amount::to_text;
use super::call::Call;
use super::key::Key;
use super::wire::{invoice_of, refund_name};
use crate::provider::answer::segment;
use crate::provider::{CallError, CheckoutAsk, RefundAsk};

/// How long a store goes on watching an invoice after it expired, in minutes: a week. What comes later is found by nobody.
pub const MONITORING_MINUTES: u32 = 7 * 24 * 60;
/// Longest description of a purchase.
const TITLE_CHARS_MAX: usize = 200;
/// Invoices of one order id that are looked at; there is one.
const FOUND_MAX: usize = 20;

fn store(key: &Key) -> String {
    format!("/api/v1/stores/{}", key.store)
}

/// Makes an invoice with a page. Expiry, confirmations and tolerance are the store's.
pub fn checkout(key: &Key, ask: &CheckoutAsk) -> Result<Call, CallError> {
    let title: String = ask.title.chars().take(TITLE_CHARS_MAX).collect();
    let mut metadata = json!({"orderId": ask.payment.to_string(), "itemDesc": title});
    if !ask.email.is_empty() {
        metadata["buyerEmail"] = json!(ask.email);
    }
    let body = json!({"amount": to_text(ask.amount)?, "currency": ask.amount.currency.code(), "metadata": metadata,
        "checkout": {"redirectURL": ask.return_url, "redirectAutomatically": true, "monitoringMinutes": MONITORING_MINUTES}});
    Ok(Call::post(format!("{}/invoices", store(key)), body))
}

/// Looks for the invoice of one of our payments.
pub fn of_order(key: &Key, order: &str) -> Result<Call, CallError> {
    Ok(Call::get(format!("{}/invoices?orderId={}&take={FOUND_MAX}", store(key), segment(order)?)))
}

/// Looks whether the store may be looked at.
pub fn newest(key: &Key) -> Call {
    Call::get(format!("{}/invoices?take=1", store(key)))
}

/// Reads an invoice.
pub fn invoice(key: &Key, invoice: &str) -> Result<Call, CallError> {
    let id = segment(invoice_of(invoice))?;
    Ok(Call::get(format!("{}/invoices/{id}", store(key))).or(format!("/api/v1/invoices/{id}")))
}

/// Reads what was sent for an invoice.
pub fn paid(key: &Key, invoice: &str) -> Result<Call, CallError> {
    let id = segment(invoice_of(invoice))?;
    let path = format!("{}/invoices/{id}/payment-methods", store(key));
    Ok(Call::get(path).or(format!("/api/v1/invoices/{id}/payment-methods")))
}

/// Lets the customer take money back: our id is in its description, by which it is found when the answer is lost.
pub fn refund(key: &Key, ask: &RefundAsk) -> Result<Call, CallError> {
    let id = segment(invoice_of(&ask.payment_ref))?;
    let body = json!({"name": refund_name(&ask.payment_ref), "description": ask.refund.to_string(),
        "refundVariant": "Custom", "customAmount": to_text(ask.amount)?, "customCurrency": ask.amount.currency.code()});
    Ok(Call::post(format!("{}/invoices/{id}/refund", store(key)), body).or(format!("/api/v1/invoices/{id}/refund")))
}

/// Reads a pull payment.
pub fn pull_payment(id: &str) -> Result<Call, CallError> {
    Ok(Call::get(format!("/api/v1/pull-payments/{}", segment(id)?)))
}

/// Reads what was claimed of it.
pub fn payouts(id: &str) -> Result<Call, CallError> {
    Ok(Call::get(format!("/api/v1/pull-payments/{}/payouts", segment(id)?)))
}

/// Lists the store's pull payments, also those that are over.
pub fn pull_payments(key: &Key) -> Call {
    Call::get(format!("{}/pull-payments?includeArchived=true", store(key)))
}

/// Reads what the key may do.
pub fn permissions() -> Call {
    Call::get("/api/v1/api-keys/current")
}

/// Reads which permissions contain which.
pub fn contained() -> Call {
    Call::get("/misc/permissions")
}

#[cfg(test)]
mod tests {
    use ottery_kernel::{AccountId, Currency, Money, PaymentId};

    use super::*;

    fn key() -> Key {
        Key { store: "Store1".into(), token: "t".repeat(40) }
    }

    #[test]
    fn an_invoice_carries_our_id_by_which_it_is_found() {
        let payment: PaymentId = "pay_0192f0c1a2b37c4d8e5f60718293a4b5".parse().unwrap();
        let ask = CheckoutAsk {
            payment,
            amount: Money::new(1299, Currency::EUR),
            return_url: "https://tv.example/orders/1".into(),
            cancel_url: "https://tv.example/orders/1?back=1".into(),
            email: "ada@example.com".into(),
            save_method: true,
            account: "acc_0192f0c1a2b37c4d8e5f60718293a4b6".parse::<AccountId>().unwrap(),
            customer: String::new(),
            title: "Invoice INV-2026-000001".into(),
        };
        let call = checkout(&key(), &ask).unwrap();
        assert_eq!(call.path, "/api/v1/stores/Store1/invoices");
        let body = call.body.unwrap();
        assert_eq!((&body["amount"], &body["currency"]), (&json!("12.99"), &json!("EUR")));
        assert_eq!(body["metadata"]["orderId"], json!(payment.to_string()));
        let found = of_order(&key(), &payment.to_string()).unwrap().path;
        assert_eq!(found, format!("/api/v1/stores/Store1/invoices?orderId={payment}&take=20"));
        assert!(of_order(&key(), "x&status=Settled").is_err());
    }

    #[test]
    fn what_came_later_by_an_invoice_is_read_and_given_back_by_the_same_one() {
        let read = invoice(&key(), "Inv1~2").unwrap();
        assert_eq!(read.path, "/api/v1/stores/Store1/invoices/Inv1");
        assert_eq!(read.other.as_deref(), Some("/api/v1/invoices/Inv1"));
        let ask = RefundAsk {
            refund: "ref_0192f0c1a2b37c4d8e5f60718293a4b7".parse().unwrap(),
            payment_ref: "Inv1~2".into(),
            amount: Money::new(300, Currency::EUR),
        };
        let call = refund(&key(), &ask).unwrap();
        assert_eq!(call.path, "/api/v1/stores/Store1/invoices/Inv1/refund");
        let body = call.body.unwrap();
        assert_eq!((&body["name"], &body["customAmount"]), (&json!("Refund Inv1~2"), &json!("3.00")));
        assert!(invoice(&key(), "../x").is_err());
    }
}

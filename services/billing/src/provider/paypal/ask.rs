//! What is sent, call by call. Our id is `custom_id` and `invoice_id` of everything that moves money: a lost answer is found by the
//! first, and where the account refuses repeated invoice ids, a late repetition fails by the second.

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::amount::to_paypal;
use super::call::{Body, Call, segment};
use crate::provider::{CallError, ChargeAsk, CheckoutAsk, EvidenceAsk, RefundAsk, SetupAsk};

/// Longest title PayPal takes.
const TITLE_CHARS_MAX: usize = 127;
/// Longest note.
const NOTES_CHARS_MAX: usize = 2000;
/// What stands in place of our id on an order nobody may pay any more.
pub const WITHDRAWN: &str = "withdrawn";

fn places(return_url: &str, cancel_url: &str) -> Value {
    json!({"return_url": return_url, "cancel_url": cancel_url, "shipping_preference": "NO_SHIPPING"})
}

/// Makes an order that the payer approves on PayPal's page.
pub fn checkout(ask: &CheckoutAsk) -> Result<Call, CallError> {
    let title: String = ask.title.chars().take(TITLE_CHARS_MAX).collect();
    let mut context = places(&ask.return_url, &ask.cancel_url);
    context["user_action"] = json!("PAY_NOW");
    let mut wallet = json!({"experience_context": context});
    if ask.save_method {
        wallet["attributes"] = json!({"vault": {"store_in_vault": "ON_SUCCESS", "usage_type": "MERCHANT",
                                                "usage_pattern": "RECURRING_PREPAID"}});
        if !ask.customer.is_empty() {
            wallet["attributes"]["customer"] = json!({"id": ask.customer});
        }
    }
    let unit = json!({"reference_id": "default", "custom_id": ask.payment.to_string(), "invoice_id": ask.payment.to_string(),
                      "description": title, "amount": to_paypal(ask.amount)?});
    let body = json!({"intent": "CAPTURE", "purchase_units": [unit], "payment_source": {"paypal": wallet}});
    Ok(Call::post("/v2/checkout/orders", format!("pay:{}", ask.payment), body))
}

/// Charges a saved method without its holder.
pub fn charge(ask: &ChargeAsk) -> Result<Call, CallError> {
    let unit = json!({"reference_id": "default", "custom_id": ask.payment.to_string(), "invoice_id": ask.payment.to_string(),
                      "amount": to_paypal(ask.amount)?});
    let body = json!({"intent": "CAPTURE", "purchase_units": [unit],
                      "payment_source": {"paypal": {"vault_id": ask.token.instrument()}}});
    Ok(Call::post("/v2/checkout/orders", format!("charge:{}", ask.payment), body))
}

/// Takes the money of an approved order.
pub fn capture(order: &str) -> Result<Call, CallError> {
    let path = format!("/v2/checkout/orders/{}/capture", segment(order)?);
    Ok(Call { body: Body::None, ..Call::post(path, format!("capture:{order}"), Value::Null) })
}

/// Marks an order as one nobody may pay any more. PayPal has no call that closes one, and takes this only before an order waits for
/// its payer or once they have approved; a marked one is never captured.
pub fn withdraw(order: &str) -> Result<Call, CallError> {
    let path = "/purchase_units/@reference_id=='default'/custom_id";
    let body = json!([{"op": "replace", "path": path, "value": WITHDRAWN}]);
    let place = format!("/v2/checkout/orders/{}", segment(order)?);
    Ok(Call { method: Method::PATCH, path: place, body: Body::Json(body), key: None })
}

/// Reads an order, with its captures and refunds.
pub fn order(order: &str) -> Result<Call, CallError> {
    Ok(Call::get(format!("/v2/checkout/orders/{}", segment(order)?)))
}

/// Reads money that came.
pub fn captured(capture: &str) -> Result<Call, CallError> {
    Ok(Call::get(format!("/v2/payments/captures/{}", segment(capture)?)))
}

/// Gives money back.
pub fn refund(ask: &RefundAsk) -> Result<Call, CallError> {
    let path = format!("/v2/payments/captures/{}/refund", segment(&ask.payment_ref)?);
    let ours = ask.refund.to_string();
    let body = json!({"amount": to_paypal(ask.amount)?, "custom_id": ours, "invoice_id": ours});
    Ok(Call::post(path, format!("refund:{}", ask.refund), body))
}

/// Reads a refund.
pub fn refunded(refund: &str) -> Result<Call, CallError> {
    Ok(Call::get(format!("/v2/payments/refunds/{}", segment(refund)?)))
}

/// Begins to save a method without a payment.
pub fn setup(ask: &SetupAsk) -> Call {
    let wallet = json!({"usage_type": "MERCHANT", "usage_pattern": "RECURRING_PREPAID",
                        "experience_context": places(&ask.return_url, &ask.cancel_url)});
    let mut body = json!({"payment_source": {"paypal": wallet}});
    if !ask.customer.is_empty() {
        body["customer"] = json!({"id": ask.customer});
    }
    Call::post("/v3/vault/setup-tokens", format!("setup:{}", ask.setup.simple()), body)
}

/// Reads what was begun.
pub fn setup_token(id: &str) -> Result<Call, CallError> {
    Ok(Call::get(format!("/v3/vault/setup-tokens/{}", segment(id)?)))
}

/// Saves what the payer approved. The same key finds the same method again.
pub fn save(setup_token: &str) -> Result<Call, CallError> {
    let body = json!({"payment_source": {"token": {"id": segment(setup_token)?, "type": "SETUP_TOKEN"}}});
    Ok(Call::post("/v3/vault/payment-tokens", format!("save:{setup_token}"), body))
}

/// Reads a saved method.
pub fn method(id: &str) -> Result<Call, CallError> {
    Ok(Call::get(format!("/v3/vault/payment-tokens/{}", segment(id)?)))
}

/// Forgets a saved method.
pub fn forget(id: &str) -> Result<Call, CallError> {
    Ok(Call { method: Method::DELETE, ..method(id)? })
}

/// Reads an objection.
pub fn dispute(id: &str) -> Result<Call, CallError> {
    Ok(Call::get(format!("/v1/customer/disputes/{}", segment(id)?)))
}

/// Hands evidence in.
pub fn evidence(ask: &EvidenceAsk) -> Result<Call, CallError> {
    let said = &ask.evidence;
    let lines = [
        ("", &said.statement),
        ("Customer: ", &said.customer_name),
        ("E-mail: ", &said.customer_email),
        ("Product: ", &said.product),
        ("Served from: ", &said.served_from),
        ("Use: ", &said.access_log),
        ("Refund policy: ", &said.refund_policy),
    ];
    let lines: Vec<String> =
        lines.iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| format!("{name}{text}")).collect();
    let notes: String = lines.join("\n").chars().take(NOTES_CHARS_MAX).collect();
    let key = format!("evidence:{}:{}", ask.dispute, hex::encode(&Sha256::digest(notes.as_bytes())[..8]));
    let body = json!({"evidences": [{"evidence_type": "PROOF_FOR_SOFTWARE_OR_SERVICE_DELIVERED", "notes": notes}]});
    let path = format!("/v1/customer/disputes/{}/provide-evidence", segment(&ask.reference)?);
    Ok(Call { body: Body::Part(body), ..Call::post(path, key, Value::Null) })
}

#[cfg(test)]
mod tests {
    use ottery_kernel::{Currency, Money, PaymentId, RefundId};

    use super::*;
    use crate::domain::payment::SavedToken;

    const OURS: &str = "pay_0192f0c1a2b37c4d8e5f60718293a4b5";

    fn payment() -> PaymentId {
        OURS.parse().unwrap()
    }

    fn said(call: &Call) -> &Value {
        match &call.body {
            Body::Json(body) | Body::Part(body) => body,
            Body::None => &Value::Null,
        }
    }

    fn asked(save_method: bool) -> CheckoutAsk {
        CheckoutAsk {
            payment: payment(),
            amount: Money::new(1299, Currency::EUR),
            return_url: "https://tv.example/orders/1".into(),
            cancel_url: "https://tv.example/orders/1?back=1".into(),
            email: "ada@example.com".into(),
            save_method,
            account: "acc_0192f0c1a2b37c4d8e5f60718293a4b6".parse().unwrap(),
            customer: String::new(),
            title: "Invoice INV-2026-000001".into(),
        }
    }

    #[test]
    fn an_order_carries_our_id_where_it_is_found_and_where_it_refuses_a_repetition() {
        let call = checkout(&asked(true)).unwrap();
        assert_eq!(call.key.as_deref(), Some(format!("pay:{OURS}").as_str()));
        let unit = &said(&call)["purchase_units"][0];
        assert_eq!((unit["custom_id"].as_str(), unit["invoice_id"].as_str()), (Some(OURS), Some(OURS)));
        assert_eq!(unit["amount"], json!({"currency_code": "EUR", "value": "12.99"}));
        let vault = &said(&call)["payment_source"]["paypal"]["attributes"]["vault"];
        assert_eq!(
            (vault["store_in_vault"].as_str(), vault["usage_type"].as_str()),
            (Some("ON_SUCCESS"), Some("MERCHANT"))
        );
        let unsaved = checkout(&asked(false)).unwrap();
        assert!(said(&unsaved)["payment_source"]["paypal"].get("attributes").is_none());
    }

    #[test]
    fn a_renewal_is_one_order_of_the_saved_method() {
        let ask = ChargeAsk {
            payment: payment(),
            amount: Money::new(500, Currency::JPY),
            token: SavedToken("cust_1/8kk8451t".into()),
        };
        let call = charge(&ask).unwrap();
        assert_eq!(said(&call)["payment_source"], json!({"paypal": {"vault_id": "8kk8451t"}}));
        assert_eq!(said(&call)["purchase_units"][0]["amount"], json!({"currency_code": "JPY", "value": "500"}));
        assert_eq!(call, charge(&ask).unwrap(), "the same bytes under the same key");
    }

    #[test]
    fn a_refund_names_ours() {
        let ours: RefundId = "ref_0192f0c1a2b37c4d8e5f60718293a4b7".parse().unwrap();
        let ask = RefundAsk { refund: ours, payment_ref: "2GG".into(), amount: Money::new(500, Currency::EUR) };
        let call = refund(&ask).unwrap();
        assert_eq!(call.path, "/v2/payments/captures/2GG/refund");
        assert_eq!(call.key.as_deref(), Some("refund:ref_0192f0c1a2b37c4d8e5f60718293a4b7"));
        assert_eq!(said(&call)["custom_id"], json!("ref_0192f0c1a2b37c4d8e5f60718293a4b7"));
        assert!(refund(&RefundAsk { payment_ref: "../x".into(), ..ask }).is_err());
    }
}

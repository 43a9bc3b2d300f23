//! What is sent, call by call.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use url::Url;

use super::amount::to_paypal;
use super::call::Call;
use super::wire::Link;
use crate::provider::answer::segment;
use crate::provider::{CallError, ChargeAsk, CheckoutAsk, RefundAsk, ReportAsk, SetupAsk};

/// Where objections are listed.
const DISPUTES: &str = "/v1/customer/disputes";
/// Where events are listed.
const EVENTS: &str = "/v1/notifications/webhooks-events";
/// Events of one answer.
const EVENTS_PER_PAGE: usize = 50;
/// Longest description of a purchase.
const TITLE_CHARS_MAX: usize = 127;
/// What is charged later is what a period costs, before it begins.
const PATTERN: &str = "RECURRING_PREPAID";

/// Our id stands in both places: PayPal refuses a second payment for an `invoice_id`, and tells `custom_id` in every event.
fn unit(payment: ottery_kernel::PaymentId, amount: ottery_kernel::Money) -> Result<Value, CallError> {
    Ok(json!({"amount": to_paypal(amount)?, "invoice_id": payment.to_string(), "custom_id": payment.to_string()}))
}

/// Makes an order for a payer who comes to a page.
pub fn checkout(ask: &CheckoutAsk) -> Result<Call, CallError> {
    let mut unit = unit(ask.payment, ask.amount)?;
    unit["description"] = json!(ask.title.chars().take(TITLE_CHARS_MAX).collect::<String>());
    let mut wallet = json!({"experience_context": {
        "return_url": ask.return_url, "cancel_url": ask.cancel_url, "user_action": "PAY_NOW",
        "shipping_preference": "NO_SHIPPING", "payment_method_preference": "IMMEDIATE_PAYMENT_REQUIRED"}});
    if !ask.email.is_empty() {
        wallet["email_address"] = json!(ask.email);
    }
    if ask.save_method {
        wallet["attributes"] = json!({"vault": {"store_in_vault": "ON_SUCCESS", "usage_type": "MERCHANT",
            "usage_pattern": PATTERN}});
        if !ask.customer.is_empty() {
            wallet["attributes"]["customer"] = json!({"id": ask.customer});
        }
    }
    let body = json!({"intent": "CAPTURE", "purchase_units": [unit], "payment_source": {"paypal": wallet}});
    // Another order than one that saves, so that a refusal of that one is not what PayPal remembers.
    let key = if ask.save_method { format!("pay:{}", ask.payment) } else { format!("pay:{}:once", ask.payment) };
    Ok(Call::post("/v2/checkout/orders", key, body))
}

/// Charges a saved method without its holder: with its intent the order is captured as it is made.
pub fn charge(ask: &ChargeAsk) -> Result<Call, CallError> {
    let body = json!({"intent": "CAPTURE", "purchase_units": [unit(ask.payment, ask.amount)?],
        "payment_source": {"paypal": {"vault_id": ask.token.instrument()}}});
    Ok(Call::post("/v2/checkout/orders", format!("charge:{}", ask.payment), body))
}

/// Reads an order.
pub fn order(order: &str) -> Result<Call, CallError> {
    Ok(Call::get(format!("/v2/checkout/orders/{}", segment(order)?)))
}

/// Takes what was agreed to.
pub fn capture(order: &str) -> Result<Call, CallError> {
    let path = format!("/v2/checkout/orders/{}/capture", segment(order)?);
    Ok(Call::post(path, format!("capture:{order}"), json!({})))
}

/// Reads what was taken.
pub fn captured(capture: &str) -> Result<Call, CallError> {
    Ok(Call::get(format!("/v2/payments/captures/{}", segment(capture)?)))
}

/// Gives money back.
pub fn refund(ask: &RefundAsk) -> Result<Call, CallError> {
    let path = format!("/v2/payments/captures/{}/refund", segment(&ask.payment_ref)?);
    let body = json!({"amount": to_paypal(ask.amount)?, "custom_id": ask.refund.to_string()});
    Ok(Call::post(path, format!("refund:{}", ask.refund), body))
}

/// Reads a refund.
pub fn refunded(refund: &str) -> Result<Call, CallError> {
    Ok(Call::get(format!("/v2/payments/refunds/{}", segment(refund)?)))
}

/// Makes a page on which a method is saved.
pub fn setup(ask: &SetupAsk) -> Call {
    let wallet = json!({"usage_type": "MERCHANT", "usage_pattern": PATTERN, "experience_context": {
        "return_url": ask.return_url, "cancel_url": ask.cancel_url, "shipping_preference": "NO_SHIPPING"}});
    let mut body = json!({"payment_source": {"paypal": wallet}});
    if !ask.customer.is_empty() {
        body["customer"] = json!({"id": ask.customer});
    }
    Call::post("/v3/vault/setup-tokens", format!("setup:{}", ask.setup.simple()), body)
}

/// Reads what became of such a page.
pub fn set_up(setup: &str) -> Result<Call, CallError> {
    Ok(Call::get(format!("/v3/vault/setup-tokens/{}", segment(setup)?)))
}

/// Keeps the method that was agreed to there.
pub fn keep(setup: &str) -> Result<Call, CallError> {
    let body = json!({"payment_source": {"token": {"id": segment(setup)?, "type": "SETUP_TOKEN"}}});
    Ok(Call::post("/v3/vault/payment-tokens", format!("keep:{setup}"), body))
}

/// Reads a saved method.
pub fn method(method: &str) -> Result<Call, CallError> {
    Ok(Call::get(format!("/v3/vault/payment-tokens/{}", segment(method)?)))
}

/// Forgets a saved method.
pub fn forget(method: &str) -> Result<Call, CallError> {
    Ok(Call::delete(format!("/v3/vault/payment-tokens/{}", segment(method)?)))
}

/// Reads an event that was told.
pub fn event(event: &str) -> Result<Call, CallError> {
    Ok(Call::get(format!("{EVENTS}/{}", segment(event)?)))
}

/// Lists events, those between two times or the newest.
pub fn events(since: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>) -> Call {
    let time = |name: &str, at: Option<DateTime<Utc>>| {
        at.map(|at| format!("&{name}={}", at.to_rfc3339_opts(SecondsFormat::Secs, true))).unwrap_or_default()
    };
    let (since, until) = (time("start_time", since), time("end_time", until));
    Call::get(format!("{EVENTS}?page_size={EVENTS_PER_PAGE}{since}{until}"))
}

/// Lists what follows, when something does. PayPal names an address of its own; what is asked is the account's all the same.
pub fn events_next(links: &[Link]) -> Option<Call> {
    let next = links.iter().find(|link| link.rel == "next")?;
    let url = Url::parse(&next.href).ok().filter(|url| url.path() == EVENTS)?;
    Some(Call::get(format!("{EVENTS}?{}", url.query()?)))
}

/// Lists objections that changed between two instants; the cursor is what PayPal names the next page by.
pub fn disputes(ask: ReportAsk<'_>) -> Call {
    if !ask.cursor.is_empty() {
        return Call::get(format!("{DISPUTES}?{}", ask.cursor));
    }
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let (from, until) = (time(ask.from), time(ask.until));
    Call::get(format!("{DISPUTES}?page_size=50&update_time_after={from}&update_time_before={until}"))
}

/// What names the page that follows, when one does. PayPal names an address of its own; what is asked is the account's all the same.
pub fn disputes_next(links: &[Link]) -> Option<String> {
    let next = links.iter().find(|link| link.rel == "next")?;
    let url = Url::parse(&next.href).ok().filter(|url| url.path() == DISPUTES)?;
    url.query().map(ToOwned::to_owned)
}

/// Reads an objection.
pub fn dispute(dispute: &str) -> Result<Call, CallError> {
    Ok(Call::get(format!("/v1/customer/disputes/{}", segment(dispute)?)))
}

#[cfg(test)]
mod tests {
    use ottery_kernel::{AccountId, Currency, Money, PaymentId};

    use crate::domain::reconcile::Kind;

    use super::*;
    use crate::domain::payment::SavedToken;

    fn payment() -> PaymentId {
        "pay_0192f0c1a2b37c4d8e5f60718293a4b5".parse().unwrap()
    }

    #[test]
    fn objections_are_listed_by_when_they_changed_page_by_page() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let asked = |cursor| disputes(ReportAsk { kind: Kind::Dispute, from: at(0), until: at(60), cursor }).path;
        assert_eq!(
            asked(""),
            "/v1/customer/disputes?page_size=50&update_time_after=1970-01-01T00:00:00.000Z\
             &update_time_before=1970-01-01T00:01:00.000Z"
        );
        let link = |href: &str| [Link { rel: "next".into(), href: href.into() }];
        let next = disputes_next(&link("https://api-m.paypal.com/v1/customer/disputes?page_size=50&next_page_token=a"));
        assert_eq!(asked(&next.unwrap()), "/v1/customer/disputes?page_size=50&next_page_token=a");
        assert_eq!(disputes_next(&link("https://evil.example/v1/other?page_size=50")), None);
    }

    fn asked(save_method: bool) -> CheckoutAsk {
        CheckoutAsk {
            payment: payment(),
            amount: Money::new(1299, Currency::EUR),
            return_url: "https://tv.example/orders/1".into(),
            cancel_url: "https://tv.example/orders/1?back=1".into(),
            email: "ada@example.com".into(),
            save_method,
            account: "acc_0192f0c1a2b37c4d8e5f60718293a4b6".parse::<AccountId>().unwrap(),
            customer: String::new(),
            title: "Invoice INV-2026-000001".into(),
        }
    }

    #[test]
    fn an_order_carries_our_id_where_paypal_refuses_a_second_and_where_it_tells_it() {
        let call = checkout(&asked(true)).unwrap();
        let id = payment().to_string();
        assert_eq!(call.key.as_deref(), Some(format!("pay:{id}").as_str()));
        let body = call.body.unwrap();
        let unit = &body["purchase_units"][0];
        assert_eq!((unit["invoice_id"].as_str(), unit["custom_id"].as_str()), (Some(id.as_str()), Some(id.as_str())));
        assert_eq!(unit["amount"], json!({"currency_code": "EUR", "value": "12.99"}));
        let vault = &body["payment_source"]["paypal"]["attributes"]["vault"];
        assert_eq!(vault["store_in_vault"], "ON_SUCCESS");
        let unsaved = checkout(&asked(false)).unwrap();
        assert_ne!(unsaved.key.as_deref(), Some(format!("pay:{id}").as_str()));
        let unsaved = unsaved.body.unwrap();
        assert!(unsaved["payment_source"]["paypal"].get("attributes").is_none());
    }

    #[test]
    fn the_next_events_are_asked_for_where_the_account_is() {
        let next = |href: &str| events_next(&[Link { href: href.into(), rel: "next".into() }]).map(|call| call.path);
        let path = "/v1/notifications/webhooks-events?start_time=2026-01-01T00:00:00Z&page=2";
        assert_eq!(next(&format!("https://api.paypal.com{path}")).as_deref(), Some(path));
        assert_eq!((next("https://evil.test/elsewhere?page=2"), next("nonsense")), (None, None));
        assert_eq!(events_next(&[]), None);
        let at = |text: &str| Some(text.parse().unwrap());
        let since = events(at("2026-01-01T00:00:00.123Z"), None).path;
        assert!(since.ends_with("&start_time=2026-01-01T00:00:00Z"), "{since}");
        let between = events(at("2026-01-01T00:00:00.123Z"), at("2026-01-01T01:00:00Z")).path;
        assert!(between.ends_with("&start_time=2026-01-01T00:00:00Z&end_time=2026-01-01T01:00:00Z"), "{between}");
    }

    #[test]
    fn a_renewal_is_one_call_with_the_saved_method() {
        let ask = ChargeAsk {
            payment: payment(),
            amount: Money::new(1099, Currency::EUR),
            token: SavedToken("cust/v1".into()),
        };
        let call = charge(&ask).unwrap();
        // The same twice: PayPal takes a repetition for one only when nothing differs.
        assert_eq!(call, charge(&ask).unwrap());
        assert_eq!(call.body.unwrap()["payment_source"], json!({"paypal": {"vault_id": "v1"}}));
        assert!(call.key.unwrap().len() <= 108);
    }
}

//! Stripe's events, reduced to what they are about.

use chrono::DateTime;
use serde::Deserialize;
use serde_json::Value;

use super::wire::{PAYMENT, SETUP};
use crate::provider::{CallError, Forged, Listed, Notice, Subject};

/// Longest id of an event.
const ID_CHARS_MAX: usize = 255;

/// What the endpoint at Stripe is to be told of. Everything else is answered and ignored.
pub const EVENTS: [&str; 27] = [
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "payment_intent.canceled",
    "setup_intent.succeeded",
    "setup_intent.setup_failed",
    "payment_method.automatically_updated",
    "payment_method.updated",
    "payment_method.detached",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "radar.early_fraud_warning.created",
    "radar.early_fraud_warning.updated",
    "mandate.updated",
    "charge.refund.updated",
];

#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    livemode: Option<bool>,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Value,
}

/// Reads an event.
pub fn read(raw: &[u8]) -> Result<Notice, Forged> {
    let event: Event = serde_json::from_slice(raw).map_err(|_| Forged::Unreadable)?;
    if event.id.is_empty() || event.id.len() > ID_CHARS_MAX || !event.data.object.is_object() {
        return Err(Forged::Unreadable);
    }
    let object = &event.data.object;
    let subject = subject(&event.kind, object);
    let ours = if matches!(subject, Subject::Setup(_)) { SETUP } else { PAYMENT };
    let reference = match text(&object["metadata"], ours) {
        none if none.is_empty() => text(object, "client_reference_id"),
        found => found,
    };
    Ok(Notice { event_id: event.id, kind: event.kind, reference, subject, is_live: event.livemode })
}

/// An event as Stripe lists it: the same object its webhook carries.
pub fn listed(event: &Value) -> Result<Listed, CallError> {
    let (id, at) = (text(event, "id"), event.get("created").and_then(Value::as_i64));
    match at.and_then(|at| DateTime::from_timestamp(at, 0)) {
        Some(at) if !id.is_empty() => Ok(Listed { id, at, body: event.to_string().into_bytes() }),
        _ => Err(CallError::Ambiguous("an event without id or time".to_owned())),
    }
}

fn subject(kind: &str, object: &Value) -> Subject {
    let id = || text(object, "id");
    let payment = || named(object, "payment_intent");
    let parts: Vec<&str> = kind.split('.').collect();
    match parts.as_slice() {
        ["checkout", "session", ..] if text(object, "mode") == "setup" => Subject::Setup(id()),
        ["checkout", "session", ..] => Subject::Checkout(id()),
        ["payment_intent", ..] => Subject::Payment(id()),
        ["setup_intent", ..] => Subject::Setup(id()),
        ["payment_method", "automatically_updated" | "updated" | "detached"] => Subject::Method(id()),
        ["mandate", ..] => Subject::Mandate(id()),
        ["charge", "refunded"] => Subject::Refunds(payment()),
        ["refund", ..] | ["charge", "refund", ..] => Subject::Refund { refund: id(), payment: payment() },
        ["charge", "dispute", ..] => Subject::Dispute { dispute: id(), payment: payment() },
        ["radar", "early_fraud_warning", ..] => Subject::Warning(payment()),
        _ => Subject::Other,
    }
}

fn text(object: &Value, name: &str) -> String {
    object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The id of an object that may have come along.
fn named(object: &Value, name: &str) -> String {
    match object.get(name) {
        Some(Value::String(id)) => id.clone(),
        Some(found) => text(found, "id"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn notice(kind: &str, object: Value) -> Notice {
        let event = json!({"id": "evt_1", "type": kind, "livemode": false, "data": {"object": object}});
        read(event.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn every_event_of_the_list_is_about_something() {
        let object = json!({"id": "x_1", "mode": "payment", "payment_intent": "pi_1", "metadata": {}});
        for kind in EVENTS {
            assert_ne!(notice(kind, object.clone()).subject, Subject::Other, "{kind}");
        }
        for kind in ["invoice.paid", "charge.succeeded", "customer.created", "payment_method.attached", "payout.paid"] {
            assert_eq!(notice(kind, object.clone()).subject, Subject::Other, "{kind}");
        }
    }

    #[test]
    fn an_event_names_our_reference_where_the_object_carries_it() {
        let page = notice(
            "checkout.session.completed",
            json!({"id": "cs_1", "mode": "payment", "client_reference_id": "pay_1"}),
        );
        assert_eq!((page.subject, page.reference.as_str()), (Subject::Checkout("cs_1".into()), "pay_1"));
        let setup = json!({"id": "cs_2", "mode": "setup", "client_reference_id": "s1", "metadata": {"setup": "s1"}});
        assert_eq!(notice("checkout.session.completed", setup).subject, Subject::Setup("cs_2".into()));
        let intent = notice("payment_intent.succeeded", json!({"id": "pi_1", "metadata": {"payment": "pay_1"}}));
        assert_eq!((intent.subject, intent.reference.as_str()), (Subject::Payment("pi_1".into()), "pay_1"));
        let refund = notice("refund.updated", json!({"id": "re_1", "payment_intent": {"id": "pi_1"}}));
        assert_eq!(refund.subject, Subject::Refund { refund: "re_1".into(), payment: "pi_1".into() });
        assert_eq!((refund.reference.as_str(), refund.is_live), ("", Some(false)));
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for raw in [
            "",
            "[]",
            "{}",
            r#"{"id":"evt_1","type":"x"}"#,
            r#"{"id":"","type":"x","data":{"object":{}}}"#,
            r#"{"id":"evt_1","type":"x","data":{"object":"pi_1"}}"#,
        ] {
            assert_eq!(read(raw.as_bytes()), Err(Forged::Unreadable), "{raw}");
        }
        assert_eq!(read(&[0xff, 0xfe]), Err(Forged::Unreadable));
    }
}

//! PayPal's events, reduced to what they are about.

use serde::Deserialize;
use serde_json::Value;

use super::wire::refunded_of;
use crate::provider::{Forged, Notice, Subject};

/// Longest id of an event.
const ID_CHARS_MAX: usize = 255;

/// What the address at PayPal is to be told of. Everything else is answered and ignored.
pub const EVENTS: [&str; 14] = [
    "CHECKOUT.ORDER.APPROVED",
    "CHECKOUT.ORDER.COMPLETED",
    "PAYMENT.CAPTURE.COMPLETED",
    "PAYMENT.CAPTURE.PENDING",
    "PAYMENT.CAPTURE.DENIED",
    "PAYMENT.CAPTURE.DECLINED",
    "PAYMENT.CAPTURE.REFUNDED",
    "PAYMENT.CAPTURE.REVERSED",
    "VAULT.PAYMENT-TOKEN.CREATED",
    "VAULT.PAYMENT-TOKEN.DELETION-INITIATED",
    "VAULT.PAYMENT-TOKEN.DELETED",
    "CUSTOMER.DISPUTE.CREATED",
    "CUSTOMER.DISPUTE.UPDATED",
    "CUSTOMER.DISPUTE.RESOLVED",
];

#[derive(Deserialize)]
struct Event {
    id: String,
    event_type: String,
    resource: Value,
}

/// Reads an event. It does not say whether it tells of real money; PayPal signs for a webhook id, which belongs to one mode.
pub fn read(raw: &[u8]) -> Result<Notice, Forged> {
    let event: Event = serde_json::from_slice(raw).map_err(|_| Forged::Unreadable)?;
    if event.id.is_empty() || event.id.len() > ID_CHARS_MAX || !event.resource.is_object() {
        return Err(Forged::Unreadable);
    }
    let resource = &event.resource;
    let subject = subject(&event.event_type, resource);
    let reference = match &subject {
        Subject::Checkout(_) => text(&resource["purchase_units"][0], "custom_id"),
        // Of a refund it is ours of the refund.
        Subject::Payment(_) => text(resource, "custom_id"),
        _ => String::new(),
    };
    Ok(Notice { event_id: event.id, kind: event.event_type, reference, subject, is_live: None })
}

fn subject(kind: &str, resource: &Value) -> Subject {
    let id = || text(resource, "id");
    let parts: Vec<&str> = kind.split('.').collect();
    match parts.as_slice() {
        ["CHECKOUT", "ORDER", ..] => Subject::Checkout(id()),
        ["PAYMENT", "CAPTURE", "REFUNDED" | "REVERSED"] => {
            Subject::Refund { refund: id(), payment: refunded_of(resource) }
        }
        ["PAYMENT", "CAPTURE", ..] => Subject::Payment(id()),
        ["VAULT", "PAYMENT-TOKEN", ..] => Subject::Method(id()),
        ["CUSTOMER", "DISPUTE", ..] => Subject::Dispute {
            dispute: text(resource, "dispute_id"),
            payment: text(&resource["disputed_transactions"][0], "seller_transaction_id"),
        },
        _ => Subject::Other,
    }
}

fn text(object: &Value, name: &str) -> String {
    object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn notice(kind: &str, resource: Value) -> Notice {
        read(json!({"id": "WH-1", "event_type": kind, "resource": resource}).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn every_event_of_the_list_is_about_something() {
        for kind in EVENTS {
            assert_ne!(notice(kind, json!({"id": "x"})).subject, Subject::Other, "{kind}");
        }
        for kind in ["BILLING.SUBSCRIPTION.CREATED", "PAYMENT.SALE.COMPLETED", "PAYMENT.AUTHORIZATION.CREATED"] {
            assert_eq!(notice(kind, json!({"id": "x"})).subject, Subject::Other, "{kind}");
        }
    }

    #[test]
    fn an_event_names_our_reference_where_the_object_carries_it() {
        let order = notice("CHECKOUT.ORDER.APPROVED", json!({"id": "5O1", "purchase_units": [{"custom_id": "pay_1"}]}));
        assert_eq!((order.subject, order.reference.as_str()), (Subject::Checkout("5O1".into()), "pay_1"));
        let capture = notice("PAYMENT.CAPTURE.COMPLETED", json!({"id": "2GG", "custom_id": "pay_1"}));
        assert_eq!((capture.subject, capture.reference.as_str()), (Subject::Payment("2GG".into()), "pay_1"));
        let refund = json!({"id": "1JU", "custom_id": "ref_1",
            "links": [{"rel": "up", "href": "https://api-m.paypal.com/v2/payments/captures/2GG"}]});
        let refund = notice("PAYMENT.CAPTURE.REFUNDED", refund);
        assert_eq!(refund.subject, Subject::Refund { refund: "1JU".into(), payment: "2GG".into() });
        assert_eq!(refund.reference, "");
        let dispute = json!({"dispute_id": "PP-D-1", "disputed_transactions": [{"seller_transaction_id": "2GG"}]});
        let dispute = notice("CUSTOMER.DISPUTE.CREATED", dispute);
        assert_eq!(dispute.subject, Subject::Dispute { dispute: "PP-D-1".into(), payment: "2GG".into() });
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for raw in [
            "",
            "[]",
            "{}",
            r#"{"id":"","event_type":"x","resource":{}}"#,
            r#"{"id":"1","event_type":"x","resource":"y"}"#,
        ] {
            assert_eq!(read(raw.as_bytes()), Err(Forged::Unreadable), "{raw}");
        }
    }
}

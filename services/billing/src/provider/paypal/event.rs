//! PayPal's events, reduced to what they are about, and the text that is signed.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::provider::{CallError, Forged, Listed, Notice, Subject};

/// Longest id of an event.
const ID_CHARS_MAX: usize = 255;
/// PayPal tells of an event again for this long.
const REPEATED_FOR: TimeDelta = TimeDelta::days(3);
/// How PayPal signs.
const ALGORITHM: &str = "SHA256withRSA";

/// What the address is to be told of.
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

/// What the headers say about a transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmission<'a> {
    pub id: &'a str,
    pub time: &'a str,
    pub signature: &'a str,
    pub certificate: &'a str,
}

impl<'a> Transmission<'a> {
    /// From the headers; every one of them is needed.
    pub fn of(headers: &'a HashMap<String, String>) -> Result<Self, Forged> {
        let header = |name: &str| {
            let name = format!("paypal-{name}");
            let found = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name));
            found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty()).ok_or(Forged::Unsigned)
        };
        if header("auth-algo")? != ALGORITHM {
            return Err(Forged::Unsigned);
        }
        Ok(Self {
            id: header("transmission-id")?,
            time: header("transmission-time")?,
            signature: header("transmission-sig")?,
            certificate: header("cert-url")?,
        })
    }

    /// What is signed, for an address PayPal calls by that id.
    pub fn signed(&self, webhook_id: &str, raw: &[u8]) -> String {
        format!("{}|{}|{webhook_id}|{}", self.id, self.time, crc32fast::hash(raw))
    }

    /// Whether it is older than PayPal goes on telling. No reason to refuse it: each is kept once, and the provider is asked.
    pub fn is_late(&self, now: DateTime<Utc>) -> Result<bool, Forged> {
        let sent = DateTime::parse_from_rfc3339(self.time).map_err(|_| Forged::Unsigned)?;
        Ok(now - sent.to_utc() > REPEATED_FOR)
    }
}

#[derive(Deserialize)]
struct Event {
    id: String,
    event_type: String,
    resource: Value,
}

/// Reads an event.
pub fn read(raw: &[u8]) -> Result<Notice, Forged> {
    let event: Event = serde_json::from_slice(raw).map_err(|_| Forged::Unreadable)?;
    if event.id.is_empty() || event.id.len() > ID_CHARS_MAX || !event.resource.is_object() {
        return Err(Forged::Unreadable);
    }
    let resource = &event.resource;
    let subject = subject(&event.event_type, resource);
    let reference = match &subject {
        Subject::Checkout(_) => text(&resource["purchase_units"][0], "custom_id"),
        Subject::Payment(_) => text(resource, "custom_id"),
        _ => String::new(),
    };
    Ok(Notice { event_id: event.id, kind: event.event_type, reference, subject, is_live: None })
}

/// An event as PayPal lists it: the same object its webhook carries.
pub fn listed(event: &Value) -> Result<Listed, CallError> {
    let at = DateTime::parse_from_rfc3339(&text(event, "create_time"));
    match (text(event, "id"), at) {
        (id, Ok(at)) if !id.is_empty() => Ok(Listed { id, at: at.to_utc(), body: event.to_string().into_bytes() }),
        _ => Err(CallError::Ambiguous("an event without id or time".to_owned())),
    }
}

fn subject(kind: &str, resource: &Value) -> Subject {
    let id = || text(resource, "id");
    let parts: Vec<&str> = kind.split('.').collect();
    match parts.as_slice() {
        ["CHECKOUT", "ORDER", ..] => Subject::Checkout(id()),
        ["PAYMENT", "CAPTURE", "REFUNDED"] => Subject::Refund { refund: id(), payment: above(resource) },
        // PayPal tells of money it took back as of a refund.
        ["PAYMENT", "CAPTURE", "REVERSED"] => Subject::Reversal {
            refund: id(),
            payment: match above(resource) {
                none if none.is_empty() => id(),
                capture => capture,
            },
        },
        ["PAYMENT", "CAPTURE", ..] => Subject::Payment(id()),
        ["VAULT", "PAYMENT-TOKEN", "DELETED" | "DELETION-INITIATED"] => Subject::Method(id()),
        // A wallet may be saved only after the order was captured. One of no order is told by its page.
        ["VAULT", "PAYMENT-TOKEN", "CREATED"] => match text(&resource["metadata"], "order_id") {
            none if none.is_empty() => Subject::Other,
            checkout => Subject::LateMethod { method: id(), checkout },
        },
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

/// The capture a refund belongs to: the last segment of its link upwards.
fn above(resource: &Value) -> String {
    let links = resource["links"].as_array().map(Vec::as_slice).unwrap_or_default();
    let up = links.iter().find(|link| link["rel"] == "up").map(|link| text(link, "href")).unwrap_or_default();
    up.rsplit('/').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn about(kind: &str, resource: Value) -> Notice {
        let event = json!({"id": "WH-1", "event_type": kind, "resource": resource});
        read(&serde_json::to_vec(&event).unwrap()).unwrap()
    }

    #[test]
    fn events_are_reduced_to_what_they_are_about() {
        let order = about("CHECKOUT.ORDER.APPROVED", json!({"id": "O1", "purchase_units": [{"custom_id": "pay_1"}]}));
        assert_eq!((order.subject, order.reference.as_str()), (Subject::Checkout("O1".into()), "pay_1"));
        let capture = json!({"id": "C1", "custom_id": "pay_1"});
        for kind in ["COMPLETED", "PENDING", "DENIED", "DECLINED"] {
            let notice = about(&format!("PAYMENT.CAPTURE.{kind}"), capture.clone());
            assert_eq!((notice.subject, notice.reference.as_str()), (Subject::Payment("C1".into()), "pay_1"));
        }
        let links = json!([{"rel": "self", "href": "https://x/v2/payments/refunds/R1"},
            {"rel": "up", "href": "https://x/v2/payments/captures/C1"}]);
        let refund = about("PAYMENT.CAPTURE.REFUNDED", json!({"id": "R1", "links": links}));
        assert_eq!(refund.subject, Subject::Refund { refund: "R1".into(), payment: "C1".into() });
        let reversed = about("PAYMENT.CAPTURE.REVERSED", json!({"id": "R1", "links": links}));
        assert_eq!(reversed.subject, Subject::Reversal { refund: "R1".into(), payment: "C1".into() });
        let whole = about("PAYMENT.CAPTURE.REVERSED", json!({"id": "C1", "status": "REVERSED"}));
        assert_eq!(whole.subject.payment(), "C1");
        assert_eq!(about("VAULT.PAYMENT-TOKEN.DELETED", json!({"id": "v1"})).subject, Subject::Method("v1".into()));
        let late = about("VAULT.PAYMENT-TOKEN.CREATED", json!({"id": "v1", "metadata": {"order_id": "O1"}}));
        assert_eq!(late.subject, Subject::LateMethod { method: "v1".into(), checkout: "O1".into() });
        assert_eq!(about("VAULT.PAYMENT-TOKEN.CREATED", json!({"id": "v1"})).subject, Subject::Other);
        let told = json!({"dispute_id": "PP-D-1", "disputed_transactions": [{"seller_transaction_id": "C1"}]});
        let dispute = about("CUSTOMER.DISPUTE.CREATED", told);
        assert_eq!(dispute.subject, Subject::Dispute { dispute: "PP-D-1".into(), payment: "C1".into() });
        assert_eq!(about("INVOICING.INVOICE.PAID", json!({"id": "I1"})).subject, Subject::Other);
        for body in [
            &b"{}"[..],
            b"\xff",
            br#"{"id":"","event_type":"X","resource":{}}"#,
            br#"{"id":"1","event_type":"X","resource":1}"#,
        ] {
            assert_eq!(read(body), Err(Forged::Unreadable));
        }
    }

    #[test]
    fn an_event_that_is_listed_is_read_like_its_webhook() {
        let told = json!({"id": "WH-1", "create_time": "2026-01-01T01:00:00.000+01:00",
            "event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": {"id": "C1", "custom_id": "pay_1"}});
        let found = listed(&told).unwrap();
        assert_eq!(found.at, "2026-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap());
        assert_eq!(read(&found.body).unwrap().subject, Subject::Payment("C1".into()));
        assert!(listed(&json!({"id": "WH-1"})).is_err());
        assert!(listed(&json!({"create_time": "2026-01-01T00:00:00Z"})).is_err());
    }

    #[test]
    fn the_signed_text_holds_the_crc32_of_the_raw_bytes_in_decimal() {
        let transmission = Transmission { id: "t", time: "2026-01-01T00:00:00Z", signature: "s", certificate: "c" };
        // The check value of CRC-32, 0xCBF43926.
        assert_eq!(transmission.signed("WH-9", b"123456789"), "t|2026-01-01T00:00:00Z|WH-9|3421780262");
    }

    #[test]
    fn age_is_no_reason_to_refuse_and_an_unreadable_time_is() {
        let at = |time| Transmission { id: "t", time, signature: "s", certificate: "c" };
        let now = "2026-01-10T00:00:00Z".parse().unwrap();
        assert_eq!(at("2026-01-09T00:00:00Z").is_late(now), Ok(false));
        assert_eq!(at("2026-01-01T00:00:00Z").is_late(now), Ok(true));
        assert_eq!(at("yesterday").is_late(now), Err(Forged::Unsigned));
    }

    #[test]
    fn every_header_is_needed() {
        let all = ["transmission-id", "transmission-time", "transmission-sig", "cert-url"];
        let mut headers: HashMap<String, String> =
            all.iter().map(|name| (format!("PayPal-{name}"), "x".to_owned())).collect();
        headers.insert("PAYPAL-AUTH-ALGO".into(), ALGORITHM.into());
        assert!(Transmission::of(&headers).is_ok());
        for name in all {
            let mut without = headers.clone();
            without.remove(&format!("PayPal-{name}"));
            assert_eq!(Transmission::of(&without), Err(Forged::Unsigned), "{name}");
        }
        headers.insert("PAYPAL-AUTH-ALGO".into(), "MD5withRSA".into());
        assert_eq!(Transmission::of(&headers), Err(Forged::Unsigned));
    }
}

//! BTCPay Server's webhooks, reduced to what they are about, and their signature.

use std::collections::HashMap;

use hmac::{Hmac, Mac as _};
use ottery_kit::secret::Secret;
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::provider::{Forged, Notice, Subject};

/// Header of the signature: `sha256=` and the HMAC-SHA256 of the raw bytes, keyed with the webhook's secret, in hexadecimal.
const HEADER: &str = "btcpay-sig";
/// Longest id.
const ID_CHARS_MAX: usize = 255;

/// What the address is to be told of.
pub const EVENTS: [&str; 9] = [
    "InvoiceReceivedPayment",
    "InvoicePaymentSettled",
    "InvoiceProcessing",
    "InvoiceExpired",
    "InvoiceSettled",
    "InvoiceInvalid",
    "PayoutCreated",
    "PayoutApproved",
    "PayoutUpdated",
];

/// Checks the signature. It holds no time: whoever repeats an event repeats its id, and the truth is read.
pub fn verify(raw: &[u8], headers: &HashMap<String, String>, secrets: &[Secret]) -> Result<(), Forged> {
    let header = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(HEADER)).ok_or(Forged::Unsigned)?.1;
    let told = header.strip_prefix("sha256=").filter(|told| told.len() == 64).ok_or(Forged::Unsigned)?;
    let mut is_genuine = false;
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes a key of any length");
        mac.update(raw);
        let ours = hex::encode(mac.finalize().into_bytes());
        is_genuine |= bool::from(ours.as_bytes().ct_eq(told.as_bytes()));
    }
    if is_genuine { Ok(()) } else { Err(Forged::Wrong) }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    delivery_id: String,
    #[serde(default)]
    original_delivery_id: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    store_id: Option<String>,
    #[serde(default)]
    invoice_id: Option<String>,
    #[serde(default)]
    pull_payment_id: Option<String>,
    #[serde(default)]
    metadata: Value,
}

impl Event {
    fn parse(raw: &[u8]) -> Result<Self, Forged> {
        serde_json::from_slice(raw).map_err(|_| Forged::Unreadable)
    }

    /// A repetition has an id of its own, and names the first one.
    fn id(&self) -> &str {
        self.original_delivery_id.as_deref().filter(|id| !id.is_empty()).unwrap_or(&self.delivery_id)
    }
}

/// Reads an event.
pub fn read(raw: &[u8]) -> Result<Notice, Forged> {
    let event = Event::parse(raw)?;
    if event.id().is_empty() || event.id().len() > ID_CHARS_MAX || event.kind.len() > ID_CHARS_MAX {
        return Err(Forged::Unreadable);
    }
    let subject = match (event.kind.as_str(), &event.invoice_id, &event.pull_payment_id) {
        ("InvoiceCreated", _, _) => Subject::Other,
        (kind, Some(invoice), _) if kind.starts_with("Invoice") => Subject::Checkout(invoice.clone()),
        // Which invoice it gives back is asked for.
        (kind, _, Some(pull)) if kind.starts_with("Payout") => {
            Subject::Refund { refund: pull.clone(), payment: pull.clone() }
        }
        _ => Subject::Other,
    };
    let reference = event.metadata.get("orderId").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Notice { event_id: event.id().to_owned(), kind: event.kind, reference, subject, is_live: None })
}

/// Whether an event is of that store; one that names none may be.
pub fn is_of(raw: &[u8], store: &str) -> bool {
    let told = Event::parse(raw).ok().and_then(|event| event.store_id);
    told.is_none_or(|told| told.is_empty() || told == store)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn about(event: &Value) -> Result<Notice, Forged> {
        read(&serde_json::to_vec(event).unwrap())
    }

    #[test]
    fn case_052_a_repetition_is_known_by_the_delivery_it_repeats() {
        let event = json!({"deliveryId": "D2", "originalDeliveryId": "D1", "isRedelivery": true, "type": "InvoiceSettled",
            "storeId": "Store1", "invoiceId": "Inv1", "metadata": {"orderId": "pay_1"}});
        let notice = about(&event).unwrap();
        assert_eq!((notice.event_id.as_str(), notice.reference.as_str()), ("D1", "pay_1"));
        assert_eq!(notice.subject, Subject::Checkout("Inv1".into()));
        let first = json!({"deliveryId": "D1", "type": "InvoiceSettled", "invoiceId": "Inv1"});
        assert_eq!(about(&first).unwrap().event_id, "D1");
    }

    #[test]
    fn events_are_reduced_to_what_they_are_about() {
        let event =
            |kind: &str| json!({"deliveryId": "D1", "type": kind, "invoiceId": "Inv1", "pullPaymentId": "Pull1"});
        for kind in EVENTS {
            let expected = if kind.starts_with("Invoice") {
                Subject::Checkout("Inv1".into())
            } else {
                Subject::Refund { refund: "Pull1".into(), payment: "Pull1".into() }
            };
            assert_eq!(about(&event(kind)).unwrap().subject, expected, "{kind}");
        }
        for kind in ["InvoiceCreated", "PaymentRequestCreated", "SubscriberCharged"] {
            assert_eq!(about(&event(kind)).unwrap().subject, Subject::Other, "{kind}");
        }
        for wrong in [
            json!({}),
            json!([]),
            json!({"deliveryId": "", "type": "InvoiceSettled"}),
            json!({"deliveryId": 1, "type": "x"}),
        ] {
            assert_eq!(about(&wrong), Err(Forged::Unreadable), "{wrong}");
        }
    }

    #[test]
    fn case_055_another_store_is_told_apart() {
        let event = serde_json::to_vec(&json!({"deliveryId": "D1", "type": "x", "storeId": "Store2"})).unwrap();
        assert!(is_of(&event, "Store2") && !is_of(&event, "Store1"));
        assert!(is_of(br#"{"deliveryId":"D1","type":"x"}"#, "Store1"));
    }

    /// The example of BTCPay Server's own documentation names no body; this one was made by Python's `hmac`.
    #[test]
    fn secure_s19_every_byte_of_body_and_signature_counts() {
        const BODY: &[u8] = br#"{"deliveryId":"D1"}"#;
        const SIGNATURE: &str = "sha256=c907f37d2f4080feb8713dc33273407a289751c35b2366f5577d8d410cad6aa4";
        let headers = |text: &str| HashMap::from([("BTCPay-Sig".to_owned(), text.to_owned())]);
        let secrets = [Secret::new("old"), Secret::new("s3cret")];
        assert_eq!(verify(BODY, &headers(SIGNATURE), &secrets), Ok(()));
        assert_eq!(verify(BODY, &headers(SIGNATURE), &secrets[..1]), Err(Forged::Wrong));
        assert_eq!(verify(BODY, &headers(SIGNATURE), &[]), Err(Forged::Wrong));
        for index in 0..BODY.len() {
            let mut body = BODY.to_vec();
            body[index] ^= 1;
            assert_eq!(verify(&body, &headers(SIGNATURE), &secrets), Err(Forged::Wrong), "body byte {index}");
        }
        for index in 0..SIGNATURE.len() {
            let mut bytes = SIGNATURE.as_bytes().to_vec();
            bytes[index] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(verify(BODY, &headers(&changed), &secrets).is_err(), "header byte {index}");
        }
        assert_eq!(verify(BODY, &HashMap::new(), &secrets), Err(Forged::Unsigned));
        for wrong in ["", "sha256=", "sha1=00", &SIGNATURE[..70]] {
            assert_eq!(verify(BODY, &headers(wrong), &secrets), Err(Forged::Unsigned), "{wrong}");
        }
        // Nobody signs with an empty secret.
        assert_eq!(verify(BODY, &headers(SIGNATURE), &[Secret::default()]), Err(Forged::Wrong));
    }
}

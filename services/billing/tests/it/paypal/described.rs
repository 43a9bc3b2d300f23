//! The stub answers as PayPal describes it, where the descriptions are beside the project.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use billing::app::refund::Ask;
use billing::domain::refund::Policy;
use serde_json::{Value, json};

use super::till::till;

/// Says that there was nothing to check with.
const NOT_INSTALLED: i32 = 77;

/// Which description an answer has to fit; none for what is not described, such as tokens.
fn described(call: &str, status: u16) -> Option<(&'static str, &'static str)> {
    let is_done = (200..300).contains(&status);
    let parts: Vec<&str> = call.split(['/', ' ']).collect();
    match parts.as_slice() {
        ["POST" | "GET", "", "v2", "checkout", "orders", ..] if is_done => Some(("checkout_orders_v2.json", "order")),
        ["POST", "", "v2", "payments", "captures", _, "refund"] if is_done => {
            Some(("payments_payment_v2.json", "refund"))
        }
        ["GET", "", "v2", "payments", "refunds", _] if is_done => Some(("payments_payment_v2.json", "refund")),
        ["GET", "", "v2", "payments", "captures", _] if is_done => Some(("payments_payment_v2.json", "capture")),
        _ => None,
    }
}

#[tokio::test]
async fn paypal_the_stub_answers_as_paypal_describes_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = root.join("../shared/reference/openapi/paypal");
    if !folder.is_dir() {
        eprintln!("SKIPPED: PayPal's API descriptions are not beside the project; the stub's answers were not checked");
        return;
    }
    let till = till().await;
    let first = till.paid().await;
    let renewal = till.charge(&first).await;
    till.drain().await;
    let ask = Ask {
        payment: renewal.id,
        invoice: None,
        amount: Some(crate::world::eur(300)),
        reason: "As asked".into(),
        policy: Policy::Keep,
    };
    let owner = ottery_testkit::actor::owner(till.world.brand);
    till.world.billing.refund_payment(&owner, till.world.brand, ask, None).await.expect("asked");
    till.drain().await;
    let answers: Vec<Value> = till
        .stub
        .answers()
        .into_iter()
        .filter_map(|(call, status, body)| {
            let (document, schema) = described(&call, status)?;
            Some(json!({"document": document, "schema": schema, "body": body}))
        })
        .collect();
    assert!(answers.len() >= 4, "an order, its capture, a renewal and a refund: {answers:?}");
    let mut child = Command::new("python3")
        .arg(root.join("scripts/paypal/check_answers.py"))
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is installed");
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(&answers).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.code() == Some(NOT_INSTALLED) {
        eprintln!("SKIPPED: Python's jsonschema is not installed; the stub's answers were not checked");
        return;
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

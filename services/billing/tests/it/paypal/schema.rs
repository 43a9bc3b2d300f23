//! PayPal's own description of its API, as far as answers can be checked against it: types, required fields, words and lengths.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;

const FILES: [&str; 5] = [
    "checkout_orders_v2.json",
    "customer_disputes_v1.json",
    "notifications_webhooks_v1.json",
    "payments_payment_v2.json",
    "vault_payment_tokens_v3.json",
];

static DESCRIBED: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/openapi/paypal");
    if !folder.is_dir() {
        eprintln!(
            "\n*** PayPal's API descriptions are not beside this clone: NOTHING the stub answers is checked. ***\n"
        );
        return Vec::new();
    }
    let read = |name: &&str| std::fs::read(folder.join(name)).expect("readable");
    FILES.iter().map(|name| serde_json::from_slice(&read(name)).expect("JSON")).collect()
});

/// What is wrong with an answer; nothing when there is no description to compare with.
pub fn fault(method: &str, path: &str, status: u16, body: &Value) -> Option<String> {
    if DESCRIBED.is_empty() {
        return None;
    }
    let found = DESCRIBED.iter().find_map(|document| Some((document, schema(document, method, path, status)?)));
    let Some((document, schema)) = found else { return Some(format!("{method} {path} has no answer {status}")) };
    compare(document, schema, body, "answer")
}

fn schema<'a>(document: &'a Value, method: &str, path: &str, status: u16) -> Option<&'a Value> {
    let (_, item) = document["paths"].as_object()?.iter().find(|(template, _)| fits(template, path))?;
    let responses = &item.get(method.to_lowercase())?["responses"];
    let response = responses.get(status.to_string()).or_else(|| responses.get("default"))?;
    Some(&resolved(document, response)["content"]["application/json"]["schema"])
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(path).all(|(part, given)| part.starts_with('{') || *part == given)
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => resolved(document, document.pointer(pointer).expect("described")),
        None => schema,
    }
}

fn compare(document: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    let schema = resolved(document, schema);
    let wrong = |why: &str| Some(format!("{at}: {why} ({value})"));
    let is_kind = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64(),
        Some("number") => value.is_number(),
        _ => true,
    };
    if !is_kind {
        return wrong("another type");
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return wrong("an unknown word");
    }
    let size = value.as_str().map(|text| text.chars().count()).or_else(|| value.as_array().map(Vec::len));
    if let Some(size) = size {
        let limit = |name: &str| schema[name].as_u64().and_then(|limit| usize::try_from(limit).ok());
        let least = limit("minLength").or_else(|| limit("minItems")).unwrap_or(0);
        let most = limit("maxLength").or_else(|| limit("maxItems")).unwrap_or(usize::MAX);
        if !(least..=most).contains(&size) {
            return wrong("of a size that is not allowed");
        }
    }
    let parts = schema["allOf"].as_array().into_iter().flatten();
    if let Some(fault) = parts.filter_map(|part| compare(document, part, value, at)).next() {
        return Some(fault);
    }
    let mut required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(missing) = required.find(|name| value.get(name).is_none()) {
        return wrong(&format!("lacks {missing}"));
    }
    let fields = schema["properties"].as_object().into_iter().flatten();
    let of_fields =
        fields.filter_map(|(name, schema)| compare(document, schema, value.get(name)?, &format!("{at}.{name}")));
    let items = value.as_array().filter(|_| schema.get("items").is_some()).into_iter().flatten().enumerate();
    let of_items =
        items.filter_map(|(place, item)| compare(document, &schema["items"], item, &format!("{at}[{place}]")));
    of_fields.chain(of_items).next()
}

#[test]
fn what_is_not_as_paypal_describes_it_is_found() {
    if DESCRIBED.is_empty() {
        return;
    }
    let path = "/v2/payments/captures/C1";
    assert_eq!(fault("GET", path, 200, &serde_json::json!({"id": "C1", "status": "COMPLETED"})), None);
    assert!(fault("GET", path, 200, &serde_json::json!({"id": "C1", "status": "PAID"})).is_some());
    assert!(fault("GET", path, 200, &serde_json::json!({"id": 1})).is_some());
    let amount = serde_json::json!({"id": "C1", "amount": {"value": "1.00"}});
    assert!(fault("GET", path, 200, &amount).is_some_and(|fault| fault.contains("currency_code")));
    assert!(fault("GET", "/v2/nothing", 200, &serde_json::json!({})).is_some());
}

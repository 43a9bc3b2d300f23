//! BTCPay Server's own description of its API, as far as answers and questions can be checked against it: paths, parameters, types,
//! required fields and words, and fields nobody described.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;

const FILES: [&str; 6] = [
    "swagger.template.json",
    "swagger.template.invoices.json",
    "swagger.template.misc.json",
    "swagger.template.pull-payments.json",
    "swagger.template.stores-payment-methods.json",
    "swagger.template.webhooks.json",
];
/// Not among the descriptions at hand; what it answers is shown nowhere.
const UNDESCRIBED: [&str; 1] = ["/api/v1/api-keys/current"];

/// The files are parts of one document.
static DESCRIBED: LazyLock<Option<Value>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/openapi/btcpay");
    if !folder.is_dir() {
        eprintln!(
            "\n*** BTCPay Server's API description is not beside this clone: NOTHING the stub is asked and answers is checked. ***\n"
        );
        return None;
    }
    let mut whole = serde_json::json!({});
    for name in FILES {
        let part: Value = serde_json::from_slice(&std::fs::read(folder.join(name)).expect("readable")).expect("JSON");
        merge(&mut whole, part);
    }
    Some(whole)
});

fn merge(into: &mut Value, part: Value) {
    match (into, part) {
        (Value::Object(into), Value::Object(part)) => {
            for (name, value) in part {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, part) => *into = part,
    }
}

/// What is wrong with an answer; nothing when there is no description to compare with.
pub fn answer_fault(method: &str, path: &str, status: u16, body: &Value) -> Option<String> {
    let document = DESCRIBED.as_ref()?;
    let Some(described) = operation(document, method, path) else { return unknown(method, path) };
    let Some(response) = described["responses"].get(status.to_string()) else {
        return Some(format!("{method} {path} has no answer {status}"));
    };
    let schema = &response["content"]["application/json"]["schema"];
    if schema.is_null() {
        return None;
    }
    compare(document, schema, body, "answer")
}

/// What is wrong with a question.
pub fn question_fault(method: &str, path: &str, query: &str, body: &Value) -> Option<String> {
    let document = DESCRIBED.as_ref()?;
    let Some(described) = operation(document, method, path) else { return unknown(method, path) };
    let parameters: Vec<&str> = described["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|parameter| parameter["in"] == "query")
        .filter_map(|parameter| parameter["name"].as_str())
        .collect();
    let mut asked = query.split('&').filter_map(|pair| Some(pair.split_once('=')?.0));
    if let Some(unknown) = asked.find(|name| !parameters.contains(name)) {
        return Some(format!("{method} {path} has no parameter {unknown}"));
    }
    let schema = &described["requestBody"]["content"]["application/json"]["schema"];
    match (schema.is_null(), body.is_null()) {
        (true, true) => None,
        (true, false) => Some(format!("{method} {path} takes no body")),
        (false, _) => compare(document, schema, body, "question"),
    }
}

/// What is wrong with what a webhook tells.
pub fn webhook_fault(kind: &str, body: &Value) -> Option<String> {
    let document = DESCRIBED.as_ref()?;
    let described = ["x-webhooks", "webhooks"].into_iter().find_map(|name| document[name].get(kind));
    let Some(described) = described else { return Some(format!("{kind} is not described")) };
    let schema = &described["post"]["requestBody"]["content"]["application/json"]["schema"];
    compare_part(document, schema, body, "webhook", true)
}

fn unknown(method: &str, path: &str) -> Option<String> {
    (!UNDESCRIBED.contains(&path)).then(|| format!("{method} {path} is not described"))
}

fn operation<'a>(document: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let path = described_as(path);
    let (_, item) = document["paths"].as_object()?.iter().find(|(template, _)| fits(template, &path))?;
    item.get(method.to_lowercase())
}

/// The description names an invoice without its store, as newer servers can; older ones want it, and both know this path.
fn described_as(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["", "api", "v1", "stores", _, "invoices", rest @ ..] if !rest.is_empty() => {
            format!("/api/v1/invoices/{}", rest.join("/"))
        }
        _ => path.to_owned(),
    }
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(path).all(|(part, given)| part.starts_with('{') || *part == given)
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => resolved(document, document.pointer(pointer).unwrap_or(&Value::Null)),
        None => schema,
    }
}

/// Every field a schema and its parts describe.
fn fields<'a>(document: &'a Value, schema: &'a Value) -> Vec<(&'a str, &'a Value)> {
    let schema = resolved(document, schema);
    let own = schema["properties"].as_object().into_iter().flatten().map(|(name, schema)| (name.as_str(), schema));
    let parts = ["allOf", "anyOf"].into_iter().flat_map(move |name| schema[name].as_array().into_iter().flatten());
    own.chain(parts.flat_map(|part| fields(document, part))).collect()
}

fn is_open(document: &Value, schema: &Value) -> bool {
    let schema = resolved(document, schema);
    schema["additionalProperties"] == true
        || schema["allOf"].as_array().into_iter().flatten().any(|part| is_open(document, part))
}

fn compare(document: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    compare_part(document, schema, value, at, false)
}

/// A part of a whole says nothing about the fields of the others.
fn compare_part(document: &Value, schema: &Value, value: &Value, at: &str, is_part: bool) -> Option<String> {
    let schema = resolved(document, schema);
    let wrong = |why: &str| Some(format!("{at}: {why} ({value})"));
    if value.is_null() && schema["nullable"] == true {
        return None;
    }
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
    if schema["format"] == "decimal" {
        let text = value.as_str().unwrap_or_default();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'-') {
            return wrong("no decimal number");
        }
    }
    let parts = schema["allOf"].as_array().into_iter().flatten();
    if let Some(fault) = parts.filter_map(|part| compare_part(document, part, value, at, true)).next() {
        return Some(fault);
    }
    let mut required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(missing) = required.find(|name| value.get(name).is_none()) {
        return wrong(&format!("lacks {missing}"));
    }
    let described = fields(document, schema);
    if let Some(given) = value.as_object().filter(|_| !is_part && !described.is_empty() && !is_open(document, schema))
        && let Some(name) = given.keys().find(|name| !described.iter().any(|(known, _)| known == &name.as_str()))
    {
        return wrong(&format!("{name} is not described"));
    }
    let own = schema["properties"].as_object().into_iter().flatten();
    let of_fields =
        own.filter_map(|(name, schema)| compare(document, schema, value.get(name)?, &format!("{at}.{name}")));
    let items = value.as_array().filter(|_| schema.get("items").is_some()).into_iter().flatten().enumerate();
    let of_items =
        items.filter_map(|(place, item)| compare(document, &schema["items"], item, &format!("{at}[{place}]")));
    of_fields.chain(of_items).next()
}

#[test]
fn what_is_not_as_btcpay_server_describes_it_is_found() {
    if DESCRIBED.is_none() {
        return;
    }
    let path = "/api/v1/stores/Store1/invoices/Inv1";
    let good = serde_json::json!({"id": "Inv1", "storeId": "Store1", "amount": "5.00", "status": "Settled",
        "additionalStatus": "PaidOver", "createdTime": 1, "metadata": {"orderId": "x", "whatever": 1}});
    assert_eq!(answer_fault("GET", path, 200, &good), None);
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        answer_fault("GET", path, 200, &changed)
    };
    assert!(with("status", serde_json::json!("Paid")).is_some_and(|fault| fault.contains("unknown word")));
    assert!(with("amount", serde_json::json!(5)).is_some_and(|fault| fault.contains("another type")));
    assert!(with("amount", serde_json::json!("five")).is_some_and(|fault| fault.contains("decimal")));
    assert!(with("stranger", serde_json::json!(1)).is_some_and(|fault| fault.contains("stranger")));
    assert!(answer_fault("GET", "/api/v1/nothing", 200, &good).is_some());
    assert!(answer_fault("GET", path, 299, &good).is_some());
    let refund = "/api/v1/stores/Store1/invoices/Inv1/refund";
    let asked = serde_json::json!({"refundVariant": "Custom", "customAmount": "1.00", "customCurrency": "EUR"});
    assert_eq!(question_fault("POST", refund, "", &asked), None);
    assert!(question_fault("POST", refund, "", &serde_json::json!({"customAmount": "1.00"})).is_some());
    let strange = serde_json::json!({"refundVariant": "Custom", "stranger": 1});
    assert!(question_fault("POST", refund, "", &strange).is_some_and(|fault| fault.contains("stranger")));
    assert!(question_fault("GET", "/api/v1/stores/Store1/invoices", "stranger=1", &Value::Null).is_some());
}

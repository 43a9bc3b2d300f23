//! `docs/apply.md`: its example is read as it stands, its table of fields is the one of the definitions.

use std::fmt::Write as _;
use std::path::Path;

use operator::apply::parse;
use serde_json::Value;

const BEGIN: &str = "<!-- fields -->\n";
const END: &str = "<!-- end of fields -->";

fn page() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/apply.md")
}

/// One row for every field of a definition, in the order of its name, what is required first.
fn rows(path: &str, schema: &Value, table: &mut String) {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut fields: Vec<_> = schema["properties"].as_object().into_iter().flatten().collect();
    fields.sort_by_key(|(name, _)| (!required.contains(&name.as_str()), name.as_str()));
    for (name, field) in fields {
        let path = format!("{path}.{name}");
        let (kind, below) = kind(field);
        let duty = match (required.contains(&name.as_str()), &field["default"]) {
            (true, _) => "required".to_owned(),
            (false, Value::Null) => String::new(),
            (false, default) if is_nothing(default) => String::new(),
            (false, default) => format!("`{}`", default.to_string().trim_matches('"')),
        };
        let said = field["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        writeln!(table, "| `{path}` | {kind} | {duty} | {said} |").unwrap();
        if let Some((end, below)) = below {
            rows(&format!("{path}{end}"), below, table);
        }
    }
}

/// Left out is the same as empty.
fn is_nothing(default: &Value) -> bool {
    match default {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// What people call a type, and the schema of what is below it.
fn kind(field: &Value) -> (String, Option<(&'static str, &Value)>) {
    if let Some(words) = field["enum"].as_array() {
        let words: Vec<String> = words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        return (words.join(", "), None);
    }
    match field["type"].as_str().unwrap_or_default() {
        "array" => {
            let (one, below) = kind(&field["items"]);
            let many = match one.as_str() {
                "whole number" => "whole numbers",
                "secret" => "secrets",
                other => other,
            };
            (format!("list of {many}"), below.map(|(_, below)| ("[]", below)))
        }
        "object" if field["properties"]["env"].is_object() => ("secret".to_owned(), None),
        "object" if field["properties"].is_object() => ("fields".to_owned(), Some(("", field))),
        "object" => ("text by name".to_owned(), None),
        "string" => ("text".to_owned(), None),
        "boolean" => ("true or false".to_owned(), None),
        other => (if other == "integer" { "whole number" } else { other }.to_owned(), None),
    }
}

fn tables() -> String {
    let mut text = String::new();
    for crd in operator::types::crds() {
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        let kind = &crd.spec.names.kind;
        write!(text, "\n### {kind}\n\n| field | type | default | meaning |\n|---|---|---|---|\n").unwrap();
        rows("spec", &schema["openAPIV3Schema"]["properties"]["spec"], &mut text);
    }
    text.push('\n');
    text
}

#[test]
fn the_table_of_fields_is_fresh() {
    let file = page();
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let fresh = format!("{before}{BEGIN}{}{END}{after}", tables());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &fresh).unwrap();
        return;
    }
    assert!(text == fresh, "docs/apply.md is stale: run `UPDATE=1 cargo test -p operator` and look at the difference");
}

#[test]
fn the_example_is_well_formed() {
    let text = std::fs::read_to_string(page()).unwrap();
    let (_, rest) = text.split_once("```yaml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let documents = parse("docs/apply.md", example).unwrap();
    let names: Vec<String> = documents.iter().map(operator::Document::what).collect();
    assert_eq!(names, ["brand/suedwind", "panel/suedwind-main", "plan/solo", "plan/family"]);
}

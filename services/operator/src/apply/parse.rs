//! A YAML stream to documents.

use serde::Deserialize;
use serde_yaml_ng::{Deserializer, Value};

use super::ApplyError;
use crate::types::{API_VERSION, Brand, Panel, Plan};

/// One document.
#[derive(Clone, Debug)]
pub enum Document {
    /// A shop.
    Brand(Box<Brand>),
    /// A panel.
    Panel(Box<Panel>),
    /// A plan.
    Plan(Box<Plan>),
}

/// Reads every document; empty ones are skipped.
///
/// # Errors
/// The first one that cannot be read, with its number and field.
pub fn parse(text: &str) -> Result<Vec<Document>, ApplyError> {
    let mut documents = Vec::new();
    for (n, part) in Deserializer::from_str(text).enumerate() {
        let number = n + 1;
        let malformed = |reason: String| ApplyError::Malformed { number, reason };
        let value = Value::deserialize(part).map_err(|error| malformed(format!("not YAML: {error}")))?;
        if value.is_null() {
            continue;
        }
        documents.push(document(value).map_err(malformed)?);
    }
    if documents.is_empty() {
        return Err(ApplyError::Malformed { number: 1, reason: "there is no document in it".to_owned() });
    }
    Ok(documents)
}

fn document(value: Value) -> Result<Document, String> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (version, kind) = (text("apiVersion"), text("kind"));
    if version != API_VERSION {
        return Err(format!("apiVersion is `{version}`, this understands `{API_VERSION}`"));
    }
    let name =
        value.get("metadata").and_then(|metadata| metadata.get("name")).and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        return Err("metadata.name is missing; for a brand it is the slug".to_owned());
    }
    match kind.as_str() {
        "Brand" => read(value).map(Box::new).map(Document::Brand),
        "Panel" => read(value).map(Box::new).map(Document::Panel),
        "Plan" => read(value).map(Box::new).map(Document::Plan),
        other => Err(format!("kind `{other}` is none of Brand, Panel, Plan")),
    }
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|error| format!("{}: {}", error.path(), error.inner()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_named_with_its_document_and_field() {
        let brand = "apiVersion: ottery.dev/v1alpha1\nkind: Brand\nmetadata: {name: nord}\nspec: {name: Nord, hosts: nord.example}\n";
        for (text, part) in [
            ("", "there is no document"),
            ("kind: [", "not YAML"),
            ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}", "understands `ottery.dev/v1alpha1`"),
            ("apiVersion: ottery.dev/v1alpha1\nkind: Shop\nmetadata: {name: a}", "kind `Shop` is none of"),
            ("apiVersion: ottery.dev/v1alpha1\nkind: Brand\nmetadata: {}", "metadata.name is missing"),
            (brand, "document 1: spec.hosts: invalid type"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let text =
            "apiVersion: ottery.dev/v1alpha1\nkind: Panel\nmetadata: {name: main}\nspec: {brand: nord, drivr: xui}\n";
        assert!(parse(text).unwrap_err().to_string().contains("drivr"));
    }
}

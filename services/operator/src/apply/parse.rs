//! A YAML stream to documents.

use std::fmt;

use serde::Deserialize;
use serde_yaml_ng::{Deserializer, Value};

use super::{ApplyError, Cause};
use crate::types::{API_VERSION, Brand, Panel, Plan};

/// Where a document was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file; empty when there is none.
    pub source: String,
    /// Counted from 1.
    pub number: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.source.is_empty() {
            write!(f, "{}, ", self.source)?;
        }
        write!(f, "document {}", self.number)
    }
}

/// One document.
#[derive(Clone, Debug)]
pub struct Document {
    /// Where it was read.
    pub place: Place,
    /// What it says.
    pub content: Content,
}

/// What a document says.
#[derive(Clone, Debug)]
pub enum Content {
    /// A shop.
    Brand(Box<Brand>),
    /// A panel.
    Panel(Box<Panel>),
    /// A plan.
    Plan(Box<Plan>),
}

impl Document {
    /// `brand/nordlicht`: kind and name.
    #[must_use]
    pub fn what(&self) -> String {
        let (kind, name) = match &self.content {
            Content::Brand(brand) => ("brand", &brand.metadata.name),
            Content::Panel(panel) => ("panel", &panel.metadata.name),
            Content::Plan(plan) => ("plan", &plan.metadata.name),
        };
        format!("{kind}/{}", name.as_deref().unwrap_or_default())
    }
}

/// Reads every document of a file; empty ones are skipped.
///
/// # Errors
/// The first one that cannot be read, with its number and field.
pub fn parse(source: &str, text: &str) -> Result<Vec<Document>, ApplyError> {
    let mut documents = Vec::new();
    for (n, part) in Deserializer::from_str(text).enumerate() {
        let place = Place { source: source.to_owned(), number: n + 1 };
        let value = match Value::deserialize(part) {
            Ok(value) if value.is_null() => continue,
            Ok(value) => value,
            Err(error) => return Err(ApplyError::at(&place, Cause::Malformed(format!("not YAML: {error}")))),
        };
        documents.push(document(&place, value)?);
    }
    if documents.is_empty() {
        let place = Place { source: source.to_owned(), number: 1 };
        return Err(ApplyError::at(&place, Cause::Malformed("there is no document in it".to_owned())));
    }
    Ok(documents)
}

fn document(place: &Place, value: Value) -> Result<Document, ApplyError> {
    let malformed = |field: &str, reason: String| {
        let error = ApplyError::at(place, Cause::Malformed(reason));
        if field.is_empty() { error } else { error.on(field) }
    };
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (version, kind) = (text("apiVersion"), text("kind"));
    if version != API_VERSION {
        return Err(malformed("apiVersion", format!("it is `{version}`, this understands `{API_VERSION}`")));
    }
    let name = value.get("metadata").and_then(|metadata| metadata.get("name")).and_then(Value::as_str);
    let name = name.unwrap_or_default().to_owned();
    if name.is_empty() {
        return Err(malformed("metadata.name", "it is missing; for a brand it is the slug".to_owned()));
    }
    let read = match kind.as_str() {
        "Brand" => read(value).map(Content::Brand),
        "Panel" => read(value).map(Content::Panel),
        "Plan" => read(value).map(Content::Plan),
        other => return Err(malformed("kind", format!("`{other}` is none of Brand, Panel, Plan"))),
    };
    let content = read.map_err(|(field, reason)| {
        let what = format!("{}/{name}", kind.to_ascii_lowercase());
        malformed(&field, reason).of(&what)
    })?;
    Ok(Document { place: place.clone(), content })
}

/// The resource, or the path that cannot be read and why.
fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<Box<T>, (String, String)> {
    serde_path_to_error::deserialize(value).map(Box::new).map_err(|error| {
        let path = error.path().to_string();
        (if path == "." { String::new() } else { path }, error.into_inner().to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_named_with_its_place_and_field() {
        let brand = "apiVersion: ottery.dev/v1alpha1\nkind: Brand\nmetadata: {name: nord}\nspec: {name: Nord, hosts: nord.example}\n";
        for (text, part) in [
            ("", "shop.yaml, document 1: there is no document"),
            ("---\n---\nkind: [", "shop.yaml, document 2: not YAML"),
            ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}", "apiVersion: it is `v1`, this understands"),
            ("apiVersion: ottery.dev/v1alpha1\nkind: Shop\nmetadata: {name: a}", "kind: `Shop` is none of"),
            ("apiVersion: ottery.dev/v1alpha1\nkind: Brand\nmetadata: {}", "metadata.name: it is missing"),
            (brand, "shop.yaml, document 1, brand/nord: spec.hosts: invalid type"),
        ] {
            let error = parse("shop.yaml", text).unwrap_err().to_string();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }

    #[test]
    fn an_unknown_field_is_refused_with_those_that_are_known() {
        let text =
            "apiVersion: ottery.dev/v1alpha1\nkind: Panel\nmetadata: {name: main}\nspec: {brand: nord, drivr: xui}\n";
        let error = parse("", text).unwrap_err();
        assert_eq!(error.field.as_deref(), Some("spec.drivr"));
        let said = error.to_string();
        assert!(
            said.contains("document 1, panel/main: spec.drivr: unknown field") && said.contains("`driver`"),
            "{said}"
        );
    }

    #[test]
    fn empty_documents_are_counted_and_skipped() {
        let plan = "apiVersion: ottery.dev/v1alpha1\nkind: Plan\nmetadata: {name: solo}\nspec: {brand: nord, state: Draft, name: Solo, connections: 1, mapping: {bouquetIds: [1], outputs: [hls]}, prices: []}\n";
        let documents = parse("", &format!("---\n# nothing\n---\n{plan}")).unwrap();
        assert_eq!((documents.len(), documents[0].place.number), (1, 2));
        assert_eq!(documents[0].what(), "plan/solo");
    }
}

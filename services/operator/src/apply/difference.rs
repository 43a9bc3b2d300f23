//! What differs between two states of a thing, field by field, in the words of documents.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// Characters of a value that are shown; a logo has thousands.
const SHOWN_MAX: usize = 60;

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// `spec.prices[0].amount`
    pub field: String,
    /// What it was; none when it was not there, or is a secret.
    pub before: Option<String>,
    /// What it becomes; none when it goes, or is a secret.
    pub after: Option<String>,
}

impl FieldChange {
    /// A secret differs; which one is nobody's business.
    pub(super) fn secret(field: impl Into<String>) -> Self {
        Self { field: field.into(), before: None, after: None }
    }
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nothing = "nothing";
        match (&self.before, &self.after) {
            (None, None) => write!(f, "{}: another secret", self.field),
            (before, after) => write!(
                f,
                "{}: {} -> {}",
                self.field,
                before.as_deref().unwrap_or(nothing),
                after.as_deref().unwrap_or(nothing)
            ),
        }
    }
}

/// What differs between two specifications.
pub(super) fn between<T: Serialize>(before: &T, after: &T) -> Vec<FieldChange> {
    let (mut before, mut after) = (leaves(before), leaves(after));
    let fields: BTreeSet<String> = before.keys().chain(after.keys()).cloned().collect();
    fields
        .into_iter()
        .map(|field| FieldChange { before: before.remove(&field), after: after.remove(&field), field })
        .filter(|change| change.before != change.after)
        .map(|change| FieldChange { before: change.before.map(cut), after: change.after.map(cut), ..change })
        .collect()
}

fn cut(text: String) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

fn leaves<T: Serialize>(spec: &T) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    collect("spec", &serde_json::to_value(spec).unwrap_or_default(), &mut found);
    found
}

fn collect(path: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => {
            found.insert(path.to_owned(), text.clone());
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                collect(&format!("{path}[{n}]"), item, found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                collect(&format!("{path}.{name}"), field, found);
            }
        }
        Value::Bool(_) | Value::Number(_) => {
            found.insert(path.to_owned(), value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_leaf_that_differs_is_told_and_nothing_else() {
        let before = json!({ "name": "Solo", "prices": [{ "amount": "7.99 EUR" }], "trialDays": 3, "summary": "" });
        let after =
            json!({ "name": "Solo", "prices": [{ "amount": "8.99 EUR" }, { "amount": "9.99 USD" }], "trialDays": 3 });
        let told: Vec<String> = between(&before, &after).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["spec.prices[0].amount: 7.99 EUR -> 8.99 EUR", "spec.prices[1].amount: nothing -> 9.99 USD"]);
    }

    #[test]
    fn a_long_value_is_cut_after_it_was_compared() {
        let of = |end: &str| json!({ "logo": format!("{}{end}", "a".repeat(100)) });
        let told = between(&of("b"), &of("c"));
        assert_eq!(told[0].after.as_ref().unwrap().chars().count(), SHOWN_MAX + 1);
        assert_eq!(FieldChange::secret("spec.apiKeyFrom").to_string(), "spec.apiKeyFrom: another secret");
    }
}

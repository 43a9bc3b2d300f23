//! What may be set: read from the embedded text, including the settings that have no default.

use toml::{Table, Value};

use super::error::line_of;
use super::{ConfigError, Section};

/// Defaults and the tree of everything that may be set.
pub(super) struct Shape {
    /// The values that apply when nobody sets anything.
    pub(super) defaults: Table,
    /// As `defaults`, with the optional settings filled in by their examples.
    pub(super) known: Table,
}

impl Shape {
    pub(super) fn of(section: Section) -> Result<Self, ConfigError> {
        let read = |text: &str| {
            text.parse::<Table>().map_err(|error| ConfigError::Defaults {
                section: section.name,
                line: line_of(text, &error),
                reason: error.message().to_owned(),
            })
        };
        let with_optional: Vec<&str> =
            section.defaults.lines().map(|line| optional_setting(line).unwrap_or(line)).collect();
        Ok(Self { defaults: read(section.defaults)?, known: read(&with_optional.join("\n"))? })
    }

    /// Every key that may be set, dotted, with the section in front.
    pub(super) fn keys(&self, section: &str) -> Vec<String> {
        let mut keys = Vec::new();
        collect_keys(section, &self.known, &mut keys);
        keys
    }
}

/// `#key = …` without the sign; a comment has a space after it.
fn optional_setting(line: &str) -> Option<&str> {
    let setting = line.strip_prefix('#')?;
    let (key, _) = setting.split_once('=')?;
    let key = key.trim_end();
    let bare = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.');
    (!key.is_empty() && key.bytes().all(bare)).then_some(setting)
}

fn collect_keys(prefix: &str, table: &Table, keys: &mut Vec<String>) {
    for (name, value) in table {
        let key = format!("{prefix}.{name}");
        match value {
            Value::Table(inner) if !inner.is_empty() => collect_keys(&key, inner, keys),
            _ => keys.push(key),
        }
    }
}

/// The key of `candidates` that looks most like `key`, when it looks like it at all.
pub(super) fn nearest<'a>(key: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    const SIMILARITY_MIN: f64 = 0.7;
    candidates
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(key, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate.to_owned())
}

/// A word for a value's type that reads well after "must be".
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

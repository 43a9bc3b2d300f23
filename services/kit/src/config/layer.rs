//! Merging: each layer is checked against the shape and laid over the one below.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::shape::{Shape, nearest, type_name};
use super::{ConfigError, Origin, Section, Sources};

/// The merged values of one service and where each came from.
pub(super) struct Merged {
    pub(super) table: Table,
    pub(super) origins: BTreeMap<String, Origin>,
}

pub(super) fn merge(section: Section, sources: &Sources) -> Result<Merged, ConfigError> {
    let shape = Shape::of(section)?;
    let keys = shape.keys(section.name);
    let mut merged = Merged { table: Table::new(), origins: BTreeMap::new() };
    let overlay = |merged: &mut Merged, table: Table, origin: &Origin| {
        let mut overlay = Overlay { keys: &keys, origins: &mut merged.origins, origin };
        overlay.lay(section.name, &mut merged.table, table, &shape.known)
    };

    overlay(&mut merged, shape.defaults.clone(), &Origin::Default)?;
    if let Some((path, file)) = sources.file() {
        let origin = Origin::File(path.to_owned());
        match file.get(section.name) {
            None => {}
            Some(Value::Table(table)) => overlay(&mut merged, table.clone(), &origin)?,
            Some(value) => {
                let (expected, got) = ("a table", type_name(value));
                return Err(ConfigError::Type { key: section.name.to_owned(), origin, expected, got });
            }
        }
    }
    for (variable, path, text) in sources.variables_of(section.name) {
        let origin = Origin::Environment(variable.to_owned());
        let value = match known_at(&shape.known, &path) {
            Some(known) => read_variable(text, known).ok_or_else(|| ConfigError::Type {
                key: dotted(section.name, &path),
                origin: origin.clone(),
                expected: type_name(known),
                got: "something else",
            })?,
            // Below an empty table nothing is known of the type; an unknown key is refused just below.
            None => Value::String(text.to_owned()),
        };
        overlay(&mut merged, nested(&path, value), &origin)?;
    }
    for (path, value) in sources.overrides_of(section.name) {
        overlay(&mut merged, nested(&path, value.clone()), &Origin::Override)?;
    }
    Ok(merged)
}

struct Overlay<'a> {
    keys: &'a [String],
    origins: &'a mut BTreeMap<String, Origin>,
    origin: &'a Origin,
}

impl Overlay<'_> {
    fn lay(&mut self, prefix: &str, below: &mut Table, above: Table, known: &Table) -> Result<(), ConfigError> {
        for (name, value) in above {
            let key = format!("{prefix}.{name}");
            let Some(expected) = known.get(&name) else {
                let origin = self.origin.clone();
                let nearest = nearest(&key, self.keys.iter().map(String::as_str));
                return Err(ConfigError::UnknownKey { key, origin, nearest });
            };
            match (expected, value) {
                (Value::Table(expected), Value::Table(value)) => {
                    let inner = below.entry(name).or_insert_with(|| Value::Table(Table::new()));
                    if let Value::Table(inner) = inner {
                        if expected.is_empty() {
                            self.lay_free(&key, inner, value);
                        } else {
                            self.lay(&key, inner, value, expected)?;
                        }
                    }
                }
                (expected, value) if same_type(expected, &value) => {
                    below.insert(name, value);
                    self.origins.insert(key, self.origin.clone());
                }
                (expected, value) => {
                    let (expected, got) = (type_name(expected), type_name(&value));
                    return Err(ConfigError::Type { key, origin: self.origin.clone(), expected, got });
                }
            }
        }
        Ok(())
    }

    /// Below a table that is empty in the defaults every key is welcome.
    fn lay_free(&mut self, prefix: &str, below: &mut Table, above: Table) {
        for (name, value) in above {
            let key = format!("{prefix}.{name}");
            match (below.get_mut(&name), value) {
                (Some(Value::Table(inner)), Value::Table(value)) => self.lay_free(&key, inner, value),
                (_, Value::Table(value)) => {
                    let mut inner = Table::new();
                    self.lay_free(&key, &mut inner, value);
                    below.insert(name, Value::Table(inner));
                }
                (_, value) => {
                    below.insert(name, value);
                    self.origins.insert(key, self.origin.clone());
                }
            }
        }
    }
}

fn same_type(expected: &Value, value: &Value) -> bool {
    // A whole number is a fine number.
    expected.same_type(value) || matches!((expected, value), (Value::Float(_), Value::Integer(_)))
}

/// What is known about the value at this path.
fn known_at<'a>(known: &'a Table, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let value = known.get(first)?;
    match (value, rest) {
        (value, []) => Some(value),
        (Value::Table(inner), rest) => known_at(inner, rest),
        _ => None,
    }
}

/// A variable's text as the type the setting has: text as it is, everything else as TOML, lists also comma separated.
fn read_variable(text: &str, known: &Value) -> Option<Value> {
    match known {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Array(items) if !text.trim_start().starts_with('[') => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            let example = items.first().cloned().unwrap_or_else(|| Value::String(String::new()));
            parts.map(|part| read_variable(part, &example)).collect::<Option<_>>().map(Value::Array)
        }
        _ => {
            // The variable is data: only the one value may come out of it.
            let mut table = format!("value = {}", text.trim()).parse::<Table>().ok()?;
            let value = table.remove("value").filter(|_| table.is_empty())?;
            same_type(known, &value).then_some(value)
        }
    }
}

fn nested(path: &[String], value: Value) -> Table {
    let mut table = Table::new();
    if let Some((first, rest)) = path.split_first() {
        let value = if rest.is_empty() { value } else { Value::Table(nested(rest, value)) };
        table.insert(first.clone(), value);
    }
    table
}

fn dotted(section: &str, path: &[String]) -> String {
    format!("{section}.{}", path.join("."))
}

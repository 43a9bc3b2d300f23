//! Settings in layers: embedded defaults, a file, environment variables, overrides of the program.
//!
//! A service embeds a TOML text with every setting, its default and a comment. That text is also the list of what may be
//! set: a key that is not in it is refused, wherever it came from, with the nearest key that exists. A setting without
//! a default is written there as `#key = "example"` (no space after the sign), and an empty table takes any keys.
//!
//! | layer | form |
//! |---|---|
//! | defaults | the embedded text |
//! | file | `--config` or `OTTERY_CONFIG`, one table per service: `[billing]` |
//! | environment | `OTTERY_BILLING__DATABASE__URL` sets `billing.database.url` |
//! | overrides | set by the program, for example by `ottery up` for its private database |

mod error;
mod layer;
mod shape;
mod sources;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::ConfigError;
pub use sources::Sources;

/// The settings of one service: its name and the embedded text.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Table of the file and first word of the environment variables.
    pub name: &'static str,
    /// The embedded TOML text, a comment over every key.
    pub defaults: &'static str,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The embedded text.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// This environment variable.
    Environment(String),
    /// The program itself.
    Override,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(variable) => write!(f, "environment variable {variable}"),
            Self::Override => f.write_str("an override of this command"),
        }
    }
}

/// Settings and where each of them came from.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// The settings.
    pub value: T,
    /// Dotted key (`billing.database.url`) to the layer that set it.
    pub origins: BTreeMap<String, Origin>,
}

/// One line of `ottery config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The dotted key.
    pub key: String,
    /// The value as TOML; dots for a secret.
    pub value: String,
    /// The layer that set it.
    pub origin: Origin,
}

/// Merges the layers of one service and reads them as `T`.
///
/// # Errors
/// When a key is unknown, has the wrong type or a value `T` refuses; the message names key and source.
pub fn load<T: DeserializeOwned>(section: Section, sources: &Sources) -> Result<Loaded<T>, ConfigError> {
    let merged = layer::merge(section, sources)?;
    let origins = merged.origins;
    let value = serde_path_to_error::deserialize(toml::Value::Table(merged.table)).map_err(|error| {
        let key = match error.path().to_string() {
            path if path == "." => section.name.to_owned(),
            path => format!("{}.{path}", section.name),
        };
        let reason = error.inner().message().to_owned();
        match origin_of(&origins, &key) {
            Some(origin) => ConfigError::Value { key, origin: origin.clone(), reason },
            None => ConfigError::Missing { key, reason },
        }
    })?;
    Ok(Loaded { value, origins })
}

/// The origin of a key, or of the nearest table around it that has one.
fn origin_of<'a>(origins: &'a BTreeMap<String, Origin>, key: &str) -> Option<&'a Origin> {
    let mut key = key;
    loop {
        if let Some(origin) = origins.get(key) {
            return Some(origin);
        }
        key = &key[..key.rfind(['.', '['])?];
    }
}

impl<T: Serialize> Loaded<T> {
    /// Every setting with its value and origin. A [`Secret`](crate::secret::Secret) shows as dots because of its type,
    /// whatever its key is called.
    ///
    /// # Errors
    /// When the settings cannot be written as TOML.
    pub fn describe(&self, section: Section) -> Result<Vec<Described>, ConfigError> {
        let value = toml::Value::try_from(&self.value)
            .map_err(|error| ConfigError::Describe { section: section.name, reason: error.to_string() })?;
        let mut lines = Vec::new();
        self.describe_into(section.name, &value, &mut lines);
        Ok(lines)
    }

    fn describe_into(&self, key: &str, value: &toml::Value, lines: &mut Vec<Described>) {
        match value {
            toml::Value::Table(table) if !table.is_empty() => {
                for (name, value) in table {
                    self.describe_into(&format!("{key}.{name}"), value, lines);
                }
            }
            value => {
                let origin = origin_of(&self.origins, key).cloned().unwrap_or(Origin::Default);
                lines.push(Described { key: key.to_owned(), value: value.to_string(), origin });
            }
        }
    }
}

#[cfg(test)]
mod tests;

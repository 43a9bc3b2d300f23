use std::path::PathBuf;

use super::Origin;

/// Why the settings were refused. No message contains a value that might be secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The embedded text of a service is broken, which is our own mistake.
    #[error("the embedded defaults of `{section}` are not valid TOML (line {line}): {reason}")]
    Defaults {
        /// The service.
        section: &'static str,
        /// Counted from 1.
        line: usize,
        /// What the parser said.
        reason: String,
    },
    /// The file is missing or unreadable.
    #[error("cannot read the configuration file {path}")]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("the configuration file {path} is not valid TOML (line {line}): {reason}")]
    ParseFile {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What the parser said.
        reason: String,
    },
    /// No service has this key.
    #[error("unknown key `{key}` (from {origin}){}", suggest(nearest.as_deref()))]
    UnknownKey {
        /// The dotted key.
        key: String,
        /// Where it was set.
        origin: Origin,
        /// The key that was probably meant.
        nearest: Option<String>,
    },
    /// The value has another type than the default.
    #[error("`{key}` (from {origin}) must be {expected}, got {got}")]
    Type {
        /// The dotted key.
        key: String,
        /// Where it was set.
        origin: Origin,
        /// The type it has in the defaults.
        expected: &'static str,
        /// The type that was given.
        got: &'static str,
    },
    /// The type is right, the value is not.
    #[error("`{key}` (from {origin}) is not accepted: {reason}")]
    Value {
        /// The dotted key.
        key: String,
        /// Where it was set.
        origin: Origin,
        /// What is wrong with it.
        reason: String,
    },
    /// A setting without a default was not set.
    #[error("`{key}` is not set: {reason}")]
    Missing {
        /// The dotted key.
        key: String,
        /// What the reader said.
        reason: String,
    },
    /// An environment variable is not valid UTF-8.
    #[error("the environment variable {0} is not valid UTF-8")]
    NotText(String),
    /// The settings could not be listed.
    #[error("the settings of `{section}` cannot be listed: {reason}")]
    Describe {
        /// The service.
        section: &'static str,
        /// What the writer said.
        reason: String,
    },
}

fn suggest(nearest: Option<&str>) -> String {
    nearest.map(|key| format!("; did you mean `{key}`?")).unwrap_or_default()
}

/// The line, counted from 1, at which a parser stopped. Its own message would quote the line, secrets included.
pub(super) fn line_of(text: &str, error: &toml::de::Error) -> usize {
    let end = error.span().map_or(0, |span| span.start.min(text.len()));
    text.as_bytes()[..end].iter().filter(|byte| **byte == b'\n').count() + 1
}

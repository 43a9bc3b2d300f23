//! Where a secret comes from.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Exactly one place a secret is read from.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretSource {
    /// Environment variable of whoever applies the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// File that whoever applies the document can read; its final line end is ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The secret itself; for trying out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl std::fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretSource").field("env", &self.env).field("file", &self.file).finish_non_exhaustive()
    }
}

/// Why a secret could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// None or several places.
    #[error("name exactly one of env, file and value")]
    NotOne,
    /// The variable is not set.
    #[error("environment variable `{0}` is not set; set it, or name another `env`, a `file` or a `value`")]
    Unset(String),
    /// The file cannot be read.
    #[error("cannot read the file `{path}`")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is nothing in it.
    #[error("the secret is empty")]
    Empty,
}

impl SecretSource {
    /// Reads the secret.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn read(&self) -> Result<String, SecretError> {
        let text = match (&self.env, &self.file, &self.value) {
            (Some(name), None, None) => std::env::var(name).map_err(|_| SecretError::Unset(name.clone()))?,
            (None, Some(path), None) => std::fs::read_to_string(path)
                .map_err(|source| SecretError::Unreadable { path: path.clone(), source })?
                .trim_end_matches(['\r', '\n'])
                .to_owned(),
            (None, None, Some(value)) => value.clone(),
            _ => return Err(SecretError::NotOne),
        };
        if text.is_empty() { Err(SecretError::Empty) } else { Ok(text) }
    }
}

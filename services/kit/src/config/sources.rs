//! Where the layers above the defaults come from.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::error::line_of;
use super::shape::nearest;
use super::{ConfigError, Origin, Section};

const PREFIX: &str = "OTTERY_";
/// Names the configuration file when no flag does.
const FILE_VARIABLE: &str = "OTTERY_CONFIG";

/// The file, the environment and the program's own settings, read once per process.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    file: Option<(PathBuf, Table)>,
    /// Variables that start with `OTTERY_`, sorted by name.
    variables: Vec<(String, String)>,
    /// Path with the section first.
    overrides: Vec<(Vec<String>, Value)>,
}

impl Sources {
    /// Nothing but defaults.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// What this process was given: the file of the flag or of `OTTERY_CONFIG`, and the environment.
    ///
    /// # Errors
    /// When the file cannot be read or a variable is not text.
    pub fn of_process(config_flag: Option<&Path>) -> Result<Self, ConfigError> {
        let sources = Self::none().with_environment(std::env::vars_os())?;
        let named = sources.variables.iter().find(|(name, _)| name == FILE_VARIABLE);
        let file = config_flag.map(Path::to_owned).or_else(|| named.map(|(_, path)| PathBuf::from(path)));
        match file {
            Some(path) => sources.with_file(&path),
            None => Ok(sources),
        }
    }

    /// Adds a TOML file, one table per service.
    ///
    /// # Errors
    /// When the file cannot be read or is no TOML.
    pub fn with_file(mut self, path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::ReadFile { path: path.to_owned(), source })?;
        let table = text.parse::<Table>().map_err(|error| ConfigError::ParseFile {
            path: path.to_owned(),
            line: line_of(&text, &error),
            reason: error.message().to_owned(),
        })?;
        self.file = Some((path.to_owned(), table));
        Ok(self)
    }

    /// Adds those of the variables that start with `OTTERY_`.
    ///
    /// # Errors
    /// When one of them is not valid UTF-8.
    pub fn with_environment<K, V>(mut self, variables: impl IntoIterator<Item = (K, V)>) -> Result<Self, ConfigError>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        for (name, value) in variables {
            // A name that is no text cannot be one of ours.
            let Ok(name) = name.into().into_string() else { continue };
            if name.starts_with(PREFIX) {
                let value = value.into().into_string().map_err(|_| ConfigError::NotText(name.clone()))?;
                self.variables.push((name, value));
            }
        }
        self.variables.sort();
        Ok(self)
    }

    /// Sets one key above everything else, for example `billing.database.url`.
    #[must_use]
    pub fn with_override(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.overrides.push((key.split('.').map(str::to_owned).collect(), value.into()));
        self
    }

    /// Refuses what no service would look at: tables of the file and `OTTERY_` variables of no section. `plain` lists
    /// the variables that are no settings, such as `OTTERY_PG_BIN`.
    ///
    /// # Errors
    /// When there is one; keys inside a section are checked by [`load`](super::load).
    pub fn refuse_unknown(&self, sections: &[Section], plain: &[&str]) -> Result<(), ConfigError> {
        let known = |name: &str| sections.iter().any(|section| section.name == name);
        if let Some((path, table)) = &self.file
            && let Some(name) = table.keys().find(|name| !known(name))
        {
            let nearest = nearest(name, sections.iter().map(|section| section.name));
            return Err(ConfigError::UnknownKey { key: name.clone(), origin: Origin::File(path.clone()), nearest });
        }
        for (variable, _) in &self.variables {
            let section = variable[PREFIX.len()..].split_once("__").map(|(section, _)| section.to_ascii_lowercase());
            let owned = section.as_deref().is_some_and(known);
            if !owned && variable != FILE_VARIABLE && !plain.contains(&variable.as_str()) {
                let prefixes: Vec<String> =
                    sections.iter().map(|section| format!("{PREFIX}{}__", section.name.to_ascii_uppercase())).collect();
                let typed = variable.find("__").map_or(variable.as_str(), |end| &variable[..end + 2]);
                let candidates = prefixes.iter().map(String::as_str).chain(plain.iter().copied());
                return Err(ConfigError::UnknownKey {
                    key: section.unwrap_or_else(|| variable.clone()),
                    origin: Origin::Environment(variable.clone()),
                    nearest: nearest(typed, candidates.chain([FILE_VARIABLE])),
                });
            }
        }
        Ok(())
    }

    pub(super) fn file(&self) -> Option<(&Path, &Table)> {
        self.file.as_ref().map(|(path, table)| (path.as_path(), table))
    }

    /// Variables of a section: name, path below the section, text.
    pub(super) fn variables_of(&self, section: &str) -> impl Iterator<Item = (&str, Vec<String>, &str)> {
        let prefix = format!("{PREFIX}{}__", section.to_ascii_uppercase());
        self.variables.iter().filter_map(move |(name, text)| {
            let path = name.strip_prefix(&prefix)?.split("__").map(str::to_ascii_lowercase).collect();
            Some((name.as_str(), path, text.as_str()))
        })
    }

    pub(super) fn overrides_of(&self, section: &str) -> impl Iterator<Item = (Vec<String>, &Value)> {
        self.overrides.iter().filter_map(move |(path, value)| {
            let (first, rest) = path.split_first()?;
            (first == section && !rest.is_empty()).then(|| (rest.to_vec(), value))
        })
    }
}

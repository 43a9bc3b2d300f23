//! What is remembered. Every function takes the caller's transaction; none begins or commits one.

pub mod call;
pub mod drift;
pub mod drift_rule;
pub mod drift_scan;
pub mod due;
pub mod panel;
pub mod service;
pub mod task;

/// A stored value that the code does not know; the database was changed by hand or by a newer version.
#[derive(Debug, thiserror::Error)]
#[error("column {column} holds `{value}`, which this version does not know")]
pub struct Unknown {
    /// The column.
    pub column: &'static str,
    /// Its value.
    pub value: String,
}

impl From<Unknown> for sqlx::Error {
    fn from(error: Unknown) -> Self {
        Self::ColumnDecode { index: error.column.to_owned(), source: Box::new(error) }
    }
}

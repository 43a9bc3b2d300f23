//! What catalog remembers. Functions take the caller's open transaction; none begins or commits one.

pub mod brand;
pub mod coupon;
pub mod plan;
pub mod tax;

/// A row that the domain cannot read back.
#[derive(Debug, thiserror::Error)]
#[error("stored {what} cannot be read")]
pub struct Unreadable {
    /// Which row.
    pub what: String,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl Unreadable {
    fn error(what: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
        sqlx::Error::Decode(Box::new(Self { what: what.into(), source: source.into() }))
    }
}

//! SQL. Every function works in the caller's open transaction; none begins or commits.

pub mod account;
pub mod api_key;
pub mod audit;
pub mod backoff;
pub mod brand;
pub mod device;
pub mod grant;
pub mod mail;
pub mod second_factor;
pub mod session;
pub mod setup;

use crate::domain::token::Hash;

/// A stored hash; the schema holds its length.
fn hash(bytes: Vec<u8>) -> sqlx::Result<Hash> {
    bytes.try_into().map_err(|_| sqlx::Error::Decode("a hash has 32 bytes".into()))
}

//! Calls whose answer is an id or as short, and that are safe to repeat: the key is kept in the transaction of the effect.

use std::str::FromStr;

use ottery_kit::grpc::Problem;
use ottery_kit::idempotency::{self, Begin};
use sqlx::postgres::PgTransaction;

use super::broken;
use super::order::{Idempotency, key_problem};

/// What the first call with this key made; none when this is the first.
///
/// # Errors
/// When the key was used for something else, or that call is still at work.
pub async fn made<T>(tx: &mut PgTransaction<'_>, call: Option<&Idempotency>) -> Result<Option<T>, Problem>
where
    T: FromStr<Err: std::error::Error + 'static>,
{
    let Some(call) = call else { return Ok(None) };
    match idempotency::begin(tx, &call.scope, &call.key, &call.hash).await.map_err(key_problem)? {
        Begin::Fresh => Ok(None),
        Begin::Replay(bytes) => String::from_utf8_lossy(&bytes).parse().map(Some).map_err(broken),
    }
}

/// Keeps what this call made. Nothing to do for a call without a key.
///
/// # Errors
/// When the database fails.
pub async fn keep(
    tx: &mut PgTransaction<'_>,
    call: Option<&Idempotency>,
    made: impl ToString + Send,
) -> Result<(), Problem> {
    let Some(call) = call else { return Ok(()) };
    Ok(idempotency::finish(tx, &call.scope, &call.key, made.to_string().as_bytes()).await?)
}

//! What notification remembers; rows are the transaction's brand's only, except `due`.

pub mod delivery;
pub mod due;
pub mod profile;
pub mod subscription;
pub mod template;

use ottery_kernel::BrandId;
use sqlx::postgres::PgTransaction;

/// Makes the rest of the transaction see the rows of this brand: for events of the platform, which come without one.
pub async fn enter(tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<()> {
    sqlx::query_scalar!("SELECT set_config('ottery.brand', $1, true)", brand.as_uuid().to_string())
        .fetch_one(&mut **tx)
        .await?;
    Ok(())
}

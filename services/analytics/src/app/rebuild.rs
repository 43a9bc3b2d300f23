//! Recomputing every projection of a brand from its log.

use ottery_kernel::{AccountId, BrandId};
use ottery_kit::db::{Scope, begin};
use sqlx::PgPool;

use super::{App, AppError};
use crate::domain::movements;
use crate::store::{log, movement};

const BATCH: i64 = 500;

/// What a rebuild found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Events read.
    pub events: i64,
    /// Movements they make.
    pub movements: usize,
    /// Customers whose stored movements differed.
    pub different: usize,
}

impl App {
    /// Recomputes a brand, a batch of customers per transaction; readers see each customer old or new, never half.
    pub async fn rebuild(&self, brand: BrandId) -> Result<Rebuilt, AppError> {
        walk(&self.pool, brand, true).await
    }
}

/// The same without writing: for `ottery doctor`.
///
/// # Errors
/// The database cannot be read.
pub async fn differences(pool: &PgPool, brand: BrandId) -> Result<Rebuilt, AppError> {
    walk(pool, brand, false).await
}

async fn walk(pool: &PgPool, brand: BrandId, write: bool) -> Result<Rebuilt, AppError> {
    let mut rebuilt = Rebuilt::default();
    let mut after: Option<AccountId> = None;
    loop {
        let mut tx = begin(pool, Scope::Brand(brand)).await?;
        if after.is_none() {
            rebuilt.events = log::count(&mut tx).await?;
        }
        let accounts = log::accounts(&mut tx, after, BATCH).await?;
        let Some(last) = accounts.last() else { return Ok(rebuilt) };
        after = Some(*last);
        for account in accounts {
            if write {
                log::lock_account(&mut tx, account).await?;
            }
            let fresh = movements(account, &log::of_account(&mut tx, account).await?);
            rebuilt.movements += fresh.len();
            if movement::of_account(&mut tx, account).await? != fresh {
                rebuilt.different += 1;
                if write {
                    movement::replace(&mut tx, brand, account, &fresh).await?;
                }
            }
        }
        tx.commit().await?;
    }
}

//! Use cases: one public function, one transaction.

mod approve;
mod error;
mod refer;

use std::sync::Arc;

use ottery_kernel::{AccountId, AffiliateId, BrandId, Clock, CommissionId, Money};
use ottery_kit::clock;
use ottery_kit::db::{Scope, begin};
use sqlx::PgPool;

pub use approve::{due, run_approvals};
pub use error::AppError;
pub use refer::{dispute_changed, refund_succeeded, settled};

use crate::domain::{Commission, CommissionState, code};
use crate::store::affiliate::{self, Affiliate};
use crate::store::commission;

/// Codes tried before giving up; two in a row are taken about once in a billion affiliates.
const CODE_ATTEMPTS: u8 = 5;

/// What the use cases work with.
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) pool: PgPool,
    pub(crate) clock: Arc<dyn Clock>,
}

/// An affiliate with what they have earned.
#[derive(Clone, Debug)]
pub struct AffiliateDetail {
    /// The affiliate.
    pub affiliate: Affiliate,
    /// In the hold window, per currency.
    pub pending: Vec<Money>,
    /// Earned, per currency.
    pub approved: Vec<Money>,
}

impl App {
    /// Use cases over this database.
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>) -> Self {
        Self { pool, clock }
    }

    /// Makes an account an affiliate; one that is already stays as it is.
    pub async fn join(&self, brand: BrandId, account: AccountId, email: &str) -> Result<AffiliateDetail, AppError> {
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let now = clock::brand_now(&mut tx, brand, &*self.clock).await?;
        let id = AffiliateId::new(now);
        for attempt in 0..CODE_ATTEMPTS {
            let code = code::of(id.as_uuid(), attempt);
            let added = affiliate::insert(&mut tx, brand, id, account, email, &code, now).await?;
            if added || affiliate::get(&mut tx, None, Some(account)).await?.is_some() {
                break;
            }
        }
        let found = affiliate::get(&mut tx, None, Some(account)).await?.ok_or(AppError::NoCode)?;
        let detail = self.detail(&mut tx, found).await?;
        tx.commit().await?;
        Ok(detail)
    }

    /// An affiliate by id or by account.
    pub async fn affiliate(
        &self,
        brand: BrandId,
        id: Option<AffiliateId>,
        account: Option<AccountId>,
    ) -> Result<AffiliateDetail, AppError> {
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let found = affiliate::get(&mut tx, id, account).await?.ok_or(AppError::NotFound)?;
        self.detail(&mut tx, found).await
    }

    /// Affiliates, newest first; one more than `limit` says that there are more.
    pub async fn affiliates(
        &self,
        brand: BrandId,
        before: Option<AffiliateId>,
        limit: i64,
    ) -> Result<Vec<AffiliateDetail>, AppError> {
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let mut details = Vec::new();
        for found in affiliate::list(&mut tx, before, limit + 1).await? {
            details.push(self.detail(&mut tx, found).await?);
        }
        Ok(details)
    }

    async fn detail(&self, tx: &mut sqlx::PgConnection, affiliate: Affiliate) -> Result<AffiliateDetail, AppError> {
        let pending = commission::sums(tx, affiliate.id, CommissionState::Pending).await?;
        let approved = commission::sums(tx, affiliate.id, CommissionState::Approved).await?;
        Ok(AffiliateDetail { affiliate, pending, approved })
    }

    /// Counts a visit over a link; says whether the code is somebody's.
    pub async fn click(&self, brand: BrandId, code: &str) -> Result<bool, AppError> {
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let Some(referrer) = affiliate::by_code(&mut tx, code).await? else { return Ok(false) };
        let now = clock::brand_now(&mut tx, brand, &*self.clock).await?;
        affiliate::count_click(&mut tx, brand, referrer.id, now.date_naive()).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Commissions, newest first; one more than `limit` says that there are more.
    pub async fn commissions(
        &self,
        brand: BrandId,
        affiliate: Option<AffiliateId>,
        before: Option<CommissionId>,
        limit: i64,
    ) -> Result<Vec<Commission>, AppError> {
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        Ok(commission::list(&mut tx, affiliate, before, limit + 1).await?)
    }
}

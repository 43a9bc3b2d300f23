//! Use cases: one public function, one transaction.

mod error;
mod rebuild;
mod record;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, Clock, Money, MovementId};
use ottery_kit::clock;
use ottery_kit::db::{Scope, begin};
use sqlx::PgPool;

pub use error::AppError;
pub use rebuild::{Rebuilt, differences};
pub use record::record;

use crate::domain::Movement;
use crate::store::movement;

/// What the use cases work with.
#[derive(Clone, Debug)]
pub struct App {
    pool: PgPool,
    clock: Arc<dyn Clock>,
}

/// Revenue at an instant.
#[derive(Clone, Debug)]
pub struct Revenue {
    /// Per currency.
    pub mrr: Vec<Money>,
    /// Customers with revenue above zero.
    pub paying_customers: i64,
    /// The instant.
    pub as_of: DateTime<Utc>,
}

impl App {
    /// Use cases over this database.
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>) -> Self {
        Self { pool, clock }
    }

    /// Monthly recurring revenue at an instant, by default now by the brand's clock.
    pub async fn revenue(&self, brand: BrandId, at: Option<DateTime<Utc>>) -> Result<Revenue, AppError> {
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let as_of = match at {
            Some(at) => at,
            None => clock::brand_now(&mut tx, brand, &*self.clock).await?,
        };
        let mrr = movement::mrr(&mut tx, as_of).await?;
        let paying_customers = movement::paying_customers(&mut tx, as_of).await?;
        Ok(Revenue { mrr, paying_customers, as_of })
    }

    /// Movements that have happened, newest first; one more than `limit` says that there are more.
    pub async fn movements(
        &self,
        brand: BrandId,
        before: Option<(DateTime<Utc>, MovementId)>,
        limit: i64,
    ) -> Result<Vec<Movement>, AppError> {
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let now = clock::brand_now(&mut tx, brand, &*self.clock).await?;
        Ok(movement::list(&mut tx, now, before, limit + 1).await?)
    }
}

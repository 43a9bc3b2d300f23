//! Use cases: one public function, one transaction.

mod brand;
mod clock;
mod coupon;
mod error;
mod page;
mod plan;
mod tax;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use ottery_kernel::Clock;
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;

pub use clock::drain_advancing;
pub use error::AppError;
pub use page::Page;
pub use plan::PutPlan;

/// What the use cases work with.
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) pool: PgPool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) test_clocks_allowed: bool,
    is_rehearsal: bool,
}

impl App {
    /// Use cases over this database.
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>, test_clocks_allowed: bool) -> Self {
        Self { pool, clock, test_clocks_allowed, is_rehearsal: false }
    }

    /// The same use cases, of which nothing stays: they refuse and answer as the real ones would. For dry runs.
    #[must_use]
    pub fn rehearsal(&self) -> Self {
        Self { is_rehearsal: true, ..self.clone() }
    }

    async fn finish(&self, tx: PgTransaction<'_>) -> sqlx::Result<()> {
        if self.is_rehearsal { tx.rollback().await } else { tx.commit().await }
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}

//! Use cases: one public function, one transaction.

mod brand;
mod clock;
mod error;
mod page;
mod plan;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use ottery_kernel::Clock;
use sqlx::PgPool;

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
}

impl App {
    /// Use cases over this database.
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>, test_clocks_allowed: bool) -> Self {
        Self { pool, clock, test_clocks_allowed }
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}

//! Cards that expire: their owners hear of it while another can still be saved in time.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use ottery_kernel::{BrandId, PaymentMethodId};
use ottery_kit::grpc::Problem;
use ottery_kit::{WorkerContext, outbox};
use sqlx::postgres::PgTransaction;

use crate::app::Billing;
use crate::domain::expiry::{self, Verdict};
use crate::domain::subscription::Subscription;
use crate::events;
use crate::store;
use crate::store::method_expiry::Due;

/// Methods of one transaction.
const BATCH: i64 = 500;
/// Brands looked at in one round; the others come in the next.
const BRANDS_MAX: i64 = 64;

impl Billing {
    /// Has a method looked at before it expires; one that does not expire never.
    pub(super) async fn plan_expiry(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        method: PaymentMethodId,
        expires_on: Option<NaiveDate>,
    ) -> Result<(), Problem> {
        let first = expires_on.and_then(|last_day| expiry::first_look(last_day, self.config.expiry_notice()));
        Ok(store::method_expiry::plan(tx, brand, method, expires_on, first).await?)
    }

    /// Tells the owners of cards that expire soon, for all brands that have some due. Returns how many cards were looked at.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn announce_all_expiring(&self) -> anyhow::Result<usize> {
        let mut done = 0;
        for brand in store::method_expiry::due_brands(&self.pool, self.clock.now(), BRANDS_MAX).await? {
            // One brand's defect must not keep the others waiting.
            match self.announce_expiring(brand).await {
                Ok(count) => done += count,
                Err(error) => {
                    tracing::error!(brand.id = %brand, reason = %error.reason, error = %error.message, "expiring cards could not be announced");
                }
            }
        }
        Ok(done)
    }

    /// One batch of one brand: returns how many cards were looked at.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn announce_expiring(&self, brand: BrandId) -> Result<usize, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let taken = store::method_expiry::take(&mut tx, now, BATCH).await?;
        // One after the other: what was said of a card counts for the next row that is the same card.
        for method in &taken {
            match store::method_expiry::look(&mut tx, *method).await? {
                Some(due) => self.announce(&mut tx, brand, &due, now).await?,
                None => store::method_expiry::put_off(&mut tx, *method, None).await?,
            }
        }
        tx.commit().await?;
        Ok(taken.len())
    }

    async fn announce(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        due: &Due,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let Some(last_day) = due.expires_on else {
            return Ok(store::method_expiry::put_off(tx, due.method, None).await?);
        };
        let mut charged: Vec<Subscription> = Vec::new();
        if !due.is_told {
            charged = store::subscription::charged_to(tx, due.account, due.method).await?;
            charged.retain(expiry::renews);
        }
        let notice = self.config.expiry_notice();
        match expiry::decide(last_day, due.is_told, !charged.is_empty(), notice, now) {
            Verdict::Never => Ok(store::method_expiry::put_off(tx, due.method, None).await?),
            Verdict::Later(at) => Ok(store::method_expiry::put_off(tx, due.method, Some(at)).await?),
            Verdict::Tell => {
                // Whoever has a subscription is a customer.
                if let Some(owner) = store::customer::get_all(tx, &[due.account]).await?.pop() {
                    outbox::append(tx, events::method::expiring(brand, due, &charged, &owner.buyer, now)).await?;
                }
                Ok(store::method_expiry::tell(tx, due.method, last_day, now).await?)
            }
        }
    }
}

/// Announces cards that expire until the process stops.
///
/// # Errors
/// When the database is away; kit starts the worker again.
pub async fn run(billing: Arc<Billing>, context: WorkerContext) -> anyhow::Result<()> {
    while !context.shutdown.is_cancelled() {
        if billing.announce_all_expiring().await? == 0 {
            tokio::select! {
                () = context.shutdown.cancelled() => {}
                () = tokio::time::sleep(billing.config.renewals.poll()) => {}
            }
        }
    }
    Ok(())
}

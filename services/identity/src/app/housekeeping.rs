//! Removing what has ended, and writing the ends of the audit chains where the database cannot reach.

use std::time::Duration;

use chrono::TimeDelta;
use ottery_kit::{WorkerContext, lease};

use super::{App, AppError};
use crate::domain::Realm;
use crate::store::{audit, backoff, mail, session};

const EVERY: Duration = Duration::from_secs(24 * 3_600);
const KEEP: TimeDelta = TimeDelta::days(30);
const LEASE: &str = "identity.housekeeping";

/// Once a day, on one replica.
///
/// # Errors
/// The database; the worker is started again.
pub async fn keep_house(app: App, context: WorkerContext) -> anyhow::Result<()> {
    let owner = uuid::Uuid::now_v7().to_string();
    loop {
        // Held for the whole day, so that the other replicas leave it be.
        if lease::acquire(&context.pool, LEASE, &owner, EVERY).await?.is_some() {
            app.tidy().await?;
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = context.shutdown.cancelled() => return Ok(()),
        }
    }
}

impl App {
    /// Removes ended sessions, used links and forgotten failures, and logs the end of every audit chain.
    pub async fn tidy(&self) -> Result<(), AppError> {
        let now = self.now();
        let mut tx = self.begin(Realm::Staff).await?;
        let chains = audit::chains(&mut tx).await?;
        drop(tx);
        for brand in chains {
            let mut tx = self.begin(Realm::of(brand)).await?;
            let removed = session::prune(&mut tx, now, KEEP).await?
                + mail::prune(&mut tx, now, KEEP).await?
                + backoff::prune(&mut tx, now, KEEP).await?;
            if let Some((sequence, hash)) = audit::head(&mut tx, brand).await? {
                let brand = brand.map(|brand| brand.to_string()).unwrap_or_default();
                tracing::info!(
                    brand.id = brand,
                    audit.sequence = sequence,
                    audit.hash = hex::encode(hash),
                    removed,
                    "end of the audit chain"
                );
            }
            tx.commit().await?;
        }
        Ok(())
    }
}

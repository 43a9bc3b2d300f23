//! Clients are served while their reseller pays, and for the grace after. The wanted state is looked at again and again, so
//! nobody who issues, pays or withdraws an invoice has to remember whose clients hang on it.

use std::sync::Arc;

use ottery_kernel::{AccountId, BrandId, SubscriptionId};
use ottery_kit::WorkerContext;
use ottery_kit::grpc::Problem;

use crate::app::dunning::{Waiting, decided, let_happen};
use crate::app::schedule::cases;
use crate::app::subscription::lift;
use crate::app::unit::Unit;
use crate::app::{Billing, broken, profile, settlement};
use crate::domain::subscription::{Command, State, SuspendCause};
use crate::store;

/// Subscriptions of one transaction.
const BATCH: i64 = 200;
/// More than any guard lets pass.
const COUNTED_MAX: i64 = 100_000;
/// What subscriptions are told of.
const STOPPED: &str = "reseller_overdue";
const SERVED: &str = "reseller_paid";

impl Billing {
    /// Stops serving clients of resellers whose grace is over, and serves those again whose reseller has paid: one batch of one
    /// brand. Returns how many subscriptions changed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn serve_clients(&self, brand: BrandId) -> Result<usize, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let back = store::reseller::to_serve(&mut tx, now, BATCH).await?;
        let mut stop = store::reseller::to_stop(&mut tx, now, COUNTED_MAX).await?;
        if back.is_empty() && stop.is_empty() {
            return Ok(0);
        }
        let waiting = stop.len() - decided(&mut tx, &stop, now).await?.len();
        stop.truncate(usize::try_from(BATCH).unwrap_or(usize::MAX));
        let mut ids: Vec<SubscriptionId> = stop.iter().map(|(id, _)| *id).chain(back).collect();
        ids.sort_unstable();
        let locked = store::subscription::lock_all(&mut tx, &ids).await?;
        let mut accounts: Vec<AccountId> = locked.iter().map(|subscription| subscription.account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        let mut unit = Unit::new(brand, profile(&mut tx, brand).await?, now);
        unit.lock_customers(&mut tx, &accounts).await?;
        // As many at once as for any other debt, unless staff have looked.
        let stop = let_happen(&mut tx, brand, stop, Waiting::Counted(waiting), now).await?;
        let mut changed = Vec::new();
        for mut case in cases(&mut tx, brand, locked).await? {
            let before = case.subscription.clone();
            let is_stopped = before.state == (State::Suspended { cause: SuspendCause::Reseller });
            if is_stopped {
                lift(&mut unit, &mut case)?;
                unit.touch(&before, &mut case.subscription, SERVED).map_err(broken)?;
            } else if stop.contains(&before.id) && is_served(before.state) {
                case.subscription.apply(Command::Suspend(SuspendCause::Reseller), now).map_err(broken)?;
                unit.touch(&before, &mut case.subscription, STOPPED).map_err(broken)?;
            } else {
                continue;
            }
            for invoice in case.open {
                unit.keep_invoice(invoice);
            }
            changed.push(case.subscription);
        }
        let count = changed.len();
        settlement::finish_all(&mut tx, self, unit, changed).await?;
        tx.commit().await?;
        Ok(count)
    }

    /// As [`Billing::serve_clients`], for all brands.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn serve_all_clients(&self) -> anyhow::Result<usize> {
        let mut done = 0;
        for brand in store::reseller::brands(&self.pool).await? {
            // One brand's defect must not keep the others waiting.
            match self.serve_clients(brand).await {
                Ok(count) => done += count,
                Err(error) => {
                    tracing::error!(brand.id = %brand, reason = %error.reason, error = %error.message, "clients of resellers were not looked at");
                }
            }
        }
        Ok(done)
    }
}

const fn is_served(state: State) -> bool {
    matches!(state, State::Trialing | State::Active | State::PastDue { .. })
}

/// Looks after clients until the process stops.
///
/// # Errors
/// When the database is away; kit starts the worker again.
pub async fn run(billing: Arc<Billing>, context: WorkerContext) -> anyhow::Result<()> {
    while !context.shutdown.is_cancelled() {
        if billing.serve_all_clients().await? == 0 {
            tokio::select! {
                () = context.shutdown.cancelled() => {}
                () = tokio::time::sleep(billing.config.renewals.poll()) => {}
            }
        }
    }
    Ok(())
}

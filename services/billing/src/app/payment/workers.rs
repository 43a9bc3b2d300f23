//! The workers of payments: one applies events, one makes calls, one looks for events nobody told, one compares reports of
//! providers with the books. Woken by whoever stores something, here or in another
//! replica, and looking by themselves in case nobody does.

use futures::{StreamExt as _, stream};
use ottery_kernel::{BrandId, PaymentId, RefundId};
use ottery_kit::{Service, WorkerContext};
use sqlx::postgres::{PgListener, PgTransaction};
use tokio::sync::Notify;

use crate::app::Billing;
use crate::store;
use crate::store::errand::{CHANNEL, Kind};

/// How long listening rests after it failed.
const LISTEN_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);

/// Adds the workers to the service.
#[must_use]
pub fn workers(billing: &Billing, service: Service) -> Service {
    let (events, errands, listening, polls) = (billing.clone(), billing.clone(), billing.clone(), billing.clone());
    let comparing = billing.clone();
    service
        .worker("payment-events", move |context| {
            let billing = events.clone();
            async move {
                let bell = billing.providers.bell.clone();
                billing.attend(&context, &bell.events, Queue::Events).await
            }
        })
        .worker("payment-calls", move |context| {
            let billing = errands.clone();
            async move {
                let bell = billing.providers.bell.clone();
                billing.attend(&context, &bell.errands, Queue::Errands).await
            }
        })
        .worker("payment-polls", move |context| {
            let billing = polls.clone();
            async move { billing.poll_accounts(&context).await }
        })
        .worker("payment-reconciliation", move |context| {
            let billing = comparing.clone();
            async move { billing.reconcile_accounts(&context).await }
        })
        .worker("payment-listener", move |context| listen(listening.clone(), context))
}

/// What waits in the brand, in words; nothing when nothing does.
///
/// # Errors
/// When the database fails.
pub async fn waiting(tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<Option<String>> {
    let count = store::errand::waiting(tx, brand).await?;
    Ok((count > 0).then(|| format!("{count} payment calls and events")))
}

#[derive(Clone, Copy, Debug)]
enum Queue {
    Events,
    Errands,
}

impl Billing {
    async fn attend(&self, context: &WorkerContext, bell: &Notify, queue: Queue) -> anyhow::Result<()> {
        while !context.shutdown.is_cancelled() {
            let count = match queue {
                Queue::Events => self.work_events().await?,
                Queue::Errands => self.work_errands().await?,
            };
            if count == 0 {
                tokio::select! {
                    () = context.shutdown.cancelled() => {}
                    () = bell.notified() => {}
                    () = tokio::time::sleep(self.config.payments.poll()) => {}
                }
            }
        }
        Ok(())
    }

    /// Makes the calls that are due now, a few at a time; returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn work_errands(&self) -> anyhow::Result<usize> {
        let payments = &self.config.payments;
        let claims = store::errand::claim(&self.pool, payments.concurrency.into(), payments.lease()).await?;
        let count = claims.len();
        stream::iter(claims)
            .for_each_concurrent(None, |claim| async move {
                let done = match claim.kind {
                    Kind::Payment => self.run_payment(claim.brand, PaymentId::from_uuid(claim.id), claim.tries).await,
                    Kind::Refund => self.run_refund(claim.brand, RefundId::from_uuid(claim.id), claim.tries).await,
                    Kind::VatCheck => self.run_vat_check(claim.brand, claim.id, claim.tries).await,
                    Kind::Setup => self.run_setup(claim.brand, claim.id, claim.tries).await,
                    Kind::Proof => self.run_proof(claim.brand, claim.id).await,
                    Kind::Deposit => self.run_deposit(claim.brand, claim.id, claim.tries).await,
                };
                if let Err(problem) = done {
                    // The claim runs out, and the errand is due again.
                    tracing::warn!(brand.id = %claim.brand, reason = %problem.reason, error = %problem.message, "payment call put off");
                }
            })
            .await;
        Ok(count)
    }

    /// Works until nothing is due: for tests and for draining.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn drain_payments(&self) -> anyhow::Result<()> {
        while self.work_events().await? + self.work_errands().await? > 0 {}
        Ok(())
    }
}

/// Turns notifications of commits into wake-ups.
async fn listen(billing: Billing, context: WorkerContext) -> anyhow::Result<()> {
    let bell = billing.providers.bell.clone();
    loop {
        let listening = async {
            let mut listener = PgListener::connect_with(&context.pool).await?;
            listener.listen(CHANNEL).await?;
            loop {
                listener.recv().await?;
                bell.events.notify_one();
                bell.errands.notify_one();
            }
        };
        let ended: Result<std::convert::Infallible, sqlx::Error> = tokio::select! {
            () = context.shutdown.cancelled() => return Ok(()),
            ended = listening => ended,
        };
        let Err(error) = ended;
        tracing::debug!(%error, "listening for payments ended; polling goes on");
        tokio::select! {
            () = context.shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(LISTEN_PAUSE) => {}
        }
    }
}

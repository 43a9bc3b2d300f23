//! Events whose webhook never came: accounts are asked for them every few minutes, and what is found is kept and applied as if it
//! had been told.

use chrono::TimeDelta;
use futures::{StreamExt as _, stream};
use ottery_kit::WorkerContext;
use ottery_kit::grpc::Problem;

use crate::app::Billing;
use crate::domain::poll::{Mark, next_cursor};
use crate::provider::{CallError, Listed, Subject};
use crate::store;
use crate::store::provider_event::{self, New};
use crate::store::provider_poll::{self, Poll};

/// Between two looks at an account.
const GAP: TimeDelta = TimeDelta::minutes(5);
/// Between two looks at one whose provider lists no events: whether it does may change with an update.
const IDLE_GAP: TimeDelta = TimeDelta::days(1);
/// Pages of one look; what is left is read at once by the next one.
const PAGES_MAX: usize = 20;
/// Failures after which an account is asked no more rarely: every 80 minutes.
const DOUBLINGS_MAX: u32 = 4;
/// Failures in a row that staff hears of: after half an hour.
const TASK_AFTER: u32 = 3;
/// Task of an account that does not list its events.
const TASK: &str = "provider_poll";

impl Billing {
    pub(super) async fn poll_accounts(&self, context: &WorkerContext) -> anyhow::Result<()> {
        while !context.shutdown.is_cancelled() {
            if self.work_polls().await? == 0 {
                tokio::select! {
                    () = context.shutdown.cancelled() => {}
                    () = tokio::time::sleep(self.config.payments.poll()) => {}
                }
            }
        }
        Ok(())
    }

    /// Asks the accounts that are due now, a few at a time; returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn work_polls(&self) -> anyhow::Result<usize> {
        let payments = &self.config.payments;
        let polls = provider_poll::claim(&self.pool, payments.concurrency.into(), payments.lease()).await?;
        let count = polls.len();
        stream::iter(polls)
            .for_each_concurrent(None, |poll| async move {
                if let Err(problem) = self.poll_account(&poll).await {
                    // The claim runs out, and the account is due again.
                    tracing::warn!(brand.id = %poll.brand, reason = %problem.reason, error = %problem.message, "events not looked for");
                }
            })
            .await;
        Ok(count)
    }

    async fn poll_account(&self, poll: &Poll) -> Result<(), Problem> {
        let (mut tx, _) = self.begin(poll.brand).await?;
        let Some(reached) = self.reach(&mut tx, poll.brand, poll.account).await? else {
            provider_poll::put_off(&mut tx, poll.account, &poll.cursor, 0, IDLE_GAP).await?;
            return Ok(tx.commit().await?);
        };
        let Some(account) = store::provider_account::get(&mut tx, poll.account).await? else { return Ok(()) };
        drop(tx);
        let (mut cursor, mut after) = (poll.cursor.clone(), poll.cursor.clone());
        for page in 1..=PAGES_MAX {
            let listed = match reached.provider.events_after(&reached.access, &after).await {
                Ok(Some(listed)) => listed,
                Ok(None) => {
                    let (mut tx, _) = self.begin(poll.brand).await?;
                    provider_poll::put_off(&mut tx, poll.account, "", 0, IDLE_GAP).await?;
                    return Ok(tx.commit().await?);
                }
                Err(error) => return self.not_listed(poll, &cursor, &error).await,
            };
            let (mut tx, now) = self.begin(poll.brand).await?;
            let mut found = 0;
            for event in &listed.events {
                found += u64::from(keep(&mut tx, poll, &*reached.provider, event, account.is_test).await?);
            }
            let real_now = store::provider_account::real_now(&mut tx).await?;
            let marks: Vec<Mark> =
                listed.events.iter().map(|event| Mark { id: event.id.clone(), at: event.at }).collect();
            // Once something young was met, nothing behind it is settled either.
            if cursor == after {
                cursor = next_cursor(&cursor, &marks, real_now);
            }
            if let Some(last) = marks.last() {
                after.clone_from(&last.id);
            }
            let goes_on = listed.has_more && !marks.is_empty();
            let gap = if goes_on { TimeDelta::zero() } else { GAP };
            if !goes_on || page == PAGES_MAX {
                provider_poll::put_off(&mut tx, poll.account, &cursor, 0, gap).await?;
            }
            store::task::resolve(&mut tx, poll.brand, TASK, poll.account, now).await?;
            tx.commit().await?;
            if found > 0 {
                self.providers.bell.events.notify_one();
                tracing::info!(brand.id = %poll.brand, account.id = %poll.account, found, "events found that no webhook told");
            }
            if !goes_on {
                break;
            }
        }
        Ok(())
    }

    /// The account did not answer, or the key must not read events: staff hears of what does not end by itself.
    async fn not_listed(&self, poll: &Poll, cursor: &str, error: &CallError) -> Result<(), Problem> {
        let (mut tx, now) = self.begin(poll.brand).await?;
        let tries = poll.tries.saturating_add(1);
        let is_forgotten = matches!(error, CallError::Refused { code } if code == "resource_missing");
        if is_forgotten && !cursor.is_empty() {
            // The provider has no such event any more: so long ago that it is begun anew.
            provider_poll::put_off(&mut tx, poll.account, "", tries, TimeDelta::zero()).await?;
            return Ok(tx.commit().await?);
        }
        if tries >= TASK_AFTER {
            let summary = format!(
                "{} does not list its events, so that payments whose webhook is lost are not found ({error}); see that the \
                 provider is reached and that the key may read events",
                poll.account
            );
            store::task::open(&mut tx, poll.brand, TASK, poll.account, &summary, now).await?;
        }
        provider_poll::put_off(&mut tx, poll.account, cursor, tries, gap(tries)).await?;
        Ok(tx.commit().await?)
    }
}

/// Keeps an event that is about something of ours; false when it is known, or none of our business.
async fn keep(
    tx: &mut sqlx::postgres::PgTransaction<'_>,
    poll: &Poll,
    provider: &dyn crate::provider::PaymentProvider,
    event: &Listed,
    is_test: bool,
) -> Result<bool, Problem> {
    let Ok(notice) = provider.read_event(&event.body) else { return Ok(false) };
    if notice.subject == Subject::Other || notice.is_live == Some(is_test) {
        return Ok(false);
    }
    let new = New { account: poll.account, event_id: &notice.event_id, kind: &notice.kind, body: &event.body };
    Ok(provider_event::insert(tx, poll.brand, new).await?)
}

fn gap(tries: u32) -> TimeDelta {
    GAP * 2_i32.pow(tries.min(DOUBLINGS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_that_does_not_answer_is_asked_ever_more_rarely() {
        let gaps: Vec<_> = [1, 2, 3, 4, 5, u32::MAX].map(|tries| gap(tries).num_minutes()).into();
        assert_eq!(gaps, [10, 20, 40, 80, 80, 80]);
    }
}

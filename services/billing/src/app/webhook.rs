//! Webhooks: verified, kept once, answered; applied by a worker that asks the provider for the truth.

mod about;

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt as _, stream};
use ottery_kernel::PaymentId;
use ottery_kit::db::{Scope, begin, begin_by_key};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::Billing;
use super::payment::{Reached, Teller, apply};
use crate::domain::payment::{State, Truth};
use crate::domain::provider::ProviderAccountId;
use crate::provider::{CallError, Forged, Lookup, RefundFact, Subject};
use crate::store;
use crate::store::payment::{AttemptKind, Payment};
use crate::store::provider_event::{self, Claim, End, New};

/// Largest webhook that is read.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// How long an event is tried, or waits for its parent.
const PATIENCE: TimeDelta = TimeDelta::hours(24);
/// Gaps between tries; the last one repeats.
const GAPS: [TimeDelta; 5] =
    [TimeDelta::seconds(5), TimeDelta::seconds(30), TimeDelta::minutes(2), TimeDelta::minutes(10), TimeDelta::hours(1)];

/// A webhook as it arrived.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The account its address names.
    pub account: String,
    /// Its body, byte for byte.
    pub body: Vec<u8>,
    /// Its headers.
    pub headers: HashMap<String, String>,
}

/// The one answer to everything that is not genuine: it tells nothing.
fn refused() -> Problem {
    Problem::unauthenticated("WEBHOOK_REFUSED", "the webhook is not signed by an account known here")
}

impl Billing {
    /// Takes a webhook in: an answer means it is kept, true that it was known already.
    ///
    /// # Errors
    /// When it is too large, or not genuine (nothing is kept then); when the database fails, so that it comes again.
    pub async fn ingest_webhook(&self, webhook: &Webhook) -> Result<bool, Problem> {
        let outcome = self.take_in(webhook).await;
        let label = match &outcome {
            Ok(Ok(false)) => "accepted",
            Ok(Ok(true)) => "duplicate",
            Ok(Err(forged)) => forged.map_or("unknown_account", Forged::as_str),
            Err(problem) if problem.is("WEBHOOK_TOO_LARGE") => "too_large",
            Err(_) => "error",
        };
        self.host
            .metrics
            .counter("ottery_billing_webhooks", "Webhooks of payment providers by what became of them")
            .inc(&[("outcome", label)]);
        outcome?.map_err(|_| refused())
    }

    async fn take_in(&self, webhook: &Webhook) -> Result<Result<bool, Option<Forged>>, Problem> {
        if webhook.body.len() > BODY_BYTES_MAX {
            let message = format!("a webhook has at most {BODY_BYTES_MAX} bytes");
            return Err(Problem::invalid("body", "WEBHOOK_TOO_LARGE", message));
        }
        let Ok(id) = webhook.account.parse::<ProviderAccountId>() else { return Ok(Err(None)) };
        let Some(brand) = store::provider_account::brand_of(&self.pool, id).await? else { return Ok(Err(None)) };
        let mut tx = begin_by_key(&self.pool, Scope::Brand(brand)).await?;
        let Some(account) = store::provider_account::get(&mut tx, id).await? else { return Ok(Err(None)) };
        let Some(provider) = self.providers.get(&account.provider) else { return Ok(Err(None)) };
        let now = store::provider_account::real_now(&mut tx).await?;
        let secrets = self.webhook_secrets(brand, &account, now)?;
        let verify = || provider.verify_webhook(&account.base_url, &webhook.body, &webhook.headers, &secrets, now);
        let mut verified = verify();
        if verified == Err(Forged::Certificate) {
            // No connection is held while something is fetched.
            tx.commit().await?;
            verified = match provider.prepare_webhook(&account.base_url, &webhook.headers).await {
                Ok(()) => verify(),
                Err(forged) => Err(forged),
            };
            tx = begin(&self.pool, Scope::Brand(brand)).await?;
        }
        let notice = match verified {
            Ok(notice) if notice.is_live == Some(account.is_test) => return Ok(Err(Some(Forged::OtherMode))),
            Ok(notice) => notice,
            Err(forged) => return Ok(Err(Some(forged))),
        };
        let new = New { account: id, event_id: &notice.event_id, kind: &notice.kind, body: &webhook.body };
        let is_new = provider_event::insert(&mut tx, brand, new).await?;
        tx.commit().await?;
        ottery_kit::crash::point("webhook.stored");
        if is_new {
            self.providers.bell.events.notify_one();
        }
        Ok(Ok(!is_new))
    }

    /// Applies the events that are due now, a few at a time; returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn work_events(&self) -> anyhow::Result<usize> {
        let payments = &self.config.payments;
        let claims = provider_event::claim(&self.pool, payments.concurrency.into(), payments.lease()).await?;
        let count = claims.len();
        stream::iter(claims)
            .for_each_concurrent(None, |claim| async move {
                if let Err(problem) = self.apply_event(&claim).await {
                    // Two events of one payment may meet in the database; both are tried again.
                    tracing::warn!(brand.id = %claim.brand, reason = %problem.reason, error = %problem.message, "event put off");
                    if let Err(problem) = self.put_off(&claim).await {
                        tracing::debug!(reason = %problem.reason, "event stays claimed until its lease ends");
                    }
                }
            })
            .await;
        Ok(count)
    }

    async fn put_off(&self, claim: &Claim) -> Result<(), Problem> {
        let (mut tx, _) = self.begin(claim.brand).await?;
        provider_event::park(&mut tx, claim, None, conflict_gap(claim.tries)).await?;
        Ok(tx.commit().await?)
    }

    async fn apply_event(&self, claim: &Claim) -> Result<(), Problem> {
        let brand = claim.brand;
        let mut tx = begin_by_key(&self.pool, Scope::Brand(brand)).await?;
        let Some(event) = provider_event::get(&mut tx, claim).await? else {
            provider_event::finish(&mut tx, claim, End::Applied, "").await?;
            return Ok(tx.commit().await?);
        };
        let Some(reached) = self.reach(&mut tx, brand, event.account).await? else {
            return ignore(tx, claim, "the account is gone").await;
        };
        let Ok(notice) = reached.provider.read_event(&event.body) else {
            return ignore(tx, claim, "unreadable").await;
        };
        if !reached.provider.is_of_account(&reached.access, &event.body) {
            return ignore(tx, claim, "of another account").await;
        }
        drop(tx);
        let work = Work { claim, reached, age: event.age };
        match &notice.subject {
            Subject::Setup(_) => return self.apply_page(&work, &notice).await,
            Subject::Method(_) | Subject::Mandate(_) => return self.apply_method(&work, &notice.subject).await,
            Subject::LateMethod { method, checkout } => {
                return Box::pin(self.apply_late_method(&work, method, checkout)).await;
            }
            _ => {}
        }
        let payment = match self.ours(&work, &notice).await? {
            Ok(Some(payment)) => payment,
            Ok(None) => {
                tracing::info!(event.id = %event.event_id, event.kind = %notice.kind, "event about nothing of ours ignored");
                let (tx, _) = self.begin(brand).await?;
                return ignore(tx, claim, "about nothing of ours").await;
            }
            Err(error) => return self.put_off_for(&work, &error).await,
        };
        match &notice.subject {
            Subject::Payment(reference) => self.apply_payment(&work, &payment, reference).await,
            Subject::Checkout(reference) => {
                // What nobody wants any more is looked at and not taken, nor what was decided: another page may be open.
                let truth = Box::pin(self.take_page(brand, payment.id, &work.reached, reference)).await?;
                self.apply_truth(&work, payment.id, truth).await
            }
            Subject::Refund { refund, payment: reference } => {
                let fact = work.reached.provider.fetch_refund(&work.reached.access, refund).await;
                self.apply_refunds(&work, payment, fact.map(|fact| fact.into_iter().collect()), reference).await
            }
            Subject::Refunds(reference) => {
                let facts = work.reached.provider.refunds_of(&work.reached.access, reference).await;
                self.apply_refunds(&work, payment, facts, reference).await
            }
            Subject::Reversal { refund, payment: reference } => {
                self.apply_reversal(&work, payment, refund, reference).await
            }
            Subject::Dispute { dispute, payment: reference } => {
                self.apply_dispute(&work, &payment, &notice.kind, dispute, reference).await
            }
            Subject::Warning(_) => {
                let (mut tx, now) = self.begin(brand).await?;
                self.warn_of_dispute(&mut tx, brand, &payment, now).await?;
                provider_event::finish(&mut tx, claim, End::Applied, "").await?;
                Ok(tx.commit().await?)
            }
            Subject::Setup(_)
            | Subject::Method(_)
            | Subject::LateMethod { .. }
            | Subject::Mandate(_)
            | Subject::Other => {
                let (tx, _) = self.begin(brand).await?;
                ignore(tx, claim, "nothing to do").await
            }
        }
    }

    async fn apply_payment(&self, work: &Work<'_>, payment: &Payment, reference: &str) -> Result<(), Problem> {
        let mut truth = work.reached.provider.fetch_payment(&work.reached.access, Lookup::Payment(reference)).await;
        // On a hosted page a refused card is no end: the customer may take another one.
        if matches!(truth, Ok(Truth::Declined { .. }))
            && matches!(payment.kind, AttemptKind::Hosted { .. })
            && !payment.checkout_ref.is_empty()
        {
            truth = work
                .reached
                .provider
                .fetch_payment(&work.reached.access, Lookup::Checkout(&payment.checkout_ref))
                .await;
        }
        self.apply_truth(work, payment.id, truth).await
    }

    async fn apply_truth(
        &self,
        work: &Work<'_>,
        id: PaymentId,
        truth: Result<Truth, CallError>,
    ) -> Result<(), Problem> {
        let brand = work.claim.brand;
        let (mut tx, now) = self.begin_by_key(brand).await?;
        match truth {
            Ok(truth) => {
                let teller = Teller { account: work.reached.id, provider: work.reached.provider.name(), tries: 0 };
                apply(&mut tx, self, brand, id, truth, teller, now).await?;
                provider_event::finish(&mut tx, work.claim, End::Applied, "").await?;
                ottery_kit::crash::point("webhook.applied");
            }
            Err(error) => work.retry(&mut tx, None, &error.to_string(), now).await?,
        }
        Ok(tx.commit().await?)
    }

    /// An event about refunds. When it overtook their payment, that is read and settled first; when it cannot be, the event waits.
    async fn apply_refunds(
        &self,
        work: &Work<'_>,
        payment: Payment,
        facts: Result<Vec<RefundFact>, CallError>,
        reference: &str,
    ) -> Result<(), Problem> {
        let brand = work.claim.brand;
        let (provider, access) = (&work.reached.provider, &work.reached.access);
        let parent = if payment.state == State::Succeeded {
            None
        } else {
            provider.fetch_payment(access, Lookup::Payment(reference)).await.ok()
        };
        let (mut tx, now) = self.begin(brand).await?;
        let facts = match facts {
            Ok(facts) if facts.is_empty() => {
                return ignore(tx, work.claim, "the provider knows of no such refund").await;
            }
            Ok(facts) => facts,
            Err(error) => {
                work.retry(&mut tx, None, &error.to_string(), now).await?;
                return Ok(tx.commit().await?);
            }
        };
        let mut state = payment.state;
        if let Some(truth) = parent {
            let teller = Teller { account: work.reached.id, provider: provider.name(), tries: 0 };
            state = apply(&mut tx, self, brand, payment.id, truth, teller, now).await?.state;
        }
        if state == State::Succeeded {
            for fact in &facts {
                self.mirror_refund(&mut tx, brand, payment.id, fact, now).await?;
            }
            provider_event::finish(&mut tx, work.claim, End::Applied, "").await?;
        } else {
            work.retry(&mut tx, Some(payment.id), "its payment has not settled", now).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// An event at work.
struct Work<'a> {
    claim: &'a Claim,
    reached: Reached,
    age: TimeDelta,
}

impl Work<'_> {
    /// Tries the event again later; after a day staff decides.
    async fn retry(
        &self,
        tx: &mut PgTransaction<'_>,
        parent: Option<PaymentId>,
        why: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        if self.age <= PATIENCE {
            return Ok(provider_event::park(tx, self.claim, parent, gap(self.claim.tries)).await?);
        }
        let summary = format!("an event of the provider could not be applied for a day: {why}");
        store::task::open(tx, self.claim.brand, "provider_event", self.claim.id.simple(), &summary, now).await?;
        Ok(provider_event::finish(tx, self.claim, End::GivenUp, why).await?)
    }
}

fn gap(tries: u32) -> TimeDelta {
    GAPS[usize::try_from(tries).unwrap_or(usize::MAX).min(GAPS.len() - 1)]
}

/// The gap after the database refused: two events that met there are out of each other's way in a moment, and a customer
/// waits. When it goes on refusing, the usual gaps follow.
fn conflict_gap(tries: u32) -> TimeDelta {
    match tries {
        0 => TimeDelta::milliseconds(200),
        1 => TimeDelta::seconds(1),
        more => gap(more - 2),
    }
}

async fn ignore(mut tx: PgTransaction<'_>, claim: &Claim, why: &str) -> Result<(), Problem> {
    provider_event::finish(&mut tx, claim, End::Ignored, why).await?;
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_met_another_in_the_database_tries_again_at_once_and_then_ever_later() {
        let gaps: Vec<_> = (0..8).map(|tries| conflict_gap(tries).num_milliseconds()).collect();
        assert_eq!(gaps, [200, 1_000, 5_000, 30_000, 120_000, 600_000, 3_600_000, 3_600_000]);
        assert_eq!(gap(u32::MAX), TimeDelta::hours(1));
    }
}

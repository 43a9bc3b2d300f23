//! Objections of cardholders: followed as the provider tells, booked as the money moves, answered by staff.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, DisputeId, PaymentId};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use ottery_kit::outbox;
use serde_json::json;
use sqlx::postgres::PgTransaction;

use super::settle::lock;
use super::{Reached, dispute_refund};
use crate::app::{Billing, broken, subscription};
use crate::domain::dispute::{Outcome, State, Truth};
use crate::domain::subscription::{Command, State as SubscriptionState, SuspendCause};
use crate::events;
use crate::provider::{CallError, Evidence, EvidenceAsk};
use crate::store;
use crate::store::dispute::Dispute;
use crate::store::payment::Payment;

/// Task of an objection that waits for evidence.
const TASK: &str = "dispute";
/// Task of a warning that one is coming.
const WARNING_TASK: &str = "fraud_warning";
/// Longest piece of evidence; providers take about this much of all together.
const EVIDENCE_CHARS_MAX: usize = 20_000;

impl Billing {
    /// Applies what the provider says about an objection to a payment that came. The caller commits.
    pub(crate) async fn record_dispute(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        id: PaymentId,
        truth: &Truth,
        reached: &Reached,
        now: DateTime<Utc>,
    ) -> Result<Dispute, Problem> {
        let (owed, payment) = lock(tx, id).await?;
        let known = store::dispute::find(tx, reached.id, &truth.provider_ref).await?;
        let is_new = known.is_none();
        let before = known.clone();
        let mut dispute = known.unwrap_or_else(|| fresh(&payment, truth, reached, now));
        if let Outcome::Moved(state) = dispute.state.follow(truth.state) {
            dispute.state = state;
        }
        dispute.finished_at = dispute.state.is_final().then_some(dispute.finished_at.unwrap_or(now));
        dispute.reason.clone_from(&truth.reason);
        dispute.amount = truth.amount;
        dispute.evidence_until = truth.evidence_until;
        dispute.is_answered = truth.is_answered;
        let (truth, changes) = dispute_refund::beside(tx, &payment, &dispute, truth, reached).await?;
        let wanted = dispute.books.wanted(dispute.state, &truth);
        if wanted != dispute.books {
            let entity = owed.invoice.snapshot.seller.id;
            let currency = dispute.amount.currency;
            let booking =
                dispute.books.booking(wanted, dispute.id, entity, &payment.provider, currency, now).map_err(broken)?;
            store::ledger::book(tx, brand, booking).await?;
            dispute.books = wanted;
        }
        let is_news = before.as_ref() != Some(&dispute);
        dispute.version += i64::from(is_news);
        store::dispute::put(tx, brand, &dispute).await?;
        dispute_refund::keep(tx, brand, &payment, changes, dispute.amount.currency, now).await?;
        if is_news {
            let shares = store::dispute::shares(tx, payment.id).await?;
            let paid = payment.received.unwrap_or(payment.amount);
            let event = events::dispute::changed(brand, &dispute, &shares, paid, now).map_err(broken)?;
            outbox::append(tx, event).await?;
        }
        tell(tx, brand, &dispute, is_new, reached, now).await?;
        self.serve_or_not(tx, brand, &payment, &mut dispute, reached, now).await?;
        Ok(dispute)
    }

    /// Stops serving whoever objects, when the account is set so, and serves again who loses the objection.
    async fn serve_or_not(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        payment: &Payment,
        dispute: &mut Dispute,
        reached: &Reached,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let Some(id) = payment.subscription else { return Ok(()) };
        let is_fought =
            matches!(dispute.state, State::NeedsResponse | State::UnderReview | State::Appealed | State::Lost);
        let is_over = matches!(dispute.state, State::Won | State::Closed);
        let stops = is_fought && reached.suspends_on_dispute && !dispute.has_suspended;
        if !(stops || is_over && dispute.has_suspended) {
            return Ok(());
        }
        let (mut unit, mut case) = subscription::open(tx, brand, id, None, now).await?;
        let before = case.subscription.clone();
        if stops {
            // Whoever is not served already stays as they are.
            if case.subscription.apply(Command::Suspend(SuspendCause::Staff), now).is_err()
                || case.subscription == before
            {
                return Ok(());
            }
            unit.touch(&before, &mut case.subscription, "dispute").map_err(broken)?;
        } else {
            dispute.has_suspended = false;
            if before.state == (SubscriptionState::Suspended { cause: SuspendCause::Staff }) {
                subscription::lift(&mut unit, &mut case)?;
                unit.touch(&before, &mut case.subscription, "dispute_won").map_err(broken)?;
            }
        }
        dispute.has_suspended = stops;
        subscription::close(tx, self, unit, case).await?;
        Ok(store::dispute::put(tx, brand, dispute).await?)
    }

    /// Somebody warns that a payment will be objected to.
    pub(crate) async fn warn_of_dispute(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        payment: &Payment,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let summary = format!(
            "the bank warns that {} ({}) was not made by the cardholder; a refund now is cheaper than the objection that follows",
            payment.id, payment.amount
        );
        Ok(store::task::open(tx, brand, WARNING_TASK, payment.id, &summary, now).await?)
    }

    /// Hands evidence in. It is final: the bank decides by it.
    ///
    /// # Errors
    /// When there is no such objection, it takes no evidence (any more), nothing is said, or the provider cannot be reached.
    pub async fn submit_evidence(
        &self,
        actor: &Actor,
        brand: BrandId,
        id: DisputeId,
        evidence: Evidence,
    ) -> Result<Dispute, Problem> {
        check(&evidence)?;
        let (dispute, reached) = self.disputed(brand, id, State::takes_evidence).await?;
        let ask = EvidenceAsk { dispute: id, reference: dispute.provider_ref.clone(), evidence };
        // Sent again with the same words it is handed in once.
        let truth = reached
            .provider
            .submit_evidence(&reached.access, &ask)
            .await
            .map_err(|error| failed(error, "the payment provider does not take this evidence"))?;
        let (mut tx, now) = self.begin(brand).await?;
        let dispute = self.record_dispute(&mut tx, brand, dispute.payment, &truth, &reached, now).await?;
        let said = json!({"payment": dispute.payment.to_string(), "state": dispute.state.as_str()});
        audit::append(&mut tx, actor, "dispute.evidence", id, None, Some(said)).await?;
        tx.commit().await?;
        Ok(dispute)
    }

    /// Gives in to an objection. It is final: the money is lost.
    ///
    /// # Errors
    /// When there is no such objection, it is answered or decided, or the provider cannot be reached.
    pub async fn accept_dispute(&self, actor: &Actor, brand: BrandId, id: DisputeId) -> Result<Dispute, Problem> {
        let (before, reached) = self.disputed(brand, id, State::can_be_accepted).await?;
        // Asked again after a lost answer it is given in once: the key is the objection's.
        let truth = reached
            .provider
            .accept_dispute(&reached.access, &before.provider_ref)
            .await
            .map_err(|error| failed(error, "the payment provider does not let this objection be accepted"))?;
        let (mut tx, now) = self.begin(brand).await?;
        let dispute = self.record_dispute(&mut tx, brand, before.payment, &truth, &reached, now).await?;
        let shown = |of: &Dispute| json!({"payment": of.payment.to_string(), "state": of.state.as_str()});
        audit::append(&mut tx, actor, "dispute.accept", id, Some(shown(&before)), Some(shown(&dispute))).await?;
        tx.commit().await?;
        Ok(dispute)
    }

    /// One objection.
    ///
    /// # Errors
    /// When there is no such objection.
    pub async fn dispute(&self, brand: BrandId, id: DisputeId) -> Result<Dispute, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        store::dispute::get(&mut tx, id).await?.ok_or_else(|| {
            Problem::not_found("DISPUTE_NOT_FOUND", format!("there is no dispute {id}")).on_field("dispute_id")
        })
    }

    /// An objection something can still be done about, and the way to its provider.
    async fn disputed(
        &self,
        brand: BrandId,
        id: DisputeId,
        is_possible: fn(State) -> bool,
    ) -> Result<(Dispute, Reached), Problem> {
        let dispute = self.dispute(brand, id).await?;
        if !is_possible(dispute.state) {
            let message = format!("{id} is {}; the bank takes no answer any more", dispute.state);
            return Err(Problem::refused("DISPUTE_CLOSED", message).on_field("dispute_id"));
        }
        let (mut tx, _) = self.begin(brand).await?;
        let reached = self.reach(&mut tx, brand, dispute.provider_account).await?.ok_or_else(away)?;
        if !reached.provider.capabilities().takes_evidence {
            let message = format!("{} takes no answer from here; give it in its own pages", reached.provider.name());
            return Err(Problem::refused("ANSWER_AT_PROVIDER", message).on_field("dispute_id"));
        }
        Ok((dispute, reached))
    }
}

/// Why the provider did not do it.
fn failed(error: CallError, refused: &'static str) -> Problem {
    match error {
        CallError::Refused { code } => Problem::refused("PROVIDER_REFUSED", refused).with("code", code),
        CallError::NotSent(_) | CallError::Ambiguous(_) | CallError::Amount(_) => away(),
    }
}

fn fresh(payment: &Payment, truth: &Truth, reached: &Reached, now: DateTime<Utc>) -> Dispute {
    Dispute {
        id: DisputeId::new(now),
        payment: payment.id,
        account: payment.account,
        provider_account: reached.id,
        provider_ref: truth.provider_ref.clone(),
        state: truth.state,
        reason: truth.reason.clone(),
        amount: truth.amount,
        books: crate::domain::dispute::Books::default(),
        evidence_until: truth.evidence_until,
        is_answered: truth.is_answered,
        has_suspended: false,
        created_at: now,
        finished_at: None,
        version: 0,
    }
}

async fn tell(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    dispute: &Dispute,
    is_new: bool,
    reached: &Reached,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    if dispute.state.is_final() || dispute.is_answered {
        return Ok(store::task::resolve(tx, brand, TASK, dispute.id, now).await?);
    }
    if !is_new && dispute.state != State::NeedsResponse {
        return Ok(());
    }
    let until =
        dispute.evidence_until.map(|at| format!(" until {}", at.format("%Y-%m-%d %H:%M UTC"))).unwrap_or_default();
    let answer = if reached.provider.capabilities().takes_evidence {
        format!("hand in evidence{until}")
    } else {
        format!("answer in {}'s own pages{until}", reached.provider.name())
    };
    let summary = format!(
        "the cardholder objects to {} of {} ({}); {answer}, or leave it and lose the money",
        dispute.amount, dispute.payment, dispute.reason
    );
    Ok(store::task::open(tx, brand, TASK, dispute.id, &summary, now).await?)
}

fn check(evidence: &Evidence) -> Result<(), Problem> {
    let Evidence { customer_name, customer_email, product, served_from, access_log, refund_policy, statement } =
        evidence;
    let all = [customer_name, customer_email, product, served_from, access_log, refund_policy, statement];
    let length: usize = all.iter().map(|text| text.chars().count()).sum();
    if length == 0 || length > EVIDENCE_CHARS_MAX {
        let message =
            format!("statement: say something, at most {EVIDENCE_CHARS_MAX} characters in all fields together");
        return Err(Problem::invalid("statement", "EVIDENCE_LENGTH", message));
    }
    Ok(())
}

fn away() -> Problem {
    Problem::unavailable("PROVIDER_AWAY", "the payment provider cannot be reached; try again in a moment")
}

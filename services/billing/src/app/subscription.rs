//! What customers and staff do with a subscription.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, SubscriptionId};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, ActorKind, Problem};
use serde_json::json;
use sqlx::postgres::PgTransaction;

use super::schedule::{Case, lock_case};
use super::unit::Unit;
use super::{Billing, broken, profile, settlement};
use crate::domain::subscription::{Command, EndCause, Refused, State, Subscription, SuspendCause};

/// A move the state forbids, as the caller sees it.
pub(super) fn refused(refused: Refused) -> Problem {
    Problem::refused("SUBSCRIPTION_STATE", refused.to_string())
}

pub(super) fn not_found(id: SubscriptionId) -> Problem {
    Problem::not_found("SUBSCRIPTION_NOT_FOUND", format!("there is no subscription {id}")).on_field("subscription_id")
}

/// A pass has no renewal that could be taken up or waited for.
pub(super) fn pass_ends() -> Problem {
    Problem::refused("PASS_ENDS", "a pass ends by itself and does not renew; order again when it is over")
}

/// A locked subscription of `owner` (anybody's when none is given) and the unit to change it in.
pub(super) async fn open(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    id: SubscriptionId,
    owner: Option<AccountId>,
    now: DateTime<Utc>,
) -> Result<(Unit, Case), Problem> {
    let case = lock_case(tx, brand, id).await?.ok_or_else(|| not_found(id))?;
    if owner.is_some_and(|owner| owner != case.subscription.account) {
        return Err(not_found(id));
    }
    let mut unit = Unit::new(brand, profile(tx, brand).await?, now);
    unit.lock_customers(tx, &[case.subscription.account]).await?;
    Ok((unit, case))
}

/// Writes what was decided on a case.
pub(super) async fn close(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    mut unit: Unit,
    case: Case,
) -> Result<Subscription, Problem> {
    for invoice in case.open {
        unit.keep_invoice(invoice);
    }
    settlement::finish(tx, billing, unit, Some(case.subscription.clone())).await?;
    Ok(case.subscription)
}

/// What the audit chain says of a change.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    /// Who changed it.
    pub(super) actor: &'a Actor,
    /// `subscription.<verb>`
    pub(super) action: &'a str,
    /// Why, in their words; may be empty.
    pub(super) reason: &'a str,
}

impl Entry<'_> {
    /// Staff's hands leave a trace in the audit chain; customers' own do not.
    pub(super) async fn append(
        self,
        tx: &mut PgTransaction<'_>,
        before: &Subscription,
        after: &Subscription,
    ) -> Result<(), Problem> {
        if matches!(self.actor.kind, ActorKind::Customer | ActorKind::Anonymous) {
            return Ok(());
        }
        let state = |subscription: &Subscription| {
            json!({ "state": subscription.state.as_str(), "cause": subscription.state.cause_str(),
                    "cancel_at": subscription.cancel_at })
        };
        let mut written = state(after);
        written["reason"] = json!(self.reason);
        audit::append(tx, self.actor, self.action, after.id, Some(state(before)), Some(written)).await?;
        Ok(())
    }
}

impl Billing {
    /// Ends the subscription with what is paid; undone by [`Billing::resume`] until then. One that is not paid ends at once.
    ///
    /// # Errors
    /// When it is not there or over already.
    pub async fn cancel(
        &self,
        brand: BrandId,
        id: SubscriptionId,
        owner: Option<AccountId>,
        reason: &str,
        actor: &Actor,
    ) -> Result<Subscription, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let (mut unit, mut case) = open(&mut tx, brand, id, owner, now).await?;
        let before = case.subscription.clone();
        match before.state {
            State::Ended { .. } => {
                return Err(refused(Refused { state: before.state, command: Command::End(EndCause::Cancelled) }));
            }
            State::Pending => {
                unit.lock_orders(&mut tx, &[before.order]).await?;
                unit.end(&mut case.subscription, EndCause::Cancelled, &mut case.open).map_err(broken)?;
            }
            State::Trialing | State::Active | State::PastDue { .. } | State::Suspended { .. } | State::Paused => {
                let paid_through = before.paid_through.unwrap_or(now);
                if paid_through <= now {
                    unit.end(&mut case.subscription, EndCause::Cancelled, &mut case.open).map_err(broken)?;
                } else if before.cancel_at.is_none() {
                    case.subscription.cancel_at = Some(paid_through);
                    // The period nobody wants is not owed any more.
                    // What was carried forward was served.
                    for invoice in case.open.iter_mut().filter(|invoice| !invoice.is_carried()) {
                        unit.withdraw(invoice).map_err(broken)?;
                    }
                    let told = if reason.is_empty() { "cancel_scheduled" } else { reason };
                    unit.touch(&before, &mut case.subscription, told).map_err(broken)?;
                }
            }
        }
        let entry = Entry { actor, action: "subscription.cancel", reason };
        self.seal(tx, unit, case, &before, entry).await
    }

    /// Takes a scheduled end back.
    ///
    /// # Errors
    /// When it is not there or over already.
    pub async fn resume(
        &self,
        brand: BrandId,
        id: SubscriptionId,
        owner: Option<AccountId>,
        actor: &Actor,
    ) -> Result<Subscription, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let (mut unit, mut case) = open(&mut tx, brand, id, owner, now).await?;
        let before = case.subscription.clone();
        if before.state.has_ended() {
            return Err(Problem::refused("SUBSCRIPTION_STATE", "the subscription is over; order it again"));
        }
        if before.offer.once {
            return Err(pass_ends());
        }
        case.subscription.cancel_at = None;
        unit.touch(&before, &mut case.subscription, "resumed").map_err(broken)?;
        let entry = Entry { actor, action: "subscription.resume", reason: "" };
        self.seal(tx, unit, case, &before, entry).await
    }

    /// Ends the subscription at once (staff).
    ///
    /// # Errors
    /// When it is not there.
    pub async fn terminate(
        &self,
        brand: BrandId,
        id: SubscriptionId,
        reason: &str,
        actor: &Actor,
    ) -> Result<Subscription, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let (mut unit, mut case) = open(&mut tx, brand, id, None, now).await?;
        let before = case.subscription.clone();
        unit.lock_orders(&mut tx, &[before.order]).await?;
        unit.end(&mut case.subscription, EndCause::Staff, &mut case.open).map_err(broken)?;
        let entry = Entry { actor, action: "subscription.terminate", reason };
        self.seal(tx, unit, case, &before, entry).await
    }

    /// Stops serving until staff lifts it.
    ///
    /// # Errors
    /// When it is not there or its state forbids it.
    pub async fn suspend(
        &self,
        brand: BrandId,
        id: SubscriptionId,
        reason: &str,
        actor: &Actor,
    ) -> Result<Subscription, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let (mut unit, mut case) = open(&mut tx, brand, id, None, now).await?;
        let before = case.subscription.clone();
        case.subscription.apply(Command::Suspend(SuspendCause::Staff), now).map_err(refused)?;
        let told = if reason.is_empty() { "staff" } else { reason };
        unit.touch(&before, &mut case.subscription, told).map_err(broken)?;
        let entry = Entry { actor, action: "subscription.suspend", reason };
        self.seal(tx, unit, case, &before, entry).await
    }

    /// Serves again; one whose present time is not paid gets the brand's grace from now.
    ///
    /// # Errors
    /// When it is not there or its state forbids it.
    pub async fn unsuspend(&self, brand: BrandId, id: SubscriptionId, actor: &Actor) -> Result<Subscription, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let (mut unit, mut case) = open(&mut tx, brand, id, None, now).await?;
        let before = case.subscription.clone();
        if before.state == (State::Suspended { cause: SuspendCause::Reseller }) {
            let message = "its reseller has not paid, so it would be suspended again at once; hold its suspension until a day, or \
                           take the customer from the reseller";
            return Err(Problem::refused("RESELLER_OVERDUE", message));
        }
        lift(&mut unit, &mut case)?;
        unit.touch(&before, &mut case.subscription, "staff").map_err(broken)?;
        let entry = Entry { actor, action: "subscription.unsuspend", reason: "" };
        self.seal(tx, unit, case, &before, entry).await
    }

    /// Writes what was decided on a case, with its trace, and commits.
    pub(super) async fn seal(
        &self,
        mut tx: PgTransaction<'static>,
        unit: Unit,
        case: Case,
        before: &Subscription,
        entry: Entry<'_>,
    ) -> Result<Subscription, Problem> {
        entry.append(&mut tx, before, &case.subscription).await?;
        let subscription = close(&mut tx, self, unit, case).await?;
        tx.commit().await?;
        Ok(subscription)
    }
}

/// Serves again what was suspended for another reason than its own debt; one whose present time is not paid gets the brand's
/// grace from now.
///
/// # Errors
/// When its state forbids it.
pub(super) fn lift(unit: &mut Unit, case: &mut Case) -> Result<(), Problem> {
    let before = case.subscription.state;
    let is_paid =
        case.subscription.calendar.pause.is_some() || case.subscription.paid_through.is_some_and(|end| end > unit.now);
    let command = Command::Lift { is_paid, grace_until: unit.now + unit.profile.grace() };
    case.subscription.apply(command, unit.now).map_err(refused)?;
    // Suspended out of a pause: time begins to go on again.
    case.subscription.take_up(unit.now).map_err(broken)?;
    let was_ours = matches!(before, State::Suspended { cause: SuspendCause::Staff | SuspendCause::Reseller });
    if was_ours && !unit.profile.rules.bills_time_off {
        forgo_time_off(unit, case)?;
    }
    Ok(())
}

/// Nobody pays for time in which we did not serve: the open renewal of it is taken back, and the next one begins now. One
/// that is paid in part stays, and is owed on.
fn forgo_time_off(unit: &mut Unit, case: &mut Case) -> Result<(), Problem> {
    if case.subscription.paid_through.is_none_or(|end| end >= unit.now) {
        return Ok(());
    }
    if let Some(renewal) = case.period_invoice() {
        if renewal.paid.is_positive() {
            return Ok(());
        }
        unit.withdraw(renewal).map_err(broken)?;
    }
    case.subscription.forgo_time_off(unit.now).map_err(broken)
}

/// Ends a subscription whose money went back, in the refund's transaction.
///
/// # Errors
/// When the database fails.
pub async fn end_refunded(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    brand: BrandId,
    id: SubscriptionId,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let (mut unit, mut case) = open(tx, brand, id, None, now).await?;
    unit.lock_orders(tx, &[case.subscription.order]).await?;
    unit.end(&mut case.subscription, EndCause::Refunded, &mut case.open).map_err(broken)?;
    close(tx, billing, unit, case).await?;
    Ok(())
}

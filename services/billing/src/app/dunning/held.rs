//! Who is not suspended: those staff hold one by one, and those the guard holds until staff decide.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{BrandId, SubscriptionId};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use serde_json::json;
use uuid::Uuid;

use super::admit::HALTED_TASK;
use crate::app::subscription::not_found;
use crate::app::{Billing, profile, schedule};
use crate::domain::subscription::State;
use crate::store;
use crate::store::suspension::{Held, Hold};

/// How far ahead somebody may be held.
const HOLD_MAX: TimeDelta = TimeDelta::days(366);
/// Subscriptions of one decision; a brand with more decides again.
const DECIDED_MAX: i64 = 50_000;

/// Whose suspensions were stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldList {
    /// Since when; none when nothing is stopped.
    pub halted_at: Option<DateTime<Utc>>,
    /// The instant of this list; a decision names it, so that nobody decides on what they did not see.
    pub as_of: DateTime<Utc>,
    /// Who would be suspended or ended.
    pub rows: Vec<Held>,
}

/// What staff decide about stopped suspensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// They happen.
    Suspend,
    /// They wait until then.
    Spare {
        /// Until when.
        until: DateTime<Utc>,
    },
}

fn check_until(until: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), Problem> {
    if until > now && until <= now + HOLD_MAX {
        return Ok(());
    }
    let message = format!("until: use an instant after now ({}) and within a year", now.to_rfc3339());
    Err(Problem::invalid("until", "UNTIL_RANGE", message))
}

fn check_reason(reason: &str) -> Result<String, Problem> {
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(Problem::invalid("reason", "MISSING", "reason: say why; it is kept in the audit trail"));
    }
    Ok(reason.to_owned())
}

impl Billing {
    /// Keeps a subscription from being suspended or ended for not paying before `until`. Everything else of its dunning goes
    /// on.
    ///
    /// # Errors
    /// When it is not there or over, or the instant is past or too far ahead.
    pub async fn hold_suspension(
        &self,
        brand: BrandId,
        id: SubscriptionId,
        until: DateTime<Utc>,
        reason: &str,
        actor: &Actor,
    ) -> Result<Hold, Problem> {
        let reason = check_reason(reason)?;
        let (mut tx, now) = self.begin(brand).await?;
        check_until(until, now)?;
        let subscription = store::subscription::lock(&mut tx, id).await?.ok_or_else(|| not_found(id))?;
        if subscription.state.has_ended() {
            return Err(Problem::refused("SUBSCRIPTION_STATE", "the subscription is over"));
        }
        let before = store::suspension::get(&mut tx, id).await?;
        let hold = Hold { until, reason, held_by: actor.subject.clone() };
        if before.as_ref() == Some(&hold) {
            return Ok(hold);
        }
        store::suspension::hold(&mut tx, brand, id, &hold, now).await?;
        audit::append(&mut tx, actor, "subscription.hold_suspension", id, before.map(shown), Some(shown(hold.clone())))
            .await?;
        let settings = self.config.dunning(&profile(&mut tx, brand).await?);
        schedule::replan(&mut tx, brand, subscription, &settings, now).await?;
        tx.commit().await?;
        Ok(hold)
    }

    /// Takes a hold away; dunning goes on as if it had never been. Nothing happens when there is none.
    ///
    /// # Errors
    /// When the subscription is not there.
    pub async fn lift_suspension_hold(&self, brand: BrandId, id: SubscriptionId, actor: &Actor) -> Result<(), Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let subscription = store::subscription::lock(&mut tx, id).await?.ok_or_else(|| not_found(id))?;
        let Some(before) = store::suspension::get(&mut tx, id).await? else { return Ok(()) };
        store::suspension::lift(&mut tx, id).await?;
        audit::append(&mut tx, actor, "subscription.lift_suspension_hold", id, Some(shown(before)), None).await?;
        let settings = self.config.dunning(&profile(&mut tx, brand).await?);
        schedule::replan(&mut tx, brand, subscription, &settings, now).await?;
        Ok(tx.commit().await?)
    }

    /// The hold of staff on a subscription.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn suspension_hold(&self, brand: BrandId, id: SubscriptionId) -> Result<Option<Hold>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        Ok(store::suspension::get(&mut tx, id).await?)
    }

    /// Who would be suspended or ended if staff let it happen.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn held_suspensions(&self, brand: BrandId, after: Option<Uuid>, limit: i64) -> Result<HeldList, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let halted_at = store::suspension::halted_at(&mut tx, brand).await?;
        let rows = store::suspension::held(&mut tx, after, limit).await?;
        Ok(HeldList { halted_at, as_of: now, rows })
    }

    /// Decides about those who were held when the list of `as_of` was made. Suspensions of others may happen again; past the
    /// threshold they are stopped anew. Returns about how many was decided.
    ///
    /// # Errors
    /// When nothing is stopped, or the reason or the instant is missing.
    pub async fn decide_held(
        &self,
        brand: BrandId,
        as_of: DateTime<Utc>,
        decision: &Decision,
        reason: &str,
        actor: &Actor,
    ) -> Result<usize, Problem> {
        let reason = check_reason(reason)?;
        let (mut tx, now) = self.begin(brand).await?;
        if store::suspension::halted_at(&mut tx, brand).await?.is_none() {
            return Err(Problem::refused("NOT_HALTED", "no suspensions are stopped; there is nothing to decide"));
        }
        if let Decision::Spare { until } = decision {
            check_until(*until, now)?;
        }
        let listed = store::suspension::held(&mut tx, None, DECIDED_MAX).await?;
        let ids: Vec<SubscriptionId> =
            listed.iter().filter(|held| held.held_at <= as_of).map(|held| held.subscription).collect();
        // What was paid or ended since is nobody's decision any more.
        let ids: Vec<SubscriptionId> = store::subscription::lock_all(&mut tx, &ids)
            .await?
            .into_iter()
            .filter(|one| {
                matches!(one.state, State::Active | State::PastDue { .. } | State::Suspended { .. } | State::Trialing)
            })
            .map(|one| one.id)
            .collect();
        let told = match decision {
            Decision::Suspend => {
                store::suspension::release(&mut tx, &ids, now).await?;
                json!({ "decision": "suspend", "subscriptions": ids.len(), "reason": reason })
            }
            Decision::Spare { until } => {
                let hold = Hold { until: *until, reason: reason.clone(), held_by: actor.subject.clone() };
                store::suspension::spare(&mut tx, brand, &ids, &hold, now).await?;
                json!({ "decision": "spare", "until": until, "subscriptions": ids.len(), "reason": reason })
            }
        };
        store::suspension::forget_guarded(&mut tx, as_of).await?;
        store::suspension::resume(&mut tx, brand).await?;
        store::task::resolve(&mut tx, brand, HALTED_TASK, brand, now).await?;
        let due: Vec<_> = ids.iter().map(|id| (*id, Some(now))).collect();
        store::due::set(&mut tx, brand, &due).await?;
        audit::append(&mut tx, actor, "dunning.decide", brand, None, Some(told)).await?;
        tx.commit().await?;
        Ok(ids.len())
    }
}

fn shown(hold: Hold) -> serde_json::Value {
    json!({ "until": hold.until, "reason": hold.reason })
}

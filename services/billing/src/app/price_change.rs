//! A new price for those who have an old one: announced to each of them, after its notice, never silently.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, BrandId, Money, PlanVersionId, PriceId, SubscriptionId};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use serde_json::json;
use sqlx::postgres::PgTransaction;

use super::schedule::cases;
use super::unit::Unit;
use super::{Billing, broken, profile};
use crate::domain::calendar::PriceChange;
use crate::domain::offer::Offer;
use crate::domain::subscription::Subscription;
use crate::events::publish;
use crate::store;
use crate::store::subscription::Among;

/// Days of notice somebody has at least, and at most.
const NOTICE_DAYS: std::ops::RangeInclusive<u32> = 7..=365;
/// Subscriptions of one call; the answer says when there are more.
const BATCH_MAX: i64 = 1_000;
/// Whoever has another price, but for those it was promised to.
const EVERYBODY: Among<'static> = Among { version: None, only: &[], with_promised: false };

/// What staff asks for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// A price of the plan's current version; everybody with another price of the same plan, term and currency gets it.
    pub to: PriceId,
    /// Days between the announcement and the first renewal it can apply to.
    pub notice_days: u32,
    /// Only who has this version of the plan; none: any other than the current one.
    pub from: Option<PlanVersionId>,
    /// Only these; empty: everybody.
    pub only: Vec<SubscriptionId>,
    /// Who keeps the old price for good.
    pub keep: Vec<SubscriptionId>,
    /// Also who was promised to keep the old price: the promise is over with the notice.
    pub ends_promises: bool,
    /// Only say what would happen.
    pub is_dry_run: bool,
}

/// What becomes of one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Whose.
    pub account: AccountId,
    /// What it costs now.
    pub old: Money,
    /// What it will cost; the same when the old price is kept.
    pub new: Money,
    /// The first renewal at the new price; none when the old price is kept.
    pub at: Option<DateTime<Utc>>,
    /// Whether it was promised to keep the old price.
    pub was_promised: bool,
}

/// Exactly who pays what and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// One row for each subscription with another price.
    pub rows: Vec<Row>,
    /// There are more: ask again.
    pub has_more: bool,
}

impl Billing {
    /// Announces a price to everybody who has another one of the same plan, term and currency. It applies to the first
    /// renewal after the notice; whoever does not want it cancels before. Those on the list keep their price for good, until
    /// staff says that promises end; who has heard of the new price already is left alone.
    ///
    /// # Errors
    /// When the notice is too short or the price is not the plan's current one.
    pub async fn change_price(&self, brand: BrandId, ask: Ask, actor: &Actor) -> Result<Outcome, Problem> {
        if !NOTICE_DAYS.contains(&ask.notice_days) {
            let message = format!(
                "notice_days: use {} to {} days, got {}",
                NOTICE_DAYS.start(),
                NOTICE_DAYS.end(),
                ask.notice_days
            );
            return Err(Problem::invalid("notice_days", "NOTICE_DAYS", message));
        }
        let offer = self.offer_on_sale(brand, ask.to).await?;
        let (mut tx, now) = self.begin(brand).await?;
        let among = Among { version: ask.from, only: &ask.only, with_promised: ask.ends_promises };
        let change = PriceChange { offer, from: now + TimeDelta::days(ask.notice_days.into()) };
        let (outcome, unit, announced) = announce_to_all(&mut tx, brand, &change, among, &ask.keep, now).await?;
        if ask.is_dry_run {
            return Ok(outcome);
        }
        let is_announced = |row: &&Row| row.at.is_some();
        let written = json!({
            "notice_days": ask.notice_days, "price": change.offer.price,
            "announced": outcome.rows.iter().filter(is_announced).count(),
            "kept": outcome.rows.iter().filter(|row| row.at.is_none()).count(),
            "promises_ended": outcome.rows.iter().filter(is_announced).filter(|row| row.was_promised).count(),
        });
        audit::append(&mut tx, actor, "price_change.create", ask.to, None, Some(written)).await?;
        self.keep_announced(&mut tx, brand, unit, announced, now).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    /// Announces the price to everybody it is for, without asking the catalogue or anybody's leave: on a copy of the book.
    pub(super) async fn assume_price(&self, brand: BrandId, change: &PriceChange) -> Result<(), Problem> {
        loop {
            let (mut tx, now) = self.begin(brand).await?;
            let (outcome, unit, announced) = announce_to_all(&mut tx, brand, change, EVERYBODY, &[], now).await?;
            self.keep_announced(&mut tx, brand, unit, announced, now).await?;
            tx.commit().await?;
            if !outcome.has_more {
                return Ok(());
            }
        }
    }

    /// Writes what was announced and plans what it changes.
    async fn keep_announced(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        mut unit: Unit,
        announced: Vec<Subscription>,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        for subscription in &announced {
            unit.keep(subscription.clone());
        }
        let settings = self.config.dunning(&unit.profile);
        unit.flush(tx).await?;
        let planned: Vec<_> = cases(tx, brand, announced)
            .await?
            .iter()
            .map(|case| (case.subscription.id, case.next(&settings, now).map(|(at, _)| at)))
            .collect();
        Ok(store::due::set(tx, brand, &planned).await?)
    }
}

/// Decides for one batch of those with an older price of the same plan, term and currency.
async fn announce_to_all(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    change: &PriceChange,
    among: Among<'_>,
    keep: &[SubscriptionId],
    now: DateTime<Utc>,
) -> Result<(Outcome, Unit, Vec<Subscription>), Problem> {
    let found = store::subscription::with_older_price(tx, &change.offer, among, BATCH_MAX + 1).await?;
    let has_more = i64::try_from(found.len()).is_ok_and(|count| count > BATCH_MAX);
    let ids: Vec<SubscriptionId> = found.into_iter().take(usize::try_from(BATCH_MAX).unwrap_or(0)).collect();
    let mut locked = store::subscription::lock_all(tx, &ids).await?;
    let mut unit = Unit::new(brand, profile(tx, brand).await?, now);
    let mut accounts: Vec<AccountId> = locked.iter().map(|subscription| subscription.account).collect();
    accounts.sort_unstable();
    accounts.dedup();
    unit.lock_customers(tx, &accounts).await?;
    let mut rows = Vec::with_capacity(locked.len());
    for subscription in &mut locked {
        rows.push(announce(&mut unit, subscription, change, keep)?);
    }
    Ok((Outcome { rows, has_more }, unit, locked))
}

/// Notes the new price on one subscription and tells its customer, or notes that it keeps the old one.
fn announce(
    unit: &mut Unit,
    subscription: &mut Subscription,
    change: &PriceChange,
    keep: &[SubscriptionId],
) -> Result<Row, Problem> {
    let before = subscription.clone();
    let old = before.offer.term_price().map_err(broken)?;
    let was_promised = before.calendar.keeps_price;
    let mut row = Row { subscription: before.id, account: before.account, old, new: old, at: None, was_promised };
    if keep.contains(&before.id) {
        subscription.calendar.keeps_price = true;
        unit.touch(&before, subscription, "price_kept").map_err(broken)?;
        return Ok(row);
    }
    // Everybody keeps the quantities they have, at the new prices.
    let offer = change.offer.clone().keeping(&before.offer);
    fewer_streams(&before, &offer)?;
    let new = offer.term_price().map_err(broken)?;
    subscription.calendar.keeps_price = false;
    subscription.calendar.price_change = Some(PriceChange { offer, ..change.clone() });
    let at = subscription.price_changes_at().map_err(broken)?;
    (row.new, row.at) = (new, at);
    unit.touch(&before, subscription, "price_announced").map_err(broken)?;
    let buyer = unit.customer(before.account).map(|customer| customer.buyer.clone());
    if let (Some(at), Some(buyer)) = (at, buyer) {
        let event = publish::price_announced(unit.brand, subscription, (old, new), at, &buyer, unit.now);
        unit.tell(event);
    }
    Ok(row)
}

/// A dearer plan that also takes streams away is no change of the price.
fn fewer_streams(subscription: &Subscription, offer: &Offer) -> Result<(), Problem> {
    let (old, new) = (subscription.offer.connections, offer.connections);
    if new >= old {
        return Ok(());
    }
    let message = format!(
        "{} has {old} streams and the plan now has {new}; put {old} into the plan or keep it on its price",
        subscription.id
    );
    Err(Problem::refused("FEWER_STREAMS", message).on_field("to_price_id").with("subscription_id", subscription.id))
}

//! Plans that are sold in limited number or for a time: whether one can be ordered, and that the last one is ordered once.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, PlanId, SubscriptionId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::Billing;
use crate::domain::offer::Offer;
use crate::domain::quote::Limit;
use crate::store;

/// A price as the shop sells it now.
#[derive(Clone, Debug)]
pub struct Sold {
    /// What is bought, with what the plan includes of its options.
    pub offer: Offer,
    /// The plan's address.
    pub slug: String,
    /// When and how many of it are sold.
    pub sale: Sale,
}

/// When and how many of a plan are sold.
#[derive(Clone, Debug)]
pub struct Sale {
    /// Of which plan.
    pub plan: PlanId,
    /// Its name.
    pub name: String,
    /// How many can be ordered; none: no limit.
    pub stock: Option<u32>,
    /// Not sold before.
    pub from: Option<DateTime<Utc>>,
    /// Not sold from here on.
    pub until: Option<DateTime<Utc>>,
}

impl Sale {
    /// Whether it is sold at `now`. A quote that was made in time holds.
    ///
    /// # Errors
    /// When its sale has not begun or is over.
    pub fn check(&self, now: DateTime<Utc>) -> Result<(), Problem> {
        let plan = &self.name;
        let day = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M UTC");
        if let Some(from) = self.from.filter(|from| now < *from) {
            let message = format!("the plan `{plan}` is sold from {} on; come back then", day(from));
            return Err(Problem::refused("SALE_NOT_STARTED", message).on_field("price_id"));
        }
        if let Some(until) = self.until.filter(|until| now >= *until) {
            let message = format!("the plan `{plan}` was sold until {}; choose another", day(until));
            return Err(Problem::refused("SALE_OVER", message).on_field("price_id"));
        }
        Ok(())
    }

    /// What an order holds; none when there is no limit.
    #[must_use]
    pub fn limit(&self) -> Option<Limit> {
        self.stock.map(|count| Limit { plan: self.plan, name: self.name.clone(), count })
    }
}

fn sold_out(plan_name: &str) -> Problem {
    let message =
        format!("the plan `{plan_name}` is sold out; choose another, or try later: orders that are given up come back");
    Problem::refused("SOLD_OUT", message).on_field("price_id")
}

/// Whether it looks as if one is left. Says so early; [`take`] decides.
///
/// # Errors
/// When none is.
pub(super) async fn look(tx: &mut PgTransaction<'_>, limits: &[Limit]) -> Result<(), Problem> {
    if limits.is_empty() {
        return Ok(());
    }
    let plans: Vec<PlanId> = limits.iter().map(|limit| limit.plan).collect();
    let taken = store::stock::taken(tx, &plans).await?;
    for limit in limits {
        let taken = taken.iter().find(|(plan, _)| *plan == limit.plan).map_or(0, |(_, taken)| *taken);
        if taken >= i64::from(limit.count) {
            return Err(sold_out(&limit.name));
        }
    }
    Ok(())
}

/// Takes one of each for an order, in the order of their ids, as everybody does. Of many who want the last one at once, one gets it: the others wait for that transaction, and are
/// refused when it commits.
///
/// # Errors
/// When none is left.
pub(super) async fn take(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    limits: &[Limit],
    subscription: SubscriptionId,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let mut limits: Vec<&Limit> = limits.iter().collect();
    limits.sort_by_key(|limit| limit.plan);
    for limit in limits {
        if !store::stock::take(tx, brand, limit.plan, limit.count, subscription, now).await? {
            return Err(sold_out(&limit.name));
        }
    }
    Ok(())
}

/// Takes as many places as there are codes in a batch for the plan; all or none.
///
/// # Errors
/// When fewer are left.
pub(super) async fn take_for_codes(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    limit: &Limit,
    count: u32,
) -> Result<(), Problem> {
    if store::stock::take_for_codes(tx, brand, limit.plan, limit.count, count).await? {
        return Ok(());
    }
    let taken = store::stock::taken(tx, &[limit.plan]).await?.first().map_or(0, |(_, taken)| *taken);
    let left = (i64::from(limit.count) - taken).max(0);
    let message = format!(
        "count: {count} codes hold {count} places of the plan `{}`, and {left} of {} are left; make fewer codes, or raise its stock",
        limit.name, limit.count
    );
    Err(Problem::refused("SOLD_OUT", message).on_field("count").with("left", left))
}

impl Billing {
    /// How many of these plans are ordered or sold while their number is limited; those of which none is are left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn stock_taken(&self, brand: BrandId, plans: &[PlanId]) -> Result<Vec<(PlanId, i64)>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        Ok(store::stock::taken(&mut tx, plans).await?)
    }
}

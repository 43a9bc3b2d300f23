//! Using coupons: whether this customer may, and that the last use is used once.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, CouponId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::Billing;
use crate::domain::coupon::{Coupon, CouponRefused, Redeemed};
use crate::domain::subscription::Subscription;
use crate::store;

impl From<CouponRefused> for Problem {
    fn from(refused: CouponRefused) -> Self {
        let (reason, message) = (refused.reason(), refused.to_string());
        match refused {
            CouponRefused::Unknown(_) => Self::invalid("coupon", reason, message),
            CouponRefused::NotStarted { .. }
            | CouponRefused::Expired { .. }
            | CouponRefused::UsedUp(_)
            | CouponRefused::UsedByYou(_)
            | CouponRefused::NewCustomersOnly(_)
            | CouponRefused::Plan { .. }
            | CouponRefused::Term { .. }
            | CouponRefused::Currency { .. }
            | CouponRefused::NotForOrders(_)
            | CouponRefused::NotForUpgrades(_)
            | CouponRefused::WithoutEffect(_) => Self::refused(reason, message).on_field("coupon"),
        }
    }
}

impl Billing {
    /// How often these coupons are used; those nobody uses are left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn coupon_uses(&self, brand: BrandId, coupons: &[CouponId]) -> Result<Vec<(CouponId, i64)>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        Ok(store::redemption::uses(&mut tx, coupons).await?)
    }
}

/// An order that names a coupon is about a quote that has it.
pub(super) fn check_believed(believed: &str, quoted: Option<&Coupon>) -> Result<(), Problem> {
    let believed = believed.trim();
    let has = quoted.map_or("", |coupon| coupon.code.as_str());
    if believed.is_empty() || believed.eq_ignore_ascii_case(has) {
        return Ok(());
    }
    let message = match quoted {
        Some(coupon) => {
            format!("the quote has the coupon `{}`; ask for a new quote with the one you want", coupon.code)
        }
        None => "the quote has no coupon; ask for a new one with it".to_owned(),
    };
    Err(Problem::refused("COUPON_NOT_IN_QUOTE", message).on_field("coupon"))
}

/// Whether it looks as if the customer (nobody in particular: anybody) could use the coupon. Says so early; [`take`] decides.
///
/// # Errors
/// When the customer cannot, or nothing is left of it.
pub(super) async fn look(
    tx: &mut PgTransaction<'_>,
    coupon: &Coupon,
    account: Option<AccountId>,
) -> Result<(), Problem> {
    if let Some(max) = coupon.uses_max
        && store::redemption::uses(tx, &[coupon.id]).await?.iter().any(|(_, uses)| *uses >= i64::from(max))
    {
        return Err(CouponRefused::UsedUp(coupon.code.clone()).into());
    }
    match account {
        Some(account) => check_customer(tx, coupon, account).await,
        None => Ok(()),
    }
}

/// Whether the coupon is for this customer. Whoever holds the customer's lock gets an answer that stays true.
///
/// # Errors
/// When it is not.
pub(super) async fn check_customer(
    tx: &mut PgTransaction<'_>,
    coupon: &Coupon,
    account: AccountId,
) -> Result<(), Problem> {
    if coupon.new_customers_only && store::order::stands(tx, account).await? {
        return Err(CouponRefused::NewCustomersOnly(coupon.code.clone()).into());
    }
    if let Some(max) = coupon.uses_per_customer_max
        && store::redemption::uses_of(tx, coupon.id, account).await? >= i64::from(max)
    {
        return Err(CouponRefused::UsedByYou(coupon.code.clone()).into());
    }
    Ok(())
}

/// Takes one use. Of many who want the last one at once, one gets it: the others wait for that transaction, and are refused
/// when it commits.
///
/// # Errors
/// When nothing is left of it.
pub(super) async fn take(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    redeemed: &Redeemed,
    subscription: &Subscription,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    if store::redemption::take(tx, brand, redeemed, subscription, now).await? {
        return Ok(());
    }
    Err(CouponRefused::UsedUp(redeemed.coupon.code.clone()).into())
}

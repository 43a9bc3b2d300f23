//! Changing the plan in the middle of a period: exact to the second, rounded once per line, never a negative charge.

use chrono::{DateTime, Utc};
use ottery_kernel::{Money, MoneyError, Period, Rounding};

use super::offer::Offer;

/// When a change takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// As soon as what is due is paid; the running period goes on.
    Now,
    /// As soon as what is due is paid; a new period of the new term starts then.
    NowRestarting,
    /// With the next renewal: the customer keeps what is paid.
    AtRenewal,
}

/// What a change costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// When it takes effect.
    pub effect: Effect,
    /// Worth of the unused rest at the old price.
    pub unused_credit: Money,
    /// The rest (or the new first period) at the new price.
    pub new_charge: Money,
    /// To be paid now; never negative.
    pub due_now: Money,
}

/// A paid period that is not over, and what coupons take off its price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paid {
    /// The period.
    pub period: Period,
    /// Off the old price when it was paid: only what was paid is credited.
    pub off_old: Money,
    /// Off the new price.
    pub off_new: Money,
}

impl Paid {
    /// Without any coupon.
    #[must_use]
    pub const fn full(period: Period, currency: ottery_kernel::Currency) -> Self {
        Self { period, off_old: Money::zero(currency), off_new: Money::zero(currency) }
    }
}

/// What is left of the paid periods at `now`, at the price less what `off` says of each.
fn share_left(price: Money, paid: &[Paid], off: fn(&Paid) -> Money, now: DateTime<Utc>) -> Result<Money, MoneyError> {
    paid.iter().try_fold(Money::zero(price.currency), |sum, paid| {
        let (left, whole) = paid.period.remaining_ratio(now);
        sum.checked_add(price.checked_sub(off(paid))?.mul_ratio(left, whole, Rounding::HalfUp)?)
    })
}

/// What of the rest of the paid periods costs at the new price before coupons.
///
/// # Errors
/// When an amount does not fit.
pub fn list_charge(new: &Offer, change: &Change, paid: &[Paid], now: DateTime<Utc>) -> Result<Money, MoneyError> {
    match change.effect {
        Effect::Now => share_left(new.price, paid, |paid| Money::zero(paid.off_new.currency), now),
        Effect::NowRestarting => Ok(new.price),
        Effect::AtRenewal => Ok(Money::zero(new.price.currency)),
    }
}

/// Decides what going from `old` to `new` costs at `now`, with `paid` being the paid periods that are not over and
/// `off_restart` what a coupon takes off a period of the new term that starts now.
/// A lower price for the same term waits for the renewal; so does a new term whose price the unused rest would exceed.
///
/// # Errors
/// When the currencies differ or an amount does not fit.
pub fn change(
    old: &Offer,
    new: &Offer,
    paid: &[Paid],
    off_restart: Money,
    now: DateTime<Utc>,
) -> Result<Change, MoneyError> {
    let unused_credit = share_left(old.price, paid, |paid| paid.off_old, now)?;
    let nothing = Money::zero(old.price.currency);
    let later = Change { effect: Effect::AtRenewal, unused_credit: nothing, new_charge: nothing, due_now: nothing };
    let (effect, new_charge) = if old.term == new.term {
        if new.price.checked_cmp(old.price)?.is_lt() {
            return Ok(later);
        }
        (Effect::Now, share_left(new.price, paid, |paid| paid.off_new, now)?)
    } else {
        let restart = new.price.checked_sub(off_restart)?;
        if restart.checked_cmp(unused_credit)?.is_lt() {
            return Ok(later);
        }
        (Effect::NowRestarting, restart)
    };
    let due_now = new_charge.checked_sub(unused_credit)?;
    let due_now = if due_now.is_negative() { nothing } else { due_now };
    Ok(Change { effect, unused_credit, new_charge, due_now })
}

#[cfg(test)]
pub(crate) mod tests {
    use chrono::{TimeDelta, TimeZone};
    use ottery_kernel::{Currency, PlanId, PlanVersionId, PriceId, Term};
    use proptest::prelude::*;

    use super::*;
    use crate::domain::offer::Mapping;

    pub fn offer(minor: i64, term: Term) -> Offer {
        let at = DateTime::UNIX_EPOCH;
        Offer {
            plan_id: PlanId::new(at),
            plan_version_id: PlanVersionId::new(at),
            price_id: PriceId::new(at),
            plan_name: "Family".into(),
            price: Money::new(minor, Currency::EUR),
            setup_fee: None,
            term,
            trial_days: 0,
            connections: 2,
            mapping: Mapping::default(),
        }
    }

    /// As above, of periods no coupon has to do with.
    fn change(old: &Offer, new: &Offer, paid: &[Period], now: DateTime<Utc>) -> Result<Change, MoneyError> {
        let paid: Vec<_> = paid.iter().map(|period| Paid::full(*period, Currency::EUR)).collect();
        super::change(old, new, &paid, Money::zero(Currency::EUR), now)
    }

    fn june() -> Period {
        let at = |month| Utc.with_ymd_and_hms(2026, month, 1, 0, 0, 0).unwrap();
        Period::try_new(at(6), at(7)).unwrap()
    }

    #[test]
    fn an_upgrade_half_way_costs_half_the_difference() {
        let now = june().start() + TimeDelta::days(15);
        let change = change(&offer(1000, Term::MONTH), &offer(2000, Term::MONTH), &[june()], now).unwrap();
        assert_eq!((change.effect, change.due_now.minor), (Effect::Now, 500));
        assert_eq!((change.unused_credit.minor, change.new_charge.minor), (500, 1000));
    }

    #[test]
    fn a_cheaper_plan_waits_for_the_renewal_and_costs_nothing_now() {
        let change = change(&offer(2000, Term::MONTH), &offer(1000, Term::MONTH), &[june()], june().start()).unwrap();
        assert_eq!((change.effect, change.due_now.minor), (Effect::AtRenewal, 0));
    }

    #[test]
    fn a_longer_term_starts_at_once_with_the_unused_rest_credited() {
        let now = june().start() + TimeDelta::days(15);
        let change = change(&offer(1000, Term::MONTH), &offer(10_000, Term::YEAR), &[june()], now).unwrap();
        assert_eq!((change.effect, change.due_now.minor), (Effect::NowRestarting, 9500));
    }

    #[test]
    fn a_period_paid_ahead_is_part_of_what_is_left() {
        let july = Period::try_new(june().end(), june().end() + TimeDelta::days(31)).unwrap();
        let now = june().start() + TimeDelta::days(15);
        let change = change(&offer(1000, Term::MONTH), &offer(2000, Term::MONTH), &[june(), july], now).unwrap();
        assert_eq!(change.due_now.minor, 1500);
    }

    #[test]
    fn only_what_was_paid_is_credited_and_a_coupon_goes_on_through_an_upgrade() {
        let now = june().start() + TimeDelta::days(15);
        let (old, new) = (offer(1000, Term::MONTH), offer(2000, Term::MONTH));
        let eur = |minor| Money::new(minor, Currency::EUR);
        let half_price = Paid { period: june(), off_old: eur(500), off_new: eur(1000) };
        let change = super::change(&old, &new, &[half_price], eur(0), now).unwrap();
        assert_eq!((change.unused_credit, change.new_charge, change.due_now), (eur(250), eur(500), eur(250)));
        // A coupon for the old plan alone: the rest of the month costs the new plan's full price.
        let ends = Paid { off_new: eur(0), ..half_price };
        let change = super::change(&old, &new, &[ends], eur(0), now).unwrap();
        assert_eq!((change.unused_credit, change.new_charge, change.due_now), (eur(250), eur(1000), eur(750)));
        // A free month is worth nothing when it is given up for a year.
        let free = Paid { off_old: eur(1000), ..half_price };
        let change = super::change(&old, &offer(10_000, Term::YEAR), &[free], eur(0), now).unwrap();
        assert_eq!((change.effect, change.due_now), (Effect::NowRestarting, eur(10_000)));
    }

    proptest! {
        #[test]
        fn with_coupons_nobody_is_credited_more_than_was_paid_or_charged_less_than_nothing(
            old in 0_i64..10_000_000, new in 0_i64..10_000_000, off_old in 0_i64..10_000_000, off_new in 0_i64..10_000_000,
            at in 0_i64..2_592_000, yearly in any::<bool>(),
        ) {
            let eur = |minor| Money::new(minor, Currency::EUR);
            let term = if yearly { Term::YEAR } else { Term::MONTH };
            let paid = Paid { period: june(), off_old: eur(off_old.min(old)), off_new: eur(off_new.min(new)) };
            let now = june().start() + TimeDelta::seconds(at);
            let sold = offer(new, term);
            let change = super::change(&offer(old, Term::MONTH), &sold, &[paid], paid.off_new, now).unwrap();
            prop_assert!(change.unused_credit.minor <= old - paid.off_old.minor);
            prop_assert!(!change.due_now.is_negative() && change.due_now.minor <= new - paid.off_new.minor);
            let list = list_charge(&sold, &change, &[paid], now).unwrap();
            prop_assert!(list.minor >= change.new_charge.minor);
        }

        #[test]
        fn case_028_what_is_due_is_never_negative(old in 0_i64..10_000_000_000, new in 0_i64..10_000_000_000, at in 0_i64..2_592_000, yearly in any::<bool>()) {
            let term = if yearly { Term::YEAR } else { Term::MONTH };
            let now = june().start() + TimeDelta::seconds(at);
            let change = change(&offer(old, Term::MONTH), &offer(new, term), &[june()], now).unwrap();
            prop_assert!(!change.due_now.is_negative());
            prop_assert!(change.due_now.minor <= new);
        }

        #[test]
        fn case_107_upgrading_in_steps_never_costs_more_than_one_unit_per_step_above_the_whole(
            prices in proptest::collection::vec(0_i64..1_000_000, 2..6), at in 0_i64..2_592_000,
        ) {
            let mut prices = prices;
            prices.sort_unstable();
            let now = june().start() + TimeDelta::seconds(at);
            let due = |old: i64, new: i64| change(&offer(old, Term::MONTH), &offer(new, Term::MONTH), &[june()], now).unwrap().due_now.minor;
            let steps: i64 = prices.windows(2).map(|pair| due(pair[0], pair[1])).sum();
            let whole = due(prices[0], prices[prices.len() - 1]);
            prop_assert!((steps - whole).abs() <= prices.len() as i64);
        }
    }
}

//! Changing the plan in the middle of a period: exact to the second, rounded once per line, never a negative charge.
//!
//! The plan the customer has says what becomes of a change ([`ChangePolicy`](ottery_kernel::ChangePolicy)). Two things it
//! cannot say: fewer streams wait for the renewal, because they are paid until then and may be in use, and another
//! currency waits for it too, because amounts are never converted. Options of the same plan are no change of plan: more
//! units begin at once, fewer with the renewal, whatever the plan says.

use std::fmt;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use ottery_kernel::{ChangeTiming, Currency, Money, MoneyError, PeriodError};

use super::calendar::Stretch;
use super::derivation::{Derivation, Priced, Source};
use super::offer::Offer;
use super::option::{self, Extra};

/// When a change takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// As soon as what is due is paid; the running period goes on.
    Now,
    /// As soon as what is due is paid; a new period starts then.
    NowRestarting,
    /// With the next renewal: the customer keeps what is paid.
    AtRenewal,
}

/// What the customer should know before confirming.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Fewer simultaneous streams than now.
    FewerConnections {
        /// Now.
        from: u32,
        /// Afterwards.
        to: u32,
    },
    /// Fewer units of an option than now.
    FewerUnits {
        /// The option as it was sold.
        name: String,
        /// Now.
        from: u32,
        /// Afterwards.
        to: u32,
    },
    /// The unused rest of what is paid is not credited.
    UnusedLost(Money),
    /// A renewal that waits for its money is billed again.
    Repriced {
        /// The number of its invoice.
        invoice: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FewerConnections { from, to } => {
                write!(
                    f,
                    "Streams at a time go down from {from} to {to} with the renewal; sign out devices you need no more."
                )
            }
            Self::FewerUnits { name, from, to } => {
                write!(f, "{name}: {from} becomes {to}.")
            }
            Self::Repriced { invoice } => {
                write!(f, "Invoice {invoice} for the next period is withdrawn; the renewal is billed at the new price.")
            }
            Self::UnusedLost(worth) => {
                write!(
                    f,
                    "A new period begins at once; what is not used of the current one, worth {worth}, is not credited."
                )
            }
        }
    }
}

/// What a change costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When it takes effect.
    pub effect: Effect,
    /// Worth of the unused rest at the old price, as far as it counts.
    pub unused_credit: Money,
    /// The rest (or the new first period) at the new price.
    pub new_charge: Money,
    /// Set-up of units that are added; never credited again.
    pub setup_charge: Money,
    /// To be paid now; never negative.
    pub due_now: Money,
    /// What goes to the wallet: the part of the unused rest that the new charge does not use up.
    pub credit: Money,
    /// The first stretch of a change that restarts.
    pub first: Option<Stretch>,
    /// What to know before.
    pub warnings: Vec<Warning>,
    /// How the unused rest came about.
    pub how_unused: Derivation,
    /// How the new charge came about.
    pub how_charge: Derivation,
}

impl Change {
    /// One that costs nothing, at once.
    #[must_use]
    pub fn free(currency: Currency) -> Self {
        let nothing = Money::zero(currency);
        Self {
            effect: Effect::Now,
            unused_credit: nothing,
            new_charge: nothing,
            setup_charge: nothing,
            due_now: nothing,
            credit: nothing,
            first: None,
            warnings: Vec::new(),
            how_unused: Derivation::default(),
            how_charge: Derivation::default(),
        }
    }
}

/// A change that cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// An amount that does not fit.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// A date beyond the calendar.
    #[error(transparent)]
    Period(#[from] PeriodError),
}

/// A paid stretch that is not over, and what coupons take off the price of its whole term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paid {
    /// The stretch.
    pub stretch: Stretch,
    /// Off the old price when it was paid: only what was paid is credited.
    pub off_old: Money,
    /// Off the new price.
    pub off_new: Money,
}

impl Paid {
    /// Without any coupon.
    #[must_use]
    pub const fn full(stretch: Stretch, currency: Currency) -> Self {
        Self { stretch, off_old: Money::zero(currency), off_new: Money::zero(currency) }
    }
}

/// What is left of the paid stretches at `now`, at the plan's price less what `off` says of each; without what is beside it.
fn plan_left(
    offer: &Offer,
    paid: &[Paid],
    off: fn(&Paid) -> Money,
    now: DateTime<Utc>,
) -> Result<Derivation, MoneyError> {
    let left = |paid: &Paid| {
        let off = off(paid);
        Ok(paid.stretch.addend_left(at_price(offer, off), offer.price.checked_sub(off)?, now))
    };
    paid.iter().map(left).collect::<Result<_, _>>().map(Derivation)
}

/// The price of an offer, less what a coupon takes off a whole term.
fn at_price(offer: &Offer, off: Money) -> Source {
    if off.is_zero() {
        return Source::Price(Priced::of(offer));
    }
    Source::Reduced { price: Priced::of(offer), coupon: String::new(), benefit: None, off }
}

/// What is left of an extra at `now`.
fn extra_left(offer: &Offer, extra: &Extra<'_>, paid: &[Paid], now: DateTime<Utc>) -> Result<Derivation, MoneyError> {
    let price = extra.price()?;
    Ok(Derivation(paid.iter().map(|paid| paid.stretch.addend_left(extra.source(offer), price, now)).collect()))
}

/// What is left of the paid stretches at `now`, with what is beside the plan.
fn all_left(
    offer: &Offer,
    paid: &[Paid],
    off: fn(&Paid) -> Money,
    now: DateTime<Utc>,
) -> Result<Derivation, MoneyError> {
    let plan = plan_left(offer, paid, off, now)?;
    let extras = offer.extras().filter(|extra| extra.units > 0);
    extras.map(|extra| extra_left(offer, &extra, paid, now)).try_fold(plan, |all, extra| Ok(all.and(extra?)))
}

/// What a period costs that a coupon takes `off` of, with what is beside the plan.
fn all_of(offer: &Offer, off: Money, period: &Stretch) -> Result<Derivation, MoneyError> {
    let plan = Derivation::from(period.addend(at_price(offer, off), offer.price.checked_sub(off)?));
    let extras = offer.extras().filter(|extra| extra.units > 0);
    let of = |extra: Extra<'_>| Ok::<_, MoneyError>(period.addend(extra.source(offer), extra.price()?));
    extras.map(of).try_fold(plan, |all, extra| Ok(all.and(extra?.into())))
}

/// What units of the same plan that are added cost for the time that is left; what is left of the others is paid.
fn added_left(old: &Offer, new: &Offer, paid: &[Paid], now: DateTime<Utc>) -> Result<Derivation, MoneyError> {
    let mut added = Derivation::default();
    for extra in new.extras() {
        let had = old.extras().find(|had| had.key == extra.key && had.units > 0);
        if extra.units > had.as_ref().map_or(0, |had| had.units) {
            added = added.and(extra_left(new, &extra, paid, now)?);
            if let Some(had) = had {
                added = added.and(extra_left(old, &had, paid, now)?.taken());
            }
        }
    }
    Ok(added)
}

/// What the units cost once that `new` has more of than `old`.
fn setup_charge(old: &Offer, new: &Offer) -> Result<Money, MoneyError> {
    new.extras()
        .try_fold(Money::zero(new.price.currency), |sum, extra| sum.checked_add(extra.setup(old.units_of(&extra.key))?))
}

/// What the plan that is left says about going to `new`.
fn timing(old: &Offer, new: &Offer) -> Result<ChangeTiming, MoneyError> {
    Ok(if new.connections < old.connections || new.price.currency != old.price.currency {
        ChangeTiming::AtRenewal
    } else if old.price_id == new.price_id {
        match old.fewer_in(new).next() {
            Some(_) => ChangeTiming::AtRenewal,
            None => ChangeTiming::ProrateNow,
        }
    } else if old.term != new.term {
        old.changes.term
    } else if new.term_price()?.minor < old.term_price()?.minor {
        old.changes.downgrade
    } else {
        old.changes.upgrade
    })
}

/// What the new charge of a change would be without coupons.
///
/// # Errors
/// When an amount does not fit.
pub fn list_charge(
    (old, new): (&Offer, &Offer),
    change: &Change,
    paid: &[Paid],
    now: DateTime<Utc>,
) -> Result<Derivation, MoneyError> {
    match (change.effect, change.first) {
        (Effect::Now, _) if old.price_id == new.price_id => Ok(change.how_charge.clone()),
        (Effect::Now, _) => all_left(new, paid, |paid| Money::zero(paid.off_new.currency), now),
        (Effect::NowRestarting, Some(first)) => all_of(new, Money::zero(new.price.currency), &first),
        (Effect::NowRestarting, None) | (Effect::AtRenewal, _) => Ok(change.how_charge.clone()),
    }
}

/// Decides what going from `old` to `new` costs at `now`, with `paid` being the paid stretches that are not over and
/// `off_restart` what a coupon takes off a whole new term that starts now.
/// A new term whose price the unused rest would exceed waits for the renewal.
///
/// # Errors
/// When an amount or a date does not fit.
pub fn change(
    old: &Offer,
    new: &Offer,
    paid: &[Paid],
    off_restart: Money,
    zone: Tz,
    now: DateTime<Utc>,
) -> Result<Change, ChangeError> {
    let nothing = Money::zero(old.price.currency);
    let mut change = Change { effect: Effect::AtRenewal, ..Change::free(old.price.currency) };
    if new.connections < old.connections {
        change.warnings.push(Warning::FewerConnections { from: old.connections, to: new.connections });
    }
    // Streams are warned of already.
    let streams = old.options.iter().find(|choice| choice.effect == option::Effect::Connections);
    let others = old.fewer_in(new).filter(|(name, ..)| streams.is_none_or(|streams| streams.name != *name));
    change.warnings.extend(others.map(|(name, from, to)| Warning::FewerUnits { name: name.to_owned(), from, to }));
    let timing = timing(old, new)?;
    if timing == ChangeTiming::AtRenewal {
        return Ok(change);
    }
    if old.price_id == new.price_id {
        // Nothing is given up: what is added is charged for the time that is left.
        let how_charge = added_left(old, new, paid, now)?;
        let new_charge = how_charge.total(new.price.currency)?;
        let setup_charge = setup_charge(old, new)?;
        let due_now = new_charge.checked_add(setup_charge)?;
        return Ok(Change { effect: Effect::Now, new_charge, setup_charge, due_now, how_charge, ..change });
    }
    let how_unused = all_left(old, paid, |paid| paid.off_old, now)?;
    let unused = how_unused.total(old.price.currency)?;
    let restarts = timing == ChangeTiming::FullPriceReset || old.term != new.term;
    if restarts {
        let begun = new.anchor.begin(now, zone, new.term)?;
        let first = Stretch { period: begun.period, whole: begun.whole };
        change.how_charge = all_of(new, off_restart, &first)?;
        change.new_charge = change.how_charge.total(new.price.currency)?;
        if timing == ChangeTiming::ProrateNow && change.new_charge.checked_cmp(unused)?.is_lt() {
            return Ok(Change { new_charge: nothing, how_charge: Derivation::default(), ..change });
        }
        change.effect = Effect::NowRestarting;
        change.first = Some(first);
    } else {
        change.effect = Effect::Now;
        change.how_charge = all_left(new, paid, |paid| paid.off_new, now)?;
        change.new_charge = change.how_charge.total(new.price.currency)?;
    }
    change.setup_charge = setup_charge(old, new)?;
    if timing == ChangeTiming::FullPriceReset {
        if unused.is_positive() {
            change.warnings.push(Warning::UnusedLost(unused));
        }
    } else {
        change.unused_credit = unused;
        change.how_unused = how_unused;
    }
    let due = change.new_charge.checked_add(change.setup_charge)?.checked_sub(change.unused_credit)?;
    if due.is_negative() {
        change.credit = due.checked_neg()?;
    } else {
        change.due_now = due;
    }
    Ok(change)
}

#[cfg(test)]
pub(crate) mod tests {
    use chrono::{TimeDelta, TimeZone};
    use ottery_kernel::{AnchorRule, ChangePolicy, LateRenewal, Period, PlanId, PlanVersionId, PriceId, Term};
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
            anchor: AnchorRule::Anniversary,
            changes: ChangePolicy::default(),
            pause_days_max: 0,
            late_renewal: LateRenewal::FromOldEnd,
            tax_category: String::new(),
            options: Vec::new(),
            regular: None,
            addons: Vec::new(),
            once: false,
        }
    }

    fn june() -> Period {
        let at = |month| Utc.with_ymd_and_hms(2026, month, 1, 0, 0, 0).unwrap();
        Period::try_new(at(6), at(7)).unwrap()
    }

    fn with_coupon(old: &Offer, new: &Offer, paid: &[Paid], off_restart: i64, now: DateTime<Utc>) -> Change {
        change(old, new, paid, Money::new(off_restart, Currency::EUR), Tz::UTC, now).unwrap()
    }

    fn changed(old: &Offer, new: &Offer, paid: &[Period], now: DateTime<Utc>) -> Change {
        let paid: Vec<_> = paid.iter().map(|period| Paid::full(Stretch::term(*period), Currency::EUR)).collect();
        with_coupon(old, new, &paid, 0, now)
    }

    fn with(upgrade: ChangeTiming, downgrade: ChangeTiming, term: ChangeTiming, offer: Offer) -> Offer {
        Offer { changes: ChangePolicy { upgrade, downgrade, term }, ..offer }
    }

    #[test]
    fn an_upgrade_half_way_costs_half_the_difference() {
        let now = june().start() + TimeDelta::days(15);
        let change = changed(&offer(1000, Term::MONTH), &offer(2000, Term::MONTH), &[june()], now);
        assert_eq!((change.effect, change.due_now.minor), (Effect::Now, 500));
        assert_eq!((change.unused_credit.minor, change.new_charge.minor), (500, 1000));
    }

    #[test]
    fn a_cheaper_plan_waits_for_the_renewal_and_costs_nothing_now() {
        let change = changed(&offer(2000, Term::MONTH), &offer(1000, Term::MONTH), &[june()], june().start());
        assert_eq!((change.effect, change.due_now.minor), (Effect::AtRenewal, 0));
    }

    #[test]
    fn a_longer_term_starts_at_once_with_the_unused_rest_credited() {
        let now = june().start() + TimeDelta::days(15);
        let change = changed(&offer(1000, Term::MONTH), &offer(10_000, Term::YEAR), &[june()], now);
        assert_eq!((change.effect, change.due_now.minor), (Effect::NowRestarting, 9500));
    }

    #[test]
    fn a_period_paid_ahead_is_part_of_what_is_left() {
        let july = Period::try_new(june().end(), june().end() + TimeDelta::days(31)).unwrap();
        let now = june().start() + TimeDelta::days(15);
        let change = changed(&offer(1000, Term::MONTH), &offer(2000, Term::MONTH), &[june(), july], now);
        assert_eq!(change.due_now.minor, 1500);
    }

    #[test]
    fn a_plan_may_charge_upgrades_in_full_and_credit_downgrades_at_once() {
        use ChangeTiming::{AtRenewal, FullPriceReset, ProrateNow};
        let now = june().start() + TimeDelta::days(15);
        let old = with(FullPriceReset, ProrateNow, AtRenewal, offer(1000, Term::MONTH));
        let up = changed(&old, &offer(2000, Term::MONTH), &[june()], now);
        assert_eq!((up.effect, up.due_now.minor, up.unused_credit.minor), (Effect::NowRestarting, 2000, 0));
        assert_eq!(up.warnings, [Warning::UnusedLost(Money::new(500, Currency::EUR))]);
        assert_eq!(up.first.unwrap().period.start(), now);
        let down = changed(&old, &offer(400, Term::MONTH), &[june()], now);
        assert_eq!((down.effect, down.due_now.minor, down.credit.minor), (Effect::Now, 0, 300));
        let longer = changed(&old, &offer(9000, Term::YEAR), &[june()], now);
        assert_eq!((longer.effect, longer.due_now.minor), (Effect::AtRenewal, 0));
        let later = with(AtRenewal, AtRenewal, ProrateNow, offer(1000, Term::MONTH));
        assert_eq!(changed(&later, &offer(2000, Term::MONTH), &[june()], now).effect, Effect::AtRenewal);
    }

    #[test]
    fn case_108_fewer_streams_are_warned_of_and_wait_for_the_renewal_whatever_the_plan_says() {
        use ChangeTiming::ProrateNow;
        let three = Offer { connections: 3, ..offer(2000, Term::MONTH) };
        let one = Offer { connections: 1, ..offer(1000, Term::MONTH) };
        let old = with(ProrateNow, ProrateNow, ProrateNow, three);
        let change = changed(&old, &one, &[june()], june().start());
        assert_eq!((change.effect, change.due_now.minor, change.credit.minor), (Effect::AtRenewal, 0, 0));
        assert_eq!(change.warnings, [Warning::FewerConnections { from: 3, to: 1 }]);
    }

    #[test]
    fn what_is_left_of_a_bridge_is_priced_by_the_term_it_is_a_part_of() {
        let half = Period::try_new(june().start() + TimeDelta::days(15), june().end()).unwrap();
        let bridge = Stretch { period: half, whole: june() };
        let bridge = Paid::full(bridge, Currency::EUR);
        let change = with_coupon(&offer(1000, Term::MONTH), &offer(2000, Term::MONTH), &[bridge], 0, half.start());
        assert_eq!((change.unused_credit.minor, change.new_charge.minor, change.due_now.minor), (500, 1000, 500));
    }

    #[test]
    fn only_what_was_paid_is_credited_and_a_coupon_goes_on_through_an_upgrade() {
        let now = june().start() + TimeDelta::days(15);
        let (old, new) = (offer(1000, Term::MONTH), offer(2000, Term::MONTH));
        let eur = |minor| Money::new(minor, Currency::EUR);
        let half_price = Paid { stretch: Stretch::term(june()), off_old: eur(500), off_new: eur(1000) };
        let change = with_coupon(&old, &new, &[half_price], 0, now);
        assert_eq!((change.unused_credit, change.new_charge, change.due_now), (eur(250), eur(500), eur(250)));
        // A coupon for the old plan alone: the rest of the month costs the new plan's full price.
        let ends = Paid { off_new: eur(0), ..half_price };
        let change = with_coupon(&old, &new, &[ends], 0, now);
        assert_eq!((change.unused_credit, change.new_charge, change.due_now), (eur(250), eur(1000), eur(750)));
        // A free month is worth nothing when it is given up for a year.
        let free = Paid { off_old: eur(1000), ..half_price };
        let change = with_coupon(&old, &offer(10_000, Term::YEAR), &[free], 0, now);
        assert_eq!((change.effect, change.due_now), (Effect::NowRestarting, eur(10_000)));
    }

    #[test]
    fn a_lower_price_credits_what_was_paid_and_a_full_charge_has_its_coupon() {
        use ChangeTiming::{AtRenewal, FullPriceReset, ProrateNow};
        let now = june().start() + TimeDelta::days(15);
        let eur = |minor| Money::new(minor, Currency::EUR);
        let old = with(FullPriceReset, ProrateNow, AtRenewal, offer(1000, Term::MONTH));
        let half_price = Paid { stretch: Stretch::term(june()), off_old: eur(500), off_new: eur(200) };
        // 5.00 was paid, half of it is left: 2.50, less 1.00 for half a month at half of 4.00.
        let down = with_coupon(&old, &offer(400, Term::MONTH), &[half_price], 0, now);
        assert_eq!((down.unused_credit, down.new_charge, down.credit), (eur(250), eur(100), eur(150)));
        let up = with_coupon(&old, &offer(2000, Term::MONTH), &[half_price], 1000, now);
        assert_eq!((up.effect, up.due_now, up.unused_credit), (Effect::NowRestarting, eur(1000), eur(0)));
        assert_eq!(up.warnings, [Warning::UnusedLost(eur(250))]);
        assert_eq!(
            list_charge((&old, &offer(2000, Term::MONTH)), &up, &[half_price], now).unwrap().total(Currency::EUR),
            Ok(eur(2000))
        );
    }

    proptest! {
        #[test]
        fn with_coupons_nobody_is_credited_more_than_was_paid_or_charged_less_than_nothing(
            old in 0_i64..10_000_000, new in 0_i64..10_000_000, off_old in 0_i64..10_000_000, off_new in 0_i64..10_000_000,
            at in 0_i64..2_592_000, yearly in any::<bool>(),
        ) {
            let eur = |minor| Money::new(minor, Currency::EUR);
            let term = if yearly { Term::YEAR } else { Term::MONTH };
            let paid = Paid { stretch: Stretch::term(june()), off_old: eur(off_old.min(old)), off_new: eur(off_new.min(new)) };
            let now = june().start() + TimeDelta::seconds(at);
            let sold = offer(new, term);
            let had = offer(old, Term::MONTH);
            let change = with_coupon(&had, &sold, &[paid], paid.off_new.minor, now);
            prop_assert!(change.unused_credit.minor <= old - paid.off_old.minor);
            prop_assert_eq!(change.how_unused.total(Currency::EUR).unwrap(), change.unused_credit);
            prop_assert_eq!(change.how_charge.total(Currency::EUR).unwrap(), change.new_charge);
            prop_assert!(!change.due_now.is_negative() && change.due_now.minor <= new - paid.off_new.minor);
            let list = list_charge((&had, &sold), &change, &[paid], now).unwrap().total(Currency::EUR).unwrap();
            prop_assert!(list.minor >= change.new_charge.minor);
        }

        #[test]
        fn case_028_what_is_due_is_never_negative(old in 0_i64..10_000_000_000, new in 0_i64..10_000_000_000, at in 0_i64..2_592_000, yearly in any::<bool>()) {
            let term = if yearly { Term::YEAR } else { Term::MONTH };
            let now = june().start() + TimeDelta::seconds(at);
            let change = changed(&offer(old, Term::MONTH), &offer(new, term), &[june()], now);
            prop_assert!(!change.due_now.is_negative());
            prop_assert!(change.due_now.minor <= new);
            prop_assert!(change.due_now.is_zero() || change.credit.is_zero());
            prop_assert!(change.credit.minor <= old);
        }

        #[test]
        fn case_107_upgrading_in_steps_never_costs_more_than_one_unit_per_step_above_the_whole(
            prices in proptest::collection::vec(0_i64..1_000_000, 2..6), at in 0_i64..2_592_000,
        ) {
            let mut prices = prices;
            prices.sort_unstable();
            let now = june().start() + TimeDelta::seconds(at);
            let due = |old: i64, new: i64| changed(&offer(old, Term::MONTH), &offer(new, Term::MONTH), &[june()], now).due_now.minor;
            let steps: i64 = prices.windows(2).map(|pair| due(pair[0], pair[1])).sum();
            let whole = due(prices[0], prices[prices.len() - 1]);
            prop_assert!((steps - whole).abs() <= prices.len() as i64);
        }
    }
}

//! The lines of a change's invoice: what a preview shows and what is charged, from one function.

use chrono::{DateTime, Utc};
use ottery_kernel::{Money, MoneyError, Rounding};

use super::derivation::{Derivation, Source};
use super::line::{Line, Totals};
use super::offer::Offer;
use super::option::{Extra, setup_lines, units_line};
use super::proration::{Change, Effect, Paid, Warning, list_charge};
use super::tax::{Tax, on_total};

/// A change with what its lines are made of.
#[derive(Clone, Copy, Debug)]
pub struct Changing<'a> {
    /// What is left.
    pub old: &'a Offer,
    /// What comes.
    pub new: &'a Offer,
    /// The paid stretches it was computed from.
    pub paid: &'a [Paid],
    /// Name of the coupon that takes something off the new plan.
    pub coupon: Option<&'a str>,
    /// How what is left was taxed when it was paid.
    pub paid_as: &'a Tax,
    /// How what comes is taxed.
    pub tax: &'a Tax,
}

impl Changing<'_> {
    /// The lines of a change that was decided in prices; none when nothing is due. From here on the amounts of the change
    /// are what is charged and credited, with their tax, as the lines say them.
    ///
    /// # Errors
    /// When an amount is too large to compute with.
    pub fn bill(&self, change: &mut Change, now: DateTime<Utc>) -> Result<Vec<Line>, MoneyError> {
        if self.paid_as.is_like(self.tax) {
            let lines = self.lines(change, now, true)?;
            if Totals::of(change.new_charge.currency, &lines)?.is_proper() {
                self.with_tax(change, &lines, true)?;
                return Ok(lines);
            }
        }
        // What was taxed otherwise is not set off within one invoice: it is credited as it was taxed, and the credit pays. Nor is
        // what leaves less than no tax, or nothing but tax: next to nothing is due, and each line is rounded by itself, or what is
        // left bears more tax than what comes.
        change.credit = change.unused_credit;
        change.due_now = change.new_charge.checked_add(change.setup_charge)?;
        let lines = self.lines(change, now, false)?;
        self.with_tax(change, &lines, false)?;
        Ok(lines)
    }

    fn lines(&self, change: &Change, now: DateTime<Utc>, is_set_off: bool) -> Result<Vec<Line>, MoneyError> {
        if !change.due_now.is_positive() && change.effect != Effect::NowRestarting {
            return Ok(Vec::new());
        }
        let mut lines = if self.old.price_id == self.new.price_id && change.effect == Effect::Now {
            self.more_units(change)?
        } else {
            self.other_plan(change, now)?
        };
        lines.extend(setup_lines(self.new, Some(self.old), self.tax)?);
        if change.unused_credit.is_positive() && is_set_off {
            for (category, how) in by_category(&change.how_unused, self.old) {
                let unused = how.total(change.unused_credit.currency)?;
                let name = format!("Unused time of {}", name_of(self.old, category.as_deref()));
                let tax = self.paid_as.of_category(category.as_deref());
                lines.push(Line::priced(name, unused.checked_neg()?, &tax, None)?.derived(how.taken()));
            }
        }
        on_total(&mut lines, self.tax.pricing, self.tax.round)?;
        Ok(lines)
    }

    /// The plan stays: the units that are added, for the time that is left. What is left of the others is paid.
    fn more_units(&self, change: &Change) -> Result<Vec<Line>, MoneyError> {
        let added = self.new.extras().filter(|extra| extra.units > self.old.units_of(&extra.key));
        added
            .map(|extra| {
                let units = extra.units.saturating_sub(self.old.units_of(&extra.key));
                let how = change.how_charge.only(|source| source.is_extra(&extra.key));
                let name = format_args!("{}, {}, prorated", extra.name, self.new.term);
                units_line(units, name, how, self.new.price.currency, &extra.tax(self.tax))
            })
            .collect()
    }

    /// The new plan, what a coupon takes off it, and what is beside it.
    fn other_plan(&self, change: &Change, now: DateTime<Utc>) -> Result<Vec<Line>, MoneyError> {
        let currency = self.new.price.currency;
        let list = list_charge((self.old, self.new), change, self.paid, now)?.only(Source::is_plan);
        let discount = list.clone().and(change.how_charge.only(Source::is_plan).taken());
        let (price, off) = (list.total(currency)?, discount.total(currency)?);
        let name = format!("{}, {}", self.new.plan_name, self.new.term);
        let plan = Line::priced(name, price, self.tax, None)?.derived(list);
        let label = self.coupon.filter(|_| off.is_positive());
        let less = label.map(|label| plan.discounted(label, price, off, self.tax)).transpose()?;
        let mut lines: Vec<Line> = [plan].into_iter().chain(less.map(|less| less.derived(discount.taken()))).collect();
        for extra in self.new.extras().filter(|extra| extra.units > 0) {
            let how = change.how_charge.only(|source| source.is_extra(&extra.key));
            let name = format_args!("{}, {}", extra.name, self.new.term);
            lines.push(units_line(extra.units, name, how, currency, &extra.tax(self.tax))?);
        }
        Ok(lines)
    }

    /// What is credited beside the invoice, tax contained. A part of what is unused is taxed as the whole of it.
    fn credit(&self, change: &Change, unused: Money) -> Result<Money, MoneyError> {
        match change.unused_credit.minor {
            net if net > 0 && !self.paid_as.others.is_empty() => {
                change.credit.mul_ratio(unused.minor, net, Rounding::HalfUp)
            }
            _ => self.paid_as.gross(change.credit),
        }
    }

    fn with_tax(&self, change: &mut Change, lines: &[Line], is_set_off: bool) -> Result<(), MoneyError> {
        let currency = change.new_charge.currency;
        let unused = gross(&change.how_unused, self.old, self.paid_as, change.unused_credit)?;
        change.credit = self.credit(change, unused)?;
        change.due_now = Totals::of(currency, lines)?.total;
        if lines.is_empty() {
            change.new_charge = gross(&change.how_charge, self.new, self.tax, change.new_charge)?;
            change.setup_charge = match self.tax.others.is_empty() {
                true => self.tax.gross(change.setup_charge)?,
                false => {
                    let lines = setup_lines(self.new, Some(self.old), self.tax)?;
                    Money::sum(currency, lines.iter().map(|line| line.amount))?
                }
            };
            change.unused_credit = unused;
        } else {
            let sum = |is_of: fn(&Line) -> bool| {
                Money::sum(currency, lines.iter().filter(|line| is_of(line)).map(|line| line.amount))
            };
            change.unused_credit = match is_set_off {
                true => sum(|line| line.how.gives_back())?.checked_neg()?,
                false => unused,
            };
            change.setup_charge = sum(|line| line.how.is_once())?;
            change.new_charge = sum(|line| !line.how.is_once() && !line.how.gives_back())?;
        }
        for warning in &mut change.warnings {
            if let Warning::UnusedLost(worth) = warning {
                *worth = gross(&change.how_unused, self.old, self.paid_as, *worth)?;
            }
        }
        Ok(())
    }
}

/// What an offer's money is for, parted by tax category; none is the plan's, which comes first.
fn by_category(how: &Derivation, offer: &Offer) -> Vec<(Option<String>, Derivation)> {
    let other = |extra: Extra<'_>| {
        Some((extra.key.to_string(), extra.category().filter(|own| *own != offer.tax_category)?.to_owned()))
    };
    let own: Vec<(String, String)> = offer.extras().filter_map(other).collect();
    let mut categories: Vec<&str> = own.iter().map(|(_, category)| category.as_str()).collect();
    categories.sort_unstable();
    categories.dedup();
    let is_of = |source: &Source, wanted: Option<&str>| {
        let category = own.iter().find(|(key, _)| source.is_extra(key)).map(|(_, category)| category.as_str());
        category == wanted
    };
    let wanted = std::iter::once(None).chain(categories.into_iter().map(Some));
    let parts = wanted.map(|wanted| (wanted.map(str::to_owned), how.only(|source| is_of(source, wanted))));
    parts.filter(|(_, how)| !how.is_empty()).collect()
}

/// What the parts of an amount come to, tax contained. Amounts nothing is known of are the plan's.
fn gross(how: &Derivation, offer: &Offer, tax: &Tax, amount: Money) -> Result<Money, MoneyError> {
    if tax.others.is_empty() || how.is_empty() {
        return tax.gross(amount);
    }
    let parts = by_category(how, offer)
        .into_iter()
        .map(|(category, how)| tax.of_category(category.as_deref()).gross(how.total(amount.currency)?));
    Money::sum(amount.currency, parts.collect::<Result<Vec<_>, _>>()?)
}

/// The plan, or the add-ons of that category.
fn name_of(offer: &Offer, category: Option<&str>) -> String {
    let Some(category) = category else { return offer.plan_name.clone() };
    let of = offer.addons.iter().filter(|addon| addon.tax_category.as_deref() == Some(category));
    of.map(|addon| addon.name.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone};
    use chrono_tz::Tz;
    use ottery_kernel::{ChangePolicy, ChangeTiming, Currency, Period, Term};
    use proptest::prelude::*;

    use super::*;
    use crate::domain::calendar::Stretch;
    use crate::domain::option::tests::{quantity, with_options};
    use crate::domain::proration::{self, Warning, tests::offer};
    use crate::domain::tax::{Pricing, Round};

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::EUR)
    }

    fn june() -> Period {
        let at = |month| Utc.with_ymd_and_hms(2026, month, 1, 0, 0, 0).unwrap();
        Period::try_new(at(6), at(7)).unwrap()
    }

    fn changed(old: &Offer, new: &Offer, paid: Paid, now: DateTime<Utc>) -> (Change, Vec<Line>) {
        taxed(old, new, paid, now, &Tax::contained(1900))
    }

    fn taxed(old: &Offer, new: &Offer, paid: Paid, now: DateTime<Utc>, tax: &Tax) -> (Change, Vec<Line>) {
        let mut change = proration::change(old, new, &[paid], eur(0), Tz::UTC, now).unwrap();
        let changing = Changing { old, new, paid: &[paid], coupon: Some("Coupon"), paid_as: tax, tax };
        let lines = changing.bill(&mut change, now).unwrap();
        (change, lines)
    }

    fn full() -> Paid {
        Paid::full(Stretch::term(june()), Currency::EUR)
    }

    fn streams(offer: &Offer, count: u32) -> Offer {
        offer.clone().choose(&[quantity("streams", count)]).unwrap()
    }

    #[test]
    fn more_streams_half_way_cost_half_a_month_each_and_their_set_up() {
        let now = june().start() + TimeDelta::days(15);
        let old = with_options(1000, Term::MONTH);
        let (change, lines) = changed(&old, &streams(&old, 4), full(), now);
        assert_eq!((change.effect, change.due_now, change.setup_charge), (Effect::Now, eur(500), eur(200)));
        let shown: Vec<_> = lines.iter().map(|line| (line.description.as_str(), line.quantity, line.amount)).collect();
        assert_eq!(
            shown,
            [("Streams at a time, 1 month, prorated", 2, eur(300)), ("Set-up: Streams at a time", 2, eur(200)),]
        );
    }

    #[test]
    fn units_are_added_at_once_and_taken_away_with_the_renewal_whatever_the_plan_says() {
        use ChangeTiming::{AtRenewal, FullPriceReset, ProrateNow};
        let now = june().start() + TimeDelta::days(15);
        for (upgrade, downgrade) in [(FullPriceReset, ProrateNow), (AtRenewal, AtRenewal), (ProrateNow, ProrateNow)] {
            let changes = ChangePolicy { upgrade, downgrade, term: ProrateNow };
            let plain = Offer { changes, ..with_options(1000, Term::MONTH) };
            let locked = plain.clone().choose(&[quantity("lock", 1)]).unwrap();
            let (more, lines) = changed(&plain, &locked, full(), now);
            assert_eq!((more.effect, more.due_now, lines.len()), (Effect::Now, eur(25), 1));
            let (fewer, lines) = changed(&locked, &plain, full(), now);
            assert_eq!((fewer.effect, fewer.due_now, fewer.credit), (Effect::AtRenewal, eur(0), eur(0)));
            assert_eq!(fewer.warnings, [Warning::FewerUnits { name: "Country lock".into(), from: 1, to: 0 }]);
            assert!(lines.is_empty());
            // Staying as it is, to take back what waits, costs nothing.
            let (same, lines) = changed(&plain, &plain, full(), now);
            assert_eq!((same.effect, same.due_now, lines.len()), (Effect::Now, eur(0), 0));
        }
    }

    #[test]
    fn case_108_fewer_streams_by_an_option_are_warned_of_once_and_wait_for_the_renewal() {
        let old = streams(&with_options(1000, Term::MONTH), 5);
        let (change, _) = changed(&old, &streams(&old, 3), full(), june().start());
        assert_eq!((change.effect, change.due_now), (Effect::AtRenewal, eur(0)));
        assert_eq!(change.warnings, [Warning::FewerConnections { from: 5, to: 3 }]);
    }

    #[test]
    fn another_plan_shows_its_units_beside_it_and_credits_everything_unused() {
        let now = june().start() + TimeDelta::days(15);
        let old = streams(&with_options(1000, Term::MONTH), 3);
        let new = streams(&with_options(2000, Term::MONTH), 4);
        let half_off = Paid { off_old: eur(500), off_new: eur(1000), ..full() };
        let (change, lines) = changed(&old, &new, half_off, now);
        // (10.00 - 5.00 + 3.00) / 2 are unused; (20.00 - 10.00 + 2 x 3.00) / 2 are charged, and one set-up.
        assert_eq!((change.unused_credit, change.new_charge, change.due_now), (eur(400), eur(800), eur(500)));
        let amounts: Vec<_> = lines.iter().map(|line| line.amount.minor).collect();
        assert_eq!(amounts, [1000, -500, 300, 100, -400]);
        let (yearly, lines) = changed(&old, &streams(&with_options(9000, Term::YEAR), 3), full(), now);
        assert_eq!((yearly.effect, yearly.due_now), (Effect::NowRestarting, eur(9000 + 300 - 650)));
        assert_eq!(lines.iter().map(|line| line.amount.minor).sum::<i64>(), yearly.due_now.minor);
    }

    /// Every small change, because few of them leave next to nothing.
    #[test]
    fn next_to_nothing_is_never_billed_with_less_than_no_tax_or_nothing_but_tax() {
        let plan = |minor, unit, units, term| {
            let mut offer = with_options(minor, term);
            (offer.options[0].unit_price, offer.options[0].setup_fee) = (eur(unit), eur(unit));
            streams(&offer, units)
        };
        let taxes = [Pricing::Inclusive, Pricing::Exclusive]
            .map(|pricing| [Round::Line, Round::Total].map(|round| Tax { pricing, round, ..Tax::contained(1900) }));
        let mut credited = 0;
        for n in 0..12 * 12 * 6 {
            let (before, after, unit) = (n % 12, n / 12 % 12, n / 144);
            for m in 0..3 * 3 * 2 {
                let term = if m < 9 { Term::MONTH } else { Term::YEAR };
                let (old, new) = (plan(before, unit, 2 + m % 3, Term::MONTH), plan(after, unit, 2 + m / 3 % 3, term));
                for (tax, days) in taxes.as_flattened().iter().flat_map(|tax| [(tax, 0), (tax, 15)]) {
                    let (change, lines) = taxed(&old, &new, full(), june().start() + TimeDelta::days(days), tax);
                    let Totals { subtotal, tax, total } = Totals::of(Currency::EUR, &lines).unwrap();
                    assert!(subtotal.minor >= 0 && tax.minor >= 0, "{subtotal} and {tax} of {lines:#?}");
                    assert_eq!(total, change.due_now);
                    // What is given back on the invoice is not credited beside it.
                    let is_set_off = lines.iter().any(|line| line.how.gives_back());
                    assert!(!is_set_off || change.credit.is_zero(), "{change:?}");
                    credited += u32::from(total.is_positive() && change.credit.is_positive());
                }
            }
        }
        assert!(credited > 0, "some of these changes cannot be set off");
    }

    proptest! {
        #[test]
        fn the_lines_of_a_change_add_up_to_what_is_due(
            prices in (0_i64..1_000_000, 0_i64..1_000_000), units in (2_u32..6, 2_u32..6), unit in 0_i64..100_000,
            at in 0_i64..2_592_000, is_same in any::<bool>(), yearly in any::<bool>(), off in (0_i64..1_000_000, 0_i64..1_000_000),
            exclusive in any::<bool>(), on_total in any::<bool>(),
        ) {
            let now = june().start() + TimeDelta::seconds(at);
            let mut old = with_options(prices.0, Term::MONTH);
            old.options[0].unit_price = eur(unit);
            let new = if is_same { old.clone() } else {
                with_options(prices.1, if yearly { Term::YEAR } else { Term::MONTH })
            };
            let (old, new) = (streams(&old, units.0), streams(&new, units.1));
            let off_old = eur(off.0.min(old.price.minor));
            let off_new = if is_same { off_old } else { eur(off.1.min(new.price.minor)) };
            let pricing = if exclusive { Pricing::Exclusive } else { Pricing::Inclusive };
            let round = if on_total { Round::Total } else { Round::Line };
            let tax = Tax { pricing, round, ..Tax::contained(1900) };
            let (change, lines) = taxed(&old, &new, Paid { off_old, off_new, ..full() }, now, &tax);
            let parts = change.new_charge.minor + change.setup_charge.minor - change.unused_credit.minor;
            prop_assert!(lines.is_empty() || parts == change.due_now.minor);
            let sum: i64 = lines.iter().map(|line| line.amount.minor).sum();
            if lines.is_empty() {
                prop_assert!(change.due_now.is_zero());
            } else {
                prop_assert_eq!(sum, change.due_now.minor);
            }
            for line in &lines {
                prop_assert_eq!(tax.of(line.how.total(Currency::EUR).unwrap()).unwrap().gross.minor.abs_diff(line.amount.minor) <= 1, true);
            }
            prop_assert!(change.due_now.is_zero() || change.credit.is_zero());
        }

        #[test]
        fn case_107_adding_one_by_one_costs_exactly_what_adding_at_once_costs(at in 0_i64..2_592_000, unit in 0_i64..100_000) {
            let now = june().start() + TimeDelta::seconds(at);
            let mut plain = with_options(1000, Term::MONTH);
            plain.options[0].unit_price = eur(unit);
            let due = |from: u32, to: u32| changed(&streams(&plain, from), &streams(&plain, to), full(), now).0.due_now.minor;
            let steps: i64 = (2..6).map(|count| due(count, count + 1)).sum();
            prop_assert_eq!(steps, due(2, 6));
        }

        #[test]
        fn a_plan_without_options_is_priced_as_ever(price in 0_i64..1_000_000, at in 0_i64..2_592_000) {
            let now = june().start() + TimeDelta::seconds(at);
            let (change, lines) = changed(&offer(0, Term::MONTH), &offer(price, Term::MONTH), full(), now);
            prop_assert_eq!(change.due_now, full().stretch.left(eur(price), now).unwrap());
            prop_assert_eq!(lines.len(), usize::from(change.due_now.is_positive()));
        }
    }
}

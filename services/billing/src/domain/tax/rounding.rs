//! Rounding on the total: each rate of an invoice is rounded once, and its lines share the result.

use std::cmp::Reverse;

use ottery_kernel::{Money, MoneyError};

use super::{Pricing, Round, WHOLE_BP, inside, on_top};
use crate::domain::line::Line;

/// Rounds the tax of `lines` where the seller wants it rounded. Per line it is rounded already. On the total, the tax of
/// each rate is that of the rate's sum; each line has the whole minor units of its own part, and those that are left go
/// to the lines with the largest remainders, earlier lines first. What is printed always adds up.
///
/// # Errors
/// When a sum does not fit or a line has another currency.
pub fn on_total(lines: &mut [Line], pricing: Pricing, round: Round) -> Result<(), MoneyError> {
    if round == Round::Line {
        return Ok(());
    }
    let mut rates: Vec<u32> = lines.iter().map(|line| line.tax_rate_bp).filter(|rate| *rate > 0).collect();
    rates.sort_unstable();
    rates.dedup();
    for rate in rates {
        let mut group: Vec<&mut Line> = lines.iter_mut().filter(|line| line.tax_rate_bp == rate).collect();
        share(&mut group, pricing, rate)?;
    }
    Ok(())
}

/// As [`on_total`], of several invoices that are printed as one: each rate is rounded once on the sum of all, each invoice has its
/// share by the largest remainder, earlier ones first, and so have its lines. An invoice over nothing keeps no tax.
///
/// # Errors
/// When a sum does not fit or a line has another currency.
pub fn on_group_total(invoices: &mut [&mut Vec<Line>], pricing: Pricing) -> Result<(), MoneyError> {
    let mut rates: Vec<u32> =
        invoices.iter().flat_map(|lines| lines.iter().map(|line| line.tax_rate_bp)).filter(|rate| *rate > 0).collect();
    rates.sort_unstable();
    rates.dedup();
    for rate in rates {
        let mut groups: Vec<Vec<&mut Line>> = invoices
            .iter_mut()
            .map(|lines| lines.iter_mut().filter(|line| line.tax_rate_bp == rate).collect::<Vec<_>>())
            .filter(|lines| !lines.is_empty())
            .collect();
        let Some(currency) = groups.first().and_then(|lines| lines.first()).map(|line| line.amount.currency) else {
            continue;
        };
        let bases: Vec<Money> = groups
            .iter()
            .map(|lines| {
                let bases = lines.iter().map(|line| base(line, pricing)).collect::<Result<Vec<_>, _>>()?;
                Money::sum(currency, bases)
            })
            .collect::<Result<_, MoneyError>>()?;
        let tax = tax_of(Money::sum(currency, bases.iter().copied())?, pricing, rate)?;
        for (lines, tax) in groups.iter_mut().zip(shared(&bases, tax, pricing, rate)?) {
            give(lines, tax, pricing, rate)?;
        }
    }
    Ok(())
}

fn share(lines: &mut [&mut Line], pricing: Pricing, rate_bp: u32) -> Result<(), MoneyError> {
    let Some(currency) = lines.first().map(|line| line.amount.currency) else { return Ok(()) };
    let bases: Vec<Money> = lines.iter().map(|line| base(line, pricing)).collect::<Result<_, _>>()?;
    give(lines, tax_of(Money::sum(currency, bases)?, pricing, rate_bp)?, pricing, rate_bp)
}

fn tax_of(whole: Money, pricing: Pricing, rate_bp: u32) -> Result<Money, MoneyError> {
    match pricing {
        Pricing::Inclusive => inside(whole, rate_bp),
        Pricing::Exclusive => on_top(whole, rate_bp),
    }
}

/// Shares `tax` by the largest remainders of what each base is taxed with exactly.
fn shared(bases: &[Money], tax: Money, pricing: Pricing, rate_bp: u32) -> Result<Vec<Money>, MoneyError> {
    let denominator = match pricing {
        Pricing::Inclusive => i128::from(WHOLE_BP) + i128::from(rate_bp),
        Pricing::Exclusive => i128::from(WHOLE_BP),
    };
    // Euclid's division rounds down for credits as well, so that what is left over is never negative.
    let exact = |base: &Money| i128::from(base.minor) * i128::from(rate_bp);
    let mut taxes: Vec<i128> = bases.iter().map(|base| exact(base).div_euclid(denominator)).collect();
    let left = i128::from(tax.minor) - taxes.iter().sum::<i128>();
    let mut order: Vec<usize> = (0..taxes.len()).collect();
    order.sort_by_key(|index| Reverse(exact(&bases[*index]).rem_euclid(denominator)));
    // Every remainder is less than one unit, so there are never more units left than lines.
    for index in order.into_iter().take(usize::try_from(left).unwrap_or(0)) {
        taxes[index] += 1;
    }
    taxes
        .into_iter()
        .map(|minor| Ok(Money::new(i64::try_from(minor).map_err(|_| MoneyError::Overflow)?, tax.currency)))
        .collect()
}

/// Gives lines of one rate their shares of `tax`.
fn give(lines: &mut [&mut Line], tax: Money, pricing: Pricing, rate_bp: u32) -> Result<(), MoneyError> {
    let bases: Vec<Money> = lines.iter().map(|line| base(line, pricing)).collect::<Result<_, _>>()?;
    let taxes = shared(&bases, tax, pricing, rate_bp)?;
    for ((line, base), tax) in lines.iter_mut().zip(bases).zip(taxes) {
        line.tax = tax;
        line.amount = match pricing {
            Pricing::Inclusive => base,
            Pricing::Exclusive => base.checked_add(tax)?,
        };
    }
    Ok(())
}

/// What the tax of a line is computed from: the price.
fn base(line: &Line, pricing: Pricing) -> Result<Money, MoneyError> {
    match pricing {
        Pricing::Inclusive => Ok(line.amount),
        Pricing::Exclusive => line.amount.checked_sub(line.tax),
    }
}

#[cfg(test)]
mod tests {
    use ottery_kernel::Currency;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::line::Totals;
    use crate::domain::tax::Tax;

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::EUR)
    }

    fn lines(pricing: Pricing, prices: &[(i64, u32)]) -> Vec<Line> {
        let line = |(minor, rate_bp): &(i64, u32)| {
            let tax = Tax { pricing, round: Round::Total, ..Tax::contained(*rate_bp) };
            Line::priced("x", eur(*minor), &tax, None).unwrap()
        };
        prices.iter().map(line).collect()
    }

    #[test]
    fn case_019_on_the_total_tax_is_rounded_once_and_the_printed_lines_still_add_up() {
        let mut inclusive = lines(Pricing::Inclusive, &[(999, 1900), (999, 1900), (1, 1900)]);
        on_total(&mut inclusive, Pricing::Inclusive, Round::Total).unwrap();
        // 19.99 contains 3.19, of which each 9.99 has 1.59 and a bit: one of them gets the cent.
        assert_eq!(inclusive.iter().map(|line| line.tax.minor).collect::<Vec<_>>(), [160, 159, 0]);
        let totals = Totals::of(Currency::EUR, &inclusive).unwrap();
        assert_eq!((totals.subtotal, totals.tax, totals.total), (eur(1680), eur(319), eur(1999)));

        let mut exclusive = lines(Pricing::Exclusive, &[(999, 1900), (999, 1900)]);
        on_total(&mut exclusive, Pricing::Exclusive, Round::Total).unwrap();
        // 19.98 and 3.80 of tax (3.7962), which is what two lines of 1.90 (1.8981) come to as well.
        assert_eq!(Totals::of(Currency::EUR, &exclusive).unwrap().total, eur(2378));
        let mut thirds = lines(Pricing::Exclusive, &[(3, 1900), (3, 1900), (3, 1900)]);
        assert_eq!(Totals::of(Currency::EUR, &thirds).unwrap().tax, eur(3), "line by line each of them is rounded up");
        on_total(&mut thirds, Pricing::Exclusive, Round::Total).unwrap();
        assert_eq!(thirds.iter().map(|line| line.amount.minor).collect::<Vec<_>>(), [4, 4, 3]);
    }

    #[test]
    fn case_019_each_rate_is_rounded_for_itself() {
        let mut mixed = lines(Pricing::Inclusive, &[(999, 1900), (999, 700), (999, 1900), (999, 0)]);
        on_total(&mut mixed, Pricing::Inclusive, Round::Total).unwrap();
        assert_eq!(mixed.iter().map(|line| line.tax.minor).collect::<Vec<_>>(), [160, 65, 159, 0]);
    }

    proptest! {
        #[test]
        fn invoices_printed_as_one_have_the_tax_of_the_sum_and_none_of_them_less_than_nothing(
            prices in proptest::collection::vec((0_i64..100_000, 0_usize..3, any::<bool>()), 2..6), exclusive in any::<bool>(),
        ) {
            let pricing = if exclusive { Pricing::Exclusive } else { Pricing::Inclusive };
            let rates = [700_u32, 1900, 2100];
            // A price, and sometimes all of it taken off again.
            let mut parts: Vec<Vec<Line>> = prices
                .iter()
                .map(|(minor, rate, is_free)| {
                    let both = [(*minor, rates[*rate]), (-*minor, rates[*rate])];
                    lines(pricing, &both[..if *is_free { 2 } else { 1 }])
                })
                .collect();
            on_group_total(&mut parts.iter_mut().collect::<Vec<_>>(), pricing).unwrap();
            for rate in rates {
                let sum = prices.iter().filter(|(_, own, is_free)| rates[*own] == rate && !is_free).map(|(minor, ..)| minor).sum();
                let tax = if exclusive { on_top(eur(sum), rate).unwrap() } else { inside(eur(sum), rate).unwrap() };
                let printed = parts.iter().flatten().filter(|line| line.tax_rate_bp == rate);
                prop_assert_eq!(printed.map(|line| line.tax.minor).sum::<i64>(), tax.minor);
            }
            for part in &parts {
                let totals = Totals::of(Currency::EUR, part).unwrap();
                prop_assert!(totals.tax.minor >= 0 && totals.subtotal.minor >= 0, "{:?}", totals);
            }
        }

        #[test]
        fn the_shares_add_up_to_the_tax_of_the_sum(prices in proptest::collection::vec((-100_000_i64..100_000, 0_usize..3), 1..9), exclusive in any::<bool>()) {
            let pricing = if exclusive { Pricing::Exclusive } else { Pricing::Inclusive };
            let prices: Vec<_> = prices.into_iter().map(|(minor, rate)| (minor, [700_u32, 1900, 2100][rate])).collect();
            let mut printed = lines(pricing, &prices);
            on_total(&mut printed, pricing, Round::Total).unwrap();
            for rate in [700_u32, 1900, 2100] {
                let of_rate = || prices.iter().zip(&printed).filter(|((_, own), _)| *own == rate);
                let sum = eur(of_rate().map(|((minor, _), _)| minor).sum());
                let tax = if exclusive { on_top(sum, rate).unwrap() } else { inside(sum, rate).unwrap() };
                prop_assert_eq!(of_rate().map(|(_, line)| line.tax.minor).sum::<i64>(), tax.minor);
            }
            for ((minor, _), line) in prices.iter().zip(&printed) {
                let price = if exclusive { line.amount.minor - line.tax.minor } else { line.amount.minor };
                prop_assert_eq!(price, *minor, "the price itself never changes");
            }
        }
    }
}

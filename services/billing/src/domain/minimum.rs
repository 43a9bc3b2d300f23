//! The least a payment can be: what a provider takes, or what the brand wants taken.

use std::collections::BTreeMap;

use ottery_kernel::{Currency, Money};

/// The least of each currency; one without is limited by nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Minimums(BTreeMap<Currency, i64>);

/// What becomes of an amount nobody can pay by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instead {
    /// Only the wallet can pay it.
    WalletOnly,
    /// It is asked for with the next invoice.
    CarriedForward,
}

impl Instead {
    /// The reason callers see.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::WalletOnly => "AMOUNT_WALLET_ONLY",
            Self::CarriedForward => "AMOUNT_CARRIED_FORWARD",
        }
    }
}

/// An amount that is too small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSmall {
    /// What would be asked for.
    pub asked: Money,
    /// The least that can be.
    pub least: Money,
}

impl TooSmall {
    /// What to tell, with the way out.
    #[must_use]
    pub fn tell(self, instead: Instead) -> String {
        let Self { asked, least } = self;
        match instead {
            Instead::WalletOnly => {
                format!("{asked} is less than a payment can be ({least}); top the wallet up, which pays it at once")
            }
            Instead::CarriedForward => format!(
                "{asked} is less than a payment can be ({least}); it is carried forward and asked for with the next invoice"
            ),
        }
    }
}

impl FromIterator<(Currency, i64)> for Minimums {
    fn from_iter<I: IntoIterator<Item = (Currency, i64)>>(least: I) -> Self {
        Self(least.into_iter().filter(|(_, minor)| *minor > 0).collect())
    }
}

impl Minimums {
    /// The least in a currency; zero for none.
    #[must_use]
    pub fn of(&self, currency: Currency) -> Money {
        Money::new(self.0.get(&currency).copied().unwrap_or(0), currency)
    }

    /// Whether a payment can be of this amount.
    ///
    /// # Errors
    /// When it is too small. Nothing at all is no payment and is never refused.
    pub fn check(&self, asked: Money) -> Result<(), TooSmall> {
        let least = self.of(asked.currency);
        if asked.is_positive() && asked.minor < least.minor { Err(TooSmall { asked, least }) } else { Ok(()) }
    }

    /// Whether it is too small.
    #[must_use]
    pub fn is_too_small(&self, amount: Money) -> bool {
        self.check(amount).is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_030_an_amount_below_the_least_is_named_with_the_way_out() {
        let least: Minimums = [(Currency::EUR, 50), (Currency::JPY, 0)].into_iter().collect();
        let eur = |minor| Money::new(minor, Currency::EUR);
        for (amount, is_too_small) in
            [(eur(0), false), (eur(1), true), (eur(49), true), (eur(50), false), (eur(-5), false)]
        {
            assert_eq!(least.is_too_small(amount), is_too_small, "{amount}");
        }
        assert!(!least.is_too_small(Money::new(1, Currency::JPY)) && !least.is_too_small(Money::new(1, Currency::USD)));
        let refused = least.check(eur(49)).unwrap_err();
        for (instead, way_out) in
            [(Instead::WalletOnly, "top the wallet up"), (Instead::CarriedForward, "with the next invoice")]
        {
            let told = refused.tell(instead);
            assert!(told.starts_with("0.49 EUR") && told.contains("0.50 EUR") && told.contains(way_out), "{told}");
        }
    }
}

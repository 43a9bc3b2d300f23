//! A brand's account at a payment provider.

use std::fmt;
use std::str::FromStr;

use ottery_kernel::{Currency, Money};
use uuid::Uuid;

use super::amount_limit::AmountLimit;
use super::by_hand::ByHandTerms;

/// Names an account at a provider; part of the address the provider calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProviderAccountId(Uuid);

/// Text that names no provider account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `pva_` followed by 32 hexadecimal digits")]
pub struct ProviderAccountIdError;

impl ProviderAccountId {
    const PREFIX: &'static str = "pva_";

    /// A fresh one.
    #[must_use]
    pub fn fresh() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id stored as this UUID.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID to store.
    #[must_use]
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for ProviderAccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.0.simple())
    }
}

impl FromStr for ProviderAccountId {
    type Err = ProviderAccountIdError;

    fn from_str(text: &str) -> Result<Self, ProviderAccountIdError> {
        let digits = text.strip_prefix(Self::PREFIX).filter(|digits| digits.len() == 32);
        digits.and_then(|digits| Uuid::try_parse(digits).ok()).map(Self).ok_or(ProviderAccountIdError)
    }
}

/// What an account is used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What customers read where they choose how to pay; empty: the provider's own word.
    pub name: String,
    /// Switched off it begins nothing; what was begun by it is finished by it.
    pub is_enabled: bool,
    /// Asked before the others wherever it serves.
    pub is_default: bool,
    /// ISO 3166 codes of customers' countries it serves; empty: all of them.
    pub countries: Vec<String>,
    /// What it takes; empty: whatever the provider takes.
    pub currencies: Vec<Currency>,
    /// How much it takes, by currency; a currency without one: every amount.
    pub amounts: Vec<AmountLimit>,
    /// A customer who objects to a payment is not served while that is undecided.
    pub suspends_on_dispute: bool,
    /// What payers are told and staff keeps to, where people record what came.
    pub by_hand: Option<ByHandTerms>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            name: String::new(),
            is_enabled: true,
            is_default: false,
            countries: Vec::new(),
            currencies: Vec::new(),
            amounts: Vec::new(),
            suspends_on_dispute: false,
            by_hand: None,
        }
    }
}

/// What is to be paid, as far as the choice of an account depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route<'a> {
    /// In which currency.
    pub currency: Currency,
    /// The customer's country; none where it does not matter.
    pub country: Option<&'a str>,
    /// How much, in minor units; none where nobody knows it yet.
    pub amount: Option<i64>,
}

impl<'a> Route<'a> {
    /// Of this amount, for a customer in that country; empty: unknown.
    #[must_use]
    pub fn of(amount: Money, country: &'a str) -> Self {
        let country = Some(country).filter(|country| !country.is_empty());
        Self { currency: amount.currency, country, amount: Some(amount.minor) }
    }
}

impl Terms {
    /// Whether something new may be begun by it.
    #[must_use]
    pub fn serves(&self, route: Route<'_>) -> bool {
        let takes = self.currencies.is_empty() || self.currencies.contains(&route.currency);
        let reaches = self.countries.is_empty()
            || route.country.is_none_or(|country| self.countries.iter().any(|known| known == country));
        let fits = route
            .amount
            .is_none_or(|minor| self.amounts.iter().all(|limit| limit.takes(Money::new(minor, route.currency))));
        self.is_enabled && takes && reaches && fits
    }
}

/// The accounts that serve a route, in the order in which they are asked: the default one, then the newest.
/// `accounts` are given oldest first.
pub fn choose<'a, A>(accounts: &'a [A], terms: impl Fn(&A) -> &Terms, route: Route<'_>) -> Vec<&'a A> {
    let mut serving: Vec<&A> = accounts.iter().rev().filter(|account| terms(account).serves(route)).collect();
    serving.sort_by_key(|account| !terms(account).is_default);
    serving
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(is_default: bool, countries: &[&str], currencies: &[Currency]) -> Terms {
        Terms {
            is_default,
            countries: countries.iter().map(ToString::to_string).collect(),
            currencies: currencies.to_vec(),
            ..Terms::default()
        }
    }

    fn chosen(accounts: &[Terms], currency: Currency, country: Option<&str>) -> Vec<usize> {
        let place = |found: &&Terms| accounts.iter().position(|account| std::ptr::eq(account, *found)).unwrap();
        choose(accounts, |account| account, Route { currency, country, amount: None }).iter().map(place).collect()
    }

    #[test]
    fn an_account_is_asked_only_for_amounts_it_takes() {
        let small = AmountLimit { currency: Currency::EUR, min: None, max: Some(999) };
        let large = AmountLimit { currency: Currency::EUR, min: Some(1_000), max: None };
        let limited = |amounts: &[AmountLimit]| Terms { amounts: amounts.to_vec(), ..Terms::default() };
        let accounts = [limited(&[small]), limited(&[large]), limited(&[])];
        for (amount, expected) in [(Some(999), vec![2, 0]), (Some(1_000), vec![2, 1]), (None, vec![2, 1, 0])] {
            let route = Route { currency: Currency::EUR, country: None, amount };
            let place = |found: &&Terms| accounts.iter().position(|account| std::ptr::eq(account, *found)).unwrap();
            let chosen: Vec<usize> = choose(&accounts, |account| account, route).iter().map(place).collect();
            assert_eq!(chosen, expected, "{amount:?}");
        }
        assert!(accounts[0].serves(Route { currency: Currency::USD, country: None, amount: Some(5_000) }));
    }

    #[test]
    fn the_default_account_is_asked_first_and_the_newest_next() {
        let any = || terms(false, &[], &[]);
        assert_eq!(chosen(&[any(), any()], Currency::EUR, Some("DE")), [1, 0]);
        let accounts = [terms(true, &[], &[]), any(), any()];
        assert_eq!(chosen(&accounts, Currency::EUR, None), [0, 2, 1]);
    }

    #[test]
    fn an_account_is_asked_only_where_it_serves() {
        let accounts = [terms(false, &[], &[]), terms(true, &["DE", "AT"], &[Currency::EUR])];
        assert_eq!(chosen(&accounts, Currency::EUR, Some("AT")), [1, 0]);
        assert_eq!(chosen(&accounts, Currency::EUR, Some("US")), [0]);
        assert_eq!(chosen(&accounts, Currency::USD, Some("DE")), [0]);
        // Where nobody knows the country yet, it is no reason against an account.
        assert_eq!(chosen(&accounts, Currency::EUR, None), [1, 0]);
    }

    #[test]
    fn case_075_a_disabled_account_begins_nothing() {
        let off = Terms { is_enabled: false, is_default: true, ..Terms::default() };
        assert_eq!(chosen(&[off], Currency::EUR, Some("DE")), [0_usize; 0]);
    }
}

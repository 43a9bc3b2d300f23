//! A brand's account at a payment provider.

use std::fmt;
use std::str::FromStr;

use ottery_kernel::Currency;
use uuid::Uuid;

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
    /// A customer who objects to a payment is not served while that is undecided.
    pub suspends_on_dispute: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            name: String::new(),
            is_enabled: true,
            is_default: false,
            countries: Vec::new(),
            currencies: Vec::new(),
            suspends_on_dispute: false,
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
}

impl Terms {
    /// Whether something new may be begun by it.
    #[must_use]
    pub fn serves(&self, route: Route<'_>) -> bool {
        let takes = self.currencies.is_empty() || self.currencies.contains(&route.currency);
        let reaches = self.countries.is_empty()
            || route.country.is_none_or(|country| self.countries.iter().any(|known| known == country));
        self.is_enabled && takes && reaches
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
        choose(accounts, |account| account, Route { currency, country }).iter().map(place).collect()
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

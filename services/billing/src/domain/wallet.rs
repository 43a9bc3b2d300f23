//! A customer's wallet: money that was paid and is kept, and credit that was granted and may expire.
//!
//! Granted credit is spent first, what expires soonest before what expires later or never; money that was paid is spent
//! last. What an open invoice took stays taken until the invoice closes: it does not expire meanwhile, and comes back when
//! the invoice is withdrawn.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, Currency, Money, MoneyError};
use uuid::Uuid;

/// Names a credit that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CreditId(Uuid);

/// Text that names no credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `wcr_` followed by 32 hexadecimal digits")]
pub struct CreditIdError;

impl CreditId {
    const PREFIX: &'static str = "wcr_";

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

impl fmt::Display for CreditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.0.simple())
    }
}

impl FromStr for CreditId {
    type Err = CreditIdError;

    fn from_str(text: &str) -> Result<Self, CreditIdError> {
        let digits = text.strip_prefix(Self::PREFIX).filter(|digits| digits.len() == 32);
        digits.and_then(|digits| Uuid::try_parse(digits).ok()).map(Self).ok_or(CreditIdError)
    }
}

/// A credit as staff granted it; what is left of it is in the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Its id.
    pub id: CreditId,
    /// Whose it is.
    pub account: AccountId,
    /// How much.
    pub amount: Money,
    /// Why.
    pub reason: String,
    /// Who granted it.
    pub granted_by: String,
    /// When.
    pub granted_at: DateTime<Utc>,
    /// From when on it is worth nothing; none: never.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What is left of a credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    /// Which.
    pub id: CreditId,
    /// What is left.
    pub left: Money,
    /// From when on it is worth nothing; none: never.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Credit {
    /// Whether it is worth something at `now`.
    #[must_use]
    pub fn counts_at(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_none_or(|end| end > now)
    }
}

/// Where in a wallet something was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pocket {
    /// Money that was paid.
    Paid,
    /// A credit that was granted.
    Credit {
        /// Which.
        id: CreditId,
        /// When what comes back to it is worth nothing.
        expires_at: Option<DateTime<Utc>>,
    },
}

/// What was taken out of a pocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Out of which.
    pub pocket: Pocket,
    /// How much; above zero.
    pub amount: Money,
}

/// What a customer has in one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purse {
    /// Money that was paid.
    pub paid: Money,
    /// What is left of credits, in any order.
    pub credits: Vec<Credit>,
}

impl Purse {
    /// One with nothing in it.
    #[must_use]
    pub const fn empty(currency: Currency) -> Self {
        Self { paid: Money::zero(currency), credits: Vec::new() }
    }

    /// What can be spent at `now`.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn available(&self, now: DateTime<Utc>) -> Result<Money, MoneyError> {
        let credits = self.credits.iter().filter(|credit| credit.counts_at(now)).map(|credit| credit.left);
        let paid = Money::new(self.paid.minor.max(0), self.paid.currency);
        credits.chain([paid]).try_fold(Money::zero(self.paid.currency), Money::checked_add)
    }

    /// Whether nothing at all is in it, expired or not.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paid.is_zero() && self.credits.iter().all(|credit| credit.left.is_zero())
    }

    /// Takes up to `wanted` out at `now`: credits first, the soonest expiry before later ones and those without, older
    /// before newer; then money that was paid.
    ///
    /// # Errors
    /// When the currencies differ.
    pub fn take(&mut self, wanted: Money, now: DateTime<Utc>) -> Result<Vec<Taken>, MoneyError> {
        let mut rest = wanted;
        let mut taken = Vec::new();
        self.credits.sort_by_key(|credit| (credit.expires_at.is_none(), credit.expires_at, credit.id));
        let credits = self.credits.iter_mut().filter(|credit| credit.counts_at(now));
        let pockets =
            credits.map(|credit| (Pocket::Credit { id: credit.id, expires_at: credit.expires_at }, &mut credit.left));
        for (pocket, left) in pockets.chain([(Pocket::Paid, &mut self.paid)]) {
            let amount = Money::new(rest.minor.min(left.minor).max(0), rest.currency);
            if amount.is_positive() {
                *left = left.checked_sub(amount)?;
                rest = rest.checked_sub(amount)?;
                taken.push(Taken { pocket, amount });
            }
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::EUR)
    }

    fn day(number: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(number)
    }

    fn credit(number: u128, left: i64, expires: Option<i64>) -> Credit {
        Credit { id: CreditId::from_uuid(Uuid::from_u128(number)), left: eur(left), expires_at: expires.map(day) }
    }

    fn names(taken: &[Taken]) -> Vec<(u128, i64)> {
        let name = |pocket| match pocket {
            Pocket::Paid => 0,
            Pocket::Credit { id, .. } => id.as_uuid().as_u128(),
        };
        taken.iter().map(|taken| (name(taken.pocket), taken.amount.minor)).collect()
    }

    #[test]
    fn what_expires_soonest_goes_first_and_paid_money_last() {
        let credits =
            vec![credit(4, 100, None), credit(3, 100, Some(9)), credit(2, 100, Some(5)), credit(1, 100, Some(1))];
        let mut purse = Purse { paid: eur(500), credits };
        assert_eq!(purse.available(day(1)), Ok(eur(800)), "what is expired counts no more");
        assert_eq!(names(&purse.take(eur(250), day(1)).unwrap()), [(2, 100), (3, 100), (4, 50)]);
        assert_eq!(names(&purse.take(eur(1000), day(1)).unwrap()), [(4, 50), (0, 500)]);
        assert!(purse.take(eur(1), day(1)).unwrap().is_empty());
        assert!(!purse.is_empty(), "the expired credit is in the books until it is taken out");
    }

    #[test]
    fn ids_read_back() {
        let id = CreditId::fresh();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("wcr_1".parse::<CreditId>().is_err());
    }

    proptest! {
        #[test]
        fn nothing_is_made_or_lost_by_taking(
            paid in -100_i64..1_000, credits in proptest::collection::vec((1_i64..500, proptest::option::of(0_i64..10)), 0..6),
            wanted in 0_i64..3_000, now in 0_i64..10,
        ) {
            let credits = (1_u128..).zip(credits).map(|(number, (left, expires))| credit(number, left, expires)).collect();
            let before = Purse { paid: eur(paid), credits };
            let mut after = before.clone();
            let available = before.available(day(now)).unwrap().minor;
            let taken = after.take(eur(wanted), day(now)).unwrap();
            let sum: i64 = taken.iter().map(|taken| taken.amount.minor).sum();
            prop_assert_eq!(sum, wanted.min(available));
            prop_assert_eq!(after.available(day(now)).unwrap().minor, available - sum);
            prop_assert!(after.credits.iter().all(|credit| !credit.left.is_negative()));
        }
    }
}

//! Codes that are given away or sold: how one is made and read, and what a batch of them is worth.
//!
//! A code is four groups of four characters, of an alphabet without look-alikes. Fifteen of them are random (74 bits), the last
//! one checks the others: 31 is a prime, so one wrong character and two that changed places are always noticed. A prefix
//! is for people and means nothing.

use std::fmt;

use chrono::{DateTime, Utc};
use hmac::{Hmac, Mac as _};
use ottery_kernel::{AccountId, Money, PlanId};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;

use super::offer::Offer;

/// Without 0, 1, I, L and O.
const ALPHABET: &[u8; 31] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";
/// Characters of a code with the one that checks it.
const CHARS: usize = 16;
/// Random bytes from here on would make some characters likelier than others.
const EVEN: u8 = 248;

/// Codes of one batch at most.
pub const COUNT_MAX: u32 = 10_000;
/// Characters of a prefix at most.
pub const PREFIX_MAX: usize = 8;
/// The largest value of a code, in minor units.
pub const VALUE_MAX: i64 = 10_000_000;
/// Days of a credit at most.
pub const CREDIT_DAYS_MAX: u32 = 3_660;

/// A code as it is looked for: without prefix, hyphens and lower case.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

/// Text that is no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "code: a letter or digit of it is wrong or missing; type it as it is printed, such as `GIFT-2345-6789-ABCD-EFGH`"
)]
pub struct CodeError;

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code(…{})", self.last_four())
    }
}

/// The character that checks these.
fn check(values: &[usize]) -> usize {
    values.iter().enumerate().map(|(at, value)| (at + 1) * value).sum::<usize>() % ALPHABET.len()
}

impl Code {
    /// The code of a batch with this number; the same seed gives the same code.
    #[must_use]
    pub fn derived(seed: &[u8], number: u32) -> Self {
        let mut values = Vec::with_capacity(CHARS);
        let mut block = 0_u32;
        while values.len() < CHARS - 1 {
            let mut mac = Hmac::<Sha256>::new_from_slice(seed).expect("HMAC takes a key of any length");
            mac.update(&number.to_be_bytes());
            mac.update(&block.to_be_bytes());
            let bytes = mac.finalize().into_bytes();
            let even = bytes.iter().filter(|byte| **byte < EVEN).map(|byte| usize::from(*byte) % ALPHABET.len());
            values.extend(even.take(CHARS - 1 - values.len()));
            block += 1;
        }
        values.push(check(&values));
        Self(values.into_iter().map(|value| char::from(ALPHABET[value])).collect())
    }

    /// Reads what somebody typed: any case, with or without hyphens, spaces and prefix.
    ///
    /// # Errors
    /// When it cannot be a code.
    pub fn read(text: &str) -> Result<Self, CodeError> {
        let typed: Vec<char> = text.chars().filter(|letter| !letter.is_whitespace() && *letter != '-').collect();
        if typed.len() < CHARS || typed.len() > CHARS + PREFIX_MAX {
            return Err(CodeError);
        }
        let own: String = typed[typed.len() - CHARS..].iter().collect::<String>().to_ascii_uppercase();
        let values: Option<Vec<usize>> =
            own.bytes().map(|byte| ALPHABET.iter().position(|known| *known == byte)).collect();
        let values = values.filter(|values| values.len() == CHARS).ok_or(CodeError)?;
        if check(&values[..CHARS - 1]) == values[CHARS - 1] { Ok(Self(own)) } else { Err(CodeError) }
    }

    /// What is hashed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The end of it, by which people tell codes apart.
    #[must_use]
    pub fn last_four(&self) -> &str {
        &self.0[CHARS - 4..]
    }

    /// As it is printed.
    #[must_use]
    pub fn printed(&self, prefix: &str) -> String {
        let groups = (0..CHARS / 4).map(|group| &self.0[group * 4..group * 4 + 4]);
        let parts: Vec<&str> = [prefix].into_iter().filter(|prefix| !prefix.is_empty()).chain(groups).collect();
        parts.join("-")
    }
}

/// Whether codes are given away or were sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Given away: a cost of the seller when it is redeemed.
    Promotion,
    /// Sold: owed to whoever has it, from its issue on.
    Sold,
}

impl Kind {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Promotion => "promotion",
            Self::Sold => "sold",
        }
    }

    /// The kind stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Promotion, Self::Sold].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What a code gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Gives {
    /// Credit in the wallet.
    Money {
        /// For how many days; none: for ever.
        credit_days: Option<u32>,
    },
    /// One term of a plan, as it was sold when the batch was made.
    Plan {
        /// The plan and its price.
        offer: Box<Offer>,
    },
}

/// A batch of codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its id.
    pub id: Uuid,
    /// What staff calls it.
    pub name: String,
    /// Given away or sold.
    pub kind: Kind,
    /// What one gives.
    pub gives: Gives,
    /// What one is worth: the money, or the price of the plan.
    pub value: Money,
    /// How many.
    pub count: u32,
    /// Before each of them; empty for none.
    pub prefix: String,
    /// How many one person may redeem; 0: all of them.
    pub per_person_max: u32,
    /// From here on none can be redeemed; none: never.
    pub expires_at: Option<DateTime<Utc>>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// The plan of which each code that nobody has redeemed holds a place; none: there is no limit to keep.
    pub holds: Option<PlanId>,
    /// When all that were left were made void.
    pub voided_at: Option<DateTime<Utc>>,
    /// When all that were left expired.
    pub expired_at: Option<DateTime<Utc>>,
    /// Whether the codes were handed out; nobody can read them afterwards.
    pub is_downloaded: bool,
}

/// Why a batch is none. Each names the field, the rule and what would be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Without a name.
    #[error("name: say what it is for in 1 to 100 characters")]
    Name,
    /// None, or more than a file holds.
    #[error("count: a batch has 1 to {COUNT_MAX} codes, asked for {0}")]
    Count(u32),
    /// Characters nobody can tell apart.
    #[error("prefix: use up to {PREFIX_MAX} letters and digits, such as `XMAS`")]
    Prefix,
    /// Worth nothing, or more than anybody means.
    #[error("value: a code is worth more than zero and at most {0}")]
    Value(Money),
    /// Credit for no time at all.
    #[error("credit_days: use 1 to {CREDIT_DAYS_MAX}, or nothing for credit that does not expire")]
    CreditDays,
    /// Money somebody paid for.
    #[error("credit_days: what was sold does not expire once it is in a wallet; leave it out")]
    SoldExpires,
    /// Over before it begins.
    #[error("expires_at: give a later time than now, or none")]
    Past,
}

impl Invalid {
    /// The field that is wrong.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Count(_) => "count",
            Self::Prefix => "prefix",
            Self::Value(_) => "value",
            Self::CreditDays | Self::SoldExpires => "credit_days",
            Self::Past => "expires_at",
        }
    }
}

impl Batch {
    /// Whether its time is up at `now`.
    #[must_use]
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether codes can be made of it at `now`.
    ///
    /// # Errors
    /// Naming the first that is wrong.
    pub fn check(&self, now: DateTime<Utc>) -> Result<(), Invalid> {
        if self.name.trim().is_empty() || self.name.chars().count() > 100 {
            return Err(Invalid::Name);
        }
        if !(1..=COUNT_MAX).contains(&self.count) {
            return Err(Invalid::Count(self.count));
        }
        if self.prefix.len() > PREFIX_MAX || !self.prefix.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Invalid::Prefix);
        }
        if !self.value.is_positive() || self.value.minor > VALUE_MAX {
            return Err(Invalid::Value(Money::new(VALUE_MAX, self.value.currency)));
        }
        match (self.kind, &self.gives) {
            (_, Gives::Money { credit_days: Some(days) }) if !(1..=CREDIT_DAYS_MAX).contains(days) => {
                return Err(Invalid::CreditDays);
            }
            (Kind::Sold, Gives::Money { credit_days: Some(_) }) => return Err(Invalid::SoldExpires),
            _ => {}
        }
        if self.is_over(now) {
            return Err(Invalid::Past);
        }
        Ok(())
    }
}

/// A code as it is stored: nobody can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its id.
    pub id: Uuid,
    /// The batch.
    pub batch: Uuid,
    /// Its end.
    pub last_four: String,
    /// Who redeemed it.
    pub redeemed_by: Option<AccountId>,
    /// When.
    pub redeemed_at: Option<DateTime<Utc>>,
    /// When it was made void.
    pub voided_at: Option<DateTime<Utc>>,
    /// When it expired.
    pub expired_at: Option<DateTime<Utc>>,
}

impl Stored {
    /// Whether nobody has redeemed it, nobody has made it void, and it has not expired.
    #[must_use]
    pub const fn is_free(&self) -> bool {
        self.redeemed_at.is_none() && self.voided_at.is_none() && self.expired_at.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codes_read_back_however_they_are_typed_and_differ() {
        let codes: HashSet<String> = (0..2_000).map(|number| Code::derived(b"seed", number).printed("")).collect();
        assert_eq!(codes.len(), 2_000);
        assert_eq!(Code::derived(b"seed", 7), Code::derived(b"seed", 7));
        assert_ne!(Code::derived(b"seed", 7), Code::derived(b"sees", 7));
        let code = Code::derived(b"seed", 7);
        let printed = code.printed("XMAS");
        assert!(printed.starts_with("XMAS-") && printed.len() == 4 + 4 * 5, "{printed}");
        for typed in [
            printed.clone(),
            printed.to_lowercase(),
            printed.replace('-', ""),
            printed.replace('-', " "),
            code.printed(""),
        ] {
            assert_eq!(Code::read(&typed), Ok(code.clone()), "{typed}");
        }
        assert!(printed.ends_with(code.last_four()));
        assert!(!format!("{code:?}").contains(&printed[5..9]), "it is in no log");
        for wrong in ["", "XMAS", "0000-0000-0000-0000", "ÄÄÄÄ-ÄÄÄÄ-ÄÄÄÄ-ÄÄÄÄ", &format!("TOO-LONG-PREFIX-{printed}")]
        {
            assert_eq!(Code::read(wrong), Err(CodeError), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn one_wrong_character_and_two_that_changed_places_are_noticed(number in any::<u32>(), at in 0_usize..16, other in 1_usize..31) {
            let code = Code::derived(b"seed", number);
            let mut letters: Vec<u8> = code.as_bytes().to_vec();
            let place = ALPHABET.iter().position(|known| *known == letters[at]).unwrap();
            letters[at] = ALPHABET[(place + other) % ALPHABET.len()];
            prop_assert_eq!(Code::read(std::str::from_utf8(&letters).unwrap()), Err(CodeError));
            let mut letters: Vec<u8> = code.as_bytes().to_vec();
            if at > 0 && at < 15 && letters[at] != letters[at - 1] {
                letters.swap(at, at - 1);
                prop_assert_eq!(Code::read(std::str::from_utf8(&letters).unwrap()), Err(CodeError));
            }
        }
    }
}

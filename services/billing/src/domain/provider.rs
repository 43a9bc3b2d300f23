//! A brand's account at a payment provider.

use std::fmt;
use std::str::FromStr;

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

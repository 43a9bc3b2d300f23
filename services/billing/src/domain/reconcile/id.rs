//! Names of comparisons and of differences.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Text that names no comparison, or no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `{0}` followed by 32 hexadecimal digits")]
pub struct ReconcileIdError(&'static str);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name(Uuid);

        impl $name {
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

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = ReconcileIdError;

            fn from_str(text: &str) -> Result<Self, ReconcileIdError> {
                let digits = text.strip_prefix($prefix).filter(|digits| digits.len() == 32);
                digits.and_then(|digits| Uuid::try_parse(digits).ok()).map(Self).ok_or(ReconcileIdError($prefix))
            }
        }
    };
}

id! {
    /// Names a comparison.
    ReconciliationId, "rcn_"
}
id! {
    /// Names a difference.
    DifferenceId, "rcd_"
}

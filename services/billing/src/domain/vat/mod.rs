//! VAT numbers of businesses, and the proof that one is valid.

mod digits;
pub mod number;
mod standing;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use number::{VatNumber, VatNumberError, country_of};
pub use standing::{Readiness, Standing};

/// The proof that a number was valid; kept with every invoice that was issued without tax because of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The number with its prefix.
    pub number: String,
    /// Who said so: the service, or the member of staff.
    pub validator: String,
    /// When.
    pub checked_at: DateTime<Utc>,
    /// Our name of the question.
    pub check_id: String,
    /// The service's name of its answer (VIES: consultation number); empty when it gives none.
    #[serde(default)]
    pub reference: String,
    /// Registered name, when the service tells it.
    #[serde(default)]
    pub name: String,
    /// Registered address, when the service tells it.
    #[serde(default)]
    pub address: String,
}

impl Evidence {
    /// Whether the number is one of that country (ISO 3166-1 alpha-2).
    #[must_use]
    pub fn is_of(&self, country: &str) -> bool {
        self.number.get(..2).is_some_and(|prefix| country_of(prefix) == country)
    }
}

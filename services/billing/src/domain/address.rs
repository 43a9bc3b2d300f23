//! Where a customer's invoices go, and where that is known from.

use serde::{Deserialize, Serialize};

use super::tax::Place;
use super::vat::Standing;

/// Who said where a customer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The order, from what the account says.
    #[default]
    Order,
    /// The customer, in their billing address.
    Customer,
    /// Staff, in the customer's billing address.
    Staff,
}

impl Source {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Customer => "customer",
            Self::Staff => "staff",
        }
    }

    /// The source stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Order, Self::Customer, Self::Staff].into_iter().find(|source| source.as_str() == text)
    }
}

/// A billing address as it was typed, checked for its form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Address {
    /// The company; empty for a person.
    pub company: String,
    /// Street and house, up to three lines.
    pub lines: Vec<String>,
    /// As written in its country.
    pub postal_code: String,
    /// Town.
    pub city: String,
    /// The part of ISO 3166-2 after the hyphen; empty where tax does not ask for it.
    pub region: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// With its prefix; empty for none.
    pub vat_number: String,
}

impl Address {
    /// Nothing but a place.
    #[must_use]
    pub fn of(place: &Place) -> Self {
        Self {
            postal_code: place.postal_code.clone(),
            region: place.region.clone(),
            country: place.country.clone(),
            ..Self::default()
        }
    }

    /// Where that is, for tax.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { country: self.country.clone(), region: self.region.clone(), postal_code: self.postal_code.clone() }
    }

    /// As an envelope has it, below the name.
    #[must_use]
    pub fn printed(&self) -> Vec<String> {
        let town = [self.postal_code.as_str(), self.city.as_str()].join(" ");
        let mut printed = self.lines.clone();
        printed.extend([town.trim(), &self.region, &self.country].map(str::to_owned));
        printed.retain(|line| !line.trim().is_empty());
        printed
    }
}

/// An address with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The address.
    pub address: Address,
    /// Who said so last.
    pub source: Source,
    /// What is known of its VAT number; none without one.
    pub standing: Option<Standing>,
    /// Grows with every change of the address.
    pub version: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_prints_without_empty_lines() {
        let address = Address {
            lines: vec!["12 Harbour Street".into()],
            city: "Dublin".into(),
            country: "IE".into(),
            ..Address::default()
        };
        assert_eq!(address.printed(), ["12 Harbour Street", "Dublin", "IE"]);
    }

    #[test]
    fn sources_read_back() {
        for source in [Source::Order, Source::Customer, Source::Staff] {
            assert_eq!(Source::from_text(source.as_str()), Some(source));
        }
    }
}

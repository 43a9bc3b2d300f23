//! The brand as billing needs it: a local copy of what the catalogue says.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use chrono_tz::Tz;
use ottery_kernel::{BrandId, Currency, EntityId};
use serde::{Deserialize, Serialize};

use super::minimum::Minimums;
use super::rules::InvoiceRules;
use super::tax::Settings;

/// Settings of a brand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The brand.
    pub brand: BrandId,
    /// The name customers know.
    pub name: String,
    /// Whose name is on the invoices.
    pub entity: Entity,
    /// Currencies prices may have.
    pub currencies: Vec<Currency>,
    /// Zone of the brand's days: billing anchors.
    pub zone: Tz,
    /// From the end of the paid period to suspension.
    pub grace_days: u32,
    /// From suspension to the end.
    pub terminate_after_days: u32,
    /// How long before the period's end the renewal invoice is issued.
    pub renewal_lead_hours: u32,
    /// Reminders relative to the due instant, earliest first; negative is before.
    pub reminder_hours: Vec<i32>,
    /// Tax at home and where no rule says otherwise, in basis points.
    pub tax_rate_bp: u32,
    /// Its name on the invoice.
    pub tax_name: String,
    /// Language of customers without one.
    pub default_locale: String,
    /// Where customers ask.
    pub support_email: String,
    /// Design tokens for the invoice.
    pub tokens: BTreeMap<String, String>,
    /// Logo as text data URI; empty for none.
    pub logo: String,
    /// What the brand chose about invoices: billing's own, not the catalogue's.
    #[serde(skip)]
    pub rules: InvoiceRules,
    /// The least a payment can be, where something is charged: the provider's and billing's own.
    #[serde(skip)]
    pub minimums: Minimums,
}

impl Profile {
    /// From the end of the paid period to suspension.
    #[must_use]
    pub fn grace(&self) -> TimeDelta {
        TimeDelta::days(self.grace_days.into())
    }
}

/// The legal entity that sells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// Its id.
    pub id: EntityId,
    /// Registered name.
    pub name: String,
    /// Postal address.
    pub address_lines: Vec<String>,
    /// ISO 3166-1 alpha-2
    pub country: String,
    /// Tax number; empty for none.
    pub tax_id: String,
    /// Zone that decides the issue date.
    pub zone: Tz,
    /// Prefix of invoice numbers.
    pub series: String,
    /// Accounting contact.
    pub email: String,
    /// How it taxes.
    #[serde(default)]
    pub tax: Settings,
}

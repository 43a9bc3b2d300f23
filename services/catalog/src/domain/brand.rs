//! A brand: one shop with its own hosts, look, currencies and rules.

use chrono_tz::Tz;
use ottery_kernel::{Currency, EntityId, Locale};
use serde::{Deserialize, Serialize};

use super::tax::TaxSettings;
use super::words::{country, email, host, line, zone};
use super::{DesignTokens, Invalid, Slug};

/// Who sells and whose numbers the invoices carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegalEntity {
    /// Identity of the invoice series; stays when the name changes.
    pub id: EntityId,
    /// As on the invoice.
    pub name: String,
    /// As on the invoice.
    pub address_lines: Vec<String>,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// VAT or other tax number; may be empty.
    pub tax_id: String,
    /// Decides the issue date of an invoice.
    pub time_zone: Tz,
    /// Prefix of invoice numbers.
    pub invoice_series: String,
    /// Contact on the invoice.
    pub email: String,
    /// How it taxes.
    #[serde(default)]
    pub tax: TaxSettings,
}

/// What the operator says about a brand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brand {
    /// Never changes.
    pub slug: Slug,
    /// As customers read it.
    pub name: String,
    /// Host names, first one is canonical.
    pub hosts: Vec<String>,
    /// The seller.
    pub entity: LegalEntity,
    /// First of `locales`.
    pub default_locale: Locale,
    /// Languages of pages and mails.
    pub locales: Vec<Locale>,
    /// First of `currencies`.
    pub default_currency: Currency,
    /// Currencies prices may be in.
    pub currencies: Vec<Currency>,
    /// The brand's days.
    pub time_zone: Tz,
    /// The look.
    pub tokens: DesignTokens,
    /// Where customers write.
    pub support_email: String,
    /// Sender of mails.
    pub sender_email: String,
    /// One sentence for the storefront.
    pub tagline: String,
    /// Days from a missed renewal to suspension, 0 to 60.
    pub grace_days: u32,
    /// Days from suspension to termination, 1 to 365.
    pub terminate_after_days: u32,
    /// Hours before a period's end at which its renewal invoice is issued, 0 to 720.
    pub renewal_lead_hours: u32,
    /// Basis points of tax at home and wherever no rule says otherwise.
    pub tax_rate_bp: u32,
    /// As on the invoice, for example `VAT`.
    pub tax_name: String,
    /// Basis points of the first net payment of a referred customer.
    pub affiliate_rate_bp: u32,
    /// Days a commission stays pending.
    pub affiliate_hold_days: u32,
    /// Hours relative to the due instant at which open renewals are reminded; ascending.
    pub reminder_hours: Vec<i32>,
    /// Whether the storefront is open.
    pub published: bool,
}

/// A brand as it arrives, before anything was believed.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the same fields as Brand, unchecked")]
pub struct BrandDraft {
    pub slug: String,
    pub name: String,
    pub hosts: Vec<String>,
    pub entity: Option<EntityDraft>,
    pub default_locale: String,
    pub locales: Vec<String>,
    pub default_currency: String,
    pub currencies: Vec<String>,
    pub time_zone: String,
    pub tokens: Vec<(String, String)>,
    pub logo: String,
    pub support_email: String,
    pub sender_email: String,
    pub tagline: String,
    pub grace_days: u32,
    pub terminate_after_days: u32,
    pub renewal_lead_hours: u32,
    pub tax_rate_bp: u32,
    pub tax_name: String,
    pub affiliate_rate_bp: u32,
    pub affiliate_hold_days: u32,
    pub reminder_hours: Vec<i32>,
    pub published: bool,
}

/// A legal entity as it arrives.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the same fields as LegalEntity, unchecked")]
pub struct EntityDraft {
    pub name: String,
    pub address_lines: Vec<String>,
    pub country: String,
    pub tax_id: String,
    pub time_zone: String,
    pub invoice_series: String,
    pub email: String,
    /// None keeps what the entity has.
    pub tax: Option<TaxSettings>,
}

const HOSTS_MAX: usize = 20;
const CURRENCIES_MAX: usize = 20;
const LOCALES_MAX: usize = 20;
const REMINDERS_MAX: usize = 8;

impl BrandDraft {
    /// Keeps from the brand what the draft does not say: who only knows of the older settings loses none.
    #[must_use]
    pub fn after(mut self, before: &Brand) -> Self {
        if let Some(entity) = &mut self.entity {
            entity.tax = entity.tax.or(Some(before.entity.tax));
        }
        self
    }

    /// Checks every field; `entity_id` is the existing entity's, or a new one.
    ///
    /// # Errors
    /// The first field that cannot be right.
    pub fn validate(self, entity_id: EntityId) -> Result<Brand, Invalid> {
        let (currencies, default_currency) = currencies(&self.currencies, &self.default_currency)?;
        let (locales, default_locale) = locales(&self.locales, &self.default_locale)?;
        let entity = self
            .entity
            .ok_or_else(|| Invalid::new("entity", "MISSING", "name the legal entity that sells"))?
            .validate(entity_id)
            .map_err(|invalid| invalid.below("entity"))?;
        Ok(Brand {
            slug: self.slug.parse()?,
            name: line("name", &self.name, 2, 60)?,
            hosts: hosts(&self.hosts)?,
            entity,
            default_locale,
            locales,
            default_currency,
            currencies,
            time_zone: zone("time_zone", &self.time_zone)?,
            tokens: DesignTokens::parse(self.tokens, &self.logo)?,
            support_email: email("support_email", &self.support_email)?,
            sender_email: email("sender_email", &self.sender_email)?,
            tagline: line("tagline", &self.tagline, 0, 160)?,
            grace_days: within("grace_days", self.grace_days, 0, 60)?,
            terminate_after_days: within("terminate_after_days", self.terminate_after_days, 1, 365)?,
            renewal_lead_hours: within("renewal_lead_hours", self.renewal_lead_hours, 0, 720)?,
            tax_rate_bp: within("tax_rate_bp", self.tax_rate_bp, 0, 10_000)?,
            tax_name: line("tax_name", &self.tax_name, usize::from(self.tax_rate_bp > 0), 30)?,
            affiliate_rate_bp: within("affiliate_rate_bp", self.affiliate_rate_bp, 0, 10_000)?,
            affiliate_hold_days: within("affiliate_hold_days", self.affiliate_hold_days, 0, 365)?,
            reminder_hours: reminders(self.reminder_hours)?,
            published: self.published,
        })
    }
}

impl EntityDraft {
    fn validate(self, id: EntityId) -> Result<LegalEntity, Invalid> {
        if self.address_lines.is_empty() || self.address_lines.len() > 6 {
            return Err(Invalid::new("address_lines", "LENGTH", "give 1 to 6 lines"));
        }
        let address_lines = self
            .address_lines
            .iter()
            .enumerate()
            .map(|(n, text)| line(&format!("address_lines[{n}]"), text, 1, 80))
            .collect::<Result<_, _>>()?;
        let series = line("invoice_series", &self.invoice_series, 1, 12)?;
        if !series.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()) {
            return Err(Invalid::new(
                "invoice_series",
                "SERIES_MALFORMED",
                "use capital letters and digits, such as `INV`",
            ));
        }
        Ok(LegalEntity {
            id,
            name: line("name", &self.name, 2, 120)?,
            address_lines,
            country: country("country", &self.country)?,
            tax_id: line("tax_id", &self.tax_id, 0, 30)?,
            time_zone: zone("time_zone", &self.time_zone)?,
            invoice_series: series,
            email: email("email", &self.email)?,
            tax: self.tax.unwrap_or_default().validate()?,
        })
    }
}

fn within(field: &str, value: u32, min: u32, max: u32) -> Result<u32, Invalid> {
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(Invalid::new(field, "RANGE", format!("use {min} to {max}, got {value}")))
}

fn hosts(given: &[String]) -> Result<Vec<String>, Invalid> {
    if given.is_empty() || given.len() > HOSTS_MAX {
        return Err(Invalid::new("hosts", "LENGTH", format!("give 1 to {HOSTS_MAX} host names")));
    }
    let mut hosts = Vec::with_capacity(given.len());
    for (n, text) in given.iter().enumerate() {
        let field = format!("hosts[{n}]");
        let name = host(&field, text)?;
        if hosts.contains(&name) {
            return Err(Invalid::new(field, "HOST_TWICE", format!("`{name}` is listed twice")));
        }
        hosts.push(name);
    }
    Ok(hosts)
}

fn currencies(given: &[String], default: &str) -> Result<(Vec<Currency>, Currency), Invalid> {
    if given.is_empty() || given.len() > CURRENCIES_MAX {
        return Err(Invalid::new("currencies", "LENGTH", format!("give 1 to {CURRENCIES_MAX} currencies")));
    }
    let mut currencies = Vec::with_capacity(given.len());
    for (n, code) in given.iter().enumerate() {
        let field = format!("currencies[{n}]");
        let currency: Currency =
            code.parse().map_err(|error| Invalid::new(&*field, "CURRENCY_UNKNOWN", format!("{error}")))?;
        if currencies.contains(&currency) {
            return Err(Invalid::new(field, "CURRENCY_TWICE", format!("{code} is listed twice")));
        }
        currencies.push(currency);
    }
    let wanted = if default.is_empty() { given[0].as_str() } else { default };
    let default = currencies.iter().copied().find(|currency| currency.code() == wanted).ok_or_else(|| {
        Invalid::new("default_currency", "NOT_LISTED", format!("`{default}` must be one of the brand's currencies"))
    })?;
    Ok((currencies, default))
}

fn locales(given: &[String], default: &str) -> Result<(Vec<Locale>, Locale), Invalid> {
    if given.is_empty() || given.len() > LOCALES_MAX {
        return Err(Invalid::new("locales", "LENGTH", format!("give 1 to {LOCALES_MAX} languages")));
    }
    let mut locales: Vec<Locale> = Vec::with_capacity(given.len());
    for (n, tag) in given.iter().enumerate() {
        let field = format!("locales[{n}]");
        let locale: Locale =
            tag.parse().map_err(|error| Invalid::new(&*field, "LOCALE_MALFORMED", format!("{error}")))?;
        if locales.contains(&locale) {
            return Err(Invalid::new(field, "LOCALE_TWICE", format!("{tag} is listed twice")));
        }
        locales.push(locale);
    }
    let wanted = if default.is_empty() { locales[0].as_str().to_owned() } else { default.to_owned() };
    let default = locales.iter().find(|locale| locale.as_str() == wanted).cloned().ok_or_else(|| {
        Invalid::new("default_locale", "NOT_LISTED", format!("`{default}` must be one of the brand's languages"))
    })?;
    Ok((locales, default))
}

fn reminders(mut hours: Vec<i32>) -> Result<Vec<i32>, Invalid> {
    if hours.len() > REMINDERS_MAX {
        return Err(Invalid::new("reminder_hours", "LENGTH", format!("give at most {REMINDERS_MAX} reminders")));
    }
    if let Some(bad) = hours.iter().find(|hours| !(-720..=1440).contains(*hours)) {
        return Err(Invalid::new(
            "reminder_hours",
            "RANGE",
            format!("use -720 (before) to 1440 (after the due instant), got {bad}"),
        ));
    }
    hours.sort_unstable();
    hours.dedup();
    Ok(hours)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn draft() -> BrandDraft {
        BrandDraft {
            slug: "nordlicht".into(),
            name: "Nordlicht TV".into(),
            hosts: vec!["nordlicht.example".into()],
            entity: Some(EntityDraft {
                name: "Nordlicht Medien GmbH".into(),
                address_lines: vec!["Hafenstraße 7".into(), "20457 Hamburg".into()],
                country: "DE".into(),
                tax_id: "DE123456789".into(),
                time_zone: "Europe/Berlin".into(),
                invoice_series: "INV".into(),
                email: "billing@nordlicht.example".into(),
                tax: None,
            }),
            locales: vec!["en".into(), "de".into()],
            currencies: vec!["EUR".into(), "USD".into()],
            time_zone: "Europe/Berlin".into(),
            support_email: "help@nordlicht.example".into(),
            sender_email: "hello@nordlicht.example".into(),
            grace_days: 3,
            terminate_after_days: 30,
            renewal_lead_hours: 72,
            tax_rate_bp: 1900,
            tax_name: "VAT".into(),
            ..BrandDraft::default()
        }
    }

    #[test]
    fn defaults_are_the_first_of_their_lists() {
        let brand = draft().validate(EntityId::new(chrono::DateTime::UNIX_EPOCH)).unwrap();
        assert_eq!((brand.default_currency, brand.default_locale.as_str()), (Currency::EUR, "en"));
    }

    #[test]
    fn every_refusal_names_its_field() {
        let mut table: Vec<(BrandDraft, &str)> = Vec::new();
        let mut case = |change: fn(&mut BrandDraft), field| {
            let mut draft = draft();
            change(&mut draft);
            table.push((draft, field));
        };
        case(|d| d.slug = "Nord Licht".into(), "slug");
        case(|d| d.name = "x".into(), "name");
        case(|d| d.hosts.clear(), "hosts");
        case(|d| d.hosts.push("NORDLICHT.example".into()), "hosts[1]");
        case(|d| d.entity = None, "entity");
        case(|d| d.entity.as_mut().unwrap().country = "Germany".into(), "entity.country");
        case(|d| d.entity.as_mut().unwrap().invoice_series = "inv-".into(), "entity.invoice_series");
        case(|d| d.currencies.push("EURO".into()), "currencies[2]");
        case(|d| d.default_currency = "GBP".into(), "default_currency");
        case(|d| d.locales = vec!["english".into()], "locales[0]");
        case(|d| d.time_zone = "CEST-ish".into(), "time_zone");
        case(|d| d.support_email = "help".into(), "support_email");
        case(|d| d.grace_days = 61, "grace_days");
        case(|d| d.terminate_after_days = 0, "terminate_after_days");
        case(|d| d.tax_rate_bp = 10_001, "tax_rate_bp");
        case(|d| d.tax_name = String::new(), "tax_name");
        case(|d| d.reminder_hours = vec![9000], "reminder_hours");
        for (draft, field) in table {
            let invalid = draft.validate(EntityId::new(chrono::DateTime::UNIX_EPOCH)).unwrap_err();
            assert_eq!(invalid.field, field, "{}", invalid.message);
        }
    }
}

//! How a legal entity taxes: settings, and rules by place, kind of product and day.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::Invalid;
use super::words::{country, line};

/// Rules of one table; a table travels in one message.
pub const RULES_MAX: usize = 5_000;
/// How long an invoice waits for the answer about a VAT number unless the operator says otherwise.
const WAIT_HOURS: u32 = 24;
/// Longest that an invoice may wait for the answer about a VAT number.
const WAIT_HOURS_MAX: u32 = 168;

/// Whether prices contain tax.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pricing {
    /// They do.
    #[default]
    Inclusive,
    /// It is added.
    Exclusive,
}

/// Where tax is rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaxRounding {
    /// On every line.
    #[default]
    Line,
    /// Once per rate.
    Total,
}

/// What is done in other countries without a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Elsewhere {
    /// As at home.
    #[default]
    HomeRate,
    /// No tax.
    Untaxed,
}

/// How a legal entity taxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxSettings {
    /// Whether prices contain tax.
    pub pricing: Pricing,
    /// Where it is rounded.
    pub rounding: TaxRounding,
    /// What is done in other countries without a rule.
    pub elsewhere: Elsewhere,
    /// How long an invoice waits for the answer about a VAT number, 0 to 168.
    pub vat_wait_hours: u32,
}

impl Default for TaxSettings {
    fn default() -> Self {
        Self {
            pricing: Pricing::default(),
            rounding: TaxRounding::default(),
            elsewhere: Elsewhere::default(),
            vat_wait_hours: WAIT_HOURS,
        }
    }
}

impl TaxSettings {
    /// Checks what types do not.
    ///
    /// # Errors
    /// When an invoice would wait too long.
    pub fn validate(self) -> Result<Self, Invalid> {
        if self.vat_wait_hours > WAIT_HOURS_MAX {
            let message = format!("use 0 (do not wait) to {WAIT_HOURS_MAX} hours, got {}", self.vat_wait_hours);
            return Err(Invalid::new("tax.vat_wait_hours", "RANGE", message));
        }
        Ok(self)
    }
}

/// Whether and how a rule taxes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Levy {
    /// At its rate.
    #[default]
    Rate,
    /// Exempt.
    Exempt,
    /// Not taxed at all.
    OutOfScope,
}

/// One rule. Their order is that of the fields, so that a table reads from place to place and from day to day.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rule {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// The part of ISO 3166-2 after the hyphen; empty for the whole country.
    pub region: String,
    /// Upper case, letters and digits only; empty for all.
    pub postal_prefix: String,
    /// Tax category of a plan; empty for all.
    pub category: String,
    /// First day; none: always.
    pub valid_from: Option<NaiveDate>,
    /// First day on which it is over; none: never.
    pub valid_until: Option<NaiveDate>,
    /// Basis points; 0 where no tax is charged.
    pub rate_bp: u32,
    /// As invoices call the tax.
    pub name: String,
    /// Whether and how it taxes.
    pub levy: Levy,
    /// Which law says that no tax is charged.
    pub reason: String,
    /// Businesses abroad with a valid number owe the tax themselves.
    pub reverse_charge: bool,
}

/// A rule as it arrives.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the same fields as Rule, unchecked")]
pub struct RuleDraft {
    pub country: String,
    pub region: String,
    pub postal_prefix: String,
    pub category: String,
    pub rate_bp: u32,
    pub name: String,
    pub levy: Option<Levy>,
    pub reason: String,
    pub reverse_charge: bool,
    pub valid_from: String,
    pub valid_until: String,
}

/// A tax category of plans: lower-case letters, digits and hyphens, at most 30; empty for the usual.
///
/// # Errors
/// When it has other characters or is longer.
pub fn category(field: &str, text: &str) -> Result<String, Invalid> {
    let text = text.trim();
    let is_good = text.len() <= 30 && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if is_good {
        return Ok(text.to_owned());
    }
    let message = "use at most 30 lower-case letters, digits and hyphens, or nothing";
    Err(Invalid::new(field, "TAX_CATEGORY_MALFORMED", message))
}

fn code(field: &str, text: &str, most: usize, example: &str) -> Result<String, Invalid> {
    let text = text.trim().to_ascii_uppercase();
    if text.len() <= most && text.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Ok(text);
    }
    let message = format!("use at most {most} letters and digits, such as `{example}`, or nothing");
    Err(Invalid::new(field, "CODE_MALFORMED", message))
}

fn day(field: &str, text: &str) -> Result<Option<NaiveDate>, Invalid> {
    match text.trim() {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| Invalid::new(field, "DATE_MALFORMED", "use a day such as `2027-01-31`, or nothing")),
    }
}

impl RuleDraft {
    fn validate(self) -> Result<Rule, Invalid> {
        let levy = self.levy.unwrap_or_default();
        if self.rate_bp > 10_000 {
            let message = format!("use 0 to 10000 basis points (100 %), got {}", self.rate_bp);
            return Err(Invalid::new("rate_bp", "RANGE", message));
        }
        if levy != Levy::Rate && self.rate_bp > 0 {
            let message = "where no tax is charged the rate is 0";
            return Err(Invalid::new("rate_bp", "RATE_WITHOUT_TAX", message));
        }
        if levy != Levy::Rate && self.reverse_charge {
            let message = "where no tax is charged nobody owes it; leave reverse charge out";
            return Err(Invalid::new("reverse_charge", "REVERSE_CHARGE_WITHOUT_TAX", message));
        }
        let (valid_from, valid_until) = (day("valid_from", &self.valid_from)?, day("valid_until", &self.valid_until)?);
        if valid_from.zip(valid_until).is_some_and(|(from, until)| until <= from) {
            let message = "the day on which it is over is later than its first day";
            return Err(Invalid::new("valid_until", "DATES_REVERSED", message));
        }
        Ok(Rule {
            country: country("country", &self.country)?,
            region: code("region", &self.region, 3, "CA")?,
            postal_prefix: code("postal_prefix", &self.postal_prefix, 10, "941")?,
            category: category("category", &self.category)?,
            rate_bp: self.rate_bp,
            name: line("name", &self.name, usize::from(levy == Levy::Rate), 30)?,
            reason: line("reason", &self.reason, usize::from(levy != Levy::Rate), 160)?,
            levy,
            reverse_charge: self.reverse_charge,
            valid_from,
            valid_until,
        })
    }
}

impl Rule {
    fn is_about_the_same(&self, other: &Self) -> bool {
        let about = |rule: &Self| {
            (rule.country.clone(), rule.region.clone(), rule.postal_prefix.clone(), rule.category.clone())
        };
        about(self) == about(other)
    }

    /// Whether both hold on some day, `self` being the earlier one.
    fn meets(&self, later: &Self) -> bool {
        match (self.valid_until, later.valid_from) {
            (None, _) | (_, None) => true,
            (Some(until), Some(from)) => from < until,
        }
    }
}

/// Checks a whole table and puts it into its order.
///
/// # Errors
/// The first rule that cannot be right; rules are named by their place in what was sent.
pub fn validate(drafts: Vec<RuleDraft>) -> Result<Vec<Rule>, Invalid> {
    if drafts.len() > RULES_MAX {
        let message = format!("a table has at most {RULES_MAX} rules, got {}", drafts.len());
        return Err(Invalid::new("rules", "TOO_MANY", message));
    }
    let mut rules = Vec::with_capacity(drafts.len());
    for (n, draft) in drafts.into_iter().enumerate() {
        rules.push((draft.validate().map_err(|invalid| invalid.below(&format!("rules[{n}]")))?, n));
    }
    rules.sort();
    for ((rule, before), (later, n)) in rules.iter().zip(rules.iter().skip(1)) {
        if rule.is_about_the_same(later) && rule.meets(later) {
            let message = format!(
                "rules[{before}] is about the same place and category and holds at the same time; end one where the other begins"
            );
            return Err(Invalid::new(format!("rules[{n}].valid_from"), "RULES_OVERLAP", message));
        }
    }
    Ok(rules.into_iter().map(|(rule, _)| rule).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(country: &str, rate_bp: u32) -> RuleDraft {
        RuleDraft { country: country.into(), rate_bp, name: "VAT".into(), ..RuleDraft::default() }
    }

    fn refused(drafts: Vec<RuleDraft>) -> (String, &'static str) {
        let invalid = validate(drafts).unwrap_err();
        (invalid.field, invalid.reason)
    }

    #[test]
    fn a_table_is_put_into_its_order_and_its_codes_into_their_form() {
        let california = RuleDraft { region: "ca".into(), postal_prefix: "941".into(), ..rule("us", 863) };
        let table = validate(vec![california, rule("DE", 1900)]).unwrap();
        let read: Vec<_> =
            table.iter().map(|rule| (rule.country.as_str(), rule.region.as_str(), rule.rate_bp)).collect();
        assert_eq!(read, [("DE", "", 1900), ("US", "CA", 863)]);
    }

    #[test]
    fn what_cannot_be_right_is_named() {
        let with = |change: fn(&mut RuleDraft)| {
            let mut draft = rule("FR", 2000);
            change(&mut draft);
            refused(vec![rule("DE", 1900), draft])
        };
        assert_eq!(with(|rule| rule.country = "France".into()), ("rules[1].country".into(), "COUNTRY_MALFORMED"));
        assert_eq!(with(|rule| rule.region = "U S".into()), ("rules[1].region".into(), "CODE_MALFORMED"));
        assert_eq!(with(|rule| rule.category = "Press".into()), ("rules[1].category".into(), "TAX_CATEGORY_MALFORMED"));
        assert_eq!(with(|rule| rule.rate_bp = 10_001), ("rules[1].rate_bp".into(), "RANGE"));
        assert_eq!(with(|rule| rule.levy = Some(Levy::Exempt)), ("rules[1].rate_bp".into(), "RATE_WITHOUT_TAX"));
        assert_eq!(with(|rule| rule.valid_from = "1.1.2027".into()), ("rules[1].valid_from".into(), "DATE_MALFORMED"));
        let reversed = with(|rule| (rule.valid_from, rule.valid_until) = ("2027-02-01".into(), "2027-02-01".into()));
        assert_eq!(reversed, ("rules[1].valid_until".into(), "DATES_REVERSED"));
        let exempt = RuleDraft { levy: Some(Levy::Exempt), rate_bp: 0, ..rule("FR", 0) };
        assert_eq!(refused(vec![exempt.clone()]).0, "rules[0].reason");
        let reverse = RuleDraft { reverse_charge: true, reason: "Art. 132".into(), ..exempt };
        assert_eq!(refused(vec![reverse]), ("rules[0].reverse_charge".into(), "REVERSE_CHARGE_WITHOUT_TAX"));
        assert_eq!(refused(vec![rule("DE", 0); RULES_MAX + 1]), ("rules".into(), "TOO_MANY"));
    }

    #[test]
    fn a_rate_ends_where_the_next_one_begins() {
        let until = |day: &str| RuleDraft { valid_until: day.into(), ..rule("EE", 2200) };
        let from = |day: &str| RuleDraft { valid_from: day.into(), ..rule("EE", 2400) };
        assert!(validate(vec![from("2026-07-01"), until("2026-07-01")]).is_ok());
        let overlap = refused(vec![from("2026-06-30"), until("2026-07-01")]);
        assert_eq!(overlap, ("rules[0].valid_from".into(), "RULES_OVERLAP"));
        assert_eq!(refused(vec![rule("EE", 2200), rule("EE", 2200)]).1, "RULES_OVERLAP");
        let press = RuleDraft { category: "press".into(), ..rule("EE", 900) };
        assert!(validate(vec![press, rule("EE", 2200)]).is_ok(), "another category is another matter");
    }

    #[test]
    fn an_invoice_waits_a_week_at_most() {
        let settings = |vat_wait_hours| TaxSettings { vat_wait_hours, ..TaxSettings::default() };
        assert!(settings(168).validate().is_ok());
        assert_eq!(settings(169).validate().unwrap_err().field, "tax.vat_wait_hours");
    }
}

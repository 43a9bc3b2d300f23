//! Coupons: what one takes off, how long, and who may use it when.
//!
//! A coupon is about the price of a term, tax contained; only its own kind touches a set-up fee. Billing computes with it.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, CouponId, Currency, Money, PlanId, Term, TermUnit};
use serde::{Deserialize, Serialize};

use super::Invalid;
use super::plan::{UNITS_MAX, term};
use super::words::line;

/// Basis points in a whole: a coupon of so many takes everything.
const WHOLE_BP: u32 = 10_000;
/// Ten years of months; more is meant to be for ever.
const PERIODS_MAX: u32 = 120;
const PLANS_MAX: usize = 50;
const TERMS_MAX: usize = 20;
const USES_MAX: u32 = 1_000_000;

/// What a customer types, in its canonical form: upper-case letters, digits and inner hyphens and underscores, 3 to 32
/// characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Code(String);

impl Code {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Code {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let code = text.trim().to_ascii_uppercase();
        let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
        let is_good = (3..=32).contains(&code.len())
            && code.chars().all(|c| plain(c) || c == '-' || c == '_')
            && code.starts_with(plain)
            && code.ends_with(plain);
        if is_good {
            return Ok(Self(code));
        }
        Err(Invalid::new(
            "code",
            "CODE_MALFORMED",
            "use 3 to 32 letters of A to Z, digits, hyphens and underscores, beginning and ending with a letter or digit",
        ))
    }
}

/// What it takes off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Benefit {
    /// A share of the price.
    Percent {
        /// In basis points, 1 to 10000.
        bp: u32,
    },
    /// An amount, at most the price; the rest of it is lost.
    Fixed {
        /// One per currency.
        amounts: Vec<Money>,
    },
    /// Another price instead of the plan's; never a higher one.
    Price {
        /// One per currency.
        amounts: Vec<Money>,
    },
    /// The set-up fee.
    FreeSetup,
}

/// For how many paid periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "duration", rename_all = "snake_case")]
pub enum Duration {
    /// The first.
    Once,
    /// So many.
    Periods {
        /// 2 to 120.
        count: u32,
    },
    /// All of them.
    Forever,
}

/// What it may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// New subscriptions.
    Orders,
    /// A dearer plan in the middle of a period.
    Upgrades,
    /// Either.
    Both,
}

/// Everything it says besides its code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// For staff.
    pub name: String,
    /// What it takes off.
    pub benefit: Benefit,
    /// For how many periods.
    pub duration: Duration,
    /// Of these plans; empty: of any.
    pub plan_ids: Vec<PlanId>,
    /// For these terms; empty: for any.
    pub terms: Vec<Term>,
    /// For customers without an earlier order.
    pub new_customers_only: bool,
    /// What it may be used for.
    pub occasion: Occasion,
    /// Refused before.
    pub starts_at: Option<DateTime<Utc>>,
    /// Refused from here on.
    pub ends_at: Option<DateTime<Utc>>,
    /// Uses of all customers together; none: no limit.
    pub uses_max: Option<u32>,
    /// Uses of one customer; none: no limit.
    pub uses_per_customer_max: Option<u32>,
}

/// Whether it can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CouponState {
    /// By whoever knows it.
    Enabled,
    /// By nobody new; who has it keeps it.
    Archived,
}

impl CouponState {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Archived => "archived",
        }
    }

    /// From its stored form.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        [Self::Enabled, Self::Archived].into_iter().find(|state| state.as_str() == text)
    }
}

/// A coupon of a brand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coupon {
    /// Identity.
    pub id: CouponId,
    /// Whose.
    pub brand: BrandId,
    /// What customers type; never changes.
    pub code: Code,
    /// What it says.
    pub content: Content,
    /// Whether it can be used.
    pub state: CouponState,
    /// Grows with every change.
    pub version: i64,
    /// Since when it is there.
    pub created_at: DateTime<Utc>,
}

/// Which kind of coupon is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the kinds of Benefit, without what they need")]
pub enum Kind {
    Percent,
    Fixed,
    Price,
    FreeSetup,
}

/// Which duration is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the cases of Duration, without the count")]
pub enum DurationKind {
    Once,
    Periods,
    Forever,
}

/// A coupon as it arrives.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the same fields as Content, unchecked")]
pub struct CouponDraft {
    pub code: String,
    pub name: String,
    pub kind: Option<Kind>,
    pub percent_bp: u32,
    pub amounts: Vec<(String, i64)>,
    pub duration: Option<DurationKind>,
    pub periods: u32,
    pub plan_ids: Vec<PlanId>,
    pub terms: Vec<(u32, Option<TermUnit>)>,
    pub new_customers_only: bool,
    pub occasion: Option<Occasion>,
    pub starts_at: Option<DateTime<Utc>>,
    pub ends_at: Option<DateTime<Utc>>,
    pub uses_max: u32,
    pub uses_per_customer_max: u32,
}

impl CouponDraft {
    /// Checks every field against the brand's currencies.
    ///
    /// # Errors
    /// The first field that cannot be right.
    pub fn validate(self, currencies: &[Currency]) -> Result<(Code, Content), Invalid> {
        let code: Code = self.code.parse()?;
        let name = line("name", &self.name, 0, 80)?;
        let benefit = self.benefit(currencies)?;
        let duration = self.duration(&benefit)?;
        let occasion =
            self.occasion.ok_or_else(|| Invalid::new("occasion", "MISSING", "choose orders, upgrades or both"))?;
        self.check_occasion(&benefit, occasion)?;
        if let (Some(starts_at), Some(ends_at)) = (self.starts_at, self.ends_at)
            && ends_at <= starts_at
        {
            return Err(Invalid::new(
                "ends_at",
                "WINDOW_EMPTY",
                format!("use an instant after starts_at, {starts_at}"),
            ));
        }
        let uses_max = limit("uses_max", self.uses_max)?;
        let uses_per_customer_max = limit("uses_per_customer_max", self.uses_per_customer_max)?;
        if let (Some(all), Some(each)) = (uses_max, uses_per_customer_max)
            && each > all
        {
            return Err(Invalid::new(
                "uses_per_customer_max",
                "RANGE",
                format!("use at most uses_max, which is {all}, or 0 for no limit, got {each}"),
            ));
        }
        let content = Content {
            name,
            benefit,
            duration,
            plan_ids: plans(self.plan_ids)?,
            terms: terms(&self.terms)?,
            new_customers_only: self.new_customers_only,
            occasion,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            uses_max,
            uses_per_customer_max,
        };
        Ok((code, content))
    }

    fn benefit(&self, currencies: &[Currency]) -> Result<Benefit, Invalid> {
        let kind =
            self.kind.ok_or_else(|| Invalid::new("kind", "MISSING", "choose percent, fixed, price or free_setup"))?;
        if kind != Kind::Percent && self.percent_bp != 0 {
            return Err(Invalid::new("percent_bp", "NOT_OF_THIS_KIND", "leave it 0, or choose the kind percent"));
        }
        if !matches!(kind, Kind::Fixed | Kind::Price) && !self.amounts.is_empty() {
            return Err(Invalid::new(
                "amounts",
                "NOT_OF_THIS_KIND",
                "leave them out, or choose the kind fixed or price",
            ));
        }
        match kind {
            Kind::Percent if (1..=WHOLE_BP).contains(&self.percent_bp) => Ok(Benefit::Percent { bp: self.percent_bp }),
            Kind::Percent => Err(Invalid::new(
                "percent_bp",
                "RANGE",
                format!("use 1 to {WHOLE_BP} basis points (2000 is 20 %), got {}", self.percent_bp),
            )),
            Kind::Fixed => Ok(Benefit::Fixed { amounts: amounts(&self.amounts, currencies, 1)? }),
            Kind::Price => Ok(Benefit::Price { amounts: amounts(&self.amounts, currencies, 0)? }),
            Kind::FreeSetup => Ok(Benefit::FreeSetup),
        }
    }

    fn duration(&self, benefit: &Benefit) -> Result<Duration, Invalid> {
        let kind =
            self.duration.ok_or_else(|| Invalid::new("duration", "MISSING", "choose once, periods or forever"))?;
        if *benefit == Benefit::FreeSetup && kind != DurationKind::Once {
            return Err(Invalid::new("duration", "SETUP_ONCE", "a set-up fee is charged once; choose once"));
        }
        match (kind, self.periods) {
            (DurationKind::Once, 0) => Ok(Duration::Once),
            (DurationKind::Forever, 0) => Ok(Duration::Forever),
            (DurationKind::Periods, count) if (2..=PERIODS_MAX).contains(&count) => Ok(Duration::Periods { count }),
            (DurationKind::Periods, count) => Err(Invalid::new(
                "periods",
                "RANGE",
                format!("use 2 to {PERIODS_MAX} periods, got {count}; for one choose the duration once"),
            )),
            (DurationKind::Once | DurationKind::Forever, count) => Err(Invalid::new(
                "periods",
                "NOT_OF_THIS_DURATION",
                format!("leave it 0, or choose the duration periods, got {count}"),
            )),
        }
    }

    fn check_occasion(&self, benefit: &Benefit, occasion: Occasion) -> Result<(), Invalid> {
        match occasion {
            Occasion::Upgrades | Occasion::Both if *benefit == Benefit::FreeSetup => {
                Err(Invalid::new("occasion", "SETUP_WITH_ORDERS", "upgrades have no set-up fee; choose orders"))
            }
            Occasion::Upgrades if self.new_customers_only => Err(Invalid::new(
                "new_customers_only",
                "UPGRADES_ARE_NOT_NEW",
                "who upgrades is a customer already; choose orders, or leave it off",
            )),
            Occasion::Orders | Occasion::Upgrades | Occasion::Both => Ok(()),
        }
    }
}

fn amounts(given: &[(String, i64)], currencies: &[Currency], least: i64) -> Result<Vec<Money>, Invalid> {
    if given.is_empty() {
        return Err(Invalid::new("amounts", "MISSING", "give an amount for each currency it shall work in"));
    }
    let mut amounts: Vec<Money> = Vec::with_capacity(given.len());
    for (n, (code, minor)) in given.iter().enumerate() {
        let field = |part: &str| format!("amounts[{n}].{part}");
        let currency = *currencies.iter().find(|currency| currency.code() == code).ok_or_else(|| {
            let known: Vec<&str> = currencies.iter().map(Currency::code).collect();
            let message = format!("`{code}` is not a currency of this brand; it has {}", known.join(", "));
            Invalid::new(field("currency"), "CURRENCY_NOT_OFFERED", message)
        })?;
        if amounts.iter().any(|amount| amount.currency == currency) {
            return Err(Invalid::new(
                field("currency"),
                "CURRENCY_TWICE",
                format!("there is already an amount in {currency}; give one per currency"),
            ));
        }
        let most = UNITS_MAX * currency.minor_per_unit();
        if !(least..=most).contains(minor) {
            return Err(Invalid::new(
                field("minor"),
                "AMOUNT_RANGE",
                format!("use {least} to {most} minor units of {currency}, got {minor}"),
            ));
        }
        amounts.push(Money::new(*minor, currency));
    }
    Ok(amounts)
}

fn plans(given: Vec<PlanId>) -> Result<Vec<PlanId>, Invalid> {
    if given.len() > PLANS_MAX {
        return Err(Invalid::new("plan_ids", "LENGTH", format!("name at most {PLANS_MAX} plans, or none for any")));
    }
    let mut plans = given;
    plans.sort_unstable();
    plans.dedup();
    Ok(plans)
}

fn terms(given: &[(u32, Option<TermUnit>)]) -> Result<Vec<Term>, Invalid> {
    if given.len() > TERMS_MAX {
        return Err(Invalid::new("terms", "LENGTH", format!("give at most {TERMS_MAX} terms, or none for any")));
    }
    let mut terms: Vec<Term> = Vec::with_capacity(given.len());
    for (n, (count, unit)) in given.iter().enumerate() {
        let wanted = term(*count, *unit).map_err(|invalid| invalid.below(&format!("terms[{n}]")))?;
        if !terms.contains(&wanted) {
            terms.push(wanted);
        }
    }
    Ok(terms)
}

fn limit(field: &str, given: u32) -> Result<Option<u32>, Invalid> {
    match given {
        0 => Ok(None),
        1..=USES_MAX => Ok(Some(given)),
        _ => Err(Invalid::new(field, "RANGE", format!("use 1 to {USES_MAX}, or 0 for no limit, got {given}"))),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn percent() -> CouponDraft {
        CouponDraft {
            code: "summer-20".into(),
            kind: Some(Kind::Percent),
            percent_bp: 2000,
            duration: Some(DurationKind::Once),
            occasion: Some(Occasion::Orders),
            ..CouponDraft::default()
        }
    }

    fn fixed(amounts: &[(&str, i64)]) -> CouponDraft {
        let amounts = amounts.iter().map(|(code, minor)| ((*code).to_owned(), *minor)).collect();
        CouponDraft { kind: Some(Kind::Fixed), percent_bp: 0, amounts, ..percent() }
    }

    fn validate(draft: CouponDraft) -> Result<(Code, Content), Invalid> {
        draft.validate(&[Currency::EUR, Currency::JPY])
    }

    #[test]
    fn a_code_is_the_same_in_any_case_and_has_bounds() {
        for text in ["summer-20", "SUMMER-20", "  Summer-20 "] {
            assert_eq!(text.parse::<Code>().unwrap().as_str(), "SUMMER-20", "{text}");
        }
        assert!("ABC".parse::<Code>().is_ok());
        assert!("A".repeat(32).parse::<Code>().is_ok());
        for bad in ["", "ab", "-abc", "abc_", "a b c", "rabatt€", "Ωmega", "a\0bc", &"a".repeat(33)] {
            let invalid = bad.parse::<Code>().unwrap_err();
            assert_eq!((invalid.field.as_str(), invalid.reason), ("code", "CODE_MALFORMED"), "{bad}");
        }
    }

    #[test]
    fn every_kind_can_be_made() {
        assert_eq!(validate(percent()).unwrap().1.benefit, Benefit::Percent { bp: 2000 });
        let eur = |minor| vec![Money::new(minor, Currency::EUR)];
        assert_eq!(validate(fixed(&[("EUR", 500)])).unwrap().1.benefit, Benefit::Fixed { amounts: eur(500) });
        let free = CouponDraft { kind: Some(Kind::Price), ..fixed(&[("EUR", 0)]) };
        assert_eq!(validate(free).unwrap().1.benefit, Benefit::Price { amounts: eur(0) });
        let setup = CouponDraft { kind: Some(Kind::FreeSetup), percent_bp: 0, ..percent() };
        assert_eq!(validate(setup).unwrap().1.benefit, Benefit::FreeSetup);
        let thrice = CouponDraft { duration: Some(DurationKind::Periods), periods: 3, ..percent() };
        assert_eq!(validate(thrice).unwrap().1.duration, Duration::Periods { count: 3 });
    }

    /// Field, rule, and a word of what would be accepted.
    #[test]
    fn what_cannot_be_right_names_the_field_the_rule_and_what_would_be_accepted() {
        let noon = DateTime::UNIX_EPOCH + TimeDelta::hours(12);
        let setup = CouponDraft { kind: Some(Kind::FreeSetup), percent_bp: 0, ..percent() };
        let plan = PlanId::new(noon);
        let table: Vec<(CouponDraft, &str, &str, &str)> = vec![
            (CouponDraft { code: "no".into(), ..percent() }, "code", "CODE_MALFORMED", "3 to 32"),
            (CouponDraft { name: "x".repeat(81), ..percent() }, "name", "LENGTH", "at most 80"),
            (CouponDraft { kind: None, ..percent() }, "kind", "MISSING", "percent, fixed"),
            (CouponDraft { percent_bp: 0, ..percent() }, "percent_bp", "RANGE", "1 to 10000"),
            (CouponDraft { percent_bp: 10_001, ..percent() }, "percent_bp", "RANGE", "1 to 10000"),
            (CouponDraft { amounts: vec![("EUR".into(), 1)], ..percent() }, "amounts", "NOT_OF_THIS_KIND", "fixed"),
            (CouponDraft { percent_bp: 5, ..fixed(&[("EUR", 1)]) }, "percent_bp", "NOT_OF_THIS_KIND", "percent"),
            (fixed(&[]), "amounts", "MISSING", "each currency"),
            (fixed(&[("EUR", 0)]), "amounts[0].minor", "AMOUNT_RANGE", "1 to 10000000"),
            (fixed(&[("EUR", -5)]), "amounts[0].minor", "AMOUNT_RANGE", "1 to 10000000"),
            (fixed(&[("EUR", 5), ("JPY", i64::MAX)]), "amounts[1].minor", "AMOUNT_RANGE", "1 to 100000"),
            (fixed(&[("EUR", 5), ("USD", 5)]), "amounts[1].currency", "CURRENCY_NOT_OFFERED", "EUR, JPY"),
            (fixed(&[("EUR", 5), ("EUR", 6)]), "amounts[1].currency", "CURRENCY_TWICE", "one per currency"),
            (CouponDraft { duration: None, ..percent() }, "duration", "MISSING", "once, periods"),
            (CouponDraft { periods: 3, ..percent() }, "periods", "NOT_OF_THIS_DURATION", "leave it 0"),
            (
                CouponDraft { duration: Some(DurationKind::Periods), periods: 1, ..percent() },
                "periods",
                "RANGE",
                "2 to 120",
            ),
            (
                CouponDraft { duration: Some(DurationKind::Periods), periods: 121, ..percent() },
                "periods",
                "RANGE",
                "2 to 120",
            ),
            (
                CouponDraft { duration: Some(DurationKind::Forever), ..setup.clone() },
                "duration",
                "SETUP_ONCE",
                "choose once",
            ),
            (CouponDraft { occasion: None, ..percent() }, "occasion", "MISSING", "orders, upgrades"),
            (CouponDraft { occasion: Some(Occasion::Both), ..setup }, "occasion", "SETUP_WITH_ORDERS", "choose orders"),
            (
                CouponDraft { occasion: Some(Occasion::Upgrades), new_customers_only: true, ..percent() },
                "new_customers_only",
                "UPGRADES_ARE_NOT_NEW",
                "choose orders",
            ),
            (
                CouponDraft { starts_at: Some(noon), ends_at: Some(noon), ..percent() },
                "ends_at",
                "WINDOW_EMPTY",
                "after starts_at",
            ),
            (CouponDraft { uses_max: 1_000_001, ..percent() }, "uses_max", "RANGE", "1 to 1000000"),
            (
                CouponDraft { uses_max: 2, uses_per_customer_max: 3, ..percent() },
                "uses_per_customer_max",
                "RANGE",
                "at most uses_max",
            ),
            (CouponDraft { plan_ids: vec![plan; 51], ..percent() }, "plan_ids", "LENGTH", "at most 50"),
            (CouponDraft { terms: vec![(1, None)], ..percent() }, "terms[0].unit", "MISSING", "day, week"),
            (
                CouponDraft { terms: vec![(1, Some(TermUnit::Month)), (99, Some(TermUnit::Year))], ..percent() },
                "terms[1].count",
                "RANGE",
                "1 to 3",
            ),
            (CouponDraft { terms: vec![(1, None); 21], ..percent() }, "terms", "LENGTH", "at most 20"),
        ];
        for (draft, field, reason, accepted) in table {
            let invalid = validate(draft).unwrap_err();
            assert_eq!((invalid.field.as_str(), invalid.reason), (field, reason), "{invalid}");
            assert!(invalid.message.contains(accepted), "`{accepted}` is not in: {invalid}");
        }
    }

    #[test]
    fn plans_and_terms_are_kept_once_each() {
        let plan = PlanId::new(DateTime::UNIX_EPOCH);
        let month = (1, Some(TermUnit::Month));
        let (_, content) =
            validate(CouponDraft { plan_ids: vec![plan, plan], terms: vec![month, month], ..percent() }).unwrap();
        assert_eq!((content.plan_ids, content.terms), (vec![plan], vec![Term::MONTH]));
    }

    #[test]
    fn states_read_back() {
        for state in [CouponState::Enabled, CouponState::Archived] {
            assert_eq!(CouponState::from_stored(state.as_str()), Some(state));
        }
    }
}

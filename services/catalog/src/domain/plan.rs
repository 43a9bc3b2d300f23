//! Plans, their versions and prices. What customers see or pay is a version; a version never changes.

use chrono::{DateTime, Utc};
use ottery_kernel::{
    AnchorDay, AnchorRule, BrandId, ChangePolicy, ChangeTiming, Currency, LateRenewal, Money, PlanId, PlanVersionId,
    PriceId, Term, TermUnit,
};
use serde::{Deserialize, Serialize};

use super::addon::AddOnRule;
use super::option::PlanOption;
use super::sale::Sale;
use super::tax::category;
use super::words::line;
use super::{Invalid, Slug};

/// No subscription of this field costs more than this many whole units; a typing mistake does (case 31).
pub(super) const UNITS_MAX: i64 = 100_000;
const PRICES_MAX: usize = 60;
pub(super) const CONNECTIONS_MAX: u32 = 50;
const PAUSE_DAYS_MAX: u32 = 366;

/// Whether a plan can be bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanState {
    /// Seen by staff alone.
    Draft,
    /// Anybody may buy.
    OnSale,
    /// Existing subscriptions renew, nobody new can buy.
    Archived,
}

impl PlanState {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::OnSale => "on_sale",
            Self::Archived => "archived",
        }
    }

    /// From its stored form.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        [Self::Draft, Self::OnSale, Self::Archived].into_iter().find(|state| state.as_str() == text)
    }
}

/// What a plan means on a streaming panel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PanelMapping {
    /// Pool of panels; empty: any of the brand.
    pub pool: String,
    /// Bouquets of the panel.
    pub bouquet_ids: Vec<i64>,
    /// Package of reseller keys, a label for admin keys; 0: none.
    pub package_id: i64,
    /// `hls`, `ts`, `rtmp`.
    pub outputs: Vec<String>,
    /// Preferred region; empty: any.
    pub region: String,
}

/// Everything a version says, except its prices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// As customers read it.
    pub name: String,
    /// One or two sentences.
    pub summary: String,
    /// Short promises, in order.
    pub features: Vec<String>,
    /// Simultaneous streams.
    pub connections: u32,
    /// What it means on a panel.
    pub mapping: PanelMapping,
    /// 0: no trial.
    pub trial_days: u32,
    /// On which days terms of months and years renew.
    #[serde(default)]
    pub anchor: AnchorRule,
    /// What becomes of a change to another price.
    #[serde(default)]
    pub changes: ChangePolicy,
    /// How many days a customer may pause; 0 for none.
    #[serde(default)]
    pub pause_days_max: u32,
    /// Where a renewal begins that is paid after service was stopped.
    #[serde(default)]
    pub late_renewal: LateRenewal,
    /// Kind of product, for tax rules that tell them apart; empty for the usual.
    #[serde(default)]
    pub tax_category: String,
    /// What can be bought by the unit beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<PlanOption>,
    /// Present: it is no plan of its own but is bought with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addon: Option<AddOnRule>,
}

/// One way to pay: a currency and a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Names this price of this version for ever.
    pub id: PriceId,
    /// Of one term; whether it contains tax is the legal entity's setting.
    pub amount: Money,
    /// Once, on the first invoice.
    pub setup_fee: Money,
    /// How long one payment lasts.
    pub term: Term,
    /// A pass: over at the end of its term instead of renewing.
    pub once: bool,
}

impl Price {
    fn says_the_same(&self, other: &Self) -> bool {
        let said = |price: &Self| (price.amount, price.setup_fee, price.term, price.once);
        said(self) == said(other)
    }
}

/// What a plan said from an instant on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanVersion {
    /// Identity.
    pub id: PlanVersionId,
    /// Of this plan.
    pub plan_id: PlanId,
    /// 1, 2, 3, …
    pub number: u32,
    /// What it says.
    pub content: Content,
    /// In the order of the storefront.
    pub prices: Vec<Price>,
    /// Since when new orders get it.
    pub published_at: DateTime<Utc>,
}

/// A plan with the version new orders get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Identity.
    pub id: PlanId,
    /// Whose.
    pub brand: BrandId,
    /// Part of its address.
    pub slug: Slug,
    /// Whether it can be bought.
    pub state: PlanState,
    /// Position in the storefront, smallest first.
    pub position: u32,
    /// Shown on the home page.
    pub featured: bool,
    /// Grows with every change.
    pub version: i64,
    /// How many can be sold, and when.
    pub sale: Sale,
    /// The version new orders get.
    pub current: PlanVersion,
}

impl Plan {
    /// Moves the plan on sale, into the archive or back.
    ///
    /// # Errors
    /// `PLAN_WITHOUT_PRICE` for a plan nobody could pay; `PLAN_PUBLISHED` for going back to a draft.
    pub fn set_state(&mut self, state: PlanState) -> Result<bool, Invalid> {
        match (self.state, state) {
            (from, to) if from == to => Ok(false),
            (_, PlanState::OnSale) if self.current.prices.is_empty() => Err(Invalid::new(
                "state",
                "PLAN_WITHOUT_PRICE",
                "add at least one price before putting the plan on sale",
            )),
            (PlanState::OnSale | PlanState::Archived, PlanState::Draft) => Err(Invalid::new(
                "state",
                "PLAN_PUBLISHED",
                "a plan that was on sale cannot become a draft; archive it instead",
            )),
            (PlanState::Draft | PlanState::OnSale | PlanState::Archived, to) => {
                self.state = to;
                self.version += 1;
                Ok(true)
            }
        }
    }

    /// The version that says `content` at `prices`: the current one when nothing differs, else the next. Prices that say the
    /// same as one of the current version still get an id of their own, because a price belongs to one version.
    #[must_use]
    pub fn next_version(&self, content: Content, prices: Vec<Price>, now: DateTime<Utc>) -> Option<PlanVersion> {
        let current = &self.current;
        let same_prices = prices.len() == current.prices.len()
            && prices.iter().zip(&current.prices).all(|(new, old)| new.says_the_same(old));
        if same_prices && content == current.content {
            return None;
        }
        Some(PlanVersion {
            id: PlanVersionId::new(now),
            plan_id: self.id,
            number: current.number + 1,
            content,
            prices,
            published_at: now,
        })
    }
}

/// A price as it arrives.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the same fields as Price, unchecked")]
pub struct PriceDraft {
    pub currency: String,
    pub amount_minor: i64,
    pub setup_fee: Option<(String, i64)>,
    pub term_count: u32,
    pub term_unit: Option<TermUnit>,
    pub once: bool,
}

/// Content as it arrives.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the same fields as Content, unchecked")]
pub struct ContentDraft {
    pub name: String,
    pub summary: String,
    pub features: Vec<String>,
    pub connections: u32,
    pub mapping: PanelMapping,
    pub trial_days: u32,
    /// 0 is the anniversary; none keeps what the version before says.
    pub anchor_day: Option<u32>,
    /// Of each kind of change: none keeps what the version before says.
    pub changes: ChangesDraft,
    /// None keeps what the version before says.
    pub pause_days_max: Option<u32>,
    /// None keeps what the version before says.
    pub late_renewal: Option<LateRenewal>,
    /// None keeps what the version before says.
    pub tax_category: Option<String>,
    /// Addresses of the plans an add-on can be added to; none keeps what the version before is.
    pub addon: Option<Vec<String>>,
}

/// What a plan says about changes, as it arrives.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "the same fields as ChangePolicy, each of which may be left out")]
pub struct ChangesDraft {
    pub upgrade: Option<ChangeTiming>,
    pub downgrade: Option<ChangeTiming>,
    pub term: Option<ChangeTiming>,
}

impl ContentDraft {
    /// Keeps from the version before what the draft does not say: who only knows of the older settings loses none.
    #[must_use]
    pub fn after(self, before: &Content) -> Self {
        let anchor_day = match before.anchor {
            AnchorRule::Anniversary => 0,
            AnchorRule::Day(day) => day.get(),
        };
        let changes = before.changes;
        Self {
            anchor_day: self.anchor_day.or(Some(anchor_day)),
            changes: ChangesDraft {
                upgrade: self.changes.upgrade.or(Some(changes.upgrade)),
                downgrade: self.changes.downgrade.or(Some(changes.downgrade)),
                term: self.changes.term.or(Some(changes.term)),
            },
            pause_days_max: self.pause_days_max.or(Some(before.pause_days_max)),
            late_renewal: self.late_renewal.or(Some(before.late_renewal)),
            tax_category: self.tax_category.or_else(|| Some(before.tax_category.clone())),
            addon: self
                .addon
                .or_else(|| before.addon.as_ref().map(|rule| rule.plans.iter().map(ToString::to_string).collect())),
            ..self
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// The first field that cannot be right.
    pub fn validate(self) -> Result<Content, Invalid> {
        if self.features.len() > 20 {
            return Err(Invalid::new("content.features", "LENGTH", "give at most 20 features"));
        }
        let addon = self.addon.map(AddOnRule::validate).transpose()?;
        // What an add-on brings comes on top of its plan's.
        let least = u32::from(addon.is_none());
        if !(least..=CONNECTIONS_MAX).contains(&self.connections) {
            let message = format!("use {least} to {CONNECTIONS_MAX} simultaneous streams, got {}", self.connections);
            return Err(Invalid::new("content.connections", "RANGE", message));
        }
        if self.trial_days > 60 {
            return Err(Invalid::new("content.trial_days", "RANGE", "use 0 (no trial) to 60 days"));
        }
        let anchor = match self.anchor_day.unwrap_or(0) {
            0 => AnchorRule::Anniversary,
            day => AnchorRule::Day(AnchorDay::try_new(day).map_err(|_| {
                let message =
                    format!("use 0 (the day it began) or 1 to 31 (31 is the last day of shorter months), got {day}");
                Invalid::new("content.anchor_day", "RANGE", message)
            })?),
        };
        let pause_days_max = self.pause_days_max.unwrap_or(0);
        if pause_days_max > PAUSE_DAYS_MAX {
            let message = format!("use 0 (no pause) to {PAUSE_DAYS_MAX} days, got {pause_days_max}");
            return Err(Invalid::new("content.pause_days_max", "RANGE", message));
        }
        let usual = ChangePolicy::default();
        let changes = ChangePolicy {
            upgrade: self.changes.upgrade.unwrap_or(usual.upgrade),
            downgrade: self.changes.downgrade.unwrap_or(usual.downgrade),
            term: self.changes.term.unwrap_or(usual.term),
        };
        let features = self
            .features
            .iter()
            .enumerate()
            .map(|(n, text)| line(&format!("content.features[{n}]"), text, 1, 80))
            .collect::<Result<_, _>>()?;
        Ok(Content {
            name: line("content.name", &self.name, 2, 60)?,
            summary: line("content.summary", &self.summary, 0, 240)?,
            features,
            connections: self.connections,
            mapping: mapping(self.mapping, addon.is_some())?,
            trial_days: self.trial_days,
            anchor,
            changes,
            pause_days_max,
            late_renewal: self.late_renewal.unwrap_or_default(),
            tax_category: category("content.tax_category", &self.tax_category.unwrap_or_default())?,
            // They have prices of their own, which are checked against the plan's.
            options: Vec::new(),
            addon,
        })
    }
}

fn mapping(given: PanelMapping, is_addon: bool) -> Result<PanelMapping, Invalid> {
    const OUTPUTS: [&str; 3] = ["hls", "ts", "rtmp"];
    if given.bouquet_ids.is_empty() && !is_addon {
        return Err(Invalid::new(
            "content.mapping.bouquet_ids",
            "MISSING",
            "name at least one bouquet of the panel; the panel's catalogue lists them",
        ));
    }
    if let Some(bad) = given.bouquet_ids.iter().find(|id| **id <= 0) {
        return Err(Invalid::new(
            "content.mapping.bouquet_ids",
            "RANGE",
            format!("bouquet numbers are positive, got {bad}"),
        ));
    }
    // Without an output a panel account plays nothing.
    if given.outputs.is_empty() && !is_addon {
        return Err(Invalid::new("content.mapping.outputs", "MISSING", "choose at least one of hls, ts, rtmp"));
    }
    if let Some(bad) = given.outputs.iter().find(|output| !OUTPUTS.contains(&output.as_str())) {
        return Err(Invalid::new(
            "content.mapping.outputs",
            "OUTPUT_UNKNOWN",
            format!("`{bad}` is none of hls, ts, rtmp"),
        ));
    }
    if given.package_id < 0 {
        return Err(Invalid::new(
            "content.mapping.package_id",
            "RANGE",
            "use a package number of the panel, or 0 for none",
        ));
    }
    Ok(PanelMapping {
        pool: line("content.mapping.pool", &given.pool, 0, 40)?,
        region: line("content.mapping.region", &given.region, 0, 40)?,
        ..given
    })
}

/// Checks the prices of a version against the brand's currencies.
///
/// # Errors
/// The first field that cannot be right, as `content.prices[n].…`.
pub fn validate_prices(
    drafts: Vec<PriceDraft>,
    allowed: &[Currency],
    now: DateTime<Utc>,
) -> Result<Vec<Price>, Invalid> {
    if drafts.len() > PRICES_MAX {
        return Err(Invalid::new("content.prices", "LENGTH", format!("give at most {PRICES_MAX} prices")));
    }
    let mut prices: Vec<Price> = Vec::with_capacity(drafts.len());
    for (n, draft) in drafts.into_iter().enumerate() {
        let price = draft.validate(allowed, now).map_err(|invalid| invalid.below(&format!("content.prices[{n}]")))?;
        let twin = |other: &Price| other.amount.currency == price.amount.currency && other.term == price.term;
        if prices.iter().any(twin) {
            return Err(Invalid::new(
                format!("content.prices[{n}]"),
                "PRICE_TWICE",
                "there is already a price of this currency and term",
            ));
        }
        prices.push(price);
    }
    Ok(prices)
}

impl PriceDraft {
    fn validate(self, allowed: &[Currency], now: DateTime<Utc>) -> Result<Price, Invalid> {
        let once = self.once;
        let (term, amount, setup_fee) = self.parts(allowed, 1)?;
        Ok(Price { id: PriceId::new(now), amount, setup_fee, term, once })
    }

    /// Term, amount of at least so many minor units, and set-up fee.
    pub(super) fn parts(self, allowed: &[Currency], least: i64) -> Result<(Term, Money, Money), Invalid> {
        let currency = *allowed.iter().find(|currency| currency.code() == self.currency).ok_or_else(|| {
            let known: Vec<&str> = allowed.iter().map(Currency::code).collect();
            Invalid::new(
                "amount.currency",
                "CURRENCY_NOT_OFFERED",
                format!("`{}` is not a currency of this brand; it has {}", self.currency, known.join(", ")),
            )
        })?;
        let most = UNITS_MAX * currency.minor_per_unit();
        if !(least..=most).contains(&self.amount_minor) {
            return Err(Invalid::new(
                "amount.minor",
                "AMOUNT_RANGE",
                format!("use {least} to {most} minor units of {currency}, got {}", self.amount_minor),
            ));
        }
        let setup_minor = match self.setup_fee {
            None => 0,
            Some((code, 0)) if code.is_empty() => 0,
            Some((code, minor)) if code == self.currency && (0..=most).contains(&minor) => minor,
            Some((code, _)) if code != self.currency => {
                return Err(Invalid::new(
                    "setup_fee.currency",
                    "CURRENCY_DIFFERS",
                    format!("the set-up fee must be in {currency} like its price, got `{code}`"),
                ));
            }
            Some((_, minor)) => {
                return Err(Invalid::new("setup_fee.minor", "AMOUNT_RANGE", format!("use 0 to {most}, got {minor}")));
            }
        };
        let term = term(self.term_count, self.term_unit).map_err(|invalid| invalid.below("term"))?;
        Ok((term, Money { minor: self.amount_minor, currency }, Money { minor: setup_minor, currency }))
    }
}

/// A term people can buy: at most three years.
pub(super) fn term(count: u32, unit: Option<TermUnit>) -> Result<Term, Invalid> {
    let unit = unit.ok_or_else(|| Invalid::new("unit", "MISSING", "choose day, week, month or year"))?;
    let count_max: u16 = match unit {
        TermUnit::Day => 366,
        TermUnit::Week => 52,
        TermUnit::Month => 36,
        TermUnit::Year => 3,
    };
    u16::try_from(count)
        .ok()
        .filter(|count| *count <= count_max)
        .and_then(|count| Term::try_new(count, unit).ok())
        .ok_or_else(|| Invalid::new("count", "RANGE", format!("use 1 to {count_max} {unit}s, got {count}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    fn price(amount_minor: i64) -> PriceDraft {
        PriceDraft {
            currency: "EUR".into(),
            amount_minor,
            setup_fee: None,
            term_count: 1,
            term_unit: Some(TermUnit::Month),
            once: false,
        }
    }

    fn content() -> Content {
        ContentDraft {
            name: "Family".into(),
            connections: 2,
            mapping: PanelMapping { bouquet_ids: vec![1], outputs: vec!["hls".into()], ..PanelMapping::default() },
            ..ContentDraft::default()
        }
        .validate()
        .unwrap()
    }

    fn plan(prices: Vec<Price>) -> Plan {
        let id = PlanId::new(now());
        Plan {
            id,
            brand: BrandId::new(now()),
            slug: "family".parse().unwrap(),
            state: PlanState::Draft,
            position: 0,
            featured: false,
            version: 1,
            sale: Sale::default(),
            current: PlanVersion {
                id: PlanVersionId::new(now()),
                plan_id: id,
                number: 1,
                content: content(),
                prices,
                published_at: now(),
            },
        }
    }

    #[test]
    fn case_031_an_absurd_price_is_refused_with_its_field() {
        for amount in [0, -1, 999_999_999, i64::MAX] {
            let invalid = validate_prices(vec![price(1000), price(amount)], &[Currency::EUR], now()).unwrap_err();
            assert_eq!((invalid.field.as_str(), invalid.reason), ("content.prices[1].amount.minor", "AMOUNT_RANGE"));
        }
    }

    #[test]
    fn a_price_in_a_foreign_currency_is_refused() {
        let invalid = validate_prices(vec![price(1000)], &[Currency::USD], now()).unwrap_err();
        assert_eq!(
            (invalid.field.as_str(), invalid.reason),
            ("content.prices[0].amount.currency", "CURRENCY_NOT_OFFERED")
        );
    }

    #[test]
    fn two_prices_of_one_currency_and_term_are_refused() {
        let invalid = validate_prices(vec![price(1000), price(1200)], &[Currency::EUR], now()).unwrap_err();
        assert_eq!(invalid.reason, "PRICE_TWICE");
    }

    #[test]
    fn a_setup_fee_is_in_the_currency_of_its_price() {
        let draft = PriceDraft { setup_fee: Some(("USD".into(), 100)), ..price(1000) };
        assert_eq!(validate_prices(vec![draft], &[Currency::EUR], now()).unwrap_err().reason, "CURRENCY_DIFFERS");
    }

    #[test]
    fn saying_the_same_again_makes_no_version() {
        let prices = validate_prices(vec![price(1000)], &[Currency::EUR], now()).unwrap();
        let plan = plan(prices);
        let again = validate_prices(vec![price(1000)], &[Currency::EUR], now()).unwrap();
        assert_eq!(plan.next_version(content(), again, now()), None);
        let dearer = validate_prices(vec![price(1100)], &[Currency::EUR], now()).unwrap();
        assert_eq!(plan.next_version(content(), dearer, now()).map(|version| version.number), Some(2));
    }

    #[test]
    fn a_plan_without_price_is_not_for_sale_and_never_a_draft_again() {
        let mut empty = plan(Vec::new());
        assert_eq!(empty.set_state(PlanState::OnSale).unwrap_err().reason, "PLAN_WITHOUT_PRICE");
        let mut sold = plan(validate_prices(vec![price(1000)], &[Currency::EUR], now()).unwrap());
        assert_eq!(sold.set_state(PlanState::OnSale), Ok(true));
        assert_eq!(sold.set_state(PlanState::OnSale), Ok(false));
        assert_eq!(sold.set_state(PlanState::Draft).unwrap_err().reason, "PLAN_PUBLISHED");
        assert_eq!(sold.set_state(PlanState::Archived), Ok(true));
    }

    #[test]
    fn the_anchor_day_is_one_a_month_has_and_a_new_one_is_a_new_version() {
        let prices = || validate_prices(vec![price(1000)], &[Currency::EUR], now()).unwrap();
        let plan = plan(prices());
        let draft = |anchor_day| ContentDraft {
            name: "Family".into(),
            connections: 2,
            mapping: PanelMapping { bouquet_ids: vec![1], outputs: vec!["hls".into()], ..PanelMapping::default() },
            anchor_day,
            ..ContentDraft::default()
        };
        let invalid = draft(Some(32)).validate().unwrap_err();
        assert_eq!((invalid.field.as_str(), invalid.reason), ("content.anchor_day", "RANGE"));
        let by_calendar = draft(Some(1)).validate().unwrap();
        assert_eq!(by_calendar.anchor, AnchorRule::Day(AnchorDay::try_new(1).unwrap()));
        let next = plan.next_version(by_calendar.clone(), prices(), now()).unwrap();
        assert_eq!((next.number, &next.content), (2, &by_calendar));
        // Who does not know of the setting does not change it; 0 takes it back.
        assert_eq!(draft(None).after(&by_calendar).validate().unwrap(), by_calendar);
        assert_eq!(draft(Some(0)).after(&by_calendar).validate().unwrap().anchor, AnchorRule::Anniversary);
    }

    #[test]
    fn a_change_policy_is_kept_part_by_part() {
        let draft = |changes, pause_days_max| ContentDraft {
            name: "Family".into(),
            connections: 2,
            mapping: PanelMapping { bouquet_ids: vec![1], outputs: vec!["hls".into()], ..PanelMapping::default() },
            changes,
            pause_days_max,
            ..ContentDraft::default()
        };
        let full = ChangesDraft { upgrade: Some(ChangeTiming::FullPriceReset), ..ChangesDraft::default() };
        let before = draft(full, Some(30)).validate().unwrap();
        assert_eq!(
            (before.changes.upgrade, before.changes.downgrade),
            (ChangeTiming::FullPriceReset, ChangeTiming::AtRenewal)
        );
        let term = ChangesDraft { term: Some(ChangeTiming::AtRenewal), ..ChangesDraft::default() };
        let after = draft(term, None).after(&before).validate().unwrap();
        assert_eq!(
            (after.changes.upgrade, after.changes.term),
            (ChangeTiming::FullPriceReset, ChangeTiming::AtRenewal)
        );
        assert_eq!(after.pause_days_max, 30);
        assert_eq!(draft(full, Some(367)).validate().unwrap_err().field, "content.pause_days_max");
    }

    #[test]
    fn a_mapping_without_output_would_play_nothing() {
        let draft = ContentDraft {
            name: "Family".into(),
            connections: 1,
            mapping: PanelMapping { bouquet_ids: vec![1], ..PanelMapping::default() },
            ..ContentDraft::default()
        };
        assert_eq!(draft.validate().unwrap_err().field, "content.mapping.outputs");
    }
}

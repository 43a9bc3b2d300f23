//! Add-ons in forms: one box for each, with what it costs for a term of the subscription.

use ottery_kernel::{Money as Exact, TermUnit as Unit};
use ottery_proto::billing::v1::BoughtAddOn;
use ottery_proto::catalog::v1::{Plan, Price, Term, TermUnit};
use ottery_proto::common::v1::Money;

use super::block::{Field, Sent};
use super::text::{self, Manner};

/// Name of the box of an add-on.
fn field_name(plan_id: &str) -> String {
    format!("addon.{plan_id}")
}

/// An add-on that can be bought beside a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// `pln_…`
    pub plan_id: String,
    /// As customers read it.
    pub name: String,
    /// A sentence.
    pub summary: String,
    /// For one term of the subscription.
    pub price: Money,
    /// Once, when it is added.
    pub setup_fee: Option<Money>,
}

/// Months, or days.
fn length(term: &Term) -> Option<(Unit, u32)> {
    let count = term.count;
    match term.unit() {
        TermUnit::Day => Some((Unit::Day, count)),
        TermUnit::Week => Some((Unit::Day, count.checked_mul(7)?)),
        TermUnit::Month => Some((Unit::Month, count)),
        TermUnit::Year => Some((Unit::Month, count.checked_mul(12)?)),
        TermUnit::Unspecified => None,
    }
}

/// How often a cycle fits into a term; none when there is a rest. Billing counts the same way and has the last word.
fn times(cycle: &Term, term: &Term) -> Option<u32> {
    let ((unit, short), (of, long)) = (length(cycle)?, length(term)?);
    (unit == of && short > 0 && long.is_multiple_of(short)).then(|| long / short)
}

/// What of the brand's add-ons can be bought with a plan of that address beside that term and currency.
#[must_use]
pub fn fitting(addons: &[Plan], slug: &str, term: Option<&Term>, currency: &str) -> Vec<Shown> {
    let Some(term) = term else { return Vec::new() };
    let of = |plan: &Plan| {
        let version = plan.current.as_ref()?;
        let rule = version.addon.as_ref()?;
        if !rule.plans.is_empty() && !rule.plans.iter().any(|plan| plan == slug) {
            return None;
        }
        let is_in = |price: &&Price| price.amount.as_ref().is_some_and(|amount| amount.currency == currency);
        let fits =
            version.prices.iter().filter(is_in).filter_map(|price| Some((price, times(price.term.as_ref()?, term)?)));
        let (price, times) = fits.min_by_key(|(_, times)| *times)?;
        let amount = price.amount.clone()?;
        let whole = Exact::new(amount.minor, currency.parse().ok()?).checked_mul(times.into()).ok()?;
        Some(Shown {
            plan_id: plan.id.clone(),
            name: version.name.clone(),
            summary: version.summary.clone(),
            price: Money { minor: whole.minor, ..amount },
            setup_fee: price.setup_fee.clone().filter(|fee| fee.minor > 0),
        })
    };
    addons.iter().filter_map(of).collect()
}

impl Shown {
    /// `€4.00 per month, €2.00 once`
    #[must_use]
    pub fn costs(&self, term: Option<&Term>, manner: &Manner) -> String {
        let once = self.setup_fee.as_ref().map(|fee| format!(", {} once", manner.money(Some(fee))));
        format!("{} per {}{}", manner.money(Some(&self.price)), text::per(term), once.unwrap_or_default())
    }
}

/// One box for each, ticked when it is among `chosen`.
#[must_use]
pub fn fields(shown: &[Shown], chosen: &[String], term: Option<&Term>, manner: &Manner) -> Vec<Field> {
    let field = |one: &Shown| {
        let label = format!("{}: {}", one.name, one.costs(term, manner));
        Field::check(field_name(&one.plan_id), label, chosen.contains(&one.plan_id)).help(&one.summary)
    };
    shown.iter().map(field).collect()
}

/// The add-ons a form or address ticked, of those that can be bought.
#[must_use]
pub fn chosen(sent: &Sent, shown: &[Shown]) -> Vec<String> {
    let is_on = |one: &&Shown| sent.is_on(&field_name(&one.plan_id));
    shown.iter().filter(is_on).map(|one| one.plan_id.clone()).collect()
}

/// Choices as pairs for hidden fields and addresses.
#[must_use]
pub fn pairs(chosen: &[String]) -> Vec<(String, String)> {
    chosen.iter().map(|id| (field_name(id), "on".to_owned())).collect()
}

/// `Sport, Cinema`
#[must_use]
pub fn listed(bought: &[BoughtAddOn]) -> String {
    let names: Vec<&str> = bought.iter().map(|addon| addon.name.as_str()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use ottery_proto::catalog::v1::{AddOn, PlanVersion};

    use super::*;

    fn term(count: u32, unit: TermUnit) -> Term {
        Term { count, unit: unit.into() }
    }

    fn sport() -> Plan {
        let price = |term, minor| Price {
            term: Some(term),
            amount: Some(Money { minor, currency: "EUR".into() }),
            ..Price::default()
        };
        let version = PlanVersion {
            name: "Sport".into(),
            prices: vec![price(term(1, TermUnit::Month), 400), price(term(1, TermUnit::Year), 4000)],
            addon: Some(AddOn { plans: vec!["family".into()] }),
            ..PlanVersion::default()
        };
        Plan { id: "pln_1".into(), current: Some(version), ..Plan::default() }
    }

    #[test]
    fn an_add_on_is_offered_with_the_plans_and_terms_it_fits() {
        let price = |slug: &str, term: Term, currency: &str| {
            fitting(&[sport()], slug, Some(&term), currency).first().map(|one| one.price.minor)
        };
        assert_eq!(price("family", term(1, TermUnit::Month), "EUR"), Some(400));
        assert_eq!(price("family", term(6, TermUnit::Month), "EUR"), Some(2400));
        assert_eq!(price("family", term(12, TermUnit::Month), "EUR"), Some(4000));
        assert_eq!(price("family", term(1, TermUnit::Week), "EUR"), None);
        assert_eq!(price("family", term(1, TermUnit::Month), "USD"), None);
        assert_eq!(price("solo", term(1, TermUnit::Month), "EUR"), None);
    }

    #[test]
    fn what_is_ticked_is_read_back_as_it_was_written() {
        let manner = Manner { locale: "en".into(), zone: chrono_tz::Tz::UTC, now: chrono::DateTime::UNIX_EPOCH };
        let month = term(1, TermUnit::Month);
        let shown = fitting(&[sport()], "family", Some(&month), "EUR");
        let field = fields(&shown, &["pln_1".to_owned()], Some(&month), &manner).remove(0);
        assert_eq!((field.label.as_str(), field.value.as_str()), ("Sport: €4.00 per month", "on"));
        let sent = Sent::from(pairs(&["pln_1".to_owned(), "pln_other".to_owned()]));
        assert_eq!(chosen(&sent, &shown), ["pln_1"]);
    }
}

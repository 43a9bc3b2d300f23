//! The form of a new coupon.

use chrono::{Days, NaiveDate, NaiveTime};
use ottery_kernel::{Currency, Money as Exact};
use ottery_proto::catalog::v1::coupon::{Duration, Kind, Occasion};
use ottery_proto::catalog::v1::{Coupon, Plan, PutCouponRequest, Term};
use ottery_proto::common::v1::Money;
use prost_types::Timestamp;

use super::brand_form::basis_points;
use crate::pages::block::{Field, Sent};
use crate::pages::text;
use crate::problem::{Refusal, Reply};

const KINDS: [(&str, &str, Kind); 4] = [
    ("percent", "a share of the price", Kind::Percent),
    ("fixed", "an amount off the price", Kind::Fixed),
    ("price", "another price instead", Kind::Price),
    ("free_setup", "the set-up fee", Kind::FreeSetup),
];
const DURATIONS: [(&str, &str, Duration); 3] = [
    ("once", "the first payment", Duration::Once),
    ("periods", "several payments", Duration::Periods),
    ("forever", "every payment", Duration::Forever),
];
const OCCASIONS: [(&str, &str, Occasion); 3] = [
    ("orders", "new subscriptions", Occasion::Orders),
    ("upgrades", "upgrades", Occasion::Upgrades),
    ("both", "both", Occasion::Both),
];

fn head(label: &str) -> Field {
    Field::new("heading", "", label)
}

fn options<T>(words: &[(&str, &str, T)]) -> Vec<(String, String)> {
    words.iter().map(|(word, label, _)| ((*word).to_owned(), (*label).to_owned())).collect()
}

fn chosen<T: Copy + Default>(words: &[(&str, &str, T)], word: &str) -> T {
    words.iter().find(|(known, _, _)| *known == word).map(|(_, _, value)| *value).unwrap_or_default()
}

/// The terms these plans are sold for, shortest first.
fn terms(plans: &[Plan]) -> Vec<Term> {
    let prices = plans.iter().filter_map(|plan| plan.current.as_ref()).flat_map(|version| &version.prices);
    let mut terms: Vec<Term> = prices.filter_map(|price| price.term).collect();
    terms.sort_by_key(text::days);
    terms.dedup();
    terms
}

/// Its fields, for what the brand sells.
#[must_use]
pub fn fields(currencies: &[String], plans: &[Plan]) -> Vec<Field> {
    let number = |name: &str, label: &str| Field::new("number", name, label).half();
    let mut fields = vec![
        head("What customers type"),
        Field { autocomplete: "off", ..Field::text("code", "Code") }
            .required()
            .half()
            .example("SUMMER-20")
            .help("3 to 32 letters, digits and hyphens; capitals make no difference."),
        Field::text("name", "Name").half().help("Only staff see it."),
        head("What it takes off"),
        Field::select("kind", "It takes off", options(&KINDS)).half(),
        Field { inputmode: "decimal", ..Field::text("percent_bp", "Percent") }.half().example("20"),
    ];
    for currency in currencies {
        let amount = Field {
            inputmode: "decimal",
            ..Field::text(format!("amount.{currency}"), format!("Amount or price in {currency}"))
        };
        fields.push(amount.half().example("5.00"));
    }
    fields.extend([
        Field::select("duration", "With", options(&DURATIONS)).half(),
        number("periods", "How many payments").help("When it lasts several."),
        head("Who may use it, and when"),
        Field::select("occasion", "For", options(&OCCASIONS)).half(),
        number("uses_max", "Uses in all").help("Empty: no limit."),
        number("uses_per_customer_max", "Uses of one customer").help("Empty: no limit."),
        Field::new("date", "starts_at", "First day").half().help("Empty: at once."),
        Field::new("date", "ends_at", "Last day").half().help("Empty: until it is archived."),
        Field::check("new_customers_only", "Only for customers who have ordered nothing before", false),
    ]);
    if !plans.is_empty() {
        fields.push(head("Only for these plans (none ticked: any)"));
        fields.extend(plans.iter().map(|plan| {
            let name = plan.current.as_ref().map_or(&plan.slug, |version| &version.name);
            Field::check(format!("plan.{}", plan.id), name, false)
        }));
    }
    let terms = terms(plans);
    if !terms.is_empty() {
        fields.push(head("Only for these terms (none ticked: any)"));
        let check =
            |term: &Term| Field::check(format!("term.{}", text::term_key(term)), text::length(Some(term)), false);
        fields.extend(terms.iter().map(check));
    }
    fields
}

fn amount(sent: &Sent, code: &str) -> Reply<Option<Money>> {
    let name = format!("amount.{code}");
    let written = sent.get(&name);
    if written.is_empty() {
        return Ok(None);
    }
    let currency: Currency = code.parse().map_err(|error: ottery_kernel::CurrencyError| {
        Refusal::invalid(&name, "currency_invalid", error.to_string())
    })?;
    let amount = Exact::parse(&written.replace(',', "."), currency)
        .map_err(|error| Refusal::invalid(&name, "amount_invalid", error.to_string()))?;
    Ok(Some(Money { minor: amount.minor, currency: code.to_owned() }))
}

/// Where a day of the brand begins, `later` days after the one that was typed.
///
/// # Errors
/// 400 when it is none.
pub fn day(sent: &Sent, name: &str, later: u64, zone: chrono_tz::Tz) -> Reply<Option<Timestamp>> {
    let written = sent.get(name);
    if written.is_empty() {
        return Ok(None);
    }
    let begins = |date: NaiveDate| {
        let noonless = date.checked_add_days(Days::new(later))?.and_time(NaiveTime::MIN);
        // Where midnight does not exist, the day begins an hour later.
        let at = noonless
            .and_local_timezone(zone)
            .earliest()
            .or_else(|| (noonless + chrono::TimeDelta::hours(1)).and_local_timezone(zone).earliest())?;
        Some(Timestamp { seconds: at.timestamp(), nanos: 0 })
    };
    written.parse::<NaiveDate>().ok().and_then(begins).map(Some).ok_or_else(|| {
        Refusal::invalid(name, "date_invalid", format!("`{written}` is no day; write for example 2027-01-31"))
    })
}

/// The share, in basis points. The form speaks of percent, so what is out of range is said in percent.
fn share(sent: &Sent) -> Reply<u32> {
    let points = basis_points(sent, "percent_bp")?;
    if chosen(&KINDS, sent.get("kind")) == Kind::Percent && !(1..=10_000).contains(&points) {
        let typed = sent.get("percent_bp");
        let got = if typed.is_empty() { "nothing" } else { typed };
        let message = format!("use more than 0 and at most 100 percent, got {got}");
        return Err(Refusal::invalid("percent_bp", "percent_invalid", message));
    }
    Ok(points)
}

/// The coupon as the form says.
///
/// # Errors
/// Amounts, numbers and days that are none.
pub fn read(sent: &Sent, currencies: &[String], plans: &[Plan], zone: chrono_tz::Tz) -> Reply<PutCouponRequest> {
    let mut amounts = Vec::new();
    for code in currencies {
        amounts.extend(amount(sent, code)?);
    }
    let is_on = |name: String| sent.is_on(&name);
    let coupon = Coupon {
        code: sent.text("code"),
        name: sent.text("name"),
        kind: chosen(&KINDS, sent.get("kind")).into(),
        percent_bp: share(sent)?,
        amounts,
        duration: chosen(&DURATIONS, sent.get("duration")).into(),
        periods: sent.number("periods")?,
        plan_ids: plans.iter().filter(|plan| is_on(format!("plan.{}", plan.id))).map(|plan| plan.id.clone()).collect(),
        terms: terms(plans).into_iter().filter(|term| is_on(format!("term.{}", text::term_key(term)))).collect(),
        new_customers_only: sent.is_on("new_customers_only"),
        occasion: chosen(&OCCASIONS, sent.get("occasion")).into(),
        starts_at: day(sent, "starts_at", 0, zone)?,
        // The last day counts: it is refused from the following one on.
        ends_at: day(sent, "ends_at", 1, zone)?,
        uses_max: sent.number("uses_max")?,
        uses_per_customer_max: sent.number("uses_per_customer_max")?,
        ..Coupon::default()
    };
    Ok(PutCouponRequest { coupon: Some(coupon), expected_version: 0, dry_run: false })
}

#[cfg(test)]
mod tests {
    use ottery_proto::catalog::v1::{PlanVersion, Price, TermUnit};

    use super::*;

    fn plans() -> Vec<Plan> {
        let price = |count| Price { term: Some(Term { count, unit: TermUnit::Month.into() }), ..Price::default() };
        let version = PlanVersion { name: "Basic".into(), prices: vec![price(12), price(1)], ..PlanVersion::default() };
        vec![Plan { id: "pln_1".into(), current: Some(version), ..Plan::default() }]
    }

    fn sent(pairs: &[(&str, &str)]) -> Sent {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Sent::from(pairs)
    }

    fn read_from(pairs: &[(&str, &str)]) -> Reply<Coupon> {
        let currencies = ["EUR".to_owned(), "JPY".to_owned()];
        read(&sent(pairs), &currencies, &plans(), chrono_tz::Tz::Europe__Berlin)
            .map(|request| request.coupon.unwrap_or_default())
    }

    #[test]
    fn what_is_typed_becomes_a_coupon() {
        let coupon = read_from(&[
            ("code", "SUMMER"),
            ("kind", "fixed"),
            ("amount.EUR", "5,00"),
            ("amount.JPY", "500"),
            ("duration", "periods"),
            ("periods", "3"),
            ("occasion", "both"),
            ("starts_at", "2027-01-31"),
            ("ends_at", "2027-01-31"),
            ("plan.pln_1", "on"),
            ("term.12m", "on"),
        ])
        .unwrap();
        let amounts: Vec<_> = coupon.amounts.iter().map(|amount| (amount.currency.as_str(), amount.minor)).collect();
        assert_eq!(amounts, [("EUR", 500), ("JPY", 500)]);
        assert_eq!(
            (coupon.kind(), coupon.duration(), coupon.occasion()),
            (Kind::Fixed, Duration::Periods, Occasion::Both)
        );
        // A day of the brand from its first second to its last.
        let window = coupon.ends_at.unwrap().seconds - coupon.starts_at.unwrap().seconds;
        assert_eq!((coupon.starts_at.unwrap().seconds, window), (1_801_350_000, 86_400));
        assert_eq!((coupon.plan_ids, coupon.terms), (vec!["pln_1".to_owned()], vec![terms(&plans())[1]]));
    }

    #[test]
    fn nothing_ticked_and_nothing_typed_means_no_limit() {
        let coupon = read_from(&[("code", "X-20"), ("kind", "percent"), ("percent_bp", "12.5")]).unwrap();
        assert_eq!((coupon.percent_bp, coupon.uses_max, coupon.plan_ids.len(), coupon.terms.len()), (1250, 0, 0, 0));
        assert_eq!((coupon.starts_at, coupon.ends_at), (None, None));
    }

    #[test]
    fn what_is_no_amount_or_day_names_its_field() {
        for (name, value, code) in [
            ("amount.JPY", "1.5", "amount_invalid"),
            ("ends_at", "31.1.2027", "date_invalid"),
            ("periods", "x", "number_invalid"),
            ("percent_bp", "100.01", "percent_invalid"),
            ("percent_bp", "0", "percent_invalid"),
        ] {
            let kind = if name == "percent_bp" { "percent" } else { "fixed" };
            let refusal = read_from(&[("kind", kind), (name, value)]).unwrap_err();
            assert_eq!((refusal.field.as_deref(), refusal.code.as_str()), (Some(name), code));
        }
    }
}

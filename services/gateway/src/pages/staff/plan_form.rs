//! The form of a plan: what customers see, what they pay, what it means on a panel.

use chrono::TimeDelta;
use chrono_tz::Tz;
use ottery_kernel::{Currency, Money as Exact};
use ottery_proto::catalog::v1::{
    AddOn, ChangePolicy, ChangeTiming, LateRenewal, PanelMapping, Plan, PlanVersion, Price, PutPlanRequest, SaleWindow,
    Stock, Term, TermUnit,
};
use ottery_proto::common::v1::Money;
use prost_types::Timestamp;

use super::coupon_form::day;
use crate::pages::block::{Field, Sent};
use crate::pages::text;
use crate::problem::{Refusal, Reply};

/// Empty rows for new prices.
const NEW_PRICES: usize = 3;
/// Prices a plan may have in this form.
const PRICES_MAX: usize = 40;

/// When a change happens, as the form writes it.
const TIMINGS: [(&str, &str, ChangeTiming); 3] = [
    ("prorate_now", "at once, to the second", ChangeTiming::ProrateNow),
    ("full_price_reset", "at once, a new period at the full price", ChangeTiming::FullPriceReset),
    ("at_renewal", "with the next renewal", ChangeTiming::AtRenewal),
];

fn timing(sent: &Sent, name: &str) -> i32 {
    TIMINGS.iter().find(|(value, ..)| *value == sent.get(name)).map_or(0, |(_, _, timing)| (*timing).into())
}

pub(super) fn head(label: &str) -> Field {
    Field::new("heading", "", label)
}

pub(super) fn decimal(amount: Option<&Money>) -> String {
    amount
        .and_then(|money| Some(Exact::new(money.minor, money.currency.parse::<Currency>().ok()?).to_decimal()))
        .unwrap_or_default()
}

/// Its fields.
#[must_use]
pub fn fields(plan: &Plan, currency: &str, zone: Tz) -> Vec<Field> {
    let version = plan.current.clone().unwrap_or_default();
    let mapping = version.mapping.clone().unwrap_or_default();
    let numbers: Vec<String> = mapping.bouquet_ids.iter().map(ToString::to_string).collect();
    let mut fields = vec![
        head("What customers see"),
        Field::text("name", "Name").value(&version.name).required().half(),
        Field::text("slug", "Address")
            .value(&plan.slug)
            .required()
            .half()
            .help("The end of its address in the shop, for example “family”."),
        Field::text("summary", "Summary").value(&version.summary),
        Field::new("textarea", "features", "What is in it").value(version.features.join("\n")).help("One per line."),
        Field::new("number", "connections", "Streams at a time").value(streams(&version).to_string()).required().half(),
        Field::new("number", "trial_days", "Free days")
            .value(version.trial_days.to_string())
            .half()
            .help("0: no trial."),
        Field::new("number", "position", "Position in the shop").value(plan.position.to_string()).half(),
        Field::check("featured", "Recommended", plan.featured),
        Field::check("addon", "An add-on, bought with a plan", version.addon.is_some())
            .help("Its streams and bouquets come on top of the plan's. A plan stays what it was made as."),
        Field::text("addon_plans", "It can be added to")
            .value(version.addon.as_ref().map(|addon| addon.plans.join(", ")).unwrap_or_default())
            .example("family, solo")
            .help("Addresses of plans, for an add-on. Empty: any plan."),
        head("Prices"),
    ];
    let units = [("month", "months"), ("year", "years"), ("week", "weeks"), ("day", "days")];
    let units = units.map(|(value, label)| (value.to_owned(), label.to_owned())).to_vec();
    let known = version.prices.iter().map(Some).chain(std::iter::repeat_n(None, NEW_PRICES));
    for (index, price) in known.enumerate() {
        let blank = Price { term: Some(Term { count: 1, unit: TermUnit::Month.into() }), ..Price::default() };
        let is_new = price.is_none();
        let price = price.unwrap_or(&blank);
        let term = price.term.unwrap_or_default();
        let code = price.amount.as_ref().map_or(currency, |amount| amount.currency.as_str());
        let label = if is_new { "New price".to_owned() } else { format!("Price {}", index + 1) };
        let part = |name: &str| format!("price{index}.{name}");
        let amount = Field { inputmode: "decimal", ..Field::text(part("amount"), label) }.example("10.00");
        fields.push(Field::hidden(part("id"), &price.id));
        fields.push(amount.value(decimal(price.amount.as_ref())).quarter());
        fields.push(Field::text(part("currency"), "Currency").value(code).quarter());
        fields.push(Field::new("number", part("count"), "Every").value(term.count.max(1).to_string()).quarter());
        fields.push(Field::select(part("unit"), "Unit", units.clone()).value(unit(&term)).quarter());
        fields.push(Field::check(part("once"), "A pass: it ends with its term instead of renewing", price.once));
    }
    let sale = plan.sale.unwrap_or_default();
    let stock = plan.stock.as_ref().and_then(|stock| stock.count).map(|count| count.to_string());
    fields.extend([
        head("How many and when"),
        Field::new("number", "stock", "How many can be ordered")
            .value(stock.unwrap_or_default())
            .half()
            .help("Empty: no limit. An order that is given up gives its place back."),
        Field::new("date", "sale_from", "First day of sale").value(shown_day(sale.from, 0, zone)).half(),
        Field::new("date", "sale_until", "Last day of sale")
            .value(shown_day(sale.until, 1, zone))
            .half()
            .help("Empty: until it is archived. What is sold goes on renewing."),
    ]);
    fields.extend(super::option_form::fields(&version));
    let changes = version.changes.unwrap_or_default();
    let timing = |name: &str, label: &str, timing: ChangeTiming, usual: &str| {
        let options = TIMINGS.map(|(value, label, _)| (value.to_owned(), label.to_owned())).to_vec();
        let known = TIMINGS.iter().find(|(_, _, known)| *known == timing).map_or(usual, |(value, ..)| value);
        Field::select(name, label, options).value(known).half()
    };
    fields.extend([
        head("Renewing and changing"),
        Field::new("number", "anchor_day", "Renews on day of the month")
            .value(version.anchor_day.unwrap_or(0).to_string())
            .half()
            .help("0: on the day it began. 31 is the last day. The first period then costs its part of a term."),
        Field::new("number", "pause_days_max", "Customers may pause, days")
            .value(version.pause_days_max.unwrap_or(0).to_string())
            .half()
            .help("0: no pause."),
        Field::select(
            "late_renewal",
            "A renewal paid after access was stopped",
            vec![
                ("from_old_end".to_owned(), "keeps its dates".to_owned()),
                ("from_payment".to_owned(), "begins with the payment".to_owned()),
            ],
        )
        .value(if version.late_renewal() == LateRenewal::FromPayment { "from_payment" } else { "from_old_end" })
        .half(),
        Field::text("tax_category", "Tax category")
            .value(version.tax_category.clone().unwrap_or_default())
            .half()
            .help("Only where tax rules tell kinds of products apart."),
        timing("change_upgrade", "Change to a higher price", changes.upgrade(), "prorate_now"),
        timing("change_downgrade", "Change to a lower price", changes.downgrade(), "at_renewal"),
        timing("change_term", "Change of the term", changes.term(), "prorate_now"),
    ]);
    fields.extend([
        head("On the panel"),
        Field::text("pool", "Pool").value(mapping.pool).half().help("Empty: any panel of the brand."),
        Field::text("region", "Region").value(mapping.region).half(),
        Field::new("number", "package_id", "Package").value(mapping.package_id.to_string()).half(),
        Field::text("bouquet_ids", "Bouquets")
            .value(numbers.join(", "))
            .half()
            .help("Numbers of the panel's bouquets."),
        Field::text("outputs", "Outputs").value(mapping.outputs.join(", ")).half().example("hls, ts"),
    ]);
    fields
}

/// An add-on may bring none.
fn streams(version: &PlanVersion) -> u32 {
    if version.addon.is_some() { version.connections } else { version.connections.max(1) }
}

fn unit(term: &Term) -> &'static str {
    match term.unit() {
        TermUnit::Day => "day",
        TermUnit::Week => "week",
        TermUnit::Year => "year",
        TermUnit::Month | TermUnit::Unspecified => "month",
    }
}

fn price(sent: &Sent, index: usize) -> Reply<Option<Price>> {
    let name = |part: &str| format!("price{index}.{part}");
    let text = sent.get(&name("amount"));
    if text.is_empty() {
        return Ok(None);
    }
    let code = sent.get(&name("currency")).to_ascii_uppercase();
    let currency: Currency = code.parse().map_err(|error: ottery_kernel::CurrencyError| {
        Refusal::invalid(name("currency"), "currency_invalid", error.to_string())
    })?;
    let amount = Exact::parse(&text.replace(',', "."), currency)
        .map_err(|error| Refusal::invalid(name("amount"), "amount_invalid", error.to_string()))?;
    let unit = match sent.get(&name("unit")) {
        "day" => TermUnit::Day,
        "week" => TermUnit::Week,
        "year" => TermUnit::Year,
        _ => TermUnit::Month,
    };
    Ok(Some(Price {
        id: sent.text(&name("id")),
        term: Some(Term { count: sent.number(&name("count"))?, unit: unit.into() }),
        amount: Some(Money { minor: amount.minor, currency: code }),
        once: sent.is_on(&name("once")),
        ..Price::default()
    }))
}

/// The day of the brand an instant lies in; one that ends something lies in the day it ends.
fn shown_day(at: Option<Timestamp>, before: i64, zone: Tz) -> String {
    let day = text::instant(at.as_ref()).map(|at| (at - TimeDelta::seconds(before)).with_timezone(&zone).date_naive());
    day.map(|day| day.to_string()).unwrap_or_default()
}

/// The window as the form says. A day nobody touched keeps its instant, which may be another hour than midnight.
fn window(sent: &Sent, before: SaleWindow, zone: Tz) -> Reply<SaleWindow> {
    let of = |name: &str, known: Option<Timestamp>, later: u8| -> Reply<Option<Timestamp>> {
        if sent.get(name) == shown_day(known, later.into(), zone) {
            return Ok(known);
        }
        day(sent, name, later.into(), zone)
    };
    Ok(SaleWindow { from: of("sale_from", before.from, 0)?, until: of("sale_until", before.until, 1)? })
}

fn stock(sent: &Sent) -> Reply<Stock> {
    let is_limited = !sent.get("stock").is_empty();
    Ok(Stock { count: is_limited.then(|| sent.number("stock")).transpose()? })
}

/// The plan as the form says. A price that changed is a new price: the old one stays with who bought it.
///
/// # Errors
/// Amounts and numbers that are none.
pub fn read(sent: &Sent, before: &Plan, zone: Tz) -> Reply<PutPlanRequest> {
    let old = before.current.clone().unwrap_or_default();
    let mut prices = Vec::new();
    for index in 0..PRICES_MAX {
        let Some(mut wanted) = price(sent, index)? else { continue };
        if let Some(known) = old.prices.iter().find(|known| known.id == wanted.id) {
            wanted.setup_fee.clone_from(&known.setup_fee);
            wanted.saving.clone_from(&known.saving);
            if *known != wanted {
                wanted.id.clear();
            }
        }
        prices.push(wanted);
    }
    let mut bouquet_ids = Vec::new();
    for text in sent.list("bouquet_ids") {
        bouquet_ids.push(text.parse().map_err(|_| {
            Refusal::invalid("bouquet_ids", "number_invalid", format!("`{text}` is no bouquet's number"))
        })?);
    }
    let mapping = PanelMapping {
        pool: sent.text("pool"),
        bouquet_ids,
        package_id: sent.number("package_id")?,
        outputs: sent.list("outputs"),
        region: sent.text("region"),
    };
    Ok(PutPlanRequest {
        plan_id: before.id.clone(),
        slug: sent.text("slug"),
        position: sent.number("position")?,
        featured: sent.is_on("featured"),
        content: Some(PlanVersion {
            name: sent.text("name"),
            summary: sent.text("summary"),
            features: sent.lines("features"),
            connections: sent.number("connections")?,
            prices,
            mapping: Some(mapping),
            trial_days: sent.number("trial_days")?,
            anchor_day: Some(sent.number("anchor_day")?),
            pause_days_max: Some(sent.number("pause_days_max")?),
            tax_category: Some(sent.text("tax_category")),
            late_renewal: match sent.get("late_renewal") {
                "from_payment" => LateRenewal::FromPayment,
                _ => LateRenewal::FromOldEnd,
            }
            .into(),
            changes: Some(ChangePolicy {
                upgrade: timing(sent, "change_upgrade"),
                downgrade: timing(sent, "change_downgrade"),
                term: timing(sent, "change_term"),
            }),
            options: Some(super::option_form::read(sent)?),
            addon: sent.is_on("addon").then(|| AddOn { plans: sent.list("addon_plans") }),
            ..PlanVersion::default()
        }),
        expected_version: sent.number("expected_version")?,
        stock: Some(stock(sent)?),
        sale: Some(window(sent, before.sale.unwrap_or_default(), zone)?),
        ..PutPlanRequest::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent_of(plan: &Plan) -> Vec<(String, String)> {
        fields(plan, "EUR", Tz::UTC)
            .into_iter()
            .filter(|field| field.kind != "heading")
            .map(|field| (field.name, field.value))
            .collect()
    }

    fn plan() -> Plan {
        let price = Price {
            id: "pri_1".into(),
            term: Some(Term { count: 1, unit: TermUnit::Month.into() }),
            amount: Some(Money { minor: 1000, currency: "EUR".into() }),
            ..Price::default()
        };
        let version =
            PlanVersion { name: "Basic".into(), connections: 1, prices: vec![price], ..PlanVersion::default() };
        Plan { id: "pln_1".into(), slug: "basic".into(), current: Some(version), ..Plan::default() }
    }

    #[test]
    fn a_price_nobody_touched_keeps_its_id() {
        let read = read(&Sent::from(sent_of(&plan())), &plan(), Tz::UTC).unwrap();
        let prices = read.content.unwrap().prices;
        assert_eq!((prices.len(), prices[0].id.as_str()), (1, "pri_1"));
    }

    #[test]
    fn a_changed_price_is_a_new_one() {
        let mut sent = sent_of(&plan());
        sent.iter_mut().filter(|(name, _)| name == "price0.amount").for_each(|(_, value)| *value = "12,50".into());
        let read = read(&Sent::from(sent), &plan(), Tz::UTC).unwrap();
        let prices = read.content.unwrap().prices;
        assert_eq!(prices[0].id, "");
        assert_eq!(prices[0].amount.as_ref().unwrap().minor, 1250);
    }

    #[test]
    fn a_window_is_whole_days_of_the_brand_and_stays_as_it_is_when_nobody_touches_it() {
        let zone = Tz::Europe__Berlin;
        let typed = |from: &str, until: &str| {
            Sent::from(vec![("sale_from".to_owned(), from.to_owned()), ("sale_until".to_owned(), until.to_owned())])
        };
        let new = window(&typed("2027-01-31", "2027-01-31"), SaleWindow::default(), zone).unwrap();
        assert_eq!((new.from.unwrap().seconds, new.until.unwrap().seconds), (1_801_350_000, 1_801_350_000 + 86_400));
        let shown = (shown_day(new.from, 0, zone), shown_day(new.until, 1, zone));
        assert_eq!((shown.0.as_str(), shown.1.as_str()), ("2027-01-31", "2027-01-31"));
        let at_noon = SaleWindow { from: Some(Timestamp { seconds: 1_801_393_200, nanos: 0 }), until: None };
        assert_eq!(window(&typed("2027-01-31", ""), at_noon, zone).unwrap(), at_noon);
        let no_limit = stock(&typed("", "")).unwrap();
        assert_eq!(no_limit.count, None);
    }
}

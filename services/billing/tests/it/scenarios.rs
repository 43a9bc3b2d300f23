//! The table a billing person reads (`tests/scenarios/periods.md`), line by line through the functions that bill.

use std::collections::HashSet;

use billing::domain::calendar::Move;
use billing::domain::offer::Offer;
use billing::domain::quote::{Asked, Quote};
use billing::domain::subscription::{Command, Subscription};
use billing::domain::tax::Decision;
use chrono::{DateTime, NaiveDateTime, Utc};
use chrono_tz::Tz;
use ottery_kernel::period::instant_of;
use ottery_kernel::{AnchorDay, AnchorRule, Currency, Money, Term, TermUnit};

use crate::world;

const TABLE: &str = include_str!("../scenarios/periods.md");

/// A line of the table.
struct Scenario<'a> {
    zone: Tz,
    rule: AnchorRule,
    /// Asked for within the first period.
    moved: Option<Move>,
    term: Term,
    start: DateTime<Utc>,
    price: Money,
    ends: Vec<DateTime<Utc>>,
    amounts: Vec<&'a str>,
}

fn day(text: &str) -> Option<AnchorDay> {
    text.strip_prefix("day ").and_then(|number| number.parse().ok()).and_then(|day| AnchorDay::try_new(day).ok())
}

fn term(text: &str) -> Option<Term> {
    let (count, unit) = text.split_once(' ')?;
    let unit = match unit.trim_end_matches('s') {
        "day" => TermUnit::Day,
        "week" => TermUnit::Week,
        "month" => TermUnit::Month,
        "year" => TermUnit::Year,
        _ => return None,
    };
    Term::try_new(count.parse().ok()?, unit).ok()
}

fn read(cells: [&str; 7]) -> Result<Scenario<'_>, String> {
    let [zone, anchor, term_text, start, price, ends, amounts] = cells;
    let wrong = |what: &str, text: &str| format!("`{text}` is no {what}");
    let zone: Tz = zone.parse().map_err(|_| wrong("zone", zone))?;
    let (rule, moved) = anchor.split_once(", then ").map_or((anchor, None), |(rule, moved)| (rule, Some(moved)));
    let rule = match (rule, day(rule)) {
        ("anniversary", _) => AnchorRule::Anniversary,
        (_, Some(day)) => AnchorRule::Day(day),
        (other, None) => return Err(wrong("anchor", other)),
    };
    let moved = match moved.map(|text| (text, day(text))) {
        None => None,
        Some((_, Some(day))) => Some(Move { day: Some(day), zone }),
        Some((text, None)) => Some(Move { day: None, zone: text.parse().map_err(|_| wrong("day or zone", text))? }),
    };
    let local = NaiveDateTime::parse_from_str(start, "%Y-%m-%d %H:%M").map_err(|_| wrong("local time", start))?;
    let (amount, code) = price.split_once(' ').ok_or_else(|| wrong("price", price))?;
    let currency: Currency = code.parse().map_err(|_| wrong("currency", code))?;
    let end = |text: &str| {
        let found = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M%:z").map_err(|_| wrong("end of a period", text));
        found.map(|end| end.to_utc())
    };
    Ok(Scenario {
        zone,
        rule,
        moved,
        term: term(term_text).ok_or_else(|| wrong("term", term_text))?,
        start: instant_of(zone, local).ok_or_else(|| wrong("local time", start))?,
        price: Money::parse(amount, currency).map_err(|_| wrong("amount", amount))?,
        ends: ends.split(", ").map(end).collect::<Result<_, _>>()?,
        amounts: amounts.split(", ").collect(),
    })
}

/// What billing makes of it: the end and the price of as many periods as the line has.
fn billed(scenario: &Scenario<'_>) -> (Vec<DateTime<Utc>>, Vec<String>) {
    let mut offer = Offer { price: scenario.price, anchor: scenario.rule, ..world::offer(1, scenario.term) };
    offer.trial_days = 0;
    let sold = [scenario.price.currency];
    let asked = Asked { currency: None, trial: false, coupon: None };
    let quote = Quote::price(&offer, asked, &sold, &Decision::default(), scenario.zone, scenario.start)
        .expect("it can be sold");
    let (mut ends, mut amounts) = (vec![quote.renews_at], vec![quote.due_now.to_decimal()]);
    let mut subscription: Subscription = world::subscription(offer.clone(), scenario.start);
    subscription.apply(Command::Activate, scenario.start).expect("it is paid");
    subscription.start_paid(offer.anchor.begin(scenario.start, scenario.zone, offer.term).expect("in the calendar"));
    subscription.calendar.moved = scenario.moved;
    for _ in 1..scenario.ends.len() {
        let paid_through = subscription.paid_through.expect("a period is paid");
        let next = subscription.next_stretch().expect("in the calendar").expect("it renews");
        assert_eq!(next.stretch.period.start(), paid_through, "a period begins where the one before ends");
        amounts.push(next.stretch.cost(scenario.price).expect("it fits").to_decimal());
        subscription.extend(offer.clone(), paid_through).expect("in the calendar");
        ends.push(subscription.paid_through.expect("another is paid"));
    }
    (ends, amounts)
}

fn check(cells: [&str; 7]) -> Result<(), String> {
    let scenario = read(cells)?;
    if scenario.ends.len() != scenario.amounts.len() || scenario.ends.len() < 2 {
        return Err(format!("{} ends and {} amounts", scenario.ends.len(), scenario.amounts.len()));
    }
    let (ends, amounts) = billed(&scenario);
    for (n, (end, expected)) in ends.iter().zip(&scenario.ends).enumerate() {
        if end != expected {
            return Err(format!("period {} ends {end}, expected {expected}", n + 1));
        }
    }
    match amounts.iter().zip(&scenario.amounts).enumerate().find(|(_, (amount, expected))| amount != *expected) {
        Some((n, (amount, expected))) => Err(format!("period {} costs {amount}, expected {expected}", n + 1)),
        None => Ok(()),
    }
}

/// How many lines hold, and what is wrong with the others, by name.
fn run(table: &str) -> (usize, Vec<String>) {
    let (mut held, mut wrong) = (0, Vec::new());
    let mut names = HashSet::new();
    let rows = table.lines().skip_while(|line| !line.starts_with("|---")).skip(1).filter(|line| !line.is_empty());
    for line in rows {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let (name, verdict) = match cells[..] {
            [name, zone, anchor, term, start, price, ends, amounts] => {
                (name, check([zone, anchor, term, start, price, ends, amounts]))
            }
            _ => (line, Err(format!("{} cells instead of 8", cells.len()))),
        };
        let verdict = if names.insert(name) { verdict } else { Err("the name is there twice".to_owned()) };
        match verdict {
            Ok(()) => held += 1,
            Err(what) => wrong.push(format!("{name}: {what}")),
        }
    }
    (held, wrong)
}

#[test]
fn every_scenario_of_the_table_holds() {
    let (held, wrong) = run(TABLE);
    assert!(wrong.is_empty(), "{} of {} scenarios fail:\n{}", wrong.len(), held + wrong.len(), wrong.join("\n"));
    assert!(held >= 150, "only {held} scenarios");
}

#[test]
fn a_corrupted_line_fails_and_is_named() {
    let (held, _) = run(TABLE);
    let spoiled = [
        ("a year from 28 February stays on the 28th", "2028-02-28", "2028-02-29", "period 1 ends"),
        ("two days of a leap February", "2.00, 29.00", "2.01, 29.00", "period 1 costs 2.00"),
        ("monthly from 31 March", "Europe/Madrid", "Europe/Nowhere", "`Europe/Nowhere` is no zone"),
        ("a pass of 30 days from 31 January", "30 days", "31 days", "period 1 ends"),
        ("moved from day 31 to day 1", "then day 1", "then day 2", "period 2"),
    ];
    for (name, from, to, what) in spoiled {
        let row = TABLE.lines().find(|line| line.starts_with(&format!("| {name} |"))).expect("the line is there");
        let (title, cells) = row.split_at(name.len() + 2);
        let bad = format!("{title}{}", cells.replacen(from, to, 1));
        assert_ne!(bad, row, "{name} has no `{from}`");
        let (left, wrong) = run(&TABLE.replace(row, &bad));
        assert_eq!((left, wrong.len()), (held - 1, 1), "{name}: {wrong:?}");
        assert!(wrong[0].starts_with(&format!("{name}: ")) && wrong[0].contains(what), "{wrong:?}");
    }
    let (_, wrong) = run(&TABLE.replace("| monthly from 31 May |", "| monthly from 31 March |"));
    assert_eq!(wrong, ["monthly from 31 March: the name is there twice"]);
}

//! The document as the template reads it: every text final, nothing left to compute or to format.

use serde::Serialize;

use crate::{
    labels::Labels,
    model::{Document, Kind, Line, Status},
    palette::Palette,
    script,
};

/// A run of characters longer than this without a blank may be broken anywhere.
const WORD_CHARS_MAX: usize = 32;
/// A description longer than this may continue on the next page.
const UNBROKEN_CHARS_MAX: usize = 300;

/// Data of the template, handed over as a JSON file so that no text of a customer is ever read as markup.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    language: &'static str,
    is_rtl: bool,
    is_credit: bool,
    palette: Palette,
    labels: &'static Labels,
    has_logo: bool,
    brand: String,
    /// Letters of the brand's name join, so they must not be moved apart or together.
    brand_joins: bool,
    support_email: Option<String>,
    website: Option<String>,
    title: &'static str,
    number: String,
    /// Label and value, in printing order.
    facts: Vec<(&'static str, String)>,
    seller: Party,
    buyer: Party,
    has_tax: bool,
    lines: Vec<Row>,
    /// Label and amount, in printing order, above the total.
    sums: Vec<(String, String)>,
    total: (&'static str, String),
    /// Label and amount of what is paid, when something is.
    paid: Option<(&'static str, String)>,
    /// Label and amount of what is open.
    balance: (&'static str, String),
    is_settled: bool,
    status: &'static str,
    /// Colour family of the stamp.
    tone: &'static str,
    stamp: Option<Stamp>,
    notes: Option<String>,
    pay_url: Option<String>,
}

#[derive(Debug, Serialize)]
struct Party {
    name: String,
    lines: Vec<String>,
    email: Option<String>,
    tax_id: Option<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    description: String,
    period: Option<String>,
    quantity: String,
    unit: String,
    tax: String,
    amount: String,
    is_long: bool,
}

#[derive(Debug, Serialize)]
struct Stamp {
    word: &'static str,
    day: Option<String>,
}

impl View {
    /// Prepares a checked document; `has_logo` says whether the template may draw the logo file.
    pub(crate) fn of(document: &Document, has_logo: bool) -> Self {
        let locale = document.locale;
        let labels = Labels::of(locale);
        let is_credit = document.kind == Kind::CreditNote;
        let amount = |minor| locale.amount(minor, document.currency);
        let mut sums = vec![(labels.subtotal.to_owned(), amount(document.subtotal_minor))];
        for tax in &document.tax_lines {
            let label = format!(
                "{} {} {} {}",
                one_line(&tax.name),
                locale.rate(tax.rate),
                labels.of,
                amount(tax.taxable_minor)
            );
            sums.push((label, amount(tax.amount_minor)));
        }
        let (total, paid, balance) = if is_credit {
            (labels.credit_total, labels.credited, labels.credit_left)
        } else {
            (labels.total, labels.paid, labels.balance)
        };
        Self {
            language: locale.tag(),
            is_rtl: locale.is_rtl(),
            is_credit,
            palette: Palette::of(&document.brand.tokens),
            labels,
            has_logo,
            brand: one_line(&document.brand.name),
            brand_joins: script::joins(&document.brand.name),
            support_email: optional(document.brand.support_email.as_deref()),
            website: optional(document.brand.website.as_deref()).map(|site| without_scheme(&site)),
            title: labels.title(document.kind),
            number: one_line(&document.number),
            facts: facts(document, labels),
            seller: Party {
                name: one_line(&document.seller.legal_name),
                lines: address(&document.seller.address_lines),
                email: optional(document.seller.email.as_deref()),
                tax_id: optional(document.seller.tax_id.as_deref()),
            },
            buyer: Party {
                name: one_line(&document.buyer.name),
                lines: address(&document.buyer.address_lines),
                email: optional(document.buyer.email.as_deref()),
                tax_id: optional(document.buyer.tax_id.as_deref()),
            },
            has_tax: document.lines.iter().any(|line| line.tax_rate.is_some()),
            lines: document.lines.iter().map(|line| row(document, line)).collect(),
            sums,
            total: (total, amount(document.total_minor)),
            paid: (document.paid_minor != 0).then(|| (paid, amount(document.paid_minor))),
            balance: (balance, amount(document.balance_minor)),
            is_settled: document.balance_minor <= 0,
            status: labels.status(document.status),
            tone: tone(document.status),
            stamp: stamp(document, labels),
            notes: notes(document, labels),
            pay_url: document.pay_url.clone().filter(|_| !is_credit && document.balance_minor > 0),
        }
    }
}

/// What stands below the totals; a pro forma invoice begins with saying that it is none.
fn notes(document: &Document, labels: &Labels) -> Option<String> {
    let own = document.notes.as_deref().map(|notes| text(notes, true)).filter(|notes| !notes.is_empty());
    let disclaimer = (document.kind == Kind::Proforma).then(|| labels.no_invoice.to_owned());
    match (disclaimer, own) {
        (Some(disclaimer), Some(own)) => Some(format!("{disclaimer}\n\n{own}")),
        (disclaimer, own) => disclaimer.or(own),
    }
}

fn facts(document: &Document, labels: &Labels) -> Vec<(&'static str, String)> {
    let locale = document.locale;
    let mut facts = vec![(labels.issued, locale.day(document.issued_on))];
    if let Some(number) = &document.credit_of {
        facts.push((labels.credit_of, one_line(number)));
    }
    if let Some(day) = document.due_on {
        facts.push((labels.due, locale.day(day)));
    }
    if let Some(day) = document.paid_on {
        let label = if document.kind == Kind::CreditNote { labels.refunded_on } else { labels.paid_on };
        facts.push((label, locale.day(day)));
    }
    facts
}

fn row(document: &Document, line: &Line) -> Row {
    let locale = document.locale;
    let description = text(&line.description, true);
    Row {
        is_long: description.chars().count() > UNBROKEN_CHARS_MAX || description.lines().count() > 8,
        description,
        period: line.period.map(|period| format!("{} – {}", locale.day(period.first_day), locale.day(period.last_day))),
        quantity: locale.count(line.quantity),
        unit: locale.amount(line.unit_minor, document.currency),
        tax: line.tax_rate.map(|rate| locale.rate(rate)).unwrap_or_default(),
        amount: locale.amount(line.amount_minor, document.currency),
    }
}

fn stamp(document: &Document, labels: &Labels) -> Option<Stamp> {
    let day = match document.status {
        Status::Paid | Status::Refunded => document.paid_on,
        Status::Void | Status::Draft => None,
        Status::Issued | Status::Open | Status::PartiallyPaid | Status::Overdue | Status::Uncollectible => return None,
    };
    Some(Stamp { word: labels.status(document.status), day: day.map(|day| document.locale.day(day)) })
}

const fn tone(status: Status) -> &'static str {
    match status {
        Status::Paid => "good",
        Status::Overdue | Status::Uncollectible => "bad",
        Status::PartiallyPaid => "warn",
        Status::Open | Status::Issued => "accent",
        Status::Draft | Status::Void | Status::Refunded => "quiet",
    }
}

fn address(lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| one_line(line)).filter(|line| !line.is_empty()).collect()
}

fn optional(text: Option<&str>) -> Option<String> {
    text.map(one_line).filter(|text| !text.is_empty())
}

fn without_scheme(site: &str) -> String {
    let site = site.strip_prefix("https://").or_else(|| site.strip_prefix("http://")).unwrap_or(site);
    site.trim_end_matches('/').to_owned()
}

fn one_line(value: &str) -> String {
    text(value, false)
}

/// The text without control characters and direction overrides (they could make a name or an amount read
/// differently from what it says), with a way to break words that would leave the page.
fn text(value: &str, keeps_breaks: bool) -> String {
    let mut clean = String::with_capacity(value.len());
    let mut run = 0;
    for character in value.trim().chars() {
        match character {
            '\n' if keeps_breaks => clean.push('\n'),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\r' => continue,
            other if other.is_control() => clean.push(' '),
            other => clean.push(other),
        }
        run = if character.is_whitespace() || character.is_control() { 0 } else { run + 1 };
        if run == WORD_CHARS_MAX {
            clean.push('\u{200b}');
            run = 0;
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_direction_tricks_do_not_reach_the_page() {
        assert_eq!(one_line(" Ann\u{202e}\u{0}\r\n\tBee "), "Ann   Bee");
        assert_eq!(text("one\r\ntwo", true), "one\ntwo");
    }

    #[test]
    fn a_word_wider_than_its_column_gets_a_way_to_break() {
        assert_eq!(one_line(&"x".repeat(70)).matches('\u{200b}').count(), 2);
        assert!(!one_line("an ordinary sentence with ordinary words").contains('\u{200b}'));
    }

    #[test]
    fn a_website_is_shown_without_its_scheme() {
        assert_eq!(without_scheme("https://lumen.example/"), "lumen.example");
    }
}

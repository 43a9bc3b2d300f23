//! The forms of an invoice: its lines while it is a draft, and what staff does with it afterwards.

use ottery_kernel::{Currency, Money as Exact};
use ottery_proto::billing::v1::invoice::State as Life;
use ottery_proto::billing::v1::{DraftLine, Invoice, InvoiceLine};
use ottery_proto::common::v1::Money;

use super::brand_form::basis_points;
use crate::pages::block::{Block, Failed, Field, Form, Sent, Tone};
use crate::pages::frame::Page;
use crate::problem::{Refusal, Reply};

/// Rows of an empty form; one with more lines has two to spare.
const ROWS: usize = 6;
/// Lines an invoice has at most.
const LINES_MAX: usize = 100;
/// Parts of a line, with their labels.
const PARTS: [(&str, &str); 4] =
    [("what", "What for"), ("quantity", "How many"), ("price", "Price of one"), ("rate", "Tax in %")];

fn part(at: usize, name: &str) -> String {
    format!("{name}_{at}")
}

fn percent(basis_points: u32) -> String {
    let (whole, rest) = (basis_points / 100, basis_points % 100);
    if rest == 0 { whole.to_string() } else { format!("{whole}.{rest:02}") }
}

fn price_of_one(line: &InvoiceLine) -> String {
    let Some(amount) = &line.amount else { return String::new() };
    let Ok(currency) = amount.currency.parse::<Currency>() else { return String::new() };
    Exact::new(amount.minor / i64::from(line.quantity.max(1)), currency).to_decimal()
}

/// Fields for lines; those of `lines` are filled in, and a new one has the brand's rate.
pub fn line_fields(lines: &[InvoiceLine], tax_rate_bp: u32) -> Vec<Field> {
    let rows = ROWS.max(lines.len() + 2).min(LINES_MAX);
    let mut fields = Vec::with_capacity(rows * PARTS.len());
    for at in 0..rows {
        let values = match lines.get(at) {
            Some(line) => {
                [line.description.clone(), line.quantity.to_string(), price_of_one(line), percent(line.tax_rate_bp)]
            }
            None => [String::new(), "1".to_owned(), String::new(), percent(tax_rate_bp)],
        };
        for ((name, label), value) in PARTS.into_iter().zip(values) {
            // The first line labels the columns.
            let label = if at == 0 { label.to_owned() } else { format!("{label}, line {}", at + 1) };
            fields.push(Field::text(part(at, name), label).value(value).quarter());
        }
    }
    fields
}

/// The lines that were filled in.
///
/// # Errors
/// 400 naming the field that is no number.
pub fn lines(sent: &Sent, currency: &str) -> Reply<Vec<DraftLine>> {
    let code: Currency = currency
        .parse()
        .map_err(|_| Refusal::invalid("currency", "currency_invalid", "choose a currency such as EUR"))?;
    let mut lines = Vec::new();
    for at in 0..LINES_MAX {
        let (what, price) = (part(at, "what"), part(at, "price"));
        if sent.get(&what).is_empty() && sent.get(&price).is_empty() {
            continue;
        }
        let exact = Exact::parse(&sent.get(&price).replace(',', "."), code)
            .map_err(|error| Refusal::invalid(price.clone(), "amount_invalid", error.to_string()))?;
        lines.push(DraftLine {
            description: sent.text(&what),
            quantity: sent.number(&part(at, "quantity"))?,
            unit_price: Some(Money { minor: exact.minor, currency: currency.to_owned() }),
            tax_rate_bp: basis_points(sent, &part(at, "rate"))?,
        });
    }
    Ok(lines)
}

/// The refusal with its field named as the form names it: `lines[2].unit_price` is `price_2`.
pub fn in_form(mut refusal: Refusal) -> Refusal {
    let own = |field: &str| {
        let (at, name) = field.strip_prefix("lines[")?.split_once("].")?;
        let name = match name {
            "description" => "what",
            "unit_price" => "price",
            "tax_rate_bp" => "rate",
            other => other,
        };
        Some(format!("{name}_{at}"))
    };
    if let Some(field) = refusal.field.as_deref().and_then(own) {
        refusal.field = Some(field);
    }
    refusal
}

/// An amount in that currency, when one was entered.
///
/// # Errors
/// 400 naming the field.
pub fn amount(sent: &Sent, name: &str, currency: &str) -> Reply<Option<Money>> {
    if sent.get(name).is_empty() {
        return Ok(None);
    }
    let code: Currency = currency.parse().map_err(|error| Refusal::internal(&error))?;
    let exact = Exact::parse(&sent.get(name).replace(',', "."), code)
        .map_err(|error| Refusal::invalid(name, "amount_invalid", error.to_string()))?;
    Ok(Some(Money { minor: exact.minor, currency: currency.to_owned() }))
}

/// A draft: change, issue, throw away.
pub fn draft_forms(page: Page, invoice: &Invoice, here: &str, tax_rate_bp: u32, failed: Option<&Failed>) -> Page {
    let issue = Form::new("Issue it", format!("{here}/finalise"), "Issue")
        .intro("It gets its number, is owed, and never changes again. Money in the customer's wallet pays it first.")
        .field(
            Field::new("number", "due_days", "Days to pay").value(crate::api::invoicing::DUE_DAYS.to_string()).half(),
        )
        .field(Field::check("send", "Mail it to the customer", true).half())
        .keyed()
        .refused(failed);
    let edit = Form::new("Lines", format!("{here}/edit"), "Save the lines")
        .intro("Prices contain the tax. Leave a row empty to drop it; a discount is a price below zero.")
        .tone(Tone::Info)
        .fields(line_fields(&invoice.lines, tax_rate_bp))
        .refused(failed);
    let discard =
        Form::new("", format!("{here}/discard"), "Throw the draft away").tone(Tone::Bad).folded("Throw the draft away");
    page.with(Block::Form(issue)).with(Block::Form(edit)).with(Block::Form(discard))
}

fn reason() -> Field {
    Field::text("reason", "Reason").required()
}

/// Which part of a consolidated invoice is meant; none of any other.
pub fn part_field(invoice: &Invoice) -> Option<Field> {
    let options = invoice
        .parts
        .iter()
        .map(|part| (part.invoice_id.clone(), format!("{} ({})", part.plan_name, part.subscription_name)));
    let options: Vec<_> = options.collect();
    (!options.is_empty()).then(|| Field::select("part", "Part", options))
}

/// The invoice a form is about: the part that was chosen, else the one of its page.
pub fn meant(sent: &Sent, page: &str) -> String {
    let part = sent.text("part");
    if part.is_empty() { page.to_owned() } else { part }
}

/// An issued invoice: send, credit, take back, give up. `manages` and `refunds`: what its reader may do.
pub fn issued_forms(
    mut page: Page,
    invoice: &Invoice,
    here: &str,
    (manages, refunds): (bool, bool),
    failed: Option<&Failed>,
) -> Page {
    let mut forms = Vec::new();
    let is_owed = invoice.state() == Life::Open;
    if manages && matches!(invoice.state(), Life::Open | Life::Closed | Life::Uncollectible) {
        forms.push(Form::new("", format!("{here}/send"), "Mail it to the customer").tone(Tone::Info));
    }
    if refunds && matches!(invoice.state(), Life::Open | Life::Closed) {
        forms.push(
            Form::new("", format!("{here}/credit"), "Write a credit note")
                .intro("What is still owed shrinks; what was paid goes to the wallet. One that owes nothing any more is settled and gives what it was for.")
                .fields(part_field(invoice))
                .field(Field::text("amount", "Amount, tax contained").half().example("10.00").help("Or lines."))
                .field(Field::text("line_numbers", "Lines").half().example("1, 3").help("Counted from 1; each whole and once."))
                .field(reason().help("On the credit note, for the customer to read."))
                .tone(Tone::Bad)
                .keyed()
                .folded("Write a credit note")
                .refused(failed),
        );
    }
    let is_unpaid = invoice.paid.as_ref().is_none_or(|paid| paid.minor == 0);
    if manages && is_owed && (is_unpaid || !invoice.parts.is_empty()) {
        forms.push(
            Form::new("", format!("{here}/void"), "Make it void")
                .intro("Its number stays used. The period of a running subscription is billed anew.")
                .fields(part_field(invoice))
                .field(reason())
                .tone(Tone::Bad)
                .folded("Make it void")
                .refused(failed),
        );
    }
    if manages && is_owed {
        forms.push(
            Form::new("", format!("{here}/write-off"), "Give it up")
                .intro("What is still owed becomes a loss. Paid after all, it closes.")
                .fields(part_field(invoice))
                .field(reason())
                .tone(Tone::Bad)
                .folded("Give it up")
                .refused(failed),
        );
    }
    if !forms.is_empty() {
        page = page.with(Block::Actions(forms));
    }
    page
}

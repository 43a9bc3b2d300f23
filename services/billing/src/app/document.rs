//! The invoice as the JSON document the renderer takes. The renderer checks it again and adds nothing up.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use ottery_kernel::{AccountId, BrandId, CreditNoteId, InvoiceId, Money, Period};
use ottery_kit::grpc::Problem;
use serde_json::{Value, json};

use super::{Billing, broken, profile};
use crate::domain::invoice::{Invoice, State};
use crate::domain::line::Line;
use crate::domain::profile::Profile;
use crate::domain::rates::{credited, shared_out};
use crate::domain::tax::words;
use crate::store::credit_note::CreditNote;

/// A document and what to call its file.
#[derive(Clone, Debug)]
pub struct Paper {
    /// For `ottery render`.
    pub json: String,
    /// Without the extension's meaning anything: the printed number.
    pub file_name: String,
}

/// Languages the renderer has labels for.
const LANGUAGES: [&str; 7] = ["en", "de", "fr", "es", "pt", "ar", "tr"];

/// Stands where the number of a draft will be.
const DRAFT_NUMBER: &str = "DRAFT";

impl Billing {
    /// The document of an invoice, or of one of its credit notes.
    ///
    /// A draft has one too, marked as such: what staff looks at before issuing it.
    ///
    /// # Errors
    /// When there is none.
    pub async fn invoice_document(
        &self,
        brand: BrandId,
        id: InvoiceId,
        note: Option<CreditNoteId>,
        owner: Option<AccountId>,
    ) -> Result<Paper, Problem> {
        let (invoice, notes) = self.invoice(brand, id, owner).await?;
        let (mut tx, now) = self.begin(brand).await?;
        let profile = profile(&mut tx, brand).await?;
        let paid_on = invoice.closed_at;
        let issued_at = invoice.issued_at.or(invoice.asked_at()).unwrap_or(now);
        drop(tx);
        let (number, mut document) = match note {
            None if invoice.state == State::Draft => {
                (DRAFT_NUMBER.to_owned(), of_invoice(&profile, &invoice, issued_at, None, now).map_err(broken)?)
            }
            None => (invoice.number_text(), of_invoice(&profile, &invoice, issued_at, paid_on, now).map_err(broken)?),
            Some(wanted) => {
                let note = notes.iter().find(|note| note.id == wanted).ok_or_else(|| {
                    Problem::not_found("CREDIT_NOTE_NOT_FOUND", format!("the invoice has no credit note {wanted}"))
                        .on_field("credit_note_id")
                })?;
                (note.number.to_string(), of_note(&profile, invoice.part_of(note.invoice), note).map_err(broken)?)
            }
        };
        document["number"] = json!(number);
        Ok(Paper { json: document.to_string(), file_name: format!("{number}.pdf") })
    }
}

pub(super) fn day(profile_zone: chrono_tz::Tz, at: DateTime<Utc>) -> NaiveDate {
    at.with_timezone(&profile_zone).date_naive()
}

fn frame(profile: &Profile, invoice: &Invoice) -> Value {
    let seller = &invoice.snapshot.seller;
    let buyer = &invoice.snapshot.buyer;
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let language = buyer.locale.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    let mut document = json!({
        "brand": { "name": invoice.snapshot.brand_name, "tokens": tokens(profile) },
        "seller": { "legal_name": seller.name, "address_lines": seller.address_lines },
        "buyer": { "name": buyer.addressee() },
        "currency": invoice.totals.total.currency,
        "locale": LANGUAGES.iter().find(|known| **known == language).unwrap_or(&"en"),
    });
    let mut put = |object: &str, key: &str, value: Option<String>| {
        if let Some(value) = value {
            document[object][key] = json!(value);
        }
    };
    put("brand", "support_email", filled(&profile.support_email));
    put("brand", "logo_svg", svg_of(&profile.logo));
    put("seller", "tax_id", filled(&seller.tax_id));
    put("seller", "email", filled(&seller.email));
    put("buyer", "email", filled(&buyer.email));
    put("buyer", "tax_id", filled(buyer.vat_number()));
    if let Some(address) = &buyer.address {
        let person = filled(&buyer.name).filter(|name| name != buyer.addressee());
        let lines: Vec<String> = person.into_iter().chain(address.printed()).collect();
        document["buyer"]["address_lines"] = json!(lines);
    }
    if let Some(words) = words(&invoice.lines, &language) {
        document["notes"] = json!(words);
    }
    document
}

fn of_invoice(
    profile: &Profile,
    invoice: &Invoice,
    issued_at: DateTime<Utc>,
    paid_on: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<Value, ottery_kernel::MoneyError> {
    let zone = invoice.snapshot.seller.zone;
    let totals = invoice.totals;
    let taxed = totals.tax.is_positive();
    let mut document = frame(profile, invoice);
    document["kind"] = json!(if invoice.is_proforma() { "proforma" } else { "invoice" });
    document["issued_on"] = json!(day(zone, issued_at));
    if let (State::Open, Some(due_at)) = (invoice.state, invoice.due_at) {
        document["due_on"] = json!(day(zone, due_at));
    }
    if let Some(paid_on) = paid_on {
        document["paid_on"] = json!(day(zone, paid_on));
    }
    document["lines"] = invoice.lines.iter().map(|line| printed(line, zone, taxed)).collect();
    document["tax_lines"] = Value::Array(if taxed { tax_lines(invoice)? } else { Vec::new() });
    document["subtotal_minor"] = json!(totals.subtotal.minor);
    document["tax_minor"] = json!(totals.tax.minor);
    document["total_minor"] = json!(totals.total.minor);
    document["paid_minor"] = json!(invoice.paid.minor);
    document["balance_minor"] = json!(match invoice.state {
        State::Void | State::Uncollectible => 0,
        State::Draft | State::Open | State::Closed => invoice.remaining()?.minor,
    });
    document["status"] = json!(status(invoice, now));
    Ok(document)
}

fn status(invoice: &Invoice, now: DateTime<Utc>) -> &'static str {
    match invoice.state {
        State::Draft => "draft",
        State::Void => "void",
        State::Uncollectible => "uncollectible",
        State::Closed if invoice.refunded.is_positive() && invoice.refunded == invoice.totals.total => "refunded",
        State::Closed => "paid",
        State::Open if invoice.paid.is_positive() => "partially_paid",
        State::Open if invoice.due_at.is_some_and(|due_at| due_at < now) => "overdue",
        State::Open => "open",
    }
}

fn of_note(profile: &Profile, invoice: &Invoice, note: &CreditNote) -> Result<Value, ottery_kernel::MoneyError> {
    let net = note.amount.checked_sub(note.tax)?;
    let mut document = frame(profile, invoice);
    document["kind"] = json!("credit_note");
    document["issued_on"] = json!(day(invoice.snapshot.seller.zone, note.issued_at));
    if note.lines.is_empty() {
        share_of(&mut document, invoice, note, net);
    } else {
        lines_of(&mut document, invoice, note)?;
    }
    document["subtotal_minor"] = json!(net.minor);
    document["tax_minor"] = json!(note.tax.minor);
    document["total_minor"] = json!(note.amount.minor);
    document["paid_minor"] = json!(note.amount.minor);
    document["balance_minor"] = json!(0);
    document["status"] = json!("issued");
    document["credit_of"] = json!(invoice.number_text());
    Ok(document)
}

/// A share of the whole is one line that says why.
fn share_of(document: &mut Value, invoice: &Invoice, note: &CreditNote, net: Money) {
    let description = if note.reason.is_empty() { "Credit".to_owned() } else { note.reason.clone() };
    // One rate prints with its rate; several are summed, as the credit spreads over all lines.
    let rate = single_rate(invoice).filter(|_| note.tax.is_positive());
    let mut line = json!({ "description": description, "quantity": 1, "unit_minor": note.amount.minor, "amount_minor": note.amount.minor });
    if let Some(rate) = rate {
        line["tax_rate"] = json!(percent(rate));
    }
    document["lines"] = json!([line]);
    let tax_line = |rate: u32| json!([{ "name": tax_name(invoice), "rate": percent(rate), "taxable_minor": net.minor, "amount_minor": note.tax.minor }]);
    document["tax_lines"] = if note.tax.is_positive() { tax_line(rate.unwrap_or(0)) } else { json!([]) };
}

/// Single lines are printed as the invoice printed them, and why below.
fn lines_of(document: &mut Value, invoice: &Invoice, note: &CreditNote) -> Result<(), ottery_kernel::MoneyError> {
    let (zone, taxed) = (invoice.snapshot.seller.zone, note.tax.is_positive());
    let lines = credited(&invoice.lines, &note.lines);
    document["lines"] = lines.iter().map(|line| printed(line, zone, taxed)).collect();
    let rates = if taxed { shared_out(note.amount, note.tax, &lines)? } else { Vec::new() };
    document["tax_lines"] = rates
        .into_iter()
        .map(|sum| {
            Ok(json!({ "name": tax_name(invoice), "rate": percent(sum.rate_bp), "taxable_minor": sum.net()?.minor,
                       "amount_minor": sum.tax.minor }))
        })
        .collect::<Result<_, ottery_kernel::MoneyError>>()?;
    document["notes"] = json!(note.reason);
    Ok(())
}

fn printed(line: &Line, zone: chrono_tz::Tz, taxed: bool) -> Value {
    let mut printed = json!({
        "description": line.description,
        "quantity": line.quantity,
        "unit_minor": line.amount.minor / i64::from(line.quantity.max(1)),
        "amount_minor": line.amount.minor,
    });
    if let Some(period) = line.period {
        printed["period"] = days(period, zone);
    }
    if taxed {
        printed["tax_rate"] = json!(percent(line.tax_rate_bp));
    }
    printed
}

/// First and last day of a period; the end itself belongs to the next one.
fn days(period: Period, zone: chrono_tz::Tz) -> Value {
    let first = day(zone, period.start());
    let last = day(zone, period.end() - TimeDelta::microseconds(1));
    json!({ "first_day": first, "last_day": last.max(first) })
}

fn tax_lines(invoice: &Invoice) -> Result<Vec<Value>, ottery_kernel::MoneyError> {
    let currency = invoice.totals.total.currency;
    let mut rates: Vec<u32> = invoice.lines.iter().map(|line| line.tax_rate_bp).collect();
    rates.sort_unstable();
    rates.dedup();
    rates
        .into_iter()
        .map(|rate| {
            let lines = || invoice.lines.iter().filter(|line| line.tax_rate_bp == rate);
            let gross = Money::sum(currency, lines().map(|line| line.amount))?;
            let tax = Money::sum(currency, lines().map(|line| line.tax))?;
            Ok(json!({ "name": tax_name(invoice), "rate": percent(rate), "taxable_minor": gross.checked_sub(tax)?.minor,
                       "amount_minor": tax.minor }))
        })
        .collect()
}

fn tax_name(invoice: &Invoice) -> &str {
    let name = invoice.snapshot.tax_name.as_str();
    if name.is_empty() { "Tax" } else { name }
}

fn single_rate(invoice: &Invoice) -> Option<u32> {
    let first = invoice.lines.first()?.tax_rate_bp;
    invoice.lines.iter().all(|line| line.tax_rate_bp == first).then_some(first)
}

/// Basis points as percent: `19`, `8.875` has no basis points and never occurs.
fn percent(basis_points: u32) -> String {
    let (whole, rest) = (basis_points / 100, basis_points % 100);
    if rest == 0 { whole.to_string() } else { format!("{whole}.{rest:02}") }
}

/// The brand's colours, as far as paper can use them.
fn tokens(profile: &Profile) -> Value {
    let is_colour = |text: &String| {
        text.len() == 7 && text.starts_with('#') && text[1..].bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let mut tokens = serde_json::Map::new();
    for (ours, theirs) in
        [("accent", "accent"), ("text", "text"), ("surface", "surface"), ("text-muted", "muted"), ("border", "border")]
    {
        if let Some(colour) = profile.tokens.get(ours).filter(|text| is_colour(text)) {
            tokens.insert(theirs.to_owned(), json!(colour));
        }
    }
    let radius = profile.tokens.get("radius").and_then(|radius| radius.trim_end_matches("px").parse::<u8>().ok());
    if let Some(radius) = radius.filter(|radius| *radius <= 32) {
        tokens.insert("radius".to_owned(), json!(radius));
    }
    Value::Object(tokens)
}

/// The SVG source in a data URI; other pictures are left out and the brand's name stands there.
fn svg_of(uri: &str) -> Option<String> {
    let (head, data) = uri.strip_prefix("data:image/svg+xml")?.split_once(',')?;
    let bytes = if head.ends_with(";base64") { STANDARD.decode(data).ok()? } else { percent_decoded(data) };
    String::from_utf8(bytes).ok()
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let hex = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                at += 3;
            }
            (byte, _, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logo_is_read_from_either_form_of_data_uri() {
        assert_eq!(svg_of("data:image/svg+xml;base64,PHN2Zy8+").as_deref(), Some("<svg/>"));
        assert_eq!(svg_of("data:image/svg+xml;utf8,%3Csvg/%3E").as_deref(), Some("<svg/>"));
        assert_eq!(svg_of("data:image/png;base64,AAAA"), None);
        assert_eq!(svg_of(""), None);
    }

    #[test]
    fn basis_points_print_as_percent() {
        assert_eq!([percent(1900), percent(550), percent(5)], ["19", "5.50", "0.05"]);
    }
}

//! The invoice as an e-invoice: EN 16931 in UBL, from the same snapshot as the PDF.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use ottery_kernel::{AccountId, BrandId, CreditNoteId, InvoiceId, MoneyError};
use ottery_kit::grpc::Problem;

use super::document::day;
use super::{Billing, broken};
use crate::domain::address::Address;
use crate::domain::einvoice::{EInvoice, Gap, Kind, Line, Party, Treatment};
use crate::domain::invoice::{Invoice, State};
use crate::domain::line;
use crate::domain::rates::{credited, shared_out};
use crate::domain::tax;
use crate::store::credit_note::CreditNote;

/// Why a seller without a tax number charges none.
const OUTSIDE_VAT: &str = "The seller is not registered for VAT";

/// An e-invoice and what to call its file.
#[derive(Clone, Debug)]
pub struct Ubl {
    /// UBL 2.1, `Invoice` or `CreditNote`.
    pub xml: String,
    /// The printed number with `.xml`.
    pub file_name: String,
}

impl Billing {
    /// An invoice, or one of its credit notes, as an e-invoice.
    ///
    /// # Errors
    /// When there is none, it is a draft or void, or something EN 16931 insists on is missing; the field is named.
    pub async fn invoice_ubl(
        &self,
        brand: BrandId,
        id: InvoiceId,
        note: Option<CreditNoteId>,
        owner: Option<AccountId>,
    ) -> Result<Ubl, Problem> {
        let (invoice, notes) = self.invoice(brand, id, owner).await?;
        let issued_at = issued(&invoice)?;
        let document = match note {
            None if invoice.state == State::Void => {
                return Err(Problem::refused(
                    "INVOICE_VOID",
                    "the invoice is void; as an e-invoice it would ask for money that nobody owes",
                ));
            }
            None => of_invoice(&invoice, issued_at).map_err(broken)?,
            Some(wanted) => {
                let note = notes.iter().find(|note| note.id == wanted).ok_or_else(|| {
                    Problem::not_found("CREDIT_NOTE_NOT_FOUND", format!("the invoice has no credit note {wanted}"))
                        .on_field("credit_note_id")
                })?;
                of_note(invoice.part_of(note.invoice), issued_at, note).map_err(broken)?
            }
        };
        let xml = document.to_ubl().map_err(|gap| refused(&gap))?;
        Ok(Ubl { xml, file_name: format!("{}.xml", document.number) })
    }
}

fn issued(invoice: &Invoice) -> Result<DateTime<Utc>, Problem> {
    if invoice.is_proforma() {
        let message = "it is a pro forma and no tax document; it becomes an e-invoice when it is paid";
        return Err(Problem::refused("INVOICE_PROFORMA", message));
    }
    invoice
        .issued_at
        .filter(|_| invoice.state != State::Draft)
        .ok_or_else(|| Problem::refused("INVOICE_DRAFT", "the invoice is a draft; it is no e-invoice yet"))
}

fn refused(gap: &Gap) -> Problem {
    let problem = Problem::refused("E_INVOICE_INCOMPLETE", gap.to_string());
    match gap.field() {
        Some(field) => problem.on_field(field.to_owned()),
        None => problem,
    }
}

/// The e-invoice of an issued invoice.
///
/// # Errors
/// When an amount is too large to compute with.
pub fn of_invoice(invoice: &Invoice, issued_at: DateTime<Utc>) -> Result<EInvoice, MoneyError> {
    let zone = invoice.snapshot.seller.zone;
    let lines = invoice.lines.iter().map(|line| sold(invoice, line)).collect::<Result<_, _>>()?;
    let (seller, buyer) = parties(invoice);
    Ok(EInvoice {
        kind: Kind::Invoice,
        number: invoice.number_text(),
        issued_on: day(zone, issued_at),
        due_on: invoice.due_at.map(|due_at| day(zone, due_at)),
        currency: invoice.totals.total.currency,
        note: String::new(),
        seller,
        buyer,
        lines,
        paid_minor: invoice.paid.minor,
    })
}

/// The e-invoice of a credit note: one line per rate of what it takes back, as the note itself keeps only sums.
///
/// # Errors
/// When an amount is too large to compute with.
pub fn of_note(invoice: &Invoice, issued_at: DateTime<Utc>, note: &CreditNote) -> Result<EInvoice, MoneyError> {
    let zone = invoice.snapshot.seller.zone;
    let (seller, buyer) = parties(invoice);
    let name = if note.reason.is_empty() { "Credit" } else { note.reason.as_str() };
    let lines = shared_out(note.amount, note.tax, &credited(&invoice.lines, &note.lines))?
        .into_iter()
        .map(|part| {
            Ok(Line {
                name: name.to_owned(),
                quantity: 1,
                net_minor: part.net()?.minor,
                tax_minor: part.tax.minor,
                treatment: treatment(invoice, part.rate_bp, &part.treatment),
                days: None,
            })
        })
        .collect::<Result<_, MoneyError>>()?;
    Ok(EInvoice {
        kind: Kind::CreditNote { invoice: invoice.number_text(), invoice_issued_on: day(zone, issued_at) },
        number: note.number.to_string(),
        issued_on: day(zone, note.issued_at),
        due_on: None,
        currency: note.amount.currency,
        note: note.reason.clone(),
        seller,
        buyer,
        lines,
        // Paid out or put into the wallet when it was issued, as the PDF says.
        paid_minor: note.amount.minor,
    })
}

fn parties(invoice: &Invoice) -> (Party, Party) {
    let (seller, buyer) = (&invoice.snapshot.seller, &invoice.snapshot.buyer);
    let seller = Party {
        id: seller.id.to_string(),
        name: seller.name.clone(),
        trading_name: invoice.snapshot.brand_name.clone(),
        address_lines: seller.address_lines.clone(),
        country: seller.country.clone(),
        tax_id: seller.tax_id.clone(),
        email: seller.email.clone(),
    };
    let buyer = Party {
        name: buyer.addressee().to_owned(),
        address_lines: buyer.address.as_ref().map(postal).unwrap_or_default(),
        tax_id: buyer.vat_number().to_owned(),
        country: buyer.country.clone(),
        email: buyer.email.clone(),
        ..Party::default()
    };
    (seller, buyer)
}

/// A postal address without its country, which the norm has a term of its own for.
fn postal(address: &Address) -> Vec<String> {
    Address { country: String::new(), ..address.clone() }.printed()
}

fn sold(invoice: &Invoice, line: &line::Line) -> Result<Line, MoneyError> {
    let zone = invoice.snapshot.seller.zone;
    let days = line.period.map(|period| -> (NaiveDate, NaiveDate) {
        // The end itself belongs to the next period.
        let first = day(zone, period.start());
        (first, day(zone, period.end() - TimeDelta::microseconds(1)).max(first))
    });
    Ok(Line {
        name: line.description.clone(),
        quantity: line.quantity,
        net_minor: line.amount.checked_sub(line.tax)?.minor,
        tax_minor: line.tax.minor,
        treatment: treatment(invoice, line.tax_rate_bp, &line.treatment),
        days,
    })
}

/// How a rate is told. A rate of zero without more depends on the seller: who has a tax number taxes at zero, who has none
/// is outside of VAT.
fn treatment(invoice: &Invoice, rate_bp: u32, treatment: &tax::Treatment) -> Treatment {
    match treatment {
        tax::Treatment::ReverseCharge => Treatment::ReverseCharge,
        tax::Treatment::Exempt { reason } => Treatment::Exempt { reason: reason.clone() },
        tax::Treatment::OutOfScope { reason } => Treatment::OutOfScope { reason: reason.clone() },
        tax::Treatment::Rate if rate_bp > 0 => Treatment::Standard { rate_bp },
        tax::Treatment::Rate if invoice.snapshot.seller.tax_id.trim().is_empty() => {
            Treatment::OutOfScope { reason: OUTSIDE_VAT.to_owned() }
        }
        tax::Treatment::Rate => Treatment::Zero,
    }
}

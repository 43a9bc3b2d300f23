//! One day of a brand as CSV (RFC 4180, UTF-8, a head in the first page). Only what never changes again is in it, so that
//! the same day gives the same bytes whenever it is asked for: no states, nothing about payments.

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta, Utc};
use chrono_tz::Tz;
use csv::{Terminator, WriterBuilder};
use ottery_kernel::{AccountId, Money, MoneyError, TransferId};
use ottery_kernel::{InvoiceId, Period};

use super::invoice::{Number, Snapshot};
use super::rates::RateSum;
use super::tax::Treatment;
use super::vat::Evidence;

/// Columns of the invoices, one row per document and rate. Amounts of credit notes are negative.
const INVOICE_HEAD: [&str; 27] = [
    "document",
    "number",
    "issued_on",
    "issued_at",
    "credited_invoice",
    "invoice_id",
    "account_id",
    "buyer_name",
    "buyer_email",
    "buyer_country",
    "period_start",
    "period_end",
    "currency",
    "tax_rate_percent",
    "net",
    "tax",
    "gross",
    "tax_name",
    "tax_category",
    "tax_reason",
    "place_country",
    "place_region",
    "place_postal_code",
    "place_source",
    "vat_number",
    "vat_proof",
    "vat_checked_at",
];
/// Columns of the journal, two rows per transfer; debits and credits are equal in every currency.
const JOURNAL_HEAD: [&str; 9] =
    ["booked_on", "booked_at", "transfer_id", "kind", "reference_id", "account", "currency", "debit", "credit"];

/// A day of a zone: from its first instant to the first of the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// The date.
    pub date: NaiveDate,
    /// Whose days.
    pub zone: Tz,
}

impl Day {
    /// First instant of the day, and first instant after it. A day that begins in a gap of the clock begins with its end.
    #[must_use]
    pub fn bounds(self) -> (DateTime<Utc>, DateTime<Utc>) {
        (self.first_instant(self.date), self.first_instant(self.date + TimeDelta::days(1)))
    }

    fn first_instant(self, date: NaiveDate) -> DateTime<Utc> {
        let midnight = date.and_time(chrono::NaiveTime::MIN);
        // Gaps at midnight have quarter hours; the longest ever took a day.
        (0..=96)
            .find_map(|quarter| {
                let local = midnight + TimeDelta::minutes(15 * quarter);
                local.and_local_timezone(self.zone).earliest()
            })
            .map_or_else(|| midnight.and_utc(), |local| local.to_utc())
    }
}

/// What of an issued document is told.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Invoice or credit note.
    pub is_credit: bool,
    /// Its number.
    pub number: Number,
    /// Which part of a consolidated invoice it is; 1 of any other.
    pub part: i32,
    /// Number of the invoice a credit note takes back.
    pub credited: Option<Number>,
    /// The invoice, or the one that is credited.
    pub invoice: InvoiceId,
    /// Who was billed.
    pub account: AccountId,
    /// As it was at issue.
    pub snapshot: Snapshot,
    /// The time it pays for.
    pub period: Option<Period>,
    /// When.
    pub issued_at: DateTime<Utc>,
    /// Its sums by rate, positive.
    pub sums: Vec<RateSum>,
}

/// A posted transfer.
#[derive(Clone, Debug)]
pub struct Posted {
    /// Its id.
    pub id: TransferId,
    /// What happened.
    pub kind: String,
    /// To what.
    pub reference: String,
    /// Code of the account that receives.
    pub debit: String,
    /// Code of the account that gives.
    pub credit: String,
    /// How much.
    pub amount: Money,
    /// When.
    pub booked_at: DateTime<Utc>,
}

/// A page of documents.
///
/// # Errors
/// When an amount does not fit.
pub fn invoices(day: Day, documents: &[Issued], is_first: bool) -> Result<String, MoneyError> {
    let mut page = Csv::new(is_first.then_some(INVOICE_HEAD.as_slice()));
    for document in documents {
        // What is older than the rules of taxes has its place and proof nowhere.
        let is_told = document.snapshot.tax.is_some();
        let grounds = document.snapshot.tax.clone().unwrap_or_default();
        for sum in &document.sums {
            let proof = grounds.evidence.as_ref().filter(|_| sum.treatment == Treatment::ReverseCharge);
            let signed = |amount: Money| if document.is_credit { amount.checked_neg() } else { Ok(amount) };
            let buyer = &document.snapshot.buyer;
            page.row([
                if document.is_credit { "credit_note" } else { "invoice" }.to_owned(),
                text(&document.number.to_string()),
                day.date.to_string(),
                instant(document.issued_at),
                text(&document.credited.as_ref().map(Number::to_string).unwrap_or_default()),
                document.invoice.to_string(),
                document.account.to_string(),
                text(&buyer.name),
                text(&buyer.email),
                text(&buyer.country),
                document.period.map(|period| instant(period.start())).unwrap_or_default(),
                document.period.map(|period| instant(period.end())).unwrap_or_default(),
                sum.gross.currency.to_string(),
                percent(sum.rate_bp),
                signed(sum.net()?)?.to_decimal(),
                signed(sum.tax)?.to_decimal(),
                signed(sum.gross)?.to_decimal(),
                text(&document.snapshot.tax_name),
                category(sum, &document.snapshot).to_owned(),
                text(reason(&sum.treatment)),
                text(&grounds.place.country),
                text(&grounds.place.region),
                text(&grounds.place.postal_code),
                if is_told { grounds.source.as_str() } else { "" }.to_owned(),
                text(proof.map_or("", |proof| &proof.number)),
                text(&proof.map(proven_by).unwrap_or_default()),
                proof.map(|proof| instant(proof.checked_at)).unwrap_or_default(),
            ]);
        }
    }
    Ok(page.finish())
}

/// How a sum is taxed, as EN 16931 calls it: the same letters as in the e-invoice.
fn category(sum: &RateSum, snapshot: &Snapshot) -> &'static str {
    match &sum.treatment {
        Treatment::ReverseCharge => "AE",
        Treatment::Exempt { .. } => "E",
        Treatment::OutOfScope { .. } => "O",
        Treatment::Rate if sum.rate_bp > 0 => "S",
        Treatment::Rate if snapshot.seller.tax_id.trim().is_empty() => "O",
        Treatment::Rate => "Z",
    }
}

/// Why no tax is charged, as far as the law's words are kept.
fn reason(treatment: &Treatment) -> &str {
    match treatment {
        Treatment::Rate | Treatment::ReverseCharge => "",
        Treatment::Exempt { reason } | Treatment::OutOfScope { reason } => reason,
    }
}

/// Who says that the buyer is a business, and by which name of the answer; ours of the question when there is none.
fn proven_by(proof: &Evidence) -> String {
    let named = if proof.reference.is_empty() { &proof.check_id } else { &proof.reference };
    format!("{} {named}", proof.validator).trim().to_owned()
}

/// A page of the journal.
#[must_use]
pub fn journal(day: Day, transfers: &[Posted], is_first: bool) -> String {
    let mut page = Csv::new(is_first.then_some(JOURNAL_HEAD.as_slice()));
    for transfer in transfers {
        let amount = transfer.amount.to_decimal();
        for (account, debit, credit) in
            [(&transfer.debit, amount.as_str(), ""), (&transfer.credit, "", amount.as_str())]
        {
            page.row([
                day.date.to_string(),
                instant(transfer.booked_at),
                transfer.id.to_string(),
                text(&transfer.kind),
                text(&transfer.reference),
                text(account),
                transfer.amount.currency.to_string(),
                debit.to_owned(),
                credit.to_owned(),
            ]);
        }
    }
    page.finish()
}

/// A sheet being written.
pub(super) struct Csv(csv::Writer<Vec<u8>>);

impl Csv {
    pub fn new(head: Option<&[&str]>) -> Self {
        let mut page = Self(WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new()));
        if let Some(head) = head {
            page.0.write_record(head).expect("memory takes every byte");
        }
        page
    }

    pub fn row<const N: usize>(&mut self, fields: [String; N]) {
        self.0.write_record(fields).expect("memory takes every byte and all rows have the same length");
    }

    pub fn finish(self) -> String {
        let bytes = self.0.into_inner().expect("memory takes every byte");
        String::from_utf8(bytes).expect("it was written as UTF-8")
    }
}

/// A text that no spreadsheet takes for a formula: what looks like the beginning of one is preceded by an apostrophe.
pub(super) fn text(text: &str) -> String {
    let looks_like_one =
        |text: &str| text.starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']);
    if looks_like_one(text.trim_start()) || text.starts_with(['\t', '\r', '\n']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn percent(basis_points: u32) -> String {
    format!("{}.{:02}", basis_points / 100, basis_points % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_disarmed_and_names_stay() {
        for formula in ["=1+1", "+49 30", "-2", "@SUM(A1)", " =1", "\tx", "\rx", "＝1"] {
            assert_eq!(text(formula), format!("'{formula}"));
        }
        for name in ["Ada", "O'Neill", "a=b", "王小明", ""] {
            assert_eq!(text(name), name);
        }
    }

    #[test]
    fn quotes_commas_and_breaks_are_quoted_and_lines_end_as_rfc_4180_says() {
        let mut page = Csv::new(Some(&["a", "b"]));
        page.row(["say \"hi\", twice".to_owned(), "one\ntwo".to_owned()]);
        assert_eq!(page.finish(), "a,b\r\n\"say \"\"hi\"\", twice\",\"one\ntwo\"\r\n");
    }

    #[test]
    fn a_day_is_that_of_the_zone_also_when_the_clock_changes() {
        let hours = |date: &str, zone| {
            let (from, to) = Day { date: date.parse().unwrap(), zone }.bounds();
            (to - from).num_hours()
        };
        assert_eq!(hours("2026-11-26", Tz::Europe__Berlin), 24);
        assert_eq!(hours("2026-03-29", Tz::Europe__Berlin), 23);
        assert_eq!(hours("2026-10-25", Tz::Europe__Berlin), 25);
        // Midnight itself does not exist: the day begins at one o'clock.
        assert_eq!(hours("2018-11-04", Tz::America__Sao_Paulo), 23);
        // Samoa left out a whole day.
        assert_eq!(hours("2011-12-30", Tz::Pacific__Apia), 0);
        let (from, _) = Day { date: "2026-11-26".parse().unwrap(), zone: Tz::Pacific__Kiritimati }.bounds();
        assert_eq!(from.to_rfc3339(), "2026-11-25T10:00:00+00:00");
    }
}

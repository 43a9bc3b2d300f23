//! What a document must hold before it is drawn.

use thiserror::Error;

use crate::model::{Document, Kind, Status};

/// Lines of one document.
pub const LINES_MAX: usize = 2_000;
/// Characters of a one-line field.
pub const FIELD_CHARS_MAX: usize = 300;
/// Characters of a line's description.
pub const DESCRIPTION_CHARS_MAX: usize = 1_000;
/// Characters of the notes.
pub const NOTES_CHARS_MAX: usize = 4_000;
/// Lines of a postal address.
pub const ADDRESS_LINES_MAX: usize = 8;
/// Rates of tax in one document.
pub const TAX_LINES_MAX: usize = 20;
/// Bytes of a logo's SVG source.
pub const LOGO_BYTES_MAX: usize = 256 * 1024;

/// Why a document is refused; each message names the field and the way out.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Invalid {
    /// A field that must be filled is blank.
    #[error("{field} is empty; a document cannot be issued without it")]
    Empty {
        /// Path of the field.
        field: String,
    },
    /// A field is longer than the page can carry.
    #[error("{field} has {count}, at most {limit} are allowed; shorten it")]
    TooLong {
        /// Path of the field.
        field: String,
        /// What it has: characters, lines or bytes.
        count: usize,
        /// What it may have.
        limit: usize,
    },
    /// Two numbers of the document contradict each other.
    #[error("{what}: {left} against {right} (minor units); send numbers that add up")]
    Sum {
        /// The equation that does not hold.
        what: &'static str,
        /// Its left side.
        left: i128,
        /// Its right side.
        right: i128,
    },
    /// A field that fits the other kind of document only.
    #[error("{field} belongs to {kind} only; leave it out")]
    Foreign {
        /// Path of the field.
        field: &'static str,
        /// The kind that may carry it.
        kind: &'static str,
    },
    /// A value that is not of the expected form.
    #[error("{field} must {must}")]
    Form {
        /// Path of the field.
        field: String,
        /// The rule.
        must: &'static str,
    },
}

impl Document {
    /// Refuses a document that is incomplete, too large or contradicts itself.
    ///
    /// The lines sum up to the subtotal (prices before tax) or to the total (prices with tax).
    pub fn check(&self) -> Result<(), Invalid> {
        self.check_texts()?;
        self.check_lines()?;
        self.check_sums()?;
        if self.credit_of.is_some() && self.kind != Kind::CreditNote {
            return Err(Invalid::Foreign { field: "credit_of", kind: "a credit note" });
        }
        let url_fits =
            |url: &String| url.starts_with("https://") && !url.contains(|c: char| c.is_whitespace() || c.is_control());
        if !self.pay_url.as_ref().is_none_or(url_fits) {
            return Err(Invalid::Form { field: "pay_url".into(), must: "start with https:// and hold no blanks" });
        }
        Ok(())
    }

    fn check_texts(&self) -> Result<(), Invalid> {
        filled("number", &self.number)?;
        filled("brand.name", &self.brand.name)?;
        filled("seller.legal_name", &self.seller.legal_name)?;
        filled("buyer.name", &self.buyer.name)?;
        for (field, text) in [
            ("brand.support_email", &self.brand.support_email),
            ("brand.website", &self.brand.website),
            ("seller.tax_id", &self.seller.tax_id),
            ("seller.email", &self.seller.email),
            ("buyer.email", &self.buyer.email),
            ("buyer.tax_id", &self.buyer.tax_id),
            ("credit_of", &self.credit_of),
        ] {
            within(field, text.as_deref().unwrap_or_default().chars().count(), FIELD_CHARS_MAX)?;
        }
        within("pay_url", self.pay_url.as_deref().unwrap_or_default().len(), 2_000)?;
        for (field, lines) in
            [("seller.address_lines", &self.seller.address_lines), ("buyer.address_lines", &self.buyer.address_lines)]
        {
            within(field, lines.len(), ADDRESS_LINES_MAX)?;
            for (index, line) in lines.iter().enumerate() {
                within(&format!("{field}[{index}]"), line.chars().count(), FIELD_CHARS_MAX)?;
            }
        }
        within("notes", self.notes.as_deref().unwrap_or_default().chars().count(), NOTES_CHARS_MAX)?;
        within("brand.logo_svg", self.brand.logo_svg.as_deref().unwrap_or_default().len(), LOGO_BYTES_MAX)
    }

    fn check_lines(&self) -> Result<(), Invalid> {
        if self.lines.is_empty() {
            return Err(Invalid::Empty { field: "lines".into() });
        }
        within("lines", self.lines.len(), LINES_MAX)?;
        within("tax_lines", self.tax_lines.len(), TAX_LINES_MAX)?;
        for (index, line) in self.lines.iter().enumerate() {
            let field = format!("lines[{index}].description");
            if line.description.trim().is_empty() {
                return Err(Invalid::Empty { field });
            }
            within(&field, line.description.chars().count(), DESCRIPTION_CHARS_MAX)?;
            if line.period.is_some_and(|period| period.last_day < period.first_day) {
                return Err(Invalid::Form {
                    field: format!("lines[{index}].period"),
                    must: "end on or after its first day (both days are included)",
                });
            }
        }
        for (index, tax) in self.tax_lines.iter().enumerate() {
            filled(&format!("tax_lines[{index}].name"), &tax.name)?;
        }
        Ok(())
    }

    fn check_sums(&self) -> Result<(), Invalid> {
        let [subtotal, tax, total, paid, balance] =
            [self.subtotal_minor, self.tax_minor, self.total_minor, self.paid_minor, self.balance_minor]
                .map(i128::from);
        equal("subtotal_minor + tax_minor is not total_minor", subtotal + tax, total)?;
        let taxes = self.tax_lines.iter().map(|line| i128::from(line.amount_minor)).sum();
        equal("the amounts of tax_lines do not sum up to tax_minor", taxes, tax)?;
        let lines: i128 = self.lines.iter().map(|line| i128::from(line.amount_minor)).sum();
        if lines != total {
            equal("the amounts of lines sum up neither to subtotal_minor nor to total_minor", lines, subtotal)?;
        }
        // What was cancelled, given up or sent back owes nothing, whatever was paid.
        if matches!(self.status, Status::Void | Status::Uncollectible | Status::Refunded) {
            return Ok(());
        }
        equal("total_minor - paid_minor is not balance_minor", total - paid, balance)
    }
}

fn filled(field: &str, text: &str) -> Result<(), Invalid> {
    if text.trim().is_empty() {
        return Err(Invalid::Empty { field: field.to_owned() });
    }
    within(field, text.chars().count(), FIELD_CHARS_MAX)
}

fn within(field: &str, count: usize, limit: usize) -> Result<(), Invalid> {
    if count > limit {
        return Err(Invalid::TooLong { field: field.to_owned(), count, limit });
    }
    Ok(())
}

fn equal(what: &'static str, left: i128, right: i128) -> Result<(), Invalid> {
    if left == right { Ok(()) } else { Err(Invalid::Sum { what, left, right }) }
}

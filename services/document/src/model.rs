//! What an invoice or credit note says: the typed input of the renderer, as JSON on the wire.

use chrono::NaiveDate;
use ottery_kernel::Currency;
use serde::{Deserialize, Serialize};

use crate::{locale::Locale, palette::Color, rate::TaxRate};

/// A finished invoice or credit note. Every number is final: the renderer adds nothing up, it only refuses
/// a document whose numbers contradict each other (see [`Document::check`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Invoice or credit note.
    pub kind: Kind,
    /// Whose design the page wears.
    pub brand: Brand,
    /// The legal entity that issues the document.
    pub seller: Seller,
    /// Who is billed.
    pub buyer: Buyer,
    /// The number in the seller's series, as printed.
    pub number: String,
    /// Day of issue.
    pub issued_on: NaiveDate,
    /// Last day to pay; absent when there is nothing to wait for (credit notes, receipts).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_on: Option<NaiveDate>,
    /// Day of the payment that settled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_on: Option<NaiveDate>,
    /// Currency of every amount in the document.
    pub currency: Currency,
    /// Language and number format.
    pub locale: Locale,
    /// What was sold or credited, in printing order.
    pub lines: Vec<Line>,
    /// Tax per rate; their amounts sum up to `tax_minor`.
    #[serde(default)]
    pub tax_lines: Vec<TaxLine>,
    /// Total before tax, in minor units.
    pub subtotal_minor: i64,
    /// Tax, in minor units.
    pub tax_minor: i64,
    /// Subtotal and tax together, in minor units.
    pub total_minor: i64,
    /// Already paid (invoice) or already refunded or applied (credit note), in minor units.
    pub paid_minor: i64,
    /// Still open, in minor units.
    pub balance_minor: i64,
    /// What the stamp says.
    pub status: Status,
    /// Free text below the totals; line breaks are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// Credit notes: number of the invoice that is credited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit_of: Option<String>,
    /// Where an open invoice can be paid online (`https://…`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pay_url: Option<String>,
}

/// The papers a seller sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A demand, or the receipt of its payment.
    Invoice,
    /// Asks for money before there is an invoice; says that it is none.
    Proforma,
    /// Takes an invoice back, in whole or in part.
    CreditNote,
}

/// State printed as the stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not final yet.
    Draft,
    /// Final, nothing more to say (the usual state of a credit note).
    Issued,
    /// Waiting for payment.
    Open,
    /// Some of it is paid.
    PartiallyPaid,
    /// Settled.
    Paid,
    /// Past its due date.
    Overdue,
    /// Cancelled before payment.
    Void,
    /// Given up.
    Uncollectible,
    /// The money went back.
    Refunded,
}

/// The face of the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Brand {
    /// Shown when there is no logo, and as the author's tool in the file's properties.
    pub name: String,
    /// Colours and corners.
    #[serde(default)]
    pub tokens: Tokens,
    /// Logo as SVG source. One that cannot be drawn is replaced by the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_svg: Option<String>,
    /// Where customers ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support_email: Option<String>,
    /// Shown in the footer, without scheme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub website: Option<String>,
}

/// Design tokens of the brand. Paper is always white: tokens of a dark theme that would be illegible on it
/// are replaced by a readable neighbour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// Bars, links and the amount due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accent: Option<Color>,
    /// Body text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Color>,
    /// Panels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surface: Option<Color>,
    /// Secondary text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted: Option<Color>,
    /// Hairlines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub border: Option<Color>,
    /// Corner radius in CSS pixels, 0 to 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub radius: Option<u8>,
}

/// The legal entity that issues the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seller {
    /// Registered name.
    pub legal_name: String,
    /// Postal address, line by line.
    #[serde(default)]
    pub address_lines: Vec<String>,
    /// VAT or other tax number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_id: Option<String>,
    /// Accounting contact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// Who is billed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Buyer {
    /// Person or company.
    pub name: String,
    /// Contact address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Postal address, line by line.
    #[serde(default)]
    pub address_lines: Vec<String>,
    /// VAT or other tax number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_id: Option<String>,
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// What was sold.
    pub description: String,
    /// Time it covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// How many.
    pub quantity: i64,
    /// Price of one, in minor units.
    pub unit_minor: i64,
    /// Price of all, in minor units; negative for a discount.
    pub amount_minor: i64,
    /// Tax on this line; absent when the document carries no tax.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_rate: Option<TaxRate>,
}

/// Days a line covers, both included, as a reader expects them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// First day covered.
    pub first_day: NaiveDate,
    /// Last day covered.
    pub last_day: NaiveDate,
}

/// Tax of one rate over the whole document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaxLine {
    /// Name of the tax, such as `VAT`.
    pub name: String,
    /// Rate in percent.
    pub rate: TaxRate,
    /// Amount the tax is taken of, in minor units.
    pub taxable_minor: i64,
    /// The tax, in minor units.
    pub amount_minor: i64,
}

//! An invoice or credit note in the terms of EN 16931, the European norm for electronic invoices, and as UBL 2.1.
//!
//! Numbers in brackets (BT-…, BG-…, BR-…) are those of the norm: business terms, groups and rules. Lines are net here,
//! whatever the prices were; nothing is rounded again, so the document says what the invoice said.

mod check;
mod ubl;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use ottery_kernel::Currency;

pub use check::Gap;

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EInvoice {
    /// Invoice or credit note (BT-3).
    pub kind: Kind,
    /// The printed number (BT-1).
    pub number: String,
    /// Day of issue in the seller's zone (BT-2).
    pub issued_on: NaiveDate,
    /// Last day to pay (BT-9).
    pub due_on: Option<NaiveDate>,
    /// Currency of every amount (BT-5).
    pub currency: Currency,
    /// Free text (BT-22), such as why something is credited.
    pub note: String,
    /// Who sells (BG-4).
    pub seller: Party,
    /// Who is billed (BG-7).
    pub buyer: Party,
    /// What was sold or credited (BG-25).
    pub lines: Vec<Line>,
    /// Already paid, or already given back (BT-113), in minor units.
    pub paid_minor: i64,
}

/// The two documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Code 380.
    Invoice,
    /// Code 381.
    CreditNote {
        /// Number of the invoice it credits (BT-25).
        invoice: String,
        /// When that was issued (BT-26).
        invoice_issued_on: NaiveDate,
    },
}

/// A seller or a buyer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Party {
    /// How the seller is known where it has no VAT number (BT-29); empty for buyers.
    pub id: String,
    /// Registered name (BT-27, BT-44).
    pub name: String,
    /// The name customers know, when it is another one (BT-28).
    pub trading_name: String,
    /// Postal address without the country (BT-35 and following).
    pub address_lines: Vec<String>,
    /// ISO 3166-1 alpha-2 (BT-40, BT-55).
    pub country: String,
    /// VAT or other tax number (BT-31 or BT-32, BT-48).
    pub tax_id: String,
    /// Where to write (BT-43, BT-58).
    pub email: String,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is (BT-153).
    pub name: String,
    /// How many (BT-129); above zero.
    pub quantity: u32,
    /// Without tax, for all of them (BT-131), in minor units; negative for a discount.
    pub net_minor: i64,
    /// The tax on it, in minor units; part of the sum of its category (BT-117).
    pub tax_minor: i64,
    /// How it is taxed (BG-30).
    pub treatment: Treatment,
    /// First and last day it covers (BG-26).
    pub days: Option<(NaiveDate, NaiveDate)>,
}

/// How something is taxed: the category code (BT-151) with what it needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Treatment {
    /// `S`: taxed at a rate above zero.
    Standard {
        /// The rate in basis points.
        rate_bp: u32,
    },
    /// `Z`: taxed at zero.
    Zero,
    /// `E`: exempt.
    Exempt {
        /// Which law says so (BT-120).
        reason: String,
    },
    /// `AE`: the buyer owes the tax.
    ReverseCharge,
    /// `O`: not subject to VAT at all.
    OutOfScope {
        /// Why (BT-120).
        reason: String,
    },
}

impl Treatment {
    const fn code(&self) -> &'static str {
        match self {
            Self::Standard { .. } => "S",
            Self::Zero => "Z",
            Self::Exempt { .. } => "E",
            Self::ReverseCharge => "AE",
            Self::OutOfScope { .. } => "O",
        }
    }

    const fn rate_bp(&self) -> u32 {
        match self {
            Self::Standard { rate_bp } => *rate_bp,
            Self::Zero | Self::Exempt { .. } | Self::ReverseCharge | Self::OutOfScope { .. } => 0,
        }
    }

    /// Code of the reason without tax (BT-121) and its text (BT-120).
    fn exemption(&self) -> Option<(Option<&'static str>, &str)> {
        match self {
            Self::Standard { .. } | Self::Zero => None,
            Self::Exempt { reason } => Some((None, reason)),
            Self::ReverseCharge => Some((Some("VATEX-EU-AE"), "Reverse charge")),
            Self::OutOfScope { reason } => Some((Some("VATEX-EU-O"), reason)),
        }
    }
}

/// One row of the tax breakdown (BG-23).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct TaxSum {
    /// BT-116
    net_minor: i128,
    /// BT-117
    tax_minor: i128,
}

/// Sums of the document (BG-22).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sums {
    by_treatment: BTreeMap<Treatment, TaxSum>,
    /// BT-106 and BT-109: there are no charges or allowances beside the lines.
    net_minor: i128,
    /// BT-110
    tax_minor: i128,
}

impl Sums {
    fn of(lines: &[Line]) -> Self {
        let mut by_treatment: BTreeMap<Treatment, TaxSum> = BTreeMap::new();
        for line in lines {
            let sum = by_treatment.entry(line.treatment.clone()).or_default();
            sum.net_minor += i128::from(line.net_minor);
            sum.tax_minor += i128::from(line.tax_minor);
        }
        let net_minor = by_treatment.values().map(|sum| sum.net_minor).sum();
        let tax_minor = by_treatment.values().map(|sum| sum.tax_minor).sum();
        Self { by_treatment, net_minor, tax_minor }
    }

    /// BT-112
    fn gross_minor(&self) -> i128 {
        self.net_minor + self.tax_minor
    }
}

impl EInvoice {
    /// The document as UBL 2.1 (`Invoice` or `CreditNote`), UTF-8, the same bytes for the same document.
    ///
    /// # Errors
    /// When something is missing or cannot be said in EN 16931; a document is valid or not written at all.
    pub fn to_ubl(&self) -> Result<String, Gap> {
        let sums = Sums::of(&self.lines);
        self.check(&sums)?;
        Ok(ubl::write(self, &sums))
    }
}

/// A tax number without the blanks and dots people write into it.
fn plain(tax_id: &str) -> String {
    tax_id.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase()
}

/// The VAT number of a party: what begins with the country's own prefix (BR-CO-09). Greece writes EL, Northern Ireland XI.
fn vat_number(party: &Party) -> Option<String> {
    let number = plain(&party.tax_id);
    let prefix = number.get(..2)?;
    let is_own = match party.country.as_str() {
        "GR" => prefix == "EL",
        "GB" => prefix == "GB" || prefix == "XI",
        country => prefix == country,
    };
    (is_own && number.len() > 3).then_some(number)
}

//! What keeps an invoice from being said in EN 16931. The rules here are those that data can break; the shape of the
//! document keeps the others.

use ottery_kernel::Currency;

use super::{EInvoice, Kind, Line, Sums, TaxSum, Treatment, vat_number};

/// Decimals the norm allows in an amount (BR-DEC-…).
const DECIMALS_MAX: u32 = 2;
/// Basis points in a whole.
const WHOLE_BP: i128 = 10_000;

/// Why there is no e-invoice; each names the field, the rule and where it is set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    /// A field the norm insists on is empty.
    #[error("{field} is empty and EN 16931 needs it ({rule}): set {place}; invoices issued from then on carry it")]
    Missing {
        /// Path in the invoice.
        field: &'static str,
        /// The business term or rule.
        rule: &'static str,
        /// Where it is set.
        place: &'static str,
    },
    /// A country that is none.
    #[error("{field} is `{value}`; EN 16931 needs two capital letters of ISO 3166-1 ({rule}): correct {place}")]
    Country {
        /// Path in the invoice.
        field: &'static str,
        /// What it is.
        value: String,
        /// The business term.
        rule: &'static str,
        /// Where it is set.
        place: &'static str,
    },
    /// An amount finer than the norm allows.
    #[error(
        "{field} is {amount}; amounts of an EN 16931 invoice have at most 2 decimals (BR-DEC), so prices in {currency} must end in 0 to be sent as one"
    )]
    Decimals {
        /// Path in the invoice.
        field: String,
        /// What it is.
        amount: String,
        /// Its currency.
        currency: Currency,
    },
    /// Tax that was rounded line by line so often that it left the tolerance.
    #[error(
        "the tax of {rate} % is {tax} on {net} {currency}; EN 16931 allows less than one unit of difference to the rate (BR-CO-17), and rounding line by line went beyond"
    )]
    Rounding {
        /// The rate in percent.
        rate: String,
        /// The tax as invoiced.
        tax: String,
        /// What it was taken of.
        net: String,
        /// Their currency.
        currency: Currency,
    },
    /// Lines outside of VAT beside lines within.
    #[error(
        "lines[{line}] is not subject to VAT and others are; EN 16931 knows no such invoice (BR-O-11): bill them apart"
    )]
    Mixed {
        /// Index of the first line outside.
        line: usize,
    },
}

impl Gap {
    /// The field at fault, when it is one.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Missing { field, .. } | Self::Country { field, .. } => Some(field),
            Self::Decimals { field, .. } => Some(field),
            Self::Rounding { .. } | Self::Mixed { .. } => None,
        }
    }
}

const ENTITY: &str = "it on the brand's legal entity";
const ACCOUNT: &str = "it on the customer's account or in the order";

impl EInvoice {
    pub(super) fn check(&self, sums: &Sums) -> Result<(), Gap> {
        filled("seller.name", "BT-27", ENTITY, &self.seller.name)?;
        filled("buyer.name", "BT-44", ACCOUNT, &self.buyer.name)?;
        country("seller.country", "BT-40", ENTITY, &self.seller.country)?;
        country("buyer.country", "BT-55", ACCOUNT, &self.buyer.country)?;
        filled("number", "BT-1", "a number by finalising it", &self.number)?;
        if self.lines.is_empty() {
            return Err(Gap::Missing { field: "lines", rule: "BR-16", place: "at least one line" });
        }
        if let Kind::CreditNote { invoice, .. } = &self.kind {
            filled("credit_of", "BT-25", "the number of the invoice", invoice)?;
        }
        self.check_taxes(sums)?;
        self.check_amounts(sums)
    }

    fn check_taxes(&self, sums: &Sums) -> Result<(), Gap> {
        let outside = |line: &Line| matches!(line.treatment, Treatment::OutOfScope { .. });
        if let Some(line) = self.lines.iter().position(outside)
            && !self.lines.iter().all(outside)
        {
            return Err(Gap::Mixed { line });
        }
        let is_outside = self.lines.iter().any(outside);
        if !is_outside {
            filled("seller.tax_id", "BR-S-02, BR-Z-02, BR-E-02, BR-AE-02", ENTITY, &self.seller.tax_id)?;
        }
        for (treatment, sum) in &sums.by_treatment {
            match treatment {
                Treatment::ReverseCharge if vat_number(&self.buyer).is_none() => {
                    return Err(Gap::Missing { field: "buyer.tax_id", rule: "BR-AE-02", place: ACCOUNT });
                }
                Treatment::Exempt { reason } | Treatment::OutOfScope { reason } => {
                    filled("tax.reason", "BR-E-10, BR-O-10", "why no tax is charged on the tax rule", reason)?;
                }
                Treatment::Standard { .. } | Treatment::Zero | Treatment::ReverseCharge => {}
            }
            if !is_within_tolerance(*sum, treatment.rate_bp(), self.currency) {
                return Err(Gap::Rounding {
                    rate: rate(treatment.rate_bp()),
                    tax: exact(sum.tax_minor, self.currency),
                    net: exact(sum.net_minor, self.currency),
                    currency: self.currency,
                });
            }
        }
        Ok(())
    }

    fn check_amounts(&self, sums: &Sums) -> Result<(), Gap> {
        let within = |field: String, minor: i128| {
            if decimal(minor, self.currency).is_some() {
                return Ok(());
            }
            Err(Gap::Decimals { field, amount: exact(minor, self.currency), currency: self.currency })
        };
        for (index, line) in self.lines.iter().enumerate() {
            within(format!("lines[{index}].amount without tax"), line.net_minor.into())?;
        }
        for sum in sums.by_treatment.values() {
            within("tax".to_owned(), sum.tax_minor)?;
        }
        within("paid".to_owned(), self.paid_minor.into())
    }
}

fn filled(field: &'static str, rule: &'static str, place: &'static str, text: &str) -> Result<(), Gap> {
    if text.trim().is_empty() { Err(Gap::Missing { field, rule, place }) } else { Ok(()) }
}

fn country(field: &'static str, rule: &'static str, place: &'static str, code: &str) -> Result<(), Gap> {
    filled(field, rule, place, code)?;
    if code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(Gap::Country { field, value: code.to_owned(), rule, place })
}

/// BR-CO-17: the tax differs from taxable amount times rate, rounded to two decimals, by less than one unit of the currency.
fn is_within_tolerance(sum: TaxSum, rate_bp: u32, currency: Currency) -> bool {
    if rate_bp == 0 {
        return sum.tax_minor == 0;
    }
    let unit = i128::from(currency.minor_per_unit());
    // Both sides in hundredths of a unit, half a hundredth rounded up.
    let divisor = WHOLE_BP * unit;
    let due = (sum.net_minor.abs() * i128::from(rate_bp) * 100 * 2 + divisor) / (divisor * 2);
    let tax = sum.tax_minor.abs() * 100 / unit;
    (tax - due).abs() < 100
}

/// An amount in the decimals of its currency, at most two; `None` when it is finer.
pub(super) fn decimal(minor: i128, currency: Currency) -> Option<String> {
    let exponent = currency.exponent();
    let shown = exponent.min(DECIMALS_MAX);
    let coarser = 10_i128.pow(exponent - shown);
    (minor % coarser == 0).then(|| digits(minor / coarser, shown))
}

fn exact(minor: i128, currency: Currency) -> String {
    digits(minor, currency.exponent())
}

fn digits(minor: i128, exponent: u32) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let (units, one) = (minor.unsigned_abs(), 10_u128.pow(exponent));
    if exponent == 0 {
        return format!("{sign}{units}");
    }
    let width = usize::try_from(exponent).unwrap_or_default();
    format!("{sign}{}.{:0width$}", units / one, units % one)
}

/// Basis points as percent: `19`, `5.50`.
pub(super) fn rate(basis_points: u32) -> String {
    let (whole, rest) = (basis_points / 100, basis_points % 100);
    if rest == 0 { whole.to_string() } else { format!("{whole}.{rest:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_017_amounts_have_the_decimals_of_their_currency_and_never_more_than_two() {
        let kwd = "KWD".parse().unwrap();
        assert_eq!(decimal(1000, Currency::JPY).as_deref(), Some("1000"));
        assert_eq!(decimal(-1005, Currency::EUR).as_deref(), Some("-10.05"));
        assert_eq!(decimal(10_500, kwd).as_deref(), Some("10.50"));
        assert_eq!(decimal(10_501, kwd), None);
        assert_eq!(exact(10_501, kwd), "10.501");
    }

    #[test]
    fn tax_may_differ_from_its_rate_by_less_than_one_unit() {
        let sum = |net_minor, tax_minor| TaxSum { net_minor, tax_minor };
        // Ten lines of 9.99 with 19 % inside: 1.60 each, where the sum would have 15.95.
        assert!(is_within_tolerance(sum(8390, 1600), 1900, Currency::EUR));
        assert!(is_within_tolerance(sum(909, 91), 1000, Currency::JPY));
        assert!(!is_within_tolerance(sum(909, 92), 1000, Currency::JPY));
        assert!(!is_within_tolerance(sum(1000, 1), 0, Currency::EUR));
        assert!(is_within_tolerance(sum(-1000, -190), 1900, Currency::EUR));
    }
}

//! The text of a QR code that banks' apps fill a transfer in from: EPC069-12, "Quick Response Code: Guidelines to Enable Data Capture for
//! the Initiation of a SEPA Credit Transfer", version 2.1. Lines in a fixed order: service tag, version, character set, identification,
//! BIC, name, IBAN, amount, purpose, structured or else unstructured remittance, a note. Version 002 may leave the BIC out; at most 331
//! bytes, error correction M.

use ottery_kernel::{Currency, Money};

use super::{Bic, Iban, Reference};

/// Longest name of who is paid, in characters.
const NAME_CHARS_MAX: usize = 70;
/// Most that one code asks for: 999999999.99.
const MINOR_MAX: i64 = 99_999_999_999;
/// What the largest allowed code, version 13, holds.
const BYTES_MAX: usize = 331;

/// A transfer that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Transfer<'a> {
    /// Who is paid.
    pub beneficiary: &'a str,
    /// Into which account.
    pub iban: &'a Iban,
    /// At which bank; its country's IBAN mostly says so.
    pub bic: Option<&'a Bic>,
    /// How much.
    pub amount: Money,
    /// What the payer writes on it.
    pub reference: &'a Reference,
}

/// Why there is no code of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferRefused {
    /// SEPA knows euros alone.
    #[error("codes for transfers are of EUR alone, not of {0}")]
    Currency(Currency),
    /// Outside of 0.01 to 999999999.99.
    #[error("{0} does not fit a code: 0.01 to 999999999.99 does")]
    Amount(Money),
    /// A name that is missing, too long, or of several lines.
    #[error("the name of who is paid has 1 to 70 characters on one line")]
    Name,
    /// More than the largest code holds.
    #[error("the transfer has more than {BYTES_MAX} bytes")]
    Long,
}

impl Transfer<'_> {
    /// The text of the code.
    ///
    /// # Errors
    /// When a code cannot say it.
    pub fn payload(&self) -> Result<String, TransferRefused> {
        if self.amount.currency != Currency::EUR {
            return Err(TransferRefused::Currency(self.amount.currency));
        }
        if !(1..=MINOR_MAX).contains(&self.amount.minor) {
            return Err(TransferRefused::Amount(self.amount));
        }
        let name = self.beneficiary.trim();
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
            return Err(TransferRefused::Name);
        }
        let amount = format!("EUR{}.{:02}", self.amount.minor / 100, self.amount.minor % 100);
        let bic = self.bic.map(Bic::as_str).unwrap_or_default();
        // 1 is UTF-8. No purpose; the reference is a structured one, so that nothing may stand in the line after it, and that is left out.
        let lines = ["BCD", "002", "1", "SCT", bic, name, self.iban.as_str(), &amount, "", self.reference.as_str()];
        let text = lines.join("\n");
        if text.len() > BYTES_MAX { Err(TransferRefused::Long) } else { Ok(text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(amount: Money, name: &str, bic: Option<&str>) -> Result<String, TransferRefused> {
        let (iban, bic): (Iban, Option<Bic>) =
            ("DE89370400440532013000".parse().unwrap(), bic.map(|bic| bic.parse().unwrap()));
        let reference = Reference::of([0; 8]);
        Transfer { beneficiary: name, iban: &iban, bic: bic.as_ref(), amount, reference: &reference }.payload()
    }

    #[test]
    fn lines_are_in_the_order_of_the_guideline() {
        let reference = Reference::of([0; 8]);
        assert_eq!(
            payload(Money::new(1_230, Currency::EUR), "Müller TV GmbH", Some("COBADEFFXXX")).unwrap(),
            format!("BCD\n002\n1\nSCT\nCOBADEFFXXX\nMüller TV GmbH\nDE89370400440532013000\nEUR12.30\n\n{reference}")
        );
        let without = payload(Money::new(5, Currency::EUR), "A", None).unwrap();
        let lines: Vec<&str> = without.split('\n').collect();
        assert_eq!((lines[4], lines[7], lines.len()), ("", "EUR0.05", 10));
    }

    #[test]
    fn what_no_code_can_say_is_refused() {
        let eur = |minor| Money::new(minor, Currency::EUR);
        assert_eq!(payload(Money::new(1, Currency::USD), "A", None), Err(TransferRefused::Currency(Currency::USD)));
        for wrong in [0, -1, MINOR_MAX + 1] {
            assert_eq!(payload(eur(wrong), "A", None), Err(TransferRefused::Amount(eur(wrong))));
        }
        for wrong in ["", "  ", "A\nEUR1.00", &"A".repeat(71)] {
            assert_eq!(payload(eur(100), wrong, None), Err(TransferRefused::Name), "{wrong}");
        }
        assert_eq!(payload(eur(100), &"\u{1F4FA}".repeat(70), Some("COBADEFFXXX")), Err(TransferRefused::Long));
        assert!(payload(eur(MINOR_MAX), &"ü".repeat(70), None).unwrap().ends_with(Reference::of([0; 8]).as_str()));
    }
}

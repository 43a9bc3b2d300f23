//! What an operator says of an account whose payments people record.

use std::collections::BTreeSet;

use ottery_kernel::{Currency, Money};
use serde::{Deserialize, Serialize};

use super::{Bic, BicError, Iban, IbanError};

/// Longest beneficiary: what codes for transfers hold.
const NAME_CHARS_MAX: usize = 70;
/// Longest free text.
const TEXT_CHARS_MAX: usize = 1_000;
/// Longest wait that is told, in days.
const DAYS_MAX: u32 = 60;
/// Currencies with a limit.
const LIMITS_MAX: usize = 50;

/// Up to how much one person alone may say that it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AloneUpTo {
    /// Of which currency; one without a limit: one person always is enough.
    pub currency: Currency,
    /// In minor units; 0: two always are needed.
    pub minor: i64,
}

/// What payers are told, and what staff has to keep to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHandTerms {
    /// Who is paid.
    pub beneficiary: String,
    /// Into which account; empty for cash.
    pub iban: String,
    /// Of which bank; empty when the IBAN says enough.
    pub bic: String,
    /// The bank's name; may be empty.
    pub bank: String,
    /// What payers are told besides: opening hours, where to hand it over.
    pub note: String,
    /// How many days it may take until the money is here and recorded; 0: nothing is said of it.
    pub days: u32,
    /// Above these amounts a second person has to agree.
    pub alone_up_to: Vec<AloneUpTo>,
}

/// Terms that help nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermsRefused {
    /// Nobody to pay.
    #[error("say who is paid, in 1 to {NAME_CHARS_MAX} characters on one line")]
    Beneficiary,
    /// A wrong account.
    #[error(transparent)]
    Iban(IbanError),
    /// Cash goes to no account.
    #[error("cash is paid into no account; leave it empty")]
    IbanOfCash,
    /// A wrong bank.
    #[error(transparent)]
    Bic(BicError),
    /// The name of the bank.
    #[error("at most {NAME_CHARS_MAX} characters on one line")]
    Bank,
    /// Too long.
    #[error("at most {TEXT_CHARS_MAX} characters")]
    Note,
    /// Cash needs a place.
    #[error("say where and when cash is taken")]
    NoPlace,
    /// Too long to wait.
    #[error("at most {DAYS_MAX} days")]
    Days,
    /// A negative limit, or two of one currency.
    #[error("each currency has one limit of zero or more")]
    Limits,
}

impl TermsRefused {
    /// Which field of the terms is meant.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Beneficiary => "beneficiary",
            Self::Iban(_) | Self::IbanOfCash => "iban",
            Self::Bic(_) => "bic",
            Self::Bank => "bank",
            Self::Note | Self::NoPlace => "note",
            Self::Days => "days",
            Self::Limits => "alone_up_to",
        }
    }
}

fn is_line(text: &str) -> bool {
    text.chars().count() <= NAME_CHARS_MAX && !text.chars().any(char::is_control)
}

impl ByHandTerms {
    /// The terms as they are kept.
    ///
    /// # Errors
    /// When nobody could pay by them.
    pub fn checked(&self, is_cash: bool) -> Result<Self, TermsRefused> {
        let (beneficiary, bank, note) = (self.beneficiary.trim(), self.bank.trim(), self.note.trim());
        if beneficiary.is_empty() || !is_line(beneficiary) {
            return Err(TermsRefused::Beneficiary);
        }
        if !is_line(bank) {
            return Err(TermsRefused::Bank);
        }
        if note.chars().count() > TEXT_CHARS_MAX
            || note.chars().any(|sign| sign.is_control() && sign != '\n' && sign != '\r')
        {
            return Err(TermsRefused::Note);
        }
        if is_cash && !self.iban.trim().is_empty() {
            return Err(TermsRefused::IbanOfCash);
        }
        if is_cash && note.is_empty() {
            return Err(TermsRefused::NoPlace);
        }
        let iban =
            if is_cash { String::new() } else { self.iban.parse::<Iban>().map_err(TermsRefused::Iban)?.to_string() };
        let bic = match self.bic.trim() {
            "" => String::new(),
            text => text.parse::<Bic>().map_err(TermsRefused::Bic)?.as_str().to_owned(),
        };
        if self.days > DAYS_MAX {
            return Err(TermsRefused::Days);
        }
        let currencies: BTreeSet<Currency> = self.alone_up_to.iter().map(|limit| limit.currency).collect();
        let is_negative = self.alone_up_to.iter().any(|limit| limit.minor < 0);
        if is_negative || currencies.len() != self.alone_up_to.len() || currencies.len() > LIMITS_MAX {
            return Err(TermsRefused::Limits);
        }
        let mut alone_up_to = self.alone_up_to.clone();
        alone_up_to.sort_unstable_by_key(|limit| limit.currency);
        Ok(Self {
            beneficiary: beneficiary.to_owned(),
            iban,
            bic,
            bank: bank.to_owned(),
            note: note.to_owned(),
            days: self.days,
            alone_up_to,
        })
    }

    /// Whether one person is enough for that amount.
    #[must_use]
    pub fn is_enough_alone(&self, amount: Money) -> bool {
        self.alone_up_to
            .iter()
            .filter(|limit| limit.currency == amount.currency)
            .all(|limit| amount.minor <= limit.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bank() -> ByHandTerms {
        ByHandTerms {
            beneficiary: " Otter TV ".to_owned(),
            iban: "de89 3704 0044 0532 0130 00".to_owned(),
            ..ByHandTerms::default()
        }
    }

    #[test]
    fn what_is_typed_is_kept_as_machines_read_it() {
        let kept = bank().checked(false).unwrap();
        assert_eq!((kept.beneficiary.as_str(), kept.iban.as_str()), ("Otter TV", "DE89370400440532013000"));
    }

    #[test]
    fn what_is_wrong_names_its_field() {
        let refused = |terms: ByHandTerms, is_cash| terms.checked(is_cash).unwrap_err().field();
        assert_eq!(refused(ByHandTerms { beneficiary: String::new(), ..bank() }, false), "beneficiary");
        assert_eq!(refused(ByHandTerms { iban: "DE88370400440532013000".to_owned(), ..bank() }, false), "iban");
        assert_eq!(refused(ByHandTerms { iban: String::new(), ..bank() }, false), "iban");
        assert_eq!(refused(bank(), true), "iban");
        assert_eq!(refused(ByHandTerms { iban: String::new(), ..bank() }, true), "note");
        assert_eq!(refused(ByHandTerms { bic: "X".to_owned(), ..bank() }, false), "bic");
        assert_eq!(refused(ByHandTerms { bank: "a\nb".to_owned(), ..bank() }, false), "bank");
        assert_eq!(refused(ByHandTerms { note: "n".repeat(1_001), ..bank() }, false), "note");
        assert_eq!(refused(ByHandTerms { days: 61, ..bank() }, false), "days");
        let limit = AloneUpTo { currency: Currency::EUR, minor: 1 };
        assert_eq!(refused(ByHandTerms { alone_up_to: vec![limit, limit], ..bank() }, false), "alone_up_to");
        let negative = AloneUpTo { minor: -1, ..limit };
        assert_eq!(refused(ByHandTerms { alone_up_to: vec![negative], ..bank() }, false), "alone_up_to");
    }

    #[test]
    fn a_limit_of_zero_asks_for_two_always() {
        let always = ByHandTerms { alone_up_to: vec![AloneUpTo { currency: Currency::EUR, minor: 0 }], ..bank() };
        assert!(!always.is_enough_alone(Money::new(1, Currency::EUR)));
        assert!(always.is_enough_alone(Money::new(1, Currency::USD)));
    }
}

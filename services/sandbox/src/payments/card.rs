//! Test cards and what becomes of them.

use super::model::Card;

/// Number, meaning on the page.
pub const CARDS: &[(&str, &str)] = &[
    ("4242 4242 4242 4242", "succeeds, also later"),
    ("4000 0000 0000 0002", "declined"),
    ("4000 0000 0000 9995", "not enough funds"),
    ("4000 0000 0000 9979", "stolen"),
    ("4000 0000 0000 0069", "expired"),
    ("4000 0000 0000 0127", "wrong code"),
    ("4000 0000 0000 0119", "bank not reached"),
    ("4000 0000 0000 3220", "asks to confirm, now and on every renewal"),
    ("4000 0000 0000 0341", "succeeds now, declined on renewals"),
    ("4000 0000 0000 9987", "succeeds now, stolen on renewals"),
    ("4000 0000 0000 6668", "takes a while, then succeeds"),
    ("4000 0000 0000 6676", "takes a while, then fails"),
    ("4000 0000 0000 0259", "succeeds, then is disputed"),
    ("4000 0000 0000 5126", "succeeds, refunds fail later"),
];

/// How a try ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeds,
    Declined(&'static str),
    /// On-session: the cardholder is asked.
    Challenge,
    /// Settles later, well or not.
    Slow {
        succeeds: bool,
    },
    /// Succeeds and is disputed at once.
    Disputed,
}

impl Card {
    /// Reads what was typed into the page.
    pub fn read(number: &str, expiry: &str) -> Result<Self, &'static str> {
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        if !CARDS.iter().any(|(known, _)| known.replace(' ', "") == digits) {
            return Err("This is a sandbox: use one of the test cards below.");
        }
        let (month, year) = expiry.split_once('/').ok_or("Write the expiry as MM/YY.")?;
        let exp_month = month.trim().parse().ok().filter(|month| (1..=12).contains(month));
        let exp_year: Option<i32> = year.trim().parse().ok().map(|year| if year < 100 { 2000 + year } else { year });
        match (exp_month, exp_year) {
            (Some(exp_month), Some(exp_year)) => Ok(Self { number: digits, exp_month, exp_year }),
            _ => Err("Write the expiry as MM/YY."),
        }
    }

    /// What the bank says. With `is_confirmed` the cardholder has confirmed.
    pub fn outcome(&self, off_session: bool, is_confirmed: bool) -> Outcome {
        match (self.number.get(12..).unwrap_or_default(), off_session) {
            ("0002", _) | ("0341", true) => Outcome::Declined("generic_decline"),
            ("9995", _) => Outcome::Declined("insufficient_funds"),
            ("9979", _) | ("9987", true) => Outcome::Declined("stolen_card"),
            ("0069", _) => Outcome::Declined("expired_card"),
            ("0127", _) => Outcome::Declined("incorrect_cvc"),
            ("0119", _) => Outcome::Declined("processing_error"),
            ("3220", true) => Outcome::Declined("authentication_required"),
            ("3220", false) if !is_confirmed => Outcome::Challenge,
            ("6668", _) => Outcome::Slow { succeeds: true },
            ("6676", _) => Outcome::Slow { succeeds: false },
            ("0259", _) => Outcome::Disputed,
            _ => Outcome::Succeeds,
        }
    }

    /// Whether a refund to this card fails after a while.
    pub fn refuses_refunds(&self) -> bool {
        self.number.ends_with("5126")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_behave_differently_with_and_without_the_customer() {
        let card = |number: &str| Card::read(number, "12/39").expect("a test card");
        assert_eq!(card("4000 0000 0000 0341").outcome(false, false), Outcome::Succeeds);
        assert_eq!(card("4000000000000341").outcome(true, false), Outcome::Declined("generic_decline"));
        assert_eq!(card("4000000000003220").outcome(false, false), Outcome::Challenge);
        assert_eq!(card("4000000000003220").outcome(false, true), Outcome::Succeeds);
        assert_eq!(card("4000000000003220").outcome(true, false), Outcome::Declined("authentication_required"));
    }

    #[test]
    fn real_card_numbers_are_refused() {
        assert!(Card::read("4111 1111 1111 1111", "12/39").is_err());
    }
}

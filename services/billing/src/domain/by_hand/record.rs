//! The life of what a person says has come (or was sent back), and who has to agree to it.

use std::fmt;

use ottery_kernel::Money;

use super::ByHandTerms;

/// Somebody who may say what came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Account, key or service, as the audit chain names it.
    pub subject: String,
    /// A person of staff. A key is nobody's second pair of eyes: whoever made it may be the one who recorded.
    pub is_person: bool,
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Money of somebody unknown: it belongs to no payment yet.
    Unassigned,
    /// Recorded; a second person has to agree.
    Waiting,
    /// In the books.
    Confirmed,
    /// It was none after all.
    TakenBack,
}

/// What may happen to a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Somebody found out whose it is.
    Assign,
    /// Somebody agrees.
    Confirm,
    /// It was none after all.
    TakeBack,
}

/// The answer to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It stands there now, and nothing is to be booked.
    Moved(State),
    /// It is to be booked now.
    Book,
    /// What was booked is to be booked back now.
    BookBack,
    /// It is there already.
    AlreadyThere,
}

/// A move that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordRefused {
    /// Who recorded cannot be the one who agrees.
    #[error("whoever recorded this cannot confirm it as well; ask somebody else with the right")]
    SamePerson,
    /// A program is no second person.
    #[error("an API key is no second person; somebody of staff has to confirm this in their own session")]
    NoPerson,
    /// Nobody knows whose it is.
    #[error("nobody knows yet whose money this is; assign it to a payment first")]
    Unassigned,
    /// It was taken back.
    #[error("this record was taken back; record anew what came")]
    TakenBack,
    /// It belongs to a payment already.
    #[error("this record belongs to a payment already; take it back and record it anew")]
    Assigned,
}

/// What decides about a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub state: State,
    /// How much.
    pub amount: Money,
    /// Who said so, or who said whose it is: that is the one who must not agree.
    pub by: Person,
}

impl Record {
    /// Of money for a payment (or out of one), said by somebody: whether a second person is needed, is for the account's terms to say.
    #[must_use]
    pub fn begin(amount: Money, by: Person, terms: &ByHandTerms) -> (Self, Outcome) {
        let is_alone = terms.is_enough_alone(amount);
        let record = Self { state: State::Waiting, amount, by };
        (record, if is_alone { Outcome::Book } else { Outcome::Moved(State::Waiting) })
    }

    /// Decides a move by that person.
    ///
    /// # Errors
    /// When the state or the four-eyes rule forbids it.
    pub fn on(&self, command: &Command, by: &Person, terms: &ByHandTerms) -> Result<Outcome, RecordRefused> {
        use {Command as C, State as S};
        match (self.state, command) {
            (S::Unassigned, C::Assign) => Ok(Self::begin(self.amount, by.clone(), terms).1),
            (S::Unassigned, C::Confirm) => Err(RecordRefused::Unassigned),
            (S::Waiting, C::Confirm) if !by.is_person => Err(RecordRefused::NoPerson),
            (S::Waiting, C::Confirm) if by.subject == self.by.subject => Err(RecordRefused::SamePerson),
            (S::Waiting, C::Confirm) => Ok(Outcome::Book),
            (S::Unassigned | S::Waiting, C::TakeBack) => Ok(Outcome::Moved(S::TakenBack)),
            (S::Confirmed, C::TakeBack) => Ok(Outcome::BookBack),
            (S::Confirmed, C::Confirm) | (S::TakenBack, C::TakeBack) => Ok(Outcome::AlreadyThere),
            (S::Waiting | S::Confirmed, C::Assign) => Err(RecordRefused::Assigned),
            (S::TakenBack, C::Assign | C::Confirm) => Err(RecordRefused::TakenBack),
        }
    }
}

impl State {
    const ALL: [Self; 4] = [Self::Unassigned, Self::Waiting, Self::Confirmed, Self::TakenBack];

    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unassigned => "unassigned",
            Self::Waiting => "waiting",
            Self::Confirmed => "confirmed",
            Self::TakenBack => "taken_back",
        }
    }

    /// The state stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use ottery_kernel::Currency;

    use super::super::AloneUpTo;
    use super::*;

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::EUR)
    }

    fn terms() -> ByHandTerms {
        ByHandTerms {
            alone_up_to: vec![AloneUpTo { currency: Currency::EUR, minor: 10_000 }],
            ..ByHandTerms::default()
        }
    }

    fn person(subject: &str) -> Person {
        Person { subject: subject.to_owned(), is_person: true }
    }

    fn key(subject: &str) -> Person {
        Person { is_person: false, ..person(subject) }
    }

    fn record(state: State) -> Record {
        Record { state, amount: eur(10_001), by: person("acc_1") }
    }

    #[test]
    fn one_person_is_enough_up_to_the_limit_and_two_are_needed_above() {
        assert_eq!(Record::begin(eur(10_000), person("acc_1"), &terms()).1, Outcome::Book);
        assert_eq!(Record::begin(eur(10_001), person("acc_1"), &terms()).1, Outcome::Moved(State::Waiting));
        assert_eq!(Record::begin(Money::new(99_999_999, Currency::USD), person("acc_1"), &terms()).1, Outcome::Book);
    }

    #[test]
    fn the_second_person_is_another_one_and_no_key() {
        let waiting = record(State::Waiting);
        let confirm = |by: &Person| waiting.on(&Command::Confirm, by, &terms());
        assert_eq!(confirm(&person("acc_1")), Err(RecordRefused::SamePerson));
        assert_eq!(confirm(&key("key_1")), Err(RecordRefused::NoPerson));
        assert_eq!(confirm(&person("acc_2")), Ok(Outcome::Book));
        // A key may record; a person confirms what it did.
        let by_key = Record { by: key("key_1"), ..waiting };
        assert_eq!(by_key.on(&Command::Confirm, &person("acc_2"), &terms()), Ok(Outcome::Book));
    }

    #[test]
    fn who_says_whose_it_is_counts_as_who_recorded() {
        let unassigned = record(State::Unassigned);
        assert_eq!(unassigned.on(&Command::Assign, &person("acc_2"), &terms()), Ok(Outcome::Moved(State::Waiting)));
        let small = Record { amount: eur(1), ..unassigned.clone() };
        assert_eq!(small.on(&Command::Assign, &person("acc_2"), &terms()), Ok(Outcome::Book));
        assert_eq!(unassigned.on(&Command::Confirm, &person("acc_2"), &terms()), Err(RecordRefused::Unassigned));
    }

    #[test]
    fn only_what_is_booked_is_booked_back_and_once() {
        let by = person("acc_2");
        let back = |state| record(state).on(&Command::TakeBack, &by, &terms());
        assert_eq!(back(State::Unassigned), Ok(Outcome::Moved(State::TakenBack)));
        assert_eq!(back(State::Waiting), Ok(Outcome::Moved(State::TakenBack)));
        assert_eq!(back(State::Confirmed), Ok(Outcome::BookBack));
        assert_eq!(back(State::TakenBack), Ok(Outcome::AlreadyThere));
        assert_eq!(record(State::Confirmed).on(&Command::Confirm, &by, &terms()), Ok(Outcome::AlreadyThere));
        assert_eq!(record(State::TakenBack).on(&Command::Confirm, &by, &terms()), Err(RecordRefused::TakenBack));
        assert_eq!(record(State::Confirmed).on(&Command::Assign, &by, &terms()), Err(RecordRefused::Assigned));
    }

    #[test]
    fn states_read_back() {
        for state in State::ALL {
            assert_eq!(State::from_text(state.as_str()), Some(state));
        }
    }
}

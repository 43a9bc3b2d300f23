//! The life of an order.

use std::fmt;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Staff have to look at it first: nothing is asked for, charged or served.
    UnderReview,
    /// Its invoice is open.
    AwaitingPayment,
    /// Settled, or nothing was due.
    Paid,
    /// Given up before it was paid.
    Cancelled,
}

/// What may happen to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Staff accept it.
    Approve,
    /// Its invoice was settled.
    Pay,
    /// Nobody paid in time, or it was withdrawn.
    Cancel,
}

/// The answer to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is now in this state.
    Moved(State),
    /// It was there already.
    AlreadyThere,
}

/// A move the state forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {state} cannot be {}", match command { Command::Approve => "approved", Command::Pay => "paid", Command::Cancel => "cancelled" })]
pub struct Refused {
    /// Where it stands.
    pub state: State,
    /// What was asked.
    pub command: Command,
}

impl State {
    /// Decides a move.
    ///
    /// # Errors
    /// When a paid order is cancelled, a cancelled one paid, or one paid or approved that does not wait for it.
    pub const fn on(self, command: Command) -> Result<Outcome, Refused> {
        match (self, command) {
            (Self::UnderReview, Command::Approve) => Ok(Outcome::Moved(Self::AwaitingPayment)),
            (Self::AwaitingPayment, Command::Pay) => Ok(Outcome::Moved(Self::Paid)),
            (Self::UnderReview | Self::AwaitingPayment, Command::Cancel) => Ok(Outcome::Moved(Self::Cancelled)),
            (Self::Paid, Command::Pay) | (Self::Cancelled, Command::Cancel) => Ok(Outcome::AlreadyThere),
            (state @ Self::Paid, command @ (Command::Approve | Command::Cancel))
            | (state @ Self::Cancelled, command @ (Command::Approve | Command::Pay))
            | (state @ Self::UnderReview, command @ Command::Pay)
            | (state @ Self::AwaitingPayment, command @ Command::Approve) => Err(Refused { state, command }),
        }
    }

    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnderReview => "under_review",
            Self::AwaitingPayment => "awaiting_payment",
            Self::Paid => "paid",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::UnderReview, Self::AwaitingPayment, Self::Paid, Self::Cancelled]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnderReview => "under review",
            Self::AwaitingPayment => "awaiting payment",
            Self::Paid => "paid",
            Self::Cancelled => "cancelled",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paying_twice_changes_nothing_and_a_cancelled_order_stays_cancelled() {
        assert_eq!(State::AwaitingPayment.on(Command::Pay), Ok(Outcome::Moved(State::Paid)));
        assert_eq!(State::Paid.on(Command::Pay), Ok(Outcome::AlreadyThere));
        let refused = State::Cancelled.on(Command::Pay).unwrap_err();
        assert_eq!(refused.to_string(), "an order that is cancelled cannot be paid");
        assert!(State::Paid.on(Command::Cancel).is_err());
    }

    #[test]
    fn nobody_pays_an_order_before_staff_have_approved_it() {
        assert!(State::UnderReview.on(Command::Pay).is_err());
        assert_eq!(State::UnderReview.on(Command::Approve), Ok(Outcome::Moved(State::AwaitingPayment)));
        assert_eq!(State::UnderReview.on(Command::Cancel), Ok(Outcome::Moved(State::Cancelled)));
        let refused = State::Cancelled.on(Command::Approve).unwrap_err();
        assert_eq!(refused.to_string(), "an order that is cancelled cannot be approved");
    }
}

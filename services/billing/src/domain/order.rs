//! The life of an order.

use std::fmt;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
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
#[error("an order that is {state} cannot be {}", match command { Command::Pay => "paid", Command::Cancel => "cancelled" })]
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
    /// When a paid order is cancelled, or a cancelled one paid.
    pub const fn on(self, command: Command) -> Result<Outcome, Refused> {
        match (self, command) {
            (Self::AwaitingPayment, Command::Pay) => Ok(Outcome::Moved(Self::Paid)),
            (Self::AwaitingPayment, Command::Cancel) => Ok(Outcome::Moved(Self::Cancelled)),
            (Self::Paid, Command::Pay) | (Self::Cancelled, Command::Cancel) => Ok(Outcome::AlreadyThere),
            (state @ Self::Paid, command @ Command::Cancel) | (state @ Self::Cancelled, command @ Command::Pay) => {
                Err(Refused { state, command })
            }
        }
    }

    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingPayment => "awaiting_payment",
            Self::Paid => "paid",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::AwaitingPayment, Self::Paid, Self::Cancelled].into_iter().find(|state| state.as_str() == text)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
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
}

//! The life of a refund: nothing is booked before the provider has paid it out.

use std::fmt;

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Written down; the provider has not heard of it.
    Requested,
    /// The call is on its way.
    Sent,
    /// The provider has it and has not paid out yet.
    Pending,
    /// The answer was lost.
    Unknown,
    /// Paid out.
    Succeeded,
    /// The provider will not pay it out.
    Failed,
}

/// What may happen to a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The call is made now; after a lost answer again, with the same key.
    Send,
    /// The provider surely heard nothing.
    TakeBack,
    /// The answer was lost.
    Lose,
    /// The provider has it.
    Wait,
    /// Paid out.
    Succeed,
    /// The provider refused.
    Fail,
}

/// The answer to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is now in this state.
    Moved(State),
    /// It is there already, or knows better.
    AlreadyThere,
}

/// A move the state forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a refund that is {state} cannot be sent (again)")]
pub struct Refused {
    /// Where it stands.
    pub state: State,
}

impl State {
    const ALL: [Self; 6] = [Self::Requested, Self::Sent, Self::Pending, Self::Unknown, Self::Succeeded, Self::Failed];

    /// Decides a move.
    ///
    /// # Errors
    /// When a refund would be sent that is not waiting for it.
    pub const fn on(self, command: Command) -> Result<Outcome, Refused> {
        use {Command as C, State as S};
        Ok(match (self, command) {
            (S::Requested | S::Unknown, C::Send) => Outcome::Moved(S::Sent),
            (S::Sent | S::Pending | S::Succeeded | S::Failed, C::Send) => return Err(Refused { state: self }),
            (S::Sent, C::TakeBack) => Outcome::Moved(S::Requested),
            (S::Sent, C::Lose) => Outcome::Moved(S::Unknown),
            (S::Requested | S::Sent | S::Unknown, C::Wait) => Outcome::Moved(S::Pending),
            // A refund that was given up and paid out after all is paid out.
            (S::Requested | S::Sent | S::Pending | S::Unknown | S::Failed, C::Succeed) => Outcome::Moved(S::Succeeded),
            (S::Requested | S::Sent | S::Pending | S::Unknown, C::Fail) => Outcome::Moved(S::Failed),
            (S::Requested | S::Pending | S::Unknown | S::Succeeded | S::Failed, C::TakeBack | C::Lose)
            | (S::Pending | S::Succeeded | S::Failed, C::Wait)
            | (S::Succeeded, C::Succeed | C::Fail)
            | (S::Failed, C::Fail) => Outcome::AlreadyThere,
        })
    }

    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Sent => "sent",
            Self::Pending => "pending",
            Self::Unknown => "unknown",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    /// The state stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether nothing more happens by itself.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What becomes of the subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It goes on.
    Keep,
    /// It ends when the money has gone back.
    EndNow,
}

impl Policy {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::EndNow => "end_now",
        }
    }

    /// The policy stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Keep, Self::EndNow].into_iter().find(|policy| policy.as_str() == text)
    }
}

/// What the provider says about a refund now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// The provider's id of it.
    pub provider_ref: String,
    /// `Pending`, `Succeeded` or `Failed`.
    pub state: State,
}

impl Truth {
    /// What this does to the stored state.
    #[must_use]
    pub const fn command(&self) -> Command {
        match self.state {
            State::Succeeded => Command::Succeed,
            State::Failed => Command::Fail,
            State::Requested | State::Sent | State::Pending | State::Unknown => Command::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refund_is_paid_out_once_and_never_taken_back() {
        for command in [Command::TakeBack, Command::Lose, Command::Wait, Command::Succeed, Command::Fail] {
            assert_eq!(State::Succeeded.on(command), Ok(Outcome::AlreadyThere));
        }
        assert!(State::Succeeded.on(Command::Send).is_err());
        assert!(State::Pending.on(Command::Send).is_err());
    }

    #[test]
    fn states_and_policies_read_back() {
        for state in State::ALL {
            assert_eq!(State::from_text(state.as_str()), Some(state));
        }
        for policy in [Policy::Keep, Policy::EndNow] {
            assert_eq!(Policy::from_text(policy.as_str()), Some(policy));
        }
    }
}

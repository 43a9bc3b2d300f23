//! The life of a mail: planned, sending, then sent, unknown or failed.

/// Where a mail is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits for its (next) attempt.
    Planned,
    /// Its text is on the way to the server; written down before the first byte of it leaves.
    Sending,
    /// The server has it.
    Sent,
    /// The server may have it; only a person sends it again.
    Unknown,
    /// The server does not want it, or it was given up.
    Failed,
}

impl State {
    const ALL: [Self; 5] = [Self::Planned, Self::Sending, Self::Sent, Self::Unknown, Self::Failed];

    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
        }
    }

    /// From its stored form.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether nothing more happens by itself.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Planned | Self::Sending => false,
            Self::Sent | Self::Unknown | Self::Failed => true,
        }
    }
}

/// What happens to a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Its text leaves now.
    Begin,
    /// The server said yes.
    Accept,
    /// Surely not taken; may work later.
    Defer,
    /// Surely not taken, and never will be.
    Reject,
    /// Nobody knows whether it was taken.
    Lose,
    /// A person wants it sent again.
    Resend,
}

impl Command {
    /// In words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Begin => "leave",
            Self::Accept => "be taken",
            Self::Defer => "wait",
            Self::Reject => "be given up",
            Self::Lose => "get lost",
            Self::Resend => "be sent again",
        }
    }
}

/// A move that is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a mail that is {state} cannot {command}", state = .0.as_str(), command = .1.as_str())]
pub struct Refused(pub State, pub Command);

impl State {
    /// Decides every move.
    ///
    /// # Errors
    /// The move is not possible from here.
    pub const fn on(self, command: Command) -> Result<Self, Refused> {
        match (self, command) {
            (Self::Planned, Command::Begin) => Ok(Self::Sending),
            (Self::Planned | Self::Sending, Command::Defer) => Ok(Self::Planned),
            (Self::Planned | Self::Sending, Command::Reject) => Ok(Self::Failed),
            (Self::Sending, Command::Accept) => Ok(Self::Sent),
            (Self::Sending, Command::Lose) => Ok(Self::Unknown),
            (Self::Unknown | Self::Failed, Command::Resend) => Ok(Self::Planned),
            (Self::Planned, Command::Accept | Command::Lose | Command::Resend)
            | (Self::Sending, Command::Begin | Command::Resend)
            | (
                Self::Sent,
                Command::Begin | Command::Accept | Command::Defer | Command::Reject | Command::Lose | Command::Resend,
            )
            | (
                Self::Unknown | Self::Failed,
                Command::Begin | Command::Accept | Command::Defer | Command::Reject | Command::Lose,
            ) => Err(Refused(self, command)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_sent_again_by_itself_only_when_it_surely_was_not_taken() {
        use Command::*;
        let commands = [Begin, Accept, Defer, Reject, Lose, Resend];
        let table = [
            (State::Planned, [Some(State::Sending), None, Some(State::Planned), Some(State::Failed), None, None]),
            (
                State::Sending,
                [None, Some(State::Sent), Some(State::Planned), Some(State::Failed), Some(State::Unknown), None],
            ),
            (State::Sent, [None; 6]),
            (State::Unknown, [None, None, None, None, None, Some(State::Planned)]),
            (State::Failed, [None, None, None, None, None, Some(State::Planned)]),
        ];
        for (state, outcomes) in table {
            for (command, outcome) in commands.into_iter().zip(outcomes) {
                assert_eq!(state.on(command).ok(), outcome, "{state:?} {command:?}");
            }
            assert_eq!(State::from_stored(state.as_str()), Some(state));
        }
    }
}

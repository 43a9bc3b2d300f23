//! The life of a ticket: open (staff's turn), answered (the customer's turn), closed.

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits for staff.
    Open,
    /// Waits for the customer.
    Answered,
    /// Nobody waits.
    Closed,
}

impl State {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Answered => "answered",
            Self::Closed => "closed",
        }
    }

    /// From its stored form.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        [Self::Open, Self::Answered, Self::Closed].into_iter().find(|state| state.as_str() == text)
    }
}

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// The customer whose ticket it is.
    Customer,
    /// Somebody of the operator's.
    Staff,
}

impl Author {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Staff => "staff",
        }
    }
}

/// What somebody does to a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The customer writes.
    CustomerReply,
    /// Staff answers.
    StaffReply,
    /// Staff notes something among themselves.
    Note,
    /// Either side is done.
    Close,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The ticket is now in this state.
    Moved(State),
    /// Nothing to do.
    AlreadyThere,
}

impl State {
    /// Decides every move. A closed ticket comes back by a reply: whoever writes still needs something.
    #[must_use]
    pub const fn on(self, command: Command) -> Outcome {
        match (self, command) {
            (Self::Open | Self::Answered | Self::Closed, Command::CustomerReply) => Outcome::Moved(Self::Open),
            (Self::Open | Self::Answered | Self::Closed, Command::StaffReply) => Outcome::Moved(Self::Answered),
            (state @ (Self::Open | Self::Answered | Self::Closed), Command::Note) => Outcome::Moved(state),
            (Self::Open | Self::Answered, Command::Close) => Outcome::Moved(Self::Closed),
            (Self::Closed, Command::Close) => Outcome::AlreadyThere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reply_hands_the_ticket_to_the_other_side() {
        use Command::*;
        use State::*;
        for (state, command, outcome) in [
            (Open, StaffReply, Outcome::Moved(Answered)),
            (Answered, CustomerReply, Outcome::Moved(Open)),
            (Answered, StaffReply, Outcome::Moved(Answered)),
            (Closed, CustomerReply, Outcome::Moved(Open)),
            (Closed, StaffReply, Outcome::Moved(Answered)),
            (Open, Note, Outcome::Moved(Open)),
            (Closed, Note, Outcome::Moved(Closed)),
            (Open, Close, Outcome::Moved(Closed)),
            (Answered, Close, Outcome::Moved(Closed)),
            (Closed, Close, Outcome::AlreadyThere),
        ] {
            assert_eq!(state.on(command), outcome, "{state:?} {command:?}");
        }
    }
}

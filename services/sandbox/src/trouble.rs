//! Troubles on order at the faces of foreign providers: each waits for one call and then spoils it.

use std::collections::VecDeque;

use http::StatusCode;

use crate::http::Reply;

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is answered with that status, done or not.
    Status {
        /// HTTP status.
        status: u16,
        /// Whether the provider does what was asked all the same.
        is_applied: bool,
    },
    /// The connection is closed without an answer, done or not.
    Dropped {
        /// Whether the provider does what was asked all the same.
        is_applied: bool,
    },
    /// It is done, and the answer ends in the middle.
    Cut,
}

impl Trouble {
    /// Whether the provider does what was asked.
    #[must_use]
    pub const fn is_applied(self) -> bool {
        match self {
            Self::Status { is_applied, .. } | Self::Dropped { is_applied } => is_applied,
            Self::Cut => true,
        }
    }

    /// The answer as it is heard; `refusal` is what the provider says at a status.
    pub(crate) fn spoil(self, reply: Reply, refusal: impl FnOnce(StatusCode) -> Reply) -> Reply {
        match self {
            Self::Status { status, .. } => {
                refusal(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
            }
            Self::Dropped { .. } => Reply::dropped(),
            Self::Cut => reply.cut(),
        }
    }
}

/// Those that wait.
#[derive(Debug, Default)]
pub(crate) struct Troubles(VecDeque<(String, String, Trouble)>);

impl Troubles {
    /// One waits for the next call that begins so and says these words.
    pub(crate) fn order(&mut self, begins: &str, about: &str, trouble: Trouble) {
        self.0.push_back((begins.to_owned(), about.to_owned(), trouble));
    }

    /// The first that waits for this call; it waits no more.
    pub(crate) fn take(&mut self, call: &str, said: &str) -> Option<Trouble> {
        let fits = |(begins, about, _): &(String, String, Trouble)| {
            is_begun(call, begins) && (said.contains(about.as_str()) || call.contains(about.as_str()))
        };
        let place = self.0.iter().position(fits)?;
        self.0.remove(place).map(|(_, _, trouble)| trouble)
    }
}

/// Whether a call begins so; the order 10 does not begin as the order 1.
fn is_begun(call: &str, begins: &str) -> bool {
    let is_digit = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_digit());
    let rest = call.strip_prefix(begins);
    rest.is_some_and(|rest| !(is_digit(begins.chars().last()) && is_digit(rest.chars().next())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_waits_for_its_call_and_strikes_once() {
        let mut troubles = Troubles::default();
        troubles.order("POST /orders", "pay_1", Trouble::Cut);
        assert_eq!(troubles.take("GET /orders", "pay_1"), None);
        assert_eq!(troubles.take("POST /orders", "pay_2"), None);
        assert_eq!(troubles.take("POST /orders", "{custom_id: pay_1}"), Some(Trouble::Cut));
        assert_eq!(troubles.take("POST /orders", "{custom_id: pay_1}"), None);
        troubles.order("GET /orders/1", "", Trouble::Cut);
        assert_eq!(troubles.take("GET /orders/10", ""), None);
        assert_eq!(troubles.take("GET /orders/1/more", ""), Some(Trouble::Cut));
    }
}

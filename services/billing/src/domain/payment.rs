//! The life of a payment attempt.
//!
//! Providers tell things twice, late and in any order, so a state has a rank and a lower one never overwrites a higher
//! one. Money that came counts whatever was thought before: everything can still become `Succeeded`, and nothing leads
//! away from it.

use std::fmt;

use chrono::{NaiveDate, TimeDelta};
use ottery_kernel::Money;

/// Where an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Written down; the provider has not heard of it.
    Requested,
    /// The call is on its way.
    Sent,
    /// The provider has it: its page is open, or it is still deciding.
    Pending,
    /// The customer has to confirm.
    ActionRequired,
    /// The answer was lost; it is being read back.
    Unknown,
    /// The money came.
    Succeeded,
    /// It will not come by this attempt.
    Failed,
    /// Nobody wants it any more, and the provider will not take it.
    Cancelled,
}

/// What may happen to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The call is made now.
    Send,
    /// The provider surely heard nothing.
    TakeBack,
    /// The answer was lost.
    Lose,
    /// The provider has it.
    Wait,
    /// The customer has to confirm.
    NeedAction,
    /// The money came.
    Succeed,
    /// The provider said no.
    Fail,
    /// The provider will not take it any more, or never heard of it.
    Cancel,
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
#[error("a payment that is {state} cannot be sent (again)")]
pub struct Refused {
    /// Where it stands.
    pub state: State,
}

impl State {
    const ALL: [Self; 8] = [
        Self::Requested,
        Self::Sent,
        Self::Pending,
        Self::ActionRequired,
        Self::Unknown,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Decides a move.
    ///
    /// # Errors
    /// When an attempt would be sent that is not waiting for it.
    pub const fn on(self, command: Command) -> Result<Outcome, Refused> {
        use {Command as C, State as S};
        Ok(match (self, command) {
            // Nothing leads away from money that came.
            (S::Succeeded, C::TakeBack | C::Lose | C::Wait | C::NeedAction | C::Succeed | C::Fail | C::Cancel) => {
                Outcome::AlreadyThere
            }
            (
                S::Requested | S::Sent | S::Pending | S::ActionRequired | S::Unknown | S::Failed | S::Cancelled,
                C::Succeed,
            ) => Outcome::Moved(S::Succeeded),

            // `Unknown` is sent again with the same key once the provider says it knows of nothing.
            (S::Requested | S::Unknown, C::Send) => Outcome::Moved(S::Sent),
            (S::Sent | S::Pending | S::ActionRequired | S::Succeeded | S::Failed | S::Cancelled, C::Send) => {
                return Err(Refused { state: self });
            }

            (S::Sent, C::TakeBack) => Outcome::Moved(S::Requested),
            (S::Sent, C::Lose) => Outcome::Moved(S::Unknown),
            (S::Sent | S::Unknown | S::Requested, C::Wait) => Outcome::Moved(S::Pending),
            (S::Requested | S::Sent | S::Pending | S::Unknown, C::NeedAction) => Outcome::Moved(S::ActionRequired),
            (S::Requested | S::Sent | S::Pending | S::ActionRequired | S::Unknown, C::Fail) => {
                Outcome::Moved(S::Failed)
            }
            (S::Requested | S::Sent | S::Pending | S::ActionRequired | S::Unknown, C::Cancel) => {
                Outcome::Moved(S::Cancelled)
            }

            (
                S::Requested | S::Pending | S::ActionRequired | S::Unknown | S::Failed | S::Cancelled,
                C::TakeBack | C::Lose,
            )
            | (S::Pending | S::ActionRequired | S::Failed | S::Cancelled, C::Wait)
            | (S::ActionRequired | S::Failed | S::Cancelled, C::NeedAction)
            | (S::Failed | S::Cancelled, C::Fail | C::Cancel) => Outcome::AlreadyThere,
        })
    }

    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Sent => "sent",
            Self::Pending => "pending",
            Self::ActionRequired => "action_required",
            Self::Unknown => "unknown",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether no call is needed to know more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a refusal means for the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclineClass {
    /// Not now; another try may work.
    Soft,
    /// This instrument will not work.
    Hard,
    /// The customer must confirm; trying without them never works.
    Action,
}

impl DeclineClass {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::Hard => "hard",
            Self::Action => "action",
        }
    }

    /// The class stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Soft, Self::Hard, Self::Action].into_iter().find(|class| class.as_str() == text)
    }
}

/// Why the provider took no money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decline {
    /// What it means for the next try.
    pub class: DeclineClass,
    /// Stable: `insufficient_funds`.
    pub code: String,
}

/// Money the provider took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// The provider's id of the payment.
    pub provider_ref: String,
    /// How much came.
    pub amount: Money,
    /// What the provider keeps.
    pub fee: Option<Money>,
    /// A method the provider saved on the way, and its label.
    pub saved: Option<SavedToken>,
    /// The instrument for people: `Visa ending 4242`.
    pub label: String,
    /// What the provider calls the instrument whoever pays with it; none when it does not say.
    pub fingerprint: Option<Fingerprint>,
    /// The last day the saved method can be charged, when there is one.
    pub expires_on: Option<NaiveDate>,
}

/// The same for the same card or account, whoever pays with it. Not printable: it is only ever kept as a keyed hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint(pub String);

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fingerprint(…)")
    }
}

/// A provider's token for a saved instrument. Not printable: whoever holds it can charge.
#[derive(Clone, PartialEq, Eq)]
pub struct SavedToken(pub String);

impl SavedToken {
    /// What names the instrument in it. A provider that charges a customer's instrument needs both, `customer/instrument`;
    /// what it tells of an instrument names that alone.
    #[must_use]
    pub fn instrument(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// What names the customer in it; empty when nothing does.
    #[must_use]
    pub fn customer(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(customer, _)| customer)
    }
}

impl fmt::Debug for SavedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SavedToken(…)")
    }
}

/// What the provider says about an attempt now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Truth {
    /// Its page is open; nobody has paid.
    Open,
    /// A payment was accepted and is not decided.
    Processing {
        /// The provider's id of the payment.
        provider_ref: String,
    },
    /// The money came.
    Captured(Capture),
    /// It was refused.
    Declined {
        /// The provider's id of the payment; empty when there is none.
        provider_ref: String,
        /// Why.
        decline: Decline,
    },
    /// What came, or was on its way, is not there any more: a payment that was confirmed and replaced, or marked as none.
    Reversed {
        /// The provider's id of the payment.
        provider_ref: String,
    },
    /// The page closed unpaid.
    Expired,
    /// The provider knows of nothing.
    Absent,
}

/// Between the provider's id of a payment and the number of what came by it later.
pub const LATER: char = '~';
/// Behind the provider's id of a payment: the refund that stands for what was taken back of it.
pub const REVERSED: &str = ":reversed";

/// When an attempt that waits is looked at again, after this many looks. `patience` is how long a page is given before the
/// provider is asked at all.
#[must_use]
pub fn next_look(state: State, tries: u32, patience: TimeDelta) -> Option<TimeDelta> {
    let gap = |gaps: &[TimeDelta]| {
        let index = usize::try_from(tries).unwrap_or(usize::MAX).min(gaps.len() - 1);
        Some(gaps[index])
    };
    match state {
        // The call surely did not arrive; nothing is lost by trying again soon.
        State::Requested | State::Sent | State::Unknown => gap(&[
            TimeDelta::seconds(5),
            TimeDelta::seconds(30),
            TimeDelta::minutes(2),
            TimeDelta::minutes(10),
            TimeDelta::hours(1),
        ]),
        // A webhook usually comes first; this finds the payment when it does not.
        State::Pending => gap(&[patience, TimeDelta::minutes(5), TimeDelta::minutes(15), TimeDelta::hours(1)])
            .map(|gap| gap.max(patience)),
        State::ActionRequired | State::Succeeded | State::Failed | State::Cancelled => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMANDS: [Command; 8] = [
        Command::Send,
        Command::TakeBack,
        Command::Lose,
        Command::Wait,
        Command::NeedAction,
        Command::Succeed,
        Command::Fail,
        Command::Cancel,
    ];

    #[test]
    fn case_054_nothing_leads_away_from_money_that_came() {
        for command in COMMANDS {
            assert!(!matches!(State::Succeeded.on(command), Ok(Outcome::Moved(_))), "{command:?}");
        }
    }

    #[test]
    fn money_counts_whatever_was_thought_before() {
        for state in State::ALL.into_iter().filter(|state| *state != State::Succeeded) {
            assert_eq!(state.on(Command::Succeed), Ok(Outcome::Moved(State::Succeeded)), "{state}");
        }
    }

    #[test]
    fn only_what_waits_is_sent() {
        for state in State::ALL {
            let sends = matches!(state.on(Command::Send), Ok(Outcome::Moved(State::Sent)));
            assert_eq!(sends, matches!(state, State::Requested | State::Unknown), "{state}");
        }
    }

    #[test]
    fn every_command_twice_is_the_same_as_once() {
        for state in State::ALL {
            for command in COMMANDS {
                let Ok(Outcome::Moved(after)) = state.on(command) else { continue };
                assert!(!matches!(after.on(command), Ok(Outcome::Moved(_))), "{state} {command:?}");
            }
        }
    }

    #[test]
    fn a_page_is_given_its_time_before_anybody_asks_and_the_gaps_only_grow() {
        for patience in [TimeDelta::minutes(2), TimeDelta::minutes(20), TimeDelta::days(1)] {
            let gaps: Vec<_> = (0..6).map(|tries| next_look(State::Pending, tries, patience).unwrap()).collect();
            assert_eq!(gaps[0], patience);
            assert!(gaps.is_sorted(), "{gaps:?}");
        }
    }

    #[test]
    fn states_read_back() {
        for state in State::ALL {
            assert_eq!(State::from_text(state.as_str()), Some(state));
            assert_eq!(
                next_look(state, 99, TimeDelta::minutes(2)).is_none(),
                state.is_final() || state == State::ActionRequired
            );
        }
    }
}

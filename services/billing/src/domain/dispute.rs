//! Objections of cardholders.
//!
//! The provider decides; we follow what it says now, and the books follow the money: what it took lies in an account of its
//! own until the objection is decided, goes back to where it was when we win, and is a loss when we do not.

use std::fmt;

use chrono::{DateTime, Utc};
use ottery_kernel::{DisputeId, EntityId, Money};

use super::ledger::{Account, Booking, LedgerError};

/// Kind of the bookings.
pub const BOOKED: &str = "dispute.booked";

/// Where an objection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The bank asks; no money has moved.
    Warning,
    /// Evidence is wanted.
    NeedsResponse,
    /// The bank decides.
    UnderReview,
    /// Decided, and looked at once more.
    Appealed,
    /// The money is ours.
    Won,
    /// The money is gone.
    Lost,
    /// It came to nothing.
    Closed,
}

/// What a word of the provider does to a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is now in this state.
    Moved(State),
    /// It is there already, or knows better.
    AlreadyThere,
}

impl State {
    const ALL: [Self; 7] =
        [Self::Warning, Self::NeedsResponse, Self::UnderReview, Self::Appealed, Self::Won, Self::Lost, Self::Closed];

    /// Follows what the provider says. Two answers may overtake each other, so what is decided is opened again by an appeal
    /// alone.
    #[must_use]
    pub fn follow(self, told: Self) -> Outcome {
        use State as S;
        match (self, told) {
            (S::Won | S::Lost | S::Closed, S::Warning | S::NeedsResponse | S::UnderReview) => Outcome::AlreadyThere,
            // An inquiry that became an objection does not become an inquiry again.
            (S::NeedsResponse | S::UnderReview | S::Appealed, S::Warning) => Outcome::AlreadyThere,
            (S::Warning | S::NeedsResponse | S::UnderReview | S::Appealed | S::Won | S::Lost | S::Closed, told) => {
                if self == told {
                    Outcome::AlreadyThere
                } else {
                    Outcome::Moved(told)
                }
            }
        }
    }

    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::NeedsResponse => "needs_response",
            Self::UnderReview => "under_review",
            Self::Appealed => "appealed",
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Closed => "closed",
        }
    }

    /// The state stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether it is decided.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Won | Self::Lost | Self::Closed)
    }

    /// Whether evidence is still taken.
    #[must_use]
    pub const fn takes_evidence(self) -> bool {
        matches!(self, Self::Warning | Self::NeedsResponse | Self::Appealed)
    }

    /// Whether giving in still changes anything.
    #[must_use]
    pub const fn can_be_accepted(self) -> bool {
        matches!(self, Self::Warning | Self::NeedsResponse)
    }

    /// Whether money may still be taken because of it, so that a refund could give it back twice.
    #[must_use]
    pub const fn blocks_refunds(self) -> bool {
        matches!(self, Self::NeedsResponse | Self::UnderReview | Self::Appealed | Self::Lost)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the provider says about an objection now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// The provider's id of it.
    pub provider_ref: String,
    /// The provider's id of the payment.
    pub payment_ref: String,
    /// Where it stands.
    pub state: State,
    /// The cardholder's reason, a stable word: `fraudulent`.
    pub reason: String,
    /// What is objected to.
    pub amount: Money,
    /// What the provider has taken because of it, and not given back; in the currency of `amount`.
    pub taken: Money,
    /// What it charges for it, when it says so in the payment's currency.
    pub fee: Option<Money>,
    /// Until when evidence is taken.
    pub evidence_until: Option<DateTime<Utc>>,
    /// Whether evidence was handed in.
    pub is_answered: bool,
}

/// Refunds of the payment that is objected to, in minor units of its currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Returned {
    /// All of them.
    pub all: i64,
    /// Those that stand for what the objection itself gave back.
    pub because: i64,
}

impl Truth {
    /// The same, told by a provider that gives money back for an objection by a refund, and tells of that too: what lies in the
    /// books as a refund is not taken once more, and never more is gone than came.
    #[must_use]
    pub fn beside(mut self, returned: Returned, received: Money) -> Self {
        let most = received.minor.saturating_sub(returned.all).min(self.taken.minor.saturating_sub(returned.because));
        self.taken.minor = self.taken.minor.min(most).max(0);
        self
    }
}

/// What the books hold of an objection, in minor units of its currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Taken by the provider.
    pub taken: i64,
    /// Of that, lost for good.
    pub lost: i64,
    /// Charged for it.
    pub fee: i64,
}

impl Books {
    /// What they should hold, given what the provider says of an objection that is now in `state`.
    #[must_use]
    pub fn wanted(self, state: State, truth: &Truth) -> Self {
        let taken = truth.taken.minor.max(0);
        Self {
            taken,
            lost: if state == State::Lost { taken } else { 0 },
            // A fee that is not told (any more) has not been given back.
            fee: truth.fee.map_or(self.fee, |fee| fee.minor.max(0)),
        }
    }

    /// The transfers that lead from here to there.
    ///
    /// # Errors
    /// Never: every amount is positive.
    pub fn booking(
        self,
        wanted: Self,
        dispute: DisputeId,
        entity: EntityId,
        provider: &str,
        currency: ottery_kernel::Currency,
        at: DateTime<Utc>,
    ) -> Result<Booking, LedgerError> {
        let money = |minor: i64| Money::new(minor, currency);
        let moved = |booking: Booking, to: Account, from: Account, minor: i64| {
            if minor >= 0 { booking.post(to, from, money(minor)) } else { booking.post(from, to, money(-minor)) }
        };
        let at_provider = || Account::Provider(provider.to_owned());
        let booking = Booking::new(entity, BOOKED, dispute, at);
        let booking = moved(booking, Account::Disputes, at_provider(), wanted.taken - self.taken)?;
        let booking = moved(booking, Account::BadDebt, Account::Disputes, wanted.lost - self.lost)?;
        moved(booking, Account::ProviderFees(provider.to_owned()), at_provider(), wanted.fee - self.fee)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ottery_kernel::Currency;

    use super::*;

    fn truth(state: State, is_taken: bool, fee: i64) -> Truth {
        let eur = |minor: i64| Money::new(minor, Currency::EUR);
        Truth {
            provider_ref: "dp_1".into(),
            payment_ref: "pi_1".into(),
            state,
            reason: "fraudulent".into(),
            amount: eur(1299),
            taken: eur(if is_taken { 1299 } else { 0 }),
            fee: Some(eur(fee)),
            evidence_until: None,
            is_answered: false,
        }
    }

    /// Balances (debits less credits) after a walk through what the provider says.
    fn after(walk: &[Truth]) -> BTreeMap<String, i64> {
        let (mut books, mut balances) = (Books::default(), BTreeMap::new());
        for truth in walk {
            let wanted = books.wanted(truth.state, truth);
            let id = DisputeId::new(DateTime::UNIX_EPOCH);
            let entity = EntityId::new(DateTime::UNIX_EPOCH);
            let booking = books.booking(wanted, id, entity, "stripe", Currency::EUR, DateTime::UNIX_EPOCH).unwrap();
            for transfer in booking.into_transfers() {
                *balances.entry(transfer.debit.to_string()).or_default() += transfer.amount.minor;
                *balances.entry(transfer.credit.to_string()).or_default() -= transfer.amount.minor;
            }
            books = wanted;
        }
        balances.retain(|_, balance| *balance != 0);
        balances
    }

    #[test]
    fn case_069_won_gives_back_what_was_taken_and_lost_is_a_loss_with_its_fee() {
        let opened = truth(State::NeedsResponse, true, 1500);
        assert_eq!(
            after(std::slice::from_ref(&opened)),
            [("disputes".into(), 1299), ("provider:stripe".into(), -2799), ("provider_fees:stripe".into(), 1500)]
                .into()
        );
        assert_eq!(
            after(&[opened.clone(), truth(State::Lost, true, 1500)]),
            [("bad_debt".into(), 1299), ("provider:stripe".into(), -2799), ("provider_fees:stripe".into(), 1500)]
                .into()
        );
        assert_eq!(after(&[opened, truth(State::Won, false, 0)]), BTreeMap::new());
    }

    #[test]
    fn an_appeal_that_is_won_takes_the_loss_back() {
        let lost = truth(State::Lost, true, 1500);
        let appealed = truth(State::Appealed, true, 1500);
        assert_eq!(after(&[lost.clone(), appealed.clone()])["disputes"], 1299);
        assert_eq!(after(&[lost, appealed, truth(State::Won, false, 0)]), BTreeMap::new());
    }

    #[test]
    fn what_went_back_as_a_refund_is_not_taken_once_more() {
        let eur = |minor: i64| Money::new(minor, Currency::EUR);
        let taken = |told: i64, all: i64, because: i64| {
            let told = Truth { taken: eur(told), ..truth(State::Lost, true, 0) };
            told.beside(Returned { all, because }, eur(1299)).taken.minor
        };
        assert_eq!(taken(1299, 0, 0), 1299);
        // The refund is what the objection gave back.
        assert_eq!((taken(1299, 1299, 1299), taken(500, 500, 500)), (0, 0));
        // A part was refunded long before: the rest is lost, and no more than came.
        assert_eq!((taken(999, 300, 0), taken(1299, 300, 0)), (999, 999));
        // Of what was taken a part is a refund.
        assert_eq!(taken(1299, 300, 300), 999);
        assert_eq!(taken(0, 1299, 1299), 0);
    }

    #[test]
    fn an_answer_that_was_overtaken_changes_nothing() {
        assert_eq!(State::Won.follow(State::UnderReview), Outcome::AlreadyThere);
        assert_eq!(State::NeedsResponse.follow(State::Warning), Outcome::AlreadyThere);
        assert_eq!(State::Lost.follow(State::Appealed), Outcome::Moved(State::Appealed));
        assert_eq!(State::Warning.follow(State::NeedsResponse), Outcome::Moved(State::NeedsResponse));
        for state in State::ALL {
            assert_eq!(state.follow(state), Outcome::AlreadyThere);
            assert_eq!(State::from_text(state.as_str()), Some(state));
        }
    }
}

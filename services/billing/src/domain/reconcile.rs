//! What a provider reports beside what is in the books: every difference, once.
//!
//! Objects are matched by the provider's id of them; one of ours that was never told of an id is matched by our own id, which
//! the provider keeps with the object. Only money that moved is compared: two tries that took nothing do not differ.

use std::collections::{HashMap, HashSet};
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{Currency, Money};

use super::dispute;
use super::payment::{LATER, REVERSED};

mod id;
#[cfg(test)]
mod tests;

pub use id::{DifferenceId, ReconcileIdError, ReconciliationId};

/// How far back a report is read.
pub const REACH: TimeDelta = TimeDelta::days(3);
/// Between two comparisons of an account.
pub const EVERY: TimeDelta = TimeDelta::days(1);

/// What is compared, in the order in which it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Money that came.
    Payment,
    /// Money that went back.
    Refund,
    /// Money a cardholder wants back.
    Dispute,
}

impl Kind {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Payment, Self::Refund, Self::Dispute];

    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Refund => "refund",
            Self::Dispute => "dispute",
        }
    }

    /// The kind stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// What is read after it.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::Payment => Some(Self::Refund),
            Self::Refund => Some(Self::Dispute),
            Self::Dispute => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the money of an object moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Not decided.
    Pending,
    /// It did. Of an objection: the money is lost.
    Moved,
    /// It did, and was taken back; of how much nobody tells.
    TakenBack,
    /// It did not, and will not.
    Void,
}

impl Standing {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Moved => "moved",
            Self::TakenBack => "taken_back",
            Self::Void => "void",
        }
    }

    /// Of an objection: whether the money is gone.
    #[must_use]
    pub const fn of_dispute(state: dispute::State) -> Self {
        use dispute::State as S;
        match state {
            S::Lost => Self::Moved,
            S::Won | S::Closed => Self::Void,
            S::Warning | S::NeedsResponse | S::UnderReview | S::Appealed => Self::Pending,
        }
    }

    /// The standing stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Pending, Self::Moved, Self::TakenBack, Self::Void].into_iter().find(|standing| standing.as_str() == text)
    }
}

/// An object as the provider reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theirs {
    /// What it is.
    pub kind: Kind,
    /// The provider's id of it.
    pub reference: String,
    /// Of a refund or an objection: the provider's id of its payment.
    pub parent: String,
    /// Our id on it; empty when it names none.
    pub ours: String,
    /// Whether its money moved.
    pub standing: Standing,
    /// How much; none when the provider does not say.
    pub amount: Option<Money>,
    /// What the provider keeps; none when it does not say.
    pub fee: Option<Money>,
}

/// An object as we have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ours {
    /// What it is.
    pub kind: Kind,
    /// Our id of it.
    pub id: String,
    /// The provider's id of it; empty when nobody told us.
    pub reference: String,
    /// Whether its money moved.
    pub standing: Standing,
    /// How much the object says.
    pub amount: Money,
    /// How much the ledger says, in minor units of the same currency.
    pub booked: i64,
    /// What the ledger says the provider keeps, in minor units of the same currency.
    pub fee: i64,
    /// It happened within the report, so that it is missing when the report does not name it.
    pub is_expected: bool,
}

/// How the two sides differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Difference {
    /// The provider has it, we do not.
    OnlyThere,
    /// We have it, the provider does not.
    OnlyHere,
    /// Another currency.
    Currency,
    /// The money moved on one side alone.
    State,
    /// Another amount.
    Amount,
    /// The provider keeps another fee.
    Fee,
}

impl Difference {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::OnlyThere, Self::OnlyHere, Self::Currency, Self::State, Self::Amount, Self::Fee];

    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnlyThere => "only_there",
            Self::OnlyHere => "only_here",
            Self::Currency => "currency",
            Self::State => "state",
            Self::Amount => "amount",
            Self::Fee => "fee",
        }
    }

    /// The difference stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|difference| difference.as_str() == text)
    }

    /// The kind of its task.
    #[must_use]
    pub const fn task(self) -> &'static str {
        match self {
            Self::OnlyThere => "reconciliation_only_there",
            Self::OnlyHere => "reconciliation_only_here",
            Self::Currency => "reconciliation_currency",
            Self::State => "reconciliation_state",
            Self::Amount => "reconciliation_amount",
            Self::Fee => "reconciliation_fee",
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Of what.
    pub kind: Kind,
    /// Which.
    pub difference: Difference,
    /// The provider's id; empty when it has none.
    pub reference: String,
    /// Of a refund or an objection: the provider's id of its payment.
    pub parent: String,
    /// Our id; what the provider says is ours when we do not have it; empty when there is none.
    pub ours: String,
    /// What the provider says; of a fee, that.
    pub theirs_amount: Option<Money>,
    /// What we say; of a fee, that.
    pub ours_amount: Option<Money>,
}

/// What a difference is from day to day.
pub type Key = (Kind, Difference, String, String);

impl Finding {
    /// What tells it from others: the same difference has it the next day, whatever the amounts are then.
    #[must_use]
    pub fn key(&self) -> Key {
        (self.kind, self.difference, self.reference.clone(), self.ours.clone())
    }

    /// Money is at the provider that names nothing of ours: another product may use the same account.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.difference == Difference::OnlyThere && self.ours.is_empty()
    }

    /// How much money it is about.
    #[must_use]
    pub fn value(&self) -> Option<Money> {
        match (self.difference, self.theirs_amount, self.ours_amount) {
            (Difference::Amount | Difference::Fee, Some(theirs), Some(ours)) if theirs.currency == ours.currency => {
                Some(Money::new(theirs.minor.saturating_sub(ours.minor).saturating_abs(), theirs.currency))
            }
            (_, theirs, ours) => theirs.or(ours),
        }
    }

    /// For people.
    #[must_use]
    pub fn summary(&self, provider: &str) -> String {
        let money = |amount: Option<Money>| amount.map_or_else(|| "an unknown amount".to_owned(), |m| m.to_string());
        let (theirs, ours) = (money(self.theirs_amount), money(self.ours_amount));
        let (kind, there, here) = (self.kind, &self.reference, &self.ours);
        let named = if here.is_empty() { String::new() } else { format!(", which names {here}") };
        match self.difference {
            Difference::OnlyThere => format!(
                "{provider} has the {kind} {there} of {theirs}{named}, and the books do not; find out what it was for, and book \
                 it or give it back there"
            ),
            Difference::OnlyHere => format!(
                "the books have {here} of {ours}, and {provider} knows of no {kind} {there}; see that the account's key is the \
                 one it was made with, else correct the books"
            ),
            Difference::Currency => format!(
                "{provider} says {theirs} for the {kind} {there}, and {here} is {ours}: another currency; correct the books"
            ),
            Difference::State => format!(
                "the money of the {kind} {there} ({here}, {theirs} at {provider}, {ours} here) moved on one side alone, and \
                 reading it again did not help; see what happened at {provider}, and correct the books"
            ),
            Difference::Amount => format!(
                "{provider} says {theirs} for the {kind} {there}, and the books say {ours} for {here}; correct the books"
            ),
            Difference::Fee => format!(
                "{provider} keeps {theirs} of the {kind} {there}, and the books say {ours} for {here}; correct the books"
            ),
        }
    }
}

/// The books' side as the provider counts: what came later by the same payment is one with it, and what stands for a payment that was
/// taken back is no refund there.
#[must_use]
pub fn as_counted_there(ours: Vec<Ours>) -> Vec<Ours> {
    let is_mark = |one: &Ours| one.kind == Kind::Refund && one.reference.ends_with(REVERSED);
    let is_later = |one: &Ours| one.kind == Kind::Payment && one.reference.contains(LATER);
    let (later, mut rest): (Vec<Ours>, Vec<Ours>) = ours.into_iter().filter(|one| !is_mark(one)).partition(is_later);
    for one in later {
        let first = one.reference.split(LATER).next().unwrap_or_default();
        let first = rest.iter_mut().find(|known| known.kind == Kind::Payment && known.reference == first);
        // Without its first one it is not in question: that is what the provider names.
        if let Some(first) = first.filter(|first| first.amount.currency == one.amount.currency) {
            first.amount.minor = first.amount.minor.saturating_add(one.amount.minor);
            first.booked = first.booked.saturating_add(one.booked);
            first.fee = first.fee.saturating_add(one.fee);
        }
    }
    rest
}

/// Of what the books have, what the report should have named and did not: each is asked for by itself before it counts as missing.
#[must_use]
pub fn unlisted<'a>(ours: &'a [Ours], theirs: &[Theirs]) -> Vec<&'a Ours> {
    let listed: HashSet<(Kind, &str)> = theirs.iter().map(|one| (one.kind, one.reference.as_str())).collect();
    let is_missing = |one: &&Ours| {
        one.is_expected && !one.reference.is_empty() && !listed.contains(&(one.kind, one.reference.as_str()))
    };
    ours.iter().filter(is_missing).collect()
}

/// Every difference, once. Each side names an object once.
#[must_use]
pub fn compare(ours: &[Ours], theirs: &[Theirs]) -> Vec<Finding> {
    let by_reference: HashMap<(Kind, &str), &Ours> = ours
        .iter()
        .filter(|one| !one.reference.is_empty())
        .map(|one| ((one.kind, one.reference.as_str()), one))
        .collect();
    // Only what has no id of the provider's is still to be found by ours: anything else that names it is a second one.
    let by_id: HashMap<(Kind, &str), &Ours> =
        ours.iter().filter(|one| one.reference.is_empty()).map(|one| ((one.kind, one.id.as_str()), one)).collect();
    // A refund or an objection that names nothing of ours may be about a payment of ours all the same.
    let whose = |there: &Theirs| {
        let parent = by_reference.get(&(Kind::Payment, there.parent.as_str()));
        let named = Some(&there.ours).filter(|ours| !ours.is_empty()).cloned();
        named.or_else(|| parent.map(|payment| payment.id.clone())).unwrap_or_default()
    };
    let (mut findings, mut met) = (Vec::new(), HashSet::new());
    for there in theirs {
        let found = by_reference.get(&(there.kind, there.reference.as_str())).copied();
        let found = found.or_else(|| by_id.get(&(there.kind, there.ours.as_str())).copied());
        match found {
            Some(here) => {
                // Of several tries for one thing of ours, those that took nothing say nothing about it.
                if here.reference.is_empty() && there.standing != Standing::Moved {
                    continue;
                }
                // A second one for what has no id yet: one of them settles it, the other is too many.
                if met.insert((here.kind, here.id.as_str())) {
                    pair(here, there, &mut findings);
                } else {
                    findings.push(only_there(there, whose(there)));
                }
            }
            None if there.standing == Standing::Moved || there.kind == Kind::Dispute => {
                findings.push(only_there(there, whose(there)));
            }
            None => {}
        }
    }
    let missing = |one: &&Ours| one.is_expected && !met.contains(&(one.kind, one.id.as_str())) && has_money(one);
    findings.extend(ours.iter().filter(missing).map(|here| Finding {
        kind: here.kind,
        difference: Difference::OnlyHere,
        reference: here.reference.clone(),
        parent: String::new(),
        ours: here.id.clone(),
        theirs_amount: None,
        ours_amount: Some(here.amount),
    }));
    findings
}

/// An objection that is not decided has taken no money of ours for good, and is one all the same.
fn has_money(one: &Ours) -> bool {
    !one.reference.is_empty() && (one.standing == Standing::Moved || one.kind == Kind::Dispute)
}

fn only_there(there: &Theirs, ours: String) -> Finding {
    Finding {
        kind: there.kind,
        difference: Difference::OnlyThere,
        reference: there.reference.clone(),
        parent: there.parent.clone(),
        ours,
        theirs_amount: there.amount,
        ours_amount: None,
    }
}

fn pair(here: &Ours, there: &Theirs, findings: &mut Vec<Finding>) {
    let currency = here.amount.currency;
    let booked = Money::new(here.booked, currency);
    let mut push = |difference, theirs_amount, ours_amount| {
        findings.push(Finding {
            kind: here.kind,
            difference,
            reference: there.reference.clone(),
            parent: there.parent.clone(),
            ours: here.id.clone(),
            theirs_amount,
            ours_amount: Some(ours_amount),
        });
    };
    if there.standing == Standing::TakenBack {
        // A task of its own tells of it, and what came is booked as given back.
        return;
    }
    let (moved_here, moved_there) = (here.standing == Standing::Moved, there.standing == Standing::Moved);
    if moved_here != moved_there {
        return push(Difference::State, there.amount, here.amount);
    }
    if !moved_here && here.kind != Kind::Dispute {
        return;
    }
    match there.amount {
        // What cannot be read is in no currency of ours.
        None if moved_there => return push(Difference::Currency, None, here.amount),
        Some(amount) if amount.currency != currency => {
            return push(Difference::Currency, there.amount, here.amount);
        }
        None => {}
        // What the object says and what the ledger says are both ours; the one that is wrong is named.
        Some(amount) if amount != here.amount => push(Difference::Amount, there.amount, here.amount),
        Some(amount) if amount != booked => push(Difference::Amount, there.amount, booked),
        Some(_) => {}
    }
    if let Some(fee) = there.fee.filter(|fee| fee.currency == currency)
        && fee.minor != here.fee
    {
        push(Difference::Fee, Some(fee), Money::new(here.fee, currency));
    }
}

/// Money that moved, by currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// Of what.
    pub kind: Kind,
    /// In which currency.
    pub currency: Currency,
    /// At the provider: how many and how much.
    pub theirs: (u32, i64),
    /// In the books: how many and how much.
    pub ours: (u32, i64),
}

/// Of what the books have, what the report names or should have named.
pub fn in_question<'a>(ours: &'a [Ours], theirs: &[Theirs]) -> impl Iterator<Item = &'a Ours> {
    let listed: HashSet<(Kind, String)> = theirs.iter().map(|one| (one.kind, one.reference.clone())).collect();
    ours.iter().filter(move |one| one.is_expected || listed.contains(&(one.kind, one.reference.clone())))
}

/// What moved on both sides, of what is [in question](in_question); by kind and currency.
#[must_use]
pub fn totals(ours: &[Ours], theirs: &[Theirs]) -> Vec<Total> {
    let mut sums: Vec<Total> = Vec::new();
    let mut add = |kind, amount: Money, is_theirs: bool| {
        let place = sums.iter().position(|total| total.kind == kind && total.currency == amount.currency);
        let place = place.unwrap_or_else(|| {
            sums.push(Total { kind, currency: amount.currency, theirs: (0, 0), ours: (0, 0) });
            sums.len() - 1
        });
        let side = if is_theirs { &mut sums[place].theirs } else { &mut sums[place].ours };
        *side = (side.0.saturating_add(1), side.1.saturating_add(amount.minor));
    };
    for there in theirs.iter().filter(|one| one.standing == Standing::Moved) {
        if let Some(amount) = there.amount {
            add(there.kind, amount, true);
        }
    }
    for here in in_question(ours, theirs).filter(|one| one.standing == Standing::Moved) {
        add(here.kind, Money::new(here.booked, here.amount.currency), false);
    }
    sums.sort_by(|a, b| (a.kind, a.currency.code()).cmp(&(b.kind, b.currency.code())));
    sums
}

/// How long after a failure an account is asked again: ever later, an hour at most.
#[must_use]
pub fn gap(tries: u32) -> TimeDelta {
    TimeDelta::minutes(5) * 2_i32.pow(tries.clamp(1, 4) - 1)
}

/// When the next comparison is due after one that was begun then.
#[must_use]
pub fn next_due(begun: DateTime<Utc>) -> DateTime<Utc> {
    begun + EVERY
}

/// From when on a report is read.
#[must_use]
pub fn window_from(now: DateTime<Utc>) -> DateTime<Utc> {
    now - REACH
}

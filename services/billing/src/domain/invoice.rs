//! The life of an invoice. What is paid is never a state: it is the sum of the allocations.

use std::fmt;

use chrono::{DateTime, Datelike, Utc};
use chrono_tz::Tz;
use ottery_kernel::{AccountId, InvoiceId, Money, MoneyError, OrderId, Period, SubscriptionId};
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::coupon::Applied;
use super::line::{Line, Totals};
use super::offer::Offer;
use super::profile::Entity;
use super::tax::{Decision, Place, Tax};

/// Where an invoice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not issued; has no number.
    Draft,
    /// Issued, waits for money.
    Open,
    /// Taken back before anything was paid; the number stays used.
    Void,
    /// Given up with something still owed.
    Uncollectible,
    /// Nothing left to pay.
    Closed,
}

/// What may happen to an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Gets its number; nothing changes in it from here on.
    Finalise,
    /// Is taken back.
    Void,
    /// Is given up.
    WriteOff,
    /// Everything is paid.
    Close,
}

/// The answer to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is now in this state.
    Moved(State),
    /// It was there already.
    AlreadyThere,
}

/// Why a move is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The state forbids it.
    #[error("an invoice that is {state} cannot be {}", past(*command))]
    Move {
        /// Where it stands.
        state: State,
        /// What was asked.
        command: Command,
    },
    /// Money was allocated; it has to go back by a refund first.
    #[error("an invoice with {paid} paid cannot be made void; refund it instead")]
    Paid {
        /// How much.
        paid: Money,
    },
    /// Closing needs every cent.
    #[error("an invoice over {total} is not settled by {paid}")]
    Unpaid {
        /// What was paid.
        paid: Money,
        /// What was owed.
        total: Money,
    },
}

const fn past(command: Command) -> &'static str {
    match command {
        Command::Finalise => "finalised",
        Command::Void => "made void",
        Command::WriteOff => "written off",
        Command::Close => "closed",
    }
}

impl State {
    /// Decides a move, given what is paid of the total.
    ///
    /// # Errors
    /// When the state or the money forbid it.
    pub fn on(self, command: Command, paid: Money, total: Money) -> Result<Outcome, Refused> {
        match (self, command) {
            (Self::Draft, Command::Finalise) => Ok(Outcome::Moved(Self::Open)),
            (Self::Open, Command::Close) if paid.minor >= total.minor => Ok(Outcome::Moved(Self::Closed)),
            (Self::Open, Command::Close) => Err(Refused::Unpaid { paid, total }),
            (Self::Open, Command::Void) if paid.is_zero() => Ok(Outcome::Moved(Self::Void)),
            (Self::Open, Command::Void) => Err(Refused::Paid { paid }),
            (Self::Open, Command::WriteOff) => Ok(Outcome::Moved(Self::Uncollectible)),
            // A claim that was given up is paid after all.
            (Self::Uncollectible, Command::Close) if paid.minor >= total.minor => Ok(Outcome::Moved(Self::Closed)),
            (Self::Uncollectible, Command::Close) => Err(Refused::Unpaid { paid, total }),
            (Self::Open, Command::Finalise)
            | (Self::Void, Command::Void)
            | (Self::Uncollectible, Command::WriteOff)
            | (Self::Closed, Command::Close) => Ok(Outcome::AlreadyThere),
            (Self::Draft, command @ (Command::Void | Command::WriteOff | Command::Close))
            | (Self::Void, command @ (Command::Finalise | Command::WriteOff | Command::Close))
            | (Self::Uncollectible, command @ (Command::Finalise | Command::Void))
            | (Self::Closed, command @ (Command::Finalise | Command::Void | Command::WriteOff)) => {
                Err(Refused::Move { state: self, command })
            }
        }
    }

    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Open => "open",
            Self::Void => "void",
            Self::Uncollectible => "uncollectible",
            Self::Closed => "closed",
        }
    }

    /// The state stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Draft, Self::Open, Self::Void, Self::Uncollectible, Self::Closed]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an invoice is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The first period, or the first one after a trial.
    First,
    /// Every later period.
    Renewal,
    /// A change of the plan within a period.
    Upgrade,
    /// Written by staff; it pays for no subscription.
    Manual,
    /// Money for the wallet: nothing is sold by it, and nobody owes it.
    TopUp,
}

impl Purpose {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Renewal => "renewal",
            Self::Upgrade => "upgrade",
            Self::Manual => "manual",
            Self::TopUp => "top_up",
        }
    }

    /// The purpose stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::First, Self::Renewal, Self::Upgrade, Self::Manual, Self::TopUp]
            .into_iter()
            .find(|purpose| purpose.as_str() == text)
    }
}

/// A number of a gap-free series: `INV-2026-000001`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// The entity's prefix.
    pub series: String,
    /// Year of the issue date in the entity's zone.
    pub year: i32,
    /// Counts from 1 in each year.
    pub sequence: i64,
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{:06}", self.series, self.year, self.sequence)
    }
}

/// The year an issue date belongs to.
#[must_use]
pub fn number_year(issued_at: DateTime<Utc>, zone: Tz) -> i32 {
    issued_at.with_timezone(&zone).year()
}

/// Seller, buyer and offer as they were at issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Who sells.
    pub seller: Entity,
    /// Who is billed.
    pub buyer: Buyer,
    /// The brand's name.
    pub brand_name: String,
    /// What the tax is called.
    pub tax_name: String,
    /// What the subscription is entitled to once this is paid; none for an invoice that is for no subscription.
    pub offer: Option<Offer>,
    /// What a coupon did on it.
    #[serde(default)]
    pub applied: Applied,
    /// How what is sold is taxed, and on what grounds; older invoices have it in their lines alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<Decision>,
}

impl Snapshot {
    /// Takes over how what is sold is taxed.
    pub fn tax_as(&mut self, decision: Decision) {
        self.tax_name.clone_from(&decision.name);
        self.tax = Some(decision);
    }
}

/// Who is billed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buyer {
    /// Name on the invoice.
    pub name: String,
    /// Where mail goes.
    pub email: String,
    /// ISO 3166-1 alpha-2; empty when unknown.
    pub country: String,
    /// Language of mails and documents.
    pub locale: String,
    /// Their billing address, when they gave one; its country is theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
}

impl Buyer {
    /// With their billing address, whose country is theirs.
    #[must_use]
    pub fn at(self, address: Option<Address>) -> Self {
        let country = address.as_ref().map_or(self.country, |address| address.country.clone());
        Self { country, address, ..self }
    }

    /// Where they are, for tax.
    #[must_use]
    pub fn place(&self) -> Place {
        self.address.as_ref().map_or_else(|| Place::country(&self.country), Address::place)
    }

    /// What stands over the address: the company, else the name, else the e-mail address.
    #[must_use]
    pub fn addressee(&self) -> &str {
        let company = self.address.as_ref().map_or("", |address| &address.company);
        [company, &self.name].into_iter().find(|name| !name.is_empty()).unwrap_or(&self.email)
    }

    /// Their VAT number; empty for none.
    #[must_use]
    pub fn vat_number(&self) -> &str {
        self.address.as_ref().map_or("", |address| &address.vat_number)
    }
}

/// What asked for the money of an invoice before there was one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proforma {
    /// Of a series of its own; absent until it is written.
    pub number: Option<Number>,
    /// When it asked.
    pub at: DateTime<Utc>,
}

/// Which part of a consolidated invoice an invoice is: all parts of a group have one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The id of the whole.
    pub group: InvoiceId,
    /// Counts from 1.
    pub number: u32,
}

/// An invoice as stored, with what is derived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// Its id.
    pub id: InvoiceId,
    /// Who is billed.
    pub account: AccountId,
    /// What it is for.
    pub subscription: Option<SubscriptionId>,
    /// The order it came from.
    pub order: Option<OrderId>,
    /// Why it exists.
    pub purpose: Purpose,
    /// Where it stands.
    pub state: State,
    /// Present from finalising on.
    pub number: Option<Number>,
    /// How it asked first, if it did.
    pub proforma: Option<Proforma>,
    /// The printed lines.
    pub lines: Vec<Line>,
    /// Their sums.
    pub totals: Totals,
    /// As it was at issue.
    pub snapshot: Snapshot,
    /// The time it pays for.
    pub period: Option<Period>,
    /// When it was finalised.
    pub issued_at: Option<DateTime<Utc>>,
    /// When it should be paid.
    pub due_at: Option<DateTime<Utc>>,
    /// When nothing was left to pay.
    pub closed_at: Option<DateTime<Utc>>,
    /// Reminder steps done.
    pub reminders_done: u32,
    /// Off-session charges asked for.
    pub charges_made: u32,
    /// When what was owed turned out too little for a payment of its own: what it pays for was given, and it is asked for with
    /// the next one.
    pub carried_at: Option<DateTime<Utc>>,
    /// Sum of the allocations.
    pub paid: Money,
    /// The part of it that came from the wallet.
    pub from_wallet: Money,
    /// Sum of the credit notes.
    pub refunded: Money,
    /// Which part of a consolidated invoice it is; none for an invoice of its own, and for the whole.
    pub part: Option<Part>,
    /// Of a consolidated invoice as a whole: its parts. It is read, never stored.
    pub parts: Vec<Self>,
}

impl Invoice {
    /// What its customer knows it by: the whole when it is a part.
    #[must_use]
    pub fn known_as(&self) -> InvoiceId {
        self.part.map_or(self.id, |part| part.group)
    }

    /// What is stored of it: its parts, or itself.
    #[must_use]
    pub fn rows(&self) -> Vec<InvoiceId> {
        if self.parts.is_empty() { vec![self.id] } else { self.parts.iter().map(|part| part.id).collect() }
    }

    /// What a credit note credits: one of its parts, or itself.
    #[must_use]
    pub fn part_of(&self, credited: InvoiceId) -> &Self {
        self.parts.iter().find(|part| part.id == credited).unwrap_or(self)
    }

    /// What is still owed.
    ///
    /// # Errors
    /// When an allocation has another currency.
    pub fn remaining(&self) -> Result<Money, MoneyError> {
        let left = self.totals.total.checked_sub(self.paid)?;
        Ok(if left.is_negative() { Money::zero(left.currency) } else { left })
    }

    /// Whether money for it pays it. Who pays what was served and given up settles that claim; a first period or a change that
    /// was given up was never served, so money for it is the customer's to spend on something else.
    #[must_use]
    pub const fn is_claim(&self) -> bool {
        match (self.state, self.purpose) {
            (State::Open, _) | (State::Uncollectible, Purpose::Renewal | Purpose::Manual) => true,
            (State::Uncollectible, Purpose::First | Purpose::Upgrade | Purpose::TopUp)
            | (State::Draft | State::Void | State::Closed, _) => false,
        }
    }

    /// Whether it waits for the next one, as too little to be paid by itself.
    #[must_use]
    pub const fn is_carried(&self) -> bool {
        matches!(self.state, State::Open) && self.carried_at.is_some()
    }

    /// Whether it is what a period waits for: neither of a change, nor carried forward.
    #[must_use]
    pub const fn holds_period(&self) -> bool {
        !matches!(self.purpose, Purpose::Upgrade) && !self.is_carried()
    }

    /// Whether money for it is in the wallet, also what came when it had expired: what goes back of it comes from there.
    #[must_use]
    pub const fn has_topped_up(&self) -> bool {
        matches!((self.purpose, self.state), (Purpose::TopUp, State::Closed | State::Void))
    }

    /// What tax did to the price of what is sold. Before rules there were, it was contained at the rate of the lines.
    #[must_use]
    pub fn tax(&self) -> Tax {
        match &self.snapshot.tax {
            Some(decision) => decision.tax.clone(),
            None => Tax::contained(self.lines.first().map_or(0, |line| line.tax_rate_bp)),
        }
    }

    /// Whether it only asks so far: in no books, and no document for tax.
    #[must_use]
    pub const fn is_proforma(&self) -> bool {
        matches!(self.state, State::Open | State::Void) && self.issued_at.is_none() && self.proforma.is_some()
    }

    /// When its customer was asked for the money.
    #[must_use]
    pub fn asked_at(&self) -> Option<DateTime<Utc>> {
        self.proforma.as_ref().map(|proforma| proforma.at).or(self.issued_at)
    }

    /// The number of the pro forma; empty without one.
    #[must_use]
    pub fn proforma_text(&self) -> String {
        let number = self.proforma.as_ref().and_then(|proforma| proforma.number.as_ref());
        number.map(Number::to_string).unwrap_or_default()
    }

    /// The printed number, that of the pro forma while it only asks; empty while a draft.
    #[must_use]
    pub fn number_text(&self) -> String {
        self.number.as_ref().map_or_else(|| self.proforma_text(), Number::to_string)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use ottery_kernel::Currency;

    use super::*;

    const STATES: [State; 5] = [State::Draft, State::Open, State::Void, State::Uncollectible, State::Closed];

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::EUR)
    }

    #[test]
    fn case_041_nothing_but_a_draft_can_be_finalised_and_nothing_leads_back() {
        for state in STATES {
            let answer = state.on(Command::Finalise, eur(0), eur(10));
            assert_eq!(answer == Ok(Outcome::Moved(State::Open)), state == State::Draft);
        }
    }

    #[test]
    fn case_039_an_issued_invoice_can_be_made_void_only_while_nothing_is_paid() {
        assert_eq!(State::Open.on(Command::Void, eur(0), eur(10)), Ok(Outcome::Moved(State::Void)));
        assert_eq!(State::Open.on(Command::Void, eur(1), eur(10)), Err(Refused::Paid { paid: eur(1) }));
        assert_eq!(State::Void.on(Command::Void, eur(0), eur(10)), Ok(Outcome::AlreadyThere));
        assert!(State::Closed.on(Command::Void, eur(0), eur(10)).is_err());
    }

    #[test]
    fn case_049_a_claim_that_was_given_up_closes_once_all_of_it_is_paid() {
        assert_eq!(State::Open.on(Command::WriteOff, eur(0), eur(10)), Ok(Outcome::Moved(State::Uncollectible)));
        assert!(matches!(State::Uncollectible.on(Command::Close, eur(9), eur(10)), Err(Refused::Unpaid { .. })));
        assert_eq!(State::Uncollectible.on(Command::Close, eur(10), eur(10)), Ok(Outcome::Moved(State::Closed)));
        assert!(State::Draft.on(Command::WriteOff, eur(0), eur(10)).is_err());
    }

    #[test]
    fn case_046_a_partly_paid_invoice_stays_open() {
        assert!(matches!(State::Open.on(Command::Close, eur(9), eur(10)), Err(Refused::Unpaid { .. })));
        assert_eq!(State::Open.on(Command::Close, eur(10), eur(10)), Ok(Outcome::Moved(State::Closed)));
        assert_eq!(State::Closed.on(Command::Close, eur(10), eur(10)), Ok(Outcome::AlreadyThere));
    }

    #[test]
    fn case_040_the_year_of_a_number_is_that_of_the_entity() {
        let late = Utc.with_ymd_and_hms(2026, 12, 31, 23, 30, 0).unwrap();
        assert_eq!(number_year(late, Tz::UTC), 2026);
        assert_eq!(number_year(late, Tz::Europe__Berlin), 2027);
        let number = Number { series: "INV".into(), year: 2027, sequence: 1 };
        assert_eq!(number.to_string(), "INV-2027-000001");
    }

    #[test]
    fn states_read_back() {
        for state in STATES {
            assert_eq!(State::from_text(state.as_str()), Some(state));
        }
    }
}

//! Double entry. A transfer moves an amount from its credit account to its debit account, so each one sums to zero by
//! construction; a booking is the group of transfers one event causes. Nothing is ever changed: a hold is a pending
//! transfer, and posting or voiding it is a transfer of its own.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, EntityId, IdError, Money, TransferId};

use super::line::Totals;
use super::wallet::{CreditId, CreditIdError, Pocket};

/// An account of the books, by its code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Account {
    /// What a customer owes for issued invoices.
    Receivable(AccountId),
    /// Money of the customer kept for the next invoice.
    Wallet(AccountId),
    /// Credit that was granted and is not spent.
    Credit(CreditId),
    /// Money received that fits nothing; a person decides.
    Unapplied(AccountId),
    /// Money at a payment provider, by its name.
    Provider(String),
    /// What providers keep for themselves, by name.
    ProviderFees(String),
    /// Sales without tax.
    Revenue,
    /// Sales of time that has not passed.
    Deferred,
    /// Sales taken back (contra revenue).
    Refunds,
    /// Tax owed to the state.
    Tax,
    /// Claims given up, and objections lost.
    BadDebt,
    /// What a provider took back for a cardholder who objects, until that is decided.
    Disputes,
    /// What granted credit costs the seller.
    Promotions,
    /// Top-ups between their invoice and the wallet, and on their way back.
    TopUps,
    /// What was converted into another currency: what came in of one, and went out of the other.
    Exchange,
    /// Codes that were sold and nobody has redeemed.
    GiftCodes,
    /// What whoever sells codes owes for them.
    GiftSales,
    /// Codes that were sold and expired: earned, without anything to do for it.
    GiftBreakage,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Receivable(account) => write!(f, "receivable:{account}"),
            Self::Wallet(account) => write!(f, "wallet:{account}"),
            Self::Credit(credit) => write!(f, "credit:{credit}"),
            Self::Unapplied(account) => write!(f, "unapplied:{account}"),
            Self::Provider(name) => write!(f, "provider:{name}"),
            Self::ProviderFees(name) => write!(f, "provider_fees:{name}"),
            Self::Revenue => f.write_str("revenue"),
            Self::Deferred => f.write_str("deferred"),
            Self::Refunds => f.write_str("refunds"),
            Self::Tax => f.write_str("tax"),
            Self::BadDebt => f.write_str("bad_debt"),
            Self::Disputes => f.write_str("disputes"),
            Self::Promotions => f.write_str("promotions"),
            Self::TopUps => f.write_str("top_ups"),
            Self::Exchange => f.write_str("exchange"),
            Self::GiftCodes => f.write_str("gift_codes"),
            Self::GiftSales => f.write_str("gift_sales"),
            Self::GiftBreakage => f.write_str("gift_breakage"),
        }
    }
}

/// A code that names no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// No account has this name.
    #[error("`{0}` is no ledger account")]
    Unknown(String),
    /// The owner's id is malformed.
    #[error(transparent)]
    Owner(#[from] IdError),
    /// The credit's id is malformed.
    #[error(transparent)]
    Credit(#[from] CreditIdError),
}

impl FromStr for Account {
    type Err = AccountError;

    fn from_str(code: &str) -> Result<Self, AccountError> {
        match code.split_once(':') {
            Some(("receivable", owner)) => Ok(Self::Receivable(owner.parse()?)),
            Some(("wallet", owner)) => Ok(Self::Wallet(owner.parse()?)),
            Some(("credit", credit)) => Ok(Self::Credit(credit.parse()?)),
            Some(("unapplied", owner)) => Ok(Self::Unapplied(owner.parse()?)),
            Some(("provider", name)) if !name.is_empty() => Ok(Self::Provider(name.to_owned())),
            Some(("provider_fees", name)) if !name.is_empty() => Ok(Self::ProviderFees(name.to_owned())),
            None if code == "revenue" => Ok(Self::Revenue),
            None if code == "deferred" => Ok(Self::Deferred),
            None if code == "refunds" => Ok(Self::Refunds),
            None if code == "tax" => Ok(Self::Tax),
            None if code == "bad_debt" => Ok(Self::BadDebt),
            None if code == "disputes" => Ok(Self::Disputes),
            None if code == "promotions" => Ok(Self::Promotions),
            None if code == "top_ups" => Ok(Self::TopUps),
            None if code == "exchange" => Ok(Self::Exchange),
            None if code == "gift_codes" => Ok(Self::GiftCodes),
            None if code == "gift_sales" => Ok(Self::GiftSales),
            None if code == "gift_breakage" => Ok(Self::GiftBreakage),
            Some(_) | None => Err(AccountError::Unknown(code.chars().take(64).collect())),
        }
    }
}

/// Whether a transfer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferState {
    /// Counts in every balance; the hold it resolves, if any, is spent.
    Posted {
        /// The hold it makes final.
        resolves: Option<TransferId>,
    },
    /// A hold: reserves the amount until it is posted or voided.
    Pending {
        /// When it counts as forgotten.
        deadline: DateTime<Utc>,
    },
    /// Gives a hold back.
    Voided {
        /// The hold it ends.
        resolves: TransferId,
    },
}

impl TransferState {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Posted { .. } => "posted",
            Self::Pending { .. } => "pending",
            Self::Voided { .. } => "voided",
        }
    }

    /// The hold this row resolves.
    #[must_use]
    pub const fn resolves(self) -> Option<TransferId> {
        match self {
            Self::Posted { resolves } => resolves,
            Self::Pending { .. } => None,
            Self::Voided { resolves } => Some(resolves),
        }
    }

    /// When a hold counts as forgotten.
    #[must_use]
    pub const fn deadline(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Posted { .. } | Self::Voided { .. } => None,
            Self::Pending { deadline } => Some(deadline),
        }
    }
}

/// One row of the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Its id.
    pub id: TransferId,
    /// Whose books.
    pub entity: EntityId,
    /// The account that receives.
    pub debit: Account,
    /// The account that gives.
    pub credit: Account,
    /// Above zero.
    pub amount: Money,
    /// Whether it counts.
    pub state: TransferState,
    /// What happened: `invoice.finalised`, `payment.settled`, …
    pub kind: &'static str,
    /// Prefixed id of what it happened to.
    pub reference: String,
    /// When, by the brand's clock.
    pub booked_at: DateTime<Utc>,
}

/// Why a transfer was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Zero moves nothing, and a negative amount is a transfer the other way round.
    #[error("a transfer moves an amount above zero, got {0}")]
    NotPositive(Money),
    /// Nothing would move.
    #[error("a transfer needs two accounts, got `{0}` twice")]
    SameAccount(Account),
    /// Only a hold can be resolved.
    #[error("{0} is not a hold, so it can be neither posted nor voided")]
    NotAHold(TransferId),
}

/// What one event puts into the books: transfers with a common cause.
#[derive(Clone, Debug)]
pub struct Booking {
    entity: EntityId,
    kind: &'static str,
    reference: String,
    at: DateTime<Utc>,
    transfers: Vec<Transfer>,
}

impl Booking {
    /// An empty booking of that cause.
    #[must_use]
    pub fn new(entity: EntityId, kind: &'static str, reference: impl ToString, at: DateTime<Utc>) -> Self {
        Self { entity, kind, reference: reference.to_string(), at, transfers: Vec::new() }
    }

    /// Moves `amount` to `debit` from `credit`; zero books nothing.
    ///
    /// # Errors
    /// When the amount is negative or both accounts are the same.
    pub fn post(self, debit: Account, credit: Account, amount: Money) -> Result<Self, LedgerError> {
        self.add(debit, credit, amount, TransferState::Posted { resolves: None })
    }

    /// Reserves `amount` until `deadline`.
    ///
    /// # Errors
    /// When the amount is not above zero or both accounts are the same.
    pub fn hold(
        self,
        debit: Account,
        credit: Account,
        amount: Money,
        deadline: DateTime<Utc>,
    ) -> Result<Self, LedgerError> {
        if !amount.is_positive() {
            return Err(LedgerError::NotPositive(amount));
        }
        self.add(debit, credit, amount, TransferState::Pending { deadline })
    }

    /// Makes a hold final, in its whole amount.
    ///
    /// # Errors
    /// When `hold` is none.
    pub fn post_hold(self, hold: &Transfer) -> Result<Self, LedgerError> {
        let resolves = Some(hold_id(hold)?);
        self.add(hold.debit.clone(), hold.credit.clone(), hold.amount, TransferState::Posted { resolves })
    }

    /// Gives a hold back.
    ///
    /// # Errors
    /// When `hold` is none.
    pub fn void_hold(self, hold: &Transfer) -> Result<Self, LedgerError> {
        let resolves = hold_id(hold)?;
        self.add(hold.debit.clone(), hold.credit.clone(), hold.amount, TransferState::Voided { resolves })
    }

    fn add(
        mut self,
        debit: Account,
        credit: Account,
        amount: Money,
        state: TransferState,
    ) -> Result<Self, LedgerError> {
        if amount.is_zero() {
            return Ok(self);
        }
        if amount.is_negative() {
            return Err(LedgerError::NotPositive(amount));
        }
        if debit == credit {
            return Err(LedgerError::SameAccount(debit));
        }
        self.transfers.push(Transfer {
            id: TransferId::new(self.at),
            entity: self.entity,
            debit,
            credit,
            amount,
            state,
            kind: self.kind,
            reference: self.reference.clone(),
            booked_at: self.at,
        });
        Ok(self)
    }

    /// The rows to write.
    #[must_use]
    pub fn into_transfers(self) -> Vec<Transfer> {
        self.transfers
    }
}

fn hold_id(hold: &Transfer) -> Result<TransferId, LedgerError> {
    match hold.state {
        TransferState::Pending { .. } => Ok(hold.id),
        TransferState::Posted { .. } | TransferState::Voided { .. } => Err(LedgerError::NotAHold(hold.id)),
    }
}

/// An invoice was issued: the customer owes revenue and tax.
///
/// # Errors
/// When a total is negative.
pub fn invoice_finalised(booking: Booking, customer: AccountId, totals: Totals) -> Result<Booking, LedgerError> {
    booking.post(Account::Receivable(customer), Account::Revenue, totals.subtotal)?.post(
        Account::Receivable(customer),
        Account::Tax,
        totals.tax,
    )
}

/// The invoice of a top-up was issued: nothing was sold and nothing is taxed before the money is spent.
///
/// # Errors
/// When the amount is negative.
pub fn top_up_finalised(booking: Booking, customer: AccountId, amount: Money) -> Result<Booking, LedgerError> {
    booking.post(Account::Receivable(customer), Account::TopUps, amount)
}

/// A top-up was paid: it is the customer's to spend.
///
/// # Errors
/// When the amount is negative.
pub fn topped_up(booking: Booking, customer: AccountId, amount: Money) -> Result<Booking, LedgerError> {
    booking.post(Account::TopUps, Account::Wallet(customer), amount)
}

/// A credit note takes a part of a top-up back.
///
/// # Errors
/// When the amount is negative.
pub fn top_up_credited(booking: Booking, customer: AccountId, amount: Money) -> Result<Booking, LedgerError> {
    booking.post(Account::TopUps, Account::Receivable(customer), amount)
}

/// An issued invoice was made void: exactly what issuing it booked, the other way round.
///
/// # Errors
/// When a total is negative.
pub fn invoice_voided(booking: Booking, customer: AccountId, totals: Totals) -> Result<Booking, LedgerError> {
    booking.post(Account::Revenue, Account::Receivable(customer), totals.subtotal)?.post(
        Account::Tax,
        Account::Receivable(customer),
        totals.tax,
    )
}

/// A credit note takes revenue and tax back; the customer is owed the sum until it is paid out.
///
/// # Errors
/// When an amount is negative.
pub fn credit_note_issued(
    booking: Booking,
    customer: AccountId,
    net: Money,
    tax: Money,
) -> Result<Booking, LedgerError> {
    booking.post(Account::Refunds, Account::Receivable(customer), net)?.post(
        Account::Tax,
        Account::Receivable(customer),
        tax,
    )
}

/// A refund left the provider.
///
/// # Errors
/// When the amount is negative.
pub fn refund_paid_out(
    booking: Booking,
    customer: AccountId,
    provider: &str,
    amount: Money,
) -> Result<Booking, LedgerError> {
    booking.post(Account::Receivable(customer), Account::Provider(provider.to_owned()), amount)
}

/// Credit was granted: what it is worth to the customer is a cost of the seller.
///
/// # Errors
/// When the amount is negative.
pub fn credit_granted(booking: Booking, credit: CreditId, amount: Money) -> Result<Booking, LedgerError> {
    booking.post(Account::Promotions, Account::Credit(credit), amount)
}

/// What is left of a credit is worth nothing any more.
///
/// # Errors
/// When the amount is negative.
pub fn credit_expired(booking: Booking, credit: CreditId, left: Money) -> Result<Booking, LedgerError> {
    booking.post(Account::Credit(credit), Account::Promotions, left)
}

/// The account of a pocket of a customer's wallet.
#[must_use]
pub const fn pocket(customer: AccountId, pocket: Pocket) -> Account {
    match pocket {
        Pocket::Paid => Account::Wallet(customer),
        Pocket::Credit { id, .. } => Account::Credit(id),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ottery_kernel::Currency;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::line::{Line, Totals};
    use crate::domain::tax::Tax;

    fn booking(kind: &'static str) -> Booking {
        Booking::new(EntityId::new(DateTime::UNIX_EPOCH), kind, "inv_1", DateTime::UNIX_EPOCH)
    }

    fn balances(transfers: &[Transfer]) -> BTreeMap<Account, i64> {
        let mut balances = BTreeMap::new();
        for transfer in transfers.iter().filter(|transfer| matches!(transfer.state, TransferState::Posted { .. })) {
            *balances.entry(transfer.debit.clone()).or_default() += transfer.amount.minor;
            *balances.entry(transfer.credit.clone()).or_default() -= transfer.amount.minor;
        }
        balances
    }

    #[test]
    fn codes_read_back() {
        let customer = AccountId::new(DateTime::UNIX_EPOCH);
        for account in [
            Account::Receivable(customer),
            Account::Wallet(customer),
            Account::Unapplied(customer),
            Account::Provider("sandbox".into()),
            Account::ProviderFees("sandbox".into()),
            Account::Revenue,
            Account::Refunds,
            Account::Tax,
            Account::BadDebt,
            Account::Disputes,
            Account::Credit(CreditId::fresh()),
            Account::Promotions,
            Account::Deferred,
            Account::TopUps,
            Account::Exchange,
            Account::GiftCodes,
            Account::GiftSales,
            Account::GiftBreakage,
        ] {
            assert_eq!(account.to_string().parse(), Ok(account));
        }
        assert!("cash".parse::<Account>().is_err());
        assert!("provider:".parse::<Account>().is_err());
    }

    #[test]
    fn a_hold_moves_nothing_until_it_is_posted_and_cannot_be_posted_twice_in_a_row() {
        let customer = AccountId::new(DateTime::UNIX_EPOCH);
        let amount = Money::new(500, Currency::EUR);
        let hold = booking("credit.held")
            .hold(Account::Wallet(customer), Account::Revenue, amount, DateTime::UNIX_EPOCH)
            .unwrap()
            .into_transfers();
        assert!(balances(&hold).is_empty());
        let posted = booking("credit.posted").post_hold(&hold[0]).unwrap().into_transfers();
        assert_eq!(balances(&posted)[&Account::Revenue], -500);
        assert_eq!(posted[0].state.resolves(), Some(hold[0].id));
        assert!(matches!(booking("x").post_hold(&posted[0]), Err(LedgerError::NotAHold(_))));
        assert!(
            booking("x")
                .hold(Account::Tax, Account::Revenue, Money::zero(Currency::EUR), DateTime::UNIX_EPOCH)
                .is_err()
        );
    }

    #[test]
    fn an_amount_below_zero_is_refused() {
        let refused = booking("x").post(Account::Tax, Account::Revenue, Money::new(-1, Currency::EUR));
        assert_eq!(refused.unwrap_err(), LedgerError::NotPositive(Money::new(-1, Currency::EUR)));
        assert!(booking("x").post(Account::Tax, Account::Tax, Money::new(1, Currency::EUR)).is_err());
    }

    proptest! {
        #[test]
        fn the_books_sum_to_zero_and_an_invoice_that_is_voided_or_paid_and_refunded_leaves_nothing_owed(
            gross in proptest::collection::vec(1_i64..1_000_000, 1..6), bp in 0_u32..5_000, voided in any::<bool>(),
        ) {
            let customer = AccountId::new(DateTime::UNIX_EPOCH);
            let lines: Vec<_> =
                gross.iter().map(|minor| Line::priced("x", Money::new(*minor, Currency::EUR), &Tax::contained(bp), None).unwrap()).collect();
            let totals = Totals::of(Currency::EUR, &lines).unwrap();
            let mut rows = invoice_finalised(booking("invoice.finalised"), customer, totals).unwrap().into_transfers();
            if voided {
                rows.extend(invoice_voided(booking("invoice.voided"), customer, totals).unwrap().into_transfers());
            } else {
                rows.extend(booking("payment.settled")
                    .post(Account::Provider("sandbox".into()), Account::Receivable(customer), totals.total).unwrap().into_transfers());
                rows.extend(credit_note_issued(booking("credit_note.issued"), customer, totals.subtotal, totals.tax).unwrap().into_transfers());
                rows.extend(refund_paid_out(booking("refund.settled"), customer, "sandbox", totals.total).unwrap().into_transfers());
            }
            let balances = balances(&rows);
            prop_assert_eq!(balances.values().sum::<i64>(), 0);
            for account in [Account::Receivable(customer), Account::Tax, Account::Provider("sandbox".into())] {
                prop_assert_eq!(balances.get(&account).copied().unwrap_or(0), 0);
            }
        }
    }
}

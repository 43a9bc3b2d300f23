//! Two customers of a brand who are one person: everything of one goes to the other, and nothing is rewritten.

use std::collections::HashMap;
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, Money};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use serde_json::json;
use sqlx::postgres::PgTransaction;

use super::collection::reason;
use super::order::Idempotency;
use super::unit::Unit;
use super::{Billing, broken, once, profile, settlement};
use crate::domain::address::{Kept, Source};
use crate::domain::invoice::Buyer;
use crate::domain::ledger::{Account, Booking, LedgerError};
use crate::store;
use crate::store::customer::Customer;
use crate::store::merge::Standing;

/// Who goes where.
#[derive(Clone, Debug)]
pub struct Merge {
    /// Who is merged away.
    pub from: AccountId,
    /// Who gets everything.
    pub to: AccountId,
    /// As new invoices show them.
    pub buyer: Buyer,
    /// For the audit.
    pub reason: String,
}

/// What became of the billing address of who was merged away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BillingAddress {
    /// They had typed none.
    #[default]
    None,
    /// It is the other one's now, who had typed none.
    Moved,
    /// The other one has kept their own.
    Kept,
}

impl BillingAddress {
    /// As stored, and as the audit says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Moved => "moved",
            Self::Kept => "kept",
        }
    }
}

/// What moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merged {
    /// Subscriptions, running and over.
    pub subscriptions: u32,
    /// Invoices, open and closed.
    pub invoices: u32,
    /// What became of the billing address.
    pub billing_address: BillingAddress,
}

impl fmt::Display for Merged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.subscriptions, self.invoices, self.billing_address.as_str())
    }
}

impl FromStr for Merged {
    type Err = ParseIntError;

    /// As it is kept for a repeated call; earlier versions did not say anything of an address.
    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let mut words = text.split(' ');
        let mut next = || words.next().unwrap_or_default();
        let (subscriptions, invoices, address) = (next().parse()?, next().parse()?, next());
        let known = [BillingAddress::Moved, BillingAddress::Kept];
        let billing_address = known.into_iter().find(|known| known.as_str() == address).unwrap_or_default();
        Ok(Self { subscriptions, invoices, billing_address })
    }
}

impl Billing {
    /// Gives subscriptions, invoices, payments, saved methods and balances of `from` to `to`. Invoices keep the name they
    /// were issued to; balances move by bookings of their own. A billing address moves to somebody who has typed none, with
    /// what is known of its VAT number. Nothing new begins under `from` afterwards. Sent twice with the same key it happens
    /// once.
    ///
    /// # Errors
    /// When either is merged already, `from` is no customer of billing's, money of theirs is on hold, or they order
    /// something at this moment.
    pub async fn merge_customers(
        &self,
        actor: &Actor,
        brand: BrandId,
        merge: Merge,
        call: Option<Idempotency>,
    ) -> Result<Merged, Problem> {
        let why = reason(&merge.reason)?.to_owned();
        let Merge { from, to, buyer, .. } = merge;
        if from == to {
            let message = "into_account_id: name another customer than the one who is merged away";
            return Err(Problem::invalid("into_account_id", "SAME_ACCOUNT", message));
        }
        let (mut tx, now) = self.begin(brand).await?;
        if let Some(merged) = once::made(&mut tx, call.as_ref()).await? {
            return Ok(merged);
        }
        let wanted = store::merge::subscriptions(&mut tx, from).await?;
        let locked = store::subscription::lock_all(&mut tx, &wanted).await?;
        let invoices = store::merge::lock_money(&mut tx, from).await?;
        let customer = Customer {
            account: to,
            buyer,
            source: Source::Order,
            standing: None,
            referral_code: String::new(),
            first_settled_at: None,
            consolidated: None,
        };
        store::customer::put(&mut tx, brand, &customer).await?;
        let billing_address = move_address(&mut tx, brand, (from, to), now).await?;
        let mut unit = Unit::new(brand, profile(&mut tx, brand).await?, now);
        unit.lock_customers(&mut tx, &[from, to]).await?;
        if unit.customer(from).is_none() {
            let message = format!("{from} never bought anything here; there is nothing to merge");
            return Err(Problem::refused("NOTHING_TO_MERGE", message).on_field("account_id"));
        }
        refuse_merged(&mut tx, from, "account_id").await?;
        refuse_merged(&mut tx, to, "into_account_id").await?;
        // Whoever orders holds the customer; what they ordered before the lock was free was not locked above.
        if store::merge::subscriptions(&mut tx, from).await? != wanted {
            return Err(Problem::conflict("CUSTOMER_BUSY", "the customer is ordering at this moment; try again"));
        }
        if store::merge::has_holds(&mut tx, from).await? {
            let message = "money of this customer is on hold; wait until that is decided";
            return Err(Problem::refused("MONEY_ON_HOLD", message).on_field("account_id"));
        }
        super::reseller::carry_over(&mut tx, brand, from, to, now).await?;
        for standing in store::merge::standings(&mut tx, from).await? {
            // One booking per seller and currency.
            let cause = format!("{from}/{}/{}", standing.entity, standing.net.currency);
            let booking = Booking::new(standing.entity, "customer.merged", cause, now);
            unit.book(carried(booking, &standing, to).map_err(broken)?);
        }
        let (subscriptions, invoices) = (count(locked.len()), count(invoices.len()));
        let merged = Merged { subscriptions, invoices, billing_address };
        store::merge::give(&mut tx, brand, from, to).await?;
        store::trial::give(&mut tx, brand, from, to).await?;
        store::screen::give(&mut tx, brand, from, to).await?;
        let mut subscriptions = Vec::with_capacity(locked.len());
        for mut subscription in locked {
            let before = subscription.clone();
            subscription.account = to;
            unit.touch(&before, &mut subscription, "merged").map_err(broken)?;
            subscriptions.push(subscription);
        }
        settlement::finish_all(&mut tx, self, unit, subscriptions).await?;
        let after = json!({ "into": to.to_string(), "subscriptions": merged.subscriptions, "invoices": merged.invoices,
                            "billing_address": billing_address.as_str(), "reason": why });
        audit::append(&mut tx, actor, "customer.merge", from, None, Some(after)).await?;
        once::keep(&mut tx, call.as_ref(), merged).await?;
        tx.commit().await?;
        Ok(merged)
    }
}

/// Gives the billing address `from` typed to `to`, unless they have typed one. Where an order said somebody is counts as
/// nothing typed.
async fn move_address(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    (from, to): (AccountId, AccountId),
    now: DateTime<Utc>,
) -> sqlx::Result<BillingAddress> {
    let typed = store::address::get(tx, brand, from).await?.filter(|kept| kept.source != Source::Order);
    if typed.is_none() {
        return Ok(BillingAddress::None);
    }
    // Due rows before addresses, as whoever types one locks them; renewals that wait for the number look again.
    for account in [from, to] {
        store::due::nudge(tx, brand, account, now).await?;
    }
    let mut found = HashMap::new();
    for account in [from.min(to), from.max(to)] {
        found.insert(account, store::address::lock(tx, brand, account).await?);
    }
    let mut typed = |account| found.remove(&account).flatten();
    let (theirs, own) = (typed(from), typed(to));
    let Some(theirs) = theirs.filter(|kept| kept.source != Source::Order) else { return Ok(BillingAddress::None) };
    if own.as_ref().is_some_and(|kept| kept.source != Source::Order) {
        return Ok(BillingAddress::Kept);
    }
    let version = own.map_or(0, |own| own.version) + 1;
    store::address::put(tx, brand, to, &Kept { version, ..theirs }, now).await?;
    store::merge::give_address(tx, brand, from, to).await?;
    Ok(BillingAddress::Moved)
}

/// Nothing begins under a customer who was merged into another one.
///
/// # Errors
/// Naming the other one.
pub(super) async fn refuse_merged(
    tx: &mut PgTransaction<'_>,
    account: AccountId,
    field: &'static str,
) -> Result<(), Problem> {
    match store::merge::merged_into(tx, account).await? {
        None => Ok(()),
        Some(into) => {
            let message = format!("{account} was merged into {into}; use that one");
            Err(Problem::refused("CUSTOMER_MERGED", message).on_field(field).with("into_account_id", into))
        }
    }
}

/// The balance of one account, carried over to the same account of `to`.
fn carried(booking: Booking, standing: &Standing, to: AccountId) -> Result<Booking, LedgerError> {
    let theirs = match standing.account {
        Account::Receivable(_) => Account::Receivable(to),
        Account::Wallet(_) => Account::Wallet(to),
        Account::Unapplied(_) => Account::Unapplied(to),
        // Credits are accounts of their own and move with their rows.
        Account::Credit(_)
        | Account::Provider(_)
        | Account::ProviderFees(_)
        | Account::Revenue
        | Account::Deferred
        | Account::Refunds
        | Account::Tax
        | Account::BadDebt
        | Account::Disputes
        | Account::Promotions
        | Account::TopUps
        | Account::Exchange
        | Account::GiftCodes
        | Account::GiftSales
        | Account::GiftBreakage => return Ok(booking),
    };
    if standing.net.is_positive() {
        booking.post(theirs, standing.account.clone(), standing.net)
    } else {
        booking.post(standing.account.clone(), theirs, Money::new(-standing.net.minor, standing.net.currency))
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moved_is_read_back_as_it_is_kept_also_from_earlier_versions() {
        for billing_address in [BillingAddress::None, BillingAddress::Moved, BillingAddress::Kept] {
            let merged = Merged { subscriptions: 3, invoices: 14, billing_address };
            assert_eq!(merged.to_string().parse(), Ok(merged));
        }
        let old = Merged { subscriptions: 3, invoices: 14, billing_address: BillingAddress::None };
        assert_eq!("3 14".parse(), Ok(old));
        assert!("3".parse::<Merged>().is_err());
    }
}

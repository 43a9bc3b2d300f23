//! A customer's wallet in another currency: an act of staff, at a rate staff states, that leaves a trace.
//!
//! Another currency for a customer begins with nothing left in the old one. Where there is something, it is converted here:
//! each pocket by two bookings against the account `exchange`, one per currency, so that each currency sums to zero by
//! itself and `exchange` says what the seller gained or lost.

use std::fmt;
use std::str::FromStr;

use ottery_kernel::{AccountId, BrandId, Currency, Money};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use serde_json::json;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::collection::reason;
use super::merge::refuse_merged;
use super::order::Idempotency;
use super::{Billing, broken, once, profile};
use crate::domain::exchange::Rate;
use crate::domain::ledger::{Account, Booking, Transfer};
use crate::domain::wallet::{CreditId, Granted};
use crate::store;
use crate::store::wallet::Held;

/// Kind of the bookings of a conversion.
const CONVERTED: &str = "wallet.converted";

/// What staff asks for.
#[derive(Clone, Debug)]
pub struct Convert {
    /// Whose wallet.
    pub account: AccountId,
    /// What is in it.
    pub from: Currency,
    /// What shall be in it.
    pub to: Currency,
    /// How much of `to` one unit of `from` is worth.
    pub rate: Rate,
    /// Why, for the audit.
    pub reason: String,
}

/// What was converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// Names the bookings.
    pub id: String,
    /// What was taken out.
    pub from: Money,
    /// What was put in.
    pub to: Money,
}

impl fmt::Display for Converted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, from, to } = self;
        write!(f, "{id} {} {} {} {}", from.minor, from.currency, to.minor, to.currency)
    }
}

/// A kept answer that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer that was kept for this key is unreadable")]
pub struct ConvertedError;

impl FromStr for Converted {
    type Err = ConvertedError;

    /// As it is kept for a repeated call.
    fn from_str(text: &str) -> Result<Self, ConvertedError> {
        let parts: Vec<&str> = text.split(' ').collect();
        let [id, from, from_currency, to, to_currency] = parts.as_slice() else { return Err(ConvertedError) };
        let money = |minor: &str, currency: &str| -> Option<Money> {
            Some(Money::new(minor.parse().ok()?, currency.parse().ok()?))
        };
        let (from, to) = (money(from, from_currency), money(to, to_currency));
        Ok(Self { id: (*id).to_owned(), from: from.ok_or(ConvertedError)?, to: to.ok_or(ConvertedError)? })
    }
}

impl Billing {
    /// Converts everything a customer can spend in one currency into another one. Sent twice with the same key it happens
    /// once.
    ///
    /// # Errors
    /// When invoices in that currency are open, money is on hold or on its way back, or nothing is there to convert.
    pub async fn convert_wallet(
        &self,
        actor: &Actor,
        brand: BrandId,
        convert: Convert,
        call: Option<Idempotency>,
    ) -> Result<Converted, Problem> {
        let why = reason(&convert.reason)?.to_owned();
        let Convert { account, from, to, rate, .. } = convert;
        let (mut tx, now) = self.begin(brand).await?;
        if let Some(converted) = once::made(&mut tx, call.as_ref()).await? {
            return Ok(converted);
        }
        let profile = profile(&mut tx, brand).await?;
        if from == to || !profile.currencies.contains(&to) {
            let others = profile.currencies.iter().filter(|currency| **currency != from);
            let others = others.map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let message = format!("to: nobody could spend {to} instead of {from} here; choose one of {others}");
            return Err(Problem::invalid("to", "CURRENCY_NOT_SOLD", message));
        }
        if store::customer::lock_all(&mut tx, &[account]).await?.is_empty() {
            let message = format!("there is no customer {account}; customers are known from their first order on");
            return Err(Problem::not_found("CUSTOMER_NOT_FOUND", message).on_field("account_id"));
        }
        refuse_merged(&mut tx, account, "account_id").await?;
        nothing_under_way(&mut tx, account, from).await?;
        let id = format!("cnv_{}", Uuid::now_v7().simple());
        let entity = profile.entity.id;
        let mut conversion =
            Conversion { rate, to, taken: Money::zero(from), given: Money::zero(to), transfers: Vec::new() };
        let mut fresh = Vec::new();
        for held in store::wallet::held(&mut tx, &[account]).await? {
            let Held { granted, left } = held;
            // What has expired is taken out by the worker.
            if left.currency != from || granted.expires_at.is_some_and(|end| end <= now) {
                continue;
            }
            let booking = |kind, reference: &str| Booking::new(entity, kind, reference, now);
            let pocket = Account::Credit(granted.id);
            let amount = conversion.take(booking(CONVERTED, &id), pocket, left)?;
            if amount.is_positive() {
                let credit = Granted { id: CreditId::fresh(), amount, ..granted };
                conversion.give(
                    booking("credit.granted", &credit.id.to_string()),
                    Account::Credit(credit.id),
                    amount,
                )?;
                fresh.push(credit);
            }
        }
        let wallets = store::ledger::wallets(&mut tx, &[account]).await?;
        let paid = wallets.get(&(account, from)).copied().filter(|paid| paid.is_positive());
        if let Some(paid) = paid {
            let booking = || Booking::new(entity, CONVERTED, &id, now);
            let amount = conversion.take(booking(), Account::Wallet(account), paid)?;
            conversion.give(booking(), Account::Wallet(account), amount)?;
        }
        if !conversion.given.is_positive() {
            let message =
                format!("from: there is nothing in {from} in the wallet that would be worth something in {to}");
            return Err(Problem::refused("NOTHING_TO_CONVERT", message).on_field("from"));
        }
        for credit in &fresh {
            store::wallet::insert(&mut tx, brand, entity, credit).await?;
        }
        store::ledger::append(&mut tx, brand, &conversion.transfers).await?;
        let converted = Converted { id, from: conversion.taken, to: conversion.given };
        let after = json!({ "conversion": converted.id, "from": converted.from.to_string(), "to": converted.to.to_string(),
                            "rate": rate.to_string(), "reason": why });
        audit::append(&mut tx, actor, "wallet.convert", account, None, Some(after)).await?;
        once::keep(&mut tx, call.as_ref(), &converted).await?;
        tx.commit().await?;
        Ok(converted)
    }
}

/// What is taken out and put in.
struct Conversion {
    rate: Rate,
    to: Currency,
    taken: Money,
    given: Money,
    transfers: Vec<Transfer>,
}

impl Conversion {
    /// Takes what a pocket has to the exchange; returns what it is worth.
    fn take(&mut self, booking: Booking, pocket: Account, amount: Money) -> Result<Money, Problem> {
        let booking = booking.post(pocket, Account::Exchange, amount).map_err(broken)?;
        self.transfers.extend(booking.into_transfers());
        self.taken = self.taken.checked_add(amount).map_err(broken)?;
        self.rate.convert(amount, self.to).map_err(|error| {
            Problem::invalid("rate", "RATE_INVALID", format!("rate: {amount} at {} is too large: {error}", self.rate))
        })
    }

    /// Puts what it is worth from the exchange into a pocket.
    fn give(&mut self, booking: Booking, pocket: Account, amount: Money) -> Result<(), Problem> {
        let booking = booking.post(Account::Exchange, pocket, amount).map_err(broken)?;
        self.transfers.extend(booking.into_transfers());
        self.given = self.given.checked_add(amount).map_err(broken)?;
        Ok(())
    }
}

/// Nothing of the old currency may be decided later. The caller holds the customer's lock.
async fn nothing_under_way(tx: &mut PgTransaction<'_>, account: AccountId, currency: Currency) -> Result<(), Problem> {
    if let Some(open) = store::invoice::any_open(tx, account, currency).await? {
        let message =
            format!("invoice {} in {currency} is open; have it paid or make it void first", open.number_text());
        return Err(Problem::refused("CURRENCY_IN_USE", message).on_field("from").with("invoice_id", open.id));
    }
    if store::merge::has_holds(tx, account).await? || store::refund::is_under_way(tx, account, currency).await? {
        let message = "money of this customer is on hold or on its way back; wait until that is decided";
        return Err(Problem::refused("MONEY_ON_HOLD", message).on_field("account_id"));
    }
    Ok(())
}

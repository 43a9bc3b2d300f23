//! A code is redeemed: once, by one person.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, BrandId, Money, OrderId, SubscriptionId};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use serde_json::json;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::{batch_id, code_id};
use crate::app::merge::refuse_merged;
use crate::app::order::{Outcome, Place, place_in};
use crate::app::unit::Unit;
use crate::app::{Billing, broken, profile};
use crate::domain::address::Source;
use crate::domain::gift::{Batch, Code, Gives, Kind};
use crate::domain::invoice::{Buyer, Invoice};
use crate::domain::ledger::{Account, Booking, LedgerError};
use crate::domain::offer::Offer;
use crate::domain::quote::{Asked, Quote};
use crate::domain::wallet::{Credit, CreditId, Granted, Purse};
use crate::store;
use crate::store::customer::Customer;
use crate::store::quote::Stored;

/// Who redeems what.
#[derive(Clone, Debug)]
pub struct Redeem {
    /// As it was typed.
    pub code: String,
    /// Who.
    pub account: AccountId,
    /// As invoices will show them.
    pub buyer: Buyer,
}

/// What came of a code.
#[derive(Clone, Debug)]
pub enum Redeemed {
    /// Credit is in the wallet.
    Money(Granted),
    /// A plan is paid for its first term, and ends with it unless its customer goes on.
    Plan {
        /// The order.
        order: OrderId,
        /// What runs now.
        subscription: SubscriptionId,
    },
}

/// The same for a code that never was, is void or over, or is somebody else's.
fn unknown() -> Problem {
    let message = "this code is not known, or it was used or is over; check it, or ask whoever gave it to you";
    Problem::not_found("CODE_UNKNOWN", message).on_field("code")
}

impl Billing {
    /// Redeems a code: credit for the wallet, or a term of a plan.
    ///
    /// # Errors
    /// When nobody can redeem it (any more), or not this person.
    pub async fn redeem_gift(&self, actor: &Actor, brand: BrandId, redeem: Redeem) -> Result<Redeemed, Problem> {
        let code =
            Code::read(&redeem.code).map_err(|error| Problem::invalid("code", "CODE_MISTYPED", error.to_string()))?;
        let (mut tx, now) = self.begin(brand).await?;
        let (stored, batch) = store::gift::lock(&mut tx, &self.gift_hash(&code)).await?.ok_or_else(unknown)?;
        if stored.redeemed_by == Some(redeem.account) {
            let message = "you have redeemed this code already; it is in your wallet or among your subscriptions";
            return Err(Problem::refused("CODE_USED_BY_YOU", message).on_field("code"));
        }
        if !stored.is_free() || batch.is_over(now) {
            return Err(unknown());
        }
        let customer = Customer {
            account: redeem.account,
            buyer: redeem.buyer.clone(),
            source: Source::Order,
            standing: None,
            referral_code: String::new(),
            first_settled_at: None,
            consolidated: None,
        };
        store::customer::put(&mut tx, brand, &customer).await?;
        refuse_merged(&mut tx, redeem.account, "account_id").await?;
        let before = store::gift::redeemed_by(&mut tx, batch.id, redeem.account).await?;
        if batch.per_person_max > 0 && before >= i64::from(batch.per_person_max) {
            let message = format!(
                "each person can use {} of these codes, and you have; give it to somebody else",
                batch.per_person_max
            );
            return Err(Problem::refused("CODE_LIMIT", message).on_field("code"));
        }
        let (credit, order, redeemed) = match &batch.gives {
            Gives::Money { credit_days } => {
                let expires_at = credit_days.map(|days| now + TimeDelta::days(days.into()));
                let granted = granted(&batch, redeem.account, batch.value, expires_at, now);
                let entity = profile(&mut tx, brand).await?.entity.id;
                store::wallet::insert(&mut tx, brand, entity, &granted).await?;
                let booking = Booking::new(entity, "credit.granted", granted.id, now);
                store::ledger::book(&mut tx, brand, paid_out(booking, &batch, &granted).map_err(broken)?).await?;
                (granted.id, None, Redeemed::Money(granted))
            }
            Gives::Plan { offer } => {
                let quote = quoted(&mut tx, brand, offer, redeem.account, now).await?;
                let credit = CreditId::fresh();
                let place = ordered(&redeem, quote.id);
                let gift = Gift { batch: &batch, credit };
                let placed = match place_in(&mut tx, self, brand, place, quote, now, Some(gift)).await? {
                    Outcome::Placed(placed) => *placed,
                    Outcome::Denied(seen) => {
                        drop(tx);
                        return Err(self.denied(brand, seen.as_deref()).await?);
                    }
                };
                let (order, subscription) = (placed.order.id, placed.order.subscription);
                if let Some(plan) = batch.holds {
                    store::stock::hand_over(&mut tx, brand, plan, subscription, now).await?;
                }
                (credit, Some(order), Redeemed::Plan { order, subscription })
            }
        };
        store::gift::redeem(&mut tx, stored.id, redeem.account, (credit, order), now).await?;
        let after = json!({ "batch": batch_id(batch.id), "account": redeem.account.to_string(), "value": batch.value.to_string() });
        audit::append(&mut tx, actor, "gift.redeem", code_id(stored.id), None, Some(after)).await?;
        tx.commit().await?;
        Ok(redeemed)
    }
}

fn granted(
    batch: &Batch,
    account: AccountId,
    amount: Money,
    expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Granted {
    Granted {
        id: CreditId::fresh(),
        account,
        amount,
        reason: format!("Code of \u{201c}{}\u{201d}", batch.name),
        granted_by: batch.created_by.clone(),
        granted_at: now,
        expires_at,
    }
}

/// What a credit is paid from: what was sold is owed already, what is given away is a cost now. What a plan costs more than
/// its code was sold for is the seller's.
fn paid_out(booking: Booking, batch: &Batch, granted: &Granted) -> Result<Booking, LedgerError> {
    let owed = match batch.kind {
        Kind::Promotion => Money::zero(granted.amount.currency),
        Kind::Sold => Money::new(batch.value.minor.min(granted.amount.minor), granted.amount.currency),
    };
    let rest = Money::new(granted.amount.minor - owed.minor, owed.currency);
    let to = || Account::Credit(granted.id);
    booking.post(Account::GiftCodes, to(), owed)?.post(Account::Promotions, to(), rest)
}

/// The plan as it was sold when the batch was made, taxed as its customer is now.
async fn quoted(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    offer: &Offer,
    account: AccountId,
    now: DateTime<Utc>,
) -> Result<Stored, Problem> {
    let mut unit = Unit::new(brand, profile(tx, brand).await?, now);
    unit.lock_customers(tx, &[account]).await?;
    let taxed = unit.tax(account, offer);
    let country = taxed.place.country.clone();
    let asked = Asked { currency: None, trial: false, coupon: None };
    let quote = Quote::price(offer, asked, &unit.profile.currencies, &taxed, unit.profile.zone, now)?;
    let stored =
        Stored { id: Uuid::now_v7(), account: Some(account), offer: offer.clone(), quote, country, vat_until: None };
    store::quote::insert(tx, brand, &stored, now).await?;
    Ok(stored)
}

fn ordered(redeem: &Redeem, quote: Uuid) -> Place {
    Place {
        quote,
        account: redeem.account,
        buyer: redeem.buyer.clone(),
        referral_code: String::new(),
        return_url: String::new(),
        cancel_url: String::new(),
        save_method: false,
        chosen: None,
        coupon: String::new(),
        visit: None,
    }
}

/// What pays an order instead of the customer.
#[derive(Clone, Copy, Debug)]
pub(in crate::app) struct Gift<'a> {
    batch: &'a Batch,
    credit: CreditId,
}

impl Gift<'_> {
    /// Credit for exactly this invoice, and the purse that has nothing else in it.
    ///
    /// # Errors
    /// When the database fails.
    pub(in crate::app) async fn purse(
        self,
        tx: &mut PgTransaction<'_>,
        unit: &mut Unit,
        invoice: &Invoice,
    ) -> Result<Purse, Problem> {
        let total = invoice.totals.total;
        let mut purse = Purse::empty(total.currency);
        let entity = invoice.snapshot.seller.id;
        if total.is_positive() {
            let granted = Granted { id: self.credit, ..granted(self.batch, invoice.account, total, None, unit.now) };
            store::wallet::insert(tx, unit.brand, entity, &granted).await?;
            let booking = Booking::new(entity, "credit.granted", granted.id, unit.now);
            unit.book(paid_out(booking, self.batch, &granted).map_err(broken)?);
            purse.credits.push(Credit { id: granted.id, left: total, expires_at: None });
        }
        if self.batch.kind == Kind::Sold {
            // What the plan costs less than its code was sold for stays with the seller.
            let rest = Money::new((self.batch.value.minor - total.minor).max(0), total.currency);
            let booking = Booking::new(entity, "gift.rest", self.credit, unit.now);
            unit.book(booking.post(Account::GiftCodes, Account::Promotions, rest).map_err(broken)?);
        }
        Ok(purse)
    }
}

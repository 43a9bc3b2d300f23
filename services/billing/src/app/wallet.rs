//! Wallets: what is in them, credit that is granted and expires, statements.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use ottery_kernel::{AccountId, BrandId, Currency, InvoiceId, Money};
use ottery_kit::grpc::{Actor, Problem};
use ottery_kit::idempotency::{self, Begin};
use ottery_kit::{WorkerContext, audit};
use serde_json::json;
use sqlx::postgres::PgTransaction;

use super::order::{Idempotency, key_problem};
use super::{Billing, broken, profile};
use crate::domain::amount_rules::AmountRule;
use crate::domain::export::Day;
use crate::domain::ledger::{self, Account, Booking, Transfer};
use crate::domain::statement::Statement;
use crate::domain::wallet::{CreditId, Granted, Pocket};
use crate::store;
use crate::store::invoice::Allocation;
use crate::store::wallet::{Held, TakenBy};

/// Longest reason of a grant.
const REASON_CHARS_MAX: usize = 500;
/// The largest credit, in minor units: more than anybody means.
const CREDIT_MAX: i64 = 100_000_000;
/// Movements of one statement at most.
const MOVEMENTS_MAX: i64 = 5_000;
/// Days of one statement at most.
const DAYS_MAX: i64 = 366;
/// Credits that expire in one transaction.
const EXPIRING_MAX: i64 = 500;
/// Brands looked at in one round; the others come in the next.
const BRANDS_MAX: i64 = 64;

/// What a customer has in one currency.
#[derive(Clone, Debug)]
pub struct Wallet {
    /// What can be spent now.
    pub available: Money,
    /// The part of it that was paid, and never expires.
    pub paid: Money,
    /// Credits of which something is left, in the order they are spent.
    pub credits: Vec<Held>,
}

/// A credit somebody wants to grant.
#[derive(Clone, Debug)]
pub struct Grant {
    /// To whom.
    pub account: AccountId,
    /// How much.
    pub amount: Money,
    /// Why.
    pub reason: String,
    /// From when on it is worth nothing; none: never.
    pub expires_at: Option<DateTime<Utc>>,
}

fn no_customer(account: AccountId) -> Problem {
    let message = format!("there is no customer {account}; customers are known from their first order on");
    Problem::not_found("CUSTOMER_NOT_FOUND", message).on_field("account_id")
}

/// A wallet's page: what is in it, and what can be put into it.
#[derive(Clone, Debug)]
pub struct Overview {
    /// By currency; nothing for a customer who never had anything.
    pub wallets: Vec<Wallet>,
    /// The smallest and the largest top-up of each currency the brand sells in.
    pub top_ups: Vec<(Money, Money)>,
    /// The saved method a top-up can be charged to.
    pub saved: Option<String>,
}

impl Billing {
    /// What a customer has, and how they can have more.
    ///
    /// # Errors
    /// When the brand is unknown.
    pub async fn wallet_overview(&self, brand: BrandId, account: AccountId) -> Result<Overview, Problem> {
        let wallets = self.wallet(brand, account).await?;
        let top_ups = self.amount_rules(brand).await?.rules.iter().map(AmountRule::top_up).collect();
        let (mut tx, _) = self.begin(brand).await?;
        let saved = store::payment_method::default_of(&mut tx, account).await?.map(|(_, label)| label);
        Ok(Overview { wallets, top_ups, saved })
    }

    /// What a customer has, by currency; nothing for one who never had anything.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn wallet(&self, brand: BrandId, account: AccountId) -> Result<Vec<Wallet>, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let purses = store::wallet::purses(&mut tx, &[account]).await?;
        let mut held = store::wallet::held(&mut tx, &[account]).await?;
        held.sort_by_key(|held| (held.granted.expires_at.is_none(), held.granted.expires_at, held.granted.id));
        let mut wallets = Vec::with_capacity(purses.len());
        for ((_, currency), purse) in purses {
            let credits = held.iter().filter(|held| held.left.currency == currency);
            let credits = credits.filter(|held| held.granted.expires_at.is_none_or(|end| end > now)).cloned();
            wallets.push(Wallet {
                available: purse.available(now).map_err(broken)?,
                paid: purse.paid,
                credits: credits.collect(),
            });
        }
        wallets.sort_by_key(|wallet| wallet.paid.currency);
        Ok(wallets)
    }

    /// Grants credit. Sent twice with the same key it is granted once.
    ///
    /// # Errors
    /// When the customer is unknown, the amount is none, or it would have expired already.
    pub async fn grant_credit(
        &self,
        actor: &Actor,
        brand: BrandId,
        grant: Grant,
        call: Option<Idempotency>,
    ) -> Result<Granted, Problem> {
        let reason = grant.reason.trim();
        if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
            let message = format!(
                "reason: say why in 1 to {REASON_CHARS_MAX} characters; the customer reads it in the statement"
            );
            return Err(Problem::invalid("reason", "REASON_INVALID", message));
        }
        if !grant.amount.is_positive() || grant.amount.minor > CREDIT_MAX {
            let most = Money::new(CREDIT_MAX, grant.amount.currency);
            let message = format!("amount: a credit is more than zero and at most {most}, asked for {}", grant.amount);
            return Err(Problem::invalid("amount", "AMOUNT_INVALID", message));
        }
        let (mut tx, now) = self.begin(brand).await?;
        if let Some(call) = &call
            && let Begin::Replay(bytes) =
                idempotency::begin(&mut tx, &call.scope, &call.key, &call.hash).await.map_err(key_problem)?
        {
            let id: CreditId = String::from_utf8_lossy(&bytes).parse().map_err(broken)?;
            let found = store::wallet::get(&mut tx, id).await?;
            return found.ok_or_else(|| Problem::not_found("CREDIT_NOT_FOUND", "the credit is gone"));
        }
        if grant.expires_at.is_some_and(|end| end <= now) {
            let message = format!("expires_at: it is {} already; give a later time, or none", now.to_rfc3339());
            return Err(Problem::invalid("expires_at", "EXPIRY_PAST", message));
        }
        let profile = profile(&mut tx, brand).await?;
        let currency = grant.amount.currency;
        if !profile.currencies.contains(&currency) {
            let sold = profile.currencies.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let message =
                format!("amount: {currency} is not sold here, so nobody could spend it; choose one of {sold}");
            return Err(Problem::invalid("amount", "CURRENCY_NOT_SOLD", message));
        }
        if store::customer::lock_all(&mut tx, &[grant.account]).await?.is_empty() {
            return Err(no_customer(grant.account));
        }
        let granted = Granted {
            id: CreditId::fresh(),
            account: grant.account,
            amount: grant.amount,
            reason: reason.to_owned(),
            granted_by: actor.subject.clone(),
            granted_at: now,
            expires_at: grant.expires_at,
        };
        store::wallet::insert(&mut tx, brand, profile.entity.id, &granted).await?;
        let booking = Booking::new(profile.entity.id, "credit.granted", granted.id, now);
        let booking = ledger::credit_granted(booking, granted.id, granted.amount).map_err(broken)?;
        store::ledger::book(&mut tx, brand, booking).await?;
        let after = json!({"account": granted.account.to_string(), "amount": granted.amount.to_string(),
                           "reason": granted.reason, "expires_at": granted.expires_at});
        audit::append(&mut tx, actor, "wallet.grant", granted.id, None, Some(after)).await?;
        if let Some(call) = &call {
            idempotency::finish(&mut tx, &call.scope, &call.key, granted.id.to_string().as_bytes()).await?;
        }
        tx.commit().await?;
        Ok(granted)
    }

    /// What moved in a wallet from the day `from` through the day `to`, in the brand's zone.
    ///
    /// # Errors
    /// When the days are in the wrong order or too many, or more moved than a statement holds.
    pub async fn wallet_statement(
        &self,
        brand: BrandId,
        account: AccountId,
        currency: Currency,
        (from, to): (NaiveDate, NaiveDate),
    ) -> Result<Statement, Problem> {
        if to < from || (to - from).num_days() >= DAYS_MAX {
            let message = format!("to: a statement is for 1 to {DAYS_MAX} days, asked for {from} to {to}");
            return Err(Problem::invalid("to", "PERIOD_INVALID", message));
        }
        let (mut tx, now) = self.begin(brand).await?;
        let zone = profile(&mut tx, brand).await?.zone;
        let bounds = (Day { date: from, zone }.bounds().0, Day { date: to, zone }.bounds().1);
        let opening = store::wallet::balance_before(&mut tx, account, currency, bounds.0).await?;
        let movements = store::wallet::movements(&mut tx, account, currency, bounds, MOVEMENTS_MAX + 1).await?;
        if i64::try_from(movements.len()).is_ok_and(|count| count > MOVEMENTS_MAX) {
            let message = format!("to: more than {MOVEMENTS_MAX} movements from {from} to {to}; ask for fewer days");
            return Err(Problem::invalid("to", "STATEMENT_TOO_LONG", message));
        }
        Statement::of(zone, (from, to), now, opening, movements).map_err(broken)
    }

    /// Today in the brand's zone, by its clock.
    ///
    /// # Errors
    /// When the brand is unknown.
    pub async fn brand_today(&self, brand: BrandId) -> Result<NaiveDate, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        Ok(now.with_timezone(&profile(&mut tx, brand).await?.zone).date_naive())
    }

    /// Takes out of the books what is left of credits that have expired, takes back top-ups nobody has paid, and ends codes nobody
    /// has redeemed in time, for all brands that have some due. Returns how many were looked at.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn expire_all(&self) -> anyhow::Result<usize> {
        let mut done = 0;
        for brand in store::wallet::due_brands(&self.pool, self.clock.now(), BRANDS_MAX).await? {
            // One brand's defect must not keep the others waiting.
            match self.expire_credits(brand).await {
                Ok(count) => done += count,
                Err(error) => {
                    tracing::error!(brand.id = %brand, reason = %error.reason, error = %error.message, "credits could not expire");
                }
            }
        }
        for brand in store::top_up::due_brands(&self.pool, self.clock.now(), BRANDS_MAX).await? {
            match self.expire_top_ups(brand).await {
                Ok(count) => done += count,
                Err(error) => {
                    tracing::error!(brand.id = %brand, reason = %error.reason, error = %error.message, "top-ups could not expire");
                }
            }
        }
        for brand in store::gift::due_brands(&self.pool, self.clock.now(), BRANDS_MAX).await? {
            match self.expire_gifts(brand).await {
                Ok(count) => done += count,
                Err(error) => {
                    tracing::error!(brand.id = %brand, reason = %error.reason, error = %error.message, "codes could not expire");
                }
            }
        }
        Ok(done)
    }

    /// One batch of one brand: returns how many credits were looked at. What an open invoice took is not there any more, so
    /// it stays out of it; [`Unit::withdraw`](super::unit::Unit::withdraw) deals with it when it comes back.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn expire_credits(&self, brand: BrandId) -> Result<usize, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let due = store::wallet::due(&mut tx, now, EXPIRING_MAX).await?;
        if due.is_empty() {
            return Ok(0);
        }
        let mut accounts: Vec<AccountId> = due.iter().map(|(_, account)| *account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        // Customers before due rows, as everybody locks.
        store::customer::lock_all(&mut tx, &accounts).await?;
        let wanted: Vec<CreditId> = due.iter().map(|(credit, _)| *credit).collect();
        let mine = store::wallet::take_due(&mut tx, &wanted).await?;
        let entity = profile(&mut tx, brand).await?.entity.id;
        let mut transfers = Vec::new();
        for held in store::wallet::held(&mut tx, &accounts).await? {
            if mine.contains(&held.granted.id) {
                let booking = Booking::new(entity, "credit.expired", held.granted.id, now);
                let booking = ledger::credit_expired(booking, held.granted.id, held.left).map_err(broken)?;
                transfers.extend(booking.into_transfers());
            }
        }
        store::ledger::append(&mut tx, brand, &transfers).await?;
        tx.commit().await?;
        Ok(mine.len())
    }
}

/// What the wallet paid on withdrawn invoices goes back there; what has expired meanwhile expires now.
///
/// # Errors
/// When the database fails.
pub(super) async fn release(
    tx: &mut PgTransaction<'_>,
    invoices: &[InvoiceId],
    now: DateTime<Utc>,
) -> sqlx::Result<(Vec<Transfer>, Vec<Allocation>)> {
    let (mut transfers, mut allocations) = (Vec::new(), Vec::new());
    for taken in store::wallet::taken_by(tx, invoices).await? {
        let TakenBy { invoice, account, entity, pocket, amount } = taken;
        let back = Booking::new(entity, "wallet.released", invoice, now).post(
            Account::Receivable(account),
            ledger::pocket(account, pocket),
            amount,
        );
        transfers.extend(back.expect("what was taken is above zero").into_transfers());
        let source_id = match pocket {
            Pocket::Paid => invoice.to_string(),
            Pocket::Credit { id, .. } => id.to_string(),
        };
        let given_back = Money::new(-amount.minor, amount.currency);
        allocations.push(Allocation { invoice, source: "release", source_id, amount: given_back, at: now });
        if let Pocket::Credit { id, expires_at: Some(end) } = pocket
            && end <= now
        {
            let expired = ledger::credit_expired(Booking::new(entity, "credit.expired", invoice, now), id, amount);
            transfers.extend(expired.expect("what was taken is above zero").into_transfers());
        }
    }
    Ok((transfers, allocations))
}

/// Lets credits expire until the process stops.
///
/// # Errors
/// When the database is away; kit starts the worker again.
pub async fn run(billing: Arc<Billing>, context: WorkerContext) -> anyhow::Result<()> {
    while !context.shutdown.is_cancelled() {
        if billing.expire_all().await? == 0 {
            tokio::select! {
                () = context.shutdown.cancelled() => {}
                () = tokio::time::sleep(billing.config.renewals.poll()) => {}
            }
        }
    }
    Ok(())
}

/// The days a statement is for when none are named: the last 90.
#[must_use]
pub fn usual_days(today: NaiveDate) -> (NaiveDate, NaiveDate) {
    (today - TimeDelta::days(89), today)
}

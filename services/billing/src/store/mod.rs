//! What billing remembers. Every function works in the caller's open transaction; none begins or commits.
//!
//! Rows are written in sets: a batch travels as one array per column, or where speed does not matter as one JSON document,
//! and PostgreSQL makes rows of it again.
//!
//! Locks are taken in the order gift code, subscription, invoice, payment, customer, order, number, coupon, stock, due row.

pub mod address;
pub mod amount_rules;
pub mod by_hand;
pub mod close;
pub mod coin;
pub mod credit_note;
pub mod customer;
pub mod deferral;
pub mod dispute;
pub mod dispute_refund;
pub mod due;
mod due_brands;
pub mod dunning;
pub mod errand;
pub mod explain;
pub mod export;
pub mod gift;
pub mod invoice;
pub mod ledger;
pub mod merge;
pub mod method_expiry;
pub mod notice;
pub mod number;
pub mod order;
pub mod payment;
pub mod payment_method;
pub mod payment_setup;
pub mod profile;
pub mod provider_account;
pub mod provider_event;
pub mod provider_poll;
pub mod quote;
pub mod reconcile;
pub mod reconcile_books;
pub mod redemption;
pub mod refund;
pub mod reseller;
pub mod rules;
pub mod screen;
pub mod share;
pub mod stock;
pub mod subscription;
pub mod suspension;
pub mod task;
pub mod tax_rule;
pub mod time_machine;
pub mod time_machine_run;
pub mod top_up;
pub mod trial;
pub mod vat_check;
pub mod wallet;

use ottery_kernel::{Currency, Money};
use serde::Serialize;
use sqlx::Executor as _;
use sqlx::postgres::PgTransaction;

/// A column that holds something no version of this service ever wrote.
#[derive(Debug, thiserror::Error)]
#[error("{table}.{column} holds `{value}`, which is no {column}")]
pub struct Unreadable {
    table: &'static str,
    column: &'static str,
    value: String,
}

pub(crate) fn unreadable(table: &'static str, column: &'static str, value: impl ToString) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(Unreadable { table, column, value: value.to_string() }))
}

pub(crate) fn currency(table: &'static str, text: &str) -> sqlx::Result<Currency> {
    text.parse().map_err(|_| unreadable(table, "currency", text))
}

pub(crate) fn money(table: &'static str, minor: i64, text: &str) -> sqlx::Result<Money> {
    Ok(Money::new(minor, currency(table, text)?))
}

/// How the statements of a transaction are planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plans {
    /// Anew, for what they are given. A plan that was kept is one for the tables as they were, and a batch that ends a month
    /// makes them grow: what read an almost empty table in one go would read a full one so, too.
    Fresh,
    /// Once and for all: what is written row by row is written so whatever there is, and its many values are not looked at.
    Kept,
}

/// Chooses for the rest of the transaction.
pub async fn plan(tx: &mut PgTransaction<'_>, plans: Plans) -> sqlx::Result<()> {
    // Compiling a statement (jit) costs more than any of a batch takes.
    tx.execute(match plans {
        Plans::Fresh => "SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL jit = off",
        Plans::Kept => "SET LOCAL plan_cache_mode = force_generic_plan",
    })
    .await?;
    Ok(())
}

/// One column of rows, as UNNEST takes it.
pub(crate) fn column<'a, T, C>(rows: &'a [T], of: impl Fn(&'a T) -> C) -> Vec<C> {
    rows.iter().map(of).collect()
}

/// Rows as one JSON parameter.
pub(crate) fn json_rows<R: Serialize>(rows: &[R]) -> sqlx::Result<serde_json::Value> {
    serde_json::to_value(rows).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

/// Where a newest-first list goes on and how many rows it has at most.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Rows with a smaller id only.
    pub before: Option<uuid::Uuid>,
    /// At most this many.
    pub limit: i64,
}

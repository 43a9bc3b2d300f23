//! Wallets.

use chrono::{DateTime, NaiveDate};
use ottery_kernel::{AccountId, Currency, TransferId};
use ottery_kit::grpc::{Actor, Problem};
use ottery_kit::idempotency::request_hash;
use ottery_proto::billing::v1 as proto;

use super::order::idempotency;
use super::{Caller, convert, id};
use crate::app::Billing;
use crate::app::wallet::{Grant, Wallet, usual_days};
use crate::domain::statement::{Row, Statement, what};
use crate::domain::wallet::Granted;
use ottery_kernel::Money;

/// Whose wallet: the customer's own, or the one staff asks for.
fn whose(caller: &Caller, asked: &str) -> Result<AccountId, Problem> {
    caller
        .account_filter(asked)?
        .ok_or_else(|| Problem::invalid("account_id", "MISSING", "account_id: say whose wallet"))
}

fn credit(granted: &Granted, left: Money) -> proto::WalletCredit {
    proto::WalletCredit {
        id: granted.id.to_string(),
        account_id: granted.account.to_string(),
        amount: Some(convert::money(granted.amount)),
        left: Some(convert::money(left)),
        reason: granted.reason.clone(),
        granted_at: Some(convert::timestamp(granted.granted_at)),
        expires_at: granted.expires_at.map(convert::timestamp),
    }
}

fn wallet(found: &Wallet) -> proto::Wallet {
    proto::Wallet {
        available: Some(convert::money(found.available)),
        paid: Some(convert::money(found.paid)),
        credits: found.credits.iter().map(|held| credit(&held.granted, held.left)).collect(),
    }
}

pub(super) async fn get(
    app: &Billing,
    actor: Actor,
    request: proto::GetWalletRequest,
) -> Result<proto::GetWalletReply, Problem> {
    let caller = Caller::customer_or(actor, "invoice.read")?;
    let found = app.wallet(caller.brand, whose(&caller, &request.account_id)?).await?;
    Ok(proto::GetWalletReply { wallets: found.iter().map(wallet).collect() })
}

pub(super) async fn grant(
    app: &Billing,
    actor: Actor,
    key: Option<String>,
    request: proto::GrantCreditRequest,
) -> Result<proto::WalletCredit, Problem> {
    let caller = Caller::staff(actor, "wallet.grant")?;
    let hash = request_hash(&request);
    let amount = request.amount.as_ref().ok_or_else(|| {
        Problem::invalid("amount", "MISSING", "amount: say how much, in minor units with its currency")
    })?;
    let expires_at = request.expires_at.as_ref().map(|at| {
        u32::try_from(at.nanos).ok().and_then(|nanos| DateTime::from_timestamp(at.seconds, nanos)).ok_or_else(|| {
            Problem::invalid("expires_at", "TIME_INVALID", "expires_at is beyond the calendar; give an earlier time")
        })
    });
    let grant = Grant {
        account: id("account_id", &request.account_id)?,
        amount: convert::money_from("amount", amount)?,
        reason: request.reason.clone(),
        expires_at: expires_at.transpose()?,
    };
    let call = idempotency(&caller.actor, "billing.GrantCredit", key, hash);
    let granted = app.grant_credit(&caller.actor, caller.brand, grant, call).await?;
    Ok(credit(&granted, granted.amount))
}

pub(super) fn day(field: &str, text: &str) -> Result<NaiveDate, Problem> {
    text.parse().map_err(|_| {
        let message = format!("{field}: `{text}` is no date; expected one such as 2026-11-26");
        Problem::invalid(field, "DAY_INVALID", message)
    })
}

pub(super) async fn statement(
    app: &Billing,
    actor: Actor,
    request: proto::GetWalletStatementRequest,
) -> Result<proto::WalletStatement, Problem> {
    let caller = Caller::customer_or(actor, "invoice.read")?;
    let account = whose(&caller, &request.account_id)?;
    let currency: Currency = request
        .currency
        .parse()
        .map_err(|error| Problem::invalid("currency", "CURRENCY_INVALID", format!("currency: {error}")))?;
    let days = match (request.from.as_str(), request.to.as_str()) {
        ("", "") => usual_days(app.brand_today(caller.brand).await?),
        (from, to) => (day("from", from)?, day("to", to)?),
    };
    let found = app.wallet_statement(caller.brand, account, currency, days).await?;
    Ok(shown(&found))
}

fn shown(found: &Statement) -> proto::WalletStatement {
    let movement = |row: &Row| proto::WalletMovement {
        transfer_id: TransferId::from_uuid(row.movement.id).to_string(),
        booked_at: Some(convert::timestamp(row.movement.at)),
        kind: row.movement.kind.clone(),
        text: what(&row.movement.kind).to_owned(),
        reference_id: row.movement.reference.clone(),
        credit_id: row.movement.credit.map(|credit| credit.to_string()).unwrap_or_default(),
        amount: Some(convert::money(row.movement.amount)),
        balance: Some(convert::money(row.balance)),
    };
    proto::WalletStatement {
        from: found.from.to_string(),
        to: found.to.to_string(),
        time_zone: found.zone.to_string(),
        opening: Some(convert::money(found.opening)),
        movements: found.rows.iter().map(movement).collect(),
        closing: Some(convert::money(found.closing)),
        csv: found.csv(),
        file_name: format!("wallet-{}-{}-{}.csv", found.opening.currency, found.from, found.to),
    }
}

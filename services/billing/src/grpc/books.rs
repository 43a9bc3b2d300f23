//! Trial balances and the closing of months.

use ottery_kit::grpc::{Actor, Problem};
use ottery_proto::billing::v1 as proto;

use super::wallet::day;
use super::{Caller, convert};
use crate::app::Billing;
use crate::domain::trial_balance::Row;
use crate::store::close::Closed;

fn row(row: &Row) -> proto::TrialBalanceRow {
    proto::TrialBalanceRow {
        account: row.account.clone(),
        debits: Some(convert::money(row.debits)),
        credits: Some(convert::money(row.credits)),
        balance: Some(convert::money(row.balance())),
    }
}

fn closed(closed: &Closed) -> proto::ClosedMonth {
    proto::ClosedMonth {
        month: closed.month.format("%Y-%m").to_string(),
        time_zone: closed.zone.clone(),
        sha256: closed.sha256.clone(),
        closed_by: closed.closed_by.clone(),
        closed_at: Some(convert::timestamp(closed.closed_at)),
        reopened_at: closed.reopened_at.map(convert::timestamp),
        reopen_reason: closed.reopen_reason.clone(),
    }
}

pub(super) async fn trial_balance(
    app: &Billing,
    actor: Actor,
    request: proto::GetEntityTrialBalanceRequest,
) -> Result<proto::EntityTrialBalance, Problem> {
    let caller = Caller::staff(actor, "ledger.read")?;
    let through = match request.through.as_str() {
        "" => None,
        text => Some(day("through", text)?),
    };
    let found = app.trial_balance_through(caller.brand, through).await?;
    let balance = &found.balance;
    Ok(proto::EntityTrialBalance {
        entity_id: balance.entity.to_string(),
        through: balance.through.to_string(),
        time_zone: balance.zone.to_string(),
        rows: balance.rows.iter().map(row).collect(),
        balanced: balance.differences().is_empty(),
        closed: found.is_closed,
        file_name: format!("trial-balance-{}.csv", balance.through),
        csv: found.csv,
    })
}

pub(super) async fn list_closed(app: &Billing, actor: Actor) -> Result<proto::ListClosedMonthsReply, Problem> {
    let caller = Caller::staff(actor, "ledger.read")?;
    let months = app.closed_months(caller.brand).await?;
    Ok(proto::ListClosedMonthsReply { months: months.iter().map(closed).collect() })
}

pub(super) async fn close(
    app: &Billing,
    actor: Actor,
    request: proto::CloseMonthRequest,
) -> Result<proto::ClosedMonth, Problem> {
    let caller = Caller::staff(actor, "ledger.close")?;
    Ok(closed(&app.close_month(caller.brand, &request.month, &caller.actor).await?))
}

pub(super) async fn reopen(
    app: &Billing,
    actor: Actor,
    request: proto::ReopenMonthRequest,
) -> Result<proto::ClosedMonth, Problem> {
    let caller = Caller::staff(actor, "ledger.reopen")?;
    caller.actor.require_step_up(app.clock.now())?;
    Ok(closed(&app.reopen_month(caller.brand, &request.month, &request.reason, &caller.actor).await?))
}

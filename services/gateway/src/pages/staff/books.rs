//! The trial balance and closed months as staff sees them.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;

use super::desk::Desk;
use crate::api::invoices::file;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go_done};
use crate::problem::Reply;
use crate::state::AppState;

async fn ask(state: &AppState, desk: &Desk, ui: &Ui) -> Reply<billing::EntityTrialBalance> {
    let asked = billing::GetEntityTrialBalanceRequest { through: ui.query.text("through") };
    Ok(state.clients.billing(&desk.call()).get_entity_trial_balance(asked).await?.into_inner())
}

/// `GET /staff/b/{brand}/ledger/balance`
pub async fn balance(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    render(&state, &desk, &ui, None).await
}

/// `GET /staff/b/{brand}/ledger/balance.csv`
pub async fn balance_csv(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let found = ask(&state, &desk, &ui).await?;
    file(&found.file_name, "text/csv; charset=utf-8; header=present", found.csv)
}

async fn render(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let found = ask(state, desk, ui).await?;
    let manner = desk.manner(state);
    let asked = billing::ListClosedMonthsRequest {};
    let months = state.clients.billing(&desk.call()).list_closed_months(asked).await?.into_inner().months;
    let here = desk.at("/ledger/balance");
    let (tone, word) = match (found.balanced, found.closed) {
        (false, _) => (Tone::Bad, "Does not balance"),
        (true, true) => (Tone::Good, "Closed"),
        (true, false) => (Tone::Info, "Open"),
    };
    let rows = found.rows.iter().map(|row| {
        vec![
            Cell::code(&row.account),
            Cell::number(manner.money(row.debits.as_ref())),
            Cell::number(manner.money(row.credits.as_ref())),
            Cell::number(manner.money(row.balance.as_ref())),
        ]
    });
    let title = format!("Through {}", found.through);
    let table =
        Table::new(title, &["Account", "#Debits", "#Credits", "#Balance"], "Nothing was booked yet.").rows(rows);
    let mut day = Form::new("Another day", here.clone(), "Show")
        .tone(Tone::Info)
        .field(Field::new("date", "through", "Last day").value(&found.through).required());
    day.is_get = true;
    let mut page = Page::new("Trial balance")
        .badge(tone, word)
        .up("Ledger", desk.at("/ledger"))
        .aside("Download as CSV", format!("{here}.csv?through={}", found.through))
        .aside("Deferred revenue", desk.at("/ledger/deferred"))
        .refused(failed)
        .with(Block::Table(table))
        .with(Block::Form(day));
    let closings = months.iter().map(|month| {
        let (tone, word) = match &month.reopened_at {
            None => (Tone::Good, "Closed"),
            Some(_) => (Tone::Neutral, "Opened again"),
        };
        vec![
            Cell::text(&month.month).note(manner.moment(month.closed_at.as_ref())),
            Cell::badge(tone, word).note(month.reopen_reason.clone()),
            Cell::code(&month.sha256),
        ]
    });
    let table = Table::new("Closed months", &["Month", "State", "SHA-256 of its balance"], "No month is closed yet.");
    page = page.with(Block::Table(table.rows(closings)));
    if desk.may("ledger.close") {
        let form = Form::new("", format!("{here}/close"), "Close the month")
            .intro("Nothing is booked into it any more: what belongs to it is booked in the open month.")
            .field(Field::text("month", "Month").required().example("2026-11"))
            .folded("Close a month")
            .refused(failed);
        page = page.with(Block::Form(form));
    }
    if desk.may("ledger.reopen") && months.iter().any(|month| month.reopened_at.is_none()) {
        let form = Form::new("", format!("{here}/reopen"), "Open it again")
            .intro("Only the latest closed month can be opened again; the audit chain keeps who did it and why.")
            .tone(Tone::Bad)
            .field(Field::text("month", "Month").required().example("2026-11"))
            .field(Field::text("reason", "Reason").required())
            .folded("Open a month again")
            .refused(failed);
        page = page.with(Block::Form(form));
    }
    desk.show(ui, page)
}

/// `POST /staff/b/{brand}/ledger/balance/close`
pub async fn close(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let here = desk.at("/ledger/balance");
    let asked = billing::CloseMonthRequest { month: sent.text("month") };
    match state.clients.billing(&desk.call()).close_month(asked).await {
        Ok(_) => Ok(go_done(&here, "month-closed")),
        Err(status) => {
            let failed = Failed { action: format!("{here}/close"), sent, refusal: status.into() };
            render(&state, &desk, &ui, Some(&failed)).await
        }
    }
}

/// `POST /staff/b/{brand}/ledger/balance/reopen`
pub async fn reopen(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let here = desk.at("/ledger/balance");
    let asked = billing::ReopenMonthRequest { month: sent.text("month"), reason: sent.text("reason") };
    match state.clients.billing(&desk.call()).reopen_month(asked).await {
        Ok(_) => Ok(go_done(&here, "month-opened")),
        Err(status) => {
            let failed = Failed { action: format!("{here}/reopen"), sent, refusal: status.into() };
            if failed.refusal.is("reauth_required") {
                return Err(failed.refusal);
            }
            render(&state, &desk, &ui, Some(&failed)).await
        }
    }
}

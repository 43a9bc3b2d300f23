//! What the system wrote down: mails, ledger, affiliates, audit.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::affiliate::v1 as affiliate;
use ottery_proto::billing::v1 as billing;
use ottery_proto::identity::v1 as identity;
use ottery_proto::notification::v1 as notification;
use ottery_proto::notification::v1::delivery::State as Sending;
use serde_json::Value;

use super::desk::Desk;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Field, Form, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go_done};
use crate::problem::Reply;
use crate::state::AppState;

/// `GET /staff/b/{brand}/mails`
pub async fn deliveries(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let asked = notification::ListDeliveriesRequest { page: ui.page(), to: ui.query.text("to") };
    let found = state.clients.notification(&desk.call()).list_deliveries(asked).await?.into_inner();
    let manner = desk.manner(&state);
    let rows = found.deliveries.iter().map(|one| {
        let (tone, word) = match one.state() {
            Sending::Planned | Sending::Unspecified => (Tone::Info, "Planned"),
            Sending::Sending => (Tone::Info, "Being sent"),
            Sending::Sent => (Tone::Good, "Sent"),
            Sending::Unknown => (Tone::Warn, "Unknown"),
            Sending::Failed => (Tone::Bad, "Failed"),
        };
        vec![
            Cell::text(&one.subject).note(one.template.clone()),
            Cell::text(&one.to),
            Cell::badge(tone, word).note(one.last_error.clone()),
            Cell::text(manner.moment(one.created_at.as_ref())),
        ]
    });
    let again: Vec<(String, String)> = found
        .deliveries
        .iter()
        .filter(|one| matches!(one.state(), Sending::Unknown | Sending::Failed))
        .map(|one| (one.id.clone(), format!("{} to {}", one.subject, one.to)))
        .collect();
    let table = Table::new("", &["Mail", "To", "State", "When"], "No mails yet.")
        .rows(rows)
        .next(&desk.at("/mails"), &found.page.unwrap_or_default().next_cursor);
    let mut page = Page::new("Mails").with(Block::Table(table));
    if !again.is_empty() {
        let form = Form::new("Send again", desk.at("/mails/resend"), "Send again")
            .intro("Unknown means that the server may have taken it; it may then arrive twice.")
            .tone(Tone::Info)
            .field(Field::select("delivery", "Mail", again));
        page = page.with(Block::Form(form));
    }
    desk.show(&ui, page)
}

/// `POST /staff/b/{brand}/mails/resend`
pub async fn resend(State(state): State<AppState>, desk: Desk, Body(sent): Body<Sent>) -> Reply<Response> {
    let asked = notification::ResendDeliveryRequest { delivery_id: sent.text("delivery") };
    state.clients.notification(&desk.call()).resend_delivery(asked).await?;
    Ok(go_done(&desk.at("/mails"), "resent"))
}

/// `GET /staff/b/{brand}/ledger`
pub async fn ledger(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let call = desk.call();
    let manner = desk.manner(&state);
    let balance =
        state.clients.billing(&call).get_trial_balance(billing::GetTrialBalanceRequest {}).await?.into_inner();
    let asked = billing::ListTransfersRequest { page: ui.page(), reference_id: ui.query.text("reference") };
    let transfers = state.clients.billing(&call).list_transfers(asked).await?.into_inner();
    let rows = transfers.transfers.iter().map(|one| {
        vec![
            Cell::text(manner.moment(one.booked_at.as_ref())).note(one.reference_id.clone()),
            Cell::text(&one.kind),
            Cell::code(&one.debit),
            Cell::code(&one.credit),
            Cell::number(manner.money(one.amount.as_ref())).note(if one.state == "posted" { "" } else { &one.state }),
        ]
    });
    let balances = balance.balances.iter().map(|one| {
        vec![
            Cell::code(&one.account),
            Cell::number(manner.money(one.debits.as_ref())),
            Cell::number(manner.money(one.credits.as_ref())),
        ]
    });
    let (tone, word) = if balance.balanced { (Tone::Good, "Balanced") } else { (Tone::Bad, "Not balanced") };
    let page = Page::new("Ledger")
        .badge(tone, word)
        .aside("Trial balance and closed months", desk.at("/ledger/balance"))
        .aside("Deferred revenue", desk.at("/ledger/deferred"))
        .with(Block::Table(
            Table::new("Trial balance", &["Account", "#Debits", "#Credits"], "No bookings yet.").rows(balances),
        ))
        .with(Block::Table(
            Table::new("Transfers", &["Booked", "Why", "Debit", "Credit", "#Amount"], "No bookings yet.")
                .rows(rows)
                .next(&desk.at("/ledger"), &transfers.page.unwrap_or_default().next_cursor),
        ));
    desk.show(&ui, page)
}

/// `GET /staff/b/{brand}/affiliates`
pub async fn affiliates(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let asked = affiliate::ListAffiliatesRequest { page: ui.page() };
    let found = state.clients.affiliate(&desk.call()).list_affiliates(asked).await?.into_inner();
    let manner = desk.manner(&state);
    let sums = |amounts: &[ottery_proto::common::v1::Money]| {
        amounts.iter().map(|amount| manner.money(Some(amount))).collect::<Vec<_>>().join(" + ")
    };
    let rows = found.affiliates.iter().map(|one| {
        vec![
            Cell::code(&one.code).to(desk.at(&format!("/customers/{}", one.account_id))),
            Cell::number(one.clicks.to_string()),
            Cell::number(one.referrals.to_string()),
            Cell::number(sums(&one.pending)),
            Cell::number(sums(&one.approved)),
        ]
    });
    let table = Table::new(
        "",
        &["Code", "#Clicks", "#Customers", "#Pending", "#Approved"],
        "Nobody has joined yet. Customers do so in their account.",
    )
    .rows(rows)
    .next(&desk.at("/affiliates"), &found.page.unwrap_or_default().next_cursor);
    desk.show(&ui, Page::new("Affiliates").with(Block::Table(table)))
}

/// `GET /staff/b/{brand}/audit`
pub async fn audit(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let call = desk.call();
    let manner = desk.manner(&state);
    let found =
        state.clients.identity(&call).list_audit(identity::ListAuditRequest { page: ui.page() }).await?.into_inner();
    let chain = state
        .clients
        .identity(&call)
        .verify_audit(identity::VerifyAuditRequest { brand_id: desk.brand.id.to_string() })
        .await?
        .into_inner();
    let rows = found.entries.iter().map(|one| {
        let change = match (one.before_json.as_str(), one.after_json.as_str()) {
            ("", after) => said(after),
            (before, "") => said(before),
            (before, after) => format!("{} → {}", said(before), said(after)),
        };
        vec![
            Cell::number(one.sequence.to_string()),
            Cell::text(manner.moment(one.occurred_at.as_ref())).note(one.client_ip.clone()),
            Cell::text(&one.action).note(one.target_id.clone()),
            Cell::text(&one.actor_kind).note(one.actor_id.clone()),
            Cell::code(change.chars().take(240).collect::<String>()),
        ]
    });
    let (tone, word) = if chain.intact { (Tone::Good, "Chain intact") } else { (Tone::Bad, "Chain broken") };
    let mut page = Page::new("Audit").badge(tone, word);
    if !chain.intact {
        page = page.with(Block::note(
            Tone::Bad,
            "The chain is broken",
            format!("The first entry that does not fit is number {}.", chain.first_broken_sequence),
        ));
    }
    let table = Table::new("", &["#No.", "When", "What", "Who", "Change"], "Nothing was changed yet.")
        .rows(rows)
        .next(&desk.at("/audit"), &found.page.unwrap_or_default().next_cursor);
    desk.show(&ui, page.with(Block::Table(table)))
}

/// What an entry says, without what it says nothing of.
fn said(entry: &str) -> String {
    fn without_none(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.retain(|_, member| !member.is_null());
                members.values_mut().for_each(without_none);
            }
            Value::Array(items) => items.iter_mut().for_each(without_none),
            _ => {}
        }
    }
    // As written where it is no JSON: an entry is shown whatever it holds.
    let Ok(mut value) = serde_json::from_str::<Value>(entry) else { return entry.to_owned() };
    without_none(&mut value);
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_nothing_of_what_it_does_not_hold() {
        let entry = r#"{"by_hand":null,"name":"null","of":[{"payment":null,"state":"waiting"}]}"#;
        assert_eq!(said(entry), r#"{"name":"null","of":[{"state":"waiting"}]}"#);
        assert_eq!(said(r#"{"reseller":null}"#), "{}");
        assert_eq!(said("{\"cut off"), "{\"cut off");
    }
}

//! What the system wrote down: mails, ledger, affiliates, audit; and the payment provider's account.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::affiliate::v1 as affiliate;
use ottery_proto::billing::v1 as billing;
use ottery_proto::identity::v1 as identity;
use ottery_proto::notification::v1 as notification;
use ottery_proto::notification::v1::delivery::State as Sending;

use super::desk::Desk;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go_done};
use crate::problem::{Refusal, Reply};
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
            ("", after) => after.to_owned(),
            (before, "") => before.to_owned(),
            (before, after) => format!("{before} → {after}"),
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

/// `GET /staff/b/{brand}/providers`
pub async fn providers(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    render_providers(&state, &desk, &ui, None).await
}

async fn render_providers(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let found = state
        .clients
        .billing(&desk.call())
        .list_provider_accounts(billing::ListProviderAccountsRequest {})
        .await?
        .into_inner();
    let manner = desk.manner(state);
    let host = desk.brand.hosts.first().cloned().unwrap_or_default();
    let rows = found.accounts.iter().map(|one| {
        vec![
            Cell::text(&one.provider).note(one.base_url.clone()),
            if one.test_mode { Cell::badge(Tone::Warn, "SANDBOX") } else { Cell::badge(Tone::Good, "Live") },
            Cell::code(&one.api_key_hint),
            Cell::code(format!("{host}{}", one.webhook_path)).copied(),
            Cell::text(manner.moment(one.updated_at.as_ref())),
        ]
    });
    let mut options = vec![(String::new(), "a new account".to_owned())];
    options.extend(found.accounts.iter().map(|one| (id_as_read(one), format!("{} ({})", one.provider, one.base_url))));
    let last = found.accounts.last();
    let form = Form::new("Connect a payment provider", desk.at("/providers"), "Save")
        .intro("Secrets can be written, never read. Two webhook secrets may be live while you change them.")
        .field(Field::select("id", "Change", options).value(last.map(id_as_read).unwrap_or_default()).half())
        .field(
            Field::select("provider", "Provider", vec![("sandbox".into(), "Sandbox".into())]).value("sandbox").half(),
        )
        .field(
            Field::text("base_url", "Address of its API")
                .required()
                .value(last.map(|one| one.base_url.clone()).unwrap_or_default()),
        )
        .field(Field::password("api_key", "API key", "off").help("Empty keeps the stored one."))
        .field(
            Field::password("webhook_secrets", "Webhook secrets", "off")
                .help("With commas between them, the newest last."),
        )
        .refused(failed);
    let table = Table::new(
        "",
        &["Provider", "Mode", "API key", "Webhook address", "Changed"],
        "No payment provider yet: nobody can pay.",
    )
    .rows(rows);
    desk.show(ui, Page::new("Payments").refused(failed).with(Block::Table(table)).with(Block::Form(form)))
}

/// Which account, as it was when the form was drawn: somebody else's change in between must not be overwritten.
fn id_as_read(account: &billing::ProviderAccount) -> String {
    format!("{} {}", account.id, account.version)
}

/// `POST /staff/b/{brand}/providers`
pub async fn put_provider(
    State(state): State<AppState>,
    desk: Desk,
    ui: Ui,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    let chosen = sent.text("id");
    let (id, version) = chosen.split_once(' ').unwrap_or_default();
    let asked = billing::PutProviderAccountRequest {
        id: id.to_owned(),
        provider: sent.text("provider"),
        base_url: sent.text("base_url"),
        api_key: sent.text("api_key"),
        webhook_secrets: sent.list("webhook_secrets"),
        expected_version: version.parse().unwrap_or(0),
        dry_run: false,
    };
    match state.clients.billing(&desk.call()).put_provider_account(asked).await {
        Ok(_) => Ok(go_done(&desk.at("/providers"), "saved")),
        Err(status) => {
            let refusal = Refusal::from(status);
            if refusal.is("reauth_required") {
                return Err(refusal);
            }
            render_providers(&state, &desk, &ui, Some(&Failed { action: desk.at("/providers"), sent, refusal })).await
        }
    }
}

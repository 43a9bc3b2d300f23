//! What providers report beside the books: comparisons, what moved on both sides, and what differs.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::{Reconciliation, ReconciliationDifference};

use super::desk::Desk;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go_done};
use crate::pages::text::Manner;
use crate::problem::{Refusal, Reply};
use crate::state::AppState;

/// `GET /staff/b/{brand}/reconciliation`
pub async fn list(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    draw(&state, &desk, &ui, None).await
}

async fn draw(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let mut client = state.clients.billing(&desk.call());
    let asked = billing::ListReconciliationDifferencesRequest { page: None, all: false };
    let differences = client.list_reconciliation_differences(asked).await?.into_inner().differences;
    let asked = billing::ListReconciliationsRequest { page: ui.page() };
    let runs = client.list_reconciliations(asked).await?.into_inner();
    let manner = desk.manner(state);
    let accounts = if desk.may("brand.read") {
        client.list_provider_accounts(billing::ListProviderAccountsRequest {}).await?.into_inner().accounts
    } else {
        Vec::new()
    };
    let columns = ["Begun", "Account", "Span", "#At the provider", "#In the books", "#Made good", "#Differ", "State"];
    let table = Table::new("Comparisons", &columns, "No report has been compared yet: it is done once a day.")
        .rows(runs.reconciliations.iter().map(|one| row(one, desk, &manner)))
        .next(&desk.at("/reconciliation"), &runs.page.unwrap_or_default().next_cursor);
    let mut page = Page::new("Reconciliation")
        .intro(
            "Once a day all payments, refunds and disputes of the last three days are read from each provider and compared with \
             the books. What a missed event explains is made good; what stays is here and among the tasks until it is gone.",
        )
        .refused(failed)
        .with(Block::Table(shown(&differences, &manner)))
        .with(Block::Table(table));
    if desk.may("ledger.close") {
        if !differences.is_empty() {
            page = page.with(Block::Form(acceptance(desk, &differences, failed)));
        }
        if !accounts.is_empty() {
            page = page.with(Block::Form(asking(desk, &accounts, failed)));
        }
    }
    desk.show(ui, page)
}

fn row(one: &Reconciliation, desk: &Desk, manner: &Manner) -> Vec<Cell> {
    vec![
        Cell::text(manner.moment(one.begun_at.as_ref())).to(desk.at(&format!("/reconciliation/{}", one.id))),
        Cell::text(&one.provider).note(one.provider_account_id.clone()),
        Cell::text(manner.moment(one.from.as_ref())).note(manner.moment(one.until.as_ref())),
        Cell::number(one.rows_read.to_string()),
        Cell::number(one.rows_in_books.to_string()),
        Cell::number(one.healed.to_string()),
        Cell::number(one.differences.to_string()),
        standing(one),
    ]
}

fn standing(one: &Reconciliation) -> Cell {
    match (&one.ended_at, one.problem.is_empty(), one.one_sided) {
        (None, true, _) => Cell::badge(Tone::Info, "Under way"),
        (None, false, _) => Cell::badge(Tone::Bad, "Cannot go on").note(one.problem.clone()),
        (Some(_), false, _) => Cell::badge(Tone::Warn, "In part").note(one.problem.clone()),
        (Some(_), true, true) => Cell::badge(Tone::Warn, "One-sided")
            .note("The provider lists no payments: what nobody here knows of is not found."),
        (Some(_), true, false) if one.differences > 0 => Cell::badge(Tone::Bad, "Differs"),
        (Some(_), true, false) => Cell::badge(Tone::Good, "Agrees"),
    }
}

fn word(one: &ReconciliationDifference) -> &'static str {
    match one.difference.as_str() {
        "only_there" => "Only at the provider",
        "only_here" => "Only in the books",
        "currency" => "Another currency",
        "state" => "Moved on one side",
        "amount" => "Another amount",
        "fee" => "Another fee",
        _ => "Differs",
    }
}

fn shown(differences: &[ReconciliationDifference], manner: &Manner) -> Table {
    let rows = differences.iter().map(|one| {
        let stand = if one.accepted_by.is_empty() {
            Cell::badge(Tone::Bad, word(one))
        } else {
            Cell::badge(Tone::Neutral, word(one)).note(format!("Right as it is: {}", one.accepted_reason))
        };
        vec![
            stand,
            Cell::code(&one.provider_reference).copied().note(one.kind.clone()),
            Cell::code(&one.reference_id).copied(),
            Cell::number(manner.money(one.provider_amount.as_ref())),
            Cell::number(manner.money(one.books_amount.as_ref())),
            Cell::number(manner.money(one.value.as_ref())),
            Cell::text(manner.moment(one.found_at.as_ref())),
        ]
    });
    let columns = ["What", "At the provider", "In the books", "#Provider says", "#Books say", "#In question", "Since"];
    Table::new("Differences", &columns, "Providers and books agree.").rows(rows)
}

fn acceptance(desk: &Desk, differences: &[ReconciliationDifference], failed: Option<&Failed>) -> Form {
    let options = differences.iter().filter(|one| one.accepted_by.is_empty()).map(|one| {
        let id = if one.reference_id.is_empty() { &one.provider_reference } else { &one.reference_id };
        (one.id.clone(), format!("{}: {id}", word(one)))
    });
    Form::new("Right as it is", desk.at("/reconciliation/accept"), "Accept")
        .intro("For what cannot be corrected, such as money of another product at the same account. It is no task any more, as long as its amounts stay.")
        .tone(Tone::Info)
        .field(Field::select("difference", "Difference", options.collect()))
        .field(Field::text("reason", "Why").help("Stays in the audit chain.").required())
        .refused(failed)
}

fn asking(desk: &Desk, accounts: &[billing::ProviderAccount], failed: Option<&Failed>) -> Form {
    let options = accounts.iter().map(|one| {
        let name = one.terms.as_ref().map(|terms| terms.name.clone()).filter(|name| !name.is_empty());
        (one.id.clone(), format!("{} ({})", name.unwrap_or_else(|| one.provider.clone()), one.id))
    });
    Form::new("Compare now", desk.at("/reconciliation"), "Compare")
        .intro("Reads the report of the last three days in the background. It is done daily without being asked for.")
        .tone(Tone::Info)
        .field(Field::select("account", "Account", options.collect()))
        .refused(failed)
}

/// `GET /staff/b/{brand}/reconciliation/{id}`
pub async fn show(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let asked = billing::GetReconciliationRequest { id: desk.id.clone() };
    let one = state.clients.billing(&desk.call()).get_reconciliation(asked).await?.into_inner();
    let manner = desk.manner(&state);
    let mut facts = vec![
        ("State", standing(&one)),
        ("Account", Cell::text(&one.provider).note(one.provider_account_id.clone())),
        ("From", Cell::text(manner.moment(one.from.as_ref()))),
        ("Until", Cell::text(manner.moment(one.until.as_ref()))),
        ("Begun", Cell::text(manner.moment(one.begun_at.as_ref()))),
        (
            "Asked for by",
            Cell::text(if one.asked_by.is_empty() { "nobody: it was due" } else { one.asked_by.as_str() }),
        ),
        ("Pages read", Cell::text(one.pages.to_string())),
        ("At the provider", Cell::text(one.rows_read.to_string())),
        ("In the books", Cell::text(one.rows_in_books.to_string())),
        ("Made good", Cell::text(one.healed.to_string())),
        ("Differ", Cell::text(one.differences.to_string())),
    ];
    if one.ended_at.is_some() {
        facts.push(("Ended", Cell::text(manner.moment(one.ended_at.as_ref()))));
    }
    if !one.left_out.is_empty() {
        facts.push(("Left out", Cell::text(one.left_out.join(", ")).note("They could not be read.")));
    }
    if !one.not_reported.is_empty() {
        facts
            .push(("Not compared", Cell::text(one.not_reported.join(", ")).note("The provider does not report them.")));
    }
    let rows = one.totals.iter().map(|total| {
        vec![
            Cell::text(&total.kind),
            Cell::number(manner.money(total.provider_amount.as_ref())),
            Cell::number(total.provider_count.to_string()),
            Cell::number(manner.money(total.books_amount.as_ref())),
            Cell::number(total.books_count.to_string()),
        ]
    });
    let columns = ["Of", "#At the provider", "#How many", "#In the books", "#How many"];
    let totals = Table::new("Money that moved", &columns, "None, or it has not ended yet.").rows(rows);
    let page = Page::new("Comparison")
        .up("Reconciliation", desk.at("/reconciliation"))
        .with(Block::facts("", facts))
        .with(Block::Table(totals));
    desk.show(&ui, page)
}

async fn refused(state: &AppState, desk: &Desk, ui: &Ui, form: &str, sent: Sent, refusal: Refusal) -> Reply<Response> {
    if refusal.is("reauth_required") {
        return Err(refusal);
    }
    draw(state, desk, ui, Some(&Failed { action: desk.at(form), sent, refusal })).await
}

/// `POST /staff/b/{brand}/reconciliation`
pub async fn ask(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let asked = billing::RunReconciliationRequest { provider_account_id: sent.text("account") };
    match state.clients.billing(&desk.call()).run_reconciliation(asked).await {
        Ok(run) => Ok(go_done(&desk.at(&format!("/reconciliation/{}", run.into_inner().id)), "saved")),
        Err(status) => refused(&state, &desk, &ui, "/reconciliation", sent, status.into()).await,
    }
}

/// `POST /staff/b/{brand}/reconciliation/accept`
pub async fn accept(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let asked =
        billing::AcceptReconciliationDifferenceRequest { id: sent.text("difference"), reason: sent.text("reason") };
    match state.clients.billing(&desk.call()).accept_reconciliation_difference(asked).await {
        Ok(_) => Ok(go_done(&desk.at("/reconciliation"), "saved")),
        Err(status) => refused(&state, &desk, &ui, "/reconciliation/accept", sent, status.into()).await,
    }
}

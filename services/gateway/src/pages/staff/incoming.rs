//! Payments by bank and in cash: what waits, what was recorded, and what somebody has to pay out.

use axum::extract::State;
use axum::response::Response;
use ottery_kernel::{Currency, Money as Exact};
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::by_hand::State as Standing;
use ottery_proto::billing::v1::by_hand_record::State as RecordState;
use ottery_proto::common::v1::Money;

use super::desk::Desk;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Table, Tone};
use crate::pages::download;
use crate::pages::frame::{Page, Ui, go_done};
use crate::pages::text::Manner;
use crate::problem::{Refusal, Reply};
use crate::state::AppState;

const HERE: &str = "/incoming";

/// `GET /staff/b/{brand}/incoming`
pub async fn show(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    draw(&state, &desk, &ui, None).await
}

/// The first currency of the brand, in which most is sold.
fn usual(desk: &Desk) -> &str {
    desk.brand.currencies.first().map_or("EUR", String::as_str)
}

fn read_amount(field: &str, amount: &str, currency: &str) -> Reply<Exact> {
    let wrong = |error: String| Refusal::invalid(field, "amount_invalid", error);
    let currency = currency.to_uppercase().parse::<Currency>().map_err(|error| wrong(error.to_string()))?;
    Exact::parse(&amount.replace(',', "."), currency).map_err(|error| wrong(error.to_string()))
}

async fn draw(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let sought = |name: &str| ui.query.get(name).trim().to_owned();
    let (reference, amount, is_all) = (sought("reference"), sought("amount"), sought("all") == "on");
    let mut client = state.clients.billing(&desk.call());
    let minor = (!amount.is_empty()).then(|| read_amount("amount", &amount, usual(desk)).map(|exact| exact.minor));
    let asked = billing::ListByHandPaymentsRequest {
        reference: reference.clone(),
        amount_minor: minor.clone().and_then(Result::ok),
        all: is_all,
        page: ui.page(),
    };
    // A search that cannot be read shows what is wrong with it, and nothing found.
    let (found, problem) = match (minor, client.list_by_hand_payments(asked).await) {
        (Some(Err(refusal)), _) => (billing::ListByHandPaymentsReply::default(), Some(refusal)),
        (_, Ok(found)) => (found.into_inner(), None),
        (_, Err(status)) => match Refusal::from(status) {
            refusal if refusal.field.is_some() => (billing::ListByHandPaymentsReply::default(), Some(refusal)),
            refusal => return Err(refusal),
        },
    };
    let asked = billing::ListByHandRecordsRequest { all: is_all, page: None };
    let records = client.list_by_hand_records(asked).await?.into_inner().records;
    let refunds = client.list_by_hand_refunds(billing::ListByHandRefundsRequest {}).await?.into_inner().refunds;
    let accounts = if desk.may("brand.read") {
        client.list_provider_accounts(billing::ListProviderAccountsRequest {}).await?.into_inner().accounts
    } else {
        Vec::new()
    };
    let manner = desk.manner(state);
    let next = found.page.unwrap_or_default().next_cursor;
    let columns = ["Reference", "Customer", "For", "#Asked for", "#Still due", "Since", "State"];
    let table = Table::new("Waiting for money", &columns, "Nobody is to pay by bank or in cash at this moment.")
        .rows(found.payments.iter().map(|one| row(one, desk, &manner)))
        .next(&desk.at(HERE), &next);
    let mut search = Form::new("", desk.at(HERE), "Find")
        .field(
            Field::text("reference", "Reference")
                .help("Or the text of a transfer that holds it.")
                .value(reference)
                .half(),
        )
        .field(Field::text("amount", format!("Amount in {}", usual(desk))).value(amount).quarter())
        .field(Field::check("all", "Also what is done", is_all));
    search.is_get = true;
    if let Some(problem) = problem {
        search.error = problem.detail;
    }
    let mut page = Page::new("Incoming")
        .intro(
            "Money that people send by bank or hand over. Compare with the account's statement and record what came; above the \
             limit of the account somebody else confirms it.",
        )
        .refused(failed)
        .with(Block::Form(search))
        .with(Block::Table(table));
    let files: Vec<_> = found.payments.iter().flat_map(|one| one.proofs.iter().map(move |file| (one, file))).collect();
    if !files.is_empty() {
        let rows = files.iter().map(|(one, file)| {
            vec![
                Cell::text(&file.name).to(desk.at(&format!("/proofs/{}", file.id))),
                Cell::code(&one.reference),
                Cell::number(format!("{} kB", (file.bytes + 1_023) / 1_024)),
                Cell::text(manner.moment(file.sent_at.as_ref())),
            ]
        });
        page = page.with(Block::Table(
            Table::new("Proofs customers sent", &["File", "Reference", "#Size", "Sent"], "None.").rows(rows),
        ));
    }
    page = page.with(Block::Table(recorded(&records, &manner))).with(Block::Table(to_pay(&refunds, &manner)));
    for form in forms(desk, &records, &refunds, &accounts, failed) {
        page = page.with(Block::Form(form));
    }
    desk.show(ui, page)
}

fn row(one: &billing::ByHandPayment, desk: &Desk, manner: &Manner) -> Vec<Cell> {
    let (tone, word) = match one.state() {
        Standing::Waiting | Standing::Unspecified => (Tone::Neutral, "Waiting"),
        Standing::Claimed => (Tone::Info, "Proof sent"),
        Standing::Checking => (Tone::Warn, "To be confirmed"),
        Standing::Short => (Tone::Warn, "Part came"),
        Standing::Paid => (Tone::Good, "Paid"),
        Standing::Closed => (Tone::Neutral, "Closed"),
    };
    let kind = if one.provider == "cash" { "Cash" } else { "Bank transfer" };
    vec![
        Cell::code(&one.reference).copied().note(kind),
        Cell::text(&one.account_id).to(desk.at(&format!("/customers/{}", one.account_id))),
        Cell::text(&one.title).to(desk.at(&format!("/invoices/{}", one.invoice_id))),
        Cell::number(manner.money(one.amount.as_ref())),
        Cell::number(manner.money(one.due.as_ref())),
        Cell::text(manner.moment(one.created_at.as_ref())),
        Cell::badge(tone, word),
    ]
}

fn record_badge(one: &billing::ByHandRecord) -> Cell {
    match one.state() {
        RecordState::Unassigned => Cell::badge(Tone::Warn, "Nobody's yet"),
        RecordState::Waiting => Cell::badge(Tone::Warn, "Needs a second person"),
        RecordState::Confirmed => Cell::badge(Tone::Good, "In the books").note(one.payment_id.clone()),
        RecordState::TakenBack => Cell::badge(Tone::Neutral, "Taken back").note(one.taken_back_reason.clone()),
        RecordState::Unspecified => Cell::badge(Tone::Neutral, "Unknown"),
    }
}

fn recorded(records: &[billing::ByHandRecord], manner: &Manner) -> Table {
    let rows = records.iter().map(|one| {
        let what = if one.refund_id.is_empty() { "Came" } else { "Paid out" };
        vec![
            Cell::code(&one.bank_reference).copied().note(what),
            Cell::number(manner.money(one.amount.as_ref())),
            Cell::text(&one.value_on),
            Cell::text(&one.sender).note(one.note.clone()),
            Cell::text(&one.recorded_by).note(manner.moment(one.recorded_at.as_ref())),
            record_badge(one),
        ]
    });
    let columns = ["Bank reference or receipt", "#Amount", "Value date", "From", "Recorded by", "State"];
    Table::new("Records", &columns, "No record waits for anybody.").rows(rows)
}

fn to_pay(refunds: &[billing::ByHandRefund], manner: &Manner) -> Table {
    let rows = refunds.iter().map(|one| {
        let state = one.record.as_ref().map_or_else(|| Cell::badge(Tone::Warn, "To be sent"), record_badge);
        vec![
            Cell::code(&one.refund_id).copied().note(one.reason.clone()),
            Cell::number(manner.money(one.amount.as_ref())),
            Cell::text(if one.sender.is_empty() { "where it came from" } else { one.sender.as_str() }),
            Cell::text(manner.moment(one.created_at.as_ref())),
            state,
        ]
    });
    Table::new("Refunds to be sent", &["Refund", "#Amount", "To", "Since", "State"], "No refund is to be sent.")
        .rows(rows)
}

fn named(one: &billing::ByHandRecord) -> (String, String) {
    (one.id.clone(), format!("{}: {}", one.bank_reference, exactly(one.amount.as_ref())))
}

/// As a choice says it: `12.30 EUR`.
fn exactly(amount: Option<&Money>) -> String {
    let told = amount.and_then(|amount| {
        let currency = amount.currency.parse().ok()?;
        Some(format!("{} {}", Exact::new(amount.minor, currency).to_decimal(), amount.currency))
    });
    told.unwrap_or_default()
}

fn forms(
    desk: &Desk,
    records: &[billing::ByHandRecord],
    refunds: &[billing::ByHandRefund],
    accounts: &[billing::ProviderAccount],
    failed: Option<&Failed>,
) -> Vec<Form> {
    let mut forms = Vec::new();
    let of = |state| records.iter().filter(move |one| one.state() == state).map(named).collect::<Vec<_>>();
    let (waiting, unassigned) = (of(RecordState::Waiting), of(RecordState::Unassigned));
    let live: Vec<_> = records.iter().filter(|one| one.state() != RecordState::TakenBack).map(named).collect();
    if desk.may("invoice.manage") {
        if !waiting.is_empty() {
            forms.push(
                Form::new("Confirm a record", desk.at("/incoming/confirm"), "Confirm")
                    .intro("Look at the account yourself first. Whoever recorded it cannot confirm it.")
                    .field(Field::select("confirmed", "Record", waiting))
                    .refused(failed),
            );
        }
        if !unassigned.is_empty() {
            forms.push(
                Form::new("Say whose money it is", desk.at("/incoming/assign"), "Assign")
                    .field(Field::select("assigned", "Record", unassigned).half())
                    .field(Field::text("payment_reference", "Reference of the payment").required().half())
                    .refused(failed),
            );
        }
        forms.push(record_form(desk, accounts, failed));
    }
    if desk.may("invoice.refund") {
        let open: Vec<_> = refunds
            .iter()
            .filter(|one| one.record.is_none())
            .map(|one| (one.refund_id.clone(), format!("{}: {}", one.refund_id, exactly(one.amount.as_ref()))))
            .collect();
        if !open.is_empty() {
            forms.push(
                Form::new("A refund was sent", desk.at("/incoming/refund"), "Record")
                    .tone(Tone::Info)
                    .field(Field::select("refund_id", "Refund", open))
                    .fields(arrival_fields())
                    .refused(failed),
            );
        }
        if !live.is_empty() {
            forms.push(
                Form::new("Take a record back", desk.at("/incoming/take-back"), "Take back")
                    .intro("It was none, or of somebody else. What is in the books is booked back, with a credit note; find it by Also what is done.")
                    .tone(Tone::Bad)
                    .field(Field::select("taken", "Record", live).half())
                    .field(Field::text("reason", "Why").help("Stays in the audit chain.").required().half())
                    .refused(failed),
            );
        }
    }
    forms
}

fn arrival_fields() -> Vec<Field> {
    vec![
        Field::new("date", "value_on", "Value date").required().quarter(),
        Field::text("bank_reference", "Bank reference or receipt")
            .help("The same one is never recorded twice.")
            .required()
            .half(),
        Field::text("note", "Note").half(),
    ]
}

fn record_form(desk: &Desk, accounts: &[billing::ProviderAccount], failed: Option<&Failed>) -> Form {
    let mut options = vec![(String::new(), "the payment with that reference".to_owned())];
    options.extend(accounts.iter().filter(|one| one.terms.as_ref().is_some_and(|terms| terms.by_hand.is_some())).map(
        |one| {
            let name = one.terms.as_ref().map(|terms| terms.name.clone()).filter(|name| !name.is_empty());
            (one.id.clone(), format!("nobody known, at {}", name.unwrap_or_else(|| one.provider.replace('_', " "))))
        },
    ));
    Form::new("Record what came", desk.at("/incoming/record"), "Record")
        .tone(Tone::Info)
        .field(
            Field::text("payment_reference", "Reference of the payment")
                .help("Or the text of the transfer that holds it.")
                .half(),
        )
        .field(Field::select("provider_account_id", "It is of", options).half())
        .field(Field::text("amount", "Amount").required().quarter())
        .field(Field::text("currency", "Currency").value(usual(desk)).required().quarter())
        .fields(arrival_fields())
        .field(Field::text("sender", "From whom").help("As the bank says it: name and account.").half())
        .refused(failed)
}

async fn refused(state: &AppState, desk: &Desk, ui: &Ui, form: &str, sent: Sent, refusal: Refusal) -> Reply<Response> {
    if refusal.is("reauth_required") {
        return Err(refusal);
    }
    draw(state, desk, ui, Some(&Failed { action: desk.at(form), sent, refusal })).await
}

fn arrival(sent: &Sent, amount: Money) -> billing::RecordByHandRequest {
    billing::RecordByHandRequest {
        payment_reference: sent.text("payment_reference"),
        provider_account_id: sent.text("provider_account_id"),
        refund_id: sent.text("refund_id"),
        amount: Some(amount),
        value_on: sent.text("value_on"),
        bank_reference: sent.text("bank_reference"),
        sender: sent.text("sender"),
        note: sent.text("note"),
    }
}

/// `POST /staff/b/{brand}/incoming/record`
pub async fn record(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let done = match read_amount("amount", sent.get("amount"), sent.get("currency")) {
        Ok(exact) => {
            let amount = Money { minor: exact.minor, currency: exact.currency.to_string() };
            let asked = arrival(&sent, amount);
            state.clients.billing(&desk.call()).record_by_hand(asked).await.map(|_| ()).map_err(Refusal::from)
        }
        Err(refusal) => Err(refusal),
    };
    match done {
        Ok(()) => Ok(go_done(&desk.at(HERE), "saved")),
        Err(refusal) => refused(&state, &desk, &ui, "/incoming/record", sent, refusal).await,
    }
}

/// `POST /staff/b/{brand}/incoming/refund`
pub async fn refund(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let mut client = state.clients.billing(&desk.call());
    let refunds = client.list_by_hand_refunds(billing::ListByHandRefundsRequest {}).await?.into_inner().refunds;
    let amount = refunds.into_iter().find(|one| one.refund_id == sent.get("refund_id")).and_then(|one| one.amount);
    let Some(amount) = amount else {
        let refusal = Refusal::invalid("refund_id", "refund_not_waiting", "this refund does not wait (any more)");
        return refused(&state, &desk, &ui, "/incoming/refund", sent, refusal).await;
    };
    match client.record_by_hand(arrival(&sent, amount)).await {
        Ok(_) => Ok(go_done(&desk.at(HERE), "saved")),
        Err(status) => refused(&state, &desk, &ui, "/incoming/refund", sent, status.into()).await,
    }
}

/// `POST /staff/b/{brand}/incoming/assign`
pub async fn assign(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let asked = billing::AssignByHandRecordRequest {
        id: sent.text("assigned"),
        payment_reference: sent.text("payment_reference"),
    };
    match state.clients.billing(&desk.call()).assign_by_hand_record(asked).await {
        Ok(_) => Ok(go_done(&desk.at(HERE), "saved")),
        Err(status) => refused(&state, &desk, &ui, "/incoming/assign", sent, status.into()).await,
    }
}

/// `POST /staff/b/{brand}/incoming/confirm`
pub async fn confirm(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let asked = billing::ConfirmByHandRecordRequest { id: sent.text("confirmed") };
    match state.clients.billing(&desk.call()).confirm_by_hand_record(asked).await {
        Ok(_) => Ok(go_done(&desk.at(HERE), "saved")),
        Err(status) => refused(&state, &desk, &ui, "/incoming/confirm", sent, status.into()).await,
    }
}

/// `POST /staff/b/{brand}/incoming/take-back`
pub async fn take_back(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let asked = billing::TakeBackByHandRecordRequest { id: sent.text("taken"), reason: sent.text("reason") };
    match state.clients.billing(&desk.call()).take_back_by_hand_record(asked).await {
        Ok(_) => Ok(go_done(&desk.at(HERE), "saved")),
        Err(status) => refused(&state, &desk, &ui, "/incoming/take-back", sent, status.into()).await,
    }
}

/// `GET /staff/b/{brand}/proofs/{id}`
pub async fn proof(State(state): State<AppState>, desk: Desk) -> Reply<Response> {
    download(&state, &desk.call(), desk.id.clone()).await
}

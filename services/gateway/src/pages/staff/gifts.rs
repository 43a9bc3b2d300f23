//! Codes that are given away or sold: batches, handing them out once, making them void.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::GiftBatch;
use ottery_proto::billing::v1::gift_batch::Kind;
use ottery_proto::catalog::v1 as catalog;
use ottery_proto::catalog::v1::Plan;

use super::coupon_form::day;
use super::desk::Desk;
use crate::api::invoices::file;
use crate::limits::Form as Body;
use crate::pages::account::wallet::amount;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go_done};
use crate::pages::text::{self, Manner};
use crate::problem::{Refusal, Reply};
use crate::state::AppState;

/// Plans the form offers to choose from.
const PLANS_MAX: u32 = 100;

fn state_of(batch: &GiftBatch, manner: &Manner) -> (Tone, &'static str) {
    let is_over =
        batch.expired_at.is_some() || text::instant(batch.expires_at.as_ref()).is_some_and(|end| end <= manner.now);
    match (batch.voided_at.is_some(), is_over, batch.downloaded) {
        (true, _, _) => (Tone::Neutral, "Void"),
        (false, true, _) => (Tone::Neutral, "Over"),
        (false, false, false) => (Tone::Info, "To be downloaded"),
        (false, false, true) => (Tone::Good, "Handed out"),
    }
}

fn kind_of(batch: &GiftBatch) -> &'static str {
    match batch.kind() {
        Kind::Sold => "Sold: owed from its issue on",
        Kind::Promotion | Kind::Unspecified => "Given away: a cost when it is redeemed",
    }
}

/// What one of them gives.
fn gives(batch: &GiftBatch, manner: &Manner) -> String {
    let value = manner.money(batch.value.as_ref());
    match (batch.plan_name.as_str(), batch.credit_days) {
        ("", 0) => format!("{value} in the wallet"),
        ("", days) => format!("{value} in the wallet for {}", text::counted(u64::from(days), "day")),
        (plan, _) => format!("{plan}, one term ({value})"),
    }
}

async fn plans(state: &AppState, desk: &Desk) -> Reply<Vec<Plan>> {
    let page = Some(ottery_proto::common::v1::PageRequest { cursor: String::new(), limit: PLANS_MAX });
    let asked = catalog::ListPlansRequest { page, on_sale_only: true };
    Ok(state.clients.catalog(&desk.call()).list_plans(asked).await?.into_inner().plans)
}

fn form(desk: &Desk, plans: &[Plan], manner: &Manner) -> Form {
    let currencies = desk.brand.currencies.iter().map(|code| (code.clone(), code.clone())).collect();
    let mut prices = vec![(String::new(), "Money for the wallet".to_owned())];
    for version in plans.iter().filter_map(|plan| plan.current.as_ref()) {
        for price in &version.prices {
            prices.push((price.id.clone(), format!("{}, {}", version.name, manner.money(price.amount.as_ref()))));
        }
    }
    let kinds = [("promotion", "Given away"), ("sold", "Sold")];
    let kinds = kinds.map(|(word, label)| (word.to_owned(), label.to_owned())).into();
    Form::new("", desk.at("/gifts"), "Make the codes")
        .intro("The codes are read once, by downloading them; afterwards only their last four characters are known.")
        .keyed()
        .field(Field::text("name", "Name").required().help("Customers read it in their statement."))
        .field(
            Field::select("kind", "Kind", kinds)
                .half()
                .help("What was sold is owed in the books until it is redeemed or expires."),
        )
        .field(
            Field::text("count", "How many")
                .half()
                .required()
                .example("100")
                .help("Each holds a place of a plan that is sold in limited number."),
        )
        .field(Field::select("price_id", "What one gives", prices))
        .field(Field::text("amount", "Amount of money").half().example("25.00").help("For the wallet only."))
        .field(Field::select("currency", "Currency", currencies).half())
        .field(
            Field::text("credit_days", "Days the money is good")
                .half()
                .help("Empty: for ever, as always of what was sold."),
        )
        .field(Field::text("per_person_max", "For one person").half().help("Empty: no limit."))
        .field(Field::text("prefix", "Prefix").half().example("XMAS"))
        .field(Field::new("date", "expires_at", "Last day").half().help("Empty: they never end."))
        .folded("New batch")
}

/// `GET /staff/b/{brand}/gifts`
pub async fn list(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    render(&state, &desk, &ui, None).await
}

async fn render(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let asked = billing::ListGiftBatchesRequest { page: ui.page() };
    let found = state.clients.gifts(&desk.call()).list_gift_batches(asked).await?.into_inner();
    let manner = desk.manner(state);
    let rows = found.batches.iter().map(|batch| {
        let (tone, word) = state_of(batch, &manner);
        vec![
            Cell::text(&batch.name).to(desk.at(&format!("/gifts/{}", batch.id))).note(gives(batch, &manner)),
            Cell::badge(tone, word),
            Cell::text(manner.date(batch.created_at.as_ref())).note(kind_of(batch)),
            Cell::number(batch.count.to_string()),
        ]
    });
    let empty = "Codes that customers redeem for money in their wallet or for a term of a plan.";
    let table = Table::new("", &["Batch", "State", "Made", "#Codes"], empty)
        .rows(rows)
        .next(&desk.at("/gifts"), &found.page.unwrap_or_default().next_cursor);
    let plans = plans(state, desk).await?;
    let form = form(desk, &plans, &manner).refused(failed);
    desk.show(ui, Page::new("Gift codes").refused(failed).with(Block::Table(table)).with(Block::Form(form)))
}

/// `POST /staff/b/{brand}/gifts`
pub async fn create(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    match send(&state, &desk, &sent).await {
        Ok(batch) => Ok(go_done(&desk.at(&format!("/gifts/{}", batch.id)), "created")),
        Err(refusal) => {
            let failed = Failed { action: desk.at("/gifts"), sent, refusal };
            render(&state, &desk, &ui, Some(&failed)).await
        }
    }
}

async fn send(state: &AppState, desk: &Desk, sent: &Sent) -> Reply<GiftBatch> {
    let kind = if sent.get("kind") == "sold" { Kind::Sold } else { Kind::Promotion };
    let price_id = sent.text("price_id");
    let asked = billing::CreateGiftBatchRequest {
        name: sent.text("name"),
        kind: kind.into(),
        value: if price_id.is_empty() { Some(amount(sent)?) } else { None },
        credit_days: sent.number("credit_days")?,
        price_id,
        count: sent.number("count")?,
        prefix: sent.text("prefix"),
        per_person_max: sent.number("per_person_max")?,
        // The last day counts.
        expires_at: day(sent, "expires_at", 1, desk.manner(state).zone)?,
    };
    let call = desk.call().idempotency_key(sent.key()?.0);
    Ok(state.clients.gifts(&call).create_gift_batch(asked).await?.into_inner())
}

/// `GET /staff/b/{brand}/gifts/{id}`
pub async fn show(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    batch(&state, &desk, &ui, None).await
}

async fn batch(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let here = desk.at(&format!("/gifts/{}", desk.id));
    let asked = billing::ListGiftCodesRequest { batch_id: desk.id.clone(), page: ui.page() };
    let found = state.clients.gifts(&desk.call()).list_gift_codes(asked).await?.into_inner();
    let batch = found.batch.ok_or_else(Refusal::not_found)?;
    let manner = desk.manner(state);
    let (tone, word) = state_of(&batch, &manner);
    let limit = if batch.per_person_max == 0 { "No limit".to_owned() } else { batch.per_person_max.to_string() };
    let end = batch.expires_at.as_ref();
    let mut page = Page::new(batch.name.clone()).badge(tone, word).up("Gift codes", desk.at("/gifts")).refused(failed);
    if !batch.downloaded && batch.voided_at.is_none() {
        let form = Form::new("Hand them out", format!("{here}/download"), "Download the codes")
            .intro("Once: afterwards nobody can read them, here or in the database. Keep the file safe; whoever has a code can use it.");
        page = page.with(Block::Form(form));
    }
    page = page.with(Block::facts(
        "",
        vec![
            ("Gives", Cell::text(gives(&batch, &manner))),
            ("Kind", Cell::text(kind_of(&batch))),
            ("Codes", Cell::text(batch.count.to_string())),
            ("For one person", Cell::text(limit)),
            ("Until", Cell::text(end.map_or("No end".to_owned(), |at| manner.moment(Some(at))))),
        ],
    ));
    let rows = found.codes.iter().map(|code| {
        let (tone, word) = match (&code.redeemed_at, &code.voided_at, &code.expired_at) {
            (Some(_), _, _) => (Tone::Good, "Redeemed"),
            (None, Some(_), _) => (Tone::Neutral, "Void"),
            (None, None, Some(_)) => (Tone::Neutral, "Expired"),
            (None, None, None) => (Tone::Info, "Free"),
        };
        let who = if code.redeemed_by.is_empty() {
            Cell::text("")
        } else {
            Cell::text(&code.redeemed_by).to(desk.at(&format!("/customers/{}", code.redeemed_by)))
        };
        vec![
            Cell::code(format!("…{}", code.last_four)),
            Cell::badge(tone, word),
            who,
            Cell::text(
                manner.moment(code.redeemed_at.as_ref().or(code.voided_at.as_ref()).or(code.expired_at.as_ref())),
            ),
        ]
    });
    let table = Table::new("Codes", &["Ends with", "State", "By", "When"], "")
        .rows(rows)
        .next(&here, &found.page.unwrap_or_default().next_cursor);
    page = page.with(Block::Table(table));
    if batch.voided_at.is_none() && batch.expired_at.is_none() {
        let form = Form::new("", format!("{here}/void"), "Make void")
            .intro("What nobody has redeemed can be redeemed no more; what was redeemed stays.")
            .field(Field::text("reason", "Reason").required().help("For the audit."))
            .folded("Make the batch void")
            .refused(failed);
        page = page.with(Block::Form(form));
    }
    desk.show(ui, page)
}

/// `POST /staff/b/{brand}/gifts/{id}/download`
pub async fn download(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let asked = billing::DownloadGiftCodesRequest { batch_id: desk.id.clone() };
    match state.clients.gifts(&desk.call()).download_gift_codes(asked).await {
        Ok(reply) => {
            let reply = reply.into_inner();
            file(&reply.file_name, "text/csv; charset=utf-8; header=present", reply.csv)
        }
        Err(status) => {
            let action = desk.at(&format!("/gifts/{}/download", desk.id));
            batch(&state, &desk, &ui, Some(&Failed { action, sent, refusal: status.into() })).await
        }
    }
}

/// `POST /staff/b/{brand}/gifts/{id}/void`
pub async fn void(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let here = desk.at(&format!("/gifts/{}", desk.id));
    let asked = billing::VoidGiftBatchRequest { batch_id: desk.id.clone(), reason: sent.text("reason") };
    match state.clients.gifts(&desk.call()).void_gift_batch(asked).await {
        Ok(_) => Ok(go_done(&here, "codes-void")),
        Err(status) => {
            let failed = Failed { action: format!("{here}/void"), sent, refusal: status.into() };
            batch(&state, &desk, &ui, Some(&failed)).await
        }
    }
}

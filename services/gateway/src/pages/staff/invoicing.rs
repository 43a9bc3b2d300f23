//! What staff does with invoices: write, issue, send, credit, take back, give up.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::invoice_rules::UnpaidAtEnd;
use ottery_proto::identity::v1::GetAccountRequest;

use super::desk::Desk;
use super::invoice_form::{amount, in_form, line_fields, lines, meant};
use super::invoices::render;
use super::orders::refund_of;
use crate::api::invoicing::write;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent};
use crate::pages::frame::{Page, Ui, go_done};
use crate::problem::{Refusal, Reply};
use crate::state::AppState;

/// The invoice the page is about.
pub(super) async fn read(state: &AppState, desk: &Desk) -> Reply<billing::Invoice> {
    let asked = billing::GetInvoiceRequest { invoice_id: desk.id.clone() };
    Ok(state.clients.billing(&desk.call()).get_invoice(asked).await?.into_inner())
}

fn here(desk: &Desk) -> String {
    desk.at(&format!("/invoices/{}", desk.id))
}

/// Where a change leads: to what was done, to a proof of who asks, or back to its form.
async fn answer(
    (state, desk, ui): (&AppState, &Desk, &Ui),
    sent: Sent,
    action: &str,
    done: &str,
    result: Reply<()>,
) -> Reply<Response> {
    match result {
        Ok(()) => Ok(go_done(&here(desk), done)),
        Err(refusal) if refusal.is("reauth_required") => Err(refusal),
        Err(refusal) => {
            let action = format!("{}/{action}", here(desk));
            render(state, desk, ui, Some(&Failed { action, sent, refusal: in_form(refusal) })).await
        }
    }
}

async fn new_form(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let asked = GetAccountRequest { account_id: desk.id.clone() };
    let account = state.clients.identity(&desk.call()).get_account(asked).await?.into_inner();
    let customer = desk.at(&format!("/customers/{}", account.id));
    let currencies = desk.brand.currencies.iter().map(|code| (code.clone(), code.clone())).collect();
    let form = Form::new("", format!("{customer}/invoices/new"), "Write the draft")
        .intro("Prices contain the tax. The draft can be changed and looked at before it is issued; the customer does not see it until then.")
        .field(Field::select("currency", "Currency", currencies).half())
        .fields(line_fields(&[], desk.brand.tax_rate_bp))
        .keyed()
        .refused(failed);
    let page = Page::new(format!("New invoice for {}", account.email)).up("Customer", customer).refused(failed);
    desk.show(ui, page.with(Block::Form(form)))
}

/// `GET /staff/b/{brand}/customers/{id}/invoices/new`
pub async fn new_page(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    new_form(&state, &desk, &ui, None).await
}

/// `POST /staff/b/{brand}/customers/{id}/invoices/new`
pub async fn create(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let made = async {
        let currency = sent.text("currency");
        let lines = lines(&sent, &currency)?;
        write(&state, &desk.caller, sent.key()?, desk.id.clone(), currency, lines).await
    };
    match made.await {
        Ok(invoice) => Ok(go_done(&desk.at(&format!("/invoices/{}", invoice.id)), "created")),
        Err(refusal) => {
            let failed = Failed { action: String::new(), sent, refusal: in_form(refusal) };
            new_form(&state, &desk, &ui, Some(&failed)).await
        }
    }
}

/// `POST /staff/b/{brand}/invoices/{id}/edit`
pub async fn edit(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let result = async {
        let currency = read(&state, &desk).await?.total.unwrap_or_default().currency;
        let request = billing::EditDraftRequest { invoice_id: desk.id.clone(), lines: lines(&sent, &currency)? };
        state.clients.billing(&desk.call()).edit_draft(request).await?;
        Ok(())
    }
    .await;
    answer((&state, &desk, &ui), sent, "edit", "saved", result).await
}

/// `POST /staff/b/{brand}/invoices/{id}/discard`
pub async fn discard(State(state): State<AppState>, desk: Desk) -> Reply<Response> {
    let request = billing::DiscardDraftRequest { invoice_id: desk.id.clone() };
    state.clients.billing(&desk.call()).discard_draft(request).await?;
    Ok(go_done(&desk.at("/invoices"), "deleted"))
}

/// `POST /staff/b/{brand}/invoices/{id}/finalise`
pub async fn finalise(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let result = async {
        let request = billing::FinaliseDraftRequest { invoice_id: desk.id.clone(), due_days: sent.number("due_days")? };
        state.clients.billing(&desk.call().idempotency_key(sent.key()?.0)).finalise_draft(request).await?;
        if sent.is_on("send") {
            let request = billing::SendInvoiceRequest { invoice_id: desk.id.clone() };
            state.clients.billing(&desk.call()).send_invoice(request).await?;
        }
        Ok(())
    }
    .await;
    answer((&state, &desk, &ui), sent, "finalise", "issued", result).await
}

/// `POST /staff/b/{brand}/invoices/{id}/send`
pub async fn send(State(state): State<AppState>, desk: Desk) -> Reply<Response> {
    let request = billing::SendInvoiceRequest { invoice_id: desk.id.clone() };
    state.clients.billing(&desk.call()).send_invoice(request).await?;
    Ok(go_done(&here(&desk), "sent"))
}

/// `POST /staff/b/{brand}/invoices/{id}/void`
pub async fn void(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let request = billing::VoidInvoiceRequest { invoice_id: meant(&sent, &desk.id), reason: sent.text("reason") };
    let result = state.clients.billing(&desk.call()).void_invoice(request).await;
    answer((&state, &desk, &ui), sent, "void", "voided", result.map(drop).map_err(Refusal::from)).await
}

/// `POST /staff/b/{brand}/invoices/{id}/write-off`
pub async fn write_off(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let request = billing::WriteOffInvoiceRequest { invoice_id: meant(&sent, &desk.id), reason: sent.text("reason") };
    let result = state.clients.billing(&desk.call()).write_off_invoice(request).await;
    answer((&state, &desk, &ui), sent, "write-off", "given-up", result.map(drop).map_err(Refusal::from)).await
}

/// `POST /staff/b/{brand}/invoices/{id}/credit`
pub async fn credit(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let result = async {
        let currency = read(&state, &desk).await?.total.unwrap_or_default().currency;
        let written = sent.list("line_numbers");
        let numbers = written.iter().map(|number| number.parse()).collect::<Result<_, _>>();
        let request = billing::CreditInvoiceRequest {
            // Lines are counted over the whole, and tell which part is meant.
            invoice_id: if written.is_empty() { meant(&sent, &desk.id) } else { desk.id.clone() },
            amount: amount(&sent, "amount", &currency)?,
            line_numbers: numbers.map_err(|_| {
                Refusal::invalid("line_numbers", "number_invalid", "write numbers of lines, such as 1, 3")
            })?,
            reason: sent.text("reason"),
        };
        state.clients.billing(&desk.call().idempotency_key(sent.key()?.0)).credit_invoice(request).await?;
        Ok(())
    }
    .await;
    answer((&state, &desk, &ui), sent, "credit", "credited", result).await
}

/// `POST /staff/b/{brand}/invoices/{id}/refund`
pub async fn refund(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let result = async {
        let invoice = read(&state, &desk).await?;
        refund_of(&state, &desk, &sent, meant(&sent, &invoice.id), &invoice.total.unwrap_or_default().currency).await
    }
    .await;
    answer((&state, &desk, &ui), sent, "refund", "refunded", result).await
}

/// `POST /staff/b/{brand}/orders/{id}/cancel`
pub async fn cancel_order(State(state): State<AppState>, desk: Desk) -> Reply<Response> {
    let request = billing::CancelOrderRequest { order_id: desk.id.clone() };
    state.clients.billing(&desk.call()).cancel_order(request).await?;
    Ok(go_done(&desk.at(&format!("/orders/{}", desk.id)), "order-cancelled"))
}

async fn rules_form(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let asked = billing::GetInvoiceRulesRequest {};
    let rules = state.clients.billing(&desk.call()).get_invoice_rules(asked).await?.into_inner();
    let chosen = if rules.unpaid_at_end() == UnpaidAtEnd::WriteOff { "write_off" } else { "void" };
    let policies = vec![
        ("void".to_owned(), "is taken back: nothing is owed".to_owned()),
        ("write_off".to_owned(), "is given up: a loss, until it is paid after all".to_owned()),
    ];
    let mut page = Page::new("Rules for invoices").up("Invoices", desk.at("/invoices")).refused(failed);
    let policy = Field::select("unpaid_at_end", "An open renewal whose period had begun", policies)
        .value(chosen)
        .help("When its subscription ends.");
    page = if desk.may("brand.update") {
        let form = Form::new("", desk.at("/invoices/rules"), "Save")
            .field(policy)
            .field(
                Field::check("bills_time_off", "Bill time in which we had it suspended", rules.bills_time_off)
                    .help("Otherwise a subscription begins anew when the suspension is lifted."),
            )
            .field(
                Field::check("proforma", "Ask by a pro forma invoice first", rules.proforma)
                    .help("It becomes the invoice, with an invoice's number, when it is paid."),
            )
            .field(
                Field::check("consolidated", "One invoice for what a customer owes on one day", rules.consolidated)
                    .help("For renewals of several subscriptions that are due on the same day; not with pro forma invoices."),
            )
            .field(Field::hidden("version", rules.version.to_string()))
            .refused(failed);
        page.with(Block::Form(form))
    } else {
        let label = policy.options.iter().find(|(word, _)| word == chosen).map(|(_, label)| label.clone());
        page.with(Block::facts(
            "",
            vec![
                ("An open renewal at the end", Cell::text(label.unwrap_or_default())),
                ("Pro forma first", Cell::text(if rules.proforma { "yes" } else { "no" })),
                ("One invoice a day", Cell::text(if rules.consolidated { "yes" } else { "no" })),
                ("Time suspended by us", Cell::text(if rules.bills_time_off { "is billed" } else { "is not billed" })),
            ],
        ))
    };
    desk.show(ui, page)
}

/// `GET /staff/b/{brand}/invoices/rules`
pub async fn rules(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    rules_form(&state, &desk, &ui, None).await
}

/// `POST /staff/b/{brand}/invoices/rules`
pub async fn put_rules(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let policy = if sent.get("unpaid_at_end") == "write_off" { UnpaidAtEnd::WriteOff } else { UnpaidAtEnd::Void };
    let result = async {
        let request = billing::PutInvoiceRulesRequest {
            unpaid_at_end: policy.into(),
            bills_time_off: sent.is_on("bills_time_off"),
            proforma: sent.is_on("proforma"),
            consolidated: sent.is_on("consolidated"),
            expected_version: sent.number("version")?,
        };
        state.clients.billing(&desk.call()).put_invoice_rules(request).await?;
        Ok::<_, Refusal>(())
    };
    match result.await {
        Ok(()) => Ok(go_done(&desk.at("/invoices/rules"), "saved")),
        Err(refusal) => {
            let failed = Failed { action: String::new(), sent, refusal };
            rules_form(&state, &desk, &ui, Some(&failed)).await
        }
    }
}

//! A customer's wallet as staff sees it, and granting credit.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;

use super::coupon_form::day;
use super::desk::Desk;
use crate::limits::Form as Body;
use crate::pages::account::wallet;
use crate::pages::block::{Block, Failed, Field, Form, Sent};
use crate::pages::frame::{Page, Ui, go_done};
use crate::problem::Reply;
use crate::state::AppState;

fn address(desk: &Desk) -> String {
    desk.at(&format!("/customers/{}/wallet", desk.id))
}

/// `GET /staff/b/{brand}/customers/{id}/wallet`
pub async fn show(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    render(&state, &desk, &ui, None).await
}

async fn render(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let found = wallet::find(state, &desk.call(), &desk.id, ui).await?;
    let here = address(desk);
    let page = Page::new("Wallet").up("Customer", desk.at(&format!("/customers/{}", desk.id))).refused(failed);
    let mut page = wallet::parts(page, &found, &desk.manner(state), &here);
    if desk.may("wallet.grant") {
        let currencies = desk.brand.currencies.iter().map(|code| (code.clone(), code.clone())).collect();
        let form = Form::new("", format!("{here}/credits"), "Grant credit")
            .intro("It pays the customer's next invoices before money they paid, and is a cost of the seller.")
            .keyed()
            .field(Field::text("amount", "Amount").half().required().example("5.00"))
            .field(Field::select("currency", "Currency", currencies).half())
            .field(Field::new("date", "expires_at", "Last day").half().help("Empty: it never expires."))
            .field(Field::text("reason", "Reason").required().help("The customer reads it in the statement."))
            .folded("Grant credit")
            .refused(failed);
        page = page.with(Block::Form(form));
        if let Some(form) = conversion(desk, &found, &here) {
            page = page.with(Block::Form(form.refused(failed)));
        }
    }
    desk.show(ui, page)
}

/// Converting what is there into another currency the brand sells in; nothing where there is none.
fn conversion(desk: &Desk, found: &wallet::Found, here: &str) -> Option<Form> {
    let have = found.currencies();
    let sold = &desk.brand.currencies;
    if !have.iter().any(|from| sold.iter().any(|to| to != from)) {
        return None;
    }
    let listed = |codes: &[String]| codes.iter().map(|code| (code.clone(), code.clone())).collect();
    let form = Form::new("", format!("{here}/conversions"), "Convert")
        .intro(
            "Before the customer pays in another currency. Granted credit keeps its expiry; open invoices come first.",
        )
        .keyed()
        .field(Field::select("from", "From", listed(&have)).half())
        .field(Field::select("to", "To", listed(sold)).half())
        .field(
            Field::text("rate", "Rate")
                .required()
                .example("1.0837")
                .help("How much one unit is worth, as a decimal or a ratio such as 13/12."),
        )
        .field(Field::text("reason", "Reason").required().help("For the audit."))
        .folded("Convert into another currency");
    Some(form)
}

/// `POST /staff/b/{brand}/customers/{id}/wallet/conversions`
pub async fn convert(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let here = address(&desk);
    let asked = billing::ConvertWalletRequest {
        account_id: desk.id.clone(),
        from_currency: sent.text("from"),
        to_currency: sent.text("to"),
        rate: sent.text("rate").replace(',', "."),
        reason: sent.text("reason"),
    };
    let call = desk.call().idempotency_key(sent.key()?.0);
    match state.clients.billing(&call).convert_wallet(asked).await {
        Ok(_) => Ok(go_done(&here, "converted")),
        Err(status) => {
            let failed = Failed { action: format!("{here}/conversions"), sent, refusal: status.into() };
            render(&state, &desk, &ui, Some(&failed)).await
        }
    }
}

/// `POST /staff/b/{brand}/customers/{id}/wallet/credits`
pub async fn grant(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let here = address(&desk);
    match send(&state, &desk, &sent).await {
        Ok(()) => Ok(go_done(&here, "granted")),
        Err(refusal) => {
            let action = format!("{here}/credits");
            render(&state, &desk, &ui, Some(&Failed { action, sent, refusal })).await
        }
    }
}

async fn send(state: &AppState, desk: &Desk, sent: &Sent) -> Reply<()> {
    let asked = billing::GrantCreditRequest {
        account_id: desk.id.clone(),
        amount: Some(wallet::amount(sent)?),
        reason: sent.text("reason"),
        // The last day counts: it is worth nothing from the following one on.
        expires_at: day(sent, "expires_at", 1, desk.manner(state).zone)?,
    };
    state.clients.billing(&desk.call().idempotency_key(sent.key()?.0)).grant_credit(asked).await?;
    Ok(())
}

/// `GET /staff/b/{brand}/customers/{id}/wallet.csv`
pub async fn csv(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    wallet::sheet(wallet::find(&state, &desk.call(), &desk.id, &ui).await?)
}

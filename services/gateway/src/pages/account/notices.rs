//! What a customer reads about debts, on top of the account's pages, until it is paid or they do not want to see it any more.

use axum::extract::{Path, State};
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::Notice;

use crate::pages::block::{Block, Link, Note, Tone};
use crate::pages::frame::{Page, go, manner};
use crate::pages::text::Manner;
use crate::problem::Reply;
use crate::session::Customer;
use crate::state::AppState;

/// What there is to read; nothing while billing is away, whose own pages say so.
pub async fn find(state: &AppState, customer: &Customer) -> Vec<Notice> {
    let asked = billing::ListNoticesRequest::default();
    match state.clients.dunning(&customer.caller.call()).list_notices(asked).await {
        Ok(reply) => reply.into_inner().notices,
        Err(status) => {
            tracing::warn!(code = ?status.code(), "notices about open invoices are not known at the moment");
            Vec::new()
        }
    }
}

/// The page with what there is to read on top.
pub async fn on_top(state: &AppState, customer: &Customer, mut page: Page) -> Page {
    let manner = manner(state, &customer.brand);
    let notices = find(state, customer).await;
    page.blocks.splice(0..0, notices.iter().map(|notice| block(notice, &manner)));
    page
}

/// One of them: how much, what for, since when; with the way to pay, and to have peace.
pub fn block(notice: &Notice, manner: &Manner) -> Block {
    let (amount, due) = (manner.money(notice.amount.as_ref()), manner.date(notice.due_at.as_ref()));
    let (tone, title, text) = if notice.overdue {
        let text = format!("{} for {} was due on {due}. Pay it to keep your access.", amount, notice.plan_name);
        (Tone::Bad, format!("Invoice {} is not paid", notice.invoice_number), text)
    } else {
        let text = format!("{} for {} is due on {due}.", amount, notice.plan_name);
        (Tone::Warn, format!("Invoice {} waits for your payment", notice.invoice_number), text)
    };
    let link = Link::new(format!("Pay {amount}"), format!("/pay/{}", notice.pay_token));
    let press = ("Hide".to_owned(), format!("/account/notices/{}/dismiss", notice.invoice_id));
    Block::Note(Note { tone, title, text, link: Some(link), press: Some(press) })
}

/// `POST /account/notices/{id}/dismiss`
pub async fn dismiss(
    State(state): State<AppState>,
    customer: Customer,
    Path(invoice_id): Path<String>,
) -> Reply<Response> {
    let asked = billing::DismissNoticeRequest { invoice_id };
    state.clients.dunning(&customer.caller.call()).dismiss_notice(asked).await?;
    Ok(go("/account"))
}

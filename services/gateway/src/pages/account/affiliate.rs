//! Recommending the shop to others.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::affiliate::v1 as affiliate;
use ottery_proto::affiliate::v1::commission::State as Life;

use super::show as page_of;
use crate::pages::block::{Block, Cell, Form, Stat, Table, Tone};
use crate::pages::frame::{Page, Ui, go_done, manner};
use crate::pages::text::{Manner, counted, percent};
use crate::problem::Reply;
use crate::session::Customer;
use crate::state::AppState;

fn sums(amounts: &[ottery_proto::common::v1::Money], manner: &Manner) -> String {
    let texts: Vec<String> = amounts.iter().map(|amount| manner.money(Some(amount))).collect();
    if texts.is_empty() { "–".to_owned() } else { texts.join(" + ") }
}

/// How a commission stands.
#[must_use]
pub fn state_of(commission: &affiliate::Commission) -> (Tone, &'static str) {
    match commission.state() {
        Life::Pending | Life::Unspecified => (Tone::Info, "Pending"),
        Life::Approved => (Tone::Good, "Approved"),
        Life::Reversed => (Tone::Neutral, "Taken back"),
        Life::Paid => (Tone::Good, "Paid out"),
    }
}

/// `GET /account/affiliate`
pub async fn show(State(state): State<AppState>, customer: Customer, ui: Ui) -> Reply<Response> {
    let call = customer.caller.call();
    let manner = manner(&state, &customer.brand);
    let brand = &customer.brand;
    let rules = format!(
        "You earn {} of the net amount of the first payment of everybody who comes by your link. Commissions stay pending for {}, in case the payment is given back.",
        percent(brand.affiliate_rate_bp),
        counted(u64::from(brand.affiliate_hold_days), "day"),
    );
    let asked = affiliate::GetAffiliateRequest { affiliate_id: String::new(), account_id: customer.account.id.clone() };
    let found = match state.clients.affiliate(&call).get_affiliate(asked).await {
        Ok(found) => found.into_inner(),
        Err(status) if status.code() == tonic::Code::NotFound => {
            let form = Form::new("Get your link", "/account/affiliate", "Join").intro(rules);
            return page_of(&customer, &ui, Page::new("Recommend us").with(Block::Form(form)));
        }
        Err(status) => return Err(status.into()),
    };
    let link = format!("{}/r/{}", ui.request.origin(), found.code);
    let asked = affiliate::ListCommissionsRequest { page: ui.page(), affiliate_id: found.id.clone() };
    let commissions = state.clients.affiliate(&call).list_commissions(asked).await?.into_inner();
    let rows = commissions.commissions.iter().map(|one| {
        let (tone, word) = state_of(one);
        vec![
            Cell::text(manner.date(one.created_at.as_ref())),
            Cell::badge(tone, word).note(match one.state() {
                Life::Pending if one.held => "The payment is disputed; this waits for the decision.".to_owned(),
                Life::Pending => format!("until {}", manner.date(one.approve_after.as_ref())),
                Life::Unspecified | Life::Approved | Life::Reversed | Life::Paid => String::new(),
            }),
            Cell::number(manner.money(one.base.as_ref())),
            Cell::number(manner.money(one.amount.as_ref())),
        ]
    });
    let stat =
        |label: &str, value: String| Stat { label: label.to_owned(), value, note: String::new(), href: String::new() };
    let page = Page::new("Recommend us")
        .intro(rules)
        .with(Block::facts("Your link", vec![("Share this", Cell::code(link).copied())]))
        .with(Block::Stats(vec![
            stat("Clicks", found.clicks.to_string()),
            stat("Customers", found.referrals.to_string()),
            stat("Pending", sums(&found.pending, &manner)),
            stat("Approved", sums(&found.approved, &manner)),
        ]))
        .with(Block::Table(
            Table::new(
                "Commissions",
                &["Date", "State", "#Net payment", "#Yours"],
                "Nothing yet. Commissions show up here as soon as somebody buys by your link.",
            )
            .rows(rows)
            .next("/account/affiliate", &commissions.page.unwrap_or_default().next_cursor),
        ));
    page_of(&customer, &ui, page)
}

/// `POST /account/affiliate`
pub async fn join(State(state): State<AppState>, customer: Customer) -> Reply<Response> {
    let asked =
        affiliate::JoinRequest { account_id: customer.account.id.clone(), email: customer.account.email.clone() };
    state.clients.affiliate(&customer.caller.call()).join(asked).await?;
    Ok(go_done("/account/affiliate", "joined"))
}

//! The customer's account.

mod affiliate;
mod billing;
mod calendar;
mod entry;
mod invoices;
pub mod methods;
mod notices;
mod overview;
mod security;
mod services;
mod subscriptions;
mod tickets;
pub mod wallet;

use askama::Template;
use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};

pub use billing::{of as billing_address, vat_fact};
pub use calendar::{anchor_facts, paused};
pub use entry::ask_code;
pub use invoices::{
    document as invoice_document, parts as invoice_parts, state_of as invoice_state, title_of as invoice_title,
};
pub use services::stage;
pub use subscriptions::{afterwards_of, listed, state_of as subscription_state, title as subscription_price};
pub use tickets::{state_of as ticket_state, thread as ticket_thread};

use crate::brand::Brand;
use crate::pages::block::{Block, Link};
use crate::pages::explain;
use crate::pages::frame::{Frame, Page, Ui, draw_as};
use crate::problem::Reply;
use crate::session::Customer;
use crate::state::AppState;

/// The account's pages.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/account/sign-in", get(entry::sign_in_page).post(entry::sign_in))
        .route("/account/sign-in/code", post(entry::code))
        .route("/account/sign-up", get(entry::sign_up_page).post(entry::sign_up))
        .route("/account/sign-out", post(entry::sign_out))
        .route("/account/forgot", get(entry::forgot_page).post(entry::forgot))
        .route("/account/reset", get(entry::reset_page).post(entry::reset))
        .route("/account/verify", get(entry::verify_page).post(entry::verify))
        .route("/account/verify/again", post(entry::verify_again))
        .route("/account/confirm", get(entry::confirm_page).post(entry::confirm))
        .route("/account", get(overview::show))
        .route("/account/services", get(services::list))
        .route("/account/services/{id}", get(services::show))
        .route("/account/services/{id}/reveal", post(services::reveal))
        .route("/account/subscriptions", get(subscriptions::list))
        .route("/account/subscriptions/{id}", get(subscriptions::show))
        .route("/account/subscriptions/{id}/explain", get(explain::account_subscription))
        .route("/account/subscriptions/{id}/cancel", post(subscriptions::cancel))
        .route("/account/subscriptions/{id}/resume", post(subscriptions::resume))
        .route("/account/subscriptions/{id}/anchor", get(calendar::preview).post(calendar::move_anchor))
        .route("/account/subscriptions/{id}/renew", post(calendar::renew))
        .route("/account/subscriptions/{id}/pause", post(calendar::pause))
        .route("/account/subscriptions/{id}/unpause", post(calendar::unpause))
        .route("/account/subscriptions/{id}/change", get(subscriptions::preview).post(subscriptions::change))
        .route("/account/invoices", get(invoices::list))
        .route("/account/invoices/pay", post(invoices::pay_many))
        .route("/account/invoices/{id}", get(invoices::show))
        .route("/account/invoices/{id}/explain", get(explain::account_invoice))
        .route("/account/invoices/{id}/pay", post(invoices::pay))
        .route("/account/invoices/{id}/pdf", get(invoices::pdf))
        .route("/account/invoices/{id}/ubl", get(invoices::ubl))
        .route("/account/notices/{id}/dismiss", post(notices::dismiss))
        .route("/account/wallet", get(wallet::show))
        .route("/account/wallet.csv", get(wallet::csv))
        .route("/account/wallet/top-up", post(wallet::top_up))
        .route("/account/wallet/redeem", post(wallet::redeem))
        .route("/account/methods", get(methods::show))
        .route("/account/methods/add", post(methods::add))
        .route("/account/methods/remove", post(methods::remove))
        .route("/account/billing", get(billing::page).post(billing::save))
        .route("/account/tickets", get(tickets::list))
        .route("/account/tickets/new", get(tickets::new_page).post(tickets::open))
        .route("/account/tickets/{id}", get(tickets::show))
        .route("/account/tickets/{id}/reply", post(tickets::reply))
        .route("/account/tickets/{id}/close", post(tickets::close))
        .route("/account/affiliate", get(affiliate::show).post(affiliate::join))
        .route("/account/security", get(security::show))
        .route("/account/security/password", post(security::password))
        .route("/account/security/revoke", post(security::revoke))
        .route("/account/security/everywhere", post(security::everywhere))
        .route("/account/security/totp", get(security::enrol).post(security::confirm))
        .route("/account/security/totp/remove", post(security::remove))
}

#[derive(Template)]
#[template(path = "account.html")]
struct View {
    frame: Frame,
    page: Page,
}

const MENU: [(&str, &str); 10] = [
    ("Overview", "/account"),
    ("Services", "/account/services"),
    ("Subscriptions", "/account/subscriptions"),
    ("Invoices", "/account/invoices"),
    ("Wallet", "/account/wallet"),
    ("Payment methods", "/account/methods"),
    ("Billing address", "/account/billing"),
    ("Support", "/account/tickets"),
    ("Recommend us", "/account/affiliate"),
    ("Security", "/account/security"),
];

/// A page of the signed-in customer.
pub fn show(customer: &Customer, ui: &Ui, page: Page) -> Reply<Response> {
    let mut frame = Frame::shop(&customer.brand, ui, &page.title);
    frame.rail = MENU
        .iter()
        .map(|(label, href)| {
            let is_below = *href != "/account" && ui.path.strip_prefix(href).is_some_and(|rest| rest.starts_with('/'));
            Link { is_current: ui.path == *href || is_below, ..Link::new(*label, *href) }
        })
        .collect();
    frame.rail_name = "Account";
    "/account/sign-out".clone_into(&mut frame.sign_out);
    let status = page.status.unwrap_or(StatusCode::OK);
    draw_as(status, &View { frame, page })
}

/// A card for somebody who is not signed in.
pub fn card(brand: &Brand, ui: &Ui, page: Page) -> Reply<Response> {
    let mut frame = Frame::shop(brand, ui, &page.title);
    frame.reload_s = page.reload_s;
    let status = page.status.unwrap_or(StatusCode::OK);
    draw_as(status, &View { frame, page: Page { is_card: true, ..page } })
}

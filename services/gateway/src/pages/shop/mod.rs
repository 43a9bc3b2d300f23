//! The storefront: what visitors and search engines see.

mod by_hand;
mod by_link;
pub mod checkout;
mod code;
mod coin;
pub mod offer;
pub mod order;
mod pay;
pub(in crate::pages) mod proof;
pub mod show;
pub mod steps;
mod words;

use axum::Router;
use axum::routing::{get, post};

use crate::state::AppState;

/// The storefront's pages.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/plans", get(show::plans))
        .route("/plans/{slug}", get(show::plan))
        .route("/help", get(words::help))
        .route("/legal/terms", get(words::terms))
        .route("/legal/privacy", get(words::privacy))
        .route("/sitemap.xml", get(show::sitemap))
        .route("/robots.txt", get(show::robots))
        .route("/checkout", get(checkout::review))
        .route("/checkout/account", post(checkout::account))
        .route("/checkout/sign-in", post(checkout::sign_in))
        .route("/checkout/redeem", post(code::redeem))
        .route("/checkout/place", post(checkout::place))
        .route("/pay/{token}", get(pay::show).post(pay::pay))
        .route("/pay/by-hand/{token}", get(by_hand::show).post(by_hand::send))
        .route("/account/proofs/{id}", get(proof::own))
        .route("/pay/coin/{token}", get(coin::show).post(coin::renew))
        .route("/orders/{id}", get(order::show))
        .route("/orders/{id}/live", get(order::live))
        .route("/orders/{id}/pay", post(order::pay))
        .route("/orders/{id}/reveal", post(order::reveal))
}

pub use show::home;

//! Pages of whoever has their link: signed in or not, the token in the address is the right.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use ottery_kit::grpc::{Actor, CallContext};

use crate::brand::Brand;
use crate::pages::account::card;
use crate::pages::frame::{Page, Ui};
use crate::problem::{Refusal, Reply};

/// What is said of a link that never was one: its title, and what may have happened.
pub(super) const NEVER_MADE: (&str, &str) = ("There is no such payment", "The link was cut short on its way.");
/// What is said of a link that may have been good once.
pub(super) const NOT_GOOD: (&str, &str) =
    ("This link is not good any more", "It may have expired, or it was cut short on its way.");

/// Whoever is signed in or not: the token is the right.
pub(super) fn anybody(brand: &Brand, ui: &Ui) -> CallContext {
    ui.request.call(Actor::anonymous(Some(brand.id)))
}

/// The address holds the token: nobody keeps the page, and nobody who is linked to learns it. Our own forms say where they come from:
/// with `no-referrer` browsers would send `Origin: null` with them, and be taken for another site.
pub(super) fn kept_to_oneself(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex"));
    response
}

/// What is shown where the link leads nowhere, which services tell by that code; every other refusal is handed on.
pub(super) fn gone(
    brand: &Brand,
    ui: &Ui,
    refusal: Refusal,
    code: &str,
    (title, why): (&str, &str),
) -> Reply<Response> {
    if !refusal.is(code) {
        return Err(refusal);
    }
    let page = Page::new(title)
        .intro(format!("{why} You can pay in your account as well."))
        .action("Sign in", "/account/invoices")
        .aside("Help", "/help");
    card(brand, ui, Page { status: Some(StatusCode::NOT_FOUND), ..page }).map(kept_to_oneself)
}

//! `/api/v1`: JSON for the front end and for programs. One file per resource; [`access`] says who may do what.

pub mod access;
pub mod accounts;
pub mod addresses;
pub mod affiliates;
pub mod analytics;
pub mod audit;
pub mod auth;
pub mod books;
pub mod brands;
pub mod by_hand;
pub mod clocks;
pub mod coupons;
mod describe;
pub mod disputes;
pub mod dunning;
pub mod explain;
mod exports;
pub mod factors;
pub mod gifts;
pub mod invoices;
pub mod invoicing;
pub mod keys;
pub mod ledger;
pub mod mail;
pub mod methods;
pub mod notices;
mod options;
pub mod orders;
pub mod panels;
pub mod passwords;
pub mod pay_links;
pub mod payments;
pub mod plans;
pub mod price_changes;
pub mod providers;
pub mod reconciliations;
pub mod resellers;
pub mod revenue;
pub mod screening;
pub mod services;
pub mod sessions;
pub mod setup;
pub mod staff;
pub mod storefront;
pub mod subscriptions;
pub mod tasks;
pub mod taxes;
pub mod tickets;
pub mod time_machine;
pub mod view;
pub mod wallet;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::brand::Site;
use crate::limits;
use crate::problem::Refusal;
use crate::request::RequestInfo;
use crate::session;
use crate::state::AppState;

/// Where the API lives.
pub const BASE: &str = "/api/v1";

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(setup::routes())
        .merge(auth::routes())
        .merge(sessions::routes())
        .merge(passwords::routes())
        .merge(factors::routes())
        .merge(storefront::routes())
        .merge(orders::routes())
        .merge(methods::routes())
        .merge(disputes::routes())
        .merge(subscriptions::routes())
        .merge(exports::routes())
        .merge(price_changes::routes())
        .merge(invoices::routes())
        .merge(invoicing::routes())
        .merge(explain::routes())
        .merge(payments::routes())
        .merge(pay_links::routes())
        .merge(dunning::routes())
        .merge(notices::routes())
        .merge(screening::routes())
        .merge(time_machine::routes())
        .merge(ledger::routes())
        .merge(wallet::routes())
        .merge(gifts::routes())
        .merge(books::routes())
        .merge(revenue::routes())
        .merge(providers::routes())
        .merge(by_hand::routes())
        .merge(reconciliations::routes())
        .merge(services::routes())
        .merge(panels::routes())
        .merge(tickets::routes())
        .merge(affiliates::routes())
        .merge(analytics::routes())
        .merge(mail::routes())
        .merge(brands::routes())
        .merge(clocks::routes())
        .merge(plans::routes())
        .merge(coupons::routes())
        .merge(taxes::routes())
        .merge(addresses::routes())
        .merge(accounts::routes())
        .merge(resellers::routes())
        .merge(staff::routes())
        .merge(keys::routes())
        .merge(audit::routes())
        .merge(tasks::routes())
}

/// The routes below `/api/v1`, each behind its row of the access table.
pub(crate) fn router(state: &AppState) -> Router<AppState> {
    let (routes, _) = routes().split_for_parts();
    let routes = routes.route("/openapi.json", get(description)).fallback(async || Refusal::not_found());
    let authorise = axum::middleware::from_fn_with_state(state.clone(), authorise);
    Router::new().nest(BASE, routes.route_layer(authorise))
}

/// The description of the API, collected from its routes.
#[must_use]
pub fn openapi() -> OpenApi {
    describe::complete(routes().split_for_parts().1)
}

/// [`openapi`] as it is committed and served.
///
/// # Panics
/// Never: the description is plain data.
#[must_use]
pub fn openapi_json() -> String {
    let mut text = openapi().to_pretty_json().expect("the description is plain data");
    text.push('\n');
    text
}

async fn description() -> Response {
    static TEXT: std::sync::LazyLock<String> = std::sync::LazyLock::new(openapi_json);
    ([(axum::http::header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

/// Nothing reaches a handler that the access table does not let through.
async fn authorise(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    match admit(&state, &mut request).await {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn admit(state: &AppState, request: &mut Request) -> Result<(), Refusal> {
    let extensions = request.extensions();
    let template = extensions.get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
    let template = template.strip_prefix(BASE).unwrap_or(template);
    let Some(rule) = access::rule(request.method().as_str(), template) else {
        // A method nobody declared at a path somebody did: the router says which ones there are.
        return Ok(());
    };
    let site = extensions.get::<Site>().cloned().ok_or_else(crate::brand::misdirected)?;
    let info = extensions.get::<RequestInfo>().cloned().ok_or_else(Refusal::not_found)?;
    let caller = match session::identify(state, &site, &info, request.headers()).await {
        Ok(caller) => caller,
        // A broken cookie must not keep anybody from signing in again.
        Err(refusal) if rule.who == access::Who::Anyone && refusal.status.is_client_error() => crate::session::Caller {
            actor: ottery_kit::grpc::Actor::anonymous(site.brand().map(|brand| brand.id)),
            session: None,
            request: info,
        },
        Err(refusal) => return Err(refusal),
    };
    limits::account(state, &caller).await?;
    rule.check(&site, &caller, state.host.clock.now())?;
    if rule.is_money {
        crate::idempotency::required(request.headers())?;
    }
    request.extensions_mut().insert(caller);
    Ok(())
}

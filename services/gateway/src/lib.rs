#![doc = include_str!("../README.md")]

pub mod api;
pub mod brand;
pub mod cache;
pub mod clients;
mod config;
pub mod csrf;
pub mod device;
mod documents;
mod edge;
pub mod headers;
pub mod hints;
pub mod idempotency;
pub mod limits;
pub mod links;
mod listen;
pub mod pages;
mod probes;
pub mod problem;
pub mod progress;
pub mod referral;
pub mod request;
pub mod session;
mod sse;
pub mod state;
#[cfg(test)]
mod testing;
mod webhook;

use axum::Router;
use ottery_kit::{Host, Service};

pub use api::{openapi, openapi_json};
pub use config::{CacheConfig, Config, DocumentConfig, HttpConfig, LimitConfig};
pub use state::AppState;

/// Name of the service: of its configuration section and its key.
pub const NAME: &str = "gateway";
/// Documented defaults of every setting.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// Everything the gateway serves.
pub fn router(state: &AppState) -> Router {
    Router::new()
        .merge(probes::router())
        .merge(api::router(state))
        .merge(webhook::router())
        .merge(referral::router())
        .merge(pages::router())
        .fallback(async || problem::Refusal::not_found())
        .layer(axum::middleware::from_fn_with_state(state.clone(), edge::handle))
        .with_state(state.clone())
}

/// Prepares everything; serves nothing yet.
///
/// # Errors
/// A certificate that cannot be used, or (with HTTPS) an address that cannot be listened on.
pub async fn build(config: Config, host: Host) -> anyhow::Result<Service> {
    let http = config.http.clone();
    let state = AppState::new(config, host.clone())?;
    let router = router(&state);
    let service = Service::stateless(NAME, &host).task("hints", move |shutdown| hints::listen(state.clone(), shutdown));
    listen::serve(service, router, &http).await
}

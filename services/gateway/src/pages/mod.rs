//! Pages for people.

use axum::Router;
use axum::http::{Method, Uri, header};
use axum::response::{IntoResponse as _, Response};

use crate::brand::Site;
use crate::problem::Refusal;
use crate::request::RequestInfo;
use crate::state::AppState;

/// All pages, and the files they use.
pub fn router() -> Router<AppState> {
    Router::new()
}

/// A refusal as a page. `site` is absent when the host name is nobody's: the page then names nobody.
pub async fn problem(
    _state: &AppState,
    request: &RequestInfo,
    _site: Option<&Site>,
    _method: &Method,
    _uri: &Uri,
    refusal: &Refusal,
) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    let text = format!("{}\n\n{}\n", refusal.detail, request.id);
    (refusal.status, kind, text).into_response()
}

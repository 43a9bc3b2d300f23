//! The staff area.

use axum::Router;

use crate::state::AppState;

/// The staff area's pages.
pub fn router() -> Router<AppState> {
    Router::new()
}

//! `/api/v1`.

use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}

/// The routes below `/api/v1`.
pub fn router() -> Router<AppState> {
    routes().split_for_parts().0
}

/// The description of the API, collected from its routes.
#[must_use]
pub fn openapi() -> OpenApi {
    routes().split_for_parts().1
}

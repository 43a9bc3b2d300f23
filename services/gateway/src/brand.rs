//! Which brand (or the staff area) a host name stands for.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use ottery_kernel::BrandId;
use ottery_proto::catalog::v1 as catalog;

use crate::problem::Refusal;
use crate::state::AppState;

/// A brand as catalog knows it.
#[derive(Clone, Debug)]
pub struct Brand {
    /// Its id.
    pub id: BrandId,
    /// Everything else.
    pub content: catalog::Brand,
}

impl std::ops::Deref for Brand {
    type Target = catalog::Brand;

    fn deref(&self) -> &catalog::Brand {
        &self.content
    }
}

impl Brand {
    pub(crate) fn of(content: catalog::Brand) -> Result<Self, Refusal> {
        let id = content.id.parse().map_err(|error| Refusal::internal(&error))?;
        Ok(Self { id, content })
    }
}

/// What the request's host name serves.
#[derive(Clone, Debug)]
pub enum Site {
    /// A brand's storefront and account pages.
    Brand(Arc<Brand>),
    /// The staff area.
    Staff,
}

impl Site {
    /// The brand, on a brand's host.
    #[must_use]
    pub fn brand(&self) -> Option<&Arc<Brand>> {
        match self {
            Self::Brand(brand) => Some(brand),
            Self::Staff => None,
        }
    }
}

/// The host name belongs to nobody here. The text names nobody either.
#[must_use]
pub fn misdirected() -> Refusal {
    Refusal::new(StatusCode::MISDIRECTED_REQUEST, "host_unknown", "nothing is served under this host name")
}

impl<S: Sync> FromRequestParts<S> for Site {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parts.extensions.get::<Self>().cloned().ok_or_else(misdirected)
    }
}

/// The brand of the request's host; on other hosts there is no such page.
#[derive(Clone, Debug)]
pub struct BrandHost(pub Arc<Brand>);

impl FromRequestParts<AppState> for BrandHost {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        match Site::from_request_parts(parts, state).await? {
            Site::Brand(brand) => Ok(Self(brand)),
            Site::Staff => Err(Refusal::not_found()),
        }
    }
}

/// The request came to the staff area's host; on a brand's host there is no such page.
#[derive(Clone, Copy, Debug)]
pub struct StaffHost;

impl FromRequestParts<AppState> for StaffHost {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        match Site::from_request_parts(parts, state).await? {
            Site::Staff => Ok(Self),
            Site::Brand(_) => Err(Refusal::not_found()),
        }
    }
}

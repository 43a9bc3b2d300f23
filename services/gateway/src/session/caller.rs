//! Who makes a request, as handlers get it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use ottery_kernel::BrandId;
use ottery_kit::grpc::{Actor, ActorKind, CallContext};
use ottery_kit::secret::Secret;
use ottery_proto::identity::v1 as identity;

use super::{Portal, SECRET_CHARS_MAX, Session};
use crate::brand::{Brand, Site};
use crate::problem::Refusal;
use crate::request::{RequestInfo, text};
use crate::state::AppState;

/// Header by which staff and API keys choose the brand.
pub const BRAND_HEADER: &str = "ottery-brand";

/// Whoever makes a request, in the brand it works in.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The actor services see.
    pub actor: Actor,
    /// The session or API key; none for visitors.
    pub session: Option<Arc<Session>>,
    /// The request.
    pub request: RequestInfo,
}

impl Caller {
    /// Calls on behalf of this caller.
    #[must_use]
    pub fn call(&self) -> CallContext {
        self.request.call(self.actor.clone())
    }

    /// The account, when somebody is signed in.
    #[must_use]
    pub fn account(&self) -> Option<&identity::Account> {
        self.session.as_ref().and_then(|session| session.account.as_ref())
    }

    /// As others know them: a person's name, or what an API key was called when it was made.
    #[must_use]
    pub fn name(&self) -> &str {
        self.session.as_ref().map(|session| session.name()).unwrap_or_default()
    }

    /// The session's secret, for calls that work on the session itself.
    ///
    /// # Errors
    /// 401 when nobody is signed in.
    pub fn secret(&self) -> Result<&Secret, Refusal> {
        self.session.as_ref().map(|session| &session.secret).ok_or_else(Refusal::sign_in)
    }

    /// The id of the signed-in account.
    ///
    /// # Errors
    /// 401 when nobody is signed in with an account.
    pub fn account_id(&self) -> Result<&str, Refusal> {
        self.account().map(|account| account.id.as_str()).ok_or_else(Refusal::sign_in)
    }

    /// The brand the request works in.
    ///
    /// # Errors
    /// 400 naming the header that chooses one.
    pub fn brand(&self) -> Result<BrandId, Refusal> {
        self.actor.brand.ok_or_else(|| {
            Refusal::invalid("Ottery-Brand", "brand_missing", "name the brand with the header `Ottery-Brand: brd_…`")
        })
    }

    /// Whether the caller holds the permission in the brand of the request.
    #[must_use]
    pub fn may(&self, permission: &str) -> bool {
        self.actor.has(permission)
    }
}

/// Finds out who makes a request.
pub(crate) async fn identify(
    state: &AppState,
    site: &Site,
    request: &RequestInfo,
    headers: &HeaderMap,
) -> Result<Caller, Refusal> {
    let chosen = chosen_brand(site, headers)?;
    if let Some(secret) = bearer(headers)? {
        let session = state.sessions.of_key(&secret, chosen, request).await?;
        let session = session.ok_or_else(|| {
            Refusal::new(StatusCode::UNAUTHORIZED, "api_key_unknown", "the API key is unknown, expired or revoked")
        })?;
        // A key belongs to one brand; with another brand's name it opens nothing.
        if chosen.is_some() && session.actor.brand.is_some() && session.actor.brand != chosen {
            return Err(brand_not_found());
        }
        let brand = session.actor.brand.or(chosen);
        return Ok(Caller {
            actor: Actor { brand, ..session.actor.clone() },
            session: Some(session),
            request: request.clone(),
        });
    }
    let portal = Portal::of(site);
    let session = match portal.secret(headers, request.is_secure) {
        Some(secret) => state.sessions.of_cookie(portal, &secret, chosen, request).await?,
        None => None,
    };
    let actor = match &session {
        Some(session) => {
            let is_expected = match portal {
                Portal::Shop => session.actor.kind == ActorKind::Customer && session.actor.brand == chosen,
                Portal::Staff => session.actor.kind == ActorKind::Staff,
            };
            if !is_expected {
                return Err(Refusal::sign_in());
            }
            // A brand they hold nothing in does not exist for them.
            if portal == Portal::Staff
                && let Some(brand) = chosen
                && !session.has_all_brands
                && !session.brands.contains(&brand)
                && !session.is_enrolment_only
            {
                return Err(brand_not_found());
            }
            session.actor_in(chosen)
        }
        None => Actor::anonymous(chosen),
    };
    Ok(Caller { actor, session, request: request.clone() })
}

fn brand_not_found() -> Refusal {
    Refusal { code: "brand_not_found".into(), detail: "no brand of that id".into(), ..Refusal::not_found() }
}

/// The brand of the host, or on the staff host the one the header names.
fn chosen_brand(site: &Site, headers: &HeaderMap) -> Result<Option<BrandId>, Refusal> {
    let named = match text(headers, BRAND_HEADER) {
        None => None,
        Some(id) => Some(id.trim().parse::<BrandId>().map_err(|error| {
            Refusal::invalid("Ottery-Brand", "brand_invalid", format!("the header `Ottery-Brand`: {error}"))
        })?),
    };
    match (site, named) {
        (Site::Brand(brand), Some(named)) if brand.id != named => Err(brand_not_found()),
        (Site::Brand(brand), _) => Ok(Some(brand.id)),
        (Site::Staff, named) => Ok(named),
    }
}

/// Whether a program with an API key is asking; cookies then do not count.
pub(crate) fn has_bearer(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION)
}

fn bearer(headers: &HeaderMap) -> Result<Option<Secret>, Refusal> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let secret = value.to_str().ok().and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
    match secret {
        Some(secret) if secret.starts_with("otk_") && secret.len() <= SECRET_CHARS_MAX => Ok(Some(Secret::new(secret))),
        _ => Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "authorization_invalid",
            "send an API key as `Authorization: Bearer otk_…`",
        )),
    }
}

async fn caller_of(parts: &mut Parts, state: &AppState) -> Result<Caller, Refusal> {
    if let Some(caller) = parts.extensions.get::<Caller>() {
        return Ok(caller.clone());
    }
    let site = Site::from_request_parts(parts, state).await?;
    let request = RequestInfo::from_request_parts(parts, state).await?;
    let caller = identify(state, &site, &request, &parts.headers).await?;
    crate::limits::account(state, &caller).await?;
    parts.extensions.insert(caller.clone());
    Ok(caller)
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        caller_of(parts, state).await
    }
}

async fn shop_caller(parts: &mut Parts, state: &AppState) -> Result<(Arc<Brand>, Caller), Refusal> {
    let crate::brand::BrandHost(brand) = crate::brand::BrandHost::from_request_parts(parts, state).await?;
    let caller = caller_of(parts, state).await?;
    Ok((brand, caller))
}

/// Anybody on a brand's host, signed in or not.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Of this brand.
    pub brand: Arc<Brand>,
    /// Anonymous or a customer.
    pub caller: Caller,
}

impl FromRequestParts<AppState> for Visitor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        let (brand, caller) = shop_caller(parts, state).await?;
        Ok(Self { brand, caller })
    }
}

/// A signed-in customer on their brand's host; others get 401, which pages turn into the sign-in page.
#[derive(Clone, Debug)]
pub struct Customer {
    /// Of this brand.
    pub brand: Arc<Brand>,
    /// The account.
    pub account: identity::Account,
    /// For calls on their behalf.
    pub caller: Caller,
}

impl FromRequestParts<AppState> for Customer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        let (brand, caller) = shop_caller(parts, state).await?;
        let account = caller.account().filter(|_| caller.actor.kind == ActorKind::Customer).cloned();
        Ok(Self { brand, account: account.ok_or_else(Refusal::sign_in)?, caller })
    }
}

/// Signed-in staff on the staff host. A session that may only enrol a second factor gets 403 `enrolment_required`.
#[derive(Clone, Debug)]
pub struct Staff {
    /// The account.
    pub account: identity::Account,
    /// For calls on their behalf.
    pub caller: Caller,
}

/// Signed-in staff who may still have to enrol their second factor.
#[derive(Clone, Debug)]
pub struct EnrollingStaff {
    /// The account.
    pub account: identity::Account,
    /// For calls on their behalf.
    pub caller: Caller,
}

/// The second factor is mandatory for staff.
#[must_use]
pub fn enrolment_required() -> Refusal {
    Refusal::denied("enrolment_required", "set up your second factor first")
}

impl FromRequestParts<AppState> for EnrollingStaff {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        crate::brand::StaffHost::from_request_parts(parts, state).await?;
        let caller = caller_of(parts, state).await?;
        let account = caller.account().filter(|_| caller.actor.kind == ActorKind::Staff).cloned();
        Ok(Self { account: account.ok_or_else(Refusal::sign_in)?, caller })
    }
}

impl FromRequestParts<AppState> for Staff {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        let EnrollingStaff { account, caller } = EnrollingStaff::from_request_parts(parts, state).await?;
        if caller.session.as_ref().is_some_and(|session| session.is_enrolment_only) {
            return Err(enrolment_required());
        }
        Ok(Self { account, caller })
    }
}

impl Staff {
    /// The same person working in another brand, with the rights they hold there.
    ///
    /// # Errors
    /// When identity cannot be asked, or the session ended meanwhile.
    pub async fn in_brand(&self, state: &AppState, brand: Option<BrandId>) -> Result<Caller, Refusal> {
        let request = &self.caller.request;
        let session = state.sessions.of_cookie(Portal::Staff, self.caller.secret()?, brand, request).await?;
        let session = session.ok_or_else(Refusal::sign_in)?;
        Ok(Caller { actor: Actor { brand, ..session.actor.clone() }, session: Some(session), request: request.clone() })
    }
}

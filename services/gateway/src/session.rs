//! Who is asking: cookies of the two portals, API keys, and the callers handlers get.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use chrono::{DateTime, Utc};
use moka::future::Cache;
use ottery_kernel::BrandId;
use ottery_kit::grpc::{Actor, ActorKind, CallContext};
use ottery_kit::secret::Secret;
use ottery_proto::common::v1::{ActorContext, actor_context::Kind};
use ottery_proto::identity::v1 as identity;
use sha2::{Digest as _, Sha256};

use crate::brand::{Brand, Site};
use crate::clients::Clients;
use crate::problem::Refusal;
use crate::request::{RequestInfo, text};
use crate::state::AppState;

/// Sessions remembered at a time.
const SESSIONS_MAX: u64 = 50_000;
/// Longest secret that is looked at.
const SECRET_CHARS_MAX: usize = 256;
/// Header by which staff and API keys choose the brand.
pub const BRAND_HEADER: &str = "ottery-brand";

/// Which cookie: one per portal, so that one portal's cookie means nothing to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Portal {
    /// Storefront and customers' account.
    Shop,
    /// Staff area.
    Staff,
}

impl Portal {
    /// The cookie's name. Without HTTPS browsers refuse the `__Host-` prefix.
    #[must_use]
    pub const fn cookie(self, is_secure: bool) -> &'static str {
        match (self, is_secure) {
            (Self::Shop, true) => "__Host-ottery_shop",
            (Self::Shop, false) => "ottery_shop",
            (Self::Staff, true) => "__Host-ottery_staff",
            (Self::Staff, false) => "ottery_staff",
        }
    }

    /// The kind of account that signs in here.
    #[must_use]
    pub const fn realm(self) -> identity::Realm {
        match self {
            Self::Shop => identity::Realm::Customer,
            Self::Staff => identity::Realm::Staff,
        }
    }

    /// The portal of a site.
    #[must_use]
    pub const fn of(site: &Site) -> Self {
        match site {
            Site::Brand(_) => Self::Shop,
            Site::Staff => Self::Staff,
        }
    }

    /// `Set-Cookie` that starts this session in the browser.
    ///
    /// # Errors
    /// When identity gave a secret no cookie can hold.
    pub fn sign_in(
        self,
        session: &identity::Session,
        request: &RequestInfo,
        now: DateTime<Utc>,
    ) -> Result<HeaderValue, Refusal> {
        let until = session.absolute_deadline.as_ref().map_or(0, |at| at.seconds);
        let max_age = (until - now.timestamp()).max(0);
        self.header(&session.secret, max_age, request)
    }

    /// `Set-Cookie` that removes it.
    ///
    /// # Errors
    /// Never in practice.
    pub fn sign_out(self, request: &RequestInfo) -> Result<HeaderValue, Refusal> {
        self.header("", 0, request)
    }

    fn header(self, value: &str, max_age_s: i64, request: &RequestInfo) -> Result<HeaderValue, Refusal> {
        let name = self.cookie(request.is_secure);
        let secure = if request.is_secure { "; Secure" } else { "" };
        // Lax for the shop: the customer comes back from the payment provider's page.
        let same_site = match self {
            Self::Shop => "Lax",
            Self::Staff => "Strict",
        };
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite={same_site}; Max-Age={max_age_s}{secure}");
        HeaderValue::try_from(text).map_err(|error| Refusal::internal(&error))
    }

    /// The secret in the request's cookie of this portal.
    #[must_use]
    pub fn secret(self, headers: &HeaderMap, is_secure: bool) -> Option<Secret> {
        cookie(headers, self.cookie(is_secure)).filter(|value| !value.is_empty()).map(Secret::new)
    }
}

/// A cookie of the request, by its exact name; given twice it counts as absent, because one of them is planted.
#[must_use]
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut found = None;
    for header in headers.get_all(header::COOKIE) {
        for pair in header.to_str().unwrap_or_default().split(';') {
            if let Some((key, value)) = pair.trim().split_once('=')
                && key == name
            {
                if found.is_some() || value.len() > SECRET_CHARS_MAX {
                    return None;
                }
                found = Some(value.to_owned());
            }
        }
    }
    found
}

/// A session or API key that identity vouched for a moment ago.
#[derive(Clone, Debug)]
pub struct Session {
    /// `ses_…`; empty for API keys.
    pub id: String,
    /// What the cookie or header carried.
    pub secret: Secret,
    /// Whose it is; none for API keys.
    pub account: Option<identity::Account>,
    /// May only enrol a second factor.
    pub is_enrolment_only: bool,
    /// Brands a staff account holds a grant in.
    pub brands: Vec<BrandId>,
    /// Whether it holds a grant in all of them.
    pub has_all_brands: bool,
    actor: Actor,
}

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

/// Sessions as identity sees them, remembered for a second at most.
#[derive(Clone, Debug)]
pub struct Sessions {
    known: Cache<Key, Option<Arc<Session>>>,
    clients: Clients,
}

type Key = ([u8; 32], &'static str, Option<BrandId>);

impl Sessions {
    pub(crate) fn new(clients: Clients, ttl: Duration) -> Self {
        Self { known: Cache::builder().max_capacity(SESSIONS_MAX).time_to_live(ttl).build(), clients }
    }

    /// Forgets everything; the next requests ask identity. Sessions were revoked, or their rights changed.
    pub fn forget_all(&self) {
        self.known.invalidate_all();
    }

    /// The session behind a cookie, with its rights in the brand; none when it is over.
    ///
    /// # Errors
    /// When identity cannot be asked.
    pub async fn of_cookie(
        &self,
        portal: Portal,
        secret: &Secret,
        brand: Option<BrandId>,
        request: &RequestInfo,
    ) -> Result<Option<Arc<Session>>, Refusal> {
        let kind = match portal {
            Portal::Shop => "shop",
            Portal::Staff => "staff",
        };
        let ask = async {
            let asked = identity::AuthenticateRequest {
                session_secret: secret.expose().to_owned(),
                realm: portal.realm().into(),
                client_ip: request.client_ip.to_string(),
            };
            let context = request.call(Actor::anonymous(brand)).repeatable();
            self.clients.identity(&context).authenticate(asked).await.map(tonic::Response::into_inner)
        };
        self.known(kind, secret, brand, ask).await
    }

    /// The API key in `Authorization: Bearer otk_…`.
    ///
    /// # Errors
    /// When identity cannot be asked.
    pub async fn of_key(
        &self,
        secret: &Secret,
        brand: Option<BrandId>,
        request: &RequestInfo,
    ) -> Result<Option<Arc<Session>>, Refusal> {
        let ask = async {
            let asked = identity::AuthenticateApiKeyRequest {
                secret: secret.expose().to_owned(),
                client_ip: request.client_ip.to_string(),
            };
            let context = request.call(Actor::anonymous(brand)).repeatable();
            self.clients.identity(&context).authenticate_api_key(asked).await.map(tonic::Response::into_inner)
        };
        self.known("key", secret, brand, ask).await
    }

    async fn known(
        &self,
        kind: &'static str,
        secret: &Secret,
        brand: Option<BrandId>,
        ask: impl Future<Output = Result<identity::AuthenticateReply, tonic::Status>>,
    ) -> Result<Option<Arc<Session>>, Refusal> {
        let key = (Sha256::digest(secret.expose()).into(), kind, brand);
        let load = async {
            match ask.await {
                Ok(reply) => Session::of(reply, secret.clone()).map(|session| Some(Arc::new(session))),
                Err(status) if is_over(status.code()) => Ok(None),
                Err(status) => Err(Refusal::from(status)),
            }
        };
        self.known.try_get_with(key, load).await.map_err(|refusal: Arc<Refusal>| (*refusal).clone())
    }
}

/// Identity does not know the secret (any more), or not in this brand.
fn is_over(code: tonic::Code) -> bool {
    use tonic::Code;
    matches!(code, Code::Unauthenticated | Code::NotFound | Code::PermissionDenied | Code::InvalidArgument)
}

impl Session {
    /// The actor of this session in that brand. The rights are those identity vouched for, so ask for them in the same brand.
    #[must_use]
    pub fn actor_in(&self, brand: Option<BrandId>) -> Actor {
        Actor { brand, ..self.actor.clone() }
    }

    fn of(reply: identity::AuthenticateReply, secret: Secret) -> Result<Self, Refusal> {
        let actor = reply
            .actor
            .and_then(actor)
            .ok_or_else(|| Refusal::internal(&std::io::Error::other("identity vouched for nobody")))?;
        Ok(Self {
            id: reply.session_id,
            secret,
            account: reply.account,
            is_enrolment_only: reply.enrolment_only,
            brands: reply.brand_ids.iter().filter_map(|id| id.parse().ok()).collect(),
            has_all_brands: reply.all_brands,
            actor,
        })
    }
}

#[cfg(test)]
impl Session {
    /// A session for tests of what a caller may do.
    pub(crate) fn for_test(actor: Actor, is_enrolment_only: bool) -> Self {
        let account = (actor.kind != ActorKind::ApiKey)
            .then(|| identity::Account { id: actor.subject.clone(), ..identity::Account::default() });
        Self {
            id: "ses_1".into(),
            secret: Secret::new("secret"),
            account,
            is_enrolment_only,
            brands: Vec::new(),
            has_all_brands: true,
            actor,
        }
    }
}

fn actor(context: ActorContext) -> Option<Actor> {
    let kind = match Kind::try_from(context.kind).ok()? {
        Kind::Customer => ActorKind::Customer,
        Kind::Staff => ActorKind::Staff,
        Kind::ApiKey => ActorKind::ApiKey,
        // Nobody signs in as a service or as nobody.
        Kind::Unspecified | Kind::Anonymous | Kind::Service => return None,
    };
    let brand = match context.brand_id.as_str() {
        "" => None,
        id => Some(id.parse().ok()?),
    };
    Some(Actor {
        authenticated_at: context
            .authenticated_at
            .and_then(|at| DateTime::from_timestamp(at.seconds, at.nanos.cast_unsigned())),
        ..Actor::new(kind, context.subject, brand).with_permissions(context.permissions)
    })
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

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use chrono::TimeDelta;

    use super::*;

    fn request(is_secure: bool) -> RequestInfo {
        let mut config = crate::testing::config().http;
        config.behind_tls = is_secure;
        let (parts, ()) = Request::new(()).into_parts();
        RequestInfo::read(&parts, &config)
    }

    fn set_cookie(portal: Portal, is_secure: bool) -> String {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let until = prost_types::Timestamp { seconds: now.timestamp() + 3_600, nanos: 0 };
        let session =
            identity::Session { secret: "s3cret".into(), absolute_deadline: Some(until), ..Default::default() };
        portal.sign_in(&session, &request(is_secure), now).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn secure_s01_cookies_of_the_portals() {
        let rest = "Path=/; HttpOnly; SameSite";
        assert_eq!(
            set_cookie(Portal::Shop, true),
            format!("__Host-ottery_shop=s3cret; {rest}=Lax; Max-Age=3600; Secure")
        );
        assert_eq!(
            set_cookie(Portal::Staff, true),
            format!("__Host-ottery_staff=s3cret; {rest}=Strict; Max-Age=3600; Secure")
        );
        // A demo without HTTPS cannot have the prefix.
        assert_eq!(set_cookie(Portal::Shop, false), format!("ottery_shop=s3cret; {rest}=Lax; Max-Age=3600"));
    }

    #[test]
    fn secure_s01_one_portals_cookie_is_nothing_to_the_other() {
        let headers = |text: &'static str| HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(text))]);
        let staff = headers("a=b; __Host-ottery_staff=s3cret");
        assert!(Portal::Staff.secret(&staff, true).is_some());
        assert!(Portal::Shop.secret(&staff, true).is_none());
        // The unprefixed name could be planted by a sibling host.
        assert!(Portal::Staff.secret(&headers("ottery_staff=s3cret"), true).is_none());
        // Two of a name: one of them was planted.
        assert!(Portal::Shop.secret(&headers("__Host-ottery_shop=a; __Host-ottery_shop=b"), true).is_none());
    }
}

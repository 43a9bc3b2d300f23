//! Sessions and API keys as identity sees them, remembered for a second at most.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use moka::future::Cache;
use ottery_kernel::BrandId;
use ottery_kit::grpc::{Actor, ActorKind};
use ottery_kit::secret::Secret;
use ottery_proto::common::v1::{ActorContext, actor_context::Kind};
use ottery_proto::identity::v1 as identity;
use sha2::{Digest as _, Sha256};

use super::Portal;
use crate::clients::Clients;
use crate::problem::Refusal;
use crate::request::RequestInfo;

/// Sessions remembered at a time.
const SESSIONS_MAX: u64 = 50_000;

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
    pub(super) actor: Actor,
    key_name: String,
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

    /// As others know whoever this is: the person's name, or the API key's.
    #[must_use]
    pub fn name(&self) -> &str {
        self.account.as_ref().map_or(&self.key_name, |account| &account.display_name)
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
            key_name: reply.api_key_name,
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
            key_name: String::new(),
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

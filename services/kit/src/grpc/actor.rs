//! Who calls, and what they may.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::BrandId;
use ottery_proto::common::v1::{ActorContext, actor_context::Kind};

use super::Problem;

/// How long a proof of identity (password, second factor) counts as recent.
pub const RECENT_AUTH: TimeDelta = TimeDelta::minutes(10);

/// What kind of caller it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActorKind {
    /// A visitor who is not signed in.
    Anonymous,
    /// A customer (or reseller, or affiliate) of one brand.
    Customer,
    /// A person of the operator's.
    Staff,
    /// One of our services, acting by itself or for a call it received.
    Service,
    /// A program with an API key.
    ApiKey,
}

impl ActorKind {
    /// As written in audit rows and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Customer => "customer",
            Self::Staff => "staff",
            Self::Service => "service",
            Self::ApiKey => "api_key",
        }
    }

    pub(super) const fn to_proto(self) -> Kind {
        match self {
            Self::Anonymous => Kind::Anonymous,
            Self::Customer => Kind::Customer,
            Self::Staff => Kind::Staff,
            Self::Service => Kind::Service,
            Self::ApiKey => Kind::ApiKey,
        }
    }

    const fn from_proto(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Unspecified => None,
            Kind::Anonymous => Some(Self::Anonymous),
            Kind::Customer => Some(Self::Customer),
            Kind::Staff => Some(Self::Staff),
            Kind::Service => Some(Self::Service),
            Kind::ApiKey => Some(Self::ApiKey),
        }
    }
}

impl std::fmt::Display for ActorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A verified caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// What kind of caller.
    pub kind: ActorKind,
    /// Account id, API key id or service name; empty when anonymous.
    pub subject: String,
    /// The brand the call works in; none for platform calls.
    pub brand: Option<BrandId>,
    /// Effective permissions in that brand, `resource.action`; `*` is everything.
    pub permissions: BTreeSet<String>,
    /// Groups everything one visible request caused.
    pub request_id: String,
    /// The service that signed.
    pub issuer: String,
    /// When the person last proved who they are.
    pub authenticated_at: Option<DateTime<Utc>>,
    /// The client's address as the gateway saw it.
    pub client_ip: Option<String>,
}

impl Actor {
    /// A caller of this kind without permissions; fill in the rest with struct update syntax.
    pub fn new(kind: ActorKind, subject: impl Into<String>, brand: Option<BrandId>) -> Self {
        Self {
            kind,
            subject: subject.into(),
            brand,
            permissions: BTreeSet::new(),
            request_id: String::new(),
            issuer: String::new(),
            authenticated_at: None,
            client_ip: None,
        }
    }

    /// A visitor of that brand's storefront.
    #[must_use]
    pub fn anonymous(brand: Option<BrandId>) -> Self {
        Self::new(ActorKind::Anonymous, "", brand)
    }

    /// A service acting by itself.
    pub fn service(name: impl Into<String>, brand: Option<BrandId>) -> Self {
        Self::new(ActorKind::Service, name, brand)
    }

    /// The same caller with these permissions.
    #[must_use]
    pub fn with_permissions<P: Into<String>>(mut self, permissions: impl IntoIterator<Item = P>) -> Self {
        self.permissions = permissions.into_iter().map(Into::into).collect();
        self
    }

    /// Whether the caller is one of our services; services hold every permission in the brand of the call.
    #[must_use]
    pub fn is_service(&self) -> bool {
        self.kind == ActorKind::Service
    }

    /// Whether the caller holds the permission in the brand of the call.
    #[must_use]
    pub fn has(&self, permission: &str) -> bool {
        self.is_service() || self.permissions.contains(permission) || self.permissions.contains("*")
    }

    /// Insists on a permission.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`, reason `PERMISSION_MISSING`, naming the permission.
    pub fn require(&self, permission: &str) -> Result<(), Problem> {
        if self.has(permission) {
            return Ok(());
        }
        Err(Problem::denied("PERMISSION_MISSING", format!("this needs the permission `{permission}`"))
            .with("permission", permission))
    }

    /// Insists that a person proved who they are within the last ten minutes. Services are exempt; an API key never passes.
    /// This guards who may do what; everything else that is sensitive asks for [`Self::require_step_up`].
    ///
    /// # Errors
    /// `PERMISSION_DENIED`, reason `REAUTH_REQUIRED`.
    pub fn require_recent_auth(&self, now: DateTime<Utc>) -> Result<(), Problem> {
        let is_recent = self.authenticated_at.is_some_and(|at| now - at <= RECENT_AUTH);
        if self.is_service() || is_recent {
            return Ok(());
        }
        Err(Problem::denied("REAUTH_REQUIRED", "confirm your password or second factor first"))
    }

    /// Insists that whoever does something sensitive is not just a session that somebody left open: people must have proved
    /// who they are within the last ten minutes. An API key has nobody to ask; somebody proved who they are to make it, for
    /// named permissions and a limited time, and that permission is its proof.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`, reason `REAUTH_REQUIRED`.
    pub fn require_step_up(&self, now: DateTime<Utc>) -> Result<(), Problem> {
        match self.kind {
            ActorKind::ApiKey => Ok(()),
            ActorKind::Anonymous | ActorKind::Customer | ActorKind::Staff | ActorKind::Service => {
                self.require_recent_auth(now)
            }
        }
    }

    /// Insists that the caller is one of our services.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`, reason `SERVICE_ONLY`.
    pub fn require_service(&self) -> Result<(), Problem> {
        if self.is_service() {
            return Ok(());
        }
        Err(Problem::denied("SERVICE_ONLY", "only services may call this"))
    }

    /// The brand of the call.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`, reason `BRAND_MISSING`, for platform calls.
    pub fn brand_or_problem(&self) -> Result<BrandId, Problem> {
        self.brand.ok_or_else(|| Problem::invalid("brand_id", "BRAND_MISSING", "this call works in one brand; name it"))
    }

    pub(super) fn from_proto(context: ActorContext) -> Option<Self> {
        let kind = ActorKind::from_proto(Kind::try_from(context.kind).ok()?)?;
        let brand = match context.brand_id.as_str() {
            "" => None,
            text => Some(text.parse().ok()?),
        };
        let authenticated_at = match context.authenticated_at {
            None => None,
            Some(at) => Some(super::identity::instant(&at)?),
        };
        Some(Self {
            kind,
            subject: context.subject,
            brand,
            permissions: context.permissions.into_iter().collect(),
            request_id: context.request_id,
            issuer: context.issuer,
            authenticated_at,
            client_ip: Some(context.client_ip).filter(|ip| !ip.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_is_denied_unless_granted() {
        let staff = Actor::new(ActorKind::Staff, "acc_1", None).with_permissions(["panel.read"]);
        assert!(staff.require("panel.read").is_ok());
        let denied = staff.require("panel.update").unwrap_err();
        assert_eq!((denied.code, denied.reason.as_ref()), (tonic::Code::PermissionDenied, "PERMISSION_MISSING"));
        assert!(staff.clone().with_permissions(["*"]).require("panel.update").is_ok());
        assert!(Actor::service("billing", None).require("panel.update").is_ok());
    }

    #[test]
    fn a_proof_older_than_ten_minutes_must_be_repeated() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        let at = |minutes| Actor {
            authenticated_at: Some(now - TimeDelta::minutes(minutes)),
            ..Actor::new(ActorKind::Staff, "acc_1", None)
        };
        assert!(at(10).require_recent_auth(now).is_ok());
        assert_eq!(at(11).require_recent_auth(now).unwrap_err().reason, "REAUTH_REQUIRED");
        assert!(Actor::new(ActorKind::Staff, "acc_1", None).require_recent_auth(now).is_err());
    }

    #[test]
    fn secure_s03_a_key_was_made_with_a_proof_and_cannot_give_another() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        let of = |kind| Actor::new(kind, "somebody", None);
        assert!(of(ActorKind::ApiKey).require_step_up(now).is_ok());
        assert!(of(ActorKind::ApiKey).require_recent_auth(now).is_err());
        for kind in [ActorKind::Staff, ActorKind::Customer, ActorKind::Anonymous] {
            assert_eq!(of(kind).require_step_up(now).unwrap_err().reason, "REAUTH_REQUIRED", "{kind:?}");
        }
    }

    #[test]
    fn a_platform_call_has_no_brand() {
        assert_eq!(Actor::anonymous(None).brand_or_problem().unwrap_err().reason, "BRAND_MISSING");
    }
}

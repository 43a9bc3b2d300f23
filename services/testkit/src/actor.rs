//! Callers for tests: who acts, in which brand, with which permissions.

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use ottery_kit::grpc::{Actor, ActorKind};

use crate::host::noon;

/// A person of the operator's with these permissions in the brand.
pub fn staff<'a>(brand: BrandId, permissions: impl IntoIterator<Item = &'a str>) -> Actor {
    Actor::new(ActorKind::Staff, ottery_kernel::AccountId::new(noon()).to_string(), Some(brand))
        .with_permissions(permissions)
}

/// A person of the operator's who may do everything, with or without a brand.
pub fn owner(brand: impl Into<Option<BrandId>>) -> Actor {
    Actor::new(ActorKind::Staff, ottery_kernel::AccountId::new(noon()).to_string(), brand.into())
        .with_permissions(["*"])
}

/// A customer of the brand.
pub fn customer(brand: BrandId, account: impl ToString) -> Actor {
    Actor::new(ActorKind::Customer, account.to_string(), Some(brand))
}

/// A visitor of the brand's storefront.
pub fn visitor(brand: BrandId) -> Actor {
    Actor::anonymous(Some(brand))
}

/// A program with an API key and these permissions.
pub fn api_key<'a>(brand: BrandId, key: impl ToString, permissions: impl IntoIterator<Item = &'a str>) -> Actor {
    Actor::new(ActorKind::ApiKey, key.to_string(), Some(brand)).with_permissions(permissions)
}

/// The same person, who proved who they are at this instant.
pub fn proved_at(actor: Actor, at: DateTime<Utc>) -> Actor {
    Actor { authenticated_at: Some(at), ..actor }
}

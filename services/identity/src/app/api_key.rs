//! API keys.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, ApiKeyId};
use ottery_kit::grpc::{Actor, ActorKind, Problem};
use ottery_kit::secret::Secret;
use serde_json::json;
use subtle::ConstantTimeEq as _;

use super::{App, AppError, Change};
use crate::domain::role::{Held, PERMISSIONS, allows, effective};
use crate::domain::session::TOUCH_INTERVAL;
use crate::domain::{Invalid, Realm, token};
use crate::store::api_key as store;
use crate::store::grant;

const NAME_CHARS_MAX: usize = 100;
/// When nothing else is said.
const LIFETIME: TimeDelta = TimeDelta::days(90);
const LIFETIME_MAX: TimeDelta = TimeDelta::days(730);
/// Keys shown in a list.
const LIST_MAX: i64 = 100;

/// An API key fresh from the mint.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// `otk_<id>_<random>`; nobody sees it again.
    pub secret: Secret,
    /// What is stored.
    pub key: store::Stored,
}

impl App {
    /// Makes a key for the call's brand (or the platform) that may do part of what its maker may.
    pub async fn create_api_key(
        &self,
        actor: &Actor,
        name: &str,
        permissions: Vec<String>,
        expires_at: Option<DateTime<Utc>>,
    ) -> Result<NewApiKey, AppError> {
        actor.require("apikey.manage")?;
        let now = self.now();
        let creator: AccountId = match actor.kind {
            ActorKind::Staff => actor.subject.parse().map_err(|_| AppError::missing("account"))?,
            _ => return Err(Problem::denied("STAFF_ONLY", "API keys are made by members of staff").into()),
        };
        actor.require_recent_auth(now)?;
        let name = name.trim();
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
            return Err(Invalid::new("name", "NAME_MALFORMED", "say in 1 to 100 characters what the key is for").into());
        }
        let permissions = checked(actor, permissions)?;
        let expires_at = expires_at.unwrap_or(now + LIFETIME);
        if expires_at <= now || expires_at > now + LIFETIME_MAX {
            let text = format!("choose an end within the next {} days", LIFETIME_MAX.num_days());
            return Err(Invalid::new("expires_at", "RANGE", text).into());
        }
        let id = ApiKeyId::new(now);
        let (secret, secret_hash) = token::mint_api_key(id);
        let key = store::Stored {
            id,
            brand: actor.brand,
            creator,
            name: name.to_owned(),
            permissions,
            created_at: now,
            expires_at,
            last_used_at: None,
            revoked: false,
            secret_hash,
        };
        let realm = Realm::of(actor.brand);
        let mut tx = self.begin(realm).await?;
        store::insert(&mut tx, &key).await?;
        let after = json!({ "name": key.name, "permissions": key.permissions, "expires_at": key.expires_at });
        self.record(&mut tx, realm, actor, "apikey.create", id, Change::To(after)).await?;
        tx.commit().await?;
        Ok(NewApiKey { secret, key })
    }

    /// The newest keys of the call's brand, or of the platform.
    pub async fn list_api_keys(&self, actor: &Actor) -> Result<Vec<store::Stored>, AppError> {
        actor.require("apikey.manage")?;
        let mut tx = self.begin(Realm::of(actor.brand)).await?;
        Ok(store::list(&mut tx, LIST_MAX).await?)
    }

    /// Ends a key of the call's brand, or of the platform.
    pub async fn revoke_api_key(&self, actor: &Actor, id: ApiKeyId) -> Result<(), AppError> {
        actor.require("apikey.manage")?;
        let realm = Realm::of(actor.brand);
        let mut tx = self.begin(realm).await?;
        store::get(&mut tx, id).await?.ok_or(AppError::missing("API key"))?;
        if store::revoke(&mut tx, id, self.now()).await? {
            self.record(&mut tx, realm, actor, "apikey.revoke", id, Change::Nothing).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Who is behind an API key. A brand's key works in that brand, whether or not the call names it; a platform's key works
    /// everywhere. It never holds more than its maker holds now.
    pub async fn authenticate_api_key(
        &self,
        actor: &Actor,
        secret: &Secret,
    ) -> Result<(store::Stored, Actor), AppError> {
        let id = token::api_key_id(secret.expose()).ok_or(AppError::KeyDead)?;
        let now = self.now();
        let mut tx = self.begin(Realm::Staff).await?;
        let home = store::home(&mut tx, id).await?.ok_or(AppError::KeyDead)?;
        drop(tx);
        if home.is_some() && actor.brand.is_some() && home != actor.brand {
            return Err(AppError::KeyDead);
        }
        let mut tx = self.begin(Realm::of(home)).await?;
        let key = store::get(&mut tx, id).await?.ok_or(AppError::KeyDead)?;
        let is_right: bool = key.secret_hash.ct_eq(&token::hash(secret.expose())).into();
        if !is_right || key.revoked || key.expires_at <= now {
            return Err(AppError::KeyDead);
        }
        if key.last_used_at.is_none_or(|at| now - at >= TOUCH_INTERVAL) {
            store::touch(&mut tx, id, now).await?;
        }
        tx.commit().await?;

        let brand = home.or(actor.brand);
        let mut tx = self.begin(Realm::Staff).await?;
        let held: Vec<Held> = grant::list(&mut tx, key.creator).await?.into_iter().map(|grant| grant.held).collect();
        let makers = effective(&held, brand);
        let permissions: BTreeSet<String> =
            key.permissions.iter().filter(|wanted| allows(&makers, wanted)).cloned().collect();
        let caller = Actor { permissions, ..Actor::new(ActorKind::ApiKey, id.to_string(), brand) };
        Ok((key, caller))
    }
}

fn checked(actor: &Actor, wanted: Vec<String>) -> Result<BTreeSet<String>, AppError> {
    if wanted.is_empty() {
        return Err(Invalid::new("permissions", "MISSING", "name at least one permission, such as order.read").into());
    }
    for permission in &wanted {
        if !PERMISSIONS.contains(&permission.as_str()) {
            let text = format!("there is no permission `{}`", permission.chars().take(50).collect::<String>());
            return Err(Invalid::new("permissions", "PERMISSION_UNKNOWN", text).into());
        }
        if !actor.has(permission) {
            return Err(AppError::NotYours { permission: permission.clone() });
        }
    }
    Ok(wanted.into_iter().collect())
}

//! A brand's accounts at providers: what operators enter, and what calls need of it.

use std::sync::Arc;

use ottery_kernel::{BrandId, PaymentMethodId};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use ottery_kit::keyring::{Place, SealError};
use ottery_kit::secret::Secret;
use serde_json::json;
use sqlx::postgres::PgTransaction;

use crate::app::Billing;
use crate::domain::payment::SavedToken;
use crate::domain::provider::ProviderAccountId;
use crate::provider::{Access, PaymentProvider};
use crate::store;
use crate::store::payment_method::Stored;
use crate::store::provider_account::ProviderAccount;

/// Characters of a key that are shown.
const HINT_CHARS: usize = 4;
/// Live webhook secrets.
const SECRETS_MAX: usize = 2;
/// Longest key or secret.
const SECRET_BYTES_MAX: usize = 1024;
/// Purpose of the keyed hash that finds a saved card again.
const TOKEN_PURPOSE: &str = "billing.payment_method.token";

/// What an operator enters.
#[derive(Clone, Debug)]
pub struct PutAccount {
    /// None to create.
    pub id: Option<ProviderAccountId>,
    /// The provider's name.
    pub provider: String,
    /// Where its API is.
    pub base_url: String,
    /// The key; empty keeps the stored one.
    pub api_key: Secret,
    /// Webhook secrets, the newest last; empty keeps the stored ones.
    pub webhook_secrets: Vec<Secret>,
    /// The version that was read; 0 to create.
    pub expected_version: u64,
    /// Nothing of it stays.
    pub is_dry_run: bool,
}

/// An account, opened for a call.
#[derive(Clone, Debug)]
pub(crate) struct Reached {
    pub id: ProviderAccountId,
    pub provider: Arc<dyn PaymentProvider>,
    pub access: Access,
}

fn place(brand: BrandId, id: ProviderAccountId, column: &'static str) -> Place<'static> {
    Place { table: "billing.provider_account", column, row: id.as_uuid(), brand: Some(brand) }
}

fn token_place(brand: BrandId, id: PaymentMethodId) -> Place<'static> {
    Place { table: "billing.payment_method", column: "token_sealed", row: id.as_uuid(), brand: Some(brand) }
}

fn sealed(error: SealError) -> Problem {
    Problem::internal(&error)
}

impl Billing {
    /// Creates or changes an account; saying the same again changes nothing. Secrets that are left out stay as they are.
    ///
    /// # Errors
    /// When the provider is unknown, the address is not allowed, a secret is missing, or somebody else changed it meanwhile.
    pub async fn put_provider_account(
        &self,
        actor: &Actor,
        brand: BrandId,
        put: PutAccount,
    ) -> Result<ProviderAccount, Problem> {
        if self.providers.get(&put.provider).is_none() {
            let known = self.providers.names().join(", ");
            let message = format!(
                "provider: `{}` is unknown; choose one of: {known}",
                put.provider.chars().take(40).collect::<String>()
            );
            return Err(Problem::invalid("provider", "PROVIDER_UNKNOWN", message));
        }
        check_secrets(&put)?;
        let url = self
            .providers
            .guard()
            .check_resolved(put.base_url.trim())
            .await
            .map_err(|error| Problem::invalid("base_url", "URL_REFUSED", format!("base_url: {error}")))?;
        let (mut tx, now) = self.begin(brand).await?;
        let before = match put.id {
            None => None,
            Some(id) => {
                let stored = store::provider_account::lock(&mut tx, id).await?;
                Some(stored.filter(|stored| stored.provider == put.provider).ok_or_else(|| {
                    Problem::not_found(
                        "PROVIDER_ACCOUNT_NOT_FOUND",
                        format!("there is no {} account {id}", put.provider),
                    )
                    .on_field("id")
                })?)
            }
        };
        let version = before.as_ref().map_or(0, |stored| stored.version);
        if i64::try_from(put.expected_version).ok() != Some(version) {
            let message = "the account was changed meanwhile; read it again and repeat";
            return Err(Problem::conflict("VERSION_CONFLICT", message).with("version", version));
        }
        let base_url = url.as_str().trim_end_matches('/').to_owned();
        if let Some(stored) = &before
            && stored.base_url == base_url
            && self.holds_these_secrets(brand, stored, &put)?
        {
            return Ok(stored.clone());
        }
        let id = put.id.unwrap_or_else(ProviderAccountId::fresh);
        let missing =
            |field: &'static str| Problem::invalid(field, "MISSING", format!("{field}: a new account needs it"));
        let keyring = &self.host.keyring;
        let (api_key_sealed, api_key_hint) = match (&before, put.api_key.is_empty()) {
            (Some(stored), true) => (stored.api_key_sealed.clone(), stored.api_key_hint.clone()),
            (None, true) => return Err(missing("api_key")),
            (_, false) => {
                let text = put.api_key.expose();
                (self.seal_api_key(brand, id, text), hint(text))
            }
        };
        let secrets_sealed = match (&before, put.webhook_secrets.is_empty()) {
            (Some(stored), true) => stored.secrets_sealed.clone(),
            (None, true) => return Err(missing("webhook_secrets")),
            (_, false) => {
                let at = place(brand, id, "secrets_sealed");
                put.webhook_secrets.iter().map(|secret| keyring.seal(&at, secret.expose().as_bytes())).collect()
            }
        };
        let account = ProviderAccount {
            id,
            provider: put.provider,
            base_url,
            api_key_sealed,
            api_key_hint,
            secrets_sealed,
            updated_at: now,
            version: version + 1,
        };
        store::provider_account::put(&mut tx, brand, &account).await?;
        audit::append(&mut tx, actor, "provider_account.put", id, before.as_ref().map(shown), Some(shown(&account)))
            .await?;
        if put.is_dry_run {
            tx.rollback().await?
        } else {
            tx.commit().await?
        }
        Ok(account)
    }

    /// Whether the secrets that were entered are the stored ones. Whoever enters secrets may learn that much.
    fn holds_these_secrets(&self, brand: BrandId, stored: &ProviderAccount, put: &PutAccount) -> Result<bool, Problem> {
        let at = place(brand, stored.id, "api_key_sealed");
        let api_key = self.host.keyring.open_text(&at, &stored.api_key_sealed).map_err(sealed)?;
        let webhook_secrets = self.webhook_secrets(brand, stored)?;
        Ok((put.api_key.is_empty() || put.api_key == api_key)
            && (put.webhook_secrets.is_empty() || put.webhook_secrets == webhook_secrets))
    }

    /// The brand's accounts.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn provider_accounts(&self, brand: BrandId) -> Result<Vec<ProviderAccount>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        Ok(store::provider_account::list(&mut tx, brand).await?)
    }

    /// Opens an account for a call: that one, or the newest for a new attempt.
    pub(crate) async fn reach(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        id: Option<ProviderAccountId>,
    ) -> Result<Option<Reached>, Problem> {
        let account = match id {
            Some(id) => store::provider_account::get(tx, id).await?,
            None => store::provider_account::list(tx, brand).await?.pop(),
        };
        let Some(account) = account else { return Ok(None) };
        let Some(provider) = self.providers.get(&account.provider) else { return Ok(None) };
        let at = place(brand, account.id, "api_key_sealed");
        let api_key = self.host.keyring.open_text(&at, &account.api_key_sealed).map_err(sealed)?;
        Ok(Some(Reached { id: account.id, provider, access: Access { base_url: account.base_url, api_key } }))
    }

    /// The live webhook secrets of an account.
    pub(crate) fn webhook_secrets(&self, brand: BrandId, account: &ProviderAccount) -> Result<Vec<Secret>, Problem> {
        let at = place(brand, account.id, "secrets_sealed");
        let open = |bytes: &Vec<u8>| self.host.keyring.open_text(&at, bytes).map_err(sealed);
        account.secrets_sealed.iter().map(open).collect()
    }

    /// Opens the token of a saved method.
    pub(crate) fn open_token(
        &self,
        brand: BrandId,
        id: PaymentMethodId,
        stored: &Stored,
    ) -> Result<SavedToken, Problem> {
        let token = self.host.keyring.open_text(&token_place(brand, id), &stored.token_sealed).map_err(sealed)?;
        Ok(SavedToken(token.expose().to_owned()))
    }

    /// Seals the key of an account for its row.
    pub(crate) fn seal_api_key(&self, brand: BrandId, id: ProviderAccountId, key: &str) -> Vec<u8> {
        self.host.keyring.seal(&place(brand, id, "api_key_sealed"), key.as_bytes())
    }

    /// Seals a token for its row, and its keyed hash.
    pub(crate) fn seal_token(&self, brand: BrandId, id: PaymentMethodId, token: &SavedToken) -> (Vec<u8>, [u8; 32]) {
        let bytes = token.0.as_bytes();
        let keyring = &self.host.keyring;
        (keyring.seal(&token_place(brand, id), bytes), keyring.keyed_hash(TOKEN_PURPOSE, bytes))
    }
}

fn check_secrets(put: &PutAccount) -> Result<(), Problem> {
    if put.webhook_secrets.len() > SECRETS_MAX {
        let message = format!("webhook_secrets: at most {SECRETS_MAX} are live at a time");
        return Err(Problem::invalid("webhook_secrets", "TOO_MANY_SECRETS", message));
    }
    let is_fine = |secret: &Secret| !secret.is_empty() && secret.expose().len() <= SECRET_BYTES_MAX;
    if !put.webhook_secrets.iter().all(is_fine) || put.api_key.expose().len() > SECRET_BYTES_MAX {
        let message = format!("keys and secrets have 1 to {SECRET_BYTES_MAX} bytes");
        return Err(Problem::invalid("webhook_secrets", "SECRET_INVALID", message));
    }
    Ok(())
}

/// The last characters; nothing of a key so short that they would be most of it.
fn hint(key: &str) -> String {
    let chars: Vec<char> = key.chars().collect();
    if chars.len() < HINT_CHARS * 3 { String::new() } else { chars[chars.len() - HINT_CHARS..].iter().collect() }
}

/// As audited: no secret, no hint of one.
fn shown(account: &ProviderAccount) -> serde_json::Value {
    json!({"provider": account.provider, "base_url": account.base_url, "webhook_secrets": account.secrets_sealed.len()})
}

//! A brand's accounts at providers, as operators enter them.

use chrono::TimeDelta;
use ottery_kernel::BrandId;
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use ottery_kit::secret::Secret;
use serde_json::json;
use url::Url;

use super::reach::{place, sealed};
use crate::app::Billing;
use crate::domain::amount_limit;
use crate::domain::provider::{ProviderAccountId, Terms};
use crate::provider::{ByHand, PaymentProvider};
use crate::store;
use crate::store::provider_account::ProviderAccount;

/// Characters of a key that are shown.
const HINT_CHARS: usize = 4;
/// Live webhook secrets.
const SECRETS_MAX: usize = 2;
/// Longest key or secret.
const SECRET_BYTES_MAX: usize = 1024;
/// Longest name.
const NAME_CHARS_MAX: usize = 60;
/// Countries, or currencies, of one account.
const LIST_MAX: usize = 250;
/// How long a webhook secret may stay good beside a new one.
const OVERLAP_HOURS_MAX: u32 = 7 * 24;

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
    /// What it is used for; none keeps what is stored.
    pub terms: Option<Terms>,
    /// The version that was read; 0 to create.
    pub expected_version: u64,
    /// Nothing of it stays.
    pub is_dry_run: bool,
}

/// A new webhook secret for an account, and how long the one before it stays good.
#[derive(Clone, Debug)]
pub struct Rotate {
    /// Which account.
    pub id: ProviderAccountId,
    /// What the provider signs with from now on.
    pub webhook_secret: Secret,
    /// How long the secret before it stays good, in hours; 0 for not at all.
    pub overlap_hours: u32,
    /// The version that was read.
    pub expected_version: u64,
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
        let Some(provider) = self.providers.get(&put.provider) else {
            let known = self.providers.names().join(", ");
            let message = format!(
                "provider: `{}` is unknown; choose one of: {known}",
                put.provider.chars().take(40).collect::<String>()
            );
            return Err(Problem::invalid("provider", "PROVIDER_UNKNOWN", message));
        };
        check_secrets(&put)?;
        if let Some(refusal) = provider.key_refusal(&put.api_key).filter(|_| !put.api_key.is_empty()) {
            return Err(Problem::invalid("api_key", "KEY_KIND", format!("api_key: {refusal}")));
        }
        let terms = put.terms.as_ref().map(|terms| checked(terms, &*provider)).transpose()?;
        let is_by_hand = provider.by_hand().is_some();
        let typed = Some(put.base_url.trim()).filter(|typed| !typed.is_empty()).unwrap_or(provider.base_url());
        if is_by_hand {
            nothing_of_programs(&put)?;
        }
        if Url::parse(typed).is_ok_and(|typed| !provider.is_safe_address(&typed)) {
            let message = format!("base_url: {} is asked over https:// alone", provider.name());
            return Err(Problem::invalid("base_url", "URL_REFUSED", message));
        }
        let base_url = if is_by_hand {
            String::new()
        } else {
            let refused = |error| Problem::invalid("base_url", "URL_REFUSED", format!("base_url: {error}"));
            let url = self.providers.guard().check_resolved(typed).await.map_err(refused)?;
            url.as_str().trim_end_matches('/').to_owned()
        };
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
        let terms = terms.or_else(|| before.as_ref().map(|stored| stored.terms.clone())).unwrap_or_default();
        let told = terms.by_hand.clone().or_else(|| before.as_ref().and_then(|stored| stored.terms.by_hand.clone()));
        let terms = Terms { by_hand: told, ..terms };
        if is_by_hand && terms.by_hand.is_none() {
            let message = "beneficiary: a new account for bank transfers or cash needs what payers are told";
            return Err(Problem::invalid("beneficiary", "MISSING", message));
        }
        if let Some(stored) = &before
            && stored.base_url == base_url
            && stored.terms == terms
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
            // There is none; what is shown in its place tells accounts apart.
            (None, true) if is_by_hand => (self.seal_api_key(brand, id, ""), String::new()),
            (None, true) => return Err(missing("api_key")),
            (_, false) => {
                let text = put.api_key.expose();
                (self.seal_api_key(brand, id, text), hint(text))
            }
        };
        let api_key = match &before {
            Some(stored) if put.api_key.is_empty() => self.stored_key(brand, stored)?,
            Some(_) | None => put.api_key.clone(),
        };
        let is_test = !moves_real_money(&*provider, &api_key, &base_url)?;
        if before.as_ref().is_some_and(|stored| stored.is_test != is_test) {
            let field = if put.api_key.is_empty() { "base_url" } else { "api_key" };
            let message = format!(
                "{field}: this is of the other mode, in which the customers and cards of this account do not exist; add another \
                 account for it"
            );
            return Err(Problem::invalid(field, "KEY_MODE", message));
        }
        let secrets_sealed = match (&before, put.webhook_secrets.is_empty()) {
            (Some(stored), true) => stored.secrets_sealed.clone(),
            (None, true) if provider.capabilities().makes_secret => Vec::new(),
            (None, true) => return Err(missing("webhook_secrets")),
            (_, false) => {
                let at = place(brand, id, "secrets_sealed");
                put.webhook_secrets.iter().map(|secret| keyring.seal(&at, secret.expose().as_bytes())).collect()
            }
        };
        let previous_until = match (&before, put.webhook_secrets.is_empty()) {
            (Some(stored), true) => stored.previous_until,
            (Some(_) | None, _) => None,
        };
        let account = ProviderAccount {
            id,
            provider: put.provider,
            base_url,
            api_key_sealed,
            api_key_hint,
            secrets_sealed,
            previous_until,
            is_test,
            terms,
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

    pub(super) fn stored_key(&self, brand: BrandId, stored: &ProviderAccount) -> Result<Secret, Problem> {
        let at = place(brand, stored.id, "api_key_sealed");
        self.host.keyring.open_text(&at, &stored.api_key_sealed).map_err(sealed)
    }

    /// Whether the secrets that were entered are the stored ones. Whoever enters secrets may learn that much.
    fn holds_these_secrets(&self, brand: BrandId, stored: &ProviderAccount, put: &PutAccount) -> Result<bool, Problem> {
        let api_key = self.stored_key(brand, stored)?;
        let webhook_secrets = self.stored_secrets(brand, stored)?;
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

    /// Replaces the webhook secret. What is signed with the one before it is taken for a while yet, so that nothing is missed
    /// between the change here and the change there.
    ///
    /// # Errors
    /// When there is no such account, the secret is none, or somebody else changed it meanwhile.
    pub async fn rotate_provider_account(
        &self,
        actor: &Actor,
        brand: BrandId,
        rotate: Rotate,
    ) -> Result<ProviderAccount, Problem> {
        check_secret("webhook_secret", &rotate.webhook_secret)?;
        if rotate.overlap_hours > OVERLAP_HOURS_MAX {
            let message = format!("overlap_hours: at most {OVERLAP_HOURS_MAX}");
            return Err(Problem::invalid("overlap_hours", "OVERLAP_TOO_LONG", message));
        }
        let (mut tx, now) = self.begin(brand).await?;
        let before = store::provider_account::lock(&mut tx, rotate.id).await?.ok_or_else(|| unknown(rotate.id))?;
        if i64::try_from(rotate.expected_version).ok() != Some(before.version) {
            let message = "the account was changed meanwhile; read it again and repeat";
            return Err(Problem::conflict("VERSION_CONFLICT", message).with("version", before.version));
        }
        let real_now = store::provider_account::real_now(&mut tx).await?;
        let at = place(brand, rotate.id, "secrets_sealed");
        let fresh = self.host.keyring.seal(&at, rotate.webhook_secret.expose().as_bytes());
        let kept = before.secrets_sealed.last().filter(|_| rotate.overlap_hours > 0).cloned();
        let account = ProviderAccount {
            previous_until: kept.as_ref().map(|_| real_now + TimeDelta::hours(rotate.overlap_hours.into())),
            secrets_sealed: kept.into_iter().chain([fresh]).collect(),
            updated_at: now,
            version: before.version + 1,
            ..before.clone()
        };
        store::provider_account::put(&mut tx, brand, &account).await?;
        audit::append(
            &mut tx,
            actor,
            "provider_account.rotate",
            rotate.id,
            Some(shown(&before)),
            Some(shown(&account)),
        )
        .await?;
        tx.commit().await?;
        Ok(account)
    }

    /// Asks the account something harmless: whether address and key are good, and of the mode they should be.
    ///
    /// # Errors
    /// When there is no such account. What is wrong with one is an answer.
    pub async fn test_provider_account(
        &self,
        brand: BrandId,
        id: ProviderAccountId,
    ) -> Result<Result<(), String>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let account = store::provider_account::get(&mut tx, id).await?.ok_or_else(|| unknown(id))?;
        let reached = self.reach(&mut tx, brand, id).await?.ok_or_else(|| unknown(id))?;
        drop(tx);
        Ok(match reached.provider.probe(&reached.access).await {
            Ok(probe) if probe.is_live == Some(account.is_test) => Err("the key is of the other mode".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        })
    }
}

fn check_secrets(put: &PutAccount) -> Result<(), Problem> {
    if put.webhook_secrets.len() > SECRETS_MAX {
        let message = format!("webhook_secrets: at most {SECRETS_MAX} are live at a time");
        return Err(Problem::invalid("webhook_secrets", "TOO_MANY_SECRETS", message));
    }
    put.webhook_secrets.iter().try_for_each(|secret| check_secret("webhook_secrets", secret))?;
    if put.api_key.is_empty() { Ok(()) } else { check_secret("api_key", &put.api_key) }
}

/// Nobody is called for a bank transfer or cash, and nobody calls.
fn nothing_of_programs(put: &PutAccount) -> Result<(), Problem> {
    let given = [
        ("base_url", !put.base_url.trim().is_empty()),
        ("api_key", !put.api_key.is_empty()),
        ("webhook_secrets", !put.webhook_secrets.is_empty()),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((field, _)) => {
            let message = format!("{field}: people record what comes by {}; leave this empty", put.provider);
            Err(Problem::invalid(*field, "NOT_NEEDED", message))
        }
    }
}

fn check_secret(field: &'static str, secret: &Secret) -> Result<(), Problem> {
    if !secret.is_empty() && secret.expose().len() <= SECRET_BYTES_MAX {
        return Ok(());
    }
    let message = format!("{field}: keys and secrets have 1 to {SECRET_BYTES_MAX} bytes");
    Err(Problem::invalid(field, "SECRET_INVALID", message))
}

fn unknown(id: ProviderAccountId) -> Problem {
    Problem::not_found("PROVIDER_ACCOUNT_NOT_FOUND", format!("there is no provider account {id}")).on_field("id")
}

/// Whether a key moves real money.
fn moves_real_money(provider: &dyn PaymentProvider, key: &Secret, base_url: &str) -> Result<bool, Problem> {
    provider.is_live_key(key, base_url).ok_or_else(|| {
        let message = format!("api_key: this is no secret key of {}: that is {}", provider.name(), provider.key_form());
        Problem::invalid("api_key", "KEY_KIND", message)
    })
}

/// Terms as they are kept.
fn checked(terms: &Terms, provider: &dyn PaymentProvider) -> Result<Terms, Problem> {
    let name = terms.name.trim();
    if name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        let message = format!("name: at most {NAME_CHARS_MAX} characters on one line");
        return Err(Problem::invalid("name", "NAME_INVALID", message));
    }
    let is_code = |code: &String| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    if terms.countries.len() > LIST_MAX || !terms.countries.iter().all(is_code) {
        let message = "countries: codes of two capital letters, such as DE";
        return Err(Problem::invalid("countries", "COUNTRY_INVALID", message));
    }
    if let Some(refused) = terms.currencies.iter().find(|currency| !provider.takes(**currency)) {
        let message = format!("currencies: {} does not take {refused}", provider.name());
        return Err(Problem::invalid("currencies", "CURRENCY_UNSUPPORTED", message));
    }
    amount_limit::check_all(&terms.amounts, &terms.currencies)
        .map_err(|refused| Problem::invalid("amounts", "AMOUNTS_INVALID", format!("amounts: {refused}")))?;
    if let Some(limit) = terms.amounts.iter().find(|limit| !provider.takes(limit.currency)) {
        let message = format!("amounts: {} does not take {}", provider.name(), limit.currency);
        return Err(Problem::invalid("amounts", "CURRENCY_UNSUPPORTED", message));
    }
    let by_hand = match (provider.by_hand(), &terms.by_hand) {
        (None, Some(_)) => {
            let message = format!("by_hand: {} reports what came by itself; leave this out", provider.name());
            return Err(Problem::invalid("by_hand", "NOT_BY_HAND", message));
        }
        (Some(kind), Some(told)) => Some(told.checked(kind == ByHand::Cash).map_err(|refused| {
            let field = refused.field();
            Problem::invalid(field, "BY_HAND_INVALID", format!("{field}: {refused}"))
        })?),
        (_, None) => None,
    };
    let mut terms = Terms { name: name.to_owned(), by_hand, ..terms.clone() };
    terms.countries.sort_unstable();
    terms.countries.dedup();
    terms.currencies.sort_unstable();
    terms.currencies.dedup();
    terms.amounts.sort_unstable_by_key(|limit| limit.currency);
    Ok(terms)
}

/// The last characters; nothing of a key so short that they would be most of it.
fn hint(key: &str) -> String {
    let chars: Vec<char> = key.chars().collect();
    if chars.len() < HINT_CHARS * 3 { String::new() } else { chars[chars.len() - HINT_CHARS..].iter().collect() }
}

/// As audited: no secret, no hint of one.
fn shown(account: &ProviderAccount) -> serde_json::Value {
    let terms = &account.terms;
    json!({"provider": account.provider, "base_url": account.base_url,
           "webhook_secrets": account.secrets_sealed.len(), "name": terms.name, "enabled": terms.is_enabled,
           "default": terms.is_default, "countries": terms.countries,
           "currencies": terms.currencies.iter().map(ToString::to_string).collect::<Vec<_>>(),
           "amounts": terms.amounts, "suspends_on_dispute": terms.suspends_on_dispute, "by_hand": terms.by_hand,
           "test": account.is_test})
}

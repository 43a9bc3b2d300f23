//! What calls need of an account: which one, its address, its key, the tokens of methods saved there.

use std::sync::Arc;

use ottery_kernel::{BrandId, Money, PaymentMethodId};
use ottery_kit::grpc::Problem;
use ottery_kit::keyring::{Place, SealError};
use ottery_kit::secret::Secret;
use sqlx::postgres::PgTransaction;

use crate::app::Billing;
use crate::domain::pay_way::{self, PayKind, Reading};
use crate::domain::payment::SavedToken;
use crate::domain::provider::{ProviderAccountId, Route, choose};
use crate::provider::{Access, PaymentProvider, Trace};
use crate::store;
use crate::store::payment_method::Stored;
use crate::store::provider_account::ProviderAccount;

/// Purpose of the keyed hash that finds a saved card again.
const TOKEN_PURPOSE: &str = "billing.payment_method.token";

/// An account, opened for a call.
#[derive(Clone, Debug)]
pub(crate) struct Reached {
    pub id: ProviderAccountId,
    pub provider: Arc<dyn PaymentProvider>,
    pub access: Access,
    /// Whether new charges may be begun by it.
    pub is_enabled: bool,
    /// A customer who objects to a payment is not served while that is undecided.
    pub suspends_on_dispute: bool,
}

pub(super) fn place(brand: BrandId, id: ProviderAccountId, column: &'static str) -> Place<'static> {
    Place { table: "billing.provider_account", column, row: id.as_uuid(), brand: Some(brand) }
}

fn token_place(brand: BrandId, id: PaymentMethodId) -> Place<'static> {
    Place { table: "billing.payment_method", column: "token_sealed", row: id.as_uuid(), brand: Some(brand) }
}

pub(super) fn sealed(error: SealError) -> Problem {
    Problem::internal(&error)
}

impl Billing {
    /// Opens that account for a call.
    pub(crate) async fn reach(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        id: ProviderAccountId,
    ) -> Result<Option<Reached>, Problem> {
        let account = store::provider_account::get(tx, id).await?;
        account.map_or(Ok(None), |account| self.open_account(brand, account))
    }

    /// Opens the account an attempt was told to; the newest for one of which nobody wrote it down.
    pub(crate) async fn reach_told(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        id: Option<ProviderAccountId>,
    ) -> Result<Option<Reached>, Problem> {
        match id {
            Some(id) => self.reach(tx, brand, id).await,
            None => {
                let newest = store::provider_account::list(tx, brand).await?.pop();
                newest.map_or(Ok(None), |account| self.open_account(brand, account))
            }
        }
    }

    /// Opens the account that begins something new: the one that was chosen, or one that reads alike; without a choice the default one
    /// where it serves, else the newest that does. None of `but`.
    pub(crate) async fn route(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        route: Route<'_>,
        chosen: Option<ProviderAccountId>,
        but: &[ProviderAccountId],
    ) -> Result<Option<Reached>, Problem> {
        let accounts = store::provider_account::list(tx, brand).await?;
        let serving = self.serving(&accounts, route);
        let asked = match chosen {
            Some(id) => pay_way::asked(&serving, |account| account.id == id, |account| self.reads(account)),
            None => serving,
        };
        for account in asked.into_iter().filter(|account| !but.contains(&account.id)) {
            if let Some(reached) = self.open_account(brand, account.clone())? {
                return Ok(Some(reached));
            }
        }
        Ok(None)
    }

    /// The accounts that serve a route at providers that take its currency and can write its amount, in the order in which they
    /// are asked.
    pub(crate) fn serving<'a>(&self, accounts: &'a [ProviderAccount], route: Route<'_>) -> Vec<&'a ProviderAccount> {
        let takes = |account: &&ProviderAccount| {
            let amount = route.amount.map(|minor| Money::new(minor, route.currency));
            self.providers.get(&account.provider).is_some_and(|provider| {
                provider.takes(route.currency) && amount.is_none_or(|amount| provider.expresses(amount))
            })
        };
        choose(accounts, |account| &account.terms, route).into_iter().filter(takes).collect()
    }

    /// By what a customer may pay, in the order in which they are offered.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pay_ways(&self, brand: BrandId, route: Route<'_>) -> Result<Vec<ProviderAccount>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let accounts = store::provider_account::list(&mut tx, brand).await?;
        let serving = self.serving(&accounts, route);
        Ok(pay_way::offered(&serving, |account| self.reads(account)).into_iter().cloned().collect())
    }

    /// Refuses the account a customer chose when it does not serve what is to be paid.
    pub(crate) async fn check_chosen(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        route: Route<'_>,
        chosen: Option<ProviderAccountId>,
    ) -> Result<(), Problem> {
        let Some(id) = chosen else { return Ok(()) };
        if self.does_serve(tx, brand, route, id).await? {
            return Ok(());
        }
        let message =
            format!("provider_account_id: {id} does not serve this payment (any more); choose another way to pay");
        Err(Problem::invalid("provider_account_id", "PAY_WAY_UNAVAILABLE", message))
    }

    /// Whether an account would be asked for what is to be paid.
    pub(crate) async fn does_serve(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        route: Route<'_>,
        id: ProviderAccountId,
    ) -> Result<bool, Problem> {
        let accounts = store::provider_account::list(tx, brand).await?;
        Ok(self.serving(&accounts, route).iter().any(|account| account.id == id))
    }

    /// How a customer reads an account. One of a provider that is not known does not serve.
    fn reads<'a>(&self, account: &'a ProviderAccount) -> Reading<'a> {
        let kind = self.providers.get(&account.provider).map_or(PayKind::Card, |provider| provider.pay_kind());
        Reading::of(&account.terms.name, kind)
    }

    fn open_account(&self, brand: BrandId, account: ProviderAccount) -> Result<Option<Reached>, Problem> {
        let Some(provider) = self.providers.get(&account.provider) else { return Ok(None) };
        let at = place(brand, account.id, "api_key_sealed");
        let api_key = self.host.keyring.open_text(&at, &account.api_key_sealed).map_err(sealed)?;
        Ok(Some(Reached {
            id: account.id,
            provider,
            access: Access { base_url: account.base_url, api_key, trace: Trace::default() },
            is_enabled: account.terms.is_enabled,
            suspends_on_dispute: account.terms.suspends_on_dispute,
        }))
    }

    /// The webhook secrets that are good at `real_now`.
    pub(crate) fn webhook_secrets(
        &self,
        brand: BrandId,
        account: &ProviderAccount,
        real_now: chrono::DateTime<chrono::Utc>,
    ) -> Result<Vec<Secret>, Problem> {
        let mut secrets = self.stored_secrets(brand, account)?;
        if account.previous_until.is_some_and(|until| until <= real_now) {
            secrets.drain(..secrets.len().saturating_sub(1));
        }
        Ok(secrets)
    }

    /// Every stored webhook secret, the newest last.
    pub(super) fn stored_secrets(&self, brand: BrandId, account: &ProviderAccount) -> Result<Vec<Secret>, Problem> {
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

    /// Seals a token for its row, and the keyed hash of the instrument in it.
    pub(crate) fn seal_token(&self, brand: BrandId, id: PaymentMethodId, token: &SavedToken) -> (Vec<u8>, [u8; 32]) {
        let sealed = self.host.keyring.seal(&token_place(brand, id), token.0.as_bytes());
        (sealed, self.instrument_hash(token.instrument()))
    }

    /// By what a saved method is found whose instrument a provider names.
    pub(crate) fn instrument_hash(&self, instrument: &str) -> [u8; 32] {
        self.host.keyring.keyed_hash(TOKEN_PURPOSE, instrument.as_bytes())
    }
}

//! Saved methods: kept, told about by the provider, taken away by their owner.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, PaymentMethodId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use crate::app::Billing;
use crate::domain::provider::ProviderAccountId;
use crate::provider::{MethodFact, SavedMethod};
use crate::store;
use crate::store::payment_method::{New, Shown};

impl Billing {
    /// Keeps an instrument, once however often it is told of, and makes a new one the customer's default.
    pub(super) async fn keep_method(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        account: AccountId,
        provider_account: ProviderAccountId,
        saved: &SavedMethod,
        now: DateTime<Utc>,
    ) -> Result<PaymentMethodId, Problem> {
        let fresh = PaymentMethodId::new(now);
        let (token_sealed, token_hash) = self.seal_token(brand, fresh, &saved.token);
        store::payment_method::lock(tx, account).await?;
        if let Some(known) = store::payment_method::find(tx, account, provider_account, &token_hash).await? {
            // Saved before its provider told the day.
            if saved.expires_on.is_some() && store::payment_method::date(tx, known, saved.expires_on).await? {
                self.plan_expiry(tx, brand, known, saved.expires_on).await?;
            }
            return Ok(known);
        }
        let new = New {
            id: fresh,
            account,
            provider_account,
            token_sealed: &token_sealed,
            token_hash: &token_hash,
            label: &saved.label,
            expires_on: saved.expires_on,
        };
        store::payment_method::insert(tx, brand, &new, now).await?;
        self.plan_expiry(tx, brand, fresh, saved.expires_on).await?;
        Ok(fresh)
    }

    /// Follows what the provider says about an instrument: replaced by its bank, or gone.
    pub(crate) async fn follow_method(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        provider_account: ProviderAccountId,
        fact: &MethodFact,
        now: DateTime<Utc>,
    ) -> Result<bool, Problem> {
        let hash = self.instrument_hash(&fact.instrument);
        let methods = store::payment_method::by_instrument(tx, provider_account, &hash).await?;
        for id in &methods {
            if !fact.is_usable {
                if let Some(owner) = store::payment_method::owner(tx, *id).await? {
                    store::payment_method::remove(tx, owner, &[*id], now).await?;
                }
            } else if !fact.label.is_empty() {
                store::payment_method::renew(tx, *id, &fact.label, fact.expires_on).await?;
                self.plan_expiry(tx, brand, *id, fact.expires_on).await?;
            }
        }
        Ok(!methods.is_empty())
    }

    /// The methods of a customer.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn payment_methods(&self, brand: BrandId, account: AccountId) -> Result<Vec<Shown>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        Ok(store::payment_method::list(&mut tx, account).await?)
    }

    /// Takes a method away: nothing is charged to it from now on, and the provider is told to forget it. `owner` limits it to
    /// that customer's own.
    ///
    /// # Errors
    /// When there is no such method.
    pub async fn remove_payment_method(
        &self,
        brand: BrandId,
        id: PaymentMethodId,
        owner: Option<AccountId>,
    ) -> Result<(), Problem> {
        let unknown =
            || Problem::not_found("PAYMENT_METHOD_NOT_FOUND", format!("there is no saved method {id}")).on_field("id");
        let (mut tx, now) = self.begin(brand).await?;
        let account = store::payment_method::owner(&mut tx, id).await?.ok_or_else(unknown)?;
        if owner.is_some_and(|owner| owner != account) {
            return Err(unknown());
        }
        store::payment_method::lock(&mut tx, account).await?;
        let stored = store::payment_method::get(&mut tx, id).await?.ok_or_else(unknown)?;
        let reached = self.reach(&mut tx, brand, stored.provider_account).await?;
        let token = self.open_token(brand, id, &stored)?;
        store::payment_method::remove(&mut tx, account, &[id], now).await?;
        tx.commit().await?;
        // We charge it no more, whatever the provider says; what is left there is of no use to anybody without us.
        if let Some(reached) = reached
            && let Err(error) = reached.provider.detach(&reached.access, &token).await
        {
            tracing::warn!(method.id = %id, provider = reached.provider.name(), %error, "method not forgotten by the provider");
        }
        Ok(())
    }
}

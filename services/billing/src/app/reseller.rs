//! Resellers and their clients: who is one, whose client somebody is.

mod serve;

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use serde_json::json;
use sqlx::postgres::PgTransaction;

pub use serve::run;

use super::Billing;
use crate::domain::reseller::{GRACE_DAYS_MAX, Reseller, Standing};
use crate::store;
use crate::store::Page;
use crate::store::reseller::{Client, Listed};

/// A reseller, how things are, and where they stand now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The reseller.
    pub listed: Listed,
    /// Whether they pay.
    pub standing: Standing,
}

/// What becomes of the clients of somebody who is a reseller no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heir {
    /// There must be none.
    Nobody,
    /// They become customers of the operator.
    Operator,
    /// They go to this reseller.
    Reseller(AccountId),
}

fn unknown_customer(field: &str, account: AccountId) -> Problem {
    let message = format!("{field}: there is no customer {account}; customers are known from their first order on");
    Problem::not_found("CUSTOMER_NOT_FOUND", message).on_field(field)
}

fn no_reseller(field: &str, account: AccountId) -> Problem {
    let message = format!("{field}: {account} is no reseller; make them one first");
    Problem::not_found("RESELLER_NOT_FOUND", message).on_field(field)
}

fn written(reseller: &Reseller) -> serde_json::Value {
    json!({ "grace_days": reseller.grace_days })
}

impl Billing {
    /// Makes a customer a reseller, or changes for how long their clients are served while they do not pay.
    ///
    /// # Errors
    /// When the customer is unknown or somebody's client, or the grace is too long.
    pub async fn put_reseller(
        &self,
        brand: BrandId,
        account: AccountId,
        grace_days: u32,
        actor: &Actor,
    ) -> Result<Shown, Problem> {
        if grace_days > GRACE_DAYS_MAX {
            let message = format!("grace_days: use 0 to {GRACE_DAYS_MAX} days, got {grace_days}");
            return Err(Problem::invalid("grace_days", "GRACE_DAYS", message));
        }
        let (mut tx, now) = self.begin(brand).await?;
        if store::customer::lock_all(&mut tx, &[account]).await?.is_empty() {
            return Err(unknown_customer("account_id", account));
        }
        if let Some(reseller) = store::reseller::of_client(&mut tx, account).await? {
            let message = format!("account_id: {account} is a client of {reseller}; take them from there first");
            return Err(Problem::refused("IS_CLIENT", message).on_field("account_id"));
        }
        let before = store::reseller::lock(&mut tx, account).await?;
        let created_at = before.as_ref().map_or(now, |before| before.created_at);
        let reseller = Reseller { account, grace_days, created_at };
        if before.as_ref() != Some(&reseller) {
            store::reseller::put(&mut tx, brand, &reseller).await?;
            let before = before.as_ref().map(written);
            audit::append(&mut tx, actor, "reseller.update", account, before, Some(written(&reseller))).await?;
        }
        let shown = found(&mut tx, account, now).await?;
        tx.commit().await?;
        Ok(shown)
    }

    /// A reseller is an ordinary customer again (case 116: clients go upward first, nobody is left without anybody).
    ///
    /// # Errors
    /// When they are none, or have clients and nobody was named for them.
    pub async fn remove_reseller(
        &self,
        brand: BrandId,
        account: AccountId,
        heir: Heir,
        actor: &Actor,
    ) -> Result<u64, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let locked = lock_pair(&mut tx, account, heir).await?;
        let reseller = locked.ok_or_else(|| no_reseller("account_id", account))?;
        let moved = match heir {
            Heir::Nobody if store::reseller::has_clients(&mut tx, account).await? => {
                let message = "clients_to: this reseller has clients; say `operator`, or which reseller gets them";
                return Err(Problem::refused("HAS_CLIENTS", message).on_field("clients_to"));
            }
            Heir::Nobody => 0,
            Heir::Operator => store::reseller::move_clients(&mut tx, account, None, now).await?,
            Heir::Reseller(to) => store::reseller::move_clients(&mut tx, account, Some(to), now).await?,
        };
        store::reseller::delete(&mut tx, account).await?;
        let told = match heir {
            Heir::Nobody => json!({}),
            Heir::Operator => json!({ "clients": moved, "clients_to": "operator" }),
            Heir::Reseller(to) => json!({ "clients": moved, "clients_to": to.to_string() }),
        };
        audit::append(&mut tx, actor, "reseller.remove", account, Some(written(&reseller)), Some(told)).await?;
        tx.commit().await?;
        Ok(moved)
    }

    /// Makes somebody a client of a reseller, or (with none) a customer of the operator again.
    ///
    /// # Errors
    /// When either is unknown, or the client is a reseller.
    pub async fn assign_client(
        &self,
        brand: BrandId,
        client: AccountId,
        reseller: Option<AccountId>,
        actor: &Actor,
    ) -> Result<(), Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        if store::customer::lock_all(&mut tx, &[client]).await?.is_empty() {
            return Err(unknown_customer("account_id", client));
        }
        let before = store::reseller::of_client(&mut tx, client).await?;
        if before == reseller {
            return Ok(());
        }
        match reseller {
            Some(reseller) => {
                if store::reseller::lock(&mut tx, client).await?.is_some() {
                    let message = format!("account_id: {client} is a reseller, and resellers are nobody's clients");
                    return Err(Problem::refused("IS_RESELLER", message).on_field("account_id"));
                }
                if store::reseller::lock(&mut tx, reseller).await?.is_none() {
                    return Err(no_reseller("reseller_id", reseller));
                }
                store::reseller::put_client(&mut tx, brand, client, reseller, now).await?;
            }
            None => store::reseller::drop_client(&mut tx, client).await?,
        }
        let told = |reseller: Option<AccountId>| json!({ "reseller": reseller.map(|reseller| reseller.to_string()) });
        audit::append(&mut tx, actor, "reseller.assign_client", client, Some(told(before)), Some(told(reseller)))
            .await?;
        Ok(tx.commit().await?)
    }

    /// Resellers, the newest customer first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn resellers(&self, brand: BrandId, page: Page) -> Result<Vec<Shown>, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let listed = store::reseller::list(&mut tx, None, page).await?;
        Ok(listed.into_iter().map(|listed| shown(listed, now)).collect())
    }

    /// One reseller.
    ///
    /// # Errors
    /// When they are none.
    pub async fn reseller(&self, brand: BrandId, account: AccountId) -> Result<Shown, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        found(&mut tx, account, now).await
    }

    /// Clients of a reseller, the newest customer first.
    ///
    /// # Errors
    /// When they are no reseller.
    pub async fn clients(&self, brand: BrandId, reseller: AccountId, page: Page) -> Result<Vec<Client>, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        found(&mut tx, reseller, now).await?;
        Ok(store::reseller::clients(&mut tx, reseller, page).await?)
    }
}

/// Somebody is merged into another customer: whose client they were, that one is now.
///
/// # Errors
/// When they are a reseller: what becomes of their clients is to be said first.
pub(super) async fn carry_over(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    from: AccountId,
    to: AccountId,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    if store::reseller::lock(tx, from).await?.is_some() {
        let message =
            format!("account_id: {from} is a reseller; give their clients to somebody and remove the reseller first");
        return Err(Problem::refused("IS_RESELLER", message).on_field("account_id"));
    }
    let Some(reseller) = store::reseller::of_client(tx, from).await? else { return Ok(()) };
    store::reseller::drop_client(tx, from).await?;
    let is_free = store::reseller::of_client(tx, to).await?.is_none() && store::reseller::lock(tx, to).await?.is_none();
    if is_free {
        store::reseller::put_client(tx, brand, to, reseller, now).await?;
    }
    Ok(())
}

/// Locks a reseller and the one who gets their clients, in the order of their ids as everybody does; the first of them.
async fn lock_pair(tx: &mut PgTransaction<'_>, account: AccountId, heir: Heir) -> Result<Option<Reseller>, Problem> {
    let Heir::Reseller(to) = heir else { return Ok(store::reseller::lock(tx, account).await?) };
    if to == account {
        let message = "clients_to: name another reseller than the one who is removed";
        return Err(Problem::invalid("clients_to", "SAME_ACCOUNT", message));
    }
    let first = account.min(to);
    let locked = [store::reseller::lock(tx, first).await?, store::reseller::lock(tx, account.max(to)).await?];
    let [low, high] = locked;
    let (reseller, heir) = if first == account { (low, high) } else { (high, low) };
    if heir.is_none() {
        return Err(no_reseller("clients_to", to));
    }
    Ok(reseller)
}

async fn found(tx: &mut PgTransaction<'_>, account: AccountId, now: DateTime<Utc>) -> Result<Shown, Problem> {
    let found = store::reseller::list(tx, Some(account), Page { before: None, limit: 1 }).await?.pop();
    found.map(|listed| shown(listed, now)).ok_or_else(|| no_reseller("account_id", account))
}

fn shown(listed: Listed, now: DateTime<Utc>) -> Shown {
    Shown { standing: listed.reseller.standing(listed.oldest_due, now), listed }
}

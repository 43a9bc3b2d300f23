//! Who may look at or change which account.

use ottery_kernel::AccountId;
use ottery_kit::grpc::{Actor, ActorKind};
use ottery_kit::secret::Secret;
use sqlx::postgres::PgTransaction;

use super::{App, AppError, customer_realm};
use crate::domain::role::{Held, effective};
use crate::domain::{Account, Realm, token};
use crate::store::{account, grant, session};

/// The permission to look at accounts without changing them.
pub(super) const LOOKING: &str = "account.read";

/// Where the caller's own account lives.
fn own_realm(actor: &Actor) -> Result<Option<Realm>, AppError> {
    match actor.kind {
        ActorKind::Customer => customer_realm(actor).map(Some),
        ActorKind::Staff => Ok(Some(Realm::Staff)),
        ActorKind::Anonymous | ActorKind::Service | ActorKind::ApiKey => Ok(None),
    }
}

/// Realms the secrets of a call may belong to: the call's brand, and staff.
pub(super) fn candidate_realms(actor: &Actor) -> impl Iterator<Item = Realm> {
    actor.brand.map(Realm::Customer).into_iter().chain([Realm::Staff])
}

pub(super) fn is_own(actor: &Actor, id: AccountId) -> bool {
    matches!(actor.kind, ActorKind::Customer | ActorKind::Staff) && actor.subject == id.to_string()
}

/// Whoever could weaken another's sign-in could take over what they hold, so the caller must hold all of it, in the same place.
fn covers(actor: &Actor, held: &[Held]) -> Result<(), AppError> {
    for held in held {
        let outside = actor.brand.is_some() && held.brand != actor.brand;
        let missing = held.role.permissions().iter().find(|permission| outside || !actor.has(permission));
        if let Some(permission) = missing {
            return Err(AppError::NotYours { permission: (*permission).to_owned() });
        }
    }
    Ok(())
}

impl App {
    /// The caller's own account, locked, in an open transaction of its realm. Works while enrolling.
    pub(super) async fn own_account(
        &self,
        actor: &Actor,
        id: AccountId,
    ) -> Result<(PgTransaction<'static>, Account), AppError> {
        let realm = own_realm(actor)?.filter(|_| is_own(actor, id)).ok_or(AppError::missing("account"))?;
        let mut tx = self.begin(realm).await?;
        let account = account::lock(&mut tx, id).await?.ok_or(AppError::missing("account"))?;
        Ok((tx, account))
    }

    /// An account in an open transaction of its realm: the caller's own, or another's for whoever holds `permission`. What is
    /// in another brand does not exist.
    pub(super) async fn reachable_account(
        &self,
        actor: &Actor,
        id: AccountId,
        permission: &str,
    ) -> Result<(PgTransaction<'static>, Account), AppError> {
        if is_own(actor, id) {
            let (tx, account) = self.own_account(actor, id).await?;
            if account.realm.is_staff() && !account.totp_enrolled {
                return Err(AppError::EnrolmentRequired);
            }
            return Ok((tx, account));
        }
        if matches!(actor.kind, ActorKind::Anonymous | ActorKind::Customer) {
            return Err(AppError::missing("account"));
        }
        actor.require(permission)?;
        for realm in candidate_realms(actor) {
            let mut tx = self.begin(realm).await?;
            let Some(account) = account::lock(&mut tx, id).await? else { continue };
            if realm.is_staff() {
                let held: Vec<Held> = grant::list(&mut tx, id).await?.into_iter().map(|grant| grant.held).collect();
                if actor.brand.is_some() && effective(&held, actor.brand).is_empty() {
                    continue;
                }
                if permission != LOOKING {
                    covers(actor, &held)?;
                }
            }
            return Ok((tx, account));
        }
        Err(AppError::missing("account"))
    }

    /// The live session behind a secret, with its account, in an open transaction of its realm.
    pub(super) async fn session_of(
        &self,
        actor: &Actor,
        secret: &Secret,
    ) -> Result<(PgTransaction<'static>, session::Stored, Account), AppError> {
        let hash = token::hash(secret.expose());
        for realm in candidate_realms(actor) {
            let mut tx = self.begin(realm).await?;
            if let Some(found) = session::live(&mut tx, &hash, self.now()).await? {
                let account = account::lock(&mut tx, found.account).await?.ok_or(AppError::SessionEnded)?;
                return Ok((tx, found, account));
            }
        }
        Err(AppError::SessionEnded)
    }
}

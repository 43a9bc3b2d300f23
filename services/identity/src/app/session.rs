//! Sessions.

use std::collections::BTreeSet;

use ottery_kernel::{AccountId, BrandId, SessionId};
use ottery_kit::grpc::{Actor, ActorKind};
use ottery_kit::secret::Secret;
use serde_json::json;
use sqlx::PgConnection;
use sqlx::postgres::PgTransaction;

use super::hasher::Check;
use super::{App, AppError, Change, access, proven};
use crate::domain::role::{Held, effective};
use crate::domain::session::TOUCH_INTERVAL;
use crate::domain::{Account, Device, Lifetimes, Realm, SessionKind, token};
use crate::events::publish;
use crate::store::{account, backoff, grant, session};

/// A session fresh from the mint.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Goes into the cookie; nobody sees it again.
    pub secret: Secret,
    /// What is stored.
    pub session: session::Stored,
    /// Whose it is.
    pub account: Account,
}

/// Who is behind a session.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// The session.
    pub session: session::Stored,
    /// Its account.
    pub account: Account,
    /// What it may in the brand of the call.
    pub permissions: BTreeSet<String>,
    /// Brands in which a member of staff holds anything.
    pub brands: Vec<BrandId>,
    /// Whether a grant on the platform counts in all brands.
    pub all_brands: bool,
}

impl App {
    /// Opens a session in the caller's transaction. Its secret is always made here: nobody can plant one.
    pub(super) async fn open_session(
        &self,
        tx: &mut PgConnection,
        account: &Account,
        kind: SessionKind,
        device: &Device,
    ) -> sqlx::Result<NewSession> {
        let (now, lifetimes) = (self.now(), Lifetimes::of(account.realm, kind));
        let (secret, hash) = token::mint();
        let session = session::Stored {
            id: SessionId::new(now),
            realm: account.realm,
            account: account.id,
            kind,
            device: device.clone(),
            created_at: now,
            last_seen_at: now,
            authenticated_at: now,
            idle_deadline: now + lifetimes.idle,
            absolute_deadline: now + lifetimes.absolute,
        };
        session::insert(tx, &session, &hash).await?;
        Ok(NewSession { secret, session, account: account.clone() })
    }

    /// Who is behind a session secret of a realm; using it moves its idle end.
    pub async fn authenticate(
        &self,
        actor: &Actor,
        realm: Realm,
        secret: &Secret,
        client_ip: &str,
    ) -> Result<Authenticated, AppError> {
        let now = self.now();
        let mut tx = self.begin(realm).await?;
        let found = session::live(&mut tx, &token::hash(secret.expose()), now).await?;
        let mut session = found.ok_or(AppError::SessionEnded)?;
        let account = account::get(&mut tx, session.account).await?.ok_or(AppError::SessionEnded)?;
        if now - session.last_seen_at >= TOUCH_INTERVAL {
            let lifetimes = Lifetimes::of(realm, session.kind);
            session.idle_deadline = lifetimes.idle_deadline(now, session.absolute_deadline);
            session.last_seen_at = now;
            let client_ip = Device::new("", client_ip).client_ip;
            session::touch(&mut tx, session.id, now, session.idle_deadline, &client_ip).await?;
        }
        let is_full_staff = realm.is_staff() && session.kind == SessionKind::Full;
        let held: Vec<Held> = match is_full_staff {
            true => grant::list(&mut tx, account.id).await?.into_iter().map(|grant| grant.held).collect(),
            false => Vec::new(),
        };
        tx.commit().await?;
        let brands: BTreeSet<BrandId> = held.iter().filter_map(|held| held.brand).collect();
        let all_brands = held.iter().any(|held| held.brand.is_none());
        Ok(Authenticated {
            permissions: effective(&held, actor.brand),
            brands: if all_brands { Vec::new() } else { brands.into_iter().collect() },
            all_brands,
            session,
            account,
        })
    }

    /// Ends the session behind a secret; one that has ended is no error.
    pub async fn sign_out(&self, actor: &Actor, secret: &Secret) -> Result<(), AppError> {
        let (mut tx, session, account) = match self.session_of(actor, secret).await {
            Ok(found) => found,
            Err(AppError::SessionEnded) => return Ok(()),
            Err(error) => return Err(error),
        };
        let actor = proven(actor, &account, &Device::default());
        self.end_session(&mut tx, &actor, &account, session.id, "session.sign_out").await?;
        tx.commit().await?;
        Ok(())
    }

    async fn end_session(
        &self,
        tx: &mut PgTransaction<'_>,
        actor: &Actor,
        account: &Account,
        id: SessionId,
        action: &str,
    ) -> Result<(), AppError> {
        if session::revoke(tx, id, self.now()).await? {
            let told_at = self.event_time(tx, account.realm).await?;
            publish::session_revoked(tx, account, Some(id), told_at).await?;
            self.record(tx, account.realm, actor, action, id, Change::Nothing).await?;
        }
        Ok(())
    }

    /// Ends all sessions of an account: one's own, or another's with `account.manage`.
    pub async fn sign_out_everywhere(&self, actor: &Actor, id: AccountId) -> Result<u32, AppError> {
        let (mut tx, account) = self.reachable_account(actor, id, "account.manage").await?;
        let ended = self.end_sessions(&mut tx, &account).await?;
        let after = json!({ "ended": ended });
        self.record(&mut tx, account.realm, actor, "session.revoke_all", id, Change::To(after)).await?;
        tx.commit().await?;
        Ok(ended)
    }

    /// Live sessions of an account: one's own, or another's with `account.manage`.
    pub async fn list_sessions(&self, actor: &Actor, id: AccountId) -> Result<Vec<session::Stored>, AppError> {
        let (mut tx, account) = self.reachable_account(actor, id, "account.manage").await?;
        Ok(session::list(&mut tx, account.id, self.now()).await?)
    }

    /// Ends one session: one's own, or another's with `account.manage`.
    pub async fn revoke_session(&self, actor: &Actor, id: SessionId) -> Result<(), AppError> {
        let mut owner = None;
        for realm in access::candidate_realms(actor) {
            let mut tx = self.begin(realm).await?;
            if let Some(found) = session::live_by_id(&mut tx, id, self.now()).await? {
                owner = Some(found.account);
                break;
            }
        }
        let owner = owner.ok_or(AppError::missing("session"))?;
        let (mut tx, account) = match self.reachable_account(actor, owner, "account.manage").await {
            Err(AppError::NotFound { .. }) => return Err(AppError::missing("session")),
            found => found?,
        };
        self.end_session(&mut tx, actor, &account, id, "session.revoke").await?;
        tx.commit().await?;
        Ok(())
    }

    /// Proves again who is signed in, for what needs a fresh proof.
    pub async fn reauthenticate(
        &self,
        actor: &Actor,
        secret: &Secret,
        password: &Secret,
        code: &str,
    ) -> Result<chrono::DateTime<chrono::Utc>, AppError> {
        let (session, account) = self.prove_password(actor, secret, password).await?;
        let mut tx = self.begin(account.realm).await?;
        if account.totp_enrolled {
            let key = self.code_key(account.id);
            self.count_try(&mut tx, account.realm, &key).await?;
            tx.commit().await?;
            tx = self.begin(account.realm).await?;
            if !self.accept_code(&mut tx, &account, code).await? {
                return Err(self.proof_failed(tx, actor, &account).await?);
            }
            backoff::clear(&mut tx, &key).await?;
        }
        let now = self.now();
        session::reauthenticated(&mut tx, session.id, now).await?;
        let actor = proven(actor, &account, &Device::default());
        self.record(&mut tx, account.realm, &actor, "session.reauthenticate", session.id, Change::Nothing).await?;
        tx.commit().await?;
        Ok(now)
    }

    /// The live session and account behind a secret whose owner knows the password.
    pub(super) async fn prove_password(
        &self,
        actor: &Actor,
        secret: &Secret,
        password: &Secret,
    ) -> Result<(session::Stored, Account), AppError> {
        let (mut tx, session, account) = self.session_of(actor, secret).await?;
        let key = self.proof_key(account.id);
        self.count_try(&mut tx, account.realm, &key).await?;
        tx.commit().await?;
        let check = self.hasher.check(password, account.password_hash.as_deref()).await;
        let mut tx = self.begin(account.realm).await?;
        match check {
            Ok(Check::Right { .. }) => {
                backoff::clear(&mut tx, &key).await?;
                tx.commit().await?;
                Ok((session, account))
            }
            Ok(Check::Wrong) => Err(self.proof_failed(tx, actor, &account).await?),
            busy @ Err(_) => {
                drop(tx);
                self.give_back(busy, account.realm, &key).await?;
                Err(AppError::Busy)
            }
        }
    }

    async fn proof_failed(
        &self,
        mut tx: PgTransaction<'_>,
        actor: &Actor,
        account: &Account,
    ) -> Result<AppError, AppError> {
        let actor = proven(actor, account, &Device::default());
        self.record(&mut tx, account.realm, &actor, "session.proof_failed", account.id, Change::Nothing).await?;
        tx.commit().await?;
        Ok(AppError::ProofFailed)
    }
}

impl Authenticated {
    /// What kind of caller it makes.
    #[must_use]
    pub fn kind(&self) -> ActorKind {
        if self.account.realm.is_staff() { ActorKind::Staff } else { ActorKind::Customer }
    }
}

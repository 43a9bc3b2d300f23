//! First and second factor.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kit::grpc::Actor;
use ottery_kit::secret::Secret;
use serde_json::json;
use sqlx::postgres::PgTransaction;

use super::hasher::Check;
use super::{App, AppError, Change, NewSession, access, proven};
use crate::domain::token::{self, Hash};
use crate::domain::{Account, Device, Email, Realm, SessionKind};
use crate::store::{account, backoff, session};

/// How long the second factor may take.
const CHALLENGE_LIFETIME: TimeDelta = TimeDelta::minutes(5);

/// What the first factor led to.
#[derive(Debug)]
pub enum SignedIn {
    /// A session.
    Session(NewSession),
    /// The second factor is awaited.
    Challenge {
        /// Answers with this.
        secret: Secret,
        /// In time.
        expires_at: DateTime<Utc>,
    },
    /// Staff without a second factor: a session that may only enrol one.
    Enrolment(NewSession),
}

impl App {
    /// Checks the password. Whether the address exists shows neither in the answer nor in its time.
    pub async fn sign_in(
        &self,
        actor: &Actor,
        realm: Realm,
        email: &str,
        password: &Secret,
        device: &Device,
    ) -> Result<SignedIn, AppError> {
        let email = Email::parse(email)?;
        self.limit_address(device).await?;
        self.limit_everywhere().await?;
        let mut tx = self.begin(realm).await?;
        let account = account::by_email(&mut tx, realm, &email).await?;
        let is_known = match &account {
            Some(account) => self.knows(&mut tx, account, device).await?,
            None => false,
        };
        let key = self.sign_in_key(realm, &email, is_known.then_some(device));
        self.count_try(&mut tx, realm, &key).await?;
        tx.commit().await?;

        let stored = account.as_ref().and_then(|account| account.password_hash.as_deref());
        let check = self.hasher.check(password, stored).await;
        let check = self.give_back(check, realm, &key).await?;
        let (Some(account), Check::Right { stale }) = (account.clone(), check) else {
            return Err(self.note_failure(actor, realm, &email, account.as_ref(), device).await?);
        };
        let rehashed = if stale { Some(self.hasher.hash(password).await?) } else { None };
        self.first_factor_proven(actor, &account, rehashed, &key, device).await
    }

    /// Both ways to fail leave the same traces.
    async fn note_failure(
        &self,
        actor: &Actor,
        realm: Realm,
        email: &Email,
        account: Option<&Account>,
        device: &Device,
    ) -> Result<AppError, AppError> {
        let mut tx = self.begin(realm).await?;
        let client_ip = Some(device.client_ip.clone()).filter(|ip| !ip.is_empty()).or_else(|| actor.client_ip.clone());
        let actor = Actor { client_ip, ..actor.clone() };
        // The address of nobody stays out of the trail; the fingerprint shows that tries belong together.
        let fingerprint = hex::encode(&self.keyring.keyed_hash("audited address", email.as_str().as_bytes())[..8]);
        let target = account.map(|account| account.id.to_string()).unwrap_or_default();
        let after = json!({ "address": fingerprint });
        self.record(&mut tx, realm, &actor, "session.sign_in_failed", target, Change::To(after)).await?;
        tx.commit().await?;
        Ok(AppError::SignInFailed)
    }

    async fn first_factor_proven(
        &self,
        actor: &Actor,
        seen: &Account,
        rehashed: Option<String>,
        key: &Hash,
        device: &Device,
    ) -> Result<SignedIn, AppError> {
        let mut tx = self.begin(seen.realm).await?;
        let account = account::lock(&mut tx, seen.id).await?.ok_or(AppError::SignInFailed)?;
        if account.password_hash != seen.password_hash {
            // Changed while we were hashing: what was proven is the password of before.
            return Err(AppError::SignInFailed);
        }
        if let Some(rehashed) = rehashed {
            account::rehash(&mut tx, account.id, &rehashed).await?;
        }
        backoff::clear(&mut tx, key).await?;
        if account.totp_enrolled {
            let (secret, hash) = token::mint();
            let expires_at = self.now() + CHALLENGE_LIFETIME;
            session::insert_challenge(&mut tx, &hash, account.realm, account.id, expires_at).await?;
            tx.commit().await?;
            return Ok(SignedIn::Challenge { secret, expires_at });
        }
        let kind = if account.realm.is_staff() { SessionKind::Enrolment } else { SessionKind::Full };
        let session = self.enter(&mut tx, actor, &account, kind, device).await?;
        tx.commit().await?;
        Ok(match kind {
            SessionKind::Full => SignedIn::Session(session),
            SessionKind::Enrolment => SignedIn::Enrolment(session),
        })
    }

    /// Opens the session of somebody who proved who they are.
    async fn enter(
        &self,
        tx: &mut PgTransaction<'_>,
        actor: &Actor,
        account: &Account,
        kind: SessionKind,
        device: &Device,
    ) -> Result<NewSession, AppError> {
        self.greet(tx, account, device).await?;
        let session = self.open_session(tx, account, kind, device).await?;
        let actor = proven(actor, account, device);
        let after = json!({ "kind": kind.as_str(), "second_factor": account.totp_enrolled });
        self.record(tx, account.realm, &actor, "session.sign_in", session.session.id, Change::To(after)).await?;
        Ok(session)
    }

    /// Checks the second factor of a sign-in that passed the first.
    pub async fn sign_in_totp(
        &self,
        actor: &Actor,
        challenge: &Secret,
        code: &str,
        device: &Device,
    ) -> Result<NewSession, AppError> {
        self.limit_address(device).await?;
        let hash = token::hash(challenge.expose());
        let (mut tx, account) = self.challenged(actor, &hash).await?;
        let key = self.code_key(account.id);
        self.count_try(&mut tx, account.realm, &key).await?;
        tx.commit().await?;

        let mut tx = self.begin(account.realm).await?;
        if !self.accept_code(&mut tx, &account, code).await? {
            let actor = proven(actor, &account, device);
            self.record(&mut tx, account.realm, &actor, "session.code_failed", account.id, Change::Nothing).await?;
            tx.commit().await?;
            return Err(AppError::CodeWrong);
        }
        if !session::take_challenge(&mut tx, &hash).await? {
            return Err(AppError::ChallengeEnded);
        }
        backoff::clear(&mut tx, &key).await?;
        let session = self.enter(&mut tx, actor, &account, SessionKind::Full, device).await?;
        tx.commit().await?;
        Ok(session)
    }

    async fn challenged(&self, actor: &Actor, hash: &Hash) -> Result<(PgTransaction<'static>, Account), AppError> {
        for realm in access::candidate_realms(actor) {
            let mut tx = self.begin(realm).await?;
            if let Some(id) = session::challenged(&mut tx, hash, self.now()).await? {
                let account = account::get(&mut tx, id).await?.ok_or(AppError::ChallengeEnded)?;
                return Ok((tx, account));
            }
        }
        Err(AppError::ChallengeEnded)
    }
}

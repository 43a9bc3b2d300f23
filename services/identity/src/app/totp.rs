//! Second factors.

use ottery_kernel::AccountId;
use ottery_kit::grpc::Actor;
use ottery_kit::keyring::Place;
use ottery_kit::secret::Secret;
use sqlx::PgConnection;

use super::{App, AppError, Change, NewSession, access};
use crate::domain::token::Hash;
use crate::domain::{Account, SessionKind, totp};
use crate::store::{backoff, second_factor};

/// Whom the code belongs to where there is no brand to name.
const STAFF_ISSUER: &str = "Ottery";

/// A secret to put into an authenticator; shown once.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// For typing in.
    pub secret: Secret,
    /// Behind the QR code.
    pub url: Secret,
}

fn place(account: &Account, column: &'static str) -> Place<'static> {
    Place { table: "second_factor", column, row: account.id.as_uuid(), brand: account.realm.brand() }
}

impl App {
    /// Starts enrolling: one's own account, with a fresh proof. What counted so far counts until the new one is confirmed.
    pub async fn enrol_totp(&self, actor: &Actor, id: AccountId) -> Result<Enrolment, AppError> {
        let (mut tx, account) = self.own_account(actor, id).await?;
        actor.require_recent_auth(self.now())?;
        let profile = self.profile(&mut tx, account.realm).await?;
        let issuer = if account.realm.is_staff() || profile.name.is_empty() { STAFF_ISSUER } else { &profile.name };
        let bytes = totp::new_secret();
        let sealed = self.keyring.seal(&place(&account, "pending_sealed"), &bytes);
        second_factor::set_pending(&mut tx, account.realm, id, &sealed).await?;
        tx.commit().await?;
        let (secret, url) = totp::enrolment(&bytes, issuer, account.email.as_str());
        Ok(Enrolment { secret, url })
    }

    /// Confirms by a code of the new secret. Every session ends; recovery codes and a full session replace them.
    pub async fn confirm_totp(
        &self,
        actor: &Actor,
        id: AccountId,
        session: &Secret,
        code: &str,
    ) -> Result<(Vec<Secret>, NewSession), AppError> {
        let (mut tx, current, account) = self.session_of(actor, session).await?;
        if account.id != id || !access::is_own(actor, id) {
            return Err(AppError::missing("account"));
        }
        let key = self.code_key(id);
        self.count_try(&mut tx, account.realm, &key).await?;
        tx.commit().await?;

        let mut tx = self.begin(account.realm).await?;
        let stored = second_factor::lock(&mut tx, id).await?;
        let pending = stored.and_then(|stored| stored.pending_sealed).ok_or(AppError::NotEnrolling)?;
        let bytes = self.keyring.open(&place(&account, "pending_sealed"), &pending)?;
        let step = totp::matching_step(&bytes, code.trim(), 0, self.now()).ok_or(AppError::CodeWrong)?;
        let sealed = self.keyring.seal(&place(&account, "secret_sealed"), &bytes);
        let codes = totp::new_recovery_codes();
        let hashes: Vec<Hash> = codes.iter().map(|code| self.recovery_hash(id, code.expose())).collect();
        second_factor::confirm(&mut tx, account.realm, id, &sealed, step, &hashes, self.now()).await?;
        backoff::clear(&mut tx, &key).await?;
        self.end_sessions(&mut tx, &account).await?;
        let account = Account { totp_enrolled: true, ..account };
        let fresh = self.open_session(&mut tx, &account, SessionKind::Full, &current.device).await?;
        self.record(&mut tx, account.realm, actor, "totp.enrol", id, Change::Nothing).await?;
        tx.commit().await?;
        Ok((codes, fresh))
    }

    /// Removes a second factor with a fresh proof: one's own, or with `account.manage` that of somebody who lost it. Every
    /// session ends; staff then enrol again when they sign in.
    pub async fn remove_totp(&self, actor: &Actor, id: AccountId) -> Result<(), AppError> {
        let (mut tx, account) = self.reachable_account(actor, id, "account.manage").await?;
        actor.require_recent_auth(self.now())?;
        if second_factor::remove(&mut tx, id).await? {
            self.end_sessions(&mut tx, &account).await?;
            self.record(&mut tx, account.realm, actor, "totp.remove", id, Change::Nothing).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Takes a code or a recovery code in the caller's transaction; each works once.
    pub(super) async fn accept_code(
        &self,
        tx: &mut PgConnection,
        account: &Account,
        code: &str,
    ) -> Result<bool, AppError> {
        let code = code.trim();
        let Some(stored) = second_factor::lock(tx, account.id).await? else { return Ok(false) };
        let Some(sealed) = stored.secret_sealed else { return Ok(false) };
        if !totp::looks_like_code(code) {
            let hash = self.recovery_hash(account.id, code);
            return Ok(second_factor::use_recovery_code(tx, account.id, &hash, self.now()).await?);
        }
        let bytes = self.keyring.open(&place(account, "secret_sealed"), &sealed)?;
        let Some(step) = totp::matching_step(&bytes, code, stored.last_step, self.now()) else { return Ok(false) };
        second_factor::set_last_step(tx, account.id, step).await?;
        Ok(true)
    }

    fn recovery_hash(&self, account: AccountId, code: &str) -> Hash {
        let plain = totp::plain_recovery_code(code);
        self.keyring.keyed_hash("recovery code", format!("{account}\n{plain}").as_bytes())
    }
}

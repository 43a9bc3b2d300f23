//! Passwords: forgotten, chosen for the first time, changed.

use ottery_kernel::AccountId;
use ottery_kit::grpc::Actor;
use ottery_kit::secret::Secret;
use sqlx::postgres::PgTransaction;

use super::{App, AppError, Change, NewSession, access, proven};
use crate::domain::mail::Purpose;
use crate::domain::{Account, Device, Email, Realm, SessionKind, password, token};
use crate::store::{account, mail};

impl App {
    /// Mails a link to whoever has the address; the answer is the same when nobody has.
    pub async fn request_password_reset(&self, actor: &Actor, realm: Realm, email: &str) -> Result<(), AppError> {
        let email = Email::parse(email)?;
        self.limit_address(&Device::new("", actor.client_ip.as_deref().unwrap_or_default())).await?;
        let mut tx = self.begin(realm).await?;
        if let Some(account) = account::by_email(&mut tx, realm, &email).await?
            && self.may_mail("reset", account.id).await
        {
            self.request_mail(&mut tx, &account, Purpose::ResetPassword).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Sets the password by the link of a mail. It signs nobody in, and every session ends.
    pub async fn reset_password(&self, actor: &Actor, token: &Secret, new: &Secret) -> Result<AccountId, AppError> {
        self.limit_address(&Device::new("", actor.client_ip.as_deref().unwrap_or_default())).await?;
        let hash = token::hash(token.expose());
        // The link stays good while its owner looks for a password that is taken.
        let (account, purpose) = self.behind_link(actor, &hash).await?;
        self.judge_password(&account, new).await?;
        let phc = self.hasher.hash(new).await?;

        let mut tx = self.begin(account.realm).await?;
        let account = account::lock(&mut tx, account.id).await?.ok_or(AppError::LinkDead)?;
        if !mail::use_token(&mut tx, &hash, self.now()).await? {
            return Err(AppError::LinkDead);
        }
        self.replace_password(&mut tx, &account, &phc).await?;
        self.note_verified(&mut tx, &account).await?;
        let action = if purpose == Purpose::StaffInvitation { "password.choose" } else { "password.reset" };
        let actor = proven(actor, &account, &Device::default());
        self.record(&mut tx, account.realm, &actor, action, account.id, Change::Nothing).await?;
        tx.commit().await?;
        Ok(account.id)
    }

    async fn behind_link(&self, actor: &Actor, hash: &token::Hash) -> Result<(Account, Purpose), AppError> {
        for realm in access::candidate_realms(actor) {
            let mut tx = self.begin(realm).await?;
            let open = mail::by_token(&mut tx, hash, self.now()).await?.filter(|open| open.purpose.sets_password());
            if let Some(open) = open {
                let account = account::get(&mut tx, open.account).await?.ok_or(AppError::LinkDead)?;
                return Ok((account, open.purpose));
            }
        }
        Err(AppError::LinkDead)
    }

    async fn judge_password(&self, account: &Account, new: &Secret) -> Result<(), AppError> {
        let profile = self.profile(&mut *self.begin(account.realm).await?, account.realm).await?;
        let words = [account.email.local(), &account.display_name, &profile.name, &profile.slug];
        Ok(password::check(new.expose(), account.realm.is_staff(), words)?)
    }

    /// Stores another password; every session and every link that could set one ends, and the owner is told.
    async fn replace_password(&self, tx: &mut PgTransaction<'_>, account: &Account, phc: &str) -> Result<(), AppError> {
        let now = self.now();
        account::set_password(tx, account.id, phc, now).await?;
        mail::void_password_links(tx, account.id, now).await?;
        self.end_sessions(tx, account).await?;
        if account.password_hash.is_some() {
            self.request_mail(tx, account, Purpose::PasswordChanged).await?;
        }
        Ok(())
    }

    /// Changes one's own password; all sessions end, and a fresh one replaces the caller's.
    pub async fn change_password(
        &self,
        actor: &Actor,
        secret: &Secret,
        current: &Secret,
        new: &Secret,
    ) -> Result<NewSession, AppError> {
        let (session, seen) = self.prove_password(actor, secret, current).await?;
        if session.kind == SessionKind::Enrolment {
            return Err(AppError::EnrolmentRequired);
        }
        self.judge_password(&seen, new).await?;
        let phc = self.hasher.hash(new).await?;
        let mut tx = self.begin(seen.realm).await?;
        let account = account::lock(&mut tx, seen.id).await?.ok_or(AppError::SessionEnded)?;
        if account.password_hash != seen.password_hash {
            return Err(AppError::ProofFailed);
        }
        self.replace_password(&mut tx, &account, &phc).await?;
        let fresh = self.open_session(&mut tx, &account, SessionKind::Full, &session.device).await?;
        let actor = proven(actor, &account, &session.device);
        self.record(&mut tx, account.realm, &actor, "password.change", account.id, Change::Nothing).await?;
        tx.commit().await?;
        Ok(fresh)
    }
}

//! Asking for mails, and the tokens of their links.

use chrono::{DateTime, Utc};
use ottery_kernel::AccountId;
use ottery_kit::grpc::{Actor, Problem};
use ottery_kit::secret::Secret;
use sqlx::postgres::PgTransaction;

use super::{App, AppError, Change, customer_realm, proven};
use crate::domain::mail::{MailRequestId, Purpose};
use crate::domain::{Account, Device, Realm, token};
use crate::events::publish;
use crate::store::{account, mail};

/// The only service that may hold tokens of links: it puts them into mails.
const MAILER: &str = "notification";

/// A token fresh from the mint.
#[derive(Clone, Debug)]
pub struct MintedToken {
    /// The token; nobody sees it again.
    pub token: Secret,
    /// When it stops working.
    pub expires_at: DateTime<Utc>,
    /// Whose link it is.
    pub account: AccountId,
}

impl App {
    /// Asks for a mail in the caller's transaction.
    pub(super) async fn request_mail(
        &self,
        tx: &mut PgTransaction<'_>,
        account: &Account,
        purpose: Purpose,
    ) -> sqlx::Result<()> {
        let now = self.now();
        let id = MailRequestId::new(now);
        mail::insert(tx, id, account, purpose, now).await?;
        let told_at = self.event_time(tx, account.realm).await?;
        publish::mail_requested(tx, id, account, purpose, told_at).await
    }

    /// Mints the token of a requested mail's link, in place of the one minted before.
    pub async fn mint_mail_token(&self, actor: &Actor, id: MailRequestId) -> Result<MintedToken, AppError> {
        if !actor.is_service() || actor.subject != MAILER {
            return Err(
                Problem::denied("MAILER_ONLY", "only the service that sends mails may have their tokens").into()
            );
        }
        let mut tx = self.begin(Realm::of(actor.brand)).await?;
        let open = mail::lock_open(&mut tx, id).await?.ok_or(AppError::missing("mail"))?;
        let lifetime = open.purpose.token_lifetime().ok_or(AppError::MailWithoutLink)?;
        let (token, hash) = token::mint();
        let expires_at = self.now() + lifetime;
        mail::set_token(&mut tx, id, &hash, expires_at).await?;
        tx.commit().await?;
        Ok(MintedToken { token, expires_at, account: open.account })
    }

    /// Proves an address by the token of its mail.
    pub async fn verify_email(&self, actor: &Actor, token: &Secret) -> Result<AccountId, AppError> {
        let realm = customer_realm(actor)?;
        let (hash, now) = (token::hash(token.expose()), self.now());
        let mut tx = self.begin(realm).await?;
        let open = mail::by_token(&mut tx, &hash, now).await?.filter(|open| open.purpose == Purpose::VerifyEmail);
        let open = open.ok_or(AppError::LinkDead)?;
        let account = account::lock(&mut tx, open.account).await?.ok_or(AppError::LinkDead)?;
        if !mail::use_token(&mut tx, &hash, now).await? {
            return Err(AppError::LinkDead);
        }
        self.note_verified(&mut tx, &account).await?;
        let actor = proven(actor, &account, &Device::default());
        self.record(&mut tx, realm, &actor, "account.verify_email", account.id, Change::Nothing).await?;
        tx.commit().await?;
        Ok(account.id)
    }

    /// Notes in the caller's transaction that the address was proven, once.
    pub(super) async fn note_verified(&self, tx: &mut PgTransaction<'_>, account: &Account) -> sqlx::Result<()> {
        if account.email_verified {
            return Ok(());
        }
        account::verify_email(tx, account.id, self.now()).await?;
        let told_at = self.event_time(tx, account.realm).await?;
        publish::verified(tx, account, told_at).await
    }

    /// Sends the verification mail again.
    pub async fn resend_verification(&self, actor: &Actor, id: AccountId) -> Result<(), AppError> {
        let (mut tx, account) = self.reachable_account(actor, id, "account.manage").await?;
        if account.email_verified {
            return Ok(());
        }
        if !self.may_mail("verify", id).await {
            return Err(AppError::TooManyTries { retry_after: chrono::TimeDelta::minutes(15) });
        }
        self.request_mail(&mut tx, &account, Purpose::VerifyEmail).await?;
        tx.commit().await?;
        Ok(())
    }
}

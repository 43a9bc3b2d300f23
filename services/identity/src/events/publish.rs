//! Domain to contract.

use chrono::{DateTime, Utc};
use ottery_kernel::SessionId;
use ottery_kit::outbox::{Event, append};
use ottery_proto::identity::v1::mail_requested::Purpose as ProtoPurpose;
use ottery_proto::identity::v1::{AccountRegistered, AccountVerified, MailRequested, SessionRevoked};
use sqlx::postgres::PgTransaction;

use crate::domain::Account;
use crate::domain::mail::{MailRequestId, Purpose};
use crate::store::account::next_event_version;

/// `identity.account.registered.v1`
pub async fn registered(tx: &mut PgTransaction<'_>, account: &Account, now: DateTime<Utc>) -> sqlx::Result<()> {
    let version = next_event_version(tx, account.id).await?;
    let payload = AccountRegistered {
        account_id: account.id.to_string(),
        email: account.email.to_string(),
        display_name: account.display_name.clone(),
        locale: account.locale.clone(),
        country: account.country.clone(),
    };
    // A hint: nobody keeps a copy of accounts yet.
    let event = Event::new("identity.account.registered.v1", account.id, version, account.realm.brand(), now, &payload)
        .optional();
    append(tx, event).await?;
    Ok(())
}

/// `identity.account.verified.v1`
pub async fn verified(tx: &mut PgTransaction<'_>, account: &Account, now: DateTime<Utc>) -> sqlx::Result<()> {
    let version = next_event_version(tx, account.id).await?;
    let payload = AccountVerified { account_id: account.id.to_string(), email: account.email.to_string() };
    let event = Event::new("identity.account.verified.v1", account.id, version, account.realm.brand(), now, &payload);
    // Whoever needs it now asks; nothing is lost when nobody listens.
    append(tx, event.optional()).await?;
    Ok(())
}

/// `identity.mail.requested.v1`
pub async fn mail_requested(
    tx: &mut PgTransaction<'_>,
    id: MailRequestId,
    account: &Account,
    purpose: Purpose,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let purpose = match purpose {
        Purpose::VerifyEmail => ProtoPurpose::VerifyEmail,
        Purpose::ResetPassword => ProtoPurpose::ResetPassword,
        Purpose::AlreadyRegistered => ProtoPurpose::AlreadyRegistered,
        Purpose::StaffInvitation => ProtoPurpose::StaffInvitation,
        Purpose::NewDevice => ProtoPurpose::NewDevice,
        Purpose::PasswordChanged => ProtoPurpose::PasswordChanged,
    };
    let payload = MailRequested {
        mail_request_id: id.to_string(),
        account_id: account.id.to_string(),
        purpose: purpose.into(),
        email: account.email.to_string(),
        locale: account.locale.clone(),
        display_name: account.display_name.clone(),
    };
    append(tx, Event::new("identity.mail.requested.v1", id, 0, account.realm.brand(), now, &payload)).await?;
    Ok(())
}

/// `identity.session.revoked.v1`, a hint for caches: of one session, or of all.
pub async fn session_revoked(
    tx: &mut PgTransaction<'_>,
    account: &Account,
    session: Option<SessionId>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let payload = SessionRevoked {
        account_id: account.id.to_string(),
        session_id: session.map(|id| id.to_string()).unwrap_or_default(),
    };
    let event = Event::new("identity.session.revoked.v1", account.id, 0, account.realm.brand(), now, &payload);
    append(tx, event.optional()).await?;
    Ok(())
}

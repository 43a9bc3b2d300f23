//! New customers.

use ottery_kernel::{AccountId, BrandId};
use ottery_kit::grpc::Actor;
use ottery_kit::secret::Secret;
use serde_json::json;
use sqlx::PgConnection;

use super::{App, AppError, Change, NewSession, customer_realm, proven};
use crate::domain::mail::Purpose;
use crate::domain::{Account, Device, Email, Realm, SessionKind, account, password};
use crate::events::publish;
use crate::store::{account as store, brand};

const FALLBACK_LOCALE: &str = "en";

/// What a new customer says.
#[derive(Clone, Debug)]
pub struct SignUp {
    /// Address.
    pub email: String,
    /// Chosen password.
    pub password: Secret,
    /// Language tag; empty takes the brand's.
    pub locale: String,
    /// Country code, or empty.
    pub country: String,
    /// Name, or empty.
    pub display_name: String,
    /// From where.
    pub device: Device,
}

impl App {
    /// Creates a customer of the call's brand and signs them in; none when the address is taken, whose owner is told instead.
    pub async fn sign_up(&self, actor: &Actor, wish: SignUp) -> Result<Option<NewSession>, AppError> {
        let realm = customer_realm(actor)?;
        let email = Email::parse(&wish.email)?;
        let display_name = account::display_name(&wish.display_name)?;
        let country = account::country(&wish.country)?;
        let profile = self.profile(&mut *self.begin(realm).await?, realm).await?;
        let locale = account::locale(&wish.locale, &profile.default_locale)?;
        let words = [email.local(), &display_name, &profile.name, &profile.slug];
        password::check(wish.password.expose(), realm.is_staff(), words)?;
        self.limit_sign_ups(&wish.device).await?;
        // Before looking whether the address is taken: the answer takes as long either way.
        let password_hash = self.hasher.hash(&wish.password).await?;
        let now = self.now();
        let account = Account {
            id: AccountId::new(now),
            realm,
            email,
            password_hash: Some(password_hash),
            email_verified: false,
            display_name,
            locale,
            country,
            totp_enrolled: false,
            created_at: now,
        };
        let mut tx = self.begin(realm).await?;
        if !store::insert(&mut tx, &account).await? {
            let owner = store::by_email(&mut tx, realm, &account.email).await?.ok_or(AppError::missing("account"))?;
            if self.may_mail("taken", owner.id).await {
                self.request_mail(&mut tx, &owner, Purpose::AlreadyRegistered).await?;
            }
            tx.commit().await?;
            return Ok(None);
        }
        let told_at = self.event_time(&mut tx, realm).await?;
        publish::registered(&mut tx, &account, told_at).await?;
        self.request_mail(&mut tx, &account, Purpose::VerifyEmail).await?;
        self.greet(&mut tx, &account, &wish.device).await?;
        let session = self.open_session(&mut tx, &account, SessionKind::Full, &wish.device).await?;
        let actor = proven(actor, &account, &wish.device);
        let after = json!({ "locale": account.locale, "country": account.country });
        self.record(&mut tx, realm, &actor, "account.sign_up", account.id, Change::To(after)).await?;
        tx.commit().await?;
        Ok(Some(session))
    }

    /// What is known of the realm's brand; a plain default before its news has come, and for staff.
    pub(super) async fn profile(&self, tx: &mut PgConnection, realm: Realm) -> sqlx::Result<brand::Profile> {
        let unknown = brand::Profile { default_locale: FALLBACK_LOCALE.to_owned(), ..brand::Profile::default() };
        let Some(brand): Option<BrandId> = realm.brand() else { return Ok(unknown) };
        Ok(brand::get(tx, brand).await?.unwrap_or(unknown))
    }
}

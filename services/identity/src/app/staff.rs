//! Staff: the first owner, invitations, grants.

use ottery_kernel::{AccountId, BrandId, GrantId};
use ottery_kit::grpc::{Actor, ActorKind, Problem};
use ottery_kit::secret::Secret;
use serde_json::json;
use sqlx::postgres::PgTransaction;
use subtle::ConstantTimeEq as _;

use super::{App, AppError, Change, NewSession, access, proven};
use crate::domain::mail::Purpose;
use crate::domain::role::{self, Held, effective};
use crate::domain::{Account, Device, Email, Invalid, Realm, Role, SessionKind, account, password, token};
use crate::store::{account as store, grant, setup};

const STAFF_LOCALE: &str = "en";

impl App {
    /// Whether the first owner can still be made by the token that was printed.
    pub async fn is_setup_open(&self) -> Result<bool, AppError> {
        let mut tx = self.begin(Realm::Staff).await?;
        Ok(setup::is_open(&mut tx).await?)
    }

    /// Makes the first owner and closes the way in for ever.
    pub async fn complete_setup(
        &self,
        actor: &Actor,
        setup_token: &Secret,
        email: &str,
        chosen: &Secret,
        display_name: &str,
        device: &Device,
    ) -> Result<NewSession, AppError> {
        self.limit_address(device).await?;
        self.check_setup_token(&mut *self.begin(Realm::Staff).await?, setup_token).await?;
        let email = Email::parse(email)?;
        let display_name = account::display_name(display_name)?;
        password::check(chosen.expose(), true, [email.local(), &display_name])?;
        let phc = self.hasher.hash(chosen).await?;

        let mut tx = self.begin(Realm::Staff).await?;
        self.check_setup_token(&mut tx, setup_token).await?;
        let owner = Account { password_hash: Some(phc), email_verified: true, ..self.new_staff(email, display_name) };
        if !store::insert(&mut tx, &owner).await? {
            return Err(
                Invalid::new("email", "EMAIL_TAKEN", "a member of staff has this address; use another one").into()
            );
        }
        setup::close(&mut tx, owner.id, owner.created_at).await?;
        let held = Held { role: Role::Owner, brand: None };
        let id = GrantId::new(owner.created_at);
        grant::insert(&mut tx, grant::Stored { id, account: owner.id, held }, "setup", owner.created_at).await?;
        self.greet(&mut tx, &owner, device).await?;
        let session = self.open_session(&mut tx, &owner, SessionKind::Enrolment, device).await?;
        let actor = proven(actor, &owner, device);
        self.record(&mut tx, Realm::Staff, &actor, "setup.complete", owner.id, Change::To(json!({ "role": "owner" })))
            .await?;
        tx.commit().await?;
        Ok(session)
    }

    async fn check_setup_token(&self, tx: &mut sqlx::PgConnection, given: &Secret) -> Result<(), AppError> {
        let stored = setup::lock_open(tx).await?.ok_or(AppError::SetupClosed)?;
        let is_right: bool = stored.ct_eq(&token::hash(given.expose().trim())).into();
        if is_right { Ok(()) } else { Err(AppError::SetupTokenWrong) }
    }

    fn new_staff(&self, email: Email, display_name: String) -> Account {
        let now = self.now();
        Account {
            id: AccountId::new(now),
            realm: Realm::Staff,
            email,
            password_hash: None,
            email_verified: false,
            display_name,
            locale: STAFF_LOCALE.to_owned(),
            country: String::new(),
            totp_enrolled: false,
            created_at: now,
        }
    }

    /// Invites somebody by mail with a first grant; who is there already only gets the grant.
    pub async fn invite_staff(
        &self,
        actor: &Actor,
        email: &str,
        display_name: &str,
        held: Held,
    ) -> Result<AccountId, AppError> {
        self.may_grant(actor, held)?;
        let email = Email::parse(email)?;
        let fresh = self.new_staff(email, account::display_name(display_name)?);
        let mut tx = self.begin(Realm::Staff).await?;
        let is_new = store::insert(&mut tx, &fresh).await?;
        let account =
            store::by_email(&mut tx, Realm::Staff, &fresh.email).await?.ok_or(AppError::missing("account"))?;
        if account.password_hash.is_none() && self.may_mail("invite", account.id).await {
            self.request_mail(&mut tx, &account, Purpose::StaffInvitation).await?;
        }
        self.add_grant(&mut tx, actor, &account, held).await?;
        if is_new {
            self.record(&mut tx, Realm::Staff, actor, "staff.invite", account.id, Change::Nothing).await?;
        }
        tx.commit().await?;
        Ok(account.id)
    }

    /// Gives a role to a member of staff. Their sessions end: what they may do next starts with a fresh sign-in.
    pub async fn grant_role(&self, actor: &Actor, id: AccountId, held: Held) -> Result<grant::Stored, AppError> {
        self.may_grant(actor, held)?;
        let mut tx = self.begin(Realm::Staff).await?;
        let account = store::lock(&mut tx, id).await?.ok_or(AppError::missing("account"))?;
        let granted = self.add_grant(&mut tx, actor, &account, held).await?;
        tx.commit().await?;
        Ok(granted)
    }

    async fn add_grant(
        &self,
        tx: &mut PgTransaction<'_>,
        actor: &Actor,
        account: &Account,
        held: Held,
    ) -> Result<grant::Stored, AppError> {
        let now = self.now();
        let wanted = grant::Stored { id: GrantId::new(now), account: account.id, held };
        let before = self.holdings(tx, account.id).await?;
        let (id, is_new) = grant::insert(tx, wanted, &actor.subject, now).await?;
        if is_new {
            self.end_sessions_when_changed(tx, account, &before, held.brand).await?;
            self.record(tx, Realm::Staff, actor, "grant.create", account.id, Change::To(describe(held))).await?;
        }
        Ok(grant::Stored { id, ..wanted })
    }

    async fn holdings(&self, tx: &mut PgTransaction<'_>, id: AccountId) -> sqlx::Result<Vec<Held>> {
        Ok(grant::list(tx, id).await?.into_iter().map(|grant| grant.held).collect())
    }

    /// A session never outlives a change of what it allows.
    async fn end_sessions_when_changed(
        &self,
        tx: &mut PgTransaction<'_>,
        account: &Account,
        before: &[Held],
        brand: Option<BrandId>,
    ) -> sqlx::Result<()> {
        let after = self.holdings(tx, account.id).await?;
        let allowed = |held: &[Held]| {
            role::PERMISSIONS.iter().map(|p| role::allows(&effective(held, brand), p)).collect::<Vec<_>>()
        };
        if allowed(before) != allowed(&after) {
            self.end_sessions(tx, account).await?;
        }
        Ok(())
    }

    /// Takes a grant away; its holder's sessions end.
    pub async fn revoke_grant(&self, actor: &Actor, id: GrantId) -> Result<(), AppError> {
        actor.require("grant.manage")?;
        let mut tx = self.begin(Realm::Staff).await?;
        let found =
            grant::lock(&mut tx, id).await?.filter(|found| actor.brand.is_none() || found.held.brand == actor.brand);
        let found = found.ok_or(AppError::missing("grant"))?;
        self.may_grant(actor, found.held)?;
        if found.held == (Held { role: Role::Owner, brand: None }) && grant::lock_platform_owners(&mut tx).await? <= 1 {
            return Err(AppError::LastOwner);
        }
        let account = store::lock(&mut tx, found.account).await?.ok_or(AppError::missing("grant"))?;
        let before = self.holdings(&mut tx, account.id).await?;
        grant::delete(&mut tx, id).await?;
        self.end_sessions_when_changed(&mut tx, &account, &before, found.held.brand).await?;
        self.record(&mut tx, Realm::Staff, actor, "grant.revoke", account.id, Change::From(describe(found.held)))
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// What a member of staff holds: oneself, or with `grant.manage`. A call in a brand sees what counts there.
    pub async fn list_grants(&self, actor: &Actor, id: AccountId) -> Result<Vec<grant::Stored>, AppError> {
        if !access::is_own(actor, id) {
            if matches!(actor.kind, ActorKind::Anonymous | ActorKind::Customer) {
                return Err(AppError::missing("account"));
            }
            actor.require("grant.manage")?;
        } else if actor.kind != ActorKind::Staff {
            return Ok(Vec::new());
        }
        let mut tx = self.begin(Realm::Staff).await?;
        let grants = grant::list(&mut tx, id).await?;
        let counts = |grant: &grant::Stored| actor.brand.is_none() || !effective(&[grant.held], actor.brand).is_empty();
        Ok(grants.into_iter().filter(counts).collect())
    }

    /// Nobody hands out, or takes away, more than they hold themselves, nor anywhere else.
    fn may_grant(&self, actor: &Actor, held: Held) -> Result<(), AppError> {
        actor.require("grant.manage")?;
        // A key that hands out roles could raise its own maker, or outlive them.
        if actor.kind == ActorKind::ApiKey {
            return Err(Problem::denied("STAFF_ONLY", "roles are given and taken by members of staff").into());
        }
        actor.require_recent_auth(self.now())?;
        if let Some(own) = actor.brand
            && held.brand != Some(own)
        {
            return Err(outside(held.brand));
        }
        match held.role.permissions().iter().find(|permission| !actor.has(permission)) {
            None => Ok(()),
            Some(permission) => Err(AppError::NotYours { permission: (*permission).to_owned() }),
        }
    }
}

fn outside(wanted: Option<BrandId>) -> AppError {
    match wanted {
        Some(_) => Problem::not_found("BRAND_NOT_FOUND", "no brand of that id").into(),
        None => Problem::denied("PLATFORM_ONLY", "roles on the whole platform are granted outside any brand").into(),
    }
}

fn describe(held: Held) -> serde_json::Value {
    json!({ "role": held.role.as_str(), "brand": held.brand.map(|brand| brand.to_string()) })
}

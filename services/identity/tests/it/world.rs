//! Identity over a database of its own, called as the gateway calls it.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use identity::app::{App, Parts};
use identity::grpc::Api;
use ottery_kernel::{BrandId, Clock as _, ManualClock};
use ottery_kit::grpc::{Actor, ActorKind, Problem, Request, Status};
use ottery_kit::keyring::Keyring;
use ottery_kit::limit::LocalLimiter;
use ottery_proto::identity::v1::identity_service_server::IdentityService as _;
use ottery_proto::identity::v1::*;
use ottery_testkit::TestDatabase;
use ottery_testkit::recorder::outbox;
use prost::Message as _;

pub const HOME: &str = "203.0.113.7";
pub const PASSWORD: &str = "correct staple battery";
pub const STAFF_PASSWORD: &str = "violet harbour engine";

pub struct World {
    pub api: Api,
    pub clock: Arc<ManualClock>,
    pub keyring: Keyring,
    pub database: TestDatabase,
    pub brand: BrandId,
}

pub fn config() -> identity::Config {
    identity::Config {
        password_memory_kib: 19_456,
        password_passes: 2,
        password_lanes: 1,
        password_queue: 20,
        tries_per_address_per_minute: 10_000,
        tries_per_minute: 10_000,
        sign_ups_per_address_per_hour: 10_000,
        mails_per_account_per_hour: 3,
    }
}

pub async fn world() -> World {
    world_with(config()).await
}

pub async fn world_with(config: identity::Config) -> World {
    let database = ottery_testkit::database(identity::NAME, &identity::MIGRATIONS).await;
    let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH + TimeDelta::days(20_000)));
    let keyring = Keyring::ephemeral();
    let app = app(&database, &clock, &keyring, &config);
    let brand = BrandId::new(clock.now());
    World { api: Api::new(app), clock, keyring, database, brand }
}

fn app(database: &TestDatabase, clock: &Arc<ManualClock>, keyring: &Keyring, config: &identity::Config) -> App {
    let parts = Parts {
        pool: database.pool.clone(),
        clock: clock.clone(),
        keyring: keyring.clone(),
        limiter: Arc::new(LocalLimiter::new()),
    };
    App::try_new(parts, config).unwrap()
}

/// A request as it arrives behind kit's checks.
pub fn call<T>(actor: &Actor, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Actor { request_id: "req-1".to_owned(), ..actor.clone() });
    request
}

pub fn device(user_agent: &str, client_ip: &str) -> Option<Device> {
    Some(Device { user_agent: user_agent.to_owned(), client_ip: client_ip.to_owned() })
}

pub fn reason(status: Status) -> String {
    Problem::from(status).reason.into_owned()
}

/// The code an authenticator shows.
pub fn code(secret_base32: &str, now: DateTime<Utc>) -> String {
    let bytes = totp_rs::Secret::Encoded(secret_base32.to_owned()).to_bytes().unwrap();
    let totp = totp_rs::TOTP::new_unchecked(totp_rs::Algorithm::SHA1, 6, 0, 30, bytes, None, String::new());
    totp.generate(now.timestamp().unsigned_abs())
}

/// A member of staff who is signed in with both factors.
pub struct Staff {
    pub account: String,
    pub session: String,
    pub totp: String,
    pub recovery: Vec<String>,
}

impl World {
    /// The same database under other settings.
    pub fn reconfigured(&self, config: &identity::Config) -> Api {
        Api::new(app(&self.database, &self.clock, &self.keyring, config))
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub fn advance(&self, by: TimeDelta) {
        self.clock.advance(by);
    }

    pub fn visitor(&self) -> Actor {
        Actor::anonymous(Some(self.brand))
    }

    /// Staff before they are signed in.
    pub fn stranger(&self) -> Actor {
        Actor::anonymous(None)
    }

    pub fn customer(&self, account: &str) -> Actor {
        Actor { authenticated_at: Some(self.now()), ..Actor::new(ActorKind::Customer, account, Some(self.brand)) }
    }

    pub fn staff(&self, account: &str, brand: Option<BrandId>, permissions: &[&str]) -> Actor {
        let actor = Actor::new(ActorKind::Staff, account, brand).with_permissions(permissions.iter().copied());
        Actor { authenticated_at: Some(self.now()), ..actor }
    }

    /// Signs a customer up; account and session secret.
    pub async fn sign_up(&self, email: &str) -> (String, String) {
        let reply = self.try_sign_up(email).await.unwrap();
        assert!(reply.created);
        (reply.account_id, reply.session.unwrap().secret)
    }

    pub async fn try_sign_up(&self, email: &str) -> Result<SignUpReply, Status> {
        let request = SignUpRequest {
            email: email.to_owned(),
            password: PASSWORD.to_owned(),
            device: device("Firefox", HOME),
            ..SignUpRequest::default()
        };
        self.api.sign_up(call(&self.visitor(), request)).await.map(|reply| reply.into_inner())
    }

    pub async fn sign_in(&self, email: &str, password: &str, from: Option<Device>) -> Result<SignInReply, Status> {
        let request = SignInRequest {
            realm: Realm::Customer.into(),
            email: email.to_owned(),
            password: password.to_owned(),
            device: from,
        };
        self.api.sign_in(call(&self.visitor(), request)).await.map(|reply| reply.into_inner())
    }

    pub async fn staff_sign_in(&self, email: &str, password: &str) -> Result<SignInReply, Status> {
        let request = SignInRequest {
            realm: Realm::Staff.into(),
            email: email.to_owned(),
            password: password.to_owned(),
            device: device("Firefox", HOME),
        };
        self.api.sign_in(call(&self.stranger(), request)).await.map(|reply| reply.into_inner())
    }

    pub async fn authenticate(&self, session: &str) -> Result<AuthenticateReply, Status> {
        self.authenticate_in(&self.visitor(), Realm::Customer, session).await
    }

    pub async fn authenticate_in(
        &self,
        actor: &Actor,
        realm: Realm,
        session: &str,
    ) -> Result<AuthenticateReply, Status> {
        let request =
            AuthenticateRequest { session_secret: session.to_owned(), realm: realm.into(), client_ip: HOME.to_owned() };
        self.api.authenticate(call(actor, request)).await.map(|reply| reply.into_inner())
    }

    /// What the mails that were asked for say, oldest first.
    pub async fn mails(&self, purpose: mail_requested::Purpose) -> Vec<MailRequested> {
        let events = outbox(&self.database.admin_pool).await;
        let mails = events.iter().filter(|event| event.r#type == "identity.mail.requested.v1");
        mails
            .map(|event| MailRequested::decode(event.payload.as_slice()).unwrap())
            .filter(|mail| mail.purpose() == purpose)
            .collect()
    }

    /// The token of the newest mail of a purpose, as the mailer gets it.
    pub async fn link(&self, brand: Option<BrandId>, purpose: mail_requested::Purpose) -> String {
        let mail = self.mails(purpose).await.pop().expect("a mail was asked for");
        self.mint(brand, &mail.mail_request_id).await.unwrap().token
    }

    pub async fn mint(&self, brand: Option<BrandId>, id: &str) -> Result<MintMailTokenReply, Status> {
        let request = MintMailTokenRequest { mail_request_id: id.to_owned() };
        let mailer = Actor::service("notification", brand);
        self.api.mint_mail_token(call(&mailer, request)).await.map(|reply| reply.into_inner())
    }

    pub async fn reset(&self, actor: &Actor, token: &str, password: &str) -> Result<ResetPasswordReply, Status> {
        let request = ResetPasswordRequest { token: token.to_owned(), password: password.to_owned() };
        self.api.reset_password(call(actor, request)).await.map(|reply| reply.into_inner())
    }

    /// Enrols a second factor with an open session.
    pub async fn enrol(&self, actor: &Actor, session: &str) -> (String, ConfirmTotpReply) {
        let account_id = actor.subject.clone();
        let enrol = EnrolTotpRequest { account_id: account_id.clone() };
        let secret = self.api.enrol_totp(call(actor, enrol)).await.unwrap().into_inner().secret;
        let confirm =
            ConfirmTotpRequest { account_id, session_secret: session.to_owned(), code: code(&secret, self.now()) };
        let confirmed = self.api.confirm_totp(call(actor, confirm)).await.unwrap().into_inner();
        (secret, confirmed)
    }

    /// The first owner, through set-up and enrolment.
    pub async fn owner(&self) -> Staff {
        let token = identity::setup_token(&self.database.pool).await.unwrap().expect("minted once");
        let request = CompleteSetupRequest {
            setup_token: token.expose().to_owned(),
            email: "olga@operator.example".to_owned(),
            password: STAFF_PASSWORD.to_owned(),
            display_name: "Olga".to_owned(),
            device: device("Firefox", HOME),
        };
        let done = self.api.complete_setup(call(&self.stranger(), request)).await.unwrap().into_inner();
        self.enrolled(&done.account_id, &done.enrolment.unwrap().secret).await
    }

    async fn enrolled(&self, account: &str, session: &str) -> Staff {
        let (totp, confirmed) = self.enrol(&self.staff(account, None, &[]), session).await;
        Staff {
            account: account.to_owned(),
            session: confirmed.session.unwrap().secret,
            totp,
            recovery: confirmed.recovery_codes,
        }
    }

    /// A member of staff with a role, through invitation, first password and enrolment.
    pub async fn hire(&self, email: &str, role: &str, brand: Option<BrandId>) -> Staff {
        let request = InviteStaffRequest {
            email: email.to_owned(),
            display_name: String::new(),
            role: role.to_owned(),
            brand_id: brand.map(|brand| brand.to_string()).unwrap_or_default(),
        };
        let owner = self.staff("acc_owner", None, &["*"]);
        let account = self.api.invite_staff(call(&owner, request)).await.unwrap().into_inner().account_id;
        let token = self.link(None, mail_requested::Purpose::StaffInvitation).await;
        self.reset(&self.stranger(), &token, STAFF_PASSWORD).await.unwrap();
        let outcome = self.staff_sign_in(email, STAFF_PASSWORD).await.unwrap().outcome.unwrap();
        let sign_in_reply::Outcome::Enrolment(session) = outcome else { panic!("staff without a factor only enrol") };
        self.enrolled(&account, &session.secret).await
    }

    /// Actions in the chain of a brand (or the platform), oldest first.
    pub async fn actions(&self, brand: Option<BrandId>) -> Vec<String> {
        sqlx::query_scalar("SELECT action FROM audit_entry WHERE brand_id IS NOT DISTINCT FROM $1 ORDER BY sequence")
            .bind(brand.map(|brand| brand.as_uuid()))
            .fetch_all(&self.database.admin_pool)
            .await
            .unwrap()
    }

    pub async fn healthy(&self) {
        let findings = identity::invariants(&self.database.pool).await.unwrap();
        let own: Vec<_> = findings.iter().filter(|finding| !finding.invariant.starts_with("outbox")).collect();
        assert!(own.is_empty(), "{own:?}");
    }
}

/// The session of a sign-in that needed nothing more.
pub fn session(reply: SignInReply) -> Session {
    match reply.outcome.unwrap() {
        sign_in_reply::Outcome::Session(session) => session,
        other => panic!("no session but {other:?}"),
    }
}

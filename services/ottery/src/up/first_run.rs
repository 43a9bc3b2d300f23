//! The first start: an owner, and for a demo a brand with panel, plans and a customer.
//!
//! Everything is said over the same calls a person's browser causes, nothing is written behind a service's back.

use std::time::Duration;

use anyhow::Context;
use ottery_kernel::BrandId;
use ottery_kit::Host;
use ottery_kit::grpc::{Actor, ActorKind, CallContext, Channel};
use ottery_proto::common::v1::ActorContext;
use ottery_proto::identity::v1::identity_service_client::IdentityServiceClient;
use ottery_proto::identity::v1::{
    AuthenticateRequest, CompleteSetupRequest, ConfirmTotpRequest, CreateApiKeyRequest, Device, EnrolTotpRequest,
    Realm, Session, SignUpRequest,
};
use totp_rs::{Algorithm, Secret, TOTP};

use super::entrance::Entrance;
use super::state::{DataFolder, People, SandboxState, State, random_hex};
use crate::services;

const OWNER: &str = "owner@ottery.localhost";
const CUSTOMER: &str = "ada@example.org";
const API_PERMISSIONS: [&str; 22] = [
    "account.read",
    "affiliate.read",
    "analytics.read",
    "audit.read",
    "brand.read",
    "brand.update",
    "clock.advance",
    "delivery.read",
    "invoice.manage",
    "invoice.read",
    "invoice.refund",
    "ledger.read",
    "order.read",
    "panel.read",
    "plan.read",
    "plan.update",
    "service.manage",
    "service.read",
    "subscription.manage",
    "subscription.read",
    "ticket.read",
    "ticket.reply",
];
/// What `ottery apply` needs, in brands that are there and those that it makes.
const APPLY_PERMISSIONS: [&str; 6] =
    ["brand.read", "brand.update", "panel.read", "panel.update", "plan.read", "plan.update"];
/// Argon2 takes its time on a busy machine.
const SLOW_CALL: Duration = Duration::from_secs(20);

/// Mints the set-up token, and for a demo uses it: owner, brand, customer, key, once; webhooks at each start.
///
/// # Errors
/// The first call that was refused, or the disk.
pub async fn run(
    host: &Host,
    folder: &DataFolder,
    state: &mut State,
    with_demo: bool,
    entrance: Entrance,
) -> anyhow::Result<()> {
    setup_token(host, folder, state).await?;
    if let Some(sandbox) = state.sandbox.clone().filter(|_| with_demo) {
        if state.people.is_none() {
            let token = state.setup_token.clone().context("the set-up token of this data folder is lost")?;
            state.people = Some(demo(host, &sandbox, &token).await?);
            state.setup_token = None;
            folder.remember(state)?;
        }
        if let Some(people) = &state.people {
            connect_webhooks(host, &sandbox, &people.brand_id, entrance).await?;
        }
    }
    if let Some(token) = &state.setup_token {
        folder.write_private("setup-token", token)?;
    }
    // For `ottery apply --data-dir`.
    folder.write_private(super::state::ADDRESS_FILE, &entrance.origin("127.0.0.1"))
}

/// The single-use set-up token, when it was not used yet: minted once and remembered until then.
///
/// # Errors
/// Identity's database, or the disk.
async fn setup_token(host: &Host, folder: &DataFolder, state: &mut State) -> anyhow::Result<()> {
    let pool = host.pool(identity::NAME).await?;
    let minted = identity::setup_token(&pool).await;
    pool.close().await;
    if let Some(token) = minted? {
        state.setup_token = Some(token.expose().to_owned());
        folder.remember(state)?;
    }
    Ok(())
}

/// Makes the owner, the demo brand and a customer.
///
/// # Errors
/// The first call that was refused.
async fn demo(host: &Host, sandbox: &SandboxState, setup_token: &str) -> anyhow::Result<People> {
    let people = Visitor { host: host.for_service(gateway::NAME)? };
    let owner = people.owner(setup_token).await.context("making the owner")?;
    let brand = brand(host, sandbox).await.context("making the demo brand")?;
    let customer_password = format!("demo {}", random_hex(8));
    people.customer(&brand.id, &customer_password).await.context("making a customer")?;
    let demo_brand: BrandId = brand.id.parse()?;
    // What `ottery demo` and a first look at the API need; a real key holds less.
    let api_key = people.api_key(&owner, Some(demo_brand), "demo", &API_PERMISSIONS).await;
    let platform_api_key = people.api_key(&owner, None, "apply", &APPLY_PERMISSIONS).await;
    Ok(People {
        staff_email: OWNER.to_owned(),
        staff_password: owner.password,
        staff_totp_secret: owner.totp_secret,
        customer_email: CUSTOMER.to_owned(),
        customer_password,
        api_key: api_key.context("making an API key")?,
        platform_api_key: Some(platform_api_key.context("making the platform's API key")?),
        brand_host: brand.host,
        brand_id: brand.id,
    })
}

struct DemoBrand {
    id: String,
    host: String,
}

/// Applies the demo documents, and tells the payment provider where its webhooks go.
async fn brand(host: &Host, sandbox: &SandboxState) -> anyhow::Result<DemoBrand> {
    let target = operator::GrpcTarget::new(host.for_service(services::OPERATOR)?);
    let documents = [
        ("payments_url", sandbox.payments_url()),
        ("payments_key", sandbox.payments_key.clone()),
        ("webhook_secret", sandbox.webhook_secret.clone()),
        ("panel_url", sandbox.panel_url()),
        ("player_url", sandbox.player_url()),
        ("panel_key", sandbox.panel_key.clone()),
        ("panel_clock_url", format!("{}/control/panels/{}/clock", sandbox.control_url(), sandbox.panel_code)),
    ]
    .into_iter()
    .fold(operator::DEMO.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), &value));
    let documents = operator::parse("demo", &documents)?;
    let mut applied = Vec::new();
    operator::apply(&target, &documents, operator::Mode::Apply, &mut |one| applied.push(one)).await?;
    let id = applied
        .iter()
        .find(|applied| applied.what == "brand/nordlicht")
        .map(|applied| applied.id.clone())
        .context("the demo documents hold the brand")?;
    Ok(DemoBrand { id, host: "nordlicht.localhost".to_owned() })
}

/// Points the provider's webhooks at this installation. The provider is started anew with each start, so this is said each time.
///
/// # Errors
/// The provider or billing does not answer.
async fn connect_webhooks(host: &Host, sandbox: &SandboxState, brand: &str, entrance: Entrance) -> anyhow::Result<()> {
    use operator::Target as _;
    let target = operator::GrpcTarget::new(host.for_service(services::OPERATOR)?);
    let accounts = target.provider_accounts(brand).await?;
    let account = accounts.first().context("the demo brand has a payment provider account")?;
    let url = format!("{}{}", entrance.origin("127.0.0.1"), account.webhook_path);
    let client = reqwest::Client::builder().no_proxy().timeout(super::PATIENCE).build()?;
    let answer = client
        .post(format!("{}/control/payments/accounts/acct_demo", sandbox.control_url()))
        .json(&serde_json::json!({ "webhook_url": url }))
        .send()
        .await?;
    anyhow::ensure!(answer.status().is_success(), "the sandbox refused the webhook address: {}", answer.status());
    Ok(())
}

struct Owner {
    actor: ActorContext,
    password: String,
    totp_secret: String,
}

/// Somebody who is not signed in, and becomes somebody.
struct Visitor {
    host: Host,
}

impl Visitor {
    fn identity(&self, actor: Actor) -> IdentityServiceClient<Channel> {
        let context = CallContext::new(actor).timeout(SLOW_CALL);
        IdentityServiceClient::new(self.host.client_channel(identity::NAME).with(&context))
    }

    async fn owner(&self, setup_token: &str) -> anyhow::Result<Owner> {
        let password = format!("owner {}", random_hex(10));
        let request = CompleteSetupRequest {
            setup_token: setup_token.to_owned(),
            email: OWNER.to_owned(),
            password: password.clone(),
            display_name: "Owner".to_owned(),
            device: device(),
        };
        let made = self.identity(Actor::anonymous(None)).complete_setup(request).await?.into_inner();
        let enrolment = made.enrolment.context("the owner may enrol a second factor")?;
        let signed_in = self.actor_of(&enrolment).await?;
        let request = EnrolTotpRequest { account_id: made.account_id.clone() };
        let totp_secret = self.identity(person(&signed_in, None)?).enrol_totp(request).await?.into_inner().secret;
        let request = ConfirmTotpRequest {
            account_id: made.account_id,
            session_secret: enrolment.secret,
            code: self.code(&totp_secret)?,
        };
        let confirmed = self.identity(person(&signed_in, None)?).confirm_totp(request).await?.into_inner();
        let actor = self.actor_of(&confirmed.session.context("a confirmed owner is signed in")?).await?;
        Ok(Owner { actor, password, totp_secret })
    }

    async fn customer(&self, brand: &str, password: &str) -> anyhow::Result<()> {
        let brand: BrandId = brand.parse()?;
        let request = SignUpRequest {
            email: CUSTOMER.to_owned(),
            password: password.to_owned(),
            locale: "en".to_owned(),
            country: "DE".to_owned(),
            display_name: "Ada Demo".to_owned(),
            device: device(),
        };
        self.identity(Actor::anonymous(Some(brand))).sign_up(request).await?;
        Ok(())
    }

    /// A key for one brand, or for the platform.
    async fn api_key(
        &self,
        owner: &Owner,
        brand: Option<BrandId>,
        name: &str,
        permissions: &[&str],
    ) -> anyhow::Result<String> {
        let permissions = permissions.iter().map(|permission| (*permission).to_owned()).collect();
        let request = CreateApiKeyRequest { name: name.to_owned(), permissions, expires_at: None };
        Ok(self.identity(person(&owner.actor, brand)?).create_api_key(request).await?.into_inner().secret)
    }

    async fn actor_of(&self, session: &Session) -> anyhow::Result<ActorContext> {
        let request = AuthenticateRequest {
            session_secret: session.secret.clone(),
            realm: Realm::Staff.into(),
            client_ip: "127.0.0.1".to_owned(),
        };
        let reply = self.identity(Actor::anonymous(None)).authenticate(request).await?.into_inner();
        reply.actor.context("a session has an actor")
    }

    /// The code an authenticator app shows now.
    fn code(&self, secret: &str) -> anyhow::Result<String> {
        let bytes = Secret::Encoded(secret.to_owned()).to_bytes().map_err(|error| anyhow::anyhow!("{error}"))?;
        let totp = TOTP::new(Algorithm::SHA1, 6, 1, 30, bytes, None, OWNER.to_owned())?;
        Ok(totp.generate(self.host.clock.now().timestamp().unsigned_abs()))
    }
}

fn device() -> Option<Device> {
    Some(Device { user_agent: "ottery up".to_owned(), client_ip: "127.0.0.1".to_owned() })
}

/// The signed-in person, in a brand or on the platform.
fn person(context: &ActorContext, brand: Option<BrandId>) -> anyhow::Result<Actor> {
    let at = context.authenticated_at.context("a session knows when its person proved who they are")?;
    Ok(Actor {
        authenticated_at: chrono::DateTime::from_timestamp(at.seconds, 0),
        ..Actor::new(ActorKind::Staff, context.subject.clone(), brand).with_permissions(context.permissions.clone())
    })
}

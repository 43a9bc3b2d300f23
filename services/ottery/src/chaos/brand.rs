//! The brand a storm passes over: whose it is, what it sells, and what customers ask of billing.

use std::sync::Arc;

use anyhow::Context;
use billing::app::Billing;
use billing::app::order::{Place, Placed};
use billing::domain::invoice::Buyer;
use billing::domain::offer::{Mapping, Offer};
use billing::domain::profile::{Entity, Profile};
use billing::domain::provider::ProviderAccountId;
use billing::domain::quote::{Asked, Quote};
use billing::domain::rules::InvoiceRules;
use billing::domain::tax;
use billing::provider::Providers;
use billing::provider::paypal::Anchors;
use billing::store;
use billing::store::quote::Stored;
use chrono::{DateTime, TimeZone as _, Utc};
use ottery_kernel::{
    AccountId, AnchorRule, BrandId, ChangePolicy, Clock as _, Currency, EntityId, LateRenewal, ManualClock, Money,
    PlanId, PlanVersionId, PriceId, Term, TermUnit,
};
use ottery_kit::broker::rabbitmq::RabbitMq;
use ottery_kit::cache::MemoryCache;
use ottery_kit::config::{Section, Sources};
use ottery_kit::db::{self, DatabaseSettings, Scope};
use ottery_kit::grpc::{Actor, ActorKind, ChannelSettings, Directory, ServiceKeys};
use ottery_kit::keyring::Keyring;
use ottery_kit::limit::LocalLimiter;
use ottery_kit::telemetry::Metrics;
use ottery_kit::{Host, HostParts, Listen};
use sqlx::postgres::PgTransaction;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Where customers come back to.
pub const SHOP: &str = "https://storm.example/orders";

/// A brand, and all that outlives a restart of billing: its database, its keys and its clock.
pub struct Brand {
    pub id: BrandId,
    pub clock: ManualClock,
    /// A person of staff.
    pub staff: Actor,
    /// Who vouches for what signs PayPal's webhooks, in PEM; the authorities of the web otherwise.
    pub authority: Option<Vec<u8>>,
    profile: Profile,
    settings: DatabaseSettings,
    host: Host,
}

impl Brand {
    /// Makes it in an empty database of billing.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn found(settings: DatabaseSettings) -> anyhow::Result<Self> {
        let now = Utc.with_ymd_and_hms(2026, 1, 15, 12, 0, 0).single().context("this instant exists")?;
        let clock = ManualClock::new(now);
        let id = BrandId::new(now);
        let staff = Actor::new(ActorKind::Staff, AccountId::new(now).to_string(), Some(id)).with_permissions(["*"]);
        let host = host(settings.clone(), clock.clone())?;
        let brand = Self { id, clock, staff, authority: None, profile: profile(id, now), settings, host };
        let pool = brand.settings.pool(billing::NAME).await?;
        let mut tx = db::begin(&pool, Scope::Brand(id)).await?;
        store::profile::put(&mut tx, &brand.profile, 1, now).await?;
        tx.commit().await?;
        pool.close().await;
        Ok(brand)
    }

    /// Starts billing: connections, clients and memory of its own.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn start(&self) -> anyhow::Result<Billing> {
        let pool = self.settings.pool(billing::NAME).await?;
        let config = config()?;
        let mut billing = Billing::new(config.clone(), &self.host, pool)?;
        if let Some(authority) = &self.authority {
            let anchors = Anchors::from_pem(authority).context("the authority of the storm's PayPal is none")?;
            billing.providers = Providers::new(&config.allow_networks, config.payments.call_timeout(), anchors, &[])?;
        }
        Ok(billing)
    }

    /// A transaction of the brand's.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn tx(&self, billing: &Billing) -> anyhow::Result<PgTransaction<'static>> {
        Ok(db::begin(&billing.pool, Scope::Brand(self.id)).await?)
    }

    /// A customer orders a week, to be paid through that account.
    ///
    /// # Errors
    /// Billing refuses.
    pub async fn order(&self, billing: &Billing, minor: i64, chosen: ProviderAccountId) -> anyhow::Result<Placed> {
        let now = self.clock.now();
        let account = AccountId::new(now);
        let offer = offer(minor)?;
        let asked = Asked { currency: None, trial: false, coupon: None };
        let buyer = tax::Buyer { place: tax::Place::country("DE"), ..tax::Buyer::default() };
        let taxed = tax::Book::new(&self.profile).decide_offer(&buyer, &offer, now);
        let quote = Quote::price(&offer, asked, &self.profile.currencies, &taxed, self.profile.zone, now)
            .map_err(|error| anyhow::anyhow!("the offer has no price: {error}"))?;
        let stored =
            Stored { id: Uuid::now_v7(), account: Some(account), offer, quote, country: "DE".into(), vat_until: None };
        let mut tx = self.tx(billing).await?;
        store::quote::insert(&mut tx, self.id, &stored, now).await?;
        tx.commit().await?;
        let place = Place {
            quote: stored.id,
            account,
            buyer: Buyer {
                name: "Ada".into(),
                email: format!("{account}@example.com"),
                country: "DE".into(),
                locale: "en".into(),
                address: None,
            },
            referral_code: String::new(),
            return_url: SHOP.into(),
            cancel_url: SHOP.into(),
            save_method: true,
            chosen: Some(chosen),
            coupon: String::new(),
            visit: None,
        };
        billing.place_order(self.id, place, None).await.map_err(|problem| said(&problem)).context("cannot order")
    }
}

/// What billing refused, as an error.
pub fn said(problem: &ottery_kit::grpc::Problem) -> anyhow::Error {
    anyhow::anyhow!("{}: {}", problem.reason, problem.message)
}

/// Settings that let calls reach this machine, and end while somebody waits.
pub fn config() -> anyhow::Result<billing::Config> {
    let section = Section { name: billing::NAME, defaults: billing::DEFAULTS };
    let mut config: billing::Config = ottery_kit::config::load(section, &Sources::none())?.value;
    config.allow_networks = vec!["127.0.0.0/8".parse().context("a network")?];
    config.payments.call_timeout_seconds = 5;
    Ok(config)
}

fn host(db: DatabaseSettings, clock: ManualClock) -> anyhow::Result<Host> {
    let parts = HostParts {
        clock: Arc::new(clock),
        db,
        broker: Arc::new(RabbitMq::new("amqp://127.0.0.1:1")?),
        cache: Arc::new(MemoryCache::new(1 << 20)),
        limiter: Arc::new(LocalLimiter::new()),
        keys: ServiceKeys::in_memory([billing::NAME, "catalog"])?,
        keyring: Keyring::ephemeral(),
        directory: Directory::new(Vec::<(String, Vec<String>)>::new()),
        listen: Listen::default(),
        metrics: Metrics::new("ottery"),
        shutdown: CancellationToken::new(),
        channels: ChannelSettings::default(),
    };
    Ok(Host::new(billing::NAME, parts)?)
}

fn profile(brand: BrandId, now: DateTime<Utc>) -> Profile {
    let zone = "UTC".parse().expect("UTC is a zone");
    Profile {
        brand,
        name: "Storm TV".into(),
        entity: Entity {
            id: EntityId::new(now),
            name: "Storm TV GmbH".into(),
            address_lines: vec!["Hafenstraße 7".into()],
            country: "DE".into(),
            tax_id: "DE123456789".into(),
            zone,
            series: "INV".into(),
            email: "billing@storm.example".into(),
            tax: tax::Settings::default(),
        },
        currencies: vec![Currency::EUR],
        zone,
        grace_days: 3,
        terminate_after_days: 14,
        renewal_lead_hours: 72,
        reminder_hours: Vec::new(),
        tax_rate_bp: 1_900,
        tax_name: "VAT".into(),
        default_locale: "en".into(),
        support_email: "help@storm.example".into(),
        tokens: std::collections::BTreeMap::new(),
        logo: String::new(),
        rules: InvoiceRules::default(),
        minimums: billing::domain::minimum::Minimums::default(),
    }
}

fn offer(minor: i64) -> anyhow::Result<Offer> {
    let at = DateTime::UNIX_EPOCH;
    Ok(Offer {
        plan_id: PlanId::new(at),
        plan_version_id: PlanVersionId::new(at),
        price_id: PriceId::new(at),
        plan_name: "Family".into(),
        price: Money::new(minor, Currency::EUR),
        setup_fee: None,
        term: Term::try_new(1, TermUnit::Week)?,
        trial_days: 0,
        connections: 2,
        mapping: Mapping { bouquet_ids: vec![1], outputs: vec!["hls".into()], ..Mapping::default() },
        anchor: AnchorRule::Anniversary,
        changes: ChangePolicy::default(),
        pause_days_max: 0,
        late_renewal: LateRenewal::FromOldEnd,
        tax_category: String::new(),
        options: Vec::new(),
        regular: None,
        addons: Vec::new(),
        once: false,
    })
}

//! The gateway with real neighbours: identity, catalog, billing and support, two brands, one plan, an owner.

use std::net::SocketAddr;
use std::time::Duration;

use billing::provider::coin::PriceSource;
use ottery_kernel::Clock as _;
use ottery_kit::config::{Section, Sources, load};
use ottery_kit::{Running, Service};
use ottery_testkit::{TestDatabase, TestHost};
use serde_json::{Value, json};

use crate::browser::Browser;

pub const STAFF_HOST: &str = "admin.localhost";
pub const SHOP: &str = "shop.example";
pub const OTHER: &str = "other.example";
const STAFF_PASSWORD: &str = "violet harbour engine";

pub struct World {
    pub host: TestHost,
    pub address: SocketAddr,
    pub identity: TestDatabase,
    pub billing: TestDatabase,
    /// Signed in with both factors.
    pub owner: Browser,
    pub brand: String,
    pub other_brand: String,
    pub plan: Value,
    _running: Vec<Running>,
    _catalog: TestDatabase,
    _support: TestDatabase,
}

pub fn config() -> gateway::Config {
    let section = Section { name: gateway::NAME, defaults: gateway::DEFAULTS };
    let mut config: gateway::Config = load(section, &Sources::none()).unwrap().value;
    config.http.listen = "127.0.0.1:0".into();
    config
}

fn identity_config() -> identity::Config {
    let section = Section { name: identity::NAME, defaults: identity::DEFAULTS };
    let sources = Sources::none()
        .with_override("identity.password_memory_kib", 19_456)
        .with_override("identity.password_passes", 2)
        .with_override("identity.tries_per_address_per_minute", 10_000);
    load(section, &sources).unwrap().value
}

/// Its payment provider may be on this machine.
pub fn billing_config() -> billing::Config {
    let mut config: billing::Config = defaults(billing::NAME, billing::DEFAULTS);
    config.allow_networks = vec!["127.0.0.0/8".parse().unwrap()];
    config
}

fn defaults<T: serde::de::DeserializeOwned>(name: &'static str, defaults: &'static str) -> T {
    load(Section { name, defaults }, &Sources::none()).unwrap().value
}

pub async fn gateway_service(host: &TestHost, config: gateway::Config) -> Service {
    gateway::build(config, host.of(gateway::NAME)).await.unwrap()
}

pub async fn world() -> World {
    world_with(config()).await
}

/// Where prices of coins are asked for there.
pub async fn world_paying_at(url: &str) -> World {
    let mut settings = billing_config();
    let source = |kind| billing::config::Source { kind, base_url: url.to_owned() };
    settings.coins.price_sources = [PriceSource::Kraken, PriceSource::Coinbase].map(source).into();
    world_of(config(), settings).await
}

pub async fn world_with(config: gateway::Config) -> World {
    world_of(config, billing_config()).await
}

async fn world_of(config: gateway::Config, billing_config: billing::Config) -> World {
    let identity = ottery_testkit::database(identity::NAME, &identity::MIGRATIONS).await;
    let catalog = ottery_testkit::database(catalog::NAME, &catalog::MIGRATIONS).await;
    let billing = ottery_testkit::database(billing::NAME, &billing::MIGRATIONS).await;
    let support = ottery_testkit::database(support::NAME, &support::MIGRATIONS).await;
    let host = ottery_testkit::host(&[&identity, &catalog, &billing, &support]).await;
    let services = vec![
        identity::build(identity_config(), host.of(identity::NAME)).await.unwrap(),
        catalog::build(defaults(catalog::NAME, catalog::DEFAULTS), host.of(catalog::NAME)).await.unwrap(),
        billing::build(billing_config, host.of(billing::NAME)).await.unwrap(),
        support::build(defaults(support::NAME, support::DEFAULTS), host.of(support::NAME)).await.unwrap(),
        gateway_service(&host, config).await,
    ];
    let running = host.start(services).await;
    let address = running.bound(gateway::NAME).unwrap().http[0];
    let owner = owner(&host, &identity, address).await;
    let brand = brand_of(&owner, "nordlicht", SHOP).await;
    let other_brand = brand_of(&owner, "suedwind", OTHER).await;
    let plan = plan(&owner.with("ottery-brand", &brand)).await;
    World {
        host,
        address,
        identity,
        billing,
        owner,
        brand,
        other_brand,
        plan,
        _running: vec![running],
        _catalog: catalog,
        _support: support,
    }
}

async fn owner(host: &TestHost, identity: &TestDatabase, address: SocketAddr) -> Browser {
    let owner = Browser::new(address, STAFF_HOST);
    let token = identity::setup_token(&identity.pool).await.unwrap().unwrap();
    let body = json!({
        "setup_token": token.expose(), "email": "owner@example.com", "password": STAFF_PASSWORD, "display_name": "Olga",
    });
    owner.post("/api/v1/setup", body).await.expect(201);
    enrol(host, &owner).await;
    owner
}

/// Enrols the second factor of whoever is signed in.
pub async fn enrol(host: &TestHost, browser: &Browser) -> Value {
    let secret = browser.post("/api/v1/auth/totp/enrol", json!({})).await.expect(200);
    let code = code(secret["secret"].as_str().unwrap(), host);
    browser.post("/api/v1/auth/totp/confirm", json!({ "code": code })).await.expect(200)
}

/// The code an authenticator shows.
pub fn code(secret: &str, host: &TestHost) -> String {
    let bytes = totp_rs::Secret::Encoded(secret.to_owned()).to_bytes().unwrap();
    let totp = totp_rs::TOTP::new_unchecked(totp_rs::Algorithm::SHA1, 6, 0, 30, bytes, None, String::new());
    totp.generate(host.clock.now().timestamp().unsigned_abs())
}

pub fn brand_body(slug: &str, host: &str) -> Value {
    json!({
        "slug": slug, "name": slug, "hosts": [host], "default_locale": "en", "locales": ["en"],
        "default_currency": "EUR", "currencies": ["EUR"], "time_zone": "Europe/Berlin",
        "support_email": format!("help@{host}"), "sender_email": format!("hello@{host}"),
        "grace_days": 3, "terminate_after_days": 30, "renewal_lead_hours": 72, "published": true,
        "entity": {
            "name": "Nordlicht Medien GmbH", "address_lines": ["Hafenstraße 7"], "country": "DE", "tax_id": "DE123456789",
            "time_zone": "Europe/Berlin", "invoice_series": "INV", "email": format!("billing@{host}"),
        },
    })
}

pub async fn brand_of(owner: &Browser, slug: &str, host: &str) -> String {
    let made = owner.post("/api/v1/brands", brand_body(slug, host)).await.expect(201);
    made["id"].as_str().unwrap().to_owned()
}

pub async fn plan(owner: &Browser) -> Value {
    let body = json!({
        "slug": "family", "name": "Family", "connections": 2,
        "prices": [{ "term": { "count": 1, "unit": "month" }, "amount": { "currency": "EUR", "minor": 999 } }],
        "mapping": { "bouquet_ids": [1], "outputs": ["hls"] },
    });
    let plan = owner.post("/api/v1/plans", body).await.expect(201);
    let state = json!({ "state": "on_sale", "version": plan["version"] });
    owner.post(&format!("/api/v1/plans/{}/state", plan["id"].as_str().unwrap()), state).await.expect(200)
}

impl World {
    pub fn browser(&self, host: &str) -> Browser {
        Browser::new(self.address, host)
    }

    /// The owner working in the first brand.
    pub fn owner_here(&self) -> Browser {
        self.owner.with("ottery-brand", &self.brand)
    }

    /// A program with these permissions in a brand.
    pub async fn key(&self, brand: &str, permissions: &[&str]) -> Browser {
        let owner = self.owner.with("ottery-brand", brand);
        let made =
            owner.post("/api/v1/api-keys", json!({ "name": "test", "permissions": permissions })).await.expect(201);
        self.browser(STAFF_HOST).with("authorization", &format!("Bearer {}", made["secret"].as_str().unwrap()))
    }

    /// An order of a signed-in customer.
    pub async fn order(&self, customer: &Browser, key: &str) -> Value {
        let price = self.plan["current"]["prices"][0]["id"].as_str().unwrap();
        let quote = self.quote(customer, price).await;
        customer.pay("/api/v1/orders", key, json!({ "quote_id": quote["id"] })).await.expect(201)
    }

    /// Billing hears of a new brand by an event, so the first quote may come a moment too early.
    pub async fn quote(&self, customer: &Browser, price: &str) -> Value {
        for _ in 0..100 {
            let answer = customer.post("/api/v1/quotes", json!({ "price_id": price })).await;
            if answer.status.is_success() {
                return answer.json();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        customer.post("/api/v1/quotes", json!({ "price_id": price })).await.expect(201)
    }
}

//! A brand with a service, a simulated panel and a neighbour who says what is wanted.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, BrandId, Clock as _, OrderId, SubscriptionId, SystemClock};
use ottery_kit::Running;
use ottery_kit::outbox::Event;
use ottery_proto::billing::v1::entitlement_changed::Wanted;
use ottery_proto::billing::v1::{EntitlementChanged, OptionQuantity};
use ottery_proto::catalog::v1::{ClockAdvanced, PanelMapping};
use ottery_proto::provisioning::v1 as proto;
use ottery_proto::provisioning::v1::provisioning_service_client::ProvisioningServiceClient;
use ottery_proto::provisioning::v1::service::Step;
use ottery_sandbox::{PanelSpec, Sandbox, SandboxConfig};
use ottery_testkit::{Recorder, TestDatabase, TestHost, actor};
use provisioning::Config;
use serde_json::{Value, json};

pub const ADMIN_KEY: &str = "5a4d0b0c5a4d0b0c5a4d0b0c5a4d0b0c";
pub const RESELLER_KEY: &str = "7e5e11e57e5e11e57e5e11e57e5e11e5";
const PATIENCE: Duration = Duration::from_secs(20);

pub type Client = ProvisioningServiceClient<ottery_kit::grpc::Channel>;

pub struct World {
    pub db: TestDatabase,
    pub host: TestHost,
    pub sandbox: ottery_sandbox::Running,
    pub events: Recorder,
    pub brand: BrandId,
    pub http: reqwest::Client,
    pub config: Config,
    _running: Running,
}

/// A subscription and what its customer is entitled to.
#[derive(Clone)]
pub struct Subscription {
    pub id: SubscriptionId,
    pub account: AccountId,
    pub order: OrderId,
    pub until: DateTime<Utc>,
    pub connections: u32,
    pub bouquets: Vec<i64>,
    pub package: i64,
    pub options: Vec<OptionQuantity>,
    pub country: String,
    pub version: u64,
}

impl Subscription {
    pub fn new() -> Self {
        let now = SystemClock.now();
        let until = DateTime::from_timestamp(now.timestamp() + 33 * 86_400, 0).unwrap();
        Self {
            id: SubscriptionId::new(now),
            account: AccountId::new(now),
            order: OrderId::new(now),
            until,
            connections: 2,
            bouquets: vec![1, 2],
            package: 1,
            options: Vec::new(),
            country: String::new(),
            version: 0,
        }
    }

    /// Somebody in that country, with so many units of the option `country-lock`.
    pub fn locked(country: &str, quantity: u32) -> Self {
        Self { country: country.into(), options: vec![country_lock(quantity)], ..Self::new() }
    }
}

pub fn country_lock(quantity: u32) -> OptionQuantity {
    OptionQuantity { key: "country-lock".into(), quantity }
}

pub fn config() -> Config {
    let mut config: Config = toml::from_str(provisioning::DEFAULTS).expect("the defaults are a configuration");
    config.http.allow = vec!["127.0.0.0/8".parse().unwrap()];
    config.reconcile.settle_s = 1;
    config.reconcile.backoff_first_ms = 100;
    config.reconcile.backoff_max_ms = 500;
    config.reconcile.lease_ms = 2_000;
    config.reconcile.poll_ms = 200;
    config.breaker.probe_every_ms = 300;
    config
}

impl World {
    pub async fn new() -> Self {
        Self::with(config(), vec![PanelSpec { rate_per_second: 0, ..PanelSpec::default() }]).await
    }

    pub async fn with(config: Config, panels: Vec<PanelSpec>) -> Self {
        let db = ottery_testkit::database(provisioning::NAME, &provisioning::MIGRATIONS).await;
        let host = ottery_testkit::host(&[&db]).await;
        let sandbox = Sandbox::start(SandboxConfig { panels, ..SandboxConfig::default() }).await.unwrap();
        let events = host.record(&["provisioning.#"]).await;
        let service = provisioning::build(config.clone(), host.of(provisioning::NAME)).await.unwrap();
        let running = host.start(vec![service]).await;
        let brand = BrandId::new(SystemClock.now());
        Self { db, host, sandbox, events, brand, http: reqwest::Client::new(), config, _running: running }
    }

    pub fn staff(&self) -> Client {
        self.client(actor::owner(self.brand))
    }

    pub fn client(&self, actor: ottery_kit::grpc::Actor) -> Client {
        ProvisioningServiceClient::new(self.host.channel(provisioning::NAME, actor))
    }

    pub fn panel_input(&self, code: &str, driver: &str) -> proto::Panel {
        let addresses = self.sandbox.addresses();
        let name = code.trim_end_matches('R');
        proto::Panel {
            name: format!("Panel {code}"),
            driver: driver.into(),
            base_url: format!("http://{}/{code}", addresses.panel),
            player_url: format!("http://{}", addresses.panel),
            rate_per_second: 1_000.0,
            concurrency: 8,
            enabled: true,
            sandbox: true,
            sandbox_control_url: format!("http://{}/control/panels/{name}/clock", addresses.control),
            time_zone: "Europe/Berlin".into(),
            ..proto::Panel::default()
        }
    }

    pub async fn put_panel(&self, panel: proto::Panel, key: &str) -> proto::Panel {
        let request = proto::PutPanelRequest {
            panel: Some(panel),
            api_key: key.into(),
            expected_version: 0,
            ..Default::default()
        };
        self.staff().put_panel(request).await.unwrap().into_inner()
    }

    pub async fn admin_panel(&self) -> proto::Panel {
        self.put_panel(self.panel_input("SANDBOX1", "xui"), ADMIN_KEY).await
    }

    pub async fn reseller_panel(&self) -> proto::Panel {
        self.put_panel(self.panel_input("SANDBOX1R", "xui-reseller"), RESELLER_KEY).await
    }

    /// A panel of Xtream Codes that trusts our address and has no `api_pass`.
    pub async fn xtream_panel(&self) -> proto::Panel {
        self.put_panel(self.panel_input("SANDBOX1", "xtream"), "").await
    }

    /// Publishes what billing says, with the next version.
    pub async fn want(&self, subscription: &mut Subscription, wanted: Wanted) {
        subscription.version += 1;
        self.want_version(subscription, wanted, subscription.version).await;
    }

    /// As [`World::want`] active, in a region.
    pub async fn want_in(&self, subscription: &mut Subscription, region: &str) {
        subscription.version += 1;
        self.publish(subscription, Wanted::Active, subscription.version, region).await;
    }

    pub async fn want_version(&self, subscription: &Subscription, wanted: Wanted, version: u64) {
        self.publish(subscription, wanted, version, "").await;
    }

    async fn publish(&self, subscription: &Subscription, wanted: Wanted, version: u64, region: &str) {
        let event = EntitlementChanged {
            subscription_id: subscription.id.to_string(),
            version,
            wanted: wanted.into(),
            account_id: subscription.account.to_string(),
            order_id: subscription.order.to_string(),
            mapping: Some(PanelMapping {
                bouquet_ids: subscription.bouquets.clone(),
                package_id: subscription.package,
                outputs: vec!["hls".into(), "ts".into()],
                ..PanelMapping::default()
            }),
            connections: subscription.connections,
            paid_through: Some(timestamp(subscription.until)),
            email: "ada@example.org".into(),
            locale: "en".into(),
            plan_name: "Everything".into(),
            region: region.into(),
            options: subscription.options.clone(),
            country: subscription.country.clone(),
            ..EntitlementChanged::default()
        };
        let event = Event::new(
            "billing.entitlement.changed.v1",
            subscription.id,
            i64::try_from(version).unwrap(),
            self.brand,
            self.host.clock.now(),
            &event,
        );
        ottery_testkit::publish(&*self.host.broker, event).await;
    }

    pub async fn advance_clock(&self, now: DateTime<Utc>) {
        let event = ClockAdvanced { brand_id: self.brand.to_string(), now: Some(timestamp(now)) };
        let event = Event::new("catalog.clock.advanced.v1", self.brand, 0, self.brand, now, &event);
        ottery_testkit::publish(&*self.host.broker, event).await;
    }

    /// Waits until so many entitlement events were taken in.
    pub async fn handled(&self, count: i64) {
        let started = std::time::Instant::now();
        loop {
            let handled: i64 =
                sqlx::query_scalar("SELECT count(*) FROM inbox WHERE consumer = 'provisioning.entitlement'")
                    .fetch_one(&self.db.admin_pool)
                    .await
                    .unwrap();
            if handled >= count {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{handled} of {count} events were taken in");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn service(&self, subscription: &Subscription) -> Option<proto::Service> {
        let request = proto::GetServiceRequest { subscription_id: subscription.id.to_string(), ..Default::default() };
        self.staff().get_service(request).await.ok().map(tonic::Response::into_inner)
    }

    /// Waits until the service is in this step and the panel agrees with the newest wanted version that was published.
    pub async fn until(&self, subscription: &Subscription, step: Step) -> proto::Service {
        self.until_that(subscription, &format!("{step:?}"), |service| {
            let rests = matches!(step, Step::Ready | Step::Suspended | Step::Terminated);
            service.step() == step && (!rests || service.observed_version >= subscription.version)
        })
        .await
    }

    pub async fn until_that(
        &self,
        subscription: &Subscription,
        what: &str,
        is_it: impl Fn(&proto::Service) -> bool,
    ) -> proto::Service {
        let started = std::time::Instant::now();
        let mut seen = None;
        while started.elapsed() < PATIENCE {
            seen = self.service(subscription).await;
            if let Some(service) = seen.as_ref().filter(|service| is_it(service)) {
                return service.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the service never was {what}: {seen:#?}");
    }

    pub async fn credentials(&self, service: &proto::Service) -> proto::Credentials {
        let request = proto::RevealCredentialsRequest { service_id: service.id.clone() };
        self.staff().reveal_credentials(request).await.unwrap().into_inner()
    }

    /// Whether the player API lets these credentials in.
    pub async fn plays(&self, credentials: &proto::Credentials) -> bool {
        let url = format!("{}/player_api.php", credentials.server_url);
        let form = [("username", &credentials.username), ("password", &credentials.password)];
        let answer = self.http.post(url).form(&form).send().await.unwrap();
        answer.status() == 200 && answer.text().await.unwrap().contains("\"auth\":1")
    }

    /// Whether the first channel begins to play with these credentials.
    pub async fn streams(&self, credentials: &proto::Credentials) -> bool {
        let (server, user, password) = (&credentials.server_url, &credentials.username, &credentials.password);
        let url = format!("{server}/live/{user}/{password}/101.m3u8");
        self.http.get(url).send().await.unwrap().status().is_success()
    }

    /// Where the panel's database says that the test's players are.
    pub async fn players_in(&self, country: &str) {
        self.control("panels/SANDBOX1/settings", json!({ "countries": { "127.0.0.1": country } })).await;
    }

    pub async fn control(&self, path: &str, body: Value) -> Value {
        let url = format!("http://{}/control/{path}", self.sandbox.addresses().control);
        let answer = self.http.post(&url).json(&body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub async fn look(&self, path: &str) -> Value {
        let url = format!("http://{}/control/{path}", self.sandbox.addresses().control);
        self.http.get(&url).send().await.unwrap().json().await.unwrap()
    }

    pub async fn fault(&self, action: &str, kind: &str, times: u64) {
        let rule = json!({ "target": "panel:SANDBOX1", "action": action, "kind": kind, "times": times });
        self.control("faults", rule).await;
    }

    pub async fn no_more_faults(&self) {
        let url = format!("http://{}/control/faults", self.sandbox.addresses().control);
        self.http.delete(&url).send().await.unwrap();
    }

    /// Lines of the panel, as its own database has them.
    pub async fn lines(&self) -> Vec<Value> {
        let answer = self.look("panels/SANDBOX1/lines").await;
        answer.get("lines").unwrap_or(&answer).as_array().cloned().unwrap_or_default()
    }

    /// Effects of one action that really happened on the panel.
    pub async fn effects(&self, action: &str) -> Vec<Value> {
        let answer = self.look(&format!("panels/SANDBOX1/effects?action={action}")).await;
        answer.get("effects").unwrap_or(&answer).as_array().cloned().unwrap_or_default()
    }

    pub async fn calls(&self, service: &proto::Service) -> Vec<proto::PanelCall> {
        let request = proto::ListPanelCallsRequest { service_id: service.id.clone(), ..Default::default() };
        self.staff().list_panel_calls(request).await.unwrap().into_inner().calls
    }

    pub async fn tasks(&self) -> Vec<proto::ProvisioningTask> {
        self.staff().list_tasks(proto::ListTasksRequest::default()).await.unwrap().into_inner().tasks
    }

    /// A paid, working service.
    pub async fn ready(&self) -> (Subscription, proto::Service) {
        let mut subscription = Subscription::new();
        self.want(&mut subscription, Wanted::Active).await;
        let service = self.until(&subscription, Step::Ready).await;
        (subscription, service)
    }

    /// Every invariant of the service's data holds.
    pub async fn inv(&self) {
        let findings = provisioning::invariants(&self.db.admin_pool).await.unwrap();
        assert!(findings.is_empty(), "{findings:#?}");
    }
}

pub fn timestamp(at: DateTime<Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.timestamp(), nanos: 0 }
}

pub fn days(count: i64) -> TimeDelta {
    TimeDelta::days(count)
}

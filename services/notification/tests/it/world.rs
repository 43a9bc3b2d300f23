//! A brand, the service, its neighbours' stand-ins and a mail server.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has to end")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use notification::Config;
use ottery_kernel::BrandId;
use ottery_kit::Running;
use ottery_kit::outbox::Event;
use ottery_proto::catalog::v1::{Brand, BrandChanged, DesignTokens};
use ottery_proto::common::v1::Envelope;
use ottery_proto::identity::v1::{MailRequested, mail_requested::Purpose};
use ottery_proto::notification::v1::notification_service_client::NotificationServiceClient;
use ottery_proto::notification::v1::{Delivery, ListDeliveriesRequest, delivery::State};
use ottery_proto::{billing, identity, provisioning};
use ottery_sandbox::{Sandbox, SandboxConfig};
use ottery_testkit::recorder::envelope;
use ottery_testkit::{TestDatabase, TestHost, actor, database, host};
use tonic::service::Routes;

pub const TOKEN: &str = "CANARY-TOKEN";
pub const PAY_TOKEN: &str = "CANARY-PAY-LINK";
pub const PASSWORD: &str = "CANARY-PASSWORD";

pub struct World {
    pub test: TestHost,
    pub database: TestDatabase,
    pub sandbox: ottery_sandbox::Running,
    pub brand: BrandId,
    /// How often the neighbours were asked for a secret.
    pub asked: Arc<AtomicU32>,
    http: reqwest::Client,
    _running: Vec<Running>,
}

/// A port on which nobody listens.
pub fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn config(smtp_port: u16) -> Config {
    let mut config: Config = toml::from_str(notification::DEFAULTS).unwrap();
    config.smtp.port = smtp_port;
    config.smtp.tls = notification::Tls::None;
    config.smtp.timeout_s = 5;
    config.lease_seconds = 1;
    config.public = notification::Public { scheme: "http".into(), port: 8080 };
    config
}

pub async fn sandbox(smtp: Option<SocketAddr>) -> ottery_sandbox::Running {
    rustls::crypto::ring::default_provider().install_default().ok();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = SandboxConfig {
        panel_listen: any,
        payments_listen: any,
        smtp_listen: smtp.unwrap_or(any),
        mail_listen: any,
        control_listen: any,
        seed: Some(1),
        ..SandboxConfig::default()
    };
    Sandbox::start(config).await.unwrap()
}

pub async fn world() -> World {
    let sandbox = sandbox(None).await;
    let port = sandbox.addresses().smtp.port();
    world_with(sandbox, port).await
}

pub async fn world_with(sandbox: ottery_sandbox::Running, smtp_port: u16) -> World {
    let database = database(notification::NAME, &notification::MIGRATIONS).await;
    let test = host(&[&database]).await;
    let asked = Arc::new(AtomicU32::new(0));
    let identity = test.stand_in("identity", Routes::new(Identity(asked.clone()))).await;
    let billing = test.stand_in("billing", Routes::new(Billing(asked.clone()))).await;
    let provisioning = test.stand_in("provisioning", Routes::new(Provisioning(asked.clone()))).await;
    let service = notification::build(config(smtp_port), test.of(notification::NAME)).await.unwrap();
    let running = test.start(vec![service]).await;
    let brand = BrandId::new(ottery_testkit::host::noon());
    let world = World {
        test,
        database,
        sandbox,
        brand,
        asked,
        http: reqwest::Client::new(),
        _running: vec![identity, billing, provisioning, running],
    };
    world.tell_brand(brand, "Blue TV", "blue.example", "en").await;
    world
}

impl World {
    pub async fn tell(&self, kind: &str, brand: Option<BrandId>, payload: &impl prost::Message) -> Envelope {
        let aggregate = uuid::Uuid::new_v4().to_string();
        let event = Event::new(kind, aggregate, 1, brand, ottery_testkit::host::noon(), payload);
        let envelope = envelope(event);
        self.publish(&envelope).await;
        envelope
    }

    pub async fn publish(&self, envelope: &Envelope) {
        for answer in self.test.broker.publish(vec![envelope.clone()]).await {
            answer.unwrap();
        }
    }

    pub async fn tell_brand(&self, brand: BrandId, name: &str, host: &str, locale: &str) {
        let told = Brand {
            id: brand.to_string(),
            name: name.into(),
            hosts: vec![host.into()],
            default_locale: locale.into(),
            time_zone: "Europe/Berlin".into(),
            support_email: format!("help@{host}"),
            sender_email: format!("shop@{host}"),
            tokens: Some(DesignTokens {
                values: [("accent".into(), "#aa0011".into())].into(),
                ..DesignTokens::default()
            }),
            version: 1,
            ..Brand::default()
        };
        self.tell("catalog.brand.changed.v1", Some(brand), &BrandChanged { brand: Some(told) }).await;
        self.until("the brand is known", async || {
            let known: i64 = sqlx::query_scalar("SELECT count(*) FROM brand_profile WHERE brand_id = $1")
                .bind(brand.as_uuid())
                .fetch_one(&self.database.admin_pool)
                .await
                .unwrap();
            known == 1
        })
        .await;
    }

    /// Asks for a mail as identity does.
    pub async fn request(&self, purpose: Purpose, to: &str, locale: &str, brand: Option<BrandId>) -> Envelope {
        let requested = MailRequested {
            mail_request_id: "mrq_1".into(),
            account_id: "acc_1".into(),
            purpose: purpose.into(),
            email: to.into(),
            locale: locale.into(),
            display_name: "Ada".into(),
        };
        self.tell("identity.mail.requested.v1", brand, &requested).await
    }

    pub async fn fault(&self, kind: &str) {
        self.fault_of(kind, Duration::from_millis(100)).await;
    }

    pub async fn fault_of(&self, kind: &str, delay: Duration) {
        let url = format!("http://{}/control/faults", self.sandbox.addresses().control);
        let delay_ms = u64::try_from(delay.as_millis()).unwrap();
        let rule =
            serde_json::json!({ "target": "mail", "action": "smtp", "kind": kind, "times": 1, "delay_ms": delay_ms });
        assert!(self.http.post(url).json(&rule).send().await.unwrap().status().is_success());
    }

    /// What arrived at this address.
    pub async fn inbox(&self, to: &str) -> Vec<serde_json::Value> {
        let base = format!("http://{}/messages", self.sandbox.addresses().mail);
        let url = format!("{base}?to={to}");
        let mut listed: serde_json::Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
        let mut mails = listed["messages"].as_array_mut().unwrap().split_off(0);
        for mail in &mut mails {
            let raw = format!("http://{}/mail/{}/raw", self.sandbox.addresses().mail, mail["id"]);
            mail["raw"] = self.http.get(raw).send().await.unwrap().text().await.unwrap().into();
        }
        mails
    }

    pub fn client(&self, brand: BrandId) -> NotificationServiceClient<ottery_kit::grpc::Channel> {
        let actor = actor::staff(brand, ["delivery.read", "brand.read", "brand.update"]);
        NotificationServiceClient::new(self.test.channel(notification::NAME, actor))
    }

    pub async fn deliveries(&self, to: &str) -> Vec<Delivery> {
        let request = ListDeliveriesRequest { to: to.into(), page: None };
        self.client(self.brand).list_deliveries(request).await.unwrap().into_inner().deliveries
    }

    /// Waits until the only mail to this address is in this state.
    pub async fn settled(&self, to: &str, state: State) -> Delivery {
        self.until(&format!("{to} is {state:?}"), async || {
            self.deliveries(to).await.first().is_some_and(|delivery| delivery.state() == state)
        })
        .await;
        self.deliveries(to).await.remove(0)
    }

    /// Makes every waiting mail due, and every lease end.
    pub async fn hurry(&self) {
        sqlx::query("UPDATE delivery_due SET due_at = now(), lease_until = '-infinity'")
            .execute(&self.database.admin_pool)
            .await
            .unwrap();
    }

    pub async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        for _ in 0..150 {
            if holds().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("it never came true: {what}");
    }
}

/// Answers one call for a secret, and no other.
macro_rules! stand_in {
    ($name:ident, $service:literal, $request:ty, $reply:ty, $answer:expr) => {
        #[derive(Clone)]
        struct $name(Arc<AtomicU32>);

        impl tonic::server::NamedService for $name {
            const NAME: &'static str = $service;
        }

        impl tonic::server::UnaryService<$request> for $name {
            type Response = $reply;
            type Future = std::future::Ready<Result<tonic::Response<$reply>, tonic::Status>>;

            fn call(&mut self, _: tonic::Request<$request>) -> Self::Future {
                self.0.fetch_add(1, Ordering::Relaxed);
                std::future::ready(Ok(tonic::Response::new($answer)))
            }
        }

        impl tower::Service<http::Request<tonic::body::Body>> for $name {
            type Response = http::Response<tonic::body::Body>;
            type Error = std::convert::Infallible;
            type Future = futures::future::BoxFuture<'static, Result<Self::Response, Self::Error>>;

            fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
                std::task::Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
                let own = self.clone();
                Box::pin(async move {
                    let codec = tonic_prost::ProstCodec::<$reply, $request>::default();
                    Ok(tonic::server::Grpc::new(codec).unary(own, request).await)
                })
            }
        }
    };
}

stand_in!(
    Identity,
    "ottery.identity.v1.IdentityService",
    identity::v1::MintMailTokenRequest,
    identity::v1::MintMailTokenReply,
    identity::v1::MintMailTokenReply { token: TOKEN.into(), ..Default::default() }
);
stand_in!(
    Billing,
    "ottery.billing.v1.DunningService",
    billing::v1::MintPayLinkRequest,
    billing::v1::MintPayLinkReply,
    billing::v1::MintPayLinkReply { token: PAY_TOKEN.into() }
);
stand_in!(
    Provisioning,
    "ottery.provisioning.v1.ProvisioningService",
    provisioning::v1::RevealCredentialsRequest,
    provisioning::v1::Credentials,
    provisioning::v1::Credentials {
        username: "ada4711".into(),
        password: PASSWORD.into(),
        server_url: "http://tv.example:8080".into(),
        ..Default::default()
    }
);

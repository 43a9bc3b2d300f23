//! A process from its start to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{Clock as _, SystemClock};
use ottery_kit::cache::MemoryCache;
use ottery_kit::clock::set_brand_clock;
use ottery_kit::consume::{Delivery, HandleError, Handler};
use ottery_kit::db::{Scope, begin};
use ottery_kit::grpc::{Actor, ActorKind, CallContext, ChannelSettings, Directory, Problem, ServiceKeys};
use ottery_kit::keyring::Keyring;
use ottery_kit::limit::LocalLimiter;
use ottery_kit::outbox::{self, Event};
use ottery_kit::telemetry::Metrics;
use ottery_kit::{Host, HostParts, Listen, RunSettings, Running, Service, start};
use ottery_proto::catalog::v1::ClockAdvanced;
use ottery_proto::common::v1::drain_service_client::DrainServiceClient;
use ottery_proto::common::v1::{DrainedReply, DrainedRequest};
use ottery_testkit::proxy::{Proxy, Toxic};
use sqlx::postgres::PgTransaction;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::stage::{Stage, brand, until};

fn host(stage: &Stage, listen: &str) -> Host {
    let parts = HostParts {
        clock: Arc::new(SystemClock),
        db: stage.database.settings.clone(),
        broker: stage.broker.clone(),
        cache: Arc::new(MemoryCache::new(1_000_000)),
        limiter: Arc::new(LocalLimiter::new()),
        keys: ServiceKeys::in_memory(["gateway", "billing", "catalog"]).unwrap(),
        keyring: Keyring::ephemeral(),
        directory: Directory::default(),
        listen: Listen { default: listen.to_owned(), ..Listen::default() },
        metrics: Metrics::new("ottery"),
        shutdown: stage.shutdown.child_token(),
        channels: ChannelSettings::default(),
    };
    Host::new("billing", parts).unwrap()
}

fn settings() -> RunSettings {
    RunSettings {
        health: Some("127.0.0.1:0".to_owned()),
        pre_stop: Duration::from_millis(400),
        ..RunSettings::default()
    }
}

async fn page(running: &Running, path: &str) -> (u16, String) {
    fetch(running.health_address().unwrap(), path).await
}

async fn fetch(address: SocketAddr, path: &str) -> (u16, String) {
    let reply = get(address, path).await.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

async fn get(address: SocketAddr, path: &str) -> reqwest::Result<reqwest::Response> {
    // Another test of the process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::get(format!("http://{address}{path}")).await
}

async fn drained(host: &Host, actor: Actor, clock: DateTime<Utc>) -> Result<DrainedReply, Problem> {
    let question = DrainedRequest {
        brand_id: actor.brand.unwrap().to_string(),
        clock: Some(prost_types::Timestamp { seconds: clock.timestamp(), nanos: 0 }),
    };
    // Only `gateway` may speak for people.
    let from = if actor.is_service() { "catalog" } else { "gateway" };
    let channel = host.for_service(from).unwrap().client_channel("billing").with(&CallContext::new(actor));
    Ok(DrainServiceClient::new(channel).drained(question).await?.into_inner())
}

#[tokio::test]
async fn a_port_in_use_names_its_setting_and_leaves_nothing_running() {
    let stage = Stage::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = host(&stage, &taken.local_addr().unwrap().to_string());
    let service = Service::new("billing", &host, stage.pool()).grpc(Routes::default());
    let error = start(vec![service], RunSettings::local()).await.unwrap_err();
    assert!(format!("{error:#}").contains("`billing.grpc.listen`"), "{error:#}");
    assert!(host.directory.addresses("billing").is_empty());

    let own = host.for_service("gateway").unwrap();
    let web = Service::stateless("gateway", &own).http(axum::Router::new(), taken.local_addr().unwrap().to_string());
    let error = start(vec![web], RunSettings::local()).await.unwrap_err();
    assert!(format!("{error:#}").contains("`gateway.http.listen`"), "{error:#}");

    let mistaken = Service::stateless("gateway", &host);
    let error = start(vec![mistaken], RunSettings::local()).await.unwrap_err();
    assert!(error.to_string().contains("for_service"), "{error}");
}

#[tokio::test]
async fn a_brand_is_drained_when_its_time_has_come_and_nothing_is_left() {
    let stage = Stage::new().await;
    let host = host(&stage, "127.0.0.1:0");
    let is_busy = Arc::new(AtomicBool::new(true));
    let busy = is_busy.clone();
    let service = Service::new("billing", &host, stage.pool()).grpc(Routes::default()).due(move |_, _| {
        let left = busy.load(Ordering::SeqCst).then(|| "3 due renewals".to_owned());
        async move { Ok(left) }
    });
    let mut running = start(vec![service], RunSettings::local()).await.unwrap();
    let (brand, clock) = (brand(), SystemClock.now() + TimeDelta::days(365));
    let catalog = Actor::service("catalog", Some(brand));

    let staff = Actor::new(ActorKind::Staff, "acc_1", Some(brand)).with_permissions(["*"]);
    assert_eq!(drained(&host, staff, clock).await.unwrap_err().reason, "SERVICE_ONLY");
    let reply = drained(&host, catalog.clone(), clock).await.unwrap();
    assert_eq!((reply.drained, reply.waiting_for.as_str()), (false, "has not heard of the new time yet"));

    let now = Some(prost_types::Timestamp { seconds: clock.timestamp(), nanos: 0 });
    let advanced = ClockAdvanced { brand_id: brand.to_string(), now };
    let mut tx = begin(&stage.pool(), Scope::Brand(brand)).await.unwrap();
    let event = Event::new("catalog.clock.advanced.v1", brand, 1, brand, SystemClock.now(), &advanced);
    outbox::append(&mut tx, event).await.unwrap();
    tx.commit().await.unwrap();

    until(|| async {
        let reply = drained(&host, catalog.clone(), clock).await.unwrap();
        (reply.waiting_for == "3 due renewals").then_some(())
    })
    .await;
    is_busy.store(false, Ordering::SeqCst);
    until(|| async { drained(&host, catalog.clone(), clock).await.unwrap().drained.then_some(()) }).await;
    let later = drained(&host, catalog, clock + TimeDelta::days(1)).await.unwrap();
    assert!(!later.drained, "it has not heard of the next day");
    running.stop().await;
}

/// Holds every event until it is let go.
struct Held(Arc<tokio::sync::Semaphore>);

#[async_trait]
impl Handler for Held {
    async fn handle(&self, _: &mut PgTransaction<'_>, _: &Delivery) -> Result<(), HandleError> {
        self.0.acquire().await.map_err(HandleError::transient)?.forget();
        Ok(())
    }
}

#[tokio::test]
async fn a_brand_is_drained_although_others_have_messages_left() {
    let stage = Stage::new().await;
    let host = host(&stage, "127.0.0.1:0");
    let let_go = Arc::new(tokio::sync::Semaphore::new(0));
    let group = stage.group("slow");
    let service = Service::new("billing", &host, stage.pool())
        .grpc(Routes::default())
        .consumer(group.clone(), Held(let_go.clone()));
    let mut running = start(vec![service], RunSettings::local()).await.unwrap();
    let (mine, other, clock) = (brand(), brand(), SystemClock.now() + TimeDelta::days(365));
    for brand in [mine, other] {
        let mut tx = begin(&stage.pool(), Scope::Brand(brand)).await.unwrap();
        set_brand_clock(&mut tx, brand, clock).await.unwrap();
        tx.commit().await.unwrap();
    }
    stage.append(other, "a", [1]).await;
    stage.append(other, "b", [1]).await;
    let (asks_mine, asks_other) = (Actor::service("catalog", Some(mine)), Actor::service("catalog", Some(other)));
    let backlog = format!("2 messages for {}", group.name);
    until(|| async {
        let reply = drained(&host, asks_other.clone(), clock).await.unwrap();
        (reply.waiting_for == backlog).then_some(())
    })
    .await;
    let reply = drained(&host, asks_mine, clock).await.unwrap();
    assert!(reply.drained, "waits for {}", reply.waiting_for);

    let_go.add_permits(2);
    until(|| async { drained(&host, asks_other.clone(), clock).await.unwrap().drained.then_some(()) }).await;
    running.stop().await;
}

#[tokio::test]
async fn fault_f29_stopping_takes_no_new_work_and_loses_none() {
    let stage = Stage::new().await;
    let host = host(&stage, "127.0.0.1:0");
    let has_worked = Arc::new(AtomicBool::new(false));
    let worked = has_worked.clone();
    let router = axum::Router::new().route(
        "/slow",
        axum::routing::get(|| async {
            tokio::time::sleep(Duration::from_millis(900)).await;
            "done"
        }),
    );
    let service = Service::new("billing", &host, stage.pool())
        .grpc(Routes::default())
        .http(router, "127.0.0.1:0")
        .worker("careful", move |context| {
            let worked = worked.clone();
            async move {
                context.shutdown.cancelled().await;
                // The piece at hand is finished, with the database still there.
                tokio::time::sleep(Duration::from_millis(200)).await;
                sqlx::query("SELECT 1").execute(&context.pool).await?;
                worked.store(true, Ordering::SeqCst);
                Ok(())
            }
        });
    let mut running = start(vec![service], settings()).await.unwrap();
    let web = running.bound("billing").unwrap().http[0];
    assert_eq!(page(&running, "/healthz").await.0, 200);
    assert_eq!(page(&running, "/readyz").await, (200, "ready\n".to_owned()));
    assert!(page(&running, "/metrics").await.1.ends_with("# EOF\n"));

    let accepted = tokio::spawn(fetch(web, "/slow"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let pages = running.health_address().unwrap();
    let meanwhile = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let ready = fetch(pages, "/readyz").await;
        let late = fetch(web, "/slow").await;
        (ready, late)
    });
    running.stop().await;
    assert_eq!(accepted.await.unwrap(), (200, "done".to_owned()), "accepted before the signal");
    let (ready, late) = meanwhile.await.unwrap();
    assert_eq!(ready, (503, "stopping\n".to_owned()));
    assert_eq!(late, (200, "done".to_owned()), "still served while those who route to us hear of it");
    assert!(has_worked.load(Ordering::SeqCst));
    assert!(get(web, "/slow").await.is_err(), "nobody listens any more");
    assert!(get(pages, "/healthz").await.is_err());
    assert!(stage.pool().is_closed());
}

#[tokio::test]
async fn readiness_follows_the_own_database_and_liveness_does_not() {
    let stage = Stage::new().await;
    let options = stage.database.settings.options("kit").unwrap();
    let proxy = Proxy::start(format!("{}:{}", options.get_host(), options.get_port())).await.unwrap();
    let through = options.host("127.0.0.1").port(proxy.port());
    let pool = ottery_kit::db::connect(&stage.database.settings, through).await.unwrap();
    let host = host(&stage, "127.0.0.1:0");
    let service = Service::new("billing", &host, pool).grpc(Routes::default());
    let quick = RunSettings { pre_stop: Duration::ZERO, finish: Duration::from_secs(1), ..settings() };
    let mut running = start(vec![service], quick).await.unwrap();
    let grpc = running.bound("billing").unwrap().grpc.unwrap();
    let probe = tonic::transport::Endpoint::try_from(format!("http://{grpc}")).unwrap().connect().await.unwrap();
    let status = async || {
        let question = HealthCheckRequest { service: "billing".to_owned() };
        // Unknown until the first report.
        HealthClient::new(probe.clone()).check(question).await.map_or(0, |reply| reply.into_inner().status)
    };
    assert_eq!(page(&running, "/readyz").await.0, 200);
    until(|| async { (status().await == 1).then_some(()) }).await;

    proxy.set(Toxic::Blackhole);
    proxy.cut();
    let (code, text) = page(&running, "/readyz").await;
    assert_eq!(code, 503);
    assert!(text.starts_with("billing: "), "{text}");
    assert_eq!(page(&running, "/healthz").await.0, 200);
    until(|| async { (status().await == 2).then_some(()) }).await;

    proxy.set(Toxic::None);
    until(|| async { (page(&running, "/readyz").await.0 == 200).then_some(()) }).await;
    running.stop().await;
}

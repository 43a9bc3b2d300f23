//! Two services talk: signed actors, deadlines, balancing, breaker. No database involved.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ottery_kernel::{BrandId, Clock, ManualClock, SystemClock};
use ottery_kit::grpc::server::serve;
use ottery_kit::grpc::{
    self, Actor, ActorKind, BreakerSettings, CallContext, Channel, ChannelSettings, Code, Directory, Guard, InFlight,
    Problem, Request, Response, ServerSettings, ServiceKeys, Status,
};
use ottery_kit::telemetry::{Metrics, current_trace_id};
use ottery_proto::common::v1::drain_service_client::DrainServiceClient;
use ottery_proto::common::v1::drain_service_server::{DrainService, DrainServiceServer};
use ottery_proto::common::v1::{DrainedReply, DrainedRequest};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// Does what the `brand_id` of the question says, and tells in `waiting_for` what it saw.
#[derive(Clone, Default)]
struct Tiny {
    name: &'static str,
    calls: Arc<AtomicU32>,
    next: Option<Channel>,
}

#[tonic::async_trait]
impl DrainService for Tiny {
    async fn drained(&self, request: Request<DrainedRequest>) -> Result<Response<DrainedReply>, Status> {
        let calls = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let actor = grpc::actor(&request)?;
        let waiting_for = match request.get_ref().brand_id.as_str() {
            "who" => format!("{} {} {:?} {}", actor.kind, actor.subject, actor.brand, actor.issuer),
            "request" => actor.request_id,
            "permission" => {
                actor.require("panel.update")?;
                "allowed".to_owned()
            }
            "name" => self.name.to_owned(),
            "trace" => current_trace_id().unwrap_or_default(),
            "timeout" => request.metadata().get("grpc-timeout").unwrap().to_str().unwrap().to_owned(),
            "key" => grpc::idempotency_key(&request)?.unwrap_or_default(),
            "forward" => {
                // Without a context of its own: deadline, request id and brand still follow.
                let mut next = DrainServiceClient::new(self.next.clone().unwrap());
                let word = request.get_ref().clock.map_or("timeout", |_| "who");
                next.drained(ask(word)).await?.into_inner().waiting_for
            }
            "slow" => {
                tokio::time::sleep(Duration::from_secs(10)).await;
                String::new()
            }
            "panic" => panic!("secret detail"),
            "away" => return Err(Problem::unavailable("AWAY", "not now").into()),
            "away twice" if calls <= 2 => return Err(Problem::unavailable("AWAY", "not now").into()),
            other => other.to_owned(),
        };
        Ok(Response::new(DrainedReply { drained: true, waiting_for }))
    }
}

fn ask(word: &str) -> DrainedRequest {
    DrainedRequest { brand_id: word.to_owned(), clock: None }
}

struct World {
    keys: ServiceKeys,
    clock: Arc<dyn Clock>,
    directory: Directory,
    metrics: Metrics,
}

impl World {
    fn new() -> Self {
        let keys = ServiceKeys::in_memory(["gateway", "billing", "catalog"]).unwrap();
        Self { keys, clock: Arc::new(SystemClock), directory: Directory::default(), metrics: Metrics::new("test") }
    }

    async fn serve(&self, service: &str, tiny: Tiny) -> (SocketAddr, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.serve_on(service, tiny, listener).await
    }

    async fn serve_on(&self, service: &str, tiny: Tiny, listener: TcpListener) -> (SocketAddr, CancellationToken) {
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let settings = ServerSettings { default_timeout: Duration::from_millis(300), ..ServerSettings::default() };
        let guard = Guard::new(
            service,
            self.keys.verifier(service),
            self.clock.clone(),
            &self.metrics.for_service(service),
            InFlight::default(),
            settings,
        );
        let (_, health) = tonic_health::server::health_reporter();
        let routes = Routes::new(DrainServiceServer::new(tiny)).add_service(health);
        tokio::spawn(serve(listener, routes, guard, stop.clone()));
        (address, stop)
    }

    fn channel(&self, from: &str, to: &str, settings: ChannelSettings) -> Channel {
        let identity = self.keys.identity(from).unwrap();
        let metrics = self.metrics.for_service(from);
        Channel::new(to, self.directory.clone(), identity, self.clock.clone(), &metrics, settings)
    }

    async fn billing(&self) -> Channel {
        let (address, _) = self.serve("billing", Tiny::default()).await;
        self.directory.set("billing", vec![address.to_string()]);
        self.channel("gateway", "billing", ChannelSettings::default())
    }
}

async fn say(channel: Channel, word: &str) -> Result<String, Problem> {
    let reply = DrainServiceClient::new(channel).drained(ask(word)).await;
    reply.map(|reply| reply.into_inner().waiting_for).map_err(Problem::from)
}

fn brand() -> BrandId {
    BrandId::from_uuid(uuid::Uuid::from_u128(7))
}

fn staff() -> Actor {
    Actor::new(ActorKind::Staff, "acc_1", Some(brand())).with_permissions(["panel.read"])
}

#[tokio::test]
async fn a_handler_knows_who_calls_and_what_they_may() {
    let world = World::new();
    let channel = world.billing().await;
    let context = CallContext::new(staff()).request_id("req_7").idempotency_key("key-1");
    let asked = channel.with(&context);
    assert_eq!(say(asked.clone(), "who").await.unwrap(), format!("staff acc_1 Some({}) gateway", brand()));
    assert_eq!(say(asked.clone(), "request").await.unwrap(), "req_7");
    assert_eq!(say(asked.clone(), "key").await.unwrap(), "key-1");
    let denied = say(asked, "permission").await.unwrap_err();
    assert_eq!((denied.code, denied.reason.as_ref()), (Code::PermissionDenied, "PERMISSION_MISSING"));
    assert_eq!(denied.metadata["permission"], "panel.update");
    assert_eq!(say(channel, "who").await.unwrap(), "service gateway None gateway", "by itself without a context");
}

#[tokio::test]
async fn secure_s33_a_call_without_an_actor_is_refused_except_probes() {
    let world = World::new();
    let (address, _) = world.serve("billing", Tiny::default()).await;
    let plain = tonic::transport::Endpoint::try_from(format!("http://{address}")).unwrap().connect().await.unwrap();
    let refused = DrainServiceClient::new(plain.clone()).drained(ask("who")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(Problem::from(refused).reason, "ACTOR_MISSING");
    let probe = HealthClient::new(plain).check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(probe.into_inner().status, 1);
}

#[tokio::test]
async fn secure_s33_a_captured_actor_opens_no_other_service_and_not_for_long() {
    use prost::Message as _;
    let mut world = World::new();
    let clock = ManualClock::new(SystemClock.now());
    world.clock = Arc::new(clock.clone());
    let (billing, _) = world.serve("billing", Tiny::default()).await;
    let (catalog, _) = world.serve("catalog", Tiny::default()).await;
    let signed = world.keys.identity("gateway").unwrap().sign(&staff(), "billing", "req_1", clock.now());
    let replay = async |address: SocketAddr, request_id: &str| {
        let plain = tonic::transport::Endpoint::try_from(format!("http://{address}")).unwrap().connect().await.unwrap();
        let mut request = Request::new(ask("who"));
        let value = tonic::metadata::MetadataValue::from_bytes(&signed.encode_to_vec());
        request.metadata_mut().insert_bin(grpc::ACTOR_HEADER, value);
        request.metadata_mut().insert(grpc::REQUEST_ID_HEADER, request_id.parse().unwrap());
        DrainServiceClient::new(plain).drained(request).await.map_err(|status| Problem::from(status).reason)
    };
    assert!(replay(billing, "req_1").await.is_ok());
    assert_eq!(replay(catalog, "req_1").await.unwrap_err(), "ACTOR_FOREIGN");
    assert_eq!(replay(billing, "req_2").await.unwrap_err(), "ACTOR_FOREIGN");
    clock.advance(chrono::TimeDelta::seconds(61));
    assert_eq!(replay(billing, "req_1").await.unwrap_err(), "ACTOR_EXPIRED");
}

#[tokio::test]
async fn a_service_passes_a_call_on_as_itself_in_the_same_brand() {
    let world = World::new();
    let (catalog, _) = world.serve("catalog", Tiny::default()).await;
    world.directory.set("catalog", vec![catalog.to_string()]);
    let next = world.channel("billing", "catalog", ChannelSettings::default());
    let (billing, _) = world.serve("billing", Tiny { next: Some(next), ..Tiny::default() }).await;
    world.directory.set("billing", vec![billing.to_string()]);
    let channel = world.channel("gateway", "billing", ChannelSettings::default());
    let question = DrainedRequest { brand_id: "forward".to_owned(), clock: Some(prost_types::Timestamp::default()) };
    let reply = DrainServiceClient::new(channel.with(&CallContext::new(staff()))).drained(question).await.unwrap();
    assert_eq!(reply.into_inner().waiting_for, format!("service billing Some({}) billing", brand()));

    let context = CallContext::new(staff()).timeout(Duration::from_millis(700));
    let left = say(channel.with(&context), "forward").await.unwrap();
    let left: u64 = left.trim_end_matches('m').parse().unwrap();
    assert!((1..700).contains(&left), "the deadline went along, less what was used: {left}");
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_on_both_sides() {
    let world = World::new();
    let channel = world.billing().await;
    let context = CallContext::service().timeout(Duration::from_millis(100));
    let started = Instant::now();
    let late = say(channel.with(&context), "slow").await.unwrap_err();
    assert_eq!((late.code, late.reason.as_ref()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(!channel.is_breaker_open());

    // A caller that sets no deadline gets the server's.
    use prost::Message as _;
    let address = world.directory.addresses("billing").remove(0);
    let signed = world.keys.identity("gateway").unwrap().sign(&staff(), "billing", "req_1", world.clock.now());
    let plain = tonic::transport::Endpoint::try_from(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut request = Request::new(ask("slow"));
    let value = tonic::metadata::MetadataValue::from_bytes(&signed.encode_to_vec());
    request.metadata_mut().insert_bin(grpc::ACTOR_HEADER, value);
    request.metadata_mut().insert(grpc::REQUEST_ID_HEADER, "req_1".parse().unwrap());
    let late = DrainServiceClient::new(plain).drained(request).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_panic_is_an_internal_error_that_tells_nothing() {
    let world = World::new();
    let channel = world.billing().await;
    let broken = say(channel.clone(), "panic").await.unwrap_err();
    assert_eq!(broken.code, Code::Internal);
    assert!(!broken.message.contains("secret"));
    assert_eq!(say(channel, "still here").await.unwrap(), "still here");
    let page = world.metrics.encode();
    let counted = r#"ottery_grpc_server_seconds_count{service="billing",method="/ottery.common.v1.DrainService/Drained",code="INTERNAL"} 1"#;
    assert!(page.contains(counted), "{page}");
}

#[tokio::test]
async fn a_message_over_four_mebibytes_is_refused() {
    let world = World::new();
    let channel = world.billing().await;
    let long = "x".repeat(grpc::server::MESSAGE_MAX_BYTES);
    assert_eq!(say(channel, &long).await.unwrap_err().code, Code::OutOfRange);
}

#[tokio::test]
async fn calls_spread_over_two_instances_and_go_on_when_one_dies() {
    let world = World::new();
    let (first, stop) = world.serve("billing", Tiny { name: "first", ..Tiny::default() }).await;
    let (second, _) = world.serve("billing", Tiny { name: "second", ..Tiny::default() }).await;
    world.directory.set("billing", vec![first.to_string(), second.to_string()]);
    let channel = world.channel("gateway", "billing", ChannelSettings::default());
    let mut seen = Vec::new();
    for _ in 0..10 {
        seen.push(say(channel.clone(), "name").await.unwrap());
    }
    assert_eq!(seen.iter().filter(|name| *name == "first").count(), 5);

    stop.cancel();
    // Also calls that may not be repeated get through: a refused connection executed nothing.
    for _ in 0..20 {
        HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.unwrap();
        assert!(say(channel.clone(), "name").await.is_ok());
    }
    assert!(!channel.is_breaker_open());
}

#[tokio::test]
async fn what_reads_is_asked_again_and_what_writes_is_not() {
    let world = World::new();
    let tiny = Tiny::default();
    let (address, _) = world.serve("billing", tiny.clone()).await;
    world.directory.set("billing", vec![address.to_string()]);
    let channel = world.channel("gateway", "billing", ChannelSettings::default());
    assert_eq!(say(channel.clone(), "away twice").await.unwrap(), "away twice", "the third attempt succeeds");
    assert_eq!(tiny.calls.load(Ordering::SeqCst), 3);
    tiny.calls.store(0, Ordering::SeqCst);
    let away = say(channel, "away").await.unwrap_err();
    assert_eq!((away.code, away.reason.as_ref()), (Code::Unavailable, "AWAY"));
    assert_eq!(tiny.calls.load(Ordering::SeqCst), 3, "three attempts and no more");
}

#[tokio::test]
async fn repeating_stops_when_the_budget_is_spent() {
    let world = World::new();
    let tiny = Tiny::default();
    let (address, _) = world.serve("billing", tiny.clone()).await;
    world.directory.set("billing", vec![address.to_string()]);
    let never = BreakerSettings { calls_min: u32::MAX, ..BreakerSettings::default() };
    let channel = world.channel("gateway", "billing", ChannelSettings { breaker: never });
    for _ in 0..100 {
        say(channel.clone(), "away").await.unwrap_err();
    }
    let sent = tiny.calls.load(Ordering::SeqCst);
    assert!((110..=145).contains(&sent), "100 calls, a fifth more and the small floor: {sent}");
}

#[tokio::test]
async fn a_neighbour_that_fails_is_left_alone_until_a_probe_succeeds() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    world.directory.set("billing", vec![address.to_string()]);
    let breaker = BreakerSettings { probe_every: Duration::from_millis(300), ..BreakerSettings::default() };
    let channel = world.channel("gateway", "billing", ChannelSettings { breaker });
    let mut reasons = Vec::new();
    for _ in 0..12 {
        reasons.push(say(channel.clone(), "hello").await.unwrap_err().reason.into_owned());
    }
    assert_eq!(reasons[0], "UPSTREAM_UNREACHABLE");
    assert_eq!(reasons[11], "BREAKER_OPEN");
    assert!(
        world.metrics.encode().contains(r#"ottery_grpc_client_breaker_open{service="gateway",upstream="billing"} 1.0"#)
    );

    let listener = TcpListener::bind(address).await.unwrap();
    world.serve_on("billing", Tiny::default(), listener).await;
    assert_eq!(say(channel.clone(), "hello").await.unwrap_err().reason, "BREAKER_OPEN", "no probe yet");
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(say(channel.clone(), "hello").await.unwrap(), "hello");
    assert!(!channel.is_breaker_open());
}

#[tokio::test]
async fn an_unknown_service_says_which_setting_is_missing() {
    let world = World::new();
    let channel = world.channel("gateway", "catalog", ChannelSettings::default());
    let unknown = say(channel, "hello").await.unwrap_err();
    assert_eq!((unknown.code, unknown.reason.as_ref()), (Code::Unavailable, "UPSTREAM_UNKNOWN"));
    assert!(unknown.message.contains("catalog"));
}

#[tokio::test]
async fn a_trace_goes_along_with_the_call() {
    use opentelemetry::trace::TracerProvider as _;
    use tracing::Instrument as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder().build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let world = World::new();
    let channel = world.billing().await;
    let seen = Arc::new(Mutex::new(None));
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let span = ottery_kit::telemetry::span_with_parent("click", Some(parent));
    async {
        *seen.lock().unwrap() = Some(say(channel, "trace").await.unwrap());
    }
    .instrument(span)
    .await;
    assert_eq!(seen.lock().unwrap().as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
}

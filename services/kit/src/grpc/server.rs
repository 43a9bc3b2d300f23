//! The server every service runs: nothing reaches a handler without a verified actor and a deadline.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use ottery_kernel::{BrandId, Clock};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::Instrument as _;

use super::problem::code_name;
use super::{ACTOR_HEADER, Actor, ActorVerifier, CallContext, Problem, REQUEST_ID_HEADER, TRACEPARENT_HEADER};
use super::{context, deadline};
use crate::outbox::{Cause, with_cause};
use crate::telemetry::{Histogram, Metrics, set_parent};

/// Largest message a service takes; tonic's own default, stated because callers rely on it.
pub const MESSAGE_MAX_BYTES: usize = 4 * 1024 * 1024;
/// A handler stops this much before the caller does, so that its answer can still arrive.
const REPLY_MARGIN: Duration = Duration::from_millis(5);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
const PANIC_TEXT_MAX: usize = 500;

/// Calls that need no actor: probes and tools that ask what there is.
const OPEN_PATHS: [&str; 2] = ["/grpc.health.v1.Health/", "/grpc.reflection."];

const DRAIN_PATH: &str = "/ottery.common.v1.DrainService/";

/// Limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct ServerSettings {
    /// For calls that name no deadline.
    pub default_timeout: Duration,
    /// No call may ask for more.
    pub timeout_max: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self { default_timeout: deadline::DEFAULT_TIMEOUT, timeout_max: Duration::from_secs(120) }
    }
}

/// Counts work at hand, per brand. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<Mutex<HashMap<Option<BrandId>, usize>>>);

impl InFlight {
    /// Counts one piece of work until the answer is dropped.
    #[must_use = "the work counts until this is dropped"]
    pub fn enter(&self, brand: Option<BrandId>) -> Entered {
        *self.lock().entry(brand).or_default() += 1;
        Entered { in_flight: self.clone(), brand }
    }

    /// Work at hand for that brand.
    #[must_use]
    pub fn of_brand(&self, brand: BrandId) -> usize {
        self.lock().get(&Some(brand)).copied().unwrap_or_default()
    }

    /// All work at hand.
    #[must_use]
    pub fn total(&self) -> usize {
        self.lock().values().sum()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<BrandId>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One piece of work at hand.
#[derive(Debug)]
pub struct Entered {
    in_flight: InFlight,
    brand: Option<BrandId>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut counts = self.in_flight.lock();
        if let Some(count) = counts.get_mut(&self.brand) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.brand);
            }
        }
    }
}

/// Everything a call passes before its handler: trace, actor, deadline, panic guard, measure.
#[derive(Clone, Debug)]
pub struct Guard(Arc<Checks>);

#[derive(Debug)]
struct Checks {
    service: String,
    verifier: ActorVerifier,
    clock: Arc<dyn Clock>,
    settings: ServerSettings,
    seconds: Histogram,
    in_flight: InFlight,
}

impl Guard {
    /// The checks of one service.
    #[must_use]
    pub fn new(
        service: &str,
        verifier: ActorVerifier,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
        in_flight: InFlight,
        settings: ServerSettings,
    ) -> Self {
        let seconds =
            metrics.histogram("ottery_grpc_server_seconds", "Time until the answer of a gRPC call, by method and code");
        Self(Arc::new(Checks { service: service.to_owned(), verifier, clock, settings, seconds, in_flight }))
    }
}

impl Checks {
    async fn handle<S>(&self, inner: S, request: Request<Body>) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>>,
    {
        let started = Instant::now();
        let path = request.uri().path().to_owned();
        let (rpc_service, rpc_method) = path.trim_start_matches('/').split_once('/').unwrap_or((&path, ""));
        let span = tracing::info_span!(
            "grpc.server",
            otel.name = path,
            otel.kind = "server",
            otel.status_code = tracing::field::Empty,
            rpc.system = "grpc",
            rpc.service = rpc_service,
            rpc.method = rpc_method,
            rpc.code = tracing::field::Empty,
            service = self.service,
            brand = tracing::field::Empty,
            request.id = text(request.headers(), REQUEST_ID_HEADER),
        );
        set_parent(&span, Some(text(request.headers(), TRACEPARENT_HEADER)));
        let response = self.answer(inner, request, started).instrument(span.clone()).await?;
        let code = code_of(response.headers());
        span.record("rpc.code", code_name(code));
        if matches!(code, Code::Internal | Code::Unknown | Code::DataLoss | Code::DeadlineExceeded | Code::Unavailable)
        {
            span.record("otel.status_code", "ERROR");
        }
        // What was not verified or does not exist may be called anything, and labels must be bounded.
        let label = match code {
            Code::Unauthenticated | Code::Unimplemented => "other",
            _ => path.as_str(),
        };
        span.in_scope(|| {
            self.seconds.observe_duration(&[("method", label), ("code", code_name(code))], started.elapsed());
        });
        Ok(response)
    }

    async fn answer<S>(
        &self,
        mut inner: S,
        mut request: Request<Body>,
        started: Instant,
    ) -> Result<Response<Body>, S::Error>
    where
        S: Service<Request<Body>, Response = Response<Body>>,
    {
        let asked = deadline::parse(request.headers()).unwrap_or(self.settings.default_timeout);
        let allowed = asked.min(self.settings.timeout_max);
        let deadline = started + allowed.saturating_sub(REPLY_MARGIN).max(allowed / 2);

        let mut brand = None;
        let mut actor = Actor::service(self.service.clone(), None);
        if !OPEN_PATHS.iter().any(|open| request.uri().path().starts_with(open)) {
            match self.verify(request.headers()) {
                Ok(verified) => {
                    brand = verified.brand;
                    actor = verified.clone();
                    if let Some(brand) = brand {
                        tracing::Span::current().record("brand", tracing::field::display(brand));
                    }
                    request.extensions_mut().insert(verified);
                }
                Err(problem) => {
                    tracing::warn!(reason = %problem.reason, "call refused: {problem}");
                    return Ok(Status::from(problem).into_http());
                }
            }
        }
        // Asking whether work is left is no work.
        let is_work = !request.uri().path().starts_with(DRAIN_PATH);
        let _counted = is_work.then(|| self.in_flight.enter(brand));
        let context = CallContext::new(actor).deadline(deadline);
        let cause = Cause { causation_id: context.request_id.clone(), correlation_id: context.request_id.clone() };
        let work = context::scope(context, with_cause(cause, inner.call(request)));
        let work = AssertUnwindSafe(work).catch_unwind();
        match tokio::time::timeout_at(deadline, work).await {
            Ok(Ok(response)) => response,
            Ok(Err(panic)) => {
                tracing::error!(panic = panic_text(&*panic), "handler panicked");
                let text = "something went wrong on our side; the request id finds it in the logs";
                Ok(Status::from(Problem::new(Code::Internal, "INTERNAL", text)).into_http())
            }
            Err(_) => Ok(deadline::exceeded().into_http()),
        }
    }

    fn verify(&self, headers: &HeaderMap) -> Result<Actor, Problem> {
        let signed = text(headers, ACTOR_HEADER);
        if signed.is_empty() {
            return Err(Problem::unauthenticated("ACTOR_MISSING", "the call carries no signed actor"));
        }
        // gRPC sends binary metadata as base64, with or without padding.
        let signed = STANDARD_NO_PAD
            .decode(signed.trim_end_matches('='))
            .map_err(|_| Problem::unauthenticated("ACTOR_MALFORMED", "the signed actor cannot be read"))?;
        self.verifier.verify(&signed, text(headers, REQUEST_ID_HEADER), self.clock.now())
    }
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, guard: self.clone() }
    }
}

/// A service behind a [`Guard`].
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    inner: S,
    guard: Guard,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The clone is not ready yet; the one that is goes to work.
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        let guard = self.guard.clone();
        Box::pin(async move { guard.0.handle(ready, request).await })
    }
}

/// Serves until `stop`, then finishes the calls at hand and returns.
///
/// # Errors
/// The listener broke.
pub async fn serve(
    listener: TcpListener,
    routes: Routes,
    guard: Guard,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(TCP_KEEPALIVE));
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .layer(guard)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await
}

/// The code of an answer whose trailers came with its headers; an answer with a message is `OK` so far.
pub(super) fn code_of(headers: &HeaderMap) -> Code {
    headers.get("grpc-status").map_or(Code::Ok, |value| Code::from_bytes(value.as_bytes()))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message");
    text.chars().take(PANIC_TEXT_MAX).collect()
}

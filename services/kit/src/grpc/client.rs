//! The channel generated clients are built on.
//!
//! A call goes to a reachable instance with a signed actor, the remaining time and the trace. It is sent again (three
//! times at most, within the retry budget) when it surely was not executed, or when the answer was `UNAVAILABLE` and
//! repeating is harmless: the method's name starts with a reading verb, the call has an idempotency key, or its
//! context says so. A neighbour that mostly fails is not asked for a while (`BREAKER_OPEN`).

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use ottery_kernel::Clock;
use prost::Message as _;
use rand::Rng as _;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Service, ServiceExt as _};
use tracing::Instrument as _;

use super::balance::{Balancer, Directory};
use super::breaker::{Breaker, BreakerSettings};
use super::budget::{ATTEMPTS_MAX, RetryBudget};
use super::context;
use super::deadline::{self, DEFAULT_TIMEOUT, DeadlineBody};
use super::problem::{chain, code_name};
use super::server::code_of;
use super::{
    ACTOR_HEADER, CallContext, IDEMPOTENCY_HEADER, Problem, REQUEST_ID_HEADER, ServiceIdentity, TRACEPARENT_HEADER,
};
use crate::telemetry::{Counter, Gauge, Histogram, Metrics, current_traceparent};

/// Methods that only read, by the verb their name starts with.
const READING_VERBS: [&str; 9] =
    ["Get", "List", "Find", "Search", "Count", "Describe", "Preview", "BatchGet", "Drained"];
/// First pause before sending again; doubles, with jitter.
const PAUSE: Duration = Duration::from_millis(20);
/// A call that had less time than this says nothing about the neighbour when it ran out of it.
const TELLING_TIMEOUT: Duration = Duration::from_millis(500);

/// Settings of the channels of a process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChannelSettings {
    /// When to stop asking a neighbour.
    pub breaker: BreakerSettings,
}

/// A connection to a service, whatever instances it has. Cheap to clone; clones share connections, breaker and
/// retry budget. Carries unary calls and streamed answers (requests are kept for sending again, so not streamed).
#[derive(Clone, Debug)]
pub struct Channel {
    upstream: Arc<Upstream>,
    context: Option<Arc<CallContext>>,
}

impl Channel {
    /// A channel to `service`; connects when first used.
    #[must_use]
    pub fn new(
        service: &str,
        directory: Directory,
        identity: ServiceIdentity,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
        settings: ChannelSettings,
    ) -> Self {
        let upstream = Upstream {
            service: service.to_owned(),
            balancer: Arc::new(Balancer::new(directory, service)),
            breaker: Breaker::new(settings.breaker),
            budget: RetryBudget::default(),
            identity,
            clock,
            measures: Measures::new(metrics),
        };
        Self { upstream: Arc::new(upstream), context: None }
    }

    /// The same channel for calls in this context.
    #[must_use]
    pub fn with(&self, context: &CallContext) -> Self {
        Self { upstream: self.upstream.clone(), context: Some(Arc::new(context.clone())) }
    }

    /// The service it leads to.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.upstream.service
    }

    /// Whether the neighbour is given a rest at present.
    #[must_use]
    pub fn is_breaker_open(&self) -> bool {
        self.upstream.breaker.is_open()
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let upstream = self.upstream.clone();
        let given = self.context.clone();
        Box::pin(async move {
            let call = Call::new(given.as_deref());
            let path = request.uri().path().to_owned();
            let span = tracing::info_span!(
                "grpc.client",
                otel.name = path,
                otel.kind = "client",
                otel.status_code = tracing::field::Empty,
                rpc.system = "grpc",
                rpc.code = tracing::field::Empty,
                upstream = upstream.service,
                request.id = call.context.request_id,
            );
            upstream.call(&path, request, &call).instrument(span).await
        })
    }
}

/// A context with its instant of giving up.
struct Call {
    context: CallContext,
    deadline: Instant,
    allowed: Duration,
}

impl Call {
    fn new(given: Option<&CallContext>) -> Self {
        let now = Instant::now();
        let ambient = context::current();
        let outer = ambient.as_ref().and_then(|ambient| ambient.deadline);
        let context = given.cloned().or(ambient).unwrap_or_else(CallContext::service);
        let own = match (context.timeout, given.and_then(|given| given.deadline)) {
            (Some(timeout), _) => now + timeout,
            (None, Some(deadline)) => deadline,
            (None, None) => now + DEFAULT_TIMEOUT,
        };
        // Never longer than whoever waits for us.
        let deadline = [context.deadline, outer].into_iter().flatten().fold(own, Instant::min);
        Self { context, deadline, allowed: deadline.saturating_duration_since(now) }
    }

    fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

#[derive(Debug)]
struct Upstream {
    service: String,
    balancer: Arc<Balancer>,
    breaker: Breaker,
    budget: RetryBudget,
    identity: ServiceIdentity,
    clock: Arc<dyn Clock>,
    measures: Measures,
}

#[derive(Debug)]
struct Measures {
    seconds: Histogram,
    repeats: Counter,
    exhausted: Counter,
    open: Gauge,
    was_open: AtomicBool,
}

impl Measures {
    fn new(metrics: &Metrics) -> Self {
        Self {
            seconds: metrics.histogram(
                "ottery_grpc_client_seconds",
                "Time of a gRPC call with all its attempts, by upstream and code",
            ),
            repeats: metrics.counter("ottery_grpc_client_repeats", "Calls sent again"),
            exhausted: metrics
                .counter("ottery_grpc_client_retry_budget_exhausted", "Calls not sent again because too many were"),
            open: metrics
                .gauge("ottery_grpc_client_breaker_open", "1 while an upstream is not asked because it mostly fails"),
            was_open: AtomicBool::new(false),
        }
    }
}

/// How one attempt ended without an answer worth returning at once.
struct Miss {
    answer: Result<Response<Body>, Status>,
    /// Surely not executed.
    is_unsent: bool,
}

impl Upstream {
    async fn call(&self, path: &str, request: Request<Body>, call: &Call) -> Result<Response<Body>, Status> {
        let started = Instant::now();
        let answer = self.send(path, request, call).await;
        let code = answer.as_ref().map_or_else(Status::code, |response| code_of(response.headers()));
        let span = tracing::Span::current();
        span.record("rpc.code", code_name(code));
        if answer.is_err() {
            span.record("otel.status_code", "ERROR");
        }
        let labels = [("upstream", self.service.as_str()), ("method", path), ("code", code_name(code))];
        self.measures.seconds.observe_duration(&labels, started.elapsed());
        let is_open = self.breaker.is_open();
        if self.measures.was_open.swap(is_open, Ordering::Relaxed) != is_open {
            self.measures.open.set(&[("upstream", &self.service)], f64::from(u8::from(is_open)));
            tracing::warn!(upstream = self.service, is_open, "breaker changed");
        }
        answer
    }

    async fn send(&self, path: &str, request: Request<Body>, call: &Call) -> Result<Response<Body>, Status> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let is_repeatable = call.context.is_repeatable || call.context.idempotency_key.is_some() || is_reading(path);
        let mut tried = Vec::new();
        let mut attempt = 1;
        self.budget.deposit();
        loop {
            let miss = match self.attempt(&parts, body.clone(), call, &mut tried).await? {
                Ok(response) => return Ok(response),
                Err(miss) => miss,
            };
            if attempt >= ATTEMPTS_MAX || !(miss.is_unsent || is_repeatable) {
                return miss.answer;
            }
            // Asking another instance after a refused connection costs nobody anything; all else is extra load.
            if !(miss.is_unsent && self.balancer.has_another(&tried)) {
                if !self.budget.withdraw() {
                    self.measures.exhausted.inc(&[("upstream", &self.service)]);
                    return miss.answer;
                }
                let pause = PAUSE.mul_f64(f64::from(1 << (attempt - 1)) * rand::rng().random_range(0.5..1.5));
                if pause >= call.remaining() {
                    return miss.answer;
                }
                tokio::time::sleep(pause).await;
            }
            self.measures.repeats.inc(&[("upstream", &self.service)]);
            attempt += 1;
        }
    }

    /// One attempt: an answer to return, a miss that may be tried again, or an error that may not.
    async fn attempt(
        &self,
        parts: &http::request::Parts,
        body: Bytes,
        call: &Call,
        tried: &mut Vec<SocketAddr>,
    ) -> Result<Result<Response<Body>, Miss>, Status> {
        let remaining = call.remaining();
        if remaining.is_zero() {
            return Err(deadline::exceeded());
        }
        let permit = self.breaker.acquire().map_err(|open| {
            Problem::unavailable("BREAKER_OPEN", format!("{} is not answering; try again in a moment", self.service))
                .with("retry_after_ms", open.retry_after.as_millis())
        })?;
        let endpoint = match tokio::time::timeout_at(call.deadline, self.balancer.pick(tried)).await {
            Ok(picked) => picked?,
            Err(_) => return Err(deadline::exceeded()),
        };
        tried.push(endpoint.address());
        let request = self.request(parts, body, call, remaining)?;
        // The connection's error carries no promise about the caller's time, so ours is the one that counts.
        let sent = tokio::time::timeout_at(call.deadline, endpoint.channel().oneshot(request)).await;
        match sent {
            Err(_) => {
                if call.allowed >= TELLING_TIMEOUT {
                    permit.failure();
                }
                Err(deadline::exceeded())
            }
            Ok(Err(error)) => {
                if is_timeout(&error) {
                    if call.allowed >= TELLING_TIMEOUT {
                        permit.failure();
                    }
                    return Err(deadline::exceeded());
                }
                permit.failure();
                endpoint.failed();
                let is_unsent = is_unsent(&error);
                tracing::debug!(upstream = self.service, address = %endpoint.address(), is_unsent, error = %chain(&error), "instance unreachable");
                let problem = Problem::unavailable(
                    "UPSTREAM_UNREACHABLE",
                    format!("{} cannot be reached; try again in a moment", self.service),
                );
                Ok(Err(Miss { answer: Err(problem.into()), is_unsent }))
            }
            Ok(Ok(response)) => {
                endpoint.up();
                let code = code_of(response.headers());
                let is_failure =
                    code == Code::Unavailable || (code == Code::DeadlineExceeded && call.allowed >= TELLING_TIMEOUT);
                if is_failure {
                    permit.failure()
                } else {
                    permit.success()
                }
                let response = response.map(|body| Body::new(DeadlineBody::new(body, call.deadline)));
                if code == Code::Unavailable {
                    return Ok(Err(Miss { answer: Ok(response), is_unsent: false }));
                }
                Ok(Ok(response))
            }
        }
    }

    fn request(
        &self,
        parts: &http::request::Parts,
        body: Bytes,
        call: &Call,
        remaining: Duration,
    ) -> Result<Request<Body>, Status> {
        let context = &call.context;
        let signed = self.identity.sign(&context.actor, &self.service, &context.request_id, self.clock.now());
        let mut request = Request::new(Body::new(Full::new(body)));
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = parts.uri.clone();
        *request.version_mut() = parts.version;
        *request.extensions_mut() = parts.extensions.clone();
        let headers = request.headers_mut();
        *headers = parts.headers.clone();
        let text = |name: &str, value: &str| {
            HeaderValue::try_from(value).map_err(|_| {
                Status::from(Problem::invalid(name, "METADATA_INVALID", format!("`{name}` must be printable ASCII")))
            })
        };
        headers.insert(ACTOR_HEADER, text(ACTOR_HEADER, &STANDARD_NO_PAD.encode(signed.encode_to_vec()))?);
        headers.insert(REQUEST_ID_HEADER, text(REQUEST_ID_HEADER, &context.request_id)?);
        headers.insert(deadline::TIMEOUT_HEADER, deadline::header(remaining));
        if let Some(key) = &context.idempotency_key {
            headers.insert(IDEMPOTENCY_HEADER, text(IDEMPOTENCY_HEADER, key)?);
        }
        if let Some(traceparent) = current_traceparent() {
            headers.insert(TRACEPARENT_HEADER, text(TRACEPARENT_HEADER, &traceparent)?);
        }
        Ok(request)
    }
}

fn is_reading(path: &str) -> bool {
    let method = path.rsplit('/').next().unwrap_or_default();
    READING_VERBS.iter().any(|verb| {
        method
            .strip_prefix(verb)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_uppercase()))
    })
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        error.source()
    })
}

/// Whether the request never left this process: the connection was refused, or closed before it was written.
fn is_unsent(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| {
        cause.is::<tonic::ConnectError>() || cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled)
    })
}

fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<tonic::TimeoutExpired>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reading_verbs_are_repeated_by_name() {
        assert!(is_reading("/ottery.billing.v1.BillingService/GetInvoice"));
        assert!(is_reading("/ottery.common.v1.DrainService/Drained"));
        assert!(!is_reading("/ottery.billing.v1.BillingService/Getaway"));
        assert!(!is_reading("/ottery.billing.v1.BillingService/RefundPayment"));
    }

    #[tokio::test]
    async fn a_call_never_outlives_the_one_it_serves() {
        let end = Instant::now() + Duration::from_millis(900);
        let (inherited, explicit, shorter) = context::scope(CallContext::service().deadline(end), async {
            let long = CallContext::service().timeout(Duration::from_secs(30));
            let short = CallContext::service().timeout(Duration::from_millis(1));
            (Call::new(None).deadline, Call::new(Some(&long)).deadline, Call::new(Some(&short)).deadline)
        })
        .await;
        assert_eq!(inherited, end);
        assert_eq!(explicit, end);
        assert!(shorter < end);
        assert_eq!(Call::new(None).allowed, DEFAULT_TIMEOUT);
    }
}

//! A trace collector that counts: tracing costs what it costs only when somebody takes the spans.
//!
//! It looks at as much of them as counting needs. A real one does its work on another machine; here it would take the
//! processor away from what is measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use prost::Message;

/// Where the OpenTelemetry protocol sends spans over gRPC.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// In front of every message of gRPC: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// `ExportTraceServiceRequest`
#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<Resource>,
}

/// `ResourceSpans`
#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<Scope>,
}

/// `ScopeSpans`
#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

/// `Span`; that there is one is all that counts.
#[derive(Clone, PartialEq, Message)]
struct Span {}

impl Export {
    fn spans(&self) -> u64 {
        let scopes = self.resources.iter().flat_map(|resource| &resource.scopes);
        scopes.map(|scope| scope.spans.len() as u64).sum()
    }
}

/// The collector of one bench; it ends with the process.
pub struct Collector {
    address: SocketAddr,
    spans: Arc<AtomicU64>,
}

impl Collector {
    /// Listens on a free port.
    ///
    /// # Errors
    /// There is none.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let (address, spans) = (listener.local_addr()?, Arc::<AtomicU64>::default());
        let router = Router::new().route(EXPORT, post(export)).with_state(spans.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, spans })
    }

    /// Where spans are sent.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Spans taken so far.
    pub fn spans(&self) -> u64 {
        self.spans.load(Ordering::Relaxed)
    }
}

async fn export(State(spans): State<Arc<AtomicU64>>, body: Bytes) -> Result<Response, StatusCode> {
    let message = body.get(PREFIX_BYTES..).ok_or(StatusCode::BAD_REQUEST)?;
    let export = Export::decode(message).map_err(|_| StatusCode::BAD_REQUEST)?;
    spans.fetch_add(export.spans(), Ordering::Relaxed);
    // An empty answer, and that all is well.
    let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
    let body = Full::new(Bytes::from_static(&[0; PREFIX_BYTES])).with_trailers(async { Some(Ok(trailers)) });
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(response)
}

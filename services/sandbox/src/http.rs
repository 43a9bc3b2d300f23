//! The small HTTP server under every simulator. It can do what a real server does only on a bad day: close the
//! connection without an answer, or in the middle of one.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, future::BoxFuture, stream, stream::BoxStream};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header::HeaderName};
use http_body_util::{BodyExt, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::form_urlencoded;

/// Largest request body any simulator reads, in bytes.
const BODY_MAX: usize = 2 * 1024 * 1024;

/// A request, read whole.
#[derive(Clone, Debug)]
pub struct Request {
    /// GET, POST …
    pub method: Method,
    /// Path as sent, still percent-encoded.
    pub path: String,
    /// Query string without the question mark.
    pub query: Option<String>,
    /// Headers.
    pub headers: HeaderMap,
    /// Body bytes.
    pub body: Bytes,
    /// Who called.
    pub peer: SocketAddr,
}

impl Request {
    /// Path segments, decoded; empty ones are left out.
    #[must_use]
    pub fn segments(&self) -> Vec<String> {
        self.path.split('/').filter(|part| !part.is_empty()).map(decode).collect()
    }

    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A query parameter.
    #[must_use]
    pub fn query_value(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_deref()?.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, v)| v.into_owned())
    }

    /// `Host` as the caller wrote it.
    #[must_use]
    pub fn host(&self) -> &str {
        self.header("host").unwrap_or("localhost")
    }
}

fn decode(part: &str) -> String {
    // A path keeps its plus signs; everything else is form decoding.
    let guarded = format!("x={}", part.replace('+', "%2B"));
    form_urlencoded::parse(guarded.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

enum Payload {
    Whole(Bytes),
    Cut(Bytes),
    Live(BoxStream<'static, Bytes>),
    Nothing,
}

/// An answer, or the refusal to give one.
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    headers: HeaderMap,
    payload: Payload,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Reply {
    /// Bytes of a named content type.
    #[must_use]
    pub fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self { status, headers, payload: Payload::Whole(body.into()) }
    }

    /// JSON at a status.
    #[must_use]
    pub fn json(status: StatusCode, body: &impl Serialize) -> Self {
        Self::new(status, "application/json", serde_json::to_vec(body).expect("answers are plain data"))
    }

    /// JSON at 200.
    #[must_use]
    pub fn ok(body: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, body)
    }

    /// An HTML page.
    #[must_use]
    pub fn html(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self::new(status, "text/html; charset=utf-8", body)
    }

    /// 200 without a byte of body, as PHP answers after an uncaught exception.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self::new(status, "text/html; charset=UTF-8", Bytes::new())
    }

    /// A redirect.
    #[must_use]
    pub fn redirect(status: StatusCode, location: &str) -> Self {
        Self::empty(status).with("location", location)
    }

    /// An endless or slow body.
    #[must_use]
    pub fn live(content_type: &'static str, body: BoxStream<'static, Bytes>) -> Self {
        let mut reply = Self::new(StatusCode::OK, content_type, Bytes::new());
        reply.payload = Payload::Live(body);
        reply
    }

    /// No answer at all: the connection is closed.
    #[must_use]
    pub fn dropped() -> Self {
        Self { status: StatusCode::OK, headers: HeaderMap::new(), payload: Payload::Nothing }
    }

    /// An error page in nginx's exact words.
    #[must_use]
    pub fn nginx(status: StatusCode) -> Self {
        let name = if status == StatusCode::SERVICE_UNAVAILABLE {
            "503 Service Temporarily Unavailable".to_owned()
        } else {
            format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or("Error"))
        };
        let page = format!(
            "<html>\r\n<head><title>{name}</title></head>\r\n<body>\r\n<center><h1>{name}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
        );
        Self::new(status, "text/html", page)
    }

    /// Adds a header; values that cannot stand in one are left out.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// The first half of the body as if it were all of it.
    #[must_use]
    pub fn truncated(mut self) -> Self {
        if let Payload::Whole(body) = &self.payload {
            self.payload = Payload::Whole(body.slice(..body.len() / 2));
        }
        self
    }

    /// Half of the body, then the connection breaks.
    #[must_use]
    pub fn cut(mut self) -> Self {
        if let Payload::Whole(body) = &self.payload {
            self.payload = Payload::Cut(body.slice(..body.len() / 2));
        }
        self
    }

    fn into_response(self, server: &'static str) -> Result<Response<Body>, Dropped> {
        let body: Body = match self.payload {
            Payload::Nothing => return Err(Dropped),
            Payload::Whole(bytes) => Full::new(bytes).map_err(|never: Infallible| match never {}).boxed_unsync(),
            Payload::Cut(half) => {
                let parts = [Ok(Frame::data(half)), Err(io::Error::other("cut on purpose"))];
                StreamBody::new(stream::iter(parts)).boxed_unsync()
            }
            Payload::Live(parts) => StreamBody::new(parts.map(|bytes| Ok(Frame::data(bytes)))).boxed_unsync(),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response.headers_mut().insert("server", HeaderValue::from_static(server));
        response.headers_mut().insert("x-sandbox", HeaderValue::from_static("SANDBOX"));
        Ok(response)
    }
}

type Body = UnsyncBoxBody<Bytes, io::Error>;

#[derive(Debug, thiserror::Error)]
#[error("connection closed on purpose")]
struct Dropped;

/// Answers requests.
pub type Handler = Arc<dyn Fn(Request) -> BoxFuture<'static, Reply> + Send + Sync>;

/// Where and how one simulator is served.
pub struct Site {
    /// Already bound.
    pub listener: TcpListener,
    /// The `Server` header.
    pub server: &'static str,
    /// Answers.
    pub handler: Handler,
}

/// Serves until `stop`; open connections end with it.
pub fn serve(site: Site, stop: CancellationToken, tasks: &TaskTracker) {
    let connections = tasks.clone();
    tasks.spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = site.listener.accept() => accepted,
            };
            let Ok((socket, peer)) = accepted else {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            };
            socket.set_nodelay(true).ok();
            let (handler, server, stop) = (site.handler.clone(), site.server, stop.clone());
            connections.spawn(async move {
                let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
                    let handler = handler.clone();
                    async move { answer(&handler, server, peer, request).await }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .title_case_headers(true)
                    .serve_connection(TokioIo::new(socket), service);
                tokio::pin!(connection);
                tokio::select! {
                    // A client that went away, or our own refusal to answer: nothing to tell anyone.
                    _ = connection.as_mut() => {}
                    () = stop.cancelled() => {
                        connection.as_mut().graceful_shutdown();
                        tokio::time::timeout(std::time::Duration::from_millis(500), connection).await.ok();
                    }
                }
            });
        }
    });
}

async fn answer(
    handler: &Handler,
    server: &'static str,
    peer: SocketAddr,
    request: http::Request<Incoming>,
) -> Result<Response<Body>, Dropped> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_MAX).collect().await else {
        return Reply::nginx(StatusCode::PAYLOAD_TOO_LARGE).into_response(server);
    };
    let request = Request {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        body: body.to_bytes(),
        peer,
    };
    handler(request).await.into_response(server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_segments_are_decoded_once_and_keep_plus_signs() {
        assert_eq!(decode("a%20b+c%2525"), "a b+c%25");
    }
}

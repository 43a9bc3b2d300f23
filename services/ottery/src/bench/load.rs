//! Who asks: a process of its own (`ottery generate`), so that it measures from outside, with its own processor time.
//!
//! Two ways of asking. *As fast as answers come* (closed loop) finds out how much can be done. *At a fixed rate* (open loop)
//! finds out how long one waits: a request is due when the schedule says so, whether or not the answer before it has come, and
//! its time counts from that instant. A generator that waits for a slow answer before it asks again would leave out exactly
//! the requests that would have waited (coordinated omission).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::result::Latency;
use crate::cli::GenerateOptions;

/// Addresses the clients seem to come from: the range set aside for measuring (RFC 2544), a little of it.
const CLIENTS: u16 = 4_096;
/// What browsers say they understand.
const ENCODINGS: &str = "gzip";
/// A fixed rate that is not kept up with ends after this many times its duration.
const OVERTIME: u32 = 3;

/// What a generator saw; it prints this as its only line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// Good answers.
    pub answers: u64,
    /// Other answers, none, or requests that were due and never made.
    pub failures: u64,
    /// The first of the failures, in words.
    pub failure: Option<String>,
    /// Good answers a second.
    pub per_second: f64,
    /// Bytes of bodies.
    pub body_bytes: u64,
    /// From the instant a request was due to the end of its answer.
    #[serde(flatten)]
    pub latency: Latency,
}

/// Asks, and prints what it saw.
///
/// # Errors
/// Nobody listens there.
pub async fn run(options: GenerateOptions) -> anyhow::Result<()> {
    let seen = generate(&options).await?;
    println!("{}", serde_json::to_string(&seen)?);
    Ok(())
}

/// When requests are due.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// When the answer before has come.
    Closed,
    /// At this rate over all connections together, evenly spaced.
    Open { per_second: f64, connections: u32 },
}

impl Pace {
    /// When the `n`th request of a connection is due, counted from the start; none for whenever it can be made.
    fn due(self, connection: u32, n: u32) -> Option<Duration> {
        let Self::Open { per_second, connections } = self else { return None };
        let before = f64::from(n) * f64::from(connections) + f64::from(connection);
        Some(Duration::from_secs_f64(before / per_second))
    }
}

/// What one connection saw.
struct Tally {
    micros: Histogram<u64>,
    failures: u64,
    failure: Option<String>,
    body_bytes: u64,
}

impl Tally {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { micros: Latency::histogram()?, failures: 0, failure: None, body_bytes: 0 })
    }

    fn answered(&mut self, waited: Duration, body_bytes: u64) {
        self.micros.saturating_record(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX));
        self.body_bytes += body_bytes;
    }

    fn failed(&mut self, how: impl FnOnce() -> String) {
        self.failures += 1;
        self.failure.get_or_insert_with(how);
    }

    fn add(&mut self, other: Self) -> anyhow::Result<()> {
        self.micros.add(other.micros)?;
        self.failures += other.failures;
        self.failure = self.failure.take().or(other.failure);
        self.body_bytes += other.body_bytes;
        Ok(())
    }
}

async fn generate(options: &GenerateOptions) -> anyhow::Result<Seen> {
    let connections = options.connections.max(1);
    let pace = match options.rate {
        Some(per_second) => Pace::Open { per_second, connections },
        None => Pace::Closed,
    };
    let page = Arc::new(Page::new(options)?);
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(page.connect().await?);
    }
    let (start, length) = (Instant::now(), Duration::from_secs_f64(options.seconds));
    let mut asking = JoinSet::new();
    for (number, sender) in (0..connections).zip(open) {
        asking.spawn(ask(page.clone(), sender, number, pace, start, length));
    }
    let mut all = Tally::new()?;
    while let Some(tally) = asking.join_next().await {
        all.add(tally.context("a connection's task broke")??)?;
    }
    let took = start.elapsed().max(length);
    let answers = all.micros.len();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 requests")]
    let per_second = answers as f64 / took.as_secs_f64();
    Ok(Seen {
        answers,
        failures: all.failures,
        failure: all.failure,
        per_second,
        body_bytes: all.body_bytes,
        latency: Latency::of_micros(&all.micros),
    })
}

/// What is asked for, and where.
struct Page {
    address: SocketAddr,
    path: String,
    host: HeaderValue,
    clients: Vec<HeaderValue>,
}

impl Page {
    fn new(options: &GenerateOptions) -> anyhow::Result<Self> {
        let client = |n: u16| HeaderValue::try_from(format!("198.18.{}.{}", n >> 8, n & 0xff));
        Ok(Self {
            address: options.to,
            path: options.path.clone(),
            host: HeaderValue::try_from(&options.host).context("--host is no host name")?,
            clients: (0..CLIENTS).map(client).collect::<Result<_, _>>()?,
        })
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
        let stream = TcpStream::connect(self.address).await;
        let stream = stream.with_context(|| format!("cannot connect to {}", self.address))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // When it breaks, its next request fails and says so.
        tokio::spawn(connection);
        Ok(sender)
    }

    /// The page as the `n`th of all clients asks for it.
    fn request(&self, n: usize) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.path.parse().expect("the path was a path when the first request was made");
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.host.clone());
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(ENCODINGS));
        headers.insert("x-forwarded-for", self.clients[n % self.clients.len()].clone());
        request
    }
}

async fn ask(
    page: Arc<Page>,
    mut sender: SendRequest<Empty<Bytes>>,
    connection: u32,
    pace: Pace,
    start: Instant,
    length: Duration,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::new()?;
    // Connections go through the clients at different places, so that no client is asked for by all of them at once.
    let first = connection as usize * 61;
    for n in 0_u32.. {
        let due = match pace.due(connection, n) {
            Some(due) if due >= length => break,
            Some(due) => {
                tokio::time::sleep_until(start + due).await;
                start + due
            }
            None => Instant::now(),
        };
        let late = start.elapsed();
        if matches!(pace, Pace::Closed) && late >= length {
            break;
        }
        if late >= length * OVERTIME {
            tally.failed(|| "a request that was due could not be made in time".to_owned());
            continue;
        }
        if sender.is_closed() {
            sender = page.connect().await?;
        }
        match one(&page, &mut sender, first + n as usize).await {
            Ok(body_bytes) => tally.answered(due.elapsed(), body_bytes),
            Err(error) => tally.failed(|| format!("{error:#}")),
        }
    }
    Ok(tally)
}

/// Asks once and takes the whole answer; how many bytes it had.
async fn one(page: &Page, sender: &mut SendRequest<Empty<Bytes>>, client: usize) -> anyhow::Result<u64> {
    sender.ready().await?;
    let answer = sender.send_request(page.request(client)).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    anyhow::ensure!(status == StatusCode::OK, "{} answered {status}", page.path);
    Ok(body.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Pace = Pace::Open { per_second: 1_000.0, connections: 4 };

    #[test]
    fn a_rate_is_spread_evenly_over_time_and_connections() {
        let mut due: Vec<Duration> =
            (0..4).flat_map(|connection| (0..250).filter_map(move |n| OPEN.due(connection, n))).collect();
        due.sort();
        assert_eq!(due.len(), 1_000);
        for (n, due) in (0_u32..).zip(due) {
            assert!(due.abs_diff(Duration::from_millis(1) * n) < Duration::from_micros(1), "{n}: {due:?}");
        }
        assert_eq!(Pace::Closed.due(0, 5), None);
    }

    /// A server that takes 1 ms, but stands still once for a second: whoever was due in that second has waited.
    #[test]
    fn requests_that_were_due_while_the_server_stood_still_have_waited() {
        let mut tally = Tally::new().unwrap();
        let mut free_at = Duration::ZERO;
        for n in 0..1_000 {
            let due = OPEN.due(0, n).unwrap();
            let takes = if n == 250 { Duration::from_secs(1) } else { Duration::from_millis(1) };
            free_at = free_at.max(due) + takes;
            tally.answered(free_at - due, 0);
        }
        let latency = Latency::of_micros(&tally.micros);
        assert!(latency.p50_ms < 2.0, "{latency:?}");
        // A loop that waits for answers would have seen one slow request in a thousand, and a p99 of 1 ms.
        assert!(latency.p99_ms > 900.0, "{latency:?}");
    }

    #[test]
    fn clients_are_many_and_from_the_range_for_measuring() {
        let options = GenerateOptions {
            to: ([127, 0, 0, 1], 1).into(),
            host: "shop.example".into(),
            path: "/plans".into(),
            connections: 1,
            seconds: 1.0,
            rate: None,
        };
        let page = Page::new(&options).unwrap();
        let addresses: std::collections::HashSet<_> = page.clients.iter().collect();
        assert_eq!(addresses.len(), usize::from(CLIENTS));
        assert!(page.clients.iter().all(|address| address.to_str().unwrap().starts_with("198.18.")));
        assert_eq!(page.request(0).headers()[header::HOST], "shop.example");
    }

    #[tokio::test]
    async fn what_was_not_answered_well_is_counted_and_named() {
        let router = axum::Router::new().route("/plans", axum::routing::get(|| async { "here" }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let options = |path: &str, rate| GenerateOptions {
            to,
            host: "shop.example".into(),
            path: path.into(),
            connections: 2,
            seconds: 0.2,
            rate,
        };
        let open = generate(&options("/plans", Some(100.0))).await.unwrap();
        assert_eq!((open.answers, open.failures, open.body_bytes), (20, 0, 80), "{open:?}");
        let closed = generate(&options("/plans", None)).await.unwrap();
        assert!(closed.answers > 0 && closed.failures == 0, "{closed:?}");
        let lost = generate(&options("/nowhere", Some(100.0))).await.unwrap();
        assert_eq!((lost.answers, lost.failures), (0, 20));
        assert_eq!(lost.failure.as_deref(), Some("/nowhere answered 404 Not Found"));
    }
}

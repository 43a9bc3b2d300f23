//! Sends committed events to the broker, in order per aggregate, and marks them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use ottery_proto::common::v1::Envelope;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::CHANNEL;
use super::desk::{BATCH, Desk, Mark};
use super::lease::Shares;
use super::pace::{PROMISE, Pace};
use crate::broker::{Broker, PublishError, backoff};

/// A publish is answered within this time or counts as not sent; leases must outlast it.
const PUBLISH_LIMIT: Duration = Duration::from_secs(6);
/// Commits of this long share a pass. After a quiet moment the first event leaves at once.
const GATHER: Duration = Duration::from_millis(5);
/// Pause between two looks of a relay that is awake.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Longest pause while the broker is away, and longest pause of an aggregate whose event is refused.
const BROKER_PAUSE_MAX: Duration = Duration::from_secs(5);
const REFUSED_PAUSE_MAX: Duration = Duration::from_secs(30);
/// How often the same complaint is logged.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// How a relay works; the defaults are for production.
#[derive(Clone, Copy, Debug)]
pub struct RelaySettings {
    /// Length of a shard's lease; a killed relay is replaced after it.
    pub lease: Duration,
    /// How often to look without being woken.
    pub poll: Duration,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self { lease: Duration::from_secs(15), poll: Duration::from_secs(1) }
    }
}

/// What a relay has done; for metrics.
#[derive(Debug, Default)]
pub struct RelayCounters {
    /// Events confirmed by the broker.
    pub sent: AtomicU64,
    /// Events nobody listens to; they are kept.
    pub unroutable: AtomicU64,
    /// Events the broker refused or did not confirm in time.
    pub failed: AtomicU64,
}

/// The relay of one service in one process.
pub struct Relay {
    pool: PgPool,
    desk: Desk,
    broker: Arc<dyn Broker>,
    settings: RelaySettings,
    shares: Shares,
    waker: Arc<Notify>,
    counters: Arc<RelayCounters>,
    refused: HashMap<String, Refused>,
    complained: HashMap<String, Instant>,
}

/// An aggregate whose next event was not taken; the ones behind it wait as well.
struct Refused {
    until: Instant,
    times: u32,
}

/// Why a pass ended early.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The service's database.
    #[error("the outbox cannot be read or marked")]
    Database(#[from] sqlx::Error),
    /// The broker.
    #[error("{0}")]
    Broker(PublishError),
}

pub(super) struct Row {
    pub(super) seq: i64,
    pub(super) appended_at: DateTime<Utc>,
    pub(super) event_id: Uuid,
    pub(super) shard: i16,
    pub(super) kind: String,
    pub(super) aggregate_id: String,
    pub(super) aggregate_version: i64,
    pub(super) brand_id: Option<Uuid>,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) causation_id: String,
    pub(super) correlation_id: String,
    pub(super) traceparent: String,
    pub(super) optional: bool,
    pub(super) payload: Vec<u8>,
}

impl Relay {
    /// A relay for the outbox behind `pool`.
    pub fn new(pool: PgPool, broker: Arc<dyn Broker>) -> Self {
        Self::with_settings(pool, broker, RelaySettings::default())
    }

    /// A relay with other times than the standard ones.
    pub fn with_settings(pool: PgPool, broker: Arc<dyn Broker>, settings: RelaySettings) -> Self {
        Self {
            desk: Desk::new(pool.clone()),
            pool,
            broker,
            settings,
            shares: Shares::new(settings.lease),
            waker: Arc::default(),
            counters: Arc::default(),
            refused: HashMap::new(),
            complained: HashMap::new(),
        }
    }

    /// Wakes the relay from inside the process, after a commit.
    #[must_use]
    pub fn waker(&self) -> Arc<Notify> {
        Arc::clone(&self.waker)
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> Arc<RelayCounters> {
        Arc::clone(&self.counters)
    }

    /// Sends until `shutdown`, then gives its leases back.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let listening = tokio::spawn(listen(self.pool.clone(), Arc::clone(&self.waker), shutdown.clone()));
        let (mut failures, mut pace) = (0_u32, Pace::new(Instant::now()));
        while !shutdown.is_cancelled() {
            let started = Instant::now();
            let pause = match self.pass(&shutdown).await {
                Ok(sent) => {
                    failures = 0;
                    self.keep_awake(&mut pace, sent).await;
                    if pace.is_awake(started) {
                        (started + LOOK_EVERY).saturating_duration_since(Instant::now())
                    } else {
                        self.settings.poll.min(self.shares.until_tick())
                    }
                }
                Err(error) => {
                    self.complain("relay", &error.to_string());
                    failures = failures.saturating_add(1);
                    backoff(failures, Duration::from_millis(100), BROKER_PAUSE_MAX)
                }
            };
            let woken = async {
                if failures > 0 {
                    // A commit says nothing about the broker being back.
                    std::future::pending::<()>().await;
                }
                self.waker.notified().await;
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = woken => tokio::time::sleep_until(started + GATHER).await,
                () = tokio::time::sleep(pause) => {}
            }
        }
        if let Err(error) = self.shares.leave(&self.pool).await {
            tracing::warn!(error = %error, "relay leases were not given back; they run out by themselves");
        }
        self.desk.leave().await;
        // It stops with the same token.
        let _ = listening.await;
    }

    async fn keep_awake(&mut self, pace: &mut Pace, sent: u64) {
        if !pace.sent(sent, Instant::now()) {
            return;
        }
        match self.shares.stay_awake(&self.pool, PROMISE).await {
            Ok(()) => pace.promised(Instant::now()),
            // Without a promise commits go on waking.
            Err(error) => self.complain("relay", &error.to_string()),
        }
    }

    /// Sends what can be sent now and returns how many events went; for tests and one-off tools. The leases are
    /// given back afterwards.
    pub async fn drain(&mut self) -> Result<u64, RelayError> {
        let mut sent = 0;
        let never = CancellationToken::new();
        let result = loop {
            match self.pass(&never).await {
                Ok(0) => break Ok(sent),
                Ok(more) => sent += more,
                Err(error) => break Err(error),
            }
        };
        self.shares.leave(&self.pool).await?;
        self.desk.leave().await;
        result
    }

    /// Once over everything unsent of our shards, oldest first. What is refused stays behind without holding up
    /// other aggregates.
    async fn pass(&mut self, shutdown: &CancellationToken) -> Result<u64, RelayError> {
        let (mut after, mut sent) = (0_i64, 0_u64);
        loop {
            if self.shares.tick_due() || !self.shares.last_for(PUBLISH_LIMIT.min(self.settings.lease / 2)) {
                self.shares.tick(&self.pool).await?;
            }
            if shutdown.is_cancelled() {
                return Ok(sent);
            }
            let rows = self.unsent(after).await?;
            let Some(last) = rows.last().map(|row| row.seq) else { return Ok(sent) };
            let is_end = rows.len() < BATCH;
            let (confirmed, stopped) = self.send(rows).await;
            crate::crash::point("outbox.acked");
            sent += self.mark(&confirmed).await?;
            if let Some(error) = stopped {
                return Err(RelayError::Broker(error));
            }
            if is_end {
                return Ok(sent);
            }
            after = last;
        }
    }

    async fn unsent(&mut self, after: i64) -> sqlx::Result<Vec<Row>> {
        let shards = self.shares.shards();
        if shards.is_empty() {
            return Ok(Vec::new());
        }
        self.desk.unsent(after, &shards).await
    }

    /// Publishes in waves of one event per aggregate: version n+1 leaves only after n is confirmed. Returns what was
    /// confirmed and, when the broker is away, why it stopped.
    async fn send(&mut self, rows: Vec<Row>) -> (Vec<Row>, Option<PublishError>) {
        let mut lines = self.line_up(rows);
        let mut confirmed = Vec::new();
        while !lines.is_empty() && self.shares.last_for(PUBLISH_LIMIT.min(self.settings.lease / 2)) {
            let wave: Vec<(usize, Row)> =
                lines.iter_mut().enumerate().filter_map(|(line, rows)| Some((line, rows.pop_front()?))).collect();
            crate::crash::point("outbox.committed");
            let answers = self.broker.publish(wave.iter().map(|(_, row)| envelope(row)).collect()).await;
            let mut away = None;
            let mut stuck = HashSet::new();
            for ((line, row), answer) in wave.into_iter().zip(answers) {
                match self.judge(&row, answer) {
                    Ok(()) => confirmed.push(row),
                    Err(error) => {
                        stuck.insert(line);
                        if matches!(error, PublishError::Unavailable(_)) {
                            away = Some(error);
                        }
                    }
                }
            }
            if away.is_some() {
                return (confirmed, away);
            }
            let mut line = 0;
            lines.retain(|rows| {
                line += 1;
                !rows.is_empty() && !stuck.contains(&(line - 1))
            });
        }
        (confirmed, None)
    }

    /// One line per aggregate, in order; aggregates that wait after a refusal are left out.
    fn line_up(&mut self, rows: Vec<Row>) -> Vec<VecDeque<Row>> {
        let now = Instant::now();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut lines: Vec<VecDeque<Row>> = Vec::new();
        for row in rows {
            if self.refused.get(&row.aggregate_id).is_some_and(|refused| refused.until > now) {
                continue;
            }
            if row.aggregate_version == 0 {
                lines.push(VecDeque::from([row]));
                continue;
            }
            match places.get(&row.aggregate_id) {
                Some(&place) => lines[place].push_back(row),
                None => {
                    places.insert(row.aggregate_id.clone(), lines.len());
                    lines.push(VecDeque::from([row]));
                }
            }
        }
        lines
    }

    fn judge(&mut self, row: &Row, answer: Result<(), PublishError>) -> Result<(), PublishError> {
        let error = match answer {
            Ok(()) => {
                self.counters.sent.fetch_add(1, Ordering::Relaxed);
                if !self.refused.is_empty() {
                    self.refused.remove(&row.aggregate_id);
                }
                return Ok(());
            }
            Err(PublishError::Unroutable { .. }) if row.optional => return Ok(()),
            Err(error) => error,
        };
        if let PublishError::Unavailable(_) = error {
            self.counters.failed.fetch_add(1, Ordering::Relaxed);
            return Err(error);
        }
        let counter = match error {
            PublishError::Unroutable { .. } => &self.counters.unroutable,
            PublishError::Rejected | PublishError::Unavailable(_) => &self.counters.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let refused =
            self.refused.entry(row.aggregate_id.clone()).or_insert(Refused { until: Instant::now(), times: 0 });
        refused.times = refused.times.saturating_add(1);
        refused.until = Instant::now() + backoff(refused.times, Duration::from_millis(500), REFUSED_PAUSE_MAX);
        self.complain(&row.kind, &error.to_string());
        Err(error)
    }

    /// Marks what the broker has. Rows whose shard changed hands meanwhile are left to the new owner, who sends them
    /// again: the inbox takes care of that.
    async fn mark(&mut self, confirmed: &[Row]) -> sqlx::Result<u64> {
        let fenced: Vec<Mark> = confirmed
            .iter()
            .filter_map(|row| {
                let token = self.shares.token(row.shard)?;
                Some(Mark { seq: row.seq, appended_at: row.appended_at, shard: row.shard, token })
            })
            .collect();
        if fenced.is_empty() {
            return Ok(0);
        }
        self.desk.mark(&fenced).await
    }

    fn complain(&mut self, about: &str, error: &str) {
        let now = Instant::now();
        let due = self.complained.get(about).is_none_or(|&at| now >= at + COMPLAIN_EVERY);
        if due {
            self.complained.insert(about.to_owned(), now);
            tracing::error!(event.kind = about, error, "events stay in the outbox");
        }
    }
}

fn envelope(row: &Row) -> Envelope {
    Envelope {
        event_id: row.event_id.to_string(),
        r#type: row.kind.clone(),
        aggregate_id: row.aggregate_id.clone(),
        aggregate_version: row.aggregate_version,
        brand_id: row.brand_id.map(|brand| BrandId::from_uuid(brand).to_string()).unwrap_or_default(),
        occurred_at: Some(prost_types::Timestamp {
            seconds: row.occurred_at.timestamp(),
            nanos: i32::try_from(row.occurred_at.timestamp_subsec_nanos()).unwrap_or(0),
        }),
        causation_id: row.causation_id.clone(),
        correlation_id: row.correlation_id.clone(),
        traceparent: row.traceparent.clone(),
        payload: row.payload.clone(),
    }
}

/// Turns notifications of commits into wake-ups. Only a hint: when it fails, the poll still finds everything.
async fn listen(pool: PgPool, waker: Arc<Notify>, shutdown: CancellationToken) {
    let mut failures = 0_u32;
    while !shutdown.is_cancelled() {
        let listening = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen(CHANNEL).await?;
            failures = 0;
            loop {
                listener.recv().await?;
                waker.notify_one();
            }
        };
        let ended: Result<std::convert::Infallible, sqlx::Error> = tokio::select! {
            () = shutdown.cancelled() => return,
            ended = listening => ended,
        };
        let Err(error) = ended;
        tracing::debug!(error = %error, "listening for commits ended; polling goes on");
        failures = failures.saturating_add(1);
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(backoff(failures, Duration::from_millis(500), BROKER_PAUSE_MAX)) => {}
        }
    }
}

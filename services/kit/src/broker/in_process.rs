//! The broker of a single process: rows in a database of its own, wake-ups in memory.
//!
//! Publishing writes one row per (event, consumer) and commits; that is the confirm. A row is deleted when its
//! consumer acknowledged it. Consumers do not see each other's rows, so a poisoned one holds up nobody, and a restart
//! finds everything where it was. One process at a time: the wake-ups and the messages at work are in its memory.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ottery_kernel::BrandId;
use ottery_proto::common::v1::Envelope;
use prost::Message;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use tokio::sync::{Notify, broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::lanes::Lanes;
use super::{Broker, BrokerError, ConsumerGroup, Depth, Incoming, PublishError, Sink, backoff, check, matches};

/// Schema of the broker's database (`ottery_broker`); apply it with [`crate::db::migrate_plain`].
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/broker");

/// Name of the broker among the services, for its database and role.
pub const NAME: &str = "broker";

/// A wake-up can only be lost by a bug; the poll finds the rows anyway.
const POLL: Duration = Duration::from_secs(1);
/// Hints kept for a transient consumer that is slow; more are dropped.
const HINTS: usize = 1_024;

/// The broker inside this process.
pub struct InProcess {
    pool: PgPool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// (pattern, durable group)
    bindings: Vec<(String, String)>,
    groups: HashMap<String, Arc<Group>>,
    transient: Vec<(ConsumerGroup, broadcast::Sender<(String, Bytes)>)>,
}

/// A message on its way into the table of one consumer.
struct Addressed {
    consumer: String,
    /// None: the platform's, or nobody's who can be read.
    brand: Option<Uuid>,
    body: Bytes,
}

/// What the process knows of a durable group.
#[derive(Default)]
struct Group {
    wake: Notify,
    at_work: Mutex<HashSet<i64>>,
    /// More rows may wait than there was room for; whoever makes room wakes the group.
    is_full: AtomicBool,
}

impl Group {
    fn at_work(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InProcess {
    /// Opens the broker over its own database; bindings of earlier runs are still in force.
    pub async fn open(pool: PgPool) -> Result<Self, BrokerError> {
        let known = sqlx::query!("SELECT pattern, consumer FROM binding").fetch_all(&pool).await?;
        let bindings = known.into_iter().map(|row| (row.pattern, row.consumer)).collect();
        Ok(Self { pool, state: Mutex::new(State { bindings, ..State::default() }) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn group(&self, name: &str) -> Arc<Group> {
        Arc::clone(self.state().groups.entry(name.to_owned()).or_default())
    }

    /// Durable groups that want an event of this type, and whether a transient one took it as a hint.
    fn route(&self, kind: &str, body: &Bytes) -> (Vec<String>, bool) {
        let state = self.state();
        let mut consumers: Vec<String> = state
            .bindings
            .iter()
            .filter(|(pattern, _)| matches(pattern, kind))
            .map(|(_, consumer)| consumer.clone())
            .collect();
        consumers.sort_unstable();
        consumers.dedup();
        let mut hinted = false;
        for (group, sender) in &state.transient {
            if group.wants(kind) {
                hinted = true;
                // Nobody listening at this instant is what "transient" means.
                let _ = sender.send((kind.to_owned(), body.clone()));
            }
        }
        (consumers, hinted)
    }

    async fn store(&self, rows: &[Addressed]) -> sqlx::Result<()> {
        let consumers: Vec<&str> = rows.iter().map(|row| row.consumer.as_str()).collect();
        let brands: Vec<Option<Uuid>> = rows.iter().map(|row| row.brand).collect();
        let bodies: Vec<&[u8]> = rows.iter().map(|row| row.body.as_ref()).collect();
        sqlx::query!(
            "INSERT INTO delivery (consumer, brand_id, envelope)
             SELECT consumer, brand_id, envelope
               FROM UNNEST($1::text[], $2::uuid[], $3::bytea[]) WITH ORDINALITY AS d(consumer, brand_id, envelope, place)
              ORDER BY place",
            &consumers as _,
            &brands as _,
            &bodies as _,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Fetches rows nobody works at, oldest first, and puts them in their lanes. Returns whether more may wait for which
    /// there is room.
    async fn hand_out(&self, name: &str, group: &Group, room: usize, lanes: &Lanes<i64>) -> sqlx::Result<bool> {
        // Set before looking: who makes room while we look must wake us.
        group.is_full.store(true, Ordering::Release);
        let at_work: Vec<i64> = group.at_work().iter().copied().collect();
        let free = room.saturating_sub(at_work.len());
        if free == 0 {
            return Ok(false);
        }
        let rows = sqlx::query!(
            "SELECT id, envelope FROM delivery WHERE consumer = $1 AND NOT (id = ANY($2)) ORDER BY id LIMIT $3",
            name,
            &at_work,
            i64::try_from(free).unwrap_or(i64::MAX)
        )
        .fetch_all(&self.pool)
        .await?;
        let is_full = rows.len() == free;
        group.is_full.store(is_full, Ordering::Release);
        for row in rows {
            group.at_work().insert(row.id);
            let mut message = Incoming::new(row.envelope.into(), String::new());
            if let Ok(envelope) = &message.envelope {
                message.kind.clone_from(&envelope.r#type);
            }
            if !lanes.send(message, row.id).await {
                group.at_work().remove(&row.id);
            }
        }
        Ok(is_full)
    }

    async fn consume_durable(&self, group: &ConsumerGroup, sink: &Arc<dyn Sink>, shutdown: &CancellationToken) {
        let known = self.group(&group.name);
        let room = usize::from(group.prefetch.max(1));
        let (done, finished) = mpsc::channel(room);
        let lanes = Lanes::start(group.concurrency, room, sink, &done, shutdown);
        drop(done);
        let feeding = async {
            let mut failures = 0_u32;
            while !shutdown.is_cancelled() {
                let pause = match self.hand_out(&group.name, &known, room, &lanes).await {
                    Ok(true) => continue,
                    Ok(false) => {
                        failures = 0;
                        POLL
                    }
                    Err(error) => {
                        tracing::error!(consumer = %group.name, error = %error, "the broker's database failed; trying again");
                        failures = failures.saturating_add(1);
                        backoff(failures, Duration::from_millis(100), POLL * 5)
                    }
                };
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = known.wake.notified() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
            lanes.finish().await;
        };
        tokio::join!(feeding, acknowledge(&self.pool, &known, finished));
        // What was handed out and not finished is handed out again by the next consumer.
        known.at_work().clear();
    }

    async fn consume_transient(&self, group: &ConsumerGroup, sink: &Arc<dyn Sink>, shutdown: &CancellationToken) {
        let mut hints = {
            let mut state = self.state();
            match state.transient.iter().find(|(known, _)| known.name == group.name) {
                Some((_, sender)) => sender.subscribe(),
                None => {
                    let (sender, receiver) = broadcast::channel(HINTS);
                    state.transient.push((group.clone(), sender));
                    receiver
                }
            }
        };
        loop {
            let hint = tokio::select! {
                () = shutdown.cancelled() => return,
                hint = hints.recv() => hint,
            };
            match hint {
                Ok((kind, body)) => {
                    sink.deliver(Incoming::new(body, kind)).await;
                }
                Err(broadcast::error::RecvError::Lagged(lost)) => {
                    tracing::warn!(consumer = %group.name, lost, "hints were dropped: the consumer is behind");
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }
}

/// Deletes finished rows, as many at a time as have gathered. A row deleted too late is delivered twice, which the
/// inbox knows, so the commit need not wait for the disk.
async fn acknowledge(pool: &PgPool, group: &Group, mut finished: mpsc::Receiver<i64>) {
    let mut ids = Vec::new();
    while finished.recv_many(&mut ids, 256).await > 0 {
        let mut failures = 0_u32;
        loop {
            let deleted = sqlx::query!(
                "DELETE FROM delivery USING (SELECT set_config('synchronous_commit', 'off', true)) AS quick
                  WHERE id = ANY($1)",
                &ids
            )
            .execute(pool)
            .await;
            match deleted {
                Ok(_) => break,
                Err(error) if failures < 10 => {
                    tracing::warn!(error = %error, "acknowledging waits for the broker's database");
                    failures += 1;
                    tokio::time::sleep(backoff(failures, Duration::from_millis(100), POLL)).await;
                }
                Err(error) => {
                    tracing::error!(error = %error, count = ids.len(), "messages were not acknowledged and will be delivered again");
                    break;
                }
            }
        }
        {
            let mut at_work = group.at_work();
            for id in ids.drain(..) {
                at_work.remove(&id);
            }
        }
        if group.is_full.load(Ordering::Acquire) {
            group.wake.notify_one();
        }
    }
}

#[async_trait]
impl Broker for InProcess {
    async fn publish(&self, batch: Vec<Envelope>) -> Vec<Result<(), PublishError>> {
        let mut rows = Vec::new();
        let mut answers = Vec::with_capacity(batch.len());
        for envelope in batch {
            let body = Bytes::from(envelope.encode_to_vec());
            let brand = envelope.brand_id.parse::<BrandId>().ok().map(|brand| brand.as_uuid());
            let (consumers, hinted) = self.route(&envelope.r#type, &body);
            answers.push(if consumers.is_empty() && !hinted {
                Err(PublishError::Unroutable { kind: envelope.r#type })
            } else {
                Ok(())
            });
            rows.extend(consumers.into_iter().map(|consumer| Addressed { consumer, brand, body: body.clone() }));
        }
        if rows.is_empty() {
            return answers;
        }
        if let Err(error) = self.store(&rows).await {
            let lost = PublishError::Unavailable(error.to_string());
            return answers.into_iter().map(|answer| answer.and(Err(lost.clone()))).collect();
        }
        let consumers: HashSet<&str> = rows.iter().map(|row| row.consumer.as_str()).collect();
        for consumer in consumers {
            self.group(consumer).wake.notify_one();
        }
        answers
    }

    async fn declare(&self, groups: &[ConsumerGroup]) -> Result<(), BrokerError> {
        for group in groups {
            check(group)?;
            if group.transient {
                continue;
            }
            let mut tx = self.pool.begin().await?;
            sqlx::query!(
                "DELETE FROM binding WHERE consumer = $1 AND NOT (pattern = ANY($2))",
                group.name,
                &group.bindings
            )
            .execute(&mut *tx)
            .await?;
            sqlx::query!(
                "INSERT INTO binding (consumer, pattern) SELECT $1::text, UNNEST($2::text[]) ON CONFLICT DO NOTHING",
                group.name,
                &group.bindings
            )
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            let mut state = self.state();
            state.bindings.retain(|(_, consumer)| *consumer != group.name);
            state.bindings.extend(group.bindings.iter().map(|pattern| (pattern.clone(), group.name.clone())));
        }
        Ok(())
    }

    async fn consume(
        &self,
        group: ConsumerGroup,
        sink: Arc<dyn Sink>,
        shutdown: CancellationToken,
    ) -> Result<(), BrokerError> {
        check(&group)?;
        if group.transient {
            self.consume_transient(&group, &sink, &shutdown).await;
        } else {
            self.declare(std::slice::from_ref(&group)).await?;
            self.consume_durable(&group, &sink, &shutdown).await;
        }
        Ok(())
    }

    async fn depth(&self, group: &str) -> Result<Depth, BrokerError> {
        let rows = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM delivery WHERE consumer = $1"#, group)
            .fetch_one(&self.pool)
            .await?;
        let in_flight = self.group(group).at_work().len() as u64;
        Ok(Depth { waiting: rows.unsigned_abs().saturating_sub(in_flight), in_flight })
    }

    async fn depth_of_brand(&self, group: &str, brand: BrandId) -> Result<Depth, BrokerError> {
        let at_work: Vec<i64> = self.group(group).at_work().iter().copied().collect();
        let depth = sqlx::query!(
            r#"SELECT count(*) AS "rows!", count(*) FILTER (WHERE id = ANY($3)) AS "in_flight!"
                 FROM delivery WHERE consumer = $1 AND (brand_id = $2 OR brand_id IS NULL)"#,
            group,
            brand.as_uuid(),
            &at_work
        )
        .fetch_one(&self.pool)
        .await?;
        let (rows, in_flight) = (depth.rows.unsigned_abs(), depth.in_flight.unsigned_abs());
        Ok(Depth { waiting: rows - in_flight, in_flight })
    }
}

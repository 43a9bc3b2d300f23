//! Writing events into the transaction of their change.

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use ottery_proto::common::v1::Envelope;
use prost::Message;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::{CHANNEL, SHARDS, current_cause, current_traceparent};

/// Something that happened, to be told to other services.
#[derive(Clone, Debug)]
pub struct Event {
    /// `<service>.<aggregate>.<verb>.v1`
    pub kind: String,
    /// Prefixed id of what it happened to.
    pub aggregate_id: String,
    /// Grows by one per event of the aggregate; 0 when the event has no place in an order.
    pub aggregate_version: i64,
    /// Whose it is; `None` for platform events.
    pub brand: Option<BrandId>,
    /// When, by the brand's clock.
    pub occurred_at: DateTime<Utc>,
    /// Event or request that caused it; empty: taken from the running work.
    pub causation_id: String,
    /// Request at the start of the chain; empty: taken from the running work.
    pub correlation_id: String,
    /// A hint nobody has to listen to: without any consumer it counts as sent instead of being kept and alarmed on.
    pub optional: bool,
    /// The serialised message that `kind` names.
    pub payload: Vec<u8>,
}

impl Event {
    /// An event of `kind` about an aggregate; never put secrets into `payload`.
    pub fn new(
        kind: impl Into<String>,
        aggregate_id: impl ToString,
        aggregate_version: i64,
        brand: impl Into<Option<BrandId>>,
        occurred_at: DateTime<Utc>,
        payload: &impl Message,
    ) -> Self {
        Self {
            kind: kind.into(),
            aggregate_id: aggregate_id.to_string(),
            aggregate_version,
            brand: brand.into(),
            occurred_at,
            causation_id: String::new(),
            correlation_id: String::new(),
            optional: false,
            payload: payload.encode_to_vec(),
        }
    }

    /// Says that `cause` led to this event.
    #[must_use]
    pub fn caused_by(mut self, cause: &Envelope) -> Self {
        self.causation_id.clone_from(&cause.event_id);
        self.correlation_id.clone_from(&cause.correlation_id);
        self
    }

    /// Marks it as a hint: nobody has to listen.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
}

/// The shard of an aggregate: the same in every process and for ever (FNV-1a, not a seeded hash).
#[must_use]
pub fn shard_of(aggregate_id: &str) -> i16 {
    let hash = aggregate_id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // The low bits of FNV are the weak ones; fold the high half in. 0..16 fits.
    ((hash ^ (hash >> 32)) % SHARDS.unsigned_abs() as u64) as i16
}

/// Adds one event to the transaction; returns its id. Nothing leaves before the commit.
pub async fn append(tx: &mut PgTransaction<'_>, event: Event) -> sqlx::Result<Uuid> {
    let ids = append_all(tx, vec![event]).await?;
    Ok(ids[0])
}

/// Adds events in this order, with one statement.
///
/// For events of one aggregate the caller holds that aggregate's row lock (it just raised its version), so their
/// sequence numbers are in the order of their commits.
pub async fn append_all(tx: &mut PgTransaction<'_>, events: Vec<Event>) -> sqlx::Result<Vec<Uuid>> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let cause = current_cause();
    let traceparent = current_traceparent();
    let mut columns = Columns::default();
    for event in events {
        columns.push(event, &cause.causation_id, &cause.correlation_id);
    }
    // NOTIFY is delivered at commit and only then; equal notifications of one transaction are sent once. A relay that is awake
    // needs none.
    sqlx::query!(
        "WITH wake AS (SELECT pg_notify($12, '') WHERE EXISTS (
             SELECT FROM relay_lease WHERE shard = ANY($2::smallint[]) AND awake_until <= clock_timestamp()))
         INSERT INTO outbox (event_id, shard, kind, aggregate_id, aggregate_version, brand_id, occurred_at,
                             causation_id, correlation_id, traceparent, optional, payload)
         SELECT event_id, shard, kind, aggregate_id, aggregate_version, brand_id, occurred_at,
                causation_id, correlation_id, $10::text, optional, payload
           FROM (SELECT count(*) FROM wake) AS woken, UNNEST($1::uuid[], $2::smallint[], $3::text[], $4::text[], $5::bigint[], $6::uuid[],
                       $7::timestamptz[], $8::text[], $9::text[], $11::boolean[], $13::bytea[]) WITH ORDINALITY
                AS e(event_id, shard, kind, aggregate_id, aggregate_version, brand_id, occurred_at,
                     causation_id, correlation_id, optional, payload, place)
          ORDER BY place",
        &columns.event_ids,
        &columns.shards,
        &columns.kinds,
        &columns.aggregate_ids,
        &columns.versions,
        &columns.brands as _,
        &columns.occurred_at,
        &columns.causations,
        &columns.correlations,
        traceparent,
        &columns.optional,
        CHANNEL,
        &columns.payloads,
    )
    .execute(&mut **tx)
    .await?;
    Ok(columns.event_ids)
}

#[derive(Default)]
struct Columns {
    event_ids: Vec<Uuid>,
    shards: Vec<i16>,
    kinds: Vec<String>,
    aggregate_ids: Vec<String>,
    versions: Vec<i64>,
    brands: Vec<Option<Uuid>>,
    occurred_at: Vec<DateTime<Utc>>,
    causations: Vec<String>,
    correlations: Vec<String>,
    optional: Vec<bool>,
    payloads: Vec<Vec<u8>>,
}

impl Columns {
    fn push(&mut self, event: Event, causation: &str, correlation: &str) {
        let or_current = |own: String, current: &str| if own.is_empty() { current.to_owned() } else { own };
        self.event_ids.push(Uuid::now_v7());
        self.shards.push(shard_of(&event.aggregate_id));
        self.kinds.push(event.kind);
        self.aggregate_ids.push(event.aggregate_id);
        self.versions.push(event.aggregate_version);
        self.brands.push(event.brand.map(|brand| brand.as_uuid()));
        self.occurred_at.push(event.occurred_at);
        self.causations.push(or_current(event.causation_id, causation));
        self.correlations.push(or_current(event.correlation_id, correlation));
        self.optional.push(event.optional);
        self.payloads.push(event.payload);
    }
}

//! Services: one row each, read and written whole.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, ServiceId, SubscriptionId};
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::Unknown;
use crate::domain::{CallKind, CallState, Country, Goal, Line, LineFact, Observed, OpenCall, Step, Wanted};
use crate::driver::{LineState, Output};

/// A service as it is stored.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: Uuid,
    pub brand_id: Uuid,
    pub subscription_id: Uuid,
    pub account_id: String,
    pub order_id: String,
    pub email: String,
    pub locale: String,
    pub plan_name: String,
    pub wanted: String,
    pub wanted_version: i64,
    pub connections: i32,
    pub bouquets: Vec<i64>,
    pub outputs: Vec<String>,
    pub package: Option<i64>,
    pub pool: String,
    pub region: String,
    pub paid_through: DateTime<Utc>,
    pub trial: bool,
    pub panel_id: Option<Uuid>,
    pub username: String,
    pub password_sealed: Option<Vec<u8>>,
    pub candidate: i32,
    pub line_fact: String,
    pub line_id: Option<String>,
    pub line_expires_at: Option<DateTime<Utc>>,
    pub line_enabled: bool,
    pub line_banned: bool,
    pub line_connections: i32,
    pub line_bouquets: Vec<i64>,
    pub line_outputs: Vec<String>,
    pub line_package: Option<i64>,
    pub covered_through: Option<DateTime<Utc>>,
    pub observed_version: i64,
    pub observed_at: Option<DateTime<Utc>>,
    pub verify_at: Option<DateTime<Utc>>,
    pub open_call: Option<Uuid>,
    pub open_started_at: Option<DateTime<Utc>>,
    pub open_kind: Option<String>,
    pub open_state: Option<String>,
    pub open_sent_at: Option<DateTime<Utc>>,
    pub open_absent_at: Option<DateTime<Utc>>,
    pub open_expiry: Option<DateTime<Utc>>,
    pub open_credits: Option<String>,
    pub step: String,
    pub status_code: String,
    pub refused_version: Option<i64>,
    pub refused_code: String,
    pub attempts: i32,
    pub has_task: bool,
    pub ready_at: Option<DateTime<Utc>>,
    pub traceparent: String,
    pub causation_id: String,
    pub correlation_id: String,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub isp_lock: Option<bool>,
    pub line_isp_locked: bool,
    pub country_lock: Option<bool>,
    pub country: String,
    pub line_country: String,
}

/// A service with what a worker needs beside it.
pub struct Held {
    /// The service, locked.
    pub row: Row,
    /// The call that was really sent, if it is the open one.
    pub sent_call: Option<Uuid>,
    /// The database's time.
    pub now: DateTime<Utc>,
    /// The brand's time: its test clock, or the database's.
    pub brand_now: DateTime<Utc>,
}

/// Locks a service for the worker that holds its claim; nothing when the claim was lost.
pub async fn hold(tx: &mut PgTransaction<'_>, id: ServiceId, fence: i64) -> sqlx::Result<Option<Held>> {
    let found = sqlx::query!(
        r#"SELECT d.sent_call, clock_timestamp() AS "now!", coalesce(b.now, clock_timestamp()) AS "brand_now!"
           FROM reconcile_due d LEFT JOIN brand_clock b ON b.brand_id = d.brand_id
           WHERE d.service_id = $1 AND d.fence = $2"#,
        id.as_uuid(),
        fence
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(found) = found else { return Ok(None) };
    let row = lock(tx, id).await?;
    Ok(row.map(|row| Held { row, sent_call: found.sent_call, now: found.now, brand_now: found.brand_now }))
}

/// Locks a service.
pub async fn lock(tx: &mut PgTransaction<'_>, id: ServiceId) -> sqlx::Result<Option<Row>> {
    sqlx::query_as!(Row, "SELECT * FROM service WHERE id = $1 FOR UPDATE", id.as_uuid()).fetch_optional(&mut **tx).await
}

/// Reads a service.
pub async fn get(tx: &mut PgTransaction<'_>, id: ServiceId) -> sqlx::Result<Option<Row>> {
    sqlx::query_as!(Row, "SELECT * FROM service WHERE id = $1", id.as_uuid()).fetch_optional(&mut **tx).await
}

/// The service of a subscription.
pub async fn of_subscription(tx: &mut PgTransaction<'_>, id: SubscriptionId) -> sqlx::Result<Option<Row>> {
    sqlx::query_as!(Row, "SELECT * FROM service WHERE subscription_id = $1", id.as_uuid())
        .fetch_optional(&mut **tx)
        .await
}

/// The newest service of an order.
pub async fn of_order(tx: &mut PgTransaction<'_>, order: &str) -> sqlx::Result<Option<Row>> {
    sqlx::query_as!(Row, "SELECT * FROM service WHERE order_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1", order)
        .fetch_optional(&mut **tx)
        .await
}

/// A page of services, newest first, of an account or panel when one is named.
pub async fn page(
    tx: &mut PgTransaction<'_>,
    account: Option<&str>,
    panel: Option<Uuid>,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    let (before_at, before_id) = before.unzip();
    sqlx::query_as!(
        Row,
        "SELECT * FROM service
         WHERE ($1::text IS NULL OR account_id = $1) AND ($2::uuid IS NULL OR panel_id = $2)
           AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4))
         ORDER BY created_at DESC, id DESC LIMIT $5",
        account,
        panel,
        before_at,
        before_id,
        limit
    )
    .fetch_all(&mut **tx)
    .await
}

/// What billing wants, to be stored.
#[derive(Clone, Debug)]
pub struct Entitlement {
    pub id: ServiceId,
    pub brand: BrandId,
    pub subscription: SubscriptionId,
    pub account_id: String,
    pub order_id: String,
    pub email: String,
    pub locale: String,
    pub plan_name: String,
    pub pool: String,
    pub region: String,
    pub wanted: Wanted,
    pub traceparent: String,
    pub causation_id: String,
    pub correlation_id: String,
    pub now: DateTime<Utc>,
}

/// Stores a wanted state when it is newer than the stored one and makes the service due in the same statement.
/// Returns whether it was newer.
pub async fn want(tx: &mut PgTransaction<'_>, new: &Entitlement) -> sqlx::Result<bool> {
    let wanted = &new.wanted;
    let outputs: Vec<String> = wanted.outputs.iter().map(|output| output_text(*output).to_owned()).collect();
    let stored = sqlx::query_scalar!(
        r#"WITH stored AS (
               INSERT INTO service AS s (id, brand_id, subscription_id, account_id, order_id, email, locale, plan_name,
                   wanted, wanted_version, connections, bouquets, outputs, package, pool, region, paid_through, trial,
                   isp_lock, country_lock, country, step, traceparent, causation_id, correlation_id, created_at, updated_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                   $23, $24, $25, 'placing', $19, $20, $21, $22, $22)
               ON CONFLICT (subscription_id) DO UPDATE SET
                   account_id = $4, order_id = $5, email = $6, locale = $7, plan_name = $8, wanted = $9,
                   wanted_version = $10, connections = $11, bouquets = $12, outputs = $13, package = $14, pool = $15,
                   region = $16, paid_through = $17, trial = $18, traceparent = $19, causation_id = $20,
                   correlation_id = $21, attempts = 0, updated_at = $22, isp_lock = $23, country_lock = $24, country = $25
               WHERE s.wanted_version < $10
               RETURNING s.id, s.brand_id
           ), due AS (
               INSERT INTO reconcile_due AS d (service_id, brand_id, wanted_version)
               SELECT id, brand_id, $10 FROM stored
               ON CONFLICT (service_id) DO UPDATE SET wanted_version = $10, due_at = now()
               RETURNING 1
           )
           SELECT 1 AS "stored!" FROM due"#,
        new.id.as_uuid(),
        new.brand.as_uuid(),
        new.subscription.as_uuid(),
        new.account_id,
        new.order_id,
        new.email,
        new.locale,
        new.plan_name,
        wanted.goal.as_str(),
        i64::try_from(wanted.version).unwrap_or(i64::MAX),
        i32::try_from(wanted.connections).unwrap_or(i32::MAX),
        &wanted.bouquets,
        &outputs,
        wanted.package,
        new.pool,
        new.region,
        wanted.paid_through,
        wanted.trial,
        new.traceparent,
        new.causation_id,
        new.correlation_id,
        new.now,
        wanted.isp_lock,
        wanted.country_lock,
        wanted.country.map_or("", Country::as_str),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(stored.is_some())
}

/// Writes back everything a worker may have changed.
pub async fn save(tx: &mut PgTransaction<'_>, row: &Row) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE service SET panel_id = $2, username = $3, password_sealed = $4, candidate = $5, line_fact = $6,
             line_id = $7, line_expires_at = $8, line_enabled = $9, line_banned = $10, line_connections = $11,
             line_bouquets = $12, line_outputs = $13, line_package = $14, covered_through = $15, observed_version = $16,
             observed_at = $17, verify_at = $18, open_call = $19, open_started_at = $20, open_kind = $21,
             open_state = $22, open_sent_at = $23, open_absent_at = $24, open_expiry = $25, open_credits = $26,
             step = $27, status_code = $28, refused_version = $29, refused_code = $30, attempts = $31, ready_at = $32,
             version = $33, updated_at = $34, has_task = $35, line_isp_locked = $36, line_country = $37
         WHERE id = $1",
        row.id,
        row.panel_id,
        row.username,
        row.password_sealed,
        row.candidate,
        row.line_fact,
        row.line_id,
        row.line_expires_at,
        row.line_enabled,
        row.line_banned,
        row.line_connections,
        &row.line_bouquets,
        &row.line_outputs,
        row.line_package,
        row.covered_through,
        row.observed_version,
        row.observed_at,
        row.verify_at,
        row.open_call,
        row.open_started_at,
        row.open_kind,
        row.open_state,
        row.open_sent_at,
        row.open_absent_at,
        row.open_expiry,
        row.open_credits,
        row.step,
        row.status_code,
        row.refused_version,
        row.refused_code,
        row.attempts,
        row.ready_at,
        row.version,
        row.updated_at,
        row.has_task,
        row.line_isp_locked,
        row.line_country,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes the credits before a purchase.
pub async fn note_credits(tx: &mut PgTransaction<'_>, id: ServiceId, credits: Option<&str>) -> sqlx::Result<()> {
    sqlx::query!("UPDATE service SET open_credits = $2 WHERE id = $1", id.as_uuid(), credits)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The word of the contract for a format.
#[must_use]
pub const fn output_text(output: Output) -> &'static str {
    match output {
        Output::Hls => "hls",
        Output::Ts => "ts",
        Output::Rtmp => "rtmp",
    }
}

/// Tells a line that may play nothing from one whose panel does not say.
const NO_OUTPUT: &str = "none";

fn outputs(texts: &[String]) -> Vec<Output> {
    let mut outputs: Vec<_> = texts.iter().filter_map(|text| Output::parse(text)).collect();
    outputs.sort_unstable();
    outputs
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

impl Row {
    /// Its id.
    #[must_use]
    pub const fn service_id(&self) -> ServiceId {
        ServiceId::from_uuid(self.id)
    }

    /// Its brand.
    #[must_use]
    pub const fn brand(&self) -> BrandId {
        BrandId::from_uuid(self.brand_id)
    }

    /// What the customer sees.
    ///
    /// # Errors
    /// A word this version does not know.
    pub fn step(&self) -> Result<Step, Unknown> {
        Step::parse(&self.step).ok_or_else(|| Unknown { column: "service.step", value: self.step.clone() })
    }

    /// What is wanted.
    ///
    /// # Errors
    /// A word this version does not know.
    pub fn wanted(&self) -> Result<Wanted, Unknown> {
        Ok(Wanted {
            version: unsigned(self.wanted_version),
            goal: Goal::parse(&self.wanted)
                .ok_or_else(|| Unknown { column: "service.wanted", value: self.wanted.clone() })?,
            connections: u32::try_from(self.connections).unwrap_or(1),
            bouquets: self.bouquets.clone(),
            outputs: outputs(&self.outputs),
            package: self.package,
            paid_through: self.paid_through,
            trial: self.trial,
            isp_lock: self.isp_lock,
            country_lock: self.country_lock,
            country: Country::parse(&self.country),
        })
    }

    /// What the panel was last seen to have.
    ///
    /// # Errors
    /// A word this version does not know.
    pub fn observed(&self) -> Result<Observed, Unknown> {
        let line = match self.line_fact.as_str() {
            "never" => LineFact::Never,
            "missing" => LineFact::Missing,
            "removed" => LineFact::Removed,
            "seen" => LineFact::Seen(Line {
                id: self.line_id.clone().unwrap_or_default(),
                username: self.username.clone(),
                expires_at: self.line_expires_at,
                enabled: self.line_enabled,
                banned: self.line_banned,
                connections: u32::try_from(self.line_connections).unwrap_or(0),
                bouquets: self.line_bouquets.clone(),
                outputs: (!self.line_outputs.is_empty()).then(|| outputs(&self.line_outputs)),
                package: self.line_package,
                isp_locked: self.line_isp_locked,
                country: self.line_country.clone(),
            }),
            other => return Err(Unknown { column: "service.line_fact", value: other.to_owned() }),
        };
        let placed = self.panel_id.is_some() && !matches!(line, LineFact::Removed);
        Ok(Observed {
            placed,
            line,
            covered_through: self.covered_through,
            candidate: u32::try_from(self.candidate).unwrap_or(0),
            refused: self.refused_version.map(|version| (unsigned(version), self.refused_code.clone())),
            verify_at: self.verify_at,
        })
    }

    /// The call whose outcome is open.
    ///
    /// # Errors
    /// A word this version does not know.
    pub fn open(&self) -> Result<Option<OpenCall>, Unknown> {
        let (Some(_), Some(kind), Some(state), Some(started)) =
            (self.open_call, &self.open_kind, &self.open_state, self.open_started_at)
        else {
            return Ok(None);
        };
        Ok(Some(OpenCall {
            kind: CallKind::parse(kind).ok_or_else(|| Unknown { column: "service.open_kind", value: kind.clone() })?,
            state: match state.as_str() {
                "planned" => CallState::Planned,
                "unknown" => CallState::Unknown,
                other => return Err(Unknown { column: "service.open_state", value: other.to_owned() }),
            },
            at: self.open_sent_at.unwrap_or(started),
            absent_at: self.open_absent_at,
            expiry_before: self.open_expiry,
            credits_before: self.open_credits.as_deref().and_then(|text| text.parse().ok()),
        }))
    }

    /// Notes a line as the panel shows it. Bouquets and formats that the answer does not say stay as they were.
    pub fn see(&mut self, line: &LineState, now: DateTime<Utc>) {
        self.line_fact = "seen".to_owned();
        self.line_id = Some(line.id.clone());
        self.username.clone_from(&line.username);
        self.line_expires_at = line.expires_at;
        self.line_enabled = line.enabled;
        self.line_banned = line.banned;
        self.line_connections = i32::try_from(line.connections).unwrap_or(i32::MAX);
        if let Some(bouquets) = &line.bouquets {
            self.line_bouquets.clone_from(bouquets);
        }
        if let Some(outputs) = &line.outputs {
            self.line_outputs = outputs.iter().map(|output| output_text(*output).to_owned()).collect();
            if outputs.is_empty() {
                self.line_outputs.push(NO_OUTPUT.to_owned());
            }
        }
        self.line_package = line.package;
        self.line_isp_locked = line.isp_locked.unwrap_or(self.line_isp_locked);
        if let Some(country) = &line.country {
            self.line_country.clone_from(country);
        }
        self.observed_at = Some(now);
    }

    /// Notes that there is no line any more.
    pub fn unsee(&mut self, fact: &LineFact, now: DateTime<Utc>) {
        self.line_fact = match fact {
            LineFact::Never => "never",
            LineFact::Seen(_) | LineFact::Missing => "missing",
            LineFact::Removed => "removed",
        }
        .to_owned();
        self.line_id = None;
        self.line_enabled = false;
        self.observed_at = Some(now);
    }

    /// Notes a call before it is made.
    pub fn open_call(&mut self, id: Uuid, kind: CallKind, now: DateTime<Utc>) {
        self.open_call = Some(id);
        self.open_started_at = Some(now);
        self.open_kind = Some(kind.as_str().to_owned());
        self.open_state = Some("planned".to_owned());
        self.open_sent_at = None;
        self.open_absent_at = None;
        self.open_expiry = self.line_expires_at;
        self.open_credits = None;
    }

    /// The answer of the open call is lost.
    pub fn lose_call(&mut self, now: DateTime<Utc>) {
        self.open_state = Some("unknown".to_owned());
        self.open_sent_at.get_or_insert(now);
    }

    /// The open call has an outcome.
    pub fn close_call(&mut self) {
        self.open_call = None;
        self.open_started_at = None;
        self.open_kind = None;
        self.open_state = None;
        self.open_sent_at = None;
        self.open_absent_at = None;
        self.open_expiry = None;
        self.open_credits = None;
    }
}

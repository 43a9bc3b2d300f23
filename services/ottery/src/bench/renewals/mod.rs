//! `ottery bench renewals`: a month end of many subscriptions, beside COPY of the same rows.
//!
//! The scheduler runs as it does in production, as a process of its own, on a private PostgreSQL with fsync. Nothing is sent
//! on meanwhile: events stay in the outbox. Afterwards the rows themselves and billing's doctor say whether every subscription
//! was renewed exactly once.

mod check;
mod limit;
mod seed;
mod worker;

use std::process::Stdio;

use anyhow::Context;
use ottery_kit::db::DatabaseSettings;
use serde_json::{Map, Value, json};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Child;
use tokio::time::Instant;

use self::check::Checked;
use self::seed::Seeded;
use self::worker::{Done, Plan};
use super::database::Server;
use super::family::Family;
use super::process::Usage;
use super::result::{Latency, Measured, ratio, rounded};
use crate::cli::RenewalsOptions;

pub use seed::offer;
pub use worker::run as renew;

/// Sizes that are measured on the way to a larger one: the cost of one must not depend on how many there are.
const SIZES: [u32; 2] = [10_000, 100_000];
/// How long a claim lasts where schedulers are killed: whoever takes over waits for it.
const SHORT_LEASE_S: u64 = 2;

/// Measures.
///
/// # Errors
/// The server does not start, or a scheduler fails.
pub async fn run(options: &RenewalsOptions) -> anyhow::Result<Measured> {
    anyhow::ensure!(options.subscriptions > 0, "--subscriptions must be at least 1");
    anyhow::ensure!((1..=16).contains(&options.processes), "--processes must be between 1 and 16");
    anyhow::ensure!(options.kills <= options.processes, "--kills must not be more than --processes");
    let mut server = Server::start("renewals", options.statements).await?;
    let outcome = measure(&mut server, options).await;
    let left = server.leave(outcome.as_ref().is_ok_and(|measured| measured.failures == 0)).await;
    let measured = outcome?;
    left?;
    Ok(measured)
}

async fn measure(server: &mut Server, options: &RenewalsOptions) -> anyhow::Result<Measured> {
    let mut sizes: Vec<u32> = SIZES.into_iter().filter(|size| *size < options.subscriptions).collect();
    sizes.push(options.subscriptions);
    let mut runs = Vec::new();
    for size in sizes {
        runs.push(Run::make(server, options, size).await?);
    }
    let failures = runs.iter().map(|run| run.checked.wrong.len()).sum::<usize>();
    let details = Map::from_iter([
        (
            "goal".to_owned(),
            json!({"value": "at least 3000", "ratio": "at least 1/3", "rss_mb": "below 300", "cost": "flat"}),
        ),
        (
            "mix".to_owned(),
            json!({"coupon": "10 %", "taxed": "60 %", "add-on (second line)": "20 %", "paid from the wallet": "20 %",
                   "left open": "80 %", "brands": 2, "legal entities": 1}),
        ),
        ("runs".to_owned(), runs.iter().map(Run::to_json).collect::<Value>()),
        ("postgresql".to_owned(), json!({"version": server.version(), "fsync": true})),
        ("relay".to_owned(), json!("off: events stay in the outbox")),
    ]);
    let last = runs.pop().context("at least one size is measured")?;
    Ok(Measured {
        value: last.per_second(),
        unit: "invoices/s; limit: the same new rows by COPY",
        limit: last.limit_per_second(),
        latency: last.latency(),
        usage: Usage { rss_mb: last.rss_mb(), cpu_s: last.ottery_cpu_s() + last.postgres_cpu_s },
        failures: u64::try_from(failures)?,
        details,
    })
}

/// One month end.
struct Run {
    size: u32,
    processes: Vec<Done>,
    killed: u32,
    took_s: f64,
    limit_s: Vec<f64>,
    added: Vec<limit::Added>,
    postgres_cpu_s: f64,
    wal_mb: f64,
    statements: Value,
    checked: Checked,
}

impl Run {
    async fn make(server: &mut Server, options: &RenewalsOptions, size: u32) -> anyhow::Result<Self> {
        eprintln!("ottery: {size} subscriptions are being made");
        let [seeded_name, run_name] = ["seeded", "run"].map(|name| format!("{name}_{size}"));
        let seeded = seed::seed(&server.create(&seeded_name).await?, size).await?;
        let settings = server.copy(&seeded_name, &run_name).await?;
        server.settle(&run_name).await?;
        let mut admin = server.admin(&run_name).await?;
        let mark = limit::mark(&mut admin).await?;
        let (wal, used) = (wal_position(&mut admin).await?, postgres_cpu(server)?);

        eprintln!("ottery: their month ends");
        let began = Instant::now();
        let (processes, killed) = work(&settings, options, &seeded).await?;
        let took_s = began.elapsed().as_secs_f64();
        let postgres_cpu_s = postgres_cpu(server)? - used;
        let wal_mb = (wal_position(&mut admin).await? - wal) / f64::from(1 << 20);

        eprintln!("ottery: every subscription is being checked");
        let checked = check::check(&mut admin, &settings, size, &seeded).await?;
        let mut before = server.admin(&seeded_name).await?;
        let added = limit::added(&mut admin, &mut before, mark).await?;
        before.close().await?;
        eprintln!("ottery: the same rows are being copied");
        let mut limit_s = Vec::new();
        for connections in [1, 2] {
            let name = format!("limit_{size}_{connections}");
            limit::export(&mut admin, &added, mark, connections).await?;
            server.copy(&seeded_name, &name).await?;
            limit_s.push(limit::import(server, &name, &added, connections).await?.as_secs_f64());
            server.drop(&name).await?;
        }
        let statements = statements(&mut admin, options).await?;
        admin.close().await?;
        server.drop(&run_name).await?;
        server.drop(&seeded_name).await?;
        // A run in which processes were killed has waited for leases; the others are timed by the processes themselves.
        let took_s = if killed > 0 { took_s } else { processes.iter().map(|done| done.took_s).fold(0.0, f64::max) };
        Ok(Self { size, processes, killed, took_s, limit_s, added, postgres_cpu_s, wal_mb, statements, checked })
    }

    fn per_second(&self) -> f64 {
        f64::from(self.size) / self.took_s
    }

    /// By as many connections as are fastest.
    fn limit_per_second(&self) -> f64 {
        f64::from(self.size) / self.limit_s.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn rss_mb(&self) -> f64 {
        self.processes.iter().map(|done| done.rss_mb).sum()
    }

    fn ottery_cpu_s(&self) -> f64 {
        self.processes.iter().map(|done| done.cpu_s).sum()
    }

    fn latency(&self) -> Latency {
        let Ok(mut histogram) = Latency::histogram() else { return Latency::default() };
        for micros in self.processes.iter().flat_map(|done| &done.batches_us) {
            histogram.saturating_record(*micros);
        }
        Latency::of_micros(&histogram)
    }

    fn to_json(&self) -> Value {
        let rows: i64 = self.added.iter().map(|added| added.rows).sum();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 rows")]
        let rows_per_second = rows as f64 / self.took_s;
        let by_table: Map<_, _> = self.added.iter().map(|added| (added.table.clone(), json!(added.rows))).collect();
        let schedulers: u32 = self.processes.iter().map(|done| done.workers).sum();
        json!({
            "subscriptions": self.size,
            "invoices_per_second": rounded(self.per_second(), 1),
            "new_rows": rows,
            "new_rows_per_second": rounded(rows_per_second, 1),
            "new_rows_by_table": by_table,
            "took_s": rounded(self.took_s, 3),
            "limit_per_second": rounded(self.limit_per_second(), 1),
            "limit_s_by_connections": self.limit_s.iter().map(|s| rounded(*s, 3)).collect::<Vec<_>>(),
            "ratio": ratio(self.per_second(), self.limit_per_second()),
            "batch_ms": self.latency(),
            "batch_size": self.processes.first().map(|done| done.batch_size),
            "processes": self.processes.len(),
            "schedulers": schedulers,
            "killed": self.killed,
            "phases_s": phases(&self.processes),
            "processor_s": {"ottery": rounded(self.ottery_cpu_s(), 2), "postgres": rounded(self.postgres_cpu_s, 2)},
            "wal_mb": rounded(self.wal_mb, 1),
            "rss_mb": rounded(self.rss_mb(), 1),
            "statements": self.statements,
            "checked": self.checked.figures,
            "wrong": self.checked.wrong,
        })
    }
}

/// What the schedulers' statements took, when the server was told to count: milliseconds, calls and the beginning of the text.
async fn statements(admin: &mut PgConnection, options: &RenewalsOptions) -> anyhow::Result<Value> {
    if !options.statements {
        return Ok(Value::Null);
    }
    sqlx::query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").execute(&mut *admin).await?;
    let rows: Vec<(f64, i64, String)> = sqlx::query_as(
        "SELECT round(total_exec_time::numeric + total_plan_time::numeric, 1)::float8, calls, left(regexp_replace(query, '\\s+', ' ', 'g'), 90)
           FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
          WHERE r.rolname = $1 AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
          ORDER BY 1 DESC LIMIT 30",
    )
    .bind(DatabaseSettings::role_name(billing::NAME))
    .fetch_all(&mut *admin)
    .await?;
    Ok(rows.into_iter().map(|(ms, calls, text)| json!({"ms": ms, "calls": calls, "statement": text})).collect())
}

/// Seconds of all batches, by phase, from the metrics the processes would show Prometheus.
fn phases(processes: &[Done]) -> Value {
    let mut phases: Map<String, Value> = Map::new();
    for line in processes.iter().flat_map(|done| done.metrics.lines()) {
        let Some(rest) = line.strip_prefix("ottery_billing_renewal_phase_seconds_sum{") else { continue };
        let Some((labels, value)) = rest.split_once("} ") else { continue };
        let phase = labels.split(',').find_map(|label| label.strip_prefix("phase=\"")?.strip_suffix('"'));
        let (Some(phase), Ok(seconds)) = (phase, value.parse::<f64>()) else { continue };
        let sum = phases.get(phase).and_then(Value::as_f64).unwrap_or_default() + seconds;
        phases.insert(phase.to_owned(), rounded(sum, 3).into());
    }
    Value::Object(phases)
}

/// Processor time of the server so far: of what runs, and of connections that have ended.
fn postgres_cpu(server: &mut Server) -> anyhow::Result<f64> {
    let pid = server.pid()?;
    Ok(Family::of(pid)?.total().cpu_s + Usage::of_ended_children(pid)?)
}

async fn wal_position(admin: &mut PgConnection) -> anyhow::Result<f64> {
    Ok(sqlx::query_scalar("SELECT (pg_current_wal_lsn() - '0/0')::float8").fetch_one(admin).await?)
}

/// Runs the schedulers to the end, those that are killed once more; returns what they did and how many were killed.
async fn work(
    settings: &DatabaseSettings,
    options: &RenewalsOptions,
    seeded: &Seeded,
) -> anyhow::Result<(Vec<Done>, u32)> {
    let plan = Plan {
        server_url: settings.url.clone(),
        password: settings.password.clone().unwrap_or_default(),
        database: settings.database_name(billing::NAME),
        brands: seeded.brands.to_vec(),
        workers: options.workers,
        batch_size: options.batch,
        lease_seconds: (options.kills > 0).then_some(SHORT_LEASE_S),
    };
    let mut running = Vec::new();
    for process in 0..options.processes {
        // Everything of its second batch is written and nothing committed, or it is only claimed.
        let dies_at = match process {
            process if process >= options.kills => "",
            process if process % 2 == 0 => "renewal.mid@2",
            _ => "renewal.claimed@2",
        };
        running.push(start(&plan, dies_at).await?);
    }
    let (mut done, mut killed) = (Vec::new(), 0);
    for child in running {
        match finish(child).await? {
            Some(outcome) => done.push(outcome),
            None => {
                killed += 1;
                let again = finish(start(&plan, "").await?).await?;
                done.push(again.context("a scheduler that was not to be killed has died")?);
            }
        }
    }
    anyhow::ensure!(killed == options.kills, "{killed} schedulers were killed instead of {}", options.kills);
    Ok((done, killed))
}

async fn start(plan: &Plan, dies_at: &str) -> anyhow::Result<Child> {
    let mut child = tokio::process::Command::new(std::env::current_exe().context("where is this program?")?)
        .arg("renew")
        .env("OTTERY_CRASH_POINT", dies_at)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting a scheduler")?;
    let mut input = child.stdin.take().context("the scheduler listens")?;
    input.write_all(&serde_json::to_vec(plan)?).await.context("telling the scheduler its plan")?;
    Ok(child)
}

/// What it did; none when it was killed.
async fn finish(child: Child) -> anyhow::Result<Option<Done>> {
    use std::os::unix::process::ExitStatusExt as _;
    let said = child.wait_with_output().await.context("waiting for a scheduler")?;
    if said.status.signal().is_some() {
        return Ok(None);
    }
    anyhow::ensure!(said.status.success(), "a scheduler failed ({})", said.status);
    Ok(Some(serde_json::from_slice(&said.stdout).context("a scheduler did not say what it did")?))
}

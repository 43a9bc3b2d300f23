//! `ottery bench activation`: from a provider's webhook to a player that is let in.
//!
//! Accounts and orders exist, and the provider has the money, before the clock starts; its webhooks are held back. A generator
//! process then sends them on schedule and tries every line that appears on the panels. An order's time runs from the instant
//! its webhook was due. Everything durable is on: fsync, quorum queues, every span exported.

mod fire;
mod outcome;
mod plan;
pub mod shop;

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Map, json};
use tokio::io::AsyncWriteExt as _;

use self::outcome::Outcome;
use self::plan::{Plan, Seen};
use super::collector::Collector;
use super::family::Family;
use super::panels::Panels;
use super::result::{Latency, Measured, rounded};
use crate::cli::ActivationOptions;
use crate::demo::Story;
use crate::demo::system::System;
use crate::up;
use crate::up::state::random_hex;

pub use fire::run as fire;

/// How often the panel alone is measured.
const FLOOR_TIMES: u32 = 50;
/// Spans leave in batches, after five seconds at the latest.
const SPANS_LEAVE: Duration = Duration::from_secs(6);
/// How long the generator waits for stragglers.
const PATIENCE_S: u64 = 60;

/// Measures.
///
/// # Errors
/// The system does not start, or refuses what customers do.
pub async fn run(options: &ActivationOptions) -> anyhow::Result<Measured> {
    anyhow::ensure!(options.orders > 0, "--orders must be at least 1");
    anyhow::ensure!(options.rate > 0.0 && options.rate.is_finite(), "--rate must be above 0");
    anyhow::ensure!((1..=64).contains(&options.panels), "--panels must be between 1 and 64");
    let collector = Collector::start().await?;
    let panels = Panels {
        count: options.panels,
        rate: options.panel_rate,
        concurrency: options.panel_concurrency,
        latency_ms: options.panel_latency_ms,
        key: random_hex(14),
    };
    let topology = options.topology.into();
    let story = Story::new(System::start_as(topology, "bench", &settings(&panels, &collector)?).await?);
    let outcome = measure(&story, options, &collector, &panels).await;
    let left = story.leave(outcome.is_ok()).await;
    let measured = outcome?;
    left?;
    Ok(measured)
}

fn settings(panels: &Panels, collector: &Collector) -> anyhow::Result<String> {
    let table = json!({
        "process": {"telemetry": {"otlp_endpoint": collector.endpoint(), "sample_ratio": 1.0}},
        "gateway": {"http": {"trusted_proxies": ["127.0.0.0/8"]}},
        "sandbox": panels.settings(),
        // Placing the orders takes longer than a page is given: asked, the provider would tell of payments before their webhooks.
        "billing": {"payments": {"page_patience_seconds": 24 * 60 * 60}},
    });
    Ok(toml::to_string(&table)?)
}

async fn measure(
    story: &Story,
    options: &ActivationOptions,
    collector: &Collector,
    panels: &Panels,
) -> anyhow::Result<Measured> {
    panels.connect(story, false).await?;
    let floor = shop::floor_us(story, panels, FLOOR_TIMES).await?;
    eprintln!("ottery: {} orders are being placed and paid", options.orders);
    let (orders, webhooks) = shop::fill(story, options).await?;
    let plan = Plan {
        webhook_url: shop::webhook_url(story).await?,
        webhook_secret: story.system.sandbox.webhook_secret.clone(),
        per_second: options.rate,
        webhooks,
        control_url: story.system.sandbox.control_url(),
        panels: panels.codes(),
        player_url: story.system.sandbox.player_url(),
        patience_s: PATIENCE_S,
    };
    eprintln!("ottery: {} webhooks follow, {} a second", plan.webhooks.len(), options.rate);
    let pid = story.system.pid().context("the private system has ended")?;
    tokio::time::sleep(SPANS_LEAVE).await;
    let (used, spans) = (Family::of(pid)?, collector.spans());
    let seen = generate(&plan).await?;
    let usage = Family::of(pid)?;
    tokio::time::sleep(SPANS_LEAVE).await;
    let spans = collector.spans() - spans;
    let outcome = Outcome::of(&seen, &shop::lines(story, &orders).await?)?;
    story.books.balance().await?;
    let findings = crate::doctor::broken(&up::database_of(&story.system.folder)?).await?;

    let resent: u32 = seen.sent.iter().map(|sent| sent.tries.saturating_sub(1)).sum();
    let unanswered = seen.sent.iter().filter(|sent| sent.answered_us.is_none()).count();
    let mut answer_us = hdrhistogram::Histogram::<u64>::new(3)?;
    for sent in &seen.sent {
        answer_us.record(sent.answered_us.unwrap_or(seen.ended_us).saturating_sub(sent.due_us))?;
    }
    let (latency, panel) = (Latency::of_micros(&outcome.times_us), Latency::of_micros(&floor));
    let details = Map::from_iter([
        ("topology".to_owned(), json!(options.topology)),
        ("orders".to_owned(), json!(options.orders)),
        ("rate_per_second".to_owned(), json!(options.rate)),
        ("panels".to_owned(), json!(options.panels)),
        ("panel_rate".to_owned(), json!(options.panel_rate)),
        ("panel_concurrency".to_owned(), json!(options.panel_concurrency)),
        ("panel_latency_ms".to_owned(), json!(options.panel_latency_ms)),
        ("usable".to_owned(), json!(outcome.usable)),
        ("unfinished".to_owned(), json!(outcome.unfinished)),
        ("strangers".to_owned(), json!(outcome.strangers)),
        ("usable_per_second".to_owned(), json!(rounded(f64::from(u32::try_from(outcome.usable)?) / outcome.took_s, 2))),
        ("webhook_answer".to_owned(), json!(Latency::of_micros(&answer_us))),
        ("webhooks_resent".to_owned(), json!(resent)),
        ("panel_alone".to_owned(), json!(panel)),
        ("spans".to_owned(), json!(spans)),
        ("invariants_broken".to_owned(), json!(findings)),
        ("first_refusal".to_owned(), json!(seen.refusal)),
        ("processor_s_by_program".to_owned(), json!(usage.seconds_since(&used))),
    ]);
    let failures = outcome.unfinished + outcome.strangers + unanswered + findings.len();
    Ok(Measured {
        value: latency.p50_ms,
        unit: "ms from the due webhook to a player let in (median); limit: the panel alone",
        limit: panel.p50_ms,
        latency,
        usage: usage.total().since(used.total()),
        failures: u64::try_from(failures)?,
        details,
    })
}

/// Runs the generator as a process of its own.
async fn generate(plan: &Plan) -> anyhow::Result<Seen> {
    let mut child = tokio::process::Command::new(std::env::current_exe().context("where is this program?")?)
        .arg("fire")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting the generator")?;
    let mut input = child.stdin.take().context("the generator listens")?;
    input.write_all(&serde_json::to_vec(plan)?).await.context("telling the generator its plan")?;
    drop(input);
    let said = child.wait_with_output().await.context("waiting for the generator")?;
    anyhow::ensure!(said.status.success(), "the generator failed ({})", said.status);
    serde_json::from_slice(&said.stdout).context("the generator did not say what it saw")
}

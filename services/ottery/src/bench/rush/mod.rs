//! `ottery bench renewal-rush`: so many renewals due at once, on panels that take their time (F32 of the fault matrix).
//!
//! Customers buy through the shop, and their lines are on the panels. Then the brand's clock jumps past the end of all their
//! months: every saved card is charged and every line renewed, while customers look at their account at a fixed rate. A
//! renewal's time runs from the jump to the panel's own record of the new expiry.

mod customers;
mod watch;

use std::time::Duration;

use anyhow::Context;
use chrono::TimeDelta;
use ottery_kernel::clock::{Clock as _, SystemClock};
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::customers::Customers;
use self::watch::Watch;
use super::family::Family;
use super::panels::Panels;
use super::result::{Latency, Measured, rounded};
use super::schedule::Tally;
use crate::cli::RushOptions;
use crate::demo::Story;
use crate::demo::system::System;
use crate::up;
use crate::up::state::random_hex;

/// How long customers look at a quiet system, for comparison.
const BEFORE: Duration = Duration::from_secs(10);
/// How often the panel alone is measured.
const FLOOR_TIMES: u32 = 10;

/// Measures.
///
/// # Errors
/// The system does not start, or refuses what customers do.
pub async fn run(options: &RushOptions) -> anyhow::Result<Measured> {
    anyhow::ensure!((1..=50_000).contains(&options.subscriptions), "--subscriptions must be between 1 and 50000");
    anyhow::ensure!((1..=64).contains(&options.panels), "--panels must be between 1 and 64");
    anyhow::ensure!(options.panel_rate > 0, "--panel-rate must be at least 1");
    anyhow::ensure!(options.panel_concurrency > 0, "--panel-concurrency must be at least 1");
    anyhow::ensure!(options.portal_rate > 0.0 && options.portal_rate.is_finite(), "--portal-rate must be above 0");
    let panels = Panels {
        count: options.panels,
        rate: options.panel_rate,
        concurrency: options.panel_concurrency,
        latency_ms: options.panel_latency_ms,
        key: random_hex(14),
    };
    let settings = json!({
        "gateway": {"http": {"trusted_proxies": ["127.0.0.0/8"]}},
        "sandbox": panels.settings(),
    });
    let system = System::start_as(options.topology.into(), "bench", &toml::to_string(&settings)?).await?;
    let story = Story::new(system);
    let outcome = measure(&story, options, &panels).await;
    let left = story.leave(outcome.as_ref().is_ok_and(|measured| measured.failures == 0)).await;
    let measured = outcome?;
    left?;
    Ok(measured)
}

async fn measure(story: &Story, options: &RushOptions, panels: &Panels) -> anyhow::Result<Measured> {
    panels.connect(story, true).await?;
    eprintln!("ottery: {} subscriptions are being bought", options.subscriptions);
    let customers = Customers::come(story, options.subscriptions).await?;
    let mut watch = Watch::of(story, panels);
    watch.until_all_have_lines(options.subscriptions).await?;
    let (first, last) = customers::ends(story).await?;
    customers::advance(story, last - customers::lead(story).await? + TimeDelta::minutes(1)).await?;
    anyhow::ensure!(customers::now(story).await? < first, "buying took longer than renewals are issued ahead");
    let alone_ms = watch.call_alone_ms(FLOOR_TIMES).await?;
    eprintln!("ottery: customers look at their account");
    let quiet = customers.look(options.portal_rate, |after| after < BEFORE).await?;

    eprintln!("ottery: all of them are due");
    watch.mark().await?;
    let pid = story.system.pid().context("the private system has ended")?;
    let (used, is_over) = (Family::of(pid)?, CancellationToken::new());
    let (began_at, began) = (SystemClock.now(), Instant::now());
    let renewing = async {
        customers::begin_advance(story, last + TimeDelta::minutes(1)).await?;
        let renewed = watch.until_renewed(options.subscriptions).await;
        is_over.cancel();
        renewed
    };
    let (renewed, busy) = tokio::join!(renewing, customers.look(options.portal_rate, |_| !is_over.is_cancelled()));
    let (mut renewed, busy, took_s) = (renewed?, busy?, began.elapsed().as_secs_f64());
    let usage = Family::of(pid)?;
    customers::until_ready(story).await?;
    // Once more: a line that is renewed a second time is so when everything has come to rest, too.
    renewed.extend(watch.news().await?);
    let times = watch::Times::of(&renewed, began_at)?;
    let unpaid = customers::unpaid_renewals(story, options.subscriptions).await?;
    story.books.balance().await?;
    let findings = crate::doctor::broken(&up::database_of(&story.system.folder)?).await?;

    let missing = u64::from(options.subscriptions).saturating_sub(times.lines);
    let last_s = Latency::of_micros(&times.micros).max_ms / 1e3;
    let lanes = f64::from(options.panels) * f64::from(options.panel_concurrency);
    let details = Map::from_iter([
        ("goal".to_owned(), json!({"value": "below 600", "portal p95": "below 300 ms"})),
        ("topology".to_owned(), json!(options.topology)),
        ("subscriptions".to_owned(), json!(options.subscriptions)),
        ("panels".to_owned(), json!(options.panels)),
        ("panel_rate".to_owned(), json!(options.panel_rate)),
        ("panel_concurrency".to_owned(), json!(options.panel_concurrency)),
        ("panel_latency_ms".to_owned(), json!(options.panel_latency_ms)),
        ("panel_call_alone_ms".to_owned(), json!(rounded(alone_ms, 1))),
        ("renewed".to_owned(), json!(times.lines)),
        ("renewed_twice".to_owned(), json!(times.twice)),
        ("unpaid_renewals".to_owned(), json!(unpaid)),
        ("panel_calls".to_owned(), watch.calls().await?),
        ("portal".to_owned(), portal(&busy, options)?),
        ("portal_before".to_owned(), portal(&quiet, options)?),
        ("watched_s".to_owned(), json!(rounded(took_s, 1))),
        ("invariants_broken".to_owned(), json!(findings)),
        ("processor_s_by_program".to_owned(), json!(usage.seconds_since(&used))),
    ]);
    let failures = missing + times.twice + unpaid + busy.failures + quiet.failures + u64::try_from(findings.len())?;
    Ok(Measured {
        value: last_s,
        unit: "s until the last renewal is on its panel; limit: one call each to the panels alone",
        limit: f64::from(options.subscriptions) * alone_ms / lanes / 1e3,
        latency: Latency::of_micros(&times.micros),
        usage: usage.total().since(used.total()),
        failures,
        details,
    })
}

/// What customers waited for.
fn portal(tally: &Tally, options: &RushOptions) -> anyhow::Result<Value> {
    let all = tally.together()?;
    #[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^52 microseconds")]
    let p95_ms = rounded(all.value_at_quantile(0.95) as f64 / 1e3, 1);
    let each: Map<_, _> = customers::Asked::ALL
        .iter()
        .zip(&tally.times)
        .map(|(asked, times)| (asked.name().to_owned(), json!(Latency::of_micros(times))))
        .collect();
    Ok(json!({
        "rate_per_second": options.portal_rate, "asked": all.len(), "failures": tally.failures, "p95_ms": p95_ms,
        "all": Latency::of_micros(&all), "each": each,
    }))
}

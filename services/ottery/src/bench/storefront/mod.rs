//! `ottery bench storefront`: the pages of a shop with everything on that they have in production, beside a bare server that
//! sends the same bytes to the same generator.
//!
//! Server, bare server and generator are processes of their own. Each page is asked for in turns at the bare server, at the
//! shop, and at the shop while its catalog changes ten times a second; first as fast as answers come, then at a fixed rate.
//! The limit per client is on, so the requests come from many clients, as a proxy would report them; spans are exported to a
//! collector that counts them.

mod changes;
mod figures;

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use http::StatusCode;
use ottery_kit::local::{Leash, LeashedCommand};
use serde_json::{Map, Value, json};
use tokio::process::Command;

use self::changes::{Followed, Plan, Visitor};
use self::figures::{Page, Round};
use super::collector::Collector;
use super::load::Seen;
use super::process::Usage;
use super::result::{Measured, rounded};
use crate::cli::StorefrontOptions;
use crate::demo::system::System;
use crate::demo::wait;

/// The page of all plans.
const PLANS: &str = "/plans";
/// Not counted: connections, caches and branch predictors get warm.
const WARM_UP_S: f64 = 0.5;
/// More than one client may send at once.
const FLOOD: u32 = 2_000;

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// The bare server.
    Bare,
    /// The shop.
    Shop,
    /// The shop while its catalog changes.
    Changing,
}

impl Asked {
    const ALL: [Self; 3] = [Self::Bare, Self::Shop, Self::Changing];
}

/// Everything that runs.
struct Stage<'a> {
    options: &'a StorefrontOptions,
    system: &'a System,
    plan: Plan,
    shop: SocketAddr,
    shop_pid: u32,
    host: String,
    bare: SocketAddr,
    bare_process: Leash,
}

/// Measures.
///
/// # Errors
/// Something did not start, or the shop refused a change of its catalog.
pub async fn run(options: &StorefrontOptions) -> anyhow::Result<Measured> {
    let share = options.share;
    anyhow::ensure!(share > 0.0 && share < 1.0, "--share {share} must lie between 0 and 1");
    anyhow::ensure!(options.rounds > 0, "--rounds must be at least 1");
    anyhow::ensure!(options.seconds > 0.0, "--seconds must be more than 0");
    let collector = Collector::start().await?;
    let system = System::start("bench", &settings(&collector)).await?;
    let outcome = measure(options, &system, &collector).await;
    let is_well = outcome.as_ref().is_ok_and(|measured| measured.failures == 0);
    let left = system.leave(is_well).await;
    outcome.and_then(|measured| left.map(|()| measured))
}

/// As behind a proxy of this machine, with every trace sampled and sent.
fn settings(collector: &Collector) -> String {
    format!(
        "[gateway.http]\ntrusted_proxies = [\"127.0.0.0/8\"]\n\n\
         [process.telemetry]\notlp_endpoint = \"{}\"\nsample_ratio = 1.0\n",
        collector.endpoint()
    )
}

async fn measure(options: &StorefrontOptions, system: &System, collector: &Collector) -> anyhow::Result<Measured> {
    let plan = Plan::find(system).await?;
    let paths = [PLANS.to_owned(), plan.path()?];
    let limits = flood(system).await?;
    let mut stage = Stage::set(options, system, plan, &paths).await?;
    let (before, spans) = (Usage::of(stage.shop_pid)?, collector.spans());
    let mut pages = Vec::new();
    for path in paths {
        pages.push(stage.page(path).await?);
    }
    let usage = Usage::of(stage.shop_pid)?.since(before);
    let answers: u64 = pages.iter().map(Page::answers_of_shop).sum();
    let spans = exported(collector, spans).await;
    stage.bare_process.stop().await?;

    let weakest = pages.iter().flat_map(Page::cases).min_by(|a, b| a.ratio.total_cmp(&b.ratio)).context("no page")?;
    let waits = pages.iter().flat_map(Page::waits);
    let latency = waits.max_by(|a, b| a.p99_ms.total_cmp(&b.p99_ms)).context("no page")?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 spans")]
    let spans_per_answer = if answers == 0 { 0.0 } else { rounded(spans as f64 / answers as f64, 2) };
    let details = Map::from_iter([
        ("goal".to_owned(), json!({"ratio": "at least 0.5", "p99_ms": "below 10"})),
        ("value_is".to_owned(), weakest.name.clone().into()),
        ("pages".to_owned(), pages.iter().map(Page::to_json).collect::<Value>()),
        ("limits".to_owned(), limits),
        ("tracing".to_owned(), json!({"answers": answers, "spans": spans, "spans_per_answer": spans_per_answer})),
        (
            "settings".to_owned(),
            json!({
                "seconds": options.seconds,
                "rounds": options.rounds,
                "connections": options.connections,
                "share_of_capacity": share_of(options),
                "order_of_a_round": ["bare", "shop", "shop with changes"],
            }),
        ),
    ]);
    Ok(Measured {
        value: weakest.value,
        unit: "requests/s",
        limit: weakest.limit,
        latency,
        usage,
        failures: pages.iter().map(Page::failures).sum(),
        details,
    })
}

fn share_of(options: &StorefrontOptions) -> f64 {
    rounded(options.share, 3)
}

/// Asks as one client until the limit stops it: measuring a shop without limits would measure something else.
async fn flood(system: &System) -> anyhow::Result<Value> {
    let address = format!("{}{PLANS}", system.shop_origin);
    for n in 0..FLOOD {
        let answer = system.client.get(&address).header("x-forwarded-for", "198.19.255.1").send().await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::TOO_MANY_REQUESTS => return Ok(json!({"one_client_was_stopped_after": n})),
            status => anyhow::bail!("{address} answered {status}"),
        }
    }
    anyhow::bail!("one client sent {FLOOD} requests at once and was not stopped: the limits are off")
}

/// Spans that came since then; those of the last requests are still on their way for a moment.
async fn exported(collector: &Collector, before: u64) -> u64 {
    let mut seen = collector.spans();
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = collector.spans();
        if now == seen {
            return now - before;
        }
        seen = now;
    }
}

impl<'a> Stage<'a> {
    async fn set(
        options: &'a StorefrontOptions,
        system: &'a System,
        plan: Plan,
        paths: &[String],
    ) -> anyhow::Result<Self> {
        let origin = reqwest::Url::parse(&system.staff_origin)?;
        let shop = origin.socket_addrs(|| None)?.into_iter().next().context("the shop has no address")?;
        let host = system.shop_origin.strip_prefix("http://").context("the shop speaks plain HTTP")?.to_owned();
        let bare = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let bare_process = LeashedCommand::new(std::env::current_exe().context("where is this program?")?)
            .args(["bare", "--listen", &bare.to_string(), "--like", &shop.to_string(), "--host", &host])
            .args(paths)
            .spawn()?;
        let shop_pid = system.pid().context("the private system has ended")?;
        let stage = Self { options, system, plan, shop, shop_pid, host, bare, bare_process };
        wait::until("the bare server to listen", async || {
            Ok(tokio::net::TcpStream::connect(bare).await.map(drop).map_err(|error| error.to_string()))
        })
        .await?;
        Ok(stage)
    }

    /// Everything about one page.
    async fn page(&mut self, path: String) -> anyhow::Result<Page> {
        let mut page = Page::new(path);
        for asked in Asked::ALL {
            self.ask(asked, &page.path, WARM_UP_S, None).await?;
        }
        for _ in 0..self.options.rounds {
            for asked in Asked::ALL {
                let round = self.ask(asked, &page.path, self.options.seconds, None).await?;
                page.of_mut(asked).capacity.push(round);
            }
        }
        let rate = (page.capacity_of_shop() * self.options.share).max(1.0).floor();
        page.rate = rate;
        for _ in 0..self.options.rounds {
            for asked in Asked::ALL {
                let round = self.ask(asked, &page.path, self.options.seconds, Some(rate)).await?;
                page.of_mut(asked).waiting.push(round);
            }
        }
        Ok(page)
    }

    /// One measurement.
    async fn ask(&mut self, asked: Asked, path: &str, seconds: f64, rate: Option<f64>) -> anyhow::Result<Round> {
        let (address, pid) = match asked {
            Asked::Bare => (self.bare, self.bare_process.pid().context("the bare server has ended")?),
            Asked::Shop | Asked::Changing => (self.shop, self.shop_pid),
        };
        let before = Usage::of(pid)?;
        let load = generate(self.options, address, &self.host, path, seconds, rate);
        let (seen, followed) = match asked {
            Asked::Bare | Asked::Shop => (load.await?, Followed::default()),
            Asked::Changing => {
                let visitor = Visitor::new(self.system, path);
                changes::during(&mut self.plan, &visitor, load).await?
            }
        };
        Ok(Round { seen, cpu_s: Usage::of(pid)?.since(before).cpu_s, followed })
    }
}

/// Runs a generator; what it saw.
async fn generate(
    options: &StorefrontOptions,
    to: SocketAddr,
    host: &str,
    path: &str,
    seconds: f64,
    rate: Option<f64>,
) -> anyhow::Result<Seen> {
    let mut command = Command::new(std::env::current_exe().context("where is this program?")?);
    command.args(["generate", "--to", &to.to_string(), "--host", host, "--path", path]);
    command.args(["--seconds", &seconds.to_string(), "--connections", &options.connections.to_string()]);
    if let Some(rate) = rate {
        command.args(["--rate", &rate.to_string()]);
    }
    let said = command.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true).output().await?;
    anyhow::ensure!(said.status.success(), "the generator ended with {}", said.status);
    serde_json::from_slice(&said.stdout).context("the generator said something else than what it saw")
}

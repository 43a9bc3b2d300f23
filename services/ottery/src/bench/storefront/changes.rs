//! The catalog in motion: a plan is changed again and again, and a visitor looks how soon the page says so.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::FutureExt as _;
use hdrhistogram::Histogram;
use http::header;
use reqwest::Client;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::bench::result::Latency;
use crate::demo::http::{Door, text};
use crate::demo::system::System;

/// Time from one change to the next.
const EVERY: Duration = Duration::from_millis(100);
/// Pause of the visitor between two looks for a change that is not shown yet.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How long the page may show something old before that is a failure.
const PATIENCE: Duration = Duration::from_secs(10);
/// Visitors who take turns, so that none of them is too fast for the limit per client.
const VISITORS: u8 = 32;
/// Stands before the number of the change in the plan's summary.
const MARK: &str = "Edition ";

/// One plan that is changed through the API.
pub struct Plan {
    operator: Door,
    content: Value,
    summary: String,
    number: u64,
}

impl Plan {
    /// The first plan of the demo brand that is on sale.
    ///
    /// # Errors
    /// There is none.
    pub async fn find(system: &System) -> anyhow::Result<Self> {
        let operator =
            Door::program(&system.client, &system.staff_origin, &system.people.api_key, &system.people.brand_id);
        let all = operator.get("/plans").await?;
        let on_sale = |plan: &&Value| plan["state"] == "on_sale";
        let content = all["items"].as_array().and_then(|plans| plans.iter().find(on_sale)).cloned();
        let content = content.context("the demo brand sells no plan")?;
        let summary = text(&content, "/current/summary")?.to_owned();
        let mut plan = Self { operator, content, summary, number: 0 };
        // From now on every edition has the same length.
        plan.change().await?;
        Ok(plan)
    }

    /// Its page.
    pub fn path(&self) -> anyhow::Result<String> {
        Ok(format!("/plans/{}", text(&self.content, "/slug")?))
    }

    /// Publishes the next edition; its number.
    async fn change(&mut self) -> anyhow::Result<u64> {
        let number = self.number + 1;
        let current = &self.content["current"];
        let input = json!({
            "slug": self.content["slug"],
            "position": self.content["position"],
            "featured": self.content["featured"],
            "name": current["name"],
            "summary": format!("{} {MARK}{number:06}.", self.summary),
            "features": current["features"],
            "connections": current["connections"],
            "prices": current["prices"],
            "mapping": current["mapping"],
            "trial_days": current["trial_days"],
            "version": self.content["version"],
        });
        let path = format!("/plans/{}", text(&self.content, "/id")?);
        self.content = self.operator.put(&path, &input).await?;
        self.number = number;
        Ok(number)
    }
}

/// What became of the changes.
#[derive(Clone, Debug, Default)]
pub struct Followed {
    /// Changes that were made.
    pub changes: u64,
    /// Changes the page never showed, and pages that showed an older edition than one before.
    pub failures: u64,
    /// From the acknowledged change to a page that shows it.
    pub staleness: Latency,
}

/// Changes acknowledged that no page has shown yet, oldest first.
type Awaited = Arc<Mutex<VecDeque<(u64, Instant)>>>;

/// Changes the plan while `work` goes on, and follows the page.
///
/// # Errors
/// Those of `work`; a change that was refused; a page that was not answered.
pub async fn during<T>(
    plan: &mut Plan,
    visitor: &Visitor,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<(T, Followed)> {
    let (awaited, done, last) = (Awaited::default(), CancellationToken::new(), CancellationToken::new());
    let change = async {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut changes = 0;
        while done.run_until_cancelled(ticks.tick()).await.is_some() {
            let number = plan.change().await?;
            awaited.lock().unwrap_or_else(PoisonError::into_inner).push_back((number, Instant::now()));
            changes += 1;
        }
        last.cancel();
        anyhow::Ok(changes)
    };
    let look = visitor.follow(awaited.clone(), last.clone());
    let work = work.inspect(|_| done.cancel());
    let (outcome, changes, followed) = futures::try_join!(work, change, look)?;
    Ok((outcome, Followed { changes, ..followed }))
}

/// Somebody who looks at one page.
pub struct Visitor {
    client: Client,
    address: String,
}

impl Visitor {
    /// Looks at this page of the shop.
    pub fn new(system: &System, path: &str) -> Self {
        Self { client: system.client.clone(), address: format!("{}{path}", system.shop_origin) }
    }

    /// Looks until the page has shown the last change.
    async fn follow(&self, awaited: Awaited, last: CancellationToken) -> anyhow::Result<Followed> {
        let mut staleness = Latency::histogram()?;
        let (mut newest, mut failures, mut looks) = (0, 0, 0_u8);
        loop {
            let is_last = last.is_cancelled();
            // Nobody looks for nothing: looking costs the measured server its time as well.
            if !is_last && awaited.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            looks = looks.wrapping_add(1);
            let shown = self.look(looks % VISITORS).await?;
            failures += u64::from(shown < newest);
            newest = newest.max(shown);
            let oldest = settle(&awaited, shown, &mut staleness);
            if oldest.is_some_and(|at| at.elapsed() > PATIENCE) {
                failures += 1;
                break;
            }
            if is_last && oldest.is_none() {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(Followed { changes: 0, failures, staleness: Latency::of_micros(&staleness) })
    }

    /// The edition the page shows now.
    async fn look(&self, who: u8) -> anyhow::Result<u64> {
        let asked = self.client.get(&self.address).header("x-forwarded-for", format!("198.19.0.{who}"));
        let answer = asked.header(header::ACCEPT, "text/html").send().await.context("a visitor's look")?;
        anyhow::ensure!(answer.status().is_success(), "{} answered {}", self.address, answer.status());
        edition(&answer.text().await?).with_context(|| format!("{} shows no edition", self.address))
    }
}

/// Takes note of the changes a page has shown by now; when the oldest of the others was acknowledged.
fn settle(awaited: &Awaited, shown: u64, staleness: &mut Histogram<u64>) -> Option<Instant> {
    let mut awaited = awaited.lock().unwrap_or_else(PoisonError::into_inner);
    while let Some((_, at)) = awaited.pop_front_if(|(number, _)| *number <= shown) {
        staleness.saturating_record(u64::try_from(at.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    awaited.front().map(|(_, at)| *at)
}

fn edition(page: &str) -> Option<u64> {
    let (_, rest) = page.split_once(MARK)?;
    rest.get(..6)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_which_edition_it_is() {
        assert_eq!(edition("<p>Two streams. Edition 000042.</p>"), Some(42));
        assert_eq!(edition("<p>Two streams.</p>"), None);
    }
}

//! The panels' own records of what was done to their lines.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use hdrhistogram::Histogram;
use reqwest::Client;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::customers::PATIENCE;
use crate::bench::panels::Panels;
use crate::bench::result::Latency;
use crate::demo::Story;
use crate::demo::http::{json as read, text};

/// How often panels are asked: their records say when things happened, so this costs no exactness.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A line whose expiry was written.
#[derive(Clone, Debug)]
pub struct Renewed {
    username: String,
    at: DateTime<Utc>,
}

/// All panels of the bench.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    control: String,
    player: String,
    first_key: String,
    /// Access codes, and the newest record of each that was seen.
    seen: Vec<(String, u64)>,
}

impl Watch {
    /// Nothing of them was seen yet.
    pub fn of(story: &Story, panels: &Panels) -> Self {
        Self {
            client: story.system.client.clone(),
            control: story.system.sandbox.control_url(),
            player: story.system.sandbox.player_url(),
            first_key: panels.key(1),
            seen: panels.codes().into_iter().map(|code| (code, 0)).collect(),
        }
    }

    async fn get(&self, code: &str, what: &str) -> anyhow::Result<Value> {
        let url = format!("{}/control/panels/{code}/{what}", self.control);
        read(self.client.get(url).send().await?, what).await
    }

    /// Waits until the panels hold so many lines.
    ///
    /// # Errors
    /// It takes too long.
    pub async fn until_all_have_lines(&self, wanted: u32) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let mut lines = 0;
            for (code, _) in &self.seen {
                lines += self.get(code, "lines").await?.as_array().context("lines are a list")?.len();
            }
            if lines >= usize::try_from(wanted)? {
                return Ok(());
            }
            anyhow::ensure!(began.elapsed() < PATIENCE, "the panels hold {lines} of {wanted} lines");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Forgets what happened so far.
    ///
    /// # Errors
    /// The simulator does not answer.
    pub async fn mark(&mut self) -> anyhow::Result<()> {
        self.news().await.map(drop)
    }

    /// Lines that were renewed since this was asked last.
    ///
    /// # Errors
    /// The simulator does not answer.
    pub async fn news(&mut self) -> anyhow::Result<Vec<Renewed>> {
        let mut news = Vec::new();
        for n in 0..self.seen.len() {
            let (code, since) = self.seen[n].clone();
            let rows = self.get(&code, &format!("effects?since={since}")).await?;
            for row in rows.as_array().context("effects are a list")? {
                self.seen[n].1 = self.seen[n].1.max(row["seq"].as_u64().context("an effect has a number")?);
                if row["action"] == "edit_line" {
                    let at = text(row, "/at")?.parse().context("an effect has an instant")?;
                    news.push(Renewed { username: format!("{code}/{}", text(row, "/username")?), at });
                }
            }
        }
        Ok(news)
    }

    /// Waits until so many lines were renewed. What is missing when patience ends is missing in the answer.
    ///
    /// # Errors
    /// The simulator does not answer.
    pub async fn until_renewed(&mut self, wanted: u32) -> anyhow::Result<Vec<Renewed>> {
        let (began, mut renewed) = (Instant::now(), Vec::new());
        let mut names = std::collections::HashSet::new();
        while names.len() < usize::try_from(wanted)? && began.elapsed() < PATIENCE {
            tokio::time::sleep(LOOK_EVERY).await;
            let news = self.news().await?;
            names.extend(news.iter().map(|renewed| renewed.username.clone()));
            renewed.extend(news);
        }
        Ok(renewed)
    }

    /// How long one call takes the first panel with nobody else on it: the median.
    ///
    /// # Errors
    /// The panel refuses.
    pub async fn call_alone_ms(&self, times: u32) -> anyhow::Result<f64> {
        let (code, _) = self.seen.first().context("there is a panel")?;
        let url = format!("{}/{code}/", self.player);
        let mut took = Vec::new();
        for _ in 0..times {
            let began = Instant::now();
            let form = [("api_key", self.first_key.as_str()), ("action", "get_lines"), ("limit", "1")];
            let said = read(self.client.post(&url).form(&form).send().await?, "get_lines").await?;
            anyhow::ensure!(said["status"] == "STATUS_SUCCESS", "the panel does not list its lines: {said}");
            took.push(began.elapsed().as_secs_f64() * 1e3);
        }
        Ok(crate::bench::result::median(&took))
    }

    /// Calls the panels have counted, by action.
    ///
    /// # Errors
    /// The simulator does not answer.
    pub async fn calls(&self) -> anyhow::Result<Value> {
        let mut calls = Map::new();
        for (code, _) in &self.seen {
            calls.insert(code.clone(), json!(self.get(code, "counters").await?["calls"]));
        }
        Ok(Value::Object(calls))
    }
}

/// How long renewals took.
#[derive(Clone, Debug)]
pub struct Times {
    /// From the jump of the clock to each line's first renewal.
    pub micros: Histogram<u64>,
    /// Lines that were renewed.
    pub lines: u64,
    /// Renewals too many.
    pub twice: u64,
}

impl Times {
    /// Of these renewals.
    ///
    /// # Errors
    /// Never in practice: the histogram's bounds are fixed.
    pub fn of(renewed: &[Renewed], began: DateTime<Utc>) -> anyhow::Result<Self> {
        let mut first: HashMap<&str, DateTime<Utc>> = HashMap::new();
        for Renewed { username, at } in renewed {
            let known = first.entry(username).or_insert(*at);
            *known = (*known).min(*at);
        }
        let mut micros = Latency::histogram()?;
        for at in first.values() {
            let after = (*at - began).num_microseconds().unwrap_or(i64::MAX);
            micros.saturating_record(u64::try_from(after).unwrap_or(0));
        }
        let lines = u64::try_from(first.len())?;
        Ok(Self { micros, lines, twice: u64::try_from(renewed.len())? - lines })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_counts_once_with_its_first_renewal_and_the_others_are_too_many() {
        let began = DateTime::UNIX_EPOCH;
        let renewed = |username: &str, s: i64| Renewed {
            username: username.to_owned(),
            at: began + chrono::TimeDelta::seconds(s),
        };
        let times = Times::of(&[renewed("a", 3), renewed("b", 1), renewed("a", 2)], began).unwrap();
        assert_eq!((times.lines, times.twice), (2, 1));
        let seconds = |micros: u64| (micros + 5_000) / 10_000;
        assert_eq!((seconds(times.micros.min()), seconds(times.micros.max())), (100, 200));
    }
}

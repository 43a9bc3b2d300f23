//! Who buys, who looks at their account meanwhile, and the clock they live by.

use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use tokio::time::Instant;

use crate::bench::activation::shop::buyer;
use crate::bench::schedule::{self, Tally};
use crate::demo::Story;
use crate::demo::http::{Door, instant, items, number};

/// Accounts at work at the same time while orders are made.
const AT_ONCE: usize = 4;
/// Subscriptions of one customer.
const EACH: u32 = 10;
/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(1_800);
const PLANS: [&str; 2] = ["duo", "family"];

/// What customers look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Account,
    InvoicesPage,
    SubscriptionsApi,
    Quote,
}

impl Asked {
    /// In the order of their turns.
    pub const ALL: [Self; 4] = [Self::Account, Self::InvoicesPage, Self::SubscriptionsApi, Self::Quote];

    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Account => "account page",
            Self::InvoicesPage => "invoices page",
            Self::SubscriptionsApi => "list of subscriptions (API)",
            Self::Quote => "checkout quote",
        }
    }
}

/// Everybody who has bought.
#[derive(Debug)]
pub struct Customers {
    doors: Vec<Door>,
    price: String,
}

impl Customers {
    /// Lets them sign up, order and pay.
    ///
    /// # Errors
    /// A step that was refused.
    pub async fn come(story: &Story, subscriptions: u32) -> anyhow::Result<Self> {
        let mut prices = Vec::new();
        for plan in PLANS {
            prices.push(story.monthly(plan).await?.0);
        }
        let customers = subscriptions.div_ceil(EACH);
        let share = |n: u32| if n + 1 == customers { subscriptions - n * EACH } else { EACH };
        let doors = stream::iter(0..customers)
            .map(|n| buyer(story, n, share(n), &prices))
            .buffer_unordered(AT_ONCE)
            .map_ok(|buyer| buyer.door)
            .try_collect()
            .await?;
        let price = prices.pop().context("something is sold")?;
        Ok(Self { doors, price })
    }

    /// Lets them look, on schedule.
    ///
    /// # Errors
    /// Never in practice.
    pub async fn look(&self, rate: f64, goes_on: impl Fn(Duration) -> bool) -> anyhow::Result<Tally> {
        schedule::ask(Asked::ALL.len(), rate, goes_on, |n| self.ask(n as usize)).await
    }

    async fn ask(&self, n: usize) -> anyhow::Result<()> {
        let door = &self.doors[n / Asked::ALL.len() % self.doors.len()];
        match Asked::ALL[n % Asked::ALL.len()] {
            Asked::Account => door.page("/account").await,
            Asked::InvoicesPage => door.page("/account/invoices").await,
            Asked::SubscriptionsApi => door.get("/subscriptions").await.map(drop),
            Asked::Quote => door.post("/quotes", &json!({"price_id": self.price, "country": "DE"})).await.map(drop),
        }
    }
}

/// When the first and the last paid month ends.
///
/// # Errors
/// The list cannot be read, or nobody has bought.
pub async fn ends(story: &Story) -> anyhow::Result<(DateTime<Utc>, DateTime<Utc>)> {
    let (mut ends, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = story.operator.get(&format!("/subscriptions?limit=100{cursor}")).await?;
        for subscription in items(&page)? {
            ends.push(instant(subscription, "/period_end")?);
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let first = ends.iter().min().context("nobody has a subscription")?;
    let last = ends.iter().max().context("nobody has a subscription")?;
    Ok((*first, *last))
}

/// How many renewals are missing or unpaid.
///
/// # Errors
/// The list cannot be read.
pub async fn unpaid_renewals(story: &Story, subscriptions: u32) -> anyhow::Result<u64> {
    let (mut paid, mut cursor) = (0_u64, String::new());
    loop {
        let page = story.operator.get(&format!("/invoices?limit=100{cursor}")).await?;
        let is_paid = |invoice: &&serde_json::Value| invoice["purpose"] == "renewal" && invoice["state"] == "closed";
        paid += u64::try_from(items(&page)?.iter().filter(is_paid).count())?;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    Ok(u64::from(subscriptions).abs_diff(paid))
}

/// How long before its period the brand issues a renewal.
///
/// # Errors
/// The brand cannot be read.
pub async fn lead(story: &Story) -> anyhow::Result<TimeDelta> {
    let brand = story.operator.get(&format!("/brands/{}", story.system.people.brand_id)).await?;
    Ok(TimeDelta::hours(number(&brand, "/renewal_lead_hours")?))
}

fn clock(story: &Story) -> String {
    format!("/brands/{}/clock", story.system.people.brand_id)
}

/// What time it is for the brand, once it is on a test clock.
///
/// # Errors
/// The clock cannot be read.
pub async fn now(story: &Story) -> anyhow::Result<DateTime<Utc>> {
    instant(&story.operator.get(&clock(story)).await?, "/now")
}

/// Moves the brand's clock and does not wait.
///
/// # Errors
/// The system refuses.
pub async fn begin_advance(story: &Story, to: DateTime<Utc>) -> anyhow::Result<()> {
    let to = to.to_rfc3339_opts(SecondsFormat::Secs, true);
    story.operator.post(&clock(story), &json!({ "to": to })).await.map(drop)
}

/// Waits until everything due by the brand's time is done.
///
/// # Errors
/// It takes too long.
pub async fn until_ready(story: &Story) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let seen = story.operator.get(&clock(story)).await?;
        if seen["state"] == "ready" {
            return Ok(());
        }
        anyhow::ensure!(began.elapsed() < PATIENCE, "the brand's clock still waits for {}", seen["waiting_for"]);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Moves the brand's clock, until everything due by then is done.
///
/// # Errors
/// The system refuses, or takes too long.
pub async fn advance(story: &Story, to: DateTime<Utc>) -> anyhow::Result<()> {
    begin_advance(story, to).await?;
    until_ready(story).await
}

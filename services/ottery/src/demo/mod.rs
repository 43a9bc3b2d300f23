//! `ottery demo`: the whole story on a running system, told only through public HTTP.
//!
//! A customer buys and watches, the provider charges and declines, the operator looks into the books. After each step the
//! panel and the ledger must be as the step should have left them; the first difference ends the story.

mod books;
pub mod customer;
pub mod http;
pub mod operator;
mod panel;
mod story;
pub mod system;
mod timeline;
pub mod wait;

use anyhow::Context;

use self::books::Books;
use self::customer::{Customer, GOOD_CARD};
use self::http::{Door, items, text};
use self::panel::Panel;
use self::system::System;
use self::timeline::Timeline;
use crate::cli::DemoOptions;

/// Plans the purchases take turns at.
const PLANS: [&str; 3] = ["solo", "duo", "family"];

/// Tells the story.
///
/// # Errors
/// The first step that differed, and how.
pub async fn run(options: DemoOptions) -> anyhow::Result<()> {
    let system = System::find(&options).await?;
    let mut timeline = Timeline::begin(options.json)?;
    let story = Story::new(system);
    let outcome = tell(&story, &mut timeline, options.purchases).await;
    let left = story.leave(outcome.is_ok()).await;
    match outcome.and(left) {
        Ok(()) => {
            timeline.finish();
            Ok(())
        }
        Err(error) => {
            timeline.give_up(&format!("{error:#}"));
            Err(error)
        }
    }
}

/// Everything the steps need.
pub struct Story {
    /// Where everything is.
    pub system: System,
    panel: Panel,
    /// The ledger as the operator reads it.
    pub books: Books,
    /// The operator's key.
    pub operator: Door,
}

impl Story {
    /// Told on this system.
    pub fn new(system: System) -> Self {
        let control = format!("{}/control/panels/{}", system.sandbox.control_url(), system.sandbox.panel_code);
        let operator =
            Door::program(&system.client, &system.staff_origin, &system.people.api_key, &system.people.brand_id);
        Self { panel: Panel::new(&system.client, control), books: Books::new(&operator), operator, system }
    }

    /// Leaves the system; see [`System::leave`].
    ///
    /// # Errors
    /// A child that does not end.
    pub async fn leave(self, is_well: bool) -> anyhow::Result<()> {
        self.system.leave(is_well).await
    }

    /// A plan's price for a month in the shop's first currency, and its streams at a time.
    pub async fn monthly(&self, plan: &str) -> anyhow::Result<(String, i64)> {
        let shop = Door::browser(&self.system.client, &self.system.shop_origin);
        let offer = shop.get(&format!("/storefront/plans/{plan}")).await?;
        let is_monthly = |price: &&serde_json::Value| {
            price["term"]["unit"] == "month" && price["term"]["count"] == 1 && price["amount"]["currency"] == "EUR"
        };
        let price = offer["prices"].as_array().and_then(|prices| prices.iter().find(is_monthly));
        let price = price.with_context(|| format!("the plan {plan} has no monthly price in EUR"))?;
        Ok((text(price, "/id")?.to_owned(), http::number(&offer, "/connections")?))
    }

    /// Monthly recurring revenue in EUR, in cents.
    async fn mrr(&self) -> anyhow::Result<i64> {
        let answer = self.operator.get("/analytics/mrr").await?;
        let amounts = answer["mrr"].as_array().context("MRR is a list of amounts")?;
        Ok(amounts
            .iter()
            .find(|amount| amount["currency"] == "EUR")
            .map_or(0, |euro| euro["minor"].as_i64().unwrap_or(0)))
    }

    /// What the movements of a subscription sum to, in cents.
    async fn movements(&self, subscription: &str) -> anyhow::Result<Vec<(String, i64)>> {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.operator.get(&format!("/analytics/movements?limit=100{cursor}")).await?;
            for movement in items(&page)?.iter().filter(|movement| movement["subscription_id"] == subscription) {
                found.push((text(movement, "/kind")?.to_owned(), http::number(movement, "/delta/minor")?));
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        found.reverse();
        Ok(found)
    }
}

async fn tell(story: &Story, timeline: &mut Timeline, purchases: u32) -> anyhow::Result<()> {
    let before = timeline
        .step("before", async {
            story.books.balance().await?;
            let mrr = story.mrr().await?;
            Ok((mrr, format!("MRR {}", euros(mrr))))
        })
        .await?;
    let mut bought_mrr = 0;
    for (n, plan) in (1..=purchases).zip(PLANS.into_iter().cycle()) {
        let bought = timeline
            .step(format!("purchase {n}"), async {
                let bought = Customer::sign_up(story, None).await?.buy(story, plan, GOOD_CARD).await?;
                let said = format!("{plan}: paid, playing after {} ms", bought.activation_ms);
                Ok((bought, said))
            })
            .await?;
        timeline.activated(bought.activation_ms);
        bought_mrr += http::number(&bought.detail, "/invoice/subtotal/minor")?;
    }
    timeline
        .step("MRR after purchases", async {
            let wanted = before + bought_mrr;
            let mrr = wait::until(&format!("an MRR of {}", euros(wanted)), async || {
                let mrr = story.mrr().await?;
                Ok(if mrr == wanted { Ok(mrr) } else { Err(format!("it is {}", euros(mrr))) })
            })
            .await?;
            Ok(((), format!("{} before, {} now", euros(before), euros(mrr))))
        })
        .await?;
    story::tell(story, timeline).await
}

/// Cents as people write them.
fn euros(minor: i64) -> String {
    format!("{}{}.{:02} EUR", if minor < 0 { "-" } else { "" }, minor.abs() / 100, minor.abs() % 100)
}

//! What exists before the clock starts: panels, customers, orders that are paid at the provider but not known to be.

use std::collections::HashMap;

use anyhow::Context;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use super::plan::Webhook;
use crate::bench::panels::{Panels, code};
use crate::cli::ActivationOptions;
use crate::demo::Story;
use crate::demo::customer::{GOOD_CARD, pay_page};
use crate::demo::http::{Door, items, json as read, number, text};
use crate::up::state::random_hex;

/// Accounts at work at the same time while the orders are made.
const AT_ONCE: usize = 4;
const PLANS: [&str; 3] = ["solo", "duo", "family"];

/// Orders by the payment that pays them.
pub type Orders = HashMap<String, String>;

/// Holds the provider's webhooks back, lets customers order and pay, and takes the webhooks that wait.
///
/// # Errors
/// A step of a customer that was refused.
pub async fn fill(story: &Story, options: &ActivationOptions) -> anyhow::Result<(Orders, Vec<Webhook>)> {
    control(story, "/control/payments/webhooks", &json!({"paused": true})).await?;
    let mut prices = Vec::new();
    for plan in PLANS {
        prices.push(story.monthly(plan).await?.0);
    }
    let accounts = options.accounts.unwrap_or(options.orders.div_ceil(10)).clamp(1, options.orders);
    let share = |n: u32| (options.orders + accounts - 1 - n) / accounts;
    let of_accounts: Vec<Vec<(String, String)>> = stream::iter(0..accounts)
        .map(async |n| anyhow::Ok(buyer(story, n, share(n), &prices).await?.bought))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let (mut orders, mut rounds) = (Orders::new(), HashMap::new());
    for (round, (payment, order)) in of_accounts.into_iter().flat_map(|orders| orders.into_iter().enumerate()) {
        rounds.insert(payment.clone(), round);
        orders.insert(payment, order);
    }
    let mut webhooks = waiting(story).await?;
    webhooks.retain(|webhook| orders.contains_key(&webhook.reference));
    // Those who pay at the same time are different people: everybody's first order, then everybody's second.
    webhooks.sort_by_key(|webhook| rounds.get(&webhook.reference).copied());
    anyhow::ensure!(
        webhooks.len() == orders.len(),
        "{} orders were paid, but {} webhooks wait",
        orders.len(),
        webhooks.len()
    );
    Ok((orders, webhooks))
}

/// A new customer and so many paid orders of theirs.
#[derive(Clone, Debug)]
pub struct Buyer {
    /// Their browser.
    pub door: Door,
    /// Payments and orders, in the order in which they were made.
    pub bought: Vec<(String, String)>,
}

/// Lets customer number `n` sign up, order and pay.
///
/// # Errors
/// A step that was refused.
pub async fn buyer(story: &Story, n: u32, orders: u32, prices: &[String]) -> anyhow::Result<Buyer> {
    // The range set aside for measuring (RFC 2544): limits count per client address, as in production.
    let address = format!("198.18.{}.{}", n / 250, n % 250 + 1);
    let mut door = Door::browser(&story.system.client, &story.system.shop_origin).behind_proxy_from(address);
    let email = format!("bench-{n}-{}@example.org", random_hex(4));
    let sign_up = json!({"email": email, "password": format!("bench {}", random_hex(8)), "display_name": "Bench", "country": "DE"});
    door.enter("/auth/sign-up", &sign_up).await?;
    let mut bought = Vec::new();
    for k in 0..orders {
        let price = &prices[usize::try_from(n + k)? % prices.len()];
        let quote = door.post("/quotes", &json!({"price_id": price, "country": "DE"})).await?;
        let placed =
            door.post_money("/orders", &json!({"quote_id": text(&quote, "/id")?, "save_method": true})).await?;
        let order = text(&placed, "/order/id")?.to_owned();
        pay_page(story, text(&placed, "/checkout_url")?, GOOD_CARD).await?;
        let detail = door.get(&format!("/orders/{order}")).await?;
        bought.push((text(&detail, "/payments/0/id")?.to_owned(), order));
    }
    Ok(Buyer { door, bought })
}

/// The provider's events about successful payments, as the bytes it would send.
async fn waiting(story: &Story) -> anyhow::Result<Vec<Webhook>> {
    let url = format!("{}/control/payments/events?type=payment.succeeded", story.system.sandbox.control_url());
    let events = read(story.system.client.get(url).send().await?, "the provider's events").await?;
    let mut webhooks = Vec::new();
    for event in events.as_array().context("events are a list")? {
        let mut body = event.clone();
        body.as_object_mut().context("an event is an object")?.remove("delivery");
        let reference = text(event, "/data/object/reference")?.to_owned();
        webhooks.push(Webhook { reference, body: body.to_string() });
    }
    Ok(webhooks)
}

async fn control(story: &Story, path: &str, body: &Value) -> anyhow::Result<Value> {
    let url = format!("{}{path}", story.system.sandbox.control_url());
    read(story.system.client.post(url).json(body).send().await?, path).await
}

/// Where the provider sends the webhooks of the demo's account.
///
/// # Errors
/// It was told no address.
pub async fn webhook_url(story: &Story) -> anyhow::Result<String> {
    let url = format!("{}/control/payments/accounts", story.system.sandbox.control_url());
    let accounts = read(story.system.client.get(url).send().await?, "the provider's accounts").await?;
    Ok(text(&accounts, "/0/webhook_url")?.to_owned())
}

/// The line the platform made for each order, by the payment that paid it.
///
/// # Errors
/// The services cannot be listed.
pub async fn lines(story: &Story, orders: &Orders) -> anyhow::Result<HashMap<String, String>> {
    let (mut by_order, mut cursor) = (HashMap::new(), String::new());
    loop {
        let page = story.operator.get(&format!("/services?limit=100{cursor}")).await?;
        for service in items(&page)? {
            if let (Some(order), Some(username)) = (service["order_id"].as_str(), service["username"].as_str()) {
                by_order.insert(order.to_owned(), username.to_owned());
            }
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let line_of = |(payment, order): (&String, &String)| Some((payment.clone(), by_order.get(order)?.clone()));
    Ok(orders.iter().filter_map(line_of).collect())
}

/// How long a panel itself takes, in microseconds: a line made and a player let in, with nobody in between.
///
/// # Errors
/// The panel refuses.
pub async fn floor_us(story: &Story, panels: &Panels, times: u32) -> anyhow::Result<hdrhistogram::Histogram<u64>> {
    let (client, player) = (&story.system.client, story.system.sandbox.player_url());
    let mut times_us = hdrhistogram::Histogram::new(3)?;
    for n in 0..times {
        let (name, password) = (format!("floor{n:05}"), random_hex(6));
        let began = std::time::Instant::now();
        let form = [
            ("api_key", panels.key(1)),
            ("action", "create_line".to_owned()),
            ("username", name.clone()),
            ("password", password.clone()),
            ("exp_date", "@4102444800".to_owned()),
            ("bouquets_selected", "[1]".to_owned()),
            ("access_output[]", "1".to_owned()),
        ];
        let made = read(client.post(format!("{player}/{}/", code(1))).form(&form).send().await?, "create_line").await?;
        anyhow::ensure!(made["status"] == "STATUS_SUCCESS", "the panel does not make a line: {made}");
        let url = format!("{player}/player_api.php");
        let said = client.get(url).query(&[("username", &name), ("password", &password)]).send().await?;
        let said = read(said, "the player API").await?;
        anyhow::ensure!(number(&said, "/user_info/auth")? == 1, "the panel does not let its own line in: {said}");
        times_us.record(u64::try_from(began.elapsed().as_micros())?)?;
    }
    Ok(times_us)
}

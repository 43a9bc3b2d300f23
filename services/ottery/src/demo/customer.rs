//! A customer: signs up, buys, pays on the provider's page, watches.

use std::time::Instant;

use anyhow::Context;
use reqwest::{StatusCode, header};
use serde_json::{Value, json};

use super::Story;
use super::http::{Door, items, start_of, text};
use super::panel::Credentials;
use super::timeline::millis;
use super::wait;
use crate::up::state::random_hex;

/// Always pays.
pub const GOOD_CARD: &str = "4242 4242 4242 4242";
/// Pays when the customer is there; declined when charged later.
pub const FICKLE_CARD: &str = "4000 0000 0000 0341";

/// Somebody with an account in the shop.
#[derive(Clone, Debug)]
pub struct Customer {
    /// Their browser.
    pub door: Door,
    /// Their address.
    pub email: String,
    /// `acc_…`
    pub account: String,
}

/// What somebody bought and watches.
#[derive(Clone, Debug)]
pub struct Bought {
    /// `ord_…`
    pub order: String,
    /// `sub_…`
    pub subscription: String,
    /// For a player.
    pub credentials: Credentials,
    /// From sending the card to a player being let in.
    pub activation_ms: u64,
    /// The order with everything that belongs to it, when it was ready.
    pub detail: Value,
}

impl Customer {
    /// A new account; the browser may come by somebody's link.
    pub async fn sign_up(story: &Story, link: Option<&str>) -> anyhow::Result<Self> {
        let mut door = Door::browser(&story.system.client, &story.system.shop_origin);
        if let Some(link) = link {
            let status = door.follow(link).await?;
            anyhow::ensure!(status.is_redirection(), "the link {link} should lead to the shop, but answered {status}");
        }
        let email = format!("demo-{}@example.org", random_hex(6));
        let password = format!("demo {}", random_hex(8));
        let input = json!({"email": email, "password": password, "display_name": "Demo Viewer", "country": "DE"});
        let signed_up = door.enter("/auth/sign-up", &input).await?;
        let account = text(&signed_up, "/session/account/id")?.to_owned();
        Ok(Self { door, email, account })
    }

    /// Buys a plan by the month and watches it. Checks the books and the panel on the way.
    pub async fn buy(&self, story: &Story, plan: &str, card: &str) -> anyhow::Result<Bought> {
        let (price, connections) = story.monthly(plan).await?;
        let quote = self.door.post("/quotes", &json!({"price_id": price, "country": "DE"})).await?;
        let input = json!({"quote_id": text(&quote, "/id")?, "save_method": true});
        let placed = self.door.post_money("/orders", &input).await?;
        anyhow::ensure!(
            placed["order"]["total"] == quote["due_now"],
            "the quote said {}, but the order says {}",
            quote["due_now"],
            placed["order"]["total"]
        );
        let order = text(&placed, "/order/id")?.to_owned();
        let page = text(&placed, "/checkout_url")?;

        let began = Instant::now();
        pay_page(story, page, card).await?;
        let detail = self.until_ready(&order).await?;
        let service = text(&detail, "/progress/service/id")?.to_owned();
        let revealed = self.door.post(&format!("/services/{service}/credentials"), &json!({})).await?;
        let credentials = Credentials::read(&revealed)?;
        story.panel.player_is(&credentials, true).await?;
        let activation_ms = millis(began);

        story.panel.play(&credentials).await?;
        story
            .panel
            .line_is(&credentials.username, &format!("an active line with {connections} streams"), |line| {
                line.is_some_and(|line| line.status == "Active" && line.connections == connections)
            })
            .await?;
        story.books.invoice_is_booked(&detail["invoice"]).await?;
        let payment = detail["payments"].get(0).context("a paid order has a payment")?;
        story.books.payment_is_booked(payment).await?;
        let subscription = text(&detail, "/subscription/id")?.to_owned();
        Ok(Bought { order, subscription, credentials, activation_ms, detail })
    }

    async fn until_ready(&self, order: &str) -> anyhow::Result<Value> {
        wait::until("the order to be ready", async || {
            let detail = self.door.get(&format!("/orders/{order}")).await?;
            let steps = detail["progress"]["steps"].as_array().context("an order has steps")?;
            let is_ready = steps.iter().any(|step| step["name"] == "ready" && step["state"] == "done");
            Ok(if is_ready { Ok(detail) } else { Err(format!("its steps are {}", detail["progress"]["steps"])) })
        })
        .await
    }

    /// The subscription, once it is in that state.
    pub async fn subscription_is(&self, bought: &Bought, state: &str) -> anyhow::Result<Value> {
        wait::until(&format!("the subscription to be {state}"), async || {
            let subscription = self.door.get(&format!("/subscriptions/{}", bought.subscription)).await?;
            let seen = format!("it is {}", subscription["state"]);
            Ok(if subscription["state"] == state { Ok(subscription) } else { Err(seen) })
        })
        .await
    }

    /// The newest invoice of the subscription, once `is_right` says so.
    pub async fn newest_invoice(
        &self,
        bought: &Bought,
        wanted: &str,
        is_right: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        wait::until(wanted, async || {
            let page = self.door.get(&format!("/invoices?subscription_id={}", bought.subscription)).await?;
            let newest = items(&page)?.first().cloned().unwrap_or_default();
            let seen =
                format!("the newest invoice is {} {} of {}", newest["state"], newest["purpose"], newest["total"]);
            Ok(if is_right(&newest) { Ok(newest) } else { Err(seen) })
        })
        .await
    }

    /// The newest payment of an invoice, once it is in that state.
    pub async fn payment_is(&self, invoice: &Value, state: &str) -> anyhow::Result<Value> {
        let id = text(invoice, "/id")?;
        wait::until(&format!("a payment of {id} that has {state}"), async || {
            let page = self.door.get(&format!("/payments?invoice_id={id}")).await?;
            let states: Vec<String> = items(&page)?.iter().map(|payment| payment["state"].to_string()).collect();
            let found = items(&page)?.iter().find(|payment| payment["state"] == state).cloned();
            Ok(found.ok_or(format!("its payments are {states:?}")))
        })
        .await
    }

    /// Waits for a mail to this customer with `words` in its subject, that many of them.
    pub async fn mails(&self, story: &Story, words: &str, count: usize) -> anyhow::Result<()> {
        wait::until(&format!("{count} mail(s) about \"{words}\""), async || {
            let address = format!("{}messages", story.system.sandbox.mail_url());
            let answer = story.system.client.get(address).query(&[("to", &self.email)]).send().await?;
            let found = super::http::json(answer, "the mail sink").await?;
            let subjects: Vec<String> = found["messages"]
                .as_array()
                .context("the mail sink lists messages")?
                .iter()
                .map(|mail| mail["subject"].as_str().unwrap_or_default().to_owned())
                .collect();
            let hits = subjects.iter().filter(|subject| subject.contains(words)).count();
            Ok(if hits == count { Ok(()) } else { Err(format!("{hits} arrived; there are {subjects:?}")) })
        })
        .await
    }
}

/// Types a card into the provider's hosted page and sends it.
pub async fn pay_page(story: &Story, page: &str, card: &str) -> anyhow::Result<()> {
    let shown = story.system.client.get(page).send().await.context("the provider's page")?;
    anyhow::ensure!(shown.status().is_success(), "the provider's page answered {}", shown.status());
    let form = [("number", card), ("expiry", "12/39"), ("cvc", "123")];
    let answer = story.system.client.post(format!("{page}/pay")).form(&form).send().await?;
    let status = answer.status();
    let back = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    if status != StatusCode::SEE_OTHER {
        anyhow::bail!(
            "paying should lead back to the shop, but answered {status}: {}",
            start_of(&answer.text().await?)
        );
    }
    let back = back.context("paying leads nowhere")?;
    let shop = &story.system.shop_origin;
    anyhow::ensure!(back.starts_with(shop.as_str()), "paying should lead back to {shop}, but led to {back}");
    Ok(())
}

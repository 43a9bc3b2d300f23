//! The generator (`ottery fire`): sends signed webhooks on schedule and tries every new line as a player would. A process
//! of its own, so that it measures from outside.

use std::collections::HashSet;
use std::io::Read as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use hmac::{Hmac, Mac as _};
use ottery_kernel::clock::{Clock as _, SystemClock};
use reqwest::Client;
use serde_json::Value;
use sha2::Sha256;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::plan::{Line, Plan, Seen, Sent, Webhook};

/// How often panels are asked for new lines. A line is seen half of this late on average.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A provider whose webhook was refused sends it again; this one is in a hurry.
const AGAIN_AFTER: Duration = Duration::from_millis(250);
const TRIES_MAX: u32 = 40;
const TIMEOUT: Duration = Duration::from_secs(15);

/// Reads a plan, carries it out, prints what it saw.
///
/// # Errors
/// Standard input holds no plan.
pub async fn run() -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read the plan")?;
    let plan: Plan = serde_json::from_str(&text).context("standard input holds no plan")?;
    println!("{}", serde_json::to_string(&carry_out(plan).await?)?);
    Ok(())
}

struct Watch {
    client: Client,
    plan: Plan,
    began: Instant,
    lines: Mutex<Vec<Line>>,
    accepted: AtomicUsize,
    refusal: Mutex<Option<String>>,
}

impl Watch {
    fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn refused(&self, why: String) {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }
}

async fn carry_out(plan: Plan) -> anyhow::Result<Seen> {
    let client = Client::builder().no_proxy().timeout(TIMEOUT).pool_max_idle_per_host(64).build()?;
    let (lines, accepted, refusal) = (Mutex::default(), AtomicUsize::new(0), Mutex::default());
    let mut watch = Watch { client, plan, began: Instant::now(), lines, accepted, refusal };
    let mut marks = Vec::new();
    for code in &watch.plan.panels {
        marks.push((code.clone(), effects(&watch, code, 0).await?.1));
    }
    watch.began = Instant::now();
    let watch = Arc::new(watch);

    let mut watching = JoinSet::new();
    for (code, mark) in marks {
        watching.spawn(watch_panel(watch.clone(), code, mark));
    }
    let sent = send_all(&watch).await;
    let until = Instant::now() + Duration::from_secs(watch.plan.patience_s);
    while watch.accepted.load(Ordering::Relaxed) < watch.plan.webhooks.len() && Instant::now() < until {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let ended_us = watch.now_us();
    watching.shutdown().await;
    let lines = std::mem::take(&mut *watch.lines.lock().unwrap_or_else(PoisonError::into_inner));
    let refusal = watch.refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(Seen { sent, lines, ended_us, refusal })
}

/// Open loop: each webhook leaves when it is due, whether or not the one before was answered.
async fn send_all(watch: &Arc<Watch>) -> Vec<Sent> {
    let mut sending = JoinSet::new();
    for (n, webhook) in watch.plan.webhooks.iter().enumerate() {
        let due = Duration::from_secs_f64(u32::try_from(n).map_or(0.0, f64::from) / watch.plan.per_second);
        tokio::time::sleep_until(watch.began + due).await;
        let (watch, webhook) = (watch.clone(), webhook.clone());
        sending.spawn(async move { (n, send(&watch, webhook, due).await) });
    }
    let mut sent = sending.join_all().await;
    sent.sort_unstable_by_key(|(n, _)| *n);
    sent.into_iter().map(|(_, sent)| sent).collect()
}

async fn send(watch: &Watch, webhook: Webhook, due: Duration) -> Sent {
    let due_us = u64::try_from(due.as_micros()).unwrap_or(u64::MAX);
    let mut sent = Sent { reference: webhook.reference, due_us, answered_us: None, tries: 0 };
    while sent.answered_us.is_none() && sent.tries < TRIES_MAX {
        if sent.tries > 0 {
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        sent.tries += 1;
        let at = SystemClock.now().timestamp();
        let signature = sign(&watch.plan.webhook_secret, at, webhook.body.as_bytes());
        let request = watch
            .client
            .post(&watch.plan.webhook_url)
            .header("content-type", "application/json")
            .header("sandbox-signature", format!("t={at},v1={signature}"))
            .body(webhook.body.clone());
        match request.send().await {
            Ok(answer) if answer.status().is_success() => sent.answered_us = Some(watch.now_us()),
            Ok(answer) => watch.refused(format!("a webhook was answered {}", answer.status())),
            Err(error) => watch.refused(format!("a webhook was not answered: {error}")),
        }
    }
    sent
}

/// The provider's signature: HMAC-SHA256 over `<t>.<body>`, keyed with the whole secret text, in hexadecimal digits.
fn sign(secret: &str, at: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(format!("{at}.").as_bytes());
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

async fn watch_panel(watch: Arc<Watch>, code: String, mut mark: u64) {
    let (mut seen, mut trying) = (HashSet::new(), JoinSet::new());
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        tick.tick().await;
        match effects(&watch, &code, mark).await {
            Ok((names, newest)) => {
                mark = newest;
                for name in names {
                    if seen.insert(name.clone()) {
                        trying.spawn(try_line(watch.clone(), code.clone(), name));
                    }
                }
            }
            Err(error) => watch.refused(format!("panel {code}: {error:#}")),
        }
    }
}

/// Names of lines made after `mark`, and the newest mark.
async fn effects(watch: &Watch, code: &str, mark: u64) -> anyhow::Result<(Vec<String>, u64)> {
    let url = format!("{}/control/panels/{code}/effects?since={mark}", watch.plan.control_url);
    let rows: Value = watch.client.get(url).send().await?.error_for_status()?.json().await?;
    let rows = rows.as_array().context("effects are a list")?;
    let newest = rows.iter().filter_map(|row| row["seq"].as_u64()).max().unwrap_or(mark);
    let made = rows.iter().filter(|row| row["action"] == "create_line");
    let names = made.filter_map(|row| row["username"].as_str().map(str::to_owned)).collect();
    Ok((names, newest))
}

/// Asks the player API with the line's name and password until it lets the player in.
async fn try_line(watch: Arc<Watch>, code: String, username: String) {
    for _ in 0..TRIES_MAX {
        match is_let_in(&watch, &code, &username).await {
            Ok(true) => {
                let line = Line { username, accepted_us: watch.now_us() };
                watch.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                watch.accepted.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Ok(false) => {}
            Err(error) => watch.refused(format!("line {username}: {error:#}")),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    watch.refused(format!("the player was never let in with line {username}"));
}

async fn is_let_in(watch: &Watch, code: &str, username: &str) -> anyhow::Result<bool> {
    let url = format!("{}/control/panels/{code}/lines", watch.plan.control_url);
    let lines: Value = watch.client.get(url).query(&[("username", username)]).send().await?.json().await?;
    let password = lines[0]["password"].as_str().context("the line has no password")?.to_owned();
    let url = format!("{}/player_api.php", watch.plan.player_url);
    let answer = watch.client.get(url).query(&[("username", username), ("password", &password)]).send().await?;
    if !answer.status().is_success() {
        return Ok(false);
    }
    let said: Value = answer.json().await?;
    Ok(said["user_info"]["auth"] == 1 && said["user_info"]["status"] == "Active")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_signed_as_the_provider_signs() {
        // echo -n '1700000000.{}' | openssl dgst -sha256 -hmac whsec_test
        let expected = "35495024f4ef3f94e5a93e22221544c4b75e9a42300cd965ab81cb85cd994e91";
        assert_eq!(sign("whsec_test", 1_700_000_000, b"{}"), expected);
    }
}

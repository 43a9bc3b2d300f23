//! Webhooks: signed, retried with growing gaps for three days, in no promised order.

use std::{sync::Arc, time::Duration};

use hmac::{Hmac, Mac};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Payments, model::Event};
use crate::{clock, fault::Kind, store::Change};

/// How long a webhook is retried, in milliseconds.
const GIVE_UP_MS: i64 = 3 * 24 * 3600 * 1000;
/// Longest gap between two tries, in milliseconds.
const GAP_MAX_MS: u64 = 12 * 3600 * 1000;

/// How often a webhook that is held back is looked at.
const HELD_LOOK: Duration = Duration::from_secs(5);

/// A delivery on order.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fire {
    /// How many at once.
    pub times: Option<u32>,
    /// `wrong_secret`, `tampered`, `no_header` or `wrong_account`.
    pub forge: Option<String>,
    /// Seconds the signature lies in the past (negative: in the future).
    pub age_s: i64,
    /// Send elsewhere.
    pub url: Option<String>,
}

/// `v1` of one secret.
pub fn sign(secret: &str, at: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{at}.").as_bytes());
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

impl Payments {
    /// Starts a delivery for every event that waits for one.
    pub async fn deliver_all(self: Arc<Self>, stop: CancellationToken, tasks: TaskTracker) {
        loop {
            let waiting: Vec<u64> = {
                let mut state = self.state();
                let waiting: Vec<u64> = state
                    .events
                    .values()
                    .rev()
                    .filter(|event| event.delivery == "pending" && !state.delivering.contains_key(&event.seq))
                    .map(|event| event.seq)
                    .collect();
                for seq in &waiting {
                    state.delivering.insert(*seq, 0);
                }
                waiting
            };
            for seq in waiting.into_iter().rev() {
                let (this, stop) = (self.clone(), stop.clone());
                tasks.spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = this.deliver(seq) => {}
                    }
                });
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.bell.notified() => {}
            }
        }
    }

    async fn deliver(&self, seq: u64) {
        let started = clock::now().timestamp_millis();
        let mut gap_ms = self.spec.webhook_retry_ms.max(1);
        loop {
            // Waited for from before the look, so that nothing is missed in between.
            let opened = self.opened.notified();
            let event = {
                let state = self.state();
                let Some(event) = state.events.get(&seq).filter(|event| event.delivery == "pending") else { return };
                let account = state.accounts.get(&event.account);
                let is_open = !state.is_paused && account.is_some_and(|account| account.webhook_url.is_some());
                is_open.then(|| event.clone())
            };
            let Some(event) = event else {
                // Thousands may be held back, so none of them asks; withdrawn ones are found now and then.
                tokio::select! {
                    () = opened => {}
                    () = tokio::time::sleep(HELD_LOOK) => {}
                }
                continue;
            };
            let status = self.attempt(&event).await;
            self.delivered.notify_waiters();
            let is_done = status.is_some_and(|status| (200..300).contains(&status));
            let is_over = clock::now().timestamp_millis() - started > GIVE_UP_MS;
            {
                let mut state = self.state();
                if let Some(event) = state.events.get_mut(&seq) {
                    event.attempts += 1;
                    event.last_status = status;
                    if is_done {
                        event.delivery = "delivered".into();
                    } else if is_over {
                        event.delivery = "given_up".into();
                    }
                    let mut change = Change::default();
                    change.put(format!("pay/event/{seq:012}"), event);
                    self.context.store.commit(change);
                }
                if is_done || is_over {
                    state.delivering.remove(&seq);
                    return;
                }
                let next = clock::now().timestamp_millis() + i64::try_from(gap_ms).unwrap_or(i64::MAX);
                state.delivering.insert(seq, next);
            }
            tokio::time::sleep(Duration::from_millis(gap_ms)).await;
            gap_ms = (gap_ms * 3).min(GAP_MAX_MS);
        }
    }

    /// One try, with whatever fault is on order for it.
    async fn attempt(&self, event: &Event) -> Option<u16> {
        let faults = &self.context.faults;
        let rule = faults.take("payments", "webhook").or_else(|| faults.take("payments", &event.kind));
        let Some(rule) = rule else { return self.send(event, &Fire::default()).await };
        let wait = |default| tokio::time::sleep(Duration::from_millis(rule.delay_ms.unwrap_or(default)));
        match rule.kind {
            Kind::Late | Kind::Slow => {
                wait(30_000).await;
                self.send(event, &Fire::default()).await
            }
            Kind::Reorder => {
                let overtaken = self.delivered.notified();
                tokio::select! {
                    () = overtaken => {}
                    () = wait(2_000) => {}
                }
                self.send(event, &Fire::default()).await
            }
            Kind::Duplicate => {
                let fire = Fire::default();
                let (first, _) = tokio::join!(self.send(event, &fire), self.send(event, &fire));
                first
            }
            Kind::WrongSignature => {
                let fire = Fire { forge: Some("wrong_secret".into()), ..Fire::default() };
                self.send(event, &fire).await
            }
            Kind::DropAfterApply => {
                self.send(event, &Fire::default()).await;
                None
            }
            _ => None,
        }
    }

    /// Posts an event; the status, or nothing when there was no answer.
    async fn send(&self, event: &Event, fire: &Fire) -> Option<u16> {
        let account = self.state().accounts.get(&event.account).cloned()?;
        let address = fire.url.clone().or(account.webhook_url)?;
        let mut body = event.json();
        let forge = fire.forge.as_deref();
        if forge == Some("wrong_account") {
            body["account"] = json!("acct_somebody_else");
        }
        let mut body = serde_json::to_vec(&body).ok()?;
        let at = clock::now().timestamp() - fire.age_s;
        let secrets =
            if forge == Some("wrong_secret") { vec!["whsec_wrong".to_owned()] } else { account.webhook_secrets };
        let signatures: Vec<String> = secrets.iter().map(|secret| format!("v1={}", sign(secret, at, &body))).collect();
        if forge == Some("tampered") {
            body.push(b' ');
        }
        let mut request = self.client.post(address).header("content-type", "application/json");
        if forge != Some("no_header") {
            request = request.header("sandbox-signature", format!("t={at},{}", signatures.join(",")));
        }
        match request.body(body).send().await {
            Ok(response) => Some(response.status().as_u16()),
            Err(error) => {
                tracing::debug!(event.id = %event.id, %error, "webhook not delivered");
                None
            }
        }
    }

    /// Sends an event again, as often and as forged as asked; statuses in no order.
    pub async fn fire(&self, id: &str, fire: &Fire) -> Option<Value> {
        let event = self.state().events.values().find(|event| event.id == id).cloned()?;
        if fire.forge.is_some() {
            self.state().forged += 1;
        }
        let times = fire.times.unwrap_or(1).clamp(1, 1000);
        let statuses = futures::future::join_all((0..times).map(|_| self.send(&event, fire))).await;
        Some(json!({"event": id, "statuses": statuses}))
    }
}

#[cfg(test)]
mod tests {
    use super::sign;

    #[test]
    fn the_signature_covers_time_and_body() {
        // Computed with `printf '1700000000.{}' | openssl dgst -sha256 -hmac whsec_test`.
        let expected = "35495024f4ef3f94e5a93e22221544c4b75e9a42300cd965ab81cb85cd994e91";
        assert_eq!(sign("whsec_test", 1_700_000_000, b"{}"), expected);
    }
}

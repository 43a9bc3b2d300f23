//! The token every call carries: fetched with client id and secret, kept while it is good, fetched by one call at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as Held, PoisonError};
use std::time::Duration;

use ottery_kit::http::GuardedClient;
use ottery_kit::secret::Secret;
use reqwest::{Method, StatusCode, header};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::provider::{Access, CallError};

/// A token is given up this long before PayPal does.
const EARLY: Duration = Duration::from_secs(60);
/// How long one is used at most, whatever PayPal says of it.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);
/// Accounts whose tokens are kept; beyond, all are asked for again.
const HELD_MAX: usize = 1024;

/// What a key consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// Of the REST app.
    pub client_id: &'a str,
    /// Its secret.
    pub secret: &'a str,
}

/// Client id and secret as they are entered, with a colon between them.
pub fn credentials(key: &Secret) -> Option<Credentials<'_>> {
    let (client_id, secret) = key.expose().trim().split_once(':')?;
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    (is_word(client_id) && is_word(secret)).then_some(Credentials { client_id, secret })
}

#[derive(Clone)]
struct Good {
    token: Secret,
    until: Instant,
}

/// Held by whoever asks for a new one.
type Slot = Arc<Mutex<Option<Good>>>;

/// The tokens of all accounts, by address and key.
#[derive(Clone, Default)]
pub struct Tokens(Arc<Held<HashMap<[u8; 32], Slot>>>);

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(…)")
    }
}

#[derive(Deserialize)]
struct Answer {
    access_token: Secret,
    expires_in: u64,
}

impl Tokens {
    fn slot(&self, access: &Access) -> Slot {
        let text = format!("{}\n{}", access.base_url, access.api_key.expose());
        let key: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Keys that were replaced stay until then; nobody asks for them.
        if held.len() >= HELD_MAX && !held.contains_key(&key) {
            held.clear();
        }
        held.entry(key).or_default().clone()
    }

    /// A token that is good for a while; fetched when there is none. Whoever waits for another's gets the same.
    pub async fn get(&self, client: &GuardedClient, access: &Access) -> Result<Secret, CallError> {
        let slot = self.slot(access);
        let mut held = slot.lock().await;
        if let Some(good) = held.as_ref().filter(|good| good.until > Instant::now()) {
            return Ok(good.token.clone());
        }
        let fresh = fetch(client, access).await?;
        let token = fresh.token.clone();
        *held = Some(fresh);
        Ok(token)
    }

    /// A token that was fetched just now, whatever is kept.
    pub async fn renew(&self, client: &GuardedClient, access: &Access) -> Result<(), CallError> {
        let slot = self.slot(access);
        let mut held = slot.lock().await;
        *held = Some(fetch(client, access).await?);
        Ok(())
    }

    /// PayPal does not take this one any more.
    pub async fn forget(&self, access: &Access, token: &Secret) {
        let slot = self.slot(access);
        let mut held = slot.lock().await;
        held.take_if(|good| good.token == *token);
    }
}

/// Nothing is moved by it, so whatever goes wrong is a call that was not made.
async fn fetch(client: &GuardedClient, access: &Access) -> Result<Good, CallError> {
    let not_sent = |why: String| CallError::NotSent(why);
    let known =
        credentials(&access.api_key).ok_or_else(|| not_sent("the key is no client id and secret".to_owned()))?;
    let url = format!("{}/v1/oauth2/token", access.base_url.trim_end_matches('/'));
    let asked = Instant::now();
    let request = client
        .request(Method::POST, &url)
        .map_err(|error| not_sent(error.to_string()))?
        .basic_auth(known.client_id, Some(known.secret))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body("grant_type=client_credentials");
    let response = client.send(request).await.map_err(|error| not_sent(error.to_string()))?;
    let status = response.status();
    if status == StatusCode::UNAUTHORIZED {
        return Err(not_sent("PayPal does not know this client id and secret at this address".to_owned()));
    }
    if !status.is_success() {
        return Err(not_sent(format!("no token: status {}", status.as_u16())));
    }
    let body = response.bytes().await.map_err(|error| not_sent(error.to_string()))?;
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| not_sent("no token in the answer".to_owned()))?;
    Ok(Good { token: answer.access_token, until: asked + good_for(answer.expires_in) })
}

/// How long a token is used that PayPal says is good for that many seconds.
fn good_for(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(LONG).saturating_sub(EARLY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_given_up_early_and_never_used_for_more_than_a_day() {
        assert_eq!(good_for(32_400), Duration::from_secs(32_340));
        assert_eq!(good_for(30), Duration::ZERO);
        assert_eq!(good_for(u64::MAX), LONG.saturating_sub(EARLY));
    }

    #[test]
    fn the_tokens_of_many_accounts_are_not_kept_for_ever() {
        let tokens = Tokens::default();
        let access = |key: usize| Access {
            base_url: "https://api-m.paypal.com".into(),
            api_key: Secret::from(format!("id:{key}")),
            trace: crate::provider::Trace::default(),
        };
        let first = tokens.slot(&access(0));
        assert!(Arc::ptr_eq(&first, &tokens.slot(&access(0))));
        (1..HELD_MAX).for_each(|key| drop(tokens.slot(&access(key))));
        assert!(Arc::ptr_eq(&first, &tokens.slot(&access(0))), "as many as are kept");
        tokens.slot(&access(HELD_MAX));
        assert!(!Arc::ptr_eq(&first, &tokens.slot(&access(0))));
    }

    #[test]
    fn a_key_is_client_id_and_secret() {
        let key = Secret::new(" AbC-1_2:EfG ");
        assert_eq!(credentials(&key), Some(Credentials { client_id: "AbC-1_2", secret: "EfG" }));
        for wrong in ["", "AbC", ":EfG", "AbC:", "a b:c", "a:b:c", "sk_live_1"] {
            assert_eq!(credentials(&Secret::new(wrong)), None, "{wrong}");
        }
    }
}

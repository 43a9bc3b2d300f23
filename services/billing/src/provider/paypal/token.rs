//! Access tokens: had for the client's id and secret, good for hours, kept in memory until a minute before they end.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ottery_kit::http::GuardedClient;
use ottery_kit::secret::Secret;
use reqwest::Method;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex as Turn;

use super::call::{lost, meaning, parse};
use crate::provider::{Access, CallError};

/// How long before its end a token is not used any more.
const EARLY: Duration = Duration::from_secs(60);
/// How long one is used at most, whatever PayPal says of it.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);
/// Accounts whose tokens are kept; more are asked for again.
const KEPT_MAX: usize = 1024;

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

#[derive(Clone)]
struct Token {
    text: String,
    until: Instant,
}

/// Where the token of one account is; held by whoever asks for one.
type Place = Arc<Turn<Option<Token>>>;

/// Tokens by account. Clones share them.
#[derive(Clone, Default)]
pub struct Tokens {
    kept: Arc<Mutex<HashMap<[u8; 32], Place>>>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

/// Client id and secret of a key as operators enter it: `id:secret`.
pub fn halves(key: &Secret) -> Option<(&str, &str)> {
    let (id, secret) = key.expose().split_once(':')?;
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    (is_word(id) && is_word(secret)).then_some((id, secret))
}

impl Tokens {
    fn place(&self, access: &Access) -> Place {
        let mut hash = Sha256::new();
        hash.update(access.base_url.as_bytes());
        hash.update([0_u8]);
        hash.update(access.api_key.expose().as_bytes());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.entry(hash.finalize().into()).or_default().clone()
    }

    /// A token that is good now. `stale` is one PayPal has just refused. Who comes while one is asked for waits for it.
    pub async fn get(&self, client: &GuardedClient, access: &Access, stale: Option<&str>) -> Result<String, CallError> {
        let place = self.place(access);
        let mut kept = place.lock().await;
        let good = kept.as_ref().filter(|token| token.until > Instant::now() && Some(token.text.as_str()) != stale);
        if let Some(token) = good {
            return Ok(token.text.clone());
        }
        *kept = None;
        let (text, lifetime) = ask(client, access).await?;
        *kept = Some(Token { text: text.clone(), until: Instant::now() + lifetime.min(LONG).saturating_sub(EARLY) });
        Ok(text)
    }
}

/// No money moves by it, so whatever goes wrong, nothing was done.
async fn ask(client: &GuardedClient, access: &Access) -> Result<(String, Duration), CallError> {
    let not_sent = CallError::NotSent;
    let (id, secret) = halves(&access.api_key).ok_or_else(|| not_sent("the key is no `id:secret`".to_owned()))?;
    let url = format!("{}/v1/oauth2/token", access.base_url.trim_end_matches('/'));
    let request = client.request(Method::POST, &url).map_err(|error| not_sent(error.to_string()))?;
    let request = request.basic_auth(id, Some(secret)).form(&[("grant_type", "client_credentials")]);
    let heard = async {
        let response = client.send(request).await.map_err(|error| lost(&error))?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| lost(&error))?.to_vec();
        parse::<Granted>(&meaning(status, &body)?)
    };
    match heard.await {
        Ok(granted) => Ok((granted.access_token, Duration::from_secs(granted.expires_in))),
        Err(error) => Err(not_sent(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_an_id_and_a_secret() {
        let halves = |text: &str| halves(&Secret::new(text)).map(|(id, secret)| (id.to_owned(), secret.to_owned()));
        assert_eq!(halves("AZ-1:EM_2"), Some(("AZ-1".into(), "EM_2".into())));
        for text in ["", "AZ", ":", "AZ:", ":EM", "A Z:EM", "AZ:E\nM"] {
            assert_eq!(halves(text), None, "{text}");
        }
    }
}

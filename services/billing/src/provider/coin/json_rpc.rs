//! A chain as a node of Ethereum tells of it: JSON-RPC over HTTP (ethereum/execution-apis).
//!
//! Six methods are used: `eth_chainId`, `eth_getBlockByNumber`, `eth_getBalance`, `eth_getTransactionCount`, `eth_getCode` and
//! `eth_sendRawTransaction`. Numbers are hexadecimal without leading noughts, amounts are in wei.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use ottery_kit::http::{GuardedClient, HttpError};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::chain::{ChainError, ChainSource, Tip};
use crate::domain::coin::{Observed, Place, Transfer};
use crate::domain::ethereum::balance::{self, Held, Stretch};

/// Digits of a hash.
const HASH_DIGITS: usize = 64;
/// Blocks back that the one is looked for in which a balance rose: nodes keep the state of the newest 128.
const LOOK_BACK: u64 = 120;
/// How long transactions may join a block after the instant it is dated by: the length of a slot.
const SLOT: TimeDelta = TimeDelta::seconds(12);
/// What `eth_getCode` says of an address that is no contract.
const NO_CODE: &str = "0x";

/// A node at some address.
#[derive(Clone, Debug)]
pub struct JsonRpc {
    client: GuardedClient,
    base_url: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Value,
    #[serde(default)]
    error: Option<Value>,
}

/// A block, as far as it matters.
#[derive(Clone, Debug)]
struct Block {
    height: u64,
    hash: String,
    made_at: Option<DateTime<Utc>>,
}

impl JsonRpc {
    /// The one at `base_url`.
    #[must_use]
    pub fn new(client: GuardedClient, base_url: &str) -> Self {
        Self { client, base_url: base_url.to_owned() }
    }

    /// Which chain it is of (EIP-155).
    ///
    /// # Errors
    /// When nothing of use was answered.
    pub async fn chain_id(&self) -> Result<u64, ChainError> {
        u64::try_from(quantity(&self.call("eth_chainId", json!([])).await?)?)
            .map_err(|_| ChainError::Unreadable("a chain id"))
    }

    async fn ask(&self, method: &str, params: Value) -> Result<Answer, ChainError> {
        // What went wrong is told without the answer: it may have an address in it.
        let away = |error: &HttpError| ChainError::Away(error.to_string());
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let refused = |refused: ottery_kit::http::Refused| ChainError::Away(refused.to_string());
        let request = self.client.request(Method::POST, &self.base_url).map_err(refused)?;
        let request = request.header("content-type", "application/json").body(body.to_string());
        let response = self.client.send(request).await.map_err(|error| away(&error))?;
        if response.status() != StatusCode::OK {
            return Err(ChainError::Status(response.status().as_u16()));
        }
        let text = response.text().await.map_err(|error| away(&error))?;
        serde_json::from_str(&text).map_err(|_| ChainError::Unreadable("an answer"))
    }

    async fn call(&self, method: &str, params: Value) -> Result<Value, ChainError> {
        let answer = self.ask(method, params).await?;
        match answer.error {
            None => Ok(answer.result),
            Some(_) => Err(ChainError::Unreadable("an error in place of a result")),
        }
    }

    async fn block(&self, which: Value) -> Result<Option<Block>, ChainError> {
        let block = self.call("eth_getBlockByNumber", json!([which, false])).await?;
        if block.is_null() {
            return Ok(None);
        }
        let number = |name: &str| quantity(block.get(name).unwrap_or(&Value::Null)).map(u64::try_from);
        let height = number("number")?.map_err(|_| ChainError::Unreadable("a height"))?;
        let seconds = number("timestamp")?.ok().and_then(|seconds| i64::try_from(seconds).ok());
        let made_at = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        Ok(Some(Block { height, hash: hash(block.get("hash").unwrap_or(&Value::Null))?, made_at }))
    }

    async fn balance(&self, address: &str, height: u64) -> Result<u128, ChainError> {
        quantity(&self.call("eth_getBalance", json!([address, written(height)])).await?)
    }

    /// The first of the newest blocks at which that much was there; the tip when the node does not tell of those before.
    async fn first_with(&self, address: &str, wei: u128, known: &[Transfer], tip: u64) -> Result<u64, ChainError> {
        let since = known.iter().filter_map(|one| match one.place {
            Place::Mined { height, .. } => Some(height),
            Place::Mempool | Place::Gone => None,
        });
        let oldest = tip.saturating_sub(LOOK_BACK).max(since.max().unwrap_or(0)).min(tip);
        let (mut low, mut high) = (oldest, tip);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.balance(address, middle).await {
                Ok(held) if held >= wei => high = middle,
                Ok(_) => low = middle + 1,
                // State of then is not kept: as far as is known.
                Err(ChainError::Unreadable(_)) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(high)
    }

    async fn placed(
        &self,
        address: &str,
        stretch: Stretch,
        known: &[Transfer],
        tip: u64,
    ) -> Result<Observed, ChainError> {
        let height = self.first_with(address, stretch.to, known, tip).await?;
        let block = self.block(json!(written(height))).await?.ok_or(ChainError::Moving)?;
        let place = Place::Mined { height: block.height, block: block.hash };
        Ok(Observed { mined_at: block.made_at.map(|began| began + SLOT), ..stretch.observed(address, place) })
    }
}

#[async_trait]
impl ChainSource for JsonRpc {
    async fn tip(&self) -> Result<Tip, ChainError> {
        let block = self.block(json!("latest")).await?.ok_or(ChainError::Unreadable("no newest block"))?;
        Ok(Tip { height: block.height, hash: block.hash })
    }

    async fn block_at(&self, height: u64) -> Result<Option<String>, ChainError> {
        Ok(self.block(json!(written(height))).await?.map(|block| block.hash))
    }

    async fn transfers_to(&self, address: &str, known: &[Transfer], tip: &Tip) -> Result<Vec<Observed>, ChainError> {
        let wei = self.balance(address, tip.height).await?;
        let at = json!([address, written(tip.height)]);
        let sent = quantity(&self.call("eth_getTransactionCount", at.clone()).await?)?;
        // Code at an address can send without being counted.
        let has_code = self.call("eth_getCode", at).await? != NO_CODE;
        let mut standing = Vec::new();
        for one in known {
            let Place::Mined { height, block } = &one.place else { continue };
            if *height <= tip.height && self.block_at(*height).await?.as_ref() == Some(block) {
                standing.push(one.reference.clone());
            }
        }
        let held = Held { wei, has_spent: sent > 0 || has_code };
        let told = balance::told(known, held, |one| standing.contains(&one.reference))?;
        let still: Vec<Transfer> = known.iter().filter(|one| standing.contains(&one.reference)).cloned().collect();
        let mut found = told.kept;
        for stretch in told.unplaced {
            found.push(self.placed(address, stretch, &still, tip.height).await?);
        }
        Ok(found)
    }

    async fn broadcast(&self, transaction: &str) -> Result<String, ChainError> {
        let answer = self.ask("eth_sendRawTransaction", json!([transaction])).await?;
        if answer.error.is_some() { Err(ChainError::Refused) } else { hash(&answer.result) }
    }
}

fn written(height: u64) -> String {
    format!("{height:#x}")
}

/// A number as JSON-RPC writes it. Of 256 bits there are half: all ether there is has 87, so what does not fit is no amount.
fn quantity(value: &Value) -> Result<u128, ChainError> {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x")).ok_or(ChainError::Unreadable("a number"))?;
    if digits.starts_with('+') {
        return Err(ChainError::Unreadable("a number"));
    }
    u128::from_str_radix(digits, 16).map_err(|error| match error.kind() {
        std::num::IntErrorKind::PosOverflow => ChainError::Unreadable("a number that is more than all ether there is"),
        _ => ChainError::Unreadable("a number"),
    })
}

fn hash(value: &Value) -> Result<String, ChainError> {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x")).ok_or(ChainError::Unreadable("a hash"))?;
    let is_hash = digits.len() == HASH_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { Ok(format!("0x{}", digits.to_ascii_lowercase())) } else { Err(ChainError::Unreadable("a hash")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_up_to_128_bits_and_more_is_said() {
        assert_eq!(quantity(&json!("0x0")), Ok(0));
        assert_eq!(quantity(&json!("0xde0b6b3a7640000")), Ok(1_000_000_000_000_000_000));
        assert_eq!(quantity(&json!(format!("0x{}", "f".repeat(32)))), Ok(u128::MAX));
        let above = quantity(&json!(format!("0x1{}", "0".repeat(32))));
        assert_eq!(above, Err(ChainError::Unreadable("a number that is more than all ether there is")));
        for wrong in [json!(null), json!(12), json!("12"), json!("0x"), json!("0xg"), json!("0x+1"), json!("0x-1")] {
            assert_eq!(quantity(&wrong), Err(ChainError::Unreadable("a number")), "{wrong}");
        }
    }

    #[test]
    fn hashes_have_64_digits() {
        let written = format!("0x{}", "Ab".repeat(32));
        assert_eq!(hash(&json!(written)), Ok(written.to_lowercase()));
        assert_eq!(hash(&json!("0xab")), Err(ChainError::Unreadable("a hash")));
        assert_eq!(hash(&json!(null)), Err(ChainError::Unreadable("a hash")));
    }
}

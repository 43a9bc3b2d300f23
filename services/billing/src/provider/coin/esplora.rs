//! A chain as Esplora tells of it: the HTTP API of Blockstream's explorer, which mempool.space and electrs speak, too.
//!
//! Six of its calls are used: `/blocks/tip/height`, `/blocks/tip/hash`, `/block-height/{h}`, `/address/{a}/txs`,
//! `/address/{a}/txs/chain/{last}` and `POST /tx`. Amounts are in satoshi. (Blockstream/esplora, `API.md`.)

use async_trait::async_trait;
use chrono::DateTime;
use ottery_kit::http::{GuardedClient, HttpError};
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::chain::{ChainError, ChainSource, Tip};
use crate::domain::coin::{Coin, CoinAmount, Observed, Place, Transfer};

/// Transactions in blocks that one answer has; fewer mean that there are no more.
const PAGE: usize = 25;
/// Answers that are read of one address. More than that is no address of one invoice.
const PAGES_MAX: usize = 20;
/// Digits of a hash.
const HASH_DIGITS: usize = 64;

/// An Esplora at some address.
#[derive(Clone, Debug)]
pub struct Esplora {
    client: GuardedClient,
    base_url: String,
}

#[derive(Deserialize)]
struct Transaction {
    txid: String,
    vout: Vec<Output>,
    status: Status,
}

#[derive(Deserialize)]
struct Output {
    #[serde(default)]
    scriptpubkey_address: Option<String>,
    value: u64,
}

#[derive(Deserialize)]
struct Status {
    confirmed: bool,
    #[serde(default)]
    block_height: Option<u64>,
    #[serde(default)]
    block_hash: Option<String>,
    #[serde(default)]
    block_time: Option<i64>,
}

impl Esplora {
    /// The one at `base_url`.
    #[must_use]
    pub fn new(client: GuardedClient, base_url: &str) -> Self {
        Self { client, base_url: base_url.trim_end_matches('/').to_owned() }
    }

    async fn call(&self, method: Method, path: &str, body: Option<String>) -> Result<(StatusCode, String), ChainError> {
        // What went wrong is told without the path: it has the address in it.
        let away = |error: &HttpError| ChainError::Away(error.to_string());
        let url = format!("{}{path}", self.base_url);
        let mut request = self.client.request(method, &url).map_err(|refused| ChainError::Away(refused.to_string()))?;
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = self.client.send(request).await.map_err(|error| away(&error))?;
        let status = response.status();
        let text = response.text().await.map_err(|error| away(&error))?;
        Ok((status, text))
    }

    async fn get(&self, path: &str) -> Result<String, ChainError> {
        match self.call(Method::GET, path, None).await? {
            (StatusCode::OK, text) => Ok(text),
            (status, _) => Err(ChainError::Status(status.as_u16())),
        }
    }

    async fn page(&self, path: &str) -> Result<Vec<Transaction>, ChainError> {
        serde_json::from_str(&self.get(path).await?).map_err(|_| ChainError::Unreadable("transactions"))
    }
}

fn hash(text: &str) -> Result<String, ChainError> {
    let text = text.trim();
    let is_hash = text.len() == HASH_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { Ok(text.to_ascii_lowercase()) } else { Err(ChainError::Unreadable("a hash")) }
}

fn observed(transaction: Transaction, address: &str) -> Result<Vec<Observed>, ChainError> {
    let id = hash(&transaction.txid)?;
    let place = match (transaction.status.confirmed, transaction.status.block_height, &transaction.status.block_hash) {
        (false, _, _) => Place::Mempool,
        (true, Some(height), Some(block)) => Place::Mined { height, block: hash(block)? },
        (true, _, _) => return Err(ChainError::Unreadable("the block of a transaction")),
    };
    let mined_at = transaction.status.block_time.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let ours = |(_, output): &(usize, Output)| output.scriptpubkey_address.as_deref() == Some(address);
    let paid = transaction.vout.into_iter().enumerate().filter(ours).map(|(at, output)| Observed {
        reference: format!("{id}:{at}"),
        amount: CoinAmount::new(output.value.into(), Coin::Bitcoin),
        place: place.clone(),
        mined_at: mined_at.filter(|_| place != Place::Mempool),
    });
    Ok(paid.collect())
}

#[async_trait]
impl ChainSource for Esplora {
    async fn tip(&self) -> Result<Tip, ChainError> {
        let height = self.get("/blocks/tip/height").await?;
        let height = height.trim().parse().map_err(|_| ChainError::Unreadable("a height"))?;
        Ok(Tip { height, hash: hash(&self.get("/blocks/tip/hash").await?)? })
    }

    async fn block_at(&self, height: u64) -> Result<Option<String>, ChainError> {
        match self.call(Method::GET, &format!("/block-height/{height}"), None).await? {
            (StatusCode::OK, text) => hash(&text).map(Some),
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, _) => Err(ChainError::Status(status.as_u16())),
        }
    }

    async fn transfers_to(&self, address: &str, _: &[Transfer], _: &Tip) -> Result<Vec<Observed>, ChainError> {
        // The first answer has what waits for a block, too.
        let mut page = self.page(&format!("/address/{address}/txs")).await?;
        let mut found: Vec<Observed> = Vec::new();
        for _ in 0..PAGES_MAX {
            let mined = page.iter().filter(|transaction| transaction.status.confirmed);
            let last = mined.clone().next_back().map(|transaction| transaction.txid.clone());
            let is_last = mined.count() < PAGE;
            for transaction in page {
                for one in observed(transaction, address)? {
                    if !found.iter().any(|known| known.reference == one.reference) {
                        found.push(one);
                    }
                }
            }
            match last {
                Some(last) if !is_last => {
                    page = self.page(&format!("/address/{address}/txs/chain/{}", hash(&last)?)).await?
                }
                Some(_) | None => return Ok(found),
            }
        }
        Err(ChainError::Unreadable("far more transactions than one address of an invoice has"))
    }

    async fn broadcast(&self, transaction: &str) -> Result<String, ChainError> {
        match self.call(Method::POST, "/tx", Some(transaction.to_owned())).await? {
            (StatusCode::OK, text) => hash(&text),
            (StatusCode::BAD_REQUEST, _) => Err(ChainError::Refused),
            (status, _) => Err(ChainError::Status(status.as_u16())),
        }
    }
}

#[cfg(test)]
mod tests;

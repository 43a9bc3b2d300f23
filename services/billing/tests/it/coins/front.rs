//! A chain, and two exchanges, as their public interfaces tell of them. The test decides what happens there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse as _;
use serde_json::{Value, json};

/// The first block of regtest.
const GENESIS: &str = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206";

#[derive(Clone, Debug)]
struct Sent {
    txid: String,
    address: String,
    value: u64,
    /// Height and hash of the block it is in.
    block: Option<(u64, String)>,
}

#[derive(Debug)]
pub struct Chain {
    height: u64,
    /// Blocks are named by height and branch.
    branch: u64,
    sent: Vec<Sent>,
    /// What the exchanges say.
    pub prices: BTreeMap<&'static str, String>,
    /// Nobody answers questions about the chain.
    pub is_away: bool,
    pub genesis: String,
    /// Every path that was asked for.
    pub asked: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Front {
    pub address: std::net::SocketAddr,
    chain: Arc<Mutex<Chain>>,
}

fn hash(text: &str) -> String {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex:0>64}")
}

impl Chain {
    fn block(&self, height: u64) -> String {
        if height == 0 { self.genesis.clone() } else { hash(&format!("{}-{height}", self.branch)) }
    }

    fn answer(&mut self, path: &str) -> (StatusCode, String) {
        self.asked.push(path.to_owned());
        let ok = |body: String| (StatusCode::OK, body);
        let price = |name: &str| self.prices.get(name).cloned();
        if path.starts_with("/0/public/Ticker") {
            return price("kraken").map_or((StatusCode::BAD_GATEWAY, String::new()), |price| {
                ok(json!({"error": [], "result": {"XXBTZEUR": {"c": [price, "1"]}}}).to_string())
            });
        }
        if path.starts_with("/v2/prices/") {
            return price("coinbase").map_or((StatusCode::BAD_GATEWAY, String::new()), |price| {
                ok(json!({"data": {"amount": price, "base": "BTC", "currency": "EUR"}}).to_string())
            });
        }
        if self.is_away {
            return (StatusCode::SERVICE_UNAVAILABLE, "busy".to_owned());
        }
        match path {
            "/blocks/tip/height" => ok(self.height.to_string()),
            "/blocks/tip/hash" => ok(self.block(self.height)),
            "/block-height/0" => ok(self.block(0)),
            _ => match path.strip_prefix("/address/").and_then(|rest| rest.strip_suffix("/txs")) {
                Some(address) => ok(json!(self.transactions(address)).to_string()),
                None => (StatusCode::NOT_FOUND, String::new()),
            },
        }
    }

    fn transactions(&self, address: &str) -> Vec<Value> {
        let told = self.sent.iter().filter(|sent| sent.address == address).map(|sent| {
            let status = match &sent.block {
                None => json!({"confirmed": false}),
                Some((height, block)) => json!({"confirmed": true, "block_height": height, "block_hash": block}),
            };
            let change = json!({"scriptpubkey_address": "bcrt1qchange", "value": 5});
            let ours = json!({"scriptpubkey_address": sent.address, "value": sent.value});
            json!({"txid": sent.txid, "vout": [change, ours], "status": status})
        });
        told.collect()
    }
}

impl Front {
    pub async fn start() -> Self {
        let chain = Chain {
            height: 200,
            branch: 0,
            sent: Vec::new(),
            prices: BTreeMap::from([("kraken", "50000.00000".to_owned()), ("coinbase", "50000".to_owned())]),
            is_away: false,
            genesis: GENESIS.to_owned(),
            asked: Vec::new(),
        };
        let chain = Arc::new(Mutex::new(chain));
        let answer = |State(chain): State<Arc<Mutex<Chain>>>, uri: Uri| async move {
            let path = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
            chain.lock().unwrap().answer(&path).into_response()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it has one");
        let router = Router::new().fallback(answer).with_state(chain.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, chain }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn held<T>(&self, change: impl FnOnce(&mut Chain) -> T) -> T {
        change(&mut self.chain.lock().unwrap())
    }

    pub fn price(&self, price: &str) {
        self.held(|chain| {
            chain.prices = BTreeMap::from([("kraken", price.to_owned()), ("coinbase", price.to_owned())])
        });
    }

    /// Somebody sends coins; they are in no block yet. The chain's name of the transfer.
    pub fn send(&self, name: &str, address: &str, value: u64) -> String {
        let txid = hash(name);
        self.held(|chain| {
            chain.sent.push(Sent { txid: txid.clone(), address: address.to_owned(), value, block: None });
        });
        format!("{txid}:1")
    }

    /// As many blocks; the first holds whatever waited.
    pub fn mine(&self, count: u64) {
        self.held(|chain| {
            for _ in 0..count {
                chain.height += 1;
                let block = (chain.height, chain.block(chain.height));
                for sent in chain.sent.iter_mut().filter(|sent| sent.block.is_none()) {
                    sent.block = Some(block.clone());
                }
            }
        });
    }

    /// A transfer is replaced by one that pays somebody else.
    pub fn replace(&self, name: &str) {
        self.held(|chain| chain.sent.retain(|sent| sent.txid != hash(name)));
    }

    /// The last blocks are undone by a longer branch; what was in them waits again, or is gone.
    pub fn undo(&self, depth: u64, comes_again: bool) {
        self.held(|chain| {
            let from = chain.height - depth;
            chain.branch += 1;
            chain.height += 1;
            let is_undone = |sent: &Sent| sent.block.as_ref().is_some_and(|(height, _)| *height > from);
            if comes_again {
                for sent in chain.sent.iter_mut().filter(|sent| is_undone(sent)) {
                    sent.block = None;
                }
            } else {
                chain.sent.retain(|sent| !is_undone(sent));
            }
        });
    }
}

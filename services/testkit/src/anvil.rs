//! A node of Ethereum for development, which is not ours: anvil. `make setup` installs it; see `scripts/ethereum`.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// An account that every such node gives ten thousand ether.
const RICH: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

/// The node. It ends with this value.
pub struct Anvil {
    /// Where its JSON-RPC is.
    pub url: String,
    http: reqwest::Client,
    _child: Child,
}

impl Anvil {
    /// One of its own chain, where blocks are made when the test says so. None where it is not installed, which is said loudly.
    ///
    /// # Panics
    /// When it is installed and does not start.
    pub async fn start() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout is there");
        let binary = root.join(".tools/ethereum/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");
        if !binary.exists() {
            eprintln!("SKIPPED: {} is missing: `make setup` installs a node of Ethereum", binary.display());
            return None;
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        let mut command = Command::new(binary);
        command.args([
            "--host",
            "127.0.0.1",
            "--port",
            &address.port().to_string(),
            "--chain-id",
            "31337",
            "--no-mining",
        ]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.kill_on_drop(true).spawn().expect("anvil starts");
        rustls::crypto::ring::default_provider().install_default().ok();
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        for _ in 0..1200 {
            if TcpStream::connect(address).await.is_ok() {
                let anvil = Self { url: format!("http://{address}"), http, _child: child };
                anvil.mine(3).await;
                return Some(anvil);
            }
            let ended = child.try_wait().expect("its state is known");
            assert!(ended.is_none(), "the node ended with {ended:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the node does not answer on {address}");
    }

    /// What it answers.
    ///
    /// # Panics
    /// When that is an error.
    pub async fn call(&self, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let request = self.http.post(&self.url).header("content-type", "application/json").body(body);
        let answer = request.send().await.expect("an answer").text().await.expect("text");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// So many blocks; the first holds whatever waited.
    pub async fn mine(&self, count: u32) {
        self.call("anvil_mine", json!([format!("{count:#x}")])).await;
    }

    /// Somebody sends ether.
    pub async fn send(&self, address: &str, wei: u128) {
        let sent = json!({"from": RICH, "to": address, "value": format!("{wei:#x}")});
        self.call("eth_sendTransaction", json!([sent])).await;
    }

    /// A contract sends ether, as exchanges pay out: its transaction names somebody else. Here it is one that is made and sends all it gets
    /// within one transaction: `CALL(gas, address, callvalue, 0, 0, 0, 0)`.
    pub async fn send_from_contract(&self, address: &str, wei: u128) {
        let code = format!("0x60006000600060003473{}5af100", address.trim_start_matches("0x"));
        let sent = json!({"from": RICH, "data": code, "value": format!("{wei:#x}"), "gas": "0x30000"});
        self.call("eth_sendTransaction", json!([sent])).await;
    }

    /// The operator collects what is at an address.
    pub async fn collect(&self, address: &str, wei: u128) {
        self.call("anvil_impersonateAccount", json!([address])).await;
        let sent = json!({"from": address, "to": RICH, "value": format!("{wei:#x}")});
        self.call("eth_sendTransaction", json!([sent])).await;
    }

    /// The last blocks are undone by as many others in which nothing of it is.
    pub async fn undo(&self, depth: u32) {
        self.call("anvil_reorg", json!([depth, []])).await;
    }
}

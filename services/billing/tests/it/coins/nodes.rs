//! Real blocks, and a real fork: two nodes of bcoin in regtest, behind the part of Esplora's interface that is used. `make setup`
//! installs them; see `scripts/bitcoin`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use billing::domain::coin::{Place, Standing};
use billing::domain::payment::State;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use super::till::{Till, till};
use crate::world::eur;

struct Nodes {
    address: SocketAddr,
    http: reqwest::Client,
    // They end with the value.
    _child: Child,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout is there")
}

/// None where they are not installed, which is said loudly.
async fn nodes() -> Option<Nodes> {
    let folder = root().join(".tools/bitcoin");
    if !folder.join("node_modules/bcoin/package.json").exists() {
        eprintln!("SKIPPED: {} is missing: `make setup` installs the nodes of a Bitcoin chain", folder.display());
        return None;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let mut command = Command::new("node");
    command.arg(root().join("scripts/bitcoin/serve_bcoin.js")).arg(folder).arg(address.port().to_string());
    // Its native parts are not built.
    command.env("NODE_BACKEND", "js").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.kill_on_drop(true).spawn().expect("node starts");
    rustls::crypto::ring::default_provider().install_default().ok();
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    for _ in 0..1200 {
        if TcpStream::connect(address).await.is_ok() {
            return Some(Nodes { address, http, _child: child });
        }
        let ended = child.try_wait().expect("its state is known");
        assert!(ended.is_none(), "the nodes ended with {ended:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the nodes do not answer on {address}");
}

impl Nodes {
    async fn post(&self, path: &str) -> String {
        let answer = self.http.post(format!("http://{}{path}", self.address)).send().await.expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("text");
        assert!(status.is_success(), "{path}: {text}");
        text
    }

    async fn pay(&self, address: &str, value: u64) -> String {
        self.post(&format!("/test/pay?address={address}&value={value}")).await
    }

    async fn mine(&self, count: u32) {
        self.post(&format!("/test/mine?count={count}")).await;
    }

    /// The second node's longer branch undoes so many blocks.
    async fn fork(&self, depth: u32, keep: bool) {
        self.post(&format!("/test/fork?depth={depth}&keep={}", u8::from(keep))).await;
    }
}

/// A till whose account looks at the nodes; prices come from the front.
async fn at(nodes: &Nodes) -> Till {
    let till = till().await;
    let owner = ottery_testkit::actor::owner(till.world.brand);
    let account = till.world.billing.provider_accounts(till.world.brand).await.expect("a list").remove(0);
    let mut put = till.asked("");
    put.id = Some(account.id);
    put.base_url = format!("http://{}", nodes.address);
    put.expected_version = account.version.cast_unsigned();
    till.world.billing.put_provider_account(&owner, till.world.brand, put).await.expect("kept");
    till
}

#[tokio::test]
async fn a_payment_on_a_real_chain_survives_a_real_fork() {
    let Some(nodes) = nodes().await else { return };
    let till = at(&nodes).await;
    let (payment, deposit) = till.order().await;
    let sent = nodes.pay(&deposit.address, 20_000).await;
    till.look().await;
    let seen = Standing::Seen { confirmations: 0, needed: 1, is_late: false };
    assert_eq!(till.page(&deposit.token).await.standing, seen);
    nodes.mine(1).await;
    till.look().await;
    let paid = till.payment(payment.id).await;
    assert_eq!((paid.state, paid.received), (State::Succeeded, Some(eur(1_000))));
    assert!(paid.provider_ref.starts_with(&sent), "{}", paid.provider_ref);

    nodes.fork(1, true).await;
    till.look().await;
    assert_eq!(till.tasks().await, ["deposit_undone"]);
    assert_eq!(till.deposit(payment.id).await.deposit.transfers[0].place, Place::Mempool);
    nodes.mine(1).await;
    till.look().await;
    assert_eq!(till.tasks().await, [""; 0]);
    assert_eq!((till.booked("payment.settled").await, till.booked("deposit.apart").await), (1, 0));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn coins_that_are_spent_twice_pay_nothing() {
    let Some(nodes) = nodes().await else { return };
    let till = at(&nodes).await;
    let (payment, deposit) = till.order().await;
    // Enough that one block is not enough, and the block is undone by a branch in which the coins went elsewhere.
    nodes.pay(&deposit.address, 60_000).await;
    nodes.mine(1).await;
    till.look().await;
    let seen = Standing::Seen { confirmations: 1, needed: 2, is_late: false };
    assert_eq!(till.page(&deposit.token).await.standing, seen);
    nodes.fork(1, false).await;
    nodes.mine(3).await;
    till.look().await;
    assert!(matches!(till.page(&deposit.token).await.standing, Standing::Waiting { .. }));
    assert_eq!(till.deposit(payment.id).await.deposit.transfers[0].place, Place::Gone);
    assert_eq!((till.payment(payment.id).await.state, till.booked("payment.settled").await), (State::Pending, 0));
    till.world.assert_sound().await;
}

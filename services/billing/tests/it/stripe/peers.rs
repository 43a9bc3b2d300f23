//! Simulators of Stripe that are not ours, as processes of their own. `make setup` installs them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// A running simulator; it ends with the value.
pub struct Peer {
    pub address: SocketAddr,
    _child: Child,
}

/// A client for tests.
pub fn http() -> reqwest::Client {
    // A process has one TLS provider; somebody else may have set it.
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout is there")
}

fn installed(path: &str) -> PathBuf {
    let found = root().join(".tools/stripe").join(path);
    assert!(found.exists(), "{} is missing: `make setup` installs the simulators of Stripe", found.display());
    found
}

/// Customers, methods, payments, refunds and signed webhooks: localstripe.
pub async fn localstripe() -> Peer {
    let mut command = Command::new(installed("python/bin/python"));
    command.arg(root().join("scripts/stripe/serve_localstripe.py"));
    start(command).await
}

/// Charges with idempotency keys, declines and disputes in Stripe's words: stripe-stateful-mock.
pub async fn stateful_mock() -> Peer {
    installed("node_modules/stripe-stateful-mock/package.json");
    let mut command = Command::new("node");
    command.arg(root().join("scripts/stripe/serve_stateful_mock.js")).arg(root().join(".tools/stripe"));
    start(command).await
}

/// Starts a program whose last argument is a port, and waits until it answers there.
async fn start(mut command: Command) -> Peer {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    command.arg(address.port().to_string()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.kill_on_drop(true).spawn().expect("the simulator starts");
    for _ in 0..600 {
        if TcpStream::connect(address).await.is_ok() {
            return Peer { address, _child: child };
        }
        let ended = child.try_wait().expect("its state is known");
        assert!(ended.is_none(), "the simulator ended with {ended:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the simulator does not answer on {address}");
}

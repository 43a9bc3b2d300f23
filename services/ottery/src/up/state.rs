//! What `ottery up` remembers between starts: passwords and ports, in a file only its owner reads.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// What is remembered is in this file.
pub const FILE: &str = "state.toml";
/// The address of the system's staff area, as it was at the last start, is in this one.
pub const ADDRESS_FILE: &str = "staff-address";

/// What is remembered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// How the services run on this folder; what waits in one broker is not seen by the other.
    #[serde(default)]
    pub topology: Topology,
    /// Password of the application roles.
    pub database_password: String,
    /// RabbitMQ keeps its messages under a name made of its port; none embedded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amqp_port: Option<u16>,
    /// The simulated surroundings; none without demo.
    pub sandbox: Option<SandboxState>,
    /// Sign-in data that were made for people; none until the first start is through.
    pub people: Option<People>,
    /// Makes the first owner; gone once it was used.
    #[serde(default)]
    pub setup_token: Option<String>,
}

impl State {
    /// What the system of that folder remembers, for somebody who does not run it.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join(FILE);
        let text = fs::read_to_string(&file).with_context(|| {
            format!("cannot read {}: --data-dir is the folder of a running `ottery up`", file.display())
        })?;
        toml::from_str(&text).with_context(|| format!("{} is damaged", file.display()))
    }
}

/// The address of that folder's staff area, as it was at the last start.
pub fn address_of(folder: &Path) -> Option<String> {
    fs::read_to_string(folder.join(ADDRESS_FILE)).ok().map(|text| text.trim().to_owned())
}

/// One process, or one per service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Topology {
    /// `ottery up`
    #[default]
    Embedded,
    /// `ottery cluster`
    Distributed,
}

impl Topology {
    /// The subcommand that runs it.
    pub const fn command(self) -> &'static str {
        match self {
            Self::Embedded => "up",
            Self::Distributed => "cluster",
        }
    }
}

/// Ports and keys of the simulated surroundings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxState {
    /// Panel, payments, SMTP, mails, control.
    pub ports: [u16; 5],
    /// Access code of the panel's admin API.
    pub panel_code: String,
    /// Key of the panel's admin API.
    pub panel_key: String,
    /// Key of the payment provider's API.
    pub payments_key: String,
    /// Signs the provider's webhooks.
    pub webhook_secret: String,
}

/// Sign-in data made at the first start.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct People {
    /// Owner of the installation.
    pub staff_email: String,
    /// Made at random.
    pub staff_password: String,
    /// For an authenticator app.
    pub staff_totp_secret: String,
    /// A customer of the demo brand.
    pub customer_email: String,
    /// Made at random.
    pub customer_password: String,
    /// For the API, in the demo brand.
    pub api_key: String,
    /// For `ottery apply`, which makes brands; folders of an earlier version have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform_api_key: Option<String>,
    /// The demo brand's host name.
    pub brand_host: String,
    /// The demo brand.
    pub brand_id: String,
}

/// A data folder that this process alone uses.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Creates the folder when it is missing and takes it.
    ///
    /// # Errors
    /// Another copy uses it, or it cannot be created.
    pub fn claim(path: &Path) -> anyhow::Result<Self> {
        // 0711: a database server that runs as another user has to pass through, nobody has to look around.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(path)
            .with_context(|| format!("cannot create the data folder {}", path.display()))?;
        let path = path.canonicalize()?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("lock"))
            .with_context(|| format!("cannot write into the data folder {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => anyhow::bail!(
                "another ottery uses the data folder {}; stop it, or choose another folder with --data-dir",
                path.display()
            ),
            Err(fs::TryLockError::Error(error)) => Err(error).context("cannot lock the data folder"),
        }
    }

    /// A path inside.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What was remembered; made when this is the first start.
    ///
    /// # Errors
    /// A file that cannot be read or written, or a folder of the other topology.
    pub fn state(&self, http_port: u16, with_sandbox: bool, topology: Topology) -> anyhow::Result<State> {
        let file = self.join(FILE);
        let mut state = match fs::read_to_string(&file) {
            Ok(text) => toml::from_str(&text).with_context(|| format!("{} is damaged", file.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let amqp_port = match topology {
                    Topology::Embedded => None,
                    Topology::Distributed => Some(ottery_kit::local::free_port()?),
                };
                let database_password = random_hex(24);
                State { topology, database_password, amqp_port, sandbox: None, people: None, setup_token: None }
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        anyhow::ensure!(
            state.topology == topology,
            "{} belongs to `ottery {}`; choose another folder with --data-dir",
            self.path.display(),
            state.topology.command()
        );
        if with_sandbox && state.sandbox.is_none() {
            state.sandbox = Some(SandboxState {
                ports: free_ports(http_port)?,
                panel_code: random_hex(5),
                panel_key: random_hex(16),
                payments_key: format!("sk_sandbox_{}", random_hex(16)),
                webhook_secret: format!("whsec_{}", random_hex(24)),
            });
        }
        self.remember(&state)?;
        Ok(state)
    }

    /// Writes the state, whole or not at all.
    ///
    /// # Errors
    /// The disk.
    pub fn remember(&self, state: &State) -> anyhow::Result<()> {
        self.write_private(FILE, &toml::to_string(state)?)
    }

    /// `ottery doctor --data-dir` finds the databases by this.
    ///
    /// # Errors
    /// The disk.
    pub fn remember_database(&self, admin_url: &str) -> anyhow::Result<()> {
        self.write_private("database-url", admin_url)
    }

    /// Writes a file that only its owner reads, whole or not at all.
    ///
    /// # Errors
    /// The disk.
    pub fn write_private(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let (file, draft) = (self.join(name), self.join(&format!("{name}.new")));
        let mut out = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&draft, &file).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// That many random bytes, as hexadecimal digits.
pub fn random_hex(bytes: usize) -> String {
    use rand::RngCore as _;
    let mut buffer = vec![0_u8; bytes];
    rand::rng().fill_bytes(&mut buffer);
    hex::encode(buffer)
}

/// The five ports after the shop's, or whatever is free. They are kept for good, because the brand's panel and the
/// provider's webhooks are stored with them.
fn free_ports(http_port: u16) -> anyhow::Result<[u16; 5]> {
    let mut ports = [0; 5];
    let mut held = Vec::new();
    for (n, port) in (1_u16..).zip(&mut ports) {
        let wanted = http_port.checked_add(n).map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let listener = wanted
            .filter(|_| http_port != 0)
            .and_then(|address| TcpListener::bind(address).ok())
            .map_or_else(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)), Ok)?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

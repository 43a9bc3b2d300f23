//! The running system the story is told on: one that was named, or a private one.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use ottery_kit::local::{Leash, LeashedCommand, Signal};
use reqwest::{Client, Url};

use super::http;
use crate::cli::DemoOptions;
use crate::up::state::{People, SandboxState, State, random_hex};

/// A first start sets up a database server and eight schemas, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(120);
/// The services' own grace period, and PostgreSQL's.
const STOP_GRACE: Duration = Duration::from_secs(40);

/// Where everything is, and who we are there.
pub struct System {
    /// Speaks to all of it.
    pub client: Client,
    /// The staff host.
    pub staff_origin: String,
    /// The demo brand's host.
    pub shop_origin: String,
    /// Credentials made at the first start.
    pub people: People,
    /// The simulated surroundings.
    pub sandbox: SandboxState,
    private: Option<Private>,
}

/// A system of our own.
struct Private {
    leash: Leash,
    folder: PathBuf,
}

impl System {
    /// Finds the named system, or starts one.
    ///
    /// # Errors
    /// It does not answer, or its data folder does not hold a demo.
    pub async fn find(options: &DemoOptions) -> anyhow::Result<Self> {
        match (&options.url, &options.data_dir) {
            (Some(url), Some(folder)) => Self::connect(url, folder, None).await,
            _ => Self::start().await,
        }
    }

    /// Ends what was started. After a failure its folder stays, for whoever looks into it.
    ///
    /// # Errors
    /// A child that does not end.
    pub async fn leave(self, is_well: bool) -> anyhow::Result<()> {
        let Some(private) = self.private else { return Ok(()) };
        private.leash.stop().await?;
        if is_well {
            std::fs::remove_dir_all(&private.folder)
                .with_context(|| format!("cannot remove {}", private.folder.display()))?;
        } else {
            eprintln!("ottery: the private system's data and log (up.log) are in {}", private.folder.display());
        }
        Ok(())
    }

    async fn start() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("ottery-demo-{}", random_hex(6)));
        std::fs::create_dir(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let data = folder.join("data");
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        eprintln!("ottery: starting a private system on {address}");
        let mut leash = LeashedCommand::new(std::env::current_exe().context("where is this program?")?)
            .args(["up", "--http", &address, "--data-dir"])
            .arg(&data)
            .folder(&folder)
            .log(&folder.join("up.log"))
            .stops_on(Signal::Terminate, STOP_GRACE)
            .spawn()?;
        let log = folder.join("up.log");
        let began = Instant::now();
        // The last thing a start does is to announce itself.
        while !std::fs::read_to_string(&log).unwrap_or_default().contains("ottery is ready") {
            if let Some(status) = leash.ended()? {
                anyhow::bail!("the private system did not start ({status}); its log is {}", log.display());
            }
            anyhow::ensure!(
                began.elapsed() < START_LIMIT,
                "the private system is not ready; its log is {}",
                log.display()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Self::connect(&format!("http://{address}"), &data, Some(Private { leash, folder })).await
    }

    async fn connect(url: &str, folder: &Path, private: Option<Private>) -> anyhow::Result<Self> {
        let state = state_of(folder)?;
        let no_demo = || format!("{} holds no demo: start `ottery up` without --no-demo", folder.display());
        let (people, sandbox) = (state.people.with_context(no_demo)?, state.sandbox.with_context(no_demo)?);
        let url = Url::parse(url).with_context(|| format!("--url {url} is no address"))?;
        let address = address_of(&url).await?;
        let client = http::client(&[(people.brand_host.clone(), address)])?;
        let ready = client.get(url.join("/readyz")?).send().await;
        let ready = ready.with_context(|| format!("nothing answers at {url}; is `ottery up` running?"))?;
        anyhow::ensure!(ready.status().is_success(), "{url} is not ready: {}", ready.status());
        let origin = |host: &str| match url.port() {
            Some(port) => format!("{}://{host}:{port}", url.scheme()),
            None => format!("{}://{host}", url.scheme()),
        };
        let staff_origin = origin(url.host_str().context("--url needs a host")?);
        let shop_origin = origin(&people.brand_host);
        Ok(Self { client, staff_origin, shop_origin, people, sandbox, private })
    }
}

fn state_of(folder: &Path) -> anyhow::Result<State> {
    let file = folder.join("state.toml");
    let text = std::fs::read_to_string(&file).with_context(|| {
        format!("cannot read {}: --data-dir is the folder of a running `ottery up`", file.display())
    })?;
    toml::from_str(&text).with_context(|| format!("{} is damaged", file.display()))
}

async fn address_of(url: &Url) -> anyhow::Result<SocketAddr> {
    let host = url.host_str().context("--url needs a host")?;
    let port = url.port_or_known_default().context("--url needs a port")?;
    let mut found = tokio::net::lookup_host((host, port)).await.with_context(|| format!("cannot find {host}"))?;
    found.next().with_context(|| format!("{host} has no address"))
}

//! The running system the story is told on: one that was named, or a private one.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use reqwest::{Client, Url};

use super::http;
use crate::cli::DemoOptions;
use crate::private::Private;
use crate::up::state::{People, SandboxState, State, Topology};

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
    /// Its data folder.
    pub folder: PathBuf,
    private: Option<Private>,
}

impl System {
    /// Finds the named system, or starts one.
    ///
    /// # Errors
    /// It does not answer, or its data folder does not hold a demo.
    pub async fn find(options: &DemoOptions) -> anyhow::Result<Self> {
        match (&options.url, &options.data_dir) {
            (Some(url), Some(folder)) => Self::connect(url, folder, None).await,
            _ => Self::start("demo", "").await,
        }
    }

    /// Ends what was started. After a failure its folder stays, for whoever looks into it.
    ///
    /// # Errors
    /// A child that does not end.
    pub async fn leave(self, is_well: bool) -> anyhow::Result<()> {
        match self.private {
            Some(private) => private.leave(is_well).await,
            None => Ok(()),
        }
    }

    /// Starts a private one with these settings (the text of a configuration file).
    ///
    /// # Errors
    /// It did not become ready.
    pub async fn start(name: &str, settings: &str) -> anyhow::Result<Self> {
        Self::start_as(Topology::Embedded, name, settings).await
    }

    /// As [`System::start`], in that topology.
    ///
    /// # Errors
    /// It did not become ready.
    pub async fn start_as(topology: Topology, name: &str, settings: &str) -> anyhow::Result<Self> {
        let private = Private::start(topology, name, settings).await?;
        Self::connect(&private.url(), &private.data(), Some(private)).await
    }

    /// The process number of the private system.
    pub fn pid(&self) -> Option<u32> {
        self.private.as_ref().and_then(Private::pid)
    }

    async fn connect(url: &str, folder: &Path, private: Option<Private>) -> anyhow::Result<Self> {
        let state = State::read(folder)?;
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
        Ok(Self { client, staff_origin, shop_origin, people, sandbox, folder: folder.to_owned(), private })
    }
}

async fn address_of(url: &Url) -> anyhow::Result<SocketAddr> {
    let host = url.host_str().context("--url needs a host")?;
    let port = url.port_or_known_default().context("--url needs a port")?;
    let mut found = tokio::net::lookup_host((host, port)).await.with_context(|| format!("cannot find {host}"))?;
    found.next().with_context(|| format!("{host} has no address"))
}

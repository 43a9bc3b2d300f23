#![doc = include_str!("../README.md")]

pub mod btcpay;
mod chance;
mod clock;
mod config;
mod control;
mod fault;
mod form;
mod http;
mod mail;
mod panel;
mod payments;
pub mod paypal;
mod store;
mod trouble;
pub mod video;

use std::{net::SocketAddr, sync::Arc};

use futures::FutureExt;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use crate::config::{
    AccountSpec, BouquetSpec, ConfigError, PackageSpec, PanelSpec, PaymentsSpec, ResellerSpec, SandboxConfig, Settings,
    StreamSpec,
};
use crate::{
    chance::Chance,
    fault::Faults,
    http::{Handler, Reply, Request, Site},
    store::{Change, Store, StoreError},
};

/// What every simulator needs.
struct Context {
    store: Store,
    chance: Chance,
    faults: Faults,
    studio: video::Studio,
}

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The journal cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An address is taken or not ours.
    #[error("{what} cannot listen on {address}: {source}; choose another address or port 0")]
    Bind {
        /// Which part.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// The client that sends webhooks could not be made.
    #[error("the webhook client could not be made")]
    Client(#[source] reqwest::Error),
}

/// Where a running sandbox is reached.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Shared listener of all panels.
    pub panel: SocketAddr,
    /// Panels with a listener of their own, by code.
    pub own_panels: Vec<(String, SocketAddr)>,
    /// Payment provider.
    pub payments: SocketAddr,
    /// Mail sink, SMTP.
    pub smtp: SocketAddr,
    /// Mail sink, web page and JSON.
    pub mail: SocketAddr,
    /// Control API.
    pub control: SocketAddr,
}

/// A running sandbox; stops when dropped.
pub struct Running {
    addresses: Addresses,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    /// Where it is reached.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Stops listening and waits for open connections to end (half a second at most each).
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The simulators behind one start function.
#[derive(Debug)]
pub struct Sandbox;

impl Sandbox {
    /// Binds every address and serves until [`Running::stop`].
    ///
    /// # Errors
    /// When the configuration, the journal or an address cannot be used.
    pub async fn start(config: SandboxConfig) -> Result<Running, StartError> {
        config.check()?;
        let store = match &config.journal {
            Some(path) => Store::open(path)?,
            None => Store::in_memory(),
        };
        let boot = store.get::<u64>("boot").unwrap_or(0) + 1;
        let mut change = Change::default();
        change.put("boot", &boot);
        store.commit(change);
        let context = Arc::new(Context {
            store,
            chance: Chance::new(config.seed, boot),
            faults: Faults::default(),
            studio: video::Studio::default(),
        });

        let panel_listener = bind("panel", config.panel_listen).await?;
        let payments_listener = bind("payments", config.payments_listen).await?;
        let smtp_listener = bind("smtp", config.smtp_listen).await?;
        let mail_listener = bind("mail", config.mail_listen).await?;
        let control_listener = bind("control", config.control_listen).await?;
        let mut own_listeners = Vec::new();
        for spec in &config.panels {
            if let Some(address) = spec.listen {
                own_listeners.push((spec.code.clone(), bind("panel", address).await?));
            }
        }

        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let panels = Arc::new(panel::Panels::new(&config.panels, &context)?);
        let payments_address = local(&payments_listener, config.payments_listen);
        let public_url = config.payments.public_url.clone().unwrap_or_else(|| format!("http://{payments_address}"));
        let payments = payments::Payments::new(&config.payments, public_url, &context).map_err(StartError::Client)?;
        let mails = Arc::new(mail::Mails::new(config.mail_size_max, &context));

        let addresses = Addresses {
            panel: local(&panel_listener, config.panel_listen),
            own_panels: own_listeners.iter().map(|(code, l)| (code.clone(), local(l, config.panel_listen))).collect(),
            payments: payments_address,
            smtp: local(&smtp_listener, config.smtp_listen),
            mail: local(&mail_listener, config.mail_listen),
            control: local(&control_listener, config.control_listen),
        };

        for (code, listener) in own_listeners {
            let panels = panels.clone();
            let code: Arc<str> = code.into();
            let handler = handler(move |request| {
                let (panels, code) = (panels.clone(), code.clone());
                async move { panels.handle(Some(&code), request).await }
            });
            http::serve(Site { listener, server: "nginx", handler }, stop.clone(), &tasks);
        }
        let shared = panels.clone();
        let shared = handler(move |request| {
            let panels = shared.clone();
            async move { panels.handle(None, request).await }
        });
        http::serve(Site { listener: panel_listener, server: "nginx", handler: shared }, stop.clone(), &tasks);
        let provider = payments.clone();
        let provider = handler(move |request| {
            let payments = provider.clone();
            async move { payments.handle(request).await }
        });
        let site = Site { listener: payments_listener, server: "sandbox-payments", handler: provider };
        http::serve(site, stop.clone(), &tasks);
        let sink = mails.clone();
        let sink = handler(move |request| {
            let mails = sink.clone();
            async move { mails.handle(&request) }
        });
        http::serve(Site { listener: mail_listener, server: "sandbox-mail", handler: sink }, stop.clone(), &tasks);
        mail::serve_smtp(smtp_listener, mails.clone(), stop.clone(), &tasks);
        payments.run(stop.clone(), &tasks);

        let control = Arc::new(control::Control { context, panels, payments, mails, addresses: addresses.clone() });
        let control = handler(move |request| {
            let control = control.clone();
            async move { control.handle(request).await }
        });
        let site = Site { listener: control_listener, server: "sandbox-control", handler: control };
        http::serve(site, stop.clone(), &tasks);
        tracing::info!(
            panel = %addresses.panel, payments = %addresses.payments, smtp = %addresses.smtp, mail = %addresses.mail,
            control = %addresses.control, "sandbox is ready"
        );
        Ok(Running { addresses, stop, tasks })
    }
}

fn handler<F, R>(answer: F) -> Handler
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: Future<Output = Reply> + Send + 'static,
{
    Arc::new(move |request| answer(request).boxed())
}

async fn bind(what: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Bind { what, address, source })
}

fn local(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

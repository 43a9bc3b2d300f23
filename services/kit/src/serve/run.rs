//! Starting everything, waiting for the end, stopping in order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ottery_proto::common::v1::drain_service_server::DrainServiceServer;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use super::drain::Drain;
use super::supervise::supervise;
use super::{Bound, HttpListener, RunSettings, Service, Worker, backlog};
use crate::broker::ConsumerGroup;
use crate::grpc::{Guard, server};
use crate::health::Health;
use crate::outbox::Relay;
use crate::{consume, telemetry, upkeep};

/// How long declaring the consumers' queues may hold up the start.
const DECLARE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long closing the pools may take at the very end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// Events of the last handlers still go out, when the broker takes them in this time.
const RELAY_LINGER: Duration = Duration::from_secs(1);

type Task = (&'static str, &'static str, anyhow::Result<()>);

/// A process at work.
#[derive(Debug)]
pub struct Running {
    bound: BTreeMap<&'static str, Bound>,
    health_address: Option<SocketAddr>,
    health: Health,
    settings: RunSettings,
    /// Ends intake and work.
    front: CancellationToken,
    /// Ends the relay, after work has ended.
    back: CancellationToken,
    /// Ends health pages, last.
    last: CancellationToken,
    tasks: JoinSet<Task>,
    relays: JoinSet<Task>,
    pages: JoinSet<Task>,
    pools: Vec<PgPool>,
}

/// Runs the services until a signal, `shutdown`, or a server that breaks.
///
/// # Errors
/// An address that cannot be listened on (before anything is served), or a server that broke.
pub async fn run(services: Vec<Service>, settings: RunSettings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut running = start(services, settings).await?;
    let outcome = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        () = shutdown.cancelled() => Ok(()),
        broken = running.broken() => Err(broken),
    };
    // A second signal: crash-only design makes cutting everything short safe, and whoever sent it is in a hurry.
    // Returning (instead of exiting here) lets the caller take its child processes along.
    let again = || anyhow::anyhow!("second signal: stopped at once");
    tokio::select! {
        () = running.stop() => outcome,
        _ = terminate.recv() => Err(again()),
        _ = interrupt.recv() => Err(again()),
    }
}

struct Listeners {
    service: Service,
    grpc: Option<(TcpListener, Routes)>,
    http: Vec<(TcpListener, HttpListener)>,
}

/// Listens, then starts everything; returns when calls are being answered.
///
/// # Errors
/// An address that cannot be listened on; nothing is left running then.
pub async fn start(services: Vec<Service>, settings: RunSettings) -> anyhow::Result<Running> {
    let Some(first) = services.first() else { anyhow::bail!("there is no service to run") };
    if let Some(service) = services.iter().find(|service| service.name != service.host.service()) {
        let (name, host) = (service.name, service.host.service());
        anyhow::bail!(
            "service `{name}` was built as `{host}` and would sign as it; give it `host.for_service(\"{name}\")`"
        );
    }
    let (front, metrics) = (first.host.shutdown.clone(), first.host.metrics.clone());
    let pages_listener = match &settings.health {
        Some(address) => Some(bind(address, "health pages", "health.listen").await?),
        None => None,
    };
    let mut bound = BTreeMap::new();
    let mut listening = Vec::new();
    for mut service in services {
        let (name, mut addresses) = (service.name, Bound::default());
        let grpc = match service.routes.take() {
            Some(routes) => {
                let wanted = service.host.serve_address(name);
                let listener = bind(wanted, &format!("gRPC of {name}"), &format!("{name}.grpc.listen")).await?;
                addresses.grpc = Some(listener.local_addr()?);
                Some((listener, routes))
            }
            None => None,
        };
        let mut http = Vec::new();
        for wanted in std::mem::take(&mut service.http) {
            let listener = bind(&wanted.address, &format!("HTTP of {name}"), &format!("{name}.http.listen")).await?;
            addresses.http.push(listener.local_addr()?);
            http.push((listener, wanted));
        }
        bound.insert(name, addresses);
        listening.push(Listeners { service, grpc, http });
    }

    // From here on nothing fails.
    for Listeners { service, .. } in &listening {
        if let Some(address) = bound[service.name].grpc
            && service.host.directory.addresses(service.name).is_empty()
        {
            service.host.directory.set(service.name, vec![reachable(address).to_string()]);
        }
    }
    declare(&listening).await;
    let databases: Vec<(String, PgPool)> = listening
        .iter()
        .filter_map(|listeners| Some((listeners.service.name.to_owned(), listeners.service.pool.clone()?)))
        .collect();
    let pools = databases.iter().map(|(_, pool)| pool.clone()).collect();
    let health = Health::new(databases, metrics);
    let mut running = Running {
        bound,
        health_address: pages_listener.as_ref().and_then(|listener| listener.local_addr().ok()),
        health: health.clone(),
        settings,
        front,
        back: CancellationToken::new(),
        last: CancellationToken::new(),
        tasks: JoinSet::new(),
        relays: JoinSet::new(),
        pages: JoinSet::new(),
        pools,
    };
    if let Some(listener) = pages_listener {
        let (router, stop) = (health.router(), running.last.clone());
        running.pages.spawn(async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
            ("process", "health pages", served.map_err(Into::into))
        });
    }
    for listeners in listening {
        let name = listeners.service.name;
        running.start_service(listeners);
        let Bound { grpc, http } = &running.bound[name];
        tracing::info!(service = name, ?grpc, ?http, "service started");
    }
    Ok(running)
}

async fn bind(address: &str, what: &str, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address} for {what}: free that port or set `{setting}` to another address")
    })
}

/// An address others of this machine can call: "everywhere" is not one.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    address
}

/// Queues must exist before the first event is sent. A broker that is away holds nobody up: consumers declare again
/// when it is back, and until then nothing can be published either.
async fn declare(listening: &[Listeners]) {
    let Some(first) = listening.first() else { return };
    let groups: Vec<ConsumerGroup> = listening.iter().flat_map(|listeners| listeners.service.groups()).collect();
    match tokio::time::timeout(DECLARE_TIMEOUT, first.service.host.broker.declare(&groups)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "consumer groups are not declared yet"),
        Err(_) => tracing::warn!("declaring consumer groups takes long; going on without"),
    }
}

impl Running {
    fn start_service(&mut self, listeners: Listeners) {
        let Listeners { service, grpc, http } = listeners;
        let (name, host, front) = (service.name, service.host.clone(), self.front.clone());
        if let Some((listener, routes)) = grpc {
            let routes = self.with_kit_services(routes, &service);
            let guard = Guard::new(
                name,
                host.verifier.clone(),
                host.clock.clone(),
                &host.metrics,
                service.in_flight.clone(),
                service.server,
            );
            let stop = front.clone();
            self.tasks.spawn(async move {
                (name, "gRPC server", server::serve(listener, routes, guard, stop).await.map_err(Into::into))
            });
        }
        for (listener, HttpListener { router, is_instrumented, .. }) in http {
            let stop = front.clone();
            let router =
                if is_instrumented { router } else { telemetry::http::instrument(router, name, &host.metrics) };
            self.tasks.spawn(async move {
                let router = router.into_make_service_with_connect_info::<SocketAddr>();
                let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
                (name, "HTTP server", served.map_err(Into::into))
            });
        }
        for consumer in &service.consumers {
            let (consumer, broker, stop) = (consumer.clone(), host.broker.clone(), front.clone());
            self.spawn_worker(
                name,
                &host,
                Worker {
                    name: "consumer",
                    work: Arc::new(move |_| {
                        let work = consume::run(consumer.clone(), broker.clone(), stop.clone());
                        Box::pin(async move { Ok(work.await?) })
                    }),
                },
            );
        }
        if !service.consumers.is_empty() {
            let consumers = service.consumers.clone();
            self.spawn_worker(
                name,
                &host,
                Worker {
                    name: "retries",
                    work: Arc::new(move |stop| {
                        let work = consume::run_retries(consumers.clone(), stop);
                        Box::pin(async move {
                            work.await;
                            Ok(())
                        })
                    }),
                },
            );
        }
        for worker in service.workers {
            self.spawn_worker(name, &host, worker);
        }
        let Some(pool) = service.pool else { return };
        let (relay_pool, broker, metrics) = (pool.clone(), host.broker.clone(), host.metrics.clone());
        let relay = Worker {
            name: "relay",
            work: Arc::new(move |stop| {
                let relay = Relay::with_settings(relay_pool.clone(), broker.clone(), service.relay);
                let report = backlog::report_relay(metrics.clone(), relay.counters(), stop.clone());
                Box::pin(async move {
                    futures::join!(relay.run(stop), report);
                    Ok(())
                })
            }),
        };
        let (metrics, stop) = (host.metrics.clone(), self.back.clone());
        self.relays.spawn(async move {
            supervise(name, relay, metrics, stop).await;
            (name, "relay", Ok(()))
        });
        let (measured, metrics) = (pool.clone(), host.metrics.clone());
        self.spawn_worker(
            name,
            &host,
            Worker {
                name: "backlog",
                work: Arc::new(move |stop| Box::pin(backlog::measure(measured.clone(), metrics.clone(), stop))),
            },
        );
        let metrics = host.metrics.clone();
        self.spawn_worker(
            name,
            &host,
            Worker {
                name: "upkeep",
                work: Arc::new(move |stop| {
                    let work = upkeep::run(pool.clone(), metrics.clone(), stop);
                    Box::pin(async move {
                        work.await;
                        Ok(())
                    })
                }),
            },
        );
    }

    fn spawn_worker(&mut self, service: &'static str, host: &crate::Host, worker: Worker) {
        let (metrics, stop, what) = (host.metrics.clone(), self.front.clone(), worker.name);
        self.tasks.spawn(async move {
            supervise(service, worker, metrics, stop).await;
            (service, what, Ok(()))
        });
    }

    fn with_kit_services(&mut self, routes: Routes, service: &Service) -> Routes {
        let (reporter, health) = tonic_health::server::health_reporter();
        let (report, name, stop) = (self.health.clone(), service.name, self.front.clone());
        self.tasks.spawn(async move {
            report.report(name, reporter, stop).await;
            (name, "health report", Ok(()))
        });
        let routes = routes.add_service(health);
        let Some(pool) = service.pool.clone() else { return routes };
        routes.add_service(DrainServiceServer::new(Drain {
            pool,
            broker: service.host.broker.clone(),
            consumers: service.consumers.clone(),
            in_flight: service.in_flight.clone(),
            due: service.due.clone(),
        }))
    }

    /// Where the services can be reached.
    #[must_use]
    pub fn bound(&self, service: &str) -> Option<&Bound> {
        self.bound.get(service)
    }

    /// Where the health pages are.
    #[must_use]
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.health_address
    }

    /// Waits for a server that breaks; a process without its server must not pretend to run.
    pub async fn broken(&mut self) -> anyhow::Error {
        loop {
            tokio::select! {
                Some(ended) = self.tasks.join_next() => {
                    if let Some(error) = failure(ended) { return error; }
                }
                Some(ended) = self.relays.join_next() => {
                    if let Some(error) = failure(ended) { return error; }
                }
                Some(ended) = self.pages.join_next() => {
                    if let Some(error) = failure(ended) { return error; }
                }
                else => return anyhow::anyhow!("nothing is left running"),
            }
        }
    }

    /// Stops in order: not ready, still serving for a moment, no intake, work finishes, events leave, pools close.
    pub async fn stop(&mut self) {
        let finish = Instant::now() + self.settings.finish;
        tracing::info!("stopping");
        self.health.stopping();
        tokio::time::sleep(self.settings.pre_stop).await;
        self.front.cancel();
        finish_by(&mut self.tasks, finish).await;
        if !self.relays.is_empty() {
            // Whatever is not sent now waits safely in the outbox; a moment here saves a minute there.
            tokio::time::sleep_until(finish.min(Instant::now() + self.linger())).await;
        }
        self.back.cancel();
        finish_by(&mut self.relays, finish.max(Instant::now() + RELAY_LINGER)).await;
        let closing = futures::future::join_all(self.pools.iter().map(PgPool::close));
        if tokio::time::timeout(CLOSE_TIMEOUT, closing).await.is_err() {
            tracing::warn!("connections to the database are still busy; leaving them");
        }
        self.last.cancel();
        finish_by(&mut self.pages, Instant::now() + RELAY_LINGER).await;
        tracing::info!("stopped");
    }

    /// On one machine nobody waits for our events after the stop.
    fn linger(&self) -> Duration {
        if self.settings.pre_stop.is_zero() { Duration::ZERO } else { RELAY_LINGER }
    }
}

fn failure(ended: Result<Task, tokio::task::JoinError>) -> Option<anyhow::Error> {
    match ended {
        Ok((_, _, Ok(()))) => None,
        Ok((service, what, Err(error))) => Some(error.context(format!("the {what} of {service} broke"))),
        Err(error) => Some(anyhow::Error::from(error).context("a task broke")),
    }
}

async fn finish_by(tasks: &mut JoinSet<Task>, deadline: Instant) {
    while !tasks.is_empty() {
        match tokio::time::timeout_at(deadline, tasks.join_next()).await {
            Ok(Some(ended)) => {
                if let Some(error) = failure(ended) {
                    tracing::warn!(error = %format!("{error:#}"), "ended badly");
                }
            }
            Ok(None) => return,
            Err(_) => {
                tracing::warn!(cut_short = tasks.len(), "work was still running and is cut short");
                tasks.shutdown().await;
                return;
            }
        }
    }
}

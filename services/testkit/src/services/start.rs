//! Starting servers, for a test run or for one test process.

use std::thread;

use anyhow::Context as _;
use ottery_kit::local::postgres::{Postgres, PostgresOptions};
use ottery_kit::local::rabbitmq::{RabbitMq, RabbitMqOptions};
use ottery_kit::local::redis::{Redis, RedisOptions};
use tokio::sync::oneshot;

use super::Scratch;

/// Which servers to start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// PostgreSQL.
    pub postgres: bool,
    /// RabbitMQ.
    pub rabbitmq: bool,
    /// Redis.
    pub redis: bool,
}

impl Wanted {
    /// PostgreSQL alone.
    pub const POSTGRES: Self = Self { postgres: true, rabbitmq: false, redis: false };
    /// RabbitMQ alone.
    pub const RABBITMQ: Self = Self { postgres: false, rabbitmq: true, redis: false };
    /// Redis alone.
    pub const REDIS: Self = Self { postgres: false, rabbitmq: false, redis: true };
    /// All three.
    pub const ALL: Self = Self { postgres: true, rabbitmq: true, redis: true };
}

/// Servers in a temporary folder. They end when the value is dropped, or when the process does.
#[derive(Debug)]
pub struct Running {
    postgres: Option<Postgres>,
    rabbitmq: Option<RabbitMq>,
    redis: Option<Redis>,
    // Last: the folder goes after the servers were told to.
    _scratch: Scratch,
}

impl Running {
    /// Starts what is wanted, all at once, on free ports.
    pub async fn start(wanted: Wanted) -> anyhow::Result<Self> {
        let scratch = Scratch::new()?;
        let folder = |name: &str| scratch.path().join(name);
        let (postgres, rabbitmq, redis) = tokio::try_join!(
            async {
                if !wanted.postgres {
                    return anyhow::Ok(None);
                }
                let started = Postgres::start(careless(PostgresOptions::new(folder("postgres")))).await;
                started.map(Some).context("starting PostgreSQL for tests")
            },
            async {
                if !wanted.rabbitmq {
                    return Ok(None);
                }
                let started = RabbitMq::start(RabbitMqOptions::new(folder("rabbitmq"))).await;
                started.map(Some).context("starting RabbitMQ for tests")
            },
            async {
                if !wanted.redis {
                    return Ok(None);
                }
                let started = Redis::start(RedisOptions::new(folder("redis"))).await;
                started.map(Some).context("starting Redis for tests")
            },
        )?;
        Ok(Self { postgres, rabbitmq, redis, _scratch: scratch })
    }

    /// Administrator's URL of PostgreSQL, when it was wanted.
    pub fn postgres_url(&self) -> Option<String> {
        self.postgres.as_ref().map(Postgres::admin_url)
    }

    /// URL of RabbitMQ, when it was wanted.
    pub fn amqp_url(&self) -> Option<&str> {
        self.rabbitmq.as_ref().map(RabbitMq::url)
    }

    /// URL of Redis, when it was wanted.
    pub fn redis_url(&self) -> Option<&str> {
        self.redis.as_ref().map(Redis::url)
    }

    /// Stops them and waits until they are gone.
    pub async fn stop(self) -> anyhow::Result<()> {
        let (postgres, rabbitmq, redis) = tokio::join!(
            async { if let Some(server) = self.postgres { server.stop().await } else { Ok(()) } },
            async { if let Some(server) = self.rabbitmq { server.stop().await } else { Ok(()) } },
            async { if let Some(server) = self.redis { server.stop().await } else { Ok(()) } },
        );
        postgres.and(rabbitmq).and(redis).context("stopping the servers for tests")
    }
}

/// Tests give up durability for speed; nothing else does.
fn careless(options: PostgresOptions) -> PostgresOptions {
    PostgresOptions { fsync: false, ..options }
        .setting("max_connections", "300")
        .setting("shared_buffers", "128MB")
        // A client that stops in the middle of signing in holds up every DROP DATABASE until then.
        .setting("authentication_timeout", "10s")
        .setting("wal_level", "minimal")
        .setting("max_wal_senders", "0")
        .setting("max_wal_size", "256MB")
}

/// Starts a server for this process alone and gives its URL. It runs on a thread of its own, because the runtime of the
/// first test that needs it ends before the others do.
pub(super) async fn for_this_process(wanted: Wanted) -> String {
    let (tell, told) = oneshot::channel();
    thread::Builder::new()
        .name("test-services".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a tokio runtime");
            runtime.block_on(async {
                match Running::start(wanted).await {
                    Ok(running) => {
                        let url = running
                            .postgres_url()
                            .or_else(|| running.amqp_url().map(str::to_owned))
                            .or_else(|| running.redis_url().map(str::to_owned));
                        let _nobody_waits_any_more = tell.send(Ok(url.expect("one server was wanted")));
                        std::future::pending::<()>().await;
                    }
                    Err(error) => {
                        let _nobody_waits_any_more = tell.send(Err(error));
                    }
                }
            });
        })
        .expect("a thread");
    match told.await.expect("the thread answers") {
        Ok(url) => url,
        Err(error) => panic!("{error:#}"),
    }
}

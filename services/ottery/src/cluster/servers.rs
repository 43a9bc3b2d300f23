//! What the services stand on: PostgreSQL, RabbitMQ, Redis.

use anyhow::Context;
use ottery_kit::db::DatabaseSettings;
use ottery_kit::local::postgres::Postgres;
use ottery_kit::local::rabbitmq::{RabbitMq, RabbitMqOptions};
use ottery_kit::local::redis::{Redis, RedisOptions};

use crate::settings::Process;
use crate::up;
use crate::up::state::{DataFolder, State};

/// Private servers in the data folder.
pub struct Servers {
    postgres: Option<Postgres>,
    rabbitmq: Option<RabbitMq>,
    redis: Option<Redis>,
}

impl Servers {
    /// Starts all three at once. RabbitMQ takes ten seconds and more.
    ///
    /// # Errors
    /// What is missing or taken, with the way out.
    pub async fn start(folder: &DataFolder, state: &State) -> anyhow::Result<Self> {
        let broker = RabbitMqOptions { port: state.amqp_port, ..RabbitMqOptions::new(folder.join("rabbitmq")) };
        let (postgres, rabbitmq, redis) = tokio::try_join!(
            async {
                let started = Postgres::start(up::postgres_options(folder.join("postgres"))).await;
                started.context("cannot start the private PostgreSQL")
            },
            async { RabbitMq::start(broker).await.context("cannot start the private RabbitMQ") },
            async {
                let started = Redis::start(RedisOptions::new(folder.join("redis"))).await;
                started.context("cannot start the private Redis")
            },
        )?;
        Ok(Self { postgres: Some(postgres), rabbitmq: Some(rabbitmq), redis: Some(redis) })
    }

    /// Administrator's URL of PostgreSQL.
    pub fn admin_url(&self) -> String {
        self.postgres.as_ref().map(Postgres::admin_url).unwrap_or_default()
    }

    /// The databases as an administrator reaches them; services get no such URL.
    pub fn admin_settings(&self, process: &Process) -> DatabaseSettings {
        DatabaseSettings { admin_url: Some(self.admin_url()), ..process.database.to_kit() }
    }

    /// `amqp://…`
    pub fn amqp_url(&self) -> String {
        self.rabbitmq.as_ref().map(|rabbitmq| rabbitmq.url().to_owned()).unwrap_or_default()
    }

    /// `redis://…`
    pub fn redis_url(&self) -> String {
        self.redis.as_ref().map(|redis| redis.url().to_owned()).unwrap_or_default()
    }

    /// Why the cluster cannot go on, when one of them has ended.
    pub fn ended(&mut self) -> Option<anyhow::Error> {
        let leashes = [
            self.postgres.as_mut().map(|postgres| ("PostgreSQL", postgres.leash())),
            self.rabbitmq.as_mut().map(|rabbitmq| ("RabbitMQ", rabbitmq.leash())),
            self.redis.as_mut().map(|redis| ("Redis", redis.leash())),
        ];
        for (name, leash) in leashes.into_iter().flatten() {
            match leash.ended() {
                Ok(None) => {}
                Ok(Some(status)) => return Some(anyhow::anyhow!("the private {name} ended ({status})")),
                Err(error) => return Some(error.into()),
            }
        }
        None
    }

    /// Says where they are.
    pub fn print(&self) {
        let port = |port: Option<u16>| port.map(|port| format!("127.0.0.1:{port}")).unwrap_or_default();
        println!("  {:<15} {}", "PostgreSQL", port(self.postgres.as_ref().map(Postgres::port)));
        println!("  {:<15} {}", "RabbitMQ", port(self.rabbitmq.as_ref().map(RabbitMq::port)));
        println!("  {:<15} {}", "Redis", port(self.redis.as_ref().map(Redis::port)));
    }

    /// Stops them, the database last.
    ///
    /// # Errors
    /// One that does not stop in time.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(redis) = self.redis.take() {
            redis.stop().await.context("the private Redis did not stop in time")?;
        }
        if let Some(rabbitmq) = self.rabbitmq.take() {
            rabbitmq.stop().await.context("the private RabbitMQ did not stop in time")?;
        }
        if let Some(postgres) = self.postgres.take() {
            postgres.stop().await.context("the private PostgreSQL did not stop in time")?;
        }
        Ok(())
    }
}

//! Billing at work: its workers as tasks, killed in the middle of whatever they do and started again.

use std::time::Duration;

use anyhow::Context;
use billing::app::Billing;
use sqlx::postgres::PgConnection;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::brand::Brand;

/// How often idle workers look.
const IDLE: Duration = Duration::from_millis(5);
/// Replicas of billing that work at the same time.
const REPLICAS: usize = 2;

/// Billing, running or not.
pub struct Hands<'a> {
    brand: &'a Brand,
    open: watch::Sender<Option<Billing>>,
    at_work: JoinSet<anyhow::Result<()>>,
    /// How often it was killed.
    pub restarts: u32,
}

impl<'a> Hands<'a> {
    /// Nobody works yet.
    pub fn new(brand: &'a Brand, open: watch::Sender<Option<Billing>>) -> Self {
        Self { brand, open, at_work: JoinSet::new(), restarts: 0 }
    }

    /// The billing that runs.
    ///
    /// # Errors
    /// None does.
    pub fn billing(&self) -> anyhow::Result<Billing> {
        self.open.borrow().clone().context("billing does not run")
    }

    /// Starts it, with workers.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        for _ in 0..REPLICAS {
            let billing = self.brand.start().await?;
            self.at_work.spawn(events(billing.clone()));
            self.at_work.spawn(errands(billing.clone()));
            self.open.send_replace(Some(billing));
        }
        Ok(())
    }

    /// Ends it at once, whatever its workers are doing: transactions are rolled back, answers are heard by nobody, and claims
    /// stay until they run out.
    ///
    /// # Errors
    /// A worker had failed before.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let billing = self.open.send_replace(None);
        self.at_work.abort_all();
        while let Some(ended) = self.at_work.join_next().await {
            match ended {
                Ok(worked) => worked.context("a worker of billing failed")?,
                Err(error) if error.is_cancelled() => {}
                Err(error) => return Err(error).context("a worker of billing broke"),
            }
        }
        drop(billing);
        Ok(())
    }

    /// Kills and starts it. What the dead held is free again once its time is over: it is let run out.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn restart(&mut self, admin: &mut PgConnection) -> anyhow::Result<()> {
        self.kill().await?;
        self.restarts += 1;
        let_leases_run_out(admin).await?;
        self.start().await
    }
}

/// As if the time of every claim were over. Nobody may be at work.
///
/// # Errors
/// The database does not answer.
pub async fn let_leases_run_out(admin: &mut PgConnection) -> anyhow::Result<()> {
    for statement in [
        "UPDATE errand SET lease_until = '-infinity' WHERE lease_until > '-infinity'",
        "UPDATE provider_event_due SET lease_until = '-infinity' WHERE lease_until > '-infinity'",
        "UPDATE provider_poll SET lease_until = '-infinity' WHERE lease_until > '-infinity'",
    ] {
        sqlx::query(statement).execute(&mut *admin).await?;
    }
    Ok(())
}

async fn events(billing: Billing) -> anyhow::Result<()> {
    loop {
        if billing.work_events().await? == 0 {
            tokio::time::sleep(IDLE).await;
        }
    }
}

async fn errands(billing: Billing) -> anyhow::Result<()> {
    loop {
        if billing.work_errands().await? == 0 {
            tokio::time::sleep(IDLE).await;
        }
    }
}

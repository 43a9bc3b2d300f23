//! Use cases: one public function, one transaction; sending is a chain of them.

mod compose;
mod error;
mod foresee;
mod journal;
mod plan;
mod read;
pub(crate) mod secrets;
pub(crate) mod send;
mod settle;
pub(crate) mod template;

use std::sync::Arc;

use ottery_kernel::{BrandId, Clock};
use ottery_kit::Host;
use ottery_kit::telemetry::Counter;
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;

pub use error::AppError;
pub use template::TemplateView;

use crate::config::Config;
use crate::domain::profile::{Profile, platform};
use crate::smtp::Mailer;
use crate::store;

/// What the use cases work with.
#[derive(Clone)]
pub struct App {
    pool: PgPool,
    host: Host,
    config: Arc<Config>,
    mailer: Arc<Mailer>,
    attempts: Counter,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("config", &self.config).finish_non_exhaustive()
    }
}

impl App {
    /// Use cases over this database.
    ///
    /// # Errors
    /// The settings of the mail server contradict themselves.
    pub fn new(pool: PgPool, host: Host, config: Config) -> anyhow::Result<Self> {
        let mailer = Arc::new(Mailer::new(&config.smtp)?);
        let attempts = host.metrics.counter("ottery_notification_mails", "Attempts to send a mail, by outcome");
        Ok(Self { pool, host, config: Arc::new(config), mailer, attempts })
    }

    fn clock(&self) -> &dyn Clock {
        &*self.host.clock
    }

    /// What mails of the brand look like and come from; none when the brand was not heard of yet.
    async fn profile(&self, tx: &mut PgTransaction<'_>, brand: BrandId) -> sqlx::Result<Option<Profile>> {
        if brand != platform() {
            return store::profile::get(tx, brand).await;
        }
        let settings = &self.config.platform;
        Ok(Some(Profile {
            name: settings.name.clone(),
            host: settings.host.clone(),
            default_locale: settings.locale.clone(),
            time_zone: "UTC".to_owned(),
            sender_email: settings.sender.clone(),
            support_email: String::new(),
            tokens: std::collections::BTreeMap::new(),
            logo: String::new(),
        }))
    }
}

//! The table of services: the only place that knows them all.

use anyhow::Context;
use ottery_kit::config::{ConfigError, Described, Section, Sources};
use ottery_kit::doctor::Finding;
use ottery_kit::{Host, Service};
use sqlx::PgPool;
use sqlx::migrate::Migrator;

use crate::settings::Process;

/// Everything that signs calls: services with a database, and the gateway.
pub const ALL: [&str; 9] =
    ["identity", "catalog", "billing", "provisioning", "support", "affiliate", "analytics", "notification", "gateway"];

/// Names that appear in the actor directory besides [`ALL`].
pub const OPERATOR: &str = "operator";

macro_rules! with_database {
    ($($name:ident),* $(,)?) => {
        /// Services that own a database.
        pub const WITH_DATABASE: &[&str] = &[$($name::NAME),*];

        /// Section of a service's settings.
        pub fn section(name: &str) -> Option<Section> {
            match name {
                $($name::NAME => Some(Section { name: $name::NAME, defaults: $name::DEFAULTS }),)*
                gateway::NAME => Some(Section { name: gateway::NAME, defaults: gateway::DEFAULTS }),
                _ => None,
            }
        }

        /// Schema of a service with a database.
        pub fn migrations(name: &str) -> Option<&'static Migrator> {
            match name {
                $($name::NAME => Some(&$name::MIGRATIONS),)*
                _ => None,
            }
        }

        /// Loads a service's settings and connects it; it serves nothing yet.
        ///
        /// # Errors
        /// Unknown or malformed settings, a database that does not answer.
        pub async fn build(name: &str, sources: &Sources, host: &Host) -> anyhow::Result<Service> {
            let host = host.for_service(name)?;
            match name {
                $($name::NAME => {
                    let config = load(section(name), sources)?;
                    $name::build(config, host).await.with_context(|| format!("cannot start {name}"))
                })*
                gateway::NAME => {
                    let config = load(section(name), sources)?;
                    gateway::build(config, host).await.with_context(|| format!("cannot start {name}"))
                }
                _ => anyhow::bail!("there is no service `{name}`; choose one of {}", ALL.join(", ")),
            }
        }

        /// The settings of a section with their origins, secrets as dots.
        ///
        /// # Errors
        /// Settings that do not load.
        pub fn describe(of: Section, sources: &Sources) -> Result<Vec<Described>, ConfigError> {
            match of.name {
                $($name::NAME => ottery_kit::config::load::<$name::Config>(of, sources)?.describe(of),)*
                gateway::NAME => ottery_kit::config::load::<gateway::Config>(of, sources)?.describe(of),
                _ => ottery_kit::config::load::<Process>(of, sources)?.describe(of),
            }
        }

        /// What must hold in a service's database.
        ///
        /// # Errors
        /// The database cannot be read.
        pub async fn invariants(name: &str, pool: &PgPool) -> anyhow::Result<Vec<Finding>> {
            match name {
                $($name::NAME => $name::invariants(pool).await,)*
                _ => Ok(Vec::new()),
            }
        }
    };
}

with_database!(identity, catalog, billing, provisioning, support, affiliate, analytics, notification);

fn load<T: serde::de::DeserializeOwned>(section: Option<Section>, sources: &Sources) -> anyhow::Result<T> {
    let section = section.context("every service has a section")?;
    Ok(ottery_kit::config::load(section, sources)?.value)
}

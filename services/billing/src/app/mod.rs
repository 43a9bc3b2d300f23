//! Use cases: one public function, one transaction.

pub mod address;
pub mod amount_rules;
pub mod calendar;
pub mod catalog;
pub mod change;
pub mod checkout;
pub mod close;
pub mod collection;
pub mod consolidated;
pub mod conversion;
pub mod coupon;
pub mod credit;
pub mod credit_note;
pub mod deferral;
pub mod document;
pub mod dunning;
pub mod einvoice;
pub mod explain;
pub mod export;
pub mod gift;
pub mod invariants;
pub mod manual;
pub mod merge;
pub mod once;
pub mod order;
pub mod pay_link;
pub mod payment;
pub mod price_change;
pub mod price_override;
pub mod read;
pub mod refund;
pub mod renewals;
pub mod reseller;
pub mod rules;
pub mod schedule;
pub mod screen;
pub mod settlement;
pub mod stock;
pub mod subscription;
pub mod tax;
pub mod time_machine;
pub mod top_up;
pub mod trial;
pub mod unit;
pub mod vat;
pub mod wallet;
pub mod webhook;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, Clock};
use ottery_kit::Host;
use ottery_kit::clock::brand_now;
use ottery_kit::db::{self, Scope};
use ottery_kit::grpc::{Channel, Problem};
use ottery_kit::http::{GuardSettings, GuardedClient, HttpError};
use ottery_proto::catalog::v1::catalog_service_client::CatalogServiceClient;
use sqlx::PgPool;
use sqlx::postgres::PgTransaction;

use crate::config::Config;
use crate::domain::profile::Profile;
use crate::provider::Providers;
use crate::provider::paypal::Anchors;
use crate::store;
use crate::validator::{VatValidator, Vies};

/// Billing with everything it needs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Billing {
    /// Its own database.
    pub pool: PgPool,
    /// The process it runs in.
    pub host: Host,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Its settings.
    pub config: Arc<Config>,
    /// The catalogue.
    pub catalog: CatalogServiceClient<Channel>,
    /// The payment providers it knows.
    pub providers: Providers,
    /// Who knows VAT numbers; none when nobody is asked.
    pub validator: Option<Arc<dyn VatValidator>>,
}

impl Billing {
    /// Billing on that database.
    ///
    /// # Errors
    /// When TLS towards providers and validators cannot be set up.
    pub fn new(config: Config, host: &Host, pool: PgPool) -> Result<Self, HttpError> {
        let prices: Vec<_> = config.coins.price_sources.iter().map(|one| (one.kind, one.base_url.clone())).collect();
        let providers =
            Providers::new(&config.allow_networks, config.payments.call_timeout(), Anchors::web(), &prices)?;
        let client = GuardedClient::new(&GuardSettings {
            allow: config.allow_networks.clone(),
            timeout_ms: config.vat.call_timeout_ms(),
            ..GuardSettings::default()
        })?;
        let url = Some(config.vat.base_url.as_str()).filter(|url| !url.is_empty());
        let validator = url.map(|url| Arc::new(Vies::new(client, url)) as Arc<dyn VatValidator>);
        Ok(Self {
            validator,
            providers,
            pool,
            clock: host.clock.clone(),
            config: Arc::new(config),
            catalog: CatalogServiceClient::new(host.client_channel("catalog")),
            host: host.clone(),
        })
    }

    /// Opens a transaction in the brand and asks the brand's clock.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn begin(&self, brand: BrandId) -> Result<(PgTransaction<'static>, DateTime<Utc>), Problem> {
        let mut tx = db::begin(&self.pool, Scope::Brand(brand)).await?;
        let now = brand_now(&mut tx, brand, &*self.clock).await?;
        Ok((tx, now))
    }

    /// As [`Self::begin`], for what runs with every payment: see [`db::begin_by_key`].
    ///
    /// # Errors
    /// When the database is away.
    pub async fn begin_by_key(&self, brand: BrandId) -> Result<(PgTransaction<'static>, DateTime<Utc>), Problem> {
        let mut tx = db::begin_by_key(&self.pool, Scope::Brand(brand)).await?;
        let now = brand_now(&mut tx, brand, &*self.clock).await?;
        Ok((tx, now))
    }
}

/// The brand's settings.
///
/// # Errors
/// When the catalogue has not told them yet.
pub async fn profile(tx: &mut PgTransaction<'_>, brand: BrandId) -> Result<Profile, Problem> {
    let profile = store::profile::get(tx, brand).await?.ok_or_else(|| {
        Problem::unavailable("BRAND_NOT_READY", "billing has not heard of this brand yet; try again in a moment")
    })?;
    Ok(Profile { rules: store::rules::get(tx, brand).await?, ..profile })
}

/// An amount that does not fit, or a date beyond the calendar: nothing a caller can do about it.
pub(crate) fn broken(error: impl std::error::Error + 'static) -> Problem {
    Problem::internal(&error)
}

//! The JSON of `/api/v1`, and the contract it is made of. What an answer has and a request has not is skipped on the way out.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ottery_proto::billing::v1 as billing;
use ottery_proto::catalog::v1 as catalog;
use ottery_proto::common::v1 as common;
use ottery_proto::provisioning::v1 as provisioning;
use prost_types::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

/// Part of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
}

/// A list that comes whole.
#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    pub items: Vec<T>,
}

/// Answers say null where the contract has nothing.
fn or_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Entity {
    pub id: String,
    pub name: String,
    pub address_lines: Vec<String>,
    pub country: String,
    pub tax_id: String,
    pub time_zone: String,
    pub invoice_series: String,
    pub email: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Tokens {
    pub values: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_empty")]
    pub logo: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Brand {
    #[serde(skip_serializing)]
    pub id: String,
    pub slug: String,
    pub name: String,
    pub hosts: Vec<String>,
    pub entity: Option<Entity>,
    pub default_locale: String,
    pub locales: Vec<String>,
    pub default_currency: String,
    pub currencies: Vec<String>,
    pub time_zone: String,
    pub tokens: Option<Tokens>,
    pub support_email: String,
    pub sender_email: String,
    #[serde(deserialize_with = "or_empty")]
    pub tagline: String,
    pub grace_days: u32,
    pub terminate_after_days: u32,
    pub renewal_lead_hours: u32,
    pub tax_rate_bp: u32,
    #[serde(deserialize_with = "or_empty")]
    pub tax_name: String,
    pub affiliate_rate_bp: u32,
    pub affiliate_hold_days: u32,
    pub reminder_hours: Vec<i32>,
    pub published: bool,
    pub version: u64,
}

impl From<catalog::Brand> for Brand {
    fn from(given: catalog::Brand) -> Self {
        let entity = given.entity.map(|entity| Entity {
            id: entity.id,
            name: entity.name,
            address_lines: entity.address_lines,
            country: entity.country,
            tax_id: entity.tax_id,
            time_zone: entity.time_zone,
            invoice_series: entity.invoice_series,
            email: entity.email,
        });
        let tokens =
            given.tokens.map(|tokens| Tokens { values: tokens.values.into_iter().collect(), logo: tokens.logo });
        Self {
            id: given.id,
            slug: given.slug,
            name: given.name,
            hosts: given.hosts,
            entity,
            default_locale: given.default_locale,
            locales: given.locales,
            default_currency: given.default_currency,
            currencies: given.currencies,
            time_zone: given.time_zone,
            tokens,
            support_email: given.support_email,
            sender_email: given.sender_email,
            tagline: given.tagline,
            grace_days: given.grace_days,
            terminate_after_days: given.terminate_after_days,
            renewal_lead_hours: given.renewal_lead_hours,
            tax_rate_bp: given.tax_rate_bp,
            tax_name: given.tax_name,
            affiliate_rate_bp: given.affiliate_rate_bp,
            affiliate_hold_days: given.affiliate_hold_days,
            reminder_hours: given.reminder_hours,
            published: given.published,
            version: given.version,
        }
    }
}

impl From<Brand> for catalog::Brand {
    fn from(given: Brand) -> Self {
        let entity = given.entity.map(|entity| catalog::LegalEntity {
            id: entity.id,
            name: entity.name,
            address_lines: entity.address_lines,
            country: entity.country,
            tax_id: entity.tax_id,
            time_zone: entity.time_zone,
            invoice_series: entity.invoice_series,
            email: entity.email,
            // Not said here, so it stays as it is.
            tax: None,
        });
        let tokens = given.tokens.map(|tokens| catalog::DesignTokens {
            schema: 1,
            values: tokens.values.into_iter().collect(),
            logo: tokens.logo,
        });
        Self {
            id: given.id,
            slug: given.slug,
            name: given.name,
            hosts: given.hosts,
            entity,
            default_locale: given.default_locale,
            locales: given.locales,
            default_currency: given.default_currency,
            currencies: given.currencies,
            time_zone: given.time_zone,
            tokens,
            support_email: given.support_email,
            sender_email: given.sender_email,
            tagline: given.tagline,
            grace_days: given.grace_days,
            terminate_after_days: given.terminate_after_days,
            renewal_lead_hours: given.renewal_lead_hours,
            tax_rate_bp: given.tax_rate_bp,
            tax_name: given.tax_name,
            affiliate_rate_bp: given.affiliate_rate_bp,
            affiliate_hold_days: given.affiliate_hold_days,
            reminder_hours: given.reminder_hours,
            published: given.published,
            version: given.version,
            ..Self::default()
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Money {
    pub currency: String,
    pub minor: i64,
}

impl From<common::Money> for Money {
    fn from(given: common::Money) -> Self {
        Self { currency: given.currency, minor: given.minor }
    }
}

impl From<Money> for common::Money {
    fn from(given: Money) -> Self {
        Self { currency: given.currency, minor: given.minor }
    }
}

/// An enum of the contract as the API writes it: in snake case and without its prefix.
macro_rules! words {
    ($name:ident of $message:ty { $($word:ident),* }) => {
        #[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub(super) enum $name {
            $($word,)*
            #[default]
            Unspecified,
        }

        impl From<$name> for i32 {
            fn from(given: $name) -> Self {
                match given {
                    $($name::$word => <$message>::$word.into(),)*
                    $name::Unspecified => <$message>::Unspecified.into(),
                }
            }
        }

        impl From<$message> for $name {
            fn from(given: $message) -> Self {
                match given {
                    $(<$message>::$word => Self::$word,)*
                    <$message>::Unspecified => Self::Unspecified,
                }
            }
        }
    };
}

words!(TermUnit of catalog::TermUnit { Day, Week, Month, Year });
words!(PlanState of catalog::plan::State { Draft, OnSale, Archived });
words!(ChangeTiming of catalog::ChangeTiming { ProrateNow, FullPriceReset, AtRenewal });
words!(LateRenewal of catalog::LateRenewal { FromOldEnd, FromPayment });
words!(OptionEffect of catalog::plan_option::Effect { None, Connections });

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Term {
    pub count: u32,
    pub unit: TermUnit,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Price {
    #[serde(skip_serializing)]
    pub id: String,
    pub term: Option<Term>,
    pub amount: Option<Money>,
    pub setup_fee: Option<Money>,
    pub once: bool,
}

impl From<catalog::Term> for Term {
    fn from(given: catalog::Term) -> Self {
        Self { count: given.count, unit: given.unit().into() }
    }
}

impl From<Term> for catalog::Term {
    fn from(given: Term) -> Self {
        Self { count: given.count, unit: given.unit.into() }
    }
}

impl From<catalog::Price> for Price {
    fn from(given: catalog::Price) -> Self {
        Self {
            id: given.id,
            term: given.term.map(Into::into),
            amount: given.amount.map(Into::into),
            setup_fee: given.setup_fee.map(Into::into),
            once: given.once,
        }
    }
}

impl From<Price> for catalog::Price {
    fn from(given: Price) -> Self {
        Self {
            id: given.id,
            term: given.term.map(Into::into),
            amount: given.amount.map(Into::into),
            setup_fee: given.setup_fee.map(Into::into),
            once: given.once,
            ..Self::default()
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Changes {
    pub upgrade: Option<ChangeTiming>,
    pub downgrade: Option<ChangeTiming>,
    pub term: Option<ChangeTiming>,
}

impl From<catalog::ChangePolicy> for Changes {
    fn from(given: catalog::ChangePolicy) -> Self {
        Self {
            upgrade: Some(given.upgrade().into()),
            downgrade: Some(given.downgrade().into()),
            term: Some(given.term().into()),
        }
    }
}

impl From<Changes> for catalog::ChangePolicy {
    fn from(given: Changes) -> Self {
        let timing = |timing: Option<ChangeTiming>| timing.map_or(0, Into::into);
        Self { upgrade: timing(given.upgrade), downgrade: timing(given.downgrade), term: timing(given.term) }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OptionPrice {
    pub term: Term,
    pub amount: Money,
    pub setup_fee: Option<Money>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PlanOption {
    pub key: String,
    pub name: String,
    pub effect: OptionEffect,
    pub min: u32,
    pub max: u32,
    pub step: u32,
    pub included: u32,
    pub prices: Vec<OptionPrice>,
}

impl From<catalog::PlanOption> for PlanOption {
    fn from(given: catalog::PlanOption) -> Self {
        let price = |price: catalog::OptionPrice| OptionPrice {
            term: price.term.unwrap_or_default().into(),
            amount: price.amount.unwrap_or_default().into(),
            setup_fee: price.setup_fee.map(Into::into),
        };
        Self {
            effect: given.effect().into(),
            key: given.key,
            name: given.name,
            min: given.min,
            max: given.max,
            step: given.step,
            included: given.included,
            prices: given.prices.into_iter().map(price).collect(),
        }
    }
}

impl From<PlanOption> for catalog::PlanOption {
    fn from(given: PlanOption) -> Self {
        let price = |price: OptionPrice| catalog::OptionPrice {
            term: Some(price.term.into()),
            amount: Some(price.amount.into()),
            setup_fee: price.setup_fee.map(Into::into),
        };
        Self {
            key: given.key,
            name: given.name,
            effect: given.effect.into(),
            min: given.min,
            max: given.max,
            step: given.step,
            included: given.included,
            prices: given.prices.into_iter().map(price).collect(),
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct AddOn {
    pub plans: Vec<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Stock {
    pub count: Option<u32>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct SaleWindow {
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

fn instant(at: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: at.timestamp(), nanos: at.timestamp_subsec_nanos().cast_signed() }
}

fn moment(at: Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).ok()?)
}

impl From<catalog::SaleWindow> for SaleWindow {
    fn from(given: catalog::SaleWindow) -> Self {
        Self { from: given.from.and_then(moment), until: given.until.and_then(moment) }
    }
}

impl From<SaleWindow> for catalog::SaleWindow {
    fn from(given: SaleWindow) -> Self {
        Self { from: given.from.map(instant), until: given.until.map(instant) }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Mapping {
    pub pool: String,
    pub bouquet_ids: Vec<i64>,
    pub package_id: i64,
    pub outputs: Vec<String>,
    pub region: String,
}

impl From<catalog::PanelMapping> for Mapping {
    fn from(given: catalog::PanelMapping) -> Self {
        Self {
            pool: given.pool,
            bouquet_ids: given.bouquet_ids,
            package_id: given.package_id,
            outputs: given.outputs,
            region: given.region,
        }
    }
}

impl From<Mapping> for catalog::PanelMapping {
    fn from(given: Mapping) -> Self {
        Self {
            pool: given.pool,
            bouquet_ids: given.bouquet_ids,
            package_id: given.package_id,
            outputs: given.outputs,
            region: given.region,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct PlanVersion {
    pub id: String,
    pub number: u32,
    pub name: String,
    pub summary: String,
    pub features: Vec<String>,
    pub connections: u32,
    pub prices: Vec<Price>,
    pub mapping: Option<Mapping>,
    pub trial_days: u32,
    pub anchor_day: Option<u32>,
    pub changes: Option<Changes>,
    pub pause_days_max: Option<u32>,
    pub tax_category: Option<String>,
    pub late_renewal: LateRenewal,
    pub options: Vec<PlanOption>,
    pub addon: Option<AddOn>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Plan {
    pub id: String,
    pub slug: String,
    pub state: PlanState,
    pub current: Option<PlanVersion>,
    pub position: u32,
    pub featured: bool,
    pub version: u64,
    pub stock: Option<Stock>,
    pub sale: Option<SaleWindow>,
}

impl From<Plan> for catalog::Plan {
    fn from(given: Plan) -> Self {
        let current = given.current.map(|version| catalog::PlanVersion {
            id: version.id,
            number: version.number,
            name: version.name,
            summary: version.summary,
            features: version.features,
            connections: version.connections,
            prices: version.prices.into_iter().map(Into::into).collect(),
            mapping: version.mapping.map(Into::into),
            trial_days: version.trial_days,
            anchor_day: version.anchor_day,
            changes: version.changes.map(Into::into),
            pause_days_max: version.pause_days_max,
            tax_category: version.tax_category,
            late_renewal: version.late_renewal.into(),
            options: Some(catalog::PlanOptions { items: version.options.into_iter().map(Into::into).collect() }),
            addon: version.addon.map(|addon| catalog::AddOn { plans: addon.plans }),
            ..catalog::PlanVersion::default()
        });
        Self {
            id: given.id,
            slug: given.slug,
            state: given.state.into(),
            current,
            position: given.position,
            featured: given.featured,
            version: given.version,
            stock: given.stock.map(|stock| catalog::Stock { count: stock.count }),
            sale: given.sale.map(Into::into),
            ..Self::default()
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct PlanInput {
    pub slug: String,
    pub position: u32,
    pub featured: bool,
    pub name: String,
    pub summary: String,
    pub features: Vec<String>,
    pub connections: u32,
    pub prices: Vec<Price>,
    pub mapping: Mapping,
    pub trial_days: u32,
    pub anchor_day: Option<u32>,
    pub changes: Option<Changes>,
    pub pause_days_max: Option<u32>,
    pub tax_category: Option<String>,
    pub late_renewal: Option<LateRenewal>,
    pub options: Option<Vec<PlanOption>>,
    pub addon: Option<AddOn>,
    pub stock: Option<Stock>,
    pub sale: Option<SaleWindow>,
    pub state: Option<PlanState>,
    pub version: u64,
}

impl From<catalog::PutPlanRequest> for PlanInput {
    fn from(given: catalog::PutPlanRequest) -> Self {
        let state = Some(given.state()).filter(|state| *state != catalog::plan::State::Unspecified).map(Into::into);
        let content = given.content.unwrap_or_default();
        let late = Some(content.late_renewal()).filter(|late| *late != catalog::LateRenewal::Unspecified);
        Self {
            slug: given.slug,
            position: given.position,
            featured: given.featured,
            name: content.name,
            summary: content.summary,
            features: content.features,
            connections: content.connections,
            prices: content.prices.into_iter().map(Into::into).collect(),
            mapping: content.mapping.unwrap_or_default().into(),
            trial_days: content.trial_days,
            anchor_day: content.anchor_day,
            changes: content.changes.map(Into::into),
            pause_days_max: content.pause_days_max,
            tax_category: content.tax_category,
            late_renewal: late.map(Into::into),
            options: content.options.map(|options| options.items.into_iter().map(Into::into).collect()),
            addon: content.addon.map(|addon| AddOn { plans: addon.plans }),
            stock: given.stock.map(|stock| Stock { count: stock.count }),
            sale: given.sale.map(Into::into),
            state,
            version: given.expected_version,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct PriceChangeInput {
    pub to_price_id: String,
    pub notice_days: u32,
    pub keep_subscription_ids: Vec<String>,
}

impl From<billing::ChangePriceRequest> for PriceChangeInput {
    fn from(given: billing::ChangePriceRequest) -> Self {
        Self {
            to_price_id: given.to_price_id,
            notice_days: given.notice_days,
            keep_subscription_ids: given.keep_subscription_ids,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct PriceChangeRow {
    pub subscription_id: String,
    pub account_id: String,
    pub effective_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PriceChange {
    pub rows: Vec<PriceChangeRow>,
    pub more: bool,
}

impl From<PriceChange> for billing::ChangePriceReply {
    fn from(given: PriceChange) -> Self {
        let row = |row: PriceChangeRow| billing::change_price_reply::Row {
            subscription_id: row.subscription_id,
            account_id: row.account_id,
            effective_at: row.effective_at.map(instant),
            ..Default::default()
        };
        Self { rows: given.rows.into_iter().map(row).collect(), more: given.more }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Panel {
    #[serde(skip_serializing)]
    pub id: String,
    pub name: String,
    pub driver: String,
    pub base_url: String,
    pub player_url: String,
    #[serde(deserialize_with = "or_empty")]
    pub region: String,
    #[serde(deserialize_with = "or_empty")]
    pub pool: String,
    pub capacity: u32,
    pub rate_per_second: f64,
    pub concurrency: u32,
    pub enabled: bool,
    pub sandbox: bool,
    #[serde(deserialize_with = "or_empty")]
    pub sandbox_control_url: String,
    #[serde(deserialize_with = "or_empty")]
    pub time_zone: String,
    #[serde(skip_serializing, deserialize_with = "or_empty")]
    pub api_key_hint: String,
    pub version: u64,
}

impl From<provisioning::Panel> for Panel {
    fn from(given: provisioning::Panel) -> Self {
        Self {
            id: given.id,
            name: given.name,
            driver: given.driver,
            base_url: given.base_url,
            player_url: given.player_url,
            region: given.region,
            pool: given.pool,
            capacity: given.capacity,
            rate_per_second: given.rate_per_second,
            concurrency: given.concurrency,
            enabled: given.enabled,
            sandbox: given.sandbox,
            sandbox_control_url: given.sandbox_control_url,
            time_zone: given.time_zone,
            api_key_hint: given.api_key_hint,
            version: given.version,
        }
    }
}

impl From<Panel> for provisioning::Panel {
    fn from(given: Panel) -> Self {
        Self {
            id: given.id,
            name: given.name,
            driver: given.driver,
            base_url: given.base_url,
            player_url: given.player_url,
            region: given.region,
            pool: given.pool,
            capacity: given.capacity,
            rate_per_second: given.rate_per_second,
            concurrency: given.concurrency,
            enabled: given.enabled,
            sandbox: given.sandbox,
            sandbox_control_url: given.sandbox_control_url,
            time_zone: given.time_zone,
            api_key_hint: given.api_key_hint,
            version: given.version,
            ..Self::default()
        }
    }
}

#[derive(Serialize)]
pub(super) struct PanelInput {
    #[serde(flatten)]
    pub panel: Panel,
    pub api_key: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Account {
    pub id: String,
    pub provider: String,
    #[serde(deserialize_with = "or_empty")]
    pub base_url: String,
    #[serde(deserialize_with = "or_empty")]
    pub api_key_hint: String,
    pub version: u64,
}

impl From<Account> for billing::ProviderAccount {
    fn from(given: Account) -> Self {
        Self {
            id: given.id,
            provider: given.provider,
            base_url: given.base_url,
            api_key_hint: given.api_key_hint,
            version: given.version,
            ..Self::default()
        }
    }
}

#[derive(Serialize)]
pub(super) struct AccountInput {
    pub provider: String,
    pub base_url: String,
    pub api_key: String,
    pub webhook_secrets: Vec<String>,
    pub version: u64,
}

impl From<billing::PutProviderAccountRequest> for AccountInput {
    fn from(given: billing::PutProviderAccountRequest) -> Self {
        Self {
            provider: given.provider,
            base_url: given.base_url,
            api_key: given.api_key,
            webhook_secrets: given.webhook_secrets,
            version: given.expected_version,
        }
    }
}

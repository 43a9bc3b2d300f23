//! Settings of billing; `config.default.toml` explains them.

use std::time::Duration;

use chrono::TimeDelta;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::domain::dunning;
use crate::domain::profile::Profile;
use crate::provider::coin::PriceSource;

/// Settings of the service.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Internal networks a provider may live in all the same; operators type providers' addresses.
    pub allow_networks: Vec<IpNet>,
    /// Renewals and dunning.
    pub renewals: Renewals,
    /// How patient billing is where no brand decides.
    pub patience: Patience,
    /// Calls to payment providers.
    pub payments: Payments,
    /// Payments by coins.
    pub coins: Coins,
    /// Payments that people record.
    pub by_hand: ByHand,
    /// What the fraud screen remembers.
    pub screening: Screening,
    /// Validation of VAT numbers.
    pub vat: Vat,
    /// Runs of the time machine.
    pub time_machine: TimeMachine,
}

/// Runs of the time machine.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TimeMachine {
    /// How often an idle worker looks.
    pub poll_ms: u64,
    /// How long a worker that is gone keeps the others waiting.
    pub lease_seconds: u64,
    /// How long a run may take.
    pub run_minutes_max: u32,
    /// How long results are kept.
    pub keep_days: u32,
}

impl TimeMachine {
    /// How often an idle worker looks.
    #[must_use]
    pub const fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }

    /// How long a worker may be silent before another takes over.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }

    /// How long a run may take.
    #[must_use]
    pub fn limit(&self) -> Duration {
        Duration::from_secs(60 * u64::from(self.run_minutes_max))
    }

    /// How long results are kept.
    #[must_use]
    pub fn keep(&self) -> TimeDelta {
        TimeDelta::days(self.keep_days.into())
    }
}

/// What the fraud screen remembers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Screening {
    /// How long the network, its country and the browser of an order are kept.
    pub keep_days: u32,
}

impl Screening {
    /// How long the network, its country and the browser of an order are kept.
    #[must_use]
    pub fn keep(&self) -> TimeDelta {
        TimeDelta::days(self.keep_days.into())
    }
}

/// Validation of VAT numbers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Vat {
    /// Where the service is that speaks like VIES; empty: nobody is asked.
    pub base_url: String,
    /// How long a call may take.
    pub call_timeout_seconds: u64,
    /// How old a proof may be when a new period is billed.
    pub proof_hours: u32,
}

impl Vat {
    /// How long a call may take, in milliseconds.
    #[must_use]
    pub const fn call_timeout_ms(&self) -> u64 {
        self.call_timeout_seconds * 1_000
    }

    /// How old a proof may be when a new period is billed.
    #[must_use]
    pub fn proof_age_max(&self) -> TimeDelta {
        TimeDelta::hours(self.proof_hours.into())
    }
}

/// Calls to payment providers, all in real time.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Payments {
    /// How often idle workers look, beside being woken.
    pub poll_ms: u64,
    /// How long a call may take before its outcome is unknown.
    pub call_timeout_seconds: u64,
    /// How long a payment page is given before the provider is asked what became of it.
    pub page_patience_seconds: u32,
    /// When an unknown outcome becomes a task for staff.
    pub unknown_minutes: u32,
    /// Events and calls worked on at the same time.
    pub concurrency: u32,
}

impl Payments {
    /// How often idle workers look.
    #[must_use]
    pub const fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }

    /// How long a call may take.
    #[must_use]
    pub const fn call_timeout(&self) -> Duration {
        Duration::from_secs(self.call_timeout_seconds)
    }

    /// How long a worker may hold a claim: longer than any call it makes.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        Duration::from_secs(self.call_timeout_seconds * 3)
    }

    /// How long a payment page is given before the provider is asked.
    #[must_use]
    pub fn page_patience(&self) -> TimeDelta {
        TimeDelta::seconds(self.page_patience_seconds.into())
    }

    /// When an unknown outcome becomes a task.
    #[must_use]
    pub fn unknown_max(&self) -> TimeDelta {
        TimeDelta::minutes(self.unknown_minutes.into())
    }
}

/// Payments that people record.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ByHand {
    /// How long files that customers send as proofs are kept.
    pub proof_days: u32,
}

/// Payments by coins.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Coins {
    /// Who says what a coin costs.
    pub price_sources: Vec<Source>,
}

/// Somebody who says what a coin costs.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// As which exchange it is spoken to.
    pub kind: PriceSource,
    /// Where it is.
    pub base_url: String,
}

/// Pace of the scheduler.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Renewals {
    /// Subscriptions of one transaction.
    pub batch_size: u32,
    /// Schedulers of one replica.
    pub workers: u32,
    /// How often idle workers look for what is due.
    pub poll_ms: u64,
    /// How long a batch may take before another scheduler takes over.
    pub lease_seconds: u64,
    /// Off-session charges relative to the due instant, in hours.
    pub charge_hours: Vec<u32>,
}

/// Where no brand decides.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Patience {
    /// How long an order waits for its first payment.
    pub abandon_order_hours: u32,
    /// How long the price of an upgrade stays good.
    pub change_valid_hours: u32,
    /// How long beyond the grace an unfinished payment holds a suspension back.
    pub unfinished_payment_hours: u32,
    /// How long dunning waits for a customer whose bank wants them to confirm.
    pub confirm_pause_hours: u32,
    /// Least time between two contacts of a customer.
    pub contact_cooldown_hours: u32,
    /// How long the link in a mail pays its invoice without signing in.
    pub pay_link_days: u32,
    /// How long before a saved card expires its owner hears of it.
    pub expiry_notice_days: u32,
}

impl Renewals {
    /// How often idle workers look for what is due.
    #[must_use]
    pub const fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }

    /// How long a claim lasts.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }
}

impl Config {
    /// How long a link to pay is good.
    #[must_use]
    pub fn pay_link(&self) -> TimeDelta {
        TimeDelta::days(self.patience.pay_link_days.into())
    }

    /// How long before a saved card expires its owner hears of it.
    #[must_use]
    pub fn expiry_notice(&self) -> TimeDelta {
        TimeDelta::days(self.patience.expiry_notice_days.into())
    }

    /// The patience of a brand.
    #[must_use]
    pub fn dunning(&self, profile: &Profile) -> dunning::Settings {
        let hours = |hours: u32| TimeDelta::hours(hours.into());
        dunning::Settings {
            lead: hours(profile.renewal_lead_hours),
            grace: profile.grace(),
            terminate_after: TimeDelta::days(profile.terminate_after_days.into()),
            reminders: profile.reminder_hours.iter().map(|offset| TimeDelta::hours((*offset).into())).collect(),
            charges: self.renewals.charge_hours.iter().copied().map(hours).collect(),
            abandon_after: hours(self.patience.abandon_order_hours),
            change_valid: hours(self.patience.change_valid_hours),
            hold_max: hours(self.patience.unfinished_payment_hours),
            tries_other_method: true,
            confirm_pause: hours(self.patience.confirm_pause_hours),
            cooldown: hours(self.patience.contact_cooldown_hours),
            window: None,
            zone: profile.zone,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use ottery_kit::config::{Section, Sources};

    use super::Config;

    /// As installed.
    pub(crate) fn defaults() -> Config {
        let section = Section { name: crate::NAME, defaults: crate::DEFAULTS };
        ottery_kit::config::load(section, &Sources::none()).expect("the defaults are a configuration").value
    }
}

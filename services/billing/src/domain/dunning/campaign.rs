//! What a brand does about invoices that are not paid. A campaign is versioned; a case keeps the version it began with.

use std::collections::HashSet;

use chrono::TimeDelta;
use ottery_kernel::PlanId;
use serde::{Deserialize, Serialize};

use super::Settings;
use super::window::Window;

/// Contacts of one campaign.
const CONTACTS_MAX: usize = 12;
/// A month before due to a quarter after it.
const CONTACT_HOURS: std::ops::RangeInclusive<i32> = -720..=2160;
/// Card networks fine shops for more tries of one charge within a month (Visa 15, Mastercard 35 in 30 days); half of the
/// stricter one leaves room for what the customer tries.
const CHARGES_MAX: usize = 8;
const CHARGE_HOURS_MAX: u32 = 720;
const CHARGE_GAP_HOURS_MIN: u32 = 6;
const CONFIRM_PAUSE_HOURS_MAX: u32 = 168;
/// Nobody hears of the same debt twice a day.
const COOLDOWN_HOURS: std::ops::RangeInclusive<u32> = 20..=168;
const WINDOW_HOURS_MIN: u32 = 4;
const GRACE_DAYS_MAX: u32 = 60;
const TERMINATE_DAYS: std::ops::RangeInclusive<u32> = 1..=365;
const PLANS_MAX: usize = 100;
const HALT_COUNT: std::ops::RangeInclusive<u32> = 1..=100_000;
const SHARE_PERCENT: std::ops::RangeInclusive<u32> = 1..=100;

/// How a customer is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A mail.
    Mail,
    /// A notice in their account, until it is paid or they do not want to see it any more.
    InApp,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Mail, Self::InApp];

    /// As stored and told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::InApp => "in_app",
        }
    }

    /// The channel called `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == text)
    }
}

/// One time somebody is reminded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// Hours after the invoice is due; negative is before.
    pub hours: i32,
    /// How.
    pub channels: Vec<Channel>,
}

/// How long somebody who does not pay is served and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patience {
    /// Days from due to suspension.
    pub grace_days: u32,
    /// Days from suspension to the end.
    pub terminate_after_days: u32,
}

/// The patience with buyers of one plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanPatience {
    /// Which plan.
    pub plan: PlanId,
    /// How long.
    pub patience: Patience,
}

/// How many suspensions within an hour are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HaltLimit {
    /// So many always are.
    pub count: u32,
    /// And this share of the live subscriptions, whichever is more.
    pub share_percent: u32,
}

impl HaltLimit {
    /// Where no campaign says otherwise.
    pub const USUAL: Self = Self { count: 50, share_percent: 5 };
}

/// A campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Campaign {
    /// Earliest first.
    pub contacts: Vec<Contact>,
    /// Hours after due at which the saved method is charged, earliest first; all but the first follow a soft decline.
    pub charge_hours: Vec<u32>,
    /// After a decline that no retry of the same method can change, another saved method is charged.
    pub tries_other_method: bool,
    /// How long everything waits for a customer whose bank wants them to confirm, in hours.
    pub confirm_pause_hours: u32,
    /// Least hours between two contacts of a customer, whatever they are about.
    pub cooldown_hours: u32,
    /// When customers are reminded, charged again, suspended and ended, by their own clock; always when none is given.
    pub window: Option<Window>,
    /// With everybody.
    pub patience: Patience,
    /// With buyers of these plans instead.
    pub plans: Vec<PlanPatience>,
    /// How many suspensions an hour are believed.
    pub halt: HaltLimit,
}

/// A campaign that says something impossible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct Invalid {
    /// Where: `contacts[2].hours`.
    pub field: String,
    /// Stable word for the rule.
    pub code: &'static str,
    /// What would be accepted, and what was given.
    pub rule: String,
}

fn invalid(field: impl Into<String>, code: &'static str, rule: impl Into<String>) -> Invalid {
    Invalid { field: field.into(), code, rule: rule.into() }
}

fn ranged<T: PartialOrd + std::fmt::Display + Copy>(
    field: impl Into<String>,
    range: &std::ops::RangeInclusive<T>,
    given: T,
) -> Result<(), Invalid> {
    if range.contains(&given) {
        return Ok(());
    }
    Err(invalid(field, "RANGE", format!("use {} to {}, got {given}", range.start(), range.end())))
}

impl Campaign {
    /// Checks every rule.
    ///
    /// # Errors
    /// The first rule that is broken, with its field and what would be accepted.
    pub fn check(&self) -> Result<(), Invalid> {
        self.check_patience()?;
        self.check_contacts()?;
        self.check_charges()?;
        ranged("confirm_pause_hours", &(0..=CONFIRM_PAUSE_HOURS_MAX), self.confirm_pause_hours)?;
        ranged("cooldown_hours", &COOLDOWN_HOURS, self.cooldown_hours)?;
        if let Some(window) = self.window {
            ranged("window.from_hour", &(0..=23), window.from_hour)?;
            ranged("window.to_hour", &(1..=24), window.to_hour)?;
            if window.to_hour < window.from_hour + WINDOW_HOURS_MIN {
                let rule = format!(
                    "leave at least {WINDOW_HOURS_MIN} hours of the day, got {} to {}",
                    window.from_hour, window.to_hour
                );
                return Err(invalid("window.to_hour", "WINDOW_NARROW", rule));
            }
        }
        ranged("halt.count", &HALT_COUNT, self.halt.count)?;
        ranged("halt.share_percent", &SHARE_PERCENT, self.halt.share_percent)
    }

    fn check_patience(&self) -> Result<(), Invalid> {
        let both = |at: &str, patience: Patience| {
            ranged(format!("{at}grace_days"), &(0..=GRACE_DAYS_MAX), patience.grace_days)?;
            ranged(format!("{at}terminate_after_days"), &TERMINATE_DAYS, patience.terminate_after_days)
        };
        both("", self.patience)?;
        if self.plans.len() > PLANS_MAX {
            return Err(invalid("plans", "TOO_MANY", format!("name at most {PLANS_MAX}, got {}", self.plans.len())));
        }
        let mut seen = HashSet::new();
        for (n, plan) in self.plans.iter().enumerate() {
            if !seen.insert(plan.plan) {
                return Err(invalid(format!("plans[{n}].plan_id"), "TWICE", format!("{} is named twice", plan.plan)));
            }
            both(&format!("plans[{n}]."), plan.patience)?;
        }
        Ok(())
    }

    fn check_contacts(&self) -> Result<(), Invalid> {
        if self.contacts.len() > CONTACTS_MAX {
            let rule = format!("use at most {CONTACTS_MAX}, got {}", self.contacts.len());
            return Err(invalid("contacts", "TOO_MANY", rule));
        }
        let ends = i64::from(self.patience.grace_days + self.patience.terminate_after_days) * 24;
        let mut before: Option<i32> = None;
        for (n, contact) in self.contacts.iter().enumerate() {
            let field = format!("contacts[{n}].hours");
            ranged(&field, &CONTACT_HOURS, contact.hours)?;
            if let Some(before) = before.filter(|before| *before >= contact.hours) {
                let rule = format!("list contacts from the earliest to the latest; {} follows {before}", contact.hours);
                return Err(invalid(field, "ORDER", rule));
            }
            if i64::from(contact.hours) >= ends {
                let rule = format!(
                    "use less than {ends} hours, when the subscription is over (grace and termination days), got {}",
                    contact.hours
                );
                return Err(invalid(field, "AFTER_END", rule));
            }
            let channels: HashSet<_> = contact.channels.iter().collect();
            if channels.is_empty() || channels.len() != contact.channels.len() {
                let rule = "name each channel once, at least one; there are: mail, in_app";
                return Err(invalid(format!("contacts[{n}].channels"), "CHANNELS", rule));
            }
            before = Some(contact.hours);
        }
        Ok(())
    }

    fn check_charges(&self) -> Result<(), Invalid> {
        if self.charge_hours.len() > CHARGES_MAX {
            let rule =
                format!("use at most {CHARGES_MAX}, or card networks charge for it; got {}", self.charge_hours.len());
            return Err(invalid("charge_hours", "TOO_MANY", rule));
        }
        let grace = self.patience.grace_days * 24;
        let mut before: Option<u32> = None;
        for (n, hours) in self.charge_hours.iter().copied().enumerate() {
            let field = format!("charge_hours[{n}]");
            ranged(&field, &(0..=CHARGE_HOURS_MAX), hours)?;
            if let Some(before) = before.filter(|before| hours < before + CHARGE_GAP_HOURS_MIN) {
                let rule = format!("leave {CHARGE_GAP_HOURS_MIN} hours after the one before ({before}), got {hours}");
                return Err(invalid(field, "GAP", rule));
            }
            if hours > 0 && hours >= grace {
                let rule =
                    format!("use less than {grace}, the hours of the grace: nobody suspended is charged; got {hours}");
                return Err(invalid(field, "AFTER_SUSPENSION", rule));
            }
            before = Some(hours);
        }
        Ok(())
    }

    /// How a customer hears of a step, counted from 1.
    #[must_use]
    pub fn channels_of(&self, step: u32) -> &[Channel] {
        let contact = usize::try_from(step).ok().and_then(|step| self.contacts.get(step.checked_sub(1)?));
        contact.map_or(&[Channel::Mail], |contact| &contact.channels)
    }

    /// The patience with buyers of a plan.
    #[must_use]
    pub fn patience_with(&self, plan: PlanId) -> Patience {
        self.plans.iter().find(|named| named.plan == plan).map_or(self.patience, |named| named.patience)
    }

    /// What [`super::next`] goes by for a buyer of this plan: the brand's settings, as far as the campaign does not say
    /// otherwise.
    #[must_use]
    pub fn applied(&self, brand: &Settings, plan: PlanId) -> Settings {
        let hours = |hours: u32| TimeDelta::hours(hours.into());
        let patience = self.patience_with(plan);
        Settings {
            grace: TimeDelta::days(patience.grace_days.into()),
            terminate_after: TimeDelta::days(patience.terminate_after_days.into()),
            reminders: self.contacts.iter().map(|contact| TimeDelta::hours(contact.hours.into())).collect(),
            charges: self.charge_hours.iter().copied().map(hours).collect(),
            tries_other_method: self.tries_other_method,
            confirm_pause: hours(self.confirm_pause_hours),
            cooldown: hours(self.cooldown_hours),
            window: self.window,
            ..brand.clone()
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn campaign() -> Campaign {
        let contact = |hours| Contact { hours, channels: vec![Channel::Mail] };
        Campaign {
            contacts: [-72, 24, 96, 240].map(contact).into(),
            charge_hours: vec![0, 24, 72, 120],
            tries_other_method: true,
            confirm_pause_hours: 24,
            cooldown_hours: 20,
            window: Some(Window { from_hour: 9, to_hour: 20 }),
            patience: Patience { grace_days: 7, terminate_after_days: 14 },
            plans: Vec::new(),
            halt: HaltLimit::USUAL,
        }
    }

    #[test]
    fn a_sensible_campaign_is_accepted_and_reads_back() {
        let campaign = campaign();
        campaign.check().unwrap();
        let text = serde_json::to_string(&campaign).unwrap();
        assert_eq!(serde_json::from_str::<Campaign>(&text).unwrap(), campaign);
    }

    #[test]
    fn a_step_is_heard_of_by_its_channels_and_one_nobody_planned_by_mail() {
        let mut campaign = campaign();
        campaign.contacts[1].channels = vec![Channel::InApp, Channel::Mail];
        campaign.check().unwrap();
        assert_eq!(campaign.channels_of(2), [Channel::InApp, Channel::Mail]);
        assert_eq!(
            (campaign.channels_of(1), campaign.channels_of(0)),
            ([Channel::Mail].as_slice(), [Channel::Mail].as_slice())
        );
        assert_eq!(campaign.channels_of(99), [Channel::Mail]);
        campaign.contacts[1].channels.push(Channel::Mail);
        assert_eq!(campaign.check().unwrap_err().code, "CHANNELS");
    }

    #[test]
    fn what_is_impossible_names_its_field_and_rule() {
        type Change = fn(&mut Campaign);
        let refused = |change: Change| {
            let mut campaign = campaign();
            change(&mut campaign);
            let invalid = campaign.check().unwrap_err();
            (invalid.field, invalid.code)
        };
        let cases: [(Change, &str, &str); 14] = [
            (|it| it.contacts[1].hours = -80, "contacts[1].hours", "ORDER"),
            (|it| it.contacts[0].hours = -721, "contacts[0].hours", "RANGE"),
            (|it| it.contacts[3].hours = 21 * 24, "contacts[3].hours", "AFTER_END"),
            (|it| it.contacts[2].channels.clear(), "contacts[2].channels", "CHANNELS"),
            (|it| it.contacts = vec![it.contacts[0].clone(); 13], "contacts", "TOO_MANY"),
            (|it| it.charge_hours = (0..9).map(|n| n * 12).collect(), "charge_hours", "TOO_MANY"),
            (|it| it.charge_hours[1] = 3, "charge_hours[1]", "GAP"),
            (|it| it.charge_hours[3] = 168, "charge_hours[3]", "AFTER_SUSPENSION"),
            (|it| it.confirm_pause_hours = 169, "confirm_pause_hours", "RANGE"),
            (|it| it.cooldown_hours = 1, "cooldown_hours", "RANGE"),
            (|it| it.window = Some(Window { from_hour: 9, to_hour: 12 }), "window.to_hour", "WINDOW_NARROW"),
            (|it| it.patience.terminate_after_days = 0, "terminate_after_days", "RANGE"),
            (|it| it.halt.count = 0, "halt.count", "RANGE"),
            (|it| it.halt.share_percent = 101, "halt.share_percent", "RANGE"),
        ];
        for (change, field, code) in cases {
            assert_eq!(refused(change), (field.to_owned(), code));
        }
    }

    #[test]
    fn a_plan_has_a_patience_of_its_own() {
        let mut campaign = campaign();
        let (known, other) = (PlanId::from_uuid(uuid::Uuid::from_u128(1)), PlanId::from_uuid(uuid::Uuid::from_u128(2)));
        let own = PlanPatience { plan: known, patience: Patience { grace_days: 1, terminate_after_days: 2 } };
        campaign.plans = vec![own];
        assert_eq!(campaign.patience_with(known), own.patience);
        assert_eq!(campaign.patience_with(other), campaign.patience);
        campaign.plans.push(own);
        assert_eq!(campaign.check().unwrap_err().code, "TWICE");
    }
}

//! What may be asked of the time machine.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Assumption, NewPrice, Scenario};

/// How far ahead it goes.
pub const DAYS_MAX: i64 = 400;
/// How far one move of the clock may go.
pub const STEP_MINUTES: std::ops::RangeInclusive<u32> = 5..=1_440;
/// Prices of one scenario.
pub const PRICES_MAX: usize = 20;
/// Days of notice of a new price; as for a real one.
const NOTICE_DAYS: std::ops::RangeInclusive<u32> = 7..=365;
const PATIENCE_DAYS_MAX: u32 = 365;
const LEAD_HOURS_MAX: u32 = 24 * 60;
const REMINDERS_MAX: usize = 10;
const REMINDER_HOURS: std::ops::RangeInclusive<i32> = -720..=720;

/// Where to, how, and under which settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The last instant that is lived through.
    pub to: DateTime<Utc>,
    /// The clock moves by this much; what is due in between happens at the end of it.
    pub step_minutes: u32,
    /// The first run.
    pub base: Scenario,
    /// A second one, to be held against the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<Scenario>,
}

/// What is wrong with an ask.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct Invalid {
    /// Which field.
    pub field: String,
    /// Stable.
    pub code: &'static str,
    /// The rule, and what would be accepted.
    pub rule: String,
}

impl Ask {
    /// How far the clock moves at once.
    #[must_use]
    pub fn step(&self) -> TimeDelta {
        TimeDelta::minutes(self.step_minutes.into())
    }

    /// Checks it for a brand whose time is `now`.
    ///
    /// # Errors
    /// The first rule that is broken, with its field.
    pub fn check(&self, now: DateTime<Utc>) -> Result<(), Invalid> {
        let limit = now + TimeDelta::days(DAYS_MAX);
        if self.to <= now || self.to > limit {
            let rule = format!(
                "use an instant after the brand's now ({}) and at most {DAYS_MAX} days ahead ({})",
                now.to_rfc3339(),
                limit.to_rfc3339()
            );
            return Err(invalid("to", "TO_RANGE", rule));
        }
        within("step_minutes", "STEP_RANGE", self.step_minutes, STEP_MINUTES, "minutes")?;
        check("base", &self.base)?;
        self.other.as_ref().map_or(Ok(()), |other| check("other", other))?;
        if self.other.as_ref() == Some(&self.base) {
            return Err(invalid(
                "other",
                "SAME_SETTINGS",
                "is the same as base; change something or leave it out".into(),
            ));
        }
        Ok(())
    }
}

fn invalid(field: impl Into<String>, code: &'static str, rule: String) -> Invalid {
    Invalid { field: field.into(), code, rule }
}

fn within<T: PartialOrd + std::fmt::Display>(
    field: impl Into<String>,
    code: &'static str,
    value: T,
    range: std::ops::RangeInclusive<T>,
    unit: &str,
) -> Result<(), Invalid> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(invalid(field, code, format!("use {} to {} {unit}, got {value}", range.start(), range.end())))
}

fn check(side: &str, scenario: &Scenario) -> Result<(), Invalid> {
    if let Assumption::Share { declined_bp, .. } = scenario.assumption {
        let field = format!("{side}.assumption.declined_bp");
        within(field, "SHARE_RANGE", declined_bp, 0..=10_000, "basis points (10000 is all)")?;
    }
    if let Some(campaign) = &scenario.campaign {
        campaign
            .check()
            .map_err(|error| invalid(format!("{side}.campaign.{}", error.field), error.code, error.rule.to_string()))?;
    }
    for (name, days) in [("grace_days", scenario.grace_days), ("terminate_after_days", scenario.terminate_after_days)] {
        if let Some(days) = days {
            within(format!("{side}.{name}"), "DAYS_RANGE", days, 0..=PATIENCE_DAYS_MAX, "days")?;
        }
    }
    if let Some(hours) = scenario.renewal_lead_hours {
        within(format!("{side}.renewal_lead_hours"), "LEAD_RANGE", hours, 1..=LEAD_HOURS_MAX, "hours")?;
    }
    if let Some(reminders) = &scenario.reminder_hours {
        let field = format!("{side}.reminder_hours");
        let is_sorted = reminders.windows(2).all(|pair| pair[0] < pair[1]);
        let is_near = reminders.iter().all(|hours| REMINDER_HOURS.contains(hours));
        if reminders.len() > REMINDERS_MAX || !is_sorted || !is_near {
            let rule = format!(
                "at most {REMINDERS_MAX}, earliest first, each once, from {} to {} hours after due",
                REMINDER_HOURS.start(),
                REMINDER_HOURS.end()
            );
            return Err(invalid(field, "REMINDERS", rule));
        }
    }
    if scenario.prices.len() > PRICES_MAX {
        let rule = format!("at most {PRICES_MAX} prices, got {}", scenario.prices.len());
        return Err(invalid(format!("{side}.prices"), "TOO_MANY_PRICES", rule));
    }
    for (n, price) in scenario.prices.iter().enumerate() {
        let NewPrice { amount_minor, notice_days, .. } = price;
        if *amount_minor < 0 {
            let rule = format!("a price is not below zero, got {amount_minor}");
            return Err(invalid(format!("{side}.prices[{n}].amount_minor"), "PRICE_NEGATIVE", rule));
        }
        within(format!("{side}.prices[{n}].notice_days"), "NOTICE_DAYS", *notice_days, NOTICE_DAYS, "days")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ottery_kernel::PriceId;

    use super::*;

    fn ask() -> Ask {
        let base = Scenario::unchanged(Assumption::Succeed);
        Ask { to: now() + TimeDelta::days(30), step_minutes: 60, base, other: None }
    }

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
    }

    #[test]
    fn a_sensible_ask_is_accepted() {
        assert_eq!(ask().check(now()), Ok(()));
    }

    #[test]
    fn each_broken_rule_names_its_field() {
        let price = |amount_minor, notice_days| NewPrice { price: PriceId::new(now()), amount_minor, notice_days };
        let with = |change: fn(&mut Scenario)| {
            let mut other = Scenario::unchanged(Assumption::AsBefore);
            change(&mut other);
            Ask { other: Some(other), ..ask() }
        };
        let cases = [
            (Ask { to: now(), ..ask() }, "to"),
            (Ask { to: now() + TimeDelta::days(401), ..ask() }, "to"),
            (Ask { step_minutes: 1, ..ask() }, "step_minutes"),
            (Ask { other: Some(ask().base), ..ask() }, "other"),
            (with(|other| other.grace_days = Some(400)), "other.grace_days"),
            (with(|other| other.renewal_lead_hours = Some(0)), "other.renewal_lead_hours"),
            (with(|other| other.reminder_hours = Some(vec![24, -24])), "other.reminder_hours"),
            (
                with(|other| {
                    other.assumption =
                        Assumption::Share { declined_bp: 10_001, class: super::super::Class::Soft, seed: 1 };
                }),
                "other.assumption.declined_bp",
            ),
            (
                Ask { base: Scenario { prices: vec![price(-1, 30)], ..ask().base }, ..ask() },
                "base.prices[0].amount_minor",
            ),
            (
                Ask { base: Scenario { prices: vec![price(100, 1)], ..ask().base }, ..ask() },
                "base.prices[0].notice_days",
            ),
        ];
        for (ask, field) in cases {
            assert_eq!(ask.check(now()).unwrap_err().field, field);
        }
    }
}

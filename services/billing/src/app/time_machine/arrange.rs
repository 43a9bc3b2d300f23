//! What is changed in the copy before time moves: as if staff had saved it at that moment.

use chrono::TimeDelta;
use ottery_kernel::{Money, PriceId};
use ottery_kit::grpc::Problem;

use super::Journey;
use crate::app::profile;
use crate::domain::calendar::PriceChange;
use crate::domain::rules::InvoiceRules;
use crate::domain::time_machine::{NewPrice, Scenario};
use crate::store;
use crate::store::dunning::Saved;

/// Who saved a campaign that is only tried.
const SAVED_BY: &str = "time machine";

impl Journey {
    /// Makes the copy as the scenario wants it. What it does not name stays as it is.
    ///
    /// # Errors
    /// When nobody has a price that is to be changed, or the database fails.
    pub async fn arrange(&self, scenario: &Scenario) -> Result<(), Problem> {
        let brand = self.brand;
        let (mut tx, now) = self.billing.begin(brand).await?;
        let mut profile = profile(&mut tx, brand).await?;
        profile.grace_days = scenario.grace_days.unwrap_or(profile.grace_days);
        profile.terminate_after_days = scenario.terminate_after_days.unwrap_or(profile.terminate_after_days);
        profile.renewal_lead_hours = scenario.renewal_lead_hours.unwrap_or(profile.renewal_lead_hours);
        if let Some(reminders) = &scenario.reminder_hours {
            profile.reminder_hours.clone_from(reminders);
        }
        store::profile::replace(&mut tx, &profile).await?;
        if let Some(unpaid_at_end) = scenario.unpaid_at_end {
            let rules = InvoiceRules { unpaid_at_end, version: profile.rules.version + 1, ..profile.rules };
            store::rules::put(&mut tx, brand, &rules, now).await?;
        }
        if let Some(campaign) = &scenario.campaign {
            let version = store::dunning::newest(&mut tx, 1).await?.pop().map_or(1, |saved| saved.version + 1);
            let saved = Saved { version, campaign: campaign.clone(), saved_by: SAVED_BY.into(), created_at: now };
            store::dunning::insert(&mut tx, brand, &saved).await?;
        }
        tx.commit().await?;
        for price in &scenario.prices {
            self.announce(*price).await?;
        }
        Ok(())
    }

    async fn announce(&self, new: NewPrice) -> Result<(), Problem> {
        let (mut tx, now) = self.billing.begin(self.brand).await?;
        let mut offer =
            store::time_machine::offer_of_price(&mut tx, new.price).await?.ok_or_else(|| nobody_has(new.price))?;
        drop(tx);
        offer.price = Money::new(new.amount_minor, offer.price.currency);
        offer.price_id = PriceId::new(now);
        let change = PriceChange { offer, from: now + TimeDelta::days(new.notice_days.into()) };
        self.billing.assume_price(self.brand, &change).await
    }
}

/// A price that is to be changed and that no subscription has.
pub(super) fn nobody_has(price: PriceId) -> Problem {
    Problem::not_found("PRICE_NOT_IN_USE", format!("no subscription has the price {price}; name one that somebody has"))
}

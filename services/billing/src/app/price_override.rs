//! Staff gives one subscription another price for a time, with a reason that stays in the audit chain.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, Money, SubscriptionId};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use serde_json::json;

use super::change::no_open_period;
use super::subscription::{close, open, pass_ends};
use super::{Billing, broken};
use crate::domain::price_override::{OverrideRefused, PriceOverride};
use crate::domain::subscription::{State, Subscription};

/// What staff asks for.
#[derive(Clone, Debug)]
pub struct Give {
    /// One term of the plan itself; none takes a price that was given back.
    pub price: Option<Money>,
    /// Renewals that begin here or later cost the plan's price again; none: no end.
    pub until: Option<DateTime<Utc>>,
    /// Why.
    pub reason: String,
}

impl From<OverrideRefused> for Problem {
    fn from(refused: OverrideRefused) -> Self {
        let message = refused.to_string();
        match refused {
            OverrideRefused::Currency { .. } => Self::invalid("price.currency", "CURRENCY_DIFFERS", message),
            OverrideRefused::Range { .. } => Self::invalid("price", "OVERRIDE_RANGE", message),
            OverrideRefused::TooEarly { .. } => Self::invalid("until", "OVERRIDE_OVER", message),
        }
    }
}

impl Billing {
    /// Gives a subscription another price from its next period on. A renewal that is billed already keeps its price.
    ///
    /// # Errors
    /// When there will be no renewal, one is open, or the price is not below the plan's.
    pub async fn override_price(
        &self,
        brand: BrandId,
        id: SubscriptionId,
        give: Give,
        actor: &Actor,
    ) -> Result<Subscription, Problem> {
        if give.reason.trim().is_empty() {
            return Err(Problem::invalid("reason", "MISSING", "reason: say why, for who reads the audit later"));
        }
        let (mut tx, now) = self.begin(brand).await?;
        let (mut unit, mut case) = open(&mut tx, brand, id, None, now).await?;
        let before = case.subscription.clone();
        if before.offer.once {
            return Err(pass_ends());
        }
        match before.state {
            State::Trialing | State::Active | State::PastDue { .. } | State::Suspended { .. } | State::Paused => {}
            State::Pending | State::Ended { .. } => {
                let message = format!("a subscription that is {} has no renewal to give a price for", before.state);
                return Err(Problem::refused("SUBSCRIPTION_STATE", message));
            }
        }
        no_open_period(&case)?;
        let Give { price, until, reason } = give;
        let reason = reason.trim().to_owned();
        let given = price.map(|price| PriceOverride { price, until, reason: reason.clone(), since: now });
        case.subscription.give_price(given)?;
        unit.touch(&before, &mut case.subscription, "price_overridden").map_err(broken)?;
        let written = |subscription: &Subscription| json!({ "price_override": subscription.calendar.price_override });
        let mut after = written(&case.subscription);
        after["reason"] = json!(reason);
        audit::append(&mut tx, actor, "subscription.override_price", id, Some(written(&before)), Some(after)).await?;
        let subscription = close(&mut tx, self, unit, case).await?;
        tx.commit().await?;
        Ok(subscription)
    }
}

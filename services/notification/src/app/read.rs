//! Looking at mails, and sending one again.

use ottery_kernel::{BrandId, DeliveryId};
use ottery_kit::db::{Scope, begin};
use ottery_kit::grpc::Actor;
use ottery_kit::{audit, clock};
use serde_json::json;

use super::{App, AppError};
use crate::domain::delivery::Command;
use crate::events::publish;
use crate::store::delivery::{self, Delivery};
use crate::store::due;

impl App {
    /// Mails, newest first, with the cursor of the next page; to this address only, when one is named.
    ///
    /// # Errors
    /// The page cannot be read, or the database is away.
    pub async fn deliveries(
        &self,
        brand: BrandId,
        to: &str,
        cursor: &str,
        limit: u32,
    ) -> Result<(Vec<Delivery>, String), AppError> {
        let limit = match limit {
            0 => 50,
            1..=100 => i64::from(limit),
            _ => return Err(AppError::Field { field: "page.limit", reason: "use 1 to 100".to_owned() }),
        };
        let before: Option<DeliveryId> = match cursor {
            "" => None,
            cursor => Some(cursor.parse().map_err(|_| AppError::Field {
                field: "page.cursor",
                reason: "use the cursor of the page before, or none".to_owned(),
            })?),
        };
        let to = Some(to.trim()).filter(|to| !to.is_empty());
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let mut deliveries = delivery::list(&mut tx, to, before, limit + 1).await?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = deliveries.len() > most;
        deliveries.truncate(most);
        let next = deliveries.last().filter(|_| has_more).map(|delivery| delivery.id.to_string()).unwrap_or_default();
        Ok((deliveries, next))
    }

    /// Sends a mail again that failed or whose fate is unknown: a person decided that twice is better than never.
    ///
    /// # Errors
    /// Not there, or on its way, or arrived.
    pub async fn resend(&self, brand: BrandId, actor: &Actor, id: DeliveryId) -> Result<Delivery, AppError> {
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let mut delivery = delivery::lock(&mut tx, id).await?.ok_or(AppError::NotFound("delivery"))?;
        let before = delivery.state;
        delivery.state = before.on(Command::Resend)?;
        delivery.version += 1;
        delivery::replan(&mut tx, &delivery).await?;
        due::add(&mut tx, id, brand).await?;
        let now = clock::brand_now(&mut tx, brand, self.clock()).await?;
        publish::changed(&mut tx, std::iter::once((&delivery, now))).await?;
        let state = |state: &str| Some(json!({ "state": state }));
        audit::append(&mut tx, actor, "delivery.resend", id, state(before.as_str()), state("planned")).await?;
        tx.commit().await?;
        Ok(delivery)
    }

    /// What is still due for a brand, in words.
    ///
    /// # Errors
    /// The database is away.
    pub async fn waiting(&self, brand: BrandId) -> anyhow::Result<Option<String>> {
        let count = due::busy_of_brand(&self.pool, brand).await?;
        Ok((count > 0).then(|| format!("{count} mails to send")))
    }
}

//! Planning a mail in the transaction of the event it tells of.

use ottery_kernel::{BrandId, DeliveryId};
use ottery_kit::clock::brand_now;
use sqlx::postgres::PgTransaction;

use super::App;
use crate::domain::delivery::State;
use crate::domain::mail::Mail;
use crate::store::delivery::{self, Delivery};

impl App {
    /// Plans a mail, once per template and event. An event without an address has nobody to tell.
    pub async fn plan(&self, tx: &mut PgTransaction<'_>, brand: BrandId, mail: Mail) -> sqlx::Result<()> {
        if mail.recipient.is_empty() {
            tracing::info!(template = mail.kind.as_str(), event.id = %mail.event, "no mail: the event names no address");
            return Ok(());
        }
        let now = brand_now(tx, brand, self.clock()).await?;
        let planned = Delivery {
            id: DeliveryId::new(now),
            brand,
            template: mail.kind.as_str().to_owned(),
            event: mail.event,
            recipient: mail.recipient,
            locale: mail.locale,
            params: mail.params,
            subject: String::new(),
            message_id: String::new(),
            state: State::Planned,
            attempts: 0,
            last_error: String::new(),
            version: 0,
            created_at: now,
            sent_at: None,
        };
        delivery::plan(tx, &planned).await?;
        Ok(())
    }
}

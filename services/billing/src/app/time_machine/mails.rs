//! Which mails would go out: notification says so itself, so that it is what it would do.

use std::time::Duration;

use async_trait::async_trait;
use ottery_kernel::BrandId;
use ottery_kit::Host;
use ottery_kit::grpc::{CallContext, Channel, Problem};
use ottery_proto::billing::v1 as proto;
use ottery_proto::common::v1::Envelope;
use ottery_proto::notification::v1::ForeseeMailsRequest;
use ottery_proto::notification::v1::notification_service_client::NotificationServiceClient;
use prost::Message as _;

use super::told::{Postman, Told};

/// How long notification may take for a page of events.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks notification.
#[derive(Clone, Debug)]
pub struct Notification {
    client: NotificationServiceClient<Channel>,
}

impl Notification {
    /// For events of this brand.
    #[must_use]
    pub fn new(host: &Host, brand: BrandId) -> Self {
        let context = CallContext::brand(brand).timeout(TIMEOUT).repeatable();
        Self { client: NotificationServiceClient::new(host.client_channel("notification").with(&context)) }
    }
}

#[async_trait]
impl Postman for Notification {
    async fn mails(&self, events: &[Envelope]) -> anyhow::Result<Vec<Option<Told>>> {
        let request = ForeseeMailsRequest { events: events.to_vec() };
        let reply = self.client.clone().foresee_mails(request).await.map_err(|status| {
            tracing::warn!(error = %status, "notification did not say which mails would go out");
            let message = "notification does not say which mails would go out; ask again when it answers";
            Problem::unavailable("NOTIFICATION_AWAY", message)
        })?;
        let told = |(event, template): (&Envelope, String)| {
            (!template.is_empty()).then(|| Told { kind: template, subscription: subscription_of(event) })
        };
        Ok(events.iter().zip(reply.into_inner().templates).map(told).collect())
    }
}

/// About which subscription an event of ours is.
fn subscription_of(event: &Envelope) -> Option<ottery_kernel::SubscriptionId> {
    use crate::events::{dunning, method, payment, publish};
    let bytes = event.payload.as_slice();
    let invoice = |invoice: Option<proto::Invoice>| invoice.map(|invoice| invoice.subscription_id);
    let text = match event.r#type.as_str() {
        publish::SUBSCRIPTION_CHANGED => {
            proto::SubscriptionChanged::decode(bytes).ok()?.subscription.map(|subscription| subscription.id)
        }
        publish::INVOICE_FINALISED => invoice(proto::InvoiceFinalised::decode(bytes).ok()?.invoice),
        publish::INVOICE_SETTLED => invoice(proto::InvoiceSettled::decode(bytes).ok()?.invoice),
        publish::REMINDER_DUE => Some(proto::ReminderDue::decode(bytes).ok()?.subscription_id),
        publish::PRICE_ANNOUNCED => Some(proto::PriceAnnounced::decode(bytes).ok()?.subscription_id),
        dunning::SUSPENDED => Some(proto::DunningSuspended::decode(bytes).ok()?.subscription_id),
        method::METHOD_EXPIRING => {
            // One mail for all that is charged to it; about one of them only when there is one.
            proto::MethodExpiring::decode(bytes).ok()?.subscription_ids.try_into().ok().map(|[only]: [String; 1]| only)
        }
        payment::PAYMENT_FAILED => Some(proto::PaymentFailed::decode(bytes).ok()?.subscription_id),
        _ => None,
    };
    text?.parse().ok()
}

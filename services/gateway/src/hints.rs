//! Events as hints: what this replica remembers may be out of date, and who watches something should look again.
//! Nothing is decided on a hint, and a lost one costs a moment only.

use std::sync::Arc;

use async_trait::async_trait;
use ottery_kernel::BrandId;
use ottery_kit::broker::{ConsumerGroup, Incoming, Sink, Verdict};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::state::AppState;

/// Hints kept for a slow watcher; one that misses some looks again as well.
const KEPT: usize = 256;

/// Something happened to this thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Type of the event.
    pub kind: String,
    /// Prefixed id of the aggregate.
    pub aggregate_id: String,
    /// Prefixed id of the brand.
    pub brand_id: String,
    /// The request that started it all.
    pub correlation_id: String,
}

/// Hands hints to everybody who watches.
#[derive(Clone, Debug)]
pub struct Hints(broadcast::Sender<Arc<Hint>>);

impl Default for Hints {
    fn default() -> Self {
        Self(broadcast::channel(KEPT).0)
    }
}

impl Hints {
    /// Everything from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Arc<Hint>> {
        self.0.subscribe()
    }

    pub(crate) fn tell(&self, hint: Hint) {
        // Nobody watching is the usual case.
        let _ = self.0.send(Arc::new(hint));
    }
}

/// Listens until the process stops.
pub(crate) async fn listen(state: AppState, shutdown: CancellationToken) -> anyhow::Result<()> {
    let name = format!("gateway.hints.{}", uuid::Uuid::now_v7().simple());
    let bindings = [
        "catalog.brand.changed.v1",
        "catalog.plan.changed.v1",
        "identity.session.revoked.v1",
        "billing.order.#",
        "billing.invoice.#",
        "billing.payment.#",
        "billing.refund.#",
        "billing.subscription.#",
        "provisioning.service.#",
        "support.ticket.#",
        "notification.delivery.#",
    ];
    let group = ConsumerGroup::new(name, &bindings).transient();
    let broker = state.host.broker.clone();
    broker.consume(group, Arc::new(Ear(state)), shutdown).await?;
    Ok(())
}

struct Ear(AppState);

#[async_trait]
impl Sink for Ear {
    async fn deliver(&self, message: Incoming) -> Verdict {
        let Ok(event) = message.envelope else { return Verdict::Done };
        let state = &self.0;
        if event.r#type.starts_with("catalog.") {
            if event.r#type.starts_with("catalog.brand.") {
                state.catalog.forget_hosts();
            }
            if let Ok(brand) = event.brand_id.parse() {
                tokio::spawn(renew(state.clone(), brand, event.aggregate_id.clone(), event.aggregate_version));
            }
        } else if event.r#type.starts_with("identity.") {
            state.sessions.forget_all();
        }
        state.hints.tell(Hint {
            kind: event.r#type,
            aggregate_id: event.aggregate_id,
            brand_id: event.brand_id,
            correlation_id: event.correlation_id,
        });
        Verdict::Done
    }
}

/// Beside the hints: a catalog that is slow must not hold up whoever watches an order.
async fn renew(state: AppState, brand: BrandId, aggregate: String, version: i64) {
    state.catalog.hear_of_plan(brand, &aggregate, version.unsigned_abs()).await;
}

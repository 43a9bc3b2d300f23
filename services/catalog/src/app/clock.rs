//! A brand's test clock: moved by staff, ready when every service has worked off what became due.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use ottery_kit::audit;
use ottery_kit::db::{Scope, begin};
use ottery_kit::grpc::{Actor, CallContext};
use ottery_kit::{Host, WorkerContext};
use ottery_proto::common::v1::DrainedRequest;
use ottery_proto::common::v1::drain_service_client::DrainServiceClient;
use serde_json::json;

use super::{App, AppError};
use crate::domain::TestClock;
use crate::{events, store};

/// Who has to be done, in the order in which work flows through them.
const DRAINED: [&str; 6] = ["billing", "provisioning", "affiliate", "analytics", "support", "notification"];
/// An event may be between two services when one of them is asked; it cannot hide twice.
const PASSES: u32 = 2;
const PAUSE: Duration = Duration::from_millis(150);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

impl App {
    /// Moves the brand's clock; the first call puts the brand on a test clock.
    pub async fn advance_test_clock(
        &self,
        actor: &Actor,
        id: BrandId,
        to: DateTime<Utc>,
    ) -> Result<TestClock, AppError> {
        if !self.test_clocks_allowed {
            return Err(AppError::ClocksForbidden);
        }
        let mut tx = begin(&self.pool, Scope::Brand(id)).await?;
        let stored = store::brand::lock(&mut tx, id).await?.ok_or(AppError::missing("brand"))?;
        let clock = stored.clock.advance(to, self.now())?;
        store::brand::set_clock(&mut tx, id, &clock).await?;
        store::brand::touch_catalog(&mut tx, id).await?;
        let actor = Actor { brand: Some(id), ..actor.clone() };
        let before = json!({ "now": stored.clock.now() });
        audit::append(&mut tx, &actor, "clock.advance", id, Some(before), Some(json!({ "now": to }))).await?;
        events::clock_advanced(&mut tx, id, to).await?;
        self.finish(tx).await?;
        Ok(clock)
    }

    async fn clock_is_ready(&self, id: BrandId, at: DateTime<Utc>) -> Result<(), AppError> {
        let mut tx = begin(&self.pool, Scope::Brand(id)).await?;
        let stored = store::brand::lock(&mut tx, id).await?.ok_or(AppError::missing("brand"))?;
        // Another replica may have said so already, and staff may have moved on since.
        if !matches!(&stored.clock, TestClock::Advancing { now, .. } if *now == at) {
            return Ok(());
        }
        store::brand::set_clock(&mut tx, id, &TestClock::Ready(at)).await?;
        store::brand::touch_catalog(&mut tx, id).await?;
        events::brand_changed(&mut tx, id, at).await?;
        self.finish(tx).await?;
        Ok(())
    }
}

/// Worker: asks every service about each advancing brand until all are done. Any number of replicas may run it.
pub async fn drain_advancing(app: App, context: WorkerContext) -> anyhow::Result<()> {
    let mut clean: std::collections::HashMap<(BrandId, DateTime<Utc>), u32> = std::collections::HashMap::new();
    loop {
        let advancing = store::brand::advancing(&mut *app.pool.acquire().await?).await?;
        clean.retain(|key, _| advancing.iter().any(|brand| brand.clock.now() == Some(key.1) && brand.id == key.0));
        for brand in &advancing {
            let Some(now) = brand.clock.now() else { continue };
            let passes = clean.entry((brand.id, now)).or_default();
            match waiting_for(&context.host, brand.id, now).await {
                Some(waiting) => {
                    *passes = 0;
                    store::brand::set_waiting(&mut *app.pool.acquire().await?, brand.id, now, &waiting).await?;
                }
                None => *passes += 1,
            }
            if *passes >= PASSES {
                app.clock_is_ready(brand.id, now).await?;
            }
        }
        tokio::select! {
            () = context.shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// The first service that still has something to do, and what.
async fn waiting_for(host: &Host, brand: BrandId, now: DateTime<Utc>) -> Option<String> {
    let clock = prost_types::Timestamp { seconds: now.timestamp(), nanos: now.timestamp_subsec_nanos().cast_signed() };
    for service in DRAINED {
        let context = CallContext::brand(brand).timeout(ANSWER_WITHIN).repeatable();
        let mut client = DrainServiceClient::new(host.client_channel(service).with(&context));
        let request = DrainedRequest { brand_id: brand.to_string(), clock: Some(clock) };
        match client.drained(request).await {
            Ok(reply) => {
                let reply = reply.into_inner();
                if !reply.drained {
                    return Some(format!("{service}: {}", reply.waiting_for));
                }
            }
            Err(status) => return Some(format!("{service} does not answer ({})", status.code())),
        }
    }
    None
}

//! `DrainService`: whether a brand has nothing left to do at the time its clock shows.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use ottery_proto::common::v1::drain_service_server::DrainService;
use ottery_proto::common::v1::{DrainedReply, DrainedRequest};
use sqlx::PgPool;
use tonic::{Request, Response, Status};

use super::DueFn;
use crate::broker::Broker;
use crate::consume::Consumer;
use crate::grpc::{self, InFlight, Problem};

/// Answers for one service.
pub struct Drain {
    pub pool: PgPool,
    pub broker: Arc<dyn Broker>,
    pub consumers: Vec<Arc<Consumer>>,
    pub in_flight: InFlight,
    pub due: Option<DueFn>,
}

impl Drain {
    /// What is left, or nothing. In the order work flows, so that a piece on its way from one place to the next is
    /// seen in at least one of them: messages, handlers, due rows, unsent events.
    ///
    /// Everything is counted per brand but messages in RabbitMQ, which cannot look into a queue: there a brand also
    /// waits until what others had in the same queues is through. Later than need be, never too early.
    async fn waiting_for(&self, brand: BrandId, clock: DateTime<Utc>) -> Result<Option<String>, Problem> {
        let shown = sqlx::query_scalar!("SELECT now FROM brand_clock WHERE brand_id = $1", brand.as_uuid())
            .fetch_optional(&self.pool)
            .await?;
        if shown.is_none_or(|shown| shown < clock) {
            return Ok(Some("has not heard of the new time yet".to_owned()));
        }
        for consumer in &self.consumers {
            let group = &consumer.group().name;
            let depth = self.broker.depth_of_brand(group, brand).await.map_err(|error| {
                Problem::unavailable("BROKER_AWAY", format!("cannot see the queue of {group}: {error}"))
            })?;
            if !depth.is_empty() {
                return Ok(Some(format!("{} messages for {group}", depth.waiting + depth.in_flight)));
            }
        }
        let retries = crate::consume::waiting_of_brand(&self.pool, brand).await?;
        if retries > 0 {
            return Ok(Some(format!("{retries} deliveries that will be tried again")));
        }
        let handlers = self.in_flight.of_brand(brand);
        if handlers > 0 {
            return Ok(Some(format!("{handlers} calls at work")));
        }
        if let Some(due) = &self.due
            && let Some(left) = due(brand, clock).await?
        {
            return Ok(Some(left));
        }
        let unsent = crate::outbox::unsent_of_brand(&self.pool, brand).await?;
        Ok((unsent > 0).then(|| format!("{unsent} events to send")))
    }
}

#[tonic::async_trait]
impl DrainService for Drain {
    async fn drained(&self, request: Request<DrainedRequest>) -> Result<Response<DrainedReply>, Status> {
        grpc::actor(&request)?.require_service()?;
        let request = request.into_inner();
        let brand: BrandId = request
            .brand_id
            .parse()
            .map_err(|error| Problem::invalid("brand_id", "BRAND_INVALID", format!("brand_id: {error}")))?;
        let clock = request
            .clock
            .and_then(|at| DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).ok()?))
            .ok_or_else(|| Problem::invalid("clock", "CLOCK_INVALID", "clock is missing or out of range"))?;
        let waiting_for = self.waiting_for(brand, clock).await?;
        Ok(Response::new(DrainedReply { drained: waiting_for.is_none(), waiting_for: waiting_for.unwrap_or_default() }))
    }
}

//! `AnalyticsService`: parse, call a use case, convert.

use chrono::{DateTime, Utc};
use ottery_kernel::MovementId;
use ottery_kit::grpc::{Problem, Request, Response, Status, actor};
use ottery_proto::analytics::v1::analytics_service_server::AnalyticsService;
use ottery_proto::analytics::v1::{
    GetMrrReply, GetMrrRequest, ListMovementsReply, ListMovementsRequest, Movement, RebuildReply, RebuildRequest,
    movement::Kind,
};
use ottery_proto::common::v1::{Money, PageReply};

use crate::app::App;
use crate::domain::{self, MovementKind};

/// The gRPC face of the use cases.
#[derive(Clone, Debug)]
pub struct Api {
    app: App,
}

impl Api {
    /// A face for these use cases.
    #[must_use]
    pub fn new(app: App) -> Self {
        Self { app }
    }
}

fn instant(at: DateTime<Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.timestamp(), nanos: at.timestamp_subsec_nanos().cast_signed() }
}

fn money(money: ottery_kernel::Money) -> Money {
    Money { currency: money.currency.code().to_owned(), minor: money.minor }
}

fn movement(movement: &domain::Movement) -> Movement {
    let kind = match movement.kind {
        MovementKind::New => Kind::New,
        MovementKind::Expansion => Kind::Expansion,
        MovementKind::Contraction => Kind::Contraction,
        MovementKind::Churn => Kind::Churn,
        MovementKind::Reactivation => Kind::Reactivation,
    };
    Movement {
        id: movement.id.to_string(),
        kind: kind.into(),
        account_id: movement.account.to_string(),
        subscription_id: movement.subscription.to_string(),
        delta: Some(money(movement.delta)),
        effective_at: Some(instant(movement.effective_at)),
    }
}

fn cursor(movement: &domain::Movement) -> String {
    format!("{}.{}", movement.effective_at.timestamp_micros(), movement.id)
}

fn read_cursor(text: &str) -> Option<(DateTime<Utc>, MovementId)> {
    let (micros, id) = text.split_once('.')?;
    Some((DateTime::from_timestamp_micros(micros.parse().ok()?)?, id.parse().ok()?))
}

#[tonic::async_trait]
impl AnalyticsService for Api {
    async fn get_mrr(&self, request: Request<GetMrrRequest>) -> Result<Response<GetMrrReply>, Status> {
        let actor = actor(&request)?;
        actor.require("analytics.read")?;
        let at = match request.into_inner().at {
            None => None,
            Some(at) => Some(
                u32::try_from(at.nanos).ok().and_then(|nanos| DateTime::from_timestamp(at.seconds, nanos)).ok_or_else(
                    || Problem::invalid("at", "INSTANT_MALFORMED", "give an instant such as 2027-01-31T12:00:00Z"),
                )?,
            ),
        };
        let revenue = self.app.revenue(actor.brand_or_problem()?, at).await.map_err(Problem::from)?;
        Ok(Response::new(GetMrrReply {
            mrr: revenue.mrr.into_iter().map(money).collect(),
            paying_customers: revenue.paying_customers.unsigned_abs(),
            as_of: Some(instant(revenue.as_of)),
        }))
    }

    async fn list_movements(
        &self,
        request: Request<ListMovementsRequest>,
    ) -> Result<Response<ListMovementsReply>, Status> {
        let actor = actor(&request)?;
        actor.require("analytics.read")?;
        let page = request.into_inner().page.unwrap_or_default();
        let limit = match page.limit {
            0 => 50,
            limit @ 1..=100 => limit,
            _ => return Err(Problem::invalid("page.limit", "PAGE", "use 1 to 100").into()),
        };
        let before = match page.cursor.as_str() {
            "" => None,
            text => Some(read_cursor(text).ok_or_else(|| {
                Problem::invalid("page.cursor", "PAGE", "use the cursor of the page before, or none")
            })?),
        };
        let mut found =
            self.app.movements(actor.brand_or_problem()?, before, limit.into()).await.map_err(Problem::from)?;
        let has_more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next_cursor = found.last().filter(|_| has_more).map(cursor).unwrap_or_default();
        Ok(Response::new(ListMovementsReply {
            movements: found.iter().map(movement).collect(),
            page: Some(PageReply { next_cursor }),
        }))
    }

    async fn rebuild(&self, request: Request<RebuildRequest>) -> Result<Response<RebuildReply>, Status> {
        let actor = actor(&request)?;
        actor.require("analytics.rebuild")?;
        let rebuilt = self.app.rebuild(actor.brand_or_problem()?).await.map_err(Problem::from)?;
        Ok(Response::new(RebuildReply {
            events: rebuilt.events.unsigned_abs(),
            movements: rebuilt.movements as u64,
            identical: rebuilt.different == 0,
        }))
    }
}

//! `AffiliateService`.

use std::fmt::Display;
use std::str::FromStr;

use ottery_kernel::{AccountId, AffiliateId};
use ottery_kit::grpc::{Actor, ActorKind, Problem, Request, Response, Status, actor};
use ottery_proto::affiliate::v1::affiliate_service_server::AffiliateService;
use ottery_proto::affiliate::v1::{
    Affiliate, GetAffiliateRequest, JoinRequest, ListAffiliatesReply, ListAffiliatesRequest, ListCommissionsReply,
    ListCommissionsRequest, RecordClickReply, RecordClickRequest,
};
use ottery_proto::common::v1::{PageReply, PageRequest};

use super::convert;
use crate::app::App;

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

/// A customer works with their own account; staff with the permission with any.
fn own_account(actor: &Actor) -> Result<Option<AccountId>, Problem> {
    match actor.kind {
        ActorKind::Anonymous => {
            Err(Problem::unauthenticated("SIGN_IN_REQUIRED", "sign in to see the affiliate programme"))
        }
        ActorKind::Customer => id("actor", &actor.subject).map(Some),
        ActorKind::Staff | ActorKind::ApiKey | ActorKind::Service => actor.require("affiliate.read").map(|()| None),
    }
}

fn id<T: FromStr<Err: Display>>(field: &'static str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| Problem::invalid(field, "ID_MALFORMED", error.to_string()))
}

fn optional<T: FromStr<Err: Display>>(field: &'static str, text: &str) -> Result<Option<T>, Problem> {
    if text.is_empty() { Ok(None) } else { id(field, text).map(Some) }
}

fn page<C: FromStr>(page: Option<PageRequest>) -> Result<(Option<C>, i64), Problem> {
    let page = page.unwrap_or_default();
    let limit = match page.limit {
        0 => 50,
        limit @ 1..=100 => i64::from(limit),
        _ => return Err(Problem::invalid("page.limit", "PAGE", "use 1 to 100")),
    };
    let cursor = match page.cursor.as_str() {
        "" => None,
        text => Some(
            text.parse()
                .map_err(|_| Problem::invalid("page.cursor", "PAGE", "use the cursor of the page before, or none"))?,
        ),
    };
    Ok((cursor, limit))
}

/// Cuts a list that was read one row too long.
fn cut<T>(mut items: Vec<T>, limit: i64, cursor: impl Fn(&T) -> String) -> (Vec<T>, Option<PageReply>) {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = items.len() > most;
    items.truncate(most);
    let next_cursor = items.last().filter(|_| has_more).map(cursor).unwrap_or_default();
    (items, Some(PageReply { next_cursor }))
}

#[tonic::async_trait]
impl AffiliateService for Api {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<Affiliate>, Status> {
        let actor = actor(&request)?;
        let brand = actor.brand_or_problem()?;
        let request = request.into_inner();
        let account = match own_account(&actor)? {
            Some(own) => own,
            None => id("account_id", &request.account_id)?,
        };
        let detail = self.app.join(brand, account, &request.email).await.map_err(Problem::from)?;
        Ok(Response::new(convert::affiliate(&detail)))
    }

    async fn get_affiliate(&self, request: Request<GetAffiliateRequest>) -> Result<Response<Affiliate>, Status> {
        let actor = actor(&request)?;
        let brand = actor.brand_or_problem()?;
        let own = own_account(&actor)?;
        let request = request.into_inner();
        let affiliate: Option<AffiliateId> = optional("affiliate_id", &request.affiliate_id)?;
        let account = match own {
            Some(own) => Some(own),
            None => optional("account_id", &request.account_id)?,
        };
        if affiliate.is_none() && account.is_none() {
            return Err(Problem::invalid("affiliate_id", "MISSING", "name the affiliate or the account").into());
        }
        let detail = self.app.affiliate(brand, affiliate, account).await.map_err(Problem::from)?;
        Ok(Response::new(convert::affiliate(&detail)))
    }

    async fn list_affiliates(
        &self,
        request: Request<ListAffiliatesRequest>,
    ) -> Result<Response<ListAffiliatesReply>, Status> {
        let actor = actor(&request)?;
        let brand = actor.brand_or_problem()?;
        actor.require("affiliate.read")?;
        let (before, limit) = page(request.into_inner().page)?;
        let details = self.app.affiliates(brand, before, limit).await.map_err(Problem::from)?;
        let (details, page) = cut(details, limit, |detail| detail.affiliate.id.to_string());
        Ok(Response::new(ListAffiliatesReply { affiliates: details.iter().map(convert::affiliate).collect(), page }))
    }

    async fn record_click(&self, request: Request<RecordClickRequest>) -> Result<Response<RecordClickReply>, Status> {
        let brand = actor(&request)?.brand_or_problem()?;
        let known = self.app.click(brand, &request.into_inner().code).await.map_err(Problem::from)?;
        Ok(Response::new(RecordClickReply { known }))
    }

    async fn list_commissions(
        &self,
        request: Request<ListCommissionsRequest>,
    ) -> Result<Response<ListCommissionsReply>, Status> {
        let actor = actor(&request)?;
        let brand = actor.brand_or_problem()?;
        let own = own_account(&actor)?;
        let request = request.into_inner();
        let affiliate = match own {
            Some(account) => {
                Some(self.app.affiliate(brand, None, Some(account)).await.map_err(Problem::from)?.affiliate.id)
            }
            None => optional("affiliate_id", &request.affiliate_id)?,
        };
        let (before, limit) = page(request.page)?;
        let commissions = self.app.commissions(brand, affiliate, before, limit).await.map_err(Problem::from)?;
        let (commissions, page) = cut(commissions, limit, |commission| commission.id.to_string());
        Ok(Response::new(ListCommissionsReply {
            commissions: commissions.iter().map(convert::commission).collect(),
            page,
        }))
    }
}

//! Answers `ottery.billing.v1.ResellerService`.

use ottery_kit::grpc::{Problem, actor};
use ottery_proto::billing::v1 as proto;
use ottery_proto::billing::v1::reseller_service_server::ResellerService;
use tonic::{Request, Response, Status};

use super::{Caller, convert, id, next_page, page};
use crate::app::Billing;
use crate::app::reseller::{Heir, Shown};
use crate::domain::reseller::Standing;
use crate::store::reseller::Client;

/// The gRPC service.
#[derive(Clone, Debug)]
pub struct ResellerGrpc {
    /// The use cases.
    pub app: Billing,
}

/// Who may look.
const READ: &str = "account.read";
/// Who may change who belongs to whom.
const MANAGE: &str = "account.manage";

fn reseller(shown: &Shown) -> proto::Reseller {
    let (listed, reseller) = (&shown.listed, &shown.listed.reseller);
    let (standing, since, until) = match shown.standing {
        Standing::Fine => (proto::reseller::Standing::Fine, None, None),
        Standing::Overdue { since, until } => (proto::reseller::Standing::Overdue, Some(since), Some(until)),
        Standing::Lapsed { since } => (proto::reseller::Standing::Lapsed, listed.oldest_due, Some(since)),
    };
    proto::Reseller {
        account_id: reseller.account.to_string(),
        name: listed.name.clone(),
        email: listed.email.clone(),
        grace_days: reseller.grace_days,
        created_at: Some(convert::timestamp(reseller.created_at)),
        standing: standing.into(),
        overdue_since: since.map(convert::timestamp),
        until: until.map(convert::timestamp),
        clients: listed.clients.unsigned_abs(),
    }
}

fn client(client: &Client) -> proto::Client {
    proto::Client {
        account_id: client.account.to_string(),
        name: client.name.clone(),
        email: client.email.clone(),
        since: Some(convert::timestamp(client.since)),
        stopped: client.stopped.unsigned_abs(),
    }
}

fn heir(text: &str) -> Result<Heir, Problem> {
    Ok(match text {
        "" => Heir::Nobody,
        "operator" => Heir::Operator,
        other => Heir::Reseller(id("clients_to", other)?),
    })
}

#[tonic::async_trait]
impl ResellerService for ResellerGrpc {
    async fn put_reseller(
        &self,
        request: Request<proto::PutResellerRequest>,
    ) -> Result<Response<proto::Reseller>, Status> {
        let caller = Caller::staff(actor(&request)?, MANAGE)?;
        let request = request.into_inner();
        let account = id("account_id", &request.account_id)?;
        let put = self.app.put_reseller(caller.brand, account, request.grace_days, &caller.actor).await?;
        Ok(Response::new(reseller(&put)))
    }

    async fn get_reseller(
        &self,
        request: Request<proto::GetResellerRequest>,
    ) -> Result<Response<proto::Reseller>, Status> {
        let caller = Caller::staff(actor(&request)?, READ)?;
        let account = id("account_id", &request.into_inner().account_id)?;
        Ok(Response::new(reseller(&self.app.reseller(caller.brand, account).await?)))
    }

    async fn list_resellers(
        &self,
        request: Request<proto::ListResellersRequest>,
    ) -> Result<Response<proto::ListResellersReply>, Status> {
        let caller = Caller::staff(actor(&request)?, READ)?;
        let page = page(request.into_inner().page.as_ref())?;
        let found = self.app.resellers(caller.brand, page).await?;
        let last = found.last().map(|shown| shown.listed.reseller.account.as_uuid());
        Ok(Response::new(proto::ListResellersReply {
            resellers: found.iter().map(reseller).collect(),
            page: next_page(page, found.len(), last),
        }))
    }

    async fn remove_reseller(
        &self,
        request: Request<proto::RemoveResellerRequest>,
    ) -> Result<Response<proto::RemoveResellerReply>, Status> {
        let caller = Caller::staff(actor(&request)?, MANAGE)?;
        let request = request.into_inner();
        let (account, heir) = (id("account_id", &request.account_id)?, heir(&request.clients_to)?);
        let clients_moved = self.app.remove_reseller(caller.brand, account, heir, &caller.actor).await?;
        Ok(Response::new(proto::RemoveResellerReply { clients_moved }))
    }

    async fn list_clients(
        &self,
        request: Request<proto::ListClientsRequest>,
    ) -> Result<Response<proto::ListClientsReply>, Status> {
        let caller = Caller::staff(actor(&request)?, READ)?;
        let request = request.into_inner();
        let (account, page) = (id("reseller_id", &request.reseller_id)?, page(request.page.as_ref())?);
        let found = self.app.clients(caller.brand, account, page).await?;
        let last = found.last().map(|client| client.account.as_uuid());
        Ok(Response::new(proto::ListClientsReply {
            clients: found.iter().map(client).collect(),
            page: next_page(page, found.len(), last),
        }))
    }

    async fn assign_client(
        &self,
        request: Request<proto::AssignClientRequest>,
    ) -> Result<Response<proto::AssignClientReply>, Status> {
        let caller = Caller::staff(actor(&request)?, MANAGE)?;
        let request = request.into_inner();
        let client = id("account_id", &request.account_id)?;
        let reseller = match request.reseller_id.as_str() {
            "" => None,
            text => Some(id("reseller_id", text)?),
        };
        self.app.assign_client(caller.brand, client, reseller, &caller.actor).await?;
        Ok(Response::new(proto::AssignClientReply {}))
    }
}

//! `ProvisioningService`.

use ottery_kernel::{PanelId, ServiceId};
use ottery_kit::grpc::{self, Request, Response, Status};
use ottery_proto::provisioning::v1 as proto;
use ottery_proto::provisioning::v1::provisioning_service_server::ProvisioningService;

use super::page::Page;
use super::{convert, drift as differences};
use crate::app::read::Which;
use crate::app::{App, diagnose, drift, panel, read, reveal};
use crate::events::publish::panel_proto;

/// Serves the contract.
pub struct Api(pub App);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl ProvisioningService for Api {
    async fn put_panel(&self, request: Request<proto::PutPanelRequest>) -> Answer<proto::Panel> {
        let actor = grpc::actor(&request)?;
        actor.require("panel.update")?;
        let brand = actor.brand_or_problem()?;
        let input = convert::input(request.into_inner())?;
        let row = panel::put(&self.0, &actor, brand, input).await?;
        Ok(Response::new(panel_proto(&row)))
    }

    async fn get_panel(&self, request: Request<proto::GetPanelRequest>) -> Answer<proto::Panel> {
        let actor = grpc::actor(&request)?;
        actor.require("panel.read")?;
        let id: PanelId = convert::id("panel_id", &request.get_ref().panel_id)?;
        let row = panel::read(&self.0, actor.brand_or_problem()?, id).await?;
        Ok(Response::new(panel_proto(&row)))
    }

    async fn list_panels(&self, request: Request<proto::ListPanelsRequest>) -> Answer<proto::ListPanelsReply> {
        let actor = grpc::actor(&request)?;
        actor.require("panel.read")?;
        let page = Page::parse(request.into_inner().page)?;
        let mut rows = read::panels(&self.0, actor.brand_or_problem()?, page.fetch()).await?;
        let reply = page.cut(&mut rows, |row| (row.created_at, row.id));
        Ok(Response::new(proto::ListPanelsReply { panels: rows.iter().map(panel_proto).collect(), page: Some(reply) }))
    }

    async fn probe_panel(&self, request: Request<proto::ProbePanelRequest>) -> Answer<proto::Panel> {
        let actor = grpc::actor(&request)?;
        actor.require("panel.update")?;
        let id: PanelId = convert::id("panel_id", &request.get_ref().panel_id)?;
        let row = panel::probe(&self.0, actor.brand_or_problem()?, id).await?;
        Ok(Response::new(panel_proto(&row)))
    }

    async fn get_panel_catalog(
        &self,
        request: Request<proto::GetPanelCatalogRequest>,
    ) -> Answer<proto::GetPanelCatalogReply> {
        let actor = grpc::actor(&request)?;
        actor.require("panel.read")?;
        let id: PanelId = convert::id("panel_id", &request.get_ref().panel_id)?;
        let catalog = panel::catalog(&self.0, actor.brand_or_problem()?, id).await?;
        Ok(Response::new(convert::catalog(catalog)))
    }

    async fn delete_panel(&self, request: Request<proto::DeletePanelRequest>) -> Answer<proto::DeletePanelReply> {
        let actor = grpc::actor(&request)?;
        actor.require("panel.update")?;
        let request = request.into_inner();
        let id: PanelId = convert::id("panel_id", &request.panel_id)?;
        panel::delete(&self.0, &actor, actor.brand_or_problem()?, id, request.expected_version).await?;
        Ok(Response::new(proto::DeletePanelReply {}))
    }

    async fn list_drift(&self, request: Request<proto::ListDriftRequest>) -> Answer<proto::ListDriftReply> {
        let actor = grpc::actor(&request)?;
        actor.require("panel.read")?;
        let request = request.into_inner();
        let page = Page::parse(request.page)?;
        let filter = differences::filter(&request.panel_id, request.kind, request.state)?;
        let (mut rows, panels) = drift::page(&self.0, actor.brand_or_problem()?, filter, page.fetch()).await?;
        let reply = page.cut(&mut rows, |row| (row.first_seen_at, row.id));
        let drift = rows.iter().map(|row| differences::row(row, &panels)).collect();
        Ok(Response::new(proto::ListDriftReply { drift, page: Some(reply) }))
    }

    async fn list_drift_scans(
        &self,
        request: Request<proto::ListDriftScansRequest>,
    ) -> Answer<proto::ListDriftScansReply> {
        let actor = grpc::actor(&request)?;
        actor.require("panel.read")?;
        let found = drift::summaries(&self.0, actor.brand_or_problem()?).await?;
        Ok(Response::new(proto::ListDriftScansReply { scans: found.iter().map(differences::summary).collect() }))
    }

    async fn scan_panel(&self, request: Request<proto::ScanPanelRequest>) -> Answer<proto::DriftScan> {
        let actor = grpc::actor(&request)?;
        actor.require("panel.update")?;
        let id: PanelId = convert::id("panel_id", &request.get_ref().panel_id)?;
        let found = drift::scan_now(&self.0, &actor, actor.brand_or_problem()?, id).await?;
        Ok(Response::new(differences::summary(&found)))
    }

    async fn decide_drift(&self, request: Request<proto::DecideDriftRequest>) -> Answer<proto::DecideDriftReply> {
        let actor = grpc::actor(&request)?;
        actor.require("panel.update")?;
        let decision = differences::decision(request.into_inner())?;
        let outcome = drift::decide::decide(&self.0, &actor, actor.brand_or_problem()?, decision).await?;
        Ok(Response::new(differences::outcome(outcome)))
    }

    async fn list_drift_rules(
        &self,
        request: Request<proto::ListDriftRulesRequest>,
    ) -> Answer<proto::ListDriftRulesReply> {
        let actor = grpc::actor(&request)?;
        actor.require("panel.read")?;
        let rows = drift::rules::all(&self.0, actor.brand_or_problem()?).await?;
        Ok(Response::new(proto::ListDriftRulesReply { rules: rows.iter().map(differences::rule).collect() }))
    }

    async fn put_drift_rule(&self, request: Request<proto::PutDriftRuleRequest>) -> Answer<proto::DriftRule> {
        let actor = grpc::actor(&request)?;
        actor.require("panel.update")?;
        let rule = request.into_inner().rule.unwrap_or_default();
        let panel = convert::optional("rule.panel_id", &rule.panel_id)?;
        let brand = actor.brand_or_problem()?;
        let row = drift::rules::put(&self.0, &actor, brand, panel, (&rule.kind, &rule.action)).await?;
        Ok(Response::new(differences::rule(&row)))
    }

    async fn diagnose_panel(&self, request: Request<proto::DiagnosePanelRequest>) -> Answer<proto::Diagnosis> {
        let actor = grpc::actor(&request)?;
        actor.require("panel.update")?;
        let request = request.into_inner();
        let id: PanelId = convert::id("panel_id", &request.panel_id)?;
        let found = diagnose::run(&self.0, &actor, actor.brand_or_problem()?, id, request.test_line).await?;
        Ok(Response::new(convert::diagnosis(&found, &self.0.config.egress_address)))
    }

    async fn get_service(&self, request: Request<proto::GetServiceRequest>) -> Answer<proto::Service> {
        let actor = grpc::actor(&request)?;
        let which = convert::which(request.get_ref())?;
        let shown = read::service(&self.0, &actor, actor.brand_or_problem()?, which).await?;
        Ok(Response::new(convert::shown(&shown)))
    }

    async fn list_services(&self, request: Request<proto::ListServicesRequest>) -> Answer<proto::ListServicesReply> {
        let actor = grpc::actor(&request)?;
        let request = request.into_inner();
        let page = Page::parse(request.page)?;
        let account = convert::optional::<ottery_kernel::AccountId>("account_id", &request.account_id)?;
        let panel = convert::optional::<PanelId>("panel_id", &request.panel_id)?;
        let filter = (account.map(|id| id.to_string()), panel);
        let mut rows = read::services(&self.0, &actor, actor.brand_or_problem()?, filter, page.fetch()).await?;
        let reply = page.cut(&mut rows, |shown| (shown.row.created_at, shown.row.id));
        Ok(Response::new(proto::ListServicesReply {
            services: rows.iter().map(convert::shown).collect(),
            page: Some(reply),
        }))
    }

    async fn reveal_credentials(
        &self,
        request: Request<proto::RevealCredentialsRequest>,
    ) -> Answer<proto::Credentials> {
        let actor = grpc::actor(&request)?;
        let id: ServiceId = convert::id("service_id", &request.get_ref().service_id)?;
        let credentials = reveal::credentials(&self.0, &actor, actor.brand_or_problem()?, id).await?;
        Ok(Response::new(convert::credentials(&credentials)))
    }

    async fn retry_service(&self, request: Request<proto::RetryServiceRequest>) -> Answer<proto::Service> {
        let actor = grpc::actor(&request)?;
        actor.require("service.manage")?;
        let brand = actor.brand_or_problem()?;
        let id: ServiceId = convert::id("service_id", &request.get_ref().service_id)?;
        reveal::retry(&self.0, &actor, brand, id).await?;
        let shown = read::service(&self.0, &actor, brand, Which::Service(id)).await?;
        Ok(Response::new(convert::shown(&shown)))
    }

    async fn list_panel_calls(
        &self,
        request: Request<proto::ListPanelCallsRequest>,
    ) -> Answer<proto::ListPanelCallsReply> {
        let actor = grpc::actor(&request)?;
        actor.require("panel.read")?;
        let request = request.into_inner();
        let page = Page::parse(request.page)?;
        let service = convert::optional("service_id", &request.service_id)?;
        let panel = convert::optional("panel_id", &request.panel_id)?;
        let mut rows = read::calls(&self.0, actor.brand_or_problem()?, (service, panel), page.fetch()).await?;
        let reply = page.cut(&mut rows, |row| (row.started_at, row.id));
        Ok(Response::new(proto::ListPanelCallsReply {
            calls: rows.iter().map(convert::panel_call).collect(),
            page: Some(reply),
        }))
    }

    async fn list_tasks(&self, request: Request<proto::ListTasksRequest>) -> Answer<proto::ListTasksReply> {
        let actor = grpc::actor(&request)?;
        actor.require("service.read")?;
        let page = Page::parse(request.into_inner().page)?;
        let mut rows = read::tasks(&self.0, actor.brand_or_problem()?, page.fetch()).await?;
        let reply = page.cut(&mut rows, |row| (row.created_at, row.id));
        Ok(Response::new(proto::ListTasksReply { tasks: rows.iter().map(convert::task).collect(), page: Some(reply) }))
    }
}

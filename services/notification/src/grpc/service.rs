//! `NotificationService`.

use ottery_kernel::{BrandId, DeliveryId};
use ottery_kit::grpc::{Actor, Problem, Request, Response, Status, actor};
use ottery_proto::common::v1::PageReply;
use ottery_proto::notification::v1::notification_service_server::NotificationService;
use ottery_proto::notification::v1::{
    Delivery, ForeseeMailsReply, ForeseeMailsRequest, ListDeliveriesReply, ListDeliveriesRequest, ListTemplatesReply,
    ListTemplatesRequest, PreviewTemplateReply, PreviewTemplateRequest, PutTemplateRequest, ResendDeliveryRequest,
    Template,
};

use super::convert;
use crate::app::App;
use crate::domain::kind::Kind;
use crate::domain::profile::platform;

/// Events of one question.
const FORESEEN_MAX: usize = 500;

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

/// Mails to staff belong to no brand; a call outside any brand is about those.
fn place(actor: &Actor) -> BrandId {
    actor.brand.unwrap_or_else(platform)
}

fn given(template: Option<Template>) -> Result<Template, Problem> {
    template.ok_or_else(|| Problem::invalid("template", "TEMPLATE_MISSING", "template is missing"))
}

#[tonic::async_trait]
impl NotificationService for Api {
    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesReply>, Status> {
        let actor = actor(&request)?;
        actor.require("delivery.read")?;
        let request = request.into_inner();
        let page = request.page.unwrap_or_default();
        let (deliveries, next_cursor) =
            self.app.deliveries(place(&actor), &request.to, &page.cursor, page.limit).await.map_err(Problem::from)?;
        Ok(Response::new(ListDeliveriesReply {
            deliveries: deliveries.iter().map(convert::delivery).collect(),
            page: Some(PageReply { next_cursor }),
        }))
    }

    async fn resend_delivery(&self, request: Request<ResendDeliveryRequest>) -> Result<Response<Delivery>, Status> {
        let actor = actor(&request)?;
        actor.require("brand.update")?;
        let id = request.into_inner().delivery_id;
        let id: DeliveryId = id.parse().map_err(|error: <DeliveryId as std::str::FromStr>::Err| {
            Problem::invalid("delivery_id", "ID_MALFORMED", error.to_string())
        })?;
        let delivery = self.app.resend(place(&actor), &actor, id).await.map_err(Problem::from)?;
        Ok(Response::new(convert::delivery(&delivery)))
    }

    async fn list_templates(
        &self,
        request: Request<ListTemplatesRequest>,
    ) -> Result<Response<ListTemplatesReply>, Status> {
        let actor = actor(&request)?;
        actor.require("brand.read")?;
        let views = self.app.templates(place(&actor)).await.map_err(Problem::from)?;
        Ok(Response::new(ListTemplatesReply { templates: views.into_iter().map(convert::template).collect() }))
    }

    async fn put_template(&self, request: Request<PutTemplateRequest>) -> Result<Response<Template>, Status> {
        let actor = actor(&request)?;
        actor.require("brand.update")?;
        let request = request.into_inner();
        let draft = convert::draft(given(request.template)?);
        let put = self.app.put_template(place(&actor), &actor, draft, request.expected_version).await;
        Ok(Response::new(convert::template(put.map_err(Problem::from)?)))
    }

    async fn preview_template(
        &self,
        request: Request<PreviewTemplateRequest>,
    ) -> Result<Response<PreviewTemplateReply>, Status> {
        let actor = actor(&request)?;
        actor.require("brand.read")?;
        let draft = convert::draft(given(request.into_inner().template)?);
        let rendered = self.app.preview(place(&actor), &draft).await.map_err(Problem::from)?;
        Ok(Response::new(PreviewTemplateReply {
            subject: rendered.subject,
            body_text: rendered.text,
            body_html: rendered.html,
        }))
    }

    async fn foresee_mails(
        &self,
        request: Request<ForeseeMailsRequest>,
    ) -> Result<Response<ForeseeMailsReply>, Status> {
        let actor = actor(&request)?;
        actor.require_service()?;
        let brand = actor.brand_or_problem()?;
        let events = request.into_inner().events;
        if events.len() > FORESEEN_MAX {
            let message = format!("events: at most {FORESEEN_MAX} at once, got {}", events.len());
            return Err(Problem::invalid("events", "TOO_MANY_EVENTS", message).into());
        }
        let kinds = self.app.foresee(brand, events).await.map_err(Problem::from)?;
        let templates = kinds.into_iter().map(|kind| kind.map_or("", Kind::as_str).to_owned()).collect();
        Ok(Response::new(ForeseeMailsReply { templates }))
    }
}

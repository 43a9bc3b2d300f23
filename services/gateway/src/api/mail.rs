//! Mails: what was sent, and the brand's own wording.

use axum::extract::{Path, State};
use ottery_proto::notification::v1 as notification;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{List, Page, Time, page, view, words};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

words! {
    /// Where a mail stands. `unknown`: the server may have taken it; it is never sent again by itself.
    DeliveryState from notification::delivery::State { Planned, Sending, Sent, Unknown, Failed }
}

view! {
    /// A mail.
    Delivery from notification::Delivery {
        id: String,
        template: String,
        to: String,
        subject: Option<String>,
        state: DeliveryState,
        message_id: String,
        attempts: u32,
        last_error: Option<String>,
        created_at: Option<Time>,
        sent_at: Option<Time>,
        event_id: Option<String>,
    }
}

view! {
    /// The wording of a mail.
    Template from notification::Template {
        name: String,
        locale: String,
        subject: String,
        body_text: String,
        body_html: String,
        /// The brand's own.
        customised: bool,
        version: u64,
    }
}

view! {
    /// A wording filled with sample data.
    Preview from notification::PreviewTemplateReply {
        subject: String,
        body_text: String,
        body_html: String,
    }
}

/// Which mails.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeliveryQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// To this address.
    to: Option<String>,
}

/// A wording.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateInput {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub body_text: String,
    /// HTML.
    pub body_html: String,
    /// The version that was read.
    pub version: u64,
}

/// A wording to try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewInput {
    /// `service.ready`, …
    pub name: String,
    /// BCP 47.
    pub locale: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub body_text: String,
    /// HTML.
    pub body_html: String,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(resend))
        .routes(routes!(templates))
        .routes(routes!(put_template))
        .routes(routes!(preview))
}

/// List mails.
#[utoipa::path(get, path = "/deliveries", tag = "mail", operation_id = "list_deliveries", params(DeliveryQuery), responses((status = 200, body = Page<Delivery>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<DeliveryQuery>,
) -> Reply<Json<Page<Delivery>>> {
    let request = notification::ListDeliveriesRequest {
        page: page(query.cursor, query.limit)?,
        to: query.to.unwrap_or_default(),
    };
    let reply = state.clients.notification(&caller.call()).list_deliveries(request).await?.into_inner();
    Ok(Json(Page::of(reply.deliveries, reply.page)))
}

/// Send a mail again.
#[utoipa::path(post, path = "/deliveries/{id}/resend", tag = "mail", operation_id = "resend_delivery", params(("id" = String, Path)), responses((status = 200, body = Delivery)))]
async fn resend(
    State(state): State<AppState>,
    caller: Caller,
    Path(delivery_id): Path<String>,
) -> Reply<Json<Delivery>> {
    let request = notification::ResendDeliveryRequest { delivery_id };
    Ok(Json(state.clients.notification(&caller.call()).resend_delivery(request).await?.into_inner().into()))
}

/// List the wordings.
#[utoipa::path(get, path = "/templates", tag = "mail", operation_id = "list_templates", responses((status = 200, body = List<Template>)))]
async fn templates(State(state): State<AppState>, caller: Caller) -> Reply<Json<List<Template>>> {
    let reply =
        state.clients.notification(&caller.call()).list_templates(notification::ListTemplatesRequest {}).await?;
    Ok(Json(List::of(reply.into_inner().templates)))
}

/// Change a wording.
#[utoipa::path(put, path = "/templates/{name}/{locale}", tag = "mail", operation_id = "put_template", params(("name" = String, Path), ("locale" = String, Path)), request_body = TemplateInput, responses((status = 200, body = Template)))]
async fn put_template(
    State(state): State<AppState>,
    caller: Caller,
    Path((name, locale)): Path<(String, String)>,
    Json(input): Json<TemplateInput>,
) -> Reply<Json<Template>> {
    let template = notification::Template {
        name,
        locale,
        subject: input.subject,
        body_text: input.body_text,
        body_html: input.body_html,
        ..Default::default()
    };
    let request = notification::PutTemplateRequest { template: Some(template), expected_version: input.version };
    Ok(Json(state.clients.notification(&caller.call()).put_template(request).await?.into_inner().into()))
}

/// Try a wording with sample data.
#[utoipa::path(post, path = "/templates/preview", tag = "mail", operation_id = "preview_template", request_body = PreviewInput, responses((status = 200, body = Preview)))]
async fn preview(
    State(state): State<AppState>,
    caller: Caller,
    Json(input): Json<PreviewInput>,
) -> Reply<Json<Preview>> {
    let template = notification::Template {
        name: input.name,
        locale: input.locale,
        subject: input.subject,
        body_text: input.body_text,
        body_html: input.body_html,
        ..Default::default()
    };
    let request = notification::PreviewTemplateRequest { template: Some(template) };
    Ok(Json(state.clients.notification(&caller.call()).preview_template(request).await?.into_inner().into()))
}

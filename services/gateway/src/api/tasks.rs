//! Work that needs a person.

use axum::extract::State;
use ottery_proto::{billing::v1 as billing, provisioning::v1 as provisioning};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{PageQuery, Show as _, Time, page};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

/// Something that needs a person.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Task {
    /// `tsk_…`
    pub id: String,
    /// `billing` or `provisioning`
    pub area: &'static str,
    /// Stable, for example `payment_unknown`.
    pub kind: String,
    /// What it is about.
    pub reference_id: Option<String>,
    /// What is the matter.
    pub summary: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// Since when.
    pub created_at: Option<Time>,
}

/// Tasks of both areas; each has its own place to continue.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskPage {
    /// Newest first within an area.
    pub items: Vec<Task>,
    /// Ask with this cursor for the next page.
    pub next_cursor: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list))
}

impl From<billing::Task> for Task {
    fn from(task: billing::Task) -> Self {
        Self {
            id: task.id,
            area: "billing",
            kind: task.kind,
            reference_id: task.reference_id.show(),
            summary: task.summary,
            remedy: None,
            created_at: task.created_at.show(),
        }
    }
}

impl From<provisioning::ProvisioningTask> for Task {
    fn from(task: provisioning::ProvisioningTask) -> Self {
        Self {
            id: task.id,
            area: "provisioning",
            kind: task.kind,
            reference_id: task.service_id.show(),
            summary: task.summary,
            remedy: task.remedy.show(),
            created_at: None,
        }
    }
}

/// Both areas' cursors in one: `<billing>~<provisioning>`; an area that is finished has `!`.
fn split(cursor: Option<&str>) -> [Option<String>; 2] {
    let (first, second) = cursor.and_then(|cursor| cursor.split_once('~')).unwrap_or_default();
    [first, second].map(|part| Some(part.to_owned()).filter(|part| part != "!"))
}

/// List tasks.
#[utoipa::path(get, path = "/tasks", tag = "tasks", operation_id = "list_tasks", params(PageQuery), responses((status = 200, body = TaskPage)))]
async fn list(State(state): State<AppState>, caller: Caller, Query(query): Query<PageQuery>) -> Reply<Json<TaskPage>> {
    let [money, panels] = split(query.cursor.as_deref());
    let mut items = Vec::new();
    let mut next = ["!".to_owned(), "!".to_owned()];
    if let Some(cursor) = money {
        let request = billing::ListTasksRequest { page: page(Some(cursor), query.limit)? };
        let reply = state.clients.billing(&caller.call()).list_tasks(request).await?.into_inner();
        items.extend(reply.tasks.into_iter().map(Task::from));
        next[0] = reply.page.map(|page| page.next_cursor).filter(|cursor| !cursor.is_empty()).unwrap_or("!".to_owned());
    }
    if let Some(cursor) = panels.filter(|_| caller.may("service.read")) {
        let request = provisioning::ListTasksRequest { page: page(Some(cursor), query.limit)? };
        let reply = state.clients.provisioning(&caller.call()).list_tasks(request).await?.into_inner();
        items.extend(reply.tasks.into_iter().map(Task::from));
        next[1] = reply.page.map(|page| page.next_cursor).filter(|cursor| !cursor.is_empty()).unwrap_or("!".to_owned());
    }
    let is_last = next.iter().all(|cursor| cursor == "!");
    Ok(Json(TaskPage { items, next_cursor: (!is_last).then(|| next.join("~")) }))
}

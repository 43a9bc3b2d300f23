//! Reading services, calls and tasks.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, PanelId, ServiceId, SubscriptionId};
use ottery_kit::db::{self, Scope};
use ottery_kit::grpc::{Actor, ActorKind, Problem};
use uuid::Uuid;

use super::App;
use crate::events::publish::PanelName;
use crate::store::{call, due, panel, service, task};

/// Where a page starts: after this row.
pub type Before = Option<(DateTime<Utc>, Uuid)>;

/// Which service.
#[derive(Clone, Debug)]
pub enum Which {
    Service(ServiceId),
    Subscription(SubscriptionId),
    Order(String),
}

/// A service with the panel's name and its next attempt.
pub struct Shown {
    pub row: service::Row,
    pub panel: Option<PanelName>,
    pub next_attempt_at: Option<DateTime<Utc>>,
}

/// Whose services a caller may see: a customer their own, others with the permission all of the brand.
///
/// # Errors
/// Without the permission.
pub fn own_account(actor: &Actor, permission: &str) -> Result<Option<String>, Problem> {
    match actor.kind {
        ActorKind::Customer => Ok(Some(actor.subject.clone())),
        ActorKind::Anonymous | ActorKind::Staff | ActorKind::Service | ActorKind::ApiKey => {
            actor.require(permission).map(|()| None)
        }
    }
}

/// The one answer for "not there" and "not yours".
#[must_use]
pub fn missing() -> Problem {
    Problem::not_found("SERVICE_NOT_FOUND", "there is no such service")
}

/// Reads a service, when the caller may see it.
///
/// # Errors
/// Not there, or not theirs.
pub async fn service(app: &App, actor: &Actor, brand: BrandId, which: Which) -> Result<Shown, Problem> {
    let own = own_account(actor, "service.read")?;
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    let row = match &which {
        Which::Service(id) => service::get(&mut tx, *id).await?,
        Which::Subscription(id) => service::of_subscription(&mut tx, *id).await?,
        Which::Order(id) => service::of_order(&mut tx, id).await?,
    };
    let row = row.filter(|row| own.as_ref().is_none_or(|own| row.account_id == *own)).ok_or_else(missing)?;
    let panel = match row.panel_id {
        Some(id) => panel::get(&mut tx, PanelId::from_uuid(id)).await?.as_ref().map(PanelName::from),
        None => None,
    };
    let next_attempt_at = due::next(&mut tx, row.service_id()).await?;
    tx.commit().await?;
    Ok(Shown { row, panel, next_attempt_at })
}

/// A page of services.
///
/// # Errors
/// Without the permission.
pub async fn services(
    app: &App,
    actor: &Actor,
    brand: BrandId,
    (account, panel): (Option<String>, Option<PanelId>),
    (before, limit): (Before, i64),
) -> Result<Vec<Shown>, Problem> {
    let account = own_account(actor, "service.read")?.or(account);
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    let rows = service::page(&mut tx, account.as_deref(), panel.map(|id| id.as_uuid()), before, limit).await?;
    let panels: HashMap<Uuid, PanelName> =
        panel::all(&mut tx).await?.iter().map(|row| (row.id, PanelName::from(row))).collect();
    tx.commit().await?;
    let name = |id: Uuid| {
        let panel = panels.get(&id)?;
        Some(PanelName { name: panel.name.clone(), sandbox: panel.sandbox, region: panel.region.clone() })
    };
    Ok(rows.into_iter().map(|row| Shown { panel: row.panel_id.and_then(name), row, next_attempt_at: None }).collect())
}

/// A page of panels.
///
/// # Errors
/// The database.
pub async fn panels(app: &App, brand: BrandId, (before, limit): (Before, i64)) -> Result<Vec<panel::Row>, Problem> {
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    let rows = panel::page(&mut tx, before, limit).await?;
    tx.commit().await?;
    Ok(rows)
}

/// A page of calls.
///
/// # Errors
/// The database.
pub async fn calls(
    app: &App,
    brand: BrandId,
    (service, panel): (Option<ServiceId>, Option<PanelId>),
    (before, limit): (Before, i64),
) -> Result<Vec<call::Row>, Problem> {
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    let (service, panel) = (service.map(|id| id.as_uuid()), panel.map(|id| id.as_uuid()));
    let rows = call::page(&mut tx, service, panel, before, limit).await?;
    tx.commit().await?;
    Ok(rows)
}

/// A page of open tasks.
///
/// # Errors
/// The database.
pub async fn tasks(app: &App, brand: BrandId, (before, limit): (Before, i64)) -> Result<Vec<task::Row>, Problem> {
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    let rows = task::page(&mut tx, before, limit).await?;
    tx.commit().await?;
    Ok(rows)
}

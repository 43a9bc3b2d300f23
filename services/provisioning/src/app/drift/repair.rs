//! Giving a difference to the reconciler, and a stranger to its service.

use chrono::{DateTime, Utc};
use ottery_kernel::{PanelId, ServiceId};
use ottery_kit::secret::Secret;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use crate::app::App;
use crate::app::reconcile::password_place;
use crate::domain::drift::NO_LINE;
use crate::store::drift::Row;
use crate::store::service::{self, Row as Service};
use crate::store::{due, panel, task};

/// Makes the reconciler look at the line, which then writes what is wanted over what it finds. Returns whether there was anything to
/// order: a service whose call is open is at it already.
pub(super) async fn order(tx: &mut PgTransaction<'_>, drift: &Row) -> sqlx::Result<bool> {
    let Some(id) = drift.service_id else { return Ok(false) };
    let Some(mut row) = service::lock(tx, ServiceId::from_uuid(id)).await? else { return Ok(false) };
    if row.open_call.is_some() {
        return Ok(false);
    }
    // What was refused may be tried again, since somebody asks for it.
    row.refused_version = None;
    row.refused_code.clear();
    row.attempts = 0;
    if drift.observed == NO_LINE {
        // Made again, with the name and the password the customer has.
        "never".clone_into(&mut row.line_fact);
        row.line_id = None;
    } else if row.line_id.is_none() && !drift.line_id.is_empty() {
        // It ended here and plays there: known again, so that it can be ended there too.
        bind(tx, &mut row, drift).await?;
    } else {
        row.verify_at = Some(DateTime::<Utc>::UNIX_EPOCH);
    }
    service::save(tx, &row).await?;
    due::wake(tx, row.service_id()).await?;
    Ok(true)
}

/// Has the reconciler see for itself that a line is missing or banned: it writes nothing then, and tells customer and staff.
pub(super) async fn tell(tx: &mut PgTransaction<'_>, service: Uuid) -> sqlx::Result<()> {
    let Some(mut row) = service::lock(tx, ServiceId::from_uuid(service)).await? else { return Ok(()) };
    if row.open_call.is_some() || row.line_id.is_none() {
        return Ok(());
    }
    row.verify_at = Some(DateTime::<Utc>::UNIX_EPOCH);
    service::save(tx, &row).await?;
    due::wake(tx, row.service_id()).await
}

/// Gives a stranger's line to a service without one; the reconciler then makes it what is wanted. The password is the panel's.
pub(super) async fn give(
    app: &App,
    tx: &mut PgTransaction<'_>,
    row: &mut Service,
    drift: &Row,
    password: &Secret,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    row.username.clone_from(&drift.username);
    row.password_sealed = Some(app.host.keyring.seal(&password_place(row), password.expose().as_bytes()));
    row.refused_version = None;
    row.refused_code.clear();
    row.attempts = 0;
    row.has_task = false;
    bind(tx, row, drift).await?;
    service::save(tx, row).await?;
    task::close_of_service(tx, row.id, None, now).await?;
    due::wake(tx, row.service_id()).await
}

/// Notes the line as the service's, to be read before anything is written.
async fn bind(tx: &mut PgTransaction<'_>, row: &mut Service, drift: &Row) -> sqlx::Result<()> {
    let counted = row.panel_id.filter(|_| row.line_fact != "removed");
    if counted != Some(drift.panel_id) {
        if let Some(left) = counted {
            panel::give_place(tx, PanelId::from_uuid(left)).await?;
        }
        // The line is there, whatever the capacity says.
        panel::take_place(tx, PanelId::from_uuid(drift.panel_id), 0).await?;
    }
    row.panel_id = Some(drift.panel_id);
    "seen".clone_into(&mut row.line_fact);
    row.line_id = Some(drift.line_id.clone());
    row.verify_at = Some(DateTime::<Utc>::UNIX_EPOCH);
    Ok(())
}

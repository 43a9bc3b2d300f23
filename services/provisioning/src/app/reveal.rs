//! The two things people do with a service: see its credentials, try it again.

use ottery_kernel::{BrandId, PanelId, ServiceId};
use ottery_kit::audit;
use ottery_kit::db::{self, Scope};
use ottery_kit::grpc::{Actor, Problem};
use ottery_kit::secret::Secret;

use super::App;
use super::read::{missing, own_account};
use super::reconcile::password_place;
use crate::store::{due, panel, service, task};

/// What a player needs.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub username: String,
    pub password: Secret,
    /// Where players connect.
    pub server_url: String,
}

/// Opens a line's credentials and writes down who saw them.
///
/// # Errors
/// Not there, not theirs, or no line yet.
pub async fn credentials(app: &App, actor: &Actor, brand: BrandId, id: ServiceId) -> Result<Credentials, Problem> {
    let own = own_account(actor, "panel.reveal")?;
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    let row = service::get(&mut tx, id).await?;
    let row = row.filter(|row| own.as_ref().is_none_or(|own| row.account_id == *own)).ok_or_else(missing)?;
    let not_yet = || Problem::refused("SERVICE_NOT_READY", "there are no credentials yet; they come with the service");
    let (Some(sealed), Some(_), Some(panel)) = (&row.password_sealed, &row.line_id, row.panel_id) else {
        return Err(not_yet());
    };
    let panel = panel::get(&mut tx, PanelId::from_uuid(panel)).await?.ok_or_else(not_yet)?;
    let password =
        app.host.keyring.open_text(&password_place(&row), sealed).map_err(|error| Problem::internal(&error))?;
    audit::append(&mut tx, actor, "service.reveal", id, None, None).await?;
    tx.commit().await?;
    Ok(Credentials { username: row.username, password, server_url: panel.player_url })
}

/// Tries a waiting or stuck service again now: forgets refusals, and makes a line anew that was deleted on the panel.
///
/// # Errors
/// Not there.
pub async fn retry(app: &App, actor: &Actor, brand: BrandId, id: ServiceId) -> Result<(), Problem> {
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    let mut row = service::lock(&mut tx, id).await?.ok_or_else(missing)?;
    row.refused_version = None;
    row.refused_code.clear();
    row.attempts = 0;
    row.has_task = false;
    if row.line_fact == "missing" {
        "never".clone_into(&mut row.line_fact);
    }
    if row.candidate > 0 && row.line_id.is_none() && row.open_call.is_none() {
        row.candidate = 0;
        row.username.clear();
        row.password_sealed = None;
    }
    if row.line_banned || row.country_lock == Some(true) && row.line_id.is_some() {
        // Whether the ban was lifted, or a country set by hand, is for the panel to say.
        row.verify_at = Some(chrono::DateTime::UNIX_EPOCH);
    }
    service::save(&mut tx, &row).await?;
    let now = ottery_kit::clock::brand_now(&mut tx, brand, &*app.host.clock).await?;
    task::close_of_service(&mut tx, row.id, None, now).await?;
    due::wake(&mut tx, id).await?;
    audit::append(&mut tx, actor, "service.retry", id, None, None).await?;
    tx.commit().await?;
    Ok(())
}

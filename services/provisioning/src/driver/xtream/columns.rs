//! The columns we write, as `user_data[…]`.

use serde_json::json;

use crate::driver::error::{PanelError, PermKind};
use crate::driver::model::{Expiry, LineSpec, LineState, OpTag, PackageSpec};
use crate::driver::rules::{check_credentials, check_limits};
use crate::driver::value::ids_text;
use crate::driver::xui::row::output_number;

/// A column and its value.
pub type Column = (&'static str, String);

/// When it stops.
pub const EXPIRY: &str = "user_data[exp_date]";
const BOUQUET: &str = "user_data[bouquet]";
const CONNECTIONS: &str = "user_data[max_connections]";
const ISP_LOCK: &str = "user_data[is_isplock]";
const COUNTRY: &str = "user_data[forced_country]";
/// The column that suspension uses; `admin_enabled` is the ban of the panel's people.
pub const ENABLED: &str = "user_data[enabled]";
/// See [`ENABLED`].
pub const ADMIN_ENABLED: &str = "user_data[admin_enabled]";
/// The line's password.
pub const PASSWORD: &str = "user_data[password]";

/// Everything of a new line.
///
/// # Errors
/// [`PermKind::InvalidInput`] before anything is sent.
pub fn create(tag: &OpTag, line: &LineSpec) -> Result<Vec<Column>, PanelError> {
    check_credentials(&line.username, &line.password)?;
    check_limits(line.connections, &line.outputs)?;
    let mut outputs: Vec<i64> = line.outputs.iter().map(|output| output_number(*output)).collect();
    outputs.sort_unstable();
    let mut columns = vec![
        ("user_data[username]", line.username.clone()),
        (PASSWORD, line.password.expose().to_owned()),
        (BOUQUET, ids_text(&line.bouquets)),
        (CONNECTIONS, line.connections.to_string()),
        ("user_data[output_formats]", json!(outputs).to_string()),
        ("user_data[admin_notes]", tag.to_string()),
    ];
    match line.expiry {
        // Left out means never here.
        Expiry::Never => {}
        Expiry::At(_) => columns.push(expiry(line.expiry)?),
    }
    if line.trial {
        columns.push(("user_data[is_trial]", "1".to_owned()));
    }
    if line.isp_lock {
        columns.push((ISP_LOCK, "1".to_owned()));
    }
    if !line.country.is_empty() {
        columns.push((COUNTRY, line.country.clone()));
    }
    Ok(columns)
}

/// The expiry, as unix seconds: this API reads no dates.
///
/// # Errors
/// [`PermKind::Unsupported`] for never: an edit has no word for it, and 0 is a date on some builds.
pub fn expiry(expiry: Expiry) -> Result<Column, PanelError> {
    match expiry.seconds() {
        Some(seconds) => Ok((EXPIRY, seconds.to_string())),
        None => Err(PanelError::permanent(
            PermKind::Unsupported,
            "an edit on this panel cannot take an expiry away; set one, or do it on the panel",
        )),
    }
}

/// What a line may watch. Formats were chosen when it was made: they are no column of the line.
///
/// # Errors
/// [`PermKind::Unsupported`] for a lock whose column this panel's lines do not have.
pub fn package(fresh: &LineState, package: &PackageSpec) -> Result<Vec<Column>, PanelError> {
    check_limits(package.connections, &package.outputs)?;
    let mut columns = vec![(BOUQUET, ids_text(&package.bouquets)), (CONNECTIONS, package.connections.to_string())];
    if let Some(until) = package.expiry {
        columns.push(expiry(until)?);
    }
    let absent = |column: &str| {
        PanelError::permanent(PermKind::Unsupported, format!("this panel's lines have no column {column}"))
    };
    if let Some(lock) = package.isp_lock {
        match fresh.isp_locked {
            Some(locked) if locked == lock => {}
            Some(_) => columns.push((ISP_LOCK, u8::from(lock).to_string())),
            None if lock => return Err(absent("is_isplock")),
            None => {}
        }
    }
    if let Some(country) = &package.country {
        match &fresh.country {
            Some(known) if known == country => {}
            Some(_) => columns.push((COUNTRY, country.clone())),
            None if country.is_empty() => {}
            None => return Err(absent("forced_country")),
        }
    }
    Ok(columns)
}

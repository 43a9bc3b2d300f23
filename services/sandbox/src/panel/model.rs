//! Lines, users and packages, and the rows the panel shows of them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::{PackageSpec, ResellerSpec};

/// Credits in ten-thousandths: panels keep four decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Credits(pub i64);

impl Credits {
    /// From a configured number.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "panels hold credits far below the range of f64's integers")]
    pub fn from_number(number: f64) -> Self {
        Self((number * 10_000.0).round() as i64)
    }

    /// Whole credits.
    #[must_use]
    pub fn whole(credits: i64) -> Self {
        Self(credits.saturating_mul(10_000))
    }

    /// As the panel writes it: an integer where it is one.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "panels hold credits far below the range of f64's integers")]
    pub fn number(self) -> Value {
        if self.0 % 10_000 == 0 { json!(self.0 / 10_000) } else { json!(self.0 as f64 / 10_000.0) }
    }
}

/// A subscriber line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub id: i64,
    pub member_id: i64,
    pub username: String,
    pub password: String,
    /// Unix seconds; `None` never expires.
    pub exp_date: Option<i64>,
    pub admin_enabled: bool,
    pub enabled: bool,
    pub admin_notes: String,
    pub reseller_notes: String,
    pub bouquets: Vec<i64>,
    pub outputs: Vec<i64>,
    pub max_connections: i64,
    pub is_restreamer: bool,
    pub is_trial: bool,
    pub is_isplock: bool,
    /// The one country it plays from; empty and `ALL` are any.
    #[serde(default)]
    pub forced_country: String,
    pub is_stalker: bool,
    pub bypass_ua: bool,
    pub allowed_ips: Vec<String>,
    pub allowed_ua: Vec<String>,
    pub created_at: i64,
    pub package_id: Option<i64>,
    pub contact: String,
    /// Real time of the last disable or ban, unix seconds; not a column of the panel.
    pub cut_at: Option<i64>,
}

impl Line {
    /// The database row as `get_line` and the write actions answer it.
    #[must_use]
    pub fn row(&self) -> Value {
        json!({
            "id": self.id,
            "member_id": self.member_id,
            "username": self.username,
            "password": self.password,
            "last_ip": null,
            "exp_date": self.exp_date,
            "admin_enabled": i64::from(self.admin_enabled),
            "enabled": i64::from(self.enabled),
            "admin_notes": self.admin_notes,
            "reseller_notes": self.reseller_notes,
            "bouquet": ids_text(&self.bouquets),
            "allowed_outputs": ids_text(&self.outputs),
            "max_connections": self.max_connections,
            "is_restreamer": i64::from(self.is_restreamer),
            "is_trial": i64::from(self.is_trial),
            "is_mag": 0,
            "is_e2": 0,
            "is_stalker": i64::from(self.is_stalker),
            "is_isplock": i64::from(self.is_isplock),
            "allowed_ips": serde_json::to_string(&self.allowed_ips).unwrap_or_default(),
            "allowed_ua": serde_json::to_string(&self.allowed_ua).unwrap_or_default(),
            "created_at": self.created_at,
            "pair_id": null,
            "force_server_id": 0,
            "as_number": null,
            "isp_desc": null,
            "forced_country": self.forced_country,
            "bypass_ua": i64::from(self.bypass_ua),
            "play_token": "",
            "package_id": self.package_id,
            "access_token": null,
            "contact": self.contact,
        })
    }

    /// The shorter row of `get_lines`.
    #[must_use]
    pub fn table_row(&self, active_connections: usize) -> Value {
        json!({
            "id": self.id,
            "username": self.username,
            "password": self.password,
            "member_id": self.member_id,
            "exp_date": self.exp_date,
            "enabled": i64::from(self.enabled),
            "admin_enabled": i64::from(self.admin_enabled),
            "max_connections": self.max_connections,
            "is_trial": i64::from(self.is_trial),
            "is_restreamer": i64::from(self.is_restreamer),
            "active_connections": active_connections,
            "admin_notes": self.admin_notes,
            "reseller_notes": self.reseller_notes,
            "package_id": self.package_id,
            "contact": self.contact,
        })
    }

    /// Whether a viewer in `country` is turned away; one whose country is unknown never is.
    #[must_use]
    pub fn shuts_out(&self, country: Option<&str>) -> bool {
        let forced = self.forced_country.as_str();
        !matches!(forced, "" | "ALL") && country.is_some_and(|country| country != forced)
    }

    /// The word the player API uses.
    #[must_use]
    pub fn status(&self, now: i64) -> &'static str {
        if !self.admin_enabled {
            "Banned"
        } else if !self.enabled {
            "Disabled"
        } else if self.exp_date.is_some_and(|exp| exp <= now) {
            "Expired"
        } else {
            "Active"
        }
    }
}

fn ids_text(ids: &[i64]) -> String {
    serde_json::to_string(ids).unwrap_or_default()
}

/// Someone with an API key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    pub id: i64,
    pub username: String,
    pub is_admin: bool,
    pub parent: Option<i64>,
    pub credits: Credits,
    pub trials: u32,
}

impl User {
    /// The administrator, id 1.
    #[must_use]
    pub fn admin() -> Self {
        Self { id: 1, username: "admin".into(), is_admin: true, parent: None, credits: Credits(0), trials: 0 }
    }

    /// A reseller on the first start.
    #[must_use]
    pub fn reseller(spec: &ResellerSpec) -> Self {
        Self {
            id: spec.id,
            username: spec.username.clone(),
            is_admin: false,
            parent: spec.parent,
            credits: Credits::from_number(spec.credits),
            trials: spec.trials,
        }
    }

    /// `user_info`.
    #[must_use]
    pub fn row(&self, permissions: Value) -> Value {
        json!({
            "id": self.id,
            "username": self.username,
            "member_group_id": if self.is_admin { 1 } else { 2 },
            "owner_id": self.parent.unwrap_or(1),
            "credits": self.credits.number(),
            "status": 1,
            "email": "",
            "permissions": permissions,
        })
    }
}

/// A package row.
#[must_use]
pub fn package_row(package: &PackageSpec) -> Value {
    json!({
        "id": package.id,
        "package_name": package.name,
        "is_addon": 0,
        "is_trial": i64::from(package.trial_hours > 0),
        "is_official": 1,
        "trial_credits": 0,
        "official_credits": Credits::from_number(package.credits).number(),
        "trial_duration": package.trial_hours,
        "trial_duration_in": "hours",
        "official_duration": package.duration,
        "official_duration_in": package.duration_in,
        "groups": "[1,2]",
        "bouquets": ids_text(&package.bouquets),
        "max_connections": package.max_connections,
        "is_line": i64::from(package.is_line),
        "is_mag": 1,
        "is_e2": 0,
    })
}

/// Whole numbers as strings, the way XUI.ONE sends them.
pub fn numbers_to_strings(value: &mut Value) {
    match value {
        Value::Number(number) => *value = Value::String(number.to_string()),
        Value::Array(items) => items.iter_mut().for_each(numbers_to_strings),
        Value::Object(map) => map.values_mut().for_each(numbers_to_strings),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// One effect that really happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Effect {
    /// Number, growing.
    pub seq: u64,
    /// Real time.
    pub at: chrono::DateTime<chrono::Utc>,
    /// The panel's time.
    pub panel_at: chrono::DateTime<chrono::Utc>,
    /// `admin`, `reseller`, `player` or `control`.
    pub role: String,
    /// Whose key.
    pub user_id: i64,
    /// The action.
    pub action: String,
    /// Line it hit.
    pub line_id: Option<i64>,
    /// Its name at that time.
    pub username: Option<String>,
    /// The caller's (or target's) credits before, where they matter.
    pub credits_before: Option<Credits>,
    /// And after.
    pub credits_after: Option<Credits>,
}

//! Rows of the panel as lines, packages and connections.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::driver::Secret;
use crate::driver::model::{Bouquet, Conn, LineState, Output, Package, Raw};
use crate::driver::value;

/// A line, or nothing when the row lacks what makes one: an id, a name and a readable expiry.
#[must_use]
pub fn line(row: &Value) -> Option<LineState> {
    let field = |names: &[&str]| names.iter().find_map(|name| row.get(name));
    let number = |names: &[&str]| field(names).and_then(value::int);
    let notes: Vec<String> = ["admin_notes", "reseller_notes", "notes"]
        .iter()
        .filter_map(|name| row.get(name).and_then(value::text))
        .filter(|text| !text.is_empty())
        .collect();
    Some(LineState {
        id: field(&["id"]).and_then(value::text).filter(|id| !id.is_empty())?,
        username: field(&["username"]).and_then(value::text)?,
        password: Secret::new(field(&["password"]).and_then(value::text).unwrap_or_default()),
        expires_at: match field(&["exp_date"]) {
            Some(exp_date) => value::expiry(exp_date)?,
            // A row without its expiry must not read as "never".
            None => return None,
        },
        enabled: field(&["enabled"]).and_then(value::flag).unwrap_or(true),
        banned: !field(&["admin_enabled"]).and_then(value::flag).unwrap_or(true),
        connections: number(&["max_connections"]).and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
        bouquets: field(&["bouquet", "bouquets", "bouquets_selected"]).and_then(value::ids),
        outputs: field(&["allowed_outputs", "access_output"]).and_then(value::ids).map(|ids| {
            let mut outputs: Vec<Output> = ids.into_iter().filter_map(output).collect();
            outputs.sort_unstable();
            outputs
        }),
        package: number(&["package_id"]).filter(|id| *id > 0),
        member: number(&["member_id"]),
        trial: field(&["is_trial"]).and_then(value::flag).unwrap_or(false),
        isp_locked: field(&["is_isplock"]).and_then(value::flag),
        country: field(&["forced_country"]).map(country),
        online: number(&["active_connections", "active_cons"]).and_then(|n| u32::try_from(n).ok()),
        notes: notes.join("\n"),
        raw: Raw(row.clone()),
    })
}

/// The country a line is locked to, or nothing: `ALL` only lets it play where the panel itself would not.
fn country(value: &Value) -> String {
    value::text(value).filter(|text| text != "ALL").unwrap_or_default()
}

/// The panel's number of a format.
#[must_use]
pub const fn output_number(output: Output) -> i64 {
    match output {
        Output::Hls => 1,
        Output::Ts => 2,
        Output::Rtmp => 3,
    }
}

const fn output(number: i64) -> Option<Output> {
    match number {
        1 => Some(Output::Hls),
        2 => Some(Output::Ts),
        3 => Some(Output::Rtmp),
        _ => None,
    }
}

/// A package row.
#[must_use]
pub fn package(row: &Value) -> Option<Package> {
    let amount = row.get("official_duration").and_then(value::int);
    let unit = row.get("official_duration_in").and_then(value::text).unwrap_or_default();
    Some(Package {
        id: row.get("id").and_then(value::int)?,
        name: row.get("package_name").or_else(|| row.get("name")).and_then(value::text)?,
        credits: row.get("official_credits").and_then(value::decimal),
        connections: row.get("max_connections").and_then(value::int).and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
        bouquets: row.get("bouquets").and_then(value::ids).unwrap_or_default(),
        duration: amount.map(|amount| format!("{amount} {unit}")).unwrap_or_default(),
        duration_s: amount.and_then(|amount| duration(amount, &unit)),
    })
}

fn duration(amount: i64, unit: &str) -> Option<i64> {
    let one = match unit {
        "hours" => TimeDelta::hours(1),
        "days" => TimeDelta::days(1),
        "months" => TimeDelta::days(30),
        "years" => TimeDelta::days(365),
        _ => return None,
    };
    one.num_seconds().checked_mul(amount).filter(|seconds| *seconds > 0)
}

/// A bouquet row.
#[must_use]
pub fn bouquet(row: &Value) -> Option<Bouquet> {
    Some(Bouquet {
        id: row.get("id").and_then(value::int)?,
        name: row.get("bouquet_name").or_else(|| row.get("name")).and_then(value::text)?,
    })
}

/// A live connection row.
#[must_use]
pub fn connection(row: &Value) -> Option<Conn> {
    let text = |names: &[&str]| names.iter().find_map(|name| row.get(name).and_then(value::text));
    Some(Conn {
        id: text(&["activity_id", "id", "uuid"])?,
        line_id: text(&["user_id", "line_id"]),
        stream: text(&["stream_display_name", "stream_id", "stream"]),
        since: row.get("date_start").and_then(value::int).and_then(|at| DateTime::<Utc>::from_timestamp(at, 0)),
    })
}

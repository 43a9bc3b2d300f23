//! A line out of form fields, with the admin API's full-replacement rules.

use super::{
    model::Line,
    state::{Panel, State},
    time,
};
use crate::form::{Form, intval};

/// Length of names and passwords the panel chooses.
pub const RANDOM_LEN: usize = 10;

/// Why a request ends early.
pub enum Refused {
    /// A status string, nothing written.
    Status(&'static str),
    /// PHP threw: 200 and no body.
    Exception,
}

/// Builds the whole line from the form: what is not sent falls back to the panel's defaults, never to `old`.
pub fn full_line(
    panel: &Panel,
    state: &State,
    form: &Form,
    old: Option<&Line>,
    taken: Option<bool>,
) -> Result<Line, Refused> {
    // PHP decodes the text and walks the result; anything but a list throws.
    let bouquets: Vec<serde_json::Value> =
        serde_json::from_str(form.get("bouquets_selected").ok_or(Refused::Exception)?)
            .map_err(|_| Refused::Exception)?;
    let exp_date = if form.has("no_expire") {
        None
    } else {
        match form.filled("exp_date") {
            Some(text) => Some(time::parse(text, panel.tz).ok_or(Refused::Status("STATUS_INVALID_DATE"))?),
            None => None,
        }
    };
    let member_id = form.int("member_id").unwrap_or(1);
    if !state.users.contains_key(&member_id) {
        return Err(Refused::Status("STATUS_INVALID_USER"));
    }
    let username = chosen_or_random(panel, form.filled("username"));
    if taken.unwrap_or_else(|| state.name_taken(&username, old.map(|line| line.id))) {
        return Err(Refused::Status("STATUS_EXISTS_USERNAME"));
    }
    let flag = |name| form.has(name);
    let switch = |name: &str| form.int(name).is_none_or(|value| value != 0);
    let (admin_enabled, enabled) = (switch("admin_enabled"), switch("enabled"));
    let now = state.clock.now().timestamp();
    Ok(Line {
        id: old.map_or(0, |line| line.id),
        member_id,
        username,
        password: chosen_or_random(panel, form.filled("password")),
        exp_date,
        admin_enabled,
        enabled,
        admin_notes: form.get("admin_notes").unwrap_or_default().to_owned(),
        reseller_notes: form.get("reseller_notes").unwrap_or_default().to_owned(),
        bouquets: bouquets
            .iter()
            .filter_map(number)
            .filter(|id| panel.spec.bouquets.iter().any(|b| b.id == *id))
            .collect(),
        outputs: form.list("access_output").iter().map(|text| intval(text)).collect(),
        max_connections: form.filled("max_connections").map_or(1, intval),
        is_restreamer: flag("is_restreamer"),
        is_trial: flag("is_trial"),
        is_isplock: flag("is_isplock"),
        // A plain text column: an edit that does not send it leaves it.
        forced_country: match (form.get("forced_country"), old) {
            (Some(text), _) => text.to_owned(),
            (None, Some(old)) => old.forced_country.clone(),
            (None, None) => String::new(),
        },
        is_stalker: flag("is_stalker"),
        bypass_ua: flag("bypass_ua"),
        allowed_ips: form.list("allowed_ips"),
        allowed_ua: form.list("allowed_ua"),
        created_at: old.map_or(now, |line| line.created_at),
        package_id: form.filled("package_id").map(intval),
        contact: form.get("contact").unwrap_or_default().to_owned(),
        cut_at: cut_at(old, admin_enabled && enabled),
    })
}

/// When the line stopped being served, if it is not served now.
pub fn cut_at(old: Option<&Line>, on: bool) -> Option<i64> {
    if on { None } else { old.and_then(|line| line.cut_at).or_else(|| Some(crate::clock::now().timestamp())) }
}

pub fn chosen_or_random(panel: &Panel, chosen: Option<&str>) -> String {
    chosen.map_or_else(|| panel.context.chance.word(RANDOM_LEN), str::to_owned)
}

fn number(value: &serde_json::Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str().map(intval))
}

//! Table actions: searched, filtered, ordered and paged the way the panel's own screens are.

use serde_json::json;

use super::{model::Line, route::Answer, state::Panel};
use crate::form::Form;

/// Rows of a page when none are asked for.
const LIMIT: usize = 50;
/// "Expiring soon" in seconds.
const SOON_S: i64 = 14 * 86_400;

/// `get_lines`; `owner` limits it to a reseller's tree.
pub fn lines(panel: &Panel, form: &Form, owner: Option<i64>) -> Answer {
    let state = panel.state();
    let now = state.clock.now().timestamp();
    let search = form.filled("search[value]").map(str::to_lowercase);
    let filter = form.int("filter").unwrap_or(0);
    let member = form.filled("reseller").map(crate::form::intval);
    let fits = |line: &&Line| {
        owner.is_none_or(|owner| state.is_below(line.member_id, owner))
            && member.is_none_or(|member| line.member_id == member)
            && search.as_deref().is_none_or(|search| matches_search(line, search))
            && matches_filter(line, filter, now)
    };
    let ascending = form.get("order[0][dir]").is_some_and(|dir| dir.eq_ignore_ascii_case("asc"));
    let mut found: Vec<&Line> = state.lines.values().filter(fits).collect();
    if form.int("order[0][column]") == Some(1) {
        found.sort_by(|a, b| a.username.cmp(&b.username));
    }
    if !ascending {
        found.reverse();
    }
    let (start, limit) = page(form);
    let rows =
        found.iter().skip(start).take(limit).map(|line| line.table_row(state.active_connections(line.id))).collect();
    Answer::Table { rows, total: found.len(), limit }
}

fn page(form: &Form) -> (usize, usize) {
    let read = |name| form.int(name).and_then(|value| usize::try_from(value).ok());
    (read("start").unwrap_or(0), read("limit").filter(|limit| *limit > 0).unwrap_or(LIMIT))
}

fn matches_search(line: &Line, search: &str) -> bool {
    let expiry = line.exp_date.map(|exp| exp.to_string()).unwrap_or_default();
    [&line.username, &line.password, &expiry, &line.admin_notes, &line.reseller_notes]
        .into_iter()
        .any(|field| like(&field.to_lowercase(), search))
}

/// `LIKE '%needle%'`: the caller's own `%` and `_` stay wildcards, as nobody escapes them there.
fn like(text: &str, needle: &str) -> bool {
    if !needle.contains(['%', '_']) {
        return text.contains(needle);
    }
    let text: Vec<char> = text.chars().collect();
    let pattern: Vec<char> = std::iter::once('%').chain(needle.chars()).chain(std::iter::once('%')).collect();
    let mut reach = vec![false; text.len() + 1];
    reach[0] = true;
    for wanted in pattern {
        if wanted == '%' {
            let first = reach.iter().position(|is_reached| *is_reached).unwrap_or(reach.len());
            reach.iter_mut().skip(first).for_each(|is_reached| *is_reached = true);
        } else {
            for at in (0..text.len()).rev() {
                reach[at + 1] = reach[at] && (wanted == '_' || wanted == text[at]);
            }
            reach[0] = false;
        }
    }
    reach[text.len()]
}

fn matches_filter(line: &Line, filter: i64, now: i64) -> bool {
    let is_expired = line.exp_date.is_some_and(|exp| exp <= now);
    match filter {
        1 => line.enabled && line.admin_enabled && !is_expired,
        2 => !line.enabled,
        3 => !line.admin_enabled,
        4 => is_expired,
        5 => line.is_trial,
        6 => line.is_restreamer,
        8 => line.exp_date.is_some_and(|exp| exp > now && exp <= now + SOON_S),
        _ => true,
    }
}

/// `live_connections`.
pub fn connections(panel: &Panel, form: &Form, owner: Option<i64>) -> Answer {
    let state = panel.state();
    let (user, stream) =
        (form.filled("user_id").map(crate::form::intval), form.filled("stream_id").map(crate::form::intval));
    let found: Vec<_> = state
        .running()
        .filter(|c| user.is_none_or(|user| c.line_id == user) && stream.is_none_or(|stream| c.stream_id == stream))
        .filter_map(|connection| Some((connection, state.lines.get(&connection.line_id)?)))
        .filter(|(_, line)| owner.is_none_or(|owner| state.is_below(line.member_id, owner)))
        .map(|(connection, line)| {
            let name = panel.spec.streams.iter().find(|s| s.id == connection.stream_id).map(|s| s.name.as_str());
            json!({
                "activity_id": connection.activity_id,
                "user_id": line.id,
                "username": line.username,
                "stream_id": connection.stream_id,
                "stream_display_name": name,
                "server_id": 1,
                "user_ip": connection.ip.to_string(),
                "user_agent": connection.agent,
                "container": connection.container,
                "date_start": connection.started_at,
            })
        })
        .collect();
    let (start, limit) = page(form);
    let total = found.len();
    Answer::Table { rows: found.into_iter().skip(start).take(limit).collect(), total, limit }
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn search_is_a_substring_where_percent_and_underscore_are_wildcards() {
        assert!(like("alice1", "lice"));
        assert!(like("alice1", "a_ice"));
        assert!(like("alice1", "a%1"));
        assert!(!like("alice1", "a_1"));
        assert!(!like("alice1", "bob"));
    }
}

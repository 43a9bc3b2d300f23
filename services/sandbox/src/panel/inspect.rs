//! What tests may see and change behind the panel's back.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    model::{Credits, Line},
    state::{NewEffect, Panel},
};
use crate::{clock::PanelClock, store::Change};

/// A line put there by a test.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LineSeed {
    pub username: String,
    pub password: String,
    /// Unix seconds; `null` never expires.
    pub exp_date: Option<i64>,
    pub member_id: i64,
    pub max_connections: i64,
    pub bouquets: Vec<i64>,
    pub outputs: Vec<i64>,
    pub enabled: bool,
    pub admin_enabled: bool,
    pub is_trial: bool,
    pub package_id: Option<i64>,
    pub admin_notes: String,
    pub reseller_notes: String,
    pub contact: String,
}

impl Default for LineSeed {
    fn default() -> Self {
        Self {
            username: String::new(),
            password: String::new(),
            exp_date: None,
            member_id: 1,
            max_connections: 1,
            bouquets: vec![1],
            outputs: vec![1, 2],
            enabled: true,
            admin_enabled: true,
            is_trial: false,
            package_id: None,
            admin_notes: String::new(),
            reseller_notes: String::new(),
            contact: String::new(),
        }
    }
}

/// A connection put there by a test.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionSeed {
    pub line_id: i64,
    pub stream_id: i64,
    pub ip: IpAddr,
}

/// An order to the panel's clock.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockOrder {
    /// Stand still here; `null` together with no offset is real time.
    #[serde(default)]
    pub now: Option<DateTime<Utc>>,
    /// Keep running from `now`.
    #[serde(default)]
    pub running: bool,
    /// Run at this distance from real time.
    #[serde(default)]
    pub offset_s: Option<i64>,
}

impl Panel {
    /// Name, roles, clock and totals.
    pub fn describe(&self) -> Value {
        let state = self.state();
        let users: Vec<Value> = state
            .users
            .values()
            .map(|user| json!({"id": user.id, "username": user.username, "credits": user.credits.number(), "trials": user.trials}))
            .collect();
        json!({
            "code": self.spec.code,
            "reseller_code": self.spec.reseller_code(),
            "timezone": self.spec.timezone,
            "clock": state.clock,
            "now": state.clock.now(),
            "lines": state.lines.len(),
            "effects": state.effects.len(),
            "users": users,
            "settings": state.settings,
        })
    }

    /// Every line with its whole row, those of one name, or one.
    pub fn list_lines(&self, username: Option<&str>) -> Value {
        let state = self.state();
        let now = state.clock.now().timestamp();
        let rows = state.lines.values().filter(|line| username.is_none_or(|name| line.username == name)).map(|line| {
            let mut row = line.row();
            row["status"] = line.status(now).into();
            row["active_connections"] = state.active_connections(line.id).into();
            row
        });
        Value::Array(rows.collect())
    }

    /// Effects after `since`, of one action if named.
    pub fn list_effects(&self, since: u64, action: Option<&str>, username: Option<&str>) -> Value {
        let state = self.state();
        let rows = state
            .effects
            .iter()
            .filter(|effect| effect.seq > since)
            .filter(|effect| action.is_none_or(|action| effect.action == action))
            .filter(|effect| username.is_none_or(|name| effect.username.as_deref() == Some(name)))
            .map(|effect| {
                let mut row = json!(effect);
                row["credits_before"] = effect.credits_before.map(Credits::number).into();
                row["credits_after"] = effect.credits_after.map(Credits::number).into();
                row
            });
        Value::Array(rows.collect())
    }

    /// Calls by role and action, and what they left behind.
    pub fn counters(&self) -> Value {
        let state = self.state();
        let mut effects = std::collections::BTreeMap::<&str, u64>::new();
        for effect in &state.effects {
            *effects.entry(&effect.action).or_default() += 1;
        }
        json!({"calls": state.calls, "effects": effects, "lines": state.lines.len(), "connections": state.running().count()})
    }

    /// Puts a line there.
    pub fn seed_line(&self, seed: LineSeed) -> Value {
        let mut state = self.state();
        let line = Line {
            id: 0,
            member_id: seed.member_id,
            username: seed.username,
            password: seed.password,
            exp_date: seed.exp_date,
            admin_enabled: seed.admin_enabled,
            enabled: seed.enabled,
            admin_notes: seed.admin_notes,
            reseller_notes: seed.reseller_notes,
            bouquets: seed.bouquets,
            outputs: seed.outputs,
            max_connections: seed.max_connections,
            is_restreamer: false,
            is_trial: seed.is_trial,
            is_isplock: false,
            forced_country: String::new(),
            is_stalker: false,
            bypass_ua: false,
            allowed_ips: Vec::new(),
            allowed_ua: Vec::new(),
            created_at: state.clock.now().timestamp(),
            package_id: seed.package_id,
            contact: seed.contact,
            cut_at: None,
        };
        let mut change = Change::default();
        let line = self.insert_line(&mut state, &mut change, line);
        self.log(&mut state, &mut change, control("seed_line", Some(&line)));
        self.commit(change);
        line.row()
    }

    /// Removes a line as an operator at the panel would: unseen by us.
    pub fn remove_by_hand(&self, id: i64) -> bool {
        let mut state = self.state();
        let mut change = Change::default();
        let removed = self.remove_line(&mut state, &mut change, id);
        self.log(&mut state, &mut change, control("remove_line", removed.as_ref()));
        self.commit(change);
        removed.is_some()
    }

    /// Opens a connection without a player.
    pub fn seed_connection(&self, seed: &ConnectionSeed) -> Option<Value> {
        let mut state = self.state();
        let line = state.lines.get(&seed.line_id)?.clone();
        let viewer =
            super::live::Viewer { ip: seed.ip, agent: "sandbox".into(), stream_id: seed.stream_id, container: "hls" };
        let token = self.open_connection(&mut state, &line, viewer);
        let activity_id = state.tokens.get(&token).copied();
        Some(json!({"activity_id": activity_id, "token": token}))
    }

    /// Changes columns of a line by hand; names as in [`LineSeed`].
    pub fn change_by_hand(
        &self,
        id: i64,
        patch: &serde_json::Map<String, Value>,
    ) -> Result<Option<Value>, serde_json::Error> {
        let mut state = self.state();
        let Some(line) = state.lines.get(&id) else { return Ok(None) };
        let mut value = serde_json::to_value(line)?;
        for (key, new) in patch.iter().filter(|(key, _)| key.as_str() != "id") {
            value[key] = new.clone();
        }
        let line: Line = serde_json::from_value(value)?;
        let mut change = Change::default();
        self.update_line(&mut state, &mut change, line.clone());
        self.log(&mut state, &mut change, control("change_line", Some(&line)));
        self.commit(change);
        Ok(Some(line.row()))
    }

    /// Moves the clock and says what it shows.
    pub fn set_clock(&self, order: &ClockOrder) -> Value {
        let mut state = self.state();
        state.clock = match (order.now, order.offset_s) {
            (Some(now), _) if order.running => PanelClock::running_from(now),
            (Some(now), _) => PanelClock::Frozen(now),
            (None, Some(offset)) => PanelClock::Offset(offset.saturating_mul(1000)),
            (None, None) => PanelClock::Real,
        };
        let mut change = Change::default();
        change.put(self.key("clock"), &state.clock);
        self.commit(change);
        json!({"clock": state.clock, "now": state.clock.now()})
    }

    /// Sets a user's credits.
    pub fn set_user_credits(&self, user: i64, credits: f64) -> bool {
        let mut state = self.state();
        let Some(before) = state.users.get(&user).map(|user| user.credits) else { return false };
        let after = Credits::from_number(credits);
        let mut change = Change::default();
        self.set_credits(&mut state, &mut change, user, after);
        let effect = NewEffect {
            role: "control",
            user_id: user,
            action: "set_credits",
            line: None,
            credits: Some((before, after)),
        };
        self.log(&mut state, &mut change, effect);
        self.commit(change);
        true
    }

    /// Changes behaviour; keys as in the panel's settings.
    pub fn change_settings(&self, patch: &serde_json::Map<String, Value>) -> Result<Value, serde_json::Error> {
        let mut state = self.state();
        let mut value = serde_json::to_value(&state.settings)?;
        for (key, new) in patch {
            value[key] = new.clone();
        }
        state.settings = serde_json::from_value(value)?;
        state.failures.clear();
        let mut change = Change::default();
        change.put(self.key("settings"), &state.settings);
        self.commit(change);
        Ok(json!(state.settings))
    }

    /// Lets the rate limiter forget.
    pub fn refill(&self) {
        self.state().buckets.clear();
    }
}

fn control<'a>(action: &'a str, line: Option<&'a Line>) -> NewEffect<'a> {
    NewEffect { role: "control", user_id: 0, action, line, credits: None }
}

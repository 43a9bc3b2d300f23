//! The older API of Xtream Codes and Xtream UI, `api.php`, over the same lines.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    fields,
    model::{Line, numbers_to_strings},
    state::{NewEffect, Panel, State},
};
use crate::{
    form::{Form, intval},
    http::{Reply, Request},
    store::Change,
};

const ROLE: &str = "xtream";
/// Columns of newer panels, and formats, which are in a table of their own.
const NOT_IN_ROW: [&str; 5] = ["allowed_outputs", "package_id", "access_token", "contact", "play_token"];

impl Panel {
    /// One call of `api.php`.
    pub async fn xtream(&self, request: &Request) -> Reply {
        let form = Form::read(request.query.as_deref(), &request.body);
        let action = format!("{}/{}", form.get("action").unwrap_or_default(), form.get("sub").unwrap_or_default());
        let latency_ms = {
            let mut state = self.state();
            if !state.settings.enabled {
                return Reply::nginx(StatusCode::NOT_FOUND);
            }
            if state.settings.flood_banned {
                return Reply::empty(StatusCode::FORBIDDEN);
            }
            let ip = request.peer.ip();
            if !state.settings.whitelist.is_empty() && !state.settings.whitelist.contains(&ip) {
                return Reply::ok(&json!({"result": false, "0": "IP FORBIDDEN"}));
            }
            *state.calls.entry(format!("{ROLE}:{action}")).or_default() += 1;
            state.settings.latency_ms
        };
        if request.method != Method::GET && request.method != Method::POST {
            return Reply::empty(StatusCode::OK);
        }
        if !self.spec.api_pass.is_empty() && form.get("api_pass") != Some(self.spec.api_pass.as_str()) {
            return Reply::ok(&json!({"result": false, "0": "KEY WRONG"}));
        }
        let no_credits = || Reply::ok(&json!({"result": true, "error": "NOT ENOUGH CREDITS"}));
        let apply = || async {
            if latency_ms > 0 {
                tokio::time::sleep(Duration::from_millis(latency_ms)).await;
            }
            let answer = match action.as_str() {
                "user/create" => self.xtream_create(&form),
                "user/info" => self.xtream_info(&form),
                "user/edit" => self.xtream_edit(&form),
                // Nothing is printed for what is not there.
                _ => return Reply::empty(StatusCode::OK),
            };
            Reply::ok(&answer)
        };
        self.context.faults.around(&self.target(), &action, no_credits, apply).await
    }

    /// Only the pair has to be new: a name with another password is another line.
    fn xtream_create(&self, form: &Form) -> Value {
        let chosen = |name: &str| {
            form.filled(&format!("user_data[{name}]"))
                .map_or_else(|| self.context.chance.word(fields::RANDOM_LEN), str::to_owned)
        };
        let (username, password) = (chosen("username"), chosen("password"));
        let mut state = self.state();
        if state.find(&username, &password).is_some() {
            return json!({"result": false, "error": "EXISTS"});
        }
        let mut line = Line {
            id: 0,
            member_id: 1,
            username,
            password,
            exp_date: None,
            admin_enabled: true,
            enabled: true,
            admin_notes: String::new(),
            reseller_notes: String::new(),
            bouquets: Vec::new(),
            outputs: Vec::new(),
            max_connections: 1,
            is_restreamer: false,
            is_trial: false,
            is_isplock: false,
            forced_country: String::new(),
            is_stalker: false,
            bypass_ua: false,
            allowed_ips: Vec::new(),
            allowed_ua: Vec::new(),
            created_at: state.clock.now().timestamp(),
            package_id: None,
            contact: String::new(),
            cut_at: None,
        };
        for (name, value) in form.map("user_data") {
            if name == "output_formats" {
                line.outputs = ids(value).unwrap_or_default();
            } else if set(&mut line, name, value).is_none() {
                return json!({"result": false, "error": "PARAMETER ERROR"});
            }
        }
        let mut change = Change::default();
        let line = self.insert_line(&mut state, &mut change, line);
        let effect = NewEffect { role: ROLE, user_id: 1, action: "user/create", line: Some(&line), credits: None };
        self.log(&mut state, &mut change, effect);
        self.commit(change);
        json!({"result": true, "created_id": line.id, "username": line.username, "password": line.password})
    }

    fn xtream_info(&self, form: &Form) -> Value {
        let state = self.state();
        match pair(&state, form) {
            Err(refusal) => refusal,
            Ok(line) => {
                let mut row = line.row();
                if let Some(columns) = row.as_object_mut() {
                    columns.retain(|name, _| !NOT_IN_ROW.contains(&name.as_str()));
                    columns.remove("last_ip");
                    let online = state.connections.values().filter(|one| one.line_id == line.id).count();
                    columns.insert("active_cons".to_owned(), json!(online));
                }
                numbers_to_strings(&mut row);
                json!({"result": true, "user_info": row})
            }
        }
    }

    /// Only the columns that are named change. Streams that run go on.
    fn xtream_edit(&self, form: &Form) -> Value {
        let mut state = self.state();
        let old = match pair(&state, form) {
            Err(refusal) => return refusal,
            Ok(line) => line.clone(),
        };
        let mut line = old.clone();
        for (name, value) in form.map("user_data") {
            if set(&mut line, name, value).is_none() {
                return json!({"result": false, "error": "PARAMETER ERROR"});
            }
        }
        line.cut_at = fields::cut_at(Some(&old), line.enabled && line.admin_enabled);
        let mut change = Change::default();
        self.update_line(&mut state, &mut change, line.clone());
        let effect = NewEffect { role: ROLE, user_id: 1, action: "user/edit", line: Some(&line), credits: None };
        self.log(&mut state, &mut change, effect);
        self.commit(change);
        json!({"result": true})
    }
}

/// The line with the pair at the top of the form.
fn pair<'a>(state: &'a State, form: &Form) -> Result<&'a Line, Value> {
    let (Some(username), Some(password)) = (form.filled("username"), form.filled("password")) else {
        return Err(json!({"result": false, "error": "PARAMETER ERROR (user/pass)"}));
    };
    state.find(username, password).ok_or_else(|| json!({"result": false, "error": "NOT EXISTS"}))
}

/// Writes a column; nothing when there is none of that name, or the database would not take the value.
fn set(line: &mut Line, name: &str, value: &str) -> Option<()> {
    let flag = intval(value) != 0;
    match name {
        "username" => value.clone_into(&mut line.username),
        "password" => value.clone_into(&mut line.password),
        // A date is no number.
        "exp_date" if value.is_empty() => line.exp_date = None,
        "exp_date" => line.exp_date = Some(value.parse().ok()?).filter(|seconds: &i64| *seconds != 0),
        "bouquet" => line.bouquets = ids(value)?,
        "max_connections" => line.max_connections = value.parse().ok()?,
        "enabled" => line.enabled = flag,
        "admin_enabled" => line.admin_enabled = flag,
        "is_trial" => line.is_trial = flag,
        "is_restreamer" => line.is_restreamer = flag,
        "is_isplock" => line.is_isplock = flag,
        "forced_country" => value.clone_into(&mut line.forced_country),
        "member_id" => line.member_id = value.parse().ok()?,
        "admin_notes" => value.clone_into(&mut line.admin_notes),
        "reseller_notes" => value.clone_into(&mut line.reseller_notes),
        _ => return None,
    }
    Some(())
}

fn ids(text: &str) -> Option<Vec<i64>> {
    serde_json::from_str(text).ok()
}

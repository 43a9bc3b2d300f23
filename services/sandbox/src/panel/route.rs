//! From a request to a panel, a role and an action; and from an answer to the panel's own words.

use std::{collections::VecDeque, net::IpAddr, sync::Arc, time::Duration};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    model::{Credits, numbers_to_strings},
    state::{Bucket, Panel, Role},
};
use crate::{
    Context,
    clock::{self, PanelClock},
    config::{ConfigError, PanelSpec, ResellerSpec},
    form::Form,
    http::{Reply, Request},
};

/// Bad logins in a row that lead to a ban.
const DENIED_MAX: u32 = 40;
/// Different failing names that lead to a ban.
const NAMES_MAX: usize = 10;
/// Seconds those names are remembered.
const NAMES_S: i64 = 300;

/// What an action says, before it is put in the panel's envelope.
pub enum Answer {
    /// `STATUS_SUCCESS` and nothing else.
    Success,
    /// A status with data beside it.
    Status { status: &'static str, data: Option<Value> },
    /// `STATUS_FAILURE` with words.
    Error(&'static str),
    /// A bare array.
    List(Vec<Value>),
    /// Rows with totals.
    Table { rows: Vec<Value>, total: usize, limit: usize },
    /// PHP threw.
    Exception,
}

impl Answer {
    pub fn success(data: Value) -> Self {
        Self::Status { status: "STATUS_SUCCESS", data: Some(data) }
    }

    pub fn failure() -> Self {
        Self::Status { status: "STATUS_FAILURE", data: None }
    }

    fn reply(self, form: &Form, as_strings: bool) -> Reply {
        let mut body = match self {
            Self::Success => json!({"status": "STATUS_SUCCESS"}),
            Self::Status { status, data: None } => json!({"status": status}),
            Self::Status { status, data: Some(mut data) } => {
                choose_columns(&mut data, form);
                json!({"status": status, "data": data})
            }
            Self::Error(error) => json!({"status": "STATUS_FAILURE", "error": error}),
            Self::List(mut rows) => {
                rows.iter_mut().for_each(|row| choose_columns(row, form));
                Value::Array(rows)
            }
            Self::Table { mut rows, total, limit } => {
                rows.iter_mut().for_each(|row| choose_columns(row, form));
                json!({
                    "status": "STATUS_SUCCESS", "data": rows,
                    "recordsTotal": total, "recordsFiltered": total.min(limit),
                })
            }
            Self::Exception => return Reply::empty(StatusCode::OK),
        };
        if as_strings {
            numbers_to_strings(&mut body);
        }
        Reply::ok(&body)
    }
}

/// `show_columns` and `hide_columns`.
fn choose_columns(row: &mut Value, form: &Form) {
    let Value::Object(map) = row else { return };
    if let Some(shown) = form.filled("show_columns") {
        let shown: Vec<&str> = shown.split(',').map(str::trim).collect();
        map.retain(|key, _| shown.contains(&key.as_str()));
    }
    if let Some(hidden) = form.filled("hide_columns") {
        let hidden: Vec<&str> = hidden.split(',').map(str::trim).collect();
        map.retain(|key, _| !hidden.contains(&key.as_str()));
    }
}

/// What a racing call read before it waited.
pub struct Before {
    pub name_taken: bool,
    pub credits: Credits,
}

/// Bad logins of one address.
#[derive(Default)]
pub struct Failures {
    last: i64,
    in_a_row: u32,
    names: VecDeque<(i64, String)>,
}

/// All panels of a sandbox.
pub struct Panels {
    all: Vec<Arc<Panel>>,
}

impl Panels {
    pub fn new(specs: &[PanelSpec], context: &Arc<Context>) -> Result<Self, ConfigError> {
        let all = specs.iter().map(|spec| Panel::new(spec, context).map(Arc::new)).collect::<Result<_, _>>()?;
        Ok(Self { all })
    }

    pub fn all(&self) -> &[Arc<Panel>] {
        &self.all
    }

    pub fn find(&self, code: &str) -> Option<&Arc<Panel>> {
        self.all.iter().find(|panel| panel.spec.code == code)
    }

    /// Answers on the shared listener, or on the one of panel `own`.
    pub async fn handle(&self, own: Option<&str>, request: Request) -> Reply {
        let segments = request.segments();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        let scope: Vec<&Arc<Panel>> =
            self.all.iter().filter(|panel| own.is_none_or(|code| panel.spec.code == code)).collect();
        match parts.as_slice() {
            [] => Reply::html(StatusCode::OK, WELCOME),
            ["p", code, rest @ ..] => match scope.iter().find(|panel| panel.spec.code == *code) {
                Some(panel) => panel.player(&request, &format!("/p/{code}"), rest).await,
                None => Reply::nginx(StatusCode::NOT_FOUND),
            },
            [code, "api.php"] if let Some(panel) = scope.iter().find(|panel| panel.spec.code == *code) => {
                panel.xtream(&request).await
            }
            ["api.php"] if let (Some(_), Some(panel)) = (own, scope.first()) => panel.xtream(&request).await,
            [code] | [code, "index.php"] if let Some((panel, role)) = by_code(&scope, code) => {
                panel.api(role, &request).await
            }
            rest => match pick(&scope, &request, rest) {
                Some(panel) => panel.player(&request, "", rest).await,
                None => Reply::nginx(StatusCode::NOT_FOUND),
            },
        }
    }
}

fn by_code<'a>(scope: &[&'a Arc<Panel>], code: &str) -> Option<(&'a Arc<Panel>, Role)> {
    scope.iter().find_map(|panel| {
        if panel.spec.code == code {
            Some((*panel, Role::Admin))
        } else if panel.spec.reseller_code() == code {
            Some((*panel, Role::Reseller))
        } else {
            None
        }
    })
}

/// Without a panel in the path, the one that knows the line or the token; else the first.
fn pick<'a>(scope: &[&'a Arc<Panel>], request: &Request, rest: &[&str]) -> Option<&'a Arc<Panel>> {
    let form = Form::read(request.query.as_deref(), &request.body);
    let pair = match (form.get("username"), form.get("password"), rest) {
        (Some(username), Some(password), _) => Some((username, password)),
        (_, _, ["live" | "player_api" | "playlist" | "epg", username, password, ..])
        | (_, _, [username, password, _]) => Some((*username, *password)),
        _ => None,
    };
    let knows = |panel: &&&Arc<Panel>| {
        let state = panel.state();
        pair.is_some_and(|(username, password)| state.find(username, password).is_some())
            || rest.get(1).is_some_and(|token| state.tokens.contains_key(*token))
    };
    scope.iter().find(knows).or_else(|| scope.first()).copied()
}

impl Panel {
    async fn api(&self, role: Role, request: &Request) -> Reply {
        if let Some(refusal) = self.gate(request) {
            return refusal;
        }
        if request.method != Method::GET && request.method != Method::POST {
            return Reply::empty(StatusCode::OK);
        }
        let form = Form::read(request.query.as_deref(), &request.body);
        let action = form.get("action").unwrap_or_default().to_owned();
        let (latency_ms, racy, as_strings) = {
            let mut state = self.state();
            *state.calls.entry(format!("{}:{action}", role.name())).or_default() += 1;
            (state.settings.latency_ms, state.settings.racy, state.settings.numbers_as_strings)
        };
        let key = form.get("api_key").unwrap_or_default();
        let reseller: Option<&ResellerSpec> = match role {
            Role::Admin if key == self.spec.api_key => None,
            Role::Reseller if let Some(found) = self.spec.resellers.iter().find(|r| r.api_key == key) => Some(found),
            Role::Admin | Role::Reseller => return Answer::Error("Invalid API key.").reply(&form, as_strings),
        };
        let target = self.target();
        let no_credits = || {
            Answer::Status { status: "STATUS_INSUFFICIENT_CREDITS", data: Some(form.echo()) }.reply(&form, as_strings)
        };
        let apply = || async {
            let before = racy.then(|| self.before(reseller, &form));
            if latency_ms > 0 {
                tokio::time::sleep(Duration::from_millis(latency_ms)).await;
            }
            let answer = match reseller {
                None => self.admin(&action, &form, before.as_ref()),
                Some(reseller) => self.reseller(reseller, &action, &form, before.as_ref()),
            };
            answer.reply(&form, as_strings)
        };
        self.dated(self.context.faults.around(&target, &action, no_credits, apply).await)
    }

    /// A panel whose clock is off says so in its `Date` header, as the web server of a real one does.
    fn dated(&self, reply: Reply) -> Reply {
        match self.state().clock {
            clock @ PanelClock::Offset(_) => {
                reply.with("date", &clock.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string())
            }
            PanelClock::Real | PanelClock::Frozen(_) => reply,
        }
    }

    fn before(&self, reseller: Option<&ResellerSpec>, form: &Form) -> Before {
        let state = self.state();
        let name_taken = form.filled("username").is_some_and(|name| state.name_taken(name, form.int("id")));
        let credits = reseller.and_then(|reseller| state.users.get(&reseller.id)).map(|user| user.credits);
        Before { name_taken, credits: credits.unwrap_or_default() }
    }

    /// Refusals that come before PHP: ban, whitelist, switched-off code, rate.
    fn gate(&self, request: &Request) -> Option<Reply> {
        let mut state = self.state();
        let ip = request.peer.ip();
        if !state.settings.enabled {
            return Some(Reply::nginx(StatusCode::NOT_FOUND));
        }
        if !state.settings.whitelist.is_empty() && !state.settings.whitelist.contains(&ip) {
            return Some(Reply::nginx(StatusCode::FORBIDDEN));
        }
        if state.settings.flood_banned {
            return Some(Reply::empty(StatusCode::FORBIDDEN));
        }
        let rate = f64::from(self.spec.rate_per_second);
        if rate > 0.0 {
            let most = f64::from(self.spec.rate_burst) + 1.0;
            let now_ms = clock::now().timestamp_millis();
            let bucket = state.buckets.entry(ip).or_insert(Bucket { left: most, at_ms: now_ms });
            #[allow(clippy::cast_precision_loss, reason = "a gap between two requests is small")]
            let gained = (now_ms - bucket.at_ms).max(0) as f64 / 1000.0 * rate;
            bucket.left = (bucket.left + gained).min(most);
            bucket.at_ms = now_ms;
            if bucket.left < 1.0 {
                return Some(Reply::nginx(StatusCode::SERVICE_UNAVAILABLE));
            }
            bucket.left -= 1.0;
        }
        None
    }

    /// Counts a bad player login and bans its address where the guard is on.
    pub fn count_failure(&self, ip: IpAddr, username: &str) {
        let mut state = self.state();
        if !state.settings.flood_guard {
            return;
        }
        let now = clock::now().timestamp();
        let failures = state.failures.entry(ip).or_default();
        failures.in_a_row = if now - failures.last <= 2 { failures.in_a_row + 1 } else { 1 };
        failures.last = now;
        failures.names.retain(|(at, _)| now - at < NAMES_S);
        if !failures.names.iter().any(|(_, name)| name == username) {
            failures.names.push_back((now, username.to_owned()));
        }
        if failures.in_a_row >= DENIED_MAX || failures.names.len() >= NAMES_MAX {
            state.settings.flood_banned = true;
        }
    }
}

const WELCOME: &str = "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>SANDBOX panel</title></head>\
<body style=\"font-family:sans-serif;margin:3rem\"><h1>SANDBOX panel</h1><p>This is a simulated streaming panel for trying things \
out. It has no real channels and no real subscribers.</p></body></html>";

//! Plays a golden transcript of the panel to whoever calls.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response};
use serde_json::{Value, json};

/// Fields of a form, repeated ones joined by a comma.
pub type Fields = HashMap<String, String>;

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub method: String,
    pub form: Fields,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// A file of `transcripts/panel`.
pub struct Transcript {
    pub name: String,
    pub exchanges: Vec<Exchange>,
    pub given_line: Option<Value>,
}

fn folder(kind: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../sandbox/transcripts").join(kind)
}

/// Every transcript of XUI.ONE / XC_VM.
pub fn all() -> Vec<Transcript> {
    all_of("panel")
}

/// Every transcript of a folder.
pub fn all_of(kind: &str) -> Vec<Transcript> {
    let mut names: Vec<_> = std::fs::read_dir(folder(kind))
        .expect("the sandbox has transcripts")
        .map(|entry| entry.unwrap().file_name().to_string_lossy().trim_end_matches(".txt").to_owned())
        .collect();
    names.sort();
    names.iter().map(|name| read_of(kind, name)).collect()
}

/// A transcript of XUI.ONE / XC_VM.
pub fn read(name: &str) -> Transcript {
    read_of("panel", name)
}

/// A transcript of a folder.
pub fn read_of(kind: &str, name: &str) -> Transcript {
    let text =
        std::fs::read_to_string(folder(kind).join(format!("{name}.txt"))).unwrap_or_else(|e| panic!("{name}: {e}"));
    let given_line = text.lines().find_map(|line| {
        let given: Value = serde_json::from_str(line.strip_prefix("given: ")?).ok()?;
        given.get("line").cloned()
    });
    let mut exchanges = Vec::new();
    for part in text.split("=== request\n").skip(1) {
        let (request, reply) = part.split_once("=== reply\n").expect("a reply for every request");
        let reply = reply.split("\n=== end").next().unwrap();
        let (head, body) = split(request);
        let mut first = head.lines().next().unwrap().split(' ');
        let (method, path) = (first.next().unwrap().to_owned(), first.next().unwrap());
        let query = path.split_once('?').map_or("", |(_, query)| query).to_owned();
        let (status_line, answer) = split(reply);
        let status = status_line.split(' ').nth(1).unwrap().parse().unwrap();
        let headers = status_line
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect();
        let form = fields(&format!("{query}&{}", body.trim()));
        exchanges.push(Exchange { method, form, status, headers, body: answer.trim_end_matches('\n').to_owned() });
    }
    Transcript { name: name.to_owned(), exchanges, given_line }
}

fn split(text: &str) -> (&str, &str) {
    text.split_once("\n\n").unwrap_or((text, ""))
}

pub fn fields(body: &str) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in url::form_urlencoded::parse(body.as_bytes()) {
        fields
            .entry(name.into_owned())
            .and_modify(|known| {
                known.push(',');
                known.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    fields
}

/// What a form asks for; `api.php` splits it in two.
fn action(form: &Fields) -> String {
    let action = form.get("action").cloned().unwrap_or_default();
    form.get("sub").map_or(action.clone(), |sub| format!("{action}/{sub}"))
}

#[derive(Default)]
struct Player {
    by_action: HashMap<String, VecDeque<Exchange>>,
    last: HashMap<String, Exchange>,
    /// The line as the transcript last showed it; answers reads that the transcript does not contain.
    line: Option<Value>,
    heard: Vec<(String, Fields)>,
}

type Shared = Arc<Mutex<Player>>;

/// A server that plays one transcript.
pub struct Replay {
    pub url: String,
    player: Shared,
}

impl Replay {
    pub async fn start(transcript: &Transcript) -> Self {
        let mut player = Player::default();
        for exchange in transcript.exchanges.iter().filter(|exchange| exchange.method == "POST") {
            let action = action(&exchange.form);
            player.by_action.entry(action).or_default().push_back(exchange.clone());
        }
        player.line = transcript.given_line.as_ref().map(|given| {
            let field = |name: &str, default: Value| given.get(name).cloned().unwrap_or(default);
            json!({
                "id": 1, "member_id": field("member_id", json!(1)), "username": field("username", json!("")),
                "password": field("password", json!("")), "exp_date": field("exp_date", Value::Null), "admin_enabled": 1,
                "enabled": 1, "admin_notes": "", "reseller_notes": "", "bouquet": field("bouquets", json!([])).to_string(),
                "allowed_outputs": "[1,2]", "max_connections": 1, "is_trial": 0, "is_restreamer": 0, "is_isplock": 0,
                "is_stalker": 0, "bypass_ua": 0, "allowed_ips": "[]", "allowed_ua": "[]",
                "package_id": field("package_id", Value::Null), "contact": "",
            })
        });
        let player: Shared = Arc::new(Mutex::new(player));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/PANELCODE", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&player));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, player }
    }

    /// What was asked: path with query, and form.
    pub fn heard(&self) -> Vec<(String, Fields)> {
        self.player.lock().unwrap().heard.clone()
    }

    /// The last form of this action that was sent.
    pub fn sent(&self, action: &str) -> Fields {
        let heard = self.heard();
        let found = heard.iter().rev().find(|(_, form)| self::action(form) == action);
        found.unwrap_or_else(|| panic!("no {action} in {heard:?}")).1.clone()
    }
}

async fn answer(State(player): State<Shared>, request: Request<Body>) -> Response<Body> {
    let path = request.uri().to_string();
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let form = fields(std::str::from_utf8(&body).unwrap());
    let action = self::action(&form);
    let mut player = player.lock().unwrap();
    player.heard.push((path, form));
    let next = player.by_action.get_mut(&action).and_then(VecDeque::pop_front);
    if let Some(exchange) = &next {
        player.last.insert(action.clone(), exchange.clone());
        if let Ok(Value::Object(envelope)) = serde_json::from_str(&exchange.body)
            && let Some(row) = envelope.get("data").filter(|row| row.get("exp_date").is_some())
        {
            player.line = Some(row.clone());
        }
        if exchange.body.contains("STATUS_SUCCESS") {
            match (action.as_str(), player.line.as_mut()) {
                ("disable_line", Some(line)) => line["enabled"] = json!(0),
                ("enable_line", Some(line)) => line["enabled"] = json!(1),
                ("delete_line", Some(_)) => player.line = None,
                _ => {}
            }
        }
    }
    let known = next.or_else(|| if action == "get_line" { None } else { player.last.get(&action).cloned() });
    let (status, headers, body) = match known {
        Some(exchange) => (exchange.status, exchange.headers, exchange.body),
        None => {
            let body = match (action.as_str(), &player.line) {
                ("get_line", Some(line)) => json!({ "status": "STATUS_SUCCESS", "data": line }),
                ("live_connections" | "get_lines", _) => json!({ "status": "STATUS_SUCCESS", "data": [] }),
                _ => json!({ "status": "STATUS_FAILURE" }),
            };
            (200, Vec::new(), body.to_string())
        }
    };
    let mut response = Response::builder().status(status);
    for (name, value) in headers.iter().filter(|(name, _)| name != "Content-Length") {
        response = response.header(name, value);
    }
    response.body(Body::from(body)).unwrap()
}

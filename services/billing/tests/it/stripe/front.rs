//! What stands in front of localstripe: everything it knows is passed on to it, and what it does not know is done here, the way
//! Stripe describes it: Checkout Sessions, disputes, lists of one customer, the bank's page. It can lose answers and says what
//! it was asked.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::peers::http;

pub const KEY: &str = "sk_test_12345";
pub const SECRET: &str = "whsec_test";
/// Fewer events on a page than Stripe gives, so that few make several.
const PAGE_MAX: usize = 3;

/// A call as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub form: HashMap<String, String>,
    pub key: String,
    pub version: String,
}

/// A webhook of localstripe, signed by it.
#[derive(Clone, Debug)]
pub struct Hook {
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

/// What is answered instead of the truth.
#[derive(Clone, Copy, Debug)]
struct Fault {
    status: u16,
    is_applied: bool,
}

#[derive(Default)]
struct Held {
    sessions: BTreeMap<String, Value>,
    asked: BTreeMap<String, HashMap<String, String>>,
    by_key: HashMap<String, String>,
    disputes: BTreeMap<String, Value>,
    events: Vec<Value>,
    faults: VecDeque<(String, Fault)>,
    seen: Vec<Seen>,
    hooks: Vec<Hook>,
    is_live_sca: bool,
    decline_code: Option<String>,
    refunds: BTreeMap<String, Value>,
    methods: BTreeMap<String, Value>,
    mandates: BTreeMap<String, Value>,
}

#[derive(Clone)]
struct Shared {
    behind: SocketAddr,
    own: SocketAddr,
    held: Arc<Mutex<Held>>,
    heard: Arc<Notify>,
    http: reqwest::Client,
}

/// The running front; it ends with the value.
pub struct Front {
    shared: Shared,
    task: AbortHandle,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn form(body: &[u8]) -> HashMap<String, String> {
    url::form_urlencoded::parse(body).into_owned().collect()
}

fn error(status: u16, code: &str) -> Response {
    let body = json!({"error": {"type": "invalid_request_error", "code": code}});
    (StatusCode::from_u16(status).expect("a status"), axum::Json(body)).into_response()
}

impl Front {
    pub async fn start(behind: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let own = listener.local_addr().expect("bound");
        let shared = Shared { behind, own, held: Arc::default(), heard: Arc::default(), http: http() };
        let app = Router::new().fallback(handle).with_state(shared.clone());
        let serve = async move { axum::serve(listener, app).await.expect("served") };
        let front = Self { shared, task: tokio::spawn(serve).abort_handle() };
        let hook = json!({"url": format!("http://{own}/hooks"), "secret": SECRET});
        let told = front.shared.http.post(format!("http://{behind}/_config/webhooks/w1")).json(&hook).send().await;
        assert!(told.expect("localstripe answers").status().is_success());
        front
    }

    pub fn address(&self) -> SocketAddr {
        self.shared.own
    }

    fn held<T>(&self, look: impl FnOnce(&mut Held) -> T) -> T {
        look(&mut self.shared.held.lock().expect("nobody panicked"))
    }

    /// The next call whose `METHOD path` begins so is answered with that status; done all the same when `is_applied`.
    pub fn fault(&self, begins: &str, status: u16, is_applied: bool) {
        self.held(|held| held.faults.push_back((begins.to_owned(), Fault { status, is_applied })));
    }

    /// Confirmation off session is refused as live Stripe does it: 402 instead of 200.
    pub fn sca_as_live(&self) {
        self.held(|held| held.is_live_sca = true);
    }

    /// Refused cards are refused with this word, which localstripe does not say.
    pub fn decline_with(&self, word: &str) {
        self.held(|held| held.decline_code = Some(word.to_owned()));
    }

    /// A refund is from now on as localstripe never makes one.
    pub fn say_refund(&self, refund: Value) {
        let id = refund["id"].as_str().expect("an id").to_owned();
        self.held(|held| held.refunds.insert(id, refund));
    }

    /// The calls whose `METHOD path` begins so.
    pub fn seen(&self, begins: &str) -> Vec<Seen> {
        let fits = |seen: &&Seen| format!("{} {}", seen.method, seen.path).starts_with(begins);
        self.held(|held| held.seen.iter().filter(fits).cloned().collect())
    }

    /// Straight to localstripe, as somebody at its console.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        self.shared.post(path, form).await.1
    }

    pub async fn get(&self, path: &str) -> Value {
        self.shared.get(path).await.1
    }

    /// Types a card into a page on which is paid, or a method saved.
    pub async fn card(&self, session: &str, number: &str) -> u16 {
        let (asked, status) = self.held(|held| (held.asked[session].clone(), held.sessions[session]["status"].clone()));
        if status != "open" {
            return 410;
        }
        let card = [
            ("type", "card"),
            ("card[number]", number),
            ("card[exp_month]", "12"),
            ("card[exp_year]", "2039"),
            ("card[cvc]", "123"),
        ];
        let method = self.post("/v1/payment_methods", &card).await["id"].as_str().expect("a method").to_owned();
        let customer = asked["customer"].as_str();
        let attach = format!("/v1/payment_methods/{method}/attach");
        let (status, _) = self.shared.post(&attach, &[("customer", customer)]).await;
        if status != 200 {
            return status;
        }
        if asked["mode"] == "setup" {
            let intent = json!({"id": format!("seti_{session}"), "status": "succeeded", "customer": customer,
                "payment_method": method});
            self.complete(session, "setup_intent", intent);
            return 303;
        }
        let mut fields = vec![
            ("amount".to_owned(), asked["line_items[0][price_data][unit_amount]"].clone()),
            ("currency".to_owned(), asked["line_items[0][price_data][currency]"].clone()),
            ("customer".to_owned(), customer.to_owned()),
            ("payment_method".to_owned(), method.clone()),
            ("confirm".to_owned(), "true".to_owned()),
        ];
        for (name, value) in &asked {
            if let Some(name) = name.strip_prefix("payment_intent_data[metadata]") {
                fields.push((format!("metadata{name}"), value.clone()));
            }
        }
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let (status, intent) = self.shared.post("/v1/payment_intents", &fields).await;
        if status != 200 {
            return status;
        }
        if !asked.contains_key("payment_intent_data[setup_future_usage]") {
            self.post(&format!("/v1/payment_methods/{method}/detach"), &[]).await;
        }
        self.complete(session, "payment_intent", intent["id"].clone());
        303
    }

    fn complete(&self, session: &str, what: &str, object: Value) {
        self.held(|held| {
            let page = held.sessions.get_mut(session).expect("a page");
            page["status"] = json!("complete");
            page["payment_status"] = json!("paid");
            page[what] = object;
        });
    }

    /// A method is from now on as its bank has made it.
    pub fn say_method(&self, method: Value) {
        let id = method["id"].as_str().expect("an id").to_owned();
        self.held(|held| held.methods.insert(id, method));
    }

    /// The permission to charge a method.
    pub fn say_mandate(&self, mandate: Value) {
        let id = mandate["id"].as_str().expect("an id").to_owned();
        self.held(|held| held.mandates.insert(id, mandate));
    }

    /// A page is from now on as nobody here can make one.
    pub fn say_session(&self, page: Value) {
        let id = page["id"].as_str().expect("an id").to_owned();
        self.held(|held| held.sessions.insert(id, page));
    }

    pub fn session(&self, id: &str) -> Value {
        self.held(|held| held.sessions[id].clone())
    }

    /// The customer confirms at their bank, or does not.
    pub async fn authenticate(&self, intent: &str, success: bool) -> Value {
        let secret = self.get(&format!("/v1/payment_intents/{intent}")).await["client_secret"].clone();
        let success = success.to_string();
        let form = [("client_secret", secret.as_str().expect("a secret")), ("success", success.as_str())];
        self.post(&format!("/v1/payment_intents/{intent}/_authenticate"), &form).await
    }

    /// Something happened, and no webhook tells.
    pub fn happened(&self, event: Value) {
        self.held(|held| held.events.push(event));
    }

    /// Events older than these are forgotten.
    pub fn forget_events(&self, count: usize) {
        self.held(|held| held.events.drain(..count).count());
    }

    /// Opens, or changes, an objection.
    pub fn dispute(&self, id: &str, intent: &str, status: &str, moved: Value) {
        let dispute = json!({"id": id, "object": "dispute", "amount": 1299, "currency": "eur", "payment_intent": intent,
            "reason": "fraudulent", "status": status, "balance_transactions": moved, "livemode": false, "metadata": {},
            "evidence_details": {"due_by": 1_900_000_000, "has_evidence": false, "submission_count": 0}});
        self.held(|held| held.disputes.insert(id.to_owned(), dispute));
    }

    /// Waits for a webhook of localstripe about that object; it sends them a second later.
    pub async fn hook(&self, kind: &str, object: &str) -> Hook {
        let wait = async {
            loop {
                let heard = self.shared.heard.notified();
                let fits = |hook: &&Hook| {
                    let event: Value = serde_json::from_slice(&hook.body).expect("JSON");
                    event["type"] == kind && event["data"]["object"]["id"] == object
                };
                if let Some(hook) = self.held(|held| held.hooks.iter().rev().find(fits).cloned()) {
                    return hook;
                }
                let _ = tokio::time::timeout(Duration::from_millis(200), heard).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("localstripe tells of it")
    }
}

impl Shared {
    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let request = self.http.post(format!("http://{}{path}", self.behind)).bearer_auth(KEY).form(form);
        let answer = request.send().await.expect("localstripe answers");
        let status = answer.status().as_u16();
        (status, answer.json().await.expect("JSON"))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let request = self.http.get(format!("http://{}{path}", self.behind)).bearer_auth(KEY);
        let answer = request.send().await.expect("localstripe answers");
        let status = answer.status().as_u16();
        (status, answer.json().await.expect("JSON"))
    }

    async fn pass_on(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> (u16, Vec<u8>) {
        let path = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let mut request =
            self.http.request(method.clone(), format!("http://{}{path}", self.behind)).body(body.to_vec());
        for name in ["authorization", "content-type", "idempotency-key", "stripe-version"] {
            if let Some(value) = headers.get(name) {
                request = request.header(name, value);
            }
        }
        let answer = request.send().await.expect("localstripe answers");
        let status = answer.status().as_u16();
        (status, answer.bytes().await.expect("a body").to_vec())
    }

    fn held<T>(&self, look: impl FnOnce(&mut Held) -> T) -> T {
        look(&mut self.held.lock().expect("nobody panicked"))
    }

    async fn answer(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Response {
        let (form, key) = (form(body), text(headers, "idempotency-key"));
        let query = self::form(uri.query().unwrap_or_default().as_bytes());
        let parts: Vec<&str> = uri.path().trim_start_matches('/').split('/').collect();
        match (method.as_str(), parts.as_slice()) {
            ("POST", ["hooks"]) => {
                let headers = headers
                    .iter()
                    .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
                let hook = Hook { headers: headers.collect(), body: body.to_vec() };
                self.held(|held| held.hooks.push(hook));
                self.heard.notify_waiters();
                StatusCode::OK.into_response()
            }
            ("POST", ["v1", "checkout", "sessions"]) => axum::Json(self.open(form, key)).into_response(),
            ("POST", ["v1", "checkout", "sessions", id, "expire"]) => {
                self.held(|held| match held.sessions.get_mut(*id) {
                    Some(page) if page["status"] == "open" => {
                        page["status"] = json!("expired");
                        axum::Json(page.clone()).into_response()
                    }
                    Some(_) => error(400, "checkout_session_not_open"),
                    None => error(404, "resource_missing"),
                })
            }
            ("GET", ["v1", "checkout", "sessions", id]) => self.page(id).await,
            ("GET", ["v1", "events"]) => self.events(query.get("ending_before"), &query["limit"]),
            ("GET", ["v1", "payment_intents"]) if query.contains_key("customer") => {
                self.payments_of(&query["customer"]).await
            }
            ("GET", ["v1", list @ ("payment_intents" | "refunds" | "disputes")])
                if query.contains_key("created[gte]") =>
            {
                self.report(list, &query).await
            }
            ("POST", ["v1", "payment_intents", id, "confirm"]) if form.contains_key("return_url") => {
                let (_, mut intent) = self.get(&format!("/v1/payment_intents/{id}")).await;
                let bank = format!("http://{}/bank/{id}", self.own);
                intent["next_action"] = json!({"type": "redirect_to_url", "redirect_to_url": {"url": bank}});
                axum::Json(intent).into_response()
            }
            ("GET", ["v1", "refunds", id]) if self.held(|held| held.refunds.contains_key(*id)) => {
                axum::Json(self.held(|held| held.refunds[*id].clone())).into_response()
            }
            ("GET", ["v1", "payment_methods", id]) if self.held(|held| held.methods.contains_key(*id)) => {
                axum::Json(self.held(|held| held.methods[*id].clone())).into_response()
            }
            ("GET", ["v1", "mandates", id]) => match self.held(|held| held.mandates.get(*id).cloned()) {
                Some(mandate) => axum::Json(mandate).into_response(),
                None => error(404, "resource_missing"),
            },
            ("GET", ["v1", "disputes", id]) => match self.held(|held| held.disputes.get(*id).cloned()) {
                Some(dispute) => axum::Json(dispute).into_response(),
                None => error(404, "resource_missing"),
            },
            ("POST", ["v1", "disputes", id, "close"]) => self.held(|held| match held.disputes.get_mut(*id) {
                Some(dispute) => {
                    dispute["status"] = json!("lost");
                    axum::Json(dispute.clone()).into_response()
                }
                None => error(404, "resource_missing"),
            }),
            ("POST", ["v1", "disputes", id]) => self.held(|held| match held.disputes.get_mut(*id) {
                Some(dispute) => {
                    dispute["status"] = json!("under_review");
                    dispute["evidence_details"]["submission_count"] = json!(1);
                    axum::Json(dispute.clone()).into_response()
                }
                None => error(404, "resource_missing"),
            }),
            _ => {
                let (status, body) = self.pass_on(method, uri, headers, body).await;
                self.as_live(status, body, &form)
            }
        }
    }

    /// localstripe answers a charge that must be confirmed with 200, live Stripe with 402.
    fn as_live(&self, status: u16, body: Vec<u8>, form: &HashMap<String, String>) -> Response {
        let is_off_session = form.get("off_session").is_some_and(|value| value == "true");
        if is_off_session && self.held(|held| held.is_live_sca) {
            let intent: Value = serde_json::from_slice(&body).expect("JSON");
            if intent["status"] == "requires_action" {
                let told = json!({"error": {"type": "card_error", "code": "authentication_required",
                    "decline_code": "authentication_required", "payment_intent": intent}});
                return (StatusCode::PAYMENT_REQUIRED, axum::Json(told)).into_response();
            }
        }
        let word = self.held(|held| held.decline_code.clone());
        if let (402, Some(word)) = (status, word) {
            let mut told: Value = serde_json::from_slice(&body).expect("JSON");
            told["error"]["decline_code"] = json!(word);
            return (StatusCode::PAYMENT_REQUIRED, axum::Json(told)).into_response();
        }
        (StatusCode::from_u16(status).expect("a status"), body).into_response()
    }

    fn open(&self, form: HashMap<String, String>, key: String) -> Value {
        self.held(|held| {
            if let Some(known) = held.by_key.get(&key) {
                return held.sessions[known].clone();
            }
            let id = format!("cs_test_{}", held.sessions.len() + 1);
            let page = json!({"id": id, "object": "checkout.session", "status": "open", "payment_status": "unpaid",
                "mode": form["mode"], "customer": form["customer"], "client_reference_id": form.get("client_reference_id"),
                "url": format!("http://{}/pay/{id}", self.own), "payment_intent": null, "setup_intent": null, "livemode": false,
                "metadata": {"payment": form.get("metadata[payment]"), "setup": form.get("metadata[setup]")}});
            held.by_key.insert(key, id.clone());
            held.asked.insert(id.clone(), form);
            held.sessions.insert(id, page.clone());
            page
        })
    }

    async fn page(&self, id: &str) -> Response {
        let Some(mut page) = self.held(|held| held.sessions.get(id).cloned()) else {
            return error(404, "resource_missing");
        };
        if let Some(intent) = page["payment_intent"].as_str() {
            let with = "expand%5B%5D=latest_charge.balance_transaction&expand%5B%5D=payment_method";
            page["payment_intent"] = self.get(&format!("/v1/payment_intents/{intent}?{with}")).await.1;
        }
        if let Some(method) = page["setup_intent"]["payment_method"].as_str() {
            page["setup_intent"]["payment_method"] = self.get(&format!("/v1/payment_methods/{method}")).await.1;
        }
        axum::Json(page).into_response()
    }

    /// The newest first; before one of them, those that are next to it.
    fn events(&self, before: Option<&String>, limit: &str) -> Response {
        let limit = limit.parse::<usize>().expect("a number").min(PAGE_MAX);
        let all = self.held(|held| held.events.clone());
        let place = before.map(|id| all.iter().position(|event| event["id"] == id.as_str()));
        let (page, has_more) = match place {
            Some(None) => return error(400, "resource_missing"),
            Some(Some(place)) => {
                let newer = &all[place + 1..];
                (newer[..newer.len().min(limit)].to_vec(), newer.len() > limit)
            }
            None => (all[all.len().saturating_sub(limit)..].to_vec(), all.len() > limit),
        };
        let page: Vec<Value> = page.into_iter().rev().collect();
        axum::Json(json!({"object": "list", "url": "/v1/events", "data": page, "has_more": has_more})).into_response()
    }

    /// What was made between two seconds, the newest first, a few at a time. localstripe filters by no time.
    async fn report(&self, list: &str, query: &HashMap<String, String>) -> Response {
        let mut all = if list == "disputes" {
            self.held(|held| held.disputes.values().cloned().collect::<Vec<Value>>())
        } else {
            let (_, found) = self.get(&format!("/v1/{list}?limit=100")).await;
            found["data"].as_array().expect("a list").clone()
        };
        let second = |name: &str| query[name].parse::<i64>().expect("a second");
        let (from, until) = (second("created[gte]"), second("created[lt]"));
        all.retain(|one| one["created"].as_i64().is_none_or(|at| at >= from && at < until));
        all.sort_by_key(|one| std::cmp::Reverse((one["created"].as_i64(), one["id"].to_string())));
        let first = match query.get("starting_after") {
            Some(id) => match all.iter().position(|one| one["id"] == id.as_str()) {
                Some(place) => place + 1,
                None => return error(400, "resource_missing"),
            },
            None => 0,
        };
        let has_more = all.len() > first + PAGE_MAX;
        let data: Vec<Value> = all.into_iter().skip(first).take(PAGE_MAX).collect();
        axum::Json(json!({"object": "list", "data": data, "has_more": has_more})).into_response()
    }

    async fn payments_of(&self, customer: &str) -> Response {
        let (_, mut list) = self.get("/v1/payment_intents?limit=100").await;
        let all = list["data"].as_array_mut().expect("a list");
        all.retain(|intent| intent["customer"] == customer);
        all.reverse();
        axum::Json(list).into_response()
    }
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

async fn handle(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body: Bytes = to_bytes(body, 1024 * 1024).await.expect("a body");
    let call = format!("{} {}", parts.method, parts.uri.path());
    let fault = shared.held(|held| {
        held.seen.push(Seen {
            method: parts.method.to_string(),
            path: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            form: form(&body),
            key: text(&parts.headers, "idempotency-key"),
            version: text(&parts.headers, "stripe-version"),
        });
        let place = held.faults.iter().position(|(begins, _)| call.starts_with(begins.as_str()));
        place.and_then(|place| held.faults.remove(place)).map(|(_, fault)| fault)
    });
    if let Some(fault) = fault {
        if fault.is_applied {
            shared.answer(&parts.method, &parts.uri, &parts.headers, &body).await;
        }
        return error(fault.status, if fault.status == 404 { "resource_missing" } else { "simulated" });
    }
    shared.answer(&parts.method, &parts.uri, &parts.headers, &body).await
}

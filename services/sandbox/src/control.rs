//! The control API: what tests and the demo use to look behind the curtain. Loopback only, no browsers.

use std::sync::Arc;

use http::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{
    Addresses, Context,
    fault::Rule,
    http::{Reply, Request},
    mail::Mails,
    panel::{ClockOrder, ConnectionSeed, LineSeed, Panels},
    payments::{AccountPatch, Fire, Payments},
};

/// Everything that can be controlled.
pub struct Control {
    pub context: Arc<Context>,
    pub panels: Arc<Panels>,
    pub payments: Arc<Payments>,
    pub mails: Arc<Mails>,
    pub addresses: Addresses,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreditsOrder {
    #[serde(default = "first_reseller")]
    user: i64,
    credits: f64,
}

const fn first_reseller() -> i64 {
    2
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DisputeOrder {
    payment: String,
    #[serde(default = "fraudulent")]
    reason: String,
}

fn fraudulent() -> String {
    "fraudulent".into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CloseOrder {
    outcome: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseOrder {
    paused: bool,
}

/// Events in the order in which they are to arrive.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SequenceOrder {
    events: Vec<String>,
}

impl Control {
    /// Answers the control listener.
    pub async fn handle(&self, request: Request) -> Reply {
        // Pages in a browser on this machine must not reach it.
        if !request.peer.ip().is_loopback() || request.headers.contains_key("origin") {
            return refuse(StatusCode::FORBIDDEN, "the control API answers local programs only");
        }
        let segments = request.segments();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        let answer = match parts.as_slice() {
            [] | ["control"] => Ok(self.describe()),
            ["control", "panels", code, rest @ ..] => self.panel(&request, code, rest),
            ["control", "payments", rest @ ..] => self.payments(&request, rest).await,
            ["control", rest @ ..] => self.whole(&request, rest),
            _ => Err(Problem::Missing("address")),
        };
        match answer {
            Ok(body) => Reply::ok(&body),
            Err(Problem::Missing(what)) => refuse(StatusCode::NOT_FOUND, &format!("no such {what}")),
            Err(Problem::Body(error)) => refuse(StatusCode::BAD_REQUEST, &format!("body not understood: {error}")),
            Err(Problem::Refused(why)) => refuse(StatusCode::CONFLICT, why),
        }
    }

    fn describe(&self) -> Value {
        let a = &self.addresses;
        let panels: Vec<Value> = self.panels.all().iter().map(|panel| panel.describe()).collect();
        json!({
            "sandbox": "SANDBOX",
            "addresses": {
                "panel": a.panel, "own_panels": a.own_panels, "payments": a.payments, "smtp": a.smtp, "mail": a.mail,
                "control": a.control,
            },
            "panels": panels,
        })
    }

    fn whole(&self, request: &Request, rest: &[&str]) -> Result<Value, Problem> {
        match (request.method.as_str(), rest) {
            ("GET", ["panels"]) => Ok(Value::Array(self.panels.all().iter().map(|panel| panel.describe()).collect())),
            ("GET", ["faults"]) => Ok(json!(self.context.faults.list())),
            ("POST", ["faults"]) => {
                let rule: Rule = body(request)?;
                let is_known = rule.target == "*"
                    || rule.target == "payments"
                    || rule.target == "mail"
                    || rule.target.strip_prefix("panel:").is_some_and(|code| self.panels.find(code).is_some());
                if !is_known {
                    return Err(Problem::Missing("target; use panel:<code>, payments, mail or *"));
                }
                Ok(json!({"id": self.context.faults.arm(rule)}))
            }
            ("DELETE", ["faults"]) => {
                self.context.faults.reset(request.query_value("target").as_deref());
                Ok(json!({"reset": true}))
            }
            ("POST", ["reset"]) => {
                self.context.faults.reset(None);
                self.panels.all().iter().for_each(|panel| panel.reset());
                self.payments.reset();
                self.mails.reset();
                Ok(json!({"reset": true}))
            }
            ("GET", ["counters"]) => {
                let panels: Map<String, Value> =
                    self.panels.all().iter().map(|panel| (panel.spec.code.clone(), panel.counters())).collect();
                Ok(json!({"panels": panels, "payments": self.payments.counters(), "mails": self.mails.count()}))
            }
            _ => Err(Problem::Missing("address")),
        }
    }

    fn panel(&self, request: &Request, code: &str, rest: &[&str]) -> Result<Value, Problem> {
        let panel = self.panels.find(code).ok_or(Problem::Missing("panel"))?;
        let id = |text: &str| text.parse::<i64>().map_err(|_| Problem::Missing("line"));
        match (request.method.as_str(), rest) {
            ("GET", []) => Ok(panel.describe()),
            ("POST", ["settings"]) => Ok(panel.change_settings(&body::<Map<String, Value>>(request)?)?),
            ("POST", ["clock"]) => Ok(panel.set_clock(&body::<ClockOrder>(request)?)),
            ("POST", ["credits"]) => {
                let order: CreditsOrder = body(request)?;
                let is_known = panel.set_user_credits(order.user, order.credits);
                if is_known { Ok(panel.describe()) } else { Err(Problem::Missing("user")) }
            }
            ("GET", ["lines"]) => Ok(panel.list_lines(request.query_value("username").as_deref())),
            ("POST", ["lines"]) => Ok(panel.seed_line(body::<LineSeed>(request)?)),
            ("POST", ["lines", line]) => {
                let patch: Map<String, Value> = body(request)?;
                panel.change_by_hand(id(line)?, &patch)?.ok_or(Problem::Missing("line"))
            }
            ("DELETE", ["lines", line]) => {
                let is_gone = panel.remove_by_hand(id(line)?);
                if is_gone { Ok(json!({"deleted": true})) } else { Err(Problem::Missing("line")) }
            }
            ("POST", ["connections"]) => {
                panel.seed_connection(&body::<ConnectionSeed>(request)?).ok_or(Problem::Missing("line"))
            }
            ("GET", ["effects"]) => {
                let since = request.query_value("since").and_then(|since| since.parse().ok()).unwrap_or(0);
                let (action, username) = (request.query_value("action"), request.query_value("username"));
                Ok(panel.list_effects(since, action.as_deref(), username.as_deref()))
            }
            ("GET", ["counters"]) => Ok(panel.counters()),
            ("POST", ["rate", "refill"]) => {
                panel.refill();
                Ok(json!({"refilled": true}))
            }
            ("POST", ["reset"]) => {
                panel.reset();
                Ok(panel.describe())
            }
            _ => Err(Problem::Missing("address")),
        }
    }

    async fn payments(&self, request: &Request, rest: &[&str]) -> Result<Value, Problem> {
        let payments = &self.payments;
        match (request.method.as_str(), rest) {
            ("GET", ["accounts"]) => Ok(payments.list_accounts()),
            ("POST", ["accounts", id]) => Ok(payments.put_account(id, body::<AccountPatch>(request)?)),
            ("GET", ["charges"]) => Ok(payments.list_charges(request.query_value("reference").as_deref())),
            ("GET", ["events"]) => {
                let (kind, reference) = (request.query_value("type"), request.query_value("reference"));
                Ok(payments.list_events(kind.as_deref(), reference.as_deref()))
            }
            ("POST", ["events", id, "fire"]) => {
                payments.fire(id, &body::<Fire>(request)?).await.ok_or(Problem::Missing("event"))
            }
            ("POST", ["events", "sequence"]) => {
                let order: SequenceOrder = body(request)?;
                let mut sent = Vec::new();
                for id in &order.events {
                    sent.push(payments.fire(id, &Fire::default()).await.ok_or(Problem::Missing("event"))?);
                }
                Ok(Value::Array(sent))
            }
            ("POST", ["webhooks"]) => {
                let order: PauseOrder = body(request)?;
                payments.pause_webhooks(order.paused);
                Ok(json!({"paused": order.paused}))
            }
            ("POST", ["disputes"]) => {
                let order: DisputeOrder = body(request)?;
                let dispute = payments.dispute(&order.payment, &order.reason);
                dispute
                    .map(|dispute| dispute.json())
                    .ok_or(Problem::Refused("only a succeeded, undisputed payment can be disputed"))
            }
            ("POST", ["disputes", id, "close"]) => {
                let order: CloseOrder = body(request)?;
                if order.outcome != "won" && order.outcome != "lost" {
                    return Err(Problem::Refused("outcome must be won or lost"));
                }
                payments
                    .decide(id, &order.outcome)
                    .map(|dispute| dispute.json())
                    .ok_or(Problem::Missing("open dispute"))
            }
            ("POST", ["checkouts", id, "expire"]) => {
                if payments.expire_now(id) {
                    Ok(json!({"expired": true}))
                } else {
                    Err(Problem::Missing("checkout"))
                }
            }
            ("GET", ["counters"]) => Ok(payments.counters()),
            ("POST", ["reset"]) => {
                payments.reset();
                Ok(payments.counters())
            }
            _ => Err(Problem::Missing("address")),
        }
    }
}

enum Problem {
    Missing(&'static str),
    Body(serde_json::Error),
    Refused(&'static str),
}

impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Self {
        Self::Body(error)
    }
}

/// An empty body counts as `{}`.
fn body<T: DeserializeOwned>(request: &Request) -> Result<T, Problem> {
    let bytes: &[u8] = if request.body.is_empty() { b"{}" } else { &request.body };
    Ok(serde_json::from_slice(bytes)?)
}

fn refuse(status: StatusCode, message: &str) -> Reply {
    Reply::json(status, &json!({"sandbox": "SANDBOX", "error": message}))
}

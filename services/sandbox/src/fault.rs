//! Faults on order: each rule waits for a request it fits and then spoils it.

use std::{
    future::Future,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::http::Reply;

/// How long `late` waits when the rule names no delay, in milliseconds.
const LATE_MS: u64 = 30_000;
/// How long `reorder` holds a request back when nothing overtakes it, in milliseconds.
const REORDER_MS: u64 = 2_000;
/// Size of the answer of `huge`, in bytes.
const HUGE: usize = 50 * 1024 * 1024;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Applied at once, answered after the delay.
    Late,
    /// Nothing happens for the delay; then applied and answered.
    Slow,
    /// Applied, connection closed without an answer.
    DropAfterApply,
    /// Not applied, connection closed without an answer.
    DropBeforeApply,
    /// Applied twice, answered once.
    Duplicate,
    /// Held back until the next request to the same target was answered.
    Reorder,
    /// Status 200 and no body.
    #[serde(rename = "empty_200")]
    Empty200,
    /// Status 200 and an HTML page about a database error.
    HtmlError,
    /// A well-formed answer with half of its JSON.
    Truncated,
    /// The connection breaks in the middle of the body.
    Cut,
    /// Fifty megabytes of rubbish.
    Huge,
    /// JSON `null`.
    Null,
    /// Xtream Codes only: `{"result":false}` without a word why; not applied unless the rule says otherwise.
    ResultFalse,
    /// The panel says it has no credits left; nothing applied.
    OutOfCredits,
    /// Webhooks only: signed with a wrong secret.
    WrongSignature,
    /// nginx's rate-limit page; nothing applied.
    #[serde(rename = "http_503")]
    Http503,
    /// Too many requests; nothing applied.
    #[serde(rename = "http_429")]
    Http429,
    /// nginx's gateway error; applied unless the rule says otherwise.
    #[serde(rename = "http_502")]
    Http502,
    /// Mail only: temporary refusal.
    #[serde(rename = "smtp_451")]
    Smtp451,
    /// Mail only: permanent refusal.
    #[serde(rename = "smtp_550")]
    Smtp550,
}

/// A fault on order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// `panel:<code>`, `payments` or `mail`; `*` is all of them.
    pub target: String,
    /// The action it waits for; `*` is any.
    #[serde(default = "any")]
    pub action: String,
    /// Payments only: words that must stand in the request's address or body, say the reference of one payment; absent is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// What goes wrong.
    pub kind: Kind,
    /// Milliseconds, where the kind has a delay.
    #[serde(default)]
    pub delay_ms: Option<u64>,
    /// How often; absent is until the rules are reset.
    #[serde(default)]
    pub times: Option<u64>,
    /// For kinds that only spoil the answer: whether the request is applied all the same (default: yes).
    #[serde(default)]
    pub apply: Option<bool>,
}

fn any() -> String {
    "*".to_owned()
}

#[derive(Debug)]
struct Armed {
    id: u64,
    rule: Rule,
    hits: u64,
}

/// A rule as the control API shows it.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// Number of the rule.
    pub id: u64,
    /// The order.
    #[serde(flatten)]
    pub rule: Rule,
    /// How often it struck.
    pub hits: u64,
}

/// All rules of a sandbox.
#[derive(Debug, Default)]
pub struct Faults {
    armed: Mutex<Vec<Armed>>,
    next: AtomicU64,
    answered: Notify,
}

impl Faults {
    /// Adds a rule and names it.
    pub fn arm(&self, rule: Rule) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.lock().push(Armed { id, rule, hits: 0 });
        id
    }

    /// Forgets every rule, or those of one target.
    pub fn reset(&self, target: Option<&str>) {
        self.lock().retain(|armed| target.is_some_and(|target| armed.rule.target != target));
        self.answered.notify_waiters();
    }

    /// Every rule, spent ones included.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        self.lock().iter().map(|a| Listed { id: a.id, rule: a.rule.clone(), hits: a.hits }).collect()
    }

    /// The first unspent rule that fits, counted down.
    #[must_use]
    pub fn take(&self, target: &str, action: &str) -> Option<Rule> {
        self.take_about(target, action, "")
    }

    fn take_about(&self, target: &str, action: &str, said: &str) -> Option<Rule> {
        let mut armed = self.lock();
        let found = armed.iter_mut().find(|armed| {
            let rule = &armed.rule;
            (rule.target == "*" || rule.target == target)
                && (rule.action == "*" || rule.action == action)
                && rule.about.as_ref().is_none_or(|words| said.contains(words.as_str()))
                && rule.times.is_none_or(|times| armed.hits < times)
        })?;
        found.hits += 1;
        Some(found.rule.clone())
    }

    /// Applies a request under the rule that fits it, if any.
    pub async fn around<F, R>(&self, target: &str, action: &str, no_credits: impl FnOnce() -> Reply, apply: F) -> Reply
    where
        F: Fn() -> R,
        R: Future<Output = Reply>,
    {
        self.around_about(target, (action, ""), no_credits, apply).await
    }

    /// The same, of a request that says these words.
    pub async fn around_about<F, R>(
        &self,
        target: &str,
        (action, said): (&str, &str),
        no_credits: impl FnOnce() -> Reply,
        apply: F,
    ) -> Reply
    where
        F: Fn() -> R,
        R: Future<Output = Reply>,
    {
        let Some(rule) = self.take_about(target, action, said) else {
            let reply = apply().await;
            self.answered.notify_waiters();
            return reply;
        };
        let delay = |default| tokio::time::sleep(Duration::from_millis(rule.delay_ms.unwrap_or(default)));
        // Kinds that only spoil the answer.
        let spoil = async |answer: fn(Reply) -> Reply, applies: bool| {
            let reply = if rule.apply.unwrap_or(applies) { apply().await } else { Reply::empty(StatusCode::OK) };
            if let Some(ms) = rule.delay_ms {
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
            answer(reply)
        };
        match rule.kind {
            Kind::Late => {
                let reply = apply().await;
                delay(LATE_MS).await;
                reply
            }
            Kind::Slow => {
                delay(LATE_MS).await;
                apply().await
            }
            Kind::DropAfterApply => spoil(|_| Reply::dropped(), true).await,
            Kind::DropBeforeApply => spoil(|_| Reply::dropped(), false).await,
            Kind::Duplicate => {
                let first = apply().await;
                drop(apply().await);
                first
            }
            Kind::Reorder => {
                let overtaken = self.answered.notified();
                tokio::select! {
                    () = overtaken => {}
                    () = delay(REORDER_MS) => {}
                }
                apply().await
            }
            Kind::Empty200 => spoil(|_| Reply::empty(StatusCode::OK), true).await,
            Kind::HtmlError => spoil(|_| Reply::html(StatusCode::OK, HTML_ERROR), true).await,
            Kind::Truncated => spoil(Reply::truncated, true).await,
            Kind::Cut => spoil(Reply::cut, true).await,
            Kind::Huge => spoil(|_| Reply::new(StatusCode::OK, "application/json", vec![b'['; HUGE]), true).await,
            Kind::Null => spoil(|_| Reply::new(StatusCode::OK, "application/json", "null"), true).await,
            Kind::ResultFalse => spoil(|_| Reply::ok(&serde_json::json!({"result": false})), false).await,
            Kind::OutOfCredits => no_credits(),
            Kind::Http503 => spoil(|_| Reply::nginx(StatusCode::SERVICE_UNAVAILABLE), false).await,
            Kind::Http429 => spoil(|_| Reply::nginx(StatusCode::TOO_MANY_REQUESTS), false).await,
            Kind::Http502 => spoil(|_| Reply::nginx(StatusCode::BAD_GATEWAY), true).await,
            Kind::WrongSignature | Kind::Smtp451 | Kind::Smtp550 => apply().await,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Armed>> {
        self.armed.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

const HTML_ERROR: &str =
    "<!DOCTYPE html><html><body><h1>Error</h1><p>SQLSTATE[HY000] [2002] Connection refused</p></body></html>";

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(target: &str, action: &str, times: Option<u64>) -> Rule {
        let (target, action) = (target.into(), action.into());
        Rule { target, action, about: None, kind: Kind::Null, delay_ms: None, times, apply: None }
    }

    #[test]
    fn a_rule_strikes_only_its_target_and_only_so_often() {
        let faults = Faults::default();
        faults.arm(rule("panel:A", "create_line", Some(1)));
        assert!(faults.take("panel:B", "create_line").is_none());
        assert!(faults.take("panel:A", "get_line").is_none());
        assert!(faults.take("panel:A", "create_line").is_some());
        assert!(faults.take("panel:A", "create_line").is_none());
        assert_eq!(faults.list()[0].hits, 1);
    }

    #[test]
    fn a_rule_about_something_waits_for_the_request_that_says_it() {
        let faults = Faults::default();
        faults.arm(Rule { about: Some("pay_1".into()), ..rule("payments", "charge", Some(1)) });
        assert!(faults.take_about("payments", "charge", "/v1/charges {reference: pay_2}").is_none());
        assert!(faults.take("payments", "charge").is_none());
        assert!(faults.take_about("payments", "charge", "/v1/charges {reference: pay_1}").is_some());
        assert!(faults.take_about("payments", "charge", "/v1/charges {reference: pay_1}").is_none());
    }

    #[test]
    fn kinds_are_written_as_the_readme_spells_them() {
        let kinds: Vec<Kind> =
            serde_json::from_str(r#"["empty_200","http_503","smtp_451","drop_after_apply","null"]"#).expect("parses");
        assert_eq!(kinds[0], Kind::Empty200);
    }
}

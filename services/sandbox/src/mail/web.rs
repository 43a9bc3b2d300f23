//! The sink's page and JSON.

use askama::Template;
use http::StatusCode;
use serde_json::{Value, json};

use super::{Mail, Mails, mime};
use crate::http::{Reply, Request};

#[derive(Template)]
#[template(path = "mails.html")]
struct ListPage {
    rows: Vec<Row>,
}

struct Row {
    id: u64,
    at: String,
    to: String,
    subject: String,
}

#[derive(Template)]
#[template(path = "mail.html")]
struct MailPage {
    id: u64,
    at: String,
    from: String,
    to: String,
    subject: String,
    text: String,
    has_html: bool,
    attachments: Vec<String>,
}

impl Mails {
    /// Answers the sink's web listener.
    pub fn handle(&self, request: &Request) -> Reply {
        let segments = request.segments();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", []) => self.page(),
            ("GET", ["mail", id]) => self.with(id, mail_page),
            ("GET", ["mail", id, "html"]) => self.with(id, |mail| {
                let html = mime::read(&mail.raw).html.unwrap_or_default();
                // Shown in a frame without rights: no script, no form, no outside request but pictures.
                Reply::html(StatusCode::OK, html).with(
                    "content-security-policy",
                    "sandbox; default-src 'none'; img-src * data:; style-src 'unsafe-inline'",
                )
            }),
            ("GET", ["mail", id, "raw"]) => {
                self.with(id, |mail| Reply::new(StatusCode::OK, "text/plain; charset=utf-8", mail.raw.clone()))
            }
            ("GET", ["messages"]) => self.list(request),
            ("GET", ["messages", id]) => self.with(id, |mail| Reply::ok(&as_json(mail))),
            ("DELETE", ["messages"]) => {
                self.reset();
                Reply::ok(&json!({"sandbox": "SANDBOX", "deleted": true}))
            }
            _ => Reply::json(StatusCode::NOT_FOUND, &json!({"error": "SANDBOX mail sink: no such page"})),
        }
    }

    fn with(&self, id: &str, show: impl FnOnce(&Mail) -> Reply) -> Reply {
        let kept = self.lock();
        match id.parse().ok().and_then(|id: u64| kept.iter().find(|mail| mail.id == id)) {
            Some(mail) => show(mail),
            None => Reply::json(StatusCode::NOT_FOUND, &json!({"error": "no such mail"})),
        }
    }

    fn page(&self) -> Reply {
        let kept = self.lock();
        let rows = kept.iter().rev().take(200).map(|mail| Row {
            id: mail.id,
            at: mail.at.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
            to: mail.to.join(", "),
            subject: mime::read(&mail.raw).subject,
        });
        render(&ListPage { rows: rows.collect() })
    }

    /// `?to=`, `?subject=` (part of it), `?since=` (id), `?limit=`; newest last.
    fn list(&self, request: &Request) -> Reply {
        let to = request.query_value("to").map(|to| to.to_lowercase());
        let subject = request.query_value("subject");
        let since: u64 = request.query_value("since").and_then(|since| since.parse().ok()).unwrap_or(0);
        let limit = request.query_value("limit").and_then(|limit| limit.parse().ok()).unwrap_or(100);
        let kept = self.lock();
        let mut found: Vec<Value> = kept
            .iter()
            .rev()
            .take_while(|mail| mail.id > since)
            .filter(|mail| to.as_deref().is_none_or(|to| mail.to.iter().any(|one| one.to_lowercase() == to)))
            .map(as_json)
            .filter(|mail| {
                subject
                    .as_deref()
                    .is_none_or(|part| mail["subject"].as_str().is_some_and(|subject| subject.contains(part)))
            })
            .take(limit)
            .collect();
        found.reverse();
        Reply::ok(&json!({"sandbox": "SANDBOX", "messages": found}))
    }
}

fn as_json(mail: &Mail) -> Value {
    let parts = mime::read(&mail.raw);
    let attachments: Vec<Value> = parts
        .attachments
        .iter()
        .map(|(name, kind, size)| json!({"name": name, "content_type": kind, "size": size}))
        .collect();
    json!({
        "id": mail.id,
        "at": mail.at,
        "from": mail.from,
        "to": mail.to,
        "header_from": parts.from,
        "subject": parts.subject,
        "headers": parts.headers,
        "text": parts.text,
        "html": parts.html,
        "attachments": attachments,
    })
}

fn mail_page(mail: &Mail) -> Reply {
    let parts = mime::read(&mail.raw);
    render(&MailPage {
        id: mail.id,
        at: mail.at.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
        from: if parts.from.is_empty() { mail.from.clone() } else { parts.from },
        to: mail.to.join(", "),
        subject: parts.subject,
        text: parts.text.unwrap_or_default(),
        has_html: parts.html.is_some(),
        attachments: parts
            .attachments
            .into_iter()
            .map(|(name, kind, size)| format!("{name} ({kind}, {size} bytes)"))
            .collect(),
    })
}

fn render(page: &impl Template) -> Reply {
    match page.render() {
        Ok(html) => Reply::html(StatusCode::OK, html),
        Err(error) => {
            tracing::error!(%error, "mail page not rendered");
            Reply::html(StatusCode::INTERNAL_SERVER_ERROR, "SANDBOX: page not rendered")
        }
    }
}

//! From bytes to a verdict: the answers of the panel, with everything that is not an answer.

use serde_json::Value;

pub use crate::driver::asked::Asked;
use crate::driver::asked::{past_http, printable};
use crate::driver::error::{Cause, PanelError, PermKind};
use crate::driver::http::RawReply;
use crate::driver::value;

/// The answer of the panel: what was in its envelope.
///
/// # Errors
/// A verdict against us, or no verdict at all, classified by what was asked.
pub fn answer(reply: &RawReply, asked: Asked) -> Result<Value, PanelError> {
    past_http(reply, asked, "HTTP 404: access code wrong or disabled")?;
    verdict(reply.body.trim_ascii(), reply.truncated, asked)
}

fn verdict(body: &[u8], truncated: bool, asked: Asked) -> Result<Value, PanelError> {
    if truncated {
        return Err(asked.no_verdict(Cause::Rubbish));
    }
    if body.is_empty() {
        return Err(asked.no_verdict(Cause::Empty));
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(mut envelope)) => match envelope.get("status").and_then(Value::as_str).map(str::to_owned) {
            Some(status) if status.starts_with("STATUS_") => {
                let error = envelope.get("error").and_then(Value::as_str).unwrap_or_default().to_owned();
                status_verdict(&status, &error, asked)?;
                Ok(match envelope.get("recordsTotal") {
                    Some(_) => Value::Object(envelope),
                    None => envelope.remove("data").unwrap_or(Value::Null),
                })
            }
            _ => legacy_verdict(&Value::Object(envelope), asked),
        },
        // Admin lists lose their envelope on the way out.
        Ok(list @ Value::Array(_)) if matches!(asked, Asked::Read) => Ok(list),
        Ok(Value::Null | Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_)) | Err(_) => {
            Err(asked.no_verdict(Cause::Rubbish))
        }
    }
}

/// The panel's status words. A word nobody knows is no verdict.
fn status_verdict(status: &str, error: &str, asked: Asked) -> Result<(), PanelError> {
    let refuse = |kind| Err(PanelError::permanent(kind, detail(status, error)));
    match status {
        "STATUS_SUCCESS" => Ok(()),
        "STATUS_FAILURE" => match error {
            "" => match asked {
                Asked::Read | Asked::Write(_) => refuse(PermKind::NotFound),
                Asked::Create => Err(asked.no_verdict(Cause::NoVerdict)),
            },
            text if contains(text, "api key") => refuse(PermKind::BadCredentials),
            text if contains(text, "action") => refuse(PermKind::WrongPanelType),
            text if contains(text, "credit") => refuse(PermKind::InsufficientCredits),
            _ => match asked {
                Asked::Read => refuse(PermKind::NotFound),
                Asked::Write(_) | Asked::Create => Err(asked.no_verdict(Cause::NoVerdict)),
            },
        },
        "STATUS_EXISTS_USERNAME" | "STATUS_EXISTS_MAC" => refuse(PermKind::Conflict),
        "STATUS_INVALID_USERNAME"
        | "STATUS_INVALID_PASSWORD"
        | "STATUS_INVALID_DATE"
        | "STATUS_INVALID_MAC"
        | "STATUS_INVALID_INPUT"
        | "STATUS_INVALID_USER"
        | "STATUS_INVALID_DATA" => refuse(PermKind::InvalidInput),
        "STATUS_INSUFFICIENT_CREDITS" => refuse(PermKind::InsufficientCredits),
        "STATUS_NO_TRIALS" => refuse(PermKind::QuotaExhausted),
        "STATUS_INVALID_PACKAGE" | "STATUS_INVALID_TYPE" => refuse(PermKind::BrokenMapping),
        "STATUS_NO_PERMISSIONS" => refuse(PermKind::NotPermitted),
        other if contains(other, "credit") => refuse(PermKind::InsufficientCredits),
        _ => Err(asked.no_verdict(Cause::NoVerdict)),
    }
}

/// Refusals in the older shape: `{"result":false,"0":"IP FORBIDDEN"}`. Anything else without a status is no verdict.
fn legacy_verdict(body: &Value, asked: Asked) -> Result<Value, PanelError> {
    let words = ["0", "error", "message"].iter().find_map(|key| body.get(key).and_then(value::text));
    match words {
        Some(text) if contains(&text, "ip forbidden") => {
            Err(PanelError::permanent(PermKind::IpNotAllowed, detail("", &text)))
        }
        Some(text) if contains(&text, "key wrong") || contains(&text, "api key") => {
            Err(PanelError::permanent(PermKind::BadCredentials, detail("", &text)))
        }
        Some(text) if contains(&text, "credit") => {
            Err(PanelError::permanent(PermKind::InsufficientCredits, detail("", &text)))
        }
        _ => Err(asked.no_verdict(Cause::Rubbish)),
    }
}

fn contains(text: &str, word: &str) -> bool {
    text.to_ascii_lowercase().contains(word)
}

/// The panel's words, with its status before them.
fn detail(status: &str, error: &str) -> String {
    let words = if error.is_empty() { status.to_owned() } else { format!("{status} {error}") };
    printable(&words)
}

/// The row inside an answer that holds exactly one.
///
/// # Errors
/// [`Cause::Rubbish`] as a read or write without verdict.
pub fn row(data: Value, asked: Asked) -> Result<Value, PanelError> {
    match data {
        row @ Value::Object(_) => Ok(row),
        Value::Null | Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err(asked.no_verdict(Cause::Rubbish))
        }
    }
}

/// The rows of a list: a bare array, an envelope with `data`, or an object keyed by id (PHP's map with gaps).
///
/// # Errors
/// [`Cause::Rubbish`] when it is none of them.
pub fn rows(data: Value) -> Result<Vec<Value>, PanelError> {
    match data {
        Value::Array(rows) => Ok(rows),
        Value::Object(mut map) => match map.remove("data") {
            Some(inner) => rows(inner),
            None if map.values().all(Value::is_object) => Ok(map.into_iter().map(|(_, row)| row).collect()),
            None => Err(PanelError::retryable(Cause::Rubbish)),
        },
        Value::Null => Ok(Vec::new()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Err(PanelError::retryable(Cause::Rubbish)),
    }
}

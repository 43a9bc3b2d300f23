//! From bytes to a verdict. Every verdict of this API is HTTP 200 with `result`, and its words are not always under `error`.

use serde_json::Value;

use crate::driver::asked::{Asked, past_http, printable};
use crate::driver::error::{Cause, PanelError, PermKind};
use crate::driver::http::RawReply;
use crate::driver::value;

/// XC_VM kept this file for reading only and hides it behind a page of a web server.
const MISSING: &str = "HTTP 404: no api.php there, or an XC_VM panel that refuses our address or its api_pass this way; XC_VM \
                       makes no lines through this API, so connect it as kind `xui`";

/// The answer of the panel.
///
/// # Errors
/// A verdict against us, or no verdict at all, classified by what was asked.
pub fn answer(reply: &RawReply, asked: Asked) -> Result<Value, PanelError> {
    past_http(reply, asked, MISSING)?;
    let body = reply.body.trim_ascii();
    if reply.truncated {
        return Err(asked.no_verdict(Cause::Rubbish));
    }
    if body.is_empty() {
        return Err(asked.no_verdict(Cause::Empty));
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(body @ Value::Object(_)) => verdict(body, asked),
        Ok(list @ Value::Array(_)) if matches!(asked, Asked::Read) => Ok(list),
        Ok(Value::Null | Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_)) | Err(_) => {
            Err(asked.no_verdict(Cause::Rubbish))
        }
    }
}

/// Words come first: "not enough credits" is said beside `"result":true`.
fn verdict(body: Value, asked: Asked) -> Result<Value, PanelError> {
    let words = ["error", "0", "message"]
        .iter()
        .find_map(|key| body.get(key).and_then(value::text))
        .filter(|text| !text.trim().is_empty());
    if let Some(words) = words {
        return Err(refusal(&words, asked));
    }
    match body.get("result").and_then(value::flag) {
        Some(true) => Ok(body),
        Some(false) => match asked {
            Asked::Read => Err(PanelError::permanent(PermKind::NotFound, "result false")),
            Asked::Write(_) | Asked::Create => Err(asked.no_verdict(Cause::NoVerdict)),
        },
        None => Err(asked.no_verdict(Cause::Rubbish)),
    }
}

fn refusal(words: &str, asked: Asked) -> PanelError {
    let refuse = |kind| PanelError::permanent(kind, printable(words));
    let upper = words.trim().to_ascii_uppercase();
    match upper.as_str() {
        "IP FORBIDDEN" => refuse(PermKind::IpNotAllowed),
        "KEY WRONG" => refuse(PermKind::BadCredentials),
        "NOT EXISTS" => refuse(PermKind::NotFound),
        "EXISTS" => refuse(PermKind::Conflict),
        _ if upper.starts_with("PARAMETER ERROR") => refuse(PermKind::InvalidInput),
        _ if upper.contains("CREDIT") => refuse(PermKind::InsufficientCredits),
        _ => asked.no_verdict(Cause::NoVerdict),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::error::ReadBack;

    fn said(body: &'static str, asked: Asked) -> Result<Value, PanelError> {
        answer(&RawReply { status: 200, body: body.into(), ..RawReply::default() }, asked)
    }

    #[test]
    fn case_089_an_error_beside_result_true_is_an_error() {
        let refused = said(r#"{"result":true,"error":"NOT ENOUGH CREDITS"}"#, Asked::Create).unwrap_err();
        assert_eq!(refused.refusal(), Some(PermKind::InsufficientCredits));
    }

    #[test]
    fn words_under_the_key_zero_are_found() {
        for (body, kind) in [
            (r#"{"result":false,"0":"IP FORBIDDEN"}"#, PermKind::IpNotAllowed),
            (r#"{"result":false,"0":"KEY WRONG"}"#, PermKind::BadCredentials),
            (r#"{"result":false,"error":"PARAMETER ERROR (user/pass)"}"#, PermKind::InvalidInput),
            (r#"{"result":false,"error":"NOT EXISTS"}"#, PermKind::NotFound),
            (r#"{"result":false,"error":"EXISTS"}"#, PermKind::Conflict),
        ] {
            for asked in [Asked::Read, Asked::Create, Asked::Write(ReadBack::ById)] {
                assert_eq!(said(body, asked).unwrap_err().refusal(), Some(kind), "{body}");
            }
        }
    }

    #[test]
    fn case_087_what_is_no_verdict_leaves_a_write_unknown_and_a_read_to_be_repeated() {
        for body in ["", "null", "[]", "<html></html>", r#"{"resul"#, r#"{"result":false}"#, r#"{"error":"what"}"#] {
            let lost = said(body, Asked::Create).unwrap_err();
            assert!(matches!(lost, PanelError::Ambiguous { hint: ReadBack::ByName, .. }), "{body}: {lost}");
        }
        for body in ["", "null", "<html></html>", r#"{"resul"#] {
            assert!(matches!(said(body, Asked::Read), Err(PanelError::Retryable { .. })), "{body}");
        }
    }
}

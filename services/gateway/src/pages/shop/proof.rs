//! Files customers send: one part of a form in, a download out. Nothing of them is ever shown by a page of ours.

use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use ottery_kit::grpc::CallContext;
use ottery_proto::billing::v1 as billing;

use crate::limits::read_body;
use crate::problem::{Refusal, Reply};
use crate::session::Customer;
use crate::state::AppState;

/// Largest file.
const FILE_BYTES_MAX: usize = 5 * 1024 * 1024;
/// What stands around it in a form.
const AROUND_BYTES_MAX: usize = 16 * 1024;
/// Its field.
pub const FIELD: &str = "proof";
/// Were it opened as a page all the same, it could do nothing.
const POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

/// A file as it was sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its name on the payer's computer.
    pub name: String,
    /// What it holds.
    pub content: Vec<u8>,
}

fn wrong(detail: &str) -> Refusal {
    Refusal::invalid(FIELD, "proof_invalid", detail)
}

/// The file of a form.
///
/// # Errors
/// When it is too large, missing, or the form cannot be read; all name the field.
pub async fn sent(request: Request) -> Reply<Upload> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let boundary = boundary(kind).ok_or_else(|| wrong("choose a file with this form"))?.to_owned();
    let body = match read_body(request, FILE_BYTES_MAX + AROUND_BYTES_MAX).await {
        Ok(body) => body,
        Err(refusal) if refusal.is("body_too_large") => {
            return Err(wrong("the file is larger than 5 MB; send a smaller picture of it"));
        }
        Err(refusal) => return Err(refusal),
    };
    file(&body, &boundary).ok_or_else(|| wrong("choose a file: PDF, PNG or JPEG, at most 5 MB"))
}

/// What separates the parts (RFC 2046, 5.1.1: at most 70 characters).
fn boundary(kind: &str) -> Option<&str> {
    let (form, rest) = kind.split_once(';')?;
    if !form.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let found = rest.split(';').find_map(|part| part.trim().strip_prefix("boundary="))?.trim_matches('"');
    (1..=70).contains(&found.len()).then_some(found)
}

/// Where `wanted` begins, from `from` on.
fn position(body: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(found) = body.get(at..)?.iter().position(|byte| *byte == wanted[0]) {
        at += found;
        if body[at..].starts_with(wanted) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// The first part that is the field and holds something (RFC 7578).
fn file(body: &[u8], boundary: &str) -> Option<Upload> {
    let delimiter = format!("--{boundary}");
    let next = format!("\r\n{delimiter}");
    let mut at = position(body, delimiter.as_bytes(), 0)? + delimiter.len();
    loop {
        // Behind a delimiter is the end of its line; behind the last one two hyphens.
        let part = body.get(at..)?.strip_prefix(b"\r\n")?;
        let begin = body.len() - part.len();
        let head_end = position(body, b"\r\n\r\n", begin)?;
        let end = position(body, next.as_bytes(), head_end)?;
        let head = String::from_utf8_lossy(&body[begin..head_end]);
        let content = body.get(head_end + 4..end).unwrap_or_default();
        let disposition = head
            .split("\r\n")
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-disposition"))
            .map_or("", |(_, value)| value);
        if parameter(disposition, "name") == Some(FIELD) && !content.is_empty() {
            let name = parameter(disposition, "filename").unwrap_or_default().to_owned();
            return Some(Upload { name, content: content.to_vec() });
        }
        at = end + next.len();
    }
}

/// `name="value"` of a header; browsers write quotes inside as `%22`.
fn parameter<'a>(header: &'a str, wanted: &str) -> Option<&'a str> {
    header.split(';').find_map(|part| {
        let (name, value) = part.trim().split_once('=')?;
        (name == wanted).then(|| value.trim_matches('"'))
    })
}

/// A file as a download.
///
/// # Errors
/// When billing has none, or it is somebody else's.
pub async fn download(state: &AppState, context: &CallContext, id: String) -> Reply<Response> {
    let asked = billing::ReadByHandProofRequest { proof_id: id };
    let mut client = state.clients.billing(context).max_decoding_message_size(FILE_BYTES_MAX + AROUND_BYTES_MAX);
    let file = client.read_by_hand_proof(asked).await?.into_inner();
    let value = |text: String| HeaderValue::try_from(text).map_err(|error| Refusal::internal(&error));
    let kind = value(file.media_type)?;
    let disposition = value(format!("attachment; filename=\"{}\"", file.name))?;
    let mut response = (StatusCode::OK, file.content).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_DISPOSITION, disposition);
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// `GET /account/proofs/{id}`
pub async fn own(State(state): State<AppState>, customer: Customer, Path(id): Path<String>) -> Reply<Response> {
    download(&state, &customer.caller.call(), id).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxk";

    fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (disposition, content) in parts {
            body.extend(b"------WebKitFormBoundary7MA4YWxk\r\nContent-Disposition: form-data; ");
            body.extend(disposition.as_bytes());
            body.extend(b"\r\nContent-Type: application/pdf\r\n\r\n");
            body.extend(*content);
            body.extend(b"\r\n");
        }
        body.extend(b"------WebKitFormBoundary7MA4YWxk--\r\n");
        body
    }

    #[test]
    fn the_file_of_the_field_is_read_whatever_is_in_it() {
        let content = b"%PDF-1.7\r\n\r\n--not the boundary\r\n\0\xff";
        let body = form(&[("name=\"other\"", b"x"), ("name=\"proof\"; filename=\"a b.pdf\"", content)]);
        let found = file(&body, boundary(KIND).unwrap()).unwrap();
        assert_eq!(found, Upload { name: "a b.pdf".to_owned(), content: content.to_vec() });
    }

    #[test]
    fn what_is_no_form_with_a_file_is_none() {
        let boundary = boundary(KIND).unwrap();
        assert_eq!(file(&form(&[]), boundary), None);
        assert_eq!(file(&form(&[("name=\"proof\"; filename=\"\"", b"")]), boundary), None, "nothing was chosen");
        assert_eq!(file(&form(&[("name=\"other\"", b"x")]), boundary), None);
        let whole = form(&[("name=\"proof\"; filename=\"a\"", b"content")]);
        // A form that was cut off anywhere is no panic, and never a shorter file.
        for end in 0..whole.len() - 4 {
            if let Some(found) = file(&whole[..end], boundary) {
                assert_eq!(found.content, b"content");
            }
        }
        assert_eq!(file(b"", boundary), None);
    }

    #[test]
    fn only_forms_with_a_boundary_are_read() {
        for kind in [
            "",
            "application/pdf",
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/mixed; boundary=x",
        ] {
            assert_eq!(boundary(kind), None, "{kind}");
        }
        assert_eq!(boundary(&format!("multipart/form-data; boundary={}", "x".repeat(71))), None);
        assert_eq!(boundary("multipart/form-data; boundary=\"a b\""), Some("a b"));
    }
}

//! Files customers send: one part of a form in, a download out. Nothing of them is ever shown by a page of ours.

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Path, Request, State};
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

/// The file of a form (RFC 7578): the first part of the field that holds something.
///
/// # Errors
/// When it is too large, missing, or the form cannot be read; all name the field.
pub async fn sent(request: Request) -> Reply<Upload> {
    let (head, body) = request.into_parts();
    let body = match read_body(Request::new(body), FILE_BYTES_MAX + AROUND_BYTES_MAX).await {
        Ok(body) => body,
        Err(refusal) if refusal.is("body_too_large") => {
            return Err(wrong("the file is larger than 5 MB; send a smaller picture of it"));
        }
        Err(refusal) => return Err(refusal),
    };
    let mut request = Request::from_parts(head, Body::from(body));
    // It was counted above, with a sentence of ours.
    DefaultBodyLimit::disable().apply(&mut request);
    let mut form = Multipart::from_request(request, &()).await.map_err(|_| wrong("choose a file with this form"))?;
    let broken = |_| wrong("the form ended too early; send it again");
    while let Some(part) = form.next_field().await.map_err(broken)? {
        let is_wanted = part.name() == Some(FIELD);
        let name = part.file_name().unwrap_or_default().to_owned();
        let content = part.bytes().await.map_err(broken)?;
        if is_wanted && !content.is_empty() {
            return Ok(Upload { name, content: content.to_vec() });
        }
    }
    Err(wrong("choose a file: PDF, PNG or JPEG, at most 5 MB"))
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

    async fn read(kind: &str, body: &[u8]) -> Result<Upload, String> {
        let request = Request::builder().method("POST").header(header::CONTENT_TYPE, kind);
        let request = request.body(Body::from(body.to_vec())).unwrap();
        sent(request).await.map_err(|refusal| format!("{refusal:?}"))
    }

    #[tokio::test]
    async fn the_file_of_the_field_is_read_whatever_is_in_it() {
        let content = b"%PDF-1.7\r\n\r\n--not the boundary\r\n\0\xff";
        let body = form(&[("name=\"other\"", b"x"), ("name=\"proof\"; filename=\"a b.pdf\"", content)]);
        let found = read(KIND, &body).await.unwrap();
        assert_eq!(found, Upload { name: "a b.pdf".to_owned(), content: content.to_vec() });
    }

    #[tokio::test]
    async fn what_is_no_form_with_a_file_names_the_field() {
        let nothing_chosen = form(&[("name=\"proof\"; filename=\"\"", b"")]);
        let whole = form(&[("name=\"proof\"; filename=\"a\"", b"content")]);
        let no_kind = "application/pdf";
        let cut = &whole[..whole.len() / 2];
        for (kind, body) in [
            (KIND, form(&[]).as_slice()),
            (KIND, &nothing_chosen),
            (KIND, &form(&[("name=\"other\"", b"x")])),
            (KIND, b""),
            (KIND, cut),
            ("", &whole),
            (no_kind, &whole),
            ("multipart/form-data", &whole),
            ("multipart/mixed; boundary=x", &whole),
        ] {
            let refusal = read(kind, body).await.unwrap_err();
            assert!(refusal.contains("proof_invalid") && refusal.contains(FIELD), "{kind}: {refusal}");
        }
    }

    #[tokio::test]
    async fn a_form_cut_off_anywhere_is_never_a_shorter_file() {
        let whole = form(&[("name=\"proof\"; filename=\"a\"", b"content")]);
        for end in 0..whole.len() {
            if let Ok(found) = read(KIND, &whole[..end]).await {
                assert_eq!(found.content, b"content", "cut at {end}");
            }
        }
    }

    #[tokio::test]
    async fn the_largest_file_is_read_and_a_larger_one_is_told_its_limit() {
        let read_of = async |bytes: usize| {
            let content = vec![b'x'; bytes];
            read(KIND, &form(&[("name=\"proof\"; filename=\"a\"", &content)])).await
        };
        assert_eq!(read_of(FILE_BYTES_MAX).await.unwrap().content.len(), FILE_BYTES_MAX);
        let refusal = read_of(FILE_BYTES_MAX + AROUND_BYTES_MAX).await.unwrap_err();
        assert!(refusal.contains("5 MB"), "{refusal}");
    }
}

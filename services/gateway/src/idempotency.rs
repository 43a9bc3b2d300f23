//! `Idempotency-Key`: makes a POST that creates or moves money safe to send again. The key travels to the service that
//! owns the effect and is stored there, in the transaction of the effect.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use crate::problem::Refusal;

/// The header's name.
pub const HEADER: &str = "idempotency-key";
/// Longest key.
pub const CHARS_MAX: usize = 255;

/// The key of this request; a request without one is refused.
#[derive(Clone, Debug)]
pub struct IdempotencyKey(pub String);

impl IdempotencyKey {
    /// A fresh key for a form that is being shown: made when the form opens, sent with every try of it.
    #[must_use]
    pub fn fresh() -> String {
        uuid::Uuid::now_v7().simple().to_string()
    }

    /// Checks a key, from the header or from a form's hidden field.
    ///
    /// # Errors
    /// 400 `idempotency_key_invalid`.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let is_plain = !text.is_empty() && text.len() <= CHARS_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_plain.then(|| Self(text.to_owned())).ok_or_else(|| {
            Refusal::invalid(
                "Idempotency-Key",
                "idempotency_key_invalid",
                format!("an idempotency key is 1 to {CHARS_MAX} printable ASCII characters without spaces"),
            )
        })
    }
}

/// The key in these headers.
///
/// # Errors
/// 400 `idempotency_key_missing` or `idempotency_key_invalid`.
pub fn required(headers: &HeaderMap) -> Result<IdempotencyKey, Refusal> {
    match headers.get(HEADER) {
        Some(value) => IdempotencyKey::parse(value.to_str().unwrap_or_default()),
        None => Err(Refusal::invalid(
            "Idempotency-Key",
            "idempotency_key_missing",
            "this request moves money: send the header `Idempotency-Key` with a value of your own, and the same value \
             when you send the request again",
        )),
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        required(&parts.headers)
    }
}

//! An answer whose body is read within a limit.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use super::HttpError;

/// Status and headers of an answer; the body is still on its way.
#[derive(Debug)]
pub struct GuardedResponse {
    response: reqwest::Response,
    body_max_bytes: usize,
}

impl GuardedResponse {
    pub(super) fn new(response: reqwest::Response, body_max_bytes: usize) -> Self {
        Self { response, body_max_bytes }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The body, up to the limit of the settings.
    ///
    /// # Errors
    /// When it is larger, or the connection breaks.
    pub async fn bytes(mut self) -> Result<Bytes, HttpError> {
        let limit = self.body_max_bytes;
        // What the answer says about its length only helps to refuse early.
        if self.response.content_length().is_some_and(|length| length > limit as u64) {
            return Err(HttpError::TooLarge(limit));
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = self.response.chunk().await.map_err(HttpError::of)? {
            if body.len() + chunk.len() > limit {
                return Err(HttpError::TooLarge(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// The body as text.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and when it is not UTF-8.
    pub async fn text(self) -> Result<String, HttpError> {
        let body = self.bytes().await?;
        String::from_utf8(body.into()).map_err(|_| HttpError::Unreadable { expected: "UTF-8 text" })
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and when it does not fit `T`.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, HttpError> {
        let body = self.bytes().await?;
        serde_json::from_slice(&body).map_err(|_| HttpError::Unreadable { expected: "JSON" })
    }
}

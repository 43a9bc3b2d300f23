//! What providers' answers have in common, whatever they say.

use ottery_kit::http::HttpError;
use serde::de::DeserializeOwned;

use super::CallError;

/// The object an answer holds.
///
/// # Errors
/// When it is not as documented: something was done, and nobody knows what.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(body)
        .map_err(|error| CallError::Ambiguous(format!("an answer that is not as documented: {error}")))
}

/// What a call that brought no answer may have done.
pub fn unanswered(error: &HttpError) -> CallError {
    if error.surely_not_sent() {
        CallError::NotSent(error.to_string())
    } else {
        CallError::Ambiguous(error.to_string())
    }
}

/// An id as one segment of an address. Ids arrive in events, so nothing but their alphabet gets into a path.
///
/// # Errors
/// When it is none.
pub fn segment(id: &str) -> Result<&str, CallError> {
    let is_id = (1..=255).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if is_id { Ok(id) } else { Err(CallError::Refused { code: "id_invalid".to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_leave_its_place_in_the_address() {
        for id in ["", "../refunds", "a/b", "a?b", "a b", "é"] {
            assert!(segment(id).is_err(), "{id}");
        }
        assert_eq!(segment("cs_test_a1B2"), Ok("cs_test_a1B2"));
        assert_eq!(segment("PP-D-27803"), Ok("PP-D-27803"));
    }
}

//! VIES, the VAT Information Exchange System of the European Commission, over its REST interface
//! (`POST …/check-vat-number`), and anything that speaks like it.
//!
//! Member states answer for their own numbers; one that is away is reported inside an answer with status 200. In the name of
//! a requester the answer carries a consultation number (`requestIdentifier`), the proof that the seller asked.

use async_trait::async_trait;
use ottery_kit::http::GuardedClient;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, NoAnswer, VatValidator};
use crate::domain::vat::VatNumber;

/// What member states write for "we do not tell".
const NOT_TOLD: &str = "---";
/// What VIES calls a number that cannot be one.
const MALFORMED: &str = "INVALID_INPUT";

/// The adapter.
#[derive(Clone, Debug)]
pub struct Vies {
    client: GuardedClient,
    base_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    valid: Option<bool>,
    request_identifier: Option<String>,
    name: Option<String>,
    address: Option<String>,
    #[serde(default)]
    error_wrappers: Vec<ErrorWrapper>,
    user_error: Option<String>,
}

#[derive(Deserialize)]
struct ErrorWrapper {
    #[serde(default)]
    error: String,
}

impl Vies {
    /// The adapter for the service at that address.
    #[must_use]
    pub fn new(client: GuardedClient, base_url: &str) -> Self {
        Self { client, base_url: base_url.trim_end_matches('/').to_owned() }
    }
}

fn told(text: Option<String>) -> String {
    text.map(|text| text.trim().to_owned()).filter(|text| text != NOT_TOLD).unwrap_or_default()
}

fn read(reply: Reply) -> Result<Answer, NoAnswer> {
    let error = reply.error_wrappers.into_iter().map(|wrapper| wrapper.error).find(|error| !error.is_empty());
    match (reply.valid, error) {
        (_, Some(error)) if error == MALFORMED => Ok(Answer::Invalid),
        (_, Some(error)) => Err(NoAnswer(error)),
        (Some(true), None) => Ok(Answer::Valid {
            reference: told(reply.request_identifier),
            name: told(reply.name),
            address: told(reply.address),
        }),
        // The service says "not valid" also when a member state did not answer; only `userError` tells them apart.
        (Some(false), None) => match reply.user_error.as_deref() {
            None | Some("" | "VALID" | "INVALID" | MALFORMED) => Ok(Answer::Invalid),
            Some(error) => Err(NoAnswer(error.to_owned())),
        },
        (None, None) => Err(NoAnswer("an answer that does not say whether the number is valid".to_owned())),
    }
}

#[async_trait]
impl VatValidator for Vies {
    fn name(&self) -> &'static str {
        "vies"
    }

    fn covers(&self, number: &VatNumber) -> bool {
        !matches!(number.prefix(), "GB" | "CH" | "NO")
    }

    async fn check(&self, number: &VatNumber, requester: Option<&VatNumber>) -> Result<Answer, NoAnswer> {
        let mut asked = json!({ "countryCode": number.prefix(), "vatNumber": number.national() });
        if let Some(requester) = requester.filter(|requester| self.covers(requester)) {
            asked["requesterMemberStateCode"] = json!(requester.prefix());
            asked["requesterNumber"] = json!(requester.national());
        }
        let no_answer = |error: &dyn std::fmt::Display| NoAnswer(error.to_string());
        let url = format!("{}/check-vat-number", self.base_url);
        let request = self.client.request(Method::POST, &url).map_err(|error| no_answer(&error))?.json(&asked);
        let response = self.client.send(request).await.map_err(|error| no_answer(&error))?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| no_answer(&error))?;
        // Refusals come with their reason in the same form, whatever the status.
        match serde_json::from_slice::<Reply>(&body) {
            Ok(reply) if status.is_success() || !reply.error_wrappers.is_empty() => read(reply),
            Ok(_) | Err(_) => Err(NoAnswer(format!("status {status}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: serde_json::Value) -> Result<Answer, NoAnswer> {
        read(serde_json::from_value(body).unwrap())
    }

    #[test]
    fn answers_are_told_from_silence() {
        let valid = answer(json!({
            "countryCode": "FR", "vatNumber": "40303265045", "valid": true, "requestIdentifier": "WAPIAAAAY",
            "name": "SA SODIMAS", "address": "---", "userError": "VALID",
        }));
        let told = Answer::Valid { reference: "WAPIAAAAY".into(), name: "SA SODIMAS".into(), address: String::new() };
        assert_eq!(valid, Ok(told));
        assert_eq!(answer(json!({ "valid": false, "userError": "INVALID" })), Ok(Answer::Invalid));
        assert_eq!(answer(json!({ "valid": false })), Ok(Answer::Invalid));
        let malformed = json!({ "actionSucceed": false, "errorWrappers": [{ "error": "INVALID_INPUT" }] });
        assert_eq!(answer(malformed), Ok(Answer::Invalid));
        let away = json!({ "actionSucceed": false, "errorWrappers": [{ "error": "MS_UNAVAILABLE" }] });
        assert_eq!(answer(away), Err(NoAnswer("MS_UNAVAILABLE".into())));
        let hidden = json!({ "valid": false, "userError": "MS_MAX_CONCURRENT_REQ" });
        assert_eq!(answer(hidden), Err(NoAnswer("MS_MAX_CONCURRENT_REQ".into())));
        assert!(answer(json!({})).is_err());
    }
}

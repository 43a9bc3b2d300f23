//! Requests to `/api/v1` and what comes back.

use std::collections::BTreeMap;
use std::time::Duration;

use ottery_kit::grpc::{Code, Problem};
use ottery_kit::secret::Secret;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::wire::Page;

/// Longer than the gateway gives a request, so that its own answer is what we see.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Items of a page.
const PAGE_SIZE: &str = "100";
/// Times a request is sent while the answer is that there were too many.
const TRIES_MAX: u32 = 10;
/// Longest wait between them, whatever the answer says.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Why an address is none.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It cannot be read.
    #[error("`{0}` is no address; write it like https://admin.example.com")]
    Malformed(String),
    /// TLS cannot be set up.
    #[error("cannot make an HTTP client")]
    Client(#[from] reqwest::Error),
}

/// Where a request works.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// Outside any brand.
    Platform,
    /// In the brand of that id.
    Brand(&'a str),
}

#[derive(Debug)]
pub(super) struct Api {
    client: Client,
    base: Url,
    key: Secret,
}

impl Api {
    pub fn new(address: &str, key: Secret) -> Result<Self, AddressError> {
        let malformed = || AddressError::Malformed(address.to_owned());
        let base = Url::parse(address).map_err(|_| malformed())?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(malformed());
        }
        // Where an answer leads is told, not followed: the key must not go to another host.
        let builder = Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
        // A proxy of the environment reaches its own loopback, not ours.
        let builder = if is_here(&base) { builder.no_proxy() } else { builder };
        Ok(Self { client: builder.build()?, base, key })
    }

    pub async fn get<T: DeserializeOwned>(
        &self,
        place: Place<'_>,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Problem> {
        self.send(self.request(place, Method::GET, path).query(query)).await
    }

    /// Every item of a list, page by page.
    pub async fn list<W, T>(&self, place: Place<'_>, path: &str) -> Result<Vec<T>, Problem>
    where
        W: DeserializeOwned + Into<T>,
    {
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut query = vec![("limit", PAGE_SIZE)];
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page: Page<W> = self.get(place, path, &query).await?;
            items.extend(page.items.into_iter().map(Into::into));
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(items),
            }
        }
    }

    pub async fn put<T: DeserializeOwned>(
        &self,
        place: Place<'_>,
        method: Method,
        path: &str,
        is_dry_run: bool,
        body: &impl Serialize,
    ) -> Result<T, Problem> {
        let request = self.request(place, method, path).json(body);
        self.send(if is_dry_run { request.query(&[("dry_run", "true")]) } else { request }).await
    }

    fn request(&self, place: Place<'_>, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(&format!("/api/v1{path}"));
        url.set_query(None);
        let request = self.client.request(method, url).bearer_auth(self.key.expose());
        match place {
            Place::Platform => request,
            Place::Brand(id) => request.header("ottery-brand", id),
        }
    }

    /// Sends, and waits as long as it is told to: a large folder of documents is more than may come at once.
    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Problem> {
        for _ in 1..TRIES_MAX {
            let attempt = request.try_clone().ok_or_else(|| Problem::refused("body", "a body can be sent again"))?;
            let answer = attempt.send().await.map_err(|error| self.unreachable(&error))?;
            if answer.status() != StatusCode::TOO_MANY_REQUESTS {
                return self.read(answer).await;
            }
            tokio::time::sleep(wait(&answer)).await;
        }
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        self.read(answer).await
    }

    async fn read<T: DeserializeOwned>(&self, answer: Response) -> Result<T, Problem> {
        let status = answer.status();
        if status.is_redirection() {
            let to = answer.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("elsewhere");
            return Err(self.foreign(&format!("leads to {to}; name that address instead")));
        }
        let body = answer.bytes().await.map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|error| self.foreign(&format!("answered something else than expected ({error})")));
        }
        match serde_json::from_slice::<Refused>(&body) {
            Ok(refused) => Err(refused.problem(status)),
            Err(_) => {
                Err(self.foreign(&format!("answered {status} and not as the API does; is it the staff area's host?")))
            }
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Problem {
        let what = if error.is_timeout() { "did not answer in time" } else { "cannot be reached" };
        // Without the address, which is said already, and with the cause, which reqwest leaves to its sources.
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        Problem::unavailable("unreachable", format!("{} {what}: {cause}", self.origin()))
    }

    fn foreign(&self, what: &str) -> Problem {
        Problem::refused("address_wrong", format!("{} {what}", self.origin()))
    }

    fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }
}

/// Whether an address is on this machine.
fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    is_loopback || host == "localhost" || host.ends_with(".localhost")
}

fn wait(answer: &Response) -> Duration {
    let told = answer.headers().get(header::RETRY_AFTER).and_then(|told| told.to_str().ok()?.parse().ok());
    told.map_or(Duration::from_secs(1), Duration::from_secs).min(WAIT_MAX)
}

/// `application/problem+json`
#[derive(Debug, Deserialize)]
struct Refused {
    code: String,
    detail: String,
    #[serde(default)]
    field: Option<String>,
    #[serde(default)]
    facts: BTreeMap<String, String>,
}

impl Refused {
    fn problem(self, status: StatusCode) -> Problem {
        let code = match (status, self.code.as_str()) {
            (_, "stale_version" | "version_conflict" | "concurrent_change") => Code::Aborted,
            (StatusCode::BAD_REQUEST, _) => Code::InvalidArgument,
            (StatusCode::UNAUTHORIZED, _) => Code::Unauthenticated,
            (StatusCode::FORBIDDEN, _) => Code::PermissionDenied,
            (StatusCode::NOT_FOUND, _) => Code::NotFound,
            (StatusCode::TOO_MANY_REQUESTS, _) => Code::ResourceExhausted,
            (StatusCode::SERVICE_UNAVAILABLE, _) => Code::Unavailable,
            (StatusCode::GATEWAY_TIMEOUT, _) => Code::DeadlineExceeded,
            (status, _) if status.is_server_error() => Code::Internal,
            _ => Code::FailedPrecondition,
        };
        Problem { field: self.field, metadata: self.facts, ..Problem::new(code, self.code, self.detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_is_refused_with_an_example() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        for bad in ["", "admin.example.com", "ftp://admin.example.com", "https://"] {
            let refused = Api::new(bad, Secret::new("otk_x")).unwrap_err();
            assert!(refused.to_string().contains("https://admin.example.com"), "{bad}: {refused}");
        }
        assert_eq!(
            Api::new("https://admin.example.com/x?y", Secret::new("otk_x")).unwrap().origin(),
            "https://admin.example.com"
        );
    }

    #[test]
    fn an_address_on_this_machine_needs_no_proxy() {
        let of = |text: &str| is_here(&Url::parse(text).unwrap());
        for here in ["http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost", "http://admin.localhost"] {
            assert!(of(here), "{here}");
        }
        assert!(!of("https://localhost.example.com") && !of("https://10.0.0.1"));
    }

    #[test]
    fn a_lost_race_is_told_apart_from_other_conflicts() {
        let refused =
            |code: &str| Refused { code: code.into(), detail: String::new(), field: None, facts: BTreeMap::new() };
        assert_eq!(refused("stale_version").problem(StatusCode::CONFLICT).code, Code::Aborted);
        assert_eq!(refused("panel_name_taken").problem(StatusCode::CONFLICT).code, Code::FailedPrecondition);
        assert_eq!(refused("host_taken").problem(StatusCode::BAD_REQUEST).code, Code::InvalidArgument);
    }
}

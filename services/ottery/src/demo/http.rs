//! One way into the system: an address, and who asks.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, header};
use serde_json::Value;

use crate::up::state::random_hex;

/// Longer than the gateway gives a request, so that its own answer is what we see.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client that follows nothing by itself: where an answer leads is part of what is checked.
///
/// # Errors
/// The TLS settings of this process.
pub fn client(names: &[(String, SocketAddr)]) -> anyhow::Result<Client> {
    let builder = Client::builder().no_proxy().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
    let builder = names.iter().fold(builder, |builder, (name, address)| builder.resolve(name, *address));
    builder.build().context("cannot make an HTTP client")
}

/// Who asks.
#[derive(Clone, Debug)]
enum Caller {
    Browser { cookies: Vec<(String, String)>, brand: Option<String> },
    Program { key: String, brand: String },
}

/// The gateway as one caller sees it.
#[derive(Clone, Debug)]
pub struct Door {
    client: Client,
    origin: String,
    caller: Caller,
    /// What a proxy that is believed says where the caller comes from.
    address: Option<String>,
}

impl Door {
    /// A browser that nobody signed in with yet.
    pub fn browser(client: &Client, origin: &str) -> Self {
        let caller = Caller::Browser { cookies: Vec::new(), brand: None };
        Self { client: client.clone(), origin: origin.to_owned(), caller, address: None }
    }

    /// A program with an API key, working in one brand.
    pub fn program(client: &Client, origin: &str, key: &str, brand: &str) -> Self {
        let caller = Caller::Program { key: key.to_owned(), brand: brand.to_owned() };
        Self { client: client.clone(), origin: origin.to_owned(), caller, address: None }
    }

    /// Comes from this address, as a trusted proxy would report it.
    pub fn behind_proxy_from(mut self, address: String) -> Self {
        self.address = Some(address);
        self
    }

    /// Chooses the brand staff work in.
    pub fn choose_brand(&mut self, id: &str) {
        if let Caller::Browser { brand, .. } = &mut self.caller {
            *brand = Some(id.to_owned());
        }
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let (answer, what) = self.send(self.request(Method::GET, path), "GET", path).await?;
        json(answer, &what).await
    }

    /// Looks at a page; only that it is there counts.
    pub async fn page(&self, path: &str) -> anyhow::Result<()> {
        let mut request = self.request(Method::GET, "").build()?;
        *request.url_mut() = Url::parse(&format!("{}{path}", self.origin))?;
        let answer = self.client.execute(request).await.with_context(|| format!("GET {path} at {}", self.origin))?;
        let status = answer.status();
        let body = answer.text().await.with_context(|| format!("GET {path}: the answer broke off"))?;
        anyhow::ensure!(status == StatusCode::OK, "GET {path} answered {status}: {}", start_of(&body));
        Ok(())
    }

    /// Does something.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (answer, what) = self.send(self.request(Method::POST, path).json(body), "POST", path).await?;
        json(answer, &what).await
    }

    /// Replaces something.
    pub async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (answer, what) = self.send(self.request(Method::PUT, path).json(body), "PUT", path).await?;
        json(answer, &what).await
    }

    /// Does something that creates or moves money, under a key of its own.
    pub async fn post_money(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.request(Method::POST, path).header("idempotency-key", random_hex(16)).json(body);
        let (answer, what) = self.send(request, "POST", path).await?;
        json(answer, &what).await
    }

    /// Does something and keeps the cookies of the answer.
    pub async fn enter(&mut self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (answer, what) = self.send(self.request(Method::POST, path).json(body), "POST", path).await?;
        self.keep_cookies(&answer);
        json(answer, &what).await
    }

    /// Follows a link as a browser does, keeps the cookies, and says where it led.
    pub async fn follow(&mut self, link: &str) -> anyhow::Result<StatusCode> {
        let answer = self.client.get(link).send().await.with_context(|| format!("GET {link}"))?;
        self.keep_cookies(&answer);
        Ok(answer.status())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}/api/v1{path}", self.origin));
        let request = match &self.address {
            Some(address) => request.header("x-forwarded-for", address),
            None => request,
        };
        match &self.caller {
            Caller::Program { key, brand } => request.bearer_auth(key).header("ottery-brand", brand),
            Caller::Browser { cookies, brand } => {
                let request = request.header(header::ORIGIN, &self.origin);
                let request = match brand {
                    Some(brand) => request.header("ottery-brand", brand),
                    None => request,
                };
                if cookies.is_empty() {
                    return request;
                }
                let all: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
                request.header(header::COOKIE, all.join("; "))
            }
        }
    }

    async fn send(&self, request: RequestBuilder, method: &str, path: &str) -> anyhow::Result<(Response, String)> {
        let what = format!("{method} /api/v1{path}");
        let answer = request.send().await.with_context(|| format!("{what} at {}", self.origin))?;
        Ok((answer, what))
    }

    fn keep_cookies(&mut self, answer: &Response) {
        let Caller::Browser { cookies, .. } = &mut self.caller else { return };
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            let Some((name, value)) = cookie.to_str().ok().and_then(|text| text.split(';').next()?.split_once('='))
            else {
                continue;
            };
            cookies.retain(|(known, _)| known != name);
            cookies.push((name.to_owned(), value.to_owned()));
        }
    }
}

/// A good answer's JSON; otherwise a sentence with the problem's own words.
pub async fn json(answer: Response, what: &str) -> anyhow::Result<Value> {
    let status = answer.status();
    let body = answer.bytes().await.with_context(|| format!("{what}: the answer broke off"))?;
    let value: Value = match body.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&body).with_context(|| {
            format!(
                "{what} answered {status} with something that is not JSON: {}",
                start_of(&String::from_utf8_lossy(&body))
            )
        })?,
    };
    if status.is_success() {
        return Ok(value);
    }
    let word = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    anyhow::bail!("{what} answered {status} ({}): {}", word("code"), word("detail"))
}

/// As much as fits into a sentence.
pub fn start_of(text: &str) -> String {
    text.chars().take(200).collect()
}

/// The text at `pointer`; a sentence when it is missing.
pub fn text<'a>(value: &'a Value, pointer: &str) -> anyhow::Result<&'a str> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .with_context(|| format!("`{pointer}` is missing in {}", start_of(&value.to_string())))
}

/// The whole number at `pointer`.
pub fn number(value: &Value, pointer: &str) -> anyhow::Result<i64> {
    value
        .pointer(pointer)
        .and_then(Value::as_i64)
        .with_context(|| format!("`{pointer}` is missing in {}", start_of(&value.to_string())))
}

/// The instant at `pointer`.
pub fn instant(value: &Value, pointer: &str) -> anyhow::Result<chrono::DateTime<chrono::Utc>> {
    let text = text(value, pointer)?;
    Ok(chrono::DateTime::parse_from_rfc3339(text)
        .with_context(|| format!("`{pointer}` is no instant: {text}"))?
        .to_utc())
}

/// What a list holds.
pub fn items(value: &Value) -> anyhow::Result<&Vec<Value>> {
    value["items"].as_array().with_context(|| format!("no list: {}", start_of(&value.to_string())))
}

/// An address beside another one.
pub fn beside(address: &str, reference: &str) -> anyhow::Result<Url> {
    Ok(Url::parse(address)?.join(reference)?)
}

//! A browser: keeps cookies of one host, says where its requests come from.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// A browser with a page of one host open.
pub struct Browser {
    client: reqwest::Client,
    address: SocketAddr,
    pub host: String,
    pub cookies: Mutex<BTreeMap<String, String>>,
    pub headers: HeaderMap,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The problem's code; empty for other answers.
    pub fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.text).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Insists on a status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// Insists on a refusal.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), self.code().as_str()), (status, code), "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
    }
}

impl Browser {
    pub fn new(address: SocketAddr, host: &str) -> Self {
        // A process has one TLS provider; another test may have set it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { client, address, host: host.to_owned(), cookies: Mutex::default(), headers: HeaderMap::new() }
    }

    /// The same browser, sending this header with every request.
    pub fn with(&self, name: &'static str, value: &str) -> Self {
        let mut headers = self.headers.clone();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        Self {
            client: self.client.clone(),
            address: self.address,
            host: self.host.clone(),
            cookies: Mutex::new(self.cookies.lock().unwrap().clone()),
            headers,
        }
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let cookies: Vec<_> =
            self.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = self
            .client
            .request(method, format!("http://{}{path}", self.address))
            .header("host", &self.host)
            .headers(self.headers.clone());
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        request
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        for cookie in headers.get_all("set-cookie") {
            let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            let mut cookies = self.cookies.lock().unwrap();
            if value.is_empty() {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Answer { status, headers, text: response.text().await.unwrap() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path).header("origin", self.origin())).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.write(Method::POST, path, body, None).await
    }

    /// Sends what moves money.
    pub async fn pay(&self, path: &str, key: &str, body: Value) -> Answer {
        self.write(Method::POST, path, body, Some(key)).await
    }

    pub async fn write(&self, method: Method, path: &str, body: Value, key: Option<&str>) -> Answer {
        let mut request = self.request(method, path).header("origin", self.origin()).json(&body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.send(request).await
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.host)
    }

    /// Signs a new customer up.
    pub async fn sign_up(&self, email: &str) -> String {
        let body =
            json!({ "email": email, "password": "correct staple battery", "country": "DE", "display_name": "Ada" });
        let done = self.post("/api/v1/auth/sign-up", body).await.expect(201);
        done["session"]["account"]["id"].as_str().unwrap().to_owned()
    }
}

//! What the edge knows of a request before any handler runs.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ottery_kit::grpc::{Actor, CallContext};
use ottery_proto::identity::v1::Device;
use rand::RngCore as _;

use crate::config::HttpConfig;
use crate::problem::Refusal;

/// Longest user agent that is passed on.
const USER_AGENT_CHARS_MAX: usize = 300;

/// One request as the edge saw it. Cheap to clone; every handler may take it as an argument.
#[derive(Clone, Debug)]
pub struct RequestInfo(Arc<Inner>);

/// See [`RequestInfo`].
#[derive(Debug)]
pub struct Inner {
    /// `req_…`; in every answer (`X-Request-Id`), log line and call made for it.
    pub id: String,
    /// Who is at the other end, behind trusted proxies.
    pub client_ip: IpAddr,
    /// The host as the browser named it, with its port when it is not the usual one.
    pub authority: Arc<str>,
    /// The host in lower case, without port.
    pub host: Arc<str>,
    /// Whether the visitor came over HTTPS.
    pub is_secure: bool,
    /// Where a trusted proxy says the visitor is, ISO 3166-1 alpha-2; none when nobody says.
    pub country: Option<String>,
    nonce: OnceLock<String>,
    user_agent: Option<HeaderValue>,
}

impl Inner {
    /// For inline `<style>` elements of this answer: `style-src 'nonce-…'`.
    #[must_use]
    pub fn nonce(&self) -> &str {
        self.nonce.get_or_init(|| {
            let mut nonce = [0_u8; 16];
            rand::rng().fill_bytes(&mut nonce);
            STANDARD_NO_PAD.encode(nonce)
        })
    }

    /// What the browser says it is, cut to a sane length.
    #[must_use]
    pub fn user_agent(&self) -> String {
        let said = self.user_agent.as_ref().and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        said.chars().take(USER_AGENT_CHARS_MAX).collect()
    }
}

impl std::ops::Deref for RequestInfo {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl RequestInfo {
    pub(crate) fn read(parts: &Parts, config: &HttpConfig) -> Self {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let peer = peer.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
        let named = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let authority = parts.uri.authority().map(|authority| authority.as_str()).or(named).unwrap_or_default();
        let is_lower = !authority.bytes().any(|byte| byte.is_ascii_uppercase());
        let authority: Arc<str> = if is_lower { authority.into() } else { authority.to_ascii_lowercase().into() };
        Self(Arc::new(Inner {
            id: ottery_kit::grpc::context::new_request_id(),
            client_ip: client_ip(peer, &parts.headers, config),
            host: without_port(&authority).into(),
            authority,
            is_secure: config.is_secure(),
            country: country(peer, &parts.headers, config),
            nonce: OnceLock::new(),
            user_agent: parts.headers.get(header::USER_AGENT).cloned(),
        }))
    }

    /// The origin this request was made to, for example `https://shop.example`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.is_secure { "https" } else { "http" }, self.authority)
    }

    /// The device, as identity records it.
    #[must_use]
    pub fn device(&self) -> Device {
        Device { user_agent: self.user_agent(), client_ip: self.client_ip.to_string() }
    }

    /// Calls on behalf of this actor, in this request.
    #[must_use]
    pub fn call(&self, actor: Actor) -> CallContext {
        let actor = Actor { request_id: self.id.clone(), client_ip: Some(self.client_ip.to_string()), ..actor };
        CallContext::new(actor)
    }

    /// Calls the gateway makes for itself while serving this request.
    #[must_use]
    pub fn own_call(&self, brand: Option<ottery_kernel::BrandId>) -> CallContext {
        self.call(Actor::service("gateway", brand))
    }
}

impl<S: Sync> FromRequestParts<S> for RequestInfo {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(parts.extensions.get::<Self>().cloned().expect("the edge layer runs before every handler"))
    }
}

pub(crate) fn text(headers: &HeaderMap, name: impl axum::http::header::AsHeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn without_port(authority: &str) -> &str {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.starts_with('[') {
        return host.find(']').map_or(host, |end| &host[..=end]);
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

/// The last address in `X-Forwarded-For` that is not one of our proxies, when the peer is one.
fn client_ip(peer: IpAddr, headers: &HeaderMap, config: &HttpConfig) -> IpAddr {
    let trusted = |ip: &IpAddr| config.trusted_proxies.iter().any(|network| network.contains(ip));
    let peer = peer.to_canonical();
    if !trusted(&peer) {
        return peer;
    }
    let mut hops = Vec::new();
    for value in headers.get_all("x-forwarded-for") {
        hops.extend(value.to_str().unwrap_or_default().split(',').map(|hop| hop.trim().parse::<IpAddr>()));
    }
    let mut client = peer;
    for hop in hops.into_iter().rev() {
        let Ok(hop) = hop else { break };
        client = hop.to_canonical();
        if !trusted(&client) {
            break;
        }
    }
    client
}

/// Where a trusted proxy says the visitor is. `XX` (unknown) and `T1` (Tor) are no countries.
fn country(peer: IpAddr, headers: &HeaderMap, config: &HttpConfig) -> Option<String> {
    let peer = peer.to_canonical();
    if config.country_header.is_empty() || !config.trusted_proxies.iter().any(|net| net.contains(&peer)) {
        return None;
    }
    let said = headers.get(config.country_header.as_str())?.to_str().ok()?.trim().to_ascii_uppercase();
    let is_country = said.len() == 2 && said != "XX" && said.bytes().all(|byte| byte.is_ascii_uppercase());
    is_country.then_some(said)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn config() -> HttpConfig {
        let mut config: crate::Config = toml_defaults();
        config.http.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        config.http
    }

    fn toml_defaults() -> crate::Config {
        crate::testing::config()
    }

    #[test]
    fn a_country_is_believed_from_trusted_proxies_only_and_from_the_header_that_is_set() {
        let mut headers = HeaderMap::new();
        headers.insert("cf-ipcountry", HeaderValue::from_static("de"));
        let (proxy, stranger): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "198.51.100.1".parse().unwrap());
        let mut config = config();
        assert_eq!(country(proxy, &headers, &config), None);
        config.country_header = "CF-IPCountry".into();
        assert_eq!(country(proxy, &headers, &config).as_deref(), Some("DE"));
        assert_eq!(country(stranger, &headers, &config), None);
        for nowhere in ["XX", "T1", "Germany", ""] {
            headers.insert("cf-ipcountry", HeaderValue::from_static(nowhere));
            assert_eq!(country(proxy, &headers, &config), None, "{nowhere}");
        }
    }

    #[test]
    fn a_host_loses_its_port() {
        for (authority, host) in
            [("shop.example:8443", "shop.example"), ("shop.example", "shop.example"), ("[::1]:80", "[::1]")]
        {
            assert_eq!(without_port(authority), host);
        }
    }

    #[test]
    fn forwarded_addresses_are_believed_from_trusted_proxies_only() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("6.6.6.6, 203.0.113.9, 10.0.0.2"));
        let proxy: IpAddr = "10.0.0.1".parse().unwrap();
        let stranger: IpAddr = "198.51.100.1".parse().unwrap();
        assert_eq!(client_ip(proxy, &headers, &config()).to_string(), "203.0.113.9");
        assert_eq!(client_ip(stranger, &headers, &config()), stranger);
    }
}

//! The check itself: of the URL before a request, of the addresses when dialling.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::address::denied;

/// Ports on which no panel or webhook lives but something else answers: mail, shells, databases, caches, cluster APIs.
const PORTS_DENIED: [u16; 41] = [
    0, 1, 7, 9, 19, 21, 22, 23, 25, 53, 69, 79, 110, 111, 119, 135, 137, 139, 143, 161, 389, 445, 465, 514, 587, 636,
    993, 995, 1433, 1521, 2049, 2375, 2379, 3306, 5432, 5672, 6379, 9200, 10250, 11211, 27017,
];

/// Why a URL is not requested. The texts are for the person who typed it; none tells what lives behind an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a URL.
    #[error("the address is not a valid URL; expected for example https://panel.example.com:8443")]
    Malformed,
    /// Another scheme than http or https.
    #[error("addresses start with http:// or https://, not {0}://")]
    Scheme(String),
    /// A user name or password inside the URL.
    #[error("the address must not contain a user name or password; enter them in their own fields")]
    UserInfo,
    /// A port on the deny list, or outside the allowed ones.
    #[error("port {0} is not allowed for outgoing requests")]
    Port(u16),
    /// An internal address.
    #[error(
        "{host} is not reachable from here: the address is {reason}; the platform's owner can allow a network with `http.allow`"
    )]
    Address {
        /// The host as typed.
        host: String,
        /// What kind of address it is.
        reason: &'static str,
    },
    /// The name has no address.
    #[error("{0} has no address")]
    NoAddress(String),
}

/// Turns a name into addresses; replaced in tests.
#[async_trait]
pub trait Lookup: Send + Sync + fmt::Debug {
    /// Every address of the name.
    ///
    /// # Errors
    /// When the name server does not answer or knows no such name.
    async fn lookup(&self, host: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// The system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Decides what may be dialled.
#[derive(Clone, Debug)]
pub struct Guard {
    allow: Arc<[IpNet]>,
    ports_allowed: Arc<[u16]>,
    lookup: Arc<dyn Lookup>,
}

impl Guard {
    /// `allow`: networks that may be dialled although they are internal. `ports_allowed`: when not empty, only these.
    #[must_use]
    pub fn new(allow: &[IpNet], ports_allowed: &[u16], lookup: Arc<dyn Lookup>) -> Self {
        Self { allow: allow.into(), ports_allowed: ports_allowed.into(), lookup }
    }

    /// Checks what can be seen without asking a name server: scheme, credentials, port, literal addresses.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check(&self, text: &str) -> Result<Url, Refused> {
        let url = Url::parse(text).map_err(|_| Refused::Malformed)?;
        self.check_url(&url)?;
        Ok(url)
    }

    pub(super) fn check_url(&self, url: &Url) -> Result<(), Refused> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Scheme(url.scheme().chars().take(16).collect()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::UserInfo);
        }
        let port = url.port_or_known_default().ok_or(Refused::Malformed)?;
        let open = if self.ports_allowed.is_empty() {
            !PORTS_DENIED.contains(&port)
        } else {
            self.ports_allowed.contains(&port)
        };
        if !open {
            return Err(Refused::Port(port));
        }
        // The parser has already turned octal, hexadecimal and shortened forms into plain addresses.
        match url.host().ok_or(Refused::Malformed)? {
            Host::Domain("") => Err(Refused::Malformed),
            Host::Domain(_) => Ok(()),
            Host::Ipv4(address) => self.check_address(url, address.into()),
            Host::Ipv6(address) => self.check_address(url, address.into()),
        }
    }

    fn check_address(&self, url: &Url, address: IpAddr) -> Result<(), Refused> {
        match denied(address, &self.allow) {
            None => Ok(()),
            Some(reason) => Err(Refused::Address { host: url.host_str().unwrap_or_default().to_owned(), reason }),
        }
    }

    /// As [`check`](Self::check), and resolves the name: for forms that want to tell the person at once. It protects
    /// nothing by itself, since the answer may change; dialling checks again.
    ///
    /// # Errors
    /// Says what is wrong.
    pub async fn check_resolved(&self, text: &str) -> Result<Url, Refused> {
        let url = self.check(text)?;
        if let Some(Host::Domain(host)) = url.host() {
            self.addresses(host).await?;
        }
        Ok(url)
    }

    /// The addresses of a name that may be dialled.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Refused> {
        let no_address = || Refused::NoAddress(host.to_owned());
        let all = self.lookup.lookup(host).await.map_err(|_| no_address())?;
        let mut reason = None;
        let mut open = Vec::with_capacity(all.len());
        for address in all {
            match denied(address, &self.allow) {
                None => open.push(address),
                Some(why) => reason = Some(why),
            }
        }
        match reason {
            Some(reason) if open.is_empty() => Err(Refused::Address { host: host.to_owned(), reason }),
            None if open.is_empty() => Err(no_address()),
            _ => Ok(open),
        }
    }
}

/// The HTTP client asks here when it dials, and connects to what it gets and nothing else.
impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let addresses = guard.addresses(name.as_str()).await?;
            let dialled = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(dialled) as Addrs)
        })
    }
}

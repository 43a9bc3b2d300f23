//! Where a chain may be asked.

use url::{Host, Url};

/// Names that nobody on the internet has.
const OWN_SUFFIXES: [&str; 3] = [".internal", ".local", ".svc"];

/// Whether a chain source may be at this address. Whoever stands in between could say that money came. A node of one's own network may do
/// without TLS, and which of those may be asked is for the guard to say.
#[must_use]
pub fn is_safe_source(base_url: &Url) -> bool {
    base_url.scheme() == "https" || (base_url.scheme() == "http" && is_own_network(base_url))
}

/// Whether an address is inside somebody's own network, by how it is written.
fn is_own_network(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_private() || ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback() || ip.is_unique_local(),
        Some(Host::Domain(name)) => !name.contains('.') || OWN_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ones_own_network_is_asked_without_tls() {
        let is_own = |text: &str| is_own_network(&Url::parse(text).unwrap());
        for own in [
            "http://127.0.0.1:3000",
            "http://10.2.3.4/api",
            "http://esplora:3000",
            "http://node.bitcoin.svc",
            "http://[::1]:80",
        ] {
            assert!(is_own(own), "{own}");
        }
        for public in
            ["http://blockstream.info/api", "http://8.8.8.8", "http://[2001:db8::1]", "http://evil.svc.example"]
        {
            assert!(!is_own(public), "{public}");
        }
    }
}

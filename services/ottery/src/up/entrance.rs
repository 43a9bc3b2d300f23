//! Where people come in: an address, and whether HTTPS is spoken there.

use std::net::SocketAddr;

use ottery_kit::config::{Section, Sources};

/// The gateway's address.
#[derive(Clone, Copy, Debug)]
pub struct Entrance {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it has a certificate.
    pub is_https: bool,
}

impl Entrance {
    /// This address, with HTTPS when the gateway's settings name a certificate.
    ///
    /// # Errors
    /// Settings that cannot be read.
    pub fn of(address: SocketAddr, sources: &Sources) -> anyhow::Result<Self> {
        let section = Section { name: gateway::NAME, defaults: gateway::DEFAULTS };
        let settings: gateway::Config = ottery_kit::config::load(section, sources)?.value;
        Ok(Self { address, is_https: settings.http.has_certificate() })
    }

    /// As it stands in addresses.
    pub const fn scheme(self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }

    /// What addresses under a host name begin with.
    pub fn origin(self, host: &str) -> String {
        format!("{}://{host}:{}", self.scheme(), self.address.port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_makes_it_https() {
        let address = SocketAddr::from(([127, 0, 0, 1], 8443));
        let plain = Entrance::of(address, &Sources::none()).unwrap();
        assert_eq!(plain.origin("shop.localhost"), "http://shop.localhost:8443");
        let sources = Sources::none().with_override("gateway.http.certificate", "pair.pem");
        assert_eq!(Entrance::of(address, &sources).unwrap().origin("127.0.0.1"), "https://127.0.0.1:8443");
    }
}

//! From where somebody signs in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const USER_AGENT_CHARS_MAX: usize = 400;

/// Browser and address as the gateway saw them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Cut to a storable length.
    pub user_agent: String,
    /// As text; empty when unknown.
    pub client_ip: String,
}

impl Device {
    /// A device; what is too long is cut, an address that is none is dropped.
    #[must_use]
    pub fn new(user_agent: &str, client_ip: &str) -> Self {
        let client_ip = client_ip.parse::<IpAddr>().map(|ip| ip.to_canonical().to_string()).unwrap_or_default();
        let user_agent = user_agent.chars().filter(|c| !c.is_control()).take(USER_AGENT_CHARS_MAX).collect();
        Self { user_agent, client_ip }
    }

    /// What limits count by: the IPv4 address, or the /64 that one IPv6 customer has.
    #[must_use]
    pub fn network(&self) -> Option<String> {
        masked(&self.client_ip, 32, 64)
    }

    /// Text that is the same for the same device in the same place.
    #[must_use]
    pub fn exact(&self) -> String {
        format!("{}\n{}", self.user_agent, self.network().unwrap_or_default())
    }

    /// Text that stays the same when the provider hands out a neighbouring address.
    #[must_use]
    pub fn near(&self) -> String {
        format!("{}\n{}", self.user_agent, masked(&self.client_ip, 16, 48).unwrap_or_default())
    }
}

fn masked(ip: &str, v4_bits: u32, v6_bits: u32) -> Option<String> {
    Some(match ip.parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(ip) => {
            Ipv4Addr::from_bits(ip.to_bits() & u32::MAX.checked_shl(32 - v4_bits).unwrap_or(0)).to_string()
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - v6_bits).unwrap_or(0);
            format!("{}/{v6_bits}", Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secure_s08_limits_count_one_address_or_one_slash_64() {
        let network = |ip| Device::new("x", ip).network();
        assert_eq!(network("203.0.113.7").as_deref(), Some("203.0.113.7"));
        assert_eq!(network("::ffff:203.0.113.7").as_deref(), Some("203.0.113.7"));
        assert_eq!(network("2001:db8:1:2:3::4"), network("2001:db8:1:2:ffff::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("not an address"), None);
    }

    #[test]
    fn a_neighbouring_address_is_near_but_not_the_same() {
        let (home, neighbour) = (Device::new("x", "203.0.113.7"), Device::new("x", "203.0.9.9"));
        assert_eq!(home.near(), neighbour.near());
        assert_ne!(home.exact(), neighbour.exact());
        assert_ne!(home.near(), Device::new("y", "203.0.113.7").near());
    }
}

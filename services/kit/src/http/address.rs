//! Which addresses are part of the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Why an address must not be dialled.
pub(super) fn denied(address: IpAddr, allow: &[IpNet]) -> Option<&'static str> {
    // Machines' metadata services hand out credentials; no allowlist reaches them.
    if let Some(reason) = metadata(address) {
        return Some(reason);
    }
    let reason = match address {
        IpAddr::V4(address) => denied_v4(address),
        IpAddr::V6(address) => match denied_v6(address) {
            // A form that carries another address inside is never what an operator meant to allow.
            Some(Denial::Embeds(reason)) => return Some(reason),
            Some(Denial::Internal(reason)) => Some(reason),
            None => None,
        },
    };
    reason.filter(|_| !allow.iter().any(|network| network.contains(&address)))
}

fn metadata(address: IpAddr) -> Option<&'static str> {
    const ADDRESSES: [IpAddr; 5] = [
        IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
        IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
        IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
        IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    ];
    ADDRESSES.contains(&address).then_some("a cloud metadata service")
}

fn denied_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (0, ..) => Some("unspecified"),
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => Some("a private network"),
        (100, 64..=127, _) => Some("a carrier's private network"),
        (127, ..) => Some("this machine itself"),
        (169, 254, _) => Some("link-local"),
        (192, 0, 0 | 2) | (198, 18..=19, _) | (198, 51, 100) | (203, 0, 113) => Some("reserved"),
        (192, 88, 99) => Some("a 6to4 relay"),
        (224..=239, ..) => Some("multicast"),
        (240..=255, ..) => Some("reserved"),
        _ => None,
    }
}

enum Denial {
    /// Carries an IPv4 address inside, or is rewritten into one on the way.
    Embeds(&'static str),
    Internal(&'static str),
}

fn denied_v6(address: Ipv6Addr) -> Option<Denial> {
    use Denial::{Embeds, Internal};
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(Internal("unspecified")),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Internal("this machine itself")),
        [0, 0, 0, 0, 0, 0xffff, ..] => Some(Embeds("an IPv4 address in IPv6 form")),
        [0, 0, 0, 0, 0xffff, 0, ..] | [0, 0, 0, 0, 0, 0, ..] => Some(Embeds("an IPv4 address in IPv6 form")),
        [0x64, 0xff9b, ..] => Some(Embeds("a NAT64 form")),
        [0x2002, ..] => Some(Embeds("a 6to4 form")),
        // 2001::/23 is the protocols' own: Teredo, ORCHID, benchmarking.
        [0x2001, 0..=0x1ff, ..] => Some(Embeds("a tunnel or protocol form")),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some(Internal("reserved for documentation")),
        // ISATAP writes the IPv4 address behind 5efe.
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => Some(Embeds("an ISATAP form")),
        [0xfc00..=0xfdff, ..] => Some(Internal("a private network")),
        [0xfe80..=0xfeff, ..] => Some(Internal("link-local")),
        [0xff00..=0xffff, ..] => Some(Internal("multicast")),
        [0x2000..=0x3fff, ..] => None,
        // Only 2000::/3 is handed out; everything else has no business being dialled.
        _ => Some(Internal("reserved")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied_text(address: &str, allow: &[&str]) -> Option<&'static str> {
        let allow: Vec<IpNet> = allow.iter().map(|network| network.parse().unwrap()).collect();
        denied(address.parse().unwrap(), &allow)
    }

    #[test]
    fn secure_s21_only_public_addresses_pass() {
        for address in
            ["1.1.1.1", "8.8.8.8", "100.63.255.255", "172.15.0.1", "172.32.0.1", "192.169.0.1", "223.255.255.255"]
        {
            assert_eq!(denied_text(address, &[]), None, "{address}");
        }
        for address in ["2606:4700:4700::1111", "2a00:1450:4003:80a::200e", "2001:4860:4860::8888"] {
            assert_eq!(denied_text(address, &[]), None, "{address}");
        }
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.254",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "100.100.100.200",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::7f00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:0:7f00:1::",
            "2001:10::1",
            "2001:db8::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fdff::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "4000::1",
            "2a00::5efe:7f00:1",
            "2a00::200:5efe:7f00:1",
            "5f00::1",
        ] {
            assert!(denied_text(address, &[]).is_some(), "{address} was let through");
        }
    }

    #[test]
    fn secure_s21_the_allowlist_opens_networks_but_never_metadata_or_disguises() {
        assert_eq!(denied_text("10.1.2.3", &["10.1.0.0/16"]), None);
        assert!(denied_text("10.2.2.3", &["10.1.0.0/16"]).is_some());
        assert_eq!(denied_text("fd12::5", &["fd12::/16"]), None);
        for address in [
            "169.254.169.254",
            "168.63.129.16",
            "fd00:ec2::254",
            "::ffff:10.1.2.3",
            "64:ff9b::a01:203",
            "2002:a01:203::",
        ] {
            assert!(denied_text(address, &["0.0.0.0/0", "::/0"]).is_some(), "{address} was let through");
        }
    }
}

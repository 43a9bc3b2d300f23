//! What reaches a store: its id, and a key that may act there.

use std::collections::{BTreeMap, BTreeSet};

use ottery_kit::secret::Secret;
use serde::Deserialize;
use url::{Host, Url};

use crate::provider::{Access, CallError};

/// What the key must be allowed to do at the store: make invoices, read them, give money back, and see what was given back.
pub const NEEDED: [&str; 3] =
    ["btcpay.store.cancreateinvoice", "btcpay.store.canviewinvoices", "btcpay.store.canmanagepullpayments"];
/// May do everything.
const UNRESTRICTED: &str = "unrestricted";
/// Longest id of a store.
const STORE_CHARS_MAX: usize = 100;
/// Shortest API key; BTCPay Server makes them of 40 characters.
const TOKEN_CHARS_MIN: usize = 16;

/// A store and the key for it, entered as `<store id>:<API key>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    pub store: String,
    pub token: String,
}

impl Key {
    /// Of what was entered; none when it is no such thing.
    pub fn of(secret: &Secret) -> Option<Self> {
        let (store, token) = secret.expose().trim().split_once(':')?;
        let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_store = (1..=STORE_CHARS_MAX).contains(&store.len()) && is_word(store);
        let is_token = token.len() >= TOKEN_CHARS_MIN && is_word(token);
        (is_store && is_token).then(|| Self { store: store.to_owned(), token: token.to_owned() })
    }

    /// Of an account.
    pub fn of_access(access: &Access) -> Result<Self, CallError> {
        Self::of(&access.api_key).ok_or_else(|| CallError::NotSent("the key names no store".to_owned()))
    }
}

/// What a key may do.
#[derive(Deserialize)]
pub struct Allowed {
    #[serde(default)]
    pub permissions: Vec<String>,
}

/// A permission and what it contains.
#[derive(Deserialize)]
pub struct Contained {
    pub name: String,
    #[serde(default)]
    pub included: Vec<String>,
}

/// Which permissions a key lacks at a store. `btcpay.store.x` counts at every store, `btcpay.store.x:<id>` at that one.
pub fn lacks(allowed: &Allowed, contained: &[Contained], store: &str) -> Vec<&'static str> {
    let contained: BTreeMap<&str, &[String]> =
        contained.iter().map(|one| (one.name.as_str(), one.included.as_slice())).collect();
    let here = allowed.permissions.iter().filter_map(|permission| match permission.split_once(':') {
        Some((name, of)) => (of == store).then_some(name),
        None => Some(permission.as_str()),
    });
    let mut held = BTreeSet::new();
    let mut new: Vec<&str> = here.collect();
    while let Some(name) = new.pop() {
        if held.insert(name) {
            new.extend(contained.get(name).into_iter().flat_map(|names| names.iter()).map(String::as_str));
        }
    }
    if held.contains(UNRESTRICTED) {
        return Vec::new();
    }
    NEEDED.into_iter().filter(|needed| !held.contains(needed)).collect()
}

/// Whether keys may be sent there: encrypted, or to a neighbour in a network that is not everybody's.
pub fn is_safe(url: &Url) -> bool {
    if url.scheme() == "https" {
        return true;
    }
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_private(),
        Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unique_local(),
        Some(Host::Domain(name)) => {
            !name.contains('.') || [".local", ".internal", ".lan", ".onion"].iter().any(|end| name.ends_with(end))
        }
        None => false,
    }
}

/// Whether coins of a test network are paid there, as far as an address tells: on this machine, or at a host that is called so.
pub fn is_test(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => {
            let first = name.split('.').next().unwrap_or_default();
            name == "localhost" || ["testnet", "signet", "regtest", "mutinynet"].contains(&first)
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_names_its_store() {
        let key = Key::of(&Secret::new(
            "9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776:0123456789abcdef0123456789abcdef01234567",
        ));
        assert_eq!(key.map(|key| key.store).as_deref(), Some("9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776"));
        for wrong in [
            "",
            "0123456789abcdef",
            ":0123456789abcdef",
            "Store1:",
            "Store1:short",
            "a/b:0123456789abcdef",
            "Store1:0123456789abcdef\n0",
        ] {
            assert!(Key::of(&Secret::new(wrong)).is_none(), "{wrong}");
        }
    }

    #[test]
    fn permissions_count_at_their_store_and_with_what_they_contain() {
        let contained = [
            Contained {
                name: "btcpay.store.canmodifyinvoices".into(),
                included: vec!["btcpay.store.cancreateinvoice".into(), "btcpay.store.canviewinvoices".into()],
            },
            Contained {
                name: "btcpay.store.canmodifystoresettings".into(),
                included: vec!["btcpay.store.canmodifyinvoices".into(), "btcpay.store.canmanagepullpayments".into()],
            },
        ];
        let lacking = |permissions: &[&str]| {
            let allowed = Allowed { permissions: permissions.iter().map(ToString::to_string).collect() };
            lacks(&allowed, &contained, "Store1")
        };
        assert_eq!(lacking(&[]), NEEDED);
        assert_eq!(lacking(&["unrestricted"]), [""; 0]);
        assert_eq!(lacking(&["btcpay.store.canmodifystoresettings:Store1"]), [""; 0]);
        assert_eq!(lacking(&["btcpay.store.canmodifystoresettings:Store2"]), NEEDED);
        assert_eq!(lacking(&["btcpay.store.canmodifyinvoices"]), ["btcpay.store.canmanagepullpayments"]);
        assert_eq!(
            lacking(&["btcpay.store.cancreateinvoice:Store1", "btcpay.store.canmanagepullpayments:Store1"]),
            ["btcpay.store.canviewinvoices"]
        );
    }

    #[test]
    fn keys_are_sent_encrypted_or_to_a_neighbour() {
        for safe in
            ["https://pay.example", "http://127.0.0.1:1", "http://btcpay:49392", "http://10.1.2.3", "http://x.onion"]
        {
            assert!(is_safe(&url(safe)), "{safe}");
        }
        for unsafe_one in ["http://pay.example", "http://93.184.216.34"] {
            assert!(!is_safe(&url(unsafe_one)), "{unsafe_one}");
        }
        assert!(is_test(&url("https://testnet.demo.btcpayserver.org")) && is_test(&url("http://127.0.0.1:1")));
        assert!(
            !is_test(&url("https://mainnet.demo.btcpayserver.org")) && !is_test(&url("https://pay.testnet.example"))
        );
    }
}

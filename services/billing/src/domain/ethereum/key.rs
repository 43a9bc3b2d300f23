//! The public key of a wallet's account (BIP-44: `m/44'/60'/0'`), and the addresses made of it. Nothing private is ever kept, and no
//! error repeats what was entered.

use std::str::FromStr;

use bitcoin::bip32::{ChildNumber, Xpub};
use bitcoin::secp256k1::Secp256k1;

use super::EthAddress;
use crate::domain::bitcoin::{KeyRefused as Refused, WatchKey as BitcoinKey};
use crate::domain::coin::{Address, NoAddress};

/// Largest index of a child that a public key can make (BIP-32: the upper half is hardened).
const INDEX_MAX: u32 = 0x7fff_ffff;
/// How deep an account's key is in its tree: purpose, coin, account.
const ACCOUNT_DEPTH: u8 = 3;
/// In front of a key whose addresses are used on a test network: wallets write the same letters for both.
const TEST_PREFIX: &str = "test:";

/// Why a text is no key to watch. It never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefused {
    /// Whoever reads it can spend.
    #[error(
        "this is a private key or a seed: it was not kept. Whoever saw it can take the money, so move that wallet to a new seed; \
         enter the public key of the account (xpub)"
    )]
    Private,
    /// No extended key.
    #[error("this is no extended public key (xpub)")]
    Unreadable,
    /// A key for Bitcoin's newer addresses, or a descriptor.
    #[error("this key is one of a Bitcoin wallet; enter the xpub of the wallet's Ethereum account (m/44'/60'/0')")]
    OtherCoin,
    /// Of another depth: its addresses would be none of the wallet's.
    #[error("this key is not of an account: its depth is {0}, and that of m/44'/60'/0' is {ACCOUNT_DEPTH}")]
    Depth(u8),
    /// A number no address has.
    #[error("the wallet has no address of this number")]
    UsedUp,
}

impl From<KeyRefused> for NoAddress {
    fn from(refused: KeyRefused) -> Self {
        Self(refused.to_string())
    }
}

/// A wallet that can be watched and paid into, not spent from.
#[derive(Clone, PartialEq, Eq)]
pub struct WatchKey {
    account: Xpub,
    is_real: bool,
}

impl std::fmt::Debug for WatchKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not spendable, and yet it shows every payment the operator ever gets.
        f.write_str("WatchKey(…)")
    }
}

impl FromStr for WatchKey {
    type Err = KeyRefused;

    fn from_str(text: &str) -> Result<Self, KeyRefused> {
        let text = text.trim();
        let (text, is_test) = text.strip_prefix(TEST_PREFIX).map_or((text, false), |rest| (rest.trim(), true));
        // What must not be kept is the same for every coin.
        match text.parse::<BitcoinKey>() {
            Err(Refused::Private) => return Err(KeyRefused::Private),
            Err(Refused::MultiSignature) => return Err(KeyRefused::OtherCoin),
            Err(_) => return Err(KeyRefused::Unreadable),
            Ok(_) => {}
        }
        let account = text.parse::<Xpub>().map_err(|_| KeyRefused::OtherCoin)?;
        if account.depth != ACCOUNT_DEPTH {
            return Err(KeyRefused::Depth(account.depth));
        }
        Ok(Self { account, is_real: account.network.is_mainnet() && !is_test })
    }
}

impl WatchKey {
    /// Whether money paid to it is real.
    #[must_use]
    pub const fn is_real(&self) -> bool {
        self.is_real
    }

    /// The address with that number: `0/index` below the account, as wallets count their own.
    ///
    /// # Errors
    /// When the number is too large.
    pub fn place(&self, index: u32) -> Result<Address, KeyRefused> {
        if index > INDEX_MAX {
            return Err(KeyRefused::UsedUp);
        }
        let path = [ChildNumber::Normal { index: 0 }, ChildNumber::Normal { index }];
        let child = self.account.derive_pub(&Secp256k1::verification_only(), &path).map_err(|_| KeyRefused::UsedUp)?;
        let address = EthAddress::of(&child.public_key);
        Ok(Address { address: address.to_string(), script: address.to_hex() })
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::NetworkKind;
    use bitcoin::bip32::{DerivationPath, Xpriv};

    use super::*;

    /// The account of the seed every development node has: `test test test test test test test test test test test junk`, through
    /// BIP-39 (PBKDF2, no password).
    const SEED: &str = "9dfc3c64c2f8bede1533b6a79f8570e5943e0b8fd1cf77107adf7b72cef42185d564a3aee24cab43f80e3c4538087d70fc824eabbad596a23c97b6ee8322ccc0";

    fn derived(path: &str) -> (Xpriv, Xpub) {
        let secp = Secp256k1::new();
        let master = Xpriv::new_master(NetworkKind::Main, &hex::decode(SEED).unwrap()).unwrap();
        let private = master.derive_priv(&secp, &path.parse::<DerivationPath>().unwrap()).unwrap();
        (private, Xpub::from_priv(&secp, &private))
    }

    #[test]
    fn addresses_are_those_a_development_node_has_from_the_public_key_alone() {
        let key: WatchKey = derived("m/44'/60'/0'").1.to_string().parse().unwrap();
        let places = [0, 1, 2].map(|index| key.place(index).unwrap().address);
        assert_eq!(
            places,
            [
                "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
                "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
                "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
            ]
        );
        assert_eq!(key.place(0).unwrap().script, "f39fd6e51aad88f6f4ce6ab8827279cfffb92266");
        assert_eq!(key.place(INDEX_MAX + 1), Err(KeyRefused::UsedUp));
    }

    #[test]
    fn case_9_what_can_spend_is_refused_and_never_repeated() {
        let (private, _) = derived("m/44'/60'/0'");
        let words = "test test test test test test test test test test test junk";
        for secret in [
            private.to_string(),
            words.to_owned(),
            format!("test:{private}"),
            format!("test: {words}"),
            "ab".repeat(32),
        ] {
            let refused = secret.parse::<WatchKey>().unwrap_err();
            assert_eq!(refused, KeyRefused::Private);
            assert!(!refused.to_string().contains(&secret));
        }
    }

    #[test]
    fn keys_of_another_depth_or_coin_are_refused() {
        let parse = |text: &str| text.parse::<WatchKey>();
        assert_eq!(parse(&derived("m/44'/60'/0'/0").1.to_string()), Err(KeyRefused::Depth(4)));
        assert_eq!(parse(&derived("m").1.to_string()), Err(KeyRefused::Depth(0)));
        let account = derived("m/84'/0'/0'").1;
        assert_eq!(parse(&format!("wpkh({account}/0/*)")), Err(KeyRefused::OtherCoin));
        assert_eq!(parse("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"), Err(KeyRefused::Unreadable));
    }

    #[test]
    fn a_test_networks_key_says_so() {
        let account = derived("m/44'/60'/0'").1.to_string();
        let (real, test): (WatchKey, WatchKey) = (account.parse().unwrap(), format!("test:{account}").parse().unwrap());
        assert!(real.is_real() && !test.is_real());
        assert_eq!(real.place(7), test.place(7));
        assert_eq!(format!("{real:?}"), "WatchKey(…)");
    }
}

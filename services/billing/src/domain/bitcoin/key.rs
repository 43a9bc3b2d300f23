//! The public key of a wallet whose private half is somewhere else, and the addresses made of it.
//!
//! Wallets write such keys as `xpub…` (BIP-32), as `ypub…` or `zpub…` (SLIP-132, whose first letters say the kind of address), or as a
//! descriptor (BIP-380 ff.). All become one descriptor here. Nothing private is ever kept, and no error repeats what was entered.

use std::str::FromStr;

use bitcoin::base58;
use bitcoin::bip32::Xpub;
use bitcoin::{Network, NetworkKind};
use miniscript::descriptor::{Descriptor, DescriptorPublicKey, DescriptorType, Wildcard};
use miniscript::{DefiniteDescriptorKey, ForEachKey as _};

use crate::domain::coin::{Address, NoAddress};

/// Largest index of a child that a public key can make (BIP-32: the upper half is hardened).
const INDEX_MAX: u32 = 0x7fff_ffff;
/// Bytes of an extended key before its checksum, and of the version in front.
const KEY_BYTES: usize = 78;
const VERSION_BYTES: usize = 4;
/// Longest text that is looked at.
const TEXT_BYTES_MAX: usize = 1024;
/// Words of a seed (BIP-39: 12 to 24; Electrum: 12 or 13; Monero-like ones: 25).
const SEED_WORDS_MIN: usize = 8;

/// Version bytes of public keys, what they say of the address, and whether money is real (BIP-32, SLIP-132).
const VERSIONS: [([u8; VERSION_BYTES], Script, bool); 6] = [
    ([0x04, 0x88, 0xb2, 0x1e], Script::PubkeyHash, true),     // xpub
    ([0x04, 0x9d, 0x7c, 0xb2], Script::NestedWitness, true),  // ypub
    ([0x04, 0xb2, 0x47, 0x46], Script::Witness, true),        // zpub
    ([0x04, 0x35, 0x87, 0xcf], Script::PubkeyHash, false),    // tpub
    ([0x04, 0x4a, 0x52, 0x62], Script::NestedWitness, false), // upub
    ([0x04, 0x5f, 0x1c, 0xf6], Script::Witness, false),       // vpub
];
/// Version bytes of private keys: `xprv`, `yprv`, `zprv`, `tprv`, `uprv`, `vprv`, and the multi-signature ones `Yprv`, `Zprv`,
/// `Uprv`, `Vprv`.
const PRIVATE_VERSIONS: [[u8; VERSION_BYTES]; 10] = [
    [0x04, 0x88, 0xad, 0xe4],
    [0x04, 0x9d, 0x78, 0x78],
    [0x04, 0xb2, 0x43, 0x0c],
    [0x04, 0x35, 0x83, 0x94],
    [0x04, 0x4a, 0x4e, 0x28],
    [0x04, 0x5f, 0x18, 0xbc],
    [0x02, 0x95, 0xb0, 0x05],
    [0x02, 0xaa, 0x7a, 0x99],
    [0x02, 0x42, 0x85, 0xb5],
    [0x02, 0x57, 0x50, 0x48],
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    /// `1…`
    PubkeyHash,
    /// `3…`
    NestedWitness,
    /// `bc1q…`
    Witness,
}

/// Why a text is no key to watch. It never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefused {
    /// Whoever reads it can spend.
    #[error(
        "this is a private key or a seed: it was not kept. Whoever saw it can take the money, so move that wallet to a new seed; \
         enter the account's public key (xpub, ypub, zpub or a descriptor)"
    )]
    Private,
    /// Neither an extended key nor a descriptor.
    #[error("this is no extended public key (xpub, ypub, zpub) and no output descriptor")]
    Unreadable,
    /// A descriptor without a place for the number of an address.
    #[error("the descriptor makes one address only; end its key with /0/* so that every invoice gets its own")]
    NoWildcard,
    /// A descriptor of several paths at once, or one whose children need the private key.
    #[error("the descriptor's path is not one that addresses can be counted along: end its key with /0/*")]
    Path,
    /// A descriptor whose outputs have no address, or whose conditions make no sense.
    #[error("outputs of this descriptor have no address that wallets can pay to")]
    NoAddress,
    /// Keys of real and of test money in one descriptor.
    #[error("keys of real money and of a test network are mixed")]
    Mixed,
    /// A key made for a set of signers.
    #[error("this key is one of several signers; enter the whole descriptor of the wallet")]
    MultiSignature,
}

/// A wallet that can be watched and paid into, not spent from.
#[derive(Clone, PartialEq, Eq)]
pub struct WatchKey {
    descriptor: Descriptor<DescriptorPublicKey>,
    is_real: bool,
}

impl std::fmt::Debug for WatchKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not spendable, and yet it shows every payment the operator ever gets.
        f.write_str("WatchKey(…)")
    }
}

impl From<KeyRefused> for NoAddress {
    fn from(refused: KeyRefused) -> Self {
        Self(refused.to_string())
    }
}

impl FromStr for WatchKey {
    type Err = KeyRefused;

    fn from_str(text: &str) -> Result<Self, KeyRefused> {
        let text = text.trim();
        if text.len() > TEXT_BYTES_MAX {
            return Err(KeyRefused::Unreadable);
        }
        if is_private(text) {
            return Err(KeyRefused::Private);
        }
        if text.contains('(') { of_descriptor(text) } else { of_extended(text) }
    }
}

impl WatchKey {
    /// Whether money paid to it is real.
    #[must_use]
    pub const fn is_real(&self) -> bool {
        self.is_real
    }

    /// The address with that number, in that network.
    ///
    /// # Errors
    /// When the network is of the other kind of money, or the number is too large.
    pub fn place(&self, network: Network, index: u32) -> Result<Address, KeyRefused> {
        if NetworkKind::from(network).is_mainnet() != self.is_real {
            return Err(KeyRefused::Mixed);
        }
        let definite = self.definite(index)?;
        let address = definite.address(network).map_err(|_| KeyRefused::NoAddress)?;
        Ok(Address { address: address.to_string(), script: definite.script_pubkey().to_hex_string() })
    }

    /// The network addresses are shown in before a chain was asked which one it is.
    #[must_use]
    pub const fn usual_network(&self) -> Network {
        if self.is_real { Network::Bitcoin } else { Network::Testnet }
    }

    fn definite(&self, index: u32) -> Result<Descriptor<DefiniteDescriptorKey>, KeyRefused> {
        if index > INDEX_MAX {
            return Err(KeyRefused::Path);
        }
        self.descriptor.at_derivation_index(index).map_err(|_| KeyRefused::Path)
    }
}

/// Whether somebody entered what must never leave their wallet.
fn is_private(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_seed = words.len() >= SEED_WORDS_MIN && words.iter().all(|word| word.chars().all(char::is_alphabetic));
    // A key without any wrapping. Inside a descriptor so many digits are a public key.
    let is_raw = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_seed || is_raw || text.split(|c: char| !c.is_ascii_alphanumeric()).any(is_private_part)
}

fn is_private_part(part: &str) -> bool {
    // Also with a letter mistyped: the checksum is no reason to keep it.
    let is_named = part.len() > 20 && part.get(1..4).is_some_and(|letters| letters.eq_ignore_ascii_case("prv"));
    let Ok(bytes) = base58::decode_check(part) else { return is_named };
    let is_version = bytes.len() == KEY_BYTES && PRIVATE_VERSIONS.iter().any(|version| bytes.starts_with(version));
    // One key in the import format: version 0x80 (test nets 0xef), 32 bytes, and 0x01 when its public key is compressed.
    let is_single = matches!(bytes.len(), 33 | 34) && matches!(bytes[0], 0x80 | 0xef);
    is_named || is_version || is_single
}

fn of_extended(text: &str) -> Result<WatchKey, KeyRefused> {
    let mut bytes = base58::decode_check(text).map_err(|_| KeyRefused::Unreadable)?;
    if bytes.len() != KEY_BYTES {
        return Err(KeyRefused::Unreadable);
    }
    let is_multi = text.get(..4).is_some_and(|letters| matches!(letters, "Ypub" | "Zpub" | "Upub" | "Vpub"));
    if is_multi {
        return Err(KeyRefused::MultiSignature);
    }
    let found = VERSIONS.iter().find(|(version, ..)| bytes.starts_with(version));
    let (_, script, is_real) = *found.ok_or(KeyRefused::Unreadable)?;
    let plain = if is_real { VERSIONS[0].0 } else { VERSIONS[3].0 };
    bytes[..VERSION_BYTES].copy_from_slice(&plain);
    let key = Xpub::decode(&bytes).map_err(|_| KeyRefused::Unreadable)?;
    let written = match script {
        Script::PubkeyHash => format!("pkh({key}/0/*)"),
        Script::NestedWitness => format!("sh(wpkh({key}/0/*))"),
        Script::Witness => format!("wpkh({key}/0/*)"),
    };
    of_descriptor(&written)
}

fn of_descriptor(text: &str) -> Result<WatchKey, KeyRefused> {
    let descriptor = Descriptor::<DescriptorPublicKey>::from_str(text).map_err(|_| KeyRefused::Unreadable)?;
    if descriptor.is_multipath() {
        return Err(KeyRefused::Path);
    }
    if !descriptor.has_wildcard() {
        return Err(KeyRefused::NoWildcard);
    }
    if descriptor.sanity_check().is_err() || matches!(descriptor.desc_type(), DescriptorType::Bare) {
        return Err(KeyRefused::NoAddress);
    }
    let mut kinds = Vec::new();
    // A hardened step needs the private key.
    let is_public = descriptor.for_each_key(|key| {
        let DescriptorPublicKey::XPub(extended) = key else { return !key.has_hardened_step() };
        kinds.push(extended.xkey.network.is_mainnet());
        extended.wildcard != Wildcard::Hardened && !key.has_hardened_step()
    });
    if !is_public {
        return Err(KeyRefused::Path);
    }
    let is_real = kinds.first().copied().ok_or(KeyRefused::NoWildcard)?;
    if kinds.iter().any(|kind| *kind != is_real) {
        return Err(KeyRefused::Mixed);
    }
    let key = WatchKey { descriptor, is_real };
    // Whatever cannot make its first address makes none later.
    key.place(key.usual_network(), 0)?;
    Ok(key)
}

#[cfg(test)]
mod tests;

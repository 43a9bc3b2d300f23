//! Addresses, as wallets write them (EIP-55: capital letters are a checksum).

use std::fmt;
use std::str::FromStr;

use bitcoin::secp256k1::PublicKey;
use sha3::{Digest as _, Keccak256};

/// Bytes of an address.
const BYTES: usize = 20;

/// An account of Ethereum, or of a chain like it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EthAddress([u8; BYTES]);

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not `0x` and 40 hexadecimal digits.
    #[error("an address is 0x and 40 hexadecimal digits")]
    Form,
    /// Its capital letters are not those of its digits: a digit was mistyped.
    #[error("the address does not match its own checksum (EIP-55): copy it again")]
    Checksum,
}

impl EthAddress {
    /// The address of a key: the last twenty bytes of the hash of its point, without the byte that says how the point is written.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        let hash = Keccak256::digest(&key.serialize_uncompressed()[1..]);
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(&hash[hash.len() - BYTES..]);
        Self(bytes)
    }

    /// In small letters without `0x`, as the chain keeps it.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Display for EthAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.to_hex();
        let hash = Keccak256::digest(digits.as_bytes());
        f.write_str("0x")?;
        for (at, digit) in digits.chars().enumerate() {
            let half = if at % 2 == 0 { hash[at / 2] >> 4 } else { hash[at / 2] & 0x0f };
            write!(f, "{}", if half >= 8 { digit.to_ascii_uppercase() } else { digit })?;
        }
        Ok(())
    }
}

impl fmt::Debug for EthAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EthAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let digits = text.strip_prefix("0x").ok_or(AddressError::Form)?;
        let mut bytes = [0; BYTES];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| AddressError::Form)?;
        let address = Self(bytes);
        let is_plain = !digits.bytes().any(|byte| byte.is_ascii_uppercase())
            || !digits.bytes().any(|byte| byte.is_ascii_lowercase());
        if is_plain || address.to_string() == text { Ok(address) } else { Err(AddressError::Checksum) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of EIP-55.
    #[test]
    fn capital_letters_are_a_checksum() {
        for written in [
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
            "0xde709f2102306220921060314715629080e2fb77",
            "0x27b1fdb04752bbc536007a920d24acb045561c26",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            let address: EthAddress = written.to_lowercase().parse().unwrap();
            assert_eq!(address.to_string(), written);
            assert_eq!(written.parse(), Ok(address));
        }
    }

    #[test]
    fn what_is_mistyped_is_no_address() {
        let wrong = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed";
        assert_eq!(wrong.parse::<EthAddress>(), Err(AddressError::Checksum));
        for wrong in ["", "0x", "5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beae"]
        {
            assert_eq!(wrong.parse::<EthAddress>(), Err(AddressError::Form), "{wrong}");
        }
    }
}

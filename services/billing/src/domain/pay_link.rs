//! The token of a link that pays one invoice without signing in: what it says, signed for one brand.
//!
//! 61 bytes in base64url: version, key id, invoice, expiry in seconds since 1970, HMAC-SHA256 over brand, invoice and expiry.
//! It carries nothing personal, and what it opens is decided when it is used: a paid invoice opens nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, InvoiceId};
use uuid::Uuid;

/// What the signing key is derived for.
pub const PURPOSE: &str = "billing.pay_link";
const VERSION: u8 = 1;
const KEY: std::ops::Range<usize> = 1..5;
const INVOICE: std::ops::Range<usize> = 5..21;
const EXPIRY: std::ops::Range<usize> = 21..29;
const MAC: std::ops::Range<usize> = 29..61;

/// What a link is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayLink {
    /// Pays this.
    pub invoice: InvoiceId,
    /// Until then, by the brand's clock; whole seconds.
    pub expires_at: DateTime<Utc>,
}

/// A token that was read and not believed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unverified {
    /// What it claims.
    pub link: PayLink,
    /// Who it claims to be signed by.
    pub key: [u8; 4],
    /// The signature.
    pub mac: [u8; 32],
}

impl PayLink {
    /// What is signed.
    #[must_use]
    pub fn signed_data(&self, brand: BrandId) -> [u8; 40] {
        let mut data = [0; 40];
        data[..16].copy_from_slice(brand.as_uuid().as_bytes());
        data[16..32].copy_from_slice(self.invoice.as_uuid().as_bytes());
        data[32..].copy_from_slice(&self.expires_at.timestamp().to_be_bytes());
        data
    }

    /// The token, signed.
    #[must_use]
    pub fn token(&self, key: [u8; 4], mac: [u8; 32]) -> String {
        let mut bytes = [0; MAC.end];
        bytes[0] = VERSION;
        bytes[KEY].copy_from_slice(&key);
        bytes[INVOICE].copy_from_slice(self.invoice.as_uuid().as_bytes());
        bytes[EXPIRY].copy_from_slice(&self.expires_at.timestamp().to_be_bytes());
        bytes[MAC].copy_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// Reads a token; nothing when it cannot be one.
#[must_use]
pub fn read(token: &str) -> Option<Unverified> {
    let bytes: [u8; MAC.end] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
    if bytes[0] != VERSION {
        return None;
    }
    let seconds = i64::from_be_bytes(bytes[EXPIRY].try_into().ok()?);
    let link = PayLink {
        invoice: InvoiceId::from_uuid(Uuid::from_bytes(bytes[INVOICE].try_into().ok()?)),
        expires_at: DateTime::from_timestamp(seconds, 0)?,
    };
    Some(Unverified { link, key: bytes[KEY].try_into().ok()?, mac: bytes[MAC].try_into().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_nothing_else_is_one() {
        let link = PayLink {
            invoice: InvoiceId::from_uuid(Uuid::from_u128(7)),
            expires_at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        };
        let token = link.token([1, 2, 3, 4], [9; 32]);
        assert_eq!(token.len(), 82);
        assert_eq!(read(&token), Some(Unverified { link, key: [1, 2, 3, 4], mac: [9; 32] }));
        for wrong in ["", "x", &token[1..], &format!("{token}A"), &token.replace('A', "*")] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let other = BrandId::from_uuid(Uuid::from_u128(1));
        assert_ne!(link.signed_data(other), link.signed_data(BrandId::from_uuid(Uuid::from_u128(2))));
    }
}

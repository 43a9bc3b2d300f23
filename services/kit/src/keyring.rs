//! Secrets at rest.
//!
//! A *key-encryption key* comes from a key file that only its owner can read. For every brand a *data key* is derived
//! from it (HKDF-SHA256 with the brand's id), so one brand's key opens nothing of another's and no wrapped key needs a
//! table of its own. Values are sealed with AES-256-GCM; table, column, row, brand and key id are authenticated with
//! them, so a ciphertext copied to another row, column or brand does not open.
//!
//! Rotation: put a new key first in the file, restart, [`Keyring::rewrap`] the rows at leisure, then drop the old line.
//! The *pepper* of the same file keys the hashes of tokens and never rotates, because a hash cannot be opened.

mod derive;
mod file;

use std::fmt;
use std::sync::Arc;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use ottery_kernel::BrandId;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;
use zeroize::Zeroizing;

pub use file::KeyFileError;

use crate::secret::random_bytes;

const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 12;
const HEADER_BYTES: usize = 1 + KEY_ID_BYTES + NONCE_BYTES;

/// Where a sealed value lives; it only opens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The table, with the service when names could repeat: `panel`.
    pub table: &'a str,
    /// The column: `password_sealed`.
    pub column: &'a str,
    /// The row's primary key.
    pub row: Uuid,
    /// The brand the row belongs to; none for rows of the platform, such as a staff member's second factor.
    pub brand: Option<BrandId>,
}

/// Why a sealed value did not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The bytes are not something this keyring wrote.
    #[error("the sealed value is damaged or of an unknown version")]
    Malformed,
    /// The key it was sealed with is not in the key file.
    #[error("the value was sealed with key {0}, which the key file does not hold; put that key back")]
    UnknownKey(KeyId),
    /// The bytes were changed, or belong to another table, column, row or brand.
    #[error("the sealed value does not belong to this place or was changed")]
    NotAuthentic,
}

/// Names a key without revealing it; derived from the key, so a typing error in the file is noticed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; KEY_ID_BYTES]);

impl KeyId {
    /// For a token that names the key it was signed with.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; KEY_ID_BYTES] {
        self.0
    }

    /// As [`to_bytes`](Self::to_bytes) wrote it.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; KEY_ID_BYTES]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

struct Key {
    id: KeyId,
    bytes: Zeroizing<[u8; 32]>,
}

struct Keys {
    /// The first one seals, all of them open; never empty.
    keys: Vec<Key>,
    pepper: Zeroizing<[u8; 32]>,
}

/// Seals and opens secrets, and keys the hashes of tokens. Cheap to clone.
#[derive(Clone)]
pub struct Keyring(Arc<Keys>);

impl Keyring {
    /// The id of the key that seals.
    #[must_use]
    pub fn current(&self) -> KeyId {
        self.0.keys[0].id
    }

    /// Seals `plaintext` for this place: version, key id, nonce, ciphertext and tag.
    #[must_use]
    pub fn seal(&self, place: &Place<'_>, plaintext: &[u8]) -> Vec<u8> {
        let key = &self.0.keys[0];
        let nonce = random_bytes::<NONCE_BYTES>();
        let payload = Payload { msg: plaintext, aad: &derive::associated_data(place, key.id) };
        let ciphertext = cipher(key, place.brand)
            .encrypt(Nonce::from_slice(nonce.as_slice()), payload)
            .expect("AES-GCM seals anything below 64 GiB");
        let mut sealed = Vec::with_capacity(HEADER_BYTES + ciphertext.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&key.id.0);
        sealed.extend_from_slice(nonce.as_slice());
        sealed.extend_from_slice(&ciphertext);
        sealed
    }

    /// Opens what was sealed for this very place.
    ///
    /// # Errors
    /// When the bytes are damaged, belong elsewhere, or their key is gone.
    pub fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let id = sealed_with(sealed)?;
        let key = self.0.keys.iter().find(|key| key.id == id).ok_or(SealError::UnknownKey(id))?;
        let nonce = Nonce::from_slice(&sealed[1 + KEY_ID_BYTES..HEADER_BYTES]);
        let payload = Payload { msg: &sealed[HEADER_BYTES..], aad: &derive::associated_data(place, id) };
        cipher(key, place.brand).decrypt(nonce, payload).map(Zeroizing::new).map_err(|_| SealError::NotAuthentic)
    }

    /// Opens text that was sealed with [`seal`](Self::seal).
    ///
    /// # Errors
    /// As [`open`](Self::open), and when the value is not text.
    pub fn open_text(&self, place: &Place<'_>, sealed: &[u8]) -> Result<crate::secret::Secret, SealError> {
        let opened = self.open(place, sealed)?;
        std::str::from_utf8(&opened).map(Into::into).map_err(|_| SealError::Malformed)
    }

    /// The value sealed again under the current key; none when it already is. Run over all rows after a rotation.
    ///
    /// # Errors
    /// When the value does not open here.
    pub fn rewrap(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        if sealed_with(sealed)? == self.current() {
            return Ok(None);
        }
        let plaintext = self.open(place, sealed)?;
        Ok(Some(self.seal(place, &plaintext)))
    }

    /// A keyed hash of a token or address for storing and looking up; `purpose` keeps uses apart. Stays the same over
    /// key rotations.
    #[must_use]
    pub fn keyed_hash(&self, purpose: &str, data: &[u8]) -> [u8; 32] {
        let key = derive::expand(&self.0.pepper, &[b"keyed hash", purpose.as_bytes()]);
        derive::hmac(key.as_slice(), &[data])
    }

    /// Signs `data` (HMAC-SHA256) with the key that seals; the id names it. Unlike [`keyed_hash`](Self::keyed_hash) it follows
    /// rotations: what was signed is believed until its key's line is gone from the file.
    #[must_use]
    pub fn sign(&self, purpose: &str, data: &[u8]) -> (KeyId, [u8; 32]) {
        let key = &self.0.keys[0];
        (key.id, signature(key, purpose, data))
    }

    /// Whether that key of the file signed `data` for this purpose, compared in constant time.
    #[must_use]
    pub fn verify(&self, purpose: &str, key: KeyId, data: &[u8], signed: &[u8]) -> bool {
        let key = self.0.keys.iter().find(|known| known.id == key);
        key.is_some_and(|key| signature(key, purpose, data).as_slice().ct_eq(signed).into())
    }

    /// Whether `hash` is the keyed hash of `data`, compared in constant time.
    #[must_use]
    pub fn verify_hash(&self, purpose: &str, data: &[u8], hash: &[u8]) -> bool {
        self.keyed_hash(purpose, data).as_slice().ct_eq(hash).into()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.0.keys.iter().map(|key| key.id).collect();
        f.debug_struct("Keyring").field("keys", &ids).finish_non_exhaustive()
    }
}

/// The id of the key that sealed these bytes.
fn sealed_with(sealed: &[u8]) -> Result<KeyId, SealError> {
    match sealed {
        [VERSION, a, b, c, d, rest @ ..] if rest.len() >= NONCE_BYTES => Ok(KeyId([*a, *b, *c, *d])),
        _ => Err(SealError::Malformed),
    }
}

fn signature(key: &Key, purpose: &str, data: &[u8]) -> [u8; 32] {
    let signing = derive::expand(&key.bytes, &[b"signature", purpose.as_bytes()]);
    derive::hmac(signing.as_slice(), &[data])
}

fn cipher(key: &Key, brand: Option<BrandId>) -> Aes256Gcm {
    let owner = brand.map(|brand| brand.as_uuid());
    let owner = owner.as_ref().map_or(b"platform".as_slice(), |brand| brand.as_bytes());
    let data_key = derive::expand(&key.bytes, &[b"data key", owner]);
    Aes256Gcm::new(data_key.as_slice().into())
}

#[cfg(test)]
mod tests;

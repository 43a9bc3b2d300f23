//! Key derivation and what is authenticated beside the plaintext.

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{KEY_ID_BYTES, KeyId, Place, VERSION};

/// HMAC-SHA256 over the parts in order.
pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// HKDF-SHA256 (RFC 5869) for one block: extract with our own salt, then expand with the length-prefixed labels.
pub(super) fn expand(key: &[u8; 32], labels: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let extracted = Zeroizing::new(hmac(b"ottery keyring v1", &[key]));
    Zeroizing::new(hmac(extracted.as_slice(), &[&framed(labels), &[1]]))
}

/// Everything that says where a value lives. Lengths are included, so no two places read the same.
pub(super) fn associated_data(place: &Place<'_>, key: KeyId) -> Vec<u8> {
    let brand = place.brand.map(|brand| brand.as_uuid());
    framed(&[
        &[VERSION],
        &key.0,
        place.table.as_bytes(),
        place.column.as_bytes(),
        place.row.as_bytes(),
        brand.as_ref().map_or(&[], |brand| brand.as_bytes().as_slice()),
    ])
}

/// A name for a key that reveals nothing of it.
pub(super) fn key_id(key: &[u8; 32]) -> KeyId {
    let digest = Sha256::new_with_prefix(b"ottery key id v1").chain_update(key).finalize();
    let mut id = [0; KEY_ID_BYTES];
    id.copy_from_slice(&digest[..KEY_ID_BYTES]);
    KeyId(id)
}

fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        let length = u32::try_from(part.len()).expect("labels are short");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

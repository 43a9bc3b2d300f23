//! Secrets that are handed out: 256 random bits, of which only the SHA-256 is kept. A fast hash is enough for what cannot
//! be guessed.

use ottery_kernel::ApiKeyId;
use ottery_kit::secret::Secret;
use sha2::{Digest, Sha256};
use uuid::Uuid;

const API_KEY_PREFIX: &str = "otk_";

/// What is stored of a token.
pub type Hash = [u8; 32];

/// The hash of a token.
#[must_use]
pub fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

/// A fresh token and its hash.
#[must_use]
pub fn mint() -> (Secret, Hash) {
    let secret = Secret::random();
    let hash = hash(secret.expose());
    (secret, hash)
}

/// A fresh API key, `otk_<id>_<random>`, and its hash.
#[must_use]
pub fn mint_api_key(id: ApiKeyId) -> (Secret, Hash) {
    let secret = Secret::new(format!("{API_KEY_PREFIX}{}_{}", id.as_uuid().simple(), Secret::random().expose()));
    let hash = hash(secret.expose());
    (secret, hash)
}

/// The id an API key names; nothing is proven by it.
#[must_use]
pub fn api_key_id(secret: &str) -> Option<ApiKeyId> {
    let (id, _) = secret.strip_prefix(API_KEY_PREFIX)?.split_once('_')?;
    let uuid = Uuid::try_parse(id).ok().filter(|_| id.len() == 32)?;
    Some(ApiKeyId::from_uuid(uuid))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn secure_s01_tokens_hold_256_bits_and_only_their_hash_is_kept() {
        let (secret, stored) = mint();
        assert_eq!(secret.expose().len(), 43);
        assert_eq!(stored, hash(secret.expose()));
        assert_ne!(mint().0, mint().0);
    }

    #[test]
    fn an_api_key_names_its_id() {
        let id = ApiKeyId::new(DateTime::UNIX_EPOCH);
        let (secret, _) = mint_api_key(id);
        assert!(secret.expose().starts_with("otk_"));
        assert_eq!(api_key_id(secret.expose()), Some(id));
        for text in ["", "otk_", "otk_x_y", "otk_0192", "key_00000000000000000000000000000000_x"] {
            assert_eq!(api_key_id(text), None, "{text:?}");
        }
    }
}

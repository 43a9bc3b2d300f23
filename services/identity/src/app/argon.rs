//! Argon2id over memory that is used again: every hash fills 19 MiB or more, and an allocator that gets them back from ever
//! different threads keeps far more than are in use.

use std::sync::{Mutex, PoisonError};

use argon2::password_hash::{Output, PasswordHash, Salt, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};

/// Memories kept between hashes; what more hashes at a time need is given back.
const KEPT: usize = 2;

/// Memories of finished hashes, for the next ones.
#[derive(Default)]
pub(super) struct Argon(Mutex<Vec<Vec<Block>>>);

impl std::fmt::Debug for Argon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Argon").finish_non_exhaustive()
    }
}

impl Argon {
    /// The hash in PHC form.
    ///
    /// # Errors
    /// Parameters without a text form, or a password or salt of a length that Argon2 does not take.
    pub(super) fn hash(
        &self,
        params: &Params,
        password: &[u8],
        salt: &SaltString,
    ) -> argon2::password_hash::Result<String> {
        let output = self.output(Version::V0x13, params, password, salt.as_salt())?;
        let hash = PasswordHash {
            algorithm: argon2::ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: params.try_into()?,
            salt: Some(salt.as_salt()),
            hash: Some(output),
        };
        Ok(hash.to_string())
    }

    /// Whether the password leads to this hash, compared in constant time.
    ///
    /// # Errors
    /// A hash that is not Argon2id, or whose parameters are out of range.
    pub(super) fn verify(&self, password: &[u8], hash: &PasswordHash<'_>) -> argon2::password_hash::Result<bool> {
        let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else {
            return Ok(false);
        };
        if hash.algorithm != argon2::ARGON2ID_IDENT {
            return Err(argon2::password_hash::Error::Algorithm);
        }
        let version = hash.version.map_or(Ok(Version::default()), Version::try_from)?;
        Ok(self.output(version, &Params::try_from(hash)?, password, salt)? == expected)
    }

    fn output(
        &self,
        version: Version,
        params: &Params,
        password: &[u8],
        salt: Salt<'_>,
    ) -> argon2::password_hash::Result<Output> {
        let mut buffer = [0; Salt::MAX_LENGTH];
        let salt = salt.decode_b64(&mut buffer)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, version, params.clone());
        let blocks = params.block_count();
        let mut memory = self.take();
        // What an earlier hash left in it is overwritten before it is read.
        memory.resize(blocks.max(memory.len()), Block::new());
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let output = Output::init_with(length, |out| {
            Ok(argon2.hash_password_into_with_memory(password, salt, out, &mut memory[..blocks])?)
        });
        self.give_back(memory);
        output
    }

    fn take(&self) -> Vec<Block> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn give_back(&self, memory: Vec<Block>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

    fn params(memory_kib: u32) -> Params {
        Params::new(memory_kib, 2, 1, Some(32)).unwrap()
    }

    fn salt(byte: u8) -> SaltString {
        SaltString::encode_b64(&[byte; 16]).unwrap()
    }

    #[test]
    fn used_memory_gives_what_fresh_memory_gives() {
        let argon = Argon::default();
        // Larger, then smaller, then larger again: each finds what another left.
        for (memory_kib, byte) in [(64, 1), (32, 2), (128, 3), (64, 4)] {
            let fresh = Argon2::new(Algorithm::Argon2id, Version::V0x13, params(memory_kib));
            let expected = fresh.hash_password(b"a b c", &salt(byte)).unwrap().to_string();
            assert_eq!(argon.hash(&params(memory_kib), b"a b c", &salt(byte)).unwrap(), expected);
        }
        assert_eq!(argon.0.lock().unwrap().len(), 1, "one at a time needs one memory");
    }

    #[test]
    fn it_agrees_with_the_library_about_right_and_wrong() {
        let argon = Argon::default();
        let text = argon.hash(&params(64), b"a b c", &salt(1)).unwrap();
        let hash = PasswordHash::new(&text).unwrap();
        assert!(Argon2::default().verify_password(b"a b c", &hash).is_ok());
        assert!(argon.verify(b"a b c", &hash).unwrap());
        assert!(!argon.verify(b"a b d", &hash).unwrap());
        let other = text.replace("argon2id", "argon2i");
        assert!(argon.verify(b"a b c", &PasswordHash::new(&other).unwrap()).is_err());
    }

    #[test]
    fn no_more_memories_are_kept_than_said() {
        let argon = Argon::default();
        for _ in 0..3 {
            argon.give_back(vec![Block::new(); 8]);
        }
        assert_eq!(argon.0.lock().unwrap().len(), KEPT);
    }
}

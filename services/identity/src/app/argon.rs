//! Argon2id in memory that the system has back as soon as the hash is made: a hash fills 64 MiB, and the allocator of the
//! process keeps such pieces for the next time, although most processes hash a few passwords a minute.

use std::alloc::System;

use allocator_api2::vec::Vec as VecIn;
use argon2::password_hash::{Output, PasswordHash, Salt, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};

/// The hash in PHC form.
///
/// # Errors
/// Parameters without a text form, or a password or salt of a length that Argon2 does not take.
pub(super) fn hash(params: &Params, password: &[u8], salt: &SaltString) -> argon2::password_hash::Result<String> {
    let output = output(Version::V0x13, params, password, salt.as_salt())?;
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
pub(super) fn verify(password: &[u8], hash: &PasswordHash<'_>) -> argon2::password_hash::Result<bool> {
    let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else {
        return Ok(false);
    };
    if hash.algorithm != argon2::ARGON2ID_IDENT {
        return Err(argon2::password_hash::Error::Algorithm);
    }
    let version = hash.version.map_or(Ok(Version::default()), Version::try_from)?;
    Ok(output(version, &Params::try_from(hash)?, password, salt)? == expected)
}

fn output(version: Version, params: &Params, password: &[u8], salt: Salt<'_>) -> argon2::password_hash::Result<Output> {
    let mut buffer = [0; Salt::MAX_LENGTH];
    let salt = salt.decode_b64(&mut buffer)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, version, params.clone());
    // The system's allocator maps pieces of this size one by one and unmaps them when they are dropped.
    let mut memory = VecIn::new_in(System);
    memory.resize(params.block_count(), Block::new());
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    Output::init_with(length, |out| Ok(argon2.hash_password_into_with_memory(password, salt, out, &mut memory[..])?))
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
    fn it_makes_the_hashes_of_the_library() {
        for (memory_kib, byte) in [(64, 1), (32, 2), (128, 3)] {
            let library = Argon2::new(Algorithm::Argon2id, Version::V0x13, params(memory_kib));
            let expected = library.hash_password(b"a b c", &salt(byte)).unwrap().to_string();
            assert_eq!(hash(&params(memory_kib), b"a b c", &salt(byte)).unwrap(), expected);
        }
    }

    #[test]
    fn it_agrees_with_the_library_about_right_and_wrong() {
        let text = hash(&params(64), b"a b c", &salt(1)).unwrap();
        let made = PasswordHash::new(&text).unwrap();
        assert!(Argon2::default().verify_password(b"a b c", &made).is_ok());
        assert!(verify(b"a b c", &made).unwrap());
        assert!(!verify(b"a b d", &made).unwrap());
        let other = text.replace("argon2id", "argon2i");
        assert!(verify(b"a b c", &PasswordHash::new(&other).unwrap()).is_err());
    }
}

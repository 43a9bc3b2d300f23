//! Time-based codes (RFC 6238: SHA-1, six digits, thirty seconds) and recovery codes.

use chrono::{DateTime, Utc};
use ottery_kit::secret::Secret;
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use subtle::ConstantTimeEq as _;
use totp_rs::{Algorithm, TOTP};

/// Seconds a code is shown.
const STEP_SECS: i64 = 30;
/// Steps a clock may be off, either way.
const SKEW_STEPS: i64 = 1;
const SECRET_BYTES: usize = 20;
/// Recovery codes handed out at once.
pub const RECOVERY_CODES: usize = 10;
const RECOVERY_BYTES: usize = 10;
/// Without letters and digits that look alike.
const RECOVERY_ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";

/// A fresh shared secret.
///
/// # Panics
/// When the operating system has no randomness to give.
#[must_use]
pub fn new_secret() -> Vec<u8> {
    let mut bytes = vec![0; SECRET_BYTES];
    OsRng.try_fill_bytes(&mut bytes).expect("the operating system gives randomness");
    bytes
}

fn totp(secret: &[u8], issuer: &str, name: &str) -> TOTP {
    // A colon separates the two in the address.
    let plain = |text: &str| text.replace(':', " ");
    TOTP::new_unchecked(
        Algorithm::SHA1,
        6,
        0,
        STEP_SECS.unsigned_abs(),
        secret.to_vec(),
        Some(plain(issuer)),
        plain(name),
    )
}

/// The secret in base 32 for typing in, and the address behind the QR code.
#[must_use]
pub fn enrolment(secret: &[u8], issuer: &str, name: &str) -> (Secret, Secret) {
    let totp = totp(secret, issuer, name);
    (totp.get_secret_base32().into(), totp.get_url().into())
}

/// The step whose code this is, when it is newer than the last one accepted: a code works once.
#[must_use]
pub fn matching_step(secret: &[u8], code: &str, last_step: i64, now: DateTime<Utc>) -> Option<i64> {
    let totp = totp(secret, "", "");
    let present = now.timestamp().div_euclid(STEP_SECS);
    (present - SKEW_STEPS..=present + SKEW_STEPS).filter(|step| *step > last_step).find(|step| {
        let seconds = u64::try_from(step * STEP_SECS).unwrap_or(0);
        totp.generate(seconds).as_bytes().ct_eq(code.as_bytes()).into()
    })
}

/// Whether the text could be a time-based code; anything else is a recovery code.
#[must_use]
pub fn looks_like_code(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Ten single-use codes of 50 bits, `xxxxx-xxxxx`; guessing is slowed down by the back-off.
///
/// # Panics
/// When the operating system has no randomness to give.
#[must_use]
pub fn new_recovery_codes() -> Vec<Secret> {
    let one = |_| {
        let mut bytes = [0; RECOVERY_BYTES];
        OsRng.try_fill_bytes(&mut bytes).expect("the operating system gives randomness");
        let letters: Vec<char> =
            bytes.iter().map(|byte| char::from(RECOVERY_ALPHABET[usize::from(byte % 32)])).collect();
        let (first, second) = letters.split_at(RECOVERY_BYTES / 2);
        Secret::new(format!("{}-{}", first.iter().collect::<String>(), second.iter().collect::<String>()))
    };
    (0..RECOVERY_CODES).map(one).collect()
}

/// A recovery code as it is hashed: people add spaces and capitals.
#[must_use]
pub fn plain_recovery_code(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn secure_s09_codes_follow_rfc_6238_within_one_step_and_work_once() {
        // Appendix B of RFC 6238: at 59 s the eight digits are 94287082.
        let secret = b"12345678901234567890";
        assert_eq!(matching_step(secret, "287082", 0, at(59)), Some(1));
        assert_eq!(matching_step(secret, "287082", 0, at(89)), Some(1), "one step late");
        assert_eq!(matching_step(secret, "287082", 0, at(29)), Some(1), "one step early");
        assert_eq!(matching_step(secret, "287082", 0, at(90)), None, "two steps late");
        assert_eq!(matching_step(secret, "287082", 1, at(59)), None, "a replay");
        assert_eq!(matching_step(secret, "287083", 0, at(59)), None);
        assert_eq!(matching_step(secret, "", 0, at(59)), None);
    }

    #[test]
    fn secure_s09_ten_recovery_codes_that_survive_being_typed() {
        let codes = new_recovery_codes();
        assert_eq!(codes.len(), 10);
        let code = codes[0].expose();
        assert_eq!(plain_recovery_code(&code.to_uppercase().replace('-', " ")), plain_recovery_code(code));
        assert!(!looks_like_code(code) && looks_like_code("123456"));
    }
}

//! Signatures of webhooks: `t=<unix seconds>,v1=<hex>[,v1=<hex>]` over `<t>.<raw body>`, HMAC-SHA256 keyed with the
//! whole secret. Several `v1` while a secret is being replaced. Text is compared, not numbers: one way to write a
//! signature is enough, and every other byte is a forgery.

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, Mac as _};
use ottery_kit::secret::Secret;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// How far a signature's time may lie from now, in either direction.
pub const TOLERANCE: TimeDelta = TimeDelta::seconds(300);
/// Signatures that are looked at; a provider sends one per live secret.
const SIGNATURES_MAX: usize = 4;

/// Why a webhook is refused. Nothing of this is told to the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forged {
    /// The header is missing or malformed.
    #[error("no readable signature")]
    Unsigned,
    /// Too old, or from the future.
    #[error("the signature's time is more than 300 seconds away")]
    Stale,
    /// None of the signatures is ours.
    #[error("no signature fits a live secret")]
    Wrong,
    /// The certificate it names is not one to be asked for, did not come, or is not the provider's.
    #[error("the certificate is not the provider's")]
    Certificate,
    /// It tells of test money on an account for real money, or the other way round.
    #[error("the event is of the other mode")]
    OtherMode,
    /// The body is not what this provider sends.
    #[error("the body is no event of this provider")]
    Unreadable,
}

impl Forged {
    /// For the counter.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Stale => "stale",
            Self::Wrong => "wrong_signature",
            Self::Certificate => "certificate",
            Self::OtherMode => "other_mode",
            Self::Unreadable => "unreadable",
        }
    }
}

/// The signature of a body at that time, in lower-case hexadecimal.
#[must_use]
pub fn sign(secret: &Secret, time: &str, raw: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(raw);
    hex::encode(mac.finalize().into_bytes())
}

/// Checks a signature header over the raw bytes.
///
/// # Errors
/// When it is malformed, stale, or fits no secret.
pub fn verify(header: &str, raw: &[u8], secrets: &[Secret], now: DateTime<Utc>) -> Result<(), Forged> {
    let mut time = None;
    let mut signatures = Vec::new();
    for part in header.split(',') {
        match part.split_once('=') {
            Some(("t", text)) if time.is_none() => time = Some(text),
            Some(("v1", text)) if signatures.len() < SIGNATURES_MAX => signatures.push(text),
            // A scheme we do not know, such as an older one sent beside ours.
            Some((scheme, _)) if scheme.starts_with('v') && scheme != "v1" => {}
            Some(_) | None => return Err(Forged::Unsigned),
        }
    }
    let time = time.filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    let time = time.ok_or(Forged::Unsigned)?;
    let at = time.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0)).ok_or(Forged::Unsigned)?;
    if signatures.is_empty() {
        return Err(Forged::Unsigned);
    }
    if (now - at).abs() > TOLERANCE {
        return Err(Forged::Stale);
    }
    // Every secret is tried against every signature, so that time tells nothing about which one fits.
    let mut fits = subtle::Choice::from(0);
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        let expected = sign(secret, time, raw);
        for signature in &signatures {
            fits |= expected.as_bytes().ct_eq(signature.as_bytes());
        }
    }
    if bool::from(fits) { Ok(()) } else { Err(Forged::Wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"id":"evt_1","type":"payment.succeeded","data":{"object":{"id":"pay_1"}}}"#;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn header(secret: &str, at: i64) -> String {
        format!("t={at},v1={}", sign(&Secret::new(secret), &at.to_string(), BODY))
    }

    #[test]
    fn another_implementation_signs_the_same() {
        let signed = sign(&Secret::new("key"), "1", b"The quick brown fox");
        assert_eq!(signed, "1ef269d2a2a1f8d397e0e25c3e3013fb5687509234565e6e49ea45a138768457");
    }

    #[test]
    fn secure_s19_every_changed_byte_of_body_or_header_is_refused() {
        let secrets = [Secret::new("whsec_1")];
        let header = header("whsec_1", now().timestamp());
        assert_eq!(verify(&header, BODY, &secrets, now()), Ok(()));
        for index in 0..BODY.len() {
            for flip in [1_u8, 0x20, 0x80] {
                let mut body = BODY.to_vec();
                body[index] ^= flip;
                assert_eq!(verify(&header, &body, &secrets, now()), Err(Forged::Wrong), "body byte {index}");
            }
        }
        for index in 0..header.len() {
            for flip in [1_u8, 2, 0x20] {
                let mut bytes = header.clone().into_bytes();
                bytes[index] ^= flip;
                let changed = String::from_utf8(bytes).unwrap();
                assert!(verify(&changed, BODY, &secrets, now()).is_err(), "header byte {index}: {changed}");
            }
        }
        let longer = [BODY, b" "].concat();
        assert_eq!(verify(&header, &longer, &secrets, now()), Err(Forged::Wrong));
        assert_eq!(verify(&header, &BODY[..BODY.len() - 1], &secrets, now()), Err(Forged::Wrong));
    }

    #[test]
    fn secure_s19_a_signature_is_good_for_300_seconds_in_either_direction() {
        let secrets = [Secret::new("whsec_1")];
        for (age, expected) in [(300, Ok(())), (301, Err(Forged::Stale)), (-300, Ok(())), (-301, Err(Forged::Stale))] {
            let header = header("whsec_1", now().timestamp() - age);
            assert_eq!(verify(&header, BODY, &secrets, now()), expected, "{age} s old");
        }
    }

    #[test]
    fn secure_s19_two_secrets_are_live_during_a_rotation() {
        let secrets = [Secret::new("whsec_old"), Secret::new("whsec_new")];
        for secret in ["whsec_old", "whsec_new"] {
            assert_eq!(verify(&header(secret, now().timestamp()), BODY, &secrets, now()), Ok(()));
        }
        assert_eq!(verify(&header("whsec_other", now().timestamp()), BODY, &secrets, now()), Err(Forged::Wrong));
        // A provider that signs with both while we know only the new one.
        let at = now().timestamp();
        let both = format!("{},{}", header("whsec_gone", at), header("whsec_new", at).split_once(',').unwrap().1);
        assert_eq!(verify(&both, BODY, &secrets, now()), Ok(()));
        assert_eq!(verify(&header("", now().timestamp()), BODY, &[Secret::default()], now()), Err(Forged::Wrong));
    }

    #[test]
    fn secure_s19_malformed_headers_are_refused() {
        let secrets = [Secret::new("whsec_1")];
        for header in
            ["", "t=", "t=1800000000", "v1=00", "t=x,v1=00", "t=-1,v1=00", "t=1,t=2,v1=00", "t=1800000000;v1=00"]
        {
            assert!(verify(header, BODY, &secrets, now()).is_err(), "{header}");
        }
        // An older scheme alone proves nothing.
        let old = header("whsec_1", now().timestamp()).replace("v1=", "v0=");
        assert_eq!(verify(&old, BODY, &secrets, now()), Err(Forged::Unsigned));
    }
}

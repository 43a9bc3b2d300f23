//! Codes in links: eight letters and digits nobody mistakes for each other.

use uuid::Uuid;

const ALPHABET: &[u8; 32] = b"23456789abcdefghjkmnpqrstuvwxyz0";

/// The `attempt`-th code of an affiliate: 40 bits of its random id, so that codes cannot be counted up.
#[must_use]
pub fn of(affiliate: Uuid, attempt: u8) -> String {
    // The last eight bytes of a UUIDv7 are random; a further attempt takes another mix of them.
    let random = u64::from_be_bytes(affiliate.as_bytes()[8..].try_into().expect("a UUID has 16 bytes"));
    let mixed = random.rotate_left(u32::from(attempt) * 7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..8).map(|n| char::from(ALPHABET[(mixed >> (24 + 5 * n)) as usize & 31])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_differ_by_affiliate_and_attempt() {
        let codes: std::collections::BTreeSet<String> = (0..200)
            .flat_map(|_| {
                let id = Uuid::now_v7();
                [of(id, 0), of(id, 1)]
            })
            .collect();
        assert_eq!(codes.len(), 400);
        assert!(
            codes
                .iter()
                .all(|code| code.len() == 8 && code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
        );
    }
}

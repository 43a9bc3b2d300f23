//! Names and passwords of lines, chosen before the first call.

use ottery_kernel::SubscriptionId;
use rand::Rng as _;
use uuid::Uuid;

use crate::driver::Secret;

/// Names tried before a person has to look; five strangers in a row are no coincidence.
pub const CANDIDATES_MAX: u32 = 5;
/// Letters of a name after its first one: 50 bits, no vowels that could make words, nothing to confuse.
const NAME_LETTERS: usize = 10;
const PASSWORD_LETTERS: usize = 14;
/// Lower case only: some panels compare names without case. No 0/o, 1/l/i.
const ALPHABET: &[u8; 31] = b"23456789abcdefghjkmnpqrstuvwxyz";

/// The name to try after `taken` others were taken by strangers. The same for the same subscription, always, so that a
/// create whose answer was lost is found again.
#[must_use]
pub fn candidate(subscription: SubscriptionId, taken: u32) -> String {
    let source = Uuid::new_v5(&subscription.as_uuid(), &taken.to_be_bytes());
    let mut bits = source.as_u128();
    let mut name = String::with_capacity(NAME_LETTERS + 1);
    name.push('u');
    for _ in 0..NAME_LETTERS {
        name.push(char::from(ALPHABET[usize::try_from(bits % 31).unwrap_or(0)]));
        bits /= 31;
    }
    name
}

/// A fresh password; letters and digits, because it travels in the paths of players' addresses.
#[must_use]
pub fn password() -> Secret {
    let mut random = rand::rng();
    let letters: String =
        (0..PASSWORD_LETTERS).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect();
    Secret::new(letters)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::driver::rules::check_credentials;

    fn subscription(number: u128) -> SubscriptionId {
        SubscriptionId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn case_090_candidates_are_the_same_every_time_and_differ_from_each_other() {
        let names: Vec<_> = (0..CANDIDATES_MAX).map(|taken| candidate(subscription(7), taken)).collect();
        let again: Vec<_> = (0..CANDIDATES_MAX).map(|taken| candidate(subscription(7), taken)).collect();
        assert_eq!(names, again);
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        assert_ne!(candidate(subscription(8), 0), names[0]);
    }

    #[test]
    fn case_091_names_and_passwords_keep_every_panels_rules() {
        for number in 0..200 {
            check_credentials(&candidate(subscription(number), 0), &password()).unwrap();
        }
    }

    #[test]
    fn names_of_many_subscriptions_do_not_collide() {
        let names: HashSet<_> = (0..20_000).map(|number| candidate(subscription(number), 0)).collect();
        assert_eq!(names.len(), 20_000);
    }
}

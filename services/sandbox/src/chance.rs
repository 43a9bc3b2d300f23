//! Random names, passwords and ids: repeatable when the sandbox was given a seed.

use std::sync::Mutex;

use rand::{Rng, SeedableRng, rngs::StdRng};

const LETTERS: &[u8] = b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// The sandbox's only source of chance.
#[derive(Debug)]
pub struct Chance(Mutex<StdRng>);

impl Chance {
    /// `boot` counts the starts over one journal, so that a seeded sandbox never repeats an id after a restart.
    #[must_use]
    pub fn new(seed: Option<u64>, boot: u64) -> Self {
        let rng = match seed {
            Some(seed) => StdRng::seed_from_u64(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(boot)),
            None => StdRng::from_os_rng(),
        };
        Self(Mutex::new(rng))
    }

    fn with<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        let mut rng = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        draw(&mut rng)
    }

    /// `len` letters and digits, as panels choose for names and passwords.
    #[must_use]
    pub fn word(&self, len: usize) -> String {
        self.with(|rng| (0..len).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())])).collect())
    }

    /// `len` lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(&self, len: usize) -> String {
        self.with(|rng| (0..len).map(|_| char::from(b"0123456789abcdef"[rng.random_range(0..16)])).collect())
    }

    /// An id as payment providers write them: prefix, underscore, 24 hexadecimal digits.
    #[must_use]
    pub fn id(&self, prefix: &str) -> String {
        format!("{prefix}_{}", self.hex(24))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself_but_not_over_restarts() {
        assert_eq!(Chance::new(Some(7), 0).hex(32), Chance::new(Some(7), 0).hex(32));
        assert_ne!(Chance::new(Some(7), 0).hex(32), Chance::new(Some(7), 1).hex(32));
    }
}

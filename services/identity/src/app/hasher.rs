//! Password hashes: slow on purpose, and therefore never more at once than the machine has cores.

use std::sync::Arc;
use std::thread::available_parallelism;

use argon2::password_hash::{PasswordHash, SaltString};
use argon2::{Params, Version};
use ottery_kit::keyring::Keyring;
use ottery_kit::secret::Secret;
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use tokio::sync::Semaphore;

use super::AppError;
use super::argon;

/// Least memory, in KiB.
const MEMORY_KIB_MIN: u32 = 19_456;
const PASSES_MIN: u32 = 2;
const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = 32;
const PURPOSE: &str = "password";

/// What one hash costs.
#[derive(Clone, Debug)]
pub struct Cost(Params);

/// Why a cost is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CostError {
    /// Too cheap to guess.
    #[error(
        "identity.password_memory_kib must be at least {MEMORY_KIB_MIN}, identity.password_passes at least {PASSES_MIN} and \
         identity.password_lanes at least 1: cheaper hashes are guessed too fast"
    )]
    BelowFloor,
    /// Argon2 does not know such parameters.
    #[error("identity.password_memory_kib, password_passes and password_lanes are out of Argon2's range")]
    OutOfRange,
}

impl Cost {
    /// A cost that is high enough.
    ///
    /// # Errors
    /// [`CostError`].
    pub fn try_new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, CostError> {
        if memory_kib < MEMORY_KIB_MIN || passes < PASSES_MIN || lanes == 0 {
            return Err(CostError::BelowFloor);
        }
        Params::new(memory_kib, passes, lanes, Some(OUTPUT_BYTES)).map(Self).map_err(|_| CostError::OutOfRange)
    }
}

/// What checking a password found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Not this one, or there is none.
    Wrong,
    /// This one; `stale` when it was stored at another cost than today's.
    Right { stale: bool },
}

/// Hashes and checks passwords. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Hasher(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cost: Cost,
    keyring: Keyring,
    /// A place at work.
    cores: Arc<Semaphore>,
    /// A place at work or in the queue.
    places: Arc<Semaphore>,
    /// Costs as much to check as a real one and is nobody's.
    nobodys: String,
}

impl Hasher {
    pub(super) fn new(cost: Cost, queue: usize, keyring: Keyring) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        let nobodys = PasswordHash {
            algorithm: argon2::ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: (&cost.0).try_into().expect("parameters that Argon2 took have a text form"),
            salt: None,
            hash: None,
        };
        // Salt and output of nobody's hash are constants: only the time matters, and no password leads to this output.
        let nobodys = format!("{nobodys}$b3R0ZXJ5bm9ib2R5c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        Self(Arc::new(Inner {
            cost,
            keyring,
            cores: Arc::new(Semaphore::new(cores)),
            places: Arc::new(Semaphore::new(cores + queue)),
            nobodys,
        }))
    }

    /// A fresh hash in PHC form.
    pub(super) async fn hash(&self, password: &Secret) -> Result<String, AppError> {
        let peppered = self.0.keyring.keyed_hash(PURPOSE, password.expose().as_bytes());
        self.run(move |inner| {
            let mut salt = [0; SALT_BYTES];
            OsRng.try_fill_bytes(&mut salt).expect("the operating system gives randomness");
            let salt = SaltString::encode_b64(&salt).expect("16 bytes are a salt");
            argon::hash(&inner.cost.0, &peppered, &salt).expect("32 bytes and checked parameters hash")
        })
        .await
    }

    /// Compares with a stored hash; without one it takes as long and fails.
    pub(super) async fn check(&self, password: &Secret, stored: Option<&str>) -> Result<Check, AppError> {
        let peppered = self.0.keyring.keyed_hash(PURPOSE, password.expose().as_bytes());
        let stored = stored.map(str::to_owned);
        self.run(move |inner| {
            let phc = stored.as_deref().unwrap_or(&inner.nobodys);
            let Ok(hash) = PasswordHash::new(phc) else {
                tracing::error!("a stored password hash cannot be read");
                return Check::Wrong;
            };
            let is_right = argon::verify(&peppered, &hash).unwrap_or_else(|error| {
                tracing::error!(%error, "a stored password hash cannot be checked");
                false
            });
            if !is_right || stored.is_none() {
                return Check::Wrong;
            }
            let today = &inner.cost.0;
            let stale = Params::try_from(&hash).map_or(true, |params| {
                (params.m_cost(), params.t_cost(), params.p_cost()) != (today.m_cost(), today.t_cost(), today.p_cost())
            });
            Check::Right { stale }
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> T + Send + 'static) -> Result<T, AppError> {
        let inner = self.0.clone();
        let place = inner.places.clone().try_acquire_owned().map_err(|_| AppError::Busy)?;
        let core = inner.cores.clone().acquire_owned().await.map_err(|_| AppError::Busy)?;
        // The permits go with the work: a caller who hangs up does not make room while the core is still busy.
        tokio::task::spawn_blocking(move || {
            let done = work(&inner);
            drop((core, place));
            done
        })
        .await
        .map_err(|_| AppError::Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(passes: u32, queue: usize) -> Hasher {
        Hasher::new(Cost::try_new(MEMORY_KIB_MIN, passes, 1).unwrap(), queue, Keyring::ephemeral())
    }

    #[tokio::test]
    async fn secure_s06_the_stored_text_shows_the_parameters_and_every_salt_differs() {
        let hasher = hasher(2, 20);
        let (first, second) =
            (hasher.hash(&"a b c".into()).await.unwrap(), hasher.hash(&"a b c".into()).await.unwrap());
        assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
        assert_ne!(first, second);
        assert_eq!(hasher.check(&"a b c".into(), Some(&first)).await.unwrap(), Check::Right { stale: false });
        assert_eq!(hasher.check(&"a b d".into(), Some(&first)).await.unwrap(), Check::Wrong);
    }

    #[tokio::test]
    async fn secure_s06_a_hash_opens_only_with_the_pepper_it_was_made_with() {
        let stored = hasher(2, 20).hash(&"a b c".into()).await.unwrap();
        assert_eq!(hasher(2, 20).check(&"a b c".into(), Some(&stored)).await.unwrap(), Check::Wrong);
    }

    #[tokio::test]
    async fn secure_s08_an_unknown_person_costs_a_real_hash() {
        let hasher = hasher(2, 20);
        assert_eq!(hasher.check(&"a b c".into(), None).await.unwrap(), Check::Wrong);
        let nobodys = PasswordHash::new(&hasher.0.nobodys).unwrap();
        let params = Params::try_from(&nobodys).unwrap();
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (19_456, 2, 1));
        assert_eq!(nobodys.hash.unwrap().len(), OUTPUT_BYTES);
    }

    #[tokio::test]
    async fn secure_s06_whoever_finds_the_queue_full_is_asked_to_come_back() {
        let hasher = hasher(2, 2);
        let places = available_parallelism().map_or(1, usize::from) + 2;
        let (password, asked) = (Secret::new("a b c"), places + 5);
        let tries = futures::future::join_all((0..asked).map(|_| hasher.hash(&password))).await;
        let busy = tries.iter().filter(|result| matches!(result, Err(AppError::Busy))).count();
        assert_eq!(busy, 5);
    }

    #[test]
    fn secure_s06_cheap_hashes_are_refused() {
        for (memory, passes, lanes) in [(19_455, 2, 1), (19_456, 1, 1), (19_456, 2, 0)] {
            assert_eq!(Cost::try_new(memory, passes, lanes).unwrap_err(), CostError::BelowFloor);
        }
    }
}

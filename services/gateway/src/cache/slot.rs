//! One remembered value and the way it is renewed: by one at a time, while others read what is there.

use std::sync::{PoisonError, RwLock};

use tokio::sync::Mutex;
use tokio::time::Instant;

/// A value, and when it was asked for: the answer may be as old as the question.
#[derive(Clone, Debug)]
struct Held<T> {
    value: T,
    asked_at: Instant,
}

/// One remembered value.
#[derive(Debug)]
pub struct Slot<T> {
    held: RwLock<Option<Held<T>>>,
    /// Held by whoever asks. An answer is kept before the next question is asked, so that no old answer ever takes the place
    /// of a newer one.
    turn: Mutex<()>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { held: RwLock::new(None), turn: Mutex::default() }
    }
}

impl<T: Clone> Slot<T> {
    /// What is there, however old.
    pub fn peek(&self) -> Option<T> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|held| held.value.clone())
    }

    /// A value that was not asked for before this instant; of several callers who miss it one loads, and what it loads serves
    /// all who came before it asked.
    ///
    /// # Errors
    /// Those of `load`; the next caller tries again.
    pub async fn get<E>(&self, not_before: Option<Instant>, load: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        if let Some(value) = self.since(not_before) {
            return Ok(value);
        }
        let _turn = self.turn.lock().await;
        if let Some(value) = self.since(not_before) {
            return Ok(value);
        }
        let asked_at = Instant::now();
        let value = load().await?;
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(Held { value: value.clone(), asked_at });
        Ok(value)
    }

    fn since(&self, not_before: Option<Instant>) -> Option<T> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let held = held.as_ref().filter(|held| not_before.is_none_or(|not_before| held.asked_at >= not_before));
        held.map(|held| held.value.clone())
    }

    /// Forgets the value.
    pub fn clear(&self) {
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// A source whose value grows with every change, and which answers when the test lets it.
    struct Source {
        value: AtomicU64,
        questions: AtomicU64,
        answers: Semaphore,
    }

    impl Source {
        fn silent() -> Self {
            Self { value: AtomicU64::new(0), questions: AtomicU64::new(0), answers: Semaphore::new(0) }
        }

        fn ready() -> Self {
            Self { answers: Semaphore::new(1_000), ..Self::silent() }
        }

        async fn ask(&self) -> Result<u64, Infallible> {
            self.questions.fetch_add(1, Ordering::SeqCst);
            let value = self.value.load(Ordering::SeqCst);
            self.answers.acquire().await.unwrap().forget();
            Ok(value)
        }

        fn change(&self) {
            self.value.fetch_add(1, Ordering::SeqCst);
        }

        fn questions(&self) -> u64 {
            self.questions.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn fault_f22_a_hundred_misses_ask_once() {
        let (slot, source) = (Slot::default(), Source::silent());
        let all = (0..100).map(|_| slot.get(None, async || source.ask().await));
        let (values, ()) = tokio::join!(futures::future::join_all(all), async { source.answers.add_permits(100) });
        assert!(values.iter().all(|value| *value == Ok(0)), "{values:?}");
        assert_eq!(source.questions(), 1);
    }

    #[tokio::test]
    async fn an_answer_from_before_the_change_satisfies_nobody_who_came_after_it() {
        let (slot, source) = (Slot::default(), Source::silent());
        let early = slot.get(None, async || source.ask().await);
        let late = async {
            // The first question is on its way with the old answer.
            assert_eq!(source.questions(), 1);
            source.change();
            slot.get(Some(Instant::now()), async || source.ask().await).await
        };
        let (early, late, ()) = tokio::join!(early, late, async { source.answers.add_permits(2) });
        assert_eq!((early, late, slot.peek()), (Ok(0), Ok(1), Some(1)));
    }

    #[tokio::test]
    async fn readers_do_not_wait_for_a_renewal() {
        let (slot, source) = (Slot::default(), Source::silent());
        source.answers.add_permits(1);
        slot.get(None, async || source.ask().await).await.unwrap();
        source.change();
        let renewal = slot.get(Some(Instant::now()), async || source.ask().await);
        let reader = async {
            assert_eq!(source.questions(), 2);
            let read = slot.get(None, async || source.ask().await).await;
            source.answers.add_permits(1);
            read
        };
        assert_eq!(tokio::join!(renewal, reader), (Ok(1), Ok(0)));
        assert_eq!(slot.get(None, async || source.ask().await).await, Ok(1));
    }

    #[tokio::test]
    async fn many_renewals_at_once_share_a_question() {
        let (slot, source) = (Slot::default(), Source::silent());
        let renewals = (0..50).map(|_| {
            let not_before = Some(Instant::now());
            slot.get(not_before, async || source.ask().await)
        });
        let renewals: Vec<_> = renewals.collect();
        tokio::join!(futures::future::join_all(renewals), async { source.answers.add_permits(50) });
        assert_eq!(source.questions(), 1);
    }

    #[tokio::test]
    async fn a_failed_question_is_asked_again_and_an_old_value_is_not_good_enough() {
        let (slot, source) = (Slot::default(), Source::ready());
        assert_eq!(slot.get(None, async || Err::<u64, _>("away")).await, Err("away"));
        assert_eq!(slot.get(None, async || source.ask().await).await, Ok(0));
        source.change();
        assert_eq!(slot.get(None, async || source.ask().await).await, Ok(0));
        assert_eq!(slot.get(Some(Instant::now()), async || source.ask().await).await, Ok(1));
        slot.clear();
        assert_eq!(slot.peek(), None);
    }
}

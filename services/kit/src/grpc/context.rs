//! On whose behalf and until when a call is made.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ottery_kernel::BrandId;
use tokio::time::Instant;

use super::Actor;
use crate::outbox::current_cause;

/// What a call carries besides its message. Attach it with `channel.with(&context)`, or run a whole piece of work
/// inside [`scope`]; a call without either is the service acting by itself, outside any brand.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// Who acts. Anything but `gateway` signs as itself in this actor's brand.
    pub actor: Actor,
    /// Groups everything one visible request caused.
    pub request_id: String,
    /// No call made with this context lasts longer.
    pub deadline: Option<Instant>,
    /// How long one call may take; [`super::DEFAULT_TIMEOUT`] when unset.
    pub timeout: Option<Duration>,
    /// Makes a writing call safe to repeat.
    pub idempotency_key: Option<String>,
    /// Whether a call that was perhaps executed may be sent again although its name does not say so.
    pub is_repeatable: bool,
}

impl CallContext {
    /// Calls for this actor, in the request it came with (or a new one).
    #[must_use]
    pub fn new(actor: Actor) -> Self {
        let ambient = current();
        let request_id = if !actor.request_id.is_empty() {
            actor.request_id.clone()
        } else if let Some(ambient) = &ambient {
            ambient.request_id.clone()
        } else {
            // Work on an event belongs to the request that started its chain.
            Some(current_cause().correlation_id).filter(|id| !id.is_empty()).unwrap_or_else(new_request_id)
        };
        let deadline = ambient.and_then(|ambient| ambient.deadline);
        Self { actor, request_id, deadline, timeout: None, idempotency_key: None, is_repeatable: false }
    }

    /// Calls of the service itself, outside any brand.
    #[must_use]
    pub fn service() -> Self {
        Self::new(Actor::service("", None))
    }

    /// Calls of the service itself in that brand.
    #[must_use]
    pub fn brand(brand: BrandId) -> Self {
        Self::new(Actor::service("", Some(brand)))
    }

    /// As part of this request.
    #[must_use]
    pub fn request_id(mut self, request_id: impl Into<String>) -> Self {
        self.request_id = request_id.into();
        self
    }

    /// Each call may take this long.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// No call lasts beyond this instant.
    #[must_use]
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// With this idempotency key; such calls are sent again when the answer says `UNAVAILABLE`.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Says that sending a call twice does no harm.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.is_repeatable = true;
        self
    }
}

/// Makes the context of a piece of work.
type Make = Arc<dyn Fn() -> CallContext + Send + Sync>;

tokio::task_local! {
    /// None while a context is being made: what is made there belongs to nothing yet.
    static CURRENT: Option<Make>;
}

/// Runs work in which every call made without its own context uses this one, and none outlives its deadline.
pub fn scope<F: Future>(context: CallContext, work: F) -> impl Future<Output = F::Output> {
    scope_with(move || context.clone(), work)
}

/// As [`scope`], with a context that is made when it is needed: most answers of the edge are given without a call.
pub fn scope_with<F: Future>(
    make: impl Fn() -> CallContext + Send + Sync + 'static,
    work: F,
) -> impl Future<Output = F::Output> {
    CURRENT.scope(Some(Arc::new(make)), work)
}

/// The context of the work this task is in.
#[must_use]
pub fn current() -> Option<CallContext> {
    let make = CURRENT.try_with(Clone::clone).ok().flatten()?;
    Some(CURRENT.sync_scope(None, || make()))
}

/// A new request id: time-ordered, `req_` and 32 digits. Every request of the edge gets one, so the random part is this
/// thread's instead of the kernel's, which would be a system call each time.
#[must_use]
pub fn new_request_id() -> String {
    let (seconds, nanos) = uuid::Timestamp::now(uuid::NoContext).to_unix();
    let millis = seconds.saturating_mul(1_000).saturating_add(u64::from(nanos / 1_000_000));
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid();
    let mut text = String::with_capacity(4 + uuid::fmt::Simple::LENGTH);
    text.push_str("req_");
    text.push_str(id.simple().encode_lower(&mut uuid::Uuid::encode_buffer()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_context_is_made_when_it_is_needed_and_belongs_to_no_other() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let made = Arc::new(AtomicUsize::new(0));
        let counted = made.clone();
        let until = Instant::now() + Duration::from_secs(1);
        let make = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            // Asks for the present context itself, as every new one does.
            CallContext::new(Actor { request_id: "req_1".into(), ..Actor::service("gateway", None) }).deadline(until)
        };
        scope(CallContext::service().request_id("req_outer"), async {
            scope_with(make, async {
                assert_eq!(made.load(Ordering::SeqCst), 0);
                let inner = CallContext::service();
                assert_eq!((inner.request_id.as_str(), inner.deadline), ("req_1", Some(until)));
            })
            .await;
            assert_eq!(CallContext::service().request_id, "req_outer");
        })
        .await;
        assert_eq!(made.load(Ordering::SeqCst), 1);
        assert!(current().is_none());
    }

    #[test]
    fn a_request_id_is_unique_and_says_when() {
        let ids: std::collections::BTreeSet<_> = (0..1_000).map(|_| new_request_id()).collect();
        assert_eq!(ids.len(), 1_000);
        for id in ids {
            let id: uuid::Uuid = id.strip_prefix("req_").unwrap().parse().unwrap();
            assert_eq!(id.get_version_num(), 7);
            assert!(id.get_timestamp().unwrap().to_unix().0 > 1_600_000_000);
        }
    }
}

//! Why something happens: events appended while another is handled carry its id on.

use std::future::Future;

tokio::task_local! {
    static CAUSE: Cause;
}

/// What set off the running work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// Event or request that is being handled.
    pub causation_id: String,
    /// The customer-visible request at the start of the chain.
    pub correlation_id: String,
}

/// Runs `work` with `cause`; [`crate::outbox::append`] writes it on events that name none.
pub async fn with_cause<F: Future>(cause: Cause, work: F) -> F::Output {
    CAUSE.scope(cause, work).await
}

/// The cause of the running work; empty when nothing is known.
#[must_use]
pub fn current_cause() -> Cause {
    CAUSE.try_with(Cause::clone).unwrap_or_default()
}

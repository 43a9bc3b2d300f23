//! gRPC between services: who calls (signed), until when (deadline), as part of what (trace), and what a refusal says.
//!
//! - [`actor()`] gives a handler its caller; nothing reaches a handler without a verified one.
//! - [`Channel`] is what generated clients are built on: `BillingServiceClient::new(host.client_channel("billing"))`.
//! - [`Problem`] is every refusal: a code, a stable reason and a sentence for people.

pub mod actor;
pub mod balance;
pub mod breaker;
pub mod budget;
pub mod client;
pub mod context;
mod deadline;
pub mod identity;
pub mod problem;
pub mod server;

pub use actor::{Actor, ActorKind};
pub use balance::Directory;
pub use breaker::{Breaker, BreakerSettings};
pub use budget::RetryBudget;
pub use client::{Channel, ChannelSettings};
pub use context::{CallContext, scope, scope_with};
pub use deadline::DEFAULT_TIMEOUT;
pub use identity::{ActorVerifier, KeyError, ServiceIdentity, ServiceKeys};
pub use problem::Problem;
pub use server::{Guard, InFlight, ServerSettings};
pub use tonic::{Code, Request, Response, Status};

/// Metadata key of the serialised `SignedActor`.
pub const ACTOR_HEADER: &str = "ottery-actor-bin";
/// Metadata key of the request id; the signed actor is bound to it.
pub const REQUEST_ID_HEADER: &str = "ottery-request-id";
/// Metadata key that makes a call safe to repeat; stored by the owning service in its own transaction.
pub const IDEMPOTENCY_HEADER: &str = "ottery-idempotency-key";
/// Metadata key of the W3C trace context.
pub const TRACEPARENT_HEADER: &str = "traceparent";
/// The only service that may sign for people.
pub const PEOPLE_ISSUER: &str = "gateway";

/// The verified caller of this request.
///
/// # Errors
/// `UNAUTHENTICATED` when the request did not pass kit's server, which is the only place that verifies.
pub fn actor<T>(request: &Request<T>) -> Result<Actor, Status> {
    request
        .extensions()
        .get::<Actor>()
        .cloned()
        .ok_or_else(|| Problem::unauthenticated("ACTOR_MISSING", "the call carries no verified actor").into())
}

/// The context for calls made on behalf of this request: same actor, request id, deadline and idempotency key.
///
/// # Errors
/// `UNAUTHENTICATED` as for [`actor()`].
pub fn context<T>(request: &Request<T>) -> Result<CallContext, Status> {
    let mut context = CallContext::new(actor(request)?);
    context.idempotency_key = idempotency_key(request)?;
    Ok(context)
}

/// The caller's idempotency key, when one was sent.
///
/// # Errors
/// `INVALID_ARGUMENT` when the key is longer than 255 characters or not printable ASCII.
pub fn idempotency_key<T>(request: &Request<T>) -> Result<Option<String>, Status> {
    let Some(value) = request.metadata().get(IDEMPOTENCY_HEADER) else { return Ok(None) };
    match value.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= 255 => Ok(Some(key.to_owned())),
        _ => Err(Problem::invalid(
            "idempotency_key",
            "IDEMPOTENCY_KEY_INVALID",
            "an idempotency key is 1 to 255 printable ASCII characters",
        )
        .into()),
    }
}

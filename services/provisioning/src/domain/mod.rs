//! Decisions, without waiting: what to do next for a service, on which panel, under which name, and when again.

pub mod backoff;
pub mod breaker;
pub mod country;
pub mod diagnosis;
pub mod drift;
pub mod observed;
pub mod placement;
pub mod plan;
pub mod username;
pub mod wanted;

pub use backoff::Backoff;
pub use breaker::{Admission, Breaker, BreakerRules, Trip};
pub use country::Country;
pub use observed::{CallKind, CallState, Line, LineFact, Observed, OpenCall};
pub use placement::{Candidate, Wish};
pub use plan::{Action, Fields, Pause, Rules, Step, plan};
pub use wanted::{Goal, Wanted};

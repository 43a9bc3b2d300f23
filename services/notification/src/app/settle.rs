//! Writing down how an attempt ended.

use ottery_kit::clock::brand_now;
use ottery_kit::db::{Scope, begin};

use super::App;
use crate::domain::delivery::{Command, State};
use crate::domain::schedule;
use crate::events::publish;
use crate::smtp::Fault;
use crate::store::delivery;
use crate::store::due::{self, Claim};

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The server has it.
    Accepted,
    /// Surely not taken; why.
    Later(String),
    /// Surely not taken, and never will be; why.
    Never(String),
    /// Perhaps taken; why nobody knows.
    Lost(String),
}

impl Outcome {
    pub(super) fn from_fault(fault: Fault) -> Self {
        match fault {
            Fault::Later(reason) => Self::Later(reason),
            Fault::Never(reason) => Self::Never(reason),
            Fault::Lost(reason) => Self::Lost(reason),
        }
    }
}

impl App {
    /// Moves the mail on and gives the claim back, unless it was lost: then somebody else knows better.
    pub(super) async fn settle(&self, claim: &Claim, outcome: &Outcome) -> sqlx::Result<()> {
        let mut tx = begin(&self.pool, Scope::Brand(claim.brand)).await?;
        let Some(mut delivery) = delivery::lock(&mut tx, claim.delivery).await? else { return Ok(()) };
        let (command, reason) = match outcome {
            Outcome::Accepted => (Command::Accept, ""),
            Outcome::Later(reason) if claim.is_stale => (Command::Reject, reason.as_str()),
            Outcome::Later(reason) => (Command::Defer, reason.as_str()),
            Outcome::Never(reason) => (Command::Reject, reason.as_str()),
            Outcome::Lost(reason) => (Command::Lose, reason.as_str()),
        };
        let was = delivery.state;
        let Ok(state) = was.on(command) else {
            tracing::error!(delivery.id = %delivery.id, state = was.as_str(), ?command, "an attempt ended that never began");
            return Ok(());
        };
        let now = brand_now(&mut tx, claim.brand, self.clock()).await?;
        // Attempts that reach the text are counted when it leaves.
        if was == State::Planned {
            delivery.attempts += 1;
        }
        delivery.state = state;
        reason.clone_into(&mut delivery.last_error);
        delivery.sent_at = (state == State::Sent).then_some(now);
        let is_held = if state.is_final() {
            due::done(&mut tx, claim).await?
        } else {
            due::later(&mut tx, claim, schedule::pause(delivery.attempts)).await?
        };
        if !is_held {
            tracing::warn!(delivery.id = %delivery.id, "a mail was settled by somebody else meanwhile");
            return Ok(());
        }
        if state.is_final() {
            delivery.version += 1;
            publish::changed(&mut tx, &delivery, now).await?;
        }
        delivery::update(&mut tx, &delivery).await?;
        tx.commit().await?;
        self.attempts.inc(&[("outcome", if state == State::Planned { "deferred" } else { state.as_str() })]);
        match state {
            State::Sent => tracing::info!(delivery.id = %delivery.id, template = delivery.template, "mail sent"),
            State::Planned | State::Sending | State::Unknown | State::Failed => {
                tracing::warn!(delivery.id = %delivery.id, template = delivery.template, state = state.as_str(), attempts = delivery.attempts, "mail not sent");
            }
        }
        Ok(())
    }
}

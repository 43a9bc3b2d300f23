//! Writing down how an attempt ended.

use ottery_kit::db::{Scope, begin};

use super::App;
use super::journal::{Journal, Trouble};
use super::send::Work;
use crate::domain::delivery::{Command, State};
use crate::domain::schedule;
use crate::smtp::Fault;
use crate::store::delivery;

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
    pub(super) async fn settle(&self, journal: &Journal, work: Work, outcome: Outcome) -> Result<(), Trouble> {
        let Work { claim, mut delivery, test_clock } = work;
        let (command, reason) = match outcome {
            Outcome::Accepted => (Command::Accept, String::new()),
            Outcome::Later(reason) if claim.is_stale => (Command::Reject, reason),
            Outcome::Later(reason) => (Command::Defer, reason),
            Outcome::Never(reason) => (Command::Reject, reason),
            Outcome::Lost(reason) => (Command::Lose, reason),
        };
        let was = delivery.state;
        let Ok(state) = was.on(command) else {
            tracing::error!(delivery.id = %delivery.id, state = was.as_str(), ?command, "an attempt ended that never began");
            return Ok(());
        };
        // Attempts that reach the text are counted when it leaves.
        if was == State::Planned {
            delivery.attempts += 1;
        }
        delivery.state = state;
        delivery.last_error = reason;
        let is_held = if state.is_final() {
            let now = test_clock.unwrap_or_else(|| self.clock().now());
            delivery.sent_at = (state == State::Sent).then_some(now);
            delivery.version += 1;
            journal.ends(claim, delivery.clone(), now).await?
        } else {
            let mut tx = begin(&self.pool, Scope::Brand(claim.brand)).await?;
            let is_held = delivery::defer(&mut tx, &claim, &delivery, schedule::pause(delivery.attempts)).await?;
            if is_held {
                tx.commit().await?;
            }
            is_held
        };
        if !is_held {
            tracing::warn!(delivery.id = %delivery.id, "a mail was settled by somebody else meanwhile");
            return Ok(());
        }
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

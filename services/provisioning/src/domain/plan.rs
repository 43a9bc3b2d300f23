//! The next action for one service: pure, from what is wanted, what was seen and what is still open.

use chrono::{DateTime, TimeDelta, Utc};

use super::observed::{CallKind, CallState, Line, LineFact, Observed, OpenCall};
use super::wanted::{Goal, Wanted};

/// What the panel can do and how long we wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Time is written as an instant; otherwise it is bought in packages of about this many seconds.
    pub time: Time,
    /// How long a panel may still apply a call after its answer was lost, in seconds.
    pub settle_s: i64,
    /// After this many seconds an open call becomes an operator's task.
    pub unknown_deadline_s: i64,
}

/// How a line gets its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Written as an instant.
    Absolute,
    /// Bought in packages of about this many seconds.
    Packages(i64),
}

/// What the customer sees of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A panel is being chosen.
    Placing,
    /// The line is being made.
    Creating,
    /// The panel is asked what it has.
    Verifying,
    /// Usable.
    Ready,
    /// The panel is down, out of credits or paused.
    Waiting,
    /// An answer was lost.
    Unknown,
    /// May not watch.
    Suspended,
    /// Gone.
    Terminated,
    /// Needs a person.
    Stuck,
    /// A change is being written.
    Updating,
}

impl Step {
    /// Every step.
    pub const ALL: [Self; 10] = [
        Self::Placing,
        Self::Creating,
        Self::Verifying,
        Self::Ready,
        Self::Waiting,
        Self::Unknown,
        Self::Suspended,
        Self::Terminated,
        Self::Stuck,
        Self::Updating,
    ];

    /// As it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placing => "placing",
            Self::Creating => "creating",
            Self::Verifying => "verifying",
            Self::Ready => "ready",
            Self::Waiting => "waiting",
            Self::Unknown => "unknown",
            Self::Suspended => "suspended",
            Self::Terminated => "terminated",
            Self::Stuck => "stuck",
            Self::Updating => "updating",
        }
    }

    /// Reads what was stored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.as_str() == text)
    }
}

/// Fields an edit has to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The expiry differs.
    pub expiry: bool,
    /// Streams, bouquets, formats differ.
    pub package: bool,
}

impl Fields {
    const fn any(self) -> bool {
        self.expiry || self.package
    }
}

/// Why nothing is done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// A lost call may still be applied; nothing can be concluded before.
    Settling,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Choose a panel.
    Place,
    /// Make the line.
    Create,
    /// Find out what became of the open call.
    ReadBack(CallKind),
    /// Write these fields.
    Edit(Fields),
    /// Buy this package.
    Buy(i64),
    /// Switch off.
    Suspend,
    /// Switch on.
    Unsuspend,
    /// Remove.
    Terminate,
    /// Wait until then.
    Wait(DateTime<Utc>, Pause),
    /// The panel agrees; nothing to do.
    Rest(Step),
    /// Needs a person: stable code.
    Stuck(&'static str),
}

/// Decides. Nothing here depends on how often it is asked: the same facts give the same action.
#[must_use]
pub fn plan(wanted: &Wanted, seen: &Observed, open: Option<&OpenCall>, now: DateTime<Utc>, rules: &Rules) -> Action {
    if let Some(open) = open {
        match open.state {
            // Surely not sent: what is wanted may have changed meanwhile, so decide afresh.
            CallState::Planned => {}
            CallState::Sent | CallState::Unknown => return settle(open, now, rules),
        }
    }
    if seen.verify_at.is_some_and(|at| at <= now) && matches!(seen.line, LineFact::Seen(_)) {
        return Action::ReadBack(CallKind::ReadBack);
    }
    if let Some((version, _)) = &seen.refused
        && *version == wanted.version
    {
        return Action::Stuck("refused");
    }
    match (wanted.goal, &seen.line) {
        (Goal::Active, LineFact::Never | LineFact::Removed) if !seen.placed => Action::Place,
        (Goal::Active, LineFact::Never | LineFact::Removed) => Action::Create,
        (Goal::Active, LineFact::Seen(line)) => keep_active(wanted, line, seen, rules),
        (Goal::Active, LineFact::Missing) => Action::Stuck("line_missing"),
        (Goal::Suspended, LineFact::Seen(line)) if line.enabled => Action::Suspend,
        (Goal::Suspended, LineFact::Seen(_) | LineFact::Never | LineFact::Missing | LineFact::Removed) => {
            Action::Rest(Step::Suspended)
        }
        (Goal::Terminated, LineFact::Seen(_)) => Action::Terminate,
        (Goal::Terminated, LineFact::Never | LineFact::Missing | LineFact::Removed) => Action::Rest(Step::Terminated),
    }
}

/// A call that may have been applied is looked up before anything else happens to the line. When a create (or a
/// purchase) left no trace, the panel may still be working on it, so the second look comes after its longest time-out.
fn settle(open: &OpenCall, now: DateTime<Utc>, rules: &Rules) -> Action {
    let again_at = open.absent_at.map(|absent| absent + TimeDelta::seconds(rules.settle_s));
    match again_at {
        Some(at) if now < at => Action::Wait(at, Pause::Settling),
        Some(_) | None => Action::ReadBack(open.kind),
    }
}

fn keep_active(wanted: &Wanted, line: &Line, seen: &Observed, rules: &Rules) -> Action {
    if line.banned {
        // Somebody at the panel decided this; undoing it is not ours.
        return Action::Stuck("banned_on_panel");
    }
    match rules.time {
        Time::Absolute => {
            let fields = differences(wanted, line);
            if fields.any() {
                return Action::Edit(fields);
            }
        }
        Time::Packages(duration_s) => match wanted.package {
            None => return Action::Stuck("package_missing"),
            Some(package) if must_buy(wanted, package, line, seen, duration_s) => return Action::Buy(package),
            Some(_) => {}
        },
    }
    if line.enabled { Action::Rest(Step::Ready) } else { Action::Unsuspend }
}

/// Which fields of a line differ from what is wanted.
#[must_use]
pub fn differences(wanted: &Wanted, line: &Line) -> Fields {
    Fields {
        expiry: line.expires_at.map(|at| at.timestamp()) != Some(wanted.paid_through.timestamp()),
        package: line.connections != wanted.connections
            || line.bouquets != wanted.bouquets
            || line.outputs.as_ref().is_some_and(|outputs| *outputs != wanted.outputs)
            || wanted.isp_lock.is_some_and(|lock| lock != line.isp_locked)
            || wanted.locked_to().is_some_and(|country| country != line.country),
    }
}

/// Why a line plays from everywhere, or from another country, although it was sold as locked to the customer's: stable code. It
/// serves its customer all the same, so it is no more than something a person should know.
#[must_use]
pub fn unlocked(wanted: &Wanted, line: &Line, rules: &Rules) -> Option<&'static str> {
    match (wanted.country_lock, wanted.country, rules.time) {
        (Some(true), None, _) => Some("country_unknown"),
        (Some(true), Some(country), Time::Packages(_)) if line.country != country.as_str() => {
            Some("country_of_package")
        }
        (Some(true), Some(_), Time::Packages(_) | Time::Absolute) | (Some(false) | None, _, _) => None,
    }
}

/// Time is bought when a period was paid for that no purchase covers yet, or when the plan became another package.
/// Half a package of slack keeps changes of the grace period from buying anything.
fn must_buy(wanted: &Wanted, package: i64, line: &Line, seen: &Observed, duration_s: i64) -> bool {
    let covered = seen.covered_through.or(line.expires_at);
    let uncovered_s = covered.map_or(0, |covered| (wanted.paid_through - covered).num_seconds());
    uncovered_s > duration_s / 2 || line.package.is_some_and(|bought| bought != package)
}

/// Whether an open call is past its deadline and belongs to a person.
#[must_use]
pub fn is_overdue(open: &OpenCall, now: DateTime<Utc>, rules: &Rules) -> bool {
    now - open.at >= TimeDelta::seconds(rules.unknown_deadline_s)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;

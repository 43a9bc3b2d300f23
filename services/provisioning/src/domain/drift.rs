//! Where a panel and we disagree about a line: pure, from what is wanted, what was last seen and what the panel shows now.

use chrono::{DateTime, SecondsFormat, Utc};

use super::observed::{Line, LineFact};
use super::plan::Time;
use super::wanted::{Goal, Wanted};
use crate::driver::Output;

/// What is shown of a line that is not on the panel.
pub const NO_LINE: &str = "no line";

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The line plays and nobody is entitled to it.
    UnpaidServed,
    /// Somebody is entitled and the line is missing, off, banned or expired.
    PaidDead,
    /// It stops at another time.
    Expiry,
    /// It may watch something else, in other formats, from elsewhere.
    Package,
    /// It may open another number of streams.
    Connections,
    /// It is on the panel and none of ours.
    Stranger,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::UnpaidServed, Self::PaidDead, Self::Expiry, Self::Package, Self::Connections, Self::Stranger];

    /// As it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnpaidServed => "unpaid_served",
            Self::PaidDead => "paid_dead",
            Self::Expiry => "expiry",
            Self::Package => "package",
            Self::Connections => "connections",
            Self::Stranger => "stranger",
        }
    }

    /// Reads what was stored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Whether our truth can be written over the panel's. A key that buys packages writes no fields, so that only what a switch does
    /// can be repaired there; a stranger's line is never touched.
    #[must_use]
    pub const fn is_repairable(self, absolute: bool) -> bool {
        match self {
            Self::UnpaidServed | Self::PaidDead => true,
            Self::Expiry | Self::Package | Self::Connections => absolute,
            Self::Stranger => false,
        }
    }
}

/// What is done with a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Our truth is written over the panel's.
    Repair,
    /// It may stay exactly so until the panel or what is wanted moves on.
    Adopt,
    /// It is never reported again, whatever it becomes.
    Ignore,
    /// A person decides.
    Ask,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 4] = [Self::Repair, Self::Adopt, Self::Ignore, Self::Ask];

    /// As it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Repair => "repair",
            Self::Adopt => "adopt",
            Self::Ignore => "ignore",
            Self::Ask => "ask",
        }
    }

    /// Reads what was stored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == text)
    }

    /// Whether differences of this kind may be treated so without a person: whose line a stranger is, no rule knows.
    #[must_use]
    pub const fn fits(self, kind: Kind) -> bool {
        match (self, kind) {
            (Self::Repair | Self::Adopt, Kind::Stranger) => false,
            (Self::Repair | Self::Adopt | Self::Ignore | Self::Ask, _) => true,
        }
    }
}

/// What became of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Waits for a person.
    Open,
    /// Our truth was ordered to be written over it; the next scan proves it.
    Repaired,
    /// Left as it is until something moves.
    Adopted,
    /// Left as it is.
    Ignored,
    /// No scan sees it any more.
    Gone,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Open, Self::Repaired, Self::Adopted, Self::Ignored, Self::Gone];

    /// As it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Repaired => "repaired",
            Self::Adopted => "adopted",
            Self::Ignored => "ignored",
            Self::Gone => "gone",
        }
    }

    /// Reads what was stored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// One difference, in words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What differs.
    pub kind: Kind,
    /// What is wanted.
    pub wanted: String,
    /// What the panel shows.
    pub observed: String,
}

impl Finding {
    fn new(kind: Kind, wanted: impl Into<String>, observed: impl Into<String>) -> Self {
        Self { kind, wanted: wanted.into(), observed: observed.into() }
    }
}

/// What is under way for a service. Times are the database's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight {
    /// A call is open, or an answer is lost.
    pub is_open: bool,
    /// The line is to be looked at once more.
    pub is_verifying: bool,
    /// A worker is at it or it is due.
    pub is_due: bool,
    /// Waits for a person; nothing moves by itself.
    pub is_stuck: bool,
    /// The newest version that is wanted.
    pub wanted_version: u64,
    /// The version the panel was last seen to agree with.
    pub observed_version: u64,
    /// When the panel was last seen.
    pub observed_at: Option<DateTime<Utc>>,
}

impl Flight {
    /// Whether what was read from the panel at `read_at` can be compared: nothing is under way, and nothing was between the reading
    /// and now.
    #[must_use]
    pub fn is_settled(&self, read_at: DateTime<Utc>) -> bool {
        let agrees = self.observed_version == self.wanted_version || self.is_stuck;
        let moved = self.observed_at.is_some_and(|at| at >= read_at);
        agrees && !moved && !self.is_open && !self.is_verifying && !self.is_due
    }
}

/// Compares. `last` is what was last seen, `shown` the line as the panel has it now, with what the answer leaves out as it was last
/// seen; nothing when it is not there. `now` is the brand's time.
#[must_use]
pub fn compare(wanted: &Wanted, last: &LineFact, shown: Option<&Line>, time: Time, now: DateTime<Utc>) -> Vec<Finding> {
    match (wanted.goal, shown) {
        (Goal::Active, None) => match last {
            // It was never made, or is being made: the reconciler's work, not a difference.
            LineFact::Never | LineFact::Removed => Vec::new(),
            LineFact::Seen(_) | LineFact::Missing => vec![Finding::new(Kind::PaidDead, "a line", NO_LINE)],
        },
        (Goal::Active, Some(line)) => entitled(wanted, last, line, time, now),
        (Goal::Suspended | Goal::Terminated, Some(line)) if is_live(line, now) => {
            let wanted = if wanted.goal == Goal::Suspended { "suspended" } else { NO_LINE };
            vec![Finding::new(Kind::UnpaidServed, wanted, format!("plays until {}", expiry(line.expires_at)))]
        }
        (Goal::Suspended | Goal::Terminated, Some(_) | None) => Vec::new(),
    }
}

/// Whether a line lets its viewer in.
#[must_use]
pub fn is_live(line: &Line, now: DateTime<Utc>) -> bool {
    line.enabled && !line.banned && line.expires_at.is_none_or(|at| at > now)
}

fn entitled(wanted: &Wanted, last: &LineFact, line: &Line, time: Time, now: DateTime<Utc>) -> Vec<Finding> {
    let mut found = Vec::new();
    let has_expired = line.expires_at.is_some_and(|at| at <= now) && wanted.paid_through > now;
    let dead = match (line.banned, line.enabled, has_expired) {
        (true, _, _) => Some("banned by the panel's people".to_owned()),
        (false, false, _) => Some("switched off".to_owned()),
        (false, true, true) => Some(format!("expired {}", expiry(line.expires_at))),
        (false, true, false) => None,
    };
    if let Some(dead) = dead {
        found.push(Finding::new(Kind::PaidDead, format!("plays until {}", expiry(Some(wanted.paid_through))), dead));
    }
    // What a key that buys packages has bought is what was last seen; it writes no fields of its own.
    let should = match (time, last) {
        (Time::Absolute, _) => Should::wanted(wanted),
        (Time::Packages(_), LineFact::Seen(last)) => Should::seen(last),
        (Time::Packages(_), LineFact::Never | LineFact::Missing | LineFact::Removed) => return found,
    };
    let seconds = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp());
    if !has_expired && seconds(should.expires_at) != seconds(line.expires_at) {
        found.push(Finding::new(Kind::Expiry, expiry(should.expires_at), expiry(line.expires_at)));
    }
    let (mut want, mut have) = (Vec::new(), Vec::new());
    let mut differ = |one: String, other: String| {
        if one != other {
            want.push(one);
            have.push(other);
        }
    };
    differ(format!("bouquets {}", numbers(&should.bouquets)), format!("bouquets {}", numbers(&line.bouquets)));
    if let (Some(one), Some(other)) = (&should.outputs, &line.outputs) {
        differ(format!("formats {}", formats(one)), format!("formats {}", formats(other)));
    }
    if let (Some(one), Some(other)) = (should.package, line.package) {
        differ(format!("package {one}"), format!("package {other}"));
    }
    if let Some(lock) = should.isp_lock {
        differ(lock_text(lock).to_owned(), lock_text(line.isp_locked).to_owned());
    }
    if let Some(country) = &should.country {
        differ(format!("from {}", place(country)), format!("from {}", place(&line.country)));
    }
    if !want.is_empty() {
        found.push(Finding::new(Kind::Package, want.join("; "), have.join("; ")));
    }
    if should.connections != line.connections {
        found.push(Finding::new(Kind::Connections, streams(should.connections), streams(line.connections)));
    }
    found
}

/// What a line should be like.
struct Should {
    expires_at: Option<DateTime<Utc>>,
    connections: u32,
    bouquets: Vec<i64>,
    outputs: Option<Vec<Output>>,
    package: Option<i64>,
    isp_lock: Option<bool>,
    country: Option<String>,
}

impl Should {
    fn wanted(wanted: &Wanted) -> Self {
        Self {
            expires_at: Some(wanted.paid_through),
            connections: wanted.connections,
            bouquets: wanted.bouquets.clone(),
            outputs: Some(wanted.outputs.clone()),
            // A label there: what the line may watch is in its bouquets.
            package: None,
            isp_lock: wanted.isp_lock,
            country: wanted.locked_to().map(str::to_owned),
        }
    }

    fn seen(last: &Line) -> Self {
        Self {
            expires_at: last.expires_at,
            connections: last.connections,
            bouquets: last.bouquets.clone(),
            outputs: last.outputs.clone(),
            package: last.package,
            isp_lock: None,
            country: None,
        }
    }
}

/// An expiry as people read it.
#[must_use]
pub fn expiry(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "never".to_owned(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// A number of streams as people read it.
#[must_use]
pub fn streams(count: u32) -> String {
    match count {
        0 => "no limit".to_owned(),
        1 => "1 stream".to_owned(),
        count => format!("{count} streams"),
    }
}

fn numbers(ids: &[i64]) -> String {
    match ids {
        [] => "none".to_owned(),
        ids => ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn formats(outputs: &[Output]) -> String {
    let word = |output: &Output| match output {
        Output::Hls => "hls",
        Output::Ts => "ts",
        Output::Rtmp => "rtmp",
    };
    match outputs {
        [] => "none".to_owned(),
        outputs => outputs.iter().map(word).collect::<Vec<_>>().join(", "),
    }
}

const fn lock_text(locked: bool) -> &'static str {
    if locked { "bound to one internet provider" } else { "any internet provider" }
}

const fn place(country: &str) -> &str {
    if country.is_empty() { "everywhere" } else { country }
}

/// A difference as it is known already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// What became of it.
    pub state: State,
    /// What the panel showed.
    pub observed: String,
    /// The wanted version it was compared with.
    pub wanted_version: u64,
}

/// What a scan does with a difference it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is new: this is its first state.
    New(State),
    /// It is known and stays what it is.
    Same,
    /// It was adopted and moved on: a person, or a rule, decides afresh.
    Moved(State),
    /// It came back after a repair. A rule repairs once; whoever undoes that will do it again, so a person decides.
    Returned,
}

/// Decides what a difference that was seen is now.
#[must_use]
pub fn sighted(known: Option<&Known>, finding: &Finding, wanted_version: u64, rule: Rule, absolute: bool) -> Seen {
    let first = match rule {
        Rule::Repair if finding.kind.is_repairable(absolute) => State::Repaired,
        Rule::Adopt if rule.fits(finding.kind) => State::Adopted,
        Rule::Ignore => State::Ignored,
        Rule::Repair | Rule::Adopt | Rule::Ask => State::Open,
    };
    let Some(known) = known else { return Seen::New(first) };
    match known.state {
        State::Open | State::Ignored => Seen::Same,
        State::Adopted if known.observed == finding.observed && known.wanted_version == wanted_version => Seen::Same,
        State::Adopted => Seen::Moved(first),
        State::Repaired => Seen::Returned,
        State::Gone => Seen::New(first),
    }
}

#[cfg(test)]
#[path = "drift_tests.rs"]
mod tests;

//! Spans of time in which events are read when there are more than are read at a time.

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};

use crate::provider::{CallError, Listed};

/// How long a window is at first.
const SPAN: TimeDelta = TimeDelta::hours(1);
/// The shortest one: PayPal is asked by the second.
const SPAN_MIN: TimeDelta = TimeDelta::seconds(1);

/// From whole second to whole second, both of them within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub since: DateTime<Utc>,
    pub until: DateTime<Utc>,
    /// When the last event happened that is known of.
    last: DateTime<Utc>,
}

impl Window {
    /// The first one that may bring something beyond an event; none when nothing that was read is.
    pub fn after(begun: &Listed, read: &[Listed]) -> Option<Self> {
        let last = read.iter().filter(|event| is_beyond(begun, event)).map(|event| event.at).max()?;
        let since = begun.at.duration_trunc(SPAN_MIN).ok()?;
        Some(Self { since, until: since + SPAN, last })
    }

    /// One of half the length; none when it is the shortest one.
    pub fn narrower(self) -> Option<Self> {
        let seconds = (self.until - self.since).num_seconds() / 2;
        let span = TimeDelta::seconds(seconds);
        (span >= SPAN_MIN).then(|| Self { until: self.since + span, ..self })
    }

    /// The one behind it, twice as long: nothing was in this one. None when nothing is known of beyond it.
    pub fn behind(self) -> Option<Self> {
        let span = (self.until - self.since) * 2;
        (self.until <= self.last).then(|| Self { since: self.until, until: self.until + span, ..self })
    }
}

/// No window brings anything: there is too much in a second, or what was listed is not listed any more.
pub fn too_many() -> CallError {
    CallError::Ambiguous("more events than are read at a time, and no span of time has fewer".to_owned())
}

/// Whether there is something to go on from.
pub fn goes_beyond(begun: &Listed, read: &[Listed]) -> bool {
    read.iter().any(|event| is_beyond(begun, event))
}

fn is_beyond(begun: &Listed, event: &Listed) -> bool {
    (event.at, &event.id) > (begun.at, &begun.id)
}

/// The oldest first, each once.
pub fn in_order(mut events: Vec<Listed>) -> Vec<Listed> {
    events.sort_by(|one, other| (one.at, &one.id).cmp(&(other.at, &other.id)));
    events.dedup_by(|one, other| one.id == other.id);
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(id: &str, at: &str) -> Listed {
        Listed { id: id.into(), at: at.parse().unwrap(), body: Vec::new() }
    }

    #[test]
    fn windows_grow_while_nothing_is_in_them_and_shrink_to_a_second() {
        let begun = listed("b", "2026-01-01T00:00:00.500Z");
        assert_eq!(Window::after(&begun, std::slice::from_ref(&begun)), None);
        let first = Window::after(&begun, &[listed("a", "2026-01-02T00:00:00Z")]).unwrap();
        let times = |window: Window| (window.since.to_rfc3339(), (window.until - window.since).num_seconds());
        assert_eq!(times(first), ("2026-01-01T00:00:00+00:00".to_owned(), 3600));
        assert_eq!(times(first.behind().unwrap()), ("2026-01-01T01:00:00+00:00".to_owned(), 7200));
        let all: Vec<_> = std::iter::successors(Some(first), |window| window.behind()).collect();
        assert_eq!(all.len(), 5, "the fifth one holds the last event that is known of");
        let spans: Vec<_> =
            std::iter::successors(Some(first), |window| window.narrower()).map(|window| times(window).1).collect();
        assert_eq!(spans, [3600, 1800, 900, 450, 225, 112, 56, 28, 14, 7, 3, 1]);
    }

    #[test]
    fn of_one_instant_the_later_name_is_beyond() {
        let begun = listed("b", "2026-01-01T00:00:00Z");
        assert!(!goes_beyond(&begun, &[begun.clone(), listed("a", "2026-01-01T00:00:00Z")]));
        assert!(goes_beyond(&begun, &[listed("c", "2026-01-01T00:00:00Z")]));
        let ordered = in_order(vec![listed("c", "2026-01-01T00:00:00Z"), begun.clone(), begun]);
        assert_eq!(ordered.iter().map(|event| &*event.id).collect::<Vec<_>>(), ["b", "c"]);
    }
}

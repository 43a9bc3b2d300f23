//! How far a provider's events are surely read.
//!
//! A provider lists an event a moment after it happened, and two of one second in any order. What is young is therefore read
//! once more the next time; it is kept once all the same.

use chrono::{DateTime, TimeDelta, Utc};

/// How old an event is before nothing older can turn up beside it.
pub const SETTLES_AFTER: TimeDelta = TimeDelta::minutes(10);

/// A place in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The provider's name of the event.
    pub id: String,
    /// When it happened.
    pub at: DateTime<Utc>,
}

/// From where on is read the next time, when these came after `cursor`, the oldest first. Without a cursor it is the oldest of
/// them: what was before is nobody's business here.
#[must_use]
pub fn next_cursor(cursor: &str, read: &[Mark], now: DateTime<Utc>) -> String {
    let settled = read.iter().take_while(|mark| mark.at + SETTLES_AFTER <= now).last();
    let begun = if cursor.is_empty() { read.first() } else { None };
    settled.or(begun).map_or_else(|| cursor.to_owned(), |mark| mark.id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(ages_min: &[i64]) -> Vec<Mark> {
        let mark =
            |(place, age): (usize, &i64)| Mark { id: format!("evt_{place}"), at: now() - TimeDelta::minutes(*age) };
        ages_min.iter().enumerate().map(mark).collect()
    }

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
    }

    #[test]
    fn what_is_young_is_read_once_more() {
        assert_eq!(next_cursor("evt_a", &marks(&[30, 10, 9, 1]), now()), "evt_1");
        assert_eq!(next_cursor("evt_a", &marks(&[9, 1]), now()), "evt_a");
        assert_eq!(next_cursor("evt_a", &[], now()), "evt_a");
        // One that is listed late stands behind a younger one.
        assert_eq!(next_cursor("evt_a", &marks(&[30, 1, 20]), now()), "evt_0");
    }

    #[test]
    fn the_first_time_begins_with_what_there_is() {
        assert_eq!(next_cursor("", &marks(&[30, 20]), now()), "evt_1");
        assert_eq!(next_cursor("", &marks(&[2, 1]), now()), "evt_0");
        assert_eq!(next_cursor("", &[], now()), "");
    }
}

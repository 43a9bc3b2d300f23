//! Dates in the panel's words: local date strings in, months that overflow the way PHP's do.

use chrono::{DateTime, Datelike, Duration, LocalResult, Months, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;

/// Reads an expiry as the admin API does. Bare unix seconds are refused; `@` before them makes them acceptable.
#[must_use]
pub fn parse(text: &str, tz: Tz) -> Option<i64> {
    let text = text.trim();
    if let Some(unix) = text.strip_prefix('@') {
        return unix.parse().ok();
    }
    if let Ok(exact) = DateTime::parse_from_rfc3339(text) {
        return Some(exact.timestamp());
    }
    let with_time = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let naive = with_time.or_else(|| {
        let is_short = text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit());
        let format = if is_short { "%Y%m%d" } else { "%Y-%m-%d" };
        NaiveDate::parse_from_str(text, format).ok()?.and_hms_opt(0, 0, 0)
    })?;
    Some(to_unix(naive, tz))
}

/// A local time that does not exist moves on by the gap; one that exists twice is the first.
fn to_unix(naive: NaiveDateTime, tz: Tz) -> i64 {
    match tz.from_local_datetime(&naive) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.timestamp(),
        LocalResult::None => match tz.from_local_datetime(&(naive + Duration::hours(1))) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.timestamp(),
            LocalResult::None => naive.and_utc().timestamp(),
        },
    }
}

/// Adds a package's length in the panel's local time.
#[must_use]
pub fn add(from: i64, amount: i64, unit: &str, tz: Tz) -> i64 {
    let Some(start) = DateTime::from_timestamp(from, 0) else { return from };
    let local = start.with_timezone(&tz).naive_local();
    let moved = match unit {
        "hours" => return from + amount * 3600,
        "days" => local + Duration::days(amount),
        "years" => add_months(local, amount * 12),
        _ => add_months(local, amount),
    };
    to_unix(moved, tz)
}

/// The 31st of January plus one month is the 3rd of March, as in PHP.
fn add_months(local: NaiveDateTime, months: i64) -> NaiveDateTime {
    let first = local.date().with_day(1).unwrap_or(local.date());
    let moved = first.checked_add_months(Months::new(u32::try_from(months).unwrap_or(0))).unwrap_or(first);
    (moved + Duration::days(i64::from(local.day()) - 1)).and_time(local.time())
}

/// The panel's local text for an instant.
#[must_use]
pub fn local_text(at: DateTime<Utc>, tz: Tz) -> String {
    at.with_timezone(&tz).format("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BERLIN: Tz = Tz::Europe__Berlin;

    #[test]
    fn date_strings_are_local_and_bare_unix_seconds_are_refused() {
        assert_eq!(parse("2025-01-01 00:00:00", BERLIN), Some(1_735_686_000));
        assert_eq!(parse("@1735689600", BERLIN), Some(1_735_689_600));
        assert_eq!(parse("1735689600", BERLIN), None);
        assert_eq!(parse("next year", BERLIN), None);
    }

    #[test]
    fn a_local_time_in_the_spring_gap_moves_on_by_an_hour() {
        assert_eq!(parse("2026-03-29 02:30:00", BERLIN), parse("2026-03-29 03:30:00", BERLIN));
    }

    #[test]
    fn months_overflow_into_the_next_one_as_php_does() {
        let january = parse("2026-01-31 12:00:00", BERLIN).expect("valid");
        assert_eq!(add(january, 1, "months", BERLIN), parse("2026-03-03 12:00:00", BERLIN).expect("valid"));
    }
}

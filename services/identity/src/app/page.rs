//! Pages of a list and their cursors.

use super::AppError;
use crate::domain::Invalid;

/// Part of a list, and where it goes on.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Opaque; empty at the end.
    pub next: String,
}

/// How many rows a caller wants: 0 means 50, more than 100 is refused.
pub(super) fn limit(asked: u32) -> Result<i64, AppError> {
    match asked {
        0 => Ok(50),
        1..=100 => Ok(i64::from(asked)),
        _ => Err(Invalid::new("page.limit", "RANGE", format!("use 1 to 100, got {asked}")).into()),
    }
}

pub(super) fn bad_cursor() -> AppError {
    Invalid::new("page.cursor", "CURSOR_MALFORMED", "use the cursor of the page before, or none").into()
}

/// Cuts a list that was read one row too long.
pub(super) fn cut<T>(mut items: Vec<T>, limit: i64, cursor: impl Fn(&T) -> String) -> Page<T> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = items.len() > most;
    items.truncate(most);
    let next = if has_more { items.last().map(cursor).unwrap_or_default() } else { String::new() };
    Page { items, next }
}

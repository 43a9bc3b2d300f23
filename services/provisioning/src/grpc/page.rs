//! Cursors: the place of the last row of a page, opaque to callers.

use chrono::{DateTime, Utc};
use ottery_kit::grpc::Problem;
use ottery_proto::common::v1::{PageReply, PageRequest};
use uuid::Uuid;

use crate::app::read::Before;

const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 100;

/// Where to start and how much.
pub struct Page {
    /// After this row.
    pub before: Before,
    /// Rows of the page.
    pub limit: i64,
}

impl Page {
    /// Reads the request.
    ///
    /// # Errors
    /// A cursor that is none of ours.
    pub fn parse(request: Option<PageRequest>) -> Result<Self, Problem> {
        let request = request.unwrap_or_default();
        let limit = match request.limit {
            0 => LIMIT_DEFAULT,
            limit => limit.min(LIMIT_MAX),
        };
        Ok(Self { before: cursor(&request.cursor)?, limit: i64::from(limit) })
    }

    /// One more than shown, to know whether there is more.
    #[must_use]
    pub const fn fetch(&self) -> (Before, i64) {
        (self.before, self.limit + 1)
    }

    /// Cuts the extra row off and says where to continue.
    pub fn cut<T>(&self, rows: &mut Vec<T>, place: impl Fn(&T) -> (DateTime<Utc>, Uuid)) -> PageReply {
        let shown = usize::try_from(self.limit).unwrap_or(0);
        let more = rows.len() > shown;
        rows.truncate(shown);
        let next_cursor = match rows.last() {
            Some(last) if more => {
                let (at, id) = place(last);
                format!("{:x}.{}", at.timestamp_micros(), id.simple())
            }
            Some(_) | None => String::new(),
        };
        PageReply { next_cursor }
    }
}

fn cursor(text: &str) -> Result<Before, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = text.split_once('.').and_then(|(at, id)| {
        let at = DateTime::from_timestamp_micros(i64::from_str_radix(at, 16).ok()?)?;
        Some((at, Uuid::try_parse(id).ok()?))
    });
    parsed.map(Some).ok_or_else(|| {
        Problem::invalid("page.cursor", "CURSOR_INVALID", "take the cursor from the page before, unchanged")
    })
}

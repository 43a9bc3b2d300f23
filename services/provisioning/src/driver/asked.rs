//! What a call was for, which decides what a missing answer means, and what stands before every panel's API.

use std::time::Duration;

use super::error::{Cause, PanelError, PermKind, ReadBack};
use super::http::{RawReply, WireError};

/// Longest wait for an answer. Panels may still apply a write up to 200 s later, so that a write without one is unknown.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest part of a panel's own words that we keep.
const DETAIL_MAX: usize = 160;

/// What was asked, which decides how much a missing verdict matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing was to change: no verdict can be asked for again.
    Read,
    /// Something by id was to change, and a bare failure says that it is not there.
    Write(ReadBack),
    /// A line was to be made: a bare failure says nothing.
    Create,
}

impl Asked {
    const fn hint(self) -> ReadBack {
        match self {
            Self::Read => ReadBack::Nothing,
            Self::Write(hint) => hint,
            Self::Create => ReadBack::ByName,
        }
    }

    /// No verdict: harmless for a read, unknown for a write.
    #[must_use]
    pub const fn no_verdict(self, cause: Cause) -> PanelError {
        match self {
            Self::Read => PanelError::retryable(cause),
            Self::Write(_) | Self::Create => PanelError::Ambiguous { cause, hint: self.hint() },
        }
    }

    /// No answer came: by phase, never by the words of an error.
    #[must_use]
    pub const fn unanswered(self, error: WireError) -> PanelError {
        match error {
            WireError::Before(cause) => PanelError::retryable(cause),
            WireError::After(cause) => self.no_verdict(cause),
        }
    }
}

/// Every HTTP status but 200: the web server, the firewall or something else answered and not the API. `missing` says what
/// a 404 means there.
///
/// # Errors
/// Always, except for 200.
pub fn past_http(reply: &RawReply, asked: Asked, missing: &str) -> Result<(), PanelError> {
    let refuse = |kind, detail: &str| Err(PanelError::permanent(kind, detail));
    match reply.status {
        200 => Ok(()),
        301 | 302 | 303 | 307 | 308 => refuse(
            PermKind::WrongPanelType,
            "the address redirects elsewhere; redirects are never followed because they would carry the key",
        ),
        401 => refuse(PermKind::BadCredentials, "HTTP 401"),
        403 if reply.body.trim_ascii().is_empty() => refuse(PermKind::IpBanned, "HTTP 403 with an empty body"),
        403 => refuse(PermKind::IpNotAllowed, "HTTP 403"),
        404 => refuse(PermKind::WrongPanelType, missing),
        429 | 503 => Err(PanelError::Retryable { cause: Cause::RateLimited, after: reply.retry_after }),
        status @ 500..=599 => Err(asked.no_verdict(Cause::ServerFailed(status))),
        status @ 400..=499 => refuse(PermKind::WrongPanelType, &format!("HTTP {status}: not the panel's API")),
        status => Err(asked.no_verdict(Cause::ServerFailed(status))),
    }
}

/// A panel's own words, cut and made printable, since they travel into the call log.
#[must_use]
pub fn printable(words: &str) -> String {
    words.chars().filter(|c| !c.is_control()).take(DETAIL_MAX).collect::<String>().trim().to_owned()
}

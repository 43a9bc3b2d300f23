//! How a panel call fails: surely not applied, refused with a named cause, or unknown.

use std::time::Duration;

/// Why a driver call did not give its answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PanelError {
    /// Surely not applied; the same call may be made again.
    #[error("not applied: {cause}")]
    Retryable {
        /// What was in the way.
        cause: Cause,
        /// How long the panel asked us to stay away.
        after: Option<Duration>,
    },
    /// Refused; the same call will be refused again until something changes.
    #[error("refused: {0}")]
    Permanent(Perm),
    /// The request left us and no verdict came back; it may have been applied.
    #[error("unknown whether applied: {cause}")]
    Ambiguous {
        /// What was in the way.
        cause: Cause,
        /// How to find out.
        hint: ReadBack,
    },
}

impl PanelError {
    /// A refusal with its cause and what the panel said.
    #[must_use]
    pub fn permanent(kind: PermKind, detail: impl Into<String>) -> Self {
        Self::Permanent(Perm { kind, detail: detail.into() })
    }

    /// The failure of a read-back: the write before it was confirmed, so "not applied" is not possible any more and the
    /// outcome has to be looked up.
    #[must_use]
    pub fn unread(self, hint: ReadBack) -> Self {
        match self {
            Self::Retryable { cause, .. } | Self::Ambiguous { cause, .. } => Self::Ambiguous { cause, hint },
            refused @ Self::Permanent(_) => refused,
        }
    }

    /// Surely not applied.
    #[must_use]
    pub const fn retryable(cause: Cause) -> Self {
        Self::Retryable { cause, after: None }
    }

    /// The kind of refusal, when it is one.
    #[must_use]
    pub const fn refusal(&self) -> Option<PermKind> {
        match self {
            Self::Permanent(perm) => Some(perm.kind),
            Self::Retryable { .. } | Self::Ambiguous { .. } => None,
        }
    }

    /// Whether the panel itself is in trouble (counts against its breaker), in contrast to one order's input.
    #[must_use]
    pub const fn is_trouble(&self) -> bool {
        match self {
            Self::Retryable { .. } | Self::Ambiguous { .. } => true,
            Self::Permanent(perm) => perm.kind.is_whole_key(),
        }
    }

    /// Short stable code for the call log, the metrics and the customer's status.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Retryable { cause, .. } | Self::Ambiguous { cause, .. } => cause.code(),
            Self::Permanent(perm) => perm.kind.code(),
        }
    }

    /// What a person does about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Retryable { cause, .. } | Self::Ambiguous { cause, .. } => cause.remedy(),
            Self::Permanent(perm) => perm.kind.remedy(),
        }
    }
}

/// What was in the way of an answer. Never contains an address or a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Cause {
    /// The host name has no address.
    #[error("the host name of the panel cannot be resolved")]
    Dns,
    /// No answer to the connection attempt.
    #[error("connecting to the panel timed out")]
    ConnectTimeout,
    /// The connection was refused or reset before anything was sent.
    #[error("the panel refused the connection")]
    ConnectRefused,
    /// No secure channel.
    #[error("no secure connection: certificate or TLS problem")]
    Tls,
    /// The address is one we do not call.
    #[error("the panel's address is not allowed")]
    AddressBlocked,
    /// Too many requests.
    #[error("the panel limits our requests")]
    RateLimited,
    /// The panel's own server failed.
    #[error("the panel's server failed (HTTP {0})")]
    ServerFailed(u16),
    /// No answer in time after the request was sent.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke after the request was sent.
    #[error("the connection broke while waiting for the answer")]
    Broken,
    /// HTTP 200 and nothing in it.
    #[error("the panel answered with an empty page")]
    Empty,
    /// Something else than the documented answer: HTML, cut JSON, `null`, too much.
    #[error("the panel answered with something that is not its API")]
    Rubbish,
    /// A bare `STATUS_FAILURE` or a status nobody knows, in answer to a write.
    #[error("the panel answered without a verdict")]
    NoVerdict,
}

impl Cause {
    /// Short stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectRefused => "connect_refused",
            Self::Tls => "tls",
            Self::AddressBlocked => "address_blocked",
            Self::RateLimited => "rate_limited",
            Self::ServerFailed(_) => "server_failed",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Empty => "empty_answer",
            Self::Rubbish => "rubbish_answer",
            Self::NoVerdict => "no_verdict",
        }
    }

    /// What a person does about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Dns => "Check the host name in the panel's address; it does not resolve from here.",
            Self::ConnectTimeout => {
                "Add our egress address to the panel's allowed addresses and to its flood exclusion list; if it worked \
                 minutes ago, the panel's firewall has probably banned us: remove the ban before trying again."
            }
            Self::ConnectRefused => "Check the port in the panel's address and that the panel's web server runs.",
            Self::Tls => "Install a valid certificate on the panel, or correct http/https and the port of its address.",
            Self::AddressBlocked => {
                "The address is in a private or reserved network. List that network in the setting \
                 http.allow of provisioning if the panel really lives there."
            }
            Self::RateLimited => "Lower the panel's calls per second, or raise the limit on the panel.",
            Self::ServerFailed(_) => "Look at the panel's own error log; its web server answers with an error.",
            Self::Timeout | Self::Broken => {
                "The panel is slow or its network is bad; nothing to do unless it stays so."
            }
            Self::Empty => {
                "The panel's API answers with an empty page: the key's group lacks a right, or the panel has an internal \
                 error (see its error log)."
            }
            Self::Rubbish => {
                "Check that the address is the panel's admin API with its access code, for example \
                 https://panel.example:8443/AbCdEf, and that no proxy or maintenance page answers in its place."
            }
            Self::NoVerdict => "Look at the line on the panel; its answer does not say whether it did the work.",
        }
    }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {detail}")]
pub struct Perm {
    /// The named cause.
    pub kind: PermKind,
    /// What the panel said, cut and without secrets.
    pub detail: String,
}

/// Why a panel refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PermKind {
    /// The key is wrong, disabled or of the wrong role.
    #[error("the panel does not accept the API key")]
    BadCredentials,
    /// Our address is not on the access code's list.
    #[error("our address is not allowed on the panel")]
    IpNotAllowed,
    /// Our address is on the panel's block list.
    #[error("our address is banned on the panel")]
    IpBanned,
    /// No credits left.
    #[error("no credits left on the panel")]
    InsufficientCredits,
    /// No such line.
    #[error("not found on the panel")]
    NotFound,
    /// The name or device is taken by somebody else, or the line is not ours.
    #[error("conflict on the panel")]
    Conflict,
    /// The panel does not like a value.
    #[error("the panel does not accept the input")]
    InvalidInput,
    /// The package or bouquet of the plan is unknown there.
    #[error("the plan's mapping is broken on the panel")]
    BrokenMapping,
    /// The key may not do this.
    #[error("the key may not do this")]
    NotPermitted,
    /// This panel cannot do this.
    #[error("not possible on this panel")]
    Unsupported,
    /// This is not the panel we were told it is, or its access code is wrong.
    #[error("no such API at this address")]
    WrongPanelType,
    /// A quota (trials) is used up.
    #[error("a quota on the panel is used up")]
    QuotaExhausted,
}

impl PermKind {
    /// Whether every order of this key would fail the same way, so that the whole key has to pause.
    #[must_use]
    pub const fn is_whole_key(self) -> bool {
        match self {
            Self::BadCredentials
            | Self::IpNotAllowed
            | Self::IpBanned
            | Self::InsufficientCredits
            | Self::WrongPanelType => true,
            Self::NotFound
            | Self::Conflict
            | Self::InvalidInput
            | Self::BrokenMapping
            | Self::NotPermitted
            | Self::Unsupported
            | Self::QuotaExhausted => false,
        }
    }

    /// Short stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::BadCredentials => "bad_credentials",
            Self::IpNotAllowed => "ip_not_allowed",
            Self::IpBanned => "ip_banned",
            Self::InsufficientCredits => "insufficient_credits",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::InvalidInput => "invalid_input",
            Self::BrokenMapping => "broken_mapping",
            Self::NotPermitted => "not_permitted",
            Self::Unsupported => "unsupported",
            Self::WrongPanelType => "wrong_panel_type",
            Self::QuotaExhausted => "quota_exhausted",
        }
    }

    /// What a person does about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::BadCredentials => {
                "Enter the API key of an enabled panel user whose role fits the access code (admin key with an admin \
                 access code, reseller key with a reseller access code); on Xtream Codes, the panel's api_pass."
            }
            Self::IpNotAllowed => {
                "Add our egress address to the allowed addresses on the panel: of the access code, or of the API on Xtream Codes."
            }
            Self::IpBanned => {
                "Remove our egress address from the panel's block list, exclude it from flood protection, then test the \
                 connection; no call is made until the test succeeds."
            }
            Self::InsufficientCredits => {
                "Top up the credits of this key on the panel; waiting orders continue by themselves."
            }
            Self::NotFound => "The line is gone on the panel: re-create it (retry) or end the subscription.",
            Self::Conflict => {
                "Look at the line on the panel: somebody else's line has this name, or ours was changed by hand."
            }
            Self::InvalidInput => "Compare the plan's values with the rules of the panel's user group.",
            Self::BrokenMapping => "Choose an existing package and existing bouquets for the plan.",
            Self::NotPermitted => "Give the key's user group the right to do this, or use another key.",
            Self::Unsupported => "Choose another panel for this plan.",
            Self::WrongPanelType => {
                "Check the access code in the panel's address (it may be wrong or disabled) and the kind of panel."
            }
            Self::QuotaExhausted => "Raise the trial quota of the key's user group on the panel.",
        }
    }
}

/// How to find out what became of an ambiguous call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBack {
    /// Nothing was to be changed.
    Nothing,
    /// Look for a line of the journalled name, then of the journalled tag.
    ByName,
    /// Read the line by its id and compare with what was wanted.
    ById,
    /// Read the line and the credits and compare both with what was noted before.
    ExpiryAndCredits,
}

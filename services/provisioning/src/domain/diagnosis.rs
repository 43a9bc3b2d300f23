//! What a connection test found, step by step: pure, from what each part of it came back with.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::driver::{Catalog, Cause, PanelError, PanelInfo, PermKind};

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Not tried, because an earlier step failed or there is nothing to test.
    Skipped,
    /// As it should be.
    Good,
    /// Works, and somebody should look at it.
    Warning,
    /// In the way.
    Bad,
}

impl Verdict {
    /// As the contract writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

/// What is tested, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// The host name has addresses that may be called.
    Dns,
    /// Something listens.
    Tcp,
    /// The channel is secure.
    Tls,
    /// What answers is the panel's API.
    Api,
    /// Our address is allowed.
    Whitelist,
    /// Our address is not banned.
    Ban,
    /// The key is accepted.
    Credentials,
    /// The key may do what it is for.
    Role,
    /// The panel's version.
    Version,
    /// The panel's clock.
    Clock,
    /// What the key can buy.
    Credits,
    /// What can be sold.
    Packages,
    /// A line is made.
    LineCreate,
    /// It is suspended.
    LineSuspend,
    /// It is removed.
    LineDelete,
}

impl Name {
    /// Steps of every test.
    pub const CONNECTION: [Self; 12] = [
        Self::Dns,
        Self::Tcp,
        Self::Tls,
        Self::Api,
        Self::Whitelist,
        Self::Ban,
        Self::Credentials,
        Self::Role,
        Self::Version,
        Self::Clock,
        Self::Credits,
        Self::Packages,
    ];
    /// Steps with a line.
    pub const LINE: [Self; 3] = [Self::LineCreate, Self::LineSuspend, Self::LineDelete];

    /// As the contract writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Api => "api",
            Self::Whitelist => "whitelist",
            Self::Ban => "ban",
            Self::Credentials => "credentials",
            Self::Role => "role",
            Self::Version => "version",
            Self::Clock => "clock",
            Self::Credits => "credits",
            Self::Packages => "packages",
            Self::LineCreate => "line_create",
            Self::LineSuspend => "line_suspend",
            Self::LineDelete => "line_delete",
        }
    }
}

/// What is in the way, and what a person does about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Stable code.
    pub code: &'static str,
    /// In words.
    pub cause: String,
    /// What to do.
    pub remedy: String,
}

impl Fault {
    /// A fault in words of its own.
    #[must_use]
    pub fn new(code: &'static str, cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code, cause: cause.into(), remedy: remedy.into() }
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was tested.
    pub name: Name,
    /// How it went.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// What is wrong.
    pub fault: Option<Fault>,
    /// How long it took.
    pub took: Duration,
}

impl Step {
    /// As it should be.
    #[must_use]
    pub fn good(name: Name, seen: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Good, seen: seen.into(), fault: None, took: Duration::ZERO }
    }

    /// Not tried.
    #[must_use]
    pub fn skipped(name: Name, seen: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skipped, ..Self::good(name, seen) }
    }

    /// In the way.
    #[must_use]
    pub fn bad(name: Name, seen: impl Into<String>, fault: Fault) -> Self {
        Self { verdict: Verdict::Bad, fault: Some(fault), ..Self::good(name, seen) }
    }

    /// Works, and somebody should look at it.
    #[must_use]
    pub fn warning(name: Name, seen: impl Into<String>, fault: Fault) -> Self {
        Self { verdict: Verdict::Warning, ..Self::bad(name, seen, fault) }
    }

    /// With the time it took.
    #[must_use]
    pub fn took(self, took: Duration) -> Self {
        Self { took, ..self }
    }
}

/// The worst of the steps.
#[must_use]
pub fn worst(steps: &[Step]) -> Verdict {
    steps.iter().map(|step| step.verdict).max().unwrap_or(Verdict::Skipped)
}

/// The fault that an error is. The remedy names our address where it is about it.
#[must_use]
pub fn fault(error: &PanelError, egress: &str) -> Fault {
    let mut fault = Fault::new(error.code(), error.to_string(), error.remedy());
    let detail = match error {
        PanelError::Permanent(perm) => perm.detail.to_ascii_lowercase(),
        PanelError::Retryable { .. } | PanelError::Ambiguous { .. } => String::new(),
    };
    // What people of the field call "Invalid Username" is a rule of the key's group, and has nothing to do with a login.
    for (word, code, what) in [
        ("username", "username_refused", "Minimum length of user names"),
        ("password", "password_refused", "Minimum length of passwords"),
    ] {
        if error.refusal() == Some(PermKind::InvalidInput) && detail.contains(word) {
            fault.code = code;
            fault.remedy = format!(
                "Lower “{what}” of the key's user group on the panel to 8, then test again; waiting orders go on with a retry."
            );
        }
    }
    let names_us = matches!(error, PanelError::Retryable { cause: Cause::ConnectTimeout, .. })
        || matches!(error.refusal(), Some(PermKind::IpNotAllowed | PermKind::IpBanned));
    if names_us && !egress.is_empty() {
        fault.remedy = format!("{} Our address is {egress}.", fault.remedy);
    }
    fault
}

/// The step that an error of the API is about; the steps before it went well, those after it were not tried.
#[must_use]
pub fn at(error: &PanelError) -> Name {
    match error {
        PanelError::Permanent(perm) => match perm.kind {
            PermKind::IpNotAllowed => Name::Whitelist,
            PermKind::IpBanned => Name::Ban,
            PermKind::BadCredentials => Name::Credentials,
            PermKind::NotPermitted | PermKind::Unsupported | PermKind::NotFound | PermKind::Conflict => Name::Role,
            PermKind::InsufficientCredits | PermKind::QuotaExhausted => Name::Credits,
            PermKind::BrokenMapping | PermKind::InvalidInput => Name::Packages,
            PermKind::WrongPanelType => Name::Api,
        },
        PanelError::Retryable { cause, .. } | PanelError::Ambiguous { cause, .. } => match cause {
            Cause::Dns | Cause::AddressBlocked => Name::Dns,
            Cause::ConnectRefused => Name::Tcp,
            Cause::Tls => Name::Tls,
            // The port answered a moment ago, so that a firewall has shut us out since: a ban.
            Cause::ConnectTimeout => Name::Ban,
            Cause::RateLimited
            | Cause::ServerFailed(_)
            | Cause::Timeout
            | Cause::Broken
            | Cause::Empty
            | Cause::Rubbish
            | Cause::NoVerdict => Name::Api,
        },
    }
}

/// Which key asks, for the words of some steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asks<'a> {
    /// The driver's name for people.
    pub kind: &'a str,
    /// It spends credits.
    pub buys: bool,
    /// Our address as panels see it; empty when nobody said.
    pub egress: &'a str,
}

/// What the API's connection test says about each step after the network's.
#[must_use]
pub fn api(found: &Result<PanelInfo, PanelError>, asks: Asks<'_>, clock: Step) -> Vec<Step> {
    let ours = if asks.egress.is_empty() {
        "allowed; the setting egress_address does not say which address of ours panels see".to_owned()
    } else {
        format!("our address {} is allowed", asks.egress)
    };
    let passed = |name: Name| match name {
        Name::Api => Step::good(name, format!("{} answers", asks.kind)),
        Name::Whitelist => Step::good(name, ours.clone()),
        Name::Ban => Step::good(name, "not banned"),
        Name::Credentials => Step::good(name, "the key is accepted"),
        _ => Step::good(name, ""),
    };
    let before = [Name::Api, Name::Whitelist, Name::Ban, Name::Credentials, Name::Role];
    let info = match found {
        Ok(info) => info,
        Err(error) => {
            let at = at(error);
            let rest = [Name::Version, Name::Clock, Name::Credits, Name::Packages];
            let mut steps = Vec::new();
            let mut is_over = false;
            let shown = if before.contains(&at) || rest.contains(&at) { at } else { Name::Api };
            for name in before.into_iter().chain(rest) {
                steps.push(if name == shown {
                    is_over = true;
                    Step::bad(name, error.to_string(), fault(error, asks.egress))
                } else if is_over {
                    Step::skipped(name, "not reached")
                } else {
                    passed(name)
                });
            }
            return steps;
        }
    };
    let who = match (&info.user_name, asks.buys) {
        (Some(name), true) => format!("reseller `{name}`, who buys packages"),
        (Some(name), false) => format!("`{name}`, who writes lines"),
        (None, true) => "a reseller, who buys packages".to_owned(),
        (None, false) => "a key that writes lines".to_owned(),
    };
    let mut steps: Vec<Step> = before[..4].iter().map(|name| passed(*name)).collect();
    steps.push(Step::good(Name::Role, who));
    steps.push(match &info.version {
        Some(version) => Step::good(Name::Version, version.clone()),
        None => Step::skipped(Name::Version, "the panel does not tell"),
    });
    steps.push(clock);
    steps.push(credits(info, asks));
    steps
}

fn credits(info: &PanelInfo, asks: Asks<'_>) -> Step {
    if !asks.buys {
        return Step::skipped(Name::Credits, "this key spends none");
    }
    match info.credits {
        Some(credits) if credits > rust_decimal::Decimal::ZERO => {
            Step::good(Name::Credits, format!("{} left", credits.normalize()))
        }
        credits => {
            let kind = PermKind::InsufficientCredits;
            let seen = credits.map_or_else(|| "not told".to_owned(), |credits| format!("{} left", credits.normalize()));
            Step::bad(Name::Credits, seen, Fault::new(kind.code(), kind.to_string(), kind.remedy()))
        }
    }
}

/// The panel's clock beside ours: `skew_ms` ahead, nothing when it does not tell the time.
#[must_use]
pub fn clock(panel_time: Option<DateTime<Utc>>, skew_ms: i64, warn_ms: i64) -> Step {
    if panel_time.is_none() {
        return Step::skipped(Name::Clock, "the panel does not tell the time");
    }
    let seconds = skew_ms / 1_000;
    let seen = match seconds {
        0 => "in step with ours".to_owned(),
        ahead if ahead > 0 => format!("{ahead} s ahead of ours"),
        behind => format!("{} s behind ours", -behind),
    };
    if skew_ms.abs() <= warn_ms {
        return Step::good(Name::Clock, seen);
    }
    let remedy = "Synchronise the panel's clock (NTP); lines would expire at the wrong time.";
    Step::warning(
        Name::Clock,
        seen,
        Fault::new("clock_skew", format!("the panel's clock is off by {seconds} s"), remedy),
    )
}

/// What can be sold there.
#[must_use]
pub fn packages(found: &Result<Catalog, PanelError>, asks: Asks<'_>) -> Step {
    match found {
        Ok(catalog) => {
            let seen = format!("{} packages, {} bouquets", catalog.packages.len(), catalog.bouquets.len());
            if asks.buys && catalog.packages.is_empty() {
                let remedy = "Give the reseller's group packages for lines on the panel, then test again.";
                Step::bad(
                    Name::Packages,
                    seen,
                    Fault::new("no_packages", "the key sees no package, so that it can buy none", remedy),
                )
            } else if !asks.buys && catalog.bouquets.is_empty() {
                let remedy = "Make a bouquet on the panel, or enter bouquets' ids by hand where its API lists none.";
                Step::warning(Name::Packages, seen, Fault::new("no_bouquets", "the key sees no bouquet", remedy))
            } else {
                Step::good(Name::Packages, seen)
            }
        }
        Err(error) => Step::bad(Name::Packages, error.to_string(), fault(error, asks.egress)),
    }
}

#[cfg(test)]
#[path = "diagnosis_tests.rs"]
mod tests;

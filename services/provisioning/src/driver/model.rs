//! Lines, packages and panels as every driver speaks of them.

use std::fmt;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;

use super::Secret;

/// What a panel can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Expiry is written as an instant; otherwise time is bought in packages.
    pub absolute_expiry: bool,
    /// The panel recognises a repeated call.
    pub idempotency_key: bool,
    /// All lines can be listed.
    pub list: bool,
    /// A line can be removed.
    pub delete: bool,
    /// Writes cost credits; they must never run in parallel on one key.
    pub reseller_credits: bool,
    /// Live streams can be cut.
    pub kick: bool,
    /// Lines bound to a device's MAC.
    pub mac_devices: bool,
    /// An edit changes only what it names. Without it the driver reads, merges and sends everything.
    pub patch_edit: bool,
}

/// Marks a line as made for one of our services; stored in the line's notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpTag(String);

impl OpTag {
    /// The tag of a service: its id.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As it is written into the notes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OpTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// When a line stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Never; only when the plan says so.
    Never,
    /// At this instant (panels keep whole seconds).
    At(DateTime<Utc>),
}

impl Expiry {
    /// The instant, cut to what panels store.
    #[must_use]
    pub fn seconds(self) -> Option<i64> {
        match self {
            Self::Never => None,
            Self::At(instant) => Some(instant.timestamp()),
        }
    }
}

/// A stream format a line may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Output {
    /// HLS playlists.
    Hls,
    /// MPEG transport stream.
    Ts,
    /// RTMP.
    Rtmp,
}

impl Output {
    /// Reads the contract's word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "hls" | "m3u8" => Some(Self::Hls),
            "ts" => Some(Self::Ts),
            "rtmp" => Some(Self::Rtmp),
            _ => None,
        }
    }
}

/// A line to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineSpec {
    /// Chosen and journalled before the first call.
    pub username: String,
    /// Chosen and journalled before the first call.
    pub password: Secret,
    /// When it stops; panels that sell time in packages ignore it.
    pub expiry: Expiry,
    /// Simultaneous streams, 1 or more (0 would mean no limit on some panels).
    pub connections: u32,
    /// What it may watch.
    pub bouquets: Vec<i64>,
    /// Formats it may use; never empty.
    pub outputs: Vec<Output>,
    /// Package for keys that buy packages, a label for others.
    pub package: Option<i64>,
    /// Whether this is a trial.
    pub trial: bool,
    /// Whether it is bound to the internet provider it is first used from.
    pub isp_lock: bool,
    /// The one country it plays from, ISO 3166-1 alpha-2; empty for any.
    pub country: String,
}

/// Where a line is: its id on the panel and the name we gave it. Both must agree before anything is written. Panels that
/// know no ids are asked with name and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineRef {
    /// Id on the panel.
    pub id: String,
    /// Name on the panel, for the ownership check.
    pub username: String,
    /// Password on the panel.
    pub password: Secret,
}

/// What to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineKey {
    /// A line that was seen before.
    Line(LineRef),
    /// The exact name; panels that find a line only by both are given the password too.
    Pair {
        /// The name.
        username: String,
        /// The password that was journalled with it.
        password: Secret,
    },
    /// Our mark in the notes.
    Tag(OpTag),
}

/// A line as the panel has it.
#[derive(Clone, Debug, PartialEq)]
pub struct LineState {
    /// Id on the panel.
    pub id: String,
    /// Name on the panel; may differ from what was asked for.
    pub username: String,
    /// Password on the panel; may differ from what was asked for.
    pub password: Secret,
    /// When it stops; nothing = never.
    pub expires_at: Option<DateTime<Utc>>,
    /// The switch that suspension uses.
    pub enabled: bool,
    /// Banned by the panel's people: never ours to undo.
    pub banned: bool,
    /// Simultaneous streams; 0 = no limit.
    pub connections: u32,
    /// What it may watch, sorted; nothing when the answer did not say.
    pub bouquets: Option<Vec<i64>>,
    /// Formats it may use, sorted; nothing when the answer did not say.
    pub outputs: Option<Vec<Output>>,
    /// The package it was made from.
    pub package: Option<i64>,
    /// Whose line it is on the panel.
    pub member: Option<i64>,
    /// Whether it is a trial.
    pub trial: bool,
    /// Whether it is bound to an internet provider; nothing when the answer did not say.
    pub isp_locked: Option<bool>,
    /// The one country it plays from, as the panel has it, empty for any; nothing when the answer did not say.
    pub country: Option<String>,
    /// Streams open now, when the answer says so.
    pub online: Option<u32>,
    /// Notes of both kinds; our mark is in one of them.
    pub notes: String,
    /// The row as it came, for merging. Holds the password: never printed, never stored.
    pub raw: Raw,
}

impl LineState {
    /// Where this line is.
    #[must_use]
    pub fn reference(&self) -> LineRef {
        LineRef { id: self.id.clone(), username: self.username.clone(), password: self.password.clone() }
    }

    /// Whether it carries our mark.
    #[must_use]
    pub fn has_tag(&self, tag: &OpTag) -> bool {
        self.notes.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|word| word == tag.as_str())
    }

    /// The first field in which the panel disagrees with what was to be made; `None` = as wanted.
    #[must_use]
    pub fn differs_from(&self, spec: &LineSpec) -> Option<&'static str> {
        let sorted = |mut list: Vec<i64>| {
            list.sort_unstable();
            list
        };
        let mut outputs = spec.outputs.clone();
        outputs.sort_unstable();
        if self.username != spec.username {
            Some("username")
        } else if self.password != spec.password {
            Some("password")
        } else if self.expires_at.map(|at| at.timestamp()) != spec.expiry.seconds() {
            Some("expires_at")
        } else if self.connections != spec.connections {
            Some("connections")
        } else if self.bouquets.as_ref().is_none_or(|have| *have != sorted(spec.bouquets.clone())) {
            Some("bouquets")
        } else if self.outputs.as_ref().is_none_or(|have| *have != outputs) {
            Some("outputs")
        } else if self.isp_locked.is_some_and(|locked| locked != spec.isp_lock) {
            Some("isp_lock")
        } else if self.country.as_ref().is_some_and(|country| *country != spec.country) {
            Some("country")
        } else if !self.enabled {
            Some("enabled")
        } else {
            None
        }
    }
}

/// A row as the panel sent it; does not print.
#[derive(Clone, Default, PartialEq)]
pub struct Raw(pub Value);

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Raw(…)")
    }
}

/// How to move an expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// To this instant; may be repeated.
    Until(Expiry),
    /// By buying a package; must never be repeated blindly.
    Package {
        /// The package.
        id: i64,
        /// Expiry before the call: the driver refuses when it has moved already.
        expect_before: Option<DateTime<Utc>>,
    },
}

/// Suspended or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Active {
    /// May watch.
    Yes,
    /// May not watch.
    No,
}

/// What a line may do from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageSpec {
    /// Package for keys that buy packages, a label for others.
    pub package: Option<i64>,
    /// What it may watch.
    pub bouquets: Vec<i64>,
    /// Formats it may use.
    pub outputs: Vec<Output>,
    /// Simultaneous streams.
    pub connections: u32,
    /// New expiry in the same call; `None` keeps the present one.
    pub expiry: Option<Expiry>,
    /// Whether it is bound to an internet provider; `None` keeps what the panel has.
    pub isp_lock: Option<bool>,
    /// The one country it plays from, empty for any; `None` keeps what the panel has.
    pub country: Option<String>,
}

/// Answer of the connection test.
#[derive(Clone, Debug, PartialEq)]
pub struct PanelInfo {
    /// The key's user.
    pub user_id: Option<i64>,
    /// Name of the key's user.
    pub user_name: Option<String>,
    /// Credits left.
    pub credits: Option<Decimal>,
    /// The panel's own time, when it tells.
    pub panel_time: Option<DateTime<Utc>>,
    /// Zone of the key's user, when it tells.
    pub time_zone: Option<String>,
    /// Version, when it tells.
    pub version: Option<String>,
    /// How long the answer took, in milliseconds.
    pub latency_ms: u32,
}

/// What can be sold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    /// Packages.
    pub packages: Vec<Package>,
    /// Bouquets.
    pub bouquets: Vec<Bouquet>,
}

/// A package of a panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Package {
    /// Id on the panel.
    pub id: i64,
    /// Name on the panel.
    pub name: String,
    /// Price in credits.
    pub credits: Option<Decimal>,
    /// Simultaneous streams.
    pub connections: u32,
    /// What it contains.
    pub bouquets: Vec<i64>,
    /// How long it lasts, for people: `1 months`.
    pub duration: String,
    /// How long it lasts, about, in seconds.
    pub duration_s: Option<i64>,
}

/// A bouquet of a panel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bouquet {
    /// Id on the panel.
    pub id: i64,
    /// Name on the panel.
    pub name: String,
}

/// A live stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conn {
    /// Id of the connection on the panel.
    pub id: String,
    /// The line that watches.
    pub line_id: Option<String>,
    /// What is watched.
    pub stream: Option<String>,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
}

/// Where to continue a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub u64);

/// A page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// Its rows.
    pub items: Vec<T>,
    /// Where the next page starts; nothing = that was all.
    pub next: Option<Cursor>,
}

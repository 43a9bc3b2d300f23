#![doc = include_str!("../README.md")]

pub mod apply;
pub mod types;

pub use apply::{
    Applied, ApplyError, Change, Document, FieldChange, GrpcTarget, HttpTarget, Mode, Target, apply, parse,
};
pub use types::{Brand, Panel, Plan, crds_yaml};

/// The documents of the demo brand, with `${…}` left to fill in: `payments_url`, `payments_key`, `webhook_secret`,
/// `panel_url`, `player_url`, `panel_key`, `panel_clock_url`.
pub const DEMO: &str = include_str!("../demo/nordlicht.yaml");

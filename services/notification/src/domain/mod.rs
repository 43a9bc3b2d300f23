//! What decides and renders; nothing here waits.

pub mod defaults;
pub mod delivery;
pub mod format;
pub mod kind;
pub mod mail;
pub mod profile;
pub mod render;
pub mod schedule;

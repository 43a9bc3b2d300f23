//! What unit tests of the gateway share.

use ottery_kit::config::{Section, Sources, load};

/// The embedded defaults.
pub(crate) fn config() -> crate::Config {
    let section = Section { name: crate::NAME, defaults: crate::DEFAULTS };
    load(section, &Sources::default()).expect("the embedded defaults are complete").value
}

//! A real browser in front of the pages.

mod chromium;
mod tab;

pub use chromium::Chromium;
pub use tab::{Scheme, Tab};

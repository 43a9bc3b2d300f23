#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may fail"))]

mod check;
mod child;
mod fonts;
mod glyphs;
mod labels;
mod locale;
mod model;
mod palette;
mod rate;
mod render;
mod script;
mod spawn;
mod view;
mod world;

pub use check::{
    ADDRESS_LINES_MAX, DESCRIPTION_CHARS_MAX, FIELD_CHARS_MAX, Invalid, LINES_MAX, LOGO_BYTES_MAX, NOTES_CHARS_MAX,
    TAX_LINES_MAX,
};
pub use child::{EXIT_FAILED, EXIT_REFUSED, INPUT_BYTES_MAX, render_stream, run};
pub use fonts::{FONT_FOLDERS, Unprintable};
pub use locale::{Locale, LocaleError};
pub use model::{Brand, Buyer, Document, Kind, Line, Period, Seller, Status, TaxLine, Tokens};
pub use palette::{Color, ColorError};
pub use rate::{RateError, TaxRate};
pub use render::{Pdf, RenderError, render, render_with};
pub use spawn::{Drawn, OUTPUT_BYTES_MAX, Renderer, SpawnError, TIME_LIMIT, spawn_render, spawn_within};

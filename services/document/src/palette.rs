//! Brand colours on paper: what is given is kept as long as it can be read on white.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, de, de::Deserializer, ser::Serializer};
use thiserror::Error;

use crate::model::Tokens;

/// Contrast to white that body text needs (WCAG AA).
const TEXT_CONTRAST: f64 = 4.5;
/// Contrast to white that secondary text needs to stay legible in print.
const MUTED_CONTRAST: f64 = 4.5;
/// Panels must stay this light to carry dark text.
const SURFACE_LUMINANCE_MIN: f64 = 0.8;

const WHITE: Color = Color { red: 0xff, green: 0xff, blue: 0xff };
const INK: Color = Color { red: 0x11, green: 0x18, blue: 0x27 };
const GREY: Color = Color { red: 0x5b, green: 0x64, blue: 0x75 };
const PANEL: Color = Color { red: 0xf5, green: 0xf7, blue: 0xfa };
const HAIRLINE: Color = Color { red: 0xe2, green: 0xe6, blue: 0xec };
const ACCENT: Color = Color { red: 0x1f, green: 0x4f, blue: 0xd8 };

/// An opaque colour, written `#rrggbb` or `#rgb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Color {
    red: u8,
    green: u8,
    blue: u8,
}

/// Why a text is no colour.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("colour {0:?} is not of the form #rrggbb or #rgb")]
pub struct ColorError(String);

/// The colours a page is drawn with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Palette {
    /// The brand's colour, for areas.
    accent: Color,
    /// The brand's colour, dark enough for text.
    accent_ink: Color,
    /// Text on an area of the brand's colour.
    on_accent: Color,
    text: Color,
    muted: Color,
    surface: Color,
    border: Color,
    /// Corner radius in points.
    radius: f64,
}

impl Palette {
    /// Chooses readable colours for white paper.
    pub(crate) fn of(tokens: &Tokens) -> Self {
        let accent = tokens.accent.unwrap_or(ACCENT);
        let text = tokens.text.filter(|color| color.contrast(WHITE) >= TEXT_CONTRAST).unwrap_or(INK);
        let muted = tokens.muted.filter(|color| color.contrast(WHITE) >= MUTED_CONTRAST).unwrap_or(GREY);
        let light = |color: &Color| color.luminance() >= SURFACE_LUMINANCE_MIN;
        Self {
            accent,
            accent_ink: accent.readable(),
            on_accent: if accent.contrast(WHITE) >= TEXT_CONTRAST { WHITE } else { INK },
            text,
            muted,
            surface: tokens.surface.filter(|color| light(color) && *color != WHITE).unwrap_or(PANEL),
            border: tokens.border.filter(|color| color.luminance() >= 0.5 && *color != WHITE).unwrap_or(HAIRLINE),
            radius: f64::from(tokens.radius.unwrap_or(8).min(32)) * 0.75,
        }
    }
}

impl Color {
    /// Relative luminance, 0 (black) to 1 (white).
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(self.red) + 0.7152 * linear(self.green) + 0.0722 * linear(self.blue)
    }

    /// Contrast ratio, 1 to 21.
    fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// The colour, darkened in small steps until it can be read on white.
    fn readable(self) -> Self {
        let mut color = self;
        while color.contrast(WHITE) < TEXT_CONTRAST {
            let darker = |channel: u8| u8::try_from(u16::from(channel) * 15 / 16).unwrap_or(0);
            color = Self { red: darker(color.red), green: darker(color.green), blue: darker(color.blue) };
        }
        color
    }
}

impl FromStr for Color {
    type Err = ColorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ColorError(text.chars().take(32).collect());
        let digits = text.strip_prefix('#').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let digits = digits.and_then(|digits| match digits.len() {
            3 => Some(digits.chars().flat_map(|digit| [digit, digit]).collect::<String>()),
            6 => Some(digits.to_owned()),
            _ => None,
        });
        let value = u32::from_str_radix(&digits.ok_or_else(refused)?, 16).map_err(|_| refused())?;
        let [_, red, green, blue] = value.to_be_bytes();
        Ok(Self { red, green, blue })
    }
}

impl fmt::Display for Color {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

impl Serialize for Color {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Color {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(accent: &str, text: &str, surface: &str) -> Tokens {
        Tokens {
            accent: Some(accent.parse().unwrap()),
            text: Some(text.parse().unwrap()),
            surface: Some(surface.parse().unwrap()),
            ..Tokens::default()
        }
    }

    #[test]
    fn a_dark_theme_still_prints_dark_text_on_white() {
        let palette = Palette::of(&tokens("#ffe600", "#fafafa", "#101014"));
        assert_eq!((palette.text, palette.surface), (INK, PANEL));
        assert_eq!(palette.accent.to_string(), "#ffe600");
        assert!(palette.accent_ink.contrast(WHITE) >= TEXT_CONTRAST);
        assert_eq!(palette.on_accent, INK);
    }

    #[test]
    fn colours_are_hexadecimal() {
        assert_eq!("#fA0".parse::<Color>().unwrap().to_string(), "#ffaa00");
        for text in ["red", "#ff", "#fffffff", "#ggg", "ffffff", "#ffff"] {
            assert!(text.parse::<Color>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_light_theme_is_kept_as_it_is() {
        let palette = Palette::of(&tokens("#7c2d12", "#1c1917", "#fff7ed"));
        assert_eq!(palette.accent_ink, palette.accent);
        assert_eq!((palette.text.to_string(), palette.surface.to_string()), ("#1c1917".into(), "#fff7ed".into()));
    }
}

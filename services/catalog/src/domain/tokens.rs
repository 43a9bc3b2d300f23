//! Design tokens: the semantic values pages, mails and invoices read, with their contrast checked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Invalid;

/// Version of the token names understood here.
pub const SCHEMA: u32 = 1;

const COLOURS: [(&str, &str, &str); 10] = [
    // name, light, dark
    ("accent", "#2f5bd7", "#8fb0ff"),
    ("accent-contrast", "#ffffff", "#0b1020"),
    ("surface", "#ffffff", "#0f1420"),
    ("surface-raised", "#f5f7fb", "#1a2130"),
    ("text", "#141a26", "#eef2f9"),
    ("text-muted", "#556074", "#a9b4c7"),
    ("border", "#d5dbe6", "#313b4f"),
    ("danger", "#b3261e", "#ff9a92"),
    ("success", "#1b6e3c", "#7fd8a0"),
    ("warning", "#8a5300", "#f2c265"),
];

/// Pairs that must be readable: foreground, background, WCAG 2.2 ratio (1.4.3 text, 1.4.11 controls).
const PAIRS: [(&str, &str, f64); 9] = [
    ("text", "surface", 4.5),
    ("text", "surface-raised", 4.5),
    ("text-muted", "surface", 4.5),
    ("text-muted", "surface-raised", 4.5),
    ("accent-contrast", "accent", 4.5),
    ("accent", "surface", 3.0),
    ("danger", "surface", 4.5),
    ("success", "surface", 4.5),
    ("warning", "surface", 4.5),
];

/// Fonts are bundled names, never addresses.
const FONTS: [&str; 4] = ["system", "humanist", "geometric", "serif"];

/// Logo text data URI, at most this many bytes.
const LOGO_BYTES_MAX: usize = 64 * 1024;

/// A brand's look; every known name has a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesignTokens {
    /// By name, without the CSS prefix.
    pub values: BTreeMap<String, String>,
    /// Data URI of a PNG or JPEG; empty for a text mark.
    pub logo: String,
}

impl Default for DesignTokens {
    fn default() -> Self {
        let mut values = BTreeMap::new();
        for (name, light, dark) in COLOURS {
            values.insert(name.to_owned(), light.to_owned());
            values.insert(format!("{name}-dark"), dark.to_owned());
        }
        values.insert("radius".to_owned(), "10".to_owned());
        values.insert("font".to_owned(), "system".to_owned());
        Self { values, logo: String::new() }
    }
}

impl DesignTokens {
    /// The given values over the defaults.
    ///
    /// # Errors
    /// Names an unknown token, a malformed colour, or a pair nobody could read with the nearest colour that works.
    pub fn parse(given: impl IntoIterator<Item = (String, String)>, logo: &str) -> Result<Self, Invalid> {
        let mut tokens = Self::default();
        for (name, value) in given {
            let field = format!("tokens.values.{name}");
            let Some(slot) = tokens.values.get_mut(&name) else {
                let known: Vec<&str> = COLOURS.iter().map(|(name, ..)| *name).collect();
                return Err(Invalid::new(
                    field,
                    "TOKEN_UNKNOWN",
                    format!("unknown token; known are {} (each also with `-dark`), radius and font", known.join(", ")),
                ));
            };
            *slot = match name.as_str() {
                "radius" => radius(&field, &value)?,
                "font" => font(&field, &value)?,
                _ => colour(&field, &value)?,
            };
        }
        tokens.check_contrast()?;
        tokens.logo = check_logo(logo)?;
        Ok(tokens)
    }

    fn check_contrast(&self) -> Result<(), Invalid> {
        for scheme in ["", "-dark"] {
            for (front, back, wanted) in PAIRS {
                let (front, back) = (format!("{front}{scheme}"), format!("{back}{scheme}"));
                let (front_rgb, back_rgb) = (self.rgb(&front), self.rgb(&back));
                let ratio = contrast(front_rgb, back_rgb);
                if ratio < wanted {
                    let fix = nearest_readable(front_rgb, &self.demands(&front, scheme));
                    return Err(Invalid::new(
                        format!("tokens.values.{front}"),
                        "CONTRAST_TOO_LOW",
                        format!(
                            "`{front}` on `{back}` has a contrast of {ratio:.2} to 1 and needs {wanted} to 1; {} would do",
                            hex(fix)
                        ),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Everything `front` has to be read on, with the ratios; a suggestion must satisfy all of it.
    fn demands(&self, front: &str, scheme: &str) -> Vec<([u8; 3], f64)> {
        PAIRS
            .iter()
            .filter(|(name, ..)| format!("{name}{scheme}") == front)
            .map(|(_, back, wanted)| (self.rgb(&format!("{back}{scheme}")), *wanted))
            .collect()
    }

    fn rgb(&self, name: &str) -> [u8; 3] {
        let text = self.values.get(name).map_or("#000000", String::as_str);
        let part = |from: usize| u8::from_str_radix(&text[from..from + 2], 16).unwrap_or(0);
        [part(1), part(3), part(5)]
    }
}

fn colour(field: &str, value: &str) -> Result<String, Invalid> {
    let value = value.trim().to_ascii_lowercase();
    let is_hex = value.len() == 7 && value.starts_with('#') && value[1..].bytes().all(|b| b.is_ascii_hexdigit());
    if is_hex {
        return Ok(value);
    }
    Err(Invalid::new(field, "COLOUR_MALFORMED", format!("`{value}` is not a colour such as `#2f5bd7`")))
}

fn radius(field: &str, value: &str) -> Result<String, Invalid> {
    match value.trim().parse::<u8>() {
        Ok(pixels @ 0..=32) => Ok(pixels.to_string()),
        _ => Err(Invalid::new(field, "RADIUS_RANGE", "use whole pixels from 0 to 32")),
    }
}

fn font(field: &str, value: &str) -> Result<String, Invalid> {
    let value = value.trim();
    if FONTS.contains(&value) {
        return Ok(value.to_owned());
    }
    Err(Invalid::new(field, "FONT_UNKNOWN", format!("choose one of {}", FONTS.join(", "))))
}

fn check_logo(logo: &str) -> Result<String, Invalid> {
    let is_picture = ["data:image/png;base64,", "data:image/jpeg;base64,"].iter().any(|kind| logo.starts_with(kind));
    if !logo.is_empty() && (!is_picture || !logo.is_ascii()) {
        return Err(Invalid::new("tokens.logo", "LOGO_TYPE", "use a PNG or JPEG as a base64 data URI"));
    }
    if logo.len() > LOGO_BYTES_MAX {
        return Err(Invalid::new("tokens.logo", "LOGO_SIZE", "the logo may have 64 KiB; make it smaller"));
    }
    Ok(logo.to_owned())
}

fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Relative luminance, WCAG 2.2 definition.
fn luminance(rgb: [u8; 3]) -> f64 {
    let [r, g, b] = rgb.map(|channel| {
        let c = f64::from(channel) / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// The colour closest to `front`, on the way to black or white, that reads on every background.
fn nearest_readable(front: [u8; 3], demands: &[([u8; 3], f64)]) -> [u8; 3] {
    let towards = |target: u8, step: u16| {
        front.map(|channel| {
            let (channel, target) = (u16::from(channel), u16::from(target));
            u8::try_from((channel * (100 - step) + target * step + 50) / 100).unwrap_or(u8::MAX)
        })
    };
    let reads = |colour: [u8; 3]| demands.iter().all(|(back, wanted)| contrast(colour, *back) >= *wanted);
    let is_on_light = demands.iter().all(|(back, _)| luminance(*back) > 0.18);
    (0..=100)
        .flat_map(|step| [towards(0, step), towards(255, step)])
        .find(|candidate| reads(*candidate))
        .unwrap_or(if is_on_light { [0; 3] } else { [255; 3] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, value: &str) -> Result<DesignTokens, Invalid> {
        DesignTokens::parse([(name.to_owned(), value.to_owned())], "")
    }

    #[test]
    fn the_defaults_are_readable_in_both_schemes() {
        assert!(DesignTokens::default().check_contrast().is_ok());
    }

    #[test]
    fn black_on_white_has_the_contrast_of_the_specification() {
        assert!((contrast([0; 3], [255; 3]) - 21.0).abs() < 1e-9);
    }

    #[test]
    fn an_unreadable_colour_is_refused_with_one_that_works() {
        let refused = one("text-muted", "#bbbbbb").unwrap_err();
        assert_eq!((refused.field.as_str(), refused.reason), ("tokens.values.text-muted", "CONTRAST_TOO_LOW"));
        let fix = refused.message.split("to 1; ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().to_owned();
        assert!(one("text-muted", &fix).is_ok(), "the suggested {fix} must pass");
    }

    #[test]
    fn raw_css_never_gets_in() {
        for (name, value) in [
            ("accent", "red;} body{display:none"),
            ("accent", "#fff"),
            ("radius", "10px"),
            ("font", "url(https://evil.example/f.woff)"),
            ("background-image", "#ffffff"),
        ] {
            assert!(one(name, value).is_err(), "{name}: {value}");
        }
        assert!(DesignTokens::parse([], "data:image/svg+xml,<svg onload=alert(1)>").is_err());
    }
}

//! Style sheets, the script and pictures: named after their content, so that browsers may keep them for ever.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use ottery_kernel::BrandId;
use ottery_proto::catalog::v1::{DesignTokens, GetBrandRequest};
use sha2::{Digest as _, Sha256};

use crate::brand::Brand;
use crate::problem::{Refusal, Reply};
use crate::request::RequestInfo;
use crate::state::AppState;

const STYLE: &str = include_str!("../../assets/app.css");
const SCRIPT: &str = include_str!("../../assets/app.js");
const ICON: &str = include_str!("../../assets/icon.svg");
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Addresses of the files.
#[derive(Debug)]
pub struct Names {
    /// The style sheet of every page.
    pub style: String,
    /// The script, which no page needs to work.
    pub script: String,
    /// The icon of pages without a brand.
    pub icon: String,
}

/// Where the files of this build are.
pub static NAMES: LazyLock<Names> = LazyLock::new(|| Names {
    style: format!("/assets/app-{}.css", hash(STYLE)),
    script: format!("/assets/app-{}.js", hash(SCRIPT)),
    icon: format!("/assets/icon-{}.svg", hash(ICON)),
});

/// Twelve hex digits that change with the text.
#[must_use]
pub fn hash(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes())[..6])
}

/// Address of a brand's style sheet.
#[must_use]
pub fn brand_style(brand: &Brand) -> String {
    format!("/assets/brand-{}-{}.css", brand.id, brand.version)
}

/// Address of a brand's icon.
#[must_use]
pub fn brand_icon(brand: &Brand) -> String {
    format!("/assets/brand-{}-{}.svg", brand.id, brand.version)
}

/// `/assets/{name}`
pub async fn serve(State(state): State<AppState>, request: RequestInfo, Path(name): Path<String>) -> Reply<Response> {
    let path = format!("/assets/{name}");
    let fixed = if path == NAMES.style {
        Some(("text/css; charset=utf-8", STYLE))
    } else if path == NAMES.script {
        Some(("text/javascript; charset=utf-8", SCRIPT))
    } else if path == NAMES.icon {
        Some(("image/svg+xml", ICON))
    } else {
        None
    };
    if let Some((kind, text)) = fixed {
        return Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, FOR_EVER)], text).into_response());
    }
    let (id, version, kind) = parse(&name).ok_or_else(Refusal::not_found)?;
    let call = request.own_call(Some(id));
    let asked = GetBrandRequest { brand_id: id.to_string(), slug: String::new() };
    let brand = state.clients.catalog(&call).get_brand(asked).await?.into_inner();
    // Asked for another version, for example by a page from before a change: right now, but not for ever.
    let keep = if brand.version == version { FOR_EVER } else { "public, max-age=5" };
    let tokens = brand.tokens.clone().unwrap_or_default();
    let (kind, text) = match kind {
        Kind::Style => ("text/css; charset=utf-8", style_of(&tokens)),
        Kind::Icon => ("image/svg+xml", icon_of(&brand.name, &tokens)),
    };
    Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, keep)], text).into_response())
}

enum Kind {
    Style,
    Icon,
}

fn parse(name: &str) -> Option<(BrandId, u64, Kind)> {
    let rest = name.strip_prefix("brand-")?;
    let (rest, kind) = match rest.rsplit_once('.')? {
        (rest, "css") => (rest, Kind::Style),
        (rest, "svg") => (rest, Kind::Icon),
        _ => return None,
    };
    let (id, version) = rest.rsplit_once('-')?;
    Some((id.parse().ok()?, version.parse().ok()?, kind))
}

const COLOURS: [&str; 10] = [
    "accent",
    "accent-contrast",
    "surface",
    "surface-raised",
    "text",
    "text-muted",
    "border",
    "danger",
    "success",
    "warning",
];

fn fonts(name: &str) -> &'static str {
    match name {
        "humanist" => "Seravek, 'Gill Sans Nova', Ubuntu, Calibri, 'DejaVu Sans', source-sans-pro, sans-serif",
        "geometric" => "Avenir, Montserrat, Corbel, 'URW Gothic', source-sans-pro, sans-serif",
        "serif" => "Charter, 'Bitstream Charter', 'Sitka Text', Cambria, Georgia, serif",
        _ => "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
    }
}

/// A value that can be nothing but one colour: tokens come from people.
fn colour(value: &str) -> Option<&str> {
    let digits = value.strip_prefix('#')?;
    (digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(value)
}

/// The style sheet that carries a brand's tokens.
#[must_use]
pub fn style_of(tokens: &DesignTokens) -> String {
    let scheme = |suffix: &str| {
        COLOURS.iter().fold(String::new(), |mut css, name| {
            if let Some(value) = tokens.values.get(&format!("{name}{suffix}")).and_then(|value| colour(value)) {
                let _ = write!(css, "--{name}:{value};");
            }
            css
        })
    };
    let (light, dark) = (scheme(""), scheme("-dark"));
    let radius = tokens.values.get("radius").and_then(|radius| radius.parse::<u8>().ok()).unwrap_or(10);
    let font = fonts(tokens.values.get("font").map_or("system", String::as_str));
    format!(
        ":root{{{light}--radius:{radius}px;--font:{font}}}\n\
         @media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}\n\
         :root[data-theme=dark]{{{dark}}}\n"
    )
}

/// A rounded square in the accent colour with the brand's first letter.
#[must_use]
pub fn icon_of(name: &str, tokens: &DesignTokens) -> String {
    let value = |name: &str, fallback: &'static str| {
        tokens.values.get(name).and_then(|value| colour(value)).map_or_else(|| fallback.to_owned(), str::to_owned)
    };
    let letter = name.chars().find(|letter| letter.is_alphanumeric()).unwrap_or('•').to_uppercase().to_string();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 64 64\"><rect width=\"64\" height=\"64\" rx=\"16\" fill=\"{}\"/>\
         <text x=\"32\" y=\"44\" font-family=\"system-ui,sans-serif\" font-size=\"36\" font-weight=\"700\" text-anchor=\"middle\" \
         fill=\"{}\">{letter}</text></svg>",
        value("accent", "#2f5bd7"),
        value("accent-contrast", "#ffffff"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_are_no_colours_never_reach_a_style_sheet() {
        let mut tokens = DesignTokens::default();
        tokens.values.insert("accent".into(), "red;} body{display:none".into());
        tokens.values.insert("surface".into(), "#ffffff".into());
        let css = style_of(&tokens);
        assert!(!css.contains("display"), "{css}");
        assert!(css.contains("--surface:#ffffff;"));
    }

    #[test]
    fn the_style_sheet_of_a_brand_is_named_after_its_version() {
        let id = BrandId::from_uuid(uuid::Uuid::nil());
        let (parsed, version, _) = parse(&format!("brand-{id}-7.css")).unwrap();
        assert_eq!((parsed, version), (id, 7));
        assert!(parse("brand-x-7.css").is_none());
    }
}

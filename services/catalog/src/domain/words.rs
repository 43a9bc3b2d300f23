//! Small values that several things use: slugs, texts with limits, host names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Invalid;

/// Part of an address: lower-case letters, digits and inner hyphens, 1 to 40 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(String);

impl Slug {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Slug {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_good = (1..=40).contains(&text.len())
            && text.chars().all(|c| plain(c) || c == '-')
            && text.starts_with(plain)
            && text.ends_with(plain);
        if is_good {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(
            "slug",
            "SLUG_MALFORMED",
            "use 1 to 40 lower-case letters, digits and hyphens, beginning and ending with a letter or digit",
        ))
    }
}

impl TryFrom<String> for Slug {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> Self {
        slug.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One line of text: trimmed, without control characters, within `min..=max` characters.
pub(super) fn line(field: &str, text: &str, min: usize, max: usize) -> Result<String, Invalid> {
    let text = text.trim();
    let length = text.chars().count();
    if length < min || length > max {
        let wish = if min == 0 { format!("at most {max}") } else { format!("{min} to {max}") };
        return Err(Invalid::new(field, "LENGTH", format!("needs {wish} characters, has {length}")));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::new(field, "CONTROL_CHARACTER", "must be one line without control characters"));
    }
    Ok(text.to_owned())
}

/// An e-mail address, plausibly: the mail server has the last word.
pub(super) fn email(field: &str, text: &str) -> Result<String, Invalid> {
    let text = line(field, text, 3, 254)?;
    let is_plausible = text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !domain.contains('@')
            && domain.len() >= 3
            && domain.split('.').all(|label| !label.is_empty())
            && domain.contains('.')
            && text.chars().all(|c| !c.is_whitespace())
    });
    if is_plausible {
        return Ok(text);
    }
    Err(Invalid::new(field, "EMAIL_MALFORMED", format!("`{text}` is not an e-mail address such as `help@example.org`")))
}

/// A host name as browsers send it: lower case, without port and final dot.
pub(super) fn host(field: &str, text: &str) -> Result<String, Invalid> {
    let text = text.trim().trim_end_matches('.').to_ascii_lowercase();
    let name = match text.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        _ => text.as_str(),
    };
    let is_good = (1..=253).contains(&name.len())
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        });
    if is_good {
        return Ok(name.to_owned());
    }
    Err(Invalid::new(
        field,
        "HOST_MALFORMED",
        format!("`{name}` is not a host name such as `tv.example.org`; write other scripts in their xn-- form"),
    ))
}

/// Two capital letters of ISO 3166-1.
pub(super) fn country(field: &str, text: &str) -> Result<String, Invalid> {
    let text = text.trim().to_ascii_uppercase();
    if text.len() == 2 && text.chars().all(|c| c.is_ascii_uppercase()) {
        return Ok(text);
    }
    Err(Invalid::new(field, "COUNTRY_MALFORMED", "use the two letters of ISO 3166-1, such as `DE`"))
}

/// An IANA time zone.
pub(super) fn zone(field: &str, text: &str) -> Result<chrono_tz::Tz, Invalid> {
    text.trim().parse().map_err(|_| {
        Invalid::new(field, "TIME_ZONE_UNKNOWN", format!("`{text}` is not an IANA time zone such as `Europe/Berlin`"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_loses_its_port_and_capitals() {
        assert_eq!(host("hosts", "TV.Example.org:8443").unwrap(), "tv.example.org");
        assert_eq!(host("hosts", "127.0.0.1").unwrap(), "127.0.0.1");
    }

    #[test]
    fn hosts_that_no_browser_sends_are_refused() {
        for bad in ["", "a b.example", "-x.example", "https://tv.example.org", "tv..example", "*.example.org"] {
            assert_eq!(host("hosts[0]", bad).unwrap_err().reason, "HOST_MALFORMED", "{bad}");
        }
    }

    #[test]
    fn a_slug_begins_and_ends_with_a_letter_or_digit() {
        assert!("family-4k".parse::<Slug>().is_ok());
        for bad in ["", "-a", "a-", "A", "a_b", "é"] {
            assert!(bad.parse::<Slug>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_needs_a_domain() {
        assert!(email("e", "help@example.org").is_ok());
        for bad in ["help", "@example.org", "a@b", "a b@example.org", "a@ex..org"] {
            assert!(email("e", bad).is_err(), "{bad}");
        }
    }
}

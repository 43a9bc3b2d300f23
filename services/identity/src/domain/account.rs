//! People who can sign in.

use std::fmt;

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, Locale};
use ottery_kit::db::Scope;

use super::Invalid;

const EMAIL_CHARS_MAX: usize = 254;
const LOCAL_CHARS_MAX: usize = 64;
const NAME_CHARS_MAX: usize = 100;

/// Where an account lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Realm {
    /// A customer of one brand.
    Customer(BrandId),
    /// Staff; of no brand.
    Staff,
}

impl Realm {
    /// The brand of a customer.
    #[must_use]
    pub fn brand(self) -> Option<BrandId> {
        match self {
            Self::Customer(brand) => Some(brand),
            Self::Staff => None,
        }
    }

    /// The realm of a row by its brand column.
    #[must_use]
    pub fn of(brand: Option<BrandId>) -> Self {
        brand.map_or(Self::Staff, Self::Customer)
    }

    /// Whether it is the staff's.
    #[must_use]
    pub fn is_staff(self) -> bool {
        self == Self::Staff
    }

    /// The rows it sees.
    #[must_use]
    pub fn scope(self) -> Scope {
        Scope::from(self.brand())
    }
}

/// An account without its secrets (the stored hash cannot be used to sign in).
#[derive(Clone, Debug)]
pub struct Account {
    /// Identity.
    pub id: AccountId,
    /// Where it lives.
    pub realm: Realm,
    /// Address, unique in its realm.
    pub email: Email,
    /// Argon2id in PHC form; none until an invited member of staff chose a password.
    pub password_hash: Option<String>,
    /// Whether the address was proven.
    pub email_verified: bool,
    /// As they want to be called; may be empty.
    pub display_name: String,
    /// Language of their mails.
    pub locale: String,
    /// ISO 3166-1 alpha-2, or empty.
    pub country: String,
    /// Whether a second factor is confirmed.
    pub totp_enrolled: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// An e-mail address in the one form it is stored and compared in: trimmed, lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// Reads an address; the mail that must be answered proves it, so only what cannot be one is refused.
    ///
    /// # Errors
    /// Names the field.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let refused = || Invalid::new("email", "EMAIL_MALFORMED", "give an e-mail address such as name@example.org");
        let text = text.trim().to_lowercase();
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"".contains(c);
        let (local, domain) = text.rsplit_once('@').ok_or_else(refused)?;
        let labels_fit = domain
            .split('.')
            .all(|label| !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-'));
        let fits = !local.is_empty()
            && local.len() <= LOCAL_CHARS_MAX
            && text.len() <= EMAIL_CHARS_MAX
            && !local.contains('@')
            && domain.contains('.')
            && labels_fit
            && !text.contains(forbidden);
        if fits { Ok(Self(text)) } else { Err(refused()) }
    }

    /// What the database holds.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the `@`.
    #[must_use]
    pub fn local(&self) -> &str {
        self.0.rsplit_once('@').map_or(&self.0, |(local, _)| local)
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name to show; may be empty.
///
/// # Errors
/// Too long, or with characters that break lines of mails and logs.
pub fn display_name(text: &str) -> Result<String, Invalid> {
    let text = text.trim();
    if text.chars().count() > NAME_CHARS_MAX || text.chars().any(char::is_control) {
        return Err(Invalid::new("display_name", "NAME_MALFORMED", "use up to 100 characters on one line"));
    }
    Ok(text.to_owned())
}

/// A country code; may be empty.
///
/// # Errors
/// Anything but two letters.
pub fn country(text: &str) -> Result<String, Invalid> {
    let fits = text.is_empty() || (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic()));
    if !fits {
        return Err(Invalid::new("country", "COUNTRY_MALFORMED", "use the two-letter code of the country, such as DE"));
    }
    Ok(text.to_ascii_uppercase())
}

/// A language tag; empty takes `fallback`.
///
/// # Errors
/// Not a language tag.
pub fn locale(text: &str, fallback: &str) -> Result<String, Invalid> {
    if text.is_empty() {
        return Ok(fallback.to_owned());
    }
    let locale: Result<Locale, _> = text.parse();
    locale
        .map(|locale| locale.to_string())
        .map_err(|error| Invalid::new("locale", "LOCALE_MALFORMED", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_in_one_form() {
        assert_eq!(Email::parse(" Ann@Example.ORG ").unwrap(), Email::parse("ann@example.org").unwrap());
        for text in [
            "",
            "ann",
            "@example.org",
            "ann@",
            "ann@example",
            "a b@example.org",
            "ann@exa mple.org",
            "ann@-x.org",
            "ann@example..org",
            "ann@b@example.org",
            "ann\r\nBcc: x@example.org",
            "<ann@example.org>",
        ] {
            assert!(Email::parse(text).is_err(), "{text:?} was accepted");
        }
        assert!(Email::parse(&format!("{}@example.org", "x".repeat(65))).is_err());
    }

    #[test]
    fn names_and_countries_stay_on_one_line() {
        assert_eq!(display_name("  Ann ").unwrap(), "Ann");
        assert!(display_name("Ann\nBcc: x").is_err());
        assert!(display_name(&"x".repeat(101)).is_err());
        assert_eq!(country("de").unwrap(), "DE");
        assert!(country("DEU").is_err());
        assert_eq!(locale("", "de").unwrap(), "de");
        assert!(locale("english please", "de").is_err());
    }
}

//! What mails of a brand look like and come from.

use std::collections::BTreeMap;

use ottery_kernel::BrandId;

/// What mails of a brand look like and come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// As the sender is shown.
    pub name: String,
    /// First host, without a port: where links lead.
    pub host: String,
    /// Language when the customer's does not exist.
    pub default_locale: String,
    /// Zone of the dates in mails.
    pub time_zone: String,
    /// Empty: no-reply at the host.
    pub sender_email: String,
    /// Where answers go; may be empty.
    pub support_email: String,
    /// Design tokens by name.
    pub tokens: BTreeMap<String, String>,
    /// Data URI; may be empty.
    pub logo: String,
}

/// A picture to put into a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo {
    /// `image/png` or `image/jpeg`; mail programs show nothing else.
    pub media_type: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
}

impl Profile {
    /// The address mails come from.
    #[must_use]
    pub fn sender(&self) -> String {
        if self.sender_email.is_empty() { format!("no-reply@{}", self.host) } else { self.sender_email.clone() }
    }

    /// A design token, or what is used without one.
    #[must_use]
    pub fn token(&self, name: &str) -> &str {
        self.tokens.get(name).map_or_else(
            || match name {
                "accent" => "#2f5bd7",
                "accent-contrast" | "surface-raised" => "#ffffff",
                "surface" => "#f4f5f8",
                "text-muted" => "#5b6270",
                _ => "#1b1f27",
            },
            String::as_str,
        )
    }

    /// The logo, when it is a picture that mail programs show.
    #[must_use]
    pub fn picture(&self) -> Option<Logo> {
        use base64::Engine as _;
        let (media_type, data) = ["image/png", "image/jpeg"].into_iter().find_map(|media_type| {
            let data = self.logo.strip_prefix("data:")?.strip_prefix(media_type)?.strip_prefix(";base64,")?;
            Some((media_type, data))
        })?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(data.trim()).ok()?;
        Some(Logo { media_type, bytes })
    }
}

/// Mails to staff belong to no brand; their rows carry this one.
#[must_use]
pub const fn platform() -> BrandId {
    BrandId::from_uuid(uuid::Uuid::nil())
}

/// The brand as other services know it.
#[must_use]
pub fn outside(brand: BrandId) -> Option<BrandId> {
    (brand != platform()).then_some(brand)
}

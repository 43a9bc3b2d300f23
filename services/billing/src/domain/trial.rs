//! One trial per person: by what somebody is known again.

use std::fmt;

use ottery_kernel::BrandId;

/// What the keyed hash of a sign is made for.
pub const PURPOSE: &str = "billing.trial_sign";

/// By what somebody is known again, in the order in which everybody takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sign {
    /// The mailbox.
    Email,
    /// The browser.
    Device,
    /// What they paid with.
    Card,
}

impl Sign {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Device => "device",
            Self::Card => "card",
        }
    }

    /// The sign stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Email, Self::Device, Self::Card].into_iter().find(|sign| sign.as_str() == text)
    }

    /// What is hashed: the same sign is another one in another brand.
    #[must_use]
    pub fn hashed_data(self, brand: BrandId, value: &str) -> Vec<u8> {
        let mut data = brand.as_uuid().as_bytes().to_vec();
        data.extend_from_slice(self.as_str().as_bytes());
        data.push(b'\n');
        data.extend_from_slice(value.as_bytes());
        data
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Email => "with this e-mail address",
            Self::Device => "on this device",
            Self::Card => "with this means of payment",
        })
    }
}

/// What becomes of a trial whose customer pays with what paid in another person's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReusedCard {
    /// What is left of it ends.
    #[default]
    End,
    /// It goes on; staff get a task.
    Keep,
}

impl ReusedCard {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Keep => "keep",
        }
    }

    /// The rule stored as `text`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::End, Self::Keep].into_iter().find(|rule| rule.as_str() == text)
    }
}

/// By what a brand tells that somebody had a trial before; what it never chose is as in the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrialRules {
    /// Addresses of one mailbox are one person.
    pub by_email: bool,
    /// Who sits at one browser is one person.
    pub by_device: bool,
    /// Who pays with one card is one person.
    pub by_card: bool,
    /// When the card is known only later.
    pub reused_card: ReusedCard,
    /// Grows with every change; 0 before the first.
    pub version: i64,
}

impl Default for TrialRules {
    fn default() -> Self {
        Self { by_email: true, by_device: true, by_card: true, reused_card: ReusedCard::End, version: 0 }
    }
}

impl TrialRules {
    /// Whether the sign keeps somebody from another trial.
    #[must_use]
    pub const fn counts(&self, sign: Sign) -> bool {
        match sign {
            Sign::Email => self.by_email,
            Sign::Device => self.by_device,
            Sign::Card => self.by_card,
        }
    }
}

/// One spelling per mailbox: lower case, without what follows a plus, and at Gmail without dots. Elsewhere dots tell people
/// apart, so they stay.
#[must_use]
pub fn canonical_email(address: &str) -> String {
    let address = address.trim().to_lowercase();
    let Some((local, domain)) = address.rsplit_once('@') else { return address };
    let domain = match domain.trim_end_matches('.') {
        "googlemail.com" => "gmail.com",
        domain => domain,
    };
    let local = match local.split_once('+') {
        Some((mailbox, _)) if !mailbox.is_empty() => mailbox,
        _ => local,
    };
    if domain == "gmail.com" { format!("{}@{domain}", local.replace('.', "")) } else { format!("{local}@{domain}") }
}

#[cfg(test)]
mod tests {
    use ottery_kernel::BrandId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn case_113_addresses_of_one_mailbox_are_one_and_those_of_two_stay_two() {
        for (written, canonical) in [
            ("Ada+tv@Example.com", "ada@example.com"),
            ("ada@example.com.", "ada@example.com"),
            ("  ada+a+b@example.com ", "ada@example.com"),
            ("a.d.a+1@GoogleMail.com", "ada@gmail.com"),
            ("a.da@gmail.com", "ada@gmail.com"),
            // Dots mean something at most hosts.
            ("a.da@example.com", "a.da@example.com"),
            // Nothing would be left of it.
            ("+tv@example.com", "+tv@example.com"),
            ("\"odd@local\"@example.com", "\"odd@local\"@example.com"),
            ("nobody", "nobody"),
        ] {
            assert_eq!(canonical_email(written), canonical);
        }
    }

    #[test]
    fn secure_s24_a_sign_is_another_one_in_another_brand_and_of_another_kind() {
        let brand = |n| BrandId::from_uuid(Uuid::from_u128(n));
        let data = Sign::Email.hashed_data(brand(1), "ada");
        assert_ne!(data, Sign::Email.hashed_data(brand(2), "ada"));
        assert_ne!(data, Sign::Device.hashed_data(brand(1), "ada"));
        for sign in [Sign::Email, Sign::Device, Sign::Card] {
            assert_eq!(Sign::from_text(sign.as_str()), Some(sign));
            assert!(TrialRules::default().counts(sign));
        }
    }
}

//! Mails identity asks for, and the links in them.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::{NoContext, Timestamp, Uuid};

use super::Invalid;

/// Identity of a mail that was asked for; `mrq_…` outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MailRequestId(Uuid);

impl MailRequestId {
    const PREFIX: &'static str = "mrq_";

    /// A fresh id.
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
        Self(Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos())))
    }

    /// What to store.
    #[must_use]
    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for MailRequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.0.simple())
    }
}

impl FromStr for MailRequestId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digits = text.strip_prefix(Self::PREFIX).filter(|digits| digits.len() == 32);
        digits
            .and_then(|digits| Uuid::try_parse(digits).ok())
            .map(Self)
            .ok_or_else(|| Invalid::new("mail_request_id", "ID_MALFORMED", "expected `mrq_` and 32 hexadecimal digits"))
    }
}

/// Why a mail is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Prove the address.
    VerifyEmail,
    /// Choose a new password.
    ResetPassword,
    /// Somebody signed up with an address that has an account.
    AlreadyRegistered,
    /// Choose the first password of a staff account.
    StaffInvitation,
    /// Somebody signed in from where nobody did before.
    NewDevice,
    /// The password is another one now.
    PasswordChanged,
}

impl Purpose {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
            Self::AlreadyRegistered => "already_registered",
            Self::StaffInvitation => "staff_invitation",
            Self::NewDevice => "new_device",
            Self::PasswordChanged => "password_changed",
        }
    }

    /// As read.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        [
            Self::VerifyEmail,
            Self::ResetPassword,
            Self::AlreadyRegistered,
            Self::StaffInvitation,
            Self::NewDevice,
            Self::PasswordChanged,
        ]
        .into_iter()
        .find(|purpose| purpose.as_str() == text)
    }

    /// How long the link in it works; none for mails without one.
    #[must_use]
    pub fn token_lifetime(self) -> Option<TimeDelta> {
        match self {
            Self::ResetPassword => Some(TimeDelta::minutes(30)),
            Self::VerifyEmail | Self::StaffInvitation => Some(TimeDelta::hours(48)),
            Self::AlreadyRegistered | Self::NewDevice | Self::PasswordChanged => None,
        }
    }

    /// Whether its link sets a password.
    #[must_use]
    pub fn sets_password(self) -> bool {
        matches!(self, Self::ResetPassword | Self::StaffInvitation)
    }
}

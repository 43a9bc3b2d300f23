//! What a use case refuses, and how callers hear of it.

use chrono::TimeDelta;
use ottery_kit::grpc::Problem;
use ottery_kit::keyring::SealError;

use crate::domain::Invalid;
use crate::domain::password::PasswordRefused;

/// Why a use case did nothing.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A field cannot be right.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The password is not taken.
    #[error(transparent)]
    Password(#[from] PasswordRefused),
    /// Nothing of that id that the caller may know of.
    #[error("no {what} of that id")]
    NotFound {
        /// `account`, `session`, …
        what: &'static str,
    },
    /// Unknown address or wrong password; which of the two is not told.
    #[error("the e-mail address or the password is wrong")]
    SignInFailed,
    /// The second proof is wrong.
    #[error("the password or the code is wrong")]
    ProofFailed,
    /// The code is wrong, old or used.
    #[error("the code is wrong or was used; wait for the next one, or use a recovery code")]
    CodeWrong,
    /// Too many failures, or too many tries from one place.
    #[error("too many tries; wait {} seconds and try again", .retry_after.num_seconds() + 1)]
    TooManyTries {
        /// How long to wait.
        retry_after: TimeDelta,
    },
    /// More passwords to check than the machine can.
    #[error("very many people sign in right now; try again in a moment")]
    Busy,
    /// No live session behind the secret.
    #[error("the session has ended; sign in again")]
    SessionEnded,
    /// No live challenge behind the secret.
    #[error("the sign-in took too long; start again with your password")]
    ChallengeEnded,
    /// The link of a mail does not work (any more).
    #[error("this link was used, replaced by a newer one, or is too old; ask for a new mail")]
    LinkDead,
    /// Staff without a second factor.
    #[error("enrol a second factor first")]
    EnrolmentRequired,
    /// There is nothing to confirm.
    #[error("start enrolling a second factor first")]
    NotEnrolling,
    /// There is an owner already.
    #[error("set-up was completed and is closed; sign in instead")]
    SetupClosed,
    /// Not the token that was printed.
    #[error("this is not the set-up token that was printed at the first start")]
    SetupTokenWrong,
    /// The mail has no link.
    #[error("mails of this kind hold no link")]
    MailWithoutLink,
    /// Nobody would be left to own the platform.
    #[error("this is the last owner of the platform; make another one first")]
    LastOwner,
    /// A grant or key would hold more than its maker.
    #[error("you cannot hand out `{permission}`, which you do not hold yourself here")]
    NotYours {
        /// What the caller lacks.
        permission: String,
    },
    /// A key that does not work.
    #[error("this API key is unknown, has ended or belongs to another brand")]
    KeyDead,
    /// A permission or a fresh proof is missing.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// A stored secret does not open.
    #[error("a sealed second factor does not open")]
    Seal(#[from] SealError),
    /// The database did not do it.
    #[error("identity's database failed")]
    Store(#[from] sqlx::Error),
}

impl AppError {
    pub(super) fn missing(what: &'static str) -> Self {
        Self::NotFound { what }
    }
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        let text = error.to_string();
        match error {
            AppError::Invalid(invalid) => Self::invalid(invalid.field, invalid.reason, invalid.message),
            AppError::Password(refused) => Self::invalid("password", refused.reason(), text),
            AppError::NotFound { what: "session" } => Self::not_found("SESSION_NOT_FOUND", text),
            AppError::NotFound { what: "grant" } => Self::not_found("GRANT_NOT_FOUND", text),
            AppError::NotFound { what: "API key" } => Self::not_found("API_KEY_NOT_FOUND", text),
            AppError::NotFound { what: "mail" } => Self::not_found("MAIL_NOT_FOUND", text),
            AppError::NotFound { .. } => Self::not_found("ACCOUNT_NOT_FOUND", text),
            AppError::SignInFailed => Self::unauthenticated("SIGN_IN_FAILED", text),
            AppError::ProofFailed => Self::unauthenticated("PROOF_FAILED", text),
            AppError::CodeWrong => Self::unauthenticated("CODE_WRONG", text),
            AppError::TooManyTries { retry_after } => {
                Self::exhausted("TOO_MANY_TRIES", text).with("retry_after_s", retry_after.num_seconds() + 1)
            }
            AppError::Busy => Self::unavailable("SIGN_IN_BUSY", text).with("retry_after_s", 1),
            AppError::SessionEnded => Self::unauthenticated("SESSION_ENDED", text),
            AppError::ChallengeEnded => Self::unauthenticated("CHALLENGE_ENDED", text),
            AppError::LinkDead => Self::invalid("token", "LINK_DEAD", text),
            AppError::EnrolmentRequired => Self::denied("ENROLMENT_REQUIRED", text),
            AppError::NotEnrolling => Self::refused("NOT_ENROLLING", text),
            AppError::SetupClosed => Self::refused("SETUP_CLOSED", text),
            AppError::SetupTokenWrong => Self::unauthenticated("SETUP_TOKEN_WRONG", text),
            AppError::MailWithoutLink => Self::refused("MAIL_WITHOUT_LINK", text),
            AppError::LastOwner => Self::refused("LAST_OWNER", text),
            AppError::NotYours { permission } => Self::denied("NOT_YOURS_TO_GIVE", text).with("permission", permission),
            AppError::KeyDead => Self::unauthenticated("API_KEY_INVALID", text),
            AppError::Problem(problem) => problem,
            AppError::Seal(error) => Self::internal(&error),
            AppError::Store(error) => error.into(),
        }
    }
}

//! The time machine: the workers that bill every day, on a copy of a brand's book whose clock is moved.
//!
//! [`Journey::begin`] copies the book as one transaction sees it into the scratch database (`copy`); [`Journey::arrange`]
//! changes in the copy what is to be tried (`arrange`); [`Journey::live_until`] moves the clock from one due instant to the
//! next and lets the scheduler, the charges, the expiry of credits and the recognition of revenue work off what that makes due
//! (`walk`); [`Journey::entries`] reads what came of it (`told`).
//!
//! Nothing of it is seen outside: the copy's [`Billing`] has the scratch role and a host that is cut off, its providers are
//! [`Assumed`](crate::provider::assumed::Assumed), and no relay reads its outbox.

mod arrange;
mod copy;
mod job;
mod mails;
mod told;
mod walk;
mod work;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use ottery_kernel::BrandId;
use ottery_kit::db::Scratch;

use super::Billing;
use crate::store::time_machine::Known;

pub use copy::known_tables;
pub use told::{Postman, Told, happened};
pub use walk::Watcher;
pub use work::run;

/// The scratch database and its role are called so.
pub const SCRATCH: &str = "time_machine";

/// A copy of a brand's book, on its way through time.
#[derive(Debug)]
pub struct Journey {
    /// Billing as it works on the copy.
    pub billing: Billing,
    /// The brand's time when the copy was made.
    pub begins: DateTime<Utc>,
    brand: BrandId,
    /// Of the legal entity, whose days become revenue.
    zone: Tz,
    scratch: Scratch,
    known: Known,
}

impl Journey {
    /// Throws the copy away.
    ///
    /// # Errors
    /// When somebody else has the scratch database, or it is away.
    pub async fn end(self) -> anyhow::Result<()> {
        Ok(self.scratch.clear().await?)
    }
}

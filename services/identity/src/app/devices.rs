//! Recognising from where somebody signs in.

use sqlx::postgres::PgTransaction;

use super::{App, AppError};
use crate::domain::mail::Purpose;
use crate::domain::token::Hash;
use crate::domain::{Account, Device};
use crate::store::device::{familiarity, remember};

impl App {
    fn device_hashes(&self, account: &Account, device: &Device) -> (Hash, Hash) {
        let hash = |text: String| self.keyring.keyed_hash("device", format!("{}\n{text}", account.id).as_bytes());
        (hash(device.exact()), hash(device.near()))
    }

    /// Whether the account was signed in from this very place before.
    pub(super) async fn knows(
        &self,
        tx: &mut PgTransaction<'_>,
        account: &Account,
        device: &Device,
    ) -> sqlx::Result<bool> {
        let (exact, near) = self.device_hashes(account, device);
        Ok(device.network().is_some() && familiarity(tx, account.id, &exact, &near).await?.exact)
    }

    /// Remembers the device; somebody who has signed in elsewhere before gets a notice by mail.
    pub(super) async fn greet(
        &self,
        tx: &mut PgTransaction<'_>,
        account: &Account,
        device: &Device,
    ) -> Result<(), AppError> {
        let (exact, near) = self.device_hashes(account, device);
        let known = familiarity(tx, account.id, &exact, &near).await?;
        if known.any && !known.near {
            self.request_mail(tx, account, Purpose::NewDevice).await?;
        }
        remember(tx, account.realm, account.id, &exact, &near, self.now()).await?;
        Ok(())
    }
}

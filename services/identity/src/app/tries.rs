//! Slowing down whoever guesses.

use std::time::Duration;

use chrono::TimeDelta;
use ottery_kernel::AccountId;
use ottery_kit::limit::{Decision, Rate};
use sqlx::PgConnection;

use super::{App, AppError};
use crate::config::Config;
use crate::domain::backoff::{Verdict, judge};
use crate::domain::token::Hash;
use crate::domain::{Device, Email, Realm};
use crate::store::backoff;

/// How often things may be tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    per_address: Rate,
    everywhere: Rate,
    sign_ups: Rate,
    mails: Rate,
}

impl Limits {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            per_address: Rate::per_minute(config.tries_per_address_per_minute),
            everywhere: Rate::per_minute(config.tries_per_minute),
            sign_ups: Rate::per_hour(config.sign_ups_per_address_per_hour),
            mails: Rate::per_hour(config.mails_per_account_per_hour),
        }
    }
}

impl App {
    /// One more try from an address.
    pub(super) async fn limit_address(&self, device: &Device) -> Result<(), AppError> {
        let Some(network) = device.network() else { return Ok(()) };
        self.limit(&format!("identity:tries:{network}"), self.limits.per_address).await
    }

    /// One more try from anywhere.
    pub(super) async fn limit_everywhere(&self) -> Result<(), AppError> {
        self.limit("identity:tries", self.limits.everywhere).await
    }

    /// One more account from an address.
    pub(super) async fn limit_sign_ups(&self, device: &Device) -> Result<(), AppError> {
        let Some(network) = device.network() else { return Ok(()) };
        self.limit(&format!("identity:sign-ups:{network}"), self.limits.sign_ups).await
    }

    /// Whether one more mail of a kind may go to an account; strangers can ask for mails, so a flood ends here.
    pub(super) async fn may_mail(&self, kind: &str, account: AccountId) -> bool {
        self.limiter.check(&format!("identity:mail:{kind}:{account}"), self.limits.mails).await.is_allowed()
    }

    async fn limit(&self, key: &str, rate: Rate) -> Result<(), AppError> {
        match self.limiter.check(key, rate).await {
            Decision::Allowed { .. } => Ok(()),
            Decision::Denied { retry_after } => Err(AppError::TooManyTries { retry_after: delta(retry_after) }),
        }
    }

    /// The count that tries to sign in with an address go to. A device the account knows has a count of its own, so that a
    /// stranger who guesses keeps nobody out.
    pub(super) fn sign_in_key(&self, realm: Realm, email: &Email, known: Option<&Device>) -> Hash {
        let device = known.map(Device::exact).unwrap_or_default();
        self.keyring.keyed_hash("tries to sign in", format!("{realm:?}\n{email}\n{device}").as_bytes())
    }

    /// The count of codes tried for an account.
    pub(super) fn code_key(&self, account: AccountId) -> Hash {
        self.keyring.keyed_hash("tries of codes", account.to_string().as_bytes())
    }

    /// The count of proofs tried by somebody who is signed in.
    pub(super) fn proof_key(&self, account: AccountId) -> Hash {
        self.keyring.keyed_hash("tries of proofs", account.to_string().as_bytes())
    }

    /// Counts a try as failed before it is made; success clears the count.
    pub(super) async fn count_try(&self, tx: &mut PgConnection, realm: Realm, key: &Hash) -> Result<(), AppError> {
        let now = self.now();
        match judge(backoff::lock(tx, realm, key, now).await?, now) {
            Verdict::Go(failures) => Ok(backoff::set(tx, key, failures, now).await?),
            Verdict::Wait(retry_after) => Err(AppError::TooManyTries { retry_after }),
        }
    }

    /// A try that was counted and not made, because the machine is busy, is given back.
    pub(super) async fn give_back<T>(
        &self,
        outcome: Result<T, AppError>,
        realm: Realm,
        key: &Hash,
    ) -> Result<T, AppError> {
        if matches!(outcome, Err(AppError::Busy)) {
            let mut tx = self.begin(realm).await?;
            backoff::give_back(&mut tx, key).await?;
            tx.commit().await?;
        }
        outcome
    }
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

//! The worker that sends: claims mails, hands each over, and writes down what is known afterwards.
//!
//! Nothing leaves before the database says that it does: a crash in between leaves a mail that is `sending`, and whoever
//! finds one later makes it `unknown` instead of sending it twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottery_kernel::DeliveryId;
use ottery_kit::db::{Scope, begin};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::App;
use super::settle::Outcome;
use crate::domain::delivery::{Command, State};
use crate::domain::kind::Kind;
use crate::domain::profile::Profile;
use crate::smtp::{Conversation, Fault};
use crate::store::delivery::{self, Delivery};
use crate::store::due::{self, Claim};
use crate::store::template::{self, Own};

/// How long everything before the text leaves may take.
const PREPARATION_MAX: Duration = Duration::from_secs(150);
const POLL: Duration = Duration::from_millis(300);

/// A mail that may be sent now.
struct Ready {
    delivery: Delivery,
    profile: Profile,
    own: Vec<Own>,
}

/// Claims of attempts that are under way.
#[derive(Clone, Default)]
struct InHand(Arc<Mutex<HashMap<DeliveryId, Claim>>>);

impl InHand {
    fn lock(&self) -> MutexGuard<'_, HashMap<DeliveryId, Claim>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps their leases; ends with the loop.
    async fn keep(self, app: App) {
        let lease = app.config.lease();
        loop {
            tokio::time::sleep(lease / 3).await;
            let claims: Vec<Claim> = self.lock().values().copied().collect();
            if claims.is_empty() {
                continue;
            }
            if let Err(error) = due::renew(&app.pool, &claims, lease).await {
                tracing::warn!(%error, "cannot prolong leases; others may take mails over");
            }
        }
    }
}

/// Sends what is due until `shutdown`; mails on their way are finished.
pub async fn run(app: App, shutdown: CancellationToken) -> anyhow::Result<()> {
    let most = app.config.concurrency.max(1);
    let in_hand = InHand::default();
    let mut side = JoinSet::new();
    side.spawn(in_hand.clone().keep(app.clone()));
    let mut working = JoinSet::new();
    loop {
        while let Some(done) = working.try_join_next() {
            done?;
        }
        let free = most.saturating_sub(working.len());
        let claims = if free > 0 && !shutdown.is_cancelled() { app.claim(free).await? } else { Vec::new() };
        let is_idle = claims.len() < free;
        for claim in claims {
            in_hand.lock().insert(claim.delivery, claim);
            let (app, in_hand) = (app.clone(), in_hand.clone());
            working.spawn(async move {
                if let Err(error) = app.attempt(&claim).await {
                    tracing::error!(delivery.id = %claim.delivery, error = %error, "a mail waits for the database");
                }
                in_hand.lock().remove(&claim.delivery);
            });
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(done) = working.join_next() => done?,
            () = tokio::time::sleep(POLL), if is_idle => {}
        }
    }
    while let Some(done) = working.join_next().await {
        done?;
    }
    Ok(())
}

impl App {
    async fn claim(&self, limit: usize) -> sqlx::Result<Vec<Claim>> {
        let stale = Duration::from_secs(u64::from(self.config.give_up_after_hours) * 3_600);
        due::claim(&self.pool, i64::try_from(limit).unwrap_or(1), self.config.lease(), stale).await
    }

    /// One attempt to send one mail.
    async fn attempt(&self, claim: &Claim) -> sqlx::Result<()> {
        let Some(ready) = self.ready(claim).await? else { return Ok(()) };
        let prepared = match tokio::time::timeout(PREPARATION_MAX, self.prepare(&ready)).await {
            Ok(prepared) => prepared,
            Err(_) => Err(Fault::Later("preparing the mail took too long".to_owned())),
        };
        let (mut conversation, text, subject) = match prepared {
            Ok(prepared) => prepared,
            Err(fault) => return self.settle(claim, &Outcome::from_fault(fault)).await,
        };
        if !self.journal(claim, &ready.delivery, &subject).await? {
            conversation.close().await;
            return Ok(());
        }
        let outcome = match conversation.hand_over(&text).await {
            Ok(()) => Outcome::Accepted,
            Err(fault) => Outcome::from_fault(fault),
        };
        let settled = self.settle(claim, &outcome).await;
        conversation.close().await;
        settled
    }

    /// Reads the mail; none when there is nothing to send (any more).
    async fn ready(&self, claim: &Claim) -> sqlx::Result<Option<Ready>> {
        let mut tx = begin(&self.pool, Scope::Brand(claim.brand)).await?;
        // The claim keeps others away; what it does not see is looked at again before anything leaves.
        let Some(mut delivery) = delivery::get(&mut tx, claim.delivery).await? else {
            due::done(&mut tx, claim).await?;
            tx.commit().await?;
            return Ok(None);
        };
        match delivery.state {
            State::Planned => {}
            State::Sending => {
                tx.rollback().await?;
                let lost = "the process ended while the mail was on its way; nobody knows whether it arrived";
                self.settle(claim, &Outcome::Lost(lost.to_owned())).await?;
                return Ok(None);
            }
            State::Sent | State::Unknown | State::Failed => {
                due::done(&mut tx, claim).await?;
                tx.commit().await?;
                return Ok(None);
            }
        }
        let profile = self.profile(&mut tx, claim.brand).await?.filter(|profile| !profile.host.is_empty());
        let Some(profile) = profile else {
            tx.rollback().await?;
            let reason = "the brand is not known here yet, or has no host".to_owned();
            self.settle(claim, &Outcome::Later(reason)).await?;
            return Ok(None);
        };
        let own = match Kind::from_name(&delivery.template) {
            Some(kind) => template::of_kind(&mut tx, kind).await?,
            None => Vec::new(),
        };
        if delivery.message_id.is_empty() {
            // Stable from the first attempt on: a server that sees a mail twice can know it.
            delivery.message_id = format!("<{}@{}>", delivery.id, profile.host);
        }
        tx.rollback().await?;
        Ok(Some(Ready { delivery, profile, own }))
    }

    /// Everything that can go wrong without a doubt. The server is asked first: while it is away, no token is minted
    /// and no credentials are revealed.
    async fn prepare(&self, ready: &Ready) -> Result<(Conversation, Vec<u8>, String), Fault> {
        let mut conversation = self.mailer.connect(&ready.profile.host).await?;
        let composed = match self.secrets(ready.delivery.brand, &ready.delivery.params.secret).await {
            Ok(secrets) => self.compose(&ready.delivery, &ready.profile, &ready.own, secrets),
            Err(fault) => Err(fault),
        };
        let offered = match composed {
            Ok(composed) => conversation.offer(composed.message.envelope()).await.map(|()| composed),
            Err(fault) => Err(fault),
        };
        match offered {
            Ok(composed) => Ok((conversation, composed.message.formatted(), composed.subject)),
            Err(fault) => {
                conversation.close().await;
                Err(fault)
            }
        }
    }

    /// Writes down that the text leaves now; false when somebody else has the mail.
    async fn journal(&self, claim: &Claim, known: &Delivery, subject: &str) -> sqlx::Result<bool> {
        let mut tx = begin(&self.pool, Scope::Brand(claim.brand)).await?;
        if !due::hold(&mut tx, claim, self.config.lease()).await? {
            return Ok(false);
        }
        let Ok(next) = known.state.on(Command::Begin) else { return Ok(false) };
        if !delivery::begin(&mut tx, known, next, subject).await? {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }
}

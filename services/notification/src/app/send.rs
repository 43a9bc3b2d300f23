//! The worker that sends: claims mails, hands each over, and writes down what is known afterwards.
//!
//! Nothing leaves before the database says that it does: a crash in between leaves a mail that is `sending`, and whoever
//! finds one later makes it `unknown` instead of sending it twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, DeliveryId};
use ottery_kit::clock::test_clock;
use ottery_kit::db::{Scope, begin_by_key};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::App;
use super::journal::{self, Journal, Trouble};
use super::settle::Outcome;
use crate::domain::delivery::{Command, State};
use crate::domain::profile::Profile;
use crate::smtp::{Conversation, Fault};
use crate::store::delivery::{self, Delivery};
use crate::store::due::{self, Claim};
use crate::store::template::{self, Own};

/// How long everything before the text leaves may take.
const PREPARATION_MAX: Duration = Duration::from_secs(150);
/// How often an idle worker looks for mails.
const POLL: Duration = Duration::from_millis(300);
/// How long mails gather while there are some: they are claimed and read together.
const GATHER: Duration = Duration::from_millis(100);

/// What mails of a brand are made with.
struct Stationery {
    /// None while the brand is not known here, or has no host.
    profile: Option<Profile>,
    own: Vec<Own>,
    test_clock: Option<DateTime<Utc>>,
}

/// A claimed mail.
pub(super) struct Work {
    pub(super) claim: Claim,
    pub(super) delivery: Delivery,
    /// None when the brand lives in real time.
    pub(super) test_clock: Option<DateTime<Utc>>,
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
    let (journal, writer) = journal::open(app.clone());
    let mut side = JoinSet::new();
    side.spawn(in_hand.clone().keep(app.clone()));
    side.spawn(writer.run());
    let mut working = JoinSet::new();
    loop {
        while let Some(done) = working.try_join_next() {
            done?;
        }
        let free = most.saturating_sub(working.len());
        let claims = if free > 0 && !shutdown.is_cancelled() { app.claim(free).await? } else { Vec::new() };
        let (found, is_full) = (!claims.is_empty(), claims.len() == free);
        for (brand, claims) in by_brand(claims) {
            let (works, stationery) = match app.ready(brand, &claims).await {
                Ok(ready) => ready,
                Err(error) => {
                    tracing::error!(brand.id = %brand, error = %error, "mails wait for the database");
                    continue;
                }
            };
            let stationery = Arc::new(stationery);
            for work in works {
                let (app, in_hand, stationery) = (app.clone(), in_hand.clone(), stationery.clone());
                let journal = journal.clone();
                in_hand.lock().insert(work.delivery.id, work.claim);
                working.spawn(async move {
                    let id = work.delivery.id;
                    if let Err(error) = app.attempt(&journal, work, &stationery).await {
                        tracing::error!(delivery.id = %id, error = %error, "a mail waits for the database");
                    }
                    in_hand.lock().remove(&id);
                });
            }
        }
        let waits_for_room = is_full && !working.is_empty();
        let pause = if found || !working.is_empty() { GATHER } else { POLL };
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(done) = working.join_next(), if waits_for_room => done?,
            () = tokio::time::sleep(pause), if !waits_for_room => {}
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

    /// Reads claimed mails of a brand that have something to send (still), and what they are made with. The claim keeps others
    /// away; what it does not see is looked at again before anything leaves.
    async fn ready(&self, brand: BrandId, claims: &[Claim]) -> sqlx::Result<(Vec<Work>, Stationery)> {
        let mut tx = begin_by_key(&self.pool, Scope::Brand(brand)).await?;
        let ids: Vec<_> = claims.iter().map(|claim| claim.delivery).collect();
        let mut deliveries: HashMap<_, _> =
            delivery::get_all(&mut tx, &ids).await?.into_iter().map(|delivery| (delivery.id, delivery)).collect();
        let profile = self.profile(&mut tx, brand).await?.filter(|profile| !profile.host.is_empty());
        let stationery =
            Stationery { profile, own: template::list(&mut tx).await?, test_clock: test_clock(&mut tx, brand).await? };
        let mut works = Vec::with_capacity(claims.len());
        for claim in claims {
            match deliveries.remove(&claim.delivery).filter(|delivery| !delivery.state.is_final()) {
                Some(delivery) => works.push(Work { claim: *claim, delivery, test_clock: stationery.test_clock }),
                None => {
                    due::done(&mut tx, claim).await?;
                }
            }
        }
        tx.commit().await?;
        Ok((works, stationery))
    }

    /// One attempt to send one mail.
    async fn attempt(&self, journal: &Journal, mut work: Work, stationery: &Stationery) -> Result<(), Trouble> {
        if work.delivery.state == State::Sending {
            let lost = "the process ended while the mail was on its way; nobody knows whether it arrived";
            return self.settle(journal, work, Outcome::Lost(lost.to_owned())).await;
        }
        let Some(profile) = &stationery.profile else {
            let reason = "the brand is not known here yet, or has no host".to_owned();
            return self.settle(journal, work, Outcome::Later(reason)).await;
        };
        if work.delivery.message_id.is_empty() {
            // Stable from the first attempt on: a server that sees a mail twice can know it.
            work.delivery.message_id = format!("<{}@{}>", work.delivery.id, profile.host);
        }
        let preparing = self.prepare(&work.delivery, profile, &stationery.own);
        let prepared = match tokio::time::timeout(PREPARATION_MAX, preparing).await {
            Ok(prepared) => prepared,
            Err(_) => Err(Fault::Later("preparing the mail took too long".to_owned())),
        };
        let (mut conversation, text, subject) = match prepared {
            Ok(prepared) => prepared,
            Err(fault) => return self.settle(journal, work, Outcome::from_fault(fault)).await,
        };
        work.delivery.subject = subject;
        if !self.begins(journal, &mut work).await? {
            conversation.close().await;
            return Ok(());
        }
        let outcome = match conversation.hand_over(&text).await {
            Ok(()) => Outcome::Accepted,
            Err(fault) => Outcome::from_fault(fault),
        };
        let settled = self.settle(journal, work, outcome).await;
        conversation.close().await;
        settled
    }

    /// Everything that can go wrong without a doubt. The server is asked first: while it is away, no token is minted
    /// and no credentials are revealed.
    async fn prepare(
        &self,
        delivery: &Delivery,
        profile: &Profile,
        own: &[Own],
    ) -> Result<(Conversation, Vec<u8>, String), Fault> {
        let mut conversation = self.mailer.connect(&profile.host).await?;
        let composed = match self.secrets(delivery.brand, &delivery.params.secret).await {
            Ok(secrets) => self.compose(delivery, profile, own, secrets),
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
    async fn begins(&self, journal: &Journal, work: &mut Work) -> Result<bool, Trouble> {
        let Ok(next) = work.delivery.state.on(Command::Begin) else { return Ok(false) };
        if !journal.begins(work.claim, work.delivery.clone(), next).await? {
            return Ok(false);
        }
        work.delivery.state = next;
        work.delivery.attempts += 1;
        Ok(true)
    }
}

fn by_brand(claims: Vec<Claim>) -> HashMap<BrandId, Vec<Claim>> {
    let mut brands: HashMap<_, Vec<_>> = HashMap::new();
    for claim in claims {
        brands.entry(claim.brand).or_default().push(claim);
    }
    brands
}

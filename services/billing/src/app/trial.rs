//! One trial per person. An order takes the signs its customer is known by, in its own transaction: of two who begin with the
//! same one at once, one gets the trial.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, SubscriptionId};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use serde_json::{Value, json};
use sqlx::postgres::PgTransaction;

use super::collection::reason;
use super::subscription::{close, open};
use super::{Billing, broken};
use crate::domain::payment::Fingerprint;
use crate::domain::screen::Verdict;
use crate::domain::subscription::{EndCause, State};
use crate::domain::trial::{PURPOSE, ReusedCard, Sign, TrialRules, canonical_email};
use crate::store;
use crate::store::trial::{Claim, Pass};

/// A reused card that came out during a trial, as a task.
const REUSED_TASK: &str = "trial_reused";

/// Who wants a trial.
#[derive(Clone, Copy, Debug)]
pub(super) struct Person<'a> {
    /// Nobody yet, for a visitor.
    pub(super) account: Option<AccountId>,
    /// Empty when it is not known yet.
    pub(super) email: &'a str,
    /// The browser's id; empty for none.
    pub(super) device: &'a str,
}

/// What a customer's trials hold, and whether they may have one more.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Whose.
    pub account: AccountId,
    /// Whether they had a trial.
    pub is_used: bool,
    /// By what they are known again.
    pub claims: Vec<Claim>,
    /// One more that was allowed.
    pub pass: Option<Pass>,
}

/// The trial was used before by this account, or by whoever the sign stands for.
pub(super) fn used(sign: Option<Sign>) -> Problem {
    let refused = |message: String| Problem::refused("TRIAL_USED", message).on_field("trial");
    match sign {
        None => refused("the trial was used before; order without it".to_owned()),
        Some(sign) => refused(format!("a trial was used {sign} before; order without it")).with("sign", sign.as_str()),
    }
}

fn shown(rules: &TrialRules) -> Value {
    json!({ "by_email": rules.by_email, "by_device": rules.by_device, "by_card": rules.by_card,
            "reused_card": rules.reused_card.as_str() })
}

impl Billing {
    pub(super) fn trial_hash(&self, brand: BrandId, sign: Sign, value: &str) -> Vec<u8> {
        self.host.keyring.keyed_hash(PURPOSE, &sign.hashed_data(brand, value)).to_vec()
    }

    /// By what the person is known again, in the order in which everybody takes it.
    async fn signs_of(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        person: Person<'_>,
    ) -> Result<Vec<(Sign, Vec<u8>)>, Problem> {
        let mut signs = Vec::new();
        if !person.email.is_empty() {
            signs.push((Sign::Email, self.trial_hash(brand, Sign::Email, &canonical_email(person.email))));
        }
        if !person.device.is_empty() {
            signs.push((Sign::Device, self.trial_hash(brand, Sign::Device, person.device)));
        }
        if let Some(account) = person.account {
            signs.extend(store::trial::cards(tx, account).await?.into_iter().map(|hash| (Sign::Card, hash)));
        }
        Ok(signs)
    }

    /// Whether it looks as if the person may have a trial, or staff may be asked for one. Says so early; the order decides.
    pub(super) async fn look_at_trial(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        person: Person<'_>,
    ) -> Result<(), Problem> {
        if let Some(account) = person.account {
            if store::trial::pass(tx, account).await?.is_some() {
                return Ok(());
            }
            if store::subscription::had_trial(tx, account).await? {
                return Err(used(None));
            }
        }
        if store::screen::rules(tx, brand).await?.0.trial_reuse == Verdict::Review {
            return Ok(());
        }
        let rules = store::trial::rules(tx, brand).await?;
        for (sign, hash) in self.signs_of(tx, brand, person).await? {
            if rules.counts(sign) && store::trial::is_taken(tx, sign, &hash).await? {
                return Err(used(Some(sign)));
            }
        }
        Ok(())
    }

    /// Takes what the person is known by for this trial; by what they are known to have had one, if they are. An account that had
    /// one gets no other. The caller holds the customer's lock.
    pub(super) async fn take_trial(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        account: AccountId,
        person: Person<'_>,
        subscription: SubscriptionId,
        now: DateTime<Utc>,
    ) -> Result<Option<Sign>, Problem> {
        let is_allowed = store::trial::use_pass(tx, account).await?;
        if !is_allowed && store::subscription::had_trial(tx, account).await? {
            return Err(used(None));
        }
        let rules = store::trial::rules(tx, brand).await?;
        let person = Person { account: Some(account), ..person };
        let mut reused = None;
        for (sign, hash) in self.signs_of(tx, brand, person).await? {
            // What does not count today is kept for the day it does.
            let (_, holder) = store::trial::take(tx, brand, (sign, &hash), account, subscription, now).await?;
            if holder != subscription && !is_allowed && rules.counts(sign) {
                reused.get_or_insert(sign);
            }
        }
        Ok(reused)
    }

    /// What a customer paid with became known. Their trials hold it from now on; a running one for which somebody else's does
    /// already ends, or becomes a task, as the brand chose. One that was paid is left alone: its time is theirs.
    pub(super) async fn card_known(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        account: AccountId,
        card: &Fingerprint,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let hash = self.trial_hash(brand, Sign::Card, &card.0);
        store::trial::note_card(tx, brand, account, &hash, now).await?;
        let rules = store::trial::rules(tx, brand).await?;
        for (trial, runs) in store::trial::trials(tx, account).await? {
            let (holder, _) = store::trial::take(tx, brand, (Sign::Card, &hash), account, trial, now).await?;
            if holder == account || !runs || !rules.by_card {
                continue;
            }
            let summary = match rules.reused_card {
                ReusedCard::End => {
                    self.end_trial(tx, brand, trial, now).await?;
                    "a trial ended: its customer paid with what had paid in another person's trial; allow one more on the \
                     customer's page if that is fine"
                }
                ReusedCard::Keep => "the customer of a running trial paid with what had paid in another person's trial",
            };
            store::task::open(tx, brand, REUSED_TASK, trial, summary, now).await?;
        }
        Ok(())
    }

    async fn end_trial(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        trial: SubscriptionId,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let (mut unit, mut case) = open(tx, brand, trial, None, now).await?;
        // Paid meanwhile: nothing free is left of it.
        if case.subscription.state != State::Trialing {
            return Ok(());
        }
        unit.lock_orders(tx, &[case.subscription.order]).await?;
        unit.end(&mut case.subscription, EndCause::Staff, &mut case.open).map_err(broken)?;
        close(tx, self, unit, case).await?;
        Ok(())
    }

    async fn guard_in(&self, tx: &mut PgTransaction<'_>, account: AccountId) -> Result<Guard, Problem> {
        Ok(Guard {
            account,
            is_used: store::subscription::had_trial(tx, account).await?,
            claims: store::trial::claims(tx, account).await?,
            pass: store::trial::pass(tx, account).await?,
        })
    }

    /// What a customer's trials hold.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn trial_guard(&self, brand: BrandId, account: AccountId) -> Result<Guard, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        self.guard_in(&mut tx, account).await
    }

    /// Allows a customer one more trial, whatever was used before.
    ///
    /// # Errors
    /// When no reason is given.
    pub async fn lift_trial_guard(
        &self,
        actor: &Actor,
        brand: BrandId,
        account: AccountId,
        why: &str,
    ) -> Result<Guard, Problem> {
        let why = reason(why)?.to_owned();
        let (mut tx, now) = self.begin(brand).await?;
        let before = store::trial::pass(&mut tx, account).await?;
        let pass = Pass { granted_by: actor.subject.clone(), reason: why.clone(), granted_at: now };
        store::trial::grant(&mut tx, brand, account, &pass).await?;
        let (before, after) = (json!({ "allowed": before.is_some() }), json!({ "allowed": true, "reason": why }));
        audit::append(&mut tx, actor, "trial.lift", account, Some(before), Some(after)).await?;
        let guard = self.guard_in(&mut tx, account).await?;
        tx.commit().await?;
        Ok(guard)
    }

    /// By what the brand tells that somebody had a trial before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn trial_rules(&self, brand: BrandId) -> Result<TrialRules, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        Ok(store::trial::rules(&mut tx, brand).await?)
    }

    /// Changes that, from now on; `wanted` carries the version that was read.
    ///
    /// # Errors
    /// When somebody else changed it since.
    pub async fn put_trial_rules(
        &self,
        actor: &Actor,
        brand: BrandId,
        wanted: TrialRules,
    ) -> Result<TrialRules, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let before = store::trial::rules(&mut tx, brand).await?;
        let after = TrialRules { version: wanted.version.saturating_add(1), ..wanted };
        if before.version != wanted.version || !store::trial::put_rules(&mut tx, brand, &after, now).await? {
            let message = "the rules were changed meanwhile; read them again and repeat";
            return Err(Problem::conflict("VERSION_CONFLICT", message).with("version", before.version));
        }
        audit::append(&mut tx, actor, "trial_rules.put", brand, Some(shown(&before)), Some(shown(&after))).await?;
        tx.commit().await?;
        Ok(after)
    }
}

//! VAT numbers: asking whether they are a business's, outside of any transaction, and invoices that wait for the answer.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, BrandId, SubscriptionId};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use ottery_kit::outbox;
use serde_json::json;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::schedule::Case;
use super::unit::Unit;
use super::{Billing, broken, profile};
use crate::domain::address::Kept;
use crate::domain::dunning::Step;
use crate::domain::vat::{Evidence, Readiness, Standing, VatNumber};
use crate::events::publish::{self, Decided};
use crate::store;
use crate::store::errand::{self, Kind};
use crate::store::vat_check::{Check, Verdict};
use crate::validator::Answer;

/// When a service that gave no answer is asked again; after the last gap, every such gap.
const GAPS: [TimeDelta; 6] = [
    TimeDelta::seconds(10),
    TimeDelta::minutes(1),
    TimeDelta::minutes(5),
    TimeDelta::minutes(30),
    TimeDelta::hours(2),
    TimeDelta::hours(12),
];

fn gap(tries: u32) -> TimeDelta {
    let last = GAPS.len() - 1;
    GAPS[usize::try_from(tries).unwrap_or(last).min(last)]
}

/// As others name a question.
fn check_name(id: Uuid) -> String {
    format!("vat_{}", id.simple())
}

impl Billing {
    /// Writes a question about a number down, for the workers to ask; a number no service knows waits for staff.
    #[expect(clippy::too_many_arguments, reason = "one question: who, about what, what was known, for how long")]
    pub(super) async fn ask_about(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        account: AccountId,
        number: &VatNumber,
        before: Option<Evidence>,
        wait: TimeDelta,
        now: DateTime<Utc>,
    ) -> sqlx::Result<Standing> {
        let check = Check { id: Uuid::now_v7(), account, number: number.to_string(), asked_at: now };
        store::vat_check::ask(tx, brand, &check).await?;
        if self.validator.as_ref().is_some_and(|validator| validator.covers(number)) {
            errand::plan(tx, brand, Kind::VatCheck, &[check.id], TimeDelta::zero()).await?;
        } else {
            let summary = format!("no service validates the VAT number {number}; look it up and decide on it");
            store::task::open(tx, brand, "vat_number", account, &summary, now).await?;
        }
        Ok(Standing::ask(check.id, before, wait, now))
    }

    /// The customer's address; a proof that is too old for something new is asked for again and believed meanwhile.
    pub(super) async fn fresh_address(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        account: AccountId,
        wait: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<Option<Kept>, Problem> {
        let Some(mut kept) = store::address::get(tx, brand, account).await? else { return Ok(None) };
        let age_max = self.config.vat.proof_age_max();
        let stale = |kept: &Kept| {
            let standing = kept.standing.as_ref();
            standing.is_some_and(|standing| standing.for_period(age_max, now) == Readiness::Stale)
        };
        if stale(&kept)
            && let Some(locked) = store::address::lock(tx, brand, account).await?.filter(stale)
        {
            let number = VatNumber::parse(&locked.address.vat_number).map_err(broken)?;
            let before = locked.standing.as_ref().and_then(|standing| standing.proof(now)).cloned();
            let asked = self.ask_about(tx, brand, account, &number, before, wait, now).await?;
            store::address::set_standing(tx, brand, account, &asked).await?;
            kept.standing = Some(asked);
        }
        Ok(Some(kept))
    }

    /// Asks about a number that waits: one call, no transaction open.
    ///
    /// # Errors
    /// When the database fails; the errand is then done later.
    pub(crate) async fn run_vat_check(&self, brand: BrandId, id: Uuid, tries: u32) -> Result<(), Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let check = store::vat_check::open(&mut tx, brand, id).await?;
        let kept = match &check {
            Some(check) => store::address::get(&mut tx, brand, check.account).await?,
            None => None,
        };
        let requester = VatNumber::parse(&profile(&mut tx, brand).await?.entity.tax_id).ok();
        let (Some(check), Some(validator), true) = (check, self.validator.clone(), is_waiting(kept.as_ref(), id))
        else {
            errand::done(&mut tx, id).await?;
            return Ok(tx.commit().await?);
        };
        drop(tx);
        let number = VatNumber::parse(&check.number)?;
        let answer = validator.check(&number, requester.as_ref()).await;
        let verdict = match answer {
            Ok(Answer::Valid { reference, name, address }) => {
                Verdict { is_valid: true, validator: validator.name().to_owned(), reference, name, address }
            }
            Ok(Answer::Invalid) => Verdict { validator: validator.name().to_owned(), ..Verdict::default() },
            Err(error) => {
                tracing::warn!(vat_check.id = %check_name(id), %error, "a VAT number was not validated");
                let (mut tx, _) = self.begin(brand).await?;
                errand::again(&mut tx, id, gap(tries)).await?;
                return Ok(tx.commit().await?);
            }
        };
        let (mut tx, now) = self.begin(brand).await?;
        self.decide(&mut tx, brand, check.account, id, &verdict, now).await?;
        Ok(tx.commit().await?)
    }

    /// What staff found out about a customer's number by themselves.
    ///
    /// # Errors
    /// When the customer has no number.
    pub async fn decide_vat_number(
        &self,
        brand: BrandId,
        account: AccountId,
        is_valid: bool,
        reference: &str,
        actor: &Actor,
    ) -> Result<Kept, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let none = || {
            Problem::not_found(
                "VAT_NUMBER_NOT_FOUND",
                "the customer has no VAT number; put it into their address first",
            )
        };
        let kept = store::address::get(&mut tx, brand, account).await?.ok_or_else(none)?;
        let number = VatNumber::parse(&kept.address.vat_number).map_err(|_| none())?;
        // A decision without a question asks one, so that every proof is in the same list.
        let id = match &kept.standing {
            Some(Standing::Pending { check, .. }) => *check,
            Some(Standing::Valid(_) | Standing::Invalid { .. }) | None => {
                let check = Check { id: Uuid::now_v7(), account, number: number.to_string(), asked_at: now };
                store::vat_check::ask(&mut tx, brand, &check).await?;
                let asked = Standing::ask(check.id, None, TimeDelta::zero(), now);
                store::address::set_standing(&mut tx, brand, account, &asked).await?;
                check.id
            }
        };
        let verdict = Verdict {
            is_valid,
            validator: format!("staff {}", actor.subject),
            reference: reference.to_owned(),
            ..Verdict::default()
        };
        self.decide(&mut tx, brand, account, id, &verdict, now).await?;
        let written = json!({ "number": number.as_str(), "is_valid": is_valid, "reference": reference });
        audit::append(&mut tx, actor, "vat_number.decide", account, None, Some(written)).await?;
        let kept = store::address::get(&mut tx, brand, account).await?.ok_or_else(none)?;
        tx.commit().await?;
        Ok(kept)
    }

    /// Takes an answer over, when it is still waited for: what is known of the number, its proof, and invoices that wait.
    async fn decide(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        account: AccountId,
        id: Uuid,
        verdict: &Verdict,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        // Due rows before addresses, as the scheduler locks them.
        store::due::nudge(tx, brand, account, now).await?;
        let kept = store::address::lock(tx, brand, account).await?;
        errand::done(tx, id).await?;
        if !store::vat_check::answer(tx, brand, id, verdict, now).await? {
            return Ok(());
        }
        let Some(kept) = kept.filter(|kept| is_waiting(Some(kept), id)) else { return Ok(()) };
        let number = kept.address.vat_number;
        let (standing, decided) = if verdict.is_valid {
            let evidence = Evidence {
                number: number.clone(),
                validator: verdict.validator.clone(),
                checked_at: now,
                check_id: check_name(id),
                reference: verdict.reference.clone(),
                name: verdict.name.clone(),
                address: verdict.address.clone(),
            };
            (Standing::Valid(evidence), Decided::Valid)
        } else {
            let validator = verdict.validator.clone();
            (Standing::Invalid { check: id, checked_at: now, validator }, Decided::Invalid)
        };
        store::address::set_standing(tx, brand, account, &standing).await?;
        store::task::resolve(tx, brand, "vat_number", account, now).await?;
        if let Some(customer) = store::customer::get_all(tx, &[account]).await?.pop() {
            let event = publish::vat_decided(brand, account, &number, decided, &customer.buyer, now);
            outbox::append(tx, event).await?;
        }
        Ok(())
    }

    /// Invoices of a batch that wait for an answer about a VAT number, and until when; their steps are taken out. A proof
    /// that is too old for a new period is asked for again.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn hold_for_vat(
        &self,
        tx: &mut PgTransaction<'_>,
        unit: &Unit,
        batch: &[Case],
        steps: &mut [Option<Step>],
    ) -> Result<HashMap<SubscriptionId, DateTime<Utc>>, Problem> {
        let (brand, now) = (unit.brand, unit.now);
        let issuing = batch.iter().zip(steps.iter()).filter(|(_, step)| matches!(step, Some(Step::IssueInvoice)));
        let accounts: Vec<AccountId> = issuing.map(|(case, _)| case.subscription.account).collect();
        let mut held = HashMap::new();
        if accounts.is_empty() {
            return Ok(held);
        }
        let mut waiting: HashMap<AccountId, DateTime<Utc>> = HashMap::new();
        for (account, kept) in store::address::lock_numbered(tx, brand, &accounts).await? {
            let Some(standing) = &kept.standing else { continue };
            let until = match standing.for_period(self.config.vat.proof_age_max(), now) {
                Readiness::Ready => continue,
                Readiness::Waits(until) => until,
                Readiness::Stale => {
                    let number = VatNumber::parse(&kept.address.vat_number).map_err(broken)?;
                    let before = standing.proof(now).cloned();
                    let wait = unit.profile.entity.tax.vat_wait();
                    let asked = self.ask_about(tx, brand, account, &number, before, wait, now).await?;
                    store::address::set_standing(tx, brand, account, &asked).await?;
                    now + wait
                }
            };
            if now < until {
                waiting.insert(account, until);
            }
        }
        for (case, step) in batch.iter().zip(steps) {
            let until = waiting.get(&case.subscription.account);
            if let (Some(Step::IssueInvoice), Some(until)) = (&*step, until) {
                held.insert(case.subscription.id, *until);
                *step = None;
            }
        }
        Ok(held)
    }
}

/// Something that is bought now waits for the answer about a new VAT number.
///
/// # Errors
/// While there is none and the time to wait is not over.
pub(super) fn check_order(standing: Option<&Standing>, now: DateTime<Utc>) -> Result<(), Problem> {
    match standing.and_then(|standing| standing.holds_order(now)) {
        None => Ok(()),
        Some(until) => Err(waits(until)),
    }
}

/// What is told while an invoice waits.
pub(super) fn waits(until: DateTime<Utc>) -> Problem {
    let message = format!(
        "the VAT number is being checked, which decides on the tax; try again in a moment, or go on with tax from {} on",
        until.format("%Y-%m-%d %H:%M UTC")
    );
    Problem::refused("VAT_CHECK_PENDING", message).on_field("vat_number")
}

fn is_waiting(kept: Option<&Kept>, id: Uuid) -> bool {
    kept.is_some_and(|kept| matches!(&kept.standing, Some(Standing::Pending { check, .. }) if *check == id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gives_no_answer_is_asked_less_and_less_often_and_never_given_up() {
        assert_eq!([gap(0), gap(1), gap(5), gap(1_000)], [GAPS[0], GAPS[1], GAPS[5], GAPS[5]]);
    }
}

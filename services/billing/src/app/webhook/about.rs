//! What events are about that are not payments themselves: pages, instruments, objections, and whose payment they name.

use ottery_kernel::PaymentId;
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::{Work, ignore};
use crate::app::Billing;
use crate::app::payment::{Teller, apply};
use crate::domain::payment::State;
use crate::domain::provider::ProviderAccountId;
use crate::provider::{CallError, Lookup, Notice, Subject};
use crate::store;
use crate::store::payment::{AttemptKind, Payment};
use crate::store::provider_event::{self, End};

impl Billing {
    /// The attempt an event is about: one of this brand that this account was, or may have been, told of. Some events name only
    /// the provider's own ids; one nobody has heard of yet is asked for.
    pub(super) async fn ours(
        &self,
        work: &Work<'_>,
        notice: &Notice,
    ) -> Result<Result<Option<Payment>, CallError>, Problem> {
        let account = work.reached.id;
        let (mut tx, _) = self.begin_by_key(work.claim.brand).await?;
        if let Some(found) = told_to(&mut tx, &notice.reference, account).await? {
            return Ok(Ok(Some(found)));
        }
        let reference = notice.subject.payment();
        if reference.is_empty() {
            return Ok(Ok(None));
        }
        if let Some(id) = store::payment::by_provider_ref(&mut tx, account, reference).await? {
            return Ok(Ok(store::payment::get(&mut tx, id).await?));
        }
        drop(tx);
        match work.reached.provider.reference_of(&work.reached.access, reference).await {
            Ok(Some(ours)) => {
                let (mut tx, _) = self.begin(work.claim.brand).await?;
                Ok(Ok(told_to(&mut tx, &ours, account).await?))
            }
            Ok(None) => Ok(Ok(None)),
            Err(error) => Ok(Err(error)),
        }
    }

    pub(super) async fn put_off_for(&self, work: &Work<'_>, error: &CallError) -> Result<(), Problem> {
        let (mut tx, now) = self.begin(work.claim.brand).await?;
        work.retry(&mut tx, None, &error.to_string(), now).await?;
        Ok(tx.commit().await?)
    }

    /// A page on which a method is saved.
    pub(super) async fn apply_page(&self, work: &Work<'_>, notice: &Notice) -> Result<(), Problem> {
        let (mut tx, _) = self.begin(work.claim.brand).await?;
        let setup = match Uuid::try_parse(&notice.reference) {
            Ok(id) => store::payment_setup::lock(&mut tx, id).await?,
            Err(_) => None,
        };
        let Some(setup) =
            setup.filter(|setup| setup.provider_account == work.reached.id && !setup.checkout_ref.is_empty())
        else {
            return ignore(tx, work.claim, "about nothing of ours").await;
        };
        drop(tx);
        let truth = work.reached.provider.fetch_setup(&work.reached.access, &setup.checkout_ref).await;
        let truth = match truth {
            Ok(truth) => truth,
            Err(error) => return self.put_off_for(work, &error).await,
        };
        let (mut tx, now) = self.begin(work.claim.brand).await?;
        if let Some(setup) = store::payment_setup::lock(&mut tx, setup.id).await? {
            self.apply_setup(&mut tx, work.claim.brand, &setup, truth, now).await?;
        }
        provider_event::finish(&mut tx, work.claim, End::Applied, "").await?;
        Ok(tx.commit().await?)
    }

    /// A saved instrument.
    pub(super) async fn apply_method(&self, work: &Work<'_>, subject: &Subject) -> Result<(), Problem> {
        let fact = match work.reached.provider.fetch_method(&work.reached.access, subject).await {
            Ok(fact) => fact,
            Err(error) => return self.put_off_for(work, &error).await,
        };
        let (mut tx, now) = self.begin(work.claim.brand).await?;
        let is_ours = match &fact {
            Some(fact) => self.follow_method(&mut tx, work.claim.brand, work.reached.id, fact, now).await?,
            None => false,
        };
        if !is_ours {
            return ignore(tx, work.claim, "about nothing of ours").await;
        }
        provider_event::finish(&mut tx, work.claim, End::Applied, "").await?;
        Ok(tx.commit().await?)
    }

    /// An instrument that was saved on the page of a payment, and told of after it.
    pub(super) async fn apply_late_method(&self, work: &Work<'_>, method: &str, checkout: &str) -> Result<(), Problem> {
        let (brand, account) = (work.claim.brand, work.reached.id);
        let late = match work.reached.provider.late_method(&work.reached.access, method, checkout).await {
            Ok(late) => late,
            Err(error) => return self.put_off_for(work, &error).await,
        };
        let (mut tx, now) = self.begin(brand).await?;
        let payment = match &late {
            Some(late) => told_to(&mut tx, &late.reference, account).await?,
            None => None,
        };
        let is_asked = |payment: &Payment| {
            payment.checkout_ref == checkout && matches!(payment.kind, AttemptKind::Hosted { save_method: true, .. })
        };
        let (Some(late), Some(payment)) = (late, payment.filter(is_asked)) else {
            return ignore(tx, work.claim, "about nothing of ours").await;
        };
        if payment.state == State::Succeeded {
            self.keep_late_method(&mut tx, brand, &payment, account, &late.saved, now).await?;
            provider_event::finish(&mut tx, work.claim, End::Applied, "").await?;
        } else {
            work.retry(&mut tx, Some(payment.id), "its payment has not settled", now).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Money the provider took back by itself. It is booked like a refund made at the provider, unless an objection has booked it;
    /// staff looks why, and enters what the provider does not show.
    pub(super) async fn apply_reversal(
        &self,
        work: &Work<'_>,
        payment: Payment,
        refund: &str,
        reference: &str,
    ) -> Result<(), Problem> {
        let brand = work.claim.brand;
        let fact = match work.reached.provider.fetch_refund(&work.reached.access, refund).await {
            Ok(fact) => fact,
            Err(error) => return self.put_off_for(work, &error).await,
        };
        let (mut tx, now) = self.begin(brand).await?;
        let is_held = match &fact {
            Some(fact) => self.dispute_behind(&mut tx, &payment, fact).await?.is_some(),
            None => {
                let page = store::Page { before: None, limit: 20 };
                let disputes = store::dispute::list(&mut tx, Some(payment.id), page).await?;
                disputes.iter().any(|dispute| dispute.books.taken > 0)
            }
        };
        if !is_held {
            let what = match &fact {
                Some(fact) => format!("took back {} of {}, which is booked as a refund", fact.amount, payment.id),
                None => {
                    format!("took back money of {} and does not show how much, so that nothing is booked", payment.id)
                }
            };
            let summary = format!("{} {what}; look there why, and do not refund it once more", payment.provider);
            store::task::open(&mut tx, brand, "payment_reversed", payment.id, &summary, now).await?;
        }
        let Some(fact) = fact else {
            provider_event::finish(&mut tx, work.claim, End::Applied, "").await?;
            return Ok(tx.commit().await?);
        };
        tx.commit().await?;
        Box::pin(self.apply_refunds(work, payment, Ok(vec![fact]), reference)).await
    }

    /// An objection. A provider that tells nothing of its objections leaves them to staff.
    pub(super) async fn apply_dispute(
        &self,
        work: &Work<'_>,
        payment: &Payment,
        kind: &str,
        dispute: &str,
        reference: &str,
    ) -> Result<(), Problem> {
        let brand = work.claim.brand;
        let (provider, access) = (&work.reached.provider, &work.reached.access);
        let truth = match provider.fetch_dispute(access, dispute).await {
            Ok(truth) => truth,
            Err(error) => return self.put_off_for(work, &error).await,
        };
        let parent = match (&truth, payment.state) {
            (Some(_), state) if state != State::Succeeded => {
                provider.fetch_payment(access, Lookup::Payment(reference)).await.ok()
            }
            _ => None,
        };
        let (mut tx, now) = self.begin(brand).await?;
        let Some(truth) = truth else {
            let summary = format!("{kind} at the provider: {dispute} about {}; answer it there", payment.id);
            store::task::open(&mut tx, brand, "dispute", payment.id, &summary, now).await?;
            provider_event::finish(&mut tx, work.claim, End::Applied, "").await?;
            return Ok(tx.commit().await?);
        };
        let mut state = payment.state;
        if let Some(parent) = parent {
            let teller = Teller { account: work.reached.id, provider: provider.name(), tries: 0 };
            state = apply(&mut tx, self, brand, payment.id, parent, teller, now).await?.state;
        }
        if state == State::Succeeded {
            self.record_dispute(&mut tx, brand, payment.id, &truth, &work.reached, now).await?;
            provider_event::finish(&mut tx, work.claim, End::Applied, "").await?;
        } else {
            work.retry(&mut tx, Some(payment.id), "its payment has not settled", now).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// One of this brand's attempts by our own id, when this account was, or may have been, told of it.
async fn told_to(
    tx: &mut PgTransaction<'_>,
    reference: &str,
    account: ProviderAccountId,
) -> Result<Option<Payment>, Problem> {
    let Ok(id) = reference.parse::<PaymentId>() else { return Ok(None) };
    let payment = store::payment::get(tx, id).await?;
    Ok(payment.filter(|payment| payment.provider_account.is_none_or(|known| known == account)))
}

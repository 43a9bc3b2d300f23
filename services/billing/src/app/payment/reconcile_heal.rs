//! Differences that are only a missed event: the object is read again, and what the provider says is applied as if it had been told.

use ottery_kernel::{BrandId, PaymentId};
use ottery_kit::grpc::Problem;

use super::{Reached, Teller, apply};
use crate::app::Billing;
use crate::domain::payment::State;
use crate::domain::reconcile::{Difference, Finding, Kind};
use crate::provider::Lookup;
use crate::store;
use crate::store::payment::Payment;

impl Billing {
    /// True when something was applied; whether it made the difference good the books say.
    ///
    /// # Errors
    /// When the database fails, or the books refuse it.
    pub(super) async fn heal(&self, brand: BrandId, reached: &Reached, finding: &Finding) -> Result<bool, Problem> {
        match (finding.kind, finding.difference) {
            (_, Difference::OnlyHere) => Ok(false),
            (Kind::Payment, Difference::State | Difference::OnlyThere) => {
                self.heal_payment(brand, reached, finding).await
            }
            (Kind::Refund, Difference::State | Difference::OnlyThere) => {
                self.heal_refund(brand, reached, finding).await
            }
            (Kind::Dispute, _) => self.heal_dispute(brand, reached, finding).await,
            (Kind::Payment | Kind::Refund, Difference::Currency | Difference::Amount | Difference::Fee) => Ok(false),
        }
    }

    async fn heal_payment(&self, brand: BrandId, reached: &Reached, finding: &Finding) -> Result<bool, Problem> {
        let Ok(id) = finding.ours.parse::<PaymentId>() else { return Ok(false) };
        let (mut tx, _) = self.begin(brand).await?;
        let payment = store::payment::get(&mut tx, id).await?;
        drop(tx);
        // What has money already gets no more: a second payment is for staff.
        let is_open = |payment: &Payment| {
            payment.state != State::Succeeded && payment.provider_account.is_none_or(|account| account == reached.id)
        };
        if !payment.as_ref().is_some_and(is_open) {
            return Ok(false);
        }
        let lookup = Lookup::Payment(&finding.reference);
        let Ok(truth) = reached.provider.fetch_payment(&reached.access, lookup).await else { return Ok(false) };
        let (mut tx, now) = self.begin(brand).await?;
        let teller = Teller { account: reached.id, provider: reached.provider.name(), tries: 0 };
        apply(&mut tx, self, brand, id, truth, teller, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The settled payment a refund or an objection is about.
    async fn parent(&self, brand: BrandId, reached: &Reached, reference: &str) -> Result<Option<PaymentId>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let Some(id) = store::payment::by_provider_ref(&mut tx, reached.id, reference).await? else { return Ok(None) };
        let payment = store::payment::get(&mut tx, id).await?;
        Ok(payment.filter(|payment| payment.state == State::Succeeded).map(|payment| payment.id))
    }

    async fn heal_refund(&self, brand: BrandId, reached: &Reached, finding: &Finding) -> Result<bool, Problem> {
        let Some(id) = self.parent(brand, reached, &finding.parent).await? else { return Ok(false) };
        let found = reached.provider.fetch_refund(&reached.access, &finding.reference).await;
        let Ok(Some(fact)) = found else { return Ok(false) };
        let (mut tx, now) = self.begin(brand).await?;
        self.mirror_refund(&mut tx, brand, id, &fact, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn heal_dispute(&self, brand: BrandId, reached: &Reached, finding: &Finding) -> Result<bool, Problem> {
        let Some(id) = self.parent(brand, reached, &finding.parent).await? else { return Ok(false) };
        let found = reached.provider.fetch_dispute(&reached.access, &finding.reference).await;
        let Ok(Some(truth)) = found else { return Ok(false) };
        let (mut tx, now) = self.begin(brand).await?;
        self.record_dispute(&mut tx, brand, id, &truth, reached, now).await?;
        tx.commit().await?;
        Ok(true)
    }
}

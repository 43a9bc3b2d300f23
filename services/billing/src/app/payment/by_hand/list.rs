//! What staff sees: payments that wait, records, and refunds somebody has to pay out.

use ottery_kernel::{BrandId, Money};
use ottery_kit::grpc::Problem;
use uuid::Uuid;

use super::show::{due, facts};
use crate::app::Billing;
use crate::domain::by_hand::{Facts, Reference, ReferenceError};
use crate::provider::ByHand;
use crate::store;
use crate::store::Page;
use crate::store::by_hand::{Asked, Proof, Record, Wait};
use crate::store::payment::Payment;
use crate::store::refund::Refund;

/// Which payments are sought.
#[derive(Clone, Debug, Default)]
pub struct Sought {
    /// A reference, or a text that holds one; empty: any.
    pub reference: String,
    /// Of this amount, in minor units.
    pub amount_minor: Option<i64>,
    /// Also those nothing is expected of any more.
    pub is_all: bool,
}

/// A payment that waits.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Its reference and page.
    pub wait: Wait,
    /// The payment.
    pub payment: Payment,
    /// How it stands.
    pub facts: Facts,
    /// What was recorded for it.
    pub records: Vec<Record>,
    /// The files the customer sent.
    pub proofs: Vec<Proof>,
}

/// A refund somebody has to pay out.
#[derive(Clone, Debug)]
pub struct Payout {
    /// The refund.
    pub refund: Refund,
    /// By which provider the money came.
    pub provider: String,
    /// From whom it came; empty when nobody wrote it down.
    pub sender: String,
    /// What was recorded of it, when it waits for a second person.
    pub record: Option<Record>,
}

impl Billing {
    /// Payments that wait to be recorded, the newest first.
    ///
    /// # Errors
    /// When the reference is none.
    pub async fn expected_by_hand(&self, brand: BrandId, sought: Sought, page: Page) -> Result<Vec<Expected>, Problem> {
        let typed = sought.reference.trim();
        let reference = match typed {
            "" => None,
            text => Some(text.parse::<Reference>().ok().or_else(|| Reference::found_in(text)).ok_or_else(|| {
                Problem::invalid("reference", "REFERENCE_INVALID", format!("reference: {ReferenceError}"))
            })?),
        };
        let (mut tx, _) = self.begin(brand).await?;
        let asked = Asked {
            reference,
            amount_minor: sought.amount_minor,
            is_all: sought.is_all,
            before: page.before,
            limit: page.limit,
        };
        let waits = store::by_hand::waiting(&mut tx, &asked).await?;
        let ids: Vec<Uuid> = waits.iter().map(|wait| wait.id).collect();
        let records = store::by_hand::records_of(&mut tx, &ids).await?;
        let proofs = store::by_hand::proofs(&mut tx, &ids).await?;
        let mut expected = Vec::with_capacity(waits.len());
        for wait in waits {
            let Some(payment) = store::payment::get(&mut tx, wait.payment).await? else { continue };
            let is_its = |of: &crate::store::by_hand::Of| *of == crate::store::by_hand::Of::Wait(wait.id);
            let records: Vec<Record> = records.iter().filter(|record| is_its(&record.of)).cloned().collect();
            let due: Money = due(&mut tx, &payment).await?;
            let facts = facts(&payment, &records, due);
            let proofs = proofs.iter().filter(|proof| proof.wait == wait.id).cloned().collect();
            expected.push(Expected { wait, payment, facts, records, proofs });
        }
        Ok(expected)
    }

    /// Records that wait for somebody, or all of them, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn by_hand_records(&self, brand: BrandId, is_all: bool, page: Page) -> Result<Vec<Record>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        Ok(store::by_hand::records(&mut tx, is_all, page.before, page.limit).await?)
    }

    /// Refunds somebody has to pay out, the oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn payouts(&self, brand: BrandId) -> Result<Vec<Payout>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let names: Vec<String> = ByHand::ALL.iter().map(|kind| kind.name().to_owned()).collect();
        let ids = store::by_hand::refunds_to_pay(&mut tx, &names).await?;
        let records = store::by_hand::payouts_of(&mut tx, &ids).await?;
        let mut payouts = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(refund) = store::refund::get(&mut tx, id).await? else { continue };
            let Some(payment) = store::payment::get(&mut tx, refund.payment).await? else { continue };
            let sender = self.came_from(&mut tx, &payment).await?;
            let is_its = |record: &&Record| record.of == crate::store::by_hand::Of::Refund(id);
            let record = records.iter().find(is_its).cloned();
            payouts.push(Payout { refund, provider: payment.provider, sender, record });
        }
        Ok(payouts)
    }
}

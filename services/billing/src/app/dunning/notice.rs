//! What customers read about a debt in their account.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, InvoiceId, Money};
use ottery_kit::grpc::Problem;

use crate::app::consolidated::known;
use crate::app::{Billing, broken};
use crate::domain::invoice::Invoice;
use crate::store;
use crate::store::notice::Notice;

/// A notice with what it is about.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The step that says it.
    pub notice: Notice,
    /// What is owed.
    pub invoice: Invoice,
    /// What is left to pay.
    pub left: Money,
    /// Pays it without anything else.
    pub pay_token: String,
}

impl Shown {
    /// Whether it should have been paid by now.
    #[must_use]
    pub fn is_overdue(&self, now: DateTime<Utc>) -> bool {
        self.invoice.due_at.is_some_and(|due| due <= now)
    }
}

impl Billing {
    /// What the customer reads in their account now, oldest first, and the brand's present. What is paid is not shown any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notices(&self, brand: BrandId, account: AccountId) -> Result<(Vec<Shown>, DateTime<Utc>), Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let mut shown: Vec<Shown> = Vec::new();
        for notice in store::notice::current(&mut tx, account).await? {
            let Some(invoice) = known(&mut tx, notice.invoice).await? else { continue };
            // Each part of a consolidated invoice has one, and they say the same.
            if shown.iter().any(|other| other.invoice.id == invoice.id) {
                continue;
            }
            let left = invoice.remaining().map_err(broken)?;
            if left.is_positive() {
                let pay_token = self.pay_token(brand, invoice.id, now)?;
                shown.push(Shown { notice, invoice, left, pay_token });
            }
        }
        Ok((shown, now))
    }

    /// The customer does not want to see it any more; the next step says it again. As often as they like.
    ///
    /// # Errors
    /// When there is nothing of theirs.
    pub async fn dismiss_notice(&self, brand: BrandId, account: AccountId, invoice: InvoiceId) -> Result<(), Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let mut about = store::invoice::part_ids(&mut tx, invoice).await?;
        if about.is_empty() {
            about.push(invoice);
        }
        if !store::notice::dismiss(&mut tx, account, &about, now).await? {
            let message = format!("there is no notice about {invoice}");
            return Err(Problem::not_found("NOTICE_NOT_FOUND", message).on_field("invoice_id"));
        }
        Ok(tx.commit().await?)
    }
}

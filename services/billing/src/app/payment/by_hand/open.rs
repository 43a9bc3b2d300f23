//! A reference and a page for a payment that is to be sent or handed over.

use ottery_kernel::BrandId;
use ottery_kit::grpc::Problem;
use uuid::Uuid;

use super::super::{Reached, deposit, settle};
use super::{PAGE_PURPOSE, REFERENCE_PURPOSE};
use crate::app::Billing;
use crate::domain::by_hand::Reference;
use crate::domain::payment::Truth;
use crate::provider::{CallError, Checkout, CheckoutAsk};
use crate::store;
use crate::store::by_hand::{By, Wait};
use crate::store::payment::Payment;

/// Where the page of a reference is, below the brand's host.
const PAGE: &str = "/pay/by-hand/";

impl Billing {
    /// Waits under a reference: its own, or that of the try before it of the same invoice, because somebody may have sent money by it.
    pub(in crate::app::payment) async fn open_by_hand(
        &self,
        brand: BrandId,
        reached: &Reached,
        ask: &CheckoutAsk,
    ) -> Result<Result<Checkout, CallError>, Problem> {
        let Some(page) = deposit::page_base(&ask.return_url, PAGE) else {
            return Ok(Err(CallError::Refused { code: "return_url_unreadable".to_owned() }));
        };
        let (mut tx, now) = self.begin(brand).await?;
        let (_, payment) = settle::lock(&mut tx, ask.payment).await?;
        let invoice = payment.shares.is_empty().then_some(payment.invoice);
        let before = match invoice {
            Some(invoice) => store::by_hand::find(&mut tx, By::Invoice(invoice, reached.id)).await?,
            None => None,
        };
        let wait = if let Some(before) = before {
            store::by_hand::take_over(&mut tx, before.id, payment.id, &ask.title, &ask.return_url).await?;
            before
        } else {
            let id = Uuid::now_v7();
            let keyring = &self.host.keyring;
            let page_hash = keyring.keyed_hash(PAGE_PURPOSE, id.as_bytes());
            let hash = keyring.keyed_hash(REFERENCE_PURPOSE, id.as_bytes());
            let mut random = [0; 8];
            random.copy_from_slice(&hash[..8]);
            let wait = Wait {
                id,
                payment: payment.id,
                invoice,
                provider_account: reached.id,
                reference: Reference::of(random),
                token: hex::encode(&page_hash[..16]),
                title: ask.title.clone(),
                return_url: ask.return_url.clone(),
                created_at: now,
            };
            // Taken by chance, once in thousands of millions: nothing is made, and the next try has another one.
            store::by_hand::insert(&mut tx, brand, &wait).await?;
            wait
        };
        tx.commit().await?;
        let url = format!("{page}{}", wait.token);
        Ok(Ok(Checkout { reference: wait.reference.to_string(), url, customer: ask.customer.clone() }))
    }

    /// What is known of such a payment, as an answer to whoever reads it back. It books nothing: people do.
    pub(in crate::app::payment) async fn by_hand_truth(
        &self,
        brand: BrandId,
        payment: &Payment,
    ) -> Result<Truth, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let wait = store::by_hand::find(&mut tx, By::Payment(payment.id)).await?;
        Ok(match wait {
            None if payment.checkout_ref.is_empty() => Truth::Absent,
            // Another try waits under its reference now.
            None => Truth::Expired,
            Some(_) if payment.is_withdrawn => Truth::Expired,
            Some(_) if payment.is_processing => Truth::Processing { provider_ref: payment.provider_ref.clone() },
            Some(_) => Truth::Open,
        })
    }
}

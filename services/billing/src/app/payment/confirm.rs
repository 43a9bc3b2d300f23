//! A charge that was refused because its holder has to confirm it: they are sent to their bank, and the same charge goes on.

use ottery_kernel::{AccountId, BrandId, InvoiceId, Money, PaymentId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::mass::asked_with;
use super::settle::{self, Teller};
use super::{Reached, apply};
use crate::app::settlement::Owed;
use crate::app::{Billing, broken};
use crate::domain::invoice::Invoice;
use crate::domain::payment::{State, next_look};
use crate::provider::{ConfirmAsk, Confirmation};
use crate::store;
use crate::store::errand;
use crate::store::payment::{AttemptKind, Payment};

impl Billing {
    /// The charge of an invoice that waits for its holder, and where they confirm it; none when there is none, or it is better
    /// paid in another way: they were there before, the amount is another one now, the method is gone, or the provider cannot
    /// do it. A charge for several invoices (a consolidated one, or what was carried forward) is taken up when exactly these
    /// would be asked for.
    pub(super) async fn confirm_waiting(
        &self,
        brand: BrandId,
        invoice: InvoiceId,
        owner: Option<AccountId>,
        return_url: &str,
    ) -> Result<Option<(PaymentId, String)>, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let wanted = asked_with(&mut tx, invoice).await?;
        let Some(id) = store::payment::waiting_for_action(&mut tx, &wanted).await? else { return Ok(None) };
        let (Owed { invoice, .. }, payment) = settle::lock(&mut tx, id).await?;
        if owner.is_some_and(|owner| owner != invoice.account) || !is_for(&payment, wanted) {
            return Ok(None);
        }
        let Some(owed) = claimed(&mut tx, &invoice, &payment).await? else { return Ok(None) };
        let Some((reached, ask)) = self.confirmable(&mut tx, brand, &payment, owed, return_url).await? else {
            return Ok(None);
        };
        store::payment::mark_resumed(&mut tx, id, now).await?;
        let patience = self.config.payments.page_patience();
        let after = next_look(State::Pending, 0, patience).expect("a pending attempt is looked at");
        errand::plan(&mut tx, brand, errand::Kind::Payment, &[id.as_uuid()], after).await?;
        tx.commit().await?;
        match reached.provider.confirm(&reached.access, &ask).await {
            Ok(Confirmation::GoTo(bank)) => Ok(Some((id, bank))),
            Ok(Confirmation::Decided(truth)) => {
                let (mut tx, now) = self.begin(brand).await?;
                let teller = Teller { account: reached.id, provider: reached.provider.name(), tries: 0 };
                let payment = apply(&mut tx, self, brand, id, truth, teller, now).await?;
                tx.commit().await?;
                Ok((payment.state == State::Succeeded).then(|| (id, return_url.to_owned())))
            }
            Err(error) => {
                tracing::warn!(payment.id = %id, provider = reached.provider.name(), %error, "charge not taken up again");
                Ok(None)
            }
        }
    }

    async fn confirmable(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        payment: &Payment,
        owed: Money,
        return_url: &str,
    ) -> Result<Option<(Reached, ConfirmAsk)>, Problem> {
        let (AttemptKind::OffSession { method }, Some(account)) = (&payment.kind, payment.provider_account) else {
            return Ok(None);
        };
        if payment.state != State::ActionRequired || payment.is_resumed || payment.amount != owed {
            return Ok(None);
        }
        let Some(reached) = self.reach(tx, brand, account).await? else { return Ok(None) };
        if !reached.provider.capabilities().confirms_charges {
            return Ok(None);
        }
        let Some(stored) = store::payment_method::get(tx, *method).await? else { return Ok(None) };
        let ask = ConfirmAsk {
            payment: payment.id,
            payment_ref: payment.provider_ref.clone(),
            token: self.open_token(brand, *method, &stored)?,
            return_url: return_url.to_owned(),
        };
        Ok(Some((reached, ask)))
    }
}

/// Whether an attempt is for these invoices, no more and no less.
fn is_for(payment: &Payment, mut wanted: Vec<InvoiceId>) -> bool {
    let mut invoices = payment.invoices();
    invoices.sort_unstable();
    wanted.sort_unstable();
    invoices == wanted
}

/// What is left to pay on everything an attempt is for; none when one of it asks for nothing any more. The caller holds the locks.
async fn claimed(tx: &mut PgTransaction<'_>, first: &Invoice, payment: &Payment) -> Result<Option<Money>, Problem> {
    let mut sum = Money::zero(payment.amount.currency);
    for id in payment.invoices() {
        let found = if id == first.id { Some(first.clone()) } else { store::invoice::get(tx, id).await? };
        let Some(invoice) = found.filter(Invoice::is_claim) else { return Ok(None) };
        sum = sum.checked_add(invoice.remaining().map_err(broken)?).map_err(broken)?;
    }
    Ok(Some(sum))
}

/// Whether a charge waits for its holder whom we sent to the bank, so that somebody has to look how it ended.
pub(super) fn is_watched(payment: &Payment) -> bool {
    payment.state == State::ActionRequired && payment.is_resumed
}

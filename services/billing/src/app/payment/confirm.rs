//! A charge that was refused because its holder has to confirm it: they are sent to their bank, and the same charge goes on.

use ottery_kernel::{AccountId, BrandId, InvoiceId, Money, PaymentId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::settle::{self, Teller};
use super::{Reached, apply};
use crate::app::settlement::Owed;
use crate::app::{Billing, broken};
use crate::domain::payment::{State, next_look};
use crate::provider::{ConfirmAsk, Confirmation};
use crate::store;
use crate::store::errand;
use crate::store::payment::{AttemptKind, Payment};

impl Billing {
    /// The charge of an invoice that waits for its holder, and where they confirm it; none when there is none, or it is better
    /// paid in another way: they were there before, the amount is another one now, the method is gone, or the provider cannot
    /// do it.
    pub(super) async fn confirm_waiting(
        &self,
        brand: BrandId,
        invoice: InvoiceId,
        owner: Option<AccountId>,
        return_url: &str,
    ) -> Result<Option<(PaymentId, String)>, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let Some(id) = store::payment::waiting_for_action(&mut tx, invoice).await? else { return Ok(None) };
        let (Owed { invoice, .. }, payment) = settle::lock(&mut tx, id).await?;
        if owner.is_some_and(|owner| owner != invoice.account) || !invoice.is_claim() || !payment.shares.is_empty() {
            return Ok(None);
        }
        let owed = invoice.remaining().map_err(broken)?;
        let Some((reached, ask)) = self.confirmable(&mut tx, brand, &payment, owed, return_url).await? else {
            return Ok(None);
        };
        store::payment::mark_resumed(&mut tx, id, now).await?;
        let after = next_look(State::Pending, 0).expect("a pending attempt is looked at");
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

/// Whether a charge waits for its holder whom we sent to the bank, so that somebody has to look how it ended.
pub(super) fn is_watched(payment: &Payment) -> bool {
    payment.state == State::ActionRequired && payment.is_resumed
}

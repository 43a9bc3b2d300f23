//! Taking what a customer agreed to on a page, at a provider whose pages take no money themselves.

use ottery_kernel::{BrandId, PaymentId};
use ottery_kit::grpc::Problem;

use super::{Reached, settle};
use crate::app::Billing;
use crate::domain::payment::{Decline, DeclineClass, State, Truth};
use crate::provider::{CallError, PageTruth};

impl Billing {
    /// What a page says. What the customer agreed to there is taken, as long as somebody waits for it: by one call that is written
    /// down before, so that the invoice is locked until it is known what came of it.
    pub(crate) async fn take_page(
        &self,
        brand: BrandId,
        id: PaymentId,
        reached: &Reached,
        page: &str,
    ) -> Result<Result<Truth, CallError>, Problem> {
        match reached.provider.read_checkout(&reached.access, page).await {
            Ok(PageTruth::Agreed) => {}
            Ok(PageTruth::Told(truth)) => return Ok(Ok(truth)),
            Err(error) => return Ok(Err(error)),
        }
        let Some(was_taking) = self.begin_taking(brand, id, page).await? else { return Ok(Ok(Truth::Open)) };
        ottery_kit::crash::point("payment.taking");
        let answer = reached.provider.take_checkout(&reached.access, page).await;
        let is_action =
            matches!(&answer, Ok(Truth::Declined { decline: Decline { class: DeclineClass::Action, .. }, .. }));
        // What this call did not do, one before it may have done.
        let did_nothing = matches!(
            &answer,
            Err(CallError::NotSent(_) | CallError::Refused { .. } | CallError::Amount(_)) if !was_taking
        );
        if is_action || did_nothing {
            self.keep_taking(brand, id, false).await?;
        } else if matches!(&answer, Err(CallError::Ambiguous(_))) {
            // Whoever asked for the same at the same time and did nothing may have taken the mark away.
            self.keep_taking(brand, id, true).await?;
        }
        // The payer has to come back to the page.
        Ok(if is_action { Ok(Truth::Open) } else { answer })
    }

    /// Writes down that it is being taken; whether it was already. None when it must not be: nobody waits for it any more, it is
    /// decided, or another page took its place.
    async fn begin_taking(&self, brand: BrandId, id: PaymentId, page: &str) -> Result<Option<bool>, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let (_, mut payment) = settle::lock(&mut tx, id).await?;
        if payment.is_withdrawn || payment.state.is_final() || payment.checkout_ref != page {
            return Ok(None);
        }
        let was_taking = payment.is_taking();
        if !was_taking {
            settle::set_taking(&mut tx, self, brand, &mut payment, true, now).await?;
            tx.commit().await?;
        }
        Ok(Some(was_taking))
    }

    /// Nobody knows what came of it, or it was surely not taken.
    async fn keep_taking(&self, brand: BrandId, id: PaymentId, is_taking: bool) -> Result<(), Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let (_, mut payment) = settle::lock(&mut tx, id).await?;
        let is_told = payment.state != State::Pending || !payment.provider_ref.is_empty();
        if !is_told && payment.is_processing != is_taking {
            settle::set_taking(&mut tx, self, brand, &mut payment, is_taking, now).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

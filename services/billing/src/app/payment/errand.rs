//! Calls the workers make: charges of saved methods, and reading back.

use chrono::TimeDelta;
use ottery_kernel::{BrandId, PaymentId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::checkout::mark_sent;
use super::settle::{self, Teller};
use super::{Reached, apply};
use crate::app::Billing;
use crate::app::broken;
use crate::app::settlement::Owed;
use crate::domain::invoice::{Invoice, State as InvoiceState};
use crate::domain::payment::{Command, State, Truth};
use crate::provider::{CallError, ChargeAsk, Lookup};
use crate::store;
use crate::store::errand;
use crate::store::payment::{AttemptKind, Payment};

/// How long after the call a provider that knows of nothing is believed: no request is on its way any more then.
const ABSENT_AFTER: TimeDelta = TimeDelta::seconds(60);

impl Billing {
    /// Does what waits for one attempt: at most one call that moves money.
    ///
    /// # Errors
    /// When the database fails; the errand is then done later.
    pub(crate) async fn run_payment(&self, brand: BrandId, id: PaymentId, tries: u32) -> Result<(), Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let Some(payment) = store::payment::get(&mut tx, id).await? else {
            errand::done(&mut tx, id.as_uuid()).await?;
            return Ok(tx.commit().await?);
        };
        match (&payment.kind, payment.state) {
            (AttemptKind::OffSession { .. }, State::Requested) => {
                drop(tx);
                self.charge(brand, id, tries).await
            }
            (AttemptKind::Hosted { .. }, State::Requested)
            | (_, State::ActionRequired | State::Succeeded | State::Failed | State::Cancelled) => {
                errand::done(&mut tx, id.as_uuid()).await?;
                Ok(tx.commit().await?)
            }
            // Whoever made the call never came back from it.
            (_, State::Sent) => {
                drop(tx);
                let (mut tx, now) = self.begin(brand).await?;
                let payment = settle::note(&mut tx, self, brand, id, Command::Lose, tries, now).await?;
                tx.commit().await?;
                self.look(brand, payment, tries).await
            }
            (_, State::Pending | State::Unknown) => {
                drop(tx);
                self.look(brand, payment, tries).await
            }
        }
    }

    /// Charges a saved method: journal, one call, outcome.
    async fn charge(&self, brand: BrandId, id: PaymentId, tries: u32) -> Result<(), Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let (Owed { invoice, .. }, mut payment) = settle::lock(&mut tx, id).await?;
        let AttemptKind::OffSession { method } = payment.kind else { return Ok(()) };
        // Somebody else took it meanwhile.
        if !matches!(payment.state, State::Requested | State::Unknown) {
            return Ok(());
        }
        if !is_wanted(&mut tx, &invoice, &payment).await? {
            settle::note(&mut tx, self, brand, id, Command::Cancel, tries, now).await?;
            return Ok(tx.commit().await?);
        }
        let stored = store::payment_method::get(&mut tx, method).await?;
        let reached = match &stored {
            Some(stored) => self.reach(&mut tx, brand, Some(stored.provider_account)).await?,
            None => None,
        };
        let (Some(stored), Some(reached)) = (stored, reached) else {
            settle::fail(&mut tx, self, brand, id, "method_gone", now).await?;
            return Ok(tx.commit().await?);
        };
        payment.method_label.clone_from(&stored.label);
        let ask = ChargeAsk { payment: id, amount: payment.amount, token: self.open_token(brand, method, &stored)? };
        mark_sent(&mut tx, self, brand, &mut payment, &reached).await?;
        tx.commit().await?;
        ottery_kit::crash::point("payment.sent");

        let answer = reached.provider.charge_saved(&reached.access, &ask).await;
        ottery_kit::crash::point("payment.answered");
        let (mut tx, now) = self.begin(brand).await?;
        match answer {
            Ok(truth) => {
                apply(&mut tx, self, brand, id, truth, teller(&reached, tries), now).await?;
            }
            Err(error) => {
                tracing::warn!(payment.id = %id, provider = reached.provider.name(), %error, "charge without outcome");
                match error {
                    CallError::NotSent(_) => {
                        settle::note(&mut tx, self, brand, id, Command::TakeBack, tries, now).await?;
                    }
                    CallError::Ambiguous(_) => {
                        settle::note(&mut tx, self, brand, id, Command::Lose, tries, now).await?;
                    }
                    CallError::Refused { code } => settle::fail(&mut tx, self, brand, id, &code, now).await?,
                    CallError::Amount(_) => settle::fail(&mut tx, self, brand, id, "amount_unsupported", now).await?,
                }
            }
        }
        Ok(tx.commit().await?)
    }

    /// Reads an attempt back and applies what the provider says.
    async fn look(&self, brand: BrandId, payment: Payment, tries: u32) -> Result<(), Problem> {
        let id = payment.id;
        let (mut tx, _) = self.begin(brand).await?;
        let Some(reached) = self.reach(&mut tx, brand, payment.provider_account).await? else {
            errand::again(&mut tx, id.as_uuid(), TimeDelta::hours(1)).await?;
            return Ok(tx.commit().await?);
        };
        drop(tx);
        let truth = self.ask(&reached, &payment).await;
        let (mut tx, now) = self.begin(brand).await?;
        let is_settled_absence = payment.sent_ago.is_none_or(|ago| ago >= ABSENT_AFTER);
        match truth {
            Ok(Truth::Absent) if payment.state == State::Unknown && is_settled_absence => {
                drop(tx);
                return self.never_arrived(brand, &payment, tries).await;
            }
            Ok(truth) => {
                let payment = apply(&mut tx, self, brand, id, truth, teller(&reached, tries), now).await?;
                settle::complain(&mut tx, brand, &payment, self.config.payments.unknown_max(), now).await?;
            }
            Err(error) => {
                tracing::warn!(payment.id = %id, provider = reached.provider.name(), %error, "payment not read back");
                let payment = settle::note(&mut tx, self, brand, id, Command::TakeBack, tries, now).await?;
                settle::complain(&mut tx, brand, &payment, self.config.payments.unknown_max(), now).await?;
            }
        }
        Ok(tx.commit().await?)
    }

    async fn ask(&self, reached: &Reached, payment: &Payment) -> Result<Truth, CallError> {
        let lookup = if !payment.checkout_ref.is_empty() {
            Lookup::Checkout(&payment.checkout_ref)
        } else if !payment.provider_ref.is_empty() {
            Lookup::Payment(&payment.provider_ref)
        } else {
            Lookup::Reference(payment.id)
        };
        if payment.is_withdrawn && !payment.checkout_ref.is_empty() {
            // Whether it could be closed is seen by reading it.
            if let Err(error) = reached.provider.expire_checkout(&reached.access, &payment.checkout_ref).await {
                tracing::debug!(payment.id = %payment.id, %error, "page not closed");
            }
        }
        reached.provider.fetch_payment(&reached.access, lookup).await
    }

    /// The provider has never heard of the call. A page nobody was sent to is forgotten; a charge is made again with the
    /// same key, which even a provider that errs charges once.
    async fn never_arrived(&self, brand: BrandId, payment: &Payment, tries: u32) -> Result<(), Problem> {
        match payment.kind {
            AttemptKind::OffSession { .. } if !payment.is_withdrawn => self.charge(brand, payment.id, tries).await,
            AttemptKind::OffSession { .. } | AttemptKind::Hosted { .. } => {
                let (mut tx, now) = self.begin(brand).await?;
                settle::note(&mut tx, self, brand, payment.id, Command::Cancel, tries, now).await?;
                Ok(tx.commit().await?)
            }
        }
    }
}

/// Whether everything it is for still asks for what it would pay; all of it is locked.
async fn is_wanted(tx: &mut PgTransaction<'_>, invoice: &Invoice, payment: &Payment) -> Result<bool, Problem> {
    let asks_for = |invoice: &Invoice, minor| {
        Ok::<_, Problem>(invoice.state == InvoiceState::Open && invoice.remaining().map_err(broken)?.minor == minor)
    };
    let shares = store::share::amounts(tx, payment.id).await?;
    if shares.is_empty() {
        return asks_for(invoice, payment.amount.minor);
    }
    for (id, minor) in shares {
        let Some(shared) = store::invoice::get(tx, id).await? else { return Ok(false) };
        if !asks_for(&shared, minor)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn teller(reached: &Reached, tries: u32) -> Teller<'_> {
    Teller { account: reached.id, provider: reached.provider.name(), tries }
}

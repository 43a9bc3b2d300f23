//! Calls the workers make: charges of saved methods, and reading back.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{BrandId, Money, PaymentId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::checkout::{mark_sent, write_sent};
use super::settle::{self, Teller};
use super::{Reached, apply, watch};
use crate::app::Billing;
use crate::app::broken;
use crate::app::settlement::Owed;
use crate::domain::invoice::{Invoice, State as InvoiceState};
use crate::domain::payment::{Command, Decline, DeclineClass, State, Truth};
use crate::domain::provider::ProviderAccountId;
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
                Box::pin(self.charge(brand, id, tries)).await
            }
            // Somebody was sent to their bank with it, or it is not wanted any more.
            (_, State::ActionRequired) if payment.is_resumed => {
                drop(tx);
                Box::pin(self.look(brand, payment, tries)).await
            }
            // Where customers pay as they like, what is decided may change.
            (_, State::Succeeded | State::Failed | State::Cancelled) if watch::is_watched(self, &payment) => {
                drop(tx);
                Box::pin(self.look(brand, payment, tries)).await
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
                Box::pin(self.look(brand, payment, tries)).await
            }
            (_, State::Pending | State::Unknown) => {
                drop(tx);
                Box::pin(self.look(brand, payment, tries)).await
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
        let was_lost = payment.state == State::Unknown;
        // Of the call before nobody knows anything, and what keeps this one from being made says nothing about it.
        let is_undecided = was_lost && !self.finds_by_reference(&payment);
        let is_wanted = still_owed(&mut tx, &invoice, &payment).await? == Some(payment.amount);
        if !is_wanted && is_undecided {
            return self.leave_undecided(tx, brand, id, tries, now).await;
        }
        if !is_wanted {
            settle::note(&mut tx, self, brand, id, Command::Cancel, tries, now).await?;
            return Ok(tx.commit().await?);
        }
        let stored = store::payment_method::get(&mut tx, method).await?;
        let reached = match &stored {
            Some(stored) => self.reach(&mut tx, brand, stored.provider_account).await?,
            None => None,
        };
        let is_disabled = reached.as_ref().is_some_and(|reached| !reached.is_enabled);
        let (stored, reached) = match (stored, reached) {
            (Some(stored), Some(reached)) if !is_disabled => (stored, reached),
            _ if is_undecided => return self.leave_undecided(tx, brand, id, tries, now).await,
            _ => {
                let code = if is_disabled { "account_disabled" } else { "method_gone" };
                settle::fail(&mut tx, self, brand, id, code, now).await?;
                return Ok(tx.commit().await?);
            }
        };
        payment.method_label.clone_from(&stored.label);
        let ask = ChargeAsk { payment: id, amount: payment.amount, token: self.open_token(brand, method, &stored)? };
        if was_lost {
            write_sent(&mut tx, &mut payment, &reached).await?;
        } else {
            mark_sent(&mut tx, self, brand, &mut payment, &reached).await?;
        }
        tx.commit().await?;
        ottery_kit::crash::point("payment.sent");

        let answer = reached.provider.charge_saved(&reached.access, &ask).await;
        ottery_kit::crash::point("payment.answered");
        let (mut tx, now) = self.begin(brand).await?;
        match answer {
            // What is wrong with the method may be seen before the key is: the call before may have been made with it.
            Ok(Truth::Declined { decline: Decline { class: DeclineClass::Hard, code }, .. }) if is_undecided => {
                tracing::warn!(payment.id = %id, provider = reached.provider.name(), %code, "lost charge not made again");
                self.note_undecided(&mut tx, brand, id, tries, now).await?;
            }
            Ok(truth) => {
                Box::pin(apply(&mut tx, self, brand, id, truth, teller(&reached, tries), now)).await?;
            }
            Err(error) => {
                tracing::warn!(payment.id = %id, provider = reached.provider.name(), %error, "charge without outcome");
                match error {
                    // Even when this call surely did nothing, the one before it may have done it.
                    CallError::NotSent(_) | CallError::Ambiguous(_) if was_lost => {
                        self.note_undecided(&mut tx, brand, id, tries, now).await?;
                    }
                    CallError::Refused { .. } | CallError::Amount(_) if is_undecided => {
                        self.note_undecided(&mut tx, brand, id, tries, now).await?;
                    }
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
        store::payment::note_request(&mut tx, id, &reached.access.trace.last()).await?;
        Ok(tx.commit().await?)
    }

    /// Nobody knows what became of a charge, and nothing that is known here tells: the invoice stays locked, and staff looks.
    async fn note_undecided(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        id: PaymentId,
        tries: u32,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let payment = settle::note_again(tx, self, brand, id, tries, now).await?;
        settle::complain(tx, brand, &payment, self.config.payments.unknown_max(), now).await
    }

    async fn leave_undecided(
        &self,
        mut tx: PgTransaction<'_>,
        brand: BrandId,
        id: PaymentId,
        tries: u32,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        self.note_undecided(&mut tx, brand, id, tries, now).await?;
        Ok(tx.commit().await?)
    }

    /// Whether the provider of an attempt would find it by our id; not when nobody knows that provider.
    fn finds_by_reference(&self, payment: &Payment) -> bool {
        let provider = self.providers.get(&payment.provider);
        provider.is_some_and(|provider| provider.capabilities().finds_by_reference)
    }

    /// Reads an attempt back and applies what the provider says.
    async fn look(&self, brand: BrandId, payment: Payment, tries: u32) -> Result<(), Problem> {
        let id = payment.id;
        let (mut tx, _) = self.begin(brand).await?;
        let Some(reached) = self.reach_told(&mut tx, brand, payment.provider_account).await? else {
            errand::again(&mut tx, id.as_uuid(), TimeDelta::hours(1)).await?;
            return Ok(tx.commit().await?);
        };
        let customer = self.customer_of(&mut tx, brand, &payment, reached.id).await?;
        drop(tx);
        let truth = Box::pin(self.ask(brand, &reached, &payment, &customer)).await?;
        let (mut tx, now) = self.begin(brand).await?;
        let is_settled_absence = payment.sent_ago.is_none_or(|ago| ago >= ABSENT_AFTER);
        match truth {
            Ok(Truth::Absent) if payment.state == State::Unknown && is_settled_absence => {
                drop(tx);
                return Box::pin(self.never_arrived(brand, &payment, &reached, tries)).await;
            }
            Ok(truth) => {
                let payment = Box::pin(apply(&mut tx, self, brand, id, truth, teller(&reached, tries), now)).await?;
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

    /// What the provider calls whoever is charged; empty when it keeps no customers.
    async fn customer_of(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        payment: &Payment,
        account: ProviderAccountId,
    ) -> Result<String, Problem> {
        if let AttemptKind::OffSession { method } = payment.kind
            && let Some(stored) = store::payment_method::get(tx, method).await?
        {
            return Ok(self.open_token(brand, method, &stored)?.customer().to_owned());
        }
        Ok(store::provider_account::customer(tx, payment.account, account).await?)
    }

    async fn ask(
        &self,
        brand: BrandId,
        reached: &Reached,
        payment: &Payment,
        customer: &str,
    ) -> Result<Result<Truth, CallError>, Problem> {
        if reached.provider.coins().is_some() {
            return self.deposit_truth(brand, payment).await.map(Ok);
        }
        if reached.provider.by_hand().is_some() {
            return self.by_hand_truth(brand, payment).await.map(Ok);
        }
        if payment.is_withdrawn && payment.is_resumed && payment.checkout_ref.is_empty() {
            return Ok(reached.provider.cancel_payment(&reached.access, &payment.provider_ref).await);
        }
        let lookup = if !payment.checkout_ref.is_empty() {
            Lookup::Checkout(&payment.checkout_ref)
        } else if !payment.provider_ref.is_empty() {
            Lookup::Payment(&payment.provider_ref)
        } else {
            Lookup::Reference { payment: payment.id, customer }
        };
        if let Lookup::Checkout(page) = lookup
            && !payment.is_withdrawn
        {
            return self.take_page(brand, payment.id, reached, page).await;
        }
        if payment.is_withdrawn && !payment.checkout_ref.is_empty() {
            // Whether it could be closed is seen by reading it.
            if let Err(error) = reached.provider.expire_checkout(&reached.access, &payment.checkout_ref).await {
                tracing::debug!(payment.id = %payment.id, %error, "page not closed");
            }
        }
        Ok(reached.provider.fetch_payment(&reached.access, lookup).await)
    }

    /// The provider has never heard of the call, or cannot tell. A page nobody was sent to is forgotten; a charge is made again
    /// with the same key, which even a provider that errs charges once, as long as it remembers the key. Later staff looks.
    async fn never_arrived(
        &self,
        brand: BrandId,
        payment: &Payment,
        reached: &Reached,
        tries: u32,
    ) -> Result<(), Problem> {
        let is_forgotten = match (reached.provider.key_lifetime(), payment.sent_ago) {
            (Some(lifetime), Some(ago)) => ago >= lifetime,
            (Some(_) | None, _) => false,
        };
        match payment.kind {
            AttemptKind::OffSession { .. } if !payment.is_withdrawn && is_forgotten => {
                let (mut tx, now) = self.begin(brand).await?;
                let payment = settle::note(&mut tx, self, brand, payment.id, Command::TakeBack, tries, now).await?;
                settle::complain(&mut tx, brand, &payment, self.config.payments.unknown_max(), now).await?;
                Ok(tx.commit().await?)
            }
            AttemptKind::OffSession { .. } if !payment.is_withdrawn => {
                Box::pin(self.charge(brand, payment.id, tries)).await
            }
            AttemptKind::OffSession { .. } if !reached.provider.capabilities().finds_by_reference => {
                let (tx, now) = self.begin(brand).await?;
                self.leave_undecided(tx, brand, payment.id, tries, now).await
            }
            AttemptKind::OffSession { .. } | AttemptKind::Hosted { .. } => {
                let (mut tx, now) = self.begin(brand).await?;
                settle::note(&mut tx, self, brand, payment.id, Command::Cancel, tries, now).await?;
                Ok(tx.commit().await?)
            }
        }
    }
}

/// What is still owed of all an attempt is for; nothing to charge when one of them is not open any more.
async fn still_owed(tx: &mut PgTransaction<'_>, first: &Invoice, payment: &Payment) -> Result<Option<Money>, Problem> {
    let mut sum = Money::zero(payment.amount.currency);
    for id in payment.invoices() {
        let found = if id == first.id { Some(first.clone()) } else { store::invoice::get(tx, id).await? };
        let Some(invoice) = found.filter(|invoice| invoice.state == InvoiceState::Open) else { return Ok(None) };
        sum = sum.checked_add(invoice.remaining().map_err(broken)?).map_err(broken)?;
    }
    Ok(Some(sum))
}

fn teller(reached: &Reached, tries: u32) -> Teller<'_> {
    Teller { account: reached.id, provider: reached.provider.name(), tries }
}

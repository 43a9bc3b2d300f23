//! What the provider says becomes what we know: one transaction, whoever asked and however often.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{BrandId, PaymentId};
use ottery_kit::grpc::Problem;
use ottery_kit::outbox;
use sqlx::postgres::PgTransaction;

use super::{confirm, watch};
use crate::app::settlement::{self, Owed, SettledPayment};
use crate::app::{Billing, broken};
use crate::domain::invoice::Invoice;
use crate::domain::payment::{Capture, Command, Decline, DeclineClass, Outcome, State, Truth, next_look};
use crate::domain::provider::ProviderAccountId;
use crate::domain::subscription::Method;
use crate::events;
use crate::provider::SavedMethod;
use crate::store;
use crate::store::errand;
use crate::store::payment::{AttemptKind, Payment};

/// Looks at a charge whose holder was sent to their bank: about a day.
const CONFIRM_LOOKS_MAX: u32 = 24;
/// Our word for money that was on its way and did not come to stay.
const INVALID: &str = "payment_invalid";

/// Who says it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Teller<'a> {
    /// The account.
    pub account: ProviderAccountId,
    /// The provider's name.
    pub provider: &'a str,
    /// Looks since the last change.
    pub tries: u32,
}

/// Locks what a payment is about, in the order everybody does, and the payment itself.
pub(crate) async fn lock(tx: &mut PgTransaction<'_>, id: PaymentId) -> Result<(Owed, Payment), Problem> {
    let unknown =
        || Problem::not_found("PAYMENT_NOT_FOUND", format!("there is no payment {id}")).on_field("payment_id");
    let invoice = store::payment::invoice_of(tx, id).await?.ok_or_else(unknown)?;
    let shares = store::share::of(tx, id).await?;
    if !shares.is_empty() {
        store::share::lock(tx, &shares).await?;
    }
    let owed = Owed::lock(tx, invoice).await?;
    let payment = store::payment::lock(tx, id).await?.ok_or_else(unknown)?;
    Ok((owed, payment))
}

/// Applies what the provider says about an attempt. The caller commits.
///
/// # Errors
/// When there is no such attempt, or the database fails.
pub(crate) async fn apply(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    brand: BrandId,
    id: PaymentId,
    truth: Truth,
    teller: Teller<'_>,
    now: DateTime<Utc>,
) -> Result<Payment, Problem> {
    let (owed, mut payment) = lock(tx, id).await?;
    let before = (payment.state, payment.is_processing);
    payment.provider_account.get_or_insert(teller.account);
    if payment.provider.is_empty() {
        teller.provider.clone_into(&mut payment.provider);
    }
    let was_open = (payment.state == State::Unknown || payment.is_taking()).then_some(payment.id);
    let takes_when_asked = || {
        let provider = billing.providers.get(&payment.provider);
        provider.is_some_and(|provider| provider.capabilities().takes_when_asked)
    };
    let truth = match truth {
        // Nobody will ask for what was agreed to on a page that was withdrawn, unless somebody has.
        Truth::Open if payment.is_withdrawn && !payment.is_taking() && takes_when_asked() => Truth::Expired,
        // Nothing of it is booked: it is a payment that failed.
        Truth::Reversed { provider_ref } if payment.state != State::Succeeded => {
            Truth::Declined { provider_ref, decline: Decline { class: DeclineClass::Soft, code: INVALID.to_owned() } }
        }
        truth => truth,
    };
    match truth {
        // Boxed, as each step of a payment that calls a large one is: unoptimised, one within the other is more than a stack.
        Truth::Captured(capture) => {
            return Box::pin(captured(tx, billing, brand, owed, payment, capture, teller.tries, now)).await;
        }
        Truth::Open => {
            move_to(&mut payment, Command::Wait, now)?;
            payment.is_processing = payment.is_taking();
        }
        Truth::Processing { provider_ref } => {
            move_to(&mut payment, Command::Wait, now)?;
            payment.is_processing = !payment.state.is_final();
            if payment.is_processing {
                payment.provider_ref = provider_ref;
            }
        }
        Truth::Declined { provider_ref, decline } => {
            let decline = super::decline::judge(tx, billing, &payment, decline, now).await?;
            let command = match (&payment.kind, decline.class) {
                (AttemptKind::OffSession { .. }, DeclineClass::Action) => Command::NeedAction,
                _ => Command::Fail,
            };
            if move_to(&mut payment, command, now)? {
                payment.is_processing = false;
                payment.provider_ref = provider_ref;
                super::decline::follow(tx, billing, brand, &payment, &decline, now).await?;
                payment.failure = Some(decline);
            }
        }
        Truth::Reversed { .. } => Box::pin(watch::reversed(tx, billing, brand, &payment, now)).await?,
        Truth::Expired => {
            move_to(&mut payment, Command::Cancel, now)?;
            payment.is_processing = false;
        }
        Truth::Absent => {}
    }
    if let Some(id) = was_open.filter(|_| payment.state.is_final()) {
        store::task::resolve(tx, brand, super::UNKNOWN_TASK, id, now).await?;
    }
    let is_change = before != (payment.state, payment.is_processing);
    finish(tx, billing, brand, &owed.invoice, &payment, is_change, teller.tries, now).await?;
    Ok(payment)
}

/// The provider will never take the money of this attempt: told by an answer, not by a lookup.
pub(crate) async fn fail(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    brand: BrandId,
    id: PaymentId,
    code: &str,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let (Owed { invoice, .. }, mut payment) = lock(tx, id).await?;
    if move_to(&mut payment, Command::Fail, now)? {
        payment.failure = Some(Decline { class: DeclineClass::Hard, code: code.to_owned() });
        finish(tx, billing, brand, &invoice, &payment, true, 0, now).await?;
    }
    Ok(())
}

/// Writes down that what was agreed to on a page is being taken, or that it surely was not. The caller holds the lock and commits.
pub(super) async fn set_taking(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    brand: BrandId,
    payment: &mut Payment,
    is_taking: bool,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    payment.is_processing = is_taking;
    store::payment::save(tx, payment).await?;
    for invoice in payment.invoices() {
        Box::pin(settlement::reopen_plan(tx, billing, brand, invoice, now)).await?;
    }
    Ok(())
}

/// Moves an attempt after a call that brought no answer; returns it when it moved.
pub(crate) async fn note(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    brand: BrandId,
    id: PaymentId,
    command: Command,
    tries: u32,
    now: DateTime<Utc>,
) -> Result<Payment, Problem> {
    let (Owed { invoice, .. }, mut payment) = lock(tx, id).await?;
    let moved = move_to(&mut payment, command, now)?;
    // A call that did not get through is no change worth starting the gaps anew for.
    let is_change = moved && command != Command::TakeBack;
    finish(tx, billing, brand, &invoice, &payment, is_change, tries, now).await?;
    Ok(payment)
}

/// An attempt of which nobody knew what became was sent once more, and nobody knows now either: the gaps go on growing.
pub(crate) async fn note_again(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    brand: BrandId,
    id: PaymentId,
    tries: u32,
    now: DateTime<Utc>,
) -> Result<Payment, Problem> {
    let (Owed { invoice, .. }, mut payment) = lock(tx, id).await?;
    move_to(&mut payment, Command::Lose, now)?;
    finish(tx, billing, brand, &invoice, &payment, false, tries, now).await?;
    Ok(payment)
}

/// Moves the state; false when it was there or knows better.
pub(crate) fn move_to(payment: &mut Payment, command: Command, now: DateTime<Utc>) -> Result<bool, Problem> {
    match payment.state.on(command).map_err(broken)? {
        Outcome::AlreadyThere => Ok(false),
        Outcome::Moved(state) => {
            payment.state = state;
            payment.finished_at = state.is_final().then_some(now);
            Ok(true)
        }
    }
}

/// Saves the attempt, plans the next look, and tells whoever waits for a change.
#[expect(clippy::too_many_arguments, reason = "one transaction's worth of facts")]
async fn finish(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    brand: BrandId,
    invoice: &Invoice,
    payment: &Payment,
    is_change: bool,
    tries: u32,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    store::payment::save(tx, payment).await?;
    let id = payment.id.as_uuid();
    let is_idle = matches!((&payment.kind, payment.state), (AttemptKind::Hosted { .. }, State::Requested));
    // Whom we sent to the bank may never come back.
    let is_watched = confirm::is_watched(payment) && !is_change && tries < CONFIRM_LOOKS_MAX;
    let state = if is_watched { State::Pending } else { payment.state };
    let patience = billing.config.payments.page_patience();
    match next_look(state, if is_change { 0 } else { tries }, patience).filter(|_| !is_idle) {
        None => watch::rest(tx, billing, brand, payment, Some(tries).filter(|_| !is_change)).await?,
        Some(after) if is_change => errand::plan(tx, brand, errand::Kind::Payment, &[id], after).await?,
        Some(after) => errand::again(tx, id, after).await?,
    }
    if !is_change {
        return Ok(());
    }
    if matches!(payment.state, State::Failed | State::ActionRequired) {
        let class = payment.failure.as_ref().map_or(DeclineClass::Hard, |failure| failure.class);
        let is_told = match payment.kind {
            AttemptKind::Hosted { .. } => true,
            AttemptKind::OffSession { .. } => {
                let invoices = payment.invoices();
                let lead = (payment.invoice, invoices.as_slice());
                Box::pin(crate::app::dunning::refused(tx, billing, brand, lead, class, now)).await?
            }
        };
        outbox::append(tx, events::payment::failed(brand, payment, invoice, is_told, now)).await?;
    }
    for invoice in payment.invoices() {
        Box::pin(settlement::reopen_plan(tx, billing, brand, invoice, now)).await?;
    }
    Ok(())
}

/// The money came. The caller holds the lock and commits.
#[expect(clippy::too_many_arguments, reason = "one transaction's worth of facts")]
pub(super) async fn captured(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    brand: BrandId,
    owed: Owed,
    mut payment: Payment,
    capture: Capture,
    tries: u32,
    now: DateTime<Utc>,
) -> Result<Payment, Problem> {
    let was_over = payment.state.is_final();
    let is_any = watch::takes_any_amount(billing, &payment);
    // Whoever pays by bank is waited for before anything is known to be under way.
    let was_waited_for = payment.is_processing || (is_any && payment.state == State::Pending);
    if !move_to(&mut payment, Command::Succeed, now)? {
        if payment.provider_ref == capture.provider_ref {
            if is_any {
                Box::pin(watch::more(tx, billing, brand, &payment, &capture, now)).await?;
            }
        } else {
            let summary = format!(
                "the provider holds a second payment ({}, {}) for {}, which {} has settled; refund it there",
                capture.provider_ref, capture.amount, payment.id, payment.provider_ref
            );
            store::task::open(tx, brand, "payment_duplicate", payment.id, &summary, now).await?;
        }
        watch::rest(tx, billing, brand, &payment, Some(tries)).await?;
        return Ok(payment);
    }
    payment.is_processing = false;
    payment.failure = None;
    payment.received = Some(capture.amount);
    payment.provider_ref.clone_from(&capture.provider_ref);
    payment.method_label.clone_from(&capture.label);
    store::payment::save(tx, &payment).await?;
    watch::rest(tx, billing, brand, &payment, None).await?;
    if is_any {
        watch::tell(tx, brand, &payment, &owed.invoice.number_text(), was_over, now).await?;
    }
    let method = match &payment.kind {
        // What paid is what renewals are charged to from now on: the usual method may have been refused for good.
        AttemptKind::OffSession { method } => Some(Method { id: *method, label: payment.method_label.clone() }),
        AttemptKind::Hosted { .. } => saved_method(tx, billing, brand, &payment, &capture, now).await?,
    };
    let settled = SettledPayment {
        payment: payment.id,
        invoice: payment.invoice,
        account: payment.account,
        requested: payment.amount,
        received: capture.amount,
        is_any_amount: is_any,
        fee: capture.fee.filter(|fee| fee.currency == capture.amount.currency),
        provider: payment.provider.clone(),
        method,
    };
    Box::pin(settlement::apply_success(tx, billing, brand, owed, &settled, now)).await?;
    if was_waited_for {
        // What waited for it goes on, also where what came does not pay.
        for invoice in payment.invoices() {
            Box::pin(settlement::reopen_plan(tx, billing, brand, invoice, now)).await?;
        }
    }
    let closed = store::invoice::closed_of(tx, &payment.invoices()).await?;
    store::payment::withdraw(tx, brand, &closed, Some(payment.id), now).await?;
    store::task::resolve(tx, brand, super::UNKNOWN_TASK, payment.id, now).await?;
    store::provider_event::wake_parked(tx, payment.id).await?;
    // A renewal is charged to what is known already.
    if let (AttemptKind::Hosted { .. }, Some(card)) = (&payment.kind, &capture.fingerprint) {
        billing.card_known(tx, brand, payment.account, card, now).await?;
    }
    Ok(payment)
}

/// Keeps the instrument the customer saved on the page.
async fn saved_method(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    brand: BrandId,
    payment: &Payment,
    capture: &Capture,
    now: DateTime<Utc>,
) -> Result<Option<Method>, Problem> {
    let (AttemptKind::Hosted { save_method: true, .. }, Some(token), Some(provider_account)) =
        (&payment.kind, &capture.saved, payment.provider_account)
    else {
        return Ok(None);
    };
    let saved = SavedMethod { token: token.clone(), label: capture.label.clone(), expires_on: capture.expires_on };
    let id = billing.keep_method(tx, brand, payment.account, provider_account, &saved, now).await?;
    Ok(Some(Method { id, label: capture.label.clone() }))
}

/// Opens the task of an outcome that stays unknown beyond its deadline.
pub(crate) async fn complain(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    payment: &Payment,
    unknown_max: TimeDelta,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let is_late = payment.sent_ago.is_some_and(|ago| ago > unknown_max);
    if (payment.state == State::Unknown || payment.is_taking()) && is_late {
        let summary = format!(
            "nobody knows whether {} was paid by {}: the provider does not answer. Look there for this reference; it is read back hourly",
            payment.amount, payment.id
        );
        store::task::open(tx, brand, super::UNKNOWN_TASK, payment.id, &summary, now).await?;
    }
    Ok(())
}

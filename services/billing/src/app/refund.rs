//! Refunds: never more than came, booked when the provider has paid out, with a credit note of their own.

mod twice;

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{BrandId, InvoiceId, Money, PaymentId, RefundId};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use ottery_kit::idempotency::{self, Begin};
use ottery_kit::outbox;
use serde_json::json;
use sqlx::postgres::PgTransaction;

use super::order::{Idempotency, key_problem};
use super::payment::{Reached, lock};
use super::settlement::Owed;
use super::unit::Unit;
use super::{Billing, broken, credit, profile, schedule, settlement, top_up};
use crate::domain::invoice::Invoice;
use crate::domain::ledger::{Account, Booking};
use crate::domain::payment::State as PaymentState;
use crate::domain::refund::{Command, Outcome, Policy, State, Truth};
use crate::domain::subscription::EndCause;
use crate::events;
use crate::provider::{CallError, RefundAsk, RefundFact};
use crate::store;
use crate::store::credit_note::CreditNote;
use crate::store::errand;
use crate::store::payment::Payment;
use crate::store::refund::Refund;

/// Kind of the booking that says a refund left the provider.
pub const SETTLED: &str = "refund.settled";
/// Task of a refund that failed or stays unknown.
const TASK: &str = "refund_failed";
/// Task of a refund that waits for the customer.
const CLAIM_TASK: &str = "refund_claim";
/// How long after the call a refund that is not there was surely not made.
const ABSENT_AFTER: TimeDelta = TimeDelta::seconds(60);
/// Longest reason.
const REASON_CHARS_MAX: usize = 500;
/// Gaps between looks at a refund that is not decided; the last one repeats.
const GAPS: [TimeDelta; 5] =
    [TimeDelta::seconds(5), TimeDelta::seconds(30), TimeDelta::minutes(2), TimeDelta::minutes(10), TimeDelta::hours(1)];

/// What staff asks for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What goes back.
    pub payment: PaymentId,
    /// Of which invoice, when it paid several.
    pub invoice: Option<InvoiceId>,
    /// How much; none is everything that is left.
    pub amount: Option<Money>,
    /// Why; printed on the credit note.
    pub reason: String,
    /// What becomes of the subscription.
    pub policy: Policy,
}

impl Billing {
    /// Writes a refund down and has it made. Sent twice with the same key it is made once.
    ///
    /// # Errors
    /// When the payment has not come, or less is left of it.
    pub async fn refund_payment(
        &self,
        actor: &Actor,
        brand: BrandId,
        ask: Ask,
        call: Option<Idempotency>,
    ) -> Result<Refund, Problem> {
        let reason = ask.reason.trim();
        if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
            let message =
                format!("reason: say why in 1 to {REASON_CHARS_MAX} characters; it is printed on the credit note");
            return Err(Problem::invalid("reason", "REASON_INVALID", message));
        }
        let (mut tx, now) = self.begin(brand).await?;
        if let Some(call) = &call
            && let Begin::Replay(bytes) =
                idempotency::begin(&mut tx, &call.scope, &call.key, &call.hash).await.map_err(key_problem)?
        {
            let id: RefundId = String::from_utf8_lossy(&bytes).parse().map_err(broken)?;
            let refund = store::refund::get(&mut tx, id).await?;
            tx.rollback().await?;
            return refund.ok_or_else(|| Problem::not_found("REFUND_NOT_FOUND", "the refund is gone"));
        }
        let (Owed { invoice: lead, .. }, payment) = lock(&mut tx, ask.payment).await?;
        twice::not_disputed(&mut tx, &payment).await?;
        let invoice = of_which(&payment, ask.invoice)?;
        let left = if lead.has_topped_up() {
            top_up::refund::refundable(&mut tx, &payment).await?
        } else {
            refundable(&mut tx, &payment, invoice).await?
        };
        let amount = ask.amount.unwrap_or(left);
        if amount.currency != left.currency || !amount.is_positive() || amount.minor > left.minor {
            let message = format!("amount: {left} of {} can be refunded, asked for {amount}", payment.id);
            return Err(Problem::refused("REFUND_TOO_LARGE", message).on_field("amount"));
        }
        let refund = Refund {
            id: RefundId::new(now),
            payment: payment.id,
            invoice,
            account: payment.account,
            amount,
            state: State::Requested,
            reason: reason.to_owned(),
            policy: ask.policy,
            is_mirrored: false,
            provider_ref: String::new(),
            failure_code: String::new(),
            credit_note: None,
            created_at: now,
            finished_at: None,
            sent_ago: None,
        };
        store::refund::insert(&mut tx, brand, &refund).await?;
        if lead.has_topped_up() {
            top_up::refund::reserve(&mut tx, brand, &lead, &refund, now).await?;
        }
        errand::plan(&mut tx, brand, errand::Kind::Refund, &[refund.id.as_uuid()], TimeDelta::zero()).await?;
        let after = json!({"payment": payment.id.to_string(), "invoice": invoice.to_string(), "amount": amount.to_string(),
                               "policy": ask.policy.as_str()});
        audit::append(&mut tx, actor, "invoice.refund", refund.id, None, Some(after)).await?;
        if let Some(call) = &call {
            idempotency::finish(&mut tx, &call.scope, &call.key, refund.id.to_string().as_bytes()).await?;
        }
        tx.commit().await?;
        self.providers.bell.errands.notify_one();
        Ok(refund)
    }

    /// Does what waits for one refund.
    ///
    /// # Errors
    /// When the database fails; the errand is then done later.
    pub(crate) async fn run_refund(&self, brand: BrandId, id: RefundId, tries: u32) -> Result<(), Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let Some((payment, mut refund)) =
            lock_refund(&mut tx, id).await?.filter(|(_, refund)| !refund.state.is_final())
        else {
            errand::done(&mut tx, id.as_uuid()).await?;
            return Ok(tx.commit().await?);
        };
        let Some(reached) = self.reach_told(&mut tx, brand, payment.provider_account).await? else {
            errand::again(&mut tx, id.as_uuid(), TimeDelta::hours(1)).await?;
            return Ok(tx.commit().await?);
        };
        // Nobody can be called: a person sends it and records that, however long it takes.
        if let Some(kind) = reached.provider.by_hand() {
            move_to(&mut refund, Command::Wait, now)?;
            store::refund::save(&mut tx, &refund).await?;
            self.ask_for_payout(&mut tx, brand, kind, &payment, &refund, now).await?;
            errand::done(&mut tx, id.as_uuid()).await?;
            return Ok(tx.commit().await?);
        }
        // Whoever made the call never came back from it.
        if refund.state == State::Sent {
            move_to(&mut refund, Command::Lose, now)?;
        }
        let answer = if refund.state == State::Pending || !refund.provider_ref.is_empty() {
            drop(tx);
            let fact = reached.provider.fetch_refund(&reached.access, &refund.provider_ref).await;
            fact.and_then(|fact| {
                fact.map(|fact| fact.truth).ok_or_else(|| CallError::Ambiguous("the refund is not there".to_owned()))
            })
        } else {
            // Kept before anything is asked: whatever the answer, a call that may have arrived stays one.
            store::refund::save(&mut tx, &refund).await?;
            tx.commit().await?;
            let ask = RefundAsk { refund: id, payment_ref: payment.provider_ref.clone(), amount: refund.amount };
            let found = match refund.state {
                State::Unknown => {
                    let found = reached.provider.find_refund(&reached.access, &ask).await.map_err(unread).transpose();
                    found.or_else(|| may_arrive(&reached, &refund).then(|| Err(not_there())))
                }
                _ => None,
            };
            match found {
                Some(found) => found,
                None => match self.send_refund(brand, &reached, &ask).await? {
                    Some(answer) => answer,
                    None => return Ok(()),
                },
            }
        };
        let (mut tx, now) = self.begin(brand).await?;
        match answer {
            Ok(truth) => self.apply_refund_truth(&mut tx, brand, id, &truth, tries, now).await?,
            Err(error) => self.no_refund_answer(&mut tx, brand, id, &error, tries, now).await?,
        }
        Ok(tx.commit().await?)
    }

    /// Makes the call, which is written down before. Requested, or unknown: the same key gives the first answer again instead of a
    /// second refund. None when somebody else came first.
    async fn send_refund(
        &self,
        brand: BrandId,
        reached: &Reached,
        ask: &RefundAsk,
    ) -> Result<Option<Result<Truth, CallError>>, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let Some((_, mut refund)) = lock_refund(&mut tx, ask.refund).await? else { return Ok(None) };
        // Whoever made the call never came back from it.
        if refund.state == State::Sent {
            move_to(&mut refund, Command::Lose, now)?;
        }
        if !matches!(refund.state, State::Requested | State::Unknown) {
            return Ok(None);
        }
        move_to(&mut refund, Command::Send, now)?;
        store::refund::save(&mut tx, &refund).await?;
        let after = TimeDelta::from_std(self.config.payments.lease()).unwrap_or_default();
        errand::again(&mut tx, refund.id.as_uuid(), after).await?;
        tx.commit().await?;
        ottery_kit::crash::point("refund.sent");
        Ok(Some(reached.provider.refund(&reached.access, ask).await))
    }

    /// Applies what the provider says about one of its refunds: ours, or one made at its console.
    pub(crate) async fn mirror_refund(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        payment: PaymentId,
        fact: &RefundFact,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let (_, payment) = lock(tx, payment).await?;
        // A second payment under the same reference is not ours to refund; a task has told staff of it.
        if payment.provider_ref != fact.payment_ref {
            return Ok(());
        }
        let known = store::refund::of_payment(tx, payment.id).await?;
        // One that stands for another of the provider's already is not this one, though this one carries its id: as much was given
        // back at the provider while our answer was lost.
        let is_same = |refund: &&Refund| {
            refund.provider_ref == fact.truth.provider_ref
                || (refund.provider_ref.is_empty() && Some(refund.id) == fact.ours)
        };
        let same = known.iter().find(is_same);
        // Its answer is still on its way, or was lost.
        let lost = || {
            known.iter().find(|refund| {
                refund.provider_ref.is_empty()
                    && matches!(refund.state, State::Sent | State::Unknown)
                    && refund.amount == fact.amount
            })
        };
        let id = if let Some(refund) = same.or_else(lost) {
            refund.id
        } else if self.keep_with_dispute(tx, brand, &payment, fact, now).await? {
            return Ok(());
        } else {
            mirror(tx, brand, &payment, fact.amount, &fact.truth.provider_ref, GAPS[0], now).await?
        };
        self.apply_refund_truth(tx, brand, id, &fact.truth, 0, now).await
    }

    /// Money that was booked was none: it is booked the other way round, once per reference, and credited where it had paid. The
    /// caller holds the payment's lock and commits.
    #[expect(clippy::too_many_arguments, reason = "one transaction's worth of facts")]
    pub(crate) async fn book_back(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        payment: &Payment,
        amount: Money,
        reference: &str,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let reason = reason.chars().take(REASON_CHARS_MAX).collect();
        let refund = Refund { reason, ..mirrored(payment, amount, reference, now) };
        store::refund::insert(tx, brand, &refund).await?;
        let truth = Truth { provider_ref: reference.to_owned(), state: State::Succeeded };
        self.apply_refund_truth(tx, brand, refund.id, &truth, 0, now).await
    }

    pub(crate) async fn apply_refund_truth(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        id: RefundId,
        truth: &Truth,
        tries: u32,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let Some((payment, mut refund)) = lock_refund(tx, id).await? else { return Ok(()) };
        if refund.provider_ref.is_empty() {
            refund.provider_ref.clone_from(&truth.provider_ref);
        }
        if refund.state == State::Succeeded && truth.state == State::Failed {
            return twice::returned(tx, brand, &payment, &refund, now).await;
        }
        let moved = move_to(&mut refund, truth.command(), now)?;
        if moved && refund.state == State::Succeeded {
            self.settle_refund(tx, brand, &payment, &mut refund, now).await?;
            store::task::resolve(tx, brand, TASK, refund.id, now).await?;
        }
        if moved && refund.state == State::Pending {
            self.tell_claim(tx, brand, &payment, &refund, now).await?;
        }
        if moved && refund.state.is_final() {
            store::task::resolve(tx, brand, CLAIM_TASK, refund.id, now).await?;
        }
        if moved && refund.state == State::Failed {
            top_up::refund::release(tx, brand, &refund, now).await?;
            "refused_by_provider".clone_into(&mut refund.failure_code);
            complain(tx, brand, &refund, "the provider did not pay it out", now).await?;
        }
        store::refund::save(tx, &refund).await?;
        if refund.state.is_final() {
            errand::done(tx, id.as_uuid()).await?;
        } else {
            errand::again(tx, id.as_uuid(), gap(tries)).await?;
        }
        Ok(())
    }

    /// Where the customer has to claim a refund, staff sends them the link.
    async fn tell_claim(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        payment: &Payment,
        refund: &Refund,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let Some(reached) = self.reach_told(tx, brand, payment.provider_account).await? else { return Ok(()) };
        let Some(link) = reached.provider.claim_link(&reached.access.base_url, &refund.provider_ref) else {
            return Ok(());
        };
        let summary = format!(
            "the customer claims {} of {} at {link}: send them this link, and pay the claim out there",
            refund.amount, refund.payment
        );
        Ok(store::task::open(tx, brand, CLAIM_TASK, refund.id, &summary, now).await?)
    }

    async fn no_refund_answer(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        id: RefundId,
        error: &CallError,
        tries: u32,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        tracing::warn!(refund.id = %id, %error, "refund without outcome");
        let Some((_, mut refund)) = lock_refund(tx, id).await? else { return Ok(()) };
        let moved = match error {
            CallError::NotSent(_) => move_to(&mut refund, Command::TakeBack, now)?,
            CallError::Ambiguous(_) => move_to(&mut refund, Command::Lose, now)?,
            CallError::Refused { .. } | CallError::Amount(_) => move_to(&mut refund, Command::Fail, now)?,
        };
        if refund.state == State::Failed {
            if moved {
                top_up::refund::release(tx, brand, &refund, now).await?;
            }
            refund.failure_code = match error {
                CallError::Refused { code } => code.clone(),
                CallError::NotSent(_) | CallError::Ambiguous(_) | CallError::Amount(_) => {
                    "amount_unsupported".to_owned()
                }
            };
            complain(tx, brand, &refund, &error.to_string(), now).await?;
            errand::done(tx, id.as_uuid()).await?;
        } else {
            if refund.sent_ago.is_some_and(|ago| ago > self.config.payments.unknown_max()) {
                complain(tx, brand, &refund, "its outcome is unknown; it is read back hourly", now).await?;
            }
            errand::again(tx, id.as_uuid(), gap(tries)).await?;
        }
        Ok(store::refund::save(tx, &refund).await?)
    }

    /// The money has gone back: books, credit note, subscription, event. The refund's row is saved by the caller.
    async fn settle_refund(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        payment: &Payment,
        refund: &mut Refund,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let Owed { invoice, .. } = Owed::lock(tx, refund.invoice).await?;
        if invoice.has_topped_up() {
            let note = top_up::refund::settle(tx, brand, payment, &invoice, refund, now).await?;
            refund.credit_note = note.as_ref().map(|note| note.id);
            outbox::append(tx, events::payment::refunded(brand, refund, &invoice, note.as_ref(), now)).await?;
            return Ok(());
        }
        // Of a payment for several, staff names the invoice; what came besides stays where it is. One that fitted nothing
        // paid none of them.
        let is_named = !payment.shares.is_empty()
            && !refund.is_mirrored
            && !store::share::allocated(tx, payment.id).await?.is_empty();
        let outside = if is_named { Outside::none(refund) } else { outside_invoice(tx, payment, refund).await? };
        let from_invoices = refund
            .amount
            .checked_sub(outside.wallet)
            .and_then(|rest| rest.checked_sub(outside.unapplied))
            .map_err(broken)?;
        let candidates = if is_named { vec![refund.invoice] } else { payment.invoices() };
        let parts = spread(tx, &candidates, from_invoices).await?;
        let credited = Money::sum(refund.amount.currency, parts.iter().map(|(_, part)| *part)).map_err(broken)?;
        // The rest was credited before and went to the wallet: it comes from there, as far as it is there still.
        let before = from_invoices.checked_sub(credited).map_err(broken)?;
        let kept = in_wallet(tx, refund).await?.checked_sub(outside.wallet).map_err(broken)?;
        let kept = Money::new(kept.minor.min(before.minor).max(0), before.currency);
        let uncovered = before.checked_sub(kept).map_err(broken)?;
        if uncovered.is_positive() {
            let summary = format!(
                "{uncovered} of the refund {} went back although it had been credited before; charge the customer or accept the loss",
                refund.id
            );
            store::task::open(tx, brand, "refund_uncovered", refund.id, &summary, now).await?;
        }
        let wallet = outside.wallet.checked_add(kept).map_err(broken)?;
        let unapplied = outside.unapplied.checked_add(uncovered).map_err(broken)?;
        let provider = Account::Provider(payment.provider.clone());
        let booking = Booking::new(invoice.snapshot.seller.id, SETTLED, refund.id, now)
            .post(Account::Wallet(refund.account), provider.clone(), wallet)
            .and_then(|booking| booking.post(Account::Unapplied(refund.account), provider.clone(), unapplied))
            .and_then(|booking| booking.post(Account::Receivable(refund.account), provider, credited))
            .map_err(broken)?;
        store::ledger::book(tx, brand, booking).await?;
        let mut note: Option<CreditNote> = None;
        for (credited, part) in &parts {
            let issued = credit::issue(tx, brand, credited, *part, &refund.reason, now).await?;
            note.get_or_insert(issued);
        }
        refund.credit_note = note.as_ref().map(|note| note.id);
        if refund.policy == Policy::EndNow {
            self.end_refunded(tx, brand, &invoice, now).await?;
        }
        outbox::append(tx, events::payment::refunded(brand, refund, &invoice, note.as_ref(), now)).await?;
        Ok(())
    }

    /// Ends the subscription the invoice was for, and no other one of the customer.
    async fn end_refunded(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        invoice: &Invoice,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let Some(id) = invoice.subscription else { return Ok(()) };
        let Some(mut case) = schedule::lock_case(tx, brand, id).await? else { return Ok(()) };
        let mut unit = Unit::new(brand, profile(tx, brand).await?, now);
        unit.lock_customers(tx, &[case.subscription.account]).await?;
        unit.lock_orders(tx, &[case.subscription.order]).await?;
        if unit.end(&mut case.subscription, EndCause::Refunded, &mut case.open).map_err(broken)? {
            for open in case.open {
                unit.keep_invoice(open);
            }
            settlement::finish(tx, self, unit, Some(case.subscription)).await?;
        }
        Ok(())
    }
}

/// Writes a refund down that nobody here asked for; it is looked at again `after` a while, whatever is known of it.
pub(super) async fn mirror(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    payment: &Payment,
    amount: Money,
    reference: &str,
    after: TimeDelta,
    now: DateTime<Utc>,
) -> Result<RefundId, Problem> {
    let refund = mirrored(payment, amount, reference, now);
    store::refund::insert(tx, brand, &refund).await?;
    errand::plan(tx, brand, errand::Kind::Refund, &[refund.id.as_uuid()], after).await?;
    Ok(refund.id)
}

/// A refund nobody here asked for.
fn mirrored(payment: &Payment, amount: Money, reference: &str, now: DateTime<Utc>) -> Refund {
    Refund {
        id: RefundId::new(now),
        payment: payment.id,
        invoice: payment.invoice,
        account: payment.account,
        amount,
        state: State::Pending,
        reason: "Refunded at the payment provider".to_owned(),
        policy: Policy::Keep,
        is_mirrored: true,
        provider_ref: reference.to_owned(),
        failure_code: String::new(),
        credit_note: None,
        created_at: now,
        finished_at: None,
        sent_ago: None,
    }
}

/// The invoice a refund is of: the only one the payment was for, or the one that is named.
fn of_which(payment: &Payment, named: Option<InvoiceId>) -> Result<InvoiceId, Problem> {
    match named {
        Some(id) if payment.invoices().contains(&id) => Ok(id),
        Some(id) => {
            let message = format!("{} was not for invoice {id}", payment.id);
            Err(Problem::refused("INVOICE_NOT_OF_PAYMENT", message).on_field("invoice_id"))
        }
        None if payment.shares.is_empty() => Ok(payment.invoice),
        None => {
            let message = format!("{} paid {} invoices; name the one to give back", payment.id, payment.shares.len());
            Err(Problem::refused("REFUND_OF_WHICH", message).on_field("invoice_id"))
        }
    }
}

/// What of a payment can still be refunded, of one of its invoices when it paid several. The caller holds its lock.
async fn refundable(tx: &mut PgTransaction<'_>, payment: &Payment, of: InvoiceId) -> Result<Money, Problem> {
    let (PaymentState::Succeeded, Some(received)) = (payment.state, payment.received) else {
        let message = format!("{} is {}; only money that came can go back", payment.id, payment.state);
        return Err(Problem::refused("PAYMENT_NOT_SETTLED", message).on_field("payment_id"));
    };
    let refunds = store::refund::of_payment(tx, payment.id).await?;
    let live = || refunds.iter().filter(|refund| refund.state != State::Failed);
    let mut left = received.minor - live().map(|refund| refund.amount.minor).sum::<i64>();
    let pending: i64 = live()
        .filter(|refund| refund.state != State::Succeeded && refund.invoice == of)
        .map(|refund| refund.amount.minor)
        .sum();
    let invoice = store::invoice::get(tx, of).await?;
    // What was credited to the wallet or on what was owed has gone back already, only by another way.
    let creditable = invoice.map_or(0, |invoice| invoice.totals.total.minor - invoice.refunded.minor);
    let paid = store::share::allocated(tx, payment.id).await?;
    if payment.shares.is_empty() || paid.is_empty() {
        let ids: Vec<RefundId> = refunds.iter().map(|refund| refund.id).collect();
        let parts = store::refund::parts(tx, payment.id, &ids).await?;
        left = left.min(creditable + parts.wallet.max(0) + parts.unapplied.max(0) - pending);
    } else {
        let paid: i64 = paid.into_iter().filter(|(id, _)| *id == of).map(|(_, minor)| minor).sum();
        let gone: i64 = live().filter(|refund| refund.invoice == of).map(|refund| refund.amount.minor).sum();
        left = left.min(paid - gone).min(creditable - pending);
    }
    let left = Money::new(left, received.currency);
    if left.is_positive() {
        return Ok(left);
    }
    let message = format!("nothing is left to refund of {}; what was credited went to the wallet", payment.id);
    Err(Problem::refused("NOTHING_TO_REFUND", message).on_field("payment_id"))
}

/// How much of `amount` each of these invoices takes: the first ones what can still be credited of them.
async fn spread(
    tx: &mut PgTransaction<'_>,
    invoices: &[InvoiceId],
    amount: Money,
) -> Result<Vec<(Invoice, Money)>, Problem> {
    let (mut parts, mut rest) = (Vec::new(), amount);
    for id in invoices {
        let Some(invoice) = store::invoice::get(tx, *id).await? else { continue };
        let left = invoice.totals.total.checked_sub(invoice.refunded).map_err(broken)?;
        let part = Money::new(left.minor.min(rest.minor).max(0), rest.currency);
        if part.is_positive() {
            rest = rest.checked_sub(part).map_err(broken)?;
            parts.push((invoice, part));
        }
    }
    Ok(parts)
}

struct Outside {
    wallet: Money,
    unapplied: Money,
}

impl Outside {
    const fn none(refund: &Refund) -> Self {
        let nothing = Money::zero(refund.amount.currency);
        Self { wallet: nothing, unapplied: nothing }
    }
}

/// How much of a refund comes from money that never went to the invoice: what is in the wallet still, what fitted nothing.
async fn outside_invoice(tx: &mut PgTransaction<'_>, payment: &Payment, refund: &Refund) -> Result<Outside, Problem> {
    let currency = refund.amount.currency;
    let refunds: Vec<RefundId> =
        store::refund::of_payment(tx, payment.id).await?.iter().map(|refund| refund.id).collect();
    let parts = store::refund::parts(tx, payment.id, &refunds).await?;
    let in_wallet = in_wallet(tx, refund).await?.minor;
    let unapplied = refund.amount.minor.min(parts.unapplied.max(0));
    let wallet = (refund.amount.minor - unapplied).min(parts.wallet.min(in_wallet).max(0));
    Ok(Outside { wallet: Money::new(wallet, currency), unapplied: Money::new(unapplied, currency) })
}

/// What the customer has in the wallet, locked.
async fn in_wallet(tx: &mut PgTransaction<'_>, refund: &Refund) -> Result<Money, Problem> {
    store::customer::lock_all(tx, &[refund.account]).await?;
    let wallets = store::ledger::wallets(tx, &[refund.account]).await?;
    let currency = refund.amount.currency;
    Ok(wallets.get(&(refund.account, currency)).copied().unwrap_or(Money::zero(currency)))
}

/// A refund with its payment, locked in the order everybody does.
async fn lock_refund(tx: &mut PgTransaction<'_>, id: RefundId) -> Result<Option<(Payment, Refund)>, Problem> {
    let Some(found) = store::refund::get(tx, id).await? else { return Ok(None) };
    let (_, payment) = lock(tx, found.payment).await?;
    // Read again: it may have changed while the lock was waited for.
    Ok(store::refund::get(tx, id).await?.map(|refund| (payment, refund)))
}

fn move_to(refund: &mut Refund, command: Command, now: DateTime<Utc>) -> Result<bool, Problem> {
    match refund.state.on(command).map_err(broken)? {
        Outcome::AlreadyThere => Ok(false),
        Outcome::Moved(state) => {
            refund.state = state;
            refund.finished_at = state.is_final().then_some(now);
            Ok(true)
        }
    }
}

async fn complain(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    refund: &Refund,
    why: &str,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let summary = format!("refund of {} for {} has not arrived: {why}", refund.amount, refund.payment);
    Ok(store::task::open(tx, brand, TASK, refund.id, &summary, now).await?)
}

/// Whether a call whose answer was lost may be on its way still, and making it again would give the money back twice.
fn may_arrive(reached: &Reached, refund: &Refund) -> bool {
    !reached.provider.repeats_refunds() && refund.sent_ago.is_some_and(|ago| ago < ABSENT_AFTER)
}

fn not_there() -> CallError {
    CallError::Ambiguous("the refund is not there yet".to_owned())
}

/// Whatever keeps a refund from being read back says nothing about the refund.
fn unread(error: CallError) -> CallError {
    match error {
        CallError::Refused { code } => CallError::Ambiguous(format!("the refund is not read back: {code}")),
        error @ (CallError::NotSent(_) | CallError::Ambiguous(_) | CallError::Amount(_)) => error,
    }
}

fn gap(tries: u32) -> TimeDelta {
    GAPS[usize::try_from(tries).unwrap_or(usize::MAX).min(GAPS.len() - 1)]
}

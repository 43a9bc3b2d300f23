//! What people say has come: recorded, agreed to by a second person where that is asked for, booked, and taken back.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use ottery_kernel::{BrandId, Money, RefundId};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use serde_json::json;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::super::settle;
use super::{CONFIRM_TASK, TAKEN_BACK_TASK, UNASSIGNED_TASK, person};
use crate::app::Billing;
use crate::domain::by_hand::{Record as Rule, RecordCommand, RecordOutcome, RecordRefused, RecordState, Reference};
use crate::domain::payment::{Capture, State};
use crate::domain::provider::ProviderAccountId;
use crate::domain::refund::State as RefundState;
use crate::provider::ByHand;
use crate::store;
use crate::store::by_hand::{By, Of, Record, Wait};
use crate::store::payment::{AttemptKind, AttemptRequest, Payment};
use crate::store::share::Share;

/// Longest bank reference, sender, note or reason.
const TEXT_CHARS_MAX: usize = 200;

/// What somebody records.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// What it is for.
    pub of: ArrivedOf,
    /// How much.
    pub amount: Money,
    /// When the bank counted it, or it was handed over.
    pub value_on: NaiveDate,
    /// The bank's name of the transfer, or the number of the receipt.
    pub reference: String,
    /// From whom, as the bank says it.
    pub sender: String,
    /// For colleagues.
    pub note: String,
}

/// What a record is for, as it is entered.
#[derive(Clone, Debug)]
pub enum ArrivedOf {
    /// What the payer wrote, or what staff looked up.
    Reference(String),
    /// Money at this account, of somebody unknown.
    Unknown(ProviderAccountId),
    /// A refund that was paid out.
    Refund(RefundId),
}

fn refused(error: RecordRefused) -> Problem {
    let reason = match error {
        RecordRefused::SamePerson => "SECOND_PERSON_REQUIRED",
        RecordRefused::NoPerson => "PERSON_REQUIRED",
        RecordRefused::Unassigned => "RECORD_UNASSIGNED",
        RecordRefused::TakenBack => "RECORD_TAKEN_BACK",
        RecordRefused::Assigned => "RECORD_ASSIGNED",
    };
    Problem::refused(reason, error.to_string())
}

fn no_such_record() -> Problem {
    Problem::not_found("RECORD_NOT_FOUND", "there is no such record").on_field("id")
}

fn text(field: &'static str, given: &str, is_needed: bool) -> Result<String, Problem> {
    let own = given.trim();
    if (is_needed && own.is_empty()) || own.chars().count() > TEXT_CHARS_MAX || own.chars().any(char::is_control) {
        let least = usize::from(is_needed);
        let message = format!("{field}: {least} to {TEXT_CHARS_MAX} characters on one line");
        return Err(Problem::invalid(field, "TEXT_INVALID", message));
    }
    Ok(own.to_owned())
}

/// As audited.
fn told(record: &Record) -> serde_json::Value {
    json!({"state": record.state.as_str(), "amount": record.amount.to_string(), "value_on": record.value_on.to_string(),
           "reference": record.reference, "account": record.provider_account.to_string(),
           "payment": record.payment.map(|id| id.to_string()), "recorded_by": record.by.subject})
}

/// A record by its name in the audit chain, in tasks and in the books.
pub(super) fn target(record: &Record) -> String {
    format!("bhr_{}", record.id.simple())
}

impl Billing {
    /// Writes down what came (or what was sent back for a refund), and books it when one person is enough for the amount.
    ///
    /// # Errors
    /// When the reference is none, the same transfer is recorded already, or a refund is of another amount.
    pub async fn record_by_hand(&self, actor: &Actor, brand: BrandId, arrived: Arrived) -> Result<Record, Problem> {
        let reference = text("bank_reference", &arrived.reference, true)?;
        let sender = text("sender", &arrived.sender, false)?;
        let note = text("note", &arrived.note, false)?;
        if !arrived.amount.is_positive() {
            return Err(Problem::invalid("amount", "AMOUNT_INVALID", "amount: more than zero"));
        }
        let (mut tx, now) = self.begin(brand).await?;
        if arrived.value_on > now.date_naive() + TimeDelta::days(1) {
            return Err(Problem::invalid("value_on", "DATE_INVALID", "value_on: this day is still to come"));
        }
        let (of, account) = self.of_what(&mut tx, &arrived).await?;
        let (_, kind, terms) = self.by_hand_account(&mut tx, account).await?;
        let mut record = Record {
            id: Uuid::now_v7(),
            provider_account: account,
            of,
            state: RecordState::Unassigned,
            amount: arrived.amount,
            value_on: arrived.value_on,
            reference,
            sender,
            note,
            by: person(actor),
            recorded_at: now,
            confirmed_by: String::new(),
            confirmed_at: None,
            taken_back_by: String::new(),
            taken_back_at: None,
            taken_back_reason: String::new(),
            payment: None,
        };
        let outcome = match of {
            Of::Nobody => RecordOutcome::Moved(RecordState::Unassigned),
            Of::Wait(_) | Of::Refund(_) => {
                record.state = RecordState::Waiting;
                Rule::begin(record.amount, record.by.clone(), &terms).1
            }
        };
        if !store::by_hand::put_new(&mut tx, brand, &record).await? {
            let message = match of {
                Of::Refund(_) => "this refund, or this transfer, is recorded already; look at the records",
                Of::Nobody | Of::Wait(_) => {
                    "bank_reference: this transfer (or receipt) is recorded already; it is not booked twice"
                }
            };
            return Err(Problem::exists("RECORD_EXISTS", message).on_field("bank_reference"));
        }
        if of == Of::Nobody {
            let summary = format!(
                "{} came by {} ({}) and nobody knows for what: ask the sender or the bank, then assign it to a payment",
                record.amount,
                kind.label(),
                record.reference
            );
            store::task::open(&mut tx, brand, UNASSIGNED_TASK, target(&record), &summary, now).await?;
        }
        Box::pin(self.follow(&mut tx, actor, brand, kind, &mut record, outcome, now)).await?;
        audit::append(&mut tx, actor, "by_hand.record", target(&record), None, Some(told(&record))).await?;
        tx.commit().await?;
        Ok(record)
    }

    /// What is recorded, with everything locked that it moves.
    async fn of_what(&self, tx: &mut PgTransaction<'_>, arrived: &Arrived) -> Result<(Of, ProviderAccountId), Problem> {
        match &arrived.of {
            ArrivedOf::Unknown(account) => Ok((Of::Nobody, *account)),
            ArrivedOf::Reference(typed) => {
                let wait = locked(tx, typed).await?;
                Ok((Of::Wait(wait.id), wait.provider_account))
            }
            ArrivedOf::Refund(id) => {
                let unknown =
                    || Problem::not_found("REFUND_NOT_FOUND", format!("there is no refund {id}")).on_field("refund_id");
                let refund = store::refund::get(tx, *id).await?.ok_or_else(unknown)?;
                let (_, payment) = settle::lock(tx, refund.payment).await?;
                let refund = store::refund::get(tx, *id).await?.ok_or_else(unknown)?;
                if refund.state != RefundState::Pending {
                    let message = format!("{id} is {}; only one that waits is paid out", refund.state);
                    return Err(Problem::refused("REFUND_NOT_WAITING", message).on_field("refund_id"));
                }
                if refund.amount != arrived.amount {
                    let message = format!("amount: {} goes back by {id}, not {}", refund.amount, arrived.amount);
                    return Err(Problem::invalid("amount", "AMOUNT_DIFFERS", message));
                }
                Ok((Of::Refund(*id), payment.provider_account.ok_or_else(unknown)?))
            }
        }
    }

    /// Says whose money it is that was recorded for nobody. Whoever says so counts as who recorded it.
    ///
    /// # Errors
    /// When it belongs to a payment already, was taken back, or the reference is none.
    pub async fn assign_record(&self, actor: &Actor, brand: BrandId, id: Uuid, typed: &str) -> Result<Record, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let wait = locked(&mut tx, typed).await?;
        let mut record = store::by_hand::lock_record(&mut tx, id).await?.ok_or_else(no_such_record)?;
        let before = told(&record);
        let (_, kind, terms) = self.by_hand_account(&mut tx, record.provider_account).await?;
        let outcome = rule(&record).on(&RecordCommand::Assign, &person(actor), &terms).map_err(refused)?;
        record.of = Of::Wait(wait.id);
        record.by = person(actor);
        record.state = RecordState::Waiting;
        Box::pin(self.follow(&mut tx, actor, brand, kind, &mut record, outcome, now)).await?;
        store::task::resolve(&mut tx, brand, UNASSIGNED_TASK, target(&record), now).await?;
        audit::append(&mut tx, actor, "by_hand.assign", target(&record), Some(before), Some(told(&record))).await?;
        tx.commit().await?;
        Ok(record)
    }

    /// Agrees to what somebody else recorded; it is booked now. Doing it twice is no error.
    ///
    /// # Errors
    /// When it is one's own record, one is no person, nobody knows whose money it is, or it was taken back.
    pub async fn confirm_record(&self, actor: &Actor, brand: BrandId, id: Uuid) -> Result<Record, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let mut record = self.lock_all(&mut tx, id).await?;
        let before = told(&record);
        let (_, kind, terms) = self.by_hand_account(&mut tx, record.provider_account).await?;
        let outcome = rule(&record).on(&RecordCommand::Confirm, &person(actor), &terms).map_err(refused)?;
        if outcome == RecordOutcome::AlreadyThere {
            return Ok(record);
        }
        Box::pin(self.follow(&mut tx, actor, brand, kind, &mut record, outcome, now)).await?;
        audit::append(&mut tx, actor, "by_hand.confirm", target(&record), Some(before), Some(told(&record))).await?;
        tx.commit().await?;
        Ok(record)
    }

    /// Says that a record was none: nothing came of it, or what was booked is booked back. Doing it twice is no error.
    ///
    /// # Errors
    /// When the reason is missing, or some of the money was refunded.
    pub async fn take_back_record(
        &self,
        actor: &Actor,
        brand: BrandId,
        id: Uuid,
        reason: &str,
    ) -> Result<Record, Problem> {
        let reason = text("reason", reason, true)?;
        let (mut tx, now) = self.begin(brand).await?;
        let mut record = self.lock_all(&mut tx, id).await?;
        let before = told(&record);
        let (_, kind, terms) = self.by_hand_account(&mut tx, record.provider_account).await?;
        let outcome = rule(&record).on(&RecordCommand::TakeBack, &person(actor), &terms).map_err(refused)?;
        if outcome == RecordOutcome::AlreadyThere {
            return Ok(record);
        }
        record.taken_back_by.clone_from(&actor.subject);
        record.taken_back_at = Some(now);
        record.taken_back_reason = reason;
        Box::pin(self.follow(&mut tx, actor, brand, kind, &mut record, outcome, now)).await?;
        store::task::resolve(&mut tx, brand, CONFIRM_TASK, target(&record), now).await?;
        store::task::resolve(&mut tx, brand, UNASSIGNED_TASK, target(&record), now).await?;
        audit::append(&mut tx, actor, "by_hand.take_back", target(&record), Some(before), Some(told(&record))).await?;
        tx.commit().await?;
        Ok(record)
    }

    /// Locks what a record moves, and the record.
    async fn lock_all(&self, tx: &mut PgTransaction<'_>, id: Uuid) -> Result<Record, Problem> {
        let found = store::by_hand::record(tx, id).await?.ok_or_else(no_such_record)?;
        let payment = match (found.payment, found.of) {
            (Some(payment), _) => Some(payment),
            (None, Of::Wait(wait)) => store::by_hand::find(tx, By::Id(wait)).await?.map(|wait| wait.payment),
            (None, Of::Refund(refund)) => store::refund::get(tx, refund).await?.map(|refund| refund.payment),
            (None, Of::Nobody) => None,
        };
        if let Some(payment) = payment {
            settle::lock(tx, payment).await?;
        }
        store::by_hand::lock_record(tx, id).await?.ok_or_else(no_such_record)
    }

    /// Does what was decided about a record, and saves it.
    #[expect(clippy::too_many_arguments, reason = "one transaction's worth of facts")]
    async fn follow(
        &self,
        tx: &mut PgTransaction<'_>,
        actor: &Actor,
        brand: BrandId,
        kind: ByHand,
        record: &mut Record,
        outcome: RecordOutcome,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        match outcome {
            RecordOutcome::AlreadyThere => return Ok(()),
            RecordOutcome::Moved(state) => {
                record.state = state;
                if state == RecordState::Waiting {
                    let summary = format!(
                        "{} by {} ({}) was recorded by {} and is above what one person may book: somebody else looks at the \
                         account and confirms it",
                        record.amount,
                        kind.label(),
                        record.reference,
                        record.by.subject
                    );
                    store::task::open(tx, brand, CONFIRM_TASK, target(record), &summary, now).await?;
                }
            }
            RecordOutcome::Book => {
                match record.of {
                    Of::Wait(wait) => {
                        record.payment = Some(self.book_arrived(tx, brand, kind, wait, record, now).await?)
                    }
                    Of::Refund(refund) => self.book_payout(tx, brand, refund, record, now).await?,
                    Of::Nobody => return Err(refused(RecordRefused::Unassigned)),
                }
                record.state = RecordState::Confirmed;
                record.confirmed_by.clone_from(&actor.subject);
                record.confirmed_at = Some(now);
                store::task::resolve(tx, brand, CONFIRM_TASK, target(record), now).await?;
            }
            RecordOutcome::BookBack => {
                match record.of {
                    Of::Refund(refund) => self.payout_came_back(tx, brand, refund, record, now).await?,
                    Of::Wait(_) | Of::Nobody => self.book_back_arrived(tx, brand, record, now).await?,
                }
                record.state = RecordState::TakenBack;
            }
        }
        Ok(store::by_hand::save(tx, record).await?)
    }

    /// The money is in the books: by the payment that waits, or, when that has its money already, by one of its own.
    async fn book_arrived(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        kind: ByHand,
        wait: Uuid,
        record: &Record,
        now: DateTime<Utc>,
    ) -> Result<ottery_kernel::PaymentId, Problem> {
        let wait = store::by_hand::find(tx, By::Id(wait)).await?.ok_or_else(no_such_record)?;
        let (owed, waiting) = settle::lock(tx, wait.payment).await?;
        let (owed, mut payment) = if waiting.state == State::Succeeded {
            let id = another(tx, brand, &waiting, &wait, record, now).await?;
            settle::lock(tx, id).await?
        } else {
            (owed, waiting)
        };
        kind.name().clone_into(&mut payment.provider);
        payment.provider_account = Some(record.provider_account);
        let id = payment.id;
        let capture = Capture {
            provider_ref: target(record),
            amount: record.amount,
            fee: None,
            saved: None,
            label: kind.label().to_owned(),
            fingerprint: None,
            expires_on: None,
        };
        Box::pin(settle::captured(tx, self, brand, owed, payment, capture, 0, now)).await?;
        Ok(id)
    }

    /// What was booked is none: a booking the other way round, with a credit note for what had been paid by it.
    async fn book_back_arrived(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        record: &Record,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let Some(id) = record.payment else { return Err(no_such_record()) };
        let (_, payment) = settle::lock(tx, id).await?;
        let refunds = store::refund::of_payment(tx, id).await?;
        if let Some(live) = refunds.iter().find(|refund| refund.state != RefundState::Failed) {
            let message = format!(
                "{} of it goes back or went back by {}; what was refunded is not taken back as well",
                live.amount, live.id
            );
            return Err(Problem::refused("RECORD_REFUNDED", message).with("refund_id", live.id));
        }
        let reason = format!("Payment recorded in error: {}", record.taken_back_reason);
        let reference = format!("{}:taken_back", target(record));
        Box::pin(self.book_back(tx, brand, &payment, record.amount, &reference, &reason, now)).await?;
        let summary = format!(
            "{} of {} was recorded in error and is booked back, with a credit note: ask the customer for it anew, and decide \
             whether they are served on",
            record.amount, payment.id
        );
        Ok(store::task::open(tx, brand, TAKEN_BACK_TASK, payment.id, &summary, now).await?)
    }
}

/// A payment beside the one that waits, for money that comes after it.
async fn another(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    waiting: &Payment,
    wait: &Wait,
    record: &Record,
    now: DateTime<Utc>,
) -> Result<ottery_kernel::PaymentId, Problem> {
    let shares = waiting.shares.iter().map(|invoice| Share { invoice: *invoice, amount: record.amount }).collect();
    let request = AttemptRequest {
        invoice: waiting.invoice,
        account: waiting.account,
        subscription: waiting.subscription,
        amount: record.amount,
        kind: AttemptKind::Hosted {
            return_url: String::new(),
            cancel_url: String::new(),
            save_method: false,
            chosen: Some(wait.provider_account),
        },
        shares,
    };
    Ok(store::payment::request(tx, brand, &[request], now).await?.pop().expect("one id per request"))
}

fn rule(record: &Record) -> Rule {
    Rule { state: record.state, amount: record.amount, by: record.by.clone() }
}

/// The reference somebody typed (or copied with all around it), with what it pays locked.
async fn locked(tx: &mut PgTransaction<'_>, typed: &str) -> Result<Wait, Problem> {
    let parsed = typed.parse::<Reference>().ok().or_else(|| Reference::found_in(typed));
    let Some(reference) = parsed else {
        let message = format!("payment_reference: {}", crate::domain::by_hand::ReferenceError);
        return Err(Problem::invalid("payment_reference", "REFERENCE_INVALID", message));
    };
    let unknown = || {
        let message = format!("no payment waits under {}; look it up in the list", reference.printed());
        Problem::not_found("REFERENCE_UNKNOWN", message).on_field("payment_reference")
    };
    let found = store::by_hand::find(tx, By::Reference(&reference)).await?.ok_or_else(unknown)?;
    settle::lock(tx, found.payment).await?;
    // Another try may have taken it over while the lock was waited for.
    let again = store::by_hand::find(tx, By::Reference(&reference)).await?.ok_or_else(unknown)?;
    if again.payment != found.payment {
        settle::lock(tx, again.payment).await?;
    }
    Ok(again)
}

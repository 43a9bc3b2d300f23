//! Payments that people record, at the edge.

use chrono::NaiveDate;
use ottery_kit::grpc::{Actor, Problem};
use ottery_proto::billing::v1 as proto;
use ottery_proto::billing::v1::by_hand::State;
use ottery_proto::billing::v1::by_hand_record::State as RecordStanding;
use uuid::Uuid;

use super::provider::{account_id, by_hand};
use super::{Caller, id, next_page, page};
use crate::app::Billing;
use crate::app::payment::{Arrived, ArrivedOf, Expected, Payout, ShownByHand, Sought};
use crate::contract::{money, money_from, timestamp};
use crate::domain::by_hand::{RecordState, Standing};
use crate::store::by_hand::{Of, Proof, Record};

/// Whoever calls: the token decides.
pub(super) async fn read(
    app: &Billing,
    actor: Actor,
    request: proto::ReadByHandRequest,
) -> Result<proto::ByHand, Problem> {
    let brand = actor.brand_or_problem()?;
    Ok(shown(&app.show_by_hand(brand, &request.token).await?))
}

pub(super) async fn add_proof(
    app: &Billing,
    actor: Actor,
    request: proto::AddByHandProofRequest,
) -> Result<proto::ByHand, Problem> {
    let brand = actor.brand_or_problem()?;
    Ok(shown(&app.add_proof(brand, &request.token, &request.name, &request.content).await?))
}

pub(super) async fn read_proof(
    app: &Billing,
    actor: Actor,
    request: proto::ReadByHandProofRequest,
) -> Result<proto::ReadByHandProofReply, Problem> {
    let caller = Caller::customer_or(actor, "invoice.read")?;
    let (proof, content) = app.read_proof(caller.brand, uuid("proof_id", &request.proof_id)?, caller.owner).await?;
    Ok(proto::ReadByHandProofReply { name: proof.name, media_type: proof.kind.media_type().to_owned(), content })
}

pub(super) async fn list_payments(
    app: &Billing,
    actor: Actor,
    request: proto::ListByHandPaymentsRequest,
) -> Result<proto::ListByHandPaymentsReply, Problem> {
    let caller = Caller::staff(actor, "invoice.read")?;
    let page = page(request.page.as_ref())?;
    let sought = Sought { reference: request.reference, amount_minor: request.amount_minor, is_all: request.all };
    let found = app.expected_by_hand(caller.brand, sought, page).await?;
    let next = next_page(page, found.len(), found.last().map(|one| one.wait.id));
    Ok(proto::ListByHandPaymentsReply { payments: found.iter().map(expected).collect(), page: next })
}

pub(super) async fn list_records(
    app: &Billing,
    actor: Actor,
    request: proto::ListByHandRecordsRequest,
) -> Result<proto::ListByHandRecordsReply, Problem> {
    let caller = Caller::staff(actor, "invoice.read")?;
    let page = page(request.page.as_ref())?;
    let found = app.by_hand_records(caller.brand, request.all, page).await?;
    let next = next_page(page, found.len(), found.last().map(|one| one.id));
    Ok(proto::ListByHandRecordsReply { records: found.iter().map(record_of).collect(), page: next })
}

pub(super) async fn list_refunds(
    app: &Billing,
    actor: Actor,
    _: proto::ListByHandRefundsRequest,
) -> Result<proto::ListByHandRefundsReply, Problem> {
    let caller = Caller::staff(actor, "invoice.read")?;
    let found = app.payouts(caller.brand).await?;
    Ok(proto::ListByHandRefundsReply { refunds: found.iter().map(payout).collect() })
}

pub(super) async fn record(
    app: &Billing,
    actor: Actor,
    request: proto::RecordByHandRequest,
) -> Result<proto::ByHandRecord, Problem> {
    let right = if request.refund_id.is_empty() { "invoice.manage" } else { "invoice.refund" };
    let caller = Caller::staff(actor, right)?;
    let of = of_what(&request)?;
    let missing = || Problem::invalid("amount", "MISSING", "amount: say how much");
    let amount = money_from("amount", request.amount.as_ref().ok_or_else(missing)?)?;
    let value_on = request
        .value_on
        .parse::<NaiveDate>()
        .map_err(|_| Problem::invalid("value_on", "DATE_INVALID", "value_on: a day such as 2026-11-28"))?;
    let arrived =
        Arrived { of, amount, value_on, reference: request.bank_reference, sender: request.sender, note: request.note };
    Ok(record_of(&Box::pin(app.record_by_hand(&caller.actor, caller.brand, arrived)).await?))
}

fn of_what(request: &proto::RecordByHandRequest) -> Result<ArrivedOf, Problem> {
    let (reference, account, refund) =
        (request.payment_reference.trim(), request.provider_account_id.trim(), request.refund_id.trim());
    match (reference.is_empty(), account.is_empty(), refund.is_empty()) {
        (false, _, true) => Ok(ArrivedOf::Reference(reference.to_owned())),
        (true, false, true) => {
            Ok(ArrivedOf::Unknown(account_id(account).map_err(|problem| problem.on_field("provider_account_id"))?))
        }
        (true, true, false) => Ok(ArrivedOf::Refund(id("refund_id", refund)?)),
        (true, true, true) | (false, _, false) | (true, false, false) => {
            let message = "payment_reference: name the payment's reference, or an account when nobody knows whose money it is, or \
                           a refund";
            Err(Problem::invalid("payment_reference", "RECORD_OF_WHAT", message))
        }
    }
}

pub(super) async fn assign(
    app: &Billing,
    actor: Actor,
    request: proto::AssignByHandRecordRequest,
) -> Result<proto::ByHandRecord, Problem> {
    let caller = Caller::staff(actor, "invoice.manage")?;
    let record = uuid("id", &request.id)?;
    let done = Box::pin(app.assign_record(&caller.actor, caller.brand, record, &request.payment_reference)).await?;
    Ok(record_of(&done))
}

pub(super) async fn confirm(
    app: &Billing,
    actor: Actor,
    request: proto::ConfirmByHandRecordRequest,
) -> Result<proto::ByHandRecord, Problem> {
    let caller = Caller::staff(actor, "invoice.manage")?;
    caller.actor.require_step_up(app.clock.now())?;
    Ok(record_of(&Box::pin(app.confirm_record(&caller.actor, caller.brand, uuid("id", &request.id)?)).await?))
}

pub(super) async fn take_back(
    app: &Billing,
    actor: Actor,
    request: proto::TakeBackByHandRecordRequest,
) -> Result<proto::ByHandRecord, Problem> {
    let caller = Caller::staff(actor, "invoice.refund")?;
    caller.actor.require_step_up(app.clock.now())?;
    let record = uuid("id", &request.id)?;
    Ok(record_of(&Box::pin(app.take_back_record(&caller.actor, caller.brand, record, &request.reason)).await?))
}

fn uuid(field: &'static str, text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Problem::invalid(field, "ID_INVALID", format!("{field}: this is no id")))
}

fn shown(shown: &ShownByHand) -> proto::ByHand {
    proto::ByHand {
        state: standing(shown.standing).into(),
        provider: shown.kind.name().to_owned(),
        // Who has to agree is nobody's business but staff's.
        terms: Some(proto::ByHandTerms { alone_up_to: Vec::new(), ..by_hand(&shown.terms) }),
        reference: shown.wait.reference.to_string(),
        title: shown.wait.title.clone(),
        due: Some(money(shown.due)),
        came: Some(money(shown.came)),
        checking: Some(money(shown.checking)),
        code: shown.code.clone(),
        proofs: shown.proofs.iter().map(proof).collect(),
        return_url: shown.wait.return_url.clone(),
    }
}

const fn standing(standing: Standing) -> State {
    match standing {
        Standing::Waiting => State::Waiting,
        Standing::Claimed => State::Claimed,
        Standing::Checking => State::Checking,
        Standing::Short => State::Short,
        Standing::Paid => State::Paid,
        Standing::Closed => State::Closed,
    }
}

fn proof(one: &Proof) -> proto::ByHandProof {
    proto::ByHandProof {
        id: one.id.simple().to_string(),
        name: one.name.clone(),
        media_type: one.kind.media_type().to_owned(),
        bytes: one.bytes,
        sent_at: Some(timestamp(one.sent_at)),
    }
}

fn expected(one: &Expected) -> proto::ByHandPayment {
    proto::ByHandPayment {
        reference: one.wait.reference.to_string(),
        state: standing(one.facts.standing()).into(),
        payment_id: one.payment.id.to_string(),
        invoice_id: one.payment.invoice.to_string(),
        account_id: one.payment.account.to_string(),
        provider: one.payment.provider.clone(),
        provider_account_id: one.wait.provider_account.to_string(),
        title: one.wait.title.clone(),
        amount: Some(money(one.payment.amount)),
        due: Some(money(one.facts.due)),
        created_at: Some(timestamp(one.wait.created_at)),
        records: one.records.iter().map(record_of).collect(),
        proofs: one.proofs.iter().map(proof).collect(),
    }
}

fn payout(one: &Payout) -> proto::ByHandRefund {
    proto::ByHandRefund {
        refund_id: one.refund.id.to_string(),
        payment_id: one.refund.payment.to_string(),
        account_id: one.refund.account.to_string(),
        provider: one.provider.clone(),
        amount: Some(money(one.refund.amount)),
        reason: one.refund.reason.clone(),
        sender: one.sender.clone(),
        created_at: Some(timestamp(one.refund.created_at)),
        record: one.record.as_ref().map(record_of),
    }
}

fn record_of(one: &Record) -> proto::ByHandRecord {
    let state = match one.state {
        RecordState::Unassigned => RecordStanding::Unassigned,
        RecordState::Waiting => RecordStanding::Waiting,
        RecordState::Confirmed => RecordStanding::Confirmed,
        RecordState::TakenBack => RecordStanding::TakenBack,
    };
    let refund = match one.of {
        Of::Refund(refund) => refund.to_string(),
        Of::Wait(_) | Of::Nobody => String::new(),
    };
    proto::ByHandRecord {
        id: one.id.simple().to_string(),
        state: state.into(),
        provider_account_id: one.provider_account.to_string(),
        payment_id: one.payment.map(|id| id.to_string()).unwrap_or_default(),
        refund_id: refund,
        amount: Some(money(one.amount)),
        value_on: one.value_on.to_string(),
        bank_reference: one.reference.clone(),
        sender: one.sender.clone(),
        note: one.note.clone(),
        recorded_by: one.by.subject.clone(),
        recorded_at: Some(timestamp(one.recorded_at)),
        confirmed_by: one.confirmed_by.clone(),
        confirmed_at: one.confirmed_at.map(timestamp),
        taken_back_by: one.taken_back_by.clone(),
        taken_back_at: one.taken_back_at.map(timestamp),
        taken_back_reason: one.taken_back_reason.clone(),
    }
}

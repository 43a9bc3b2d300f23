//! Comparisons of what providers report with the books, at the edge.

use std::fmt::Display;
use std::str::FromStr;

use ottery_kit::grpc::{Actor, Problem};
use ottery_proto::billing::v1 as proto;

use super::{Caller, next_page, page};
use crate::app::Billing;
use crate::contract::{money, timestamp};
use crate::domain::reconcile::Total;
use crate::store::reconcile::{Run, Step, Stored};

pub(super) async fn list(
    app: &Billing,
    actor: Actor,
    request: proto::ListReconciliationsRequest,
) -> Result<proto::ListReconciliationsReply, Problem> {
    let caller = Caller::staff(actor, "ledger.read")?;
    let page = page(request.page.as_ref())?;
    let runs = app.reconciliations(caller.brand, page).await?;
    Ok(proto::ListReconciliationsReply {
        page: next_page(page, runs.len(), runs.last().map(|run| run.id.as_uuid())),
        reconciliations: runs.iter().map(shown).collect(),
    })
}

pub(super) async fn get(
    app: &Billing,
    actor: Actor,
    request: proto::GetReconciliationRequest,
) -> Result<proto::Reconciliation, Problem> {
    let caller = Caller::staff(actor, "ledger.read")?;
    Ok(shown(&app.reconciliation(caller.brand, named("id", &request.id)?).await?))
}

pub(super) async fn run(
    app: &Billing,
    actor: Actor,
    request: proto::RunReconciliationRequest,
) -> Result<proto::Reconciliation, Problem> {
    let caller = Caller::staff(actor, "ledger.close")?;
    let account = named("provider_account_id", &request.provider_account_id)?;
    Ok(shown(&app.ask_reconciliation(&caller.actor, caller.brand, account).await?))
}

pub(super) async fn differences(
    app: &Billing,
    actor: Actor,
    request: proto::ListReconciliationDifferencesRequest,
) -> Result<proto::ListReconciliationDifferencesReply, Problem> {
    let caller = Caller::staff(actor, "ledger.read")?;
    let page = page(request.page.as_ref())?;
    let found = app.reconciliation_differences(caller.brand, !request.all, page).await?;
    Ok(proto::ListReconciliationDifferencesReply {
        page: next_page(page, found.len(), found.last().map(|one| one.id.as_uuid())),
        differences: found.iter().map(difference).collect(),
    })
}

pub(super) async fn accept(
    app: &Billing,
    actor: Actor,
    request: proto::AcceptReconciliationDifferenceRequest,
) -> Result<proto::ReconciliationDifference, Problem> {
    let caller = Caller::staff(actor, "ledger.close")?;
    let id = named("id", &request.id)?;
    Ok(difference(&app.accept_difference(&caller.actor, caller.brand, id, &request.reason).await?))
}

fn named<I: FromStr<Err: Display>>(field: &'static str, text: &str) -> Result<I, Problem> {
    text.parse().map_err(|error| Problem::invalid(field, "ID_INVALID", format!("{field}: {error}")))
}

fn count(number: i32) -> u32 {
    number.unsigned_abs()
}

fn shown(run: &Run) -> proto::Reconciliation {
    let total = |total: &Total| proto::ReconciliationTotal {
        kind: total.kind.to_string(),
        provider_amount: Some(money(ottery_kernel::Money::new(total.theirs.1, total.currency))),
        provider_count: total.theirs.0,
        books_amount: Some(money(ottery_kernel::Money::new(total.ours.1, total.currency))),
        books_count: total.ours.0,
    };
    proto::Reconciliation {
        id: run.id.to_string(),
        provider_account_id: run.account.to_string(),
        provider: run.provider.clone(),
        asked_by: run.asked_by.clone(),
        from: Some(timestamp(run.from)),
        until: Some(timestamp(run.until)),
        step: match run.step {
            Step::Read(kind) => kind.to_string(),
            Step::Compare => "compare".to_owned(),
        },
        one_sided: run.is_one_sided,
        left_out: run.left_out.iter().map(ToString::to_string).collect(),
        not_reported: run.not_reported.iter().map(ToString::to_string).collect(),
        problem: run.problem.clone(),
        pages: count(run.pages),
        rows_read: count(run.rows_read),
        rows_in_books: count(run.rows_ours),
        healed: count(run.healed),
        differences: count(run.differences),
        totals: run.totals.iter().map(total).collect(),
        begun_at: Some(timestamp(run.begun_at)),
        ended_at: run.ended_at.map(timestamp),
    }
}

fn difference(one: &Stored) -> proto::ReconciliationDifference {
    let finding = &one.finding;
    proto::ReconciliationDifference {
        id: one.id.to_string(),
        provider_account_id: one.account.to_string(),
        kind: finding.kind.to_string(),
        difference: finding.difference.as_str().to_owned(),
        provider_reference: finding.reference.clone(),
        reference_id: finding.ours.clone(),
        provider_amount: finding.theirs_amount.map(money),
        books_amount: finding.ours_amount.map(money),
        value: finding.value().map(money),
        reconciliation_id: one.seen_by.to_string(),
        found_at: Some(timestamp(one.found_at)),
        seen_at: Some(timestamp(one.seen_at)),
        accepted_by: one.accepted_by.clone(),
        accepted_reason: one.accepted_reason.clone(),
        closed_at: one.closed_at.map(timestamp),
    }
}

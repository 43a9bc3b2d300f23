//! Invoices, the books and tasks, for reading.

use std::collections::BTreeMap;

use ottery_kernel::{CouponId, CreditNoteId, PlanId, SubscriptionId, TransferId};
use ottery_kit::grpc::{Actor, Problem};
use ottery_proto::billing::v1 as proto;

use super::{Caller, convert, id, next_page, page};
use crate::app::Billing;
use crate::domain::invoice::Invoice;
use crate::store::ledger::Shown;

/// Coupons of one question: a page of their list.
const COUPONS_MAX: usize = 100;
/// Plans of one question: a page of their list.
const PLANS_MAX: usize = 100;

pub(super) async fn get_invoice(
    app: &Billing,
    actor: Actor,
    request: proto::GetInvoiceRequest,
) -> Result<proto::Invoice, Problem> {
    let caller = Caller::customer_or(actor, "invoice.read")?;
    let (invoice, notes) = app.invoice(caller.brand, id("invoice_id", &request.invoice_id)?, caller.owner).await?;
    Ok(convert::invoice(&invoice, &notes))
}

pub(super) async fn list_invoices(
    app: &Billing,
    actor: Actor,
    request: proto::ListInvoicesRequest,
) -> Result<proto::ListInvoicesReply, Problem> {
    let caller = Caller::customer_or(actor, "invoice.read")?;
    let page = page(request.page.as_ref())?;
    let account = caller.account_filter(&request.account_id)?;
    let subscription: Option<SubscriptionId> = match request.subscription_id.as_str() {
        "" => None,
        text => Some(id("subscription_id", text)?),
    };
    let (found, notes) = match (caller.owner, subscription) {
        (Some(owner), None) => app.own_invoices(caller.brand, owner, page).await?,
        _ => app.invoices(caller.brand, account, subscription, page).await?,
    };
    // A consolidated invoice stands where its row does: its first part, or that of the subscription.
    let row = |invoice: &Invoice| {
        let part = invoice.parts.iter().find(|part| subscription.is_none() || part.subscription == subscription);
        part.unwrap_or(invoice).id.as_uuid()
    };
    let last = found.last().map(row);
    Ok(proto::ListInvoicesReply {
        page: next_page(page, found.len(), last),
        invoices: found.iter().map(|invoice| convert::invoice(invoice, &notes)).collect(),
    })
}

pub(super) async fn get_invoice_document(
    app: &Billing,
    actor: Actor,
    request: proto::GetInvoiceDocumentRequest,
) -> Result<proto::GetInvoiceDocumentReply, Problem> {
    let caller = Caller::customer_or(actor, "invoice.read")?;
    let note: Option<CreditNoteId> = match request.credit_note_id.as_str() {
        "" => None,
        text => Some(id("credit_note_id", text)?),
    };
    let paper = app.invoice_document(caller.brand, id("invoice_id", &request.invoice_id)?, note, caller.owner).await?;
    Ok(proto::GetInvoiceDocumentReply { document_json: paper.json, file_name: paper.file_name })
}

pub(super) async fn get_invoice_ubl(
    app: &Billing,
    actor: Actor,
    request: proto::GetInvoiceUblRequest,
) -> Result<proto::GetInvoiceUblReply, Problem> {
    let caller = Caller::customer_or(actor, "invoice.read")?;
    let note: Option<CreditNoteId> = match request.credit_note_id.as_str() {
        "" => None,
        text => Some(id("credit_note_id", text)?),
    };
    let ubl = app.invoice_ubl(caller.brand, id("invoice_id", &request.invoice_id)?, note, caller.owner).await?;
    Ok(proto::GetInvoiceUblReply { xml: ubl.xml, file_name: ubl.file_name })
}

/// A row of the books.
pub(super) fn transfer(row: &Shown) -> proto::Transfer {
    proto::Transfer {
        id: TransferId::from_uuid(row.id).to_string(),
        debit: row.debit.clone(),
        credit: row.credit.clone(),
        amount: Some(convert::money(row.amount)),
        state: row.state.clone(),
        kind: row.kind.clone(),
        reference_id: row.reference.clone(),
        booked_at: Some(convert::timestamp(row.booked_at)),
    }
}

pub(super) async fn list_transfers(
    app: &Billing,
    actor: Actor,
    request: proto::ListTransfersRequest,
) -> Result<proto::ListTransfersReply, Problem> {
    let caller = Caller::staff(actor, "ledger.read")?;
    let page = page(request.page.as_ref())?;
    let found = app.transfers(caller.brand, &request.reference_id, page).await?;
    let last = found.last().map(|transfer| transfer.id);
    Ok(proto::ListTransfersReply {
        page: next_page(page, found.len(), last),
        transfers: found.iter().map(transfer).collect(),
    })
}

pub(super) async fn get_trial_balance(app: &Billing, actor: Actor) -> Result<proto::GetTrialBalanceReply, Problem> {
    let caller = Caller::staff(actor, "ledger.read")?;
    let balances = app.trial_balance(caller.brand).await?;
    let mut sums: BTreeMap<_, i128> = BTreeMap::new();
    for balance in &balances {
        *sums.entry(balance.debits.currency).or_default() +=
            i128::from(balance.debits.minor) - i128::from(balance.credits.minor);
    }
    Ok(proto::GetTrialBalanceReply {
        balanced: sums.values().all(|sum| *sum == 0),
        balances: balances
            .into_iter()
            .map(|balance| proto::LedgerBalance {
                account: balance.account,
                debits: Some(convert::money(balance.debits)),
                credits: Some(convert::money(balance.credits)),
            })
            .collect(),
    })
}

pub(super) async fn list_coupon_uses(
    app: &Billing,
    actor: Actor,
    request: proto::ListCouponUsesRequest,
) -> Result<proto::ListCouponUsesReply, Problem> {
    let caller = Caller::staff(actor, "plan.read")?;
    if request.coupon_ids.len() > COUPONS_MAX {
        let message = format!("ask for at most {COUPONS_MAX} coupons, got {}", request.coupon_ids.len());
        return Err(Problem::invalid("coupon_ids", "TOO_MANY", message));
    }
    let ids: Vec<CouponId> = request.coupon_ids.iter().map(|text| id("coupon_ids", text)).collect::<Result<_, _>>()?;
    let found = app.coupon_uses(caller.brand, &ids).await?;
    let uses = |(id, uses): (CouponId, i64)| proto::CouponUses { coupon_id: id.to_string(), uses: uses.unsigned_abs() };
    Ok(proto::ListCouponUsesReply { uses: found.into_iter().map(uses).collect() })
}

pub(super) async fn list_stock_taken(
    app: &Billing,
    actor: Actor,
    request: proto::ListStockTakenRequest,
) -> Result<proto::ListStockTakenReply, Problem> {
    let caller = Caller::staff(actor, "plan.read")?;
    if request.plan_ids.len() > PLANS_MAX {
        let message = format!("ask for at most {PLANS_MAX} plans, got {}", request.plan_ids.len());
        return Err(Problem::invalid("plan_ids", "TOO_MANY", message));
    }
    let ids: Vec<PlanId> = request.plan_ids.iter().map(|text| id("plan_ids", text)).collect::<Result<_, _>>()?;
    let found = app.stock_taken(caller.brand, &ids).await?;
    let plan = |(id, taken): (PlanId, i64)| proto::StockTaken { plan_id: id.to_string(), taken: taken.unsigned_abs() };
    Ok(proto::ListStockTakenReply { plans: found.into_iter().map(plan).collect() })
}

pub(super) async fn list_tasks(
    app: &Billing,
    actor: Actor,
    request: proto::ListTasksRequest,
) -> Result<proto::ListTasksReply, Problem> {
    let caller = Caller::staff(actor, "order.manage")?;
    let page = page(request.page.as_ref())?;
    let found = app.tasks(caller.brand, page).await?;
    let last = found.last().map(|task| task.id.as_uuid());
    Ok(proto::ListTasksReply {
        page: next_page(page, found.len(), last),
        tasks: found
            .into_iter()
            .map(|task| proto::Task {
                id: task.id.to_string(),
                kind: task.kind,
                reference_id: task.reference,
                summary: task.summary,
                created_at: Some(convert::timestamp(task.created_at)),
            })
            .collect(),
    })
}

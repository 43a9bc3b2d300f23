//! Drafts, credit notes and giving up, at the edge.

use ottery_kernel::{AccountId, Currency, InvoiceId};
use ottery_kit::grpc::{Actor, Problem};
use ottery_kit::idempotency::request_hash;
use ottery_proto::billing::v1 as proto;

use super::order::{TEXT_MAX, country, idempotency, within};
use super::{Caller, convert, id};
use crate::app::Billing;
use crate::app::consolidated::Invoicing;
use crate::app::manual::NewDraft;
use crate::contract::money_from;
use crate::domain::invoice::{Buyer, Invoice};
use crate::domain::manual::DraftLine;
use crate::domain::portion::Wanted;
use crate::domain::rules::{InvoiceRules, UnpaidAtEnd};

/// Who writes invoices.
const MANAGE: &str = "invoice.manage";

fn answer(invoice: &Invoice) -> proto::Invoice {
    convert::invoice(invoice, &[])
}

fn lines(lines: &[proto::DraftLine]) -> Result<Vec<DraftLine>, Problem> {
    lines
        .iter()
        .enumerate()
        .map(|(at, line)| {
            let field = format!("lines[{at}].unit_price");
            let unit = line.unit_price.as_ref().ok_or_else(|| {
                Problem::invalid(field.clone(), "MISSING", format!("{field}: say what one costs, tax contained"))
            })?;
            Ok(DraftLine {
                description: line.description.clone(),
                quantity: line.quantity,
                unit: money_from(&field, unit)?,
                tax_rate_bp: line.tax_rate_bp,
            })
        })
        .collect()
}

pub(super) async fn draft(
    app: &Billing,
    actor: Actor,
    key: Option<String>,
    request: proto::DraftInvoiceRequest,
) -> Result<proto::Invoice, Problem> {
    let caller = Caller::staff(actor, MANAGE)?;
    let call = idempotency(&caller.actor, "billing.DraftInvoice", key, request_hash(&request));
    let email = within("email", request.email.trim(), TEXT_MAX)?;
    if !email.contains('@') {
        let message = "email: the invoice needs an address such as `me@example.com`";
        return Err(Problem::invalid("email", "EMAIL_INVALID", message));
    }
    let currency: Currency = request
        .currency
        .parse()
        .map_err(|error| Problem::invalid("currency", "CURRENCY_INVALID", format!("currency: {error}")))?;
    let new = NewDraft {
        account: id("account_id", &request.account_id)?,
        buyer: Buyer {
            name: within("display_name", request.display_name.trim(), TEXT_MAX)?.to_owned(),
            email: email.to_owned(),
            country: country(&request.country)?,
            locale: within("locale", &request.locale, 35)?.to_owned(),
            address: None,
        },
        currency,
        lines: lines(&request.lines)?,
    };
    Ok(answer(&app.draft_invoice(&caller.actor, caller.brand, new, call).await?))
}

pub(super) async fn edit(
    app: &Billing,
    actor: Actor,
    request: proto::EditDraftRequest,
) -> Result<proto::Invoice, Problem> {
    let caller = Caller::staff(actor, MANAGE)?;
    let invoice = id("invoice_id", &request.invoice_id)?;
    Ok(answer(&app.edit_draft(&caller.actor, caller.brand, invoice, &lines(&request.lines)?).await?))
}

pub(super) async fn discard(
    app: &Billing,
    actor: Actor,
    request: proto::DiscardDraftRequest,
) -> Result<proto::DiscardDraftReply, Problem> {
    let caller = Caller::staff(actor, MANAGE)?;
    app.discard_draft(&caller.actor, caller.brand, id("invoice_id", &request.invoice_id)?).await?;
    Ok(proto::DiscardDraftReply {})
}

pub(super) async fn finalise(
    app: &Billing,
    actor: Actor,
    key: Option<String>,
    request: proto::FinaliseDraftRequest,
) -> Result<proto::Invoice, Problem> {
    let caller = Caller::staff(actor, MANAGE)?;
    let call = idempotency(&caller.actor, "billing.FinaliseDraft", key, request_hash(&request));
    let invoice = id("invoice_id", &request.invoice_id)?;
    Ok(answer(&app.finalise_draft(&caller.actor, caller.brand, invoice, request.due_days, call).await?))
}

pub(super) async fn send(
    app: &Billing,
    actor: Actor,
    request: proto::SendInvoiceRequest,
) -> Result<proto::Invoice, Problem> {
    let caller = Caller::staff(actor, MANAGE)?;
    Ok(answer(&app.send_invoice(&caller.actor, caller.brand, id("invoice_id", &request.invoice_id)?).await?))
}

pub(super) async fn void(
    app: &Billing,
    actor: Actor,
    request: proto::VoidInvoiceRequest,
) -> Result<proto::Invoice, Problem> {
    let caller = Caller::staff(actor, MANAGE)?;
    let invoice = id("invoice_id", &request.invoice_id)?;
    Ok(answer(&app.void_invoice(&caller.actor, caller.brand, invoice, &request.reason).await?))
}

pub(super) async fn write_off(
    app: &Billing,
    actor: Actor,
    request: proto::WriteOffInvoiceRequest,
) -> Result<proto::Invoice, Problem> {
    let caller = Caller::staff(actor, MANAGE)?;
    let invoice = id("invoice_id", &request.invoice_id)?;
    Ok(answer(&app.write_off_invoice(&caller.actor, caller.brand, invoice, &request.reason).await?))
}

pub(super) async fn credit(
    app: &Billing,
    actor: Actor,
    key: Option<String>,
    request: proto::CreditInvoiceRequest,
) -> Result<proto::CreditNote, Problem> {
    // It becomes money in a wallet: as guarded as a refund.
    let caller = Caller::staff(actor, "invoice.refund")?;
    caller.actor.require_step_up(app.clock.now())?;
    let call = idempotency(&caller.actor, "billing.CreditInvoice", key, request_hash(&request));
    let invoice: InvoiceId = id("invoice_id", &request.invoice_id)?;
    let wanted = match (&request.amount, request.line_numbers.as_slice()) {
        (Some(amount), []) => Wanted::Amount(money_from("amount", amount)?),
        (None, [_, ..]) => Wanted::Lines(request.line_numbers.clone()),
        (None, []) | (Some(_), [_, ..]) => {
            let message = "amount: name either an amount or the numbers of lines to credit";
            return Err(Problem::invalid("amount", "CREDIT_OF_WHAT", message));
        }
    };
    let note = app.credit_invoice(&caller.actor, caller.brand, invoice, wanted, &request.reason, call).await?;
    Ok(convert::credit_note(&note))
}

fn rules(rules: &InvoiceRules) -> proto::InvoiceRules {
    use proto::invoice_rules::UnpaidAtEnd as P;
    let unpaid_at_end = match rules.unpaid_at_end {
        UnpaidAtEnd::Void => P::Void,
        UnpaidAtEnd::WriteOff => P::WriteOff,
    };
    proto::InvoiceRules {
        unpaid_at_end: unpaid_at_end.into(),
        bills_time_off: rules.bills_time_off,
        proforma: rules.proforma,
        consolidated: rules.consolidated,
        version: rules.version.unsigned_abs(),
    }
}

pub(super) async fn get_rules(app: &Billing, actor: Actor) -> Result<proto::InvoiceRules, Problem> {
    let caller = Caller::staff(actor, "brand.read")?;
    Ok(rules(&app.invoice_rules(caller.brand).await?))
}

pub(super) async fn put_rules(
    app: &Billing,
    actor: Actor,
    request: proto::PutInvoiceRulesRequest,
) -> Result<proto::InvoiceRules, Problem> {
    use proto::invoice_rules::UnpaidAtEnd as P;
    let caller = Caller::staff(actor, "brand.update")?;
    let unpaid_at_end = match request.unpaid_at_end() {
        P::Void => UnpaidAtEnd::Void,
        P::WriteOff => UnpaidAtEnd::WriteOff,
        P::Unspecified => {
            let message = "unpaid_at_end: say void or write_off";
            return Err(Problem::invalid("unpaid_at_end", "POLICY_MISSING", message));
        }
    };
    // A version that does not fit was never ours.
    let version = i64::try_from(request.expected_version).unwrap_or(i64::MAX);
    let wanted = InvoiceRules {
        unpaid_at_end,
        bills_time_off: request.bills_time_off,
        proforma: request.proforma,
        consolidated: request.consolidated,
        version,
    };
    Ok(rules(&app.put_invoice_rules(&caller.actor, caller.brand, wanted).await?))
}

fn invoicing(account: AccountId, invoicing: Invoicing) -> proto::CustomerInvoicing {
    use proto::customer_invoicing::Consolidation as P;
    let consolidation = match invoicing.own {
        None => P::Brand,
        Some(true) => P::Always,
        Some(false) => P::Never,
    };
    proto::CustomerInvoicing {
        account_id: account.to_string(),
        consolidation: consolidation.into(),
        consolidated: invoicing.is_consolidated,
    }
}

pub(super) async fn get_customer(
    app: &Billing,
    actor: Actor,
    request: proto::GetCustomerInvoicingRequest,
) -> Result<proto::CustomerInvoicing, Problem> {
    let caller = Caller::staff(actor, "invoice.read")?;
    let account = id("account_id", &request.account_id)?;
    Ok(invoicing(account, app.customer_invoicing(caller.brand, account).await?))
}

pub(super) async fn put_customer(
    app: &Billing,
    actor: Actor,
    request: proto::PutCustomerInvoicingRequest,
) -> Result<proto::CustomerInvoicing, Problem> {
    use proto::customer_invoicing::Consolidation as P;
    let caller = Caller::staff(actor, MANAGE)?;
    let account = id("account_id", &request.account_id)?;
    let own = match request.consolidation() {
        P::Brand => None,
        P::Always => Some(true),
        P::Never => Some(false),
        P::Unspecified => {
            let message = "consolidation: say brand, always or never";
            return Err(Problem::invalid("consolidation", "CONSOLIDATION_MISSING", message));
        }
    };
    let chosen = app.put_customer_invoicing(&caller.actor, caller.brand, account, own).await?;
    Ok(invoicing(account, chosen))
}

pub(super) async fn cancel_order(
    app: &Billing,
    actor: Actor,
    request: proto::CancelOrderRequest,
) -> Result<proto::Order, Problem> {
    let caller = Caller::customer_or(actor, "order.manage")?;
    let order = id("order_id", &request.order_id)?;
    Ok(convert::order(&app.cancel_order(&caller.actor, caller.brand, order, caller.owner).await?))
}

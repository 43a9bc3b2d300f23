//! Payments, refunds and webhooks at the edge.

use ottery_kernel::InvoiceId;
use ottery_kit::grpc::{Actor, Problem};
use ottery_kit::idempotency::request_hash;
use ottery_proto::billing::v1 as proto;

use super::order::idempotency;
use super::provider::chosen_account;
use super::{Caller, id, next_page, page};
use crate::app::Billing;
use crate::app::payment::HostedPage;
use crate::app::refund::Ask;
use crate::app::webhook::Webhook;
use crate::contract::{self, money_from};
use crate::domain::refund::Policy;
use crate::store;
use crate::store::payment::Payment;

pub use contract::payment::payment as to_proto;

/// Longest address to return to.
const URL_BYTES_MAX: usize = 2048;

pub(super) async fn pay_invoice(
    app: &Billing,
    actor: Actor,
    request: proto::PayInvoiceRequest,
) -> Result<proto::PayInvoiceReply, Problem> {
    let caller = Caller::customer_or(actor, "order.create")?;
    let invoice: InvoiceId = id("invoice_id", &request.invoice_id)?;
    web_address("return_url", &request.return_url)?;
    web_address("cancel_url", &request.cancel_url)?;
    let page = HostedPage {
        return_url: request.return_url,
        cancel_url: request.cancel_url,
        chosen: chosen_account(&request.provider_account_id)?,
    };
    let (payment, checkout_url) = Box::pin(app.pay_invoice(caller.brand, invoice, caller.owner, page)).await?;
    Ok(proto::PayInvoiceReply { checkout_url, payment_id: payment.to_string() })
}

pub(super) async fn pay_invoices(
    app: &Billing,
    actor: Actor,
    request: proto::PayInvoicesRequest,
) -> Result<proto::PayInvoiceReply, Problem> {
    let caller = Caller::customer_or(actor, "order.create")?;
    let invoices: Vec<InvoiceId> =
        request.invoice_ids.iter().map(|text| id("invoice_ids", text)).collect::<Result<_, _>>()?;
    web_address("return_url", &request.return_url)?;
    web_address("cancel_url", &request.cancel_url)?;
    let page = HostedPage {
        return_url: request.return_url,
        cancel_url: request.cancel_url,
        chosen: chosen_account(&request.provider_account_id)?,
    };
    let (payment, checkout_url) = Box::pin(app.pay_invoices(caller.brand, &invoices, caller.owner, page)).await?;
    Ok(proto::PayInvoiceReply { checkout_url, payment_id: payment.to_string() })
}

pub(super) async fn list_payments(
    app: &Billing,
    actor: Actor,
    request: proto::ListPaymentsRequest,
) -> Result<proto::ListPaymentsReply, Problem> {
    let caller = Caller::customer_or(actor, "invoice.read")?;
    let account = caller.account_filter(&request.account_id)?;
    let invoice = match request.invoice_id.as_str() {
        "" => None,
        text => Some(id("invoice_id", text)?),
    };
    let page = page(request.page.as_ref())?;
    let (mut tx, _) = app.begin(caller.brand).await?;
    let payments = store::payment::list(&mut tx, account, invoice, page).await?;
    let shows: fn(&Payment) -> proto::Payment =
        if caller.owner.is_some() { contract::payment::payment_for_customer } else { contract::payment::payment };
    let shown: Vec<_> = payments.iter().map(|payment| payment.id).collect();
    let refunds = store::refund::of_payments(&mut tx, &shown).await?;
    Ok(proto::ListPaymentsReply {
        page: next_page(page, payments.len(), payments.last().map(|payment| payment.id.as_uuid())),
        payments: payments.iter().map(shows).collect(),
        refunds: refunds.iter().map(contract::payment::refund).collect(),
    })
}

pub(super) async fn refund_payment(
    app: &Billing,
    actor: Actor,
    key: Option<String>,
    request: proto::RefundPaymentRequest,
) -> Result<proto::Refund, Problem> {
    let caller = Caller::staff(actor, "invoice.refund")?;
    caller.actor.require_step_up(app.clock.now())?;
    let hash = request_hash(&request);
    let policy = match request.policy() {
        proto::refund_payment_request::Policy::Keep => Policy::Keep,
        proto::refund_payment_request::Policy::EndNow => Policy::EndNow,
        proto::refund_payment_request::Policy::Unspecified => {
            let message = "policy: say what becomes of the subscription, keep or end_now";
            return Err(Problem::invalid("policy", "POLICY_MISSING", message));
        }
    };
    let ask = Ask {
        payment: id("payment_id", &request.payment_id)?,
        invoice: match request.invoice_id.as_str() {
            "" => None,
            text => Some(id("invoice_id", text)?),
        },
        amount: request.amount.as_ref().map(|amount| money_from("amount", amount)).transpose()?,
        reason: request.reason,
        policy,
    };
    let call = idempotency(&caller.actor, "billing.RefundPayment", key, hash);
    let refund = app.refund_payment(&caller.actor, caller.brand, ask, call).await?;
    Ok(contract::payment::refund(&refund))
}

pub(super) async fn ingest_webhook(
    app: &Billing,
    _: Actor,
    request: proto::IngestWebhookRequest,
) -> Result<proto::IngestWebhookReply, Problem> {
    // Whoever calls: the signature decides.
    let webhook = Webhook { account: request.provider_account_id, body: request.body, headers: request.headers };
    let duplicate = app.ingest_webhook(&webhook).await?;
    Ok(proto::IngestWebhookReply { duplicate })
}

/// An address a browser is sent back to.
pub(super) fn web_address(field: &'static str, text: &str) -> Result<(), Problem> {
    let is_web =
        text.len() <= URL_BYTES_MAX && url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if is_web {
        return Ok(());
    }
    Err(Problem::invalid(
        field,
        "URL_INVALID",
        format!("{field}: give an http or https address of at most {URL_BYTES_MAX} bytes"),
    ))
}

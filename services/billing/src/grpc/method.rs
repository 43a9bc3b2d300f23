//! Saved methods and objections at the edge.

use ottery_kernel::{DisputeId, PaymentMethodId};
use ottery_kit::grpc::{Actor, Problem};
use ottery_proto::billing::v1 as proto;

use super::payment::web_address;
use super::provider::currency_of;
use super::{Caller, id, next_page, page};
use crate::app::Billing;
use crate::contract::{self, timestamp};
use crate::provider::Evidence;
use crate::store;
use crate::store::payment_method::Shown;

pub(super) async fn list_payment_methods(
    app: &Billing,
    actor: Actor,
    request: proto::ListPaymentMethodsRequest,
) -> Result<proto::ListPaymentMethodsReply, Problem> {
    let caller = Caller::customer_or(actor, "invoice.read")?;
    let account = caller.account(&request.account_id)?;
    let methods = app.payment_methods(caller.brand, account).await?;
    Ok(proto::ListPaymentMethodsReply { methods: methods.iter().map(method).collect() })
}

pub(super) async fn remove_payment_method(
    app: &Billing,
    actor: Actor,
    request: proto::RemovePaymentMethodRequest,
) -> Result<proto::RemovePaymentMethodReply, Problem> {
    let caller = Caller::customer_or(actor, "subscription.manage")?;
    let method: PaymentMethodId = id("id", &request.id)?;
    app.remove_payment_method(caller.brand, method, caller.owner).await?;
    Ok(proto::RemovePaymentMethodReply {})
}

pub(super) async fn begin_payment_setup(
    app: &Billing,
    actor: Actor,
    request: proto::BeginPaymentSetupRequest,
) -> Result<proto::BeginPaymentSetupReply, Problem> {
    let caller = Caller::customer_or(actor, "order.create")?;
    let account = caller.account(&request.account_id)?;
    web_address("return_url", &request.return_url)?;
    web_address("cancel_url", &request.cancel_url)?;
    let currency = match request.currency.as_str() {
        "" => None,
        code => Some(currency_of(code)?),
    };
    let setup_url = app.begin_setup(caller.brand, account, currency, request.return_url, request.cancel_url).await?;
    Ok(proto::BeginPaymentSetupReply { setup_url })
}

pub(super) async fn list_disputes(
    app: &Billing,
    actor: Actor,
    request: proto::ListDisputesRequest,
) -> Result<proto::ListDisputesReply, Problem> {
    let caller = Caller::staff(actor, "invoice.read")?;
    let payment = match request.payment_id.as_str() {
        "" => None,
        text => Some(id("payment_id", text)?),
    };
    let page = page(request.page.as_ref())?;
    let (mut tx, _) = app.begin(caller.brand).await?;
    let disputes = store::dispute::list(&mut tx, payment, page).await?;
    Ok(proto::ListDisputesReply {
        page: next_page(page, disputes.len(), disputes.last().map(|dispute| dispute.id.as_uuid())),
        disputes: disputes.iter().map(contract::payment::dispute).collect(),
    })
}

pub(super) async fn get_dispute(
    app: &Billing,
    actor: Actor,
    request: proto::GetDisputeRequest,
) -> Result<proto::Dispute, Problem> {
    let caller = Caller::staff(actor, "invoice.read")?;
    let found = app.dispute(caller.brand, id("dispute_id", &request.dispute_id)?).await?;
    Ok(contract::payment::dispute(&found))
}

pub(super) async fn accept_dispute(
    app: &Billing,
    actor: Actor,
    request: proto::AcceptDisputeRequest,
) -> Result<proto::Dispute, Problem> {
    let caller = Caller::staff(actor, "invoice.refund")?;
    let of: DisputeId = id("dispute_id", &request.dispute_id)?;
    let accepted = app.accept_dispute(&caller.actor, caller.brand, of).await?;
    Ok(contract::payment::dispute(&accepted))
}

pub(super) async fn submit_dispute_evidence(
    app: &Billing,
    actor: Actor,
    request: proto::SubmitDisputeEvidenceRequest,
) -> Result<proto::Dispute, Problem> {
    let caller = Caller::staff(actor, "invoice.refund")?;
    let of: DisputeId = id("dispute_id", &request.dispute_id)?;
    let trimmed = |text: String| text.trim().to_owned();
    let evidence = Evidence {
        customer_name: trimmed(request.customer_name),
        customer_email: trimmed(request.customer_email),
        product: trimmed(request.product),
        served_from: trimmed(request.served_from),
        access_log: trimmed(request.access_log),
        refund_policy: trimmed(request.refund_policy),
        statement: trimmed(request.statement),
    };
    let answered = app.submit_evidence(&caller.actor, caller.brand, of, evidence).await?;
    Ok(contract::payment::dispute(&answered))
}

fn method(of: &Shown) -> proto::PaymentMethod {
    proto::PaymentMethod {
        id: of.id.to_string(),
        account_id: of.account.to_string(),
        label: of.label.clone(),
        default_method: of.is_default,
        expires_on: of.expires_on.map(|day| day.to_string()).unwrap_or_default(),
        created_at: Some(timestamp(of.created_at)),
        provider_account_id: of.provider_account.to_string(),
        expiry_told_at: of.expiry_told_at.map(timestamp),
    }
}

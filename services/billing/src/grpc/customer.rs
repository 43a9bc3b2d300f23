//! Customers as billing knows them, at the edge.

use ottery_kit::grpc::{Actor, Problem};
use ottery_kit::idempotency::request_hash;
use ottery_proto::billing::v1 as proto;

use super::order::{TEXT_MAX, country, idempotency, within};
use super::{Caller, id};
use crate::app::Billing;
use crate::app::merge::{BillingAddress, Merge, Merged};
use crate::domain::invoice::Buyer;

pub(super) async fn merge(
    app: &Billing,
    actor: Actor,
    key: Option<String>,
    request: proto::MergeCustomersRequest,
) -> Result<proto::MergeCustomersReply, Problem> {
    let caller = Caller::staff(actor, "account.manage")?;
    caller.actor.require_step_up(app.clock.now())?;
    let call = idempotency(&caller.actor, "billing.MergeCustomers", key, request_hash(&request));
    let merge = Merge {
        from: id("account_id", &request.account_id)?,
        to: id("into_account_id", &request.into_account_id)?,
        buyer: Buyer {
            name: within("display_name", request.display_name.trim(), TEXT_MAX)?.to_owned(),
            email: within("email", request.email.trim(), TEXT_MAX)?.to_owned(),
            country: country(&request.country)?,
            locale: within("locale", &request.locale, 35)?.to_owned(),
            address: None,
        },
        reason: request.reason,
    };
    let merged = app.merge_customers(&caller.actor, caller.brand, merge, call).await?;
    let billing_address = match merged.billing_address {
        BillingAddress::None => proto::merge_customers_reply::BillingAddress::None,
        BillingAddress::Moved => proto::merge_customers_reply::BillingAddress::Moved,
        BillingAddress::Kept => proto::merge_customers_reply::BillingAddress::Kept,
    };
    let Merged { subscriptions, invoices, .. } = merged;
    Ok(proto::MergeCustomersReply { subscriptions, invoices, billing_address: billing_address.into() })
}

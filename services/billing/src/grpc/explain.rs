//! Explanations.

use ottery_kernel::Period;
use ottery_kit::grpc::{Actor, ActorKind, Problem};
use ottery_proto::billing::v1 as proto;

use super::order::quote_id;
use super::view::transfer;
use super::{Caller, convert, id, own_account};
use crate::app::Billing;
use crate::app::explain::Explanation;
use crate::domain::explain::{Figure, Step};

fn step(step: &Step) -> proto::ExplainedStep {
    proto::ExplainedStep {
        kind: step.kind.to_owned(),
        text: step.text.clone(),
        base: Some(convert::money(step.base)),
        numerator: step.share.map_or(0, |share| share.part),
        denominator: step.share.map_or(0, |share| share.whole),
        rounding: step.rounded.as_str().to_owned(),
        period_start: step.period.map(Period::start).map(convert::timestamp),
        period_end: step.period.map(Period::end).map(convert::timestamp),
        price_id: step.price.as_ref().map(|price| price.price_id.to_string()).unwrap_or_default(),
        plan_version_id: step.price.as_ref().map(|price| price.plan_version_id.to_string()).unwrap_or_default(),
        plan_name: step.price.as_ref().map(|price| price.plan.clone()).unwrap_or_default(),
        term: step.price.as_ref().map(|price| convert::term(price.term)),
        coupon: step.coupon.clone(),
        tax_rate_bp: step.tax_rate_bp,
        reference_id: step.reference.clone(),
        result: Some(convert::money(step.result)),
    }
}

fn figure(figure: &Figure) -> proto::ExplainedFigure {
    proto::ExplainedFigure {
        kind: figure.kind.as_str().to_owned(),
        name: figure.name.clone(),
        amount: Some(convert::money(figure.amount)),
        steps: figure.steps.iter().map(step).collect(),
    }
}

fn answer(found: &Explanation) -> proto::Explanation {
    proto::Explanation {
        title: found.title.clone(),
        invoice_id: found.invoice.map(|id| id.to_string()).unwrap_or_default(),
        due_at: found.at.map(convert::timestamp),
        note: found.note.clone(),
        figures: found.figures.iter().map(figure).collect(),
        postings: found.postings.iter().map(transfer).collect(),
    }
}

pub(super) async fn invoice(
    app: &Billing,
    actor: Actor,
    request: proto::ExplainInvoiceRequest,
) -> Result<proto::Explanation, Problem> {
    let caller = Caller::customer_or(actor, "invoice.read")?;
    Ok(answer(&app.explain_invoice(caller.brand, id("invoice_id", &request.invoice_id)?, caller.owner).await?))
}

pub(super) async fn subscription(
    app: &Billing,
    actor: Actor,
    request: proto::ExplainSubscriptionRequest,
) -> Result<proto::Explanation, Problem> {
    let caller = Caller::customer_or(actor, "subscription.read")?;
    let wanted = id("subscription_id", &request.subscription_id)?;
    Ok(answer(&app.explain_subscription(caller.brand, wanted, caller.owner).await?))
}

/// Whoever knows a visitor's quote may see how it came about, as whoever knows it may order it.
pub(super) async fn quote(
    app: &Billing,
    actor: Actor,
    request: proto::ExplainQuoteRequest,
) -> Result<proto::Explanation, Problem> {
    let brand = actor.brand_or_problem()?;
    let account = match actor.kind {
        ActorKind::Customer => Some(own_account(&actor)?),
        ActorKind::Anonymous | ActorKind::Staff | ActorKind::Service | ActorKind::ApiKey => None,
    };
    Ok(answer(&app.explain_quote(brand, quote_id(&request.quote_id)?, account).await?))
}

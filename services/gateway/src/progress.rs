//! How far an order has come: what the result page, the API and the live stream all show.

use ottery_kit::grpc::Code;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::{order, payment};
use ottery_proto::provisioning::v1 as provisioning;
use ottery_proto::provisioning::v1::service::Step as ServiceStep;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::services::Service;
use crate::api::view::Time;
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

/// How far a step has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not begun.
    Waiting,
    /// At work.
    Working,
    /// Done.
    Done,
    /// It did not work; something can be done about it.
    Failed,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Step {
    /// `placed`, `paid`, `created`, `ready`
    pub name: &'static str,
    /// How far it has come.
    pub state: StepState,
    /// When it was done.
    pub at: Option<Time>,
    /// A stable word about it, for example `insufficient_funds` or `panel_down`.
    pub code: Option<String>,
    /// A sentence for the customer.
    pub text: Option<String>,
}

/// How far an order has come.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Progress {
    /// `ord_…`
    pub order_id: String,
    /// In order.
    pub steps: Vec<Step>,
    /// What was bought, without its password.
    pub service: Option<Service>,
    /// Nothing more will happen by itself.
    pub is_finished: bool,
}

/// The order and what became of it on the panel.
///
/// # Errors
/// 404 for orders of others.
pub async fn read(
    state: &AppState,
    caller: &Caller,
    order_id: &str,
) -> Reply<(billing::OrderDetail, Option<provisioning::Service>)> {
    let context = caller.call();
    let asked = billing::GetOrderRequest { order_id: order_id.to_owned() };
    let detail = state.clients.billing(&context).get_order(asked).await?.into_inner();
    let is_paid = detail.order.as_ref().is_some_and(|order| order.state() == order::State::Paid);
    if !is_paid {
        return Ok((detail, None));
    }
    let asked = provisioning::GetServiceRequest { order_id: order_id.to_owned(), ..Default::default() };
    let service = match state.clients.provisioning(&context).get_service(asked).await {
        Ok(reply) => Some(reply.into_inner()),
        Err(status) if status.code() == Code::NotFound => None,
        // The order is worth showing without; the step then says that it is being worked on.
        Err(status) => {
            tracing::warn!(code = ?status.code(), "the state of a service is not known at the moment");
            None
        }
    };
    Ok((detail, service))
}

impl Progress {
    /// The steps of an order.
    #[must_use]
    pub fn of(detail: &billing::OrderDetail, service: Option<&provisioning::Service>) -> Self {
        let order = detail.order.clone().unwrap_or_default();
        let is_cancelled = order.state() == order::State::Cancelled;
        let paid = paid(&order, &detail.payments);
        let (created, ready) = delivered(paid.state, service);
        let is_finished = is_cancelled || ready.state == StepState::Done;
        let placed = Step { at: order.placed_at.map(Time::from), ..step("placed", StepState::Done) };
        Self {
            order_id: order.id,
            steps: vec![placed, paid, created, ready],
            service: service.cloned().map(Service::from),
            is_finished,
        }
    }
}

fn step(name: &'static str, state: StepState) -> Step {
    Step { name, state, at: None, code: None, text: None }
}

fn paid(order: &billing::Order, payments: &[billing::Payment]) -> Step {
    let newest = payments.iter().max_by_key(|payment| payment.created_at.map_or((0, 0), |at| (at.seconds, at.nanos)));
    match order.state() {
        order::State::Paid => Step { at: order.paid_at.map(Time::from), ..step("paid", StepState::Done) },
        order::State::Cancelled => Step { code: Some("cancelled".into()), ..step("paid", StepState::Failed) },
        order::State::UnderReview => Step { code: Some("under_review".into()), ..step("paid", StepState::Waiting) },
        order::State::AwaitingPayment | order::State::Unspecified => {
            match newest.map(|payment| (payment.state(), payment)) {
                None => step("paid", StepState::Waiting),
                Some((payment::State::Failed, payment)) => {
                    Step { code: Some(payment.failure_code.clone()), ..step("paid", StepState::Failed) }
                }
                Some((payment::State::Cancelled, _)) => {
                    Step { code: Some("cancelled".into()), ..step("paid", StepState::Failed) }
                }
                Some((payment::State::Unknown, _)) => {
                    Step { code: Some("unknown".into()), ..step("paid", StepState::Working) }
                }
                // Paid, and about to be settled.
                Some((payment::State::Succeeded, _)) => step("paid", StepState::Working),
                Some((payment::State::ActionRequired, _)) => {
                    Step { code: Some("action_required".into()), ..step("paid", StepState::Waiting) }
                }
                Some((payment::State::Pending | payment::State::Unspecified, _)) => step("paid", StepState::Waiting),
            }
        }
    }
}

fn delivered(paid: StepState, service: Option<&provisioning::Service>) -> (Step, Step) {
    let both = |created, ready| (step("created", created), step("ready", ready));
    let Some(service) = service else {
        let created = if paid == StepState::Done { StepState::Working } else { StepState::Waiting };
        return both(created, StepState::Waiting);
    };
    let (mut created, mut ready) = match service.step() {
        ServiceStep::Unspecified | ServiceStep::Placing | ServiceStep::Creating => {
            both(StepState::Working, StepState::Waiting)
        }
        // Was ready before: what happens now is a change to a line that works.
        _ if service.ready_at.is_some() => both(StepState::Done, StepState::Done),
        ServiceStep::Verifying | ServiceStep::Updating => both(StepState::Done, StepState::Working),
        ServiceStep::Waiting | ServiceStep::Unknown => both(StepState::Working, StepState::Waiting),
        ServiceStep::Ready | ServiceStep::Suspended | ServiceStep::Terminated => both(StepState::Done, StepState::Done),
        ServiceStep::Stuck => both(StepState::Failed, StepState::Waiting),
    };
    ready.at = service.ready_at.map(Time::from);
    let said = (Some(service.status_code.clone()), Some(service.status_text.clone()));
    let told = if created.state == StepState::Done { &mut ready } else { &mut created };
    (told.code, told.text) = (said.0.filter(|code| !code.is_empty()), said.1.filter(|text| !text.is_empty()));
    (created, ready)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(state: order::State, payments: Vec<payment::State>) -> billing::OrderDetail {
        billing::OrderDetail {
            order: Some(billing::Order { id: "ord_1".into(), state: state.into(), ..Default::default() }),
            payments: payments
                .into_iter()
                .map(|state| billing::Payment { state: state.into(), ..Default::default() })
                .collect(),
            ..Default::default()
        }
    }

    fn states(progress: &Progress) -> Vec<StepState> {
        progress.steps.iter().map(|step| step.state).collect()
    }

    #[test]
    fn steps_follow_payment_and_panel() {
        use StepState::{Done, Failed, Waiting, Working};
        let waiting = detail(order::State::AwaitingPayment, vec![payment::State::Pending]);
        assert_eq!(states(&Progress::of(&waiting, None)), [Done, Waiting, Waiting, Waiting]);
        let declined = detail(order::State::AwaitingPayment, vec![payment::State::Failed]);
        assert_eq!(states(&Progress::of(&declined, None)), [Done, Failed, Waiting, Waiting]);
        let paid = detail(order::State::Paid, vec![payment::State::Succeeded]);
        assert_eq!(states(&Progress::of(&paid, None)), [Done, Done, Working, Waiting]);
        for (step, expected) in [
            (ServiceStep::Creating, [Done, Done, Working, Waiting]),
            (ServiceStep::Verifying, [Done, Done, Done, Working]),
            (ServiceStep::Unknown, [Done, Done, Working, Waiting]),
            (ServiceStep::Stuck, [Done, Done, Failed, Waiting]),
            (ServiceStep::Ready, [Done, Done, Done, Done]),
        ] {
            let service = provisioning::Service { step: step.into(), ..Default::default() };
            let progress = Progress::of(&paid, Some(&service));
            assert_eq!(states(&progress), expected, "{step:?}");
            assert_eq!(progress.is_finished, step == ServiceStep::Ready);
        }
    }
}

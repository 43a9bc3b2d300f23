//! Answers `ottery.billing.v1.TimeMachineService`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ottery_kit::grpc::{Problem, actor, idempotency_key};
use ottery_kit::idempotency::request_hash;
use ottery_proto::billing::v1 as proto;
use ottery_proto::billing::v1::charge_assumption::Charges;
use ottery_proto::billing::v1::simulate_request::Decline;
use ottery_proto::billing::v1::time_machine_scenario as scenario;
use ottery_proto::billing::v1::time_machine_service_server::TimeMachineService;
use ottery_proto::common::v1::{PageReply, PageRequest};
use tonic::{Request, Response, Status};

use super::dunning::{campaign, campaign_from, instant};
use super::order::idempotency;
use super::{Caller, convert, id, next_page, page};
use crate::app::Billing;
use crate::domain::rules::UnpaidAtEnd;
use crate::domain::time_machine::ask::Ask;
use crate::domain::time_machine::entry::{Entry, Kind};
use crate::domain::time_machine::run::{Difference, Run, RunId, Side, State, Total};
use crate::domain::time_machine::{Assumption, Class, NewPrice, Scenario};
use crate::store::Page;
use crate::store::time_machine_run::After;

/// A step of nobody's choice.
const STEP_MINUTES: u32 = 60;

/// The gRPC service.
#[derive(Clone, Debug)]
pub struct TimeMachineGrpc {
    /// The use cases.
    pub app: Billing,
}

fn class_from(field: &str, sent: Decline) -> Result<Class, Problem> {
    match sent {
        Decline::Soft => Ok(Class::Soft),
        Decline::Hard => Ok(Class::Hard),
        Decline::Authentication => Ok(Class::Action),
        Decline::Unspecified => {
            let message = format!("{field}: say how charges are declined: soft, hard or authentication");
            Err(Problem::invalid(field, "DECLINE_MISSING", message))
        }
    }
}

fn class(class: Class) -> Decline {
    match class {
        Class::Soft => Decline::Soft,
        Class::Hard => Decline::Hard,
        Class::Action => Decline::Authentication,
    }
}

fn assumption_from(side: &str, sent: Option<proto::ChargeAssumption>) -> Result<Assumption, Problem> {
    let field = format!("{side}.assumption");
    let sent = sent.unwrap_or_default();
    let declined = || class_from(&format!("{field}.decline"), sent.decline());
    match sent.charges() {
        Charges::Succeed => Ok(Assumption::Succeed),
        Charges::Decline => Ok(Assumption::Decline { class: declined()? }),
        Charges::AsBefore => Ok(Assumption::AsBefore),
        Charges::Share => Ok(Assumption::Share { declined_bp: sent.declined_bp, class: declined()?, seed: sent.seed }),
        Charges::Unspecified => {
            let message = format!("{field}.charges: say how charges end: succeed, decline, as_before or share");
            Err(Problem::invalid(format!("{field}.charges"), "ASSUMPTION_MISSING", message))
        }
    }
}

fn assumption(assumption: Assumption) -> proto::ChargeAssumption {
    let given = |charges: Charges| proto::ChargeAssumption { charges: charges.into(), ..Default::default() };
    match assumption {
        Assumption::Succeed => given(Charges::Succeed),
        Assumption::Decline { class: of } => {
            proto::ChargeAssumption { decline: class(of).into(), ..given(Charges::Decline) }
        }
        Assumption::AsBefore => given(Charges::AsBefore),
        Assumption::Share { declined_bp, class: of, seed } => {
            proto::ChargeAssumption { decline: class(of).into(), declined_bp, seed, ..given(Charges::Share) }
        }
    }
}

fn scenario_from(side: &str, sent: proto::TimeMachineScenario) -> Result<Scenario, Problem> {
    let unpaid_at_end = match sent.unpaid_at_end() {
        scenario::UnpaidAtEnd::Unspecified => None,
        scenario::UnpaidAtEnd::Void => Some(UnpaidAtEnd::Void),
        scenario::UnpaidAtEnd::WriteOff => Some(UnpaidAtEnd::WriteOff),
    };
    let mut prices = Vec::with_capacity(sent.prices.len());
    for (n, price) in sent.prices.iter().enumerate() {
        prices.push(NewPrice {
            price: id(&format!("{side}.prices[{n}].price_id"), &price.price_id)?,
            amount_minor: price.amount_minor,
            notice_days: price.notice_days,
        });
    }
    Ok(Scenario {
        assumption: assumption_from(side, sent.assumption)?,
        campaign: sent.campaign.map(campaign_from).transpose().map_err(|problem| inside(side, problem))?,
        grace_days: sent.grace_days,
        terminate_after_days: sent.terminate_after_days,
        renewal_lead_hours: sent.renewal_lead_hours,
        reminder_hours: sent.reminder_hours.map(|sent| sent.hours),
        unpaid_at_end,
        prices,
    })
}

/// A problem with a field of one of the sides.
fn inside(side: &str, problem: Problem) -> Problem {
    let field = problem.field.clone().map(|field| format!("{side}.{field}"));
    field.map_or(problem.clone(), |field| problem.on_field(field))
}

fn scenario(given: &Scenario) -> proto::TimeMachineScenario {
    let unpaid_at_end = match given.unpaid_at_end {
        None => scenario::UnpaidAtEnd::Unspecified,
        Some(UnpaidAtEnd::Void) => scenario::UnpaidAtEnd::Void,
        Some(UnpaidAtEnd::WriteOff) => scenario::UnpaidAtEnd::WriteOff,
    };
    let price = |new: &NewPrice| scenario::NewPrice {
        price_id: new.price.to_string(),
        amount_minor: new.amount_minor,
        notice_days: new.notice_days,
    };
    proto::TimeMachineScenario {
        assumption: Some(assumption(given.assumption)),
        campaign: given.campaign.as_ref().map(campaign),
        grace_days: given.grace_days,
        terminate_after_days: given.terminate_after_days,
        renewal_lead_hours: given.renewal_lead_hours,
        reminder_hours: given.reminder_hours.clone().map(|hours| scenario::Hours { hours }),
        unpaid_at_end: unpaid_at_end.into(),
        prices: given.prices.iter().map(price).collect(),
    }
}

fn ask_from(sent: proto::AskTimeMachineRequest) -> Result<Ask, Problem> {
    let missing = || Problem::invalid("base", "MISSING", "base: say under which assumption, and what is changed");
    Ok(Ask {
        to: instant("to", sent.to.as_ref())?,
        step_minutes: if sent.step_minutes == 0 { STEP_MINUTES } else { sent.step_minutes },
        base: scenario_from("base", sent.base.ok_or_else(missing)?)?,
        other: sent.other.map(|other| scenario_from("other", other)).transpose()?,
    })
}

fn side(side: Side) -> proto::TimeMachineSide {
    match side {
        Side::Base => proto::TimeMachineSide::Base,
        Side::Other => proto::TimeMachineSide::Other,
    }
}

fn side_from(sent: proto::TimeMachineSide) -> Side {
    match sent {
        proto::TimeMachineSide::Unspecified | proto::TimeMachineSide::Base => Side::Base,
        proto::TimeMachineSide::Other => Side::Other,
    }
}

fn kind(kind: Kind) -> proto::TimeMachineKind {
    match kind {
        Kind::Invoice => proto::TimeMachineKind::Invoice,
        Kind::Charge => proto::TimeMachineKind::Charge,
        Kind::Suspension => proto::TimeMachineKind::Suspension,
        Kind::End => proto::TimeMachineKind::End,
        Kind::Mail => proto::TimeMachineKind::Mail,
        Kind::Task => proto::TimeMachineKind::Task,
    }
}

fn kind_from(sent: proto::TimeMachineKind) -> Option<Kind> {
    Kind::ALL.into_iter().find(|known| kind(*known) == sent)
}

fn total(total: &Total) -> proto::TimeMachineTotal {
    proto::TimeMachineTotal {
        side: side(total.side).into(),
        kind: kind(total.kind).into(),
        outcome: total.outcome.clone(),
        count: total.count,
        amount: total.amount.map(convert::money),
    }
}

fn run(run: &Run, totals: &[Total]) -> proto::TimeMachineRun {
    use proto::time_machine_run::State as P;
    let mut shown = proto::TimeMachineRun {
        id: run.id.to_string(),
        to: Some(convert::timestamp(run.ask.to)),
        step_minutes: run.ask.step_minutes,
        base: Some(scenario(&run.ask.base)),
        other: run.ask.other.as_ref().map(scenario),
        requested_by: run.requested_by.clone(),
        requested_at: Some(convert::timestamp(run.requested_at)),
        started_at: run.started_at.map(convert::timestamp),
        finished_at: run.finished_at.map(convert::timestamp),
        begins: run.begins.map(convert::timestamp),
        totals: totals.iter().map(total).collect(),
        ..proto::TimeMachineRun::default()
    };
    match &run.state {
        State::Queued => shown.set_state(P::Queued),
        State::Running { side: at, reached } => {
            shown.set_state(P::Running);
            shown.set_side(side(*at));
            shown.reached = reached.map(convert::timestamp);
        }
        State::Done => shown.set_state(P::Done),
        State::Failed(failure) => {
            shown.set_state(P::Failed);
            shown.failure_code.clone_from(&failure.code);
            shown.failure.clone_from(&failure.message);
        }
    }
    shown
}

fn entry(entry: &Entry) -> proto::TimeMachineEntry {
    proto::TimeMachineEntry {
        kind: kind(entry.kind).into(),
        key: entry.key.clone(),
        at: Some(convert::timestamp(entry.at)),
        subscription_id: entry.subscription.map(|id| id.to_string()).unwrap_or_default(),
        account_id: entry.account.map(|id| id.to_string()).unwrap_or_default(),
        amount: entry.amount.map(convert::money),
        outcome: entry.outcome.clone(),
        label: entry.label.clone(),
    }
}

fn run_id(text: &str) -> Result<RunId, Problem> {
    text.parse().map_err(|error| Problem::invalid("run_id", "ID_INVALID", format!("run_id: {error}")))
}

/// Rows of a page, and the two parts of the place where it goes on: `<first>.<second>` in base 64.
fn place(request: Option<&PageRequest>) -> Result<(i64, Option<(String, String)>), Problem> {
    let Page { limit, .. } =
        page(Some(&PageRequest { cursor: String::new(), ..request.cloned().unwrap_or_default() }))?;
    let cursor = request.map(|request| request.cursor.as_str()).unwrap_or_default();
    if cursor.is_empty() {
        return Ok((limit, None));
    }
    let decoded = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let parts = decoded.as_deref().and_then(|text| text.split_once('.'));
    let (first, second) = parts.ok_or_else(foreign_cursor)?;
    Ok((limit, Some((first.to_owned(), second.to_owned()))))
}

fn foreign_cursor() -> Problem {
    Problem::invalid("page.cursor", "CURSOR_INVALID", "page.cursor is none of ours; start from the first page")
}

fn further(limit: i64, count: usize, last: Option<(String, String)>) -> Option<PageReply> {
    let is_full = i64::try_from(count).is_ok_and(|count| count == limit);
    let next_cursor =
        last.filter(|_| is_full).map(|(first, second)| URL_SAFE_NO_PAD.encode(format!("{first}.{second}")));
    Some(PageReply { next_cursor: next_cursor.unwrap_or_default() })
}

#[tonic::async_trait]
impl TimeMachineService for TimeMachineGrpc {
    async fn ask_time_machine(
        &self,
        request: Request<proto::AskTimeMachineRequest>,
    ) -> Result<Response<proto::TimeMachineRun>, Status> {
        let caller = Caller::staff(actor(&request)?, "brand.update")?;
        let key = idempotency_key(&request)?;
        let request = request.into_inner();
        let call = idempotency(&caller.actor, "billing.AskTimeMachine", key, request_hash(&request));
        let made = self.app.ask_time_machine(&caller.actor, caller.brand, ask_from(request)?, call).await?;
        Ok(Response::new(run(&made, &[])))
    }

    async fn get_time_machine_run(
        &self,
        request: Request<proto::GetTimeMachineRunRequest>,
    ) -> Result<Response<proto::TimeMachineRun>, Status> {
        let caller = Caller::staff(actor(&request)?, "invoice.read")?;
        let (found, totals) = self.app.time_machine_run(caller.brand, run_id(&request.into_inner().run_id)?).await?;
        Ok(Response::new(run(&found, &totals)))
    }

    async fn list_time_machine_runs(
        &self,
        request: Request<proto::ListTimeMachineRunsRequest>,
    ) -> Result<Response<proto::ListTimeMachineRunsReply>, Status> {
        let caller = Caller::staff(actor(&request)?, "invoice.read")?;
        let page = page(request.into_inner().page.as_ref())?;
        let runs = self.app.time_machine_runs(caller.brand, page).await?;
        Ok(Response::new(proto::ListTimeMachineRunsReply {
            page: next_page(page, runs.len(), runs.last().map(|run| run.id.as_uuid())),
            runs: runs.iter().map(|found| run(found, &[])).collect(),
        }))
    }

    async fn list_time_machine_entries(
        &self,
        request: Request<proto::ListTimeMachineEntriesRequest>,
    ) -> Result<Response<proto::ListTimeMachineEntriesReply>, Status> {
        let caller = Caller::staff(actor(&request)?, "invoice.read")?;
        let request = request.into_inner();
        let (limit, place) = place(request.page.as_ref())?;
        let after = place
            .map(|(at, key)| {
                let at: i64 = at.parse().map_err(|_| foreign_cursor())?;
                let at: DateTime<Utc> = DateTime::from_timestamp_micros(at).ok_or_else(foreign_cursor)?;
                Ok::<After, Problem>(After { at, key })
            })
            .transpose()?;
        let what = (side_from(request.side()), kind_from(request.kind()));
        let id = run_id(&request.run_id)?;
        let found = self.app.time_machine_entries(caller.brand, id, what, after.as_ref(), limit).await?;
        let last = found.last().map(|entry| (entry.at.timestamp_micros().to_string(), entry.key.clone()));
        Ok(Response::new(proto::ListTimeMachineEntriesReply {
            page: further(limit, found.len(), last),
            entries: found.iter().map(entry).collect(),
        }))
    }

    async fn list_time_machine_differences(
        &self,
        request: Request<proto::ListTimeMachineDifferencesRequest>,
    ) -> Result<Response<proto::ListTimeMachineDifferencesReply>, Status> {
        let caller = Caller::staff(actor(&request)?, "invoice.read")?;
        let request = request.into_inner();
        let (limit, place) = place(request.page.as_ref())?;
        let after = place
            .map(|(kind, key)| Ok::<_, Problem>((Kind::from_text(&kind).ok_or_else(foreign_cursor)?, key)))
            .transpose()?;
        let after = after.as_ref().map(|(kind, key)| (*kind, key.as_str()));
        let id = run_id(&request.run_id)?;
        let found =
            self.app.time_machine_differences(caller.brand, id, kind_from(request.kind()), after, limit).await?;
        let either = |difference: &Difference| difference.base.clone().or_else(|| difference.other.clone());
        let last = found.last().and_then(either).map(|entry| (entry.kind.as_str().to_owned(), entry.key));
        let difference = |difference: &Difference| proto::list_time_machine_differences_reply::Difference {
            base: difference.base.as_ref().map(entry),
            other: difference.other.as_ref().map(entry),
        };
        Ok(Response::new(proto::ListTimeMachineDifferencesReply {
            page: further(limit, found.len(), last),
            differences: found.iter().map(difference).collect(),
        }))
    }
}

//! The time machine: what would happen to a brand's book until some day, and the difference between two settings.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use ottery_proto::billing::v1 as billing;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::dunning::{DunningCampaign, DunningDecline};
use super::view::{Money, Page, PageQuery, Show, Time, page, view, words};
use crate::idempotency::IdempotencyKey;
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

words! {
    /// How charges of saved methods end: each succeeds; each is declined; each method does what it did last (one that was
    /// never charged succeeds); or a share of the methods is declined.
    ChargesAssumed from billing::charge_assumption::Charges { Succeed, Decline, AsBefore, Share }
}

words! {
    /// Where a run stands.
    TimeMachineState from billing::time_machine_run::State { Queued, Running, Done, Failed }
}

words! {
    /// Which of the two settings.
    TimeMachineSide from billing::TimeMachineSide { Base, Other }
}

words! {
    /// What happens: an invoice is issued, a saved method charged, a subscription suspended or ended, a mail sent, a task opened.
    TimeMachineKind from billing::TimeMachineKind { Invoice, Charge, Suspension, End, Mail, Task }
}

words! {
    /// What becomes of an unpaid renewal of a subscription that ends.
    UnpaidAtEndTried from billing::time_machine_scenario::UnpaidAtEnd { Void, WriteOff }
}

/// How charges of saved methods end. Nobody pays by hand.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Assumption {
    /// How.
    pub charges: ChargesAssumed,
    /// `decline` and `share`: what the refusal means for the next try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline: Option<DunningDecline>,
    /// `share`: basis points of the methods, 0 to 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declined_bp: Option<u32>,
    /// `share`: the same methods for the same number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

impl From<Assumption> for billing::ChargeAssumption {
    fn from(given: Assumption) -> Self {
        Self {
            charges: given.charges.into(),
            decline: given.decline.map(Into::into).unwrap_or_default(),
            declined_bp: given.declined_bp.unwrap_or_default(),
            seed: given.seed.unwrap_or_default(),
        }
    }
}

impl From<billing::ChargeAssumption> for Assumption {
    fn from(given: billing::ChargeAssumption) -> Self {
        use billing::charge_assumption::Charges;
        let is_share = given.charges() == Charges::Share;
        let is_declined = is_share || given.charges() == Charges::Decline;
        Self {
            charges: given.charges.show(),
            decline: is_declined.then(|| given.decline.show()),
            declined_bp: is_share.then_some(given.declined_bp),
            seed: is_share.then_some(given.seed),
        }
    }
}

/// A new price for everybody who has one of the same plan, term and currency.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceTried {
    /// A price somebody has: says which plan, term and currency.
    pub price_id: String,
    /// What a term costs from then on, in minor units of the same currency.
    pub amount_minor: i64,
    /// Days between the announcement and the first renewal it can apply to, 7 to 365.
    pub notice_days: u32,
}

/// The assumption, and what is changed in the copy before time moves, as if it were saved then. What is left out stays as it is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// How charges end.
    pub assumption: Assumption,
    /// A dunning campaign; counts for invoices issued from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<DunningCampaign>,
    /// The brand's grace, 0 to 365; counts without a campaign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_days: Option<u32>,
    /// From suspension to the end, 0 to 365; counts without a campaign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminate_after_days: Option<u32>,
    /// How long before the end of a period its renewal is issued, 1 to 1440.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal_lead_hours: Option<u32>,
    /// Reminders relative to due, earliest first, -720 to 720, at most 10; they count without a campaign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reminder_hours: Option<Vec<i32>>,
    /// What becomes of an unpaid renewal of a subscription that ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpaid_at_end: Option<UnpaidAtEndTried>,
    /// Prices that are announced then, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<PriceTried>,
}

impl From<Scenario> for billing::TimeMachineScenario {
    fn from(given: Scenario) -> Self {
        let price = |price: PriceTried| billing::time_machine_scenario::NewPrice {
            price_id: price.price_id,
            amount_minor: price.amount_minor,
            notice_days: price.notice_days,
        };
        Self {
            assumption: Some(given.assumption.into()),
            campaign: given.campaign.map(Into::into),
            grace_days: given.grace_days,
            terminate_after_days: given.terminate_after_days,
            renewal_lead_hours: given.renewal_lead_hours,
            reminder_hours: given.reminder_hours.map(|hours| billing::time_machine_scenario::Hours { hours }),
            unpaid_at_end: given.unpaid_at_end.map(Into::into).unwrap_or_default(),
            prices: given.prices.into_iter().map(price).collect(),
        }
    }
}

impl From<billing::TimeMachineScenario> for Scenario {
    fn from(given: billing::TimeMachineScenario) -> Self {
        use billing::time_machine_scenario::UnpaidAtEnd;
        let price = |price: billing::time_machine_scenario::NewPrice| PriceTried {
            price_id: price.price_id,
            amount_minor: price.amount_minor,
            notice_days: price.notice_days,
        };
        let has_rule = given.unpaid_at_end() != UnpaidAtEnd::Unspecified;
        Self {
            assumption: given.assumption.unwrap_or_default().into(),
            campaign: given.campaign.map(Into::into),
            grace_days: given.grace_days,
            terminate_after_days: given.terminate_after_days,
            renewal_lead_hours: given.renewal_lead_hours,
            reminder_hours: given.reminder_hours.map(|given| given.hours),
            unpaid_at_end: has_rule.then(|| given.unpaid_at_end.show()),
            prices: given.prices.into_iter().map(price).collect(),
        }
    }
}

/// Where to, how, and under which settings.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeMachineInput {
    /// The last instant that is lived through: after the brand's now, at most 400 days ahead.
    pub to: Time,
    /// The clock moves by this much, and what is due in between happens at the end of it; 5 to 1440, 60 when left out.
    #[serde(default)]
    pub step_minutes: u32,
    /// The first settings.
    pub base: Scenario,
    /// The second ones, to be held against the first.
    #[serde(default)]
    pub other: Option<Scenario>,
}

view! {
    /// How many things of a kind came out the same way.
    TimeMachineTotal from billing::TimeMachineTotal {
        side: TimeMachineSide,
        kind: TimeMachineKind,
        /// The invoice's state at the end, a charge's outcome, the template of a mail, why something was suspended or ended.
        outcome: String,
        count: u64,
        /// The sum; null for what is about no money.
        amount: Option<Money>,
    }
}

view! {
    /// A run of the time machine.
    TimeMachineRun from billing::TimeMachineRun {
        /// `tmr_…`
        id: String,
        state: TimeMachineState,
        to: Option<Time>,
        step_minutes: u32,
        base: Option<Scenario>,
        other: Option<Scenario>,
        requested_by: String,
        requested_at: Option<Time>,
        started_at: Option<Time>,
        finished_at: Option<Time>,
        /// The brand's time when the book was copied.
        begins: Option<Time>,
        /// While it runs: how far it is, by the brand's clock.
        reached: Option<Time>,
        /// Of a failed run: a stable code.
        failure_code: Option<String>,
        /// Of a failed run: what happened and what to do.
        failure: Option<String>,
        /// Of a run that is done; empty in lists.
        totals: Vec<TimeMachineTotal>,
    }
}

view! {
    /// One thing that happens.
    TimeMachineEntry from billing::TimeMachineEntry {
        kind: TimeMachineKind,
        /// The same for the same thing under both settings.
        key: String,
        /// By the brand's clock.
        at: Option<Time>,
        subscription_id: Option<String>,
        account_id: Option<String>,
        amount: Option<Money>,
        /// The invoice's state at the end, a charge's outcome, the template of a mail, why something was suspended or ended.
        outcome: String,
        /// The plan, the method.
        label: Option<String>,
    }
}

view! {
    /// A thing that is not the same under both settings.
    TimeMachineDifference from billing::list_time_machine_differences_reply::Difference {
        /// Null when it happens under the second settings only.
        base: Option<TimeMachineEntry>,
        /// Null when it happens under the first settings only.
        other: Option<TimeMachineEntry>,
    }
}

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EntriesQuery {
    /// Under which settings; the first ones when left out.
    side: Option<TimeMachineSide>,
    /// Of one kind only.
    kind: Option<TimeMachineKind>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items on the page, 1 to 100; 50 when not given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// Which differences.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DifferencesQuery {
    /// Of one kind only.
    kind: Option<TimeMachineKind>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items on the page, 1 to 100; 50 when not given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, ask))
        .routes(routes!(read))
        .routes(routes!(entries))
        .routes(routes!(differences))
}

/// List runs of the time machine.
///
/// Newest first, as long as results are kept.
#[utoipa::path(get, path = "/time-machine", tag = "time machine", operation_id = "list_time_machine_runs", params(PageQuery), responses((status = 200, body = Page<TimeMachineRun>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Reply<Json<Page<TimeMachineRun>>> {
    let request = billing::ListTimeMachineRunsRequest { page: query.request()? };
    let reply = state.clients.time_machine(&caller.call()).list_time_machine_runs(request).await?.into_inner();
    Ok(Json(Page::of(reply.runs, reply.page)))
}

/// Ask the time machine.
///
/// The brand's book is copied and its clock is moved until `to`; the answer is a run that waits for its turn. Nothing of the
/// brand changes, and nobody is charged or told. 400 names the field, the rule and what would be accepted.
#[utoipa::path(post, path = "/time-machine", tag = "time machine", operation_id = "ask_time_machine", request_body = TimeMachineInput, responses((status = 202, body = TimeMachineRun)))]
async fn ask(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Json(input): Json<TimeMachineInput>,
) -> Reply<(StatusCode, Json<TimeMachineRun>)> {
    let request = billing::AskTimeMachineRequest {
        to: Some(input.to.into()),
        step_minutes: input.step_minutes,
        base: Some(input.base.into()),
        other: input.other.map(Into::into),
    };
    let call = caller.call().idempotency_key(key.0);
    let run = state.clients.time_machine(&call).ask_time_machine(request).await?.into_inner();
    Ok((StatusCode::ACCEPTED, Json(run.into())))
}

/// Get a run of the time machine.
#[utoipa::path(get, path = "/time-machine/{id}", tag = "time machine", operation_id = "get_time_machine_run", params(("id" = String, Path)), responses((status = 200, body = TimeMachineRun)))]
async fn read(
    State(state): State<AppState>,
    caller: Caller,
    Path(run_id): Path<String>,
) -> Reply<Json<TimeMachineRun>> {
    let request = billing::GetTimeMachineRunRequest { run_id };
    Ok(Json(state.clients.time_machine(&caller.call()).get_time_machine_run(request).await?.into_inner().into()))
}

/// List what happens in a run.
///
/// In order of time. 409 `time_machine_not_done` while it is not done.
#[utoipa::path(get, path = "/time-machine/{id}/entries", tag = "time machine", operation_id = "list_time_machine_entries", params(("id" = String, Path), EntriesQuery), responses((status = 200, body = Page<TimeMachineEntry>)))]
async fn entries(
    State(state): State<AppState>,
    caller: Caller,
    Path(run_id): Path<String>,
    Query(query): Query<EntriesQuery>,
) -> Reply<Json<Page<TimeMachineEntry>>> {
    let request = billing::ListTimeMachineEntriesRequest {
        run_id,
        side: query.side.map(Into::into).unwrap_or_default(),
        kind: query.kind.map(Into::into).unwrap_or_default(),
        page: page(query.cursor, query.limit)?,
    };
    let reply = state.clients.time_machine(&caller.call()).list_time_machine_entries(request).await?.into_inner();
    Ok(Json(Page::of(reply.entries, reply.page)))
}

/// List what is not the same under both settings.
///
/// What happens under one of them only, or at another time, over another amount or with another outcome.
#[utoipa::path(get, path = "/time-machine/{id}/differences", tag = "time machine", operation_id = "list_time_machine_differences", params(("id" = String, Path), DifferencesQuery), responses((status = 200, body = Page<TimeMachineDifference>)))]
async fn differences(
    State(state): State<AppState>,
    caller: Caller,
    Path(run_id): Path<String>,
    Query(query): Query<DifferencesQuery>,
) -> Reply<Json<Page<TimeMachineDifference>>> {
    let request = billing::ListTimeMachineDifferencesRequest {
        run_id,
        kind: query.kind.map(Into::into).unwrap_or_default(),
        page: page(query.cursor, query.limit)?,
    };
    let reply = state.clients.time_machine(&caller.call()).list_time_machine_differences(request).await?.into_inner();
    Ok(Json(Page::of(reply.differences, reply.page)))
}

//! What a brand does about invoices nobody pays, and who is not suspended.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use ottery_proto::billing::v1 as billing;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::view::{DryRun, Money, PageQuery, Show as _, Time, page, view, words};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

words! {
    /// How a customer is reached: by mail, or by a notice in their account that is there until it is paid or dismissed.
    DunningChannel from billing::campaign::Channel { Mail, InApp }
}

impl From<i32> for DunningChannel {
    fn from(word: i32) -> Self {
        word.show()
    }
}

words! {
    /// How every charge of a simulation ends: it may work later, it never will, or the customer has to confirm.
    DunningDecline from billing::simulate_request::Decline { Soft, Hard, Authentication }
}

words! {
    /// What happens.
    DunningWhat from billing::simulate_reply::What {
        Charge,
        ChargeOtherMethod,
        /// The charge is refused, as was assumed.
        Declined,
        Remind,
        PastDue,
        GraceProlonged,
        Suspend,
        End,
    }
}

words! {
    /// What is decided about suspensions that were stopped: they happen, or they wait.
    HeldDecision from billing::decide_held_suspensions_request::Decision { Suspend, Spare }
}

/// One time somebody is reminded.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DunningContact {
    /// Hours after the invoice is due, -720 to 2160; negative is before.
    pub hours: i32,
    /// How.
    pub channels: Vec<DunningChannel>,
}

/// Local hours of the customer.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DunningWindow {
    /// 0 to 23.
    pub from_hour: u32,
    /// At least four hours later, at most 24.
    pub to_hour: u32,
}

/// How long buyers of a plan are served and kept.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DunningPlan {
    /// `pln_…`
    pub plan_id: String,
    /// From due to suspension.
    pub grace_days: u32,
    /// From suspension to the end.
    pub terminate_after_days: u32,
}

/// How many suspensions an hour are believed: so many always, and a share of the live subscriptions, whichever is more.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DunningHalt {
    /// 1 to 100000.
    pub count: u32,
    /// 1 to 100.
    pub share_percent: u32,
}

/// A campaign.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DunningCampaign {
    /// Earliest first, at most 12.
    pub contacts: Vec<DunningContact>,
    /// Hours after due at which the saved method is charged, at most 8, six hours apart; all but the first follow a soft decline.
    pub charge_hours: Vec<u32>,
    /// Charge another saved method after a decline that no retry can change.
    pub tries_other_method: bool,
    /// How long everything waits for a customer who has to confirm, 0 to 168.
    pub confirm_pause_hours: u32,
    /// Least hours between two contacts of a customer, 20 to 168.
    pub cooldown_hours: u32,
    /// When customers are reminded, charged again, suspended and ended; at any hour when left out.
    #[serde(default)]
    pub window: Option<DunningWindow>,
    /// From due to suspension, 0 to 60.
    pub grace_days: u32,
    /// From suspension to the end, 1 to 365.
    pub terminate_after_days: u32,
    /// Plans with a patience of their own.
    #[serde(default)]
    pub plans: Vec<DunningPlan>,
    /// Past this nobody is suspended until staff decide.
    pub halt: DunningHalt,
}

impl From<billing::Campaign> for DunningCampaign {
    fn from(given: billing::Campaign) -> Self {
        let halt = given.halt.unwrap_or_default();
        let contact = |contact: billing::campaign::Contact| DunningContact {
            hours: contact.hours,
            channels: contact.channels.into_iter().map(|channel| channel.show()).collect(),
        };
        let plan = |plan: billing::campaign::PlanPatience| DunningPlan {
            plan_id: plan.plan_id,
            grace_days: plan.grace_days,
            terminate_after_days: plan.terminate_after_days,
        };
        Self {
            contacts: given.contacts.into_iter().map(contact).collect(),
            charge_hours: given.charge_hours,
            tries_other_method: given.tries_other_method,
            confirm_pause_hours: given.confirm_pause_hours,
            cooldown_hours: given.cooldown_hours,
            window: given.window.map(|window| DunningWindow { from_hour: window.from_hour, to_hour: window.to_hour }),
            grace_days: given.grace_days,
            terminate_after_days: given.terminate_after_days,
            plans: given.plans.into_iter().map(plan).collect(),
            halt: DunningHalt { count: halt.count, share_percent: halt.share_percent },
        }
    }
}

impl From<DunningCampaign> for billing::Campaign {
    fn from(given: DunningCampaign) -> Self {
        let contact = |contact: DunningContact| billing::campaign::Contact {
            hours: contact.hours,
            channels: contact.channels.into_iter().map(Into::into).collect(),
        };
        let plan = |plan: DunningPlan| billing::campaign::PlanPatience {
            plan_id: plan.plan_id,
            grace_days: plan.grace_days,
            terminate_after_days: plan.terminate_after_days,
        };
        Self {
            contacts: given.contacts.into_iter().map(contact).collect(),
            charge_hours: given.charge_hours,
            tries_other_method: given.tries_other_method,
            confirm_pause_hours: given.confirm_pause_hours,
            cooldown_hours: given.cooldown_hours,
            window: given
                .window
                .map(|window| billing::campaign::Window { from_hour: window.from_hour, to_hour: window.to_hour }),
            grace_days: given.grace_days,
            terminate_after_days: given.terminate_after_days,
            plans: given.plans.into_iter().map(plan).collect(),
            halt: Some(billing::campaign::Halt { count: given.halt.count, share_percent: given.halt.share_percent }),
        }
    }
}

view! {
    /// The campaign new invoices get; version 0 is what the brand's settings amount to.
    SavedDunning from billing::SavedCampaign {
        version: u32,
        campaign: Option<DunningCampaign>,
        saved_by: Option<String>,
        created_at: Option<Time>,
    }
}

/// A new version, for invoices issued from now on; what is being dunned keeps its own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DunningInput {
    /// What shall happen.
    pub campaign: DunningCampaign,
    /// The version that was read; 0 when the brand has none of its own.
    pub version: u32,
}

/// A made-up invoice.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DunningSample {
    /// Now when left out.
    #[serde(default)]
    pub due_at: Option<Time>,
    /// A plan with a patience of its own, perhaps.
    #[serde(default)]
    pub plan_id: String,
    /// Saved methods of the customer.
    #[serde(default)]
    pub methods: u32,
}

/// What is simulated: an open invoice from now on, or a made-up one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulateInput {
    /// `inv_…`; the sample when left out.
    #[serde(default)]
    pub invoice_id: String,
    /// A made-up invoice.
    #[serde(default)]
    pub sample: DunningSample,
    /// Tried instead of the one that counts.
    #[serde(default)]
    pub campaign: Option<DunningCampaign>,
    /// How every charge ends.
    pub decline: DunningDecline,
}

view! {
    /// One thing that happens.
    DunningMoment from billing::simulate_reply::Moment {
        at: Option<Time>,
        what: DunningWhat,
        /// Whether the customer gets a mail.
        told: bool,
        /// Of a reminder: which of the contacts, counted from 1; 0 otherwise.
        step: u32,
        /// Of a grace: until when.
        until: Option<Time>,
        /// Of a decline: by how much everything waits.
        pause_hours: u32,
        /// Of a reminder: how the customer hears of it.
        channels: Vec<DunningChannel>,
    }
}

view! {
    /// What happens to an invoice nobody pays: the very steps the scheduler takes.
    DunningTimeline from billing::SimulateReply {
        due_at: Option<Time>,
        moments: Vec<DunningMoment>,
        /// Zone whose hours count.
        time_zone: String,
    }
}

view! {
    /// Neither suspended nor ended for not paying before an instant.
    SuspensionHold from billing::SuspensionHold {
        subscription_id: String,
        until: Option<Time>,
        reason: String,
        held_by: String,
    }
}

/// Until when, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SuspensionHoldInput {
    /// Within a year.
    pub until: Time,
    /// Kept in the audit trail.
    pub reason: String,
}

view! {
    /// A subscription that would be suspended or ended.
    HeldSuspension from billing::list_held_suspensions_reply::Row {
        subscription_id: String,
        account_id: String,
        plan_name: String,
        would_end: bool,
        invoice_id: String,
        owed: Option<Money>,
        due_at: Option<Time>,
        held_at: Option<Time>,
    }
}

/// Whose suspensions were stopped.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeldSuspensions {
    /// The oldest subscription first.
    pub items: Vec<HeldSuspension>,
    /// Ask with this cursor for the next page.
    pub next_cursor: Option<String>,
    /// Since when; null when nothing is stopped.
    pub halted_at: Option<Time>,
    /// A decision names it.
    pub as_of: Option<Time>,
}

/// What is decided about everybody on the list.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeldDecisionInput {
    /// `as_of` of the list that was seen.
    pub as_of: Time,
    /// What.
    pub decision: HeldDecision,
    /// `spare`: until when.
    #[serde(default)]
    pub until: Option<Time>,
    /// Kept in the audit trail.
    pub reason: String,
}

/// About how many was decided.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeldDecided {
    /// Subscriptions.
    pub decided: u32,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(read, save))
        .routes(routes!(simulate))
        .routes(routes!(held))
        .routes(routes!(decide))
        .routes(routes!(read_hold, hold, lift))
}

/// Get the dunning campaign.
#[utoipa::path(get, path = "/dunning", tag = "dunning", operation_id = "get_dunning", responses((status = 200, body = SavedDunning)))]
async fn read(State(state): State<AppState>, caller: Caller) -> Reply<Json<SavedDunning>> {
    let request = billing::GetCampaignRequest {};
    Ok(Json(state.clients.dunning(&caller.call()).get_campaign(request).await?.into_inner().into()))
}

/// Save a dunning campaign.
///
/// 400 names field and rule, and what would be accepted. 409 `version_conflict` when somebody else saved one meanwhile.
#[utoipa::path(put, path = "/dunning", tag = "dunning", operation_id = "save_dunning", params(DryRun), request_body = DunningInput, responses((status = 200, body = SavedDunning)))]
async fn save(
    State(state): State<AppState>,
    caller: Caller,
    Query(mode): Query<DryRun>,
    Json(input): Json<DunningInput>,
) -> Reply<Json<SavedDunning>> {
    let request = billing::PutCampaignRequest {
        campaign: Some(input.campaign.into()),
        expected_version: input.version,
        dry_run: mode.dry_run,
    };
    Ok(Json(state.clients.dunning(&caller.call()).put_campaign(request).await?.into_inner().into()))
}

/// Simulate dunning.
#[utoipa::path(post, path = "/dunning/simulate", tag = "dunning", operation_id = "simulate_dunning", request_body = SimulateInput, responses((status = 200, body = DunningTimeline)))]
async fn simulate(
    State(state): State<AppState>,
    caller: Caller,
    Json(input): Json<SimulateInput>,
) -> Reply<Json<DunningTimeline>> {
    let sample = billing::simulate_request::Sample {
        due_at: input.sample.due_at.map(Into::into),
        plan_id: input.sample.plan_id,
        methods: input.sample.methods,
    };
    let request = billing::SimulateRequest {
        invoice_id: input.invoice_id,
        sample: Some(sample),
        campaign: input.campaign.map(Into::into),
        decline: input.decline.into(),
    };
    Ok(Json(state.clients.dunning(&caller.call()).simulate(request).await?.into_inner().into()))
}

/// List suspensions that were stopped.
///
/// More were due within an hour than the campaign believes. Nobody is suspended until staff decide; payments and coming back go on.
#[utoipa::path(get, path = "/dunning/held", tag = "dunning", operation_id = "list_held_suspensions", params(PageQuery), responses((status = 200, body = HeldSuspensions)))]
async fn held(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Reply<Json<HeldSuspensions>> {
    let asked = page(query.cursor, query.limit)?.unwrap_or_default();
    let request = billing::ListHeldSuspensionsRequest { cursor: asked.cursor, limit: asked.limit };
    let reply = state.clients.dunning(&caller.call()).list_held_suspensions(request).await?.into_inner();
    Ok(Json(HeldSuspensions {
        items: reply.rows.show(),
        next_cursor: reply.next_cursor.show(),
        halted_at: reply.halted_at.show(),
        as_of: reply.as_of.show(),
    }))
}

/// Decide about suspensions that were stopped.
#[utoipa::path(post, path = "/dunning/held/decide", tag = "dunning", operation_id = "decide_held_suspensions", request_body = HeldDecisionInput, responses((status = 200, body = HeldDecided)))]
async fn decide(
    State(state): State<AppState>,
    caller: Caller,
    Json(input): Json<HeldDecisionInput>,
) -> Reply<Json<HeldDecided>> {
    let request = billing::DecideHeldSuspensionsRequest {
        as_of: Some(input.as_of.into()),
        decision: input.decision.into(),
        until: input.until.map(Into::into),
        reason: input.reason,
    };
    let reply = state.clients.dunning(&caller.call()).decide_held_suspensions(request).await?.into_inner();
    Ok(Json(HeldDecided { decided: reply.decided }))
}

/// Get the hold on a subscription's suspension.
#[utoipa::path(get, path = "/subscriptions/{id}/suspension-hold", tag = "subscriptions", operation_id = "get_suspension_hold", params(("id" = String, Path)), responses((status = 200, body = SuspensionHold)))]
async fn read_hold(
    State(state): State<AppState>,
    caller: Caller,
    Path(subscription_id): Path<String>,
) -> Reply<Json<SuspensionHold>> {
    let request = billing::GetSuspensionHoldRequest { subscription_id };
    Ok(Json(state.clients.dunning(&caller.call()).get_suspension_hold(request).await?.into_inner().into()))
}

/// Never suspend a subscription before an instant.
///
/// Nor end it for not paying. Reminders and charges go on.
#[utoipa::path(put, path = "/subscriptions/{id}/suspension-hold", tag = "subscriptions", operation_id = "hold_suspension", params(("id" = String, Path)), request_body = SuspensionHoldInput, responses((status = 200, body = SuspensionHold)))]
async fn hold(
    State(state): State<AppState>,
    caller: Caller,
    Path(subscription_id): Path<String>,
    Json(input): Json<SuspensionHoldInput>,
) -> Reply<Json<SuspensionHold>> {
    let request =
        billing::HoldSuspensionRequest { subscription_id, until: Some(input.until.into()), reason: input.reason };
    Ok(Json(state.clients.dunning(&caller.call()).hold_suspension(request).await?.into_inner().into()))
}

/// Lift the hold on a subscription's suspension.
#[utoipa::path(delete, path = "/subscriptions/{id}/suspension-hold", tag = "subscriptions", operation_id = "lift_suspension_hold", params(("id" = String, Path)), responses((status = 204)))]
async fn lift(State(state): State<AppState>, caller: Caller, Path(subscription_id): Path<String>) -> Reply<StatusCode> {
    let request = billing::LiftSuspensionHoldRequest { subscription_id };
    state.clients.dunning(&caller.call()).lift_suspension_hold(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

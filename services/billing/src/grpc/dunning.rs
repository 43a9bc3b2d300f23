//! Answers `ottery.billing.v1.DunningService`.

use chrono::{DateTime, Utc};
use ottery_kernel::InvoiceId;
use ottery_kit::grpc::{ActorKind, Problem, actor};
use ottery_proto::billing::v1 as proto;
use ottery_proto::billing::v1::dunning_service_server::DunningService;
use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use super::order::{TEXT_MAX, within};
use super::payment::web_address;
use super::{Caller, convert, id, own_account, page};
use crate::app::Billing;
use crate::app::dunning::{Asked, Decision, Put, Sample, Shown, Timeline};
use crate::app::pay_link::Standing;
use crate::app::payment::HostedPage;
use crate::domain::dunning::Step;
use crate::domain::dunning::campaign::{Campaign, Channel, Contact, HaltLimit, Patience, PlanPatience};
use crate::domain::dunning::simulate::{Event, Moment};
use crate::domain::dunning::window::Window;
use crate::domain::payment::DeclineClass;
use crate::store::dunning::Saved;
use crate::store::suspension::{Held, Hold};

/// The gRPC service.
#[derive(Clone, Debug)]
pub struct DunningGrpc {
    /// The use cases.
    pub app: Billing,
}

pub(super) fn instant(field: &str, sent: Option<&Timestamp>) -> Result<DateTime<Utc>, Problem> {
    let missing = || Problem::invalid(field, "MISSING", format!("{field}: name an instant"));
    let sent = sent.ok_or_else(missing)?;
    DateTime::from_timestamp(sent.seconds, u32::try_from(sent.nanos).unwrap_or(0)).ok_or_else(missing)
}

pub(super) fn campaign_from(sent: proto::Campaign) -> Result<Campaign, Problem> {
    let mut contacts = Vec::with_capacity(sent.contacts.len());
    for (n, contact) in sent.contacts.iter().enumerate() {
        let channel = |word: proto::campaign::Channel| match word {
            proto::campaign::Channel::Mail => Ok(Channel::Mail),
            proto::campaign::Channel::InApp => Ok(Channel::InApp),
            proto::campaign::Channel::Unspecified => {
                let field = format!("campaign.contacts[{n}].channels");
                let message = format!("{field}: name each channel once, at least one; there are: mail, in_app");
                Err(Problem::invalid(field, "CHANNELS", message))
            }
        };
        contacts.push(Contact {
            hours: contact.hours,
            channels: contact.channels().map(channel).collect::<Result<_, _>>()?,
        });
    }
    let mut plans = Vec::with_capacity(sent.plans.len());
    for (n, plan) in sent.plans.iter().enumerate() {
        plans.push(PlanPatience {
            plan: id(&format!("campaign.plans[{n}].plan_id"), &plan.plan_id)?,
            patience: Patience { grace_days: plan.grace_days, terminate_after_days: plan.terminate_after_days },
        });
    }
    let halt =
        sent.halt.map_or(HaltLimit::USUAL, |halt| HaltLimit { count: halt.count, share_percent: halt.share_percent });
    Ok(Campaign {
        contacts,
        charge_hours: sent.charge_hours,
        tries_other_method: sent.tries_other_method,
        confirm_pause_hours: sent.confirm_pause_hours,
        cooldown_hours: sent.cooldown_hours,
        window: sent.window.map(|window| Window { from_hour: window.from_hour, to_hour: window.to_hour }),
        patience: Patience { grace_days: sent.grace_days, terminate_after_days: sent.terminate_after_days },
        plans,
        halt,
    })
}

fn channel(channel: &Channel) -> i32 {
    match channel {
        Channel::Mail => proto::campaign::Channel::Mail.into(),
        Channel::InApp => proto::campaign::Channel::InApp.into(),
    }
}

pub(super) fn campaign(campaign: &Campaign) -> proto::Campaign {
    let contact = |contact: &Contact| proto::campaign::Contact {
        hours: contact.hours,
        channels: contact.channels.iter().map(channel).collect(),
    };
    let plan = |plan: &PlanPatience| proto::campaign::PlanPatience {
        plan_id: plan.plan.to_string(),
        grace_days: plan.patience.grace_days,
        terminate_after_days: plan.patience.terminate_after_days,
    };
    proto::Campaign {
        contacts: campaign.contacts.iter().map(contact).collect(),
        charge_hours: campaign.charge_hours.clone(),
        tries_other_method: campaign.tries_other_method,
        confirm_pause_hours: campaign.confirm_pause_hours,
        cooldown_hours: campaign.cooldown_hours,
        window: campaign
            .window
            .map(|window| proto::campaign::Window { from_hour: window.from_hour, to_hour: window.to_hour }),
        grace_days: campaign.patience.grace_days,
        terminate_after_days: campaign.patience.terminate_after_days,
        plans: campaign.plans.iter().map(plan).collect(),
        halt: Some(proto::campaign::Halt { count: campaign.halt.count, share_percent: campaign.halt.share_percent }),
    }
}

fn saved(saved: &Saved) -> proto::SavedCampaign {
    proto::SavedCampaign {
        version: saved.version,
        campaign: Some(campaign(&saved.campaign)),
        saved_by: saved.saved_by.clone(),
        created_at: (saved.version > 0).then(|| convert::timestamp(saved.created_at)),
    }
}

/// Nothing for steps that are not dunning: a timeline has none.
fn moment(moment: &Moment, campaign: &Campaign) -> Option<proto::simulate_reply::Moment> {
    use proto::simulate_reply::What;
    let (mut step, mut until, mut pause_hours, mut channels) = (0, None, 0, Vec::new());
    let (what, told) = match moment.event {
        Event::Refused { is_told, pause } => {
            pause_hours = u32::try_from(pause.num_hours()).unwrap_or(0);
            (What::Declined, is_told)
        }
        Event::Step(Step::Charge(_)) => (What::Charge, false),
        Event::Step(Step::ChargeOther { .. }) => (What::ChargeOtherMethod, false),
        Event::Step(Step::Remind { step: done, .. }) => {
            step = done;
            let by = campaign.channels_of(done);
            channels = by.iter().map(channel).collect();
            (What::Remind, by.contains(&Channel::Mail))
        }
        Event::Step(Step::MissPayment { grace_until }) => {
            until = Some(convert::timestamp(grace_until));
            (What::PastDue, false)
        }
        Event::Step(Step::Prolong { grace_until }) => {
            until = Some(convert::timestamp(grace_until));
            (What::GraceProlonged, false)
        }
        Event::Step(Step::Suspend) => (What::Suspend, true),
        Event::Step(Step::End(_)) => (What::End, true),
        Event::Step(Step::Roll | Step::DropChange(_) | Step::IssueInvoice | Step::TakeUp) => return None,
    };
    Some(proto::simulate_reply::Moment {
        at: Some(convert::timestamp(moment.at)),
        what: what.into(),
        told,
        step,
        until,
        pause_hours,
        channels,
    })
}

fn notice(shown: &Shown, now: DateTime<Utc>, is_own: bool) -> proto::Notice {
    proto::Notice {
        invoice_id: shown.invoice.id.to_string(),
        invoice_number: shown.invoice.number_text(),
        amount: Some(convert::money(shown.left)),
        due_at: shown.invoice.due_at.map(convert::timestamp),
        overdue: shown.is_overdue(now),
        subscription_id: shown.notice.subscription.to_string(),
        plan_name: shown.notice.plan_name.clone(),
        step: shown.notice.step,
        shown_from: Some(convert::timestamp(shown.notice.shown_from)),
        pay_token: if is_own { shown.pay_token.clone() } else { String::new() },
    }
}

fn hold(subscription: String, hold: &Hold) -> proto::SuspensionHold {
    proto::SuspensionHold {
        subscription_id: subscription,
        until: Some(convert::timestamp(hold.until)),
        reason: hold.reason.clone(),
        held_by: hold.held_by.clone(),
    }
}

fn held(row: &Held) -> proto::list_held_suspensions_reply::Row {
    proto::list_held_suspensions_reply::Row {
        subscription_id: row.subscription.to_string(),
        account_id: row.account.to_string(),
        plan_name: row.plan_name.clone(),
        would_end: row.would_end,
        invoice_id: row.invoice.to_string(),
        owed: Some(convert::money(row.owed)),
        due_at: row.due_at.map(convert::timestamp),
        held_at: Some(convert::timestamp(row.held_at)),
    }
}

fn asked(request: &proto::SimulateRequest) -> Result<Asked, Problem> {
    if !request.invoice_id.is_empty() {
        return Ok(Asked::Invoice(id("invoice_id", &request.invoice_id)?));
    }
    let sample = request.sample.clone().unwrap_or_default();
    Ok(Asked::Sample(Sample {
        due_at: sample.due_at.as_ref().map(|at| instant("sample.due_at", Some(at))).transpose()?,
        plan: match sample.plan_id.as_str() {
            "" => None,
            text => Some(id("sample.plan_id", text)?),
        },
        methods: sample.methods,
    }))
}

#[tonic::async_trait]
impl DunningService for DunningGrpc {
    async fn get_campaign(
        &self,
        request: Request<proto::GetCampaignRequest>,
    ) -> Result<Response<proto::SavedCampaign>, Status> {
        let caller = Caller::staff(actor(&request)?, "brand.read")?;
        Ok(Response::new(saved(&self.app.campaign(caller.brand).await?)))
    }

    async fn put_campaign(
        &self,
        request: Request<proto::PutCampaignRequest>,
    ) -> Result<Response<proto::SavedCampaign>, Status> {
        let caller = Caller::staff(actor(&request)?, "brand.update")?;
        let request = request.into_inner();
        let missing = || Problem::invalid("campaign", "MISSING", "campaign: say what shall happen");
        let put = Put {
            campaign: campaign_from(request.campaign.ok_or_else(missing)?)?,
            expected_version: request.expected_version,
            is_dry_run: request.dry_run,
        };
        Ok(Response::new(saved(&self.app.put_campaign(caller.brand, put, &caller.actor).await?)))
    }

    async fn simulate(
        &self,
        request: Request<proto::SimulateRequest>,
    ) -> Result<Response<proto::SimulateReply>, Status> {
        let caller = Caller::staff(actor(&request)?, "brand.read")?;
        let request = request.into_inner();
        let class = match request.decline() {
            proto::simulate_request::Decline::Soft => DeclineClass::Soft,
            proto::simulate_request::Decline::Hard => DeclineClass::Hard,
            proto::simulate_request::Decline::Authentication => DeclineClass::Action,
            proto::simulate_request::Decline::Unspecified => {
                let message = "decline: say how charges end: soft, hard or authentication";
                return Err(Problem::invalid("decline", "MISSING", message).into());
            }
        };
        let subject = asked(&request)?;
        let campaign = request.campaign.map(campaign_from).transpose()?;
        let Timeline { due_at, moments, zone, campaign } =
            self.app.simulate_dunning(caller.brand, subject, campaign, class).await?;
        Ok(Response::new(proto::SimulateReply {
            due_at: Some(convert::timestamp(due_at)),
            moments: moments.iter().filter_map(|happens| moment(happens, &campaign)).collect(),
            time_zone: zone.to_string(),
        }))
    }

    async fn hold_suspension(
        &self,
        request: Request<proto::HoldSuspensionRequest>,
    ) -> Result<Response<proto::SuspensionHold>, Status> {
        let caller = Caller::staff(actor(&request)?, "subscription.manage")?;
        let request = request.into_inner();
        let subscription = id("subscription_id", &request.subscription_id)?;
        let until = instant("until", request.until.as_ref())?;
        let reason = within("reason", &request.reason, TEXT_MAX)?;
        let kept = self.app.hold_suspension(caller.brand, subscription, until, reason, &caller.actor).await?;
        Ok(Response::new(hold(request.subscription_id, &kept)))
    }

    async fn lift_suspension_hold(
        &self,
        request: Request<proto::LiftSuspensionHoldRequest>,
    ) -> Result<Response<proto::LiftSuspensionHoldReply>, Status> {
        let caller = Caller::staff(actor(&request)?, "subscription.manage")?;
        let subscription = id("subscription_id", &request.into_inner().subscription_id)?;
        self.app.lift_suspension_hold(caller.brand, subscription, &caller.actor).await?;
        Ok(Response::new(proto::LiftSuspensionHoldReply {}))
    }

    async fn get_suspension_hold(
        &self,
        request: Request<proto::GetSuspensionHoldRequest>,
    ) -> Result<Response<proto::SuspensionHold>, Status> {
        let caller = Caller::staff(actor(&request)?, "subscription.read")?;
        let text = request.into_inner().subscription_id;
        let found = self.app.suspension_hold(caller.brand, id("subscription_id", &text)?).await?;
        let nobody = || Problem::not_found("HOLD_NOT_FOUND", "nobody holds its suspension");
        Ok(Response::new(hold(text, &found.ok_or_else(nobody)?)))
    }

    async fn list_held_suspensions(
        &self,
        request: Request<proto::ListHeldSuspensionsRequest>,
    ) -> Result<Response<proto::ListHeldSuspensionsReply>, Status> {
        let caller = Caller::staff(actor(&request)?, "subscription.manage")?;
        let request = request.into_inner();
        let asked = ottery_proto::common::v1::PageRequest { cursor: request.cursor, limit: request.limit };
        let page = page(Some(&asked))?;
        let list = self.app.held_suspensions(caller.brand, page.before, page.limit).await?;
        let last = list.rows.last().map(|row| row.subscription.as_uuid());
        let next = super::next_page(page, list.rows.len(), last).unwrap_or_default();
        Ok(Response::new(proto::ListHeldSuspensionsReply {
            rows: list.rows.iter().map(held).collect(),
            next_cursor: next.next_cursor,
            halted_at: list.halted_at.map(convert::timestamp),
            as_of: Some(convert::timestamp(list.as_of)),
        }))
    }

    async fn decide_held_suspensions(
        &self,
        request: Request<proto::DecideHeldSuspensionsRequest>,
    ) -> Result<Response<proto::DecideHeldSuspensionsReply>, Status> {
        let caller = Caller::staff(actor(&request)?, "subscription.manage")?;
        let request = request.into_inner();
        let decision = match request.decision() {
            proto::decide_held_suspensions_request::Decision::Suspend => Decision::Suspend,
            proto::decide_held_suspensions_request::Decision::Spare => {
                Decision::Spare { until: instant("until", request.until.as_ref())? }
            }
            proto::decide_held_suspensions_request::Decision::Unspecified => {
                let message = "decision: say suspend or spare";
                return Err(Problem::invalid("decision", "MISSING", message).into());
            }
        };
        let as_of = instant("as_of", request.as_of.as_ref())?;
        let reason = within("reason", &request.reason, TEXT_MAX)?;
        let decided = self.app.decide_held(caller.brand, as_of, &decision, reason, &caller.actor).await?;
        let decided = u32::try_from(decided).unwrap_or(u32::MAX);
        Ok(Response::new(proto::DecideHeldSuspensionsReply { decided }))
    }

    async fn mint_pay_link(
        &self,
        request: Request<proto::MintPayLinkRequest>,
    ) -> Result<Response<proto::MintPayLinkReply>, Status> {
        let actor = actor(&request)?;
        actor.require_service()?;
        let invoice: InvoiceId = id("invoice_id", &request.into_inner().invoice_id)?;
        let token = self.app.mint_pay_link(actor.brand_or_problem()?, invoice).await?;
        Ok(Response::new(proto::MintPayLinkReply { token }))
    }

    async fn read_pay_link(
        &self,
        request: Request<proto::ReadPayLinkRequest>,
    ) -> Result<Response<proto::PayLink>, Status> {
        // Whoever calls: the token decides.
        let brand = actor(&request)?.brand_or_problem()?;
        let shown = self.app.read_pay_link(brand, &request.into_inner().token).await?;
        let state = match shown.standing {
            Standing::Open => proto::pay_link::State::Open,
            Standing::Processing => proto::pay_link::State::Processing,
            Standing::Paid => proto::pay_link::State::Paid,
            Standing::Closed => proto::pay_link::State::Closed,
        };
        Ok(Response::new(proto::PayLink {
            invoice_number: shown.number,
            amount: Some(convert::money(shown.amount)),
            state: state.into(),
            due_at: shown.due_at.map(convert::timestamp),
        }))
    }

    async fn pay_by_link(
        &self,
        request: Request<proto::PayByLinkRequest>,
    ) -> Result<Response<proto::PayByLinkReply>, Status> {
        let brand = actor(&request)?.brand_or_problem()?;
        let request = request.into_inner();
        web_address("return_url", &request.return_url)?;
        web_address("cancel_url", &request.cancel_url)?;
        let page = HostedPage::any(request.return_url, request.cancel_url);
        let (payment, checkout_url) = Box::pin(self.app.pay_by_link(brand, &request.token, page)).await?;
        Ok(Response::new(proto::PayByLinkReply { checkout_url, payment_id: payment.to_string() }))
    }

    async fn list_notices(
        &self,
        request: Request<proto::ListNoticesRequest>,
    ) -> Result<Response<proto::ListNoticesReply>, Status> {
        let caller = Caller::customer_or(actor(&request)?, "invoice.read")?;
        let account = match caller.owner {
            Some(owner) => owner,
            None => id("account_id", &request.get_ref().account_id)?,
        };
        let (shown, now) = self.app.notices(caller.brand, account).await?;
        let notices = shown.iter().map(|shown| notice(shown, now, caller.owner.is_some())).collect();
        Ok(Response::new(proto::ListNoticesReply { notices }))
    }

    async fn dismiss_notice(
        &self,
        request: Request<proto::DismissNoticeRequest>,
    ) -> Result<Response<proto::DismissNoticeReply>, Status> {
        let actor = actor(&request)?;
        let brand = actor.brand_or_problem()?;
        if actor.kind != ActorKind::Customer {
            let message = "a notice is dismissed by its customer";
            return Err(Problem::denied("NOT_YOURS", message).into());
        }
        let invoice = id("invoice_id", &request.get_ref().invoice_id)?;
        self.app.dismiss_notice(brand, own_account(&actor)?, invoice).await?;
        Ok(Response::new(proto::DismissNoticeReply {}))
    }
}

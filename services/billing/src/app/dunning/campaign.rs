//! The brand's campaign, and what it would do.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use ottery_kernel::{BrandId, InvoiceId, PlanId};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use serde_json::json;
use sqlx::postgres::PgTransaction;

use crate::app::consolidated::known;
use crate::app::schedule::lock_case;
use crate::app::{Billing, profile};
use crate::domain::dunning::campaign::{Campaign, Channel, Contact, HaltLimit, Invalid, Patience};
use crate::domain::dunning::simulate::{Moment, simulate};
use crate::domain::dunning::{self, OpenInvoice, OtherMethod, Settings, Standing, Waiting};
use crate::domain::invoice::State as InvoiceState;
use crate::domain::payment::DeclineClass;
use crate::domain::profile::Profile;
use crate::domain::subscription::State;
use crate::store;
use crate::store::dunning::Saved;

/// What staff save.
#[derive(Clone, Debug)]
pub struct Put {
    /// What it says.
    pub campaign: Campaign,
    /// The version that was read; 0 when there was none.
    pub expected_version: u32,
    /// Only check it.
    pub is_dry_run: bool,
}

/// A made-up invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it is due; now when none is given.
    pub due_at: Option<DateTime<Utc>>,
    /// Of which plan.
    pub plan: Option<PlanId>,
    /// Saved methods of the customer; what more than two change is nothing.
    pub methods: u32,
}

/// What is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// An open invoice, from now on. Without a campaign of the question, by the one it keeps.
    Invoice(InvoiceId),
    /// A made-up one, from its issue on.
    Sample(Sample),
}

/// What would happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// When the invoice is due.
    pub due_at: DateTime<Utc>,
    /// What happens, in order.
    pub moments: Vec<Moment>,
    /// Zone whose hours count.
    pub zone: Tz,
    /// By what: it says how the customer hears of each step.
    pub campaign: Campaign,
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        let message = invalid.to_string();
        Self::invalid(format!("campaign.{}", invalid.field), invalid.code, message)
    }
}

/// What counts for a brand without a campaign of its own, written as one.
fn usual(profile: &Profile, settings: &Settings) -> Campaign {
    let whole_hours = |delta: &TimeDelta| u32::try_from(delta.num_hours()).unwrap_or(0);
    let contact = |hours: &i32| Contact { hours: *hours, channels: vec![Channel::Mail] };
    Campaign {
        contacts: profile.reminder_hours.iter().map(contact).collect(),
        charge_hours: settings.charges.iter().map(whole_hours).collect(),
        tries_other_method: settings.tries_other_method,
        confirm_pause_hours: whole_hours(&settings.confirm_pause),
        cooldown_hours: whole_hours(&settings.cooldown),
        window: settings.window,
        patience: Patience { grace_days: profile.grace_days, terminate_after_days: profile.terminate_after_days },
        plans: Vec::new(),
        halt: HaltLimit::USUAL,
    }
}

impl Billing {
    /// The campaign new cases get; version 0 is what the brand's settings amount to.
    ///
    /// # Errors
    /// When the catalogue has not told of the brand yet.
    pub async fn campaign(&self, brand: BrandId) -> Result<Saved, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        self.current(&mut tx, brand, now).await
    }

    async fn current(&self, tx: &mut PgTransaction<'_>, brand: BrandId, now: DateTime<Utc>) -> Result<Saved, Problem> {
        if let Some(saved) = store::dunning::newest(tx, 1).await?.pop() {
            return Ok(saved);
        }
        let profile = profile(tx, brand).await?;
        let campaign = usual(&profile, &self.config.dunning(&profile));
        Ok(Saved { version: 0, campaign, saved_by: String::new(), created_at: now })
    }

    /// Saves a campaign as a new version, for invoices issued from now on; what is being dunned keeps its own. Saying the
    /// same again changes nothing.
    ///
    /// # Errors
    /// When it breaks a rule, or somebody else saved one meanwhile.
    pub async fn put_campaign(&self, brand: BrandId, put: Put, actor: &Actor) -> Result<Saved, Problem> {
        put.campaign.check()?;
        let (mut tx, now) = self.begin(brand).await?;
        let before = self.current(&mut tx, brand, now).await?;
        if before.version != put.expected_version {
            let message = "the campaign was changed meanwhile; read it again and repeat";
            return Err(Problem::conflict("VERSION_CONFLICT", message).with("version", before.version));
        }
        if before.version > 0 && before.campaign == put.campaign {
            return Ok(before);
        }
        let saved = Saved {
            version: before.version + 1,
            campaign: put.campaign,
            saved_by: actor.subject.clone(),
            created_at: now,
        };
        if !store::dunning::insert(&mut tx, brand, &saved).await? {
            return Err(Problem::conflict("VERSION_CONFLICT", "somebody else saved a campaign at the same moment"));
        }
        let shown = |saved: &Saved| Some(json!({ "version": saved.version, "campaign": saved.campaign }));
        let target = format!("campaign/{}", saved.version);
        audit::append(&mut tx, actor, "dunning.save", target, shown(&before), shown(&saved)).await?;
        if put.is_dry_run {
            tx.rollback().await?;
        } else {
            tx.commit().await?;
        }
        Ok(saved)
    }

    /// What would happen to an invoice nobody pays, every charge being refused with `class`: the very steps the scheduler
    /// would take. `campaign` is tried instead of the one that counts.
    ///
    /// # Errors
    /// When the campaign breaks a rule, or the invoice is not there or not dunned.
    pub async fn simulate_dunning(
        &self,
        brand: BrandId,
        asked: Asked,
        campaign: Option<Campaign>,
        class: DeclineClass,
    ) -> Result<Timeline, Problem> {
        if let Some(campaign) = &campaign {
            campaign.check()?;
        }
        let (mut tx, now) = self.begin(brand).await?;
        let profile = profile(&mut tx, brand).await?;
        let settings = self.config.dunning(&profile);
        match asked {
            Asked::Invoice(id) => {
                let missing = || {
                    Problem::not_found("INVOICE_NOT_FOUND", format!("there is no invoice {id}")).on_field("invoice_id")
                };
                // All parts of a consolidated invoice are dunned alike.
                let known = known(&mut tx, id).await?.ok_or_else(missing)?;
                let open = known.parts.iter().find(|part| part.state == InvoiceState::Open).cloned();
                let invoice = open.unwrap_or(known);
                let is_dunned = invoice.state == InvoiceState::Open && invoice.holds_period();
                let found = match invoice.subscription.filter(|_| is_dunned) {
                    Some(subscription) => lock_case(&mut tx, brand, subscription).await?,
                    None => None,
                };
                let Some(case) = found else {
                    let message =
                        format!("invoice {} is not open, or not dunned; choose one that is", invoice.number_text());
                    return Err(Problem::refused("INVOICE_NOT_DUNNED", message).on_field("invoice_id"));
                };
                let settings = match &campaign {
                    Some(campaign) => campaign.applied(&settings, case.subscription.offer.plan_id),
                    None => case.settings(&settings),
                };
                let mut waiting = case.waiting();
                // What the customer changes besides is another story.
                waiting.change = None;
                let moments = simulate((&case.subscription).into(), waiting, &settings, class, now);
                let zone = case.subscription.anchor.map_or(settings.zone, |anchor| anchor.zone);
                let own = case.facts.campaign.as_deref().cloned();
                let campaign = campaign.or(own).unwrap_or_else(|| usual(&profile, &settings));
                Ok(Timeline { due_at: invoice.due_at.unwrap_or(now), moments, zone, campaign })
            }
            Asked::Sample(sample) => {
                let campaign = match campaign {
                    Some(campaign) => campaign,
                    None => self.current(&mut tx, brand, now).await?.campaign,
                };
                // Some plan nobody named.
                let plan = sample.plan.unwrap_or(PlanId::from_uuid(uuid::Uuid::nil()));
                let settings = campaign.applied(&settings, plan);
                let due_at = sample.due_at.unwrap_or(now);
                let moments = sampled(sample, due_at, &settings, class);
                Ok(Timeline { due_at, moments, zone: settings.zone, campaign })
            }
        }
    }
}

fn sampled(sample: Sample, due_at: DateTime<Utc>, settings: &Settings, class: DeclineClass) -> Vec<Moment> {
    let begins = due_at - settings.lead;
    let subject = dunning::Subject {
        state: State::Active,
        since: begins,
        created_at: begins,
        period_end: Some(due_at),
        paid_through: Some(due_at),
        cancel_at: None,
        pause_until: None,
        has_method: sample.methods > 0,
        zone: None,
    };
    let other = OtherMethod { id: ottery_kernel::PaymentMethodId::from_uuid(uuid::Uuid::nil()), is_tried: false };
    let invoice = OpenInvoice {
        id: InvoiceId::from_uuid(uuid::Uuid::nil()),
        due_at,
        reminders_done: 0,
        charges_made: 0,
        standing: Standing::None,
        paused: TimeDelta::zero(),
        charged_at: None,
        other: (sample.methods > 1).then_some(other),
    };
    let waiting = Waiting { invoice: Some(invoice), ..Waiting::default() };
    simulate(subject, waiting, settings, class, begins)
}

//! Deciding: from the locked row to the next call, or to rest.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{CallId, PanelId};
use ottery_kit::db::{self, Scope};
use ottery_kit::keyring::Place;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::place::Taking;
use crate::app::App;
use crate::app::panels::Connected;
use crate::domain::plan::{self, Action, Rules, Time};
use crate::domain::{Admission, CallKind, CallState, Goal, LineFact, Step, Wanted, username};
use crate::driver::{LineRef, OpTag, Secret};
use crate::events::publish;
use crate::store::due::{self, Claim, Hand};
use crate::store::service::{self, Held, Row};
use crate::store::{call, panel, task};

/// Nothing can be planned so often in one transaction; more is a loop.
const ROUNDS_MAX: usize = 8;
/// Kind of the task that a lock to a country does not hold; the service goes on, and the task stays as long as that is so.
const LOCK_TASK: &str = "country_lock";
/// A service without any panel looks again this often by itself; adding one wakes it.
const NO_PANEL_WAIT: Duration = Duration::from_secs(30);

/// What follows a transaction.
pub(crate) enum Next {
    /// This call.
    Call(Box<Job>),
    /// Nothing; the claim was given back.
    Done,
}

/// A call to be made, with everything it needs, so that no transaction is open meanwhile.
pub(crate) struct Job {
    /// The journalled call; none for a look.
    pub call: Option<(Uuid, DateTime<Utc>)>,
    /// What to do; a look when `reads`.
    pub kind: CallKind,
    /// Only look what became of a call of that kind.
    pub reads: bool,
    pub panel: Arc<Connected>,
    pub tag: OpTag,
    pub wanted: Wanted,
    pub line: Option<LineRef>,
    pub username: String,
    pub password: Secret,
    pub fields: plan::Fields,
    pub package: Option<i64>,
    pub expiry_before: Option<DateTime<Utc>>,
    /// The simulated panel has to be told this time first.
    pub tell_clock: Option<DateTime<Utc>>,
    pub traceparent: String,
    pub causation_id: String,
    pub correlation_id: String,
}

/// One claim at work.
pub(crate) struct Work<'a> {
    pub(super) app: &'a App,
    pub(super) claim: &'a Claim,
}

/// What one transaction found out, to be written at its end.
pub(super) struct Draft {
    pub held: Held,
    pub step_before: String,
    pub panel: Option<Arc<Connected>>,
    pub tell_clock: Option<DateTime<Utc>>,
    pub taking: Option<Taking>,
    pub tasks: Vec<task::New>,
}

impl Draft {
    pub(super) fn row(&mut self) -> &mut Row {
        &mut self.held.row
    }

    pub(super) fn set(&mut self, step: Step, code: &str) {
        let row = self.row();
        step.as_str().clone_into(&mut row.step);
        code.clone_into(&mut row.status_code);
    }

    /// Hands the service to a person.
    pub(super) fn needs_person(&mut self, kind: &str, summary: String, remedy: &str) {
        let (service, panel) = (self.held.row.id, self.held.row.panel_id);
        self.held.row.has_task = true;
        self.tasks.push(task::New {
            kind: kind.to_owned(),
            service: Some(service),
            panel,
            summary,
            remedy: remedy.to_owned(),
        });
    }
}

impl<'a> Work<'a> {
    pub(crate) const fn new(app: &'a App, claim: &'a Claim) -> Self {
        Self { app, claim }
    }

    /// The transaction before a call: decide and journal.
    pub(crate) async fn prepare(self) -> anyhow::Result<Option<Next>> {
        let mut tx = db::begin_by_key(&self.app.pool, Scope::Brand(self.claim.brand)).await?;
        let Some(mut draft) = self.draft(&mut tx).await? else { return Ok(None) };
        recover(&mut tx, &mut draft).await?;
        let next = self.decide(&mut tx, &mut draft).await?;
        self.finish(tx, draft, next).await
    }

    pub(super) async fn draft(&self, tx: &mut PgTransaction<'_>) -> anyhow::Result<Option<Draft>> {
        let Some(held) = service::hold(tx, self.claim.service, self.claim.fence).await? else { return Ok(None) };
        let step_before = held.row.step.clone();
        let mut draft = Draft { held, step_before, panel: None, tell_clock: None, taking: None, tasks: Vec::new() };
        if let Some(id) = draft.held.row.panel_id {
            self.connect(tx, &mut draft, PanelId::from_uuid(id)).await?;
        }
        Ok(Some(draft))
    }

    /// Connects the service's panel with its present settings.
    async fn connect(&self, tx: &mut PgTransaction<'_>, draft: &mut Draft, id: PanelId) -> anyhow::Result<()> {
        let Some(head) = panel::head(tx, id).await? else { return Ok(()) };
        draft.tell_clock = head.clock_to_tell();
        draft.panel = match self.app.panels.known(id.as_uuid(), head.version) {
            Some(known) => Some(known),
            None => match panel::get(tx, id).await? {
                Some(row) => Some(self.app.panels.connect(&row)?),
                None => None,
            },
        };
        Ok(())
    }

    pub(super) fn rules(&self, draft: &Draft) -> Rules {
        let settings = &self.app.config.reconcile;
        Rules {
            time: draft.panel.as_ref().map_or(Time::Absolute, |panel| panel.time(draft.held.row.package)),
            settle_s: settings.settle_s,
            unknown_deadline_s: settings.unknown_deadline_s,
        }
    }

    /// Plans until there is something to call or nothing to do.
    pub(super) async fn decide(&self, tx: &mut PgTransaction<'_>, draft: &mut Draft) -> anyhow::Result<Plan> {
        for _ in 0..ROUNDS_MAX {
            let wanted = draft.held.row.wanted()?;
            let observed = draft.held.row.observed()?;
            let open = draft.held.row.open()?;
            let action = plan::plan(&wanted, &observed, open.as_ref(), draft.held.now, &self.rules(draft));
            let (kind, reads, fields, package) = match action {
                Action::Place => match self.place(tx, draft, None).await? {
                    None => continue,
                    Some(wait) => return Ok(Plan::Hand(Hand::Later(wait))),
                },
                Action::Rest(step) => return self.rest(tx, draft, step).await.map(Plan::Hand),
                Action::Stuck(code) => return Ok(Plan::Hand(stuck(draft, code))),
                Action::Wait(until, plan::Pause::Settling) => {
                    draft.set(Step::Unknown, "settling");
                    return Ok(Plan::Hand(Hand::Later(span(until - draft.held.now))));
                }
                Action::Create => (CallKind::Create, false, plan::Fields::default(), wanted.package),
                Action::Edit(fields) => (CallKind::Edit, false, fields, wanted.package),
                Action::Buy(package) => (CallKind::Buy, false, plan::Fields::default(), Some(package)),
                Action::Suspend => (CallKind::Suspend, false, plan::Fields::default(), None),
                Action::Unsuspend => (CallKind::Unsuspend, false, plan::Fields::default(), None),
                Action::Terminate => (CallKind::Terminate, false, plan::Fields::default(), None),
                Action::ReadBack(kind) => (kind, true, plan::Fields::default(), None),
            };
            let Some(connected) = draft.panel.clone() else {
                // The panel of a line is gone although lines protect their panel: only a person can say what now.
                draft.held.row.refused_version = Some(draft.held.row.wanted_version);
                "panel_missing".clone_into(&mut draft.held.row.refused_code);
                continue;
            };
            if let Admission::Paused { until, trip } = connected.key.admit() {
                let elsewhere = matches!(observed.line, LineFact::Never) && open.is_none();
                if elsewhere && self.place(tx, draft, Some(connected.id())).await?.is_none() {
                    continue;
                }
                if !reads {
                    draft.set(Step::Waiting, trip.code());
                }
                let pause = until - ottery_kernel::Clock::now(&ottery_kernel::SystemClock);
                return Ok(Plan::Hand(Hand::Later(span(pause) + Duration::from_millis(100))));
            }
            if !connected.row.enabled && !reads {
                draft.set(Step::Waiting, "panel_disabled");
                return Ok(Plan::Hand(Hand::Later(NO_PANEL_WAIT)));
            }
            return self.job(tx, draft, connected, wanted, (kind, reads, fields, package)).await.map(Plan::Job);
        }
        anyhow::bail!("service {} was planned {ROUNDS_MAX} times without an end", self.claim.service)
    }

    /// Journals a call and puts everything it needs together.
    async fn job(
        &self,
        tx: &mut PgTransaction<'_>,
        draft: &mut Draft,
        panel: Arc<Connected>,
        wanted: Wanted,
        (kind, reads, fields, package): (CallKind, bool, plan::Fields, Option<i64>),
    ) -> anyhow::Result<Box<Job>> {
        let now = draft.held.now;
        if reads {
            if draft.held.row.open_call.is_some() {
                draft.set(Step::Unknown, "reading_back");
            }
        } else {
            if kind == CallKind::Create && draft.held.row.password_sealed.is_none() {
                self.choose_credentials(draft.row());
            }
            let id = CallId::new(now);
            draft.row().open_call(id.as_uuid(), kind, now);
            let entry = call::Entry {
                id,
                brand: self.claim.brand,
                service_id: draft.held.row.id,
                panel_id: panel.row.id,
                action: kind.as_str(),
                state: "planned",
                outcome: String::new(),
                duration_ms: 0,
                request: summary(kind, &wanted, &draft.held.row, fields),
                reply: String::new(),
                started_at: now,
            };
            call::insert(tx, &entry).await?;
            match kind {
                CallKind::Create => draft.set(Step::Creating, ""),
                CallKind::Edit | CallKind::Buy | CallKind::Suspend | CallKind::Unsuspend | CallKind::Terminate => {
                    draft.set(Step::Updating, "");
                }
                CallKind::ReadBack => {}
            }
        }
        let row = &draft.held.row;
        let password = match &row.password_sealed {
            Some(sealed) => self.app.host.keyring.open_text(&password_place(row), sealed)?,
            None => Secret::default(),
        };
        let line =
            row.line_id.clone().map(|id| LineRef { id, username: row.username.clone(), password: password.clone() });
        Ok(Box::new(Job {
            call: row.open_call.zip(row.open_started_at),
            kind,
            reads,
            tag: OpTag::new(row.service_id().to_string()),
            wanted,
            line,
            username: row.username.clone(),
            password,
            fields,
            package,
            expiry_before: row.open_expiry,
            tell_clock: draft.tell_clock,
            traceparent: row.traceparent.clone(),
            causation_id: row.causation_id.clone(),
            correlation_id: row.correlation_id.clone(),
            panel,
        }))
    }

    /// Chooses name and password before the first call, so that a lost answer finds its line again.
    fn choose_credentials(&self, row: &mut Row) {
        let subscription = ottery_kernel::SubscriptionId::from_uuid(row.subscription_id);
        row.username = username::candidate(subscription, u32::try_from(row.candidate).unwrap_or(0));
        let sealed = self.app.host.keyring.seal(&password_place(row), username::password().expose().as_bytes());
        row.password_sealed = Some(sealed);
    }

    /// The panel agrees: note it, and give the place back when there is no line any more.
    async fn rest(&self, tx: &mut PgTransaction<'_>, draft: &mut Draft, step: Step) -> anyhow::Result<Hand> {
        let (now, service) = (draft.held.now, draft.held.row.id);
        draft.set(step, "");
        let unlocked = match draft.held.row.observed()?.line {
            LineFact::Seen(line) if step == Step::Ready => {
                plan::unlocked(&draft.held.row.wanted()?, &line, &self.rules(draft))
            }
            LineFact::Seen(_) | LineFact::Never | LineFact::Missing | LineFact::Removed => None,
        };
        let row = draft.row();
        row.observed_version = row.wanted_version;
        row.refused_version = None;
        row.refused_code.clear();
        row.attempts = 0;
        if std::mem::take(&mut row.has_task) {
            task::close_of_service(tx, service, unlocked.map(|_| LOCK_TASK), now).await?;
        }
        if let Some(code) = unlocked {
            draft.needs_person(LOCK_TASK, publish::unlocked_text(code).to_owned(), publish::remedy(code));
        }
        let row = draft.row();
        if step == Step::Terminated && row.wanted()?.goal == Goal::Terminated && row.line_fact != "removed" {
            if let Some(panel) = row.panel_id {
                panel::give_place(tx, PanelId::from_uuid(panel)).await?;
            }
            if row.line_fact == "never" {
                row.panel_id = None;
            } else {
                row.unsee(&LineFact::Removed, now);
            }
        }
        Ok(match draft.held.row.verify_at {
            Some(at) if draft.held.row.line_id.is_some() => Hand::Later(span(at - now)),
            Some(_) | None => Hand::Rest,
        })
    }

    /// Writes the transaction's end: row, tasks, event, claim. Nothing commits when the claim was lost.
    pub(super) async fn finish(
        &self,
        mut tx: PgTransaction<'_>,
        mut draft: Draft,
        next: Plan,
    ) -> anyhow::Result<Option<Next>> {
        self.watch_deadline(&mut draft)?;
        let (brand, now) = (self.claim.brand, draft.held.now);
        for new in &draft.tasks {
            task::open(&mut tx, brand, new, now).await?;
        }
        let (hand, next) = match next {
            Plan::Hand(hand) => (hand, Next::Done),
            Plan::Job(job) => (Hand::Keep, Next::Call(job)),
        };
        let previous = std::mem::take(&mut draft.step_before);
        let brand_now = draft.held.brand_now;
        let key = draft.panel.as_ref().map(|panel| panel.row.key_id);
        let row = draft.row();
        row.updated_at = brand_now;
        if row.step != previous && publish::is_shown(row.step()?) {
            let first_ready = row.step()? == Step::Ready && row.ready_at.is_none();
            if first_ready {
                row.ready_at = Some(brand_now);
            }
            row.version += 1;
            let panel = draft.panel.as_ref().map(|panel| &panel.row);
            publish::service_changed(&mut tx, &draft.held.row, panel, &previous, first_ready).await?;
        }
        service::save(&mut tx, &draft.held.row).await?;
        if !due::settle(&mut tx, self.claim, hand, key).await? {
            tracing::info!(service.id = %self.claim.service, "the claim was taken over; what was decided here is dropped");
            return Ok(None);
        }
        if let Some(taking) = draft.taking {
            taking.take(&mut tx).await?;
        }
        tx.commit().await?;
        Ok(Some(next))
    }

    /// A call that stays unknown past its deadline becomes a person's task, and the customer's status says so. Looking
    /// for its outcome goes on.
    fn watch_deadline(&self, draft: &mut Draft) -> anyhow::Result<()> {
        let Some(open) = draft.held.row.open()? else { return Ok(()) };
        if matches!(open.state, CallState::Unknown) && plan::is_overdue(&open, draft.held.now, &self.rules(draft)) {
            draft.set(Step::Stuck, "unknown_overdue");
            let kind = open.kind.as_str();
            draft.needs_person(
                "panel_unknown",
                format!("nobody knows since {} whether the panel did `{kind}`", open.at.format("%Y-%m-%d %H:%M UTC")),
                "Look at the line on the panel. The system keeps asking and continues by itself once the panel answers.",
            );
        }
        Ok(())
    }
}

/// What a transaction decided.
pub(super) enum Plan {
    Hand(Hand),
    Job(Box<Job>),
}

/// A call that a vanished worker journalled: sent or not is what its mark says.
async fn recover(tx: &mut PgTransaction<'_>, draft: &mut Draft) -> anyhow::Result<()> {
    let Some(open) = draft.held.row.open()? else { return Ok(()) };
    if !matches!(open.state, CallState::Planned) {
        return Ok(());
    }
    let (sent, now) = (draft.held.sent_call, draft.held.now);
    let row = draft.row();
    let Some((id, started)) = row.open_call.zip(row.open_started_at) else { return Ok(()) };
    let was_sent = sent == Some(id);
    let (state, outcome) = if was_sent { ("unknown", "sender_gone") } else { ("rejected", "never_sent") };
    if was_sent {
        row.lose_call(now);
    } else {
        row.close_call();
    }
    let verdict = call::Verdict { state, outcome: outcome.to_owned(), duration_ms: None, reply: String::new() };
    Ok(call::conclude(tx, id, started, &verdict).await?)
}

fn stuck(draft: &mut Draft, code: &'static str) -> Hand {
    let code = if code == "refused" { draft.held.row.refused_code.clone() } else { code.to_owned() };
    draft.set(Step::Stuck, &code);
    let remedy = publish::remedy(&code);
    draft.needs_person("service_stuck", publish::status_text(Step::Stuck, &code).to_owned(), remedy);
    Hand::Rest
}

/// What is sent, without names and secrets.
fn summary(kind: CallKind, wanted: &Wanted, row: &Row, fields: plan::Fields) -> String {
    let until = wanted.paid_through.format("%Y-%m-%d %H:%M:%S UTC");
    let line = row.line_id.as_deref().unwrap_or("new");
    match kind {
        CallKind::Create => format!("until {until}, {} streams, bouquets {:?}", wanted.connections, wanted.bouquets),
        CallKind::Edit if fields.package => {
            format!("line {line}: until {until}, {} streams, bouquets {:?}", wanted.connections, wanted.bouquets)
        }
        CallKind::Edit => format!("line {line}: until {until}"),
        CallKind::Buy => format!("line {line}: package {}", wanted.package.unwrap_or(0)),
        CallKind::Suspend | CallKind::Unsuspend | CallKind::Terminate | CallKind::ReadBack => format!("line {line}"),
    }
}

/// Where a line's password is sealed.
#[must_use]
pub(crate) fn password_place(row: &Row) -> Place<'static> {
    Place { table: "service", column: "password_sealed", row: row.id, brand: Some(row.brand()) }
}

pub(super) fn span(delta: TimeDelta) -> Duration {
    delta.to_std().unwrap_or_default()
}

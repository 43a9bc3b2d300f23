//! Making the call. No transaction is open here.

use std::time::Instant;

use ottery_kit::crash;
use rust_decimal::Decimal;
use serde_json::json;

use super::advance::{Job, Work};
use crate::domain::CallKind;
use crate::driver::{
    Active, Cause, Expiry, LineKey, LineRef, LineSpec, LineState, PackageSpec, PanelDriver, PanelError, PermKind,
    Renewal,
};
use crate::store::{due, panel};

/// What came back.
pub(crate) struct Outcome {
    pub kind: OutcomeKind,
    pub took_ms: i32,
}

/// What came back, by its meaning.
pub(crate) enum OutcomeKind {
    /// The line as the panel has it now.
    Line(Box<LineState>),
    /// There is no such line.
    Absent,
    /// The name is taken: by this line, or by one that we may not see.
    Taken(Option<Box<LineState>>),
    /// The line and the credits after a lost purchase.
    Purchase(Box<LineState>, Option<Decimal>),
    /// No answer that helps.
    Failed(PanelError),
}

impl Work<'_> {
    /// Waits for its turn, marks the call as sent, makes it. Nothing when the claim was lost meanwhile.
    pub(crate) async fn perform(self, job: &Job) -> Option<Outcome> {
        let panel = &job.panel;
        let writer = if panel.driver.caps().reseller_credits && !job.reads {
            match panel.gate.write_alone(&self.app.pool).await {
                Ok(writer) => Some(writer),
                Err(error) => {
                    tracing::warn!(%error, "cannot become the one writer of the key");
                    return None;
                }
            }
        } else {
            None
        };
        let requests = if job.reads { 1 } else { job.kind.requests() };
        let place = panel.gate.enter(requests).await;
        if let Some(now) = job.tell_clock {
            self.tell_clock(job, now).await;
        }
        let credits_before =
            if job.kind == CallKind::Buy && !job.reads { self.note_credits(job).await } else { Ok(()) };
        let outcome = match credits_before {
            Err(error) => Some(Outcome { kind: OutcomeKind::Failed(error), took_ms: 0 }),
            Ok(()) if job.reads || self.mark_sent(job).await => {
                let started = Instant::now();
                let kind = if job.reads { read_back(job).await } else { write(job).await };
                let took_ms = i32::try_from(started.elapsed().as_millis()).unwrap_or(i32::MAX);
                crash::point("provisioning.answered");
                Some(Outcome { kind, took_ms })
            }
            Ok(()) => None,
        };
        drop(place);
        if let Some(writer) = writer {
            writer.done().await;
        }
        outcome
    }

    async fn mark_sent(&self, job: &Job) -> bool {
        let Some((call, _)) = job.call else { return false };
        match due::mark_sent(&self.app.pool, self.claim, call, self.app.config.reconcile.lease()).await {
            Ok(true) => {
                crash::point("provisioning.sent");
                true
            }
            Ok(false) => {
                tracing::info!(service.id = %self.claim.service, "the claim was taken over before sending; nothing was sent");
                false
            }
            Err(error) => {
                tracing::warn!(%error, service.id = %self.claim.service, "cannot journal the call; nothing was sent");
                false
            }
        }
    }

    /// Notes expiry and credits before a purchase, so that a lost answer can be judged.
    async fn note_credits(&self, job: &Job) -> Result<(), PanelError> {
        let credits = job.panel.driver.credits().await?;
        let noted = async {
            let scope = ottery_kit::db::Scope::Brand(self.claim.brand);
            let mut tx = ottery_kit::db::begin(&self.app.pool, scope).await?;
            let text = credits.map(|credits| credits.to_string());
            crate::store::service::note_credits(&mut tx, self.claim.service, text.as_deref()).await?;
            tx.commit().await
        };
        noted.await.map_err(|error: sqlx::Error| {
            tracing::warn!(%error, "cannot note the credits; nothing was bought");
            PanelError::retryable(Cause::ConnectRefused)
        })
    }

    /// Tells a simulated panel the brand's time, before anything is asked of it.
    async fn tell_clock(&self, job: &Job, now: chrono::DateTime<chrono::Utc>) {
        let row = &job.panel.row;
        if let Err(error) = crate::app::health::tell_clock(&self.app.http, &row.sandbox_control_url, now).await {
            tracing::warn!(panel.id = %row.panel_id(), error = format!("{error:#}"), "the simulated panel does not take the time");
            return;
        }
        let told = async {
            let mut tx = ottery_kit::db::begin(&self.app.pool, ottery_kit::db::Scope::Brand(self.claim.brand)).await?;
            panel::clock_told(&mut tx, row.panel_id(), now).await?;
            tx.commit().await
        };
        if let Err(error) = told.await {
            tracing::warn!(%error, "cannot note the told time; it will be told again");
        }
    }
}

async fn write(job: &Job) -> OutcomeKind {
    let driver = &*job.panel.driver;
    let answer = match (job.kind, &job.line) {
        (CallKind::Create, _) => match driver.create(&job.tag, &spec(job)).await {
            Err(error) if error.refusal() == Some(PermKind::Conflict) => return taken(driver, job).await,
            answer => answer,
        },
        (_, None) => Err(PanelError::permanent(PermKind::NotFound, "the line has no id")),
        (CallKind::Edit, Some(line)) => edit(driver, job, line).await,
        (CallKind::Buy, Some(line)) => match job.package {
            Some(id) => driver.renew(&job.tag, line, &Renewal::Package { id, expect_before: job.expiry_before }).await,
            None => Err(PanelError::permanent(PermKind::BrokenMapping, "the plan names no package")),
        },
        (CallKind::Suspend, Some(line)) => driver.set_status(&job.tag, line, Active::No).await,
        (CallKind::Unsuspend, Some(line)) => driver.set_status(&job.tag, line, Active::Yes).await,
        (CallKind::Terminate, Some(line)) => match driver.terminate(&job.tag, line).await {
            Ok(()) => return OutcomeKind::Absent,
            Err(error) => Err(error),
        },
        (CallKind::ReadBack, Some(_)) => return read_back(job).await,
    };
    match answer {
        Ok(line) => OutcomeKind::Line(Box::new(line)),
        Err(error) => OutcomeKind::Failed(error),
    }
}

fn spec(job: &Job) -> LineSpec {
    LineSpec {
        username: job.username.clone(),
        password: job.password.clone(),
        expiry: Expiry::At(job.wanted.paid_through),
        connections: job.wanted.connections,
        bouquets: job.wanted.bouquets.clone(),
        outputs: job.wanted.outputs.clone(),
        package: job.wanted.package,
        trial: job.wanted.trial,
        isp_lock: job.wanted.isp_lock == Some(true),
        country: job.wanted.locked_to().unwrap_or_default().to_owned(),
    }
}

/// Only what differs is changed: a renewal leaves the rest of the line as the panel has it.
async fn edit(driver: &dyn PanelDriver, job: &Job, line: &LineRef) -> Result<LineState, PanelError> {
    let until = Expiry::At(job.wanted.paid_through);
    if !job.fields.package {
        return driver.renew(&job.tag, line, &Renewal::Until(until)).await;
    }
    let package = PackageSpec {
        package: job.wanted.package,
        bouquets: job.wanted.bouquets.clone(),
        outputs: job.wanted.outputs.clone(),
        connections: job.wanted.connections,
        expiry: job.fields.expiry.then_some(until),
        isp_lock: job.wanted.isp_lock,
        country: job.wanted.locked_to().map(str::to_owned),
    };
    driver.change_package(&job.tag, line, &package).await
}

/// "Taken" may mean by our own earlier attempt: only the line itself can tell.
async fn taken(driver: &dyn PanelDriver, job: &Job) -> OutcomeKind {
    match driver.find(&pair(job)).await {
        Ok(found) => OutcomeKind::Taken(found.map(Box::new)),
        // The create was refused for sure; who has the name is found out by trying again.
        Err(PanelError::Ambiguous { cause, .. }) => OutcomeKind::Failed(PanelError::retryable(cause)),
        Err(error) => OutcomeKind::Failed(error),
    }
}

fn pair(job: &Job) -> LineKey {
    LineKey::Pair { username: job.username.clone(), password: job.password.clone() }
}

/// Looks what became of a call, or just how the line is.
async fn read_back(job: &Job) -> OutcomeKind {
    let driver = &*job.panel.driver;
    let looked = match (&job.line, job.kind) {
        (Some(line), CallKind::Buy) => match driver.find(&LineKey::Line(line.clone())).await {
            Ok(Some(found)) => match driver.credits().await {
                Ok(credits) => return OutcomeKind::Purchase(Box::new(found), credits),
                Err(error) => Err(error),
            },
            other => other,
        },
        (Some(line), _) => driver.find(&LineKey::Line(line.clone())).await,
        (None, _) => match driver.find(&pair(job)).await {
            // Panels may replace the name we asked for; our mark in the notes stays.
            Ok(None) => driver.find(&LineKey::Tag(job.tag.clone())).await,
            other => other,
        },
    };
    match looked {
        Ok(Some(line)) => OutcomeKind::Line(Box::new(line)),
        Ok(None) => OutcomeKind::Absent,
        Err(error) => OutcomeKind::Failed(error),
    }
}

/// What came back, without names and secrets.
pub(crate) fn reply_summary(outcome: &OutcomeKind) -> String {
    let line = |line: &LineState| {
        json!({
            "id": line.id, "enabled": line.enabled, "banned": line.banned, "connections": line.connections,
            "expires_at": line.expires_at, "bouquets": line.bouquets, "package": line.package, "country": line.country,
        })
        .to_string()
    };
    match outcome {
        OutcomeKind::Line(state) => line(state),
        OutcomeKind::Purchase(state, credits) => {
            format!("{} credits {}", line(state), credits.map_or_else(|| "unknown".to_owned(), |c| c.to_string()))
        }
        OutcomeKind::Absent => "no such line".to_owned(),
        OutcomeKind::Taken(Some(state)) => format!("name taken by line {}", state.id),
        OutcomeKind::Taken(None) => "name taken by a line we may not see".to_owned(),
        OutcomeKind::Failed(error) => error.to_string(),
    }
}

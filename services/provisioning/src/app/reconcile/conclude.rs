//! Writing down what came back, and deciding again in the same transaction.

use std::time::Duration;

use chrono::TimeDelta;
use ottery_kernel::{CallId, PanelId};
use ottery_kit::db::{self, Scope};
use sqlx::postgres::PgTransaction;

use super::advance::{Draft, Job, Next, Plan, Work, password_place};
use super::perform::{Outcome, OutcomeKind, reply_summary};
use crate::domain::plan::{Time, differences};
use crate::domain::{CallKind, Line, LineFact, Step, username};
use crate::driver::{LineState, OpTag, PanelError, PermKind};
use crate::store::due::Hand;
use crate::store::{call, panel};

/// Wait after a quota was used up; only the panel's people can change that.
const QUOTA_WAIT: Duration = Duration::from_secs(3_600);

/// State and stable code of the call that was open.
type Verdict = Option<(&'static str, String)>;

/// What an outcome means for the row.
enum Judged {
    /// Decide again.
    Go,
    /// Try again later, with this code.
    Later(Duration, &'static str),
}

impl Work<'_> {
    /// The transaction after a call. Nothing commits when the claim was lost: the line is read by whoever has it now.
    pub(crate) async fn conclude(self, job: &Job, outcome: &Outcome) -> anyhow::Result<Option<Next>> {
        let mut tx = db::begin_by_key(&self.app.pool, Scope::Brand(self.claim.brand)).await?;
        let Some(mut draft) = self.draft(&mut tx).await? else { return Ok(None) };
        if draft.held.row.open_call != job.call.map(|(id, _)| id) {
            // Somebody else already found out what became of it.
            return Ok(None);
        }
        let verdict_before = draft.held.row.open_call.zip(draft.held.row.open_started_at);
        let (verdict, judged) = if job.reads {
            self.judge_look(&mut tx, &mut draft, job, &outcome.kind).await?
        } else {
            self.judge(&mut tx, &mut draft, job, &outcome.kind).await?
        };
        self.write_down(&mut tx, job, outcome, verdict, verdict_before).await?;
        let next = match judged {
            Judged::Go => self.decide(&mut tx, &mut draft).await?,
            Judged::Later(wait, code) => {
                let step = if draft.held.row.open_call.is_some() { Step::Unknown } else { Step::Waiting };
                draft.set(step, code);
                Plan::Hand(Hand::Later(wait))
            }
        };
        self.finish(tx, draft, next).await
    }

    /// Feeds breaker and metrics; not part of the transaction, because it is about the panel and not about the service.
    pub(crate) fn count(&self, job: &Job, outcome: &Outcome) {
        let error = match &outcome.kind {
            OutcomeKind::Failed(error) => Some(error),
            OutcomeKind::Line(_) | OutcomeKind::Absent | OutcomeKind::Taken(_) | OutcomeKind::Purchase(..) => None,
        };
        let was = job.panel.key.tripped();
        if job.panel.key.record(error) {
            let now = job.panel.key.tripped();
            if was.is_none()
                && let Some(trip) = now
            {
                tracing::warn!(panel.id = %job.panel.id(), reason = trip.code(), "calls with this key are paused");
            } else if now.is_none() {
                tracing::info!(panel.id = %job.panel.id(), "calls with this key go on");
                let (pool, key) = (self.app.pool.clone(), job.panel.key.id);
                tokio::spawn(async move {
                    if let Err(error) = crate::store::due::wake_key(&pool, key).await {
                        tracing::warn!(%error, "waiting services come back at their own time");
                    }
                });
            }
        }
        let action = if job.reads { CallKind::ReadBack } else { job.kind };
        let result = error.map_or("ok", PanelError::code);
        let metrics = &self.app.host.metrics;
        metrics
            .counter("ottery_panel_calls", "Calls to panels")
            .inc(&[("action", action.as_str()), ("result", result)]);
        metrics
            .histogram("ottery_panel_call_seconds", "Time panels take")
            .observe(&[("action", action.as_str())], f64::from(outcome.took_ms) / 1_000.0);
    }

    async fn write_down(
        &self,
        tx: &mut PgTransaction<'_>,
        job: &Job,
        outcome: &Outcome,
        verdict: Verdict,
        open: Option<(uuid::Uuid, chrono::DateTime<chrono::Utc>)>,
    ) -> anyhow::Result<()> {
        let reply = reply_summary(&outcome.kind);
        if let (Some((state, outcome_code)), Some((id, started))) = (&verdict, open) {
            let duration_ms = (!job.reads).then_some(outcome.took_ms);
            let verdict = call::Verdict { state, outcome: outcome_code.clone(), duration_ms, reply: reply.clone() };
            call::conclude(tx, id, started, &verdict).await?;
        }
        if job.reads {
            let now: chrono::DateTime<chrono::Utc> =
                sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(&mut **tx).await?;
            let (state, code) = match &outcome.kind {
                OutcomeKind::Failed(error) => ("rejected", error.code().to_owned()),
                OutcomeKind::Line(_) | OutcomeKind::Absent | OutcomeKind::Taken(_) | OutcomeKind::Purchase(..) => {
                    ("confirmed", String::new())
                }
            };
            let entry = call::Entry {
                id: CallId::new(now),
                brand: self.claim.brand,
                service_id: self.claim.service.as_uuid(),
                panel_id: job.panel.row.id,
                action: CallKind::ReadBack.as_str(),
                state,
                outcome: code,
                duration_ms: outcome.took_ms,
                request: format!("after `{}`", job.kind.as_str()),
                reply,
                started_at: now,
            };
            call::insert(tx, &entry).await?;
        }
        Ok(())
    }

    /// The answer of a write.
    async fn judge(
        &self,
        tx: &mut PgTransaction<'_>,
        draft: &mut Draft,
        job: &Job,
        outcome: &OutcomeKind,
    ) -> anyhow::Result<(Verdict, Judged)> {
        let now = draft.held.now;
        let confirmed = Some(("confirmed", String::new()));
        Ok(match outcome {
            OutcomeKind::Line(state) => {
                self.accept(draft, job, state)?;
                draft.row().close_call();
                (confirmed, Judged::Go)
            }
            OutcomeKind::Absent => {
                self.remove(tx, draft).await?;
                draft.row().close_call();
                (confirmed, Judged::Go)
            }
            OutcomeKind::Taken(found) => match found {
                Some(state) if is_ours(state, job) => {
                    self.accept(draft, job, state)?;
                    draft.row().close_call();
                    (Some(("confirmed", "made_before".to_owned())), Judged::Go)
                }
                Some(_) | None => {
                    next_name(draft.row());
                    (Some(("rejected", "username_taken".to_owned())), Judged::Go)
                }
            },
            OutcomeKind::Purchase(state, _) => {
                self.accept(draft, job, state)?;
                draft.row().close_call();
                (confirmed, Judged::Go)
            }
            OutcomeKind::Failed(PanelError::Ambiguous { cause, .. }) => {
                draft.row().lose_call(now);
                (Some(("unknown", cause.code().to_owned())), Judged::Go)
            }
            OutcomeKind::Failed(error @ PanelError::Retryable { cause, after }) => {
                draft.row().close_call();
                let wait = after.unwrap_or_default().max(self.backoff(draft));
                (Some(("rejected", error.code().to_owned())), Judged::Later(wait, cause.code()))
            }
            OutcomeKind::Failed(error @ PanelError::Permanent(perm)) => {
                draft.row().close_call();
                let verdict = Some(("rejected", error.code().to_owned()));
                let judged = match perm.kind {
                    // The breaker is open now, so deciding again waits for it.
                    kind if kind.is_whole_key() => Judged::Go,
                    PermKind::QuotaExhausted => Judged::Later(QUOTA_WAIT, perm.kind.code()),
                    PermKind::NotFound if job.line.is_some() => {
                        draft.row().unsee(&LineFact::Missing, now);
                        Judged::Go
                    }
                    kind => {
                        refuse(draft, job, kind.code());
                        Judged::Go
                    }
                };
                (verdict, judged)
            }
        })
    }

    /// What a look found out about the open call, if there is one.
    async fn judge_look(
        &self,
        tx: &mut PgTransaction<'_>,
        draft: &mut Draft,
        job: &Job,
        outcome: &OutcomeKind,
    ) -> anyhow::Result<(Verdict, Judged)> {
        let now = draft.held.now;
        let open = draft.held.row.open()?;
        let settle = TimeDelta::seconds(self.app.config.reconcile.settle_s);
        draft.row().verify_at = None;
        let found_late = |code: &str| Some(("confirmed", code.to_owned()));
        Ok(match outcome {
            OutcomeKind::Failed(error) => {
                // Whatever it says, it says nothing about the call that is open.
                let wait = self.backoff(draft);
                if job.call.is_none() {
                    draft.row().verify_at = Some(now + TimeDelta::from_std(wait)?);
                }
                (None, Judged::Later(wait, error.code()))
            }
            OutcomeKind::Line(state) if job.kind == CallKind::Create => {
                if is_ours(state, job) {
                    self.accept(draft, job, state)?;
                    draft.row().close_call();
                    (found_late("read_back"), Judged::Go)
                } else {
                    next_name(draft.row());
                    (Some(("rejected", "username_taken".to_owned())), Judged::Go)
                }
            }
            OutcomeKind::Line(state) | OutcomeKind::Taken(Some(state)) => {
                if state.username != job.username {
                    draft.row().close_call();
                    refuse(draft, job, PermKind::Conflict.code());
                    return Ok((Some(("rejected", "not_ours".to_owned())), Judged::Go));
                }
                draft.row().see(state, now);
                let applied = match job.kind {
                    CallKind::Suspend => !state.enabled,
                    CallKind::Unsuspend => state.enabled,
                    CallKind::Edit => !any(differences(&job.wanted, &Line::from(&**state))),
                    CallKind::Terminate => false,
                    CallKind::Create | CallKind::Buy | CallKind::ReadBack => true,
                };
                if let Some(open) = open.filter(|_| !applied)
                    && now < open.at + settle
                {
                    // It may still arrive, after whatever is done next: look once more then.
                    draft.row().verify_at = Some(open.at + settle);
                }
                draft.row().close_call();
                (
                    if applied { found_late("read_back") } else { Some(("rejected", "not_applied".to_owned())) },
                    Judged::Go,
                )
            }
            OutcomeKind::Purchase(state, credits) => {
                let Some(open) = open else { return Ok((None, Judged::Go)) };
                let moved = state.expires_at != open.expiry_before;
                let paid = match (open.credits_before, credits) {
                    (Some(before), Some(after)) => *after < before,
                    (None, _) | (_, None) => moved,
                };
                match (moved, paid) {
                    (true, true) => {
                        self.accept(draft, job, state)?;
                        draft.row().close_call();
                        (found_late("read_back"), Judged::Go)
                    }
                    (false, false) => match open.absent_at {
                        None => {
                            draft.row().open_absent_at = Some(now);
                            (None, Judged::Go)
                        }
                        Some(_) => {
                            draft.row().see(state, now);
                            draft.row().close_call();
                            (Some(("rejected", "not_applied".to_owned())), Judged::Go)
                        }
                    },
                    (true, false) | (false, true) => {
                        draft.row().see(state, now);
                        draft.row().close_call();
                        refuse(draft, job, "purchase_unclear");
                        (Some(("unknown", "purchase_unclear".to_owned())), Judged::Go)
                    }
                }
            }
            OutcomeKind::Absent | OutcomeKind::Taken(None) => match (job.kind, open.and_then(|open| open.absent_at)) {
                (CallKind::Create, None) => {
                    draft.row().open_absent_at = Some(now);
                    (None, Judged::Go)
                }
                (CallKind::Create, Some(_)) => {
                    draft.row().close_call();
                    (Some(("rejected", "not_applied".to_owned())), Judged::Go)
                }
                (CallKind::Terminate, _) => {
                    self.remove(tx, draft).await?;
                    draft.row().close_call();
                    (found_late("read_back"), Judged::Go)
                }
                (CallKind::Edit | CallKind::Buy | CallKind::Suspend | CallKind::Unsuspend | CallKind::ReadBack, _) => {
                    draft.row().unsee(&LineFact::Missing, now);
                    draft.row().close_call();
                    (Some(("rejected", "line_missing".to_owned())), Judged::Go)
                }
            },
        })
    }

    /// Takes a line over as the panel has it after our call.
    fn accept(&self, draft: &mut Draft, job: &Job, state: &LineState) -> anyhow::Result<()> {
        let now = draft.held.now;
        let buys = !job.panel.driver.caps().absolute_expiry;
        draft.row().see(state, now);
        let row = draft.row();
        row.attempts = 0;
        if !state.password.is_empty() && state.password != job.password {
            // Panels may replace what we chose; what they have is what works.
            row.password_sealed =
                Some(self.app.host.keyring.seal(&password_place(row), state.password.expose().as_bytes()));
        }
        match job.kind {
            CallKind::Create if buys => {
                row.covered_through = Some(job.wanted.paid_through);
                row.line_package = job.wanted.package;
            }
            CallKind::Buy => {
                row.covered_through = Some(covered(job, row.covered_through));
                row.line_package = job.package;
            }
            CallKind::Edit if any(differences(&job.wanted, &Line::from(state))) => {
                refuse(draft, job, "panel_disagrees")
            }
            CallKind::Create
            | CallKind::Edit
            | CallKind::Suspend
            | CallKind::Unsuspend
            | CallKind::Terminate
            | CallKind::ReadBack => {}
        }
        Ok(())
    }

    /// The line is gone by our own call; its place is free.
    async fn remove(&self, tx: &mut PgTransaction<'_>, draft: &mut Draft) -> sqlx::Result<()> {
        let now = draft.held.now;
        if let Some(panel) = draft.held.row.panel_id {
            panel::give_place(tx, PanelId::from_uuid(panel)).await?;
        }
        let row = draft.row();
        row.unsee(&LineFact::Removed, now);
        row.attempts = 0;
        row.covered_through = None;
        Ok(())
    }

    fn backoff(&self, draft: &mut Draft) -> Duration {
        let row = draft.row();
        let attempts = u32::try_from(row.attempts).unwrap_or(0);
        row.attempts = row.attempts.saturating_add(1);
        let spread = u64::try_from(row.id.as_u128() & u128::from(u64::MAX)).unwrap_or(0);
        super::advance::span(self.app.config.reconcile.backoff().after(attempts, spread))
    }
}

const fn any(fields: crate::domain::Fields) -> bool {
    fields.expiry || fields.package
}

/// A line is ours when it has the password that only we know, or our mark.
fn is_ours(state: &LineState, job: &Job) -> bool {
    let tag: &OpTag = &job.tag;
    state.has_tag(tag) || (!job.password.is_empty() && state.password == job.password)
}

/// A stranger has the name: the next one of the list, with a fresh password.
fn next_name(row: &mut crate::store::service::Row) {
    row.close_call();
    row.candidate = row.candidate.saturating_add(1);
    row.username.clear();
    row.password_sealed = None;
    if u32::try_from(row.candidate).unwrap_or(u32::MAX) >= username::CANDIDATES_MAX {
        row.refused_version = Some(row.wanted_version);
        "names_taken".clone_into(&mut row.refused_code);
    }
}

/// This wanted state will be refused again; a newer one, or a person, may try.
fn refuse(draft: &mut Draft, job: &Job, code: &str) {
    let version = i64::try_from(job.wanted.version).unwrap_or(i64::MAX);
    let row = draft.row();
    row.refused_version = Some(version);
    code.clone_into(&mut row.refused_code);
}

/// Up to where purchases cover the customer's time after one more package.
fn covered(job: &Job, before: Option<chrono::DateTime<chrono::Utc>>) -> chrono::DateTime<chrono::Utc> {
    let Time::Packages(length_s) = job.panel.time(job.package) else { return job.wanted.paid_through };
    match before {
        Some(before) if (job.wanted.paid_through - before).num_seconds() > length_s + length_s / 2 => {
            before + TimeDelta::seconds(length_s)
        }
        Some(_) | None => job.wanted.paid_through,
    }
}

//! Reports of providers, read once a day and compared with the books in both directions. A comparison is a row: it is read page by
//! page, goes on where it broke, and says in the end what moved on both sides and what differs.

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt as _, stream};
use ottery_kernel::BrandId;
use ottery_kit::grpc::{Actor, Problem};
use ottery_kit::{WorkerContext, audit};
use serde_json::json;
use sqlx::postgres::PgTransaction;

use super::Reached;
use crate::app::Billing;
use crate::domain::provider::ProviderAccountId;
use crate::domain::reconcile::{DifferenceId, EVERY, Kind, ReconciliationId, Theirs, gap, window_from};
use crate::provider::{CallError, ReportAsk};
use crate::store;
use crate::store::reconcile::{self, Due, Run, Step, Stored};

/// Pages of one comparison: half a million payments in three days.
const PAGES_MAX: i32 = 5_000;
/// Failures in a row after which staff hears of it, and what is no payment is left out: after a quarter of an hour.
const TASK_AFTER: u32 = 3;
/// Task of a report that cannot be read.
pub(super) const TASK: &str = "reconciliation";
/// Providers count in whole seconds: what was made in this one is in the report.
const A_SECOND: TimeDelta = TimeDelta::seconds(1);
/// Longest reason why a difference is right as it is.
const REASON_CHARS_MAX: usize = 500;

/// What a page brought, and where the next one begins.
pub(super) struct Read {
    pub rows: Vec<Theirs>,
    pub next: Option<String>,
    /// Asked for one by one.
    pub is_one_sided: bool,
    /// The provider reports nothing of that kind.
    pub is_not_reported: bool,
}

impl Billing {
    pub(super) async fn reconcile_accounts(&self, context: &WorkerContext) -> anyhow::Result<()> {
        while !context.shutdown.is_cancelled() {
            if self.work_reconciliations().await? == 0 {
                tokio::select! {
                    () = context.shutdown.cancelled() => {}
                    () = tokio::time::sleep(self.config.payments.poll()) => {}
                }
            }
        }
        Ok(())
    }

    /// Compares the accounts that are due now, a few at a time; returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn work_reconciliations(&self) -> anyhow::Result<usize> {
        let payments = &self.config.payments;
        let due = reconcile::claim(&self.pool, payments.concurrency.into(), payments.lease()).await?;
        let count = due.len();
        stream::iter(due)
            .for_each_concurrent(None, |due| async move {
                if let Err(problem) = self.reconcile_account(due).await {
                    // The claim runs out, and the account is due again where it stopped.
                    tracing::warn!(brand.id = %due.brand, account.id = %due.account, reason = %problem.reason, error = %problem.message, "report not compared");
                }
            })
            .await;
        Ok(count)
    }

    async fn reconcile_account(&self, mut due: Due) -> Result<(), Problem> {
        let (mut tx, _) = self.begin(due.brand).await?;
        let Some(reached) = self.reach(&mut tx, due.brand, due.account).await?.filter(is_reported) else {
            reconcile::put_off(&mut tx, due.account, 0, EVERY).await?;
            return Ok(tx.commit().await?);
        };
        let mut run = match reconcile::open(&mut tx, due.account).await? {
            Some(run) => run,
            None => begin(&mut tx, due.brand, &reached, "").await?,
        };
        tx.commit().await?;
        loop {
            let Step::Read(kind) = run.step else { return self.compare_books(due, &reached, run).await };
            let read = match self.read_page(due.brand, &reached, &run, kind).await? {
                Ok(_) if run.pages >= PAGES_MAX => Err(CallError::Refused { code: "report_too_long".to_owned() }),
                read => read,
            };
            let read = match read {
                Ok(read) => read,
                Err(error) => return self.not_read(due, run, &error).await,
            };
            let was = (run.step, run.cursor.clone());
            go_on(&mut run, kind, &read);
            let (mut tx, _) = self.begin(due.brand).await?;
            reconcile::keep_rows(&mut tx, due.brand, run.id, &read.rows).await?;
            if !reconcile::save(&mut tx, &run, (was.0, &was.1)).await? {
                // Somebody else took it over.
                return Ok(());
            }
            reconcile::renew(&mut tx, due.account, self.config.payments.lease()).await?;
            tx.commit().await?;
            due.tries = 0;
            ottery_kit::crash::point("reconciliation.page");
        }
    }

    async fn read_page(
        &self,
        brand: BrandId,
        reached: &Reached,
        run: &Run,
        kind: Kind,
    ) -> Result<Result<Read, CallError>, Problem> {
        let ask = ReportAsk { kind, from: run.from, until: run.until, cursor: &run.cursor };
        let read = |rows, next, is_not_reported| Read { rows, next, is_one_sided: false, is_not_reported };
        Ok(match reached.provider.report(&reached.access, ask).await {
            Ok(Some(page)) => Ok(read(page.rows, page.next, false)),
            Ok(None) if kind == Kind::Payment => return self.read_alone(brand, reached, run).await,
            // They came with the payments that were asked for one by one.
            Ok(None) if kind == Kind::Refund && run.is_one_sided => Ok(read(Vec::new(), None, false)),
            Ok(None) => Ok(read(Vec::new(), None, true)),
            Err(error) => Err(error),
        })
    }

    /// The account did not answer, or the key must not read reports: staff hears of what does not end by itself. What is no payment
    /// is left out then, so that the rest is compared.
    pub(super) async fn not_read(&self, due: Due, mut run: Run, error: &CallError) -> Result<(), Problem> {
        let (mut tx, now) = self.begin(due.brand).await?;
        let was = (run.step, run.cursor.clone());
        let tries = due.tries.saturating_add(1);
        let mut after = (tries, gap(tries));
        run.problem = error.to_string();
        if tries >= TASK_AFTER {
            let what = match run.step {
                Step::Read(kind) => format!("{kind}s"),
                Step::Compare => "single payments".to_owned(),
            };
            let summary = format!(
                "{} does not report its {what}, so that they are not compared with the books ({error}); see that the provider is \
                 reached and that the key may read them",
                due.account
            );
            store::task::open(&mut tx, due.brand, TASK, due.account, &summary, now).await?;
            if let Step::Read(kind @ (Kind::Refund | Kind::Dispute)) = run.step {
                run.problem = format!("{kind}s were left out: {error}");
                run.left_out.push(kind);
                run.step = kind.next().map_or(Step::Compare, Step::Read);
                run.cursor.clear();
                after = (0, TimeDelta::zero());
            }
        }
        if reconcile::save(&mut tx, &run, (was.0, &was.1)).await? {
            reconcile::put_off(&mut tx, due.account, after.0, after.1).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Begins a comparison now; the one that is under way when there is one.
    ///
    /// # Errors
    /// When there is no such account, or the database fails.
    pub async fn ask_reconciliation(
        &self,
        actor: &Actor,
        brand: BrandId,
        account: ProviderAccountId,
    ) -> Result<Run, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let unknown = || {
            Problem::not_found("PROVIDER_ACCOUNT_NOT_FOUND", format!("there is no provider account {account}"))
                .on_field("provider_account_id")
        };
        let reached = self.reach(&mut tx, brand, account).await?.ok_or_else(unknown)?;
        if !is_reported(&reached) {
            let message = "nobody reports of coins: each address is looked at by itself; choose another account";
            return Err(Problem::refused("NOT_REPORTED", message).on_field("provider_account_id"));
        }
        let run = match reconcile::open(&mut tx, account).await? {
            Some(run) => run,
            None => begin(&mut tx, brand, &reached, &actor.subject).await?,
        };
        reconcile::hurry(&mut tx, account).await?;
        audit::append(&mut tx, actor, "reconciliation.ask", run.id, None, None).await?;
        tx.commit().await?;
        Ok(run)
    }

    /// Comparisons, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn reconciliations(&self, brand: BrandId, page: store::Page) -> Result<Vec<Run>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        Ok(reconcile::list(&mut tx, page).await?)
    }

    /// One comparison.
    ///
    /// # Errors
    /// When there is none, or the database fails.
    pub async fn reconciliation(&self, brand: BrandId, id: ReconciliationId) -> Result<Run, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let unknown = || Problem::not_found("RECONCILIATION_NOT_FOUND", format!("there is no comparison {id}"));
        reconcile::get(&mut tx, id).await?.ok_or_else(unknown)
    }

    /// Differences, the newest first; those that are there still, or all.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn reconciliation_differences(
        &self,
        brand: BrandId,
        is_open: bool,
        page: store::Page,
    ) -> Result<Vec<Stored>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        Ok(reconcile::differences(&mut tx, is_open, page).await?)
    }

    /// Staff says that a difference is right as it is: it is no task any more, as long as its amounts stay. Saying it again changes
    /// nothing.
    ///
    /// # Errors
    /// When there is no such difference, it is none any more, no reason is given, or the database fails.
    pub async fn accept_difference(
        &self,
        actor: &Actor,
        brand: BrandId,
        id: DifferenceId,
        reason: &str,
    ) -> Result<Stored, Problem> {
        let reason = reason.trim();
        if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
            let message = format!("reason: say why it is right as it is, in 1 to {REASON_CHARS_MAX} characters");
            return Err(Problem::invalid("reason", "REASON_INVALID", message));
        }
        let (mut tx, now) = self.begin(brand).await?;
        let unknown =
            || Problem::not_found("DIFFERENCE_NOT_FOUND", format!("there is no difference {id}")).on_field("id");
        let mut stored = reconcile::lock_difference(&mut tx, id).await?.ok_or_else(unknown)?;
        if stored.closed_at.is_some() {
            let message = "the last comparison did not find this difference any more; there is nothing to accept";
            return Err(Problem::refused("DIFFERENCE_CLOSED", message).on_field("id"));
        }
        if !stored.accepted_by.is_empty() {
            return Ok(stored);
        }
        stored.accepted_by.clone_from(&actor.subject);
        reason.clone_into(&mut stored.accepted_reason);
        reconcile::put_difference(&mut tx, brand, &stored).await?;
        store::task::resolve(&mut tx, brand, stored.finding.difference.task(), id, now).await?;
        super::reconcile_books::tell_of_foreign(&mut tx, brand, stored.account, now).await?;
        let after = json!({"difference": stored.finding.summary(""), "reason": reason});
        audit::append(&mut tx, actor, "reconciliation.accept", id, None, Some(after)).await?;
        tx.commit().await?;
        Ok(stored)
    }
}

/// Whether somebody in between could report anything: chains are read address by address as it is, and what came by bank or in cash is
/// what people recorded. Beside the bank's own statement they hold it themselves.
fn is_reported(reached: &Reached) -> bool {
    reached.provider.coins().is_none() && reached.provider.by_hand().is_none()
}

/// Begins a comparison of the last days by real time.
async fn begin(tx: &mut PgTransaction<'_>, brand: BrandId, reached: &Reached, asked_by: &str) -> Result<Run, Problem> {
    let run = fresh(reached, asked_by, store::provider_account::real_now(tx).await?);
    if reconcile::insert(tx, brand, &run).await? {
        return Ok(run);
    }
    let gone = || Problem::unavailable("RECONCILIATION_BUSY", "a comparison has just ended; try again in a moment");
    reconcile::open(tx, reached.id).await?.ok_or_else(gone)
}

fn fresh(reached: &Reached, asked_by: &str, now: DateTime<Utc>) -> Run {
    Run {
        id: ReconciliationId::fresh(),
        account: reached.id,
        provider: reached.provider.name().to_owned(),
        asked_by: asked_by.to_owned(),
        from: window_from(now),
        until: now + A_SECOND,
        step: Step::Read(Kind::Payment),
        cursor: String::new(),
        is_one_sided: false,
        left_out: Vec::new(),
        not_reported: Vec::new(),
        problem: String::new(),
        pages: 0,
        rows_read: 0,
        rows_ours: 0,
        healed: 0,
        differences: 0,
        totals: Vec::new(),
        begun_at: now,
        ended_at: None,
    }
}

/// Where a comparison is after a page.
fn go_on(run: &mut Run, kind: Kind, read: &Read) {
    run.pages = run.pages.saturating_add(1);
    run.rows_read = run.rows_read.saturating_add(i32::try_from(read.rows.len()).unwrap_or(i32::MAX));
    run.is_one_sided |= read.is_one_sided;
    if run.left_out.is_empty() {
        run.problem.clear();
    }
    if read.is_not_reported {
        run.not_reported.push(kind);
    }
    match &read.next {
        // A page that names itself as the next one would be read for ever.
        Some(next) if *next != run.cursor && !next.is_empty() => run.cursor.clone_from(next),
        Some(_) | None => {
            run.cursor.clear();
            run.step = kind.next().map_or(Step::Compare, Step::Read);
        }
    }
}

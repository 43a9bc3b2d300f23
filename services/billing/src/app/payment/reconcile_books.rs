//! What was read of a provider beside the books: what is missing is asked for by itself, what a missed event explains is made good,
//! and what stays is a difference with a task, until a later comparison finds it no more.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, Money, PaymentId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::Reached;
use super::reconcile::{Read, TASK};
use crate::app::Billing;
use crate::domain::provider::ProviderAccountId;
use crate::domain::reconcile::{
    DifferenceId, Finding, Key, Kind, Ours, Theirs, as_counted_there, compare, in_question, next_due, totals, unlisted,
};
use crate::provider::{CallError, Lookup, report};
use crate::store;
use crate::store::reconcile::{self, Due, Run, Stored};
use crate::store::reconcile_books::{self as books, Asked};

/// Payments that are asked for one by one in one go.
const ALONE_MAX: i64 = 20;
/// Objects of one comparison that are asked for by themselves. More are missing only where the key is another account's.
const LOOKUPS_MAX: usize = 500;
/// Differences of one comparison that are made good; the others are the next day.
const HEALS_MAX: usize = 500;
/// Task of money at an account that names nothing of ours.
const FOREIGN_TASK: &str = "reconciliation_foreign";

impl Billing {
    /// Asks for payments of ours one by one, where the provider lists none.
    pub(super) async fn read_alone(
        &self,
        brand: BrandId,
        reached: &Reached,
        run: &Run,
    ) -> Result<Result<Read, CallError>, Problem> {
        let after = run.cursor.parse::<PaymentId>().ok();
        let (mut tx, _) = self.begin(brand).await?;
        let ours = books::alone(&mut tx, run.account, (run.from, run.until), after, ALONE_MAX).await?;
        drop(tx);
        let mut rows = Vec::new();
        for one in &ours {
            match self.read_one(reached, one).await {
                Ok(found) => rows.extend(found),
                Err(error) => return Ok(Err(error)),
            }
        }
        let is_full = i64::try_from(ours.len()).is_ok_and(|count| count == ALONE_MAX);
        let next = ours.last().map(|last| last.id.to_string()).filter(|_| is_full);
        Ok(Ok(Read { rows, next, is_one_sided: true, is_not_reported: false }))
    }

    async fn read_one(&self, reached: &Reached, one: &books::Alone) -> Result<Vec<Theirs>, CallError> {
        let (provider, access) = (&reached.provider, &reached.access);
        let lookup = if one.provider_ref.is_empty() {
            Lookup::Checkout(&one.checkout_ref)
        } else {
            Lookup::Payment(&one.provider_ref)
        };
        let truth = provider.fetch_payment(access, lookup).await?;
        let mut rows: Vec<Theirs> =
            report::payment(&one.provider_ref, &one.id.to_string(), &truth).into_iter().collect();
        if !one.provider_ref.is_empty() {
            rows.extend(provider.refunds_of(access, &one.provider_ref).await?.iter().map(report::refund));
        }
        Ok(rows)
    }

    /// The books' side of what was read.
    async fn books_of(
        &self,
        brand: BrandId,
        run: &Run,
        theirs: &mut Vec<Theirs>,
        known: &[Stored],
    ) -> Result<Vec<Ours>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let mut ours = Vec::new();
        for kind in Kind::ALL.into_iter().filter(|kind| run.compares(*kind)) {
            let of_kind = || theirs.iter().filter(|one| one.kind == kind);
            let kept = || known.iter().map(|one| &one.finding).filter(|finding| finding.kind == kind);
            let named = |texts: HashSet<&String>| texts.into_iter().filter(|text| !text.is_empty()).cloned().collect();
            // Payments also by what was given back, or objected to.
            let parents = || theirs.iter().map(|one| &one.parent).filter(|_| kind == Kind::Payment);
            let listed = of_kind().map(|one| &one.reference).chain(kept().map(|one| &one.reference));
            let references: Vec<String> = named(listed.chain(parents()).collect());
            let ids: Vec<String> = named(of_kind().map(|one| &one.ours).chain(kept().map(|one| &one.ours)).collect());
            let asked = Asked {
                account: run.account,
                provider: &run.provider,
                from: run.from,
                until: run.until,
                references: &references,
                ids: &ids,
            };
            match kind {
                Kind::Payment => ours.extend(books::payments(&mut tx, &asked).await?),
                Kind::Refund => {
                    let held: HashSet<String> =
                        books::held_by_disputes(&mut tx, &references).await?.into_iter().collect();
                    theirs.retain(|one| one.kind != Kind::Refund || !held.contains(&one.reference));
                    ours.extend(books::refunds(&mut tx, &asked).await?);
                }
                Kind::Dispute => ours.extend(books::disputes(&mut tx, &asked).await?),
            }
        }
        // What differed yesterday is looked at today, however old it is.
        let watched: HashSet<(Kind, &str)> =
            known.iter().map(|one| (one.finding.kind, one.finding.ours.as_str())).collect();
        for one in &mut ours {
            one.is_expected |= watched.contains(&(one.kind, one.id.as_str()));
        }
        Ok(as_counted_there(ours))
    }

    /// Everything is read: compares it, makes good what can be, and writes down what cannot.
    pub(super) async fn compare_books(&self, due: Due, reached: &Reached, mut run: Run) -> Result<(), Problem> {
        let (mut tx, _) = self.begin(due.brand).await?;
        let mut theirs = reconcile::rows(&mut tx, run.id).await?;
        let known = reconcile::open_differences(&mut tx, due.account).await?;
        drop(tx);
        theirs.retain(|one| run.compares(one.kind));
        let mut ours = self.books_of(due.brand, &run, &mut theirs, &known).await?;
        let asked = lookups(&run, &ours, &theirs, &known);
        let mut found = Vec::new();
        for (kind, reference, id) in &asked {
            match report::read_again(&*reached.provider, &reached.access, *kind, reference).await {
                Ok(Some(mut one)) => {
                    if one.ours.is_empty() {
                        one.ours.clone_from(id);
                    }
                    found.push(one);
                }
                Ok(None) => {}
                Err(error) => return self.not_read(due, run, &error).await,
            }
        }
        if !found.is_empty() {
            theirs.extend(found);
            ours = self.books_of(due.brand, &run, &mut theirs, &known).await?;
        }
        let mut findings = compare(&ours, &theirs);
        findings.sort_by_key(|finding| finding.kind);
        let mut is_healed = false;
        for finding in findings.iter().take(HEALS_MAX) {
            is_healed |= match Box::pin(self.heal(due.brand, reached, finding)).await {
                Ok(is_healed) => is_healed,
                Err(problem) => {
                    tracing::warn!(brand.id = %due.brand, reference = %finding.reference, reason = %problem.reason, error = %problem.message, "difference not made good");
                    false
                }
            };
        }
        if is_healed {
            let before: HashSet<Key> = findings.iter().map(Finding::key).collect();
            ours = self.books_of(due.brand, &run, &mut theirs, &known).await?;
            findings = compare(&ours, &theirs);
            // One that is matched now by another id is the same as before all the same: what is gone was made good.
            run.healed = i32::try_from(before.len().saturating_sub(findings.len())).unwrap_or(i32::MAX);
        }
        run.rows_ours = i32::try_from(in_question(&ours, &theirs).count()).unwrap_or(i32::MAX);
        run.differences = i32::try_from(findings.len()).unwrap_or(i32::MAX);
        run.totals = totals(&ours, &theirs);
        self.end(due, run, findings).await
    }

    async fn end(&self, due: Due, mut run: Run, findings: Vec<Finding>) -> Result<(), Problem> {
        let (mut tx, now) = self.begin(due.brand).await?;
        let real_now = store::provider_account::real_now(&mut tx).await?;
        let was = (run.step, run.cursor.clone());
        run.ended_at = Some(real_now);
        if run.left_out.is_empty() {
            run.problem.clear();
        }
        if !reconcile::save(&mut tx, &run, (was.0, &was.1)).await? {
            return Ok(());
        }
        record(&mut tx, due.brand, &run, findings, real_now, now).await?;
        reconcile::drop_rows(&mut tx, run.id).await?;
        if run.problem.is_empty() {
            store::task::resolve(&mut tx, due.brand, TASK, due.account, now).await?;
        }
        let rest = (next_due(run.begun_at) - real_now).max(chrono::TimeDelta::zero());
        reconcile::put_off(&mut tx, due.account, 0, rest).await?;
        tx.commit().await?;
        tracing::info!(brand.id = %due.brand, account.id = %due.account, reconciliation.id = %run.id, read = run.rows_read, ours = run.rows_ours, healed = run.healed, differences = run.differences, is_one_sided = run.is_one_sided, "report compared with the books");
        Ok(())
    }
}

/// What is asked for by itself, with our id of it: what the report should have named, and what differed before.
fn lookups(run: &Run, ours: &[Ours], theirs: &[Theirs], known: &[Stored]) -> Vec<(Kind, String, String)> {
    let listed: HashSet<(Kind, &str)> = theirs.iter().map(|one| (one.kind, one.reference.as_str())).collect();
    let missing = unlisted(ours, theirs).into_iter().map(|one| (one.kind, one.reference.clone(), one.id.clone()));
    let kept = known.iter().map(|one| &one.finding).filter(|finding| {
        let is_listed = listed.contains(&(finding.kind, finding.reference.as_str()));
        !is_listed && !finding.is_foreign() && !finding.reference.is_empty() && run.compares(finding.kind)
    });
    let kept = kept.map(|finding| (finding.kind, finding.reference.clone(), finding.ours.clone()));
    let mut seen = HashSet::new();
    missing
        .chain(kept)
        .filter(|(kind, reference, _)| seen.insert((*kind, reference.clone())))
        .take(LOOKUPS_MAX)
        .collect()
}

/// Writes down what differs, and what does not any more. The caller commits.
async fn record(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    run: &Run,
    findings: Vec<Finding>,
    real_now: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let open = reconcile::open_differences(tx, run.account).await?;
    let mut open: HashMap<Key, Stored> = open.into_iter().map(|one| (one.finding.key(), one)).collect();
    for finding in findings {
        let stored = match open.remove(&finding.key()) {
            Some(known) => {
                let amounts = |finding: &Finding| (finding.theirs_amount, finding.ours_amount);
                let is_same = amounts(&known.finding) == amounts(&finding);
                let accepted =
                    if is_same { (known.accepted_by, known.accepted_reason) } else { (String::new(), String::new()) };
                Stored {
                    finding,
                    seen_by: run.id,
                    seen_at: real_now,
                    accepted_by: accepted.0,
                    accepted_reason: accepted.1,
                    ..known
                }
            }
            None => Stored {
                id: DifferenceId::fresh(),
                account: run.account,
                finding,
                seen_by: run.id,
                found_at: real_now,
                seen_at: real_now,
                accepted_by: String::new(),
                accepted_reason: String::new(),
                closed_at: None,
            },
        };
        reconcile::put_difference(tx, brand, &stored).await?;
        if !stored.finding.is_foreign() && stored.accepted_by.is_empty() {
            let summary = stored.finding.summary(&run.provider);
            store::task::open(tx, brand, stored.finding.difference.task(), stored.id, &summary, now).await?;
        }
    }
    for gone in open.into_values().filter(|one| run.compares(one.finding.kind)) {
        let (id, task) = (gone.id, gone.finding.difference.task());
        reconcile::put_difference(tx, brand, &Stored { closed_at: Some(real_now), ..gone }).await?;
        store::task::resolve(tx, brand, task, id, now).await?;
    }
    tell_of_foreign(tx, brand, run.account, now).await
}

/// Money that names nothing of ours is one task for the account: another product may use it, and then it is every day.
pub(super) async fn tell_of_foreign(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    account: ProviderAccountId,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let open = reconcile::open_differences(tx, account).await?;
    let foreign: Vec<&Stored> =
        open.iter().filter(|one| one.finding.is_foreign() && one.accepted_by.is_empty()).collect();
    if foreign.is_empty() {
        return Ok(store::task::resolve(tx, brand, FOREIGN_TASK, account, now).await?);
    }
    let mut sums: BTreeMap<String, Money> = BTreeMap::new();
    for amount in foreign.iter().filter_map(|one| one.finding.theirs_amount) {
        let sum = sums.entry(amount.currency.code().to_owned()).or_insert_with(|| Money::zero(amount.currency));
        *sum = sum.checked_add(amount).unwrap_or(*sum);
    }
    let sums: Vec<String> = sums.values().map(ToString::to_string).collect();
    let summary = format!(
        "{account} has {} payments, refunds or disputes ({}) that name nothing of ours; where no other product uses the account, \
         find out what they were for",
        foreign.len(),
        sums.join(", ")
    );
    Ok(store::task::open(tx, brand, FOREIGN_TASK, account, &summary, now).await?)
}

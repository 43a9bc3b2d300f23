//! What must be true after a storm, asked of the rows and of the providers, not of the code that wrote them.

use std::collections::{BTreeMap, HashMap};

use ottery_kernel::InvoiceId;
use sqlx::PgPool;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::storm::Outcome;

/// An attempt as the database has it.
#[derive(Debug, sqlx::FromRow)]
struct Attempt {
    id: Uuid,
    invoice_id: Uuid,
    kind: String,
    state: String,
    is_processing: bool,
    received_minor: Option<i64>,
    provider: String,
}

/// An invoice as the database has it.
#[derive(Debug, sqlx::FromRow)]
struct Asked {
    id: Uuid,
    state: String,
    total_minor: i64,
    paid_minor: i64,
}

/// What differs, in sentences with ids.
///
/// # Errors
/// The database fails.
pub async fn check(admin: &mut PgConnection, pool: &PgPool, outcome: &Outcome) -> anyhow::Result<Vec<String>> {
    let mut wrong = outcome.wrong.clone();
    wrong.extend(outcome.carried.wrong.iter().cloned());
    let attempts: Vec<Attempt> = sqlx::query_as(
        "SELECT id, invoice_id, kind, state, is_processing, received_minor, provider FROM payment ORDER BY id",
    )
    .fetch_all(&mut *admin)
    .await?;
    let invoices: Vec<Asked> = sqlx::query_as(
        "SELECT id, state, total_minor, (SELECT coalesce(sum(a.amount_minor), 0)::bigint FROM allocation a
              WHERE a.brand_id = i.brand_id AND a.invoice_id = i.id) AS paid_minor
           FROM invoice i ORDER BY id",
    )
    .fetch_all(&mut *admin)
    .await?;
    let names = names(outcome);
    wrong.extend(attempts.iter().flat_map(|attempt| of_attempt(attempt, outcome, &names)));
    let truly = truly_paid(&attempts, outcome);
    wrong.extend(invoices.iter().flat_map(|invoice| of_invoice(invoice, &truly, &names)));
    wrong.extend(strangers(&attempts, outcome));
    wrong.extend(books(admin, outcome).await?);
    let findings = billing::invariants(pool).await?;
    wrong.extend(findings.into_iter().map(|finding| format!("{}: {}", finding.invariant, finding.detail)));
    Ok(wrong)
}

/// The payments of the plan, in words, by invoice.
fn names(outcome: &Outcome) -> HashMap<Uuid, String> {
    let named = outcome.gone.iter().filter_map(|gone| {
        let planned = &gone.planned;
        let words = format!(
            "payment {} of the plan ({}{}, {:?}, made in {:?}, read in {:?}, webhooks {:?})",
            planned.number,
            planned.gateway.as_str(),
            if planned.renews.is_some() { ", a renewal" } else { "" },
            planned.act,
            planned.making,
            planned.reading,
            planned.fates
        );
        Some((gone.invoice?.as_uuid(), words))
    });
    named.collect()
}

fn reference(id: Uuid) -> String {
    ottery_kernel::PaymentId::from_uuid(id).to_string()
}

fn of_attempt(attempt: &Attempt, outcome: &Outcome, names: &HashMap<Uuid, String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let id = reference(attempt.id);
    let name = names.get(&attempt.invoice_id).cloned().unwrap_or_else(|| "a payment outside the plan".to_owned());
    let mut say = |what: String| wrong.push(format!("{name}, {id}: {what}"));
    let (state, is_saved) = (attempt.state.as_str(), attempt.kind == "saved");
    if matches!(state, "unknown" | "sent") || attempt.is_processing || is_saved && state == "requested" {
        let processing = if attempt.is_processing { ", still being decided" } else { "" };
        say(format!("is {state}{processing} when the storm is long over"));
    }
    if matches!(attempt.provider.as_str(), "bank_transfer" | "cash") {
        return wrong;
    }
    let took = outcome.truth.get(&id).map_or(&[][..], Vec::as_slice);
    if took.len() > 1 {
        say(format!("the provider took money {} times: {took:?}", took.len()));
    }
    let truth: i64 = took.iter().sum();
    let received = attempt.received_minor.unwrap_or(0);
    if (state == "succeeded") == took.is_empty() || received != truth {
        say(format!("is {state} with {received} received, and the provider took {truth}"));
    }
    wrong
}

/// What was truly paid of each invoice.
fn truly_paid(attempts: &[Attempt], outcome: &Outcome) -> BTreeMap<Uuid, Vec<i64>> {
    let mut truly: BTreeMap<Uuid, Vec<i64>> = BTreeMap::new();
    for attempt in attempts {
        let took = outcome.truth.get(&reference(attempt.id)).into_iter().flatten();
        truly.entry(attempt.invoice_id).or_default().extend(took);
    }
    for (invoice, minor) in &outcome.by_hand {
        truly.entry(invoice.as_uuid()).or_default().push(*minor);
    }
    truly
}

fn of_invoice(invoice: &Asked, truly: &BTreeMap<Uuid, Vec<i64>>, names: &HashMap<Uuid, String>) -> Vec<String> {
    let took = truly.get(&invoice.id).map_or(&[][..], Vec::as_slice);
    let (truth, id) = (took.iter().sum::<i64>(), InvoiceId::from_uuid(invoice.id));
    let name = names.get(&invoice.id).cloned().unwrap_or_else(|| "an invoice outside the plan".to_owned());
    let mut wrong = Vec::new();
    if took.len() > 1 {
        wrong.push(format!("{name}, {id}: paid {} times: {took:?}", took.len()));
    }
    if invoice.paid_minor != truth || (invoice.state == "closed") != (truth == invoice.total_minor) {
        wrong.push(format!(
            "{name}, {id}: is {} with {} of {} paid, and providers took {truth}",
            invoice.state, invoice.paid_minor, invoice.total_minor
        ));
    }
    wrong
}

/// Money at a provider for something that is none of our payments.
fn strangers(attempts: &[Attempt], outcome: &Outcome) -> Vec<String> {
    let known: std::collections::HashSet<String> = attempts.iter().map(|attempt| reference(attempt.id)).collect();
    let foreign = outcome.truth.iter().filter(|(id, _)| !known.contains(*id));
    foreign.map(|(id, took)| format!("a provider took {took:?} for {id}, which nobody here knows")).collect()
}

/// The ledger holds what was truly taken, once each. That it sums to zero the doctor asks.
async fn books(admin: &mut PgConnection, outcome: &Outcome) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    let (settled, count): (i64, i64) = sqlx::query_as(
        "SELECT coalesce(sum(amount_minor), 0)::bigint, count(DISTINCT reference_id) FROM transfer WHERE kind = 'payment.settled'",
    )
    .fetch_one(&mut *admin)
    .await?;
    let by_hand: i64 = outcome.by_hand.values().sum();
    let taken = outcome.truth.values().flatten().sum::<i64>() + by_hand;
    if settled != taken {
        wrong.push(format!("{count} payments with {settled} are in the ledger, and {taken} was taken"));
    }
    Ok(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::post::Carried;

    fn outcome(took: &[i64]) -> Outcome {
        let truth =
            [(reference(Uuid::nil()), took.to_vec())].into_iter().filter(|(_, took)| !took.is_empty()).collect();
        Outcome {
            gone: Vec::new(),
            truth,
            by_hand: BTreeMap::new(),
            carried: Carried::default(),
            restarts: 0,
            wrong: Vec::new(),
        }
    }

    fn attempt(state: &str, received_minor: Option<i64>) -> Attempt {
        Attempt {
            id: Uuid::nil(),
            invoice_id: Uuid::nil(),
            kind: "hosted".into(),
            state: state.into(),
            is_processing: false,
            received_minor,
            provider: "sandbox".into(),
        }
    }

    #[test]
    fn a_payment_is_right_only_when_it_is_what_the_provider_took() {
        let is_right =
            |attempt: &Attempt, took: &[i64]| of_attempt(attempt, &outcome(took), &HashMap::new()).is_empty();
        assert!(is_right(&attempt("succeeded", Some(500)), &[500]));
        assert!(is_right(&attempt("pending", None), &[]) && is_right(&attempt("cancelled", None), &[]));
        for (wrong, took) in [
            (attempt("succeeded", Some(500)), &[][..]),
            (attempt("succeeded", Some(500)), &[400]),
            (attempt("succeeded", Some(1_000)), &[500, 500]),
            (attempt("failed", None), &[500]),
            (attempt("unknown", None), &[]),
            (attempt("sent", None), &[]),
            (Attempt { kind: "saved".into(), ..attempt("requested", None) }, &[]),
            (Attempt { is_processing: true, ..attempt("pending", None) }, &[]),
        ] {
            assert!(!is_right(&wrong, took), "{wrong:?} {took:?}");
        }
    }

    #[test]
    fn an_invoice_is_right_only_when_it_was_paid_once() {
        let asked =
            |state: &str, paid_minor| Asked { id: Uuid::nil(), state: state.into(), total_minor: 500, paid_minor };
        let is_right = |invoice: &Asked, took: &[i64]| {
            of_invoice(invoice, &BTreeMap::from([(Uuid::nil(), took.to_vec())]), &HashMap::new()).is_empty()
        };
        assert!(is_right(&asked("closed", 500), &[500]) && is_right(&asked("open", 0), &[]));
        assert!(is_right(&asked("open", 200), &[200]), "a part is no whole");
        for (wrong, took) in [
            (asked("open", 500), &[500][..]),
            (asked("closed", 500), &[]),
            (asked("closed", 500), &[500, 500]),
            (asked("void", 0), &[500]),
        ] {
            assert!(!is_right(&wrong, took), "{wrong:?} {took:?}");
        }
    }

    #[test]
    fn money_for_nobody_here_is_found() {
        assert_eq!(strangers(&[], &outcome(&[500])).len(), 1);
        assert!(strangers(&[attempt("succeeded", Some(500))], &outcome(&[500])).is_empty());
    }
}

//! What must be true after a run, asked of the rows and not of the code that wrote them.

use billing::domain::invoice::State;
use ottery_kernel::Term;
use ottery_kit::db::DatabaseSettings;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnection, PgPoolOptions};

use super::seed::{self, ADD_ON, Seeded};

/// What was found.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What is wrong, in sentences.
    pub wrong: Vec<String>,
    /// Figures that help to believe it.
    pub figures: Value,
}

/// Looks at every subscription, invoice and number, and asks billing's doctor.
///
/// # Errors
/// The database fails.
pub async fn check(
    admin: &mut PgConnection,
    settings: &DatabaseSettings,
    subscriptions: u32,
    seeded: &Seeded,
) -> anyhow::Result<Checked> {
    let subscriptions = i64::from(subscriptions);
    let (invoices, renewed, closed, first, last): (i64, i64, i64, i64, i64) = sqlx::query_as(
        "SELECT count(*), count(DISTINCT subscription_id), count(*) FILTER (WHERE state = $1),
                coalesce(min(number_seq), 0), coalesce(max(number_seq), 0) FROM invoice",
    )
    .bind(State::Closed.as_str())
    .fetch_one(&mut *admin)
    .await?;
    // Those whose wallet paid run on; the others wait for their payment.
    let (due, moved): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM due WHERE due_at <= $1), (SELECT count(*) FROM subscription WHERE paid_through > period_end)",
    )
    .bind(seed::month_end())
    .fetch_one(&mut *admin)
    .await?;
    let (bought, billed): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM subscription WHERE jsonb_array_length(offer->'addons') = 1),
                (SELECT count(*) FROM invoice WHERE lines @> $1)",
    )
    .bind(json!([{ "description": format!("{ADD_ON}, {}", Term::MONTH) }]))
    .fetch_one(&mut *admin)
    .await?;
    let events: Vec<(String, i64)> =
        sqlx::query_as("SELECT kind, count(*) FROM outbox GROUP BY kind ORDER BY kind").fetch_all(&mut *admin).await?;
    let wanted = [
        ("invoices", invoices, subscriptions),
        ("subscriptions with an invoice", renewed, subscriptions),
        ("invoices paid from wallets", closed, seeded.paying),
        ("subscriptions with a paid next period", moved, seeded.paying),
        ("invoices with an add-on", billed, bought),
        ("subscriptions that are still due", due, 0),
        ("the first number", first, 1),
        ("the last number", last, subscriptions),
    ];
    let mut wrong: Vec<String> = wanted
        .into_iter()
        .filter(|(_, is, wanted)| is != wanted)
        .map(|(what, is, wanted)| format!("{what}: {is} instead of {wanted}"))
        .collect();
    // With the application's own rights, as the doctor wants it, but without its patience: a million rows take longer.
    let patient = settings.options(billing::NAME)?.options([("statement_timeout", "0")]);
    let pool = PgPoolOptions::new().max_connections(1).connect_with(patient).await?;
    let findings = billing::invariants(&pool).await?;
    pool.close().await;
    wrong.extend(findings.into_iter().map(|finding| format!("{}: {}", finding.invariant, finding.detail)));
    let events: serde_json::Map<_, _> = events.into_iter().map(|(kind, count)| (kind, json!(count))).collect();
    let figures = json!({
        "invoices": invoices, "with_add_on": billed, "paid_from_wallets": closed, "left_open": invoices - closed,
        "numbers": [first, last], "events": events,
    });
    Ok(Checked { wrong, figures })
}

//! What follows from a refused charge: time for whoever has to confirm, and whether the customer hears of it.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{BrandId, InvoiceId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use crate::app::schedule::lock_case;
use crate::app::unit::Unit;
use crate::app::{Billing, broken, profile};
use crate::domain::dunning;
use crate::domain::payment::DeclineClass;
use crate::domain::subscription::{Command, State};
use crate::store;

/// Notes the refusal of a charge whose outcome is stored already; true when the customer shall hear of it. `invoices` is what it
/// was for, all locked; what follows for the one it was asked for by follows for all.
///
/// # Errors
/// When the database fails.
pub(in crate::app) async fn refused(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    brand: BrandId,
    (invoice, invoices): (InvoiceId, &[InvoiceId]),
    class: DeclineClass,
    now: DateTime<Utc>,
) -> Result<bool, Problem> {
    let Some(id) = store::invoice::subscription_of(tx, invoice).await? else { return Ok(true) };
    let Some(case) = lock_case(tx, brand, id).await? else { return Ok(true) };
    let settings = case.settings(&billing.config.dunning(&profile(tx, brand).await?));
    let waiting = case.waiting();
    let Some(open) = waiting.invoice.filter(|open| open.id == invoice) else { return Ok(true) };
    let refusal = dunning::refused(class, &open, waiting.contacted_at, &settings, now);
    if refusal.is_told {
        store::dunning::claim_contacts(tx, &[(case.subscription.account, now)], now).await?;
    }
    if refusal.pause.is_zero() {
        return Ok(refusal.is_told);
    }
    for paused in invoices {
        set_back(tx, brand, *paused, refusal.pause, now).await?;
    }
    Ok(refusal.is_told)
}

/// Gives the customer time for one invoice, and its subscription as much longer a grace.
async fn set_back(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    invoice: InvoiceId,
    pause: TimeDelta,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    store::dunning::pause(tx, brand, invoice, pause).await?;
    let Some(id) = store::invoice::subscription_of(tx, invoice).await? else { return Ok(()) };
    let Some(mut case) = lock_case(tx, brand, id).await? else { return Ok(()) };
    if let State::PastDue { grace_until } = case.subscription.state {
        let before = case.subscription.clone();
        let longer = Command::Prolong { grace_until: grace_until + pause };
        case.subscription.apply(longer, now).map_err(broken)?;
        let mut unit = Unit::new(brand, profile(tx, brand).await?, now);
        unit.lock_customers(tx, &[case.subscription.account]).await?;
        unit.touch(&before, &mut case.subscription, "waits_for_confirmation").map_err(broken)?;
        unit.keep(case.subscription);
        unit.flush(tx).await?;
    }
    Ok(())
}

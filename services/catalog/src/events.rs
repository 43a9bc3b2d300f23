//! What other services hear: always the whole state, with the aggregate's next version.

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use ottery_kit::outbox::{Event, append};
use ottery_proto::catalog::v1::{BrandChanged, ClockAdvanced, PlanChanged, TaxesChanged};
use sqlx::postgres::PgTransaction;

use crate::domain::Plan;
use crate::grpc::convert;
use crate::store::brand::{self, StoredBrand};
use crate::store::tax::StoredTable;

/// `catalog.brand.changed.v1`; gives the brand back as it is now.
pub async fn brand_changed(tx: &mut PgTransaction<'_>, id: BrandId, now: DateTime<Utc>) -> sqlx::Result<StoredBrand> {
    let version = brand::next_event_version(tx, id).await?;
    let stored = brand::get(tx, id).await?.ok_or(sqlx::Error::RowNotFound)?;
    let payload = BrandChanged { brand: Some(convert::brand(&stored)) };
    append(tx, Event::new("catalog.brand.changed.v1", id, version, id, now, &payload)).await?;
    Ok(stored)
}

/// `catalog.plan.changed.v1`
pub async fn plan_changed(tx: &mut PgTransaction<'_>, plan: &Plan, now: DateTime<Utc>) -> sqlx::Result<()> {
    let payload = PlanChanged { plan: Some(convert::plan(plan)) };
    // Nobody keeps a copy of plans yet besides page caches, which listen when they run.
    let event = Event::new("catalog.plan.changed.v1", plan.id, plan.version, plan.brand, now, &payload).optional();
    append(tx, event).await?;
    Ok(())
}

/// `catalog.taxes.changed.v1`
pub async fn taxes_changed(tx: &mut PgTransaction<'_>, table: &StoredTable, now: DateTime<Utc>) -> sqlx::Result<()> {
    let payload = TaxesChanged { table: Some(convert::tax_table(table)) };
    append(tx, Event::new("catalog.taxes.changed.v1", table.brand, table.version, table.brand, now, &payload)).await?;
    Ok(())
}

/// `catalog.clock.advanced.v1`
pub async fn clock_advanced(tx: &mut PgTransaction<'_>, id: BrandId, now: DateTime<Utc>) -> sqlx::Result<()> {
    let version = brand::next_event_version(tx, id).await?;
    let payload = ClockAdvanced { brand_id: id.to_string(), now: Some(convert::instant(now)) };
    append(tx, Event::new("catalog.clock.advanced.v1", id, version, id, now, &payload)).await?;
    Ok(())
}

//! Billing's tables of a running system, as an administrator sees them.

use std::path::Path;

use chrono::{DateTime, Utc};
use ottery_kit::db::{self, DatabaseSettings};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

/// Connects to billing's database of the system on that folder.
pub async fn billing(folder: &Path) -> PgConnection {
    let url = std::fs::read_to_string(folder.join("database-url")).unwrap();
    let settings = DatabaseSettings::for_server(url.trim(), "");
    let database = settings.database_name(billing::NAME);
    db::admin_connection(&settings, Some(&database)).await.unwrap()
}

/// A renewal, as much of it as tells whether it was made once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, sqlx::FromRow)]
pub struct Renewal {
    pub id: Uuid,
    pub subscription_id: Uuid,
    pub period_start: DateTime<Utc>,
    pub state: String,
    pub charges_made: i32,
}

/// All renewals, in the order of their ids.
pub async fn renewals(billing: &mut PgConnection) -> Vec<Renewal> {
    sqlx::query_as(
        "SELECT id, subscription_id, period_start, state, charges_made FROM invoice WHERE purpose = 'renewal' ORDER BY id",
    )
    .fetch_all(billing)
    .await
    .unwrap()
}

/// No period of a subscription has two invoices.
pub async fn assert_no_period_twice(billing: &mut PgConnection) {
    let twice: Vec<(Uuid, i64)> = sqlx::query_as(
        "SELECT subscription_id, count(*) FROM invoice WHERE purpose IN ('first', 'renewal') AND state <> 'void'
          GROUP BY subscription_id, period_start HAVING count(*) > 1",
    )
    .fetch_all(billing)
    .await
    .unwrap();
    assert_eq!(twice, []);
}

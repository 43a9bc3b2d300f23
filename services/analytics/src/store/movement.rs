//! Movements, a projection of the log.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, Money, MovementId, SubscriptionId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Movement, MovementKind};

struct Row {
    id: Uuid,
    account_id: Uuid,
    subscription_id: Uuid,
    kind: String,
    currency: String,
    delta_minor: i64,
    effective_at: DateTime<Utc>,
}

impl TryFrom<Row> for Movement {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let kind = MovementKind::from_stored(&row.kind)
            .ok_or_else(|| sqlx::Error::Decode(format!("unknown movement `{}`", row.kind).into()))?;
        let currency = row.currency.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok(Self {
            id: MovementId::from_uuid(row.id),
            kind,
            account: AccountId::from_uuid(row.account_id),
            subscription: SubscriptionId::from_uuid(row.subscription_id),
            delta: Money { minor: row.delta_minor, currency },
            effective_at: row.effective_at,
        })
    }
}

/// Puts these in the place of a customer's movements.
pub async fn replace(
    tx: &mut PgConnection,
    brand: BrandId,
    account: AccountId,
    movements: &[Movement],
) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM movement WHERE account_id = $1", account.as_uuid()).execute(&mut *tx).await?;
    let (mut ids, mut subscriptions, mut kinds, mut currencies, mut deltas, mut instants) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for movement in movements {
        ids.push(movement.id.as_uuid());
        subscriptions.push(movement.subscription.as_uuid());
        kinds.push(movement.kind.as_str().to_owned());
        currencies.push(movement.delta.currency.code().to_owned());
        deltas.push(movement.delta.minor);
        instants.push(movement.effective_at);
    }
    sqlx::query!(
        "INSERT INTO movement (id, brand_id, account_id, subscription_id, kind, currency, delta_minor, effective_at) \
         SELECT m.id, $1, $2, m.subscription_id, m.kind, m.currency, m.delta_minor, m.effective_at FROM UNNEST($3::uuid[], \
         $4::uuid[], $5::text[], $6::text[], $7::bigint[], $8::timestamptz[]) \
         AS m (id, subscription_id, kind, currency, delta_minor, effective_at)",
        brand.as_uuid(),
        account.as_uuid(),
        &ids,
        &subscriptions,
        &kinds,
        &currencies,
        &deltas,
        &instants,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A customer's movements, oldest first.
pub async fn of_account(tx: &mut PgConnection, account: AccountId) -> sqlx::Result<Vec<Movement>> {
    sqlx::query_as!(
        Row,
        "SELECT id, account_id, subscription_id, kind, currency, delta_minor, effective_at FROM movement \
         WHERE account_id = $1 ORDER BY effective_at, currency",
        account.as_uuid()
    )
    .fetch_all(tx)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// Monthly recurring revenue per currency: the sum of all movements up to an instant.
pub async fn mrr(tx: &mut PgConnection, at: DateTime<Utc>) -> sqlx::Result<Vec<Money>> {
    let rows = sqlx::query!(
        "SELECT currency, sum(delta_minor)::bigint AS \"minor!\" FROM movement WHERE effective_at <= $1 \
         GROUP BY currency HAVING sum(delta_minor) <> 0 ORDER BY currency",
        at,
    )
    .fetch_all(tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let currency = row.currency.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            Ok(Money { minor: row.minor, currency })
        })
        .collect()
}

/// Customers whose movements up to an instant leave them paying.
pub async fn paying_customers(tx: &mut PgConnection, at: DateTime<Utc>) -> sqlx::Result<i64> {
    let count = sqlx::query_scalar!(
        "SELECT count(*) FROM (SELECT account_id FROM movement WHERE effective_at <= $1 GROUP BY account_id \
         HAVING sum(delta_minor) > 0) AS paying",
        at,
    )
    .fetch_one(tx)
    .await?;
    Ok(count.unwrap_or(0))
}

/// Movements up to `until`, newest first, before `(instant, id)`.
pub async fn list(
    tx: &mut PgConnection,
    until: DateTime<Utc>,
    before: Option<(DateTime<Utc>, MovementId)>,
    limit: i64,
) -> sqlx::Result<Vec<Movement>> {
    let (at, id) = before.map_or((None, None), |(at, id)| (Some(at), Some(id.as_uuid())));
    sqlx::query_as!(
        Row,
        "SELECT id, account_id, subscription_id, kind, currency, delta_minor, effective_at FROM movement \
         WHERE effective_at <= $1 AND ($2::timestamptz IS NULL OR (effective_at, id) < ($2, $3::uuid)) \
         ORDER BY effective_at DESC, id DESC LIMIT $4",
        until,
        at,
        id,
        limit
    )
    .fetch_all(tx)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

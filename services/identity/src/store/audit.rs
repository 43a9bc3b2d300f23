//! The audit chain.

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::hash;
use crate::domain::audit::{Deed, Entry, Hash, START, link};

fn chain(brand: Option<BrandId>) -> Uuid {
    brand.map_or(Uuid::nil(), |brand| brand.as_uuid())
}

/// Links a deed to the end of its chain. Chains grow one entry at a time, so do this last in a transaction.
pub async fn append(tx: &mut PgConnection, brand: Option<BrandId>, deed: &Deed) -> sqlx::Result<i64> {
    sqlx::query!(
        "INSERT INTO audit_head (chain, sequence, hash) VALUES ($1, 0, $2) ON CONFLICT (chain) DO NOTHING",
        chain(brand),
        START.as_slice()
    )
    .execute(&mut *tx)
    .await?;
    let head = sqlx::query!("SELECT sequence, hash FROM audit_head WHERE chain = $1 FOR UPDATE", chain(brand))
        .fetch_one(&mut *tx)
        .await?;
    let sequence = head.sequence + 1;
    let linked = link(&hash(head.hash)?, brand, sequence, deed);
    sqlx::query!(
        "INSERT INTO audit_entry (event_id, brand_id, sequence, action, actor_kind, actor_id, target_id, before_json, \
                                  after_json, client_ip, request_id, occurred_at, hash) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        deed.event_id,
        brand.map(|brand| brand.as_uuid()),
        sequence,
        deed.action,
        deed.actor_kind,
        deed.actor_id,
        deed.target_id,
        deed.before_json,
        deed.after_json,
        deed.client_ip,
        deed.request_id,
        deed.occurred_at,
        linked.as_slice(),
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE audit_head SET sequence = $2, hash = $3 WHERE chain = $1",
        chain(brand),
        sequence,
        linked.as_slice()
    )
    .execute(tx)
    .await?;
    Ok(sequence)
}

struct Row {
    event_id: Uuid,
    sequence: i64,
    action: String,
    actor_kind: String,
    actor_id: String,
    target_id: String,
    before_json: String,
    after_json: String,
    client_ip: String,
    request_id: String,
    occurred_at: DateTime<Utc>,
    hash: Vec<u8>,
}

impl TryFrom<Row> for Entry {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        Ok(Self {
            sequence: row.sequence,
            hash: hash(row.hash)?,
            deed: Deed {
                event_id: row.event_id,
                action: row.action,
                actor_kind: row.actor_kind,
                actor_id: row.actor_id,
                target_id: row.target_id,
                before_json: row.before_json,
                after_json: row.after_json,
                client_ip: row.client_ip,
                request_id: row.request_id,
                occurred_at: row.occurred_at,
            },
        })
    }
}

/// Entries of the scope's chain after a sequence number, oldest first.
pub async fn after(
    tx: &mut PgConnection,
    brand: Option<BrandId>,
    sequence: i64,
    limit: i64,
) -> sqlx::Result<Vec<Entry>> {
    sqlx::query_as!(
        Row,
        "SELECT event_id, sequence, action, actor_kind, actor_id, target_id, before_json, after_json, client_ip, request_id, \
                occurred_at, hash \
         FROM audit_entry WHERE (brand_id = $1 OR ($1::uuid IS NULL AND brand_id IS NULL)) AND sequence > $2 \
         ORDER BY sequence LIMIT $3",
        brand.map(|brand| brand.as_uuid()),
        sequence,
        limit,
    )
    .fetch_all(tx)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// Entries of the scope's chain before a sequence number, newest first.
pub async fn before(
    tx: &mut PgConnection,
    brand: Option<BrandId>,
    sequence: i64,
    limit: i64,
) -> sqlx::Result<Vec<Entry>> {
    sqlx::query_as!(
        Row,
        "SELECT event_id, sequence, action, actor_kind, actor_id, target_id, before_json, after_json, client_ip, request_id, \
                occurred_at, hash \
         FROM audit_entry WHERE (brand_id = $1 OR ($1::uuid IS NULL AND brand_id IS NULL)) AND sequence < $2 \
         ORDER BY sequence DESC LIMIT $3",
        brand.map(|brand| brand.as_uuid()),
        sequence,
        limit,
    )
    .fetch_all(tx)
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// The recorded end of a chain.
pub async fn head(tx: &mut PgConnection, brand: Option<BrandId>) -> sqlx::Result<Option<(i64, Hash)>> {
    let head =
        sqlx::query!("SELECT sequence, hash FROM audit_head WHERE chain = $1", chain(brand)).fetch_optional(tx).await?;
    head.map(|head| Ok((head.sequence, hash(head.hash)?))).transpose()
}

/// All chains: the platform's (none) and those of brands.
pub async fn chains(tx: &mut PgConnection) -> sqlx::Result<Vec<Option<BrandId>>> {
    let chains = sqlx::query_scalar!("SELECT chain FROM audit_head ORDER BY chain").fetch_all(tx).await?;
    Ok(chains.into_iter().map(|chain| Some(chain).filter(|chain| !chain.is_nil()).map(BrandId::from_uuid)).collect())
}

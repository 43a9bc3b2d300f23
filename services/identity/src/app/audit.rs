//! The audit chain: recording identity's own deeds, reading, proving.

use ottery_kernel::BrandId;
use ottery_kit::grpc::Actor;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{App, AppError, Page, page};
use crate::domain::Realm;
use crate::domain::audit::{Deed, Entry, Walk};
use crate::store::audit as store;

/// Entries read at a time while proving a chain.
const PIECE: i64 = 1_000;

/// What a deed changed, redacted: never a secret.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Nothing worth keeping.
    Nothing,
    /// It is like this now.
    To(Value),
    /// It was like this and is no more.
    From(Value),
}

/// What proving a chain found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Entries that are right.
    pub entries: i64,
    /// The first place where it is not.
    pub first_broken: Option<i64>,
}

/// Recomputes a chain in the caller's transaction, which must see it.
///
/// # Errors
/// The database cannot be read.
pub async fn verify_chain(tx: &mut PgConnection, brand: Option<BrandId>) -> sqlx::Result<Verdict> {
    let mut walk = Walk::new(brand, store::head(tx, brand).await?);
    loop {
        let entries = store::after(tx, brand, walk.sequence, PIECE).await?;
        if let Some(broken) = entries.iter().find_map(|entry| walk.take(entry).err()) {
            return Ok(Verdict { entries: walk.sequence, first_broken: Some(broken) });
        }
        if i64::try_from(entries.len()).is_ok_and(|read| read < PIECE) {
            break;
        }
    }
    let newest = store::head(tx, brand).await?.map_or(0, |(sequence, _)| sequence);
    Ok(Verdict { entries: walk.sequence, first_broken: walk.end(newest).err() })
}

impl App {
    /// Records a deed in the transaction that does it. Call it last: chains grow one entry at a time.
    pub(super) async fn record(
        &self,
        tx: &mut PgConnection,
        realm: Realm,
        actor: &Actor,
        action: &str,
        target: impl ToString,
        change: Change,
    ) -> sqlx::Result<()> {
        let (before_json, after_json) = match change {
            Change::Nothing => (String::new(), String::new()),
            Change::To(after) => (String::new(), after.to_string()),
            Change::From(before) => (before.to_string(), String::new()),
        };
        let deed = Deed {
            event_id: Uuid::now_v7(),
            action: action.to_owned(),
            actor_kind: actor.kind.to_string(),
            actor_id: actor.subject.clone(),
            target_id: target.to_string(),
            before_json,
            after_json,
            client_ip: actor.client_ip.clone().unwrap_or_default(),
            request_id: actor.request_id.clone(),
            occurred_at: self.now(),
        };
        store::append(tx, realm.brand(), &deed).await?;
        Ok(())
    }

    /// The chain of the call's brand (or the platform's), newest first.
    pub async fn list_audit(&self, actor: &Actor, cursor: &str, limit: u32) -> Result<Page<Entry>, AppError> {
        actor.require("audit.read")?;
        let limit = page::limit(limit)?;
        let before = match cursor {
            "" => i64::MAX,
            cursor => cursor.parse().map_err(|_| page::bad_cursor())?,
        };
        let mut tx = self.begin(Realm::of(actor.brand)).await?;
        let entries = store::before(&mut tx, actor.brand, before, limit + 1).await?;
        Ok(page::cut(entries, limit, |entry| entry.sequence.to_string()))
    }

    /// Recomputes a chain: the call's own, or any of them in a call of the platform.
    pub async fn verify_audit(&self, actor: &Actor, brand: Option<BrandId>) -> Result<Verdict, AppError> {
        actor.require("audit.read")?;
        if actor.brand.is_some() && actor.brand != brand {
            return Err(ottery_kit::grpc::Problem::not_found("BRAND_NOT_FOUND", "no brand of that id").into());
        }
        let mut tx = self.begin(Realm::of(brand)).await?;
        Ok(verify_chain(&mut tx, brand).await?)
    }
}

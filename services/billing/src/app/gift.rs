//! Codes in batches: made, handed out once, made void. What is redeemed is in [`redeem`], what comes to an end in `over`.
//!
//! A code that was sold is owed to whoever has it from its issue on (`gift_codes`, against `gift_sales`, what whoever sells them
//! owes); one that is given away costs nothing before somebody redeems it.

mod over;
pub mod redeem;

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, Money, PriceId};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use ottery_kit::keyring::Place;
use ottery_kit::secret::Secret;
use over::{End, end, expire};
use serde_json::{Value, json};
use uuid::Uuid;

use super::collection::reason;
use super::order::Idempotency;
use super::{Billing, broken, once, profile, stock};
use crate::domain::gift::{Batch, Code, Gives, Kind, Stored};
use crate::domain::gift_sheet;
use crate::domain::ledger::{Account, Booking};
use crate::store;
use crate::store::Page;

/// Keeps these hashes apart from others.
const PURPOSE: &str = "billing gift code";

/// What staff wants codes for.
#[derive(Clone, Debug)]
pub struct NewBatch {
    /// What staff calls it.
    pub name: String,
    /// Given away or sold.
    pub kind: Kind,
    /// What one gives.
    pub worth: Worth,
    /// How many.
    pub count: u32,
    /// Before each of them; empty for none.
    pub prefix: String,
    /// How many one person may redeem; 0: all of them.
    pub per_person_max: u32,
    /// From here on none can be redeemed.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What a code of a new batch gives.
#[derive(Clone, Debug)]
pub enum Worth {
    /// Credit, for so many days or for ever.
    Money(Money, Option<u32>),
    /// A term of a plan at this price.
    Plan(PriceId),
}

fn shown(batch: &Batch) -> Value {
    json!({ "name": batch.name, "kind": batch.kind.as_str(), "value": batch.value.to_string(), "count": batch.count,
            "prefix": batch.prefix, "per_person_max": batch.per_person_max, "expires_at": batch.expires_at })
}

/// As callers name a batch.
#[must_use]
pub fn batch_id(id: Uuid) -> String {
    format!("gft_{}", id.simple())
}

/// As callers name a code; it is not what is redeemed.
#[must_use]
pub fn code_id(id: Uuid) -> String {
    format!("gco_{}", id.simple())
}

fn no_batch(id: Uuid) -> Problem {
    Problem::not_found("GIFT_BATCH_NOT_FOUND", format!("there is no batch {}", batch_id(id))).on_field("batch_id")
}

fn seed_place(brand: BrandId, id: Uuid) -> Place<'static> {
    Place { table: "billing.gift_batch", column: "seed_sealed", row: id, brand: Some(brand) }
}

impl Billing {
    /// Makes a batch of codes. Sent twice with the same key it is made once. The codes themselves are read by
    /// [`download_gifts`](Self::download_gifts). Codes for a plan of which only so many are sold hold a place each.
    ///
    /// # Errors
    /// When something of it is out of range, the plan is not sold, or fewer of it are left than there would be codes.
    pub async fn create_gifts(
        &self,
        actor: &Actor,
        brand: BrandId,
        new: NewBatch,
        call: Option<Idempotency>,
    ) -> Result<Batch, Problem> {
        let (value, gives, limit) = match new.worth {
            Worth::Money(value, credit_days) => (value, Gives::Money { credit_days }, None),
            Worth::Plan(price) => {
                let sold = self.sold(brand, price).await?;
                let limit = sold.sale.limit();
                (sold.offer.price, Gives::Plan { offer: Box::new(sold.offer) }, limit)
            }
        };
        let (mut tx, now) = self.begin(brand).await?;
        if let Some(id) = once::made::<Uuid>(&mut tx, call.as_ref()).await? {
            return store::gift::get(&mut tx, id).await?.ok_or_else(|| no_batch(id));
        }
        let profile = profile(&mut tx, brand).await?;
        let batch = Batch {
            id: Uuid::now_v7(),
            name: new.name.trim().to_owned(),
            kind: new.kind,
            gives,
            value,
            count: new.count,
            prefix: new.prefix.to_ascii_uppercase(),
            per_person_max: new.per_person_max,
            expires_at: new.expires_at,
            created_by: actor.subject.clone(),
            created_at: now,
            holds: limit.as_ref().map(|limit| limit.plan),
            voided_at: None,
            expired_at: None,
            is_downloaded: false,
        };
        batch.check(now).map_err(|why| Problem::invalid(why.field(), "GIFT_BATCH_INVALID", why.to_string()))?;
        if !profile.currencies.contains(&value.currency) {
            let sold = profile.currencies.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let message =
                format!("value: {} is not sold here, so nobody could spend it; choose one of {sold}", value.currency);
            return Err(Problem::invalid("value", "CURRENCY_NOT_SOLD", message));
        }
        let seed = Secret::random();
        let sealed = self.host.keyring.seal(&seed_place(brand, batch.id), seed.expose().as_bytes());
        store::gift::insert(&mut tx, brand, profile.entity.id, &batch, &sealed).await?;
        let codes: Vec<(Code, [u8; 32])> = (0..batch.count)
            .map(|number| Code::derived(seed.expose().as_bytes(), number))
            .map(|code| {
                let hash = self.gift_hash(&code);
                (code, hash)
            })
            .collect();
        store::gift::insert_codes(&mut tx, brand, batch.id, &codes).await?;
        if batch.kind == Kind::Sold {
            let all = batch.value.checked_mul(batch.count.into()).map_err(broken)?;
            let booking = Booking::new(profile.entity.id, "gift.issued", batch_id(batch.id), now)
                .post(Account::GiftSales, Account::GiftCodes, all)
                .map_err(broken)?;
            store::ledger::book(&mut tx, brand, booking).await?;
        }
        if let Some(limit) = &limit {
            stock::take_for_codes(&mut tx, brand, limit, batch.count).await?;
        }
        audit::append(&mut tx, actor, "gift.create", batch_id(batch.id), None, Some(shown(&batch))).await?;
        once::keep(&mut tx, call.as_ref(), batch.id).await?;
        tx.commit().await?;
        Ok(batch)
    }

    /// The keyed hash codes are looked for by.
    pub(super) fn gift_hash(&self, code: &Code) -> [u8; 32] {
        self.host.keyring.keyed_hash(PURPOSE, code.as_bytes())
    }

    /// The codes of a batch as CSV, once: afterwards nobody can read them.
    ///
    /// # Errors
    /// When they were handed out before.
    pub async fn download_gifts(&self, actor: &Actor, brand: BrandId, id: Uuid) -> Result<String, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let batch = store::gift::get(&mut tx, id).await?.ok_or_else(|| no_batch(id))?;
        let Some(sealed) = store::gift::take_seed(&mut tx, id).await? else {
            let message = "the codes were handed out before and cannot be read again; make the batch void and a new one if they are lost";
            return Err(Problem::refused("CODES_HANDED_OUT", message).on_field("batch_id"));
        };
        let seed = self.host.keyring.open_text(&seed_place(brand, id), &sealed).map_err(broken)?;
        let codes = (0..batch.count).map(|number| Code::derived(seed.expose().as_bytes(), number));
        let sheet = gift_sheet::csv(&batch, codes);
        audit::append(&mut tx, actor, "gift.download", batch_id(id), None, Some(json!({ "count": batch.count })))
            .await?;
        tx.commit().await?;
        Ok(sheet)
    }

    /// Batches, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn gift_batches(&self, brand: BrandId, page: Page) -> Result<Vec<Batch>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        Ok(store::gift::list(&mut tx, page).await?)
    }

    /// A batch and its codes, newest first; nobody sees more of them than their ends.
    ///
    /// # Errors
    /// When there is none.
    pub async fn gift_codes(&self, brand: BrandId, id: Uuid, page: Page) -> Result<(Batch, Vec<Stored>), Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let batch = store::gift::get(&mut tx, id).await?.ok_or_else(|| no_batch(id))?;
        let codes = store::gift::codes(&mut tx, id, page).await?;
        Ok((batch, codes))
    }

    /// Makes all codes of a batch void that nobody has redeemed. Again, or when they have expired: nothing happens.
    ///
    /// # Errors
    /// When there is none.
    pub async fn void_gifts(&self, actor: &Actor, brand: BrandId, id: Uuid, why: &str) -> Result<Batch, Problem> {
        let why = reason(why)?;
        let (mut tx, now) = self.begin(brand).await?;
        let before = store::gift::get(&mut tx, id).await?.ok_or_else(|| no_batch(id))?;
        expire(&mut tx, brand, &before, now).await?;
        let count = store::gift::void_batch(&mut tx, id, now).await?;
        end(&mut tx, brand, (&before, count), (End::Voided, batch_id(id)), now).await?;
        let after = json!({ "codes": count, "reason": why });
        audit::append(&mut tx, actor, "gift.void", batch_id(id), None, Some(after)).await?;
        let batch = store::gift::get(&mut tx, id).await?.ok_or_else(|| no_batch(id))?;
        tx.commit().await?;
        Ok(batch)
    }

    /// Makes one code void.
    ///
    /// # Errors
    /// When it was redeemed, void or over before.
    pub async fn void_gift(&self, actor: &Actor, brand: BrandId, id: Uuid, why: &str) -> Result<(), Problem> {
        let why = reason(why)?;
        let (mut tx, now) = self.begin(brand).await?;
        let batch = store::gift::batch_of(&mut tx, id).await?.filter(|batch| !batch.is_over(now));
        let (Some(batch), true) = (batch, store::gift::void_code(&mut tx, id, now).await?) else {
            let message = format!("{} is redeemed, void or over, or there is none", code_id(id));
            return Err(Problem::refused("CODE_STATE", message).on_field("code_id"));
        };
        end(&mut tx, brand, (&batch, 1), (End::Voided, code_id(id)), now).await?;
        let after = json!({ "batch": batch_id(batch.id), "reason": why });
        audit::append(&mut tx, actor, "gift.void_code", code_id(id), None, Some(after)).await?;
        Ok(tx.commit().await?)
    }
}

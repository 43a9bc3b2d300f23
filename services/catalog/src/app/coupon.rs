//! Creating, changing and finding coupons.

use ottery_kernel::{BrandId, CouponId};
use ottery_kit::audit;
use ottery_kit::db::{Scope, begin, is_unique_violation};
use ottery_kit::grpc::Actor;
use serde_json::json;
use sqlx::PgConnection;

use super::error::check_version;
use super::{App, AppError, Page, page};
use crate::domain::coupon::{Code, CouponDraft};
use crate::domain::{Coupon, CouponState, Invalid};
use crate::store;

impl App {
    /// Creates a coupon (no id), enabled, or changes one; saying the same again changes nothing. Who redeemed it before
    /// keeps what it said then.
    pub async fn put_coupon(
        &self,
        actor: &Actor,
        brand: BrandId,
        id: Option<CouponId>,
        draft: CouponDraft,
        expected_version: u64,
    ) -> Result<Coupon, AppError> {
        let now = self.now();
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let owner = store::brand::get(&mut tx, brand).await?.ok_or(AppError::missing("brand"))?;
        let (code, content) = draft.validate(&owner.brand.currencies)?;
        for (n, plan) in content.plan_ids.iter().enumerate() {
            if store::plan::get(&mut tx, Some(*plan), "").await?.is_none() {
                return Err(Invalid::new(
                    format!("plan_ids[{n}]"),
                    "PLAN_NOT_FOUND",
                    format!("there is no plan {plan}; take one from the list of plans"),
                )
                .into());
            }
        }
        let Some(id) = id else {
            check_version(expected_version, 0)?;
            let state = CouponState::Enabled;
            let coupon = Coupon { id: CouponId::new(now), brand, code, content, state, version: 1, created_at: now };
            store::coupon::insert(&mut tx, &coupon).await.map_err(|error| taken(error, &coupon.code))?;
            audit::append(&mut tx, actor, "coupon.create", coupon.id, None, Some(summary(&coupon))).await?;
            self.finish(tx).await?;
            return Ok(coupon);
        };
        let before = lock(&mut tx, id).await?;
        check_version(expected_version, before.version)?;
        if code != before.code {
            let message = format!("it keeps its code `{}`; archive it and create another", before.code);
            return Err(Invalid::new("code", "CODE_FIXED", message).into());
        }
        if content == before.content {
            return Ok(before);
        }
        let coupon = Coupon { content, version: before.version + 1, ..before.clone() };
        store::coupon::update(&mut tx, &coupon).await?;
        audit::append(&mut tx, actor, "coupon.update", id, Some(summary(&before)), Some(summary(&coupon))).await?;
        self.finish(tx).await?;
        Ok(coupon)
    }

    /// Enables a coupon or puts it into the archive.
    pub async fn set_coupon_state(
        &self,
        actor: &Actor,
        brand: BrandId,
        id: CouponId,
        state: CouponState,
        expected_version: u64,
    ) -> Result<Coupon, AppError> {
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let before = lock(&mut tx, id).await?;
        check_version(expected_version, before.version)?;
        if before.state == state {
            return Ok(before);
        }
        let coupon = Coupon { state, version: before.version + 1, ..before.clone() };
        store::coupon::update(&mut tx, &coupon).await.map_err(|error| taken(error, &coupon.code))?;
        audit::append(&mut tx, actor, "coupon.set_state", id, Some(summary(&before)), Some(summary(&coupon))).await?;
        self.finish(tx).await?;
        Ok(coupon)
    }

    /// The coupon of that id, or the enabled one of that code.
    pub async fn get_coupon(&self, brand: BrandId, id: Option<CouponId>, code: &str) -> Result<Coupon, AppError> {
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let found = match (id, code.parse::<Code>()) {
            (Some(id), _) => store::coupon::get(&mut tx, id).await?,
            (None, Ok(code)) => store::coupon::by_code(&mut tx, &code).await?,
            // What cannot be a code is the code of nothing.
            (None, Err(_)) => None,
        };
        found.ok_or(AppError::missing("coupon"))
    }

    /// Coupons, newest first.
    pub async fn list_coupons(
        &self,
        brand: BrandId,
        with_archived: bool,
        cursor: &str,
        limit: u32,
    ) -> Result<Page<Coupon>, AppError> {
        let limit = page::limit(limit)?;
        let before = match cursor {
            "" => None,
            cursor => Some(cursor.parse::<CouponId>().map_err(|_| page::bad_cursor())?.as_uuid()),
        };
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let coupons = store::coupon::list(&mut tx, with_archived, before, limit + 1).await?;
        Ok(page::cut(coupons, limit, |coupon| coupon.id.to_string()))
    }
}

async fn lock(tx: &mut PgConnection, id: CouponId) -> Result<Coupon, AppError> {
    store::coupon::lock(tx, id).await?.ok_or(AppError::missing("coupon"))
}

fn taken(error: sqlx::Error, code: &Code) -> AppError {
    if is_unique_violation(&error, "coupon_code") {
        let message =
            format!("`{code}` is the code of another enabled coupon; archive that one or choose a different code");
        return Invalid::new("code", "CODE_TAKEN", message).into();
    }
    error.into()
}

fn summary(coupon: &Coupon) -> serde_json::Value {
    json!({ "code": coupon.code.as_str(), "state": coupon.state.as_str(), "content": coupon.content })
}

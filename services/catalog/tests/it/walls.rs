use catalog::domain::coupon::{CouponDraft, DurationKind, Kind, Occasion};
use catalog::domain::tax::RuleDraft;
use ottery_kernel::BrandId;
use ottery_kit::db::{Scope, begin};
use ottery_kit::grpc::Problem;

use crate::{brand_draft, noon, owner, plan_draft, world};

#[tokio::test]
async fn secure_s13_another_brands_plan_is_not_found() {
    let world = world().await;
    let own = world.app.put_brand(&owner(), None, brand_draft("nordlicht"), 0).await.unwrap().id;
    let other = world.app.put_brand(&owner(), None, brand_draft("suedwind"), 0).await.unwrap().id;
    let plan = world.app.put_plan(&owner(), own, None, plan_draft("family", &[1000]), 0).await.unwrap();
    let foreign = world.app.get_plan(other, Some(plan.id), "").await.unwrap_err();
    assert_eq!(Problem::from(foreign).reason, "PLAN_NOT_FOUND");
    let price = world.app.get_price(other, plan.current.prices[0].id).await.unwrap_err();
    assert_eq!(Problem::from(price).reason, "PRICE_NOT_FOUND");
    let change = world.app.put_plan(&owner(), other, Some(plan.id), plan_draft("family", &[1]), 1).await.unwrap_err();
    assert_eq!(Problem::from(change).reason, "PLAN_NOT_FOUND");
}

#[tokio::test]
async fn secure_s14_without_a_brand_no_tenant_row_is_seen_and_none_is_written_for_another() {
    let world = world().await;
    let brand = world.app.put_brand(&owner(), None, brand_draft("nordlicht"), 0).await.unwrap().id;
    world.app.put_plan(&owner(), brand, None, plan_draft("family", &[1000]), 0).await.unwrap();
    let coupon = CouponDraft {
        code: "SUMMER".into(),
        kind: Some(Kind::Percent),
        percent_bp: 2000,
        duration: Some(DurationKind::Once),
        occasion: Some(Occasion::Orders),
        ..CouponDraft::default()
    };
    world.app.put_coupon(&owner(), brand, None, coupon, 0).await.unwrap();
    let rule = RuleDraft { country: "DE".into(), name: "VAT".into(), ..RuleDraft::default() };
    world.app.put_tax_table(&owner(), brand, vec![rule], 0).await.unwrap();
    for table in ["plan", "plan_version", "price", "coupon", "tax_table"] {
        let count = format!("SELECT count(*) FROM {table}");
        let mut tx = begin(&world.database.pool, Scope::Platform).await.unwrap();
        let seen: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count.clone())).fetch_one(&mut *tx).await.unwrap();
        assert_eq!(seen, 0, "{table} without a brand");
        drop(tx);
        let mut tx = begin(&world.database.pool, Scope::Brand(brand)).await.unwrap();
        let seen: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&mut *tx).await.unwrap();
        assert_eq!(seen, 1, "{table} in its brand");
    }
    let stranger = BrandId::new(noon());
    let mut tx = begin(&world.database.pool, Scope::Brand(stranger)).await.unwrap();
    let refused = sqlx::query(
        "INSERT INTO plan SELECT gen_random_uuid(), $1, 'smuggled', 'draft', 0, false, 1, gen_random_uuid()",
    )
    .bind(brand.as_uuid())
    .execute(&mut *tx)
    .await
    .unwrap_err();
    assert!(refused.to_string().contains("row-level security"), "{refused}");
}

#[tokio::test]
async fn secure_s14_every_tenant_table_forces_row_level_security() {
    let world = world().await;
    // `brand` and `brand_host` are the registry of tenants, read before a brand is known; kit's tables serve all brands.
    let open: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'brand_id' \
         WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND NOT (c.relrowsecurity AND c.relforcerowsecurity) \
         AND c.relname <> 'brand_host' AND c.relname !~ '^(outbox|inbox|retry_delivery|idempotency|brand_clock|parked)'",
    )
    .fetch_all(&world.database.admin_pool)
    .await
    .unwrap();
    assert_eq!(open, Vec::<String>::new());
}

use catalog::domain::CouponState;
use catalog::domain::coupon::{Benefit, CouponDraft, DurationKind, Kind, Occasion};
use ottery_kernel::{BrandId, CouponId, PlanId};
use ottery_kit::grpc::Problem;
use ottery_proto::common::v1::AuditRecorded;
use ottery_testkit::recorder::{outbox, payload};

use crate::{World, brand_draft, noon, owner, plan_draft, world};

fn percent(code: &str) -> CouponDraft {
    CouponDraft {
        code: code.into(),
        kind: Some(Kind::Percent),
        percent_bp: 2000,
        duration: Some(DurationKind::Once),
        occasion: Some(Occasion::Orders),
        ..CouponDraft::default()
    }
}

async fn brand(world: &World, slug: &str) -> BrandId {
    world.app.put_brand(&owner(), None, brand_draft(slug), 0).await.unwrap().id
}

/// Reason and field.
fn why(error: catalog::app::AppError) -> (String, Option<String>) {
    let problem = Problem::from(error);
    (problem.reason.into_owned(), problem.field)
}

#[tokio::test]
async fn a_coupon_is_made_found_in_any_case_changed_and_archived() {
    let world = world().await;
    let brand = brand(&world, "nordlicht").await;
    let made = world.app.put_coupon(&owner(), brand, None, percent("summer-20"), 0).await.unwrap();
    assert_eq!((made.code.as_str(), made.state, made.version), ("SUMMER-20", CouponState::Enabled, 1));
    assert_eq!(world.app.get_coupon(brand, None, " Summer-20").await.unwrap(), made);
    assert_eq!(world.app.get_coupon(brand, Some(made.id), "").await.unwrap(), made);

    let same = world.app.put_coupon(&owner(), brand, Some(made.id), percent("SUMMER-20"), 1).await.unwrap();
    assert_eq!(same, made, "saying the same again changes nothing");
    let dearer = CouponDraft { percent_bp: 1000, ..percent("summer-20") };
    let changed = world.app.put_coupon(&owner(), brand, Some(made.id), dearer.clone(), 1).await.unwrap();
    assert_eq!((changed.version, &changed.content.benefit), (2, &Benefit::Percent { bp: 1000 }));
    let stale = world.app.put_coupon(&owner(), brand, Some(made.id), dearer, 1).await.unwrap_err();
    assert_eq!(why(stale).0, "STALE_VERSION");
    let renamed = world.app.put_coupon(&owner(), brand, Some(made.id), percent("WINTER"), 2).await.unwrap_err();
    assert_eq!(why(renamed), ("CODE_FIXED".into(), Some("code".into())));

    let set = async |state, version| world.app.set_coupon_state(&owner(), brand, made.id, state, version).await;
    let archived = set(CouponState::Archived, 2).await.unwrap();
    assert_eq!((archived.state, archived.version), (CouponState::Archived, 3));
    assert_eq!(why(world.app.get_coupon(brand, None, "SUMMER-20").await.unwrap_err()).0, "COUPON_NOT_FOUND");
    assert_eq!(why(set(CouponState::Enabled, 2).await.unwrap_err()).0, "STALE_VERSION");
    let told = outbox(&world.database.pool).await;
    let audited = told.iter().filter(|event| event.r#type == "catalog.audit.recorded.v1");
    let actions: Vec<String> = audited.map(payload::<AuditRecorded>).map(|told| told.action).collect();
    assert_eq!(actions[actions.len() - 3..], ["coupon.create", "coupon.update", "coupon.set_state"]);
}

#[tokio::test]
async fn a_code_is_one_coupons_at_a_time_and_free_again_when_that_is_archived() {
    let world = world().await;
    let brand = brand(&world, "nordlicht").await;
    let first = world.app.put_coupon(&owner(), brand, None, percent("SUMMER"), 0).await.unwrap();
    let taken = world.app.put_coupon(&owner(), brand, None, percent("summer"), 0).await.unwrap_err();
    assert_eq!(why(taken), ("CODE_TAKEN".into(), Some("code".into())));
    world.app.set_coupon_state(&owner(), brand, first.id, CouponState::Archived, 1).await.unwrap();
    let second = world.app.put_coupon(&owner(), brand, None, percent("summer"), 0).await.unwrap();
    let back = world.app.set_coupon_state(&owner(), brand, first.id, CouponState::Enabled, 2).await.unwrap_err();
    assert_eq!(why(back).0, "CODE_TAKEN");
    assert_eq!(world.app.get_coupon(brand, None, "SUMMER").await.unwrap().id, second.id);
    let listed = async |with_archived| world.app.list_coupons(brand, with_archived, "", 0).await.unwrap().items;
    assert_eq!(listed(false).await.iter().map(|coupon| coupon.id).collect::<Vec<_>>(), [second.id]);
    assert_eq!(listed(true).await.iter().map(|coupon| coupon.id).collect::<Vec<_>>(), [second.id, first.id]);
}

#[tokio::test]
async fn plans_and_currencies_it_names_are_the_brands() {
    let world = world().await;
    let brand = brand(&world, "nordlicht").await;
    let plan = world.app.put_plan(&owner(), brand, None, plan_draft("family", &[1000]), 0).await.unwrap();
    let of = |plan| CouponDraft { plan_ids: vec![plan], ..percent("FAMILY") };
    let unknown = world.app.put_coupon(&owner(), brand, None, of(PlanId::new(noon())), 0).await.unwrap_err();
    assert_eq!(why(unknown), ("PLAN_NOT_FOUND".into(), Some("plan_ids[0]".into())));
    world.app.put_coupon(&owner(), brand, None, of(plan.id), 0).await.unwrap();
    let yen = CouponDraft {
        kind: Some(Kind::Fixed),
        percent_bp: 0,
        amounts: vec![("JPY".into(), 100)],
        ..percent("YEN-100")
    };
    let foreign = world.app.put_coupon(&owner(), brand, None, yen, 0).await.unwrap_err();
    assert_eq!(why(foreign), ("CURRENCY_NOT_OFFERED".into(), Some("amounts[0].currency".into())));
}

#[tokio::test]
async fn a_rehearsed_coupon_is_checked_and_not_kept() {
    let world = world().await;
    let brand = brand(&world, "nordlicht").await;
    world.app.rehearsal().put_coupon(&owner(), brand, None, percent("SUMMER"), 0).await.unwrap();
    assert!(world.app.list_coupons(brand, true, "", 0).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn secure_s13_another_brands_coupon_answers_like_one_that_is_not_there() {
    let world = world().await;
    let (own, other) = (brand(&world, "nordlicht").await, brand(&world, "suedwind").await);
    let coupon = world.app.put_coupon(&owner(), own, None, percent("SUMMER"), 0).await.unwrap();
    let answer = async |id, code: &str| {
        let problem = Problem::from(world.app.get_coupon(other, id, code).await.unwrap_err());
        (problem.code, problem.reason.into_owned(), problem.message)
    };
    let nothing = answer(None, "NOBODY").await;
    assert_eq!(nothing.1, "COUPON_NOT_FOUND");
    assert_eq!(answer(None, "SUMMER").await, nothing);
    assert_eq!(answer(None, "not a code").await, nothing);
    assert_eq!(answer(Some(coupon.id), "").await, answer(Some(CouponId::new(noon())), "").await);
    let change = world.app.put_coupon(&owner(), other, Some(coupon.id), percent("SUMMER"), 1).await.unwrap_err();
    assert_eq!(why(change).0, "COUPON_NOT_FOUND");
    let archive = world.app.set_coupon_state(&owner(), other, coupon.id, CouponState::Archived, 1).await.unwrap_err();
    assert_eq!(why(archive).0, "COUPON_NOT_FOUND");
    assert!(world.app.list_coupons(other, true, "", 0).await.unwrap().items.is_empty());
    // The same code is free there.
    world.app.put_coupon(&owner(), other, None, percent("SUMMER"), 0).await.unwrap();
}

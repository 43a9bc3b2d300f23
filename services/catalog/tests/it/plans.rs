use catalog::app::PutPlan;
use catalog::domain::PlanState;
use catalog::domain::option::{OptionDraft, OptionEffect};
use catalog::domain::plan::PriceDraft;
use ottery_kernel::TermUnit;
use ottery_kit::grpc::Problem;

use crate::{brand_draft, owner, plan_draft, world};

#[tokio::test]
async fn a_price_never_changes_under_a_customer() {
    let world = world().await;
    let brand = world.app.put_brand(&owner(), None, brand_draft("nordlicht"), 0).await.unwrap().id;
    let plan = world.app.put_plan(&owner(), brand, None, plan_draft("family", &[1000, 2700]), 0).await.unwrap();
    let bought = plan.current.prices[0];
    let dearer =
        world.app.put_plan(&owner(), brand, Some(plan.id), plan_draft("family", &[1200, 3000]), 1).await.unwrap();
    assert_eq!((dearer.current.number, dearer.version), (2, 2));
    assert_ne!(dearer.current.prices[0].id, bought.id);
    let (_, version, price) = world.app.get_price(brand, bought.id).await.unwrap();
    assert_eq!((version.number, price), (1, bought));
}

#[tokio::test]
async fn the_database_refuses_to_rewrite_history() {
    let world = world().await;
    let brand = world.app.put_brand(&owner(), None, brand_draft("nordlicht"), 0).await.unwrap().id;
    world.app.put_plan(&owner(), brand, None, plan_draft("family", &[1000]), 0).await.unwrap();
    for statement in ["UPDATE price SET amount_minor = 1", "DELETE FROM price", "UPDATE plan_version SET number = 9"] {
        let refused =
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&world.database.admin_pool).await.unwrap_err();
        assert!(refused.to_string().contains("never change"), "{statement}: {refused}");
    }
}

#[tokio::test]
async fn a_draft_goes_on_sale_and_into_the_archive() {
    let world = world().await;
    let brand = world.app.put_brand(&owner(), None, brand_draft("nordlicht"), 0).await.unwrap().id;
    let plan = world.app.put_plan(&owner(), brand, None, plan_draft("family", &[1000]), 0).await.unwrap();
    assert!(world.app.list_plans(brand, true, "", 0).await.unwrap().items.is_empty());
    let sold = world.app.set_plan_state(&owner(), brand, plan.id, PlanState::OnSale, 1).await.unwrap();
    assert_eq!(world.app.list_plans(brand, true, "", 0).await.unwrap().items, std::slice::from_ref(&sold));
    let archived = world.app.set_plan_state(&owner(), brand, plan.id, PlanState::Archived, 2).await.unwrap();
    assert_eq!(archived.state, PlanState::Archived);
    assert!(world.app.list_plans(brand, true, "", 0).await.unwrap().items.is_empty());
    // Existing customers renew: its price is still there.
    assert!(world.app.get_price(brand, sold.current.prices[0].id).await.is_ok());
}

#[tokio::test]
async fn a_list_is_read_page_by_page_in_the_order_of_the_storefront() {
    let world = world().await;
    let brand = world.app.put_brand(&owner(), None, brand_draft("nordlicht"), 0).await.unwrap().id;
    for (position, slug) in [(3, "c"), (1, "a"), (2, "b")] {
        let draft = catalog::app::PutPlan { position, ..plan_draft(slug, &[1000]) };
        world.app.put_plan(&owner(), brand, None, draft, 0).await.unwrap();
    }
    let first = world.app.list_plans(brand, false, "", 2).await.unwrap();
    let second = world.app.list_plans(brand, false, &first.next, 2).await.unwrap();
    let slugs: Vec<&str> = first.items.iter().chain(&second.items).map(|plan| plan.slug.as_str()).collect();
    assert_eq!((slugs, second.next.as_str()), (vec!["a", "b", "c"], ""));
    let refused = world.app.list_plans(brand, false, "rubbish", 2).await.unwrap_err();
    assert_eq!(Problem::from(refused).reason, "CURSOR_MALFORMED");
}

#[tokio::test]
async fn content_and_state_are_put_in_one_step_and_the_same_again_changes_nothing() {
    let world = world().await;
    let brand = world.app.put_brand(&owner(), None, brand_draft("nordlicht"), 0).await.unwrap().id;
    let draft = |amount, state| catalog::app::PutPlan { state: Some(state), ..plan_draft("family", &[amount]) };
    let made = world.app.put_plan(&owner(), brand, None, draft(1000, PlanState::OnSale), 0).await.unwrap();
    assert_eq!((made.state, made.version), (PlanState::OnSale, 1));
    let put = async |amount, state, version| {
        world.app.put_plan(&owner(), brand, Some(made.id), draft(amount, state), version).await
    };
    assert_eq!(put(1000, PlanState::OnSale, 1).await.unwrap(), made);
    let archived = put(1200, PlanState::Archived, 1).await.unwrap();
    assert_eq!((archived.state, archived.version, archived.current.number), (PlanState::Archived, 2, 2));
    let refused = put(1300, PlanState::Draft, 2).await.unwrap_err();
    assert_eq!(Problem::from(refused).reason, "PLAN_PUBLISHED");
    let stored = world.app.get_plan(brand, Some(made.id), "").await.unwrap();
    assert_eq!(stored.current.number, 2, "a refusal leaves nothing behind");
    let none = catalog::app::PutPlan { state: Some(PlanState::OnSale), ..plan_draft("empty", &[]) };
    let refused = world.app.put_plan(&owner(), brand, None, none, 0).await.unwrap_err();
    assert_eq!(Problem::from(refused).reason, "PLAN_WITHOUT_PRICE");
}

#[tokio::test]
async fn a_rehearsal_answers_and_refuses_as_the_real_thing_and_nothing_stays() {
    let world = world().await;
    let brand = world.app.put_brand(&owner(), None, brand_draft("nordlicht"), 0).await.unwrap();
    let plan = world.app.put_plan(&owner(), brand.id, None, plan_draft("family", &[1000]), 0).await.unwrap();
    let told = "SELECT count(*) FROM outbox";
    let before: i64 = sqlx::query_scalar(told).fetch_one(&world.database.pool).await.unwrap();
    let trial = world.app.rehearsal();
    let tried = trial.put_plan(&owner(), brand.id, Some(plan.id), plan_draft("family", &[1200]), 1).await.unwrap();
    assert_eq!((tried.version, tried.current.number), (2, 2));
    trial.put_brand(&owner(), None, brand_draft("suedwind"), 0).await.unwrap();
    let taken = trial.put_brand(&owner(), None, brand_draft("nordlicht"), 0).await.unwrap_err();
    assert_eq!(Problem::from(taken).reason, "HOST_TAKEN");
    assert_eq!(world.app.get_plan(brand.id, Some(plan.id), "").await.unwrap(), plan);
    assert!(world.app.get_brand(None, "suedwind").await.is_err());
    let after: i64 = sqlx::query_scalar(told).fetch_one(&world.database.pool).await.unwrap();
    assert_eq!(after, before, "nobody hears of it");
}

#[tokio::test]
async fn options_belong_to_a_version_are_kept_when_left_out_and_follow_the_prices() {
    let world = world().await;
    let brand = world.app.put_brand(&owner(), None, brand_draft("nordlicht"), 0).await.unwrap().id;
    let streams = |months: &[u32]| OptionDraft {
        key: "streams".into(),
        name: "Streams at a time".into(),
        effect: Some(OptionEffect::Connections),
        min: 2,
        max: 5,
        step: 1,
        included: 2,
        prices: months
            .iter()
            .map(|count| PriceDraft {
                currency: "EUR".into(),
                amount_minor: 300,
                setup_fee: Some(("EUR".into(), 100)),
                term_count: *count,
                term_unit: Some(TermUnit::Month),
                once: false,
            })
            .collect(),
    };
    let draft = |prices: &[i64], options| PutPlan { options, ..plan_draft("family", prices) };
    let made = world.app.put_plan(&owner(), brand, None, draft(&[1000], Some(vec![streams(&[1])])), 0).await.unwrap();
    let kept = world.app.put_plan(&owner(), brand, Some(made.id), draft(&[1000], None), 1).await.unwrap();
    assert_eq!((kept.version, &kept.current.content.options), (1, &made.current.content.options));
    // A second price of the plan needs one of the option.
    let refused = world.app.put_plan(&owner(), brand, Some(made.id), draft(&[1000, 1900], None), 1).await.unwrap_err();
    let problem = Problem::from(refused);
    assert_eq!(
        (problem.reason.as_ref(), problem.field.as_deref()),
        ("OPTION_PRICE_MISSING", Some("content.options[0].prices"))
    );
    let both = draft(&[1000, 1900], Some(vec![streams(&[1, 2])]));
    let next = world.app.put_plan(&owner(), brand, Some(made.id), both, 1).await.unwrap();
    assert_eq!((next.current.number, next.current.content.options[0].prices.len()), (2, 2));
    let stored = world.app.get_plan(brand, Some(made.id), "").await.unwrap();
    assert_eq!(stored.current, next.current);
    let none = world.app.put_plan(&owner(), brand, Some(made.id), draft(&[1000], Some(Vec::new())), 2).await.unwrap();
    assert!(none.current.content.options.is_empty());
    // Who bought the version before keeps its options.
    let (_, before) = world.app.get_plan_version(brand, made.current.id).await.unwrap();
    assert_eq!(before.content.options.len(), 1);
}

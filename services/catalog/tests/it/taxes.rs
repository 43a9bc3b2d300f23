use catalog::domain::brand::{BrandDraft, EntityDraft};
use catalog::domain::tax::{Levy, Pricing, RuleDraft, TaxSettings};
use ottery_kernel::BrandId;
use ottery_kit::grpc::Problem;
use ottery_proto::catalog::v1::{BrandChanged, TaxesChanged};
use ottery_proto::common::v1::AuditRecorded;
use ottery_testkit::recorder::{outbox, payload};

use crate::{World, brand_draft, owner, world};

async fn brand(world: &World, slug: &str) -> BrandId {
    world.app.put_brand(&owner(), None, brand_draft(slug), 0).await.unwrap().id
}

fn rule(country: &str, rate_bp: u32) -> RuleDraft {
    RuleDraft { country: country.into(), rate_bp, name: "VAT".into(), ..RuleDraft::default() }
}

#[tokio::test]
async fn a_table_is_replaced_as_a_whole_told_and_audited() {
    let world = world().await;
    let brand = brand(&world, "nordlicht").await;
    let empty = world.app.get_tax_table(brand).await.unwrap();
    assert_eq!((empty.version, empty.rules.len()), (0, 0));
    let reverse = RuleDraft { reverse_charge: true, levy: Some(Levy::Rate), ..rule("fr", 2000) };
    let first = world.app.put_tax_table(&owner(), brand, vec![reverse, rule("DE", 1900)], 0).await.unwrap();
    assert_eq!((first.version, first.rules[1].country.as_str()), (1, "FR"));
    assert_eq!(world.app.get_tax_table(brand).await.unwrap(), first);
    let twice = world.app.put_tax_table(&owner(), brand, vec![rule("DE", 1), rule("DE", 1900)], 1).await.unwrap_err();
    assert_eq!(Problem::from(twice).field.as_deref(), Some("rules[1].valid_from"));
    let stale = world.app.put_tax_table(&owner(), brand, vec![rule("DE", 1900)], 0).await.unwrap_err();
    assert_eq!(Problem::from(stale).reason, "STALE_VERSION");
    let second = world.app.put_tax_table(&owner(), brand, vec![rule("DE", 1900)], 1).await.unwrap();
    assert_eq!((second.version, second.rules.len()), (2, 1));
    let again = world.app.put_tax_table(&owner(), brand, vec![rule("DE", 1900)], 2).await.unwrap();
    assert_eq!(again, second, "saying the same again changes nothing");

    let events = outbox(&world.database.pool).await;
    let told: Vec<_> = events.iter().filter(|event| event.r#type == "catalog.taxes.changed.v1").collect();
    let versions: Vec<_> = told.iter().map(|event| event.aggregate_version).collect();
    assert_eq!(versions, [1, 2]);
    let table = payload::<TaxesChanged>(told[0]).table.unwrap();
    assert!(table.brand_id == brand.to_string() && table.rules[1].reverse_charge, "{table:?}");
    let audited = events.iter().filter(|event| event.r#type == "catalog.audit.recorded.v1");
    let actions: Vec<_> = audited.map(payload::<AuditRecorded>).map(|told| told.action).collect();
    assert_eq!(actions.iter().filter(|action| *action == "tax_table.update").count(), 2);
}

#[tokio::test]
async fn who_does_not_know_of_tax_settings_does_not_lose_them() {
    let world = world().await;
    let settings = TaxSettings { pricing: Pricing::Exclusive, vat_wait_hours: 24, ..TaxSettings::default() };
    let with = |tax| {
        let draft = brand_draft("nordlicht");
        let entity = draft.entity.clone().map(|entity| EntityDraft { tax, ..entity });
        BrandDraft { entity, ..draft }
    };
    let made = world.app.put_brand(&owner(), None, with(Some(settings)), 0).await.unwrap();
    assert_eq!(made.brand.entity.tax, settings);
    let renamed = BrandDraft { name: "Südlicht".into(), ..with(None) };
    let kept = world.app.put_brand(&owner(), Some(made.id), renamed, 1).await.unwrap();
    assert_eq!((kept.brand.entity.tax, kept.version), (settings, 2));
    let events = outbox(&world.database.pool).await;
    let last = events.iter().rfind(|event| event.r#type == "catalog.brand.changed.v1").unwrap();
    let told = payload::<BrandChanged>(last).brand.unwrap().entity.unwrap().tax.unwrap();
    assert_eq!(told.vat_wait_hours, 24);
    let long = TaxSettings { vat_wait_hours: 1000, ..settings };
    let refused = world.app.put_brand(&owner(), Some(made.id), with(Some(long)), 2).await.unwrap_err();
    assert_eq!(Problem::from(refused).field.as_deref(), Some("entity.tax.vat_wait_hours"));
}

#[tokio::test]
async fn secure_s13_another_brands_rules_are_not_seen() {
    let world = world().await;
    let (own, other) = (brand(&world, "nordlicht").await, brand(&world, "suedwind").await);
    world.app.put_tax_table(&owner(), own, vec![rule("DE", 1900)], 0).await.unwrap();
    assert_eq!(world.app.get_tax_table(other).await.unwrap().version, 0);
}

//! Catalog against a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod brands;
mod coupons;
mod plans;
mod taxes;
mod walls;

use std::sync::Arc;

use catalog::app::{App, PutPlan};
use catalog::domain::brand::{BrandDraft, EntityDraft};
use catalog::domain::plan::{ContentDraft, PanelMapping, PriceDraft};
use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{ManualClock, TermUnit};
use ottery_kit::grpc::{Actor, ActorKind};
use ottery_testkit::TestDatabase;

/// Catalog over a database of its own.
struct World {
    app: App,
    clock: Arc<ManualClock>,
    database: TestDatabase,
}

async fn world() -> World {
    let database = ottery_testkit::database(catalog::NAME, &catalog::MIGRATIONS).await;
    let clock = Arc::new(ManualClock::new(noon()));
    World { app: App::new(database.pool.clone(), clock.clone(), true), clock, database }
}

fn noon() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::hours(12)
}

fn owner() -> Actor {
    Actor::new(ActorKind::Staff, "acc_owner", None).with_permissions(["*"])
}

fn brand_draft(slug: &str) -> BrandDraft {
    BrandDraft {
        slug: slug.into(),
        name: "Nordlicht TV".into(),
        hosts: vec![format!("{slug}.example")],
        entity: Some(EntityDraft {
            name: "Nordlicht Medien GmbH".into(),
            address_lines: vec!["Hafenstraße 7".into()],
            country: "DE".into(),
            tax_id: "DE123456789".into(),
            time_zone: "Europe/Berlin".into(),
            invoice_series: "INV".into(),
            email: "billing@nordlicht.example".into(),
            tax: None,
        }),
        locales: vec!["en".into()],
        currencies: vec!["EUR".into(), "USD".into()],
        time_zone: "Europe/Berlin".into(),
        support_email: "help@nordlicht.example".into(),
        sender_email: "hello@nordlicht.example".into(),
        grace_days: 3,
        terminate_after_days: 30,
        renewal_lead_hours: 72,
        ..BrandDraft::default()
    }
}

fn plan_draft(slug: &str, amounts_minor: &[i64]) -> PutPlan {
    let price = |(n, amount_minor): (u32, &i64)| PriceDraft {
        currency: "EUR".into(),
        amount_minor: *amount_minor,
        setup_fee: None,
        term_count: n,
        term_unit: Some(TermUnit::Month),
        once: false,
    };
    PutPlan {
        slug: slug.into(),
        position: 1,
        featured: true,
        content: ContentDraft {
            name: "Family".into(),
            connections: 2,
            mapping: PanelMapping { bouquet_ids: vec![1, 2], outputs: vec!["hls".into()], ..PanelMapping::default() },
            ..ContentDraft::default()
        },
        prices: (1..).zip(amounts_minor).map(price).collect(),
        options: None,
        stock: None,
        window: None,
        state: None,
    }
}

//! Customers whose month ends, made in sets.
//!
//! Everybody's period ends at the same instant and the brands' clocks stand at the moment its renewals are issued. The mix
//! repeats every 1250 subscriptions, each part independent of the others: a tenth has a coupon, three fifths belong to a brand
//! whose prices contain tax, a fifth has an add-on, which is a second line of the invoice, a fifth has the money in the wallet.

use anyhow::Context;
use billing::domain::addon::{AddOn, Cycle};
use billing::domain::calendar::{Calendar, Stretch};
use billing::domain::coupon::{Benefit, Coupon, Discounts, Lasting, Redeemed};
use billing::domain::offer::{Mapping, Offer};
use billing::domain::profile::{Entity, Profile};
use billing::domain::rules::InvoiceRules;
use billing::domain::tax::Settings;
use billing::store;
use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use ottery_kernel::{
    AnchorRule, Beginning, BrandId, ChangePolicy, CouponId, Currency, EntityId, LateRenewal, Money, PlanId,
    PlanVersionId, PriceId, Term,
};
use ottery_kit::clock::set_brand_clock;
use ottery_kit::db::{self, DatabaseSettings, Scope};
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use sqlx::{Connection as _, Executor as _};
use uuid::Uuid;

/// How long before its period a renewal is issued.
const LEAD_HOURS: u32 = 72;
/// In every wallet that has something: more than any of the invoices.
const WALLET_MINOR: i64 = 5_000;
/// What a fifth has beside the plan.
pub const ADD_ON: &str = "Sport";
/// What a year of catalogue gives a plan: its texts and panel mapping are part of every snapshot.
const BOUQUETS: i64 = 12;

/// Who was made.
#[derive(Clone, Debug)]
pub struct Seeded {
    /// The brands; the first one's prices contain tax.
    pub brands: [BrandId; 2],
    /// Subscriptions whose wallet pays.
    pub paying: i64,
}

/// The instant at which the renewals of the month are due.
pub fn month_end() -> DateTime<Utc> {
    boundary() - TimeDelta::hours(LEAD_HOURS.into())
}

fn boundary() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2027, 1, 1, 0, 0, 0).single().expect("this instant exists")
}

/// Fills an empty database with that many subscriptions.
///
/// # Errors
/// The database refuses.
pub async fn seed(settings: &DatabaseSettings, subscriptions: u32) -> anyhow::Result<Seeded> {
    let now = month_end();
    let entity = entity(now);
    let brands = [BrandId::new(now), BrandId::new(now)];
    let pool = settings.pool(billing::NAME).await?;
    for (brand, tax_rate_bp) in brands.into_iter().zip([1_900, 0]) {
        let mut tx = db::begin(&pool, Scope::Brand(brand)).await?;
        store::profile::put(&mut tx, &profile(brand, entity.clone(), tax_rate_bp), 1, now).await?;
        set_brand_clock(&mut tx, brand, now).await?;
        tx.commit().await?;
    }
    pool.close().await;

    let mut admin = db::admin_connection(settings, Some(&settings.database_name(billing::NAME))).await?;
    let paying = fill(&mut admin, subscriptions, brands, entity.id, now).await?;
    // What autovacuum would have done by the end of a month.
    admin.execute("VACUUM ANALYZE").await?;
    admin.close().await?;
    Ok(Seeded { brands, paying })
}

async fn fill(
    admin: &mut PgConnection,
    subscriptions: u32,
    brands: [BrandId; 2],
    entity: EntityId,
    now: DateTime<Utc>,
) -> anyhow::Result<i64> {
    let begun = begun()?;
    let started = begun.period.start();
    // UUIDs as ids have them, a millisecond apart: the last twelve digits tell things of one customer apart.
    admin
        .execute(
            "CREATE FUNCTION pg_temp.id(thing integer, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
                 SELECT (lpad(to_hex(1764547200000 + n), 12, '0') || '70008000' || lpad(to_hex(thing), 12, '0'))::uuid $$",
        )
        .await?;
    sqlx::query(
        "CREATE TEMP TABLE seed AS
         SELECT n, CASE WHEN n / 10 % 5 < 3 THEN $2 ELSE $3 END AS brand, n % 10 = 0 AS has_coupon,
                n / 50 % 5 = 0 AS has_addon, n / 250 % 5 = 0 AS has_money,
                pg_temp.id(1, n) AS subscription, pg_temp.id(2, n) AS account, pg_temp.id(3, n) AS \"order\",
                pg_temp.id(4, n) AS redemption
           FROM generate_series(0, $1::bigint - 1) AS n",
    )
    .bind(i64::from(subscriptions))
    .bind(brands[0].as_uuid())
    .bind(brands[1].as_uuid())
    .execute(&mut *admin)
    .await
    .context("drawing up the customers")?;
    sqlx::query(
        "INSERT INTO customer (brand_id, account_id, email, display_name, country, locale, first_settled_at)
         SELECT brand, account, 'customer' || n || '@example.com', 'Customer ' || n, 'DE', 'en', $1 FROM seed",
    )
    .bind(started)
    .execute(&mut *admin)
    .await
    .context("filling customers")?;
    // A coupon is its brand's.
    let coupons = [coupon(now), coupon(now)];
    for (brand, coupon) in brands.into_iter().zip(&coupons) {
        sqlx::query(
            "INSERT INTO coupon_counter (coupon_id, brand_id, uses)
             SELECT $1, $2, count(*) FROM seed WHERE has_coupon AND brand = $2",
        )
        .bind(coupon.id.as_uuid())
        .bind(brand.as_uuid())
        .execute(&mut *admin)
        .await
        .context("filling coupons")?;
        sqlx::query(
            "INSERT INTO redemption (id, brand_id, coupon_id, account_id, subscription_id, taken_at)
             SELECT redemption, brand, $1, account, subscription, $2 FROM seed WHERE has_coupon AND brand = $3",
        )
        .bind(coupon.id.as_uuid())
        .bind(started)
        .bind(brand.as_uuid())
        .execute(&mut *admin)
        .await
        .context("filling uses of coupons")?;
    }
    let discounts = coupons.map(|coupon| Discounts {
        coupon: Some(Redeemed { redemption: Uuid::nil(), coupon, periods_used: 1 }),
        periods: Vec::new(),
    });
    sqlx::query(
        "INSERT INTO subscription (id, brand_id, account_id, order_id, state, state_since, offer, setup_due, anchor, periods_paid,
                                   calendar, period_start, period_end, paid_through, created_at, payment_method_id,
                                   payment_method_label, version, entitlement_version, discounts)
         SELECT subscription, brand, account, \"order\", 'active', $1, CASE WHEN has_addon THEN $2::jsonb ELSE $3::jsonb END,
                false, $4, $5, $6, $1, $7, $7, $1, pg_temp.id(5, n), 'Visa ending 4242', 1, 1,
                CASE WHEN has_coupon THEN jsonb_set(CASE brand WHEN $8 THEN $9::jsonb ELSE $10::jsonb END,
                                                    '{coupon,redemption}', to_jsonb(redemption)) END
           FROM seed",
    )
    .bind(started)
    .bind(Json(offer().with_addons(vec![sport()])))
    .bind(Json(offer()))
    .bind(Json(begun.anchor))
    .bind(i32::try_from(begun.next)?)
    .bind(Json(Calendar {
        paid: vec![Stretch { period: begun.period, whole: begun.whole }],
        ..Calendar::default()
    }))
    .bind(begun.period.end())
    .bind(brands[0].as_uuid())
    .bind(Json(&discounts[0]))
    .bind(Json(&discounts[1]))
    .execute(&mut *admin)
    .await
    .context("filling subscriptions")?;
    sqlx::query("INSERT INTO due (subscription_id, brand_id, due_at) SELECT subscription, brand, $1 FROM seed")
        .bind(now)
        .execute(&mut *admin)
        .await
        .context("filling due rows")?;
    let paying = sqlx::query(
        "INSERT INTO transfer (id, brand_id, entity_id, debit, credit, amount_minor, currency, state, kind, reference_id, booked_at)
         SELECT pg_temp.id(6, n), brand, $1, 'provider:sandbox', 'wallet:acc_' || replace(account::text, '-', ''), $2, 'EUR',
                'posted', 'wallet.opened', 'acc_' || replace(account::text, '-', ''), $3
           FROM seed WHERE has_money",
    )
    .bind(entity.as_uuid())
    .bind(WALLET_MINOR)
    .bind(started)
    .execute(&mut *admin)
    .await
    .context("filling wallets")?;
    Ok(i64::try_from(paying.rows_affected())?)
}

/// The month that ends.
fn begun() -> anyhow::Result<Beginning> {
    let start = boundary().checked_sub_months(chrono::Months::new(1)).context("a month before the boundary")?;
    Ok(AnchorRule::Anniversary.begin(start, "UTC".parse().expect("UTC is a zone"), Term::MONTH)?)
}

fn entity(now: DateTime<Utc>) -> Entity {
    Entity {
        id: EntityId::new(now),
        name: "Nordlicht Medien GmbH".into(),
        address_lines: vec!["Hafenstraße 7".into(), "20457 Hamburg".into()],
        country: "DE".into(),
        tax_id: "DE123456789".into(),
        zone: "UTC".parse().expect("UTC is a zone"),
        series: "INV".into(),
        email: "billing@nordlicht.example".into(),
        tax: Settings::default(),
    }
}

fn profile(brand: BrandId, entity: Entity, tax_rate_bp: u32) -> Profile {
    Profile {
        brand,
        name: "Nordlicht TV".into(),
        entity,
        currencies: vec![Currency::EUR],
        zone: "UTC".parse().expect("UTC is a zone"),
        grace_days: 3,
        terminate_after_days: 14,
        renewal_lead_hours: LEAD_HOURS,
        reminder_hours: vec![-24, 24, 48],
        tax_rate_bp,
        tax_name: "VAT".into(),
        default_locale: "en".into(),
        support_email: "help@nordlicht.example".into(),
        tokens: [("accent".to_owned(), "#1f4fd8".to_owned())].into(),
        logo: String::new(),
        rules: InvoiceRules::default(),
    }
}

/// A plan as a year of catalogue leaves it.
pub fn offer() -> Offer {
    let at = DateTime::UNIX_EPOCH;
    Offer {
        plan_id: PlanId::new(at),
        plan_version_id: PlanVersionId::new(at),
        price_id: PriceId::new(at),
        plan_name: "Family".into(),
        price: Money::new(1_190, Currency::EUR),
        setup_fee: None,
        term: Term::MONTH,
        trial_days: 0,
        connections: 3,
        mapping: Mapping {
            pool: "europe".into(),
            bouquet_ids: (1..=BOUQUETS).collect(),
            outputs: vec!["hls".into(), "ts".into()],
            region: "eu-central".into(),
            ..Mapping::default()
        },
        anchor: AnchorRule::Anniversary,
        changes: ChangePolicy::default(),
        pause_days_max: 30,
        late_renewal: LateRenewal::FromOldEnd,
        tax_category: String::new(),
        options: Vec::new(),
        regular: None,
        addons: Vec::new(),
        once: false,
    }
}

/// More streams and channels for 4.00 a month, bought some months ago.
fn sport() -> AddOn {
    let at = DateTime::UNIX_EPOCH;
    let cycle = Cycle {
        price_id: PriceId::new(at),
        term: Term::MONTH,
        price: Money::new(400, Currency::EUR),
        setup_fee: Money::zero(Currency::EUR),
    };
    AddOn {
        plan_id: PlanId::new(at),
        version_id: PlanVersionId::new(at),
        name: ADD_ON.into(),
        connections: 1,
        bouquet_ids: vec![BOUQUETS + 1, BOUQUETS + 2],
        cycles: vec![cycle],
        cycle,
        times: 1,
        tax_category: None,
    }
}

fn coupon(now: DateTime<Utc>) -> Coupon {
    Coupon {
        id: CouponId::new(now),
        code: "TENTH".into(),
        benefit: Benefit::Percent { bp: 1_000 },
        lasting: Lasting::Forever,
        plans: Vec::new(),
        terms: Vec::new(),
        new_customers_only: false,
        for_orders: true,
        for_upgrades: false,
        starts_at: None,
        ends_at: None,
        uses_max: None,
        uses_per_customer_max: None,
    }
}

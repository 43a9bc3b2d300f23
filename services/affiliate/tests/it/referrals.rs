use std::sync::Arc;

use affiliate::app::{self, App};
use affiliate::domain::{Commission, CommissionState, Disputed, Referral};
use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, BrandId, Currency, DisputeId, InvoiceId, ManualClock, Money, RefundId};
use ottery_kit::db::{Scope, begin};
use ottery_testkit::TestDatabase;

struct World {
    app: App,
    clock: Arc<ManualClock>,
    brand: BrandId,
    database: TestDatabase,
}

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn eur(minor: i64) -> Money {
    Money { minor, currency: Currency::EUR }
}

async fn world() -> World {
    let database = ottery_testkit::database(affiliate::NAME, &affiliate::MIGRATIONS).await;
    let clock = Arc::new(ManualClock::new(now()));
    let brand = BrandId::new(now());
    let mut tx = begin(&database.pool, Scope::Brand(brand)).await.unwrap();
    sqlx::query("INSERT INTO brand_terms VALUES ($1, 1, 2000, 14)")
        .bind(brand.as_uuid())
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    World { app: App::new(database.pool.clone(), clock.clone()), clock, brand, database }
}

impl World {
    async fn settle(&self, code: &str, referral: &Referral) {
        let mut tx = begin(&self.database.pool, Scope::Brand(self.brand)).await.unwrap();
        app::settled(&mut tx, self.brand, code, referral, now()).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn refund(&self, refund: RefundId, invoice: InvoiceId, minor: i64) {
        let mut tx = begin(&self.database.pool, Scope::Brand(self.brand)).await.unwrap();
        app::refund_succeeded(&mut tx, self.brand, refund, invoice, minor, 1190, now()).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn dispute(&self, dispute: DisputeId, version: i64, share: Disputed) {
        let mut tx = begin(&self.database.pool, Scope::Brand(self.brand)).await.unwrap();
        app::dispute_changed(&mut tx, self.brand, dispute, version, &[share], now()).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn commission(&self, invoice: InvoiceId) -> Commission {
        let all = self.app.commissions(self.brand, None, None, 10).await.unwrap();
        all.into_iter().find(|commission| commission.invoice == invoice).unwrap()
    }

    async fn assert_sound(&self) {
        assert_eq!(affiliate::invariants(&self.database.admin_pool).await.unwrap(), []);
    }
}

fn open(invoice: InvoiceId) -> Disputed {
    Disputed { invoice, is_open: true, lost_minor: 0, total_minor: 1190 }
}

fn decided(invoice: InvoiceId, lost_minor: i64) -> Disputed {
    Disputed { is_open: false, lost_minor, ..open(invoice) }
}

fn referral() -> Referral {
    Referral {
        order_id: "ord_1".into(),
        invoice: InvoiceId::new(now()),
        buyer: AccountId::new(now()),
        buyer_email: "bob@example.org".into(),
        net: eur(1000),
        is_first: true,
    }
}

#[tokio::test]
async fn joining_twice_gives_the_same_link() {
    let world = world().await;
    let account = AccountId::new(now());
    let first = world.app.join(world.brand, account, "ada@example.org").await.unwrap();
    let again = world.app.join(world.brand, account, "ada@example.org").await.unwrap();
    assert_eq!(first.affiliate.code, again.affiliate.code);
    assert!(world.app.click(world.brand, &first.affiliate.code).await.unwrap());
    assert!(!world.app.click(world.brand, "unknown0").await.unwrap());
    assert!(!world.app.click(BrandId::new(now()), &first.affiliate.code).await.unwrap());
    let seen = world.app.affiliate(world.brand, None, Some(account)).await.unwrap();
    assert_eq!(seen.affiliate.clicks, 1);
}

#[tokio::test]
async fn a_commission_is_earned_once_and_approved_after_the_hold_window() {
    let world = world().await;
    let ada = world.app.join(world.brand, AccountId::new(now()), "ada@example.org").await.unwrap();
    let sale = referral();
    world.settle(&ada.affiliate.code, &sale).await;
    world.settle(&ada.affiliate.code, &sale).await;
    let seen = world.app.affiliate(world.brand, Some(ada.affiliate.id), None).await.unwrap();
    assert_eq!((seen.pending, seen.approved), (vec![eur(200)], vec![]));
    assert_eq!(world.app.approve_batch(world.brand).await.unwrap(), 0);
    world.clock.advance(TimeDelta::days(14));
    assert_eq!(
        app::due(world.app.clone(), world.brand, now() + TimeDelta::days(14)).await.unwrap().as_deref(),
        Some("1 commissions to approve")
    );
    assert_eq!(world.app.approve_batch(world.brand).await.unwrap(), 1);
    let seen = world.app.affiliate(world.brand, Some(ada.affiliate.id), None).await.unwrap();
    assert_eq!((seen.pending, seen.approved), (vec![], vec![eur(200)]));
    assert_eq!(affiliate::invariants(&world.database.admin_pool).await.unwrap(), []);
}

#[tokio::test]
async fn a_sale_and_a_dispute_of_it_that_are_heard_at_once_do_not_miss_each_other() {
    let world = world().await;
    let ada = world.app.join(world.brand, AccountId::new(now()), "ada@example.org").await.unwrap();
    let sale = referral();
    let mut selling = begin(&world.database.pool, Scope::Brand(world.brand)).await.unwrap();
    app::settled(&mut selling, world.brand, &ada.affiliate.code, &sale, now()).await.unwrap();
    // The dispute is told while nobody can see the commission yet.
    let (dispute, share) = (DisputeId::new(now()), open(sale.invoice));
    let disputing = world.dispute(dispute, 1, share);
    let sold = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        selling.commit().await.unwrap();
    };
    tokio::join!(disputing, sold);
    assert!(world.commission(sale.invoice).await.is_held);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_120_a_refund_takes_its_share_back_whichever_event_comes_first() {
    let world = world().await;
    let ada = world.app.join(world.brand, AccountId::new(now()), "ada@example.org").await.unwrap();
    let (early, late) = (referral(), Referral { invoice: InvoiceId::new(now()), ..referral() });
    let (first, second) = (RefundId::new(now()), RefundId::new(now()));

    world.refund(first, early.invoice, 595).await;
    world.settle(&ada.affiliate.code, &early).await;

    world.settle(&ada.affiliate.code, &late).await;
    world.refund(second, late.invoice, 595).await;
    world.refund(second, late.invoice, 595).await;

    let commissions = world.app.commissions(world.brand, None, None, 10).await.unwrap();
    let reversed: Vec<Money> = commissions.iter().map(|commission| commission.reversed).collect();
    assert_eq!(reversed, [eur(100), eur(100)]);

    world.refund(RefundId::new(now()), late.invoice, 595).await;
    let commissions = world.app.commissions(world.brand, None, None, 10).await.unwrap();
    let gone = commissions.iter().find(|commission| commission.invoice == late.invoice).unwrap();
    assert_eq!((gone.state, gone.reversed), (CommissionState::Reversed, eur(200)));
    assert_eq!(affiliate::invariants(&world.database.admin_pool).await.unwrap(), []);
}

#[tokio::test]
async fn case_069_a_disputed_commission_is_held_then_released_or_taken_back_whatever_the_order_of_events() {
    let world = world().await;
    let ada = world.app.join(world.brand, AccountId::new(now()), "ada@example.org").await.unwrap();
    let sale = || Referral { invoice: InvoiceId::new(now()), ..referral() };
    let (won, lost, early) = (sale(), sale(), sale());
    let (first, second, third) = (DisputeId::new(now()), DisputeId::new(now()), DisputeId::new(now()));
    for sold in [&won, &lost] {
        world.settle(&ada.affiliate.code, sold).await;
    }
    world.dispute(first, 1, open(won.invoice)).await;
    world.dispute(second, 1, open(lost.invoice)).await;
    // Heard of before the commission it holds.
    world.dispute(third, 1, open(early.invoice)).await;
    world.settle(&ada.affiliate.code, &early).await;
    world.assert_sound().await;

    world.clock.advance(TimeDelta::days(30));
    let later = now() + TimeDelta::days(30);
    assert_eq!(world.app.approve_batch(world.brand).await.unwrap(), 0);
    assert_eq!(app::due(world.app.clone(), world.brand, later).await.unwrap(), None);

    world.dispute(first, 3, decided(won.invoice, 0)).await;
    world.dispute(first, 2, open(won.invoice)).await;
    world.dispute(second, 2, decided(lost.invoice, 1190)).await;
    world.dispute(third, 2, decided(early.invoice, 595)).await;
    let gone = world.commission(lost.invoice).await;
    assert_eq!((gone.state, gone.reversed), (CommissionState::Reversed, eur(200)));
    assert_eq!(world.app.approve_batch(world.brand).await.unwrap(), 2);
    let kept = world.commission(won.invoice).await;
    assert_eq!((kept.state, kept.reversed), (CommissionState::Approved, eur(0)));
    let half = world.commission(early.invoice).await;
    assert_eq!((half.state, half.reversed), (CommissionState::Approved, eur(100)));
    world.assert_sound().await;

    // An appeal that is won after all gives it back.
    world.dispute(second, 3, open(lost.invoice)).await;
    assert!(world.commission(lost.invoice).await.is_held);
    world.dispute(second, 4, decided(lost.invoice, 0)).await;
    assert_eq!(world.app.approve_batch(world.brand).await.unwrap(), 1);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_118_a_self_referral_earns_nothing_and_is_flagged() {
    let world = world().await;
    let account = AccountId::new(now());
    let ada = world.app.join(world.brand, account, "ada@example.org").await.unwrap();
    world.settle(&ada.affiliate.code, &Referral { buyer: account, ..referral() }).await;
    assert!(world.app.commissions(world.brand, None, None, 10).await.unwrap().is_empty());
    let reason: String =
        sqlx::query_scalar("SELECT reason FROM flagged_referral").fetch_one(&world.database.admin_pool).await.unwrap();
    assert_eq!(reason, "self_referral");
}

#[tokio::test]
async fn secure_s14_without_a_brand_no_affiliate_is_seen() {
    let world = world().await;
    world.app.join(world.brand, AccountId::new(now()), "ada@example.org").await.unwrap();
    let mut tx = begin(&world.database.pool, Scope::Platform).await.unwrap();
    for table in ["affiliate", "commission", "click_day", "refund", "dispute", "flagged_referral", "brand_terms"] {
        let count = format!("SELECT count(*) FROM {table}");
        let seen: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&mut *tx).await.unwrap();
        assert_eq!(seen, 0, "{table}");
    }
}

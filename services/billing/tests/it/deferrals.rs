//! Deferred revenue: what was paid for a term becomes revenue day by day, and nothing stays deferred of what is over.

use billing::domain::invoice::Invoice;
use billing::domain::portion::Wanted;
use billing::domain::subscription::Subscription;
use billing::store;
use billing::store::credit_note::CreditNote;
use chrono::TimeDelta;
use ottery_kernel::{Currency, Term};
use ottery_testkit::actor;

use crate::world::{World, eur, offer, world};

impl World {
    /// Lets the worker recognise everything that is due.
    pub async fn recognise(&self) {
        while self.billing.recognise_all().await.expect("revenue is recognised") > 0 {}
    }

    /// Balance of an account, credits less debits.
    async fn earned(&self, account: &str) -> i64 {
        let mut tx = self.tx().await;
        let balances = store::ledger::balances(&mut tx).await.expect("readable");
        let mine = balances.iter().filter(|balance| balance.account == account);
        mine.map(|balance| balance.credits.minor - balance.debits.minor).sum()
    }

    /// What is deferred, and what is earned by now.
    pub async fn books_of_time(&self) -> (i64, i64) {
        self.recognise().await;
        (self.earned("deferred").await, self.earned("revenue").await)
    }

    /// Staff credits so much of a paid invoice to the wallet.
    async fn credit(&self, invoice: &Invoice, minor: i64, why: &str) -> CreditNote {
        let (staff, wanted) = (actor::owner(self.brand), Wanted::Amount(eur(minor)));
        self.billing.credit_invoice(&staff, self.brand, invoice.id, wanted, why, None).await.expect("credited")
    }

    async fn terminate(&self, subscription: &Subscription) {
        let staff = actor::owner(self.brand);
        self.billing.terminate(self.brand, subscription.id, "asked for", &staff).await.expect("terminated");
    }
}

#[tokio::test]
async fn a_term_becomes_revenue_day_by_day_and_to_the_last_cent() {
    let world = world().await;
    // 31.00 gross is 26.05 net, for the 31 days from today on.
    let subscription = world.subscriber(3100, Term::MONTH).await;
    assert_eq!((world.earned("deferred").await, world.earned("revenue").await), (2605, 0));
    assert_eq!(world.books_of_time().await, (2605 - 85, 85), "the first day has begun");
    assert_eq!(world.books_of_time().await, (2605 - 85, 85), "a day counts once");
    world.host.clock.advance(TimeDelta::days(3));
    assert_eq!(world.books_of_time().await.1, 85 + 3 * 84);
    let rows: Vec<_> = world.books().await.into_iter().filter(|row| row.starts_with("revenue.recognised")).collect();
    assert_eq!(rows.len(), 4, "a row of the books for each day: {rows:?}");

    let today = world.billing.brand_today(world.brand).await.unwrap();
    let days = (today - TimeDelta::days(3), today);
    let report = world.billing.deferred_revenue(world.brand, days).await.unwrap();
    assert_eq!(report.days.iter().map(|(_, amount)| amount.minor).sum::<i64>(), 337);
    assert_eq!((report.days.len(), report.outlooks.len()), (4, 1));
    let planned: i64 = report.outlooks[0].months.iter().map(|(_, amount)| amount.minor).sum();
    assert_eq!((planned, report.outlooks[0].total.minor), (2605 - 337, 2605 - 337));

    let me = actor::customer(world.brand, subscription.account);
    world.billing.cancel(world.brand, subscription.id, None, "", &me).await.unwrap();
    world.advance(TimeDelta::days(31)).await;
    assert_eq!(world.books_of_time().await, (0, 2605));
    world.assert_sound().await;
}

#[tokio::test]
async fn what_is_added_while_nothing_else_is_left_is_recognised_the_same_day() {
    let world = world().await;
    world.subscriber(3100, Term::MONTH).await;
    let bought = world.subscriber(3100, Term::MONTH).await.id.as_uuid();
    let begins = |day: &str| format!("UPDATE deferral SET next_day = {day} WHERE subscription_id = $1");
    let admin = &world.database.admin_pool;
    sqlx::query(sqlx::AssertSqlSafe(begins("NULL"))).bind(bought).execute(admin).await.unwrap();
    // A buyer whose transaction is not over.
    let mut buying = world.tx().await;
    sqlx::query(sqlx::AssertSqlSafe(begins("rest_first"))).bind(bought).execute(&mut *buying).await.unwrap();
    store::deferral::plan(&mut buying, world.brand, world.now()).await.unwrap();
    assert_eq!(world.books_of_time().await.1, 85);
    let waits = world.billing.still_due(world.brand, world.now()).await.unwrap();
    assert_eq!(waits.as_deref(), Some("revenue to recognise"));
    buying.commit().await.unwrap();
    assert_eq!(world.billing.recognise_all().await.unwrap(), 1);
    assert_eq!(world.books_of_time().await.1, 2 * 85);
    assert_eq!(world.billing.still_due(world.brand, world.now()).await.unwrap(), None);
}

#[tokio::test]
async fn a_renewal_that_is_not_paid_defers_nothing_and_one_that_is_goes_on_where_the_last_ended() {
    let world = world().await;
    let subscription = world.subscriber(3100, Term::MONTH).await;
    let end = subscription.paid_through.unwrap();
    world.advance_to(end - TimeDelta::hours(72)).await;
    let before = world.books_of_time().await.0;
    let renewal = world.open_invoice(subscription.id).await.unwrap();
    assert_eq!(world.books_of_time().await.0, before);
    world.pay(&renewal).await;
    assert_eq!(world.books_of_time().await.0, before + renewal.totals.subtotal.minor);
    world.advance_to(end).await;
    let (deferred, _) = world.books_of_time().await;
    assert!(deferred < renewal.totals.subtotal.minor, "the first day of the new month has begun: {deferred}");
    world.assert_sound().await;
}

#[tokio::test]
async fn what_ends_early_keeps_nothing_deferred() {
    let world = world().await;
    let subscription = world.subscriber(3100, Term::MONTH).await;
    world.host.clock.advance(TimeDelta::days(9));
    world.recognise().await;
    world.terminate(&subscription).await;
    assert_eq!(world.books_of_time().await, (0, 2605), "the customer has paid and gets nothing more for it");
    world.assert_sound().await;
}

#[tokio::test]
async fn a_credit_note_takes_out_what_is_not_revenue_yet_and_the_rest_goes_on() {
    let world = world().await;
    let placed = world.order(world.account(), offer(3100, Term::MONTH)).await;
    let invoice = world.invoice_of(&placed).await;
    world.pay(&invoice).await;
    world.host.clock.advance(TimeDelta::days(9));
    let (deferred, revenue) = world.books_of_time().await;
    let note = world.credit(&invoice, 1190, "Nine bad days").await;
    let net = note.amount.minor - note.tax.minor;
    assert_eq!(world.books_of_time().await, (deferred - net, revenue));
    assert_eq!(world.earned("refunds").await, 0, "nothing of it was revenue");
    world.host.clock.advance(TimeDelta::days(40));
    assert_eq!(world.books_of_time().await, (0, revenue + deferred - net));
    // What was revenue already is taken back as such.
    world.credit(&invoice, 119, "And one more").await;
    assert_eq!((world.earned("deferred").await, world.earned("refunds").await), (0, -100));
    world.assert_sound().await;
}

#[tokio::test]
async fn while_a_subscription_is_paused_nothing_becomes_revenue() {
    let world = world().await;
    let subscription = world.subscriber(3100, Term::MONTH).await;
    let staff = actor::owner(world.brand);
    world.host.clock.advance(TimeDelta::days(4));
    let before = world.books_of_time().await;
    world.billing.pause(world.brand, subscription.id, None, 0, &staff).await.unwrap();
    world.host.clock.advance(TimeDelta::days(60));
    assert_eq!(world.books_of_time().await, before);
    let today = world.billing.brand_today(world.brand).await.unwrap();
    let report = world.billing.deferred_revenue(world.brand, (today, today)).await.unwrap();
    assert_eq!((report.outlooks[0].paused, report.outlooks[0].months.len()), (eur(before.0), 0));
    world.billing.unpause(world.brand, subscription.id, None, &staff).await.unwrap();
    world.host.clock.advance(TimeDelta::days(1));
    let after = world.books_of_time().await;
    assert!(after.1 > before.1 && after.0 > 0, "it goes on: {after:?}");
    world.terminate(&subscription).await;
    assert_eq!(world.books_of_time().await, (0, 2605));
    world.assert_sound().await;
}

#[tokio::test]
async fn an_entity_that_was_away_for_a_week_catches_up_day_by_day_under_many_workers() {
    let world = std::sync::Arc::new(world().await);
    for _ in 0..5 {
        world.subscriber(3100, Term::MONTH).await;
    }
    world.host.clock.advance(TimeDelta::days(7));
    let workers = (0..4).map(|_| {
        let world = std::sync::Arc::clone(&world);
        tokio::spawn(async move { world.recognise().await })
    });
    futures::future::join_all(workers).await.into_iter().for_each(|worker| worker.unwrap());
    world.recognise().await;
    let today = world.billing.brand_today(world.brand).await.unwrap();
    let days = (today - TimeDelta::days(7), today);
    let report = world.billing.deferred_revenue(world.brand, days).await.unwrap();
    let mut by_day = std::collections::BTreeMap::<_, i64>::new();
    for (day, amount) in report.days {
        assert_eq!(amount.currency, Currency::EUR);
        *by_day.entry(day).or_default() += amount.minor;
    }
    // 26.05 over 31 days: 0.85 on the first, 0.84 on the others.
    assert_eq!(by_day.into_values().collect::<Vec<_>>(), [425, 420, 420, 420, 420, 420, 420, 420]);
    world.assert_sound().await;
}

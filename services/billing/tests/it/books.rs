//! The trial balance of a legal entity, and months that are closed.

use billing::app::settlement::Settled;
use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::Term;
use ottery_testkit::actor;

use crate::world::{World, eur, offer, world};

impl World {
    /// January 2027 in the life of a brand; then the middle of February.
    async fn january(&self) {
        self.host.clock.set("2027-01-10T09:00:00Z".parse().unwrap());
        let placed = self.order(self.account(), offer(1190, Term::MONTH)).await;
        let mut paid = self.payment_of(&self.invoice_of(&placed).await);
        paid.fee = Some(eur(35));
        assert_eq!(self.settle(&paid).await, Settled::Applied);
        self.recognise().await;
        self.host.clock.set("2027-02-15T09:00:00Z".parse().unwrap());
        self.recognise().await;
    }

    fn instant(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }
}

#[tokio::test]
async fn the_trial_balance_of_a_day_holds_what_was_booked_until_its_end_and_balances() {
    let world = world().await;
    world.january().await;
    let through = |day: &str| Some(day.parse().unwrap());
    let early = world.billing.trial_balance_through(world.brand, through("2027-01-09")).await.unwrap();
    assert!(early.balance.rows.is_empty());
    let shown = world.billing.trial_balance_through(world.brand, through("2027-01-31")).await.unwrap();
    assert!(shown.balance.differences().is_empty() && !shown.is_closed);
    let of = |account: &str| {
        shown.balance.rows.iter().find(|row| row.account == account).map_or(0, |row| row.balance().minor)
    };
    assert_eq!((of("receivable"), of("tax")), (0, -190));
    assert_eq!((of("provider:sandbox"), of("provider_fees:sandbox")), (1190 - 35, 35));
    assert_eq!(of("deferred") + of("revenue"), -1000);
    assert_eq!(shown.csv, shown.balance.csv());
}

#[tokio::test]
async fn a_closed_month_stays_byte_for_byte_and_nothing_is_booked_into_it() {
    let world = world().await;
    let staff = actor::owner(world.brand);
    world.january().await;
    let refused = world.billing.close_month(world.brand, "2027-02", &staff).await.unwrap_err();
    assert!(refused.is("MONTH_NOT_OVER"));
    let refused = world.billing.close_month(world.brand, "January", &staff).await.unwrap_err();
    assert!(refused.is("MONTH_INVALID"));
    let closed = world.billing.close_month(world.brand, "2027-01", &staff).await.unwrap();
    let again = world.billing.close_month(world.brand, "2027-01", &staff).await.unwrap();
    assert_eq!(again, closed, "closing twice is an answer, not an error");

    // Money that comes late is booked now, and names what it pays.
    let placed = world.order(world.account(), offer(500, Term::MONTH)).await;
    let payment = world.payment_of(&world.invoice_of(&placed).await);
    world.settle(&payment).await;
    world.host.clock.advance(TimeDelta::days(3));
    world.recognise().await;
    let shown = world.billing.trial_balance_through(world.brand, Some("2027-01-31".parse().unwrap())).await.unwrap();
    assert!(shown.is_closed);
    assert_eq!(shown.csv, closed.trial_balance, "byte for byte");
    let open = world.billing.trial_balance_through(world.brand, None).await.unwrap();
    assert!(!open.is_closed && open.csv != closed.trial_balance);

    // The wall: no statement of the service books an earlier date either.
    let mut tx = world.tx().await;
    let refused = sqlx::query(
        "INSERT INTO transfer (id, brand_id, entity_id, debit, credit, amount_minor, currency, state, kind, reference_id, booked_at)
         SELECT gen_random_uuid(), brand_id, entity_id, debit, credit, 1, currency, state, 'test', 'x', $1 FROM transfer LIMIT 1",
    )
    .bind(World::instant("2027-01-31T22:59:59Z"))
    .execute(&mut *tx)
    .await
    .unwrap_err();
    assert!(refused.to_string().contains("the month is closed"), "{refused}");
    for statement in ["UPDATE ledger_close SET trial_balance = ''", "DELETE FROM ledger_close"] {
        let mut tx = world.tx().await;
        let refused = sqlx::query(statement).execute(&mut *tx).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{statement}: {refused}");
    }
    world.assert_sound().await;
}

#[tokio::test]
async fn months_close_one_after_the_other_and_only_the_latest_opens_again_with_a_reason() {
    let world = world().await;
    let staff = actor::owner(world.brand);
    world.january().await;
    world.host.clock.set(World::instant("2027-04-15T09:00:00Z"));
    let first = world.billing.close_month(world.brand, "2027-01", &staff).await.unwrap();
    let refused = world.billing.close_month(world.brand, "2027-03", &staff).await.unwrap_err();
    assert!(refused.is("MONTH_ORDER") && refused.message.contains("2027-02"), "{}", refused.message);
    world.billing.close_month(world.brand, "2027-02", &staff).await.unwrap();
    let reopen = async |month, reason| world.billing.reopen_month(world.brand, month, reason, &staff).await;
    assert!(reopen("2027-02", " ").await.unwrap_err().is("REASON_INVALID"));
    assert!(reopen("2027-01", "late bill").await.unwrap_err().is("MONTH_NOT_LAST"));
    assert!(reopen("2027-03", "late bill").await.unwrap_err().is("MONTH_NOT_LAST"));
    let opened = reopen("2027-02", "late bill").await.unwrap();
    assert_eq!(opened.reopen_reason, "late bill");
    let january = world.billing.trial_balance_through(world.brand, Some("2027-01-31".parse().unwrap())).await.unwrap();
    assert_eq!((january.is_closed, &january.csv), (true, &first.trial_balance));
    let closed = world.billing.close_month(world.brand, "2027-02", &staff).await.unwrap();
    assert_eq!(closed.sha256, opened.sha256, "the same books give the same bytes");
    let months = world.billing.closed_months(world.brand).await.unwrap();
    let listed: Vec<_> = months.iter().map(|one| (one.month.to_string(), one.reopened_at.is_some())).collect();
    assert_eq!(
        listed,
        [("2027-02-01".to_owned(), false), ("2027-02-01".to_owned(), true), ("2027-01-01".to_owned(), false)]
    );
    world.assert_sound().await;
}

//! Codes: made in batches, read once, redeemed once, and always in the books.

use billing::app::gift::redeem::{Redeem, Redeemed};
use billing::app::gift::{NewBatch, Worth};
use billing::app::merge::Merge;
use billing::app::time_machine::Journey;
use billing::domain::gift::{Batch, Gives, Kind};
use billing::domain::invoice::State;
use billing::domain::subscription::State as Life;
use billing::domain::time_machine::Assumption;
use billing::store;
use chrono::TimeDelta;
use futures::future::join_all;
use ottery_kernel::{AccountId, Currency, Money, Term};
use ottery_kit::grpc::Problem;
use uuid::Uuid;

use crate::time_machine::{Silently, with_scratch};
use crate::world::{World, eur, offer, placing, world};

fn wanted(kind: Kind, minor: i64, count: u32) -> NewBatch {
    NewBatch {
        name: "Christmas".into(),
        kind,
        worth: Worth::Money(eur(minor), None),
        count,
        prefix: "xmas".into(),
        per_person_max: 0,
        expires_at: None,
    }
}

impl World {
    async fn make(&self, new: NewBatch) -> Result<Batch, Problem> {
        let owner = ottery_testkit::actor::owner(self.brand);
        self.billing.create_gifts(&owner, self.brand, new, None).await
    }

    /// The codes of a batch, as they are handed out.
    async fn hand_out(&self, batch: &Batch) -> Vec<String> {
        let owner = ottery_testkit::actor::owner(self.brand);
        let csv = self.billing.download_gifts(&owner, self.brand, batch.id).await.unwrap();
        csv.lines().skip(1).map(|row| row.split(',').next().unwrap().to_owned()).collect()
    }

    async fn made(&self, new: NewBatch) -> (Batch, Vec<String>) {
        let batch = self.make(new).await.unwrap();
        let codes = self.hand_out(&batch).await;
        (batch, codes)
    }

    async fn redeem(&self, account: AccountId, code: &str) -> Result<Redeemed, Problem> {
        let me = ottery_testkit::actor::customer(self.brand, account);
        let redeem = Redeem { code: code.to_owned(), account, buyer: placing(Uuid::nil(), account).buyer };
        self.billing.redeem_gift(&me, self.brand, redeem).await
    }

    async fn purse_now(&self, account: AccountId) -> Money {
        let wallets = self.billing.wallet(self.brand, account).await.unwrap();
        wallets.first().map_or(eur(0), |wallet| wallet.available)
    }

    /// Debits less credits of an account of the books.
    async fn booked(&self, account: &str) -> i64 {
        let mut tx = self.tx().await;
        let balances = store::ledger::balances(&mut tx).await.unwrap();
        let ours = balances.iter().filter(|one| one.account.split(':').next() == Some(account));
        ours.map(|one| one.debits.minor - one.credits.minor).sum()
    }

    /// A batch for a plan, without a catalogue to ask.
    async fn plan_batch(&self, kind: Kind, offer: billing::domain::offer::Offer) -> (Batch, Vec<String>) {
        let batch = self.make(wanted(kind, offer.price.minor, 3)).await.unwrap();
        let gives = serde_json::to_value(Gives::Plan { offer: Box::new(offer) }).unwrap();
        sqlx::query("UPDATE gift_batch SET gives = $2 WHERE id = $1")
            .bind(batch.id)
            .bind(gives)
            .execute(&self.database.admin_pool)
            .await
            .unwrap();
        let codes = self.hand_out(&batch).await;
        (batch, codes)
    }
}

#[tokio::test]
async fn a_code_is_money_in_the_wallet_of_one_of_fifty_who_try_at_once() {
    let world = world().await;
    let (_, codes) = world.made(wanted(Kind::Promotion, 2_500, 2)).await;
    let people: Vec<AccountId> = (0..50).map(|_| world.account()).collect();
    let tries = join_all(people.iter().map(|account| world.redeem(*account, &codes[0]))).await;
    let (won, lost): (Vec<_>, Vec<_>) = tries.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 49));
    assert!(lost.into_iter().all(|lost| lost.unwrap_err().is("CODE_UNKNOWN")));
    let mut rich = Vec::new();
    for account in people {
        rich.extend(Some(world.purse_now(account).await).filter(|money| money.is_positive()));
    }
    assert_eq!(rich, [eur(2_500)]);
    assert_eq!((world.booked("promotions").await, world.booked("gift_codes").await), (2_500, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn one_person_who_tries_fifty_times_at_once_gets_it_once() {
    let world = world().await;
    let (_, codes) = world.made(wanted(Kind::Sold, 1_000, 1)).await;
    let account = world.account();
    let tries = join_all((0..50).map(|_| world.redeem(account, &codes[0]))).await;
    assert_eq!(tries.iter().filter(|one| one.is_ok()).count(), 1);
    assert!(tries.into_iter().filter_map(Result::err).all(|error| error.is("CODE_USED_BY_YOU")));
    assert_eq!(world.purse_now(account).await, eur(1_000));
    world.assert_sound().await;
}

#[tokio::test]
async fn what_was_sold_is_owed_from_its_issue_until_it_is_redeemed_or_void() {
    let world = world().await;
    let (batch, codes) = world.made(wanted(Kind::Sold, 1_000, 5)).await;
    assert_eq!((world.booked("gift_sales").await, world.booked("gift_codes").await), (5_000, -5_000));
    world.assert_sound().await;
    let account = world.account();
    let Redeemed::Money(credit) = world.redeem(account, &codes[0].to_lowercase()).await.unwrap() else {
        panic!("a code for money")
    };
    assert_eq!((credit.amount, credit.expires_at), (eur(1_000), None));
    assert!(credit.reason.contains("Christmas"), "{}", credit.reason);
    assert_eq!((world.booked("gift_codes").await, world.booked("promotions").await), (-4_000, 0));
    world.assert_sound().await;

    let owner = ottery_testkit::actor::owner(world.brand);
    let page = store::Page { before: None, limit: 10 };
    let (_, stored) = world.billing.gift_codes(world.brand, batch.id, page).await.unwrap();
    let free = stored.iter().find(|code| code.is_free()).unwrap();
    assert!(codes.iter().any(|code| code.ends_with(&free.last_four)));
    world.billing.void_gift(&owner, world.brand, free.id, "lost").await.unwrap();
    let again = world.billing.void_gift(&owner, world.brand, free.id, "lost").await.unwrap_err();
    assert!(again.is("CODE_STATE"));
    assert_eq!((world.booked("gift_sales").await, world.booked("gift_codes").await), (4_000, -3_000));
    let voided = world.billing.void_gifts(&owner, world.brand, batch.id, "not sold").await.unwrap();
    assert!(voided.voided_at.is_some());
    world.billing.void_gifts(&owner, world.brand, batch.id, "not sold").await.unwrap();
    assert_eq!((world.booked("gift_sales").await, world.booked("gift_codes").await), (1_000, 0));
    assert_eq!(world.purse_now(account).await, eur(1_000), "what was redeemed stays");
    assert!(world.redeem(world.account(), &codes[1]).await.unwrap_err().is("CODE_UNKNOWN"));
    world.assert_sound().await;
}

#[tokio::test]
async fn codes_are_handed_out_once_and_nobody_can_read_them_in_the_database() {
    let world = world().await;
    let (batch, codes) = world.made(wanted(Kind::Promotion, 500, 20)).await;
    assert_eq!(codes.len(), 20);
    assert!(codes.iter().all(|code| code.starts_with("XMAS-")));
    let owner = ottery_testkit::actor::owner(world.brand);
    let again = world.billing.download_gifts(&owner, world.brand, batch.id).await.unwrap_err();
    assert_eq!((again.reason.as_ref(), again.field.as_deref()), ("CODES_HANDED_OUT", Some("batch_id")));
    let dump: Vec<String> =
        sqlx::query_scalar("SELECT b::text || c::text FROM gift_batch b JOIN gift_code c ON c.batch_id = b.id")
            .fetch_all(&world.database.admin_pool)
            .await
            .unwrap();
    for code in &codes {
        let body = code.trim_start_matches("XMAS-").replace('-', "");
        assert!(!dump.iter().any(|row| row.contains(code.as_str()) || row.contains(&body)), "{code}");
    }
    let both = world.make(wanted(Kind::Promotion, 500, 1)).await.unwrap();
    let (one, two) = tokio::join!(
        world.billing.download_gifts(&owner, world.brand, both.id),
        world.billing.download_gifts(&owner, world.brand, both.id)
    );
    assert_eq!([one, two].into_iter().filter(Result::is_ok).count(), 1);
}

#[tokio::test]
async fn unknown_used_by_others_void_and_over_have_one_answer_and_a_limit_holds() {
    let world = world().await;
    let end = world.now() + TimeDelta::days(10);
    let new = NewBatch {
        worth: Worth::Money(eur(700), Some(5)),
        per_person_max: 1,
        expires_at: Some(end),
        ..wanted(Kind::Promotion, 0, 4)
    };
    let (_, codes) = world.made(new).await;
    let (ada, bob) = (world.account(), world.account());
    world.redeem(ada, &codes[0]).await.unwrap();
    let limit = world.redeem(ada, &codes[1]).await.unwrap_err();
    assert_eq!((limit.reason.as_ref(), limit.field.as_deref()), ("CODE_LIMIT", Some("code")));
    assert!(world.redeem(ada, &codes[0]).await.unwrap_err().is("CODE_USED_BY_YOU"));

    let stranger = crate::world::world().await;
    let (_, foreign) = stranger.made(wanted(Kind::Promotion, 700, 1)).await;
    let used = world.redeem(bob, &codes[0]).await.unwrap_err();
    let never = world.redeem(bob, &foreign[0]).await.unwrap_err();
    world.host.clock.set(end);
    let over = world.redeem(bob, &codes[2]).await.unwrap_err();
    for answer in [&used, &never, &over] {
        assert_eq!((&answer.reason, &answer.message, &answer.field), (&used.reason, &used.message, &used.field));
    }
    assert!(used.is("CODE_UNKNOWN"));
    let typo = codes[2].replace(&codes[2][5..6], if codes[2].contains('7') { "8" } else { "7" });
    let wrong = world.redeem(bob, &typo).await.unwrap_err();
    assert!(wrong.is("CODE_MISTYPED") || wrong.is("CODE_UNKNOWN"), "{wrong:?}");
    // The credit was good for five days.
    world.billing.expire_all().await.unwrap();
    assert_eq!(world.purse_now(ada).await, eur(0));
    assert_eq!(world.booked("promotions").await, 0);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_code_for_a_plan_is_a_paid_term_that_ends_by_itself_unless_its_customer_goes_on() {
    for (kind, gift_codes) in [(Kind::Promotion, 0), (Kind::Sold, -2_380)] {
        let world = world().await;
        let (_, codes) = world.plan_batch(kind, offer(1_190, Term::MONTH)).await;
        let account = world.account();
        // Money in the wallet is not touched by it.
        let (_, money) = world.made(wanted(Kind::Promotion, 500, 1)).await;
        world.redeem(account, &money[0]).await.unwrap();
        let Redeemed::Plan { subscription, .. } = world.redeem(account, &codes[0]).await.unwrap() else {
            panic!("a code for a plan")
        };
        let subscription = world.subscription(subscription).await;
        let end = subscription.paid_through.unwrap();
        assert_eq!((subscription.state, subscription.cancel_at), (Life::Active, Some(end)));
        assert_eq!(end - world.now(), TimeDelta::days(31));
        assert_eq!(world.purse_now(account).await, eur(500));
        assert_eq!((world.booked("tax").await, world.booked("gift_codes").await), (-190, gift_codes));
        world.assert_sound().await;
        assert!(world.redeem(world.account(), &codes[0]).await.unwrap_err().is("CODE_UNKNOWN"));

        world.advance_to(end).await;
        assert!(world.subscription(subscription.id).await.state.has_ended());
        world.assert_sound().await;

        // Whoever goes on is billed like everybody.
        let other = world.account();
        let Redeemed::Plan { subscription, .. } = world.redeem(other, &codes[1]).await.unwrap() else {
            panic!("a code for a plan")
        };
        let me = ottery_testkit::actor::customer(world.brand, other);
        world.billing.resume(world.brand, subscription, None, &me).await.unwrap();
        let end = world.subscription(subscription).await.paid_through.unwrap();
        world.advance_to(end - TimeDelta::hours(72)).await;
        let renewal = world.open_invoice(subscription).await.unwrap();
        assert_eq!((renewal.state, renewal.remaining().unwrap()), (State::Open, eur(1_190)));
        world.assert_sound().await;
    }
}

/// What is owed for codes, earned by codes that expired, and owed by whoever sells them.
async fn owed_earned_claimed(world: &World) -> (i64, i64, i64) {
    (-world.booked("gift_codes").await, -world.booked("gift_breakage").await, world.booked("gift_sales").await)
}

#[tokio::test]
async fn what_was_sold_and_expires_is_earned_when_it_does_and_owed_to_nobody() {
    let world = world().await;
    let owner = ottery_testkit::actor::owner(world.brand);
    let end = world.now() + TimeDelta::days(10);
    let new = NewBatch { expires_at: Some(end), ..wanted(Kind::Sold, 1_000, 4) };
    let (batch, codes) = world.made(new).await;
    // Given away: nothing was owed, and nothing is earned.
    let promotion = NewBatch { expires_at: Some(end), ..wanted(Kind::Promotion, 700, 3) };
    let (_, given) = world.made(promotion).await;
    world.redeem(world.account(), &codes[0]).await.unwrap();
    let page = store::Page { before: None, limit: 10 };
    let (_, stored) = world.billing.gift_codes(world.brand, batch.id, page).await.unwrap();
    let lost = stored.iter().find(|code| codes[1].ends_with(&code.last_four)).unwrap();
    world.billing.void_gift(&owner, world.brand, lost.id, "lost").await.unwrap();
    assert_eq!(owed_earned_claimed(&world).await, (2_000, 0, 3_000));

    world.host.clock.set(end - TimeDelta::seconds(1));
    assert_eq!(world.billing.expire_all().await.unwrap(), 0, "a second is left");
    assert!(world.billing.still_due(world.brand, world.now()).await.unwrap().is_none());
    world.host.clock.set(end);
    let waiting = world.billing.still_due(world.brand, world.now()).await.unwrap();
    assert_eq!(waiting.as_deref(), Some("2 batches of codes to expire"));
    // However many look at once, it is booked once.
    let workers = join_all((0..4).map(|_| world.billing.expire_gifts(world.brand))).await;
    assert!(workers.iter().all(Result::is_ok), "{workers:?}");
    assert_eq!(world.billing.expire_all().await.unwrap(), 0);
    assert_eq!(owed_earned_claimed(&world).await, (0, 2_000, 3_000));
    let booked: Vec<_> = world.books().await.into_iter().filter(|row| row.starts_with("gift.expired")).collect();
    assert_eq!(booked, ["gift.expired gift_codes gift_breakage 20.00"]);
    world.assert_sound().await;

    for code in [&codes[2], &codes[3], &given[0]] {
        assert!(world.redeem(world.account(), code).await.unwrap_err().is("CODE_UNKNOWN"));
    }
    // Over is over: nobody makes it void as well, and no book moves.
    let (batch, stored) = world.billing.gift_codes(world.brand, batch.id, page).await.unwrap();
    assert_eq!((batch.expired_at, batch.voided_at), (Some(end), None));
    assert_eq!(stored.iter().filter(|code| code.expired_at == Some(end)).count(), 2);
    let expired = stored.iter().find(|code| code.expired_at.is_some()).unwrap();
    assert!(world.billing.void_gift(&owner, world.brand, expired.id, "x").await.unwrap_err().is("CODE_STATE"));
    let voided = world.billing.void_gifts(&owner, world.brand, batch.id, "x").await.unwrap();
    assert_eq!(voided.voided_at, None);
    assert_eq!(owed_earned_claimed(&world).await, (0, 2_000, 3_000));
    world.assert_sound().await;
}

#[tokio::test]
async fn who_makes_codes_void_after_their_end_before_the_worker_came_finds_them_expired() {
    let world = world().await;
    let owner = ottery_testkit::actor::owner(world.brand);
    let end = world.now() + TimeDelta::days(10);
    let new = || NewBatch { expires_at: Some(end), ..wanted(Kind::Sold, 1_000, 2) };
    let ((late, _), (early, _)) = (world.made(new()).await, world.made(new()).await);
    world.billing.void_gifts(&owner, world.brand, early.id, "not sold").await.unwrap();
    assert_eq!(owed_earned_claimed(&world).await, (2_000, 0, 2_000));
    world.host.clock.set(end);
    let page = store::Page { before: None, limit: 10 };
    let (_, stored) = world.billing.gift_codes(world.brand, late.id, page).await.unwrap();
    assert!(world.billing.void_gift(&owner, world.brand, stored[0].id, "x").await.unwrap_err().is("CODE_STATE"));
    let found = world.billing.void_gifts(&owner, world.brand, late.id, "too late").await.unwrap();
    assert_eq!((found.expired_at, found.voided_at), (Some(end), None));
    assert_eq!(owed_earned_claimed(&world).await, (0, 2_000, 2_000));
    world.billing.expire_all().await.unwrap();
    assert_eq!(owed_earned_claimed(&world).await, (0, 2_000, 2_000));
    world.assert_sound().await;
}

#[tokio::test]
async fn codes_expire_in_the_copy_of_the_time_machine_as_they_will() {
    let mut world = world().await;
    let scratch = with_scratch(&mut world.billing).await;
    let end = world.now() + TimeDelta::days(3);
    world.made(NewBatch { expires_at: Some(end), ..wanted(Kind::Sold, 1_000, 2) }).await;
    let journey = Journey::begin(&world.billing, world.brand, Assumption::Succeed).await.unwrap();
    journey.live_until(world.now() + TimeDelta::days(5), TimeDelta::hours(1), &mut Silently).await.unwrap();
    let booked = "SELECT kind, debit, credit, amount_minor, booked_at FROM transfer WHERE kind = 'gift.expired'";
    type Row = (String, String, String, i64, chrono::DateTime<chrono::Utc>);
    let foreseen: Vec<Row> = sqlx::query_as(booked).fetch_all(&scratch.admin_pool).await.unwrap();
    assert_eq!(foreseen, [("gift.expired".into(), "gift_codes".into(), "gift_breakage".into(), 2_000, end)]);
    journey.end().await.unwrap();
    assert_eq!(owed_earned_claimed(&world).await, (2_000, 0, 2_000), "nothing has happened yet");
    world.host.clock.set(end);
    world.billing.expire_all().await.unwrap();
    let happened: Vec<Row> = sqlx::query_as(booked).fetch_all(&world.database.admin_pool).await.unwrap();
    assert_eq!(happened, foreseen);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_batch_is_within_its_limits() {
    let world = world().await;
    let refused = async |new: NewBatch| {
        let refused = world.make(new).await.unwrap_err();
        (refused.reason.to_string(), refused.field.unwrap_or_default().to_string())
    };
    let good = || wanted(Kind::Promotion, 500, 1);
    let invalid = |field: &str| ("GIFT_BATCH_INVALID".to_owned(), field.to_owned());
    assert_eq!(refused(NewBatch { name: " ".into(), ..good() }).await, invalid("name"));
    assert_eq!(refused(NewBatch { count: 0, ..good() }).await, invalid("count"));
    assert_eq!(refused(NewBatch { count: 10_001, ..good() }).await, invalid("count"));
    assert_eq!(refused(NewBatch { prefix: "TOO LONG".into(), ..good() }).await, invalid("prefix"));
    assert_eq!(refused(NewBatch { worth: Worth::Money(eur(0), None), ..good() }).await, invalid("value"));
    assert_eq!(refused(NewBatch { worth: Worth::Money(eur(1), Some(9_999)), ..good() }).await, invalid("credit_days"));
    let sold = NewBatch { worth: Worth::Money(eur(1), Some(9)), kind: Kind::Sold, ..good() };
    assert_eq!(refused(sold).await, invalid("credit_days"));
    assert_eq!(refused(NewBatch { expires_at: Some(world.now()), ..good() }).await, invalid("expires_at"));
    let yen = Worth::Money(Money::new(500, Currency::JPY), None);
    assert_eq!(refused(NewBatch { worth: yen, ..good() }).await, ("CURRENCY_NOT_SOLD".to_owned(), "value".to_owned()));
    assert_eq!(world.make(NewBatch { count: 10_000, ..good() }).await.unwrap().count, 10_000);
}

#[tokio::test]
async fn case_051_who_is_merged_has_redeemed_what_the_other_one_did() {
    let world = world().await;
    let new = NewBatch { per_person_max: 1, ..wanted(Kind::Promotion, 500, 2) };
    let (_, codes) = world.made(new).await;
    let (old, new) =
        (world.subscriber(1_000, Term::YEAR).await.account, world.subscriber(1_000, Term::YEAR).await.account);
    world.redeem(old, &codes[0]).await.unwrap();
    let buyer = placing(Uuid::nil(), new).buyer;
    let merge = Merge { from: old, to: new, buyer, reason: "the same person".into() };
    world.billing.merge_customers(&ottery_testkit::actor::owner(world.brand), world.brand, merge, None).await.unwrap();
    assert!(world.redeem(new, &codes[1]).await.unwrap_err().is("CODE_LIMIT"));
    assert!(world.redeem(old, &codes[1]).await.unwrap_err().is("CUSTOMER_MERGED"));
    assert_eq!(world.purse_now(new).await, eur(500));
    world.assert_sound().await;
}

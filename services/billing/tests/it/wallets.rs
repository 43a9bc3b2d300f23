//! Wallets: what is spent first, what expires when, what comes back, and statements.

use billing::app::merge::Merge;
use billing::app::wallet::Grant;
use billing::domain::invoice::State;
use billing::domain::subscription::Subscription;
use billing::domain::wallet::Granted;
use billing::store;
use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, Currency, Money, Term};
use ottery_kit::grpc::Problem;

use crate::world::{World, eur, offer, world};

impl World {
    async fn grant(
        &self,
        account: AccountId,
        minor: i64,
        expires_at: Option<DateTime<Utc>>,
    ) -> Result<Granted, Problem> {
        let staff = ottery_testkit::actor::owner(self.brand);
        let grant = Grant { account, amount: eur(minor), reason: "An evening without picture".into(), expires_at };
        self.billing.grant_credit(&staff, self.brand, grant, None).await
    }

    async fn available(&self, account: AccountId) -> Money {
        let wallets = self.billing.wallet(self.brand, account).await.unwrap();
        wallets.first().map_or(eur(0), |wallet| wallet.available)
    }

    /// What is left of a credit in the books, expired or not.
    async fn left_of(&self, granted: &Granted) -> i64 {
        let mut tx = self.tx().await;
        let held = store::wallet::held(&mut tx, &[granted.account]).await.unwrap();
        held.iter().find(|held| held.granted.id == granted.id).map_or(0, |held| held.left.minor)
    }

    /// The renewal invoice that is issued three days before the end.
    async fn renewal_of(&self, subscription: &Subscription) -> billing::domain::invoice::Invoice {
        let end = subscription.paid_through.unwrap();
        self.advance_to(end - TimeDelta::hours(72)).await;
        let mut tx = self.tx().await;
        let page = store::Page { before: None, limit: 1 };
        store::invoice::list(&mut tx, None, Some(subscription.id), page).await.unwrap().remove(0)
    }
}

#[tokio::test]
async fn what_expires_soonest_pays_first_and_money_that_was_paid_pays_last() {
    let world = world().await;
    let subscription = world.subscriber(1000, Term::MONTH).await;
    let account = subscription.account;
    let invoice = world.invoice_of(&world.order(account, offer(300, Term::YEAR)).await).await;
    world.settle(&world.payment(&invoice, eur(800), eur(800))).await;
    let end = subscription.paid_through.unwrap();
    let never = world.grant(account, 200, None).await.unwrap();
    let late = world.grant(account, 300, Some(end + TimeDelta::days(40))).await.unwrap();
    let soon = world.grant(account, 400, Some(end + TimeDelta::days(4))).await.unwrap();
    assert_eq!(world.available(account).await, eur(1400));

    let renewal = world.renewal_of(&subscription).await;
    assert_eq!((renewal.state, renewal.paid, renewal.from_wallet), (State::Closed, eur(1000), eur(1000)));
    assert_eq!((world.left_of(&soon).await, world.left_of(&late).await, world.left_of(&never).await), (0, 0, 0));
    assert_eq!(world.available(account).await, eur(400), "100 of the 500 that were paid were needed");
    world.assert_sound().await;
}

#[tokio::test]
async fn a_credit_expires_by_the_brands_clock_and_once() {
    let world = world().await;
    let account = world.subscriber(1000, Term::YEAR).await.account;
    let granted = world.grant(account, 700, Some(world.now() + TimeDelta::days(10))).await.unwrap();
    world.host.clock.advance(TimeDelta::days(9));
    assert_eq!(world.billing.expire_all().await.unwrap(), 0);
    assert_eq!(world.available(account).await, eur(700));
    world.host.clock.advance(TimeDelta::days(1));
    assert_eq!(world.available(account).await, eur(0), "nobody can spend it while the worker is late");
    assert_eq!(
        world.billing.still_due(world.brand, world.now()).await.unwrap().as_deref(),
        Some("1 credits to expire")
    );
    assert_eq!(world.billing.expire_all().await.unwrap(), 1);
    assert_eq!(world.billing.expire_all().await.unwrap(), 0);
    assert_eq!(world.left_of(&granted).await, 0);
    let expired: Vec<_> = world.books().await.into_iter().filter(|row| row.starts_with("credit.expired")).collect();
    assert_eq!(expired.len(), 1, "{expired:?}");
    assert!(expired[0].ends_with("promotions 7.00"), "{expired:?}");
    world.assert_sound().await;
}

#[tokio::test]
async fn case_036_credit_in_an_open_invoice_does_not_expire_until_it_closes() {
    let world = world().await;
    let subscription = world.subscriber(1000, Term::MONTH).await;
    let account = subscription.account;
    let end = subscription.paid_through.unwrap();
    let granted = world.grant(account, 400, Some(end - TimeDelta::days(1))).await.unwrap();
    let renewal = world.renewal_of(&subscription).await;
    assert_eq!((renewal.state, renewal.remaining().unwrap()), (State::Open, eur(600)));

    // It would have expired, but the invoice has it: paid late, it counts.
    world.advance_to(end + TimeDelta::days(1)).await;
    world.billing.expire_all().await.unwrap();
    let renewal = world.invoice(renewal.id).await;
    assert_eq!((renewal.state, renewal.paid), (State::Open, eur(400)));
    world.pay(&renewal).await;
    assert_eq!(world.invoice(renewal.id).await.state, State::Closed);
    assert_eq!(world.left_of(&granted).await, 0);
    assert!(!world.books().await.iter().any(|row| row.starts_with("credit.expired")));
    world.assert_sound().await;
}

#[tokio::test]
async fn case_036_a_withdrawn_invoice_gives_back_what_it_took_and_what_has_expired_meanwhile_expires() {
    let world = world().await;
    let subscription = world.subscriber(1000, Term::MONTH).await;
    let account = subscription.account;
    let end = subscription.paid_through.unwrap();
    world.grant(account, 250, Some(end - TimeDelta::days(1))).await.unwrap();
    let stays = world.grant(account, 150, None).await.unwrap();
    let renewal = world.renewal_of(&subscription).await;
    assert_eq!(renewal.paid, eur(400));
    world.advance_to(end + TimeDelta::days(1)).await;
    world.billing.expire_all().await.unwrap();
    let me = ottery_testkit::actor::customer(world.brand, account);
    world.billing.cancel(world.brand, subscription.id, None, "", &me).await.unwrap();
    let renewal = world.invoice(renewal.id).await;
    assert_eq!((renewal.state, renewal.paid), (State::Void, eur(0)), "only the wallet had paid on it");
    assert_eq!(world.left_of(&stays).await, 150);
    assert_eq!(world.available(account).await, eur(150));
    let books = world.books().await;
    assert_eq!(books.iter().filter(|row| row.starts_with("wallet.released")).count(), 2);
    assert_eq!(books.iter().filter(|row| row.starts_with("credit.expired")).count(), 1);
    world.assert_sound().await;
}

#[tokio::test]
async fn an_order_takes_what_is_in_the_wallet_and_gives_it_back_when_it_is_never_paid() {
    let world = world().await;
    let account = world.subscriber(1000, Term::YEAR).await.account;
    world.grant(account, 300, None).await.unwrap();
    let placed = world.order(account, offer(1000, Term::MONTH)).await;
    assert_eq!(world.invoice_of(&placed).await.remaining().unwrap(), eur(700));
    assert_eq!(world.available(account).await, eur(0));
    world.advance(TimeDelta::days(30)).await;
    assert_eq!(world.invoice_of(&placed).await.state, State::Void);
    assert_eq!(world.available(account).await, eur(300));

    world.grant(account, 900, None).await.unwrap();
    let covered = world.order(account, offer(1200, Term::MONTH)).await;
    assert!(covered.payment.is_none(), "nothing is left to pay");
    assert_eq!(world.invoice_of(&covered).await.state, State::Closed);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_statement_goes_from_balance_to_balance_and_the_next_one_goes_on() {
    let world = world().await;
    let account = world.subscriber(1000, Term::YEAR).await.account;
    let today = world.billing.brand_today(world.brand).await.unwrap();
    world.grant(account, 700, Some(world.now() + TimeDelta::days(20))).await.unwrap();
    world.order(account, offer(200, Term::YEAR)).await;
    world.host.clock.advance(TimeDelta::days(21));
    world.billing.expire_all().await.unwrap();
    let statement = async |from, to| {
        let days = (today + TimeDelta::days(from), today + TimeDelta::days(to));
        world.billing.wallet_statement(world.brand, account, Currency::EUR, days).await.unwrap()
    };
    let first = statement(0, 10).await;
    let kinds: Vec<_> = first.rows.iter().map(|row| row.movement.kind.as_str()).collect();
    assert_eq!(kinds, ["credit.granted", "wallet.applied"]);
    assert_eq!((first.opening, first.closing), (eur(0), eur(500)));
    let second = statement(11, 30).await;
    assert_eq!((second.opening, second.closing, second.rows.len()), (first.closing, eur(0), 1));
    let both = statement(0, 30).await;
    assert_eq!((both.rows.len(), both.closing), (3, second.closing));
    assert!(both.csv().contains("Credit expired"), "{}", both.csv());
    let too_long = (today, today + TimeDelta::days(366));
    let refused = world.billing.wallet_statement(world.brand, account, Currency::EUR, too_long).await.unwrap_err();
    assert!(refused.is("PERIOD_INVALID"));
}

#[tokio::test]
async fn a_credit_has_an_amount_a_reason_an_owner_and_a_future() {
    let world = world().await;
    let account = world.subscriber(1000, Term::YEAR).await.account;
    let now = world.now();
    assert!(world.grant(account, 0, None).await.unwrap_err().is("AMOUNT_INVALID"));
    assert!(world.grant(account, 999_999_999_999, None).await.unwrap_err().is("AMOUNT_INVALID"));
    assert!(world.grant(account, 1, Some(now)).await.unwrap_err().is("EXPIRY_PAST"));
    assert!(world.grant(world.account(), 1, None).await.unwrap_err().is("CUSTOMER_NOT_FOUND"));
    let staff = ottery_testkit::actor::owner(world.brand);
    let grant = |amount, reason: &str| Grant { account, amount, reason: reason.to_owned(), expires_at: None };
    let yen = Money::new(100, Currency::JPY);
    let refused = world.billing.grant_credit(&staff, world.brand, grant(yen, "x"), None).await.unwrap_err();
    assert!(refused.is("CURRENCY_NOT_SOLD"));
    let refused = world.billing.grant_credit(&staff, world.brand, grant(eur(1), " "), None).await.unwrap_err();
    assert!(refused.is("REASON_INVALID"));
    assert!(world.billing.wallet(world.brand, account).await.unwrap().is_empty());
}

#[tokio::test]
async fn case_051_credit_moves_with_its_customer_and_still_expires() {
    let world = world().await;
    let (old, new) =
        (world.subscriber(1000, Term::YEAR).await.account, world.subscriber(1000, Term::YEAR).await.account);
    let granted = world.grant(old, 500, Some(world.now() + TimeDelta::days(5))).await.unwrap();
    let open = world.order(old, offer(700, Term::MONTH)).await;
    let buyer = world.invoice_of(&open).await.snapshot.buyer;
    let merge = Merge { from: old, to: new, buyer, reason: "the same person".into() };
    world.billing.merge_customers(&ottery_testkit::actor::owner(world.brand), world.brand, merge, None).await.unwrap();
    assert_eq!((world.available(old).await, world.available(new).await), (eur(0), eur(0)));
    // The order is given up: what it took comes back to the customer that is left.
    world.advance(TimeDelta::days(4)).await;
    assert_eq!(world.invoice_of(&open).await.state, State::Void);
    assert_eq!(world.available(new).await, eur(500));
    world.host.clock.advance(TimeDelta::days(1));
    world.billing.expire_all().await.unwrap();
    let mut tx = world.tx().await;
    assert!(store::wallet::held(&mut tx, &[new]).await.unwrap().is_empty());
    assert_eq!(store::wallet::get(&mut tx, granted.id).await.unwrap().unwrap().account, new);
    world.assert_sound().await;
}

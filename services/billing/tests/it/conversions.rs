//! A wallet in another currency: by staff, at a stated rate, with a trace.

use billing::app::conversion::{Convert, Converted};
use billing::app::order::Idempotency;
use billing::app::wallet::Grant;
use billing::domain::ledger::{Account, Booking};
use billing::store;
use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, Currency, Money, Term};
use ottery_kit::grpc::Problem;
use ottery_kit::idempotency::KeyScope;
use ottery_testkit::recorder::outbox;

use crate::world::{World, eur, offer, world};

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::USD)
}

impl World {
    /// A customer who paid so much too much.
    async fn overpaid(&self, minor: i64) -> AccountId {
        let account = self.account();
        let invoice = self.invoice_of(&self.order(account, offer(300, Term::YEAR)).await).await;
        self.settle(&self.payment(&invoice, eur(300 + minor), eur(300 + minor))).await;
        account
    }

    async fn gift(&self, account: AccountId, minor: i64, expires_at: Option<DateTime<Utc>>) {
        let staff = ottery_testkit::actor::owner(self.brand);
        let grant = Grant { account, amount: eur(minor), reason: "An evening without picture".into(), expires_at };
        self.billing.grant_credit(&staff, self.brand, grant, None).await.unwrap();
    }

    async fn convert(
        &self,
        account: AccountId,
        (from, to): (Currency, Currency),
        rate: &str,
        call: Option<Idempotency>,
    ) -> Result<Converted, Problem> {
        let staff = ottery_testkit::actor::owner(self.brand);
        let convert = Convert { account, from, to, rate: rate.parse().unwrap(), reason: "moved to the USA".into() };
        self.billing.convert_wallet(&staff, self.brand, convert, call).await
    }

    async fn has(&self, account: AccountId, currency: Currency) -> i64 {
        let wallets = self.billing.wallet(self.brand, account).await.unwrap();
        wallets.iter().find(|wallet| wallet.paid.currency == currency).map_or(0, |wallet| wallet.available.minor)
    }

    async fn exchanged(&self, currency: Currency) -> i64 {
        let mut tx = self.tx().await;
        let balances = store::ledger::balances(&mut tx).await.unwrap();
        let ours = balances.iter().filter(|one| one.account == "exchange" && one.debits.currency == currency);
        ours.map(|one| one.debits.minor - one.credits.minor).sum()
    }
}

const TO_DOLLARS: (Currency, Currency) = (Currency::EUR, Currency::USD);

#[tokio::test]
async fn case_026_staff_converts_every_pocket_at_a_stated_rate_and_each_currency_sums_to_zero() {
    let world = world().await;
    let account = world.overpaid(500).await;
    world.gift(account, 400, Some(world.now() + TimeDelta::days(10))).await;
    world.gift(account, 300, None).await;
    let scope = KeyScope { brand: Some(world.brand), actor: "staff".into(), route: "billing.ConvertWallet" };
    let call = || Some(Idempotency { scope: scope.clone(), key: "key-1".into(), hash: [7; 32] });
    let converted = world.convert(account, TO_DOLLARS, "1.0837", call()).await.unwrap();
    // 541.85, 433.48 and 325.11 cents, each rounded for itself.
    assert_eq!((converted.from, converted.to), (eur(1200), usd(542 + 433 + 325)));
    assert_eq!(world.convert(account, TO_DOLLARS, "1.0837", call()).await.unwrap(), converted, "once");
    assert_eq!((world.has(account, Currency::EUR).await, world.has(account, Currency::USD).await), (0, 1300));
    assert_eq!((world.exchanged(Currency::EUR).await, world.exchanged(Currency::USD).await), (-1200, 1300));
    world.assert_sound().await;
    let told = outbox(&world.database.pool).await;
    assert!(told.iter().any(|event| event.r#type == "billing.audit.recorded.v1"));
    let mut tx = world.tx().await;
    let held = store::wallet::held(&mut tx, &[account]).await.unwrap();
    drop(tx);
    let expiring: Vec<_> = held.iter().filter(|held| held.granted.expires_at.is_some()).map(|held| held.left).collect();
    assert_eq!((held.len(), expiring), (2, vec![usd(433)]), "it expires when it would have");

    world.host.clock.advance(TimeDelta::days(10));
    world.billing.expire_all().await.unwrap();
    assert_eq!(world.has(account, Currency::USD).await, 867);
    // What is bought in dollars is paid from it.
    let dollars = billing::domain::offer::Offer { price: usd(800), ..offer(800, Term::MONTH) };
    let placed = world.order(account, dollars).await;
    assert!(placed.payment.is_none());
    assert_eq!(world.has(account, Currency::USD).await, 67);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_026_what_is_open_held_or_on_its_way_back_comes_first() {
    let world = world().await;
    let account = world.overpaid(500).await;
    let refused = async |account, pair, rate| world.convert(account, pair, rate, None).await.unwrap_err();
    let stranger = refused(world.account(), TO_DOLLARS, "1.1").await;
    assert_eq!((stranger.reason.as_ref(), stranger.field.as_deref()), ("CUSTOMER_NOT_FOUND", Some("account_id")));
    for to in [Currency::EUR, Currency::JPY] {
        let wrong = refused(account, (Currency::EUR, to), "1.1").await;
        assert_eq!((wrong.reason.as_ref(), wrong.field.as_deref()), ("CURRENCY_NOT_SOLD", Some("to")));
        assert!(wrong.message.ends_with("choose one of USD"), "{}", wrong.message);
    }
    assert!(refused(account, (Currency::USD, Currency::EUR), "1").await.is("NOTHING_TO_CONVERT"));
    assert!(refused(account, TO_DOLLARS, "1/999999999999").await.is("NOTHING_TO_CONVERT"));

    let open = world.order(account, offer(9_000, Term::MONTH)).await;
    let invoice = world.invoice_of(&open).await;
    let busy = refused(account, TO_DOLLARS, "1.1").await;
    assert_eq!(busy.reason, "CURRENCY_IN_USE");
    assert!(busy.message.contains(&invoice.number_text()), "{}", busy.message);
    let me = ottery_testkit::actor::customer(world.brand, account);
    world.billing.cancel_order(&me, world.brand, open.order.id, Some(account)).await.unwrap();

    let mut tx = world.tx().await;
    let hold = Booking::new(world.profile.entity.id, "credit.held", "test", world.now())
        .hold(Account::Wallet(account), Account::Revenue, eur(100), world.now() + TimeDelta::days(1))
        .unwrap();
    let held = hold.into_transfers();
    store::ledger::append(&mut tx, world.brand, &held).await.unwrap();
    tx.commit().await.unwrap();
    assert!(refused(account, TO_DOLLARS, "1.1").await.is("MONEY_ON_HOLD"));
    let mut tx = world.tx().await;
    let void = Booking::new(world.profile.entity.id, "credit.voided", "test", world.now()).void_hold(&held[0]).unwrap();
    store::ledger::book(&mut tx, world.brand, void).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.convert(account, TO_DOLLARS, "1.1", None).await.unwrap().to, usd(550));
    world.assert_sound().await;
}

#[tokio::test]
async fn case_026_two_conversions_at_once_convert_once() {
    let world = world().await;
    let account = world.overpaid(500).await;
    let (one, two) =
        tokio::join!(world.convert(account, TO_DOLLARS, "1.1", None), world.convert(account, TO_DOLLARS, "1.1", None));
    assert_eq!([&one, &two].into_iter().filter(|one| one.is_ok()).count(), 1);
    assert!(one.or(two).is_ok());
    assert_eq!((world.has(account, Currency::EUR).await, world.has(account, Currency::USD).await), (0, 550));
    world.assert_sound().await;
}

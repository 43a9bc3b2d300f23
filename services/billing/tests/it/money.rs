//! Money that comes twice, in the wrong amount, too late or for nothing.

use std::sync::Arc;

use billing::app::credit;
use billing::app::settlement::{self, Owed, Settled};
use billing::domain::invoice;
use billing::domain::ledger::{Account, Booking};
use billing::domain::subscription::State;
use billing::store;
use chrono::TimeDelta;
use ottery_kernel::{Currency, Money, Term};
use ottery_testkit::recorder::outbox;

use crate::world::{World, eur, offer, world};

async fn tasks(world: &World) -> Vec<String> {
    let page = store::Page { before: None, limit: 50 };
    world.billing.tasks(world.brand, page).await.unwrap().into_iter().map(|task| task.kind).collect()
}

#[tokio::test]
async fn case_052_the_same_payment_applied_by_20_at_once_settles_once() {
    let world = Arc::new(world().await);
    let placed = world.order(world.account(), offer(1190, Term::MONTH)).await;
    let payment = world.payment_of(&world.invoice_of(&placed).await);
    let calls = (0..20).map(|_| {
        let (world, payment) = (Arc::clone(&world), payment.clone());
        tokio::spawn(async move {
            let mut tx = world.billing.begin(world.brand).await?.0;
            let owed = Owed::lock(&mut tx, payment.invoice).await?;
            let (settled, _) =
                settlement::apply_success(&mut tx, &world.billing, world.brand, owed, &payment, world.now()).await?;
            tx.commit().await?;
            Ok::<_, ottery_kit::grpc::Problem>(settled)
        })
    });
    let outcomes: Vec<_> =
        futures::future::join_all(calls).await.into_iter().map(|call| call.unwrap().unwrap()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Settled::Applied).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Settled::AlreadyApplied).count(), 19);
    let settled =
        outbox(&world.database.pool).await.iter().filter(|event| event.r#type == "billing.invoice.settled.v1").count();
    assert_eq!(settled, 1);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_044_paying_a_paid_invoice_fills_the_wallet_which_pays_the_renewal() {
    let world = world().await;
    let placed = world.order(world.account(), offer(1190, Term::MONTH)).await;
    let invoice = world.invoice_of(&placed).await;
    let (first, second) = (world.payment_of(&invoice), world.payment_of(&invoice));
    assert_eq!(world.settle(&first).await, Settled::Applied);
    assert_eq!(world.settle(&second).await, Settled::ToWallet);
    assert_eq!(tasks(&world).await, ["overpayment"]);
    let end = world.subscription(placed.order.subscription).await.paid_through.unwrap();
    world.advance_to(end - TimeDelta::hours(72)).await;
    assert_eq!(world.open_invoice(placed.order.subscription).await, None);
    let renewed = world.subscription(placed.order.subscription).await;
    assert!(renewed.paid_through.unwrap() > end);
    assert!(world.books().await.contains(&"wallet.applied wallet receivable 11.90".to_owned()));
    world.assert_sound().await;
}

#[tokio::test]
async fn case_045_what_is_too_much_goes_to_the_wallet_line_by_line() {
    let world = world().await;
    let placed = world.order(world.account(), offer(1190, Term::MONTH)).await;
    let invoice = world.invoice_of(&placed).await;
    assert_eq!(world.settle(&world.payment(&invoice, eur(1500), eur(1500))).await, Settled::Applied);
    let books = world.books().await;
    assert!(books.contains(&"payment.settled provider:sandbox receivable 11.90".to_owned()), "{books:?}");
    assert!(books.contains(&"payment.settled provider:sandbox wallet 3.10".to_owned()), "{books:?}");
    world.assert_sound().await;
}

#[tokio::test]
async fn case_046_a_part_payment_leaves_the_rest_open_and_the_service_waits() {
    let world = world().await;
    let placed = world.order(world.account(), offer(1190, Term::MONTH)).await;
    let invoice = world.invoice_of(&placed).await;
    assert_eq!(world.settle(&world.payment(&invoice, eur(190), eur(190))).await, Settled::Applied);
    let open = world.invoice(invoice.id).await;
    assert_eq!((open.state, open.remaining().unwrap()), (invoice::State::Open, eur(1000)));
    assert_eq!(world.subscription(placed.order.subscription).await.state, State::Pending);
    world.pay(&open).await;
    assert_eq!(world.subscription(placed.order.subscription).await.state, State::Active);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_060_another_amount_or_currency_is_booked_as_received_and_nothing_is_paid() {
    let world = world().await;
    for received in [eur(1), eur(100_000), Money::new(1190, Currency::USD)] {
        let placed = world.order(world.account(), offer(1190, Term::MONTH)).await;
        let invoice = world.invoice_of(&placed).await;
        assert_eq!(world.settle(&world.payment(&invoice, eur(1190), received)).await, Settled::Mismatch);
        assert_eq!(world.invoice(invoice.id).await.state, invoice::State::Open);
        let booked = format!("payment.settled provider:sandbox unapplied {}", received.to_decimal());
        assert!(world.books().await.contains(&booked));
    }
    assert_eq!(tasks(&world).await, ["payment_mismatch"; 3]);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_043_money_for_a_withdrawn_invoice_is_kept_in_the_wallet_and_staff_is_told() {
    let world = world().await;
    let placed = world.order(world.account(), offer(1190, Term::MONTH)).await;
    let invoice = world.invoice_of(&placed).await;
    world.advance(TimeDelta::hours(72)).await;
    assert_eq!(world.pay(&invoice).await, Settled::ToWallet);
    assert_eq!(world.invoice(invoice.id).await.state, invoice::State::Void);
    assert_eq!(tasks(&world).await, ["overpayment"]);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_025_repeated_partial_credits_add_up_to_the_invoices_own_tax_and_never_above_it() {
    let world = world().await;
    let placed = world.order(world.account(), offer(1000, Term::MONTH)).await;
    let invoice = world.invoice_of(&placed).await;
    world.pay(&invoice).await;
    let mut tx = world.tx().await;
    let mut taxes = 0;
    for (minor, number) in [(333, "INV-CN-2026-000001"), (333, "INV-CN-2026-000002"), (334, "INV-CN-2026-000003")] {
        let note = credit::issue(&mut tx, world.brand, &invoice, eur(minor), "goodwill", world.now()).await.unwrap();
        assert_eq!(note.number.to_string(), number);
        taxes += note.tax.minor;
        crate::exports::credited_to_wallet(&mut tx, &world, &note).await;
    }
    assert_eq!(taxes, invoice.totals.tax.minor);
    let refused = credit::issue(&mut tx, world.brand, &invoice, eur(1), "more", world.now()).await.unwrap_err();
    assert_eq!(refused.reason, "CREDIT_TOO_LARGE");
    tx.commit().await.unwrap();
    assert_eq!(world.invoice(invoice.id).await.refunded, eur(1000));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_hold_is_posted_or_voided_once_and_reserves_until_then() {
    let world = world().await;
    let account = world.account();
    let entity = world.profile.entity.id;
    let now = world.now();
    let book = |kind, reference: &'static str| Booking::new(entity, kind, reference, now);
    let mut tx = world.tx().await;
    let fill = book("test.filled", "f").post(Account::BadDebt, Account::Wallet(account), eur(1000)).unwrap();
    store::ledger::book(&mut tx, world.brand, fill).await.unwrap();
    let hold = book("test.held", "h")
        .hold(Account::Wallet(account), Account::Revenue, eur(600), now + TimeDelta::hours(1))
        .unwrap()
        .into_transfers();
    store::ledger::append(&mut tx, world.brand, &hold).await.unwrap();
    let wallet = |wallets: std::collections::HashMap<_, Money>| wallets[&(account, Currency::EUR)];
    assert_eq!(wallet(store::ledger::wallets(&mut tx, &[account]).await.unwrap()), eur(400));
    let void = book("test.voided", "h").void_hold(&hold[0]).unwrap();
    store::ledger::book(&mut tx, world.brand, void.clone()).await.unwrap();
    assert_eq!(wallet(store::ledger::wallets(&mut tx, &[account]).await.unwrap()), eur(1000));
    let again = book("test.posted", "h").post_hold(&hold[0]).unwrap();
    let refused = store::ledger::book(&mut tx, world.brand, again).await.unwrap_err();
    assert!(ottery_kit::db::is_unique_violation(&refused, "transfer_resolves_once"), "{refused}");
}

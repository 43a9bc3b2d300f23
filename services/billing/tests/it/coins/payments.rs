//! What customers send, and what becomes of it. An order is ten euros, and a coin costs 50 000: 20 000 satoshi.

use billing::domain::coin::Standing;
use billing::domain::payment::State;
use billing::domain::subscription;

use super::till::{Till, till};
use crate::world::eur;

async fn standing(till: &Till, token: &str) -> Standing {
    till.page(token).await.standing
}

#[tokio::test]
async fn an_exact_payment_is_seen_confirmed_and_booked_once() {
    let till = till().await;
    let (payment, deposit) = till.order().await;
    assert_eq!(payment.checkout_url, format!("https://tv.example/pay/coin/{}", deposit.token));
    let page = till.page(&deposit.token).await;
    let ask = page.ask.expect("something is to be sent");
    assert_eq!((ask.amount.to_decimal().as_str(), page.is_test), ("0.0002", true));
    assert!(
        ask.link.starts_with(&format!("bitcoin:{}?amount=0.0002&label=Invoice%20", deposit.address)),
        "{}",
        ask.link
    );
    assert!(matches!(page.standing, Standing::Waiting { .. }));

    till.front.send("a", &deposit.address, 20_000);
    till.look().await;
    assert_eq!(standing(&till, &deposit.token).await, Standing::Seen { confirmations: 0, needed: 1, is_late: false });
    let seen = till.payment(payment.id).await;
    assert_eq!((seen.state, seen.is_processing), (State::Pending, true));
    // While it is on its way nobody pays a second time by another way.
    let again = till.pay_again(&payment).await.unwrap_err();
    assert!(again.is("PAYMENT_IN_PROGRESS"), "{again:?}");

    till.front.mine(1);
    for _ in 0..3 {
        till.look().await;
    }
    let paid = till.payment(payment.id).await;
    assert_eq!(
        (paid.state, paid.received, paid.method_label.as_str()),
        (State::Succeeded, Some(eur(1_000)), "Bitcoin")
    );
    assert_eq!(standing(&till, &deposit.token).await, Standing::Paid { over: eur(0) });
    let subscription = till.world.subscription(payment.subscription.unwrap()).await;
    assert!(matches!(subscription.state, subscription::State::Active), "{:?}", subscription.state);
    assert_eq!((till.booked("payment.settled").await, till.balance("provider:bitcoin").await), (1, 1_000));
    assert_eq!(till.tasks().await, [""; 0]);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn looks_of_several_workers_converge_on_one_entry() {
    let till = till().await;
    let (payment, deposit) = till.order().await;
    till.front.send("a", &deposit.address, 23_000);
    till.front.mine(1);
    let workers = (0..8).map(|_| async {
        till.look().await;
    });
    futures::future::join_all(workers).await;
    till.look().await;
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
    assert_eq!(till.balance("provider:bitcoin").await, 1_150);
    assert_eq!(till.balance("wallet").await, -150);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn a_short_payment_is_completed_at_a_fresh_price() {
    let till = till().await;
    let (payment, deposit) = till.order().await;
    till.front.send("a", &deposit.address, 12_000);
    till.front.mine(1);
    till.look().await;
    let short = Standing::Short { seen: eur(600), missing: eur(400), is_late: false };
    let page = till.page(&deposit.token).await;
    assert_eq!(page.standing, short);
    assert_eq!(page.ask.unwrap().amount.units, 8_000, "the rest, while the price holds");
    // Whoever pays a part waits for nothing: another way to pay is open.
    assert!(!till.payment(payment.id).await.is_processing);

    till.pass(30).await;
    assert_eq!(till.page(&deposit.token).await.ask, None, "the price holds no more");
    till.front.price("40000");
    let renewed = till.world.billing.renew_deposit(till.world.brand, &deposit.token).await.unwrap();
    assert_eq!(renewed.ask.as_ref().unwrap().amount.units, 10_000);
    assert_eq!(renewed.stored.address, deposit.address, "the same address");
    // Asking again changes nothing while it holds.
    let again = till.world.billing.renew_deposit(till.world.brand, &deposit.token).await.unwrap();
    assert_eq!(again.stored.deposit.locks.len(), 2);

    till.front.send("b", &deposit.address, 10_000);
    till.front.mine(1);
    till.look().await;
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
    assert_eq!(till.balance("provider:bitcoin").await, 1_000);
    assert_eq!(till.booked("payment.settled").await, 1);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn a_short_payment_nobody_completes_is_kept_for_the_customer() {
    let till = till().await;
    let (payment, deposit) = till.order().await;
    till.front.send("a", &deposit.address, 12_000);
    till.front.mine(1);
    till.look().await;
    till.pass(25 * 60).await;
    till.look().await;
    assert_eq!(standing(&till, &deposit.token).await, Standing::Kept { amount: eur(600) });
    assert_eq!((till.balance("provider:bitcoin").await, till.balance("unapplied").await), (600, -600));
    assert_eq!(till.tasks().await, ["payment_mismatch"]);
    assert!(!till.world.invoice(payment.invoice).await.paid.is_positive(), "it paid nothing");
    till.world.assert_sound().await;
}

#[tokio::test]
async fn what_a_wallet_took_as_fee_is_forgiven_and_booked_as_one() {
    let till = till().await;
    let (payment, deposit) = till.order().await;
    till.front.send("a", &deposit.address, 19_920);
    till.front.mine(1);
    till.look().await;
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
    assert_eq!((till.balance("provider:bitcoin").await, till.balance("provider_fees:bitcoin").await), (996, 4));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn what_is_too_much_goes_to_the_wallet_and_what_comes_later_waits_for_a_person() {
    let till = till().await;
    let (payment, deposit) = till.order().await;
    till.front.send("a", &deposit.address, 25_000);
    till.front.mine(1);
    till.look().await;
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
    assert_eq!(standing(&till, &deposit.token).await, Standing::Paid { over: eur(250) });
    assert_eq!((till.balance("provider:bitcoin").await, till.balance("wallet").await), (1_250, -250));
    assert_eq!(till.tasks().await, ["overpayment"]);

    till.front.send("b", &deposit.address, 2_000);
    till.look().await;
    assert_eq!(till.booked("deposit.apart").await, 0, "in no block");
    till.front.mine(1);
    for _ in 0..2 {
        till.look().await;
    }
    assert_eq!((till.booked("deposit.apart").await, till.balance("unapplied").await), (1, -100));
    assert_eq!(till.tasks().await, ["deposit_apart", "overpayment"]);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn a_late_payment_is_worth_what_it_was_when_it_was_seen() {
    for (price, is_paid) in [("52000", true), ("49600", true), ("40000", false)] {
        let till = till().await;
        let (payment, deposit) = till.order().await;
        till.pass(18).await;
        assert_eq!(standing(&till, &deposit.token).await, Standing::Expired);
        till.front.price(price);
        till.front.send("a", &deposit.address, 20_000);
        till.front.mine(1);
        till.look().await;
        let state = till.payment(payment.id).await.state;
        assert_eq!(state == State::Succeeded, is_paid, "{price}");
        if !is_paid {
            let short = Standing::Short { seen: eur(800), missing: eur(200), is_late: true };
            assert_eq!(standing(&till, &deposit.token).await, short);
        }
        till.world.assert_sound().await;
    }
}

#[tokio::test]
async fn a_late_payment_waits_for_a_price_when_nobody_knows_one() {
    let till = till().await;
    let (payment, deposit) = till.order().await;
    till.pass(18).await;
    till.front.held(|chain| {
        chain.prices.remove("kraken");
    });
    till.front.send("a", &deposit.address, 20_000);
    till.front.mine(1);
    till.look().await;
    assert_eq!(till.payment(payment.id).await.state, State::Pending);
    assert_eq!(till.booked("payment.settled").await, 0);
    till.front.price("50000");
    till.look().await;
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
}

#[tokio::test]
async fn a_payment_nobody_makes_is_over_after_a_day_and_money_that_comes_then_still_counts() {
    let till = till().await;
    let (payment, deposit) = till.order().await;
    till.pass(25 * 60).await;
    till.look().await;
    assert_eq!(till.payment(payment.id).await.state, State::Cancelled);
    assert!(till.page(&deposit.token).await.is_closed);
    let refused = till.world.billing.renew_deposit(till.world.brand, &deposit.token).await.unwrap_err();
    assert!(refused.is("DEPOSIT_NOT_OPEN"), "{refused:?}");
    till.front.send("a", &deposit.address, 20_000);
    till.front.mine(1);
    till.look().await;
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
    till.world.assert_sound().await;
}

//! One address for one invoice, and none twice.

use billing::domain::payment::State;

use super::till::{till, wallet};

#[tokio::test]
async fn orders_get_the_wallets_addresses_in_order() {
    let till = till().await;
    let (_, receiving) = wallet();
    for address in &receiving[..3] {
        assert_eq!(&till.order().await.1.address, address);
    }
}

#[tokio::test]
async fn fifty_orders_at_once_get_fifty_addresses_without_a_gap() {
    let till = till().await;
    let (_, receiving) = wallet();
    let orders = (0..50).map(|_| till.try_order(till.world.account()));
    let payments: Vec<_> =
        futures::future::join_all(orders).await.into_iter().map(|made| made.expect("a page")).collect();
    let mut indexes = Vec::new();
    for payment in &payments {
        let deposit = till.deposit(payment.id).await;
        if let Some(address) = receiving.get(deposit.index as usize) {
            assert_eq!(&deposit.address, address);
        }
        indexes.push(deposit.index);
    }
    indexes.sort_unstable();
    assert_eq!(indexes, (0..50).collect::<Vec<u32>>());
    // Wallets look twenty addresses ahead: whoever owns this one is told.
    assert_eq!(till.tasks().await, ["wallet_gap"]);
}

#[tokio::test]
async fn another_try_of_the_same_invoice_has_the_same_address() {
    let till = till().await;
    let (first, deposit) = till.order().await;
    let (second, url) = till.pay_again(&first).await.unwrap();
    assert_ne!(second, first.id);
    assert_eq!(url, format!("https://tv.example/pay/coin/{}", deposit.token));
    assert_eq!(till.deposit(second).await.address, deposit.address);
    till.later().await;
    assert_eq!(till.payment(first.id).await.state, State::Cancelled);
    till.front.send("a", &deposit.address, 20_000);
    till.front.mine(1);
    till.look().await;
    assert_eq!(till.payment(second).await.state, State::Succeeded);
    assert_eq!(till.payment(first.id).await.state, State::Cancelled);
    assert_eq!(till.booked("payment.settled").await, 1);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn the_same_key_entered_again_goes_on_counting() {
    let till = till().await;
    let (key, receiving) = wallet();
    till.order().await;
    till.order().await;
    // The same wallet as a descriptor, in another account.
    let tpub = super::till::frozen().into_iter().find(|(_, key, _)| key.starts_with("tpub")).unwrap().1;
    till.put(&format!("wpkh({tpub}/0/*)")).await.unwrap();
    assert!(key.starts_with("vpub"));
    let (_, deposit) = till.order().await;
    assert_eq!((deposit.index, &deposit.address), (2, &receiving[2]));
}

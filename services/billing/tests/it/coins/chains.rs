//! What a chain takes back, and a chain that says nothing.

use billing::domain::coin::Standing;
use billing::domain::payment::State;

use super::till::till;

#[tokio::test]
async fn a_replaced_transfer_is_forgotten_and_its_replacement_pays() {
    let till = till().await;
    let (payment, deposit) = till.order().await;
    till.front.send("a", &deposit.address, 20_000);
    till.look().await;
    assert!(till.payment(payment.id).await.is_processing);
    till.front.replace("a");
    till.look().await;
    assert!(!till.payment(payment.id).await.is_processing, "another way to pay is open again");
    assert!(matches!(till.page(&deposit.token).await.standing, Standing::Waiting { .. }));
    till.front.send("b", &deposit.address, 20_000);
    till.front.mine(1);
    till.look().await;
    let paid = till.payment(payment.id).await;
    assert_eq!(paid.state, State::Succeeded);
    let transfers = till.deposit(payment.id).await.deposit.transfers;
    assert_eq!(transfers.len(), 2, "what was replaced stays written down");
    assert!(transfers.iter().find(|one| one.reference == paid.provider_ref).unwrap().is_booked);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn an_undone_block_is_told_and_settles_itself_when_the_transfer_comes_again() {
    let till = till().await;
    let (payment, _) = till.paid().await;
    till.front.undo(1, true);
    till.look().await;
    assert_eq!(till.tasks().await, ["deposit_undone"]);
    till.front.mine(1);
    till.look().await;
    assert_eq!(till.tasks().await, [""; 0]);
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
    assert_eq!((till.booked("payment.settled").await, till.booked("deposit.apart").await), (1, 0));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn a_transfer_that_is_gone_for_good_stays_a_task() {
    let till = till().await;
    till.paid().await;
    till.front.undo(1, false);
    till.front.mine(20);
    for _ in 0..2 {
        till.look().await;
    }
    assert_eq!(till.tasks().await, ["deposit_undone"]);
    assert_eq!(till.booked("payment.settled").await, 1, "nothing is taken back by itself");
}

#[tokio::test]
async fn a_block_that_is_undone_before_it_was_enough_books_nothing() {
    let till = till().await;
    // So much that one block is not enough.
    let (payment, deposit) = till.order().await;
    till.front.send("a", &deposit.address, 60_000);
    till.front.mine(1);
    till.look().await;
    let seen = Standing::Seen { confirmations: 1, needed: 2, is_late: false };
    assert_eq!(till.page(&deposit.token).await.standing, seen);
    till.front.undo(1, true);
    till.look().await;
    let seen = Standing::Seen { confirmations: 0, needed: 2, is_late: false };
    assert_eq!(till.page(&deposit.token).await.standing, seen);
    assert_eq!((till.booked("payment.settled").await, till.tasks().await.len()), (0, 0));
    till.front.mine(2);
    till.look().await;
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
}

#[tokio::test]
async fn a_chain_that_does_not_answer_changes_nothing_and_is_told_to_staff() {
    let till = till().await;
    let (payment, deposit) = till.order().await;
    till.front.send("a", &deposit.address, 20_000);
    till.front.mine(1);
    till.front.held(|chain| chain.is_away = true);
    for _ in 0..17 {
        till.look().await;
    }
    assert_eq!(till.payment(payment.id).await.state, State::Pending);
    assert_eq!(till.tasks().await, ["chain_source_away"]);
    till.front.held(|chain| chain.is_away = false);
    till.look().await;
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
    assert_eq!(till.tasks().await, [""; 0]);
}

#[tokio::test]
async fn a_witness_that_is_behind_is_not_believed() {
    let till = till().await;
    till.paid().await;
    // Another instance behind the same address, which has not heard of the newest blocks.
    till.front.undo(3, false);
    till.front.held(|chain| chain.asked.clear());
    till.sql("UPDATE coin_deposit SET tip_height = tip_height + 50").await;
    till.look().await;
    assert!(till.front.held(|chain| chain.asked.iter().any(|path| path.starts_with("/address/"))), "it was asked");
    assert_eq!(till.tasks().await, [""; 0]);
}

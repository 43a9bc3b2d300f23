//! Ether on a real chain. An order is ten euros, and a coin costs 50 000: 0.0002 ETH, which twelve blocks make money.

use billing::domain::coin::{Place, Standing};
use billing::domain::payment::State;
use billing::store::provider_account::ProviderAccount;
use ottery_kit::grpc::Problem;
use ottery_kit::secret::Secret;
use ottery_testkit::anvil::Anvil;

use super::till::{Till, empty_till};
use crate::world::eur;

/// `m/44'/60'/1'` of the seed that every node for development has: its addresses hold nothing.
const XPUB: &str =
    "xpub6Ce9NcJvTk372KjsGfWqbcex5DumjpNquQLApoeQUavSCjEc823BV1tb4rXUuPuht8h2hSxkg2EXUaKUJmniJvRZAELxypsCzBFdtosmV76";
const DUE: u128 = 200_000_000_000_000;

async fn put(till: &Till, anvil: &Anvil, key: &str) -> Result<ProviderAccount, Problem> {
    let owner = ottery_testkit::actor::owner(till.world.brand);
    let mut put = till.asked("");
    put.provider = "ethereum".into();
    put.base_url.clone_from(&anvil.url);
    put.api_key = Secret::new(key);
    till.world.billing.put_provider_account(&owner, till.world.brand, put).await
}

async fn at(anvil: &Anvil) -> Till {
    let till = empty_till().await;
    put(&till, anvil, &format!("test:{XPUB}")).await.expect("kept");
    till
}

async fn standing(till: &Till, token: &str) -> Standing {
    till.page(token).await.standing
}

#[tokio::test]
async fn case_7_an_exact_payment_is_seen_confirmed_and_booked_once() {
    let Some(anvil) = Anvil::start().await else { return };
    let till = at(&anvil).await;
    let (payment, deposit) = till.order().await;
    let page = till.page(&deposit.token).await;
    let ask = page.ask.expect("something is to be sent");
    assert_eq!((ask.amount.to_string().as_str(), page.is_test), ("0.0002 ETH", true));
    assert_eq!(ask.link, format!("ethereum:{}@31337?value={DUE}", deposit.address));
    till.look().await;
    assert!(matches!(standing(&till, &deposit.token).await, Standing::Waiting { .. }));

    anvil.send(&deposit.address, DUE).await;
    anvil.mine(1).await;
    till.look().await;
    assert_eq!(standing(&till, &deposit.token).await, Standing::Seen { confirmations: 1, needed: 12, is_late: false });
    assert!(till.payment(payment.id).await.is_processing);
    anvil.mine(10).await;
    till.look().await;
    assert_eq!(standing(&till, &deposit.token).await, Standing::Seen { confirmations: 11, needed: 12, is_late: false });
    assert_eq!(till.booked("payment.settled").await, 0);
    anvil.mine(1).await;
    for _ in 0..3 {
        till.look().await;
    }
    let paid = till.payment(payment.id).await;
    assert_eq!(
        (paid.state, paid.received, paid.method_label.as_str()),
        (State::Succeeded, Some(eur(1_000)), "Ethereum")
    );
    assert_eq!((till.booked("payment.settled").await, till.balance("provider:ethereum").await), (1, 1_000));
    // What the operator collects is no reversal.
    anvil.collect(&deposit.address, DUE / 2).await;
    anvil.mine(1).await;
    till.look().await;
    assert_eq!(till.tasks().await, [""; 0]);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_7_what_an_exchange_sends_from_a_contract_is_found_in_the_block_that_holds_it() {
    let Some(anvil) = Anvil::start().await else { return };
    let till = at(&anvil).await;
    let (payment, deposit) = till.order().await;
    anvil.send_from_contract(&deposit.address, DUE).await;
    // Nobody looked before there were more blocks.
    anvil.mine(40).await;
    till.look().await;
    let transfers = till.deposit(payment.id).await.deposit.transfers;
    assert!(matches!(transfers[..], [ref one] if matches!(one.place, Place::Mined { height: 4, .. })), "{transfers:?}");
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_7_two_parts_pay_and_what_is_too_much_is_the_customers() {
    let Some(anvil) = Anvil::start().await else { return };
    let till = at(&anvil).await;
    let (payment, deposit) = till.order().await;
    anvil.send(&deposit.address, DUE / 2).await;
    anvil.mine(1).await;
    till.look().await;
    let short = Standing::Short { seen: eur(500), missing: eur(500), is_late: false };
    assert_eq!(standing(&till, &deposit.token).await, short);
    anvil.send(&deposit.address, DUE).await;
    anvil.mine(12).await;
    till.look().await;
    let paid = till.payment(payment.id).await;
    assert_eq!((paid.state, paid.received), (State::Succeeded, Some(eur(1_500))));
    assert_eq!(standing(&till, &deposit.token).await, Standing::Paid { over: eur(500) });
    assert_eq!(till.deposit(payment.id).await.deposit.transfers.len(), 2);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_7_a_fork_before_it_is_money_takes_a_transfer_back() {
    let Some(anvil) = Anvil::start().await else { return };
    let till = at(&anvil).await;
    let (payment, deposit) = till.order().await;
    anvil.send(&deposit.address, DUE).await;
    anvil.mine(5).await;
    till.look().await;
    assert!(matches!(standing(&till, &deposit.token).await, Standing::Seen { confirmations: 5, .. }));
    anvil.undo(5).await;
    till.look().await;
    assert!(matches!(standing(&till, &deposit.token).await, Standing::Waiting { .. }));
    assert_eq!(till.deposit(payment.id).await.deposit.transfers[0].place, Place::Gone);
    anvil.mine(20).await;
    till.look().await;
    assert_eq!((till.payment(payment.id).await.state, till.booked("payment.settled").await), (State::Pending, 0));
    // Sent again it pays, once.
    anvil.send(&deposit.address, DUE).await;
    anvil.mine(12).await;
    till.look().await;
    assert_eq!((till.payment(payment.id).await.state, till.booked("payment.settled").await), (State::Succeeded, 1));
    assert_eq!(till.deposit(payment.id).await.deposit.transfers.len(), 1, "the same comes again under its name");
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_7_a_fork_after_it_was_booked_is_told_until_it_comes_again() {
    let Some(anvil) = Anvil::start().await else { return };
    let till = at(&anvil).await;
    let (payment, deposit) = till.order().await;
    anvil.send(&deposit.address, DUE).await;
    anvil.mine(12).await;
    till.look().await;
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
    anvil.undo(12).await;
    till.look().await;
    assert_eq!(till.tasks().await, ["deposit_undone"]);
    anvil.send(&deposit.address, DUE).await;
    anvil.mine(12).await;
    till.look().await;
    assert_eq!(till.tasks().await, [""; 0]);
    assert_eq!((till.booked("payment.settled").await, till.booked("deposit.apart").await), (1, 0));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn a_chain_of_the_other_kind_of_money_is_refused_and_first_addresses_are_shown() {
    let Some(anvil) = Anvil::start().await else { return };
    let till = empty_till().await;
    let brand = till.world.brand;
    let test = put(&till, &anvil, &format!("test:{XPUB}")).await.unwrap();
    assert!(test.is_test);
    assert_eq!(till.world.billing.test_provider_account(brand, test.id).await.unwrap(), Ok(()));
    let shown = till.world.billing.first_addresses(brand, &test).unwrap();
    assert_eq!(shown.len(), 3);
    assert!(shown.iter().all(|place| place.address.starts_with("0x") && place.address.len() == 42));
    let live = put(&till, &anvil, XPUB).await.unwrap();
    let tested = till.world.billing.test_provider_account(brand, live.id).await.unwrap();
    assert_eq!(tested, Err("the key is of the other mode".to_owned()));
    // And nobody is shown an address of it.
    let (_, deposit) = till.order().await;
    assert_eq!((deposit.provider_account, deposit.network.as_str()), (test.id, "eip155:31337"));
    assert_eq!(deposit.address, shown[0].address);
}

#[tokio::test]
async fn case_9_what_can_spend_is_refused() {
    let Some(anvil) = Anvil::start().await else { return };
    let till = empty_till().await;
    let words = "test test test test test test test test test test test junk";
    for secret in [words.to_owned(), format!("test:{words}"), "ac".repeat(32)] {
        let refused = put(&till, &anvil, &secret).await.unwrap_err();
        assert!(refused.is("KEY_KIND"), "{refused:?}");
        assert!(!format!("{refused:?}").contains(&secret));
    }
}

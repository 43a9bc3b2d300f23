//! Charges of consolidated invoices whose holder has to confirm them.

use billing::app::payment::HostedPage;
use billing::app::settlement::SettledPayment;
use billing::domain::invoice::{Invoice, State as InvoiceState};
use billing::domain::payment::State;
use billing::domain::rules::InvoiceRules;
use billing::store::payment::Payment;
use chrono::TimeDelta;
use ottery_kernel::{InvoiceId, PaymentId};
use ottery_testkit::actor;

use super::till::{CONFIRMS, GOOD, Till, till};
use crate::world::{eur, offer, week};

impl Till {
    /// A customer with two subscriptions whose consolidated invoice was charged, and whose bank wants them to confirm.
    async fn unconfirmed_whole(&self) -> (Vec<Invoice>, Payment) {
        let world = &self.world;
        let rules = InvoiceRules { consolidated: true, ..InvoiceRules::default() };
        world.billing.put_invoice_rules(&actor::owner(world.brand), world.brand, rules).await.unwrap();
        let first = world.subscription(self.saved(CONFIRMS).await.subscription.unwrap()).await;
        let placed = world.order(first.account, offer(701, week())).await;
        let paid = world.payment_of(&world.invoice_of(&placed).await);
        world.settle(&SettledPayment { method: first.method.clone(), ..paid }).await;
        let second = world.subscription(placed.order.subscription).await;

        world.advance_to(first.paid_through.unwrap() - TimeDelta::hours(72)).await;
        let mut parts = Vec::new();
        for subscription in [first.id, second.id] {
            parts.push(world.open_invoice(subscription).await.expect("it is billed"));
        }
        assert!(parts.iter().all(|part| part.part.is_some()), "{parts:#?}");
        world.advance_to(parts[0].due_at.unwrap()).await;
        self.drain().await;
        let charge: uuid::Uuid = sqlx::query_scalar("SELECT id FROM payment WHERE kind = 'saved'")
            .fetch_one(&world.database.admin_pool)
            .await
            .expect("one charge for both");
        let charge = self.payment(PaymentId::from_uuid(charge)).await;
        assert_eq!((charge.state, charge.amount), (State::ActionRequired, eur(2000)));
        assert_eq!(charge.shares, parts.iter().map(|part| part.id).collect::<Vec<_>>());
        (parts, charge)
    }

    async fn paying(&self, id: InvoiceId) -> (PaymentId, String) {
        let address = || "https://tv.example/".to_owned();
        self.world
            .billing
            .pay_invoice(self.world.brand, id, None, HostedPage::any(address(), address()))
            .await
            .expect("somewhere to go")
    }

    async fn states_of(&self, parts: &[Invoice]) -> Vec<InvoiceState> {
        let mut states = Vec::new();
        for part in parts {
            states.push(self.world.invoice(part.id).await.state);
        }
        states
    }
}

#[tokio::test]
async fn case_062_a_charge_of_a_whole_is_taken_up_again_at_the_bank_and_pays_all_parts() {
    // Named by its own id, and by that of a part that is not the first.
    for by_part in [false, true] {
        let till = till().await;
        let (parts, charge) = till.unconfirmed_whole().await;
        let named = if by_part { parts[1].id } else { parts[0].known_as() };
        let (paying, bank) = till.paying(named).await;
        assert_eq!(paying, charge.id, "the charge that waits, not a second one");
        assert_eq!(bank, format!("http://{}/bank/{}", till.front.address(), charge.provider_ref));
        till.front.authenticate(&charge.provider_ref, true).await;
        till.later().await;
        assert_eq!(till.payment(charge.id).await.state, State::Succeeded);
        assert_eq!(till.states_of(&parts).await, [InvoiceState::Closed; 2]);
        assert_eq!(till.charges(charge.id).await, (1, 1));
        assert_eq!(till.balance("receivable").await, 0);
        till.world.assert_sound().await;
    }
}

#[tokio::test]
async fn case_062_of_a_whole_too_whoever_comes_back_pays_in_another_way() {
    let till = till().await;
    let (parts, charge) = till.unconfirmed_whole().await;
    till.paying(parts[0].known_as()).await;
    let (second, page) = till.paying(parts[0].known_as()).await;
    assert_ne!(second, charge.id);
    assert!(page.contains("/pay/cs_test_"), "{page}");
    till.drain().await;
    assert_eq!(till.payment(charge.id).await.state, State::Cancelled);
    let page = till.payment(second).await;
    assert_eq!((page.amount, page.shares.len()), (eur(2000), 2));
    assert_eq!(till.front.card(&page.checkout_ref, GOOD).await, 303);
    till.later().await;
    assert_eq!(till.states_of(&parts).await, [InvoiceState::Closed; 2]);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_062_a_whole_of_which_a_part_is_gone_is_not_confirmed_in_its_old_amount() {
    let till = till().await;
    let (parts, charge) = till.unconfirmed_whole().await;
    let world = &till.world;
    let me = actor::customer(world.brand, parts[1].account);
    world.billing.cancel(world.brand, parts[1].subscription.unwrap(), None, "", &me).await.unwrap();
    let (paying, _) = till.paying(parts[0].known_as()).await;
    assert_ne!(paying, charge.id);
    assert_eq!(till.payment(paying).await.amount, eur(1299), "what is left of it");
    assert_eq!(till.states_of(&parts).await, [InvoiceState::Open, InvoiceState::Void]);
    assert_ne!(till.paying(parts[0].id).await.0, charge.id);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_062_a_charge_with_what_was_carried_forward_is_taken_up_again_for_both() {
    let till = till().await;
    let world = &till.world;
    let id = till.saved(CONFIRMS).await.subscription.unwrap();
    world.charge_at_least(2_000).await;
    // The first renewal is too small to be charged alone, the second is charged with it.
    for _ in 0..2 {
        let end = world.subscription(id).await.paid_through.unwrap();
        world.advance_to(end - TimeDelta::hours(72)).await;
    }
    let [carried, asked]: [Invoice; 2] = world.all_open(id).await.try_into().unwrap();
    assert!(carried.carried_at.is_some() && asked.carried_at.is_none());
    world.advance_to(asked.due_at.unwrap()).await;
    till.drain().await;
    let (charge, bank) = till.paying(asked.id).await;
    let waiting = till.payment(charge).await;
    assert_eq!((waiting.state, waiting.amount), (State::ActionRequired, eur(2598)));
    assert_eq!(bank, format!("http://{}/bank/{}", till.front.address(), waiting.provider_ref));
    till.front.authenticate(&waiting.provider_ref, true).await;
    till.later().await;
    assert_eq!(till.states_of(&[carried, asked]).await, [InvoiceState::Closed; 2]);
    assert_eq!(till.charges(charge).await, (1, 1));
    world.assert_sound().await;
}

//! Amounts that are too little for a payment: from the wallet only, or carried forward.

use billing::app::payment::HostedPage;
use billing::app::wallet::Grant;
use billing::domain::amount_rules::{AmountRule, AmountRules};
use billing::domain::invoice::{Invoice, State};
use billing::domain::rules::{InvoiceRules, UnpaidAtEnd};
use billing::domain::subscription::State as Life;
use billing::store;
use chrono::TimeDelta;
use ottery_kernel::{AccountId, Currency, SubscriptionId, Term};

use crate::shop::{Shop, shop};
use crate::world::{World, eur, offer, placing, world};

const GOOD: &str = "4242424242424242";
const LEAD: TimeDelta = TimeDelta::hours(72);

impl World {
    /// From now on no payment is less.
    pub async fn charge_at_least(&self, charge_min: i64) {
        let owner = ottery_testkit::actor::owner(self.brand);
        let version = self.billing.amount_rules(self.brand).await.unwrap().version;
        let rule = AmountRule { charge_min, ..AmountRule::usual(Currency::EUR) };
        let rules = AmountRules { rules: vec![rule], version };
        self.billing.put_amount_rules(&owner, self.brand, rules).await.unwrap();
    }

    async fn give_credit(&self, account: AccountId, minor: i64) {
        let staff = ottery_testkit::actor::owner(self.brand);
        let grant = Grant { account, amount: eur(minor), reason: "sorry".into(), expires_at: None };
        self.billing.grant_credit(&staff, self.brand, grant, None).await.unwrap();
    }

    /// What is open for a subscription, oldest first.
    pub async fn all_open(&self, id: SubscriptionId) -> Vec<Invoice> {
        let mut tx = self.tx().await;
        store::invoice::open_of(&mut tx, &[id]).await.unwrap()
    }
}

impl Shop {
    /// A page for one invoice of somebody.
    async fn page_for(&self, invoice: &Invoice) -> Result<String, ottery_kit::grpc::Problem> {
        let address = || "https://tv.example/".to_owned();
        let owner = Some(invoice.account);
        let billing = &self.world.billing;
        Ok(billing.pay_invoice(self.world.brand, invoice.id, owner, HostedPage::any(address(), address())).await?.1)
    }
}

#[tokio::test]
async fn case_030_a_renewal_that_is_too_small_is_served_and_charged_with_the_next_one() {
    let shop = shop().await;
    let world = &shop.world;
    let first = shop.paid_with(GOOD).await;
    let id = first.subscription.unwrap();
    world.charge_at_least(2_000).await;
    let end = world.subscription(id).await.paid_through.unwrap();
    world.advance_to(end - LEAD).await;
    let [carried] = world.all_open(id).await.try_into().unwrap();
    assert_eq!((carried.state, carried.carried_at, carried.paid), (State::Open, Some(world.now()), eur(0)));
    let subscription = world.subscription(id).await;
    let next_end = subscription.paid_through.unwrap();
    assert_eq!((subscription.state, next_end - end), (Life::Active, TimeDelta::days(7)), "served as if paid");
    world.assert_sound().await;
    let refused = shop.page_for(&carried).await.unwrap_err();
    assert_eq!(refused.reason, "AMOUNT_CARRIED_FORWARD");
    assert!(refused.message.contains("12.99 EUR") && refused.message.contains("20.00 EUR"), "{}", refused.message);

    // Nobody is reminded or suspended; both are charged at once when the next one is due.
    world.advance_to(next_end - TimeDelta::seconds(1)).await;
    assert_eq!((world.all_open(id).await.len(), world.subscription(id).await.state), (2, Life::Active));
    assert_eq!(shop.payments_of(carried.id).await.len(), 0);
    world.advance_to(next_end).await;
    shop.drain().await;
    let [charge] = shop.payments_of(carried.id).await.try_into().unwrap();
    assert_eq!((charge.amount, charge.shares.len()), (eur(2598), 2));
    assert_eq!(shop.charges(charge.id).await, (1, 1));
    assert!(world.all_open(id).await.is_empty());
    assert_eq!(world.invoice(carried.id).await.state, State::Closed);
    let after = world.subscription(id).await;
    assert_eq!((after.state, after.paid_through.unwrap() - next_end), (Life::Active, TimeDelta::days(7)), "once each");
    assert_eq!(world.told("billing.dunning.suspended.v1").await, 0);
    assert_eq!(shop.balance("receivable").await, 0);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_030_the_wallet_pays_what_was_carried_first_and_what_is_too_small_by_itself() {
    let shop = shop().await;
    let world = &shop.world;
    let first = shop.paid_with(GOOD).await;
    let (id, account) = (first.subscription.unwrap(), first.account);
    world.charge_at_least(2_000).await;
    let end = world.subscription(id).await.paid_through.unwrap();
    world.advance_to(end - LEAD).await;
    let [carried] = world.all_open(id).await.try_into().unwrap();
    // More than the first one, and less than both.
    world.give_credit(account, 1_500).await;
    let end = world.subscription(id).await.paid_through.unwrap();
    world.advance_to(end - LEAD).await;
    assert_eq!(world.invoice(carried.id).await.state, State::Closed);
    let [second] = world.all_open(id).await.try_into().unwrap();
    assert_eq!((second.paid, second.carried_at.is_some()), (eur(201), true), "the rest of 10.98 is carried again");
    world.assert_sound().await;
    // What is there now pays everything.
    world.give_credit(account, 5_000).await;
    let end = world.subscription(id).await.paid_through.unwrap();
    world.advance_to(end - LEAD).await;
    assert!(world.all_open(id).await.is_empty());
    assert_eq!(shop.balance("receivable").await, 0);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_030_an_order_below_the_least_is_for_the_wallet_only() {
    let shop = shop().await;
    let (world, account) = (&shop.world, shop.world.account());
    let quote = world.quote(Some(account), offer(49, Term::MONTH), false).await;
    let refused = world.billing.place_order(world.brand, placing(quote, account), None).await.unwrap_err();
    assert_eq!(refused.reason, "AMOUNT_WALLET_ONLY");
    assert!(refused.message.contains("0.49 EUR") && refused.message.contains("0.50 EUR"), "{}", refused.message);
    assert_eq!(shop.count("orders").await, 0, "nothing of it stays");
    let told = world.billing.wallet_only_below(world.brand, eur(49)).await.unwrap();
    assert_eq!((told, world.billing.wallet_only_below(world.brand, eur(50)).await.unwrap()), (Some(eur(50)), None));

    let other = world.order(account, offer(100, Term::MONTH)).await;
    world.pay(&world.invoice_of(&other).await).await;
    world.give_credit(account, 60).await;
    let placed = world.billing.place_order(world.brand, placing(quote, account), None).await.unwrap();
    assert!(placed.payment.is_none());
    assert_eq!(world.invoice_of(&placed).await.state, State::Closed);
    // A rest that is too small is refused as well: 0.11 of the wallet leave 0.49 of 0.60.
    let quote = world.quote(Some(account), offer(60, Term::MONTH), false).await;
    let refused = world.billing.place_order(world.brand, placing(quote, account), None).await.unwrap_err();
    assert_eq!(refused.reason, "AMOUNT_WALLET_ONLY");
    world.assert_sound().await;
}

#[tokio::test]
async fn case_030_a_small_rest_of_a_renewal_is_carried_instead_of_dunned() {
    let shop = shop().await;
    let world = &shop.world;
    let subscription = world.subscriber(1_190, Term::MONTH).await;
    let end = subscription.paid_through.unwrap();
    world.advance_to(end - LEAD).await;
    let [renewal] = world.all_open(subscription.id).await.try_into().unwrap();
    assert!(renewal.carried_at.is_none());
    world.settle(&world.payment(&renewal, eur(1_150), eur(1_150))).await;
    world.advance_to(end + TimeDelta::days(20)).await;
    let rest = world.invoice(renewal.id).await;
    assert_eq!((rest.state, rest.carried_at.is_some(), rest.reminders_done), (State::Open, true, 0));
    assert_eq!(world.subscription(subscription.id).await.state, Life::Active);
    assert_eq!(world.told("billing.reminder.due.v1").await, 0);
    world.assert_sound().await;
    // The page of the next one asks for both.
    let end = world.subscription(subscription.id).await.paid_through.unwrap();
    world.advance_to(end - LEAD).await;
    let next = world.all_open(subscription.id).await.pop().unwrap();
    let page = shop.page_for(&next).await.unwrap();
    assert_eq!(shop.card(&page, GOOD).await, 303);
    let [payment] = shop
        .payments_of(renewal.id)
        .await
        .into_iter()
        .filter(|one| !one.shares.is_empty())
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    assert_eq!(payment.amount, eur(1_230));
    shop.hear("payment.succeeded", payment.id).await;
    shop.drain().await;
    assert!(world.all_open(subscription.id).await.is_empty());
    world.assert_sound().await;
}

#[tokio::test]
async fn case_030_what_is_carried_when_it_ends_was_served_and_is_given_up_or_taken_back_as_the_brand_says() {
    for (unpaid_at_end, state) in [(UnpaidAtEnd::WriteOff, State::Uncollectible), (UnpaidAtEnd::Void, State::Void)] {
        let world = world().await;
        let owner = ottery_testkit::actor::owner(world.brand);
        let rules = InvoiceRules { unpaid_at_end, proforma: true, ..InvoiceRules::default() };
        world.billing.put_invoice_rules(&owner, world.brand, rules).await.unwrap();
        let subscription = world.subscriber(300, Term::MONTH).await;
        world.charge_at_least(500).await;
        let end = subscription.paid_through.unwrap();
        world.advance_to(end + TimeDelta::days(1)).await;
        let [carried] = world.all_open(subscription.id).await.try_into().unwrap();
        assert!(!carried.is_proforma(), "what was served is an invoice, although the brand asks first");
        let me = ottery_testkit::actor::customer(world.brand, subscription.account);
        world.billing.cancel(world.brand, subscription.id, None, "", &me).await.unwrap();
        let end = world.subscription(subscription.id).await.cancel_at.unwrap();
        world.advance_to(end).await;
        assert!(world.subscription(subscription.id).await.state.has_ended());
        assert_eq!(world.invoice(carried.id).await.state, state);
        world.assert_sound().await;
    }
}

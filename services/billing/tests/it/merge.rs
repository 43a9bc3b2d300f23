//! Two customers who turn out to be one.

use billing::app::merge::{BillingAddress, Merge, Merged};
use billing::app::order::Idempotency;
use billing::app::settlement::Settled;
use billing::domain::address::{Address, Kept};
use billing::domain::invoice::{Buyer, State};
use billing::store;
use chrono::TimeDelta;
use ottery_kernel::{AccountId, Currency, Money, Term};
use ottery_kit::grpc::Problem;
use ottery_kit::idempotency::KeyScope;
use ottery_testkit::actor;
use ottery_testkit::recorder::outbox;

use crate::world::{World, eur, offer, placing, world};

fn grace() -> Buyer {
    Buyer {
        name: "Grace".into(),
        email: "grace@example.com".into(),
        country: "AT".into(),
        locale: "de".into(),
        address: None,
    }
}

impl World {
    async fn merge(&self, from: AccountId, to: AccountId) -> Result<Merged, Problem> {
        self.merge_with(from, to, None).await
    }

    async fn merge_with(&self, from: AccountId, to: AccountId, call: Option<Idempotency>) -> Result<Merged, Problem> {
        let merge = Merge { from, to, buyer: grace(), reason: "the same person".into() };
        self.billing.merge_customers(&actor::owner(self.brand), self.brand, merge, call).await
    }

    async fn wallet_of(&self, account: AccountId, currency: Currency) -> i64 {
        let mut tx = self.tx().await;
        let wallets = store::ledger::wallets(&mut tx, &[account]).await.unwrap();
        wallets.get(&(account, currency)).map_or(0, |balance| balance.minor)
    }
}

#[tokio::test]
async fn case_051_invoices_keep_the_old_name_balances_move_by_entries_and_subscriptions_go_on() {
    let world = world().await;
    let (old, new) = (world.account(), world.account());
    // Ada has a paid subscription with 3.10 too much, some dollars too much, and an open invoice.
    let open = world.order(old, offer(2380, Term::MONTH)).await;
    let paid = world.order(old, offer(1190, Term::MONTH)).await;
    let invoice = world.invoice_of(&paid).await;
    world.settle(&world.payment(&invoice, eur(1500), eur(1500))).await;
    let mut dollars = offer(500, Term::MONTH);
    dollars.price = Money::new(500, Currency::USD);
    let abroad = world.order(old, dollars).await;
    let usd = Money::new(700, Currency::USD);
    world.settle(&world.payment(&world.invoice_of(&abroad).await, usd, usd)).await;
    let subscription = world.subscription(paid.order.subscription).await;

    let everything = Merged { subscriptions: 3, invoices: 3, billing_address: BillingAddress::None };
    assert_eq!(world.merge(old, new).await.unwrap(), everything);
    let kept = world.invoice(invoice.id).await;
    assert_eq!((kept.account, kept.snapshot.buyer.name.as_str()), (new, "Ada"));
    assert_eq!(kept.number, invoice.number);
    assert_eq!((world.wallet_of(old, Currency::EUR).await, world.wallet_of(new, Currency::EUR).await), (0, 310));
    assert_eq!((world.wallet_of(old, Currency::USD).await, world.wallet_of(new, Currency::USD).await), (0, 200));
    let books = world.books().await;
    assert!(books.contains(&"customer.merged receivable receivable 23.80".to_owned()), "{books:?}");
    assert!(books.contains(&"customer.merged wallet wallet 3.10".to_owned()), "{books:?}");
    let moved = world.subscription(subscription.id).await;
    assert_eq!((moved.account, moved.paid_through), (new, subscription.paid_through));
    assert_eq!(moved.entitlement_version, subscription.entitlement_version + 1);
    let told = outbox(&world.database.pool).await;
    assert!(told.iter().any(|event| event.r#type == "billing.audit.recorded.v1"));
    world.assert_sound().await;

    // What was open is paid as ever, and the renewal bills the new name from the wallet that moved.
    assert_eq!(world.pay(&world.invoice_of(&open).await).await, Settled::Applied);
    world.advance_to(subscription.paid_through.unwrap() - TimeDelta::hours(72)).await;
    let renewal = world.open_invoice(subscription.id).await.unwrap();
    assert_eq!((renewal.snapshot.buyer.name.as_str(), renewal.account), ("Grace", new));
    // Both are renewed at the same moment; whichever comes first takes what is in the wallet.
    let other = world.open_invoice(open.order.subscription).await.unwrap();
    assert_eq!(renewal.paid.minor + other.paid.minor, 310);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_payment_begun_before_the_merge_pays_afterwards() {
    let world = world().await;
    let (old, new) = (world.account(), world.account());
    let placed = world.order(old, offer(1190, Term::MONTH)).await;
    world.merge(old, new).await.unwrap();
    let mut tx = world.tx().await;
    let attempt = store::payment::get(&mut tx, placed.payment.unwrap()).await.unwrap().unwrap();
    drop(tx);
    assert_eq!(attempt.account, new);
    let invoice = world.invoice_of(&placed).await;
    assert_eq!(world.pay(&invoice).await, Settled::Applied);
    assert_eq!(world.invoice(invoice.id).await.state, State::Closed);
    world.assert_sound().await;
}

#[tokio::test]
async fn nothing_begins_under_a_customer_who_was_merged_away() {
    let world = world().await;
    let (old, new, third) = (world.account(), world.account(), world.account());
    world.order(old, offer(1190, Term::MONTH)).await;
    let refused = world.merge(third, new).await.unwrap_err();
    assert_eq!((refused.reason.as_ref(), refused.field.as_deref()), ("NOTHING_TO_MERGE", Some("account_id")));
    assert_eq!(world.merge(old, old).await.unwrap_err().reason, "SAME_ACCOUNT");
    world.merge(old, new).await.unwrap();
    let again = world.merge(old, third).await.unwrap_err();
    assert_eq!((again.reason.as_ref(), again.field.as_deref()), ("CUSTOMER_MERGED", Some("account_id")));
    let back = world.merge(new, old).await.unwrap_err();
    assert_eq!((back.reason.as_ref(), back.field.as_deref()), ("CUSTOMER_MERGED", Some("into_account_id")));
    let quote = world.quote(Some(old), offer(1190, Term::MONTH), false).await;
    let order = world.billing.place_order(world.brand, placing(quote, old), None).await.unwrap_err();
    assert_eq!(order.reason, "CUSTOMER_MERGED");
    world.assert_sound().await;
}

#[tokio::test]
async fn a_merge_sent_twice_with_one_key_happens_once_and_answers_the_same() {
    let world = world().await;
    let (old, new) = (world.account(), world.account());
    world.order(old, offer(1190, Term::MONTH)).await;
    let call = || {
        let scope = KeyScope { brand: Some(world.brand), actor: "acc_1".into(), route: "billing.MergeCustomers" };
        Some(Idempotency { scope, key: "k-1".into(), hash: [1; 32] })
    };
    let first = world.merge_with(old, new, call()).await.unwrap();
    assert_eq!(world.merge_with(old, new, call()).await.unwrap(), first);
    assert_eq!((first.subscriptions, first.invoices), (1, 1));
    world.assert_sound().await;
}

#[tokio::test]
async fn an_order_placed_while_customers_are_merged_is_moved_or_refused_never_lost() {
    let world = world().await;
    let (old, new) = (world.account(), world.account());
    world.order(old, offer(1190, Term::MONTH)).await;
    let quote = world.quote(Some(old), offer(1190, Term::MONTH), false).await;
    let (merged, placed) =
        tokio::join!(world.merge(old, new), world.billing.place_order(world.brand, placing(quote, old), None));
    match (&merged, &placed) {
        (Ok(_), Err(problem)) => assert_eq!(problem.reason, "CUSTOMER_MERGED"),
        (Err(problem), Ok(_)) => assert_eq!(problem.reason, "CUSTOMER_BUSY"),
        (Ok(merged), Ok(_)) => assert_eq!(merged.subscriptions, 2),
        (Err(merge), Err(order)) => panic!("neither went through: {merge}, {order}"),
    }
    let mut tx = world.tx().await;
    let left = store::merge::subscriptions(&mut tx, old).await.unwrap();
    assert_eq!(left.is_empty(), merged.is_ok(), "{left:?}");
    drop(tx);
    world.assert_sound().await;
}

fn vienna(vat_number: &str) -> Address {
    Address {
        company: "Ada GmbH".into(),
        lines: vec!["Ring 1".into()],
        city: "Wien".into(),
        country: "AT".into(),
        vat_number: vat_number.into(),
        ..Address::default()
    }
}

impl World {
    /// Staff type an address for the customer.
    async fn typed(&self, account: AccountId, address: Address) -> Kept {
        let version = self.address_of(account).await.map_or(0, |kept| kept.version);
        let staff = actor::owner(self.brand);
        self.billing.put_billing_address(self.brand, account, address, version, &staff).await.unwrap()
    }

    async fn address_of(&self, account: AccountId) -> Option<Kept> {
        self.billing.billing_address(self.brand, account).await.unwrap()
    }

    /// How many questions about VAT numbers belong to the customer.
    async fn questions_of(&self, account: AccountId) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM vat_check WHERE account_id = $1")
            .bind(account.as_uuid())
            .fetch_one(&self.database.admin_pool)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn case_051_a_billing_address_moves_with_its_vat_number_to_whoever_has_typed_none() {
    let world = world().await;
    let (old, new) = (world.account(), world.account());
    let placed = world.order(old, offer(1190, Term::MONTH)).await;
    // The other one has ordered, too: where an order said they are is nothing they typed.
    world.order(new, offer(1190, Term::MONTH)).await;
    let typed = world.typed(old, vienna("ATU12345675")).await;
    assert!(typed.standing.is_some(), "the number is being asked about");
    assert_eq!((world.questions_of(old).await, world.questions_of(new).await), (1, 0));
    let before = world.address_of(new).await.map_or(0, |kept| kept.version);

    let merged = world.merge(old, new).await.unwrap();
    assert_eq!(merged.billing_address, BillingAddress::Moved);
    let moved = world.address_of(new).await.unwrap();
    assert_eq!((&moved.address, &moved.source, &moved.standing), (&typed.address, &typed.source, &typed.standing));
    assert_eq!(moved.version, before + 1);
    assert_eq!(world.address_of(old).await, None);
    assert_eq!((world.questions_of(old).await, world.questions_of(new).await), (0, 1));
    // The invoice that was issued keeps what it said; the next one is for the address that moved.
    let issued = world.invoice_of(&placed).await;
    assert_eq!(issued.snapshot.buyer.address, None);
    // The scheduler has looked again at what was pushed.
    world.work_off().await;
    world.assert_sound().await;
}

#[tokio::test]
async fn a_billing_address_is_kept_by_whoever_has_typed_one_and_staff_are_told() {
    let world = world().await;
    let (old, new) = (world.account(), world.account());
    world.order(old, offer(1190, Term::MONTH)).await;
    let theirs = world.typed(old, vienna("")).await;
    let own = world.typed(new, Address { company: "Grace AG".into(), ..vienna("") }).await;
    let call = || {
        let scope = KeyScope { brand: Some(world.brand), actor: "acc_1".into(), route: "billing.MergeCustomers" };
        Some(Idempotency { scope, key: "k-1".into(), hash: [1; 32] })
    };
    let merged = world.merge_with(old, new, call()).await.unwrap();
    assert_eq!(merged.billing_address, BillingAddress::Kept);
    assert_eq!(world.address_of(new).await.as_ref(), Some(&own));
    assert_eq!(world.address_of(old).await.as_ref(), Some(&theirs));
    assert_eq!(world.merge_with(old, new, call()).await.unwrap(), merged, "a repeated call is told the same");
    // The scheduler has looked again at what was pushed.
    world.work_off().await;
    world.assert_sound().await;
}

//! One payment for several invoices, and giving one of them back.

use billing::app::payment::HostedPage;
use billing::app::refund::Ask;
use billing::domain::dunning::Standing;
use billing::domain::invoice::{Invoice, State};
use billing::domain::payment::State as PaymentState;
use billing::domain::refund::{Policy, State as RefundState};
use billing::domain::subscription::State as Life;
use billing::store;
use chrono::TimeDelta;
use ottery_kernel::{AccountId, Currency, InvoiceId, Money, PaymentId, Term};
use ottery_kit::grpc::Problem;
use serde_json::json;

use crate::shop::{Shop, shop};
use crate::world::{eur, offer};

const GOOD: &str = "4242424242424242";

fn address() -> String {
    "https://tv.example/".to_owned()
}

impl Shop {
    /// Open invoices of one customer, each for a subscription of its own that costs this much.
    async fn open_invoices(&self, account: AccountId, prices: &[i64]) -> Vec<Invoice> {
        let mut invoices = Vec::new();
        for minor in prices {
            let placed = self.world.order(account, offer(*minor, Term::MONTH)).await;
            invoices.push(self.world.invoice_of(&placed).await);
        }
        invoices
    }

    async fn pay_together(&self, invoices: &[Invoice]) -> Result<(PaymentId, String), Problem> {
        let ids: Vec<InvoiceId> = invoices.iter().map(|invoice| invoice.id).collect();
        let owner = Some(invoices[0].account);
        self.world.billing.pay_invoices(self.world.brand, &ids, owner, HostedPage::any(address(), address())).await
    }

    /// Five invoices of 1.00 to 5.00, settled by one payment.
    async fn five_paid(&self) -> (Vec<Invoice>, PaymentId) {
        let invoices = self.open_invoices(self.world.account(), &[100, 200, 300, 400, 500]).await;
        let (payment, page) = self.pay_together(&invoices).await.expect("a page");
        assert_eq!(self.card(&page, GOOD).await, 303);
        self.hear("payment.succeeded", payment).await;
        self.drain().await;
        (invoices, payment)
    }

    async fn give_back(
        &self,
        payment: PaymentId,
        invoice: Option<InvoiceId>,
        amount: Option<Money>,
    ) -> Result<store::refund::Refund, Problem> {
        let owner = ottery_testkit::actor::owner(self.world.brand);
        let ask = Ask { payment, invoice, amount, reason: "Not used".into(), policy: Policy::EndNow };
        self.world.billing.refund_payment(&owner, self.world.brand, ask, None).await
    }
}

#[tokio::test]
async fn case_047_one_charge_pays_five_invoices_and_the_refund_of_one_reverses_only_that() {
    let shop = shop().await;
    let (invoices, payment) = shop.five_paid().await;
    for invoice in &invoices {
        let paid = shop.world.invoice(invoice.id).await;
        assert_eq!((paid.state, paid.paid), (State::Closed, paid.totals.total));
        assert_eq!(shop.world.subscription(invoice.subscription.unwrap()).await.state, Life::Active);
        let payments = shop.payments_of(invoice.id).await;
        assert!(payments.iter().any(|found| found.id == payment && found.state == PaymentState::Succeeded));
    }
    assert_eq!(shop.charges(payment).await, (1, 1));
    // The provider has kept its fee.
    let there = shop.balance("provider:sandbox").await;
    assert_eq!(there + shop.balance("provider_fees:sandbox").await, 1500);
    shop.world.assert_sound().await;

    let third = &invoices[2];
    assert_eq!(shop.give_back(payment, None, None).await.unwrap_err().reason, "REFUND_OF_WHICH");
    let too_much = shop.give_back(payment, Some(third.id), Some(eur(301))).await.unwrap_err();
    assert_eq!((too_much.reason.as_ref(), too_much.field.as_deref()), ("REFUND_TOO_LARGE", Some("amount")));
    let refund = shop.give_back(payment, Some(third.id), None).await.expect("asked for");
    assert_eq!((refund.amount, refund.invoice), (eur(300), third.id));
    shop.drain().await;
    assert_eq!(shop.refunds_of(payment).await[0].state, RefundState::Succeeded);
    for invoice in &invoices {
        let is_third = invoice.id == third.id;
        let back = shop.world.invoice(invoice.id).await.refunded;
        assert_eq!(back, if is_third { eur(300) } else { eur(0) });
        let ended = shop.world.subscription(invoice.subscription.unwrap()).await.state.has_ended();
        assert_eq!(ended, is_third);
    }
    assert_eq!(shop.balance("provider:sandbox").await, there - 300);
    assert_eq!(shop.balance("receivable").await, 0);
    assert_eq!(shop.give_back(payment, Some(third.id), None).await.unwrap_err().reason, "NOTHING_TO_REFUND");
    let stranger = shop.world.order(shop.world.account(), offer(100, Term::MONTH)).await.order.invoice;
    assert_eq!(shop.give_back(payment, stranger, None).await.unwrap_err().reason, "INVOICE_NOT_OF_PAYMENT");
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn case_067_a_refund_at_the_console_of_a_payment_for_several_is_spread_over_them() {
    let shop = shop().await;
    let (invoices, payment) = shop.five_paid().await;
    let reference = shop.payment(payment).await.provider_ref;
    shop.api("refunds", json!({"payment": reference, "amount": {"currency": "EUR", "minor": 450}})).await;
    shop.hear("refund.succeeded", payment).await;
    shop.drain().await;
    let mut back = Vec::new();
    for invoice in &invoices {
        back.push(shop.world.invoice(invoice.id).await.refunded.minor);
    }
    assert_eq!(back, [100, 200, 150, 0, 0]);
    assert_eq!(shop.balance("receivable").await, 0);
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn an_invoice_paid_otherwise_closes_the_common_page_and_its_money_is_never_lost() {
    let shop = shop().await;
    let account = shop.world.account();
    let invoices = shop.open_invoices(account, &[100, 200]).await;
    let (payment, page) = shop.pay_together(&invoices).await.expect("a page");
    shop.world.pay(&invoices[1]).await;
    // Our own page of one of them closes the common one …
    let (_, own) = shop
        .world
        .billing
        .pay_invoice(shop.world.brand, invoices[0].id, Some(account), HostedPage::any(address(), address()))
        .await
        .expect("a page of its own");
    assert!(shop.payment(payment).await.is_withdrawn);
    // … but whoever pays there all the same has paid: what is open is settled, the rest is theirs.
    if shop.card(&page, GOOD).await == 303 {
        shop.hear("payment.succeeded", payment).await;
        shop.drain().await;
        assert_eq!(shop.world.invoice(invoices[0].id).await.state, State::Closed);
        assert_eq!(shop.balance("wallet").await, -200);
        assert_eq!(shop.tasks().await, ["overpayment"]);
    } else {
        assert_eq!(shop.card(&own, GOOD).await, 303);
    }
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn only_open_invoices_of_one_customer_currency_and_seller_are_paid_together() {
    let shop = shop().await;
    let account = shop.world.account();
    let mine = shop.open_invoices(account, &[100, 200]).await;
    let theirs = shop.open_invoices(shop.world.account(), &[300]).await;
    let both = [mine[0].clone(), theirs[0].clone()];
    assert_eq!(shop.pay_together(&both).await.unwrap_err().reason, "INVOICE_NOT_FOUND");
    let ids = [mine[0].id, theirs[0].id];
    let by_staff =
        shop.world.billing.pay_invoices(shop.world.brand, &ids, None, HostedPage::any(address(), address())).await;
    assert_eq!(by_staff.unwrap_err().reason, "INVOICES_DIFFER");
    let mut dollars = offer(100, Term::MONTH);
    dollars.price = Money::new(100, Currency::USD);
    let placed = shop.world.order(account, dollars).await;
    let mixed = [mine[0].clone(), shop.world.invoice_of(&placed).await];
    assert_eq!(shop.pay_together(&mixed).await.unwrap_err().reason, "INVOICES_DIFFER");
    shop.world.pay(&mine[0]).await;
    let refused = shop.pay_together(&mine).await.unwrap_err();
    assert_eq!((refused.reason.as_ref(), refused.field.as_deref()), ("INVOICE_NOT_OPEN", Some("invoice_ids")));
    let none =
        shop.world.billing.pay_invoices(shop.world.brand, &[], None, HostedPage::any(address(), address())).await;
    assert_eq!(none.unwrap_err().reason, "INVOICES_COUNT");
    // One named twice is one.
    let (payment, _) = shop.pay_together(&[mine[1].clone(), mine[1].clone()]).await.expect("a page");
    assert!(shop.payment(payment).await.shares.is_empty());
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn case_064_a_common_payment_being_processed_holds_all_its_invoices() {
    let shop = shop().await;
    let invoices = shop.open_invoices(shop.world.account(), &[100, 200]).await;
    let (payment, page) = shop.pay_together(&invoices).await.expect("a page");
    shop.card(&page, "4000000000006668").await;
    let mut tx = shop.world.tx().await;
    let statement = "UPDATE payment SET state = 'pending', is_processing = true WHERE id = $1";
    sqlx::query(statement).bind(payment.as_uuid()).execute(&mut *tx).await.unwrap();
    let ids: Vec<InvoiceId> = invoices.iter().map(|invoice| invoice.id).collect();
    let standings = store::payment::standings(&mut tx, shop.world.brand, &ids).await.unwrap();
    assert!(ids.iter().all(|id| standings[id] == Standing::InFlight), "{standings:?}");
    for id in ids {
        assert!(store::payment::is_charging(&mut tx, id).await.unwrap());
    }
    drop(tx);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    shop.later().await;
    assert_eq!(shop.payment(payment).await.state, PaymentState::Succeeded);
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn payments_for_overlapping_invoices_settle_each_once() {
    let shop = shop().await;
    let world = &shop.world;
    let invoices = shop.open_invoices(world.account(), &[100, 200, 300]).await;
    let (together, page) = shop.pay_together(&invoices).await.expect("a page");
    assert_eq!(shop.card(&page, GOOD).await, 303);
    // The provider's word and another payment of one of them at the same time.
    let alone = world.payment_of(&invoices[2]);
    tokio::join!(shop.hear("payment.succeeded", together), async { world.settle(&alone).await });
    shop.drain().await;
    for invoice in &invoices {
        assert_eq!(world.invoice(invoice.id).await.state, State::Closed);
    }
    assert_eq!(shop.balance("wallet").await, -300);
    world.assert_sound().await;
}

#[tokio::test]
async fn what_was_credited_to_the_wallet_is_not_refunded_a_second_time() {
    let shop = shop().await;
    let payment = shop.paid_with(GOOD).await;
    let owner = ottery_testkit::actor::owner(shop.world.brand);
    let wanted = billing::domain::portion::Wanted::Amount(eur(1000));
    shop.world
        .billing
        .credit_invoice(&owner, shop.world.brand, payment.invoice, wanted, "goodwill", None)
        .await
        .expect("credited");
    assert_eq!(shop.balance("wallet").await, -1000);
    assert_eq!(shop.give_back(payment.id, None, Some(eur(300))).await.unwrap_err().reason, "REFUND_TOO_LARGE");
    // At the provider's console nobody asks us: what is in the wallet still pays for it.
    shop.api("refunds", json!({"payment": payment.provider_ref, "amount": {"currency": "EUR", "minor": 1299}})).await;
    shop.hear("refund.succeeded", payment.id).await;
    shop.drain().await;
    assert_eq!(shop.world.invoice(payment.invoice).await.refunded, eur(1299));
    assert_eq!((shop.balance("wallet").await, shop.balance("receivable").await), (0, 0));
    assert!(shop.tasks().await.is_empty());
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn a_refund_of_what_was_credited_and_spent_is_a_matter_for_a_person() {
    let shop = shop().await;
    let payment = shop.paid_with(GOOD).await;
    let world = &shop.world;
    let owner = ottery_testkit::actor::owner(world.brand);
    let wanted = billing::domain::portion::Wanted::Amount(eur(1299));
    world
        .billing
        .credit_invoice(&owner, world.brand, payment.invoice, wanted, "goodwill", None)
        .await
        .expect("credited");
    // The renewal uses the wallet up.
    let subscription = world.subscription(payment.subscription.unwrap()).await;
    world.advance_to(subscription.paid_through.unwrap() - TimeDelta::hours(72)).await;
    assert_eq!(shop.balance("wallet").await, 0);
    shop.api("refunds", json!({"payment": payment.provider_ref, "amount": {"currency": "EUR", "minor": 1299}})).await;
    shop.hear("refund.succeeded", payment.id).await;
    shop.drain().await;
    assert_eq!((shop.balance("unapplied").await, shop.balance("receivable").await), (1299, 0));
    assert_eq!(shop.tasks().await, ["refund_uncovered"]);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_046_a_page_asks_for_what_is_left() {
    let shop = shop().await;
    let world = &shop.world;
    let subscription = world.subscriber(1190, Term::MONTH).await;
    world.advance_to(subscription.paid_through.unwrap() - TimeDelta::hours(72)).await;
    let renewal = world.open_invoice(subscription.id).await.unwrap();
    world.settle(&world.payment(&renewal, eur(190), eur(190))).await;
    let (payment, _) = world
        .billing
        .pay_invoice(world.brand, renewal.id, Some(renewal.account), HostedPage::any(address(), address()))
        .await
        .expect("a page");
    assert_eq!(shop.payment(payment).await.amount, eur(1000));
    world.assert_sound().await;
}

//! Attempts to be paid, at a simulated provider.

use billing::app::payment::{HostedPage, open_checkout};
use billing::domain::invoice::State as InvoiceState;
use billing::domain::payment::State;
use billing::domain::subscription::State as SubscriptionState;
use billing::store;
use billing::store::payment::{AttemptKind, AttemptRequest, Payment};
use ottery_kernel::Money;
use serde_json::json;

use crate::shop::{Shop, shop};
use crate::world::eur;

const GOOD: &str = "4242424242424242";

impl Shop {
    /// Asks for a charge of the saved card for the next renewal, as the scheduler does.
    async fn charge(&self, first: &Payment) -> Payment {
        let subscription = self.world.subscription(first.subscription.expect("a subscription")).await;
        let mut invoice = None;
        for _ in 0..40 {
            if let Some(open) = self.world.open_invoice(subscription.id).await {
                invoice = Some(open);
                break;
            }
            self.world.advance(chrono::TimeDelta::hours(12)).await;
        }
        let invoice = invoice.expect("a renewal is issued");
        let method = subscription.method.expect("the card was saved").id;
        let request = AttemptRequest {
            invoice: invoice.id,
            account: invoice.account,
            subscription: invoice.subscription,
            amount: invoice.totals.total,
            kind: AttemptKind::OffSession { method },
            shares: Vec::new(),
        };
        let mut tx = self.world.tx().await;
        let ids =
            store::payment::request(&mut tx, self.world.brand, &[request.clone(), request], self.world.now()).await;
        let ids = ids.expect("requested");
        assert_eq!(ids[0], ids[1], "an invoice is charged once at a time");
        tx.commit().await.expect("committed");
        self.payment(ids[0]).await
    }
}

#[tokio::test]
async fn case_058_the_webhook_alone_finishes_an_order_whose_customer_closed_the_tab() {
    let shop = shop().await;
    let payment = shop.paid_with(GOOD).await;
    let invoice = shop.world.invoice(payment.invoice).await;
    assert_eq!((invoice.state, invoice.paid), (InvoiceState::Closed, eur(1299)));
    let subscription = shop.world.subscription(payment.subscription.unwrap()).await;
    assert_eq!(subscription.state, SubscriptionState::Active);
    assert_eq!(subscription.method.expect("saved").label, "Visa ending 4242");
    assert_eq!(payment.received, Some(eur(1299)));
    // The provider keeps 1.5 % and 25 cents.
    assert_eq!(shop.balance("provider:sandbox").await, 1299 - 44);
    assert_eq!(shop.balance("receivable").await, 0);
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn case_057_a_payment_whose_webhook_never_comes_is_found_by_looking() {
    let shop = shop().await;
    let (payment, page) = shop.order().await;
    shop.drain().await;
    shop.card(&page, GOOD).await;
    shop.drain().await;
    assert_eq!(shop.payment(payment.id).await.state, State::Pending, "nobody has looked yet");
    shop.later().await;
    assert_eq!(shop.payment(payment.id).await.state, State::Succeeded);
    assert_eq!(shop.world.invoice(payment.invoice).await.state, InvoiceState::Closed);
    // The webhook at last changes nothing.
    shop.hear("payment.succeeded", payment.id).await;
    shop.drain().await;
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn a_refused_card_leaves_the_page_open_for_another_one() {
    let shop = shop().await;
    let (payment, page) = shop.order().await;
    assert_eq!(shop.card(&page, "4000000000000002").await, 402);
    shop.hear("payment.failed", payment.id).await;
    shop.drain().await;
    assert_eq!(shop.payment(payment.id).await.state, State::Pending);
    assert_eq!(shop.card(&page, GOOD).await, 303);
    shop.hear("payment.succeeded", payment.id).await;
    shop.drain().await;
    assert_eq!(shop.payment(payment.id).await.state, State::Succeeded);
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn a_renewal_is_charged_to_the_saved_card() {
    let shop = shop().await;
    let first = shop.paid_with(GOOD).await;
    let renewal = shop.charge(&first).await;
    shop.drain().await;
    let renewal = shop.payment(renewal.id).await;
    assert_eq!((renewal.state, renewal.method_label.as_str()), (State::Succeeded, "Visa ending 4242"));
    assert_eq!(shop.world.invoice(renewal.invoice).await.state, InvoiceState::Closed);
    // What the reply has settled already, the webhook does not settle again.
    shop.hear("payment.succeeded", renewal.id).await;
    shop.drain().await;
    assert_eq!(shop.charges(renewal.id).await, (1, 1));
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn case_059_fault_f16_a_charge_whose_answer_is_lost_is_found_and_made_once() {
    let shop = shop().await;
    let first = shop.paid_with(GOOD).await;
    let renewal = shop.charge(&first).await;
    shop.fault("charge", "drop_after_apply", 1).await;
    shop.drain().await;
    assert_eq!(shop.payment(renewal.id).await.state, State::Unknown);
    // While nobody knows, no other way is opened.
    let refused = shop.world.billing.pay_invoice(
        shop.world.brand,
        renewal.invoice,
        None,
        HostedPage::any("http://a/".into(), "http://a/".into()),
    );
    assert_eq!(refused.await.unwrap_err().reason, "PAYMENT_IN_PROGRESS");
    shop.later().await;
    assert_eq!(shop.payment(renewal.id).await.state, State::Succeeded);
    assert_eq!(shop.charges(renewal.id).await, (1, 1));
    assert_eq!(shop.world.invoice(renewal.invoice).await.state, InvoiceState::Closed);
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn case_059_a_charge_that_never_arrived_is_made_again_with_the_same_key() {
    let shop = shop().await;
    let first = shop.paid_with(GOOD).await;
    let renewal = shop.charge(&first).await;
    shop.fault("charge", "drop_before_apply", 1).await;
    shop.drain().await;
    assert_eq!(shop.payment(renewal.id).await.state, State::Unknown);
    assert_eq!(shop.charges(renewal.id).await, (0, 0));
    shop.later().await;
    assert_eq!(shop.payment(renewal.id).await.state, State::Succeeded);
    assert_eq!(shop.charges(renewal.id).await, (1, 1));
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn an_outcome_nobody_tells_becomes_a_task_and_is_still_found_later() {
    let shop = shop().await;
    let first = shop.paid_with(GOOD).await;
    let renewal = shop.charge(&first).await;
    shop.fault("charge", "drop_after_apply", 1).await;
    shop.fault("payment.list", "http_503", 20).await;
    shop.drain().await;
    for _ in 0..17 {
        shop.later().await;
    }
    assert_eq!(shop.payment(renewal.id).await.state, State::Unknown);
    assert_eq!(shop.tasks().await, ["payment_unknown"]);
    shop.no_faults().await;
    shop.later().await;
    assert_eq!(shop.payment(renewal.id).await.state, State::Succeeded);
    assert!(shop.tasks().await.is_empty(), "the task is closed with its cause");
    assert_eq!(shop.charges(renewal.id).await, (1, 1));
}

#[tokio::test]
async fn case_062_and_063_declines_say_what_may_be_tried_next() {
    use billing::domain::dunning::Standing;
    for (card, state, standing) in [
        ("4000000000003220", State::ActionRequired, Standing::FailedHard),
        ("4000000000000341", State::Failed, Standing::Failed),
        ("4000000000009987", State::Failed, Standing::FailedHard),
    ] {
        let shop = shop().await;
        let (payment, page) = shop.order().await;
        if shop.card(&page, card).await == 200 {
            let form = [("decision", "confirm")];
            shop.http.post(format!("{page}/authenticate")).form(&form).send().await.expect("answers");
        }
        shop.later().await;
        let first = shop.payment(payment.id).await;
        assert_eq!(first.state, State::Succeeded, "{card}");
        let renewal = shop.charge(&first).await;
        shop.drain().await;
        assert_eq!(shop.payment(renewal.id).await.state, state, "{card}");
        let mut tx = shop.world.tx().await;
        let standings = store::payment::standings(&mut tx, shop.world.brand, &[renewal.invoice]).await.unwrap();
        assert_eq!(standings[&renewal.invoice], standing, "{card}");
        drop(tx);
        // The customer can always pay on a page.
        let address = || "https://tv.example/".to_owned();
        let (paying, page) = shop
            .world
            .billing
            .pay_invoice(shop.world.brand, renewal.invoice, None, HostedPage::any(address(), address()))
            .await
            .unwrap();
        shop.card(&page, GOOD).await;
        shop.hear("payment.succeeded", paying).await;
        shop.drain().await;
        assert_eq!(shop.world.invoice(renewal.invoice).await.state, InvoiceState::Closed, "{card}");
        shop.world.assert_sound().await;
    }
}

#[tokio::test]
async fn case_064_a_payment_being_processed_holds_everything_until_it_is_decided() {
    use billing::domain::dunning::Standing;
    let shop = shop().await;
    let (payment, page) = shop.order().await;
    shop.card(&page, "4000000000006668").await;
    shop.hear("payment.processing", payment.id).await;
    shop.world.billing.work_events().await.unwrap();
    let seen = shop.payment(payment.id).await;
    if seen.state == State::Pending {
        let mut tx = shop.world.tx().await;
        let standings = store::payment::standings(&mut tx, shop.world.brand, &[payment.invoice]).await.unwrap();
        assert_eq!(standings[&payment.invoice], Standing::InFlight);
    }
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    shop.later().await;
    assert_eq!(shop.payment(payment.id).await.state, State::Succeeded);
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn case_043_and_044_an_older_page_that_is_paid_all_the_same_goes_to_the_wallet_with_a_task() {
    let shop = shop().await;
    let (older, older_page) = shop.order().await;
    let address = || "https://tv.example/".to_owned();
    let pay =
        shop.world.billing.pay_invoice(shop.world.brand, older.invoice, None, HostedPage::any(address(), address()));
    let (newer, newer_page) = pay.await.expect("another page");
    // The customer has both pages open and pays on both before the older one is closed.
    shop.card(&older_page, GOOD).await;
    shop.card(&newer_page, GOOD).await;
    shop.hear("payment.succeeded", newer).await;
    shop.drain().await;
    assert_eq!(shop.payment(newer).await.state, State::Succeeded);
    shop.later().await;
    assert_eq!(shop.payment(older.id).await.state, State::Succeeded);
    assert_eq!(shop.world.invoice(older.invoice).await.paid, eur(1299));
    assert_eq!(shop.balance("wallet").await, -1299);
    assert_eq!(shop.tasks().await, ["overpayment"]);
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn a_page_that_is_replaced_is_closed_at_the_provider() {
    let shop = shop().await;
    let (older, older_page) = shop.order().await;
    let address = || "https://tv.example/".to_owned();
    let pay =
        shop.world.billing.pay_invoice(shop.world.brand, older.invoice, None, HostedPage::any(address(), address()));
    let (newer, page) = pay.await.expect("another page");
    shop.drain().await;
    assert_eq!(shop.payment(older.id).await.state, State::Cancelled);
    assert_eq!(shop.card(&older_page, GOOD).await, 410);
    assert_eq!(shop.card(&page, GOOD).await, 303);
    shop.hear("payment.succeeded", newer).await;
    shop.drain().await;
    assert_eq!(shop.payment(newer).await.state, State::Succeeded);
    assert_eq!(shop.payments_of(older.invoice).await.len(), 2);
}

#[tokio::test]
async fn a_provider_that_is_away_costs_no_order_and_no_charge() {
    let shop = shop().await;
    shop.fault("checkout.create", "drop_after_apply", 1).await;
    let placed = shop.place(shop.world.account()).await;
    let id = placed.payment.expect("due");
    let problem = open_checkout(&shop.world.billing, shop.world.brand, id).await.unwrap_err();
    assert_eq!(problem.reason, "PROVIDER_AWAY");
    assert_eq!(shop.payment(id).await.state, State::Unknown);
    let address = || "https://tv.example/".to_owned();
    let invoice = placed.order.invoice.expect("an invoice");
    let pay = shop.world.billing.pay_invoice(shop.world.brand, invoice, None, HostedPage::any(address(), address()));
    let (payment, page) = pay.await.expect("the order page offers to try again");
    shop.later().await;
    assert_eq!(shop.payment(id).await.state, State::Cancelled, "nobody was ever sent to that page");
    shop.card(&page, GOOD).await;
    shop.hear("payment.succeeded", payment).await;
    shop.drain().await;
    assert_eq!(shop.world.invoice(invoice).await.state, InvoiceState::Closed);
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn case_060_an_amount_nobody_asked_for_is_booked_as_it_came_and_marks_nothing_as_paid() {
    let shop = shop().await;
    let first = shop.paid_with(GOOD).await;
    let (payment, _) = shop.order().await;
    let saved = shop.look(&format!("payments/charges?reference={}", first.id)).await;
    let method = saved["charges"][0]["payment_method"].as_str().expect("saved").to_owned();
    let amount = json!({"currency": "EUR", "minor": 500});
    let charge =
        json!({"reference": payment.id.to_string(), "amount": amount, "payment_method": method, "off_session": true});
    shop.api("charges", charge).await;
    shop.hear("payment.succeeded", payment.id).await;
    shop.drain().await;
    let payment = shop.payment(payment.id).await;
    assert_eq!(
        (payment.state, payment.received),
        (State::Succeeded, Some(Money::new(500, ottery_kernel::Currency::EUR)))
    );
    let invoice = shop.world.invoice(payment.invoice).await;
    assert_eq!((invoice.state, invoice.paid), (InvoiceState::Open, eur(0)));
    assert_eq!(shop.balance("unapplied").await, -500);
    assert_eq!(shop.tasks().await, ["payment_mismatch"]);
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn two_workers_make_one_call() {
    let shop = shop().await;
    let first = shop.paid_with(GOOD).await;
    let renewal = shop.charge(&first).await;
    shop.fault("charge", "slow", 1).await;
    let other = shop.world.billing.clone();
    let (one, two) = tokio::join!(shop.world.billing.work_errands(), other.work_errands());
    assert_eq!(one.unwrap() + two.unwrap(), 1);
    assert_eq!(shop.charges(renewal.id).await, (1, 1));
}

/// Both webhooks arrive before either is applied, and are applied side by side. Each saves a card; only one is the default.
#[tokio::test]
async fn two_orders_a_customer_pays_at_the_same_moment_are_both_settled_at_once() {
    let shop = shop().await;
    let account = shop.world.account();
    let mut payments = Vec::new();
    for card in [GOOD, "4000000000000341"] {
        let id = shop.place(account).await.payment.expect("something is due");
        let page = open_checkout(&shop.world.billing, shop.world.brand, id).await.expect("a page");
        assert_eq!(shop.card(&page, card).await, 303);
        payments.push(id);
    }
    for id in &payments {
        shop.hear("payment.succeeded", *id).await;
    }
    assert_eq!(shop.world.billing.work_events().await.expect("events"), 2);
    for id in payments {
        assert_eq!(shop.payment(id).await.state, State::Succeeded, "it should not have to be tried again");
    }
    assert_eq!(shop.count("payment_method WHERE is_default").await, 1);
    assert_eq!(shop.count("payment_method").await, 2);
    shop.world.assert_sound().await;
}

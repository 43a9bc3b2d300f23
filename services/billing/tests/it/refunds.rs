//! Money that goes back.

use billing::app::order::Idempotency;
use billing::app::payment::HostedPage;
use billing::app::refund::Ask;
use billing::domain::payment::State as PaymentState;
use billing::domain::refund::{Policy, State};
use billing::domain::subscription::State as SubscriptionState;
use billing::events::payment::REFUND_SUCCEEDED;
use billing::store::payment::Payment;
use billing::store::refund::Refund;
use ottery_kernel::Money;
use ottery_kit::grpc::Problem;
use ottery_kit::idempotency::KeyScope;
use ottery_testkit::recorder::outbox;
use serde_json::json;

use crate::shop::{Shop, shop};
use crate::world::eur;

const GOOD: &str = "4242424242424242";

impl Shop {
    async fn refund(&self, payment: &Payment, amount: Option<Money>, policy: Policy) -> Result<Refund, Problem> {
        self.refund_with(payment, amount, policy, None).await
    }

    async fn refund_with(
        &self,
        payment: &Payment,
        amount: Option<Money>,
        policy: Policy,
        call: Option<Idempotency>,
    ) -> Result<Refund, Problem> {
        let owner = ottery_testkit::actor::owner(self.world.brand);
        let ask = Ask { payment: payment.id, invoice: None, amount, reason: "Did not work on the TV".into(), policy };
        self.world.billing.refund_payment(&owner, self.world.brand, ask, call).await
    }
}

#[tokio::test]
async fn case_065_a_full_refund_takes_back_revenue_and_tax_and_ends_the_subscription_when_asked_to() {
    let shop = shop().await;
    let payment = shop.paid_with(GOOD).await;
    let refund = shop.refund(&payment, None, Policy::EndNow).await.expect("asked for");
    assert_eq!((refund.state, refund.amount), (State::Requested, eur(1299)));
    assert_eq!(shop.balance("refunds").await, 0, "nothing is booked before it is paid out");
    shop.drain().await;
    let refund = &shop.refunds_of(payment.id).await[0];
    assert_eq!(refund.state, State::Succeeded);
    assert!(refund.credit_note.is_some());
    let subscription = shop.world.subscription(payment.subscription.unwrap()).await;
    assert!(matches!(subscription.state, SubscriptionState::Ended { .. }));
    assert_eq!(shop.world.invoice(payment.invoice).await.refunded, eur(1299));
    for account in ["receivable", "tax"] {
        assert_eq!(shop.balance(account).await, 0, "{account}");
    }
    let told = outbox(&shop.world.database.pool).await;
    assert_eq!(told.iter().filter(|event| event.r#type == REFUND_SUCCEEDED).count(), 1);
    assert!(told.iter().any(|event| event.r#type == "billing.audit.recorded.v1"));
    shop.hear("refund.succeeded", payment.id).await;
    shop.drain().await;
    assert_eq!(shop.refunds_of(payment.id).await.len(), 1, "our own refund is not mirrored");
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn case_066_partial_refunds_never_exceed_what_came_however_many_ask_at_once() {
    let shop = shop().await;
    let payment = shop.paid_with(GOOD).await;
    let asks = (0..5).map(|_| shop.refund(&payment, Some(eur(500)), Policy::Keep));
    let answers = futures::future::join_all(asks).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2);
    assert!(answers.iter().flat_map(Result::as_ref).count() == 2);
    assert!(answers.iter().filter_map(|answer| answer.as_ref().err()).all(|problem| problem.is("REFUND_TOO_LARGE")));
    shop.drain().await;
    assert!(shop.refund(&payment, Some(eur(300)), Policy::Keep).await.unwrap_err().is("REFUND_TOO_LARGE"));
    shop.refund(&payment, None, Policy::Keep).await.expect("the rest");
    shop.drain().await;
    assert!(shop.refund(&payment, None, Policy::Keep).await.unwrap_err().is("NOTHING_TO_REFUND"));
    let charges = shop.look(&format!("payments/charges?reference={}", payment.id)).await;
    assert_eq!(charges["refunded_minor"], 1299);
    assert_eq!((shop.balance("receivable").await, shop.balance("tax").await), (0, 0));
    let subscription = shop.world.subscription(payment.subscription.unwrap()).await;
    assert_eq!(subscription.state, SubscriptionState::Active, "kept");
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn a_refund_sent_twice_with_one_key_is_made_once() {
    let shop = shop().await;
    let payment = shop.paid_with(GOOD).await;
    let call = |hash| {
        let scope = KeyScope { brand: Some(shop.world.brand), actor: "acc_1".into(), route: "billing.RefundPayment" };
        Some(Idempotency { scope, key: "k-1".into(), hash: [hash; 32] })
    };
    let first = shop.refund_with(&payment, Some(eur(100)), Policy::Keep, call(1)).await.expect("made");
    let again = shop.refund_with(&payment, Some(eur(100)), Policy::Keep, call(1)).await.expect("replayed");
    assert_eq!(first.id, again.id);
    let other = shop.refund_with(&payment, Some(eur(200)), Policy::Keep, call(2)).await.unwrap_err();
    assert_eq!(other.reason, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(shop.refunds_of(payment.id).await.len(), 1);
}

#[tokio::test]
async fn a_refund_whose_answer_is_lost_is_read_back_and_paid_once() {
    let shop = shop().await;
    let payment = shop.paid_with(GOOD).await;
    shop.fault("refund", "drop_after_apply", 1).await;
    shop.refund(&payment, Some(eur(400)), Policy::Keep).await.expect("asked for");
    shop.drain().await;
    assert_eq!(shop.refunds_of(payment.id).await[0].state, State::Unknown);
    shop.later().await;
    assert_eq!(shop.refunds_of(payment.id).await[0].state, State::Succeeded);
    let charges = shop.look(&format!("payments/charges?reference={}", payment.id)).await;
    assert_eq!(charges["refunded_minor"], 400);
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn the_event_of_a_refund_whose_answer_was_lost_settles_it_instead_of_a_second_one() {
    let shop = shop().await;
    let payment = shop.paid_with(GOOD).await;
    shop.fault("refund", "drop_after_apply", 1).await;
    shop.refund(&payment, Some(eur(400)), Policy::Keep).await.expect("asked for");
    shop.drain().await;
    shop.hear("refund.succeeded", payment.id).await;
    shop.drain().await;
    let refunds = shop.refunds_of(payment.id).await;
    assert_eq!((refunds.len(), refunds[0].state, refunds[0].is_mirrored), (1, State::Succeeded, false));
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn case_067_a_refund_made_at_the_providers_console_is_mirrored() {
    let shop = shop().await;
    let payment = shop.paid_with(GOOD).await;
    shop.api("refunds", json!({"payment": payment.provider_ref, "amount": {"currency": "EUR", "minor": 250}})).await;
    shop.hear("refund.succeeded", payment.id).await;
    shop.drain().await;
    let refunds = shop.refunds_of(payment.id).await;
    assert_eq!((refunds.len(), refunds[0].state, refunds[0].is_mirrored), (1, State::Succeeded, true));
    assert_eq!(shop.world.invoice(payment.invoice).await.refunded, eur(250));
    assert!(shop.refund(&payment, Some(eur(1100)), Policy::Keep).await.unwrap_err().is("REFUND_TOO_LARGE"));
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn case_068_a_refund_that_fails_later_books_nothing_and_becomes_a_task() {
    let shop = shop().await;
    let payment = shop.paid_with("4000000000005126").await;
    shop.refund(&payment, None, Policy::EndNow).await.expect("asked for");
    shop.world.billing.work_errands().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    shop.later().await;
    assert_eq!(shop.refunds_of(payment.id).await[0].state, State::Failed);
    assert_eq!(shop.tasks().await, ["refund_failed"]);
    assert_eq!(shop.balance("refunds").await, 0);
    let subscription = shop.world.subscription(payment.subscription.unwrap()).await;
    assert_eq!(subscription.state, SubscriptionState::Active, "the customer has paid and keeps what was bought");
    // It may be tried again.
    assert!(shop.refund(&payment, Some(eur(1)), Policy::Keep).await.is_ok());
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn money_that_came_twice_goes_back_from_the_wallet_without_a_credit_note() {
    let shop = shop().await;
    let (older, older_page) = shop.order().await;
    let address = || "https://tv.example/".to_owned();
    let pay =
        shop.world.billing.pay_invoice(shop.world.brand, older.invoice, None, HostedPage::any(address(), address()));
    let (newer, newer_page) = pay.await.expect("another page");
    shop.card(&older_page, GOOD).await;
    shop.card(&newer_page, GOOD).await;
    shop.hear("payment.succeeded", newer).await;
    shop.drain().await;
    shop.later().await;
    let twice = shop.payment(older.id).await;
    assert_eq!((twice.state, shop.balance("wallet").await), (PaymentState::Succeeded, -1299));
    shop.refund(&twice, None, Policy::Keep).await.expect("asked for");
    shop.drain().await;
    assert_eq!(shop.balance("wallet").await, 0);
    let invoice = shop.world.invoice(older.invoice).await;
    assert_eq!((invoice.refunded, invoice.paid), (eur(0), eur(1299)));
    shop.world.assert_sound().await;
}

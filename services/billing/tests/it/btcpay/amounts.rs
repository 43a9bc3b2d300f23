//! More, less and later than was asked for.

use billing::app::payment::open_checkout;
use billing::domain::invoice::State as InvoiceState;
use billing::domain::payment::State;

use super::till::till;
use crate::top_ups;
use crate::world::eur;

#[tokio::test]
async fn case_077_a_part_is_booked_and_the_customer_pays_the_rest() {
    let till = till().await;
    let payment = till.order().await;
    let invoice = payment.checkout_ref.clone();
    // As long as the page is open it asks for the rest itself.
    till.stub.stands(&invoice, "New", "PaidPartial", "5.00");
    till.stub.sends(&invoice, &[("0.00005", "Processing")]);
    till.tell("InvoiceReceivedPayment", &invoice).await.unwrap();
    till.drain().await;
    assert_eq!(till.payment(payment.id).await.state, State::Pending);
    // Then it is over, and what came is not confirmed yet.
    till.stub.stands(&invoice, "Expired", "PaidPartial", "5.00");
    till.tell("InvoiceExpired", &invoice).await.unwrap();
    till.drain().await;
    let waiting = till.payment(payment.id).await;
    assert_eq!((waiting.state, waiting.is_processing), (State::Pending, true));
    assert_eq!(till.another_page(&payment).await.unwrap_err().reason, "PAYMENT_IN_PROGRESS");
    till.stub.sends(&invoice, &[("0.00005", "Settled")]);
    till.tell("InvoicePaymentSettled", &invoice).await.unwrap();
    till.drain().await;
    let short = till.payment(payment.id).await;
    assert_eq!((short.state, short.received), (State::Succeeded, Some(eur(500))));
    let owed = till.world.invoice(payment.invoice).await;
    assert_eq!((owed.state, owed.paid, owed.remaining().unwrap()), (InvoiceState::Open, eur(500), eur(799)));
    assert_eq!(till.tasks().await, ["payment_short"]);
    till.world.assert_sound().await;

    let rest = till.payment(till.another_page(&payment).await.expect("a page")).await;
    assert_eq!(rest.amount, eur(799));
    till.stub.stands(&rest.checkout_ref, "Settled", "None", "7.99");
    till.tell("InvoiceSettled", &rest.checkout_ref).await.unwrap();
    till.drain().await;
    assert_eq!(till.world.invoice(payment.invoice).await.state, InvoiceState::Closed);
    till.stub.assert_described();
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_079_and_080_the_rest_that_comes_late_to_the_same_page_is_booked_once() {
    for is_told in [true, false] {
        let till = till().await;
        let payment = till.order().await;
        let invoice = payment.checkout_ref.clone();
        till.stub.stands(&invoice, "Expired", "PaidPartial", "5.00");
        till.stub.sends(&invoice, &[("0.00005", "Settled")]);
        till.later().await;
        assert_eq!(till.payment(payment.id).await.received, Some(eur(500)));
        till.stub.stands(&invoice, "Expired", "PaidLate", "12.99");
        till.stub.sends(&invoice, &[("0.00005", "Settled"), ("0.0000799", "Settled")]);
        for _ in 0..3 {
            if is_told {
                till.tell("InvoicePaymentSettled", &invoice).await.unwrap();
                till.drain().await;
            } else {
                till.later().await;
            }
        }
        let came: Vec<_> = till.payments_of(&payment).await.into_iter().map(|one| (one.state, one.received)).collect();
        assert_eq!(came, [(State::Succeeded, Some(eur(500))), (State::Succeeded, Some(eur(799)))], "{is_told}");
        let later = till.payments_of(&payment).await.remove(1);
        assert_eq!(later.provider_ref, format!("{invoice}~2"));
        assert_eq!(till.world.invoice(payment.invoice).await.state, InvoiceState::Closed);
        till.stub.assert_described();
        till.world.assert_sound().await;
    }
}

#[tokio::test]
async fn case_078_what_is_too_much_is_the_customers() {
    let till = till().await;
    let payment = till.order().await;
    till.stub.stands(&payment.checkout_ref, "Settled", "PaidOver", "20.00");
    till.stub.sends(&payment.checkout_ref, &[("0.0002", "Settled")]);
    till.tell("InvoiceSettled", &payment.checkout_ref).await.unwrap();
    till.drain().await;
    assert_eq!(till.payment(payment.id).await.received, Some(eur(2000)));
    assert_eq!(till.world.invoice(payment.invoice).await.state, InvoiceState::Closed);
    assert_eq!(till.wallet(payment.account).await, eur(701));
    assert_eq!(till.tasks().await, ["overpayment"]);
    till.stub.assert_described();
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_078_what_is_too_much_counts_when_it_is_confirmed() {
    let till = till().await;
    let payment = till.order().await;
    till.stub.stands(&payment.checkout_ref, "Settled", "PaidOver", "20.00");
    till.stub.sends(&payment.checkout_ref, &[("0.0001299", "Settled"), ("0.0000701", "Processing")]);
    till.tell("InvoiceSettled", &payment.checkout_ref).await.unwrap();
    till.drain().await;
    assert_eq!(till.payment(payment.id).await.received, Some(eur(1299)));
    assert_eq!(till.wallet(payment.account).await, eur(0));
    till.stub.sends(&payment.checkout_ref, &[("0.0001299", "Settled"), ("0.0000701", "Settled")]);
    till.later().await;
    assert_eq!(till.wallet(payment.account).await, eur(701));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_079_money_that_comes_after_the_page_is_over_is_booked_and_told_to_staff() {
    for is_told in [true, false] {
        let till = till().await;
        let payment = till.order().await;
        let invoice = payment.checkout_ref.clone();
        till.stub.stands(&invoice, "Expired", "None", "0");
        till.later().await;
        assert_eq!(till.payment(payment.id).await.state, State::Cancelled);
        till.stub.stands(&invoice, "Expired", "PaidLate", "12.99");
        till.stub.sends(&invoice, &[("0.0001299", "Settled")]);
        if is_told {
            till.tell("InvoiceReceivedPayment", &invoice).await.unwrap();
            till.drain().await;
        } else {
            till.later().await;
        }
        assert_eq!(till.payment(payment.id).await.state, State::Succeeded, "{is_told}");
        assert_eq!(till.world.invoice(payment.invoice).await.state, InvoiceState::Closed);
        assert_eq!(till.tasks().await, ["payment_late"]);
        till.world.assert_sound().await;
    }
}

#[tokio::test]
async fn case_079_late_money_for_what_was_paid_meanwhile_is_the_customers() {
    let till = till().await;
    let first = till.order().await;
    let second = till.payment(till.another_page(&first).await.expect("a page")).await;
    till.stub.stands(&second.checkout_ref, "Settled", "None", "12.99");
    till.tell("InvoiceSettled", &second.checkout_ref).await.unwrap();
    till.drain().await;
    // The first page was left open, and expired; then somebody pays there.
    till.stub.stands(&first.checkout_ref, "Expired", "None", "0");
    till.later().await;
    assert_eq!(till.payment(first.id).await.state, State::Cancelled);
    till.stub.stands(&first.checkout_ref, "Expired", "PaidLate", "12.99");
    till.stub.sends(&first.checkout_ref, &[("0.0001299", "Settled")]);
    till.later().await;
    assert_eq!(till.payment(first.id).await.state, State::Succeeded);
    assert_eq!(till.wallet(first.account).await, eur(1299));
    let mut tasks = till.tasks().await;
    tasks.sort();
    assert_eq!(tasks, ["overpayment", "payment_late"]);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_077_a_part_of_a_top_up_is_in_the_wallet_and_the_rest_follows() {
    let till = till().await;
    let account = till.world.account();
    let asked = till.world.ask_top_up(account, eur(2500), top_ups::page()).await.expect("asked for");
    open_checkout(&till.world.billing, till.world.brand, asked.payment).await.expect("a page");
    let invoice = till.payment(asked.payment).await.checkout_ref;
    till.stub.stands(&invoice, "Expired", "PaidPartial", "10.00");
    till.stub.sends(&invoice, &[("0.0001", "Settled")]);
    till.later().await;
    assert_eq!(till.wallet(account).await, eur(1000));
    till.stub.stands(&invoice, "Expired", "PaidLate", "25.00");
    till.later().await;
    assert_eq!(till.wallet(account).await, eur(2500));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_085_a_payment_is_watched_for_its_time_and_no_longer() {
    let till = till().await;
    let payment = till.paid().await;
    assert_eq!(till.count("errand").await, 1, "more may come, and what came may be taken back");
    sqlx::query("UPDATE payment SET sent_at = now() - interval '9 days'")
        .execute(&till.world.database.admin_pool)
        .await
        .unwrap();
    till.later().await;
    assert_eq!(till.count("errand").await, 0);
    assert_eq!(till.payment(payment.id).await.state, State::Succeeded);
}

#[tokio::test]
async fn an_invoice_that_was_settled_by_hand_pays_ours() {
    let till = till().await;
    let payment = till.order().await;
    till.stub.stands(&payment.checkout_ref, "Settled", "Marked", "0");
    till.tell("InvoiceSettled", &payment.checkout_ref).await.unwrap();
    till.drain().await;
    let paid = till.payment(payment.id).await;
    assert_eq!((paid.received, paid.method_label.as_str()), (Some(eur(1299)), "Bitcoin, settled by hand"));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_077_what_the_store_tolerates_pays_the_invoice_and_is_booked_as_a_fee() {
    let till = till().await;
    let payment = till.order().await;
    till.stub.stands(&payment.checkout_ref, "Settled", "None", "12.93");
    till.tell("InvoiceSettled", &payment.checkout_ref).await.unwrap();
    till.drain().await;
    assert_eq!(till.world.invoice(payment.invoice).await.state, InvoiceState::Closed);
    let fees: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(amount_minor), 0)::bigint FROM transfer WHERE kind = 'payment.fee' AND debit = 'provider_fees:btcpay'",
    )
    .fetch_one(&till.world.database.admin_pool)
    .await
    .unwrap();
    assert_eq!(fees, 6);
    till.world.assert_sound().await;
}

//! What was there and is not any more.

use billing::domain::invoice::State as InvoiceState;
use billing::domain::payment::State;
use billing::domain::refund::State as RefundState;

use super::till::till;
use crate::world::eur;

#[tokio::test]
async fn case_082_what_turns_out_invalid_after_it_settled_is_reversed_once_with_a_task() {
    for is_told in [true, false] {
        let till = till().await;
        let payment = till.paid().await;
        till.stub.stands(&payment.checkout_ref, "Invalid", "None", "0");
        for _ in 0..3 {
            if is_told {
                till.tell("InvoiceInvalid", &payment.checkout_ref).await.unwrap();
                till.drain().await;
            } else {
                till.later().await;
            }
        }
        let refunds = till.refunds_of(payment.id).await;
        let found: Vec<_> = refunds.iter().map(|refund| (refund.state, refund.amount, refund.is_mirrored)).collect();
        assert_eq!(found, [(RefundState::Succeeded, eur(1299), true)], "{is_told}");
        assert_eq!(till.payment(payment.id).await.state, State::Succeeded, "what came is not forgotten");
        assert_eq!(till.tasks().await, ["payment_reversed"]);
        till.stub.assert_described();
        till.world.assert_sound().await;
    }
}

#[tokio::test]
async fn case_082_what_comes_back_after_it_was_reversed_is_booked_again() {
    let till = till().await;
    let payment = till.paid().await;
    till.stub.stands(&payment.checkout_ref, "Invalid", "Marked", "0");
    till.later().await;
    till.stub.stands(&payment.checkout_ref, "Settled", "Marked", "12.99");
    for _ in 0..2 {
        till.tell("InvoiceSettled", &payment.checkout_ref).await.unwrap();
        till.drain().await;
    }
    let returned = till.count("transfer WHERE kind = 'refund.returned' AND amount_minor = 1299").await;
    assert_eq!(returned, 1);
    assert_eq!(till.payments_of(&payment).await.len(), 1, "it is no more money than came");
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_081_what_never_confirmed_fails_and_another_page_is_paid() {
    let till = till().await;
    let payment = till.order().await;
    till.stub.stands(&payment.checkout_ref, "Processing", "None", "12.99");
    till.later().await;
    till.stub.stands(&payment.checkout_ref, "Invalid", "None", "0");
    till.tell("InvoiceInvalid", &payment.checkout_ref).await.unwrap();
    till.drain().await;
    let failed = till.payment(payment.id).await;
    assert_eq!((failed.state, failed.failure.unwrap().code.as_str()), (State::Failed, "payment_invalid"));
    assert!(till.refunds_of(payment.id).await.is_empty(), "nothing was booked");
    let second = till.payment(till.another_page(&payment).await.expect("a page")).await;
    till.stub.stands(&second.checkout_ref, "Settled", "None", "12.99");
    till.later().await;
    assert_eq!(till.world.invoice(payment.invoice).await.state, InvoiceState::Closed);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_082_what_came_in_parts_is_reversed_in_parts_less_what_went_back() {
    let till = till().await;
    let payment = till.order().await;
    let invoice = payment.checkout_ref.clone();
    till.stub.stands(&invoice, "Expired", "PaidPartial", "5.00");
    till.stub.sends(&invoice, &[("0.00005", "Settled")]);
    till.later().await;
    till.stub.stands(&invoice, "Expired", "PaidLate", "12.99");
    till.later().await;
    till.stub.stands(&invoice, "Invalid", "None", "0");
    till.later().await;
    let mut back = Vec::new();
    for one in till.payments_of(&payment).await {
        back.extend(till.refunds_of(one.id).await.into_iter().map(|refund| refund.amount));
    }
    assert_eq!(back, [eur(500), eur(799)]);
    till.world.assert_sound().await;
}

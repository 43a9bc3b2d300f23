//! Idempotency keys and declines, shown on stripe-stateful-mock, which honours the ones and words the others as Stripe does.
//! It knows charges and no payment intents, so a bridge writes one as the other; key and answer pass through it unchanged.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use billing::domain::payment::{DeclineClass, SavedToken, Truth};
use billing::provider::{Access, CallError, ChargeAsk, PaymentProvider as _, Stripe, Trace};
use chrono::DateTime;
use ottery_kernel::{Money, PaymentId};
use ottery_kit::http::{GuardSettings, GuardedClient};
use ottery_kit::secret::Secret;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::peers::{Peer, http, stateful_mock};
use crate::world::eur;

struct Desk {
    stripe: Stripe,
    access: Access,
    peer: Peer,
}

async fn bridge(State(behind): State<SocketAddr>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    assert_eq!((parts.method.as_str(), parts.uri.path()), ("POST", "/v1/payment_intents"));
    let body = to_bytes(body, 64 * 1024).await.expect("a body");
    let asked: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    let form: Vec<(String, String)> = asked
        .into_iter()
        .filter_map(|(name, value)| match name.as_str() {
            "amount" | "currency" | "metadata[payment]" | "metadata[amount_minor]" => Some((name, value)),
            "payment_method" => Some(("source".to_owned(), value)),
            _ => None,
        })
        .collect();
    let request = http().post(format!("http://{behind}/v1/charges")).bearer_auth("sk_test_12345");
    let key = parts.headers["idempotency-key"].to_str().expect("text").to_owned();
    let answer = request.header("idempotency-key", key).form(&form).send().await.expect("the mock answers");
    let status = StatusCode::from_u16(answer.status().as_u16()).expect("a status");
    let told: Value = answer.json().await.expect("JSON");
    if !status.is_success() {
        return (status, axum::Json(told)).into_response();
    }
    let id = told["id"].as_str().expect("an id").replace("ch_", "pi_");
    let intent = json!({"id": id, "status": "succeeded", "amount": told["amount"], "currency": told["currency"],
        "metadata": told["metadata"], "latest_charge": told["id"]});
    axum::Json(intent).into_response()
}

async fn desk() -> Desk {
    let peer = stateful_mock().await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let app = Router::new().fallback(bridge).with_state(peer.address);
    tokio::spawn(async move { axum::serve(listener, app).await });
    let settings = GuardSettings { allow: vec!["127.0.0.0/8".parse().expect("a network")], ..GuardSettings::default() };
    let stripe = Stripe::new(GuardedClient::new(&settings).expect("a client"));
    let access = Access {
        base_url: format!("http://{address}"),
        api_key: Secret::new("sk_test_12345"),
        trace: Trace::default(),
    };
    Desk { stripe, access, peer }
}

impl Desk {
    async fn charge(&self, payment: PaymentId, amount: Money, source: &str) -> Result<Truth, CallError> {
        let ask = ChargeAsk { payment, amount, token: SavedToken(format!("cus_1/{source}")) };
        self.stripe.charge_saved(&self.access, &ask).await
    }

    async fn charges(&self) -> usize {
        let url = format!("http://{}/v1/charges?limit=100", self.peer.address);
        let list: Value = http().get(url).bearer_auth("sk_test_12345").send().await.unwrap().json().await.unwrap();
        list["data"].as_array().expect("a list").len()
    }
}

fn payment() -> PaymentId {
    PaymentId::new(DateTime::UNIX_EPOCH)
}

#[tokio::test]
async fn case_059_the_same_attempt_sent_twice_is_charged_once() {
    let desk = desk().await;
    let id = payment();
    let first = desk.charge(id, eur(1299), "tok_visa").await.unwrap();
    assert!(matches!(&first, Truth::Captured(capture) if capture.amount == eur(1299)), "{first:?}");
    assert_eq!(desk.charge(id, eur(1299), "tok_visa").await.unwrap(), first);
    assert_eq!(desk.charges().await, 1);
    // Another attempt is another charge.
    desk.charge(payment(), eur(1299), "tok_visa").await.unwrap();
    assert_eq!(desk.charges().await, 2);
}

#[tokio::test]
async fn case_059_a_key_used_for_another_call_says_that_something_was_done() {
    let desk = desk().await;
    let id = payment();
    desk.charge(id, eur(1299), "tok_visa").await.unwrap();
    let other = desk.charge(id, eur(1300), "tok_visa").await.unwrap_err();
    assert!(matches!(other, CallError::Ambiguous(_)), "{other:?}");
    assert_eq!(desk.charges().await, 1);
}

#[tokio::test]
async fn case_063_declines_are_classed_as_stripe_words_them() {
    let desk = desk().await;
    for (source, code, class) in [
        ("tok_chargeDeclined", "generic_decline", DeclineClass::Soft),
        ("tok_chargeDeclinedInsufficientFunds", "insufficient_funds", DeclineClass::Soft),
        ("tok_chargeDeclinedProcessingError", "processing_error", DeclineClass::Soft),
        ("tok_chargeDeclinedFraudulent", "fraudulent", DeclineClass::Hard),
        ("tok_chargeDeclinedExpiredCard", "expired_card", DeclineClass::Hard),
        ("tok_chargeDeclinedIncorrectCvc", "incorrect_cvc", DeclineClass::Hard),
    ] {
        let Truth::Declined { decline, .. } = desk.charge(payment(), eur(1299), source).await.unwrap() else {
            panic!("{source} is refused")
        };
        assert_eq!((decline.code.as_str(), decline.class), (code, class), "{source}");
    }
}

#[tokio::test]
async fn case_059_too_many_calls_are_made_again_and_an_error_of_stripes_is_read_back() {
    let desk = desk().await;
    let busy = desk.charge(payment(), eur(1299), "tok_429").await.unwrap_err();
    assert!(matches!(busy, CallError::NotSent(_)), "{busy:?}");
    let broken = desk.charge(payment(), eur(1299), "tok_500").await.unwrap_err();
    assert!(matches!(broken, CallError::Ambiguous(_)), "{broken:?}");
}

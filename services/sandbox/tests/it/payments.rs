//! The provider: checkout, charges, refunds, webhooks.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

use crate::harness::{self, Playground};

impl Playground {
    async fn api(&self, path: &str, key: Option<&str>, body: Value) -> (StatusCode, Value) {
        let mut request = self.http.post(self.payments(path)).bearer_auth("sk_sandbox_demo").json(&body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.send().await.expect("answers");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    async fn get(&self, path: &str) -> Value {
        let request = self.http.get(self.payments(path)).bearer_auth("sk_sandbox_demo");
        request.send().await.expect("answers").json().await.expect("JSON")
    }

    async fn checkout(&self, reference: &str) -> String {
        let body = json!({
            "reference": reference, "amount": {"currency": "EUR", "minor": 1299}, "save_method": true,
            "success_url": "http://shop.test/done?c={CHECKOUT_ID}", "cancel_url": "http://shop.test/back",
        });
        let (status, checkout) = self.api("/v1/checkouts", None, body).await;
        assert_eq!(status, 201, "{checkout}");
        checkout["id"].as_str().expect("an id").to_owned()
    }

    async fn submit(&self, checkout: &str, path: &str, form: &[(&str, &str)]) -> reqwest::Response {
        let url = self.payments(&format!("/checkout/{checkout}/{path}"));
        self.http.post(url).form(form).send().await.expect("answers")
    }

    async fn card(&self, checkout: &str, number: &str) -> reqwest::Response {
        self.submit(checkout, "pay", &[("number", number), ("expiry", "12/39"), ("cvc", "123")]).await
    }

    /// Pays a checkout and gives back the saved method.
    async fn saved(&self, number: &str) -> String {
        let id = self.checkout("first").await;
        let answer = self.card(&id, number).await;
        assert_eq!(answer.status(), 303);
        let checkout = self.get(&format!("/v1/checkouts/{id}")).await;
        checkout["payment_method"].as_str().expect("saved").to_owned()
    }
}

fn charge(method: &str, minor: i64) -> Value {
    let amount = json!({"currency": "EUR", "minor": minor});
    json!({"reference": "renewal", "amount": amount, "payment_method": method, "off_session": true})
}

/// Answers webhooks with the given statuses in turn, then 200, and hands on heads and bodies.
async fn hook(statuses: &'static [u16]) -> (String, mpsc::Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = format!("http://{}/hook", listener.local_addr().expect("bound"));
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        for turn in 0.. {
            let Ok((mut socket, _)) = listener.accept().await else { return };
            let status = statuses.get(turn).copied().unwrap_or(200);
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut text = String::new();
                let mut buffer = [0; 4096];
                loop {
                    let read = socket.read(&mut buffer).await.unwrap_or(0);
                    text.push_str(&String::from_utf8_lossy(&buffer[..read]));
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = head
                        .to_lowercase()
                        .split_once("content-length: ")
                        .and_then(|(_, rest)| rest.lines().next().and_then(|line| line.parse::<usize>().ok()));
                    if read == 0 || length.is_some_and(|length| body.len() >= length) {
                        sender.send((head.to_owned(), body.to_owned())).await.ok();
                        break;
                    }
                }
                let reply = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                socket.write_all(reply.as_bytes()).await.ok();
            });
        }
    });
    (address, receiver)
}

async fn next(hooks: &mut mpsc::Receiver<(String, String)>) -> (String, Value) {
    let (head, body) =
        tokio::time::timeout(Duration::from_secs(10), hooks.recv()).await.expect("in time").expect("open");
    (head, serde_json::from_str(&body).expect("JSON"))
}

#[tokio::test]
async fn paying_a_checkout_saves_the_card_and_sends_the_customer_back() {
    let sandbox = harness::start().await;
    let id = sandbox.checkout("inv_1").await;
    let page = sandbox.http.get(sandbox.payments(&format!("/checkout/{id}"))).send().await.expect("answers");
    assert!(page.text().await.expect("text").contains("12.99 EUR"));
    let declined = sandbox.card(&id, "4000 0000 0000 0002").await;
    assert_eq!(declined.status(), 402);
    let paid = sandbox.card(&id, "4242424242424242").await;
    assert_eq!(paid.status(), 303);
    assert_eq!(paid.headers()["location"], format!("http://shop.test/done?c={id}"));
    let again = sandbox.card(&id, "4242424242424242").await;
    assert_eq!(again.status(), 303);
    let charges = sandbox.look("payments/charges?reference=inv_1").await;
    assert_eq!((&charges["count"], &charges["succeeded"]), (&json!(2), &json!(1)));
    let list = sandbox.get("/v1/payments?reference=inv_1").await;
    assert_eq!(list["data"][1]["status"], "succeeded");
}

#[tokio::test]
async fn confirmation_is_asked_on_the_page_and_refused_off_session() {
    let sandbox = harness::start().await;
    let id = sandbox.checkout("inv_2").await;
    let page = sandbox.card(&id, "4000000000003220").await;
    assert_eq!(page.status(), 200);
    assert_eq!(sandbox.submit(&id, "authenticate", &[("decision", "confirm")]).await.status(), 303);
    let method =
        sandbox.get(&format!("/v1/checkouts/{id}")).await["payment_method"].as_str().expect("saved").to_owned();
    let (status, body) = sandbox.api("/v1/charges", None, charge(&method, 500)).await;
    assert_eq!(status, 402);
    assert_eq!(
        (&body["error"]["code"], &body["error"]["class"]),
        (&json!("authentication_required"), &json!("action"))
    );
}

#[tokio::test]
async fn an_idempotency_key_charges_once() {
    let sandbox = harness::start().await;
    let method = sandbox.saved("4242424242424242").await;
    let (status, first) = sandbox.api("/v1/charges", Some("k1"), charge(&method, 500)).await;
    assert_eq!(status, 200);
    assert_eq!(sandbox.api("/v1/charges", Some("k1"), charge(&method, 500)).await, (status, first));
    let (status, body) = sandbox.api("/v1/charges", Some("k1"), charge(&method, 501)).await;
    assert_eq!((status, &body["error"]["type"]), (StatusCode::BAD_REQUEST, &json!("idempotency_error")));
    assert_eq!(sandbox.look("payments/charges?reference=renewal").await["succeeded"], 1);
}

#[tokio::test]
async fn a_key_in_use_is_a_conflict_and_a_lost_answer_is_replayed() {
    let mut config = harness::config();
    config.payments.latency_ms = 200;
    let sandbox = harness::start_with(config).await;
    let method = sandbox.saved("4242424242424242").await;
    let (one, two) = tokio::join!(
        sandbox.api("/v1/charges", Some("k2"), charge(&method, 500)),
        sandbox.api("/v1/charges", Some("k2"), charge(&method, 500)),
    );
    assert_eq!([one.0, two.0].into_iter().filter(|status| *status == 409).count(), 1);

    sandbox.fault("payments", "charge", "drop_after_apply", 1).await;
    let lost = sandbox.http.post(sandbox.payments("/v1/charges")).bearer_auth("sk_sandbox_demo");
    assert!(lost.header("idempotency-key", "k3").json(&charge(&method, 700)).send().await.is_err());
    assert_eq!(sandbox.api("/v1/charges", Some("k3"), charge(&method, 700)).await.0, 200);
    assert_eq!(sandbox.look("payments/charges?reference=renewal").await["succeeded"], 2);
}

#[tokio::test]
async fn cards_that_turn_bad_are_declined_with_their_class() {
    let sandbox = harness::start().await;
    for (number, code, class) in
        [("4000000000000341", "generic_decline", "soft"), ("4000000000009987", "stolen_card", "hard")]
    {
        let method = sandbox.saved(number).await;
        let (status, body) = sandbox.api("/v1/charges", None, charge(&method, 500)).await;
        assert_eq!(status, 402);
        assert_eq!((&body["error"]["code"], &body["error"]["class"]), (&json!(code), &json!(class)));
        assert_eq!(body["payment"]["status"], "failed");
    }
}

#[tokio::test]
async fn refunds_never_exceed_what_was_taken() {
    let sandbox = harness::start().await;
    let id = sandbox.checkout("inv_3").await;
    sandbox.card(&id, "4242424242424242").await;
    let payment = sandbox.get(&format!("/v1/checkouts/{id}")).await["payment"].clone();
    let refund = |minor: i64| json!({"payment": payment, "amount": {"currency": "EUR", "minor": minor}});
    assert_eq!(sandbox.api("/v1/refunds", Some("r1"), refund(1000)).await.0, 201);
    assert_eq!(sandbox.api("/v1/refunds", Some("r1"), refund(1000)).await.0, 201);
    let (status, body) = sandbox.api("/v1/refunds", None, refund(300)).await;
    assert_eq!((status, &body["error"]["code"]), (StatusCode::BAD_REQUEST, &json!("amount_too_large")));
    assert_eq!(sandbox.api("/v1/refunds", None, json!({"payment": payment})).await.1["amount"]["minor"], 299);
}

#[tokio::test]
async fn webhooks_are_signed_by_every_secret_and_retried_until_accepted() {
    let (address, mut hooks) = hook(&[500, 404]).await;
    let sandbox = harness::start().await;
    let patch = json!({"webhook_url": address, "webhook_secrets": ["whsec_a", "whsec_b"]});
    sandbox.control("payments/accounts/acct_sandbox", patch).await;
    let id = sandbox.checkout("inv_4").await;
    sandbox.card(&id, "4242424242424242").await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (head, event) = next(&mut hooks).await;
        let header = head.lines().find_map(|line| line.strip_prefix("sandbox-signature: ")).expect("signed").to_owned();
        assert_eq!(header.matches(",v1=").count(), 2, "{header}");
        seen.push(event["id"].clone());
        assert_eq!(event["data"]["object"]["reference"], "inv_4");
    }
    assert!(seen.iter().all(|event| *event == seen[0]));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(hooks.try_recv().is_err(), "delivered is delivered");
    let events = sandbox.look("payments/events?type=payment.succeeded").await;
    assert_eq!(
        events[0]["delivery"],
        json!({"state": "delivered", "attempts": 3, "last_status": 200, "next_at_ms": null})
    );
}

#[tokio::test]
async fn an_event_can_be_fired_again_in_parallel_forged_and_stale() {
    let (address, mut hooks) = hook(&[]).await;
    let sandbox = harness::start().await;
    sandbox.control("payments/accounts/acct_sandbox", json!({"webhook_url": address})).await;
    let id = sandbox.checkout("inv_5").await;
    sandbox.card(&id, "4242424242424242").await;
    let (_, event) = next(&mut hooks).await;
    let path = format!("payments/events/{}/fire", event["id"].as_str().expect("an id"));
    let fired = sandbox.control(&path, json!({"times": 5})).await;
    assert_eq!(fired["statuses"], json!([200, 200, 200, 200, 200]));
    for _ in 0..5 {
        assert_eq!(next(&mut hooks).await.1["id"], event["id"]);
    }
    sandbox.control(&path, json!({"age_s": 301})).await;
    let (stale, _) = next(&mut hooks).await;
    let at: i64 = stale.split_once("t=").and_then(|(_, rest)| rest.split(',').next()?.parse().ok()).expect("a time");
    assert!(event["created"].as_i64().expect("a time") - at >= 299);
    sandbox.control(&path, json!({"forge": "no_header"})).await;
    assert!(!next(&mut hooks).await.0.contains("sandbox-signature"));
}

#[tokio::test]
async fn slow_payments_disputes_and_failing_refunds_come_as_events() {
    let (address, mut hooks) = hook(&[]).await;
    let sandbox = harness::start().await;
    sandbox.control("payments/accounts/acct_sandbox", json!({"webhook_url": address})).await;
    let mut kinds = Vec::new();
    for (number, events) in [("4000000000006668", 2), ("4000000000000259", 2), ("4000000000005126", 1)] {
        let id = sandbox.checkout("inv_6").await;
        assert_eq!(sandbox.card(&id, number).await.status(), 303);
        for _ in 0..events {
            kinds.push(next(&mut hooks).await.1["type"].as_str().expect("a type").to_owned());
        }
        if number.ends_with("5126") {
            let payment = sandbox.get(&format!("/v1/checkouts/{id}")).await["payment"].clone();
            let (_, refund) = sandbox.api("/v1/refunds", None, json!({"payment": payment})).await;
            assert_eq!(refund["status"], "pending");
            kinds.push(next(&mut hooks).await.1["type"].as_str().expect("a type").to_owned());
        }
    }
    kinds.sort();
    let expected = [
        "dispute.opened",
        "payment.processing",
        "payment.succeeded",
        "payment.succeeded",
        "payment.succeeded",
        "refund.failed",
    ];
    assert_eq!(kinds, expected);
}

//! Objections of cardholders at Stripe.

use billing::app::refund::Ask;
use billing::domain::dispute::{Books, State};
use billing::domain::refund::Policy;
use billing::domain::subscription::State as SubscriptionState;
use billing::events::dispute::DISPUTE_CHANGED;
use billing::provider::{Evidence, Stripe};
use billing::store;
use billing::store::dispute::Dispute;
use billing::store::payment::Payment;
use ottery_kit::http::{GuardSettings, GuardedClient};
use ottery_kit::secret::Secret;
use ottery_proto::billing::v1::{DisputeChanged, dispute};
use ottery_proto::common::v1::Money;
use ottery_testkit::recorder::{outbox, payload};
use serde_json::{Value, json};

use super::peers::{http, stateful_mock};
use super::till::{GOOD, Till, till};

fn taken() -> Value {
    json!({"amount": -1299, "fee": 1500, "currency": "eur"})
}

fn given_back() -> Value {
    json!({"amount": 1299, "fee": -1500, "currency": "eur"})
}

impl Till {
    /// The objection is so now, and Stripe tells of it.
    async fn disputed(&self, payment: &Payment, kind: &str, status: &str, moved: Value) {
        self.front.dispute("dp_1", &payment.provider_ref, status, moved);
        let object =
            json!({"id": "dp_1", "payment_intent": payment.provider_ref, "status": "whatever the event claims"});
        self.tell(kind, object).await.expect("taken in");
        self.drain().await;
    }

    async fn dispute(&self) -> Dispute {
        let mut tx = self.world.tx().await;
        let page = store::Page { before: None, limit: 50 };
        let mut all = store::dispute::list(&mut tx, None, page).await.expect("readable");
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    async fn served(&self, payment: &Payment) -> SubscriptionState {
        self.world.subscription(payment.subscription.expect("one")).await.state
    }
}

#[tokio::test]
async fn case_069_a_dispute_that_is_won_leaves_the_books_as_they_were() {
    let till = till().await;
    let payment = till.paid_with(GOOD).await;
    till.disputed(&payment, "charge.dispute.created", "needs_response", json!([])).await;
    assert_eq!((till.dispute().await.state, till.tasks().await), (State::NeedsResponse, vec!["dispute".to_owned()]));
    till.disputed(&payment, "charge.dispute.funds_withdrawn", "needs_response", json!([taken()])).await;
    assert_eq!(till.dispute().await.books, Books { taken: 1299, lost: 0, fee: 1500 });
    assert_eq!((till.balance("disputes").await, till.balance("provider:stripe").await), (1299, -1500));
    till.world.assert_sound().await;
    till.disputed(&payment, "charge.dispute.funds_reinstated", "won", json!([taken(), given_back()])).await;
    till.disputed(&payment, "charge.dispute.closed", "won", json!([taken(), given_back()])).await;
    let dispute = till.dispute().await;
    assert_eq!((dispute.state, dispute.books, dispute.finished_at.is_some()), (State::Won, Books::default(), true));
    assert_eq!((till.balance("disputes").await, till.balance("provider:stripe").await), (0, 1299));
    assert!(till.tasks().await.is_empty());
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_069_a_dispute_that_is_lost_is_a_loss_with_its_fee_whatever_the_order_of_events() {
    let till = till().await;
    let payment = till.paid_with(GOOD).await;
    till.disputed(&payment, "charge.dispute.closed", "lost", json!([taken()])).await;
    till.disputed(&payment, "charge.dispute.created", "lost", json!([taken()])).await;
    assert_eq!(till.dispute().await.state, State::Lost);
    assert_eq!((till.balance("bad_debt").await, till.balance("provider_fees:stripe").await), (1299, 1500));
    assert_eq!((till.balance("disputes").await, till.balance("provider:stripe").await), (0, -1500));
    till.world.assert_sound().await;
}

#[tokio::test]
async fn every_change_of_a_dispute_is_told_once_with_the_invoices_it_is_about() {
    let till = till().await;
    let payment = till.paid_with(GOOD).await;
    till.disputed(&payment, "charge.dispute.created", "needs_response", json!([])).await;
    till.disputed(&payment, "charge.dispute.funds_withdrawn", "needs_response", json!([taken()])).await;
    till.disputed(&payment, "charge.dispute.updated", "needs_response", json!([taken()])).await;
    till.disputed(&payment, "charge.dispute.closed", "lost", json!([taken()])).await;
    let told: Vec<DisputeChanged> = outbox(&till.world.database.pool)
        .await
        .iter()
        .filter(|event| event.r#type == DISPUTE_CHANGED)
        .map(payload)
        .collect();
    let said: Vec<_> = told.iter().map(|event| (event.version, event.dispute.as_ref().unwrap().state())).collect();
    let (asked, lost) = (dispute::State::NeedsResponse, dispute::State::Lost);
    assert_eq!(said, [(1, asked), (2, asked), (3, lost)]);
    let share = |event: &DisputeChanged| {
        let share = event.shares[0].clone();
        let minor = |money: Option<Money>| money.unwrap().minor;
        (event.shares.len(), share.invoice_id, minor(share.disputed), minor(share.taken), minor(share.invoice_total))
    };
    assert_eq!(share(&told[0]), (1, payment.invoice.to_string(), 1299, 0, 1299));
    assert_eq!(share(&told[2]), (1, payment.invoice.to_string(), 1299, 1299, 1299));
}

#[tokio::test]
async fn case_069_whoever_objects_is_not_served_when_the_account_says_so_and_is_again_when_it_is_won() {
    let till = till().await;
    till.set(&till.account, |terms| terms.suspends_on_dispute = true).await;
    let payment = till.paid_with(GOOD).await;
    till.disputed(&payment, "charge.dispute.created", "needs_response", json!([taken()])).await;
    assert!(matches!(till.served(&payment).await, SubscriptionState::Suspended { .. }));
    assert!(till.dispute().await.has_suspended);
    till.disputed(&payment, "charge.dispute.closed", "won", json!([taken(), given_back()])).await;
    assert_eq!(till.served(&payment).await, SubscriptionState::Active);
    // An inquiry costs nobody anything yet.
    let other = till.paid_with(GOOD).await;
    till.front.dispute("dp_2", &other.provider_ref, "warning_needs_response", json!([]));
    till.tell("charge.dispute.created", json!({"id": "dp_2", "payment_intent": other.provider_ref})).await.unwrap();
    till.drain().await;
    assert_eq!(till.served(&other).await, SubscriptionState::Active);
    till.world.assert_sound().await;
}

#[tokio::test]
async fn case_070_what_is_disputed_is_not_refunded_as_well() {
    let till = till().await;
    let payment = till.paid_with(GOOD).await;
    till.disputed(&payment, "charge.dispute.created", "needs_response", json!([taken()])).await;
    let ask =
        || Ask { payment: payment.id, invoice: None, amount: None, reason: "Goodwill".into(), policy: Policy::Keep };
    let owner = ottery_testkit::actor::owner(till.world.brand);
    let refused = till.world.billing.refund_payment(&owner, till.world.brand, ask(), None).await.unwrap_err();
    assert_eq!(refused.reason, "PAYMENT_DISPUTED");
    till.disputed(&payment, "charge.dispute.closed", "won", json!([taken(), given_back()])).await;
    till.world.billing.refund_payment(&owner, till.world.brand, ask(), None).await.expect("the money is ours again");
}

#[tokio::test]
async fn evidence_is_handed_in_once_and_the_task_is_done() {
    let till = till().await;
    let payment = till.paid_with(GOOD).await;
    till.disputed(&payment, "charge.dispute.created", "needs_response", json!([taken()])).await;
    let dispute = till.dispute().await;
    let owner = ottery_testkit::actor::owner(till.world.brand);
    let said = Evidence { statement: "It was watched for three weeks.".into(), ..Evidence::default() };
    let submit = |evidence| till.world.billing.submit_evidence(&owner, till.world.brand, dispute.id, evidence);
    assert_eq!(submit(Evidence::default()).await.unwrap_err().reason, "EVIDENCE_LENGTH");
    let answered = submit(said.clone()).await.unwrap();
    assert_eq!((answered.state, answered.is_answered), (State::UnderReview, true));
    assert!(till.tasks().await.is_empty());
    let asked = &till.front.seen("POST /v1/disputes/dp_1")[0];
    assert_eq!(asked.form["evidence[uncategorized_text]"], "It was watched for three weeks.");
    assert_eq!(asked.form["submit"], "true");
    assert_eq!(submit(said).await.unwrap_err().reason, "DISPUTE_CLOSED");
}

#[tokio::test]
async fn a_dispute_that_is_accepted_is_lost_at_once_and_cannot_be_answered_any_more() {
    let till = till().await;
    let payment = till.paid_with(GOOD).await;
    till.disputed(&payment, "charge.dispute.created", "needs_response", json!([taken()])).await;
    let dispute = till.dispute().await;
    let owner = ottery_testkit::actor::owner(till.world.brand);
    let accept = || till.world.billing.accept_dispute(&owner, till.world.brand, dispute.id);
    till.front.fault("POST /v1/disputes/dp_1/close", 503, false);
    assert_eq!(accept().await.unwrap_err().reason, "PROVIDER_AWAY");
    assert_eq!(till.dispute().await.state, State::NeedsResponse);
    let accepted = accept().await.unwrap();
    assert_eq!((accepted.state, accepted.books.lost), (State::Lost, 1299));
    assert_eq!((till.balance("disputes").await, till.balance("bad_debt").await), (0, 1299));
    let keys: Vec<String> = till.front.seen("POST /v1/disputes/dp_1/close").into_iter().map(|seen| seen.key).collect();
    assert!(keys.len() == 2 && keys[0] == keys[1] && !keys[0].is_empty(), "{keys:?}");
    assert!(till.tasks().await.is_empty());
    assert_eq!(accept().await.unwrap_err().reason, "DISPUTE_CLOSED");
    let said = Evidence { statement: "We changed our mind.".into(), ..Evidence::default() };
    let late = till.world.billing.submit_evidence(&owner, till.world.brand, dispute.id, said).await.unwrap_err();
    assert_eq!(late.reason, "DISPUTE_CLOSED");
    till.world.assert_sound().await;
}

#[tokio::test]
async fn a_warning_of_fraud_is_shown_to_staff() {
    let till = till().await;
    let payment = till.paid_with(GOOD).await;
    let warning =
        json!({"id": "issfr_1", "payment_intent": payment.provider_ref, "charge": "ch_1", "actionable": true});
    till.tell("radar.early_fraud_warning.created", warning).await.unwrap();
    till.drain().await;
    assert_eq!(till.tasks().await, ["fraud_warning"]);
}

#[tokio::test]
async fn disputes_are_read_as_an_independent_simulator_tells_them() {
    use billing::provider::{Access, PaymentProvider as _, Trace};
    let peer = stateful_mock().await;
    let http = http();
    let url = |path: &str| format!("http://{}/v1/{path}", peer.address);
    let charge = [("amount", "1299"), ("currency", "eur"), ("source", "tok_createDispute")];
    let post = http.post(url("charges")).bearer_auth("sk_test_12345").form(&charge).send().await.unwrap();
    let id = post.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
    let read = async || -> Value {
        let get = http.get(url(&format!("charges/{id}"))).bearer_auth("sk_test_12345").send().await.unwrap();
        get.json().await.unwrap()
    };
    let mut told = read().await;
    for _ in 0..100 {
        if told["dispute"].is_string() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        told = read().await;
    }
    let settings = GuardSettings { allow: vec!["127.0.0.0/8".parse().unwrap()], ..GuardSettings::default() };
    let stripe = Stripe::new(GuardedClient::new(&settings).unwrap());
    let access = Access {
        base_url: format!("http://{}", peer.address),
        api_key: Secret::new("sk_test_12345"),
        trace: Trace::default(),
    };
    let dispute = stripe.fetch_dispute(&access, told["dispute"].as_str().unwrap()).await.unwrap().expect("there");
    assert_eq!((dispute.state, dispute.amount), (State::NeedsResponse, crate::world::eur(1299)));
    assert_eq!(
        (dispute.taken, dispute.fee, dispute.reason.as_str()),
        (crate::world::eur(1299), Some(crate::world::eur(1500)), "fraudulent")
    );
    assert!(dispute.evidence_until.is_some() && !dispute.is_answered);
    assert_eq!(stripe.fetch_dispute(&access, "dp_nobody").await, Ok(None));
}

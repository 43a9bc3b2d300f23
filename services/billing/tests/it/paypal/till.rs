//! A brand whose customers pay at the stub, over a network that may lose answers.

use std::collections::HashMap;

use billing::app::payment::{PutAccount, open_checkout};
use billing::app::webhook::Webhook;
use billing::domain::payment::State;
use billing::domain::provider::Terms;
use billing::provider::Providers;
use billing::provider::paypal::Anchors;
use billing::store;
use billing::store::payment::{AttemptKind, AttemptRequest, Payment};
use ottery_kernel::{AccountId, PaymentId};
use ottery_kit::grpc::Problem;
use ottery_kit::secret::Secret;
use ottery_sandbox::paypal::{CLIENT, CLIENT_SECRET, Paypal, Signer};
use ottery_testkit::proxy::{Proxy, Toxic};
use serde_json::{Value, json};

use super::schema;
use crate::shop;
use crate::world::{self, World};

/// What PayPal calls our address.
pub const WEBHOOK_ID: &str = "WH-OURS";

pub struct Till {
    pub world: World,
    pub stub: Paypal,
    pub signer: Signer,
    pub network: Proxy,
    pub account: String,
}

pub async fn till() -> Till {
    till_told_by("messageverificationcerts.paypal.com").await
}

/// One whose webhooks are signed by a certificate of that name, of an authority that is trusted.
pub async fn till_told_by(name: &str) -> Till {
    let mut world = world::world().await;
    let config = shop::config();
    let signer = signer(name);
    let anchors = Anchors::from_pem(&signer.authority().expect("a file")).expect("an authority");
    let providers =
        Providers::new(&config.allow_networks, config.payments.call_timeout(), anchors, &[]).expect("TLS works");
    world.billing = billing::app::Billing::new(config, &world.host.of(billing::NAME), world.database.pool.clone())
        .expect("TLS works");
    world.billing.providers = providers;
    let stub = Paypal::start_checked(schema::fault).await.expect("a free port");
    stub.held(|held| held.certificate = signer.certificate().expect("a file"));
    let network = Proxy::start(stub.address.to_string()).await.expect("a proxy");
    let mut till = Till { world, stub, signer, network, account: String::new() };
    till.account = till.put(|_| ()).await.expect("kept");
    till
}

/// What signs webhooks, with a certificate of that name.
pub fn signer(name: &str) -> Signer {
    let folder = std::env::temp_dir().join(format!("paypal-{}", uuid::Uuid::now_v7().simple()));
    Signer::named(name, folder).expect("openssl makes keys")
}

impl Till {
    pub fn base_url(&self) -> String {
        format!("http://{}", self.network.address())
    }

    pub async fn put(&self, change: impl FnOnce(&mut PutAccount)) -> Result<String, Problem> {
        let mut put = PutAccount {
            id: None,
            provider: "paypal".into(),
            base_url: self.base_url(),
            api_key: Secret::from(format!("{CLIENT}:{CLIENT_SECRET}")),
            webhook_secrets: vec![Secret::new(WEBHOOK_ID)],
            terms: Some(Terms::default()),
            expected_version: 0,
            is_dry_run: false,
        };
        change(&mut put);
        let owner = ottery_testkit::actor::owner(self.world.brand);
        let kept = self.world.billing.put_provider_account(&owner, self.world.brand, put).await?;
        Ok(kept.id.to_string())
    }

    /// An order for 12.99 that saves the wallet, and its page.
    pub async fn order(&self) -> Payment {
        let (id, page) = self.order_of(self.world.account()).await;
        page.expect("a page");
        self.payment(id).await
    }

    /// As [`order`](Self::order), of that customer, who may get no page.
    pub async fn order_of(&self, account: AccountId) -> (PaymentId, Result<String, Problem>) {
        let quote = self.world.quote(Some(account), world::offer(1299, world::week()), false).await;
        let place = billing::app::order::Place { save_method: true, ..world::placing(quote, account) };
        let placed = self.world.billing.place_order(self.world.brand, place, None).await.expect("placed");
        let id = placed.payment.expect("something is due");
        (id, open_checkout(&self.world.billing, self.world.brand, id).await)
    }

    /// A customer who agreed on PayPal's page, and PayPal told us.
    pub async fn paid(&self) -> Payment {
        let payment = self.order().await;
        self.stub.approve(&payment.checkout_ref);
        self.tell("CHECKOUT.ORDER.APPROVED", self.stub.order(&payment.checkout_ref)).await.expect("taken in");
        self.drain().await;
        let payment = self.payment(payment.id).await;
        assert_eq!(payment.state, State::Succeeded);
        payment
    }

    /// Asks for a charge of the saved wallet for the next renewal, as the scheduler does.
    pub async fn charge(&self, first: &Payment) -> Payment {
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
        let method = subscription.method.expect("the wallet was saved").id;
        let request = AttemptRequest {
            shares: Vec::new(),
            invoice: invoice.id,
            account: invoice.account,
            subscription: invoice.subscription,
            amount: invoice.totals.total,
            kind: AttemptKind::OffSession { method },
        };
        let mut tx = self.world.tx().await;
        let ids =
            store::payment::request(&mut tx, self.world.brand, &[request], self.world.now()).await.expect("asked");
        tx.commit().await.expect("committed");
        self.payment(ids[0]).await
    }

    pub fn lose_answers(&self) {
        self.network.set(Toxic::CutOnResponse);
    }

    pub fn good_weather(&self) {
        self.network.set(Toxic::None);
    }

    pub async fn drain(&self) {
        self.world.billing.drain_payments().await.expect("drained");
    }

    /// Lets real time pass for calls and events that wait.
    pub async fn later(&self) {
        for statement in [
            "UPDATE errand SET due_at = now(), lease_until = '-infinity'",
            "UPDATE provider_event_due SET due_at = now(), lease_until = '-infinity'",
            "UPDATE payment SET sent_at = sent_at - interval '2 minutes'",
        ] {
            sqlx::query(statement).execute(&self.world.database.admin_pool).await.expect("updated");
        }
        self.world.billing.work_events().await.expect("events");
        self.world.billing.work_errands().await.expect("errands");
    }

    pub async fn payment(&self, id: PaymentId) -> Payment {
        let mut tx = self.world.tx().await;
        store::payment::get(&mut tx, id).await.expect("readable").expect("there")
    }

    pub async fn tasks(&self) -> Vec<String> {
        let mut tx = self.world.tx().await;
        let page = store::Page { before: None, limit: 50 };
        store::task::list(&mut tx, page).await.expect("readable").into_iter().map(|task| task.kind).collect()
    }

    pub async fn count(&self, table: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar(sql).fetch_one(&self.world.database.admin_pool).await.expect("counted")
    }

    /// An event about an object, signed for an address PayPal calls by that id.
    pub fn webhook(&self, kind: &str, resource: &Value, webhook_id: &str) -> Webhook {
        let id = format!("WH-{}", uuid::Uuid::now_v7().simple());
        let body =
            serde_json::to_vec(&json!({"id": id, "event_version": "1.0", "event_type": kind, "resource": resource}));
        let body = body.expect("JSON");
        let (transmission, time) = ("69cd13f0-d67a-11e5-baa3-778b53f4ae55", "2026-11-20T10:00:00Z");
        let certificate = format!("{}/v1/notifications/certs/CERT-1", self.base_url());
        let signature = self.signer.sign(transmission, time, webhook_id, &body).expect("openssl signs");
        let headers = [
            ("paypal-transmission-id", transmission),
            ("paypal-transmission-time", time),
            ("paypal-transmission-sig", &signature),
            ("paypal-cert-url", &certificate),
            ("paypal-auth-algo", "SHA256withRSA"),
        ];
        let headers: HashMap<_, _> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Webhook { account: self.account.clone(), body, headers }
    }

    /// PayPal tells of an object.
    pub async fn tell(&self, kind: &str, resource: Value) -> Result<bool, Problem> {
        self.world.billing.ingest_webhook(&self.webhook(kind, &resource, WEBHOOK_ID)).await
    }
}

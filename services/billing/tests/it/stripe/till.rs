//! A brand whose customers pay at localstripe, over the wire.

use std::collections::HashMap;

use billing::app::payment::{PutAccount, Rotate, open_checkout};
use billing::app::webhook::Webhook;
use billing::domain::payment::State;
use billing::domain::provider::Terms;
use billing::provider::sign;
use billing::store;
use billing::store::payment::{AttemptKind, AttemptRequest, Payment};
use billing::store::provider_account::ProviderAccount;
use billing::store::refund::Refund;
use ottery_kernel::{Clock as _, PaymentId, SystemClock};
use ottery_kit::grpc::Problem;
use ottery_kit::secret::Secret;
use ottery_testkit::proxy::{Proxy, Toxic};
use serde_json::{Value, json};

use super::front::{Front, Hook, KEY, SECRET};
use super::peers::{Peer, localstripe};
use crate::shop;
use crate::world::{self, World};

pub const GOOD: &str = "4242424242424242";
/// Can be saved, and is refused when it is charged.
pub const REFUSED_LATER: &str = "4000000000000341";
/// The bank wants its holder to confirm every charge.
pub const CONFIRMS: &str = "4000002500003155";

pub struct Till {
    pub world: World,
    pub front: Front,
    /// Between billing and the front: what loses answers.
    pub network: Proxy,
    pub account: String,
    _peer: Peer,
}

pub async fn till() -> Till {
    let mut world = world::world().await;
    world.billing =
        billing::app::Billing::new(shop::config(), &world.host.of(billing::NAME), world.database.pool.clone())
            .expect("TLS works");
    let peer = localstripe().await;
    let front = Front::start(peer.address).await;
    let network = Proxy::start(front.address().to_string()).await.expect("a proxy");
    let mut till = Till { world, front, network, account: String::new(), _peer: peer };
    till.account = till.add_account(Terms::default()).await.id.to_string();
    till
}

impl Till {
    pub fn base_url(&self) -> String {
        format!("http://{}", self.network.address())
    }

    pub async fn add_account(&self, terms: Terms) -> ProviderAccount {
        let put = PutAccount {
            id: None,
            provider: "stripe".into(),
            base_url: self.base_url(),
            api_key: Secret::new(KEY),
            webhook_secrets: vec![Secret::new(SECRET)],
            terms: Some(terms),
            expected_version: 0,
            is_dry_run: false,
        };
        let owner = ottery_testkit::actor::owner(self.world.brand);
        self.world.billing.put_provider_account(&owner, self.world.brand, put).await.expect("kept")
    }

    /// Changes what an account is used for; its secrets stay.
    pub async fn set(&self, account: &str, change: impl FnOnce(&mut Terms)) -> ProviderAccount {
        let stored = self.stored(account).await;
        let mut terms = stored.terms.clone();
        change(&mut terms);
        let put = PutAccount {
            id: Some(stored.id),
            provider: stored.provider.clone(),
            base_url: stored.base_url.clone(),
            api_key: Secret::default(),
            webhook_secrets: Vec::new(),
            terms: Some(terms),
            expected_version: stored.version.cast_unsigned(),
            is_dry_run: false,
        };
        let owner = ottery_testkit::actor::owner(self.world.brand);
        self.world.billing.put_provider_account(&owner, self.world.brand, put).await.expect("kept")
    }

    pub async fn rotate(&self, secret: &str, overlap_hours: u32) -> ProviderAccount {
        let stored = self.stored(&self.account).await;
        let rotate = Rotate {
            id: stored.id,
            webhook_secret: Secret::new(secret),
            overlap_hours,
            expected_version: stored.version.cast_unsigned(),
        };
        let owner = ottery_testkit::actor::owner(self.world.brand);
        self.world.billing.rotate_provider_account(&owner, self.world.brand, rotate).await.expect("rotated")
    }

    pub async fn stored(&self, account: &str) -> ProviderAccount {
        let accounts = self.world.billing.provider_accounts(self.world.brand).await.expect("a list");
        accounts.into_iter().find(|found| found.id.to_string() == account).expect("there")
    }

    /// An order for 12.99 that saves the card, and its hosted page.
    pub async fn order(&self) -> Payment {
        let account = self.world.account();
        let quote = self.world.quote(Some(account), world::offer(1299, world::week()), false).await;
        let place = billing::app::order::Place { save_method: true, ..world::placing(quote, account) };
        let placed = self.world.billing.place_order(self.world.brand, place, None).await.expect("placed");
        let id = placed.payment.expect("something is due");
        open_checkout(&self.world.billing, self.world.brand, id).await.expect("a page");
        self.payment(id).await
    }

    /// A customer who has paid and saved the card. Stripe tells of the page, as it does.
    pub async fn paid_with(&self, number: &str) -> Payment {
        let payment = self.order().await;
        assert_eq!(self.front.card(&payment.checkout_ref, number).await, 303);
        self.tell("checkout.session.completed", self.front.session(&payment.checkout_ref)).await.expect("taken in");
        self.drain().await;
        let payment = self.payment(payment.id).await;
        assert_eq!(payment.state, State::Succeeded);
        payment
    }

    /// A customer whose card was saved when it was good, and is refused from now on: another number under the same method.
    pub async fn saved(&self, number: &str) -> Payment {
        let payment = self.paid_with(GOOD).await;
        let card = [
            ("type", "card"),
            ("card[number]", number),
            ("card[exp_month]", "12"),
            ("card[exp_year]", "2039"),
            ("card[cvc]", "123"),
        ];
        let method = self.front.post("/v1/payment_methods", &card).await["id"].as_str().expect("a method").to_owned();
        let customer: String = sqlx::query_scalar("SELECT reference FROM provider_customer")
            .fetch_one(&self.world.database.admin_pool)
            .await
            .expect("known");
        self.front.post(&format!("/v1/payment_methods/{method}/attach"), &[("customer", customer.as_str())]).await;
        self.swap(&format!("{customer}/{method}")).await;
        payment
    }

    /// Puts another token under the only saved method.
    pub async fn swap(&self, token: &str) {
        use ottery_kit::keyring::Place;
        let id: uuid::Uuid = sqlx::query_scalar("SELECT id FROM payment_method WHERE removed_at IS NULL")
            .fetch_one(&self.world.database.admin_pool)
            .await
            .expect("saved");
        let place =
            Place { table: "billing.payment_method", column: "token_sealed", row: id, brand: Some(self.world.brand) };
        let sealed = self.world.billing.host.keyring.seal(&place, token.as_bytes());
        sqlx::query("UPDATE payment_method SET token_sealed = $1 WHERE id = $2")
            .bind(sealed)
            .bind(id)
            .execute(&self.world.database.admin_pool)
            .await
            .expect("swapped");
    }

    /// Asks for a charge of the saved card for the next renewal, as the scheduler does.
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
        self.charge_again(&invoice, subscription.method.expect("the card was saved").id).await
    }

    pub async fn charge_again(
        &self,
        invoice: &billing::domain::invoice::Invoice,
        method: ottery_kernel::PaymentMethodId,
    ) -> Payment {
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

    /// Loses the answers of whatever is done meanwhile: it arrives, and nobody hears of it.
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

    pub async fn refunds_of(&self, payment: PaymentId) -> Vec<Refund> {
        let mut tx = self.world.tx().await;
        store::refund::of_payment(&mut tx, payment).await.expect("readable")
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

    pub async fn balance(&self, account: &str) -> i64 {
        let mut tx = self.world.tx().await;
        let balances = store::ledger::balances(&mut tx).await.expect("readable");
        let matching = balances.iter().filter(|balance| balance.account.split(":acc_").next() == Some(account));
        matching.map(|balance| balance.debits.minor - balance.credits.minor).sum()
    }

    /// The payments localstripe holds under our reference: all, and those that succeeded.
    pub async fn charges(&self, id: PaymentId) -> (usize, usize) {
        let list = self.front.get("/v1/payment_intents?limit=100").await;
        let ours = |intent: &&Value| intent["metadata"]["payment"] == id.to_string();
        let ours: Vec<&Value> = list["data"].as_array().expect("a list").iter().filter(ours).collect();
        (ours.len(), ours.iter().filter(|intent| intent["status"] == "succeeded").count())
    }

    pub fn webhook(&self, event: &Value, secret: &str, age_s: i64) -> Webhook {
        let body = serde_json::to_vec(event).expect("JSON");
        let at = (SystemClock.now().timestamp() - age_s).to_string();
        let header = format!("t={at},v1={}", sign(&Secret::new(secret), &at, &body));
        Webhook {
            account: self.account.clone(),
            body,
            headers: HashMap::from([("stripe-signature".to_owned(), header)]),
        }
    }

    /// An event about an object, as Stripe words it.
    pub fn event(&self, kind: &str, object: Value) -> Value {
        let id = format!("evt_{}", uuid::Uuid::now_v7().simple());
        json!({"id": id, "object": "event", "type": kind, "livemode": false, "created": 1, "data": {"object": object}})
    }

    /// Stripe tells of an object.
    pub async fn tell(&self, kind: &str, object: Value) -> Result<bool, Problem> {
        let event = self.event(kind, object);
        self.world.billing.ingest_webhook(&self.webhook(&event, SECRET, 0)).await
    }

    /// What localstripe itself sent, byte for byte.
    pub async fn deliver(&self, hook: &Hook) -> Result<bool, Problem> {
        let webhook = Webhook { account: self.account.clone(), body: hook.body.clone(), headers: hook.headers.clone() };
        self.world.billing.ingest_webhook(&webhook).await
    }
}

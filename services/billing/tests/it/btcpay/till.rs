//! A brand whose customers pay at the stub, over a network that may lose answers.

use std::collections::HashMap;

use billing::app::payment::{HostedPage, PutAccount, open_checkout};
use billing::app::webhook::Webhook;
use billing::domain::payment::State;
use billing::domain::provider::Terms;
use billing::store;
use billing::store::payment::Payment;
use billing::store::refund::Refund;
use ottery_kernel::{AccountId, Money, PaymentId};
use ottery_kit::grpc::Problem;
use ottery_kit::secret::Secret;
use ottery_sandbox::btcpay::{Btcpay, Checker, STORE, TOKEN};
use ottery_testkit::proxy::{Proxy, Toxic};
use serde_json::{Value, json};

use super::schema;
use super::signer::sign;
use crate::shop;
use crate::world::{self, World, eur};

/// What BTCPay Server signs with.
pub const SECRET: &str = "3vGL7sXmQ";

pub struct Till {
    pub world: World,
    pub stub: Btcpay,
    pub network: Proxy,
    pub account: String,
}

pub async fn till() -> Till {
    let mut world = world::world().await;
    world.billing =
        billing::app::Billing::new(shop::config(), &world.host.of(billing::NAME), world.database.pool.clone())
            .expect("TLS works");
    let checker = Checker { question: schema::question_fault, answer: schema::answer_fault };
    let stub = Btcpay::start_checked(checker).await.expect("a free port");
    let network = Proxy::start(stub.address.to_string()).await.expect("a proxy");
    let mut till = Till { world, stub, network, account: String::new() };
    till.account = till.put(|_| ()).await.expect("kept");
    till
}

impl Till {
    pub fn base_url(&self) -> String {
        format!("http://{}", self.network.address())
    }

    pub async fn put(&self, change: impl FnOnce(&mut PutAccount)) -> Result<String, Problem> {
        let mut put = PutAccount {
            id: None,
            provider: "btcpay".into(),
            base_url: self.base_url(),
            api_key: Secret::from(format!("{STORE}:{TOKEN}")),
            webhook_secrets: vec![Secret::new(SECRET)],
            terms: Some(Terms::default()),
            expected_version: 0,
            is_dry_run: false,
        };
        change(&mut put);
        let owner = ottery_testkit::actor::owner(self.world.brand);
        let kept = self.world.billing.put_provider_account(&owner, self.world.brand, put).await?;
        Ok(kept.id.to_string())
    }

    /// An order for 12.99, whose page may not come.
    pub async fn asked(&self) -> (PaymentId, Result<String, Problem>) {
        let account = self.world.account();
        let quote = self.world.quote(Some(account), world::offer(1299, world::week()), false).await;
        let place = billing::app::order::Place { save_method: true, ..world::placing(quote, account) };
        let placed = self.world.billing.place_order(self.world.brand, place, None).await.expect("placed");
        let id = placed.payment.expect("something is due");
        (id, open_checkout(&self.world.billing, self.world.brand, id).await)
    }

    /// An order for 12.99 and its page.
    pub async fn order(&self) -> Payment {
        let (id, page) = self.asked().await;
        page.expect("a page");
        self.payment(id).await
    }

    /// A customer who paid, and BTCPay Server told us.
    pub async fn paid(&self) -> Payment {
        let payment = self.order().await;
        self.stub.stands(&payment.checkout_ref, "Settled", "None", "12.99");
        self.tell("InvoiceSettled", &payment.checkout_ref).await.expect("taken in");
        self.drain().await;
        let payment = self.payment(payment.id).await;
        assert_eq!(payment.state, State::Succeeded);
        payment
    }

    /// Another page for the same invoice.
    pub async fn another_page(&self, of: &Payment) -> Result<PaymentId, Problem> {
        let address = || "https://tv.example/".to_owned();
        let page = HostedPage::any(address(), address());
        let made = self.world.billing.pay_invoice(self.world.brand, of.invoice, None, page).await;
        made.map(|(payment, _)| payment)
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
            "UPDATE refund SET sent_at = sent_at - interval '2 minutes'",
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

    /// Every payment of an invoice: the first one, and what came later by the same page.
    pub async fn payments_of(&self, of: &Payment) -> Vec<Payment> {
        let mut tx = self.world.tx().await;
        let mut all = store::payment::list_by_invoice(&mut tx, self.world.brand, of.invoice).await.expect("readable");
        all.sort_by(|one, other| one.provider_ref.cmp(&other.provider_ref));
        all
    }

    pub async fn refunds_of(&self, payment: PaymentId) -> Vec<Refund> {
        let mut tx = self.world.tx().await;
        store::refund::of_payment(&mut tx, payment).await.expect("readable")
    }

    pub async fn tasks(&self) -> Vec<String> {
        self.task_texts().await.into_iter().map(|(kind, _)| kind).collect()
    }

    pub async fn task_texts(&self) -> Vec<(String, String)> {
        let mut tx = self.world.tx().await;
        let page = store::Page { before: None, limit: 50 };
        let tasks = store::task::list(&mut tx, page).await.expect("readable");
        tasks.into_iter().map(|task| (task.kind, task.summary)).collect()
    }

    /// What the customer may spend.
    pub async fn wallet(&self, account: AccountId) -> Money {
        let wallets = self.world.billing.wallet(self.world.brand, account).await.expect("readable");
        wallets.first().map_or(eur(0), |wallet| wallet.available)
    }

    pub async fn count(&self, table: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar(sql).fetch_one(&self.world.database.admin_pool).await.expect("counted")
    }

    /// What BTCPay Server tells of an invoice.
    pub fn event(&self, kind: &str, invoice: &str) -> Value {
        let id = format!("D{}", uuid::Uuid::now_v7().simple());
        let metadata = self.stub.held(|held| held.invoices.get(invoice).map(|told| told["metadata"].clone()));
        json!({"deliveryId": id, "webhookId": "W1", "originalDeliveryId": id, "isRedelivery": false, "type": kind,
            "timestamp": 1_592_312_018, "storeId": STORE, "invoiceId": invoice, "metadata": metadata.unwrap_or_default()})
    }

    pub fn webhook(&self, event: &Value, secret: &str) -> Webhook {
        let body = serde_json::to_vec(event).expect("JSON");
        let headers = HashMap::from([("BTCPay-Sig".to_owned(), sign(secret, &body))]);
        Webhook { account: self.account.clone(), body, headers }
    }

    /// BTCPay Server tells of an invoice.
    pub async fn tell(&self, kind: &str, invoice: &str) -> Result<bool, Problem> {
        let event = self.event(kind, invoice);
        assert_eq!(schema::webhook_fault(kind, &event), None);
        self.world.billing.ingest_webhook(&self.webhook(&event, SECRET)).await
    }
}

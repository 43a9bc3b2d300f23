//! A brand whose customers pay at a simulated provider, over the wire.

use std::collections::HashMap;

use billing::app::payment::{PutAccount, open_checkout};
use billing::app::webhook::Webhook;
use billing::config::Config;
use billing::domain::payment::State;
use billing::provider::sign;
use billing::store;
use billing::store::payment::Payment;
use billing::store::refund::Refund;
use ottery_kernel::{AccountId, Clock as _, InvoiceId, PaymentId, SystemClock};
use ottery_kit::grpc::Problem;
use ottery_kit::secret::Secret;
use ottery_sandbox::{Running, Sandbox, SandboxConfig};
use serde_json::{Value, json};

use crate::world::{self, World};

pub const SECRET: &str = "whsec_sandbox_demo";

pub struct Shop {
    pub world: World,
    pub sandbox: Running,
    pub http: reqwest::Client,
    /// The id in the address of its webhooks.
    pub account: String,
}

/// Settings that let calls reach this machine and end soon.
pub fn config() -> Config {
    let mut config = world::config();
    config.allow_networks = vec!["127.0.0.0/8".parse().expect("a network")];
    config.payments.call_timeout_seconds = 5;
    config
}

pub async fn shop() -> Shop {
    let mut world = world::world().await;
    world.billing = billing::app::Billing::new(config(), &world.host.of(billing::NAME), world.database.pool.clone())
        .expect("TLS works");
    let mut settings = SandboxConfig { seed: Some(7), ..SandboxConfig::default() };
    settings.payments.processing_ms = 50;
    settings.payments.webhook_retry_ms = 100;
    let sandbox = Sandbox::start(settings).await.expect("the sandbox starts");
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let mut shop = Shop { world, sandbox, http, account: String::new() };
    shop.account = shop.put_account(&[SECRET]).await;
    shop
}

impl Shop {
    /// Of the account that is there; 0 before there is one.
    async fn account_version(&self) -> u64 {
        let accounts = self.world.billing.provider_accounts(self.world.brand).await.expect("a list");
        accounts.first().map_or(0, |account| account.version.cast_unsigned())
    }

    pub async fn put_account(&self, secrets: &[&str]) -> String {
        let put = PutAccount {
            id: self.account.parse().ok(),
            provider: "sandbox".into(),
            base_url: format!("http://{}", self.sandbox.addresses().payments),
            api_key: Secret::new("sk_sandbox_demo"),
            webhook_secrets: secrets.iter().map(|secret| Secret::new(*secret)).collect(),
            terms: None,
            expected_version: self.account_version().await,
            is_dry_run: false,
        };
        let owner = ottery_testkit::actor::owner(self.world.brand);
        let account = self.world.billing.put_provider_account(&owner, self.world.brand, put).await.expect("kept");
        account.id.to_string()
    }

    /// An order for 12.99 that saves the card, and its hosted page.
    pub async fn order(&self) -> (Payment, String) {
        let account = self.world.account();
        let placed = self.place(account).await;
        let id = placed.payment.expect("something is due");
        let url = open_checkout(&self.world.billing, self.world.brand, id).await.expect("a page");
        (self.payment(id).await, url)
    }

    pub async fn place(&self, account: AccountId) -> billing::app::order::Placed {
        let quote = self.world.quote(Some(account), world::offer(1299, world::week()), false).await;
        let place = billing::app::order::Place { save_method: true, ..world::placing(quote, account) };
        self.world.billing.place_order(self.world.brand, place, None).await.expect("placed")
    }

    /// Types a card into a hosted page.
    pub async fn card(&self, page: &str, number: &str) -> u16 {
        let form = [("number", number), ("expiry", "12/39"), ("cvc", "123")];
        self.http.post(format!("{page}/pay")).form(&form).send().await.expect("the page answers").status().as_u16()
    }

    /// A customer who has paid and saved the card.
    pub async fn paid_with(&self, number: &str) -> Payment {
        let (payment, page) = self.order().await;
        assert_eq!(self.card(&page, number).await, 303);
        self.hear("payment.succeeded", payment.id).await;
        self.drain().await;
        let payment = self.payment(payment.id).await;
        assert_eq!(payment.state, State::Succeeded);
        payment
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
        // Once, not until nothing is due: one look per passing of time.
        self.world.billing.work_events().await.expect("events");
        self.world.billing.work_errands().await.expect("errands");
    }

    pub async fn payment(&self, id: PaymentId) -> Payment {
        let mut tx = self.world.tx().await;
        store::payment::get(&mut tx, id).await.expect("readable").expect("there")
    }

    pub async fn payments_of(&self, invoice: InvoiceId) -> Vec<Payment> {
        let mut tx = self.world.tx().await;
        store::payment::list(&mut tx, None, Some(invoice), store::Page { before: None, limit: 50 })
            .await
            .expect("readable")
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

    pub async fn control(&self, path: &str, body: Value) -> Value {
        let url = format!("http://{}/control/{path}", self.sandbox.addresses().control);
        let answer = self.http.post(url).json(&body).send().await.expect("control answers");
        let status = answer.status();
        let body: Value = answer.json().await.expect("JSON");
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    }

    pub async fn fault(&self, action: &str, kind: &str, times: u64) {
        self.control(
            "faults",
            json!({"target": "payments", "action": action, "kind": kind, "times": times, "delay_ms": 50}),
        )
        .await;
    }

    pub async fn no_faults(&self) {
        let url = format!("http://{}/control/faults", self.sandbox.addresses().control);
        self.http.delete(url).send().await.expect("control answers");
    }

    pub async fn look(&self, path: &str) -> Value {
        let url = format!("http://{}/control/{path}", self.sandbox.addresses().control);
        self.http.get(url).send().await.expect("control answers").json().await.expect("JSON")
    }

    /// What the provider took under a reference: calls, and how many succeeded.
    pub async fn charges(&self, id: PaymentId) -> (i64, i64) {
        let charges = self.look(&format!("payments/charges?reference={id}")).await;
        (charges["count"].as_i64().expect("a number"), charges["succeeded"].as_i64().expect("a number"))
    }

    /// The provider's own API, as somebody at its console uses it.
    pub async fn api(&self, path: &str, body: Value) -> Value {
        let url = format!("http://{}/v1/{path}", self.sandbox.addresses().payments);
        let answer = self.http.post(url).bearer_auth("sk_sandbox_demo").json(&body).send().await.expect("answers");
        answer.json().await.expect("JSON")
    }

    /// The bodies of the provider's events of that type, oldest first.
    pub async fn events(&self, kind: &str, id: PaymentId) -> Vec<Value> {
        let url = format!("http://{}/v1/events?limit=100", self.sandbox.addresses().payments);
        let list: Value = self
            .http
            .get(url)
            .bearer_auth("sk_sandbox_demo")
            .send()
            .await
            .expect("answers")
            .json()
            .await
            .expect("JSON");
        let ours = |event: &&Value| event["type"] == kind && event["data"]["object"]["reference"] == id.to_string();
        list["data"].as_array().expect("a list").iter().filter(ours).cloned().collect()
    }

    pub fn webhook(&self, body: &Value, secret: &str, age_s: i64) -> Webhook {
        let body = serde_json::to_vec(body).expect("JSON");
        let at = (SystemClock.now().timestamp() - age_s).to_string();
        let header = format!("t={at},v1={}", sign(&Secret::new(secret), &at, &body));
        Webhook {
            account: self.account.clone(),
            body,
            headers: HashMap::from([("sandbox-signature".to_owned(), header)]),
        }
    }

    pub async fn deliver(&self, body: &Value) -> Result<bool, Problem> {
        self.world.billing.ingest_webhook(&self.webhook(body, SECRET, 0)).await
    }

    /// Delivers the newest event of that type.
    pub async fn hear(&self, kind: &str, id: PaymentId) {
        let event = self.events(kind, id).await.pop().unwrap_or_else(|| panic!("the provider told no {kind}"));
        self.deliver(&event).await.expect("taken in");
    }

    pub async fn balance(&self, account: &str) -> i64 {
        let mut tx = self.world.tx().await;
        let balances = store::ledger::balances(&mut tx).await.expect("readable");
        let matching = balances.iter().filter(|balance| balance.account.split(":acc_").next() == Some(account));
        matching.map(|balance| balance.debits.minor - balance.credits.minor).sum()
    }
}

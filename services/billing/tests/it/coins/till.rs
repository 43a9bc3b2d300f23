//! A brand whose customers pay in coins to a wallet of Electrum's.

use billing::app::payment::{HostedPage, PutAccount, ShownDeposit, open_checkout};
use billing::config::Source;
use billing::domain::payment::State;
use billing::provider::coin::PriceSource;
use billing::store;
use billing::store::coin::{By, Stored};
use billing::store::payment::Payment;
use ottery_kernel::{AccountId, PaymentId};
use ottery_kit::grpc::Problem;
use ottery_kit::secret::Secret;
use serde_json::Value;

use super::front::Front;
use crate::shop;
use crate::world::{self, World};

/// What is frozen of Electrum's wallets.
pub fn frozen() -> Vec<(String, String, Vec<String>)> {
    let frozen: Value = serde_json::from_str(include_str!("../../fixtures/electrum_addresses.json")).expect("JSON");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let wallets = frozen["wallets"].as_array().expect("a list").iter();
    wallets
        .map(|one| {
            let receiving = one["receiving"].as_array().expect("a list").iter().map(text).collect();
            (text(&one["network"]), text(&one["key"]), receiving)
        })
        .collect()
}

/// The key of a wallet on regtest, and its addresses in order.
pub fn wallet() -> (String, Vec<String>) {
    let found = frozen().into_iter().find(|(network, key, _)| network == "regtest" && key.starts_with("vpub"));
    let (_, key, receiving) = found.expect("there is one");
    (key, receiving)
}

pub struct Till {
    pub world: World,
    pub front: Front,
}

pub async fn till() -> Till {
    let till = empty_till().await;
    till.put(&wallet().0).await.expect("kept");
    till
}

/// One without an account.
pub async fn empty_till() -> Till {
    let mut world = world::world().await;
    let front = Front::start().await;
    let mut config = shop::config();
    let source = |kind| Source { kind, base_url: front.url() };
    config.coins.price_sources = vec![source(PriceSource::Kraken), source(PriceSource::Coinbase)];
    world.billing = billing::app::Billing::new(config, &world.host.of(billing::NAME), world.database.pool.clone())
        .expect("TLS works");
    Till { world, front }
}

impl Till {
    pub fn asked(&self, key: &str) -> PutAccount {
        PutAccount {
            id: None,
            provider: "bitcoin".into(),
            base_url: self.front.url(),
            api_key: Secret::new(key),
            webhook_secrets: Vec::new(),
            terms: None,
            expected_version: 0,
            is_dry_run: false,
        }
    }

    pub async fn put(&self, key: &str) -> Result<store::provider_account::ProviderAccount, Problem> {
        let owner = ottery_testkit::actor::owner(self.world.brand);
        self.world.billing.put_provider_account(&owner, self.world.brand, self.asked(key)).await
    }

    /// An order for ten euros, and its page.
    pub async fn order(&self) -> (Payment, Stored) {
        let payment = self.try_order(self.world.account()).await.expect("a page");
        let deposit = self.deposit(payment.id).await;
        (payment, deposit)
    }

    pub async fn try_order(&self, account: AccountId) -> Result<Payment, Problem> {
        let quote = self.world.quote(Some(account), world::offer(1_000, world::week()), false).await;
        let placed = self.world.billing.place_order(self.world.brand, world::placing(quote, account), None).await?;
        let id = placed.payment.expect("something is due");
        open_checkout(&self.world.billing, self.world.brand, id).await?;
        Ok(self.payment(id).await)
    }

    /// Another try of the same invoice.
    pub async fn pay_again(&self, payment: &Payment) -> Result<(PaymentId, String), Problem> {
        let page = HostedPage::any("https://tv.example/account".into(), "https://tv.example/account".into());
        self.world.billing.pay_invoice(self.world.brand, payment.invoice, None, page).await
    }

    pub async fn deposit(&self, payment: PaymentId) -> Stored {
        let mut tx = self.world.tx().await;
        store::coin::find(&mut tx, By::Payment(payment)).await.expect("readable").expect("there")
    }

    pub async fn page(&self, token: &str) -> ShownDeposit {
        self.world.billing.show_deposit(self.world.brand, token).await.expect("a page")
    }

    pub async fn payment(&self, id: PaymentId) -> Payment {
        let mut tx = self.world.tx().await;
        store::payment::get(&mut tx, id).await.expect("readable").expect("there")
    }

    pub async fn sql(&self, statement: &'static str) {
        sqlx::query(statement).execute(&self.world.database.admin_pool).await.expect("updated");
    }

    /// Every address is looked at now.
    pub async fn look(&self) {
        self.sql("UPDATE errand SET due_at = now(), lease_until = '-infinity' WHERE kind = 'deposit'").await;
        self.world.billing.work_errands().await.expect("errands");
    }

    /// Everything that waits is done now.
    pub async fn later(&self) {
        self.sql("UPDATE errand SET due_at = now(), lease_until = '-infinity'").await;
        self.world.billing.work_errands().await.expect("errands");
    }

    /// So many minutes pass for prices and for what was seen.
    pub async fn pass(&self, minutes: i32) {
        let database = &self.world.database.admin_pool;
        for statement in [
            "UPDATE coin_lock SET held_from = held_from - make_interval(mins => $1), held_until = held_until - make_interval(mins => $1)",
            "UPDATE coin_transfer SET seen_at = seen_at - make_interval(mins => $1)",
        ] {
            sqlx::query(statement).bind(minutes).execute(database).await.expect("updated");
        }
    }

    pub async fn tasks(&self) -> Vec<String> {
        let mut tx = self.world.tx().await;
        let page = store::Page { before: None, limit: 50 };
        let tasks = store::task::list(&mut tx, page).await.expect("readable");
        let mut kinds: Vec<_> = tasks.into_iter().map(|task| task.kind).collect();
        kinds.sort_unstable();
        kinds
    }

    /// What an account of the books has, debits less credits.
    pub async fn balance(&self, account: &str) -> i64 {
        let mut tx = self.world.tx().await;
        let balances = store::ledger::balances(&mut tx).await.expect("readable");
        let matching = balances.iter().filter(|balance| balance.account.split(":acc_").next() == Some(account));
        matching.map(|balance| balance.debits.minor - balance.credits.minor).sum()
    }

    /// How often something of that kind was booked.
    pub async fn booked(&self, kind: &str) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM transfer WHERE kind = $1")
            .bind(kind)
            .fetch_one(&self.world.database.admin_pool)
            .await
            .expect("counted")
    }

    /// An order that was paid exactly and has one confirmation.
    pub async fn paid(&self) -> (Payment, Stored) {
        let (payment, deposit) = self.order().await;
        self.front.send("paid", &deposit.address, 20_000);
        self.front.mine(1);
        self.look().await;
        let payment = self.payment(payment.id).await;
        assert_eq!(payment.state, State::Succeeded);
        (payment, deposit)
    }
}

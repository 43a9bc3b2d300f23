//! A brand whose customers pay by bank, or in cash.

use billing::app::payment::{Arrived, ArrivedOf, HostedPage, PutAccount, ShownByHand, open_checkout};
use billing::domain::by_hand::{AloneUpTo, ByHandTerms};
use billing::domain::provider::Terms;
use billing::store;
use billing::store::by_hand::{By, Record, Wait};
use billing::store::payment::Payment;
use billing::store::provider_account::ProviderAccount;
use chrono::TimeDelta;
use ottery_kernel::{AccountId, Currency, Money, PaymentId, RefundId};
use ottery_kit::grpc::{Actor, ActorKind, Problem};
use ottery_kit::secret::Secret;

use crate::world::{self, World, eur};

pub struct Till {
    pub world: World,
    pub account: ProviderAccount,
}

/// What payers are told; two people are needed above twenty euros.
pub fn told() -> ByHandTerms {
    ByHandTerms {
        beneficiary: "Otter TV GmbH".into(),
        iban: "DE89 3704 0044 0532 0130 00".into(),
        bic: "COBADEFFXXX".into(),
        bank: "Commerzbank".into(),
        note: "Write nothing but the reference.".into(),
        days: 3,
        alone_up_to: vec![AloneUpTo { currency: Currency::EUR, minor: 2_000 }],
    }
}

pub fn asked(provider: &str, told: ByHandTerms) -> PutAccount {
    PutAccount {
        id: None,
        provider: provider.into(),
        base_url: String::new(),
        api_key: Secret::new(""),
        webhook_secrets: Vec::new(),
        terms: Some(Terms { by_hand: Some(told), ..Terms::default() }),
        expected_version: 0,
        is_dry_run: false,
    }
}

pub async fn till() -> Till {
    let world = world::world().await;
    let owner = ottery_testkit::actor::owner(world.brand);
    let asked = asked("bank_transfer", told());
    let account = world.billing.put_provider_account(&owner, world.brand, asked).await.expect("kept");
    Till { world, account }
}

pub async fn cash_till() -> Till {
    let world = world::world().await;
    let owner = ottery_testkit::actor::owner(world.brand);
    let told = ByHandTerms { iban: String::new(), bic: String::new(), note: "At the shop, 9 to 17.".into(), ..told() };
    let asked = asked("cash", told);
    let account = world.billing.put_provider_account(&owner, world.brand, asked).await.expect("kept");
    Till { world, account }
}

impl Till {
    pub fn staff(&self, name: &str) -> Actor {
        Actor::new(ActorKind::Staff, name, Some(self.world.brand)).with_permissions(["*"])
    }

    pub fn key(&self, name: &str) -> Actor {
        Actor::new(ActorKind::ApiKey, name, Some(self.world.brand)).with_permissions(["*"])
    }

    /// An order, its payment and the reference that waits.
    pub async fn order(&self, minor: i64) -> (Payment, Wait) {
        self.order_of(self.world.account(), minor).await
    }

    pub async fn order_of(&self, account: AccountId, minor: i64) -> (Payment, Wait) {
        let quote = self.world.quote(Some(account), world::offer(minor, world::week()), false).await;
        let placed = self
            .world
            .billing
            .place_order(self.world.brand, world::placing(quote, account), None)
            .await
            .expect("placed");
        let id = placed.payment.expect("something is due");
        open_checkout(&self.world.billing, self.world.brand, id).await.expect("a page");
        (self.payment(id).await, self.wait(id).await)
    }

    pub async fn pay_again(&self, payment: &Payment) -> Result<(PaymentId, String), Problem> {
        let page = HostedPage::any("https://tv.example/account".into(), "https://tv.example/account".into());
        self.world.billing.pay_invoice(self.world.brand, payment.invoice, None, page).await
    }

    pub async fn payment(&self, id: PaymentId) -> Payment {
        let mut tx = self.world.tx().await;
        store::payment::get(&mut tx, id).await.expect("readable").expect("there")
    }

    pub async fn wait(&self, id: PaymentId) -> Wait {
        let mut tx = self.world.tx().await;
        store::by_hand::find(&mut tx, By::Payment(id)).await.expect("readable").expect("there")
    }

    pub async fn page(&self, wait: &Wait) -> ShownByHand {
        self.world.billing.show_by_hand(self.world.brand, &wait.token).await.expect("a page")
    }

    pub fn arrived(&self, of: ArrivedOf, amount: Money, reference: &str) -> Arrived {
        Arrived {
            of,
            amount,
            value_on: (self.world.now() - TimeDelta::days(1)).date_naive(),
            reference: reference.into(),
            sender: "Ada Lovelace, GB29NWBK60161331926819".into(),
            note: String::new(),
        }
    }

    /// Somebody records money under a reference.
    pub async fn record(&self, by: &Actor, wait: &Wait, minor: i64, reference: &str) -> Result<Record, Problem> {
        let arrived = self.arrived(ArrivedOf::Reference(wait.reference.printed()), eur(minor), reference);
        self.world.billing.record_by_hand(by, self.world.brand, arrived).await
    }

    pub async fn record_payout(
        &self,
        by: &Actor,
        refund: RefundId,
        minor: i64,
        reference: &str,
    ) -> Result<Record, Problem> {
        let arrived = self.arrived(ArrivedOf::Refund(refund), eur(minor), reference);
        self.world.billing.record_by_hand(by, self.world.brand, arrived).await
    }

    pub async fn confirm(&self, by: &Actor, record: &Record) -> Result<Record, Problem> {
        self.world.billing.confirm_record(by, self.world.brand, record.id).await
    }

    pub async fn take_back(&self, by: &Actor, record: &Record) -> Result<Record, Problem> {
        self.world.billing.take_back_record(by, self.world.brand, record.id, "It was of another shop").await
    }

    /// Everything that waits is done now.
    pub async fn later(&self) {
        sqlx::query("UPDATE errand SET due_at = now(), lease_until = '-infinity' WHERE kind <> 'proof'")
            .execute(&self.world.database.admin_pool)
            .await
            .expect("updated");
        self.world.billing.work_errands().await.expect("errands");
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
}

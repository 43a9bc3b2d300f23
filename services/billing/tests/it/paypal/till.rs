//! A brand whose customers pay at the stub, over the wire.

use billing::app::payment::{PutAccount, open_checkout};
use billing::domain::invoice::Invoice;
use billing::store;
use billing::store::payment::{AttemptKind, AttemptRequest, Payment};
use billing::store::provider_account::ProviderAccount;
use ottery_kernel::PaymentId;
use ottery_kit::grpc::Problem;
use ottery_kit::secret::Secret;
use ottery_testkit::proxy::{Proxy, Toxic};

use super::stub::{KEY, Stub};
use crate::shop;
use crate::world::{self, World};

pub struct Till {
    pub world: World,
    pub stub: Stub,
    /// Between billing and the stub: what loses answers.
    pub network: Proxy,
}

pub async fn till() -> Till {
    let mut world = world::world().await;
    world.billing =
        billing::app::Billing::new(shop::config(), &world.host.of(billing::NAME), world.database.pool.clone())
            .expect("TLS works");
    let stub = Stub::start().await;
    let network = Proxy::start(stub.address().to_string()).await.expect("a proxy");
    let till = Till { world, stub, network };
    till.add_account(KEY).await.expect("kept");
    till
}

impl Till {
    pub async fn add_account(&self, key: &str) -> Result<ProviderAccount, Problem> {
        let put = PutAccount {
            id: None,
            provider: "paypal".into(),
            base_url: format!("http://{}", self.network.address()),
            api_key: Secret::new(key),
            webhook_secrets: Vec::new(),
            terms: None,
            expected_version: 0,
            is_dry_run: false,
        };
        let owner = ottery_testkit::actor::owner(self.world.brand);
        self.world.billing.put_provider_account(&owner, self.world.brand, put).await
    }

    /// An order for 12.99 that saves the wallet, and its page at PayPal.
    pub async fn order(&self) -> Payment {
        let account = self.world.account();
        let quote = self.world.quote(Some(account), world::offer(1299, world::week()), false).await;
        let place = billing::app::order::Place { save_method: true, ..world::placing(quote, account) };
        let placed = self.world.billing.place_order(self.world.brand, place, None).await.expect("placed");
        let id = placed.payment.expect("something is due");
        open_checkout(&self.world.billing, self.world.brand, id).await.expect("a page");
        self.payment(id).await
    }

    /// A customer who has approved and whose money was taken, without any webhook.
    pub async fn paid(&self) -> Payment {
        let payment = self.order().await;
        self.stub.approve(&payment.checkout_ref);
        self.later().await;
        self.payment(payment.id).await
    }

    /// Asks for a charge of the saved wallet for the next renewal, as the scheduler does.
    pub async fn charge(&self, first: &Payment) -> Payment {
        let subscription = self.world.subscription(first.subscription.expect("a subscription")).await;
        let mut invoice: Option<Invoice> = None;
        for _ in 0..40 {
            invoice = self.world.open_invoice(subscription.id).await;
            if invoice.is_some() {
                break;
            }
            self.world.advance(chrono::TimeDelta::hours(12)).await;
        }
        let invoice = invoice.expect("a renewal is issued");
        let request = AttemptRequest {
            shares: Vec::new(),
            invoice: invoice.id,
            account: invoice.account,
            subscription: invoice.subscription,
            amount: invoice.totals.total,
            kind: AttemptKind::OffSession { method: subscription.method.expect("the wallet was saved").id },
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

    /// Lets real time pass for calls that wait.
    pub async fn later(&self) {
        for statement in [
            "UPDATE errand SET due_at = now(), lease_until = '-infinity'",
            "UPDATE payment SET sent_at = sent_at - interval '2 minutes'",
        ] {
            sqlx::query(statement).execute(&self.world.database.admin_pool).await.expect("updated");
        }
        self.world.billing.work_errands().await.expect("errands");
    }

    pub async fn payment(&self, id: PaymentId) -> Payment {
        let mut tx = self.world.tx().await;
        store::payment::get(&mut tx, id).await.expect("readable").expect("there")
    }
}

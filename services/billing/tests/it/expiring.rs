//! Cards that expire: their owners hear of it in time, once.

use billing::domain::subscription::Subscription;
use billing::store::payment::Payment;
use chrono::{DateTime, Datelike as _, Months, NaiveDate, NaiveTime, TimeDelta, Utc};
use ottery_proto::billing::v1::MethodExpiring;
use ottery_proto::common::v1::Envelope;
use ottery_testkit::recorder::{outbox, payload};

use crate::shop::{Shop, shop};
use crate::world::World;

const TOLD: &str = "billing.method.expiring.v1";
const VISA: &str = "4242424242424242";

/// A customer who renews weekly by a card that is good to the end of the month after next.
struct Renewing {
    shop: Shop,
    payment: Payment,
    last_day: NaiveDate,
}

pub fn month_end(day: NaiveDate, months: u32) -> NaiveDate {
    let first = day.with_day(1).expect("every month has one") + Months::new(months + 1);
    first.pred_opt().expect("it is not the first day there ever was")
}

pub fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

impl World {
    /// What was told of cards that expire, by now.
    pub async fn expiring(&self) -> Vec<MethodExpiring> {
        self.billing.announce_all_expiring().await.expect("cards are looked at");
        let told: Vec<Envelope> = outbox(&self.database.pool).await;
        told.iter().filter(|event| event.r#type == TOLD).map(payload::<MethodExpiring>).collect()
    }
}

impl Shop {
    async fn expiring(&self) -> Vec<MethodExpiring> {
        self.world.expiring().await
    }

    /// Pays an order with the card, which is saved.
    async fn saved(&self, number: &str, last_day: NaiveDate) -> Payment {
        let (payment, page) = self.order().await;
        let expiry = last_day.format("%m/%y").to_string();
        let form = [("number", number), ("expiry", expiry.as_str()), ("cvc", "123")];
        let paid = self.http.post(format!("{page}/pay")).form(&form).send().await.expect("the page answers");
        assert_eq!(paid.status().as_u16(), 303);
        self.hear("payment.succeeded", payment.id).await;
        self.drain().await;
        self.payment(payment.id).await
    }

    async fn subscription_of(&self, payment: &Payment) -> Subscription {
        self.world.subscription(payment.subscription.expect("it is for one")).await
    }

    /// Renewals run on: nobody waits for a day to be told, and nothing is set aside by a jump of the clock.
    async fn live_until(&self, at: DateTime<Utc>) {
        while self.world.now() < at {
            let next = (self.world.now() + TimeDelta::days(1)).min(at);
            self.world.advance_to(next).await;
            self.drain().await;
        }
    }
}

async fn renewing() -> Renewing {
    let shop = shop().await;
    let last_day = month_end(shop.world.now().date_naive(), 2);
    let payment = shop.saved(VISA, last_day).await;
    Renewing { shop, payment, last_day }
}

#[tokio::test]
async fn case_061_the_owner_of_a_card_that_expires_hears_of_it_once_and_in_time() {
    let Renewing { shop, payment, last_day } = renewing().await;
    let methods = shop.world.billing.payment_methods(shop.world.brand, payment.account).await.unwrap();
    assert_eq!((methods[0].expires_on, methods[0].expiry_told_at), (Some(last_day), None));
    let first = midnight(last_day) + TimeDelta::days(1 - 21);
    shop.live_until(first - TimeDelta::hours(1)).await;
    assert!(shop.expiring().await.is_empty(), "too early");
    shop.live_until(first).await;
    let told = shop.expiring().await.remove(0);
    let subscription = shop.subscription_of(&payment).await;
    assert_eq!((told.label.as_str(), told.expires_on), ("Visa ending 4242", last_day.to_string()));
    assert_eq!(
        (told.subscription_ids, told.plan_names),
        (vec![subscription.id.to_string()], vec!["Family".to_owned()])
    );
    assert_eq!((told.email.as_str(), told.locale.as_str()), ("ada@example.com", "en"));
    assert_eq!(told.account_id, payment.account.to_string());
    let methods = shop.world.billing.payment_methods(shop.world.brand, payment.account).await.unwrap();
    assert_eq!(methods[0].expiry_told_at, Some(shop.world.now()));
    // Looked at again and again, until it is over.
    shop.live_until(midnight(last_day) + TimeDelta::days(2)).await;
    assert_eq!(shop.expiring().await.len(), 1);
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn nobody_hears_of_a_card_that_nothing_will_be_charged_to() {
    let Renewing { shop, payment, last_day } = renewing().await;
    let subscription = shop.subscription_of(&payment).await;
    let brand = shop.world.brand;
    let owner = ottery_testkit::actor::owner(brand);
    let first = midnight(last_day) + TimeDelta::days(1 - 21);
    shop.live_until(first - TimeDelta::hours(1)).await;
    shop.world.billing.cancel(brand, subscription.id, None, "moving away", &owner).await.expect("it ends");
    shop.live_until(first + TimeDelta::hours(1)).await;
    assert!(shop.expiring().await.is_empty());
    // Who stays after all hears of it the next day.
    shop.world.billing.resume(brand, subscription.id, None, &owner).await.expect("it goes on");
    assert!(shop.expiring().await.is_empty(), "a card is looked at once a day");
    shop.live_until(first + TimeDelta::hours(26)).await;
    assert_eq!(shop.expiring().await.len(), 1);
}

#[tokio::test]
async fn one_card_saved_twice_is_announced_once_and_another_card_by_itself() {
    let Renewing { shop, payment, last_day } = renewing().await;
    // The same customer has the card twice, and one of another number.
    let methods = "INSERT INTO payment_method (id, brand_id, account_id, provider_account_id, token_sealed, token_hash, label,
                       is_default, created_at, expires_on)
                   SELECT gen_random_uuid(), brand_id, account_id, provider_account_id, token_sealed, uuid_send(gen_random_uuid()),
                          $2, false, created_at, expires_on FROM payment_method WHERE account_id = $1 LIMIT 1 RETURNING id";
    for label in ["Visa ending 4242", "Visa ending 1111"] {
        let id: uuid::Uuid = sqlx::query_scalar(methods)
            .bind(payment.account.as_uuid())
            .bind(label)
            .fetch_one(&shop.world.database.admin_pool)
            .await
            .unwrap();
        let placed = shop.world.order(payment.account, crate::world::offer(999, crate::world::week())).await;
        shop.world.pay(&shop.world.invoice_of(&placed).await).await;
        for (sql, value) in [
            ("UPDATE subscription SET payment_method_id = $2 WHERE id = $1", placed.order.subscription.as_uuid()),
            (
                "INSERT INTO method_expiry (method_id, brand_id, due_at) VALUES ($2, $1, 'epoch')",
                shop.world.brand.as_uuid(),
            ),
        ] {
            sqlx::query(sql).bind(value).bind(id).execute(&shop.world.database.admin_pool).await.unwrap();
        }
    }
    shop.world.host.clock.set(midnight(last_day) - TimeDelta::days(3));
    let mut labels: Vec<String> = shop.expiring().await.into_iter().map(|told| told.label).collect();
    labels.sort_unstable();
    assert_eq!(labels, ["Visa ending 1111", "Visa ending 4242"]);
}

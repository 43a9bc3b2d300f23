//! A brand with customers, and what they do.

use std::collections::HashMap;

use billing::app::Billing;
use billing::app::order::{Place, Placed};
use billing::app::schedule;
use billing::app::settlement::{self, Owed, Settled, SettledPayment};
use billing::config::Config;
use billing::domain::calendar::Calendar;
use billing::domain::coupon::{Coupon, Discounts};
use billing::domain::invoice::{Buyer, Invoice};
use billing::domain::offer::{Mapping, Offer};
use billing::domain::profile::{Entity, Profile};
use billing::domain::quote::{Asked, Quote};
use billing::domain::rules::InvoiceRules;
use billing::domain::subscription::{State, Subscription};
use billing::domain::tax;
use billing::store;
use billing::store::quote::Stored;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use ottery_kernel::{
    AccountId, AnchorRule, BrandId, ChangePolicy, Clock as _, Currency, EntityId, LateRenewal, Money, OrderId,
    PaymentId, PlanId, PlanVersionId, PriceId, SubscriptionId, Term, TermUnit,
};
use ottery_kit::config::{Section, Sources};
use ottery_kit::db::{self, Scope};
use ottery_kit::grpc::Problem;
use ottery_testkit::TestDatabase;
use ottery_testkit::host::TestHost;
use ottery_testkit::recorder::outbox;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

pub struct World {
    pub database: TestDatabase,
    pub host: TestHost,
    pub billing: Billing,
    pub brand: BrandId,
    pub profile: Profile,
}

pub fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::EUR)
}

pub fn config() -> Config {
    let section = Section { name: billing::NAME, defaults: billing::DEFAULTS };
    ottery_kit::config::load(section, &Sources::none()).expect("the defaults are a configuration").value
}

pub async fn world() -> World {
    world_on(ottery_testkit::database(billing::NAME, &billing::MIGRATIONS).await).await
}

/// The same on a database of the test's choice.
pub async fn world_on(database: TestDatabase) -> World {
    let host = ottery_testkit::host::host(&[&database]).await;
    let billing = Billing::new(config(), &host.of(billing::NAME), database.pool.clone()).expect("TLS works");
    let now = host.clock.now();
    let brand = BrandId::new(now);
    let world = World { profile: profile(brand, now), database, host, billing, brand };
    world.know(&world.profile).await;
    world
}

pub fn profile(brand: BrandId, now: DateTime<Utc>) -> Profile {
    Profile {
        brand,
        name: "Nordlicht TV".into(),
        entity: Entity {
            id: EntityId::new(now),
            name: "Nordlicht Medien GmbH".into(),
            address_lines: vec!["Hafenstraße 7".into()],
            country: "DE".into(),
            tax_id: "DE123456789".into(),
            zone: Tz::Europe__Berlin,
            series: "INV".into(),
            email: "billing@nordlicht.example".into(),
            tax: billing::domain::tax::Settings::default(),
        },
        currencies: vec![Currency::EUR, Currency::USD],
        zone: Tz::Europe__Berlin,
        grace_days: 3,
        terminate_after_days: 14,
        renewal_lead_hours: 72,
        reminder_hours: vec![-24, 24, 48],
        tax_rate_bp: 1900,
        tax_name: "VAT".into(),
        default_locale: "en".into(),
        support_email: "help@nordlicht.example".into(),
        tokens: [("accent".to_owned(), "#1f4fd8".to_owned())].into(),
        logo: String::new(),
        rules: InvoiceRules::default(),
        minimums: billing::domain::minimum::Minimums::default(),
    }
}

pub fn offer(minor: i64, term: Term) -> Offer {
    let at = DateTime::UNIX_EPOCH;
    Offer {
        plan_id: PlanId::new(at),
        plan_version_id: PlanVersionId::new(at),
        price_id: PriceId::new(at),
        plan_name: "Family".into(),
        price: eur(minor),
        setup_fee: None,
        term,
        trial_days: 3,
        connections: 2,
        mapping: Mapping { bouquet_ids: vec![1, 2], outputs: vec!["hls".into()], ..Mapping::default() },
        anchor: AnchorRule::Anniversary,
        changes: ChangePolicy::default(),
        pause_days_max: 0,
        late_renewal: LateRenewal::FromOldEnd,
        tax_category: String::new(),
        options: Vec::new(),
        regular: None,
        addons: Vec::new(),
        once: false,
    }
}

/// A subscription nobody has paid yet.
pub fn subscription(offer: Offer, at: DateTime<Utc>) -> Subscription {
    Subscription {
        id: SubscriptionId::new(at),
        account: AccountId::new(at),
        order: OrderId::new(at),
        state: State::Pending,
        since: at,
        offer,
        next_offer: None,
        discounts: Discounts::default(),
        is_trial: false,
        is_setup_due: false,
        anchor: None,
        periods_paid: 0,
        calendar: Calendar::default(),
        period: None,
        paid_through: None,
        cancel_at: None,
        created_at: at,
        ended_at: None,
        method: None,
        version: 0,
        entitlement_version: 0,
    }
}

pub fn week() -> Term {
    Term::try_new(1, TermUnit::Week).expect("a week is a term")
}

pub fn placing(quote: Uuid, account: AccountId) -> Place {
    Place {
        quote,
        account,
        buyer: Buyer {
            name: "Ada".into(),
            email: "ada@example.com".into(),
            country: "DE".into(),
            locale: "en".into(),
            address: None,
        },
        referral_code: "FRIEND".into(),
        return_url: "https://tv.example/orders/{order}".into(),
        cancel_url: "https://tv.example/orders/{order}".into(),
        save_method: false,
        chosen: None,
        coupon: String::new(),
        visit: None,
    }
}

impl World {
    /// How many events of this type were told so far.
    pub async fn told(&self, kind: &str) -> usize {
        outbox(&self.database.pool).await.iter().filter(|event| event.r#type == kind).count()
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.host.clock.now()
    }

    pub async fn tx(&self) -> PgTransaction<'static> {
        db::begin(&self.database.pool, Scope::Brand(self.brand)).await.expect("a transaction in the brand")
    }

    pub async fn know(&self, profile: &Profile) {
        self.know_version(profile, 1).await;
    }

    /// What the catalogue says of the brand; an older version than the known one changes nothing.
    pub async fn know_version(&self, profile: &Profile, version: i64) {
        let mut tx = self.tx().await;
        assert!(store::profile::put(&mut tx, profile, version, self.now()).await.expect("readable"), "it is news");
        tx.commit().await.expect("committed");
    }

    pub fn account(&self) -> AccountId {
        AccountId::new(self.now())
    }

    pub async fn quote(&self, account: Option<AccountId>, offer: Offer, trial: bool) -> Uuid {
        self.quote_with(account, offer, trial, None).await
    }

    pub async fn quote_with(
        &self,
        account: Option<AccountId>,
        offer: Offer,
        trial: bool,
        coupon: Option<&Coupon>,
    ) -> Uuid {
        let now = self.now();
        let profile = &self.profile;
        let asked = Asked { currency: None, trial, coupon };
        let buyer = tax::Buyer { place: tax::Place::country("DE"), ..tax::Buyer::default() };
        let taxed = tax::Book::new(profile).decide_offer(&buyer, &offer, now);
        let quote =
            Quote::price(&offer, asked, &profile.currencies, &taxed, profile.zone, now).expect("the offer has a price");
        let stored = Stored { id: Uuid::now_v7(), account, offer, quote, country: "DE".into(), vat_until: None };
        let mut tx = self.tx().await;
        store::quote::insert(&mut tx, self.brand, &stored, now).await.expect("the quote is kept");
        tx.commit().await.expect("committed");
        stored.id
    }

    pub async fn order(&self, account: AccountId, offer: Offer) -> Placed {
        let quote = self.quote(Some(account), offer, false).await;
        self.billing.place_order(self.brand, placing(quote, account), None).await.expect("the order is placed")
    }

    pub async fn trial(&self, account: AccountId, offer: Offer) -> Result<Placed, Problem> {
        let quote = self.quote(None, offer, true).await;
        let mut place = placing(quote, account);
        // Everybody has a mailbox of their own.
        place.buyer.email = format!("{account}@example.com");
        self.billing.place_order(self.brand, place, None).await
    }

    pub async fn invoice_of(&self, placed: &Placed) -> Invoice {
        self.invoice(placed.order.invoice.expect("something was due")).await
    }

    pub async fn invoice(&self, id: ottery_kernel::InvoiceId) -> Invoice {
        let mut tx = self.tx().await;
        store::invoice::get(&mut tx, id).await.expect("readable").expect("there")
    }

    pub async fn subscription(&self, id: ottery_kernel::SubscriptionId) -> Subscription {
        let mut tx = self.tx().await;
        store::subscription::get(&mut tx, id).await.expect("readable").expect("there")
    }

    /// The one open invoice of a subscription.
    pub async fn open_invoice(&self, subscription: ottery_kernel::SubscriptionId) -> Option<Invoice> {
        let mut tx = self.tx().await;
        store::invoice::open_of(&mut tx, &[subscription]).await.expect("readable").pop()
    }

    pub fn payment_of(&self, invoice: &Invoice) -> SettledPayment {
        let amount = invoice.remaining().expect("one currency");
        self.payment(invoice, amount, amount)
    }

    pub fn payment(&self, invoice: &Invoice, requested: Money, received: Money) -> SettledPayment {
        SettledPayment {
            payment: PaymentId::new(self.now()),
            invoice: invoice.id,
            account: invoice.account,
            requested,
            received,
            is_any_amount: false,
            fee: None,
            provider: "sandbox".into(),
            method: None,
        }
    }

    pub async fn settle(&self, settled: &SettledPayment) -> Settled {
        let mut tx = self.tx().await;
        let owed = Owed::lock(&mut tx, settled.invoice).await.expect("the invoice is there");
        let (outcome, _) = settlement::apply_success(&mut tx, &self.billing, self.brand, owed, settled, self.now())
            .await
            .expect("the payment is applied");
        tx.commit().await.expect("committed");
        outcome
    }

    pub async fn pay(&self, invoice: &Invoice) -> Settled {
        self.settle(&self.payment_of(invoice)).await
    }

    /// A customer with a paid subscription of that term.
    pub async fn subscriber(&self, minor: i64, term: Term) -> Subscription {
        let placed = self.order(self.account(), offer(minor, term)).await;
        assert_eq!(self.pay(&self.invoice_of(&placed).await).await, Settled::Applied);
        self.subscription(placed.order.subscription).await
    }

    /// Moves the clock and lets the scheduler work off what became due.
    pub async fn advance(&self, by: TimeDelta) {
        self.host.clock.advance(by);
        self.work_off().await;
    }

    pub async fn advance_to(&self, at: DateTime<Utc>) {
        self.host.clock.set(at);
        self.work_off().await;
    }

    pub async fn work_off(&self) {
        loop {
            let batch = self.billing.run_batch(self.brand).await.expect("the batch is worked off");
            let clients = self.billing.serve_clients(self.brand).await.expect("clients are looked after");
            if batch + clients == 0 {
                return;
            }
        }
    }

    /// Every transfer of the brand as `kind debit credit amount`, without the ids of customers, in order of these words.
    pub async fn books(&self) -> Vec<String> {
        let mut tx = self.tx().await;
        let page = store::Page { before: None, limit: 1000 };
        let rows = store::ledger::list(&mut tx, "", page).await.expect("readable");
        let short = |code: &str| code.split(":acc_").next().unwrap_or_default().to_owned();
        let mut books: Vec<_> = rows
            .iter()
            .map(|row| format!("{} {} {} {}", row.kind, short(&row.debit), short(&row.credit), row.amount.to_decimal()))
            .collect();
        books.sort_unstable();
        books
    }

    pub async fn assert_sound(&self) {
        let findings = billing::invariants(&self.database.pool).await.expect("the doctor looks");
        assert!(findings.is_empty(), "{findings:#?}");
        self.assert_planned().await;
    }

    /// What waits for each subscription is what its rows say: whoever changed it has planned it right.
    async fn assert_planned(&self) {
        let planned: HashMap<Uuid, Option<DateTime<Utc>>> = sqlx::query_as(
            "SELECT subscription_id, nullif(due_at, 'infinity') FROM due
              WHERE brand_id = $1 AND NOT EXISTS (
                  SELECT FROM task WHERE reference_id = 'sub_' || replace(subscription_id::text, '-', ''))",
        )
        .bind(self.brand.as_uuid())
        .fetch_all(&self.database.admin_pool)
        .await
        .expect("readable")
        .into_iter()
        .collect();
        let mut tx = self.tx().await;
        let profile = store::profile::get(&mut tx, self.brand).await.expect("readable").expect("known");
        let settings = self.billing.config.dunning(&profile);
        let ids: Vec<_> = planned.keys().copied().map(SubscriptionId::from_uuid).collect();
        let subscriptions = store::subscription::lock_all(&mut tx, &ids).await.expect("readable");
        for case in schedule::cases(&mut tx, self.brand, subscriptions).await.expect("readable") {
            let next = case.next(&settings, self.now()).map(|(at, _)| at);
            assert_eq!(planned[&case.subscription.id.as_uuid()], next, "{:#?}", case.subscription);
        }
    }
}

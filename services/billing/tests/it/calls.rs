//! The gRPC service, called as the gateway calls it, with a stand-in for the catalogue.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use billing::domain::offer::Offer;
use billing::domain::option::{Choice, Effect};
use chrono::TimeDelta;
use ottery_kernel::{AccountId, AnchorRule, ChangePolicy, ChangeTiming, LateRenewal, PlanId, PriceId, Term};
use ottery_kit::grpc::{Actor, CallContext, Problem};
use ottery_kit::{Running, config};
use ottery_proto::billing::v1 as proto;
use ottery_proto::billing::v1::billing_service_client::BillingServiceClient;
use ottery_proto::catalog::v1 as catalog;
use ottery_proto::catalog::v1::catalog_service_server::{CatalogService, CatalogServiceServer};
use ottery_testkit::actor;
use tonic::{Request, Response, Status};

use crate::world::{World, eur, offer, world};

type Prices = Arc<Mutex<HashMap<String, Offer>>>;
type Coupons = Arc<Mutex<HashMap<String, catalog::Coupon>>>;
type Plans = Arc<Mutex<HashMap<String, catalog::Plan>>>;

/// Knows prices and coupons and nothing else.
struct Shelf {
    prices: Prices,
    coupons: Coupons,
    plans: Plans,
}

fn on_sale() -> catalog::Plan {
    catalog::Plan { state: catalog::plan::State::OnSale.into(), slug: "family".into(), ..catalog::Plan::default() }
}

fn changes(policy: ChangePolicy) -> catalog::ChangePolicy {
    let timing = |timing| match timing {
        ChangeTiming::ProrateNow => catalog::ChangeTiming::ProrateNow.into(),
        ChangeTiming::FullPriceReset => catalog::ChangeTiming::FullPriceReset.into(),
        ChangeTiming::AtRenewal => catalog::ChangeTiming::AtRenewal.into(),
    };
    catalog::ChangePolicy {
        upgrade: timing(policy.upgrade),
        downgrade: timing(policy.downgrade),
        term: timing(policy.term),
    }
}

fn option(choice: &Choice, term: Term) -> catalog::PlanOption {
    catalog::PlanOption {
        key: choice.key.clone(),
        name: choice.name.clone(),
        effect: match choice.effect {
            Effect::None => catalog::plan_option::Effect::None.into(),
            Effect::Connections => catalog::plan_option::Effect::Connections.into(),
        },
        min: choice.min,
        max: choice.max,
        step: choice.step,
        included: choice.included,
        prices: vec![catalog::OptionPrice {
            term: Some(billing::contract::term(term)),
            amount: Some(billing::contract::money(choice.unit_price)),
            setup_fee: Some(billing::contract::money(choice.setup_fee)),
        }],
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send + 'a>>;

// Written as `async_trait` would write it: the attribute does not look into macros.
macro_rules! unknown {
    ($($name:ident $request:ident $reply:ident;)*) => {$(
        fn $name<'life0, 'async_trait>(
            &'life0 self,
            _: Request<catalog::$request>,
        ) -> Answer<'async_trait, catalog::$reply>
        where
            'life0: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(async { Err(Status::unimplemented(stringify!($name))) })
        }
    )*};
}

#[tonic::async_trait]
impl CatalogService for Shelf {
    async fn get_price(
        &self,
        request: Request<catalog::GetPriceRequest>,
    ) -> Result<Response<catalog::GetPriceReply>, Status> {
        let id = request.into_inner().price_id;
        let prices = self.prices.lock().unwrap();
        let offer = prices.get(&id).ok_or_else(|| Status::not_found("no such price"))?;
        let version = catalog::PlanVersion {
            id: offer.plan_version_id.to_string(),
            plan_id: offer.plan_id.to_string(),
            name: offer.plan_name.clone(),
            connections: offer.connections,
            mapping: Some(billing::contract::mapping(&offer.mapping)),
            trial_days: offer.trial_days,
            anchor_day: match offer.anchor {
                AnchorRule::Anniversary => None,
                AnchorRule::Day(day) => Some(day.get()),
            },
            pause_days_max: Some(offer.pause_days_max),
            late_renewal: match offer.late_renewal {
                LateRenewal::FromOldEnd => catalog::LateRenewal::FromOldEnd.into(),
                LateRenewal::FromPayment => catalog::LateRenewal::FromPayment.into(),
            },
            changes: Some(changes(offer.changes)),
            tax_category: Some(offer.tax_category.clone()),
            options: Some(catalog::PlanOptions {
                items: offer.options.iter().map(|choice| option(choice, offer.term)).collect(),
            }),
            ..catalog::PlanVersion::default()
        };
        Ok(Response::new(catalog::GetPriceReply {
            plan: Some(catalog::Plan {
                id: offer.plan_id.to_string(),
                current: Some(version.clone()),
                ..self.plans.lock().unwrap().get(&offer.plan_id.to_string()).cloned().unwrap_or_else(on_sale)
            }),
            plan_version: Some(version),
            price: Some(catalog::Price {
                id,
                term: Some(billing::contract::term(offer.term)),
                amount: Some(billing::contract::money(offer.price)),
                setup_fee: offer.setup_fee.map(billing::contract::money),
                once: offer.once,
                ..catalog::Price::default()
            }),
        }))
    }

    async fn get_plan(&self, request: Request<catalog::GetPlanRequest>) -> Result<Response<catalog::Plan>, Status> {
        let id = request.into_inner().plan_id;
        let is_sold = self.prices.lock().unwrap().values().any(|offer| offer.plan_id.to_string() == id);
        let known = self.plans.lock().unwrap().get(&id).cloned().or_else(|| is_sold.then(on_sale));
        let plan = known.ok_or_else(|| Status::not_found("no such plan"))?;
        Ok(Response::new(catalog::Plan { id, ..plan }))
    }

    async fn get_coupon(
        &self,
        request: Request<catalog::GetCouponRequest>,
    ) -> Result<Response<catalog::Coupon>, Status> {
        let code = request.into_inner().code.to_ascii_uppercase();
        let coupon = self.coupons.lock().unwrap().get(&code).cloned();
        coupon.map(Response::new).ok_or_else(|| Status::not_found("no such coupon"))
    }

    unknown! {
        put_brand PutBrandRequest Brand;
        get_brand GetBrandRequest Brand;
        list_brands ListBrandsRequest ListBrandsReply;
        resolve_host ResolveHostRequest Brand;
        get_catalog_version GetCatalogVersionRequest GetCatalogVersionReply;
        put_plan PutPlanRequest Plan;
        set_plan_state SetPlanStateRequest Plan;
        list_plans ListPlansRequest ListPlansReply;
        get_plan_version GetPlanVersionRequest PlanVersion;
        put_coupon PutCouponRequest Coupon;
        set_coupon_state SetCouponStateRequest Coupon;
        list_coupons ListCouponsRequest ListCouponsReply;
        put_tax_table PutTaxTableRequest TaxTable;
        get_tax_table GetTaxTableRequest TaxTable;
        advance_test_clock AdvanceTestClockRequest TestClock;
    }
}

pub struct Served {
    pub world: World,
    prices: Prices,
    coupons: Coupons,
    plans: Plans,
    _running: Vec<Running>,
}

/// The catalogue's stand-in without the service: nothing works by itself.
pub async fn shelved() -> Served {
    let world = world().await;
    let (prices, coupons, plans) = (Prices::default(), Coupons::default(), Plans::default());
    let shelf = Shelf { prices: Arc::clone(&prices), coupons: Arc::clone(&coupons), plans: Arc::clone(&plans) };
    let routes = tonic::service::Routes::new(CatalogServiceServer::new(shelf));
    let catalog = world.host.stand_in("catalog", routes).await;
    Served { world, prices, coupons, plans, _running: vec![catalog] }
}

pub async fn served() -> Served {
    let mut served = shelved().await;
    let mut config = crate::world::config();
    // The test moves the clock and works off what is due by itself.
    config.renewals.poll_ms = 3_600_000;
    // Nobody outside is asked.
    config.vat.base_url.clear();
    let service = billing::build(config, served.world.host.of(billing::NAME)).await.unwrap();
    let own = served.world.host.start(vec![service]).await;
    served._running.push(own);
    served
}

impl Served {
    pub fn sell(&self, minor: i64, term: Term) -> PriceId {
        self.sell_offer(offer(minor, term))
    }

    /// Puts an offer on the shelf, as a price of its own.
    pub fn sell_offer(&self, mut offer: Offer) -> PriceId {
        offer.price_id = PriceId::new(self.world.now());
        let id = offer.price_id;
        self.prices.lock().unwrap().insert(id.to_string(), offer);
        id
    }

    /// Says when and how many of the plan of that offer are sold, and whether at all.
    pub fn limit(&self, offer: &Offer, plan: catalog::Plan) {
        self.plans.lock().unwrap().insert(offer.plan_id.to_string(), plan);
    }

    /// Sells an add-on.
    pub fn add_on(&self, plan: catalog::Plan) -> PlanId {
        let id = PlanId::new(self.world.now());
        self.plans.lock().unwrap().insert(id.to_string(), plan);
        id
    }

    /// Puts a coupon into the catalogue, or another in its place.
    pub fn promise(&self, coupon: catalog::Coupon) {
        self.coupons.lock().unwrap().insert(coupon.code.clone(), coupon);
    }

    pub fn client(&self, actor: Actor) -> BillingServiceClient<ottery_kit::grpc::Channel> {
        BillingServiceClient::new(self.world.host.channel(billing::NAME, actor))
    }

    pub fn customer(&self, account: AccountId) -> BillingServiceClient<ottery_kit::grpc::Channel> {
        self.client(actor::customer(self.world.brand, account))
    }
}

pub fn placing(quote: &proto::Quote) -> proto::PlaceOrderRequest {
    proto::PlaceOrderRequest {
        quote_id: quote.id.clone(),
        email: "ada@example.com".into(),
        display_name: "Ada".into(),
        country: "de".into(),
        locale: "de-DE".into(),
        ..proto::PlaceOrderRequest::default()
    }
}

pub fn quoting(price: PriceId) -> proto::CreateQuoteRequest {
    proto::CreateQuoteRequest { price_id: price.to_string(), ..proto::CreateQuoteRequest::default() }
}

#[tokio::test]
async fn a_customer_quotes_orders_and_sees_it_and_nobody_else_does() {
    let served = served().await;
    let price = served.sell(1190, Term::MONTH);
    let account = served.world.account();
    let mut me = served.customer(account);
    let quote = me.create_quote(quoting(price)).await.unwrap().into_inner();
    assert_eq!(quote.due_now.as_ref().unwrap().minor, 1190);
    let order = me.place_order(placing(&quote)).await.unwrap().into_inner().order.unwrap();
    let wanted = proto::GetOrderRequest { order_id: order.id.clone() };
    let detail = me.get_order(wanted.clone()).await.unwrap().into_inner();
    let invoice = detail.invoice.unwrap();
    assert_eq!((invoice.number.as_str(), invoice.buyer_country.as_str()), ("INV-2026-000001", "DE"));

    let mut stranger = served.customer(served.world.account());
    let hidden = Problem::from(stranger.get_order(wanted.clone()).await.unwrap_err());
    assert_eq!((hidden.code, hidden.reason.as_ref()), (tonic::Code::NotFound, "ORDER_NOT_FOUND"));
    let theirs = proto::GetInvoiceRequest { invoice_id: invoice.id.clone() };
    assert_eq!(stranger.get_invoice(theirs).await.unwrap_err().code(), tonic::Code::NotFound);
    let listed = stranger.list_orders(proto::ListOrdersRequest { account_id: account.to_string(), page: None }).await;
    assert!(listed.unwrap().into_inner().orders.is_empty());
    let mut visitor = served.client(actor::visitor(served.world.brand));
    assert_eq!(visitor.get_order(wanted.clone()).await.unwrap_err().code(), tonic::Code::Unauthenticated);
    let mut clerk = served.client(actor::staff(served.world.brand, ["plan.read"]));
    assert_eq!(clerk.get_order(wanted.clone()).await.unwrap_err().code(), tonic::Code::PermissionDenied);
    let mut staff = served.client(actor::staff(served.world.brand, ["order.read"]));
    assert_eq!(staff.get_order(wanted).await.unwrap().into_inner().order.unwrap().id, order.id);

    let paper = me
        .get_invoice_document(proto::GetInvoiceDocumentRequest {
            invoice_id: invoice.id,
            credit_note_id: String::new(),
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(paper.file_name, "INV-2026-000001.pdf");
    let document: serde_json::Value = serde_json::from_str(&paper.document_json).unwrap();
    assert_eq!((document["total_minor"].as_i64(), document["tax_minor"].as_i64()), (Some(1190), Some(190)));
    assert_eq!((document["locale"].as_str(), document["status"].as_str()), (Some("de"), Some("open")));
}

#[tokio::test]
async fn bad_requests_name_what_is_wrong_and_write_nothing() {
    let served = served().await;
    let price = served.sell(1190, Term::MONTH);
    let mut me = served.customer(served.world.account());
    let ask = |request| {
        let mut me = me.clone();
        async move { Problem::from(me.create_quote(request).await.unwrap_err()) }
    };
    let unknown = ask(quoting(PriceId::new(served.world.now()))).await;
    assert_eq!((unknown.reason.as_ref(), unknown.field.as_deref()), ("PRICE_NOT_FOUND", Some("price_id")));
    let malformed = ask(proto::CreateQuoteRequest { price_id: "price-1".into(), ..quoting(price) }).await;
    assert_eq!((malformed.reason.as_ref(), malformed.field.as_deref()), ("ID_INVALID", Some("price_id")));
    let currency = ask(proto::CreateQuoteRequest { currency: "USD".into(), ..quoting(price) }).await;
    assert_eq!((currency.reason.as_ref(), currency.field.as_deref()), ("CURRENCY_MISMATCH", Some("currency")));
    let nonsense = ask(proto::CreateQuoteRequest { currency: "GOLD".into(), ..quoting(price) }).await;
    assert_eq!(nonsense.reason, "CURRENCY_INVALID");

    let quote = me.create_quote(quoting(price)).await.unwrap().into_inner();
    let email = Problem::from(
        me.place_order(proto::PlaceOrderRequest { email: "ada".into(), ..placing(&quote) }).await.unwrap_err(),
    );
    assert_eq!((email.reason.as_ref(), email.field.as_deref()), ("EMAIL_INVALID", Some("email")));
    let other = proto::PlaceOrderRequest { account_id: served.world.account().to_string(), ..placing(&quote) };
    assert_eq!(Problem::from(me.place_order(other).await.unwrap_err()).reason, "NOT_YOURS");
    let orders = me.list_orders(proto::ListOrdersRequest::default()).await.unwrap().into_inner().orders;
    assert!(orders.is_empty());
}

#[tokio::test]
async fn without_the_catalogue_quotes_say_try_again() {
    let world = world().await;
    let service = billing::build(crate::world::config(), world.host.of(billing::NAME)).await.unwrap();
    let _running = world.host.start(vec![service]).await;
    let mut me =
        BillingServiceClient::new(world.host.channel(billing::NAME, actor::customer(world.brand, world.account())));
    let away = Problem::from(me.create_quote(quoting(PriceId::new(world.now()))).await.unwrap_err());
    assert_eq!((away.code, away.reason.as_ref()), (tonic::Code::Unavailable, "CATALOG_AWAY"));
}

#[tokio::test]
async fn the_same_idempotency_key_places_one_order_and_refuses_another_request() {
    let served = served().await;
    let price = served.sell(1190, Term::MONTH);
    let account = served.world.account();
    let me = actor::customer(served.world.brand, account);
    let context = CallContext::new(me.clone()).idempotency_key("form-1");
    let mut keyed =
        BillingServiceClient::new(served.world.host.of("gateway").client_channel(billing::NAME).with(&context));
    let quote = served.customer(account).create_quote(quoting(price)).await.unwrap().into_inner();
    let first = keyed.place_order(placing(&quote)).await.unwrap().into_inner().order.unwrap();
    let again = keyed.place_order(placing(&quote)).await.unwrap().into_inner().order.unwrap();
    assert_eq!(first.id, again.id);
    let other = proto::PlaceOrderRequest { display_name: "Eve".into(), ..placing(&quote) };
    let refused = Problem::from(keyed.place_order(other).await.unwrap_err());
    assert_eq!(refused.reason, "IDEMPOTENCY_KEY_REUSED");
    let orders = served.customer(account).list_orders(proto::ListOrdersRequest::default()).await.unwrap().into_inner();
    assert_eq!(orders.orders.len(), 1);
}

#[tokio::test]
async fn an_upgrade_is_quoted_billed_and_takes_effect_when_paid() {
    let served = served().await;
    let (small, large) = (served.sell(1000, Term::MONTH), served.sell(2000, Term::MONTH));
    let account = served.world.account();
    let mut me = served.customer(account);
    let quote = me.create_quote(quoting(small)).await.unwrap().into_inner();
    let order = me.place_order(placing(&quote)).await.unwrap().into_inner().order.unwrap();
    let world = &served.world;
    world.pay(&world.invoice(order.invoice_id.parse().unwrap()).await).await;
    world.host.clock.advance(TimeDelta::hours(31 * 12));

    let id: ottery_kernel::SubscriptionId = order.subscription_id.parse().unwrap();
    let ask = proto::QuoteChangeRequest {
        subscription_id: id.to_string(),
        price_id: large.to_string(),
        coupon: String::new(),
        ..proto::QuoteChangeRequest::default()
    };
    let offered = me.quote_change(ask).await.unwrap().into_inner();
    assert_eq!(offered.due_now.unwrap().minor, 500);
    let change = proto::ChangePlanRequest {
        subscription_id: id.to_string(),
        price_id: large.to_string(),
        ..proto::ChangePlanRequest::default()
    };
    let changed = me.change_plan(change.clone()).await.unwrap().into_inner();
    assert_eq!(world.subscription(id).await.offer.price, eur(1000));
    let before = world.subscription(id).await;
    world.pay(&world.invoice(changed.invoice_id.parse().unwrap()).await).await;
    let upgraded = world.subscription(id).await;
    assert_eq!((upgraded.offer.price, upgraded.paid_through), (eur(2000), before.paid_through));
    assert_eq!(upgraded.entitlement_version, before.entitlement_version + 1);

    // Back down: nothing is due, the large plan stays until the renewal.
    let down = proto::ChangePlanRequest { price_id: small.to_string(), ..change };
    let scheduled = me.change_plan(down).await.unwrap().into_inner();
    assert!(scheduled.invoice_id.is_empty());
    world.advance_to(before.paid_through.unwrap() - TimeDelta::hours(72)).await;
    let renewal = world.open_invoice(id).await.unwrap();
    assert_eq!(renewal.totals.total, eur(1000));
    assert_eq!(world.subscription(id).await.offer.price, eur(2000));
    world.pay(&renewal).await;
    assert_eq!(world.subscription(id).await.offer.price, eur(1000));
    world.assert_sound().await;
}

#[tokio::test]
async fn an_upgrade_nobody_pays_lapses_and_leaves_nothing_owed() {
    let served = served().await;
    let (small, large) = (served.sell(1000, Term::MONTH), served.sell(2000, Term::MONTH));
    let account = served.world.account();
    let mut me = served.customer(account);
    let quote = me.create_quote(quoting(small)).await.unwrap().into_inner();
    let order = me.place_order(placing(&quote)).await.unwrap().into_inner().order.unwrap();
    let world = &served.world;
    world.pay(&world.invoice(order.invoice_id.parse().unwrap()).await).await;
    let change = proto::ChangePlanRequest {
        subscription_id: order.subscription_id.clone(),
        price_id: large.to_string(),
        ..proto::ChangePlanRequest::default()
    };
    let changed = me.change_plan(change).await.unwrap().into_inner();
    world.advance(TimeDelta::hours(24)).await;
    let lapsed = world.invoice(changed.invoice_id.parse().unwrap()).await;
    assert_eq!(lapsed.state, billing::domain::invoice::State::Void);
    let balance = served
        .client(actor::staff(world.brand, ["ledger.read"]))
        .get_trial_balance(proto::GetTrialBalanceRequest {})
        .await
        .unwrap()
        .into_inner();
    assert!(balance.balanced);
    let owed = balance.balances.iter().find(|row| row.account.starts_with("receivable:")).unwrap();
    assert_eq!(owed.debits, owed.credits);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_brand_is_known_from_the_catalogues_event() {
    let served = served().await;
    let world = &served.world;
    let brand = ottery_kernel::BrandId::new(world.now());
    let told = catalog::Brand {
        id: brand.to_string(),
        name: "Südwind".into(),
        entity: Some(catalog::LegalEntity {
            id: ottery_kernel::EntityId::new(world.now()).to_string(),
            name: "Südwind GmbH".into(),
            time_zone: "Europe/Vienna".into(),
            ..catalog::LegalEntity::default()
        }),
        currencies: vec!["EUR".into()],
        time_zone: "Europe/Vienna".into(),
        grace_days: 5,
        reminder_hours: vec![24, -24],
        version: 3,
        ..catalog::Brand::default()
    };
    let profile = billing::contract::profile_from(&told).unwrap();
    assert_eq!((profile.reminder_hours.as_slice(), profile.entity.series.as_str()), ([-24, 24].as_slice(), "INV"));
    let event = ottery_kit::outbox::Event::new(
        billing::events::consume::BRAND_CHANGED,
        brand,
        3,
        brand,
        world.now(),
        &catalog::BrandChanged { brand: Some(told) },
    );
    ottery_testkit::recorder::publish(&*world.host.broker, event).await;
    for _ in 0..100 {
        if world.billing.profile(brand).await.is_ok_and(|known| known == profile) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the brand was not kept");
}

#[test]
fn the_defaults_are_a_configuration_and_unknown_keys_are_refused() {
    let section = config::Section { name: billing::NAME, defaults: billing::DEFAULTS };
    let sources = config::Sources::none().with_override("billing.renewals.batch_sice", 1);
    let refused = config::load::<billing::Config>(section, &sources).unwrap_err().to_string();
    assert!(refused.contains("batch_sice"), "{refused}");
    assert_eq!(crate::world::config().renewals.batch_size, 500);
}

#[tokio::test]
async fn secure_s03_a_refund_wants_a_fresh_proof_of_people_and_the_permission_alone_of_keys() {
    let served = served().await;
    let (brand, now) = (served.world.brand, served.world.now());
    let refund = async |actor: Actor| {
        let request = proto::RefundPaymentRequest {
            payment_id: ottery_kernel::PaymentId::new(now).to_string(),
            reason: "Did not work".into(),
            policy: proto::refund_payment_request::Policy::Keep.into(),
            ..proto::RefundPaymentRequest::default()
        };
        Problem::from(served.client(actor).refund_payment(request).await.unwrap_err()).reason.into_owned()
    };
    let person = |minutes| {
        let proved = now - TimeDelta::minutes(minutes);
        actor::proved_at(actor::staff(brand, ["invoice.refund"]), proved)
    };
    assert_eq!(refund(person(11)).await, "REAUTH_REQUIRED");
    assert_eq!(refund(person(9)).await, "PAYMENT_NOT_FOUND");
    assert_eq!(refund(actor::api_key(brand, "key_1", ["invoice.refund"])).await, "PAYMENT_NOT_FOUND");
    assert_eq!(refund(actor::api_key(brand, "key_1", ["invoice.read"])).await, "PERMISSION_MISSING");
}

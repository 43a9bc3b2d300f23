//! The fraud screen: orders that are accepted, wait for staff, or are refused; and what becomes of those that wait.

use billing::app::order::{Place, Placed};
use billing::app::screen::Visit;
use billing::domain::coupon::Lasting;
use billing::domain::invoice;
use billing::domain::order::State as OrderState;
use billing::domain::screen::Verdict;
use billing::domain::screen::rules::{Countries, Limit, ScreenRules};
use billing::domain::screen::{By, Hit};
use billing::domain::subscription::{EndCause, State};
use billing::store;
use billing::store::Page;
use billing::store::screen::Screening;
use chrono::TimeDelta;
use ottery_kernel::{AccountId, OrderId, Term};
use ottery_kit::grpc::Problem;
use ottery_proto::billing::v1 as proto;
use ottery_testkit::actor;
use uuid::Uuid;

use crate::calls::{placing, quoting, served};
use crate::coupons::percent;
use crate::world::{self, World, eur, offer, world};

const FIRST: Page = Page { before: None, limit: 50 };

fn list(codes: &str) -> Vec<String> {
    codes.split_whitespace().map(str::to_owned).collect()
}

fn reviewing(codes: &str) -> ScreenRules {
    let countries = Countries { review: list(codes), ..Countries::default() };
    ScreenRules { network_countries: countries, ..ScreenRules::default() }
}

fn limit(by: By, orders: u32, verdict: Verdict) -> ScreenRules {
    ScreenRules { limits: vec![Limit { by, orders, hours: 24, verdict }], ..ScreenRules::default() }
}

fn from(country: &str) -> Visit {
    Visit { device: "browser-1".into(), network: "203.0.113.0/24".into(), country: country.into() }
}

impl World {
    async fn screen_by(&self, rules: ScreenRules) {
        let (_, version) = self.billing.screen_rules(self.brand).await.unwrap();
        let owner = actor::owner(self.brand);
        self.billing.put_screen_rules(&owner, self.brand, (rules, version), false).await.unwrap();
    }

    async fn ask_for(&self, quote: Uuid, account: AccountId, visit: Visit) -> Result<Placed, Problem> {
        let mut place = Place { visit: Some(visit), ..world::placing(quote, account) };
        place.buyer.email = format!("{account}@example.com");
        self.billing.place_order(self.brand, place, None).await
    }

    async fn ask(&self, account: AccountId, visit: Visit) -> Result<Placed, Problem> {
        let quote = self.quote(Some(account), offer(1299, Term::MONTH), false).await;
        self.ask_for(quote, account, visit).await
    }

    async fn seen(&self) -> Vec<Screening> {
        self.billing.screenings(self.brand, false, FIRST).await.unwrap()
    }

    async fn waiting(&self) -> Vec<Option<OrderId>> {
        let waiting = self.billing.screenings(self.brand, true, FIRST).await.unwrap();
        waiting.into_iter().map(|seen| seen.order).collect()
    }

    async fn ordered(&self, id: OrderId) -> store::order::Order {
        self.billing.order(self.brand, id, None).await.unwrap().order
    }
}

#[tokio::test]
async fn secure_s24_a_denied_order_leaves_nothing_behind_and_teaches_nobody_how_to_get_around_it() {
    let served = served().await;
    let world = &served.world;
    let mut owner = served.screening(actor::owner(world.brand));
    let rules = proto::ScreenRules {
        network_countries: Some(proto::screen_rules::Countries { deny: list("KP"), ..Default::default() }),
        disposable_mail: proto::ScreenVerdict::Review.into(),
        ..proto::ScreenRules::default()
    };
    let put = |rules: &proto::ScreenRules, expected_version, dry_run| proto::PutScreenRulesRequest {
        rules: Some(rules.clone()),
        expected_version,
        dry_run,
    };
    owner.put_screen_rules(put(&rules, 0, true)).await.unwrap();
    let before = owner.get_screen_rules(proto::GetScreenRulesRequest {}).await.unwrap().into_inner();
    assert_eq!((before.version, before.rules.unwrap().trial_reuse()), (0, proto::ScreenVerdict::Deny));
    assert_eq!(owner.put_screen_rules(put(&rules, 0, false)).await.unwrap().into_inner().version, 1);
    let stale = owner.put_screen_rules(put(&rules, 0, false)).await.map_err(Problem::from).unwrap_err();
    assert_eq!(stale.reason, "VERSION_CONFLICT");
    let wrong = proto::ScreenRules { mail_domains: list("me@x.example"), ..rules };
    let refused = owner.put_screen_rules(put(&wrong, 1, false)).await.map_err(Problem::from).unwrap_err();
    assert_eq!((refused.reason.as_ref(), refused.field.as_deref()), ("DOMAIN_INVALID", Some("rules.mail_domains")));

    let price = served.sell_offer(offer(1299, Term::MONTH));
    let account = world.account();
    let person =
        ottery_kit::grpc::Actor { client_ip: Some("203.0.113.77".into()), ..actor::customer(world.brand, account) };
    let quote = served.customer(account).create_quote(quoting(price)).await.unwrap().into_inner();
    let origin = Some(proto::Origin { device_id: "b1".into(), country: "kp".into() });
    let asked = proto::PlaceOrderRequest { origin, email: "x@mailinator.com".into(), ..placing(&quote) };
    let denied = served.client(person.clone()).place_order(asked.clone()).await.map_err(Problem::from).unwrap_err();
    assert_eq!(denied.reason, "ORDER_REFUSED");
    let told = format!("{denied:?}").to_lowercase();
    assert!(!["kp", "country", "network", "mail"].iter().any(|word| told.contains(word)), "{told}");
    let mut staff = served.screening(actor::staff(world.brand, ["order.read"]));
    let seen = staff.list_screenings(proto::ListScreeningsRequest::default()).await.unwrap().into_inner().screenings;
    let hits: Vec<_> = seen[0].hits.iter().map(|hit| (hit.rule.as_str(), hit.verdict())).collect();
    assert_eq!(
        hits,
        [("network_country", proto::ScreenVerdict::Deny), ("disposable_mail", proto::ScreenVerdict::Review)]
    );
    assert_eq!((seen[0].network.as_str(), seen[0].order_id.as_str()), ("203.0.113.0/24", ""));
    let mut orders = served.client(actor::staff(world.brand, ["order.read"]));
    assert!(orders.list_orders(proto::ListOrdersRequest::default()).await.unwrap().into_inner().orders.is_empty());
    // Who may place orders for others is not screened; customers see nothing of the screen.
    let mut clerk = served.client(actor::staff(world.brand, ["order.create"]));
    let placed = proto::PlaceOrderRequest { account_id: account.to_string(), ..asked };
    clerk.place_order(placed).await.unwrap();
    let curious = served.screening(person).list_screenings(proto::ListScreeningsRequest::default()).await.unwrap_err();
    assert_eq!(curious.code(), tonic::Code::PermissionDenied);
    world.assert_sound().await;
}

#[tokio::test]
async fn an_order_under_review_charges_and_serves_nothing_and_goes_on_as_quoted_when_staff_accept_it() {
    let world = world().await;
    world.screen_by(reviewing("RU")).await;
    let account = world.account();
    let half = percent(&world, 5000, Lasting::Once);
    let quote = world.quote_with(Some(account), offer(1000, Term::MONTH), false, Some(&half)).await;
    let placed = world.ask_for(quote, account, from("RU")).await.unwrap();
    assert_eq!((placed.order.state, placed.order.invoice, placed.payment), (OrderState::UnderReview, None, None));
    let id = placed.order.id;
    assert_eq!(world.waiting().await, [Some(id)]);
    assert_eq!(world.subscription(placed.order.subscription).await.state, State::Pending);
    assert_eq!(world.told("billing.entitlement.changed.v1").await, 0);
    world.assert_sound().await;

    // Two days later the quote has expired, is still kept, and holds.
    world.advance(TimeDelta::hours(48)).await;
    let staff = actor::staff(world.brand, ["order.manage"]);
    let approved = world.billing.approve_order(&staff, world.brand, id, "a regular").await.unwrap();
    assert_eq!(approved.state, OrderState::AwaitingPayment);
    let invoice = world.invoice(approved.invoice.unwrap()).await;
    assert_eq!((invoice.state, invoice.totals.total), (invoice::State::Open, eur(500)));
    assert_eq!((invoice.issued_at, world.told("billing.invoice.sent.v1").await), (Some(world.now()), 1));
    assert!(world.waiting().await.is_empty());
    let seen = world.billing.screening(world.brand, id).await.unwrap();
    assert_eq!(seen.decided.unwrap().note, "a regular");
    let audited = world.told("billing.audit.recorded.v1").await;
    let again = world.billing.decline_order(&staff, world.brand, id, "").await.unwrap_err();
    assert_eq!(again.reason, "ORDER_NOT_UNDER_REVIEW");
    assert_eq!((world.told("billing.audit.recorded.v1").await, audited), (audited, 2));
    // Its customer has as long to pay as for any order.
    world.advance(TimeDelta::hours(70)).await;
    assert_eq!(world.ordered(id).await.state, OrderState::AwaitingPayment);
    world.pay(&invoice).await;
    assert_eq!(world.ordered(id).await.state, OrderState::Paid);
    assert_eq!(world.subscription(placed.order.subscription).await.state, State::Active);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_declined_order_frees_coupon_and_trial_and_its_customer_hears_of_it() {
    let world = world().await;
    world.screen_by(reviewing("RU")).await;
    let last = billing::domain::coupon::Coupon { uses_max: Some(1), ..percent(&world, 5000, Lasting::Once) };
    let account = world.account();
    let quote = world.quote_with(Some(account), offer(1000, Term::MONTH), true, Some(&last)).await;
    let placed = world.ask_for(quote, account, from("RU")).await.unwrap();
    assert_eq!(placed.order.state, OrderState::UnderReview);
    // Meanwhile coupon and trial are theirs.
    let other = world.account();
    let theirs = world.quote_with(Some(other), offer(1000, Term::MONTH), false, Some(&last)).await;
    assert_eq!(world.ask_for(theirs, other, from("DE")).await.unwrap_err().reason, "COUPON_USED_UP");
    let trial = world.quote(Some(other), offer(1000, Term::MONTH), true).await;
    assert_eq!(world.ask_for(trial, other, from("DE")).await.unwrap_err().reason, "TRIAL_USED");

    let staff = actor::staff(world.brand, ["order.manage"]);
    let declined = world.billing.decline_order(&staff, world.brand, placed.order.id, "stolen card").await.unwrap();
    assert_eq!((declined.state, declined.invoice), (OrderState::Cancelled, None));
    let over = world.subscription(placed.order.subscription).await;
    assert_eq!(over.state, State::Ended { cause: EndCause::Staff });
    assert_eq!(world.told("billing.order.declined.v1").await, 1);
    world.ask_for(theirs, other, from("DE")).await.unwrap();
    // Nothing of the trial was had: neither the browser nor the account is held to it.
    let again = world.quote(Some(account), offer(1000, Term::MONTH), true).await;
    let begun = world.ask_for(again, account, from("DE")).await.unwrap();
    assert_eq!(world.subscription(begun.order.subscription).await.state, State::Trialing);
    world.assert_sound().await;
}

#[tokio::test]
async fn an_order_nobody_looks_at_is_declined_in_time_and_one_its_customer_takes_back_is_not_mailed_about() {
    let world = world().await;
    world.screen_by(reviewing("RU")).await;
    let left = world.ask(world.account(), from("RU")).await.unwrap();
    let account = world.account();
    let taken_back = world.ask(account, from("RU")).await.unwrap();
    let me = actor::customer(world.brand, account);
    world.billing.cancel_order(&me, world.brand, taken_back.order.id, Some(account)).await.unwrap();
    assert_eq!(world.told("billing.order.declined.v1").await, 0);
    world.advance(TimeDelta::hours(73)).await;
    assert_eq!(world.ordered(left.order.id).await.state, OrderState::Cancelled);
    assert_eq!((world.told("billing.order.declined.v1").await, world.waiting().await.len()), (1, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_trial_under_review_begins_when_staff_accept_it_and_a_free_order_is_paid() {
    let world = world().await;
    let rules = ScreenRules { trial_reuse: Verdict::Review, ..ScreenRules::default() };
    world.screen_by(rules).await;
    let trial = async |account| world.quote(Some(account), offer(1000, Term::MONTH), true).await;
    let (ada, bob) = (world.account(), world.account());
    world.ask_for(trial(ada).await, ada, from("DE")).await.unwrap();
    // Of the same browser: staff are asked instead of refusing it.
    let placed = world.ask_for(trial(bob).await, bob, from("DE")).await.unwrap();
    let reasons = world.billing.screening(world.brand, placed.order.id).await.unwrap().hits;
    let hit = Hit {
        rule: "trial_reuse".into(),
        verdict: Verdict::Review,
        evidence: "a trial was used on this device before".into(),
    };
    assert_eq!(reasons, [hit]);
    world.advance(TimeDelta::hours(24)).await;
    let staff = actor::staff(world.brand, ["order.manage"]);
    let approved = world.billing.approve_order(&staff, world.brand, placed.order.id, "").await.unwrap();
    assert_eq!(approved.state, OrderState::Paid);
    let begun = world.subscription(placed.order.subscription).await;
    assert_eq!((begun.state, begun.paid_through), (State::Trialing, Some(world.now() + TimeDelta::days(3))));
    // Whoever had one themselves is not even asked about.
    assert_eq!(world.ask_for(trial(ada).await, ada, from("DE")).await.unwrap_err().reason, "TRIAL_USED");

    world.screen_by(reviewing("RU")).await;
    let account = world.account();
    let free = percent(&world, 10_000, Lasting::Once);
    let quote = world.quote_with(Some(account), offer(1000, Term::MONTH), false, Some(&free)).await;
    let placed = world.ask_for(quote, account, Visit { device: "b2".into(), ..from("RU") }).await.unwrap();
    let approved = world.billing.approve_order(&staff, world.brand, placed.order.id, "").await.unwrap();
    assert_eq!(approved.state, OrderState::Paid);
    assert_eq!(world.subscription(placed.order.subscription).await.state, State::Active);
    world.assert_sound().await;
}

#[tokio::test]
async fn of_orders_that_come_at_once_from_one_browser_as_many_are_accepted_as_are_usual() {
    for by in [By::Device, By::Network] {
        let world = world().await;
        world.screen_by(limit(by, 3, Verdict::Deny)).await;
        let mut asked = Vec::new();
        for _ in 0..8 {
            let account = world.account();
            asked.push((world.quote(Some(account), offer(1299, Term::MONTH), false).await, account));
        }
        let orders = asked.iter().map(|(quote, account)| world.ask_for(*quote, *account, from("DE")));
        let outcomes = futures::future::join_all(orders).await;
        let refused: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
        assert_eq!(refused.len(), 5, "{by:?}");
        assert!(refused.iter().all(|problem| problem.reason == "ORDER_REFUSED"), "{refused:?}");
        // Refused ones count as well; a day later nothing does.
        assert_eq!(world.seen().await.len(), 8);
        world.advance(TimeDelta::hours(25)).await;
        world.ask(world.account(), from("DE")).await.unwrap();
        world.assert_sound().await;
    }
}

#[tokio::test]
async fn rules_can_be_tried_on_orders_that_were_and_old_places_are_forgotten() {
    let world = world().await;
    for country in ["DE", "RU", "RU"] {
        world.ask(world.account(), from(country)).await.unwrap();
    }
    let rules = ScreenRules { ..limit(By::Network, 2, Verdict::Review) };
    let rules = ScreenRules { network_countries: reviewing("RU").network_countries, ..rules };
    let said = world.billing.try_screen_rules(world.brand, &rules, 50).await.unwrap();
    let words: Vec<(Verdict, Vec<&str>)> =
        said.iter().map(|said| (said.verdict, said.hits.iter().map(|hit| hit.rule.as_str()).collect())).collect();
    assert_eq!(
        words,
        [
            (Verdict::Review, vec!["network_country", "orders_by_network"]),
            (Verdict::Review, vec!["network_country"]),
            (Verdict::Allow, vec![]),
        ]
    );
    assert!(said.iter().all(|said| said.seen.verdict == Verdict::Allow), "nothing was changed by trying");
    assert_eq!(world.billing.screen_rules(world.brand).await.unwrap().1, 0);
    world.host.clock.advance(TimeDelta::days(91));
    world.ask(world.account(), from("DE")).await.unwrap();
    let kept: Vec<_> = world.seen().await.into_iter().map(|seen| (seen.facts.network, seen.device.is_some())).collect();
    assert_eq!(kept[0], ("203.0.113.0/24".to_owned(), true));
    assert_eq!(kept[1..], [(String::new(), false), (String::new(), false), (String::new(), false)]);
}

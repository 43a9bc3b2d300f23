//! One trial per person: by mailbox, browser and means of payment; under parallel requests; and staff who allow one more.

use billing::app::order::{Place, Placed};
use billing::app::payment::open_checkout;
use billing::app::screen::Visit;
use billing::domain::subscription::{EndCause, State};
use billing::domain::trial::{ReusedCard, TrialRules};
use ottery_kernel::{AccountId, PriceId, Term};
use ottery_kit::grpc::Problem;
use ottery_proto::billing::v1 as proto;
use ottery_proto::billing::v1::screening_service_client::ScreeningServiceClient;
use ottery_testkit::actor;
use ottery_testkit::recorder::outbox;

use crate::calls::{Served, placing, quoting, served};
use crate::shop::{Shop, shop};
use crate::world::{self, World, offer};

const CARD: &str = "4242424242424242";
const OTHER_CARD: &str = "4000000000000341";

impl World {
    async fn try_trial(&self, account: AccountId, email: &str, device: &str) -> Result<Placed, Problem> {
        let quote = self.quote(Some(account), offer(1299, Term::MONTH), true).await;
        let visit = Some(Visit { device: device.into(), ..Visit::default() });
        let mut place = Place { visit, ..world::placing(quote, account) };
        place.buyer.email = email.into();
        self.billing.place_order(self.brand, place, None).await
    }
}

impl Served {
    pub fn screening(&self, actor: ottery_kit::grpc::Actor) -> ScreeningServiceClient<ottery_kit::grpc::Channel> {
        ScreeningServiceClient::new(self.world.host.channel(billing::NAME, actor))
    }

    async fn trial_over_the_wire(
        &self,
        price: PriceId,
        account: AccountId,
        (email, device): (&str, &str),
    ) -> Result<proto::Order, Problem> {
        let mut me = self.customer(account);
        let quote = me.create_quote(proto::CreateQuoteRequest { trial: true, ..quoting(price) }).await;
        let quote = quote.map_err(Problem::from)?.into_inner();
        let origin = Some(proto::Origin { device_id: device.into(), ..proto::Origin::default() });
        let asked = proto::PlaceOrderRequest { email: email.into(), origin, ..placing(&quote) };
        Ok(me.place_order(asked).await.map_err(Problem::from)?.into_inner().order.unwrap())
    }
}

#[tokio::test]
async fn case_113_a_plus_address_or_a_new_address_at_the_same_browser_gets_no_second_trial() {
    let served = served().await;
    let world = &served.world;
    let price = served.sell_offer(offer(1299, Term::MONTH));
    served.trial_over_the_wire(price, world.account(), ("ada@gmail.com", "browser-1")).await.unwrap();
    for (email, device, sign, words) in [
        ("a.d.a+tv@googlemail.com", "browser-2", "email", "with this e-mail address"),
        ("ADA@gmail.com", "", "email", "with this e-mail address"),
        ("eve@example.com", "browser-1", "device", "on this device"),
    ] {
        let account = world.account();
        let refused = served.trial_over_the_wire(price, account, (email, device)).await.unwrap_err();
        assert_eq!((refused.reason.as_ref(), refused.field.as_deref()), ("TRIAL_USED", Some("trial")), "{email}");
        assert_eq!(refused.metadata.get("sign").map(String::as_str), Some(sign));
        assert!(refused.message.contains(words) && refused.message.contains("order without it"), "{refused:?}");
        // They are told with the quote already, before they fill in anything.
        let origin = Some(proto::Origin { device_id: device.into(), ..proto::Origin::default() });
        let asked = proto::CreateQuoteRequest { trial: true, email: email.into(), origin, ..quoting(price) };
        let early = served.customer(account).create_quote(asked).await.map_err(Problem::from).unwrap_err();
        assert_eq!(early.reason, "TRIAL_USED");
        // Nothing half-made is left, and what is paid for is sold to anybody.
        let quote = served.customer(account).create_quote(quoting(price)).await.unwrap().into_inner();
        served.customer(account).place_order(placing(&quote)).await.unwrap();
    }
    // Another person at another browser; the refused attempts took nothing.
    served.trial_over_the_wire(price, world.account(), ("eve@example.com", "browser-2")).await.unwrap();
    // Nothing can be read back.
    let kept: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT hash FROM trial_claim").fetch_all(&world.database.admin_pool).await.unwrap();
    assert_eq!(kept.len(), 4);
    assert!(kept.iter().all(|hash| hash.len() == 32));
    world.assert_sound().await;
}

#[tokio::test]
async fn case_113_of_trials_begun_at_once_at_one_browser_one_begins() {
    let served = served().await;
    let price = served.sell_offer(offer(1299, Term::MONTH));
    let people: Vec<_> = (0..8).map(|n| (served.world.account(), format!("person{n}@example.com"))).collect();
    let tries = people.iter().map(|(account, email)| served.trial_over_the_wire(price, *account, (email, "browser-1")));
    let outcomes = futures::future::join_all(tries).await;
    let refused: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert_eq!(refused.len(), 7);
    assert!(refused.iter().all(|problem| problem.reason == "TRIAL_USED"), "{refused:?}");
    // One account that asks twice at once is one person as well, whatever it says.
    let account = served.world.account();
    let two = [("one@example.com", "browser-2"), ("two@example.com", "browser-3")];
    let outcomes = futures::future::join_all(two.map(|who| served.trial_over_the_wire(price, account, who))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    served.world.assert_sound().await;
}

#[tokio::test]
async fn staff_see_what_a_trial_holds_and_allow_one_more_which_is_used_once() {
    let served = served().await;
    let world = &served.world;
    world.try_trial(world.account(), "ada@example.com", "family").await.unwrap();
    let brother = world.account();
    assert_eq!(world.try_trial(brother, "bob@example.com", "family").await.unwrap_err().reason, "TRIAL_USED");
    let mut staff = served.screening(actor::staff(world.brand, ["order.read", "order.manage"]));
    let asked = |account: AccountId| proto::GetTrialGuardRequest { account_id: account.to_string() };
    let guard = staff.get_trial_guard(asked(brother)).await.unwrap().into_inner();
    assert_eq!((guard.used, guard.claims.len(), guard.pass.is_some()), (false, 0, false));

    let lift = |reason: &str| proto::LiftTrialGuardRequest { account_id: brother.to_string(), reason: reason.into() };
    let nameless = staff.lift_trial_guard(lift(" ")).await.map_err(Problem::from).unwrap_err();
    assert_eq!((nameless.reason.as_ref(), nameless.field.as_deref()), ("REASON_INVALID", Some("reason")));
    for who in [actor::staff(world.brand, ["order.read"]), actor::customer(world.brand, brother)] {
        let denied = served.screening(who).lift_trial_guard(lift("please")).await.unwrap_err();
        assert_eq!(denied.code(), tonic::Code::PermissionDenied);
    }
    let guard = staff.lift_trial_guard(lift("a family")).await.unwrap().into_inner();
    assert_eq!(guard.pass.unwrap().reason, "a family");
    let audited = outbox(&world.database.pool).await;
    assert_eq!(audited.iter().filter(|event| event.r#type == "billing.audit.recorded.v1").count(), 1);

    world.try_trial(brother, "bob@example.com", "family").await.unwrap();
    let guard = staff.get_trial_guard(asked(brother)).await.unwrap().into_inner();
    assert_eq!((guard.used, guard.pass.is_some()), (true, false));
    let signs: Vec<_> = guard.claims.iter().map(proto::trial_guard::Claim::sign).collect();
    // The browser stays with whom it was first.
    assert_eq!(signs, [proto::TrialSign::Email]);
    let again = world.try_trial(brother, "bob@example.com", "family").await.unwrap_err();
    assert_eq!(again.message, "the trial was used before; order without it");
    // Another brand knows nothing of it.
    world.assert_sound().await;
}

#[tokio::test]
async fn a_brand_says_by_what_people_are_known_and_a_stale_version_is_refused() {
    let served = served().await;
    let world = &served.world;
    let mut owner = served.screening(actor::owner(world.brand));
    let rules = owner.get_trial_rules(proto::GetTrialRulesRequest {}).await.unwrap().into_inner();
    assert!(rules.by_email && rules.by_device && rules.by_card);
    let put = proto::PutTrialRulesRequest {
        by_email: true,
        by_device: false,
        by_card: true,
        reused_card: proto::trial_rules::ReusedCard::Keep.into(),
        expected_version: 0,
    };
    let wordless = proto::PutTrialRulesRequest { reused_card: 0, ..put };
    let refused = owner.put_trial_rules(wordless).await.map_err(Problem::from).unwrap_err();
    assert_eq!((refused.reason.as_ref(), refused.field.as_deref()), ("RULE_MISSING", Some("reused_card")));
    assert_eq!(owner.put_trial_rules(put).await.unwrap().into_inner().version, 1);
    let stale = owner.put_trial_rules(put).await.map_err(Problem::from).unwrap_err();
    assert_eq!(stale.reason, "VERSION_CONFLICT");

    world.try_trial(world.account(), "ada@example.com", "family").await.unwrap();
    world.try_trial(world.account(), "bob@example.com", "family").await.unwrap();
    // What did not count was noted all the same: it counts from the moment it is chosen.
    let put = proto::PutTrialRulesRequest { by_device: true, expected_version: 1, ..put };
    owner.put_trial_rules(put).await.unwrap();
    let refused = world.try_trial(world.account(), "eve@example.com", "family").await.unwrap_err();
    assert_eq!(refused.metadata.get("sign").map(String::as_str), Some("device"));
}

impl Shop {
    /// Pays an order of this account with a card.
    async fn buys(&self, account: AccountId, number: &str) {
        let placed = self.place(account).await;
        let id = placed.payment.expect("something is due");
        let page = open_checkout(&self.world.billing, self.world.brand, id).await.expect("a page");
        assert_eq!(self.card(&page, number).await, 303);
        self.hear("payment.succeeded", id).await;
        self.drain().await;
    }

    async fn tries(&self, account: AccountId) -> Result<Placed, Problem> {
        self.world.try_trial(account, &format!("{account}@example.com"), &account.to_string()).await
    }

    async fn state(&self, trial: &Placed) -> State {
        self.world.subscription(trial.order.subscription).await.state
    }
}

#[tokio::test]
async fn case_113_who_paid_with_the_card_of_somebody_who_had_a_trial_gets_none() {
    let shop = shop().await;
    let (ada, eve, bob) = (shop.world.account(), shop.world.account(), shop.world.account());
    shop.tries(ada).await.unwrap();
    shop.buys(ada, CARD).await;
    shop.buys(eve, CARD).await;
    let refused = shop.tries(eve).await.unwrap_err();
    assert_eq!(refused.message, "a trial was used with this means of payment before; order without it");
    shop.buys(bob, OTHER_CARD).await;
    shop.tries(bob).await.unwrap();
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn case_113_a_running_trial_whose_card_turns_out_to_be_used_ends_or_goes_on_as_the_brand_chose() {
    for (rule, is_ended) in [(ReusedCard::End, true), (ReusedCard::Keep, false)] {
        let shop = shop().await;
        let wanted = TrialRules { reused_card: rule, ..TrialRules::default() };
        let owner = actor::owner(shop.world.brand);
        shop.world.billing.put_trial_rules(&owner, shop.world.brand, wanted).await.unwrap();
        let (ada, eve) = (shop.world.account(), shop.world.account());
        let first = shop.tries(ada).await.unwrap();
        shop.buys(ada, CARD).await;
        // One's own card ends nothing.
        assert_eq!((shop.state(&first).await, shop.tasks().await.len()), (State::Trialing, 0));
        let second = shop.tries(eve).await.unwrap();
        shop.buys(eve, OTHER_CARD).await;
        assert_eq!(shop.state(&second).await, State::Trialing);
        shop.buys(eve, CARD).await;
        let expected = if is_ended { State::Ended { cause: EndCause::Staff } } else { State::Trialing };
        assert_eq!(shop.state(&second).await, expected);
        assert_eq!(shop.tasks().await, ["trial_reused"]);
        assert_eq!(shop.state(&first).await, State::Trialing, "whose trial it was keeps it");
        shop.world.assert_sound().await;
    }
}

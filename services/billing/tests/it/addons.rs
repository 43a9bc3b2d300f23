//! Add-ons: bought with a plan or later, paid with it, cancelled alone, over when it is over.

use billing::app::change::{ChangeTo, Urls};
use billing::domain::invoice::{Invoice, Purpose, State as InvoiceState};
use billing::domain::offer::Offer;
use billing::domain::portion::Wanted as Portion;
use billing::domain::proration::{Effect, Warning};
use billing::domain::subscription::{EndCause, State, Subscription};
use chrono::TimeDelta;
use ottery_kernel::{ChangeTiming, PlanId, PlanVersionId, PriceId, Term, TermUnit};
use ottery_kit::grpc::Problem;
use ottery_proto::billing::v1 as proto;
use ottery_proto::billing::v1::entitlement_changed::Wanted;
use ottery_proto::catalog::v1 as catalog;
use ottery_testkit::actor;

use crate::calls::{Served, placing, quoting, served};
use crate::explain::assert_adds_up;
use crate::options::{entitlement, with_options};
use crate::periods::{berlin, renew, to_price};
use crate::world::{World, eur, offer};

/// Sport for 4.00 a month or 40.00 a year and 2.00 once, with one more stream and a bouquet, for the plan `family`.
pub fn sport(world: &World) -> catalog::Plan {
    let price = |term: Term, minor| catalog::Price {
        id: PriceId::new(world.now()).to_string(),
        term: Some(billing::contract::term(term)),
        amount: Some(billing::contract::money(eur(minor))),
        setup_fee: Some(billing::contract::money(eur(200))),
        ..catalog::Price::default()
    };
    let version = catalog::PlanVersion {
        id: PlanVersionId::new(world.now()).to_string(),
        name: "Sport".into(),
        connections: 1,
        prices: vec![price(Term::MONTH, 400), price(Term::YEAR, 4000)],
        mapping: Some(catalog::PanelMapping { bouquet_ids: vec![2, 7], ..catalog::PanelMapping::default() }),
        addon: Some(catalog::AddOn { plans: vec!["family".into()] }),
        ..catalog::PlanVersion::default()
    };
    catalog::Plan { state: catalog::plan::State::OnSale.into(), current: Some(version), ..catalog::Plan::default() }
}

impl Served {
    pub async fn quoted_with(&self, price: PriceId, addons: &[PlanId]) -> Result<proto::Quote, Problem> {
        let addon_plan_ids = addons.iter().map(ToString::to_string).collect();
        let ask = proto::CreateQuoteRequest { addon_plan_ids, ..quoting(price) };
        let quote = self.client(actor::visitor(self.world.brand)).create_quote(ask).await;
        quote.map(tonic::Response::into_inner).map_err(Problem::from)
    }

    pub async fn bought_with(&self, offer: Offer, addons: &[PlanId]) -> Subscription {
        let quote = self.quoted_with(self.sell_offer(offer), addons).await.unwrap();
        let mut me = self.customer(self.world.account());
        let order = me.place_order(placing(&quote)).await.unwrap().into_inner().order.unwrap();
        self.world.pay(&self.world.invoice(order.invoice_id.parse().unwrap()).await).await;
        self.world.subscription(order.subscription_id.parse().unwrap()).await
    }
}

pub fn to_addons(add: &[PlanId], drop: &[PlanId]) -> ChangeTo {
    ChangeTo {
        price: None,
        options: Vec::new(),
        add: add.to_vec(),
        drop: drop.to_vec(),
        coupon: String::new(),
        urls: Urls::default(),
    }
}

#[tokio::test]
async fn an_add_on_bought_with_a_plan_is_on_one_invoice_with_it_ever_after_and_reaches_the_panel() {
    let served = served().await;
    let world = &served.world;
    world.host.clock.set(berlin("2027-01-10 09:00"));
    let id = served.add_on(sport(world));
    let price = served.sell(1000, Term::MONTH);
    let quote = served.quoted_with(price, &[id]).await.unwrap();
    let lines: Vec<_> = quote.lines.iter().map(|line| line.description.as_str()).collect();
    assert_eq!(lines, ["Family, 1 month", "Sport, 1 month", "Set-up: Sport"]);
    assert_eq!((quote.due_now.unwrap().minor, quote.renewal_total.unwrap().minor), (1600, 1400));
    assert_eq!(quote.addons[0].price.as_ref().unwrap().minor, 400);

    let bought = served.bought_with(offer(1000, Term::MONTH), &[id]).await;
    let told = entitlement(world).await;
    assert_eq!((told.connections, told.mapping.unwrap().bouquet_ids), (3, vec![1, 2, 7]));
    let renewal = renew(world, &bought).await;
    assert_eq!((renewal.purpose, renewal.totals.total), (Purpose::Renewal, eur(1400)));
    assert_eq!(renewal.lines.iter().map(|line| line.amount.minor).collect::<Vec<_>>(), [1000, 400]);
    assert_eq!(world.subscription(bought.id).await.recurring_price(), Ok(eur(1400)));
    world.assert_sound().await;
}

#[tokio::test]
async fn an_add_on_added_later_is_bridged_to_the_end_of_what_is_paid_and_merged_from_the_next_invoice_on() {
    let served = served().await;
    let world = &served.world;
    world.host.clock.set(berlin("2027-01-10 09:00"));
    let id = served.add_on(sport(world));
    let bought = served.bought_with(offer(1000, Term::MONTH), &[]).await;
    let (owner, period) = (Some(bought.account), bought.period.unwrap());
    world.advance_to(period.start() + period.duration() / 2).await;
    let to = to_addons(&[id], &[]);
    let shown = world.billing.quote_change(world.brand, bought.id, owner, &to).await.unwrap();
    // Half a month of 4.00, and 2.00 once.
    assert_eq!((shown.change.effect, shown.change.due_now), (Effect::Now, eur(400)));
    let changed = world.billing.change_plan(world.brand, bought.id, owner, to.clone(), None).await.unwrap();
    let invoice = world.invoice(changed.invoice.unwrap()).await;
    assert_eq!((&invoice.lines, invoice.totals.total), (&shown.lines, eur(400)));
    assert_eq!(invoice.lines[0].description, "Sport, 1 month, prorated");
    assert_eq!(entitlement(world).await.connections, 2, "not before it is paid");
    // Nor is more time bought meanwhile, which the add-on was not priced for.
    let refused = world.billing.renew(world.brand, bought.id, owner).await.unwrap_err();
    assert!(refused.is("CHANGE_OPEN") && refused.message.contains(&invoice.number_text()), "{refused:?}");
    world.pay(&invoice).await;
    let with = world.subscription(bought.id).await;
    assert_eq!((with.period, entitlement(world).await.connections), (bought.period, 3));
    let again = world.billing.quote_change(world.brand, bought.id, owner, &to).await.unwrap_err();
    assert_eq!((again.reason.as_ref(), again.field.as_deref()), ("ADDON_TWICE", Some("addons")));
    assert_eq!(renew(world, &with).await.totals.total, eur(1400));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_bridge_is_earned_over_its_own_days_its_set_up_at_once_and_both_are_explained() {
    let served = served().await;
    let world = &served.world;
    world.host.clock.set(berlin("2027-01-10 09:00"));
    let id = served.add_on(sport(world));
    let bought = served.bought_with(offer(1000, Term::MONTH), &[]).await;
    world.advance_to(berlin("2027-01-25 21:00")).await;
    let (deferred, earned) = world.books_of_time().await;
    let to = to_addons(&[id], &[]);
    let changed = world.billing.change_plan(world.brand, bought.id, Some(bought.account), to, None).await.unwrap();
    let invoice = world.invoice(changed.invoice.unwrap()).await;
    world.pay(&invoice).await;
    // 1.68 net each: once, and for the 16 days from today to 9 February, of which this one has begun.
    assert_eq!(world.books_of_time().await, (deferred + 168 - 11, earned + 168 + 11));
    let found = world.billing.explain_invoice(world.brand, invoice.id, Some(bought.account)).await.unwrap();
    assert_adds_up(&found);
    let steps: Vec<_> = found.figures.iter().flat_map(|figure| &figure.steps).collect();
    let step = |kind| *steps.iter().find(|step| step.kind == kind).unwrap();
    let (bridge, setup) = (step("extra"), step("extra_setup"));
    assert_eq!((bridge.base, bridge.result, setup.result), (eur(400), eur(200), eur(200)));
    assert!(bridge.text.starts_with("Sport at ") && bridge.share.is_some(), "{}", bridge.text);
    assert!(setup.text.starts_with("Set-up: Sport at "), "{}", setup.text);
    assert_eq!(bridge.price.as_ref().unwrap().plan, "Sport", "it has a price of its own");
    world.assert_sound().await;
}

#[tokio::test]
async fn an_add_on_is_cancelled_alone_with_the_renewal_and_can_be_kept_until_then() {
    let served = served().await;
    let world = &served.world;
    let id = served.add_on(sport(world));
    let bought = served.bought_with(offer(1000, Term::MONTH), &[id]).await;
    let owner = Some(bought.account);
    let drop = to_addons(&[], &[id]);
    let shown = world.billing.quote_change(world.brand, bought.id, owner, &drop).await.unwrap();
    assert_eq!((shown.change.effect, shown.change.due_now), (Effect::AtRenewal, eur(0)));
    assert!(shown.change.warnings.contains(&Warning::FewerUnits { name: "Sport".into(), from: 1, to: 0 }));
    world.billing.change_plan(world.brand, bought.id, owner, drop, None).await.unwrap();
    let mut me = served.customer(bought.account);
    let seen = proto::GetSubscriptionRequest { subscription_id: bought.id.to_string() };
    let seen = me.get_subscription(seen).await.unwrap().into_inner();
    assert_eq!((seen.addons.len(), seen.next_addons.len(), seen.changes_at_renewal), (1, 0, true));
    assert_eq!((seen.renewal_total.unwrap().minor, entitlement(world).await.connections), (1000, 3));
    let renewal = renew(world, &bought).await;
    assert_eq!((renewal.totals.total, renewal.lines.len()), (eur(1000), 1));
    let after = world.subscription(bought.id).await;
    assert_eq!((after.state, after.offer.addons.len()), (State::Active, 0));
    let told = entitlement(world).await;
    assert_eq!((told.connections, told.mapping.unwrap().bouquet_ids), (2, vec![1, 2]));
    world.assert_sound().await;
}

#[tokio::test]
async fn an_add_on_is_over_when_its_subscription_is() {
    let served = served().await;
    let world = &served.world;
    let id = served.add_on(sport(world));
    let bought = served.bought_with(offer(1000, Term::MONTH), &[id]).await;
    let me = actor::customer(world.brand, bought.account);
    world.billing.cancel(world.brand, bought.id, Some(bought.account), "", &me).await.unwrap();
    world.advance_to(bought.paid_through.unwrap()).await;
    assert_eq!(world.subscription(bought.id).await.state, State::Ended { cause: EndCause::Cancelled });
    assert_eq!(entitlement(world).await.wanted(), Wanted::Terminated);
    assert_eq!(world.open_invoice(bought.id).await, None);
    world.assert_sound().await;
}

#[tokio::test]
async fn an_add_on_is_refused_alone_elsewhere_and_where_its_cycles_do_not_fit() {
    let served = served().await;
    let world = &served.world;
    let id = served.add_on(sport(world));
    let monthly = served.sell(1000, Term::MONTH);
    let reason = async |price, addons: &[PlanId]| {
        let problem = served.quoted_with(price, addons).await.unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("addons"), "{problem:?}");
        problem.reason.into_owned()
    };
    assert_eq!(reason(monthly, &[id, id]).await, "ADDON_TWICE");
    assert_eq!(reason(monthly, &[PlanId::new(world.now())]).await, "ADDON_NOT_FOUND");
    let weekly = served.sell(300, Term::try_new(1, TermUnit::Week).unwrap());
    assert_eq!(reason(weekly, &[id]).await, "ADDON_CYCLE");
    let other = offer(1000, Term::MONTH);
    served.limit(&other, catalog::Plan { slug: "solo".into(), ..catalog::Plan { current: None, ..sport(world) } });
    let other = served.sell_offer(other);
    assert_eq!(reason(other, &[id]).await, "ADDON_NOT_FOR_PLAN");
    let archived = catalog::Plan { state: catalog::plan::State::Archived.into(), ..sport(world) };
    assert_eq!(reason(monthly, &[served.add_on(archived)]).await, "PLAN_NOT_ON_SALE");
    let last = catalog::Plan { stock: Some(catalog::Stock { count: Some(1) }), ..sport(world) };
    let last = served.add_on(last);
    served.bought_with(offer(1000, Term::MONTH), &[last]).await;
    let sold_out = served.quoted_with(monthly, &[last]).await.unwrap_err();
    assert_eq!(sold_out.reason, "SOLD_OUT");
}

#[tokio::test]
async fn with_a_year_the_add_on_is_paid_by_the_year_and_options_stay_beside_it() {
    let served = served().await;
    let world = &served.world;
    let id = served.add_on(sport(world));
    let bought = served.bought_with(with_options(1000, Term::MONTH), &[id]).await;
    let yearly = Offer { changes: ottery_kernel::ChangePolicy::default(), ..with_options(9000, Term::YEAR) };
    assert_eq!(yearly.changes.term, ChangeTiming::ProrateNow);
    let yearly = served.sell_offer(yearly);
    let owner = Some(bought.account);
    let to = to_price(yearly, "");
    let shown = world.billing.quote_change(world.brand, bought.id, owner, &to).await.unwrap();
    // The whole month is unused: 14.00. Set-up was paid.
    assert_eq!((shown.change.effect, shown.change.due_now), (Effect::NowRestarting, eur(9000 + 4000 - 1400)));
    let changed = world.billing.change_plan(world.brand, bought.id, owner, to, None).await.unwrap();
    world.pay(&world.invoice(changed.invoice.unwrap()).await).await;
    let after = world.subscription(bought.id).await;
    assert_eq!((after.offer.addons[0].cycle.term, after.renewal_price()), (Term::YEAR, Ok(eur(13_000))));
    world.assert_sound().await;
}

/// Two of a customer who are billed together: one with the add-on from its beginning, one that gets it in the middle of its month.
struct Pair {
    served: Served,
    addon: PlanId,
    one: Subscription,
    two: Subscription,
}

async fn pair() -> Pair {
    let served = served().await;
    let world = &served.world;
    world.host.clock.set(berlin("2027-01-10 09:00"));
    world.consolidate(true).await;
    let (account, addon) = (world.account(), served.add_on(sport(world)));
    let mut bought = Vec::new();
    for addons in [&[addon][..], &[]] {
        let quote = served.quoted_with(served.sell(1000, Term::MONTH), addons).await.unwrap();
        let order = served.customer(account).place_order(placing(&quote)).await.unwrap().into_inner().order.unwrap();
        world.pay(&world.invoice(order.invoice_id.parse().unwrap()).await).await;
        bought.push(world.subscription(order.subscription_id.parse().unwrap()).await);
    }
    let (two, one) = (bought.pop().unwrap(), bought.pop().unwrap());
    Pair { served, addon, one, two }
}

impl Pair {
    fn world(&self) -> &World {
        &self.served.world
    }

    async fn change(&self, subscription: &Subscription, to: ChangeTo) -> Option<Invoice> {
        let owner = Some(subscription.account);
        let changed = self.world().billing.change_plan(self.world().brand, subscription.id, owner, to, None);
        match changed.await.unwrap().invoice {
            Some(id) => Some(self.world().invoice(id).await),
            None => None,
        }
    }

    /// What both owe for their next month, once it is billed.
    async fn billed(&self) -> [Invoice; 2] {
        self.world().advance_to(self.one.paid_through.unwrap() - TimeDelta::hours(72)).await;
        let open = async |id| self.world().open_invoice(id).await.expect("it is billed");
        [open(self.one.id).await, open(self.two.id).await]
    }
}

fn minors(invoice: &Invoice) -> Vec<i64> {
    invoice.lines.iter().map(|line| line.amount.minor).collect()
}

#[tokio::test]
async fn an_add_on_that_was_bridged_is_a_line_of_its_part_and_ends_with_the_others() {
    let pair = pair().await;
    let world = pair.world();
    let period = pair.two.period.unwrap();
    world.advance_to(period.start() + period.duration() / 2).await;
    let bridge = pair.change(&pair.two, to_addons(&[pair.addon], &[])).await.unwrap();
    assert_eq!((bridge.part, bridge.totals.total), (None, eur(400)), "half a month, and the set-up");
    world.pay(&bridge).await;
    assert_eq!(world.subscription(pair.two.id).await.period, Some(period), "until the end of what is paid");

    let parts = pair.billed().await;
    assert_eq!(parts.iter().map(|part| part.part.unwrap().number).collect::<Vec<_>>(), [1, 2]);
    for part in &parts {
        assert_eq!((minors(part), part.totals.total), (vec![1000, 400], eur(1400)));
    }
    let (whole, _) = world.whole(&parts[1]).await;
    assert_eq!((minors(&whole), whole.totals.total), (vec![1000, 400, 1000, 400], eur(2800)));
    let times: Vec<_> = whole.lines.iter().map(|line| line.period).collect();
    assert_eq!(times, [parts[0].period, parts[0].period, parts[1].period, parts[1].period], "one time for both");
    let name = billing::domain::consolidated::short_name(pair.two.id);
    assert_eq!(whole.lines[3].description, format!("Sport, 1 month ({name})"));
    let explained = world.billing.explain_invoice(world.brand, whole.id, Some(whole.account)).await.unwrap();
    assert_adds_up(&explained);
    world.assert_sound().await;

    world.settle(&world.payment(&parts[0], eur(2800), eur(2800))).await;
    for subscription in [&pair.one, &pair.two] {
        let renewed = world.subscription(subscription.id).await;
        assert_eq!((renewed.state, renewed.offer.addons.len()), (State::Active, 1));
        assert!(renewed.paid_through > subscription.paid_through);
    }
    let told = entitlement(world).await;
    assert_eq!((told.connections, told.mapping.unwrap().bouquet_ids), (3, vec![1, 2, 7]));
    world.assert_sound().await;

    // Staff take back the add-on alone, as a line counted over the whole.
    let staff = actor::owner(world.brand);
    let line = Portion::Lines(vec![4]);
    let note = world.billing.credit_invoice(&staff, world.brand, whole.id, line, "No sport", None).await.unwrap();
    assert_eq!((note.invoice, note.amount, note.lines.clone()), (parts[1].id, eur(400), vec![2]));
    world.assert_sound().await;
}

#[tokio::test]
async fn an_add_on_that_is_dropped_is_not_in_the_next_whole_and_the_other_keeps_its_own() {
    let pair = pair().await;
    let world = pair.world();
    assert_eq!(pair.change(&pair.one, to_addons(&[], &[pair.addon])).await, None, "with the renewal");
    let parts = pair.billed().await;
    assert_eq!((minors(&parts[0]), minors(&parts[1])), (vec![1000], vec![1000]));
    assert_eq!(world.whole(&parts[0]).await.0.totals.total, eur(2000));
    world.settle(&world.payment(&parts[0], eur(2000), eur(2000))).await;
    assert_eq!(world.subscription(pair.one.id).await.offer.addons, []);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_109_an_add_on_bought_while_the_whole_is_open_prices_its_part_anew_and_leaves_the_other() {
    let pair = pair().await;
    let world = pair.world();
    let parts = pair.billed().await;
    let whole = world.whole(&parts[0]).await.0;
    assert_eq!(whole.remaining(), Ok(eur(2400)));
    let bridge = pair.change(&pair.two, to_addons(&[pair.addon], &[])).await.unwrap();
    let (left, notes) = world.whole(&parts[0]).await;
    assert_eq!((left.remaining(), left.totals.total), (Ok(eur(1400)), eur(2400)), "what was printed stays");
    assert_eq!(notes.iter().map(|note| note.amount).collect::<Vec<_>>(), [eur(1000)]);
    world.assert_sound().await;
    world.pay(&bridge).await;
    world.work_off().await;
    let anew = world.open_invoice(pair.two.id).await.unwrap();
    assert_eq!((anew.part, minors(&anew), anew.period), (None, vec![1000, 400], parts[1].period));
    world.settle(&world.payment(&parts[0], eur(1400), eur(1400))).await;
    world.pay(&anew).await;
    assert_eq!(world.whole(&parts[0]).await.0.state, InvoiceState::Closed);

    // The month after they are billed together again.
    let next = world.subscription(pair.one.id).await.paid_through.unwrap();
    world.advance_to(next - TimeDelta::hours(72)).await;
    let together = world.open_invoice(pair.two.id).await.unwrap();
    assert_eq!(minors(&world.whole(&together).await.0), [1000, 400, 1000, 400]);
    world.assert_sound().await;
}

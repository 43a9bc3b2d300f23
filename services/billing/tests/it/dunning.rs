//! Campaigns, and what becomes of invoices nobody pays.

use billing::app::dunning::{Asked, Decision, Put, Sample};
use billing::app::settlement::Settled;
use billing::domain::dunning::Step;
use billing::domain::dunning::campaign::{Campaign, Channel, Contact, HaltLimit, Patience, PlanPatience};
use billing::domain::dunning::simulate::{Event, Moment};
use billing::domain::dunning::window::Window;
use billing::domain::payment::{DeclineClass, State as PaymentState};
use billing::domain::subscription::{EndCause, State, Subscription, SuspendCause};
use billing::store;
use billing::store::payment::Payment;
use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{InvoiceId, Term};
use ottery_proto::billing::v1 as proto;
use ottery_testkit::recorder::{outbox, payload};

use crate::shop::{Shop, shop};
use crate::world::{World, config, offer, week, world};

pub fn campaign() -> Campaign {
    let contact = |hours| Contact { hours, channels: vec![Channel::Mail] };
    Campaign {
        contacts: [-48, 24, 96, 200].map(contact).into(),
        charge_hours: vec![0, 24, 72, 120],
        tries_other_method: true,
        confirm_pause_hours: 24,
        cooldown_hours: 20,
        window: Some(Window { from_hour: 9, to_hour: 20 }),
        patience: Patience { grace_days: 7, terminate_after_days: 5 },
        plans: Vec::new(),
        halt: HaltLimit::USUAL,
    }
}

fn suspended() -> State {
    State::Suspended { cause: SuspendCause::Unpaid }
}

impl World {
    pub async fn save_campaign(&self, campaign: Campaign) -> u32 {
        let expected_version = self.billing.campaign(self.brand).await.unwrap().version;
        let put = Put { campaign, expected_version, is_dry_run: false };
        let owner = ottery_testkit::actor::owner(self.brand);
        self.billing.put_campaign(self.brand, put, &owner).await.unwrap().version
    }

    /// The end of what is paid, after the renewal was issued.
    async fn issued(&self, subscription: &Subscription) -> (DateTime<Utc>, InvoiceId) {
        let end = subscription.paid_through.unwrap();
        self.advance_to(end - TimeDelta::hours(72)).await;
        (end, self.open_invoice(subscription.id).await.expect("issued its lead before the end").id)
    }

    /// When the subscription needs attention next.
    async fn due(&self, subscription: &Subscription) -> Option<DateTime<Utc>> {
        sqlx::query_scalar("SELECT nullif(due_at, 'infinity') FROM due WHERE subscription_id = $1")
            .bind(subscription.id.as_uuid())
            .fetch_one(&self.database.admin_pool)
            .await
            .unwrap()
    }

    async fn reminders(&self) -> Vec<(DateTime<Utc>, u32)> {
        let events = outbox(&self.database.pool).await;
        let told = events.iter().filter(|event| event.r#type == "billing.reminder.due.v1");
        told.map(|event| (instant(event), payload::<proto::ReminderDue>(event).step)).collect()
    }

    async fn state(&self, subscription: &Subscription) -> State {
        self.subscription(subscription.id).await.state
    }
}

fn instant(event: &ottery_proto::common::v1::Envelope) -> DateTime<Utc> {
    let at = event.occurred_at.unwrap();
    DateTime::from_timestamp(at.seconds, at.nanos.unsigned_abs()).unwrap()
}

/// What the timeline says and an event can prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Charged,
    Refused { is_told: bool },
    Reminded(u32),
    Missed,
    Prolonged,
    Suspended,
    Ended,
}

fn planned(moments: &[Moment]) -> Vec<(DateTime<Utc>, Seen)> {
    let seen = |event: Event| match event {
        Event::Refused { is_told, .. } => Seen::Refused { is_told },
        Event::Step(Step::Charge(_) | Step::ChargeOther { .. }) => Seen::Charged,
        Event::Step(Step::Remind { step, .. }) => Seen::Reminded(step),
        Event::Step(Step::MissPayment { .. }) => Seen::Missed,
        Event::Step(Step::Prolong { .. }) => Seen::Prolonged,
        Event::Step(Step::Suspend) => Seen::Suspended,
        Event::Step(Step::End(EndCause::Unpaid)) => Seen::Ended,
        Event::Step(step) => panic!("{step:?} is not dunning"),
    };
    let mut planned: Vec<_> = moments.iter().map(|moment| (moment.at, seen(moment.event))).collect();
    planned.sort_unstable();
    planned
}

/// What really happened, from the events and the attempts to be paid.
async fn happened(world: &World, charges: &[Payment], since: DateTime<Utc>) -> Vec<(DateTime<Utc>, Seen)> {
    let mut seen: Vec<_> = charges.iter().map(|payment| (payment.created_at, Seen::Charged)).collect();
    for event in outbox(&world.database.pool).await.iter().filter(|event| instant(event) > since) {
        let what = match event.r#type.as_str() {
            "billing.reminder.due.v1" => Seen::Reminded(payload::<proto::ReminderDue>(event).step),
            "billing.payment.failed.v1" => Seen::Refused { is_told: !payload::<proto::PaymentFailed>(event).quiet },
            "billing.subscription.changed.v1" => match payload::<proto::SubscriptionChanged>(event).reason.as_str() {
                "payment_missed" => Seen::Missed,
                "grace_prolonged" => Seen::Prolonged,
                "unpaid" if is_over(event) => Seen::Ended,
                "unpaid" => Seen::Suspended,
                _ => continue,
            },
            _ => continue,
        };
        seen.push((instant(event), what));
    }
    seen.sort_unstable();
    seen
}

fn is_over(event: &ottery_proto::common::v1::Envelope) -> bool {
    let changed: proto::SubscriptionChanged = payload(event);
    changed.subscription.unwrap().state() == proto::subscription::State::Ended
}

impl Shop {
    /// Goes from one planned instant to the next until nothing waits, the provider answering at once.
    async fn live_through(&self, subscription: &Subscription) {
        for _ in 0..80 {
            let Some(at) = self.world.due(subscription).await else { return };
            self.world.host.clock.set(at.max(self.world.now()));
            self.world.work_off().await;
            self.drain().await;
        }
        panic!("it never ends");
    }

    /// Somebody who saved a card and whose renewal was issued.
    async fn renewing(&self, card: &str) -> (Subscription, InvoiceId) {
        let payment = self.paid_with_page(card).await;
        let subscription = self.world.subscription(payment.subscription.unwrap()).await;
        let (_, invoice) = self.world.issued(&subscription).await;
        (subscription, invoice)
    }

    /// As [`Shop::paid_with`], confirming where the bank asks for it.
    async fn paid_with_page(&self, card: &str) -> Payment {
        let (payment, page) = self.order().await;
        if self.card(&page, card).await == 200 {
            let form = [("decision", "confirm")];
            self.http.post(format!("{page}/authenticate")).form(&form).send().await.expect("answers");
        }
        self.later().await;
        let payment = self.payment(payment.id).await;
        assert_eq!(payment.state, PaymentState::Succeeded);
        payment
    }

    async fn charges_of(&self, invoice: InvoiceId) -> Vec<Payment> {
        let is_saved = |payment: &Payment| matches!(payment.kind, store::payment::AttemptKind::OffSession { .. });
        self.payments_of(invoice).await.into_iter().filter(is_saved).collect()
    }
}

#[tokio::test]
async fn what_is_simulated_is_what_happens() {
    for (card, class) in [
        ("4000000000000341", DeclineClass::Soft),
        ("4000000000009987", DeclineClass::Hard),
        ("4000000000003220", DeclineClass::Action),
    ] {
        let shop = shop().await;
        shop.world.save_campaign(campaign()).await;
        let (subscription, invoice) = shop.renewing(card).await;
        let since = shop.world.now();
        let told =
            shop.world.billing.simulate_dunning(shop.world.brand, Asked::Invoice(invoice), None, class).await.unwrap();
        let planned = planned(&told.moments);
        assert!(planned.iter().any(|(_, seen)| *seen == Seen::Ended), "{planned:#?}");
        shop.live_through(&subscription).await;
        let happened = happened(&shop.world, &shop.charges_of(invoice).await, since).await;
        assert_eq!(happened, planned, "{card}");
        shop.world.assert_sound().await;
    }
}

#[tokio::test]
async fn a_made_up_invoice_has_the_timeline_of_a_real_one() {
    let world = world().await;
    let draft = campaign();
    let subscription = world.subscriber(1190, Term::MONTH).await;
    let end = subscription.paid_through.unwrap();
    let sample = Asked::Sample(Sample { due_at: Some(end), plan: None, methods: 0 });
    let simulate = |asked, campaign| world.billing.simulate_dunning(world.brand, asked, campaign, DeclineClass::Soft);
    let before = simulate(sample, Some(draft.clone())).await.unwrap();
    world.save_campaign(draft).await;
    let (_, invoice) = world.issued(&subscription).await;
    let after = simulate(Asked::Invoice(invoice), None).await.unwrap();
    assert_eq!(planned(&before.moments), planned(&after.moments));
    assert_eq!((before.due_at, after.due_at), (end, end));
}

#[tokio::test]
async fn a_case_keeps_the_campaign_it_began_with() {
    let world = world().await;
    assert_eq!(world.billing.campaign(world.brand).await.unwrap().version, 0);
    let (old, new) = (world.subscriber(1190, Term::MONTH).await, world.subscriber(1190, Term::MONTH).await);
    assert_eq!(world.save_campaign(campaign()).await, 1);
    let (end, _) = world.issued(&old).await;
    // A campaign is for what is issued from its instant on.
    world.advance(TimeDelta::seconds(1)).await;
    let mut shorter = campaign();
    shorter.patience.grace_days = 1;
    shorter.charge_hours = vec![0];
    shorter.contacts.pop();
    assert_eq!(world.save_campaign(shorter.clone()).await, 2);
    assert_eq!(world.save_campaign(shorter).await, 2, "saying the same again is no new version");
    world.advance_to(end + TimeDelta::days(2)).await;
    for subscription in [&old, &new] {
        assert!(matches!(world.state(subscription).await, State::PastDue { .. }), "both began under version 1");
    }
    world.advance_to(end + TimeDelta::days(8)).await;
    assert_eq!(world.state(&old).await, suspended());
    // Who comes back is billed by version 2 the next time.
    world.pay(&world.open_invoice(old.id).await.unwrap()).await;
    let old = world.subscription(old.id).await;
    let (end, _) = world.issued(&old).await;
    world.advance_to(end + TimeDelta::hours(1)).await;
    world.advance_to(end + TimeDelta::days(2)).await;
    assert_eq!(world.state(&old).await, suspended());
    world.assert_sound().await;
}

#[tokio::test]
async fn a_campaign_that_breaks_a_rule_or_is_late_is_refused_and_a_trial_of_it_leaves_nothing() {
    let world = world().await;
    let owner = ottery_testkit::actor::owner(world.brand);
    let mut bad = campaign();
    bad.charge_hours[3] = 200;
    let put = |campaign, expected_version, is_dry_run| Put { campaign, expected_version, is_dry_run };
    let refused = world.billing.put_campaign(world.brand, put(bad, 0, false), &owner).await.unwrap_err();
    assert_eq!(refused.reason, "AFTER_SUSPENSION");
    assert_eq!(refused.field.as_deref(), Some("campaign.charge_hours[3]"));
    let tried = world.billing.put_campaign(world.brand, put(campaign(), 0, true), &owner).await.unwrap();
    assert_eq!((tried.version, world.billing.campaign(world.brand).await.unwrap().version), (1, 0));
    world.save_campaign(campaign()).await;
    let mut other = campaign();
    other.cooldown_hours = 30;
    let late = world.billing.put_campaign(world.brand, put(other, 0, false), &owner).await.unwrap_err();
    assert_eq!(late.reason, "VERSION_CONFLICT");
}

#[tokio::test]
async fn a_plan_has_its_own_grace_and_end() {
    let world = world().await;
    let mut own = campaign();
    let subscription = world.subscriber(1190, Term::MONTH).await;
    let patience = Patience { grace_days: 2, terminate_after_days: 1 };
    own.plans = vec![PlanPatience { plan: subscription.offer.plan_id, patience }];
    own.window = None;
    world.save_campaign(own).await;
    let (end, _) = world.issued(&subscription).await;
    world.advance_to(end).await;
    assert_eq!(world.state(&subscription).await, State::PastDue { grace_until: end + TimeDelta::days(2) });
    world.advance_to(end + TimeDelta::days(2)).await;
    assert_eq!(world.state(&subscription).await, suspended());
    world.advance_to(end + TimeDelta::days(3)).await;
    assert_eq!(world.state(&subscription).await, State::Ended { cause: EndCause::Unpaid });
}

#[tokio::test]
async fn paying_stops_everything_at_once() {
    let world = world().await;
    world.save_campaign(campaign()).await;
    let subscription = world.subscriber(1190, Term::MONTH).await;
    let (end, invoice) = world.issued(&subscription).await;
    world.advance_to(end + TimeDelta::days(2)).await;
    let before = world.reminders().await.len();
    assert!(before > 0);
    assert_eq!(world.pay(&world.invoice(invoice).await).await, Settled::Applied);
    for day in 3..20 {
        world.advance_to(end + TimeDelta::days(day)).await;
    }
    assert_eq!(world.reminders().await.len(), before);
    assert_eq!(world.state(&subscription).await, State::Active);
}

#[tokio::test]
async fn case_010_after_three_days_down_a_customer_with_five_subscriptions_hears_once_a_day() {
    let world = world().await;
    let mut own = campaign();
    own.window = None;
    world.save_campaign(own).await;
    let account = world.account();
    let mut subscriptions = Vec::new();
    for _ in 0..5 {
        let placed = world.order(account, offer(1190, Term::MONTH)).await;
        world.pay(&world.invoice_of(&placed).await).await;
        subscriptions.push(world.subscription(placed.order.subscription).await);
    }
    let (end, _) = world.issued(&subscriptions[0]).await;
    world.advance_to(end - TimeDelta::hours(1)).await;
    assert_eq!(world.reminders().await.len(), 1, "one mail although five are due");
    let down = end + TimeDelta::days(3);
    world.advance_to(down).await;
    assert_eq!(world.reminders().await.len(), 2, "no burst after the outage");
    for hour in 0..10 * 24 {
        world.advance_to(down + TimeDelta::hours(hour)).await;
    }
    let reminders = world.reminders().await;
    for pair in reminders.windows(2) {
        assert!(pair[1].0 >= pair[0].0 + TimeDelta::hours(20), "{pair:?}");
    }
    world.assert_sound().await;
}

#[tokio::test]
async fn case_010_two_schedulers_make_one_contact_with_a_customer() {
    let world = world().await;
    let account = world.account();
    for _ in 0..6 {
        let placed = world.order(account, offer(1190, Term::MONTH)).await;
        world.pay(&world.invoice_of(&placed).await).await;
    }
    let mut one_by_one = config();
    one_by_one.renewals.batch_size = 1;
    let small =
        billing::app::Billing::new(one_by_one, &world.host.of(billing::NAME), world.database.pool.clone()).unwrap();
    world.advance(TimeDelta::days(28)).await;
    world.host.clock.advance(TimeDelta::hours(60));
    let workers = (0..4).map(|_| {
        let (billing, brand) = (small.clone(), world.brand);
        tokio::spawn(async move { while billing.run_batch(brand).await.unwrap() > 0 {} })
    });
    futures::future::join_all(workers).await.into_iter().for_each(|worker| worker.unwrap());
    world.work_off().await;
    assert_eq!(world.reminders().await.len(), 1);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_062_whoever_has_to_confirm_gets_a_link_and_the_clock_stands_still() {
    let shop = shop().await;
    let mut own = campaign();
    own.window = None;
    shop.world.save_campaign(own).await;
    let (subscription, invoice) = shop.renewing("4000000000003220").await;
    let end = subscription.paid_through.unwrap();
    shop.world.advance_to(end).await;
    shop.drain().await;
    shop.world.work_off().await;
    let charges = shop.charges_of(invoice).await;
    assert_eq!(charges.iter().map(|one| one.state).collect::<Vec<_>>(), [PaymentState::ActionRequired]);
    let events = outbox(&shop.world.database.pool).await;
    let failed = events.iter().find(|event| event.r#type == "billing.payment.failed.v1").expect("told");
    assert!(!payload::<proto::PaymentFailed>(failed).quiet, "the link is sent at once");
    // Seven days of grace and the day they got.
    let expected = State::PastDue { grace_until: end + TimeDelta::days(8) };
    assert_eq!(shop.world.state(&subscription).await, expected);
    let reminders = shop.world.reminders().await.len();
    shop.world.advance_to(end + TimeDelta::hours(47)).await;
    assert_eq!(shop.world.reminders().await.len(), reminders, "the one of 24 hours waits until 48");
    shop.world.advance_to(end + TimeDelta::hours(48)).await;
    assert_eq!(shop.world.reminders().await.len(), reminders + 1);
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn case_063_a_stolen_card_is_charged_once_and_the_other_card_takes_over() {
    let shop = shop().await;
    shop.world.save_campaign(campaign()).await;
    let (subscription, invoice) = shop.renewing("4000000000009987").await;
    // Another card of the same customer, saved with another order.
    let placed = shop.place(subscription.account).await;
    let page = billing::app::payment::open_checkout(&shop.world.billing, shop.world.brand, placed.payment.unwrap())
        .await
        .unwrap();
    assert_eq!(shop.card(&page, "4242424242424242").await, 303);
    shop.later().await;
    let end = subscription.paid_through.unwrap();
    shop.world.advance_to(end).await;
    for _ in 0..3 {
        shop.drain().await;
        shop.world.work_off().await;
    }
    let charges = shop.charges_of(invoice).await;
    let states: Vec<_> = charges.iter().rev().map(|one| (one.state, one.method_label.as_str())).collect();
    assert_eq!(
        states,
        [(PaymentState::Failed, "Visa ending 9987"), (PaymentState::Succeeded, "Visa ending 4242")],
        "the stolen one was asked once"
    );
    let events = outbox(&shop.world.database.pool).await;
    let failed = events.iter().find(|event| event.r#type == "billing.payment.failed.v1").expect("told to analytics");
    assert!(payload::<proto::PaymentFailed>(failed).quiet, "nobody is bothered: the other card was good");
    let renewed = shop.world.subscription(subscription.id).await;
    assert_eq!(renewed.state, State::Active);
    assert_eq!(renewed.method.unwrap().label, "Visa ending 4242", "the next renewal asks the good one first");
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn staff_hold_a_suspension_until_a_date_and_lift_it() {
    let world = world().await;
    let owner = ottery_testkit::actor::owner(world.brand);
    let subscription = world.subscriber(1190, Term::MONTH).await;
    let (end, _) = world.issued(&subscription).await;
    let hold = |until, reason| world.billing.hold_suspension(world.brand, subscription.id, until, reason, &owner);
    assert_eq!(hold(end + TimeDelta::days(9), " ").await.unwrap_err().field.as_deref(), Some("reason"));
    assert_eq!(hold(world.now(), "asked").await.unwrap_err().reason, "UNTIL_RANGE");
    let until = end + TimeDelta::days(9);
    hold(until, "asked by phone, pays with the next salary").await.unwrap();
    world.advance_to(end + TimeDelta::days(8)).await;
    assert_eq!(world.state(&subscription).await, State::PastDue { grace_until: until });
    let told = outbox(&world.database.pool).await;
    let entitlement = told.iter().rfind(|event| event.r#type == "billing.entitlement.changed.v1").unwrap();
    let expires = payload::<proto::EntitlementChanged>(entitlement).paid_through.unwrap().seconds;
    assert_eq!(expires, until.timestamp(), "panels serve as long as billing does");
    world.advance_to(until).await;
    assert_eq!(world.state(&subscription).await, suspended());

    let other = world.subscriber(1190, Term::MONTH).await;
    let (end, _) = world.issued(&other).await;
    let until = end + TimeDelta::days(30);
    world.billing.hold_suspension(world.brand, other.id, until, "a mistake", &owner).await.unwrap();
    assert_eq!(world.billing.suspension_hold(world.brand, other.id).await.unwrap().unwrap().until, until);
    world.billing.lift_suspension_hold(world.brand, other.id, &owner).await.unwrap();
    world.billing.lift_suspension_hold(world.brand, other.id, &owner).await.unwrap();
    world.advance_to(end).await;
    world.advance_to(end + TimeDelta::days(3)).await;
    assert_eq!(world.state(&other).await, suspended());
    let told = outbox(&world.database.pool).await;
    let audited = told.iter().filter(|event| event.r#type == "billing.audit.recorded.v1").count();
    assert_eq!(audited, 3, "held, held, lifted");
}

/// Six subscribers past due, and a brand that believes three suspensions an hour.
async fn six_past_due() -> (World, Vec<Subscription>, DateTime<Utc>) {
    let world = world().await;
    let mut own = campaign();
    own.halt = HaltLimit { count: 3, share_percent: 1 };
    own.window = None;
    world.save_campaign(own).await;
    let mut subscriptions = Vec::new();
    for _ in 0..6 {
        subscriptions.push(world.subscriber(1190, Term::MONTH).await);
    }
    let (end, _) = world.issued(&subscriptions[0]).await;
    world.advance_to(end).await;
    (world, subscriptions, end)
}

async fn count_suspended(world: &World, subscriptions: &[Subscription]) -> usize {
    let mut count = 0;
    for subscription in subscriptions {
        count += usize::from(world.state(subscription).await == suspended());
    }
    count
}

#[tokio::test]
async fn case_009_a_clock_far_ahead_suspends_nobody_until_staff_decide() {
    let (world, subscriptions, end) = six_past_due().await;
    let owner = ottery_testkit::actor::owner(world.brand);
    world.advance_to(end + TimeDelta::days(400)).await;
    assert_eq!(count_suspended(&world, &subscriptions).await, 0);
    let page = store::Page { before: None, limit: 10 };
    let kinds: Vec<_> =
        world.billing.tasks(world.brand, page).await.unwrap().into_iter().map(|task| task.kind).collect();
    assert_eq!(kinds, ["suspensions_halted"]);
    let list = world.billing.held_suspensions(world.brand, None, 100).await.unwrap();
    assert!(list.halted_at.is_some());
    assert_eq!(list.rows.len(), 6);
    assert!(list.rows.iter().all(|row| row.owed.minor == 1190 && !row.would_end));
    let halted = store::suspension::halted_brands(&world.database.pool).await.unwrap();
    assert_eq!(halted, [world.brand], "the metric is set from this");

    // Paying goes on, and so does coming back.
    world.pay(&world.open_invoice(subscriptions[0].id).await.unwrap()).await;
    assert_eq!(world.state(&subscriptions[0]).await, State::Active);
    assert_eq!(world.billing.held_suspensions(world.brand, None, 100).await.unwrap().rows.len(), 5);

    // The next day nothing has changed: it waits for a person, and panels serve on.
    world.advance(TimeDelta::days(1)).await;
    assert_eq!(count_suspended(&world, &subscriptions).await, 0);
    for subscription in &subscriptions[1..] {
        let State::PastDue { grace_until } = world.state(subscription).await else { panic!("past due") };
        assert!(grace_until > world.now());
    }

    // The clock was right after all.
    let decided = world
        .billing
        .decide_held(world.brand, list.as_of, &Decision::Suspend, "checked by hand", &owner)
        .await
        .unwrap();
    assert_eq!(decided, 5);
    world.work_off().await;
    assert_eq!(count_suspended(&world, &subscriptions[1..]).await, 5);
    assert!(world.billing.tasks(world.brand, page).await.unwrap().is_empty());
    let again = world.billing.decide_held(world.brand, list.as_of, &Decision::Suspend, "again", &owner).await;
    assert_eq!(again.unwrap_err().reason, "NOT_HALTED");
    world.assert_sound().await;
}

#[tokio::test]
async fn case_009_staff_spare_those_who_were_stopped() {
    let (world, subscriptions, end) = six_past_due().await;
    let owner = ottery_testkit::actor::owner(world.brand);
    world.advance_to(end + TimeDelta::days(7)).await;
    assert_eq!(count_suspended(&world, &subscriptions).await, 0);
    let list = world.billing.held_suspensions(world.brand, None, 100).await.unwrap();
    let until = world.now() + TimeDelta::days(3);
    let spare = Decision::Spare { until };
    assert_eq!(
        world.billing.decide_held(world.brand, list.as_of, &spare, "", &owner).await.unwrap_err().field.as_deref(),
        Some("reason")
    );
    world.billing.decide_held(world.brand, list.as_of, &spare, "the provider was down", &owner).await.unwrap();
    // Panels hear of it before the day ends that the guard gave.
    world.advance(TimeDelta::days(1)).await;
    for subscription in &subscriptions {
        assert_eq!(world.state(subscription).await, State::PastDue { grace_until: until });
    }
    // Three at a time are believed; all six at once are not.
    world.advance_to(until).await;
    assert_eq!(count_suspended(&world, &subscriptions).await, 0);
    for subscription in &subscriptions[..3] {
        world.pay(&world.open_invoice(subscription.id).await.unwrap()).await;
    }
    let list = world.billing.held_suspensions(world.brand, None, 100).await.unwrap();
    assert_eq!(list.rows.len(), 3);
    world.billing.decide_held(world.brand, list.as_of, &Decision::Suspend, "these owe", &owner).await.unwrap();
    world.work_off().await;
    assert_eq!(count_suspended(&world, &subscriptions).await, 3);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_009_a_mass_of_ends_is_stopped_as_well() {
    let (world, subscriptions, end) = six_past_due().await;
    let mut all = campaign();
    all.halt = HaltLimit { count: 100, share_percent: 1 };
    world.save_campaign(all.clone()).await;
    world.advance_to(end + TimeDelta::days(7)).await;
    assert_eq!(count_suspended(&world, &subscriptions).await, 6);
    all.halt = HaltLimit { count: 3, share_percent: 1 };
    world.save_campaign(all).await;
    world.advance_to(end + TimeDelta::days(60)).await;
    assert_eq!(count_suspended(&world, &subscriptions).await, 6, "nothing was ended, no line was deleted");
    let list = world.billing.held_suspensions(world.brand, None, 100).await.unwrap();
    assert!(list.rows.len() == 6 && list.rows.iter().all(|row| row.would_end));
}

#[tokio::test]
async fn case_004_a_reminder_due_in_the_missing_hour_is_sent_once_at_the_next_valid_instant() {
    let world = world().await;
    let mut early = campaign();
    early.window = Some(Window { from_hour: 2, to_hour: 20 });
    // Berlin has no 02:30 on 29 March 2026.
    early.contacts = vec![Contact { hours: 0, channels: vec![Channel::Mail] }];
    world.save_campaign(early).await;
    let gap = "2026-03-29T00:30:00Z".parse::<DateTime<Utc>>().unwrap();
    // A week that ends in the night, before the gap.
    world.host.clock.set("2026-03-22T00:10:00Z".parse().unwrap());
    let subscription = world.subscriber(1190, week()).await;
    let end = subscription.paid_through.unwrap();
    assert!(end < gap && end > gap - TimeDelta::hours(3), "{end}");
    world.issued(&subscription).await;
    for minutes in (0..300).step_by(10) {
        world.advance_to(end + TimeDelta::minutes(minutes)).await;
    }
    let three = "2026-03-29T01:00:00Z".parse::<DateTime<Utc>>().unwrap();
    let reminders = world.reminders().await;
    assert_eq!(reminders.len(), 1, "{reminders:?}");
    assert!(reminders[0].0 >= three && reminders[0].0 < three + TimeDelta::minutes(10), "{reminders:?}");
}

#[tokio::test]
async fn case_005_a_reminder_due_in_the_repeated_hour_is_sent_once() {
    let world = world().await;
    let mut early = campaign();
    early.window = Some(Window { from_hour: 2, to_hour: 20 });
    early.contacts = vec![Contact { hours: 0, channels: vec![Channel::Mail] }];
    world.save_campaign(early).await;
    world.host.clock.set("2026-10-17T22:30:00Z".parse().unwrap());
    let subscription = world.subscriber(1190, week()).await;
    let end = subscription.paid_through.unwrap();
    world.issued(&subscription).await;
    for minutes in (0..400).step_by(10) {
        world.advance_to(end + TimeDelta::minutes(minutes)).await;
    }
    let reminders = world.reminders().await;
    // 02:00 for the first time is 00:00 UTC on 25 October 2026.
    let first = "2026-10-25T00:00:00Z".parse::<DateTime<Utc>>().unwrap();
    assert_eq!(reminders.len(), 1, "{reminders:?} after {end}");
    assert!(reminders[0].0 >= first && reminders[0].0 < first + TimeDelta::minutes(10), "{reminders:?}");
}

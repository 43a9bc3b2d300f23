//! From the order to the end.

use billing::app::settlement::Settled;
use billing::domain::invoice::{self, Purpose};
use billing::domain::order;
use billing::domain::subscription::{EndCause, State, SuspendCause};
use chrono::TimeDelta;
use ottery_kernel::{Money, Term};
use ottery_proto::billing::v1 as proto;
use ottery_testkit::recorder::{outbox, payload};

use crate::world::{eur, offer, placing, week, world};

#[tokio::test]
async fn a_paid_order_becomes_an_active_subscription_with_its_entitlement_told() {
    let world = world().await;
    let placed = world.order(world.account(), offer(1190, Term::MONTH)).await;
    assert_eq!(placed.order.state, order::State::AwaitingPayment);
    let invoice = world.invoice_of(&placed).await;
    assert_eq!((invoice.number_text().as_str(), invoice.state), ("INV-2026-000001", invoice::State::Open));
    assert_eq!((invoice.totals.subtotal, invoice.totals.tax), (eur(1000), eur(190)));
    assert_eq!(world.subscription(placed.order.subscription).await.state, State::Pending);

    assert_eq!(world.pay(&invoice).await, Settled::Applied);
    let subscription = world.subscription(placed.order.subscription).await;
    assert_eq!(subscription.state, State::Active);
    assert_eq!(subscription.paid_through.unwrap() - world.now(), TimeDelta::days(31));
    assert_eq!(world.invoice(invoice.id).await.state, invoice::State::Closed);
    assert_eq!(
        world.books().await,
        [
            "invoice.finalised receivable revenue 10.00",
            "invoice.finalised receivable tax 1.90",
            "payment.settled provider:sandbox receivable 11.90",
            "revenue.deferred revenue deferred 10.00",
        ]
    );
    let events = outbox(&world.database.pool).await;
    let kinds: Vec<_> = events.iter().map(|event| event.r#type.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "billing.order.placed.v1",
            "billing.invoice.finalised.v1",
            "billing.subscription.changed.v1",
            "billing.entitlement.changed.v1",
            "billing.invoice.settled.v1",
        ]
    );
    let entitlement: proto::EntitlementChanged = payload(&events[3]);
    assert_eq!((entitlement.version, entitlement.wanted()), (1, proto::entitlement_changed::Wanted::Active));
    let expires = entitlement.paid_through.unwrap().seconds;
    assert_eq!(expires, (subscription.paid_through.unwrap() + TimeDelta::days(3)).timestamp());
    assert_eq!((entitlement.email.as_str(), entitlement.connections), ("ada@example.com", 2));
    let changed: proto::SubscriptionChanged = payload(&events[2]);
    assert_eq!(changed.recurring_net.unwrap().minor, 1000);
    let settled: proto::InvoiceSettled = payload(&events[4]);
    assert!(settled.first_of_account);
    assert_eq!((settled.referral_code.as_str(), settled.order_id), ("FRIEND", placed.order.id.to_string()));
    world.assert_sound().await;
}

#[tokio::test]
async fn an_unpaid_renewal_is_reminded_suspended_and_ended_and_a_late_payment_brings_it_back_before_that() {
    let world = world().await;
    let subscription = world.subscriber(1190, Term::MONTH).await;
    let end = subscription.paid_through.unwrap();

    world.advance_to(end - TimeDelta::hours(72)).await;
    let renewal = world.open_invoice(subscription.id).await.expect("issued its lead before the end");
    assert_eq!((renewal.purpose, renewal.due_at), (Purpose::Renewal, Some(end)));
    assert_eq!(renewal.lines[0].period.unwrap().start(), end);
    world.advance_to(end).await;
    assert_eq!(
        world.subscription(subscription.id).await.state,
        State::PastDue { grace_until: end + TimeDelta::days(3) }
    );
    world.advance_to(end + TimeDelta::days(3) - TimeDelta::seconds(1)).await;
    assert!(matches!(world.subscription(subscription.id).await.state, State::PastDue { .. }));
    assert_eq!(world.invoice(renewal.id).await.reminders_done, 3);
    world.advance(TimeDelta::seconds(1)).await;
    let suspended = State::Suspended { cause: SuspendCause::Unpaid };
    assert_eq!(world.subscription(subscription.id).await.state, suspended);

    // Late, but within the billed period: it keeps its dates.
    world.advance(TimeDelta::days(2)).await;
    world.pay(&world.invoice(renewal.id).await).await;
    let back = world.subscription(subscription.id).await;
    assert_eq!(back.state, State::Active);
    assert_eq!(back.paid_through, renewal.period.map(|period| period.end()));

    // The next one nobody pays at all.
    let end = back.paid_through.unwrap();
    world.advance_to(end + TimeDelta::days(17)).await;
    world.advance_to(end + TimeDelta::days(40)).await;
    world.advance_to(end + TimeDelta::days(60)).await;
    let over = world.subscription(subscription.id).await;
    assert_eq!(over.state, State::Ended { cause: EndCause::Unpaid });
    assert_eq!(world.open_invoice(subscription.id).await, None);

    let events = outbox(&world.database.pool).await;
    let reminders = events.iter().filter(|event| event.r#type == "billing.reminder.due.v1").count();
    assert!(reminders >= 3, "{reminders}");
    let wanted: Vec<_> = events
        .iter()
        .filter(|event| event.r#type == "billing.entitlement.changed.v1")
        .map(payload::<proto::EntitlementChanged>)
        .collect();
    assert!(wanted.iter().enumerate().all(|(index, told)| told.version == index as u64 + 1));
    let last = wanted.last().unwrap();
    assert_eq!(last.wanted(), proto::entitlement_changed::Wanted::Terminated);
    let versions: Vec<_> = events
        .iter()
        .filter(|event| event.r#type == "billing.subscription.changed.v1")
        .map(|event| event.aggregate_version)
        .collect();
    assert_eq!(versions, (1..=versions.len() as i64).collect::<Vec<_>>());
    world.assert_sound().await;
}

#[tokio::test]
async fn case_014_a_payment_after_the_whole_billed_period_is_past_starts_a_new_one_from_the_payment() {
    let world = world().await;
    let subscription = world.subscriber(300, week()).await;
    let end = subscription.paid_through.unwrap();
    world.advance_to(end - TimeDelta::hours(72)).await;
    let renewal = world.open_invoice(subscription.id).await.unwrap();
    world.advance_to(end).await;
    world.advance_to(end + TimeDelta::days(3)).await;
    world.advance_to(end + TimeDelta::days(9)).await;
    world.pay(&world.invoice(renewal.id).await).await;
    let back = world.subscription(subscription.id).await;
    assert_eq!(back.state, State::Active);
    assert_eq!(back.period.unwrap().start(), world.now());
    assert_eq!(back.paid_through, Some(world.now() + TimeDelta::days(7)));
    world.assert_sound().await;
}

#[tokio::test]
async fn case_013_a_renewal_paid_early_extends_and_the_next_period_is_entered_when_it_comes() {
    let world = world().await;
    let subscription = world.subscriber(1190, Term::MONTH).await;
    let end = subscription.paid_through.unwrap();
    world.advance_to(end - TimeDelta::hours(72)).await;
    world.pay(&world.open_invoice(subscription.id).await.unwrap()).await;
    let paid = world.subscription(subscription.id).await;
    assert_eq!(paid.period, subscription.period);
    assert!(paid.paid_through.unwrap() > end);
    world.advance_to(end).await;
    let rolled = world.subscription(subscription.id).await;
    assert_eq!((rolled.state, rolled.period.unwrap().start()), (State::Active, end));
    assert_eq!(world.open_invoice(subscription.id).await, None);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_trial_costs_nothing_becomes_a_subscription_when_paid_and_is_given_once() {
    let world = world().await;
    let account = world.account();
    let placed = world.trial(account, offer(1190, Term::MONTH)).await.unwrap();
    assert_eq!((placed.order.state, placed.order.invoice), (order::State::Paid, None));
    let id = placed.order.subscription;
    assert_eq!(world.subscription(id).await.state, State::Trialing);
    let refused = world.trial(account, offer(1190, Term::MONTH)).await.unwrap_err();
    assert_eq!(refused.reason, "TRIAL_USED");

    let end = world.now() + TimeDelta::days(3);
    world.work_off().await;
    let invoice = world.open_invoice(id).await.expect("the lead is as long as the trial");
    assert_eq!((invoice.purpose, invoice.due_at), (Purpose::First, Some(end)));
    world.pay(&invoice).await;
    let paid = world.subscription(id).await;
    assert_eq!(paid.state, State::Active);
    assert_eq!(paid.period.unwrap().end(), end);
    world.advance_to(end).await;
    assert_eq!(world.subscription(id).await.period.unwrap().start(), end);
    world.assert_sound().await;
}

#[tokio::test]
async fn an_unpaid_trial_is_suspended_at_its_end_without_grace() {
    let world = world().await;
    let placed = world.trial(world.account(), offer(1190, Term::MONTH)).await.unwrap();
    world.work_off().await;
    world.advance(TimeDelta::days(3)).await;
    let state = world.subscription(placed.order.subscription).await.state;
    assert_eq!(state, State::Suspended { cause: SuspendCause::Unpaid });
    world.assert_sound().await;
}

#[tokio::test]
async fn case_048_an_order_nobody_pays_is_cancelled_with_its_invoice() {
    let world = world().await;
    let placed = world.order(world.account(), offer(1190, Term::MONTH)).await;
    world.advance(TimeDelta::hours(72)).await;
    let detail = world.billing.order(world.brand, placed.order.id, None).await.unwrap();
    assert_eq!(detail.order.state, order::State::Cancelled);
    assert_eq!(detail.invoice.unwrap().0.state, invoice::State::Void);
    let subscription = detail.subscription.unwrap().subscription;
    assert_eq!(subscription.state, State::Ended { cause: EndCause::Abandoned });
    let told = outbox(&world.database.pool).await;
    assert!(told.iter().all(|event| event.r#type != "billing.entitlement.changed.v1"));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_free_plan_is_settled_on_the_spot() {
    let world = world().await;
    let placed = world.order(world.account(), offer(0, Term::MONTH)).await;
    assert_eq!(placed.order.state, order::State::Paid);
    assert_eq!(placed.payment, None);
    let invoice = world.invoice_of(&placed).await;
    assert_eq!((invoice.state, invoice.number_text().as_str()), (invoice::State::Closed, "INV-2026-000001"));
    assert_eq!(world.subscription(placed.order.subscription).await.state, State::Active);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_quote_is_bought_once_in_time_and_by_whom_it_was_made_for() {
    let world = world().await;
    let (account, other) = (world.account(), world.account());
    let quote = world.quote(Some(account), offer(1190, Term::MONTH), false).await;
    let place = |account| world.billing.place_order(world.brand, placing(quote, account), None);
    assert_eq!(place(other).await.unwrap_err().reason, "QUOTE_NOT_FOUND");
    let first = place(account).await.unwrap();
    let again = place(account).await.unwrap();
    assert_eq!(first.order.id, again.order.id);

    let late = world.quote(Some(account), offer(1190, Term::MONTH), false).await;
    world.host.clock.advance(TimeDelta::minutes(30));
    let refused = world.billing.place_order(world.brand, placing(late, account), None).await.unwrap_err();
    assert_eq!(refused.reason, "QUOTE_EXPIRED");
    world.assert_sound().await;
}

#[tokio::test]
async fn the_set_up_fee_of_a_trial_is_charged_with_its_first_invoice_only() {
    let world = world().await;
    let mut offer = offer(1000, week());
    offer.setup_fee = Some(eur(500));
    let placed = world.trial(world.account(), offer).await.unwrap();
    world.work_off().await;
    let first = world.open_invoice(placed.order.subscription).await.unwrap();
    assert_eq!(first.totals.total, eur(1500));
    world.pay(&first).await;
    world.advance(TimeDelta::days(3)).await;
    world.advance(TimeDelta::days(4)).await;
    let renewal = world.open_invoice(placed.order.subscription).await.unwrap();
    assert_eq!(renewal.totals.total, Money::new(1000, first.totals.total.currency));
    world.assert_sound().await;
}

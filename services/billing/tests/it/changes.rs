//! Cancelling, resuming, staff's hands.

use billing::domain::subscription::{EndCause, State, SuspendCause};
use chrono::TimeDelta;
use ottery_kernel::Term;
use ottery_testkit::actor;
use ottery_testkit::recorder::outbox;

use crate::world::{offer, world};

#[tokio::test]
async fn case_112_a_cancelled_subscription_can_be_resumed_until_its_end_and_is_over_then() {
    let world = world().await;
    let subscription = world.subscriber(1190, Term::MONTH).await;
    let (id, owner) = (subscription.id, Some(subscription.account));
    let me = actor::customer(world.brand, subscription.account);
    let end = subscription.paid_through.unwrap();
    let cancelled = world.billing.cancel(world.brand, id, owner, "too dear", &me).await.unwrap();
    assert_eq!((cancelled.state, cancelled.cancel_at), (State::Active, Some(end)));
    world.advance_to(end - TimeDelta::hours(1)).await;
    assert_eq!(world.open_invoice(id).await, None);
    let resumed = world.billing.resume(world.brand, id, owner, &me).await.unwrap();
    assert_eq!(resumed.cancel_at, None);
    world.work_off().await;
    let invoice = world.open_invoice(id).await.expect("the renewal is issued after all");
    world.billing.cancel(world.brand, id, owner, "", &me).await.unwrap();
    assert_eq!(world.open_invoice(id).await, None);
    world.advance_to(end).await;
    assert_eq!(world.subscription(id).await.state, State::Ended { cause: EndCause::Cancelled });
    assert_eq!(world.invoice(invoice.id).await.state, billing::domain::invoice::State::Void);
    let refused = world.billing.resume(world.brand, id, owner, &me).await.unwrap_err();
    assert_eq!(refused.reason, "SUBSCRIPTION_STATE");
    world.assert_sound().await;
}

#[tokio::test]
async fn a_stranger_cannot_cancel_and_learns_nothing() {
    let world = world().await;
    let subscription = world.subscriber(1190, Term::MONTH).await;
    let stranger = world.account();
    let them = actor::customer(world.brand, stranger);
    let refused = world.billing.cancel(world.brand, subscription.id, Some(stranger), "", &them).await.unwrap_err();
    assert_eq!((refused.code, refused.reason.as_ref()), (tonic::Code::NotFound, "SUBSCRIPTION_NOT_FOUND"));
}

#[tokio::test]
async fn staff_suspends_and_lifts_and_the_audit_chain_hears_of_it() {
    let world = world().await;
    let subscription = world.subscriber(1190, Term::MONTH).await;
    let staff = actor::owner(world.brand);
    let suspended = world.billing.suspend(world.brand, subscription.id, "abuse", &staff).await.unwrap();
    assert_eq!(suspended.state, State::Suspended { cause: SuspendCause::Staff });
    let lifted = world.billing.unsuspend(world.brand, subscription.id, &staff).await.unwrap();
    assert_eq!(lifted.state, State::Active);
    world.billing.terminate(world.brand, subscription.id, "fraud", &staff).await.unwrap();
    let over = world.subscription(subscription.id).await;
    assert_eq!(over.state, State::Ended { cause: EndCause::Staff });
    let audited =
        outbox(&world.database.pool).await.iter().filter(|event| event.r#type.ends_with("audit.recorded.v1")).count();
    assert_eq!(audited, 3);
    world.assert_sound().await;
}

#[tokio::test]
async fn lifting_an_unpaid_suspension_gives_the_grace_once_more() {
    let world = world().await;
    let subscription = world.subscriber(1190, Term::MONTH).await;
    let end = subscription.paid_through.unwrap();
    world.advance_to(end - TimeDelta::hours(72)).await;
    world.advance_to(end).await;
    world.advance_to(end + TimeDelta::days(3)).await;
    let lifted = world.billing.unsuspend(world.brand, subscription.id, &actor::owner(world.brand)).await.unwrap();
    assert_eq!(lifted.state, State::PastDue { grace_until: world.now() + TimeDelta::days(3) });
    world.advance(TimeDelta::days(3)).await;
    let state = world.subscription(subscription.id).await.state;
    assert_eq!(state, State::Suspended { cause: SuspendCause::Unpaid });
    world.assert_sound().await;
}

#[tokio::test]
async fn cancelling_an_unpaid_order_ends_it_at_once() {
    let world = world().await;
    let placed = world.order(world.account(), offer(1190, Term::MONTH)).await;
    let me = actor::customer(world.brand, placed.order.account);
    let owner = Some(placed.order.account);
    world.billing.cancel(world.brand, placed.order.subscription, owner, "", &me).await.unwrap();
    let detail = world.billing.order(world.brand, placed.order.id, owner).await.unwrap();
    assert_eq!(detail.order.state, billing::domain::order::State::Cancelled);
    world.assert_sound().await;
}

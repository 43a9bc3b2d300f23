//! Resellers: what becomes of their clients while they do not pay, and whose client somebody is.

use billing::app::dunning::Decision;
use billing::app::reseller::Heir;
use billing::domain::dunning::campaign::HaltLimit;
use billing::domain::reseller::Standing;
use billing::domain::subscription::{State, Subscription, SuspendCause};
use billing::domain::time_machine::entry::{Entry, Kind};
use billing::domain::time_machine::{Assumption, Scenario};
use billing::store::Page;
use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, Term, TermUnit};
use ottery_kit::grpc::Actor;
use ottery_proto::billing::v1 as proto;
use ottery_testkit::recorder::{outbox, payload};

use crate::dunning::campaign;
use crate::shop::shop;
use crate::time_machine::{journey, with_scratch};
use crate::world::{World, week, world};

const ALL: Page = Page { before: None, limit: 100 };
const STOPPED: State = State::Suspended { cause: SuspendCause::Reseller };

fn year() -> Term {
    Term::try_new(1, TermUnit::Year).unwrap()
}

impl World {
    fn owner(&self) -> Actor {
        ottery_testkit::actor::owner(self.brand)
    }

    async fn make_reseller(&self, account: AccountId, grace_days: u32) {
        self.billing.put_reseller(self.brand, account, grace_days, &self.owner()).await.unwrap();
    }

    async fn assign(&self, client: AccountId, reseller: Option<AccountId>) {
        self.billing.assign_client(self.brand, client, reseller, &self.owner()).await.unwrap();
    }

    async fn standing(&self, reseller: AccountId) -> Standing {
        self.billing.reseller(self.brand, reseller).await.unwrap().standing
    }

    /// What panels were told last of a subscription.
    async fn wanted(&self, subscription: &Subscription) -> proto::entitlement_changed::Wanted {
        let events = outbox(&self.database.pool).await;
        let told = events.iter().filter(|event| event.r#type == "billing.entitlement.changed.v1");
        let mut told = told.map(payload::<proto::EntitlementChanged>);
        let last = told.rfind(|told| told.subscription_id == subscription.id.to_string());
        last.expect("the panel was told").wanted()
    }
}

/// A reseller on a weekly plan with a grace of 14 days, so many clients on yearly ones, and when the reseller's renewal is due.
async fn reselling(world: &World, clients: usize) -> (Subscription, Vec<Subscription>, DateTime<Utc>) {
    let reseller = world.subscriber(1190, week()).await;
    world.make_reseller(reseller.account, 14).await;
    let mut own = Vec::new();
    for _ in 0..clients {
        let client = world.subscriber(9900, year()).await;
        world.assign(client.account, Some(reseller.account)).await;
        own.push(client);
    }
    // Issued in time.
    world.advance_to(reseller.paid_through.unwrap() - TimeDelta::hours(72)).await;
    let due = world.open_invoice(reseller.id).await.unwrap().due_at.unwrap();
    (reseller, own, due)
}

#[tokio::test]
async fn case_117_clients_of_a_reseller_who_does_not_pay_are_served_for_the_grace_and_again_after_payment() {
    let world = world().await;
    let (reseller, clients, due) = reselling(&world, 2).await;
    let stranger = world.subscriber(9900, year()).await;
    let client = &clients[0];
    world.advance_to(due + TimeDelta::hours(1)).await;
    let until = due + TimeDelta::days(14);
    assert_eq!(world.standing(reseller.account).await, Standing::Overdue { since: due, until });

    // Long after the reseller's own subscription is suspended, clients are served.
    world.advance_to(until - TimeDelta::seconds(1)).await;
    assert_eq!(world.subscription(reseller.id).await.state, State::Suspended { cause: SuspendCause::Unpaid });
    assert_eq!(world.subscription(client.id).await.state, State::Active);
    world.advance_to(until).await;
    assert_eq!(world.standing(reseller.account).await, Standing::Lapsed { since: until });
    for client in &clients {
        assert_eq!(world.subscription(client.id).await.state, STOPPED);
        assert_eq!(world.wanted(client).await, proto::entitlement_changed::Wanted::Suspended);
    }
    assert_eq!(world.subscription(stranger.id).await.state, State::Active, "somebody else's customer is served");
    let listed = world.billing.clients(world.brand, reseller.account, ALL).await.unwrap();
    assert_eq!(listed.iter().map(|client| client.stopped).collect::<Vec<_>>(), [1, 1]);

    // Looking again changes nothing.
    assert_eq!(world.billing.serve_clients(world.brand).await.unwrap(), 0);
    world.assert_sound().await;

    // The reseller pays; their clients lose none of what they paid.
    let owed = world.open_invoice(reseller.id).await.unwrap();
    world.pay(&owed).await;
    world.work_off().await;
    assert_eq!(world.standing(reseller.account).await, Standing::Fine);
    for client in &clients {
        let now = world.subscription(client.id).await;
        assert_eq!((now.state, now.paid_through), (State::Active, client.paid_through));
        assert_eq!(world.wanted(client).await, proto::entitlement_changed::Wanted::Active);
    }
    world.assert_sound().await;
}

#[tokio::test]
async fn case_117_a_client_who_leaves_is_served_and_one_who_comes_is_not() {
    let world = world().await;
    let (reseller, clients, due) = reselling(&world, 1).await;
    world.advance_to(due + TimeDelta::days(14)).await;
    assert_eq!(world.subscription(clients[0].id).await.state, STOPPED);
    let owner = world.owner();
    let refused = world.billing.unsuspend(world.brand, clients[0].id, &owner).await.unwrap_err();
    assert_eq!(refused.reason, "RESELLER_OVERDUE");

    let other = world.subscriber(9900, year()).await;
    world.assign(clients[0].account, None).await;
    world.assign(other.account, Some(reseller.account)).await;
    world.work_off().await;
    assert_eq!(world.subscription(clients[0].id).await.state, State::Active);
    assert_eq!(world.subscription(other.id).await.state, STOPPED);

    // Staff may serve one nevertheless, until a day.
    let until = world.now() + TimeDelta::days(3);
    world.billing.hold_suspension(world.brand, other.id, until, "a hotel with guests", &owner).await.unwrap();
    world.work_off().await;
    assert_eq!(world.subscription(other.id).await.state, State::Active);
    world.advance_to(until).await;
    assert_eq!(world.subscription(other.id).await.state, STOPPED);

    // A longer grace counts at once.
    world.make_reseller(reseller.account, 60).await;
    world.work_off().await;
    assert_eq!(world.subscription(other.id).await.state, State::Active);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_117_what_staff_stopped_and_what_a_client_owes_stays_stopped_when_the_reseller_pays() {
    let world = world().await;
    let (reseller, clients, due) = reselling(&world, 2).await;
    let owner = world.owner();
    world.advance_to(due + TimeDelta::days(14)).await;
    world.billing.suspend(world.brand, clients[0].id, "abuse", &owner).await.unwrap();
    let owed = world.open_invoice(reseller.id).await.unwrap();
    world.pay(&owed).await;
    world.work_off().await;
    let state = world.subscription(clients[0].id).await.state;
    assert_eq!(state, State::Suspended { cause: SuspendCause::Staff });
    assert_eq!(world.subscription(clients[1].id).await.state, State::Active);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_117_a_payment_of_the_reseller_that_is_under_way_holds_the_stop() {
    let shop = shop().await;
    let world = &shop.world;
    let (payment, _) = shop.order().await;
    world.make_reseller(payment.account, 0).await;
    let client = world.subscriber(9900, year()).await;
    world.assign(client.account, Some(payment.account)).await;
    world.advance(TimeDelta::minutes(1)).await;
    assert!(matches!(world.standing(payment.account).await, Standing::Lapsed { .. }));
    assert_eq!(world.subscription(client.id).await.state, STOPPED);

    // A direct debit: the provider has accepted it and takes days.
    sqlx::query("UPDATE payment SET is_processing = true WHERE id = $1")
        .bind(payment.id.as_uuid())
        .execute(&world.database.admin_pool)
        .await
        .unwrap();
    world.work_off().await;
    assert_eq!(world.subscription(client.id).await.state, State::Active);
}

#[tokio::test]
async fn case_009_clients_of_a_large_reseller_are_not_stopped_before_staff_have_looked() {
    let world = world().await;
    let mut wary = campaign();
    wary.halt = HaltLimit { count: 3, share_percent: 1 };
    world.save_campaign(wary).await;
    let (reseller, clients, due) = reselling(&world, 5).await;
    world.advance_to(due + TimeDelta::days(14)).await;
    let stopped = async || {
        let mut count = 0;
        for client in &clients {
            count += usize::from(world.subscription(client.id).await.state == STOPPED);
        }
        count
    };
    assert_eq!(stopped().await, 0);
    let list = world.billing.held_suspensions(world.brand, None, 100).await.unwrap();
    let held = list.rows.iter().filter(|row| clients.iter().any(|client| client.id == row.subscription)).count();
    assert!(list.halted_at.is_some() && held == 5, "{list:?}");
    world
        .billing
        .decide_held(world.brand, list.as_of, &Decision::Suspend, "the reseller is gone", &world.owner())
        .await
        .unwrap();
    world.work_off().await;
    assert_eq!(stopped().await, 5);
    assert_eq!(world.standing(reseller.account).await.as_str(), "lapsed");
}

#[tokio::test]
async fn case_116_a_reseller_with_clients_stays_one_until_somebody_gets_them() {
    let world = world().await;
    let (reseller, clients, _) = reselling(&world, 2).await;
    let (brand, owner) = (world.brand, world.owner());
    let remove = async |account, heir| world.billing.remove_reseller(brand, account, heir, &owner).await;
    let refused = remove(reseller.account, Heir::Nobody).await.unwrap_err();
    assert_eq!((&*refused.reason, refused.field.as_deref()), ("HAS_CLIENTS", Some("clients_to")));
    let same = remove(reseller.account, Heir::Reseller(reseller.account)).await.unwrap_err();
    assert_eq!(same.reason, "SAME_ACCOUNT");
    let other = world.subscriber(1190, week()).await;
    let unknown = remove(reseller.account, Heir::Reseller(other.account)).await.unwrap_err();
    assert_eq!((&*unknown.reason, unknown.field.as_deref()), ("RESELLER_NOT_FOUND", Some("clients_to")));

    world.make_reseller(other.account, 7).await;
    assert_eq!(remove(reseller.account, Heir::Reseller(other.account)).await.unwrap(), 2);
    let theirs = world.billing.clients(brand, other.account, ALL).await.unwrap();
    assert_eq!(theirs.len(), clients.len());
    assert_eq!(world.billing.reseller(brand, reseller.account).await.unwrap_err().reason, "RESELLER_NOT_FOUND");
    assert_eq!(remove(other.account, Heir::Operator).await.unwrap(), 2);
    assert!(world.billing.resellers(brand, ALL).await.unwrap().is_empty());
}

#[tokio::test]
async fn who_cannot_be_a_reseller_or_a_client_is_told_why() {
    let world = world().await;
    let (reseller, clients, _) = reselling(&world, 1).await;
    let (brand, owner) = (world.brand, world.owner());
    let stranger = AccountId::new(world.now());
    let put = async |account, days| world.billing.put_reseller(brand, account, days, &owner).await.unwrap_err();
    let said =
        |problem: &ottery_kit::grpc::Problem| (problem.reason.to_string(), problem.field.clone().unwrap_or_default());
    assert_eq!(said(&put(stranger, 7).await), ("CUSTOMER_NOT_FOUND".into(), "account_id".into()));
    assert_eq!(said(&put(clients[0].account, 7).await), ("IS_CLIENT".into(), "account_id".into()));
    assert_eq!(said(&put(reseller.account, 366).await), ("GRACE_DAYS".into(), "grace_days".into()));

    let assign = async |client, to| world.billing.assign_client(brand, client, Some(to), &owner).await.unwrap_err();
    assert_eq!(said(&assign(stranger, reseller.account).await), ("CUSTOMER_NOT_FOUND".into(), "account_id".into()));
    let other = world.subscriber(1190, week()).await;
    assert_eq!(said(&assign(other.account, stranger).await), ("RESELLER_NOT_FOUND".into(), "reseller_id".into()));
    world.make_reseller(other.account, 7).await;
    assert_eq!(said(&assign(other.account, reseller.account).await), ("IS_RESELLER".into(), "account_id".into()));
}

#[tokio::test]
async fn the_time_machine_sees_clients_stop() {
    let mut world = world().await;
    let _scratch = with_scratch(&mut world.billing).await;
    let (_, clients, _) = reselling(&world, 2).await;
    let (journey, entries) = journey(&world, &Scenario::unchanged(Assumption::Succeed), 30).await;
    for client in &clients {
        let of_client = |entry: &&Entry| entry.kind == Kind::Suspension && entry.subscription == Some(client.id);
        let stops: Vec<_> = entries.iter().filter(of_client).map(|entry| entry.outcome.as_str()).collect();
        assert_eq!(stops, ["reseller_overdue"]);
        assert_eq!(world.subscription(client.id).await.state, State::Active, "nothing happened really");
    }
    journey.end().await.unwrap();
}

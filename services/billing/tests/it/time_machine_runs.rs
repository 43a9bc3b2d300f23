//! Runs of the time machine as jobs: one at a time, whatever happens to whoever works them off.

use std::sync::Arc;

use billing::app::Billing;
use billing::app::order::Idempotency;
use billing::app::time_machine::SCRATCH;
use billing::domain::time_machine::ask::Ask;
use billing::domain::time_machine::entry::Kind;
use billing::domain::time_machine::run::{Run, RunId, Side, State};
use billing::domain::time_machine::{Assumption, Class, Scenario};
use chrono::TimeDelta;
use ottery_kernel::Term;
use ottery_kit::Running;
use ottery_kit::db;
use ottery_kit::grpc::Problem;
use ottery_kit::idempotency::KeyScope;
use ottery_proto::billing::v1 as proto;
use ottery_proto::billing::v1::time_machine_service_client::TimeMachineServiceClient;
use ottery_proto::notification::v1::notification_service_server::{NotificationService, NotificationServiceServer};
use ottery_proto::notification::v1::{
    Delivery, ForeseeMailsReply, ForeseeMailsRequest, ListDeliveriesReply, ListDeliveriesRequest, ListTemplatesReply,
    ListTemplatesRequest, PreviewTemplateReply, PreviewTemplateRequest, PutTemplateRequest, ResendDeliveryRequest,
    Template,
};
use ottery_testkit::TestDatabase;
use ottery_testkit::actor::owner;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::time_machine::with_scratch;
use crate::world::{World, world};

/// Says that reminders are mails.
struct Postbox;

macro_rules! nobody_asks {
    ($($method:ident $request:ty => $reply:ty;)*) => {
        #[tonic::async_trait]
        impl NotificationService for Postbox {
            $(async fn $method(&self, _: Request<$request>) -> Result<Response<$reply>, Status> {
                Err(Status::unimplemented("nobody asks"))
            })*

            async fn foresee_mails(
                &self,
                request: Request<ForeseeMailsRequest>,
            ) -> Result<Response<ForeseeMailsReply>, Status> {
                let is_mail = |kind: &str| kind == "billing.reminder.due.v1";
                let events = request.into_inner().events;
                let templates = events
                    .iter()
                    .map(|event| if is_mail(&event.r#type) { "payment.reminder".to_owned() } else { String::new() })
                    .collect();
                Ok(Response::new(ForeseeMailsReply { templates }))
            }
        }
    };
}

nobody_asks! {
    list_deliveries ListDeliveriesRequest => ListDeliveriesReply;
    resend_delivery ResendDeliveryRequest => Delivery;
    list_templates ListTemplatesRequest => ListTemplatesReply;
    put_template PutTemplateRequest => Template;
    preview_template PreviewTemplateRequest => PreviewTemplateReply;
}

struct Works {
    world: World,
    scratch: TestDatabase,
    _notification: Running,
}

async fn works() -> Works {
    let mut world = world().await;
    let scratch = with_scratch(&mut world.billing).await;
    let routes = tonic::service::Routes::new(NotificationServiceServer::new(Postbox));
    let notification = world.host.stand_in("notification", routes).await;
    Works { world, scratch, _notification: notification }
}

impl Works {
    fn ask(&self, days: i64) -> Ask {
        Ask {
            to: self.world.now() + TimeDelta::days(days),
            step_minutes: 60,
            base: Scenario::unchanged(Assumption::Succeed),
            other: None,
        }
    }

    async fn asked(&self, ask: Ask) -> Run {
        let brand = self.world.brand;
        self.world.billing.ask_time_machine(&owner(brand), brand, ask, None).await.expect("it is in the queue")
    }

    async fn state(&self, id: RunId) -> State {
        self.world.billing.time_machine_run(self.world.brand, id).await.expect("there").0.state
    }

    async fn work(&self, who: &str) -> bool {
        self.world.billing.work_time_machine(who, &CancellationToken::new()).await.expect("worked")
    }

    /// Somebody who works until they are told to stop, or killed.
    fn worker(&self, who: &'static str, stop: &CancellationToken) -> tokio::task::JoinHandle<bool> {
        let (billing, stop): (Billing, _) = (self.world.billing.clone(), stop.clone());
        tokio::spawn(async move { billing.work_time_machine(who, &stop).await.expect("worked") })
    }

    async fn until_it_runs(&self, id: RunId) {
        while !matches!(self.state(id).await, State::Running { reached: Some(_), .. }) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    async fn is_empty(&self) -> bool {
        db::is_scratch_empty(&self.world.billing.host.db, SCRATCH).await.expect("readable")
    }

    async fn execute(&self, statement: &'static str) {
        sqlx::query(statement).execute(&self.world.database.admin_pool).await.expect("executed");
    }
}

#[tokio::test]
async fn a_run_is_worked_off_and_says_what_would_happen() {
    let works = works().await;
    let subscription = works.world.subscriber(1190, Term::MONTH).await;
    let run = works.asked(works.ask(40)).await;
    assert_eq!(works.state(run.id).await, State::Queued);
    assert!(works.work("one").await);
    assert!(!works.work("one").await, "nothing waits any more");
    assert!(works.is_empty().await);

    let brand = works.world.brand;
    let (run, totals) = works.world.billing.time_machine_run(brand, run.id).await.unwrap();
    assert_eq!((run.state, run.begins), (State::Done, Some(works.world.now())));
    let entries =
        works.world.billing.time_machine_entries(brand, run.id, (Side::Base, None), None, 100).await.expect("kept");
    assert!(entries.iter().all(|entry| entry.subscription == Some(subscription.id)), "{entries:?}");
    let count = |kind: Kind| entries.iter().filter(|entry| entry.kind == kind).count();
    assert_eq!((count(Kind::Invoice), count(Kind::Suspension)), (1, 1));
    let mails: Vec<&str> =
        entries.iter().filter(|entry| entry.kind == Kind::Mail).map(|entry| entry.outcome.as_str()).collect();
    assert_eq!(mails, ["payment.reminder"; 3], "a day before, a day and two days after it is due");
    let counted: u64 = totals.iter().map(|total| total.count).sum();
    assert_eq!(counted, entries.len() as u64);

    // Pages go on where the one before ended.
    let mut paged = Vec::new();
    loop {
        let after = paged.last().map(|last: &billing::domain::time_machine::entry::Entry| {
            billing::store::time_machine_run::After { at: last.at, key: last.key.clone() }
        });
        let what = (Side::Base, None);
        let page = works.world.billing.time_machine_entries(brand, run.id, what, after.as_ref(), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, entries);

    // And then it is forgotten.
    works.execute("UPDATE time_machine_turn SET keep_until = now()").await;
    works.work("one").await;
    let gone = works.world.billing.time_machine_run(brand, run.id).await.unwrap_err();
    assert_eq!(gone.reason, "TIME_MACHINE_RUN_NOT_FOUND");
}

#[tokio::test]
async fn two_settings_are_held_against_each_other() {
    let works = works().await;
    works.world.subscriber(1190, Term::MONTH).await;
    works.world.subscriber(9900, Term::YEAR).await;
    let base = works.ask(60);
    let other = Scenario { grace_days: Some(10), ..base.base.clone() };
    let run = works.asked(Ask { other: Some(other), ..base }).await;
    works.work("one").await;
    let brand = works.world.brand;
    let differences = works.world.billing.time_machine_differences(brand, run.id, None, None, 100).await.unwrap();
    assert!(!differences.is_empty());
    let of = |kind: Kind| differences.iter().filter(move |one| one.base.as_ref().is_some_and(|base| base.kind == kind));
    let (base, other) = of(Kind::Suspension)
        .map(|one| (one.base.clone().unwrap(), one.other.clone().unwrap()))
        .next()
        .expect("the suspension is another day");
    assert_eq!(other.at - base.at, TimeDelta::days(7));
    assert_eq!(of(Kind::Mail).count(), 0, "reminders are the same");
    // Page by page it is the same.
    let mut paged = Vec::new();
    loop {
        let last = paged.last().map(|one: &billing::domain::time_machine::run::Difference| {
            one.base.clone().or_else(|| one.other.clone()).unwrap()
        });
        let after = last.as_ref().map(|last| (last.kind, last.key.as_str()));
        let page = works.world.billing.time_machine_differences(brand, run.id, None, after, 1).await.unwrap();
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, differences);
}

#[tokio::test]
async fn one_run_at_a_time_and_the_next_one_waits() {
    let works = works().await;
    for _ in 0..5 {
        works.world.subscriber(1190, Term::MONTH).await;
    }
    let long = Ask { step_minutes: 5, ..works.ask(60) };
    let first = works.asked(long).await;
    let second = works.asked(works.ask(2)).await;
    let stop = CancellationToken::new();
    let at_work = works.worker("one", &stop);
    works.until_it_runs(first.id).await;
    assert!(!works.work("two").await, "somebody is at work");
    assert_eq!(works.state(second.id).await, State::Queued);
    assert!(at_work.await.unwrap());
    assert_eq!(works.state(first.id).await, State::Done);
    assert!(works.work("two").await);
    assert_eq!(works.state(second.id).await, State::Done);
}

#[tokio::test]
async fn killed_in_the_middle_it_begins_anew_and_killed_twice_it_is_given_up() {
    let works = works().await;
    for _ in 0..5 {
        works.world.subscriber(1190, Term::MONTH).await;
    }
    let run = works.asked(Ask { step_minutes: 5, ..works.ask(400) }).await;
    let never = CancellationToken::new();
    for who in ["one", "two"] {
        let at_work = works.worker(who, &never);
        works.until_it_runs(run.id).await;
        at_work.abort();
        assert!(at_work.await.unwrap_err().is_cancelled());
        assert!(!works.is_empty().await, "nobody could clear up");
        assert!(!works.work("somebody else").await, "the lease is not over");
        works.execute("UPDATE worker_lease SET lease_until = '-infinity'").await;
        works.execute("UPDATE time_machine_run SET reached = NULL").await;
    }
    assert!(works.work("three").await);
    let State::Failed(failure) = works.state(run.id).await else { panic!("it was killed twice") };
    assert_eq!(failure.code, "INTERRUPTED");
    assert!(works.is_empty().await, "what was left behind is gone");

    // Killed once, it is finished by the next.
    let run = works.asked(works.ask(40)).await;
    works.execute("UPDATE time_machine_turn SET tries = 1 WHERE keep_until IS NULL").await;
    assert!(works.work("four").await);
    assert_eq!(works.state(run.id).await, State::Done);
}

#[tokio::test]
async fn a_process_that_stops_in_order_gives_the_run_back() {
    let works = works().await;
    works.world.subscriber(1190, Term::MONTH).await;
    let run = works.asked(Ask { step_minutes: 5, ..works.ask(400) }).await;
    let stop = CancellationToken::new();
    let at_work = works.worker("one", &stop);
    works.until_it_runs(run.id).await;
    stop.cancel();
    at_work.await.unwrap();
    assert_eq!(works.state(run.id).await, State::Queued);
    assert!(works.is_empty().await);
    let tries: i32 = sqlx::query_scalar("SELECT tries FROM time_machine_turn")
        .fetch_one(&works.world.database.admin_pool)
        .await
        .unwrap();
    assert_eq!(tries, 0, "it was nobody's fault");
}

#[tokio::test]
async fn who_lost_the_lease_keeps_nothing() {
    let works = works().await;
    works.world.subscriber(1190, Term::MONTH).await;
    let run = works.asked(Ask { step_minutes: 5, ..works.ask(400) }).await;
    let at_work = works.worker("slow", &CancellationToken::new());
    works.until_it_runs(run.id).await;
    works
        .execute("UPDATE worker_lease SET owner = 'fast', token = token + 1, lease_until = now() + interval '1 hour'")
        .await;
    at_work.await.unwrap();
    assert!(matches!(works.state(run.id).await, State::Running { .. }), "it is the other's to finish");
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM time_machine_entry")
        .fetch_one(&works.world.database.admin_pool)
        .await
        .unwrap();
    assert_eq!(kept, 0);
}

#[tokio::test]
async fn without_a_scratch_database_a_run_says_what_to_do() {
    let mut works = works().await;
    works.world.billing.host.db = works.world.billing.host.db.clone().with_database(SCRATCH, "ottery_nowhere");
    works.world.subscriber(1190, Term::MONTH).await;
    let run = works.asked(works.ask(2)).await;
    assert!(works.work("one").await);
    let State::Failed(failure) = works.state(run.id).await else { panic!("there is no such database") };
    assert_eq!(failure.code, "SCRATCH_UNAVAILABLE");
    assert!(failure.message.contains("ottery migrate"), "{}", failure.message);
    drop(works.scratch);
}

#[tokio::test]
async fn the_same_key_asks_once_and_the_queue_has_an_end() {
    let works = works().await;
    let brand = works.world.brand;
    let key = |hash: u8| Idempotency {
        scope: KeyScope { brand: Some(brand), actor: "staff".into(), route: "billing.AskTimeMachine" },
        key: "form-1".into(),
        hash: [hash; 32],
    };
    let ask = |call: Idempotency| {
        let (billing, ask) = (Arc::new(works.world.billing.clone()), works.ask(2));
        async move { billing.ask_time_machine(&owner(brand), brand, ask, Some(call)).await }
    };
    let first = ask(key(1)).await.unwrap();
    assert_eq!(ask(key(1)).await.unwrap(), first);
    assert!(ask(key(2)).await.is_err(), "the key was used for something else");
    for _ in 1..5 {
        works.asked(works.ask(2)).await;
    }
    let full = works.world.billing.ask_time_machine(&owner(brand), brand, works.ask(2), None).await.unwrap_err();
    assert_eq!(full.reason, "TIME_MACHINE_BUSY");
}

#[tokio::test]
async fn a_call_that_breaks_a_rule_names_its_field() {
    let world = world().await;
    let service = billing::build(crate::world::config(), world.host.of(billing::NAME)).await.unwrap();
    let _running = world.host.start(vec![service]).await;
    let mut staff = TimeMachineServiceClient::new(world.host.channel(billing::NAME, owner(world.brand)));
    let at = |days: i64| Some(billing::contract::timestamp(world.now() + TimeDelta::days(days)));
    let scenario = |charges: proto::charge_assumption::Charges| proto::TimeMachineScenario {
        assumption: Some(proto::ChargeAssumption { charges: charges.into(), ..Default::default() }),
        ..proto::TimeMachineScenario::default()
    };
    let succeed = || Some(scenario(proto::charge_assumption::Charges::Succeed));
    let asked = proto::AskTimeMachineRequest { to: at(30), step_minutes: 0, base: succeed(), other: None };
    let cases = [
        (proto::AskTimeMachineRequest { to: None, ..asked.clone() }, "to"),
        (proto::AskTimeMachineRequest { to: at(-1), ..asked.clone() }, "to"),
        (proto::AskTimeMachineRequest { to: at(401), ..asked.clone() }, "to"),
        (proto::AskTimeMachineRequest { base: None, ..asked.clone() }, "base"),
        (
            proto::AskTimeMachineRequest { base: Some(proto::TimeMachineScenario::default()), ..asked.clone() },
            "base.assumption.charges",
        ),
        (
            proto::AskTimeMachineRequest {
                other: Some(scenario(proto::charge_assumption::Charges::Decline)),
                ..asked.clone()
            },
            "other.assumption.decline",
        ),
        (proto::AskTimeMachineRequest { other: succeed(), ..asked.clone() }, "other"),
        (
            proto::AskTimeMachineRequest {
                base: Some(proto::TimeMachineScenario {
                    campaign: Some(proto::Campaign::default()),
                    ..scenario(proto::charge_assumption::Charges::Succeed)
                }),
                ..asked.clone()
            },
            "base.campaign",
        ),
    ];
    for (request, field) in cases {
        let refused = Problem::from(staff.ask_time_machine(request).await.unwrap_err());
        let named = refused.field.as_deref().unwrap_or_default();
        assert!(named.starts_with(field), "{field}: {refused:?}");
    }
    let run = staff.ask_time_machine(asked).await.unwrap().into_inner();
    assert_eq!((run.state(), run.step_minutes), (proto::time_machine_run::State::Queued, 60));
    let listed = staff.list_time_machine_runs(proto::ListTimeMachineRunsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.runs[0].id, run.id);
    let stranger = ottery_testkit::actor::customer(world.brand, world.account());
    let mut stranger = TimeMachineServiceClient::new(world.host.channel(billing::NAME, stranger));
    let refused = stranger.get_time_machine_run(proto::GetTimeMachineRunRequest { run_id: run.id }).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
}

#[test]
fn the_assumption_of_an_ask_survives_the_store() {
    let base = Scenario::unchanged(Assumption::Share { declined_bp: 2_500, class: Class::Hard, seed: u64::MAX });
    let ask = Ask { to: chrono::DateTime::UNIX_EPOCH, step_minutes: 5, base, other: None };
    let text = serde_json::to_string(&ask).unwrap();
    assert_eq!(serde_json::from_str::<Ask>(&text).unwrap(), ask);
}

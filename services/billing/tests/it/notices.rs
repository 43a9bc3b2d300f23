//! Reminders that customers read in their account.

use billing::app::dunning::Shown;
use billing::app::pay_link::Standing;
use billing::domain::dunning::campaign::{Campaign, Channel, Contact};
use chrono::TimeDelta;
use ottery_kernel::{AccountId, Term};
use ottery_kit::grpc::Problem;
use ottery_proto::billing::v1 as proto;
use ottery_proto::billing::v1::dunning_service_client::DunningServiceClient;
use ottery_proto::billing::v1::simulate_reply::What;
use ottery_testkit::actor;
use ottery_testkit::recorder::{outbox, payload};

use crate::calls::served;
use crate::dunning::campaign;
use crate::world::{World, world};

/// By mail before it is due, in the account a day after, by both on the fourth day.
fn quietly() -> Campaign {
    let contact = |hours, channels: &[Channel]| Contact { hours, channels: channels.to_vec() };
    let contacts = vec![
        contact(-48, &[Channel::Mail]),
        contact(24, &[Channel::InApp]),
        contact(96, &[Channel::Mail, Channel::InApp]),
    ];
    Campaign { contacts, window: None, ..campaign() }
}

impl World {
    async fn reads(&self, account: AccountId) -> Vec<Shown> {
        self.billing.notices(self.brand, account).await.unwrap().0
    }

    /// Whether each reminder so far was quiet.
    async fn quiet(&self) -> Vec<bool> {
        let events = outbox(&self.database.pool).await;
        let told = events.iter().filter(|event| event.r#type == "billing.reminder.due.v1");
        told.map(|event| payload::<proto::ReminderDue>(event).quiet).collect()
    }
}

#[tokio::test]
async fn a_notice_is_in_the_account_until_it_is_paid_or_hidden_and_the_next_step_says_it_again() {
    let world = world().await;
    world.save_campaign(quietly()).await;
    let subscription = world.subscriber(1190, Term::MONTH).await;
    let (account, end) = (subscription.account, subscription.paid_through.unwrap());
    world.advance_to(end - TimeDelta::hours(72)).await;
    let invoice = world.open_invoice(subscription.id).await.unwrap();
    world.advance_to(end - TimeDelta::hours(48)).await;
    assert!(world.reads(account).await.is_empty(), "the first is a mail");
    world.advance_to(end + TimeDelta::hours(24)).await;
    assert_eq!(world.quiet().await, [false, true]);
    let [shown] = world.reads(account).await.try_into().unwrap();
    assert_eq!((shown.notice.invoice, shown.notice.step, shown.left), (invoice.id, 2, invoice.totals.total));
    assert!(shown.is_overdue(world.now()) && shown.notice.plan_name == "Family");
    let link = world.billing.read_pay_link(world.brand, &shown.pay_token).await.unwrap();
    assert_eq!((link.standing, link.amount), (Standing::Open, invoice.totals.total));

    let stranger = world.account();
    assert!(world.reads(stranger).await.is_empty());
    let refused = world.billing.dismiss_notice(world.brand, stranger, invoice.id).await.unwrap_err();
    assert_eq!((refused.reason.as_ref(), refused.field.as_deref()), ("NOTICE_NOT_FOUND", Some("invoice_id")));
    for _ in 0..2 {
        world.billing.dismiss_notice(world.brand, account, invoice.id).await.unwrap();
    }
    assert!(world.reads(account).await.is_empty());
    world.advance_to(end + TimeDelta::hours(96)).await;
    assert_eq!(world.quiet().await, [false, true, false]);
    assert_eq!(world.reads(account).await.iter().map(|shown| shown.notice.step).collect::<Vec<_>>(), [3]);
    world.pay(&world.invoice(invoice.id).await).await;
    assert!(world.reads(account).await.is_empty(), "what is paid is not shown");
    world.assert_sound().await;
}

#[tokio::test]
async fn the_timeline_says_by_which_channel_each_step_is_heard_of_and_customers_read_their_own_only() {
    let served = served().await;
    let world = &served.world;
    world.save_campaign(quietly()).await;
    let client = |actor| DunningServiceClient::new(world.host.channel(billing::NAME, actor));
    let sample = proto::simulate_request::Sample { methods: 0, ..Default::default() };
    let asked = proto::SimulateRequest {
        sample: Some(sample),
        decline: proto::simulate_request::Decline::Soft.into(),
        ..proto::SimulateRequest::default()
    };
    let told = client(actor::owner(world.brand)).simulate(asked).await.unwrap().into_inner();
    let reminders: Vec<_> = told
        .moments
        .iter()
        .filter(|moment| moment.what() == What::Remind)
        .map(|moment| (moment.told, moment.channels().collect::<Vec<_>>()))
        .collect();
    use proto::campaign::Channel::{InApp, Mail};
    assert_eq!(reminders, [(true, vec![Mail]), (false, vec![InApp]), (true, vec![Mail, InApp])]);

    let subscription = world.subscriber(1190, Term::MONTH).await;
    let end = subscription.paid_through.unwrap();
    for hours in [-72, -48, 24] {
        world.advance_to(end + TimeDelta::hours(hours)).await;
    }
    let own = actor::customer(world.brand, subscription.account);
    let mine =
        client(own.clone()).list_notices(proto::ListNoticesRequest::default()).await.unwrap().into_inner().notices;
    assert_eq!((mine.len(), mine[0].overdue, mine[0].pay_token.len()), (1, true, 82));
    let asked = proto::ListNoticesRequest { account_id: subscription.account.to_string() };
    let staff = actor::staff(world.brand, ["invoice.read"]);
    let seen = client(staff.clone()).list_notices(asked).await.unwrap().into_inner().notices;
    assert_eq!((seen.len(), seen[0].pay_token.as_str()), (1, ""));
    let dismiss = proto::DismissNoticeRequest { invoice_id: mine[0].invoice_id.clone() };
    let refused = client(staff).dismiss_notice(dismiss.clone()).await.map_err(Problem::from).unwrap_err();
    assert_eq!(refused.reason, "NOT_YOURS");
    client(own).dismiss_notice(dismiss).await.unwrap();
    assert!(world.reads(subscription.account).await.is_empty());
}

use std::sync::atomic::Ordering;
use std::time::Duration;

use ottery_kernel::BrandId;
use ottery_proto::billing::v1::by_hand_told::What;
use ottery_proto::billing::v1::{
    ByHandTold, DunningSuspended, Invoice, MethodExpiring, Order, OrderDeclined, Payment, PaymentFailed, ReminderDue,
    Subscription, SubscriptionChanged, payment, subscription,
};
use ottery_proto::common::v1::Money;
use ottery_proto::identity::v1::mail_requested::Purpose;
use ottery_proto::notification::v1::{ResendDeliveryRequest, delivery::State};
use ottery_proto::provisioning::v1::{Service, ServiceChanged};
use ottery_testkit::host::noon;
use ottery_testkit::recorder::timestamp;

use crate::world::{PASSWORD, PAY_TOKEN, TOKEN, closed_port, config, sandbox, world, world_with};

#[tokio::test]
async fn a_mail_arrives_once_with_its_link_however_often_the_event_comes() {
    let world = world().await;
    let event = world.request(Purpose::VerifyEmail, "ada@example.org", "en-GB", Some(world.brand)).await;
    let sent = world.settled("ada@example.org", State::Sent).await;
    world.publish(&event).await;
    // The same event under the eyes of a consumer that lost its memory.
    sqlx::query("DELETE FROM inbox").execute(&world.database.admin_pool).await.unwrap();
    world.publish(&event).await;
    tokio::time::sleep(Duration::from_millis(800)).await;

    let inbox = world.inbox("ada@example.org").await;
    assert_eq!(inbox.len(), 1);
    assert_eq!(
        (inbox[0]["subject"].as_str(), inbox[0]["from"].as_str()),
        (Some("Confirm your e-mail address"), Some("shop@blue.example"))
    );
    let text = inbox[0]["text"].as_str().unwrap().replace("\r\n", "\n");
    assert!(text.starts_with("Hello Ada,\n"), "{text}");
    assert!(text.contains(&format!("http://blue.example:8080/account/verify?token={TOKEN}")), "{text}");
    let html = inbox[0]["html"].as_str().unwrap();
    assert!(html.contains("#aa0011") && html.contains("Blue TV"));
    let raw = inbox[0]["raw"].as_str().unwrap();
    assert!(
        raw.contains(&format!("Message-ID: {}", sent.message_id)) && sent.message_id.ends_with("@blue.example>"),
        "{raw}"
    );
    let lower = raw.to_lowercase();
    assert!(!lower.contains("ottery") && !lower.contains("user-agent") && !lower.contains("x-mailer"), "{raw}");
    assert_eq!((sent.attempts, world.deliveries("ada@example.org").await.len()), (1, 1));
    let mut findings = notification::invariants(&world.database.admin_pool).await.unwrap();
    // The event is from a month that this database has no partition for, which the doctor says.
    findings.retain(|finding| finding.invariant != "partitions.default");
    assert_eq!(findings, []);
}

#[tokio::test]
async fn secure_s18_credentials_are_in_the_mail_and_nowhere_else() {
    let world = world().await;
    let service = Service { id: "svc_1".into(), plan_name: "Premium".into(), ..Service::default() };
    let ready = ServiceChanged {
        service: Some(service),
        email: "ada@example.org".into(),
        locale: "de".into(),
        first_ready: true,
        ..ServiceChanged::default()
    };
    world.tell("provisioning.service.changed.v1", Some(world.brand), &ready).await;
    world
        .tell("provisioning.service.changed.v1", Some(world.brand), &ServiceChanged { first_ready: false, ..ready })
        .await;
    world.request(Purpose::ResetPassword, "ada@example.org", "de", Some(world.brand)).await;
    world
        .until("both mails are sent", async || {
            world.deliveries("ada@example.org").await.iter().filter(|mail| mail.state() == State::Sent).count() == 2
        })
        .await;
    let inbox = world.inbox("ada@example.org").await;
    let credentials = inbox.iter().find(|mail| mail["subject"] == "Premium ist bereit").unwrap();
    assert!(credentials["text"].as_str().unwrap().contains(&format!("Passwort: {PASSWORD}")));
    for table in ["delivery", "delivery_due", "outbox", "inbox", "retry_delivery"] {
        let rows = format!(
            "SELECT t::text || convert_from(coalesce((to_jsonb(t)->>'payload')::bytea, ''), 'LATIN1') FROM {table} t"
        );
        let rows: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(rows)).fetch_all(&world.database.admin_pool).await.unwrap();
        assert!(rows.iter().all(|row| !row.contains(PASSWORD) && !row.contains(TOKEN)), "{table}");
    }
}

#[tokio::test]
async fn case_130_while_the_mail_server_is_down_mails_wait_and_none_is_lost_or_doubled() {
    let port = closed_port();
    let down = sandbox(None).await;
    let mut world = world_with(down, port).await;
    world.request(Purpose::VerifyEmail, "ada@example.org", "en", Some(world.brand)).await;
    world
        .until("an attempt failed", async || {
            world.deliveries("ada@example.org").await.first().is_some_and(|mail| mail.attempts >= 1)
        })
        .await;
    let waiting = world.settled("ada@example.org", State::Planned).await;
    assert!(waiting.last_error.starts_with("connect: "), "{}", waiting.last_error);
    // While nobody takes the mail, no link is made for it.
    assert_eq!(world.asked.load(Ordering::Relaxed), 0);

    world.sandbox = sandbox(Some(([127, 0, 0, 1], port).into())).await;
    world.hurry().await;
    let sent = world.settled("ada@example.org", State::Sent).await;
    assert!(sent.attempts >= 2 && sent.last_error.is_empty());
    assert_eq!(world.inbox("ada@example.org").await.len(), 1);
}

#[tokio::test]
async fn a_refusal_for_now_is_tried_again_and_a_final_one_is_not() {
    let world = world().await;
    world.fault("smtp_451").await;
    world.request(Purpose::PasswordChanged, "later@example.org", "en", Some(world.brand)).await;
    world
        .until("it was refused once", async || {
            world.deliveries("later@example.org").await.first().is_some_and(|mail| mail.last_error.contains("451"))
        })
        .await;
    world.hurry().await;
    let sent = world.settled("later@example.org", State::Sent).await;
    assert_eq!((sent.attempts, world.inbox("later@example.org").await.len()), (2, 1));

    world.fault("smtp_550").await;
    world.request(Purpose::PasswordChanged, "never@example.org", "en", Some(world.brand)).await;
    let failed = world.settled("never@example.org", State::Failed).await;
    assert!(failed.last_error.contains("550"), "{}", failed.last_error);
}

#[tokio::test]
async fn a_lost_answer_leaves_a_mail_unknown_until_a_person_sends_it_again() {
    let world = world().await;
    world.fault("drop_after_apply").await;
    world.request(Purpose::NewDevice, "ada@example.org", "en", Some(world.brand)).await;
    let unknown = world.settled("ada@example.org", State::Unknown).await;
    world.hurry().await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(world.inbox("ada@example.org").await.len(), 1);

    let request = ResendDeliveryRequest { delivery_id: unknown.id.clone() };
    world.client(world.brand).resend_delivery(request.clone()).await.unwrap();
    let sent = world.settled("ada@example.org", State::Sent).await;
    assert_eq!((sent.message_id, world.inbox("ada@example.org").await.len()), (unknown.message_id, 2));
    let refused = world.client(world.brand).resend_delivery(request.clone()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    let elsewhere = world.client(BrandId::new(noon())).resend_delivery(request).await.unwrap_err();
    assert_eq!(elsewhere.code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn a_mail_that_was_on_its_way_when_the_process_died_becomes_unknown() {
    let world = world().await;
    world.request(Purpose::NewDevice, "ada@example.org", "en", Some(world.brand)).await;
    let sent = world.settled("ada@example.org", State::Sent).await;
    // As a process leaves it that dies between the first byte and the answer.
    sqlx::raw_sql(
        "UPDATE delivery SET state = 'sending', sent_at = NULL; \
         INSERT INTO delivery_due (delivery_id, brand_id) SELECT id, brand_id FROM delivery",
    )
    .execute(&world.database.admin_pool)
    .await
    .unwrap();
    let unknown = world.settled("ada@example.org", State::Unknown).await;
    assert_eq!((unknown.id, world.inbox("ada@example.org").await.len()), (sent.id, 1));
}

#[tokio::test]
async fn a_mail_keeps_its_claim_however_long_the_server_takes() {
    let world = world().await;
    // Claims last a second here; whoever finds this one free would call the mail unknown.
    world.fault_of("late", Duration::from_secs(3)).await;
    world.request(Purpose::NewDevice, "ada@example.org", "en", Some(world.brand)).await;
    let sent = world.settled("ada@example.org", State::Sent).await;
    assert_eq!((sent.attempts, world.inbox("ada@example.org").await.len()), (1, 1));
}

#[tokio::test]
async fn every_brand_and_staff_get_their_own_mails() {
    let world = world().await;
    let red = BrandId::new(noon());
    world.tell_brand(red, "Rot TV", "rot.example", "de").await;
    world.request(Purpose::PasswordChanged, "blue@example.org", "fr", Some(world.brand)).await;
    world.request(Purpose::PasswordChanged, "red@example.org", "", Some(red)).await;
    world.request(Purpose::StaffInvitation, "staff@example.org", "en", None).await;
    for (to, subject, host) in [
        ("blue@example.org", "Your password was changed", "blue.example:8080/account"),
        ("red@example.org", "Ihr Passwort wurde geändert", "rot.example:8080/account"),
        ("staff@example.org", "You are invited to Console", "localhost:8080/staff/reset?token=CANARY-TOKEN"),
    ] {
        world.until(to, async || world.inbox(to).await.len() == 1).await;
        let mail = &world.inbox(to).await[0];
        assert_eq!(mail["subject"], subject);
        assert!(mail["text"].as_str().unwrap().contains(host), "{mail}");
        let others =
            ["Blue TV", "Rot TV"].into_iter().filter(|name| mail["raw"].as_str().unwrap().contains(name)).count();
        assert_eq!(others, usize::from(to != "staff@example.org"));
    }
    // Each sees its own mails only.
    assert_eq!(world.deliveries("").await.len(), 1);
}

#[tokio::test]
async fn a_customer_hears_of_a_subscription_when_it_changes_and_not_again() {
    let world = world().await;
    let change = |version: u64, state: subscription::State, before: subscription::State, is_cancelled: bool| {
        SubscriptionChanged {
            subscription: Some(Subscription {
                id: "sub_1".into(),
                state: state.into(),
                plan_name: "Premium".into(),
                cancel_at: is_cancelled.then(|| timestamp(noon())),
                version,
                ..Subscription::default()
            }),
            previous_state: before.into(),
            email: "ada@example.org".into(),
            locale: "en".into(),
            ..SubscriptionChanged::default()
        }
    };
    use subscription::State::{Active, Ended, Pending, Suspended};
    for (version, state, before, is_cancelled) in [
        (1, Active, Pending, false),
        (2, Suspended, Active, false),
        (3, Active, Suspended, false),
        (4, Active, Active, true),
        (5, Active, Active, true),
        (6, Ended, Active, true),
        (6, Ended, Active, true),
    ] {
        world
            .tell("billing.subscription.changed.v1", Some(world.brand), &change(version, state, before, is_cancelled))
            .await;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    world.until("two mails", async || world.inbox("ada@example.org").await.len() >= 2).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let subjects: Vec<_> =
        world.inbox("ada@example.org").await.iter().map(|mail| mail["subject"].as_str().unwrap().to_owned()).collect();
    assert_eq!(subjects, ["Your Premium is cancelled", "Your Premium has ended"]);
}

#[tokio::test]
async fn an_order_that_is_declined_is_told_without_a_reason() {
    let world = world().await;
    let order =
        Order { id: "ord_1".into(), plan_name: "Premium".into(), email: "ada@example.org".into(), ..Order::default() };
    let declined = OrderDeclined { order: Some(order), display_name: "Ada Lovelace".into(), locale: "de".into() };
    world.tell("billing.order.declined.v1", Some(world.brand), &declined).await;
    world.settled("ada@example.org", State::Sent).await;
    let mail = world.inbox("ada@example.org").await.remove(0);
    assert_eq!(mail["subject"], "Wir konnten Ihre Bestellung nicht annehmen");
    let text = mail["text"].as_str().unwrap();
    for part in ["Premium", "Es wurde nichts berechnet", "http://blue.example:8080/orders/ord_1"] {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
}

#[tokio::test]
async fn case_061_a_card_that_expires_is_told_with_its_month_and_the_page_of_methods() {
    let world = world().await;
    for (locale, email, parts) in [
        ("en", "a@example.org", ["Visa ending 4242", "until the end of 05/2027", "Premium, Sport"]),
        ("de", "b@example.org", ["Visa ending 4242", "bis Ende 05/2027", "Premium, Sport"]),
    ] {
        let expiring = MethodExpiring {
            method_id: "pm_1".into(),
            label: "Visa ending 4242".into(),
            expires_on: "2027-05-31".into(),
            plan_names: vec!["Premium".into(), "Sport".into()],
            renews_at: Some(timestamp(noon())),
            email: email.into(),
            display_name: "Ada Lovelace".into(),
            locale: locale.into(),
            ..MethodExpiring::default()
        };
        world.tell("billing.method.expiring.v1", Some(world.brand), &expiring).await;
        world.settled(email, State::Sent).await;
        let mail = world.inbox(email).await.remove(0);
        assert!(mail["subject"].as_str().unwrap().contains("05/2027"), "{}", mail["subject"]);
        let text = mail["text"].as_str().unwrap();
        for part in parts.into_iter().chain(["http://blue.example:8080/account/methods"]) {
            assert!(text.contains(part), "`{part}` is not in {text}");
        }
    }
}

#[tokio::test]
async fn what_is_missing_of_a_transfer_and_why_a_file_is_no_proof_are_told_with_the_link_that_pays() {
    let world = world().await;
    for (number, (locale, what, parts)) in [
        ("en", What::Short, ["€4.00 is still missing", "RF71 KTBW XQMD", "Pay the rest"]),
        ("de", What::Short, ["Es fehlen noch 4,00", "RF71 KTBW XQMD", "Den Rest bezahlen"]),
        ("en", What::ProofRefused, ["cat.pdf", "It shows a cat.", "nothing is lost"]),
        ("de", What::ProofRefused, ["cat.pdf", "It shows a cat.", "geht nichts verloren"]),
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("payer{number}@example.org");
        let told = ByHandTold {
            what: what.into(),
            payment_id: "pay_1".into(),
            invoice_id: "inv_1".into(),
            title: "Premium".into(),
            reference: "RF71 KTBW XQMD".into(),
            came: euro(600),
            due: euro(400),
            file_name: "cat.pdf".into(),
            reason: "It shows a cat.".into(),
            email: email.clone(),
            display_name: "Ada Lovelace".into(),
            locale: locale.into(),
        };
        world.tell("billing.by_hand.told.v1", Some(world.brand), &told).await;
        world.settled(&email, State::Sent).await;
        let mail = world.inbox(&email).await.remove(0);
        let text = mail["text"].as_str().unwrap();
        for part in parts.into_iter().chain(["/pay/"]) {
            assert!(text.replace('\u{a0}', " ").contains(part), "`{part}` is not in {text}");
        }
    }
}

fn euro(minor: i64) -> Option<Money> {
    Some(Money { minor, currency: "EUR".into() })
}

/// Twelve euros and ninety-nine, five of them paid already.
fn owed() -> Invoice {
    Invoice {
        id: "inv_1".into(),
        number: "INV-2026-000007".into(),
        total: euro(1299),
        paid: euro(500),
        due_at: Some(timestamp(noon())),
        buyer_name: "Ada".into(),
        ..Invoice::default()
    }
}

#[tokio::test]
async fn case_046_every_mail_about_a_debt_has_what_is_left_the_reason_and_a_link_that_needs_no_account() {
    let world = world().await;
    let failed = |state: payment::State, code: &str| PaymentFailed {
        payment: Some(Payment {
            invoice_id: "inv_1".into(),
            state: state.into(),
            amount: euro(799),
            failure_code: code.into(),
            method_label: "Visa ending 4242".into(),
            ..Payment::default()
        }),
        invoice_number: "INV-2026-000007".into(),
        email: "a@example.org".into(),
        locale: "en".into(),
        ..PaymentFailed::default()
    };
    let (email, locale, plan_name) = ("b@example.org".to_owned(), "en".to_owned(), "Premium".to_owned());
    let reminder = ReminderDue {
        invoice: Some(owed()),
        step: 1,
        email: email.clone(),
        locale: locale.clone(),
        plan_name: plan_name.clone(),
        ..ReminderDue::default()
    };
    let suspended = DunningSuspended {
        invoice: Some(owed()),
        email: "c@example.org".into(),
        locale,
        plan_name,
        ..DunningSuspended::default()
    };
    let confirm = PaymentFailed {
        email: "d@example.org".into(),
        locale: "de".into(),
        ..failed(payment::State::ActionRequired, "authentication_required")
    };
    let quiet = PaymentFailed { email: "e@example.org".into(), quiet: true, ..failed(payment::State::Failed, "") };
    let brand = Some(world.brand);
    world.tell("billing.payment.failed.v1", brand, &failed(payment::State::Failed, "insufficient_funds")).await;
    world.tell("billing.reminder.due.v1", brand, &reminder).await;
    world.tell("billing.dunning.suspended.v1", brand, &suspended).await;
    world.tell("billing.payment.failed.v1", brand, &confirm).await;
    world.tell("billing.payment.failed.v1", brand, &quiet).await;
    let in_account = ReminderDue { email: "e@example.org".into(), quiet: true, ..reminder.clone() };
    world.tell("billing.reminder.due.v1", brand, &in_account).await;
    for (to, reason, amount) in [
        ("a@example.org", "there was not enough money on the account", "€7.99"),
        ("b@example.org", "is due on", "€7.99"),
        ("c@example.org", "is still open", "€7.99"),
        ("d@example.org", "Ihre Bank möchte", "7,99\u{a0}€"),
    ] {
        world.settled(to, State::Sent).await;
        let mail = world.inbox(to).await.remove(0);
        let text = mail["text"].as_str().unwrap().replace("\r\n", "\n");
        let link = format!("http://blue.example:8080/pay/{PAY_TOKEN}");
        for part in [reason, amount, "INV-2026-000007", &link] {
            assert!(text.contains(part), "{to}: `{part}` is not in {text}");
        }
    }
    assert!(world.deliveries("e@example.org").await.is_empty(), "nobody hears of a quiet one");
    // The token is in the mail and nowhere else.
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM delivery d WHERE d::text LIKE '%' || $1 || '%'")
        .bind(PAY_TOKEN)
        .fetch_one(&world.database.admin_pool)
        .await
        .unwrap();
    assert_eq!(kept, 0);
}

#[tokio::test]
async fn a_lease_of_nothing_is_refused_by_name() {
    let database = ottery_testkit::database(notification::NAME, &notification::MIGRATIONS).await;
    let test = ottery_testkit::host(&[&database]).await;
    let mut config = config(closed_port());
    config.lease_seconds = 0;
    let refused = notification::build(config, test.of(notification::NAME)).await.err().unwrap().to_string();
    assert!(refused.contains("`notification.lease_seconds` is 0") && refused.contains("use 1 or more"), "{refused}");
}

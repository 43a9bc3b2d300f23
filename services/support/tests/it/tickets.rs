use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, BrandId, ManualClock};
use ottery_kit::db::{Scope, begin};
use ottery_kit::grpc::{Actor, ActorKind, Problem};
use ottery_testkit::TestDatabase;
use support::app::{App, OpenTicket, Reply};
use support::domain::{Author, State};

struct World {
    app: App,
    brand: BrandId,
    customer: AccountId,
    database: TestDatabase,
}

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

async fn world() -> World {
    let database = ottery_testkit::database(support::NAME, &support::MIGRATIONS).await;
    let clock = Arc::new(ManualClock::new(now()));
    let app = App::new(database.pool.clone(), clock, vec!["Help".into(), "Billing".into()]);
    World { app, brand: BrandId::new(now()), customer: AccountId::new(now()), database }
}

impl World {
    fn customer_actor(&self) -> Actor {
        Actor::new(ActorKind::Customer, self.customer.to_string(), Some(self.brand))
    }

    fn staff(&self) -> Actor {
        Actor::new(ActorKind::Staff, "acc_staff", Some(self.brand)).with_permissions(["ticket.read", "ticket.reply"])
    }

    fn question(&self, text: &str) -> OpenTicket {
        OpenTicket {
            account: self.customer,
            email: "ada@example.org".into(),
            display_name: "Ada".into(),
            locale: "en".into(),
            subject: "No picture".into(),
            text: text.into(),
            department: String::new(),
            subscription: None,
        }
    }
}

fn words(text: &str, author: Author, internal: bool) -> Reply {
    Reply { text: text.into(), internal, author_name: "Somebody".into(), author }
}

#[tokio::test]
async fn a_ticket_is_opened_answered_and_closed() {
    let world = world().await;
    let opened = world.app.open(world.brand, &world.customer_actor(), world.question("It is black.")).await.unwrap();
    assert_eq!(
        (opened.ticket.number, opened.ticket.state, opened.ticket.department.as_str()),
        (1001, State::Open, "Help")
    );
    let id = opened.ticket.id;
    let answered = world
        .app
        .reply(world.brand, &world.staff(), id, None, words("Switch it on.", Author::Staff, false))
        .await
        .unwrap();
    assert_eq!(answered.ticket.state, State::Answered);
    let closed = world.app.close(world.brand, &world.customer_actor(), id, Some(world.customer)).await.unwrap();
    assert_eq!((closed.ticket.state, closed.ticket.version), (State::Closed, 3));
    let again = world.app.close(world.brand, &world.customer_actor(), id, Some(world.customer)).await.unwrap();
    assert_eq!(again.ticket.version, 3);
    let told: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE kind = 'support.ticket.changed.v1'")
        .fetch_one(&world.database.pool)
        .await
        .unwrap();
    assert_eq!(told, 3);
    assert_eq!(support::invariants(&world.database.admin_pool).await.unwrap(), []);
}

#[tokio::test]
async fn secure_s39_an_internal_note_never_leaves() {
    let world = world().await;
    let id = world.app.open(world.brand, &world.customer_actor(), world.question("Hello?")).await.unwrap().ticket.id;
    world.app.reply(world.brand, &world.staff(), id, None, words("CANARY-NOTE", Author::Staff, true)).await.unwrap();
    let seen = world.app.ticket(world.brand, id, Some(world.customer)).await.unwrap();
    assert!(seen.messages.iter().all(|message| !message.body.contains("CANARY-NOTE")));
    let staff = world.app.ticket(world.brand, id, None).await.unwrap();
    assert!(staff.messages.iter().any(|message| message.body == "CANARY-NOTE" && message.internal));
    // The customer's turn is not handed over by a note, and nobody outside hears of it.
    assert_eq!(staff.ticket.state, State::Open);
    let payloads: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT payload FROM outbox").fetch_all(&world.database.pool).await.unwrap();
    assert!(payloads.iter().all(|payload| !String::from_utf8_lossy(payload).contains("CANARY-NOTE")));
}

#[tokio::test]
async fn secure_s13_another_customers_ticket_is_not_found() {
    let world = world().await;
    let id = world.app.open(world.brand, &world.customer_actor(), world.question("Hello?")).await.unwrap().ticket.id;
    let stranger = Some(AccountId::new(now()));
    assert_eq!(
        Problem::from(world.app.ticket(world.brand, id, stranger).await.unwrap_err()).reason,
        "TICKET_NOT_FOUND"
    );
    let reply = words("me too", Author::Customer, false);
    let refused = world.app.reply(world.brand, &world.customer_actor(), id, stranger, reply).await.unwrap_err();
    assert_eq!(Problem::from(refused).reason, "TICKET_NOT_FOUND");
    let other_brand = world.app.ticket(BrandId::new(now()), id, None).await.unwrap_err();
    assert_eq!(Problem::from(other_brand).reason, "TICKET_NOT_FOUND");
    let (own, _) = world.app.tickets(world.brand, stranger, None, "", 0).await.unwrap();
    assert!(own.is_empty());
}

#[tokio::test]
async fn secure_s14_without_a_brand_no_ticket_is_seen() {
    let world = world().await;
    world.app.open(world.brand, &world.customer_actor(), world.question("Hello?")).await.unwrap();
    let mut tx = begin(&world.database.pool, Scope::Platform).await.unwrap();
    for table in ["ticket", "ticket_message", "ticket_number"] {
        let count = format!("SELECT count(*) FROM {table}");
        let seen: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&mut *tx).await.unwrap();
        assert_eq!(seen, 0, "{table}");
    }
}

#[tokio::test]
async fn a_card_number_is_stored_nowhere() {
    let world = world().await;
    let mut question = world.question("I paid with 4242 4242 4242 4242 yesterday");
    question.subject = "Card 4242424242424242".into();
    world.app.open(world.brand, &world.customer_actor(), question).await.unwrap();
    let stored: Vec<String> =
        sqlx::query_scalar("SELECT t.subject || m.body FROM ticket t JOIN ticket_message m ON m.ticket_id = t.id")
            .fetch_all(&world.database.admin_pool)
            .await
            .unwrap();
    assert_eq!(stored, ["Card ••••••••••••4242I paid with •••• •••• •••• 4242 yesterday"]);
}

#[tokio::test]
async fn bad_input_names_its_field() {
    let world = world().await;
    for (change, field) in [
        ((|q: &mut OpenTicket| q.subject = "x".into()) as fn(&mut OpenTicket), "subject"),
        (|q| q.text = "  ".into(), "text"),
        (|q| q.department = "Sales".into(), "department"),
    ] {
        let mut question = world.question("Hello?");
        change(&mut question);
        let refused = world.app.open(world.brand, &world.customer_actor(), question).await.unwrap_err();
        assert_eq!(Problem::from(refused).field.as_deref(), Some(field));
    }
}

use ottery_kernel::{BrandId, Clock as _};
use ottery_kit::grpc::Problem;
use ottery_kit::{Service, db, outbox as kit_outbox};
use ottery_proto::common::v1::DrainedRequest;
use ottery_proto::common::v1::drain_service_client::DrainServiceClient;
use ottery_testkit::recorder::timestamp;
use ottery_testkit::{actor, database, host, outbox, payload};
use sqlx::migrate::Migrator;
use tonic::Request;
use tonic::service::Routes;

static MIGRATIONS: Migrator = sqlx::migrate!("tests/migrations");

#[tokio::test]
async fn a_service_of_a_test_answers_calls_and_its_events_are_heard() {
    let database = database("sample", &MIGRATIONS).await;
    let test = host(&[&database]).await;
    let events = test.record(&["sample.#"]).await;
    let own = test.of("sample");
    let pool = own.pool("sample").await.unwrap();
    let _running = test.start(vec![Service::new("sample", &own, pool.clone()).grpc(Routes::default())]).await;

    let brand = BrandId::new(test.clock.now());
    let mut client = DrainServiceClient::new(test.channel_of_service("catalog", "sample", Some(brand)));
    let asked = DrainedRequest { brand_id: brand.to_string(), clock: Some(timestamp(test.clock.now())) };
    client.drained(Request::new(asked.clone())).await.map_err(|status| Problem::from_status(&status)).unwrap();
    let mut visitor = DrainServiceClient::new(test.channel("sample", actor::visitor(brand)));
    let refused = visitor.drained(Request::new(asked.clone())).await.unwrap_err();
    assert_eq!(Problem::from_status(&refused).reason, "SERVICE_ONLY");

    let said = asked;
    let mut tx = db::begin(&pool, db::Scope::Brand(brand)).await.unwrap();
    let event = kit_outbox::Event::new("sample.thing.made.v1", "thg_1", 1, brand, test.clock.now(), &said);
    kit_outbox::append(&mut tx, event).await.unwrap();
    tx.commit().await.unwrap();
    let heard: DrainedRequest = events.first("sample.thing.made.v1").await;
    assert_eq!(heard, said);

    let kept = outbox(&database.pool).await;
    assert_eq!(payload::<DrainedRequest>(&kept[0]), said);
    let heard = events.all();
    assert_eq!(heard[0], kept[0], "the relay sends what was appended");
    test.clock.advance(chrono::TimeDelta::days(1));
    assert_eq!(own.clock.now(), test.clock.now());
}

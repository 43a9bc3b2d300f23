//! Identity as it runs: served, its events relayed, its consumers at work.

use std::time::Duration;

use ottery_kernel::BrandId;
use ottery_kit::outbox::Event;
use ottery_proto::catalog::v1::{Brand, BrandChanged};
use ottery_proto::common::v1::AuditRecorded;
use ottery_proto::identity::v1::identity_service_client::IdentityServiceClient;
use ottery_proto::identity::v1::*;
use ottery_testkit::actor;
use ottery_testkit::host::noon;
use ottery_testkit::recorder::{publish, timestamp};

use crate::world::{PASSWORD, config};

#[tokio::test]
async fn it_serves_tells_and_links_what_others_did() {
    let database = ottery_testkit::database(identity::NAME, &identity::MIGRATIONS).await;
    let host = ottery_testkit::host(&[&database]).await;
    let recorder = host.record(&["identity.#"]).await;
    let service = identity::build(config(), host.of(identity::NAME)).await.unwrap();
    let mut running = host.start(vec![service]).await;
    let brand = BrandId::new(noon());

    let told = Brand {
        id: brand.to_string(),
        slug: "nordlicht".to_owned(),
        name: "Nordlicht".to_owned(),
        default_locale: "de".to_owned(),
        ..Brand::default()
    };
    let changed = BrandChanged { brand: Some(told) };
    publish(&*host.broker, Event::new("catalog.brand.changed.v1", brand, 1, brand, noon(), &changed)).await;
    let deed = AuditRecorded {
        action: "panel.update".to_owned(),
        actor_kind: "staff".to_owned(),
        actor_id: "acc_1".to_owned(),
        target_id: "pnl_1".to_owned(),
        occurred_at: Some(timestamp(noon())),
        ..AuditRecorded::default()
    };
    let event = Event::new("provisioning.audit.recorded.v1", "pnl_1", 0, brand, noon(), &deed);
    let envelope = publish(&*host.broker, event).await;
    for answer in host.broker.publish(vec![envelope]).await {
        answer.unwrap();
    }

    let auditor = actor::staff(brand, ["audit.read"]);
    let mut entries = Vec::new();
    for _ in 0..100 {
        let mut client = IdentityServiceClient::new(host.channel("identity", auditor.clone()));
        entries = client.list_audit(ListAuditRequest::default()).await.unwrap().into_inner().entries;
        let profiles: i64 =
            sqlx::query_scalar("SELECT count(*) FROM brand_profile").fetch_one(&database.admin_pool).await.unwrap();
        if !entries.is_empty() && profiles == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        entries.iter().map(|entry| entry.action.as_str()).collect::<Vec<_>>(),
        ["panel.update"],
        "once, though told twice"
    );

    let mut client = IdentityServiceClient::new(host.channel("identity", actor::visitor(brand)));
    let request = |password: &str| SignUpRequest {
        email: "ann@example.org".to_owned(),
        password: password.to_owned(),
        ..SignUpRequest::default()
    };
    let refused = client.sign_up(request("nordlicht-2026")).await.unwrap_err();
    assert_eq!(crate::world::reason(refused), "PASSWORD_OWN_WORDS", "the brand's name makes no password");
    let reply = client.sign_up(request(PASSWORD)).await.unwrap().into_inner();
    assert_eq!(reply.session.unwrap().account.unwrap().locale, "de", "the brand's language");
    let registered: AccountRegistered = recorder.first("identity.account.registered.v1").await;
    assert_eq!((registered.account_id, registered.email.as_str()), (reply.account_id, "ann@example.org"));
    let mail: MailRequested = recorder.first("identity.mail.requested.v1").await;
    let mailer = host.channel_of_service("notification", "identity", Some(brand));
    let request = MintMailTokenRequest { mail_request_id: mail.mail_request_id };
    let token = IdentityServiceClient::new(mailer).mint_mail_token(request).await.unwrap().into_inner().token;
    client.verify_email(VerifyEmailRequest { token }).await.unwrap();
    let verified: AccountVerified = recorder.first("identity.account.verified.v1").await;
    assert_eq!(verified.email, "ann@example.org");
    assert_eq!(recorder.of("identity.account.verified.v1")[0].aggregate_version, 2);
    running.stop().await;
}

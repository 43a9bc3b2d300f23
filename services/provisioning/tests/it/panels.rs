//! Panels as people enter them, and who may see what.

use ottery_kernel::AccountId;
use ottery_kit::grpc::{Code, Problem};
use ottery_proto::provisioning::v1 as proto;
use ottery_testkit::actor;

use crate::world::{ADMIN_KEY, Subscription, World};

fn refusal<T: std::fmt::Debug>(answer: Result<T, tonic::Status>) -> Problem {
    Problem::from(answer.unwrap_err())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panel_is_entered_tested_and_never_shows_its_key() {
    let world = World::new().await;
    let panel = world.admin_panel().await;
    assert_eq!((panel.version, panel.api_key_hint.as_str()), (1, "…0b0c"));
    assert!(!format!("{panel:?}").contains(ADMIN_KEY));
    let probed = world.staff().probe_panel(proto::ProbePanelRequest { panel_id: panel.id.clone() }).await.unwrap();
    assert_eq!(probed.into_inner().health(), proto::panel::Health::Healthy);
    let request = proto::GetPanelCatalogRequest { panel_id: panel.id.clone() };
    let catalog = world.staff().get_panel_catalog(request).await.unwrap().into_inner();
    assert!(!catalog.packages.is_empty() && !catalog.bouquets.is_empty());

    // The key stays when none is sent, and a wrong one is diagnosed.
    let renamed = proto::Panel { name: "Renamed".into(), ..panel.clone() };
    let request = proto::PutPanelRequest {
        panel: Some(renamed),
        api_key: String::new(),
        expected_version: 1,
        ..Default::default()
    };
    let renamed = world.staff().put_panel(request.clone()).await.unwrap().into_inner();
    assert_eq!((renamed.version, renamed.name.as_str()), (2, "Renamed"));
    let stale = refusal(world.staff().put_panel(request).await);
    assert_eq!((stale.code, stale.reason.as_ref()), (Code::Aborted, "VERSION_CONFLICT"));
    let request = proto::PutPanelRequest {
        panel: Some(renamed),
        api_key: "wrong-key-wrong-key".into(),
        expected_version: 2,
        ..Default::default()
    };
    world.staff().put_panel(request).await.unwrap();
    let probed =
        world.staff().probe_panel(proto::ProbePanelRequest { panel_id: panel.id.clone() }).await.unwrap().into_inner();
    assert_eq!(probed.health(), proto::panel::Health::Down);
    assert!(probed.remedy.contains("API key"), "{}", probed.remedy);
}

#[tokio::test(flavor = "multi_thread")]
async fn saying_the_same_again_changes_nothing_and_a_dry_run_leaves_nothing() {
    let world = World::new().await;
    let panel = world.admin_panel().await;
    let put = async |panel: &proto::Panel, api_key: &str, dry_run| {
        let request = proto::PutPanelRequest {
            panel: Some(panel.clone()),
            api_key: api_key.into(),
            expected_version: 1,
            dry_run,
        };
        world.staff().put_panel(request).await.map(|reply| reply.into_inner().version)
    };
    for key in [ADMIN_KEY, ""] {
        assert_eq!(put(&panel, key, false).await.unwrap(), 1);
    }
    let renamed = proto::Panel { name: "Renamed".into(), ..panel.clone() };
    assert_eq!(put(&renamed, "", true).await.unwrap(), 2);
    // The end of a key is shown to tell keys apart; it is not the key.
    let twin = format!("another-key-{}", &ADMIN_KEY[ADMIN_KEY.len() - 4..]);
    assert_eq!(put(&panel, &twin, true).await.unwrap(), 2);
    let refused = put(&proto::Panel { base_url: "http://10.0.0.1/x".into(), ..panel.clone() }, "", true).await;
    assert_eq!(refusal(refused).field.as_deref(), Some("panel.base_url"));
    let stored = world.staff().get_panel(proto::GetPanelRequest { panel_id: panel.id.clone() }).await.unwrap();
    assert_eq!((stored.get_ref().version, stored.get_ref().name.as_str()), (1, panel.name.as_str()));
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panel_with_a_wrong_field_is_refused_by_its_name() {
    let world = World::new().await;
    let good = world.panel_input("SANDBOX1", "xui");
    let cases: Vec<(&str, proto::Panel)> = vec![
        ("panel.name", proto::Panel { name: " ".into(), ..good.clone() }),
        ("panel.driver", proto::Panel { driver: "magic".into(), ..good.clone() }),
        ("panel.base_url", proto::Panel { base_url: "not a url".into(), ..good.clone() }),
        ("panel.base_url", proto::Panel { base_url: "http://10.0.0.1/x".into(), ..good.clone() }),
        ("panel.base_url", proto::Panel { base_url: "http://169.254.169.254/x".into(), ..good.clone() }),
        ("panel.base_url", proto::Panel { base_url: "file:///etc/passwd".into(), ..good.clone() }),
        ("panel.player_url", proto::Panel { player_url: "tv".into(), ..good.clone() }),
        ("panel.region", proto::Panel { region: "Süd".into(), ..good.clone() }),
        ("panel.rate_per_second", proto::Panel { rate_per_second: -1.0, ..good.clone() }),
        ("panel.rate_per_second", proto::Panel { rate_per_second: f64::NAN, ..good.clone() }),
        ("panel.concurrency", proto::Panel { concurrency: 1_000, ..good.clone() }),
        ("panel.time_zone", proto::Panel { time_zone: "Mars/Base".into(), ..good.clone() }),
        ("panel.sandbox_control_url", proto::Panel { sandbox: false, ..good.clone() }),
    ];
    for (field, panel) in cases {
        let request = proto::PutPanelRequest {
            panel: Some(panel),
            api_key: ADMIN_KEY.into(),
            expected_version: 0,
            ..Default::default()
        };
        let refused = refusal(world.staff().put_panel(request).await);
        assert_eq!((refused.code, refused.field.as_deref()), (Code::InvalidArgument, Some(field)), "{refused}");
    }
    let request = proto::PutPanelRequest {
        panel: Some(good.clone()),
        api_key: String::new(),
        expected_version: 0,
        ..Default::default()
    };
    assert_eq!(refusal(world.staff().put_panel(request).await).field.as_deref(), Some("api_key"));
    world.put_panel(good.clone(), ADMIN_KEY).await;
    let request = proto::PutPanelRequest {
        panel: Some(good),
        api_key: ADMIN_KEY.into(),
        expected_version: 0,
        ..Default::default()
    };
    assert_eq!(refusal(world.staff().put_panel(request).await).reason, "PANEL_NAME_TAKEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_095_a_panel_with_lines_is_not_deleted() {
    let world = World::new().await;
    let panel = world.admin_panel().await;
    let (mut subscription, _) = world.ready().await;
    let request = proto::DeletePanelRequest { panel_id: panel.id.clone(), expected_version: 1 };
    assert_eq!(refusal(world.staff().delete_panel(request.clone()).await).reason, "PANEL_IN_USE");
    world.want(&mut subscription, ottery_proto::billing::v1::entitlement_changed::Wanted::Terminated).await;
    world.until(&subscription, proto::service::Step::Terminated).await;
    world.staff().delete_panel(request).await.unwrap();
    assert!(world.service(&subscription).await.is_some());
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secure_s12_people_see_what_their_permissions_and_their_brand_allow() {
    let world = World::new().await;
    let panel = world.admin_panel().await;
    let (subscription, service) = world.ready().await;
    let own = actor::customer(world.brand, subscription.account);
    let stranger = actor::customer(world.brand, AccountId::new(ottery_testkit::host::noon()));
    let other_brand = actor::owner(ottery_kernel::BrandId::new(ottery_testkit::host::noon()));
    let get = || proto::GetServiceRequest { service_id: service.id.clone(), ..Default::default() };
    let reveal = || proto::RevealCredentialsRequest { service_id: service.id.clone() };

    assert!(world.client(own.clone()).get_service(get()).await.is_ok());
    assert!(world.client(own.clone()).reveal_credentials(reveal()).await.is_ok());
    let listed = world.client(own.clone()).list_services(proto::ListServicesRequest::default()).await.unwrap();
    assert_eq!(listed.into_inner().services.len(), 1);
    for actor in [stranger.clone(), other_brand] {
        assert_eq!(refusal(world.client(actor.clone()).get_service(get()).await).code, Code::NotFound);
        assert_eq!(refusal(world.client(actor).reveal_credentials(reveal()).await).code, Code::NotFound);
    }
    let listed = world.client(stranger).list_services(proto::ListServicesRequest::default()).await.unwrap();
    assert!(listed.into_inner().services.is_empty());
    let by_other = proto::ListServicesRequest { account_id: subscription.account.to_string(), ..Default::default() };
    let listed = world.client(actor::visitor(world.brand)).list_services(by_other).await;
    assert_eq!(refusal(listed).code, Code::PermissionDenied);

    let reader = actor::staff(world.brand, ["panel.read", "service.read"]);
    let mut reader = world.client(reader);
    assert!(reader.get_panel(proto::GetPanelRequest { panel_id: panel.id.clone() }).await.is_ok());
    assert_eq!(refusal(reader.reveal_credentials(reveal()).await).code, Code::PermissionDenied);
    let retry = proto::RetryServiceRequest { service_id: service.id.clone() };
    assert_eq!(refusal(reader.retry_service(retry).await).code, Code::PermissionDenied);
    let put = proto::PutPanelRequest {
        panel: Some(panel.clone()),
        api_key: String::new(),
        expected_version: 1,
        ..Default::default()
    };
    assert_eq!(refusal(reader.put_panel(put).await).code, Code::PermissionDenied);
    let mut own = world.client(own);
    assert_eq!(refusal(own.list_panels(proto::ListPanelsRequest::default()).await).code, Code::PermissionDenied);

    let audited = world.events.wait_for("provisioning.audit.recorded.v1", 2).await;
    let actions: Vec<_> = audited
        .iter()
        .map(|event| ottery_testkit::payload::<ottery_proto::common::v1::AuditRecorded>(event).action)
        .collect();
    assert!(
        actions.contains(&"panel.update".to_owned()) && actions.contains(&"service.reveal".to_owned()),
        "{actions:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged() {
    let world = World::new().await;
    world.admin_panel().await;
    for _ in 0..3 {
        world.ready().await;
    }
    let mut cursor = String::new();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let page = ottery_proto::common::v1::PageRequest { cursor: cursor.clone(), limit: 2 };
        let request = proto::ListServicesRequest { page: Some(page), ..Default::default() };
        let reply = world.staff().list_services(request).await.unwrap().into_inner();
        seen.extend(reply.services.into_iter().map(|service| service.id));
        cursor = reply.page.unwrap().next_cursor;
    }
    assert!(cursor.is_empty());
    seen.dedup();
    assert_eq!(seen.len(), 3);
    let page = ottery_proto::common::v1::PageRequest { cursor: "nonsense".into(), limit: 2 };
    let request = proto::ListServicesRequest { page: Some(page), ..Default::default() };
    assert_eq!(refusal(world.staff().list_services(request).await).reason, "CURSOR_INVALID");
    let _ = Subscription::new();
}

#[tokio::test(flavor = "multi_thread")]
async fn capacity_is_never_exceeded_by_orders_in_parallel() {
    let world = World::new().await;
    let panel = proto::Panel { capacity: 3, ..world.panel_input("SANDBOX1", "xui") };
    let panel = world.put_panel(panel, ADMIN_KEY).await;
    let mut subscriptions: Vec<_> = (0..6).map(|_| Subscription::new()).collect();
    for subscription in &mut subscriptions {
        world.want(subscription, ottery_proto::billing::v1::entitlement_changed::Wanted::Active).await;
    }
    let mut ready = 0;
    for subscription in &subscriptions {
        let service = world
            .until_that(subscription, "ready or waiting", |service| {
                matches!(service.step(), proto::service::Step::Ready | proto::service::Step::Waiting)
            })
            .await;
        ready += usize::from(service.step() == proto::service::Step::Ready);
    }
    assert_eq!((ready, world.lines().await.len()), (3, 3));
    let larger = proto::Panel { capacity: 6, ..panel };
    let request = proto::PutPanelRequest {
        panel: Some(larger),
        api_key: String::new(),
        expected_version: 1,
        ..Default::default()
    };
    world.staff().put_panel(request).await.unwrap();
    for subscription in &subscriptions {
        world.until(subscription, proto::service::Step::Ready).await;
    }
    world.inv().await;
}

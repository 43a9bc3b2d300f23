//! Xtream Codes: the driver against its golden transcripts, and services on a simulated panel of that kind.

use std::sync::Arc;

use chrono::DateTime;
use ottery_kit::http::{GuardSettings, GuardedClient};
use ottery_kit::secret::Secret;
use ottery_proto::billing::v1::entitlement_changed::Wanted;
use ottery_proto::provisioning::v1 as proto;
use ottery_proto::provisioning::v1::service::Step;
use provisioning::driver::xtream::Xtream;
use provisioning::driver::{
    Active, Cause, Expiry, LineKey, LineRef, LineSpec, OpTag, Output, PackageSpec, PanelDriver, PanelError, PermKind,
    ReadBack, Renewal,
};

use crate::replay::{self, Replay};
use crate::world::{World, days};

async fn play(name: &str) -> (Replay, Xtream) {
    let settings = GuardSettings { allow: vec!["127.0.0.0/8".parse().unwrap()], ..GuardSettings::default() };
    let http = GuardedClient::new(&settings).unwrap();
    let replay = Replay::start(&replay::read_of("xtream", name)).await;
    let driver = Xtream::new(Arc::new(http), replay.url.parse().unwrap(), Secret::new("let-me-in"));
    (replay, driver)
}

fn alice() -> LineSpec {
    LineSpec {
        username: "alice-line".into(),
        password: Secret::new("secret-one"),
        expiry: until(1_798_758_000),
        connections: 2,
        bouquets: vec![2, 1],
        outputs: vec![Output::Hls, Output::Ts],
        package: None,
        trial: false,
        isp_lock: false,
        country: String::new(),
    }
}

fn until(seconds: i64) -> Expiry {
    Expiry::At(DateTime::from_timestamp(seconds, 0).unwrap())
}

fn line() -> LineRef {
    LineRef { id: "1".into(), username: "alice-line".into(), password: Secret::new("secret-one") }
}

fn tag() -> OpTag {
    OpTag::new("op_1")
}

#[tokio::test]
async fn xtream_case_101_create_sends_seconds_and_reads_the_same_instant() {
    let (replay, driver) = play("create-line").await;
    let made = driver.create(&tag(), &alice()).await.unwrap();
    assert_eq!(made.differs_from(&alice()), None);
    assert!(made.has_tag(&tag()));
    let sent = replay.sent("user/create");
    assert_eq!(sent["user_data[exp_date]"], "1798758000");
    assert_eq!(sent["user_data[bouquet]"], "[1,2]");
    assert_eq!(sent["user_data[output_formats]"], "[1,2]");
    for (path, _) in replay.heard() {
        assert!(path.ends_with("/api.php"), "nothing of a call is in its address: {path}");
    }
}

#[tokio::test]
async fn xtream_case_087_an_empty_answer_to_a_create_is_unknown_and_the_pair_finds_the_line() {
    let (_replay, driver) = play("create-line-answer-lost").await;
    let lost = driver.create(&tag(), &alice()).await.unwrap_err();
    assert_eq!(lost, PanelError::Ambiguous { cause: Cause::Empty, hint: ReadBack::ByName });
    let pair = LineKey::Pair { username: "alice-line".into(), password: Secret::new("secret-one") };
    assert_eq!(driver.find(&pair).await.unwrap().unwrap().id, "1");
}

#[tokio::test]
async fn xtream_case_089_an_error_inside_http_200_is_an_error() {
    for (name, kind) in [
        ("create-line-taken", PermKind::Conflict),
        ("create-line-unknown-column", PermKind::InvalidInput),
        ("create-line-no-credits", PermKind::InsufficientCredits),
    ] {
        let (_replay, driver) = play(name).await;
        let refused = driver.create(&tag(), &alice()).await.unwrap_err();
        assert_eq!(refused.refusal(), Some(kind), "{name}: {refused}");
    }
}

#[tokio::test]
async fn xtream_probes_tell_address_and_key_apart() {
    let (_replay, driver) = play("info-unknown").await;
    assert_eq!(driver.probe().await.unwrap().credits, None);
    for (name, kind) in [("refused-address", PermKind::IpNotAllowed), ("refused-key", PermKind::BadCredentials)] {
        let (_replay, driver) = play(name).await;
        assert_eq!(driver.probe().await.unwrap_err().refusal(), Some(kind), "{name}");
    }
    let (_replay, driver) = play("unknown-action").await;
    assert!(driver.catalog().await.unwrap().bouquets.is_empty());
}

#[tokio::test]
async fn xtream_an_edit_names_only_what_changes() {
    let (replay, driver) = play("renew").await;
    let renewed = driver.renew(&tag(), &line(), &Renewal::Until(until(1_801_436_400))).await.unwrap();
    assert_eq!(renewed.expires_at.unwrap().timestamp(), 1_801_436_400);
    let sent = replay.sent("user/edit");
    let columns: Vec<_> = sent.keys().filter(|name| name.starts_with("user_data")).collect();
    assert_eq!(columns, ["user_data[exp_date]"]);
    let never = driver.renew(&tag(), &line(), &Renewal::Until(Expiry::Never)).await.unwrap_err();
    assert_eq!(never.refusal(), Some(PermKind::Unsupported));

    let (replay, driver) = play("suspend").await;
    assert!(!driver.set_status(&tag(), &line(), Active::No).await.unwrap().enabled);
    assert!(!replay.sent("user/edit").contains_key("user_data[admin_enabled]"), "the ban is not ours");
    let (_replay, driver) = play("unsuspend").await;
    assert!(driver.set_status(&tag(), &line(), Active::Yes).await.unwrap().enabled);

    let (replay, driver) = play("change-package").await;
    let package = PackageSpec {
        package: None,
        bouquets: vec![3, 1, 2],
        outputs: vec![Output::Hls],
        connections: 4,
        expiry: None,
        isp_lock: Some(false),
        country: Some("DE".into()),
    };
    let changed = driver.change_package(&tag(), &line(), &package).await.unwrap();
    assert_eq!((changed.connections, changed.bouquets), (4, Some(vec![1, 2, 3])));
    let sent = replay.sent("user/edit");
    assert_eq!(sent["user_data[forced_country]"], "DE");
    assert!(!sent.contains_key("user_data[is_isplock]"), "it is off already");
}

#[tokio::test]
async fn xtream_a_password_change_tries_the_new_pair_first() {
    let new = Secret::new("secret-two");
    let (_replay, driver) = play("change-password").await;
    assert_eq!(driver.set_password(&tag(), &line(), &new).await.unwrap().password, new);
    let (replay, driver) = play("change-password-twice").await;
    assert_eq!(driver.set_password(&tag(), &line(), &new).await.unwrap().password, new);
    assert_eq!(replay.heard().len(), 1, "nothing is changed a second time");
}

#[tokio::test]
async fn xtream_a_line_that_cannot_be_removed_is_switched_off_and_its_pair_is_freed() {
    let (replay, driver) = play("terminate").await;
    assert_eq!(driver.terminate(&tag(), &line()).await, Ok(()));
    let sent = replay.sent("user/edit");
    assert_eq!((&*sent["user_data[enabled]"], &*sent["user_data[admin_enabled]"]), ("0", "0"));
    assert_eq!(sent["user_data[exp_date]"], "1", "0 would be never");
    assert_ne!(sent["user_data[password]"], "secret-one");
    let (_replay, driver) = play("info-unknown").await;
    assert_eq!(driver.terminate(&tag(), &line()).await, Ok(()), "gone counts as done");
}

#[tokio::test]
async fn xtream_a_line_of_another_id_is_never_touched() {
    let (replay, driver) = play("suspend").await;
    let other = LineRef { id: "7".into(), ..line() };
    let refused = driver.set_status(&tag(), &other, Active::No).await.unwrap_err();
    assert_eq!(refused.refusal(), Some(PermKind::Conflict));
    assert!(replay.heard().iter().all(|(_, form)| form["sub"] == "info"));
}

async fn xtream_panel(world: &World) -> proto::Panel {
    world.put_panel(world.panel_input("SANDBOX1", "xtream"), "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_a_service_lives_its_whole_life_on_a_panel_without_a_key() {
    let world = World::new().await;
    xtream_panel(&world).await;
    let (mut subscription, service) = world.ready().await;
    let credentials = world.credentials(&service).await;
    assert!(world.plays(&credentials).await);
    subscription.until += days(31);
    subscription.connections = 3;
    world.want(&mut subscription, Wanted::Active).await;
    let renewed = world.until(&subscription, Step::Ready).await;
    assert_eq!(renewed.expires_at.unwrap().seconds, subscription.until.timestamp());
    assert_eq!(world.lines().await[0]["max_connections"], 3);
    world.want(&mut subscription, Wanted::Suspended).await;
    world.until(&subscription, Step::Suspended).await;
    assert!(!world.plays(&credentials).await);
    world.want(&mut subscription, Wanted::Active).await;
    world.until(&subscription, Step::Ready).await;
    assert!(world.plays(&credentials).await);
    world.want(&mut subscription, Wanted::Terminated).await;
    world.until(&subscription, Step::Terminated).await;
    assert!(!world.plays(&credentials).await);
    assert_eq!(world.effects("user/create").await.len(), 1);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_fault_f17_every_kind_of_write_survives_a_lost_answer() {
    let world = World::new().await;
    xtream_panel(&world).await;
    world.fault("user/create", "drop_after_apply", 1).await;
    let (mut subscription, _service) = world.ready().await;
    for kind in ["drop_after_apply", "drop_before_apply"] {
        world.fault("user/edit", kind, 1).await;
        world.want(&mut subscription, Wanted::Suspended).await;
        world.until(&subscription, Step::Suspended).await;
        world.fault("user/edit", kind, 1).await;
        subscription.until += days(30);
        world.want(&mut subscription, Wanted::Active).await;
        let ready = world.until(&subscription, Step::Ready).await;
        assert_eq!(ready.expires_at.unwrap().seconds, subscription.until.timestamp(), "{kind}");
    }
    world.fault("user/edit", "drop_after_apply", 1).await;
    world.want(&mut subscription, Wanted::Terminated).await;
    world.until(&subscription, Step::Terminated).await;
    assert_eq!(world.lines().await.len(), 1, "made once, and kept for a person to delete");
    assert_eq!(world.effects("user/create").await.len(), 1);
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_a_line_changed_by_hand_is_set_right_although_the_panel_lists_none() {
    let mut config = crate::world::config();
    config.health.drift_every_s = 1;
    config.health.probe_every_s = 1;
    let spec = ottery_sandbox::PanelSpec { rate_per_second: 0, ..Default::default() };
    let world = World::with(config, vec![spec]).await;
    xtream_panel(&world).await;
    let (_subscription, service) = world.ready().await;
    let line = world.credentials(&service).await;
    let url = format!("http://{}/SANDBOX1/api.php", world.sandbox.addresses().panel);
    let by_hand = [
        ("action", "user"),
        ("sub", "edit"),
        ("username", line.username.as_str()),
        ("password", line.password.as_str()),
        ("user_data[max_connections]", "9"),
    ];
    let answer = world.http.post(&url).form(&by_hand).send().await.unwrap().text().await.unwrap();
    assert_eq!(answer, r#"{"result":true}"#);
    let started = std::time::Instant::now();
    while world.lines().await[0]["max_connections"] != 2 {
        assert!(started.elapsed().as_secs() < 15, "the drift stays");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    world.inv().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn xtream_a_short_key_is_taken_and_nothing_of_it_is_shown() {
    let world = World::new().await;
    let panel = world.put_panel(world.panel_input("SANDBOX1", "xtream"), "abc").await;
    assert_eq!(panel.api_key_hint, "…");
    let none = proto::Panel { name: "No key".into(), ..world.panel_input("SANDBOX1", "xtream") };
    assert_eq!(world.put_panel(none, "").await.api_key_hint, "none");
}

//! Xtream Codes: the driver against its golden transcripts.

use std::sync::Arc;

use chrono::DateTime;
use ottery_kit::http::{GuardSettings, GuardedClient};
use ottery_kit::secret::Secret;
use provisioning::driver::xtream::Xtream;
use provisioning::driver::{
    Active, Cause, Expiry, LineKey, LineRef, LineSpec, OpTag, Output, PackageSpec, PanelDriver, PanelError, PermKind,
    ReadBack, Renewal,
};

use crate::replay::{self, Replay};

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

/// Every call was the transcript's, field by field and in its order.
fn as_written(name: &str, replay: &Replay) {
    let asked: Vec<_> = replay.heard().into_iter().map(|(_, form)| form).collect();
    let written: Vec<_> = replay::read_of("xtream", name).exchanges.into_iter().map(|one| one.form).collect();
    assert_eq!(asked, written, "{name}");
}

#[tokio::test]
async fn xtream_every_call_is_the_transcripts_to_the_field() {
    let (replay, driver) = play("create-line").await;
    driver.create(&tag(), &alice()).await.unwrap();
    as_written("create-line", &replay);
    let (replay, driver) = play("renew").await;
    driver.renew(&tag(), &line(), &Renewal::Until(until(1_801_436_400))).await.unwrap();
    as_written("renew", &replay);
    for (name, status) in [("suspend", Active::No), ("unsuspend", Active::Yes)] {
        let (replay, driver) = play(name).await;
        driver.set_status(&tag(), &line(), status).await.unwrap();
        as_written(name, &replay);
    }
    let (replay, driver) = play("change-password").await;
    driver.set_password(&tag(), &line(), &Secret::new("secret-two")).await.unwrap();
    as_written("change-password", &replay);
}

#[tokio::test]
async fn xtream_a_line_without_an_end_is_made_by_leaving_the_expiry_out() {
    let (replay, driver) = play("create-line-never").await;
    let made = driver.create(&tag(), &LineSpec { expiry: Expiry::Never, ..alice() }).await.unwrap();
    assert_eq!(made.expires_at, None);
    as_written("create-line-never", &replay);
}

#[tokio::test]
async fn xtream_an_expiry_that_is_set_twice_is_the_same_expiry() {
    let (replay, driver) = play("renew-twice").await;
    for _ in 0..2 {
        let renewed = driver.renew(&tag(), &line(), &Renewal::Until(until(1_801_436_400))).await.unwrap();
        assert_eq!(renewed.expires_at.unwrap().timestamp(), 1_801_436_400);
    }
    as_written("renew-twice", &replay);
}

#[tokio::test]
async fn xtream_case_087_an_answer_without_a_verdict_leaves_a_write_unknown() {
    for (name, cause) in [
        ("create-line-result-false", Cause::NoVerdict),
        ("create-line-null", Cause::Rubbish),
        ("create-line-html", Cause::Rubbish),
    ] {
        let (replay, driver) = play(name).await;
        let lost = driver.create(&tag(), &alice()).await.unwrap_err();
        assert_eq!(lost, PanelError::Ambiguous { cause, hint: ReadBack::ByName }, "{name}");
        let pair = LineKey::Pair { username: "alice-line".into(), password: Secret::new("secret-one") };
        assert_eq!(driver.find(&pair).await.unwrap().is_some(), name != "create-line-result-false", "{name}");
        as_written(name, &replay);
    }
    let (replay, driver) = play("suspend-result-false").await;
    let lost = driver.set_status(&tag(), &line(), Active::No).await.unwrap_err();
    assert_eq!(lost, PanelError::Ambiguous { cause: Cause::NoVerdict, hint: ReadBack::ById });
    assert!(driver.find(&LineKey::Line(line())).await.unwrap().unwrap().enabled);
    as_written("suspend-result-false", &replay);
}

#[tokio::test]
async fn xtream_what_stands_before_the_panel_is_told_apart() {
    for (name, kind) in [("refused-not-there", PermKind::WrongPanelType), ("refused-flood-banned", PermKind::IpBanned)]
    {
        let (_replay, driver) = play(name).await;
        assert_eq!(driver.probe().await.unwrap_err().refusal(), Some(kind), "{name}");
    }
}

#[tokio::test]
async fn xtream_case_091_names_that_break_the_rules_never_leave() {
    let (replay, driver) = play("create-line").await;
    for username in ["abc", "with/slash", "with space", "ünïcode", &"x".repeat(51)] {
        let refused = driver.create(&tag(), &LineSpec { username: username.into(), ..alice() }).await.unwrap_err();
        assert_eq!(refused.refusal(), Some(PermKind::InvalidInput), "{username}");
        assert!(refused.to_string().contains("username"));
    }
    let refused = driver.set_password(&tag(), &line(), &Secret::new("a/b/c/d")).await.unwrap_err();
    assert_eq!(refused.refusal(), Some(PermKind::InvalidInput));
    let none = driver.create(&tag(), &LineSpec { connections: 0, ..alice() }).await.unwrap_err();
    assert_eq!(none.refusal(), Some(PermKind::InvalidInput), "0 would sell unlimited streams");
    assert!(replay.heard().is_empty());
}

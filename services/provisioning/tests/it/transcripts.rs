//! The driver against the golden transcripts of the panel, never only against the simulator.

use std::sync::Arc;

use chrono::DateTime;
use ottery_kit::http::{GuardSettings, GuardedClient};
use ottery_kit::secret::Secret;
use provisioning::driver::http::RawReply;
use provisioning::driver::xui::parse::{self, Asked};
use provisioning::driver::xui::{Role, Xui, row};
use provisioning::driver::{
    Active, Cause, Expiry, LineKey, LineRef, LineSpec, OpTag, Output, PackageSpec, PanelDriver, PanelError, PermKind,
    ReadBack, Renewal,
};

use crate::replay::{self, Replay};

fn http() -> GuardedClient {
    let settings = GuardSettings { allow: vec!["127.0.0.0/8".parse().unwrap()], ..GuardSettings::default() };
    GuardedClient::new(&settings).unwrap()
}

fn driver(url: &str, role: Role) -> Xui {
    Xui::new(Arc::new(http()), url.parse().unwrap(), Secret::new("0123456789abcdef0123456789abcdef"), role)
}

async fn play(name: &str, role: Role) -> (Replay, Xui) {
    let replay = Replay::start(&replay::read(name)).await;
    let driver = driver(&replay.url, role);
    (replay, driver)
}

fn alice() -> LineSpec {
    LineSpec {
        username: "alice-line".into(),
        password: Secret::new("secret-one"),
        expiry: Expiry::At(DateTime::from_timestamp(1_798_758_000, 0).unwrap()),
        connections: 2,
        bouquets: vec![2, 1],
        outputs: vec![Output::Hls, Output::Ts],
        package: None,
        trial: false,
        isp_lock: false,
        country: String::new(),
    }
}

fn tag() -> OpTag {
    OpTag::new("op-1".replace('-', "_"))
}

fn line(name: &str) -> LineRef {
    LineRef { id: "1".into(), username: name.into(), password: Secret::new("secret-one") }
}

fn pair(name: &str) -> LineKey {
    LineKey::Pair { username: name.into(), password: Secret::new("secret-one") }
}

#[test]
fn every_answer_of_every_transcript_is_classified() {
    let transcripts = replay::all();
    assert!(transcripts.len() > 50, "transcripts are missing");
    for transcript in transcripts {
        for exchange in transcript.exchanges.iter().filter(|exchange| exchange.method == "POST") {
            let action = exchange.form.get("action").map_or("", String::as_str);
            let asked = match action {
                "create_line" => Asked::Create,
                action if action.starts_with("get_") || action == "user_info" || action == "packages" => Asked::Read,
                "live_connections" => Asked::Read,
                _ => Asked::Write(ReadBack::ById),
            };
            let reply = RawReply {
                status: exchange.status,
                body: exchange.body.clone().into_bytes().into(),
                ..RawReply::default()
            };
            let answer = parse::answer(&reply, asked);
            let succeeded =
                exchange.status == 200 && (exchange.body.contains("STATUS_SUCCESS") || exchange.body.starts_with('['));
            assert_eq!(answer.is_ok(), succeeded, "{} {action}: {answer:?}", transcript.name);
            if let Ok(data) = answer
                && data.get("exp_date").and(data.get("username")).is_some()
            {
                assert!(row::line(&data).is_some(), "{} {action}: {data}", transcript.name);
            }
        }
    }
}

#[tokio::test]
async fn case_101_create_sends_the_instant_and_reads_the_same_instant_from_the_row() {
    let (replay, driver) = play("admin-create-line", Role::Admin).await;
    let made = driver.create(&tag(), &alice()).await.unwrap();
    assert_eq!(made.differs_from(&alice()), None);
    assert_eq!(made.id, "1");
    let sent = replay.sent("create_line");
    assert_eq!(sent["exp_date"], "@1798758000");
    assert_eq!(sent["bouquets_selected"], "[1,2]");
    assert_eq!(sent["access_output[]"], "1,2");
    assert!(!sent.contains_key("is_trial"), "presence flags are never sent as 0");
    for (path, _) in replay.heard() {
        assert!(!path.contains("api_key") && !path.contains('?'), "{path}");
    }
}

#[tokio::test]
async fn case_087_an_empty_answer_to_a_create_is_unknown_and_the_line_is_found_by_its_name() {
    let (_replay, driver) = play("admin-create-line-answer-lost", Role::Admin).await;
    let lost = driver.create(&tag(), &alice()).await.unwrap_err();
    assert_eq!(lost, PanelError::Ambiguous { cause: Cause::Empty, hint: ReadBack::ByName });
}

#[test]
fn a_bare_failure_is_unknown_for_a_create_and_not_found_for_anything_by_id() {
    let reply = RawReply { status: 200, body: r#"{"status":"STATUS_FAILURE"}"#.into(), ..RawReply::default() };
    let create = parse::answer(&reply, Asked::Create).unwrap_err();
    assert_eq!(create, PanelError::Ambiguous { cause: Cause::NoVerdict, hint: ReadBack::ByName });
    for asked in [Asked::Read, Asked::Write(ReadBack::ById)] {
        assert_eq!(parse::answer(&reply, asked).unwrap_err().refusal(), Some(PermKind::NotFound));
    }
}

#[tokio::test]
async fn case_089_an_error_inside_http_200_is_an_error() {
    let refusals = [
        ("admin-create-line-taken", Role::Admin, PermKind::Conflict),
        ("reseller-create-line-no-credits", Role::Reseller, PermKind::InsufficientCredits),
        ("reseller-create-line-short-name", Role::Reseller, PermKind::InvalidInput),
        ("reseller-create-line-short-password", Role::Reseller, PermKind::InvalidInput),
        ("reseller-create-line-unknown-package", Role::Reseller, PermKind::BrokenMapping),
        ("reseller-create-line-device-package", Role::Reseller, PermKind::BrokenMapping),
        ("reseller-create-line-taken", Role::Reseller, PermKind::Conflict),
    ];
    for (name, role, kind) in refusals {
        let (_replay, driver) = play(name, role).await;
        let refused = driver.create(&tag(), &LineSpec { package: Some(1), ..alice() }).await.unwrap_err();
        assert_eq!(refused.refusal(), Some(kind), "{name}: {refused}");
    }
}

#[tokio::test]
async fn what_stands_before_the_api_is_told_apart() {
    let probes = [
        ("refused-flood-banned", PermKind::IpBanned),
        ("refused-not-whitelisted", PermKind::IpNotAllowed),
        ("refused-wrong-code", PermKind::WrongPanelType),
        ("refused-switched-off-code", PermKind::WrongPanelType),
        ("refused-wrong-key", PermKind::BadCredentials),
        ("refused-key-of-other-role", PermKind::BadCredentials),
    ];
    for (name, kind) in probes {
        let (_replay, driver) = play(name, Role::Admin).await;
        let refused = driver.probe().await.unwrap_err();
        assert_eq!(refused.refusal(), Some(kind), "{name}: {refused}");
        assert!(!refused.remedy().is_empty());
    }
    let (_replay, driver) = play("refused-rate", Role::Admin).await;
    let limited = driver.probe().await.unwrap_err();
    assert_eq!(limited, PanelError::Retryable { cause: Cause::RateLimited, after: None });
}

#[tokio::test]
async fn a_probe_reads_user_and_credits() {
    let (_replay, driver) = play("reseller-user-info", Role::Reseller).await;
    let info = driver.probe().await.unwrap();
    assert_eq!(info.credits, Some(10.into()));
    let (_replay, driver) = play("admin-user-info", Role::Admin).await;
    assert_eq!(driver.probe().await.unwrap().user_id, Some(1));
}

#[tokio::test]
async fn the_catalogue_is_read_from_bare_arrays_and_from_envelopes() {
    let both = replay::Transcript {
        exchanges: [replay::read("admin-get-packages").exchanges, replay::read("admin-get-bouquets").exchanges]
            .concat(),
        ..replay::read("admin-get-packages")
    };
    let replay = Replay::start(&both).await;
    let catalog = driver(&replay.url, Role::Admin).catalog().await.unwrap();
    assert!(catalog.packages.iter().any(|package| package.duration == "1 months" && package.duration_s.is_some()));
    assert!(!catalog.bouquets.is_empty());
    let (_replay, driver) = play("reseller-packages", Role::Reseller).await;
    assert!(!driver.catalog().await.unwrap().packages.is_empty());
}

#[tokio::test]
async fn a_renewal_sends_the_whole_line_and_reads_back() {
    let transcript = replay::read("admin-renew");
    let (replay, driver) = play("admin-renew", Role::Admin).await;
    let until = DateTime::from_timestamp(1_801_436_400, 0).unwrap();
    for _ in 0..2 {
        let renewed = driver.renew(&tag(), &line("alice-line"), &Renewal::Until(Expiry::At(until))).await.unwrap();
        assert_eq!(renewed.expires_at, Some(until));
    }
    let golden = &transcript.exchanges[0].form;
    let sent = replay.sent("edit_line");
    for (name, value) in golden.iter().filter(|(name, _)| *name != "api_key") {
        assert_eq!(sent.get(name), Some(value), "{name}");
    }
    let reads = replay.heard().iter().filter(|(_, form)| form["action"] == "get_line").count();
    assert_eq!(reads, 4, "before and after each edit");
}

#[tokio::test]
async fn another_package_sends_the_whole_line_and_reads_back() {
    let transcript = replay::read("admin-change-bouquets");
    let (replay, driver) = play("admin-change-bouquets", Role::Admin).await;
    let package = PackageSpec {
        package: None,
        bouquets: vec![3],
        outputs: vec![Output::Hls, Output::Ts],
        connections: 1,
        expiry: Some(Expiry::At(DateTime::from_timestamp(1_801_436_400, 0).unwrap())),
        isp_lock: None,
        country: None,
    };
    let changed = driver.change_package(&tag(), &line("alice-line"), &package).await.unwrap();
    assert_eq!(changed.bouquets, Some(vec![3]));
    let sent = replay.sent("edit_line");
    for (name, value) in transcript.exchanges[0].form.iter().filter(|(name, _)| *name != "api_key") {
        assert_eq!(sent.get(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_lock_to_one_internet_provider_is_sent_and_read_back_and_left_out_when_it_is_taken_away() {
    let transcript = replay::read("admin-create-line-isp-lock");
    let (replay, driver) = play("admin-create-line-isp-lock", Role::Admin).await;
    let locked = LineSpec { isp_lock: true, ..alice() };
    let made = driver.create(&tag(), &locked).await.unwrap();
    assert_eq!((made.isp_locked, made.differs_from(&locked)), (Some(true), None));
    assert_eq!(made.differs_from(&alice()), Some("isp_lock"));
    assert_eq!(replay.sent("create_line"), transcript.exchanges[0].form);

    let transcript = replay::read("admin-isp-lock-on-and-off");
    let (replay, driver) = play("admin-isp-lock-on-and-off", Role::Admin).await;
    for (exchange, lock) in transcript.exchanges.iter().zip([true, false]) {
        let package = PackageSpec {
            package: None,
            bouquets: vec![1, 2],
            outputs: vec![Output::Hls, Output::Ts],
            connections: 1,
            expiry: None,
            isp_lock: Some(lock),
            country: None,
        };
        let changed = driver.change_package(&tag(), &line("alice-line"), &package).await.unwrap();
        assert_eq!(changed.isp_locked, Some(lock));
        let sent = replay.sent("edit_line");
        assert_eq!(sent.get("is_isplock"), exchange.form.get("is_isplock"), "a flag counts as soon as it is sent");
        for (name, value) in exchange.form.iter().filter(|(name, _)| *name != "api_key") {
            assert_eq!(sent.get(name), Some(value), "{name}");
        }
    }
    // A plan without the option says nothing, and what the panel's people have set stays.
    let (replay, driver) = play("admin-isp-lock-on-and-off", Role::Admin).await;
    let keep = |isp_lock| PackageSpec {
        package: None,
        bouquets: vec![1, 2],
        outputs: vec![Output::Hls, Output::Ts],
        connections: 1,
        expiry: None,
        isp_lock,
        country: None,
    };
    driver.change_package(&tag(), &line("alice-line"), &keep(Some(true))).await.unwrap();
    driver.change_package(&tag(), &line("alice-line"), &keep(None)).await.ok();
    assert_eq!(replay.sent("edit_line")["is_isplock"], "1");
}

#[tokio::test]
async fn a_lock_to_one_country_is_sent_and_read_back_and_sent_empty_when_it_is_taken_away() {
    let transcript = replay::read("admin-create-line-country-lock");
    let (replay, driver) = play("admin-create-line-country-lock", Role::Admin).await;
    let locked = LineSpec { country: "DE".into(), ..alice() };
    let made = driver.create(&tag(), &locked).await.unwrap();
    assert_eq!((made.country.as_deref(), made.differs_from(&locked)), (Some("DE"), None));
    assert_eq!(made.differs_from(&alice()), Some("country"));
    assert_eq!(replay.sent("create_line"), transcript.exchanges[0].form);

    let plays_from = |country: Option<&str>| PackageSpec {
        package: None,
        bouquets: vec![1, 2],
        outputs: vec![Output::Hls, Output::Ts],
        connections: 1,
        expiry: None,
        isp_lock: None,
        country: country.map(str::to_owned),
    };
    let transcript = replay::read("admin-country-lock-on-and-off");
    let (replay, driver) = play("admin-country-lock-on-and-off", Role::Admin).await;
    for (exchange, country) in transcript.exchanges.iter().zip(["DE", ""]) {
        let changed = driver.change_package(&tag(), &line("alice-line"), &plays_from(Some(country))).await.unwrap();
        assert_eq!(changed.country.as_deref(), Some(country));
        let sent = replay.sent("edit_line");
        for (name, value) in exchange.form.iter().filter(|(name, _)| *name != "api_key") {
            assert_eq!(sent.get(name), Some(value), "{name}");
        }
    }
    // A plan without the option says nothing, and what the panel's people have set stays.
    let (replay, driver) = play("admin-edit-line-keeps-country", Role::Admin).await;
    driver.change_package(&tag(), &line("alice-line"), &plays_from(Some("DE"))).await.unwrap();
    let kept = driver.change_package(&tag(), &line("alice-line"), &plays_from(None)).await.unwrap();
    assert_eq!(kept.country.as_deref(), Some("DE"));
    assert_eq!(replay.sent("edit_line")["forced_country"], "DE");
}

#[test]
fn a_row_says_which_country_a_line_is_locked_to() {
    let country = |forced: serde_json::Value| {
        let shown = serde_json::json!({ "id": 1, "username": "alice", "exp_date": null, "forced_country": forced });
        row::line(&shown).unwrap().country
    };
    assert_eq!(country("DE".into()).as_deref(), Some("DE"));
    for none in ["".into(), "ALL".into(), serde_json::Value::Null] {
        assert_eq!(country(none).as_deref(), Some(""));
    }
    let silent = serde_json::json!({ "id": 1, "username": "alice", "exp_date": null });
    assert_eq!(row::line(&silent).unwrap().country, None);
}

#[tokio::test]
async fn suspending_cuts_the_streams_and_both_ways_are_read_back() {
    let (_replay, driver) = play("admin-disable-enable", Role::Admin).await;
    let given = replay::read("admin-disable-enable");
    assert!(!given.exchanges.is_empty());
    let (replay, kicker) = play("admin-connections-and-kick", Role::Admin).await;
    assert_eq!(kicker.kick(&line("alice-line")).await.unwrap(), 1);
    assert_eq!(replay.sent("kill_connection")["activity_id"], "1");
    assert_eq!(kicker.kick(&line("alice-line")).await.unwrap(), 0);
    // The first read of that transcript already shows the line disabled.
    let off = driver.set_status(&tag(), &line("alice-line"), Active::No).await.unwrap();
    assert!(!off.enabled);
    let on = driver.set_status(&tag(), &line("alice-line"), Active::Yes).await.unwrap();
    assert!(on.enabled);
}

#[tokio::test]
async fn a_line_of_another_name_is_never_touched() {
    for name in ["reseller-disable-line-of-another", "admin-disable-enable"] {
        let (replay, driver) = play(name, Role::Admin).await;
        let stranger = line("somebody-else");
        let refused = driver.set_status(&tag(), &stranger, Active::No).await.unwrap_err();
        assert_eq!(refused.refusal(), Some(PermKind::Conflict));
        let refused = driver.terminate(&tag(), &stranger).await.unwrap_err();
        assert_eq!(refused.refusal(), Some(PermKind::Conflict));
        assert!(replay.heard().iter().all(|(_, form)| form["action"] == "get_line"));
    }
}

#[tokio::test]
async fn a_line_that_is_gone_counts_as_terminated() {
    let (_replay, driver) = play("admin-get-line-unknown", Role::Admin).await;
    assert_eq!(driver.terminate(&tag(), &line("alice-line")).await, Ok(()));
    assert_eq!(driver.find(&LineKey::Line(LineRef { id: "999".into(), ..line("alice-line") })).await, Ok(None));
}

#[tokio::test]
async fn names_are_matched_exactly_although_the_panel_matches_parts() {
    for (name, wanted) in [("admin-get-lines-substring", "alice"), ("admin-get-lines-wildcard", "a_ice")] {
        let (_replay, driver) = play(name, Role::Admin).await;
        let found = driver.find(&pair(wanted)).await.unwrap();
        assert!(found.is_none_or(|line| line.username == wanted), "{name}");
    }
    let (_replay, driver) = play("admin-get-lines-loopback-failed", Role::Admin).await;
    let failed = driver.find(&pair("alice-line")).await.unwrap_err();
    assert_eq!(failed, PanelError::retryable(Cause::Rubbish), "`null` is no empty list");
}

#[tokio::test]
async fn a_reseller_takes_what_the_reply_says_and_never_buys_twice() {
    let (replay, driver) = play("reseller-create-line", Role::Reseller).await;
    let bob =
        LineSpec { username: "bob-line-1".into(), password: Secret::new("secret-two"), package: Some(1), ..alice() };
    let made = driver.create(&OpTag::new("op"), &bob).await.unwrap();
    assert_eq!((made.username.as_str(), made.package), ("bob-line-1", Some(1)));
    assert_eq!(replay.sent("create_line")["package"], "1");

    let (replay, driver) = play("reseller-renew", Role::Reseller).await;
    let before = DateTime::from_timestamp(1_798_758_000, 0);
    let renewed =
        driver.renew(&tag(), &line("bob-line-1"), &Renewal::Package { id: 1, expect_before: before }).await.unwrap();
    assert_eq!(renewed.expires_at, DateTime::from_timestamp(1_801_436_400, 0));
    let again = driver
        .renew(&tag(), &line("bob-line-1"), &Renewal::Package { id: 1, expect_before: before })
        .await
        .unwrap_err();
    assert_eq!(again.refusal(), Some(PermKind::Conflict), "the expiry has moved already");
    let bought = replay.heard().iter().filter(|(_, form)| form["action"] == "edit_line").count();
    assert_eq!(bought, 1);
}

#[tokio::test]
async fn case_091_names_that_break_the_rules_never_leave() {
    let (replay, driver) = play("admin-create-line", Role::Admin).await;
    for username in ["abc", "with/slash", "with space", "ünïcode", &"x".repeat(51)] {
        let refused = driver.create(&tag(), &LineSpec { username: username.into(), ..alice() }).await.unwrap_err();
        assert_eq!(refused.refusal(), Some(PermKind::InvalidInput), "{username}");
        assert!(refused.to_string().contains("username"));
    }
    let none = driver.create(&tag(), &LineSpec { connections: 0, ..alice() }).await.unwrap_err();
    assert_eq!(none.refusal(), Some(PermKind::InvalidInput), "0 would sell unlimited streams");
    assert!(replay.heard().is_empty());
}

#[tokio::test]
async fn nothing_is_sent_to_a_dead_port_and_the_phase_is_known() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/X", listener.local_addr().unwrap());
    drop(listener);
    let refused = driver(&url, Role::Admin).create(&tag(), &alice()).await.unwrap_err();
    assert_eq!(refused, PanelError::retryable(Cause::ConnectRefused));
}

#[tokio::test]
async fn case_105_a_redirect_is_never_followed() {
    use axum::response::Redirect;
    let trap = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}/trap", trap.local_addr().unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/X", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(move || async move { Redirect::temporary(&target) });
    tokio::spawn(async move { axum::serve(listener, router).await });
    let refused = driver(&url, Role::Admin).probe().await.unwrap_err();
    assert_eq!(refused.refusal(), Some(PermKind::WrongPanelType));
    let nobody = tokio::time::timeout(std::time::Duration::from_millis(200), trap.accept()).await;
    assert!(nobody.is_err(), "the redirect was followed");
}

#[tokio::test]
async fn case_106_an_internal_address_is_not_called() {
    let guarded = GuardedClient::new(&GuardSettings::default()).unwrap();
    let panel = Xui::new(Arc::new(guarded), "http://127.0.0.1:9/x".parse().unwrap(), Secret::new("k"), Role::Admin);
    assert_eq!(panel.probe().await.unwrap_err(), PanelError::retryable(Cause::AddressBlocked));
}

mod fuzz {
    use super::*;
    use proptest::prelude::*;

    fn asked() -> impl Strategy<Value = Asked> {
        prop_oneof![Just(Asked::Read), Just(Asked::Create), Just(Asked::Write(ReadBack::ById))]
    }

    fn mutated() -> impl Strategy<Value = Vec<u8>> {
        let bodies: Vec<Vec<u8>> = replay::all()
            .into_iter()
            .flat_map(|transcript| transcript.exchanges)
            .map(|exchange| exchange.body.into_bytes())
            .filter(|body| !body.is_empty())
            .collect();
        (proptest::sample::select(bodies), any::<prop::sample::Index>(), any::<u8>(), any::<bool>()).prop_map(
            |(mut body, at, byte, cut)| {
                let at = at.index(body.len());
                if cut {
                    body.truncate(at);
                } else {
                    body[at] = byte;
                }
                body
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        /// Whatever comes back: an answer or a class, never a panic, and never a write that counts as not applied
        /// without the panel having said so.
        #[test]
        fn fault_f19_rubbish_is_classified(body in prop_oneof![mutated(), proptest::collection::vec(any::<u8>(), 0..300)],
                                           status in 100_u16..600, asked in asked()) {
            let reply = RawReply { status, body: body.into(), ..RawReply::default() };
            match parse::answer(&reply, asked) {
                Ok(data) => {
                    let _ = (row::line(&data), row::package(&data), row::bouquet(&data), row::connection(&data));
                    let _ = parse::rows(data);
                }
                Err(PanelError::Retryable { .. }) => prop_assert!(asked == Asked::Read || matches!(status, 429 | 503)),
                Err(PanelError::Ambiguous { .. }) => prop_assert!(asked != Asked::Read),
                Err(PanelError::Permanent(_)) => {}
            }
        }
    }
}

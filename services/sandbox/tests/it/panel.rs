//! What transcripts cannot show: faults, races, the player.

use serde_json::{Value, json};

use crate::harness;

const NEW: &[(&str, &str)] = &[
    ("action", "create_line"),
    ("username", "alice-line"),
    ("password", "secret-one"),
    ("no_expire", "1"),
    ("bouquets_selected", "[1]"),
    ("access_output[]", "1"),
];

#[tokio::test]
async fn a_lost_answer_leaves_one_line_and_one_effect() {
    let sandbox = harness::start().await;
    sandbox.fault("panel:PANELCODE", "create_line", "drop_after_apply", 1).await;
    assert!(sandbox.admin(NEW).await.is_err());
    let lines = sandbox.look("panels/PANELCODE/lines?username=alice-line").await;
    assert_eq!(lines.as_array().map(Vec::len), Some(1));
    assert_eq!(sandbox.admin(NEW).await.expect("answers")["status"], "STATUS_EXISTS_USERNAME");
    let effects = sandbox.look("panels/PANELCODE/effects?action=create_line").await;
    assert_eq!(effects.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_dropped_request_leaves_nothing() {
    let sandbox = harness::start().await;
    sandbox.fault("panel:PANELCODE", "create_line", "drop_before_apply", 1).await;
    assert!(sandbox.admin(NEW).await.is_err());
    assert_eq!(sandbox.look("panels/PANELCODE/lines").await, json!([]));
}

#[tokio::test]
async fn a_duplicated_renewal_is_paid_twice() {
    let sandbox = harness::start().await;
    let buy = [("action", "create_line"), ("package", "1"), ("username", "bob-line-1"), ("password", "secret-two")];
    sandbox.reseller(&buy).await.expect("answers");
    sandbox.fault("panel:PANELCODE", "edit_line", "duplicate", 1).await;
    sandbox.reseller(&[("action", "edit_line"), ("id", "1"), ("package", "1")]).await.expect("answers");
    let effects = sandbox.look("panels/PANELCODE/effects?action=edit_line").await;
    assert_eq!(effects[1]["credits_before"], 8);
    assert_eq!(effects[1]["credits_after"], 7);
}

#[tokio::test]
async fn rubbish_of_every_kind_is_served() {
    let sandbox = harness::start().await;
    sandbox.control("panels/PANELCODE/lines", json!({"username": "alice-line", "password": "pw"})).await;
    for kind in ["null", "truncated", "html_error", "empty_200", "http_502", "out_of_credits"] {
        sandbox.fault("panel:PANELCODE", "get_line", kind, 1).await;
        let answer = sandbox.admin(&[("action", "get_line"), ("id", "1")]).await.expect("an answer of some kind");
        assert_ne!(answer["status"], "STATUS_SUCCESS", "{kind}");
    }
    sandbox.fault("panel:PANELCODE", "get_line", "cut", 1).await;
    assert!(sandbox.admin(&[("action", "get_line"), ("id", "1")]).await.is_err());
    assert_eq!(
        sandbox.admin(&[("action", "get_line"), ("id", "1")]).await.expect("answers")["status"],
        "STATUS_SUCCESS"
    );
}

#[tokio::test]
async fn racing_calls_lose_a_charge_and_double_a_name_as_real_panels_do() {
    let sandbox = harness::start().await;
    sandbox.control("panels/PANELCODE/settings", json!({"racy": true, "latency_ms": 100})).await;
    let buy = [("action", "create_line"), ("package", "1"), ("username", "bob-line-1"), ("password", "secret-two")];
    let (one, two) = tokio::join!(sandbox.reseller(&buy), sandbox.reseller(&buy));
    assert_eq!(one.expect("answers")["status"], "STATUS_SUCCESS");
    assert_eq!(two.expect("answers")["status"], "STATUS_SUCCESS");
    let panel = sandbox.look("panels/PANELCODE").await;
    assert_eq!(panel["lines"], 2);
    assert_eq!(panel["users"][1]["credits"], 9);
}

#[tokio::test]
async fn a_rate_limit_answers_503_and_refills() {
    let mut config = harness::config();
    (config.panels[0].rate_per_second, config.panels[0].rate_burst) = (1, 2);
    let sandbox = harness::start_with(config).await;
    let probe = || sandbox.http.get(sandbox.panel("/PANELCODE/?action=user_info")).send();
    for _ in 0..3 {
        assert_eq!(probe().await.expect("answers").status(), 200);
    }
    assert_eq!(probe().await.expect("answers").status(), 503);
    sandbox.control("panels/PANELCODE/rate/refill", json!({})).await;
    assert_eq!(probe().await.expect("answers").status(), 200);
}

#[tokio::test]
async fn the_player_sees_its_channels_until_the_line_is_suspended() {
    let sandbox = harness::start().await;
    sandbox.admin(NEW).await.expect("answers");
    let address = sandbox.panel("/player_api.php?username=alice-line&password=secret-one");
    let profile: Value = sandbox.http.get(&address).send().await.expect("answers").json().await.expect("JSON");
    assert_eq!(profile["user_info"]["status"], "Active");
    assert_eq!(profile["user_info"]["allowed_output_formats"], json!(["m3u8"]));
    let streams = sandbox.http.get(format!("{address}&action=get_live_streams")).send().await.expect("answers");
    assert_eq!(streams.json::<Value>().await.expect("JSON")[0]["stream_id"], 101);
    let list = sandbox.panel("/get.php?username=alice-line&password=secret-one&type=m3u_plus&output=hls");
    let list = sandbox.http.get(list).send().await.expect("answers").text().await.expect("text");
    assert!(list.contains("/live/alice-line/secret-one/101.m3u8\r\n"), "{list}");

    sandbox.admin(&[("action", "disable_line"), ("id", "1")]).await.expect("answers");
    let refused = sandbox.http.get(&address).send().await.expect("answers");
    assert_eq!(refused.status(), 404);
    let stream = sandbox.panel("/live/alice-line/secret-one/101.m3u8");
    assert_eq!(sandbox.http.get(stream).send().await.expect("answers").status(), 404);

    sandbox.control("panels/PANELCODE/settings", json!({"classic_auth": true})).await;
    let profile: Value = sandbox.http.get(&address).send().await.expect("answers").json().await.expect("JSON");
    assert_eq!(profile["user_info"]["status"], "Disabled");
    let wrong = sandbox.panel("/player_api.php?username=alice-line&password=wrong");
    let wrong: Value = sandbox.http.get(wrong).send().await.expect("answers").json().await.expect("JSON");
    assert_eq!(wrong, json!({"user_info": {"auth": 0}}));
}

#[tokio::test]
async fn a_line_of_one_country_plays_from_nowhere_else() {
    let sandbox = harness::start().await;
    let mut locked = NEW.to_vec();
    locked.push(("forced_country", "DE"));
    sandbox.admin(&locked).await.expect("answers");
    assert_eq!(sandbox.look("panels/PANELCODE/lines").await[0]["forced_country"], "DE");
    let status = async |path: &str| sandbox.http.get(sandbox.panel(path)).send().await.expect("answers").status();
    let plays = async || {
        let stream = status("/live/alice-line/secret-one/101.m3u8").await;
        let list = status("/get.php?username=alice-line&password=secret-one&type=m3u").await;
        assert_eq!(stream.is_redirection(), list.is_success());
        assert_eq!(status("/player_api.php?username=alice-line&password=secret-one").await, 200);
        stream.is_redirection()
    };
    assert!(plays().await, "who comes from nowhere known is let in");
    for (country, is_let_in) in [("FR", false), ("DE", true), ("AT", false)] {
        let countries = json!({"countries": {"127.0.0.1": country}});
        sandbox.control("panels/PANELCODE/settings", countries).await;
        assert_eq!(plays().await, is_let_in, "{country}");
    }
    for any in ["ALL", ""] {
        sandbox.control("panels/PANELCODE/lines/1", json!({"forced_country": any})).await;
        assert!(plays().await, "{any}");
    }
}

#[tokio::test]
async fn too_many_wrong_names_ban_the_caller() {
    let sandbox = harness::start().await;
    sandbox.control("panels/PANELCODE/settings", json!({"flood_guard": true})).await;
    for number in 0..10 {
        let address = sandbox.panel(&format!("/player_api.php?username=guess{number}&password=x"));
        assert_eq!(sandbox.http.get(address).send().await.expect("answers").status(), 404);
    }
    let banned = sandbox.http.get(sandbox.panel("/PANELCODE/?action=user_info")).send().await.expect("answers");
    assert_eq!(banned.status(), 403);
    assert_eq!(banned.text().await.expect("text"), "");
}

#[tokio::test]
async fn expiry_follows_the_panels_clock() {
    let sandbox = harness::start().await;
    let exp = 1_798_758_000;
    sandbox.control("panels/PANELCODE/lines", json!({"username": "alice", "password": "pw", "exp_date": exp})).await;
    let address = sandbox.panel("/player_api.php?username=alice&password=pw");
    for (now, status) in [("2026-12-31T22:59:59Z", 200), ("2026-12-31T23:00:00Z", 404)] {
        sandbox.control("panels/PANELCODE/clock", json!({"now": now})).await;
        assert_eq!(sandbox.http.get(&address).send().await.expect("answers").status(), status, "{now}");
    }
}

#[tokio::test]
async fn a_page_in_a_browser_cannot_reach_the_control_api() {
    let sandbox = harness::start().await;
    let url = format!("http://{}/control/reset", sandbox.running.addresses().control);
    let answer = sandbox.http.post(url).header("origin", "http://evil.example").send().await.expect("answers");
    assert_eq!(answer.status(), 403);
}

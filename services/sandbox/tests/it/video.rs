//! Playing a channel as a player would.

use serde_json::json;

use crate::harness;

#[tokio::test]
async fn a_channel_plays_until_it_is_kicked() {
    let sandbox = harness::start().await;
    sandbox.control("panels/PANELCODE/lines", json!({"username": "alice", "password": "pw"})).await;
    let start = sandbox.http.get(sandbox.panel("/live/alice/pw/101.m3u8")).send().await.expect("answers");
    assert_eq!(start.status(), 302);
    let playlist = sandbox.panel(start.headers()["location"].to_str().expect("text"));
    let answer = sandbox.http.get(&playlist).send().await.expect("answers");
    assert_eq!(answer.headers()["content-type"], "application/vnd.apple.mpegurl");
    let text = answer.text().await.expect("text");
    let segments: Vec<&str> = text.lines().filter(|line| line.starts_with("/hls/")).collect();
    assert_eq!(segments.len(), 6, "{text}");
    let segment = sandbox.http.get(sandbox.panel(segments[5])).send().await.expect("answers");
    assert_eq!(segment.headers()["content-type"], "video/mp2t");
    let bytes = segment.bytes().await.expect("bytes");
    assert!(bytes.len().is_multiple_of(188) && bytes.iter().step_by(188).all(|byte| *byte == 0x47));

    let live = sandbox.admin(&[("action", "live_connections"), ("user_id", "1")]).await.expect("answers");
    assert_eq!(live["data"][0]["stream_id"], 101);
    let id = live["data"][0]["activity_id"].to_string();
    sandbox.admin(&[("action", "kill_connection"), ("activity_id", &id)]).await.expect("answers");
    assert_eq!(sandbox.http.get(&playlist).send().await.expect("answers").status(), 404);
}

#[tokio::test]
async fn one_screen_means_the_newest_stream_only() {
    let sandbox = harness::start().await;
    sandbox.control("panels/PANELCODE/lines", json!({"username": "alice", "password": "pw"})).await;
    let mut playlists = Vec::new();
    for _ in 0..2 {
        let start = sandbox.http.get(sandbox.panel("/live/alice/pw/101.m3u8")).send().await.expect("answers");
        playlists.push(sandbox.panel(start.headers()["location"].to_str().expect("text")));
    }
    assert_eq!(sandbox.http.get(&playlists[0]).send().await.expect("answers").status(), 404);
    assert_eq!(sandbox.http.get(&playlists[1]).send().await.expect("answers").status(), 200);
}

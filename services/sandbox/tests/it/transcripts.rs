//! Every golden transcript, played against the simulator.

use std::{fs, path::Path};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    harness::{self, Playground},
    transcript::{self, Message},
};

#[tokio::test]
async fn every_transcript_is_answered_as_written() {
    for (folder, least) in [("panel", 60), ("xtream", 16)] {
        play_all(folder, least).await;
    }
}

async fn play_all(folder: &str, least: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts").join(folder);
    let mut names: Vec<_> =
        fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("entry").path()).collect();
    names.sort();
    assert!(names.len() >= least, "only {} transcripts found", names.len());
    let sandbox = harness::start().await;
    let mut wrong = Vec::new();
    for path in names {
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        let transcript =
            transcript::parse(&fs::read_to_string(&path).expect("readable")).unwrap_or_else(|e| panic!("{name}: {e}"));
        prepare(&sandbox, &transcript.given).await;
        for (step, (request, expected)) in transcript.exchanges.iter().enumerate() {
            let reply = play(&sandbox, request).await;
            if let Err(difference) = compare(expected, &reply, &transcript.vary) {
                wrong.push(format!("{name}, reply {}: {difference}", step + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn prepare(sandbox: &Playground, given: &[String]) {
    sandbox.control("reset", json!({})).await;
    for text in given {
        let given: Value = serde_json::from_str(text).expect("given is JSON");
        let (kind, value) = given.as_object().and_then(|map| map.iter().next()).expect("given has one key");
        let (path, body) = match kind.as_str() {
            "line" => ("panels/PANELCODE/lines", value.clone()),
            "connection" => ("panels/PANELCODE/connections", value.clone()),
            "credits" => ("panels/PANELCODE/credits", value.clone()),
            "clock" => ("panels/PANELCODE/clock", json!({"now": value})),
            "settings" => ("panels/PANELCODE/settings", value.clone()),
            "fault" => ("faults", value.clone()),
            other => panic!("unknown precondition {other}"),
        };
        sandbox.control(path, body).await;
    }
}

async fn play(sandbox: &Playground, request: &Message) -> Message {
    let mut socket = TcpStream::connect(sandbox.running.addresses().panel).await.expect("connects");
    socket.write_all(&request.wire()).await.expect("writes");
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).await.expect("reads");
    let text = String::from_utf8(bytes).expect("replies are UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.lines();
    Message {
        first_line: lines.next().unwrap_or_default().to_owned(),
        headers: lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
        body: body.to_owned(),
    }
}

fn compare(expected: &Message, reply: &Message, vary: &[String]) -> Result<(), String> {
    let status = |message: &Message| message.first_line.split(' ').nth(1).map(str::to_owned);
    if status(expected) != status(reply) {
        return Err(format!("{} instead of {}; {}", reply.first_line, expected.first_line, reply.body));
    }
    let kind = |message: &Message| {
        message.header("content-type").and_then(|kind| kind.split(';').next()).unwrap_or_default().to_owned()
    };
    if kind(expected) != kind(reply) || reply.header("server") != Some("nginx") {
        return Err(format!("headers {:?}", reply.headers));
    }
    if kind(expected) != "application/json" {
        return if expected.body == reply.body { Ok(()) } else { Err(format!("body {:?}", reply.body)) };
    }
    let parse =
        |message: &Message| serde_json::from_str::<Value>(&message.body).map_err(|e| format!("{e}: {}", message.body));
    same("", &parse(expected)?, &parse(reply)?, vary)
}

fn same(path: &str, expected: &Value, found: &Value, vary: &[String]) -> Result<(), String> {
    if vary.iter().any(|one| one == path) {
        let kind = |value: &Value| std::mem::discriminant(value);
        return if kind(expected) == kind(found) { Ok(()) } else { Err(format!("{path} is {found}")) };
    }
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => expected.iter().try_for_each(|(key, value)| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            same(&path, value, found.get(key).ok_or(format!("{path} is missing"))?, vary)
        }),
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            expected.iter().zip(found).try_for_each(|(one, other)| same(&format!("{path}[]"), one, other, vary))
        }
        _ if expected == found => Ok(()),
        _ => Err(format!("{path} is {found} instead of {expected}")),
    }
}

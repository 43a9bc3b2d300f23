use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A listener that counts connections and answers each with the same text.
struct Listener {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Listener {
    async fn start(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let answer = Arc::new(answer.into());
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let answer = Arc::clone(&answer);
                tokio::spawn(async move {
                    let _ = stream.read(&mut [0; 4096]).await;
                    let _ = stream.write_all(&answer).await;
                    if answer.is_empty() {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                });
            }
        });
        Self { address, connections, task }
    }

    fn port(&self) -> u16 {
        self.address.port()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers lookups from a script; the last answer stays.
#[derive(Debug)]
struct Script(Mutex<VecDeque<Vec<IpAddr>>>);

impl Script {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        Arc::new(Self(Mutex::new(answers.iter().map(parse).collect())))
    }
}

#[async_trait]
impl Lookup for Script {
    async fn lookup(&self, _host: &str) -> std::io::Result<Vec<IpAddr>> {
        let mut answers = self.0.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Ok(answer.unwrap_or_default())
    }
}

fn client(settings: &GuardSettings, answers: &[&[&str]]) -> GuardedClient {
    GuardedClient::with_lookup(settings, &Trust::Public, Script::new(answers)).unwrap()
}

fn loopback_allowed() -> GuardSettings {
    GuardSettings { allow: vec!["127.0.0.0/8".parse().unwrap()], timeout_ms: 2_000, ..GuardSettings::default() }
}

async fn get(client: &GuardedClient, url: &str) -> Result<GuardedResponse, HttpError> {
    client.send(client.request(Method::GET, url)?).await
}

/// Every way known to us of writing an address of this machine or its neighbours; `PORT` is the trap's.
const TRICKS: &[&str] = &[
    "http://127.0.0.1:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://127.000.000.001:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://0177.0.0.01:PORT/",
    "http://017700000001:PORT/",
    "http://0x7f.0.0.1:PORT/",
    "http://0x7f.0x0.0x0.0x1:PORT/",
    "http://0x7f000001:PORT/",
    "http://0X7F000001:PORT/",
    "http://0x7f.1:PORT/",
    "http://2130706433:PORT/",
    "http://127.0.0.2:PORT/",
    "http://127.255.255.254:PORT/",
    "http://0:PORT/",
    "http://0.0.0.0:PORT/",
    "http://00.0.0.0:PORT/",
    "http://1.0x7f000001:PORT/",
    "http://%31%32%37%2e%30%2e%30%2e%31:PORT/",
    "http://127%2e0%2e0%2e1:PORT/",
    "http://①②⑦.⓪.⓪.①:PORT/",
    "http://127。0。0。1:PORT/",
    "http://127．0．0．1:PORT/",
    "http://[::1]:PORT/",
    "http://[::]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[0000:0000:0000:0000:0000:0000:0000:0001]:PORT/",
    "http://[::127.0.0.1]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[0:0:0:0:0:ffff:7f00:1]:PORT/",
    "http://[::ffff:0:127.0.0.1]:PORT/",
    "http://[64:ff9b::127.0.0.1]:PORT/",
    "http://[64:ff9b:1::7f00:1]:PORT/",
    "http://[2002:7f00:1::]:PORT/",
    "http://[2001:0:7f00:1::]:PORT/",
    "http://[fe80::1]:PORT/",
    "http://[fe80::1%25lo]:PORT/",
    "http://[fc00::1]:PORT/",
    "http://[fd00:ec2::254]:PORT/",
    "http://[ff02::1]:PORT/",
    "http://10.0.0.1:PORT/",
    "http://172.16.0.1:PORT/",
    "http://192.168.0.1:PORT/",
    "http://100.64.0.1:PORT/",
    "http://169.254.169.254:PORT/latest/meta-data/",
    "http://0xa9fea9fe:PORT/",
    "http://2852039166:PORT/",
    "http://168.63.129.16:PORT/",
    "http://224.0.0.1:PORT/",
    "http://255.255.255.255:PORT/",
    "http://198.18.0.1:PORT/",
    "http://user:pass@127.0.0.1:PORT/",
    "http://example.com@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT@example.com/",
    "http://example.com:80@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT#@example.com/",
    "http://127.0.0.1:PORT?@example.com/",
    "http://127.0.0.1:PORT\\@example.com/",
    "http:\\\\127.0.0.1:PORT/",
    "http:/127.0.0.1:PORT/",
    "http:127.0.0.1:PORT/",
    "http:///127.0.0.1:PORT/",
    "  http://127.0.0.1:PORT/",
    "ht\ntp://127.0.0.1:PORT/",
    "http://127.0.0.1\t:PORT/",
    "//127.0.0.1:PORT/",
    "file:///etc/passwd",
    "ftp://127.0.0.1:PORT/",
    "gopher://127.0.0.1:PORT/_x",
    "dict://127.0.0.1:PORT/x",
    "ws://127.0.0.1:PORT/",
    "unix:///var/run/docker.sock",
    "data:text/plain,x",
    "jar:http://127.0.0.1:PORT!/",
    "javascript:alert(1)",
    // These are names; the resolver of the test answers them all with this machine's address.
    "http://localhost:PORT/",
    "http://LOCALHOST:PORT/",
    "http://localhost.:PORT/",
    "http://panel.example.com:PORT/",
    "http://localtest.me:PORT/",
    "http://127.0.0.1.nip.io:PORT/",
    "http://metadata.google.internal:PORT/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:PORT/",
    "",
    "http://",
    "http://:PORT/",
];

#[tokio::test]
async fn secure_s21_no_way_of_writing_an_internal_address_reaches_it() {
    assert!(TRICKS.len() >= 60);
    let trap = Listener::start("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let settings = GuardSettings { timeout_ms: 500, connect_timeout_ms: 500, ..GuardSettings::default() };
    let client = client(&settings, &[&["127.0.0.1", "::1", "169.254.169.254"]]);
    for trick in TRICKS {
        let url = trick.replace("PORT", &trap.port().to_string());
        match get(&client, &url).await {
            Err(HttpError::Refused(_)) => {}
            other => panic!("{url:?} was not refused: {other:?}"),
        }
    }
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn secure_s21_a_name_that_changes_its_address_after_the_check_is_not_dialled() {
    let trap = Listener::start("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let client = client(&GuardSettings::default(), &[&["93.184.216.34"], &["127.0.0.1"]]);
    let url = format!("http://rebind.example.com:{}/", trap.port());
    client.guard().check_resolved(&url).await.expect("the first answer is public");
    assert!(matches!(get(&client, &url).await, Err(HttpError::Refused(Refused::Address { .. }))));
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn secure_s21_internal_addresses_among_public_ones_are_not_dialled() {
    let open = Listener::start("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let settings = GuardSettings { allow: vec!["127.0.0.1/32".parse().unwrap()], ..GuardSettings::default() };
    // Were the guard to pass all of them on, the first would be tried first.
    let client = client(&settings, &[&["127.0.0.2", "127.0.0.1"]]);
    let answer = get(&client, &format!("http://mixed.example.com:{}/", open.port())).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "ok");
    assert_eq!(open.connections(), 1);
}

#[tokio::test]
async fn secure_s21_a_redirect_is_returned_and_not_followed() {
    let trap = Listener::start("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let redirect =
        format!("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{}/\r\ncontent-length: 0\r\n\r\n", trap.port());
    let panel = Listener::start(redirect).await;
    let client = client(&loopback_allowed(), &[&["127.0.0.1"]]);
    let answer = get(&client, &format!("http://panel.example.com:{}/", panel.port())).await.unwrap();
    assert_eq!(answer.status(), 302);
    assert_eq!((panel.connections(), trap.connections()), (1, 0));
}

#[tokio::test]
async fn case_106_an_internal_panel_address_is_blocked_unless_the_owner_allows_its_network() {
    let panel = Listener::start("HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"status\": 1}").await;
    let url = format!("http://127.0.0.1:{}/player_api.php", panel.port());
    let refused = get(&client(&GuardSettings::default(), &[]), &url).await.unwrap_err();
    assert!(refused.surely_not_sent());
    assert!(refused.to_string().contains("http.allow"), "{refused}");
    assert_eq!(panel.connections(), 0);

    let answer = get(&client(&loopback_allowed(), &[]), &url).await.unwrap();
    assert_eq!(answer.json::<serde_json::Value>().await.unwrap()["status"], 1);
}

#[tokio::test]
async fn secure_s21_bodies_end_at_the_limit_whatever_the_header_says() {
    let settings = GuardSettings { body_max_bytes: 1_000, ..loopback_allowed() };
    let client = client(&settings, &[]);
    let honest = format!("HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n{}", "x".repeat(2_000));
    let endless =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}", "400\r\n".to_owned() + &"x".repeat(1_024));
    for answer in [honest, endless] {
        let listener = Listener::start(answer).await;
        let answer = get(&client, &format!("http://127.0.0.1:{}/", listener.port())).await.unwrap();
        assert!(matches!(answer.bytes().await, Err(HttpError::TooLarge(1_000))));
    }
}

#[tokio::test]
async fn secure_s21_ports_of_other_protocols_are_refused() {
    let client = client(&GuardSettings::default(), &[&["93.184.216.34"]]);
    for port in [0, 22, 25, 5432, 6379, 10250] {
        let refused = client.request(Method::GET, &format!("http://panel.example.com:{port}/")).unwrap_err();
        assert_eq!(refused, Refused::Port(port));
    }
    assert!(client.request(Method::GET, "http://panel.example.com:25461/").is_ok());
    let strict = GuardSettings { ports_allowed: vec![443], ..GuardSettings::default() };
    let strict = GuardedClient::new(&strict).unwrap();
    assert!(strict.request(Method::GET, "https://panel.example.com/").is_ok());
    assert_eq!(strict.request(Method::GET, "http://panel.example.com/").unwrap_err(), Refused::Port(80));
}

#[tokio::test]
async fn failures_say_whether_the_request_may_have_arrived() {
    let silent = Listener::start("").await;
    let settings = GuardSettings { timeout_ms: 100, ..loopback_allowed() };
    let client = client(&settings, &[]);
    let timeout = get(&client, &format!("http://127.0.0.1:{}/?token=hunter2", silent.port())).await.unwrap_err();
    assert!(matches!(timeout, HttpError::Timeout(_)) && !timeout.surely_not_sent());
    assert!(!format!("{timeout:?}").contains("hunter2"), "{timeout:?}");

    let gone = {
        let listener = Listener::start("").await;
        listener.port()
    };
    tokio::time::sleep(Duration::from_millis(20)).await;
    let refused = get(&client, &format!("http://127.0.0.1:{gone}/")).await.unwrap_err();
    assert!(matches!(refused, HttpError::Connect(_)) && refused.surely_not_sent(), "{refused:?}");
}

#[test]
fn fingerprints_are_read_as_browsers_show_them() {
    let fingerprint = Fingerprint::of(b"certificate");
    assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
    let colons: Vec<_> =
        fingerprint.to_string().as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).to_uppercase()).collect();
    assert_eq!(colons.join(":").parse(), Ok(fingerprint));
    assert!("abcd".parse::<Fingerprint>().is_err());
    assert!(GuardedClient::with_trust(&GuardSettings::default(), &Trust::Pinned(fingerprint)).is_ok());
    let no_pem = Trust::Authority("not a certificate".to_owned());
    assert!(matches!(GuardedClient::with_trust(&GuardSettings::default(), &no_pem), Err(HttpError::Authority)));
}

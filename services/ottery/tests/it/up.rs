//! `ottery up`: starts, refuses a second copy, stops in order, remembers, and leaves nothing behind.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::copy::{Copy, Folder, free_port, up};

const HOST: &str = "nordlicht.localhost";
const STOP_LIMIT: Duration = Duration::from_secs(25);

async fn get(port: u16, host: &str, path: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().resolve(host, ([127, 0, 0, 1], port).into()).build().unwrap();
    let answer = client.get(format!("http://{host}:{port}{path}")).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// The server's main process, as it notes it down itself.
fn postgres_pid(folder: &Path) -> u32 {
    let mut waiting = vec![folder.join("postgres")];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.file_name() == "postmaster.pid" {
                let text = std::fs::read_to_string(entry.path()).unwrap();
                return text.lines().next().unwrap().parse().unwrap();
            }
            if entry.file_type().unwrap().is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    panic!("no postmaster.pid");
}

fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_stops_and_remembers() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let folder = Folder::new("up");
    let port = free_port();
    let copy = Copy::start(&folder.path(), port).await;
    assert_eq!(get(port, "127.0.0.1", "/readyz").await.0, 200);
    let (status, page) = get(port, HOST, "/").await;
    assert_eq!(status, 200);
    assert!(page.contains("Nordlicht TV"));

    // A second copy on the same folder says why it does not start, and disturbs nothing.
    let second = up(&folder.path(), free_port()).stderr(std::process::Stdio::piped()).output().await.unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("another ottery uses the data folder") && said.contains("--data-dir"), "{said}");
    // So does one on the same port.
    let other = Folder::new("up-port");
    let third = up(&other.path(), port).stderr(std::process::Stdio::piped()).output().await.unwrap();
    assert!(!third.status.success());
    let said = String::from_utf8_lossy(&third.stderr);
    assert!(said.contains(&format!("cannot listen on 127.0.0.1:{port}")) && said.contains("--http"), "{said}");
    assert_eq!(get(port, HOST, "/").await.0, 200);

    let (state, postgres) = (folder.state(), postgres_pid(&folder.path()));
    assert!(is_alive(postgres));
    let (status, took) = copy.end("-TERM").await;
    assert!(status.success(), "{status}");
    assert!(took < STOP_LIMIT, "{took:?}");
    assert!(!is_alive(postgres));

    let copy = Copy::start(&folder.path(), port).await;
    assert_eq!(folder.state(), state);
    let key = state["people"]["api_key"].as_str().unwrap();
    let brand = state["people"]["brand_id"].as_str().unwrap();
    let accounts = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .get(format!("http://127.0.0.1:{port}/api/v1/accounts"))
        .bearer_auth(key)
        .header("ottery-brand", brand)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(accounts.contains(state["people"]["customer_email"].as_str().unwrap()), "{accounts}");

    // Killed, it cannot stop its database any more; nothing of it may stay all the same.
    let postgres = postgres_pid(&folder.path());
    copy.end("-KILL").await;
    let began = Instant::now();
    while is_alive(postgres) {
        assert!(began.elapsed() < STOP_LIMIT, "PostgreSQL {postgres} outlives us");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let copy = Copy::start(&folder.path(), port).await;
    assert_eq!(get(copy.port, HOST, "/").await.0, 200);
    let (status, _) = copy.end("-INT").await;
    assert!(status.success(), "{status}");
}

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse as _;
use ottery_kit::http::GuardSettings;
use serde_json::{Value, json};

use super::*;
use crate::provider::coin::Sight;

const ADDRESS: &str = "bcrt1qdfwjykynjfwnx8uj5qgm37gp5havyzw67ya3ll";
const OTHER: &str = "bcrt1qtw4akkplygpt3ukeupt0ttqntsk0umusjsxcc8";

/// Answers by path, each asked as often as it has answers and then with the last one.
type Script = Arc<Mutex<BTreeMap<String, Vec<(u16, String)>>>>;

/// Esplora knows everything of an address, whatever the tip is.
fn tip() -> Tip {
    Tip { height: 120, hash: hashed('b') }
}

fn hashed(letter: char) -> String {
    letter.to_string().repeat(64)
}

async fn front(answers: &[(&str, u16, String)]) -> (Esplora, Script) {
    let script: Script = Arc::default();
    for (path, status, body) in answers {
        script.lock().unwrap().entry((*path).to_owned()).or_default().push((*status, body.clone()));
    }
    let answer = |State(script): State<Script>, uri: Uri| async move {
        let mut script = script.lock().unwrap();
        let Some(queue) = script.get_mut(uri.path()) else {
            return (StatusCode::NOT_FOUND, String::new()).into_response();
        };
        let (status, body) = if queue.len() > 1 { queue.remove(0) } else { queue[0].clone() };
        (StatusCode::from_u16(status).unwrap(), body).into_response()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(answer).with_state(script.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let settings = GuardSettings { allow: vec!["127.0.0.0/8".parse().unwrap()], ..GuardSettings::default() };
    let client = GuardedClient::new(&settings).unwrap();
    (Esplora::new(client, &format!("http://{address}/")), script)
}

fn transaction(letter: char, outputs: &[(&str, u64)], block: Option<u64>) -> Value {
    let outputs: Vec<Value> =
        outputs.iter().map(|(to, value)| json!({"scriptpubkey_address": to, "value": value})).collect();
    let status = match block {
        None => json!({"confirmed": false}),
        Some(height) => {
            json!({"confirmed": true, "block_height": height, "block_hash": hashed('b'), "block_time": 1_700_000_000})
        }
    };
    json!({"txid": hashed(letter), "version": 2, "vin": [], "vout": outputs, "fee": 200, "status": status})
}

fn path() -> String {
    format!("/address/{ADDRESS}/txs")
}

#[tokio::test]
async fn outputs_to_the_address_are_found_in_blocks_and_before() {
    let op_return = json!({"txid": hashed('f'), "vout": [{"scriptpubkey_type": "op_return", "value": 0}], "status": {"confirmed": false}});
    let body = json!([
        transaction('a', &[(OTHER, 5), (ADDRESS, 700), (ADDRESS, 40)], None),
        op_return,
        transaction('c', &[(ADDRESS, 9)], Some(120)),
        transaction('d', &[(OTHER, 9)], Some(119)),
    ]);
    let (esplora, _) = front(&[
        (path().as_str(), 200, body.to_string()),
        ("/blocks/tip/height", 200, "120".to_owned()),
        ("/blocks/tip/hash", 200, hashed('b')),
    ])
    .await;
    let Sight { tip, transfers } = esplora.look(ADDRESS, &[]).await.unwrap();
    assert_eq!(tip, Tip { height: 120, hash: hashed('b') });
    let found: Vec<_> = transfers.iter().map(|one| (one.reference.as_str(), one.amount.units)).collect();
    let (a1, a2, c0) = (format!("{}:1", hashed('a')), format!("{}:2", hashed('a')), format!("{}:0", hashed('c')));
    assert_eq!(found, [(a1.as_str(), 700), (a2.as_str(), 40), (c0.as_str(), 9)]);
    assert_eq!((transfers[0].place.clone(), transfers[0].mined_at), (Place::Mempool, None));
    assert_eq!(transfers[2].place, Place::Mined { height: 120, block: hashed('b') });
    assert_eq!(transfers[2].mined_at, DateTime::from_timestamp(1_700_000_000, 0));
}

#[tokio::test]
async fn many_transactions_are_read_to_the_end() {
    let of = |letters: &str, block: u64| -> Vec<Value> {
        letters
            .chars()
            .flat_map(|one| {
                (0..5).map(move |at| {
                    let mut made = transaction(one, &[(ADDRESS, 1)], Some(block));
                    made["txid"] = json!(format!("{at}{}", one.to_string().repeat(63)));
                    made
                })
            })
            .collect()
    };
    let (first, rest) = (of("abcde", 9), of("f", 8));
    let last = first.last().unwrap()["txid"].as_str().unwrap().to_owned();
    let next = format!("/address/{ADDRESS}/txs/chain/{last}");
    let (esplora, _) =
        front(&[(path().as_str(), 200, json!(first).to_string()), (next.as_str(), 200, json!(rest).to_string())]).await;
    assert_eq!(esplora.transfers_to(ADDRESS, &[], &tip()).await.unwrap().len(), 30);
}

#[tokio::test]
async fn a_block_in_between_makes_it_look_again() {
    let (esplora, script) = front(&[
        ("/blocks/tip/height", 200, "120".to_owned()),
        ("/blocks/tip/height", 200, "121".to_owned()),
        ("/blocks/tip/hash", 200, hashed('b')),
        ("/blocks/tip/hash", 200, hashed('c')),
        (path().as_str(), 200, json!([transaction('a', &[(ADDRESS, 7)], None)]).to_string()),
        (path().as_str(), 200, json!([transaction('a', &[(ADDRESS, 7)], Some(121))]).to_string()),
    ])
    .await;
    let sight = esplora.look(ADDRESS, &[]).await.unwrap();
    assert_eq!(sight.tip.height, 121);
    assert!(matches!(sight.transfers[0].place, Place::Mined { height: 121, .. }), "{:?}", sight.transfers);
    let heights = (0..20).map(|height| (200, height.to_string())).collect();
    script.lock().unwrap().insert("/blocks/tip/height".to_owned(), heights);
    assert_eq!(esplora.look(ADDRESS, &[]).await, Err(ChainError::Moving));
}

#[tokio::test]
async fn half_an_answer_is_none_and_no_error_names_an_address() {
    let mut broken = transaction('a', &[(ADDRESS, 7)], Some(5));
    broken["status"]["block_hash"] = Value::Null;
    let cases = [
        (503, "busy".to_owned(), ChainError::Status(503)),
        (429, ADDRESS.to_owned(), ChainError::Status(429)),
        (302, String::new(), ChainError::Status(302)),
        (200, "<html>".to_owned(), ChainError::Unreadable("transactions")),
        (200, r#"[{"txid":"zz","vout":[],"status":{"confirmed":false}}]"#.to_owned(), ChainError::Unreadable("a hash")),
        (200, json!([broken]).to_string(), ChainError::Unreadable("the block of a transaction")),
    ];
    for (status, body, expected) in cases {
        let (esplora, _) = front(&[(path().as_str(), status, body)]).await;
        let error = esplora.transfers_to(ADDRESS, &[], &tip()).await.unwrap_err();
        assert_eq!(error, expected);
        assert!(!error.to_string().contains(ADDRESS) && !format!("{error:?}").contains(ADDRESS));
    }
    // Nobody is there, and an address of our own network that nobody allowed.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for allow in [vec!["127.0.0.0/8".parse().unwrap()], Vec::new()] {
        let client = GuardedClient::new(&GuardSettings { allow, ..GuardSettings::default() }).unwrap();
        let error =
            Esplora::new(client, &format!("http://{closed}")).transfers_to(ADDRESS, &[], &tip()).await.unwrap_err();
        assert!(matches!(error, ChainError::Away(_)), "{error:?}");
        assert!(!error.to_string().contains(ADDRESS));
    }
}

#[tokio::test]
async fn blocks_are_named_and_transactions_handed_on() {
    let (esplora, _) = front(&[
        ("/block-height/0", 200, hashed('0')),
        ("/tx", 200, hashed('a')),
        ("/tx", 400, "sendrawtransaction RPC error".to_owned()),
        ("/blocks/tip/height", 200, "-1".to_owned()),
    ])
    .await;
    assert_eq!(esplora.block_at(0).await, Ok(Some(hashed('0'))));
    assert_eq!(esplora.block_at(1).await, Ok(None));
    assert_eq!(esplora.broadcast("00").await, Ok(hashed('a')));
    assert_eq!(esplora.broadcast("00").await, Err(ChainError::Refused));
    assert_eq!(esplora.tip().await, Err(ChainError::Unreadable("a height")));
}

//! An option a customer pays for, from the shop to the panel and the players: streams at a time.

use serde_json::{Value, json};
use tokio::process::Command;

use crate::copy::{Copy, Folder, OTTERY, doctor, free_port};
use crate::shopper::{GOOD_CARD, Shopper};
use crate::system::{System, until};

/// One stream is included; more cost 2.00 each.
const PLAN: &str = r#"
apiVersion: ottery.dev/v1alpha1
kind: Plan
metadata:
  name: flexible
spec:
  brand: nordlicht
  state: OnSale
  position: 9
  name: Flexible
  summary: As many screens as you like.
  connections: 1
  mapping: {pool: main, bouquetIds: [1], outputs: [hls, ts]}
  prices:
    - {amount: "9.00 EUR", term: {count: 1, unit: Month}}
  options:
    - key: streams
      name: Streams at a time
      effect: Connections
      min: 1
      max: 5
      included: 1
      prices:
        - {amount: "2.00 EUR", term: {count: 1, unit: Month}}
    - key: isp-lock
      name: Bound to one internet provider
      effect: None
      max: 1
      prices:
        - {amount: "0.00 EUR", term: {count: 1, unit: Month}}
    - key: country-lock
      name: From your country alone
      effect: None
      max: 1
      prices:
        - {amount: "0.00 EUR", term: {count: 1, unit: Month}}
"#;

/// A player, and the stream it has begun.
struct Player {
    http: reqwest::Client,
    stream: String,
}

impl Player {
    /// Begins to play the first channel, with an address of the line, as a device of that name.
    async fn begin(device: &str, credentials: &Value) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(device)
            .build()
            .unwrap();
        let word = |name: &str| credentials[name].as_str().unwrap().to_owned();
        let (server, user, password) = (word("server_url"), word("username"), word("password"));
        let list = format!("{server}/player_api.php?username={user}&password={password}&action=get_live_streams");
        let channels: Value = http.get(list).send().await.unwrap().json().await.unwrap();
        let address = format!("{server}/live/{user}/{password}/{}.m3u8", channels[0]["stream_id"]);
        let begun = http.get(&address).send().await.unwrap();
        assert!(begun.status().is_redirection(), "{}", begun.status());
        let to = begun.headers()["location"].to_str().unwrap();
        let stream = reqwest::Url::parse(&address).unwrap().join(to).unwrap().to_string();
        Self { http, stream }
    }

    /// Whether the panel still serves its stream.
    async fn plays(&self) -> bool {
        self.http.get(&self.stream).send().await.unwrap().status().is_success()
    }
}

struct Line<'a> {
    system: &'a System,
    shopper: &'a Shopper,
    credentials: Value,
}

impl Line<'_> {
    fn control(&self, path: &str) -> String {
        let code = self.system.state["sandbox"]["panel_code"].as_str().unwrap();
        let name = self.credentials["username"].as_str().unwrap();
        format!("/control/panels/{code}/{path}?username={name}")
    }

    /// Waits until the panel allows so many streams.
    async fn allows(&self, wanted: i64) {
        until(&format!("{wanted} streams at the panel"), async || {
            let lines = self.system.sandbox(4, &self.control("lines")).await;
            (lines[0]["max_connections"] == wanted).then_some(())
        })
        .await;
    }

    /// What the player API says its limit is.
    async fn limit(&self) -> i64 {
        let word = |name: &str| self.credentials[name].as_str().unwrap();
        let (server, user, password) = (word("server_url"), word("username"), word("password"));
        let url = format!("{server}/player_api.php?username={user}&password={password}");
        let profile = self.system.http.get(url).send().await.unwrap().json::<Value>().await.unwrap();
        profile["user_info"]["max_connections"].to_string().trim_matches('"').parse().unwrap()
    }

    /// Begins one stream on each of so many devices; how many still run when the last one has begun.
    async fn running_of(&self, devices: usize) -> usize {
        let mut players = Vec::new();
        for n in 0..devices {
            players.push(Player::begin(&format!("device-{n}"), &self.credentials).await);
        }
        let mut running = 0;
        for (n, player) in players.iter().enumerate() {
            let plays = player.plays().await;
            assert!(plays || n + 1 < devices, "the newest player is let in");
            running += usize::from(plays);
        }
        running
    }

    /// How often the panel has changed the line.
    async fn edits(&self) -> usize {
        let effects = self.system.sandbox(4, &self.control("effects")).await;
        effects.as_array().unwrap().iter().filter(|effect| effect["action"] == "edit_line").count()
    }

    /// Whether the panel has bound it to an internet provider.
    async fn is_bound(&self) -> bool {
        self.system.sandbox(4, &self.control("lines")).await[0]["is_isplock"] == 1
    }

    /// The one country the panel lets it play from; empty for any.
    async fn country(&self) -> String {
        self.system.sandbox(4, &self.control("lines")).await[0]["forced_country"].as_str().unwrap().to_owned()
    }

    async fn change(&self, subscription: &str, key: &str, quantity: u32) -> Value {
        let input = json!({ "options": [{ "key": key, "quantity": quantity }] });
        self.shopper.post(&format!("/subscriptions/{subscription}/change"), &input).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_paid_for_are_allowed_by_the_panel_and_no_more() {
    let folder = Folder::new("options");
    let copy = Copy::start(&folder.path(), free_port()).await;
    let system = System::of(&folder, copy.port);
    let file = folder.path().join("flexible.yaml");
    std::fs::write(&file, PLAN).unwrap();
    let mut apply = Command::new(OTTERY);
    apply.arg("apply").arg("-f").arg(&file).arg("--data-dir").arg(folder.path());
    let said = apply.output().await.unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));

    // Two streams are bought: 9.00 and 2.00.
    let shopper = Shopper::sign_up(&system, "streams").await;
    let price = shopper.monthly("flexible").await;
    let quote = json!({"price_id": price, "country": "DE", "options": [{"key": "streams", "quantity": 2}]});
    let order = shopper.until_ready(&shopper.buy(&quote, GOOD_CARD).await).await;
    assert_eq!(order["order"]["total"]["minor"], 1100, "{}", order["order"]);
    let (subscription, service) =
        (order["subscription"]["id"].as_str().unwrap(), order["progress"]["service"]["id"].as_str().unwrap());
    let credentials = shopper.post(&format!("/services/{service}/credentials"), &json!({})).await;
    let line = Line { system: &system, shopper: &shopper, credentials };
    line.allows(2).await;
    assert_eq!(line.limit().await, 2);
    assert_eq!((line.running_of(2).await, line.running_of(3).await), (2, 2));
    assert_eq!(line.edits().await, 0, "the line was made as it was bought");

    // Two more begin at once, for the rest of the month, when they are paid; not before.
    let changed = line.change(subscription, "streams", 4).await;
    line.allows(2).await;
    shopper.pay(changed["checkout_url"].as_str().unwrap(), GOOD_CARD).await;
    line.allows(4).await;
    assert_eq!(line.limit().await, 4);
    assert_eq!((line.running_of(4).await, line.running_of(6).await), (4, 4));
    assert_eq!(line.edits().await, 1);

    // Fewer begin with the renewal: they are paid until then.
    let changed = line.change(subscription, "streams", 1).await;
    assert_eq!(changed["checkout_url"], Value::Null);
    line.allows(4).await;
    let end = order["subscription"]["period_end"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    system.advance(end + chrono::TimeDelta::minutes(5)).await;
    line.allows(1).await;
    assert_eq!((line.running_of(1).await, line.running_of(2).await), (1, 1));
    let renewed = shopper.get(&format!("/invoices?subscription_id={subscription}")).await;
    let newest = &renewed["items"][0];
    assert_eq!((&newest["purpose"], &newest["total"]["minor"]), (&json!("renewal"), &json!(900)), "{newest}");

    // An option without a price, known by its key: it begins at once, and ends with the renewal.
    assert!(!line.is_bound().await);
    line.change(subscription, "isp-lock", 1).await;
    until("the line to be bound", async || line.is_bound().await.then_some(())).await;
    line.allows(1).await;
    line.change(subscription, "isp-lock", 0).await;
    let end = shopper.get(&format!("/subscriptions/{subscription}")).await["period_end"].clone();
    let end = end.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    system.advance(end + chrono::TimeDelta::minutes(5)).await;
    until("the line to be free", async || (!line.is_bound().await).then_some(())).await;

    // Another one: the line plays from the country the customer is billed in.
    assert_eq!(line.country().await, "");
    line.change(subscription, "country-lock", 1).await;
    until("the line to be locked", async || (line.country().await == "DE").then_some(())).await;

    doctor(&folder.path()).await;
    let (status, _) = copy.end("-TERM").await;
    assert!(status.success(), "{status}");
}

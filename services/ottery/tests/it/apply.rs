//! `ottery apply`: the example of `docs/apply.md` on a system of its own, again, changed, and broken.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::copy::{Copy, Folder, OTTERY, free_port};

const HOST: &str = "suedwind.localhost";
const ALL: [&str; 4] = ["brand/suedwind", "panel/suedwind-main", "plan/solo", "plan/family"];
/// Billing hears of a new brand by an event.
const HEARSAY: Duration = Duration::from_secs(20);

/// The documented example, with the addresses of this system's surroundings.
fn example(state: &toml::Table) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/apply.md");
    let text = std::fs::read_to_string(page).unwrap();
    let (_, rest) = text.split_once("```yaml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let sandbox = &state["sandbox"];
    let address = |n: usize| format!("http://127.0.0.1:{}", sandbox["ports"][n].as_integer().unwrap());
    example
        .replace("hosts: [tv.example.com]", &format!("hosts: [{HOST}]"))
        .replace("https://payments.example.com", &address(1))
        .replace(
            "https://panel.example.com/accesscode",
            &format!("{}/{}", address(0), sandbox["panel_code"].as_str().unwrap()),
        )
        .replace("https://play.example.com", &address(0))
}

/// What was said and how it ended.
struct Said {
    code: Option<i32>,
    out: String,
    errors: String,
}

impl Said {
    /// Insists that every document ended like this.
    #[track_caller]
    fn all(&self, change: &str) {
        let expected: Vec<String> = ALL.iter().map(|what| format!("{what} {change}")).collect();
        assert_eq!(self.out.lines().collect::<Vec<_>>(), expected, "{}", self.errors);
        assert_eq!(self.code, Some(0));
    }
}

struct Operator {
    folder: std::path::PathBuf,
    state: toml::Table,
}

impl Operator {
    async fn apply(&self, text: &str, more: &[&str]) -> Said {
        let sandbox = &self.state["sandbox"];
        let mut child = Command::new(OTTERY)
            .args(["apply", "-f", "-", "--data-dir"])
            .arg(&self.folder)
            .args(more)
            .env("SUEDWIND_PANEL_KEY", sandbox["panel_key"].as_str().unwrap())
            .env("SUEDWIND_PAYMENTS_KEY", sandbox["payments_key"].as_str().unwrap())
            .env("SUEDWIND_WEBHOOK_SECRET", sandbox["webhook_secret"].as_str().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).await.unwrap();
        drop(stdin);
        let ended = child.wait_with_output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { code: ended.status.code(), out: text(&ended.stdout), errors: text(&ended.stderr) }
    }
}

/// A customer's browser on the new brand's host.
struct Customer {
    client: reqwest::Client,
    origin: String,
    cookie: String,
}

impl Customer {
    async fn of(port: u16) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().no_proxy().resolve(HOST, ([127, 0, 0, 1], port).into());
        Self { client: client.build().unwrap(), origin: format!("http://{HOST}:{port}"), cookie: String::new() }
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> reqwest::Response {
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.origin));
        let request = request.header("origin", &self.origin).header("cookie", &self.cookie);
        let request = request.header("idempotency-key", "apply-1");
        let request = if method == "GET" { request } else { request.json(body) };
        request.send().await.unwrap()
    }

    async fn json(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.send(method, path, body).await;
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn sign_up(&mut self) {
        let body = json!({ "email": "ida@example.org", "password": "correct staple battery", "country": "DE", "display_name": "Ida" });
        let answer = self.send("POST", "/api/v1/auth/sign-up", &body).await;
        assert!(answer.status().is_success(), "{}", answer.status());
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        self.cookie = cookie.split(';').next().unwrap().to_owned();
    }

    async fn quote(&self, price: &Value) -> Value {
        let began = Instant::now();
        loop {
            let answer = self.send("POST", "/api/v1/quotes", &json!({ "price_id": price })).await;
            let (status, text) = (answer.status(), answer.text().await.unwrap());
            if status.is_success() {
                return serde_json::from_str(&text).unwrap();
            }
            assert!(began.elapsed() < HEARSAY, "{text}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn price(&self) -> Value {
        self.json("GET", "/api/v1/storefront/plans/solo", &Value::Null).await["prices"][0].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_become_a_shop_stay_as_they_are_and_change_what_they_say() {
    let folder = Folder::new("apply");
    let copy = Copy::start(&folder.path(), free_port()).await;
    let operator = Operator { folder: folder.path(), state: folder.state() };
    let shop = example(&operator.state);

    // Said before it is done, done, and said again.
    operator.apply(&shop, &["--dry-run"]).await.all("created (dry run)");
    let mut customer = Customer::of(copy.port).await;
    assert_eq!(customer.send("GET", "/", &Value::Null).await.status().as_u16(), 421, "nothing was made yet");
    operator.apply(&shop, &[]).await.all("created");
    let page = customer.send("GET", "/", &Value::Null).await.text().await.unwrap();
    assert!(page.contains("Südwind TV") && page.contains("Family"), "{page}");
    operator.apply(&shop, &[]).await.all("unchanged");
    operator.apply(&shop, &["--dry-run"]).await.all("unchanged (dry run)");

    // Somebody buys; then the price goes up.
    customer.sign_up().await;
    let old = customer.price().await;
    assert_eq!(old["amount"], json!({ "currency": "EUR", "minor": 799 }));
    let quote = customer.quote(&old["id"]).await;
    let placed = customer.json("POST", "/api/v1/orders", &json!({ "quote_id": quote["id"] })).await;
    let dearer = shop.replace("7.99 EUR", "8.99 EUR");
    let said = operator.apply(&dearer, &["--dry-run"]).await;
    assert!(
        said.out.contains("plan/solo configured (dry run)\n  spec.prices[0].amount: 7.99 EUR -> 8.99 EUR\n"),
        "{}",
        said.out
    );
    assert_eq!(customer.price().await, old);
    let said = operator.apply(&dearer, &["--json"]).await;
    let result: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&result["ok"], &result["error"]), (&json!(true), &Value::Null), "{}", said.errors);
    let changes: Vec<_> = result["documents"].as_array().unwrap().iter().map(|one| &one["change"]).collect();
    assert_eq!(changes, ["unchanged", "unchanged", "configured", "unchanged"]);
    assert_eq!(customer.price().await["amount"]["minor"], 899);
    let order = format!("/api/v1/orders/{}", placed["order"]["id"].as_str().unwrap());
    let bought = customer.json("GET", &order, &Value::Null).await;
    assert_eq!(bought["invoice"]["total"], json!({ "currency": "EUR", "minor": 799 }));
    let subscription = format!("/api/v1/subscriptions/{}", bought["order"]["subscription_id"].as_str().unwrap());
    let subscription = customer.json("GET", &subscription, &Value::Null).await;
    assert_eq!(subscription["price_id"], old["id"], "{subscription}");

    refusals(&operator, &dearer).await;
    operator.apply(&dearer, &[]).await.all("unchanged");
    let (status, _) = copy.end("-TERM").await;
    assert!(status.success(), "{status}");
}

/// Each of them says which document and field, why, and how far it came; none of them leaves anything.
async fn refusals(operator: &Operator, shop: &str) {
    let panel = format!("http://127.0.0.1:{}/", operator.state["sandbox"]["ports"][0].as_integer().unwrap());
    let cases: [(&str, &str, &[&str]); 7] = [
        (
            "  connections: 1\n",
            "  connectoins: 1\n",
            &["standard input, document 3, plan/solo: spec.connectoins: unknown field", "`connections`"],
        ),
        ("8.99 EUR", "8.999 EUR", &["document 3, plan/solo: spec.prices[0].amount: ", "8.999", "nothing was applied"]),
        (
            "8.99 EUR",
            "8.99 CHF",
            &[
                "document 3, plan/solo: spec.prices[0].amount: `CHF` is not a currency of this brand; it has EUR, USD",
                "before it: brand/suedwind unchanged, panel/suedwind-main unchanged; not tried: 1 more",
            ],
        ),
        (
            "  brand: suedwind\n  displayName",
            "  brand: sudwind\n  displayName",
            &["document 2, panel/suedwind-main: spec.brand: there is no brand `sudwind`", "not tried: 2 more"],
        ),
        (
            &format!("baseUrl: {panel}"),
            "baseUrl: http://10.0.0.5/",
            &["document 2, panel/suedwind-main: spec.baseUrl: ", "10.0.0.5", "before it: brand/suedwind unchanged"],
        ),
        (
            "env: SUEDWIND_PANEL_KEY",
            "env: SUEDWIND_NO_KEY",
            &[
                "panel/suedwind-main: spec.apiKeyFrom: environment variable `SUEDWIND_NO_KEY` is not set",
                "nothing was applied",
            ],
        ),
        ("name: Südwind TV", "name: S", &["document 1, brand/suedwind: spec.name: needs 2 to 60 characters, has 1"]),
    ];
    for (good, bad, expected) in cases {
        assert!(shop.contains(good), "{good}");
        let said = operator.apply(&shop.replacen(good, bad, 1), &[]).await;
        assert_eq!(said.code, Some(1), "{bad}: {}", said.out);
        for part in expected {
            assert!(said.errors.contains(part), "{bad}: {}", said.errors);
        }
    }
    // A program reads the same.
    let said = operator.apply(&shop.replacen("8.99 EUR", "8.99 CHF", 1), &["--json"]).await;
    let error = &serde_json::from_str::<Value>(&said.out).unwrap()["error"];
    assert_eq!((&error["code"], &error["field"]), (&json!("currency_not_offered"), &json!("spec.prices[0].amount")));
}

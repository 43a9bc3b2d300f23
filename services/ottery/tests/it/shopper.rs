//! Somebody with an account in the demo brand's shop, through its public API.

use reqwest::header;
use serde_json::{Value, json};

use crate::system::{System, read, until};

/// Pays.
pub const GOOD_CARD: &str = "4242 4242 4242 4242";
/// Pays when its owner is there; declined when charged later.
pub const FICKLE_CARD: &str = "4000 0000 0000 0341";

pub struct Shopper {
    http: reqwest::Client,
    origin: String,
    cookies: String,
}

impl Shopper {
    /// Somebody without an account.
    pub fn visitor(system: &System) -> Self {
        let (host, port) = (system.person("brand_host"), system.port);
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .resolve(host, ([127, 0, 0, 1], port).into())
            .build()
            .unwrap();
        Self { http, origin: format!("http://{host}:{port}"), cookies: String::new() }
    }

    /// A new account.
    pub async fn sign_up(system: &System, name: &str) -> Self {
        let mut shopper = Self::visitor(system);
        let input = json!({"email": format!("{name}@example.org"), "password": format!("{name} buys television"),
                           "display_name": "Shopper", "country": "DE"});
        let answer = shopper.request(reqwest::Method::POST, "/auth/sign-up").json(&input).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        let cookies = answer.headers().get_all(header::SET_COOKIE).iter();
        let pairs = cookies.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
        shopper.cookies = pairs.collect::<Vec<_>>().join("; ");
        shopper
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}/api/v1{path}", self.origin));
        let request =
            request.header(header::ORIGIN, &self.origin).header("idempotency-key", uuid::Uuid::now_v7().to_string());
        if self.cookies.is_empty() { request } else { request.header(header::COOKIE, &self.cookies) }
    }

    pub async fn get(&self, path: &str) -> Value {
        read(self.request(reqwest::Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Value {
        read(self.request(reqwest::Method::POST, path).json(body)).await
    }

    /// As [`Shopper::post`]; none when it is refused.
    pub async fn try_post(&self, path: &str, body: &Value) -> Option<Value> {
        let answer = self.request(reqwest::Method::POST, path).json(body).send().await.unwrap();
        if answer.status().is_success() { answer.json().await.ok() } else { None }
    }

    /// The price of a plan for a month in EUR.
    pub async fn monthly(&self, plan: &str) -> String {
        let offer = self.get(&format!("/storefront/plans/{plan}")).await;
        let is_it = |price: &&Value| {
            price["term"]["unit"] == "month" && price["term"]["count"] == 1 && price["amount"]["currency"] == "EUR"
        };
        offer["prices"].as_array().unwrap().iter().find(is_it).unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// Orders what the quote asks for and pays on the provider's page; the order.
    pub async fn buy(&self, quote: &Value, card: &str) -> String {
        let quote = self.post("/quotes", quote).await;
        let placed = self.post("/orders", &json!({"quote_id": quote["id"], "save_method": true})).await;
        self.pay(placed["checkout_url"].as_str().unwrap(), card).await;
        placed["order"]["id"].as_str().unwrap().to_owned()
    }

    /// Types a card into the provider's page.
    pub async fn pay(&self, page: &str, card: &str) {
        let form = [("number", card), ("expiry", "12/39"), ("cvc", "123")];
        let answer = self.http.post(format!("{page}/pay")).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    }

    /// The order with everything that belongs to it, once its line is on the panel.
    pub async fn until_ready(&self, order: &str) -> Value {
        until("the order to be ready", async || {
            let detail = self.get(&format!("/orders/{order}")).await;
            let steps = detail["progress"]["steps"].as_array().unwrap();
            let is_ready = steps.iter().any(|step| step["name"] == "ready" && step["state"] == "done");
            is_ready.then_some(detail)
        })
        .await
    }
}

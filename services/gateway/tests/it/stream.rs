//! The live stream of an order.

use std::time::Duration;

use ottery_kernel::Clock as _;
use ottery_kernel::OrderId;
use ottery_kit::outbox::Event;
use ottery_proto::billing::v1::OrderPlaced;
use reqwest::Method;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::browser::Browser;
use crate::world::{OTHER, SHOP, world};

struct Stream {
    response: reqwest::Response,
    buffer: String,
}

impl Stream {
    async fn open(browser: &Browser, order: &str, last: Option<&str>) -> Self {
        let mut request = browser.request(Method::GET, &format!("/api/v1/orders/{order}/events"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, buffer: String::new() }
    }

    /// The next event: its id and what it says.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                let event: String = self.buffer.drain(..end + 2).collect();
                let field = |name: &str| {
                    event.lines().find_map(|line| line.strip_prefix(name)).map(|text| text.trim().to_owned())
                };
                if let (Some(id), Some(data)) = (field("id:"), field("data:")) {
                    assert_eq!(field("event:").as_deref(), Some("progress"));
                    return Some((id, serde_json::from_str(&data).unwrap()));
                }
                continue;
            }
            let chunk = self.response.chunk().await.unwrap()?;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

#[tokio::test]
async fn a_customer_watches_an_order_change() {
    let world = world().await;
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let placed = world.order(&customer, "key-1").await;
    let order: OrderId = placed["order"]["id"].as_str().unwrap().parse().unwrap();
    let mut stream = Stream::open(&customer, &order.to_string(), None).await;
    let (id, progress) = stream.next().await.unwrap();
    assert_eq!((&progress["steps"][0]["name"], &progress["steps"][0]["state"]), (&"placed".into(), &"done".into()));
    // Resuming behind what was seen says nothing until something changes.
    let mut resumed = Stream::open(&customer, &order.to_string(), Some(&id)).await;
    assert!(timeout(Duration::from_millis(500), resumed.next()).await.is_err(), "nothing changed");
    sqlx::query("UPDATE orders SET state = 'cancelled' WHERE id = $1")
        .bind(order.as_uuid())
        .execute(&world.billing.admin_pool)
        .await
        .unwrap();
    let told = Instant::now();
    let brand: ottery_kernel::BrandId = world.brand.parse().unwrap();
    let event = Event::new("billing.order.placed.v1", order, 2, brand, world.host.clock.now(), &OrderPlaced::default());
    ottery_testkit::publish(world.host.broker.as_ref(), event).await;
    for stream in [&mut stream, &mut resumed] {
        let (_, progress) = timeout(Duration::from_secs(10), stream.next()).await.unwrap().unwrap();
        assert_eq!(progress["steps"][1]["code"], "cancelled");
        assert_eq!(progress["is_finished"], true);
        assert!(stream.next().await.is_none(), "nothing more will happen");
    }
    // A hint is faster than looking by itself.
    assert!(told.elapsed() < Duration::from_millis(2_500), "{:?}", told.elapsed());
}

#[tokio::test]
async fn secure_s05_a_sibling_brand_cannot_read_along() {
    let world = world().await;
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let placed = world.order(&customer, "key-1").await;
    let path = format!("/api/v1/orders/{}/events", placed["order"]["id"].as_str().unwrap());
    for (name, value) in [("origin", format!("http://{OTHER}")), ("sec-fetch-site", "same-site".to_owned())] {
        let answer = customer.send(customer.request(Method::GET, &path).header(name, value)).await;
        answer.refused(403, "cross_site");
    }
}

//! Paying in ether on our own page, on a chain of a real node, and the wallet it goes to.

use ottery_testkit::anvil::Anvil;
use serde_json::json;

use crate::coins::{front, send, until_shows};
use crate::world::{SHOP, World, world_paying_at};

/// `m/44'/60'/1'` of the seed that every node for development has.
const XPUB: &str =
    "xpub6Ce9NcJvTk372KjsGfWqbcex5DumjpNquQLApoeQUavSCjEc823BV1tb4rXUuPuht8h2hSxkg2EXUaKUJmniJvRZAELxypsCzBFdtosmV76";
/// 9.99 euros at 50 000, in wei.
const DUE: u128 = 199_800_000_000_000;

async fn addresses(world: &World) -> Vec<String> {
    let listed = world.owner_here().get("/api/v1/provider-accounts").await.expect(200);
    let shown = listed["items"].as_array().unwrap().iter().flat_map(|one| one["first_addresses"].as_array().unwrap());
    shown.map(|address| address.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn case_9_staff_compares_the_addresses_of_a_wallet_before_it_is_kept() {
    let Some(anvil) = Anvil::start().await else { return };
    let (url, _) = front().await;
    let world = world_paying_at(&url).await;
    let path = format!("/staff/b/{}/providers", world.brand);
    let form = world.owner.get(&path).await;
    for option in ["value=\"ethereum\"", "value=\"bitcoin\"", "Ethereum wallet", "Bitcoin wallet"] {
        assert!(form.text.contains(option), "`{option}` is not in {}", form.text);
    }

    let key = format!("test:{XPUB}");
    let typed = |key| {
        [
            ("id", ""),
            ("provider", "ethereum"),
            ("base_url", anvil.url.as_str()),
            ("api_key", key),
            ("webhook_secrets", "canary"),
            ("name", "Ether"),
            ("enabled", "on"),
        ]
    };
    let private = "ac".repeat(32);
    let refused = send(&world.owner, &path, &typed(&private)).await;
    assert!(refused.status.as_u16() == 400 && refused.text.contains("private key or a seed"), "{}", refused.text);
    assert!(!refused.text.contains(&private), "{}", refused.text);

    let asked = send(&world.owner, &path, &typed(&key)).await;
    assert_eq!(asked.status.as_u16(), 200, "{}", asked.text);
    for text in
        ["Compare before anybody pays", "Of a test network", "name=\"compared\"", key.as_str(), anvil.url.as_str()]
    {
        assert!(asked.text.contains(text), "`{text}` is not in {}", asked.text);
    }
    assert!(!asked.text.contains("canary"), "{}", asked.text);
    assert_eq!(addresses(&world).await, [""; 0], "nothing is kept yet");

    let fields = [&typed(&key)[..4], &[("name", "Ether"), ("enabled", "on"), ("compared", "on")]].concat();
    let saved = send(&world.owner, &path, &fields).await;
    assert_eq!(saved.status.as_u16(), 303, "{}", saved.text);
    let kept = addresses(&world).await;
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().all(|address| asked.text.contains(address)), "{kept:?} are not in {}", asked.text);
    let page = world.owner.get(&path).await;
    assert!(page.text.contains("Ether (Ethereum wallet)") && page.text.contains(&kept[0]), "{}", page.text);
    assert!(!page.text.contains(XPUB), "{}", page.text);
}

#[tokio::test]
async fn case_7_a_customer_pays_in_ether_on_a_page_with_a_link_and_a_code() {
    let Some(anvil) = Anvil::start().await else { return };
    let (url, _) = front().await;
    let world = world_paying_at(&url).await;
    let account = json!({"provider": "ethereum", "base_url": anvil.url, "api_key": format!("test:{XPUB}")});
    world.owner_here().post("/api/v1/provider-accounts", account).await.expect(201);
    let customer = world.browser(SHOP);
    customer.sign_up("ada@example.com").await;
    let ways = customer.get("/api/v1/pay-ways?currency=EUR&country=DE").await.expect(200);
    assert_eq!((&ways["items"][0]["kind"], &ways["items"][0]["test_mode"]), (&json!("ethereum"), &json!(true)));
    let price = world.plan["current"]["prices"][0]["id"].as_str().unwrap();
    let quote = world.quote(&customer, price).await;
    let placed = customer.pay("/api/v1/orders", "key-1", json!({ "quote_id": quote["id"] })).await.expect(201);
    let page_url = placed["checkout_url"].as_str().expect("a page");
    let path = &page_url[page_url.find("/pay/coin/").expect("ours")..];

    let address = &addresses(&world).await[0];
    let anybody = world.browser(SHOP);
    let page = anybody.get(path).await;
    assert_eq!(page.status.as_u16(), 200, "{}", page.text);
    let link = format!("ethereum:{address}@31337?value={DUE}");
    for text in [link.as_str(), "0.0001998 ETH", "Waiting for your payment", "Test network", "Ether only", "<svg"] {
        assert!(page.text.contains(text), "`{text}` is not in {}", page.text);
    }

    anvil.send(address, DUE).await;
    anvil.mine(1).await;
    until_shows(&world, &anybody, path, "1 of 12 confirmations").await;
    anvil.mine(11).await;
    let page = until_shows(&world, &anybody, path, "There is nothing more to do").await;
    assert!(page.text.contains("In a block"), "{}", page.text);
}

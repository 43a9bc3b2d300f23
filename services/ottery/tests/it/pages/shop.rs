//! What visitors see, and how they become customers.

use serde_json::Value;

use super::account::open_row;
use super::walk::Walk;
use super::world::World;

const GOOD_CARD: &str = "4242 4242 4242 4242";
const LATE_AND_DECLINED_CARD: &str = "4000 0000 0000 6676";
/// Long enough to see what is said meanwhile, also on a busy machine.
const SLOW_PANEL_MS: u64 = 4_000;
const PLACE: &str = "form[action='/checkout/place'] button";

/// Everything before anybody is signed in.
pub async fn visit(walk: &mut Walk) {
    for (name, path) in [
        ("home", "/"),
        ("plans", "/plans"),
        ("plans-yearly", "/plans?term=1y&currency=EUR"),
        ("plans-other-currency", "/plans?term=1m&currency=GBP"),
        ("plan", "/plans/solo"),
        ("plan-without-trial", "/plans/duo"),
        ("help", "/help"),
        ("terms", "/legal/terms"),
        ("privacy", "/legal/privacy"),
        ("sign-in", "/account/sign-in"),
        ("signed-out", "/account/sign-in?done=signed-out"),
        ("sign-up", "/account/sign-up"),
        ("forgot", "/account/forgot"),
        ("reset", "/account/reset?token=x"),
        ("verify", "/account/verify?token=x"),
    ] {
        walk.look(name, path).await;
    }
    walk.visit("/plans/duo").await;
    walk.tab.press(".buy-box button").await;
    walk.here("checkout-account", 200).await;
    // A name that is taken: nobody learns whose it is, and the way in is offered.
    walk.tab.fill("#sign-in-email", "nobody@example.org").await;
    walk.tab.fill("#sign-in-password", "not the password").await;
    walk.tab.press("form[action='/checkout/sign-in'] button").await;
    walk.here("checkout-account-refused", 401).await;
}

/// Signs the demo customer in.
pub async fn sign_in(walk: &mut Walk, world: &World) {
    walk.visit("/account").await;
    walk.tab.fill("[name=email]", world.person("customer_email")).await;
    walk.tab.fill("[name=password]", "not the password").await;
    walk.tab.press("form[action='/account/sign-in'] button").await;
    walk.here("sign-in-refused", 401).await;
    walk.tab.fill("[name=email]", world.person("customer_email")).await;
    walk.tab.fill("[name=password]", world.person("customer_password")).await;
    walk.tab.press("form[action='/account/sign-in'] button").await;
    assert_eq!(walk.tab.url().await, format!("{}/account", walk.origin));
}

/// From a plan's page to the last step before the order.
async fn review(walk: &mut Walk, plan: &str) {
    walk.visit(&format!("/plans/{plan}")).await;
    walk.tab.press(".buy-box button").await;
    walk.tab.click("[name=consent]").await;
}

/// From there to the provider's page, where a card is typed in that the provider takes.
async fn pay(walk: &mut Walk, card: &str) {
    walk.tab.until("document.querySelector('[name=number]')").await;
    walk.tab.fill("[name=number]", card).await;
    walk.tab.click("form[action$='/pay'] button").await;
}

async fn until_order(walk: &mut Walk) -> String {
    walk.tab.until("location.pathname.startsWith('/orders/') && document.readyState === 'complete'").await;
    walk.tab.eval("location.pathname").await
}

/// Buys, and watches the steps move on a page that is never loaded again.
pub async fn buy(walk: &mut Walk, world: &World) -> String {
    walk.visit("/plans/duo").await;
    walk.tab.press(".buy-box button").await;
    walk.here("review", 200).await;
    walk.tab.fill("#checkout-coupon", "NOBODY").await;
    walk.tab.press("form[action='/checkout'] button").await;
    walk.here("review-coupon-refused", 400).await;
    walk.tab.fill("#checkout-redeem-code", "NOBODY").await;
    walk.tab.press("form[action='/checkout/redeem'] button").await;
    walk.here("review-gift-refused", 400).await;
    walk.tab.send(PLACE).await;
    walk.here("review-refused", 400).await;
    walk.tab.click("[name=consent]").await;
    walk.tab.stay_away_from(&format!("{}/checkout/*", world.payments())).await;
    walk.tab.press(PLACE).await;
    walk.here("leave", 200).await;
    walk.tab.go_anywhere().await;
    walk.tab.click("main .button").await;

    world.webhooks(false).await;
    world.fault(&world.panel(), "create_line", "slow", SLOW_PANEL_MS).await;
    pay(walk, GOOD_CARD).await;
    let order = until_order(walk).await;
    walk.here("order-unpaid", 200).await;
    walk.tab.eval::<Value>("window.isTheSamePage = true").await;
    world.webhooks(true).await;
    walk.tab.until("document.querySelectorAll('.step.done').length === 2").await;
    walk.tab.until("document.body.innerText.includes('Creating your access')").await;
    let text = walk.tab.text().await;
    assert!(text.contains("Getting you ready") && !text.contains("Pay now"), "{text}");
    walk.here("order-working", 200).await;
    walk.tab.until("document.querySelector(\"form[action$='/reveal']\")").await;
    assert!(walk.tab.text().await.contains("You are ready to watch"));
    assert!(walk.tab.eval::<bool>("window.isTheSamePage === true").await, "the steps moved by loading the page again");
    world.heal().await;
    walk.visit(&order).await;
    walk.here("order-ready", 200).await;
    walk.tab.press("form[action$='/reveal'] button").await;
    walk.here("order-revealed", 200).await;
    order
}

/// Buys, and waits until it is ready.
pub async fn buy_quickly(walk: &mut Walk, plan: &str) {
    review(walk, plan).await;
    walk.tab.click(PLACE).await;
    pay(walk, GOOD_CARD).await;
    until_order(walk).await;
    walk.tab.until("document.body.innerText.includes('You are ready to watch')").await;
}

/// Buys with a browser that runs no script: the page looks again by itself, and offers to.
pub async fn buy_without_script(walk: &mut Walk, world: &World) {
    walk.tab.scripts(false).await;
    world.webhooks(false).await;
    review(walk, "weekend").await;
    walk.tab.press(PLACE).await;
    pay(walk, GOOD_CARD).await;
    let order = until_order(walk).await;
    let again: String = walk.tab.eval("document.querySelector('noscript meta[http-equiv=refresh]').content").await;
    assert_eq!(again, "4");
    walk.here("order-without-script", 200).await;
    world.webhooks(true).await;
    walk.tab.press(".again a").await;
    assert_eq!(walk.tab.eval::<String>("location.pathname").await, order);
    walk.tab.until("document.body.innerText.includes('You are ready to watch')").await;
    walk.tab.press("form[action$='/reveal'] button").await;
    assert!(walk.tab.text().await.contains("Playlist (M3U)"));
    walk.tab.complaints();
    walk.tab.scripts(true).await;
}

/// A trial, a payment that fails later, one of which nobody knows, and a panel that is down.
pub async fn what_goes_wrong(walk: &mut Walk, world: &World) {
    world.fault(&world.panel(), "create_line", "http_503", 0).await;
    walk.visit("/plans/solo").await;
    walk.tab.press(".buy-box button[name=trial]").await;
    walk.here("review-trial", 200).await;
    walk.tab.click("[name=consent]").await;
    walk.tab.press(PLACE).await;
    walk.tab.until("document.body.innerText.includes('Waiting for the server')").await;
    walk.here("order-waiting", 200).await;
    open_row(walk, "/account/services", "Waiting").await;
    walk.here("service-waiting", 200).await;
    // Once in a lifetime.
    walk.visit("/plans/solo").await;
    walk.tab.press(".buy-box button[name=trial]").await;
    walk.here("trial-refused", 409).await;
    world.heal().await;

    review(walk, "family").await;
    walk.tab.click(PLACE).await;
    walk.tab.until("document.querySelector('[name=number]')").await;
    walk.tab.click("form[action$='/cancel'] button").await;
    until_order(walk).await;
    walk.here("order-back", 200).await;
    walk.tab.click("form[action$='/pay'] button").await;
    pay(walk, LATE_AND_DECLINED_CARD).await;
    until_order(walk).await;
    walk.tab.until("document.body.innerText.includes('did not go through')").await;
    walk.here("order-declined", 200).await;

    world.fault("payments", "checkout.create", "drop_after_apply", 0).await;
    for call in ["payment.list", "checkout.get"] {
        world.fault("payments", call, "http_503", 0).await;
    }
    review(walk, "weekend").await;
    walk.tab.press(PLACE).await;
    until_order(walk).await;
    walk.here("order-unknown", 200).await;
    assert!(walk.tab.text().await.contains("You will not be charged twice"));
    world.heal().await;
}

//! From an empty installation to an open shop, as the first owner sees it.

use super::staff;
use super::walk::Walk;
use super::world::World;
use crate::browser::Chromium;

const PASSWORD: &str = "violet harbour engine";

#[tokio::test(flavor = "multi_thread")]
async fn the_first_steps_lead_to_a_shop() {
    let world = World::start_with("first-steps", |command| {
        command.arg("--no-demo");
    })
    .await;
    assert!(world.said.contains(&format!("{}/staff/setup", world.desk())), "{}", world.said);
    let browser = Chromium::start("first-steps").await;
    let mut walk = Walk::new(browser.tab().await, world.desk());

    // Whoever comes first is led to the set-up, and there a wrong token opens nothing.
    walk.visit("/staff").await;
    assert!(walk.tab.url().await.ends_with("/staff/setup"), "{}", walk.tab.url().await);
    walk.here("set-up", 200).await;
    fill(&walk, "not the token").await;
    walk.tab.press("form[action='/staff/setup'] button").await;
    walk.here("set-up-refused", walk.tab.status).await;
    assert!((400..500).contains(&walk.tab.status), "{}", walk.tab.status);
    fill(&walk, world.file("setup-token").trim()).await;
    walk.tab.press("form[action='/staff/setup'] button").await;
    walk.here("enrol", 200).await;
    let secret: String = walk.tab.eval("document.querySelector('.secret').textContent").await;
    walk.tab.fill("[name=code]", &staff::code(&secret, 0)).await;
    walk.tab.press("form[action='/staff/enrol'] button").await;
    walk.here("recovery-codes", 200).await;
    walk.tab.press("a[href='/staff']").await;
    walk.here("no-brands", 200).await;

    walk.tab.press("a[href='/staff/brands/new']").await;
    for (name, value) in [
        ("name", "Südwind Fernsehen"),
        ("slug", "suedwind"),
        ("hosts", "suedwind.localhost"),
        ("support_email", "help@suedwind-fernsehen.example"),
        ("sender_email", "hello@suedwind-fernsehen.example"),
        ("entity.email", "billing@suedwind-fernsehen.example"),
        ("entity.name", "Südwind Rundfunkgesellschaft mit beschränkter Haftung"),
        ("entity.address_lines", "Am alten Markt 1\n80331 München"),
        ("entity.country", "DE"),
        ("tax_rate_bp", "19"),
    ] {
        walk.tab.fill(&format!("[name='{name}']"), value).await;
    }
    walk.tab.press("form[action='/staff/brands/new'] button[type=submit]").await;
    walk.here("new-dashboard", 200).await;
    assert!(walk.tab.text().await.contains("Connect a panel"), "{}", walk.tab.text().await);
    let base: String = walk.tab.eval("location.pathname").await;
    for page in [
        "orders",
        "subscriptions",
        "customers",
        "invoices",
        "tickets",
        "plans",
        "coupons",
        "panels",
        "providers",
        "mails",
        "affiliates",
        "ledger",
        "audit",
        "settings",
    ] {
        walk.look(&format!("new-{page}"), &format!("{base}/{page}")).await;
    }
    walk.origin = format!("http://suedwind.localhost:{}", world.copy.port);
    walk.look("opening-soon", "/").await;
    walk.look("opening-soon-plans", "/plans").await;
    assert!(walk.tab.text().await.contains("Opening soon"));

    browser.end().await;
    let log = world.end().await;
    assert!(!log.contains("panicked"), "{log}");
    assert!(walk.wrong.is_empty(), "{} things on {} pages:\n{}", walk.wrong.len(), walk.seen, walk.wrong.join("\n"));
}

async fn fill(walk: &Walk, token: &str) {
    for (name, value) in [
        ("setup_token", token),
        ("display_name", "Olga Owner"),
        ("email", "olga.the.first.owner@suedwind-fernsehen.example"),
        ("password", PASSWORD),
    ] {
        walk.tab.fill(&format!("[name={name}]"), value).await;
    }
}

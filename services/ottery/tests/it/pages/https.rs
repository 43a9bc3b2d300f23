//! HTTPS by certificate files, with a browser: nothing is labelled a demo mode any more, and cookies travel encrypted only.

use super::shop;
use super::walk::Walk;
use super::world::World;
use crate::browser::Chromium;

/// The pair that the gateway's own tests use.
const PAIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway/tests/it/tls");

#[tokio::test(flavor = "multi_thread")]
async fn with_a_certificate_everything_is_https() {
    let world = World::start_with("https", |command| {
        command
            .env("OTTERY_GATEWAY__HTTP__CERTIFICATE", format!("{PAIR}/certificate.pem"))
            .env("OTTERY_GATEWAY__HTTP__KEY", format!("{PAIR}/key.pem"));
    })
    .await;
    let (shop, desk) = (world.shop().replace("http://", "https://"), world.desk().replace("http://", "https://"));
    let said = &world.said;
    for address in [format!("{shop}/"), format!("{desk}/staff"), format!("{desk}/api/v1")] {
        assert!(said.contains(&address), "{address} is not announced:\n{said}");
    }
    assert!(!said.contains("Plain HTTP"), "{said}");

    let browser = Chromium::start("https").await;
    let tab = browser.tab().await;
    tab.trust_everybody().await;
    let mut walk = Walk::new(tab, shop.clone());
    walk.visit("/").await;
    assert_eq!(walk.tab.header("strict-transport-security"), "max-age=31536000");
    assert!(!walk.tab.text().await.contains("Demo mode"));
    walk.tab.press(".theme button[value=dark]").await;
    assert_eq!(walk.tab.cookie("ottery_theme").await["secure"], true);
    shop::sign_in(&mut walk, &world).await;
    let cookie = walk.tab.cookie("__Host-ottery_shop").await;
    assert_eq!((&cookie["secure"], &cookie["httpOnly"], &cookie["path"]), (&true.into(), &true.into(), &"/".into()));
    // The provider's call comes in over HTTPS as well.
    shop::buy_quickly(&mut walk, "weekend").await;
    assert!(walk.tab.url().await.starts_with(&shop));

    let tab = browser.tab().await;
    tab.trust_everybody().await;
    let mut walk = Walk::new(tab, desk);
    super::staff::sign_in(&mut walk, &world).await;
    assert_eq!(walk.tab.header("strict-transport-security"), "max-age=31536000");
    assert!(!walk.tab.text().await.contains("Demo mode"));
    let cookie = walk.tab.cookie("__Host-ottery_staff").await;
    assert_eq!((&cookie["secure"], &cookie["sameSite"]), (&true.into(), &"Strict".into()));

    let plain = world.client.get(format!("http://127.0.0.1:{}/", world.copy.port)).send().await;
    assert!(plain.is_err(), "plain HTTP is answered beside HTTPS");
    browser.end().await;
    let log = world.end().await;
    assert!(!log.contains("panicked") && !log.contains("demo mode"), "{log}");
}

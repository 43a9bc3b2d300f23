//! Every page, in a real browser: it works, nothing complains, and it looks right in every size and in both schemes.

mod account;
mod by_hand;
mod first_steps;
mod https;
mod nonsense;
mod shop;
mod staff;
mod walk;
mod world;

use crate::browser::{Chromium, Scheme};
use walk::Walk;
use world::World;

#[tokio::test(flavor = "multi_thread")]
async fn every_page_works_and_looks_right() {
    let world = World::start("pages").await;
    let browser = Chromium::start("pages").await;
    let mut shop = Walk::new(browser.tab().await, world.shop());
    picture(&mut shop).await;
    shop::visit(&mut shop).await;
    shop::sign_in(&mut shop, &world).await;
    account::first_time(&mut shop).await;
    let order = shop::buy(&mut shop, &world).await;
    shop::buy_without_script(&mut shop, &world).await;
    shop::what_goes_wrong(&mut shop, &world).await;
    account::in_use(&mut shop).await;

    let mut desk = Walk::new(browser.tab().await, world.desk());
    staff::sign_in(&mut desk, &world).await;
    staff::visit(&mut desk, &world).await;
    staff::work(&mut desk, &world, &order).await;
    account::after_staff_worked(&mut shop).await;

    shop::sign_in(&mut shop, &world).await;
    by_hand::connect(&mut desk, &world).await;
    let reference = by_hand::pay(&mut shop).await;
    by_hand::record(&mut desk, &mut shop, &world, &reference).await;
    desk.look("staff-audit-by-hand", &format!("/staff/b/{}/audit", world.person("brand_id"))).await;
    nonsense::of_a_customer(&mut shop, &order).await;
    nonsense::of_staff(&mut desk, world.person("brand_id")).await;
    nonsense::of_a_stranger(&mut shop, world.copy.port).await;

    browser.end().await;
    let log = world.end().await;
    let seen = shop.seen + desk.seen;
    let wrong = [shop.wrong, desk.wrong].concat();
    eprintln!("{seen} pages were looked at");
    assert!(!log.contains("panicked"), "{log}");
    assert!(wrong.is_empty(), "{} things on {seen} pages:\n{}", wrong.len(), wrong.join("\n"));
}

/// The storefront as the README shows it. With `OTTERY_PICTURES=<folder>` it is kept there.
async fn picture(walk: &mut Walk) {
    let Some(folder) = walk::folder("OTTERY_PICTURES") else { return };
    walk.tab.size(1280, 900).await;
    walk.tab.scheme(Scheme::Light).await;
    walk.visit("/").await;
    let end_of_plans = "Math.round(document.querySelector('.plans').getBoundingClientRect().bottom + 16)";
    let height = walk.tab.eval(end_of_plans).await;
    walk.tab.size(1280, height).await;
    std::fs::write(folder.join("storefront.png"), walk.tab.picture(false).await).unwrap();
}

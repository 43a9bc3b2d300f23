//! The staff area: signing in with both factors, every list and every detail.

use ottery_kernel::clock::{Clock as _, SystemClock};
use totp_rs::{Algorithm, Secret, TOTP};

use super::account::open_row;
use super::walk::Walk;
use super::world::World;

const CODE_SECONDS: u64 = 30;

/// The code an authenticator app shows `later` codes from now.
pub fn code(secret: &str, later: u64) -> String {
    let bytes = Secret::Encoded(secret.to_owned()).to_bytes().unwrap();
    let totp = TOTP::new(Algorithm::SHA1, 6, 1, CODE_SECONDS, bytes, None, "owner".to_owned()).unwrap();
    let now = SystemClock.now().timestamp().unsigned_abs();
    totp.generate(now + later * CODE_SECONDS)
}

/// With password and code; each code works once, and the one of the first start may be the present one.
pub async fn sign_in(walk: &mut Walk, world: &World) {
    walk.look("staff-sign-in", "/staff/sign-in").await;
    walk.look("staff-set-up-done", "/staff/setup").await;
    for later in 0..2 {
        walk.visit("/staff/sign-in").await;
        walk.tab.fill("[name=email]", world.person("staff_email")).await;
        walk.tab.fill("[name=password]", world.person("staff_password")).await;
        walk.tab.press("form[action='/staff/sign-in'] button").await;
        if later == 0 {
            walk.here("staff-code", 200).await;
            walk.tab.fill("[name=code]", "000000").await;
            walk.tab.press("form[action='/staff/sign-in/code'] button").await;
            walk.here("staff-code-refused", 401).await;
        }
        walk.tab.fill("[name=code]", &code(world.person("staff_totp_secret"), later)).await;
        walk.tab.press("form[action='/staff/sign-in/code'] button").await;
        if walk.tab.eval::<String>("location.pathname").await == "/staff" {
            return;
        }
    }
    panic!("staff cannot sign in:\n{}", walk.tab.text().await);
}

/// Every list, one detail of each, every form.
pub async fn visit(walk: &mut Walk, world: &World) {
    let base = format!("/staff/b/{}", world.person("brand_id"));
    let at = |path: &str| format!("{base}{path}");
    walk.look("staff-brands", "/staff").await;
    walk.look("staff-brand-new", "/staff/brands/new").await;
    walk.look("staff-confirm", "/staff/confirm?next=/staff").await;
    for (name, path) in [
        ("dashboard", ""),
        ("plan-new", "/plans/new"),
        ("coupons-none", "/coupons"),
        ("coupon-new", "/coupons/new"),
        ("panel-new", "/panels/new"),
        ("drift", "/drift"),
        ("providers", "/providers"),
        ("disputes-none", "/disputes"),
        ("mails", "/mails"),
        ("affiliates", "/affiliates"),
        ("ledger", "/ledger"),
        ("ledger-balance", "/ledger/balance"),
        ("ledger-deferred", "/ledger/deferred"),
        ("reconciliation", "/reconciliation"),
        ("time-machine-none", "/time-machine"),
        ("trials", "/trials"),
        ("screening-none", "/screening"),
        ("screening-rules", "/screening/rules"),
        ("audit", "/audit"),
        ("settings", "/settings"),
        ("customers-none", "/customers?query=zzz"),
    ] {
        walk.look(&format!("staff-{name}"), &at(path)).await;
    }
    for list in ["orders", "subscriptions", "customers", "invoices", "tickets", "plans", "panels"] {
        walk.look(&format!("staff-{list}"), &at(&format!("/{list}"))).await;
        walk.tab.press("tbody a").await;
        walk.here(&format!("staff-{list}-one"), 200).await;
    }
    // Nobody paid for a trial, so that there is nothing to give back.
    open_row(walk, &at("/orders"), "€0.00").await;
    walk.here("staff-order-trial", 200).await;
    assert!(!walk.tab.text().await.contains("Give money back"), "{}", walk.tab.text().await);
}

/// A day that is so far ahead.
fn day(ahead: i64) -> String {
    (SystemClock.now() + chrono::TimeDelta::days(ahead)).date_naive().to_string()
}

/// What staff do by hand, and what is said when it cannot be done.
pub async fn work(walk: &mut Walk, world: &World, order: &str) {
    let base = format!("/staff/b/{}", world.person("brand_id"));
    walk.visit(&format!("{base}/tickets")).await;
    walk.tab.press("tbody a").await;
    for (text, is_note) in
        [("Look at the encoder of 104 (only staff).", true), ("We are on it, it plays again.", false)]
    {
        walk.tab.fill("[name=text]", text).await;
        if is_note {
            walk.tab.click("[name=internal]").await;
        }
        walk.tab.press("form[action$='/reply'] button").await;
    }
    walk.here("staff-ticket-answered", 200).await;

    walk.visit(&format!("{base}{order}")).await;
    walk.tab.click(".fold summary").await;
    walk.tab.fill("[name=amount]", "a lot").await;
    walk.tab.fill("[name=reason]", "An evening without picture").await;
    walk.tab.press("form[action$='/refund'] button").await;
    walk.here("staff-refund-refused", 400).await;
    walk.tab.fill("[name=amount]", "4.00").await;
    walk.tab.press("form[action$='/refund'] button").await;
    walk.here("staff-refunded", 200).await;

    open_row(walk, &format!("{base}/subscriptions"), "Active").await;
    walk.tab.click(".fold summary").await;
    walk.tab.fill("form[action$='/suspend'] [name=reason]", "asked by phone").await;
    walk.tab.press("form[action$='/suspend'] button").await;
    walk.here("staff-suspended", 200).await;

    walk.visit(&format!("{base}/panels")).await;
    walk.tab.press("tbody a").await;
    world.fault(&world.panel(), "*", "http_503", 0).await;
    walk.tab.press("form[action$='/diagnosis'] button").await;
    walk.here("staff-panel-down", 200).await;
    let text = walk.tab.text().await;
    assert!(text.contains("What to do:") && text.contains("Test again"), "{text}");
    walk.look("staff-dashboard-panel-down", &base).await;
    world.heal().await;

    walk.visit(&format!("{base}/coupons/new")).await;
    walk.tab.fill("[name=code]", "welcome").await;
    walk.tab.press("form[action$='/coupons/new'] button").await;
    walk.here("staff-coupon-refused", 400).await;
    walk.tab.fill("[name=percent_bp]", "20").await;
    walk.tab.press("form[action$='/coupons/new'] button").await;
    walk.here("staff-coupon", 200).await;
    walk.look("staff-coupons", &format!("{base}/coupons")).await;

    walk.visit(&format!("{base}/time-machine")).await;
    walk.tab.fill("[name=to]", &day(900)).await;
    walk.tab.press("form[action$='/time-machine'] button").await;
    walk.here("staff-time-machine-refused", 400).await;
    walk.tab.fill("[name=to]", &day(40)).await;
    walk.tab.fill("[name=grace_days]", "20").await;
    walk.tab.press("form[action$='/time-machine'] button").await;
    walk.here("staff-time-machine-run", 200).await;
    let run: String = walk.tab.eval("location.pathname").await;
    while !walk.tab.text().await.contains("Totals") {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        walk.visit(&run).await;
    }
    walk.here("staff-time-machine-done", 200).await;
    walk.look("staff-time-machine", &format!("{base}/time-machine")).await;

    walk.visit("/staff/brands/new").await;
    walk.tab.send("form[action='/staff/brands/new'] button").await;
    walk.here("staff-brand-refused", 400).await;
}

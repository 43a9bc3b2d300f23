//! What nobody should send: each is answered with a page in the brand's look, the right status and a way out.

use super::walk::Walk;

/// Long enough to be in nobody's way, short enough to pass every limit on the way in.
const GARBAGE: &str = "\u{0}\u{202e}<script>alert(1)</script> ' OR 1=1 -- %00 ${7*7} 🦦 99999999999999999999";
const NAMES: [&str; 22] = [
    "email",
    "password",
    "code",
    "challenge",
    "price",
    "trial",
    "quote",
    "consent",
    "idempotency_key",
    "token",
    "subject",
    "text",
    "reason",
    "session",
    "secret",
    "next",
    "amount",
    "payment",
    "delivery",
    "name",
    "expected_version",
    "days",
];

impl Walk {
    /// The page being shown is one of ours, says what happened, and leads on.
    async fn is_clear(&mut self, what: &str, statuses: &[u16]) {
        // The desk keeps its own colours, whatever a brand is trying out.
        let sheet = if self.origin.contains("127.0.0.1") { "/assets/app-" } else { "/assets/brand-" };
        let looks = format!(
            "[document.querySelectorAll('h1').length === 1, document.querySelectorAll('main a[href], main button').length > 0, \
             [...document.styleSheets].some((sheet) => sheet.href?.includes('{sheet}') && sheet.cssRules.length > 0)]"
        );
        let [has_heading, leads_on, is_styled]: [bool; 3] = self.tab.eval(&looks).await;
        let status = self.tab.status;
        if !statuses.contains(&status) || !has_heading || !leads_on || !is_styled {
            let text: String = self.tab.eval("document.body.innerText").await;
            self.wrong.push(format!(
                "{what}: {status}, heading {has_heading}, way out {leads_on}, look {is_styled}: {}",
                text.replace('\n', " ")
            ));
        }
        self.wrong.extend(self.tab.complaints().into_iter().map(|complaint| format!("{what}: {complaint}")));
    }
}

/// Addresses of things that are not there, or were never addresses.
async fn addresses(walk: &mut Walk, paths: &[String]) {
    for path in paths {
        walk.visit(path).await;
        walk.is_clear(path, &[400, 404, 410]).await;
    }
}

/// Forms with nothing in them, and with rubbish in every field, one from the answer of the other.
async fn forms(walk: &mut Walk, from: &str, paths: &[String]) {
    let rubbish: Vec<(&str, &str)> = NAMES.iter().map(|name| (*name, GARBAGE)).collect();
    walk.visit(from).await;
    for path in paths {
        for fields in [&[][..], &rubbish] {
            walk.tab.post(path, fields).await;
            let what = format!("POST {path} with {} fields", fields.len());
            walk.is_clear(&what, &[200, 400, 401, 403, 404, 409, 410, 429]).await;
        }
    }
}

/// By somebody who is signed in as a customer.
pub async fn of_a_customer(walk: &mut Walk, order: &str) {
    let long = format!("/{}", "a".repeat(4_000));
    let gets = [
        "/nothing/here",
        "/plans/nothing",
        "/plans/%00",
        "/plans/..%2f..%2fetc%2fpasswd",
        "/orders/ord_x",
        "/orders/1",
        "/orders/ord_00000000000000000000000000000000",
        "/account/invoices/inv_x",
        "/account/invoices/x/pdf",
        "/account/invoices/x/ubl",
        "/account/wallet?currency=EUR&from=rubbish&to=2026-01-01",
        "/account/invoices/x/explain",
        "/account/subscriptions/x/explain",
        "/account/subscriptions/x",
        "/account/subscriptions/x/change?price=pri_x",
        "/account/services/svc_x",
        "/account/tickets/tck_x",
        "/account/invoices?cursor=rubbish",
        "/checkout",
        "/checkout?price=pri_x&trial=1",
        &long,
    ];
    addresses(walk, &gets.map(str::to_owned)).await;
    let posts = [
        "/checkout/account",
        "/checkout/sign-in",
        "/checkout/redeem",
        "/checkout/place",
        "/account/sign-in",
        "/account/sign-in/code",
        "/account/sign-up",
        "/account/forgot",
        "/account/reset",
        "/account/verify",
        "/account/confirm",
        "/account/services/svc_x/reveal",
        "/account/subscriptions/x/cancel",
        "/account/subscriptions/x/resume",
        "/account/subscriptions/x/change",
        "/account/invoices/x/pay",
        "/account/tickets/new",
        "/account/tickets/x/reply",
        "/account/tickets/x/close",
        "/account/security/password",
        "/account/security/revoke",
        "/account/security/totp",
        "/nothing/here",
    ];
    let mut posts = posts.map(str::to_owned).to_vec();
    posts.extend([format!("{order}/pay"), "/orders/ord_x/pay".into(), "/orders/ord_x/reveal".into()]);
    forms(walk, "/help", &posts).await;

    // What was sent once is not sent again by loading the page again: it leads to the page it belongs to.
    walk.visit(&format!("{order}/reveal")).await;
    assert_eq!(walk.tab.eval::<String>("location.pathname").await, order);

    walk.look_as("not-found", "/nothing/here", 404).await;
    walk.look_as("price-gone", "/checkout?price=pri_x", 410).await;
    walk.visit("/help").await;
    walk.tab.post("/account/sign-in", &[("email", GARBAGE), ("password", "")]).await;
    walk.here("sign-in-garbage", walk.tab.status).await;
}

/// By another site's page, under another name, and too often.
pub async fn of_a_stranger(walk: &mut Walk, port: u16) {
    // A page that is not ours sends a form to us.
    walk.tab.goto("data:text/html,<title>elsewhere</title>").await;
    walk.tab.post(&format!("{}/account/sign-in", walk.origin), &[("email", "a@b.example")]).await;
    walk.here("cross-site", 403).await;
    walk.is_clear("a form of another site", &[403]).await;
    // Nobody's name: the page names nobody, and there is nowhere to lead.
    walk.tab.goto(&format!("http://nobody.localhost:{port}/")).await;
    walk.here("unknown-host", 421).await;
    let text = walk.tab.text().await;
    assert!(!text.contains("Nordlicht") && !text.contains("Ottery"), "{text}");

    let path = "/account/sign-in";
    for _ in 0..100 {
        walk.visit("/account/sign-in").await;
        walk.tab.post(path, &[("email", "nobody@example.org"), ("password", "not the password")]).await;
        if walk.tab.status == 429 {
            break;
        }
    }
    walk.here("too-often", 429).await;
}

/// By staff.
pub async fn of_staff(walk: &mut Walk, brand: &str) {
    let base = format!("/staff/b/{brand}");
    let at = |path: &str| format!("{base}{path}");
    let mut gets =
        vec!["/staff/nothing".to_owned(), "/staff/b/x".into(), "/staff/b/brd_00000000000000000000000000000000".into()];
    for list in ["orders", "subscriptions", "invoices", "customers", "tickets", "plans", "panels"] {
        gets.extend([at(&format!("/{list}/x")), at(&format!("/{list}?cursor=rubbish"))]);
    }
    gets.extend([
        at("/drift?cursor=rubbish"),
        at("/drift?kind=rubbish"),
        at("/panels/x/diagnosis"),
        at("/invoices/x/pdf"),
        at("/invoices/x/ubl"),
        at("/invoices/x/explain"),
        at("/subscriptions/x/explain"),
    ]);
    addresses(walk, &gets).await;
    let posts = [
        "/settings",
        "/settings/clock",
        "/plans/new",
        "/plans/x",
        "/plans/x/state",
        "/panels/new",
        "/panels/x",
        "/panels/x/diagnosis",
        "/panels/x/delete",
        "/drift/preview",
        "/drift/decide",
        "/drift/scan",
        "/drift/rules",
        "/providers",
        "/providers/test",
        "/providers/rotate",
        "/orders/x/refund",
        "/orders/x/retry",
        "/subscriptions/x/suspend",
        "/subscriptions/x/unsuspend",
        "/subscriptions/x/terminate",
        "/subscriptions/x/price-override",
        "/customers/x/wallet/credits",
        "/tickets/x/reply",
        "/tickets/x/close",
        "/mails/resend",
    ];
    let mut posts = posts.map(at).to_vec();
    posts.extend(
        ["/staff/setup", "/staff/sign-in", "/staff/sign-in/code", "/staff/confirm", "/staff/brands/new"]
            .map(str::to_owned),
    );
    forms(walk, "/staff", &posts).await;
    walk.look_as("staff-not-found", "/staff/nothing", 404).await;
    walk.look_as("staff-order-not-found", &at("/orders/x"), 404).await;
}

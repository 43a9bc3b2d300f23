//! The customer's account: before anything was bought, and after.

use super::walk::Walk;

const PAGES: [(&str, &str); 9] = [
    ("overview", "/account"),
    ("services", "/account/services"),
    ("subscriptions", "/account/subscriptions"),
    ("invoices", "/account/invoices"),
    ("wallet", "/account/wallet"),
    ("methods", "/account/methods"),
    ("tickets", "/account/tickets"),
    ("affiliate", "/account/affiliate"),
    ("security", "/account/security"),
];

/// Nothing was bought yet: every page says what it is for and what to do first.
pub async fn first_time(walk: &mut Walk) {
    for (name, path) in PAGES {
        walk.look(&format!("empty-{name}"), path).await;
    }
    for (name, path) in [
        ("ticket-new", "/account/tickets/new"),
        ("second-factor", "/account/security/totp"),
        ("confirm", "/account/confirm?next=/account"),
    ] {
        walk.look(name, path).await;
    }
    walk.tab.fill("[name=password]", "not the password").await;
    walk.tab.press("form[action='/account/confirm'] button").await;
    walk.here("confirm-refused", 401).await;
    walk.visit("/account/security/totp").await;
    walk.tab.fill("[name=code]", "000000").await;
    walk.tab.press("form[action='/account/security/totp'] button").await;
    walk.here("second-factor-refused", 401).await;
    walk.visit("/account/security").await;
    walk.tab.fill("[name=current_password]", "not the password").await;
    walk.tab.fill("[name=new_password]", "short").await;
    walk.tab.press("form[action='/account/security/password'] button").await;
    walk.here("security-refused", 401).await;
}

/// Something was bought. Asks for help, recommends the shop, changes a plan, cancels and comes back.
pub async fn in_use(walk: &mut Walk) {
    ask(walk).await;
    walk.visit("/account/affiliate").await;
    walk.tab.press("form[action='/account/affiliate'] button").await;
    for (name, path) in PAGES {
        walk.look(name, path).await;
    }
    open_row(walk, "/account/services", "Ready").await;
    walk.here("service", 200).await;
    walk.tab.press("form[action$='/reveal'] button").await;
    walk.here("service-revealed", 200).await;
    for (state, name) in [("Paid", "invoice"), ("Open", "invoice-open")] {
        open_row(walk, "/account/invoices", state).await;
        walk.here(name, 200).await;
        walk.tab.press("a[href$='/explain']").await;
        walk.here(&format!("{name}-explained"), 200).await;
    }
    for (state, name) in [("Trial", "subscription-trial"), ("Waiting for payment", "subscription-pending")] {
        open_row(walk, "/account/subscriptions", state).await;
        walk.here(name, 200).await;
    }
    open_row(walk, "/account/subscriptions", "Duo").await;
    walk.here("subscription", 200).await;
    choose(walk, "Solo").await;
    walk.here("change-later", 200).await;
    assert!(walk.tab.text().await.contains("Change with the renewal"), "{}", walk.tab.text().await);
    walk.tab.press("form[action$='/change'] button").await;
    walk.here("change-noted", 200).await;
    choose(walk, "Family").await;
    walk.here("change-preview", 200).await;
    assert!(walk.tab.text().await.contains("and change"), "{}", walk.tab.text().await);
    open_row(walk, "/account/subscriptions", "Duo").await;
    walk.tab.click(".fold summary").await;
    walk.tab.press("form[action$='/cancel'] button").await;
    walk.here("subscription-cancelled", 200).await;
    walk.tab.press("form[action$='/resume'] button").await;
    walk.here("subscription-resumed", 200).await;
}

/// Asks for help; answers come from the other side.
async fn ask(walk: &mut Walk) {
    walk.visit("/account/tickets/new").await;
    walk.tab.fill("[name=subject]", "Channel 104 stops after some minutes").await;
    walk.tab.fill("[name=text]", "Hello,\nsince yesterday channel 104 stops after about ten minutes.\n\nAda").await;
    walk.tab.press("form[action='/account/tickets/new'] button").await;
    walk.here("ticket-opened", 200).await;
}

/// Looks again at what others changed meanwhile.
pub async fn after_staff_worked(walk: &mut Walk) {
    walk.look("overview-suspended", "/account").await;
    walk.visit("/account/tickets").await;
    walk.tab.press("tbody a").await;
    walk.here("ticket-answered", 200).await;
    assert!(!walk.tab.text().await.contains("only staff"), "a note of the staff is shown to the customer");
    open_row(walk, "/account/subscriptions", "Suspended").await;
    walk.here("subscription-suspended", 200).await;
    open_row(walk, "/account/invoices", "refunded").await;
    walk.here("invoice-refunded", 200).await;
    walk.visit("/account").await;
    walk.tab.press("form[action='/account/sign-out'] button").await;
    assert!(walk.tab.url().await.ends_with("/account/sign-in?done=signed-out"));
}

/// Asks what another plan would cost.
async fn choose(walk: &mut Walk, plan: &str) {
    let script = format!(
        "(() => {{ const list = document.querySelector('[name=price]'); \
         list.value = [...list.options].find((option) => option.text.startsWith('{plan},')).value; }})()"
    );
    walk.tab.eval::<serde_json::Value>(&script).await;
    walk.tab.press("form[action$='/change'] button").await;
}

/// Opens what stands in the first row that says so.
pub async fn open_row(walk: &mut Walk, list: &str, state: &str) {
    walk.visit(list).await;
    let script = format!(
        "[...document.querySelectorAll('tbody tr')].find((row) => row.innerText.includes('{state}'))?.querySelector('a').href ?? ''"
    );
    let found: String = walk.tab.eval(&script).await;
    assert!(!found.is_empty(), "no row says `{state}` on {list}:\n{}", walk.tab.text().await);
    walk.visit(&found).await;
}

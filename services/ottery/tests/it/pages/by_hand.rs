//! A bank transfer: staff takes it, a customer sends a file, and somebody records what came.

use ottery_kernel::clock::{Clock as _, SystemClock};
use serde_json::Value;

use super::walk::Walk;
use super::world::World;

const SAVE: &str = "form[action$='/providers'] button[type=submit], form[action$='/providers'] button:not([type])";
const SEND: &str = "form[enctype] button";
const RECORD: &str = "form[action$='/incoming/record']";

/// Staff adds an account; a check digit is wrong at first.
pub async fn connect(desk: &mut Walk, world: &World) {
    let base = format!("/staff/b/{}", world.person("brand_id"));
    desk.look("staff-incoming-none", &format!("{base}/incoming")).await;
    desk.visit(&format!("{base}/providers")).await;
    for (name, text) in [
        ("id", ""),
        ("base_url", ""),
        ("provider", "bank_transfer"),
        ("beneficiary", "Nordlicht TV GmbH"),
        ("iban", "DE89 3704 0044 0532 0130 01"),
        ("days", "3"),
        ("alone_up_to", "EUR 5.00"),
    ] {
        desk.tab.fill(&format!("form[action$='/providers'] [name={name}]"), text).await;
    }
    desk.tab.press(SAVE).await;
    desk.here("staff-bank-refused", 400).await;
    desk.tab.fill("[name=iban]", "DE89 3704 0044 0532 0130 00").await;
    desk.tab.press(SAVE).await;
    desk.here("staff-bank", 200).await;
}

/// A customer chooses it, and shows that the money was sent. Returns the reference.
pub async fn pay(shop: &mut Walk) -> String {
    shop.visit("/plans/duo").await;
    shop.tab.press(".buy-box button").await;
    let choose = "(() => { const it = document.querySelector('select[name=provider_account_id]'); \
                  it.value = [...it.options].find((way) => way.text === 'Bank transfer').value; return it.value !== ''; })()";
    assert!(shop.tab.eval::<bool>(choose).await);
    shop.tab.click("[name=consent]").await;
    shop.tab.press("form[action='/checkout/place'] button").await;
    shop.tab.until("location.pathname.startsWith('/pay/by-hand/') && document.readyState === 'complete'").await;
    shop.here("by-hand-waiting", 200).await;
    file(shop, "page.pdf", "<html><script>alert(1)</script></html>").await;
    shop.tab.press(SEND).await;
    shop.here("by-hand-proof-refused", 400).await;
    assert!(shop.tab.text().await.contains("nly PDF, PNG and JPEG"), "{}", shop.tab.text().await);
    file(shop, "receipt.pdf", "%PDF-1.7 a receipt").await;
    shop.tab.press(SEND).await;
    shop.here("by-hand-claimed", 200).await;
    assert!(shop.tab.text().await.contains("we look out for it"), "{}", shop.tab.text().await);
    let reference: String = shop.tab.eval("document.body.innerText.match(/RF\\d\\d [A-Z]{4} [A-Z]{4}/)[0]").await;
    reference
}

/// Chooses a file, as somebody who has it on their computer.
async fn file(shop: &Walk, name: &str, content: &str) {
    let script = format!(
        "(() => {{ const chosen = new DataTransfer(); chosen.items.add(new File([{}], {})); \
         document.querySelector('[name=proof]').files = chosen.files; }})()",
        Value::from(content),
        Value::from(name)
    );
    shop.tab.eval::<Value>(&script).await;
}

/// Staff records it, which is above what one person may, and cannot agree to it as well.
pub async fn record(desk: &mut Walk, shop: &mut Walk, world: &World, reference: &str) {
    let base = format!("/staff/b/{}", world.person("brand_id"));
    desk.look("staff-incoming", &format!("{base}/incoming")).await;
    let today = SystemClock.now().date_naive().to_string();
    for (name, text) in [
        ("payment_reference", reference),
        ("amount", "11.99"),
        ("value_on", today.as_str()),
        ("bank_reference", "BANK-1"),
        ("sender", "Ada Example"),
    ] {
        desk.tab.fill(&format!("{RECORD} [name={name}]"), text).await;
    }
    desk.tab.press(&format!("{RECORD} button")).await;
    desk.here("staff-incoming-recorded", 200).await;
    desk.tab.press("form[action$='/incoming/confirm'] button").await;
    desk.here("staff-incoming-own", 409).await;
    assert!(desk.tab.text().await.contains("cannot confirm it"), "{}", desk.tab.text().await);
    let page: String = shop.tab.eval("location.pathname").await;
    shop.look("by-hand-checking", &page).await;
    assert!(shop.tab.text().await.contains("Your payment has come"), "{}", shop.tab.text().await);
}

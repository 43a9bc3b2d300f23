//! What the operator does: moves the brand's clock, gives money back, answers.

use anyhow::Context;
use chrono::{DateTime, SecondsFormat, Utc};
use ottery_kernel::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use totp_rs::{Algorithm, Secret, TOTP};

use super::Story;
use super::http::{Door, text};
use super::wait;

const CODE_SECONDS: u64 = 30;

/// Moves the brand's clock to an instant and waits until everything due by then is done.
pub async fn advance(story: &Story, to: DateTime<Utc>) -> anyhow::Result<()> {
    let path = format!("/brands/{}/clock", story.system.people.brand_id);
    let to = to.to_rfc3339_opts(SecondsFormat::Secs, true);
    story.operator.post(&path, &json!({"to": to})).await?;
    wait::until(&format!("the brand's clock to be ready at {to}"), async || {
        let clock = story.operator.get(&path).await?;
        Ok(if clock["state"] == "ready" { Ok(()) } else { Err(format!("it waits for {}", clock["waiting_for"])) })
    })
    .await
}

/// A member of the staff who just proved who they are: no person gives money back without.
pub async fn sign_in(story: &Story) -> anyhow::Result<Door> {
    let people = &story.system.people;
    let mut door = Door::browser(&story.system.client, &story.system.staff_origin);
    let first = json!({"email": people.staff_email, "password": people.staff_password});
    // A code works once. When this one's was used moments ago the next one does.
    let mut refused = None;
    for _ in 0..2 {
        let challenged = door.enter("/auth/sign-in", &first).await?;
        let challenge = text(&challenged, "/challenge").context("staff are asked for their second factor")?.to_owned();
        let now = SystemClock.now().timestamp().unsigned_abs();
        let second = json!({"challenge": challenge, "code": code(&people.staff_totp_secret, now)?});
        match door.enter("/auth/totp", &second).await {
            Ok(_) => {
                door.choose_brand(&people.brand_id);
                return Ok(door);
            }
            Err(error) => refused = Some(error),
        }
        tokio::time::sleep(std::time::Duration::from_secs(CODE_SECONDS - now % CODE_SECONDS)).await;
    }
    Err(refused.context("nobody tried to sign in")?)
}

fn code(secret: &str, now: u64) -> anyhow::Result<String> {
    let bytes = Secret::Encoded(secret.to_owned()).to_bytes().map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(TOTP::new(Algorithm::SHA1, 6, 1, CODE_SECONDS, bytes, None, "owner".to_owned())?.generate(now))
}

/// Gives a part of a payment back and waits until the provider has paid it out.
pub async fn refund(story: &Story, staff: &Door, payment: &Value, minor: i64) -> anyhow::Result<Value> {
    let id = text(payment, "/id")?;
    let input = json!({
        "amount": {"currency": payment["amount"]["currency"], "minor": minor},
        "reason": "An evening without picture",
        "policy": "keep",
    });
    let asked = staff.post_money(&format!("/payments/{id}/refunds"), &input).await?;
    let invoice = text(payment, "/invoice_id")?;
    wait::until("the refund to have succeeded", async || {
        let page = story.operator.get(&format!("/payments?invoice_id={invoice}")).await?;
        let found = page["refunds"].as_array().and_then(|all| all.iter().find(|refund| refund["id"] == asked["id"]));
        Ok(match found {
            Some(refund) if refund["state"] == "succeeded" => Ok(refund.clone()),
            Some(refund) => Err(format!("it is {}", refund["state"])),
            None => Err("it is not there".to_owned()),
        })
    })
    .await
}

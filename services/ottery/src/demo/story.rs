//! What happens after the purchases, in the brand's own time: two customers, one whose card always works and one whose
//! card is declined when nobody is there to confirm it.

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::customer::{Bought, Customer, FICKLE_CARD, GOOD_CARD, pay_page};
use super::http::{instant, items, number, text};
use super::timeline::Timeline;
use super::{Story, euros, operator, wait};

/// What the operator gives back, in cents.
const REFUND_MINOR: i64 = 150;

/// The brand's patience, from its settings.
#[derive(Clone, Debug)]
struct Patience {
    lead: TimeDelta,
    grace: TimeDelta,
    /// Relative to due, earliest first.
    reminders: Vec<TimeDelta>,
}

/// One of the two, and what they bought.
struct Viewer {
    customer: Customer,
    bought: Bought,
}

/// Tells it.
///
/// # Errors
/// The first step that differed.
pub async fn tell(story: &Story, timeline: &mut Timeline) -> anyhow::Result<()> {
    let patience = patience(story).await?;
    let good = viewer(story, timeline, "good card", GOOD_CARD, None).await?;
    let link = ticket_and_link(story, timeline, &good).await?;
    let fickle = viewer(story, timeline, "fickle card", FICKLE_CARD, None).await?;
    let referred = viewer(story, timeline, "referral", GOOD_CARD, Some(&link)).await?;
    timeline.step("commission", commission(story, &good, &referred, "pending")).await?;

    let end = instant(&fickle.bought.detail, "/subscription/period_end")?;
    timeline.step("renewal issued", renewal_issued(story, &patience, &fickle, end)).await?;
    timeline.step("reminder before due", reminded_before(story, &patience, &fickle, end)).await?;
    // The last to have bought is the last to be due.
    let due = instant(&referred.bought.detail, "/subscription/period_end")? + TimeDelta::minutes(5);
    operator::advance(story, due).await?;
    timeline.step("renewal", renewed(story, &good)).await?;
    let open = timeline.step("renewal declined", declined(story, &fickle)).await?;
    timeline.step("reminders", reminded(story, &patience, &fickle, end)).await?;
    timeline.step("suspension", suspended(story, &patience, &fickle, &open, end)).await?;
    timeline.step("late payment", paid_late(story, &fickle, &open)).await?;
    // Recurring revenue nets what happens at one instant, so each change gets an hour of its own.
    let paid_at = end + patience.grace + TimeDelta::hours(1);
    operator::advance(story, paid_at + TimeDelta::hours(1)).await?;
    timeline.step("upgrade", upgraded(story, &fickle)).await?;
    timeline.step("partial refund", refunded(story, &fickle, &open)).await?;
    operator::advance(story, paid_at + TimeDelta::hours(2)).await?;
    timeline.step("termination", terminated(story, &fickle)).await?;
    timeline.step("commission approved", commission(story, &good, &referred, "approved")).await?;
    timeline.step("MRR after", mrr_after(story, &good, &fickle)).await
}

async fn patience(story: &Story) -> anyhow::Result<Patience> {
    let brand = story.operator.get(&format!("/brands/{}", story.system.people.brand_id)).await?;
    let hours = |name: &str| number(&brand, name).map(TimeDelta::hours);
    let reminders = brand["reminder_hours"].as_array().context("a brand has reminder_hours")?;
    Ok(Patience {
        lead: hours("/renewal_lead_hours")?,
        grace: TimeDelta::days(number(&brand, "/grace_days")?),
        reminders: reminders.iter().filter_map(Value::as_i64).map(TimeDelta::hours).collect(),
    })
}

async fn viewer(
    story: &Story,
    timeline: &mut Timeline,
    name: &str,
    card: &str,
    link: Option<&str>,
) -> anyhow::Result<Viewer> {
    let viewer = timeline
        .step(name, async {
            let customer = Customer::sign_up(story, link).await?;
            let bought = customer.buy(story, "solo", card).await?;
            let said = format!("{} watches after {} ms", customer.email, bought.activation_ms);
            Ok((Viewer { customer, bought }, said))
        })
        .await?;
    timeline.activated(viewer.bought.activation_ms);
    Ok(viewer)
}

/// A ticket is asked and answered; the customer becomes an affiliate. Returns their link.
async fn ticket_and_link(story: &Story, timeline: &mut Timeline, good: &Viewer) -> anyhow::Result<String> {
    timeline
        .step("ticket", async {
            let door = &good.customer.door;
            let asked = json!({
                "subject": "No sound on channel 101",
                "text": "Since this morning.",
                "subscription_id": good.bought.subscription,
            });
            let ticket = door.post("/tickets", &asked).await?;
            let (id, number) = (text(&ticket, "/id")?, text(&ticket, "/number")?.to_owned());
            story.operator.post(&format!("/tickets/{id}/replies"), &json!({"text": "It is back."})).await?;
            let read = door.get(&format!("/tickets/{id}")).await?;
            let count = read["messages"].as_array().map_or(0, Vec::len);
            anyhow::ensure!(
                read["state"] == "answered" && count == 2,
                "the ticket should be answered with 2 messages, but is {} with {count}",
                read["state"]
            );
            good.customer.mails(story, &number, 1).await?;
            let closed = door.post(&format!("/tickets/{id}/close"), &json!({})).await?;
            anyhow::ensure!(closed["state"] == "closed", "the ticket should be closed, but is {}", closed["state"]);
            Ok(((), format!("{number} asked, answered by mail, closed")))
        })
        .await?;
    timeline
        .step("affiliate", async {
            let joined = good.customer.door.post("/affiliate", &json!({})).await?;
            let link = text(&joined, "/link")?.to_owned();
            Ok((link.clone(), link))
        })
        .await
}

/// The referred purchase earned the affiliate a share, in this state.
async fn commission(story: &Story, good: &Viewer, referred: &Viewer, state: &str) -> anyhow::Result<((), String)> {
    let door = &good.customer.door;
    let earned = wait::until(&format!("a commission that is {state}"), async || {
        let page = door.get("/affiliate/commissions?limit=100").await?;
        let found = items(&page)?.iter().find(|earned| earned["order_id"] == referred.bought.order.as_str()).cloned();
        Ok(match found {
            Some(earned) if earned["state"] == state => Ok(earned),
            Some(earned) => Err(format!("it is {}", earned["state"])),
            None => Err("there is none for the referred order".to_owned()),
        })
    })
    .await?;
    let own = door.get("/affiliate").await?;
    let (clicks, referrals) = (number(&own, "/affiliate/clicks")?, number(&own, "/affiliate/referrals")?);
    anyhow::ensure!(
        (clicks, referrals) == (1, 1),
        "the affiliate should have 1 click and 1 referral, but has {clicks} and {referrals}"
    );
    let (base, net) = (number(&earned, "/base/minor")?, number(&referred.bought.detail, "/invoice/subtotal/minor")?);
    anyhow::ensure!(base == net, "the commission should be on the net {net}, but is on {base}");
    story.books.balance().await?;
    Ok(((), format!("{} of {} {state}", euros(number(&earned, "/amount/minor")?), euros(base))))
}

async fn renewal_issued(
    story: &Story,
    patience: &Patience,
    fickle: &Viewer,
    end: DateTime<Utc>,
) -> anyhow::Result<((), String)> {
    operator::advance(story, end - patience.lead + TimeDelta::hours(1)).await?;
    let invoice = open_renewal(fickle).await?;
    story.books.invoice_is_booked(&invoice).await?;
    fickle.customer.mails(story, text(&invoice, "/number")?, 1).await?;
    active_on_panel(story, fickle, end + patience.grace).await?;
    Ok(((), format!("{} for {}, mailed", text(&invoice, "/number")?, euros(number(&invoice, "/total/minor")?))))
}

async fn open_renewal(fickle: &Viewer) -> anyhow::Result<Value> {
    fickle
        .customer
        .newest_invoice(&fickle.bought, "an open renewal", |invoice| {
            invoice["purpose"] == "renewal" && invoice["state"] == "open"
        })
        .await
}

async fn reminded_before(
    story: &Story,
    patience: &Patience,
    fickle: &Viewer,
    end: DateTime<Utc>,
) -> anyhow::Result<((), String)> {
    let before: Vec<&TimeDelta> = patience.reminders.iter().filter(|at| **at < TimeDelta::zero()).collect();
    for at in &before {
        operator::advance(story, end + **at + TimeDelta::hours(1)).await?;
    }
    // The receipt's subject has the amount, this one has the plan as well.
    fickle.customer.mails(story, "for Solo", before.len()).await?;
    active_on_panel(story, fickle, end + patience.grace).await?;
    Ok(((), format!("{} mail(s) before it is due", before.len())))
}

async fn renewed(story: &Story, good: &Viewer) -> anyhow::Result<((), String)> {
    let invoice = good
        .customer
        .newest_invoice(&good.bought, "a paid renewal", |invoice| {
            invoice["purpose"] == "renewal" && invoice["state"] == "closed"
        })
        .await?;
    story.books.invoice_is_booked(&invoice).await?;
    story.books.payment_is_booked(&good.customer.payment_is(&invoice, "succeeded").await?).await?;
    let subscription = good.customer.subscription_is(&good.bought, "active").await?;
    let end = instant(&subscription, "/period_end")?;
    let before = instant(&good.bought.detail, "/subscription/period_end")?;
    anyhow::ensure!(end > before, "the renewal should extend the time beyond {before}, but it ends at {end}");
    active_on_panel(story, good, end).await?;
    good.customer.mails(story, "Receipt", 2).await?;
    Ok(((), format!("{} charged to the saved card, served until {}", text(&invoice, "/number")?, end.date_naive())))
}

async fn declined(story: &Story, fickle: &Viewer) -> anyhow::Result<(Value, String)> {
    let invoice = open_renewal(fickle).await?;
    let payment = fickle.customer.payment_is(&invoice, "failed").await?;
    story.books.nothing_about(text(&payment, "/id")?).await?;
    fickle.customer.subscription_is(&fickle.bought, "past_due").await?;
    fickle.customer.mails(story, "did not work", 1).await?;
    active_on_panel(story, fickle, instant(&fickle.bought.detail, "/subscription/period_end")?).await?;
    let said = format!("{}; past due, still served", payment["failure_code"].as_str().unwrap_or("declined"));
    Ok((invoice, said))
}

async fn reminded(
    story: &Story,
    patience: &Patience,
    fickle: &Viewer,
    end: DateTime<Utc>,
) -> anyhow::Result<((), String)> {
    let mut count = 0;
    for at in patience.reminders.iter().filter(|at| **at > TimeDelta::zero()) {
        operator::advance(story, end + *at + TimeDelta::hours(1)).await?;
        count += 1;
        fickle.customer.mails(story, "Overdue", count).await?;
    }
    story.panel.player_is(&fickle.bought.credentials, true).await?;
    story.books.balance().await?;
    Ok(((), format!("{count} mails, still served")))
}

async fn suspended(
    story: &Story,
    patience: &Patience,
    fickle: &Viewer,
    open: &Value,
    end: DateTime<Utc>,
) -> anyhow::Result<((), String)> {
    operator::advance(story, end + patience.grace + TimeDelta::hours(1)).await?;
    fickle.customer.subscription_is(&fickle.bought, "suspended").await?;
    let username = &fickle.bought.credentials.username;
    let wanted = "a line that is there and not active";
    story.panel.line_is(username, wanted, |line| line.is_some_and(|line| line.status != "Active")).await?;
    story.panel.player_is(&fickle.bought.credentials, false).await?;
    fickle.customer.mails(story, "paused until it is paid", 1).await?;
    // A suspension books nothing: what is owed was booked when it was issued.
    story.books.invoice_is_booked(open).await?;
    Ok(((), "the player is refused".to_owned()))
}

async fn paid_late(story: &Story, fickle: &Viewer, open: &Value) -> anyhow::Result<((), String)> {
    let id = text(open, "/id")?;
    let page = fickle.customer.door.post_money(&format!("/invoices/{id}/pay"), &json!({})).await?;
    pay_page(story, text(&page, "/checkout_url")?, GOOD_CARD).await?;
    story.books.payment_is_booked(&fickle.customer.payment_is(open, "succeeded").await?).await?;
    let subscription = fickle.customer.subscription_is(&fickle.bought, "active").await?;
    active_on_panel(story, fickle, instant(&subscription, "/period_end")?).await?;
    story.panel.play(&fickle.bought.credentials).await?;
    Ok(((), "the player is let in again".to_owned()))
}

async fn upgraded(story: &Story, fickle: &Viewer) -> anyhow::Result<((), String)> {
    let (price, connections) = story.monthly("duo").await?;
    let path = format!("/subscriptions/{}", fickle.bought.subscription);
    let door = &fickle.customer.door;
    let quote = door.post(&format!("{path}/change-quote"), &json!({"price_id": price})).await?;
    let changed = door.post_money(&format!("{path}/change"), &json!({"price_id": price})).await?;
    pay_page(story, text(&changed, "/checkout_url")?, GOOD_CARD).await?;
    let invoice = fickle
        .customer
        .newest_invoice(&fickle.bought, "a paid upgrade", |invoice| {
            invoice["purpose"] == "upgrade" && invoice["state"] == "closed"
        })
        .await?;
    anyhow::ensure!(
        invoice["total"] == quote["due_now"],
        "the quote said {}, but the invoice says {}",
        quote["due_now"],
        invoice["total"]
    );
    story.books.invoice_is_booked(&invoice).await?;
    story.books.payment_is_booked(&fickle.customer.payment_is(&invoice, "succeeded").await?).await?;
    let username = &fickle.bought.credentials.username;
    let wanted = format!("an active line with {connections} streams");
    story
        .panel
        .line_is(username, &wanted, |line| {
            line.is_some_and(|line| line.status == "Active" && line.connections == connections)
        })
        .await?;
    story.panel.player_is(&fickle.bought.credentials, true).await?;
    Ok(((), format!("Solo to Duo for {}, {connections} streams", euros(number(&invoice, "/total/minor")?))))
}

async fn refunded(story: &Story, fickle: &Viewer, invoice: &Value) -> anyhow::Result<((), String)> {
    let staff = operator::sign_in(story).await?;
    let payment = fickle.customer.payment_is(invoice, "succeeded").await?;
    let refund = operator::refund(story, &staff, &payment, REFUND_MINOR).await?;
    story.books.refund_is_booked(&refund, &fickle.customer.account, REFUND_MINOR).await?;
    fickle.customer.subscription_is(&fickle.bought, "active").await?;
    story.panel.player_is(&fickle.bought.credentials, true).await?;
    Ok(((), format!("{} back on the card, with a credit note", euros(REFUND_MINOR))))
}

async fn terminated(story: &Story, fickle: &Viewer) -> anyhow::Result<((), String)> {
    let path = format!("/subscriptions/{}/terminate", fickle.bought.subscription);
    story.operator.post(&path, &json!({"reason": "The demo is over"})).await?;
    fickle.customer.subscription_is(&fickle.bought, "ended").await?;
    story.panel.player_is(&fickle.bought.credentials, false).await?;
    let username = &fickle.bought.credentials.username;
    story.panel.line_is(username, "no active line", |line| line.is_none_or(|line| line.status != "Active")).await?;
    fickle.customer.mails(story, "has ended", 1).await?;
    story.books.nothing_about(&fickle.bought.subscription).await?;
    Ok(((), "the player is refused".to_owned()))
}

/// What the story did to recurring revenue: one customer stayed, one grew and left.
async fn mrr_after(story: &Story, good: &Viewer, fickle: &Viewer) -> anyhow::Result<((), String)> {
    let net = |viewer: &Viewer| number(&viewer.bought.detail, "/invoice/subtotal/minor");
    let stayed = story.movements(&good.bought.subscription).await?;
    anyhow::ensure!(
        stayed == [("new".to_owned(), net(good)?)],
        "a renewal should not move MRR beyond the purchase, but it moved by {stayed:?}"
    );
    let left = wait::until("an upgrade and the end among the movements", async || {
        let moved = story.movements(&fickle.bought.subscription).await?;
        let kinds: Vec<&str> = moved.iter().map(|(kind, _)| kind.as_str()).collect();
        Ok(if kinds == ["new", "expansion", "churn"] { Ok(moved) } else { Err(format!("they are {moved:?}")) })
    })
    .await?;
    let sum: i64 = left.iter().map(|(_, delta)| delta).sum();
    anyhow::ensure!(sum == 0, "who left should leave no MRR behind, but the movements {left:?} sum to {sum}");
    story.books.balance().await?;
    Ok(((), euros(story.mrr().await?)))
}

/// The player is let in, and the panel's line is active at least until then.
async fn active_on_panel(story: &Story, viewer: &Viewer, until: DateTime<Utc>) -> anyhow::Result<()> {
    let credentials = &viewer.bought.credentials;
    let wanted = format!("an active line until {until} or later");
    story
        .panel
        .line_is(&credentials.username, &wanted, |line| {
            line.is_some_and(|line| line.status == "Active" && line.expires_at >= until.timestamp())
        })
        .await?;
    story.panel.player_is(credentials, true).await
}

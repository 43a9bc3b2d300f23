//! F20: the wall clock of the real process jumps a day forth and back, and over the night in which clocks go forward.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::books::{assert_no_period_twice, billing, renewals};
use super::faked::Faked;
use crate::shopper::{FICKLE_CARD, GOOD_CARD, Shopper};
use crate::system::until;

/// Whose card works without them.
const GOOD: usize = 3;
/// Whose card does not: more than the brand believes would be suspended in one hour.
const FICKLE: usize = 7;
const BELIEVED: u32 = 5;
/// How often schedulers look after a jump before it counts as noticed. Each process has two.
const LOOKS: u32 = 4;

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A day of a system, and the tables in which its traces are.
struct Night {
    faked: Faked,
    books: PgConnection,
}

impl Night {
    /// Lets the clock jump, and waits until schedulers have looked for work with the new time and nothing is left of it.
    async fn jump(&mut self, to: DateTime<Utc>) {
        self.faked.jump(to).await;
        let books = &mut self.books;
        let mut since: DateTime<Utc> =
            sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&mut *books).await.unwrap();
        for _ in 0..LOOKS {
            since = until("a scheduler to look for work", async || {
                sqlx::query_scalar(
                    "SELECT max(query_start) FROM pg_stat_activity
                      WHERE datname = current_database() AND query LIKE 'WITH RECURSIVE brand%AS waiting_since%' AND query_start > $1",
                )
                .bind(since)
                .fetch_one(&mut *books)
                .await
                .unwrap()
            })
            .await;
        }
        until("nothing to be due, and every charge to have ended", async || {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT (SELECT count(*) FROM due WHERE due_at <= $1)
                      + (SELECT count(*) FROM payment WHERE kind = 'saved' AND state IN ('requested', 'sent', 'pending', 'unknown'))",
            )
            .bind(to)
            .fetch_one(&mut *books)
            .await
            .unwrap();
            (waiting == 0).then_some(())
        })
        .await;
    }

    /// How many subscriptions are in each state.
    async fn states(&mut self) -> Vec<(String, i64)> {
        sqlx::query_as("SELECT state, count(*) FROM subscription GROUP BY state ORDER BY state")
            .fetch_all(&mut self.books)
            .await
            .unwrap()
    }

    /// Orders, all paid by their owners, until each line is on the panel.
    async fn fill(&self) {
        let system = &self.faked.system;
        for (name, card, count) in [("good", GOOD_CARD, GOOD), ("fickle", FICKLE_CARD, FICKLE)] {
            let shopper = Shopper::sign_up(system, name).await;
            let quote = json!({"price_id": shopper.monthly("duo").await, "country": "DE"});
            let mut orders = Vec::new();
            for _ in 0..count {
                orders.push(shopper.buy(&quote, card).await);
            }
            self.faked.deliver().await;
            for order in orders {
                shopper.until_ready(&order).await;
            }
        }
    }

    /// Few suspensions are believed, so that a handful is a mass.
    async fn believe_few(&self) {
        let system = &self.faked.system;
        let mut campaign = system.get("/dunning").await["campaign"].take();
        campaign["halt"] = json!({"count": BELIEVED, "share_percent": 1});
        system.ask(system.http.put(system.url("/dunning")).json(&json!({"campaign": campaign, "version": 0}))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_f20_case_009_a_day_forth_and_back_and_the_night_of_dst_on_a_process_whose_wall_clock_jumps() {
    let (hour, day) = (TimeDelta::hours(1), TimeDelta::days(1));
    // In Berlin the hour after this instant does not exist, and the month of those who buy now ends within it.
    let night = utc("2027-03-28T01:00:00Z");
    let faked = Faked::start("fault-f20", utc("2027-02-28T01:15:00Z")).await;
    let books = billing(&faked.data()).await;
    let mut it = Night { faked, books };
    it.believe_few().await;
    it.fill().await;
    let begun: Vec<(Uuid, DateTime<Utc>)> =
        sqlx::query_as("SELECT id, paid_through FROM subscription ORDER BY id").fetch_all(&mut it.books).await.unwrap();
    assert_eq!(begun.len(), GOOD + FICKLE);

    // Three days before the end renewals are issued: once, whatever the clock does.
    let issue = utc("2027-03-25T03:00:00Z");
    it.jump(issue).await;
    let issued = renewals(&mut it.books).await;
    assert_eq!(
        issued.iter().map(|renewal| renewal.subscription_id).collect::<std::collections::HashSet<_>>().len(),
        begun.len()
    );
    for to in [issue - day, issue, issue + day, issue, issue + day] {
        it.jump(to).await;
        assert_eq!(renewals(&mut it.books).await, issued, "after a jump to {to}");
    }

    // The night: a minute before the hour that is missing, just after it, back again, and past the end of the paid month.
    let before = it.faked.charged().await;
    for to in [night - hour, night + TimeDelta::seconds(30), night - hour, night + hour] {
        it.jump(to).await;
    }
    let renewed = renewals(&mut it.books).await;
    let closed: Vec<_> = renewed.iter().filter(|renewal| renewal.state == "closed").collect();
    assert_eq!((renewed.len(), closed.len()), (issued.len(), GOOD));
    assert!(renewed.iter().all(|renewal| renewal.charges_made == 1), "{renewed:?}");
    for to in [night + hour - day, night + hour, night + hour + day, night + hour] {
        it.jump(to).await;
        assert_eq!(renewals(&mut it.books).await, renewed, "after a jump to {to}");
    }
    let (good, all) = (i64::try_from(GOOD).unwrap(), i64::try_from(GOOD + FICKLE).unwrap());
    let after = it.faked.charged().await;
    assert_eq!(
        (after.0 - before.0, after.1 - before.1),
        (all, good),
        "everybody was charged once, and who pays paid once"
    );
    // No period is lost or shortened by the missing hour: each next one begins where the paid one ends.
    for renewal in &renewed {
        let (_, end) = begun.iter().find(|(id, _)| *id == renewal.subscription_id).unwrap();
        assert_eq!(renewal.period_start, *end);
    }
    let ends: Vec<DateTime<Utc>> = sqlx::query_scalar("SELECT paid_through FROM subscription WHERE periods_paid = 2")
        .fetch_all(&mut it.books)
        .await
        .unwrap();
    assert_eq!(ends.len(), GOOD);
    for end in ends {
        // Half past two of the wall clock in Berlin, as they bought, in summer time.
        assert!((utc("2027-04-28T00:15:00Z")..utc("2027-04-28T00:30:00Z")).contains(&end), "{end}");
    }

    // Everybody whose card does not work would be suspended in one moment after a jump: nobody is, and a person is asked.
    let patience = utc("2027-03-30T20:00:00Z");
    it.jump(patience).await;
    let (past_due, active) = (i64::try_from(FICKLE).unwrap(), i64::try_from(GOOD).unwrap());
    let nobody = vec![("active".to_owned(), active), ("past_due".to_owned(), past_due)];
    assert_eq!(it.states().await, nobody);
    for to in [patience + day, patience, patience + day] {
        it.jump(to).await;
        assert_eq!(it.states().await, nobody, "after a jump to {to}");
    }
    let held = it.faked.system.get("/dunning/held").await;
    assert_eq!((held["items"].as_array().unwrap().len(), held["halted_at"].is_string()), (FICKLE, true), "{held}");

    assert_no_period_twice(&mut it.books).await;
    let findings = it.faked.findings().await;
    assert_eq!(findings, [] as [Value; 0]);
    it.faked.end().await;
}

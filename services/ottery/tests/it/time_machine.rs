//! The time machine on the whole system: nothing reaches the simulated provider or the mail sink while it runs, and the mails it
//! foresees are those that go out when the test clock is moved.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::copy::{Copy, Folder, doctor, free_port};
use crate::system::{System, ottery};

const DAYS: i64 = 34;
const STEP_MINUTES: u32 = 1_440;

impl System {
    /// Mails that arrived and charges that were asked for.
    async fn reached(&self) -> (usize, i64) {
        let mails = self.sandbox(3, "/messages?limit=100000").await["messages"].as_array().unwrap().len();
        (mails, self.charges().await)
    }

    /// Planned and sent mails by template.
    async fn deliveries(&self) -> BTreeMap<String, i64> {
        let (mut found, mut cursor) = (BTreeMap::new(), String::new());
        loop {
            let page = self.get(&format!("/deliveries?limit=100{cursor}")).await;
            for delivery in page["items"].as_array().unwrap() {
                *found.entry(delivery["template"].as_str().unwrap().to_owned()).or_default() += 1;
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_the_time_machine_and_its_mails_are_those_that_go_out() {
    let folder = Folder::new("time-machine");
    let copy = Copy::start(&folder.path(), free_port()).await;
    // Customers of many kinds: paying, declined, suspended, ended.
    let url = format!("http://127.0.0.1:{}", copy.port);
    ottery(&folder.path(), &["demo", "--json", "--purchases", "3", "--url", &url]).await;
    let system = System::of(&folder, copy.port);
    let begins = system.now().await;
    let to = begins + TimeDelta::days(DAYS);

    let before = system.reached().await;
    let (brand, until, step) = (system.person("brand_id"), to.to_rfc3339(), STEP_MINUTES.to_string());
    let arguments =
        ["time-machine", "--json", "--brand", brand, "--to", &until, "--step-minutes", &step, "--assume", "as-before"];
    let foreseen = ottery(&folder.path(), &arguments).await;
    assert_eq!(foreseen["run"]["state"], "done");
    assert_eq!(system.reached().await, before, "somebody noticed");

    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    for entry in foreseen["entries"]["base"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "mail") {
        *expected.entry(entry["outcome"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert!(expected.len() > 1, "a month in which nothing is told proves nothing: {expected:?}");

    let told = system.deliveries().await;
    let mut now = begins;
    while now < to {
        now += TimeDelta::minutes(STEP_MINUTES.into());
        system.advance(now.min(to)).await;
    }
    let mut happened = system.deliveries().await;
    for (template, count) in told {
        *happened.entry(template).or_default() -= count;
    }
    happened.retain(|_, count| *count != 0);
    assert_eq!(expected, happened);
    doctor(&folder.path()).await;
    let (status, _) = copy.end("-TERM").await;
    assert!(status.success(), "{status}");
}

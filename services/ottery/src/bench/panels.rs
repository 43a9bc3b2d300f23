//! Simulated panels of a bench: as many, as slow and as fast as its options say, instead of the demo's own.

use serde_json::{Value, json};

use crate::demo::Story;
use crate::demo::http::{items, text};
use crate::demo::operator;

/// What panels a bench has.
#[derive(Clone, Debug)]
pub struct Panels {
    /// How many.
    pub count: u32,
    /// Calls a second each of them takes.
    pub rate: u32,
    /// Calls at a time each of them gets.
    pub concurrency: u32,
    /// Milliseconds each call takes it.
    pub latency_ms: u32,
    /// The first digits of their keys.
    pub key: String,
}

/// Access code of a bench panel.
pub fn code(n: u32) -> String {
    format!("BENCH{n}")
}

impl Panels {
    /// Their access codes.
    pub fn codes(&self) -> Vec<String> {
        (1..=self.count).map(code).collect()
    }

    /// The key of one of them.
    pub fn key(&self, n: u32) -> String {
        format!("{}{n:04}", self.key)
    }

    /// The table `sandbox` of the settings.
    pub fn settings(&self) -> toml::Table {
        let panel = |n: u32| {
            toml::Value::Table(toml::Table::from_iter([
                ("code".to_owned(), code(n).into()),
                ("api_key".to_owned(), self.key(n).into()),
                ("timezone".to_owned(), "UTC".into()),
                ("rate_per_second".to_owned(), i64::from(self.rate).into()),
                ("rate_burst".to_owned(), i64::from(self.rate).into()),
                (
                    "settings".to_owned(),
                    toml::Table::from_iter([(
                        "latency_ms".to_owned(),
                        toml::Value::Integer(i64::from(self.latency_ms)),
                    )])
                    .into(),
                ),
            ]))
        };
        toml::Table::from_iter([("panels".to_owned(), toml::Value::Array((1..=self.count).map(panel).collect()))])
    }

    /// Switches the demo's own panel off and these on. Panels that follow the brand's test clock are told of it.
    ///
    /// # Errors
    /// The system refuses one.
    pub async fn connect(&self, story: &Story, follow_clock: bool) -> anyhow::Result<()> {
        let staff = operator::sign_in(story).await?;
        for panel in items(&staff.get("/panels").await?)? {
            let id = text(panel, "/id")?;
            staff.put(&format!("/panels/{id}"), &input(panel, false)).await?;
        }
        let sandbox = &story.system.sandbox;
        for n in 1..=self.count {
            let mut panel = json!({
                "name": code(n), "driver": "xui", "base_url": format!("{}/{}", sandbox.player_url(), code(n)),
                "player_url": sandbox.player_url(), "region": "eu", "pool": "main", "time_zone": "UTC", "sandbox": true,
                "rate_per_second": self.rate, "concurrency": self.concurrency, "api_key": self.key(n),
            });
            if follow_clock {
                let clock = format!("{}/control/panels/{}/clock", sandbox.control_url(), code(n));
                panel["sandbox_control_url"] = clock.into();
            }
            let added = staff.post("/panels", &panel).await?;
            staff.post(&format!("/panels/{}/probe", text(&added, "/id")?), &json!({})).await?;
        }
        Ok(())
    }
}

fn input(panel: &Value, enabled: bool) -> Value {
    let keep = [
        "name",
        "driver",
        "base_url",
        "player_url",
        "region",
        "pool",
        "capacity",
        "rate_per_second",
        "concurrency",
        "sandbox",
        "sandbox_control_url",
        "time_zone",
        "version",
    ];
    let mut input = json!({"enabled": enabled});
    for key in keep {
        if !panel[key].is_null() {
            input[key] = panel[key].clone();
        }
    }
    input
}

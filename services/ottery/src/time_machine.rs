//! `ottery time-machine`: asks a running system what would happen to a brand's book, waits, and says it.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Map, Value, json};

use crate::apply::access::{Access, Named, key_of_brand};
use crate::cli::{Assume, TimeMachineOptions};
use crate::demo::http::{self, Door};

/// The data folder of `ottery up` when nothing else is said.
const DATA_DIR: &str = "data";
/// How often the run is looked at.
const PAUSE: Duration = Duration::from_millis(500);
/// Items of one page.
const PAGE: u32 = 100;
/// Differences that are listed for people; all are in the JSON.
const LISTED_MAX: usize = 20;

/// Asks, waits, says.
///
/// # Errors
/// What the system refuses, in its own words, or a run that failed.
pub async fn run(options: TimeMachineOptions) -> anyhow::Result<()> {
    let ask = ask(&options)?;
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let named = Named { url: &options.url, api_key: &options.api_key, data_dir: &options.data_dir };
    let access = Access::find_with(named, &variable, Path::new(DATA_DIR), key_of_brand)?;
    let door = Door::program(&http::client(&[])?, &access.url, access.api_key.expose(), &options.brand);
    let mut run = door.post_money("/time-machine", &ask).await?;
    let path = format!("/time-machine/{}", http::text(&run, "/id")?);
    let mut told = String::new();
    while matches!(run["state"].as_str(), Some("queued" | "running")) {
        let standing = standing(&run);
        if !options.json && standing != told {
            eprintln!("{standing}");
            told = standing;
        }
        tokio::time::sleep(PAUSE).await;
        run = door.get(&path).await?;
    }
    if run["state"] == "failed" {
        anyhow::bail!("{} ({})", text(&run["failure"]), text(&run["failure_code"]));
    }
    let mut result =
        json!({ "run": run, "entries": { "base": all(&door, &format!("{path}/entries?side=base&")).await? } });
    if !result["run"]["other"].is_null() {
        result["entries"]["other"] = all(&door, &format!("{path}/entries?side=other&")).await?.into();
        result["differences"] = all(&door, &format!("{path}/differences?")).await?.into();
    }
    if options.json {
        println!("{result}");
    } else {
        print!("{}", words(&result));
    }
    Ok(())
}

fn ask(options: &TimeMachineOptions) -> anyhow::Result<Value> {
    let assumption = match options.assume {
        Assume::Succeed => json!({ "charges": "succeed" }),
        Assume::AsBefore => json!({ "charges": "as_before" }),
        Assume::Decline => json!({ "charges": "decline", "decline": options.decline.as_str() }),
        Assume::Share => json!({
            "charges": "share", "decline": options.decline.as_str(), "declined_bp": options.declined_percent * 100,
            "seed": options.seed,
        }),
    };
    let scenario = |path: &Path| -> anyhow::Result<Value> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut fields: Map<String, Value> = serde_json::from_str(&text)
            .with_context(|| format!("{} holds no JSON object of settings", path.display()))?;
        // The same assumption on both sides, unless the file has its own.
        fields.entry("assumption").or_insert_with(|| assumption.clone());
        Ok(fields.into())
    };
    let base = match &options.settings {
        Some(path) => scenario(path)?,
        None => json!({ "assumption": assumption }),
    };
    let mut ask = json!({ "to": instant(&options.to)?, "step_minutes": options.step_minutes, "base": base });
    if let Some(path) = &options.compare {
        ask["other"] = scenario(path)?;
    }
    Ok(ask)
}

/// A day, meaning its first instant in UTC, or an instant.
fn instant(text: &str) -> anyhow::Result<String> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(format!("{day}T00:00:00Z"));
    }
    let at = DateTime::parse_from_rfc3339(text).with_context(|| {
        format!("--to: `{text}` is neither a day such as 2026-12-31 nor an instant such as 2026-12-31T12:00:00Z")
    })?;
    Ok(at.with_timezone(&Utc).to_rfc3339())
}

/// Every item of a list.
async fn all(door: &Door, path: &str) -> anyhow::Result<Vec<Value>> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let mut page = door.get(&format!("{path}limit={PAGE}{cursor}")).await?;
        let items = page["items"].as_array_mut().with_context(|| format!("{path} is no list"))?;
        found.append(items);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(found),
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn standing(run: &Value) -> String {
    match (run["state"].as_str(), run["reached"].as_str()) {
        (Some("running"), Some(reached)) => format!("running, it is {reached} there"),
        (state, _) => state.unwrap_or_default().to_owned(),
    }
}

/// Totals and the first differences, for a terminal.
fn words(result: &Value) -> String {
    let run = &result["run"];
    let mut said = format!("{} until {}\n", text(&run["begins"]), text(&run["to"]));
    for total in run["totals"].as_array().into_iter().flatten() {
        let sum = amount(&total["amount"]).map(|sum| format!("  {sum}")).unwrap_or_default();
        said.push_str(&format!(
            "{:<6}{:<11}{:<32}{:>8}{sum}\n",
            text(&total["side"]),
            text(&total["kind"]),
            text(&total["outcome"]),
            total["count"]
        ));
    }
    let Some(differences) = result["differences"].as_array() else { return said };
    said.push_str(&format!("{} differences\n", differences.len()));
    for difference in differences.iter().take(LISTED_MAX) {
        let (base, other) = (&difference["base"], &difference["other"]);
        let either = if base.is_null() { other } else { base };
        said.push_str(&format!(
            "{} {}: {} | {}\n",
            text(&either["kind"]),
            text(&either["key"]),
            entry(base),
            entry(other)
        ));
    }
    if differences.len() > LISTED_MAX {
        said.push_str("… all of them with --json\n");
    }
    said
}

fn entry(entry: &Value) -> String {
    if entry.is_null() {
        return "does not happen".to_owned();
    }
    let sum = amount(&entry["amount"]).map(|sum| format!(" {sum}")).unwrap_or_default();
    format!("{} {}{sum}", text(&entry["at"]), text(&entry["outcome"]))
}

fn amount(money: &Value) -> Option<String> {
    let currency: ottery_kernel::Currency = money["currency"].as_str()?.parse().ok()?;
    Some(ottery_kernel::Money::new(money["minor"].as_i64()?, currency).to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn options(arguments: &[&str]) -> TimeMachineOptions {
        let fixed = ["ottery", "time-machine", "--brand", "brd_1", "--to", "2026-12-31"];
        let cli = Cli::try_parse_from(fixed.iter().chain(arguments)).expect("they parse");
        let Command::TimeMachine(options) = cli.command else { panic!("another command") };
        options
    }

    #[test]
    fn what_is_asked_is_what_was_typed() {
        let plain = ask(&options(&[])).unwrap();
        assert_eq!(plain["to"], "2026-12-31T00:00:00Z");
        assert_eq!(plain["base"], json!({ "assumption": { "charges": "as_before" } }));
        assert!(plain["other"].is_null());
        let share =
            ask(&options(&["--assume", "share", "--declined-percent", "25", "--decline", "hard", "--seed", "7"]));
        let expected = json!({ "charges": "share", "decline": "hard", "declined_bp": 2500, "seed": 7 });
        assert_eq!(share.unwrap()["base"]["assumption"], expected);
    }

    #[test]
    fn settings_of_a_file_have_the_assumption_of_the_command_line_unless_they_say_otherwise() {
        let folder = std::env::temp_dir().join(format!("ottery-time-machine-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("patient.json");
        std::fs::write(&file, r#"{"grace_days": 10}"#).unwrap();
        let compared = ask(&options(&["--assume", "decline", "--compare", file.to_str().unwrap()])).unwrap();
        let assumption = json!({ "charges": "decline", "decline": "soft" });
        assert_eq!(compared["other"], json!({ "grace_days": 10, "assumption": assumption }));
        std::fs::write(&file, "no json").unwrap();
        assert!(ask(&options(&["--compare", file.to_str().unwrap()])).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_day_is_its_first_instant_and_nonsense_is_refused() {
        assert_eq!(instant("2026-12-31").unwrap(), "2026-12-31T00:00:00Z");
        assert_eq!(instant("2026-12-31T12:00:00+01:00").unwrap(), "2026-12-31T11:00:00+00:00");
        assert!(instant("tomorrow").unwrap_err().to_string().contains("2026-12-31"));
    }
}

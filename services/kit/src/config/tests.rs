use std::collections::BTreeMap as Map;

use serde::{Deserialize, Serialize};

use super::*;
use crate::secret::Secret;

const SECTION: Section = Section {
    name: "billing",
    defaults: r#"
# Where to listen.
listen = "127.0.0.1:0"
# Retries before a message is parked.
attempts_max = 4
# Days of the dunning reminders.
reminder_days = [1, 3]
# Names of brands.
names = []
# Whether the relay runs here.
relay = true
# How it rounds.
rounding = "half_up"
# A mail address for alarms.
#alarm_mail = "ops@example.com"
# Addresses of the other services.
[directory]

[database]
# The address, with the password in it.
url = ""
# Connections at most.
connections_max = 5
"#,
};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    listen: String,
    attempts_max: u8,
    reminder_days: Vec<u32>,
    names: Vec<String>,
    relay: bool,
    rounding: ottery_kernel::Rounding,
    alarm_mail: Option<String>,
    directory: Map<String, String>,
    database: Database,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Database {
    url: Secret,
    connections_max: u32,
}

fn file(text: &str) -> (tempfile::TempDir, Sources) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ottery.toml");
    std::fs::write(&path, text).unwrap();
    let sources = Sources::none().with_file(&path).unwrap();
    (folder, sources)
}

fn environment(name: &str, value: &str) -> Sources {
    Sources::none().with_environment([(name, value)]).unwrap()
}

fn refused(sources: &Sources) -> String {
    load::<Settings>(SECTION, sources).unwrap_err().to_string()
}

#[test]
fn defaults_apply_when_nobody_sets_anything() {
    let loaded: Loaded<Settings> = load(SECTION, &Sources::none()).unwrap();
    assert_eq!(loaded.value.attempts_max, 4);
    assert_eq!(loaded.value.alarm_mail, None);
    assert_eq!(loaded.origins["billing.database.connections_max"], Origin::Default);
}

#[test]
fn later_layers_win_and_origins_say_so() {
    let (_folder, sources) =
        file("[billing]\nattempts_max = 5\nrelay = false\n[billing.database]\nurl = 'file'\nconnections_max = 6\n");
    let sources = sources
        .with_environment([
            ("OTTERY_BILLING__DATABASE__URL", "postgres://from-env"),
            ("OTTERY_BILLING__RELAY", "true"),
            ("OTTERY_BILLING__REMINDER_DAYS", "2, 4,8"),
            ("OTTERY_BILLING__NAMES", "[\"a,b\", \"c\"]"),
            ("OTTERY_BILLING__ALARM_MAIL", "me@example.com"),
            ("OTTERY_BILLING__DIRECTORY__CATALOG", "http://catalog:80"),
            ("OTTERY_CATALOG__LISTEN", "someone else's"),
            ("PATH", "/bin"),
        ])
        .unwrap()
        .with_override("billing.database.url", "postgres://embedded");
    let loaded: Loaded<Settings> = load(SECTION, &sources).unwrap();
    let settings = &loaded.value;
    assert_eq!(settings.attempts_max, 5);
    assert!(settings.relay);
    assert_eq!(settings.reminder_days, [2, 4, 8]);
    assert_eq!(settings.names, ["a,b", "c"]);
    assert_eq!(settings.alarm_mail.as_deref(), Some("me@example.com"));
    assert_eq!(settings.directory["catalog"], "http://catalog:80");
    assert_eq!(settings.database.url.expose(), "postgres://embedded");
    assert_eq!(settings.database.connections_max, 6);
    assert_eq!(loaded.origins["billing.database.url"], Origin::Override);
    assert_eq!(loaded.origins["billing.relay"], Origin::Environment("OTTERY_BILLING__RELAY".into()));
    assert!(matches!(&loaded.origins["billing.attempts_max"], Origin::File(_)));
}

#[test]
fn unknown_keys_are_refused_with_source_and_nearest_key() {
    let (_folder, sources) = file("[billing.database]\nconections_max = 6\n");
    let message = refused(&sources);
    assert!(message.contains("`billing.database.conections_max`") && message.contains("ottery.toml"), "{message}");
    assert!(message.contains("did you mean `billing.database.connections_max`?"), "{message}");

    let message = refused(&environment("OTTERY_BILLING__DATABSE__URL", "x"));
    assert!(message.contains("OTTERY_BILLING__DATABSE__URL"), "{message}");
    assert!(message.contains("did you mean `billing.database.url`?"), "{message}");

    let message = refused(&Sources::none().with_override("billing.zzz", 1));
    assert!(message.contains("`billing.zzz`") && !message.contains("did you mean"), "{message}");
}

#[test]
fn wrong_types_are_refused_with_key_and_source_and_without_the_value() {
    let message = refused(&environment("OTTERY_BILLING__ATTEMPTS_MAX", "lots-and-lots"));
    assert!(
        message.contains("`billing.attempts_max` (from environment variable OTTERY_BILLING__ATTEMPTS_MAX)"),
        "{message}"
    );
    assert!(message.contains("a whole number") && !message.contains("lots"), "{message}");
    // A variable cannot smuggle in further keys.
    refused(&environment("OTTERY_BILLING__ATTEMPTS_MAX", "1\nrelay = false"));
    refused(&environment("OTTERY_BILLING__DATABASE", "x"));

    let (_folder, sources) = file("[billing.database]\nurl = 123456\n");
    let message = refused(&sources);
    assert!(message.contains("`billing.database.url`") && !message.contains("123456"), "{message}");
    let (_folder, sources) = file("billing = 5\n");
    assert!(refused(&sources).contains("`billing`"));
}

#[test]
fn values_the_settings_refuse_are_named_too() {
    let message = refused(&environment("OTTERY_BILLING__ROUNDING", "sideways"));
    assert!(message.contains("`billing.rounding` (from environment variable OTTERY_BILLING__ROUNDING)"), "{message}");
    let message = refused(&Sources::none().with_override("billing.attempts_max", 300));
    assert!(message.contains("`billing.attempts_max` (from an override of this command)"), "{message}");
}

#[test]
fn tables_and_variables_of_no_service_are_refused() {
    let check = |sources: &Sources| sources.refuse_unknown(&[SECTION], &["OTTERY_PG_BIN"]).map_err(|e| e.to_string());
    assert_eq!(check(&environment("OTTERY_BILLING__LISTEN", "x")), Ok(()));
    assert_eq!(check(&environment("OTTERY_PG_BIN", "/x")), Ok(()));
    assert_eq!(check(&environment("OTTERY_CONFIG", "/x")), Ok(()));
    let message = check(&environment("OTTERY_BILING__LISTEN", "x")).unwrap_err();
    assert!(
        message.contains("OTTERY_BILING__LISTEN") && message.contains("did you mean `OTTERY_BILLING__`?"),
        "{message}"
    );
    let message = check(&environment("OTTERY_PG_BINS", "x")).unwrap_err();
    assert!(message.contains("did you mean `OTTERY_PG_BIN`?"), "{message}");
    let (_folder, sources) = file("[bilings]\n");
    let message = check(&sources).unwrap_err();
    assert!(message.contains("`bilings`") && message.contains("did you mean `billing`?"), "{message}");
}

#[test]
fn a_broken_file_is_named_by_line_and_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ottery.toml");
    std::fs::write(&path, "[billing]\nlisten = \"a\"\npassword = hunter2\n").unwrap();
    let message = Sources::none().with_file(&path).unwrap_err().to_string();
    assert!(message.contains("line 3") && !message.contains("hunter2"), "{message}");
    assert!(Sources::none().with_file(&folder.path().join("absent")).is_err());
}

#[test]
fn describing_hides_secrets_by_their_type() {
    let sources = environment("OTTERY_BILLING__DATABASE__URL", "postgres://u:hunter2@h/d");
    let loaded: Loaded<Settings> = load(SECTION, &sources).unwrap();
    let lines = loaded.describe(SECTION).unwrap();
    let url = lines.iter().find(|line| line.key == "billing.database.url").unwrap();
    assert_eq!(url.value, "\"••••\"");
    assert_eq!(url.origin, Origin::Environment("OTTERY_BILLING__DATABASE__URL".into()));
    assert!(lines.iter().any(|line| line.key == "billing.attempts_max" && line.value == "4"));
    assert!(!format!("{lines:?} {loaded:?}").contains("hunter2"));
}

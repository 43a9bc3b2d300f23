//! Panels as people enter them.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, PanelId};
use ottery_kit::db::{self, Scope};
use ottery_kit::grpc::{Actor, Problem};
use ottery_kit::secret::Secret;
use ottery_kit::{audit, clock};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::App;
use super::health;
use super::panels::key_place;
use crate::driver::{Catalog, Kind};
use crate::store::panel::{self, Row};
use crate::store::{drift_rule, due};

const NAME_MAX: usize = 80;
const WORD_MAX: usize = 32;
const URL_MAX: usize = 300;
const CAPACITY_MAX: u32 = 10_000_000;
const RATE_MAX: f64 = 10_000.0;
const RATE_DEFAULT: f64 = 5.0;
const CONCURRENCY_MAX: u32 = 64;
const CONCURRENCY_DEFAULT: u32 = 4;
const KEY_MAX: usize = 256;
/// Characters of a key that are shown, and how long it must be so that they give little away.
const HINT: usize = 4;
const HINT_KEY_MIN: usize = 8;

/// A panel as a person enters it.
#[derive(Clone, Debug)]
pub struct Input {
    pub id: Option<PanelId>,
    pub name: String,
    pub driver: String,
    pub base_url: String,
    pub player_url: String,
    pub region: String,
    pub pool: String,
    pub capacity: u32,
    pub rate_per_second: f64,
    pub concurrency: u32,
    pub enabled: bool,
    pub sandbox: bool,
    pub sandbox_control_url: String,
    pub time_zone: String,
    pub api_key: Secret,
    pub expected_version: u64,
    /// Nothing of it stays.
    pub is_dry_run: bool,
}

/// Adds or changes a panel; saying the same again changes nothing.
///
/// # Errors
/// Names the field and the rule; a version that moved on; a name that is taken.
pub async fn put(app: &App, actor: &Actor, brand: BrandId, input: Input) -> Result<Row, Problem> {
    let input = checked(app, input).await?;
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    let now = clock::brand_now(&mut tx, brand, &*app.host.clock).await?;
    let stored = match input.id {
        Some(id) => Some(panel::lock(&mut tx, id).await?.ok_or_else(|| missing(id))?),
        None => None,
    };
    let row = merged(app, brand, stored.as_ref(), &input, now)?;
    if let Some(stored) = stored.as_ref().filter(|stored| says_the_same(stored, &row)) {
        return Ok(stored.clone());
    }
    let before = stored.as_ref().map(audited);
    let written = match &stored {
        Some(_) => panel::update(&mut tx, &row).await,
        None => {
            // A simulated panel of a brand on a test clock starts with that clock.
            let test_clock = clock::test_clock(&mut tx, brand).await?;
            let row = Row { clock_wanted: test_clock.filter(|_| !row.sandbox_control_url.is_empty()), ..row.clone() };
            panel::insert(&mut tx, &row, app.config.drift.every()).await
        }
    };
    written.map_err(|error| match db::is_unique_violation(&error, "panel_brand_id_name_key") {
        true => Problem::exists("PANEL_NAME_TAKEN", "another panel of this brand has this name; choose another")
            .on_field("panel.name"),
        false => error.into(),
    })?;
    audit::append(&mut tx, actor, "panel.update", row.panel_id(), before, Some(audited(&row))).await?;
    panel::look_now(&mut tx, row.panel_id()).await?;
    due::wake_unplaced(&mut tx, brand).await?;
    let row = panel::get(&mut tx, row.panel_id()).await?.ok_or_else(|| missing(row.panel_id()))?;
    if input.is_dry_run {
        tx.rollback().await?;
        return Ok(row);
    }
    tx.commit().await?;
    app.panels.forget(row.id);
    app.panels.key(row.key_id).reset();
    Ok(row)
}

/// Removes a panel.
///
/// # Errors
/// While it has lines; a version that moved on.
pub async fn delete(app: &App, actor: &Actor, brand: BrandId, id: PanelId, expected: u64) -> Result<(), Problem> {
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    let row = panel::lock(&mut tx, id).await?.ok_or_else(|| missing(id))?;
    check_version(&row, expected)?;
    if row.lines > 0 {
        return Err(Problem::refused(
            "PANEL_IN_USE",
            format!(
                "{} lines are on this panel; disable it so that no more come, and move or end these first",
                row.lines
            ),
        )
        .with("lines", row.lines));
    }
    panel::delete(&mut tx, id).await?;
    drift_rule::forget_panel(&mut tx, row.id).await?;
    audit::append(&mut tx, actor, "panel.delete", id, Some(audited(&row)), None).await?;
    tx.commit().await?;
    app.panels.forget(row.id);
    super::drift::forget(app, id);
    Ok(())
}

/// Tests the connection now and stores the result.
///
/// # Errors
/// No such panel; what is wrong with the panel itself is in the row.
pub async fn probe(app: &App, brand: BrandId, id: PanelId) -> Result<Row, Problem> {
    let row = read(app, brand, id).await?;
    let connected = app.panels.connect(&row).map_err(|error| Problem::refused("PANEL_UNUSABLE", error.to_string()))?;
    Ok(health::probe(app, &connected, brand).await?)
}

/// What the panel offers.
///
/// # Errors
/// With the cause and the remedy, when the panel does not say.
pub async fn catalog(app: &App, brand: BrandId, id: PanelId) -> Result<Catalog, Problem> {
    let row = read(app, brand, id).await?;
    let connected = app.panels.connect(&row).map_err(|error| Problem::refused("PANEL_UNUSABLE", error.to_string()))?;
    let place = connected.gate.enter(2).await;
    let catalog = connected.driver.catalog().await;
    drop(place);
    catalog.map_err(|error| {
        Problem::unavailable("PANEL_UNAVAILABLE", format!("{error}. {}", error.remedy())).with("cause", error.code())
    })
}

/// Reads a panel.
///
/// # Errors
/// No such panel.
pub async fn read(app: &App, brand: BrandId, id: PanelId) -> Result<Row, Problem> {
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    let row = panel::get(&mut tx, id).await?.ok_or_else(|| missing(id))?;
    tx.commit().await?;
    Ok(row)
}

fn missing(id: PanelId) -> Problem {
    Problem::not_found("PANEL_NOT_FOUND", format!("there is no panel {id} in this brand"))
}

fn check_version(row: &Row, expected: u64) -> Result<(), Problem> {
    if i64::try_from(expected).is_ok_and(|expected| expected == row.version) {
        return Ok(());
    }
    Err(Problem::conflict("VERSION_CONFLICT", "the panel was changed meanwhile; read it again and repeat")
        .with("version", row.version))
}

/// Whether what people decide about a panel is the same; what was observed does not count.
fn says_the_same(stored: &Row, row: &Row) -> bool {
    let texts = |row: &Row| {
        [
            &row.name,
            &row.driver,
            &row.base_url,
            &row.player_url,
            &row.region,
            &row.pool,
            &row.sandbox_control_url,
            &row.time_zone,
        ]
        .map(Clone::clone)
    };
    // The id of the key is made of the key itself.
    let numbers =
        |row: &Row| (row.capacity, row.rate_per_second, row.concurrency, row.enabled, row.sandbox, row.key_id);
    texts(stored) == texts(row) && numbers(stored) == numbers(row)
}

/// What the audit chain may know.
fn audited(row: &Row) -> Value {
    json!({
        "name": row.name, "driver": row.driver, "base_url": redacted(&row.base_url), "player_url": row.player_url,
        "region": row.region, "pool": row.pool, "capacity": row.capacity, "rate_per_second": row.rate_per_second,
        "concurrency": row.concurrency, "enabled": row.enabled, "sandbox": row.sandbox,
        "api_key": row.api_key_hint, "version": row.version,
    })
}

/// The access code in a panel's address is half a secret.
fn redacted(base_url: &str) -> String {
    Url::parse(base_url).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

fn merged(app: &App, brand: BrandId, stored: Option<&Row>, input: &Input, now: DateTime<Utc>) -> Result<Row, Problem> {
    if let Some(row) = stored {
        check_version(row, input.expected_version)?;
        if row.driver != input.driver && row.lines > 0 {
            return Err(Problem::refused("PANEL_IN_USE", "the kind of a panel cannot change while it has lines")
                .on_field("panel.driver"));
        }
    } else if input.expected_version != 0 {
        return Err(Problem::invalid(
            "expected_version",
            "VERSION_INVALID",
            "a new panel has no version yet; leave it out",
        ));
    }
    let id = stored.map_or_else(|| PanelId::new(now).as_uuid(), |row| row.id);
    let mut row = Row {
        id,
        brand_id: brand.as_uuid(),
        name: input.name.clone(),
        driver: input.driver.clone(),
        base_url: input.base_url.clone(),
        player_url: input.player_url.clone(),
        region: input.region.clone(),
        pool: input.pool.clone(),
        capacity: i32::try_from(input.capacity).unwrap_or(i32::MAX),
        rate_per_second: input.rate_per_second,
        concurrency: i32::try_from(input.concurrency).unwrap_or(1),
        enabled: input.enabled,
        sandbox: input.sandbox,
        sandbox_control_url: input.sandbox_control_url.clone(),
        time_zone: input.time_zone.clone(),
        api_key_sealed: stored.map(|row| row.api_key_sealed.clone()).unwrap_or_default(),
        api_key_hint: stored.map(|row| row.api_key_hint.clone()).unwrap_or_default(),
        key_id: Uuid::nil(),
        version: stored.map_or(1, |row| row.version + 1),
        event_version: stored.map_or(0, |row| row.event_version),
        health: String::new(),
        problem_code: String::new(),
        problem: String::new(),
        remedy: String::new(),
        checked_at: None,
        credits: String::new(),
        clock_skew_ms: 0,
        clock_wanted: stored.and_then(|row| row.clock_wanted),
        clock_told: stored
            .filter(|row| row.sandbox_control_url == input.sandbox_control_url)
            .and_then(|row| row.clock_told),
        created_at: stored.map_or(now, |row| row.created_at),
        updated_at: now,
        lines: 0,
    };
    // Some panels have no key, because they trust our address alone; that is kept like any other key.
    let has_none = row.api_key_sealed.is_empty() && Kind::parse(&input.driver).is_some_and(|kind| kind.key_min() == 0);
    let api_key = if input.api_key.is_empty() && !has_none {
        if row.api_key_sealed.is_empty() {
            return Err(Problem::invalid("api_key", "PANEL_KEY_MISSING", "enter the panel's API key"));
        }
        app.host.keyring.open_text(&key_place(&row), &row.api_key_sealed).map_err(|_| {
            Problem::invalid(
                "api_key",
                "PANEL_KEY_MISSING",
                "the stored API key cannot be opened any more; enter it again",
            )
        })?
    } else {
        row.api_key_sealed = app.host.keyring.seal(&key_place(&row), input.api_key.expose().as_bytes());
        row.api_key_hint = hint(&input.api_key);
        input.api_key.clone()
    };
    // A keyed hash: the same key at the same address is recognised, and nobody can try keys against it.
    let mut named = row.base_url.clone().into_bytes();
    named.push(0);
    named.extend_from_slice(api_key.expose().as_bytes());
    let hash = app.host.keyring.keyed_hash("panel key", &named);
    let mut short = [0; 16];
    short.copy_from_slice(&hash[..16]);
    row.key_id = Uuid::from_bytes(short);
    Ok(row)
}

/// The last characters, where they do not give the key away.
fn hint(key: &Secret) -> String {
    let key = key.expose();
    match key.len() {
        0 => "none".to_owned(),
        length if length < HINT_KEY_MIN => "…".to_owned(),
        length => format!("…{}", key.get(length - HINT..).unwrap_or_default()),
    }
}

async fn checked(app: &App, mut input: Input) -> Result<Input, Problem> {
    let bad = |field: &str, message: String| Err(Problem::invalid(format!("panel.{field}"), "PANEL_INVALID", message));
    let trim = |text: &mut String| *text = text.trim().to_owned();
    for text in [
        &mut input.name,
        &mut input.base_url,
        &mut input.player_url,
        &mut input.region,
        &mut input.pool,
        &mut input.time_zone,
        &mut input.sandbox_control_url,
    ] {
        trim(text);
    }
    if input.name.is_empty() || input.name.chars().count() > NAME_MAX {
        return bad("name", format!("a name has 1 to {NAME_MAX} characters"));
    }
    let Some(kind) = Kind::parse(&input.driver) else {
        return bad("driver", format!("the kind of panel is one of {}", Kind::choices()));
    };
    for (field, word) in [("region", &input.region), ("pool", &input.pool)] {
        let plain = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if word.len() > WORD_MAX || !plain {
            return bad(field, format!("up to {WORD_MAX} lower-case letters, digits and hyphens"));
        }
    }
    if input.capacity > CAPACITY_MAX {
        return bad("capacity", format!("0 (no limit) to {CAPACITY_MAX} lines"));
    }
    if input.rate_per_second == 0.0 {
        input.rate_per_second = RATE_DEFAULT;
    }
    if !(input.rate_per_second > 0.0 && input.rate_per_second <= RATE_MAX) {
        return bad("rate_per_second", format!("more than 0 and up to {RATE_MAX} calls a second"));
    }
    if input.concurrency == 0 {
        input.concurrency = CONCURRENCY_DEFAULT;
    }
    if input.concurrency > CONCURRENCY_MAX {
        return bad("concurrency", format!("1 to {CONCURRENCY_MAX} calls at a time"));
    }
    if input.time_zone.is_empty() {
        "UTC".clone_into(&mut input.time_zone);
    }
    if input.time_zone.parse::<chrono_tz::Tz>().is_err() {
        return bad("time_zone", "an IANA time zone, for example Europe/Berlin".to_owned());
    }
    if !input.sandbox_control_url.is_empty() && !input.sandbox {
        return bad(
            "sandbox_control_url",
            "only a simulated panel has a control address; mark it as sandbox".to_owned(),
        );
    }
    let key = input.api_key.expose();
    let is_fit = (kind.key_min()..=KEY_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if !key.is_empty() && !is_fit {
        let message = format!("an API key has {} to {KEY_MAX} visible ASCII characters", kind.key_min().max(1));
        return Err(Problem::invalid("api_key", "PANEL_INVALID", message));
    }
    match Url::parse(&input.player_url) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty() => {}
        Ok(_) | Err(_) => {
            return bad("player_url", "where players connect, for example http://tv.example:8080".to_owned());
        }
    }
    for (field, url) in [("base_url", &input.base_url), ("sandbox_control_url", &input.sandbox_control_url)] {
        if url.is_empty() && field == "sandbox_control_url" {
            continue;
        }
        if url.len() > URL_MAX {
            return bad(field, format!("an address has up to {URL_MAX} characters"));
        }
        if let Err(refused) = app.http.guard().check_resolved(url).await {
            return bad(field, refused.to_string());
        }
    }
    while input.player_url.ends_with('/') {
        input.player_url.pop();
    }
    Ok(input)
}

//! Panels: connect, test with a diagnosis, switch on and off.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::provisioning::v1 as provisioning;
use ottery_proto::provisioning::v1::Panel;
use ottery_proto::provisioning::v1::panel::Health;

use super::desk::Desk;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Link, Sent, Table, Tone, sentence};
use crate::pages::frame::{Page, Ui, go_done};
use crate::problem::{Refusal, Reply};
use crate::state::AppState;

/// Kinds of panels there are drivers for, as people call them.
const KINDS: [(&str, &str); 3] = [
    ("xui", "XUI.one / XC_VM"),
    ("xui-reseller", "XUI.one / XC_VM, as a reseller"),
    ("xtream", "Xtream Codes / Xtream UI"),
];

fn kind(driver: &str) -> &str {
    KINDS.iter().find(|(code, _)| *code == driver).map_or(driver, |(_, name)| name)
}

/// How a panel is.
#[must_use]
pub fn health(panel: &Panel) -> (Tone, &'static str) {
    match panel.health() {
        _ if !panel.enabled => (Tone::Neutral, "Switched off"),
        Health::Healthy => (Tone::Good, "Healthy"),
        Health::Degraded => (Tone::Warn, "Needs attention"),
        Health::Down => (Tone::Bad, "Down"),
        Health::Unspecified => (Tone::Neutral, "Not tested yet"),
    }
}

/// `GET /staff/b/{brand}/panels`
pub async fn list(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let found = state
        .clients
        .provisioning(&desk.call())
        .list_panels(provisioning::ListPanelsRequest { page: ui.page() })
        .await?
        .into_inner();
    let manner = desk.manner(&state);
    let rows = found.panels.iter().map(|panel| {
        let (tone, word) = health(panel);
        vec![
            Cell::text(&panel.name).to(desk.at(&format!("/panels/{}", panel.id))).note(if panel.sandbox {
                "SANDBOX"
            } else {
                ""
            }),
            Cell::badge(tone, word).note(panel.problem.clone()),
            Cell::text(kind(&panel.driver)),
            Cell::number(if panel.capacity == 0 {
                panel.lines.to_string()
            } else {
                format!("{} of {}", panel.lines, panel.capacity)
            }),
            Cell::text(manner.relative(panel.checked_at.as_ref())),
        ]
    });
    let table = Table::new(
        "",
        &["Panel", "Health", "Kind", "#Lines", "Checked"],
        "Connect the streaming panel on which services are made.",
    )
    .rows(rows)
    .first(Link::new("Add panel", desk.at("/panels/new")))
    .next(&desk.at("/panels"), &found.page.unwrap_or_default().next_cursor);
    desk.show(&ui, Page::new("Panels").action("Add panel", desk.at("/panels/new")).with(Block::Table(table)))
}

fn fields(panel: &Panel) -> Vec<Field> {
    let key = Field::password("api_key", "API key", "off");
    let line = |name: &str, label: &str, value: &str| Field::text(name, label).value(value).half();
    vec![
        line("name", "Name", &panel.name).required(),
        Field::select("driver", "Kind", KINDS.iter().map(|(code, name)| ((*code).into(), (*name).into())).collect())
            .value(if panel.driver.is_empty() { "xui" } else { &panel.driver })
            .half(),
        Field::text("base_url", "Panel's API")
            .value(&panel.base_url)
            .required()
            .example("https://panel.example:8443/AbCdEf")
            .help("With its access code; on Xtream Codes the address of api.php."),
        Field::text("player_url", "Address for players")
            .value(&panel.player_url)
            .required()
            .example("http://tv.example:8080")
            .help("Where customers' players connect."),
        if panel.id.is_empty() {
            key.help("Xtream Codes: its api_pass, or empty when it has none.")
        } else {
            key.help(format!(
                "Stored: {}. Empty keeps it.",
                if panel.api_key_hint.is_empty() { "yes" } else { &panel.api_key_hint }
            ))
        },
        line("pool", "Pool", &panel.pool),
        line("region", "Region", &panel.region),
        line(
            "time_zone",
            "Time zone of the panel's API user",
            if panel.time_zone.is_empty() { "UTC" } else { &panel.time_zone },
        ),
        Field::new("number", "capacity", "Lines at most").value(panel.capacity.to_string()).half().help("0: no limit."),
        Field { kind: "text", ..line("rate_per_second", "Calls a second", &panel.rate_per_second.to_string()) },
        Field::new("number", "concurrency", "Calls at a time").value(panel.concurrency.to_string()).half(),
        Field::check("enabled", "New services may be placed here", panel.enabled),
        Field::check("sandbox", "This is a simulated panel", panel.sandbox),
        line("sandbox_control_url", "Control address (simulated panels only)", &panel.sandbox_control_url),
    ]
}

fn read(sent: &Sent, before: Panel) -> Reply<Panel> {
    Ok(Panel {
        name: sent.text("name"),
        driver: sent.text("driver"),
        base_url: sent.text("base_url"),
        player_url: sent.text("player_url"),
        region: sent.text("region"),
        pool: sent.text("pool"),
        time_zone: sent.text("time_zone"),
        capacity: sent.number("capacity")?,
        rate_per_second: sent.number("rate_per_second")?,
        concurrency: sent.number("concurrency")?,
        enabled: sent.is_on("enabled"),
        sandbox: sent.is_on("sandbox"),
        sandbox_control_url: sent.text("sandbox_control_url"),
        ..before
    })
}

fn new_form(desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let blank = Panel { enabled: true, rate_per_second: 5.0, concurrency: 4, ..Panel::default() };
    let form = Form::new("", desk.at("/panels/new"), "Add and test").fields(fields(&blank)).refused(failed);
    desk.show(ui, Page::new("Add panel").up("Panels", desk.at("/panels")).refused(failed).with(Block::Form(form)))
}

/// `GET /staff/b/{brand}/panels/new`
pub async fn new_page(desk: Desk, ui: Ui) -> Reply<Response> {
    new_form(&desk, &ui, None)
}

/// `POST /staff/b/{brand}/panels/new`
pub async fn create(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let made = async {
        let panel = Some(read(&sent, Panel::default())?);
        let asked = provisioning::PutPanelRequest { panel, api_key: sent.text("api_key"), ..Default::default() };
        Ok::<_, Refusal>(state.clients.provisioning(&desk.call()).put_panel(asked).await?.into_inner())
    };
    match made.await {
        Ok(panel) => test(&state, &desk, &panel.id).await,
        Err(refusal) => new_form(&desk, &ui, Some(&Failed { action: desk.at("/panels/new"), sent, refusal })),
    }
}

async fn test(state: &AppState, desk: &Desk, id: &str) -> Reply<Response> {
    let asked = provisioning::ProbePanelRequest { panel_id: id.to_owned() };
    // The panel is saved whatever the test says; its page shows how it went.
    let call = desk.call().timeout(std::time::Duration::from_secs(35));
    let what = match state.clients.provisioning(&call).probe_panel(asked).await {
        Ok(_) => "tested",
        Err(status) => {
            tracing::warn!(code = ?status.code(), "a panel could not be tested");
            "saved"
        }
    };
    Ok(go_done(&desk.at(&format!("/panels/{id}")), what))
}

async fn load(state: &AppState, desk: &Desk) -> Reply<Panel> {
    let asked = provisioning::GetPanelRequest { panel_id: desk.id.clone() };
    Ok(state.clients.provisioning(&desk.call()).get_panel(asked).await?.into_inner())
}

/// `GET /staff/b/{brand}/panels/{id}`
pub async fn show(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    render(&state, &desk, &ui, None).await
}

async fn render(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let panel = load(state, desk).await?;
    let manner = desk.manner(state);
    let (tone, word) = health(&panel);
    let here = desk.at(&format!("/panels/{}", panel.id));
    let mut page = Page::new(&panel.name)
        .badge(tone, word)
        .up("Panels", desk.at("/panels"))
        .aside("Drift", desk.at(&format!("/drift?panel={}", panel.id)))
        .refused(failed);
    if panel.sandbox {
        page = page.with(Block::note(Tone::Warn, "SANDBOX", "A simulated panel: its lines play a test picture."));
    }
    if !panel.problem.is_empty() {
        page = page.with(Block::note(
            tone,
            sentence(&panel.problem),
            if panel.remedy.is_empty() { String::new() } else { format!("What to do: {}", panel.remedy) },
        ));
    }
    page = page
        .with(Block::facts(
            "",
            vec![
                (
                    "Checked",
                    Cell::text(manner.moment(panel.checked_at.as_ref()))
                        .note(manner.relative(panel.checked_at.as_ref())),
                ),
                (
                    "Lines",
                    Cell::text(if panel.capacity == 0 {
                        panel.lines.to_string()
                    } else {
                        format!("{} of {}", panel.lines, panel.capacity)
                    }),
                ),
                ("Credits", Cell::text(&panel.credits)),
                (
                    "Clock",
                    Cell::text(if panel.clock_skew_ms == 0 {
                        "in step with ours".to_owned()
                    } else {
                        format!("{} ms ahead of ours", panel.clock_skew_ms)
                    }),
                ),
                ("Id", Cell::code(&panel.id).copied()),
            ],
        ))
        .with(Block::Actions(vec![
            Form::new("", format!("{here}/diagnosis"), "Test connection"),
            Form::new("", format!("{here}/delete"), "Delete panel")
                .intro("Only possible while no service lives on it.")
                .field(Field::hidden("expected_version", panel.version.to_string()))
                .tone(Tone::Bad)
                .folded("Delete"),
        ]));
    let asked = provisioning::ListPanelCallsRequest {
        page: Some(ottery_proto::common::v1::PageRequest { cursor: String::new(), limit: 15 }),
        service_id: String::new(),
        panel_id: panel.id.clone(),
    };
    page = match state.clients.provisioning(&desk.call()).list_panel_calls(asked).await {
        Ok(found) => page.with(Block::Table(super::orders::calls("Latest calls", &found.get_ref().calls, &manner))),
        Err(status) => page.with(super::desk::away("Calls", &status.into())),
    };
    let form = Form::new("Settings", here, "Save")
        .field(Field::hidden("expected_version", panel.version.to_string()))
        .fields(fields(&panel))
        .refused(failed);
    desk.show(ui, page.with(Block::Form(form)))
}

/// `POST /staff/b/{brand}/panels/{id}`
pub async fn save(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let here = desk.at(&format!("/panels/{}", desk.id));
    let saved = async {
        let panel = Some(read(&sent, load(&state, &desk).await?)?);
        let asked = provisioning::PutPanelRequest {
            panel,
            api_key: sent.text("api_key"),
            expected_version: sent.number("expected_version")?,
            dry_run: false,
        };
        Ok::<_, Refusal>(state.clients.provisioning(&desk.call()).put_panel(asked).await?)
    };
    match saved.await {
        Ok(_) => Ok(go_done(&here, "saved")),
        Err(refusal) => render(&state, &desk, &ui, Some(&Failed { action: here, sent, refusal })).await,
    }
}

/// `POST /staff/b/{brand}/panels/{id}/delete`
pub async fn delete(State(state): State<AppState>, desk: Desk, Body(sent): Body<Sent>) -> Reply<Response> {
    let asked = provisioning::DeletePanelRequest {
        panel_id: desk.id.clone(),
        expected_version: sent.number("expected_version")?,
    };
    state.clients.provisioning(&desk.call()).delete_panel(asked).await?;
    Ok(go_done(&desk.at("/panels"), "deleted"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saving_a_panel_as_it_is_shown_leaves_its_kind() {
        for (driver, _) in KINDS {
            let panel = Panel { driver: driver.to_owned(), ..Panel::default() };
            let field = fields(&panel).into_iter().find(|field| field.name == "driver").unwrap();
            assert_eq!(field.value, driver);
            assert!(field.options.iter().any(|(code, _)| code == driver), "{driver}");
        }
    }
}

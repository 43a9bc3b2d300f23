//! Resellers: who they are, whether they pay, whose customers their clients are.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::Reseller;
use ottery_proto::billing::v1::reseller::Standing;

use super::desk::Desk;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go_done};
use crate::pages::text::{self, Manner};
use crate::problem::{Refusal, Reply};
use crate::state::AppState;

fn standing(reseller: &Reseller, manner: &Manner) -> Cell {
    let until = || manner.moment(reseller.until.as_ref());
    match reseller.standing() {
        Standing::Fine => Cell::badge(Tone::Good, "Paid"),
        Standing::Overdue => Cell::badge(Tone::Warn, "Overdue").note(format!("clients are served until {}", until())),
        Standing::Lapsed => Cell::badge(Tone::Bad, "Clients not served").note(format!("since {}", until())),
        Standing::Unspecified => Cell::text(""),
    }
}

fn grace_field(value: impl ToString) -> Field {
    Field {
        inputmode: "numeric",
        ..Field::text("grace_days", "Days clients are served while the reseller does not pay")
    }
    .required()
    .value(value.to_string())
    .help("0 to 365, from the due date of the oldest open invoice.")
}

fn grace(sent: &Sent) -> Reply<u32> {
    sent.get("grace_days")
        .parse()
        .map_err(|_| Refusal::invalid("grace_days", "grace_days", "write a whole number of days, 0 to 365"))
}

/// `GET /staff/b/{brand}/resellers`
pub async fn list(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    render_list(&state, &desk, &ui, None).await
}

async fn render_list(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let asked = billing::ListResellersRequest { page: ui.page() };
    let found = state.clients.resellers(&desk.call()).list_resellers(asked).await?.into_inner();
    let manner = desk.manner(state);
    let rows = found.resellers.iter().map(|reseller| {
        vec![
            Cell::text(&reseller.email)
                .to(desk.at(&format!("/resellers/{}", reseller.account_id)))
                .note(reseller.name.clone()),
            standing(reseller, &manner),
            Cell::text(text::counted(u64::from(reseller.grace_days), "day")),
            Cell::number(reseller.clients.to_string()),
        ]
    });
    let table = Table::new(
        "",
        &["Reseller", "State", "Grace", "#Clients"],
        "A reseller is a customer who sells on. While they do not pay, their clients are served for a grace.",
    )
    .rows(rows)
    .next(&desk.at("/resellers"), &found.page.unwrap_or_default().next_cursor);
    let mut page = Page::new("Resellers").refused(failed).with(Block::Table(table));
    if desk.may("account.manage") {
        let form = Form::new("", desk.at("/resellers"), "Make a reseller")
            .field(
                Field::text("account_id", "Customer")
                    .example("acc_…")
                    .required()
                    .help("The id on the customer's page."),
            )
            .field(grace_field(14))
            .folded("New reseller")
            .refused(failed);
        page = page.with(Block::Form(form));
    }
    desk.show(ui, page)
}

/// `POST /staff/b/{brand}/resellers`
pub async fn create(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let made = async {
        let asked = billing::PutResellerRequest { account_id: sent.text("account_id"), grace_days: grace(&sent)? };
        Ok::<_, Refusal>(state.clients.resellers(&desk.call()).put_reseller(asked).await?.into_inner())
    };
    match made.await {
        Ok(made) => Ok(go_done(&desk.at(&format!("/resellers/{}", made.account_id)), "saved")),
        Err(refusal) => {
            render_list(&state, &desk, &ui, Some(&Failed { action: desk.at("/resellers"), sent, refusal })).await
        }
    }
}

fn address(desk: &Desk) -> String {
    desk.at(&format!("/resellers/{}", desk.id))
}

/// `GET /staff/b/{brand}/resellers/{id}`
pub async fn show(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    render(&state, &desk, &ui, None).await
}

async fn render(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let call = desk.call();
    let asked = billing::GetResellerRequest { account_id: desk.id.clone() };
    let reseller = state.clients.resellers(&call).get_reseller(asked).await?.into_inner();
    let asked = billing::ListClientsRequest { reseller_id: desk.id.clone(), page: ui.page() };
    let found = state.clients.resellers(&call).list_clients(asked).await?.into_inner();
    let (manner, here) = (desk.manner(state), address(desk));
    let customer = desk.at(&format!("/customers/{}", reseller.account_id));
    let mut facts = vec![
        ("Name", Cell::text(&reseller.name)),
        ("State", standing(&reseller, &manner)),
        ("Grace", Cell::text(text::counted(u64::from(reseller.grace_days), "day"))),
        ("Clients", Cell::text(reseller.clients.to_string())),
    ];
    if reseller.overdue_since.is_some() {
        facts.insert(2, ("Overdue since", Cell::text(manner.moment(reseller.overdue_since.as_ref()))));
    }
    let rows = found.clients.iter().map(|client| {
        vec![
            Cell::text(&client.email)
                .to(desk.at(&format!("/customers/{}", client.account_id)))
                .note(client.name.clone()),
            if client.stopped == 0 {
                Cell::badge(Tone::Good, "Served")
            } else {
                let count = text::counted(client.stopped, "subscription");
                Cell::badge(Tone::Bad, "Not served").note(format!("{count}, because of the reseller"))
            },
            Cell::text(manner.date(client.since.as_ref())),
        ]
    });
    let clients = Table::new("Clients", &["Customer", "State", "Since"], "Nobody is their client yet.")
        .rows(rows)
        .next(&here, &found.page.unwrap_or_default().next_cursor);
    let mut page = Page::new(&reseller.email)
        .up("Resellers", desk.at("/resellers"))
        .aside("As a customer", customer)
        .refused(failed)
        .with(Block::facts("", facts))
        .with(Block::Table(clients));
    if desk.may("account.manage") {
        for form in forms(&reseller, &here) {
            page = page.with(Block::Form(form.refused(failed)));
        }
    }
    desk.show(ui, page)
}

fn forms(reseller: &Reseller, here: &str) -> [Form; 4] {
    let client = || Field::text("account_id", "Customer").example("acc_…").required();
    [
        Form::new("", format!("{here}/clients"), "Add")
            .intro("From now on the customer is served only while this reseller pays.")
            .field(client())
            .folded("Add a client"),
        Form::new("", format!("{here}/clients/remove"), "Take away")
            .intro("The customer becomes yours, and is served whether or not the reseller pays.")
            .field(client())
            .folded("Take a client away"),
        Form::new("", format!("{here}/grace"), "Save")
            .field(grace_field(reseller.grace_days))
            .folded("Change the grace"),
        Form::new("", format!("{here}/remove"), "Make an ordinary customer")
            .field(
                Field::text("clients_to", "Clients go to")
                    .value("operator")
                    .help("“operator” makes them your customers; or the id of another reseller."),
            )
            .tone(Tone::Bad)
            .folded("Remove the reseller"),
    ]
}

async fn answer(
    state: &AppState,
    desk: &Desk,
    ui: &Ui,
    sent: Sent,
    path: &str,
    done: Reply<String>,
) -> Reply<Response> {
    match done {
        Ok(next) => Ok(go_done(&next, "saved")),
        Err(refusal) => {
            let action = format!("{}/{path}", address(desk));
            render(state, desk, ui, Some(&Failed { action, sent, refusal })).await
        }
    }
}

async fn assign(state: &AppState, desk: &Desk, sent: &Sent, reseller_id: String) -> Reply<String> {
    let asked = billing::AssignClientRequest { account_id: sent.text("account_id"), reseller_id };
    state.clients.resellers(&desk.call()).assign_client(asked).await?;
    Ok(address(desk))
}

/// `POST /staff/b/{brand}/resellers/{id}/clients`
pub async fn add(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let done = assign(&state, &desk, &sent, desk.id.clone()).await;
    answer(&state, &desk, &ui, sent, "clients", done).await
}

/// `POST /staff/b/{brand}/resellers/{id}/clients/remove`
pub async fn take(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let done = assign(&state, &desk, &sent, String::new()).await;
    answer(&state, &desk, &ui, sent, "clients/remove", done).await
}

/// `POST /staff/b/{brand}/resellers/{id}/grace`
pub async fn change(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let done = async {
        let asked = billing::PutResellerRequest { account_id: desk.id.clone(), grace_days: grace(&sent)? };
        state.clients.resellers(&desk.call()).put_reseller(asked).await?;
        Ok(address(&desk))
    };
    let done = done.await;
    answer(&state, &desk, &ui, sent, "grace", done).await
}

/// `POST /staff/b/{brand}/resellers/{id}/remove`
pub async fn remove(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let asked = billing::RemoveResellerRequest { account_id: desk.id.clone(), clients_to: sent.text("clients_to") };
    let done = match state.clients.resellers(&desk.call()).remove_reseller(asked).await {
        Ok(_) => Ok(desk.at("/resellers")),
        Err(status) => Err(status.into()),
    };
    answer(&state, &desk, &ui, sent, "remove", done).await
}

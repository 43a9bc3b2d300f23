//! Customers.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::customer_invoicing::Consolidation;
use ottery_proto::billing::v1::merge_customers_reply::BillingAddress;
use ottery_proto::identity::v1 as identity;
use ottery_proto::provisioning::v1 as provisioning;

use super::desk::{Desk, away};
use crate::api::accounts::{MergeInput, merge_into};
use crate::limits::Form as Body;
use crate::pages::account::{billing_address, stage, vat_fact};
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go_done, quoted};
use crate::pages::text::Manner;
use crate::problem::Reply;
use crate::state::AppState;

/// `GET /staff/b/{brand}/customers?query=…`
pub async fn customers(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let query = ui.query.text("query");
    let asked = identity::ListAccountsRequest {
        page: ui.page(),
        query: query.clone(),
        realm: identity::Realm::Customer.into(),
    };
    let found = state.clients.identity(&desk.call()).list_accounts(asked).await?.into_inner();
    let manner = desk.manner(&state);
    let rows = found.accounts.iter().map(|account| {
        vec![
            Cell::text(&account.email)
                .to(desk.at(&format!("/customers/{}", account.id)))
                .note(account.display_name.clone()),
            if account.email_verified {
                Cell::badge(Tone::Good, "Confirmed")
            } else {
                Cell::badge(Tone::Neutral, "Not confirmed")
            },
            Cell::text(&account.country),
            Cell::text(manner.date(account.created_at.as_ref())),
        ]
    });
    let empty = if query.is_empty() {
        "No customers yet.".to_owned()
    } else {
        format!("Nobody's address begins with “{query}”.")
    };
    let base = format!("{}?query={}", desk.at("/customers"), quoted(&query));
    let table = Table::new("", &["Customer", "E-mail", "Country", "Since"], empty)
        .rows(rows)
        .next(&base, &found.page.unwrap_or_default().next_cursor);
    let mut search = Form::new("", desk.at("/customers"), "Search")
        .tone(Tone::Info)
        .field(Field::text("query", "Beginning of the e-mail address").value(query));
    search.is_get = true;
    desk.show(&ui, Page::new("Customers").with(Block::Form(search)).with(Block::Table(table)))
}

/// `GET /staff/b/{brand}/customers/{id}`
pub async fn customer(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    render(&state, &desk, &ui, None).await
}

/// `POST /staff/b/{brand}/customers/{id}/merge`
pub async fn merge(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let input = MergeInput { into_account_id: sent.text("into_account_id"), reason: sent.text("reason") };
    let merged = async { merge_into(&state, &desk.caller, sent.key()?, desk.id.clone(), input).await };
    match merged.await {
        Ok(merged) => {
            let done = match merged.billing_address() {
                BillingAddress::Moved => "merged-address",
                BillingAddress::Kept => "merged-own-address",
                BillingAddress::None | BillingAddress::Unspecified => "merged",
            };
            Ok(go_done(&desk.at(&format!("/customers/{}", sent.get("into_account_id"))), done))
        }
        Err(refusal) if refusal.is("reauth_required") => Err(refusal),
        Err(refusal) => {
            let action = desk.at(&format!("/customers/{}/merge", desk.id));
            render(&state, &desk, &ui, Some(&Failed { action, sent, refusal })).await
        }
    }
}

async fn render(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let call = desk.call();
    let manner = desk.manner(state);
    let account = state
        .clients
        .identity(&call)
        .get_account(identity::GetAccountRequest { account_id: desk.id.clone() })
        .await?
        .into_inner();
    let (mut one, mut two, mut three) =
        (state.clients.billing(&call), state.clients.billing(&call), state.clients.billing(&call));
    let mut provisioning = state.clients.provisioning(&call);
    let id = || desk.id.clone();
    let (subscriptions, orders, invoices, services) = tokio::join!(
        one.list_subscriptions(billing::ListSubscriptionsRequest { page: None, account_id: id() }),
        two.list_orders(billing::ListOrdersRequest { page: None, account_id: id() }),
        three.list_invoices(billing::ListInvoicesRequest {
            page: None,
            account_id: id(),
            subscription_id: String::new()
        }),
        provisioning.list_services(provisioning::ListServicesRequest {
            page: None,
            account_id: id(),
            panel_id: String::new()
        }),
    );
    let mut page = Page::new(&account.email).up("Customers", desk.at("/customers")).refused(failed).with(Block::facts(
        "",
        vec![
            ("Name", Cell::text(&account.display_name)),
            (
                "E-mail address",
                if account.email_verified {
                    Cell::badge(Tone::Good, "Confirmed")
                } else {
                    Cell::badge(Tone::Neutral, "Not confirmed")
                },
            ),
            ("Country", Cell::text(&account.country)),
            ("Second factor", Cell::text(if account.totp_enrolled { "on" } else { "off" })),
            ("Since", Cell::text(manner.moment(account.created_at.as_ref()))),
            ("Id", Cell::code(&account.id).copied()),
        ],
    ));
    page = page.aside("Wallet", desk.at(&format!("/customers/{}/wallet", desk.id)));
    if desk.may("order.read") {
        page = page.aside("Trials", desk.at(&format!("/customers/{}/trials", desk.id)));
    }
    if desk.may("invoice.manage") {
        page = page.action("New invoice", desk.at(&format!("/customers/{}/invoices/new", account.id)));
    }
    if desk.may("invoice.read")
        && let Some(address) = billing_address(state, &desk.caller, &account.id).await?
    {
        page = page.with(Block::facts("Billing address", billed_to(&address, &manner)));
        if !address.vat_number.is_empty() && desk.may("order.manage") {
            page = page.with(Block::Form(decision_form(desk)));
        }
    }
    page = match subscriptions {
        Ok(found) => page.with(Block::Table(super::subscriptions::table(
            "Subscriptions",
            &found.get_ref().subscriptions,
            desk,
            &manner,
        ))),
        Err(status) => page.with(away("Subscriptions", &status.into())),
    };
    if desk.may("invoice.read") {
        let asked = billing::ListPaymentMethodsRequest { account_id: id() };
        page = match state.clients.billing(&call).list_payment_methods(asked).await {
            Ok(found) => page.with(Block::Table(methods_table(&found.get_ref().methods, &manner))),
            Err(status) => page.with(away("Payment methods", &status.into())),
        };
    }
    page = match services {
        Ok(found) => {
            let rows = found.get_ref().services.iter().map(|service| {
                let (tone, word, _) = stage(service);
                vec![
                    Cell::code(&service.username).note(service.id.clone()),
                    Cell::badge(tone, word).note(service.status_text.clone()),
                    Cell::text(&service.panel_name).to(desk.at(&format!("/panels/{}", service.panel_id))),
                    Cell::text(if service.order_id.is_empty() { "" } else { "Order" })
                        .to(desk.at(&format!("/orders/{}", service.order_id))),
                ]
            });
            page.with(Block::Table(
                Table::new("Services", &["User name", "State", "Panel", ""], "No services.").rows(rows),
            ))
        }
        Err(status) => page.with(away("Services", &status.into())),
    };
    page = match orders {
        Ok(found) => page.with(Block::Table(super::orders::table("Orders", &found.get_ref().orders, desk, &manner))),
        Err(status) => page.with(away("Orders", &status.into())),
    };
    page = match invoices {
        Ok(found) => {
            page.with(Block::Table(super::invoices::table("Invoices", &found.get_ref().invoices, desk, &manner)))
        }
        Err(status) => page.with(away("Invoices", &status.into())),
    };
    if desk.may("invoice.manage") {
        let asked = billing::GetCustomerInvoicingRequest { account_id: desk.id.clone() };
        // Whoever never bought anything is billed nothing.
        if let Ok(found) = state.clients.billing(&call).get_customer_invoicing(asked).await {
            page = page.with(Block::Form(invoicing_form(desk, found.get_ref())));
        }
    }
    if desk.may("account.manage") {
        let form = Form::new("", desk.at(&format!("/customers/{}/merge", desk.id)), "Merge")
            .intro("For one person with two accounts: subscriptions, invoices, saved methods and money go to the other one. Invoices keep the name they were issued to. This cannot be undone.")
            .field(Field::text("into_account_id", "Into the customer").example("acc_…").required())
            .field(Field::text("reason", "Reason").required())
            .tone(Tone::Bad)
            .keyed()
            .folded("Merge into another customer")
            .refused(failed);
        page = page.with(Block::Form(form));
    }
    desk.show(ui, page)
}

fn methods_table(methods: &[billing::PaymentMethod], manner: &Manner) -> Table {
    let rows = methods.iter().map(|one| {
        let label = Cell::text(&one.label);
        let until = Cell::text(if one.expires_on.is_empty() { "Does not expire" } else { one.expires_on.as_str() });
        let told = one.expiry_told_at.as_ref();
        vec![
            if one.default_method { label.note("Charged when nothing else is said") } else { label },
            if told.is_some() { until.note(format!("Told on {}", manner.date(told))) } else { until },
            Cell::text(manner.date(one.created_at.as_ref())),
        ]
    });
    Table::new("Payment methods", &["Method", "Good until", "Saved"], "No method is saved.").rows(rows)
}

fn billed_to(address: &billing::BillingAddress, manner: &Manner) -> Vec<(&'static str, Cell)> {
    let mut lines = address.lines.clone();
    lines.extend([&address.postal_code, &address.city, &address.region, &address.country].map(String::clone));
    lines.retain(|line| !line.is_empty());
    let mut facts = vec![
        ("Company", Cell::text(&address.company)),
        ("Address", Cell::text(lines.join(", ")).note(format!("Given by {}", address.source))),
    ];
    if let Some(known) = vat_fact(address, manner) {
        facts.extend([("VAT number", Cell::code(&address.vat_number).copied()), ("State", known)]);
    }
    facts
}

fn decision_form(desk: &Desk) -> Form {
    let answers = [("valid", "It is valid"), ("invalid", "It is not valid")];
    let answers = answers.map(|(value, label)| (value.to_owned(), label.to_owned())).to_vec();
    Form::new("", desk.at(&format!("/customers/{}/vat", desk.id)), "Decide")
        .intro("For numbers no service validates. What you write down here is the proof for invoices without tax.")
        .field(Field::select("decision", "What you found", answers).half())
        .field(
            Field::text("reference", "Where you looked it up")
                .help("Such as the number of the register's answer.")
                .half(),
        )
        .folded("Decide on the VAT number")
}

/// `POST /staff/b/{brand}/customers/{id}/vat`
pub async fn decide_vat(State(state): State<AppState>, desk: Desk, Body(sent): Body<Sent>) -> Reply<Response> {
    let asked = billing::DecideVatNumberRequest {
        account_id: desk.id.clone(),
        valid: sent.get("decision") == "valid",
        reference: sent.text("reference"),
    };
    state.clients.billing(&desk.call()).decide_vat_number(asked).await?;
    Ok(go_done(&desk.at(&format!("/customers/{}", desk.id)), "saved"))
}

const CONSOLIDATIONS: [(&str, &str, Consolidation); 3] = [
    ("brand", "as the brand's rules say", Consolidation::Brand),
    ("always", "always", Consolidation::Always),
    ("never", "never", Consolidation::Never),
];

fn invoicing_form(desk: &Desk, found: &billing::CustomerInvoicing) -> Form {
    let chosen = CONSOLIDATIONS.iter().find(|(.., choice)| *choice == found.consolidation());
    let choices = CONSOLIDATIONS.map(|(value, label, _)| (value.to_owned(), label.to_owned())).to_vec();
    Form::new("", desk.at(&format!("/customers/{}/invoicing", desk.id)), "Save")
        .intro("From the next renewal on; what is issued stays as it is.")
        .field(
            Field::select("consolidation", "One invoice for renewals that are due on one day", choices)
                .value(chosen.map_or("brand", |(value, ..)| *value)),
        )
        .folded("How they are billed")
}

/// `POST /staff/b/{brand}/customers/{id}/invoicing`
pub async fn put_invoicing(State(state): State<AppState>, desk: Desk, Body(sent): Body<Sent>) -> Reply<Response> {
    let chosen = CONSOLIDATIONS.iter().find(|(value, ..)| *value == sent.get("consolidation"));
    let consolidation = chosen.map_or(Consolidation::Unspecified, |(.., choice)| *choice);
    let asked =
        billing::PutCustomerInvoicingRequest { account_id: desk.id.clone(), consolidation: consolidation.into() };
    state.clients.billing(&desk.call()).put_customer_invoicing(asked).await?;
    Ok(go_done(&desk.at(&format!("/customers/{}", desk.id)), "saved"))
}

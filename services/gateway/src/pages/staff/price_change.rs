//! Giving existing customers the price of today: shown first, then announced.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::catalog::v1::Plan;

use super::desk::Desk;
use super::plans::load;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Field, Form, Sent, Table};
use crate::pages::frame::{Page, Ui, go_done};
use crate::pages::text::{self, Manner};
use crate::problem::Reply;
use crate::state::AppState;

/// Asks which price, after which notice, and who keeps the old one; none for a plan without prices.
#[must_use]
pub fn ask_form(plan: &Plan, here: &str, manner: &Manner) -> Option<Form> {
    let prices = &plan.current.as_ref()?.prices;
    let options: Vec<(String, String)> = prices
        .iter()
        .map(|price| {
            let amount = manner.money(price.amount.as_ref());
            (price.id.clone(), format!("{amount} per {}", text::per(price.term.as_ref())))
        })
        .collect();
    if options.is_empty() {
        return None;
    }
    let mut form = Form::new("", format!("{here}/price-change"), "See who pays what and when")
        .intro(
            "For everybody who has another price of this term and currency: from the first renewal after the notice.",
        )
        .field(Field::select("price", "Price", options))
        .field(Field::new("number", "notice_days", "Days of notice").value("30").required().half())
        .field(Field::text("keep", "Subscriptions that keep their price").example("sub_…, sub_…").half())
        .field(Field::text("only", "Only these subscriptions").example("sub_…, sub_…").half())
        .field(Field::text("from", "Only this version of the plan").example("plv_…").half())
        .field(
            Field::check("end_promises", "Also who was promised to keep the price", false)
                .help("The promise is over with the notice; they get the same mail and can cancel."),
        )
        .folded("Give existing customers this price");
    form.is_get = true;
    Some(form)
}

fn request(sent: &Sent, dry_run: bool) -> Reply<billing::ChangePriceRequest> {
    Ok(billing::ChangePriceRequest {
        to_price_id: sent.text("price"),
        notice_days: sent.number("notice_days")?,
        keep_subscription_ids: sent.list("keep"),
        dry_run,
        from_plan_version_id: sent.text("from"),
        subscription_ids: sent.list("only"),
        end_promises: sent.is_on("end_promises"),
    })
}

/// `GET …/plans/{id}/price-change?price=…&notice_days=…&keep=…`
pub async fn preview(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let asked = request(&ui.query, true)?;
    let notice = text::counted(u64::from(asked.notice_days), "day");
    let reply = state.clients.billing(&desk.call()).change_price(asked).await?.into_inner();
    let manner = desk.manner(&state);
    let plan = load(&state, &desk).await?;
    let here = desk.at(&format!("/plans/{}", plan.id));
    let rows = reply.rows.iter().map(|row| {
        let when = match &row.effective_at {
            Some(at) => manner.date(Some(at)),
            None => "keeps its price".to_owned(),
        };
        let when = if row.was_promised { format!("{when} (was promised its price)") } else { when };
        vec![
            Cell::code(&row.subscription_id).to(desk.at(&format!("/subscriptions/{}", row.subscription_id))),
            Cell::text("Customer").to(desk.at(&format!("/customers/{}", row.account_id))),
            Cell::text(when),
            Cell::number(manner.money(row.old_price.as_ref())),
            Cell::number(manner.money(row.new_price.as_ref())),
        ]
    });
    let columns = ["Subscription", "Customer", "From the renewal on", "#Now", "#Then"];
    let table = Table::new("", &columns, "Nobody has another price of this term and currency.").rows(rows);
    let mut page = Page::new("Give existing customers this price")
        .intro(format!("Nothing has happened yet. Each of them gets a mail, {notice} before at least, and can cancel."))
        .up("Plan", here.clone())
        .with(Block::Table(table));
    if !reply.rows.is_empty() {
        let kept = ["price", "notice_days", "keep", "only", "from", "end_promises"]
            .map(|name| Field::hidden(name, ui.query.get(name)));
        let form = Form::new("", format!("{here}/price-change"), "Announce it").fields(kept);
        page = page.with(Block::Form(if reply.more {
            form.intro("There are more than fit here; announce these, then come back for the others.")
        } else {
            form
        }));
    }
    desk.show(&ui, page)
}

/// `POST …/plans/{id}/price-change`
pub async fn announce(State(state): State<AppState>, desk: Desk, Body(sent): Body<Sent>) -> Reply<Response> {
    state.clients.billing(&desk.call()).change_price(request(&sent, false)?).await?;
    Ok(go_done(&desk.at(&format!("/plans/{}", desk.id)), "announced"))
}

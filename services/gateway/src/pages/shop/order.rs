//! The page after the payment: live steps, then access. Works by itself over SSE, and by reloading without a script.

use std::convert::Infallible;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use ottery_proto::billing::v1 as billing;
use ottery_proto::provisioning::v1 as provisioning;
use tokio::sync::broadcast::error::RecvError;

use super::checkout::leave;
use super::steps::{Outcome, Progress};
use crate::brand::Brand;
use crate::csrf;
use crate::idempotency::IdempotencyKey;
use crate::limits::{self, Form as Body};
use crate::pages::account::methods;
use crate::pages::block::{Block, Cell, Form, Sent, Step, Tone};
use crate::pages::frame::{Frame, Page, Ui, draw, manner};
use crate::pages::text::Manner;
use crate::problem::{Refusal, Reply};
use crate::session::{Caller, Customer};
use crate::state::AppState;

/// Looked at again without a hint this often.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// A stream that saw nothing to the end closes; the browser opens another.
const WATCHED_FOR: Duration = Duration::from_secs(600);
/// Pause between two looks, however many hints come.
const REST: Duration = Duration::from_millis(150);

/// An order's page.
#[derive(Template)]
#[template(path = "order.html", blocks = ["live_steps"])]
pub struct OrderPage {
    frame: Frame,
    page: Page,
    headline: String,
    lead: String,
    steps: Vec<Step>,
    /// Where the steps come from as they happen; empty when nothing happens any more.
    live: String,
}

async fn load(state: &AppState, caller: &Caller, id: &str) -> Reply<Progress> {
    let call = caller.call();
    let asked = billing::GetOrderRequest { order_id: id.to_owned() };
    let detail = state.clients.billing(&call).get_order(asked).await?.into_inner();
    let asked = provisioning::GetServiceRequest { order_id: id.to_owned(), ..Default::default() };
    let service = match state.clients.provisioning(&call).get_service(asked).await {
        Ok(service) => Some(service.into_inner()),
        // Not there yet, or away for a moment: the order page shows what is known.
        Err(status) => {
            if status.code() != tonic::Code::NotFound {
                tracing::warn!(code = ?status.code(), "an order is shown without its service");
            }
            None
        }
    };
    Ok(Progress { detail, service })
}

const fn is_over(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Ready | Outcome::Cancelled | Outcome::Declined)
}

/// `GET /orders/{id}`
pub async fn show(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Path(id): Path<String>,
) -> Reply<Response> {
    render(&state, &customer, &ui, &id, None).await
}

async fn render(state: &AppState, customer: &Customer, ui: &Ui, id: &str, shown: Option<Block>) -> Reply<Response> {
    let progress = load(state, &customer.caller, id).await?;
    let ways = ways_left(state, customer, &progress).await;
    draw(&view(&manner(state, &customer.brand), &customer.brand, ui, id, &progress, &ways, shown))
}

/// The ways to pay what is left of an order that waits for it.
async fn ways_left(state: &AppState, customer: &Customer, progress: &Progress) -> Vec<billing::PayWay> {
    let invoice = match (progress.outcome(), &progress.detail.invoice) {
        (Outcome::Unpaid | Outcome::Short | Outcome::Declined, Some(invoice)) => invoice,
        _ => return Vec::new(),
    };
    let Some(total) = &invoice.total else { return Vec::new() };
    let left = total.minor - invoice.paid.as_ref().map_or(0, |paid| paid.minor);
    methods::ways(state, &customer.caller, &total.currency, &invoice.buyer_country, Some(left)).await
}

/// The page of an order that came so far.
pub fn view(
    manner: &Manner,
    brand: &Brand,
    ui: &Ui,
    id: &str,
    progress: &Progress,
    ways: &[billing::PayWay],
    shown: Option<Block>,
) -> OrderPage {
    let outcome = progress.outcome();
    let mut frame = Frame::shop(brand, ui, "Your order");
    let is_back = ui.query.get("back") == "1" && outcome == Outcome::Unpaid;
    if !is_over(outcome) && !is_back {
        // People look at it, which takes longer than a machine.
        frame.refresh_s = if outcome == Outcome::UnderReview { 60 } else { 4 };
    }
    let (headline, lead) = words(outcome, is_back);
    let order = progress.detail.order.clone().unwrap_or_default();
    let mut page = Page::new(headline).with_some(shown.clone());
    if let Some(service) = progress.service.as_ref().filter(|service| service.sandbox) {
        let text = format!("{} is a simulated panel; it plays a test picture.", service.panel_name);
        page = page.with(Block::note(Tone::Warn, "SANDBOX", text));
    }
    match outcome {
        Outcome::Ready if shown.is_none() => {
            let form = Form::new("Your access", format!("/orders/{id}/reveal"), "Show access")
                .intro("Server, user name, password and playlist. Make sure that nobody looks over your shoulder.");
            page = page.with(Block::Form(form));
        }
        Outcome::Declined | Outcome::Unpaid | Outcome::Short => {
            let title = if outcome == Outcome::Short {
                "Pay the rest"
            } else if outcome == Outcome::Declined || is_back {
                "Try again"
            } else {
                "Pay now"
            };
            let form = Form::new("", format!("/orders/{id}/pay"), title)
                .keyed()
                .fields(methods::way_field(ways))
                .intro("You get a fresh payment page; the old one stops working.");
            page = page.with(Block::Form(form));
        }
        Outcome::UnderReview
        | Outcome::Unknown
        | Outcome::Working
        | Outcome::Waiting
        | Outcome::Ready
        | Outcome::Cancelled => {}
    }
    let mut facts = vec![
        ("Order", Cell::code(&order.id).copied()),
        ("Plan", Cell::text(&order.plan_name)),
        ("Total", Cell::text(manner.money(order.total.as_ref()))),
        ("Placed", Cell::text(manner.moment(order.placed_at.as_ref()))),
    ];
    if let Some(invoice) = progress.detail.invoice.as_ref().filter(|invoice| !invoice.number.is_empty()) {
        if outcome == Outcome::Short {
            facts.push(("Paid so far", Cell::text(manner.money(invoice.paid.as_ref()))));
        }
        facts.push(("Invoice", Cell::text(&invoice.number).to(format!("/account/invoices/{}", invoice.id))));
    }
    page = page.with(Block::facts("Details", facts));
    // What was revealed is gone with the next page, so this one stays.
    let live = if is_over(outcome) || shown.is_some() {
        String::new()
    } else {
        format!("/orders/{id}/live?seen={}", outcome.word())
    };
    OrderPage { frame, headline: page.title.clone(), page, lead, steps: progress.steps(manner), live }
}

fn words(outcome: Outcome, is_back: bool) -> (String, String) {
    let (headline, lead) = match outcome {
        Outcome::Ready => ("You are ready to watch", "Your access works now. We sent it to you by mail as well."),
        Outcome::Working => {
            ("Thank you! Getting you ready", "This takes a few seconds. You may close the page; a mail follows.")
        }
        Outcome::Waiting => (
            "Paid, and almost there",
            "Something takes longer than usual. You may close the page; we go on by ourselves and a mail follows.",
        ),
        Outcome::Unknown => {
            ("Confirming your payment", "We are asking the payment provider. You will not be charged twice.")
        }
        Outcome::UnderReview => (
            "We are looking at your order",
            "Nothing is charged meanwhile. You get a mail as soon as it goes on; you may close the page.",
        ),
        Outcome::Declined => {
            ("The payment did not go through", "Nothing was charged. Try again, perhaps with another card.")
        }
        Outcome::Unpaid if is_back => {
            ("Not paid yet", "You came back from the payment page. Your order waits for you.")
        }
        Outcome::Short => (
            "A part of your payment has come",
            "It is booked for this order. Pay the rest, and it goes on by itself; if more comes than is due, you keep it as credit.",
        ),
        Outcome::Unpaid => ("Waiting for your payment", "As soon as the provider tells us, it goes on here by itself."),
        Outcome::Cancelled => ("This order is over", "Nothing more happens with it. You can order again at any time."),
    };
    (headline.to_owned(), lead.to_owned())
}

/// `POST /orders/{id}/pay`: another payment page for its invoice.
pub async fn pay(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Path(id): Path<String>,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    limits::order(&state, &ui.request).await?;
    let IdempotencyKey(key) = sent.key()?;
    let progress = load(&state, &customer.caller, &id).await?;
    let invoice = progress.detail.invoice.as_ref().map(|invoice| invoice.id.clone()).unwrap_or_default();
    let asked = billing::PayInvoiceRequest {
        invoice_id: invoice,
        provider_account_id: sent.text(methods::WAY),
        ..billing::PayInvoiceRequest::default()
    };
    pay_invoice(&state, &customer, &ui, asked, &format!("/orders/{id}"), key).await
}

/// Opens a payment page for the invoice, coming back to `page`.
pub async fn pay_invoice(
    state: &AppState,
    customer: &Customer,
    ui: &Ui,
    asked: billing::PayInvoiceRequest,
    page: &str,
    key: String,
) -> Reply<Response> {
    let back = format!("{}{page}", ui.request.origin());
    let asked = billing::PayInvoiceRequest { return_url: back.clone(), cancel_url: format!("{back}?back=1"), ..asked };
    let reply = state.clients.billing(&customer.caller.call().idempotency_key(key)).pay_invoice(asked).await?;
    to_checkout(customer, ui, &reply.into_inner().checkout_url, page)
}

/// Opens one payment page for several invoices, coming back to their list.
pub async fn pay_invoices(
    state: &AppState,
    customer: &Customer,
    ui: &Ui,
    invoice_ids: Vec<String>,
    key: String,
) -> Reply<Response> {
    let back = format!("{}{}", ui.request.origin(), crate::links::INVOICES);
    let asked = billing::PayInvoicesRequest {
        invoice_ids,
        return_url: back.clone(),
        cancel_url: back,
        provider_account_id: String::new(),
    };
    let reply = state.clients.billing(&customer.caller.call().idempotency_key(key)).pay_invoices(asked).await?;
    to_checkout(customer, ui, &reply.into_inner().checkout_url, crate::links::INVOICES)
}

fn to_checkout(customer: &Customer, ui: &Ui, checkout_url: &str, page: &str) -> Reply<Response> {
    if checkout_url.is_empty() {
        return Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "provider_unavailable",
            "the payment provider cannot be reached at the moment; nothing was charged, try again in a minute",
        ));
    }
    leave(&customer.brand, ui, checkout_url, page)
}

/// `POST /orders/{id}/reveal`
pub async fn reveal(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Path(id): Path<String>,
) -> Reply<Response> {
    let progress = load(&state, &customer.caller, &id).await?;
    let service = progress.service.ok_or_else(Refusal::not_found)?;
    let shown = credentials(&state, &customer.caller, &service.id).await?;
    render(&state, &customer, &ui, &id, Some(shown)).await
}

/// What a player needs, as facts with buttons to copy.
pub async fn credentials(state: &AppState, caller: &Caller, service_id: &str) -> Reply<Block> {
    let asked = provisioning::RevealCredentialsRequest { service_id: service_id.to_owned() };
    let found = state.clients.provisioning(&caller.call()).reveal_credentials(asked).await?.into_inner();
    Ok(Block::facts(
        "Your access",
        vec![
            ("Server", Cell::code(found.server_url).copied()),
            ("User name", Cell::code(found.username).copied()),
            ("Password", Cell::code(found.password).copied()),
            ("Playlist (M3U)", Cell::code(found.playlist_url).copied()),
            ("Programme guide (EPG)", Cell::code(found.epg_url).copied()),
        ],
    ))
}

/// `GET /orders/{id}/live?seen=…`: the steps again whenever they changed, and a `turn` when the order's page says something
/// else by now than the one being looked at.
pub async fn live(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Reply<Response> {
    csrf::check_stream(&headers, &ui.request)?;
    let place = state.streams.clone().try_acquire_owned().map_err(|_| {
        Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "streams_full",
            "too many pages are being watched; reload in a moment",
        )
    })?;
    let mut hints = state.hints.watch();
    // Whoever may not see the order gets no stream.
    let first = load(&state, &customer.caller, &id).await?;
    let brand_id = customer.brand.id.to_string();
    let seen = ui.query.text("seen");
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Event, Infallible>>(8);
    let shutdown = state.host.shutdown.clone();
    tokio::spawn(async move {
        let _place = place;
        let until = tokio::time::Instant::now() + WATCHED_FOR;
        let mut shown = String::new();
        let mut progress = Some(first);
        loop {
            if let Some(progress) = progress.take() {
                if progress.outcome().word() != seen {
                    let _ = sender.send(Ok(Event::default().event("turn").data(progress.outcome().word()))).await;
                    break;
                }
                let page = view(&manner(&state, &customer.brand), &customer.brand, &ui, &id, &progress, &[], None);
                let Ok(html) = page.as_live_steps().render() else { break };
                if html != shown && sender.send(Ok(Event::default().event("steps").data(&html))).await.is_err() {
                    break;
                }
                shown = html;
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = sender.closed() => break,
                () = tokio::time::sleep_until(until) => break,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                hint = hints.recv() => match hint {
                    Ok(hint) if hint.brand_id != brand_id => continue,
                    Ok(_) | Err(RecvError::Lagged(_)) => tokio::time::sleep(REST).await,
                    Err(RecvError::Closed) => break,
                },
            }
            match load(&state, &customer.caller, &id).await {
                Ok(now) => progress = Some(now),
                Err(refusal) => tracing::warn!(code = refusal.code, "a watched order could not be read"),
            }
        }
    });
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()).into_response())
}

//! Orders: what became of each, step by step, with its payments and calls.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::{Order, Payment, order, payment, refund};
use ottery_proto::common::v1::PageRequest;
use ottery_proto::provisioning::v1 as provisioning;
use ottery_proto::provisioning::v1::PanelCall;

use super::desk::{Desk, away};
use crate::limits::Form as Body;
use crate::pages::account::stage;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go_done};
use crate::pages::shop::steps::Progress;
use crate::pages::text::Manner;
use crate::problem::Reply;
use crate::state::AppState;

fn state_of(order: &Order) -> (Tone, &'static str) {
    match order.state() {
        order::State::UnderReview => (Tone::Warn, "Under review"),
        order::State::AwaitingPayment | order::State::Unspecified => (Tone::Info, "Awaiting payment"),
        order::State::Paid => (Tone::Good, "Paid"),
        order::State::Cancelled => (Tone::Neutral, "Cancelled"),
    }
}

fn payment_state(payment: &Payment) -> (Tone, &'static str) {
    match payment.state() {
        payment::State::Pending | payment::State::Unspecified => (Tone::Info, "Pending"),
        payment::State::Succeeded => (Tone::Good, "Succeeded"),
        payment::State::Failed => (Tone::Bad, "Failed"),
        payment::State::Unknown => (Tone::Warn, "Unknown, being read back"),
        payment::State::Cancelled => (Tone::Neutral, "Cancelled"),
        payment::State::ActionRequired => (Tone::Warn, "Customer must confirm"),
    }
}

/// Orders as a table.
pub fn table(title: &str, orders: &[Order], desk: &Desk, manner: &Manner) -> Table {
    let rows = orders.iter().map(|order| {
        let (tone, word) = state_of(order);
        vec![
            Cell::text(manner.moment(order.placed_at.as_ref()))
                .to(desk.at(&format!("/orders/{}", order.id)))
                .note(manner.relative(order.placed_at.as_ref())),
            Cell::text(&order.email),
            Cell::text(&order.plan_name),
            Cell::badge(tone, word),
            Cell::number(manner.money(order.total.as_ref())),
        ]
    });
    Table::new(
        title,
        &["Placed", "Customer", "Plan", "State", "#Total"],
        "No orders yet. They show up here as soon as somebody buys.",
    )
    .rows(rows)
}

/// `GET /staff/b/{brand}/orders`
pub async fn list(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    let asked = billing::ListOrdersRequest { page: ui.page(), account_id: ui.query.text("account") };
    let found = state.clients.billing(&desk.call()).list_orders(asked).await?.into_inner();
    let table = table("", &found.orders, &desk, &desk.manner(&state))
        .next(&desk.at("/orders"), &found.page.unwrap_or_default().next_cursor);
    desk.show(&ui, Page::new("Orders").with(Block::Table(table)))
}

/// Calls to panels as a table.
pub fn calls(title: &str, calls: &[PanelCall], manner: &Manner) -> Table {
    let rows = calls.iter().map(|call| {
        let tone = match call.state.as_str() {
            "confirmed" => Tone::Good,
            "rejected" => Tone::Bad,
            "unknown" => Tone::Warn,
            _ => Tone::Info,
        };
        vec![
            Cell::text(&call.action).note(manner.exact(call.started_at.as_ref())),
            Cell::badge(tone, &call.state).note(call.outcome.clone()),
            Cell::number(format!("{} ms", call.duration_ms)),
            Cell::code(&call.request_summary).note(call.reply_summary.clone()),
            Cell::code(&call.trace_id),
        ]
    });
    Table::new(title, &["Call", "State", "#Took", "Request and answer", "Trace"], "No calls yet.").rows(rows)
}

/// `GET /staff/b/{brand}/orders/{id}`
pub async fn show(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    render(&state, &desk, &ui, None).await
}

async fn render(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let call = desk.call();
    let manner = desk.manner(state);
    let detail = state
        .clients
        .billing(&call)
        .get_order(billing::GetOrderRequest { order_id: desk.id.clone() })
        .await?
        .into_inner();
    let asked = provisioning::GetServiceRequest { order_id: desk.id.clone(), ..Default::default() };
    let service = state.clients.provisioning(&call).get_service(asked).await;
    let order = detail.order.clone().unwrap_or_default();
    let progress =
        Progress { detail: detail.clone(), service: service.as_ref().ok().map(|service| service.get_ref().clone()) };
    let (tone, word) = state_of(&order);
    let mut page = Page::new(format!("{} for {}", order.plan_name, order.email))
        .badge(tone, word)
        .up("Orders", desk.at("/orders"))
        .refused(failed)
        .with(Block::Steps("Progress".into(), progress.steps(&manner)));
    let number = detail.invoice.as_ref().map(|invoice| invoice.number.clone()).unwrap_or_default();
    page = page.with(Block::facts(
        "",
        vec![
            ("Order", Cell::code(&order.id).copied()),
            ("Placed", Cell::text(manner.exact(order.placed_at.as_ref()))),
            ("Paid", Cell::text(manner.exact(order.paid_at.as_ref()))),
            ("Total", Cell::text(manner.money(order.total.as_ref()))),
            ("Customer", Cell::text(&order.email).to(desk.at(&format!("/customers/{}", order.account_id)))),
            (
                "Invoice",
                Cell::text(if number.is_empty() && !order.invoice_id.is_empty() { "Draft" } else { &number })
                    .to(desk.at(&format!("/invoices/{}", order.invoice_id))),
            ),
            (
                "Subscription",
                Cell::code(&order.subscription_id).to(desk.at(&format!("/subscriptions/{}", order.subscription_id))),
            ),
            ("Referred by", Cell::text(&order.referral_code)),
            ("Trace", Cell::code(&order.trace_id).copied()),
        ],
    ));
    for block in super::screening::of_order(state, desk, &order, &manner).await {
        page = page.with(block);
    }
    if desk.may("order.manage") && order.state() == order::State::AwaitingPayment {
        let form = Form::new("", desk.at(&format!("/orders/{}/cancel", desk.id)), "Cancel the order")
            .intro("Its invoice is made void; a coupon in it is free for others.")
            .tone(Tone::Bad)
            .folded("Cancel the order");
        page = page.with(Block::Actions(vec![form]));
    }
    // A trial has no invoice: asked for those of none, billing would list everybody's.
    if !order.invoice_id.is_empty() {
        let asked = billing::ListPaymentsRequest {
            page: None,
            account_id: String::new(),
            invoice_id: order.invoice_id.clone(),
        };
        page = match state.clients.billing(&call).list_payments(asked).await {
            Ok(found) => {
                let to = desk.at(&format!("/orders/{}/refund", desk.id));
                payments(page, desk, &manner, found.get_ref(), (to, None), failed)
            }
            Err(status) => page.with(away("Payments", &status.into())),
        };
    }
    page = match service {
        Ok(service) => with_service(page, state, desk, &manner, service.get_ref()).await,
        Err(status) if status.code() == tonic::Code::NotFound => {
            page.with(Block::note(Tone::Neutral, "No service yet", "It is made as soon as the order is paid."))
        }
        Err(status) => page.with(away("The service", &status.into())),
    };
    desk.show(ui, page)
}

/// Attempts to pay an invoice, what went back of them, and the form to give more back, which goes `to`.
pub(super) fn payments(
    page: Page,
    desk: &Desk,
    manner: &Manner,
    found: &billing::ListPaymentsReply,
    (to, part): (String, Option<Field>),
    failed: Option<&Failed>,
) -> Page {
    let rows = found.payments.iter().map(|payment| {
        let (tone, word) = payment_state(payment);
        vec![
            Cell::text(manner.moment(payment.created_at.as_ref())).note(match payment.invoice_ids.len() {
                0 => payment.id.clone(),
                count => format!("{}, for {count} invoices", payment.id),
            }),
            Cell::badge(tone, word).note(payment.failure_code.replace('_', " ")),
            Cell::text(&payment.provider).note(payment.provider_reference.clone()),
            Cell::text(&payment.method_label),
            Cell::number(manner.money(payment.amount.as_ref())),
        ]
    });
    let mut page = page.with(Block::Table(
        Table::new("Payments", &["Started", "State", "Provider", "Method", "#Amount"], "Nobody tried to pay yet.")
            .rows(rows),
    ));
    if !found.refunds.is_empty() {
        let rows = found.refunds.iter().map(|one| {
            let (tone, word) = match one.state() {
                refund::State::Pending | refund::State::Unspecified => (Tone::Info, "Pending"),
                refund::State::Succeeded => (Tone::Good, "Given back"),
                refund::State::Failed => (Tone::Bad, "Failed"),
                refund::State::Unknown => (Tone::Warn, "Unknown, being read back"),
            };
            vec![
                Cell::text(manner.moment(one.created_at.as_ref())).note(one.id.clone()),
                Cell::badge(tone, word),
                Cell::text(&one.reason),
                Cell::number(manner.money(one.amount.as_ref())),
            ]
        });
        page =
            page.with(Block::Table(Table::new("Refunds", &["Started", "State", "Reason", "#Amount"], "").rows(rows)));
    }
    let left = |payment: &Payment| {
        payment.amount.as_ref().map_or(0, |amount| amount.minor)
            - payment.refunded.as_ref().map_or(0, |amount| amount.minor)
    };
    let open: Vec<&Payment> = found
        .payments
        .iter()
        .filter(|payment| payment.state() == payment::State::Succeeded && left(payment) > 0)
        .collect();
    if desk.may("invoice.refund") && !open.is_empty() {
        let options = open
            .iter()
            .map(|payment| {
                (
                    payment.id.clone(),
                    format!(
                        "{} of {}",
                        manner.money(payment.amount.as_ref()),
                        manner.date(payment.created_at.as_ref())
                    ),
                )
            })
            .collect();
        let form = Form::new("", to, "Give money back")
            .intro("The provider is told to send it back, a credit note is written, and a commission for it is taken back.")
            .tone(Tone::Bad)
            .keyed()
            .field(Field::select("payment", "Payment", options))
            .fields(part)
            .field(Field::text("amount", "Amount").half().example("10.00").help("Empty: everything that is left."))
            .field(Field::select("policy", "The subscription", vec![("keep".into(), "goes on".into()), ("end".into(), "ends now".into())]).half())
            .field(Field::text("reason", "Reason").required().help("On the credit note, for the customer to read."))
            .folded("Give money back")
            .refused(failed);
        page = page.with(Block::Form(form));
    }
    page
}

async fn with_service(
    page: Page,
    state: &AppState,
    desk: &Desk,
    manner: &Manner,
    service: &provisioning::Service,
) -> Page {
    let (tone, word, sentence) = stage(service);
    let mut page = page.with(Block::facts(
        "Service",
        vec![
            ("State", Cell::badge(tone, word).note(sentence)),
            ("Code", Cell::code(&service.status_code)),
            (
                "Panel",
                Cell::text(&service.panel_name)
                    .to(desk.at(&format!("/panels/{}", service.panel_id)))
                    .note(if service.sandbox { "SANDBOX" } else { "" }),
            ),
            ("User name", Cell::code(&service.username).copied()),
            ("Works until", Cell::text(manner.moment(service.expires_at.as_ref()))),
            ("Attempts", Cell::text(service.attempts.to_string())),
            (
                "Next attempt",
                Cell::text(service.next_attempt_at.as_ref().map(|at| manner.moment(Some(at))).unwrap_or_default()),
            ),
            ("Id", Cell::code(&service.id).copied()),
        ],
    ));
    if desk.may("service.manage") {
        let form = Form::new("", desk.at(&format!("/orders/{}/retry", desk.id)), "Try the panel again")
            .tone(Tone::Info)
            .field(Field::hidden("service", &service.id));
        page = page.with(Block::Actions(vec![form]));
    }
    let asked = provisioning::ListPanelCallsRequest {
        page: Some(PageRequest { cursor: String::new(), limit: 50 }),
        service_id: service.id.clone(),
        panel_id: String::new(),
    };
    match state.clients.provisioning(&desk.call()).list_panel_calls(asked).await {
        Ok(found) => page.with(Block::Table(calls("Calls to the panel", &found.get_ref().calls, manner))),
        Err(status) => page.with(away("Calls to the panel", &status.into())),
    }
}

/// `POST /staff/b/{brand}/orders/{id}/refund`
pub async fn refund(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let here = desk.at(&format!("/orders/{}", desk.id));
    match start_refund(&state, &desk, &sent).await {
        Ok(()) => Ok(go_done(&here, "refunded")),
        Err(refusal) if refusal.is("reauth_required") => Err(refusal),
        Err(refusal) => {
            render(&state, &desk, &ui, Some(&Failed { action: format!("{here}/refund"), sent, refusal })).await
        }
    }
}

async fn start_refund(state: &AppState, desk: &Desk, sent: &Sent) -> Reply<()> {
    let asked = billing::GetOrderRequest { order_id: desk.id.clone() };
    let order = state.clients.billing(&desk.call()).get_order(asked).await?.into_inner().order.unwrap_or_default();
    refund_of(state, desk, sent, order.invoice_id, &order.total.unwrap_or_default().currency).await
}

/// Gives back what the form says, of this invoice.
///
/// # Errors
/// When the amount is none, or billing refuses it.
pub(super) async fn refund_of(
    state: &AppState,
    desk: &Desk,
    sent: &Sent,
    invoice_id: String,
    currency: &str,
) -> Reply<()> {
    let policy = if sent.get("policy") == "end" {
        billing::refund_payment_request::Policy::EndNow
    } else {
        billing::refund_payment_request::Policy::Keep
    };
    let asked = billing::RefundPaymentRequest {
        payment_id: sent.text("payment"),
        amount: super::invoice_form::amount(sent, "amount", currency)?,
        reason: sent.text("reason"),
        policy: policy.into(),
        invoice_id,
    };
    state.clients.billing(&desk.call().idempotency_key(sent.key()?.0)).refund_payment(asked).await?;
    Ok(())
}

/// `POST /staff/b/{brand}/orders/{id}/retry`
pub async fn retry(State(state): State<AppState>, desk: Desk, Body(sent): Body<Sent>) -> Reply<Response> {
    let asked = provisioning::RetryServiceRequest { service_id: sent.text("service") };
    state.clients.provisioning(&desk.call()).retry_service(asked).await?;
    Ok(go_done(&desk.at(&format!("/orders/{}", desk.id)), "retried"))
}

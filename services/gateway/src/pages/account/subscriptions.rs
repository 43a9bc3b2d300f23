//! Subscriptions: cancelling is as easy as buying.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::subscription::{State as Life, SuspendCause};
use ottery_proto::billing::v1::{ChosenOption, OptionQuantity, Subscription};
use ottery_proto::catalog::v1::{Plan, PlanVersion, Price};
use ottery_proto::common::v1::Money;

use super::{calendar, notices, show as page_of};
use crate::limits::{self, Form as Body};
use crate::pages::addons;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Link, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go, go_done, manner};
use crate::pages::options;
use crate::pages::shop::checkout::leave;
use crate::pages::text::{self, Manner};
use crate::problem::{Refusal, Reply};
use crate::session::Customer;
use crate::state::AppState;

/// How a subscription stands.
#[must_use]
pub fn state_of(subscription: &Subscription) -> (Tone, &'static str) {
    match subscription.state() {
        Life::Active | Life::Trialing if subscription.cancel_at.is_some() => (Tone::Warn, "Ends soon"),
        Life::Active => (Tone::Good, "Active"),
        Life::Trialing => (Tone::Good, "Trial"),
        Life::Pending | Life::Unspecified => (Tone::Info, "Waiting for payment"),
        Life::PastDue => (Tone::Warn, "Payment overdue"),
        Life::Suspended => (Tone::Bad, "Suspended"),
        Life::Paused => (Tone::Neutral, "Paused"),
        Life::Ended => (Tone::Neutral, "Ended"),
    }
}

/// `€10.00 per month`
#[must_use]
pub fn title(subscription: &Subscription, manner: &Manner) -> String {
    let price = subscription.term_price.as_ref().or(subscription.price.as_ref());
    format!("{} per {}", manner.money(price), text::per(subscription.term.as_ref()))
}

/// What a coupon or a price that was given makes of the next renewal; empty without either.
fn next_price(subscription: &Subscription, manner: &Manner) -> String {
    if subscription.coupon.is_empty() && subscription.price_override.is_none() {
        return String::new();
    }
    format!("The next renewal costs {}.", manner.money(subscription.renewal_total.as_ref()))
}

/// `GET /account/subscriptions`
pub async fn list(State(state): State<AppState>, customer: Customer, ui: Ui) -> Reply<Response> {
    let asked = billing::ListSubscriptionsRequest { page: ui.page(), account_id: customer.account.id.clone() };
    let found = state.clients.billing(&customer.caller.call()).list_subscriptions(asked).await?.into_inner();
    let manner = manner(&state, &customer.brand);
    let rows = found.subscriptions.iter().map(|one| {
        let (tone, word) = state_of(one);
        vec![
            Cell::text(&one.plan_name).to(format!("/account/subscriptions/{}", one.id)),
            Cell::badge(tone, word),
            Cell::text(manner.date(one.period_end.as_ref())).note(manner.relative(one.period_end.as_ref())),
            Cell::number(title(one, &manner)),
        ]
    });
    let table = Table::new("", &["Plan", "State", "Until", "#Price"], "You have no subscription yet.")
        .rows(rows)
        .first(Link::new("See plans", "/plans"))
        .next("/account/subscriptions", &found.page.unwrap_or_default().next_cursor);
    let page = notices::on_top(&state, &customer, Page::new("Subscriptions").with(Block::Table(table))).await;
    page_of(&customer, &ui, page)
}

pub(super) async fn load(state: &AppState, customer: &Customer, id: &str) -> Reply<Subscription> {
    let asked = billing::GetSubscriptionRequest { subscription_id: id.to_owned() };
    Ok(state.clients.billing(&customer.caller.call()).get_subscription(asked).await?.into_inner())
}

/// `GET /account/subscriptions/{id}`
pub async fn show(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Path(id): Path<String>,
) -> Reply<Response> {
    let one = load(&state, &customer, &id).await?;
    let manner = manner(&state, &customer.brand);
    let (tone, word) = state_of(&one);
    let until = manner.date(one.period_end.as_ref());
    let here = format!("/account/subscriptions/{id}");
    let is_running =
        matches!(one.state(), Life::Active | Life::Trialing | Life::PastDue | Life::Suspended | Life::Paused);
    let mut page = Page::new(&one.plan_name)
        .badge(tone, word)
        .up("Subscriptions", "/account/subscriptions")
        .aside("How is the next charge computed?", format!("/account/subscriptions/{id}/explain"));
    if !one.open_invoice_id.is_empty() {
        let text = match (one.state(), one.late_renewal_from_payment) {
            (Life::Suspended, _) if one.suspend_cause() != SuspendCause::Unpaid => {
                "Paying it does not switch access on again.".to_owned()
            }
            (Life::Suspended, true) => {
                "Access comes back within a minute after you paid, and a new period begins with your payment."
                    .to_owned()
            }
            (Life::Suspended, false) => {
                "Access comes back within a minute after you paid; the dates stay as they are.".to_owned()
            }
            (Life::PastDue, _) if one.grace_until.is_some() => {
                format!("You keep your access until {}; pay by then to go on.", manner.moment(one.grace_until.as_ref()))
            }
            _ => "Pay it to keep your access.".to_owned(),
        };
        page = page.with(Block::advice(
            Tone::Warn,
            "An invoice is open",
            text,
            Link::new("Pay", format!("/account/invoices/{}", one.open_invoice_id)),
        ));
    }
    let stopped = match one.suspend_cause() {
        SuspendCause::Staff => "Write to us in a ticket if you do not know why.",
        SuspendCause::Reseller => {
            "Ask whoever sold it to you; access comes back as soon as they have settled it with us."
        }
        SuspendCause::Unpaid | SuspendCause::Unspecified => "",
    };
    if !stopped.is_empty() {
        page = page.with(Block::note(Tone::Warn, "Access is switched off", stopped));
    }
    if one.cancel_at.is_some() && is_running && !one.once {
        page = page
            .with(Block::note(
                Tone::Info,
                format!("Cancelled; you have access until {until}"),
                "Nothing will be charged any more.",
            ))
            .with(Block::Actions(vec![Form::new("", format!("{here}/resume"), "Keep my subscription")]));
    }
    if let (Some(price), None) = (&one.announced_price, &one.cancel_at)
        && is_running
    {
        let title = format!("From {} on: {}", manner.date(one.announced_price_at.as_ref()), manner.money(Some(price)));
        let text = "Until then nothing changes. If you do not want that, cancel before; it costs nothing.";
        page = page.with(Block::note(Tone::Info, title, text));
    }
    let renews = match (one.cancel_at.is_some(), one.auto_renew) {
        _ if one.once => "No; it is a pass and ends by itself.".to_owned(),
        (true, _) => "No; it ends with the period.".to_owned(),
        (false, true) => format!(
            "Yes, by itself{}.",
            if one.payment_method_label.is_empty() {
                String::new()
            } else {
                format!(" with {}", one.payment_method_label)
            }
        ),
        (false, false) => "You get an invoice to pay before it renews.".to_owned(),
    };
    page = page.with(Block::facts(
        "",
        vec![
            ("Price", Cell::text(title(&one, &manner)).note(next_price(&one, &manner))),
            ("Coupon", Cell::text(&one.coupon)),
            (
                "Current period",
                Cell::text(match &one.period_start {
                    Some(from) => format!("{} to {until}", manner.date(Some(from))),
                    None => String::new(),
                }),
            ),
            (
                if one.cancel_at.is_some() { "Ends" } else { "Renews" },
                Cell::text(if one.period_end.is_some() { until.clone() } else { String::new() })
                    .note(manner.relative(one.period_end.as_ref())),
            ),
            ("Renewal", Cell::text(renews)),
            ("Options", Cell::text(listed(&one.options))),
            ("Add-ons", Cell::text(addons::listed(&one.addons))),
            ("From the renewal on", Cell::text(afterwards_of(&one))),
            ("Since", Cell::text(manner.date(one.created_at.as_ref()))),
        ],
    ));
    if one.state() == Life::Paused {
        page = page
            .with(Block::note(Tone::Info, calendar::paused(&one, &manner), "Nothing is charged until then."))
            .with(Block::Actions(vec![Form::new("", format!("{here}/unpause"), "Go on now")]));
    }
    if is_running {
        page = page.with_some(calendar::renew_form(&one, &here));
        page = page.with_some(calendar::anchor_form(&one, &here));
        page = page.with_some(calendar::pause_form(&one, &here));
        page = page.with_some(options_form(&one, &manner));
        page = page.with_some(addons_forms(&state, &customer, &ui, &one, &manner).await?);
        page = page.with_some(change_form(&state, &customer, &ui, &one, &manner).await?);
        if one.cancel_at.is_none() {
            let form = Form::new("", format!("{here}/cancel"), "Cancel subscription")
                .intro(format!(
                    "You keep access until {until}. Nothing is charged after that. You can undo this until then."
                ))
                .field(Field::text("reason", "Why, if you like to say"))
                .tone(Tone::Bad)
                .folded("Cancel subscription");
            page = page.with(Block::Form(form));
        }
    }
    page_of(&customer, &ui, page)
}

fn prices(plans: &[Plan]) -> impl Iterator<Item = (&PlanVersion, &Price)> {
    let versions = plans.iter().filter_map(|plan| plan.current.as_ref());
    versions.flat_map(|version| version.prices.iter().map(move |price| (version, price)))
}

/// `Solo, €7.99 per month`
fn offered(version: &PlanVersion, price: &Price, manner: &Manner) -> String {
    format!("{}, {} per {}", version.name, manner.money(price.amount.as_ref()), text::per(price.term.as_ref()))
}

/// `Streams at a time: 4, Country lock: 1`
#[must_use]
pub fn listed(options: &[ChosenOption]) -> String {
    let options: Vec<String> = options.iter().map(|option| format!("{}: {}", option.name, option.quantity)).collect();
    options.join(", ")
}

/// What there will be from the renewal on; empty when nothing changes.
#[must_use]
pub fn afterwards_of(one: &Subscription) -> String {
    if !one.changes_at_renewal {
        return one.next_plan_name.clone();
    }
    let plan = if one.next_plan_name.is_empty() { &one.plan_name } else { &one.next_plan_name };
    let parts = [plan.clone(), listed(&one.next_options), addons::listed(&one.next_addons)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Add-ons to add at once or to take away with the renewal, each with a button of its own.
async fn addons_forms(
    state: &AppState,
    customer: &Customer,
    ui: &Ui,
    one: &Subscription,
    manner: &Manner,
) -> Reply<Option<Block>> {
    if one.cancel_at.is_some() && !one.once {
        return Ok(None);
    }
    let plans = state.catalog.plans(&customer.brand, &ui.request).await?;
    let slug = plans.iter().find(|plan| plan.id == one.plan_id).map(|plan| plan.slug.as_str()).unwrap_or_default();
    let currency = one.price.as_ref().map(|price| price.currency.as_str()).unwrap_or_default();
    let here = format!("/account/subscriptions/{}/change", one.id);
    let form = |title: String, intro: String, field: &str, id: &str, submit: &str| {
        let mut form =
            Form::new(title, here.clone(), submit).intro(intro).tone(Tone::Info).field(Field::hidden(field, id));
        form.is_get = true;
        form
    };
    let owned = one.addons.iter().map(|addon| {
        let price = format!("{} per {}", manner.money(addon.price.as_ref()), text::per(one.term.as_ref()));
        let intro = format!("{price}. Cancelled, it stays until the renewal.");
        form(addon.name.clone(), intro, "drop", &addon.plan_id, "Cancel this add-on")
    });
    let fits = addons::fitting(plans.addons(), slug, one.term.as_ref(), currency);
    let others = fits.into_iter().filter(|shown| one.addons.iter().all(|addon| addon.plan_id != shown.plan_id));
    let offered = others.map(|shown| {
        let costs = shown.costs(one.term.as_ref(), manner);
        let intro = format!("{} {costs}; now only for the time until the renewal.", shown.summary);
        form(shown.name.clone(), intro.trim().to_owned(), "add", &shown.plan_id, "See what it costs")
    });
    let forms: Vec<Form> = owned.chain(offered).collect();
    Ok((!forms.is_empty()).then_some(Block::Actions(forms)))
}

/// More at once, fewer with the renewal; what it costs is shown before anything happens.
fn options_form(one: &Subscription, manner: &Manner) -> Option<Block> {
    let shown = options::of_chosen(&one.options);
    if shown.is_empty() || (one.cancel_at.is_some() && !one.once) {
        return None;
    }
    let mut form = Form::new("Options", format!("/account/subscriptions/{}/change", one.id), "See what it costs")
        .intro("More begins at once and is charged for the time that is left. Fewer begins with the renewal.")
        .tone(Tone::Info)
        .fields(options::fields(&shown, &text::per(one.term.as_ref()), manner));
    form.is_get = true;
    Some(Block::Form(form))
}

async fn change_form(
    state: &AppState,
    customer: &Customer,
    ui: &Ui,
    one: &Subscription,
    manner: &Manner,
) -> Reply<Option<Block>> {
    let plans = state.catalog.plans(&customer.brand, &ui.request).await?;
    let currency = one.price.as_ref().map(|price| price.currency.as_str()).unwrap_or_default();
    let options: Vec<(String, String)> = prices(&plans)
        .filter(|(_, price)| {
            price.id != one.price_id && price.amount.as_ref().is_some_and(|amount| amount.currency == currency)
        })
        .map(|(version, price)| (price.id.clone(), offered(version, price, manner)))
        .collect();
    if options.is_empty() {
        return Ok(None);
    }
    let mut form = Form::new("Change plan", format!("/account/subscriptions/{}/change", one.id), "See what it costs")
        .intro("What you have not used of the current period counts towards the new plan.")
        .tone(Tone::Info)
        .field(Field::select("price", "New plan", options))
        .field(Field { autocomplete: "off", ..Field::text("coupon", "Coupon code") });
    form.is_get = true;
    Ok(Some(Block::Form(form)))
}

/// `POST /account/subscriptions/{id}/cancel`
pub async fn cancel(
    State(state): State<AppState>,
    customer: Customer,
    Path(id): Path<String>,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    let asked = billing::CancelSubscriptionRequest { subscription_id: id.clone(), reason: sent.text("reason") };
    state.clients.billing(&customer.caller.call()).cancel_subscription(asked).await?;
    Ok(go_done(&format!("/account/subscriptions/{id}"), "cancelled"))
}

/// `POST /account/subscriptions/{id}/resume`
pub async fn resume(State(state): State<AppState>, customer: Customer, Path(id): Path<String>) -> Reply<Response> {
    let asked = billing::ResumeSubscriptionRequest { subscription_id: id.clone() };
    state.clients.billing(&customer.caller.call()).resume_subscription(asked).await?;
    Ok(go_done(&format!("/account/subscriptions/{id}"), "resumed"))
}

/// `GET /account/subscriptions/{id}/change?price=…`: to the cent, before anything happens.
pub async fn preview(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Path(id): Path<String>,
) -> Reply<Response> {
    let wanted = asked(&state, &customer, &id, &ui.query).await?;
    show_preview(&state, &customer, &ui, &id, &wanted, None).await
}

/// What somebody wants to change to.
struct Asked {
    price: String,
    coupon: String,
    options: Vec<OptionQuantity>,
    /// Add-ons to add, and to take away.
    add: Vec<String>,
    drop: Vec<String>,
}

/// Options are those of the subscription; those of another plan come along by themselves.
async fn asked(state: &AppState, customer: &Customer, id: &str, sent: &Sent) -> Reply<Asked> {
    let (price, coupon) = (sent.text("price"), sent.text("coupon"));
    let named = |name: &str| -> Vec<String> { Some(sent.text(name)).filter(|id| !id.is_empty()).into_iter().collect() };
    let (add, drop) = (named("add"), named("drop"));
    let chosen = if price.is_empty() && add.is_empty() && drop.is_empty() {
        let one = load(state, customer, id).await?;
        options::chosen(sent, &options::of_chosen(&one.options))?
    } else {
        Vec::new()
    };
    Ok(Asked { price, coupon, options: chosen, add, drop })
}

impl Asked {
    fn hidden(&self) -> impl Iterator<Item = Field> {
        let price = (!self.price.is_empty()).then(|| ("price".to_owned(), self.price.clone()));
        let addons = |name: &'static str, ids: &[String]| -> Vec<(String, String)> {
            ids.iter().map(|id| (name.to_owned(), id.clone())).collect()
        };
        let (add, drop) = (addons("add", &self.add), addons("drop", &self.drop));
        let pairs = price.into_iter().chain(options::pairs(&self.options)).chain(add).chain(drop);
        pairs.map(|(name, value)| Field::hidden(name, value))
    }
}

async fn show_preview(
    state: &AppState,
    customer: &Customer,
    ui: &Ui,
    id: &str,
    wanted: &Asked,
    failed: Option<&Failed>,
) -> Reply<Response> {
    let coupon = wanted.coupon.as_str();
    let asked = |coupon: &str| billing::QuoteChangeRequest {
        subscription_id: id.to_owned(),
        price_id: wanted.price.clone(),
        coupon: coupon.to_owned(),
        options: wanted.options.clone(),
        add_addon_plan_ids: wanted.add.clone(),
        drop_addon_plan_ids: wanted.drop.clone(),
    };
    let mut client = state.clients.billing(&customer.caller.call());
    // A coupon that cannot be used is said to be so above the price without it.
    let (quote, coupon, refused) = match client.quote_change(asked(coupon)).await {
        Ok(quote) => (quote.into_inner(), coupon, None),
        Err(status) => {
            let refusal = Refusal::from(status);
            if refusal.field.as_deref() != Some("coupon") {
                return Err(refusal);
            }
            let plain = client.quote_change(asked("")).await?.into_inner();
            (plain, "", Some(Failed { action: String::new(), sent: Sent::default(), refusal }))
        }
    };
    let failed = refused.as_ref().or(failed);
    let manner = manner(state, &customer.brand);
    let is_nothing = |amount: Option<&Money>| amount.is_none_or(|amount| amount.minor == 0);
    if quote.effect() == billing::quote_change_reply::Effect::AtRenewal {
        return show_later(state, customer, ui, (id, wanted), &quote.warnings, failed, &manner).await;
    }
    let mut rows: Vec<Vec<Cell>> = quote
        .lines
        .iter()
        .map(|line| vec![Cell::text(&line.description), Cell::number(manner.money(line.amount.as_ref()))])
        .collect();
    if rows.is_empty() {
        rows.push(vec![Cell::text("New plan"), Cell::number(manner.money(quote.new_charge.as_ref()))]);
        rows.push(vec![
            Cell::text("Not used of the current period"),
            Cell::number(format!("−{}", manner.money(quote.unused_credit.as_ref()))),
        ]);
    }
    rows.push(vec![Cell::text("Due now"), Cell::number(manner.money(quote.due_now.as_ref()))]);
    if !is_nothing(quote.credit.as_ref()) {
        rows.push(vec![Cell::text("Credited to your wallet"), Cell::number(manner.money(quote.credit.as_ref()))]);
    }
    let due = manner.money(quote.due_now.as_ref());
    let is_free = quote.due_now.as_ref().is_none_or(|due| due.minor == 0);
    let form = Form::new(
        "",
        format!("/account/subscriptions/{id}/change"),
        if is_free { "Change now".to_owned() } else { format!("Pay {due} and change") },
    )
    .fields(wanted.hidden())
    .field(Field::hidden("coupon", coupon))
    .keyed()
    .refused(failed);
    let page = Page::new("Change plan")
        .intro("The change happens when it is paid. Amounts are exact to the second of the period that is left.")
        .up("Subscription", format!("/account/subscriptions/{id}"))
        .refused(failed)
        .with_some(warned(&quote.warnings))
        .with(Block::Table(Table::new("", &["What", "#Amount"], "").rows(rows)))
        .with(Block::Form(form));
    page_of(customer, ui, page)
}

/// What to know before a change.
fn warned(warnings: &[String]) -> Option<Block> {
    (!warnings.is_empty()).then(|| Block::note(Tone::Warn, "Before you change", warnings.join(" ")))
}

/// The plan with the quantities it will have.
fn afterwards(one: &Subscription, asked: &Asked) -> String {
    let wanted = &asked.options;
    let mut addons = one.addons.clone();
    addons.retain(|addon| !asked.drop.contains(&addon.plan_id));
    let mut options = one.options.clone();
    for option in &mut options {
        let named = wanted.iter().find(|named| named.key == option.key);
        option.quantity = named.map_or(option.quantity, |named| named.quantity);
    }
    let parts = [one.plan_name.clone(), listed(&options), addons::listed(&addons)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// A cheaper plan waits for the renewal: nobody loses what is paid.
async fn show_later(
    state: &AppState,
    customer: &Customer,
    ui: &Ui,
    (id, asked): (&str, &Asked),
    warnings: &[String],
    failed: Option<&Failed>,
    manner: &Manner,
) -> Reply<Response> {
    let one = load(state, customer, id).await?;
    let plans = state.catalog.plans(&customer.brand, &ui.request).await?;
    let wanted = prices(&plans).find(|(_, offer)| offer.id == asked.price);
    let wanted = match wanted {
        Some((version, price)) => offered(version, price, manner),
        None => afterwards(&one, asked),
    };
    let form = Form::new("", format!("/account/subscriptions/{id}/change"), "Change with the renewal")
        .fields(asked.hidden())
        .keyed()
        .refused(failed);
    let page = Page::new("Change plan")
        .intro("You keep what you have until the renewal, because it is paid; then the new plan begins.")
        .up("Subscription", format!("/account/subscriptions/{id}"))
        .refused(failed)
        .with_some(warned(warnings))
        .with(Block::facts(
            "",
            vec![
                ("Until the renewal", Cell::text(format!("{}, {}", one.plan_name, title(&one, manner)))),
                ("From then on", Cell::text(wanted)),
                (
                    "Renews",
                    Cell::text(manner.date(one.period_end.as_ref())).note(manner.relative(one.period_end.as_ref())),
                ),
                ("Due now", Cell::text("Nothing")),
            ],
        ))
        .with(Block::Form(form));
    page_of(customer, ui, page)
}

/// Whether it is already what was wanted.
fn is_changed(one: &Subscription, wanted: &Asked) -> bool {
    let has = |named: &OptionQuantity| {
        one.options.iter().any(|option| option.key == named.key && option.quantity == named.quantity)
    };
    let owns = |id: &String| one.addons.iter().any(|addon| addon.plan_id == *id);
    (wanted.price.is_empty() || one.price_id == wanted.price)
        && wanted.options.iter().all(has)
        && wanted.add.iter().all(owns)
        && !wanted.drop.iter().any(owns)
}

/// `POST /account/subscriptions/{id}/change`
pub async fn change(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    Path(id): Path<String>,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    limits::order(&state, &ui.request).await?;
    let page = format!("/account/subscriptions/{id}");
    let back = format!("{}{page}", ui.request.origin());
    let wanted = asked(&state, &customer, &id, &sent).await?;
    let asked = billing::ChangePlanRequest {
        subscription_id: id.clone(),
        price_id: wanted.price.clone(),
        return_url: back.clone(),
        cancel_url: back,
        coupon: wanted.coupon.clone(),
        options: wanted.options.clone(),
        add_addon_plan_ids: wanted.add.clone(),
        drop_addon_plan_ids: wanted.drop.clone(),
    };
    let call = customer.caller.call().idempotency_key(sent.key()?.0);
    match state.clients.billing(&call).change_plan(asked).await {
        Ok(reply) => {
            let reply = reply.into_inner();
            match (reply.checkout_url.as_str(), reply.invoice_id.as_str()) {
                ("", "") => {
                    let is_done = reply.subscription.is_some_and(|one| is_changed(&one, &wanted));
                    Ok(go_done(&page, if is_done { "saved" } else { "change-later" }))
                }
                ("", invoice) => Ok(go(&format!("/account/invoices/{invoice}"))),
                (url, _) => leave(&customer.brand, &ui, url, &page),
            }
        }
        Err(status) => {
            let refusal = Refusal::from(status);
            if refusal.status == StatusCode::NOT_FOUND {
                return Err(refusal);
            }
            show_preview(
                &state,
                &customer,
                &ui,
                &id,
                &wanted,
                Some(&Failed { action: String::new(), sent: Sent::default(), refusal }),
            )
            .await
        }
    }
}

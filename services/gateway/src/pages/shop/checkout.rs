//! Checkout: who buys, what it costs, then off to the payment page. Forms only; nothing here depends on a script.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::billing::v1::OptionQuantity;
use ottery_proto::catalog::v1::{PlanVersion, Price, plan_option};
use ottery_proto::common::v1::Money;

use super::{code, words};
use crate::brand::Brand;
use crate::device::{self, Device};
use crate::limits::{self, Form as Body};
use crate::pages::access::{self, Entry};
use crate::pages::account::methods;
use crate::pages::addons;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Link, Sent, Tone};
use crate::pages::frame::{Frame, Page, Ui, draw_as, go, manner, quoted, with_cookie};
use crate::pages::options;
use crate::pages::text::{self, Manner};
use crate::pages::words::COUNTRIES;
use crate::problem::{Refusal, Reply};
use crate::referral;
use crate::session::{Customer, Portal, Visitor};
use crate::state::AppState;

/// A page of the checkout.
#[derive(Template)]
#[template(path = "checkout.html")]
pub struct Checkout {
    pub(in crate::pages) frame: Frame,
    pub(in crate::pages) page: Page,
    pub(in crate::pages) step: u8,
    pub(in crate::pages) plan: String,
    pub(in crate::pages) lines: Vec<(String, String)>,
    pub(in crate::pages) totals: Vec<(String, String)>,
    pub(in crate::pages) due: String,
    pub(in crate::pages) note: String,
}

#[derive(Template)]
#[template(path = "leave.html")]
struct Leave {
    frame: Frame,
    order: String,
}

const PLACE: &str = "/checkout/place";
/// Longest code that is looked up; what is longer is none.
const CODE_MAX: usize = 64;

pub(super) struct Wanted {
    version: PlanVersion,
    price: Price,
    is_trial: bool,
    /// As it was typed; empty for none.
    pub(super) coupon: String,
    /// Options that were chosen.
    options: Vec<OptionQuantity>,
    /// Add-ons that can be bought with it.
    offered: Vec<addons::Shown>,
    /// Those that were chosen.
    addons: Vec<String>,
    /// The browser; none while nobody is signed in.
    pub(super) device: Option<Device>,
}

impl Wanted {
    /// Price, trial and options, without the coupon.
    pub(super) fn kept(&self) -> Vec<(String, String)> {
        let trial = if self.is_trial { "1" } else { "" };
        let mut kept = vec![("price".to_owned(), self.price.id.clone()), ("trial".to_owned(), trial.to_owned())];
        kept.extend(options::pairs(&self.options));
        kept.extend(addons::pairs(&self.addons));
        kept
    }

    fn hidden(&self) -> Vec<(String, String)> {
        let mut hidden = self.kept();
        hidden.push(("coupon".to_owned(), self.coupon.clone()));
        hidden
    }

    pub(super) fn href(&self) -> String {
        let said = self.hidden().into_iter().filter(|(_, value)| !value.is_empty());
        let said: Vec<String> = said.map(|(name, value)| format!("{name}={}", quoted(&value))).collect();
        format!("/checkout?{}", said.join("&"))
    }
}

pub(super) fn fields(pairs: Vec<(String, String)>) -> impl Iterator<Item = Field> {
    pairs.into_iter().map(|(name, value)| Field::hidden(name, value))
}

pub(super) async fn wanted(state: &AppState, brand: &Brand, ui: &Ui, asked: &Sent) -> Reply<Wanted> {
    let plans = state.catalog.plans(brand, &ui.request).await?;
    let id = asked.get("price");
    let found = plans.iter().find_map(|plan| {
        let version = plan.current.as_ref()?;
        let price = version.prices.iter().find(|price| price.id == id)?;
        Some((plan.slug.clone(), version.clone(), price.clone()))
    });
    let (slug, version, price) = found.ok_or_else(|| {
        Refusal::new(
            StatusCode::GONE,
            "price_gone",
            "this price is not offered any more; have a look at the current plans",
        )
    })?;
    let is_trial = asked.get("trial") == "1" && version.trial_days > 0;
    let coupon = asked.get("coupon").chars().take(CODE_MAX).collect();
    let options = options::chosen(asked, &options::of_plan(&version, &price))?;
    let currency = price.amount.as_ref().map(|amount| amount.currency.clone()).unwrap_or_default();
    let offered = addons::fitting(plans.addons(), &slug, price.term.as_ref(), &currency);
    let addons = addons::chosen(asked, &offered);
    Ok(Wanted { version, price, is_trial, coupon, options, offered, addons, device: None })
}

fn frame(brand: &Brand, ui: &Ui) -> Frame {
    let mut frame = Frame::shop(brand, ui, "Checkout");
    // Nothing to wander off to while paying.
    frame.menu.clear();
    frame
}

/// `GET /checkout?price=…`: the account first, then the review.
pub async fn review(State(state): State<AppState>, visitor: Visitor, ui: Ui, headers: HeaderMap) -> Reply<Response> {
    let mut wanted = wanted(&state, &visitor.brand, &ui, &ui.query).await?;
    let Some(device) = device::of_customer(&state, &visitor.caller, &headers) else {
        return who(&state, &visitor.brand, &ui, &wanted, None, None);
    };
    let cookie = device.cookie(&state, &ui.request)?;
    wanted.device = Some(device);
    Ok(with_cookie(review_or_plain(&state, &visitor, &ui, wanted, None).await?, cookie))
}

/// The review; without the trial, and why, when the person had one before.
pub(super) async fn review_or_plain(
    state: &AppState,
    visitor: &Visitor,
    ui: &Ui,
    mut wanted: Wanted,
    failed: Option<Failed>,
) -> Reply<Response> {
    let failed = match failed {
        Some(failed) if failed.refusal.is("trial_used") => failed,
        failed => match show_review(state, visitor, ui, &wanted, failed.as_ref()).await {
            Err(refusal) if wanted.is_trial && refusal.is("trial_used") => {
                Failed { action: PLACE.into(), sent: Sent::default(), refusal }
            }
            shown => return shown,
        },
    };
    wanted.is_trial = false;
    show_review(state, visitor, ui, &wanted, Some(&failed)).await
}

fn who(
    state: &AppState,
    brand: &Brand,
    ui: &Ui,
    wanted: &Wanted,
    failed: Option<&Failed>,
    first: Option<Block>,
) -> Reply<Response> {
    let manner = manner(state, brand);
    let hidden = wanted.hidden();
    let hidden: Vec<(&str, &str)> = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut page =
        Page::new("Your account").intro("There you find your access and your invoices, and can cancel at any time.");
    page.blocks.extend(first);
    let sign_up = access::sign_up_form("I am new here", "/checkout/account", brand, &hidden).refused(failed);
    let sign_in = access::sign_in_form("I have an account", "/checkout/sign-in", &hidden).refused(failed);
    let is_known = failed.is_some_and(|failed| failed.action == "/checkout/sign-in");
    page = if is_known {
        page.with(Block::Form(sign_in)).with(Block::Form(sign_up))
    } else {
        page.with(Block::Form(sign_up)).with(Block::Form(sign_in))
    };
    let amount = manner.money(wanted.price.amount.as_ref());
    let line = format!("{}, {}", wanted.version.name, text::length(wanted.price.term.as_ref()));
    let is_in_part = wanted.version.anchor_day.is_some_and(|day| day > 0)
        && wanted.price.term.as_ref().is_some_and(|term| text::months(term).is_some());
    let due = match (wanted.is_trial, is_in_part) {
        (true, _) => "Nothing today".to_owned(),
        // What is left until the day it renews is known when it is quoted.
        (false, true) => format!("At most {amount}"),
        (false, false) => amount.clone(),
    };
    draw_as(
        failed.map_or(StatusCode::OK, |failed| failed.refusal.status),
        &Checkout {
            frame: frame(brand, ui),
            page,
            step: 1,
            plan: wanted.version.name.clone(),
            lines: vec![(line, amount)],
            totals: Vec::new(),
            due,
            note: words::tax(brand),
        },
    )
}

fn lines_of(quote: &billing::Quote, manner: &Manner) -> Vec<(String, String)> {
    quote.lines.iter().map(|line| (line.description.clone(), manner.money(line.amount.as_ref()))).collect()
}

async fn quote(state: &AppState, visitor: &Visitor, wanted: &Wanted, coupon: &str) -> Reply<billing::Quote> {
    let (country, email) =
        visitor.caller.account().map(|account| (account.country.clone(), account.email.clone())).unwrap_or_default();
    let asked = billing::CreateQuoteRequest {
        price_id: wanted.price.id.clone(),
        currency: String::new(),
        country,
        trial: wanted.is_trial,
        coupon: coupon.to_owned(),
        options: wanted.options.clone(),
        addon_plan_ids: wanted.addons.clone(),
        email,
        origin: wanted.device.as_ref().map(|device| device.origin(&visitor.caller.request)),
        ..billing::CreateQuoteRequest::default()
    };
    Ok(state.clients.billing(&visitor.caller.call()).create_quote(asked).await?.into_inner())
}

/// The quote with the coupon, or the one without and why the coupon does not count.
async fn quote_or_plain(
    state: &AppState,
    visitor: &Visitor,
    wanted: &Wanted,
) -> Reply<(billing::Quote, Option<Refusal>)> {
    match quote(state, visitor, wanted, &wanted.coupon).await {
        Ok(found) => Ok((found, None)),
        Err(refusal) if refusal.field.as_deref() == Some("coupon") => {
            Ok((quote(state, visitor, wanted, "").await?, Some(refusal)))
        }
        Err(refusal) => Err(refusal),
    }
}

/// Choosing options shows the price anew, like a coupon does.
fn options_form(quote: &billing::Quote, wanted: &Wanted, manner: &Manner) -> Option<Block> {
    let shown = options::of_chosen(&quote.options);
    if shown.is_empty() && wanted.offered.is_empty() {
        return None;
    }
    let trial = if wanted.is_trial { "1" } else { "" };
    let mut form = Form::new("", "/checkout", "Show the new price").tone(Tone::Info);
    form.is_get = true;
    let form = form
        .field(Field::hidden("price", &wanted.price.id))
        .field(Field::hidden("trial", trial))
        .field(Field::hidden("coupon", &wanted.coupon))
        .fields(options::fields(&shown, &text::per(wanted.price.term.as_ref()), manner))
        .fields(addons::fields(&wanted.offered, &wanted.addons, wanted.price.term.as_ref(), manner));
    Some(Block::Form(form))
}

/// As many streams as were chosen.
fn streams(quote: &billing::Quote, wanted: &Wanted) -> u32 {
    let chosen = quote.options.iter().find(|option| option.effect() == plan_option::Effect::Connections);
    chosen.map_or(wanted.version.connections, |option| option.quantity).max(1)
}

/// Where the customer is taken to be, and what that means.
fn billed_to(quote: &billing::Quote) -> Cell {
    let country = COUNTRIES.iter().find(|(code, _)| *code == quote.tax_country).map(|(_, name)| *name);
    let country = country.map_or_else(|| quote.tax_country.clone(), str::to_owned);
    let place = if country.is_empty() { "Not given yet".to_owned() } else { country };
    let note = if quote.tax_note.is_empty() { "Businesses can give their VAT number here." } else { &quote.tax_note };
    Cell::text(place).to("/account/billing").note(note)
}

/// While a VAT number is being checked the order waits for the answer.
fn vat_notice(quote: &billing::Quote, manner: &Manner) -> Option<Block> {
    let until = quote.vat_pending_until.as_ref()?;
    let text = format!(
        "We are checking your VAT number, which decides on the tax. That usually takes seconds: reload this page, then order. Without an answer you can order with tax from {} on.",
        manner.moment(Some(until))
    );
    Some(Block::note(Tone::Info, "One moment, please", text))
}

/// What the tax of a quote is called, with its rate or rates.
fn tax_label(quote: &billing::Quote, brand: &Brand) -> String {
    let mut rates: Vec<u32> = quote.lines.iter().map(|line| line.tax_rate_bp).collect();
    rates.sort_unstable();
    rates.dedup();
    let rates: Vec<String> = rates.into_iter().map(text::percent).collect();
    let name = [&quote.tax_name, &brand.tax_name].into_iter().find(|name| !name.is_empty());
    format!("{} {}", name.map_or("Tax", String::as_str), rates.join(", "))
}

/// What each renewal costs and when the first one comes.
fn renewal(quote: &billing::Quote, wanted: &Wanted, manner: &Manner) -> String {
    if quote.once && !wanted.is_trial {
        return format!("None: it ends on {} by itself.", manner.date(quote.renews_at.as_ref()));
    }
    let per = text::per(wanted.price.term.as_ref());
    let first = manner.money(quote.renewal_total.as_ref());
    let date = manner.date(quote.renews_at.as_ref());
    let regular = manner.money(quote.regular_total.as_ref());
    if quote.coupon.is_empty() || first == regular {
        return format!("{first} every {per}, first on {date}, until you cancel.");
    }
    match quote.coupon_periods {
        0 => format!("{first} every {per} with your coupon, first on {date}, until you cancel."),
        periods => format!(
            "{first} every {per}, first on {date}, while your coupon lasts ({}); then {regular}, until you cancel.",
            text::counted(u64::from(periods), "payment")
        ),
    }
}

/// The ways to pay that serve this order; nothing when nothing is paid today. `country` is the one the invoice will name.
async fn pay_ways(state: &AppState, visitor: &Visitor, due: Option<&Money>, country: &str) -> Vec<billing::PayWay> {
    match due.filter(|due| due.minor > 0) {
        Some(due) => methods::ways(state, &visitor.caller, &due.currency, country, Some(due.minor)).await,
        None => Vec::new(),
    }
}

async fn show_review(
    state: &AppState,
    visitor: &Visitor,
    ui: &Ui,
    wanted: &Wanted,
    failed: Option<&Failed>,
) -> Reply<Response> {
    let brand = &visitor.brand;
    let manner = manner(state, brand);
    let (quote, coupon_refused) = quote_or_plain(state, visitor, wanted).await?;
    // What is wrong with the coupon is said beside its field, once.
    let failed = failed.filter(|failed| coupon_refused.is_none() || failed.action != PLACE);
    let email = visitor.caller.account().map(|account| account.email.clone()).unwrap_or_default();
    let split = code::split(state, visitor, quote.due_now.as_ref()).await?;
    let due = manner.money(split.rest.as_ref());
    let renewal = renewal(&quote, wanted, &manner);
    let own = visitor.caller.account().map(|account| account.country.as_str()).unwrap_or_default();
    let country = if quote.tax_country.is_empty() { own } else { quote.tax_country.as_str() };
    let ways = pay_ways(state, visitor, split.rest.as_ref(), country).await;
    // Where there is a choice the form asks for it.
    let pay_by = match ways.as_slice() {
        [only] => methods::way_name(only).to_owned(),
        [] | [_, ..] => String::new(),
    };
    let is_free = split.rest.as_ref().is_some_and(|rest| rest.minor == 0);
    let submit = match (is_free, wanted.is_trial, &split.wallet) {
        (_, true, _) => "Start free trial".to_owned(),
        (true, false, Some(all)) => format!("Pay {} from your wallet", manner.money(Some(all))),
        (true, false, None) => "Order without paying".to_owned(),
        (false, false, _) => format!("Pay {due}"),
    };
    let consent = if wanted.is_trial {
        format!(
            "Start at once. After {} it goes on for {} per {}, which I get an invoice for, unless I cancel before.",
            text::counted(u64::from(quote.trial_days), "day"),
            manner.money(quote.renewal_total.as_ref()),
            text::per(wanted.price.term.as_ref()),
        )
    } else {
        "Start at once. I know that my right to withdraw ends when access is ready.".to_owned()
    };
    let form = Form::new("", PLACE, submit)
        .fields(fields(wanted.kept()))
        .field(Field::hidden("coupon", &quote.coupon))
        .field(Field::hidden("quote", &quote.id))
        .keyed()
        .fields(methods::way_field(&ways))
        // Who pays nothing today shows no payment method that could be remembered.
        .fields((!is_free && !quote.once).then(|| {
            Field::check("save_method", "Remember my payment method for renewals", true)
                .help("Otherwise you get an invoice to pay before each renewal.")
        }))
        .field(Field { is_required: true, ..Field::check("consent", consent, false) })
        .refused(failed);
    let page = vat_notice(&quote, &manner).into_iter().fold(Page::new("Review and pay"), Page::with);
    let page = page
        .with(Block::facts(
            "",
            vec![
                ("Account", Cell::text(email)),
                (
                    "Plan",
                    Cell::text(&wanted.version.name)
                        .note(format!("{} at a time", text::counted(u64::from(streams(&quote, wanted)), "stream"))),
                ),
                ("Renewal", Cell::text(renewal)),
                ("You pay by", Cell::text(pay_by)),
                ("Billing address", billed_to(&quote)),
            ],
        ))
        .with_some(options_form(&quote, wanted, &manner))
        .with(Block::Form(code::coupon_form(wanted, &quote.coupon, coupon_refused.as_ref())))
        .with(Block::Form(code::gift_form(wanted, &quote.coupon, failed)))
        .with(Block::Form(form));
    let mut totals = vec![
        ("Net".to_owned(), manner.money(quote.subtotal.as_ref())),
        (tax_label(&quote, brand), manner.money(quote.tax.as_ref())),
        ("Total".to_owned(), manner.money(quote.total.as_ref())),
    ];
    if quote.tax.as_ref().is_none_or(|tax| tax.minor == 0) {
        totals.drain(..2);
    }
    if let Some(wallet) = &split.wallet {
        let taken = Money { minor: -wallet.minor, ..wallet.clone() };
        totals.push(("From your wallet".to_owned(), manner.money(Some(&taken))));
    }
    let mut lines = lines_of(&quote, &manner);
    if wanted.is_trial {
        lines = vec![(
            format!("{} free", text::counted(u64::from(quote.trial_days), "day")),
            manner.money(quote.due_now.as_ref()),
        )];
        totals = vec![(
            format!("From {}, per {}", manner.date(quote.renews_at.as_ref()), text::per(wanted.price.term.as_ref())),
            manner.money(quote.renewal_total.as_ref()),
        )];
    }
    let refused = failed.map(|failed| &failed.refusal).or(coupon_refused.as_ref());
    draw_as(
        refused.map_or(StatusCode::OK, |refusal| refusal.status),
        &Checkout {
            frame: frame(brand, ui),
            page,
            step: 2,
            plan: wanted.version.name.clone(),
            lines,
            totals,
            due: if is_free { "Nothing today".to_owned() } else { due },
            note: format!("This offer holds until {}.", manner.moment(quote.expires_at.as_ref())),
        },
    )
}

/// `POST /checkout/account`: a new customer.
pub async fn account(
    State(state): State<AppState>,
    visitor: Visitor,
    ui: Ui,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    let wanted = wanted(&state, &visitor.brand, &ui, &sent).await?;
    match access::sign_up(&state, &visitor.brand, &ui.request, &sent).await {
        Ok(Entry::In(cookie)) => Ok(with_cookie(go(&wanted.href()), cookie)),
        Ok(Entry::Perhaps | Entry::Code(_) | Entry::Enrolling(_)) => {
            let note = Block::note(
                Tone::Info,
                "Do you have an account already?",
                "Sign in with it below. We also sent a mail to this address.",
            );
            let known = Failed { action: "/checkout/sign-in".into(), sent, refusal: Refusal::denied("", "") };
            let mut response = who(
                &state,
                &visitor.brand,
                &ui,
                &wanted,
                Some(&Failed { refusal: Refusal::invalid("", "", ""), ..known }),
                Some(note),
            )?;
            *response.status_mut() = StatusCode::OK;
            Ok(response)
        }
        Err(refusal) => {
            let failed = Failed { action: "/checkout/account".into(), sent, refusal };
            who(&state, &visitor.brand, &ui, &wanted, Some(&failed), None)
        }
    }
}

/// `POST /checkout/sign-in`: a customer who comes back; the plan is kept.
pub async fn sign_in(
    State(state): State<AppState>,
    visitor: Visitor,
    ui: Ui,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    let wanted = wanted(&state, &visitor.brand, &ui, &sent).await?;
    match access::sign_in(&state, Portal::Shop, Some(&visitor.brand), &ui.request, &sent).await {
        Ok(Entry::In(cookie) | Entry::Enrolling(cookie)) => Ok(with_cookie(go(&wanted.href()), cookie)),
        Ok(Entry::Code(challenge)) => {
            crate::pages::account::ask_code(&visitor.brand, &ui, &challenge, &wanted.href(), None)
        }
        Ok(Entry::Perhaps) => Ok(go(&wanted.href())),
        Err(refusal) => {
            let failed = Failed { action: "/checkout/sign-in".into(), sent, refusal };
            who(&state, &visitor.brand, &ui, &wanted, Some(&failed), None)
        }
    }
}

/// `POST /checkout/place`: the order, then the payment page.
pub async fn place(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    headers: HeaderMap,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    limits::order(&state, &ui.request).await?;
    let Customer { brand, account, caller } = customer;
    let visitor = Visitor { brand: brand.clone(), caller };
    let mut wanted = wanted(&state, &brand, &ui, &sent).await?;
    let device = Device::of(&state, brand.id, &headers, &ui.request);
    let cookie = device.cookie(&state, &ui.request)?;
    wanted.device = Some(device);
    if !sent.is_on("consent") {
        let refusal = Refusal::invalid("consent", "consent_missing", "Please tick this box to go on.");
        let failed = Failed { action: PLACE.into(), sent, refusal };
        return show_review(&state, &visitor, &ui, &wanted, Some(&failed)).await;
    }
    let origin = ui.request.origin();
    let key = sent.key()?;
    let asked = billing::PlaceOrderRequest {
        quote_id: sent.text("quote"),
        account_id: account.id.clone(),
        email: account.email.clone(),
        display_name: account.display_name.clone(),
        country: account.country.clone(),
        locale: if account.locale.is_empty() { brand.default_locale.clone() } else { account.locale.clone() },
        referral_code: referral::code(&headers, &ui.request).unwrap_or_default(),
        return_url: format!("{origin}/orders/{{order}}"),
        cancel_url: format!("{origin}/orders/{{order}}?back=1"),
        save_method: sent.is_on("save_method"),
        coupon: wanted.coupon.clone(),
        origin: wanted.device.as_ref().map(|device| device.origin(&ui.request)),
        provider_account_id: sent.text(methods::WAY),
    };
    let call = visitor.caller.call().idempotency_key(key.0);
    match state.clients.billing(&call).place_order(asked).await {
        Ok(reply) => {
            let reply = reply.into_inner();
            let order = format!("/orders/{}", reply.order.unwrap_or_default().id);
            let answer = if reply.checkout_url.is_empty() {
                go(&order)
            } else {
                leave(&brand, &ui, &reply.checkout_url, &order)?
            };
            Ok(with_cookie(answer, cookie))
        }
        Err(status) => {
            // A new offer is made for the page; what changed since is said above it.
            let chosen = Sent::from(vec![(methods::WAY.to_owned(), sent.text(methods::WAY))]);
            let failed = Failed { action: PLACE.into(), sent: chosen, refusal: status.into() };
            review_or_plain(&state, &visitor, &ui, wanted, Some(failed)).await
        }
    }
}

/// Sends the customer to the provider's page. A redirect would be blocked by our own rule that forms stay on this site.
pub fn leave(brand: &Brand, ui: &Ui, url: &str, order: &str) -> Reply<Response> {
    let is_web = url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if !is_web {
        return Err(Refusal::internal(&std::io::Error::other("the payment page's address is no web address")));
    }
    let mut frame = frame(brand, ui);
    frame.title = "Taking you to the payment page".into();
    url.clone_into(&mut frame.forward);
    frame.corner = vec![Link::new("Order", order)];
    draw_as(StatusCode::OK, &Leave { frame, order: order.to_owned() })
}

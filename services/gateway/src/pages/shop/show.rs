//! Home, plans and a plan, sent from memory as long as nothing they show has changed.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use ottery_proto::catalog::v1::Plan;
use serde_json::json;

use super::offer::{Choice, HomeTax, Offer, Shelf, shelf};
use super::words::{self, Question};
use crate::brand::{Brand, BrandHost};
use crate::cache::plan_not_found;
use crate::pages::frame::{Frame, Ui, manner};
use crate::pages::rendered::PageKey;
use crate::pages::text::Manner;
use crate::problem::{Refusal, Reply};
use crate::state::AppState;

/// Plans shown on the home page.
const ON_HOME_MAX: usize = 3;

fn choice(ui: &Ui) -> Choice {
    let cut = |name: &str| ui.query.get(name).chars().take(8).collect();
    Choice { currency: cut("currency"), term: cut("term") }
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    frame: Frame,
    tagline: String,
    shelf: Shelf,
    questions: Vec<Question>,
    trial_days: u32,
}

#[derive(Template)]
#[template(path = "plans.html")]
struct Plans {
    frame: Frame,
    shelf: Shelf,
    tax: String,
    support: String,
}

#[derive(Template)]
#[template(path = "plan.html")]
struct PlanPage {
    frame: Frame,
    offer: Offer,
    tax: String,
    terms: Vec<String>,
}

/// `/` on a brand's host.
pub async fn home(state: &AppState, brand: &Brand, ui: &Ui, headers: &HeaderMap) -> Reply<Response> {
    let plans = state.catalog.plans(brand, &ui.request).await?;
    let choice = choice(ui);
    state.pages.answer(PageKey::new(brand, &plans, ui, &choice), headers, || {
        home_html(brand, ui, &plans, &choice, &manner(state, brand)).map_err(|error| Refusal::internal(&error))
    })
}

/// The home page of these plans.
pub fn home_html(
    brand: &Brand,
    ui: &Ui,
    plans: &[Plan],
    choice: &Choice,
    manner: &Manner,
) -> Result<String, askama::Error> {
    let mut shelf = shelf(plans, choice, &brand.default_currency, &HomeTax::of(brand), manner);
    keep_most_wanted(&mut shelf.offers);
    let trial_days = shelf.offers.iter().map(|offer| offer.trial_days).max().unwrap_or(0);
    let questions = words::questions(brand, trial_days);
    let tagline =
        if brand.tagline.is_empty() { "Television, the way you like it.".to_owned() } else { brand.tagline.clone() };
    let mut frame = Frame::shop(brand, ui, &brand.name).public(ui, tagline.clone());
    frame.structured = structured(&json!({
        "@context": "https://schema.org",
        "@type": "FAQPage",
        "mainEntity": questions.iter().map(|question| json!({
            "@type": "Question",
            "name": question.title,
            "acceptedAnswer": { "@type": "Answer", "text": question.text },
        })).collect::<Vec<_>>(),
    }));
    Home { frame, tagline, shelf, questions, trial_days }.render()
}

/// As many as fit on the home page, in the order of the shop: what is sold for the usual term, and what is recommended, first.
fn keep_most_wanted(offers: &mut Vec<Offer>) {
    let mut wanted: Vec<usize> = (0..offers.len()).collect();
    wanted.sort_by_key(|at| offers.get(*at).map(|offer| (offer.price.is_none(), !offer.is_featured)));
    wanted.truncate(ON_HOME_MAX);
    let mut at = 0..;
    offers.retain(|_| at.next().is_some_and(|at| wanted.contains(&at)));
}

/// `/plans`
pub async fn plans(
    State(state): State<AppState>,
    BrandHost(brand): BrandHost,
    ui: Ui,
    request: Request,
) -> Reply<Response> {
    let plans = state.catalog.plans(&brand, &ui.request).await?;
    let choice = choice(&ui);
    state.pages.answer(PageKey::new(&brand, &plans, &ui, &choice), request.headers(), || {
        plans_html(&brand, &ui, &plans, &choice, &manner(&state, &brand)).map_err(|error| Refusal::internal(&error))
    })
}

/// The page of all these plans.
pub fn plans_html(
    brand: &Brand,
    ui: &Ui,
    plans: &[Plan],
    choice: &Choice,
    manner: &Manner,
) -> Result<String, askama::Error> {
    let shelf = shelf(plans, choice, &brand.default_currency, &HomeTax::of(brand), manner);
    let frame = Frame::shop(brand, ui, "Plans").public(ui, format!("All plans of {} with their prices.", brand.name));
    Plans { frame, shelf, tax: words::tax(brand), support: brand.support_email.clone() }.render()
}

/// `/plans/{slug}`
pub async fn plan(
    State(state): State<AppState>,
    BrandHost(brand): BrandHost,
    ui: Ui,
    request: Request,
) -> Reply<Response> {
    let plans = state.catalog.plans(&brand, &ui.request).await?;
    let choice = choice(&ui);
    state.pages.answer(PageKey::new(&brand, &plans, &ui, &choice), request.headers(), || {
        // Looked for only by who renders; taking the slug apart for every visitor would cost more than finding the page.
        let slug = ui.path.rsplit('/').next().unwrap_or_default();
        let plan = plans.iter().find(|plan| plan.slug == slug).ok_or_else(plan_not_found)?;
        let (home, manner) = (HomeTax::of(&brand), manner(&state, &brand));
        let found = shelf(std::slice::from_ref(plan), &choice, &brand.default_currency, &home, &manner);
        let offer = found.offers.into_iter().next().ok_or_else(Refusal::not_found)?;
        plan_html(&brand, &ui, offer).map_err(|error| Refusal::internal(&error))
    })
}

/// The page of one plan.
pub fn plan_html(brand: &Brand, ui: &Ui, offer: Offer) -> Result<String, askama::Error> {
    let mut frame = Frame::shop(brand, ui, &offer.name).public(ui, offer.summary.clone());
    frame.structured = structured(&json!({
        "@context": "https://schema.org",
        "@type": "Product",
        "name": offer.name,
        "description": offer.summary,
        "brand": { "@type": "Brand", "name": brand.name },
        "offers": offer.prices.iter().map(|price| json!({
            "@type": "Offer",
            "price": price.decimal,
            "priceCurrency": price.currency,
            "availability": "https://schema.org/InStock",
            "url": format!("{}{}", ui.request.origin(), ui.path),
        })).collect::<Vec<_>>(),
    }));
    let terms = words::renewal(brand, &offer);
    PlanPage { frame, offer, tax: words::tax(brand), terms }.render()
}

/// JSON that may stand inside an HTML element.
fn structured(value: &serde_json::Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

/// `/sitemap.xml`
pub async fn sitemap(State(state): State<AppState>, BrandHost(brand): BrandHost, ui: Ui) -> Reply<Response> {
    let plans = state.catalog.plans(&brand, &ui.request).await?;
    let origin = ui.request.origin();
    let mut paths =
        vec!["/".to_owned(), "/plans".into(), "/help".into(), "/legal/terms".into(), "/legal/privacy".into()];
    paths.extend(plans.iter().map(|plan| format!("/plans/{}", plan.slug)));
    let entries: String =
        paths.iter().map(|path| format!("<url><loc>{}</loc></url>", xml(&format!("{origin}{path}")))).collect();
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">{entries}</urlset>\n"
    );
    let headers = [(header::CONTENT_TYPE, "application/xml"), (header::CACHE_CONTROL, "public, max-age=300")];
    Ok((headers, body).into_response())
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// `/robots.txt`: shops may be found, a shop that is not open or on a test clock may not.
pub async fn robots(BrandHost(brand): BrandHost, ui: Ui) -> Response {
    let is_open = brand.published;
    let rules = if is_open {
        format!(
            "User-agent: *\nDisallow: /account\nDisallow: /checkout\nDisallow: /orders\nDisallow: /api\n\nSitemap: {}/sitemap.xml\n",
            ui.request.origin()
        )
    } else {
        "User-agent: *\nDisallow: /\n".to_owned()
    };
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, rules).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structured_data_cannot_end_its_element() {
        assert!(!structured(&json!({ "name": "</script><script>" })).contains('<'));
    }

    #[test]
    fn the_home_page_keeps_the_order_of_the_shop() {
        let offer = |name: &str, is_featured, is_sold: bool| Offer {
            name: name.into(),
            is_featured,
            price: is_sold.then(super::super::offer::PriceView::default),
            ..Offer::default()
        };
        let mut offers = vec![
            offer("day", true, false),
            offer("one", false, true),
            offer("two", true, true),
            offer("six", true, true),
        ];
        keep_most_wanted(&mut offers);
        let names: Vec<_> = offers.iter().map(|offer| offer.name.as_str()).collect();
        assert_eq!(names, ["one", "two", "six"]);
    }

    #[test]
    fn addresses_in_a_sitemap_are_escaped() {
        assert_eq!(xml("https://a.example/?a&b"), "https://a.example/?a&amp;b");
    }
}

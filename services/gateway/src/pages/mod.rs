//! Pages for people: rendered here, usable without a script.

mod access;
mod account;
mod addons;
mod assets;
mod block;
mod explain;
mod frame;
#[cfg(test)]
mod gallery;
mod options;
mod qr;
mod rendered;
mod shop;
mod staff;
mod text;
mod words;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};

use block::{Link, Sent};
use frame::{Frame, THEME_COOKIE, Ui, draw_as, go, local, quoted, with_cookie};

pub use rendered::Rendered;
pub(crate) use shop::proof::download;

use crate::brand::Site;
use crate::limits::Form as Body;
use crate::problem::{Refusal, Reply};
use crate::request::RequestInfo;
use crate::state::AppState;

/// All pages, and the files they use.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/", get(home))
        .route("/theme", post(theme))
        .route("/assets/{name}", get(assets::serve))
        .merge(shop::router())
        .merge(account::router())
        .merge(staff::router())
}

/// `/`: the storefront, or the way to the staff area.
async fn home(State(state): State<AppState>, site: Site, ui: Ui, headers: HeaderMap) -> Reply<Response> {
    match site {
        Site::Brand(brand) => shop::home(&state, &brand, &ui, &headers).await,
        Site::Staff => Ok(go("/staff")),
    }
}

/// `POST /theme`: light, dark, or as the system says.
async fn theme(ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let secure = if ui.request.is_secure { "; Secure" } else { "" };
    let (value, age_s) = match sent.get("theme") {
        "light" => ("light", 31_536_000),
        "dark" => ("dark", 31_536_000),
        _ => ("", 0),
    };
    let cookie = format!("{THEME_COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age_s}{secure}");
    let cookie = HeaderValue::try_from(cookie).map_err(|error| Refusal::internal(&error))?;
    Ok(with_cookie(go(local(sent.get("next"), "/")), cookie))
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    frame: Frame,
    status: u16,
    title: String,
    text: String,
    code: String,
    request_id: String,
    links: Vec<Link>,
}

/// The page a refused request belongs to: what is sent goes to a path below it.
fn page_of(method: &Method, uri: &Uri) -> String {
    if method.is_safe() {
        return uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    }
    above(uri.path()).to_owned()
}

/// The page a path for sending lies below. Without a price there is no checkout, so that leads back to the plans.
fn above(path: &str) -> &str {
    match path.rsplit_once('/').map(|(page, _)| page) {
        None | Some("") => "/",
        Some("/checkout") => "/plans",
        Some(page) => page,
    }
}

/// A refusal as a page. `site` is absent when the host name is nobody's: the page then names nobody.
pub async fn problem(
    _state: &AppState,
    request: &RequestInfo,
    site: Option<&Site>,
    method: &Method,
    uri: &Uri,
    refusal: &Refusal,
) -> Response {
    // To a person an address with a mistake in it is an address of nothing.
    let nothing = Refusal::not_found();
    let refusal = if method.is_safe() && is_malformed(refusal) { &nothing } else { refusal };
    let page = page_of(method, uri);
    let way = match (site, refusal.code.as_str()) {
        (Some(Site::Brand(_)), "sign_in_required") => Some(format!("/account/sign-in?next={}", quoted(&page))),
        (Some(Site::Staff), "sign_in_required") => Some(format!("/staff/sign-in?next={}", quoted(&page))),
        (Some(Site::Brand(_)), "reauth_required") => Some(format!("/account/confirm?next={}", quoted(&page))),
        (Some(Site::Staff), "reauth_required") => Some(format!("/staff/confirm?next={}", quoted(&page))),
        (Some(Site::Staff), "enrolment_required") => Some("/staff/enrol".to_owned()),
        // What a form's answer was is looked at again, for example by loading the page again.
        (Some(_), "method_not_allowed") if method.is_safe() => Some(above(uri.path()).to_owned()),
        _ => None,
    };
    if let Some(way) = way.filter(|way| !way.starts_with(&format!("{}?", uri.path()))) {
        return go(&way);
    }
    let ui = Ui::read(request.clone(), &HeaderMap::new(), uri);
    let (title, text) = words(refusal);
    let (frame, mut links) = match site {
        Some(Site::Brand(brand)) => {
            (Frame::shop(brand, &ui, &title), vec![Link::new("Home", "/"), Link::new("Help", "/help")])
        }
        Some(Site::Staff) => (
            Frame { home: "/staff".into(), name: "Staff".into(), ..Frame::nobody(&ui, &title) },
            vec![Link::new("Staff area", "/staff")],
        ),
        None => (Frame::nobody(&ui, &title), Vec::new()),
    };
    if refusal.is("cursor_invalid") {
        links.insert(0, Link::new("To the beginning of the list", uri.path()));
    }
    if refusal.is("price_gone") || uri.path() == "/checkout" {
        links.insert(0, Link::new("See plans", "/plans"));
    }
    let is_below = uri.path().matches('/').count() > 2;
    if !method.is_safe() && site.is_some() {
        links.insert(0, Link::new("Back", page));
    } else if refusal.status == StatusCode::CONFLICT && site.is_some() && is_below {
        links.insert(0, Link::new("Back", above(uri.path())));
    }
    let shown = ProblemPage {
        frame,
        status: refusal.status.as_u16(),
        title,
        text,
        code: refusal.code.clone(),
        request_id: request.id.clone(),
        links,
    };
    draw_as(refusal.status, &shown).unwrap_or_else(|_| refusal.status.into_response())
}

/// Whether an id in the address is none.
fn is_malformed(refusal: &Refusal) -> bool {
    matches!(refusal.code.as_str(), "id_invalid" | "id_malformed")
}

/// What happened and what to do, in plain words.
fn words(refusal: &Refusal) -> (String, String) {
    let told = block::sentence(&refusal.detail);
    let (title, text) = match refusal.status {
        _ if is_malformed(refusal) => {
            ("Nothing to do that with", "What you sent is about something that is not there.".to_owned())
        }
        _ if refusal.is("cursor_invalid") => {
            ("That list has changed", "This part of it cannot be shown any more.".to_owned())
        }
        StatusCode::NOT_FOUND => (
            "Page not found",
            "There is nothing at this address. It may have moved, or the link was cut short.".to_owned(),
        ),
        StatusCode::MISDIRECTED_REQUEST => {
            ("Nothing here", "Nothing is served under this host name. Check the address.".to_owned())
        }
        StatusCode::FORBIDDEN => ("Not allowed", told),
        StatusCode::TOO_MANY_REQUESTS => ("A little slower, please", told),
        StatusCode::SERVICE_UNAVAILABLE => ("Back in a moment", told),
        StatusCode::GATEWAY_TIMEOUT => ("That took too long", told),
        StatusCode::CONFLICT => ("That cannot be done now", told),
        StatusCode::GONE => ("No longer available", told),
        status if status.is_server_error() => (
            "Something went wrong on our side",
            "We know about it. Try again in a moment; if it happens again, tell us the request below.".to_owned(),
        ),
        _ => ("That did not work", told),
    };
    (title.to_owned(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_belongs_to_the_page_above() {
        let uri: Uri = "/account/services/svc_1/reveal".parse().unwrap();
        assert_eq!(page_of(&Method::POST, &uri), "/account/services/svc_1");
        assert_eq!(page_of(&Method::GET, &uri), "/account/services/svc_1/reveal");
        assert_eq!(above("/checkout/place"), "/plans");
        assert_eq!(above("/theme"), "/");
    }

    #[test]
    fn nobody_reads_how_an_id_is_written() {
        let refusal = Refusal::invalid("order_id", "id_invalid", "order_id: expected an id that starts with `ord_`");
        let (_, text) = words(&refusal);
        assert!(!text.contains('_'), "{text}");
    }

    #[test]
    fn a_failure_of_ours_tells_nothing_of_ours() {
        let refusal = Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "column does not exist");
        assert!(!words(&refusal).1.contains("column"));
    }
}

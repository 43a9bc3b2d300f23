//! What every request passes before its handler, and every answer after it.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use ottery_kernel::BrandId;
use ottery_kit::grpc::scope_with;
use ottery_kit::telemetry::{Counter, Histogram, KeyValue, Level, Metrics, Series};
use tokio::time::Instant;

use crate::brand::{Brand, Site};
use crate::headers::{self, RouteClass};
use crate::limits::Budget;
use crate::problem::Refusal;
use crate::request::RequestInfo;
use crate::state::AppState;
use crate::{csrf, limits, pages};

/// Drawing a PDF, and testing a panel that is slow or away.
const SLOW_TIMEOUT: Duration = Duration::from_secs(40);
/// Testing a panel step by step, with a line that is removed whatever the panel answers.
const STEPS_TIMEOUT: Duration = Duration::from_secs(125);
/// Ends of route templates that may take so long.
const SLOW_ROUTES: [(&str, Duration); 4] =
    [("/pdf", SLOW_TIMEOUT), ("/probe", SLOW_TIMEOUT), ("/catalog", SLOW_TIMEOUT), ("/diagnosis", STEPS_TIMEOUT)];

/// What the duration of a request is labelled with besides its route; the brand by its id.
type Kind = (&'static str, StatusCode, Option<BrandId>);

/// Rate, errors and duration of what was asked.
#[derive(Debug)]
pub struct Measures {
    seconds: Histogram,
    /// Samples of it, by kind and route, so that a request does not have to spell out its labels to find its own.
    known: RwLock<HashMap<Kind, HashMap<String, Series>>>,
    at_work: Level,
    shed: Counter,
    panics: Counter,
}

impl Measures {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            seconds: metrics
                .histogram("ottery_gateway_http_seconds", "Time of HTTP requests by route, status and brand"),
            known: RwLock::default(),
            at_work: metrics.gauge("ottery_gateway_http_at_work", "HTTP requests being answered").level(&[]),
            shed: metrics.counter("ottery_gateway_http_shed", "HTTP requests refused because too many were at work"),
            panics: metrics.counter("ottery_gateway_http_panics", "Handlers that panicked"),
        }
    }
}

impl Measures {
    fn answered(&self, method: &'static str, route: &str, status: StatusCode, brand: Option<&Brand>, took: Duration) {
        let kind = (method, status, brand.map(|brand| brand.id));
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known.get(&kind).and_then(|routes| routes.get(route)) {
            return series.observe_duration(took);
        }
        drop(known);
        let brand = brand.map_or("", |brand| brand.slug.as_str());
        let labels = [("method", method), ("route", route), ("status", status.as_str()), ("brand", brand)];
        let series = self.seconds.series(&labels);
        series.observe_duration(took);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(kind).or_default().insert(route.to_owned(), series);
    }
}

/// The outermost layer.
pub(crate) async fn handle(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (mut parts, body) = request.into_parts();
    let info = RequestInfo::read(&parts, &state.config.http);
    parts.extensions.insert(info.clone());
    let matched = parts.extensions.get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("(none)", MatchedPath::as_str);
    let method = known_method(&parts.method);
    let class = RouteClass::of(parts.uri.path());
    let parent = parts.headers.get("traceparent").and_then(|parent| parent.to_str().ok());
    let span = state.spans.start(format!("{method} {route}"), parent);
    let work = async {
        let request = Request::from_parts(parts, body);
        let (response, site) = respond(&state, &info, class, route, request, next).await;
        let brand = site.as_ref().and_then(Site::brand).map(Arc::as_ref);
        state.measures.answered(method, route, response.status(), brand, started.elapsed());
        (response, brand.map(|brand| brand.content.id.clone()))
    };
    let (response, brand) = span.around(work).await;
    let status = response.status();
    let known = [
        KeyValue::new("http.method", method),
        KeyValue::new("http.route", route.to_owned()),
        KeyValue::new("http.status", i64::from(status.as_u16())),
        KeyValue::new("request.id", info.id.clone()),
    ];
    let brand = brand.map(|brand| KeyValue::new("brand.id", brand));
    span.end(known.into_iter().chain(brand), status.is_server_error());
    response
}

async fn respond(
    state: &AppState,
    info: &RequestInfo,
    class: RouteClass,
    route: &str,
    request: Request,
    next: Next,
) -> (Response, Option<Site>) {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut site = None;
    let mut budget = None;
    state.measures.at_work.add(1.0);
    let work = pass(state, info, class, route, request, next, &mut site, &mut budget);
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    state.measures.at_work.add(-1.0);
    let mut response = match outcome {
        Ok(Ok(response)) => response,
        Ok(Err(refusal)) => refusal.into_response(),
        Err(_) => {
            state.measures.panics.inc(&[("route", route)]);
            tracing::error!(http.route = route, request.id = info.id, "a handler panicked");
            Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "something went wrong on our side; the request id finds it in the logs",
            )
            .into_response()
        }
    };
    if let Some(refusal) = refusal_of(&mut response) {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = match class {
            RouteClass::Page => pages::problem(state, info, site.as_ref(), &method, &uri, &refusal).await,
            RouteClass::Api | RouteClass::Asset | RouteClass::Webhook | RouteClass::Probe => {
                refusal.clone().into_json(&info.id)
            }
        };
        refusal.add_headers(&mut response);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    if let Some(budget) = budget {
        budget.add_headers(response.headers_mut());
    }
    headers::secure(&mut response, class, info);
    (response, site)
}

#[expect(
    clippy::too_many_arguments,
    reason = "the steps of one pipeline; the last two tell the caller how far it came"
)]
async fn pass(
    state: &AppState,
    info: &RequestInfo,
    class: RouteClass,
    route: &str,
    mut request: Request,
    next: Next,
    site: &mut Option<Site>,
    budget: &mut Option<Budget>,
) -> Result<Response, Refusal> {
    if class == RouteClass::Probe {
        return Ok(next.run(request).await);
    }
    let Ok(_permit) = state.admission.try_acquire() else {
        state.measures.shed.inc(&[]);
        return Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded",
            "too much is going on; try again in a moment",
        ));
    };
    let slow = SLOW_ROUTES.iter().find(|(end, _)| route.ends_with(end));
    let timeout = slow.map_or_else(|| state.config.http.timeout(), |(_, timeout)| *timeout);
    let deadline = Instant::now() + timeout;
    // Whatever a handler calls may not take longer than the request itself; without a context a call is ours.
    let caller = info.clone();
    let context = move || caller.own_call(None).deadline(deadline);
    let work = async {
        if class != RouteClass::Webhook {
            *budget = Some(limits::client(state, info).await?);
        }
        // Files are the same for everybody; providers call whatever name we are reached by. Known before anything is refused,
        // so that the page that says so is the brand's.
        if !matches!(class, RouteClass::Asset | RouteClass::Webhook) {
            let found = resolve(state, info).await?;
            *site = Some(found.clone());
            request.extensions_mut().insert(found);
        }
        csrf::check(request.method(), class, request.headers(), info)?;
        Ok(next.run(request).await)
    };
    match tokio::time::timeout_at(deadline, scope_with(context, work)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Refusal::new(
            StatusCode::GATEWAY_TIMEOUT,
            "timeout",
            "this took too long; look whether it was done before trying again",
        )),
    }
}

async fn resolve(state: &AppState, info: &RequestInfo) -> Result<Site, Refusal> {
    if state.config.http.admin_hosts.iter().any(|host| host.eq_ignore_ascii_case(&info.host)) {
        return Ok(Site::Staff);
    }
    state.catalog.brand(info).await.map(Site::Brand)
}

/// The refusal an answer carries; errors that axum or a layer wrote by themselves become one as well.
fn refusal_of(response: &mut Response) -> Option<Refusal> {
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        return Some(refusal);
    }
    let status = response.status();
    let is_written = response.headers().contains_key(header::CONTENT_TYPE)
        && !response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if is_written || !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    Some(match status {
        StatusCode::NOT_FOUND => Refusal::not_found(),
        StatusCode::METHOD_NOT_ALLOWED => {
            Refusal::new(status, "method_not_allowed", "this address takes other methods")
        }
        StatusCode::BAD_REQUEST => {
            Refusal::new(status, "request_invalid", "the address or its parameters cannot be read")
        }
        _ => Refusal::new(status, "refused", "the request was refused"),
    })
}

/// Methods are a label; invented ones must not become label values.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

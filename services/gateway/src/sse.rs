//! Live streams. A hint makes the stream look again; what it sends is always the present state, read with the rights of
//! whoever watches. Without hints it looks by itself.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::Instant;

use crate::csrf;
use crate::hints::Hint;
use crate::problem::{Refusal, Reply};
use crate::progress::{self, Progress};
use crate::request::text;
use crate::session::Caller;
use crate::state::AppState;

/// A stream looks again after this time although nobody said that anything changed.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// A sign of life on a quiet stream.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A stream ends after this time; the browser opens the next one, with rights checked anew.
const LIFE: Duration = Duration::from_secs(600);
/// Longest time one look may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);
/// Several hints of one change are one look.
const SETTLE: Duration = Duration::from_millis(15);
/// How long a browser waits before it opens the stream again.
const RETRY: Duration = Duration::from_millis(1500);

struct Watch {
    state: AppState,
    caller: Caller,
    order_id: String,
    /// What a hint about this order mentions.
    ids: Vec<String>,
    hints: Receiver<Arc<Hint>>,
    seen: String,
    ends: Instant,
    /// Sent with the first answer, before any waiting.
    first: Option<(String, String)>,
    is_finished: bool,
    _place: tokio::sync::OwnedSemaphorePermit,
}

/// The progress of an order as it happens.
pub(crate) async fn order(state: AppState, caller: Caller, headers: &HeaderMap, order_id: String) -> Reply<Response> {
    csrf::check_stream(headers, &caller.request)?;
    let full = || {
        Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "streams_full",
            "too many live streams are open; ask for the order instead",
        )
    };
    let place = state.streams.clone().try_acquire_owned().map_err(|_| full())?;
    // Listening begins before the first look, so that nothing falls between.
    let hints = state.hints.watch();
    let mut watch = Watch {
        hints,
        ids: Vec::new(),
        seen: text(headers, "last-event-id").unwrap_or_default(),
        ends: Instant::now() + LIFE,
        first: None,
        is_finished: false,
        _place: place,
        state,
        caller,
        order_id,
    };
    watch.first = watch.look().await?;
    let events = futures::stream::unfold(watch, |mut watch| async move {
        let (id, data) = watch.next().await?;
        let event = Event::default().event("progress").id(id).retry(RETRY).data(data);
        Some((Ok::<_, Infallible>(event), watch))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response();
    // A proxy that collects answers would make this no stream.
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    Ok(response)
}

impl Watch {
    /// The state, when it is another one than was sent last; with the id that resumes behind it.
    async fn look(&mut self) -> Reply<Option<(String, String)>> {
        let (detail, service) = progress::read(&self.state, &self.caller, &self.order_id).await?;
        self.ids = [
            Some(self.order_id.clone()),
            detail.subscription.as_ref().map(|subscription| subscription.id.clone()),
            detail.invoice.as_ref().map(|invoice| invoice.id.clone()),
            service.as_ref().map(|service| service.id.clone()),
        ]
        .into_iter()
        .flatten()
        .chain(detail.payments.iter().map(|payment| payment.id.clone()))
        .collect();
        let progress = Progress::of(&detail, service.as_ref());
        self.is_finished = progress.is_finished;
        let data = serde_json::to_string(&progress).map_err(|error| Refusal::internal(&error))?;
        let id = hex::encode(&Sha256::digest(&data)[..8]);
        if id == self.seen {
            return Ok(None);
        }
        self.seen.clone_from(&id);
        Ok(Some((id, data)))
    }

    async fn next(&mut self) -> Option<(String, String)> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            if self.is_finished || self.state.host.shutdown.is_cancelled() || Instant::now() >= self.ends {
                return None;
            }
            self.wait().await;
            if !self.is_still_allowed().await {
                return None;
            }
            match tokio::time::timeout(LOOK_TIMEOUT, self.look()).await {
                Ok(Ok(Some(change))) => return Some(change),
                Ok(Ok(None)) | Err(_) => {}
                Ok(Err(refusal)) if refusal.status.is_server_error() => {}
                // Not theirs any more, or gone.
                Ok(Err(_)) => return None,
            }
        }
    }

    /// Until a hint about this order, or long enough.
    async fn wait(&mut self) {
        let until = (Instant::now() + LOOK_EVERY).min(self.ends);
        let shutdown = self.state.host.shutdown.clone();
        loop {
            let hint = tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                () = shutdown.cancelled() => return,
                hint = self.hints.recv() => hint,
            };
            match hint {
                Ok(hint) if self.is_about_us(&hint) => {
                    tokio::time::sleep(SETTLE).await;
                    // Those that came meanwhile are answered by the same look.
                    self.hints = self.hints.resubscribe();
                    return;
                }
                Ok(_) => {}
                // Some were missed, perhaps ours.
                Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => {
                    tokio::time::sleep_until(until).await;
                    return;
                }
            }
        }
    }

    /// Before the first service exists nothing but the chain of causes ties its events to the order, so in the brand any
    /// event about a service is worth a look.
    fn is_about_us(&self, hint: &Hint) -> bool {
        let is_brands = self.caller.actor.brand.is_some_and(|brand| hint.brand_id == brand.to_string());
        let is_known = self.ids.contains(&hint.aggregate_id);
        let is_unknown_service =
            hint.kind.starts_with("provisioning.service.") && !self.ids.iter().any(|id| id.starts_with("svc_"));
        is_brands && (is_known || is_unknown_service)
    }

    /// A session that ended meanwhile reads no further.
    async fn is_still_allowed(&self) -> bool {
        let Some(session) = &self.caller.session else { return false };
        if session.account.is_none() {
            return true;
        }
        let (brand, request) = (self.caller.actor.brand, &self.caller.request);
        let portal = match self.caller.actor.kind {
            ottery_kit::grpc::ActorKind::Staff => crate::session::Portal::Staff,
            _ => crate::session::Portal::Shop,
        };
        match self.state.sessions.of_cookie(portal, &session.secret, brand, request).await {
            Ok(session) => session.is_some(),
            Err(_) => true,
        }
    }
}

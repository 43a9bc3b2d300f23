//! What surrounds every page: whose it is, where one is, what just happened.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use ottery_proto::catalog::v1::test_clock::State as ClockState;

use super::assets::{self, NAMES};
use super::block::{Block, Failed, Link, Note, Sent, Tone};
use super::text::{Manner, instant};
use crate::brand::Brand;
use crate::problem::Refusal;
use crate::request::RequestInfo;
use crate::session;
use crate::state::AppState;

/// Cookie of the chosen colour scheme.
pub const THEME_COOKIE: &str = "ottery_theme";

/// What pages need to know of their request.
#[derive(Clone, Debug)]
pub struct Ui {
    /// The request.
    pub request: RequestInfo,
    /// `light`, `dark`, or empty for what the system says.
    pub theme: &'static str,
    /// Path of the page.
    pub path: String,
    /// Its query, without `?`.
    pub query: Sent,
    /// Plain HTTP.
    pub is_demo: bool,
}

impl Ui {
    pub(crate) fn read(request: RequestInfo, headers: &HeaderMap, uri: &axum::http::Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let theme = match session::cookie(headers, THEME_COOKIE).as_deref() {
            Some("light") => "light",
            Some("dark") => "dark",
            _ => "",
        };
        Self { is_demo: !request.is_secure, request, theme, path: uri.path().to_owned(), query: pairs.into() }
    }

    /// The cursor of the page of a list.
    #[must_use]
    pub fn page(&self) -> Option<ottery_proto::common::v1::PageRequest> {
        Some(ottery_proto::common::v1::PageRequest { cursor: self.query.text("cursor"), limit: 25 })
    }
}

impl<S: Sync> FromRequestParts<S> for Ui {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let request = RequestInfo::from_request_parts(parts, state).await?;
        Ok(Self::read(request, &parts.headers, &parts.uri))
    }
}

/// What surrounds a page.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// Of the tab and, where pages are made of blocks, of the page.
    pub title: String,
    /// For search engines.
    pub description: String,
    /// Name at the top.
    pub name: String,
    /// Logo as data URI; empty for a text mark.
    pub logo: String,
    /// Where the name leads.
    pub home: String,
    /// Language of the page's text.
    pub lang: &'static str,
    /// See [`Ui::theme`].
    pub theme: &'static str,
    /// Style sheets.
    pub styles: Vec<String>,
    /// The script.
    pub script: String,
    /// The icon.
    pub icon: String,
    /// Ways to other pages.
    pub menu: Vec<Link>,
    /// Ways within the section being shown.
    pub rail: Vec<Link>,
    /// Name of that section.
    pub rail_name: &'static str,
    /// Right at the top, for example the account.
    pub corner: Vec<Link>,
    /// Ways at the bottom.
    pub footer: Vec<Link>,
    /// Said at the bottom.
    pub imprint: Vec<String>,
    /// Said above everything: a test clock, a demo mode.
    pub banners: Vec<String>,
    /// What just happened.
    pub flash: Option<Note>,
    /// Absolute address of the page; empty when search engines should not keep it.
    pub canonical: String,
    /// Structured data as JSON; empty for none.
    pub structured: String,
    /// Seconds until the page loads again without script; 0 for never.
    pub refresh_s: u32,
    /// Seconds until the page loads again, script or not; 0 for never.
    pub reload_s: u32,
    /// Where the page goes by itself; empty for nowhere.
    pub forward: String,
    /// Path of the page.
    pub path: String,
    /// Who is signed in.
    pub who: String,
    /// Where signing out goes; empty when nobody is signed in.
    pub sign_out: String,
}

impl Frame {
    fn bare(ui: &Ui, title: &str) -> Self {
        Self {
            title: title.to_owned(),
            lang: "en",
            theme: ui.theme,
            styles: vec![NAMES.style.clone()],
            script: NAMES.script.clone(),
            icon: NAMES.icon.clone(),
            path: ui.path.clone(),
            home: "/".to_owned(),
            flash: done(ui.query.get("done")),
            ..Self::default()
        }
    }

    /// A page that belongs to nobody.
    #[must_use]
    pub fn nobody(ui: &Ui, title: &str) -> Self {
        Self::bare(ui, title)
    }

    /// A page of a brand's storefront or account.
    #[must_use]
    pub fn shop(brand: &Brand, ui: &Ui, title: &str) -> Self {
        let at = |label: &str, href: &str| Link { is_current: ui.path == href, ..Link::new(label, href) };
        let entity = brand.entity.clone().unwrap_or_default();
        let mut imprint = vec![entity.name.clone()];
        imprint.extend(entity.address_lines.iter().cloned());
        if !entity.tax_id.is_empty() {
            imprint.push(format!("Tax ID {}", entity.tax_id));
        }
        imprint.retain(|line| !line.is_empty());
        let mut frame = Self::bare(ui, title);
        frame.name.clone_from(&brand.name);
        frame.logo = brand
            .tokens
            .as_ref()
            .map(|tokens| tokens.logo.clone())
            .filter(|logo| logo.starts_with("data:image/"))
            .unwrap_or_default();
        frame.styles.push(assets::brand_style(brand));
        frame.icon = assets::brand_icon(brand);
        frame.menu = vec![
            at("Plans", "/plans"),
            at("How it works", "/#how"),
            at("Questions", "/#questions"),
            at("Help", "/help"),
        ];
        frame.corner = vec![at("Account", "/account")];
        frame.footer = vec![
            Link::new("Plans", "/plans"),
            Link::new("Help", "/help"),
            Link::new("Terms", "/legal/terms"),
            Link::new("Privacy", "/legal/privacy"),
            Link::new("Account", "/account"),
        ];
        frame.imprint = imprint;
        frame.banners = banners(brand, ui);
        frame
    }

    /// With this address for search engines.
    #[must_use]
    pub fn public(mut self, ui: &Ui, description: impl Into<String>) -> Self {
        self.canonical = format!("{}{}", ui.request.origin(), ui.path);
        self.description = description.into();
        self
    }
}

fn banners(brand: &Brand, ui: &Ui) -> Vec<String> {
    let mut banners = Vec::new();
    if let Some(now) = test_now(brand) {
        let manner = manner_at(brand, now);
        banners.push(format!(
            "Test clock: for this shop it is {}.",
            now.with_timezone(&manner.zone).format("%-d %b %Y, %H:%M")
        ));
    }
    if ui.is_demo {
        banners
            .push("Demo mode: this connection is not encrypted. Do not use a password you need elsewhere.".to_owned());
    }
    banners
}

fn test_now(brand: &Brand) -> Option<chrono::DateTime<chrono::Utc>> {
    let clock = brand.test_clock.as_ref()?;
    let is_on = matches!(clock.state(), ClockState::Ready | ClockState::Advancing);
    is_on.then(|| instant(clock.now.as_ref())).flatten()
}

fn manner_at(brand: &ottery_proto::catalog::v1::Brand, now: chrono::DateTime<chrono::Utc>) -> Manner {
    let zone = brand.time_zone.parse().unwrap_or(chrono_tz::Tz::UTC);
    Manner { locale: brand.default_locale.clone(), zone, now }
}

/// How a brand writes numbers, and its time.
#[must_use]
pub fn manner(state: &AppState, brand: &Brand) -> Manner {
    manner_at(brand, test_now(brand).unwrap_or_else(|| state.host.clock.now()))
}

/// Texts of what just happened, by the word that travels in the address.
pub(crate) fn done(code: &str) -> Option<Note> {
    let (title, text) = match code {
        "saved" => ("Saved", ""),
        "created" => ("Created", ""),
        "account-tested" => ("It works", "The provider answers, and the key is good."),
        "method-removed" => ("Removed", "Nothing is charged to it any more."),
        "published" => ("Published", "New orders get this version from now on."),
        "archived" => ("Archived", "Existing subscriptions go on; nobody new can buy it."),
        "coupon-archived" => ("Archived", "Nobody new can use it; who has it keeps it."),
        "signed-out" => ("Signed out", "See you soon."),
        "cancelled" => {
            ("Cancelled", "Nothing will be charged any more; you keep access until the end of the period you paid for.")
        }
        "change-later" => ("Noted", "The new plan begins with the next renewal."),
        "announced" => ("Announced", "Every customer concerned gets a mail with the price and the day."),
        "moved" => ("Noted", "It renews on the new day from the next renewal on."),
        "paused" => ("Paused", "Nothing is charged while it is paused, and what is left of the paid time is kept."),
        "unpaused" => ("Welcome back", "The time that was left goes on from now."),
        "transferred" => ("Transferred", "It belongs to the other customer now."),
        "resumed" => ("Welcome back", "Your subscription goes on as before."),
        "replied" => ("Sent", "We added your message."),
        "noted" => ("Noted", "Only staff can read this."),
        "opened" => ("We got your message", "You get an answer here and by e-mail."),
        "closed" => ("Closed", "Reply at any time to open it again."),
        "joined" => ("You are in", "Share your link; commissions show up here."),
        "password" => ("Password changed", "All other devices were signed out."),
        "reset-sent" => {
            ("Check your mail", "If there is an account with this address, a link to a new password is on its way.")
        }
        "reset" => ("Password changed", "Sign in with your new password."),
        "verify-sent" => ("Check your mail", "A link to confirm your address is on its way."),
        "verified" => ("Address confirmed", "Thank you."),
        "revoked" => ("Done", "That device has to sign in again."),
        "enrolled" => ("Second factor is on", "From now on a code is asked for at sign-in."),
        "removed" => ("Second factor is off", ""),
        "charging" => ("On its way", "Your saved method is being charged; the money shows up here in a moment."),
        "redeemed" => ("Redeemed", "It is in your wallet and pays your next invoices."),
        "code-redeemed" => ("Redeemed", "It pays this order; what is left stays in your wallet."),
        "codes-void" => ("Void", "Nobody can redeem what was left of them."),
        "converted" => ("Converted", "The audit chain says who did it, at which rate and why."),
        "granted" => ("Granted", "It pays the customer's next invoice."),
        "month-closed" => ("Closed", "Nothing is booked into this month any more."),
        "month-opened" => ("Opened again", "The audit chain says who did it and why."),
        "retried" => ("Trying again", "The result shows up here in a moment."),
        "tested" => ("Connection tested", "The result is below."),
        "refunded" => ("Refund started", "The provider's answer shows up below."),
        "suspended" => ("Suspended", "Access is being switched off on the panel."),
        "unsuspended" => ("Suspension lifted", "Access is being switched on again."),
        "dunning-saved" => {
            ("Saved", "It counts for invoices issued from now on; what is being dunned keeps its campaign.")
        }
        "held" => ("Held", "It is not suspended before that day."),
        "hold-lifted" => ("Lifted", "Dunning goes on as if it had never been held."),
        "order-approved" => ("Accepted", "It goes on as it was quoted."),
        "order-declined" => ("Declined", "Nothing was charged; the customer gets a mail."),
        "dispute-answered" => ("Handed in", "The bank decides; nothing can be added any more."),
        "dispute-accepted" => ("Given in", "The money is lost, and the case is closed."),
        "screen-saved" => ("Saved", "It counts for orders from now on."),
        "trial-allowed" => ("Allowed", "They can begin one more trial; it is used up with it."),
        "held-decided" => ("Decided", "Suspensions of others may happen again."),
        "terminated" => ("Terminated", "Access is being removed from the panel."),
        "advancing" => ("The clock is advancing", "It is ready when every service has worked off what became due."),
        "resent" => ("Sent again", ""),
        "invited" => ("Invited", "They get a mail with a link to choose a password."),
        "deleted" => ("Deleted", ""),
        "issued" => ("Issued", "It has its number and never changes again."),
        "sent" => ("On its way", "The customer gets a mail with a link to the invoice."),
        "voided" => ("Void", "Nobody owes it any more; its number stays used."),
        "given-up" => ("Given up", "What was owed is a loss in the books."),
        "credited" => ("Credited", "The credit note is listed below."),
        "merged" => ("Merged", "Everything of the other account is here now."),
        "merged-address" => ("Merged", "Everything of the other account is here now, with its billing address."),
        "merged-own-address" => (
            "Merged",
            "Everything of the other account is here now. Its billing address is not: this one keeps its own; correct it if the other was right.",
        ),
        "order-cancelled" => ("Cancelled", "Its invoice is void with it."),
        "confirmed" => ("Thank you", "You confirmed who you are; do it again now."),
        _ => return None,
    };
    Some(Note { tone: Tone::Good, title: title.to_owned(), text: text.to_owned(), link: None, press: None })
}

/// A page made of blocks.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Its heading.
    pub title: String,
    /// Below it.
    pub intro: String,
    /// Beside it.
    pub badge: Option<(Tone, String)>,
    /// The way back up.
    pub up: Option<Link>,
    /// What can be done, most wanted first.
    pub actions: Vec<Link>,
    /// What can be done besides, never the most wanted thing on the page.
    pub asides: Vec<Link>,
    /// Its pieces.
    pub blocks: Vec<Block>,
    /// A narrow card in the middle, for signing in.
    pub is_card: bool,
    /// When it answers a refused form.
    pub status: Option<StatusCode>,
    /// Seconds until it loads itself again where there is no script; never when 0.
    pub refresh_s: u32,
    /// The same, script or not.
    pub reload_s: u32,
}

impl Page {
    /// A page with this heading.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// A narrow card with this heading.
    pub fn card(title: impl Into<String>) -> Self {
        Self { is_card: true, ..Self::new(title) }
    }

    /// With an introduction.
    #[must_use]
    pub fn intro(self, intro: impl Into<String>) -> Self {
        Self { intro: intro.into(), ..self }
    }

    /// With a state beside the heading.
    #[must_use]
    pub fn badge(self, tone: Tone, text: impl Into<String>) -> Self {
        Self { badge: Some((tone, text.into())), ..self }
    }

    /// With a way back up.
    #[must_use]
    pub fn up(self, label: impl Into<String>, href: impl Into<String>) -> Self {
        Self { up: Some(Link::new(label, href)), ..self }
    }

    /// With something to do.
    #[must_use]
    pub fn action(mut self, label: impl Into<String>, href: impl Into<String>) -> Self {
        self.actions.push(Link::new(label, href));
        self
    }

    /// With something to do besides.
    #[must_use]
    pub fn aside(mut self, label: impl Into<String>, href: impl Into<String>) -> Self {
        self.asides.push(Link::new(label, href));
        self
    }

    /// With one more piece.
    #[must_use]
    pub fn with(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }

    /// With one more piece, when there is one.
    #[must_use]
    pub fn with_some(mut self, block: Option<Block>) -> Self {
        self.blocks.extend(block);
        self
    }

    /// Whether the first action stands in an empty list already, where it is looked for.
    #[must_use]
    pub fn is_first_time(&self) -> bool {
        let Some(action) = self.actions.first() else { return false };
        self.blocks.iter().any(|block| match block {
            Block::Table(table) => {
                table.rows.is_empty() && table.first.as_ref().is_some_and(|first| first.href == action.href)
            }
            _ => false,
        })
    }

    /// Answers with the status of the refusal.
    #[must_use]
    pub fn refused(self, failed: Option<&Failed>) -> Self {
        Self { status: failed.map(|failed| failed.refusal.status), ..self }
    }
}

/// HTML with its status.
pub fn html(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], body).into_response()
}

/// A template as answer.
pub fn draw(template: &impl askama::Template) -> Result<Response, Refusal> {
    draw_as(StatusCode::OK, template)
}

/// A template as answer with this status.
pub fn draw_as(status: StatusCode, template: &impl askama::Template) -> Result<Response, Refusal> {
    Ok(html(status, template.render().map_err(|error| Refusal::internal(&error))?))
}

/// Goes there after something was done.
#[must_use]
pub fn go(href: &str) -> Response {
    Redirect::to(href).into_response()
}

/// Goes there and says what was done.
#[must_use]
pub fn go_done(href: &str, what: &str) -> Response {
    let mark = if href.contains('?') { '&' } else { '?' };
    go(&format!("{href}{mark}done={what}"))
}

/// Sets a cookie beside whatever the answer is.
#[must_use]
pub fn with_cookie(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

/// A path of this site to go to, as somebody else named it; anything else leads to `otherwise`.
#[must_use]
pub fn local<'a>(path: &'a str, otherwise: &'a str) -> &'a str {
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if path.starts_with('/') && !path.starts_with("//") && is_plain { path } else { otherwise }
}

/// Text as part of a query.
#[must_use]
pub fn quoted(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_site_are_followed() {
        for path in ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "", "/a\nb"] {
            assert_eq!(local(path, "/safe"), "/safe", "{path}");
        }
        assert_eq!(local("/account/invoices?x=1", "/"), "/account/invoices?x=1");
    }
}

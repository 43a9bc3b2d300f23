//! What every page of the staff area needs: who works, in which brand, and what they may see.

use std::sync::Arc;

use askama::Template;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use ottery_kit::grpc::CallContext;
use ottery_proto::catalog::v1::GetBrandRequest;

use crate::brand::Brand;
use crate::pages::assets;
use crate::pages::block::{Block, Link, Tone, sentence};
use crate::pages::frame::{Frame, Page, Ui, draw_as, manner};
use crate::pages::text::Manner;
use crate::problem::{Refusal, Reply};
use crate::session::{Caller, Staff};
use crate::state::AppState;

#[derive(Template)]
#[template(path = "desk.html")]
struct View {
    frame: Frame,
    page: Page,
}

/// Pages of a brand, with what one must be allowed to see them.
const MENU: [(&str, &str, &str); 26] = [
    ("Dashboard", "", ""),
    ("Orders", "/orders", "order.read"),
    ("Screening", "/screening", "order.read"),
    ("Subscriptions", "/subscriptions", "subscription.read"),
    ("Customers", "/customers", "account.read"),
    ("Resellers", "/resellers", "account.read"),
    ("Invoices", "/invoices", "invoice.read"),
    ("Disputes", "/disputes", "invoice.read"),
    ("Tickets", "/tickets", "ticket.read"),
    ("Plans", "/plans", "plan.read"),
    ("Coupons", "/coupons", "plan.read"),
    ("Gift codes", "/gifts", "wallet.grant"),
    ("Trials", "/trials", "brand.read"),
    ("Dunning", "/dunning", "brand.read"),
    ("Time machine", "/time-machine", "invoice.read"),
    ("Taxes", "/taxes", "brand.read"),
    ("Amounts", "/amounts", "brand.read"),
    ("Panels", "/panels", "panel.read"),
    ("Payments", "/providers", "brand.read"),
    ("Incoming", "/incoming", "invoice.read"),
    ("Reconciliation", "/reconciliation", "ledger.read"),
    ("Mails", "/mails", "delivery.read"),
    ("Affiliates", "/affiliates", "affiliate.read"),
    ("Ledger", "/ledger", "ledger.read"),
    ("Audit", "/audit", "audit.read"),
    ("Settings", "/settings", "brand.read"),
];

/// Staff at work in a brand.
#[derive(Clone, Debug)]
pub struct Desk {
    /// In the brand, with the rights held there.
    pub caller: Caller,
    /// The brand.
    pub brand: Arc<Brand>,
    /// `/staff/b/brd_…`
    pub base: String,
    /// The other parameter of the path; empty when there is none.
    pub id: String,
    pub(in crate::pages) who: String,
}

impl FromRequestParts<AppState> for Desk {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        let staff = Staff::from_request_parts(parts, state).await?;
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Refusal::not_found())?;
        let named = |wanted: &str| params.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned());
        let id = named("brand").and_then(|id| id.parse().ok()).ok_or_else(Refusal::not_found)?;
        let caller = staff.in_brand(state, Some(id)).await?;
        let asked = GetBrandRequest { brand_id: id.to_string(), slug: String::new() };
        let found = state.clients.catalog(&caller.call()).get_brand(asked).await?.into_inner();
        let brand = Arc::new(Brand::of(found)?);
        Ok(Self {
            caller,
            brand,
            base: format!("/staff/b/{id}"),
            id: named("id").unwrap_or_default(),
            who: staff.account.email,
        })
    }
}

impl Desk {
    /// Calls in this brand.
    #[must_use]
    pub fn call(&self) -> CallContext {
        self.caller.call()
    }

    /// How the brand writes numbers.
    #[must_use]
    pub fn manner(&self, state: &AppState) -> Manner {
        manner(state, &self.brand)
    }

    /// A page below this brand's.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Whether that is allowed here.
    #[must_use]
    pub fn may(&self, permission: &str) -> bool {
        self.caller.may(permission)
    }

    /// The page inside the desk.
    ///
    /// # Errors
    /// Never in practice.
    pub fn show(&self, ui: &Ui, page: Page) -> Reply<Response> {
        let mut frame = Frame::shop(&self.brand, ui, &page.title);
        // The desk keeps its own colours: they are known to be readable, whatever a brand is trying out.
        frame.styles.truncate(1);
        frame.icon = assets::brand_icon(&self.brand);
        frame.who.clone_from(&self.who);
        "/staff/sign-out".clone_into(&mut frame.sign_out);
        frame.home.clone_from(&self.base);
        frame.menu = vec![Link::new("All brands", "/staff")];
        frame.refresh_s = page.refresh_s;
        frame.rail_name = "Staff";
        frame.rail = MENU
            .iter()
            .filter(|(_, _, permission)| permission.is_empty() || self.may(permission))
            .map(|(label, path, _)| {
                let href = self.at(path);
                let is_below =
                    !path.is_empty() && ui.path.strip_prefix(&href).is_some_and(|rest| rest.starts_with('/'));
                Link { is_current: ui.path == href || is_below, ..Link::new(*label, href) }
            })
            .collect();
        let status = page.status.unwrap_or(StatusCode::OK);
        draw_as(status, &View { frame, page })
    }
}

/// A page of the staff area outside of any brand.
pub fn plain(ui: &Ui, who: &str, page: Page) -> Reply<Response> {
    let mut frame = Frame { home: "/staff".to_owned(), ..Frame::nobody(ui, &page.title) };
    if !who.is_empty() {
        who.clone_into(&mut frame.who);
        "/staff/sign-out".clone_into(&mut frame.sign_out);
    }
    if ui.is_demo {
        frame.banners.push("Demo mode: this connection is not encrypted.".to_owned());
    }
    let status = page.status.unwrap_or(StatusCode::OK);
    draw_as(status, &View { frame, page })
}

/// What is shown instead of a part whose service did not answer.
#[must_use]
pub fn away(what: &str, refusal: &Refusal) -> Block {
    let (tone, text) = if refusal.status == StatusCode::FORBIDDEN {
        (Tone::Neutral, "You hold no right to see this; an owner can grant it.".to_owned())
    } else {
        (Tone::Warn, format!("{} The rest of the page works; reload in a moment.", sentence(&refusal.detail)))
    };
    Block::note(tone, format!("{what} cannot be shown"), text)
}

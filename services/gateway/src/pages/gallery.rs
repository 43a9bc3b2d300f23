//! Pages drawn from sample data: what must hold on every page is checked here. With `OTTERY_GALLERY=<folder>` the pages are
//! written there, to be looked at.

use std::sync::Arc;

use askama::Template as _;
use axum::http::{HeaderMap, Request};
use ottery_kit::grpc::{Actor, ActorKind};
use ottery_proto::billing::v1 as billing;
use ottery_proto::catalog::v1 as catalog;
use ottery_proto::common::v1::Money;
use ottery_proto::provisioning::v1 as provisioning;
use prost_types::Timestamp;

use super::access;
use super::assets::{NAMES, icon_of, style_of};
use super::block::{Block, Cell, Form, Stat, Table, Tone};
use super::frame::{Frame, Page, Ui};
use super::shop::checkout::Checkout;
use super::shop::offer::{Choice, HomeTax, shelf};
use super::shop::order;
use super::shop::show::{home_html, plan_html, plans_html};
use super::shop::steps::Progress;
use super::staff::brand_form;
use super::staff::desk::Desk;
use super::text::Manner;
use crate::brand::Brand;
use crate::request::RequestInfo;
use crate::session::Caller;

fn eur(minor: i64) -> Money {
    Money { minor, currency: "EUR".into() }
}

fn at(hours: i64) -> Timestamp {
    Timestamp { seconds: 1_795_363_200 + hours * 3600, nanos: 0 }
}

fn brand() -> Brand {
    let entity = catalog::LegalEntity {
        name: "Lumen Media Ltd".into(),
        address_lines: vec!["12 Harbour Street".into(), "Dublin".into()],
        country: "IE".into(),
        tax_id: "IE1234567A".into(),
        ..catalog::LegalEntity::default()
    };
    let content = catalog::Brand {
        id: ottery_kernel::BrandId::from_uuid(uuid::Uuid::nil()).to_string(),
        name: "Lumen TV".into(),
        tagline: "All your television, on every screen.".into(),
        hosts: vec!["lumen.localhost".into()],
        entity: Some(entity),
        default_locale: "en".into(),
        default_currency: "EUR".into(),
        currencies: vec!["EUR".into(), "USD".into()],
        time_zone: "UTC".into(),
        tax_rate_bp: 1900,
        tax_name: "VAT".into(),
        grace_days: 3,
        terminate_after_days: 30,
        support_email: "help@lumen.example".into(),
        published: true,
        version: 1,
        ..catalog::Brand::default()
    };
    Brand { id: ottery_kernel::BrandId::from_uuid(uuid::Uuid::nil()), content }
}

fn plans() -> Vec<catalog::Plan> {
    let plan = |slug: &str,
                name: &str,
                summary: &str,
                streams: u32,
                month: i64,
                featured: bool,
                trial_days: u32,
                features: &[&str]| {
        let price = |count: u32, minor: i64, currency: &str| catalog::Price {
            id: format!("pri_{slug}{count}{currency}"),
            term: Some(catalog::Term { count, unit: catalog::TermUnit::Month.into() }),
            amount: Some(Money { minor, currency: currency.into() }),
            ..catalog::Price::default()
        };
        let version = catalog::PlanVersion {
            name: name.into(),
            summary: summary.into(),
            features: features.iter().map(ToString::to_string).collect(),
            connections: streams,
            prices: vec![
                price(1, month, "EUR"),
                price(3, month * 27 / 10, "EUR"),
                price(12, month * 9, "EUR"),
                price(1, month, "USD"),
            ],
            trial_days,
            ..catalog::PlanVersion::default()
        };
        catalog::Plan {
            id: slug.into(),
            slug: slug.into(),
            featured,
            current: Some(version),
            ..catalog::Plan::default()
        }
    };
    vec![
        plan(
            "solo",
            "Solo",
            "Everything for one screen.",
            1,
            1000,
            false,
            0,
            &["4,000 channels", "Films and series", "HD quality"],
        ),
        plan(
            "home",
            "Home",
            "For the whole family, in the best quality.",
            3,
            1800,
            true,
            3,
            &["4,000 channels", "Films and series", "4K quality", "7 days of catch-up"],
        ),
        plan(
            "plus",
            "Plus",
            "Five screens and everything there is.",
            5,
            2500,
            false,
            0,
            &["All channels", "Films and series", "4K quality", "14 days of catch-up"],
        ),
    ]
}

fn manner() -> Manner {
    Manner {
        locale: "en".into(),
        zone: chrono_tz::Tz::UTC,
        now: chrono::DateTime::from_timestamp(1_795_363_200, 0).unwrap(),
    }
}

fn ui(path: &str, theme: &str) -> Ui {
    let (parts, ()) = Request::builder().uri(path).header("host", "lumen.localhost").body(()).unwrap().into_parts();
    let request = RequestInfo::read(&parts, &crate::testing::config().http);
    let mut headers = HeaderMap::new();
    headers.insert("cookie", format!("ottery_theme={theme}").parse().unwrap());
    Ui::read(request, &headers, &parts.uri)
}

fn progress() -> Progress {
    let order = billing::Order {
        id: "ord_0192f3c2a1b27d4e8f90".into(),
        state: billing::order::State::Paid.into(),
        plan_name: "Home".into(),
        total: Some(eur(1800)),
        placed_at: Some(at(-1)),
        paid_at: Some(at(0)),
        email: "sam@example.com".into(),
        ..billing::Order::default()
    };
    let invoice = billing::Invoice {
        id: "inv_1".into(),
        number: "LUM-2026-00042".into(),
        state: billing::invoice::State::Closed.into(),
        ..billing::Invoice::default()
    };
    Progress {
        detail: billing::OrderDetail { order: Some(order), invoice: Some(invoice), ..billing::OrderDetail::default() },
        service: Some(provisioning::Service {
            step: provisioning::service::Step::Creating.into(),
            ..provisioning::Service::default()
        }),
    }
}

fn checkout(brand: &Brand, ui: &Ui) -> String {
    let form = access::sign_up_form("I am new here", "/checkout/account", brand, &[("price", "pri_1")]);
    let page = Page::new("Your account")
        .intro("There you find your access and your invoices, and can cancel at any time.")
        .with(Block::Form(form));
    Checkout {
        frame: Frame::shop(brand, ui, "Checkout"),
        page,
        step: 1,
        plan: "Home".into(),
        lines: vec![("Home, 1 month".into(), "€18.00".into())],
        totals: vec![("Net".into(), "€15.13".into()), ("VAT 19%".into(), "€2.87".into())],
        due: "€18.00".into(),
        note: "All prices include 19% VAT.".into(),
    }
    .render()
    .unwrap()
}

async fn text(response: axum::response::Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn desk(ui: &Ui) -> Desk {
    let brand = brand();
    let actor = Actor::new(ActorKind::Staff, "acc_1".to_owned(), Some(brand.id)).with_permissions(["*".to_owned()]);
    let base = format!("/staff/b/{}", brand.id);
    let caller = Caller { actor, session: None, request: ui.request.clone() };
    Desk { caller, brand: Arc::new(brand), base, id: String::new(), who: "owner@lumen.example".into() }
}

async fn dashboard(ui: &Ui) -> String {
    let desk = desk(ui);
    let stat = |label: &str, value: &str, note: &str| Stat {
        label: label.into(),
        value: value.into(),
        note: note.into(),
        href: String::new(),
    };
    let order = progress().detail.order.unwrap();
    let orders = vec![
        order.clone(),
        billing::Order {
            state: billing::order::State::AwaitingPayment.into(),
            email: "kim@example.com".into(),
            ..order
        },
    ];
    let tasks = vec![vec![
        Cell::badge(Tone::Warn, "payment unknown"),
        Cell::text("The provider has not answered for 30 minutes").note("pay_0192"),
        Cell::text("Look it up at the provider"),
    ]];
    let page = Page::new("Lumen TV")
        .with(Block::Stats(vec![
            stat("Monthly recurring revenue", "€12,480.00", "as of 22 Nov 2026, 16:00"),
            stat("Paying customers", "731", ""),
            stat("Tickets waiting", "3", ""),
        ]))
        .with(Block::Table(
            Table::new("Needs a person", &["Kind", "What", "What to do"], "Nothing needs you.").rows(tasks),
        ))
        .with(Block::Table(super::staff::orders::table("Latest orders", &orders, &desk, &manner())));
    text(desk.show(ui, page).unwrap()).await
}

async fn settings(ui: &Ui) -> String {
    let desk = desk(ui);
    let form = Form::new("", "/x", "Save").fields(brand_form::fields(&desk.brand));
    text(desk.show(ui, Page::new("Settings").with(Block::Sample).with(Block::Form(form))).unwrap()).await
}

async fn gallery(theme: &str) -> Vec<(&'static str, String)> {
    let (brand, plans, manner) = (brand(), plans(), manner());
    let choice = Choice::default();
    let offer = shelf(&plans[1..2], &choice, "EUR", &HomeTax::of(&brand), &manner).offers.remove(0);
    let order_ui = ui("/orders/ord_1", theme);
    vec![
        ("home", home_html(&brand, &ui("/", theme), &plans, &choice, &manner).unwrap()),
        ("soon", home_html(&brand, &ui("/", theme), &[], &choice, &manner).unwrap()),
        (
            "plans",
            plans_html(&brand, &ui("/plans", theme), &plans, &Choice { term: "12m".into(), ..choice }, &manner)
                .unwrap(),
        ),
        ("plan", plan_html(&brand, &ui("/plans/home", theme), offer).unwrap()),
        ("checkout", checkout(&brand, &ui("/checkout", theme))),
        ("order", order::view(&manner, &brand, &order_ui, "ord_1", &progress(), &[], None).render().unwrap()),
        ("dashboard", dashboard(&ui("/staff/b/x", theme)).await),
        ("settings", settings(&ui("/staff/b/x/settings", theme)).await),
    ]
}

#[tokio::test]
async fn every_page_has_one_heading_a_way_around_and_nothing_inline() {
    for theme in ["light", "dark"] {
        for (name, html) in gallery(theme).await {
            assert_eq!(html.matches("<h1").count(), 1, "{name} has one h1");
            assert!(html.contains("id=\"main\"") && html.contains("class=\"skip\""), "{name} has a skip link");
            assert!(
                !html.contains(" style=") && !html.contains("<style") && !html.contains(" onclick"),
                "{name} has nothing inline"
            );
            for tag in ["details", "form", "section", "div", "table"] {
                let (opened, closed) =
                    (html.matches(&format!("<{tag}")).count(), html.matches(&format!("</{tag}>")).count());
                assert_eq!(opened, closed, "{name} closes every {tag}");
            }
            if let Ok(folder) = std::env::var("OTTERY_GALLERY") {
                let tokens = catalog::DesignTokens::default();
                let style =
                    style_of(&catalog::DesignTokens { values: std::collections::HashMap::new(), ..tokens.clone() });
                let page = html.replace(&NAMES.style, "app.css").replace(&NAMES.script, "app.js");
                let icon = super::assets::brand_icon(&brand());
                let page = page.replace(&icon, "icon.svg").replace(&super::assets::brand_style(&brand()), "brand.css");
                let write =
                    |name: String, text: &str| std::fs::write(std::path::Path::new(&folder).join(name), text).unwrap();
                write(format!("{name}-{theme}.html"), &page);
                write("app.css".into(), include_str!("../../assets/app.css"));
                write("app.js".into(), include_str!("../../assets/app.js"));
                write("brand.css".into(), &style);
                write("icon.svg".into(), &icon_of("Lumen TV", &tokens));
            }
        }
    }
}

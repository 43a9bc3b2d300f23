use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::StatusCode;
use chrono::TimeDelta;
use ottery_kernel::BrandId;
use ottery_kit::grpc::{Actor, ActorKind};
use ottery_proto::catalog::v1 as catalog;
use uuid::Uuid;

use super::*;
use crate::brand::Brand as ShopBrand;
use crate::request::RequestInfo;
use crate::session::Session;

/// Every kind of caller the outside knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Visitor,
    Customer,
    /// Staff who hold exactly this.
    StaffWith(&'static str),
    /// Staff who hold nothing here.
    StaffWithout,
    Owner,
    KeyWith(&'static str),
    KeyWithout,
    Enrolling,
}

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn brand() -> BrandId {
    BrandId::from_uuid(Uuid::from_u128(1))
}

fn shop() -> Site {
    Site::Brand(Arc::new(ShopBrand { id: brand(), content: catalog::Brand::default() }))
}

fn caller(role: Role, brand: Option<BrandId>) -> Caller {
    let actor = match role {
        Role::Visitor => Actor::anonymous(brand),
        Role::Customer => Actor::new(ActorKind::Customer, "acc_1", brand),
        Role::StaffWith(permission) => Actor::new(ActorKind::Staff, "acc_2", brand).with_permissions([permission]),
        Role::StaffWithout | Role::Enrolling => Actor::new(ActorKind::Staff, "acc_2", brand),
        Role::Owner => Actor::new(ActorKind::Staff, "acc_3", brand).with_permissions(["*"]),
        Role::KeyWith(permission) => Actor::new(ActorKind::ApiKey, "key_1", brand).with_permissions([permission]),
        Role::KeyWithout => Actor::new(ActorKind::ApiKey, "key_1", brand),
    };
    let actor = Actor { authenticated_at: Some(now() - TimeDelta::minutes(9)), ..actor };
    let session = (role != Role::Visitor).then(|| Arc::new(Session::for_test(actor.clone(), role == Role::Enrolling)));
    let (parts, ()) = http::Request::new(()).into_parts();
    Caller { actor, session, request: RequestInfo::read(&parts, &crate::testing::config().http) }
}

/// Routes that no API key may use, whatever it holds: they say who may do what.
const PEOPLE_ONLY: [(&str, &str); 4] =
    [("POST", "/grants"), ("DELETE", "/grants/{id}"), ("POST", "/staff"), ("POST", "/api-keys")];

/// What must come out, said once more and differently: the status a refused caller sees, none when let in.
fn expected(rule: &Rule, role: Role, is_shop: bool, has_brand: bool) -> Option<u16> {
    let is_staff = matches!(role, Role::StaffWith(_) | Role::StaffWithout | Role::Owner);
    let holds =
        |wanted| matches!(role, Role::Owner) || role == Role::StaffWith(wanted) || role == Role::KeyWith(wanted);
    let is_key = matches!(role, Role::KeyWith(_) | Role::KeyWithout);
    let by_permission = |wanted| match role {
        Role::Visitor => Some(401),
        Role::Customer => Some(404),
        _ if is_key && PEOPLE_ONLY.contains(&(rule.method, rule.path)) => Some(403),
        _ if holds(wanted) => None,
        _ => Some(403),
    };
    let by_who = match rule.who {
        Who::Anyone => None,
        Who::Enrolling if role == Role::Enrolling => None,
        _ if role == Role::Enrolling => Some(403),
        Who::Visitor => (!is_shop).then_some(404),
        Who::Setup => is_shop.then_some(404),
        Who::Customer if role == Role::Customer => None,
        Who::Customer if !is_shop => Some(404),
        Who::Team if is_staff || is_key => None,
        Who::Team if is_shop => Some(404),
        Who::Person | Who::Enrolling if is_staff || role == Role::Customer => None,
        Who::Customer | Who::Team | Who::Person | Who::Enrolling => Some(if role == Role::Visitor { 401 } else { 403 }),
        Who::Holder(wanted) => by_permission(wanted),
        Who::Owner(_) if role == Role::Customer => None,
        Who::Owner(wanted) => by_permission(wanted),
    };
    by_who.or(match rule.scope {
        Scope::Either => None,
        Scope::Brand => (!has_brand).then_some(400),
        Scope::Platform => has_brand.then_some(400),
    })
}

fn permission_of(rule: &Rule) -> &'static str {
    match rule.who {
        Who::Holder(permission) | Who::Owner(permission) => permission,
        _ => "order.read",
    }
}

#[test]
fn secure_s12_every_route_and_role_is_decided_as_the_table_says() {
    for rule in RULES {
        let wanted = permission_of(rule);
        let other = if wanted == "analytics.read" { "panel.read" } else { "analytics.read" };
        let roles = [
            Role::Visitor,
            Role::Customer,
            Role::StaffWith(wanted),
            Role::StaffWith(other),
            Role::StaffWithout,
            Role::Owner,
            Role::KeyWith(wanted),
            Role::KeyWith(other),
            Role::KeyWithout,
            Role::Enrolling,
        ];
        for role in roles {
            for (site, brand) in [(shop(), Some(brand())), (Site::Staff, Some(brand())), (Site::Staff, None)] {
                let is_shop = site.brand().is_some();
                let verdict =
                    rule.check(&site, &caller(role, brand), now()).err().map(|refusal| refusal.status.as_u16());
                let expected = expected(rule, role, is_shop, brand.is_some());
                assert_eq!(
                    verdict,
                    expected,
                    "{} {} as {role:?}, shop {is_shop}, brand {}",
                    rule.method,
                    rule.path,
                    brand.is_some()
                );
            }
        }
    }
}

#[test]
fn secure_s12_the_table_has_exactly_the_routes_there_are() {
    let api = crate::openapi();
    let mut routes = BTreeSet::new();
    for (path, item) in &api.paths.paths {
        let path = path.strip_prefix(super::super::BASE).unwrap();
        for (method, operation) in [
            ("GET", &item.get),
            ("POST", &item.post),
            ("PUT", &item.put),
            ("DELETE", &item.delete),
            ("PATCH", &item.patch),
        ] {
            if operation.is_some() {
                routes.insert((method, path.to_owned()));
            }
        }
    }
    // The description does not describe itself.
    routes.insert(("GET", "/openapi.json".to_owned()));
    let declared: BTreeSet<_> = RULES.iter().map(|rule| (rule.method, rule.path.to_owned())).collect();
    assert_eq!(declared.len(), RULES.len(), "a route is declared twice");
    let undeclared: Vec<_> = routes.difference(&declared).collect();
    let unserved: Vec<_> = declared.difference(&routes).collect();
    assert!(undeclared.is_empty() && unserved.is_empty(), "undeclared {undeclared:?}, unserved {unserved:?}");
}

#[test]
fn secure_s28_every_route_that_changes_something_names_its_audit_action() {
    for rule in RULES {
        let is_change = rule.method != "GET";
        assert_eq!(rule.audit.is_empty(), !is_change, "{} {}", rule.method, rule.path);
    }
}

#[test]
fn secure_s03_sensitive_routes_want_a_proof_of_ten_minutes() {
    let sensitive: BTreeSet<_> =
        RULES.iter().filter(|rule| rule.is_step_up).map(|rule| (rule.method, rule.path)).collect();
    for wanted in [
        ("POST", "/payments/{id}/refunds"),
        ("POST", "/provider-accounts"),
        ("PUT", "/provider-accounts/{id}"),
        ("POST", "/grants"),
        ("DELETE", "/grants/{id}"),
        ("POST", "/staff"),
        ("POST", "/api-keys"),
        ("DELETE", "/auth/totp"),
    ] {
        assert!(sensitive.contains(&wanted), "{wanted:?}");
    }
    for rule in RULES.iter().filter(|rule| rule.is_step_up) {
        let mut old = caller(Role::Owner, Some(brand()));
        old.actor.authenticated_at = Some(now() - TimeDelta::minutes(11));
        let refusal = rule.check(&Site::Staff, &old, now()).unwrap_err();
        assert_eq!(
            (refusal.status, refusal.code.as_str()),
            (StatusCode::FORBIDDEN, "reauth_required"),
            "{}",
            rule.path
        );
        assert!(rule.check(&Site::Staff, &caller(Role::Owner, Some(brand())), now()).is_ok(), "{}", rule.path);
    }
}

#[test]
fn secure_s03_a_key_proved_itself_when_it_was_made_but_never_says_who_may_do_what() {
    for rule in RULES.iter().filter(|rule| rule.is_step_up) {
        let (Who::Holder(wanted) | Who::Owner(wanted)) = rule.who else { continue };
        let mut key = caller(Role::KeyWith(wanted), Some(brand()));
        key.actor.authenticated_at = None;
        let refused = rule.check(&Site::Staff, &key, now()).err().map(|refusal| refusal.code);
        let expected = PEOPLE_ONLY.contains(&(rule.method, rule.path)).then_some("staff_only");
        assert_eq!(refused.as_deref(), expected, "{} {}", rule.method, rule.path);
    }
}

#[test]
fn every_route_that_moves_money_wants_an_idempotency_key() {
    let money: BTreeSet<_> = RULES.iter().filter(|rule| rule.is_money).map(|rule| rule.path).collect();
    let wanted = [
        "/orders",
        "/invoices",
        "/invoices/{id}/finalise",
        "/invoices/{id}/credit-notes",
        "/invoices/pay",
        "/invoices/{id}/pay",
        "/payments/{id}/refunds",
        "/pay-links/{token}/pay",
        "/subscriptions/{id}/change",
        "/accounts/{id}/merge",
        "/wallet/credits",
        "/wallet/top-ups",
        "/wallet/conversions",
        "/gift-batches",
        // No money moves, but asking twice is two hours of work.
        "/time-machine",
    ];
    assert_eq!(money, wanted.into_iter().collect());
}

#[test]
fn permissions_are_words_services_know() {
    let known = [
        "brand.read",
        "brand.update",
        "plan.read",
        "plan.update",
        "panel.read",
        "panel.update",
        "panel.reveal",
        "order.read",
        "order.create",
        "order.manage",
        "invoice.read",
        "invoice.manage",
        "invoice.refund",
        "subscription.read",
        "subscription.manage",
        "service.read",
        "service.manage",
        "ticket.read",
        "ticket.reply",
        "affiliate.read",
        "analytics.read",
        "delivery.read",
        "account.read",
        "account.manage",
        "grant.manage",
        "apikey.manage",
        "audit.read",
        "clock.advance",
        "ledger.read",
        "ledger.close",
        "ledger.reopen",
        "wallet.grant",
    ];
    for rule in RULES {
        if let Who::Holder(permission) | Who::Owner(permission) = rule.who {
            assert!(known.contains(&permission), "{permission}");
        }
    }
}

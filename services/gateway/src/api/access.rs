//! Who may do what: one row per route, denied unless it says otherwise. Services check again from the signed actor; this
//! table is what the outside sees, and tests hold every route and role against it.

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use ottery_kit::grpc::ActorKind;

use crate::brand::Site;
use crate::problem::Refusal;
use crate::session::{Caller, enrolment_required};

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Anybody, on any host.
    Anyone,
    /// Anybody on a brand's host.
    Visitor,
    /// Anybody on the staff host.
    Setup,
    /// A signed-in customer.
    Customer,
    /// A signed-in person, customer or staff.
    Person,
    /// As [`Who::Person`], and staff who still have to enrol their second factor.
    Enrolling,
    /// Signed-in staff and API keys, whatever they hold; the answer has only what they may see.
    Team,
    /// Staff and API keys with this permission.
    Holder(&'static str),
    /// Customers, for what is theirs; staff and API keys with this permission.
    Owner(&'static str),
}

/// In which brand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Works with and without a brand.
    Either,
    /// In one brand: the host's, or the one named by `Ottery-Brand`.
    Brand,
    /// Outside any brand.
    Platform,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The method.
    pub method: &'static str,
    /// The template below `/api/v1`.
    pub path: &'static str,
    /// Who may.
    pub who: Who,
    /// In which brand.
    pub scope: Scope,
    /// Whether people must have proved who they are within ten minutes. An API key has nobody to ask: somebody proved who
    /// they are to make it, so its permission is enough.
    pub is_step_up: bool,
    /// Whether only people may, because it changes who may do what: a key that could, could raise itself.
    pub is_for_people: bool,
    /// Whether it needs an `Idempotency-Key`.
    pub is_money: bool,
    /// The action in the audit chain; every route that changes something has one. A dash: it changes nothing that lasts.
    pub audit: &'static str,
}

impl Rule {
    const fn step_up(self) -> Self {
        Self { is_step_up: true, ..self }
    }

    const fn for_people(self) -> Self {
        Self { is_for_people: true, ..self }
    }

    const fn money(self) -> Self {
        Self { is_money: true, ..self }
    }
}

const fn read(path: &'static str, who: Who, scope: Scope) -> Rule {
    Rule { method: "GET", path, who, scope, is_step_up: false, is_for_people: false, is_money: false, audit: "" }
}

const fn write(method: &'static str, path: &'static str, who: Who, scope: Scope, audit: &'static str) -> Rule {
    Rule { method, path, who, scope, is_step_up: false, is_for_people: false, is_money: false, audit }
}

const fn post(path: &'static str, who: Who, scope: Scope, audit: &'static str) -> Rule {
    write("POST", path, who, scope, audit)
}

use Scope::{Brand, Either, Platform};
use Who::{Anyone, Customer, Enrolling, Holder, Owner, Person, Setup, Team, Visitor};

/// Every route.
pub const RULES: &[Rule] = &[
    read("/openapi.json", Anyone, Either),
    // first run
    read("/setup", Setup, Either),
    post("/setup", Setup, Either, "setup.complete"),
    // signing in
    post("/auth/sign-up", Visitor, Brand, "account.create"),
    post("/auth/sign-in", Anyone, Either, "session.create"),
    post("/auth/totp", Anyone, Either, "session.create"),
    post("/auth/sign-out", Anyone, Either, "session.end"),
    post("/auth/sign-out-everywhere", Person, Either, "session.end_all"),
    read("/auth/sessions", Person, Either),
    write("DELETE", "/auth/sessions/{id}", Person, Either, "session.revoke"),
    post("/auth/reauth", Person, Either, "session.reauthenticate"),
    post("/auth/password-reset", Anyone, Either, "account.request_reset"),
    post("/auth/password-reset/confirm", Anyone, Either, "account.reset_password"),
    post("/auth/password", Person, Either, "account.change_password"),
    post("/auth/verify-email", Anyone, Either, "account.verify"),
    post("/auth/verify-email/resend", Person, Either, "account.request_verification"),
    post("/auth/totp/enrol", Enrolling, Either, "account.enrol_totp"),
    post("/auth/totp/confirm", Enrolling, Either, "account.confirm_totp"),
    write("DELETE", "/auth/totp", Person, Either, "account.remove_totp").step_up(),
    read("/me", Enrolling, Either),
    // storefront
    read("/storefront", Visitor, Brand),
    read("/storefront/plans", Visitor, Brand),
    read("/storefront/plans/{slug}", Visitor, Brand),
    read("/storefront/addons", Visitor, Brand),
    post("/quotes", Visitor, Brand, "-"),
    read("/quotes/{id}/explain", Visitor, Brand),
    // buying
    post("/orders", Owner("order.create"), Brand, "order.create").money(),
    read("/orders", Owner("order.read"), Brand),
    read("/orders/{id}", Owner("order.read"), Brand),
    post("/orders/{id}/cancel", Owner("order.manage"), Brand, "order.cancel"),
    read("/orders/{id}/events", Owner("order.read"), Brand),
    // subscriptions
    read("/subscriptions", Owner("subscription.read"), Brand),
    read("/subscriptions/{id}", Owner("subscription.read"), Brand),
    read("/subscriptions/{id}/explain", Owner("subscription.read"), Brand),
    post("/subscriptions/{id}/cancel", Owner("subscription.manage"), Brand, "subscription.cancel"),
    post("/subscriptions/{id}/resume", Owner("subscription.manage"), Brand, "subscription.resume"),
    post("/subscriptions/{id}/change-quote", Owner("subscription.manage"), Brand, "-"),
    post("/subscriptions/{id}/change", Owner("subscription.manage"), Brand, "subscription.change").money(),
    post("/subscriptions/{id}/anchor-quote", Owner("subscription.manage"), Brand, "-"),
    post("/subscriptions/{id}/anchor", Owner("subscription.manage"), Brand, "subscription.move_anchor"),
    post("/subscriptions/{id}/pause", Owner("subscription.manage"), Brand, "subscription.pause"),
    post("/subscriptions/{id}/unpause", Owner("subscription.manage"), Brand, "subscription.unpause"),
    post("/subscriptions/{id}/renew", Owner("subscription.manage"), Brand, "subscription.renew"),
    post("/subscriptions/{id}/price-override", Holder("subscription.manage"), Brand, "subscription.override_price"),
    post("/subscriptions/{id}/transfer", Holder("subscription.manage"), Brand, "subscription.transfer"),
    post("/subscriptions/{id}/suspend", Holder("subscription.manage"), Brand, "subscription.suspend"),
    post("/subscriptions/{id}/unsuspend", Holder("subscription.manage"), Brand, "subscription.unsuspend"),
    post("/subscriptions/{id}/terminate", Holder("subscription.manage"), Brand, "subscription.terminate"),
    write(
        "PUT",
        "/subscriptions/{id}/suspension-hold",
        Holder("subscription.manage"),
        Brand,
        "subscription.hold_suspension",
    ),
    read("/subscriptions/{id}/suspension-hold", Holder("subscription.read"), Brand),
    write(
        "DELETE",
        "/subscriptions/{id}/suspension-hold",
        Holder("subscription.manage"),
        Brand,
        "subscription.lift_suspension_hold",
    ),
    // invoices nobody pays
    read("/dunning", Holder("brand.read"), Brand),
    write("PUT", "/dunning", Holder("brand.update"), Brand, "dunning.save"),
    read("/notices", Owner("invoice.read"), Brand),
    post("/notices/{invoice_id}/dismiss", Customer, Brand, "-"),
    post("/dunning/simulate", Holder("brand.read"), Brand, "-"),
    read("/dunning/held", Holder("subscription.manage"), Brand),
    post("/dunning/held/decide", Holder("subscription.manage"), Brand, "dunning.decide"),
    read("/time-machine", Holder("invoice.read"), Brand),
    post("/time-machine", Holder("brand.update"), Brand, "time_machine.ask").money(),
    read("/time-machine/{id}", Holder("invoice.read"), Brand),
    read("/time-machine/{id}/entries", Holder("invoice.read"), Brand),
    read("/time-machine/{id}/differences", Holder("invoice.read"), Brand),
    read("/pay-links/{token}", Visitor, Brand),
    post("/pay-links/{token}/pay", Visitor, Brand, "invoice.pay").money(),
    post("/price-changes", Holder("subscription.manage"), Brand, "price_change.create"),
    // invoices and money
    read("/invoices", Owner("invoice.read"), Brand),
    read("/invoices/{id}", Owner("invoice.read"), Brand),
    read("/invoices/{id}/explain", Owner("invoice.read"), Brand),
    read("/invoices/{id}/pdf", Owner("invoice.read"), Brand),
    read("/invoices/{id}/credit-notes/{credit_note_id}/pdf", Owner("invoice.read"), Brand),
    read("/invoices/{id}/ubl", Owner("invoice.read"), Brand),
    read("/invoices/{id}/credit-notes/{credit_note_id}/ubl", Owner("invoice.read"), Brand),
    post("/invoices/pay", Owner("order.create"), Brand, "invoice.pay").money(),
    post("/invoices/{id}/pay", Owner("order.create"), Brand, "invoice.pay").money(),
    read("/invoice-rules", Holder("brand.read"), Brand),
    write("PUT", "/invoice-rules", Holder("brand.update"), Brand, "invoice_rules.update"),
    post("/invoices", Holder("invoice.manage"), Brand, "invoice.draft").money(),
    write("PUT", "/invoices/{id}", Holder("invoice.manage"), Brand, "invoice.edit"),
    write("DELETE", "/invoices/{id}", Holder("invoice.manage"), Brand, "invoice.discard"),
    post("/invoices/{id}/finalise", Holder("invoice.manage"), Brand, "invoice.finalise").money(),
    post("/invoices/{id}/send", Holder("invoice.manage"), Brand, "invoice.send"),
    post("/invoices/{id}/void", Holder("invoice.manage"), Brand, "invoice.void"),
    post("/invoices/{id}/write-off", Holder("invoice.manage"), Brand, "invoice.write_off"),
    post("/invoices/{id}/credit-notes", Holder("invoice.refund"), Brand, "invoice.credit").money().step_up(),
    read("/payments", Owner("invoice.read"), Brand),
    post("/payments/{id}/refunds", Holder("invoice.refund"), Brand, "invoice.refund").money().step_up(),
    read("/exports/invoices.csv", Holder("invoice.read"), Brand),
    read("/exports/journal.csv", Holder("ledger.read"), Brand),
    read("/exports/deferred-revenue.csv", Holder("ledger.read"), Brand),
    read("/wallet", Owner("invoice.read"), Brand),
    post("/wallet/credits", Holder("wallet.grant"), Brand, "wallet.grant").money(),
    post("/wallet/top-ups", Owner("order.create"), Brand, "wallet.top_up").money(),
    post("/wallet/conversions", Holder("wallet.grant"), Brand, "wallet.convert").money().step_up(),
    read("/gift-batches", Holder("wallet.grant"), Brand),
    post("/gift-batches", Holder("wallet.grant"), Brand, "gift.create").money().step_up(),
    read("/gift-batches/{id}", Holder("wallet.grant"), Brand),
    post("/gift-batches/{id}/download", Holder("wallet.grant"), Brand, "gift.download").step_up(),
    post("/gift-batches/{id}/void", Holder("wallet.grant"), Brand, "gift.void"),
    post("/gift-codes/{id}/void", Holder("wallet.grant"), Brand, "gift.void_code"),
    post("/gift-codes/redeem", Owner("order.create"), Brand, "gift.redeem"),
    read("/amount-rules", Holder("brand.read"), Brand),
    write("PUT", "/amount-rules", Holder("brand.update"), Brand, "amount_rules.update"),
    read("/wallet/statement", Owner("invoice.read"), Brand),
    read("/wallet/statement.csv", Owner("invoice.read"), Brand),
    read("/revenue/deferred", Holder("ledger.read"), Brand),
    read("/ledger/trial-balance", Holder("ledger.read"), Brand),
    read("/ledger/trial-balance.csv", Holder("ledger.read"), Brand),
    read("/ledger/months", Holder("ledger.read"), Brand),
    post("/ledger/months/{month}/close", Holder("ledger.close"), Brand, "ledger.close"),
    post("/ledger/months/{month}/reopen", Holder("ledger.reopen"), Brand, "ledger.reopen").step_up(),
    read("/ledger/transfers", Holder("ledger.read"), Brand),
    read("/ledger/balance", Holder("ledger.read"), Brand),
    read("/provider-accounts", Holder("brand.read"), Brand),
    post("/provider-accounts", Holder("brand.update"), Brand, "provider_account.create").step_up(),
    write("PUT", "/provider-accounts/{id}", Holder("brand.update"), Brand, "provider_account.update").step_up(),
    post("/provider-accounts/{id}/rotate", Holder("brand.update"), Brand, "provider_account.rotate").step_up(),
    post("/provider-accounts/{id}/test", Holder("brand.update"), Brand, "-"),
    post("/provider-accounts/{id}/reconcile", Holder("ledger.close"), Brand, "reconciliation.ask"),
    read("/by-hand/payments", Holder("invoice.read"), Brand),
    read("/by-hand/records", Holder("invoice.read"), Brand),
    read("/by-hand/refunds", Holder("invoice.read"), Brand),
    read("/by-hand/proofs/{id}", Owner("invoice.read"), Brand),
    post("/by-hand/records", Holder("invoice.manage"), Brand, "by_hand.record"),
    post("/by-hand/records/{id}/assign", Holder("invoice.manage"), Brand, "by_hand.assign"),
    post("/by-hand/records/{id}/confirm", Holder("invoice.manage"), Brand, "by_hand.confirm").step_up(),
    post("/by-hand/records/{id}/take-back", Holder("invoice.refund"), Brand, "by_hand.take_back").step_up(),
    post("/by-hand/refunds/{id}/records", Holder("invoice.refund"), Brand, "by_hand.record"),
    read("/reconciliations", Holder("ledger.read"), Brand),
    read("/reconciliations/{id}", Holder("ledger.read"), Brand),
    read("/reconciliation-differences", Holder("ledger.read"), Brand),
    post("/reconciliation-differences/{id}/accept", Holder("ledger.close"), Brand, "reconciliation.accept"),
    read("/pay-ways", Visitor, Brand),
    read("/payment-methods", Owner("invoice.read"), Brand),
    post("/payment-methods", Owner("order.create"), Brand, "payment_method.begin"),
    write("DELETE", "/payment-methods/{id}", Owner("subscription.manage"), Brand, "payment_method.remove"),
    read("/disputes", Holder("invoice.read"), Brand),
    read("/disputes/{id}", Holder("invoice.read"), Brand),
    post("/disputes/{id}/accept", Holder("invoice.refund"), Brand, "dispute.accept"),
    post("/disputes/{id}/evidence", Holder("invoice.refund"), Brand, "dispute.evidence"),
    // what was bought
    read("/services", Owner("service.read"), Brand),
    read("/services/{id}", Owner("service.read"), Brand),
    post("/services/{id}/credentials", Owner("panel.reveal"), Brand, "service.reveal"),
    post("/services/{id}/retry", Holder("service.manage"), Brand, "service.retry"),
    read("/services/{id}/calls", Holder("panel.read"), Brand),
    // panels
    read("/panels", Holder("panel.read"), Brand),
    read("/panels/{id}", Holder("panel.read"), Brand),
    read("/panels/{id}/catalog", Holder("panel.read"), Brand),
    post("/panels", Holder("panel.update"), Brand, "panel.create"),
    write("PUT", "/panels/{id}", Holder("panel.update"), Brand, "panel.update"),
    write("DELETE", "/panels/{id}", Holder("panel.update"), Brand, "panel.delete"),
    post("/panels/{id}/probe", Holder("panel.update"), Brand, "panel.probe"),
    // support
    read("/departments", Owner("ticket.read"), Brand),
    read("/tickets", Owner("ticket.read"), Brand),
    read("/tickets/{id}", Owner("ticket.read"), Brand),
    post("/tickets", Owner("ticket.reply"), Brand, "ticket.open"),
    post("/tickets/{id}/replies", Owner("ticket.reply"), Brand, "ticket.reply"),
    post("/tickets/{id}/close", Owner("ticket.reply"), Brand, "ticket.close"),
    // affiliates
    post("/affiliate", Customer, Brand, "affiliate.join"),
    read("/affiliate", Customer, Brand),
    read("/affiliate/commissions", Customer, Brand),
    read("/affiliates", Holder("affiliate.read"), Brand),
    read("/affiliates/{id}/commissions", Holder("affiliate.read"), Brand),
    // numbers
    read("/analytics/mrr", Holder("analytics.read"), Brand),
    read("/analytics/movements", Holder("analytics.read"), Brand),
    post("/analytics/rebuild", Holder("analytics.read"), Brand, "-"),
    // mail
    read("/deliveries", Holder("delivery.read"), Brand),
    post("/deliveries/{id}/resend", Holder("brand.update"), Brand, "delivery.resend"),
    read("/templates", Holder("brand.read"), Brand),
    write("PUT", "/templates/{name}/{locale}", Holder("brand.update"), Brand, "template.update"),
    post("/templates/preview", Holder("brand.read"), Brand, "-"),
    // brands and plans
    read("/brands", Team, Either),
    post("/brands", Holder("brand.update"), Platform, "brand.create"),
    read("/brands/{id}", Holder("brand.read"), Either),
    write("PUT", "/brands/{id}", Holder("brand.update"), Either, "brand.update"),
    read("/brands/{id}/clock", Holder("brand.read"), Either),
    post("/brands/{id}/clock", Holder("clock.advance"), Either, "clock.advance"),
    read("/plans", Holder("plan.read"), Brand),
    post("/plans", Holder("plan.update"), Brand, "plan.create"),
    read("/plans/{id}", Holder("plan.read"), Brand),
    write("PUT", "/plans/{id}", Holder("plan.update"), Brand, "plan.update"),
    post("/plans/{id}/state", Holder("plan.update"), Brand, "plan.set_state"),
    read("/plans/{id}/stock", Holder("plan.read"), Brand),
    read("/coupons", Holder("plan.read"), Brand),
    post("/coupons", Holder("plan.update"), Brand, "coupon.create"),
    read("/coupons/{id}", Holder("plan.read"), Brand),
    write("PUT", "/coupons/{id}", Holder("plan.update"), Brand, "coupon.update"),
    post("/coupons/{id}/state", Holder("plan.update"), Brand, "coupon.set_state"),
    read("/tax-rules", Holder("brand.read"), Brand),
    write("PUT", "/tax-rules", Holder("brand.update"), Brand, "tax_table.update"),
    read("/accounts/{id}/billing-address", Owner("invoice.read"), Brand),
    write("PUT", "/accounts/{id}/billing-address", Owner("order.manage"), Brand, "billing_address.update"),
    read("/accounts/{id}/trial-guard", Holder("order.read"), Brand),
    post("/accounts/{id}/trial-pass", Holder("order.manage"), Brand, "trial.lift"),
    read("/screening/rules", Holder("brand.read"), Brand),
    write("PUT", "/screening/rules", Holder("brand.update"), Brand, "screen_rules.put"),
    post("/screening/try", Holder("order.read"), Brand, "-"),
    read("/screening/orders", Holder("order.read"), Brand),
    read("/orders/{id}/screening", Holder("order.read"), Brand),
    post("/orders/{id}/approve", Holder("order.manage"), Brand, "order.approve"),
    post("/orders/{id}/decline", Holder("order.manage"), Brand, "order.decline"),
    read("/trial-rules", Holder("brand.read"), Brand),
    write("PUT", "/trial-rules", Holder("brand.update"), Brand, "trial_rules.put"),
    read("/accounts/{id}/invoicing", Holder("invoice.read"), Brand),
    write("PUT", "/accounts/{id}/invoicing", Holder("invoice.manage"), Brand, "customer_invoicing.update"),
    post("/accounts/{id}/vat-decision", Holder("order.manage"), Brand, "vat_number.decide"),
    // people
    read("/accounts", Holder("account.read"), Either),
    read("/accounts/{id}", Holder("account.read"), Either),
    read("/resellers", Holder("account.read"), Brand),
    read("/resellers/{id}", Holder("account.read"), Brand),
    write("PUT", "/resellers/{id}", Holder("account.manage"), Brand, "reseller.update"),
    write("DELETE", "/resellers/{id}", Holder("account.manage"), Brand, "reseller.remove"),
    read("/resellers/{id}/clients", Holder("account.read"), Brand),
    write("PUT", "/accounts/{id}/reseller", Holder("account.manage"), Brand, "reseller.assign_client"),
    post("/accounts/{id}/merge", Holder("account.manage"), Brand, "customer.merge").money().step_up(),
    post("/accounts/{id}/sign-out-everywhere", Holder("account.manage"), Either, "session.end_all"),
    read("/roles", Holder("account.read"), Either),
    read("/grants", Holder("grant.manage"), Either),
    post("/grants", Holder("grant.manage"), Either, "grant.create").step_up().for_people(),
    write("DELETE", "/grants/{id}", Holder("grant.manage"), Either, "grant.revoke").step_up().for_people(),
    post("/staff", Holder("grant.manage"), Either, "staff.invite").step_up().for_people(),
    read("/api-keys", Holder("apikey.manage"), Either),
    post("/api-keys", Holder("apikey.manage"), Either, "apikey.create").step_up().for_people(),
    write("DELETE", "/api-keys/{id}", Holder("apikey.manage"), Either, "apikey.revoke"),
    read("/audit", Holder("audit.read"), Either),
    post("/audit/verify", Holder("audit.read"), Either, "-"),
    read("/tasks", Holder("order.manage"), Brand),
];

/// Template to its rows.
static BY_PATH: LazyLock<HashMap<&'static str, Vec<&'static Rule>>> = LazyLock::new(|| {
    let mut by_path: HashMap<&'static str, Vec<&'static Rule>> = HashMap::new();
    for rule in RULES {
        by_path.entry(rule.path).or_default().push(rule);
    }
    by_path
});

/// The row of a route.
#[must_use]
pub fn rule(method: &str, path: &str) -> Option<&'static Rule> {
    let method = if method == "HEAD" { "GET" } else { method };
    BY_PATH.get(path)?.iter().find(|rule| rule.method == method).copied()
}

impl Rule {
    /// Whether this caller may.
    ///
    /// # Errors
    /// 401 when signing in would help, 403 when it would not, 404 when the caller may not know that there is something.
    pub fn check(&self, site: &Site, caller: &Caller, now: DateTime<Utc>) -> Result<(), Refusal> {
        self.check_who(site, caller)?;
        self.check_scope(caller)?;
        if self.is_for_people && caller.actor.kind == ActorKind::ApiKey {
            return Err(Refusal::denied(
                "staff_only",
                "who may do what is decided by members of staff, not by API keys",
            ));
        }
        if self.is_step_up {
            caller.actor.require_step_up(now)?;
        }
        Ok(())
    }

    fn check_who(&self, site: &Site, caller: &Caller) -> Result<(), Refusal> {
        let kind = caller.actor.kind;
        let has_session = caller.session.is_some();
        if caller.session.as_ref().is_some_and(|session| session.is_enrolment_only)
            && !matches!(self.who, Who::Anyone | Who::Enrolling)
        {
            return Err(enrolment_required());
        }
        let holds = |permission: &str| match kind {
            ActorKind::Staff | ActorKind::ApiKey => caller.actor.require(permission).map_err(Refusal::from),
            ActorKind::Customer => Err(Refusal::not_found()),
            ActorKind::Anonymous | ActorKind::Service => Err(Refusal::sign_in()),
        };
        let only = |is_right: bool, host_is_right: bool| match (is_right, host_is_right) {
            (true, _) => Ok(()),
            (false, false) => Err(Refusal::not_found()),
            (false, true) if has_session => {
                Err(Refusal::denied("account_kind", "this is not for your kind of account"))
            }
            (false, true) => Err(Refusal::sign_in()),
        };
        match self.who {
            Who::Anyone => Ok(()),
            Who::Visitor => site.brand().map(|_| ()).ok_or_else(Refusal::not_found),
            Who::Setup => match site {
                Site::Staff => Ok(()),
                Site::Brand(_) => Err(Refusal::not_found()),
            },
            Who::Customer => only(kind == ActorKind::Customer, site.brand().is_some()),
            Who::Person | Who::Enrolling => only(matches!(kind, ActorKind::Customer | ActorKind::Staff), true),
            Who::Team => only(matches!(kind, ActorKind::Staff | ActorKind::ApiKey), matches!(site, Site::Staff)),
            Who::Holder(permission) => holds(permission),
            Who::Owner(_) if kind == ActorKind::Customer => Ok(()),
            Who::Owner(permission) => holds(permission),
        }
    }

    fn check_scope(&self, caller: &Caller) -> Result<(), Refusal> {
        match self.scope {
            Scope::Either => Ok(()),
            Scope::Brand => caller.brand().map(|_| ()),
            Scope::Platform if caller.actor.brand.is_none() => Ok(()),
            Scope::Platform => Err(Refusal::invalid(
                "Ottery-Brand",
                "platform_only",
                "this works outside any brand: leave the header `Ottery-Brand` out",
            )),
        }
    }
}

#[cfg(test)]
mod tests;

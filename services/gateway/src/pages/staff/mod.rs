//! The staff area: first steps, signing in, and everything an operator does. `/staff/b/{brand}/…` works in that brand.

mod accounts;
mod amount_limits;
mod amounts;
mod books;
pub mod brand_form;
mod brands;
mod coupon_form;
mod coupons;
mod dashboard;
pub mod desk;
mod diagnosis;
mod disputes;
mod drift;
mod dunning;
mod dunning_form;
mod entry;
mod gifts;
mod incoming;
mod invoice_form;
mod invoices;
mod invoicing;
mod option_form;
pub mod orders;
mod own_wallet;
mod panels;
mod plan_form;
mod plans;
mod price_change;
mod price_override;
mod providers;
mod reconciliation;
mod records;
mod resellers;
mod revenue;
mod screening;
mod screening_form;
mod subscriptions;
mod taxes;
mod tickets;
mod time_machine;
mod trials;
mod wallet;

use axum::Router;
use axum::routing::{get, post};

use crate::pages::explain;
use crate::state::AppState;

/// The staff area's pages.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/staff/setup", get(entry::setup_page).post(entry::setup))
        .route("/staff/sign-in", get(entry::sign_in_page).post(entry::sign_in))
        .route("/staff/sign-in/code", post(entry::code))
        .route("/staff/sign-out", post(entry::sign_out))
        .route("/staff/enrol", get(entry::enrol_page).post(entry::enrol))
        .route("/staff/confirm", get(entry::confirm_page).post(entry::confirm))
        .route("/staff", get(brands::home))
        .route("/staff/brands/new", get(brands::new_page).post(brands::create))
        .merge(in_brand())
}

fn in_brand() -> Router<AppState> {
    Router::new()
        .route("/staff/b/{brand}", get(dashboard::show))
        .route("/staff/b/{brand}/settings", get(brands::edit_page).post(brands::save))
        .route("/staff/b/{brand}/settings/clock", post(brands::advance))
        .route("/staff/b/{brand}/plans", get(plans::list))
        .route("/staff/b/{brand}/plans/new", get(plans::new_page).post(plans::create))
        .route("/staff/b/{brand}/plans/{id}", get(plans::edit_page).post(plans::save))
        .route("/staff/b/{brand}/plans/{id}/price-change", get(price_change::preview).post(price_change::announce))
        .route("/staff/b/{brand}/plans/{id}/state", post(plans::set_state))
        .route("/staff/b/{brand}/coupons", get(coupons::list))
        .route("/staff/b/{brand}/coupons/new", get(coupons::new_page).post(coupons::create))
        .route("/staff/b/{brand}/coupons/{id}", get(coupons::show))
        .route("/staff/b/{brand}/coupons/{id}/state", post(coupons::set_state))
        .route("/staff/b/{brand}/gifts", get(gifts::list).post(gifts::create))
        .route("/staff/b/{brand}/gifts/{id}", get(gifts::show))
        .route("/staff/b/{brand}/gifts/{id}/download", post(gifts::download))
        .route("/staff/b/{brand}/gifts/{id}/void", post(gifts::void))
        .route("/staff/b/{brand}/dunning", get(dunning::show).post(dunning::save))
        .route("/staff/b/{brand}/dunning/preview", get(dunning::edit).post(dunning::preview))
        .route("/staff/b/{brand}/dunning/held", get(dunning::held).post(dunning::decide))
        .route("/staff/b/{brand}/screening", get(screening::list))
        .route("/staff/b/{brand}/screening/rules", get(screening::rules).post(screening::preview))
        .route("/staff/b/{brand}/screening/rules/save", post(screening::save))
        .route("/staff/b/{brand}/amounts", get(amounts::page).post(amounts::put))
        .route("/staff/b/{brand}/trials", get(trials::rules).post(trials::put_rules))
        .route("/staff/b/{brand}/time-machine", get(time_machine::list).post(time_machine::ask))
        .route("/staff/b/{brand}/time-machine/{id}", get(time_machine::show))
        .route("/staff/b/{brand}/taxes", get(taxes::show).post(taxes::replace))
        .route("/staff/b/{brand}/taxes/settings", post(taxes::save))
        .route("/staff/b/{brand}/panels", get(panels::list))
        .route("/staff/b/{brand}/panels/new", get(panels::new_page).post(panels::create))
        .route("/staff/b/{brand}/panels/{id}", get(panels::show).post(panels::save))
        .route("/staff/b/{brand}/panels/{id}/diagnosis", get(diagnosis::ask).post(diagnosis::run))
        .route("/staff/b/{brand}/panels/{id}/delete", post(panels::delete))
        .route("/staff/b/{brand}/drift", get(drift::show))
        .route("/staff/b/{brand}/drift/preview", post(drift::preview))
        .route("/staff/b/{brand}/drift/decide", post(drift::decide))
        .route("/staff/b/{brand}/drift/scan", post(drift::scan))
        .route("/staff/b/{brand}/drift/rules", post(drift::rule))
        .route("/staff/b/{brand}/providers", get(providers::show).post(providers::put))
        .route("/staff/b/{brand}/providers/test", post(providers::test))
        .route("/staff/b/{brand}/providers/rotate", post(providers::rotate))
        .route("/staff/b/{brand}/disputes", get(disputes::list))
        .route("/staff/b/{brand}/disputes/{id}", get(disputes::show))
        .route("/staff/b/{brand}/disputes/{id}/evidence", post(disputes::answer))
        .route("/staff/b/{brand}/disputes/{id}/accept", post(disputes::accept))
        .route("/staff/b/{brand}/orders", get(orders::list))
        .route("/staff/b/{brand}/orders/{id}", get(orders::show))
        .route("/staff/b/{brand}/orders/{id}/refund", post(orders::refund))
        .route("/staff/b/{brand}/orders/{id}/approve", post(screening::approve))
        .route("/staff/b/{brand}/orders/{id}/decline", post(screening::decline))
        .route("/staff/b/{brand}/orders/{id}/retry", post(orders::retry))
        .route("/staff/b/{brand}/subscriptions", get(subscriptions::list))
        .route("/staff/b/{brand}/subscriptions/{id}", get(subscriptions::show))
        .route(
            "/staff/b/{brand}/subscriptions/{id}/anchor",
            get(subscriptions::preview_anchor).post(subscriptions::move_anchor),
        )
        .route("/staff/b/{brand}/subscriptions/{id}/hold", post(dunning::hold))
        .route("/staff/b/{brand}/subscriptions/{id}/lift-hold", post(dunning::lift))
        .route("/staff/b/{brand}/subscriptions/{id}/explain", get(explain::staff_subscription))
        .route("/staff/b/{brand}/subscriptions/{id}/pause", post(subscriptions::pause))
        .route("/staff/b/{brand}/subscriptions/{id}/unpause", post(subscriptions::unpause))
        .route("/staff/b/{brand}/subscriptions/{id}/price-override", post(price_override::save))
        .route("/staff/b/{brand}/subscriptions/{id}/transfer", post(subscriptions::transfer))
        .route("/staff/b/{brand}/subscriptions/{id}/suspend", post(subscriptions::suspend))
        .route("/staff/b/{brand}/subscriptions/{id}/unsuspend", post(subscriptions::unsuspend))
        .route("/staff/b/{brand}/subscriptions/{id}/terminate", post(subscriptions::terminate))
        .route("/staff/b/{brand}/invoices", get(invoices::list))
        .route("/staff/b/{brand}/invoices/{id}", get(invoices::show))
        .route("/staff/b/{brand}/invoices/{id}/explain", get(explain::staff_invoice))
        .route("/staff/b/{brand}/invoices/{id}/pdf", get(invoices::pdf))
        .route("/staff/b/{brand}/invoices/{id}/ubl", get(invoices::ubl))
        .route("/staff/b/{brand}/invoices/rules", get(invoicing::rules).post(invoicing::put_rules))
        .route("/staff/b/{brand}/invoices/{id}/edit", post(invoicing::edit))
        .route("/staff/b/{brand}/invoices/{id}/discard", post(invoicing::discard))
        .route("/staff/b/{brand}/invoices/{id}/finalise", post(invoicing::finalise))
        .route("/staff/b/{brand}/invoices/{id}/send", post(invoicing::send))
        .route("/staff/b/{brand}/invoices/{id}/void", post(invoicing::void))
        .route("/staff/b/{brand}/invoices/{id}/write-off", post(invoicing::write_off))
        .route("/staff/b/{brand}/invoices/{id}/credit", post(invoicing::credit))
        .route("/staff/b/{brand}/invoices/{id}/refund", post(invoicing::refund))
        .route("/staff/b/{brand}/orders/{id}/cancel", post(invoicing::cancel_order))
        .route("/staff/b/{brand}/customers/{id}/merge", post(accounts::merge))
        .route("/staff/b/{brand}/customers/{id}/invoices/new", get(invoicing::new_page).post(invoicing::create))
        .route("/staff/b/{brand}/customers", get(accounts::customers))
        .route("/staff/b/{brand}/customers/{id}", get(accounts::customer))
        .route("/staff/b/{brand}/resellers", get(resellers::list).post(resellers::create))
        .route("/staff/b/{brand}/resellers/{id}", get(resellers::show))
        .route("/staff/b/{brand}/resellers/{id}/clients", post(resellers::add))
        .route("/staff/b/{brand}/resellers/{id}/clients/remove", post(resellers::take))
        .route("/staff/b/{brand}/resellers/{id}/grace", post(resellers::change))
        .route("/staff/b/{brand}/resellers/{id}/remove", post(resellers::remove))
        .route("/staff/b/{brand}/customers/{id}/trials", get(trials::customer).post(trials::allow))
        .route("/staff/b/{brand}/customers/{id}/wallet", get(wallet::show))
        .route("/staff/b/{brand}/customers/{id}/wallet.csv", get(wallet::csv))
        .route("/staff/b/{brand}/customers/{id}/wallet/credits", post(wallet::grant))
        .route("/staff/b/{brand}/customers/{id}/wallet/conversions", post(wallet::convert))
        .route("/staff/b/{brand}/customers/{id}/vat", post(accounts::decide_vat))
        .route("/staff/b/{brand}/customers/{id}/invoicing", post(accounts::put_invoicing))
        .route("/staff/b/{brand}/tickets", get(tickets::list))
        .route("/staff/b/{brand}/tickets/{id}", get(tickets::show))
        .route("/staff/b/{brand}/tickets/{id}/reply", post(tickets::reply))
        .route("/staff/b/{brand}/tickets/{id}/close", post(tickets::close))
        .route("/staff/b/{brand}/mails", get(records::deliveries))
        .route("/staff/b/{brand}/mails/resend", post(records::resend))
        .route("/staff/b/{brand}/incoming", get(incoming::show))
        .route("/staff/b/{brand}/incoming/record", post(incoming::record))
        .route("/staff/b/{brand}/incoming/assign", post(incoming::assign))
        .route("/staff/b/{brand}/incoming/confirm", post(incoming::confirm))
        .route("/staff/b/{brand}/incoming/take-back", post(incoming::take_back))
        .route("/staff/b/{brand}/incoming/refund", post(incoming::refund))
        .route("/staff/b/{brand}/incoming/refuse", post(incoming::refuse))
        .route("/staff/b/{brand}/proofs/{id}", get(incoming::proof))
        .route("/staff/b/{brand}/reconciliation", get(reconciliation::list).post(reconciliation::ask))
        .route("/staff/b/{brand}/reconciliation/accept", post(reconciliation::accept))
        .route("/staff/b/{brand}/reconciliation/{id}", get(reconciliation::show))
        .route("/staff/b/{brand}/ledger", get(records::ledger))
        .route("/staff/b/{brand}/ledger/deferred", get(revenue::deferred))
        .route("/staff/b/{brand}/ledger/deferred.csv", get(revenue::deferred_csv))
        .route("/staff/b/{brand}/ledger/balance", get(books::balance))
        .route("/staff/b/{brand}/ledger/balance.csv", get(books::balance_csv))
        .route("/staff/b/{brand}/ledger/balance/close", post(books::close))
        .route("/staff/b/{brand}/ledger/balance/reopen", post(books::reopen))
        .route("/staff/b/{brand}/affiliates", get(records::affiliates))
        .route("/staff/b/{brand}/audit", get(records::audit))
}

//! Codes at checkout: a coupon takes something off the price, a gift or voucher pays the order from the wallet.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use ottery_proto::billing::v1 as billing;
use ottery_proto::common::v1::Money;

use super::checkout::{Wanted, fields, review_or_plain, wanted};
use crate::api::gifts::redeem_for;
use crate::device::Device;
use crate::limits::Form as Body;
use crate::pages::block::{Failed, Field, Form, Sent, Tone};
use crate::pages::frame::{Ui, go, go_done, with_cookie};
use crate::problem::{Refusal, Reply};
use crate::session::{Customer, Visitor};
use crate::state::AppState;

const REDEEM: &str = "/checkout/redeem";

/// A form of its own, so that the price is shown anew before anything is ordered.
pub(super) fn coupon_form(wanted: &Wanted, applied: &str, refused: Option<&Refusal>) -> Form {
    let help = if applied.is_empty() { "" } else { "It is taken off. Empty the field to go on without it." };
    let field = Field { autocomplete: "off", ..Field::text("coupon", "Coupon code") }.value(applied).help(help);
    let mut form = Form::new("", "/checkout", "Apply").tone(Tone::Info);
    form.is_get = true;
    let failed = refused.map(|refusal| Failed {
        action: form.action.clone(),
        sent: Sent::from(vec![("coupon".to_owned(), wanted.coupon.clone())]),
        refusal: refusal.clone(),
    });
    form.fields(fields(wanted.kept())).field(field).refused(failed.as_ref())
}

/// The form for a gift or voucher; `coupon` is the one that is applied, and stays.
pub(super) fn gift_form(wanted: &Wanted, coupon: &str, failed: Option<&Failed>) -> Form {
    let code = Field { autocomplete: "off", ..Field::text("code", "Gift or voucher code") }
        .required()
        .example("GIFT-2345-6789-ABCD-EFGH")
        .help("It pays this order, and what is left stays in your wallet. One for a plan starts that plan at once.");
    Form::new("", REDEEM, "Redeem")
        .tone(Tone::Info)
        .fields(fields(wanted.kept()))
        .field(Field::hidden("coupon", coupon))
        .field(code)
        .refused(failed)
}

/// Who pays how much of what is due now.
#[derive(Debug)]
pub(super) struct Split {
    /// What the wallet pays; nothing when it is empty.
    pub(super) wallet: Option<Money>,
    /// What is left for a payment.
    pub(super) rest: Option<Money>,
}

/// How what is due now will be paid: from the wallet first, as the order does.
pub(super) async fn split(state: &AppState, visitor: &Visitor, due: Option<&Money>) -> Reply<Split> {
    let Some(due) = due.filter(|due| due.minor > 0) else { return Ok(Split { wallet: None, rest: due.cloned() }) };
    let asked = billing::GetWalletRequest::default();
    let found = state.clients.billing(&visitor.caller.call()).get_wallet(asked).await?.into_inner();
    let available = found.wallets.iter().filter_map(|wallet| wallet.available.as_ref());
    let of_currency: i64 = available.filter(|money| money.currency == due.currency).map(|money| money.minor).sum();
    Ok(divided(due, of_currency))
}

fn divided(due: &Money, available: i64) -> Split {
    let from_wallet = available.clamp(0, due.minor);
    let of = |minor| Money { minor, currency: due.currency.clone() };
    Split { wallet: (from_wallet > 0).then(|| of(from_wallet)), rest: Some(of(due.minor - from_wallet)) }
}

/// `POST /checkout/redeem`: a code of a gift or voucher, then the review with what is left to pay.
pub async fn redeem(
    State(state): State<AppState>,
    customer: Customer,
    ui: Ui,
    headers: HeaderMap,
    Body(sent): Body<Sent>,
) -> Reply<Response> {
    let Customer { brand, caller, .. } = customer;
    let visitor = Visitor { brand, caller };
    let mut wanted = wanted(&state, &visitor.brand, &ui, &sent).await?;
    let device = Device::of(&state, visitor.brand.id, &headers, &ui.request);
    let cookie = device.cookie(&state, &ui.request)?;
    wanted.device = Some(device);
    let answer = match redeem_for(&state, &visitor.caller, None, sent.text("code")).await {
        Ok(reply) if reply.order_id.is_empty() => go_done(&wanted.href(), "code-redeemed"),
        Ok(reply) => go(&format!("/orders/{}", reply.order_id)),
        Err(refusal) => {
            let failed = Failed { action: REDEEM.into(), sent, refusal: with_way_out(refusal) };
            review_or_plain(&state, &visitor, &ui, wanted, Some(failed)).await?
        }
    };
    Ok(with_cookie(answer, cookie))
}

/// Somebody with a coupon may have typed it here.
fn with_way_out(refusal: Refusal) -> Refusal {
    if !refusal.is("code_mistyped") {
        return refusal;
    }
    let detail = format!("{}. A coupon goes into the field above", refusal.detail);
    Refusal { detail, ..refusal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wallet_pays_what_it_can_and_never_more_than_is_due() {
        let due = Money { minor: 999, currency: "EUR".into() };
        for (available, wallet, rest) in
            [(0, None, 999), (-5, None, 999), (500, Some(500), 499), (999, Some(999), 0), (2500, Some(999), 0)]
        {
            let split = divided(&due, available);
            assert_eq!(split.wallet.map(|money| money.minor), wallet, "{available}");
            assert_eq!(split.rest.map(|money| money.minor), Some(rest), "{available}");
        }
    }
}

//! Billing addresses.

use ottery_kernel::AccountId;
use ottery_kit::grpc::{Actor, Problem};
use ottery_proto::billing::v1 as proto;

use super::order::{TEXT_MAX, country, within};
use super::{Caller, convert, id};
use crate::app::Billing;
use crate::domain::address::{Address, Kept};

/// Lines of an address beside town and country.
const LINES_MAX: usize = 3;
/// Longest line of an address.
const LINE_MAX: usize = 80;

fn account(caller: &Caller, asked: &str) -> Result<AccountId, Problem> {
    match (caller.owner, asked) {
        (Some(owner), "") => Ok(owner),
        (owner, asked) => {
            let asked = id::<AccountId>("account_id", asked)?;
            match owner {
                // Of somebody else's address a customer does not even learn whether there is one.
                Some(owner) if owner != asked => Err(none(asked)),
                _ => Ok(asked),
            }
        }
    }
}

fn none(account: AccountId) -> Problem {
    let message = format!("{account} has no billing address yet");
    Problem::not_found("BILLING_ADDRESS_NOT_FOUND", message).on_field("account_id")
}

pub(super) async fn get(
    app: &Billing,
    actor: Actor,
    request: proto::GetBillingAddressRequest,
) -> Result<proto::BillingAddress, Problem> {
    let caller = Caller::customer_or(actor, "invoice.read")?;
    let account = account(&caller, &request.account_id)?;
    let kept = app.billing_address(caller.brand, account).await?.ok_or_else(|| none(account))?;
    Ok(convert::address::billing_address(account, &kept))
}

pub(super) async fn put(
    app: &Billing,
    actor: Actor,
    request: proto::PutBillingAddressRequest,
) -> Result<proto::BillingAddress, Problem> {
    let caller = Caller::customer_or(actor, "order.manage")?;
    let sent = request.address.ok_or_else(|| Problem::invalid("address", "MISSING", "address: give the address"))?;
    let account = account(&caller, &sent.account_id)?;
    let expected = i64::try_from(request.expected_version).unwrap_or(i64::MAX);
    let kept = app.put_billing_address(caller.brand, account, read(&sent)?, expected, &caller.actor).await?;
    Ok(convert::address::billing_address(account, &kept))
}

fn read(sent: &proto::BillingAddress) -> Result<Address, Problem> {
    let line = |field: &str, text: &str| within(field, text.trim(), LINE_MAX).map(str::to_owned);
    let lines: Vec<String> = sent.lines.iter().map(|text| line("lines", text)).collect::<Result<_, _>>()?;
    let lines: Vec<String> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    if lines.len() > LINES_MAX {
        let message = format!("lines: street and house in at most {LINES_MAX} lines, got {}", lines.len());
        return Err(Problem::invalid("lines", "TOO_MANY", message));
    }
    let country = country(&sent.country)?;
    if country.is_empty() {
        return Err(Problem::invalid("country", "MISSING", "country: two letters such as `DE`; it decides on the tax"));
    }
    let region = sent.region.trim().to_ascii_uppercase();
    if region.len() > 3 || !region.chars().all(|c| c.is_ascii_alphanumeric()) {
        let message = "region: the letters of ISO 3166-2 after the hyphen, such as `CA` for US-CA, or nothing";
        return Err(Problem::invalid("region", "REGION_INVALID", message));
    }
    Ok(Address {
        company: within("company", sent.company.trim(), TEXT_MAX)?.to_owned(),
        lines,
        postal_code: within("postal_code", sent.postal_code.trim(), 20)?.to_owned(),
        city: line("city", &sent.city)?,
        region,
        country,
        vat_number: within("vat_number", sent.vat_number.trim(), 40)?.to_owned(),
    })
}

pub(super) async fn decide(
    app: &Billing,
    actor: Actor,
    request: proto::DecideVatNumberRequest,
) -> Result<proto::BillingAddress, Problem> {
    let caller = Caller::staff(actor, "order.manage")?;
    let account = id("account_id", &request.account_id)?;
    let reference = within("reference", request.reference.trim(), TEXT_MAX)?;
    if request.valid && reference.is_empty() {
        let message = "reference: say where it was looked up, such as the number of the register's answer";
        return Err(Problem::invalid("reference", "MISSING", message));
    }
    let kept: Kept = app.decide_vat_number(caller.brand, account, request.valid, reference, &caller.actor).await?;
    Ok(convert::address::billing_address(account, &kept))
}

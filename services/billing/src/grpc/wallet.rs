//! Wallets.

use chrono::{DateTime, NaiveDate};
use ottery_kernel::{AccountId, Currency, TransferId};
use ottery_kit::grpc::{Actor, Problem};
use ottery_kit::idempotency::request_hash;
use ottery_proto::billing::v1 as proto;

use super::order::{TEXT_MAX, country, idempotency, within};
use super::payment::web_address;
use super::{Caller, convert, id};
use crate::app::Billing;
use crate::app::conversion::Convert;
use crate::app::payment;
use crate::app::top_up::{By, TopUp};
use crate::app::wallet::{Grant, Wallet, usual_days};
use crate::domain::amount_rules::{AmountRule, AmountRules};
use crate::domain::exchange::RateError;
use crate::domain::invoice::Buyer;
use crate::domain::statement::{Row, Statement, what};
use crate::domain::wallet::Granted;
use ottery_kernel::Money;

/// Whose wallet: the customer's own, or the one staff asks for.
pub(super) fn whose(caller: &Caller, asked: &str) -> Result<AccountId, Problem> {
    caller
        .account_filter(asked)?
        .ok_or_else(|| Problem::invalid("account_id", "MISSING", "account_id: say whose wallet"))
}

pub(super) fn credit(granted: &Granted, left: Money) -> proto::WalletCredit {
    proto::WalletCredit {
        id: granted.id.to_string(),
        account_id: granted.account.to_string(),
        amount: Some(convert::money(granted.amount)),
        left: Some(convert::money(left)),
        reason: granted.reason.clone(),
        granted_at: Some(convert::timestamp(granted.granted_at)),
        expires_at: granted.expires_at.map(convert::timestamp),
    }
}

fn wallet(found: &Wallet) -> proto::Wallet {
    proto::Wallet {
        available: Some(convert::money(found.available)),
        paid: Some(convert::money(found.paid)),
        credits: found.credits.iter().map(|held| credit(&held.granted, held.left)).collect(),
    }
}

pub(super) async fn get(
    app: &Billing,
    actor: Actor,
    request: proto::GetWalletRequest,
) -> Result<proto::GetWalletReply, Problem> {
    let caller = Caller::customer_or(actor, "invoice.read")?;
    let found = app.wallet_overview(caller.brand, whose(&caller, &request.account_id)?).await?;
    let limit = |(min, max): &(Money, Money)| proto::TopUpLimit {
        min: Some(convert::money(*min)),
        max: Some(convert::money(*max)),
    };
    Ok(proto::GetWalletReply {
        wallets: found.wallets.iter().map(wallet).collect(),
        top_up_limits: found.top_ups.iter().map(limit).collect(),
        saved_method_label: found.saved.unwrap_or_default(),
    })
}

pub(super) async fn top_up(
    app: &Billing,
    actor: Actor,
    key: Option<String>,
    request: proto::TopUpWalletRequest,
) -> Result<proto::TopUpWalletReply, Problem> {
    let caller = Caller::customer_or(actor, "order.create")?;
    let call = idempotency(&caller.actor, "billing.TopUpWallet", key, request_hash(&request));
    let amount = request.amount.as_ref().ok_or_else(|| {
        Problem::invalid("amount", "MISSING", "amount: say how much, in minor units with its currency")
    })?;
    let email = within("email", request.email.trim(), TEXT_MAX)?;
    if !email.contains('@') {
        let message = "email: the invoice needs an address such as `me@example.com`";
        return Err(Problem::invalid("email", "EMAIL_INVALID", message));
    }
    let named = match request.payment_method_id.as_str() {
        "" => None,
        text => Some(id("payment_method_id", text)?),
    };
    let by = if request.saved_method || named.is_some() {
        By::Saved(named)
    } else {
        web_address("return_url", &request.return_url)?;
        web_address("cancel_url", &request.cancel_url)?;
        By::Page {
            return_url: request.return_url.clone(),
            cancel_url: request.cancel_url.clone(),
            save_method: request.save_method,
        }
    };
    let ask = TopUp {
        account: whose(&caller, &request.account_id)?,
        buyer: Buyer {
            name: within("display_name", request.display_name.trim(), TEXT_MAX)?.to_owned(),
            email: email.to_owned(),
            country: country(&request.country)?,
            locale: within("locale", &request.locale, 35)?.to_owned(),
            address: None,
        },
        amount: convert::money_from("amount", amount)?,
        by: by.clone(),
    };
    let asked = app.top_up(caller.brand, ask, call).await?;
    let checkout_url = match by {
        By::Page { .. } => payment::open_checkout(app, caller.brand, asked.payment).await?,
        By::Saved(_) => String::new(),
    };
    Ok(proto::TopUpWalletReply {
        invoice: Some(convert::invoice(&asked.invoice, &[])),
        payment_id: asked.payment.to_string(),
        checkout_url,
    })
}

fn currency(field: &'static str, code: &str) -> Result<Currency, Problem> {
    code.parse().map_err(|error| Problem::invalid(field, "CURRENCY_INVALID", format!("{field}: {error}")))
}

pub(super) async fn convert(
    app: &Billing,
    actor: Actor,
    key: Option<String>,
    request: proto::ConvertWalletRequest,
) -> Result<proto::WalletConversion, Problem> {
    let caller = Caller::staff(actor, "wallet.grant")?;
    caller.actor.require_step_up(app.clock.now())?;
    let call = idempotency(&caller.actor, "billing.ConvertWallet", key, request_hash(&request));
    let rate =
        request.rate.parse().map_err(|error: RateError| Problem::invalid("rate", "RATE_INVALID", error.to_string()));
    let convert = Convert {
        account: id("account_id", &request.account_id)?,
        from: currency("from", &request.from_currency)?,
        to: currency("to", &request.to_currency)?,
        rate: rate?,
        reason: request.reason,
    };
    let converted = app.convert_wallet(&caller.actor, caller.brand, convert, call).await?;
    Ok(proto::WalletConversion {
        id: converted.id,
        from: Some(convert::money(converted.from)),
        to: Some(convert::money(converted.to)),
    })
}

fn rules(found: &AmountRules) -> proto::AmountRules {
    let rule = |rule: &AmountRule| proto::AmountRule {
        currency: rule.currency.to_string(),
        top_up_min_minor: rule.top_up_min,
        top_up_max_minor: rule.top_up_max,
        charge_min_minor: rule.charge_min,
    };
    proto::AmountRules { rules: found.rules.iter().map(rule).collect(), version: found.version.unsigned_abs() }
}

pub(super) async fn get_rules(app: &Billing, actor: Actor) -> Result<proto::AmountRules, Problem> {
    let caller = Caller::staff(actor, "brand.read")?;
    Ok(rules(&app.amount_rules(caller.brand).await?))
}

pub(super) async fn put_rules(
    app: &Billing,
    actor: Actor,
    request: proto::PutAmountRulesRequest,
) -> Result<proto::AmountRules, Problem> {
    let caller = Caller::staff(actor, "brand.update")?;
    let read = |(at, rule): (usize, &proto::AmountRule)| {
        let field = format!("rules[{at}].currency");
        let currency: Currency = rule
            .currency
            .parse()
            .map_err(|error| Problem::invalid(field.clone(), "CURRENCY_INVALID", format!("{field}: {error}")))?;
        Ok(AmountRule {
            currency,
            top_up_min: rule.top_up_min_minor,
            top_up_max: rule.top_up_max_minor,
            charge_min: rule.charge_min_minor,
        })
    };
    let wanted = AmountRules {
        rules: request.rules.iter().enumerate().map(read).collect::<Result<_, Problem>>()?,
        // A version that does not fit was never ours.
        version: i64::try_from(request.expected_version).unwrap_or(i64::MAX),
    };
    Ok(rules(&app.put_amount_rules(&caller.actor, caller.brand, wanted).await?))
}

pub(super) async fn grant(
    app: &Billing,
    actor: Actor,
    key: Option<String>,
    request: proto::GrantCreditRequest,
) -> Result<proto::WalletCredit, Problem> {
    let caller = Caller::staff(actor, "wallet.grant")?;
    let hash = request_hash(&request);
    let amount = request.amount.as_ref().ok_or_else(|| {
        Problem::invalid("amount", "MISSING", "amount: say how much, in minor units with its currency")
    })?;
    let expires_at = request.expires_at.as_ref().map(|at| {
        u32::try_from(at.nanos).ok().and_then(|nanos| DateTime::from_timestamp(at.seconds, nanos)).ok_or_else(|| {
            Problem::invalid("expires_at", "TIME_INVALID", "expires_at is beyond the calendar; give an earlier time")
        })
    });
    let grant = Grant {
        account: id("account_id", &request.account_id)?,
        amount: convert::money_from("amount", amount)?,
        reason: request.reason.clone(),
        expires_at: expires_at.transpose()?,
    };
    let call = idempotency(&caller.actor, "billing.GrantCredit", key, hash);
    let granted = app.grant_credit(&caller.actor, caller.brand, grant, call).await?;
    Ok(credit(&granted, granted.amount))
}

pub(super) fn day(field: &str, text: &str) -> Result<NaiveDate, Problem> {
    text.parse().map_err(|_| {
        let message = format!("{field}: `{text}` is no date; expected one such as 2026-11-26");
        Problem::invalid(field, "DAY_INVALID", message)
    })
}

pub(super) async fn statement(
    app: &Billing,
    actor: Actor,
    request: proto::GetWalletStatementRequest,
) -> Result<proto::WalletStatement, Problem> {
    let caller = Caller::customer_or(actor, "invoice.read")?;
    let account = whose(&caller, &request.account_id)?;
    let currency: Currency = request
        .currency
        .parse()
        .map_err(|error| Problem::invalid("currency", "CURRENCY_INVALID", format!("currency: {error}")))?;
    let days = match (request.from.as_str(), request.to.as_str()) {
        ("", "") => usual_days(app.brand_today(caller.brand).await?),
        (from, to) => (day("from", from)?, day("to", to)?),
    };
    let found = app.wallet_statement(caller.brand, account, currency, days).await?;
    Ok(shown(&found))
}

fn shown(found: &Statement) -> proto::WalletStatement {
    let movement = |row: &Row| proto::WalletMovement {
        transfer_id: TransferId::from_uuid(row.movement.id).to_string(),
        booked_at: Some(convert::timestamp(row.movement.at)),
        kind: row.movement.kind.clone(),
        text: what(&row.movement.kind).to_owned(),
        reference_id: row.movement.reference.clone(),
        credit_id: row.movement.credit.map(|credit| credit.to_string()).unwrap_or_default(),
        amount: Some(convert::money(row.movement.amount)),
        balance: Some(convert::money(row.balance)),
    };
    proto::WalletStatement {
        from: found.from.to_string(),
        to: found.to.to_string(),
        time_zone: found.zone.to_string(),
        opening: Some(convert::money(found.opening)),
        movements: found.rows.iter().map(movement).collect(),
        closing: Some(convert::money(found.closing)),
        csv: found.csv(),
        file_name: format!("wallet-{}-{}-{}.csv", found.opening.currency, found.from, found.to),
    }
}

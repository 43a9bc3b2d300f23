//! Provider accounts, and by what customers may pay, at the edge.

use ottery_kernel::{BrandId, Currency};
use ottery_kit::grpc::{Actor, Problem};
use ottery_kit::secret::Secret;
use ottery_proto::billing::v1 as proto;

use super::Caller;
use crate::app::Billing;
use crate::app::payment::{PutAccount, Rotate};
use crate::contract::timestamp;
use crate::domain::amount_limit::AmountLimit;
use crate::domain::by_hand::{AloneUpTo, ByHandTerms};
use crate::domain::pay_way::PayKind;
use crate::domain::provider::{ProviderAccountId, ProviderAccountIdError, Route, Terms};
use crate::store::provider_account::ProviderAccount;

pub(super) async fn put_provider_account(
    app: &Billing,
    actor: Actor,
    request: proto::PutProviderAccountRequest,
) -> Result<proto::ProviderAccount, Problem> {
    let caller = Caller::staff(actor, "brand.update")?;
    caller.actor.require_step_up(app.clock.now())?;
    let put = PutAccount {
        id: if request.id.is_empty() { None } else { Some(account_id(&request.id)?) },
        provider: request.provider,
        base_url: request.base_url,
        api_key: Secret::new(request.api_key),
        webhook_secrets: request.webhook_secrets.into_iter().map(Secret::new).collect(),
        terms: request.terms.map(terms_from).transpose()?,
        expected_version: request.expected_version,
        is_dry_run: request.dry_run,
    };
    let account = app.put_provider_account(&caller.actor, caller.brand, put).await?;
    shown(app, caller.brand, &account)
}

pub(super) async fn list_provider_accounts(
    app: &Billing,
    actor: Actor,
    _: proto::ListProviderAccountsRequest,
) -> Result<proto::ListProviderAccountsReply, Problem> {
    let caller = Caller::staff(actor, "brand.read")?;
    let accounts = app.provider_accounts(caller.brand).await?;
    let accounts = accounts.iter().map(|account| shown(app, caller.brand, account)).collect::<Result<_, Problem>>()?;
    Ok(proto::ListProviderAccountsReply { accounts })
}

pub(super) async fn rotate_provider_account(
    app: &Billing,
    actor: Actor,
    request: proto::RotateProviderAccountRequest,
) -> Result<proto::ProviderAccount, Problem> {
    let caller = Caller::staff(actor, "brand.update")?;
    caller.actor.require_step_up(app.clock.now())?;
    let rotate = Rotate {
        id: account_id(&request.id)?,
        webhook_secret: Secret::new(request.webhook_secret),
        overlap_hours: request.overlap_hours,
        expected_version: request.expected_version,
    };
    let account = app.rotate_provider_account(&caller.actor, caller.brand, rotate).await?;
    shown(app, caller.brand, &account)
}

pub(super) async fn test_provider_account(
    app: &Billing,
    actor: Actor,
    request: proto::TestProviderAccountRequest,
) -> Result<proto::TestProviderAccountReply, Problem> {
    let caller = Caller::staff(actor, "brand.update")?;
    let tested = app.test_provider_account(caller.brand, account_id(&request.id)?).await?;
    Ok(match tested {
        Ok(()) => proto::TestProviderAccountReply { good: true, problem: String::new() },
        Err(problem) => proto::TestProviderAccountReply { good: false, problem },
    })
}

pub(super) async fn list_pay_ways(
    app: &Billing,
    actor: Actor,
    request: proto::ListPayWaysRequest,
) -> Result<proto::ListPayWaysReply, Problem> {
    let brand = actor.brand_or_problem()?;
    let route = Route {
        currency: currency_of(&request.currency)?,
        country: Some(request.country.as_str()).filter(|country| !country.is_empty()),
        amount: request.amount_minor,
    };
    let ways = app.pay_ways(brand, route).await?.into_iter().filter_map(|account| {
        let provider = app.providers.get(&account.provider)?;
        let able = provider.capabilities();
        let kind = match provider.pay_kind() {
            PayKind::Card => proto::pay_way::Kind::Card,
            PayKind::Sandbox => proto::pay_way::Kind::Sandbox,
            PayKind::PayPal => proto::pay_way::Kind::Paypal,
            PayKind::Bitcoin => proto::pay_way::Kind::Bitcoin,
            PayKind::Ethereum => proto::pay_way::Kind::Ethereum,
            PayKind::BankTransfer => proto::pay_way::Kind::BankTransfer,
            PayKind::Cash => proto::pay_way::Kind::Cash,
        };
        Some(proto::PayWay {
            provider_account_id: account.id.to_string(),
            provider: account.provider,
            name: account.terms.name,
            kind: kind.into(),
            saves_methods: able.saves_methods,
            saves_without_payment: able.saves_without_payment,
            test_mode: account.is_test,
        })
    });
    Ok(proto::ListPayWaysReply { ways: ways.collect() })
}

pub(super) fn currency_of(code: &str) -> Result<Currency, Problem> {
    code.parse().map_err(|error| Problem::invalid("currency", "CURRENCY_INVALID", format!("currency: {error}")))
}

/// The account a customer chose to pay by; none when they chose none.
pub(super) fn chosen_account(text: &str) -> Result<Option<ProviderAccountId>, Problem> {
    let wrong = |error: ProviderAccountIdError| {
        Problem::invalid("provider_account_id", "ID_INVALID", format!("provider_account_id: {error}"))
    };
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(wrong) }
}

pub(super) fn account_id(text: &str) -> Result<ProviderAccountId, Problem> {
    text.parse().map_err(|error| Problem::invalid("id", "ID_INVALID", format!("id: {error}")))
}

fn terms_from(terms: proto::ProviderTerms) -> Result<Terms, Problem> {
    let currencies = terms.currencies.iter().map(|code| {
        code.parse().map_err(|error| Problem::invalid("currencies", "CURRENCY_INVALID", format!("currencies: {error}")))
    });
    let amounts = terms.amounts.iter().map(|limit| {
        let currency = limit
            .currency
            .parse::<Currency>()
            .map_err(|error| Problem::invalid("amounts", "CURRENCY_INVALID", format!("amounts: {error}")))?;
        Ok(AmountLimit { currency, min: limit.min_minor, max: limit.max_minor })
    });
    let amounts = amounts.collect::<Result<_, Problem>>()?;
    Ok(Terms {
        amounts,
        name: terms.name,
        is_enabled: terms.enabled,
        is_default: terms.default_account,
        currencies: currencies.collect::<Result<_, Problem>>()?,
        countries: terms.countries,
        suspends_on_dispute: terms.suspends_on_dispute,
        by_hand: terms.by_hand.map(by_hand_from).transpose()?,
    })
}

fn by_hand_from(terms: proto::ByHandTerms) -> Result<ByHandTerms, Problem> {
    let limit = |limit: &proto::AloneUpTo| {
        let currency = limit
            .currency
            .parse()
            .map_err(|error| Problem::invalid("alone_up_to", "CURRENCY_INVALID", format!("alone_up_to: {error}")))?;
        Ok(AloneUpTo { currency, minor: limit.amount_minor })
    };
    Ok(ByHandTerms {
        alone_up_to: terms.alone_up_to.iter().map(limit).collect::<Result<_, Problem>>()?,
        beneficiary: terms.beneficiary,
        iban: terms.iban,
        bic: terms.bic,
        bank: terms.bank,
        note: terms.note,
        days: terms.days,
    })
}

pub(super) fn by_hand(terms: &ByHandTerms) -> proto::ByHandTerms {
    let limit =
        |limit: &AloneUpTo| proto::AloneUpTo { currency: limit.currency.to_string(), amount_minor: limit.minor };
    proto::ByHandTerms {
        beneficiary: terms.beneficiary.clone(),
        iban: terms.iban.clone(),
        bic: terms.bic.clone(),
        bank: terms.bank.clone(),
        note: terms.note.clone(),
        days: terms.days,
        alone_up_to: terms.alone_up_to.iter().map(limit).collect(),
    }
}

fn limit(of: &AmountLimit) -> proto::AmountLimit {
    proto::AmountLimit { currency: of.currency.to_string(), min_minor: of.min, max_minor: of.max }
}

fn shown(app: &Billing, brand: BrandId, account: &ProviderAccount) -> Result<proto::ProviderAccount, Problem> {
    let provider = app.providers.get(&account.provider);
    // Nobody calls for coins: a chain is looked at. Nor for what people record.
    let is_called = provider.as_ref().is_none_or(|one| one.coins().is_none() && one.by_hand().is_none());
    let webhook_path = if is_called { format!("/webhooks/{}/{}", account.provider, account.id) } else { String::new() };
    let terms = &account.terms;
    Ok(proto::ProviderAccount {
        id: account.id.to_string(),
        provider: account.provider.clone(),
        base_url: account.base_url.clone(),
        api_key_hint: account.api_key_hint.clone(),
        test_mode: account.is_test,
        updated_at: Some(timestamp(account.updated_at)),
        webhook_path,
        version: account.version.cast_unsigned(),
        terms: Some(proto::ProviderTerms {
            name: terms.name.clone(),
            enabled: terms.is_enabled,
            default_account: terms.is_default,
            countries: terms.countries.clone(),
            currencies: terms.currencies.iter().map(ToString::to_string).collect(),
            suspends_on_dispute: terms.suspends_on_dispute,
            amounts: terms.amounts.iter().map(limit).collect(),
            by_hand: terms.by_hand.as_ref().map(by_hand),
        }),
        webhook_secrets: u32::try_from(account.secrets_sealed.len()).unwrap_or(u32::MAX),
        previous_secret_until: account.previous_until.map(timestamp),
        webhook_events: provider.iter().flat_map(|one| one.events()).map(ToString::to_string).collect(),
        api_version: provider.map(|one| one.api_version().to_owned()).unwrap_or_default(),
        first_addresses: app.first_addresses(brand, account)?.into_iter().map(|place| place.address).collect(),
    })
}

//! Accounts at payment providers. Their secrets go in and never come out.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use ottery_kit::secret::Secret;
use ottery_proto::billing::v1 as billing;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::payments::PROVIDER_TIMEOUT;
use super::view::{DryRun, List, Time, view, words};
use crate::limits::{Json, Query};
use crate::problem::Reply;
use crate::session::Caller;
use crate::state::AppState;

view! {
    /// How much an account takes in one currency, both ends included.
    AmountLimit from billing::AmountLimit {
        /// ISO 4217.
        currency: String,
        /// In minor units; null: no least amount.
        min_minor: Option<i64>,
        /// In minor units; null: no largest amount.
        max_minor: Option<i64>,
    }
}

words! {
    /// What is paid with. `card`: a card, or what else the provider's page offers; `sandbox`: a test card, no money moves; `paypal`:
    /// a PayPal wallet; `bitcoin`: Bitcoin, sent to an address or by lightning; `ethereum`: ether, sent to an
    /// address; `bank_transfer`: sent to the operator's bank account; `cash`: handed over.
    PayKind from billing::pay_way::Kind { Card, Sandbox, Paypal, Bitcoin, Ethereum, BankTransfer, Cash }
}

view! {
    /// Up to how much one person alone may say that it came.
    AloneUpTo from billing::AloneUpTo {
        /// ISO 4217.
        currency: String,
        /// In minor units; 0: two people always.
        amount_minor: i64,
    }
}

view! {
    /// What payers are told, and what staff keeps to, where people record what came.
    ByHandTerms from billing::ByHandTerms {
        beneficiary: String,
        iban: Option<String>,
        bic: Option<String>,
        /// The bank's name.
        bank: Option<String>,
        /// Of cash: where and when it is taken.
        note: Option<String>,
        /// How many days it may take; 0: nothing is said of it.
        days: u32,
        /// Above these amounts a second person has to agree.
        alone_up_to: Vec<AloneUpTo>,
    }
}

view! {
    /// What an account is used for.
    ProviderTerms from billing::ProviderTerms {
        /// What customers read where they choose how to pay.
        name: Option<String>,
        /// Switched off it begins nothing; what was begun by it is finished by it.
        enabled: bool,
        /// Asked before the others wherever it serves; one per brand.
        default_account: bool,
        /// ISO 3166 codes of customers' countries; empty: all of them.
        countries: Vec<String>,
        /// ISO 4217 codes; empty: whatever the provider takes.
        currencies: Vec<String>,
        /// A customer who objects to a payment is not served while that is undecided.
        suspends_on_dispute: bool,
        /// How much it takes; a currency that is not named: every amount.
        amounts: Vec<AmountLimit>,
        /// What payers are told, of `bank_transfer` and `cash`.
        by_hand: Option<ByHandTerms>,
    }
}

view! {
    /// An account at a payment provider.
    ProviderAccount from billing::ProviderAccount {
        id: String,
        provider: String,
        base_url: Option<String>,
        /// The end of the key, to tell keys apart.
        api_key_hint: Option<String>,
        test_mode: bool,
        updated_at: Option<Time>,
        /// Address to enter at the provider, below the brand's host.
        webhook_path: String,
        version: u64,
        terms: Option<ProviderTerms>,
        /// How many webhook secrets are stored; 0 while the provider has not been told the address.
        webhook_secrets: u32,
        /// Until when the secret before the newest one is taken.
        previous_secret_until: Option<Time>,
        /// What the address is to be told of; empty: everything.
        webhook_events: Vec<String>,
        /// Of the provider's API, which the address should be made for.
        api_version: Option<String>,
        /// The first addresses its key makes, for comparing with one's own wallet; empty at a provider that makes none.
        first_addresses: Vec<String>,
    }
}

view! {
    /// What an account answered.
    ProviderTest from billing::TestProviderAccountReply {
        /// Whether address and key are good.
        good: bool,
        /// What is wrong.
        problem: Option<String>,
    }
}

view! {
    /// By what a customer may pay.
    PayWay from billing::PayWay {
        provider_account_id: String,
        provider: String,
        /// As the operator calls it.
        name: Option<String>,
        saves_methods: bool,
        /// A method can be saved without a payment.
        saves_without_payment: bool,
        test_mode: bool,
        kind: PayKind,
    }
}

/// How much an account takes in one currency, both ends included.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AmountLimitInput {
    /// ISO 4217.
    pub currency: String,
    /// In minor units; no least amount when left out.
    #[serde(default)]
    pub min_minor: Option<i64>,
    /// In minor units; no largest amount when left out.
    #[serde(default)]
    pub max_minor: Option<i64>,
}

impl From<AmountLimitInput> for billing::AmountLimit {
    fn from(input: AmountLimitInput) -> Self {
        Self { currency: input.currency, min_minor: input.min_minor, max_minor: input.max_minor }
    }
}

/// Up to how much one person alone may say that it came.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AloneUpToInput {
    /// ISO 4217.
    pub currency: String,
    /// In minor units; 0: two people always.
    pub amount_minor: i64,
}

/// What payers are told, and what staff keeps to, of `bank_transfer` and `cash`. Refused as `by_hand_invalid`, naming the field.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ByHandInput {
    /// Who is paid; at most 70 characters.
    pub beneficiary: String,
    /// Of a bank transfer alone.
    #[serde(default)]
    pub iban: String,
    #[serde(default)]
    pub bic: String,
    /// The bank's name.
    #[serde(default)]
    pub bank: String,
    /// Of cash: where and when it is taken.
    #[serde(default)]
    pub note: String,
    /// How many days it may take; 0: nothing is said of it.
    #[serde(default)]
    #[schema(maximum = 60)]
    pub days: u32,
    /// Above these amounts a second person has to agree; a currency that is not named: one person is enough.
    #[serde(default)]
    pub alone_up_to: Vec<AloneUpToInput>,
}

impl From<ByHandInput> for billing::ByHandTerms {
    fn from(input: ByHandInput) -> Self {
        let limit =
            |limit: AloneUpToInput| billing::AloneUpTo { currency: limit.currency, amount_minor: limit.amount_minor };
        Self {
            beneficiary: input.beneficiary,
            iban: input.iban,
            bic: input.bic,
            bank: input.bank,
            note: input.note,
            days: input.days,
            alone_up_to: input.alone_up_to.into_iter().map(limit).collect(),
        }
    }
}

/// What an account is used for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TermsInput {
    /// What customers read where they choose how to pay; at most 60 characters.
    #[serde(default)]
    pub name: String,
    /// Switched off it begins nothing.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// Asked before the others wherever it serves; the account that was the default is it no more.
    #[serde(default)]
    pub default_account: bool,
    /// ISO 3166 codes; empty: all countries.
    #[serde(default)]
    pub countries: Vec<String>,
    /// ISO 4217 codes; empty: whatever the provider takes.
    #[serde(default)]
    pub currencies: Vec<String>,
    /// A customer who objects to a payment is not served while that is undecided.
    #[serde(default)]
    pub suspends_on_dispute: bool,
    /// How much it takes, each currency once; a currency that is not named: every amount. Refused as `amounts_invalid`.
    #[serde(default)]
    pub amounts: Vec<AmountLimitInput>,
    /// What payers are told, of `bank_transfer` and `cash`; as stored when left out.
    #[serde(default)]
    pub by_hand: Option<ByHandInput>,
}

const fn enabled() -> bool {
    true
}

impl From<TermsInput> for billing::ProviderTerms {
    fn from(input: TermsInput) -> Self {
        Self {
            name: input.name,
            enabled: input.enabled,
            default_account: input.default_account,
            countries: input.countries,
            currencies: input.currencies,
            suspends_on_dispute: input.suspends_on_dispute,
            amounts: input.amounts.into_iter().map(Into::into).collect(),
            by_hand: input.by_hand.map(Into::into),
        }
    }
}

/// A new webhook secret.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateInput {
    /// What the provider signs with from now on.
    #[schema(value_type = String)]
    pub webhook_secret: Secret,
    /// How long the secret before it is taken, in hours; 0 for not at all.
    #[serde(default = "a_day")]
    #[schema(maximum = 168)]
    pub overlap_hours: u32,
    /// The version that was read.
    pub version: u64,
}

const fn a_day() -> u32 {
    24
}

/// What is to be paid.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PayWayQuery {
    /// ISO 4217.
    currency: String,
    /// ISO 3166 code of the customer's country; left out: unknown.
    country: Option<String>,
    /// How much, in minor units; left out: unknown.
    amount_minor: Option<i64>,
}

/// An account at a payment provider.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderInput {
    /// `sandbox`, `stripe`, `paypal`, `btcpay`, `bitcoin`, `ethereum`, `bank_transfer`, `cash`
    pub provider: String,
    /// Where its API is; the provider's own address when left out. Of `bitcoin` an Esplora, of `ethereum` a node's JSON-RPC.
    #[serde(default)]
    pub base_url: String,
    /// Its key for us, of PayPal the client id and the secret with a colon between them, of BTCPay Server the store's id and
    /// the API key, of `bitcoin` and `ethereum` the public key of the wallet's account (with `test:` in front for ether of a test
    /// network); the stored one is kept when left out.
    #[serde(default)]
    #[schema(value_type = String)]
    pub api_key: Secret,
    /// What it signs with, of PayPal the id it gave our address, newest last; two during a rotation. The stored ones are kept when left out.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 2)]
    pub webhook_secrets: Vec<Secret>,
    /// What it is used for; as stored when left out.
    #[serde(default)]
    pub terms: Option<TermsInput>,
    /// The version that was read; 0 to create.
    #[serde(default)]
    pub version: u64,
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(update))
        .routes(routes!(rotate))
        .routes(routes!(test))
        .routes(routes!(pay_ways))
}

/// Replace the webhook secret of a provider account.
///
/// The secret before it is taken for a while yet, so that nothing is missed between the change here and the change there.
#[utoipa::path(post, path = "/provider-accounts/{id}/rotate", tag = "providers", operation_id = "rotate_provider_account", params(("id" = String, Path)), request_body = RotateInput, responses((status = 200, body = ProviderAccount)))]
async fn rotate(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(input): Json<RotateInput>,
) -> Reply<Json<ProviderAccount>> {
    let request = billing::RotateProviderAccountRequest {
        id,
        webhook_secret: input.webhook_secret.expose().to_owned(),
        overlap_hours: input.overlap_hours,
        expected_version: input.version,
    };
    Ok(Json(state.clients.billing(&caller.call()).rotate_provider_account(request).await?.into_inner().into()))
}

/// Test a provider account.
///
/// Asks the provider something harmless. What is wrong is an answer, too.
#[utoipa::path(post, path = "/provider-accounts/{id}/test", tag = "providers", operation_id = "test_provider_account", params(("id" = String, Path)), responses((status = 200, body = ProviderTest)))]
async fn test(State(state): State<AppState>, caller: Caller, Path(id): Path<String>) -> Reply<Json<ProviderTest>> {
    let call = caller.call().timeout(PROVIDER_TIMEOUT);
    let request = billing::TestProviderAccountRequest { id };
    Ok(Json(state.clients.billing(&call).test_provider_account(request).await?.into_inner().into()))
}

/// List by what customers may pay.
///
/// In the order in which they are tried; of accounts that customers could not tell apart the first one, for which the others stand in.
/// What is chosen is named where an order is placed or an invoice paid.
#[utoipa::path(get, path = "/pay-ways", tag = "storefront", operation_id = "list_pay_ways", params(PayWayQuery), responses((status = 200, body = List<PayWay>)))]
async fn pay_ways(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<PayWayQuery>,
) -> Reply<Json<List<PayWay>>> {
    let request = billing::ListPayWaysRequest {
        currency: query.currency,
        country: query.country.unwrap_or_default(),
        amount_minor: query.amount_minor,
    };
    let reply = state.clients.billing(&caller.call()).list_pay_ways(request).await?.into_inner();
    Ok(Json(List::of(reply.ways)))
}

/// List provider accounts.
#[utoipa::path(get, path = "/provider-accounts", tag = "providers", operation_id = "list_provider_accounts", responses((status = 200, body = List<ProviderAccount>)))]
async fn list(State(state): State<AppState>, caller: Caller) -> Reply<Json<List<ProviderAccount>>> {
    let request = billing::ListProviderAccountsRequest {};
    let reply = state.clients.billing(&caller.call()).list_provider_accounts(request).await?.into_inner();
    Ok(Json(List::of(reply.accounts)))
}

/// Add a provider account.
#[utoipa::path(post, path = "/provider-accounts", tag = "providers", operation_id = "create_provider_account", params(DryRun), request_body = ProviderInput, responses((status = 201, body = ProviderAccount)))]
async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Query(mode): Query<DryRun>,
    Json(input): Json<ProviderInput>,
) -> Reply<Response> {
    let account = put(&state, &caller, String::new(), input, mode).await?;
    Ok((mode.created(), Json(account)).into_response())
}

/// Change a provider account.
#[utoipa::path(put, path = "/provider-accounts/{id}", tag = "providers", operation_id = "update_provider_account", params(("id" = String, Path), DryRun), request_body = ProviderInput, responses((status = 200, body = ProviderAccount)))]
async fn update(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(mode): Query<DryRun>,
    Json(input): Json<ProviderInput>,
) -> Reply<Json<ProviderAccount>> {
    put(&state, &caller, id, input, mode).await.map(Json)
}

async fn put(
    state: &AppState,
    caller: &Caller,
    id: String,
    input: ProviderInput,
    mode: DryRun,
) -> Reply<ProviderAccount> {
    let request = billing::PutProviderAccountRequest {
        id,
        provider: input.provider,
        base_url: input.base_url,
        api_key: input.api_key.expose().to_owned(),
        webhook_secrets: input.webhook_secrets.iter().map(|secret| secret.expose().to_owned()).collect(),
        expected_version: input.version,
        dry_run: mode.dry_run,
        terms: input.terms.map(Into::into),
    };
    Ok(state.clients.billing(&caller.call()).put_provider_account(request).await?.into_inner().into())
}

//! Ether without anybody in between: addresses of the operator's own wallet, looked at through a node of Ethereum. Nothing here can spend.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ottery_kernel::{Currency, Money};
use ottery_kit::http::GuardedClient;
use ottery_kit::secret::Secret;
use url::Url;

use super::coin::{ChainError, ChainSource, CoinProvider, JsonRpc, PriceSources, is_safe_source};
use super::{
    Access, CallError, Capabilities, ChargeAsk, Checkout, CheckoutAsk, Forged, Lookup, Notice, PaymentProvider, Probe,
    RefundAsk, RefundFact, unsupported,
};
use crate::domain::coin::{Address, Coin, CoinAmount, NoAddress, Quote};
use crate::domain::ethereum::{WatchKey, link};
use crate::domain::pay_way::PayKind;
use crate::domain::payment::Truth;
use crate::domain::refund;

/// Its name in settings, ledger and addresses.
pub const NAME: &str = "ethereum";
/// The chain whose ether has a price.
const MAINNET: u64 = 1;
/// Chains whose ether is for tests: Sepolia, Hoodi, Holesky, and what nodes for development say they are. Any other chain has a coin of its
/// own or ether that is not sent between chains by itself, and is refused.
const TEST_CHAINS: [u64; 5] = [11_155_111, 560_048, 17_000, 31_337, 1_337];
/// How a chain is written in front of its number (CAIP-2).
const CAIP: &str = "eip155:";

/// The adapter.
#[derive(Clone, Debug)]
pub struct Ethereum {
    client: GuardedClient,
    prices: PriceSources,
}

impl Ethereum {
    /// The adapter over that client.
    #[must_use]
    pub fn new(client: GuardedClient, prices: PriceSources) -> Self {
        Self { client, prices }
    }

    /// The chain at that account's address; asked each time, because a node behind the same address may be another one tomorrow.
    async fn chain_at(&self, access: &Access) -> Result<u64, ChainError> {
        let id = JsonRpc::new(self.client.clone(), &access.base_url).chain_id().await?;
        if id == MAINNET || TEST_CHAINS.contains(&id) { Ok(id) } else { Err(ChainError::Network) }
    }
}

fn told(error: &ChainError) -> CallError {
    CallError::NotSent(error.to_string())
}

#[async_trait]
impl PaymentProvider for Ethereum {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            saves_methods: false,
            charges_off_session: false,
            partial_refunds: false,
            is_test_mode: false,
            saves_without_payment: false,
            confirms_charges: false,
            takes_evidence: false,
            // Nobody calls us: a chain is looked at.
            makes_secret: true,
            takes_when_asked: false,
            refunds_disputes: false,
            finds_by_reference: false,
        }
    }

    fn pay_kind(&self) -> PayKind {
        PayKind::Ethereum
    }

    fn exponent(&self, currency: Currency) -> u32 {
        currency.exponent()
    }

    fn minimum(&self, _: Currency) -> i64 {
        0
    }

    fn takes(&self, currency: Currency) -> bool {
        self.prices.has(currency)
    }

    fn is_safe_address(&self, base_url: &Url) -> bool {
        is_safe_source(base_url)
    }

    fn is_live_key(&self, key: &Secret, _: &str) -> Option<bool> {
        key.expose().parse::<WatchKey>().ok().map(|key| key.is_real())
    }

    fn key_form(&self) -> &'static str {
        "the public key of an account (xpub of m/44'/60'/0', with test: in front for a test network), never a private key or seed words"
    }

    fn key_refusal(&self, key: &Secret) -> Option<String> {
        key.expose().parse::<WatchKey>().err().map(|refused| refused.to_string())
    }

    fn coins(&self) -> Option<&dyn CoinProvider> {
        Some(self)
    }

    async fn probe(&self, access: &Access) -> Result<Probe, CallError> {
        let chain = self.chain_at(access).await.map_err(|error| told(&error))?;
        let tip = self.chain(access).tip().await.map_err(|error| told(&error))?;
        tracing::debug!(chain.id = chain, height = tip.height, "chain source answers");
        Ok(Probe { is_live: Some(chain == MAINNET) })
    }

    async fn create_checkout(&self, _: &Access, _: &CheckoutAsk) -> Result<Checkout, CallError> {
        Err(unsupported())
    }

    async fn expire_checkout(&self, _: &Access, _: &str) -> Result<(), CallError> {
        Ok(())
    }

    async fn charge_saved(&self, _: &Access, _: &ChargeAsk) -> Result<Truth, CallError> {
        Err(unsupported())
    }

    async fn fetch_payment(&self, _: &Access, _: Lookup<'_>) -> Result<Truth, CallError> {
        Err(unsupported())
    }

    async fn refund(&self, _: &Access, _: &RefundAsk) -> Result<refund::Truth, CallError> {
        Err(CallError::Refused { code: "paid_out_by_hand".to_owned() })
    }

    async fn fetch_refund(&self, _: &Access, _: &str) -> Result<Option<RefundFact>, CallError> {
        Ok(None)
    }

    fn expresses(&self, amount: Money) -> bool {
        amount.is_positive()
    }

    fn verify_webhook(
        &self,
        _: &str,
        _: &[u8],
        _: &HashMap<String, String>,
        _: &[Secret],
        _: DateTime<Utc>,
    ) -> Result<Notice, Forged> {
        Err(Forged::Unsigned)
    }

    fn read_event(&self, _: &[u8]) -> Result<Notice, Forged> {
        Err(Forged::Unreadable)
    }
}

#[async_trait]
impl CoinProvider for Ethereum {
    fn coin(&self) -> Coin {
        Coin::Ether
    }

    fn first_addresses(&self, key: &Secret, _: &str, count: u32) -> Result<Vec<Address>, NoAddress> {
        let key: WatchKey = key.expose().parse()?;
        Ok((0..count).map(|index| key.place(index)).collect::<Result<_, _>>()?)
    }

    fn place(&self, key: &Secret, _: &str, index: u32) -> Result<Address, NoAddress> {
        // The same in every network.
        Ok(key.expose().parse::<WatchKey>()?.place(index)?)
    }

    async fn network(&self, access: &Access) -> Result<String, ChainError> {
        let chain = self.chain_at(access).await?;
        let is_real = self.is_live_key(&access.api_key, &access.base_url);
        // A key of real money at a test chain would have real invoices paid by what costs nothing.
        if is_real == Some(chain == MAINNET) { Ok(format!("{CAIP}{chain}")) } else { Err(ChainError::Network) }
    }

    fn chain(&self, access: &Access) -> Box<dyn ChainSource> {
        Box::new(JsonRpc::new(self.client.clone(), &access.base_url))
    }

    async fn quotes(&self, currency: Currency, now: DateTime<Utc>) -> Vec<Quote> {
        self.prices.ask(Coin::Ether, currency, now).await
    }

    fn link(&self, network: &str, address: &str, amount: CoinAmount, _: &str) -> String {
        // A link has no place for a label (EIP-681). A network is only ever stored as written above.
        let chain = network.strip_prefix(CAIP).and_then(|id| id.parse().ok()).unwrap_or(MAINNET);
        link::to_pay(chain, address, amount)
    }
}

//! Bitcoin without anybody in between: addresses of the operator's own wallet, looked at through an Esplora. Nothing here can spend.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bitcoin::Network;
use bitcoin::constants::ChainHash;
use chrono::{DateTime, Utc};
use ottery_kernel::{Currency, Money};
use ottery_kit::http::GuardedClient;
use ottery_kit::secret::Secret;
use url::Url;

use super::coin::{ChainError, ChainSource, CoinProvider, Esplora, PriceSources, is_safe_source};
use super::{
    Access, CallError, Capabilities, ChargeAsk, Checkout, CheckoutAsk, Forged, Lookup, Notice, PaymentProvider, Probe,
    RefundAsk, RefundFact, unsupported,
};
use crate::domain::bitcoin::{KeyRefused, WatchKey, link};
use crate::domain::coin::{Address, Coin, CoinAmount, NoAddress, Quote};
use crate::domain::pay_way::PayKind;
use crate::domain::payment::Truth;
use crate::domain::refund;

/// Its name in settings, ledger and addresses.
pub const NAME: &str = "bitcoin";
/// Networks that addresses are made for. Test networks share their addresses, but for the one without a network.
const NETWORKS: [Network; 5] =
    [Network::Bitcoin, Network::Testnet, Network::Testnet4, Network::Signet, Network::Regtest];

/// The adapter.
#[derive(Clone, Debug)]
pub struct Bitcoin {
    client: GuardedClient,
    prices: PriceSources,
    /// Which network is at which address: it does not change.
    networks: Arc<Mutex<HashMap<String, Network>>>,
}

impl Bitcoin {
    /// The adapter over that client.
    #[must_use]
    pub fn new(client: GuardedClient, prices: PriceSources) -> Self {
        Self { client, prices, networks: Arc::default() }
    }

    async fn network_at(&self, access: &Access) -> Result<Network, ChainError> {
        let known = self.networks.lock().unwrap_or_else(PoisonError::into_inner).get(&access.base_url).copied();
        if let Some(network) = known {
            return Ok(network);
        }
        let genesis = Esplora::new(self.client.clone(), &access.base_url).block_at(0).await?;
        let is_it = |network: &Network| genesis.as_deref() == Some(&genesis_of(*network));
        let network = NETWORKS.into_iter().find(is_it).ok_or(ChainError::Network)?;
        self.networks.lock().unwrap_or_else(PoisonError::into_inner).insert(access.base_url.clone(), network);
        Ok(network)
    }
}

/// The hash of a network's first block, as explorers write it: the last byte first.
fn genesis_of(network: Network) -> String {
    let mut bytes = ChainHash::using_genesis_block_const(network).to_bytes();
    bytes.reverse();
    hex::encode(bytes)
}

fn named(network: &str, key: &WatchKey) -> Result<Network, KeyRefused> {
    if network.is_empty() {
        return Ok(key.usual_network());
    }
    network.parse().map_err(|_| KeyRefused::Mixed)
}

fn told(error: &ChainError) -> CallError {
    CallError::NotSent(error.to_string())
}

#[async_trait]
impl PaymentProvider for Bitcoin {
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
        PayKind::Bitcoin
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
        "the public key of an account (xpub, ypub, zpub) or a descriptor, never a private key or seed words"
    }

    fn key_refusal(&self, key: &Secret) -> Option<String> {
        key.expose().parse::<WatchKey>().err().map(|refused| refused.to_string())
    }

    fn coins(&self) -> Option<&dyn CoinProvider> {
        Some(self)
    }

    async fn probe(&self, access: &Access) -> Result<Probe, CallError> {
        let network = self.network_at(access).await.map_err(|error| told(&error))?;
        let tip = self.chain(access).tip().await.map_err(|error| told(&error))?;
        tracing::debug!(%network, height = tip.height, "chain source answers");
        Ok(Probe { is_live: Some(network == Network::Bitcoin) })
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
impl CoinProvider for Bitcoin {
    fn coin(&self) -> Coin {
        Coin::Bitcoin
    }

    fn first_addresses(&self, key: &Secret, network: &str, count: u32) -> Result<Vec<Address>, NoAddress> {
        let key: WatchKey = key.expose().parse()?;
        let network = named(network, &key)?;
        let places = (0..count).map(|index| key.place(network, index)).collect::<Result<_, _>>()?;
        Ok(places)
    }

    fn place(&self, key: &Secret, network: &str, index: u32) -> Result<Address, NoAddress> {
        let key: WatchKey = key.expose().parse()?;
        Ok(key.place(named(network, &key)?, index)?)
    }

    async fn network(&self, access: &Access) -> Result<String, ChainError> {
        let network = self.network_at(access).await?;
        let is_real = self.is_live_key(&access.api_key, &access.base_url);
        // A key of real money at a test chain, or the other way round, would show addresses nobody looks at.
        if is_real == Some(network == Network::Bitcoin) { Ok(network.to_string()) } else { Err(ChainError::Network) }
    }

    fn chain(&self, access: &Access) -> Box<dyn ChainSource> {
        Box::new(Esplora::new(self.client.clone(), &access.base_url))
    }

    async fn quotes(&self, currency: Currency, now: DateTime<Utc>) -> Vec<Quote> {
        self.prices.ask(Coin::Bitcoin, currency, now).await
    }

    fn link(&self, _: &str, address: &str, amount: CoinAmount, label: &str) -> String {
        link::to_pay(address, amount, label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As block explorers show them.
    #[test]
    fn networks_are_told_apart_by_their_first_block() {
        assert_eq!(genesis_of(Network::Bitcoin), "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f");
        assert_eq!(genesis_of(Network::Testnet), "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943");
        assert_eq!(genesis_of(Network::Regtest), "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206");
        for network in NETWORKS {
            assert_eq!(network.to_string().parse::<Network>().unwrap(), network);
        }
    }
}

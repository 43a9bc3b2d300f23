//! The providers this build knows, and the one HTTP client they share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use ottery_kit::http::{Guard, GuardSettings, GuardedClient, HttpError};
use tokio::sync::Notify;

use super::assumed::{Assumed, Outcomes};
use super::coin::{PriceSource, PriceSources};
use super::paypal::Anchors;
use super::{Bitcoin, BtcPay, ByHand, Ethereum, PayPal, PaymentProvider, Sandbox, Stripe};

/// Largest answer of a provider that is read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Providers by name. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Providers {
    client: GuardedClient,
    known: Arc<BTreeMap<&'static str, Arc<dyn PaymentProvider>>>,
    /// Rung when something new waits in this process.
    pub bell: Arc<Bell>,
}

/// Wakes the workers of this process.
#[derive(Debug, Default)]
pub struct Bell {
    /// Events wait.
    pub events: Notify,
    /// Calls wait.
    pub errands: Notify,
}

impl Providers {
    /// Every provider of this build, behind one guarded client. Certificates that sign webhooks lead to one of the anchors; coins cost
    /// what `prices` say, and are not taken when that is nobody.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(
        allow: &[IpNet],
        timeout: Duration,
        anchors: Anchors,
        prices: &[(PriceSource, String)],
    ) -> Result<Self, HttpError> {
        let settings = GuardSettings {
            allow: allow.to_vec(),
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            body_max_bytes: ANSWER_BYTES_MAX,
            ..GuardSettings::default()
        };
        let client = GuardedClient::new(&settings)?;
        let sandbox: Arc<dyn PaymentProvider> = Arc::new(Sandbox::new(client.clone()));
        let stripe: Arc<dyn PaymentProvider> = Arc::new(Stripe::new(client.clone()));
        let paypal: Arc<dyn PaymentProvider> = Arc::new(PayPal::new(client.clone(), anchors));
        let btcpay: Arc<dyn PaymentProvider> = Arc::new(BtcPay::new(client.clone()));
        let mut known = BTreeMap::from([sandbox, stripe, paypal, btcpay].map(|provider| (provider.name(), provider)));
        for kind in ByHand::ALL {
            known.insert(kind.name(), Arc::new(kind));
        }
        // Nobody can be asked for an amount of coins whose price nobody tells.
        if !prices.is_empty() {
            let prices = PriceSources::new(client.clone(), prices.to_vec());
            let bitcoin: Arc<dyn PaymentProvider> = Arc::new(Bitcoin::new(client.clone(), prices.clone()));
            let ethereum: Arc<dyn PaymentProvider> = Arc::new(Ethereum::new(client.clone(), prices));
            known.extend([bitcoin, ethereum].map(|provider| (provider.name(), provider)));
        }
        Ok(Self { client, known: Arc::new(known), bell: Arc::default() })
    }

    /// The same names, none of which is ever called: charges end as was assumed.
    #[must_use]
    pub fn assuming(&self, outcomes: Outcomes) -> Self {
        let outcomes = Arc::new(outcomes);
        let stand_in = |(name, like): (&&'static str, &Arc<dyn PaymentProvider>)| {
            (*name, Arc::new(Assumed::new(like.clone(), outcomes.clone())) as Arc<dyn PaymentProvider>)
        };
        Self {
            client: self.client.clone(),
            known: Arc::new(self.known.iter().map(stand_in).collect()),
            bell: Arc::default(),
        }
    }

    /// The provider of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<dyn PaymentProvider>> {
        self.known.get(name).cloned()
    }

    /// Their names.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.known.keys().copied().collect()
    }

    /// Checks addresses when they are typed.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        self.client.guard()
    }
}

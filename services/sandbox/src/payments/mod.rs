//! A simulated payment provider: JSON API, hosted checkout page, signed webhooks.

mod api;
mod book;
mod card;
mod inspect;
mod model;
mod page;
mod webhook;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::model::{Checkout, Dispute, Event, Method, Payment, Refund};
pub use self::{inspect::AccountPatch, webhook::Fire};
use crate::{
    Context, clock,
    config::{AccountSpec, PaymentsSpec},
    store::Change,
};

/// How often due things are looked for.
const TICK: Duration = Duration::from_millis(200);

/// The provider.
pub struct Payments {
    spec: PaymentsSpec,
    public_url: String,
    context: Arc<Context>,
    client: reqwest::Client,
    state: Mutex<State>,
    /// Rings when there is something to deliver.
    bell: Notify,
    /// Rings after each delivery try.
    delivered: Notify,
    /// Rings when webhooks that were held back may leave.
    opened: Notify,
}

/// Everything that changes.
#[derive(Default)]
pub struct State {
    accounts: BTreeMap<String, AccountSpec>,
    checkouts: BTreeMap<String, Checkout>,
    payments: BTreeMap<String, Payment>,
    by_reference: HashMap<(String, String), Vec<String>>,
    methods: BTreeMap<String, Method>,
    refunds: BTreeMap<String, Refund>,
    disputes: BTreeMap<String, Dispute>,
    events: BTreeMap<u64, Event>,
    idempotency: HashMap<String, book::Remembered>,
    next_seq: u64,
    /// Milliseconds of real time at which a slow payment or refund settles.
    settling: BTreeMap<String, i64>,
    /// Deliveries under way or waiting for their next try, with its time.
    delivering: HashMap<u64, i64>,
    is_paused: bool,
    calls: BTreeMap<String, u64>,
    forged: u64,
}

impl Payments {
    pub fn new(spec: &PaymentsSpec, public_url: String, context: &Arc<Context>) -> Result<Arc<Self>, reqwest::Error> {
        // The process may have installed a provider already; either serves.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // Webhooks of a simulation go to this machine, where nobody vouches for a certificate.
            .tls_danger_accept_invalid_certs(true)
            .timeout(Duration::from_millis(spec.webhook_timeout_ms))
            .build()?;
        let mut state = State { next_seq: 1, ..State::default() };
        state.load(&context.store);
        for account in &spec.accounts {
            let mut account = account.clone();
            if let Some(kept) = state.accounts.get(&account.id) {
                account.webhook_url = account.webhook_url.or_else(|| kept.webhook_url.clone());
            }
            state.accounts.insert(account.id.clone(), account);
        }
        Ok(Arc::new(Self {
            spec: spec.clone(),
            public_url,
            context: context.clone(),
            client,
            state: Mutex::new(state),
            bell: Notify::new(),
            opened: Notify::new(),
            delivered: Notify::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts what happens by itself: webhooks, expiry, settlement.
    pub fn run(self: &Arc<Self>, stop: CancellationToken, tasks: &TaskTracker) {
        let (this, stopped) = (self.clone(), stop.clone());
        tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = stopped.cancelled() => return,
                    () = tokio::time::sleep(TICK) => this.settle_due(),
                }
            }
        });
        let (this, tracker) = (self.clone(), tasks.clone());
        tasks.spawn(async move { this.deliver_all(stop, tracker).await });
    }

    /// Expires checkouts and settles slow payments and refunds.
    fn settle_due(&self) {
        let mut state = self.state();
        let now = clock::now();
        let mut change = Change::default();
        let expired: Vec<String> = state
            .checkouts
            .values()
            .filter(|checkout| checkout.status == "open" && checkout.expires_at <= now.timestamp())
            .map(|checkout| checkout.id.clone())
            .collect();
        for id in expired {
            self.expire(&mut state, &mut change, &id);
        }
        let due: Vec<String> =
            state.settling.iter().filter(|(_, at)| **at <= now.timestamp_millis()).map(|(id, _)| id.clone()).collect();
        for id in due {
            self.settle(&mut state, &mut change, &id);
        }
        self.context.store.commit(change);
    }

    /// Forgets everything but the configured accounts.
    pub fn reset(&self) {
        let mut state = self.state();
        let mut change = Change::default();
        for (key, _) in self.context.store.load::<serde_json::Value>("pay/") {
            change.delete(format!("pay/{key}"));
        }
        *state = State { next_seq: 1, ..State::default() };
        state.accounts = self.spec.accounts.iter().map(|account| (account.id.clone(), account.clone())).collect();
        self.context.store.commit(change);
    }
}

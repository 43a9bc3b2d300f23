//! Saving a method without paying: a hosted page, and what came of it.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, BrandId, Currency, PaymentMethodId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use crate::app::{Billing, broken, profile, subscription};
use crate::domain::payment::{State as PaymentState, next_look};
use crate::domain::provider::{ProviderAccountId, Route};
use crate::domain::subscription::{Method, State};
use crate::provider::{CallError, SavedMethod, SetupAsk, SetupTruth};
use crate::store;
use crate::store::errand;
use crate::store::payment::{AttemptKind, AttemptRequest, Payment};
use crate::store::payment_setup::Setup;

/// Looks at a page before it is given up: two days, twice as long as providers keep one open.
const LOOKS_MAX: u32 = 50;

impl Billing {
    fn setup_gap(&self, tries: u32) -> TimeDelta {
        let patience = self.config.payments.page_patience();
        next_look(PaymentState::Pending, tries, patience).expect("a pending attempt is looked at")
    }

    /// A page on which a customer saves a method for later charges.
    ///
    /// # Errors
    /// When the customer is unknown, no account of the brand can do it, or the provider cannot be reached.
    pub async fn begin_setup(
        &self,
        brand: BrandId,
        account: AccountId,
        currency: Option<Currency>,
        return_url: String,
        cancel_url: String,
    ) -> Result<String, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let customer = store::customer::get_all(&mut tx, &[account]).await?.pop().ok_or_else(|| {
            Problem::refused("CUSTOMER_UNKNOWN", "place an order first; a method is saved for what is renewed")
        })?;
        let currency = match currency {
            Some(currency) => currency,
            None => profile(&mut tx, brand).await?.currencies.first().copied().unwrap_or(Currency::EUR),
        };
        let accounts = store::provider_account::list(&mut tx, brand).await?;
        let route = Route { currency, country: Some(customer.buyer.country.as_str()), amount: None };
        let able = self.serving(&accounts, route).into_iter().find(|found| {
            self.providers.get(&found.provider).is_some_and(|provider| provider.capabilities().saves_without_payment)
        });
        let id = able.map(|found| found.id).ok_or_else(|| {
            Problem::refused(
                "SETUP_UNSUPPORTED",
                "a method is saved with the next payment; there is no page of its own for it",
            )
        })?;
        let reached = self.reach(&mut tx, brand, id).await?.ok_or_else(away)?;
        let ask = SetupAsk {
            setup: Uuid::now_v7(),
            account,
            customer: store::provider_account::customer(&mut tx, account, id).await?,
            email: customer.buyer.email,
            currency,
            return_url,
            cancel_url,
        };
        let setup =
            Setup { id: ask.setup, account, provider_account: id, checkout_ref: String::new(), is_finished: false };
        store::payment_setup::insert(&mut tx, brand, &setup, now).await?;
        tx.commit().await?;

        let answer = reached.provider.create_setup(&reached.access, &ask).await;
        let (mut tx, now) = self.begin(brand).await?;
        match answer {
            Ok(page) => {
                store::payment_setup::keep_page(&mut tx, setup.id, &page.reference).await?;
                errand::plan(&mut tx, brand, errand::Kind::Setup, &[setup.id], self.setup_gap(0)).await?;
                if page.customer != ask.customer {
                    store::provider_account::keep_customer(&mut tx, brand, account, id, &page.customer, now).await?;
                }
                tx.commit().await?;
                Ok(page.url)
            }
            Err(error) => {
                tracing::warn!(provider = reached.provider.name(), %error, "no page to save a method on");
                // Nobody was sent there; a page that was made all the same saves nothing.
                store::payment_setup::finish(&mut tx, setup.id, None, now).await?;
                if let CallError::Refused { code } = &error
                    && !ask.customer.is_empty()
                    && reached.provider.is_customer_gone(code)
                {
                    store::provider_account::forget_customer(&mut tx, account, id).await?;
                }
                tx.commit().await?;
                Err(match error {
                    CallError::NotSent(_) | CallError::Ambiguous(_) => away(),
                    CallError::Refused { code } => {
                        Problem::refused("PROVIDER_REFUSED", "the payment provider refuses this").with("code", code)
                    }
                    CallError::Amount(_) => Problem::refused(
                        "CURRENCY_UNSUPPORTED",
                        format!("the payment provider does not take {currency}"),
                    ),
                })
            }
        }
    }

    /// Looks what became of a page of which nobody has told.
    ///
    /// # Errors
    /// When the database fails; the errand is then done later.
    pub(crate) async fn run_setup(&self, brand: BrandId, id: Uuid, tries: u32) -> Result<(), Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let setup = store::payment_setup::lock(&mut tx, id).await?.filter(|setup| !setup.is_finished);
        let reached = match &setup {
            Some(setup) => self.reach(&mut tx, brand, setup.provider_account).await?,
            None => None,
        };
        let (Some(setup), Some(reached)) = (setup, reached) else {
            errand::done(&mut tx, id).await?;
            return Ok(tx.commit().await?);
        };
        drop(tx);
        let truth = reached.provider.fetch_setup(&reached.access, &setup.checkout_ref).await;
        let (mut tx, now) = self.begin(brand).await?;
        match truth {
            Ok(SetupTruth::Open) if tries < LOOKS_MAX => errand::again(&mut tx, id, self.setup_gap(tries)).await?,
            Ok(truth) => {
                // Nobody stands before a page that is days old.
                let truth = if truth == SetupTruth::Open { SetupTruth::Failed } else { truth };
                if let Some(setup) = store::payment_setup::lock(&mut tx, id).await? {
                    self.apply_setup(&mut tx, brand, &setup, truth, now).await?;
                }
            }
            Err(error) => {
                tracing::warn!(provider = reached.provider.name(), %error, "page of a method not read back");
                errand::again(&mut tx, id, self.setup_gap(tries)).await?;
            }
        }
        Ok(tx.commit().await?)
    }

    /// Keeps what was saved on the page of a payment and told of after it. What the payment was for is charged to it from now on,
    /// unless its holder chose something else meanwhile. The caller commits.
    pub(crate) async fn keep_late_method(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        payment: &Payment,
        account: ProviderAccountId,
        saved: &SavedMethod,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let theirs: Vec<_> = payment.subscription.into_iter().collect();
        // Subscriptions before methods: the order of whoever settles a payment.
        store::subscription::lock_all(tx, &theirs).await?;
        let method = self.keep_method(tx, brand, payment.account, account, saved, now).await?;
        for id in theirs {
            let (mut unit, mut case) = subscription::open(tx, brand, id, None, now).await?;
            let before = case.subscription.clone();
            if before.method.is_some() || before.state.has_ended() {
                continue;
            }
            case.subscription.method = Some(Method { id: method, label: saved.label.clone() });
            unit.touch(&before, &mut case.subscription, "method_saved").map_err(broken)?;
            subscription::close(tx, self, unit, case).await?;
        }
        Ok(())
    }

    /// Applies what became of a page. The caller holds it, and commits.
    pub(crate) async fn apply_setup(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        setup: &Setup,
        truth: SetupTruth,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        if setup.is_finished {
            return Ok(());
        }
        match truth {
            SetupTruth::Open => Ok(()),
            SetupTruth::Failed => {
                errand::done(tx, setup.id).await?;
                Ok(store::payment_setup::finish(tx, setup.id, None, now).await?)
            }
            SetupTruth::Saved(saved) => {
                errand::done(tx, setup.id).await?;
                // Subscriptions before methods: the order of whoever settles a payment.
                let theirs = store::merge::subscriptions(tx, setup.account).await?;
                store::subscription::lock_all(tx, &theirs).await?;
                let account = setup.provider_account;
                let method = self.keep_method(tx, brand, setup.account, account, &saved, now).await?;
                store::payment_setup::finish(tx, setup.id, Some(method), now).await?;
                self.charge_open(tx, brand, setup.account, method, &saved.label, now).await
            }
        }
    }
}

fn away() -> Problem {
    Problem::unavailable("PROVIDER_AWAY", "the payment provider cannot be reached; try again in a moment")
}

impl Billing {
    /// A customer who saves a method wants to be charged by it: their subscriptions are from now on, and what they owe and
    /// could not be charged is tried again at once.
    async fn charge_open(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        account: AccountId,
        method: PaymentMethodId,
        label: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        for id in store::merge::subscriptions(tx, account).await? {
            let (mut unit, mut case) = subscription::open(tx, brand, id, None, now).await?;
            let before = case.subscription.clone();
            if before.state == State::Pending || before.state.has_ended() {
                continue;
            }
            case.subscription.method = Some(Method { id: method, label: label.to_owned() });
            unit.touch(&before, &mut case.subscription, "method_saved").map_err(broken)?;
            for invoice in &case.open {
                let remaining = invoice.remaining().map_err(broken)?;
                let is_late = invoice.due_at.is_none_or(|due| due <= now);
                if !is_late || invoice.is_carried() || !invoice.is_claim() || !remaining.is_positive() {
                    continue;
                }
                if store::payment::is_charging(tx, invoice.id).await? {
                    continue;
                }
                unit.attempts.push(AttemptRequest {
                    invoice: invoice.id,
                    account,
                    subscription: Some(id),
                    amount: remaining,
                    kind: AttemptKind::OffSession { method },
                    shares: Vec::new(),
                });
            }
            subscription::close(tx, self, unit, case).await?;
        }
        Ok(())
    }
}

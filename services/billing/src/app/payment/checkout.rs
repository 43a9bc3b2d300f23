//! Hosted pages.

use ottery_kernel::{AccountId, BrandId, InvoiceId, PaymentId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::settle::{self, Teller};
use super::{HostedPage, Reached, apply};
use crate::app::settlement::Owed;
use crate::app::{Billing, broken};
use crate::domain::invoice::Invoice;
use crate::domain::minimum::Instead;
use crate::domain::payment::{Command, State, Truth};
use crate::domain::provider::{ProviderAccountId, Route};
use crate::provider::{CallError, Checkout, CheckoutAsk};
use crate::store;
use crate::store::errand;
use crate::store::payment::{AttemptKind, AttemptRequest, Payment};

/// What the customer is told when there is no page.
fn away() -> Problem {
    Problem::unavailable(
        "PROVIDER_AWAY",
        "the payment provider cannot be reached; nothing was charged, try again in a moment",
    )
}

/// The hosted page of an attempt that was written down and committed; made now when it was not before. Once begun the call
/// goes on to its end, whoever stops waiting for it.
///
/// # Errors
/// When no provider is set up, or none can be reached: the attempt then waits to be replaced.
pub async fn open_checkout(billing: &Billing, brand: BrandId, payment: PaymentId) -> Result<String, Problem> {
    let billing = billing.clone();
    let call = tokio::spawn(async move { open(&billing, brand, payment).await });
    call.await.map_err(|error| Problem::internal(&error))?
}

/// What came of asking one account for a page.
enum Asked {
    /// The page.
    Page(String),
    /// The account surely did nothing; another one may be asked.
    Nothing(ProviderAccountId),
}

/// One account after the other, as long as those before surely did nothing: whoever may have made a page may be paid on it.
async fn open(billing: &Billing, brand: BrandId, id: PaymentId) -> Result<String, Problem> {
    let mut asked = Vec::new();
    loop {
        match Box::pin(open_at_next(billing, brand, id, &asked)).await? {
            Asked::Page(url) => return Ok(url),
            Asked::Nothing(account) => asked.push(account),
        }
    }
}

async fn open_at_next(
    billing: &Billing,
    brand: BrandId,
    id: PaymentId,
    asked: &[ProviderAccountId],
) -> Result<Asked, Problem> {
    let (mut tx, now) = billing.begin(brand).await?;
    let (Owed { invoice, .. }, mut payment) = settle::lock(&mut tx, id).await?;
    if payment.state == State::Pending && !payment.checkout_url.is_empty() && !payment.is_withdrawn {
        return Ok(Asked::Page(payment.checkout_url));
    }
    if payment.state != State::Requested || payment.is_withdrawn {
        return Err(Problem::refused(
            "PAYMENT_NOT_OPEN",
            format!("{id} is {} and has no page any more; start a new payment", payment.state),
        ));
    }
    let AttemptKind::Hosted { return_url, cancel_url, save_method, chosen } = payment.kind.clone() else {
        return Err(Problem::refused("PAYMENT_NOT_HOSTED", format!("{id} charges a saved method and has no page")));
    };
    let currency = payment.amount.currency;
    let route = Route::of(payment.amount, &invoice.snapshot.buyer.country);
    let reached = billing.route(&mut tx, brand, route, chosen, asked).await?.ok_or_else(|| {
        if !asked.is_empty() {
            return away();
        }
        if chosen.is_some() {
            let message = "the way to pay that was chosen is not offered any more; choose another one";
            return Problem::refused("PAY_WAY_UNAVAILABLE", message).on_field("provider_account_id");
        }
        let message = format!("this brand has no payment provider for {currency} yet; enter one in its settings");
        Problem::refused("NO_PROVIDER", message)
    })?;
    let customer = store::provider_account::customer(&mut tx, payment.account, reached.id).await?;
    let ask = CheckoutAsk {
        payment: id,
        amount: payment.amount,
        return_url,
        cancel_url,
        email: invoice.snapshot.buyer.email.clone(),
        save_method: save_method && reached.provider.capabilities().saves_methods,
        account: payment.account,
        customer,
        title: format!("Invoice {}", invoice.number_text()),
    };
    mark_sent(&mut tx, billing, brand, &mut payment, &reached).await?;
    tx.commit().await?;
    ottery_kit::crash::point("payment.sent");

    let answer = match (reached.provider.coins(), reached.provider.by_hand()) {
        (Some(coins), _) => Box::pin(billing.open_deposit(brand, &reached, coins, &ask)).await?,
        (None, Some(_)) => Box::pin(billing.open_by_hand(brand, &reached, &ask)).await?,
        (None, None) => reached.provider.create_checkout(&reached.access, &ask).await,
    };
    let (mut tx, _) = billing.begin(brand).await?;
    let outcome = match answer {
        Ok(page) => {
            let teller = Teller { account: reached.id, provider: reached.provider.name(), tries: 0 };
            keep_page(&mut tx, id, &page).await?;
            if page.customer != ask.customer {
                store::provider_account::keep_customer(&mut tx, brand, ask.account, reached.id, &page.customer, now)
                    .await?;
            }
            let payment = apply(&mut tx, billing, brand, id, Truth::Open, teller, now).await?;
            // Withdrawn while the page was made: the worker closes it, and nobody is sent there.
            if payment.is_withdrawn { Err(away()) } else { Ok(Asked::Page(page.url)) }
        }
        Err(error) => {
            tracing::warn!(payment.id = %id, provider = reached.provider.name(), %error, "no hosted page");
            match error {
                CallError::NotSent(_) => {
                    settle::note(&mut tx, billing, brand, id, Command::TakeBack, 0, now).await?;
                    Ok(Asked::Nothing(reached.id))
                }
                CallError::Ambiguous(_) => {
                    settle::note(&mut tx, billing, brand, id, Command::Lose, 0, now).await?;
                    Err(away())
                }
                CallError::Refused { code } => {
                    if !ask.customer.is_empty() && reached.provider.is_customer_gone(&code) {
                        store::provider_account::forget_customer(&mut tx, ask.account, reached.id).await?;
                    }
                    settle::fail(&mut tx, billing, brand, id, &code, now).await?;
                    Err(Problem::refused("PROVIDER_REFUSED", "the payment provider refuses this payment")
                        .with("code", code))
                }
                // Nobody was asked; another account may be able to write it.
                CallError::Amount(_)
                    if chosen.is_none() && is_left(&mut tx, billing, brand, route, asked, &reached).await? =>
                {
                    settle::note(&mut tx, billing, brand, id, Command::TakeBack, 0, now).await?;
                    Ok(Asked::Nothing(reached.id))
                }
                CallError::Amount(amount) => {
                    settle::fail(&mut tx, billing, brand, id, "amount_unsupported", now).await?;
                    Err(Problem::refused("AMOUNT_UNSUPPORTED", format!("the payment provider cannot take {amount}")))
                }
            }
        }
    };
    store::payment::note_request(&mut tx, id, &reached.access.trace.last()).await?;
    tx.commit().await?;
    outcome
}

/// Whether another account than those that were asked serves what is to be paid.
async fn is_left(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    brand: BrandId,
    route: Route<'_>,
    asked: &[ProviderAccountId],
    last: &Reached,
) -> Result<bool, Problem> {
    let but = [asked, &[last.id]].concat();
    Ok(billing.route(tx, brand, route, None, &but).await?.is_some())
}

/// Journals that a call is about to be made. If nobody comes back from it, the workers look after the call's time-out.
pub(super) async fn mark_sent(
    tx: &mut PgTransaction<'_>,
    billing: &Billing,
    brand: BrandId,
    payment: &mut Payment,
    reached: &Reached,
) -> Result<(), Problem> {
    write_sent(tx, payment, reached).await?;
    let after = chrono::TimeDelta::from_std(billing.config.payments.lease()).unwrap_or_default();
    Ok(errand::plan(tx, brand, errand::Kind::Payment, &[payment.id.as_uuid()], after).await?)
}

/// As [`mark_sent`], for whoever holds the errand already: its looks go on being counted.
pub(super) async fn write_sent(
    tx: &mut PgTransaction<'_>,
    payment: &mut Payment,
    reached: &Reached,
) -> Result<(), Problem> {
    if let crate::domain::payment::Outcome::Moved(state) = payment.state.on(Command::Send).map_err(broken)? {
        payment.state = state;
    }
    payment.provider_account = Some(reached.id);
    reached.provider.name().clone_into(&mut payment.provider);
    Ok(store::payment::save(tx, payment).await?)
}

async fn keep_page(tx: &mut PgTransaction<'_>, id: PaymentId, page: &Checkout) -> Result<(), Problem> {
    let (_, mut payment) = settle::lock(tx, id).await?;
    payment.checkout_ref.clone_from(&page.reference);
    payment.checkout_url.clone_from(&page.url);
    Ok(store::payment::save(tx, &payment).await?)
}

impl Billing {
    /// A fresh hosted page for an open invoice, all parts of a consolidated one. Older pages of it are closed; if somebody pays
    /// there all the same, the money counts. `owner` limits it to that customer's own invoices.
    ///
    /// # Errors
    /// When the invoice is not open, a charge is under way, or the provider cannot be reached.
    pub async fn pay_invoice(
        &self,
        brand: BrandId,
        id: InvoiceId,
        owner: Option<AccountId>,
        page: HostedPage,
    ) -> Result<(PaymentId, String), Problem> {
        // The bank waits for a word of the customer about a charge that was made already.
        if let Some(going_on) = self.confirm_waiting(brand, id, owner, &page.return_url).await? {
            return Ok(going_on);
        }
        self.pay_invoices(brand, &[id], owner, page).await
    }

    /// As [`Billing::pay_invoice`], of one that is no consolidated invoice, or the last part of one.
    pub(super) async fn pay_one(
        &self,
        brand: BrandId,
        id: InvoiceId,
        owner: Option<AccountId>,
        page: HostedPage,
    ) -> Result<(PaymentId, String), Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let Owed { invoice, .. } = Owed::lock(&mut tx, id).await?;
        if owner.is_some_and(|owner| owner != invoice.account) {
            return Err(
                Problem::not_found("INVOICE_NOT_FOUND", format!("there is no invoice {id}")).on_field("invoice_id")
            );
        }
        let remaining = invoice.remaining().map_err(broken)?;
        if !invoice.is_claim() || !remaining.is_positive() {
            let message = format!("invoice {} is {}; there is nothing to pay", invoice.number_text(), invoice.state);
            return Err(Problem::refused("INVOICE_NOT_OPEN", message).on_field("invoice_id"));
        }
        // A charge without a known outcome locks the invoice: two ways at once would be paid twice.
        if store::payment::is_charging(&mut tx, id).await? {
            let message = "a payment of this invoice is being processed; its outcome is known in a moment";
            return Err(Problem::refused("PAYMENT_IN_PROGRESS", message).on_field("invoice_id"));
        }
        let has_method = match invoice.subscription {
            Some(id) => store::subscription::get(&mut tx, id).await?.is_some_and(|found| found.method.is_some()),
            None => false,
        };
        // What was carried forward is asked for with it, so that it is paid at all.
        let together = carried_with(&mut tx, &invoice).await?;
        if !together.is_empty() {
            drop(tx);
            return self.pay_together(brand, &together, owner, page).await;
        }
        let instead = if invoice.is_carried() { Instead::CarriedForward } else { Instead::WalletOnly };
        self.check_minimum(&mut tx, brand, remaining, instead).await?;
        let route = Route::of(remaining, &invoice.snapshot.buyer.country);
        self.check_chosen(&mut tx, brand, route, page.chosen).await?;
        let chosen = match (page.chosen, store::payment::chosen_for(&mut tx, id).await?) {
            // Who chose before and tries again means the same, as long as it is offered.
            (None, Some(before)) => self.does_serve(&mut tx, brand, route, before).await?.then_some(before),
            (chosen, _) => chosen,
        };
        let HostedPage { return_url, cancel_url, .. } = page;
        let request = AttemptRequest {
            invoice: id,
            account: invoice.account,
            subscription: invoice.subscription,
            amount: remaining,
            // Whoever renews by a saved card and pays by another one has most likely a new card.
            kind: AttemptKind::Hosted { return_url, cancel_url, save_method: has_method, chosen },
            shares: Vec::new(),
        };
        let payment =
            store::payment::request(&mut tx, brand, &[request], now).await?.pop().expect("one id per request");
        tx.commit().await?;
        let url = open_checkout(self, brand, payment).await?;
        Ok((payment, url))
    }
}

/// An invoice together with what was carried forward to it, in the order of their ids; empty when nothing was.
pub(super) async fn carried_with(tx: &mut PgTransaction<'_>, invoice: &Invoice) -> Result<Vec<InvoiceId>, Problem> {
    let Some(subscription) = invoice.subscription.filter(|_| !invoice.is_carried()) else { return Ok(Vec::new()) };
    let kind = |invoice: &Invoice| (invoice.totals.total.currency, invoice.snapshot.seller.id);
    let mut ids = Vec::new();
    for open in store::invoice::open_of(tx, &[subscription]).await? {
        let is_owed =
            open.is_carried() && kind(&open) == kind(invoice) && open.remaining().map_err(broken)?.is_positive();
        if is_owed && !store::payment::is_charging(tx, open.id).await? {
            ids.push(open.id);
        }
    }
    if !ids.is_empty() {
        ids.push(invoice.id);
        ids.sort_unstable();
    }
    Ok(ids)
}

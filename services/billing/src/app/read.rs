//! Reading: one transaction, nothing locked.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId, InvoiceId, OrderId, SubscriptionId};
use ottery_kit::grpc::Problem;

use super::Billing;
use super::consolidated::{known, wholes};
use super::subscription::not_found;
use super::tax::Taxes;
use crate::domain::invoice::{Invoice, State};
use crate::domain::subscription::Subscription;
use crate::domain::tax::Tax;
use crate::store::credit_note::CreditNote;
use crate::store::ledger::{Balance, Shown};
use crate::store::order::Order;
use crate::store::payment::Payment;
use crate::store::task::Task;
use crate::store::{self, Page};

/// A subscription as its customer sees it.
#[derive(Clone, Debug)]
pub struct Held {
    /// The subscription.
    pub subscription: Subscription,
    /// The invoice that waits.
    pub open: Option<InvoiceId>,
    /// What tax does to the price of its next renewal.
    pub tax: Tax,
}

/// An order with all that hangs on it.
#[derive(Clone, Debug)]
pub struct OrderDetail {
    /// The order.
    pub order: Order,
    /// Its invoice and that one's credit notes.
    pub invoice: Option<(Invoice, Vec<CreditNote>)>,
    /// What it made.
    pub subscription: Option<Held>,
    /// Attempts to pay its invoice.
    pub payments: Vec<Payment>,
}

impl Billing {
    /// An order with all that hangs on it; `owner` limits it to that customer's own.
    ///
    /// # Errors
    /// When there is none.
    pub async fn order(&self, brand: BrandId, id: OrderId, owner: Option<AccountId>) -> Result<OrderDetail, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let order = store::order::get(&mut tx, id)
            .await?
            .filter(|order| owner.is_none_or(|owner| owner == order.account))
            .ok_or_else(|| {
                Problem::not_found("ORDER_NOT_FOUND", format!("there is no order {id}")).on_field("order_id")
            })?;
        let mut invoice = None;
        let mut payments = Vec::new();
        if let Some(id) = order.invoice {
            let notes = store::credit_note::of_invoices(&mut tx, &[id]).await?;
            invoice = store::invoice::get(&mut tx, id).await?.map(|invoice| (invoice, notes));
            payments = store::payment::list_by_invoice(&mut tx, brand, id).await?;
        }
        let subscription = match store::subscription::get(&mut tx, order.subscription).await? {
            Some(found) => held(&mut tx, brand, vec![found], now).await?.pop(),
            None => None,
        };
        Ok(OrderDetail { order, invoice, subscription, payments })
    }

    /// Orders, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn orders(&self, brand: BrandId, account: Option<AccountId>, page: Page) -> Result<Vec<Order>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        Ok(store::order::list(&mut tx, account, page).await?)
    }

    /// A subscription and the invoice that waits for it.
    ///
    /// # Errors
    /// When there is none.
    pub async fn subscription(
        &self,
        brand: BrandId,
        id: SubscriptionId,
        owner: Option<AccountId>,
    ) -> Result<Held, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let found = store::subscription::get(&mut tx, id)
            .await?
            .filter(|found| owner.is_none_or(|owner| owner == found.account))
            .ok_or_else(|| not_found(id))?;
        held(&mut tx, brand, vec![found], now).await?.pop().ok_or_else(|| not_found(id))
    }

    /// Subscriptions, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn subscriptions(
        &self,
        brand: BrandId,
        account: Option<AccountId>,
        page: Page,
    ) -> Result<Vec<Held>, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let found = store::subscription::list(&mut tx, account, page).await?;
        held(&mut tx, brand, found, now).await
    }

    /// An invoice and its credit notes; the whole of a consolidated one, whichever of its parts is named.
    ///
    /// # Errors
    /// When there is none.
    pub async fn invoice(
        &self,
        brand: BrandId,
        id: InvoiceId,
        owner: Option<AccountId>,
    ) -> Result<(Invoice, Vec<CreditNote>), Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let invoice = known(&mut tx, id)
            .await?
            .filter(|invoice| owner.is_none_or(|owner| owner == invoice.account && invoice.state != State::Draft))
            .ok_or_else(|| {
                Problem::not_found("INVOICE_NOT_FOUND", format!("there is no invoice {id}")).on_field("invoice_id")
            })?;
        let notes = store::credit_note::of_invoices(&mut tx, &invoice.rows()).await?;
        Ok((invoice, notes))
    }

    /// Invoices, newest first, with the credit notes of all of them; a consolidated one is one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn invoices(
        &self,
        brand: BrandId,
        account: Option<AccountId>,
        subscription: Option<SubscriptionId>,
        page: Page,
    ) -> Result<(Vec<Invoice>, Vec<CreditNote>), Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let found = store::invoice::list(&mut tx, account, subscription, page).await?;
        let invoices = wholes(&mut tx, found).await?;
        let ids: Vec<InvoiceId> = invoices.iter().flat_map(Invoice::rows).collect();
        let notes = store::credit_note::of_invoices(&mut tx, &ids).await?;
        Ok((invoices, notes))
    }

    /// A customer's own invoices, newest first; drafts are not theirs yet.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn own_invoices(
        &self,
        brand: BrandId,
        owner: AccountId,
        page: Page,
    ) -> Result<(Vec<Invoice>, Vec<CreditNote>), Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let found = store::invoice::list_issued(&mut tx, owner, page).await?;
        let invoices = wholes(&mut tx, found).await?;
        let ids: Vec<InvoiceId> = invoices.iter().flat_map(Invoice::rows).collect();
        let notes = store::credit_note::of_invoices(&mut tx, &ids).await?;
        Ok((invoices, notes))
    }

    /// Rows of the books, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn transfers(&self, brand: BrandId, reference: &str, page: Page) -> Result<Vec<Shown>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        Ok(store::ledger::list(&mut tx, reference, page).await?)
    }

    /// The trial balance.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn trial_balance(&self, brand: BrandId) -> Result<Vec<Balance>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        Ok(store::ledger::balances(&mut tx).await?)
    }

    /// Open tasks, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn tasks(&self, brand: BrandId, page: Page) -> Result<Vec<Task>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        Ok(store::task::list(&mut tx, page).await?)
    }
}

/// The oldest open invoice of each subscription.
async fn held(
    tx: &mut sqlx::postgres::PgTransaction<'_>,
    brand: BrandId,
    subscriptions: Vec<Subscription>,
    now: DateTime<Utc>,
) -> Result<Vec<Held>, Problem> {
    let ids: Vec<SubscriptionId> = subscriptions.iter().map(|subscription| subscription.id).collect();
    let mut open: HashMap<SubscriptionId, InvoiceId> = HashMap::new();
    for invoice in store::invoice::open_of(tx, &ids).await? {
        if let Some(id) = invoice.subscription {
            open.entry(id).or_insert(invoice.known_as());
        }
    }
    let accounts: Vec<AccountId> = subscriptions.iter().map(|subscription| subscription.account).collect();
    let taxes = Taxes::of(tx, brand, &accounts, now).await?;
    Ok(subscriptions
        .into_iter()
        .map(|subscription| Held {
            open: open.get(&subscription.id).copied(),
            tax: taxes.decide(subscription.account, &subscription.renewal_offer()).tax,
            subscription,
        })
        .collect())
}

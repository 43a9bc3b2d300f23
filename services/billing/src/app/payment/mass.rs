//! One payment for several invoices.

use ottery_kernel::{AccountId, BrandId, InvoiceId, Money, PaymentId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::open_checkout;
use crate::app::collection::not_charging;
use crate::app::consolidated::known;
use crate::app::settlement::Owed;
use crate::app::{Billing, broken};
use crate::domain::invoice::Invoice;
use crate::store;
use crate::store::payment::{AttemptKind, AttemptRequest};
use crate::store::share::Share;

/// Invoices of one payment: more than a customer has open, few enough for one transaction.
pub const INVOICES_MAX: usize = 50;

impl Billing {
    /// One hosted page for several invoices of one customer. Older pages of any of them are closed; money that comes by one
    /// all the same counts. `owner` limits it to that customer's own invoices.
    ///
    /// # Errors
    /// When an invoice asks for nothing, they differ in customer, currency or seller, a charge is under way, or the provider
    /// cannot be reached.
    pub async fn pay_invoices(
        &self,
        brand: BrandId,
        ids: &[InvoiceId],
        owner: Option<AccountId>,
        return_url: String,
        cancel_url: String,
    ) -> Result<(PaymentId, String), Problem> {
        let count = |count: usize| {
            let message = format!("invoice_ids: name 1 to {INVOICES_MAX} invoices, got {count}");
            Problem::invalid("invoice_ids", "INVOICES_COUNT", message)
        };
        if ids.is_empty() || ids.len() > INVOICES_MAX {
            return Err(count(ids.len()));
        }
        let (mut tx, now) = self.begin(brand).await?;
        let wanted = meant(&mut tx, ids).await?;
        let first = match wanted.as_slice() {
            [only] => {
                drop(tx);
                return self.pay_one(brand, *only, owner, return_url, cancel_url).await;
            }
            [first, ..] if wanted.len() <= INVOICES_MAX => *first,
            _ => return Err(count(wanted.len())),
        };
        store::share::lock(&mut tx, &wanted).await?;
        let mut invoices = Vec::with_capacity(wanted.len());
        for id in &wanted {
            let Owed { invoice, .. } = Owed::lock(&mut tx, *id).await?;
            invoices.push(payable(invoice, owner)?);
        }
        one_of_a_kind(&invoices)?;
        for id in &wanted {
            not_charging(&mut tx, *id).await?;
        }
        let shares = invoices
            .iter()
            .map(|invoice| Ok(Share { invoice: invoice.id, amount: invoice.remaining().map_err(broken)? }))
            .collect::<Result<Vec<_>, Problem>>()?;
        let account = invoices[0].account;
        // Of one whole it is known whose method it may replace; of several invoices each has its own.
        let group = invoices[0].part.map(|part| part.group);
        let is_one = group.is_some() && invoices.iter().all(|invoice| invoice.part.map(|part| part.group) == group);
        let subscription = invoices[0].subscription.filter(|_| is_one);
        let save_method = match subscription {
            Some(id) => store::subscription::get(&mut tx, id).await?.is_some_and(|found| found.method.is_some()),
            None => false,
        };
        let amount = Money::sum(shares[0].amount.currency, shares.iter().map(|share| share.amount)).map_err(broken)?;
        let request = AttemptRequest {
            invoice: first,
            account,
            // Else for no single one of them; what each pays for is found by its invoice.
            subscription,
            amount,
            kind: AttemptKind::Hosted { return_url, cancel_url, save_method },
            shares,
        };
        let payment =
            store::payment::request(&mut tx, brand, &[request], now).await?.pop().expect("one id per request");
        tx.commit().await?;
        let url = open_checkout(self, brand, payment).await?;
        Ok((payment, url))
    }
}

/// The invoices that are paid when these are named, each once: of a consolidated one, named by its id or a part's, all parts that
/// ask for something, in their order.
async fn meant(tx: &mut PgTransaction<'_>, ids: &[InvoiceId]) -> Result<Vec<InvoiceId>, Problem> {
    let mut wanted: Vec<InvoiceId> = ids.to_vec();
    wanted.sort_unstable();
    wanted.dedup();
    let mut meant: Vec<InvoiceId> = Vec::new();
    for id in wanted {
        let Some(whole) = known(tx, id).await?.filter(|known| !known.parts.is_empty()) else {
            meant.push(id);
            continue;
        };
        let asks = |part: &&Invoice| part.is_claim() && part.remaining().is_ok_and(|left| left.is_positive());
        let asking: Vec<InvoiceId> = whole.parts.iter().filter(asks).map(|part| part.id).collect();
        // Nothing of it asks: its first part says so.
        let parts = if asking.is_empty() { whole.parts.iter().map(|part| part.id).take(1).collect() } else { asking };
        meant.extend(parts.into_iter().filter(|part| !meant.contains(part)).collect::<Vec<_>>());
    }
    Ok(meant)
}

fn payable(invoice: Invoice, owner: Option<AccountId>) -> Result<Invoice, Problem> {
    if owner.is_some_and(|owner| owner != invoice.account) {
        let message = format!("there is no invoice {}", invoice.id);
        return Err(Problem::not_found("INVOICE_NOT_FOUND", message).on_field("invoice_ids"));
    }
    if !invoice.is_claim() || !invoice.remaining().map_err(broken)?.is_positive() {
        let message = format!("invoice {} is {}; there is nothing to pay", invoice.number_text(), invoice.state);
        let refused = Problem::refused("INVOICE_NOT_OPEN", message).on_field("invoice_ids");
        return Err(refused.with("invoice_id", invoice.id));
    }
    Ok(invoice)
}

/// One payment has one payer, one currency and one receiver.
fn one_of_a_kind(invoices: &[Invoice]) -> Result<(), Problem> {
    let kind = |invoice: &Invoice| (invoice.account, invoice.totals.total.currency, invoice.snapshot.seller.id);
    match invoices.windows(2).find(|pair| kind(&pair[0]) != kind(&pair[1])) {
        None => Ok(()),
        Some(pair) => {
            let message = format!(
                "invoice_ids: {} and {} differ in customer, currency or seller; pay them one by one",
                pair[0].number_text(),
                pair[1].number_text()
            );
            Err(Problem::invalid("invoice_ids", "INVOICES_DIFFER", message))
        }
    }
}

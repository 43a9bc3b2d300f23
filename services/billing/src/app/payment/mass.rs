//! One payment for several invoices.

use ottery_kernel::{AccountId, BrandId, InvoiceId, Money, PaymentId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::checkout::carried_with;
use super::{HostedPage, open_checkout};
use crate::app::collection::not_charging;
use crate::app::consolidated::known;
use crate::app::settlement::Owed;
use crate::app::{Billing, broken};
use crate::domain::invoice::{Invoice, Purpose};
use crate::domain::minimum::Instead;
use crate::domain::provider::Route;
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
    /// When an invoice asks for nothing or tops a wallet up, they differ in customer, currency or seller, a charge is under way, or the provider
    /// cannot be reached.
    pub async fn pay_invoices(
        &self,
        brand: BrandId,
        ids: &[InvoiceId],
        owner: Option<AccountId>,
        page: HostedPage,
    ) -> Result<(PaymentId, String), Problem> {
        let count = |count: usize| {
            let message = format!("invoice_ids: name 1 to {INVOICES_MAX} invoices, got {count}");
            Problem::invalid("invoice_ids", "INVOICES_COUNT", message)
        };
        if ids.is_empty() || ids.len() > INVOICES_MAX {
            return Err(count(ids.len()));
        }
        let (mut tx, _) = self.begin(brand).await?;
        let wanted = meant(&mut tx, ids).await?;
        drop(tx);
        match wanted.as_slice() {
            [only] => self.pay_one(brand, *only, owner, page).await,
            [_, ..] if wanted.len() <= INVOICES_MAX => self.pay_together(brand, &wanted, owner, page).await,
            _ => Err(count(wanted.len())),
        }
    }

    /// One hosted page for these invoices: several, each once, paid in their order.
    pub(super) async fn pay_together(
        &self,
        brand: BrandId,
        wanted: &[InvoiceId],
        owner: Option<AccountId>,
        page: HostedPage,
    ) -> Result<(PaymentId, String), Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        store::share::lock(&mut tx, wanted).await?;
        let mut invoices = Vec::with_capacity(wanted.len());
        for id in wanted {
            let Owed { invoice, .. } = Owed::lock(&mut tx, *id).await?;
            let invoice = payable(invoice, owner)?;
            not_top_up(&invoice)?;
            invoices.push(invoice);
        }
        one_of_a_kind(&invoices)?;
        for id in wanted {
            not_charging(&mut tx, *id).await?;
        }
        let shares = invoices
            .iter()
            .map(|invoice| Ok(Share { invoice: invoice.id, amount: invoice.remaining().map_err(broken)? }))
            .collect::<Result<Vec<_>, Problem>>()?;
        let account = invoices[0].account;
        // Of one whole it is known whose method it may replace; of several invoices each has its own.
        let mut groups: Vec<_> = invoices
            .iter()
            .filter(|invoice| !invoice.is_carried())
            .map(|invoice| invoice.part.map(|part| part.group))
            .collect();
        groups.dedup();
        let subscription = invoices[0].subscription.filter(|_| matches!(groups.as_slice(), [Some(_)]));
        let save_method = match subscription {
            Some(id) => store::subscription::get(&mut tx, id).await?.is_some_and(|found| found.method.is_some()),
            None => false,
        };
        let amount = Money::sum(shares[0].amount.currency, shares.iter().map(|share| share.amount)).map_err(broken)?;
        self.check_minimum(&mut tx, brand, amount, Instead::CarriedForward).await?;
        let route = Route::of(amount, &invoices[0].snapshot.buyer.country);
        self.check_chosen(&mut tx, brand, route, page.chosen).await?;
        let HostedPage { return_url, cancel_url, chosen } = page;
        let request = AttemptRequest {
            invoice: invoices[0].id,
            account,
            // Else for no single one of them; what each pays for is found by its invoice.
            subscription,
            amount,
            kind: AttemptKind::Hosted { return_url, cancel_url, save_method, chosen },
            shares,
        };
        let payment =
            store::payment::request(&mut tx, brand, &[request], now).await?.pop().expect("one id per request");
        tx.commit().await?;
        let url = open_checkout(self, brand, payment).await?;
        Ok((payment, url))
    }
}

/// A top-up is owed by nobody, so it is paid for itself or not at all.
fn not_top_up(invoice: &Invoice) -> Result<(), Problem> {
    if invoice.purpose == Purpose::TopUp {
        let message = format!("invoice_ids: {} tops a wallet up; pay it by itself", invoice.number_text());
        let refused = Problem::refused("INVOICE_TOP_UP", message).on_field("invoice_ids");
        return Err(refused.with("invoice_id", invoice.id));
    }
    Ok(())
}

/// The invoices that are paid when these are named, each once: of a consolidated one, named by its id or a part's, all parts that
/// ask for something, in their order, each after what was carried forward to it.
async fn meant(tx: &mut PgTransaction<'_>, ids: &[InvoiceId]) -> Result<Vec<InvoiceId>, Problem> {
    let mut wanted: Vec<InvoiceId> = ids.to_vec();
    wanted.sort_unstable();
    wanted.dedup();
    let mut meant: Vec<InvoiceId> = Vec::new();
    for id in wanted {
        let mut named = Vec::new();
        match known(tx, id).await?.filter(|known| !known.parts.is_empty()) {
            None => named.push(id),
            Some(whole) => {
                let asks = |part: &&Invoice| part.is_claim() && part.remaining().is_ok_and(|left| left.is_positive());
                for part in whole.parts.iter().filter(asks) {
                    let carried = carried_with(tx, part).await?;
                    named.extend(if carried.is_empty() { vec![part.id] } else { carried });
                }
                // Nothing of it asks: its first part says so.
                if named.is_empty() {
                    named.extend(whole.parts.iter().map(|part| part.id).take(1));
                }
            }
        }
        for id in named {
            if !meant.contains(&id) {
                meant.push(id);
            }
        }
    }
    Ok(meant)
}

/// The invoices a page for this one is for: those that are meant, and with a single one what was carried forward to it.
pub(super) async fn asked_with(tx: &mut PgTransaction<'_>, id: InvoiceId) -> Result<Vec<InvoiceId>, Problem> {
    let wanted = meant(tx, &[id]).await?;
    let [only] = wanted.as_slice() else { return Ok(wanted) };
    let Some(invoice) = store::invoice::get(tx, *only).await? else { return Ok(wanted) };
    let together = carried_with(tx, &invoice).await?;
    Ok(if together.is_empty() { wanted } else { together })
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

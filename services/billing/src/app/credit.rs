//! Credit notes: an issued invoice is never changed, it is credited.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, CreditNoteId, Currency, Money};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::unit::Unit;
use super::{broken, deferral};
use crate::domain::invoice::{Invoice, Purpose, number_year};
use crate::domain::ledger::{self, Account, Booking};
use crate::domain::portion::{self, Credited, Portion, Wanted};
use crate::domain::subscription::Subscription;
use crate::domain::tax::Tax;
use crate::store;
use crate::store::credit_note::CreditNote;

/// What follows the entity's prefix in the series of credit notes.
const SERIES_SUFFIX: &str = "CN";

/// The series of a seller's credit notes.
pub(super) fn credit_series(series: &str) -> String {
    format!("{series}-{SERIES_SUFFIX}")
}

/// Credits `amount` of an invoice the caller has locked: number, credit note, and revenue and tax taken back at the rates
/// the invoice was issued with. Paying it out is the caller's.
///
/// # Errors
/// When more than the invoice's total would be credited.
pub async fn issue(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    invoice: &Invoice,
    amount: Money,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<CreditNote, Problem> {
    issue_portion(tx, brand, invoice, &Wanted::Amount(amount), reason, now).await
}

/// As [`issue`], of an amount or of single lines.
///
/// # Errors
/// When more than is left would be credited, or a line twice.
pub async fn issue_portion(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    invoice: &Invoice,
    wanted: &Wanted,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<CreditNote, Problem> {
    let notes = store::credit_note::of_invoices(tx, &[invoice.id]).await?;
    let currency = invoice.totals.total.currency;
    let before = Credited {
        amount: Money::sum(currency, notes.iter().map(|note| note.amount)).map_err(broken)?,
        tax: Money::sum(currency, notes.iter().map(|note| note.tax)).map_err(broken)?,
        lines: notes.into_iter().flat_map(|note| note.lines).collect(),
    };
    let Portion { amount, tax, lines } =
        portion::of(&invoice.lines, invoice.totals, &before, wanted).map_err(|why| refused(invoice, &why))?;
    let seller = &invoice.snapshot.seller;
    let series = credit_series(&seller.series);
    let number = store::number::take(tx, seller.id, &series, number_year(now, seller.zone), 1)
        .await?
        .pop()
        .expect("one number was asked for");
    let note = CreditNote {
        id: CreditNoteId::new(now),
        invoice: invoice.id,
        account: invoice.account,
        entity: seller.id,
        number,
        amount,
        tax,
        reason: reason.to_owned(),
        lines,
        issued_at: now,
    };
    store::credit_note::insert(tx, brand, &note).await?;
    let net = amount.checked_sub(tax).map_err(broken)?;
    let booking = Booking::new(seller.id, "credit_note.issued", note.id, now);
    let booking = match invoice.purpose {
        Purpose::TopUp => ledger::top_up_credited(booking, invoice.account, amount),
        Purpose::First | Purpose::Renewal | Purpose::Upgrade | Purpose::Manual => {
            ledger::credit_note_issued(booking, invoice.account, net, tax)
        }
    };
    let booking = booking.map_err(broken)?;
    store::ledger::book(tx, brand, booking).await?;
    deferral::credited(tx, brand, invoice.id, note.id, net, now).await?;
    Ok(note)
}

fn refused(invoice: &Invoice, why: &portion::Refused) -> Problem {
    let reason = match why {
        portion::Refused::TooLarge { .. } | portion::Refused::Money(_) => "CREDIT_TOO_LARGE",
        portion::Refused::NoSuchLine { .. } => "LINE_UNKNOWN",
        portion::Refused::LineCredited(_) => "LINE_CREDITED",
        portion::Refused::NotPositive(_) => "CREDIT_NOT_POSITIVE",
    };
    Problem::refused(reason, format!("{why} (invoice {})", invoice.number_text())).on_field(why.field())
}

/// Invoices of a subscription that a credit looks at, newest first: more than a paid period ever has.
const INVOICES_MAX: i64 = 100;

/// What was paid on an invoice and not credited yet.
fn left_of(invoice: &Invoice) -> Result<Money, Problem> {
    invoice.paid.checked_sub(invoice.refunded).map_err(broken)
}

async fn paid_invoices(
    tx: &mut PgTransaction<'_>,
    subscription: &Subscription,
    currency: Currency,
) -> Result<Vec<Invoice>, Problem> {
    let page = store::Page { before: None, limit: INVOICES_MAX };
    let mut invoices = store::invoice::list(tx, Some(subscription.account), Some(subscription.id), page).await?;
    invoices.retain(|invoice| invoice.totals.total.currency == currency && invoice.paid.minor > invoice.refunded.minor);
    Ok(invoices)
}

/// How much of what its customer paid for a subscription can still be credited. The caller holds its lock.
///
/// # Errors
/// When the database fails.
pub async fn creditable(
    tx: &mut PgTransaction<'_>,
    subscription: &Subscription,
    currency: Currency,
) -> Result<Money, Problem> {
    let invoices = paid_invoices(tx, subscription, currency).await?;
    invoices.iter().try_fold(Money::zero(currency), |sum, invoice| sum.checked_add(left_of(invoice)?).map_err(broken))
}

/// How the latest of what was paid for a subscription and not credited was taxed; none when there is nothing. The caller
/// holds its lock.
///
/// # Errors
/// When the database fails.
pub async fn tax_paid(tx: &mut PgTransaction<'_>, subscription: &Subscription) -> Result<Option<Tax>, Problem> {
    let invoices = paid_invoices(tx, subscription, subscription.offer.price.currency).await?;
    Ok(invoices.first().map(Invoice::tax))
}

/// Credits `amount` of what was paid for a subscription, newest invoice first, and puts it into the customer's wallet. The
/// caller holds the subscription's lock, which nobody passes who changes its invoices, and asks for no more than
/// [`creditable`].
///
/// # Errors
/// When the database fails.
pub async fn to_wallet(
    tx: &mut PgTransaction<'_>,
    unit: &mut Unit,
    subscription: &Subscription,
    amount: Money,
    reason: &str,
) -> Result<(), Problem> {
    let mut rest = amount;
    if !rest.is_positive() {
        return Ok(());
    }
    for invoice in paid_invoices(tx, subscription, amount.currency).await? {
        let part = Money::new(left_of(&invoice)?.minor.min(rest.minor), rest.currency);
        if !part.is_positive() {
            break;
        }
        let note = issue(tx, unit.brand, &invoice, part, reason, unit.now).await?;
        let booking = Booking::new(note.entity, "credit.to_wallet", note.id, unit.now)
            .post(Account::Receivable(invoice.account), Account::Wallet(invoice.account), part)
            .map_err(broken)?;
        unit.book(booking);
        rest = rest.checked_sub(part).map_err(broken)?;
    }
    Ok(())
}

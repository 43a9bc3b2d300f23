//! Topping a wallet up: an invoice nobody owes, credited once when it is paid, gone when it is not.
//!
//! It is a pro forma until then, so it is in no books and burns no number. Nothing is taxed: what is bought with the money
//! is, when it is bought.

pub(super) mod refund;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, BrandId, InvoiceId, Money, PaymentId, PaymentMethodId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::manual::snapshot;
use super::merge::refuse_merged;
use super::order::{Idempotency, ask_first};
use super::settlement::Owed;
use super::unit::Unit;
use super::{Billing, broken, once, profile};
use crate::domain::address::Source;
use crate::domain::amount_rules::AmountRefused;
use crate::domain::invoice::{Buyer, Invoice, Purpose, State};
use crate::domain::line::{Line, Totals};
use crate::domain::minimum::TooSmall;
use crate::domain::tax::{Tax, Treatment};
use crate::store;
use crate::store::customer::Customer;
use crate::store::payment::{AttemptKind, AttemptRequest};

/// How long a top-up waits for its money. What comes later is in the wallet all the same.
const VALID: TimeDelta = TimeDelta::hours(24);
/// How long one waits longer while a payment of it is being decided.
const DECIDING: TimeDelta = TimeDelta::hours(1);
/// Top-ups that expire in one transaction.
const EXPIRING_MAX: i64 = 200;
/// What the invoice says.
const LINE: &str = "Money for your wallet";
/// Why it is not taxed, printed on it.
const NOT_TAXED: &str = "Multi-purpose credit: tax is charged on what is bought with it.";

/// How a top-up is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// On the provider's page; `{invoice}` in the addresses is replaced by the invoice's id.
    Page {
        /// Where the page returns to.
        return_url: String,
        /// Where it returns to when the customer gives up.
        cancel_url: String,
        /// Whether what pays there is kept for later.
        save_method: bool,
    },
    /// With a saved method of the customer; the usual one when none is named.
    Saved(Option<PaymentMethodId>),
}

/// What a customer asks for.
#[derive(Clone, Debug)]
pub struct TopUp {
    /// Whose wallet.
    pub account: AccountId,
    /// As the invoice will show them.
    pub buyer: Buyer,
    /// How much.
    pub amount: Money,
    /// How it is paid.
    pub by: By,
}

/// A top-up that waits for its money.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What is to be paid.
    pub invoice: Invoice,
    /// The attempt to pay it.
    pub payment: PaymentId,
}

/// What is kept for a repeated call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Made {
    invoice: InvoiceId,
    payment: PaymentId,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.invoice, self.payment)
    }
}

impl FromStr for Made {
    type Err = ottery_kernel::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (invoice, payment) = text.split_once(' ').unwrap_or((text, ""));
        Ok(Self { invoice: invoice.parse()?, payment: payment.parse()? })
    }
}

impl From<AmountRefused> for Problem {
    fn from(refused: AmountRefused) -> Self {
        let message = refused.to_string();
        match refused {
            AmountRefused::NotSold { .. } => Self::invalid("amount", "CURRENCY_NOT_SOLD", message),
            AmountRefused::TopUp { min, max, .. } => {
                Self::invalid("amount", "TOP_UP_AMOUNT", message).with("min", min).with("max", max)
            }
        }
    }
}

impl Billing {
    /// Asks for a top-up and for its payment. What the customer asked for before in that currency and has not paid makes
    /// room. Sent twice with the same key it is asked for once.
    ///
    /// # Errors
    /// When the brand does not take that amount, the customer has saved no method to charge, or the one that is named is not theirs.
    pub async fn top_up(&self, brand: BrandId, ask: TopUp, call: Option<Idempotency>) -> Result<Asked, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        if let Some(Made { invoice, payment }) = once::made(&mut tx, call.as_ref()).await? {
            return Ok(Asked { invoice: there(&mut tx, invoice).await?, payment });
        }
        let profile = profile(&mut tx, brand).await?;
        let rules = store::amount_rules::get(&mut tx, brand).await?;
        rules.check_top_up(ask.amount, &profile.currencies)?;
        let least = self.minimums(&mut tx, brand, &[ask.amount.currency]).await?;
        least.check(ask.amount).map_err(|TooSmall { asked, least: min }| {
            let (_, max) = rules.of(min.currency).top_up();
            AmountRefused::TopUp { min, max, asked }
        })?;
        let method = match ask.by {
            By::Page { .. } => None,
            By::Saved(None) => {
                Some(store::payment_method::default_of(&mut tx, ask.account).await?.ok_or_else(no_method)?.0)
            }
            By::Saved(Some(named)) => Some(own_method(&mut tx, ask.account, named).await?),
        };
        let mut unit = Unit::new(brand, profile, now);
        let mut unpaid = Vec::new();
        for id in store::top_up::open_of(&mut tx, ask.account, ask.amount.currency).await? {
            let Owed { invoice, .. } = Owed::lock(&mut tx, id).await?;
            if is_unpaid(&mut tx, &invoice).await? {
                unpaid.push(invoice);
            }
        }
        let customer = Customer {
            account: ask.account,
            buyer: ask.buyer.clone(),
            source: Source::Order,
            standing: None,
            referral_code: String::new(),
            first_settled_at: None,
            consolidated: None,
        };
        store::customer::put(&mut tx, brand, &customer).await?;
        refuse_merged(&mut tx, ask.account, "account_id").await?;
        unit.lock_customers(&mut tx, &[ask.account]).await?;
        for mut invoice in unpaid {
            unit.withdraw(&mut invoice).map_err(broken)?;
            unit.keep_invoice(invoice);
        }
        let invoice = draft(&unit, &ask, now)?;
        let id = invoice.id;
        let with_invoice = |url: String| url.replace("{invoice}", &id.to_string());
        unit.attempts.push(AttemptRequest {
            invoice: id,
            account: ask.account,
            subscription: None,
            amount: ask.amount,
            kind: match (method, ask.by) {
                (Some(method), _) => AttemptKind::OffSession { method },
                (None, By::Page { return_url, cancel_url, save_method }) => AttemptKind::Hosted {
                    return_url: with_invoice(return_url),
                    cancel_url: with_invoice(cancel_url),
                    save_method,
                    chosen: None,
                },
                (None, By::Saved(_)) => return Err(no_method()),
            },
            shares: Vec::new(),
        });
        unit.keep_new(invoice);
        let payment = unit.flush(&mut tx).await?.pop().expect("one id per request");
        store::top_up::plan(&mut tx, brand, id, now + VALID).await?;
        let invoice = there(&mut tx, id).await?;
        once::keep(&mut tx, call.as_ref(), Made { invoice: id, payment }).await?;
        tx.commit().await?;
        self.providers.bell.errands.notify_one();
        Ok(Asked { invoice, payment })
    }

    /// Takes back the top-ups of one brand that nobody has paid in time; returns how many were looked at.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn expire_top_ups(&self, brand: BrandId) -> Result<usize, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let due = store::top_up::due(&mut tx, now, EXPIRING_MAX).await?;
        let mut unit = Unit::new(brand, profile(&mut tx, brand).await?, now);
        let (mut over, mut deciding, mut unpaid) = (Vec::new(), Vec::new(), Vec::new());
        for id in &due {
            let Owed { invoice, .. } = Owed::lock(&mut tx, *id).await?;
            let is_open = invoice.state == State::Open;
            if is_open && !is_unpaid(&mut tx, &invoice).await? {
                deciding.push(*id);
                continue;
            }
            over.push(*id);
            unpaid.extend(Some(invoice).filter(|_| is_open));
        }
        let mut accounts: Vec<AccountId> = unpaid.iter().map(|invoice| invoice.account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        unit.lock_customers(&mut tx, &accounts).await?;
        for mut invoice in unpaid {
            unit.withdraw(&mut invoice).map_err(broken)?;
            unit.keep_invoice(invoice);
        }
        unit.flush(&mut tx).await?;
        store::top_up::done(&mut tx, &over).await?;
        store::top_up::put_off(&mut tx, &deciding, now + DECIDING).await?;
        tx.commit().await?;
        Ok(due.len())
    }
}

/// Whether a locked top-up can be taken back: open, and with nothing paid or being paid on it.
async fn is_unpaid(tx: &mut PgTransaction<'_>, invoice: &Invoice) -> sqlx::Result<bool> {
    let is_unpaid = invoice.state == State::Open && invoice.paid.is_zero();
    Ok(is_unpaid && !store::payment::is_charging(tx, invoice.id).await?)
}

/// The invoice: one line, not taxed, for no subscription.
fn draft(unit: &Unit, ask: &TopUp, now: DateTime<Utc>) -> Result<Invoice, Problem> {
    let untaxed = Tax { treatment: Treatment::OutOfScope { reason: NOT_TAXED.to_owned() }, ..Tax::contained(0) };
    let lines = vec![Line::priced(LINE, ask.amount, &untaxed, None).map_err(broken)?];
    let totals = Totals::of(ask.amount.currency, &lines).map_err(broken)?;
    let buyer = unit.customer(ask.account).map_or_else(|| ask.buyer.clone(), |known| known.buyer.clone());
    let nothing = Money::zero(ask.amount.currency);
    let mut invoice = Invoice {
        id: InvoiceId::new(now),
        account: ask.account,
        subscription: None,
        order: None,
        purpose: Purpose::TopUp,
        state: State::Draft,
        number: None,
        proforma: None,
        lines,
        totals,
        snapshot: snapshot(&unit.profile, buyer),
        period: None,
        issued_at: None,
        due_at: Some(now + VALID),
        closed_at: None,
        reminders_done: 0,
        charges_made: 0,
        carried_at: None,
        part: None,
        parts: Vec::new(),
        paid: nothing,
        from_wallet: nothing,
        refunded: nothing,
    };
    ask_first(&mut invoice, now).map_err(broken)?;
    Ok(invoice)
}

fn no_method() -> Problem {
    let message = "there is no saved method to charge; pay on the provider's page instead";
    Problem::refused("NO_SAVED_METHOD", message).on_field("saved_method")
}

/// A method that is named, when it is this customer's and can be charged. One of somebody else has the same answer as none.
async fn own_method(
    tx: &mut PgTransaction<'_>,
    account: AccountId,
    named: PaymentMethodId,
) -> Result<PaymentMethodId, Problem> {
    if store::payment_method::owner(tx, named).await? == Some(account) {
        return Ok(named);
    }
    let message =
        format!("there is no saved method {named}; name one of the customer's own, or pay on the provider's page");
    Err(Problem::not_found("PAYMENT_METHOD_NOT_FOUND", message).on_field("payment_method_id"))
}

async fn there(tx: &mut PgTransaction<'_>, id: InvoiceId) -> Result<Invoice, Problem> {
    store::invoice::get(tx, id).await?.ok_or_else(|| Problem::not_found("INVOICE_NOT_FOUND", "the invoice is gone"))
}

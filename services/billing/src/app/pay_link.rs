//! Paying one invoice by a signed link, without signing in.

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use ottery_kernel::{BrandId, InvoiceId, Money, PaymentId};
use ottery_kit::grpc::Problem;
use ottery_kit::keyring::KeyId;

use super::consolidated::known;
use super::payment::HostedPage;
use super::{Billing, broken};
use crate::domain::invoice::State;
use crate::domain::pay_link::{self, PURPOSE, PayLink};
use crate::store;

/// How the invoice of a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It can be paid.
    Open,
    /// A payment is on its way.
    Processing,
    /// It is paid.
    Paid,
    /// It was taken back or given up.
    Closed,
}

/// What somebody with a link may know: nothing personal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// As printed.
    pub number: String,
    /// What is left to pay.
    pub amount: Money,
    /// How it stands.
    pub standing: Standing,
    /// When it should be paid.
    pub due_at: Option<DateTime<Utc>>,
}

/// One answer for whatever is wrong with a token: whoever tries some learns nothing.
fn no_such_link() -> Problem {
    Problem::not_found("PAY_LINK_INVALID", "this link is not good any more; sign in to see and pay the invoice")
        .on_field("token")
}

impl Billing {
    /// A token for an invoice that waits to be paid.
    ///
    /// # Errors
    /// When nothing is to be paid (any more).
    pub async fn mint_pay_link(&self, brand: BrandId, id: InvoiceId) -> Result<String, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let found = known(&mut tx, id).await?.filter(|invoice| invoice.state == State::Open);
        let Some(invoice) = found else {
            let message = format!("{id} is not open; nobody is asked to pay it");
            return Err(Problem::not_found("INVOICE_NOT_OPEN", message).on_field("invoice_id"));
        };
        self.pay_token(brand, invoice.id, now)
    }

    /// A token for an invoice that is known to wait.
    pub(super) fn pay_token(&self, brand: BrandId, invoice: InvoiceId, now: DateTime<Utc>) -> Result<String, Problem> {
        let expires_at = (now + self.config.pay_link()).duration_trunc(TimeDelta::seconds(1)).map_err(broken)?;
        let link = PayLink { invoice, expires_at };
        let (key, mac) = self.host.keyring.sign(PURPOSE, &link.signed_data(brand));
        Ok(link.token(key.to_bytes(), mac))
    }

    /// The invoice a token opens at `now`.
    fn opened(&self, brand: BrandId, token: &str, now: DateTime<Utc>) -> Result<InvoiceId, Problem> {
        let read = pay_link::read(token).ok_or_else(no_such_link)?;
        let data = read.link.signed_data(brand);
        let is_ours = self.host.keyring.verify(PURPOSE, KeyId::from_bytes(read.key), &data, &read.mac);
        if is_ours && now < read.link.expires_at { Ok(read.link.invoice) } else { Err(no_such_link()) }
    }

    /// What a link is for.
    ///
    /// # Errors
    /// When it is forged, expired, or another brand's.
    pub async fn read_pay_link(&self, brand: BrandId, token: &str) -> Result<Shown, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let id = self.opened(brand, token, now)?;
        let invoice = known(&mut tx, id).await?.ok_or_else(no_such_link)?;
        let mut is_charging = false;
        for row in invoice.rows() {
            is_charging |= store::payment::is_charging(&mut tx, row).await?;
        }
        let standing = match invoice.state {
            State::Open if is_charging => Standing::Processing,
            State::Open => Standing::Open,
            State::Closed => Standing::Paid,
            State::Draft | State::Void | State::Uncollectible => Standing::Closed,
        };
        Ok(Shown {
            number: invoice.number_text(),
            amount: invoice.remaining().map_err(broken)?,
            standing,
            due_at: invoice.due_at,
        })
    }

    /// A hosted page for the invoice of a link.
    ///
    /// # Errors
    /// As [`Billing::read_pay_link`] and [`Billing::pay_invoice`].
    pub async fn pay_by_link(
        &self,
        brand: BrandId,
        token: &str,
        page: HostedPage,
    ) -> Result<(PaymentId, String), Problem> {
        let (tx, now) = self.begin(brand).await?;
        drop(tx);
        let id = self.opened(brand, token, now)?;
        self.pay_invoice(brand, id, None, page).await
    }
}

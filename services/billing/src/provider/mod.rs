//! Payment providers: what billing needs of one, and those it knows.
//!
//! An adapter makes one call and says what came of it; it never tries again by itself. Whoever calls has written the
//! attempt down and committed it before, and gives the attempt's id as idempotency key.

mod answer;
pub mod assumed;
pub mod bitcoin;
pub mod btcpay;
mod by_hand;
pub mod coin;
pub mod ethereum;
mod minimum;
pub mod paypal;
mod registry;
pub mod report;
mod sandbox;
mod signature;
pub mod stripe;
mod talk;

use std::collections::HashMap;
use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Months, NaiveDate, TimeDelta, Utc};
use ottery_kernel::{Currency, Money};
use ottery_kit::secret::Secret;
use url::Url;

use crate::domain::decline::Advice;
use crate::domain::pay_way::PayKind;
use crate::domain::payment::{SavedToken, Truth};
use crate::domain::{dispute, refund};

pub use self::bitcoin::Bitcoin;
pub use self::ethereum::Ethereum;
pub use btcpay::BtcPay;
pub use by_hand::ByHand;
pub use paypal::PayPal;
pub use registry::Providers;
pub use report::{ReportAsk, ReportPage};
pub use sandbox::Sandbox;
pub use signature::{Forged, TOLERANCE, sign, verify};
pub use stripe::Stripe;
pub use talk::{
    Access, CallError, Capabilities, ChargeAsk, Checkout, CheckoutAsk, ConfirmAsk, Confirmation, EventPage, Evidence,
    EvidenceAsk, LateMethod, Listed, Lookup, MethodFact, Notice, PageTruth, Probe, RefundAsk, RefundFact, SavedMethod,
    SetupAsk, SetupTruth, Subject, Trace,
};

/// A payment provider.
#[async_trait]
pub trait PaymentProvider: Send + Sync + fmt::Debug {
    /// Its name in settings, ledger and addresses.
    fn name(&self) -> &'static str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// What customers pay with on its page.
    fn pay_kind(&self) -> PayKind;

    /// Digits behind the point in this provider's minor units; not always those of ISO 4217.
    fn exponent(&self, currency: Currency) -> u32;

    /// The least a payment can be, in our minor units; zero for no limit.
    fn minimum(&self, currency: Currency) -> i64;

    /// Whether it takes this currency at all.
    fn takes(&self, _currency: Currency) -> bool {
        true
    }

    /// Whether it can be asked for exactly that amount of a currency it takes.
    fn expresses(&self, _amount: Money) -> bool {
        true
    }

    /// Where its API is unless the operator says otherwise; empty when it has no address of its own.
    fn base_url(&self) -> &'static str {
        ""
    }

    /// What its address here is to be told of; empty: everything there is.
    fn events(&self) -> &'static [&'static str] {
        &[]
    }

    /// The version of its API whose events are understood; empty when it has none.
    fn api_version(&self) -> &'static str {
        ""
    }

    /// Whether keys may be sent to that address.
    fn is_safe_address(&self, _base_url: &Url) -> bool {
        true
    }

    /// Whether a key moves real money at that address; none when it is no key of this provider.
    fn is_live_key(&self, _key: &Secret, _base_url: &str) -> Option<bool> {
        Some(!self.capabilities().is_test_mode)
    }

    /// What a key of it looks like, for whoever enters one.
    fn key_form(&self) -> &'static str {
        "a secret key"
    }

    /// Why a key must not even be looked at, for whoever entered it; it never repeats the key.
    fn key_refusal(&self, _key: &Secret) -> Option<String> {
        None
    }

    /// How long it remembers an idempotency key; none: for ever. Later the same call would be made twice.
    fn key_lifetime(&self) -> Option<TimeDelta> {
        None
    }

    /// What its word for a refusal asks for.
    fn advice(&self, _code: &str) -> Advice {
        Advice::default()
    }

    /// Whether its word for a refusal means that it does not know the customer who was named (any more).
    fn is_customer_gone(&self, _code: &str) -> bool {
        false
    }

    /// Whether customers may send another amount than they were asked for, and more of it later: what comes pays what it can.
    fn takes_any_amount(&self) -> bool {
        false
    }

    /// How long after a page was made its payment is looked at, however it stands: money may come late, and what came may be taken
    /// back, without anybody asking. None: what is decided is decided.
    fn watched_for(&self) -> Option<TimeDelta> {
        None
    }

    /// Whether a refund that is asked for twice with the same key is made once; else one whose answer was lost is made again only when it
    /// is surely not there.
    fn repeats_refunds(&self) -> bool {
        true
    }

    /// Where a customer takes a refund that they have to claim; none when it goes to them by itself.
    fn claim_link(&self, _base_url: &str, _refund: &str) -> Option<String> {
        None
    }

    /// Whether an event is of that account, and not of another one that is told of at the same address.
    fn is_of_account(&self, _access: &Access, _event: &[u8]) -> bool {
        true
    }

    /// What makes addresses and looks at them, when customers pay without a provider in between.
    fn coins(&self) -> Option<&dyn coin::CoinProvider> {
        None
    }

    /// How it is paid, when no provider is in between and people record what came.
    fn by_hand(&self) -> Option<ByHand> {
        None
    }

    /// Asks the account something harmless, to see that address and key are good.
    async fn probe(&self, access: &Access) -> Result<Probe, CallError>;

    /// Makes a hosted page.
    async fn create_checkout(&self, access: &Access, ask: &CheckoutAsk) -> Result<Checkout, CallError>;

    /// Closes a hosted page, unless somebody paid on it.
    async fn expire_checkout(&self, access: &Access, reference: &str) -> Result<(), CallError>;

    /// Charges a saved instrument. A decline is an answer.
    async fn charge_saved(&self, access: &Access, ask: &ChargeAsk) -> Result<Truth, CallError>;

    /// What the provider says about a payment now.
    async fn fetch_payment(&self, access: &Access, lookup: Lookup<'_>) -> Result<Truth, CallError>;

    /// What a page says now; takes nothing.
    async fn read_checkout(&self, access: &Access, reference: &str) -> Result<PageTruth, CallError> {
        Ok(PageTruth::Told(self.fetch_payment(access, Lookup::Checkout(reference)).await?))
    }

    /// Takes what the customer [agreed](PageTruth::Agreed) to on a page.
    async fn take_checkout(&self, access: &Access, reference: &str) -> Result<Truth, CallError> {
        self.fetch_payment(access, Lookup::Checkout(reference)).await
    }

    /// Gives money back.
    async fn refund(&self, access: &Access, ask: &RefundAsk) -> Result<refund::Truth, CallError>;

    /// What the provider says about a refund now; none when it knows of none.
    async fn fetch_refund(&self, access: &Access, reference: &str) -> Result<Option<RefundFact>, CallError>;

    /// Takes up a charge again that was refused because the customer has to confirm.
    async fn confirm(&self, _access: &Access, _ask: &ConfirmAsk) -> Result<Confirmation, CallError> {
        Err(unsupported())
    }

    /// Gives a payment up that nobody wants any more, unless the money has come.
    async fn cancel_payment(&self, access: &Access, reference: &str) -> Result<Truth, CallError> {
        self.fetch_payment(access, Lookup::Payment(reference)).await
    }

    /// Our reference on a payment; none when it is not ours.
    async fn reference_of(&self, _access: &Access, _payment: &str) -> Result<Option<String>, CallError> {
        Ok(None)
    }

    /// Whether a refund whose answer was lost was made; none when it was not, or the key alone can tell.
    async fn find_refund(&self, _access: &Access, _ask: &RefundAsk) -> Result<Option<refund::Truth>, CallError> {
        Ok(None)
    }

    /// Every refund of a payment.
    async fn refunds_of(&self, _access: &Access, _payment: &str) -> Result<Vec<RefundFact>, CallError> {
        Ok(Vec::new())
    }

    /// What the provider says about an objection now; none when it tells nothing about them.
    async fn fetch_dispute(&self, _access: &Access, _reference: &str) -> Result<Option<dispute::Truth>, CallError> {
        Ok(None)
    }

    /// Hands evidence in. It is final: the bank decides by it.
    async fn submit_evidence(&self, _access: &Access, _ask: &EvidenceAsk) -> Result<dispute::Truth, CallError> {
        Err(unsupported())
    }

    /// Gives in to an objection. It is final: the money is lost.
    async fn accept_dispute(&self, _access: &Access, _reference: &str) -> Result<dispute::Truth, CallError> {
        Err(unsupported())
    }

    /// Makes a page on which a method is saved.
    async fn create_setup(&self, _access: &Access, _ask: &SetupAsk) -> Result<Checkout, CallError> {
        Err(unsupported())
    }

    /// What became of such a page.
    async fn fetch_setup(&self, _access: &Access, _reference: &str) -> Result<SetupTruth, CallError> {
        Err(unsupported())
    }

    /// What the provider says about an instrument now; none when it knows of none.
    async fn fetch_method(&self, _access: &Access, _subject: &Subject) -> Result<Option<MethodFact>, CallError> {
        Ok(None)
    }

    /// An instrument that was saved on the page of a payment; none when the provider knows of no such thing.
    async fn late_method(
        &self,
        _access: &Access,
        _method: &str,
        _checkout: &str,
    ) -> Result<Option<LateMethod>, CallError> {
        Ok(None)
    }

    /// Forgets an instrument. Doing it twice is no error.
    async fn detach(&self, _access: &Access, _token: &SavedToken) -> Result<(), CallError> {
        Ok(())
    }

    /// What happened after that event, the oldest first, in the shape of its webhooks; without one, the newest it has. None when
    /// it lists no events.
    async fn events_after(&self, _access: &Access, _event: &str) -> Result<Option<EventPage>, CallError> {
        Ok(None)
    }

    /// A page of what it reports of a span of time; none when it reports nothing of that kind.
    async fn report(&self, _access: &Access, _ask: ReportAsk<'_>) -> Result<Option<ReportPage>, CallError> {
        Ok(None)
    }

    /// Gets what is needed to check a webhook and not known yet, such as a certificate it names; nothing of the webhook is
    /// believed by it.
    ///
    /// # Errors
    /// When it names something that must not be asked for, or that did not come.
    async fn prepare_webhook(&self, _base_url: &str, _headers: &HashMap<String, String>) -> Result<(), Forged> {
        Ok(())
    }

    /// Checks the signature of a webhook for an account whose API is at `base_url` over the raw bytes, and reads what it is about.
    ///
    /// # Errors
    /// When it is not signed with one of the secrets, or too old.
    fn verify_webhook(
        &self,
        base_url: &str,
        raw: &[u8],
        headers: &HashMap<String, String>,
        secrets: &[Secret],
        now: DateTime<Utc>,
    ) -> Result<Notice, Forged>;

    /// Reads a stored event again; its signature was checked when it came.
    ///
    /// # Errors
    /// When the body is none of this provider's.
    fn read_event(&self, raw: &[u8]) -> Result<Notice, Forged>;
}

fn unsupported() -> CallError {
    CallError::Refused { code: "unsupported".to_owned() }
}

/// The last day of a card that is good through this month; none when there is no such month.
fn last_day(year: i32, month: u32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(year, month, 1)?.checked_add_months(Months::new(1))?.pred_opt()
}

/// An amount in a provider's minor units; exact or not at all.
///
/// # Errors
/// When a fraction would be lost or the number does not fit.
pub fn to_provider(amount: Money, exponent: u32) -> Result<i64, CallError> {
    let refused = || CallError::Amount(amount);
    let ours = amount.currency.exponent();
    if exponent >= ours {
        let factor = 10_i64.checked_pow(exponent - ours).ok_or_else(refused)?;
        amount.minor.checked_mul(factor).ok_or_else(refused)
    } else {
        let factor = 10_i64.checked_pow(ours - exponent).ok_or_else(refused)?;
        if amount.minor % factor == 0 { Ok(amount.minor / factor) } else { Err(refused()) }
    }
}

/// An amount in our minor units from a provider's; a fraction we cannot write is cut.
#[must_use]
pub fn from_provider(minor: i64, currency: Currency, exponent: u32) -> Money {
    let ours = currency.exponent();
    let minor = if exponent >= ours {
        minor / 10_i64.saturating_pow(exponent - ours)
    } else {
        minor.saturating_mul(10_i64.saturating_pow(ours - exponent))
    };
    Money::new(minor, currency)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_good_through_its_month() {
        assert_eq!(last_day(2028, 2), NaiveDate::from_ymd_opt(2028, 2, 29));
        assert_eq!(last_day(2027, 12), NaiveDate::from_ymd_opt(2027, 12, 31));
        assert_eq!(last_day(2027, 13), None);
    }

    #[test]
    fn amounts_are_converted_exactly_or_not_at_all() {
        let eur = Money::new(1299, Currency::EUR);
        assert_eq!(to_provider(eur, 2), Ok(1299));
        assert_eq!(to_provider(eur, 3), Ok(12_990));
        assert_eq!(to_provider(eur, 0), Err(CallError::Amount(eur)));
        assert_eq!(to_provider(Money::new(1300, Currency::EUR), 0), Ok(13));
        assert_eq!(to_provider(Money::new(500, Currency::JPY), 0), Ok(500));
        assert_eq!(from_provider(12_990, Currency::EUR, 3), eur);
        assert_eq!(from_provider(13, Currency::EUR, 0), Money::new(1300, Currency::EUR));
        assert_eq!(
            to_provider(Money::new(i64::MAX, Currency::EUR), 3),
            Err(CallError::Amount(Money::new(i64::MAX, Currency::EUR)))
        );
    }
}

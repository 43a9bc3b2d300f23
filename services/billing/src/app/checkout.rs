//! Quotes: what a checkout shows and an order charges.

use ottery_kernel::{AccountId, BrandId, Currency, PlanId, PriceId};
use ottery_kit::grpc::Problem;
use uuid::Uuid;

use super::stock::Sale;
use super::tax::load_rules;
use super::{Billing, coupon, stock};
use crate::domain::addon::AddOnRefused;
use crate::domain::coupon::Occasion;
use crate::domain::option::{OptionRefused, Quantity};
use crate::domain::quote::{Asked, Limit, Quote, QuoteError};
use crate::domain::tax::{self, Book, Place};
use crate::store;
use crate::store::quote::Stored;

/// What a quote is asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Which price.
    pub price: PriceId,
    /// The currency the visitor saw; none takes the price's.
    pub currency: Option<Currency>,
    /// Where the customer lives, while they have no billing address.
    pub place: Place,
    /// Start with the plan's trial.
    pub trial: bool,
    /// Who asks; nobody in particular for a visitor.
    pub account: Option<AccountId>,
    /// Code of a coupon, as it was typed; empty for none.
    pub coupon: String,
    /// Options that shall differ from what the plan includes.
    pub options: Vec<Quantity>,
    /// Add-ons to buy with it.
    pub addons: Vec<PlanId>,
}

impl From<AddOnRefused> for Problem {
    fn from(refused: AddOnRefused) -> Self {
        Self::refused(refused.reason(), refused.to_string()).on_field("addons")
    }
}

impl From<OptionRefused> for Problem {
    fn from(refused: OptionRefused) -> Self {
        let (reason, message) = (refused.reason(), refused.to_string());
        match refused {
            OptionRefused::Unknown { .. } | OptionRefused::Twice(_) | OptionRefused::Range { .. } => {
                Self::invalid("options", reason, message)
            }
            OptionRefused::Mixed { .. } => Self::refused(reason, message).on_field("options"),
        }
    }
}

impl From<QuoteError> for Problem {
    fn from(error: QuoteError) -> Self {
        let message = error.to_string();
        match error {
            QuoteError::Currency { .. } => Self::invalid("currency", "CURRENCY_MISMATCH", message),
            QuoteError::CurrencyNotSold(_) => Self::refused("CURRENCY_NOT_SOLD", message).on_field("price_id"),
            QuoteError::Coupon(refused) => refused.into(),
            QuoteError::NoTrial(_) => Self::refused("NO_TRIAL", message).on_field("trial"),
            QuoteError::Money(_) | QuoteError::Period(_) => Self::internal(&error),
        }
    }
}

/// How many expired quotes one new quote sweeps away.
const TRIM_MAX: i64 = 20;

impl Billing {
    /// Prices what a visitor is about to buy.
    ///
    /// # Errors
    /// When the price is not sold, is in another currency, or has no trial; when the coupon cannot be used for it.
    pub async fn create_quote(&self, brand: BrandId, ask: Ask) -> Result<Stored, Problem> {
        let sold = self.sold(brand, ask.price).await?;
        let addons = self.addons_on_sale(brand, &ask.addons).await?;
        let mut offer = sold.offer.clone().choose(&ask.options)?;
        let sales: Vec<Sale> = addons.iter().map(|(_, sale)| sale.clone()).chain([sold.sale]).collect();
        for (product, _) in addons {
            let addon = product.on(&offer, &sold.slug)?;
            offer = offer.adding(addon)?;
        }
        let profile = self.profile(brand).await?;
        let coupon = self.coupon(brand, &ask.coupon).await?;
        let (mut tx, now) = self.begin(brand).await?;
        for sale in &sales {
            sale.check(now)?;
        }
        let limits: Vec<Limit> = sales.iter().filter_map(Sale::limit).collect();
        stock::look(&mut tx, &limits).await?;
        if let (true, Some(account)) = (ask.trial, ask.account)
            && store::subscription::had_trial(&mut tx, account).await?
        {
            return Err(trial_used());
        }
        if let Some(coupon) = &coupon {
            coupon.check(Occasion::Order, &offer, now)?;
            coupon::look(&mut tx, coupon, ask.account).await?;
        }
        let asked = Asked { currency: ask.currency, trial: ask.trial, coupon: coupon.as_ref() };
        let kept = match ask.account {
            Some(account) => self.fresh_address(&mut tx, brand, account, profile.entity.tax.vat_wait(), now).await?,
            None => None,
        };
        let buyer = match &kept {
            Some(kept) => tax::Buyer {
                place: kept.address.place(),
                source: kept.source,
                business: kept.standing.as_ref().and_then(|standing| standing.proof(now)),
            },
            None => tax::Buyer { place: ask.place.clone(), ..tax::Buyer::default() },
        };
        let vat_until = kept.as_ref().and_then(|kept| kept.standing.as_ref()?.holds_order(now));
        let mut book = Book::new(&profile);
        load_rules(&mut tx, brand, &mut book, std::iter::once(buyer.clone())).await?;
        let taxed = book.decide_offer(&buyer, &offer, now);
        let country = taxed.place.country.clone();
        let quote = Quote::price(&offer, asked, &profile.currencies, &taxed, profile.zone, now)?;
        let quote = Quote { limits, ..quote };
        let stored = Stored { id: Uuid::now_v7(), account: ask.account, offer, quote, country, vat_until };
        store::quote::insert(&mut tx, brand, &stored, now).await?;
        store::quote::trim(&mut tx, brand, now - chrono::TimeDelta::days(7), TRIM_MAX).await?;
        tx.commit().await?;
        Ok(stored)
    }
}

pub(super) fn trial_used() -> Problem {
    Problem::refused("TRIAL_USED", "the trial was used before; order without it").on_field("trial")
}

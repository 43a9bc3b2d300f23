//! The least a payment can be, by the brand's provider and its own rules.

use ottery_kernel::{BrandId, Currency, Money};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use crate::app::Billing;
use crate::domain::minimum::{Instead, Minimums, TooSmall};
use crate::domain::provider::Route;
use crate::store;

/// What a caller is told about an amount that is too small.
fn too_small(small: TooSmall, instead: Instead) -> Problem {
    Problem::refused(instead.reason(), small.tell(instead)).with("amount", small.asked).with("min", small.least)
}

impl Billing {
    /// The least a payment can be in these currencies: what the provider takes, or more when the brand wants it so. Without a
    /// provider only the brand's rules count.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn minimums(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        currencies: &[Currency],
    ) -> Result<Minimums, Problem> {
        let rules = store::amount_rules::get(tx, brand).await?;
        let accounts = store::provider_account::list(tx, brand).await?;
        let least = |currency: &Currency| {
            let account =
                self.serving(&accounts, Route { currency: *currency, country: None, amount: None }).first().copied();
            let provider = account.and_then(|account| self.providers.get(&account.provider));
            let theirs = provider.as_ref().map_or(0, |provider| provider.minimum(*currency));
            (*currency, theirs.max(rules.of(*currency).charge_min))
        };
        Ok(currencies.iter().map(least).collect())
    }

    /// Whether a payment of `amount` can be asked for.
    ///
    /// # Errors
    /// When it is too small; the reason says what becomes of it instead.
    pub(crate) async fn check_minimum(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        amount: Money,
        instead: Instead,
    ) -> Result<(), Problem> {
        let least = self.minimums(tx, brand, &[amount.currency]).await?;
        least.check(amount).map_err(|small| too_small(small, instead))
    }

    /// The least a payment can be when `amount` is below it: then only the wallet pays it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn wallet_only_below(&self, brand: BrandId, amount: Money) -> Result<Option<Money>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let least = self.minimums(&mut tx, brand, &[amount.currency]).await?;
        Ok(least.check(amount).err().map(|small| small.least))
    }
}

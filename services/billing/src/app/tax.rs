//! Which tax customers pay now, for reading and for quotes.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;

use super::profile;
use crate::domain::offer::Offer;
use crate::domain::tax::{Book, Buyer, Decision};
use crate::store;
use crate::store::customer::Customer;

/// Adds the rules of where these buyers are.
///
/// # Errors
/// When the database fails.
pub async fn load_rules<'a>(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    book: &mut Book,
    buyers: impl Iterator<Item = Buyer<'a>>,
) -> sqlx::Result<()> {
    let mut countries: Vec<String> =
        buyers.map(|buyer| buyer.place.country).filter(|country| !book.has(country)).collect();
    countries.sort_unstable();
    countries.dedup();
    countries.retain(|country| !country.is_empty());
    if !countries.is_empty() {
        let rules = store::tax_rule::of(tx, brand, &countries).await?;
        book.add(countries, rules);
    }
    Ok(())
}

/// The taxes of some customers at one moment.
#[derive(Debug)]
pub struct Taxes {
    book: Book,
    customers: HashMap<AccountId, Customer>,
    now: DateTime<Utc>,
}

impl Taxes {
    /// Reads what decides on these customers' taxes; nothing is locked.
    ///
    /// # Errors
    /// When the brand is unknown or the database fails.
    pub async fn of(
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        accounts: &[AccountId],
        now: DateTime<Utc>,
    ) -> Result<Self, Problem> {
        let mut book = Book::new(&profile(tx, brand).await?);
        let found = store::customer::get_all(tx, accounts).await?;
        load_rules(tx, brand, &mut book, found.iter().map(|customer| customer.taxed_as(now))).await?;
        let customers = found.into_iter().map(|customer| (customer.account, customer)).collect();
        Ok(Self { book, customers, now })
    }

    /// How an offer is taxed for a customer; who never ordered anything is taxed as at home.
    #[must_use]
    pub fn decide(&self, account: AccountId, offer: &Offer) -> Decision {
        let buyer = self.customers.get(&account).map(|customer| customer.taxed_as(self.now)).unwrap_or_default();
        self.book.decide_offer(&buyer, offer, self.now)
    }
}

//! Customers as invoices show them. The row is the lock on a customer's money.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId};
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use crate::domain::invoice::Buyer;
use crate::domain::tax::{self, Place};

/// A customer of the brand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// Their account.
    pub account: AccountId,
    /// As invoices show them.
    pub buyer: Buyer,
    /// Who sent them; empty for nobody.
    pub referral_code: String,
    /// When their first invoice was settled.
    pub first_settled_at: Option<DateTime<Utc>>,
}

struct Row {
    account_id: Uuid,
    email: String,
    display_name: String,
    country: String,
    locale: String,
    referral_code: String,
    first_settled_at: Option<DateTime<Utc>>,
}

impl From<Row> for Customer {
    fn from(row: Row) -> Self {
        Self {
            account: AccountId::from_uuid(row.account_id),
            buyer: Buyer { name: row.display_name, email: row.email, country: row.country, locale: row.locale },
            referral_code: row.referral_code,
            first_settled_at: row.first_settled_at,
        }
    }
}

impl Customer {
    /// What they are, for tax.
    #[must_use]
    pub fn taxed_as(&self) -> tax::Buyer<'_> {
        tax::Buyer { place: Place::country(&self.buyer.country), business: None }
    }
}

/// Keeps what an order said of its customer and locks the row; the referral of the first order stays.
pub async fn put(tx: &mut PgTransaction<'_>, brand: BrandId, customer: &Customer) -> sqlx::Result<()> {
    let buyer = &customer.buyer;
    sqlx::query!(
        "INSERT INTO customer AS known (brand_id, account_id, email, display_name, country, locale, referral_code)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (brand_id, account_id) DO UPDATE
            SET email = EXCLUDED.email, display_name = EXCLUDED.display_name, country = EXCLUDED.country,
                locale = EXCLUDED.locale,
                referral_code = CASE WHEN known.referral_code = '' THEN EXCLUDED.referral_code ELSE known.referral_code END",
        brand.as_uuid(),
        customer.account.as_uuid(),
        buyer.email,
        buyer.name,
        buyer.country,
        buyer.locale,
        customer.referral_code,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// These customers, as far as they are known.
pub async fn get_all(tx: &mut PgTransaction<'_>, accounts: &[AccountId]) -> sqlx::Result<Vec<Customer>> {
    let ids: Vec<Uuid> = accounts.iter().map(AccountId::as_uuid).collect();
    let rows = sqlx::query_as!(
        Row,
        "SELECT account_id, email, display_name, country, locale, referral_code, first_settled_at
           FROM customer WHERE account_id = ANY($1)",
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// These customers, locked in the order of their ids.
pub async fn lock_all(tx: &mut PgTransaction<'_>, accounts: &[AccountId]) -> sqlx::Result<Vec<Customer>> {
    let ids: Vec<Uuid> = accounts.iter().map(AccountId::as_uuid).collect();
    let rows = sqlx::query_as!(
        Row,
        "SELECT account_id, email, display_name, country, locale, referral_code, first_settled_at
           FROM customer WHERE account_id = ANY($1) ORDER BY account_id FOR UPDATE",
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Notes when these customers' first invoice was settled.
pub async fn first_settled(tx: &mut PgTransaction<'_>, accounts: &[AccountId], at: DateTime<Utc>) -> sqlx::Result<()> {
    if accounts.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = accounts.iter().map(AccountId::as_uuid).collect();
    sqlx::query!(
        "UPDATE customer SET first_settled_at = $2 WHERE account_id = ANY($1) AND first_settled_at IS NULL",
        &ids,
        at
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

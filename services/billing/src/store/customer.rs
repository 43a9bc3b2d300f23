//! Customers as invoices show them. The row is the lock on a customer's money.

use chrono::{DateTime, Utc};
use ottery_kernel::{AccountId, BrandId};
use sqlx::postgres::PgTransaction;
use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::address::{Address, Source};
use crate::domain::invoice::Buyer;
use crate::domain::tax;
use crate::domain::vat::Standing;

/// A customer of the brand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// Their account.
    pub account: AccountId,
    /// As invoices show them.
    pub buyer: Buyer,
    /// Who said where they are.
    pub source: Source,
    /// What is known of their VAT number; none without one.
    pub standing: Option<Standing>,
    /// Who sent them; empty for nobody.
    pub referral_code: String,
    /// When their first invoice was settled.
    pub first_settled_at: Option<DateTime<Utc>>,
    /// Whether their renewals of one day are one invoice, when staff chose for them.
    pub consolidated: Option<bool>,
}

struct Row {
    account_id: Uuid,
    email: String,
    display_name: String,
    country: String,
    locale: String,
    referral_code: String,
    first_settled_at: Option<DateTime<Utc>>,
    consolidated: Option<bool>,
    address: Option<Json<Address>>,
    source: Option<String>,
    standing: Option<Json<Standing>>,
}

impl From<Row> for Customer {
    fn from(row: Row) -> Self {
        let address = row.address.map(|address| address.0);
        Self {
            account: AccountId::from_uuid(row.account_id),
            buyer: Buyer {
                name: row.display_name,
                email: row.email,
                country: address.as_ref().map_or(row.country, |address| address.country.clone()),
                locale: row.locale,
                address,
            },
            source: row.source.as_deref().and_then(Source::from_text).unwrap_or_default(),
            standing: row.standing.map(|standing| standing.0),
            referral_code: row.referral_code,
            first_settled_at: row.first_settled_at,
            consolidated: row.consolidated,
        }
    }
}

impl Customer {
    /// What they are, for tax.
    #[must_use]
    pub fn taxed_as(&self, now: DateTime<Utc>) -> tax::Buyer<'_> {
        tax::Buyer {
            place: self.buyer.place(),
            source: self.source,
            business: self.standing.as_ref().and_then(|standing| standing.proof(now)),
        }
    }

    /// The number nobody could validate in time, so that tax is charged at `now` although it may be a business's.
    #[must_use]
    pub fn unproved(&self, now: DateTime<Utc>) -> Option<&str> {
        match &self.standing {
            Some(Standing::Pending { until, .. }) if *until <= now => Some(self.buyer.vat_number()),
            Some(Standing::Pending { .. } | Standing::Valid(_) | Standing::Invalid { .. }) | None => None,
        }
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
        r#"SELECT c.account_id AS "account_id!", c.email AS "email!", c.display_name AS "display_name!",
                  c.country AS "country!", c.locale AS "locale!", c.referral_code AS "referral_code!", c.first_settled_at, c.consolidated,
                  a.content AS "address?: Json<Address>", a.source AS "source?", a.standing AS "standing?: Json<Standing>"
             FROM customer c LEFT JOIN billing_address a ON a.brand_id = c.brand_id AND a.account_id = c.account_id
            WHERE c.account_id = ANY($1)"#,
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
        r#"SELECT c.account_id AS "account_id!", c.email AS "email!", c.display_name AS "display_name!",
                  c.country AS "country!", c.locale AS "locale!", c.referral_code AS "referral_code!", c.first_settled_at, c.consolidated,
                  a.content AS "address?: Json<Address>", a.source AS "source?", a.standing AS "standing?: Json<Standing>"
             FROM customer c LEFT JOIN billing_address a ON a.brand_id = c.brand_id AND a.account_id = c.account_id
            WHERE c.account_id = ANY($1) ORDER BY c.account_id FOR UPDATE OF c"#,
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

/// Keeps what staff chose about the invoices of a customer; false when there is no such customer.
pub async fn set_consolidated(
    tx: &mut PgTransaction<'_>,
    account: AccountId,
    consolidated: Option<bool>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE customer SET consolidated = $2 WHERE brand_id = ottery_brand() AND account_id = $1",
        account.as_uuid(),
        consolidated,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

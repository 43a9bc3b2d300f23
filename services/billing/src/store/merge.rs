//! Moving what belongs to one customer to another one of the brand.

use ottery_kernel::{AccountId, BrandId, EntityId, InvoiceId, Money, SubscriptionId};
use sqlx::postgres::PgTransaction;

use super::{money, unreadable};
use crate::domain::ledger::Account;

/// What an account of the books of a customer holds, in the books of one seller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whose books.
    pub entity: EntityId,
    /// Receivable, wallet or unapplied.
    pub account: Account,
    /// Debits less credits.
    pub net: Money,
}

/// The subscriptions of a customer, by id.
pub async fn subscriptions(tx: &mut PgTransaction<'_>, account: AccountId) -> sqlx::Result<Vec<SubscriptionId>> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM subscription WHERE brand_id = ottery_brand() AND account_id = $1 ORDER BY id",
        account.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(SubscriptionId::from_uuid).collect())
}

/// Locks the invoices of a customer, then the payments.
pub async fn lock_money(tx: &mut PgTransaction<'_>, account: AccountId) -> sqlx::Result<Vec<InvoiceId>> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM invoice WHERE brand_id = ottery_brand() AND account_id = $1 ORDER BY id FOR UPDATE",
        account.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    sqlx::query!(
        "SELECT id FROM payment WHERE brand_id = ottery_brand() AND account_id = $1 ORDER BY id FOR UPDATE",
        account.as_uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(InvoiceId::from_uuid).collect())
}

/// The customer another one was merged into.
pub async fn merged_into(tx: &mut PgTransaction<'_>, account: AccountId) -> sqlx::Result<Option<AccountId>> {
    let found = sqlx::query_scalar!("SELECT merged_into FROM customer WHERE account_id = $1", account.as_uuid())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(found.flatten().map(AccountId::from_uuid))
}

/// What the books say of a customer, account by account; nothing that is even.
pub async fn standings(tx: &mut PgTransaction<'_>, account: AccountId) -> sqlx::Result<Vec<Standing>> {
    let codes: Vec<String> = [Account::Receivable(account), Account::Wallet(account), Account::Unapplied(account)]
        .iter()
        .map(ToString::to_string)
        .collect();
    let rows = sqlx::query!(
        r#"SELECT entity_id AS "entity_id!", code AS "code!", currency AS "currency!", sum(amount)::bigint AS "net!" FROM (
               SELECT entity_id, debit AS code, currency, amount_minor AS amount
                 FROM transfer WHERE brand_id = ottery_brand() AND debit = ANY($1) AND state = 'posted'
               UNION ALL
               SELECT entity_id, credit, currency, -amount_minor
                 FROM transfer WHERE brand_id = ottery_brand() AND credit = ANY($1) AND state = 'posted'
           ) AS moves GROUP BY entity_id, code, currency HAVING sum(amount) <> 0 ORDER BY entity_id, code, currency"#,
        &codes
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Standing {
                entity: EntityId::from_uuid(row.entity_id),
                account: row.code.parse().map_err(|_| unreadable("transfer", "account", &row.code))?,
                net: money("transfer", row.net, &row.currency)?,
            })
        })
        .collect()
}

/// Whether something in these books waits to be posted or voided.
pub async fn has_holds(tx: &mut PgTransaction<'_>, account: AccountId) -> sqlx::Result<bool> {
    let codes: Vec<String> = [Account::Receivable(account), Account::Wallet(account), Account::Unapplied(account)]
        .iter()
        .map(ToString::to_string)
        .collect();
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM transfer h
             WHERE h.brand_id = ottery_brand() AND (h.debit = ANY($1) OR h.credit = ANY($1)) AND h.state = 'pending'
               AND NOT EXISTS (SELECT FROM transfer r WHERE r.resolves = h.id)) AS "has_holds!""#,
        &codes
    )
    .fetch_one(&mut **tx)
    .await
}

/// Gives everything but subscriptions and the books to `to`, and closes `from`. Invoices keep the name they were issued to:
/// that is in their snapshot; credit notes are never changed at all. An instrument both have saved stays where it is and is
/// still charged for the subscriptions that use it.
pub async fn give(tx: &mut PgTransaction<'_>, brand: BrandId, from: AccountId, to: AccountId) -> sqlx::Result<()> {
    let (brand, from, to) = (brand.as_uuid(), from.as_uuid(), to.as_uuid());
    sqlx::query!("UPDATE invoice SET account_id = $3 WHERE brand_id = $1 AND account_id = $2", brand, from, to)
        .execute(&mut **tx)
        .await?;
    sqlx::query!("UPDATE payment SET account_id = $3 WHERE brand_id = $1 AND account_id = $2", brand, from, to)
        .execute(&mut **tx)
        .await?;
    sqlx::query!("UPDATE refund SET account_id = $3 WHERE brand_id = $1 AND account_id = $2", brand, from, to)
        .execute(&mut **tx)
        .await?;
    sqlx::query!("UPDATE orders SET account_id = $3 WHERE brand_id = $1 AND account_id = $2", brand, from, to)
        .execute(&mut **tx)
        .await?;
    sqlx::query!("UPDATE wallet_credit SET account_id = $3 WHERE brand_id = $1 AND account_id = $2", brand, from, to)
        .execute(&mut **tx)
        .await?;
    sqlx::query!("UPDATE gift_code SET redeemed_by = $3 WHERE brand_id = $1 AND redeemed_by = $2", brand, from, to)
        .execute(&mut **tx)
        .await?;
    sqlx::query!("UPDATE redemption SET account_id = $3 WHERE brand_id = $1 AND account_id = $2", brand, from, to)
        .execute(&mut **tx)
        .await?;
    sqlx::query!(
        "UPDATE payment_method m SET account_id = $3,
                is_default = m.is_default AND NOT EXISTS (SELECT FROM payment_method d
                    WHERE d.brand_id = $1 AND d.account_id = $3 AND d.is_default)
          WHERE m.brand_id = $1 AND m.account_id = $2
            AND NOT EXISTS (SELECT FROM payment_method d WHERE d.brand_id = $1 AND d.account_id = $3
                    AND d.provider_account_id = m.provider_account_id AND d.token_hash = m.token_hash)",
        brand,
        from,
        to
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!("UPDATE dispute SET account_id = $3 WHERE brand_id = $1 AND account_id = $2", brand, from, to)
        .execute(&mut **tx)
        .await?;
    sqlx::query!("UPDATE payment_setup SET account_id = $3 WHERE brand_id = $1 AND account_id = $2", brand, from, to)
        .execute(&mut **tx)
        .await?;
    sqlx::query!(
        "UPDATE customer t SET first_settled_at = least(t.first_settled_at, f.first_settled_at) FROM customer f
          WHERE t.brand_id = $1 AND t.account_id = $3 AND f.brand_id = $1 AND f.account_id = $2",
        brand,
        from,
        to
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!("UPDATE customer SET merged_into = $3 WHERE brand_id = $1 AND account_id = $2", brand, from, to)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// What a billing address leaves behind when it was put to another customer: the row, and the questions about its VAT number,
/// whose answers are for the new one.
pub async fn give_address(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    from: AccountId,
    to: AccountId,
) -> sqlx::Result<()> {
    let (brand, from, to) = (brand.as_uuid(), from.as_uuid(), to.as_uuid());
    sqlx::query!("DELETE FROM billing_address WHERE brand_id = $1 AND account_id = $2", brand, from)
        .execute(&mut **tx)
        .await?;
    sqlx::query!("UPDATE vat_check SET account_id = $3 WHERE brand_id = $1 AND account_id = $2", brand, from, to)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

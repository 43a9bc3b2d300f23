//! Addresses that wait for coins, the prices told for them, and what was seen there.

use chrono::{DateTime, Utc};
use ottery_kernel::{BrandId, InvoiceId, Money, PaymentId};
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::{money, unreadable};
use crate::domain::coin::{Address, Change, Coin, CoinAmount, Deposit, Lock, Place, Price, Transfer};
use crate::domain::provider::ProviderAccountId;

/// A deposit as stored, with all that is known of it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its id.
    pub id: Uuid,
    /// The payment it pays now.
    pub payment: PaymentId,
    /// The only invoice of that payment; none where it pays several.
    pub invoice: Option<InvoiceId>,
    /// By whose key the address was made.
    pub provider_account: ProviderAccountId,
    /// Which network the address is of.
    pub network: String,
    /// Its number in the wallet.
    pub index: u32,
    /// Where coins go.
    pub address: String,
    /// Names its page.
    pub token: String,
    /// What is paid for, as the page and the payer's wallet show it.
    pub title: String,
    /// Where the page leads back to.
    pub return_url: String,
    /// The newest block of the last look.
    pub tip: u64,
    /// When that was.
    pub looked_at: Option<DateTime<Utc>>,
    /// Prices, transfers, and what is owed.
    pub deposit: Deposit,
}

/// A deposit to be made.
#[derive(Clone, Debug)]
pub struct New<'a> {
    /// Its id.
    pub id: Uuid,
    /// What it pays.
    pub payment: PaymentId,
    /// The only invoice of that payment; none where it pays several.
    pub invoice: Option<InvoiceId>,
    /// By whose key.
    pub provider_account: ProviderAccountId,
    /// Which coin.
    pub coin: Coin,
    /// Which network.
    pub network: &'a str,
    /// The wallet.
    pub key_hash: [u8; 32],
    /// The number of the address in it.
    pub index: u32,
    /// The address.
    pub address: &'a Address,
    /// Names its page.
    pub token: &'a str,
    /// What is paid for.
    pub title: &'a str,
    /// Where the page leads back to.
    pub return_url: &'a str,
    /// What is owed.
    pub owed: Money,
}

/// Takes the next number of a wallet. Its row is held until the transaction ends, so numbers are given in order, and one whose
/// transaction is rolled back is given again: no gap, which wallets stop looking at, and none twice.
pub async fn take_index(tx: &mut PgTransaction<'_>, key_hash: &[u8; 32]) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"INSERT INTO coin_index (key_hash, next_index) VALUES ($1, 1)
           ON CONFLICT (key_hash) DO UPDATE SET next_index = coin_index.next_index + 1
           RETURNING next_index - 1 AS "index!""#,
        key_hash.as_slice()
    )
    .fetch_one(&mut **tx)
    .await
}

/// Writes a deposit down.
pub async fn insert(tx: &mut PgTransaction<'_>, brand: BrandId, new: &New<'_>, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO coin_deposit (id, brand_id, payment_id, invoice_id, provider_account_id, coin, network, key_hash,
                                   address_index, address, script, token, title, return_url, owed_minor, currency, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        new.id,
        brand.as_uuid(),
        new.payment.as_uuid(),
        new.invoice.map(|id| id.as_uuid()),
        new.provider_account.as_uuid(),
        new.coin.code(),
        new.network,
        new.key_hash.as_slice(),
        i64::from(new.index),
        new.address.address,
        new.address.script,
        new.token,
        new.title,
        new.return_url,
        new.owed.minor,
        new.owed.currency.code(),
        now,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A new try of the same invoice takes the address over. The caller holds its lock.
pub async fn take_over(tx: &mut PgTransaction<'_>, id: Uuid, new: &New<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE coin_deposit SET payment_id = $2, owed_minor = $3, title = $4, return_url = $5 WHERE id = $1",
        id,
        new.payment.as_uuid(),
        new.owed.minor,
        new.title,
        new.return_url
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A price was told.
pub async fn hold(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    id: Uuid,
    lock: &Lock,
    sources: &[String],
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO coin_lock (brand_id, deposit_id, held_from, held_until, price, due_units, sources)
         VALUES ($1, $2, $3, $4, ($5::text)::numeric, ($6::text)::numeric, $7)",
        brand.as_uuid(),
        id,
        lock.from,
        lock.until,
        lock.price.to_string(),
        lock.due.units.to_string(),
        sources
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// By what a deposit is found.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// Its id.
    Id(Uuid),
    /// The payment it pays now.
    Payment(PaymentId),
    /// Its page.
    Token(&'a str),
    /// The invoice and the wallet, as long as it is not settled.
    Invoice(InvoiceId, &'a [u8; 32]),
}

/// A deposit, as it is; the newest when there are several.
pub async fn find(tx: &mut PgTransaction<'_>, by: By<'_>) -> sqlx::Result<Option<Stored>> {
    let (mut id, mut payment, mut token, mut invoice, mut key_hash) = (None, None, None, None, None);
    match by {
        By::Id(given) => id = Some(given),
        By::Payment(given) => payment = Some(given.as_uuid()),
        By::Token(given) => token = Some(given),
        By::Invoice(given, key) => (invoice, key_hash) = (Some(given.as_uuid()), Some(key.as_slice())),
    }
    let row = sqlx::query!(
        "SELECT id, payment_id, invoice_id, provider_account_id, coin, network, address_index, address, token, title,
                return_url, owed_minor, currency, settled_at, tip_height, looked_at
           FROM coin_deposit
          WHERE brand_id = ottery_brand() AND ($1::uuid IS NULL OR id = $1) AND ($2::uuid IS NULL OR payment_id = $2)
            AND ($3::text IS NULL OR token = $3)
            AND ($4::uuid IS NULL OR invoice_id = $4 AND key_hash = $5 AND settled_at IS NULL)
          ORDER BY id DESC LIMIT 1",
        id,
        payment,
        token,
        invoice,
        key_hash,
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let coin = Coin::from_code(&row.coin).ok_or_else(|| unreadable("coin_deposit", "coin", &row.coin))?;
    let deposit = Deposit {
        coin,
        owed: money("coin_deposit", row.owed_minor, &row.currency)?,
        locks: locks(tx, row.id, coin).await?,
        transfers: transfers(tx, row.id, coin).await?,
        is_settled: row.settled_at.is_some(),
    };
    Ok(Some(Stored {
        id: row.id,
        payment: PaymentId::from_uuid(row.payment_id),
        invoice: row.invoice_id.map(InvoiceId::from_uuid),
        provider_account: ProviderAccountId::from_uuid(row.provider_account_id),
        network: row.network,
        index: u32::try_from(row.address_index)
            .map_err(|_| unreadable("coin_deposit", "address_index", row.address_index))?,
        address: row.address,
        token: row.token,
        title: row.title,
        return_url: row.return_url,
        tip: row.tip_height.cast_unsigned(),
        looked_at: row.looked_at,
        deposit,
    }))
}

/// Holds a deposit until the transaction ends; lock its payment first. None when there is none.
pub async fn lock(tx: &mut PgTransaction<'_>, id: Uuid) -> sqlx::Result<Option<Stored>> {
    sqlx::query!("SELECT id FROM coin_deposit WHERE id = $1 FOR UPDATE", id).fetch_optional(&mut **tx).await?;
    find(tx, By::Id(id)).await
}

async fn locks(tx: &mut PgTransaction<'_>, id: Uuid, coin: Coin) -> sqlx::Result<Vec<Lock>> {
    let rows = sqlx::query!(
        r#"SELECT held_from, held_until, price::text AS "price!", due_units::text AS "due_units!" FROM coin_lock
            WHERE brand_id = ottery_brand() AND deposit_id = $1 ORDER BY held_from"#,
        id
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Lock {
                price: price("coin_lock", &row.price)?,
                due: amount("coin_lock", &row.due_units, coin)?,
                from: row.held_from,
                until: row.held_until,
            })
        })
        .collect()
}

async fn transfers(tx: &mut PgTransaction<'_>, id: Uuid, coin: Coin) -> sqlx::Result<Vec<Transfer>> {
    let rows = sqlx::query!(
        r#"SELECT reference, units::text AS "units!", place, height, block, seen_at, market::text AS market, booked_at
             FROM coin_transfer WHERE brand_id = ottery_brand() AND deposit_id = $1 ORDER BY seen_at, reference"#,
        id
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let place = match (row.place.as_str(), row.height, row.block) {
                ("mempool", None, None) => Place::Mempool,
                ("gone", None, None) => Place::Gone,
                ("mined", Some(height), Some(block)) => Place::Mined { height: height.cast_unsigned(), block },
                _ => return Err(unreadable("coin_transfer", "place", &row.place)),
            };
            Ok(Transfer {
                reference: row.reference,
                amount: amount("coin_transfer", &row.units, coin)?,
                place,
                seen_at: row.seen_at,
                market: row.market.map(|market| price("coin_transfer", &market)).transpose()?,
                is_booked: row.booked_at.is_some(),
            })
        })
        .collect()
}

fn amount(table: &'static str, units: &str, coin: Coin) -> sqlx::Result<CoinAmount> {
    Ok(CoinAmount::new(units.parse().map_err(|_| unreadable(table, "units", units))?, coin))
}

fn price(table: &'static str, text: &str) -> sqlx::Result<Price> {
    text.parse().map_err(|_| unreadable(table, "price", text))
}

/// Writes down what a look has changed. The caller holds the deposit.
pub async fn apply(tx: &mut PgTransaction<'_>, brand: BrandId, id: Uuid, changes: &[Change]) -> sqlx::Result<()> {
    for change in changes {
        match change {
            Change::New(transfer) => {
                let (place, height, block) = placed(&transfer.place);
                sqlx::query!(
                    "INSERT INTO coin_transfer (brand_id, deposit_id, reference, units, place, height, block, seen_at, market)
                     VALUES ($1, $2, $3, ($4::text)::numeric, $5, $6, $7, $8, ($9::text)::numeric)",
                    brand.as_uuid(),
                    id,
                    transfer.reference,
                    transfer.amount.units.to_string(),
                    place,
                    height,
                    block,
                    transfer.seen_at,
                    transfer.market.map(|market| market.to_string()),
                )
                .execute(&mut **tx)
                .await?;
            }
            Change::Moved { reference, place } => {
                let (place, height, block) = placed(place);
                sqlx::query!(
                    "UPDATE coin_transfer SET place = $3, height = $4, block = $5
                      WHERE brand_id = ottery_brand() AND deposit_id = $1 AND reference = $2",
                    id,
                    reference,
                    place,
                    height,
                    block
                )
                .execute(&mut **tx)
                .await?;
            }
        }
    }
    Ok(())
}

fn placed(place: &Place) -> (&'static str, Option<i64>, Option<&str>) {
    match place {
        Place::Mempool => ("mempool", None, None),
        Place::Mined { height, block } => ("mined", Some(height.cast_signed()), Some(block.as_str())),
        Place::Gone => ("gone", None, None),
    }
}

/// What a coin cost when transfers were seen for which no price was held; what is known already stays.
pub async fn value(tx: &mut PgTransaction<'_>, id: Uuid, references: &[String], market: Price) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE coin_transfer SET market = ($3::text)::numeric
          WHERE brand_id = ottery_brand() AND deposit_id = $1 AND reference = ANY($2) AND market IS NULL",
        id,
        references,
        market.to_string()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// These transfers are in the books.
pub async fn mark_booked(
    tx: &mut PgTransaction<'_>,
    id: Uuid,
    references: &[String],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE coin_transfer SET booked_at = $3
          WHERE brand_id = ottery_brand() AND deposit_id = $1 AND reference = ANY($2) AND booked_at IS NULL",
        id,
        references,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A look is over. `settled` is when the payment was booked, if it was now.
pub async fn looked(
    tx: &mut PgTransaction<'_>,
    id: Uuid,
    tip: u64,
    settled: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE coin_deposit SET tip_height = $2, looked_at = $3, settled_at = coalesce(settled_at, $4) WHERE id = $1",
        id,
        tip.cast_signed(),
        now,
        settled
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How many addresses of a wallet in a row, up to the newest, were never paid to: beyond what wallets look ahead, they see no payment.
pub async fn unpaid_in_a_row(tx: &mut PgTransaction<'_>, key_hash: &[u8; 32]) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT coalesce(max(d.address_index), -1)
                - coalesce(max(d.address_index) FILTER (WHERE EXISTS (SELECT FROM coin_transfer t
                      WHERE t.brand_id = d.brand_id AND t.deposit_id = d.id)), -1) AS "count!"
             FROM coin_deposit d WHERE d.brand_id = ottery_brand() AND d.key_hash = $1"#,
        key_hash.as_slice()
    )
    .fetch_one(&mut **tx)
    .await
}

//! Many subscriptions, each with a paid invoice and its postings, put into a running system in sets.

use anyhow::Context;
use billing::domain::coupon::Applied;
use billing::domain::invoice::{Buyer, Snapshot};
use billing::domain::line::{Line, Totals};
use billing::domain::offer::Offer;
use billing::domain::profile::Profile;
use billing::domain::tax::Tax;
use ottery_kernel::{BrandId, InvoiceId};
use ottery_kit::db::{self, DatabaseSettings};
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use sqlx::{Connection as _, Executor as _};
use uuid::Uuid;

use crate::bench::renewals::offer;
use crate::demo::customer::Customer;

/// Invoices of each customer who looks at them, per size: more than a page shows.
pub const INVOICES_EACH: u32 = 40;

/// Billing's database of the system.
pub struct Books {
    admin: PgConnection,
    profile: Profile,
    filled: u32,
    /// Invoices of the customers who look, one list each.
    invoices: Vec<Vec<InvoiceId>>,
}

impl Books {
    /// Connects as the administrator.
    ///
    /// # Errors
    /// The database does not answer, or billing has not heard of the brand.
    pub async fn open(settings: &DatabaseSettings, brand: &str) -> anyhow::Result<Self> {
        let database = settings.database_name(billing::NAME);
        let mut admin = db::admin_connection(settings, Some(&database)).await?;
        let brand: BrandId = brand.parse()?;
        let Json(profile): Json<Profile> = sqlx::query_scalar("SELECT content FROM brand_profile WHERE brand_id = $1")
            .bind(brand.as_uuid())
            .fetch_one(&mut admin)
            .await
            .context("billing has not heard of the brand")?;
        // UUIDs as ids have them, a millisecond apart: the last twelve digits tell things of one customer apart.
        admin
            .execute(
                "CREATE FUNCTION pg_temp.id(thing integer, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
                     SELECT (lpad(to_hex(1764547200000 + n), 12, '0') || '70008000' || lpad(to_hex(thing), 12, '0'))::uuid $$",
            )
            .await?;
        Ok(Self { admin, profile, filled: 0, invoices: Vec::new() })
    }

    /// Ends the connection.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn close(self) -> anyhow::Result<()> {
        Ok(self.admin.close().await?)
    }

    /// Some invoice of the customer in that place.
    pub fn invoice_of(&self, customer: usize, n: usize) -> Option<InvoiceId> {
        let own = self.invoices.get(customer)?;
        own.get(n % own.len().max(1)).copied()
    }

    /// Adds subscriptions until there are so many.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn grow_to(&mut self, subscriptions: u32, customers: &[Customer]) -> anyhow::Result<()> {
        let (from, to) = (std::mem::replace(&mut self.filled, subscriptions), subscriptions);
        let accounts: Vec<Uuid> = customers
            .iter()
            .map(|customer| Ok(customer.account.parse::<ottery_kernel::AccountId>()?.as_uuid()))
            .collect::<anyhow::Result<_>>()?;
        let count = u32::try_from(accounts.len())?;
        let every = ((to - from) / (count * INVOICES_EACH)).max(1);
        sqlx::query(
            "CREATE TEMP TABLE seed AS
             SELECT n, pg_temp.id(1, n) AS subscription, pg_temp.id(3, n) AS \"order\", pg_temp.id(4, n) AS invoice,
                    CASE WHEN n % $3::bigint = 0 THEN ($4::uuid[])[1 + n / $3::bigint % cardinality($4::uuid[])]
                         ELSE pg_temp.id(2, n) END AS account
               FROM generate_series($1::bigint, $2::bigint - 1) AS n",
        )
        .bind(i64::from(from))
        .bind(i64::from(to))
        .bind(i64::from(every))
        .bind(&accounts)
        .execute(&mut self.admin)
        .await
        .context("drawing up the subscriptions")?;
        self.fill().await?;
        self.invoices = Vec::new();
        for account in accounts {
            let own: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM invoice WHERE account_id = $1 ORDER BY id")
                .bind(account)
                .fetch_all(&mut self.admin)
                .await?;
            self.invoices.push(own.into_iter().map(InvoiceId::from_uuid).collect());
        }
        for statement in ["DROP TABLE seed", "VACUUM ANALYZE", "CHECKPOINT"] {
            self.admin.execute(statement).await?;
        }
        Ok(())
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        let Self { admin, profile, .. } = self;
        let (brand, entity, offer) = (profile.brand.as_uuid(), profile.entity.id.as_uuid(), offer());
        sqlx::query(
            "INSERT INTO customer (brand_id, account_id, email, display_name, country, locale, first_settled_at)
             SELECT DISTINCT $1::uuid, account, 'customer@example.com', 'Customer', 'DE', 'en', now() FROM seed
             ON CONFLICT DO NOTHING",
        )
        .bind(brand)
        .execute(&mut *admin)
        .await
        .context("filling customers")?;
        sqlx::query(
            "INSERT INTO subscription (id, brand_id, account_id, order_id, state, state_since, offer, periods_paid, period_start,
                                       period_end, paid_through, created_at, version, entitlement_version)
             SELECT subscription, $1, account, \"order\", 'active', now(), $2, 1, now(), now() + interval '1 month',
                    now() + interval '1 month', now(), 1, 1 FROM seed",
        )
        .bind(brand)
        .bind(Json(&offer))
        .execute(&mut *admin)
        .await
        .context("filling subscriptions")?;
        sqlx::query(
            "INSERT INTO due (subscription_id, brand_id, due_at) SELECT subscription, $1, 'infinity' FROM seed",
        )
        .bind(brand)
        .execute(&mut *admin)
        .await
        .context("filling due rows")?;
        invoices(admin, profile, &offer).await?;
        let (net, tax) = split(profile, &offer)?;
        for (debit, credit, minor, kind) in [
            ("'receivable:acc_' || code", "'revenue'", net, "invoice.finalised"),
            ("'receivable:acc_' || code", "'tax'", tax, "invoice.finalised"),
            ("'provider:sandbox'", "'receivable:acc_' || code", net + tax, "payment.opened"),
        ] {
            let statement = format!(
                "INSERT INTO transfer (id, brand_id, entity_id, debit, credit, amount_minor, currency, state, kind, reference_id,
                                       booked_at)
                 SELECT gen_random_uuid(), $1, $2, {debit}, {credit}, $3, $4, 'posted', $5,
                        'inv_' || replace(invoice::text, '-', ''), now()
                   FROM (SELECT invoice, replace(account::text, '-', '') AS code FROM seed) AS seed WHERE $3 > 0"
            );
            sqlx::query(sqlx::AssertSqlSafe(statement))
                .bind(brand)
                .bind(entity)
                .bind(minor)
                .bind(offer.price.currency.code())
                .bind(kind)
                .execute(&mut *admin)
                .await
                .context("filling the books")?;
        }
        Ok(())
    }
}

fn split(profile: &Profile, offer: &Offer) -> anyhow::Result<(i64, i64)> {
    let line = Line::priced("x", offer.price, &Tax::contained(profile.tax_rate_bp), None)?;
    Ok((line.amount.minor - line.tax.minor, line.tax.minor))
}

/// Paid invoices with the numbers that come next.
async fn invoices(admin: &mut PgConnection, profile: &Profile, offer: &Offer) -> anyhow::Result<()> {
    let buyer = Buyer {
        name: "Customer".into(),
        email: "customer@example.com".into(),
        country: "DE".into(),
        locale: "en".into(),
        address: None,
    };
    let snapshot = Snapshot {
        seller: profile.entity.clone(),
        buyer,
        brand_name: profile.name.clone(),
        tax_name: profile.tax_name.clone(),
        offer: Some(offer.clone()),
        applied: Applied::default(),
        tax: None,
    };
    let description = format!("{}, {}", offer.plan_name, offer.term);
    let lines = vec![Line::priced(description, offer.price, &Tax::contained(profile.tax_rate_bp), None)?];
    let totals = Totals::of(offer.price.currency, &lines)?;
    let first: i64 = sqlx::query_scalar(
        "INSERT INTO invoice_number AS known (entity_id, series, year, next)
         VALUES ($1, $2, extract(year FROM now())::integer, 1 + (SELECT count(*) FROM seed))
         ON CONFLICT (entity_id, series, year) DO UPDATE SET next = known.next + EXCLUDED.next - 1
         RETURNING next - (SELECT count(*) FROM seed)",
    )
    .bind(profile.entity.id.as_uuid())
    .bind(&profile.entity.series)
    .fetch_one(&mut *admin)
    .await
    .context("taking numbers")?;
    sqlx::query(
        "INSERT INTO invoice (id, brand_id, account_id, subscription_id, order_id, purpose, state, entity_id, series, number_year,
                              number_seq, currency, subtotal_minor, tax_minor, total_minor, lines, snapshot, period_start,
                              period_end, issued_at, due_at, closed_at)
         SELECT invoice, $1, account, subscription, \"order\", 'first', 'closed', $2, $3, extract(year FROM now())::integer,
                $4 - 1 + row_number() OVER (ORDER BY n), $5, $6, $7, $6 + $7, $8, $9, now(),
                now() + interval '1 month', now(), now(), now()
           FROM seed",
    )
    .bind(profile.brand.as_uuid())
    .bind(profile.entity.id.as_uuid())
    .bind(&profile.entity.series)
    .bind(first)
    .bind(offer.price.currency.code())
    .bind(totals.subtotal.minor)
    .bind(totals.tax.minor)
    .bind(Json(&lines))
    .bind(Json(&snapshot))
    .execute(&mut *admin)
    .await
    .context("filling invoices")?;
    sqlx::query(
        "INSERT INTO allocation (id, brand_id, invoice_id, source, source_id, amount_minor, currency, created_at)
         SELECT pg_temp.id(5, n), $1, invoice, 'wallet', 'inv_' || replace(invoice::text, '-', ''), $2, $3, now() FROM seed",
    )
    .bind(profile.brand.as_uuid())
    .bind(totals.total.minor)
    .bind(offer.price.currency.code())
    .execute(&mut *admin)
    .await
    .context("filling allocations")?;
    Ok(())
}

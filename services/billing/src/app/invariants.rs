//! What must be true of billing's data at any moment; `ottery doctor` asks.

use std::collections::BTreeMap;

use ottery_kernel::EntityId;
use ottery_kit::db::{self, DatabaseSettings, Scope};
use ottery_kit::doctor::Finding;
use sqlx::postgres::PgTransaction;
use sqlx::{AssertSqlSafe, Executor as _, PgPool};
use uuid::Uuid;

use crate::app::payment;
use crate::domain::trial_balance::{Month, TrialBalance};
use crate::store;

/// How many numbers a series used.
type Used = BTreeMap<(Uuid, String, i32), (i64, i64)>;

/// Checks every brand, one after the other, with the application's own rights whoever asks: an administrator would see the
/// rows of all brands in each.
///
/// # Errors
/// When the database fails.
pub async fn check(pool: &PgPool) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut used = Used::new();
    let role = DatabaseSettings::role_name(crate::NAME);
    for brand in store::profile::brands(pool).await? {
        let mut tx = db::begin(pool, Scope::Brand(brand)).await?;
        tx.execute(AssertSqlSafe(format!("SET LOCAL ROLE \"{role}\""))).await?;
        let mut found = ledger(&mut tx).await?;
        found.extend(invoices(&mut tx).await?);
        found.extend(groups(&mut tx).await?);
        found.extend(work(&mut tx).await?);
        found.extend(wallets(&mut tx).await?);
        found.extend(top_ups(&mut tx).await?);
        found.extend(gifts(&mut tx).await?);
        found.extend(closed_months(&mut tx).await?);
        found.extend(deferrals(&mut tx).await?);
        found.extend(coupons(&mut tx).await?);
        found.extend(stock(&mut tx).await?);
        found.extend(payment::invariants(&mut tx, brand).await?);
        findings
            .extend(found.into_iter().map(|(name, detail)| Finding::error(name, format!("brand {brand}: {detail}"))));
        numbers(&mut tx, &mut used).await?;
    }
    findings.extend(gaps(pool, &used).await?);
    let stuck = store::time_machine_run::stuck(pool).await?;
    if stuck > 0 {
        let detail = format!(
            "{stuck} runs of the time machine wait and nobody works on them: does a process of billing run, and does its \
             scratch database exist (`ottery migrate` makes it)?"
        );
        findings.push(Finding::warning("time_machine.stuck", detail));
    }
    Ok(findings)
}

type Found = Vec<(String, String)>;

fn found(name: &str, detail: String) -> (String, String) {
    (name.to_owned(), detail)
}

async fn ledger(tx: &mut PgTransaction<'_>) -> sqlx::Result<Found> {
    let mut findings = Found::new();
    let mut sums: BTreeMap<String, i128> = BTreeMap::new();
    for balance in store::ledger::balances(tx).await? {
        let net = i128::from(balance.debits.minor) - i128::from(balance.credits.minor);
        *sums.entry(balance.debits.currency.to_string()).or_default() += net;
        let is_pocket = balance.account.starts_with("wallet:") || balance.account.starts_with("credit:");
        if is_pocket && net > 0 {
            findings.push(found(
                "ledger.wallet",
                format!("{} is overdrawn by {net} {}", balance.account, balance.debits.currency),
            ));
        }
    }
    for (currency, sum) in sums.into_iter().filter(|(_, sum)| *sum != 0) {
        findings.push(found("ledger.zero_sum", format!("debits and credits in {currency} differ by {sum}")));
    }
    let twisted = sqlx::query_scalar!(
        r#"SELECT r.id FROM transfer r JOIN transfer h ON h.id = r.resolves
            WHERE h.state <> 'pending' OR (h.debit, h.credit, h.amount_minor, h.currency) <> (r.debit, r.credit, r.amount_minor, r.currency)
            LIMIT 20"#
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(
        twisted
            .into_iter()
            .map(|id| found("ledger.hold", format!("transfer {id} resolves something else than its hold"))),
    );
    let forgotten = sqlx::query_scalar!(
        "SELECT h.id FROM transfer h WHERE h.state = 'pending'
            AND h.deadline < coalesce((SELECT c.now FROM brand_clock c WHERE c.brand_id = h.brand_id), now())
            AND NOT EXISTS (SELECT FROM transfer r WHERE r.resolves = h.id) LIMIT 20"
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(forgotten.into_iter().map(|id| found("ledger.hold", format!("hold {id} is past its deadline"))));
    Ok(findings)
}

async fn invoices(tx: &mut PgTransaction<'_>) -> sqlx::Result<Found> {
    let mut findings = Found::new();
    let unsettled = sqlx::query!(
        r#"SELECT i.id, i.state, i.total_minor, coalesce(sum(a.amount_minor), 0)::bigint AS "paid!"
             FROM invoice i LEFT JOIN allocation a ON a.brand_id = i.brand_id AND a.invoice_id = i.id
            GROUP BY i.id
           HAVING (i.state = 'closed') <> (coalesce(sum(a.amount_minor), 0) = i.total_minor AND i.state NOT IN ('draft', 'void', 'uncollectible'))
            LIMIT 20"#
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(unsettled.into_iter().map(|row| {
        found(
            "invoice.settled",
            format!("invoice {} is {} with {} of {} paid", row.id, row.state, row.paid, row.total_minor),
        )
    }));
    let unbooked = sqlx::query_scalar!(
        "SELECT i.id FROM invoice i
          WHERE i.issued_at IS NOT NULL AND i.total_minor <> (
              SELECT coalesce(sum(t.amount_minor), 0) FROM transfer t
               WHERE t.brand_id = i.brand_id AND t.kind = 'invoice.finalised'
                 AND t.reference_id = 'inv_' || replace(i.id::text, '-', '')) LIMIT 20"
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(
        unbooked
            .into_iter()
            .map(|id| found("invoice.booked", format!("invoice {id} is not in the books with its total"))),
    );
    // What a customer owes in the books is what their open invoices still ask for: issuing, paying, crediting, giving up and
    // moving an account all keep the two together.
    let owed = sqlx::query!(
        r#"SELECT account AS "account!", currency AS "currency!", sum(amount)::bigint AS "amount!" FROM (
               SELECT 'receivable:acc_' || replace(i.account_id::text, '-', '') AS account, i.currency,
                      i.total_minor - coalesce((SELECT sum(a.amount_minor) FROM allocation a
                                                 WHERE a.brand_id = i.brand_id AND a.invoice_id = i.id), 0) AS amount
                 FROM invoice i WHERE i.state = 'open' AND i.issued_at IS NOT NULL
               UNION ALL SELECT debit, currency, -amount_minor FROM transfer WHERE state = 'posted' AND debit LIKE 'receivable:%'
               UNION ALL SELECT credit, currency, amount_minor FROM transfer WHERE state = 'posted' AND credit LIKE 'receivable:%'
           ) AS sides GROUP BY account, currency HAVING sum(amount) <> 0 LIMIT 20"#
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(owed.into_iter().map(|row| {
        found(
            "invoice.receivable",
            format!("open invoices and the books of {} differ by {} {}", row.account, row.amount, row.currency),
        )
    }));
    // A pro forma is in no books, and nothing is paid on it.
    let early = sqlx::query_scalar!(
        "SELECT i.id FROM invoice i WHERE i.issued_at IS NULL AND (
             EXISTS (SELECT FROM allocation a WHERE a.brand_id = i.brand_id AND a.invoice_id = i.id)
             OR EXISTS (SELECT FROM transfer t WHERE t.brand_id = i.brand_id
                           AND t.reference_id = 'inv_' || replace(i.id::text, '-', ''))) LIMIT 20"
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(
        early
            .into_iter()
            .map(|id| found("invoice.proforma", format!("invoice {id} was never issued and is in the books"))),
    );
    let miscredited = sqlx::query_scalar!(
        "SELECT c.id FROM credit_note c
          WHERE c.amount_minor < coalesce((SELECT sum(a.amount_minor) FROM allocation a
                 WHERE a.brand_id = c.brand_id AND a.source = 'credit_note' AND a.source_id = 'crn_' || replace(c.id::text, '-', '')), 0)
             OR c.amount_minor <> (SELECT coalesce(sum(t.amount_minor), 0) FROM transfer t
                 WHERE t.brand_id = c.brand_id AND t.kind = 'credit_note.issued'
                   AND t.reference_id = 'crn_' || replace(c.id::text, '-', '')) LIMIT 20"
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(
        miscredited
            .into_iter()
            .map(|id| found("credit_note.booked", format!("credit note {id} is not in the books with its amount"))),
    );
    let twice = sqlx::query!(
        r#"SELECT a.source_id FROM allocation a WHERE a.source = 'payment' GROUP BY a.brand_id, a.source_id
           HAVING sum(a.amount_minor) <> (
                SELECT coalesce(sum(t.amount_minor), 0) FROM transfer t
                 WHERE t.brand_id = a.brand_id AND t.kind = 'payment.settled' AND t.reference_id = a.source_id
                   AND t.credit LIKE 'receivable:%') LIMIT 20"#
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(twice.into_iter().map(|row| {
        found(
            "invoice.settlement",
            format!("the books say another amount of payment {} than the invoices it paid", row.source_id),
        )
    }));
    Ok(findings)
}

/// The parts of a consolidated invoice are whole: numbered from 1, of one customer, with one number and one day of issue, which no
/// other invoice has; what was taken back of it has its credit note.
async fn groups(tx: &mut PgTransaction<'_>) -> sqlx::Result<Found> {
    let mut findings = Found::new();
    let torn = sqlx::query_scalar!(
        r#"SELECT group_id AS "group_id!" FROM invoice WHERE group_id IS NOT NULL GROUP BY group_id
           HAVING count(*) < 2 OR count(*) <> max(part) OR count(DISTINCT (
                account_id, currency, entity_id, series, number_year, number_seq, issued_at, due_at)) <> 1 LIMIT 20"#
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(
        torn.into_iter().map(|id| found("invoice.parts", format!("the parts of consolidated invoice {id} do not fit"))),
    );
    let shared = sqlx::query!(
        r#"SELECT p.series AS "series!", p.number_year AS "year!", p.number_seq AS "sequence!" FROM invoice p
             JOIN invoice o ON o.entity_id = p.entity_id AND o.series = p.series AND o.number_year = p.number_year
                           AND o.number_seq = p.number_seq AND o.group_id IS DISTINCT FROM p.group_id
            WHERE p.group_id IS NOT NULL LIMIT 20"#
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(shared.into_iter().map(|row| {
        let number = format!("{}-{}-{:06}", row.series, row.year, row.sequence);
        found("invoice.parts", format!("number {number} is that of more than one invoice"))
    }));
    let uncredited = sqlx::query_scalar!(
        "SELECT i.id FROM invoice i
          WHERE i.group_id IS NOT NULL AND i.state = 'void' AND i.total_minor <> (
              SELECT coalesce(sum(c.amount_minor), 0) FROM credit_note c
               WHERE c.brand_id = i.brand_id AND c.invoice_id = i.id) LIMIT 20"
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(
        uncredited
            .into_iter()
            .map(|id| found("invoice.parts", format!("part {id} was taken back without a credit note over all of it"))),
    );
    Ok(findings)
}

async fn work(tx: &mut PgTransaction<'_>) -> sqlx::Result<Found> {
    let unplanned = sqlx::query_scalar!(
        "SELECT s.id FROM subscription s WHERE s.state <> 'ended'
            AND NOT EXISTS (SELECT FROM due d WHERE d.subscription_id = s.id) LIMIT 20"
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(unplanned
        .into_iter()
        .map(|id| found("subscription.planned", format!("subscription {id} has no due row")))
        .collect())
}

/// Credits are granted, spent and expire in the books, once each; what wallets paid on invoices is what they allocated.
async fn wallets(tx: &mut PgTransaction<'_>) -> sqlx::Result<Found> {
    let mut findings = Found::new();
    let ungranted = sqlx::query_scalar!(
        "SELECT c.id FROM wallet_credit c
          WHERE c.amount_minor <> (SELECT coalesce(sum(t.amount_minor), 0) FROM transfer t
                                    WHERE t.brand_id = c.brand_id AND t.kind = 'credit.granted'
                                      AND t.reference_id = 'wcr_' || replace(c.id::text, '-', '')) LIMIT 20"
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(
        ungranted
            .into_iter()
            .map(|id| found("wallet.granted", format!("credit {id} is not in the books with its amount"))),
    );
    let eternal = sqlx::query_scalar!(
        "SELECT c.id FROM wallet_credit c
          WHERE c.expires_at IS NOT NULL AND NOT EXISTS (SELECT FROM wallet_credit_due d WHERE d.credit_id = c.id)
            AND (SELECT coalesce(sum(CASE WHEN t.credit = code THEN t.amount_minor ELSE -t.amount_minor END), 0)
                   FROM transfer t, (SELECT 'credit:wcr_' || replace(c.id::text, '-', '') AS code) AS account
                  WHERE t.brand_id = c.brand_id AND t.state = 'posted' AND code IN (t.debit, t.credit)) > 0 LIMIT 20"
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(eternal.into_iter().map(|id| found("wallet.expiry", format!("credit {id} will never expire"))));
    let unpaid = sqlx::query_scalar!(
        "SELECT a.invoice_id FROM allocation a WHERE a.source IN ('wallet', 'release') GROUP BY a.brand_id, a.invoice_id
         HAVING sum(a.amount_minor) <> (
             SELECT coalesce(sum(CASE t.kind WHEN 'wallet.applied' THEN t.amount_minor ELSE -t.amount_minor END), 0)
               FROM transfer t
              WHERE t.brand_id = a.brand_id AND t.kind IN ('wallet.applied', 'wallet.released')
                AND t.reference_id = 'inv_' || replace(a.invoice_id::text, '-', '')) LIMIT 20"
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(
        unpaid
            .into_iter()
            .map(|id| found("wallet.applied", format!("invoice {id} and its wallet do not agree in the books"))),
    );
    Ok(findings)
}

/// What was paid for top-ups is in wallets, once; what is between them and the invoices is on its way one way or the other.
async fn top_ups(tx: &mut PgTransaction<'_>) -> sqlx::Result<Found> {
    let mut findings = Found::new();
    let miscredited = sqlx::query_scalar!(
        "SELECT i.id FROM invoice i
          WHERE i.purpose = 'top_up' AND CASE WHEN i.state = 'closed' THEN i.total_minor ELSE 0 END
             <> (SELECT coalesce(sum(t.amount_minor), 0) FROM transfer t
                  WHERE t.brand_id = i.brand_id AND t.kind = 'wallet.topped_up'
                    AND t.reference_id = 'inv_' || replace(i.id::text, '-', '')) LIMIT 20"
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(
        miscredited.into_iter().map(|id| found("top_up.credited", format!("top-up {id} is not in its wallet once"))),
    );
    let between = sqlx::query!(
        r#"SELECT currency AS "currency!", sum(amount)::bigint AS "amount!" FROM (
               SELECT currency, amount_minor AS amount FROM transfer WHERE state = 'posted' AND credit = 'top_ups'
               UNION ALL SELECT currency, -amount_minor FROM transfer WHERE state = 'posted' AND debit = 'top_ups'
               UNION ALL SELECT currency, -total_minor FROM invoice
                          WHERE purpose = 'top_up' AND state = 'open' AND issued_at IS NOT NULL
               UNION ALL SELECT r.currency, -r.amount_minor FROM refund r
                           JOIN invoice i ON i.brand_id = r.brand_id AND i.id = r.invoice_id
                          WHERE i.purpose = 'top_up' AND i.state IN ('closed', 'void') AND r.origin = 'ours'
                            AND r.state NOT IN ('succeeded', 'failed')
           ) AS sides GROUP BY currency HAVING sum(amount) <> 0"#
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(between.into_iter().map(|row| {
        found(
            "top_up.between",
            format!("{} {} of top-ups is neither in a wallet nor on its way", row.amount, row.currency),
        )
    }));
    let eternal = sqlx::query_scalar!(
        "SELECT i.id FROM invoice i WHERE i.purpose = 'top_up' AND i.state = 'open'
            AND NOT EXISTS (SELECT FROM top_up_due d WHERE d.invoice_id = i.id) LIMIT 20"
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(eternal.into_iter().map(|id| found("top_up.expiry", format!("top-up {id} will never expire"))));
    Ok(findings)
}

/// What is owed for codes that were sold is what those are worth that nobody has redeemed or made void and that have not expired; who
/// redeemed one got something for it, and what will expire waits for it.
async fn gifts(tx: &mut PgTransaction<'_>) -> sqlx::Result<Found> {
    let mut findings = Found::new();
    let owed = sqlx::query!(
        r#"SELECT currency AS "currency!", sum(amount)::bigint AS "amount!" FROM (
               SELECT currency, amount_minor AS amount FROM transfer WHERE state = 'posted' AND credit = 'gift_codes'
               UNION ALL SELECT currency, -amount_minor FROM transfer WHERE state = 'posted' AND debit = 'gift_codes'
               UNION ALL SELECT b.currency, -b.value_minor FROM gift_code c
                           JOIN gift_batch b ON b.brand_id = c.brand_id AND b.id = c.batch_id
                          WHERE b.kind = 'sold' AND c.redeemed_at IS NULL AND c.voided_at IS NULL AND c.expired_at IS NULL
           ) AS sides GROUP BY currency HAVING sum(amount) <> 0"#
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(owed.into_iter().map(|row| {
        found("gift.owed", format!("the books and the codes that were sold differ by {} {}", row.amount, row.currency))
    }));
    let unpaid = sqlx::query_scalar!(
        "SELECT c.id FROM gift_code c
          WHERE c.redeemed_at IS NOT NULL AND c.order_id IS NULL
            AND NOT EXISTS (SELECT FROM wallet_credit w WHERE w.brand_id = c.brand_id AND w.id = c.credit_id) LIMIT 20"
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(unpaid.into_iter().map(|id| found("gift.redeemed", format!("code {id} was redeemed for nothing"))));
    let forgotten = sqlx::query_scalar!(
        "SELECT b.id FROM gift_batch b
          WHERE b.expires_at IS NOT NULL AND b.voided_at IS NULL AND b.expired_at IS NULL
            AND NOT EXISTS (SELECT FROM gift_due d WHERE d.batch_id = b.id) LIMIT 20"
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(forgotten.into_iter().map(|id| found("gift.due", format!("batch {id} will never expire"))));
    Ok(findings)
}

/// What is deferred in the books is what deferrals have left, and nothing is left of what is over.
async fn deferrals(tx: &mut PgTransaction<'_>) -> sqlx::Result<Found> {
    let mut findings = Found::new();
    for (currency, left, booked) in
        store::deferral::balances(tx).await?.into_iter().filter(|(_, left, booked)| left != booked)
    {
        let detail = format!("deferrals have {left} left in {currency}, the books say {booked}");
        findings.push(found("revenue.deferred", detail));
    }
    let kept = sqlx::query_scalar!(
        "SELECT s.id FROM subscription s JOIN deferral d ON d.brand_id = s.brand_id AND d.subscription_id = s.id
          WHERE s.state = 'ended' AND d.amount_minor > d.recognised_minor + d.taken_minor LIMIT 20"
    )
    .fetch_all(&mut **tx)
    .await?;
    findings.extend(
        kept.into_iter()
            .map(|id| found("revenue.ended", format!("subscription {id} is over and has deferred revenue"))),
    );
    let unplanned = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM deferral d
            WHERE d.next_day IS NOT NULL AND NOT EXISTS (SELECT FROM recognition_due b WHERE b.brand_id = d.brand_id)"#
    )
    .fetch_one(&mut **tx)
    .await?;
    if unplanned > 0 {
        findings.push(found("revenue.planned", format!("{unplanned} deferrals wait for a day nobody looks at")));
    }
    Ok(findings)
}

/// The trial balance of a closed month is what its books still say.
async fn closed_months(tx: &mut PgTransaction<'_>) -> sqlx::Result<Found> {
    let mut findings = Found::new();
    let closed = sqlx::query!(
        r#"SELECT c.entity_id, c.month, c.zone, c.trial_balance, c.sha256 FROM ledger_close c
            WHERE NOT EXISTS (SELECT FROM ledger_reopen r WHERE r.close_id = c.id)"#
    )
    .fetch_all(&mut **tx)
    .await?;
    for row in closed {
        let zone =
            row.zone.parse::<chrono_tz::Tz>().map_err(|_| store::unreadable("ledger_close", "zone", &row.zone))?;
        let month = Month { first: row.month, zone };
        let entity = EntityId::from_uuid(row.entity_id);
        let rows = store::close::trial_balance(tx, entity, month.bounds().1).await?;
        let csv = TrialBalance { entity, through: month.last(), zone, rows }.csv();
        if csv != row.trial_balance || store::close::digest(&row.trial_balance) != row.sha256 {
            findings.push(found(
                "ledger.closed",
                format!("the books of {month} are not what they were when it was closed"),
            ));
        }
    }
    Ok(findings)
}

/// As many places are counted as are held, by subscriptions and by codes nobody has redeemed.
async fn stock(tx: &mut PgTransaction<'_>) -> sqlx::Result<Found> {
    let rows = sqlx::query!(
        r#"SELECT c.plan_id, c.taken, held.count AS "held!" FROM stock_counter c, LATERAL (
               SELECT (SELECT count(*) FROM stock_hold h WHERE h.plan_id = c.plan_id AND h.released_at IS NULL)
                    + (SELECT count(*) FROM gift_batch b JOIN gift_code g ON g.brand_id = b.brand_id AND g.batch_id = b.id
                        WHERE b.stock_plan_id = c.plan_id AND g.redeemed_at IS NULL AND g.voided_at IS NULL AND g.expired_at IS NULL)
                      AS count) AS held
            WHERE c.taken <> held.count LIMIT 20"#
    )
    .fetch_all(&mut **tx)
    .await?;
    let differs = |plan, taken, held| format!("plan {plan} counts {taken} places taken, {held} are held");
    Ok(rows.into_iter().map(|row| found("stock.taken", differs(row.plan_id, row.taken, row.held))).collect())
}

async fn coupons(tx: &mut PgTransaction<'_>) -> sqlx::Result<Found> {
    let miscounted = sqlx::query!(
        r#"SELECT c.coupon_id, c.uses, count(r.id) AS "taken!" FROM coupon_counter c
             LEFT JOIN redemption r ON r.coupon_id = c.coupon_id AND r.released_at IS NULL
            GROUP BY c.coupon_id HAVING c.uses <> count(r.id) LIMIT 20"#
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(miscounted
        .into_iter()
        .map(|row| {
            let detail = format!("coupon {} counts {} uses, {} are taken", row.coupon_id, row.uses, row.taken);
            found("coupon.uses", detail)
        })
        .collect())
}

async fn numbers(tx: &mut PgTransaction<'_>, used: &mut Used) -> sqlx::Result<()> {
    let rows = sqlx::query!(
        r#"SELECT entity_id AS "entity_id!", series AS "series!", number_year AS "year!", count(*) AS "count!", max(number_seq) AS "last!"
             FROM (SELECT entity_id, series, number_year, number_seq FROM invoice
                    WHERE number_seq IS NOT NULL AND coalesce(part, 1) = 1
                   UNION ALL SELECT entity_id, proforma_series, proforma_year, proforma_seq FROM invoice WHERE proforma_seq IS NOT NULL
                   UNION ALL SELECT entity_id, series, number_year, number_seq FROM credit_note) AS numbered
            GROUP BY entity_id, series, number_year"#
    )
    .fetch_all(&mut **tx)
    .await?;
    for row in rows {
        let (count, last) = used.entry((row.entity_id, row.series, row.year)).or_default();
        *count += row.count;
        *last = (*last).max(row.last);
    }
    Ok(())
}

/// A series without gaps has used exactly the numbers below its next one; unique indexes forbid doubles.
async fn gaps(pool: &PgPool, used: &Used) -> sqlx::Result<Vec<Finding>> {
    let counters = sqlx::query!("SELECT entity_id, series, year, next FROM invoice_number").fetch_all(pool).await?;
    Ok(counters
        .into_iter()
        .filter_map(|counter| {
            let key = (counter.entity_id, counter.series, counter.year);
            let (count, last) = used.get(&key).copied().unwrap_or_default();
            let issued = counter.next - 1;
            (count != issued || last != issued).then(|| {
                let (entity, series, year) = key;
                Finding::error(
                    "invoice.numbers",
                    format!("series {series}-{year} of entity {entity} has {count} documents up to {last}, its counter says {issued}"),
                )
            })
        })
        .collect())
}

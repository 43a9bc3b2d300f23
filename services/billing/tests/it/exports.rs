//! One day as CSV.

use std::collections::BTreeMap;

use billing::app::credit;
use billing::app::export::{Cursor, Sheet, Span};
use billing::domain::ledger::{Account, Booking};
use billing::store::credit_note::CreditNote;
use billing::store::export::After;
use chrono::{NaiveDate, TimeDelta};
use ottery_kernel::{Clock as _, Currency, Term};
use sqlx::postgres::PgTransaction;

use crate::world::{World, eur, offer, placing, world};

impl World {
    async fn sheet(&self, day: NaiveDate, first: Cursor) -> String {
        let mut text = String::new();
        let mut cursor = Some(first);
        while let Some(at) = cursor {
            let Sheet { csv, next } = self.billing.export_day(self.brand, day, at).await.unwrap();
            text.push_str(&csv);
            cursor = next;
        }
        text
    }

    pub async fn invoices_csv(&self, day: NaiveDate) -> String {
        self.sheet(day, Cursor::Invoices(After::default())).await
    }

    async fn journal_csv(&self, day: NaiveDate) -> String {
        self.sheet(day, Cursor::Journal(None)).await
    }

    pub fn today(&self) -> NaiveDate {
        self.host.clock.now().with_timezone(&self.profile.entity.zone).date_naive()
    }

    /// Three invoices, one of them paid and partly credited; then the next day.
    async fn busy_day(&self) -> NaiveDate {
        let day = self.today();
        let quote = self.quote(None, offer(1190, Term::MONTH), false).await;
        let account = self.account();
        let mut place = placing(quote, account);
        place.buyer.name = "=HYPERLINK(\"https://evil.example\")".into();
        let placed = self.billing.place_order(self.brand, place, None).await.unwrap();
        let invoice = self.invoice_of(&placed).await;
        self.pay(&invoice).await;
        for minor in [2000, 999] {
            self.order(self.account(), offer(minor, Term::MONTH)).await;
        }
        let mut tx = self.tx().await;
        let known = self.invoice(invoice.id).await;
        let note = credit::issue(&mut tx, self.brand, &known, eur(595), "Half, \"please\"", self.now()).await.unwrap();
        credited_to_wallet(&mut tx, self, &note).await;
        tx.commit().await.unwrap();
        self.host.clock.advance(TimeDelta::days(2));
        day
    }
}

/// Pays a credit note out, into the wallet.
pub async fn credited_to_wallet(tx: &mut PgTransaction<'_>, world: &World, note: &CreditNote) {
    let booking = Booking::new(note.entity, "credit.to_wallet", note.id, world.now())
        .post(Account::Receivable(note.account), Account::Wallet(note.account), note.amount)
        .unwrap();
    billing::store::ledger::book(tx, world.brand, booking).await.unwrap();
}

pub fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(|row| row.unwrap()).collect()
}

#[tokio::test]
async fn the_invoices_of_a_day_are_told_by_number_and_no_name_is_a_formula() {
    let world = world().await;
    let day = world.busy_day().await;
    let text = world.invoices_csv(day).await;
    assert!(text.ends_with("\r\n") && !text.replace("\r\n", "").contains(['\r', '\n']), "{text}");
    let rows = rows(&text);
    let told = |column: &str| rows.iter().map(|row| row[column].clone()).collect::<Vec<_>>();
    assert_eq!(told("number"), ["INV-2026-000001", "INV-2026-000002", "INV-2026-000003", "INV-CN-2026-000001"]);
    assert_eq!(told("document"), ["invoice", "invoice", "invoice", "credit_note"]);
    assert_eq!(told("net"), ["10.00", "16.81", "8.39", "-5.00"]);
    assert_eq!(told("tax"), ["1.90", "3.19", "1.60", "-0.95"]);
    assert_eq!(told("gross"), ["11.90", "20.00", "9.99", "-5.95"]);
    assert_eq!(told("credited_invoice"), ["", "", "", "INV-2026-000001"]);
    assert!(rows.iter().all(|row| row["currency"] == "EUR" && row["tax_rate_percent"] == "19.00"));
    assert_eq!(told("tax_category"), ["S", "S", "S", "S"]);
    assert!(rows.iter().all(|row| (row["place_country"].as_str(), row["place_source"].as_str()) == ("DE", "order")));
    assert!(rows.iter().all(|row| row["tax_name"] == "VAT" && row["vat_number"].is_empty()));
    assert_eq!(rows[0]["buyer_name"], "'=HYPERLINK(\"https://evil.example\")");
    assert!(told("issued_on").iter().all(|on| *on == day.to_string()));
}

#[tokio::test]
async fn the_same_day_gives_the_same_bytes_whatever_happened_since() {
    let world = world().await;
    let day = world.busy_day().await;
    let (invoices, journal) = (world.invoices_csv(day).await, world.journal_csv(day).await);
    assert_eq!((world.invoices_csv(day).await, world.journal_csv(day).await), (invoices.clone(), journal.clone()));
    // One is paid late, one is voided with its subscription, and another day is sold.
    let mut tx = world.tx().await;
    let page = billing::store::Page { before: None, limit: 10 };
    let open = billing::store::invoice::list(&mut tx, None, None, page).await.unwrap();
    drop(tx);
    world.pay(open.iter().find(|invoice| invoice.paid.is_zero()).unwrap()).await;
    world.advance(TimeDelta::days(60)).await;
    world.order(world.account(), offer(500, Term::MONTH)).await;
    assert_eq!((world.invoices_csv(day).await, world.journal_csv(day).await), (invoices, journal));
    world.assert_sound().await;
}

#[tokio::test]
async fn the_journal_of_a_day_sums_to_zero_in_every_currency() {
    let world = world().await;
    let day = world.busy_day().await;
    let rows = rows(&world.journal_csv(day).await);
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    let mut accounts: BTreeMap<String, i64> = BTreeMap::new();
    for row in &rows {
        let minor = |text: &str| {
            if text.is_empty() { 0 } else { ottery_kernel::Money::parse(text, Currency::EUR).unwrap().minor }
        };
        let moved = minor(&row["debit"]) - minor(&row["credit"]);
        *sums.entry(row["currency"].clone()).or_default() += moved;
        *accounts.entry(row["account"].split(':').next().unwrap().to_owned()).or_default() += moved;
        assert!(row["debit"].is_empty() != row["credit"].is_empty());
        assert_eq!(row["booked_on"], day.to_string());
    }
    assert_eq!(sums, [("EUR".to_owned(), 0)].into());
    // Three sales and half a refund: what the invoices of the day say.
    assert_eq!(accounts["tax"], -(190 + 319 + 160 - 95));
    assert_eq!(accounts["revenue"] + accounts["refunds"] + accounts["deferred"], -(1000 + 1681 + 839 - 500));
    assert_eq!(accounts["deferred"], -500, "half of the term that was paid is credited, the rest is for days to come");
    let mut tx = world.tx().await;
    let page = billing::store::Page { before: None, limit: 1000 };
    let booked = billing::store::ledger::list(&mut tx, "", page).await.unwrap();
    assert_eq!(rows.len(), 2 * booked.iter().filter(|row| row.state == "posted").count());
    // The export finds them by id: an id begins with the milliseconds of its booking.
    for row in booked {
        assert_eq!(u128::try_from(row.booked_at.timestamp_millis()).unwrap(), row.id.as_u128() >> 80);
    }
}

#[tokio::test]
async fn a_day_is_that_of_the_legal_entity_and_must_be_over() {
    let world = world().await;
    let day = world.today();
    // Half past eleven at night in UTC is the next day in Berlin.
    world.host.clock.set(day.and_hms_opt(23, 30, 0).unwrap().and_utc());
    let placed = world.order(world.account(), offer(1190, Term::MONTH)).await;
    let issued = world.invoice_of(&placed).await.issued_at.unwrap();
    let own_day = issued.with_timezone(&world.profile.entity.zone).date_naive();
    assert_eq!(own_day, day + TimeDelta::days(1));
    let early = world.billing.export_day(world.brand, own_day, Cursor::Journal(None)).await.unwrap_err();
    assert_eq!((early.reason.as_ref(), early.field.as_deref()), ("DAY_NOT_OVER", Some("day")));
    world.host.clock.advance(TimeDelta::days(3));
    assert_eq!(rows(&world.invoices_csv(own_day).await).len(), 1);
    for other in [own_day - TimeDelta::days(1), own_day + TimeDelta::days(1)] {
        assert_eq!(rows(&world.invoices_csv(other).await).len(), 0, "{other}");
        assert_eq!(world.journal_csv(other).await.lines().count(), 1, "{other} has a head and no rows");
    }
}

#[tokio::test]
async fn a_day_of_many_invoices_comes_in_pages_without_gap_or_double() {
    let world = world().await;
    let day = world.today();
    let placed = world.order(world.account(), offer(1190, Term::MONTH)).await;
    // As many copies as make three pages, under numbers and bookings of their own.
    let first = world.invoice_of(&placed).await;
    for statement in [
        "INSERT INTO invoice SELECT (jsonb_populate_record(i, jsonb_build_object('id', gen_random_uuid(), 'number_seq', n,
             'subscription_id', NULL))).* FROM invoice i, generate_series(2, 2500) AS n",
        "INSERT INTO transfer SELECT (jsonb_populate_record(t, jsonb_build_object('reference_id', 'copy_' || n,
             'id', overlay(gen_random_uuid()::text placing left(t.id::text, 13) from 1 for 13)::uuid))).*
             FROM transfer t, generate_series(2, 1250) AS n",
    ] {
        sqlx::query(statement).execute(&world.database.admin_pool).await.unwrap();
    }
    world.host.clock.advance(TimeDelta::days(2));
    let rows = rows(&world.invoices_csv(day).await);
    let numbers: Vec<String> = rows.iter().map(|row| row["number"].clone()).collect();
    let wanted: Vec<String> =
        (1..=2500).map(|number| format!("INV-{}-{number:06}", first.number.as_ref().unwrap().year)).collect();
    assert_eq!(numbers, wanted);
    let journal = self::rows(&world.journal_csv(day).await);
    assert!(journal.len() > 4_000, "{}", journal.len());
    let ids: std::collections::BTreeSet<_> =
        journal.iter().map(|row| (row["transfer_id"].clone(), row["debit"].is_empty())).collect();
    assert_eq!(ids.len(), journal.len());
}

#[tokio::test]
async fn deferred_revenue_is_told_by_day_and_month_and_ties_to_the_journal() {
    let world = world().await;
    let first = world.today();
    world.busy_day().await;
    world.recognise().await;
    world.advance(TimeDelta::days(40)).await;
    world.recognise().await;
    let sheet = |span: Span| {
        let billing = &world.billing;
        async move { billing.export_deferred(world.brand, &span).await.unwrap() }
    };
    let minor = |row: &BTreeMap<String, String>, column: &str| {
        ottery_kernel::Money::parse(&row[column], Currency::EUR).unwrap().minor
    };
    let day = sheet(Span::Day(first)).await;
    let told = rows(&day);
    assert_eq!((told.len(), minor(&told[0], "opening")), (1, 0));
    assert_eq!((minor(&told[0], "deferred"), minor(&told[0], "credited")), (1000, -500));
    let mut tx = world.tx().await;
    let of_day: i64 = rows(&world.journal_csv(first).await)
        .iter()
        .filter(|row| row["account"] == "deferred")
        .map(|row| ["credit", "debit"].map(|side| if row[side].is_empty() { 0 } else { minor(row, side) }))
        .map(|[credit, debit]| credit - debit)
        .sum();
    assert_eq!(minor(&told[0], "closing"), of_day);

    let month = first.format("%Y-%m").to_string();
    let text = sheet(Span::Month(month.clone())).await;
    let told = rows(&text);
    assert_eq!(
        told.iter().map(|row| row["day"].clone()).next(),
        Some(first.to_string()),
        "nothing was deferred before"
    );
    for pair in told.windows(2) {
        assert_eq!(pair[0]["closing"], pair[1]["opening"], "{pair:?}");
    }
    let next = sheet(Span::Day(first + TimeDelta::days(1))).await;
    assert!(text.contains(next.lines().nth(1).unwrap()), "a month is its days");
    // All of a term that is over became revenue, was credited or was released.
    let balances = billing::store::ledger::balances(&mut tx).await.unwrap();
    drop(tx);
    let left = balances.iter().find(|balance| balance.account == "deferred").unwrap();
    assert_eq!(left.credits.minor - left.debits.minor, 0);

    // Whatever happens later, the file stays.
    world.subscriber(3100, Term::MONTH).await;
    world.recognise().await;
    assert_eq!(sheet(Span::Month(month)).await, text);
    assert_eq!(sheet(Span::Day(first)).await, day);
    let early = world.billing.export_deferred(world.brand, &Span::Day(world.today())).await.unwrap_err();
    assert_eq!((early.reason.as_ref(), early.field.as_deref()), ("DAY_NOT_OVER", Some("day")));
    let running = Span::Month(world.today().format("%Y-%m").to_string());
    let early = world.billing.export_deferred(world.brand, &running).await.unwrap_err();
    assert_eq!((early.reason.as_ref(), early.field.as_deref()), ("DAY_NOT_OVER", Some("month")));
    let none = world.billing.export_deferred(world.brand, &Span::Month("2026-13".into())).await.unwrap_err();
    assert_eq!((none.reason.as_ref(), none.field.as_deref()), ("MONTH_INVALID", Some("month")));
}

//! What a customer owes for several subscriptions on one day, as one invoice.

use std::sync::Arc;

use billing::app::Billing;
use billing::app::export::{Cursor, Sheet};
use billing::app::payment::{HostedPage, open_checkout};
use billing::app::wallet::Grant;
use billing::domain::consolidated::short_name;
use billing::domain::coupon::Lasting;
use billing::domain::invoice::{Invoice, State};
use billing::domain::payment::State as PaymentState;
use billing::domain::portion::Wanted;
use billing::domain::profile::{Entity, Profile};
use billing::domain::rules::InvoiceRules;
use billing::domain::subscription::{State as Life, Subscription, SuspendCause};
use billing::domain::tax::{Round, Settings};
use billing::store;
use billing::store::credit_note::CreditNote;
use billing::store::export::After;
use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use ottery_kernel::{AccountId, InvoiceId, Term};
use ottery_kit::grpc::Problem;
use ottery_proto::billing::v1 as proto;
use ottery_testkit::actor::owner;
use ottery_testkit::recorder::{outbox, payload};

use crate::coupons::percent;
use crate::explain::assert_adds_up;
use crate::shop::{Shop, shop};
use crate::world::{World, config, eur, offer, placing, world};

const GOOD: &str = "4242424242424242";
const NO_FUNDS: &str = "4000000000000341";

fn address() -> String {
    "https://tv.example/".to_owned()
}

/// Three instants of one day in Berlin, which are two days in UTC.
fn one_day() -> [DateTime<Utc>; 3] {
    let at = |day, hour| Utc.with_ymd_and_hms(2026, 1, day, hour, 30, 0).unwrap();
    [at(15, 23), at(16, 9), at(16, 22)]
}

impl World {
    pub async fn consolidate(&self, consolidated: bool) {
        let rules = self.billing.invoice_rules(self.brand).await.unwrap();
        let wanted = InvoiceRules { consolidated, ..rules };
        self.billing.put_invoice_rules(&owner(self.brand), self.brand, wanted).await.unwrap();
    }

    /// Paid subscriptions of one customer, one for each price and instant.
    async fn household(&self, account: AccountId, prices: &[i64]) -> Vec<Subscription> {
        let mut subscriptions = Vec::new();
        for (minor, at) in prices.iter().zip(one_day()) {
            self.host.clock.set(at.max(self.now()));
            let placed = self.order(account, offer(*minor, Term::MONTH)).await;
            self.pay(&self.invoice_of(&placed).await).await;
            subscriptions.push(self.subscription(placed.order.subscription).await);
        }
        subscriptions
    }

    /// The open invoices of these, when the first of them is billed.
    async fn billed(&self, subscriptions: &[Subscription]) -> Vec<Invoice> {
        let first = subscriptions.iter().filter_map(|one| one.paid_through).min().unwrap();
        self.advance_to(first - TimeDelta::hours(72)).await;
        let mut open = Vec::new();
        for subscription in subscriptions {
            open.extend(self.open_invoice(subscription.id).await);
        }
        open
    }

    /// The whole some part belongs to.
    pub async fn whole(&self, part: &Invoice) -> (Invoice, Vec<CreditNote>) {
        self.billing.invoice(self.brand, part.known_as(), Some(part.account)).await.unwrap()
    }

    async fn lives(&self, subscriptions: &[Subscription]) -> Vec<Life> {
        let mut lives = Vec::new();
        for subscription in subscriptions {
            lives.push(self.subscription(subscription.id).await.state);
        }
        lives
    }

    async fn parts_of(&self, whole: &Invoice) -> Vec<Invoice> {
        let mut tx = self.tx().await;
        store::invoice::parts_of(&mut tx, &[whole.id]).await.unwrap()
    }

    /// How many groups there are, and their parts.
    pub async fn groups(&self) -> (i64, i64) {
        sqlx::query_as("SELECT count(DISTINCT group_id), count(group_id) FROM invoice")
            .fetch_one(&self.database.admin_pool)
            .await
            .unwrap()
    }
}

fn minors(invoices: &[Invoice]) -> Vec<i64> {
    invoices.iter().map(|invoice| invoice.totals.total.minor).collect()
}

fn states(invoices: &[Invoice]) -> Vec<State> {
    invoices.iter().map(|invoice| invoice.state).collect()
}

#[tokio::test]
async fn what_is_due_on_one_day_of_the_brands_zone_is_one_invoice_with_one_number() {
    let world = world().await;
    world.consolidate(true).await;
    let account = world.account();
    let mut all = world.household(account, &[1000, 2000, 3000]).await;
    // The next day in Berlin, an hour later.
    world.host.clock.set(one_day()[2] + TimeDelta::hours(1));
    let placed = world.order(account, offer(4000, Term::MONTH)).await;
    world.pay(&world.invoice_of(&placed).await).await;
    all.push(world.subscription(placed.order.subscription).await);
    let finalised = world.told("billing.invoice.finalised.v1").await;

    let parts = world.billed(&all).await;
    assert_eq!(minors(&parts), [1000, 2000, 3000], "the fourth is due on another day");
    let latest = all[2].paid_through;
    for (number, part) in (1..).zip(&parts) {
        let part_of = part.part.unwrap();
        assert_eq!((part_of.number, part_of.group), (number, parts[0].known_as()));
        assert_eq!((part.number_text(), part.due_at), ("INV-2026-000005".to_owned(), latest));
    }
    assert_eq!(world.told("billing.invoice.finalised.v1").await, finalised + 1, "the customer is told once");
    let (whole, _) = world.whole(&parts[1]).await;
    assert_eq!((whole.id, whole.state), (parts[0].known_as(), State::Open));
    assert_eq!((whole.totals.total, whole.number_text()), (eur(6000), "INV-2026-000005".to_owned()));
    let page = store::Page { before: None, limit: 100 };
    let (listed, _) = world.billing.own_invoices(world.brand, account, page).await.unwrap();
    assert_eq!(listed.iter().filter(|invoice| invoice.number_text() == "INV-2026-000005").count(), 1);
    assert_eq!(listed.len(), 5);
    let held = world.billing.subscription(world.brand, all[1].id, Some(account)).await.unwrap();
    assert_eq!(held.open, Some(whole.id));

    // The fourth is alone on its day: an invoice like any other, with the next number.
    world.advance_to(all[3].paid_through.unwrap() - TimeDelta::hours(72)).await;
    let alone = world.open_invoice(all[3].id).await.unwrap();
    assert_eq!((alone.part, alone.number_text()), (None, "INV-2026-000006".to_owned()));
    world.assert_sound().await;

    let settled = world.payment(&parts[0], eur(6000), eur(6000));
    world.settle(&settled).await;
    let paid = world.parts_of(&whole).await;
    assert_eq!(states(&paid), [State::Closed; 3]);
    for subscription in &all[..3] {
        let renewed = world.subscription(subscription.id).await;
        assert!(renewed.paid_through > subscription.paid_through, "each goes on");
    }
    assert_eq!(world.told("billing.consolidated.settled.v1").await, 1, "one receipt");
    assert_eq!(world.whole(&parts[0]).await.0.state, State::Closed);
    world.assert_sound().await;
}

#[tokio::test]
async fn one_that_is_late_or_about_to_end_does_not_stop_the_others() {
    let world = world().await;
    world.consolidate(true).await;
    let account = world.account();
    let all = world.household(account, &[1000, 2000, 3000]).await;
    let me = ottery_testkit::actor::customer(world.brand, account);
    world.billing.cancel(world.brand, all[1].id, None, "", &me).await.unwrap();
    let parts = world.billed(&all).await;
    assert_eq!(minors(&parts), [1000, 3000]);
    assert_eq!(world.groups().await, (1, 2));
    // One part stays unpaid; the month after, only the one that runs is billed.
    world.settle(&world.payment(&parts[0], eur(1000), eur(1000))).await;
    let next = world.subscription(all[0].id).await.paid_through.unwrap();
    world.advance_to(next - TimeDelta::hours(72)).await;
    let alone = world.open_invoice(all[0].id).await.unwrap();
    assert_eq!((alone.part, alone.totals.total), (None, eur(1000)));
    world.assert_sound().await;
}

#[tokio::test]
async fn the_setting_is_the_brands_and_staff_choose_for_one_customer() {
    let world = world().await;
    let account = world.account();
    let all = world.household(account, &[1000, 2000]).await;
    let brand = world.brand;
    let staff = owner(brand);
    let choose = |own| world.billing.put_customer_invoicing(&staff, brand, account, own);
    assert!(!world.billing.customer_invoicing(brand, account).await.unwrap().is_consolidated);
    assert!(choose(Some(true)).await.unwrap().is_consolidated);
    let parts = world.billed(&all).await;
    assert_eq!(world.groups().await, (1, 2));
    world.settle(&world.payment(&parts[0], eur(3000), eur(3000))).await;

    // Off for them, on for the brand: two invoices, and one that was issued stays one.
    world.consolidate(true).await;
    assert!(!choose(Some(false)).await.unwrap().is_consolidated);
    let mut renewed = Vec::new();
    for subscription in &all {
        renewed.push(world.subscription(subscription.id).await);
    }
    let plain = world.billed(&renewed).await;
    assert!(plain.iter().all(|invoice| invoice.part.is_none()));
    world.advance_to(renewed[1].paid_through.unwrap() - TimeDelta::hours(72)).await;
    assert_eq!(world.open_invoice(all[1].id).await.unwrap().part, None);
    assert_eq!(world.groups().await, (1, 2));

    let rules = world.billing.invoice_rules(brand).await.unwrap();
    let both = InvoiceRules { proforma: true, ..rules };
    let refused = world.billing.put_invoice_rules(&staff, brand, both).await.unwrap_err();
    assert_eq!((refused.reason.as_ref(), refused.field.as_deref()), ("RULES_CONTRADICT", Some("consolidated")));
    assert!(choose(None).await.unwrap().is_consolidated);
    let stranger = world.billing.customer_invoicing(brand, world.account()).await.unwrap_err();
    assert_eq!(stranger.reason, "CUSTOMER_NOT_FOUND");
    world.assert_sound().await;
}

#[tokio::test]
async fn less_than_all_pays_the_parts_in_their_order() {
    let world = world().await;
    world.consolidate(true).await;
    let all = world.household(world.account(), &[1000, 1000, 1000]).await;
    let parts = world.billed(&all).await;
    world.settle(&world.payment(&parts[0], eur(1500), eur(1500))).await;
    let now = world.parts_of(&world.whole(&parts[0]).await.0).await;
    assert_eq!(states(&now), [State::Closed, State::Open, State::Open]);
    assert_eq!(now.iter().map(|part| part.paid.minor).collect::<Vec<_>>(), [1000, 500, 0]);
    let (whole, _) = world.whole(&parts[0]).await;
    assert_eq!((whole.state, whole.remaining().unwrap()), (State::Open, eur(1500)));
    assert!(world.subscription(all[0].id).await.paid_through > all[0].paid_through);
    assert_eq!(world.subscription(all[1].id).await.paid_through, all[1].paid_through);
    assert_eq!(world.told("billing.consolidated.settled.v1").await, 0);
    // The rest, and more than that: what is too much goes to the wallet.
    world.settle(&world.payment(&now[1], eur(1700), eur(1700))).await;
    assert_eq!(states(&world.parts_of(&whole).await), [State::Closed; 3]);
    let books = world.books().await;
    assert!(books.iter().any(|row| row.starts_with("payment.settled provider:sandbox wallet 2.00")), "{books:#?}");
    assert_eq!(world.told("billing.consolidated.settled.v1").await, 1);
    world.assert_sound().await;
}

#[tokio::test]
async fn the_wallet_pays_the_parts_in_their_order_and_a_coupon_and_a_set_up_only_their_own() {
    let world = world().await;
    world.consolidate(true).await;
    let account = world.account();
    let first = world.household(account, &[1000]).await;
    world.host.clock.set(one_day()[1]);
    let half = percent(&world, 5000, Lasting::Forever);
    let quote = world.quote_with(Some(account), offer(1000, Term::MONTH), false, Some(&half)).await;
    let placed = world.billing.place_order(world.brand, placing(quote, account), None).await.unwrap();
    world.pay(&world.invoice_of(&placed).await).await;
    let second = world.subscription(placed.order.subscription).await;
    let mut plans = first;
    plans.push(second);
    world.host.clock.set(one_day()[2]);
    let placed = world.order(account, offer(3000, Term::MONTH)).await;
    world.pay(&world.invoice_of(&placed).await).await;
    plans.push(world.subscription(placed.order.subscription).await);
    let grant = Grant { account, amount: eur(1200), reason: "An evening without picture".into(), expires_at: None };
    world.billing.grant_credit(&owner(world.brand), world.brand, grant, None).await.unwrap();

    let first = plans[0].paid_through.unwrap();
    world.advance_to(first - TimeDelta::hours(72)).await;
    let open = world.open_invoice(plans[1].id).await.unwrap();
    let (whole, _) = world.whole(&open).await;
    assert_eq!(minors(&whole.parts), [1000, 500, 3000]);
    assert_eq!(whole.parts.iter().map(|part| part.from_wallet.minor).collect::<Vec<_>>(), [1000, 200, 0]);
    assert_eq!(states(&whole.parts), [State::Closed, State::Open, State::Open]);
    assert_eq!((whole.totals.total, whole.paid, whole.lines.len()), (eur(4500), eur(1200), 4));
    assert!(world.subscription(plans[0].id).await.paid_through > Some(first), "paid the moment it was issued");
    world.assert_sound().await;
    world.settle(&world.payment(&open, eur(3300), eur(3300))).await;
    assert_eq!(world.whole(&open).await.0.state, State::Closed);
    world.assert_sound().await;

    // All of it from the wallet: settled the moment it is issued, with one receipt.
    let grant = Grant { account, amount: eur(9000), reason: "Another one".into(), expires_at: None };
    world.billing.grant_credit(&owner(world.brand), world.brand, grant, None).await.unwrap();
    let receipts = world.told("billing.consolidated.settled.v1").await;
    let next = world.subscription(plans[0].id).await.paid_through.unwrap();
    world.advance_to(next - TimeDelta::hours(72)).await;
    assert_eq!(world.groups().await, (2, 6));
    assert_eq!(world.told("billing.consolidated.settled.v1").await, receipts + 1);
    world.assert_sound().await;
}

#[tokio::test]
async fn case_019_tax_on_the_total_is_that_of_all_parts_and_each_has_its_share() {
    let mut world = world().await;
    let tax = Settings { round: Round::Total, ..Settings::default() };
    world.profile = Profile { entity: Entity { tax, ..world.profile.entity.clone() }, ..world.profile.clone() };
    world.know_version(&world.profile, 2).await;
    world.consolidate(true).await;
    let all = world.household(world.account(), &[999, 999, 999]).await;
    let parts = world.billed(&all).await;
    // 29.97 contains 4.79 (4.7851), each 9.99 alone 1.60 (1.5950).
    assert_eq!(parts.iter().map(|part| part.totals.tax.minor).collect::<Vec<_>>(), [160, 160, 159]);
    let (whole, _) = world.whole(&parts[0]).await;
    assert_eq!((whole.totals.tax, whole.totals.subtotal, whole.totals.total), (eur(479), eur(2518), eur(2997)));
    let explained = world.billing.explain_invoice(world.brand, whole.id, None).await.unwrap();
    assert_adds_up(&explained);
    world.settle(&world.payment(&parts[0], eur(2997), eur(2997))).await;
    world.assert_sound().await;
}

#[tokio::test]
async fn a_part_that_is_not_renewed_is_taken_back_by_a_credit_note_of_the_common_number() {
    let world = world().await;
    world.consolidate(true).await;
    let account = world.account();
    let all = world.household(account, &[1000, 2000, 3000]).await;
    let parts = world.billed(&all).await;
    let me = ottery_testkit::actor::customer(world.brand, account);
    world.billing.cancel(world.brand, all[1].id, None, "", &me).await.unwrap();
    let (whole, notes) = world.whole(&parts[0]).await;
    assert_eq!(states(&whole.parts), [State::Open, State::Void, State::Open]);
    assert_eq!((whole.totals.total, whole.remaining().unwrap()), (eur(6000), eur(4000)), "what was printed stays");
    let note = notes.first().expect("a credit note");
    assert_eq!(
        (note.number.to_string(), note.amount, note.tax),
        ("INV-CN-2026-000001".to_owned(), eur(2000), eur(319))
    );
    let paper = world.billing.invoice_document(world.brand, whole.id, Some(note.id), Some(account)).await.unwrap();
    let paper: serde_json::Value = serde_json::from_str(&paper.json).unwrap();
    assert_eq!(paper["credit_of"], whole.number_text());
    let explained = world.billing.explain_invoice(world.brand, whole.id, None).await.unwrap();
    assert_adds_up(&explained);
    world.assert_sound().await;
    world.settle(&world.payment(&parts[0], eur(4000), eur(4000))).await;
    assert_eq!(world.whole(&parts[0]).await.0.state, State::Closed);
    let explained = world.billing.explain_invoice(world.brand, whole.id, None).await.unwrap();
    assert_adds_up(&explained);
    world.assert_sound().await;

    // Staff credit lines of one part, counted over the whole, or an amount of a part.
    let staff = owner(world.brand);
    let credit =
        |id: InvoiceId, wanted| world.billing.credit_invoice(&staff, world.brand, id, wanted, "Goodwill", None);
    let note = credit(whole.id, Wanted::Lines(vec![3])).await.unwrap();
    assert_eq!((note.invoice, note.amount, note.lines.clone()), (parts[2].id, eur(3000), vec![1]));
    let both = credit(whole.id, Wanted::Lines(vec![1, 3])).await.unwrap_err();
    assert_eq!((both.reason.as_ref(), both.field.as_deref()), ("LINES_OF_SEVERAL_PARTS", Some("line_numbers")));
    let unnamed = credit(whole.id, Wanted::Amount(eur(100))).await.unwrap_err();
    assert_eq!((unnamed.reason.as_ref(), unnamed.field.as_deref()), ("INVOICE_CONSOLIDATED", Some("invoice_id")));
    assert!(unnamed.message.contains(&parts[0].id.to_string()), "{unnamed:?}");
    credit(parts[0].id, Wanted::Amount(eur(100))).await.unwrap();
    let (whole, notes) = world.whole(&parts[0]).await;
    assert_eq!((notes.len(), whole.refunded), (3, eur(5100)));
    let shown = billing::contract::invoice(&whole, &notes);
    assert_eq!(shown.credit_notes[1].line_numbers, [3], "counted over the whole");
    assert_eq!(
        shown.parts.iter().map(|part| (part.first_line, part.line_count)).collect::<Vec<_>>(),
        [(1, 1), (2, 1), (3, 1)]
    );
    world.assert_sound().await;
}

#[tokio::test]
async fn the_paper_names_each_subscription_and_its_time() {
    let world = world().await;
    world.consolidate(true).await;
    let account = world.account();
    let all = world.household(account, &[1000, 2000, 3000]).await;
    let parts = world.billed(&all).await;
    let (whole, _) = world.whole(&parts[0]).await;
    for id in [whole.id, parts[1].id] {
        let paper = world.billing.invoice_document(world.brand, id, None, Some(account)).await.unwrap();
        let json: serde_json::Value = serde_json::from_str(&paper.json).unwrap();
        assert_eq!((json["number"].as_str(), json["total_minor"].as_i64()), (Some("INV-2026-000004"), Some(6000)));
        let lines = json["lines"].as_array().unwrap();
        assert_eq!(lines.len(), 3);
        for (line, subscription) in lines.iter().zip(&all) {
            let told = line["description"].as_str().unwrap();
            assert!(told.contains("Family") && told.contains(&short_name(subscription.id)), "{told}");
            assert!(line["period"]["first_day"].is_string());
        }
    }
    // Nobody else sees it.
    let stranger = world.billing.invoice(world.brand, whole.id, Some(world.account())).await.unwrap_err();
    assert_eq!(stranger.reason, "INVOICE_NOT_FOUND");
}

#[tokio::test]
async fn a_day_is_exported_part_by_part_and_stays_the_same_bytes() {
    let world = world().await;
    world.consolidate(true).await;
    let all = world.household(world.account(), &[1000, 2000, 3000]).await;
    let parts = world.billed(&all).await;
    let day = world.now().with_timezone(&world.profile.entity.zone).date_naive();
    world.host.clock.advance(TimeDelta::days(2));
    let export = async || {
        let (mut text, mut cursor) = (String::new(), Some(Cursor::Invoices(After::default())));
        while let Some(at) = cursor {
            let Sheet { csv, next } = world.billing.export_day(world.brand, day, at).await.unwrap();
            text.push_str(&csv);
            cursor = next;
        }
        text
    };
    let before = export().await;
    let rows: Vec<csv::StringRecord> =
        csv::Reader::from_reader(before.as_bytes()).records().map(|row| row.unwrap()).collect();
    let told: Vec<_> = rows.iter().map(|row| (row[1].to_owned(), row[5].to_owned(), row[16].to_owned())).collect();
    let expected: Vec<_> = parts
        .iter()
        .map(|part| ("INV-2026-000004".to_owned(), part.id.to_string(), part.totals.total.to_decimal()))
        .collect();
    assert_eq!(told, expected, "one number, a row for each part");
    world.settle(&world.payment(&parts[0], eur(6000), eur(6000))).await;
    world.advance(TimeDelta::days(40)).await;
    assert_eq!(export().await, before);
    // A page may end between two parts.
    let mut tx = world.tx().await;
    let bounds = billing::domain::export::Day { date: day, zone: world.profile.entity.zone }.bounds();
    let mut after = After::default();
    for part in &parts {
        let page = store::export::invoices(&mut tx, bounds, &after, 1).await.unwrap();
        let one = page.first().unwrap();
        assert_eq!(one.invoice, part.id);
        let number = one.number.clone();
        after = After { series: number.series, year: number.year, sequence: number.sequence, part: one.part };
    }
    assert!(store::export::invoices(&mut tx, bounds, &after, 1).await.unwrap().is_empty());
    world.assert_sound().await;
}

#[tokio::test]
async fn four_schedulers_make_one_group_for_each_customer() {
    let world = Arc::new(world().await);
    world.consolidate(true).await;
    let mut last = world.now();
    for _ in 0..5 {
        let account = world.account();
        for minor in [1000, 2000, 3000] {
            let placed = world.order(account, offer(minor, Term::MONTH)).await;
            world.pay(&world.invoice_of(&placed).await).await;
            last = world.subscription(placed.order.subscription).await.paid_through.unwrap();
        }
    }
    world.host.clock.set(last - TimeDelta::hours(72));
    let mut small = config();
    small.renewals.batch_size = 2;
    let workers = (0..4).map(|_| {
        let billing = Billing::new(small.clone(), &world.host.of(billing::NAME), world.database.pool.clone()).unwrap();
        let brand = world.brand;
        tokio::spawn(async move { while billing.run_batch(brand).await.unwrap() > 0 {} })
    });
    futures::future::join_all(workers).await.into_iter().for_each(|worker| worker.unwrap());
    world.work_off().await;
    assert_eq!(world.groups().await, (5, 15));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_scheduler_that_dies_before_the_group_is_issued_is_replaced() {
    let world = world().await;
    world.consolidate(true).await;
    let all = world.household(world.account(), &[1000, 2000, 3000]).await;
    let first = all[0].paid_through.unwrap();
    world.host.clock.set(first - TimeDelta::hours(72));
    // Claimed, and its scheduler dies.
    let claims = world.billing.claim_batch(world.brand).await.unwrap();
    assert_eq!(claims.len(), 1, "only the first is due yet");
    assert_eq!(world.billing.run_batch(world.brand).await.unwrap(), 0);
    sqlx::query("UPDATE due SET lease_until = '-infinity'").execute(&world.database.admin_pool).await.unwrap();
    world.work_off().await;
    assert_eq!(world.groups().await, (1, 3));
    // It was only slow: what it had claimed is not its own any more.
    world.billing.work_off(world.brand, &claims).await.unwrap();
    world.billing.work_together(world.brand, &claims).await.unwrap();
    assert_eq!(world.groups().await, (1, 3));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_customer_who_is_merged_takes_the_invoice_along() {
    let world = world().await;
    world.consolidate(true).await;
    let (account, other) = (world.account(), world.account());
    let all = world.household(account, &[1000, 2000]).await;
    let parts = world.billed(&all).await;
    let buyer = placing(uuid::Uuid::nil(), other).buyer;
    let merge = billing::app::merge::Merge { from: account, to: other, buyer, reason: "the same person".into() };
    world.billing.merge_customers(&owner(world.brand), world.brand, merge, None).await.unwrap();
    world.assert_sound().await;
    let (whole, _) = world.billing.invoice(world.brand, parts[0].known_as(), Some(other)).await.unwrap();
    world.settle(&world.payment(&whole.parts[0], eur(3000), eur(3000))).await;
    assert_eq!(world.lives(&all).await, [Life::Active; 2]);
    world.assert_sound().await;
}

impl Shop {
    /// Three weekly subscriptions of one customer that are charged to this card.
    async fn household_on(&self, card: &str) -> Vec<Subscription> {
        self.world.consolidate(true).await;
        let account = self.world.account();
        let mut subscriptions = Vec::new();
        for _ in 0..3 {
            let placed = self.place(account).await;
            let payment = placed.payment.unwrap();
            let page = open_checkout(&self.world.billing, self.world.brand, payment).await.unwrap();
            assert_eq!(self.card(&page, card).await, 303);
            self.hear("payment.succeeded", payment).await;
            self.drain().await;
            subscriptions.push(self.world.subscription(placed.order.subscription).await);
            self.world.host.clock.advance(TimeDelta::hours(1));
        }
        subscriptions
    }

    /// The same, with what they owe next.
    async fn owing(&self, card: &str) -> (Vec<Subscription>, Vec<Invoice>) {
        let subscriptions = self.household_on(card).await;
        let parts = self.world.billed(&subscriptions).await;
        assert_eq!(parts.len(), 3);
        (subscriptions, parts)
    }

    async fn next_steps(&self, at: DateTime<Utc>) {
        self.world.advance_to(at).await;
        for _ in 0..3 {
            self.drain().await;
            self.world.work_off().await;
        }
    }

    async fn pay_whole(&self, whole: &Invoice) -> Result<ottery_kernel::PaymentId, Problem> {
        let owner = Some(whole.account);
        let (payment, page) = self
            .world
            .billing
            .pay_invoice(self.world.brand, whole.id, owner, HostedPage::any(address(), address()))
            .await?;
        assert_eq!(self.card(&page, GOOD).await, 303);
        self.hear("payment.succeeded", payment).await;
        self.drain().await;
        Ok(payment)
    }
}

#[tokio::test]
async fn one_charge_pays_all_and_extends_all() {
    let shop = shop().await;
    let (all, parts) = shop.owing(GOOD).await;
    let due = parts[0].due_at.unwrap();
    shop.next_steps(due).await;
    let (whole, _) = shop.world.whole(&parts[0]).await;
    assert_eq!((whole.state, whole.paid), (State::Closed, eur(3897)));
    let payments = shop.payments_of(whole.id).await;
    assert_eq!(payments.len(), 1, "one charge");
    assert_eq!((payments[0].state, payments[0].amount), (PaymentState::Succeeded, eur(3897)));
    assert_eq!(payments[0].shares, parts.iter().map(|part| part.id).collect::<Vec<_>>());
    assert_eq!(shop.charges(payments[0].id).await, (1, 1));
    for subscription in &all {
        let renewed = shop.world.subscription(subscription.id).await;
        assert_eq!(renewed.state, Life::Active);
        assert!(
            renewed.paid_through > subscription.paid_through
                && renewed.entitlement_version > subscription.entitlement_version
        );
    }
    shop.world.assert_sound().await;

    // A refund names the part.
    let ask = billing::app::refund::Ask {
        payment: payments[0].id,
        invoice: Some(parts[1].id),
        amount: None,
        reason: "Not used".into(),
        policy: billing::domain::refund::Policy::EndNow,
    };
    shop.world.billing.refund_payment(&owner(shop.world.brand), shop.world.brand, ask, None).await.unwrap();
    shop.drain().await;
    let ended: Vec<bool> = shop.world.lives(&all).await.iter().map(|life| life.has_ended()).collect();
    assert_eq!(ended, [false, true, false]);
    assert_eq!(shop.world.whole(&parts[0]).await.0.refunded, eur(1299));
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn a_declined_charge_is_dunned_once_and_all_are_late_and_suspended_together() {
    let shop = shop().await;
    let (all, parts) = shop.owing(NO_FUNDS).await;
    let due = parts[0].due_at.unwrap();
    let (whole, _) = shop.world.whole(&parts[0]).await;
    shop.next_steps(due).await;
    let lives = shop.world.lives(&all).await;
    assert!(matches!(lives[0], Life::PastDue { .. }), "{lives:?}");
    assert_eq!(lives, [lives[0]; 3], "late together, with one grace");
    for hours in 1..=21 {
        shop.next_steps(due + TimeDelta::hours(4 * hours)).await;
    }
    assert_eq!(shop.world.lives(&all).await, [Life::Suspended { cause: SuspendCause::Unpaid }; 3]);
    let payments = shop.payments_of(whole.id).await;
    assert!(payments.iter().all(|payment| payment.amount == eur(3897) && payment.state == PaymentState::Failed));
    let made: Vec<u32> = shop.world.parts_of(&whole).await.iter().map(|part| part.charges_made).collect();
    assert_eq!(made, [u32::try_from(payments.len()).unwrap(); 3], "all parts count alike");
    let events = outbox(&shop.world.database.pool).await;
    let reminders: Vec<(String, u32)> = events
        .iter()
        .filter(|event| event.r#type == "billing.reminder.due.v1")
        .map(payload::<proto::ReminderDue>)
        .map(|told| (told.invoice.unwrap().id, told.step))
        .collect();
    assert!(reminders.iter().all(|(id, _)| *id == whole.id.to_string()), "about the whole: {reminders:?}");
    let steps: Vec<u32> = reminders.iter().map(|(_, step)| *step).collect();
    assert!(!steps.is_empty() && steps.windows(2).all(|pair| pair[0] < pair[1]), "one chain: {steps:?}");
    shop.world.assert_sound().await;

    // A link in a mail is for the whole, and paying brings all back.
    let token = shop.world.billing.mint_pay_link(shop.world.brand, parts[1].id).await.unwrap();
    let shown = shop.world.billing.read_pay_link(shop.world.brand, &token).await.unwrap();
    assert_eq!((shown.amount, shown.number), (eur(3897), whole.number_text()));
    shop.pay_whole(&whole).await.unwrap();
    assert_eq!(shop.world.lives(&all).await, [Life::Active; 3]);
    assert_eq!(shop.pay_whole(&whole).await.unwrap_err().reason, "INVOICE_NOT_OPEN");
    let labels: Vec<_> =
        shop.world.subscription(all[2].id).await.method.map(|method| method.label).into_iter().collect();
    assert_eq!(labels, ["Visa ending 4242"], "what paid is what all of them are charged to");
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn a_page_for_the_whole_is_paid_with_other_invoices_and_a_part_is_never_paid_alone() {
    let shop = shop().await;
    let (_, parts) = shop.owing(GOOD).await;
    let (whole, _) = shop.world.whole(&parts[0]).await;
    let other = shop.world.order(whole.account, offer(100, Term::MONTH)).await.order.invoice.unwrap();
    let (shop, owner) = (&shop, Some(whole.account));
    let pay = |ids: Vec<InvoiceId>| async move {
        let (payment, _) = shop
            .world
            .billing
            .pay_invoices(shop.world.brand, &ids, owner, HostedPage::any(address(), address()))
            .await
            .unwrap();
        shop.payment(payment).await
    };
    let (whole_id, second) = (parts[0].known_as(), parts[1].id);
    let all = pay(vec![whole_id, other]).await;
    assert_eq!((all.amount, all.shares.len()), (eur(3997), 4));
    let by_part = pay(vec![second, whole_id]).await;
    assert_eq!((by_part.amount, by_part.shares.len()), (eur(3897), 3));
}

#[tokio::test]
async fn case_030_it_is_the_whole_that_has_to_be_enough_for_a_payment() {
    let shop = shop().await;
    let all = shop.household_on(GOOD).await;
    // More than each part of 12.99, less than all three.
    shop.world.charge_at_least(1_500).await;
    let parts = shop.world.billed(&all).await;
    assert!(parts.iter().all(|part| part.carried_at.is_none()), "{parts:#?}");
    shop.next_steps(parts[0].due_at.unwrap()).await;
    let (whole, _) = shop.world.whole(&parts[0]).await;
    assert_eq!((whole.state, shop.payments_of(whole.id).await.len()), (State::Closed, 1));
    shop.world.assert_sound().await;
}

#[tokio::test]
async fn case_030_a_whole_that_is_too_small_is_served_and_charged_with_the_next_one() {
    let shop = shop().await;
    let world = &shop.world;
    let all = shop.household_on(GOOD).await;
    world.charge_at_least(5_000).await;
    let parts = world.billed(&all).await;
    assert_eq!(parts.iter().filter(|part| part.carried_at == Some(world.now())).count(), 3);
    assert_eq!(world.lives(&all).await, [Life::Active; 3], "served as if paid");
    let next = world.subscription(all[2].id).await.paid_through.unwrap();
    assert!(next > all[2].paid_through.unwrap());
    let refused = shop.pay_whole(&world.whole(&parts[0]).await.0).await.unwrap_err();
    assert_eq!(refused.reason, "AMOUNT_CARRIED_FORWARD");
    world.assert_sound().await;

    shop.next_steps(next).await;
    for subscription in &all {
        assert_eq!(world.all_open(subscription.id).await, [], "the old and the new are paid");
        assert!(world.subscription(subscription.id).await.paid_through.unwrap() > next);
    }
    assert_eq!(world.groups().await, (2, 6));
    let (old, _) = world.whole(&parts[0]).await;
    let payments = shop.payments_of(old.id).await;
    assert_eq!(payments.iter().map(|paid| (paid.amount, paid.shares.len())).collect::<Vec<_>>(), [(eur(7794), 6)]);
    assert_eq!(shop.charges(payments[0].id).await, (1, 1));
    assert_eq!(shop.balance("receivable").await, 0);
    world.assert_sound().await;
}

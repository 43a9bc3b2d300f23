//! The time machine: what it predicts is what happens, and nothing of it is seen outside.

use std::collections::{BTreeMap, HashSet};

use billing::app::Billing;
use billing::app::payment::open_checkout;
use billing::app::settlement::SettledPayment;
use billing::app::time_machine::{Journey, SCRATCH, Watcher, happened, known_tables};
use billing::app::wallet::Grant;
use billing::domain::payment::State as PaymentState;
use billing::domain::subscription::Method;
use billing::domain::time_machine::entry::{Entry, Kind};
use billing::domain::time_machine::{Assumption, Class, NewPrice, Scenario};
use billing::store;
use billing::store::time_machine::Since;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use ottery_kernel::{BrandId, PaymentMethodId, SubscriptionId, Term, TermUnit};
use ottery_kit::clock::set_brand_clock;
use ottery_kit::db;
use ottery_kit::keyring::Place;
use ottery_kit::secret::Secret;
use ottery_testkit::TestDatabase;
use ottery_testkit::database::scratch_database;
use sqlx::Row as _;
use uuid::Uuid;

use crate::shop::{Shop, config, shop};
use crate::world::{World, eur, offer, profile, week, world};

const GOOD: usize = 0;
const SOFT: usize = 1;
const HARD: usize = 2;
const CONFIRMS: usize = 3;
/// Cards of the sandbox that succeed on the page, and then do as these say.
const CARDS: [&str; 4] = ["4242424242424242", "4000000000000341", "4000000000009987", "4000000000003220"];

const HALF_DAY: TimeDelta = TimeDelta::hours(12);

pub struct Silently;

#[async_trait::async_trait]
impl Watcher for Silently {
    async fn passed(&mut self, _: DateTime<Utc>) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Gives billing a scratch database.
pub async fn with_scratch(billing: &mut Billing) -> TestDatabase {
    let scratch = scratch_database(SCRATCH).await;
    billing.host.db = billing.host.db.clone().with_database(SCRATCH, &scratch.name);
    scratch
}

/// A copy of the brand's book, lived through so many days, and what came of it.
pub async fn journey(world: &World, scenario: &Scenario, days: i64) -> (Journey, Vec<Entry>) {
    let journey = Journey::begin(&world.billing, world.brand, scenario.assumption).await.expect("a copy");
    journey.arrange(scenario).await.expect("arranged");
    let to = journey.begins + TimeDelta::days(days);
    journey.live_until(to, TimeDelta::hours(1), &mut Silently).await.expect("lived through");
    let entries = journey.entries(None).await.expect("readable");
    (journey, sorted(entries))
}

fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by(|a, b| (a.kind, &a.key).cmp(&(b.kind, &b.key)));
    entries
}

fn of(entries: &[Entry], kind: Kind) -> Vec<&Entry> {
    entries.iter().filter(|entry| entry.kind == kind).collect()
}

struct Token {
    text: Secret,
    provider_account: Uuid,
    label: String,
}

impl Shop {
    /// The provider's token of a card, saved on its page.
    async fn token(&self, card: &str) -> Token {
        let (payment, page) = self.order().await;
        if self.card(&page, card).await == 200 {
            let form = [("decision", "confirm")];
            self.http.post(format!("{page}/authenticate")).form(&form).send().await.expect("answers");
        }
        self.later().await;
        let payment = self.payment(payment.id).await;
        assert_eq!(payment.state, PaymentState::Succeeded);
        let saved = sqlx::query(
            "SELECT m.id, m.token_sealed, m.provider_account_id, m.label FROM payment_method m WHERE m.account_id = $1",
        )
        .bind(payment.account.as_uuid())
        .fetch_one(&self.world.database.admin_pool)
        .await
        .expect("the card was saved");
        let keyring = &self.world.billing.host.keyring;
        let text = keyring.open_text(&self.sealed_in(saved.get("id")), saved.get("token_sealed")).expect("opens");
        Token { text, provider_account: saved.get("provider_account_id"), label: saved.get("label") }
    }

    fn sealed_in(&self, row: Uuid) -> Place<'static> {
        Place { table: "billing.payment_method", column: "token_sealed", row, brand: Some(self.world.brand) }
    }

    /// A customer with a paid subscription, and a saved card unless none is given.
    async fn customer(&self, what: billing::domain::offer::Offer, token: Option<&Token>) -> SubscriptionId {
        let world = &self.world;
        let placed = world.order(world.account(), what).await;
        let invoice = world.invoice_of(&placed).await;
        let mut paid = world.payment_of(&invoice);
        if let Some(token) = token {
            let id = PaymentMethodId::new(world.now());
            let sealed = world.billing.host.keyring.seal(&self.sealed_in(id.as_uuid()), token.text.expose().as_bytes());
            sqlx::query(
                "INSERT INTO payment_method (id, brand_id, account_id, provider_account_id, token_sealed, token_hash, \
                                             label, is_default, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, false, $8)",
            )
            .bind(id.as_uuid())
            .bind(world.brand.as_uuid())
            .bind(placed.order.account.as_uuid())
            .bind(token.provider_account)
            .bind(sealed)
            .bind(id.as_uuid().as_bytes().as_slice())
            .bind(&token.label)
            .bind(world.now())
            .execute(&world.database.admin_pool)
            .await
            .expect("saved");
            paid.method = Some(Method { id, label: token.label.clone() });
        }
        world.settle(&paid).await;
        placed.order.subscription
    }

    /// The `n`th customer; they are of sixteen kinds.
    async fn seed(&self, n: usize, tokens: &[Token]) {
        let world = &self.world;
        let staff = ottery_testkit::actor::owner(world.brand);
        let month = || offer(1190 + i64::try_from(n % 7).unwrap() * 100, Term::MONTH);
        match n % 16 {
            0 => {
                world.trial(world.account(), month()).await.expect("a trial");
            }
            1 => {
                self.customer(offer(9900, Term::YEAR), Some(&tokens[GOOD])).await;
            }
            2 => {
                self.customer(offer(390, week()), Some(&tokens[GOOD])).await;
            }
            3 => {
                let id = self.customer(month(), Some(&tokens[GOOD])).await;
                world.billing.cancel(world.brand, id, None, "", &staff).await.expect("cancelled");
            }
            4 => {
                let id = self.customer(month(), Some(&tokens[GOOD])).await;
                let account = world.subscription(id).await.account;
                let expires_at = Some(world.now() + TimeDelta::days(20 + i64::try_from(n % 60).unwrap()));
                let grant =
                    Grant { account, amount: eur(500), reason: "An evening without picture".into(), expires_at };
                world.billing.grant_credit(&staff, world.brand, grant, None).await.expect("granted");
            }
            5 => {
                self.customer(month(), None).await;
            }
            6..=8 => {
                // The card was refused for the week, and will be for the two months.
                let token = &tokens[[HARD, SOFT, CONFIRMS][n % 16 - 6]];
                let known = world.subscription(self.customer(offer(390, week()), Some(token)).await).await;
                let months = Term::try_new(2, TermUnit::Month).expect("two months are a term");
                let placed = world.order(known.account, offer(2180, months)).await;
                let paid = world.payment_of(&world.invoice_of(&placed).await);
                world.settle(&SettledPayment { method: known.method, ..paid }).await;
            }
            9 => {
                world.order(world.account(), month()).await;
            }
            10 => {
                let id = self.customer(month(), Some(&tokens[GOOD])).await;
                world.billing.pause(world.brand, id, None, 25, &staff).await.expect("paused");
            }
            11 => {
                // More than was asked for: the rest is in the wallet and pays a part of the next one.
                let placed = world.order(world.account(), month()).await;
                let invoice = world.invoice_of(&placed).await;
                let much = eur(invoice.totals.total.minor + 700);
                world.settle(&world.payment(&invoice, much, much)).await;
            }
            _ => {
                self.customer(month(), Some(&tokens[GOOD])).await;
            }
        }
    }

    /// Moves the brand's test clock, and waits for the running service.
    async fn pass(&self, to: DateTime<Utc>) {
        self.world.host.clock.set(to);
        let mut tx = self.world.tx().await;
        set_brand_clock(&mut tx, self.world.brand, to).await.expect("moved");
        tx.commit().await.expect("committed");
        self.idle(to).await;
    }

    /// Until the running service has nothing left to do for the brand, as a test clock's advance waits for it.
    async fn idle(&self, now: DateTime<Utc>) {
        let mut quiet = 0;
        while quiet < 2 {
            // The workers of credits and revenue look once in a while only; these are what they call.
            self.world.billing.expire_all().await.expect("expired");
            self.world.billing.recognise_all().await.expect("recognised");
            let left = self.world.billing.still_due(self.world.brand, now).await.expect("the service answers");
            quiet = if left.is_none() { quiet + 1 } else { 0 };
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        }
    }

    async fn calls(&self) -> i64 {
        self.look("payments/charges").await["count"].as_i64().expect("a number")
    }

    async fn last_event(&self) -> i64 {
        let admin = &self.world.database.admin_pool;
        sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM outbox").fetch_one(admin).await.expect("readable")
    }
}

/// What the rows of a book amount to, without the ids that each run makes up.
async fn book(billing: &Billing, brand: BrandId) -> BTreeMap<String, String> {
    let mut tx = db::begin(&billing.pool, db::Scope::Brand(brand)).await.expect("a transaction");
    let mut book = BTreeMap::new();
    let rows = sqlx::query(
        "SELECT 'subscription ' || id AS key,
                concat_ws(' ', state, cause, state_since, grace_until, period_start, period_end, paid_through, cancel_at,
                          ended_at, periods_paid, payment_method_id) AS value
           FROM subscription
         UNION ALL
         SELECT concat_ws(' ', 'invoice', subscription_id, purpose, period_start, issued_at),
                concat_ws(' ', state, total_minor, tax_minor, currency, due_at, closed_at, reminders_done, charges_made)
           FROM invoice
         UNION ALL
         SELECT 'customer ' || account_id, concat_ws(' ', contacted_at, first_settled_at) FROM customer
         UNION ALL
         SELECT 'next ' || subscription_id, due_at::text FROM due",
    )
    .fetch_all(&mut *tx)
    .await
    .expect("readable");
    for row in rows {
        let (key, value): (String, String) = (row.get("key"), row.get("value"));
        assert_eq!(book.insert(key.clone(), value), None, "{key} is there twice");
    }
    let mut balances: BTreeMap<String, i64> = BTreeMap::new();
    for balance in store::ledger::balances(&mut tx).await.expect("readable") {
        // What the provider keeps is not assumed; what it owes and what it kept is the same together.
        let account = balance.account.replace("provider_fees:", "provider:");
        *balances.entry(format!("balance {account} {}", balance.debits.currency)).or_default() +=
            balance.debits.minor - balance.credits.minor;
    }
    book.extend(balances.into_iter().map(|(account, minor)| (account, minor.to_string())));
    book
}

/// The requirement: 1,000 subscriptions of every kind, predicted, and then lived through by the running service, its charges
/// made by the simulated provider.
#[tokio::test]
async fn what_is_predicted_for_a_thousand_subscriptions_is_what_advancing_the_test_clock_does() {
    let mut shop = shop().await;
    let _scratch = with_scratch(&mut shop.world.billing).await;
    let mut tokens = Vec::new();
    for card in CARDS {
        tokens.push(shop.token(card).await);
    }
    let mut settings = config();
    settings.renewals.poll_ms = 5;
    settings.payments.poll_ms = 20;
    // Somebody listens, so that what is told can be sent.
    let _told = shop.world.host.record(&["billing.#"]).await;
    let service = billing::build(settings, shop.world.host.of(billing::NAME)).await.expect("billing starts");
    let _running = shop.world.host.start(vec![service]).await;

    shop.pass(shop.world.now()).await;
    // A month in which a thousand come, and three weeks in which every card that will be refused was refused once.
    for day in 0..25 {
        let today = (day * 40)..((day + 1) * 40);
        futures::stream::iter(today).for_each_concurrent(4, |n| shop.seed(n, &tokens)).await;
        shop.pass(shop.world.now() + TimeDelta::days(1)).await;
    }
    for _ in 0..21 {
        shop.pass(shop.world.now() + TimeDelta::days(1)).await;
    }
    let world = &shop.world;
    let begins = world.now();

    // Predicted …
    let known = store::time_machine::known(&mut world.tx().await, begins).await.unwrap();
    let since = Since { at: begins, event: shop.last_event().await };
    let (calls, before) = (shop.calls().await, book(&world.billing, world.brand).await);
    let to = begins + TimeDelta::days(42);
    let journey = Journey::begin(&world.billing, world.brand, Assumption::AsBefore).await.expect("a copy");
    assert_eq!(journey.begins, begins);
    assert_eq!(book(&journey.billing, world.brand).await, before, "the copy is the book");
    journey.live_until(to, HALF_DAY, &mut Silently).await.expect("lived through");
    let predicted = sorted(journey.entries(None).await.expect("readable"));

    // … without anybody noticing.
    assert_eq!(shop.calls().await, calls, "the provider was called");
    assert_eq!(shop.last_event().await, since.event, "something was told");
    assert_eq!(book(&world.billing, world.brand).await, before, "the book was changed");

    // And then it happens.
    let mut now = begins;
    while now < to {
        now += HALF_DAY;
        shop.pass(now).await;
    }
    let happened = sorted(happened(&world.database.pool, world.brand, &known, since, None).await.expect("readable"));
    let kinds = |entries: &[Entry]| -> BTreeMap<Kind, usize> {
        Kind::ALL.into_iter().map(|kind| (kind, of(entries, kind).len())).collect()
    };
    assert_eq!(kinds(&predicted), kinds(&happened));
    for (predicted, happened) in predicted.iter().zip(&happened) {
        assert_eq!(predicted, happened);
    }
    assert_eq!(book(&journey.billing, world.brand).await, book(&world.billing, world.brand).await);
    // It is a month in which everything happens.
    let outcomes = |kind| -> HashSet<&str> { of(&happened, kind).iter().map(|entry| entry.outcome.as_str()).collect() };
    for kind in [Kind::Invoice, Kind::Charge, Kind::Suspension, Kind::End] {
        assert!(of(&happened, kind).len() > 50, "{kind:?}: {}", of(&happened, kind).len());
    }
    let charges = outcomes(Kind::Charge);
    for outcome in ["succeeded", "declined_soft", "declined_hard", "must_confirm"] {
        assert!(charges.contains(outcome), "{charges:?}");
    }
    journey.end().await.unwrap();
}

/// Customers with several subscriptions that are due on one day: with good cards, with cards that are refused or want to be confirmed,
/// with money in the wallet, late, about to end, and one who is billed apart.
async fn households(shop: &Shop, tokens: &[Token]) {
    let world = &shop.world;
    let staff = ottery_testkit::actor::owner(world.brand);
    for n in 0..24_usize {
        let token = match n % 6 {
            0 | 1 => Some(&tokens[GOOD]),
            2 => Some(&tokens[SOFT]),
            3 => Some(&tokens[HARD]),
            4 => Some(&tokens[CONFIRMS]),
            _ => None,
        };
        // The card is known by a week it paid or was refused for, before what is predicted begins.
        let first = shop.customer(offer(390, week()), token).await;
        let known = world.subscription(first).await;
        let mut last = first;
        for (minor, term) in [(400, week()), (990, Term::MONTH), (1190, Term::MONTH)] {
            let placed = world.order(known.account, offer(minor, term)).await;
            let paid = world.payment_of(&world.invoice_of(&placed).await);
            world.settle(&SettledPayment { method: known.method.clone(), ..paid }).await;
            last = placed.order.subscription;
        }
        match n {
            6 | 11 => {
                let grant = Grant {
                    account: known.account,
                    amount: eur(2_500),
                    reason: "An evening without picture".into(),
                    expires_at: Some(world.now() + TimeDelta::days(30)),
                };
                world.billing.grant_credit(&staff, world.brand, grant, None).await.expect("granted");
            }
            7 => {
                world.billing.cancel(world.brand, last, None, "", &staff).await.expect("cancelled");
            }
            12 => {
                let own = Some(false);
                world.billing.put_customer_invoicing(&staff, world.brand, known.account, own).await.expect("chosen");
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn what_is_predicted_for_consolidated_invoices_is_what_advancing_the_test_clock_does() {
    let mut shop = shop().await;
    let _scratch = with_scratch(&mut shop.world.billing).await;
    let mut tokens = Vec::new();
    for card in CARDS {
        tokens.push(shop.token(card).await);
    }
    shop.world.consolidate(true).await;
    let mut settings = config();
    settings.renewals.poll_ms = 5;
    settings.payments.poll_ms = 20;
    let _told = shop.world.host.record(&["billing.#"]).await;
    let service = billing::build(settings, shop.world.host.of(billing::NAME)).await.expect("billing starts");
    let _running = shop.world.host.start(vec![service]).await;
    shop.pass(shop.world.now()).await;
    households(&shop, &tokens).await;
    // Weeks in which every card that will be refused is refused for the first time.
    for _ in 0..24 {
        shop.pass(shop.world.now() + HALF_DAY).await;
    }
    let world = &shop.world;
    let begins = world.now();
    let groups = world.groups().await;
    assert!(groups.0 > 10, "{groups:?}");

    let known = store::time_machine::known(&mut world.tx().await, begins).await.unwrap();
    let since = Since { at: begins, event: shop.last_event().await };
    let (calls, before) = (shop.calls().await, book(&world.billing, world.brand).await);
    let to = begins + TimeDelta::days(42);
    let journey = Journey::begin(&world.billing, world.brand, Assumption::AsBefore).await.expect("a copy");
    journey.live_until(to, HALF_DAY, &mut Silently).await.expect("lived through");
    let predicted = sorted(journey.entries(None).await.expect("readable"));
    let foreseen = wholes(&journey.billing, world.brand).await;
    assert_eq!(shop.calls().await, calls, "the provider was called");
    assert_eq!(book(&world.billing, world.brand).await, before, "the book was changed");

    let mut now = begins;
    while now < to {
        now += HALF_DAY;
        shop.pass(now).await;
    }
    let happened = sorted(happened(&world.database.pool, world.brand, &known, since, None).await.expect("readable"));
    for (predicted, happened) in predicted.iter().zip(&happened) {
        assert_eq!(predicted, happened);
    }
    assert_eq!(predicted.len(), happened.len());
    assert_eq!(book(&journey.billing, world.brand).await, book(&world.billing, world.brand).await);
    // The same ones are on one paper, too: which subscriptions, in which order, due when.
    let really = wholes(&world.billing, world.brand).await;
    assert_eq!(foreseen, really);
    assert!(i64::try_from(really.len()).unwrap() > groups.0 + 40, "{} wholes, {groups:?} before", really.len());
    let outcomes: HashSet<&str> = of(&happened, Kind::Charge).iter().map(|entry| entry.outcome.as_str()).collect();
    for outcome in ["succeeded", "declined_soft", "declined_hard", "must_confirm"] {
        assert!(outcomes.contains(outcome), "{outcomes:?}");
    }
    for kind in [Kind::Suspension, Kind::End, Kind::Mail] {
        assert_eq!(of(&predicted, kind).is_empty(), of(&happened, kind).is_empty());
    }
    assert!(!of(&happened, Kind::Suspension).is_empty() && !of(&happened, Kind::End).is_empty());
    journey.end().await.unwrap();
}

/// The consolidated invoices of a book by what they are made of, each once.
async fn wholes(billing: &Billing, brand: BrandId) -> Vec<String> {
    let mut tx = db::begin(&billing.pool, db::Scope::Brand(brand)).await.expect("a transaction");
    sqlx::query_scalar(
        "SELECT string_agg(concat_ws(' ', part, subscription_id, period_start, total_minor, due_at, issued_at), ', ' ORDER BY part)
           FROM invoice WHERE group_id IS NOT NULL GROUP BY group_id ORDER BY 1",
    )
    .fetch_all(&mut *tx)
    .await
    .expect("readable")
}

#[tokio::test]
async fn the_role_of_the_copy_reaches_its_database_and_nothing_else() {
    let mut world = world().await;
    let scratch = with_scratch(&mut world.billing).await;
    let own = world.billing.host.db.options(SCRATCH).unwrap();
    for other in [world.database.name.as_str(), "template1"] {
        let connected = sqlx::postgres::PgPoolOptions::new().connect_with(own.clone().database(other)).await;
        let Err(error) = connected else {
            // What an administrator leaves open to everybody holds nothing of ours.
            assert_eq!(other, "template1");
            continue;
        };
        let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{error}");
    }
    let rights: (bool, bool, bool, bool, i64) = sqlx::query_as(
        "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole,
                (SELECT count(*) FROM pg_auth_members m WHERE m.member = r.oid)
           FROM pg_roles r WHERE rolname = current_user",
    )
    .fetch_one(&scratch.pool)
    .await
    .unwrap();
    assert_eq!(rights, (false, false, false, false, 0));
    // And nobody else's role gets in there.
    let theirs = world.billing.host.db.options(billing::NAME).unwrap().database(&scratch.name);
    assert!(sqlx::postgres::PgPoolOptions::new().connect_with(theirs).await.is_err());
}

#[tokio::test]
async fn a_copy_has_no_row_of_another_brand_and_no_secret() {
    let mut shop = shop().await;
    let scratch = with_scratch(&mut shop.world.billing).await;
    shop.token(CARDS[GOOD]).await;
    // Somebody else on the same installation.
    let mine = shop.world.brand;
    let other = BrandId::new(shop.world.now());
    shop.world.brand = other;
    shop.world.know(&profile(other, shop.world.now())).await;
    shop.account.clear();
    shop.account = shop.put_account(&[crate::shop::SECRET]).await;
    shop.token(CARDS[GOOD]).await;
    shop.world.brand = mine;

    let journey = Journey::begin(&shop.world.billing, mine, Assumption::Succeed).await.expect("a copy");
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'brand_id'
          WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND NOT c.relispartition",
    )
    .fetch_all(&scratch.admin_pool)
    .await
    .unwrap();
    let mut copied = 0;
    for table in tables {
        let sql = format!("SELECT count(*), count(*) FILTER (WHERE brand_id <> $1) FROM {table}");
        let (all, foreign): (i64, i64) =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(mine.as_uuid()).fetch_one(&scratch.admin_pool).await.unwrap();
        assert_eq!(foreign, 0, "{table}");
        copied += all;
    }
    assert!(copied > 10, "{copied} rows are no book");
    // The wall stands in the copy as well.
    let mut stranger = db::begin(&journey.billing.pool, db::Scope::Brand(other)).await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM subscription").fetch_one(&mut *stranger).await.unwrap();
    assert_eq!(seen, 0);
    drop(stranger);

    let secrets: Vec<(Vec<u8>, Vec<u8>)> = sqlx::query_as(
        "SELECT m.token_sealed, p.api_key_sealed FROM payment_method m JOIN provider_account p ON p.id = m.provider_account_id",
    )
    .fetch_all(&scratch.admin_pool)
    .await
    .unwrap();
    let real: Vec<(Vec<u8>, Vec<u8>)> = sqlx::query_as(
        "SELECT m.token_sealed, p.api_key_sealed FROM payment_method m JOIN provider_account p ON p.id = m.provider_account_id",
    )
    .fetch_all(&shop.world.database.admin_pool)
    .await
    .unwrap();
    assert_eq!((secrets.len(), real.len()), (1, 2));
    assert!(real.iter().all(|(token, key)| *token != secrets[0].0 && *key != secrets[0].1));
    journey.end().await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        .fetch_one(&scratch.admin_pool)
        .await
        .unwrap();
    assert_eq!(left, 0, "nothing stays");
}

#[tokio::test]
async fn every_table_is_copied_or_left_behind_for_a_reason() {
    let world = world().await;
    let tables: HashSet<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class
          WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
            AND relname <> '_sqlx_migrations'",
    )
    .fetch_all(&world.database.admin_pool)
    .await
    .unwrap()
    .into_iter()
    .collect();
    let known: HashSet<String> = known_tables().into_iter().map(str::to_owned).collect();
    let unknown: Vec<_> = tables.difference(&known).collect();
    assert!(unknown.is_empty(), "say in app/time_machine/copy.rs whether these are copied: {unknown:?}");
    let gone: Vec<_> = known.difference(&tables).collect();
    assert!(gone.is_empty(), "app/time_machine/copy.rs names tables that are no more: {gone:?}");
}

#[tokio::test]
async fn who_takes_the_scratch_database_cuts_off_who_had_it() {
    let mut world = world().await;
    let _scratch = with_scratch(&mut world.billing).await;
    world.subscriber(1190, Term::MONTH).await;
    let first = Journey::begin(&world.billing, world.brand, Assumption::Succeed).await.expect("a copy");
    let second = Journey::begin(&world.billing, world.brand, Assumption::Succeed).await.expect("a copy");
    let to = first.begins + TimeDelta::days(40);
    assert!(first.live_until(to, TimeDelta::hours(1), &mut Silently).await.is_err(), "it was cut off");
    second.live_until(to, TimeDelta::hours(1), &mut Silently).await.expect("nobody disturbed it");
    assert_eq!(of(&second.entries(None).await.unwrap(), Kind::Invoice).len(), 1);
    second.end().await.unwrap();
}

#[tokio::test]
async fn settings_that_are_tried_change_what_happens_and_nothing_else() {
    let mut world = world().await;
    let _scratch = with_scratch(&mut world.billing).await;
    let subscription = world.subscriber(1190, Term::MONTH).await;
    let end = subscription.paid_through.unwrap();
    let as_it_is = Scenario::unchanged(Assumption::Succeed);
    let (journey, entries) = journey_of(&world, &as_it_is).await;
    let suspended = of(&entries, Kind::Suspension);
    assert_eq!((suspended.len(), suspended[0].outcome.as_str()), (1, "unpaid"));
    assert!(suspended[0].at - (end + TimeDelta::days(3)) < TimeDelta::hours(1), "{:?}", suspended[0]);
    journey.end().await.unwrap();

    let patient = Scenario { grace_days: Some(10), ..as_it_is.clone() };
    let (journey, entries) = journey_of(&world, &patient).await;
    let later = of(&entries, Kind::Suspension);
    assert!(later[0].at - (end + TimeDelta::days(10)) < TimeDelta::hours(1), "{:?}", later[0]);
    journey.end().await.unwrap();

    let new = NewPrice { price: subscription.offer.price_id, amount_minor: 1490, notice_days: 14 };
    let dearer = Scenario { prices: vec![new], ..as_it_is.clone() };
    let (journey, entries) = journey_of(&world, &dearer).await;
    let invoices = of(&entries, Kind::Invoice);
    assert_eq!(invoices[0].amount, Some(eur(1490)));
    journey.end().await.unwrap();

    let unknown = NewPrice { price: ottery_kernel::PriceId::new(world.now()), ..new };
    let journey = Journey::begin(&world.billing, world.brand, Assumption::Succeed).await.unwrap();
    let refused = journey.arrange(&Scenario { prices: vec![unknown], ..as_it_is }).await.unwrap_err();
    assert_eq!(refused.reason, "PRICE_NOT_IN_USE");
    journey.end().await.unwrap();
    // Nothing of it is in the book.
    assert_eq!(world.subscription(subscription.id).await, subscription);
    assert!(world.open_invoice(subscription.id).await.is_none());
    world.assert_sound().await;
}

async fn journey_of(world: &World, scenario: &Scenario) -> (Journey, Vec<Entry>) {
    journey(world, scenario, 60).await
}

#[tokio::test]
async fn charges_on_their_way_end_as_is_assumed_and_open_pages_stay_open() {
    let mut shop = shop().await;
    let _scratch = with_scratch(&mut shop.world.billing).await;
    let payment = shop.paid_with(CARDS[GOOD]).await;
    let subscription = shop.world.subscription(payment.subscription.unwrap()).await;
    // The renewal is charged, and nobody has made the call yet.
    shop.world.advance_to(subscription.paid_through.unwrap()).await;
    let (waiting, _) = shop.order().await;
    open_checkout(&shop.world.billing, shop.world.brand, waiting.id).await.expect("its page is open");
    for (assumption, outcome) in [
        (Assumption::Succeed, "succeeded"),
        (Assumption::Decline { class: Class::Hard }, "declined_hard"),
        (Assumption::AsBefore, "succeeded"),
        (Assumption::Share { declined_bp: 10_000, class: Class::Soft, seed: 7 }, "declined_soft"),
    ] {
        let (journey, entries) = journey(&shop.world, &Scenario::unchanged(assumption), 1).await;
        let charges = of(&entries, Kind::Charge);
        assert_eq!(charges.len(), 1, "{charges:?}");
        assert_eq!(charges[0].outcome, outcome);
        let invoices = of(&entries, Kind::Invoice);
        assert!(invoices.iter().all(|invoice| !invoice.key.contains(" first ")), "{invoices:?}");
        journey.end().await.unwrap();
    }
}

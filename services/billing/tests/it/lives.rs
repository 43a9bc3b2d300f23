//! Random lives of customers through the database: whatever they do, the books balance, what was shown is what is charged, and
//! no period is billed twice. The same without a database, and a hundred thousand times as often: `src/app/renewals/lives.rs`.

use std::collections::HashMap;

use billing::domain::coupon::{Benefit, Coupon, Lasting};
use billing::domain::invoice::{Invoice, Purpose};
use billing::domain::rules::InvoiceRules;
use billing::domain::subscription::{State, Subscription};
use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{AccountId, Currency, Money, SubscriptionId, Term};
use ottery_testkit::actor;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::top_ups::page;
use crate::world::{World, offer, placing, week, world};

const DEEDS_VARIABLE: &str = "OTTERY_LIVES_DEEDS";
const DEEDS: usize = 240;
/// Doctor and plans are asked so often.
const LOOK_EVERY: usize = 12;

#[derive(Clone, Debug)]
enum Deed {
    Order { minor: i64, weekly: bool, coupon: bool },
    Pay { which: usize, part: i64 },
    PayTooMuch { which: usize },
    NextDue,
    Wait { hours: i64 },
    RenewEarly { which: usize },
    Cancel { which: usize },
    Resume { which: usize },
    Suspend { which: usize },
    Unsuspend { which: usize },
    Pause { which: usize },
    Unpause { which: usize },
    TopUp { which: usize, minor: i64, is_paid: bool },
}

fn deed() -> impl Strategy<Value = Deed> {
    let which = 0_usize..64;
    prop_oneof![
        2 => (100_i64..5_000, any::<bool>(), any::<bool>())
            .prop_map(|(minor, weekly, coupon)| Deed::Order { minor, weekly, coupon }),
        8 => (which.clone(), prop_oneof![4 => Just(100_i64), 1 => 1_i64..100]).prop_map(|(which, part)| Deed::Pay { which, part }),
        1 => which.clone().prop_map(|which| Deed::PayTooMuch { which }),
        10 => Just(Deed::NextDue),
        2 => (1_i64..200).prop_map(|hours| Deed::Wait { hours }),
        2 => which.clone().prop_map(|which| Deed::RenewEarly { which }),
        1 => which.clone().prop_map(|which| Deed::Cancel { which }),
        2 => which.clone().prop_map(|which| Deed::Resume { which }),
        1 => which.clone().prop_map(|which| Deed::Suspend { which }),
        1 => which.clone().prop_map(|which| Deed::Unsuspend { which }),
        1 => which.clone().prop_map(|which| Deed::Pause { which }),
        2 => which.clone().prop_map(|which| Deed::Unpause { which }),
        2 => (which, 500_i64..3_000, prop_oneof![3 => Just(true), 1 => Just(false)])
            .prop_map(|(which, minor, is_paid)| Deed::TopUp { which, minor, is_paid }),
    ]
}

struct Town {
    world: World,
    accounts: Vec<AccountId>,
    subscriptions: Vec<SubscriptionId>,
}

impl Town {
    async fn live(&mut self, deed: &Deed) {
        match *deed {
            Deed::Order { minor, weekly, coupon } => self.order(minor, weekly, coupon).await,
            Deed::Pay { which, part } => {
                if let Some(invoice) = self.open(which).await {
                    let left = invoice.remaining().unwrap();
                    let amount = Money::new((left.minor * part / 100).max(1), left.currency);
                    self.world.settle(&self.world.payment(&invoice, amount, amount)).await;
                }
            }
            Deed::PayTooMuch { which } => {
                if let Some(invoice) = self.open(which).await {
                    let left = invoice.remaining().unwrap();
                    let amount = Money::new(left.minor + 2_500, left.currency);
                    self.world.settle(&self.world.payment(&invoice, amount, amount)).await;
                }
            }
            Deed::NextDue => {
                if let Some(at) = self.next_due().await {
                    self.pass(at.max(self.world.now())).await;
                }
            }
            Deed::Wait { hours } => self.pass(self.world.now() + TimeDelta::hours(hours)).await,
            Deed::RenewEarly { which } => {
                let Some(before) = self.some(which).await else { return };
                let waits = self.world.open_invoice(before.id).await.is_some();
                if self.world.billing.renew(self.world.brand, before.id, None).await.is_ok() && !waits {
                    self.renewed_as_shown(&before).await;
                }
            }
            // What the state forbids is refused, and changes nothing.
            Deed::Cancel { which } => {
                let Some(it) = self.some(which).await else { return };
                let me = actor::customer(self.world.brand, it.account);
                let _ = self.world.billing.cancel(self.world.brand, it.id, None, "", &me).await;
            }
            Deed::Resume { which } => {
                let Some(it) = self.some(which).await else { return };
                let me = actor::customer(self.world.brand, it.account);
                let _ = self.world.billing.resume(self.world.brand, it.id, None, &me).await;
            }
            Deed::Suspend { which } => {
                let Some(it) = self.some(which).await else { return };
                let _ = self.world.billing.suspend(self.world.brand, it.id, "x", &actor::owner(self.world.brand)).await;
            }
            Deed::Unsuspend { which } => {
                let Some(it) = self.some(which).await else { return };
                let _ = self.world.billing.unsuspend(self.world.brand, it.id, &actor::owner(self.world.brand)).await;
            }
            Deed::Pause { which } => {
                let Some(it) = self.some(which).await else { return };
                let staff = actor::owner(self.world.brand);
                let _ = self.world.billing.pause(self.world.brand, it.id, None, 20, &staff).await;
            }
            Deed::Unpause { which } => {
                let Some(it) = self.some(which).await else { return };
                let staff = actor::owner(self.world.brand);
                let _ = self.world.billing.unpause(self.world.brand, it.id, None, &staff).await;
            }
            Deed::TopUp { which, minor, is_paid } => {
                let account = self.accounts[which % self.accounts.len()];
                let asked =
                    self.world.ask_top_up(account, Money::new(minor, Currency::EUR), page()).await.expect("asked for");
                if is_paid {
                    self.world.settle(&self.world.payment_of(&asked.invoice)).await;
                }
            }
        }
    }

    async fn order(&mut self, minor: i64, weekly: bool, with_coupon: bool) {
        let account = self.accounts[self.subscriptions.len() % self.accounts.len()];
        let sold = billing::domain::offer::Offer {
            pause_days_max: 30,
            ..offer(minor, if weekly { week() } else { Term::MONTH })
        };
        let coupon = with_coupon.then(coupon);
        let quote = self.world.quote_with(Some(account), sold, false, coupon.as_ref()).await;
        let placed =
            self.world.billing.place_order(self.world.brand, placing(quote, account), None).await.expect("placed");
        self.subscriptions.push(placed.order.subscription);
    }

    async fn some(&self, which: usize) -> Option<Subscription> {
        let id = *self.subscriptions.get(which % self.subscriptions.len().max(1))?;
        Some(self.world.subscription(id).await)
    }

    async fn open(&self, which: usize) -> Option<Invoice> {
        self.world.open_invoice(self.some(which).await?.id).await
    }

    async fn next_due(&self) -> Option<DateTime<Utc>> {
        sqlx::query_scalar("SELECT min(due_at) FROM due WHERE due_at < 'infinity'")
            .fetch_one(&self.world.database.admin_pool)
            .await
            .unwrap()
    }

    /// Time passes, and the scheduler does what is due by then. Who is renewed is charged what was shown before.
    async fn pass(&self, at: DateTime<Utc>) {
        let mut before = HashMap::new();
        for id in &self.subscriptions {
            let subscription = self.world.subscription(*id).await;
            if matches!(subscription.state, State::Active) && self.world.open_invoice(*id).await.is_none() {
                before.insert(*id, (self.renewals_of(*id).await.len(), subscription));
            }
        }
        self.world.advance_to(at).await;
        self.world.billing.expire_all().await.expect("what is over expires");
        for (id, (count, subscription)) in before {
            // Somebody who was renewed more than once had other prices in between, when a coupon was used up.
            if self.renewals_of(id).await.len() == count + 1 {
                self.renewed_as_shown(&subscription).await;
            }
        }
    }

    async fn renewed_as_shown(&self, before: &Subscription) {
        let newest = self.renewals_of(before.id).await.into_iter().next().expect("it was renewed");
        assert_eq!(newest.totals.total, before.renewal_price().unwrap(), "{newest:#?}");
        assert_eq!(newest.period.unwrap().start(), before.paid_through.unwrap());
    }

    /// Newest first.
    async fn renewals_of(&self, id: SubscriptionId) -> Vec<Invoice> {
        let page = billing::store::Page { before: None, limit: 100 };
        let mut tx = self.world.tx().await;
        let mut invoices = billing::store::invoice::list(&mut tx, None, Some(id), page).await.unwrap();
        invoices.retain(|invoice| invoice.purpose == Purpose::Renewal);
        invoices
    }

    async fn look(&self) {
        self.world.assert_sound().await;
        let overlapping: Vec<String> = sqlx::query_scalar(
            "SELECT a.id::text FROM invoice a JOIN invoice b ON b.subscription_id = a.subscription_id AND b.id <> a.id
              WHERE a.purpose <> 'upgrade' AND b.purpose <> 'upgrade' AND a.state NOT IN ('void', 'uncollectible')
                AND b.state NOT IN ('void', 'uncollectible') AND a.period_start <= b.period_start AND b.period_start < a.period_end",
        )
        .fetch_all(&self.world.database.admin_pool)
        .await
        .unwrap();
        assert!(overlapping.is_empty(), "billed for the same time: {overlapping:?}");
        let odd: Vec<String> = sqlx::query_scalar(
            "SELECT i.id::text FROM invoice i, LATERAL (
                 SELECT sum((l->'amount'->>'minor')::bigint) AS amount, sum((l->'tax'->>'minor')::bigint) AS tax
                   FROM jsonb_array_elements(i.lines) AS l) AS lines
              WHERE (lines.amount, lines.tax) <> (i.total_minor, i.tax_minor)
                 OR (SELECT sum(a.amount_minor) FROM allocation a WHERE a.invoice_id = i.id) > i.total_minor",
        )
        .fetch_all(&self.world.database.admin_pool)
        .await
        .unwrap();
        assert!(odd.is_empty(), "invoices that do not add up: {odd:?}");
    }
}

fn coupon() -> Coupon {
    Coupon {
        id: ottery_kernel::CouponId::from_uuid(uuid::Uuid::from_u128(7)),
        code: "SUMMER".into(),
        benefit: Benefit::Fixed { amounts: vec![Money::new(77, Currency::EUR)] },
        lasting: Lasting::Periods { count: 2 },
        plans: Vec::new(),
        terms: Vec::new(),
        new_customers_only: false,
        for_orders: true,
        for_upgrades: false,
        starts_at: None,
        ends_at: None,
        uses_max: None,
        uses_per_customer_max: None,
    }
}

/// One town whose customers do these deeds, the same for the same seed.
async fn lives(seed: u8, consolidated: bool) {
    let deeds = std::env::var(DEEDS_VARIABLE).ok().and_then(|deeds| deeds.parse().ok()).unwrap_or(DEEDS);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let world = world().await;
    if consolidated {
        let rules = InvoiceRules { consolidated, ..InvoiceRules::default() };
        world.billing.put_invoice_rules(&actor::owner(world.brand), world.brand, rules).await.unwrap();
    }
    let accounts = (0..3).map(|_| world.account()).collect();
    let mut town = Town { world, accounts, subscriptions: Vec::new() };
    if consolidated {
        // Two of each, begun on one day: what random lives seldom have.
        for minor in [700, 701, 702, 1100, 1101, 1102] {
            town.order(minor, true, false).await;
            town.live(&Deed::Pay { which: town.subscriptions.len() - 1, part: 100 }).await;
        }
    }
    for n in 1..=deeds {
        let deed = deed().new_tree(&mut runner).unwrap().current();
        town.live(&deed).await;
        if n % LOOK_EVERY == 0 {
            town.look().await;
        }
    }
    town.look().await;
    let groups: i64 = sqlx::query_scalar("SELECT count(DISTINCT group_id) FROM invoice")
        .fetch_one(&town.world.database.admin_pool)
        .await
        .unwrap();
    assert_eq!(groups > 0, consolidated, "{groups} consolidated invoices");
}

#[tokio::test]
async fn whatever_customers_do_the_rows_stay_sound() {
    lives(1, false).await;
}

#[tokio::test]
async fn whatever_other_customers_do_the_rows_stay_sound() {
    lives(2, false).await;
}

#[tokio::test]
async fn whatever_customers_with_consolidated_invoices_do_the_rows_stay_sound() {
    lives(3, true).await;
}

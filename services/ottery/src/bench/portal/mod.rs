//! `ottery bench portal`: what customers and visitors wait for, in an installation with many subscriptions beside one with few.
//!
//! The whole system runs as in production, every span exported. Invoices and their postings are put into its database in sets;
//! customers who really signed in own some of them, spread over all. Then four things are asked for at a fixed rate, in turns: the
//! invoices page, the page of one invoice, the same list in the API, and a quote at the checkout. It is measured with ten thousand
//! subscriptions first, and with all of them in the same run.

mod seed;

use std::time::Duration;

use anyhow::Context;
use serde_json::{Map, Value, json};

use self::seed::Books;
use super::collector::Collector;
use super::family::Family;
use super::result::{Latency, Measured, ratio};
use super::schedule::{self, Tally};
use crate::cli::PortalOptions;
use crate::demo::Story;
use crate::demo::customer::Customer;
use crate::demo::system::System;
use crate::up;

/// The size the others are compared with.
const FEW: u32 = 10_000;
/// Customers who sign in and ask.
const CUSTOMERS: u32 = 16;
/// Not counted: connections and caches get warm.
const WARM_UP: Duration = Duration::from_secs(2);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    InvoicesPage,
    InvoicePage,
    InvoicesApi,
    Quote,
}

impl Asked {
    const ALL: [Self; 4] = [Self::InvoicesPage, Self::InvoicePage, Self::InvoicesApi, Self::Quote];

    const fn name(self) -> &'static str {
        match self {
            Self::InvoicesPage => "invoices page",
            Self::InvoicePage => "page of one invoice",
            Self::InvoicesApi => "list of invoices (API)",
            Self::Quote => "checkout quote",
        }
    }
}

/// Measures.
///
/// # Errors
/// The system does not start, or refuses what customers ask for.
pub async fn run(options: &PortalOptions) -> anyhow::Result<Measured> {
    anyhow::ensure!(options.subscriptions > 0, "--subscriptions must be at least 1");
    anyhow::ensure!(options.rate > 0.0 && options.rate.is_finite(), "--rate must be above 0");
    anyhow::ensure!(options.seconds > 0.0 && options.seconds.is_finite(), "--seconds must be above 0");
    let collector = Collector::start().await?;
    let settings = format!(
        "[gateway.http]\ntrusted_proxies = [\"127.0.0.0/8\"]\n\n[process.telemetry]\notlp_endpoint = \"{}\"\nsample_ratio = 1.0\n",
        collector.endpoint()
    );
    let story = Story::new(System::start("bench", &settings).await?);
    let outcome = measure(&story, options).await;
    let left = story.leave(outcome.is_ok()).await;
    let measured = outcome?;
    left?;
    Ok(measured)
}

/// How long one size made people wait.
struct Size {
    subscriptions: u32,
    latencies: Vec<(Asked, Latency)>,
    failures: u64,
}

async fn measure(story: &Story, options: &PortalOptions) -> anyhow::Result<Measured> {
    let mut customers = Vec::new();
    for n in 0..CUSTOMERS {
        let customer = Customer::sign_up(story, None).await?;
        let door = customer.door.clone().behind_proxy_from(format!("198.18.0.{}", n + 1));
        customers.push(Customer { door, ..customer });
    }
    let price = story.monthly("solo").await?.0;
    let pid = story.system.pid().context("the private system has ended")?;
    let mut books = Books::open(&up::database_of(&story.system.folder)?, &story.system.people.brand_id).await?;
    let mut sizes = Vec::new();
    let mut usage = None;
    let mut few_and_all = vec![FEW.min(options.subscriptions)];
    few_and_all.extend((options.subscriptions > FEW).then_some(options.subscriptions));
    for subscriptions in few_and_all {
        eprintln!("ottery: {subscriptions} subscriptions with invoices are being made");
        books.grow_to(subscriptions, &customers).await?;
        eprintln!("ottery: customers look at them");
        let used = Family::of(pid)?;
        sizes.push(size(options, &customers, &books, &price, subscriptions).await?);
        usage = Some(Family::of(pid)?.total().since(used.total()));
    }
    books.close().await?;
    let (few, all) = (sizes.first().context("there is a first size")?, sizes.last().context("there is a last size")?);
    // What got slowest, compared with few.
    let worst = few
        .latencies
        .iter()
        .zip(&all.latencies)
        .max_by(|(a, b), (c, d)| ratio(b.1.p99_ms, a.1.p99_ms).total_cmp(&ratio(d.1.p99_ms, c.1.p99_ms)));
    let (before, (asked, latency)) = worst.context("something is asked for")?;
    let details = Map::from_iter([
        ("goal".to_owned(), json!({"ratio": "at most 2"})),
        ("value_is".to_owned(), json!(asked.name())),
        ("sizes".to_owned(), sizes.iter().map(Size::to_json).collect::<Value>()),
        ("rate_per_second".to_owned(), json!(options.rate)),
        ("customers".to_owned(), json!(CUSTOMERS)),
        ("invoices_of_each".to_owned(), json!(seed::INVOICES_EACH)),
    ]);
    Ok(Measured {
        value: latency.p99_ms,
        unit: "ms (p99 of what slowed down most); limit: the same with 10000 subscriptions",
        limit: before.1.p99_ms,
        latency: *latency,
        usage: usage.context("something was measured")?,
        failures: sizes.iter().map(|size| size.failures).sum(),
        details,
    })
}

impl Size {
    fn to_json(&self) -> Value {
        let each: Map<_, _> =
            self.latencies.iter().map(|(asked, latency)| (asked.name().to_owned(), json!(latency))).collect();
        json!({"subscriptions": self.subscriptions, "latency": each, "failures": self.failures})
    }
}

async fn size(
    options: &PortalOptions,
    customers: &[Customer],
    books: &Books,
    price: &str,
    subscriptions: u32,
) -> anyhow::Result<Size> {
    let asking = Asking { customers, books, price };
    asking.for_a_while(options.rate, WARM_UP).await?;
    let Tally { times, failures } = asking.for_a_while(options.rate, Duration::from_secs_f64(options.seconds)).await?;
    let latencies = Asked::ALL.into_iter().zip(times.iter().map(Latency::of_micros)).collect();
    Ok(Size { subscriptions, latencies, failures })
}

struct Asking<'a> {
    customers: &'a [Customer],
    books: &'a Books,
    price: &'a str,
}

impl Asking<'_> {
    async fn for_a_while(&self, rate: f64, length: Duration) -> anyhow::Result<Tally> {
        schedule::ask(Asked::ALL.len(), rate, |after| after < length, |n| self.ask(n)).await
    }

    async fn ask(&self, n: u32) -> anyhow::Result<()> {
        let n = n as usize;
        let (kind, turn) = (n % Asked::ALL.len(), n / Asked::ALL.len());
        let place = turn % self.customers.len();
        let customer = &self.customers[place];
        match Asked::ALL[kind] {
            Asked::InvoicesPage => customer.door.page("/account/invoices").await,
            Asked::InvoicePage => match self.books.invoice_of(place, turn / self.customers.len()) {
                Some(invoice) => customer.door.page(&format!("/account/invoices/{invoice}")).await,
                None => Err(anyhow::anyhow!("customer {place} has no invoice")),
            },
            Asked::InvoicesApi => customer.door.get("/invoices").await.map(drop),
            Asked::Quote => {
                let asked = json!({"price_id": self.price, "country": "DE"});
                customer.door.post("/quotes", &asked).await.map(drop)
            }
        }
    }
}

//! One storm from its first payment to the quiet after it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::Context;
use billing::app::Billing;
use billing::app::payment::{Arrived, ArrivedOf, HostedPage, open_checkout};
use billing::store;
use billing::store::by_hand::By;
use chrono::TimeDelta;
use ottery_kernel::{Clock as _, Currency, InvoiceId, Money, PaymentId, SubscriptionId};
use sqlx::postgres::PgConnection;

use super::brand::{Brand, SHOP, said};
use super::faces::{Faces, Page, Truth};
use super::hands::{Hands, let_leases_run_out};
use super::plan::{Act, Plan, Planned, Weather};
use super::post::{Carried, Fates, Post};

/// How often a customer asks for a page before they give up.
const ASKS_MAX: u32 = 4;
/// Looks of the pollers after the storm, and so many without any change end it.
const LOOKS_MAX: u32 = 40;
const LOOKS_SAME: u32 = 4;
/// How long providers may take to say the last word.
const QUIET_LOOKS: u32 = 200;
const QUIET_EVERY: Duration = Duration::from_millis(50);
/// The brand's clock moves by this much until the next period begins.
const STEP: TimeDelta = TimeDelta::hours(12);
/// A day more than a week: renewals are issued, due and charged by then.
const STEPS: u32 = 16;

/// A payment of the plan as it went.
#[derive(Clone, Debug)]
pub struct Gone {
    /// What was planned.
    pub planned: Planned,
    /// What it pays; none when it never came to that.
    pub invoice: Option<InvoiceId>,
    /// What is renewed by it, or was bought.
    pub subscription: Option<SubscriptionId>,
    /// Why its customer got no page.
    pub gave_up: Option<String>,
}

/// What a storm left behind.
pub struct Outcome {
    /// Every payment of the plan.
    pub gone: Vec<Gone>,
    /// What providers, bank and till truly took, by our reference.
    pub truth: Truth,
    /// What the bank and the till took, by invoice.
    pub by_hand: BTreeMap<InvoiceId, i64>,
    /// What the post did.
    pub carried: Carried,
    /// How often billing was killed.
    pub restarts: u32,
    /// What should not have been, seen on the way.
    pub wrong: Vec<String>,
}

/// The parts of a storm.
pub struct Storm<'a> {
    pub brand: &'a Brand,
    pub faces: Faces,
    pub hands: Hands<'a>,
    pub fates: Fates,
    pub admin: &'a mut PgConnection,
    pub by_hand: BTreeMap<InvoiceId, i64>,
    pub wrong: Vec<String>,
}

impl Storm<'_> {
    /// Lets it pass.
    ///
    /// # Errors
    /// Something of the storm's own fails: what billing does wrong is no error but part of the outcome.
    pub async fn pass(mut self, plan: &Plan, post: Post) -> anyhow::Result<Outcome> {
        let mut gone = Vec::new();
        self.hands.start().await?;
        for planned in plan.payments.iter().filter(|planned| planned.renews.is_none()) {
            if planned.restart {
                self.hands.restart(self.admin).await?;
            }
            let order = self.order(planned).await.with_context(|| format!("payment {} of the plan", planned.number))?;
            gone.push(order);
        }
        self.settle().await?;
        let renewals: Vec<&Planned> = plan.payments.iter().filter(|planned| planned.renews.is_some()).collect();
        if !renewals.is_empty() {
            self.renew(&renewals, &mut gone).await?;
            self.settle().await?;
        }
        // Everything held back is told at last, to a billing that thinks it is done.
        self.hands.start().await?;
        let carried = post.close().await?;
        self.hands.kill().await?;
        look_again(self.brand, self.admin).await?;
        let truth = self.faces.truth().await?;
        Ok(Outcome { gone, truth, by_hand: self.by_hand, carried, restarts: self.hands.restarts, wrong: self.wrong })
    }

    async fn order(&mut self, planned: &Planned) -> anyhow::Result<Gone> {
        let billing = self.hands.billing()?;
        let chosen = self.faces.account(planned.gateway)?;
        let placed = self.brand.order(&billing, planned.minor, chosen).await?;
        let invoice = placed.order.invoice.context("an order without an invoice")?;
        let mut gone = Gone {
            planned: planned.clone(),
            invoice: Some(invoice),
            subscription: Some(placed.order.subscription),
            gave_up: None,
        };
        let first = placed.payment.context("an order without a payment")?;
        self.expect(first, planned);
        self.faces.spoil_page(planned.gateway, &first.to_string(), planned.making).await?;
        let (payment, url) = match self.page(&billing, first, invoice).await {
            Ok(page) => page,
            Err(why) => {
                gone.gave_up = Some(why);
                return Ok(gone);
            }
        };
        self.expect(payment, planned);
        let mut tx = self.brand.tx(&billing).await?;
        let kept = store::payment::get(&mut tx, payment).await?.context("a payment that was begun is there")?;
        drop(tx);
        if planned.gateway.is_by_hand() {
            self.record(&billing, planned, payment, invoice).await?;
            return Ok(gone);
        }
        let page = Page { payment: payment.to_string(), url, reference: kept.checkout_ref };
        self.faces.spoil_reading(planned.gateway, &page, planned.reading).await?;
        self.faces.act(planned.gateway, &page, planned.act).await?;
        Ok(gone)
    }

    /// The page of a payment; whoever gets none asks again, as the order's page offers.
    async fn page(
        &self,
        billing: &Billing,
        first: PaymentId,
        invoice: InvoiceId,
    ) -> Result<(PaymentId, String), String> {
        let mut why = match open_checkout(billing, self.brand.id, first).await {
            Ok(url) => return Ok((first, url)),
            Err(problem) => said(&problem).to_string(),
        };
        for _ in 1..ASKS_MAX {
            let page = HostedPage::any(SHOP.into(), SHOP.into());
            match billing.pay_invoice(self.brand.id, invoice, None, page).await {
                Ok(page) => return Ok(page),
                Err(problem) => why = said(&problem).to_string(),
            }
        }
        Err(why)
    }

    fn expect(&self, payment: PaymentId, planned: &Planned) {
        let mut fates = self.fates.lock().unwrap_or_else(PoisonError::into_inner);
        fates.insert(payment.to_string(), planned.fates.clone());
    }

    /// Money comes to the bank or the till, and staff records it: again when they saw no answer, and in two parts.
    async fn record(
        &mut self,
        billing: &Billing,
        planned: &Planned,
        payment: PaymentId,
        invoice: InvoiceId,
    ) -> anyhow::Result<()> {
        let mut tx = self.brand.tx(billing).await?;
        let wait =
            store::by_hand::find(&mut tx, By::Payment(payment)).await?.context("a payment that waits for money")?;
        let owed =
            store::invoice::get(&mut tx, invoice).await?.context("an invoice that was issued")?.totals.total.minor;
        drop(tx);
        let parts = match planned.act {
            Act::Leaves | Act::IsRefused => Vec::new(),
            Act::PaysSlowly => vec![owed / 2, owed - owed / 2],
            Act::Pays | Act::PaysSecond => vec![owed],
        };
        for (place, minor) in parts.into_iter().enumerate() {
            let arrived = Arrived {
                of: ArrivedOf::Reference(wait.reference.printed()),
                amount: Money::new(minor, Currency::EUR),
                value_on: (self.brand.clock.now() - TimeDelta::days(1)).date_naive(),
                reference: format!("TX-{}-{place}", planned.number),
                sender: "Ada Lovelace".into(),
                note: String::new(),
            };
            let kept = billing.record_by_hand(&self.brand.staff, self.brand.id, arrived.clone()).await;
            kept.map_err(|problem| said(&problem)).context("staff cannot record")?;
            *self.by_hand.entry(invoice).or_default() += minor;
            if planned.making != Weather::Calm {
                match billing.record_by_hand(&self.brand.staff, self.brand.id, arrived).await {
                    Err(problem) if problem.is("RECORD_EXISTS") => {}
                    Err(problem) => self.wrong.push(format!("{payment}: recorded again: {}", said(&problem))),
                    Ok(_) => self.wrong.push(format!("{payment}: the same money was recorded twice")),
                }
            }
        }
        Ok(())
    }

    /// The next period begins: the scheduler issues invoices, and what was saved is charged, in any weather.
    async fn renew(&mut self, renewals: &[&Planned], gone: &mut Vec<Gone>) -> anyhow::Result<()> {
        let planned: HashMap<SubscriptionId, &Planned> =
            renewals.iter().filter_map(|planned| Some((gone.get(planned.renews?)?.subscription?, *planned))).collect();
        let mut restarts = renewals.iter().filter(|planned| planned.restart).count();
        let mut armed: HashSet<PaymentId> = HashSet::new();
        for _ in 0..STEPS {
            self.brand.clock.advance(STEP);
            let billing = self.brand.start().await?;
            while billing.run_batch(self.brand.id).await? > 0 {}
            billing.pool.close().await;
            for (payment, invoice, subscription) in self.requested().await? {
                let Some(planned) = planned.get(&subscription).filter(|_| armed.insert(payment)) else { continue };
                self.expect(payment, planned);
                let id = payment.to_string();
                self.faces.spoil_charge(planned.gateway, &id, planned.making, planned.reading).await?;
                let (planned, subscription) = ((*planned).clone(), Some(subscription));
                gone.push(Gone { planned, invoice: Some(invoice), subscription, gave_up: None });
            }
            self.hands.start().await?;
            for look in 0..QUIET_LOOKS {
                tokio::time::sleep(QUIET_EVERY).await;
                let is_done = self.requested().await?.is_empty();
                if !is_done && restarts > 0 && look % 2 == 0 {
                    restarts -= 1;
                    self.hands.restart(self.admin).await?;
                }
                if is_done {
                    break;
                }
            }
            self.hands.kill().await?;
            let_leases_run_out(self.admin).await?;
        }
        let met: HashSet<usize> = gone.iter().map(|gone| gone.planned.number).collect();
        for planned in renewals.iter().filter(|planned| !met.contains(&planned.number)) {
            let gave_up = Some("what it renews was not paid".to_owned());
            gone.push(Gone { planned: (*planned).clone(), invoice: None, subscription: None, gave_up });
        }
        Ok(())
    }

    /// Charges of saved methods that nobody has begun.
    async fn requested(&mut self) -> anyhow::Result<Vec<(PaymentId, InvoiceId, SubscriptionId)>> {
        let rows: Vec<(uuid::Uuid, uuid::Uuid, uuid::Uuid)> = sqlx::query_as(
            "SELECT id, invoice_id, subscription_id FROM payment
              WHERE state = 'requested' AND kind = 'saved' AND subscription_id IS NOT NULL ORDER BY id",
        )
        .fetch_all(&mut *self.admin)
        .await?;
        let ids = |(payment, invoice, subscription)| {
            (PaymentId::from_uuid(payment), InvoiceId::from_uuid(invoice), SubscriptionId::from_uuid(subscription))
        };
        Ok(rows.into_iter().map(ids).collect())
    }

    /// The storm is over: what providers still have to say is said, billing's workers end, and its pollers get their time.
    async fn settle(&mut self) -> anyhow::Result<()> {
        for _ in 0..QUIET_LOOKS {
            if self.faces.is_quiet().await? {
                break;
            }
            tokio::time::sleep(QUIET_EVERY).await;
        }
        if self.hands.billing().is_ok() {
            self.hands.kill().await?;
        }
        look_again(self.brand, self.admin).await
    }
}

/// Looks of the pollers, each as if two minutes had passed, until nothing changes any more.
async fn look_again(brand: &Brand, admin: &mut PgConnection) -> anyhow::Result<()> {
    let billing = brand.start().await?;
    let (mut before, mut same) = (String::new(), 0);
    for _ in 0..LOOKS_MAX {
        let_leases_run_out(admin).await?;
        for statement in [
            "UPDATE errand SET due_at = now() WHERE due_at > now()",
            "UPDATE provider_event_due SET due_at = now() WHERE due_at > now()",
            "UPDATE provider_poll SET due_at = now() WHERE due_at > now()",
            "UPDATE payment SET sent_at = sent_at - interval '2 minutes' WHERE sent_at IS NOT NULL",
        ] {
            sqlx::query(statement).execute(&mut *admin).await?;
        }
        billing.work_polls().await?;
        while billing.work_events().await? > 0 {}
        let due: i64 =
            sqlx::query_scalar("SELECT count(*) FROM errand WHERE due_at <= now()").fetch_one(&mut *admin).await?;
        let mut worked = 0;
        // Once each: a look that finds nothing new is due again later, and not now.
        while worked < due {
            let count = i64::try_from(billing.work_errands().await?)?;
            worked += count;
            if count == 0 {
                break;
            }
        }
        let now: String = sqlx::query_scalar(
            "SELECT coalesce(string_agg(id::text || state || is_processing, ',' ORDER BY id), '') FROM payment",
        )
        .fetch_one(&mut *admin)
        .await?;
        same = if now == before { same + 1 } else { 0 };
        before = now;
        if same >= LOOKS_SAME {
            break;
        }
    }
    billing.pool.close().await;
    Ok(())
}

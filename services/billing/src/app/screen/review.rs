//! Orders that staff have to look at: accepted as they were quoted, or not.

use ottery_kernel::{BrandId, OrderId};
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use serde_json::json;
use sqlx::postgres::PgTransaction;

use crate::app::order::{draft_of, issue_now, purse_of, start_trial};
use crate::app::schedule::Case;
use crate::app::subscription::{close, open};
use crate::app::unit::Unit;
use crate::app::{Billing, broken};
use crate::domain::order;
use crate::domain::subscription::EndCause;
use crate::events::publish;
use crate::store;
use crate::store::Page;
use crate::store::order::Order;
use crate::store::screen::{Decided, Decision, Screening};

/// Longest note.
const NOTE_CHARS_MAX: usize = 500;

fn unknown(id: OrderId) -> Problem {
    Problem::not_found("ORDER_NOT_FOUND", format!("there is no order {id}")).on_field("order_id")
}

fn note(text: &str) -> Result<&str, Problem> {
    let text = text.trim();
    if text.chars().count() > NOTE_CHARS_MAX {
        let message = format!("note: say it in at most {NOTE_CHARS_MAX} characters");
        return Err(Problem::invalid("note", "TOO_LONG", message));
    }
    Ok(text)
}

impl Billing {
    /// Orders as the screen saw them, newest first; those that wait for staff only, when asked for.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn screenings(&self, brand: BrandId, is_waiting: bool, page: Page) -> Result<Vec<Screening>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        Ok(store::screen::list(&mut tx, is_waiting, page).await?)
    }

    /// What the screen saw of an order.
    ///
    /// # Errors
    /// When there is none, or it was not screened: staff placed it, or it is older than the screen.
    pub async fn screening(&self, brand: BrandId, id: OrderId) -> Result<Screening, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        store::screen::of_order(&mut tx, id)
            .await?
            .ok_or_else(|| Problem::not_found("NOT_SCREENED", format!("{id} was not screened")).on_field("order_id"))
    }

    /// Staff accept an order: it goes on as it was quoted, from now. What the quote promised holds although it has expired.
    /// Its customer gets the invoice by mail and has as long to pay as for any order; a trial begins.
    ///
    /// # Errors
    /// When it does not wait for a decision (any more).
    pub async fn approve_order(&self, actor: &Actor, brand: BrandId, id: OrderId, why: &str) -> Result<Order, Problem> {
        let why = note(why)?;
        let (mut tx, now) = self.begin(brand).await?;
        let (mut unit, mut case, found) = self.waiting(&mut tx, brand, id, now).await?;
        let quote = store::quote::get(&mut tx, found.quote).await?.ok_or_else(|| unknown(id))?;
        case.subscription.since = now;
        if quote.quote.is_trial {
            unit.approve_order(id, None);
            start_trial(&mut unit, &mut case.subscription, quote.quote.trial_days).map_err(broken)?;
        } else {
            let buyer = unit.customer(found.account).map(|known| known.buyer.clone()).ok_or_else(|| unknown(id))?;
            let mut invoice = draft_of(&unit.profile, buyer, &quote, &case.subscription, now).map_err(broken)?;
            unit.approve_order(id, Some(invoice.id));
            let purse = purse_of(&mut tx, &invoice).await?;
            issue_now(&mut tx, &mut unit, &mut invoice, &purse).await?;
            if !unit.settle_if_paid(&mut invoice, Some(&mut case.subscription), None).map_err(broken)? {
                unit.tell(publish::invoice_sent(brand, &invoice, now));
            }
            unit.keep_new(invoice);
        }
        let decided =
            Decided { decision: Decision::Approved, by: actor.subject.clone(), at: now, note: why.to_owned() };
        self.finish_review(tx, actor, unit, case, id, &decided).await
    }

    /// Staff do not accept an order: nothing was charged, and place, coupon and trial are free for others. Its customer hears
    /// of it, but not why.
    ///
    /// # Errors
    /// When it does not wait for a decision (any more).
    pub async fn decline_order(&self, actor: &Actor, brand: BrandId, id: OrderId, why: &str) -> Result<Order, Problem> {
        let why = note(why)?;
        let (mut tx, now) = self.begin(brand).await?;
        let (mut unit, mut case, _) = self.waiting(&mut tx, brand, id, now).await?;
        unit.end(&mut case.subscription, EndCause::Staff, &mut case.open).map_err(broken)?;
        let decided =
            Decided { decision: Decision::Declined, by: actor.subject.clone(), at: now, note: why.to_owned() };
        self.finish_review(tx, actor, unit, case, id, &decided).await
    }

    /// An order that waits for a decision, with everything about it locked.
    async fn waiting(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        id: OrderId,
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<(Unit, Case, Order), Problem> {
        let found = store::order::get(tx, id).await?.ok_or_else(|| unknown(id))?;
        let (mut unit, case) = open(tx, brand, found.subscription, None, now).await?;
        unit.lock_orders(tx, &[id]).await?;
        // Read again: somebody else may have decided while the lock was waited for.
        let found = store::order::get(tx, id).await?.ok_or_else(|| unknown(id))?;
        if found.state != order::State::UnderReview {
            let message = format!("the order is {}; there is nothing to decide (any more)", found.state);
            return Err(Problem::refused("ORDER_NOT_UNDER_REVIEW", message).on_field("order_id"));
        }
        Ok((unit, case, found))
    }

    async fn finish_review(
        &self,
        mut tx: PgTransaction<'static>,
        actor: &Actor,
        unit: Unit,
        case: Case,
        id: OrderId,
        decided: &Decided,
    ) -> Result<Order, Problem> {
        store::screen::decide(&mut tx, id, decided).await?;
        let action = match decided.decision {
            Decision::Approved => "order.approve",
            Decision::Declined => "order.decline",
        };
        let before = json!({ "state": order::State::UnderReview.as_str() });
        let after = json!({ "decision": decided.decision.as_str(), "note": decided.note });
        audit::append(&mut tx, actor, action, id, Some(before), Some(after)).await?;
        close(&mut tx, self, unit, case).await?;
        let order = store::order::get(&mut tx, id).await?.ok_or_else(|| unknown(id))?;
        tx.commit().await?;
        Ok(order)
    }
}

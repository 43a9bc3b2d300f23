//! Asking for a run, and reading what came of it.

use ottery_kernel::BrandId;
use ottery_kit::audit;
use ottery_kit::grpc::{Actor, Problem};
use serde_json::json;

use super::arrange::nobody_has;
use crate::app::order::Idempotency;
use crate::app::{Billing, once};
use crate::domain::time_machine::ask::{Ask, Invalid};
use crate::domain::time_machine::entry::{Entry, Kind};
use crate::domain::time_machine::run::{Difference, Run, RunId, Side, State, Total};
use crate::store;
use crate::store::Page;
use crate::store::time_machine_run::After;

/// Runs of one brand that wait or are at work.
const UNFINISHED_MAX: i64 = 5;

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        let message = invalid.to_string();
        Self::invalid(invalid.field, invalid.code, message)
    }
}

fn missing(id: RunId) -> Problem {
    let message = format!("there is no run {id}; results are kept for a while only, ask again");
    Problem::not_found("TIME_MACHINE_RUN_NOT_FOUND", message).on_field("run_id")
}

impl Billing {
    /// Puts a run into the queue.
    ///
    /// # Errors
    /// When it breaks a rule, nobody has a price that is to be tried, or too many of the brand wait already.
    pub async fn ask_time_machine(
        &self,
        actor: &Actor,
        brand: BrandId,
        ask: Ask,
        call: Option<Idempotency>,
    ) -> Result<Run, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        if let Some(id) = once::made::<RunId>(&mut tx, call.as_ref()).await? {
            return store::time_machine_run::get(&mut tx, id).await?.ok_or_else(|| missing(id));
        }
        ask.check(now)?;
        for (side, scenario) in [("base", Some(&ask.base)), ("other", ask.other.as_ref())] {
            for (n, new) in scenario.into_iter().flat_map(|scenario| scenario.prices.iter().enumerate()) {
                if store::time_machine::offer_of_price(&mut tx, new.price).await?.is_none() {
                    return Err(nobody_has(new.price).on_field(format!("{side}.prices[{n}].price_id")));
                }
            }
        }
        let waiting = store::time_machine_run::unfinished(&mut tx, brand).await?;
        if waiting >= UNFINISHED_MAX {
            let message = format!("{waiting} runs of this brand are not over; wait for one of them");
            return Err(Problem::exhausted("TIME_MACHINE_BUSY", message));
        }
        let run = Run {
            id: RunId::fresh(),
            ask,
            requested_by: actor.subject.clone(),
            // Whoever waits for it waits in real time.
            requested_at: self.clock.now(),
            started_at: None,
            finished_at: None,
            begins: None,
            state: State::Queued,
        };
        store::time_machine_run::insert(&mut tx, brand, &run).await?;
        audit::append(&mut tx, actor, "time_machine.ask", run.id, None, Some(json!({ "to": run.ask.to }))).await?;
        once::keep(&mut tx, call.as_ref(), run.id).await?;
        tx.commit().await?;
        Ok(run)
    }

    /// One run, with what it amounts to when it is done.
    ///
    /// # Errors
    /// When there is none of that id.
    pub async fn time_machine_run(&self, brand: BrandId, id: RunId) -> Result<(Run, Vec<Total>), Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let run = store::time_machine_run::get(&mut tx, id).await?.ok_or_else(|| missing(id))?;
        let totals = store::time_machine_run::totals(&mut tx, id).await?;
        Ok((run, totals))
    }

    /// The brand's runs, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn time_machine_runs(&self, brand: BrandId, page: Page) -> Result<Vec<Run>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        Ok(store::time_machine_run::list(&mut tx, page).await?)
    }

    /// What happens under one of the settings.
    ///
    /// # Errors
    /// When there is no such run, or it is not done.
    pub async fn time_machine_entries(
        &self,
        brand: BrandId,
        id: RunId,
        (side, kind): (Side, Option<Kind>),
        after: Option<&After>,
        limit: i64,
    ) -> Result<Vec<Entry>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let run = store::time_machine_run::get(&mut tx, id).await?.ok_or_else(|| missing(id))?;
        is_done(&run, side)?;
        Ok(store::time_machine_run::entries(&mut tx, id, side, kind, after, limit).await?)
    }

    /// What is not the same under both settings.
    ///
    /// # Errors
    /// When there is no such run, it is not done, or it has one setting only.
    pub async fn time_machine_differences(
        &self,
        brand: BrandId,
        id: RunId,
        kind: Option<Kind>,
        after: Option<(Kind, &str)>,
        limit: i64,
    ) -> Result<Vec<Difference>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let run = store::time_machine_run::get(&mut tx, id).await?.ok_or_else(|| missing(id))?;
        is_done(&run, Side::Other)?;
        Ok(store::time_machine_run::differences(&mut tx, id, kind, after, limit).await?)
    }
}

fn is_done(run: &Run, side: Side) -> Result<(), Problem> {
    if side == Side::Other && run.ask.other.is_none() {
        let message = "this run has one setting only; ask for a run with `other` to compare two";
        return Err(Problem::refused("NOTHING_TO_COMPARE", message));
    }
    match &run.state {
        State::Done => Ok(()),
        State::Queued | State::Running { .. } => Err(Problem::refused(
            "TIME_MACHINE_NOT_DONE",
            format!("the run is {}; try again later", run.state.as_str()),
        )),
        State::Failed(failure) => Err(Problem::refused("TIME_MACHINE_FAILED", failure.message.clone())),
    }
}

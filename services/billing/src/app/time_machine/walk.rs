//! Moving the clock.
//!
//! It goes in steps of one length, from the instant of the copy on, and leaves out those in which nothing is due: nothing can
//! happen in them. What becomes due within a step happens at its end, so a run is what moving the brand's test clock by
//! such steps does, and with a short step what time itself does.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::BrandId;
use ottery_kit::clock::set_brand_clock;
use ottery_kit::db::{self, Scope};

use super::Journey;
use crate::app::Billing;
use crate::domain::export::Day;
use crate::store;

/// Batches of one instant; a book that is not done then never will be.
const ROUNDS_MAX: u32 = 100_000;

impl Journey {
    /// Lives through the time until `to`, included. `watcher` hears of every instant the clock stood at, and
    /// may stop it.
    ///
    /// # Errors
    /// When `watcher` says so, something could not be carried out, or the database fails.
    pub async fn live_until(
        &self,
        to: DateTime<Utc>,
        step: TimeDelta,
        watcher: &mut (dyn Watcher + Send),
    ) -> anyhow::Result<()> {
        let mut now = self.begins;
        loop {
            work_off(&self.billing, self.brand, now).await?;
            watcher.passed(now).await?;
            if now >= to {
                return Ok(());
            }
            let mut tx = db::begin(&self.billing.pool, Scope::Brand(self.brand)).await?;
            let (due, day) = store::time_machine::next_due(&mut tx, self.brand).await?;
            let day = day.map(|date| Day { date, zone: self.zone }.bounds().0);
            let lapse = store::reseller::next_lapse(&mut tx, now).await?;
            let next = due.into_iter().chain(day).chain(lapse).min();
            now = next.map_or(to, |next| grid(self.begins, step, now, next).min(to));
            set_brand_clock(&mut tx, self.brand, now).await?;
            tx.commit().await?;
        }
    }
}

/// Hears how far time has come.
#[async_trait::async_trait]
pub trait Watcher {
    /// Everything due until then is done.
    ///
    /// # Errors
    /// To stop.
    async fn passed(&mut self, now: DateTime<Utc>) -> anyhow::Result<()>;
}

/// The end of the step that `due` lies in; never one that is over.
fn grid(begins: DateTime<Utc>, step: TimeDelta, now: DateTime<Utc>, due: DateTime<Utc>) -> DateTime<Utc> {
    let steps = |span: TimeDelta| span.num_milliseconds().div_euclid(step.num_milliseconds().max(1));
    // Up for what is due, down for now, and then one further.
    let wanted = steps(due - begins + step - TimeDelta::milliseconds(1)).max(steps(now - begins) + 1);
    begins + TimeDelta::milliseconds(wanted.saturating_mul(step.num_milliseconds()))
}

/// Lets every worker do what is due at this instant, until nothing is.
async fn work_off(billing: &Billing, brand: BrandId, now: DateTime<Utc>) -> anyhow::Result<()> {
    for _ in 0..ROUNDS_MAX {
        let mut worked = billing.run_batch(brand).await? + billing.work_errands().await?;
        if store::wallet::due_count(&billing.pool, brand, now).await? > 0 {
            worked += billing.expire_credits(brand).await?;
        }
        if store::top_up::due_count(&billing.pool, brand, now).await? > 0 {
            worked += billing.expire_top_ups(brand).await?;
        }
        if store::gift::due_count(&billing.pool, brand, now).await? > 0 {
            worked += billing.expire_gifts(brand).await?;
        }
        if store::method_expiry::due_count(&billing.pool, brand, now).await? > 0 {
            worked += billing.announce_expiring(brand).await?;
        }
        while store::deferral::is_due(&billing.pool, brand, now).await? {
            worked += billing.recognise(brand).await?;
        }
        worked += billing.serve_clients(brand).await?;
        if worked == 0 {
            let mut tx = db::begin(&billing.pool, Scope::Brand(brand)).await?;
            let waiting = store::errand::waiting(&mut tx, brand).await?;
            anyhow::ensure!(waiting == 0, "{waiting} charges could not be carried out on the copy; the log says why");
            return Ok(());
        }
    }
    anyhow::bail!("what is due at {now} is not done after {ROUNDS_MAX} rounds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_to_the_end_of_the_step_in_which_something_is_due_and_always_on() {
        let begins = DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::milliseconds(17);
        let hour = TimeDelta::hours(1);
        let at = |minutes: i64| begins + TimeDelta::minutes(minutes);
        for (now, due, expected) in [
            (at(0), at(1), at(60)),
            (at(0), at(60), at(60)),
            (at(0), at(61), at(120)),
            (at(60), at(60), at(120)),
            (at(60), at(-500), at(120)),
            // The last move before may have been cut short.
            (at(90), at(80), at(120)),
            (at(90), at(600), at(600)),
        ] {
            assert_eq!(grid(begins, hour, now, due), expected, "{now} {due}");
        }
    }
}

//! A line for a test: made, suspended, removed. A task is open while it may exist, so that a process that dies leaves a word of it.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use ottery_kernel::{BrandId, Clock as _, SystemClock};
use ottery_kit::clock;
use ottery_kit::db::{self, Scope};

use crate::app::App;
use crate::app::panels::Connected;
use crate::domain::diagnosis::{Fault, Name, Step, fault};
use crate::domain::username;
use crate::driver::{Active, Catalog, Expiry, LineKey, LineSpec, LineState, OpTag, Output, PanelError, Res};
use crate::store::task;

/// Kind of the task that a test line may be left on a panel.
pub(super) const LEFT_TASK: &str = "test_line_left";
/// What our mark in the notes of a test line begins with.
pub const MARK: &str = "ottery_connection_test";
/// What its name begins with.
const PREFIX: &str = "ottest";
/// How long it would live if nobody removed it.
const LIFE: TimeDelta = TimeDelta::hours(1);
/// Tries to remove it.
const TRIES: u32 = 4;
/// Wait between them.
const AGAIN: Duration = Duration::from_secs(1);

/// Makes the line, suspends it, and removes it whatever happened before.
pub(super) async fn steps(
    app: &App,
    connected: &Connected,
    brand: BrandId,
    catalog: &Catalog,
) -> anyhow::Result<Vec<Step>> {
    let spec = spec(connected, catalog);
    note(app, connected, brand, &spec.username).await?;
    let writer = connected.gate.write_alone(&app.pool).await?;
    let place = connected.gate.enter(4).await;
    let tag = OpTag::new(format!("{MARK}_{}", spec.username));
    let test = Test { connected, spec, egress: &app.config.egress_address, tag };
    let (steps, is_gone) = test.run().await;
    drop(place);
    writer.done().await;
    if is_gone {
        let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
        let now = clock::brand_now(&mut tx, brand, &*app.host.clock).await?;
        task::close_of_panel(&mut tx, connected.row.id, LEFT_TASK, now).await?;
        tx.commit().await?;
    }
    Ok(steps)
}

fn spec(connected: &Connected, catalog: &Catalog) -> LineSpec {
    let cheapest = catalog.packages.iter().min_by_key(|package| package.credits.unwrap_or_default());
    let bouquets = catalog.bouquets.first().map(|bouquet| vec![bouquet.id]);
    LineSpec {
        username: format!("{PREFIX}{:08x}", rand::random::<u32>()),
        password: username::password(),
        expiry: Expiry::At(SystemClock.now() + LIFE),
        connections: 1,
        bouquets: bouquets.unwrap_or_default(),
        outputs: vec![Output::Hls, Output::Ts],
        package: cheapest.map(|package| package.id),
        // A trial costs a reseller nothing, or as little as can be.
        trial: connected.driver.caps().reseller_credits,
        isp_lock: false,
        country: String::new(),
    }
}

/// Says before anything is sent that a line may be there.
async fn note(app: &App, connected: &Connected, brand: BrandId, username: &str) -> anyhow::Result<()> {
    let new = task::New {
        kind: LEFT_TASK.to_owned(),
        service: None,
        panel: Some(connected.row.id),
        summary: format!("panel `{}`: a test line `{username}` may be left there", connected.row.name),
        remedy: format!(
            "Delete the line `{username}` on the panel. The next test with a line that cleans up closes this task."
        ),
    };
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    let now = clock::brand_now(&mut tx, brand, &*app.host.clock).await?;
    task::open(&mut tx, brand, &new, now).await?;
    tx.commit().await?;
    Ok(())
}

struct Test<'a> {
    connected: &'a Connected,
    spec: LineSpec,
    egress: &'a str,
    tag: OpTag,
}

impl Test<'_> {
    /// The steps, and whether the line is surely gone.
    async fn run(&self) -> (Vec<Step>, bool) {
        let started = Instant::now();
        let (create, line) = self.create().await;
        let create = create.took(started.elapsed());
        let Some(line) = line else {
            let never = |name| Step::skipped(name, "there is no line");
            // A refusal made none; a lost answer that no look finds may still become one.
            let is_gone = create.fault.as_ref().is_none_or(|fault| fault.code != "test_line_unknown");
            return (vec![create, never(Name::LineSuspend), never(Name::LineDelete)], is_gone);
        };
        let started = Instant::now();
        let suspend = self.suspend(&line).await.took(started.elapsed());
        let started = Instant::now();
        let (delete, is_gone) = self.delete(&line).await;
        (vec![create, suspend, delete.took(started.elapsed())], is_gone)
    }

    async fn create(&self) -> (Step, Option<LineState>) {
        let name = &self.spec.username;
        match self.connected.driver.create(&self.tag, &self.spec).await {
            Ok(line) => (Step::good(Name::LineCreate, format!("line {} `{}`", line.id, line.username)), Some(line)),
            Err(error @ (PanelError::Permanent(_) | PanelError::Retryable { .. })) => {
                (Step::bad(Name::LineCreate, error.to_string(), fault(&error, self.egress)), None)
            }
            Err(error @ PanelError::Ambiguous { .. }) => match self.look().await {
                Ok(Some(line)) => {
                    let seen =
                        format!("the answer was lost; line {} `{}` was found by looking", line.id, line.username);
                    (Step::warning(Name::LineCreate, seen, fault(&error, self.egress)), Some(line))
                }
                Ok(None) | Err(_) => {
                    let cause = format!("{error}; no line `{name}` was found");
                    let remedy = format!(
                        "{} Look for the line `{name}` on the panel in some minutes and delete it.",
                        error.remedy()
                    );
                    (Step::bad(Name::LineCreate, cause.clone(), Fault::new("test_line_unknown", cause, remedy)), None)
                }
            },
        }
    }

    /// The line by its name and password, or by our mark where the panel gave it another name.
    async fn look(&self) -> Res<Option<LineState>> {
        let mut last = Ok(None);
        for _ in 0..TRIES {
            let pair = LineKey::Pair { username: self.spec.username.clone(), password: self.spec.password.clone() };
            last = self.connected.driver.find(&pair).await;
            if let Ok(None) = &last {
                last = self.connected.driver.find(&LineKey::Tag(self.tag.clone())).await;
            }
            if let Ok(Some(_)) = &last {
                return last;
            }
            tokio::time::sleep(AGAIN).await;
        }
        last
    }

    async fn suspend(&self, line: &LineState) -> Step {
        match self.connected.driver.set_status(&self.tag, &line.reference(), Active::No).await {
            Ok(seen) if !seen.enabled => Step::good(Name::LineSuspend, "switched off, and read back so"),
            Ok(_) => {
                let remedy = "Look at the panel's user group: it may not be allowed to switch lines off.";
                let fault = Fault::new("not_suspended", "the panel said yes and the line still plays", remedy);
                Step::bad(Name::LineSuspend, "still on", fault)
            }
            Err(error) => Step::bad(Name::LineSuspend, error.to_string(), fault(&error, self.egress)),
        }
    }

    /// Removes it, several times if it has to be, and looks.
    async fn delete(&self, line: &LineState) -> (Step, bool) {
        let mut last = None;
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(AGAIN).await;
            }
            match self.connected.driver.terminate(&self.tag, &line.reference()).await {
                Ok(()) if self.connected.driver.caps().delete => {
                    return (Step::good(Name::LineDelete, "deleted, and looked for in vain"), true);
                }
                Ok(()) => {
                    let cause =
                        "this panel's API removes no lines: it is switched off, expired and has another password";
                    let remedy = format!("Delete the line `{}` on the panel when it is in the way.", line.username);
                    return (Step::warning(Name::LineDelete, "retired", Fault::new("retired", cause, remedy)), true);
                }
                Err(error) => last = Some(error),
            }
        }
        let why = last.map(|error| error.to_string()).unwrap_or_default();
        let cause = format!("the test line `{}` (line {}) could not be removed: {why}", line.username, line.id);
        let remedy =
            format!("Delete the line `{}` on the panel by hand; it stops by itself within an hour.", line.username);
        (Step::bad(Name::LineDelete, why, Fault::new("test_line_left", cause, remedy)), false)
    }
}

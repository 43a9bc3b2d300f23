//! Choosing a panel.

use std::time::Duration;

use ottery_kernel::PanelId;
use sqlx::postgres::PgTransaction;

use super::advance::{Draft, Work};
use crate::domain::Step;
use crate::domain::placement::{self, Candidate, Nowhere, Wish};
use crate::store::panel::{self, Row};

const WAIT_DOWN: Duration = Duration::from_secs(5);
const WAIT_NONE: Duration = Duration::from_secs(30);

/// A place to be taken right before the commit: everybody wants one of the same panel, and whoever has one keeps the others
/// waiting until then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taking {
    panel: PanelId,
    capacity: i32,
}

/// The count that was read is old: somebody else has the last place. Whoever decides again sees that.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the last place on the panel was taken meanwhile")]
pub(super) struct PlaceGone;

impl Taking {
    pub(super) async fn take(self, tx: &mut PgTransaction<'_>) -> anyhow::Result<()> {
        if panel::take_place(tx, self.panel, self.capacity).await? { Ok(()) } else { Err(PlaceGone.into()) }
    }
}

impl Work<'_> {
    /// Puts the service on the best panel, where a place is taken when the transaction ends; how long to wait when there is none. With `leave`
    /// it moves away from that panel, or stays when there is no other.
    pub(super) async fn place(
        &self,
        tx: &mut PgTransaction<'_>,
        draft: &mut Draft,
        leave: Option<PanelId>,
    ) -> anyhow::Result<Option<Duration>> {
        let rows = panel::all(tx).await?;
        let candidates: Vec<_> =
            rows.iter().filter(|row| Some(row.panel_id()) != leave).map(|row| self.candidate(row)).collect();
        let (pool, region) = (draft.held.row.pool.clone(), draft.held.row.region.clone());
        let ranked = match placement::rank(Wish { pool: &pool, region: &region }, &candidates) {
            Ok(ranked) => ranked,
            Err(nowhere) => return Ok(Some(if leave.is_some() { WAIT_DOWN } else { wait(draft, nowhere) })),
        };
        let best = ranked.first().and_then(|best| rows.iter().find(|row| row.panel_id() == best.id));
        let Some(row) = best else {
            return Ok(Some(if leave.is_some() { WAIT_DOWN } else { wait(draft, Nowhere::Full) }));
        };
        // A place that was only to be taken is not given back.
        if let Some(left) = leave.filter(|left| draft.taking.is_none_or(|taking| taking.panel != *left)) {
            panel::give_place(tx, left).await?;
        }
        draft.taking = Some(Taking { panel: row.panel_id(), capacity: row.capacity });
        draft.row().panel_id = Some(row.id);
        if draft.held.row.line_fact == "removed" {
            // A new life: nothing of the old line counts.
            draft.row().line_fact = "never".to_owned();
        }
        draft.tell_clock = row.clock_wanted.filter(|_| row.clock_wanted != row.clock_told);
        draft.panel = Some(self.app.panels.connect(row)?);
        Ok(None)
    }

    fn candidate(&self, row: &Row) -> Candidate {
        Candidate {
            id: row.panel_id(),
            pool: row.pool.clone(),
            region: row.region.clone(),
            capacity: u32::try_from(row.capacity).unwrap_or(0),
            lines: u32::try_from(row.lines).unwrap_or(0),
            enabled: row.enabled,
            healthy: row.health != "down",
            paused: self.app.panels.key(row.key_id).tripped().is_some(),
        }
    }
}

fn wait(draft: &mut Draft, nowhere: Nowhere) -> Duration {
    draft.set(Step::Waiting, nowhere.code());
    match nowhere {
        Nowhere::Down => WAIT_DOWN,
        Nowhere::None | Nowhere::Full => {
            let (pool, region) = (&draft.held.row.pool, &draft.held.row.region);
            let summary = match nowhere {
                Nowhere::Full => format!("every panel of pool `{pool}` in region `{region}` is full"),
                Nowhere::None | Nowhere::Down => {
                    format!("there is no enabled panel of pool `{pool}` in region `{region}`")
                }
            };
            draft.needs_person(
                "no_panel",
                summary,
                "Add a panel, enable one, or raise the capacity of one; waiting orders continue by themselves.",
            );
            WAIT_NONE
        }
    }
}

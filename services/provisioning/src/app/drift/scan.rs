//! A scan: page by page through the panel's list, then one by one through our lines that were in none of them, then through what was
//! known and not seen again. Every step is written down with what it found, so that whoever takes a scan over goes on there; memory
//! holds one page.

use std::collections::HashSet;
use std::time::Duration;

use ottery_kernel::{BrandId, PanelId, ServiceId};
use ottery_kit::clock;
use ottery_kit::crash;
use ottery_kit::db::{self, Scope};
use uuid::Uuid;

use super::judge::{Judge, Owner, is_silent, owner};
use super::rules::Rules;
use super::work::Pause;
use crate::app::App;
use crate::app::panels::Connected;
use crate::app::reconcile::password_place;
use crate::domain::drift::Kind;
use crate::driver::{Cursor, LineKey, LineRef, LineState, Page, PanelError, Res, Secret};
use crate::store::drift_scan::{self, Row};
use crate::store::{drift, service};

/// Our services, and differences that were not seen again, looked at in one transaction.
const BATCH: i64 = 20;
/// Pages of one scan; a panel with more is not one that ends.
const PAGES_MAX: i32 = 20_000;
/// Lines of one page that are looked at; drivers ask for fewer.
const LINES_MAX: usize = 5_000;
/// Waits for paying work before a scan steps back.
const BUSY_WAITS: u32 = 20;
/// Length of such a wait.
const BUSY_WAIT: Duration = Duration::from_millis(500);

/// The scan of one panel.
pub(super) struct Scan<'a> {
    pub app: &'a App,
    pub connected: &'a Connected,
    pub brand: BrandId,
}

impl Scan<'_> {
    const fn panel(&self) -> PanelId {
        self.connected.id()
    }

    pub async fn begin(&self) -> anyhow::Result<Pause> {
        let phase = if self.connected.driver.caps().list { "list" } else { "own" };
        let mut tx = db::begin(&self.app.pool, Scope::Brand(self.brand)).await?;
        drift_scan::begin(&mut tx, self.brand, self.panel(), phase).await?;
        tx.commit().await?;
        Ok(Pause::No)
    }

    /// Whether nobody who paid waits for this key, after a while of waiting.
    pub async fn is_quiet(&self) -> anyhow::Result<bool> {
        for _ in 0..BUSY_WAITS {
            if !drift_scan::is_key_busy(&self.app.pool, self.connected.key.id).await? {
                return Ok(self.connected.key.tripped().is_none());
            }
            drift_scan::renew(&self.app.pool, self.panel(), self.app.config.drift.lease()).await?;
            tokio::time::sleep(BUSY_WAIT).await;
        }
        Ok(false)
    }

    /// Takes the scan's share of the panel's rate.
    async fn pace(&self) -> anyhow::Result<()> {
        drift_scan::renew(&self.app.pool, self.panel(), self.app.config.drift.lease()).await?;
        tokio::time::sleep(self.app.config.drift.pause(self.connected.row.rate_per_second)).await;
        Ok(())
    }

    /// The next page of the panel's list, with the whole lines where the list leaves something out.
    pub async fn list(&self, mut scan: Row) -> anyhow::Result<Pause> {
        let read_at = self.now().await?;
        let cursor = scan.next_cursor.map(|at| Cursor(u64::try_from(at).unwrap_or(0)));
        self.pace().await?;
        let place = self.connected.gate.enter(1).await;
        let page = self.connected.driver.list(cursor).await;
        drop(place);
        let page = match page {
            Ok(page) => page,
            Err(error) => return self.stop(scan, &error).await,
        };
        if let Some(wrong) = wrong(&scan, &page) {
            // Going on there would be no use: the next try begins anew.
            "done".clone_into(&mut scan.phase);
            let remedy = "Look at the panel's list of lines: its API repeats pages or never ends.";
            return self.write_stop(scan, "pages_wrong", wrong, remedy).await;
        }
        let whole = self.read_whole(&page.items).await?;
        crash::point("provisioning.drift.read");

        let mut tx = db::begin(&self.app.pool, Scope::Brand(self.brand)).await?;
        let services = owners(&mut tx, self.panel(), &page.items).await?;
        let judge = self.judge(&mut tx, &scan, &services, read_at).await?;
        let mut met = Vec::new();
        for listed in &page.items {
            let line = whole.iter().find(|line| line.id == listed.id).unwrap_or(listed);
            match owner(&judge, line, &services)? {
                Owner::Ours(row) => {
                    judge.service(&mut tx, row, Some(line)).await?;
                    judge.no_stranger(&mut tx, line).await?;
                    met.push(row.id);
                }
                Owner::Unclear => {}
                Owner::Stranger => judge.stranger(&mut tx, line).await?,
            }
        }
        drift_scan::meet(&mut tx, &scan, &met).await?;
        scan.pages += 1;
        scan.lines = scan.lines.saturating_add(i32::try_from(page.items.len()).unwrap_or(i32::MAX));
        if let Some(last) = page.items.last() {
            scan.last_line.clone_from(&last.id);
        }
        scan.next_cursor = page.next.and_then(|next| i64::try_from(next.0).ok());
        if scan.next_cursor.is_none() {
            "own".clone_into(&mut scan.phase);
        }
        self.write(tx, scan).await
    }

    /// Our lines that are on a page and have to be read by themselves.
    async fn read_whole(&self, lines: &[LineState]) -> anyhow::Result<Vec<LineState>> {
        if !self.app.config.drift.read_whole {
            return Ok(Vec::new());
        }
        let mut tx = db::begin(&self.app.pool, Scope::Brand(self.brand)).await?;
        let services = owners(&mut tx, self.panel(), lines).await?;
        tx.commit().await?;
        let mut whole = Vec::new();
        for line in lines {
            let is_it = |row: &&service::Row| row.line_id.as_deref() == Some(&line.id) && row.username == line.username;
            let Some(row) = services.iter().find(is_it) else { continue };
            if !is_silent(row, line) {
                continue;
            }
            match self.find(LineKey::Line(line.reference())).await? {
                // The line as it is listed has to do when it cannot be read by itself now.
                Ok(found) => whole.extend(found.filter(|found| found.username == line.username)),
                Err(error) => {
                    tracing::warn!(panel.id = %self.panel(), %error, "a line could not be read whole this time")
                }
            }
        }
        Ok(whole)
    }

    /// Our lines that no page had: gone, or overlooked while the list moved.
    pub async fn own(&self, mut scan: Row) -> anyhow::Result<Pause> {
        let mut tx = db::begin(&self.app.pool, Scope::Brand(self.brand)).await?;
        let read_at = drift_scan::now(&mut tx).await?;
        let rows = drift_scan::unmet(&mut tx, &scan, BATCH).await?;
        tx.commit().await?;
        let mut looked: Vec<(Uuid, Option<LineState>)> = Vec::new();
        for row in &rows {
            match self.look(row).await? {
                Ok(line) => looked.push((row.id, line)),
                Err(error) => return self.stop(scan, &error).await,
            }
        }
        crash::point("provisioning.drift.looked");
        let mut tx = db::begin(&self.app.pool, Scope::Brand(self.brand)).await?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let fresh = drift_scan::owners(&mut tx, self.panel(), &[], &[], &ids).await?;
        let judge = self.judge(&mut tx, &scan, &fresh, read_at).await?;
        for (id, line) in &looked {
            // One that moved to another panel or another line meanwhile is somebody else's work.
            let same = |row: &&service::Row| row.id == *id && row.panel_id == Some(self.connected.row.id);
            let was = rows.iter().find(|row| row.id == *id);
            if let Some(row) = fresh.iter().find(same)
                && was.is_some_and(|was| was.line_id == row.line_id && was.line_fact == row.line_fact)
            {
                judge.service(&mut tx, row, line.as_ref()).await?;
            }
        }
        drift_scan::meet(&mut tx, &scan, &ids).await?;
        scan.lines = scan
            .lines
            .saturating_add(i32::try_from(looked.iter().filter(|(_, line)| line.is_some()).count()).unwrap_or(0));
        match rows.last() {
            Some(last) => scan.after = Some(last.id),
            None => {
                "close".clone_into(&mut scan.phase);
                scan.after = None;
            }
        }
        self.write(tx, scan).await
    }

    /// One of our lines, as it is or not there.
    async fn look(&self, row: &service::Row) -> anyhow::Result<Res<Option<LineState>>> {
        let (Some(id), Some(sealed)) = (&row.line_id, &row.password_sealed) else { return Ok(Ok(None)) };
        let password = self.app.host.keyring.open_text(&password_place(row), sealed)?;
        let line = LineRef { id: id.clone(), username: row.username.clone(), password };
        let found = self.find(LineKey::Line(line)).await?;
        // Another line in its place is not ours, so that ours is gone.
        Ok(found.map(|found| found.filter(|found| found.id == *id && found.username == row.username)))
    }

    /// What was known and is not seen any more.
    pub async fn close(&self, mut scan: Row) -> anyhow::Result<Pause> {
        let mut tx = db::begin(&self.app.pool, Scope::Brand(self.brand)).await?;
        let read_at = drift_scan::now(&mut tx).await?;
        let known = drift::unseen(&mut tx, self.panel(), scan.scan, scan.after, BATCH).await?;
        tx.commit().await?;
        let mut still = HashSet::new();
        if self.connected.driver.caps().list {
            for stranger in known.iter().filter(|row| row.kind == Kind::Stranger.as_str()) {
                let (id, username) = (stranger.line_id.clone(), stranger.username.clone());
                let line = LineRef { id, username: username.clone(), password: Secret::default() };
                match self.find(LineKey::Line(line)).await? {
                    // Overlooked while the list moved: the next scan sees it again.
                    Ok(Some(found)) if found.username == username => {
                        still.insert(stranger.id);
                    }
                    Ok(_) => {}
                    Err(error) => return self.stop(scan, &error).await,
                }
            }
        }
        let mut tx = db::begin(&self.app.pool, Scope::Brand(self.brand)).await?;
        let services: Vec<Uuid> = known.iter().filter_map(|row| row.service_id).collect();
        let services = drift_scan::owners(&mut tx, self.panel(), &[], &[], &services).await?;
        let judge = self.judge(&mut tx, &scan, &services, read_at).await?;
        for row in known.iter().filter(|row| !still.contains(&row.id)) {
            let service = services.iter().find(|service| Some(service.id) == row.service_id);
            let is_over = match service {
                // Its line was compared in this scan, or is under way; only one without a line here has nothing left to compare.
                Some(service) => {
                    judge.is_settled(service)?
                        && (service.panel_id != Some(row.panel_id)
                            || matches!(service.line_fact.as_str(), "never" | "removed"))
                }
                None => true,
            };
            if is_over {
                drift::close_others(&mut tx, row.panel_id, &row.subject, &[], judge.now).await?;
            }
        }
        match known.last() {
            Some(last) => scan.after = Some(last.id),
            None => {
                "done".clone_into(&mut scan.phase);
                scan.after = None;
                scan.ended_at = Some(judge.now);
            }
        }
        self.write(tx, scan).await
    }

    async fn find(&self, key: LineKey) -> anyhow::Result<Res<Option<LineState>>> {
        self.pace().await?;
        let place = self.connected.gate.enter(1).await;
        let found = self.connected.driver.find(&key).await;
        drop(place);
        Ok(found)
    }

    async fn judge<'b>(
        &'b self,
        tx: &mut sqlx::postgres::PgTransaction<'_>,
        scan: &Row,
        services: &[service::Row],
        read_at: chrono::DateTime<chrono::Utc>,
    ) -> anyhow::Result<Judge<'b>> {
        let ids: Vec<Uuid> = services.iter().map(|row| row.id).collect();
        let now = drift_scan::now(tx).await?;
        Ok(Judge {
            connected: self.connected,
            scan: scan.scan,
            rules: Rules::load(tx).await?,
            busy: drift_scan::busy(tx, &ids).await?.into_iter().collect(),
            read_at,
            now,
            brand_now: clock::brand_now(tx, self.brand, &*self.app.host.clock).await?,
        })
    }

    async fn now(&self) -> anyhow::Result<chrono::DateTime<chrono::Utc>> {
        let mut tx = db::begin(&self.app.pool, Scope::Brand(self.brand)).await?;
        let now = drift_scan::now(&mut tx).await?;
        tx.commit().await?;
        Ok(now)
    }

    /// Ends a turn: what was found and how far it got belong together.
    async fn write(&self, mut tx: sqlx::postgres::PgTransaction<'_>, mut scan: Row) -> anyhow::Result<Pause> {
        scan.problem_code.clear();
        scan.problem.clear();
        scan.remedy.clear();
        if !drift_scan::save(&mut tx, &scan).await? {
            tracing::info!(panel.id = %self.panel(), "the comparison was taken over; what was found here is dropped");
            return Ok(Pause::Lost);
        }
        super::count(self.app, &mut tx, self.panel()).await?;
        tx.commit().await?;
        Ok(if scan.phase == "done" { Pause::Done } else { Pause::No })
    }

    /// The panel does not answer as it should: nothing is concluded, and it goes on here later.
    async fn stop(&self, scan: Row, error: &PanelError) -> anyhow::Result<Pause> {
        tracing::warn!(panel.id = %self.panel(), %error, "the comparison stops here for now");
        self.write_stop(scan, error.code(), error.to_string(), error.remedy()).await
    }

    async fn write_stop(&self, mut scan: Row, code: &str, problem: String, remedy: &str) -> anyhow::Result<Pause> {
        code.clone_into(&mut scan.problem_code);
        scan.problem = problem;
        remedy.clone_into(&mut scan.remedy);
        let mut tx = db::begin(&self.app.pool, Scope::Brand(self.brand)).await?;
        if !drift_scan::save(&mut tx, &scan).await? {
            return Ok(Pause::Lost);
        }
        tx.commit().await?;
        Ok(Pause::Later)
    }
}

/// What is wrong with a page, if anything is.
fn wrong(scan: &Row, page: &Page<LineState>) -> Option<String> {
    if page.items.len() > LINES_MAX {
        return Some(format!("a page of the panel's list has {} lines", page.items.len()));
    }
    if scan.pages >= PAGES_MAX {
        return Some(format!("the panel's list has more than {PAGES_MAX} pages"));
    }
    let repeats = !scan.last_line.is_empty() && page.items.iter().any(|line| line.id == scan.last_line);
    repeats.then(|| format!("line {} comes again on page {}", scan.last_line, scan.pages + 1))
}

/// Services that may own lines of a page.
async fn owners(
    tx: &mut sqlx::postgres::PgTransaction<'_>,
    panel: PanelId,
    lines: &[LineState],
) -> sqlx::Result<Vec<service::Row>> {
    let ids: Vec<String> = lines.iter().map(|line| line.id.clone()).collect();
    let names: Vec<String> = lines.iter().map(|line| line.username.clone()).collect();
    let words = lines.iter().flat_map(|line| line.notes.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')));
    let marks: Vec<Uuid> = words.filter_map(|word| word.parse::<ServiceId>().ok()).map(|id| id.as_uuid()).collect();
    drift_scan::owners(tx, panel, &ids, &names, &marks).await
}

//! What one line means: differences found, known again, closed. One transaction holds a page of it.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use ottery_kernel::DriftId;
use ottery_kit::audit;
use ottery_kit::grpc::Actor;
use serde_json::json;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use super::repair;
use super::rules::Rules;
use crate::app::diagnose;
use crate::app::panels::Connected;
use crate::domain::drift::{self, Finding, Flight, Kind, Seen, State};
use crate::domain::{Goal, LineFact};
use crate::driver::{LineState, OpTag};
use crate::store::drift::{self as rows, Row};
use crate::store::service;
use crate::store::service::Row as Service;

/// Compares the lines of one page.
pub(super) struct Judge<'a> {
    pub connected: &'a Connected,
    /// Number of the scan.
    pub scan: i64,
    pub rules: Rules,
    /// Services that are due or worked on.
    pub busy: HashSet<Uuid>,
    /// When reading the page began, by the database.
    pub read_at: DateTime<Utc>,
    /// Now, by the database.
    pub now: DateTime<Utc>,
    /// Now, by the brand's clock: lines expire by it.
    pub brand_now: DateTime<Utc>,
}

/// Whom a difference is about.
struct Subject<'a> {
    name: String,
    service: Option<&'a Service>,
    line_id: &'a str,
    username: &'a str,
}

impl Judge<'_> {
    /// Whether nothing is under way for a service, so that it can be compared.
    ///
    /// # Errors
    /// A stored word this version does not know.
    pub fn is_settled(&self, row: &Service) -> anyhow::Result<bool> {
        let flight = Flight {
            is_open: row.open_call.is_some(),
            is_verifying: row.verify_at.is_some(),
            is_due: self.busy.contains(&row.id),
            is_stuck: row.step()? == crate::domain::Step::Stuck,
            wanted_version: u64::try_from(row.wanted_version).unwrap_or(0),
            observed_version: u64::try_from(row.observed_version).unwrap_or(0),
            observed_at: row.observed_at,
        };
        Ok(flight.is_settled(self.read_at))
    }

    /// One of our services and its line, as the panel has it or not. What is under way is left alone.
    pub async fn service(
        &self,
        tx: &mut PgTransaction<'_>,
        row: &Service,
        line: Option<&LineState>,
    ) -> anyhow::Result<()> {
        if !self.is_settled(row)? {
            return Ok(());
        }
        let last = row.observed()?.line;
        let shown = line.map(|line| {
            let mut shown = row.clone();
            shown.see(line, self.now);
            shown.observed().map(|observed| observed.line)
        });
        let shown = match shown.transpose()? {
            Some(LineFact::Seen(line)) => Some(line),
            Some(LineFact::Never | LineFact::Missing | LineFact::Removed) | None => None,
        };
        let time = self.connected.time(row.package);
        let found = drift::compare(&row.wanted()?, &last, shown.as_ref(), time, self.brand_now);
        let subject = Subject {
            name: row.service_id().to_string(),
            service: Some(row),
            line_id: line.map_or_else(|| row.line_id.as_deref().unwrap_or_default(), |line| line.id.as_str()),
            username: &row.username,
        };
        let mut is_news = false;
        for finding in &found {
            let is_open = self.sight(tx, &subject, finding).await?;
            is_news |= is_open && finding.kind == Kind::PaidDead;
        }
        let kinds: Vec<String> = found.iter().map(|finding| finding.kind.as_str().to_owned()).collect();
        rows::close_others(tx, self.connected.row.id, &subject.name, &kinds, self.now).await?;
        // That a paid line is gone or banned is a fact the customer's page and the tasks should have, whoever decides what to do.
        let unknown = match (&last, &shown) {
            (LineFact::Seen(_), None) => true,
            (LineFact::Seen(last), Some(shown)) => shown.banned && !last.banned,
            (LineFact::Never | LineFact::Missing | LineFact::Removed, _) => false,
        };
        if is_news && unknown && row.wanted()?.goal == Goal::Active {
            repair::tell(tx, row.id).await?;
        }
        Ok(())
    }

    /// A line that is none of ours.
    pub async fn stranger(&self, tx: &mut PgTransaction<'_>, line: &LineState) -> anyhow::Result<()> {
        let state = match (line.banned, line.enabled) {
            (true, _) => "banned".to_owned(),
            (false, false) => "switched off".to_owned(),
            (false, true) => format!("plays until {}", drift::expiry(line.expires_at)),
        };
        let finding = Finding {
            kind: Kind::Stranger,
            wanted: drift::NO_LINE.to_owned(),
            observed: format!("{state}; {}", drift::streams(line.connections)),
        };
        let subject =
            Subject { name: format!("line {}", line.id), service: None, line_id: &line.id, username: &line.username };
        self.sight(tx, &subject, &finding).await?;
        Ok(())
    }

    /// Closes the stranger that this line was until it became one of ours.
    pub async fn no_stranger(&self, tx: &mut PgTransaction<'_>, line: &LineState) -> sqlx::Result<()> {
        rows::close_others(tx, self.connected.row.id, &format!("line {}", line.id), &[], self.now).await?;
        Ok(())
    }

    /// Writes down what is seen; whether it is open or new.
    async fn sight(
        &self,
        tx: &mut PgTransaction<'_>,
        subject: &Subject<'_>,
        finding: &Finding,
    ) -> anyhow::Result<bool> {
        let panel = &self.connected.row;
        let kind = finding.kind.as_str();
        let version = subject.service.map_or(0, |service| service.wanted_version);
        let absolute = self.connected.driver.caps().absolute_expiry;
        let stored = rows::lock(tx, panel.id, kind, &subject.name).await?;
        let known = stored.as_ref().map(Row::known).transpose()?;
        let seen = drift::sighted(
            known.as_ref(),
            finding,
            u64::try_from(version).unwrap_or(0),
            self.rules.of(panel.id, finding.kind),
            absolute,
        );
        let is_new = stored.is_none();
        let mut row = stored.unwrap_or_else(|| Row {
            id: DriftId::new(self.now).as_uuid(),
            brand_id: panel.brand_id,
            panel_id: panel.id,
            kind: kind.to_owned(),
            subject: subject.name.clone(),
            service_id: subject.service.map(|service| service.id),
            account_id: subject.service.map(|service| service.account_id.clone()).unwrap_or_default(),
            line_id: String::new(),
            username: String::new(),
            wanted: String::new(),
            observed: String::new(),
            wanted_version: 0,
            state: State::Open.as_str().to_owned(),
            returns: 0,
            scan: 0,
            first_seen_at: self.now,
            last_seen_at: self.now,
            decided_at: None,
            decided_by: String::new(),
            reason: String::new(),
            closed_at: None,
        });
        subject.line_id.clone_into(&mut row.line_id);
        subject.username.clone_into(&mut row.username);
        row.wanted.clone_from(&finding.wanted);
        row.observed.clone_from(&finding.observed);
        row.wanted_version = version;
        row.scan = self.scan;
        row.last_seen_at = self.now;
        let decided = match seen {
            Seen::Same => None,
            Seen::New(state) | Seen::Moved(state) => Some(state),
            Seen::Returned => {
                row.returns += 1;
                Some(State::Open)
            }
        };
        if let Some(state) = decided {
            let by_rule = state != State::Open;
            state.as_str().clone_into(&mut row.state);
            row.decided_at = by_rule.then_some(self.now);
            row.decided_by = if by_rule { "rule".to_owned() } else { String::new() };
            row.reason.clear();
        }
        if is_new {
            rows::insert(tx, &row).await?;
        } else {
            rows::save(tx, &row).await?;
        }
        if let Some(state @ (State::Repaired | State::Adopted | State::Ignored)) = decided {
            if state == State::Repaired {
                repair::order(tx, &row).await?;
            }
            let actor = Actor::service(crate::NAME, Some(panel.brand()));
            let after =
                json!({ "kind": kind, "panel": panel.panel_id().to_string(), "by": "rule", "observed": row.observed });
            let id = DriftId::from_uuid(row.id);
            audit::append(tx, &actor, action_of(state), id, None, Some(after)).await?;
        }
        Ok(is_new || row.state == State::Open.as_str())
    }
}

/// The word of the audit chain for a decision.
pub(super) const fn action_of(state: State) -> &'static str {
    match state {
        State::Repaired => "drift.repair",
        State::Adopted => "drift.adopt",
        State::Ignored => "drift.ignore",
        State::Open | State::Gone => "drift.reopen",
    }
}

/// Which of our services a line of the list belongs to.
pub(super) enum Owner<'a> {
    /// Its own.
    Ours(&'a Service),
    /// A service is at work that may be making or removing it: nothing is said about it now.
    Unclear,
    /// Nobody's.
    Stranger,
}

/// Finds the owner. A line that has the name of one of our services and not its id is ours only when it carries our mark.
pub(super) fn owner<'a>(judge: &Judge<'_>, line: &LineState, services: &'a [Service]) -> anyhow::Result<Owner<'a>> {
    // A line of a connection test that is under way; one that was left is a stranger once it has run out.
    if line.notes.contains(diagnose::line::MARK) && line.expires_at.is_some_and(|at| at > judge.now) {
        return Ok(Owner::Unclear);
    }
    let panel = Some(judge.connected.row.id);
    let named = |row: &&Service| row.panel_id == panel && row.username == line.username;
    if let Some(row) = services.iter().filter(named).find(|row| row.line_id.as_deref() == Some(&line.id)) {
        return Ok(Owner::Ours(row));
    }
    for row in services {
        let is_marked = line.has_tag(&OpTag::new(row.service_id().to_string()));
        if !(is_marked || named(&row)) {
            continue;
        }
        if !judge.is_settled(row)? {
            return Ok(Owner::Unclear);
        }
        if is_marked && named(&row) && row.line_id.is_none() {
            return Ok(Owner::Ours(row));
        }
    }
    Ok(Owner::Stranger)
}

/// Whether a row of the list leaves out what we would compare, so that the line itself has to be read.
pub(super) fn is_silent(row: &service::Row, line: &LineState) -> bool {
    let hides_lock = row.isp_lock.is_some() && line.isp_locked.is_none();
    let hides_country = row.country_lock.is_some() && line.country.is_none();
    row.wanted == Goal::Active.as_str()
        && (line.bouquets.is_none() || line.outputs.is_none() || hides_lock || hides_country)
}

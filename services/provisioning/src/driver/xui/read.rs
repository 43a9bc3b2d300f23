//! Everything that only reads.

use rust_decimal::Decimal;
use serde_json::Value;

use super::client::expect_line;
use super::form::Form;
use super::parse::{self, Asked};
use super::{Role, Xui, row};
use crate::driver::Res;
use crate::driver::error::{Cause, PanelError, PermKind};
use crate::driver::model::{Catalog, Conn, Cursor, LineKey, LineRef, LineState, Page, PanelInfo};
use crate::driver::value;

/// Rows of one page.
const PAGE: u64 = 200;
/// Pages that a search by name may take: its match is a substring in many columns.
const SEARCH_PAGES_MAX: u64 = 25;

impl Xui {
    pub(super) async fn read_info(&self) -> Res<PanelInfo> {
        let timed = self.client.timed(&Form::action("user_info")).await?;
        let info = parse::row(timed.data, Asked::Read)?;
        let field = |name: &str| info.get(name);
        Ok(PanelInfo {
            user_id: field("id").and_then(value::int),
            user_name: field("username").and_then(value::text),
            credits: field("credits").and_then(value::decimal).or(match self.role {
                Role::Admin => None,
                // A reseller without a readable balance must not look as if credits did not matter.
                Role::Reseller => Some(Decimal::ZERO),
            }),
            panel_time: timed.date,
            time_zone: field("timezone").and_then(value::text).filter(|zone| !zone.is_empty()),
            version: field("version").and_then(value::text),
            latency_ms: u32::try_from(timed.took.as_millis()).unwrap_or(u32::MAX),
        })
    }

    pub(super) async fn read_catalog(&self) -> Res<Catalog> {
        let list = async |action: &str| -> Res<Vec<Value>> {
            parse::rows(self.client.call(&Form::action(action), Asked::Read).await?)
        };
        Ok(match self.role {
            Role::Admin => Catalog {
                packages: list("get_packages").await?.iter().filter_map(row::package).collect(),
                bouquets: list("get_bouquets").await?.iter().filter_map(row::bouquet).collect(),
            },
            // Resellers see bouquets only inside their packages.
            Role::Reseller => Catalog {
                packages: list("packages").await?.iter().filter_map(row::package).collect(),
                bouquets: Vec::new(),
            },
        })
    }

    /// The line with this id, or nothing.
    pub(super) async fn read_line(&self, id: &str) -> Res<Option<LineState>> {
        match self.client.call(&Form::action("get_line").with("id", id), Asked::Read).await {
            Ok(data) => expect_line(data, Asked::Read).map(Some),
            Err(PanelError::Permanent(perm)) if perm.kind == PermKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The line, checked to be the one we mean: panels check only that an id exists, not whose it is.
    pub(super) async fn read_own(&self, line: &LineRef) -> Res<LineState> {
        let found = self
            .read_line(&line.id)
            .await?
            .ok_or_else(|| PanelError::permanent(PermKind::NotFound, format!("no line with id {}", line.id)))?;
        if found.username == line.username {
            Ok(found)
        } else {
            Err(PanelError::permanent(PermKind::Conflict, format!("line {} has another name; it is not ours", line.id)))
        }
    }

    pub(super) async fn find_line(&self, key: &LineKey) -> Res<Option<LineState>> {
        match key {
            LineKey::Line(line) => self.read_line(&line.id).await,
            LineKey::Pair { username, .. } => self.search(username, |line| line.username == *username).await,
            LineKey::Tag(tag) => self.search(tag.as_str(), |line| line.has_tag(tag)).await,
        }
    }

    /// The search of the panel is a substring match over several columns, so the exact match is made here.
    async fn search(&self, text: &str, is_it: impl Fn(&LineState) -> bool + Send) -> Res<Option<LineState>> {
        for page in 0..SEARCH_PAGES_MAX {
            let rows = self.table(page * PAGE, Some(text)).await?;
            let full = rows.len() as u64 >= PAGE;
            let mut exact = rows.iter().filter_map(row::line).filter(|line| is_it(line));
            if let Some(line) = exact.next() {
                if exact.next().is_some() {
                    return Err(PanelError::permanent(PermKind::Conflict, "two lines match; one of them is surplus"));
                }
                // Rows of a table lack what an edit must not erase.
                return self.read_line(&line.id).await;
            }
            if !full {
                return Ok(None);
            }
        }
        Err(PanelError::permanent(PermKind::Conflict, "too many lines match the search to tell which is ours"))
    }

    async fn table(&self, start: u64, search: Option<&str>) -> Res<Vec<Value>> {
        let mut form = Form::action("get_lines")
            .with("start", start)
            .with("limit", PAGE)
            .with("order[0][column]", 0)
            .with("order[0][dir]", "asc");
        if let Some(text) = search {
            form = form.with("search[value]", text);
        }
        match self.client.call(&form, Asked::Read).await? {
            // The panel's own loopback call failed.
            Value::Null => Err(PanelError::retryable(Cause::Rubbish)),
            data => parse::rows(data),
        }
    }

    pub(super) async fn list_lines(&self, cursor: Option<Cursor>) -> Res<Page<LineState>> {
        let start = cursor.map_or(0, |cursor| cursor.0);
        let rows = self.table(start, None).await?;
        let next = (rows.len() as u64 >= PAGE).then_some(Cursor(start + PAGE));
        Ok(Page { items: rows.iter().filter_map(row::line).collect(), next })
    }

    pub(super) async fn read_connections(&self, line: Option<&LineRef>) -> Res<Vec<Conn>> {
        let mut form = Form::action("live_connections").with("start", 0).with("limit", PAGE);
        if let Some(line) = line {
            form = form.with("user_id", &line.id);
        }
        let rows = parse::rows(self.client.call(&form, Asked::Read).await?)?;
        let connections = rows.iter().filter_map(row::connection);
        Ok(match line {
            // A panel that ignores the filter must not make us cut somebody else's streams.
            Some(line) => connections.filter(|conn| conn.line_id.as_ref().is_none_or(|id| *id == line.id)).collect(),
            None => connections.collect(),
        })
    }
}

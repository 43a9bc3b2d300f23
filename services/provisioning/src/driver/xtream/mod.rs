//! Xtream Codes v2 and Xtream UI: the older admin API, `api.php`.
//!
//! It knows a line by its name **and** password, so both are journalled before the first call and sent with every one. Edits
//! change only the columns they name. It lists no lines, removes none and cuts no streams.

mod client;
mod columns;
pub mod parse;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use rust_decimal::Decimal;
use serde_json::Value;
use url::Url;

use self::client::Client;
use super::asked::Asked;
use super::error::{Cause, PanelError, PermKind};
use super::http::Transport;
use super::model::{
    Active, Caps, Catalog, Conn, Cursor, LineKey, LineRef, LineSpec, LineState, OpTag, PackageSpec, Page, PanelInfo,
    Renewal,
};
use super::xui::row;
use super::{PanelDriver, Res, Secret};

/// A name that no line has: asking for it proves address, whitelist and key, and shows nothing of anybody.
const NOBODY: &str = "ottery-connection-test";

/// One panel, reached from an allowed address and with its `api_pass`, if it has one.
pub struct Xtream {
    client: Client,
}

impl Xtream {
    /// The address is the panel's, with or without `api.php`, for example `http://panel.example:25461`.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, url: Url, api_pass: Secret) -> Self {
        Self { client: Client::new(transport, url, api_pass) }
    }

    /// The line with exactly this pair, or nothing.
    async fn read_pair(&self, username: &str, password: &Secret) -> Res<Option<LineState>> {
        let pair = [("username", username), ("password", password.expose())];
        match self.client.call("user", "info", &pair, Asked::Read).await {
            Ok(data) => match data.get("user_info").and_then(row::line) {
                Some(line) => Ok(Some(line)),
                None => Err(PanelError::retryable(Cause::Rubbish)),
            },
            Err(PanelError::Permanent(perm)) if perm.kind == PermKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The line, checked to be the one we mean: another one may have taken over its name and password.
    async fn read_own(&self, line: &LineRef) -> Res<LineState> {
        let found = self.read_pair(&line.username, &line.password).await?.ok_or_else(|| {
            PanelError::permanent(
                PermKind::NotFound,
                format!("no line {} with the name and password we gave it", line.id),
            )
        })?;
        if found.id == line.id && found.username == line.username {
            Ok(found)
        } else {
            Err(PanelError::permanent(
                PermKind::Conflict,
                format!("line {} has the name and password of our line {}", found.id, line.id),
            ))
        }
    }
}

fn unsupported(detail: &'static str) -> PanelError {
    PanelError::permanent(PermKind::Unsupported, detail)
}

#[async_trait]
impl PanelDriver for Xtream {
    fn caps(&self) -> Caps {
        Caps {
            absolute_expiry: true,
            idempotency_key: false,
            list: false,
            delete: false,
            reseller_credits: false,
            kick: false,
            mac_devices: false,
            patch_edit: true,
        }
    }

    async fn probe(&self) -> Res<PanelInfo> {
        let pair = [("username", NOBODY), ("password", NOBODY)];
        let (answer, time, took) = self.client.timed("user", "info", &pair).await?;
        match answer {
            // Nobody has that name, and the panel says so: it is the API we mean.
            Ok(_) => {}
            Err(PanelError::Permanent(perm)) if perm.kind == PermKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(PanelInfo {
            user_id: None,
            user_name: None,
            credits: None,
            panel_time: time,
            time_zone: None,
            version: None,
            latency_ms: u32::try_from(took.as_millis()).unwrap_or(u32::MAX),
        })
    }

    /// Only some builds list their bouquets; the others answer an action they do not know with an empty page.
    async fn catalog(&self) -> Res<Catalog> {
        let bouquets = match self.client.call("bouquet", "get", &[], Asked::Read).await {
            Ok(Value::Array(rows)) => rows.iter().filter_map(row::bouquet).collect(),
            Ok(_) => return Err(PanelError::retryable(Cause::Rubbish)),
            Err(PanelError::Retryable { cause: Cause::Empty, .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        Ok(Catalog { packages: Vec::new(), bouquets })
    }

    async fn create(&self, tag: &OpTag, line: &LineSpec) -> Res<LineState> {
        self.create_line(tag, line).await
    }

    async fn find(&self, key: &LineKey) -> Res<Option<LineState>> {
        match key {
            LineKey::Line(line) => self.read_pair(&line.username, &line.password).await,
            LineKey::Pair { username, password } => self.read_pair(username, password).await,
            // Notes cannot be searched, and this panel never replaces a name that was asked for.
            LineKey::Tag(_) => Ok(None),
        }
    }

    async fn list(&self, _cursor: Option<Cursor>) -> Res<Page<LineState>> {
        Err(unsupported("this panel lists no lines; each is read by itself"))
    }

    async fn renew(&self, _tag: &OpTag, line: &LineRef, renewal: &Renewal) -> Res<LineState> {
        match *renewal {
            Renewal::Until(expiry) => self.edit(line, |_| Ok(vec![columns::expiry(expiry)?])).await,
            Renewal::Package { .. } => Err(unsupported("this panel's lines have an expiry; it sells no packages")),
        }
    }

    async fn set_status(&self, _tag: &OpTag, line: &LineRef, status: Active) -> Res<LineState> {
        self.switch(line, status).await
    }

    async fn change_package(&self, _tag: &OpTag, line: &LineRef, package: &PackageSpec) -> Res<LineState> {
        self.edit(line, |fresh| columns::package(fresh, package)).await
    }

    async fn set_password(&self, _tag: &OpTag, line: &LineRef, new: &Secret) -> Res<LineState> {
        self.change_password(line, new).await
    }

    async fn terminate(&self, _tag: &OpTag, line: &LineRef) -> Res<()> {
        self.retire(line).await
    }

    async fn connections(&self, _line: Option<&LineRef>) -> Res<Vec<Conn>> {
        Err(unsupported("this panel counts streams and does not list them"))
    }

    async fn kick(&self, _line: &LineRef) -> Res<u32> {
        Err(unsupported("this panel's API cuts no streams"))
    }

    async fn credits(&self) -> Res<Option<Decimal>> {
        Ok(None)
    }
}

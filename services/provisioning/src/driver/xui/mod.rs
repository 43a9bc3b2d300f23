//! XUI.ONE and XC_VM: the admin and the reseller API behind an access code.

pub mod client;
pub mod form;
pub mod parse;
mod read;
pub mod row;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use rust_decimal::Decimal;
use url::Url;

use self::client::Client;
use super::Secret;
use super::http::Transport;
use super::model::{
    Active, Caps, Catalog, Conn, Cursor, LineKey, LineRef, LineSpec, LineState, OpTag, PackageSpec, Page, PanelInfo,
    Renewal,
};
use super::{PanelDriver, Res};

/// Which of the two APIs a key speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Writes every field of a line.
    Admin,
    /// Buys packages with credits; sees its own lines.
    Reseller,
}

/// One panel, reached with one key.
pub struct Xui {
    client: Client,
    role: Role,
}

impl Xui {
    /// The address is the API's base with its access code, for example `https://panel.example:8443/AbCdEf`.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, url: Url, api_key: Secret, role: Role) -> Self {
        Self { client: Client::new(transport, url, api_key), role }
    }
}

#[async_trait]
impl PanelDriver for Xui {
    fn caps(&self) -> Caps {
        let admin = matches!(self.role, Role::Admin);
        Caps {
            absolute_expiry: admin,
            idempotency_key: false,
            list: true,
            delete: true,
            reseller_credits: !admin,
            kick: admin,
            mac_devices: false,
            patch_edit: false,
        }
    }

    async fn probe(&self) -> Res<PanelInfo> {
        self.read_info().await
    }

    async fn catalog(&self) -> Res<Catalog> {
        self.read_catalog().await
    }

    async fn create(&self, tag: &OpTag, line: &LineSpec) -> Res<LineState> {
        self.create_line(tag, line).await
    }

    async fn find(&self, key: &LineKey) -> Res<Option<LineState>> {
        self.find_line(key).await
    }

    async fn list(&self, cursor: Option<Cursor>) -> Res<Page<LineState>> {
        self.list_lines(cursor).await
    }

    async fn renew(&self, tag: &OpTag, line: &LineRef, renewal: &Renewal) -> Res<LineState> {
        self.renew_line(tag, line, renewal).await
    }

    async fn set_status(&self, _tag: &OpTag, line: &LineRef, status: Active) -> Res<LineState> {
        self.set_line_status(line, status).await
    }

    async fn change_package(&self, tag: &OpTag, line: &LineRef, package: &PackageSpec) -> Res<LineState> {
        self.change_line(tag, line, package).await
    }

    async fn set_password(&self, tag: &OpTag, line: &LineRef, new: &Secret) -> Res<LineState> {
        self.change_password(tag, line, new).await
    }

    async fn terminate(&self, _tag: &OpTag, line: &LineRef) -> Res<()> {
        self.delete_line(line).await
    }

    async fn connections(&self, line: Option<&LineRef>) -> Res<Vec<Conn>> {
        self.read_connections(line).await
    }

    async fn kick(&self, line: &LineRef) -> Res<u32> {
        self.kick_line(line).await
    }

    async fn credits(&self) -> Res<Option<Decimal>> {
        Ok(self.read_info().await?.credits)
    }
}

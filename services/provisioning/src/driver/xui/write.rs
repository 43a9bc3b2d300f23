//! Everything that changes a line. Each change is followed by a read of the line, which is what the caller gets.

use super::client::expect_line;
use super::form::{self, Change, Form};
use super::parse::Asked;
use super::{Role, Xui};
use crate::driver::Res;
use crate::driver::Secret;
use crate::driver::error::{Cause, PanelError, PermKind, ReadBack};
use crate::driver::model::{Active, LineRef, LineSpec, LineState, OpTag, PackageSpec, Renewal};
use crate::driver::rules::check_credentials;

const BY_ID: Asked = Asked::Write(ReadBack::ById);

impl Xui {
    /// The answer is the row as it was read from the database after the insert, so it is the read-back too. A row that
    /// cannot be read leaves the call unknown: the line exists, only its id is missing.
    pub(super) async fn create_line(&self, tag: &OpTag, line: &LineSpec) -> Res<LineState> {
        let form = match self.role {
            Role::Admin => form::admin_create(tag, line)?,
            Role::Reseller => form::reseller_create(tag, line)?,
        };
        let data = self.client.call(&form, Asked::Create).await?;
        expect_line(data, Asked::Create)
    }

    pub(super) async fn renew_line(&self, tag: &OpTag, line: &LineRef, renewal: &Renewal) -> Res<LineState> {
        match (*renewal, self.role) {
            (Renewal::Until(expiry), Role::Admin) => {
                self.edit(tag, line, &Change { expiry: Some(expiry), ..Change::default() }).await
            }
            (Renewal::Package { id, expect_before }, Role::Reseller) => self.buy(line, id, expect_before).await,
            (Renewal::Until(_), Role::Reseller) => Err(PanelError::permanent(
                PermKind::Unsupported,
                "a reseller key cannot set an expiry; it buys packages",
            )),
            (Renewal::Package { .. }, Role::Admin) => {
                Err(PanelError::permanent(PermKind::Unsupported, "an admin key sets the expiry; it buys no packages"))
            }
        }
    }

    /// Adds a package's time and pays for it. Repeating it would pay twice, so the expiry must be where it was.
    async fn buy(&self, line: &LineRef, package: i64, before: Option<chrono::DateTime<chrono::Utc>>) -> Res<LineState> {
        let fresh = self.read_own(line).await?;
        if fresh.expires_at != before {
            return Err(PanelError::permanent(
                PermKind::Conflict,
                "the expiry moved since it was last seen; nothing was bought",
            ));
        }
        let buy = Form::action("edit_line").with("id", &line.id).with("package", package);
        self.client.call(&buy, Asked::Write(ReadBack::ExpiryAndCredits)).await?;
        self.read_own(line).await.map_err(|error| error.unread(ReadBack::ExpiryAndCredits))
    }

    pub(super) async fn change_line(&self, tag: &OpTag, line: &LineRef, package: &PackageSpec) -> Res<LineState> {
        match self.role {
            Role::Admin => {
                let change = Change {
                    expiry: package.expiry,
                    connections: Some(package.connections),
                    bouquets: Some(package.bouquets.clone()),
                    outputs: Some(package.outputs.clone()),
                    package: package.package,
                    password: None,
                    isp_lock: package.isp_lock,
                    country: package.country.clone(),
                };
                self.edit(tag, line, &change).await
            }
            Role::Reseller => Err(PanelError::permanent(
                PermKind::Unsupported,
                "a reseller key changes a package only by buying it; renew with the new package",
            )),
        }
    }

    pub(super) async fn change_password(&self, tag: &OpTag, line: &LineRef, new: &Secret) -> Res<LineState> {
        check_credentials(&line.username, new)?;
        match self.role {
            Role::Admin => self.edit(tag, line, &Change { password: Some(new.clone()), ..Change::default() }).await,
            Role::Reseller => {
                let fresh = self.read_own(line).await?;
                self.client.call(&form::reseller_edit(tag, &fresh, new), BY_ID).await?;
                self.read_own(line).await.map_err(|error| error.unread(ReadBack::ById))
            }
        }
    }

    /// Read, merge, send everything, read back. Nothing is sent when the read fails.
    async fn edit(&self, tag: &OpTag, line: &LineRef, change: &Change) -> Res<LineState> {
        let fresh = self.read_own(line).await?;
        self.client.call(&form::admin_edit(tag, &fresh, change)?, BY_ID).await?;
        self.read_own(line).await.map_err(|error| error.unread(ReadBack::ById))
    }

    pub(super) async fn set_line_status(&self, line: &LineRef, status: Active) -> Res<LineState> {
        let fresh = self.read_own(line).await?;
        let (action, wanted) = match status {
            Active::Yes => ("enable_line", true),
            Active::No => ("disable_line", false),
        };
        if fresh.enabled != wanted {
            self.client.call(&Form::action(action).with("id", &line.id), BY_ID).await?;
        }
        // Only the switch moves; streams that run go on until they are cut.
        if matches!((status, self.role), (Active::No, Role::Admin)) {
            self.kick_line(line).await.map_err(|error| error.unread(ReadBack::ById))?;
        }
        if fresh.enabled == wanted {
            return Ok(fresh);
        }
        self.read_own(line).await.map_err(|error| error.unread(ReadBack::ById))
    }

    pub(super) async fn delete_line(&self, line: &LineRef) -> Res<()> {
        match self.read_own(line).await {
            Ok(_) => {}
            Err(PanelError::Permanent(perm)) if perm.kind == PermKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        match self.client.call(&Form::action("delete_line").with("id", &line.id), BY_ID).await {
            Ok(_) => {}
            // Somebody else was faster, or the database refused: only a look can tell.
            Err(PanelError::Permanent(perm)) if perm.kind == PermKind::NotFound => {}
            Err(error) => return Err(error),
        }
        match self.read_line(&line.id).await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(PanelError::Ambiguous { cause: Cause::NoVerdict, hint: ReadBack::ById }),
            Err(error) => Err(error.unread(ReadBack::ById)),
        }
    }

    pub(super) async fn kick_line(&self, line: &LineRef) -> Res<u32> {
        if self.role == Role::Reseller {
            return Err(PanelError::permanent(PermKind::Unsupported, "a reseller key cannot cut streams"));
        }
        let mut cut = 0;
        for connection in self.read_connections(Some(line)).await? {
            let kill = Form::action("kill_connection").with("activity_id", &connection.id);
            match self.client.call(&kill, BY_ID).await {
                Ok(_) => cut += 1,
                // It ended by itself.
                Err(PanelError::Permanent(perm)) if perm.kind == PermKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(cut)
    }
}

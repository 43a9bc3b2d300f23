//! Everything that changes a line. Each change is followed by a read of the line, which is what the caller gets.

use serde_json::Value;

use super::Xtream;
use super::columns::{self, Column};
use crate::domain::username;
use crate::driver::asked::Asked;
use crate::driver::error::{Cause, PanelError, PermKind, ReadBack};
use crate::driver::model::{Active, LineRef, LineSpec, LineState, OpTag};
use crate::driver::rules::check_credentials;
use crate::driver::{Res, Secret, value};

const EDIT: Asked = Asked::Write(ReadBack::ById);
/// The first second there is. 0 would mean never.
const LONG_AGO: &str = "1";

impl Xtream {
    /// The answer has only the id and the pair, so the line is read before it counts as made. Formats are in no row: they are
    /// as they were sent.
    pub(super) async fn create_line(&self, tag: &OpTag, line: &LineSpec) -> Res<LineState> {
        let made = self.write("create", None, &columns::create(tag, line)?, Asked::Create).await?;
        let told = |name: &str| made.get(name).and_then(value::text).filter(|text| !text.is_empty());
        let username = told("username").unwrap_or_else(|| line.username.clone());
        let password = told("password").map_or_else(|| line.password.clone(), Secret::new);
        let read = self.read_pair(&username, &password).await.map_err(|error| error.unread(ReadBack::ByName))?;
        let Some(mut state) = read else {
            return Err(PanelError::Ambiguous { cause: Cause::NoVerdict, hint: ReadBack::ByName });
        };
        let mut outputs = line.outputs.clone();
        outputs.sort_unstable();
        state.outputs.get_or_insert(outputs);
        Ok(state)
    }

    /// Reads, sends the columns that change and reads back. Nothing is sent when the read fails.
    pub(super) async fn edit(
        &self,
        line: &LineRef,
        change: impl FnOnce(&LineState) -> Res<Vec<Column>> + Send,
    ) -> Res<LineState> {
        let fresh = self.read_own(line).await?;
        self.write("edit", Some(line), &change(&fresh)?, EDIT).await?;
        self.read_own(line).await.map_err(|error| error.unread(ReadBack::ById))
    }

    pub(super) async fn switch(&self, line: &LineRef, status: Active) -> Res<LineState> {
        let wanted = status == Active::Yes;
        let fresh = self.read_own(line).await?;
        if fresh.enabled == wanted {
            return Ok(fresh);
        }
        let columns = [(columns::ENABLED, u8::from(wanted).to_string())];
        self.write("edit", Some(line), &columns, EDIT).await?;
        self.read_own(line).await.map_err(|error| error.unread(ReadBack::ById))
    }

    /// After a lost answer the old pair is unknown to the panel, so the new one is tried first.
    pub(super) async fn change_password(&self, line: &LineRef, new: &Secret) -> Res<LineState> {
        check_credentials(&line.username, new)?;
        let moved = LineRef { password: new.clone(), ..line.clone() };
        match self.read_own(&moved).await {
            Ok(done) => return Ok(done),
            Err(PanelError::Permanent(perm)) if perm.kind == PermKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.read_own(line).await?;
        let columns = [(columns::PASSWORD, new.expose().to_owned())];
        self.write("edit", Some(line), &columns, EDIT).await?;
        self.read_own(&moved).await.map_err(|error| error.unread(ReadBack::ById))
    }

    /// Nothing can be removed here, so the line is switched off by both switches, long expired, and has a password that nobody
    /// knows. Its old pair is free again, and not to be found any more: doing it twice, and looking after a lost answer, both
    /// say that it is gone.
    pub(super) async fn retire(&self, line: &LineRef) -> Res<()> {
        match self.read_own(line).await {
            Ok(_) => {}
            Err(PanelError::Permanent(perm)) if perm.kind == PermKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        let columns = [
            (columns::ENABLED, "0".to_owned()),
            (columns::ADMIN_ENABLED, "0".to_owned()),
            (columns::EXPIRY, LONG_AGO.to_owned()),
            (columns::PASSWORD, username::password().expose().to_owned()),
        ];
        match self.write("edit", Some(line), &columns, EDIT).await {
            Ok(_) => {}
            // Somebody else was faster; only a look can tell.
            Err(PanelError::Permanent(perm)) if perm.kind == PermKind::NotFound => {}
            Err(error) => return Err(error),
        }
        match self.read_pair(&line.username, &line.password).await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(PanelError::Ambiguous { cause: Cause::NoVerdict, hint: ReadBack::ById }),
            Err(error) => Err(error.unread(ReadBack::ById)),
        }
    }

    /// The present pair at the top says which line; `user_data` says what becomes of it.
    async fn write(&self, sub: &str, line: Option<&LineRef>, columns: &[Column], asked: Asked) -> Res<Value> {
        let mut fields: Vec<(&str, &str)> = Vec::with_capacity(columns.len() + 2);
        if let Some(line) = line {
            fields.extend([("username", line.username.as_str()), ("password", line.password.expose())]);
        }
        fields.extend(columns.iter().map(|(name, value)| (*name, value.as_str())));
        self.client.call("user", sub, &fields, asked).await
    }
}

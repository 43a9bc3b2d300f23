//! Actions of the admin API.

use serde_json::{Value, json};

use super::{
    fields::{self, Refused},
    model::{Credits, package_row},
    route::{Answer, Before},
    state::{NewEffect, Panel},
    table,
};
use crate::{form::Form, store::Change};

const ROLE: &str = "admin";

impl Panel {
    /// Runs one action with the admin key.
    pub fn admin(&self, action: &str, form: &Form, before: Option<&Before>) -> Answer {
        match action {
            "user_info" => self.admin_user_info(),
            "get_packages" => Answer::List(self.spec.packages.iter().map(package_row).collect()),
            "get_package" => {
                let found = self.spec.packages.iter().find(|package| Some(package.id) == form.int("id"));
                found.map_or(Answer::failure(), |package| Answer::success(package_row(package)))
            }
            "get_bouquets" => Answer::List((0..self.spec.bouquets.len()).map(|at| self.bouquet_row(at)).collect()),
            "get_bouquet" => {
                let found = self.spec.bouquets.iter().position(|bouquet| Some(bouquet.id) == form.int("id"));
                found.map_or(Answer::failure(), |at| Answer::success(self.bouquet_row(at)))
            }
            "get_groups" => Answer::List(vec![
                json!({"group_id": 1, "group_name": "Administrators", "is_admin": 1, "is_reseller": 0}),
                json!({"group_id": 2, "group_name": "Resellers", "is_admin": 0, "is_reseller": 1}),
            ]),
            "get_users" => {
                let rows: Vec<Value> = self.state().users.values().map(|user| user.row(json!([]))).collect();
                let total = rows.len();
                Answer::Table { rows, total, limit: 50 }
            }
            "create_line" => self.admin_create(form, before),
            "edit_line" => self.admin_edit(form, before),
            "get_line" => {
                let found = form.int("id").and_then(|id| self.state().lines.get(&id).map(super::model::Line::row));
                found.map_or(Answer::failure(), Answer::success)
            }
            "get_lines" => table::lines(self, form, None),
            "disable_line" => self.switch(ROLE, 1, form, action, |line| line.enabled = false),
            "enable_line" => self.switch(ROLE, 1, form, action, |line| line.enabled = true),
            "ban_line" => self.switch(ROLE, 1, form, action, |line| line.admin_enabled = false),
            "unban_line" => self.switch(ROLE, 1, form, action, |line| line.admin_enabled = true),
            "delete_line" => self.delete(ROLE, 1, form),
            "live_connections" => table::connections(self, form, None),
            "kill_connection" => self.kill(form),
            "adjust_credits" => self.admin_adjust(form),
            _ => Answer::Error("Invalid action."),
        }
    }

    fn admin_user_info(&self) -> Answer {
        let state = self.state();
        state.users.get(&1).map_or(Answer::Exception, |user| Answer::success(user.row(json!(["all"]))))
    }

    fn bouquet_row(&self, at: usize) -> Value {
        let bouquet = &self.spec.bouquets[at];
        json!({
            "id": bouquet.id,
            "bouquet_name": bouquet.name,
            "bouquet_channels": serde_json::to_string(&bouquet.streams).unwrap_or_default(),
            "bouquet_movies": "[]",
            "bouquet_radios": "[]",
            "bouquet_series": "[]",
            "bouquet_order": at + 1,
        })
    }

    fn admin_create(&self, form: &Form, before: Option<&Before>) -> Answer {
        let mut state = self.state();
        let line = match fields::full_line(self, &state, form, None, before.map(|before| before.name_taken)) {
            Ok(line) => line,
            Err(refused) => return refused.answer(form),
        };
        let mut change = Change::default();
        let line = self.insert_line(&mut state, &mut change, line);
        let effect = NewEffect { role: ROLE, user_id: 1, action: "create_line", line: Some(&line), credits: None };
        self.log(&mut state, &mut change, effect);
        self.commit(change);
        Answer::success(line.row())
    }

    fn admin_edit(&self, form: &Form, before: Option<&Before>) -> Answer {
        let mut state = self.state();
        let Some(old) = form.int("id").and_then(|id| state.lines.get(&id).cloned()) else {
            return Answer::failure();
        };
        let line = match fields::full_line(self, &state, form, Some(&old), before.map(|before| before.name_taken)) {
            Ok(line) => line,
            Err(refused) => return refused.answer(form),
        };
        let mut change = Change::default();
        self.update_line(&mut state, &mut change, line.clone());
        let effect = NewEffect { role: ROLE, user_id: 1, action: "edit_line", line: Some(&line), credits: None };
        self.log(&mut state, &mut change, effect);
        self.commit(change);
        Answer::success(line.row())
    }

    /// Enable, disable, ban, unban: one column, no ownership check, streams keep running until the next cache pass.
    pub fn switch(
        &self,
        role: &str,
        user_id: i64,
        form: &Form,
        action: &str,
        turn: impl FnOnce(&mut super::model::Line),
    ) -> Answer {
        let mut state = self.state();
        let Some(mut line) = form.int("id").and_then(|id| state.lines.get(&id).cloned()) else {
            return Answer::failure();
        };
        let old = line.clone();
        turn(&mut line);
        line.cut_at = fields::cut_at(Some(&old), line.enabled && line.admin_enabled);
        let mut change = Change::default();
        self.update_line(&mut state, &mut change, line.clone());
        self.log(&mut state, &mut change, NewEffect { role, user_id, action, line: Some(&line), credits: None });
        self.commit(change);
        Answer::Success
    }

    /// Removes a line; the second time it is not there any more.
    pub fn delete(&self, role: &str, user_id: i64, form: &Form) -> Answer {
        let mut state = self.state();
        let mut change = Change::default();
        let Some(line) = form.int("id").and_then(|id| self.remove_line(&mut state, &mut change, id)) else {
            return Answer::failure();
        };
        let effect = NewEffect { role, user_id, action: "delete_line", line: Some(&line), credits: None };
        self.log(&mut state, &mut change, effect);
        self.commit(change);
        Answer::Success
    }

    fn kill(&self, form: &Form) -> Answer {
        let Some(id) = form.int("activity_id") else { return Answer::failure() };
        let mut state = self.state();
        let Some(line) = state.connections.get(&id).map(|connection| connection.line_id) else {
            return Answer::failure();
        };
        state.close_connections(|connection| connection.activity_id == id);
        let line = state.lines.get(&line).cloned();
        let mut change = Change::default();
        let effect =
            NewEffect { role: ROLE, user_id: 1, action: "kill_connection", line: line.as_ref(), credits: None };
        self.log(&mut state, &mut change, effect);
        self.commit(change);
        Answer::Success
    }

    fn admin_adjust(&self, form: &Form) -> Answer {
        let Some(id) = form.int("id") else { return Answer::failure() };
        let mut state = self.state();
        let Some(before) = state.users.get(&id).filter(|user| !user.is_admin).map(|user| user.credits) else {
            return Answer::failure();
        };
        let after = Credits(before.0 + Credits::whole(form.int("credits").unwrap_or(0)).0);
        let mut change = Change::default();
        self.set_credits(&mut state, &mut change, id, after);
        let credits = Some((before, after));
        self.log(
            &mut state,
            &mut change,
            NewEffect { role: ROLE, user_id: id, action: "adjust_credits", line: None, credits },
        );
        self.commit(change);
        Answer::Success
    }
}

impl Refused {
    /// The panel's words.
    pub fn answer(self, form: &Form) -> Answer {
        match self {
            Self::Status(status) => Answer::Status { status, data: Some(form.echo()) },
            Self::Exception => Answer::Exception,
        }
    }
}

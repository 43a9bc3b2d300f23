//! Actions of the reseller API: everything costs credits, every time.

use serde_json::{Value, json};

use super::{
    fields::{self, Refused},
    model::{Credits, Line, package_row},
    route::{Answer, Before},
    state::{NewEffect, Panel, State},
    table, time,
};
use crate::{
    config::{PackageSpec, ResellerSpec},
    form::{Form, intval},
    store::Change,
};

const ROLE: &str = "reseller";

struct Sale<'a> {
    package: &'a PackageSpec,
    cost: Credits,
    is_trial: bool,
}

impl Panel {
    /// Runs one action with a reseller's key.
    pub fn reseller(&self, spec: &ResellerSpec, action: &str, form: &Form, before: Option<&Before>) -> Answer {
        match action {
            "user_info" => {
                let permissions = json!({
                    "create_line": i64::from(spec.can_create),
                    "allow_change_username": i64::from(spec.can_choose_username),
                    "allow_change_password": i64::from(spec.can_choose_password),
                    "minimum_username_length": spec.username_min,
                    "minimum_password_length": spec.password_min,
                });
                let state = self.state();
                state.users.get(&spec.id).map_or(Answer::Exception, |user| Answer::success(user.row(permissions)))
            }
            "packages" => Answer::success(Value::Array(self.spec.packages.iter().map(package_row).collect())),
            "create_line" => self.reseller_create(spec, form, before),
            "edit_line" => self.reseller_edit(spec, form, before),
            "get_line" => {
                let state = self.state();
                let line = form.int("id").and_then(|id| state.lines.get(&id));
                let line = line.filter(|line| state.is_below(line.member_id, spec.id));
                line.map_or(Answer::failure(), |line| Answer::success(line.row()))
            }
            "get_lines" => table::lines(self, form, Some(spec.id)),
            "live_connections" => table::connections(self, form, Some(spec.id)),
            // No ownership check here: the panel looks only whether the id exists.
            "disable_line" => self.switch(ROLE, spec.id, form, action, |line| line.enabled = false),
            "enable_line" => self.switch(ROLE, spec.id, form, action, |line| line.enabled = true),
            "delete_line" => self.delete(ROLE, spec.id, form),
            "adjust_credits" => self.reseller_adjust(spec, form),
            _ => Answer::Error("Invalid action."),
        }
    }

    fn reseller_create(&self, spec: &ResellerSpec, form: &Form, before: Option<&Before>) -> Answer {
        let mut state = self.state();
        match self.new_line(spec, &state, form, before) {
            Ok((line, sale)) => {
                let mut change = Change::default();
                // The panel writes the line first and charges afterwards.
                let line = self.insert_line(&mut state, &mut change, line);
                self.charge(spec, &mut state, &mut change, &sale, before);
                self.note_sale(spec, &mut state, &mut change, "create_line", &line, &sale, before);
                self.commit(change);
                Answer::success(line.row())
            }
            Err(refused) => refused.answer(form),
        }
    }

    fn sale(
        &self,
        spec: &ResellerSpec,
        state: &State,
        form: &Form,
        before: Option<&Before>,
    ) -> Result<Sale<'_>, Refused> {
        let id = form.filled("package").map(intval);
        let package = self.spec.packages.iter().find(|package| Some(package.id) == id);
        let package = package.ok_or(Refused::Status("STATUS_INVALID_PACKAGE"))?;
        if !package.is_line {
            return Err(Refused::Status("STATUS_INVALID_TYPE"));
        }
        let is_trial = form.truthy("trial");
        let user = state.users.get(&spec.id).ok_or(Refused::Exception)?;
        if is_trial && (package.trial_hours == 0 || user.trials == 0) {
            return Err(Refused::Status("STATUS_NO_TRIALS"));
        }
        let cost = if is_trial { Credits(0) } else { Credits::from_number(package.credits) };
        if before.map_or(user.credits, |before| before.credits) < cost {
            return Err(Refused::Status("STATUS_INSUFFICIENT_CREDITS"));
        }
        Ok(Sale { package, cost, is_trial })
    }

    fn new_line(
        &self,
        spec: &ResellerSpec,
        state: &State,
        form: &Form,
        before: Option<&Before>,
    ) -> Result<(Line, Sale<'_>), Refused> {
        if !spec.can_create {
            return Err(Refused::Status("STATUS_NO_PERMISSIONS"));
        }
        let sale = self.sale(spec, state, form, before)?;
        let username = fields::chosen_or_random(self, form.filled("username").filter(|_| spec.can_choose_username));
        let password = fields::chosen_or_random(self, form.filled("password").filter(|_| spec.can_choose_password));
        if username.len() < spec.username_min {
            return Err(Refused::Status("STATUS_INVALID_USERNAME"));
        }
        if password.len() < spec.password_min {
            return Err(Refused::Status("STATUS_INVALID_PASSWORD"));
        }
        if before.map_or_else(|| state.name_taken(&username, None), |before| before.name_taken) {
            return Err(Refused::Status("STATUS_EXISTS_USERNAME"));
        }
        let now = state.clock.now().timestamp();
        let asked: Vec<i64> = form.list("bouquets_selected").iter().map(|text| intval(text)).collect();
        let mut bouquets = sale.package.bouquets.clone();
        if !asked.is_empty() {
            bouquets.retain(|bouquet| asked.contains(bouquet));
        }
        let member_id = form.int("member_id").filter(|member| state.is_below(*member, spec.id)).unwrap_or(spec.id);
        let line = Line {
            id: 0,
            member_id,
            username,
            password,
            exp_date: Some(self.expiry_from(now, &sale)),
            admin_enabled: true,
            enabled: true,
            admin_notes: String::new(),
            reseller_notes: form.get("reseller_notes").unwrap_or_default().to_owned(),
            bouquets,
            outputs: vec![1, 2],
            max_connections: sale.package.max_connections,
            is_restreamer: false,
            is_trial: sale.is_trial,
            is_isplock: form.has("is_isplock"),
            // Not for resellers to choose; packages here force none.
            forced_country: String::new(),
            is_stalker: false,
            bypass_ua: form.has("bypass_ua"),
            allowed_ips: form.list("allowed_ips"),
            allowed_ua: form.list("allowed_ua"),
            created_at: now,
            package_id: Some(sale.package.id),
            contact: form.get("contact").unwrap_or_default().to_owned(),
            cut_at: None,
        };
        Ok((line, sale))
    }

    fn expiry_from(&self, from: i64, sale: &Sale<'_>) -> i64 {
        if sale.is_trial {
            from + sale.package.trial_hours * 3600
        } else {
            time::add(from, sale.package.duration, &sale.package.duration_in, self.tz)
        }
    }

    fn charge(
        &self,
        spec: &ResellerSpec,
        state: &mut State,
        change: &mut Change,
        sale: &Sale<'_>,
        before: Option<&Before>,
    ) {
        let Some(user) = state.users.get_mut(&spec.id) else { return };
        if sale.is_trial {
            user.trials = user.trials.saturating_sub(1);
        }
        // An absolute number computed from what was read at the start of the request.
        let after = Credits(before.map_or(user.credits, |before| before.credits).0 - sale.cost.0);
        self.set_credits(state, change, spec.id, after);
    }

    #[allow(clippy::too_many_arguments, reason = "one call, one log row")]
    fn note_sale(
        &self,
        spec: &ResellerSpec,
        state: &mut State,
        change: &mut Change,
        action: &str,
        line: &Line,
        sale: &Sale<'_>,
        before: Option<&Before>,
    ) {
        let after = state.users.get(&spec.id).map(|user| user.credits).unwrap_or_default();
        let was = before.map_or(Credits(after.0 + sale.cost.0), |before| before.credits);
        let effect = NewEffect { role: ROLE, user_id: spec.id, action, line: Some(line), credits: Some((was, after)) };
        self.log(state, change, effect);
    }

    fn reseller_edit(&self, spec: &ResellerSpec, form: &Form, before: Option<&Before>) -> Answer {
        let mut state = self.state();
        let Some(old) = form.int("id").and_then(|id| state.lines.get(&id).cloned()) else {
            return Answer::failure();
        };
        if !state.is_below(old.member_id, spec.id) {
            return Refused::Status("STATUS_NO_PERMISSIONS").answer(form);
        }
        let mut line = old.clone();
        line.reseller_notes = form.get("reseller_notes").unwrap_or_default().to_owned();
        line.contact = form.get("contact").unwrap_or_default().to_owned();
        if let Some(name) = form.filled("username").filter(|_| spec.can_choose_username) {
            if name.len() < spec.username_min {
                return Refused::Status("STATUS_INVALID_USERNAME").answer(form);
            }
            if state.name_taken(name, Some(line.id)) {
                return Refused::Status("STATUS_EXISTS_USERNAME").answer(form);
            }
            line.username = name.to_owned();
        }
        if let Some(password) = form.filled("password").filter(|_| spec.can_choose_password) {
            if password.len() < spec.password_min {
                return Refused::Status("STATUS_INVALID_PASSWORD").answer(form);
            }
            line.password = password.to_owned();
        }
        let current = self.spec.packages.iter().find(|package| Some(package.id) == old.package_id);
        let mut change = Change::default();
        if !form.has("package") {
            if let Some(package) = current {
                line.bouquets.clone_from(&package.bouquets);
            }
            self.update_line(&mut state, &mut change, line.clone());
            let credits = state.users.get(&spec.id).map(|user| (user.credits, user.credits));
            let effect = NewEffect { role: ROLE, user_id: spec.id, action: "edit_line", line: Some(&line), credits };
            self.log(&mut state, &mut change, effect);
            self.commit(change);
            return Answer::success(line.row());
        }
        let sale = match self.sale(spec, &state, form, before) {
            Ok(sale) => sale,
            Err(refused) => return refused.answer(form),
        };
        let now = state.clock.now().timestamp();
        let is_compatible = current.is_some_and(|current| {
            current.max_connections == sale.package.max_connections && current.bouquets == sale.package.bouquets
        });
        let from = match old.exp_date {
            Some(exp) if exp > now && is_compatible && !sale.is_trial => exp,
            _ => now,
        };
        line.exp_date = Some(self.expiry_from(from, &sale));
        line.is_trial = sale.is_trial;
        line.package_id = Some(sale.package.id);
        line.max_connections = sale.package.max_connections;
        line.bouquets.clone_from(&sale.package.bouquets);
        self.update_line(&mut state, &mut change, line.clone());
        self.charge(spec, &mut state, &mut change, &sale, before);
        self.note_sale(spec, &mut state, &mut change, "edit_line", &line, &sale, before);
        self.commit(change);
        Answer::success(line.row())
    }

    fn reseller_adjust(&self, spec: &ResellerSpec, form: &Form) -> Answer {
        let mut state = self.state();
        let moved = Credits::whole(form.int("credits").unwrap_or(0));
        let own = state.users.get(&spec.id).map(|user| user.credits).unwrap_or_default();
        let target = form.int("id").and_then(|id| state.users.get(&id));
        let target = target.filter(|user| user.id != spec.id && state.is_below(user.id, spec.id));
        let Some((target, theirs)) = target.map(|user| (user.id, user.credits)) else {
            return Refused::Status("STATUS_NO_PERMISSIONS").answer(form);
        };
        if own.0 < moved.0 || theirs.0 + moved.0 < 0 {
            return Refused::Status("STATUS_INSUFFICIENT_CREDITS").answer(form);
        }
        let mut change = Change::default();
        self.set_credits(&mut state, &mut change, target, Credits(theirs.0 + moved.0));
        self.set_credits(&mut state, &mut change, spec.id, Credits(own.0 - moved.0));
        let credits = Some((own, Credits(own.0 - moved.0)));
        let effect = NewEffect { role: ROLE, user_id: spec.id, action: "adjust_credits", line: None, credits };
        self.log(&mut state, &mut change, effect);
        self.commit(change);
        Answer::Success
    }
}

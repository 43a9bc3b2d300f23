//! One panel's memory, and the only functions that change it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono_tz::Tz;

use super::{
    live::Connection,
    model::{Credits, Effect, Line, User},
};
use crate::{
    Context,
    clock::{self, PanelClock},
    config::{ConfigError, PanelSpec, Settings},
    store::Change,
};

/// Effects kept; older ones are forgotten first.
const EFFECTS_MAX: usize = 200_000;

/// Which API a key speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Admin,
    Reseller,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Reseller => "reseller",
        }
    }
}

/// One simulated panel.
pub struct Panel {
    pub spec: PanelSpec,
    pub tz: Tz,
    pub context: Arc<Context>,
    state: Mutex<State>,
}

/// Everything that changes.
pub struct State {
    pub lines: BTreeMap<i64, Line>,
    pub by_name: HashMap<String, Vec<i64>>,
    pub next_line: i64,
    pub users: BTreeMap<i64, User>,
    pub settings: Settings,
    pub clock: PanelClock,
    pub effects: VecDeque<Effect>,
    pub next_effect: u64,
    pub connections: BTreeMap<i64, Connection>,
    pub tokens: HashMap<String, i64>,
    pub next_connection: i64,
    pub calls: BTreeMap<String, u64>,
    pub buckets: HashMap<IpAddr, Bucket>,
    pub failures: HashMap<IpAddr, super::route::Failures>,
}

/// Requests a client address may still send.
pub struct Bucket {
    pub left: f64,
    pub at_ms: i64,
}

impl Panel {
    pub fn new(spec: &PanelSpec, context: &Arc<Context>) -> Result<Self, ConfigError> {
        let tz = spec
            .timezone
            .parse()
            .map_err(|_| ConfigError::Timezone { code: spec.code.clone(), timezone: spec.timezone.clone() })?;
        let base = format!("panel/{}/", spec.code);
        let store = &context.store;
        let mut users: BTreeMap<i64, User> = BTreeMap::from([(1, User::admin())]);
        users.extend(spec.resellers.iter().map(|reseller| (reseller.id, User::reseller(reseller))));
        for (_, user) in store.load::<User>(&format!("{base}user/")) {
            if users.contains_key(&user.id) {
                users.insert(user.id, user);
            }
        }
        let mut state = State {
            lines: BTreeMap::new(),
            by_name: HashMap::new(),
            next_line: store.get(&format!("{base}next_line")).unwrap_or(1),
            users,
            settings: store.get(&format!("{base}settings")).unwrap_or_else(|| spec.settings.clone()),
            clock: store.get(&format!("{base}clock")).unwrap_or_default(),
            effects: store.load::<Effect>(&format!("{base}effect/")).into_iter().map(|(_, effect)| effect).collect(),
            next_effect: 1,
            connections: BTreeMap::new(),
            tokens: HashMap::new(),
            next_connection: 1,
            calls: BTreeMap::new(),
            buckets: HashMap::new(),
            failures: HashMap::new(),
        };
        state.next_effect = state.effects.back().map_or(1, |effect| effect.seq + 1);
        for (_, line) in store.load::<Line>(&format!("{base}line/")) {
            state.index(&line);
            state.lines.insert(line.id, line);
        }
        Ok(Self { spec: spec.clone(), tz, context: context.clone(), state: Mutex::new(state) })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn key(&self, rest: &str) -> String {
        format!("panel/{}/{rest}", self.spec.code)
    }

    pub fn target(&self) -> String {
        format!("panel:{}", self.spec.code)
    }

    pub fn commit(&self, change: Change) {
        self.context.store.commit(change);
    }

    /// Stores a new line and gives it its number.
    pub fn insert_line(&self, state: &mut State, change: &mut Change, mut line: Line) -> Line {
        line.id = state.next_line;
        state.next_line += 1;
        change.put(self.key("next_line"), &state.next_line);
        change.put(self.key(&format!("line/{:012}", line.id)), &line);
        state.index(&line);
        state.lines.insert(line.id, line.clone());
        line
    }

    /// Replaces a line that exists.
    pub fn update_line(&self, state: &mut State, change: &mut Change, line: Line) {
        change.put(self.key(&format!("line/{:012}", line.id)), &line);
        if let Some(old) = state.lines.insert(line.id, line.clone()) {
            state.unindex(&old);
        }
        state.index(&line);
    }

    /// Removes a line and closes its connections.
    pub fn remove_line(&self, state: &mut State, change: &mut Change, id: i64) -> Option<Line> {
        let line = state.lines.remove(&id)?;
        state.unindex(&line);
        state.close_connections(|connection| connection.line_id == id);
        change.delete(self.key(&format!("line/{id:012}")));
        Some(line)
    }

    pub fn set_credits(&self, state: &mut State, change: &mut Change, user: i64, credits: Credits) {
        if let Some(user) = state.users.get_mut(&user) {
            user.credits = credits;
            change.put(self.key(&format!("user/{:06}", user.id)), user);
        }
    }

    /// Writes down something that really happened.
    pub fn log(&self, state: &mut State, change: &mut Change, effect: NewEffect<'_>) {
        let seq = state.next_effect;
        state.next_effect += 1;
        let effect = Effect {
            seq,
            at: clock::now(),
            panel_at: state.clock.now(),
            role: effect.role.to_owned(),
            user_id: effect.user_id,
            action: effect.action.to_owned(),
            line_id: effect.line.map(|line| line.id),
            username: effect.line.map(|line| line.username.clone()),
            credits_before: effect.credits.map(|(before, _)| before),
            credits_after: effect.credits.map(|(_, after)| after),
        };
        change.put(self.key(&format!("effect/{seq:012}")), &effect);
        state.effects.push_back(effect);
        if state.effects.len() > EFFECTS_MAX
            && let Some(oldest) = state.effects.pop_front()
        {
            change.delete(self.key(&format!("effect/{:012}", oldest.seq)));
        }
    }

    /// Empties the panel and forgets what tests changed.
    pub fn reset(&self) {
        let mut state = self.state();
        let mut change = Change::default();
        for id in state.lines.keys() {
            change.delete(self.key(&format!("line/{id:012}")));
        }
        for effect in &state.effects {
            change.delete(self.key(&format!("effect/{:012}", effect.seq)));
        }
        for id in state.users.keys() {
            change.delete(self.key(&format!("user/{id:06}")));
        }
        for key in ["settings", "clock", "next_line"] {
            change.delete(self.key(key));
        }
        state.lines.clear();
        state.by_name.clear();
        state.next_line = 1;
        state.users = BTreeMap::from([(1, User::admin())]);
        state.users.extend(self.spec.resellers.iter().map(|reseller| (reseller.id, User::reseller(reseller))));
        state.settings = self.spec.settings.clone();
        state.clock = PanelClock::Real;
        state.effects.clear();
        state.next_effect = 1;
        state.connections.clear();
        state.tokens.clear();
        state.next_connection = 1;
        state.calls.clear();
        state.buckets.clear();
        state.failures.clear();
        self.commit(change);
    }
}

/// An effect before it has a number.
pub struct NewEffect<'a> {
    pub role: &'a str,
    pub user_id: i64,
    pub action: &'a str,
    pub line: Option<&'a Line>,
    pub credits: Option<(Credits, Credits)>,
}

impl State {
    /// Names compare without case, as the panel's database does.
    pub fn name_taken(&self, name: &str, except: Option<i64>) -> bool {
        self.by_name.get(&name.to_lowercase()).is_some_and(|ids| ids.iter().any(|id| Some(*id) != except))
    }

    /// The line with exactly this pair.
    pub fn find(&self, username: &str, password: &str) -> Option<&Line> {
        self.by_name
            .get(&username.to_lowercase())?
            .iter()
            .filter_map(|id| self.lines.get(id))
            .find(|line| line.username == username && line.password == password)
    }

    fn index(&mut self, line: &Line) {
        self.by_name.entry(line.username.to_lowercase()).or_default().push(line.id);
    }

    fn unindex(&mut self, line: &Line) {
        let name = line.username.to_lowercase();
        if let Some(ids) = self.by_name.get_mut(&name) {
            if let Some(at) = ids.iter().position(|id| *id == line.id) {
                ids.swap_remove(at);
            }
            if ids.is_empty() {
                self.by_name.remove(&name);
            }
        }
    }

    /// Whether `member` is `user` or stands below it.
    pub fn is_below(&self, member: i64, user: i64) -> bool {
        let mut at = Some(member);
        for _ in 0..=self.users.len() {
            match at {
                Some(id) if id == user => return true,
                Some(id) => at = self.users.get(&id).and_then(|user| user.parent),
                None => return false,
            }
        }
        false
    }
}

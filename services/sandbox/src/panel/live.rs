//! Connections of players, and the tokens that stand for them.

use std::net::IpAddr;

use super::{
    model::Line,
    state::{Panel, State},
};
use crate::clock;

/// A connection nobody has fetched from for so long is over, in milliseconds.
const IDLE_MS: i64 = 30_000;

/// A stream being watched.
#[derive(Clone, Debug)]
pub struct Connection {
    pub activity_id: i64,
    pub token: String,
    pub line_id: i64,
    pub stream_id: i64,
    pub ip: IpAddr,
    pub agent: String,
    pub container: &'static str,
    /// Unix seconds.
    pub started_at: i64,
    pub seen_at_ms: i64,
}

impl State {
    /// Connections that still fetch.
    pub fn running(&self) -> impl Iterator<Item = &Connection> {
        let oldest = clock::now().timestamp_millis() - IDLE_MS;
        self.connections.values().filter(move |connection| connection.seen_at_ms >= oldest)
    }

    pub fn active_connections(&self, line: i64) -> usize {
        self.running().filter(|connection| connection.line_id == line).count()
    }

    pub fn close_connections(&mut self, which: impl Fn(&Connection) -> bool) {
        let closed: Vec<i64> = self.connections.values().filter(|c| which(c)).map(|c| c.activity_id).collect();
        for id in closed {
            if let Some(connection) = self.connections.remove(&id) {
                self.tokens.remove(&connection.token);
            }
        }
    }
}

/// Who wants to watch what.
pub struct Viewer {
    pub ip: IpAddr,
    pub agent: String,
    pub stream_id: i64,
    pub container: &'static str,
}

impl Panel {
    /// Opens a connection. Above the line's limit older ones are closed: first the same device's, then those from the same
    /// address, then any, oldest first. A limit of 0 is none.
    pub fn open_connection(&self, state: &mut State, line: &Line, viewer: Viewer) -> String {
        let stale = clock::now().timestamp_millis() - IDLE_MS;
        state.close_connections(|connection| connection.seen_at_ms < stale);
        let limit = usize::try_from(line.max_connections).unwrap_or(0);
        if limit > 0 {
            let mut own: Vec<(u8, i64)> = state
                .connections
                .values()
                .filter(|connection| connection.line_id == line.id)
                .map(|connection| {
                    let same_ip = connection.ip == viewer.ip;
                    let rank = u8::from(!same_ip) + u8::from(!(same_ip && connection.agent == viewer.agent));
                    (rank, connection.activity_id)
                })
                .collect();
            own.sort_unstable();
            let excess = (own.len() + 1).saturating_sub(limit);
            for (_, id) in own.into_iter().take(excess) {
                state.close_connections(|connection| connection.activity_id == id);
            }
        }
        let now = clock::now();
        let token = self.context.chance.hex(32);
        let activity_id = state.next_connection;
        state.next_connection += 1;
        state.tokens.insert(token.clone(), activity_id);
        let connection = Connection {
            activity_id,
            token: token.clone(),
            line_id: line.id,
            stream_id: viewer.stream_id,
            ip: viewer.ip,
            agent: viewer.agent,
            container: viewer.container,
            started_at: now.timestamp(),
            seen_at_ms: now.timestamp_millis(),
        };
        state.connections.insert(activity_id, connection);
        token
    }

    /// The channel behind a token, if the connection may go on.
    pub fn watch(&self, token: &str) -> Option<i64> {
        let mut state = self.state();
        let id = *state.tokens.get(token)?;
        let pass_s = i64::try_from(state.settings.cache_pass_s).unwrap_or(i64::MAX);
        let (panel_now, now) = (state.clock.now().timestamp(), clock::now());
        let line = state.lines.get(&state.connections.get(&id)?.line_id)?;
        let is_cut = line.cut_at.is_some_and(|at| now.timestamp().saturating_sub(at) >= pass_s)
            || line.exp_date.is_some_and(|exp| exp <= panel_now);
        if is_cut {
            state.close_connections(|connection| connection.activity_id == id);
            return None;
        }
        let connection = state.connections.get_mut(&id)?;
        connection.seen_at_ms = now.timestamp_millis();
        Some(connection.stream_id)
    }
}

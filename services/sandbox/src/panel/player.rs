//! The player API and the stream addresses.

use std::{net::IpAddr, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{StreamExt, stream};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    live::Viewer,
    model::{Line, numbers_to_strings},
    playlist,
    state::{NewEffect, Panel},
    time,
};
use crate::{
    clock,
    form::Form,
    http::{Reply, Request},
    store::Change,
    video,
};

/// Why a player is turned away.
pub enum Denied {
    Unknown,
    State(&'static str),
    Country,
}

impl Panel {
    /// Everything below the panel's player address. `prefix` is what stands before `rest` in the path.
    pub async fn player(self: &Arc<Self>, request: &Request, prefix: &str, rest: &[&str]) -> Reply {
        if self.state().settings.flood_banned {
            return Reply::empty(StatusCode::FORBIDDEN);
        }
        if !self.state().settings.enabled {
            return Reply::nginx(StatusCode::NOT_FOUND);
        }
        if request.method == Method::OPTIONS && matches!(rest, ["auth" | "hls", ..]) {
            return open_to_browsers(Reply::empty(StatusCode::OK)).with("access-control-allow-headers", "*");
        }
        if request.method != Method::GET && request.method != Method::POST {
            return Reply::empty(StatusCode::OK);
        }
        let target = self.target();
        let action = match rest {
            ["player_api.php"] | ["player_api", ..] => "player_api",
            ["get.php"] | ["playlist", ..] => "playlist",
            ["xmltv.php"] | ["epg", ..] => "xmltv",
            _ => "stream",
        };
        *self.state().calls.entry(format!("player:{action}")).or_default() += 1;
        let apply = || async { self.answer_player(request, prefix, rest).await };
        self.context.faults.around(&target, action, || Reply::nginx(StatusCode::NOT_FOUND), apply).await
    }

    async fn answer_player(self: &Arc<Self>, request: &Request, prefix: &str, rest: &[&str]) -> Reply {
        let form = Form::read(request.query.as_deref(), &request.body);
        let sent = |name: &str| form.get(name).unwrap_or_default().to_owned();
        match rest {
            ["player_api.php"] => {
                self.player_api(request, &form, &sent("username"), &sent("password"), &sent("action"))
            }
            ["player_api", username, password] => self.player_api(request, &form, username, password, ""),
            ["player_api", username, password, action] => self.player_api(request, &form, username, password, action),
            ["get.php"] => {
                let kind = form.filled("type").unwrap_or("m3u_plus").to_owned();
                self.m3u(request, prefix, &sent("username"), &sent("password"), &kind, &sent("output"))
            }
            ["playlist", username, password, kind] => self.m3u(request, prefix, username, password, kind, "m3u8"),
            ["xmltv.php"] => self.xmltv(request, &sent("username"), &sent("password")),
            ["epg", username, password] => self.xmltv(request, username, password),
            ["auth", token, "index.m3u8"] => self.hls_playlist(prefix, token),
            ["auth", token, "live.ts"] => self.endless_ts(token),
            ["hls", token, file] => self.hls_segment(token, file).await,
            ["live", username, password, file] | [username, password, file] => {
                self.start(request, prefix, username, password, file)
            }
            _ => Reply::nginx(StatusCode::NOT_FOUND),
        }
    }

    /// The line behind a pair, when it may watch.
    fn admit(&self, username: &str, password: &str) -> Result<Line, (Denied, Option<Box<Line>>)> {
        let state = self.state();
        let line = state.find(username, password).cloned().ok_or((Denied::Unknown, None))?;
        match line.status(state.clock.now().timestamp()) {
            "Active" => Ok(line),
            other => Err((Denied::State(other), Some(Box::new(line)))),
        }
    }

    /// The page for those turned away.
    fn refuse(&self, request: &Request, username: &str, denied: &Denied) -> Reply {
        self.count_failure(request.peer.ip(), username);
        if self.state().settings.debug {
            let word = match denied {
                Denied::Unknown => "INVALID_CREDENTIALS".to_owned(),
                Denied::State(state) => state.to_uppercase(),
                Denied::Country => "FORCED_COUNTRY_INVALID".to_owned(),
            };
            let page = format!("<html><head><title>SANDBOX</title></head><body><h1>{word}</h1></body></html>");
            return Reply::html(StatusCode::OK, page);
        }
        Reply::nginx(StatusCode::NOT_FOUND)
    }

    /// Lets one through or answers with the fake 404. From where somebody comes matters for what plays and what lists it, not
    /// for the profile.
    pub fn admit_or_refuse(&self, request: &Request, username: &str, password: &str) -> Result<Line, Box<Reply>> {
        let admitted = self.admit(username, password).map_err(|(denied, _)| denied).and_then(|line| {
            let is_shut_out = line.shuts_out(self.country_of(request.peer.ip()).as_deref());
            if is_shut_out { Err(Denied::Country) } else { Ok(line) }
        });
        admitted.map_err(|denied| Box::new(self.refuse(request, username, &denied)))
    }

    /// The country of an address, as far as this panel has heard of it.
    fn country_of(&self, ip: IpAddr) -> Option<String> {
        self.state().settings.countries.get(&ip.to_canonical()).cloned()
    }

    fn player_api(&self, request: &Request, form: &Form, username: &str, password: &str, action: &str) -> Reply {
        let line = match self.admit(username, password) {
            Ok(line) => line,
            Err((_, line)) if self.state().settings.classic_auth => match line {
                Some(line) => *line,
                None => {
                    self.count_failure(request.peer.ip(), username);
                    return Reply::ok(&json!({"user_info": {"auth": 0}}));
                }
            },
            Err((denied, _)) => return self.refuse(request, username, &denied),
        };
        let mut body = match action {
            "" => self.profile(request, &line),
            "get_live_categories" => Value::Array(
                self.categories()
                    .iter()
                    .enumerate()
                    .map(|(at, name)| json!({"category_id": (at + 1).to_string(), "category_name": name, "parent_id": 0}))
                    .collect(),
            ),
            "get_live_streams" => self.live_streams(&line, form),
            "get_short_epg" | "get_simple_data_table" => self.short_epg(form, action == "get_simple_data_table"),
            "get_vod_info" => json!({"info": []}),
            _ => json!([]),
        };
        if self.state().settings.numbers_as_strings {
            numbers_to_strings(&mut body);
        }
        Reply::ok(&body)
    }

    fn profile(&self, request: &Request, line: &Line) -> Value {
        let state = self.state();
        let now = state.clock.now();
        let (host, port) = request.host().rsplit_once(':').unwrap_or((request.host(), "80"));
        let formats: Vec<&str> = line
            .outputs
            .iter()
            .filter_map(|output| match output {
                1 => Some("m3u8"),
                2 => Some("ts"),
                3 => Some("rtmp"),
                _ => None,
            })
            .collect();
        let mut user = json!({
            "username": line.username,
            "password": line.password,
            "message": "SANDBOX: test pictures only",
            "auth": 1,
            "status": line.status(now.timestamp()),
            "exp_date": line.exp_date,
            "is_trial": i64::from(line.is_trial),
            "created_at": line.created_at,
            "max_connections": line.max_connections,
            "allowed_output_formats": formats,
        });
        if state.settings.numbers_as_strings {
            user["active_cons"] = json!(state.active_connections(line.id));
        }
        json!({
            "user_info": user,
            "server_info": {
                "xui": true,
                "version": "1.5.12-sandbox",
                "revision": 1,
                "url": host,
                "port": port,
                "https_port": "443",
                "server_protocol": "http",
                "rtmp_port": "8880",
                "timestamp_now": now.timestamp(),
                "time_now": time::local_text(now, self.tz),
                "timezone": self.spec.timezone,
            },
        })
    }

    pub fn categories(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for stream in &self.spec.streams {
            if !names.contains(&stream.category.as_str()) {
                names.push(&stream.category);
            }
        }
        names
    }

    /// Channels of the line's bouquets, in the panel's order.
    pub fn streams_of(&self, line: &Line) -> impl Iterator<Item = &crate::config::StreamSpec> {
        let allowed: Vec<i64> = self
            .spec
            .bouquets
            .iter()
            .filter(|bouquet| line.bouquets.contains(&bouquet.id))
            .flat_map(|bouquet| bouquet.streams.iter().copied())
            .collect();
        self.spec.streams.iter().filter(move |stream| allowed.contains(&stream.id))
    }

    fn live_streams(&self, line: &Line, form: &Form) -> Value {
        let categories = self.categories();
        let wanted = form.filled("category_id").map(crate::form::intval);
        let number = |name| form.int(name).and_then(|value| usize::try_from(value).ok());
        let rows = self.streams_of(line).filter_map(|stream| {
            let category = categories.iter().position(|name| *name == stream.category)? + 1;
            let is_wanted = wanted.is_none_or(|wanted| usize::try_from(wanted) == Ok(category));
            is_wanted.then_some((stream, category))
        });
        let rows = rows
            .skip(number("params[offset]").unwrap_or(0))
            .take(number("params[items_per_page]").filter(|size| *size > 0).unwrap_or(usize::MAX))
            .enumerate()
            .map(|(at, (stream, category))| {
                json!({
                    "num": at + 1,
                    "name": stream.name,
                    "stream_type": "live",
                    "stream_id": stream.id,
                    "stream_icon": "",
                    "epg_channel_id": playlist::channel_id(stream.id),
                    "added": "1735689600",
                    "category_id": category.to_string(),
                    "category_ids": [category],
                    "custom_sid": "",
                    "tv_archive": 0,
                    "tv_archive_duration": 0,
                    "direct_source": "",
                    "thumbnail": "",
                })
            });
        Value::Array(rows.collect())
    }

    fn short_epg(&self, form: &Form, is_table: bool) -> Value {
        let Some(stream) = self.spec.streams.iter().find(|stream| Some(stream.id) == form.int("stream_id")) else {
            return json!({"epg_listings": []});
        };
        let now = self.state().clock.now().timestamp();
        let limit = form.int("limit").filter(|limit| *limit > 0).unwrap_or(4).min(48);
        let listings: Vec<Value> = playlist::programmes(stream, now, limit)
            .map(|programme| {
                let local = |unix| chrono::DateTime::from_timestamp(unix, 0).map(|at| time::local_text(at, self.tz));
                let mut row = json!({
                    "id": programme.start.to_string(),
                    "epg_id": "1",
                    "title": STANDARD.encode(&programme.title),
                    "lang": "en",
                    "start": local(programme.start),
                    "end": local(programme.stop),
                    "description": STANDARD.encode(&programme.description),
                    "channel_id": playlist::channel_id(stream.id),
                    "start_timestamp": programme.start.to_string(),
                    "stop_timestamp": programme.stop.to_string(),
                });
                if is_table {
                    row["now_playing"] = i64::from(programme.start <= now && now < programme.stop).into();
                    row["has_archive"] = 0.into();
                }
                row
            })
            .collect();
        json!({"epg_listings": listings})
    }

    /// `/live/U/P/ID.m3u8`: checks the line and sends the player to an address with a token.
    fn start(&self, request: &Request, prefix: &str, username: &str, password: &str, file: &str) -> Reply {
        let (id, extension) = file.split_once('.').unwrap_or((file, "ts"));
        let (container, output, rest) = match extension {
            "m3u8" => ("hls", 1, "index.m3u8"),
            "ts" => ("ts", 2, "live.ts"),
            _ => return Reply::nginx(StatusCode::NOT_FOUND),
        };
        let line = match self.admit_or_refuse(request, username, password) {
            Ok(line) => line,
            Err(page) => return open_to_browsers(*page),
        };
        let stream = id.parse::<i64>().ok().filter(|id| self.streams_of(&line).any(|stream| stream.id == *id));
        let Some(stream_id) = stream.filter(|_| line.outputs.contains(&output)) else {
            return open_to_browsers(Reply::nginx(StatusCode::NOT_FOUND));
        };
        let agent = request.header("user-agent").unwrap_or_default().to_owned();
        let viewer = Viewer { ip: request.peer.ip(), agent, stream_id, container };
        let mut state = self.state();
        let token = self.open_connection(&mut state, &line, viewer);
        let mut change = Change::default();
        let effect =
            NewEffect { role: "player", user_id: line.member_id, action: "stream", line: Some(&line), credits: None };
        self.log(&mut state, &mut change, effect);
        self.commit(change);
        open_to_browsers(Reply::redirect(StatusCode::FOUND, &format!("{prefix}/auth/{token}/{rest}")))
    }

    fn hls_playlist(&self, prefix: &str, token: &str) -> Reply {
        if self.watch(token).is_none() {
            return open_to_browsers(Reply::nginx(StatusCode::NOT_FOUND));
        }
        let text = video::playlist(clock::now(), |number| format!("{prefix}/hls/{token}/{number}.ts"));
        let reply = Reply::new(StatusCode::OK, "application/vnd.apple.mpegurl", text);
        open_to_browsers(reply).with("cache-control", "no-store")
    }

    async fn hls_segment(&self, token: &str, file: &str) -> Reply {
        let number = file.strip_suffix(".ts").and_then(|number| number.parse().ok());
        let is_due = |number: &u64| video::is_due(*number, clock::now());
        let (Some(number), Some(stream)) = (number.filter(is_due), self.watch(token)) else {
            return open_to_browsers(Reply::nginx(StatusCode::NOT_FOUND));
        };
        let segment = self.context.studio.segment(self.channel_name(stream), number).await;
        open_to_browsers(Reply::new(StatusCode::OK, "video/mp2t", segment))
    }

    fn channel_name(&self, id: i64) -> String {
        self.spec.streams.iter().find(|stream| stream.id == id).map(|stream| stream.name.clone()).unwrap_or_default()
    }

    /// One transport stream without end, a segment at a time, at the speed of the clock.
    fn endless_ts(self: &Arc<Self>, token: &str) -> Reply {
        if self.watch(token).is_none() {
            return open_to_browsers(Reply::nginx(StatusCode::NOT_FOUND));
        }
        let first = video::newest(clock::now());
        let (panel, token) = (self.clone(), token.to_owned());
        let parts = stream::unfold((panel, token, first), |(panel, token, number)| async move {
            while !video::is_due(number, clock::now()) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let channel = panel.watch(&token)?;
            let part = panel.context.studio.segment(panel.channel_name(channel), number).await;
            Some((part, (panel, token, number + 1)))
        });
        open_to_browsers(Reply::live("video/mp2t", parts.boxed()))
    }
}

fn open_to_browsers(reply: Reply) -> Reply {
    reply.with("access-control-allow-origin", "*")
}

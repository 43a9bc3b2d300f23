//! The streaming panel: as a player sees it, and what the simulator says it holds.

use anyhow::Context;
use reqwest::Client;
use serde_json::Value;

use super::http::{beside, json, number, start_of, text};
use super::wait;

const SYNC_BYTE: u8 = 0x47;
const PACKET_BYTES: usize = 188;

/// What a player needs.
#[derive(Clone, Debug)]
pub struct Credentials {
    server: String,
    /// Name of the line.
    pub username: String,
    password: String,
}

impl Credentials {
    /// From the answer of a reveal.
    pub fn read(value: &Value) -> anyhow::Result<Self> {
        let word = |pointer| text(value, pointer).map(str::to_owned);
        Ok(Self { server: word("/server_url")?, username: word("/username")?, password: word("/password")? })
    }

    fn player_api(&self, action: &str) -> String {
        let Self { server, username, password } = self;
        format!("{server}/player_api.php?username={username}&password={password}{action}")
    }
}

/// The panel from outside.
#[derive(Clone, Debug)]
pub struct Panel {
    client: Client,
    control: String,
}

/// What the panel holds about a line.
#[derive(Clone, Debug)]
pub struct Line {
    /// `Active`, `Disabled`, …
    pub status: String,
    /// Unix seconds.
    pub expires_at: i64,
    /// Streams at a time.
    pub connections: i64,
}

impl Panel {
    /// `control` is the simulator's address for one panel.
    pub fn new(client: &Client, control: String) -> Self {
        Self { client: client.clone(), control }
    }

    /// Whether the player API lets these credentials in.
    pub async fn lets_in(&self, credentials: &Credentials) -> anyhow::Result<bool> {
        let answer = self.client.get(credentials.player_api("")).send().await.context("the player API")?;
        if !answer.status().is_success() {
            return Ok(false);
        }
        let profile = json(answer, "the player API").await?;
        let auth = &profile["user_info"]["auth"];
        Ok(auth == 1 || auth == "1")
    }

    /// Waits until a player is let in, or refused.
    pub async fn player_is(&self, credentials: &Credentials, is_in: bool) -> anyhow::Result<()> {
        let (wanted, seen) = match is_in {
            true => ("the player to be let in", "it is refused"),
            false => ("the player to be refused", "it is let in"),
        };
        wait::until(wanted, async || {
            Ok(if self.lets_in(credentials).await? == is_in { Ok(()) } else { Err(seen.to_owned()) })
        })
        .await
    }

    /// Plays: the first segment of the first channel, as a player fetches it. Returns its bytes.
    pub async fn play(&self, credentials: &Credentials) -> anyhow::Result<usize> {
        let channels = self.client.get(credentials.player_api("&action=get_live_streams")).send().await?;
        let channels = json(channels, "the list of channels").await?;
        let channel = number(&channels, "/0/stream_id")?;
        let Credentials { server, username, password } = credentials;
        let mut address = format!("{server}/live/{username}/{password}/{channel}.m3u8");
        let mut answer = self.client.get(&address).send().await?;
        if answer.status().is_redirection() {
            let location = answer.headers().get(reqwest::header::LOCATION).and_then(|value| value.to_str().ok());
            address = beside(&address, location.context("a redirect of the stream without address")?)?.into();
            answer = self.client.get(&address).send().await?;
        }
        anyhow::ensure!(answer.status().is_success(), "the stream's playlist answered {}", answer.status());
        let playlist = answer.text().await?;
        let segment = playlist
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty() && !line.starts_with('#'))
            .with_context(|| format!("a playlist without segments: {}", start_of(&playlist)))?;
        let answer = self.client.get(beside(&address, segment)?).send().await?;
        anyhow::ensure!(answer.status().is_success(), "the first segment answered {}", answer.status());
        let segment = answer.bytes().await?;
        let is_transport_stream = segment.len().is_multiple_of(PACKET_BYTES)
            && segment.first() == Some(&SYNC_BYTE)
            && segment.get(PACKET_BYTES) == Some(&SYNC_BYTE);
        anyhow::ensure!(is_transport_stream, "the first segment ({} bytes) is no MPEG transport stream", segment.len());
        Ok(segment.len())
    }

    /// The line of that name; none when the panel holds none.
    pub async fn line(&self, username: &str) -> anyhow::Result<Option<Line>> {
        let address = format!("{}/lines", self.control);
        let answer = self.client.get(address).query(&[("username", username)]).send().await?;
        let lines = json(answer, "the simulator's lines").await?;
        let lines = lines.as_array().context("the simulator's lines are no list")?;
        anyhow::ensure!(lines.len() <= 1, "the panel holds {} lines named {username}", lines.len());
        let Some(line) = lines.first() else { return Ok(None) };
        Ok(Some(Line {
            status: text(line, "/status")?.to_owned(),
            expires_at: number(line, "/exp_date")?,
            connections: number(line, "/max_connections")?,
        }))
    }

    /// Waits until the panel's line is as wanted.
    pub async fn line_is(
        &self,
        username: &str,
        wanted: &str,
        is_right: impl Fn(Option<&Line>) -> bool,
    ) -> anyhow::Result<Option<Line>> {
        wait::until(wanted, async || {
            let line = self.line(username).await?;
            Ok(if is_right(line.as_ref()) { Ok(line) } else { Err(format!("the panel holds {line:?}")) })
        })
        .await
    }
}

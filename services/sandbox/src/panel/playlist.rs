//! `get.php` and `xmltv.php`, and the programme guide they share with the player API.

use std::fmt::Write;

use http::StatusCode;

use super::state::Panel;
use crate::{
    config::StreamSpec,
    http::{Reply, Request},
};

/// Length of a programme, in seconds.
const PROGRAMME_S: i64 = 3600;

/// One entry of the guide.
pub struct Programme {
    pub start: i64,
    pub stop: i64,
    pub title: String,
    pub description: String,
}

/// Programmes from the running one on; one per hour, told apart by its number of the day.
pub fn programmes(stream: &StreamSpec, now: i64, count: i64) -> impl Iterator<Item = Programme> {
    let first = now - now.rem_euclid(PROGRAMME_S);
    (0..count).map(move |at| {
        let start = first + at * PROGRAMME_S;
        let number = start.rem_euclid(86_400) / PROGRAMME_S + 1;
        Programme {
            start,
            stop: start + PROGRAMME_S,
            title: format!("{} test picture {number}", stream.name),
            description: format!("SANDBOX: hour {number} of the day on {}.", stream.name),
        }
    })
}

/// Channel id of the guide.
pub fn channel_id(stream: i64) -> String {
    format!("sandbox.{stream}")
}

impl Panel {
    pub fn m3u(
        &self,
        request: &Request,
        prefix: &str,
        username: &str,
        password: &str,
        kind: &str,
        output: &str,
    ) -> Reply {
        let line = match self.admit_or_refuse(request, username, password) {
            Ok(line) => line,
            Err(page) => return *page,
        };
        let extension = if matches!(output, "m3u8" | "hls") { "m3u8" } else { "ts" };
        let host = request.host();
        let mut text = String::from("#EXTM3U\r\n");
        for stream in self.streams_of(&line) {
            let name = &stream.name;
            if kind == "m3u_plus" {
                let id = channel_id(stream.id);
                let group = &stream.category;
                write!(
                    text,
                    "#EXTINF:-1 tvg-id=\"{id}\" tvg-name=\"{name}\" tvg-logo=\"\" group-title=\"{group}\",{name}\r\n"
                )
            } else {
                write!(text, "#EXTINF:-1,{name}\r\n")
            }
            .expect("writing into a string succeeds");
            write!(
                text,
                "http://{host}{prefix}/live/{}/{}/{}.{extension}\r\n",
                escape(username),
                escape(password),
                stream.id
            )
            .expect("writing into a string succeeds");
        }
        Reply::new(StatusCode::OK, "application/octet-stream", text)
            .with("content-disposition", "attachment; filename=\"sandbox.m3u\"")
    }

    pub fn xmltv(&self, request: &Request, username: &str, password: &str) -> Reply {
        let line = match self.admit_or_refuse(request, username, password) {
            Ok(line) => line,
            Err(page) => return *page,
        };
        let now = self.state().clock.now().timestamp();
        let mut text = String::from(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!DOCTYPE tv SYSTEM \"xmltv.dtd\">\n<tv generator-info-name=\"SANDBOX\">\n",
        );
        for stream in self.streams_of(&line) {
            let (id, name) = (channel_id(stream.id), xml(&stream.name));
            writeln!(text, "  <channel id=\"{id}\"><display-name>{name}</display-name></channel>")
                .expect("writing into a string succeeds");
        }
        for stream in self.streams_of(&line) {
            for programme in programmes(stream, now, 24) {
                let at =
                    |unix| chrono::DateTime::from_timestamp(unix, 0).unwrap_or_default().format("%Y%m%d%H%M%S +0000");
                writeln!(
                    text,
                    "  <programme start=\"{}\" stop=\"{}\" channel=\"{}\"><title>{}</title><desc>{}</desc></programme>",
                    at(programme.start),
                    at(programme.stop),
                    channel_id(stream.id),
                    xml(&programme.title),
                    xml(&programme.description),
                )
                .expect("writing into a string succeeds");
            }
        }
        text.push_str("</tv>\n");
        Reply::new(StatusCode::OK, "application/xml; charset=utf-8", text)
    }
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn escape(part: &str) -> String {
    url::form_urlencoded::byte_serialize(part.as_bytes()).collect::<String>().replace('+', "%20")
}

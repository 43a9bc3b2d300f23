//! Live television out of nothing: H.264 in MPEG-TS segments, drawn and encoded on demand, the same bytes for the same
//! channel and moment.

mod font;
mod h264;
mod picture;
mod ts;

use std::{
    collections::VecDeque,
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};

use self::picture::Picture;

/// Length of a segment, in seconds.
pub const SEGMENT_S: u64 = 2;
/// Frames a second.
pub const FRAMES_PER_S: u64 = 10;
/// Segments a playlist names.
const WINDOW: u64 = 6;
/// Segments that can still be fetched after they left the playlist.
const GRACE: u64 = 10;
/// Encoded segments kept.
const KEPT: usize = 32;

/// Draws, encodes and remembers segments.
#[derive(Clone, Default)]
pub struct Studio(Arc<Mutex<VecDeque<(String, u64, Bytes)>>>);

impl Studio {
    /// One segment of a channel.
    pub async fn segment(&self, channel: String, number: u64) -> Bytes {
        let find = |kept: &VecDeque<(String, u64, Bytes)>| {
            kept.iter().find(|(name, at, _)| *name == channel && *at == number).map(|(_, _, bytes)| bytes.clone())
        };
        if let Some(bytes) = find(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            return bytes;
        }
        let name = channel.clone();
        let made = tokio::task::spawn_blocking(move || Bytes::from(encode(&name, number))).await.unwrap_or_default();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if find(&kept).is_none() {
            kept.push_back((channel, number, made.clone()));
            if kept.len() > KEPT {
                kept.pop_front();
            }
        }
        made
    }
}

/// Draws and encodes a segment: a transport stream of its own that starts with a key frame.
#[must_use]
pub fn encode(channel: &str, number: u64) -> Vec<u8> {
    let frames = SEGMENT_S * FRAMES_PER_S;
    let mut before: Option<Picture> = None;
    let mut units = Vec::new();
    for frame in 0..frames {
        let tenth = number * frames + frame;
        let seconds = tenth / FRAMES_PER_S;
        let clock =
            format!("{:02}:{:02}:{:02}.{}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60, tenth % FRAMES_PER_S);
        let step = usize::try_from(tenth % 1_000_000).unwrap_or(0);
        let picture = Picture::draw(channel, &clock, step);
        let at = usize::try_from(frame).unwrap_or(0);
        units.push(h264::encode(&picture, before.as_ref(), at, u32::from(number % 2 == 1)));
        before = Some(picture);
    }
    ts::segment(units, number.wrapping_mul(SEGMENT_S * 90_000), 90_000 / FRAMES_PER_S)
}

/// The newest segment that is complete.
#[must_use]
pub fn newest(now: DateTime<Utc>) -> u64 {
    (u64::try_from(now.timestamp()).unwrap_or(0) / SEGMENT_S).saturating_sub(1)
}

/// Whether a segment can be fetched now: complete and not long gone.
#[must_use]
pub fn is_due(number: u64, now: DateTime<Utc>) -> bool {
    let newest = newest(now);
    number <= newest && number + WINDOW + GRACE > newest
}

/// The sliding media playlist at `now`.
#[must_use]
pub fn playlist(now: DateTime<Utc>, address: impl Fn(u64) -> String) -> String {
    let last = newest(now);
    let first = last.saturating_sub(WINDOW - 1);
    let started = DateTime::from_timestamp(i64::try_from(first * SEGMENT_S).unwrap_or(0), 0).unwrap_or_default();
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{SEGMENT_S}\n#EXT-X-MEDIA-SEQUENCE:{first}\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-PROGRAM-DATE-TIME:{}\n",
        started.to_rfc3339_opts(SecondsFormat::Millis, true)
    );
    for number in first..=last {
        writeln!(text, "#EXTINF:{SEGMENT_S}.000,\n{}", address(number)).expect("writing into a string succeeds");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_slides_with_the_clock() {
        let at = |second| DateTime::from_timestamp(second, 0).expect("valid");
        let text = playlist(at(1_000_001), |number| format!("{number}.ts"));
        assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:499994\n") && text.trim_end().ends_with("499999.ts"), "{text}");
        assert!(is_due(499_999, at(1_000_001)) && !is_due(500_000, at(1_000_001)));
        assert_eq!(newest(at(1_000_002)), 500_000);
    }

    #[test]
    fn a_segment_is_small_and_always_the_same() {
        let bytes = encode("Sandbox One", 499_999);
        assert_eq!(bytes, encode("Sandbox One", 499_999));
        assert!(bytes.len() < 1_000_000, "{} bytes", bytes.len());
    }
}

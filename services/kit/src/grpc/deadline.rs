//! Deadlines on the wire (`grpc-timeout`) and on a body that is still arriving.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::Status;

use super::Problem;

/// How long a call may take when nobody said otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);
/// Metadata key of the remaining time.
pub const TIMEOUT_HEADER: &str = "grpc-timeout";

/// The caller's remaining time; `None` when absent or unreadable.
pub fn parse(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT_HEADER)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3_600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// The remaining time as a header, in milliseconds (the specification allows eight digits: a day and more).
pub fn header(remaining: Duration) -> HeaderValue {
    let millis = remaining.as_millis().clamp(1, 99_999_999);
    HeaderValue::try_from(format!("{millis}m")).expect("digits and a letter are a header value")
}

/// What a call gets whose time is over.
pub fn exceeded() -> Status {
    Problem::new(tonic::Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "no answer in time").into()
}

/// A response body that ends with `DEADLINE_EXCEEDED` when it takes too long.
pub struct DeadlineBody {
    inner: tonic::body::Body,
    sleep: Pin<Box<Sleep>>,
}

impl DeadlineBody {
    pub fn new(inner: tonic::body::Body, deadline: Instant) -> Self {
        Self { inner, sleep: Box::pin(tokio::time::sleep_until(deadline)) }
    }
}

impl Body for DeadlineBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        self.sleep.as_mut().poll(cx).map(|()| Some(Err(exceeded())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_reads_back_from_its_header() {
        let cases = [
            ("2S", Some(Duration::from_secs(2))),
            ("150m", Some(Duration::from_millis(150))),
            ("1H", Some(Duration::from_secs(3_600))),
            ("123456789m", None),
            ("m", None),
            ("", None),
            ("-1S", None),
            ("5x", None),
        ];
        for (text, expected) in cases {
            let headers = HeaderMap::from_iter([(TIMEOUT_HEADER.parse().unwrap(), HeaderValue::from_static(text))]);
            assert_eq!(parse(&headers), expected, "{text}");
        }
        assert_eq!(header(Duration::from_millis(1_500)), "1500m");
        assert_eq!(header(Duration::ZERO), "1m");
    }
}
